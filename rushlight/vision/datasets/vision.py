"""The base of the image data sets: a root folder, transforms, and a `repr` that shows them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rushlight.utils.data import Dataset

__all__ = ["StandardTransform", "VisionDataset"]


def _described(head: str, transform: Any) -> list[str]:
    """The lines of a transform's repr behind `head`, the later ones indented to match."""
    first, *rest = repr(transform).splitlines()
    return [head + first] + [" " * len(head) + line for line in rest]


class VisionDataset(Dataset[Any]):
    """Base class of image data sets; a subclass writes `__getitem__` and `__len__`.

    Args:
        root: folder of the data set; `~` stands for the home folder.
        transforms: function of (image, target) that returns both.
        transform: function of the image; excludes `transforms`.
        target_transform: function of the target; excludes `transforms`.

    Example:
        >>> class Squares(VisionDataset):
        ...     def __getitem__(self, index): return index, index ** 2
        ...     def __len__(self): return 5
        >>> Squares("data")
        Dataset Squares
            Number of datapoints: 5
            Root location: data
    """

    _repr_indent = 4

    def __init__(
        self,
        root: str | Path | None = None,
        transforms: Callable[..., Any] | None = None,
        transform: Callable[..., Any] | None = None,
        target_transform: Callable[..., Any] | None = None,
    ) -> None:
        self.root: Any = os.path.expanduser(root) if isinstance(root, str) else root
        separate = transform is not None or target_transform is not None
        if transforms is not None and separate:
            raise ValueError(
                "Only transforms or transform/target_transform can be passed as argument"
            )
        self.transform = transform
        self.target_transform = target_transform
        self.transforms = StandardTransform(transform, target_transform) if separate else transforms

    def __getitem__(self, index: int) -> Any:
        """The sample at `index`, transformed."""
        raise NotImplementedError

    def __len__(self) -> int:
        raise NotImplementedError

    def __repr__(self) -> str:
        body = [f"Number of datapoints: {len(self)}"]
        if self.root is not None:
            body.append(f"Root location: {self.root}")
        body += self.extra_repr().splitlines()
        if getattr(self, "transforms", None) is not None:
            body.append(repr(self.transforms))
        indent = " " * self._repr_indent
        return "\n".join([f"Dataset {type(self).__name__}", *(indent + line for line in body)])

    def _format_transform_repr(self, transform: Callable[..., Any], head: str) -> list[str]:
        return _described(head, transform)

    def extra_repr(self) -> str:
        """Further lines for `repr`, such as the split."""
        return ""


class StandardTransform:
    """Applies one function to the image and another to the target; either may be None."""

    def __init__(
        self,
        transform: Callable[..., Any] | None = None,
        target_transform: Callable[..., Any] | None = None,
    ) -> None:
        self.transform = transform
        self.target_transform = target_transform

    def __call__(self, input: Any, target: Any) -> tuple[Any, Any]:
        if self.transform is not None:
            input = self.transform(input)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return input, target

    def _format_transform_repr(self, transform: Callable[..., Any], head: str) -> list[str]:
        return _described(head, transform)

    def __repr__(self) -> str:
        lines = [type(self).__name__]
        if self.transform is not None:
            lines += _described("Transform: ", self.transform)
        if self.target_transform is not None:
            lines += _described("Target transform: ", self.target_transform)
        return "\n".join(lines)
