"""Convolution for few output channels: no columns are packed, tiles read the scratch itself.

Where there are few output channels, packing a column costs more than multiplying it. Here a tile is
`vectors` pieces, each a run of up to one vector of positions in one row, and the inner kernel loads
each tap of each piece from where it lies:

    for unit, as in ``conv.py``: copy the input into the scratch, list its pieces
        for `vectors` pieces: for panel of output channels:
            for c, tap: acc[row][v] += W[row][c, tap] * scratch[piece v + c, tap]
            write the results, with the bias

Lanes behind a piece's end compute what nobody reads, so rows should fill vectors well.
"""

from __future__ import annotations

from rushlight.compiler.kernels.conv import pack_function, results_function
from rushlight.compiler.kernels.emit import Function, Value, VectorType, declarations
from rushlight.compiler.kernels.gemm import Tile
from rushlight.compiler.kernels.windows import (
    FIELDS,
    PARAMETERS,
    PIECE_WORDS,
    pad_function,
    pieces_function,
    read_chunk,
)

__all__ = ["module", "names"]


def names(t: VectorType, tile: Tile) -> tuple[str, str]:
    """The names of the functions that pack the weights and that convolve."""
    tag = f"{t.tag}_{tile.rows}x{tile.vectors}"
    return f"rl_conv_direct_pack_{tag}", f"rl_conv_direct_{tag}"


def module(t: VectorType, tile: Tile) -> str:
    """The IR of both functions for a vector type and a tile."""
    pack, conv = names(t, tile)
    return "".join(
        [
            declarations(t),
            pack_function(pack, t, tile),
            pad_function(f"{conv}_pad", t),
            pieces_function(f"{conv}_pieces", t),
            _inner_function(f"{conv}_inner", t, tile),
            results_function(f"{conv}_results", t, tile),
            _conv_function(conv, t, tile),
        ]
    )


def _inner_function(name: str, t: VectorType, tile: Tile) -> str:
    """C[row][v] = sum over c, tap of A[c, tap][row] * piece v."""
    sources = [f"s{v}" for v in range(tile.vectors)]
    parameters = (("ptr", "arguments"), ("ptr", "a"), ("ptr", "c"), *(("ptr", s) for s in sources))
    f = Function(name, parameters, FIELDS, internal=True)
    taps, tap_x, plane = f.field("taps"), f.field("tap_x", "ptr"), f.field("plane_words")
    channels = f.mul(f.field("channels"), f.field("depth"))
    places = [(r, v) for r in range(tile.rows) for v in range(tile.vectors)]
    zero = "zeroinitializer"
    start: list[tuple[str, Value]] = [("i64", 0), ("ptr", "%a")]
    outer = f.begin(start + [(t.vector, zero)] * len(places))
    c, a, *sums = outer.values
    f.test(outer, f.compare("slt", c, channels))
    rows = [f.at(t.scalar, f"%{s}", f.mul(c, plane)) for s in sources]
    start = [("i64", 0), ("ptr", a)]
    inner = f.begin(start + [(t.vector, s) for s in sums])
    tap, a_now, *now = inner.values
    offset = f.load("i64", f.at("i64", tap_x, tap))
    x = [f.load(t.vector, f.at(t.scalar, row, offset), t.itemsize) for row in rows]
    total = dict(zip(places, now, strict=True))
    for r in range(tile.rows):
        factor = f.splat(t, f.load(t.scalar, f.at(t.scalar, a_now, r)))
        for v in range(tile.vectors):
            total[r, v] = f.fma(t, factor, x[v], total[r, v])
    after = f.add(tap, 1)
    a_after = f.at(t.scalar, a_now, tile.rows)
    values = [total[place] for place in places]
    f.end_if(inner, f.compare("slt", after, taps), [after, a_after, *values])
    f.end(outer, [f.add(c, 1), a_after, *values])
    width = tile.vectors * t.lanes
    for (r, v), value in zip(places, sums, strict=True):
        f.store(t.vector, value, f.at(t.scalar, "%c", r * width + v * t.lanes), t.itemsize)
    return f.text()


def _conv_function(name: str, t: VectorType, tile: Tile) -> str:
    """The loop over units; see the file's head."""
    f = Function(name, PARAMETERS, FIELDS)
    groups, panels = f.field("groups"), f.field("panels")
    scratch = f.at("i8", f.field("scratch", "ptr"), f.mul("%part", f.field("scratch_words")))
    channels = f.mul(f.field("channels"), f.field("depth"))
    pieces = f.at("i8", scratch, f.field("piece_place"))
    c_area = f.at("i8", scratch, f.field("c_place"))
    panel_words = f.mul(f.mul(channels, f.field("taps")), tile.rows)
    with f.claim(f.field("counter", "ptr"), f.field("units")) as unit:
        chunk, group = f.divide(unit, groups)
        x = f.at(t.scalar, f.field("x", "ptr"), f.mul(group, f.field("x_g")))
        where = read_chunk(f, f"{name}_pad", chunk, x, scratch, (0, channels))
        f.call(
            f"{name}_pieces",
            *(("ptr", "%arguments"), ("ptr", f.at("i64", pieces, 1)), ("ptr", pieces)),
            *(("i64", 0), ("i64", where.positions), ("i64", where.high)),
            *(("i64", where.image), ("i64", where.row)),
        )
        count = f.load("i64", pieces)
        weights = f.mul(f.mul(group, panels), panel_words)
        packed = f.at(t.scalar, f.field("packed", "ptr"), weights)
        out = f.at(t.scalar, f.field("out", "ptr"), f.mul(group, f.field("o_g")))
        bias = f.at(t.scalar, f.field("bias", "ptr"), f.mul(group, f.field("k")))
        with f.loop(0, count, tile.vectors) as p:
            first = f.at("i64", pieces, f.add(f.mul(p, PIECE_WORDS), 1))
            left = f.sub(count, p)
            sources = _place_pieces(f, t, tile, scratch, first, left)
            with f.loop(0, panels) as panel:
                tile_words = f.mul(panel, tile.rows * tile.vectors * t.lanes)
                f.call(
                    f"{name}_inner",
                    ("ptr", "%arguments"),
                    ("ptr", f.at(t.scalar, packed, f.mul(panel, panel_words))),
                    ("ptr", f.at(t.scalar, c_area, tile_words)),
                    *(("ptr", source) for source in sources),
                )
            f.call(
                f"{name}_results",
                *(("ptr", "%arguments"), ("ptr", c_area), ("ptr", first)),
                *(("i64", f.least(left, tile.vectors)), ("ptr", out), ("ptr", bias)),
            )
    return f.text()


def _place_pieces(
    f: Function, t: VectorType, tile: Tile, scratch: str, first: str, left: Value
) -> list[str]:
    """Notes in which vector of the tile each piece is computed; where each one is read.

    Where pieces run out the last one is repeated: written last, its first vector counts.
    """
    sources = []
    for v in reversed(range(tile.vectors)):
        number = f.least(f.sub(left, 1), v)
        piece = f.at("i64", first, f.mul(number, PIECE_WORDS))
        f.store("i64", v * t.lanes, f.at("i64", piece, 1))
        sources.append(f.at(t.scalar, scratch, f.load("i64", piece)))
    return sources[::-1]
