"""The file format of torch.save before PyTorch 1.6, read only.

In: a stream of pickles (a magic number, the version, the system, the object, the storages' keys)
followed by each storage: its element count as a 64-bit integer, then its bytes. Out: the object.
"""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Callable
from typing import Any, BinaryIO

from rushlight._tensor.pickling import TypedStorage
from rushlight.errors import DamagedPickleError, FileFormatError, with_note
from rushlight.runtime import host_memory
from rushlight.runtime.storage import Storage

from .persistent_ids import storage_key, text

__all__ = ["load_legacy"]

_MAGIC = 0x1950A86A20F9469CFC6C
_VERSION = 1001


def load_legacy(
    file: BinaryIO,
    header: Callable[[BinaryIO], Any],
    unpickle: Callable[[BinaryIO, Callable[[Any], Any]], Any],
    restore: Callable[[Any, str], Any],
) -> Any:
    """Reads one object.

    Args:
        file: a seekable binary stream, left behind the object.
        header: reads a pickle of plain data.
        unpickle: reads the object's pickle, given what answers persistent ids.
        restore: places a storage by its location tag.

    Raises:
        FileFormatError: the file is damaged or is something else.
    """
    if _looks_like_tar(file):
        raise FileFormatError("the tar format of PyTorch before 0.2 is not read by rushlight")
    if header(file) != _MAGIC:
        raise with_note(
            DamagedPickleError("Invalid magic number; corrupt file?"),
            "this is not a file that torch.save has written",
        )
    version = header(file)
    if version != _VERSION:
        raise FileFormatError(f"Invalid protocol version: {version}")
    header(file)  # the system that wrote it; storages are little-endian on every one
    storages = _Storages(_left(file), restore)
    result = unpickle(file, storages.persistent)
    keys = header(file)
    if type(keys) is not list or set(map(repr, keys)) != set(map(repr, storages.roots)):
        raise FileFormatError("the file's list of storages does not match its tensors")
    for key in keys:
        storages.fill(key, file)
    return result


def _left(file: BinaryIO) -> int:
    here = file.tell()
    size = file.seek(0, os.SEEK_END) - here
    file.seek(here)
    return size


def _looks_like_tar(file: BinaryIO) -> bool:
    here = file.tell()
    block = file.read(512)
    file.seek(here)
    return block[257:262] == b"ustar"


class _Storages:
    """Storages that the pickle mentions, made empty and filled when their bytes come."""

    def __init__(self, available: int, restore: Callable[[Any, str], Any]) -> None:
        self.roots: dict[Any, tuple[Storage, int, int]] = {}  # storage, element size, elements
        self._views: dict[Any, Storage] = {}
        self._available = available
        self._restore = restore

    def persistent(self, key: Any) -> Any:
        if type(key) is tuple and len(key) == 4 and text(key[0]) == "module":
            return key[1]  # a class with its source code; the source is not compared
        kind, name, location, count, view = storage_key(key, 5)
        width = kind.dtype.itemsize if kind.dtype is not None else 1
        if name not in self.roots:
            self._available -= count * width
            if self._available < 0:
                raise FileFormatError(f"unexpected EOF: storage {name} does not fit in the file")
            placed = self._restore(Storage(count * width), location)
            self.roots[name] = (placed, width, count)
        storage = self.roots[name][0]
        if view is not None:
            storage = self._view(storage, view, width)
        return TypedStorage(storage, kind.dtype)

    def _view(self, root: Storage, view: Any, width: int) -> Storage:
        if type(view) is not tuple or len(view) != 3 or not all(type(n) is int for n in view[1:]):
            raise DamagedPickleError("a storage's view is not complete")
        name, offset, count = view
        if offset < 0 or count < 0 or (offset + count) * width > root.length:
            raise FileFormatError("a storage's view reaches outside the storage")
        if name not in self._views:
            memory = host_memory.writable(root)
            self._views[name] = host_memory.over(memory, offset * width, count * width)
        return self._views[name]

    def fill(self, key: Any, file: BinaryIO) -> None:
        storage, width, count = self.roots[key]
        head = file.read(8)
        if len(head) != 8:
            raise FileFormatError("unexpected EOF. The file might be corrupted.")
        (stated,) = struct.unpack("<q", head)
        if stated != count:
            raise FileFormatError(
                f"storage has wrong byte size: expected {count * width} got {stated * width}"
            )
        if storage.device.type == "meta":
            file.seek(count * width, os.SEEK_CUR)
            return
        target, position = host_memory.writable(storage), 0
        while position < len(target):
            data = file.read(min(len(target) - position, 1 << 24))
            if not data:
                missing = len(target) - position
                raise FileFormatError(
                    f"unexpected EOF, expected {missing} more bytes. The file might be corrupted."
                )
            target[position : position + len(data)] = data
            position += len(data)
        if sys.byteorder == "big":
            host_memory.swap_bytes(storage, width)
