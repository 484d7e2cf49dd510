"""Data sets that are folders of files, one folder a class."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rushlight.vision._pil import load_image
from rushlight.vision.datasets.vision import VisionDataset

__all__ = [
    "IMG_EXTENSIONS",
    "DatasetFolder",
    "ImageFolder",
    "default_loader",
    "find_classes",
    "has_file_allowed_extension",
    "is_image_file",
    "make_dataset",
    "pil_loader",
]

IMG_EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")


def has_file_allowed_extension(filename: str, extensions: str | tuple[str, ...]) -> bool:
    """Whether the lower-cased name ends in one of `extensions` (given in lower case)."""
    return filename.lower().endswith(
        extensions if isinstance(extensions, str) else tuple(extensions)
    )


def is_image_file(filename: str) -> bool:
    """Whether the name has an image's suffix (`IMG_EXTENSIONS`).

    Example:
        >>> is_image_file("ant.JPG")
        True
    """
    return has_file_allowed_extension(filename, IMG_EXTENSIONS)


def find_classes(directory: str | Path) -> tuple[list[str], dict[str, int]]:
    """The sub-folders of `directory` in order of name, and the index of each.

    Raises:
        FileNotFoundError: there is none.
    """
    with os.scandir(directory) as entries:
        classes = sorted(entry.name for entry in entries if entry.is_dir())
    if not classes:
        raise FileNotFoundError(f"Couldn't find any class folder in {directory}.")
    return classes, {name: index for index, name in enumerate(classes)}


def _file_filter(
    extensions: str | tuple[str, ...] | None, is_valid_file: Callable[[str], bool] | None
) -> Callable[[str], bool]:
    if (extensions is None) == (is_valid_file is None):
        raise ValueError(
            "Both extensions and is_valid_file cannot be None or not None at the same time"
        )
    if is_valid_file is not None:
        return is_valid_file
    assert extensions is not None  # one of the two is given
    return lambda name: has_file_allowed_extension(name, extensions)


def make_dataset(
    directory: str | Path,
    class_to_idx: dict[str, int] | None = None,
    extensions: str | tuple[str, ...] | None = None,
    is_valid_file: Callable[[str], bool] | None = None,
    allow_empty: bool = False,
) -> list[tuple[str, int]]:
    """(path, class index) of every file below each class's folder, ordered by class and path.

    Args:
        directory: folder that holds the class folders; links to folders are followed.
        class_to_idx: class name -> index; by default all sub-folders, as `find_classes` has them.
        extensions: suffixes to accept; excludes `is_valid_file`.
        is_valid_file: function of a path that says whether to take the file.
        allow_empty: whether a class may have no file.

    Raises:
        ValueError: not exactly one of `extensions` and `is_valid_file`, or no class.
        FileNotFoundError: a class without files, unless `allow_empty`.
    """
    directory = os.path.expanduser(directory)
    if class_to_idx is None:
        _, class_to_idx = find_classes(directory)
    elif not class_to_idx:
        raise ValueError("'class_to_index' must have at least one entry to collect any samples.")
    accepts = _file_filter(extensions, is_valid_file)
    samples: list[tuple[str, int]] = []
    empty = set()
    for name, index in sorted(class_to_idx.items()):
        walk = sorted(os.walk(os.path.join(directory, name), followlinks=True))
        paths = [os.path.join(folder, file) for folder, _, files in walk for file in sorted(files)]
        found = [(path, index) for path in paths if accepts(path)]
        samples += found
        if not found:
            empty.add(name)
    if empty and not allow_empty:
        message = f"Found no valid file for the classes {', '.join(sorted(empty))}. "
        if extensions is not None:
            listed = extensions if isinstance(extensions, str) else ", ".join(extensions)
            message += f"Supported extensions are: {listed}"
        raise FileNotFoundError(message)
    return samples


class DatasetFolder(VisionDataset):
    """Files in class folders: `root/class_x/any/depth/file.ext`.

    Args:
        root: folder that holds one folder a class.
        loader: function of a path that returns the sample.
        extensions: suffixes to accept, in lower case; excludes `is_valid_file`.
        transform: function of the sample.
        target_transform: function of the class index.
        is_valid_file: function of a path that says whether to take the file.
        allow_empty: whether an empty folder is a class.

    Attributes:
        classes: class names in order; `class_to_idx`: name -> index; `samples`: (path, index)
        pairs; `targets`: the indices alone.
    """

    def __init__(
        self,
        root: str | Path,
        loader: Callable[[str], Any],
        extensions: tuple[str, ...] | None = None,
        transform: Callable[..., Any] | None = None,
        target_transform: Callable[..., Any] | None = None,
        is_valid_file: Callable[[str], bool] | None = None,
        allow_empty: bool = False,
    ) -> None:
        super().__init__(root, transform=transform, target_transform=target_transform)
        classes, class_to_idx = self.find_classes(self.root)
        self.samples = self.make_dataset(
            self.root,
            class_to_idx=class_to_idx,
            extensions=extensions,
            is_valid_file=is_valid_file,
            allow_empty=allow_empty,
        )
        self.loader = loader
        self.extensions = extensions
        self.classes = classes
        self.class_to_idx = class_to_idx
        self.targets = [index for _, index in self.samples]

    @staticmethod
    def make_dataset(
        directory: str | Path,
        class_to_idx: dict[str, int],
        extensions: tuple[str, ...] | None = None,
        is_valid_file: Callable[[str], bool] | None = None,
        allow_empty: bool = False,
    ) -> list[tuple[str, int]]:
        """As the function `make_dataset`; a subclass may find its samples otherwise."""
        if class_to_idx is None:  # else an overridden find_classes would silently not be used
            raise ValueError("The class_to_idx parameter cannot be None.")
        return make_dataset(directory, class_to_idx, extensions, is_valid_file, allow_empty)

    def find_classes(self, directory: str | Path) -> tuple[list[str], dict[str, int]]:
        """As the function `find_classes`; a subclass may choose its classes otherwise."""
        return find_classes(directory)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        """(sample, class index) at `index`, transformed."""
        path, target = self.samples[index]
        sample, label = self.loader(path), target
        if self.transform is not None:
            sample = self.transform(sample)
        if self.target_transform is not None:
            label = self.target_transform(label)
        return sample, label

    def __len__(self) -> int:
        return len(self.samples)


def pil_loader(path: str | Path) -> Any:
    """The image file at `path` as a PIL image in RGB.

    Raises:
        FileFormatError: the file is not an image that Pillow knows, or it is damaged.
    """
    with open(path, "rb") as file:
        return load_image(file, path)


def default_loader(path: str | Path) -> Any:
    """The loader of `ImageFolder`: `pil_loader`."""
    return pil_loader(path)


class ImageFolder(DatasetFolder):
    """Images in class folders: `root/dog/xxx.png`, `root/cat/yyy.jpg`.

    Args:
        root: folder that holds one folder a class.
        transform: function of the image (a PIL image with the default loader).
        target_transform: function of the class index.
        loader: function of a path that returns the image.
        is_valid_file: function of a path; by default the suffix decides (`IMG_EXTENSIONS`).
        allow_empty: whether an empty folder is a class.

    Attributes:
        classes, class_to_idx, samples, targets: as in `DatasetFolder`; `imgs` is `samples`.

    Example:
        >>> from PIL import Image
        >>> for name in ("ants", "bees"):
        ...     os.makedirs(f"insects/{name}", exist_ok=True)
        ...     Image.new("RGB", (4, 4)).save(f"insects/{name}/0.png")
        >>> ImageFolder("insects").class_to_idx
        {'ants': 0, 'bees': 1}
    """

    def __init__(
        self,
        root: str | Path,
        transform: Callable[..., Any] | None = None,
        target_transform: Callable[..., Any] | None = None,
        loader: Callable[[str], Any] = default_loader,
        is_valid_file: Callable[[str], bool] | None = None,
        allow_empty: bool = False,
    ) -> None:
        super().__init__(
            root,
            loader,
            IMG_EXTENSIONS if is_valid_file is None else None,
            transform=transform,
            target_transform=target_transform,
            is_valid_file=is_valid_file,
            allow_empty=allow_empty,
        )
        self.imgs = self.samples
