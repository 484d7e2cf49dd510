"""Storage: a block of memory on one device, shared by a tensor and all its views.

On the CPU the memory is a NumPy byte array, 64-byte aligned where rushlight allocates it.  A
kernel's fresh result is adopted as it is, without a copy.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.devices import CPU, device
from rushlight.runtime.memory import keep_freed_memory

__all__ = ["Storage", "aligned_bytes"]

_ALIGNMENT = 64
# Set by the dispatcher: what makes a pending storage's memory be there, and what hears of memory
# that moves, before and after.
force: list[Any] = []
moves: list[Any] = []

keep_freed_memory()


def aligned_bytes(nbytes: int) -> Any:
    """An uninitialised byte array that starts at a multiple of 64."""
    raw = np.empty(nbytes + _ALIGNMENT, np.uint8)
    start = -raw.__array_interface__["data"][0] % _ALIGNMENT
    return raw[start : start + nbytes]


def demand(storage: Storage) -> None:
    """Somebody needs the memory of a storage that is still pending."""
    for function in force:
        function(storage)
    if storage._bytes is None and storage.owner is None:
        raise RuntimeError("a pending value has no memory")


class Storage:
    """Memory on one device.

    Args:
        nbytes: its size in bytes.
        device: where it lies; ``meta`` storages have a size but no memory.
        memory: existing bytes to use instead of new ones.

    Attributes:
        length: its size in bytes.
        deferred: whether a program makes its contents, perhaps later.
        exported: by how many others than tensors, such as NumPy, this memory may be seen.
        note: what the recorder knows of it.
        foreign: whether the memory was given, so that it cannot be replaced by a larger block.
    """

    __slots__ = (
        "__weakref__",
        "_bytes",
        "deferred",
        "device",
        "exported",
        "foreign",
        "length",
        "note",
        "owner",
        "shared",
    )

    def __init__(self, nbytes: int, device: device = CPU, memory: Any = None) -> None:
        self.length = nbytes
        self.device = device
        self._bytes = memory
        self.owner: Any = None
        self.exported = 0
        self.shared = False
        self.note: Any = None
        self.foreign = memory is not None
        self.deferred = False
        if memory is None and device is CPU:
            self._bytes = aligned_bytes(nbytes)

    @classmethod
    def adopt(cls, array: Any) -> Storage:
        """A storage over a C-contiguous array that nobody else holds."""
        self = cls.__new__(cls)
        self.length = array.nbytes
        self.device = CPU
        self._bytes = None
        self.owner = array
        self.exported = 0
        self.shared = False
        self.note = None
        self.foreign = self.deferred = False
        return self

    @property
    def bytes(self) -> Any:
        """The memory as a 1-d uint8 array; None on the meta device."""
        if self._bytes is None:
            if self.owner is None and self.device is CPU:
                demand(self)
            if self.owner is not None:
                self._bytes = self.owner.reshape(-1).view(np.uint8)
        return self._bytes

    def data_ptr(self) -> int:
        """The address of the first byte; 0 where there is no memory."""
        memory = self.bytes
        return 0 if memory is None else int(memory.__array_interface__["data"][0])

    def resize(self, nbytes: int) -> None:
        """Grows or shrinks the memory; what fits is kept.

        Raises:
            RuntimeError: the memory belongs to somebody else, such as a NumPy array.
        """
        if self.foreign:
            raise RuntimeError("Trying to resize storage that is not resizable")
        for function in moves:
            function(self)
        if self.device is CPU:
            old, self._bytes, self.owner = self.bytes, aligned_bytes(nbytes), None
            keep = min(nbytes, self.length)
            self._bytes[:keep] = old[:keep]
        self.length = nbytes
        for function in moves:
            function(self)

    @classmethod
    def without_memory(cls, nbytes: int) -> Storage:
        """A storage whose contents a program makes when it runs; until then it has no memory."""
        self = cls.__new__(cls)
        self.length = nbytes
        self.device = CPU
        self._bytes = self.owner = self.note = None
        self.exported = 0
        self.shared = self.foreign = False
        self.deferred = True
        return self

    def allocate(self) -> Any:
        """Memory for a storage that has none; returns it."""
        self._bytes = aligned_bytes(self.length)
        return self._bytes

    # What users of PyTorch do with an UntypedStorage.

    def nbytes(self) -> int:
        """The size in bytes."""
        return self.length

    def size(self) -> int:
        """The size in bytes."""
        return self.length

    def __len__(self) -> int:
        return self.length

    def element_size(self) -> int:
        """Bytes of one element: 1."""
        return 1

    def __getitem__(self, index: Any) -> Any:
        """One byte as an int, or a range of them as a list."""
        found = self.bytes[index]
        return found.tolist() if isinstance(index, slice) else int(found)

    def __setitem__(self, index: Any, value: Any) -> None:
        self.bytes[index] = value

    def tolist(self) -> list[int]:
        """All bytes as a list of ints."""
        return list(self.bytes.tolist())

    def resize_(self, size: int) -> Storage:
        """Grows or shrinks the memory in place; what fits is kept."""
        self.resize(size)
        return self

    def resizable(self) -> bool:
        """Whether the memory may be replaced by a larger block; not where it was given."""
        return not self.foreign

    def clone(self) -> Storage:
        """A copy with memory of its own."""
        return Storage(self.length, self.device).copy_(self)

    def copy_(self, source: Storage, non_blocking: bool = False) -> Storage:
        """Overwrites the memory with another storage's of the same size."""
        if self.length != source.length:
            raise RuntimeError(f"size mismatch: {self.length} and {source.length} bytes")
        if self.device is CPU:
            self.bytes[:] = source.bytes
        return self

    def is_shared(self) -> bool:
        """Whether ``share_memory_`` was called."""
        return self.shared

    def share_memory_(self) -> Storage:
        """Marks the memory as shared with the worker processes that inherit it."""
        self.shared = True
        return self
