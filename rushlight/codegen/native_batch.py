"""Convolutions of small planes with the images innermost: when they serve, and their launches.

In: layouts and axes. Out: launches of ``compiler/kernels/turn.py`` (the input, and back the
output) and ``conv_batch.py``. Operands are x, the weight, the bias, the output, as in
``native_conv.py``. Vectors run along chunks of images; taps that meet only padding are left out.
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
    block_of,
    many_registers,
    strides,
    with_table,
)
from rushlight.compiler.kernels import conv_batch, turn
from rushlight.compiler.kernels.gemm import Tile

__all__ = ["MOST_SCRATCH", "convolutions", "turn_function", "turning"]

_MOST_POSITIONS = 256  # of a plane: above, convolution by rows is as good
_FULL = 0.75  # least part of the vectors' lanes that must be of use
_SUMMED = 512  # products summed before a sum is added to memory
_SLICE_BYTES = 256 << 10  # of input that is read again and again
MOST_SCRATCH = 256 << 20  # bytes of turned arrays; larger problems take kernels that need none
_SHARED_WORDS = 1 << 15  # elements to turn from which a second thread is worth waking


@lru_cache(maxsize=64)
def _function(itemsize: int, tile: Tile, uneven: bool) -> int:
    t = native.vector_type(itemsize)
    engine.compile_ir(conv_batch.module(t, tile, uneven))
    return engine.address(conv_batch.name_of(t, tile, uneven))


@lru_cache(maxsize=4)
def turn_function(itemsize: int) -> int:
    """The address of the function that turns matrices."""
    t = native.vector_type(itemsize)
    engine.compile_ir(turn.module(t))
    return engine.address(turn.name_of(t))


class _Inner(NamedTuple):
    """How images lie innermost.

    Attributes:
        vectors: in a chunk of images.
        images: of a chunk.
        chunks: how many.
        x: steps of chunk, channel, row, column in elements.
        o: likewise of the output.
    """

    vectors: int
    images: int
    chunks: int
    x: Ints
    o: Ints


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


def _inner(x: Layout, out: Layout, lanes: int) -> _Inner | None:
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
            return _Inner(vectors, images, chunks, x_steps, o_steps)
    return None


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
    if positions > _MOST_POSITIONS or out.shape[1] < 4:
        return None
    pairs = [((NO_AXIS, *axes)[-2], axes[-1]) for axes in phases]
    inner = _inner(x, out, t.lanes)
    if inner is None:
        return None
    item = x.itemsize
    o_place = inner.x[0] * inner.chunks * item
    o_words = inner.o[0] * inner.chunks
    if o_place + o_words * item > MOST_SCRATCH:
        return None
    rest = (o_place, bias)
    launches = [
        _turn_in(x, inner, threads),
        *(_phase(x, out, w_strides, axes, inner, rest, threads) for axes in pairs),
        _turn_out(out, inner, o_place, threads),
    ]
    scratch = o_place + o_words * item
    return [launch._replace(scratch=scratch) for launch in launches]


def _turn_in(x: Layout, inner: _Inner, threads: int) -> Bound:
    n, step = x.shape[0], strides(x)[0]
    values = {
        "as": inner.chunks,
        "bs": 1,
        "rows": inner.images,
        "columns": math.prod(x.shape[1:]),
        "all_rows": n,
        "s_a": inner.images * step,
        "s_row": step,
        "t_a": inner.x[0],
        "t_column": inner.images,
    }
    return turning(values, (0, 0), (SCRATCH, 0), x.itemsize, threads)


def _turn_out(out: Layout, inner: _Inner, place: int, threads: int) -> Bound:
    n, step = out.shape[0], strides(out)[0]
    values = {
        "as": inner.chunks,
        "bs": 1,
        "rows": math.prod(out.shape[1:]),
        "columns": inner.images,
        "all_columns": n,
        "s_a": inner.o[0],
        "s_row": inner.images,
        "t_a": inner.images * step,
        "t_column": step,
    }
    return turning(values, (SCRATCH, place), (3, 0), out.itemsize, threads)


def _inside(axis: Axis, position: int) -> tuple[int, int]:
    """The first tap that meets the input at a position, and the last + 1."""
    start = position * axis.stride + axis.start
    here = [m for m in range(axis.taps) if 0 <= start + m * axis.tap_step < axis.size]
    return (here[0], here[-1] + 1) if here else (0, 0)


def _table(axis: Axis, x_step: int, o_step: int) -> list[tuple[int, ...]]:
    """For each position where x and the output start, and which taps meet x."""
    starts = [(i * axis.stride + axis.start) * x_step for i in range(axis.positions)]
    places = [(axis.o_start + i * axis.o_step) * o_step for i in range(axis.positions)]
    return [(starts[i], places[i], *_inside(axis, i)) for i in range(axis.positions)]


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
    y, column = axes
    c, k = x.shape[1], out.shape[1]
    taps = y.taps * column.taps
    work = out.shape[0] * k * y.positions * column.positions * taps * c
    if taps == 0:  # places that no window reaches: sums of nothing
        c = 1
    panels = -(-k // (12 if many_registers() else 5))
    tile = Tile(-(-k // panels), inner.vectors)
    missing = panels * tile.rows - k  # so many panels have one row less
    c_block = -(-c // max(1, -(-c * taps // _SUMMED)))
    values = {
        "chunks": inner.chunks,
        "panels": panels,
        "whole": panels - missing,
        "rows": y.positions,
        "columns": column.positions,
        "channels": c,
        "c_block": c_block,
        **_units(inner, y, c_block * x.itemsize, panels, threads),
        **_steps(inner, axes, w_strides),
    }
    tables = [_table(a, *steps) for a, *steps in zip(axes, inner.x[2:], inner.o[2:], strict=True)]
    named = dict(zip(("row_table", "column_table"), tables, strict=True))
    block, own = block_of(values, named, conv_batch.FIELDS)
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
    parts = min(threads if work > native.SHARED_WORK else 1, values["units"])
    function = _function(x.itemsize, tile, missing > 0)
    return Bound(function, block, tuple(operands), own, (conv_batch.COUNT,), parts)


def _steps(inner: _Inner, axes: tuple[Axis, Axis], w_strides: Ints) -> dict[str, int]:
    """How far apart chunks, channels and taps lie."""
    y, column = axes
    return {
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
