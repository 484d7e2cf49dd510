"""Convolutions by vectors along the output channels: when they serve, and their launches.

In: axes, counts and strides as `native_plans.gather_plan` takes them. Out: launches of
``compiler/kernels/conv_pixels.py``, and of ``turn.py`` where that packs the weight.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

from rushlight.codegen import engine, native
from rushlight.codegen.bound import SCRATCH, Bound
from rushlight.codegen.native_batch import turning
from rushlight.codegen.native_plans import (
    COUNTER,
    FIELD,
    Axis,
    Ints,
    Scratch,
    areas_of,
    block_of,
    fields_of,
    many_registers,
    unit_of,
    weight_places,
    with_table,
)
from rushlight.compiler.kernels import conv_pixels
from rushlight.compiler.kernels.conv_pixels import PixelTile

__all__ = ["convolution"]

_SUMMED = 512  # products summed before a sum is added to memory
_LEAST = 128  # products a sum: for fewer, turning the results costs too much
_MOST_ROWS = 64  # of planes where a tile has two rows: they are not cut in bands
_FULL = 0.7  # least part of the multiply-adds that must be of use
_SHARED_PACK = 1 << 16  # packed weights from which threads share the packing


class Geometry(NamedTuple):
    """A convolution as `native_plans.gather_plan` takes it."""

    axes: tuple[Axis, Axis, Axis]
    counts: Ints  # images, groups, channels and output channels of a group
    x: Ints  # strides of image, group, channel, z, y, x
    w: Ints  # of group, output channel, channel, z, y, x
    out: Ints


@lru_cache(maxsize=64)
def _function(itemsize: int, tile: PixelTile) -> int:
    t = native.vector_type(itemsize)
    engine.compile_ir(conv_pixels.module(t, tile))
    return engine.address(conv_pixels.name_of(t, tile))


@lru_cache(maxsize=8)
def _pack_function(itemsize: int, vectors: int) -> int:
    t = native.vector_type(itemsize)
    engine.compile_ir(conv_pixels.pack_module(t, vectors))
    return engine.address(conv_pixels.pack_name(t, vectors))


def _tile(lanes: int, rows: int, columns: int, k: int) -> PixelTile | None:
    """The tile for planes of this size, None if too much of it would be idle."""
    most = min(14 if many_registers() else 6, lanes)
    pixels = -(-columns // -(-columns // most))
    tall = 2 if pixels < 6 and 1 < rows <= _MOST_ROWS else 1
    vectors = 2 if -(-k // lanes) % 2 == 0 or k > 4 * lanes else 1
    full = columns / (-(-columns // pixels) * pixels) * rows / (-(-rows // tall) * tall)
    full *= k / (-(-k // (vectors * lanes)) * vectors * lanes)
    if full < _FULL or pixels * tall * vectors < 8:
        return None
    return PixelTile(tall, pixels, vectors)


def _taps(y: Axis, each: int, position: int) -> tuple[int, int]:
    """The first tap whose row meets the input, and the last + 1; all if there is none."""
    start = position * y.stride + y.start
    here = [m for m in range(y.taps) if 0 <= start + m * y.tap_step < y.size] or range(y.taps)
    return here[0] * each, (here[-1] + 1) * each


def convolution(itemsize: int, how: Geometry, bias: bool, threads: int) -> list[Bound] | None:
    """The launches of a convolution; operands are x, the weight, the bias, the output."""
    t = native.vector_type(itemsize)
    n, groups, channels, k = how.counts
    z, y, column = how.axes
    tile = _tile(t.lanes, y.positions, column.positions, k)
    products = channels * math.prod([a.taps for a in how.axes])
    if t.lanes * t.itemsize < 32 or tile is None or products < _LEAST:
        return None
    width = tile.vectors * t.lanes
    panels = -(-k // width)
    taps = y.taps * column.taps
    scratch = Scratch(how.axes, channels)
    position = panels * width * scratch.channels * taps  # multiply-adds
    unit = unit_of(t, scratch, n * z.positions, groups, position, threads)
    if tile.rows > 1:  # a band could be lower than a tile
        unit = unit[0], y.positions
    values = fields_of(scratch, how.counts, how.x, how.out, unit)
    blocks = -(-scratch.channels * taps // _SUMMED)
    tiles = -(-column.positions // tile.pixels)
    lines = -(-unit[1] // tile.rows)
    areas = areas_of(
        (unit[0] * values["image_words"] + t.lanes) * itemsize,
        unit[0] * lines * tiles * tile.rows * tile.pixels * width * itemsize,
    )
    values.update(
        panels=panels,
        units=-(-values["images"] // unit[0]) * values["bands"] * groups,
        tiles=tiles,
        c_block=-(-scratch.channels // blocks),
        c_place=areas[1],
        scratch_words=areas[2],
        w_g=how.w[0],
        w_k=how.w[1],
        w_c=how.w[2],
        w_z=z.w_step * how.w[3],
        pack_unit=64 if how.w[2] < how.w[1] else 4,
    )
    tables = {
        "tap_x": scratch.tap_places(),
        "tap_w": weight_places(how.axes, how.w),
        "first_row": [end for i in range(y.positions) for end in _taps(y, column.taps, i)],
    }
    return _launches(itemsize, how, tile, block_of(values, tables), position, bias, threads)


def _launches(
    itemsize: int,
    how: Geometry,
    tile: PixelTile,
    block_own: tuple[Any, Any],
    products: int,
    bias: bool,
    threads: int,
) -> list[Bound]:
    block, own = block_own
    _, groups, _, k = how.counts
    units = int(block[FIELD["units"]])
    positions = int(block[FIELD["images"]]) * how.axes[1].positions * how.axes[2].positions
    work = products * positions * groups
    parts = min(threads if work > native.SHARED_WORK else 1, units)
    packed = -(-groups * products * itemsize // 64) * 64
    w_base = sum([a.w_start * s for a, s in zip(how.axes, how.w[3:], strict=True)])
    o_base = sum([a.o_start * s for a, s in zip(how.axes, how.out[3:], strict=True)])
    operands = [
        (FIELD["x"], 0, 0),
        (FIELD["w"], 1, w_base * itemsize),
        (FIELD["out"], 3, o_base * itemsize),
        (FIELD["packed"], SCRATCH, 0),
        (FIELD["scratch"], SCRATCH, packed),
    ]
    if bias:
        operands.append((FIELD["bias"], 2, 0))
    else:
        zeros = [0] * -(-k * groups * itemsize // 8)
        block, own = with_table(block, own, FIELD["bias"], zeros)
    rest = (block, tuple(operands), own, (COUNTER,))
    convolve = _function(itemsize, tile)
    scratch = packed + parts * int(block[FIELD["scratch_words"]])
    first = _turned_weight(itemsize, how, tile, threads)
    if first is None:
        packers = threads if products * groups > _SHARED_PACK else 1
        pack = _pack_function(itemsize, tile.vectors)
        first = Bound(pack, *rest, packers, scratch)
    return [first._replace(scratch=scratch), Bound(convolve, *rest, parts, scratch)]


def _turned_weight(itemsize: int, how: Geometry, tile: PixelTile, threads: int) -> Bound | None:
    """The launch that packs a weight by turning it, if it is whole: as it lies, or flipped."""
    z, y, column = how.axes
    _, groups, channels, k = how.counts
    w = how.w
    taps = y.taps * column.taps
    if groups > 1 or z.taps > 1 or w[5] != 1 or w[4] != column.taps:
        return None
    width = tile.vectors * native.vector_type(itemsize).lanes
    panels = -(-k // width)
    values = {
        "as": panels,
        "rows": width,
        "all_rows": k,
        "full": width,
        "s_a": width * w[1],
        "s_row": w[1],
        "t_a": channels * taps * width,
    }
    ahead, back = (
        all(
            [a.taps == 1 or a.w_step == step for a in (y, column)]
            + [a.w_start == (a.taps - 1 if step < 0 else 0) for a in (y, column)]
        )
        for step in (1, -1)
    )
    if ahead and w[2] == taps:
        values |= {"bs": 1, "columns": channels * taps, "t_column": width}
        return turning(values, (1, 0), (SCRATCH, 0), itemsize, threads)
    if not (ahead or back):
        return None
    values |= {"bs": channels, "s_b": w[2], "t_b": taps * width, "columns": taps}
    values["t_column"] = width if ahead else -width
    last = 0 if ahead else (taps - 1) * width * itemsize
    return turning(values, (1, 0), (SCRATCH, last), itemsize, threads)
