"""Convolution and its adjoints by compiled kernels.

In: how arrays lie, and the attributes of the records `conv`, `conv_input`, `conv_weight`.
Out: launches. The kernels are in `compiler/kernels/conv.py` and `conv_weight.py`; their calls are
planned in `native_plans.py`.
"""

from __future__ import annotations

import itertools
import math
from functools import lru_cache
from typing import Any

from rushlight.codegen import engine, native, native_batch, native_pixels, native_weight
from rushlight.codegen.bound import SCRATCH, Bound
from rushlight.codegen.native import Bindings, Entry
from rushlight.codegen.native_plans import (
    COUNTER,
    FIELD,
    NO_AXIS,
    Axis,
    Layout,
    Plan,
    PlanePlan,
    adjoint_axes,
    contiguous,
    forward_axis,
    gather_plan,
    plane_plan,
    strides,
    three_axes,
    weight_plan,
    with_table,
)
from rushlight.compiler.kernels import conv, conv_direct, conv_weight, depthwise, fill
from rushlight.compiler.kernels.conv_weight import WeightTile
from rushlight.compiler.kernels.gemm import Tile

__all__ = ["KERNELS"]

Ints = tuple[int, ...]
_MIN_WORK = 100_000  # multiply-adds; NumPy needs less than 30 us for fewer, most of it overhead
_FILL_COST = 4  # multiply-adds that take as long as filling one place
_SHARED_PACK = 1 << 18  # bytes of packed weights from which threads share the packing


@lru_cache(maxsize=64)
def _functions(itemsize: int, tile: Tile, direct: bool) -> tuple[int, int]:
    """Addresses of the functions that pack weights and convolve."""
    t = native.vector_type(itemsize)
    engine.compile_ir(conv_direct.module(t, tile) if direct else conv.conv_module(t, tile))
    pack, convolve = (conv_direct if direct else conv).names(t, tile)
    return engine.address(pack), engine.address(convolve)


@lru_cache(maxsize=64)
def _weight_function(itemsize: int, tile: WeightTile) -> int:
    """The address of the function for a weight's gradient."""
    t = native.vector_type(itemsize)
    engine.compile_ir(conv_weight.module(t, tile))
    return engine.address(conv_weight.name_of(t, tile))


@lru_cache(maxsize=4)
def _fill_function(itemsize: int) -> int:
    """The address of the function that fills places with the bias."""
    t = native.vector_type(itemsize)
    engine.compile_ir(fill.module(t))
    return engine.address(fill.name_of(t))


@lru_cache(maxsize=4)
def _depthwise_functions(itemsize: int) -> tuple[int, int]:
    """Addresses of the functions for one channel a group: forward, gradient of the weight."""
    t = native.vector_type(itemsize)
    engine.compile_ir(depthwise.module(t))
    return engine.address(depthwise.forward_name(t)), engine.address(depthwise.weight_name(t))


def _depthwise(itemsize: int, axes: tuple[Axis, Axis, Axis], counts: Ints) -> bool:
    """Whether the kernels for one channel a group serve; they need masked loads and stores."""
    _, groups, c, k = counts
    t = native.vector_type(itemsize)
    wide = t.lanes * t.itemsize >= 32
    return wide and groups > 1 and c == k == 1 and axes[0] == NO_AXIS


def _convolve(
    itemsize: int,
    axes: tuple[Axis, Axis, Axis],
    counts: Ints,
    steps: tuple[Ints, Ints, Ints],
    bias: bool,
    threads: int,
) -> list[Bound]:
    """The launches of a convolution of any geometry."""
    plan: Plan | PlanePlan
    if _depthwise(itemsize, axes, counts):
        plan = plane_plan(itemsize, axes, counts[:2], steps, False, threads)
    else:
        how = native_pixels.Geometry(axes, counts, *steps)
        found = native_pixels.convolution(itemsize, how, bias, threads)
        if found is not None:
            return found
        plan = gather_plan(itemsize, axes, counts, *steps, threads)
    return _launches(plan, itemsize, bias, threads)


# Launches


def _hands(work: int, threads: int, units: int) -> int:
    """Among how many threads the work is shared."""
    return min(threads if work > native.SHARED_WORK else 1, units)


def _scratch_bytes(plan: Plan | PlanePlan, parts: int) -> tuple[int, int]:
    """Where the threads' scratch starts, behind the packed weight; and where it ends."""
    packed = -(-plan.packed_bytes // 64) * 64
    return packed, packed + parts * plan.part_bytes


def _launches(plan: Plan | PlanePlan, itemsize: int, bias: bool, threads: int) -> list[Bound]:
    """Packing the weight and convolving; operands are x, the weight, the bias, the output."""
    parts = _hands(plan.work, threads, plan.units)
    start, scratch = _scratch_bytes(plan, parts)
    operands = [
        (FIELD["x"], 0, 0),
        (FIELD["w"], 1, plan.w_base * itemsize),
        (FIELD["out"], 3, plan.o_base * itemsize),
        (FIELD["packed"], SCRATCH, 0),
        (FIELD["scratch"], SCRATCH, start),
    ]
    block, own = plan.block, plan.own
    if bias:
        operands.append((FIELD["bias"], 2, 0))
    else:
        k = int(block[FIELD["k"]] * block[FIELD["groups"]])
        if isinstance(plan, PlanePlan):
            k = int(block[FIELD["channels"]])
        block, own = with_table(block, own, FIELD["bias"], [0] * -(-k * itemsize // 8))
    rest = (block, tuple(operands), own, (COUNTER,))
    if isinstance(plan, PlanePlan):
        return [Bound(_depthwise_functions(itemsize)[0], *rest, parts, scratch)]
    pack, convolve = _functions(itemsize, plan.tile, plan.direct)
    packers = parts if plan.packed_bytes > _SHARED_PACK else 1
    return [Bound(pack, *rest, packers, scratch), Bound(convolve, *rest, parts, scratch)]


def _floats(*arrays: Layout) -> bool:
    """Whether these have elements, all float32 or all float64, and at most three axes."""
    dtype = arrays[0].dtype
    if dtype.char not in "fd":
        return False
    return all([a.dtype == dtype and 3 <= len(a.shape) <= 5 and a.size > 0 for a in arrays])


def _bias_fits(bias: Layout | None, dtype: Any) -> bool:
    return bias is None or (bias.dtype == dtype and bias.contiguous)


# The record `conv`


def _conv_axes(x: Layout, w: Layout, attrs: tuple[Any, ...]) -> list[Axis]:
    return [forward_axis(*a) for a in zip(x.shape[2:], w.shape[2:], *attrs[:3], strict=True)]


def _conv_worth(layouts: list[Any], attrs: tuple[Any, ...]) -> bool:
    x, w, _ = layouts
    positions = math.prod([a.positions for a in _conv_axes(x, w, attrs)])
    return bool(x.shape[0] * w.size * positions >= _MIN_WORK)


def _conv(layouts: list[Any], attrs: tuple[Any, ...], outs: Any, threads: int) -> Bindings | None:
    x, w, b = layouts
    groups = attrs[3]
    if not (_floats(x, w) and _bias_fits(b, x.dtype)):
        return None
    axes = _conv_axes(x, w, attrs)
    n, k, c = x.shape[0], w.shape[0] // groups, w.shape[1]
    shape = (n, w.shape[0], *(a.positions for a in axes))
    out = outs[0] if outs else Layout(shape, contiguous(shape), x.dtype)
    xs, ws, os = strides(x), strides(w), strides(out)
    steps = ((xs[0], xs[1] * c, *xs[1:]), (ws[0] * k, *ws), (os[0], os[1] * k, *os[1:]))
    results = ((shape, x.dtype),)
    if groups == 1:
        found = native_batch.convolutions(x, out, steps[1], [tuple(axes)], b is not None, threads)
        if found is not None:
            return Bindings(found, results)
    counts = (n, groups, c, k)
    three = three_axes(axes, xs, os)
    return Bindings(_convolve(x.itemsize, three, counts, steps, b is not None, threads), results)


# The record `conv_input`: one convolution for each phase of the strides


def _input_worth(layouts: list[Any], attrs: tuple[Any, ...]) -> bool:
    g, w, _ = layouts
    return bool(g.shape[0] * w.size * math.prod(g.shape[2:]) >= _MIN_WORK)


def _input(layouts: list[Any], attrs: tuple[Any, ...], outs: Any, threads: int) -> Bindings | None:
    g, w, b = layouts
    size, stride, padding, dilation, groups = attrs
    if not (_floats(g, w) and _bias_fits(b, g.dtype)) or 0 in size:
        return None
    n, k, c = g.shape[0], w.shape[0] // groups, w.shape[1]
    shape = (n, c * groups, *size)
    out = outs[0] if outs else Layout(shape, contiguous(shape), g.dtype)
    gs, ws, os = strides(g), strides(w), strides(out)
    sizes = zip(size, g.shape[2:], w.shape[2:], stride, padding, dilation, strict=True)
    steps = (
        (gs[0], gs[1] * k, *gs[1:]),
        (ws[0] * k, ws[1], ws[0], *ws[2:]),
        (os[0], os[1] * c, *os[1:]),
    )
    phases = list(itertools.product(*[adjoint_axes(*a) for a in sizes]))
    launches = None
    if groups == 1:
        launches = native_batch.convolutions(g, out, steps[1], phases, b is not None, threads)
    if launches is None:
        launches = []
        for axes in phases:
            if all([a.taps for a in axes]):
                three = three_axes(list(axes), gs, os)
                counts = (n, groups, k, c)
                launches += _convolve(g.itemsize, three, counts, steps, b is not None, threads)
            else:
                launches.append(_filling(out, list(axes), b is not None, threads))
    return Bindings(launches, ((shape, g.dtype),))


def _filling(out: Layout, axes: list[Axis], bias: bool, threads: int) -> Bound:
    """The launch for the places of a phase that no window reaches."""
    axes = [NO_AXIS] * (3 - len(axes)) + axes
    os = strides(out)
    n, c = out.shape[:2]
    counts = [a.positions for a in axes]
    steps = [s * a.o_step for s, a in zip(os[2:], axes, strict=True)]
    base = sum([s * a.o_start for s, a in zip(os[2:], axes, strict=True)])
    block = fill.block(n, c, os[:2], counts, steps)
    operands = [(fill.OUT, 3, base * out.itemsize)]
    own: tuple[tuple[int, int], ...] = ((fill.COUNTER, fill.COUNT),)
    if bias:
        operands.append((fill.BIAS, 2, 0))
    else:
        block, own = with_table(block, own, fill.BIAS, [0] * -(-c * out.itemsize // 8))
    parts = _hands(_FILL_COST * n * c * math.prod(counts), threads, n * c)
    function = _fill_function(out.itemsize)
    return Bound(function, block, tuple(operands), own, (fill.COUNT,), parts)


# The record `conv_weight`


def _weight_worth(layouts: list[Any], attrs: tuple[Any, ...]) -> bool:
    g, x = layouts
    return bool(g.size * x.shape[1] // attrs[-1] * math.prod(attrs[0]) >= _MIN_WORK)


def _weight(layouts: list[Any], attrs: tuple[Any, ...], outs: Any, threads: int) -> Bindings | None:
    g, x = layouts
    if not _floats(g, x) or (outs and not outs[0].contiguous):
        return None
    axes, shape = _weight_axes(g, x, attrs)
    results = ((shape, x.dtype),)
    if attrs[-1] == 1:
        found = native_weight.weight_gradient(g, x, axes, threads)
        if found is not None:
            return Bindings(found, results)
    plan = _weight_plan(g, x, axes, attrs[-1], threads)
    parts = _hands(plan.work, threads, plan.units)
    if isinstance(plan, PlanePlan):
        function = _depthwise_functions(x.itemsize)[1]
    else:
        function = _weight_function(x.itemsize, plan.tile)
    operands = (
        (FIELD["x"], 1, 0),
        (FIELD["w"], 0, 0),
        (FIELD["out"], 2, 0),
        (FIELD["scratch"], SCRATCH, 0),
    )
    scratch = parts * plan.part_bytes
    launch = Bound(function, plan.block, operands, plan.own, (COUNTER,), parts, scratch)
    return Bindings([launch], results)


def _weight_axes(
    g: Layout, x: Layout, attrs: tuple[Any, ...]
) -> tuple[tuple[Axis, Axis, Axis], Ints]:
    """The axes of a weight's gradient, and its shape."""
    kernel, stride, padding, dilation, groups = attrs
    sizes = zip(x.shape[2:], kernel, stride, padding, dilation, strict=True)
    # With output padding, or asked for fewer positions, the gradient's own size decides.
    axes = [forward_axis(*a)._replace(positions=m) for a, m in zip(sizes, g.shape[2:], strict=True)]
    return three_axes(axes, strides(x), strides(g)), (g.shape[1], x.shape[1] // groups, *kernel)


def _weight_plan(
    g: Layout, x: Layout, axes: tuple[Axis, Axis, Axis], groups: int, threads: int
) -> Plan | PlanePlan:
    """The plan of a weight's gradient."""
    k, c = g.shape[1] // groups, x.shape[1] // groups
    xs, gs = strides(x), strides(g)
    counts = (x.shape[0], groups, c, k)
    x_steps, g_steps = (xs[0], xs[1] * c, *xs[1:]), (gs[0], gs[1] * k, *gs[1:])
    if _depthwise(x.itemsize, axes, counts) and gs[-1] == 1:
        return plane_plan(x.itemsize, axes, counts[:2], (x_steps, (0,) * 6, g_steps), True, threads)
    return weight_plan(x.itemsize, axes, counts, x_steps, g_steps, threads)


KERNELS = {
    "conv": Entry(_conv, _conv_worth),
    "conv_input": Entry(_input, _input_worth),
    "conv_weight": Entry(_weight, _weight_worth),
}
