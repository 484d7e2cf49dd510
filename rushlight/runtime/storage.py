"""Storage: a block of memory on one device, shared by a tensor and all its views.

On the CPU the memory is a NumPy byte array, 64-byte aligned where rushlight allocates it.  A
kernel's fresh result is adopted as it is, without a copy.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.devices import CPU, device

__all__ = ["Storage", "aligned_bytes"]

_ALIGNMENT = 64


def aligned_bytes(nbytes: int) -> Any:
    """An uninitialised byte array that starts at a multiple of 64."""
    raw = np.empty(nbytes + _ALIGNMENT, np.uint8)
    start = -raw.__array_interface__["data"][0] % _ALIGNMENT
    return raw[start : start + nbytes]


class Storage:
    """Memory on one device.

    Args:
        nbytes: its size in bytes.
        device: where it lies; ``meta`` storages have a size but no memory.
        memory: existing bytes to use instead of new ones.

    Attributes:
        exported: true once NumPy may hold an array over this memory.
    """

    __slots__ = ("__weakref__", "_bytes", "device", "exported", "nbytes", "owner", "shared")

    def __init__(self, nbytes: int, device: device = CPU, memory: Any = None) -> None:
        self.nbytes = nbytes
        self.device = device
        self._bytes = memory
        self.owner: Any = None
        self.exported = False
        self.shared = False
        if memory is None and device is CPU:
            self._bytes = aligned_bytes(nbytes)

    @classmethod
    def adopt(cls, array: Any) -> Storage:
        """A storage over a C-contiguous array that nobody else holds."""
        self = cls.__new__(cls)
        self.nbytes = array.nbytes
        self.device = CPU
        self._bytes = None
        self.owner = array
        self.exported = False
        self.shared = False
        return self

    @property
    def bytes(self) -> Any:
        """The memory as a 1-d uint8 array; None on the meta device."""
        if self._bytes is None and self.owner is not None:
            self._bytes = self.owner.reshape(-1).view(np.uint8)
        return self._bytes

    def data_ptr(self) -> int:
        """The address of the first byte; 0 where there is no memory."""
        memory = self.bytes
        return 0 if memory is None else int(memory.__array_interface__["data"][0])

    def resize(self, nbytes: int) -> None:
        """Grows or shrinks the memory; what fits is kept."""
        if self.device is CPU:
            old, self._bytes, self.owner = self.bytes, aligned_bytes(nbytes), None
            keep = min(nbytes, self.nbytes)
            self._bytes[:keep] = old[:keep]
        self.nbytes = nbytes
