"""Convolution and its adjoints by compiled kernels.

In: arrays in any layout, and the attributes of the records `conv`, `conv_input`, `conv_weight`.
Out: a new array. The kernels are in `compiler/kernels/conv.py` and `conv_weight.py`; their calls
are planned in `native_plans.py`.
"""

from __future__ import annotations

import itertools
import math
from functools import lru_cache
from typing import Any

import numpy as np

from rushlight.codegen import engine, native
from rushlight.codegen.native import address
from rushlight.codegen.native_plans import (
    COUNTER,
    NO_AXIS,
    POINTERS,
    Axis,
    Layout,
    Plan,
    PlanePlan,
    adjoint_axes,
    contiguous,
    forward_axis,
    gather_plan,
    layout,
    plane_plan,
    strides,
    three_axes,
    weight_plan,
)
from rushlight.compiler.kernels import conv, conv_direct, conv_weight, depthwise
from rushlight.compiler.kernels.conv_weight import WeightTile
from rushlight.compiler.kernels.gemm import Tile

__all__ = ["KERNELS"]

Ints = tuple[int, ...]
_MIN_WORK = 100_000  # multiply-adds; NumPy needs less than 30 us for fewer, most of it overhead
_SHARED_WORK = 1_500_000  # multiply-adds from which a second thread is worth waking
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


def _convolution_plan(
    itemsize: int,
    axes: tuple[Axis, Axis, Axis],
    counts: Ints,
    steps: tuple[Ints, Ints, Ints],
    threads: int,
) -> Plan | PlanePlan:
    if _depthwise(itemsize, axes, counts):
        return plane_plan(itemsize, axes, counts[:2], steps, False, threads)
    return gather_plan(itemsize, axes, counts, *steps, threads)


def _parts(plan: Plan | PlanePlan) -> int:
    return min(native.allowed_threads() if plan.work > _SHARED_WORK else 1, plan.units)


def _block(plan: Plan | PlanePlan, parts: int, addresses: Ints, bias: int) -> tuple[Any, Any]:
    """The argument block of a call, with memory for the packed weight and each thread's scratch."""
    packed_bytes = -(-plan.packed_bytes // 64) * 64
    memory = native.arena(packed_bytes + parts * plan.part_bytes)
    base = memory.address
    block = plan.template.copy()
    x, w, out = addresses
    counter = address(block) + 8 * COUNTER
    block[POINTERS] = (x, w, bias, out, base, base + packed_bytes, counter, *plan.tap_addresses)
    return block, memory


def _run(plan: Plan | PlanePlan, x: Any, w: Any, bias: Any, out: Any) -> None:
    """Packs the weight and convolves."""
    parts = _parts(plan)
    addresses = (
        address(x),
        address(w) + plan.w_base * w.itemsize,
        address(out) + plan.o_base * out.itemsize,
    )
    block, _memory = _block(plan, parts, addresses, address(bias))
    if isinstance(plan, PlanePlan):
        native.launch(_depthwise_functions(x.itemsize)[0], block, parts)
        return
    pack, convolve = _functions(x.itemsize, plan.tile, plan.direct)
    native.launch(pack, block, parts if plan.packed_bytes > _SHARED_PACK else 1)
    block[COUNTER] = 0
    native.launch(convolve, block, parts)


def _aligned(array: Any) -> Any:
    """The array, copied if its elements do not lie at multiples of their size."""
    if array.flags.aligned and not any(s % array.itemsize for s in array.strides):
        return array
    return np.ascontiguousarray(array)


def _new(shape: Ints, dtype: Any) -> Any:
    return np.empty(shape, dtype)


@lru_cache(maxsize=64)
def _zeros(k: int, dtype: Any) -> Any:
    return np.zeros(k, dtype)


def _bias(b: Any, k: int, dtype: Any) -> Any:
    return _zeros(k, dtype) if b is None else np.ascontiguousarray(b)


def _floats(*arrays: Any) -> bool:
    """Whether these are arrays with elements, all float32 or all float64, of at most three axes."""
    dtype = arrays[0].dtype
    if dtype.char not in "fd":
        return False
    return all([a.dtype == dtype and 3 <= a.ndim <= 5 and a.size > 0 for a in arrays])


# The record `conv`


def _conv_serves(operands: list[Any], attrs: tuple[Any, ...]) -> bool:
    x, w, _ = operands
    if not _floats(x, w):
        return False
    work = x.shape[0] * w.size
    for a in zip(x.shape[2:], w.shape[2:], *attrs[:3], strict=True):
        work *= forward_axis(*a).positions
    return bool(work >= _MIN_WORK)


@lru_cache(maxsize=512)
def _conv_plan(
    x: Layout, w: Layout, attrs: tuple[Any, ...], threads: int
) -> tuple[Plan | PlanePlan, Ints]:
    """The plan of a convolution and its result's shape."""
    stride, padding, dilation, groups = attrs
    sizes = zip(x.shape[2:], w.shape[2:], stride, padding, dilation, strict=True)
    axes = [forward_axis(*a) for a in sizes]
    n, k, c = x.shape[0], w.shape[0] // groups, w.shape[1]
    shape = (n, w.shape[0], *(a.positions for a in axes))
    xs, ws, os = strides(x), strides(w), contiguous(shape)
    steps = ((xs[0], xs[1] * c, *xs[1:]), (ws[0] * k, *ws), (os[0], os[1] * k, *os[1:]))
    counts = (n, groups, c, k)
    plan = _convolution_plan(x.itemsize, three_axes(axes, xs, os), counts, steps, threads)
    return plan, shape


def _conv(operands: list[Any], attrs: tuple[Any, ...]) -> list[Any]:
    x, w, b = operands
    x, w = _aligned(x), _aligned(w)
    plan, shape = _conv_plan(layout(x), layout(w), attrs, native.allowed_threads())
    out = _new(shape, x.dtype)
    _run(plan, x, w, _bias(b, w.shape[0], x.dtype), out)
    return [out]


# The record `conv_input`: one convolution for each phase of the strides


def _input_serves(operands: list[Any], attrs: tuple[Any, ...]) -> bool:
    g, w, _ = operands
    positions = math.prod(g.shape[2:])
    return _floats(g, w) and bool(g.shape[0] * w.size * positions >= _MIN_WORK)


@lru_cache(maxsize=512)
def _input_plans(
    g: Layout, w: Layout, attrs: tuple[Any, ...], threads: int
) -> tuple[tuple[Plan | PlanePlan, ...], tuple[Any, ...], Ints]:
    """The plans of the phases, the places that no window reaches, the result's shape."""
    size, stride, padding, dilation, groups = attrs
    n, k, c = g.shape[0], w.shape[0] // groups, w.shape[1]
    shape = (n, c * groups, *size)
    gs, ws, os = strides(g), strides(w), contiguous(shape)
    sizes = zip(size, g.shape[2:], w.shape[2:], stride, padding, dilation, strict=True)
    steps = (
        (gs[0], gs[1] * k, *gs[1:]),
        (ws[0] * k, ws[1], ws[0], *ws[2:]),
        (os[0], os[1] * c, *os[1:]),
    )
    plans, unreached = [], []
    for axes in itertools.product(*[adjoint_axes(*a) for a in sizes]):
        if not all(a.taps for a in axes):
            places = [slice(a.o_start, None, a.o_step) for a in axes]
            unreached.append((slice(None), slice(None), *places))
            continue
        three = three_axes(list(axes), gs, os)
        plans.append(_convolution_plan(g.itemsize, three, (n, groups, k, c), steps, threads))
    return tuple(plans), tuple(unreached), shape


def _input(operands: list[Any], attrs: tuple[Any, ...]) -> list[Any]:
    g, w, b = operands
    g, w = _aligned(g), _aligned(w)
    plans, unreached, shape = _input_plans(layout(g), layout(w), attrs, native.allowed_threads())
    out = _new(shape, g.dtype)
    bias = _bias(b, shape[1], g.dtype)
    for plan in plans:
        _run(plan, g, w, bias, out)
    for at in unreached:
        out[at] = bias.reshape(-1, *(1,) * (g.ndim - 2))
    return [out]


# The record `conv_weight`


def _weight_serves(operands: list[Any], attrs: tuple[Any, ...]) -> bool:
    g, x = operands
    if not _floats(g, x):
        return False
    return bool(g.size * x.shape[1] // attrs[-1] * math.prod(attrs[0]) >= _MIN_WORK)


@lru_cache(maxsize=512)
def _weight_plan(
    g: Layout, x: Layout, attrs: tuple[Any, ...], threads: int
) -> tuple[Plan | PlanePlan, Ints]:
    """The plan of a weight's gradient and its shape."""
    kernel, stride, padding, dilation, groups = attrs
    k, c = g.shape[1] // groups, x.shape[1] // groups
    sizes = zip(x.shape[2:], kernel, stride, padding, dilation, strict=True)
    # With output padding, or asked for fewer positions, the gradient's own size decides.
    axes = [forward_axis(*a)._replace(positions=m) for a, m in zip(sizes, g.shape[2:], strict=True)]
    xs, gs = strides(x), strides(g)
    three = three_axes(axes, xs, gs)
    counts = (x.shape[0], groups, c, k)
    x_steps, g_steps = (xs[0], xs[1] * c, *xs[1:]), (gs[0], gs[1] * k, *gs[1:])
    shape = (g.shape[1], c, *kernel)
    if _depthwise(x.itemsize, three, counts) and gs[-1] == 1:
        steps = (x_steps, (0,) * 6, g_steps)
        return plane_plan(x.itemsize, three, counts[:2], steps, True, threads), shape
    return weight_plan(x.itemsize, three, counts, x_steps, g_steps, threads), shape


def _weight(operands: list[Any], attrs: tuple[Any, ...]) -> list[Any]:
    g, x = operands
    g, x = _aligned(g), _aligned(x)
    plan, shape = _weight_plan(layout(g), layout(x), attrs, native.allowed_threads())
    out = _new(shape, g.dtype)
    parts = _parts(plan)
    block, _memory = _block(plan, parts, (address(x), address(g), address(out)), 0)
    if isinstance(plan, PlanePlan):
        function = _depthwise_functions(x.itemsize)[1]
    else:
        function = _weight_function(x.itemsize, plan.tile)
    native.launch(function, block, parts)
    return [out]


KERNELS = {
    "conv": (_conv_serves, _conv),
    "conv_input": (_input_serves, _input),
    "conv_weight": (_weight_serves, _weight),
}
