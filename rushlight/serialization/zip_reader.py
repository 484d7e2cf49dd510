"""Reads the zip archives of torch.save and believes nothing that it has not checked.

In: a seekable binary file. Out: records, whose CRC-32, sizes and places have been verified; they
may not overlap, leave the archive's folder, repeat a name, or unpack to absurd sizes.

Source: PKWARE's APPNOTE.TXT; first lines of errors are those of PyTorch's reader.
"""

from __future__ import annotations

import contextlib
import os
import struct
import zipfile
import zlib
from typing import Any, BinaryIO, NoReturn

from rushlight.errors import FileFormatError, with_note

__all__ = ["ZipReader", "damaged", "is_zip"]

_ADVICE = (
    ". This is an internal miniz error. If you are seeing this error, there is a high likelihood "
    "that your checkpoint file is corrupted. This can happen if the checkpoint was not saved "
    "properly, was transferred incorrectly, or the file was modified after saving."
)
_ENCRYPTED = 0x0001
_INFLATION = 1032  # deflate cannot shrink anything further than this
_INFLATED_LIMIT = 64  # times the archive's size, for all records together
_CHUNK = 1 << 20


def damaged(text: str, *notes: str) -> NoReturn:
    """Raises for a broken archive, in the words of PyTorch's reader."""
    line = f"PytorchStreamReader failed reading zip archive: {text}{_ADVICE}"
    raise with_note(FileFormatError(line), *notes)


def is_zip(file: BinaryIO) -> bool:
    """Whether an archive begins at the file's position, which stays where it is."""
    start = file.tell()
    magic = file.read(4)
    file.seek(start)
    return magic == b"PK\x03\x04"


class ZipReader:
    """An archive opened for reading.

    Args:
        file: a seekable binary file that stays open while records are read.

    Raises:
        FileFormatError: the archive is truncated, inconsistent or made to harm.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._end = file.seek(0, os.SEEK_END)
        try:
            archive = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, ValueError, struct.error, OSError, EOFError) as error:
            damaged("failed finding central directory", str(error))
        except (NotImplementedError, UnicodeDecodeError, OverflowError, MemoryError) as error:
            damaged("invalid header or archive is corrupted", str(error))
        self._directory_start = archive.start_dir
        self._records: dict[str, zipfile.ZipInfo] = {}
        self._starts: dict[str, int] = {}
        entries = archive.infolist()
        if not entries:
            damaged("the archive is empty")
        self.folder = entries[0].filename.partition("/")[0]
        for info in entries:
            self._accept(info)
        self._check_places()
        # PyTorch writes zero for every CRC when told not to compute them (set_crc32_options).
        self.checked = any(info.CRC for info in entries)

    def _accept(self, info: zipfile.ZipInfo) -> None:
        folder, _, name = info.orig_filename.partition("/")
        parts = name.removesuffix("/").split("/")
        if folder != self.folder or not name or "\\" in name or "\0" in info.orig_filename:
            damaged(f"file name {info.orig_filename!r} is not in the archive's folder")
        if any(part in ("", ".", "..") for part in parts):
            damaged(f"file name {info.orig_filename!r} leaves the archive's folder")
        if name in self._records:
            damaged(f"file {info.orig_filename!r} is there twice")
        if info.flag_bits & _ENCRYPTED:
            damaged(f"file {info.orig_filename!r} is encrypted")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            damaged(f"unsupported compression of file {info.orig_filename!r}")
        self._records[name] = info

    def _check_places(self) -> None:
        """Reads every local header and checks that records lie apart, inside the file."""
        places, inflated = [], 0
        for name, info in self._records.items():
            start = self._data_start(info)
            if info.compress_type == zipfile.ZIP_STORED:
                if info.file_size != info.compress_size:
                    damaged(f"file {info.filename!r} has two sizes")
            elif info.file_size > _INFLATION * info.compress_size + 64:
                damaged(f"file {info.filename!r} claims to unpack to {info.file_size} bytes")
            else:
                inflated += info.file_size
            places.append((info.header_offset, start + info.compress_size, info.filename))
            self._starts[name] = start
        places.sort()
        limit = 0
        for begin, end, filename in places:
            if begin < limit:
                damaged(f"file {filename!r} overlaps another")
            limit = end
        if limit > self._directory_start:
            damaged("a file reaches into the central directory")
        if inflated > _INFLATED_LIMIT * self._end + (64 << 20):
            damaged(f"the archive claims to unpack to {inflated} bytes")

    def _data_start(self, info: zipfile.ZipInfo) -> int:
        if not 0 <= info.header_offset <= self._end - 30:
            damaged(f"file {info.filename!r} lies outside the archive")
        self._file.seek(info.header_offset)
        header = self._file.read(30)
        if len(header) != 30 or header[:4] != b"PK\x03\x04":
            damaged(f"invalid header or archive is corrupted: {info.filename!r}")
        name_length, extra_length = struct.unpack("<2H", header[26:])
        name = self._file.read(name_length)
        if name != info.orig_filename.encode("utf-8") and name != info.orig_filename.encode(
            "cp437", "replace"
        ):
            damaged(f"file {info.filename!r} has two names")
        return int(info.header_offset + 30 + name_length + extra_length)

    def names(self) -> list[str]:
        """The records' names, without the archive's folder."""
        return list(self._records)

    def __contains__(self, name: str) -> bool:
        return name in self._records

    def _info(self, name: str) -> zipfile.ZipInfo:
        if name not in self._records:
            damaged(f"file not found: {self.folder}/{name}")
        return self._records[name]

    def size(self, name: str) -> int:
        """The size of a record in bytes."""
        return self._info(name).file_size

    def place(self, name: str) -> int | None:
        """Where in the file a record's bytes stand; None if it is compressed."""
        info = self._info(name)
        return self._starts[name] if info.compress_type == zipfile.ZIP_STORED else None

    def read(self, name: str, limit: int = 1 << 31) -> bytes:
        """A whole record, its CRC-32 verified."""
        size = self.size(name)
        if size > limit:
            damaged(f"file {name!r} has {size} bytes, more than the {limit} that are sensible")
        buffer = bytearray(min(size, self._end * _INFLATION))
        self.read_into(name, memoryview(buffer))
        return bytes(buffer)

    def read_into(self, name: str, target: memoryview) -> None:
        """Fills `target`, which has the record's size, and verifies the CRC-32."""
        info = self._info(name)
        if len(target) != info.file_size:
            damaged(f"file {info.filename!r} has {info.file_size} bytes, want {len(target)}")
        self._file.seek(self._starts[name])
        if info.compress_type == zipfile.ZIP_STORED:
            crc = self._read_stored(info, target)
        else:
            crc = self._read_deflated(info, target)
        if crc != info.CRC and self.checked:
            damaged(
                f"file {info.filename!r} has a bad CRC-32: "
                f"the data have {crc:#010x}, the archive says {info.CRC:#010x}"
            )

    def _read_stored(self, info: zipfile.ZipInfo, target: memoryview) -> int:
        crc = position = 0
        readinto = getattr(self._file, "readinto", None)
        while position < len(target):
            part = target[position : position + 16 * _CHUNK]
            if readinto is not None:
                count = readinto(part) or 0
            else:
                data = self._file.read(len(part))
                count = len(data)
                part[:count] = data
            if not count:
                damaged(f"file read failed: {info.filename!r} is truncated")
            crc = zlib.crc32(part[:count], crc)
            position += count
        return crc

    def _read_deflated(self, info: zipfile.ZipInfo, target: memoryview) -> int:
        left, position, crc = info.compress_size, 0, 0
        engine: Any = zlib.decompressobj(-15)
        with contextlib.suppress(zlib.error):
            while not engine.eof:
                data = engine.unconsumed_tail
                if not data:
                    data = self._file.read(min(left, _CHUNK))
                    left -= len(data)
                out = engine.decompress(data, min(_CHUNK, len(target) - position + 1))
                if position + len(out) > len(target) or (not data and not out):
                    break
                target[position : position + len(out)] = out
                crc = zlib.crc32(out, crc)
                position += len(out)
        if position != len(target) or not engine.eof:
            damaged(f"decompression failed: {info.filename!r} does not unpack to its stated size")
        return crc
