"""The trainer's data: what a task consists of, and how its images become batches.

In: the name of a task and the command's options. Out: a `Task`: class names, training and
validation sets, and the settings that suit it. A data set here is indexed with a whole batch of
indices, so that normalising and augmenting are done by NumPy for all images of a batch at once.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import rushlight as rl
from rushlight.cli import shapes
from rushlight.cli.messages import say
from rushlight.utils.data import Dataset

__all__ = ["DataMissing", "ImageBatches", "Task", "load"]


class DataMissing(Exception):
    """A data set is not where it should be; the message says how to get it."""


@dataclass(frozen=True)
class Task:
    """A classification task and the settings that suit it."""

    name: str
    classes: tuple[str, ...]
    train: ImageBatches
    validation: ImageBatches
    widths: tuple[int, ...]
    dropout: float
    epochs: int
    batch_size: int
    lr: float


class ImageBatches(Dataset[Any]):
    """Images and labels, taken a batch at a time: `data[[3, 1, 4]]` is (images, labels).

    Args:
        images: uint8 (N, H, W, 3).
        labels: int64 (N,).
        mirror: mirror each image left to right with probability one half.
        shift: move each image by up to so many pixels each way; the edge is reflected.

    Returns on indexing:
        float32 (B, 3, H, W), scaled so that 0..255 becomes -2..2, and int64 (B,).
    """

    def __init__(
        self,
        images: npt.NDArray[np.uint8],
        labels: npt.NDArray[np.int64],
        mirror: bool = False,
        shift: int = 0,
    ) -> None:
        self.images = images
        self.labels = labels
        self.mirror = mirror
        self.shift = shift

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, indices: Sequence[int]) -> tuple[Any, Any]:
        images = self.images[indices]
        if self.shift:
            images = self._shifted(images)
        if self.mirror:
            chosen = rl.rand(len(images)).numpy() < 0.5
            images = np.where(chosen[:, None, None, None], images[:, :, ::-1], images)
        # (B, H, W, 3) -> (B, 3, H, W); the spread of natural images is about a quarter of the range
        scaled = np.ascontiguousarray(images.transpose(0, 3, 1, 2), dtype=np.float32)
        scaled *= np.float32(4 / 255)
        scaled -= np.float32(2)
        return rl.from_numpy(scaled), rl.from_numpy(self.labels[indices])

    def _shifted(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        count, height, width, _ = images.shape
        room = ((0, 0), (self.shift, self.shift), (self.shift, self.shift), (0, 0))
        padded = np.pad(images, room, mode="reflect")
        down, right = rl.randint(0, 2 * self.shift + 1, (2, count)).numpy()
        rows = down[:, None] + np.arange(height)  # (B, H)
        columns = right[:, None] + np.arange(width)  # (B, W)
        which = np.arange(count)[:, None, None]
        moved: npt.NDArray[np.uint8] = padded[which, rows[:, :, None], columns[:, None, :]]
        return moved


def _shapes(options: argparse.Namespace) -> Task:
    train = shapes.make(options.train_size or 6000, (options.seed, 0))
    validation = shapes.make(options.validation_size or 1000, (options.seed, 1))
    return Task(
        name="shapes",
        classes=shapes.CLASSES,
        train=ImageBatches(*train, mirror=True),
        validation=ImageBatches(*validation),
        widths=(16, 32, 64, 64),
        dropout=0.0,
        epochs=5,
        batch_size=64,
        lr=0.1,
    )


def _read_cifar10(
    root: Path, train: bool, download: bool, limit: int | None
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64], tuple[str, ...]]:
    from rushlight.vision.datasets import CIFAR10

    try:
        data = CIFAR10(str(root), train=train, download=download)
    except (RuntimeError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataMissing(say("data_missing", root=root, reason=reason)) from error
    return data.data[:limit], np.asarray(data.targets[:limit], np.int64), tuple(data.classes)


def _cifar10(options: argparse.Namespace) -> Task:
    if options.root is None:
        raise DataMissing(say("root_missing"))
    root = Path(options.root)
    images, labels, classes = _read_cifar10(root, True, options.download, options.train_size)
    held_images, held_labels, _ = _read_cifar10(root, False, False, options.validation_size)
    return Task(
        name="CIFAR-10",
        classes=classes,
        train=ImageBatches(images, labels, mirror=True, shift=3),
        validation=ImageBatches(held_images, held_labels),
        widths=(32, 64, 128),
        dropout=0.1,
        epochs=5,
        batch_size=64,
        lr=0.1,
    )


def load(options: argparse.Namespace) -> Task:
    """The task that the options name.

    Raises:
        DataMissing: the data set is not in `--root` and `--download` was not given.
    """
    return {"shapes": _shapes, "cifar10": _cifar10}[options.data](options)
