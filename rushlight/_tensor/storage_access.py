"""From storages to tensors: a view of given geometry over memory that already exists.

In: a Storage, a dtype, sizes, strides and an offset in elements, all checked against the storage's
size. Out: a tensor that shares the memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rushlight.dispatch.tensor import Tensor, new
from rushlight.dtypes import dtype
from rushlight.errors import FileFormatError
from rushlight.ir.meta import Size, meta
from rushlight.runtime.storage import Storage

__all__ = ["from_storage"]


def from_storage(
    storage: Storage,
    dtype: dtype,
    size: Sequence[int],
    stride: Sequence[int],
    offset: int = 0,
    *,
    conj: bool = False,
    neg: bool = False,
) -> Any:
    """A tensor over a storage.

    Args:
        storage: the memory.
        dtype: the elements' type.
        size: the shape.
        stride: elements to step over, one number a dimension.
        offset: the first element, in elements.
        conj: whether the values are the conjugates of what the memory holds.
        neg: whether the values are the negatives of what the memory holds.

    Raises:
        FileFormatError: the geometry is no geometry, or reaches outside the storage.
    """
    geometry = (*size, *stride, offset)
    if not all(type(n) is int and 0 <= n < 1 << 62 for n in geometry) or len(size) != len(stride):
        raise FileFormatError(
            "a tensor's sizes, strides and storage offset must be integers from zero, as many "
            "strides as sizes"
        )
    if 0 not in size:
        last = sum((n - 1) * s for n, s in zip(size, stride, strict=True))
        needed = (offset + last + 1) * dtype.itemsize
        if needed > storage.length:
            raise FileFormatError(
                f"setStorage: sizes {list(size)}, strides {list(stride)}, storage offset {offset}, "
                f"and itemsize {dtype.itemsize} requiring a storage size of {needed} are out of "
                f"bounds for storage of size {storage.length}"
            )
    view = meta(Size(size), dtype, tuple(stride), storage.device, conj, neg)
    return new(Tensor, storage, view, offset)
