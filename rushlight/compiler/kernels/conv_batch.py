"""Convolution of small planes by vectors that run along the images; nothing is packed.

The input has been turned (``turn.py``) so that images are innermost: X[chunk][c][y][x][image], a
chunk being one or two vectors. The sums of one position for `rows` output channels are held in
registers; weights are read where they lie:

    for unit (some chunks, some panels of output channels, some rows), shared by the threads:
        for some channels: for panel: for chunk: for row i: for column j:
            for c, tap row, tap column:     only taps that meet the input
                acc[r][v] += W[k + r, c, tap] * X[chunk][c][y + tap][x + tap][v]
            store acc + bias, or add it to what earlier channels gave

The result is turned likewise. The first `whole` panels have `rows` channels, the others one less.
"""

from __future__ import annotations

from rushlight.compiler.kernels.emit import Function, Value, VectorType, declarations
from rushlight.compiler.kernels.gemm import Tile, tile_sums
from rushlight.compiler.kernels.windows import PARAMETERS

__all__ = ["COUNT", "FIELDS", "module", "name_of"]

FIELDS = (
    *("x", "w", "bias", "out", "counter", "row_table", "column_table"),
    *("chunks", "panels", "whole", "rows", "columns", "channels", "c_block"),
    *("chunk_unit", "panel_unit", "row_unit", "row_units", "panel_units", "units"),
    *("x_chunk", "x_c", "x_y", "x_x", "w_k", "w_c", "w_y", "w_x", "o_chunk", "o_k"),
)
COUNT = len(FIELDS)  # how many units were handed out stands behind the fields
_WORDS = 4  # of a row or column: where X starts, where the output starts, first tap, last + 1


def name_of(t: VectorType, tile: Tile, uneven: bool) -> str:
    """The name of the function."""
    return f"rl_conv_batch_{t.tag}_{tile.rows}x{tile.vectors}{'_uneven' * uneven}"


def module(t: VectorType, tile: Tile, uneven: bool) -> str:
    """The IR for a vector type and a tile.

    Args:
        uneven: whether there are panels of one channel less.
    """
    name = name_of(t, tile, uneven)
    inner = _inner(f"{name}_inner", t, tile)
    if uneven:
        inner += _inner(f"{name}_less", t, tile._replace(rows=tile.rows - 1))
    return declarations(t) + inner + _convolve(name, t, tile, uneven)


def _inner(name: str, t: VectorType, tile: Tile) -> str:
    """The sums of one position over `channels` channels."""
    parameters = (
        *(("ptr", "arguments"), ("ptr", "x"), ("ptr", "w"), ("ptr", "out"), ("ptr", "bias")),
        *(("i64", "channels"), ("i64", "y0"), ("i64", "y1"), ("i64", "x0"), ("i64", "x1")),
        ("i1", "first"),
    )
    f = Function(name, parameters, FIELDS, internal=True)
    x_steps, w_steps = ([f.field(f"{a}_{d}") for d in "cyx"] for a in "xw")
    places = [(r, v) for r in range(tile.rows) for v in range(tile.vectors)]
    bounds: list[tuple[Value, Value]] = [(0, "%channels"), ("%y0", "%y1"), ("%x0", "%x1")]
    after = tile_sums(f, t, tile, ("%x", "%w"), bounds, (x_steps, w_steps), f.field("w_k"))
    _store(f, t, places, after)
    return f.text()


def _store(f: Function, t: VectorType, places: list[tuple[int, int]], sums: list[str]) -> None:
    o_k = f.field("o_k")
    targets = [f.at(t.scalar, "%out", f.add(f.mul(o_k, r), v * t.lanes)) for r, v in places]
    with f.when("%first"):
        for (r, _), target, value in zip(places, targets, sums, strict=True):
            bias = f.splat(t, f.load(t.scalar, f.at(t.scalar, "%bias", r)))
            f.store(t.vector, f.op(f"fadd {t.vector} {value}, {bias}"), target, t.itemsize)
    with f.when(f.otherwise("%first")):
        for target, value in zip(targets, sums, strict=True):
            old = f.load(t.vector, target, t.itemsize)
            f.store(t.vector, f.op(f"fadd {t.vector} {old}, {value}"), target, t.itemsize)


def _range(f: Function, number: Value, size: Value, most: Value) -> tuple[Value, Value]:
    start = f.mul(number, size)
    return start, f.least(most, f.add(start, size))


def _convolve(name: str, t: VectorType, tile: Tile, uneven: bool) -> str:
    """The loop over units; see the file's head."""
    f = Function(name, PARAMETERS, FIELDS)
    x, w, bias, out, row_table, column_table = (
        f.field(n, "ptr") for n in ("x", "w", "bias", "out", "row_table", "column_table")
    )
    channels, c_block, whole = f.field("channels"), f.field("c_block"), f.field("whole")
    with f.claim(f.field("counter", "ptr"), f.field("units")) as unit:
        rest, row_unit = f.divide(unit, f.field("row_units"))
        chunk_unit, panel_unit = f.divide(rest, f.field("panel_units"))
        panels = _range(f, panel_unit, f.field("panel_unit"), f.field("panels"))
        chunks = _range(f, chunk_unit, f.field("chunk_unit"), f.field("chunks"))
        rows = _range(f, row_unit, f.field("row_unit"), f.field("rows"))
        with f.loop(0, channels, c_block) as c0:
            count = f.least(c_block, f.sub(channels, c0))
            first = f.compare("eq", c0, 0)
            x_c0, w_c0 = f.mul(c0, f.field("x_c")), f.mul(c0, f.field("w_c"))
            with f.loop(*panels) as panel, f.loop(*chunks) as chunk, f.loop(*rows) as i:
                k0 = f.mul(panel, tile.rows)
                if uneven:
                    k0 = f.sub(k0, f.greatest(f.sub(panel, whole), 0))
                x_row, o_row, y0, y1 = _entry(f, row_table, i)
                x_at = f.at(t.scalar, x, f.mul(chunk, f.field("x_chunk")), x_c0, x_row)
                w_at = f.at(t.scalar, w, f.mul(k0, f.field("w_k")), w_c0)
                place = f.add(f.mul(chunk, f.field("o_chunk")), f.mul(k0, f.field("o_k")), o_row)
                o_at = f.at(t.scalar, out, place)
                with f.loop(0, f.field("columns")) as j:
                    x_column, o_column, x0, x1 = _entry(f, column_table, j)
                    arguments = (
                        *(("ptr", "%arguments"), ("ptr", f.at(t.scalar, x_at, x_column))),
                        *(("ptr", w_at), ("ptr", f.at(t.scalar, o_at, o_column))),
                        *(("ptr", f.at(t.scalar, bias, k0)), ("i64", count)),
                        *(("i64", y0), ("i64", y1), ("i64", x0), ("i64", x1), ("i1", first)),
                    )
                    large = f.compare("slt", panel, whole) if uneven else "true"
                    with f.when(large):
                        f.call(f"{name}_inner", *arguments)
                    if uneven:
                        with f.when(f.otherwise(large)):
                            f.call(f"{name}_less", *arguments)
    return f.text()


def _entry(f: Function, table: str, number: Value) -> list[str]:
    entry = f.at("i64", table, f.mul(number, _WORDS))
    return [f.load("i64", f.at("i64", entry, i)) for i in range(_WORDS)]
