"""The gradient of a convolution's weight: products of rows, summed over images and positions.

    dW[k, r] = sum over n, i, j of G[n, k, i, j] * X[n, c, i * row_stride + row(tap), ...]

with r counting (c, tap), and X, scratch, chunks and pieces as in ``conv.py``. Both factors have the
positions innermost in memory, so sums run along vectors, and a tile of `rows` rows of G by
`columns` rows of X holds one vector a sum; the lanes are added up at the end of each
block of positions.

    for unit in ranges of r, of each group:       handed to whichever thread asks next
        for chunk (images, or a band of rows):    always in the same order
            copy the chunk's input into the scratch, for the channels of this unit
            for block of its positions, for block of k:
                A[k][position] = G, packed piece by piece, zeros up to a whole vector
                for some r (`columns` of them):
                    B[r][position] = X, packed likewise
                    for panel of the block: sums[r][k] += lanes of A[k] . B[r]
        write the sums

Where few panels would share a B, nothing is packed: the inner kernel reads X in the scratch and G
where it lies, piece by piece. An element is computed in one unit, chunk after chunk, whatever the
number of threads.
"""

from __future__ import annotations

from typing import NamedTuple

from rushlight.compiler.kernels import windows
from rushlight.compiler.kernels.emit import Function, Value, VectorType, declarations

__all__ = ["WeightTile", "direct_tile_for", "module", "slots", "tile_for"]


class WeightTile(NamedTuple):
    """How many sums run at once: rows of G by rows of X; and whether both are read unpacked."""

    rows: int
    columns: int
    direct: bool = False


def tile_for(many_registers: bool, k: int, r: int) -> WeightTile:
    """The tile that multiplies fewest zeros for k by r sums; large ones need fewer loads.

    Args:
        many_registers: whether the host has 32 vector registers rather than 16.
    """
    most = (4, 6) if many_registers else (3, 3)
    best = min(
        (
            (-(-k // a) * -(-r // b) * max(a * b, 8, 1.2 * (a + b)), -a * b, a, b)
            for a in range(1, most[0] + 1)
            for b in range(1, most[1] + 1)
        ),
    )
    return WeightTile(best[2], best[3])


def direct_tile_for(many_registers: bool, k: int, r: int) -> WeightTile:
    """The tile for k by r sums of what is read unpacked: most loads cross a cache line."""
    room = 31 if many_registers else 15
    best = min(
        (-(-k // a) * -(-r // b) * (max(a * b / 2, a + b, 4) + 2), -a * b, a, b)
        for a in range(1, 7)
        for b in range(1, 7)
        if a * b + b + 1 <= room
    )
    return WeightTile(best[2], best[3], True)


def slots(t: VectorType, tile: WeightTile) -> int:
    """Elements in which the sums of one tile are kept."""
    return -(-tile.rows * tile.columns // t.lanes) * t.lanes


def name_of(t: VectorType, tile: WeightTile) -> str:
    """The name of the function."""
    return f"rl_conv_weight_{t.tag}_{tile.rows}x{tile.columns}{'_direct' * tile.direct}"


def module(t: VectorType, tile: WeightTile) -> str:
    """The IR of the kernel for a vector type and a tile."""
    name = name_of(t, tile)
    return "".join(
        [
            declarations(t),
            windows.pad_function(f"{name}_pad", t),
            windows.pieces_function(f"{name}_pieces", t),
            *(_direct_parts(name, t, tile) if tile.direct else _packed_parts(name, t, tile)),
            _write_function(f"{name}_write", t, tile),
            _unit_function(name, t, tile),
        ]
    )


def _packed_parts(name: str, t: VectorType, tile: WeightTile) -> list[str]:
    return [
        _inner_function(f"{name}_inner", t, tile),
        _gradient_function(f"{name}_gradient", t),
        _input_function(f"{name}_input", t),
    ]


def _direct_parts(name: str, t: VectorType, tile: WeightTile) -> list[str]:
    return [_direct_function(f"{name}_inner", t, tile)]


def _inner_function(name: str, t: VectorType, tile: WeightTile) -> str:
    """The sums of one tile over one chunk: stored if `first` holds, else added."""
    parameters = (
        *(("ptr", "a"), ("ptr", "b"), ("ptr", "sums")),
        *(("i64", "count"), ("i64", "stride"), ("i1", "first")),
    )
    f = Function(name, parameters, internal=True)
    rows = [f.at(t.scalar, "%a", f.mul("%stride", r)) for r in range(tile.rows)]
    columns = [f.at(t.scalar, "%b", f.mul("%stride", c)) for c in range(tile.columns)]
    places = [(r, c) for r in range(tile.rows) for c in range(tile.columns)]
    carried: list[tuple[str, Value]] = [("i64", 0)]
    loop = f.begin(carried + [(t.vector, "zeroinitializer")] * len(places))
    i = loop.values[0]
    total = dict(zip(places, loop.values[1:], strict=True))
    x = [f.load(t.vector, f.at(t.scalar, p, i), t.itemsize) for p in columns]
    for r, p in enumerate(rows):
        g = f.load(t.vector, f.at(t.scalar, p, i), t.itemsize)
        for c in range(tile.columns):
            total[r, c] = f.fma(t, g, x[c], total[r, c])
    after = f.add(i, t.lanes)
    values = [total[place] for place in places]
    f.end_if(loop, f.compare("slt", after, "%count"), [after, *values])
    _keep(f, t, values)
    return f.text()


def _keep(f: Function, t: VectorType, values: list[str]) -> None:
    """Adds up the lanes of a tile's sums: stored if `first` holds, else added."""
    for start in range(0, len(values), t.lanes):
        sums = lane_sums(f, t, values[start : start + t.lanes])
        target = f.at(t.scalar, "%sums", start)
        old = f.load(t.vector, target, t.itemsize)
        both = f.op(f"fadd {t.vector} {old}, {sums}")
        f.store(t.vector, f.select("%first", t.vector, sums, both), target, t.itemsize)


def _direct_function(name: str, t: VectorType, tile: WeightTile) -> str:
    """The sums of one tile over the pieces of a chunk, rows k and r and on.

    What lies behind the end of a piece may be infinite, and must not count.
    """
    parameters = (
        *(("ptr", "arguments"), ("ptr", "scratch"), ("ptr", "g"), ("ptr", "sums")),
        *(("ptr", "pieces"), ("i64", "count"), ("i64", "k"), ("i64", "r"), ("i64", "c0")),
        ("i1", "first"),
    )
    f = Function(name, parameters, windows.FIELDS, internal=True)
    taps, plane_words, tap_x = f.field("taps"), f.field("plane_words"), f.field("tap_x", "ptr")
    last = f.sub(f.mul(f.mul(f.field("channels"), f.field("depth")), taps), 1)
    columns = []
    for column in range(tile.columns):  # rows that do not exist repeat the last one
        c, tap = f.divide(f.least(f.add("%r", column), last), taps)
        offset = f.load("i64", f.at("i64", tap_x, tap))
        place = f.add(f.mul(f.sub(c, "%c0"), plane_words), offset)
        columns.append(f.at(t.scalar, "%scratch", place))
    k_last, o_k = f.sub(f.field("k"), 1), f.field("o_k")
    rows = [
        f.at(t.scalar, "%g", f.mul(f.least(f.add("%k", r), k_last), o_k)) for r in range(tile.rows)
    ]
    places = [(r, c) for r in range(tile.rows) for c in range(tile.columns)]
    carried: list[tuple[str, Value]] = [("i64", 0)]
    loop = f.begin(carried + [(t.vector, "zeroinitializer")] * len(places))
    number = loop.values[0]
    total = dict(zip(places, loop.values[1:], strict=True))
    piece = f.at("i64", "%pieces", f.mul(number, windows.PIECE_WORDS))
    source, position, length = (f.load("i64", f.at("i64", piece, w)) for w in (0, 2, 3))
    mask = f"<{t.lanes} x i1> {f.first_lanes(t, length)}"

    def read(row: str, place: Value) -> str:
        return f.op(
            f"call {t.vector} @llvm.masked.load.{t.suffix}.p0(ptr {f.at(t.scalar, row, place)}, "
            f"i32 {t.itemsize}, {mask}, {t.vector} zeroinitializer)"
        )

    x = [read(column, source) for column in columns]
    for r, row in enumerate(rows):
        g = read(row, position)
        for c in range(tile.columns):
            total[r, c] = f.fma(t, g, x[c], total[r, c])
    after = f.add(number, 1)
    values = [total[place] for place in places]
    f.end_if(loop, f.compare("slt", after, "%count"), [after, *values])
    _keep(f, t, values)
    return f.text()


def lane_sums(f: Function, t: VectorType, vectors: list[str]) -> str:
    """A vector whose lane j is the sum of vector j's lanes, by adding neighbours repeatedly."""
    steps = t.lanes.bit_length() - 1
    for _ in range(steps):
        if len(vectors) % 2:
            vectors = [*vectors, vectors[-1]]
        vectors = [
            f.op(f"fadd {t.vector} {f.every_second(t, a, b, 0)}, {f.every_second(t, a, b, 1)}")
            for a, b in zip(vectors[::2], vectors[1::2], strict=True)
        ]
    return vectors[0]


def _clear_rest(f: Function, t: VectorType, target: str, positions: Value) -> None:
    """Zeros behind a row's last position, up to a whole vector or a little more."""
    f.store(t.vector, "zeroinitializer", f.at(t.scalar, target, positions), t.itemsize)


def _gradient_function(name: str, t: VectorType) -> str:
    """A[k - k0][position] = G for channels k0 .. k1, zeros for those that do not exist."""
    parameters = (
        *(("ptr", "arguments"), ("ptr", "a"), ("ptr", "pieces"), ("i64", "count")),
        *(("ptr", "g"), ("i64", "k0"), ("i64", "k1"), ("i64", "positions")),
    )
    f = Function(name, parameters, windows.FIELDS, internal=True)
    o_k, o_x, padded, k_all = (f.field(n) for n in ("o_k", "o_x", "padded", "k"))
    dense = f.compare("eq", o_x, 1)
    with f.loop("%k0", "%k1") as k:
        to = f.at(t.scalar, "%a", f.mul(f.sub(k, "%k0"), padded))
        exists = f.compare("slt", k, k_all)
        row = f.at(t.scalar, "%g", f.mul(k, o_k))
        words = f.select(exists, "i64", f.mul("%count", windows.PIECE_WORDS), 0)
        with f.loop(0, words, windows.PIECE_WORDS) as place:
            piece = f.at("i64", "%pieces", place)
            column, offset, length = (f.load("i64", f.at("i64", piece, w)) for w in (1, 2, 3))
            source, target = f.at(t.scalar, row, offset), f.at(t.scalar, to, column)
            whole = f.op(f"and i1 {dense}, {f.compare('eq', length, t.lanes)}")
            with f.when(whole):
                f.store(t.vector, f.load(t.vector, source, t.itemsize), target, t.itemsize)
            stop = f.select(whole, "i64", 0, length)
            with f.loop(0, stop) as i:
                value = f.load(t.scalar, f.at(t.scalar, source, f.mul(i, o_x)))
                f.store(t.scalar, value, f.at(t.scalar, target, i))
        _clear_rest(f, t, to, "%positions")
        stop = f.select(exists, "i64", 0, "%positions")
        with f.loop(0, stop, t.lanes) as i:
            f.store(t.vector, "zeroinitializer", f.at(t.scalar, to, i), t.itemsize)
    return f.text()


def _input_function(name: str, t: VectorType) -> str:
    """B[position] = X[r], or zeros if there is no such r."""
    parameters = (
        *(("ptr", "arguments"), ("ptr", "scratch"), ("ptr", "b"), ("ptr", "pieces")),
        *(("i64", "count"), ("i64", "r"), ("i64", "c0"), ("i64", "positions")),
    )
    f = Function(name, parameters, windows.FIELDS, internal=True)
    taps, plane_words = f.field("taps"), f.field("plane_words")
    channels = f.mul(f.field("channels"), f.field("depth"))
    exists = f.compare("slt", "%r", f.mul(channels, taps))
    c, tap = f.divide("%r", taps)
    offset = f.load("i64", f.at("i64", f.field("tap_x", "ptr"), tap))
    source = f.at(t.scalar, "%scratch", f.mul(f.sub(c, "%c0"), plane_words), offset)
    words = f.select(exists, "i64", f.mul("%count", windows.PIECE_WORDS), 0)
    with f.loop(0, words, windows.PIECE_WORDS) as place:
        piece = f.at("i64", "%pieces", place)
        start = f.load("i64", piece)
        column = f.load("i64", f.at("i64", piece, 1))
        value = f.load(t.vector, f.at(t.scalar, source, start), t.itemsize)
        f.store(t.vector, value, f.at(t.scalar, "%b", column), t.itemsize)
    _clear_rest(f, t, "%b", "%positions")
    stop = f.select(exists, "i64", 0, "%positions")
    with f.loop(0, stop, t.lanes) as i:
        f.store(t.vector, "zeroinitializer", f.at(t.scalar, "%b", i), t.itemsize)
    return f.text()


def _write_function(name: str, t: VectorType, tile: WeightTile) -> str:
    """dW[k][r] from the sums of r groups r0 .. r1."""
    parameters = (
        *(("ptr", "arguments"), ("ptr", "sums"), ("ptr", "out")),
        *(("i64", "r0"), ("i64", "r1")),
    )
    f = Function(name, parameters, windows.FIELDS, internal=True)
    panels, k_all = f.field("panels"), f.field("k")
    r_all = f.mul(f.mul(f.field("channels"), f.field("depth")), f.field("taps"))
    first = f.mul("%r0", tile.columns)
    last = f.least(r_all, f.mul("%r1", tile.columns))
    with f.loop(0, k_all) as k, f.loop(first, last) as r:
        panel, row = f.divide(k, tile.rows)
        group, column = f.divide(r, tile.columns)
        area = f.add(f.mul(f.sub(group, "%r0"), panels), panel)
        place = f.add(f.mul(area, slots(t, tile)), f.mul(row, tile.columns), column)
        value = f.load(t.scalar, f.at(t.scalar, "%sums", place))
        f.store(t.scalar, value, f.at(t.scalar, "%out", f.mul(k, r_all), r))
    return f.text()


def _unit_function(name: str, t: VectorType, tile: WeightTile) -> str:
    """The loop over units; see the file's head."""
    f = Function(name, windows.PARAMETERS, windows.FIELDS)
    scratch = f.at("i8", f.field("scratch", "ptr"), f.mul("%part", f.field("scratch_words")))
    taps, splits, r_unit = f.field("taps"), f.field("splits"), f.field("r_unit")
    channels = f.mul(f.field("channels"), f.field("depth"))
    pieces = f.at("i8", scratch, f.field("piece_place"))
    sums = f.at("i8", scratch, f.field("c_place"))
    k_all = f.field("k")
    with f.claim(f.field("counter", "ptr"), f.field("units")) as unit:
        group, split = f.divide(unit, splits)
        r0 = f.mul(split, r_unit)
        r1 = f.least(f.field("r_groups"), f.add(r0, r_unit))
        c0, _ = f.divide(f.mul(r0, tile.columns), taps)
        before, _ = f.divide(f.sub(f.mul(r1, tile.columns), 1), taps)
        c1 = f.least(channels, f.add(before, 1))
        x = f.at(t.scalar, f.field("x", "ptr"), f.mul(group, f.field("x_g")))
        g = f.at(t.scalar, f.field("w", "ptr"), f.mul(group, f.field("o_g")))
        with f.loop(0, f.field("chunks")) as chunk:
            where = windows.read_chunk(f, f"{name}_pad", chunk, x, scratch, (c0, c1))
            block = f.field("block")
            with f.loop(0, where.positions, block) as q:
                stop = f.least(where.positions, f.add(q, block))
                f.call(
                    f"{name}_pieces",
                    *(("ptr", "%arguments"), ("ptr", f.at("i64", pieces, 1)), ("ptr", pieces)),
                    *(("i64", q), ("i64", stop), ("i64", where.high)),
                    *(("i64", where.image), ("i64", where.row)),
                )
                first = f.compare("eq", f.op(f"or i64 {chunk}, {q}"), 0)
                positions = f.sub(stop, q)
                _products(f, name, t, tile, (scratch, g, positions, c0, r0, r1, first))
        weights = f.mul(f.mul(channels, taps), k_all)
        out = f.at(t.scalar, f.field("out", "ptr"), f.mul(group, weights))
        f.call(
            f"{name}_write",
            *(("ptr", "%arguments"), ("ptr", sums), ("ptr", out), ("i64", r0), ("i64", r1)),
        )
    return f.text()


def _products(
    f: Function, name: str, t: VectorType, tile: WeightTile, where: tuple[Value, ...]
) -> None:
    """All products of one chunk."""
    scratch, g, positions, c0, r0, r1, first = where
    base = str(scratch)
    pieces = f.at("i8", base, f.field("piece_place"))
    listed = (("ptr", f.at("i64", pieces, 1)), ("i64", f.load("i64", pieces)))
    a_area = f.at("i8", base, f.field("a_place"))
    b_area = f.at("i8", base, f.field("b_place"))
    sums = f.at("i8", base, f.field("c_place"))
    padded, panels, k_block = f.field("padded"), f.field("panels"), f.field("k_block")
    step = f.op(f"udiv i64 {k_block}, {tile.rows}")
    with f.loop(0, panels, step) as panel0:
        panel1 = f.least(panels, f.add(panel0, step))
        k0, k1 = f.mul(panel0, tile.rows), f.mul(panel1, tile.rows)
        if not tile.direct:
            f.call(
                f"{name}_gradient",
                *(("ptr", "%arguments"), ("ptr", a_area), *listed),
                *(("ptr", g), ("i64", k0), ("i64", k1), ("i64", positions)),
            )
        with f.loop(r0, r1) as group:
            first_r = f.mul(group, tile.columns)
            for column in range(0 if tile.direct else tile.columns):
                f.call(
                    f"{name}_input",
                    *(("ptr", "%arguments"), ("ptr", base)),
                    *(("ptr", f.at(t.scalar, b_area, f.mul(padded, column))), *listed),
                    *(("i64", f.add(first_r, column)), ("i64", c0)),
                    ("i64", positions),
                )
            area = f.mul(f.sub(group, r0), panels)
            with f.loop(panel0, panel1) as panel:
                place = f.mul(f.add(area, panel), slots(t, tile))
                target = ("ptr", f.at(t.scalar, sums, place))
                if tile.direct:
                    f.call(
                        f"{name}_inner",
                        *(("ptr", "%arguments"), ("ptr", base), ("ptr", g), target, *listed),
                        *(("i64", f.mul(panel, tile.rows)), ("i64", first_r), ("i64", c0)),
                        ("i1", first),
                    )
                else:
                    a = f.mul(f.mul(f.sub(panel, panel0), tile.rows), padded)
                    f.call(
                        f"{name}_inner",
                        *(("ptr", f.at(t.scalar, a_area, a)), ("ptr", b_area), target),
                        *(("i64", positions), ("i64", padded), ("i1", first)),
                    )
