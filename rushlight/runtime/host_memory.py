"""A storage's memory as seen from files: read it, fill it, or lay a storage over existing memory.

In: storages. Out: memoryviews of their bytes on the host. Files and transfers go through here, so
that only the runtime touches a storage's array.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.runtime.storage import Storage

__all__ = ["exact", "over", "readable", "swap_bytes", "writable"]


def readable(storage: Storage) -> memoryview:
    """The bytes of a storage, for reading.

    Raises:
        NotImplementedError: the storage is on the meta device and has no bytes.
    """
    memory = storage.bytes
    if memory is None:
        raise NotImplementedError(f"a storage on device {storage.device} has no data to read")
    return memoryview(memory).cast("B")


def writable(storage: Storage) -> memoryview:
    """The bytes of a storage, for filling them."""
    memory = storage.bytes
    if memory is None:
        raise NotImplementedError(f"a storage on device {storage.device} has no data to write")
    return memoryview(memory).cast("B")


def exact(data: Any) -> Storage:
    """A new storage that holds a copy of some bytes."""
    storage = Storage(len(data))
    if len(data):
        writable(storage)[:] = data
    return storage


def over(buffer: Any, offset: int, nbytes: int) -> Storage:
    """A storage that is a stretch of existing memory, such as a mapped file."""
    memory = np.frombuffer(buffer, np.uint8, nbytes, offset) if nbytes else np.empty(0, np.uint8)
    return Storage(nbytes, memory=memory)


def swap_bytes(storage: Storage, width: int) -> None:
    """Reverses the bytes of every element of `width` bytes, in place."""
    if width > 1:
        whole = storage.bytes[: storage.length // width * width].reshape(-1, width)
        whole[:] = whole[:, ::-1].copy()
