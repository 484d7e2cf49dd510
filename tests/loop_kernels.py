"""Kernels of the loop IR built by hand, compiled and run: for the tests of ``codegen/loops.py``."""

from __future__ import annotations

import ctypes
import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from rushlight.codegen import engine, loops
from rushlight.compiler.loops import Instruction, Kernel, Reduce, Stage, Store

__all__ = ["Build", "compiled", "elementwise", "reduction", "run"]

_ARGUMENTS = (ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)


class Build:
    """A body under construction; methods return the position of their instruction."""

    def __init__(self) -> None:
        self.body: list[Instruction] = []
        self.reduces: list[Reduce] = []
        self.stores: list[Store] = []

    def put(self, name: str, args: Sequence[int], attrs: tuple[Any, ...], dtype: Any) -> int:
        self.body.append(Instruction(name, tuple(args), attrs, np.dtype(dtype)))
        return len(self.body) - 1

    def load(self, dtype: Any, buffer: int, strides: Sequence[int], offset: int = 0) -> int:
        return self.put("load", (), (buffer, offset, tuple(strides)), dtype)

    def const(self, value: Any, dtype: Any) -> int:
        return self.put("const", (), (value,), dtype)

    def reduced(self, stage: int, result: int, dtype: Any) -> int:
        return self.put("reduced", (), (stage, result), dtype)

    def op(self, name: str, *args: int, dtype: Any = None) -> int:
        """A ufunc; its result has NumPy's dtype unless one is given."""
        if dtype is None:
            found = [self.body[a].dtype for a in args]
            dtype = getattr(np, name).resolve_dtypes((*found, None))[-1]
        return self.put(name, args, (), dtype)

    def reduce(self, name: str, value: int, dtype: Any) -> None:
        self.reduces.append(Reduce(name, value, np.dtype(dtype)))

    def store(self, value: int, buffer: int, strides: Sequence[int], offset: int = 0) -> None:
        self.stores.append(Store(value, buffer, offset, tuple(strides)))

    def stage(self, inner: bool = True) -> Stage:
        return Stage(tuple(self.body), tuple(self.reduces), tuple(self.stores), inner)


def compiled(kernels: Sequence[Kernel]) -> list[Any]:
    """The functions of kernels, compiled in one module."""
    digest = hashlib.sha256(repr(kernels).encode()).hexdigest()[:24]
    names = [f"loop_{digest}_{i}" for i in range(len(kernels))]
    assert all([loops.supports(k) for k in kernels])
    engine.compile_ir(loops.module(list(zip(names, kernels, strict=True))))
    return [engine.function(name, _ARGUMENTS) for name in names]


def run(function: Any, arrays: Sequence[Any], numbers: Sequence[float] = (), parts: int = 1) -> int:
    """Calls a kernel's function for each part; returns the status word."""
    status = np.zeros(1, np.int64)
    block = np.zeros(len(arrays) + len(numbers) + 1, np.int64)
    for i, array in enumerate(arrays):
        block[i] = array.__array_interface__["data"][0]
    block[len(arrays) : -1].view(np.float64)[:] = numbers
    block[-1] = status.ctypes.data
    for part in reversed(range(parts)):
        function(block.ctypes.data, part, parts)
    return int(status[0])


def elementwise(name: str, dtypes: Sequence[Any], n: int, result: Any = None) -> Kernel:
    """A ufunc of contiguous arrays of n elements; the result is the last buffer."""
    b = Build()
    args = [b.load(d, i, (1,)) for i, d in enumerate(dtypes)]
    value = b.op(name, *args, dtype=result)
    b.store(value, len(dtypes), (1,))
    buffers = (*map(np.dtype, dtypes), b.body[value].dtype)
    return Kernel((), (n,), buffers, 0, (b.stage(),))


def reduction(
    name: str,
    dtype: Any,
    outer: Sequence[int],
    inner: Sequence[int],
    strides: Sequence[int],
    result: Any = None,
) -> Kernel:
    """A reduction over the inner axes, stored row-major."""
    result = np.dtype(result or dtype)
    first, second = Build(), Build()
    first.reduce(name, first.load(dtype, 0, strides), result)
    target, step = [], 1
    for size in reversed(outer):
        target.insert(0, step)
        step *= size
    second.store(second.reduced(0, 0, result), 1, (*target, *[0] * len(inner)))
    stages = (first.stage(), second.stage(inner=False))
    return Kernel(tuple(outer), tuple(inner), (np.dtype(dtype), result), 0, stages)
