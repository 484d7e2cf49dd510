"""SVHN: house numbers from street pictures, one digit to an image of 32x32 pixels.

In: the cropped digits of http://ufldl.stanford.edu/housenumbers/ (Y. Netzer et al., "Reading Digits
in Natural Images with Unsupervised Feature Learning", 2011), MATLAB files with `X`, uint8
(32, 32, 3, N), and `y`, 1 to 10, where 10 stands for the digit 0.  Out: `data`, uint8
(N, 3, 32, 32), and `labels`, int64 (N,), the digits.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from rushlight.errors import FileFormatError
from rushlight.vision._pil import rgb_image
from rushlight.vision.datasets._matfile import read_arrays
from rushlight.vision.datasets.utils import (
    check_recorded,
    download_url,
    verify_str_arg,
    write_record,
)
from rushlight.vision.datasets.vision import VisionDataset

__all__ = ["SVHN"]


class SVHN(VisionDataset):
    """The SVHN data set: 73,257 training, 26,032 test and 531,131 further digits.

    Args:
        root: folder of the .mat files.
        split: "train", "test" or "extra".
        transform: function of the PIL image.
        target_transform: function of the digit, an int.
        download: fetch the split's file unless it is there and intact; `RUSHLIGHT_MIRROR` names a
            folder or URL to fetch it from instead of the internet.

    Raises:
        RuntimeError: the file is not there.
        FileFormatError: it is damaged; a subclass of RuntimeError.
    """

    _server = "http://ufldl.stanford.edu/housenumbers/"
    split_list = {
        "train": [
            _server + "train_32x32.mat",
            "train_32x32.mat",
            "e26dedcc434d2e4c54c9b2d4a06d8373",
        ],
        "test": [
            _server + "test_32x32.mat",
            "test_32x32.mat",
            "eb5a983be6a315427106f1b164d9cef3",
        ],
        "extra": [
            _server + "extra_32x32.mat",
            "extra_32x32.mat",
            "a93ce644f1a588dc4d68dda5feec44a7",
        ],
    }

    def __init__(
        self,
        root: str | Path,
        split: str = "train",
        transform: Callable[..., Any] | None = None,
        target_transform: Callable[..., Any] | None = None,
        download: bool = False,
    ) -> None:
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.split = verify_str_arg(split, "split", tuple(self.split_list))
        self.url, self.filename, self.file_md5 = self.split_list[split]
        if download:
            self.download()
        path = os.path.join(self.root, self.filename)
        if not os.path.isfile(path):
            raise RuntimeError(
                "Dataset not found or corrupted. You can use download=True to download it"
            )
        check_recorded(path)
        self.data, self.labels = _read(path)

    def download(self) -> None:
        """Fetches the split's file unless it is there with the right checksum."""
        download_url(self.url, self.root, self.filename, self.file_md5)
        write_record(self.root, [self.filename])

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        """(image, digit) at `index`, transformed."""
        image: Any = rgb_image(np.transpose(self.data[index], (1, 2, 0)))
        target: Any = int(self.labels[index])
        if self.transform is not None:
            image = self.transform(image)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return image, target

    def __len__(self) -> int:
        return len(self.data)

    def extra_repr(self) -> str:
        return f"Split: {self.split}"


def _read(path: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    arrays = read_arrays(path)
    images, labels = arrays.get("X"), arrays.get("y")
    if images is None or images.dtype != np.uint8 or images.shape[:3] != (32, 32, 3):
        raise FileFormatError(f"'{path}': 'X' is not a uint8 array of shape (32, 32, 3, N)")
    if images.ndim == 3:
        images = images[..., None]  # MATLAB drops a last size of 1
    if labels is None or labels.size != images.shape[3]:
        raise FileFormatError(f"'{path}': 'y' does not have {images.shape[3]} labels")
    digits = labels.astype(np.int64).reshape(-1)
    if not ((digits >= 0) & (digits <= 10)).all():
        raise FileFormatError(f"'{path}': a label is not between 0 and 10")
    return np.transpose(images, (3, 2, 0, 1)), np.where(digits == 10, 0, digits)
