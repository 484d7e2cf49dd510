"""CIFAR-10 and CIFAR-100: 32x32 colour images in ten or a hundred classes.

In: the "python version" archives of https://www.cs.toronto.edu/~kriz/cifar.html (A. Krizhevsky,
"Learning Multiple Layers of Features from Tiny Images", 2009), pickles that are read without
executing anything.  Out: `data`, uint8 (N, 32, 32, 3), and `targets`, a list of N labels.

What counts as intact, file by file:
- the folder has a record (it came out of a verified archive): the SHA-256 noted there;
- otherwise the published MD5, or - so that folders made by hand in the same format work - any
  content of the right structure, shapes and label range, provided that no batch file of the
  folder has its published MD5.  (A folder of which some batches are the published ones and
  others are not is a damaged download, not somebody's own data.)
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from rushlight.errors import FileFormatError, with_note
from rushlight.serialization import plain_pickle
from rushlight.vision._pil import rgb_image
from rushlight.vision.datasets import _archive
from rushlight.vision.datasets.utils import download_url, read_record, write_record
from rushlight.vision.datasets.vision import VisionDataset

__all__ = ["CIFAR10", "CIFAR100"]

ADVICE = "Dataset not found or corrupted. You can use download=True to download it"
PIXELS = 3 * 32 * 32  # one image is a row: 1024 reds, 1024 greens, 1024 blues


class CIFAR10(VisionDataset):
    """The CIFAR-10 data set: 50,000 + 10,000 colour images of 32x32 pixels in ten classes.

    Args:
        root: folder that holds `cifar-10-batches-py`, or gets it.
        train: the training images, or else the test images.
        transform: function of the PIL image.
        target_transform: function of the label, an int.
        download: fetch the archive unless the folder is intact.  `RUSHLIGHT_MIRROR` names a
            folder or URL to fetch it from instead of the internet.

    Attributes:
        data: uint8 array (N, 32, 32, 3). targets: list of N ints. classes: the names.
        class_to_idx: name -> label.

    Raises:
        RuntimeError: there is no data set in `root`.
        FileFormatError: it is damaged, or the archive is; a subclass of RuntimeError.

    Example:
        >>> CIFAR10("no such folder")  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        RuntimeError: Dataset not found or corrupted. You can use download=True to download it...
    """

    base_folder = "cifar-10-batches-py"
    url = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
    filename = "cifar-10-python.tar.gz"
    tgz_md5 = "c58f30108f718f92721af3b95e74349a"
    train_list = [
        ["data_batch_1", "c99cafc152244af753f735de768cd75f"],
        ["data_batch_2", "d4bba439e000b95fd0a9bffe97cbabec"],
        ["data_batch_3", "54ebc095f3ab1f0389bbae665268c751"],
        ["data_batch_4", "634d18415352ddfa80567beed471001a"],
        ["data_batch_5", "482c414d41f54cd18b22e5b47cb7c3cb"],
    ]
    test_list = [["test_batch", "40351d587109b95175f43aff81a1287e"]]
    meta = {
        "filename": "batches.meta",
        "key": "label_names",
        "md5": "5ff9c542aee3614f3951f8cda6e48888",
    }
    label_key = "labels"
    class_count = 10

    def __init__(
        self,
        root: str | Path,
        train: bool = True,
        transform: Callable[..., Any] | None = None,
        target_transform: Callable[..., Any] | None = None,
        download: bool = False,
    ) -> None:
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.train = train
        if download:
            self.download()
        folder = os.path.join(self.root, self.base_folder)
        missing = [name for name in self._names() if not os.path.isfile(os.path.join(folder, name))]
        if missing:
            raise with_note(RuntimeError(ADVICE), f"{folder} lacks {', '.join(missing)}")
        batches = self.train_list if train else self.test_list
        images, targets = self._read_batches(folder, [name for name, _ in batches])
        self.data = images
        self.targets = targets
        self._load_meta()

    def _load_meta(self) -> None:
        folder = os.path.join(self.root, self.base_folder)
        self.classes = self._read_classes(folder)
        self.class_to_idx = {name: index for index, name in enumerate(self.classes)}

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        """(image, label) at `index`, transformed."""
        image: Any = rgb_image(self.data[index])
        target: Any = self.targets[index]
        if self.transform is not None:
            image = self.transform(image)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return image, target

    def __len__(self) -> int:
        return len(self.data)

    def extra_repr(self) -> str:
        return f"Split: {'Train' if self.train is True else 'Test'}"

    def download(self) -> None:
        """Fetches and unpacks the archive unless all files are there and intact."""
        if self._check_integrity():
            return
        download_url(self.url, self.root, self.filename, self.tgz_md5)
        _archive.unpack(
            os.path.join(self.root, self.filename), self.root, check=self._check_unpacked
        )

    def _names(self) -> list[str]:
        """The file names of the data set, batches first."""
        return [name for name, _ in self.train_list + self.test_list] + [self.meta["filename"]]

    def _check_integrity(self) -> bool:
        """Whether every file is there and intact, both splits."""
        folder = os.path.join(self.root, self.base_folder)
        if not all(os.path.isfile(os.path.join(folder, name)) for name in self._names()):
            return False
        try:
            self._check_folder(folder)
        except FileFormatError:
            return False
        return True

    def _check_unpacked(self, folder: Path) -> None:
        """Checks what came out of an archive, and notes its digests for later runs."""
        base = folder / self.base_folder
        for name in self._names():
            if not (base / name).is_file():
                raise FileFormatError(f"'{self.filename}' lacks {self.base_folder}/{name}")
        self._check_folder(str(base))
        write_record(base, self._names(), keep=False)

    def _check_folder(self, folder: str) -> None:
        batches = [name for name, _ in self.train_list + self.test_list]
        if read_record(folder) or self._published(folder) < len(batches):
            self._read_batches(folder, batches)
        self._read_classes(folder)

    def _published(self, folder: str) -> int:
        """How many of the batch files have their published MD5."""
        return sum(
            _md5(_content(os.path.join(folder, name))) == md5
            for name, md5 in self.train_list + self.test_list
        )

    def _read_batches(
        self, folder: str, names: Iterable[str]
    ) -> tuple[np.ndarray[Any, np.dtype[np.uint8]], list[int]]:
        """Images (N, 32, 32, 3) and labels of the named files, checked."""
        published = dict(self.train_list + self.test_list)
        record = read_record(folder)
        images, targets, own = [], [], False
        for name in names:
            content = _content(os.path.join(folder, name))
            _check_record(record, folder, name, content)
            own = own or (not record and _md5(content) != published[name])
            rows, labels = self._parse_batch(os.path.join(folder, name), content)
            images.append(rows)
            targets += labels
        if own and (count := self._published(folder)):
            raise FileFormatError(
                _advice(f"{count} batches of {folder} are the published ones, the others are not")
            )
        channels_last = np.vstack(images).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        return np.ascontiguousarray(channels_last), targets

    def _parse_batch(self, path: str, content: bytes) -> tuple[Any, list[int]]:
        """Rows (N, 3072) and N labels of one pickled batch."""
        batch = _unpickled(path, content)
        rows = batch.get("data")
        if (
            not isinstance(rows, np.ndarray)
            or rows.dtype != np.uint8
            or rows.ndim != 2
            or rows.shape[1] != PIXELS
        ):
            raise FileFormatError(f"'{path}': 'data' is not a uint8 array of shape (N, {PIXELS})")
        labels = batch.get(self.label_key)
        if isinstance(labels, np.ndarray) and labels.ndim == 1:
            labels = labels.tolist()
        if not isinstance(labels, list) or len(labels) != len(rows):
            raise FileFormatError(
                f"'{path}': '{self.label_key}' is not a list of {len(rows)} labels"
            )
        last = self.class_count - 1
        for position, label in enumerate(labels):
            if isinstance(label, np.integer):
                labels[position] = label = int(label)
            if type(label) is not int or not 0 <= label <= last:
                raise FileFormatError(
                    f"'{path}': label {position} is {label!r}, not an integer from 0 to {last}"
                )
        return rows, labels

    def _read_classes(self, folder: str) -> list[str]:
        path = os.path.join(folder, self.meta["filename"])
        content = _content(path)
        _check_record(read_record(folder), folder, self.meta["filename"], content)
        names = _unpickled(path, content).get(self.meta["key"])
        if (
            not isinstance(names, list)
            or len(names) != self.class_count
            or not all(isinstance(name, str) for name in names)
        ):
            raise FileFormatError(
                f"'{path}': '{self.meta['key']}' is not a list of {self.class_count} names"
            )
        return names


class CIFAR100(CIFAR10):
    """The CIFAR-100 data set: 50,000 + 10,000 colour images of 32x32 pixels in a hundred classes.

    Arguments, attributes and errors are those of `CIFAR10`; the folder is `cifar-100-python` and
    the labels are the fine ones.

    Example:
        >>> CIFAR100.class_count
        100
    """

    base_folder = "cifar-100-python"
    url = "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz"
    filename = "cifar-100-python.tar.gz"
    tgz_md5 = "eb9058c3a382ffc7106e4002c42a8d85"
    train_list = [["train", "16019d7e3df5f24257cddd939b257f8d"]]
    test_list = [["test", "f0ef6b0ae62326f3e7ffdfab6717acfc"]]
    meta = {
        "filename": "meta",
        "key": "fine_label_names",
        "md5": "7973b15100ade9c7d40fb424638fde48",
    }
    label_key = "fine_labels"
    class_count = 100


def _advice(detail: str) -> str:
    return f"{ADVICE}\n{detail}"


def _content(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def _check_record(record: dict[str, str], folder: str, name: str, content: bytes) -> None:
    noted = record.get(name)
    if noted is not None and hashlib.sha256(content).hexdigest() != noted:
        raise FileFormatError(
            _advice(f"{os.path.join(folder, name)} changed since it was verified")
        )


def _unpickled(path: str, content: bytes) -> dict[str, Any]:
    """The dictionary that a batch file pickles, read without executing anything."""
    try:
        value = plain_pickle.loads(content, encoding="latin1")
    except FileFormatError as error:
        raise FileFormatError(f"'{path}' is damaged: {error}") from error
    if not isinstance(value, dict):
        raise FileFormatError(f"'{path}' holds a {type(value).__name__}, not a dictionary")
    return value
