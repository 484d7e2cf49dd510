"""The gradient of a convolution's weight by vectors that run along the output channels.

    dW[k, c, tap] = sum over n, i, j of G[n, k, i, j] * X[n, c, i * y_stride + ..., j * ...]

G has been turned (``turn.py``) so that a block of output channels is innermost:
G[block][n][i][j][k]. X is read where it lies, one number at a time; only positions that meet the
input are visited:

    for unit (a block of output channels, `rows` input channels), shared by the threads:
        for chunk of images, or of rows of an image; always in this order:
            for tap:
                for n, i, j:    acc[r][v] += X[n, c + r, i, j, tap] * G[block][n][i][j][v]
                sums[r][tap][k] = acc, or added to what earlier chunks gave
        turn the sums into dW

The last panel of input channels begins so that it ends at the last channel: what it has in common
with the panel before is computed twice, to the same bits.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.compiler.kernels.emit import Function, Value, VectorType, declarations
from rushlight.compiler.kernels.gemm import Tile
from rushlight.compiler.kernels.turn import square_function
from rushlight.compiler.kernels.windows import PARAMETERS

__all__ = ["COUNT", "FIELDS", "block", "module", "name_of"]

FIELDS = (
    *("x", "g", "out", "scratch", "counter", "row_table", "column_table"),
    *("channels", "k", "panels", "units", "images", "rows", "y_taps", "x_taps"),
    *("chunk_images", "chunk_rows", "scratch_words"),
    *("x_n", "x_c", "x_y", "x_x", "x_y_tap", "x_x_tap", "x_start"),
    *("g_block", "g_n", "g_y", "g_x"),
)
COUNT = len(FIELDS)  # how many units were handed out stands behind the fields


def name_of(t: VectorType, tile: Tile) -> str:
    """The name of the function."""
    return f"rl_weight_rows_{t.tag}_{tile.rows}x{tile.vectors}"


def block(
    values: dict[str, int], rows: list[tuple[int, int]], columns: list[tuple[int, int]]
) -> tuple[Any, tuple[tuple[int, int], ...]]:
    """The argument block without pointers to arrays, and its pointers to its own words.

    Args:
        rows: for each row of taps the first position that meets the input, and the last + 1.
        columns: likewise.
    """
    words = np.zeros(COUNT + 1, np.int64)
    for name, value in values.items():
        words[FIELDS.index(name)] = value
    tables = [np.array(table, np.int64).reshape(-1) for table in (rows, columns)]
    starts = (COUNT, COUNT + 1, COUNT + 1 + tables[0].size)
    names = ("counter", "row_table", "column_table")
    own = tuple([(FIELDS.index(n), start) for n, start in zip(names, starts, strict=True)])
    return np.concatenate([words, *tables]), own


def module(t: VectorType, tile: Tile) -> str:
    """The IR for a vector type and a tile."""
    name = name_of(t, tile)
    return "".join(
        [
            declarations(t),
            square_function(f"{name}_square", t),
            _inner(f"{name}_inner", t, tile),
            _gradient(name, t, tile),
        ]
    )


def _inner(name: str, t: VectorType, tile: Tile) -> str:
    """The sums of a tile for one tap over some images, rows and columns."""
    parameters = (
        *(("ptr", "arguments"), ("ptr", "x"), ("ptr", "g"), ("ptr", "sums"), ("i64", "taps")),
        *(("i64", "images"), ("i64", "rows"), ("i64", "columns"), ("i1", "first")),
    )
    f = Function(name, parameters, FIELDS, internal=True)
    x_steps, g_steps = ([f.field(f"{a}_{d}") for d in "nyx"] for a in "xg")
    x_c = f.field("x_c")
    twice = f.mul(x_c, 2)
    places = [(r, v) for r in range(tile.rows) for v in range(tile.vectors)]
    totals: list[str] = ["zeroinitializer"] * len(places)
    loops = []
    x, g = "%x", "%g"
    for stop in ("%images", "%rows", "%columns"):
        carried: list[tuple[str, Value]] = [("i64", 0), ("ptr", x), ("ptr", g)]
        loop = f.begin(carried + [(t.vector, s) for s in totals])
        f.test(loop, f.compare("slt", loop.values[0], stop))
        x, g, totals = loop.values[1], loop.values[2], loop.values[3:]
        loops.append(loop)
    data = [
        f.load(t.vector, f.at(t.scalar, g, v * t.lanes), t.itemsize) for v in range(tile.vectors)
    ]
    total = dict(zip(places, totals, strict=True))
    group = x
    for r in range(tile.rows):
        if r and r % 3 == 0:
            group = f.at(t.scalar, group, f.add(twice, x_c))
        place = [group, f.at(t.scalar, group, x_c), f.at(t.scalar, group, twice)][r % 3]
        factor = f.splat(t, f.load(t.scalar, place))
        for v in range(tile.vectors):
            total[r, v] = f.fma(t, factor, data[v], total[r, v])
    after = [total[place] for place in places]
    for depth in (2, 1, 0):
        i, x, g = loops[depth].values[:3]
        steps = (x_steps[depth], g_steps[depth])
        x, g = (f.at(t.scalar, p, step) for p, step in zip((x, g), steps, strict=True))
        f.end(loops[depth], [f.add(i, 1), x, g, *after])
        after = loops[depth].values[3:]
    row = f.mul("%taps", tile.vectors * t.lanes)
    targets = [f.at(t.scalar, "%sums", f.add(f.mul(row, r), v * t.lanes)) for r, v in places]
    with f.when("%first"):
        for target, value in zip(targets, after, strict=True):
            f.store(t.vector, value, target, t.itemsize)
    with f.when(f.otherwise("%first")):
        for target, value in zip(targets, after, strict=True):
            old = f.load(t.vector, target, t.itemsize)
            f.store(t.vector, f.op(f"fadd {t.vector} {old}, {value}"), target, t.itemsize)
    return f.text()


def _gradient(name: str, t: VectorType, tile: Tile) -> str:
    """The loop over units; see the file's head."""
    f = Function(name, PARAMETERS, FIELDS)
    width = tile.vectors * t.lanes
    channels, k_all = f.field("channels"), f.field("k")
    y_taps, x_taps = f.field("y_taps"), f.field("x_taps")
    taps = f.mul(y_taps, x_taps)
    sums = f.at("i8", f.field("scratch", "ptr"), f.mul("%part", f.field("scratch_words")))
    with f.claim(f.field("counter", "ptr"), f.field("units")) as unit:
        number, panel = f.divide(unit, f.field("panels"))
        c0 = f.least(f.mul(panel, tile.rows), f.sub(channels, tile.rows))
        k0 = f.mul(number, width)
        place = f.add(f.mul(c0, f.field("x_c")), f.field("x_start"))
        x = f.at(t.scalar, f.field("x", "ptr"), place)
        g = f.at(t.scalar, f.field("g", "ptr"), f.mul(number, f.field("g_block")))
        with (
            f.loop(0, f.field("images"), f.field("chunk_images")) as image,
            f.loop(0, f.field("rows"), f.field("chunk_rows")) as row,
            f.loop(0, y_taps) as y_tap,
            f.loop(0, x_taps) as x_tap,
        ):
            _tap(f, name, t, width, (x, g, sums, image, row, y_tap, x_tap, x_taps, taps))
        columns = f.least(width, f.sub(k_all, k0))
        o_k = f.mul(channels, taps)
        count = f.mul(taps, tile.rows)
        out = f.at(t.scalar, f.field("out", "ptr"), f.mul(k0, o_k), f.mul(c0, taps))
        with f.loop(0, count, t.lanes) as r, f.loop(0, columns, t.lanes) as q:
            left = f.sub(count, r)
            f.call(
                f"{name}_square",
                ("ptr", f.at(t.scalar, sums, f.add(f.mul(r, width), q))),
                ("ptr", f.at(t.scalar, out, f.add(f.mul(q, o_k), r))),
                *(("i64", width), ("i64", o_k)),
                *(("i64", left), ("i64", f.sub(columns, q)), ("i64", left)),
            )
    return f.text()


def _tap(f: Function, name: str, t: VectorType, width: int, where: tuple[Value, ...]) -> None:
    """One tap of one chunk."""
    x, g, sums, image, row, y_tap, x_tap, x_taps, taps = where
    low, high, start, stop = (
        f.load("i64", f.at("i64", f.field(table, "ptr"), f.add(f.mul(tap, 2), end)))
        for table, tap in (("row_table", y_tap), ("column_table", x_tap))
        for end in (0, 1)
    )
    row_end = f.add(row, f.field("chunk_rows"))
    first_row = f.greatest(low, row)
    rows = f.sub(f.least(high, row_end), first_row)
    images = f.least(f.field("chunk_images"), f.sub(f.field("images"), image))
    x_place = f.add(
        f.mul(image, f.field("x_n")),
        *(f.mul(y_tap, f.field("x_y_tap")), f.mul(x_tap, f.field("x_x_tap"))),
        *(f.mul(first_row, f.field("x_y")), f.mul(start, f.field("x_x"))),
    )
    g_place = f.add(
        f.mul(image, f.field("g_n")),
        *(f.mul(first_row, f.field("g_y")), f.mul(start, f.field("g_x"))),
    )
    tap = f.add(f.mul(y_tap, x_taps), x_tap)
    f.call(
        f"{name}_inner",
        *(("ptr", "%arguments"), ("ptr", f.at(t.scalar, str(x), x_place))),
        ("ptr", f.at(t.scalar, str(g), g_place)),
        ("ptr", f.at(t.scalar, str(sums), f.mul(tap, width))),
        *(("i64", taps), ("i64", images), ("i64", rows), ("i64", f.sub(stop, start))),
        ("i1", f.compare("eq", f.op(f"or i64 {image}, {row}"), 0)),
    )
