"""Memory at an address, as a NumPy array."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = ["memory_at", "word_at"]


class _At:
    """Bytes at an address, for NumPy."""

    def __init__(self, address: int, shape: Any, strides: Any, itemsize: int, owner: Any) -> None:
        self.owner = owner
        self.__array_interface__ = {
            "version": 3,
            "data": (address, False),
            "typestr": "|u1",
            "shape": (*shape, itemsize),
            "strides": (*[s * itemsize for s in strides], 1),
        }


def memory_at(
    address: int, shape: Sequence[int], dtype: Any, strides: Sequence[int], owner: Any
) -> Any:
    """The elements that strides (in elements) name in the memory from an address on.

    Args:
        owner: what keeps the memory alive; the array keeps it.
    """
    if 0 in shape:
        return np.empty(shape, dtype)
    return np.asarray(_At(address, shape, strides, dtype.itemsize, owner)).view(dtype)[..., 0]


def word_at(address: int) -> int:
    """The 64-bit word at an address."""
    return ctypes.c_int64.from_address(address).value
