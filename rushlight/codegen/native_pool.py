"""Maximum pooling and its adjoint by compiled kernels (``compiler/kernels/pool.py``).

In: how arrays lie, and the attributes of the records `max_pool` and `plane_scatter`. Out: launches.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

from rushlight.codegen import engine, native
from rushlight.codegen.bound import SCRATCH, Bound
from rushlight.codegen.native import Bindings, Entry
from rushlight.codegen.native_plans import (
    COUNTER,
    FIELD,
    NO_AXIS,
    Axis,
    Ints,
    Layout,
    max_plan,
    strides,
)
from rushlight.compiler.kernels import pool
from rushlight.ir.shapes import window_output

__all__ = ["KERNELS"]

_MIN_WORK = 10_000  # taps, or values to scatter: for fewer, NumPy's calls cost about as little
_SHARED_WORK = 500_000  # from which a second thread is worth waking
_PAIRS = Axis(0, 0, 2, 0, 2, 1)
_UNIT = 4096  # windows of a unit


@lru_cache(maxsize=8)
def _function(itemsize: int, scatters: bool) -> int:
    t = native.vector_type(itemsize)
    engine.compile_ir(pool.scatter_module(t) if scatters else pool.max_module(t))
    return engine.address(pool.scatter_name(t) if scatters else pool.max_name(t))


@lru_cache(maxsize=4)
def _pairs_function(itemsize: int) -> int:
    t = native.vector_type(itemsize)
    engine.compile_ir(pool.pairs_module(t))
    return engine.address(pool.pairs_name(t))


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


def _max_worth(layouts: list[Any], attrs: tuple[Any, ...]) -> bool:
    return bool(layouts[0].size * math.prod(attrs[0]) >= _MIN_WORK)


def serves(shape: Ints, dtype: Any, attrs: tuple[Any, ...]) -> bool:
    """Whether there is a kernel for this `max_pool`; places are counted with 32 bits."""
    if dtype.char not in "fd" or len(shape) > 4 or not 0 < math.prod(shape[2:]) < 1 << 31:
        return False
    axes = _axes(shape[2:], attrs)
    return axes is not None and all([a.positions > 0 for a in axes]) and shape[0] * shape[1] > 0


def _max(layouts: list[Any], attrs: tuple[Any, ...], outs: Any, threads: int) -> Bindings | None:
    x = layouts[0]
    axes = _axes(x.shape[2:], attrs) if serves(x.shape, x.dtype, attrs) else None
    if axes is None:
        return None
    if outs and not all([a.contiguous for a in outs]):
        return None
    shape = (*x.shape[:2], *(a.positions for a in axes))
    results = ((shape, x.dtype), (shape, np.dtype(np.int64)))
    if _pairs_serve(x, axes):
        return Bindings([_pairs(x, axes, threads)], results)
    y, column = (NO_AXIS, *axes)[-2:]
    plan = max_plan(x.itemsize, (y, column), x.shape[:2], strides(x), threads)
    operands = (
        (FIELD["x"], 0, 0),
        (FIELD["out"], 1, 0),
        (FIELD["indices"], 2, 0),
        (FIELD["scratch"], SCRATCH, 0),
    )
    parts = min(threads if plan.work > _SHARED_WORK else 1, plan.units)
    scratch = parts * plan.part_bytes
    function = _function(x.itemsize, False)
    launch = Bound(function, plan.block, operands, plan.own, (COUNTER,), parts, scratch)
    return Bindings([launch], results)


def _pairs_serve(x: Layout, axes: tuple[Axis, ...]) -> bool:
    """Whether windows are two by two, side by side and inside of the input."""
    t = native.vector_type(x.itemsize)
    if t.lanes * t.itemsize < 32 or len(axes) != 2 or x.strides[3] != 1:
        return False
    return all([a[2:] == _PAIRS[2:] and 2 * a.positions <= a.size for a in axes])


def _pairs(x: Layout, axes: tuple[Axis, ...], threads: int) -> Bound:
    y, column = axes
    planes = x.shape[0] * x.shape[1]
    unit = max(1, min(_UNIT // (y.positions * column.positions), -(-planes // (4 * threads))))
    units = -(-planes // unit)
    fields = pool.PAIR_FIELDS
    values = (*x.shape[:2], *x.strides[:3], y.positions, column.positions, column.size, unit, units)
    block = np.array([0, 0, 0, 0, *values, 0], np.int64)
    count = len(fields)  # how many units were handed out
    operands = tuple([(fields.index(n), i, 0) for i, n in enumerate(("x", "out", "indices"))])
    own = ((fields.index("counter"), count),)
    work = 4 * planes * y.positions * column.positions
    parts = min(threads if work > _SHARED_WORK else 1, units)
    return Bound(_pairs_function(x.itemsize), block, operands, own, (count,), parts)


def _scatter_worth(layouts: list[Any], attrs: tuple[Any, ...]) -> bool:
    return bool(layouts[0].size >= _MIN_WORK)


def _scatter(
    layouts: list[Any], attrs: tuple[Any, ...], outs: Any, threads: int
) -> Bindings | None:
    g, index = layouts
    shape = tuple(attrs[0])
    if g.dtype.char not in "fd" or index.dtype != np.int64 or g.size == 0 or math.prod(shape) == 0:
        return None
    if not all([a.contiguous for a in (g, index, *(outs or ()))]):
        return None
    planes = shape[0] * shape[1]
    fields = pool.SCATTER_FIELDS
    count, bad = len(fields), fields.index("bad")
    sizes = (planes, g.size // planes, math.prod(shape) // planes)
    block = np.array([0, 0, 0, 0, *sizes, 0, 0], np.int64)
    operands = tuple([(fields.index(n), i, 0) for i, n in enumerate(("g", "places", "out"))])
    own = ((fields.index("counter"), count),)
    parts = min(threads if g.size > _SHARED_WORK // 4 else 1, planes)
    function = _function(g.itemsize, True)
    launch = Bound(function, block, operands, own, (count, bad), parts, 0, bad)
    return Bindings([launch], ((shape, g.dtype),))


def _complain(operands: list[Any], attrs: tuple[Any, ...]) -> None:
    index, size = operands[1], math.prod(attrs[0][2:])
    bad = index[(index < 0) | (index >= size)][0]
    raise RuntimeError(f"Found an invalid max index: {bad} (output volumes are of size {size})")


KERNELS = {
    "max_pool": Entry(_max, _max_worth),
    "plane_scatter": Entry(_scatter, _scatter_worth, True, _complain),
}
