"""The gradient of a convolution's weight by vectors along the output channels: its launches.

In: layouts and axes. Out: launches of ``compiler/kernels/turn.py`` (the output's gradient) and
``weight_rows.py``. Operands are the output's gradient, the input, the weight's gradient.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

from rushlight.codegen import engine, native
from rushlight.codegen.bound import SCRATCH, Bound
from rushlight.codegen.native_batch import MOST_SCRATCH, turning
from rushlight.codegen.native_plans import (
    NO_AXIS,
    Axis,
    Ints,
    Layout,
    block_of,
    many_registers,
    strides,
)
from rushlight.compiler.kernels import weight_rows
from rushlight.compiler.kernels.gemm import Tile

__all__ = ["weight_gradient"]

_SUMMED = 1024  # positions summed before a sum is added to memory
_UNITS = 8  # wanted: with fewer, images are split
_FEW = 4  # input channels: fewer need four vectors, or sums wait for each other
_FULL = 0.7  # least part of the lanes that must be of use


@lru_cache(maxsize=64)
def _functions(itemsize: int, tile: Tile) -> tuple[int, int]:
    t = native.vector_type(itemsize)
    engine.compile_ir(weight_rows.module(t, tile))
    gradient, total = weight_rows.names(t, tile)
    return engine.address(gradient), engine.address(total)


def _meeting(axis: Axis) -> list[tuple[int, int]]:
    """For each tap the first position that meets the input, and the last + 1."""
    found = []
    for m in range(axis.taps):
        offset = axis.start + m * axis.tap_step
        first = max(0, -(offset // axis.stride))
        last = min(axis.positions, (axis.size - 1 - offset) // axis.stride + 1)
        found.append((first, last) if last > first else (0, 0))
    return found


class _Cut(NamedTuple):
    """How the work is cut.

    Attributes:
        tile: input channels of a panel, and vectors of output channels of a block.
        panels: of input channels.
        blocks: of output channels.
        splits: parts of the images, whose sums are added up afterwards.
        split_images: images of one of them.
        chunk_images: images whose sums are added to memory at once.
        chunk_rows: likewise rows.
    """

    tile: Tile
    panels: int
    blocks: int
    splits: int
    split_images: int
    chunk_images: int
    chunk_rows: int

    @property
    def units(self) -> int:
        """How many units of work there are."""
        return self.panels * self.blocks * self.splits


def weight_gradient(
    g: Layout, x: Layout, axes: tuple[Axis, Axis, Axis], threads: int
) -> list[Bound] | None:
    """The launches for one group; None where others serve."""
    t = native.vector_type(x.itemsize)
    if t.lanes * t.itemsize < 32 or axes[0] != NO_AXIS:
        return None
    cut = _cut(g, x, axes, t.lanes, threads)
    turned = cut and _gradient(g, axes, cut.tile.vectors * t.lanes, threads)
    if cut is None or turned is None:
        return None
    launches, steps, place, g_bytes = turned
    taps = axes[1].taps * axes[2].taps
    sums = cut.tile.rows * taps * cut.tile.vectors * t.lanes * x.itemsize
    values = {
        **_values(g, x, axes, cut),
        **dict(zip(("g_block", "g_n", "g_y", "g_x"), steps, strict=True)),
        "scratch_words": sums,
    }
    tables = {"row_table": _meeting(axes[1]), "column_table": _meeting(axes[2])}
    block, own = block_of(values, tables, weight_rows.FIELDS)
    work = g.size * taps * x.shape[1]
    parts = min(threads if work > native.SHARED_WORK else 1, cut.units)
    field = weight_rows.FIELDS.index
    operands = (
        *((field("x"), 1, 0), (field("g"), *place), (field("out"), 2, 0)),
        (field("scratch"), SCRATCH, g_bytes),
    )
    scratch = g_bytes + (parts if cut.splits == 1 else cut.units) * sums
    gradient, total = _functions(x.itemsize, cut.tile)
    launch = Bound(gradient, block, operands, own, (weight_rows.COUNT,), parts, scratch)
    launches = [*[b._replace(scratch=scratch) for b in launches], launch]
    if cut.splits > 1:
        launches.append(launch._replace(kernel=total, parts=min(parts, cut.panels * cut.blocks)))
    return launches


def _cut(
    g: Layout, x: Layout, axes: tuple[Axis, Axis, Axis], lanes: int, threads: int
) -> _Cut | None:
    """How the work is cut, None where this kernel is no good."""
    c, k = x.shape[1], g.shape[1]
    vectors = 2 if k > lanes else 1
    if c < _FEW:
        if c < 3 or k % (4 * lanes) or not many_registers():
            return None
        vectors = 4
    blocks = -(-k // (vectors * lanes))
    if k < _FULL * blocks * vectors * lanes:
        return None
    plane = axes[1].positions * axes[2].positions
    chunk_images = max(1, _SUMMED // plane)
    whole = plane <= _SUMMED
    chunk_rows = axes[1].positions if whole else max(1, _SUMMED // axes[2].positions)
    fewest = -(-c // (12 if many_registers() else 5))  # panels
    splits, split_images = _split(x.shape[0], chunk_images, fewest * blocks)
    rows = _rows(c, fewest, vectors, blocks * splits, threads)
    tile = Tile(rows, vectors)
    return _Cut(tile, -(-c // rows), blocks, splits, split_images, chunk_images, chunk_rows)


def _values(g: Layout, x: Layout, axes: tuple[Axis, Axis, Axis], cut: _Cut) -> dict[str, int]:
    """The fields that do not depend on how the output's gradient lies."""
    _, y, column = axes
    xs = strides(x)
    return {
        "channels": x.shape[1],
        "k": g.shape[1],
        "panels": cut.panels,
        "units": cut.units,
        "images": x.shape[0],
        "rows": y.positions,
        "y_taps": y.taps,
        "x_taps": column.taps,
        "chunk_images": cut.chunk_images,
        "chunk_rows": cut.chunk_rows,
        "splits": cut.splits,
        "split_images": cut.split_images,
        "x_n": xs[0],
        "x_c": xs[1],
        "x_y": y.stride * xs[3],
        "x_x": column.stride * xs[4],
        "x_y_tap": y.tap_step * xs[3],
        "x_x_tap": column.tap_step * xs[4],
        "x_start": y.start * xs[3] + column.start * xs[4],
    }


def _rows(c: int, fewest: int, vectors: int, others: int, threads: int) -> int:
    """Input channels of a panel: as many as fit, but so that all threads have work.

    Args:
        fewest: panels.
        others: units of one panel.
    """

    def cost(panels: int) -> float:
        rows = -(-c // panels)
        step = max(rows * vectors, rows + vectors, 8)  # of the inner kernel
        return -(-panels * others // threads) * step

    return -(-c // min(range(fewest, fewest + threads), key=cost))


def _split(images: int, chunk: int, units: int) -> tuple[int, int]:
    """Into how many parts the images are split, and how many images a part has: whole chunks."""
    chunks = -(-images // chunk)
    each = -(-chunks // min(chunks, -(-_UNITS // units))) * chunk
    return -(-images // each), each


def _gradient(
    g: Layout, axes: tuple[Axis, Axis, Axis], width: int, threads: int
) -> tuple[list[Bound], Ints, tuple[int, int], int] | None:
    """The gradient with the output channels innermost, None if it does not lie in planes.

    Returns:
        launches; strides of block, image, row, column; operand and offset; bytes of scratch.
    """
    n, k = g.shape[:2]
    _, y, column = axes
    gs = strides(g)
    if gs[1] == 1 and k % width == 0:  # as it lies
        return [], (width, gs[0], gs[3], gs[4]), (0, 0), 0
    if not Layout(g.shape[2:], g.strides[2:], g.dtype).contiguous:
        return None
    plane = y.positions * column.positions
    blocks = -(-k // width)
    size = math.prod((blocks, n, plane, width)) * g.itemsize
    if size > MOST_SCRATCH:
        return None
    values = {
        "as": blocks,
        "bs": n,
        "rows": width,
        "columns": plane,
        "all_rows": k,
        "s_a": width * gs[1],
        "s_b": gs[0],
        "s_row": gs[1],
        "t_a": n * plane * width,
        "t_b": plane * width,
        "t_column": width,
    }
    launch = turning(values, (0, 0), (SCRATCH, 0), g.itemsize, threads)
    steps = (n * plane * width, plane * width, column.positions * width, width)
    return [launch], steps, (SCRATCH, 0), -(-size // 64) * 64
