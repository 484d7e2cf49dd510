"""Convolution by vectors that run along the output channels: no columns are packed.

The weight is packed with a block of output channels innermost, W[panel][c, tap][k]; a tile is a run
of pixels of one output row (or of two), each a broadcast from where it lies in the scratch:

    for unit, as in ``conv.py``: copy the input into the scratch
        for panel of output channels:
            for some channels: for tile:
                for c, tap whose row meets the input:
                    acc[pixel][v] += scratch[c, tap, pixel] * W[panel][c, tap][v]
                sums of the tile = acc, or added to what earlier channels gave
            for tile: turn the sums, write them with the bias

The last tile of a row begins so that it ends with the row: what it has in common with the tile
before is computed twice, to the same bits. Arguments, scratch and taps are those of ``conv.py``.
"""

from __future__ import annotations

from typing import NamedTuple

from rushlight.compiler.kernels.conv import pack_function
from rushlight.compiler.kernels.emit import Function, Value, VectorType, declarations
from rushlight.compiler.kernels.gemm import Tile
from rushlight.compiler.kernels.turn import transposed
from rushlight.compiler.kernels.windows import FIELDS, PARAMETERS, pad_function, read_chunk

__all__ = ["PixelTile", "module", "name_of", "pack_module", "pack_name"]


class PixelTile(NamedTuple):
    """What one call of the inner kernel computes: rows of pixels, vectors of output channels."""

    rows: int
    pixels: int
    vectors: int


def name_of(t: VectorType, tile: PixelTile) -> str:
    """The name of the function that convolves."""
    return f"rl_conv_pixels_{t.tag}_{tile.rows}x{tile.pixels}x{tile.vectors}"


def pack_name(t: VectorType, vectors: int) -> str:
    """The name of the function that packs weights of any strides."""
    return f"rl_conv_pixels_pack_{t.tag}_{vectors}"


def module(t: VectorType, tile: PixelTile) -> str:
    """The IR of the convolution, for hosts with masked loads and stores."""
    name = name_of(t, tile)
    return "".join(
        [
            declarations(t),
            pad_function(f"{name}_pad", t),
            _inner(f"{name}_inner", t, tile),
            _finish(f"{name}_finish", t, tile),
            _convolve(name, t, tile),
        ]
    )


def pack_module(t: VectorType, vectors: int) -> str:
    """The IR of the packing, for tiles of this many vectors."""
    tile = Tile(vectors * t.lanes, 1)
    return declarations(t) + pack_function(pack_name(t, vectors), t, tile)


def _inner(name: str, t: VectorType, tile: PixelTile) -> str:
    """The sums of a tile over `count` channels: stored if `first` holds, else added."""
    parameters = (
        *(("ptr", "arguments"), ("ptr", "w"), ("ptr", "x"), ("ptr", "sums")),
        *(("i64", "count"), ("i64", "tap0"), ("i64", "tap1"), ("i1", "first")),
    )
    f = Function(name, parameters, FIELDS, internal=True)
    tap_x, plane = f.field("tap_x", "ptr"), f.field("plane_words")
    row_step = f.mul(f.field("y_stride"), f.field("row_words")) if tile.rows > 1 else 0
    width = tile.vectors * t.lanes
    pixels = [(r, p) for r in range(tile.rows) for p in range(tile.pixels)]
    places = [(r, p, v) for r, p in pixels for v in range(tile.vectors)]
    per_channel = f.mul(f.field("taps"), width)
    first = f.at(t.scalar, "%w", f.mul("%tap0", width))
    start: list[tuple[str, Value]] = [("i64", 0), ("ptr", "%x"), ("ptr", first)]
    outer = f.begin(start + [(t.vector, "zeroinitializer")] * len(places))
    c, x, w, *sums = outer.values
    f.test(outer, f.compare("slt", c, "%count"))
    inner = f.begin([("i64", "%tap0"), ("ptr", w), *[(t.vector, s) for s in sums]])
    tap, w_now, *now = inner.values
    source = f.at(t.scalar, x, f.load("i64", f.at("i64", tap_x, tap)))
    lines = [f.at(t.scalar, source, f.mul(row_step, r)) for r in range(tile.rows)]
    weights = [
        f.load(t.vector, f.at(t.scalar, w_now, v * t.lanes), t.itemsize)
        for v in range(tile.vectors)
    ]
    total = dict(zip(places, now, strict=True))
    for r, p in pixels:
        factor = f.splat(t, f.load(t.scalar, f.at(t.scalar, lines[r], p)))
        for v in range(tile.vectors):
            total[r, p, v] = f.fma(t, factor, weights[v], total[r, p, v])
    after, w_after = f.add(tap, 1), f.at(t.scalar, w_now, width)
    values = [total[place] for place in places]
    f.end_if(inner, f.compare("slt", after, "%tap1"), [after, w_after, *values])
    steps = [f.at(t.scalar, x, plane), f.at(t.scalar, w, per_channel)]
    f.end(outer, [f.add(c, 1), *steps, *values])
    targets = [
        f.at(t.scalar, "%sums", (r * tile.pixels + p) * width + v * t.lanes) for r, p, v in places
    ]
    with f.when("%first"):
        for target, value in zip(targets, sums, strict=True):
            f.store(t.vector, value, target, t.itemsize)
    with f.when(f.otherwise("%first")):
        for target, value in zip(targets, sums, strict=True):
            old = f.load(t.vector, target, t.itemsize)
            f.store(t.vector, f.op(f"fadd {t.vector} {old}, {value}"), target, t.itemsize)
    return f.text()


def _finish(name: str, t: VectorType, tile: PixelTile) -> str:
    """Writes a tile to the output, with the bias; `left` output channels exist."""
    parameters = (
        *(("ptr", "arguments"), ("ptr", "sums"), ("ptr", "out"), ("ptr", "bias")),
        ("i64", "left"),
    )
    f = Function(name, parameters, FIELDS, internal=True)
    o_k, o_y, o_x = f.field("o_k"), f.field("o_y"), f.field("o_x")
    width = tile.vectors * t.lanes
    area = f.op(f"alloca [{t.lanes} x {t.vector}], align 64")
    dense = f.compare("eq", o_x, 1)
    mask = f"<{t.lanes} x i1> {f.first_lanes(t, tile.pixels)}"
    most = f.least("%left", width)
    with f.loop(0, tile.rows) as r, f.loop(0, most, t.lanes) as k0:
        start = f.add(f.mul(r, tile.pixels * width), k0)
        rows = [
            f.load(t.vector, f.at(t.scalar, "%sums", start, p * width), t.itemsize)
            for p in range(tile.pixels)
        ]
        rows += ["zeroinitializer"] * (t.lanes - tile.pixels)
        for q, value in enumerate(transposed(f, t, rows)):
            f.store(t.vector, value, f.at(t.scalar, area, q * t.lanes), 64)
        with f.loop(k0, f.least(most, f.add(k0, t.lanes))) as k:
            line = f.at(t.scalar, area, f.mul(f.sub(k, k0), t.lanes))
            bias = f.load(t.scalar, f.at(t.scalar, "%bias", k))
            to = f.at(t.scalar, "%out", f.mul(o_y, r), f.mul(o_k, k))
            with f.when(dense):
                value = f.load(t.vector, line, 64)
                total = f.op(f"fadd {t.vector} {value}, {f.splat(t, bias)}")
                f.line(
                    f"call void @llvm.masked.store.{t.suffix}.p0({t.vector} {total}, "
                    f"ptr {to}, i32 {t.itemsize}, {mask})"
                )
            with f.when(f.otherwise(dense)), f.loop(0, tile.pixels) as p:
                one = f.load(t.scalar, f.at(t.scalar, line, p))
                total = f.op(f"fadd {t.scalar} {one}, {bias}")
                f.store(t.scalar, total, f.at(t.scalar, to, f.mul(p, o_x)))
    return f.text()


def _convolve(name: str, t: VectorType, tile: PixelTile) -> str:
    """The loop over units; see the file's head."""
    f = Function(name, PARAMETERS, FIELDS)
    groups, panels, k = f.field("groups"), f.field("panels"), f.field("k")
    scratch = f.at("i8", f.field("scratch", "ptr"), f.mul("%part", f.field("scratch_words")))
    channels = f.mul(f.field("channels"), f.field("depth"))
    width = tile.vectors * t.lanes
    per_channel = f.mul(f.field("taps"), width)
    area = f.at("i8", scratch, f.field("c_place"))
    with f.claim(f.field("counter", "ptr"), f.field("units")) as unit:
        chunk, group = f.divide(unit, groups)
        x = f.at(t.scalar, f.field("x", "ptr"), f.mul(group, f.field("x_g")))
        where = read_chunk(f, f"{name}_pad", chunk, x, scratch, (0, channels))
        images, _ = f.divide(where.positions, f.mul(where.high, f.field("columns")))
        with f.loop(0, panels) as panel:
            place = f.mul(f.add(f.mul(group, panels), panel), f.mul(channels, per_channel))
            w = f.at(t.scalar, f.field("packed", "ptr"), place)
            with f.loop(0, channels, f.field("c_block")) as c0:
                count = f.least(f.field("c_block"), f.sub(channels, c0))
                first = f.compare("eq", c0, 0)
                w_c0 = f.at(t.scalar, w, f.mul(c0, per_channel))
                source = f.at(t.scalar, scratch, f.mul(c0, f.field("plane_words")))
                with _Tiles(f, t, tile, images, where.high, area) as (m, i, j, sums):
                    line = f.mul(i, f.mul(f.field("y_stride"), f.field("row_words")))
                    at = f.at(t.scalar, source, f.mul(m, f.field("image_words")), line, j)
                    # taps above the input end with the lowest row, those below with the highest
                    row = f.at("i64", f.field("first_row", "ptr"), f.mul(f.add(where.row, i), 2))
                    tap0 = f.load("i64", f.at("i64", row, 2 * (tile.rows - 1)))
                    tap1 = f.load("i64", f.at("i64", row, 1))
                    f.call(
                        f"{name}_inner",
                        *(("ptr", "%arguments"), ("ptr", w_c0), ("ptr", at), ("ptr", sums)),
                        *(("i64", count), ("i64", tap0), ("i64", tap1), ("i1", first)),
                    )
            k0 = f.mul(panel, width)
            bias = f.at(t.scalar, f.field("bias", "ptr"), f.mul(group, k), k0)
            place = f.add(f.mul(group, f.field("o_g")), f.mul(k0, f.field("o_k")))
            out = f.at(t.scalar, f.field("out", "ptr"), place)
            with _Tiles(f, t, tile, images, where.high, area) as (m, i, j, sums):
                n, z = f.divide(f.add(where.image, m), f.field("planes"))
                place = f.add(
                    *(f.mul(n, f.field("o_n")), f.mul(z, f.field("o_z"))),
                    *(f.mul(f.add(where.row, i), f.field("o_y")), f.mul(j, f.field("o_x"))),
                )
                f.call(
                    f"{name}_finish",
                    *(("ptr", "%arguments"), ("ptr", sums)),
                    *(("ptr", f.at(t.scalar, out, place)), ("ptr", bias)),
                    ("i64", f.sub(k, k0)),
                )
    return f.text()


class _Tiles:
    """A loop over the tiles of a unit: image, first row, first column, where the sums are."""

    def __init__(
        self, f: Function, t: VectorType, tile: PixelTile, images: Value, high: Value, area: str
    ) -> None:
        self.f, self.t, self.tile = f, t, tile
        self.bounds = (images, high)
        self.area = area
        self.open: list[object] = []

    def __enter__(self) -> tuple[Value, Value, Value, str]:
        f, tile = self.f, self.tile
        images, high = self.bounds
        columns, tiles = f.field("columns"), f.field("tiles")
        lines = f.op(f"udiv i64 {f.add(high, tile.rows - 1)}, {tile.rows}")
        self.loops = [f.loop(0, images), f.loop(0, lines), f.loop(0, tiles)]
        m, line, number = (loop.__enter__() for loop in self.loops)
        i = f.least(f.mul(line, tile.rows), f.sub(high, tile.rows))
        j = f.least(f.mul(number, tile.pixels), f.sub(columns, tile.pixels))
        index = f.add(f.mul(f.add(f.mul(m, lines), line), tiles), number)
        words = tile.rows * tile.pixels * tile.vectors * self.t.lanes
        return m, i, j, f.at(self.t.scalar, self.area, f.mul(index, words))

    def __exit__(self, *_: object) -> None:
        for loop in reversed(self.loops):
            loop.__exit__(None, None, None)
