"""Few elements of many: sums with one term are that term, picks are computed where they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from graph_programs import FLOAT, INT
from test_program import both, memory, store, ufunc

from rushlight.compiler import values as made
from rushlight.compiler.simplify import simplify
from rushlight.ir.graph import Graph, Value, const

ROWS, COLUMNS = 40, 300


def kinds(graph: Graph) -> list[str]:
    return [v.attrs[0] if v.kind in ("map", "reduce") else v.kind for v in graph.values()]


def hot(label: Value, x: Value, axis: int, shape: tuple[int, ...], turned: bool = False) -> Value:
    """x where the position along an axis is the label, elsewhere 0."""
    count = made.from_array(np.arange(shape[axis]))
    count = made.reshape(count, [n if d == axis else 1 for d, n in enumerate(shape)])
    same = ufunc("equal", label, count) if turned else ufunc("equal", count, label)
    return made.broadcast_to(made.choose(same, x, const(0, FLOAT)), shape)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("turned", [False, True])
def test_a_sum_with_one_term_is_not_walked(axis: int, turned: bool) -> None:
    shape = (6, 20, 40)
    rest = tuple([1 if d == axis else n for d, n in enumerate(shape)])
    row = hot(memory(0, rest, INT), ufunc("negative", memory(1, rest)), axis, shape, turned)
    total = made.reduce("add", row, (axis,))
    graph = Graph((store(total, 2),), 3, 0)
    assert "reduce" not in [v.kind for v in simplify(graph).values()]
    random = np.random.RandomState(axis)
    labels = random.randint(-3, shape[axis] + 3, rest)  # those outside select nothing
    terms = random.randn(*rest).astype(FLOAT)
    terms.reshape(-1)[:4] = [0.0, -0.0, np.inf, np.nan]
    arrays = [labels, terms, np.empty(total.shape, FLOAT)]
    found = both(graph, arrays)[2]
    inside = (labels >= 0) & (labels < shape[axis])
    wanted = np.where(inside, -terms, FLOAT.type(0)) + FLOAT.type(0)  # never -0
    assert found.tobytes() == wanted.reshape(total.shape).tobytes()


def test_other_sums_are_walked() -> None:
    shape = (ROWS, COLUMNS)
    label, x = memory(0, (ROWS, 1), INT), memory(1, (ROWS, 1))
    changing = memory(1, shape)
    count = made.reshape(made.from_array(np.arange(COLUMNS)), (1, COLUMNS))
    same = ufunc("equal", count, label)
    rows = [
        hot(label, changing, 1, shape),
        made.choose(same, made.broadcast_to(x, shape), const(1, FLOAT)),
        made.choose(same, made.broadcast_to(x, shape), const(-0.0, FLOAT)),
        made.choose(ufunc("less", count, label), made.broadcast_to(x, shape), const(0, FLOAT)),
        made.choose(
            ufunc("equal", ufunc("add", count, const(1, INT)), label),
            made.broadcast_to(x, shape),
            const(0, FLOAT),
        ),
    ]
    random = np.random.RandomState(0)
    for row in rows:
        graph = Graph((store(made.reduce("add", row, (1,)), 2),), 3, 0)
        assert "reduce" in [v.kind for v in simplify(graph).values()]
        size = shape if row is rows[0] else (ROWS, 1)
        arrays: list[Any] = [random.randint(0, COLUMNS, (ROWS, 1)), random.randn(*size)]
        both(graph, [arrays[0], arrays[1].astype(FLOAT), np.empty(ROWS, FLOAT)])


def softened(x: Value) -> Value:
    """The logarithm of softmax over rows."""
    top = made.reshape(made.reduce("maximum", x, (1,)), (ROWS, 1))
    shifted = ufunc("subtract", x, top)
    total = made.reduce("add", ufunc("exp", shifted), (1,))
    return ufunc("subtract", shifted, ufunc("log", made.reshape(total, (ROWS, 1))))


@pytest.mark.parametrize("shape", [(ROWS,), (ROWS, 1), (1, ROWS)])
def test_picks_need_not_the_whole_array(shape: tuple[int, ...]) -> None:
    rows = made.reshape(made.from_array(np.arange(ROWS)), shape)
    picked = made.index(softened(memory(0, (ROWS, COLUMNS))), [rows, memory(1, shape, INT)])
    graph = Graph((store(picked, 2),), 3, 0)
    simple = simplify(graph)
    (index,) = [v for v in simple.values() if v.kind == "index"]
    assert index.inputs[0].kind == "input"
    random = np.random.RandomState(1)
    labels = random.randint(0, COLUMNS, shape)
    arrays = [random.randn(ROWS, COLUMNS).astype(FLOAT), labels, np.empty(shape, FLOAT)]
    both(graph, arrays)


def test_picked_rows_of_a_computed_array() -> None:
    x, scale, shift = memory(0, (ROWS, COLUMNS)), memory(1, (ROWS, 1)), memory(2, (COLUMNS,))
    whole = ufunc("add", ufunc("multiply", x, scale), shift)
    picked = made.index(whole, [memory(3, (4,), INT)])
    random = np.random.RandomState(2)
    arrays = [random.randn(*s).astype(FLOAT) for s in ((ROWS, COLUMNS), (ROWS, 1), (COLUMNS,))]
    arrays += [np.array([3, 39, 3, 0]), np.empty((4, COLUMNS), FLOAT)]
    both(Graph((store(picked, 4),), 5, 0), arrays)


def test_picks_out_of_bounds_are_still_refused() -> None:
    from test_program import prepared

    rows = made.from_array(np.arange(ROWS))
    picked = made.index(softened(memory(0, (ROWS, COLUMNS))), [rows, memory(1, (ROWS,), INT)])
    labels = np.zeros(ROWS, np.int64)
    labels[17] = COLUMNS
    arrays = [np.zeros((ROWS, COLUMNS), FLOAT), labels, np.full(ROWS, 7, FLOAT)]
    assert prepared(Graph((store(picked, 2),), 3, 0), arrays).run() != 0
    few = ufunc("add", memory(0, (1, COLUMNS)), memory(1, (ROWS, 1)))  # no part sees both indices
    wanted = [memory(2, (3,), INT), memory(3, (3,), INT)]
    arrays = [np.zeros((1, COLUMNS), FLOAT), np.zeros((ROWS, 1), FLOAT), np.array([0, ROWS, 1])]
    arrays += [np.array([0, 0, 0]), np.empty(3, FLOAT)]
    assert prepared(Graph((store(made.index(few, wanted), 4),), 5, 0), arrays).run() != 0


def test_long_expressions_are_left_as_they_are() -> None:
    x = memory(0, (ROWS, COLUMNS))
    few, many = x, x
    for _ in range(20):
        few = ufunc("multiply", few, few)  # as a tree it would have a million leaves
    for _ in range(2000):
        many = ufunc("add", many, x)
    rows, labels = made.from_array(np.arange(ROWS)), memory(1, (ROWS,), INT)
    for base, simpler in ((few, True), (many, False)):
        picked = made.index(base, [rows, labels])
        simple = simplify(Graph((store(picked, 2),), 3, 0))
        found = [v for v in simple.values() if v.kind == "index"]
        assert [v.inputs[0].kind == "input" for v in found] == [simpler]
