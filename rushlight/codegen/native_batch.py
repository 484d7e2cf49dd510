"""Convolutions of small planes with the images innermost: when they serve, and their launches.

In: layouts and axes. Out: launches of ``compiler/kernels/turn.py`` (the input, and back the
output) and ``conv_batch.py``. Operands are x, the weight, the bias, the output, as in
``native_conv.py``. Many images: vectors run along chunks of images, and taps that meet only padding
are left out. Few images: vectors run along (position, image) of a row, with zeros at its ends.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

from rushlight.codegen import engine, native
from rushlight.codegen.bound import SCRATCH, Bound
from rushlight.codegen.native_plans import (
    NO_AXIS,
    Axis,
    Ints,
    Layout,
    many_registers,
    strides,
    with_table,
)
from rushlight.compiler.kernels import conv_batch, turn
from rushlight.compiler.kernels.gemm import Tile

__all__ = ["convolutions", "turn_function", "turning"]

_MOST_POSITIONS = 256  # of a plane: above, convolution by rows is as good
_FEWEST = 6  # images: turning fewer costs too much
_FULL = 0.75  # least part of the vectors' lanes that must be of use
_SUMMED = 512  # products summed before a sum is added to memory
_SLICE_BYTES = 256 << 10  # of input that is read again and again
_SHARED_WORDS = 1 << 15  # elements to turn from which a second thread is worth waking


@lru_cache(maxsize=64)
def _function(itemsize: int, tile: Tile) -> int:
    t = native.vector_type(itemsize)
    engine.compile_ir(conv_batch.module(t, tile))
    return engine.address(conv_batch.name_of(t, tile))


@lru_cache(maxsize=4)
def turn_function(itemsize: int) -> int:
    """The address of the function that turns matrices."""
    t = native.vector_type(itemsize)
    engine.compile_ir(turn.module(t))
    return engine.address(turn.name_of(t))


class _Inner(NamedTuple):
    """How images lie innermost; sizes in elements, of x and of the output.

    Attributes:
        images: of a chunk.
        chunks: how many.
        x: steps of chunk, channel, row, column.
        o: likewise of the output.
        before: columns of zeros in front of a row of x.
        after: columns of zeros behind it.
        vectors: in a chunk of images, 0 if chunks are less than a vector.
    """

    images: int
    chunks: int
    x: Ints
    o: Ints
    before: int
    after: int
    vectors: int


def turning(
    values: dict[str, int],
    source: tuple[int, int],
    target: tuple[int, int],
    itemsize: int,
    threads: int,
) -> Bound:
    """A launch that turns matrices, between operands with offsets in bytes."""
    block, units = turn.block(**values)
    operands = ((turn.SOURCE, *source), (turn.TARGET, *target))
    words = values["as"] * values["bs"] * values["rows"] * values["columns"]
    parts = min(threads if words >= _SHARED_WORDS else 1, units)
    own = ((turn.COUNTER, turn.COUNT),)
    return Bound(turn_function(itemsize), block, operands, own, (turn.COUNT,), parts)


def _inner(x: Layout, out: Layout, phases: list[tuple[Axis, Axis]], lanes: int) -> _Inner | None:
    """The arrangement for these arrays, None if too many lanes would be idle."""
    n, c, height, width = _four(x.shape)
    k, rows, columns = _four(out.shape)[1:]
    for vectors in (2, 1):
        images = vectors * lanes
        chunks = -(-n // images)
        if n >= _FULL * chunks * images:
            plane, o_plane = height * width * images, rows * columns * images
            x_steps = (c * plane, plane, width * images, images)
            o_steps = (k * o_plane, o_plane, columns * images, images)
            return _Inner(images, chunks, x_steps, o_steps, 0, 0, vectors)
    if len(phases) > 1:
        return None
    column = phases[0][1]
    used = -(-columns * n // lanes) * lanes
    if column.stride != 1 or column.o_step != 1 or columns * n < _FULL * used:
        return None
    if not _FEWEST <= n < lanes:
        return None
    before = max(0, -column.start)
    reach = column.positions - 1 + column.start + (column.taps - 1) * column.tap_step
    after = max(0, reach - (width - 1))
    row = (before + width + after) * n
    x_steps, o_steps = (0, height * row, row, n), (0, rows * used, used, n)
    return _Inner(n, 1, x_steps, o_steps, before, after, 0)


def _four(shape: Ints) -> Ints:
    return (*shape[:2], *(1,) * (4 - len(shape)), *shape[2:])


def _dense(array: Layout) -> bool:
    """Whether each image's elements lie in row-major order."""
    return Layout(array.shape[1:], array.strides[1:], array.dtype).contiguous


def convolutions(
    x: Layout,
    out: Layout,
    w_strides: Ints,
    phases: list[tuple[Axis, ...]],
    bias: bool,
    threads: int,
) -> list[Bound] | None:
    """The launches of a convolution, or of the phases of its adjoint; None where others serve.

    Args:
        w_strides: of group, output channel, channel, z, y, x in elements; there is one group.
        phases: the axes of each.
    """
    t = native.vector_type(x.itemsize)
    if t.lanes * t.itemsize < 32 or len(x.shape) > 4 or not (_dense(x) and _dense(out)):
        return None
    positions = max(math.prod(x.shape[2:]), math.prod(out.shape[2:]))
    if positions > _MOST_POSITIONS or out.shape[1] < 4 or not phases:
        return None
    pairs = [((NO_AXIS, *axes)[-2], axes[-1]) for axes in phases]
    inner = _inner(x, out, pairs, t.lanes)
    if inner is None:
        return None
    item = x.itemsize
    x_words = max(inner.x[0] * inner.chunks, inner.x[1] * x.shape[1]) + 4 * t.lanes
    o_place = -(-x_words * item // 64) * 64
    o_words = max(inner.o[0] * inner.chunks, inner.o[1] * out.shape[1])
    rest = (o_place, bias)
    launches = [
        _turn_in(x, inner, threads),
        *(_phase(x, out, w_strides, axes, inner, rest, threads) for axes in pairs),
        _turn_out(out, inner, o_place, threads),
    ]
    scratch = o_place + o_words * item
    return [launch._replace(scratch=scratch) for launch in launches]


def _turn_in(x: Layout, inner: _Inner, threads: int) -> Bound:
    n, c, height, width = _four(x.shape)
    xs = strides(x)
    if inner.vectors:
        values = {
            "as": inner.chunks,
            "bs": 1,
            "rows": inner.images,
            "columns": c * height * width,
            "all_rows": n,
            "s_a": inner.images * xs[0],
            "s_row": xs[0],
            "t_a": inner.x[0],
            "t_column": inner.images,
        }
        return turning(values, (0, 0), (SCRATCH, 0), x.itemsize, threads)
    values = {
        "as": c,
        "bs": height,
        "rows": n,
        "columns": width,
        "s_row": xs[0],
        "s_a": height * width,
        "s_b": width,
        "t_a": inner.x[1],
        "t_b": inner.x[2],
        "t_column": n,
        "before": inner.before,
        "after": inner.after,
    }
    place = inner.before * n * x.itemsize
    return turning(values, (0, 0), (SCRATCH, place), x.itemsize, threads)


def _turn_out(out: Layout, inner: _Inner, place: int, threads: int) -> Bound:
    n, k, rows, columns = _four(out.shape)
    step = strides(out)[0]
    if inner.vectors:
        values = {
            "as": inner.chunks,
            "bs": 1,
            "rows": k * rows * columns,
            "columns": inner.images,
            "all_columns": n,
            "s_a": inner.o[0],
            "s_row": inner.images,
            "t_a": inner.images * step,
            "t_column": step,
        }
    else:
        values = {
            "as": k,
            "bs": rows,
            "rows": columns,
            "columns": n,
            "s_row": n,
            "s_a": inner.o[1],
            "s_b": inner.o[2],
            "t_column": step,
            "t_a": rows * columns,
            "t_b": columns,
        }
    return turning(values, (SCRATCH, place), (3, 0), out.itemsize, threads)


def _inside(axis: Axis, position: int) -> tuple[int, int]:
    """The first tap that meets the input at a position, and the last + 1."""
    start = position * axis.stride + axis.start
    here = [m for m in range(axis.taps) if 0 <= start + m * axis.tap_step < axis.size]
    return (here[0], here[-1] + 1) if here else (0, 0)


def _pieces(column: Axis, inner: _Inner, lanes: int) -> list[tuple[int, ...]]:
    """What a row is cut into."""
    n = inner.images
    if inner.vectors:
        return [
            (
                *((j * column.stride + column.start) * n, (column.o_start + j * column.o_step) * n),
                *(*_inside(column, j), inner.vectors),
            )
            for j in range(column.positions)
        ]
    vectors = -(-column.positions * n // lanes)
    return [
        (
            *(v * lanes + (column.start + inner.before) * n, v * lanes),
            *(0, column.taps, min(2, vectors - v)),
        )
        for v in range(0, vectors, 2)
    ]


def _phase(
    x: Layout,
    out: Layout,
    w_strides: Ints,
    axes: tuple[Axis, Axis],
    inner: _Inner,
    rest: tuple[int, bool],
    threads: int,
) -> Bound:
    """The launch of one convolution."""
    t = native.vector_type(x.itemsize)
    y, column = axes
    c, k = x.shape[1], out.shape[1]
    panels = -(-k // (12 if many_registers() else 5))
    tile = Tile(-(-k // panels), inner.vectors or 2)
    panels = -(-k // tile.rows)
    taps = y.taps * column.taps
    blocks = -(-c * taps // _SUMMED)
    c_block = -(-c // blocks)
    rows = [
        (
            *((i * y.stride + y.start) * inner.x[2], (y.o_start + i * y.o_step) * inner.o[2]),
            *_inside(y, i),
        )
        for i in range(y.positions)
    ]
    pieces = _pieces(column, inner, t.lanes)
    values = {
        "chunks": inner.chunks,
        "panels": panels,
        "rows": len(rows),
        "pieces": len(pieces),
        "channels": c,
        "k": k,
        "c_block": c_block,
        **_units(inner, y, c_block * x.itemsize, panels, threads),
        "x_chunk": inner.x[0],
        "x_c": inner.x[1],
        "x_y": y.tap_step * inner.x[2],
        "x_x": column.tap_step * inner.x[3],
        "o_chunk": inner.o[0],
        "o_k": inner.o[1],
        "w_k": w_strides[1],
        "w_c": w_strides[2],
        "w_y": y.w_step * w_strides[4],
        "w_x": column.w_step * w_strides[5],
    }
    block, own = conv_batch.block(values, rows, pieces)
    field = conv_batch.FIELDS.index
    o_place, bias = rest
    base = y.w_start * w_strides[4] + column.w_start * w_strides[5]
    operands = [
        *((field("x"), SCRATCH, 0), (field("w"), 1, base * x.itemsize)),
        (field("out"), SCRATCH, o_place),
    ]
    if bias:
        operands.append((field("bias"), 2, 0))
    else:
        block, own = with_table(block, own, field("bias"), [0] * -(-k * x.itemsize // 8))
    work = x.shape[0] * y.positions * column.positions * taps * c * k
    units = values["units"]
    parts = min(threads if work > native.SHARED_WORK else 1, units)
    function = _function(x.itemsize, tile)
    return Bound(function, block, tuple(operands), own, (conv_batch.COUNT,), parts)


def _units(inner: _Inner, y: Axis, channel: int, panels: int, threads: int) -> dict[str, int]:
    """How the work is cut: so that what is read again stays in the cache.

    Args:
        channel: bytes of one element of all channels that are summed at once.
    """
    plane = channel * inner.x[1]
    chunk_unit = inner.chunks if plane * inner.chunks <= _SLICE_BYTES else 1
    row_unit = y.positions
    if plane > _SLICE_BYTES:
        halo = (y.taps - 1) * y.tap_step
        room = _SLICE_BYTES // (channel * inner.x[2]) - halo
        row_unit = max(1, min(row_unit, room // y.stride))
    row_units, chunk_units = -(-y.positions // row_unit), -(-inner.chunks // chunk_unit)
    shares = -(-4 * threads // (row_units * chunk_units)) if threads > 1 else 1
    panel_unit = -(-panels // shares)
    panel_units = -(-panels // panel_unit)
    return {
        "chunk_unit": chunk_unit,
        "row_unit": row_unit,
        "panel_unit": panel_unit,
        "row_units": row_units,
        "panel_units": panel_units,
        "units": row_units * chunk_units * panel_units,
    }
