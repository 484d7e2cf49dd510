"""STL-10: 96x96 colour images in ten classes, few of them labelled.

In: the binary archive of https://cs.stanford.edu/~acoates/stl10/ (A. Coates, H. Lee, A. Y. Ng, "An
Analysis of Single Layer Networks in Unsupervised Feature Learning", 2011): images as bytes, column
by column, and labels from 1 to 10.  Out: `data`, uint8 (N, 3, 96, 96), and `labels`, 0 to 9, or -1
where there is none.

Files that came out of a verified archive are compared with their record; files put there by hand
are checked by their sizes and labels.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from rushlight.errors import FileFormatError
from rushlight.vision._pil import rgb_image
from rushlight.vision.datasets import _archive
from rushlight.vision.datasets.utils import (
    check_recorded,
    download_url,
    verify_str_arg,
    write_record,
)
from rushlight.vision.datasets.vision import VisionDataset

__all__ = ["STL10"]

IMAGE = 3 * 96 * 96  # bytes
FOLDS = 10


class STL10(VisionDataset):
    """The STL-10 data set: 5,000 training, 8,000 test and 100,000 unlabelled images.

    Args:
        root: folder that holds `stl10_binary`, or gets it.
        split: "train", "test", "unlabeled" or "train+unlabeled".
        folds: 0 to 9 for one of the ten published subsets of 1,000 training images.
        transform: function of the PIL image.
        target_transform: function of the label, an int.
        download: fetch the archive unless all files are intact; `RUSHLIGHT_MIRROR` names a folder
            or URL to fetch it from instead of the internet.

    Raises:
        RuntimeError: there is no data set in `root`.
        FileFormatError: it is damaged; a subclass of RuntimeError.
    """

    base_folder = "stl10_binary"
    url = "http://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz"
    filename = "stl10_binary.tar.gz"
    tgz_md5 = "91f7769df0f17e558f3565bffb0c7dfb"
    class_names_file = "class_names.txt"
    folds_list_file = "fold_indices.txt"
    train_list = [
        ["train_X.bin", "918c2871b30a85fa023e0c44e0bee87f"],
        ["train_y.bin", "5a34089d4802c674881badbb80307741"],
        ["unlabeled_X.bin", "5242ba1fed5e4be9e1e742405eb56ca4"],
    ]
    test_list = [
        ["test_X.bin", "7f263ba9f9e0b06b93213547f721ac82"],
        ["test_y.bin", "36f9794fa4beb8a2c72628de14fa638e"],
    ]
    splits = ("train", "train+unlabeled", "unlabeled", "test")

    def __init__(
        self,
        root: str | Path,
        split: str = "train",
        folds: int | None = None,
        transform: Callable[..., Any] | None = None,
        target_transform: Callable[..., Any] | None = None,
        download: bool = False,
    ) -> None:
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.split = verify_str_arg(split, "split", self.splits)
        self.folds = self._verify_folds(folds)
        if download:
            self.download()
        if not all(os.path.isfile(self._path(name)) for name in self._names()):
            raise RuntimeError(
                "Dataset not found or corrupted. You can use download=True to download it"
            )
        images, labels = zip(*(self._part(part) for part in self.split.split("+")), strict=True)
        self.data = images[0] if len(images) == 1 else np.concatenate(images)
        self.labels = np.concatenate(labels)
        names = self._path(self.class_names_file)
        if os.path.isfile(names):
            self.classes = Path(names).read_text(encoding="utf-8").splitlines()

    def _verify_folds(self, folds: int | None) -> int | None:
        if folds is None or (isinstance(folds, int) and folds in range(FOLDS)):
            return folds
        if isinstance(folds, int):
            raise ValueError(
                f"Value for argument folds should be in the range [0, 10), but got {folds}."
            )
        raise ValueError(
            f"Expected type None or int for argument folds, but got type {type(folds)}."
        )

    def _names(self) -> list[str]:
        return [name for name, _ in self.train_list + self.test_list]

    def _path(self, name: str) -> str:
        return os.path.join(self.root, self.base_folder, name)

    def _part(self, part: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """Images and labels of "train", "test" or "unlabeled"."""
        images = _read_images(self._path(f"{part}_X.bin"))
        if part == "unlabeled":
            return images, np.full(len(images), -1)
        labels = _read_labels(self._path(f"{part}_y.bin"), len(images))
        if part == "train" and self.folds is not None:
            chosen = self._fold(len(images))
            return images[chosen], labels[chosen]
        return images, labels

    def _fold(self, count: int) -> np.ndarray[Any, Any]:
        path = self._path(self.folds_list_file)
        try:
            line = Path(path).read_text(encoding="utf-8").splitlines()[self.folds or 0]
            chosen = np.array([int(word) for word in line.split()], dtype=np.int64)
        except (ValueError, IndexError) as error:
            raise FileFormatError(f"'{path}' is not a list of ten folds: {error}") from error
        if not ((chosen >= 0) & (chosen < count)).all():
            raise FileFormatError(f"'{path}': an index is not below {count}")
        return chosen

    def _check_integrity(self) -> bool:
        """Whether every file is there, well formed and what its record says."""
        try:
            _check_files(os.path.join(self.root, self.base_folder))
        except (FileFormatError, FileNotFoundError):
            return False
        return True

    def _check_unpacked(self, folder: Path) -> None:
        base = folder / self.base_folder
        for name in self._names():
            if not (base / name).is_file():
                raise FileFormatError(f"'{self.filename}' lacks {self.base_folder}/{name}")
        _check_files(str(base))
        write_record(base, self._names(), keep=False)

    def download(self) -> None:
        """Fetches and unpacks the archive unless all files are there and intact."""
        if self._check_integrity():
            return
        download_url(self.url, self.root, self.filename, self.tgz_md5)
        archive = os.path.join(self.root, self.filename)
        _archive.unpack(archive, self.root, check=self._check_unpacked)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        """(image, label) at `index`, transformed; the label is -1 where there is none."""
        image: Any = rgb_image(np.transpose(self.data[index], (1, 2, 0)))
        target: Any = int(self.labels[index])
        if self.transform is not None:
            image = self.transform(image)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return image, target

    def __len__(self) -> int:
        return int(self.data.shape[0])

    def extra_repr(self) -> str:
        return f"Split: {self.split}"


def _check_files(folder: str) -> None:
    """Checks all files of the data set without keeping the images in memory."""
    for part in ("train", "test"):
        images = _count_images(os.path.join(folder, f"{part}_X.bin"))
        _read_labels(os.path.join(folder, f"{part}_y.bin"), images)
    _count_images(os.path.join(folder, "unlabeled_X.bin"))


def _count_images(path: str) -> int:
    check_recorded(path)
    size = os.path.getsize(path)
    if size % IMAGE:
        raise FileFormatError(f"'{path}': {size} bytes are not whole images of {IMAGE}")
    return size // IMAGE


def _read_images(path: str) -> np.ndarray[Any, np.dtype[np.uint8]]:
    count = _count_images(path)
    content = np.fromfile(path, dtype=np.uint8, count=count * IMAGE)
    return content.reshape(count, 3, 96, 96).transpose(0, 1, 3, 2)  # rows were columns


def _read_labels(path: str, count: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    check_recorded(path)
    labels = np.fromfile(path, dtype=np.uint8)
    if labels.size != count:
        raise FileFormatError(f"'{path}' has {labels.size} labels for {count} images")
    if not ((labels >= 1) & (labels <= 10)).all():
        raise FileFormatError(f"'{path}': a label is not between 1 and 10")
    return labels - np.uint8(1)
