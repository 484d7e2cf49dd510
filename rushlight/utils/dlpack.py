"""Exchange of memory with other libraries: `torch.utils.dlpack`.

In: a tensor, or another library's array.  Out: a capsule over its memory, or a tensor.
"""

from __future__ import annotations

from typing import Any

import rushlight as rl

__all__ = ["from_dlpack", "to_dlpack"]


def to_dlpack(tensor: Any) -> Any:
    """A DLPack capsule over the tensor's memory.

    Example:
        >>> import rushlight as torch
        >>> torch.utils.dlpack.from_dlpack(torch.utils.dlpack.to_dlpack(torch.ones(2)))
        tensor([1., 1.])
    """
    return tensor.__dlpack__()


class _Capsule:
    """What NumPy wants to see: an object that hands out the capsule."""

    def __init__(self, capsule: Any) -> None:
        self.capsule = capsule

    def __dlpack__(self, **options: Any) -> Any:
        return self.capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)


def from_dlpack(ext_tensor: Any, *, device: Any = None, copy: bool | None = None) -> Any:
    """A tensor over the memory of a capsule or of another library's array."""
    if not hasattr(ext_tensor, "__dlpack__"):
        ext_tensor = _Capsule(ext_tensor)
    return rl.from_dlpack(ext_tensor, device=device, copy=copy)
