"""Functions of the C library for generated code: where they are, and making them known to LLVM.

Generated code calls ``powf``, ``atan2`` and others. LLVM looks for them among the symbols of the
process, which not every Python exports; so their addresses are asked of the system's loader, and a
function that the system does not have is known beforehand instead of ending the process.
"""

from __future__ import annotations

import ctypes
import sys
from functools import lru_cache
from typing import Any

from rushlight.codegen import engine

__all__ = ["announce", "has"]

_LIBRARIES = ("ucrtbase",) if sys.platform == "win32" else (None, "libm.so.6")


@lru_cache(maxsize=1)
def _libraries() -> list[Any]:
    found = []
    for name in _LIBRARIES:
        try:
            found.append(ctypes.CDLL(name))
        except OSError:
            continue
    return found


@lru_cache(maxsize=256)
def _address(name: str) -> int:
    """Where a function is, 0 if the system does not have it."""
    for library in _libraries():
        try:
            return ctypes.cast(getattr(library, name), ctypes.c_void_p).value or 0
        except AttributeError:
            continue
    return 0


def has(name: str) -> bool:
    """Whether the system has this function."""
    return _address(name) != 0


@lru_cache(maxsize=256)
def announce(name: str) -> None:
    """Makes a function known to LLVM.

    Raises:
        NotImplementedError: the system does not have it.
    """
    import llvmlite.binding as llvm

    address = _address(name)
    if address == 0:
        raise NotImplementedError(f"the C library has no {name}")
    with engine.lock:
        llvm.add_symbol(name, address)
