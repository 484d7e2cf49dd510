"""Ready-made compiled kernels for heavy operators: which there are, when they serve, how they run.

Convolution, pooling and batch normalisation are prepared as `Bound` launches from layouts and
attributes alone (`bind`), so that a compiled program can run them; an eager call is the same
launches, kept by layout, with the addresses of its arrays filled in. `find` is asked by the
dispatcher before an operator runs on NumPy. The NumPy kernel of the record stays the operator's
definition; what is here computes the same, many times as fast. Compiling the first kernel of a kind
costs 20-60 ms, once a machine; problems so small that NumPy needs less than about a tenth of a
millisecond for them stay with NumPy in eager mode (`Entry.worth`). `RUSHLIGHT_NATIVE=0` turns
native kernels off. A kernel that cannot be compiled raises.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from rushlight.codegen import engine, threads
from rushlight.codegen.bound import SCRATCH, Bound
from rushlight.compiler.kernels.emit import VectorType
from rushlight.runtime import blas

__all__ = [
    "Arena",
    "Call",
    "Entry",
    "Kernel",
    "address",
    "allowed_threads",
    "arena",
    "bind",
    "enabled",
    "find",
    "forget",
    "launch",
    "run",
    "vector_type",
]

Kernel = Callable[[list[Any], tuple[Any, ...]], list[Any]]
_ALIGNMENT = 64
_KEPT_BYTES = 64 << 20  # scratch up to this size is kept for the next call
SHARED_WORK = 1_500_000  # multiply-adds from which a second thread is worth waking
_MOST_CALLS = 4096  # layouts that never settle must not fill the memory

enabled = os.environ.get("RUSHLIGHT_NATIVE", "1") != "0"
_local = threading.local()
_KERNEL = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
_functions: dict[int, Any] = {}  # by their address


class Bindings(NamedTuple):
    """A call of an operator, prepared.

    Attributes:
        launches: what runs, one after the other.
        results: shape and dtype of each result.
    """

    launches: list[Bound]
    results: tuple[tuple[tuple[int, ...], Any], ...]


class Entry(NamedTuple):
    """An operator with kernels of its own.

    Attributes:
        bind: (layouts of the inputs, attributes, layouts of the results or None for new contiguous
            ones, threads) gives the prepared call, None where no kernel serves.
        worth: whether an eager call with these layouts and attributes gains over NumPy.
        copies: whether the kernels want every array in row-major order.
        complain: raises the error for inputs that a kernel found to be invalid.
    """

    bind: Callable[[Any, Any, Any, int], Bindings | None]
    worth: Callable[[Any, Any], bool]
    copies: bool = False
    complain: Callable[[list[Any], tuple[Any, ...]], None] | None = None


def find(name: str, operands: list[Any], attrs: tuple[Any, ...]) -> Kernel | None:
    """The native kernel for a call of this operator, None where NumPy serves.

    Args:
        name: the record's name.
        operands: arrays, numbers or None, in the order of the record's inputs.
        attrs: the record's attributes.
    """
    if not enabled:
        return None
    entry = _table().get(name)
    if entry is None:
        simple = _simple.get(name)
        return simple[1] if simple is not None and simple[0](operands, attrs) else None
    call = _call(name, entry, _ready(entry, operands), attrs, True)
    return None if call is None else call.run


def run(name: str, operands: list[Any], attrs: tuple[Any, ...]) -> list[Any]:
    """Calls an operator's kernel, however small its inputs are.

    Raises:
        ValueError: no kernel serves.
    """
    entry = _table()[name]
    call = _call(name, entry, _ready(entry, operands), attrs, False)
    if call is None:
        raise ValueError(f"no native kernel serves this call of {name}")
    return call.run(operands, attrs)


def bind(
    name: str,
    metas_in: Sequence[Any],
    attrs: tuple[Any, ...],
    metas_out: Sequence[Any],
    threads: int,
) -> list[Bound] | None:
    """A call of an operator as launches of kernels; None where no kernel serves.

    Args:
        name: the record's name.
        metas_in: the inputs' Metas, None for those that are left out (they count as operands).
        attrs: the record's attributes.
        metas_out: the results' Metas.
        threads: how many threads may work.
    """
    entry = _table().get(name)
    if entry is None:
        return None
    if any([m is not None and (m.is_scalar or m.conj or m.neg) for m in metas_in]):
        return None
    found = entry.bind(_layouts(metas_in), attrs, _layouts(metas_out), threads)
    return None if found is None else found.launches


def _layouts(metas: Sequence[Any]) -> list[Any]:
    from rushlight.codegen.native_plans import Layout

    return [m and Layout(tuple(m.shape), m.strides, m.dtype.numpy) for m in metas]


# Eager calls


class Call:
    """The launches of a call for arrays that lie in memory in one way."""

    def __init__(self, bindings: Bindings, entry: Entry, inputs: int) -> None:
        launches = bindings.launches
        self._entry = entry
        self._results = bindings.results
        self._scratch = max([b.scratch for b in launches])
        blocks = [np.asarray(b.block, np.int64) for b in launches]
        self._template = np.concatenate(blocks)
        starts = [sum([b.size for b in blocks[:i]]) for i in range(len(blocks))]
        self._launches = [(b.kernel, 8 * s, b.parts) for b, s in zip(launches, starts, strict=True)]
        own = inputs + len(bindings.results)  # after the arrays' addresses: the block, the scratch
        self._writes: list[tuple[int, int, int]] = []
        for b, s in zip(launches, starts, strict=True):
            self._template[[s + word for word in b.zeros]] = 0
            self._writes += [(s + word, own, 8 * (s + other)) for word, other in b.own]
            for word, operand, offset in b.operands:
                place = own + 1 if operand == SCRATCH else operand
                self._writes.append((s + word, place, offset))
        self._bad = [s + b.bad for b, s in zip(launches, starts, strict=True) if b.bad >= 0]

    def run(self, operands: list[Any], attrs: tuple[Any, ...]) -> list[Any]:
        """Computes new arrays."""
        arrays = _ready(self._entry, operands)
        results = [_new(shape, dtype) for shape, dtype in self._results]
        block = self._template.copy()
        memory = arena(self._scratch)
        start = address(block)
        places = [0 if a is None else address(a) for a in arrays]
        places += [address(a) for a in results]
        places += (start, memory.address)
        words: Any = memoryview(block)  # type: ignore[arg-type]  # quicker than the array
        for word, place, offset in self._writes:
            words[word] = places[place] + offset
        for kernel, at, parts in self._launches:
            launch(kernel, start + at, parts)
        if self._bad and any([words[word] for word in self._bad]):
            assert self._entry.complain is not None
            self._entry.complain(arrays, attrs)
        return results


_calls: dict[Any, Call | None] = {}


def _new(shape: tuple[int, ...], dtype: Any) -> Any:
    return np.empty(shape, dtype)


def _ready(entry: Entry, operands: list[Any]) -> list[Any]:
    """The arrays, copied where kernels cannot read them as they lie."""
    every = entry.copies
    return [
        a
        if type(a) is not np.ndarray
        or (a.flags.aligned and (a.flags.c_contiguous or not (every or a.ndim < 2)))
        else np.ascontiguousarray(a)
        for a in operands
    ]


def _call(
    name: str, entry: Entry, arrays: list[Any], attrs: tuple[Any, ...], must_gain: bool
) -> Call | None:
    """The prepared call for arrays that lie like these."""
    hands = allowed_threads()
    how = [a if a is None else (a.shape, a.strides, a.dtype) for a in arrays]
    key = (name, attrs, hands, must_gain, *how)
    try:
        return _calls[key]
    except KeyError:
        pass
    from rushlight.codegen.native_plans import Layout

    layouts = [
        a if a is None else Layout(a.shape, tuple([s // a.itemsize for s in a.strides]), a.dtype)
        for a in arrays
    ]
    bindings = None
    if not must_gain or entry.worth(layouts, attrs):
        bindings = entry.bind(layouts, attrs, None, hands)
    call = None if bindings is None else Call(bindings, entry, len(arrays))
    if len(_calls) >= _MOST_CALLS:
        _calls.clear()
    _calls[key] = call
    return call


def forget() -> None:
    """Drops all prepared calls."""
    _calls.clear()


_entries: dict[str, Entry] = {}
_simple: dict[str, tuple[Callable[..., bool], Kernel]] = {}


def _table() -> dict[str, Entry]:
    if not _entries:
        from rushlight.codegen import (
            native_conv,
            native_norm,
            native_pointwise,
            native_pool,
            native_products,
        )

        _simple.update(native_pointwise.KERNELS)
        _simple.update(native_products.SUMS)
        for module in (native_conv, native_norm, native_pool, native_products):
            _entries.update(module.KERNELS)
    return _entries


# What kernels need


def vector_type(itemsize: int) -> VectorType:
    """The host's vectors of float32 or float64."""
    return VectorType(itemsize, engine.host().lanes(itemsize))


def _slow_address(array: Any) -> int:
    return int(array.__array_interface__["data"][0])


def _quick_address(array: Any) -> int:
    """Seven times as fast: the word behind the head of an array object, where CPython has it."""
    return _word_at(id(array) + _HEAD).value


# address(array): where its first element lies
_HEAD = 16  # bytes of an object's head, but not in every build of Python
_word_at = ctypes.c_int64.from_address
_probe = np.empty(1)
address = _quick_address if _quick_address(_probe) == _slow_address(_probe) else _slow_address


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


def launch(kernel: int, arguments: int, parts: int) -> None:
    """Runs a compiled function on the argument block at an address, `parts` times at once."""
    if parts > 1:
        threads.pool(allowed_threads()).run(kernel, arguments, parts)
        return
    call = _functions.get(kernel)
    if call is None:
        call = _functions[kernel] = _KERNEL(kernel)
    call(arguments, 0, 1)
