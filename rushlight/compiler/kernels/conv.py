"""Convolution forward as an implicit matrix product; the input gradient is the same kernel.

For one group, with weights W (K, C, taps) and a padded input X that exists a few rows at a time:

    out[n, k, i, j] = bias[k] + sum over c, tap of
                      W[k, c, tap] * X[n, c, i * row_stride + row(tap), j * col_stride + col(tap)]

A *unit* of work is one group of channels of some images, or of a band of output rows of one image:

    for unit in the units of this call, handed to whichever thread asks next:
        copy the unit's input into the scratch, with its zeros around it
        for block of positions (i, j) of the unit, a few tiles of the inner kernel wide:
            list the pieces of the block: runs of positions that lie in one row
            for some channels c:
                pack B[c, tap][position] from the scratch, piece by piece
                for panel of output channels: for tile of the block: inner kernel
            write the block's results, piece by piece, with the bias

An output element is computed in one unit, its sum in the order (c, tap), by any number of threads.

Columns of the scratch are split by the stride: input column j lies in phase j % stride at place
j // stride, so that neighbouring output positions always read neighbouring elements. A third
dimension is folded into images and channels: output plane z of image n is an image, input plane
z * z_stride + z_start + d * z_step of channel c is channel (c, d). The gradient of the input is,
for each phase of the stride, a convolution of stride 1 of the output's gradient by every stride-th
tap (`codegen/native_conv.py` makes the calls).
"""

from __future__ import annotations

from rushlight.compiler.kernels.emit import Function, Value, VectorType, declarations
from rushlight.compiler.kernels.gemm import Tile, micro_kernels
from rushlight.compiler.kernels.windows import (
    FIELDS,
    PARAMETERS,
    PIECE_WORDS,
    pad_function,
    piece_area,
    pieces_function,
    read_chunk,
)

__all__ = ["conv_module", "names", "pack_function", "results_function"]


def names(t: VectorType, tile: Tile) -> tuple[str, str]:
    """The names of the functions that pack the weights and that convolve."""
    tag = f"{t.tag}_{tile.rows}x{tile.vectors}"
    return f"rl_conv_pack_{tag}", f"rl_conv_{tag}"


def conv_module(t: VectorType, tile: Tile) -> str:
    """The IR of both functions for a vector type and a tile."""
    pack, conv = names(t, tile)
    return "".join(
        [
            declarations(t),
            micro_kernels(f"{conv}_inner", t, tile),
            pack_function(pack, t, tile),
            pad_function(f"{conv}_pad", t),
            pieces_function(f"{conv}_pieces", t),
            _columns_function(f"{conv}_columns", t, tile),
            results_function(f"{conv}_results", t, tile),
            _conv_function(conv, t, tile),
        ]
    )


def pack_function(name: str, t: VectorType, tile: Tile) -> str:
    """packed[group][panel][c, depth, tap][row] = w of output channel panel * rows + row, or 0.

    A unit is `pack_unit` channels c, all panels.
    """
    f = Function(name, PARAMETERS, FIELDS)
    channels, depth, taps, k = (f.field(n) for n in ("channels", "depth", "taps", "k"))
    w, packed, tap_w = (f.field(n, "ptr") for n in ("w", "packed", "tap_w"))
    w_g, w_k, w_c, w_z = (f.field(n) for n in ("w_g", "w_k", "w_c", "w_z"))
    panels = f.field("panels")
    per_panel = f.mul(f.mul(f.mul(channels, depth), taps), tile.rows)
    size = f.field("pack_unit")
    parts = f.op(f"udiv i64 {f.sub(f.add(channels, size), 1)}, {size}")
    with f.claim(f.field("counter", "ptr"), f.mul(f.field("groups"), parts)) as unit:
        group, part = f.divide(unit, parts)
        c0 = f.mul(part, size)
        c1 = f.least(channels, f.add(c0, size))
        with f.loop(0, panels) as panel:
            place = f.add(f.mul(group, panels), panel)
            target = f.at(t.scalar, packed, f.mul(place, per_panel))
            rows, inside = [], []
            for r in range(tile.rows):
                channel = f.add(f.mul(panel, tile.rows), r)
                inside.append(f.compare("slt", channel, k))
                safe = f.least(channel, f.sub(k, 1))
                rows.append(f.at(t.scalar, w, f.mul(group, w_g), f.mul(safe, w_k)))
            with f.loop(c0, c1) as c, f.loop(0, depth) as z, f.loop(0, taps) as tap:
                offset = f.load("i64", f.at("i64", tap_w, tap))
                source = f.add(f.mul(c, w_c), f.mul(z, w_z), offset)
                index = f.add(f.mul(f.add(f.mul(c, depth), z), taps), tap)
                to = f.at(t.scalar, target, f.mul(index, tile.rows))
                for r in range(tile.rows):
                    value = f.load(t.scalar, f.at(t.scalar, rows[r], source))
                    kept = f.select(inside[r], t.scalar, value, "0.0")
                    f.store(t.scalar, kept, f.at(t.scalar, to, r))
    return f.text()


def _columns_function(name: str, t: VectorType, tile: Tile) -> str:
    """Packs B[c, tap][column] of one tile for channels c0 .. c1.

    Pieces are copied as whole vectors, rows and pieces upwards: what a short piece writes too much
    the next one overwrites; behind the last there is slack.
    """
    parameters = (
        *(("ptr", "arguments"), ("ptr", "scratch"), ("ptr", "b")),
        *(("ptr", "pieces"), ("i64", "count"), ("i64", "c0"), ("i64", "c1")),
    )
    f = Function(name, parameters, FIELDS, internal=True)
    width = tile.vectors * t.lanes
    taps, tap_x, plane_words = f.field("taps"), f.field("tap_x", "ptr"), f.field("plane_words")
    with f.loop("%c0", "%c1") as c:
        plane = f.at(t.scalar, "%scratch", f.mul(c, plane_words))
        first = f.mul(f.sub(c, "%c0"), taps)
        with f.loop(0, taps) as tap:
            source = f.at(t.scalar, plane, f.load("i64", f.at("i64", tap_x, tap)))
            target = f.at(t.scalar, "%b", f.mul(f.add(first, tap), width))
            with f.loop(0, f.mul("%count", PIECE_WORDS), PIECE_WORDS) as place:
                piece = f.at("i64", "%pieces", place)
                offset = f.load("i64", piece)
                column = f.load("i64", f.at("i64", piece, 1))
                value = f.load(t.vector, f.at(t.scalar, source, offset), t.itemsize)
                f.store(t.vector, value, f.at(t.scalar, target, column), t.itemsize)
    return f.text()


def results_function(name: str, t: VectorType, tile: Tile) -> str:
    """Writes one tile of C, all panels, to the output; adds the bias."""
    parameters = (
        *(("ptr", "arguments"), ("ptr", "c"), ("ptr", "pieces"), ("i64", "count")),
        *(("ptr", "out"), ("ptr", "bias")),
    )
    f = Function(name, parameters, FIELDS, internal=True)
    width = tile.vectors * t.lanes
    k, o_k, o_x = f.field("k"), f.field("o_k"), f.field("o_x")
    dense = f.compare("eq", o_x, 1)
    with f.loop(0, k) as channel:  # C's rows follow each other, panel after panel
        row = f.at(t.scalar, "%c", f.mul(channel, width))
        target = f.at(t.scalar, "%out", f.mul(channel, o_k))
        bias = f.load(t.scalar, f.at(t.scalar, "%bias", channel))
        biases = f.splat(t, bias)
        with f.loop(0, f.mul("%count", PIECE_WORDS), PIECE_WORDS) as place:
            piece = f.at("i64", "%pieces", place)
            column, offset, length = (f.load("i64", f.at("i64", piece, w)) for w in (1, 2, 3))
            source = f.at(t.scalar, row, column)
            to = f.at(t.scalar, target, offset)
            whole = f.op(f"and i1 {dense}, {f.compare('eq', length, t.lanes)}")
            with f.when(whole):
                value = f.load(t.vector, source, t.itemsize)
                f.store(t.vector, f.op(f"fadd {t.vector} {value}, {biases}"), to, t.itemsize)
            with f.when(f.otherwise(whole)):
                _short_piece(f, t, source, to, (length, o_x, bias, biases, dense))
    return f.text()


def _short_piece(
    f: Function, t: VectorType, source: str, to: str, rest: tuple[str, str, str, str, str]
) -> None:
    length, o_x, bias, biases, dense = rest
    masked = t.itemsize * t.lanes >= 32  # narrower hosts have no masked store
    if masked:
        with f.when(dense):
            value = f.load(t.vector, source, t.itemsize)
            total = f.op(f"fadd {t.vector} {value}, {biases}")
            mask = f.first_lanes(t, length)
            f.line(
                f"call void @llvm.masked.store.{t.suffix}.p0({t.vector} {total}, ptr {to}, "
                f"i32 {t.itemsize}, <{t.lanes} x i1> {mask})"
            )
    stop = f.select(dense, "i64", 0, length) if masked else length
    with f.loop(0, stop) as i:
        value = f.load(t.scalar, f.at(t.scalar, source, i))
        total = f.op(f"fadd {t.scalar} {value}, {bias}")
        f.store(t.scalar, total, f.at(t.scalar, to, f.mul(i, o_x)))


def _conv_function(name: str, t: VectorType, tile: Tile) -> str:
    """The loop over units; see the file's head."""
    f = Function(name, PARAMETERS, FIELDS)
    groups, tiles = f.field("groups"), f.field("tiles")
    width = tile.vectors * t.lanes
    scratch = f.at("i8", f.field("scratch", "ptr"), f.mul("%part", f.field("scratch_words")))
    channels = f.mul(f.field("channels"), f.field("depth"))
    with f.claim(f.field("counter", "ptr"), f.field("units")) as unit:
        chunk, group = f.divide(unit, groups)
        x = f.at(t.scalar, f.field("x", "ptr"), f.mul(group, f.field("x_g")))
        where = read_chunk(f, f"{name}_pad", chunk, x, scratch, (0, channels))
        with f.loop(0, where.positions, f.mul(tiles, width)) as q:
            _block(f, name, t, tile, (scratch, group, q, *where))
    return f.text()


def _block(f: Function, name: str, t: VectorType, tile: Tile, where: tuple[Value, ...]) -> None:
    """One block of positions of a unit."""
    scratch, group, q, positions, high, image, row = where
    width = tile.vectors * t.lanes
    tiles, panels, taps = f.field("tiles"), f.field("panels"), f.field("taps")
    rows_of_c = f.mul(f.field("channels"), f.field("depth"))
    c_block = f.field("c_block")
    b_words = f.mul(f.mul(c_block, taps), width)
    c_words = f.mul(panels, tile.rows * width)
    piece_words = piece_area(width)
    base = str(scratch)
    b_area = f.at("i8", base, f.field("b_place"))
    c_area = f.at("i8", base, f.field("c_place"))
    piece_start = f.at("i8", base, f.field("piece_place"))
    left = f.sub(positions, q)
    used = f.op(f"udiv i64 {f.add(left, width - 1)}, {width}")
    last_tile = f.least(tiles, used)
    with f.loop(0, last_tile) as n:
        start = f.add(q, f.mul(n, width))
        stop = f.least(positions, f.add(start, width))
        area = f.at("i64", piece_start, f.mul(n, piece_words))
        vectors = f.op(f"udiv i64 {f.add(f.sub(stop, start), t.lanes - 1)}, {t.lanes}")
        f.store("i64", vectors, f.at("i64", area, 1))
        f.call(
            f"{name}_pieces",
            *(("ptr", "%arguments"), ("ptr", f.at("i64", area, 2)), ("ptr", area)),
            *(("i64", start), ("i64", stop), ("i64", high), ("i64", image), ("i64", row)),
        )
    packed = f.at(
        t.scalar,
        f.field("packed", "ptr"),
        f.mul(f.mul(f.mul(group, panels), f.mul(rows_of_c, taps)), tile.rows),
    )
    panel_words = f.mul(f.mul(rows_of_c, taps), tile.rows)
    with f.loop(0, rows_of_c, c_block) as c0:
        c1 = f.least(rows_of_c, f.add(c0, c_block))
        length = f.mul(f.sub(c1, c0), taps)
        first = f.compare("eq", c0, 0)
        with f.loop(0, last_tile) as n:
            area = f.at("i64", piece_start, f.mul(n, piece_words))
            f.call(
                f"{name}_columns",
                *(("ptr", "%arguments"), ("ptr", base)),
                *(("ptr", f.at(t.scalar, b_area, f.mul(n, b_words))),),
                *(("ptr", f.at("i64", area, 2)), ("i64", f.load("i64", area))),
                *(("i64", c0), ("i64", c1)),
            )
        a0 = f.at(t.scalar, packed, f.mul(f.mul(c0, taps), tile.rows))
        with f.loop(0, panels) as panel:
            a = f.at(t.scalar, a0, f.mul(panel, panel_words))
            with f.loop(0, last_tile) as n:
                area = f.at("i64", piece_start, f.mul(n, piece_words))
                vectors = f.load("i64", f.at("i64", area, 1))
                b = f.at(t.scalar, b_area, f.mul(n, b_words))
                c = f.at(t.scalar, c_area, f.mul(n, c_words), f.mul(panel, tile.rows * width))
                for v in range(1, tile.vectors + 1):
                    with f.when(f.compare("eq", vectors, v)):
                        f.call(
                            f"{name}_inner_{v}",
                            *(("ptr", a), ("ptr", b), ("ptr", c), ("i64", length), ("i1", first)),
                        )
    out = f.at(t.scalar, f.field("out", "ptr"), f.mul(group, f.field("o_g")))
    bias = f.at(t.scalar, f.field("bias", "ptr"), f.mul(group, f.field("k")))
    with f.loop(0, last_tile) as n:
        area = f.at("i64", piece_start, f.mul(n, piece_words))
        f.call(
            f"{name}_results",
            *(("ptr", "%arguments"), ("ptr", f.at(t.scalar, c_area, f.mul(n, c_words)))),
            *(("ptr", f.at("i64", area, 2)), ("i64", f.load("i64", area))),
            *(("ptr", out), ("ptr", bias)),
        )
