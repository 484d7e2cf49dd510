"""Ready-made compiled kernels for heavy operators: which there are, when they serve, how they run.

`find` is asked by the dispatcher before an operator runs on NumPy. The NumPy kernel of the record
stays the operator's definition; what is here computes the same, many times as fast. Compiling the
first kernel of a kind costs 20-60 ms, once a machine; problems so small that NumPy needs less than
about a tenth of a millisecond for them stay with NumPy (`MIN_WORK`). `RUSHLIGHT_NATIVE=0` turns
native kernels off. A kernel that cannot be compiled raises.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.codegen import engine, threads
from rushlight.compiler.kernels.emit import VectorType
from rushlight.runtime import blas

__all__ = ["Arena", "Kernel", "address", "arena", "enabled", "find", "launch", "vector_type"]

Kernel = Callable[[list[Any], tuple[Any, ...]], list[Any]]
_ALIGNMENT = 64
_KEPT_BYTES = 64 << 20  # scratch up to this size is kept for the next call

enabled = os.environ.get("RUSHLIGHT_NATIVE", "1") != "0"
_local = threading.local()
_KERNEL = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
_calls: dict[int, Any] = {}  # functions by their address


def find(name: str, operands: list[Any], attrs: tuple[Any, ...]) -> Kernel | None:
    """The native kernel for a call of this operator, None where NumPy serves.

    Args:
        name: the record's name.
        operands: arrays, numbers or None, in the order of the record's inputs.
        attrs: the record's attributes.
    """
    if not enabled:
        return None
    table = _table()
    entry = table.get(name)
    if entry is None:
        return None
    eligible, run = entry
    return run if eligible(operands, attrs) else None


_entries: dict[str, tuple[Callable[..., bool], Kernel]] = {}


def _table() -> dict[str, tuple[Callable[..., bool], Kernel]]:
    if not _entries:
        from rushlight.codegen import native_conv, native_norm, native_pointwise, native_pool

        modules = (native_conv, native_norm, native_pointwise, native_pool)
        _entries.update({name: entry for m in modules for name, entry in m.KERNELS.items()})
    return _entries


def vector_type(itemsize: int) -> VectorType:
    """The host's vectors of float32 or float64."""
    return VectorType(itemsize, engine.host().lanes(itemsize))


def address(array: Any) -> int:
    """Where an array's first element lies."""
    return int(array.__array_interface__["data"][0])  # half as costly as array.ctypes.data


class Arena:
    """Uninitialised memory on a cache line, kept for the next call of the same thread.

    Fresh memory costs a page fault every 4 kB, several times what kernels need to fill it.
    """

    def __init__(self, nbytes: int) -> None:
        self.nbytes = nbytes
        self._memory = np.empty(nbytes + _ALIGNMENT, np.uint8)
        start = address(self._memory)
        self.address = start + -start % _ALIGNMENT


def arena(nbytes: int) -> Arena:
    """This thread's memory until it asks again."""
    have: Arena | None = getattr(_local, "arena", None)
    if have is None or have.nbytes < nbytes:
        have = Arena(nbytes)
        _local.arena = have if nbytes <= _KEPT_BYTES else None
    return have


def allowed_threads() -> int:
    """How many threads a kernel may use: what `set_num_threads` says."""
    return blas.allowed()


def launch(kernel: int, arguments: Any, parts: int) -> None:
    """Runs a compiled function on an argument block, `parts` times at once."""
    if parts > 1:
        threads.pool(allowed_threads()).run(kernel, address(arguments), parts)
        return
    call = _calls.get(kernel)
    if call is None:
        call = _calls[kernel] = _KERNEL(kernel)
    call(address(arguments), 0, 1)
