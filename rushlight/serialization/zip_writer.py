"""Writes the zip archives of torch.save, byte for byte as PyTorch 2.13 lays them out.

In: named records. Out: an uncompressed archive whose records start at multiples of 64 bytes (the
local header's extra field is the padding), each followed by its CRC-32 and size.

Source: PKWARE's APPNOTE.TXT for the structures; the layout was read off files that PyTorch wrote.
"""

from __future__ import annotations

import struct
import zlib
from typing import Any, BinaryIO

from .record_hash import identity

__all__ = ["ALIGNMENT", "ZipWriter"]

ALIGNMENT = 64
_LIMIT32 = 0xFFFFFFFF
_UTF8, _DESCRIPTOR = 0x0800, 0x0008


class ZipWriter:
    """An archive in the making.

    Args:
        file: anything with ``write``; the archive starts at its present position.
        name: the folder inside the archive, under which all records lie.
        limit32: sizes and offsets from here on take 64-bit fields; lowered by tests alone.

    Example:
        >>> import io, zipfile
        >>> file = io.BytesIO()
        >>> archive = ZipWriter(file, "archive")
        >>> archive.add("version", b"3")
        >>> archive.finish()
        >>> zipfile.ZipFile(file).namelist()[0]
        'archive/version'
    """

    def __init__(self, file: BinaryIO, name: str, limit32: int = _LIMIT32) -> None:
        self._file = file
        self._name = name
        self._limit = limit32
        self._position = 0
        self._directory: list[bytes] = []
        self._names: list[str] = []
        self._checksums: list[int] = []

    def _write(self, data: Any) -> None:
        self._file.write(data)
        self._position += len(data)

    def add(self, record: str, data: Any) -> None:
        """Appends one record; `data` is bytes or a flat memoryview of bytes."""
        name = f"{self._name}/{record}".encode()
        header, size = self._position, len(data)
        wide = self._wide_fields(size, header)
        large = min(size, _LIMIT32) if size < self._limit else _LIMIT32
        flags = _UTF8 | (_DESCRIPTOR if size else 0)
        extra = wide + self._padding(header + 30 + len(name) + len(wide) + 4)
        # With a descriptor the local header leaves CRC and sizes zero.
        self._write(
            struct.pack(
                "<4s5H3I2H",
                b"PK\x03\x04",
                *(0, flags, 0, 0, 0),
                *(0, 0, 0),
                *(len(name), len(extra)),
            )
            + name
            + extra
        )
        crc = zlib.crc32(data)
        if size:
            self._write(data)
            form = "<4sIQQ" if wide else "<4sIII"
            self._write(struct.pack(form, b"PK\x07\x08", crc, size, size))
        self._directory.append(
            struct.pack(
                "<4s6H3I5H2I",
                b"PK\x01\x02",
                *(0, 0, flags, 0, 0, 0),
                *(crc, large, large),
                *(len(name), len(wide), 0, 0, 0),
                *(0, header if header < self._limit else _LIMIT32),
            )
            + name
            + wide
        )
        self._names.append(record)
        if size:  # PyTorch leaves empty records out here
            self._checksums.append(crc)

    def _wide_fields(self, size: int, header: int) -> bytes:
        """The ZIP64 extra field, empty for what 32 bits can say."""
        numbers = [size, size] if size >= self._limit else []
        if header >= self._limit:
            numbers.append(header)
        if not numbers:
            return b""
        return struct.pack(f"<2H{len(numbers)}Q", 1, 8 * len(numbers), *numbers)

    def _padding(self, start: int) -> bytes:
        gap = -start % ALIGNMENT
        return b"FB" + struct.pack("<H", gap) + b"Z" * gap

    def finish(self) -> None:
        """Writes the closing records and the central directory."""
        self.add("version", b"3\n")
        digits = identity(self._names, self._checksums)
        self.add(".data/serialization_id", digits.encode())
        start, count = self._position, len(self._directory)
        directory = b"".join(self._directory)
        self._write(directory)
        end, size = self._position, len(directory)
        self._write(
            struct.pack(
                "<4sQ2H2I4Q", b"PK\x06\x06", 44, 0x031E, 45, 0, 0, count, count, size, start
            )
        )
        self._write(struct.pack("<4sIQI", b"PK\x06\x07", 0, end, 1))
        small = min(count, 0xFFFF)
        offset = start if start < self._limit else _LIMIT32
        self._write(
            struct.pack(
                "<4s4H2IH",
                b"PK\x05\x06",
                *(0, 0, small, small),
                *(min(size, _LIMIT32), offset, 0),
            )
        )
