"""Memory formats and layouts: ``torch.channels_last``, ``torch.strided`` and their kin."""

from __future__ import annotations

from typing import Any

from rushlight.ir.strides import channels_last_strides, contiguous_strides

__all__ = ["FORMATS", "STRIDED", "layout", "memory_format"]


class memory_format:
    """How dimensions lie in memory, for example ``torch.channels_last``."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def strides(self, shape: Any) -> tuple[int, ...]:
        """The strides of a tensor of this shape in this format."""
        if self.name == "channels_last":
            if len(shape) != 4:
                raise RuntimeError("required rank 4 tensor to use channels_last format")
            return channels_last_strides(shape)
        if self.name == "channels_last_3d":
            if len(shape) != 5:
                raise RuntimeError("required rank 5 tensor to use channels_last_3d format")
            return channels_last_strides(shape)
        return contiguous_strides(shape)

    def __repr__(self) -> str:
        return f"torch.{self.name}"

    def __reduce__(self) -> Any:
        return (_format, (self.name,))


class layout:
    """How elements are stored; rushlight's tensors are all ``torch.strided``."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"torch.{self.name}"

    def __reduce__(self) -> Any:
        return (_layout, (self.name,))


FORMATS = {
    name: memory_format(name)
    for name in ("contiguous_format", "preserve_format", "channels_last", "channels_last_3d")
}
STRIDED = layout("strided")


def _format(name: str) -> memory_format:
    return FORMATS[name]


def _layout(name: str) -> layout:
    return STRIDED
