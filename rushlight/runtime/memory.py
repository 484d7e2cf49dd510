"""How the C library's allocator treats the large blocks that hold tensors.

glibc gives blocks above a threshold back to the system when they are freed, and every page of the
next such block then costs a fault (0.25-1 us for 4 kB, more than most kernels need to fill it). A
step of training frees and asks for the same sizes again and again, so freed memory is kept.
Measured: LeNet's step at batch 64 takes 800 faults and 5.1 ms without, none and 3.6 ms with this.
"""

from __future__ import annotations

import os
import sys

__all__ = ["keep_freed_memory"]

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # parameters of mallopt, from malloc.h
_LARGEST_KEPT = 64 << 20  # larger blocks still come from and go to the system
_KEPT = 512 << 20  # free memory at the heap's end above which it is given back
_SETTINGS = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")


def keep_freed_memory() -> bool:
    """Asks glibc to keep what is freed; does nothing elsewhere or where the user has decided.

    Returns:
        whether the allocator agreed.
    """
    if sys.platform != "linux" or any(name in os.environ for name in _SETTINGS):
        return False
    import ctypes  # NumPy has loaded it

    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # another C library
        return False
    return bool(mallopt(_MMAP_THRESHOLD, _LARGEST_KEPT) and mallopt(_TRIM_THRESHOLD, _KEPT))
