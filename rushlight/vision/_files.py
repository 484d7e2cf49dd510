"""Writing files whole: a reader sees the old file or the new one, never a part."""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path

__all__ = ["write_whole"]


def write_whole(path: str | Path, content: bytes) -> None:
    """Replaces the file at `path`; if that fails it is as before and nothing else is left."""
    part = f"{os.fspath(path)}.{os.getpid()}.{threading.get_ident()}.part"
    try:
        with open(part, "wb") as file:
            file.write(content)
        os.replace(part, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.remove(part)
        raise
