"""Maximum pooling and its adjoint by compiled kernels (``compiler/kernels/pool.py``).

In: arrays and the attributes of the records `max_pool` and `plane_scatter`. Out: new arrays.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

from rushlight.codegen import engine, native
from rushlight.codegen.native import address
from rushlight.codegen.native_plans import (
    NO_AXIS,
    Axis,
    Ints,
    Layout,
    PoolPlan,
    layout,
    max_plan,
    strides,
)
from rushlight.compiler.kernels import pool
from rushlight.ir.shapes import window_output

__all__ = ["KERNELS"]

_MIN_WORK = 10_000  # taps, or values to scatter: for fewer, NumPy's calls cost about as little
_SHARED_WORK = 500_000  # from which a second thread is worth waking


@lru_cache(maxsize=8)
def _function(itemsize: int, scatters: bool) -> int:
    t = native.vector_type(itemsize)
    engine.compile_ir(pool.scatter_module(t) if scatters else pool.max_module(t))
    return engine.address(pool.scatter_name(t) if scatters else pool.max_name(t))


def _new(shape: Ints, dtype: Any) -> Any:
    return np.empty(shape, dtype)


@lru_cache(maxsize=512)
def _axes(size: Ints, attrs: tuple[Any, ...]) -> tuple[Axis, ...] | None:
    """The dimensions of a pooling; None if a window sees no element."""
    *how, ceil_mode = attrs
    axes = []
    for s, k, st, p, d in zip(size, *how, strict=True):
        axis = Axis(s, window_output(s, k, st, p, d, ceil_mode), st, -p, k, d)
        for i in range(axis.positions):
            if not any(0 <= i * st - p + m * d < s for m in range(k)):
                return None
        axes.append(axis)
    return tuple(axes)


def _max_serves(operands: list[Any], attrs: tuple[Any, ...]) -> bool:
    x = operands[0]
    if x.dtype.char not in "fd" or x.ndim > 4 or x.size * math.prod(attrs[0]) < _MIN_WORK:
        return False
    axes = _axes(x.shape[2:], attrs)
    if math.prod(x.shape[2:]) >= 1 << 31:  # places are counted with 32 bits
        return False
    return axes is not None and all(a.positions > 0 for a in axes)


@lru_cache(maxsize=256)
def _max_plan(x: Layout, attrs: tuple[Any, ...], threads: int) -> tuple[PoolPlan, Ints]:
    """The plan of a pooling and its results' shape."""
    axes = _axes(x.shape[2:], attrs)
    assert axes is not None
    y, column = (NO_AXIS, *axes)[-2:]
    plan = max_plan(x.itemsize, (y, column), x.shape[:2], strides(x), threads)
    return plan, (*x.shape[:2], *(a.positions for a in axes))


def _max(operands: list[Any], attrs: tuple[Any, ...]) -> list[Any]:
    x = operands[0]
    if not x.flags.aligned or any(s % x.itemsize for s in x.strides):
        x = np.ascontiguousarray(x)
    threads = native.allowed_threads()
    plan, shape = _max_plan(layout(x), attrs, threads)
    best, where = _new(shape, x.dtype), _new(shape, np.dtype(np.int64))
    parts = min(threads if plan.work > _SHARED_WORK else 1, plan.units)
    block = plan.template.copy()
    memory = native.arena(parts * plan.part_bytes)
    block[plan.pointers] = (
        address(x),
        address(best),
        address(where),
        memory.address,
        address(block) + 8 * plan.counter,
        *plan.table_addresses,
    )
    native.launch(_function(x.itemsize, False), block, parts)
    return [best, where]


def _scatter_serves(operands: list[Any], attrs: tuple[Any, ...]) -> bool:
    g, index = operands
    return bool(
        g.dtype.char in "fd"
        and g.size >= _MIN_WORK
        and math.prod(attrs[0]) > 0
        and index.dtype == np.int64
    )


def _scatter(operands: list[Any], attrs: tuple[Any, ...]) -> list[Any]:
    g, index = (np.ascontiguousarray(a) for a in operands)
    shape = attrs[0]
    planes = shape[0] * shape[1]
    out = _new(shape, g.dtype)
    block = np.zeros(len(pool.SCATTER_FIELDS) + 1, np.int64)
    counter = address(block) + 8 * (block.size - 1)
    block[:-2] = (
        *(address(g), address(index), address(out), counter),
        *(planes, g.size // planes, out.size // planes),
    )
    threads = native.allowed_threads() if g.size > _SHARED_WORK // 4 else 1
    native.launch(_function(g.itemsize, True), block, min(threads, planes))
    if block[-2]:
        size = out.size // planes
        bad = index[(index < 0) | (index >= size)][0]
        raise RuntimeError(f"Found an invalid max index: {bad} (output volumes are of size {size})")
    return [out]


KERNELS = {
    "max_pool": (_max_serves, _max),
    "plane_scatter": (_scatter_serves, _scatter),
}
