"""What a convolution looks like to the compiled kernels: axes, scratch, sizes of blocks.

In: shapes, strides and attributes. Out: a `Plan`, made once for each combination: the kernels'
argument block without its pointers but with its tables of taps, and how much memory a call needs.
What one dimension looks like is an `Axis`; a plan has three of them, missing ones have size 1.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from rushlight.codegen import engine, native
from rushlight.compiler.kernels import conv_weight, depthwise
from rushlight.compiler.kernels.emit import VectorType
from rushlight.compiler.kernels.gemm import Tile, tile_for
from rushlight.compiler.kernels.windows import FIELDS, piece_area

__all__ = [
    "COUNTER",
    "FIELD",
    "NO_AXIS",
    "Axis",
    "Layout",
    "Plan",
    "PlanePlan",
    "PoolPlan",
    "Scratch",
    "adjoint_axes",
    "areas_of",
    "block_of",
    "contiguous",
    "fields_of",
    "forward_axis",
    "gather_plan",
    "many_registers",
    "max_plan",
    "plane_plan",
    "strides",
    "three_axes",
    "unit_of",
    "weight_places",
    "weight_plan",
    "with_table",
]

Ints = tuple[int, ...]
Owned = tuple[tuple[int, int], ...]


class Layout(NamedTuple):
    """How an array lies in memory; strides in elements, dtype NumPy's."""

    shape: Ints
    strides: Ints
    dtype: Any

    @property
    def size(self) -> int:
        """How many elements it has."""
        return math.prod(self.shape)

    @property
    def itemsize(self) -> int:
        """Bytes of an element."""
        return int(self.dtype.itemsize)

    @property
    def contiguous(self) -> bool:
        """Whether its elements follow each other in row-major order."""
        steps = zip(self.shape, self.strides, contiguous(self.shape), strict=True)
        return all([size == 1 or have == want for size, have, want in steps])


def contiguous(shape: Ints) -> Ints:
    """The strides of a new array of this shape."""
    return tuple([math.prod(shape[d + 1 :]) for d in range(len(shape))])


def strides(array: Layout) -> Ints:
    """Strides of image, channel, z, y, x: 0 for dimensions that are missing."""
    steps = array.strides
    return (*steps[:2], *(0,) * (5 - len(steps)), *steps[2:])


FIELD = {name: i for i, name in enumerate(FIELDS)}
COUNTER = len(FIELD)  # how many units were handed out stands behind the fields

# Sizes found by measurement on a core with 48 kB of L1 and 1 MB of L2.
_INPUT_BYTES = 512 << 10  # of a unit's input
_B_ROWS = 384  # rows of B that are multiplied at once
_LARGE_WEIGHT = 256 << 10  # weights from this size on are read once for several tiles
_SUMMED = 1024  # positions over which a weight's gradient sums before adding up lanes
_UNPACKED = 16  # output channels up to which a weight's gradient reads the input unpacked
_FILLED = 0.7  # if its rows fill vectors so far
_GRADIENT_BYTES = 512 << 10  # of G that is multiplied at once


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
    w_start: int = 0
    w_step: int = 1
    o_start: int = 0
    o_step: int = 1


NO_AXIS = Axis(1, 1, 1, 0, 1, 1)


def forward_axis(size: int, kernel: int, stride: int, padding: int, dilation: int) -> Axis:
    """A dimension of a convolution."""
    positions = (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
    return Axis(size, positions, stride, -padding, kernel, dilation)


def adjoint_axes(
    size: int, out: int, kernel: int, stride: int, padding: int, dilation: int
) -> list[Axis]:
    """The phases of the adjoint in one dimension, one an input position modulo the stride.

    Input h got a share of g[o] by tap k where h + padding = o * stride + k * dilation. In phase f,
    h + padding = f + stride * u and k * dilation = f + stride * j, hence o = u - j: a convolution
    of stride 1 by the taps that belong to the phase, taken backwards so that o grows with the tap.
    """
    found = []
    common = math.gcd(stride, dilation)
    for phase in range(stride):
        first = (phase - padding) % stride  # the phase's first input
        if first >= size:
            continue
        u = (first + padding - phase) // stride
        count = -(-(size - first) // stride)
        taps = [k for k in range(kernel) if (k * dilation - phase) % stride == 0]
        last = taps[-1] if taps else 0
        j = (last * dilation - phase) // stride
        steps = (dilation // common, last, -(stride // common))
        found.append(Axis(out, count, 1, u - j, len(taps), *steps, first, stride))
    return found


def _whole(a: Axis) -> bool:
    """Whether one tap reads all of this dimension, as it lies."""
    return (
        a.taps == a.stride == a.o_step == 1
        and a.start == a.o_start == a.w_start == 0
        and a.size == a.positions
    )


def three_axes(axes: list[Axis], x: Ints, out: Ints) -> tuple[Axis, Axis, Axis]:
    """The axes as z, y, x; a plane that is read as it lies becomes one row: long rows are fast.

    Args:
        x: strides of image, channel, z, y, x; likewise the output's.
    """
    z, y, column = [NO_AXIS] * (3 - len(axes)) + axes
    merges = x[3] == column.size * x[4] and out[3] == column.positions * out[4]
    if merges and _whole(y) and _whole(column):
        size = y.size * column.size
        return z, NO_AXIS, column._replace(size=size, positions=size)
    return z, y, column


class Plan(NamedTuple):
    """A planned call."""

    block: Any  # int64: the fields, the counter, the tables
    own: Owned  # which fields point to which words of the block
    w_base: int  # elements
    o_base: int
    packed_bytes: int  # of the weight
    part_bytes: int  # of one thread's scratch
    units: int
    work: int  # multiply-adds
    tile: Any
    direct: bool = False  # whether no columns are packed


class Scratch:
    """How a unit's input lies in the scratch, but for the number of its rows."""

    def __init__(self, axes: tuple[Axis, Axis, Axis], channels: int) -> None:
        z, y, x = axes
        self.places = [m * x.tap_step for m in range(x.taps)]
        self.channels = channels * z.taps
        self.phases = max(p % x.stride for p in self.places) + 1
        self.phase_width = x.positions + max(p // x.stride for p in self.places)
        self.row_words = self.phases * self.phase_width
        self.reach = (y.taps - 1) * y.tap_step + 1
        self.axes = axes

    def rows(self, unit_rows: int) -> int:
        """Rows of the scratch for this many output rows."""
        return (unit_rows - 1) * self.axes[1].stride + self.reach

    def words(self, unit_rows: int) -> int:
        """Elements of one image's scratch."""
        return self.channels * self.rows(unit_rows) * self.row_words

    def tap_places(self) -> list[int]:
        """Where each tap reads, from where its position starts."""
        _, y, x = self.axes
        columns = [p % x.stride * self.phase_width + p // x.stride for p in self.places]
        return [i * y.tap_step * self.row_words + c for i in range(y.taps) for c in columns]


def fields_of(
    scratch: Scratch, counts: Ints, x_strides: Ints, o_strides: Ints, unit: tuple[int, int]
) -> dict[str, int]:
    """The fields that all kernels share."""
    z, y, x = scratch.axes
    n, groups, channels, k = counts
    unit_images, unit_rows = unit
    plane_words = scratch.rows(unit_rows) * scratch.row_words
    values = dict(
        groups=groups, images=n * z.positions, planes=z.positions, channels=channels,
        depth=z.taps, taps=y.taps * x.taps, k=k, height=y.size, width=x.size, z_size=z.size,
        z_stride=z.stride, z_start=z.start, z_step=z.tap_step,
        y_stride=y.stride, y_start=y.start, x_start=x.start, rows=y.positions, columns=x.positions,
        unit_images=unit_images, unit_rows=unit_rows, bands=-(-y.positions // unit_rows),
        scratch_rows=scratch.rows(unit_rows), phase_width=scratch.phase_width,
        phases=scratch.phases, phase_stride=x.stride, row_words=scratch.row_words,
        plane_words=plane_words, image_words=scratch.channels * plane_words,
    )  # fmt: skip
    for name, stride in zip("ngczyx", x_strides, strict=True):
        values[f"x_{name}"] = stride
    steps = (1, 1, 1, z.o_step, y.o_step, x.o_step)
    for name, stride, step in zip("ngkzyx", o_strides, steps, strict=True):
        values[f"o_{name}"] = stride * step
    return values


def block_of(
    values: dict[str, int], tables: dict[str, Any], fields: tuple[str, ...] = FIELDS
) -> tuple[Any, Owned]:
    """An argument block: the fields, the counter, then tables to which fields point."""
    place = fields.index
    block = np.zeros(len(fields) + 1, np.int64)
    for name, value in values.items():
        block[place(name)] = value
    own: Owned = ((place("counter"), len(fields)),)
    for name, table in tables.items():
        block, own = with_table(block, own, place(name), np.reshape(table, -1))
    return block, own


def with_table(block: Any, own: Owned, word: int, table: Any) -> tuple[Any, Owned]:
    """The block with a table behind it to which a word points."""
    return np.concatenate([block, np.asarray(table, np.int64)]), (*own, (word, block.size))


def areas_of(*sizes: int) -> list[int]:
    """Where areas of these sizes in bytes start, each on a cache line, and where the last ends."""
    places = [0]
    for size in sizes:
        places.append(places[-1] + -(-size // 64) * 64)
    return places


def many_registers() -> bool:
    """Whether the host has 32 vector registers rather than 16."""
    host = engine.host()
    return host.vector_bytes == 64 or "aarch64" in host.triple or "arm64" in host.triple


# Forward, and the gradient of the input


def _tile(k: int) -> Tile:
    """The host's tile, with no more rows than divide the output channels evenly."""
    most = tile_for(many_registers())
    panels = -(-k // most.rows)
    return Tile(-(-k // panels), most.vectors)


def unit_of(
    t: VectorType, scratch: Scratch, images: int, groups: int, work: int, threads: int
) -> tuple[int, int]:
    """How many images, or rows of one image, make a unit: the cheapest by a simple model.

    Args:
        work: multiply-adds of one position.
    """
    _, y, x = scratch.axes
    budget = _INPUT_BYTES // t.itemsize
    rows = sorted({-(-y.positions // n) for n in range(1, y.positions + 1)})
    several = sorted({-(-images // n) for n in range(1, images + 1)})
    candidates = [(1, r) for r in rows] + [(m, y.positions) for m in several if m > 1]
    best, choice = math.inf, (1, 1)
    for m, r in candidates:
        words = m * scratch.words(r)
        if words > budget and (m, r) != (1, 1):
            continue
        vectors = -(-m * r * x.positions // t.lanes)
        units = -(-images // m) * -(-y.positions // r) * groups
        # copying costs about three operations a vector, a unit some hundred
        cost = -(-units // threads) * (vectors * work + 3 * words // t.lanes + 2000)
        if cost < best:
            best, choice = cost, (m, r)
    return choice


def _direct(t: VectorType, tile: Tile, panels: int, columns: int) -> bool:
    """Whether tiles should read the scratch itself, by the cost of one row of B a position.

    A multiply-add is half a cycle; packing takes about three cycles a piece.
    """
    piece = columns / -(-columns // t.lanes)
    products = panels * tile.rows / 2
    return products / piece < products / t.lanes + 3 / piece


def weight_places(axes: tuple[Axis, Axis, Axis], w_strides: Ints) -> list[int]:
    """Where each tap's weight lies, from that of the first."""
    _, y, x = axes
    rows = [i * y.w_step * w_strides[4] for i in range(y.taps)]
    return [row + j * x.w_step * w_strides[5] for row in rows for j in range(x.taps)]


def gather_plan(
    itemsize: int,
    axes: tuple[Axis, Axis, Axis],
    counts: Ints,
    x_strides: Ints,
    w_strides: Ints,
    o_strides: Ints,
    threads: int,
) -> Plan:
    """Plans a convolution.

    Args:
        counts: images, groups, channels and output channels of one group.
        x_strides: of image, group, channel, z, y, x in elements; likewise the output's.
        w_strides: of group, output channel, channel, z, y, x.
    """
    t = native.vector_type(itemsize)
    n, groups, channels, k = counts
    z, y, x = axes
    scratch = Scratch(axes, channels)
    tile = _tile(k)
    panels = -(-k // tile.rows)
    taps = y.taps * x.taps
    per_position = panels * tile.rows * scratch.channels * taps  # weights, and multiply-adds
    unit = unit_of(t, scratch, n * z.positions, groups, per_position, threads)
    direct = _direct(t, tile, panels, x.positions)
    values = fields_of(scratch, counts, x_strides, o_strides, unit)
    values.update(
        panels=panels,
        units=-(-values["images"] // unit[0]) * values["bands"] * groups,
        w_g=w_strides[0],
        w_k=w_strides[1],
        w_c=w_strides[2],
        w_z=z.w_step * w_strides[3],
        # measured: long runs of reading where channels follow each other, else short ones
        pack_unit=64 if w_strides[2] < w_strides[1] else 4,
    )
    values.update(_gather_memory(t, tile, values, direct, per_position * itemsize))
    return Plan(
        *block_of(values, {"tap_x": scratch.tap_places(), "tap_w": weight_places(axes, w_strides)}),
        sum(a.w_start * s for a, s in zip(axes, w_strides[3:], strict=True)),
        sum(a.o_start * s for a, s in zip(axes, o_strides[3:], strict=True)),
        groups * per_position * itemsize,
        values["scratch_words"],
        values["units"],
        values["images"] * y.positions * x.positions * groups * per_position,
        tile,
        direct,
    )


def _gather_memory(
    t: VectorType, tile: Tile, values: dict[str, int], direct: bool, weight_bytes: int
) -> dict[str, int]:
    """The blocks of B and C that are kept at one time, and where a thread's scratch holds them."""
    width = tile.vectors * t.lanes
    positions = values["unit_images"] * values["unit_rows"] * values["columns"]
    taps, channels = values["taps"], values["channels"] * values["depth"]
    c_block = min(max(1, _B_ROWS // taps), channels)
    tiles = min(4 if weight_bytes > _LARGE_WEIGHT else 1, -(-positions // width))
    b_words = 0 if direct else tiles * c_block * taps * width + t.lanes
    piece_words = piece_area(positions) if direct else tiles * piece_area(width)
    areas = areas_of(
        (values["unit_images"] * values["image_words"] + t.lanes) * t.itemsize,
        b_words * t.itemsize,
        tiles * values["panels"] * tile.rows * width * t.itemsize,
        piece_words * 8,
    )
    names = ("b_place", "c_place", "piece_place", "scratch_words")
    return {"tiles": tiles, "c_block": c_block, **dict(zip(names, areas[1:], strict=True))}


# The gradient of the weight


def _chunk(t: VectorType, scratch: Scratch, images: int) -> tuple[int, int]:
    """How many images, or rows of one image, are summed at once.

    Bits depend on it, so it may depend on shapes and the host alone, never on threads.
    """
    _, y, x = scratch.axes
    plane = y.positions * x.positions
    if plane >= _SUMMED:
        bands = -(-plane // _SUMMED)
        return 1, -(-y.positions // bands)
    chunks = -(-images // max(1, _SUMMED // plane))
    return -(-images // chunks), y.positions


def weight_plan(
    itemsize: int,
    axes: tuple[Axis, Axis, Axis],
    counts: Ints,
    x_strides: Ints,
    g_strides: Ints,
    threads: int,
) -> Plan:
    """Plans the gradient of a weight; arguments as in `gather_plan`, g is the output's gradient."""
    t = native.vector_type(itemsize)
    n, groups, channels, k = counts
    z, y, x = axes
    scratch = Scratch(axes, channels)
    taps = y.taps * x.taps
    row_count = scratch.channels * taps
    tile = conv_weight.tile_for(many_registers(), k, row_count)
    fill = x.positions / (-(-x.positions // t.lanes) * t.lanes)
    dense = g_strides[5] * x.o_step == 1 and t.lanes * t.itemsize >= 32
    if k <= _UNPACKED and fill >= _FILLED and dense:
        tile = conv_weight.direct_tile_for(many_registers(), k, row_count)
    panels, r_groups = -(-k // tile.rows), -(-row_count // tile.columns)
    unit = _chunk(t, scratch, n * z.positions)
    values = fields_of(scratch, counts, x_strides, g_strides, unit)
    positions = unit[0] * unit[1] * x.positions
    if positions > 2 * _SUMMED:  # long rows
        positions = _SUMMED
    padded = -(-positions // t.lanes) * t.lanes
    if padded * itemsize % 4096 == 0:  # else all rows would fall on the same lines of L1
        padded += t.lanes
    splits = 1 if groups >= 4 * threads else min(threads, r_groups)
    r_unit = -(-r_groups // splits)
    splits = -(-r_groups // r_unit)
    in_cache = _GRADIENT_BYTES // (padded * itemsize) // tile.rows
    k_panels = min(panels, max(1, in_cache))
    areas = areas_of(
        (unit[0] * values["image_words"] + t.lanes) * itemsize,
        (tile.columns * padded + t.lanes) * itemsize,
        r_unit * panels * conv_weight.slots(t, tile) * itemsize,
        piece_area(positions) * 8,
        (k_panels * tile.rows * padded + t.lanes) * itemsize,
    )
    values.update(
        panels=panels,
        units=groups * splits,
        splits=splits,
        r_groups=r_groups,
        r_unit=r_unit,
        padded=padded,
        block=positions,
        k_block=k_panels * tile.rows,
        chunks=-(-values["images"] // unit[0]) * values["bands"],
        b_place=areas[1],
        c_place=areas[2],
        piece_place=areas[3],
        a_place=areas[4],
        scratch_words=areas[5],
    )
    work = values["images"] * y.positions * x.positions * groups * k * row_count
    block = block_of(values, {"tap_x": scratch.tap_places()})
    return Plan(*block, 0, 0, 0, areas[5], groups * splits, work, tile)


# One channel a group


class PlanePlan(NamedTuple):
    """A planned convolution with one channel a group, or its weight's gradient."""

    block: Any
    own: Owned
    w_base: int
    o_base: int
    packed_bytes: int
    part_bytes: int
    units: int
    work: int


def plane_plan(
    itemsize: int,
    axes: tuple[Axis, Axis, Axis],
    counts: Ints,
    strides: tuple[Ints, Ints, Ints],
    sums: bool,
    threads: int,
) -> PlanePlan:
    """Plans a convolution with one channel a group; with `sums` the gradient of its weight.

    Args:
        axes: as for `gather_plan`; z must be of size 1.
        counts: images and channels.
        strides: as `gather_plan` takes them, of x, the weight, and the output (or its gradient).
    """
    t = native.vector_type(itemsize)
    n, channels = counts
    x_strides, w_strides, o_strides = strides
    _, y, x = axes
    scratch = Scratch(axes, 1)
    steps = (x_strides[0], 0, x_strides[1], *x_strides[3:])
    values = fields_of(scratch, (n, 1, channels, 1), steps, o_strides, (1, y.positions))
    words, taps = values["plane_words"], y.taps * x.taps
    c_unit = min(channels, max(1, _INPUT_BYTES // 4 // (words * itemsize)))
    per_thread = -(-channels // (2 * threads)) if sums else -(-n * channels // (4 * threads))
    c_unit = max(1, min(c_unit, per_thread))
    rounded = -(-taps // depthwise.TAPS) * depthwise.TAPS
    areas = areas_of(
        (c_unit * words + t.lanes) * itemsize, c_unit * rounded * t.lanes * itemsize * sums
    )
    c_units = -(-channels // c_unit)
    units = c_units if sums else n * c_units
    values.update(
        c_unit=c_unit,
        c_units=c_units,
        units=units,
        w_g=w_strides[0],
        c_place=areas[1],
        scratch_words=areas[2],
    )
    return PlanePlan(
        *block_of(values, {"tap_x": scratch.tap_places(), "tap_w": weight_places(axes, w_strides)}),
        sum(a.w_start * s for a, s in zip(axes, w_strides[3:], strict=True)),
        sum(a.o_start * s for a, s in zip(axes, o_strides[3:], strict=True)),
        0,
        areas[2],
        units,
        n * channels * y.positions * x.positions * taps,
    )


# Pooling


class PoolPlan(NamedTuple):
    """A planned pooling."""

    block: Any
    own: Owned
    part_bytes: int
    units: int
    work: int  # taps


def _first_inside(a: Axis) -> list[int]:
    """For each position the first of its elements that lies inside."""
    taps = [m * a.tap_step + a.start for m in range(a.taps)]
    starts = range(0, a.positions * a.stride, a.stride)
    return [next(s + m for m in taps if 0 <= s + m < a.size) for s in starts]


def max_plan(
    itemsize: int, axes: tuple[Axis, Axis], counts: Ints, x_strides: Ints, threads: int
) -> PoolPlan:
    """Plans a maximum pooling.

    Args:
        axes: y and x; every window sees an element.
        counts: images and channels.
        x_strides: of image, channel, z, y, x in elements.
    """
    t = native.vector_type(itemsize)
    n, channels = counts
    y, x = axes
    scratch = Scratch((NO_AXIS, y, x), 1)
    steps = (x_strides[0], 0, *x_strides[1:])
    values = fields_of(scratch, (n, 1, channels, 0), steps, (0,) * 6, (1, y.positions))
    plane_words = values["plane_words"]
    c_unit = min(channels, max(1, _INPUT_BYTES // 4 // (plane_words * itemsize)))
    c_unit = min(c_unit, -(-n * channels // (4 * threads)))
    c_units = -(-channels // c_unit)
    areas = areas_of((c_unit * plane_words + t.lanes) * itemsize, t.lanes * 16)
    values.update(
        c_unit=c_unit,
        c_units=c_units,
        units=n * c_units,
        piece_place=areas[1],
        scratch_words=areas[2],
    )
    taps = [i * y.tap_step * x.size + j * x.tap_step for i in range(y.taps) for j in range(x.taps)]
    rows, columns = _first_inside(y), _first_inside(x)
    padded = np.zeros(-(-len(columns) // t.lanes) * t.lanes + 2, np.int32)
    padded[: len(columns)] = columns
    tables = {
        "tap_x": scratch.tap_places(),
        "tap_index": taps,
        "first_row": rows,
        "first_column": padded[: len(padded) // 2 * 2].view(np.int64),
    }
    work = n * channels * y.positions * x.positions * len(taps)
    return PoolPlan(*block_of(values, tables), areas[2], n * c_units, work)
