"""Numeric arrays of MATLAB's file format, level 5 (what `save` writes by default up to -v7).

In: a .mat file.  Out: its numeric arrays by name; text, structures and cells are left out.
Source: MathWorks, "MAT-File Format", the chapter on level 5.  Nothing but sizes and numbers is
read, and every size is compared with the bytes that are there.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from rushlight.errors import FileFormatError
from rushlight.vision.datasets._archive import size_limit

__all__ = ["read_arrays"]

# Data types of stored numbers, and classes of arrays, in NumPy's terms.
STORED = {
    1: "i1",
    2: "u1",
    3: "i2",
    4: "u2",
    5: "i4",
    6: "u4",
    7: "f4",
    9: "f8",
    12: "i8",
    13: "u8",
}
CLASSES = {6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8"}
CLASSES[15] = "u8"
MATRIX, COMPRESSED = 14, 15
COMPLEX = 0x800  # a flag of the array's class word


class _Damaged(Exception):
    """The file does not follow the format."""


def read_arrays(path: str | Path) -> dict[str, np.ndarray[Any, Any]]:
    """Name -> array, for the real numeric arrays of a level 5 file.

    Raises:
        FileFormatError: the file is not of that level, is damaged, or unpacks to too much.
    """
    with open(path, "rb") as file:
        content = file.read()
    order = {b"IM": "<", b"MI": ">"}.get(content[126:128])
    if len(content) < 128 or order is None or content[:4] == b"\0\0\0\0":
        raise FileFormatError(f"'{path}' is not a MATLAB file of level 5")
    arrays = {}
    limit = size_limit(path)
    try:
        for kind, data in _elements(memoryview(content)[128:], order):
            if kind == COMPRESSED:
                unpacker = zlib.decompressobj()
                unpacked = unpacker.decompress(data, limit + 1)
                if len(unpacked) > limit:
                    raise FileFormatError(f"'{path}' unpacks to more than {limit} bytes: refused")
                if not unpacker.eof:
                    raise _Damaged("a compressed part ends early")
                limit -= len(unpacked)
                kind, data = next(_elements(memoryview(unpacked), order))
            found = _array(data, order) if kind == MATRIX else None
            if found is not None:
                arrays[found[0]] = found[1]
    except (_Damaged, zlib.error, struct.error, StopIteration, ValueError) as error:
        raise FileFormatError(f"'{path}' is truncated or corrupt: {error}") from error
    return arrays


def _elements(data: memoryview, order: str) -> Iterator[tuple[int, memoryview]]:
    """(type, bytes) of each element; up to four bytes lie within an element's own head."""
    position = 0
    while position < len(data):
        kind, size = struct.unpack_from(order + "II", data, position)
        start, step = position + 8, size + (-size % 8 if kind != COMPRESSED else 0)
        if kind >> 16:
            kind, size = kind & 0xFFFF, kind >> 16
            start, step = position + 4, 4
        if start + size > len(data) or (start == position + 4 and size > 4):
            raise _Damaged(f"an element of {size} bytes does not fit")
        yield kind, data[start : start + size]
        position = start + step


def _array(data: memoryview, order: str) -> tuple[str, np.ndarray[Any, Any]] | None:
    """Name and values of a matrix element, None if it is not one of real numbers."""
    parts = list(_elements(data, order))
    if len(parts) < 3:
        raise _Damaged("an array lacks its head")
    (word,) = struct.unpack_from(order + "I", parts[0][1])
    dtype = CLASSES.get(word & 0xFF)
    if dtype is None or word & COMPLEX:
        return None
    shape = tuple(int(size) for size in np.frombuffer(parts[1][1], order + "i4"))
    if len(parts) < 4 or parts[3][0] not in STORED or min(shape, default=-1) < 0:
        raise _Damaged("an array lacks its numbers")
    values = np.frombuffer(parts[3][1], order + STORED[parts[3][0]])
    if len(values) != prod(shape):
        raise _Damaged(f"an array of shape {shape} has {len(values)} numbers")
    name = bytes(parts[2][1]).decode("latin-1")
    return name, values.astype(dtype).reshape(shape, order="F")
