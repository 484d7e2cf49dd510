"""Unpacking archives that somebody else made, without trusting them.

In: a .tar (gz, bz2, xz), .zip or single compressed file.  Out: its files below a target folder.
Everything is unpacked into a fresh folder beside the target and moved only when the whole archive
has been read without fault; a bad archive raises `FileFormatError` and leaves no trace.

Refused: absolute names, `..`, drive letters, backslashes, links, devices, a file in the place of
a folder, more bytes than `size_limit` or more entries than `ENTRY_LIMIT`.  A hard or symbolic link
to a file that the archive itself holds becomes a copy, so no link is ever made.
"""

from __future__ import annotations

import contextlib
import lzma
import os
import posixpath
import shutil
import tempfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from rushlight.errors import FileFormatError

__all__ = ["decompress", "merge_into", "size_limit", "split_suffix", "unpack"]

ENTRY_LIMIT = 20_000_000  # ImageNet has 1.4 million files
RATIO_LIMIT = 100  # bytes out per byte in: gzip reaches 1032 on zeros, images about 1
SMALL = 1 << 30  # an output below 1 GiB is let through whatever the ratio
CHUNK = 1 << 20
READ_LIMIT = 16 << 20  # the largest header of a tar that is read

ARCHIVES = (".tar", ".zip")
COMPRESSIONS = (".bz2", ".gz", ".xz")
ALIASES = {".tbz": (".tar", ".bz2"), ".tbz2": (".tar", ".bz2"), ".tgz": (".tar", ".gz")}


def size_limit(path: str | Path) -> int:
    """How many bytes may come out of the archive at `path`."""
    return max(SMALL, RATIO_LIMIT * os.path.getsize(path))


def split_suffix(file: str | Path) -> tuple[str, str | None, str | None]:
    """(whole suffix, archive type, compression) by the file's name.

    Raises:
        RuntimeError: the name has no suffix, or one that is not known.

    Example:
        >>> split_suffix("images.tar.gz")
        ('.tar.gz', '.tar', '.gz')
    """
    suffixes = Path(file).suffixes
    if not suffixes:
        raise RuntimeError(
            f"File '{file}' has no suffixes that could be used to detect the archive type and "
            "compression."
        )
    last = suffixes[-1]
    if last in ALIASES:
        return (last, *ALIASES[last])
    if last in ARCHIVES:
        return last, last, None
    if last in COMPRESSIONS:
        if len(suffixes) > 1 and suffixes[-2] in ARCHIVES:
            return suffixes[-2] + last, suffixes[-2], last
        return last, None, last
    known = sorted({*ALIASES, *ARCHIVES, *COMPRESSIONS})
    raise RuntimeError(
        f"Unknown compression or archive type: '{last}'.\nKnown suffixes are: '{known}'."
    )


def decompress(source: str | Path, target: str | Path, limit: int | None = None) -> None:
    """Writes the content of a .gz, .bz2 or .xz file to `target`, whole or not at all."""
    with temporary_folder(os.path.dirname(target) or ".") as folder:
        part = os.path.join(folder, "content")
        budget = _Budget(source, size_limit(source) if limit is None else limit)
        with (
            _damage_is_format_error(source),
            _open_compressed(source) as stream,
            open(part, "wb") as file,
        ):
            budget.copy(stream, file)
        os.replace(part, target)


def unpack(
    source: str | Path,
    target: str | Path,
    *,
    check: Callable[[Path], None] | None = None,
    limit: int | None = None,
) -> None:
    """Unpacks an archive below `target`; `check` sees the unpacked folder before it is moved."""
    _, archive, _ = split_suffix(source)
    os.makedirs(target, exist_ok=True)
    with temporary_folder(target) as folder:
        writer = _Writer(Path(folder), source, limit)
        with _damage_is_format_error(source):
            if archive == ".zip":
                _unpack_zip(source, writer)
            else:
                _unpack_tar(source, writer)
        if check is not None:
            check(Path(folder))
        _check_places(Path(folder), Path(target))
        merge_into(Path(folder), Path(target))


def merge_into(source: Path, target: Path) -> None:
    """Moves every file below `source` to the same place below `target`, replacing what is there.

    The files of a folder go in the order of their names, hidden files last: a data set's record
    of checksums takes its place when all files that it speaks of have.
    """
    target.mkdir(exist_ok=True)
    for entry in sorted(source.iterdir(), key=lambda path: (path.name.startswith("."), path.name)):
        place = target / entry.name
        if entry.is_dir() and place.is_dir():
            merge_into(entry, place)
        else:
            os.replace(entry, place)


def _check_places(source: Path, target: Path) -> None:
    """Says before anything moves that a file and a folder would meet."""
    for entry in source.iterdir():
        place = target / entry.name
        if place.exists() and entry.is_dir() != place.is_dir():
            kinds = ("a folder", "a file") if place.is_dir() else ("a file", "a folder")
            raise FileFormatError(
                f"'{place}' is {kinds[0]}, the archive has {kinds[1]} of that name: remove yours"
            )
        if entry.is_dir() and place.is_dir():
            _check_places(entry, place)


@contextlib.contextmanager
def temporary_folder(beside: str | Path) -> Iterator[str]:
    """A fresh folder inside `beside`, so that moving out of it never crosses file systems."""
    folder = tempfile.mkdtemp(prefix=".unpacking-", dir=beside)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _damage_is_format_error(source: str | Path) -> Iterator[None]:
    """Turns what the decoders raise on damaged input into the one documented type."""
    import tarfile
    import zipfile

    damage = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError)
    try:
        yield
    except damage as error:
        raise FileFormatError(f"'{source}' is truncated or corrupt: {error}") from error
    except (ValueError, NotImplementedError, OverflowError) as error:
        raise FileFormatError(f"'{source}' is not a valid archive: {error}") from error
    except OSError as error:
        if error.errno is not None:  # the disk's fault, not the archive's
            raise
        raise FileFormatError(f"'{source}' is truncated or corrupt: {error}") from error
    except RuntimeError as error:
        if isinstance(error, FileFormatError):
            raise
        raise FileFormatError(f"'{source}' cannot be unpacked: {error}") from error


class _Budget:
    """Counts the bytes that come out of an archive and stops at the limit."""

    def __init__(self, source: str | Path, limit: int) -> None:
        self.source, self.limit, self.used = source, limit, 0

    def copy(self, stream: IO[bytes], file: IO[bytes]) -> int:
        """Copies a stream to its end; returns how many bytes it had."""
        start = self.used
        while chunk := stream.read(CHUNK):
            self.used += len(chunk)
            if self.used > self.limit:
                raise FileFormatError(
                    f"'{self.source}' unpacks to more than {self.limit} bytes: refused"
                )
            file.write(chunk)
        return self.used - start


class _Guarded:
    """A stream that is never read in large pieces: a header could ask for any amount of memory."""

    def __init__(self, stream: IO[bytes], source: str | Path) -> None:
        self.stream, self.source = stream, source
        self.seek, self.tell = stream.seek, stream.tell

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= READ_LIMIT:
            raise FileFormatError(f"'{self.source}' has a header of {size} bytes: refused")
        return self.stream.read(size)


class _Writer:
    """Writes an archive's entries below one folder, and nowhere else."""

    def __init__(self, folder: Path, source: str | Path, limit: int | None) -> None:
        self.folder, self.source = folder, source
        self.budget = _Budget(source, size_limit(source) if limit is None else limit)
        self.entries = 0

    def refuse(self, name: str, why: str) -> FileFormatError:
        return FileFormatError(f"'{self.source}' holds '{name}', {why}: refused")

    def path(self, name: str) -> Path:
        """The place of an entry, its folder made."""
        self.entries += 1
        if self.entries > ENTRY_LIMIT:
            raise FileFormatError(f"'{self.source}' has more than {ENTRY_LIMIT} entries: refused")
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if name.startswith("/") or "\\" in name or "\0" in name or ".." in parts:
            raise self.refuse(name, "a path outside its folder")
        if os.name == "nt" and any(":" in part or part.endswith((".", " ")) for part in parts):
            raise self.refuse(name, "not a file name on this system")
        place = self.folder.joinpath(*parts)
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError):
            raise self.refuse(name, "below something that is a file") from None
        return place

    def make_folder(self, name: str) -> None:
        place = self.path(name)
        if place.exists() and not place.is_dir():
            raise self.refuse(name, "a folder where a file is")
        place.mkdir(exist_ok=True)

    def write(self, name: str, stream: IO[bytes], size: int) -> None:
        place = self.path(name)
        if place.is_dir():
            raise self.refuse(name, "a file where a folder is")
        with open(place, "wb") as file:
            got = self.budget.copy(stream, file)
        if got != size:
            raise FileFormatError(f"'{self.source}': '{name}' ends after {got} of {size} bytes")

    def copy_linked(self, name: str, target: str) -> None:
        """A link becomes a copy of the file it names, if this archive has brought that file."""
        inside = posixpath.normpath(target)
        if target.startswith("/") or "\\" in target or inside.startswith(".."):
            raise self.refuse(name, f"a link to '{target}' outside its folder")
        original = self.folder.joinpath(*inside.split("/"))
        if not original.is_file():
            raise self.refuse(name, f"a link to '{target}', which is not a file before it")
        with open(original, "rb") as stream:
            self.write(name, stream, original.stat().st_size)


def _unpack_tar(source: str | Path, writer: _Writer) -> None:
    import tarfile

    _, _, compression = split_suffix(source)
    with _open_compressed(source, compression) as stream:
        with tarfile.open(fileobj=_Guarded(stream, source), mode="r:") as tar:  # type: ignore
            for member in tar:
                if member.isdir():
                    writer.make_folder(member.name)
                elif member.isreg():
                    content = tar.extractfile(member)
                    assert content is not None  # a regular member has content
                    writer.write(member.name, content, member.size)
                elif member.islnk():
                    writer.copy_linked(member.name, member.linkname)
                elif member.issym():
                    here = posixpath.dirname(member.name)
                    writer.copy_linked(member.name, posixpath.join(here, member.linkname))
                else:
                    raise writer.refuse(member.name, "neither a file nor a folder")
        # The compressed stream's own checksum lies behind the last entry.
        while stream.read(CHUNK):
            pass


def _unpack_zip(source: str | Path, writer: _Writer) -> None:
    import zipfile

    with zipfile.ZipFile(source) as archive:
        for entry in archive.infolist():
            kind = (entry.external_attr >> 16) & 0o170000
            if kind not in (0, 0o100000, 0o040000):
                raise writer.refuse(entry.filename, "neither a file nor a folder")
            if entry.is_dir():
                writer.make_folder(entry.filename)
            else:
                with archive.open(entry) as stream:
                    writer.write(entry.filename, stream, entry.file_size)


def _open_compressed(source: str | Path, compression: str | None = "") -> Any:
    """Opens a compressed file for reading its content; `None` means it is not compressed."""
    if compression is None:
        return open(source, "rb")
    suffix = compression or Path(source).suffix
    if suffix == ".gz":
        import gzip

        return gzip.open(source, "rb")
    if suffix == ".bz2":
        import bz2

        return bz2.open(source, "rb")
    if suffix == ".xz":
        return lzma.open(source, "rb")
    raise RuntimeError(f"Couldn't detect a compression from suffix {suffix}.")
