"""Compiled code kept on disk between processes.

In: a key (a digest of everything the code depends on) and bytes. Out: the same bytes, or nothing.
Each entry is one file with a checksum in front, written beside its place and moved there, so
that concurrent writers and killed processes leave either a whole entry or none. The folder belongs
to the user alone; a broken entry is removed and made again. Nothing is pickled.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
import tempfile
import time
from pathlib import Path

__all__ = ["CodeCache", "default_folder"]

_MAGIC = b"rushlc01"
_DIGEST = 32
_MOST_BYTES = 256 << 20
_STORES = 64  # between two looks at what the folder holds
_ABANDONED = 3600  # seconds after which a file that nobody moved to its place goes


def default_folder() -> Path | None:
    """Where compiled code is kept: ``RUSHLIGHT_CACHE``, else the user's cache folder.

    ``RUSHLIGHT_CACHE=off`` keeps nothing.
    """
    named = os.environ.get("RUSHLIGHT_CACHE")
    if named:
        return None if named.lower() in ("off", "0") else Path(named) / "code"
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    try:
        root = Path(base) if base else Path.home() / ".cache"
    except RuntimeError:  # no home
        return None
    return root / "rushlight" / "code"


class CodeCache:
    """A folder of checksummed entries.

    Args:
        folder: where entries lie; None for a cache that keeps nothing.
        most_bytes: the size above which the entries go that were used longest ago.

    Example:
        >>> import tempfile, pathlib
        >>> cache = CodeCache(pathlib.Path(tempfile.mkdtemp()))
        >>> cache.store("k1", b"code")
        True
        >>> cache.load("k1")
        b'code'
    """

    def __init__(self, folder: Path | None, most_bytes: int = _MOST_BYTES) -> None:
        self.folder = folder if folder is not None and _private(folder) else None
        self.most_bytes = most_bytes
        self._stores = 0

    def _path(self, key: str) -> Path:
        assert self.folder is not None and key.isalnum()
        return self.folder / f"{key}.o"

    def load(self, key: str) -> bytes | None:
        """The bytes of an entry; None if there is none or it is broken (then it is removed)."""
        if self.folder is None:
            return None
        path = self._path(key)
        try:
            data = path.read_bytes()
        except OSError:
            return None
        body = data[len(_MAGIC) + _DIGEST :]
        if (
            data[: len(_MAGIC)] == _MAGIC
            and hashlib.sha256(body).digest() == data[len(_MAGIC) : len(_MAGIC) + _DIGEST]
        ):
            with contextlib.suppress(OSError):  # a folder that can only be read
                os.utime(path)
            return body
        path.unlink(missing_ok=True)
        return None

    def store(self, key: str, body: bytes) -> bool:
        """Keeps an entry; says whether the disk took it."""
        if self.folder is None:
            return False
        temporary = None
        try:
            handle, temporary = tempfile.mkstemp(prefix=".new-", dir=self.folder)
            with os.fdopen(handle, "wb") as file:
                file.write(_MAGIC + hashlib.sha256(body).digest() + body)
            os.replace(temporary, self._path(key))
        except OSError:
            if temporary is not None:
                Path(temporary).unlink(missing_ok=True)
            return False
        if self._stores % _STORES == 0:
            self.prune()
        self._stores += 1
        return True

    def prune(self) -> int:
        """Removes the entries used longest ago until the rest fits; returns how many went.

        Files that killed processes left half written go too.
        """
        if self.folder is None:
            return 0
        entries = []
        for path in self.folder.iterdir():
            try:
                info = path.stat()
            except OSError:
                continue
            if path.suffix == ".o":
                entries.append((info.st_mtime, info.st_size, path))
            elif path.name.startswith(".new-") and time.time() - info.st_mtime > _ABANDONED:
                path.unlink(missing_ok=True)
        total, gone = sum(size for _, size, _ in entries), 0
        for _, size, path in sorted(entries, key=lambda e: e[0]):
            if total <= self.most_bytes:
                break
            path.unlink(missing_ok=True)
            total, gone = total - size, gone + 1
        return gone


def _private(folder: Path) -> bool:
    """Makes the folder if needed; false where somebody else could write into it."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        info = folder.lstat()
    except OSError:
        return False
    if not stat.S_ISDIR(info.st_mode):
        return False
    if not hasattr(os, "getuid"):  # Windows: the user's own profile folder
        return True
    return info.st_uid == os.getuid() and not info.st_mode & 0o022
