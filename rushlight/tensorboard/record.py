"""TFRecord framing: whole records with masked CRC-32C checksums.

In: byte strings (encoded events). Out: the framed bytes of an event file, and back again.
One record is: length (uint64), masked CRC of the length (uint32), the data, masked CRC of the
data (uint32), all little-endian. Source: TensorFlow's record format; CRC-32C (Castagnoli) as in
RFC 3720, appendix B.4.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import cache, lru_cache
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from rushlight.errors import FileFormatError

__all__ = ["RecordWriter", "crc32c", "frame", "masked_crc32c", "read_records"]

_POLYNOMIAL = 0x82F63B78  # Castagnoli, bits reversed
_MASK_DELTA = 0xA282EAD8
_LANE = 64  # bytes that one vector lane takes
_VECTOR_FROM = 2048  # bytes; below this the byte-at-a-time loop wins (measured)
_LENGTH = struct.Struct("<Q")
_CRC = struct.Struct("<I")
_HEADER = struct.Struct("<QI")

_Words = npt.NDArray[np.uint32]


def _byte_table() -> list[int]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (_POLYNOMIAL if value & 1 else 0)
        table.append(value)
    return table


_TABLE = _byte_table()


def crc32c(data: bytes) -> int:
    """CRC-32C of ``data``, an int in [0, 2**32).

    Example:
        >>> hex(crc32c(b"123456789"))
        '0xe3069283'
    """
    if len(data) >= _VECTOR_FROM:
        return _crc32c_lanes(data)
    crc, table = 0xFFFFFFFF, _TABLE
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def masked_crc32c(data: bytes) -> int:
    """The CRC as records store it: rotated and offset, so that a CRC of CRCs stays useful."""
    crc = crc32c(data)
    return (((crc >> 15) | (crc << 17)) + _MASK_DELTA) & 0xFFFFFFFF


def _crc32c_lanes(data: bytes) -> int:
    """The CRC of a long message: all 64-byte lanes at once, then joined in pairs.

    A CRC that starts from zero is linear and blind to leading zero bytes. So the message is
    padded in front, the usual start value is folded into its first four bytes, every lane is
    reduced on its own, and a left lane joins its right neighbour once it has been moved past it.
    """
    padding = -len(data) % _LANE
    buffer = np.zeros(padding + len(data), np.uint8)
    buffer[padding:] = np.frombuffer(data, np.uint8)
    buffer[padding : padding + 4] ^= 0xFF
    words = buffer.view("<u4").reshape(-1, _LANE // 4).T
    low, high = _word_tables()
    state: _Words = np.zeros(words.shape[1], np.uint32)
    for word in words:
        state ^= word
        state = low[state & 0xFFFF] ^ high[state >> 16]
    level = 0
    while len(state) > 1:
        if len(state) % 2:
            state = np.concatenate([np.zeros(1, np.uint32), state])
        state = _shift(state[0::2], _shift_tables(level)) ^ state[1::2]
        level += 1
    return int(state[0]) ^ 0xFFFFFFFF


@lru_cache(maxsize=1)
def _word_tables() -> tuple[_Words, _Words]:
    """Tables that move a state past four bytes, indexed by its low and its high 16 bits."""
    table = np.array(_TABLE, np.uint32)
    state = np.arange(1 << 16, dtype=np.uint32)

    def four_bytes(value: _Words) -> _Words:
        for _ in range(4):
            value = table[value & 0xFF] ^ (value >> np.uint32(8))
        return value

    return four_bytes(state), four_bytes(state << np.uint32(16))


@cache
def _shift_tables(level: int) -> tuple[_Words, _Words]:
    """Tables that move a state past ``_LANE * 2**level`` zero bytes."""
    tables = _word_tables() if level == 0 else _shift_tables(level - 1)
    low, high = tables
    for _ in range(_LANE // 4 - 1 if level == 0 else 1):
        step = _word_tables() if level == 0 else tables
        low, high = _shift(low, step), _shift(high, step)
    return low, high


def _shift(state: _Words, tables: tuple[_Words, _Words]) -> _Words:
    moved: _Words = tables[0][state & 0xFFFF] ^ tables[1][state >> np.uint32(16)]
    return moved


def frame(data: bytes) -> bytes:
    """One whole record around ``data``."""
    length = _LENGTH.pack(len(data))
    return b"".join(
        (length, _CRC.pack(masked_crc32c(length)), data, _CRC.pack(masked_crc32c(data)))
    )


class RecordWriter:
    """Writes records to an open binary file.

    Args:
        writer: an object with ``write(bytes)``, ``flush()`` and ``close()``.

    Example:
        >>> import io
        >>> file = io.BytesIO()
        >>> RecordWriter(file).write(b"one")
        >>> len(file.getvalue())
        19
    """

    def __init__(self, writer: BinaryIO) -> None:
        self._writer = writer

    def write(self, data: bytes) -> None:
        """Write one whole record."""
        self._writer.write(frame(data))

    def flush(self) -> None:
        """Flush the file."""
        self._writer.flush()

    def close(self) -> None:
        """Close the file."""
        self._writer.close()


def read_records(
    file: BinaryIO, name: str = "<file>", *, allow_truncated: bool = False
) -> Iterator[bytes]:
    """The data of every record of ``file``, each checked against its CRC.

    Args:
        file: an open, seekable binary file, at the start of a record.
        name: what errors call the file.
        allow_truncated: stop quietly at a last record that is cut short, as when another
            process is still writing; a record whose bytes are wrong is an error all the same.

    Raises:
        FileFormatError: a record is cut short, or a checksum does not match; the message names
            the file and the byte where the record starts.
    """
    start = file.tell()
    size = file.seek(0, 2)
    file.seek(start)
    while start < size:
        header = file.read(_HEADER.size)
        cut = len(header) < _HEADER.size
        if not cut:
            length, crc = _HEADER.unpack(header)
            if crc != masked_crc32c(header[:8]):
                raise FileFormatError(
                    f"{name}: corrupted record at byte {start}: the checksum of its length is wrong"
                )
            cut = length + 4 > size - start - _HEADER.size
        if cut:
            if allow_truncated:
                return
            raise FileFormatError(
                f"{name}: truncated record at byte {start}: the file ends in its middle"
            )
        data = file.read(length)
        tail = file.read(4)
        if len(tail) < 4 or _CRC.unpack(tail)[0] != masked_crc32c(data):
            raise FileFormatError(
                f"{name}: corrupted record at byte {start}: the checksum of its data is wrong"
            )
        yield data
        start += _HEADER.size + length + 4
