"""The threads of NumPy's BLAS: how many it uses is set here, and nowhere else.

NumPy's wheels bring OpenBLAS; its function for the thread count is found in the library that NumPy
has loaded.  Where there is none (another BLAS), the count cannot be set and stays as it is.
"""

from __future__ import annotations

import ctypes
import pathlib
from typing import Any

__all__ = ["set_blas_threads"]

_NAMES = (
    "scipy_openblas_set_num_threads64_",
    "scipy_openblas_set_num_threads",
    "openblas_set_num_threads64_",
    "openblas_set_num_threads",
)


class _Found:
    function: Any = None
    searched = False


def _search() -> Any:
    import numpy

    root = pathlib.Path(numpy.__file__).parent
    folders = (root.parent / "numpy.libs", root / ".dylibs", root / ".libs")
    for folder in folders:
        for path in sorted(folder.glob("*openblas*")) if folder.is_dir() else ():
            library = ctypes.CDLL(str(path))
            for name in _NAMES:
                if hasattr(library, name):
                    return getattr(library, name)
    return None


def set_blas_threads(n: int) -> bool:
    """Sets how many threads matrix products use.

    Returns:
        whether the BLAS could be told.
    """
    if not _Found.searched:
        _Found.searched = True
        _Found.function = _search()
    if _Found.function is None:
        return False
    _Found.function(ctypes.c_int(n))
    return True
