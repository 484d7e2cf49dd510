"""Turns matrices: rows become columns, several matrices a call.

    for matrix (a, b), for some of its rows and columns, handed to whichever thread asks next:
        target[a, b][column][row] = source[a, b][row][column]

Rows beyond those that exist, up to `full`, become zeros. Squares of lanes by lanes elements are
turned in registers. The last matrix along a may have fewer rows (`all_rows` in all) or columns
(`all_columns`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.compiler.kernels.emit import Function, Value, VectorType, declarations
from rushlight.compiler.kernels.windows import PARAMETERS

__all__ = [
    "COUNT",
    "COUNTER",
    "SOURCE",
    "TARGET",
    "block",
    "module",
    "name_of",
    "square_function",
    "transposed",
]

SOURCE, TARGET, COUNTER = range(3)
_FIELDS = (
    *("source", "target", "counter", "as", "bs", "rows", "columns", "full"),
    *("all_rows", "all_columns"),
    *("s_a", "s_b", "s_row", "t_a", "t_b", "t_column", "row_parts", "column_parts"),
)
COUNT = len(_FIELDS)  # how many units were handed out stands behind the fields
_WIDTH = 128  # rows, and columns, of a unit


def name_of(t: VectorType) -> str:
    """The name of the function."""
    return f"rl_turn_{t.tag}"


def block(**values: int) -> tuple[Any, int]:
    """The argument block without pointers, and the number of units.

    Args:
        values: the counts `as`, `bs`, `rows`, `columns`; strides in elements (`s_a` ...
            `t_column`), those of source columns and target rows being 1. By default `full` is
            `rows`, `all_rows` and `all_columns` are what all matrices have.
    """
    values.setdefault("full", values["rows"])
    values.setdefault("all_rows", values["as"] * values["rows"])
    values.setdefault("all_columns", values["as"] * values["columns"])
    values["row_parts"] = -(-values["full"] // _WIDTH)
    values["column_parts"] = -(-values["columns"] // _WIDTH)
    words = np.zeros(COUNT + 1, np.int64)
    for name, value in values.items():
        words[_FIELDS.index(name)] = value
    units = values["as"] * values["bs"] * values["row_parts"] * values["column_parts"]
    return words, units


def module(t: VectorType) -> str:
    """The IR."""
    name = name_of(t)
    return declarations(t) + square_function(f"{name}_square", t) + _turn(name, t)


def transposed(f: Function, t: VectorType, rows: list[str]) -> list[str]:
    """The columns of a square of vectors: bit by bit, row numbers change places with lanes."""
    step = 1
    while step < t.lanes:
        following = list(rows)
        for i in range(t.lanes):
            if i & step:
                continue
            a, b = rows[i], rows[i | step]
            for place, shift in ((i, 0), (i | step, step)):
                picks = [
                    lane + shift if not lane & step else t.lanes + lane - (step - shift)
                    for lane in range(t.lanes)
                ]
                mask = ", ".join(f"i32 {p}" for p in picks)
                following[place] = f.op(
                    f"shufflevector {t.vector} {a}, {t.vector} {b}, <{t.lanes} x i32> <{mask}>"
                )
        rows = following
        step *= 2
    return rows


def _masked_store(f: Function, t: VectorType, value: str, to: str, mask: str) -> None:
    f.line(
        f"call void @llvm.masked.store.{t.suffix}.p0({t.vector} {value}, ptr {to}, "
        f"i32 {t.itemsize}, <{t.lanes} x i1> {mask})"
    )


def square_function(name: str, t: VectorType) -> str:
    """One square: `rows` and `columns` exist (at most as many as lanes), `full` are written."""
    parameters = (
        *(("ptr", "source"), ("ptr", "target"), ("i64", "s_row"), ("i64", "t_column")),
        *(("i64", "rows"), ("i64", "columns"), ("i64", "full")),
    )
    f = Function(name, parameters, internal=True)
    tall, wide = (f.compare("sge", n, t.lanes) for n in ("%rows", "%columns"))
    both = f.op(f"and i1 {tall}, {wide}")
    with f.when(both):
        rows = [f.load(t.vector, _row(f, t, r), t.itemsize) for r in range(t.lanes)]
        for q, value in enumerate(transposed(f, t, rows)):
            f.store(t.vector, value, _column(f, t, q), t.itemsize)
    with f.when(f.otherwise(both)):
        some = f.compare("sgt", "%rows", 0)
        mask = f.first_lanes(t, f.select(some, "i64", "%columns", 0))
        last = f.sub("%rows", 1)  # stands for rows that do not exist
        places = [_row(f, t, f.least(last, r) if r else 0) for r in range(t.lanes)]
        rows = [
            f.op(
                f"call {t.vector} @llvm.masked.load.{t.suffix}.p0(ptr {place}, i32 {t.itemsize}, "
                f"<{t.lanes} x i1> {mask}, {t.vector} zeroinitializer)"
            )
            for place in places
        ]
        exist, written = (f.first_lanes(t, n) for n in ("%rows", "%full"))
        for q, value in enumerate(transposed(f, t, rows)):
            kept = f.op(
                f"select <{t.lanes} x i1> {exist}, {t.vector} {value}, {t.vector} zeroinitializer"
            )
            with f.when(f.compare("sgt", "%columns", q)):
                _masked_store(f, t, kept, _column(f, t, q), written)
    return f.text()


def _row(f: Function, t: VectorType, r: Value) -> str:
    return f.at(t.scalar, "%source", f.mul("%s_row", r))


def _column(f: Function, t: VectorType, q: int) -> str:
    return f.at(t.scalar, "%target", f.mul("%t_column", q))


def _turn(name: str, t: VectorType) -> str:
    f = Function(name, PARAMETERS, _FIELDS)
    counts = ("as", "bs", "rows", "columns", "full", "row_parts", "column_parts")
    as_, bs, rows, columns, full, row_parts, column_parts = (f.field(n) for n in counts)
    s_row, t_column = f.field("s_row"), f.field("t_column")
    units = f.mul(f.mul(as_, bs), f.mul(row_parts, column_parts))
    with f.claim(f.field("counter", "ptr"), units) as unit:
        rest, column_part = f.divide(unit, column_parts)
        matrix, row_part = f.divide(rest, row_parts)
        a, b = f.divide(matrix, bs)
        source, target = (
            f.at(
                t.scalar,
                f.field(name, "ptr"),
                f.add(f.mul(a, f.field(f"{name[0]}_a")), f.mul(b, f.field(f"{name[0]}_b"))),
            )
            for name in ("source", "target")
        )
        have = f.least(rows, f.sub(f.field("all_rows"), f.mul(a, rows)))
        most = f.least(columns, f.sub(f.field("all_columns"), f.mul(a, columns)))
        q0, r0 = f.mul(column_part, _WIDTH), f.mul(row_part, _WIDTH)
        q1, r1 = f.least(most, f.add(q0, _WIDTH)), f.least(full, f.add(r0, _WIDTH))
        with f.loop(r0, r1, t.lanes) as r, f.loop(q0, q1, t.lanes) as q:
            f.call(
                f"{name}_square",
                ("ptr", f.at(t.scalar, source, f.add(f.mul(r, s_row), q))),
                ("ptr", f.at(t.scalar, target, f.add(f.mul(q, t_column), r))),
                *(("i64", s_row), ("i64", t_column)),
                *(("i64", f.sub(n, o)) for n, o in ((have, r), (q1, q), (full, r))),
            )
    return f.text()
