"""Matrix products of few rows where k is adjacent in both operands: sums run in a vector's lanes.

    for unit:                                 as in `product.py`
        for columns of B, four at a time, then one:
            for block of k:
                for rows of A, `rows` at a time, then 2, 1:
                    sums[row, column] = lanes of A[row, p] * B[p, column] over p
                    C[row, column] (+)= the sum of the lanes, in a tree
        bias, ReLU

Nothing is packed, B streams through once: this is what a layer's product is at small batches, and
matrix times vector.
"""

from __future__ import annotations

from rushlight.compiler.kernels.emit import Function, Value, VectorType, declarations
from rushlight.compiler.kernels.product import (
    FIELDS,
    PARAMETERS,
    Place,
    epilogue_function,
    load_some,
    masked,
    odd_steps,
    place_of_unit,
    row_places,
    shuffle,
)

__all__ = ["COLUMNS", "dot_module", "dot_name"]

COLUMNS = 4  # of B at a time


def dot_name(t: VectorType, rows: int) -> str:
    """The name of the kernel."""
    return f"rl_product_dot_{t.tag}_{rows}"


def dot_module(t: VectorType, rows: int) -> str:
    """The IR of the kernel that takes 1, 2 or 4 rows at a time."""
    name = dot_name(t, rows)
    scalar = f"llvm.fmuladd.f{8 * t.itemsize}"
    return "".join(
        [
            declarations(t),
            f"declare {t.scalar} @{scalar}({t.scalar}, {t.scalar}, {t.scalar})\n",
            _stripe_function(f"{name}_{COLUMNS}", t, rows, COLUMNS),
            _stripe_function(f"{name}_1", t, rows, 1),
            epilogue_function(f"{name}_finish", t),
            _dot_function(name, t),
        ]
    )


def _stripe_function(name: str, t: VectorType, most: int, columns: int) -> str:
    """Some columns of B, all rows."""
    parameters = (
        *(("ptr", "a"), ("i64", "a_row"), ("ptr", "b"), ("i64", "b_column")),
        *(("ptr", "c"), ("i64", "c_row"), ("i64", "m"), ("i64", "k"), ("i64", "add")),
    )
    f = Function(name, parameters, internal=True)
    steps = (odd_steps(f, "%a_row", most), odd_steps(f, "%b_column", columns))
    adds = f.compare("ne", "%add", 0)
    rest = f.op(f"and i64 %k, {t.lanes - 1}")
    mask = f.first_lanes(t, rest) if masked(t) else ""
    with f.loop(0, f.op(f"and i64 %m, {-most}"), most) as i:
        _tile(f, t, (most, columns), i, steps, (rest, mask, adds))
    rows = most // 2
    while rows:
        with f.when(f.compare("ne", f.op(f"and i64 %m, {rows}"), 0)):
            _tile(
                f, t, (rows, columns), f.op(f"and i64 %m, {-2 * rows}"), steps, (rest, mask, adds)
            )
        rows //= 2
    return f.text()


def _tile(
    f: Function,
    t: VectorType,
    size: tuple[int, int],
    i: Value,
    steps: tuple[dict[int, str], dict[int, str]],
    how: tuple[str, str, str],
) -> None:
    """Some rows from row i on, times some columns."""
    rows, columns = size
    rest, mask, adds = how
    places = [(r, c) for r in range(rows) for c in range(columns)]
    a_start = f.at("i8", "%a", f.mul(i, "%a_row"))
    carried: list[tuple[str, Value]] = [("i64", t.lanes), ("ptr", a_start), ("ptr", "%b")]
    loop = f.begin(carried + [(t.vector, "zeroinitializer")] * len(places))
    p, a, b = loop.values[:3]
    sums = dict(zip(places, loop.values[3:], strict=True))
    f.test(loop, f.compare("sle", p, "%k"))
    following = _multiplied(f, t, size, (a, b), steps, sums, "")
    step = t.lanes * t.itemsize
    ahead = [f.add(p, t.lanes), f.at("i8", a, step), f.at("i8", b, step)]
    f.end(loop, ahead + [following[place] for place in places])
    if mask:
        sums = _multiplied(f, t, size, (a, b), steps, sums, mask)
    totals = _reduced(f, t, [sums[place] for place in places], columns)
    if not mask:
        totals = _tail(f, t, size, (a, b), steps, (totals, rest))
    kind, width = totals.kind, totals.width
    targets: list[tuple[str, str]] = []
    for r in range(rows):
        row = f.at("i8", "%c", f.mul(f.add(i, r), "%c_row"))
        targets.extend(
            (totals.values[(r * columns + c) // width], f.at(t.scalar, row, c))
            for c in range(0, columns, width)
        )
    with f.when(f.otherwise(adds)):
        for value, place in targets:
            f.store(kind, value, place, t.itemsize)
    with f.when(adds):
        for value, place in targets:
            old = f.load(kind, place, t.itemsize)
            f.store(kind, f.op(f"fadd {kind} {old}, {value}"), place, t.itemsize)


def _multiplied(
    f: Function,
    t: VectorType,
    size: tuple[int, int],
    where: tuple[str, str],
    steps: tuple[dict[int, str], dict[int, str]],
    sums: dict[tuple[int, int], str],
    mask: str,
) -> dict[tuple[int, int], str]:
    """The sums after one more vector of k, of which a mask may choose lanes."""

    def read(place: str) -> str:
        if mask:
            return load_some(f, t, place, mask)
        return f.load(t.vector, place, t.itemsize)

    columns = [read(place) for place in row_places(f, where[1], steps[1], size[1])]
    made = {}
    for r, place in enumerate(row_places(f, where[0], steps[0], size[0])):
        row = read(place)
        for c, column in enumerate(columns):
            made[r, c] = f.fma(t, row, column, sums[r, c])
    return made


class _Totals:
    """Sums of lanes, `width` of them in a value: a short vector, or a scalar."""

    def __init__(self, t: VectorType, values: list[str], width: int) -> None:
        self.values, self.width = values, width
        self.kind = t.scalar if width == 1 else f"<{width} x {t.scalar}>"


def _reduced(f: Function, t: VectorType, vectors: list[str], columns: int) -> _Totals:
    """The sum of each vector's lanes.

    Two vectors are folded into one that holds both in half as many lanes each, and so on; what
    remains of one vector is folded by itself.
    """
    width = min(columns, t.lanes)
    values: list[str] = []
    group = min(len(vectors), t.lanes)
    for start in range(0, len(vectors), group):
        some, share = vectors[start : start + group], t.lanes  # lanes that a sum is spread over
        while len(some) > 1:
            half = share // 2
            some = [_folded(f, t, x, y, share) for x, y in zip(some[::2], some[1::2], strict=True)]
            share = half
        (one,) = some
        while share > 1:
            half = share // 2
            lanes = [s * share + x for s in range(group) for x in range(half)]
            one = _added(f, t, f"{_wide(t, group * share)} {one}", lanes, half, group * share)
            share = half
        values.extend([_piece(f, t, one, group, c, width) for c in range(0, group, width)])
    return _Totals(t, values, width)


def _wide(t: VectorType, lanes: int) -> str:
    return f"<{lanes} x {t.scalar}>"


def _folded(f: Function, t: VectorType, x: str, y: str, share: int) -> str:
    """Sums spread over `share` lanes each, of two vectors, in one vector with half the share."""
    half = share // 2
    lanes = [s * share + i for s in range(2 * t.lanes // share) for i in range(half)]
    pair = f"{t.vector} {x}, {t.vector} {y}"
    low, high = shuffle(f, pair, lanes), shuffle(f, pair, [i + half for i in lanes])
    return f.op(f"fadd {t.vector} {low}, {high}")


def _added(f: Function, t: VectorType, value: str, lanes: list[int], half: int, have: int) -> str:
    """Lanes of one vector plus those half a share further on."""
    pair = f"{value}, {_wide(t, have)} poison"
    low, high = shuffle(f, pair, lanes), shuffle(f, pair, [i + half for i in lanes])
    return f.op(f"fadd {_wide(t, len(lanes))} {low}, {high}")


def _piece(f: Function, t: VectorType, value: str, have: int, start: int, width: int) -> str:
    """Some neighbouring lanes of a vector, a scalar if it is one."""
    if width == 1:
        return f.op(f"extractelement {_wide(t, have)} {value}, i64 {start}")
    if width == have:
        return value
    pair = f"{_wide(t, have)} {value}, {_wide(t, have)} poison"
    return shuffle(f, pair, range(start, start + width))


def _tail(
    f: Function,
    t: VectorType,
    size: tuple[int, int],
    where: tuple[str, str],
    steps: tuple[dict[int, str], dict[int, str]],
    what: tuple[_Totals, str],
) -> _Totals:
    """Adds the products that do not fill a vector, one after the other; for hosts without masks."""
    totals, rest = what
    single = totals.values
    if totals.width > 1:
        single = [
            f.op(f"extractelement {totals.kind} {value}, i64 {i}")
            for value in totals.values
            for i in range(totals.width)
        ]
    carried: list[tuple[str, Value]] = [("i64", 0), ("ptr", where[0]), ("ptr", where[1])]
    carried += [(t.scalar, value) for value in single]
    loop = f.begin(carried)
    p, a, b = loop.values[:3]
    f.test(loop, f.compare("slt", p, rest))
    columns = [f.load(t.scalar, place) for place in row_places(f, b, steps[1], size[1])]
    following: list[Value] = [f.add(p, 1), f.at(t.scalar, a, 1), f.at(t.scalar, b, 1)]
    for r, place in enumerate(row_places(f, a, steps[0], size[0])):
        row = f.load(t.scalar, place)
        for c, column in enumerate(columns):
            total = loop.values[3 + r * size[1] + c]
            three = f"{t.scalar} {row}, {t.scalar} {column}, {t.scalar} {total}"
            following.append(f.op(f"call {t.scalar} @llvm.fmuladd.f{8 * t.itemsize}({three})"))
    f.end(loop, following)
    return _Totals(t, list(loop.values[3:]), 1)


def _dot_function(name: str, t: VectorType) -> str:
    """See the file's head."""
    f = Function(name, PARAMETERS, FIELDS)
    with f.claim(f.field("counter", "ptr"), f.field("units")) as unit:
        here = place_of_unit(f, unit, t.itemsize)
        whole = f.op(f"and i64 {here.columns}, {-COLUMNS}")
        with f.loop(0, whole, COLUMNS) as j:
            _columns(f, f"{name}_{COLUMNS}", t, here, j)
        with f.loop(whole, here.columns) as j:
            _columns(f, f"{name}_1", t, here, j)
        finish = f.field("finish")
        with f.when(f.compare("ne", finish, 0)):
            f.call(
                f"{name}_finish",
                *(("ptr", here.c), ("i64", f.field("c_row")), ("i64", here.rows)),
                *(("i64", here.columns), ("ptr", here.bias), ("i64", f.field("bias_row"))),
                *(("i64", f.field("bias_column")), ("i64", finish)),
            )
    return f.text()


def _columns(f: Function, name: str, t: VectorType, here: Place, j: str) -> None:
    """Some columns of a unit, block by block of k."""
    kc, b_column = f.field("kc"), f.field("b_column")
    b = f.at("i8", here.b, f.mul(j, b_column))
    c = f.at(t.scalar, here.c, j)
    with f.loop(0, here.length, kc) as p:
        f.call(
            name,
            *(("ptr", f.at(t.scalar, here.a, p)), ("i64", f.field("a_row"))),
            *(("ptr", f.at(t.scalar, b, p)), ("i64", b_column), ("ptr", c)),
            *(("i64", f.field("c_row")), ("i64", here.rows)),
            ("i64", f.least(kc, f.sub(here.length, p))),
            ("i64", f.select(f.compare("sgt", p, 0), "i64", 1, 0)),
        )
