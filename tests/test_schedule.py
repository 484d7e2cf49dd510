"""Schedules: run by an interpreter of loop IR, they do what graphs say; what is fused into what."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from graph_programs import DOUBLE, FLOAT, INT, random_graph
from loop_interpreter import Interpreter
from test_program import memory, store, ufunc

from rushlight.compiler import values as made
from rushlight.compiler.access import Access, NotAffine, Split, digits, flat, identity
from rushlight.compiler.plan import check, plan
from rushlight.compiler.reference import evaluate
from rushlight.compiler.schedule import schedule
from rushlight.compiler.simplify import simplify
from rushlight.compiler.steps import CallStep, LoopStep, PythonStep
from rushlight.ir.graph import Graph, Value, const, row_major, verify


def steps_of(*stores: Any, numbers: int = 0) -> Any:
    graph = Graph(stores, 1 + max([s.slot for s in stores] + [10]), numbers)
    verify(graph)
    made_ = schedule(graph).steps
    check(made_, plan(made_))
    return made_


@pytest.mark.parametrize("first", range(1000, 1100, 20))
def test_random_graphs(first: int) -> None:
    for seed in range(first, first + 20):
        graph, arrays, numbers = random_graph(seed, 14 + seed % 20)
        steps = schedule(graph).steps
        layout = plan(steps)
        check(steps, layout)
        if any([isinstance(s, CallStep) for s in steps]):
            continue
        wanted = [a.copy(order="K") for a in arrays]
        evaluate(graph, wanted, numbers)
        assert Interpreter(arrays, numbers, layout.offsets).run(steps)
        for slot, (a, b) in enumerate(zip(arrays, wanted, strict=True)):
            np.testing.assert_allclose(
                a, b, rtol=2e-4, atol=2e-5, err_msg=f"seed {seed} slot {slot}"
            )


@pytest.mark.parametrize("seed", range(20))
def test_simplified_graphs_mean_the_same(seed: int) -> None:
    graph, arrays, numbers = random_graph(seed, 25)
    simple = simplify(graph)
    verify(simple)
    wanted = [a.copy(order="K") for a in arrays]
    evaluate(graph, wanted, numbers)
    evaluate(simple, arrays, numbers)
    for a, b in zip(arrays, wanted, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_digits_take_places_apart() -> None:
    shape = (4, 5, 6)
    axes, at = identity(shape)
    assert digits(0, row_major(shape), axes, shape) == at
    turned = digits(3, (6, -1), (2, 3), (4, 6))  # backwards along rows
    assert turned == Access((0, 3), ((1, 0), (0, -1)))
    with pytest.raises(Split) as split:
        digits(0, (1,), (12,), (3, 4))
    assert (split.value.axis, split.value.inner) == (0, 4)
    with pytest.raises(NotAffine):
        digits(0, (5,), (3,), (4, 6))  # 0, 5, 10: from one row to the next
    place, steps = flat(at.split(0, 2), row_major(shape), 7, 4)
    assert (place, steps) == (7, (60, 30, 6, 1))


def test_neutral_operations_go_and_others_stay() -> None:
    x = memory(0, (8,))
    zero, minus, one = const(0.0, FLOAT), const(-0.0, FLOAT), const(1.0, FLOAT)
    same = [
        ufunc("multiply", x, one),
        ufunc("divide", x, one),
        ufunc("add", x, minus),
        ufunc("subtract", x, zero),
        made.choose(const(True, bool), x, ufunc("exp", x)),
    ]
    for v in same:
        graph = simplify(Graph((store(v, 1),), 2, 0))
        assert graph.stores[0].value.kind == "input"
    for v in (ufunc("add", x, zero), ufunc("subtract", x, minus), ufunc("multiply", x, zero)):
        graph = simplify(Graph((store(v, 1),), 2, 0))
        assert graph.stores[0].value.kind == "map"


def test_equal_values_are_computed_once() -> None:
    def tanh() -> Value:
        return ufunc("tanh", memory(0, (100,)))

    (step,) = steps_of(store(ufunc("add", tanh(), const(1, FLOAT)), 1), store(tanh(), 2))
    assert [i.name for s in step.kernel.stages for i in s.body].count("tanh") == 1


def softmax(x: Value) -> Value:
    kept = (*x.shape[:-1], 1)
    top = made.reshape(made.reduce("maximum", x, (len(kept) - 1,)), kept)
    e = ufunc("exp", ufunc("subtract", x, top))
    return ufunc("divide", e, made.reshape(made.reduce("add", e, (len(kept) - 1,)), kept))


def test_softmax_is_one_kernel() -> None:
    (step,) = steps_of(store(softmax(memory(0, (512, 100))), 1))
    assert [s.inner for s in step.kernel.stages] == [True] * 3
    names = [i.name for s in step.kernel.stages for i in s.body]
    assert names.count("exp") == 1  # it is stored, not computed again


def test_layer_norm_is_one_kernel() -> None:
    x = memory(0, (64, 32))
    scale = const(1 / 32, FLOAT)
    mean = ufunc("multiply", made.reshape(made.reduce("add", x, (1,)), (64, 1)), scale)
    d = ufunc("subtract", x, mean)
    squares = made.reduce("add", ufunc("multiply", d, d), (1,))
    deviation = ufunc("sqrt", ufunc("multiply", made.reshape(squares, (64, 1)), scale))
    y = ufunc("add", ufunc("multiply", ufunc("divide", d, deviation), memory(1, (32,))), d)
    assert len(steps_of(store(y, 2), store(made.reshape(mean, (64,)), 3))) == 1


def test_a_linear_regression_step_is_three_kernels() -> None:
    x, y, w, b = memory(0, (100, 2)), memory(1, (100, 1)), memory(2, (1, 2)), memory(3, (1,))
    d = ufunc("subtract", ufunc("add", made.matmul(x, made.transpose(w, (1, 0))), b), y)
    loss = ufunc("divide", made.reduce("add", ufunc("multiply", d, d), (0, 1)), const(100, FLOAT))
    g = ufunc("multiply", d, const(0.02, FLOAT))
    gw, gb = made.matmul(made.transpose(g, (1, 0)), x), made.reduce("add", g, (0,))
    rate = made.cast(Value("number", (), (0,), (), DOUBLE), FLOAT)
    new = [ufunc("subtract", p, ufunc("multiply", q, rate)) for p, q in ((w, gw), (b, gb))]
    steps = steps_of(
        store(loss, 4), store(gw, 5), store(gb, 6), store(new[0], 2), store(new[1], 3), numbers=1
    )
    assert len(steps) == 3 and all([isinstance(s, LoopStep) for s in steps])


def test_an_optimiser_is_one_kernel_a_parameter() -> None:
    p, g, m, v = [memory(i, (50, 20)) for i in range(4)]
    m2 = ufunc(
        "add", ufunc("multiply", m, const(0.9, FLOAT)), ufunc("multiply", g, const(0.1, FLOAT))
    )
    square = ufunc("multiply", ufunc("multiply", g, g), const(0.01, FLOAT))
    v2 = ufunc("add", ufunc("multiply", v, const(0.99, FLOAT)), square)
    p2 = ufunc(
        "subtract", p, ufunc("divide", m2, ufunc("add", ufunc("sqrt", v2), const(1e-8, FLOAT)))
    )
    (step,) = steps_of(store(m2, 2), store(v2, 3), store(p2, 0))
    assert {repr(m) for m in step.writes} == {"slot0", "slot2", "slot3"}


def test_bias_and_relu_belong_to_the_product() -> None:
    x, w, b = memory(0, (64, 100)), memory(1, (30, 100)), memory(2, (30,))
    h = ufunc("add", made.matmul(x, made.transpose(w, (1, 0))), b)
    h = ufunc("maximum", h, const(0, FLOAT))
    w2, b2 = memory(3, (40, 30)), memory(4, (40,))
    h2 = ufunc("add", made.matmul(h, made.transpose(w2, (1, 0))), b2)
    steps = steps_of(store(h2, 5))
    assert [type(s) for s in steps] == [CallStep, CallStep]


def test_large_sums_are_cut_by_shape_only() -> None:
    x = memory(0, (1_000_003,))
    first, *rest = steps_of(store(made.reduce("add", x, (0,)), 1))
    assert first.kernel.outer == (244,) and first.kernel.inner == (4096,)
    assert all([len(s.kernel.outer) == 0 for s in rest])


def test_concatenations_are_stored_in_parts() -> None:
    a, b = memory(0, (3, 4)), memory(1, (5, 4))
    whole = made.concat([ufunc("exp", a), b], 0)
    steps = steps_of(store(ufunc("negative", whole), 2))
    assert all([isinstance(s, LoopStep) for s in steps])


def test_functions_without_loops_run_in_python() -> None:
    x = memory(0, (6,), INT)
    v = made.ufunc(np.power, [x, x])
    steps = steps_of(store(made.ufunc(np.add, [v, x]), 1))
    assert [type(s) for s in steps] == [PythonStep, LoopStep]


def test_temporaries_are_written_in_place() -> None:
    x = memory(0, (64, 64))
    v = made.matmul(x, x)
    for _ in range(3):
        v = made.matmul(ufunc("tanh", v), x)
    steps = steps_of(store(v, 1))
    assert plan(steps).nbytes <= 3 * 64 * 64 * 4


def test_axes_are_cut_so_that_kernels_meet() -> None:
    x = memory(0, (8, 20, 64))
    flat_rows = made.reshape(ufunc("tanh", x), (160, 64))
    total = made.reduce("add", ufunc("multiply", flat_rows, flat_rows), (1,))
    back = made.reshape(ufunc("multiply", flat_rows, made.reshape(total, (160, 1))), (8, 20, 64))
    (step,) = steps_of(store(ufunc("add", back, x), 1))
    assert step.kernel.inner == (64,)


def test_bias_is_found_behind_a_reshape() -> None:
    x, w, b = memory(0, (160, 64)), memory(1, (64, 100)), memory(2, (100,))
    h = ufunc("add", made.reshape(made.matmul(x, w), (8, 20, 100)), b)
    steps = steps_of(store(ufunc("maximum", h, const(0, FLOAT)), 3))
    assert [type(s) for s in steps] == [CallStep]


def test_values_stored_on_the_way_do_not_multiply_the_work() -> None:
    v, stores = memory(0, (4, 50)), []
    for i in range(26):
        v = ufunc("add", v, const(i, FLOAT))
        stores.append(store(v, 1 + i))
    total = made.reshape(made.reduce("add", v, (1,)), (4, 1))
    steps = steps_of(*stores, store(ufunc("subtract", v, total), 27))  # 2 ** 26 looks, once
    assert len(steps) <= 2
