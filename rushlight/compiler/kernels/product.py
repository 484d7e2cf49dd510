"""Matrix products C = A B, batched, for operands of any strides.

C's elements of a row lie next to each other (other layouts go through `product_sum.py`). One call
is cut into *units*: a block of C of one batch, and of one part of k if k is split. Threads take
units as they come; an element of C is computed in one unit, its sum in an order that depends on
shapes and layouts alone.

    for unit:
        for block of k:                       kc long; later blocks add to C
            pack B (and A) of the block, if that pays
            for panel of columns:             `vectors` vectors wide, the rest masked
                for rows of the panel:        `rows` at a time, then 4, 2, 1
                    C's tile, in registers, += A[row, p] * B[p, panel] for p in the block
                bias, ReLU

B is read from where it lies if its columns are adjacent, else packed as panels [k][width]; columns
that k runs along (a transposed B) are turned over in registers. A is read element by element, so
any strides serve; it is packed as panels [k][rows] where its columns are far apart in memory.

Fields are bytes where they are strides. The kernels for k-contiguous operands and few rows are in
`product_dot.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from rushlight.compiler.kernels.emit import Function, Value, VectorType, declarations
from rushlight.compiler.kernels.gemm import Tile

__all__ = [
    "FIELDS",
    "PARAMETERS",
    "Place",
    "epilogue_function",
    "module",
    "name_of",
    "place_of_unit",
]

PARAMETERS = (("ptr", "arguments"), ("i64", "part"), ("i64", "parts"))
FIELDS = (
    *("a", "b", "c", "bias", "scratch", "counter"),  # pointers
    *("units", "row_blocks", "column_blocks", "splits"),
    *("m", "n", "k", "row_block", "column_block", "split", "kc"),
    *("a_row", "a_k", "b_k", "b_column", "c_row", "c_split"),
    *("pack_a", "pack_b", "b_place", "edge_place", "part_bytes"),
    *("bias_row", "bias_column", "finish", "stream"),
    *("size1", "size2", "size3"),  # batch dimensions but the first
    *(f"{x}_batch{d}" for x in "abc" for d in range(4)),
)
_RUN = 8  # of k that are packed at a time


class Place(NamedTuple):
    """What a unit works on: pointers to its first elements, and its sizes."""

    a: str
    b: str
    c: str
    bias: str
    rows: str
    columns: str
    length: str  # of its part of k


def name_of(t: VectorType, tile: Tile) -> str:
    """The name of the kernel."""
    return f"rl_product_{t.tag}_{tile.rows}x{tile.vectors}"


def masked(t: VectorType) -> bool:
    """Whether the host has masked loads and stores of vectors."""
    return t.lanes * t.itemsize >= 32


def module(t: VectorType, tile: Tile) -> str:
    """The IR of the kernel."""
    name = name_of(t, tile)
    return "".join(
        [
            declarations(t),
            *[_stripe_function(f"{name}_{v}", t, tile, v) for v in range(1, tile.vectors + 1)],
            _pack_rows_function(f"{name}_a", t, tile),
            _pack_columns_function(f"{name}_b", t, tile),
            epilogue_function(f"{name}_finish", t),
            "" if masked(t) else _edge_function(f"{name}_edge", t, tile),
            _product_function(name, t, tile),
        ]
    )


# Small things


def _store_columns(
    f: Function, t: VectorType, values: Sequence[str], to: str, mask: str | None
) -> None:
    """Writes vectors next to each other, the last one as far as the mask allows."""
    for v, value in enumerate(values):
        place = f.at(t.scalar, to, v * t.lanes)
        if mask is not None and v == len(values) - 1:
            store_some(f, t, value, place, mask)
        else:
            f.store(t.vector, value, place, t.itemsize)


def load_some(f: Function, t: VectorType, place: str, mask: str) -> str:
    """A vector of which some lanes are read, the others 0."""
    return f.op(
        f"call {t.vector} @llvm.masked.load.{t.suffix}.p0(ptr {place}, i32 {t.itemsize}, "
        f"<{t.lanes} x i1> {mask}, {t.vector} zeroinitializer)"
    )


def store_some(f: Function, t: VectorType, value: str, place: str, mask: str) -> None:
    """Writes some lanes of a vector."""
    f.line(
        f"call void @llvm.masked.store.{t.suffix}.p0({t.vector} {value}, ptr {place}, "
        f"i32 {t.itemsize}, <{t.lanes} x i1> {mask})"
    )


def row_places(f: Function, pointer: str, steps: dict[int, str], rows: int) -> list[str]:
    """Where rows start; `steps` are odd multiples of the row's stride.

    The multiples by 2 and 4 are taken here, next to their use, so that they become part of the
    instruction's address.
    """
    places = [pointer]
    for r in range(1, rows):
        odd, shift = r, 0
        while odd % 2 == 0:
            odd, shift = odd // 2, shift + 1
        step = f.op(f"shl i64 {steps[odd]}, {shift}") if shift else steps[odd]
        places.append(f.at("i8", pointer, step))
    return places


def odd_steps(f: Function, stride: Value, rows: int) -> dict[int, str]:
    """The odd multiples of a stride that `row_places` needs."""
    return {n: f.op(f"mul i64 {stride}, {n}") for n in range(1, rows, 2)}


# The inner kernel


def _stripe_function(name: str, t: VectorType, tile: Tile, vectors: int) -> str:
    """One panel of columns, all rows: C (+)= A B.

    `last` is the number of columns in the last vector; `panel` the bytes from one panel of A to the
    next.
    """
    parameters = (
        *(("ptr", "a"), ("i64", "a_row"), ("i64", "a_k"), ("i64", "panel")),
        *(("ptr", "b"), ("i64", "b_k"), ("ptr", "c"), ("i64", "c_row")),
        *(("i64", "m"), ("i64", "k"), ("i64", "last"), ("i64", "add")),
    )
    f = Function(name, parameters, internal=True)
    mask = f.first_lanes(t, "%last") if masked(t) else None
    adds = f.compare("ne", "%add", 0)
    steps = odd_steps(f, "%a_row", tile.rows)
    stop = f.sub("%m", tile.rows - 1)
    c_step = f.mul("%c_row", tile.rows)
    loop = f.begin([("i64", 0), ("ptr", "%a"), ("ptr", "%c")])
    i, a, c = loop.values
    f.test(loop, f.compare("slt", i, stop))
    _tile(f, t, (tile.rows, vectors), (a, c), steps, (mask, adds))
    f.end(loop, [f.add(i, tile.rows), f.at("i8", a, "%panel"), f.at("i8", c, c_step)])
    left = f.sub("%m", i)
    for rows in (4, 2, 1):
        if rows >= tile.rows:
            continue
        some = f.op(f"and i64 {left}, {rows}")
        with f.when(f.compare("ne", some, 0)):
            before = f.op(f"and i64 {left}, {8 - 2 * rows}")  # rows already done
            at_a = f.at("i8", a, f.mul(before, "%a_row"))
            at_c = f.at("i8", c, f.mul(before, "%c_row"))
            _tile(f, t, (rows, vectors), (at_a, at_c), steps, (mask, adds))
    return f.text()


def _tile(
    f: Function,
    t: VectorType,
    size: tuple[int, int],
    where: tuple[str, str],
    steps: dict[int, str],
    how: tuple[str | None, str],
) -> None:
    """A tile of C, from a row of A and of C on."""
    rows, vectors = size
    mask, adds = how
    places = [(r, v) for r in range(rows) for v in range(vectors)]
    carried: list[tuple[str, Value]] = [("i64", "%k"), ("ptr", where[0]), ("ptr", "%b")]
    loop = f.begin(carried + [(t.vector, "zeroinitializer")] * len(places))
    left, a, b = loop.values[:3]
    sums = dict(zip(places, loop.values[3:], strict=True))
    columns = []
    for v in range(vectors):
        place = f.at(t.scalar, b, v * t.lanes)
        some = mask is not None and v == vectors - 1
        columns.append(
            load_some(f, t, place, str(mask)) if some else f.load(t.vector, place, t.itemsize)
        )
    for r, place in enumerate(row_places(f, a, steps, rows)):
        factor = f.splat(t, f.load(t.scalar, place))
        for v in range(vectors):
            sums[r, v] = f.fma(t, factor, columns[v], sums[r, v])
    after = f.sub(left, 1)
    following = [after, f.at("i8", a, "%a_k"), f.at("i8", b, "%b_k")]
    again = f.compare("sgt", after, 0)
    f.end_if(loop, again, following + [sums[place] for place in places])
    _results(
        f, t, [[sums[r, v] for v in range(vectors)] for r in range(rows)], where[1], mask, adds
    )


def _results(
    f: Function, t: VectorType, sums: list[list[str]], c: str, mask: str | None, adds: str
) -> None:
    """Writes a tile's rows to C, or adds them to what is there."""
    rows = [c]
    for _ in sums[1:]:
        rows.append(f.at("i8", rows[-1], "%c_row"))
    with f.when(f.otherwise(adds)):
        for row, values in zip(rows, sums, strict=True):
            _store_columns(f, t, values, row, mask)
    with f.when(adds):
        for row, values in zip(rows, sums, strict=True):
            totals = []
            for v, value in enumerate(values):
                place = f.at(t.scalar, row, v * t.lanes)
                some = mask is not None and v == len(values) - 1
                old = (
                    load_some(f, t, place, str(mask))
                    if some
                    else f.load(t.vector, place, t.itemsize)
                )
                totals.append(f.op(f"fadd {t.vector} {old}, {value}"))
            _store_columns(f, t, totals, row, mask)


# Packing


@contextmanager
def _few_of_k(f: Function) -> Iterator[tuple[str, str]]:
    """A loop over k, some at a time: panels next to each other then read the same cache lines."""
    with f.loop(0, "%k", _RUN) as first:
        yield first, f.least("%k", f.add(first, _RUN))


def _pack_rows_function(name: str, t: VectorType, tile: Tile) -> str:
    """packed[panel][p][row] = A[panel * rows + row, p], for rows that are adjacent in memory."""
    parameters = (("ptr", "a"), ("i64", "a_k"), ("i64", "m"), ("i64", "k"), ("ptr", "to"))
    f = Function(name, parameters, internal=True)
    row = f"<{tile.rows} x {t.scalar}>"
    with _few_of_k(f) as (first, stop), f.loop(0, "%m", tile.rows) as i:
        source = f.at(t.scalar, "%a", i)
        target = f.at(t.scalar, "%to", f.mul(i, "%k"))
        left = f.sub("%m", i)
        whole = f.compare("sge", left, tile.rows)
        with f.when(whole), f.loop(first, stop) as p:
            value = f.load(row, f.at("i8", source, f.mul(p, "%a_k")), t.itemsize)
            f.store(row, value, f.at(t.scalar, target, f.mul(p, tile.rows)), t.itemsize)
        with f.when(f.otherwise(whole)), f.loop(first, stop) as p, f.loop(0, left) as r:
            value = f.load(t.scalar, f.at(t.scalar, f.at("i8", source, f.mul(p, "%a_k")), r))
            f.store(t.scalar, value, f.at(t.scalar, target, f.mul(p, tile.rows), r))
    return f.text()


def _pack_columns_function(name: str, t: VectorType, tile: Tile) -> str:
    """packed[panel][p][column] = B[p, panel * width + column]; columns beyond n hold anything.

    `how`: 1 for adjacent columns, 2 for columns along which k is adjacent, 3 for any strides.
    """
    parameters = (
        *(("ptr", "b"), ("i64", "b_k"), ("i64", "b_column"), ("i64", "n"), ("i64", "k")),
        *(("ptr", "to"), ("i64", "how")),
    )
    f = Function(name, parameters, internal=True)
    width = tile.vectors * t.lanes
    with f.when(f.compare("eq", "%how", 1)), _few_of_k(f) as span, f.loop(0, "%n", width) as j:
        source, target = f.at(t.scalar, "%b", j), f.at(t.scalar, "%to", f.mul(j, "%k"))
        _copy_columns(f, t, tile.vectors, (source, target), f.sub("%n", j), span)
    with f.when(f.compare("eq", "%how", 2)), f.loop(0, "%n", width) as j:
        target = f.at(t.scalar, "%to", f.mul(j, "%k"))
        with f.loop(0, f.least(f.sub("%n", j), width), t.lanes) as v:
            column = f.add(j, v)
            source = f.at("i8", "%b", f.mul(column, "%b_column"))
            to = f.at(t.scalar, target, v)
            _turn_columns(f, t, width, source, to, f.sub("%n", column))
    with f.when(f.compare("eq", "%how", 3)), f.loop(0, "%n", width) as j:
        target = f.at(t.scalar, "%to", f.mul(j, "%k"))
        columns = f.least(f.sub("%n", j), width)
        with f.loop(0, "%k") as p, f.loop(0, columns) as v:
            place = f.at("i8", "%b", f.mul(p, "%b_k"), f.mul(f.add(j, v), "%b_column"))
            to = f.at(t.scalar, target, f.mul(p, width), v)
            f.store(t.scalar, f.load(t.scalar, place), to)
    return f.text()


def _copy_columns(
    f: Function,
    t: VectorType,
    vectors: int,
    places: tuple[str, str],
    left: Value,
    span: tuple[str, str],
) -> None:
    """A panel of adjacent columns, for some of k."""
    source, target = places
    width = vectors * t.lanes
    whole = f.compare("sge", left, width)
    with f.when(whole), f.loop(*span) as p:
        row = f.at("i8", source, f.mul(p, "%b_k"))
        to = f.at(t.scalar, target, f.mul(p, width))
        values = [
            f.load(t.vector, f.at(t.scalar, row, v * t.lanes), t.itemsize) for v in range(vectors)
        ]
        _store_columns(f, t, values, to, None)
    with f.when(f.otherwise(whole)):
        step = t.lanes if masked(t) else 1
        with f.loop(0, left, step) as v:
            mask = f.first_lanes(t, f.sub(left, v)) if masked(t) else ""
            with f.loop(*span) as p:
                place = f.at(t.scalar, f.at("i8", source, f.mul(p, "%b_k")), v)
                to = f.at(t.scalar, target, f.mul(p, width), v)
                if masked(t):
                    f.store(t.vector, load_some(f, t, place, mask), to, t.itemsize)
                else:
                    f.store(t.scalar, f.load(t.scalar, place), to)


def _turn_columns(
    f: Function, t: VectorType, width: int, source: str, target: str, columns: Value
) -> None:
    """One vector of columns along which k is adjacent: squares are turned over in registers.

    Missing columns repeat the last one.
    """
    last = f.sub(columns, 1)
    places = []
    for c in range(t.lanes):
        column = f.least(c, last) if c else 0
        places.append(f.at("i8", source, f.mul(column, "%b_column")))
    whole = f.op(f"and i64 %k, {-t.lanes}")
    with f.loop(0, whole, t.lanes) as p:
        rows = [f.load(t.vector, f.at(t.scalar, place, p), t.itemsize) for place in places]
        for i, value in enumerate(_transposed(f, t, rows)):
            to = f.at(t.scalar, target, f.mul(f.add(p, i), width))
            f.store(t.vector, value, to, t.itemsize)
    with f.loop(whole, "%k") as p:
        to = f.at(t.scalar, target, f.mul(p, width))
        for c, place in enumerate(places):
            f.store(t.scalar, f.load(t.scalar, f.at(t.scalar, place, p)), f.at(t.scalar, to, c))


def _transposed(f: Function, t: VectorType, rows: list[str]) -> list[str]:
    """The columns of a square of vectors, by exchanging blocks of 1, 2, 4 ... lanes."""
    half = 1
    while half < t.lanes:
        following = list(rows)
        for i in range(t.lanes):
            if i & half:
                continue
            pair = f"{t.vector} {rows[i]}, {t.vector} {rows[i | half]}"
            upper = [t.lanes + (x ^ half) if x & half else x for x in range(t.lanes)]
            lower = [t.lanes + x if x & half else x | half for x in range(t.lanes)]
            following[i] = shuffle(f, pair, upper)
            following[i | half] = shuffle(f, pair, lower)
        rows = following
        half *= 2
    return rows


def shuffle(f: Function, pair: str, lanes: Sequence[int]) -> str:
    """Lanes of two vectors in another order."""
    mask = ", ".join(f"i32 {x}" for x in lanes)
    return f.op(f"shufflevector {pair}, <{len(lanes)} x i32> <{mask}>")


# What follows the product


def epilogue_function(name: str, t: VectorType) -> str:
    """Adds a bias to a block of C, along columns or along rows, and cuts at 0.

    `finish`: bit 0 for a bias, bit 1 for ReLU. The bias moves by `bias_row` bytes a row and by
    `bias_column` bytes (the element's size, or 0) a column.
    """
    parameters = (
        *(("ptr", "c"), ("i64", "c_row"), ("i64", "m"), ("i64", "n")),
        *(("ptr", "bias"), ("i64", "bias_row"), ("i64", "bias_column"), ("i64", "finish")),
    )
    f = Function(name, parameters, internal=True)
    biased = f.compare("ne", f.op("and i64 %finish, 1"), 0)
    along = f.op(f"and i1 {biased}, {f.compare('ne', '%bias_column', 0)}")
    across = f.op(f"and i1 {biased}, {f.compare('eq', '%bias_column', 0)}")
    cut = f.compare("ne", f.op("and i64 %finish, 2"), 0)
    with f.loop(0, "%m") as i:
        row = f.at("i8", "%c", f.mul(i, "%c_row"))
        with f.when(along), _elements(f, t, row) as here:
            here.write(f.op(f"fadd {here.kind} {here.value}, {here.read('%bias')}"))
        with f.when(across):
            bias = f.load(t.scalar, f.at("i8", "%bias", f.mul(i, "%bias_row")))
            everywhere = f.splat(t, bias) if masked(t) else bias
            with _elements(f, t, row) as here:
                here.write(f.op(f"fadd {here.kind} {here.value}, {everywhere}"))
        with f.when(cut), _elements(f, t, row) as here:
            zero = "zeroinitializer" if masked(t) else "0.0"
            low = f.op(f"fcmp ole {here.kind} {here.value}, {zero}")
            bits = f"<{t.lanes} x i1>" if masked(t) else "i1"
            here.write(f.op(f"select {bits} {low}, {here.kind} {zero}, {here.kind} {here.value}"))
    return f.text()


class _Elements(NamedTuple):
    """Some elements of a row, in a vector where the host has masks, else one."""

    f: Function
    t: VectorType
    kind: str
    column: str
    mask: str
    value: str
    place: str

    def read(self, row: str) -> str:
        """The elements at the same columns of another row."""
        place = self.f.at(self.t.scalar, row, self.column)
        if masked(self.t):
            return load_some(self.f, self.t, place, self.mask)
        return self.f.load(self.t.scalar, place)

    def write(self, value: str) -> None:
        """Replaces the elements."""
        if masked(self.t):
            store_some(self.f, self.t, value, self.place, self.mask)
        else:
            self.f.store(self.t.scalar, value, self.place)


@contextmanager
def _elements(f: Function, t: VectorType, row: str) -> Iterator[_Elements]:
    """A loop over the `%n` elements of a row."""
    with f.loop(0, "%n", t.lanes if masked(t) else 1) as j:
        place = f.at(t.scalar, row, j)
        if masked(t):
            mask = f.first_lanes(t, f.sub("%n", j))
            yield _Elements(f, t, t.vector, j, mask, load_some(f, t, place, mask), place)
        else:
            yield _Elements(f, t, t.scalar, j, "", f.load(t.scalar, place), place)


def _edge_function(name: str, t: VectorType, tile: Tile) -> str:
    """Copies a panel's few columns from scratch to C, or adds them; for hosts without masks."""
    parameters = (
        *(("ptr", "from"), ("ptr", "c"), ("i64", "c_row"), ("i64", "m"), ("i64", "n")),
        ("i64", "add"),
    )
    f = Function(name, parameters, internal=True)
    adds = f.compare("ne", "%add", 0)
    with f.loop(0, "%m") as i:
        row = f.at(t.scalar, "%from", f.mul(i, tile.vectors * t.lanes))
        to = f.at("i8", "%c", f.mul(i, "%c_row"))
        with f.loop(0, "%n") as j:
            value = f.load(t.scalar, f.at(t.scalar, row, j))
            place = f.at(t.scalar, to, j)
            total = f.op(f"fadd {t.scalar} {value}, {f.load(t.scalar, place)}")
            f.store(t.scalar, f.select(adds, t.scalar, total, value), place)
    return f.text()


# The loop over units


def place_of_unit(f: Function, unit: str, itemsize: int) -> Place:
    """Where a unit's operands start."""
    names = ("row_blocks", "column_blocks", "splits", "m", "n", "k", "row_block", "column_block")
    row_blocks, column_blocks, splits, m, n, k, row_block, column_block = map(f.field, names)
    rest, row = f.divide(unit, row_blocks)
    rest, column = f.divide(rest, column_blocks)
    batch, part = f.divide(rest, splits)
    index: list[Value] = []
    for size in ("size3", "size2", "size1"):
        batch, here = f.divide(batch, f.field(size))
        index.insert(0, here)
    index.insert(0, batch)
    i, j, p = f.mul(row, row_block), f.mul(column, column_block), f.mul(part, f.field("split"))

    def start(name: str, *more: Value) -> str:
        steps = [f.mul(x, f.field(f"{name}_batch{d}")) for d, x in enumerate(index)]
        return f.at("i8", f.field(name, "ptr"), *steps, *more)

    bias = (f.mul(i, f.field("bias_row")), f.mul(j, f.field("bias_column")))
    return Place(
        start("a", f.mul(i, f.field("a_row")), f.mul(p, f.field("a_k"))),
        start("b", f.mul(p, f.field("b_k")), f.mul(j, f.field("b_column"))),
        start("c", f.mul(i, f.field("c_row")), f.mul(j, itemsize), f.mul(part, f.field("c_split"))),
        f.at("i8", f.field("bias", "ptr"), *bias),
        f.least(row_block, f.sub(m, i)),
        f.least(column_block, f.sub(n, j)),
        f.least(f.field("split"), f.sub(k, p)),
    )


def _product_function(name: str, t: VectorType, tile: Tile) -> str:
    """See the file's head."""
    f = Function(name, PARAMETERS, FIELDS)
    kc, a_row, a_k, b_k, b_column, c_row = map(
        f.field, ("kc", "a_row", "a_k", "b_k", "b_column", "c_row")
    )
    pack_a, pack_b, finish = (f.field(x) for x in ("pack_a", "pack_b", "finish"))
    packs_a, packs_b = (f.compare("ne", x, 0) for x in (pack_a, pack_b))
    scratch = f.at("i8", f.field("scratch", "ptr"), f.mul("%part", f.field("part_bytes")))
    b_area = f.at("i8", scratch, f.field("b_place"))
    with f.claim(f.field("counter", "ptr"), f.field("units")) as unit:
        here = place_of_unit(f, unit, t.itemsize)
        with f.loop(0, here.length, kc) as p:
            length = f.least(kc, f.sub(here.length, p))
            a = f.at("i8", here.a, f.mul(p, a_k))
            b = f.at("i8", here.b, f.mul(p, b_k))
            with f.when(packs_a):
                f.call(
                    f"{name}_a",
                    *(("ptr", a), ("i64", a_k), ("i64", here.rows), ("i64", length)),
                    ("ptr", scratch),
                )
            with f.when(packs_b):
                f.call(
                    f"{name}_b",
                    *(("ptr", b), ("i64", b_k), ("i64", b_column), ("i64", here.columns)),
                    *(("i64", length), ("ptr", b_area), ("i64", pack_b)),
                )
            # Where the stripes read: the packed copies, or the operands as they lie.
            item, row_bytes = t.itemsize, tile.rows * t.itemsize
            width = tile.vectors * t.lanes * item
            rows = (
                f.select(packs_a, "ptr", scratch, a),
                f.select(packs_a, "i64", item, a_row),
                f.select(packs_a, "i64", row_bytes, a_k),
                f.select(packs_a, "i64", f.mul(length, row_bytes), f.mul(a_row, tile.rows)),
            )
            columns = (
                f.select(packs_b, "ptr", b_area, b),
                f.select(packs_b, "i64", width, b_k),
                f.select(packs_b, "i64", f.mul(length, width), width),
            )
            last = f.compare("sge", f.add(p, kc), here.length)
            ends = f.op(f"and i1 {last}, {f.compare('ne', finish, 0)}")
            add = f.select(f.compare("sgt", p, 0), "i64", 1, 0)
            _stripes(f, name, t, tile, here, (rows, columns, c_row, length, add, ends))
    return f.text()


def _stripes(
    f: Function, name: str, t: VectorType, tile: Tile, here: Place, block: tuple[Any, ...]
) -> None:
    """The panels of columns of a unit, for one block of k."""
    (a, a_row, a_k, a_panel), (b, b_k, b_panel), c_row, length, add, ends = block
    width = tile.vectors * t.lanes
    panels = f.op(f"udiv i64 {f.add(here.columns, width - 1)}, {width}")
    with f.loop(0, panels) as panel:
        j = f.mul(panel, width)
        left = f.least(f.sub(here.columns, j), width)
        vectors = f.op(f"udiv i64 {f.add(left, t.lanes - 1)}, {t.lanes}")
        last = f.sub(left, f.mul(f.sub(vectors, 1), t.lanes))
        c = f.at(t.scalar, here.c, j)
        to, to_row, to_add = c, c_row, add
        edge = "false"
        if not masked(t):  # a panel with a part of a vector is computed elsewhere, then copied
            edge = f.compare("ne", last, t.lanes)
            scratch = f.at("i8", f.field("scratch", "ptr"), f.mul("%part", f.field("part_bytes")))
            area = f.at("i8", scratch, f.field("edge_place"))
            to = f.select(edge, "ptr", area, c)
            to_row = f.select(edge, "i64", width * t.itemsize, c_row)
            to_add = f.select(edge, "i64", 0, add)
        for v in range(1, tile.vectors + 1):
            with f.when(f.compare("eq", vectors, v)):
                f.call(
                    f"{name}_{v}",
                    *(("ptr", a), ("i64", a_row), ("i64", a_k), ("i64", a_panel)),
                    *(("ptr", f.at("i8", b, f.mul(panel, b_panel))), ("i64", b_k), ("ptr", to)),
                    *(("i64", to_row), ("i64", here.rows), ("i64", length), ("i64", last)),
                    ("i64", to_add),
                )
        if not masked(t):
            with f.when(edge):
                f.call(
                    f"{name}_edge",
                    *(("ptr", to), ("ptr", c), ("i64", c_row), ("i64", here.rows)),
                    *(("i64", left), ("i64", add)),
                )
        with f.when(ends):
            column = f.field("bias_column")
            f.call(
                f"{name}_finish",
                *(("ptr", c), ("i64", c_row), ("i64", here.rows), ("i64", left)),
                *(("ptr", f.at("i8", here.bias, f.mul(j, column))),),
                *(("i64", f.field("bias_row")), ("i64", column), ("i64", f.field("finish"))),
            )
