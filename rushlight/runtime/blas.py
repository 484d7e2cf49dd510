"""The threads of NumPy's BLAS: how many a product may use is decided here, and nowhere else.

NumPy's wheels bring OpenBLAS; its function for the thread count is found in the library that NumPy
has loaded (where there is none, the count stays as it is).  Small products run on one thread:
OpenBLAS's threads spin at a barrier after each product, and on a busy machine that costs far more
than they bring (LeNet's step at batch 4 beside other work: 19 ms with one thread, 288 ms with two).
"""

from __future__ import annotations

import os
from typing import Any

__all__ = ["allowed", "prepare", "set_threads"]

_WORTH_SHARING = 1.5e7  # multiply-adds of one product
_NAMES = (
    "scipy_openblas_set_num_threads64_",
    "scipy_openblas_set_num_threads",
    "openblas_set_num_threads64_",
    "openblas_set_num_threads",
)


class _Blas:
    allowed = int(os.environ.get("OPENBLAS_NUM_THREADS") or os.cpu_count() or 1)
    current = 0  # not set yet
    function: Any = None
    searched = False


def _search() -> Any:
    import ctypes
    import pathlib

    import numpy

    root = pathlib.Path(numpy.__file__).parent
    for folder in (root.parent / "numpy.libs", root / ".dylibs", root / ".libs"):
        for path in sorted(folder.glob("*openblas*")) if folder.is_dir() else ():
            library = ctypes.CDLL(str(path))
            for name in _NAMES:
                if hasattr(library, name):
                    return getattr(library, name)
    return None


def _use(n: int) -> None:
    if n == _Blas.current:
        return
    if not _Blas.searched:
        _Blas.searched = True
        _Blas.function = _search()
    _Blas.current = n
    if _Blas.function is not None:
        _Blas.function(n)


def set_threads(n: int) -> None:
    """Sets how many threads a product may use."""
    _Blas.allowed = n
    _use(n)


def allowed() -> int:
    """How many threads an operator may use."""
    return _Blas.allowed


def prepare(work: float) -> None:
    """Chooses the threads of the next product from its multiply-adds."""
    _use(_Blas.allowed if work >= _WORTH_SHARING else 1)
