"""MNIST and its relatives: small grey images in IDX files.

In: gzip-compressed IDX files (http://yann.lecun.com/exdb/mnist/: two zero bytes, a type code, the
number of dimensions, the sizes as big-endian int32, then the values).  Out: `data`, a uint8
tensor (N, 28, 28), and `targets`, an int64 tensor.

A header that does not fit the file's length, unequal numbers of images and labels, or a label
without a class raise `FileFormatError`.  Files that were unpacked here are noted in a record
(`datasets/utils.py`) and compared with it whenever they are read; files put there by hand are
checked by structure alone.
"""

from __future__ import annotations

import os
import string
import tempfile
import warnings
from collections.abc import Callable, Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

import rushlight as rl
from rushlight.errors import FileFormatError
from rushlight.hub import MirrorError
from rushlight.vision._pil import grey_image
from rushlight.vision.datasets import _archive
from rushlight.vision.datasets.utils import (
    calculate_md5,
    check_integrity,
    check_recorded,
    download_url,
    verify_str_arg,
    write_record,
)
from rushlight.vision.datasets.vision import VisionDataset

__all__ = [
    "EMNIST",
    "KMNIST",
    "MNIST",
    "QMNIST",
    "FashionMNIST",
    "read_image_file",
    "read_label_file",
    "read_sn3_pascalvincent_tensor",
]

IDX_TYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
NAMES = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
DIGITS = [f"{digit} - {name}" for digit, name in enumerate(NAMES)]


class MNIST(VisionDataset):
    """The MNIST data set: 60,000 + 10,000 grey images of handwritten digits, 28x28 pixels.

    Source: Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, "Gradient-Based Learning Applied to
    Document Recognition", 1998.

    Args:
        root: folder in which `MNIST/raw` lies, or is made.
        train: the training images, or else the test images.
        transform: function of the PIL image (mode L).
        target_transform: function of the label, an int.
        download: fetch what is missing or damaged.  `RUSHLIGHT_MIRROR` names a folder or URL to
            fetch from instead of the internet, where a file may lie under its plain name or in
            a folder named like the class.

    Attributes:
        data: uint8 tensor (N, 28, 28). targets: int64 tensor (N,). classes: the names.
        class_to_idx: name -> label.

    Raises:
        RuntimeError: there is no data set in `root`.
        FileFormatError: a file is damaged; a subclass of RuntimeError.

    Example:
        >>> MNIST("no such folder")
        Traceback (most recent call last):
        ...
        RuntimeError: Dataset not found. You can use download=True to download it
    """

    mirrors = [
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "http://yann.lecun.com/exdb/mnist/",
    ]
    resources: Any = [
        ("train-images-idx3-ubyte.gz", "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
        ("train-labels-idx1-ubyte.gz", "d53e105ee54ea40749a09fcbcd1e9432"),
        ("t10k-images-idx3-ubyte.gz", "9fb629c4189551a2d022fa330f9573f3"),
        ("t10k-labels-idx1-ubyte.gz", "ec29112dd5afa0611ce80d1b7f02629c"),
    ]
    training_file = "training.pt"
    test_file = "test.pt"
    classes = DIGITS

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
        if self._check_legacy_exist():
            self.data, self.targets = self._load_legacy_data()
            return
        if download:
            self.download()
        if not self._check_exists():
            raise RuntimeError("Dataset not found. You can use download=True to download it")
        self.data, self.targets = self._load_data()

    @property
    def raw_folder(self) -> str:
        """Where the unpacked files lie: `root/CLASS/raw`."""
        return os.path.join(self.root, type(self).__name__, "raw")

    @property
    def processed_folder(self) -> str:
        """Where torchvision before 0.9 kept tensors; still read if they are there."""
        return os.path.join(self.root, type(self).__name__, "processed")

    @property
    def class_to_idx(self) -> dict[str, int]:
        """Class name -> label."""
        return {name: index for index, name in enumerate(self.classes)}

    @property
    def images_file(self) -> str:
        """Path of the split's images."""
        return os.path.join(self.raw_folder, f"{self._prefix}-images-idx3-ubyte")

    @property
    def labels_file(self) -> str:
        """Path of the split's labels."""
        return os.path.join(self.raw_folder, f"{self._prefix}-labels-idx1-ubyte")

    @property
    def _prefix(self) -> str:
        return "train" if self.train else "t10k"

    @property
    def train_data(self) -> Any:
        """Old name of `data`."""
        warnings.warn("train_data has been renamed data")
        return self.data

    @property
    def test_data(self) -> Any:
        """Old name of `data`."""
        warnings.warn("test_data has been renamed data")
        return self.data

    @property
    def train_labels(self) -> Any:
        """Old name of `targets`."""
        warnings.warn("train_labels has been renamed targets")
        return self.targets

    @property
    def test_labels(self) -> Any:
        """Old name of `targets`."""
        warnings.warn("test_labels has been renamed targets")
        return self.targets

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        """(image, label) at `index`, transformed."""
        image: Any = grey_image(self.data[index].numpy())
        target: Any = int(self.targets[index])
        if self.transform is not None:
            image = self.transform(image)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return image, target

    def __len__(self) -> int:
        return len(self.data)

    def extra_repr(self) -> str:
        return f"Split: {'Train' if self.train is True else 'Test'}"

    def _check_legacy_exist(self) -> bool:
        names = (self.training_file, self.test_file)
        return all(check_integrity(os.path.join(self.processed_folder, name)) for name in names)

    def _load_legacy_data(self) -> tuple[Any, Any]:
        name = self.training_file if self.train else self.test_file
        loaded: tuple[Any, Any] = rl.load(
            os.path.join(self.processed_folder, name), weights_only=True
        )
        return loaded

    def _unpacked_names(self) -> list[str]:
        return [name.removesuffix(".gz") for name, _ in self.resources]

    def _check_exists(self) -> bool:
        return all(
            check_integrity(os.path.join(self.raw_folder, name)) for name in self._unpacked_names()
        )

    def _intact(self) -> bool:
        """Whether every file is there, is well formed and is what its record says."""
        if not self._check_exists():
            return False
        try:
            for name in self._unpacked_names():
                _check_idx(os.path.join(self.raw_folder, name))
        except FileFormatError:
            return False
        return True

    def _load_data(self) -> tuple[Any, Any]:
        data, targets = read_image_file(self.images_file), read_label_file(self.labels_file)
        self._check_pair(data, targets)
        return data, targets

    def _check_pair(self, data: Any, targets: Any) -> None:
        if len(data) != len(targets):
            raise FileFormatError(
                f"'{self.images_file}' has {len(data)} images, "
                f"'{self.labels_file}' {len(targets)} labels"
            )
        most = int(targets.max()) if len(targets) else 0
        if most >= len(self._class_names()):
            raise FileFormatError(f"'{self.labels_file}': there is no class {most}")

    def _class_names(self) -> Sequence[str]:
        return self.classes

    def download(self) -> None:
        """Fetches and unpacks the files unless all are there and intact."""
        if self._intact():
            return
        os.makedirs(self.raw_folder, exist_ok=True)
        for name, md5 in self.resources:
            self._fetch_first(name, md5)
            self._unpack(name)

    def _fetch_first(self, name: str, md5: str) -> None:
        """Fetches a file from the first of the class's servers that has it."""
        failures = []
        for server in self.mirrors:
            try:
                download_url(
                    server + name, self.raw_folder, name, md5, mirror_names=self._names_in(name)
                )
            except MirrorError:
                raise
            except (RuntimeError, OSError) as error:  # URLError is an OSError
                failures.append((server, error))
                continue
            self._check_not_another(os.path.join(self.raw_folder, name), name)
            return
        tried = "".join(f"Tried {server}, got:\n{error}\n" for server, error in failures)
        damaged = any(isinstance(error, FileFormatError) for _, error in failures)
        kind = FileFormatError if damaged else RuntimeError
        raise kind(f"Error downloading {name}:\n{tried}") from failures[-1][1]

    def _names_in(self, name: str) -> list[str]:
        """Where a mirror may keep a file: several of these data sets use the same plain names."""
        return [f"{type(self).__name__}/{name}", name]

    def _check_not_another(self, path: str, name: str) -> None:
        """A mirror's plain name may hold a relative's file, which must not pass for this one's."""
        md5 = calculate_md5(path)
        for other in (MNIST, FashionMNIST, KMNIST):
            if type(self).resources != other.resources and (name, md5) in other.resources:
                os.remove(path)
                raise FileFormatError(
                    f"the mirror's '{name}' is {other.__name__}'s file, "
                    f"not {type(self).__name__}'s: keep the latter in {type(self).__name__}/{name}"
                )

    def _unpack(self, name: str) -> None:
        """Decompresses `name` in the raw folder; an ill-formed file never takes its place."""
        plain = os.path.splitext(name)[0]
        with _archive.temporary_folder(self.raw_folder) as folder:
            part = os.path.join(folder, plain)
            _archive.decompress(os.path.join(self.raw_folder, name), part)
            _check_idx(part)
            os.replace(part, os.path.join(self.raw_folder, plain))
        write_record(self.raw_folder, [plain])


class FashionMNIST(MNIST):
    """The Fashion-MNIST data set: 60,000 + 10,000 grey images of clothes, 28x28 pixels.

    Source: H. Xiao, K. Rasul, R. Vollgraf, https://arxiv.org/abs/1708.07747.  Arguments,
    attributes and errors are those of `MNIST`.
    """

    mirrors = ["http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"]
    resources = [
        ("train-images-idx3-ubyte.gz", "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
        ("train-labels-idx1-ubyte.gz", "25c81989df183df01b3e8a0aad5dffbe"),
        ("t10k-images-idx3-ubyte.gz", "bef4ecab320f06d8554ea6380940ec79"),
        ("t10k-labels-idx1-ubyte.gz", "bb300cfdad3c16e7a12a480ee83cd310"),
    ]
    classes = [
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ]


class KMNIST(MNIST):
    """The Kuzushiji-MNIST data set: 60,000 + 10,000 grey images of ten Hiragana, 28x28 pixels.

    Source: T. Clanuwat et al., https://arxiv.org/abs/1812.01718.  Arguments, attributes and
    errors are those of `MNIST`.
    """

    mirrors = ["http://codh.rois.ac.jp/kmnist/dataset/kmnist/"]
    resources = [
        ("train-images-idx3-ubyte.gz", "bdb82020997e1d708af4cf47b453dcf7"),
        ("train-labels-idx1-ubyte.gz", "e144d726b3acfaa3e44228e80efcd344"),
        ("t10k-images-idx3-ubyte.gz", "5c965bf0a639b31b8f53240b1b52f4d7"),
        ("t10k-labels-idx1-ubyte.gz", "7320c461ea6c1c855c0b718fb2a4b134"),
    ]
    classes = ["o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"]


class EMNIST(MNIST):
    """The EMNIST data set: handwritten letters and digits, 28x28 pixels, in six arrangements.

    Source: G. Cohen, S. Afshar, J. Tapson, A. van Schaik, https://arxiv.org/abs/1702.05373.  The
    images are stored on their side: transpose them to see them upright.

    Args:
        root: folder in which `EMNIST/raw` lies, or is made.
        split: "byclass", "bymerge", "balanced", "letters", "digits" or "mnist".
        **kwargs: `train`, `transform`, `target_transform`, `download` as in `MNIST`.
    """

    url = "https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip"
    md5 = "58c8d27c78d21e728a6bc7b3cc06412e"
    splits = ("byclass", "bymerge", "balanced", "letters", "digits", "mnist")
    # Letters whose upper and lower case look alike share a class in the merged arrangements.
    _merged_classes = set("cijklmopsuvwxyz")
    _all_classes = set(string.digits + string.ascii_letters)
    classes_split_dict = {
        "byclass": sorted(_all_classes),
        "bymerge": sorted(_all_classes - _merged_classes),
        "balanced": sorted(_all_classes - _merged_classes),
        "letters": ["N/A", *string.ascii_lowercase],
        "digits": list(string.digits),
        "mnist": list(string.digits),
    }

    def __init__(self, root: str | Path, split: str, **kwargs: Any) -> None:
        self.split = verify_str_arg(split, "split", self.splits)
        self.training_file = f"training_{split}.pt"
        self.test_file = f"test_{split}.pt"
        super().__init__(root, **kwargs)
        self.classes = self.classes_split_dict[self.split]

    @property
    def _prefix(self) -> str:
        return f"emnist-{self.split}-{'train' if self.train else 'test'}"

    def _class_names(self) -> Sequence[str]:
        return self.classes_split_dict[self.split]

    def _unpacked_names(self) -> list[str]:
        return [os.path.basename(self.images_file), os.path.basename(self.labels_file)]

    def download(self) -> None:
        """Fetches the archive of all arrangements and unpacks it, unless the split is intact."""
        if self._intact():
            return
        os.makedirs(self.raw_folder, exist_ok=True)
        name = os.path.basename(self.url)
        archive = os.path.join(self.raw_folder, name)
        download_url(self.url, self.raw_folder, name, self.md5, mirror_names=self._names_in(name))
        with tempfile.TemporaryDirectory(prefix=".unpacking-", dir=self.raw_folder) as folder:
            _archive.unpack(archive, folder)
            packed = sorted(Path(folder, "gzip").glob("*.gz"))
            for path in packed:
                part = path.with_suffix("")
                _archive.decompress(path, part)
                if "-ubyte" in part.name:
                    _check_idx(str(part))
            names = [path.stem for path in packed]
            if missing := set(self._unpacked_names()) - set(names):
                raise FileFormatError(f"'{archive}' lacks {', '.join(sorted(missing))}")
            for plain in names:
                os.replace(
                    os.path.join(folder, "gzip", plain), os.path.join(self.raw_folder, plain)
                )
        write_record(self.raw_folder, names)


class QMNIST(MNIST):
    """The QMNIST data set: MNIST rebuilt from NIST's originals, with all 60,000 test images.

    Source: C. Yadav, L. Bottou, https://arxiv.org/abs/1905.10498.

    Args:
        root: folder in which `QMNIST/raw` lies, or is made.
        what: "train", "test", "test10k" (MNIST's own test images), "test50k" (the others) or
            "nist" (every digit of NIST); by default as `train` says.
        compat: targets are labels; otherwise int64 tensors of the eight fields of QMNIST.
        train: "train" or "test" where `what` is not given.
        **kwargs: `transform`, `target_transform`, `download` as in `MNIST`.
    """

    subsets = {
        "train": "train",
        "test": "test",
        "test10k": "test",
        "test50k": "test",
        "nist": "nist",
    }
    _server = "https://raw.githubusercontent.com/facebookresearch/qmnist/master/"
    resources = {
        "train": [
            (_server + "qmnist-train-images-idx3-ubyte.gz", "ed72d4157d28c017586c42bc6afe6370"),
            (_server + "qmnist-train-labels-idx2-int.gz", "0058f8dd561b90ffdd0f734c6a30e5e4"),
        ],
        "test": [
            (_server + "qmnist-test-images-idx3-ubyte.gz", "1394631089c404de565df7b7aeaf9412"),
            (_server + "qmnist-test-labels-idx2-int.gz", "5b5b05890a5e13444e108efe57b788aa"),
        ],
        "nist": [
            (_server + "xnist-images-idx3-ubyte.xz", "7f124b3b8ab81486c9d8c2749c17f834"),
            (_server + "xnist-labels-idx2-int.xz", "5ed0e788978e45d4a8bd4b7caec3d79d"),
        ],
    }

    def __init__(
        self,
        root: str | Path,
        what: str | None = None,
        compat: bool = True,
        train: bool = True,
        **kwargs: Any,
    ) -> None:
        if what is None:
            what = "train" if train else "test"
        self.what = verify_str_arg(what, "what", tuple(self.subsets))
        self.compat = compat
        self.data_file = self.training_file = self.test_file = what + ".pt"
        super().__init__(root, train, **kwargs)

    def _unpacked_names(self) -> list[str]:
        urls = [url for url, _ in self.resources[self.subsets[self.what]]]
        return [os.path.splitext(os.path.basename(url))[0] for url in urls]

    @property
    def images_file(self) -> str:
        """Path of the subset's images."""
        return os.path.join(self.raw_folder, self._unpacked_names()[0])

    @property
    def labels_file(self) -> str:
        """Path of the subset's labels, eight numbers an image."""
        return os.path.join(self.raw_folder, self._unpacked_names()[1])

    def _load_data(self) -> tuple[Any, Any]:
        data = read_image_file(self.images_file)
        targets = read_sn3_pascalvincent_tensor(self.labels_file).long()
        if targets.ndim != 2 or targets.shape[1] == 0:
            raise FileFormatError(f"'{self.labels_file}' is not a table of labels")
        self._check_pair(data, targets[:, 0])
        if self.what == "test10k":
            return data[:10000].clone(), targets[:10000].clone()
        if self.what == "test50k":
            return data[10000:].clone(), targets[10000:].clone()
        return data, targets

    def download(self) -> None:
        """Fetches and unpacks the subset's files unless they are there and intact."""
        if self._intact():
            return
        os.makedirs(self.raw_folder, exist_ok=True)
        for url, md5 in self.resources[self.subsets[self.what]]:
            download_url(url, self.raw_folder, md5=md5)
            self._unpack(os.path.basename(url))

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        """(image, label or fields) at `index`, transformed."""
        image: Any = grey_image(self.data[index].numpy())
        target: Any = self.targets[index]
        if self.transform is not None:
            image = self.transform(image)
        if self.compat:
            target = int(target[0])
        if self.target_transform is not None:
            target = self.target_transform(target)
        return image, target

    def extra_repr(self) -> str:
        return f"Split: {self.what}"


def _read_idx(path: str) -> np.ndarray[Any, Any]:
    """The array of an IDX file; its header must account for every byte."""
    with open(path, "rb") as file:
        content = file.read()
    head = content[:4]
    if len(head) < 4 or head[:2] != b"\0\0" or head[2] not in IDX_TYPES or not 1 <= head[3] <= 3:
        raise FileFormatError(f"'{path}' does not begin like an IDX file: {head!r}")
    start = 4 + 4 * head[3]
    if len(content) < start:
        raise FileFormatError(f"'{path}' is truncated within its header")
    shape = tuple(int(size) for size in np.frombuffer(content, ">u4", head[3], 4))
    dtype = np.dtype(IDX_TYPES[head[2]])
    if len(content) - start != prod(shape) * dtype.itemsize:
        raise FileFormatError(
            f"'{path}' has {len(content) - start} bytes of values, "
            f"its header says {shape} of {dtype.itemsize} bytes each"
        )
    check_recorded(path)
    values = np.frombuffer(content, dtype, offset=start).reshape(shape)
    return values.astype(dtype.newbyteorder("="))  # native, and a copy that can be written to


def _check_idx(path: str) -> None:
    _read_idx(path)


def read_sn3_pascalvincent_tensor(path: str, strict: bool = True) -> Any:
    """The tensor of an IDX file with 1 to 3 dimensions.

    Args:
        path: name of the file, not compressed.
        strict: accepted for compatibility; a header that does not fit the file is always an error.

    Raises:
        FileFormatError: the file is not IDX, is cut short or too long.
    """
    return rl.from_numpy(_read_idx(path))


def read_label_file(path: str) -> Any:
    """The int64 tensor (N,) of an IDX file of uint8 labels."""
    values = read_sn3_pascalvincent_tensor(path)
    if values.dtype != rl.uint8 or values.ndim != 1:
        raise FileFormatError(f"'{path}' does not hold labels: {values.dtype}, {values.ndim}-d")
    return values.long()


def read_image_file(path: str) -> Any:
    """The uint8 tensor (N, H, W) of an IDX file of images."""
    values = read_sn3_pascalvincent_tensor(path)
    if values.dtype != rl.uint8 or values.ndim != 3:
        raise FileFormatError(f"'{path}' does not hold images: {values.dtype}, {values.ndim}-d")
    return values
