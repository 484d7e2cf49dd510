"""The gradient of a convolution's weight by vectors that run along the output channels.

    dW[k, c, tap] = sum over n, i, j of G[n, k, i, j] * X[n, c, i * y_stride + ..., j * ...]

G has been turned (``turn.py``) so that a block of output channels is innermost:
G[block][n][i][j][k]. X is read where it lies, one number at a time; only positions that meet the
input are visited:

    for unit (some images, a block of output channels, `rows` input channels), handed to whichever
    thread asks next:
        for chunk of images, or of rows of an image; always in this order:
            for tap:
                for n, i, j:    acc[r][v] += X[n, c + r, i, j, tap] * G[block][n][i][j][v]
                sums[r][tap][k] = acc, or added to what earlier chunks gave
        turn the sums into dW

Where there are few channels the images are split; then a second kernel adds up the units' sums, in
order, and turns them. How they are split depends on shapes alone.

The last panel of input channels begins so that it ends at the last channel: what it has in common
with the panel before is computed twice, to the same bits.
"""

from __future__ import annotations

from rushlight.compiler.kernels.emit import Function, Value, VectorType, declarations
from rushlight.compiler.kernels.gemm import Tile, tile_sums
from rushlight.compiler.kernels.turn import square_function
from rushlight.compiler.kernels.windows import PARAMETERS

__all__ = ["COUNT", "FIELDS", "module", "names"]

FIELDS = (
    *("x", "g", "out", "scratch", "counter", "row_table", "column_table"),
    *("channels", "k", "panels", "units", "images", "rows", "y_taps", "x_taps"),
    *("chunk_images", "chunk_rows", "scratch_words", "splits", "split_images"),
    *("x_n", "x_c", "x_y", "x_x", "x_y_tap", "x_x_tap", "x_start"),
    *("g_block", "g_n", "g_y", "g_x"),
)
COUNT = len(FIELDS)  # how many units were handed out stands behind the fields


def names(t: VectorType, tile: Tile) -> tuple[str, str]:
    """The names of the function and of the one that adds up what it leaves of split images."""
    name = f"rl_weight_rows_{t.tag}_{tile.rows}x{tile.vectors}"
    return name, f"{name}_total"


def module(t: VectorType, tile: Tile) -> str:
    """The IR of both functions for a vector type and a tile."""
    name, total = names(t, tile)
    return "".join(
        [
            declarations(t),
            square_function(f"{name}_square", t),
            _inner(f"{name}_inner", t, tile),
            _write(f"{name}_write", t, tile),
            _gradient(name, t, tile),
            _total(total, name, t, tile),
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
    places = [(r, v) for r in range(tile.rows) for v in range(tile.vectors)]
    bounds: list[tuple[Value, Value]] = [(0, "%images"), (0, "%rows"), (0, "%columns")]
    after = tile_sums(f, t, tile, ("%g", "%x"), bounds, (g_steps, x_steps), f.field("x_c"))
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


def _write(name: str, t: VectorType, tile: Tile) -> str:
    """dW from the sums of a block and a panel."""
    parameters = (("ptr", "arguments"), ("ptr", "sums"), ("i64", "number"), ("i64", "panel"))
    f = Function(name, parameters, FIELDS, internal=True)
    width = tile.vectors * t.lanes
    channels = f.field("channels")
    taps = f.mul(f.field("y_taps"), f.field("x_taps"))
    k0 = f.mul("%number", width)
    c0 = f.least(f.mul("%panel", tile.rows), f.sub(channels, tile.rows))
    columns = f.least(width, f.sub(f.field("k"), k0))
    o_k, count = f.mul(channels, taps), f.mul(taps, tile.rows)
    out = f.at(t.scalar, f.field("out", "ptr"), f.add(f.mul(k0, o_k), f.mul(c0, taps)))
    with f.loop(0, count, t.lanes) as r, f.loop(0, columns, t.lanes) as q:
        left = f.sub(count, r)
        f.call(
            f"{name.removesuffix('_write')}_square",
            ("ptr", f.at(t.scalar, "%sums", f.add(f.mul(r, width), q))),
            ("ptr", f.at(t.scalar, out, f.add(f.mul(q, o_k), r))),
            *(("i64", width), ("i64", o_k)),
            *(("i64", left), ("i64", f.sub(columns, q)), ("i64", left)),
        )
    return f.text()


def _gradient(name: str, t: VectorType, tile: Tile) -> str:
    """The loop over units; see the file's head."""
    f = Function(name, PARAMETERS, FIELDS)
    width = tile.vectors * t.lanes
    channels, panels = f.field("channels"), f.field("panels")
    y_taps, x_taps = f.field("y_taps"), f.field("x_taps")
    taps = f.mul(y_taps, x_taps)
    images, splits = f.field("images"), f.field("splits")
    alone = f.compare("eq", splits, 1)
    with f.claim(f.field("counter", "ptr"), f.field("units")) as unit:
        own = f.select(alone, "i64", "%part", unit)  # split images leave their sums for later
        sums = f.at("i8", f.field("scratch", "ptr"), f.mul(own, f.field("scratch_words")))
        rest, split = f.divide(unit, splits)
        number, panel = f.divide(rest, panels)
        image0 = f.mul(split, f.field("split_images"))
        image1 = f.least(images, f.add(image0, f.field("split_images")))
        c0 = f.least(f.mul(panel, tile.rows), f.sub(channels, tile.rows))
        place = f.add(f.mul(c0, f.field("x_c")), f.field("x_start"))
        x = f.at(t.scalar, f.field("x", "ptr"), place)
        g = f.at(t.scalar, f.field("g", "ptr"), f.mul(number, f.field("g_block")))
        with (
            f.loop(image0, image1, f.field("chunk_images")) as image,
            f.loop(0, f.field("rows"), f.field("chunk_rows")) as row,
        ):
            begins = f.op(f"or i64 {f.sub(image, image0)}, {row}")
            first = f.compare("eq", begins, 0)
            count = f.least(f.field("chunk_images"), f.sub(image1, image))
            with f.loop(0, y_taps) as y_tap, f.loop(0, x_taps) as x_tap:
                where = (image, count, row, y_tap, x_tap)
                _tap(f, name, t, width, (x, g, sums, taps, first), where)
        with f.when(alone):
            f.call(
                f"{name}_write",
                *(("ptr", "%arguments"), ("ptr", sums), ("i64", number), ("i64", panel)),
            )
    return f.text()


def _total(name: str, gradient: str, t: VectorType, tile: Tile) -> str:
    """Adds up the sums of split images; a unit is a block and a panel."""
    f = Function(name, PARAMETERS, FIELDS)
    splits, panels = f.field("splits"), f.field("panels")
    units = f.op(f"udiv i64 {f.field('units')}, {splits}")
    area = f.field("scratch_words")
    taps = f.mul(f.field("y_taps"), f.field("x_taps"))
    words = f.mul(taps, tile.rows * tile.vectors * t.lanes)
    with f.claim(f.field("counter", "ptr"), units) as unit:
        first = f.mul(f.mul(unit, splits), area)
        sums = f.at("i8", f.field("scratch", "ptr"), first)
        with f.loop(0, words, t.lanes) as i:
            to = f.at(t.scalar, sums, i)
            loop = f.begin([("i64", 1), (t.vector, f.load(t.vector, to, t.itemsize))])
            split, total = loop.values
            f.test(loop, f.compare("slt", split, splits))
            more = f.load(t.vector, f.at("i8", to, f.mul(split, area)), t.itemsize)
            f.end(loop, [f.add(split, 1), f.op(f"fadd {t.vector} {total}, {more}")])
            f.store(t.vector, total, to, t.itemsize)
        number, panel = f.divide(unit, panels)
        f.call(
            f"{gradient}_write",
            *(("ptr", "%arguments"), ("ptr", sums), ("i64", number), ("i64", panel)),
        )
    return f.text()


def _tap(
    f: Function,
    name: str,
    t: VectorType,
    width: int,
    what: tuple[str, str, str, Value, str],
    where: tuple[Value, ...],
) -> None:
    """One tap of one chunk."""
    x, g, sums, taps, first = what
    image, images, row, y_tap, x_tap = where
    low, high, start, stop = (
        f.load("i64", f.at("i64", f.field(table, "ptr"), f.add(f.mul(tap, 2), end)))
        for table, tap in (("row_table", y_tap), ("column_table", x_tap))
        for end in (0, 1)
    )
    first_row = f.greatest(low, row)
    rows = f.sub(f.least(high, f.add(row, f.field("chunk_rows"))), first_row)
    x_place = f.add(
        f.mul(image, f.field("x_n")),
        *(f.mul(y_tap, f.field("x_y_tap")), f.mul(x_tap, f.field("x_x_tap"))),
        *(f.mul(first_row, f.field("x_y")), f.mul(start, f.field("x_x"))),
    )
    g_place = f.add(
        f.mul(image, f.field("g_n")),
        *(f.mul(first_row, f.field("g_y")), f.mul(start, f.field("g_x"))),
    )
    tap = f.add(f.mul(y_tap, f.field("x_taps")), x_tap)
    f.call(
        f"{name}_inner",
        *(("ptr", "%arguments"), ("ptr", f.at(t.scalar, x, x_place))),
        ("ptr", f.at(t.scalar, g, g_place)),
        ("ptr", f.at(t.scalar, sums, f.mul(tap, width))),
        *(("i64", taps), ("i64", images), ("i64", rows), ("i64", f.sub(stop, start))),
        ("i1", first),
    )
