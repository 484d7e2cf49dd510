"""Matrix products of few rows, or of little depth, whose matrices stream through in long runs.

    for unit:                                 as in `product.py`
        for rows of A, 2, then 1:
            for rows of B, 8, then 4, 2, 1:
                for vectors of columns:
                    C[rows, columns] (+)= A[rows, p] * B[p, columns] over these p
        bias, ReLU

With few rows (a layer's input gradient at small batches, vector times matrix) C's block stays in
the cache and B is read once. With little depth (its weight's gradient) B's block stays, and C is
written once: past the cache, if `stream` is set, for memory need not be read before it is written.
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
    store_some,
)

__all__ = ["rows_module", "rows_name"]

_ROWS = (2, 1)  # of A at a time
_DEPTHS = (8, 4, 2, 1)  # rows of B at a time


def rows_name(t: VectorType) -> str:
    """The name of the kernel."""
    return f"rl_product_rows_{t.tag}"


def rows_module(t: VectorType) -> str:
    """The IR of the kernel."""
    name = rows_name(t)
    scalar = f"llvm.fmuladd.f{8 * t.itemsize}"
    pieces = [
        declarations(t),
        f"declare {t.scalar} @{scalar}({t.scalar}, {t.scalar}, {t.scalar})\n",
    ]
    pieces += [
        _run_function(f"{name}_{rows}x{depth}", t, rows, depth)
        for rows in _ROWS
        for depth in _DEPTHS
    ]
    pieces += [epilogue_function(f"{name}_finish", t), _rows_function(name, t), "!0 = !{i32 1}\n"]
    return "".join(pieces)


class _Kind:
    """How elements are read, multiplied and written: whole vectors, masked ones, or single ones."""

    def __init__(
        self,
        f: Function,
        t: VectorType,
        mask: str = "",
        single: bool = False,
        stream: bool = False,
    ) -> None:
        self.f, self.t, self.mask, self.stream = f, t, mask, stream
        self.kind = t.scalar if single else t.vector
        suffix = f"f{8 * t.itemsize}" if single else t.suffix
        self.multiply = f"call {self.kind} @llvm.fmuladd.{suffix}"

    def read(self, place: str) -> str:
        if self.mask:
            return load_some(self.f, self.t, place, self.mask)
        return self.f.load(self.kind, place, self.t.itemsize)

    def write(self, value: str, place: str) -> None:
        if self.mask:
            store_some(self.f, self.t, value, place, self.mask)
        elif self.stream:
            align = self.t.lanes * self.t.itemsize
            self.f.line(f"store {self.kind} {value}, ptr {place}, align {align}, !nontemporal !0")
        else:
            self.f.store(self.kind, value, place, self.t.itemsize)

    def fma(self, a: str, b: str, c: str) -> str:
        return self.f.op(f"{self.multiply}({self.kind} {a}, {self.kind} {b}, {self.kind} {c})")


def _run_function(name: str, t: VectorType, rows: int, depth: int) -> str:
    """Some rows of A, some of B, all columns; C's old values count if `add` is not 0.

    One row may be written past the cache, from the first column on a vector's boundary.
    """
    parameters = (
        *(("ptr", "a"), ("i64", "a_row"), ("i64", "a_k"), ("ptr", "b"), ("i64", "b_k")),
        *(("ptr", "c"), ("i64", "c_row"), ("i64", "n"), ("i64", "add"), ("i64", "stream")),
    )
    f = Function(name, parameters, internal=True)
    adds = f.compare("ne", "%add", 0)
    steps = (odd_steps(f, "%b_k", depth), odd_steps(f, "%c_row", rows))
    numbers = [
        [
            f.load(t.scalar, f.at("i8", "%a", f.mul("%a_row", r), f.mul("%a_k", p)))
            for p in range(depth)
        ]
        for r in range(rows)
    ]
    factors = [[f.splat(t, x) for x in row] for row in numbers]

    def columns(kind: _Kind, j: Value) -> None:
        b = row_places(f, f.at(t.scalar, "%b", j), steps[0], depth)
        c = row_places(f, f.at(t.scalar, "%c", j), steps[1], rows)
        single = kind.kind == t.scalar
        zero = "0.0" if single else "zeroinitializer"
        _add_products(f, kind, (b, c), numbers if single else factors, (zero, adds))

    def few(start: Value, stop: Value) -> None:
        """Less than a vector."""
        if not masked(t):
            with f.loop(start, stop) as j:
                columns(_Kind(f, t, single=True), j)
            return
        count = f.sub(stop, start)
        with f.when(f.compare("sgt", count, 0)):
            columns(_Kind(f, t, f.first_lanes(t, count)), start)

    start: Value = 0
    if rows == 1:
        streams = f.compare("ne", "%stream", 0)
        low = f.op("ptrtoint ptr %c to i64")
        before = f.op(f"and i64 {f.sub(0, low)}, {t.lanes * t.itemsize - 1}")
        head = f.op(f"udiv i64 {before}, {t.itemsize}")
        start = f.select(streams, "i64", f.least(head, "%n"), 0)
        few(0, start)
    stop = f.add(start, f.op(f"and i64 {f.sub('%n', start)}, {-t.lanes}"))
    if rows == 1:
        with f.when(streams), f.loop(start, stop, t.lanes) as j:
            columns(_Kind(f, t, stream=True), j)
    rest = f.select(streams, "i64", stop, start) if rows == 1 else start
    with f.loop(rest, stop, t.lanes) as j:
        columns(_Kind(f, t), j)
    few(stop, "%n")
    return f.text()


def _add_products(
    f: Function,
    kind: _Kind,
    places: tuple[list[str], list[str]],
    factors: list[list[str]],
    how: tuple[str, str],
) -> None:
    zero, adds = how
    beside = [kind.read(place) for place in places[0]]
    for place, row in zip(places[1], factors, strict=True):
        total = zero
        for factor, value in zip(row, beside, strict=True):
            total = kind.fma(factor, value, total)
        old = kind.read(place)
        more = f.op(f"fadd {kind.kind} {old}, {total}")
        kind.write(f.select(adds, kind.kind, more, total), place)


def _rows_function(name: str, t: VectorType) -> str:
    """See the file's head."""
    f = Function(name, PARAMETERS, FIELDS)
    streams = f.compare("ne", f.field("stream"), 0)
    with f.claim(f.field("counter", "ptr"), f.field("units")) as unit:
        here = place_of_unit(f, unit, t.itemsize)
        pairs = f.select(streams, "i64", 0, f.op(f"and i64 {here.rows}, -2"))
        with f.loop(0, pairs, 2) as i:
            _rows_of_a(f, name, here, (2, i))
        with f.loop(pairs, here.rows) as i:
            _rows_of_a(f, name, here, (1, i))
        finish = f.field("finish")
        with f.when(f.compare("ne", finish, 0)):
            f.call(
                f"{name}_finish",
                *(("ptr", here.c), ("i64", f.field("c_row")), ("i64", here.rows)),
                *(("i64", here.columns), ("ptr", here.bias), ("i64", f.field("bias_row"))),
                *(("i64", f.field("bias_column")), ("i64", finish)),
            )
    return f.text()


def _rows_of_a(f: Function, name: str, here: Place, which: tuple[int, Value]) -> None:
    """Some rows of A, all of k."""
    rows, i = which
    a_row, a_k, b_k, c_row = map(f.field, ("a_row", "a_k", "b_k", "c_row"))
    a, c = f.at("i8", here.a, f.mul(i, a_row)), f.at("i8", here.c, f.mul(i, c_row))
    start: Value = 0
    for depth in _DEPTHS:
        stop = f.op(f"and i64 {here.length}, {-depth}")
        with f.loop(start, stop, depth) as p:
            f.call(
                f"{name}_{rows}x{depth}",
                *(("ptr", f.at("i8", a, f.mul(p, a_k))), ("i64", a_row), ("i64", a_k)),
                *(("ptr", f.at("i8", here.b, f.mul(p, b_k))), ("i64", b_k), ("ptr", c)),
                *(("i64", c_row), ("i64", here.columns)),
                ("i64", f.select(f.compare("sgt", p, 0), "i64", 1, 0)),
                ("i64", f.field("stream")),
            )
        start = stop
