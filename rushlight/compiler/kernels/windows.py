"""What kernels that slide windows over an input share: arguments, scratch, positions.

A kernel's argument block is one array of 64-bit words, `FIELDS`. Its input is copied, a chunk at a
time (some images, or a band of rows of one), into a scratch with its padding around it, columns
split by the stride: see ``conv.py``. Positions of windows are listed as pieces, runs that stay in
one row. Strides count elements.
"""

from __future__ import annotations

from typing import NamedTuple

from rushlight.compiler.kernels.emit import Function, Value, VectorType

__all__ = [
    "FIELDS",
    "PARAMETERS",
    "PIECE_WORDS",
    "Chunk",
    "pad_function",
    "piece_area",
    "pieces_function",
    "read_chunk",
]

# The argument block, one 64-bit word each. Strides count elements.
FIELDS = (
    *("x", "w", "bias", "out", "packed", "scratch", "counter", "tap_x", "tap_w"),
    *("groups", "images", "planes", "channels", "depth", "taps", "k", "panels"),
    *("x_n", "x_g", "x_c", "x_z", "x_y", "x_x", "height", "width", "z_size"),
    *("z_stride", "z_start", "z_step", "y_stride", "y_start", "x_start"),
    *("w_g", "w_k", "w_c", "w_z"),
    *("o_n", "o_g", "o_k", "o_z", "o_y", "o_x", "rows", "columns"),
    *("unit_images", "unit_rows", "bands", "units"),
    *("scratch_rows", "phase_width", "phases", "phase_stride", "row_words"),
    *("plane_words", "image_words", "tiles", "c_block", "scratch_words", "pack_unit"),
    *("b_place", "c_place", "piece_place"),
    # of the weight's gradient alone
    *("padded", "r_groups", "r_unit", "splits", "chunks", "k_block", "a_place", "block"),
    # of pooling alone, but for first_row: what taps of a row meet the input
    *("indices", "tap_index", "first_row", "first_column", "c_unit", "c_units"),
)
PIECE_WORDS = 4  # source, column of the tile, output, length
PARAMETERS = (("ptr", "arguments"), ("i64", "part"), ("i64", "parts"))


def piece_area(positions: int) -> int:
    """Words for the list of pieces of this many positions, its length and the tile's vectors."""
    return positions * PIECE_WORDS + 2


def pad_function(name: str, t: VectorType, fill: str = "0.0") -> str:
    """Copies channels c0 .. c1 of a unit's input into the scratch, `fill` around it.

    scratch[image][channel - c0][row][phase][place]; stores may run into the next row,
    which is written later.
    """
    parameters = (
        *(("ptr", "arguments"), ("ptr", "scratch"), ("ptr", "x")),
        *(("i64", "image"), ("i64", "images"), ("i64", "top"), ("i64", "rows")),
        *(("i64", "c0"), ("i64", "c1")),
    )
    f = Function(name, parameters, FIELDS, internal=True)
    depth, planes = f.field("depth"), f.field("planes")
    height, z_size = f.field("height"), f.field("z_size")
    x_n, x_c, x_z, x_y = (f.field(n) for n in ("x_n", "x_c", "x_z", "x_y"))
    z_stride, z_start, z_step = (f.field(n) for n in ("z_stride", "z_start", "z_step"))
    plane_words, image_words = f.field("plane_words"), f.field("image_words")
    with f.loop(0, "%images") as m, f.loop("%c0", "%c1") as channel:
        c, d = f.divide(channel, depth)
        n, z = f.divide(f.add("%image", m), planes)
        plane = f.add(f.mul(z, z_stride), z_start, f.mul(d, z_step))
        within = f.compare("ult", plane, z_size)  # a negative plane is a very large one
        source = f.at(t.scalar, "%x", f.mul(n, x_n), f.mul(c, x_c), f.mul(plane, x_z))
        place = f.mul(f.sub(channel, "%c0"), plane_words)
        target = f.at(t.scalar, "%scratch", f.mul(m, image_words), place)
        with f.loop(0, "%rows") as r:
            y = f.add("%top", r)
            here = f.compare("ult", y, height)
            valid = f.op(f"and i1 {within}, {here}")
            to = f.at(t.scalar, target, f.mul(r, f.field("row_words")))
            row = f.at(t.scalar, source, f.mul(y, x_y))
            _copy_row(f, t, row, to, valid, f.repeated(t, fill))
    return f.text()


def _copy_row(f: Function, t: VectorType, row: str, to: str, valid: str, fill: str) -> None:
    """One row: by masked vectors where columns follow each other, else element by element."""
    masked = t.itemsize * t.lanes >= 32  # narrower hosts have no masked loads
    neighbours = f.compare("eq", f.field("x_x"), 1)
    by_stride: list[tuple[int, str]] = []
    if masked:
        for stride in (1, 2):
            this = f.compare("eq", f.field("phase_stride"), stride)
            chosen = f.op(f"and i1 {valid}, {f.op(f'and i1 {neighbours}, {this}')}")
            by_stride.append((stride, chosen))
    for stride, chosen in by_stride:
        with f.when(chosen):
            for phase in range(stride):
                _copy_phase(f, t, row, to, stride, phase, fill)
    by_vectors = f.op(f"or i1 {by_stride[0][1]}, {by_stride[1][1]}") if masked else "false"
    with f.when(f.otherwise(by_vectors)):
        with f.loop(0, f.field("row_words"), t.lanes) as i:
            f.store(t.vector, fill, f.at(t.scalar, to, i), t.itemsize)
        phases = f.select(valid, "i64", f.field("phases"), 0)
        with f.loop(0, phases) as number:
            _copy_elements(f, t, row, to, number)


def _copy_phase(
    f: Function, t: VectorType, row: str, to: str, stride: int, phase: int, fill: str
) -> None:
    """Every second column (or every one), `fill` for those outside.

    Stores may run into the next phase or row, which is written later.
    """
    count = f.field("phase_width")
    if phase:
        count = f.select(f.compare("sgt", f.field("phases"), phase), "i64", count, 0)
    target = f.at(t.scalar, to, f.mul(f.field("phase_width"), phase))
    start, width = f.field("x_start"), f.field("width")
    with f.loop(0, count, t.lanes) as i:
        column = f.add(f.mul(i, stride), start)
        parts = [
            f.masked_load(t, row, f.add(column, n * t.lanes), width, fill) for n in range(stride)
        ]
        value = parts[0] if stride == 1 else f.every_second(t, parts[0], parts[1], phase)
        f.store(t.vector, value, f.at(t.scalar, target, i), t.itemsize)


def _copy_elements(f: Function, t: VectorType, row: str, to: str, phase: Value) -> None:
    """The columns of a phase that exist."""
    low, high = _row_range(f, phase)
    target = f.at(t.scalar, to, f.mul(phase, f.field("phase_width")))
    x_x = f.field("x_x")
    step = f.mul(f.field("phase_stride"), x_x)
    source = f.at(t.scalar, row, f.mul(f.add(f.field("x_start"), phase), x_x))
    with f.loop(low, high) as i:
        value = f.load(t.scalar, f.at(t.scalar, source, f.mul(i, step)))
        f.store(t.scalar, value, f.at(t.scalar, target, i))


def _row_range(f: Function, phase: Value) -> tuple[Value, Value]:
    """First and last+1 place of a phase that lie inside the input.

    Place i is input column i * phase_stride + phase + x_start.
    """
    stride, width = f.field("phase_stride"), f.field("width")
    start = f.add(f.field("x_start"), phase)
    round_up = f.sub(stride, 1)
    before = f.greatest(f.sub(0, start), 0)
    low = f.op(f"udiv i64 {f.add(before, round_up)}, {stride}")
    room = f.greatest(f.add(f.sub(width, start), round_up), 0)
    high = f.least(f.op(f"udiv i64 {room}, {stride}"), f.field("phase_width"))
    return low, f.greatest(low, high)


def pieces_function(name: str, t: VectorType) -> str:
    """Lists the runs of at most one vector of positions start .. stop that stay in one row.

    Each is four words: where its columns start in the scratch (for a tap at 0), its column in the
    tile, its place in the output, its length. Their number is stored at `count`.
    """
    parameters = (
        *(("ptr", "arguments"), ("ptr", "pieces"), ("ptr", "count")),
        *(("i64", "start"), ("i64", "stop"), ("i64", "rows"), ("i64", "image"), ("i64", "row")),
    )
    f = Function(name, parameters, FIELDS, internal=True)
    columns, planes = f.field("columns"), f.field("planes")
    image_words = f.field("image_words")
    row_step = f.mul(f.field("y_stride"), f.field("row_words"))
    o_n, o_z, o_y, o_x = (f.field(n) for n in ("o_n", "o_z", "o_y", "o_x"))
    line, first_j = f.divide("%start", columns)
    first_m, first_i = f.divide(line, "%rows")
    loop = f.begin(
        [("i64", 0), ("i64", "%start"), ("i64", first_m), ("i64", first_i), ("i64", first_j)]
    )
    number, q, m, i, j = loop.values
    f.test(loop, f.compare("slt", q, "%stop"))
    length = f.least(f.least(f.sub(columns, j), f.sub("%stop", q)), t.lanes)
    n, z = f.divide(f.add("%image", m), planes)
    source = f.add(f.mul(m, image_words), f.mul(i, row_step), j)
    y = f.add("%row", i)
    out = f.add(f.mul(n, o_n), f.mul(z, o_z), f.mul(y, o_y), f.mul(j, o_x))
    piece = f.at("i64", "%pieces", f.mul(number, PIECE_WORDS))
    for word, value in enumerate((source, f.sub(q, "%start"), out, length)):
        f.store("i64", value, f.at("i64", piece, word))
    next_j = f.add(j, length)
    row_ends = f.compare("sge", next_j, columns)
    j_after = f.select(row_ends, "i64", 0, next_j)
    next_i = f.select(row_ends, "i64", f.add(i, 1), i)
    image_ends = f.compare("sge", next_i, "%rows")
    i_after = f.select(image_ends, "i64", 0, next_i)
    m_after = f.select(image_ends, "i64", f.add(m, 1), m)
    f.end(loop, [f.add(number, 1), f.add(q, length), m_after, i_after, j_after])
    f.store("i64", number, "%count")
    return f.text()


class Chunk(NamedTuple):
    """Some images, or a band of rows of one image: what is in the scratch at one time."""

    positions: Value
    high: Value  # output rows
    image: Value
    row: Value


def read_chunk(
    f: Function, pad: str, chunk: Value, x: str, scratch: str, channels: tuple[Value, Value]
) -> Chunk:
    """Finds out what belongs to a chunk and copies its input into the scratch."""
    fields = ("bands", "unit_images", "unit_rows", "images", "rows", "columns")
    bands, unit_images, unit_rows, images, rows, columns = map(f.field, fields)
    step, band = f.divide(chunk, bands)
    image = f.mul(step, unit_images)
    count = f.least(unit_images, f.sub(images, image))
    row = f.mul(band, unit_rows)
    high = f.least(unit_rows, f.sub(rows, row))
    stride, scratch_rows = f.field("y_stride"), f.field("scratch_rows")
    top = f.add(f.mul(row, stride), f.field("y_start"))
    missing = f.mul(f.sub(unit_rows, high), stride)
    f.call(
        pad,
        *(("ptr", "%arguments"), ("ptr", scratch), ("ptr", x)),
        *(("i64", image), ("i64", count), ("i64", top), ("i64", f.sub(scratch_rows, missing))),
        *(("i64", channels[0]), ("i64", channels[1])),
    )
    return Chunk(f.mul(f.mul(count, high), columns), high, image, row)
