"""Convolution and its adjoints through compiled kernels: geometry, sizes of blocks, calls.

In: arrays in any layout, and the attributes of the records. Out: a new array. The kernels are in
`compiler/kernels/conv.py`. What one dimension looks like to them is an `Axis`; a call is planned
once as a `Gather`: three axes (missing ones have size 1), strides, sizes of blocks.
"""

from __future__ import annotations

import itertools
import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from rushlight.codegen import engine, native
from rushlight.compiler.kernels import conv as generator
from rushlight.compiler.kernels.emit import VectorType
from rushlight.compiler.kernels.gemm import Tile, tile_for

__all__ = ["KERNELS"]

Ints = tuple[int, ...]
_FIELD = {name: i for i, name in enumerate(generator.FIELDS)}
_POINTERS = slice(0, 9)  # the first fields
_COUNTER = len(_FIELD)  # the units handed out so far stand behind the fields
_SHARED_PACK = 1 << 18  # bytes of packed weights above which threads share the packing
_MIN_WORK = 100_000  # multiply-adds; NumPy needs less than 30 us for fewer, most of it overhead
_SHARED_WORK = 1_500_000  # multiply-adds above which a second thread is worth waking
_SCRATCH_BYTES = 512 << 10  # of a unit's input: half of a usual L2
_B_ROWS = 384  # rows of B that stay in the cache together


class Axis(NamedTuple):
    """One spatial dimension as a kernel sees it.

    Position i, tap m reads input i * stride + start + m * tap_step, with the weight's tap
    w_start + m * w_step, and is output o_start + i * o_step.
    """

    size: int
    positions: int
    stride: int
    start: int
    taps: int
    tap_step: int
    w_start: int
    w_step: int
    o_start: int
    o_step: int


def _forward_axis(
    size: int, kernel: int, stride: int, padding: int, dilation: int
) -> tuple[Axis, ...]:
    positions = (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
    return (Axis(size, positions, stride, -padding, kernel, dilation, 0, 1, 0, 1),)


def _adjoint_axes(
    size: int, out: int, kernel: int, stride: int, padding: int, dilation: int
) -> tuple[Axis, ...]:
    """The phases of the adjoint in one dimension, one an input position modulo the stride.

    Input h got a share of g[o] by tap k where h + padding = o * stride + k * dilation. In phase f,
    h + padding = f + stride * u and k * dilation = f + stride * j, hence o = u - j: a convolution
    of stride 1 by the taps that belong to the phase, taken backwards so that o grows with the tap.
    """
    found = []
    common = math.gcd(stride, dilation)
    w_step, j_step = stride // common, dilation // common
    for phase in range(stride):
        first = (phase - padding) % stride  # the phase's first input
        if first >= size:
            continue
        u = (first + padding - phase) // stride
        count = -(-(size - first) // stride)
        taps = [k for k in range(kernel) if (k * dilation - phase) % stride == 0]
        last = taps[-1] if taps else 0
        j = (last * dilation - phase) // stride
        found.append(Axis(out, count, 1, u - j, len(taps), j_step, last, -w_step, first, stride))
    return tuple(found)


class Gather(NamedTuple):
    """A call of the kernel: its argument block without pointers, and the sizes of its memory."""

    template: Any  # int64, one word a field
    taps: Any  # int64: offsets of the taps in the scratch, then in the weight
    w_base: int  # elements
    o_base: int
    packed_bytes: int
    part_bytes: int
    units: int
    work: int
    item: int
    tile: Tile


def _tile(t: VectorType, k: int) -> Tile:
    """The host's tile, with no more rows than divide the output channels evenly."""
    host = engine.host()
    most = tile_for(host.vector_bytes, host.vector_bytes == 64 or "aarch64" in host.triple)
    panels = -(-k // most.rows)
    return Tile(-(-k // panels), most.vectors)


@lru_cache(maxsize=64)
def _functions(itemsize: int, tile: Tile) -> tuple[int, int]:
    """Addresses of the functions that pack and convolve."""
    t = native.vector_type(itemsize)
    engine.compile_ir(generator.conv_module(t, tile))
    pack, conv = generator.names(t, tile)
    return engine.address(pack), engine.address(conv)


def _units(
    t: VectorType, axes: Ints, images: int, plane_cost: tuple[int, int, int, int], threads: int
) -> tuple[int, int]:
    """How many images, or rows of one image, make a unit: the cheapest by a simple model.

    Args:
        axes: rows, columns, stride and reach (taps' extent) of the rows.
        plane_cost: channels of the scratch, words of one of its rows, multiply-adds a position,
            groups.
    """
    rows, columns, stride, reach = axes
    channels, row_words, work, groups = plane_cost
    budget = _SCRATCH_BYTES // t.itemsize
    best, choice = math.inf, (1, 1)
    pieces = sorted({-(-rows // n) for n in range(1, rows + 1)})
    candidates = [(1, r) for r in pieces] + [
        (m, rows) for m in sorted({-(-images // n) for n in range(1, images + 1)}) if m > 1
    ]
    for m, r in candidates:
        scratch = m * channels * ((r - 1) * stride + reach) * row_words
        if scratch > budget and (m, r) != (1, 1):
            continue
        count = m * r * columns
        vectors = -(-count // t.lanes)
        cost = vectors * work + 3 * scratch // t.lanes + 2000
        units = -(-images // m) * -(-rows // r) * groups
        if -(-units // threads) * cost < best:
            best, choice = -(-units // threads) * cost, (m, r)
    return choice


@lru_cache(maxsize=512)
def _gather(
    itemsize: int,
    axes: tuple[Axis, Axis, Axis],
    counts: Ints,
    x_strides: Ints,
    w_strides: Ints,
    o_strides: Ints,
    threads: int,
) -> Gather:
    """Plans a call.

    Args:
        counts: images, groups, channels and output channels of one group.
        x_strides: of image, group, channel, z, y, x in elements; likewise the output's.
        w_strides: of group, output channel, channel, z, y, x.
    """
    t = native.vector_type(itemsize)
    n, groups, channels, k = counts
    az, ay, ax = axes
    tile = _tile(t, k)
    width = tile.vectors * t.lanes
    panels = -(-k // tile.rows)
    taps = ay.taps * ax.taps
    row_count = channels * az.taps * taps
    places = [m * ax.tap_step for m in range(ax.taps)]
    phases = max(p % ax.stride for p in places) + 1
    phase_width = ax.positions + max(p // ax.stride for p in places)
    row_words = phases * phase_width
    reach = (ay.taps - 1) * ay.tap_step + 1
    images = n * az.positions
    unit_images, unit_rows = _units(
        t,
        (ay.positions, ax.positions, ay.stride, reach),
        images,
        (channels * az.taps, row_words, panels * tile.rows * row_count, groups),
        threads,
    )
    scratch_rows = (unit_rows - 1) * ay.stride + reach
    plane_words = scratch_rows * row_words
    image_words = channels * az.taps * plane_words
    c_block = min(max(1, _B_ROWS // taps), channels * az.taps)
    per_unit = unit_images * unit_rows * ax.positions
    tiles = min(
        4 if panels * tile.rows * row_count * itemsize > 1 << 18 else 1, -(-per_unit // width)
    )
    b, c, words = generator.scratch_sizes(t, tile, tiles, c_block * taps, panels)
    sizes = [
        (unit_images * image_words + t.lanes) * itemsize,
        b * itemsize,
        c * itemsize,
        words * 8,
    ]
    areas = [0]
    for size in sizes:
        areas.append(areas[-1] + -(-size // 64) * 64)
    bands = -(-ay.positions // unit_rows)
    units = -(-images // unit_images) * bands * groups
    offsets = [
        (i * ay.tap_step * row_words + p % ax.stride * phase_width + p // ax.stride)
        for i in range(ay.taps)
        for p in places
    ]
    weights = [
        i * ay.w_step * w_strides[4] + j * ax.w_step * w_strides[5]
        for i in range(ay.taps)
        for j in range(ax.taps)
    ]
    values = dict(
        groups=groups, images=images, planes=az.positions, channels=channels, depth=az.taps,
        taps=taps, k=k, panels=panels, height=ay.size, width=ax.size, z_size=az.size,
        z_stride=az.stride, z_start=az.start, z_step=az.tap_step,
        y_stride=ay.stride, y_start=ay.start, x_start=ax.start,
        w_g=w_strides[0], w_k=w_strides[1], w_c=w_strides[2], w_z=az.w_step * w_strides[3],
        rows=ay.positions, columns=ax.positions, unit_images=unit_images, unit_rows=unit_rows,
        bands=bands, units=units, scratch_rows=scratch_rows, phase_width=phase_width,
        phases=phases, phase_stride=ax.stride, row_words=row_words, plane_words=plane_words,
        image_words=image_words, tiles=tiles, c_block=c_block, scratch_words=areas[4],
        b_place=areas[1], c_place=areas[2], piece_place=areas[3],
    )  # fmt: skip
    for name, stride in zip("ngczyx", x_strides, strict=True):
        values[f"x_{name}"] = stride
    steps = (1, 1, 1, az.o_step, ay.o_step, ax.o_step)
    for name, stride, step in zip("ngkzyx", o_strides, steps, strict=True):
        values[f"o_{name}"] = stride * step
    template = np.zeros(_COUNTER + 1, np.int64)
    for name, value in values.items():
        template[_FIELD[name]] = value
    return Gather(
        template,
        np.array(offsets + weights, np.int64),
        sum(a.w_start * s for a, s in zip(axes, w_strides[3:], strict=True)),
        sum(a.o_start * s for a, s in zip(axes, o_strides[3:], strict=True)),
        groups * panels * tile.rows * row_count * itemsize,
        areas[4],
        units,
        images * ay.positions * ax.positions * groups * k * row_count,
        itemsize,
        tile,
    )


def _run(call: Gather, x: Any, w: Any, bias: Any, out: Any) -> None:
    """Packs the weight and convolves."""
    shared = native.allowed_threads() if call.work > _SHARED_WORK else 1
    parts = min(shared, call.units)
    packed_bytes = -(-call.packed_bytes // 64) * 64
    base = native.arena(packed_bytes + parts * call.part_bytes).ctypes.data
    block = call.template.copy()
    address, taps = block.ctypes.data, call.taps.ctypes.data
    block[_POINTERS] = (
        x.ctypes.data,
        w.ctypes.data + call.w_base * call.item,
        bias.ctypes.data,
        out.ctypes.data + call.o_base * call.item,
        base,
        base + packed_bytes,
        address + 8 * _COUNTER,
        taps,
        taps + 4 * call.taps.size,
    )
    pack, conv = _functions(call.item, call.tile)
    native.launch(pack, block, shared if call.packed_bytes > _SHARED_PACK else 1)
    block[_COUNTER] = 0
    native.launch(conv, block, parts)


def _strides(array: Any) -> Ints:
    """Strides in elements, the spatial ones filled up to three dimensions."""
    item = array.itemsize
    steps = tuple([s // item for s in array.strides])
    return (*steps[:2], *(0,) * (5 - array.ndim), *steps[2:])


def _aligned(array: Any) -> Any:
    """The array, copied if its elements do not lie at multiples of their size."""
    if array.flags.aligned and not any(s % array.itemsize for s in array.strides):
        return array
    return np.ascontiguousarray(array)


def _whole(a: Axis) -> bool:
    """Whether one tap reads all of this dimension, as it lies."""
    return (
        a.taps == a.stride == a.o_step == 1
        and a.start == a.o_start == a.w_start == 0
        and a.size == a.positions
    )


def _three(axes: list[Axis], x: Ints, out: Ints) -> tuple[Axis, Axis, Axis]:
    """The axes as z, y, x; a plane that is read as it lies becomes one row: long rows are fast."""
    z, y, column = [_NO_AXIS] * (3 - len(axes)) + axes
    merges = x[3] == column.size * x[4] and out[3] == column.positions * out[4]
    if merges and _whole(y) and _whole(column):
        size = y.size * column.size
        return z, _NO_AXIS, column._replace(size=size, positions=size)
    return z, y, column


_NO_AXIS = Axis(1, 1, 1, 0, 1, 1, 0, 1, 0, 1)


def _new(shape: Ints, dtype: Any) -> Any:
    return np.empty(shape, dtype)


def _bias(b: Any, k: int, dtype: Any) -> Any:
    return np.zeros(k, dtype) if b is None else np.ascontiguousarray(b)


def _floats(*arrays: Any) -> bool:
    """Whether these are arrays with elements, all float32 or all float64, of at most three axes."""
    dtype = arrays[0].dtype
    return dtype.char in "fd" and all(
        [a.dtype == dtype and 3 <= a.ndim <= 5 and a.size > 0 for a in arrays]
    )


def _conv_serves(operands: list[Any], attrs: tuple[Any, ...]) -> bool:
    x, w, _ = operands
    if not _floats(x, w):
        return False
    work = x.shape[0] * w.size
    for a in zip(x.shape[2:], w.shape[2:], *attrs[:3], strict=True):
        work *= _forward_axis(*a)[0].positions
    return bool(work >= _MIN_WORK)


def _conv(operands: list[Any], attrs: tuple[Any, ...]) -> list[Any]:
    """The record `conv`."""
    x, w, b = operands
    x, w = _aligned(x), _aligned(w)
    stride, padding, dilation, groups = attrs
    sizes = zip(x.shape[2:], w.shape[2:], stride, padding, dilation, strict=True)
    axes = [_forward_axis(*a)[0] for a in sizes]
    n, k, c = x.shape[0], w.shape[0] // groups, w.shape[1]
    out = _new((n, w.shape[0], *(a.positions for a in axes)), x.dtype)
    xs, ws, os = _strides(x), _strides(w), _strides(out)
    call = _gather(
        x.itemsize,
        _three(axes, xs, os),
        (n, groups, c, k),
        (xs[0], xs[1] * c, *xs[1:]),
        (ws[0] * k, *ws),
        (os[0], os[1] * k, *os[1:]),
        native.allowed_threads(),
    )
    _run(call, x, w, _bias(b, w.shape[0], x.dtype), out)
    return [out]


def _input_serves(operands: list[Any], attrs: tuple[Any, ...]) -> bool:
    g, w, _ = operands
    positions = math.prod(g.shape[2:])
    return _floats(g, w) and bool(g.shape[0] * w.size * positions >= _MIN_WORK)


def _input(operands: list[Any], attrs: tuple[Any, ...]) -> list[Any]:
    """The record `conv_input`: one convolution for each phase of the strides."""
    g, w, b = operands
    g, w = _aligned(g), _aligned(w)
    size, stride, padding, dilation, groups = attrs
    n, k, c = g.shape[0], w.shape[0] // groups, w.shape[1]
    out = _new((n, c * groups, *size), g.dtype)
    bias = _bias(b, c * groups, g.dtype)
    gs, ws, os = _strides(g), _strides(w), _strides(out)
    sizes = zip(size, g.shape[2:], w.shape[2:], stride, padding, dilation, strict=True)
    for axes in itertools.product(*[_adjoint_axes(*a) for a in sizes]):
        if not all(a.taps for a in axes):  # no window reaches these elements
            at = tuple(slice(a.o_start, None, a.o_step) for a in axes)
            out[(slice(None), slice(None), *at)] = bias.reshape(-1, *(1,) * len(axes))
            continue
        call = _gather(
            g.itemsize,
            _three(list(axes), gs, os),
            (n, groups, k, c),
            (gs[0], gs[1] * k, *gs[1:]),
            (ws[0] * k, ws[1], ws[0], *ws[2:]),
            (os[0], os[1] * c, *os[1:]),
            native.allowed_threads(),
        )
        _run(call, g, w, bias, out)
    return [out]


KERNELS = {
    "conv": (_conv_serves, _conv),
    "conv_input": (_input_serves, _input),
}
