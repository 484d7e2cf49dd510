"""Compiled programs: the reference interpreter's values, hazards, threads, forks, failures."""

from __future__ import annotations

import os
import threading
from typing import Any

import numpy as np
import pytest
from graph_programs import DOUBLE, FLOAT, HALVES, INT, MIXED, random_graph

from rushlight.codegen.driver import word
from rushlight.compiler import values as made
from rushlight.compiler.program import Program
from rushlight.compiler.reference import evaluate
from rushlight.ir.graph import Graph, Store, Value, const, row_major, verify


def memory(slot: int, shape: tuple[int, ...], dtype: Any = FLOAT) -> Value:
    return Value("input", (), (slot, row_major(shape), 0), shape, dtype)


def store(value: Value, slot: int, outside: bool = True) -> Store:
    return Store(value, slot, row_major(value.shape), 0, outside)


def ufunc(name: str, *operands: Any) -> Value:
    return made.ufunc(getattr(np, name), operands)


def prepared(graph: Graph, arrays: list[Any], numbers: Any = (), threads: int = 1) -> Program:
    verify(graph)
    program = Program(graph, threads)
    program.table[: len(arrays)] = [word(a) for a in arrays]
    program.numbers[: len(numbers)] = numbers
    return program


def both(graph: Graph, arrays: list[Any], numbers: Any = (), threads: int = 1) -> list[Any]:
    """Runs a graph compiled; compares with the interpreter."""
    wanted = [a.copy(order="K") for a in arrays]
    evaluate(graph, wanted, numbers)
    found = [a.copy(order="K") for a in arrays]
    program = prepared(graph, found, numbers, threads)
    assert program.run() == 0, program.error
    pure = all([v.dtype != FLOAT for v in graph.values()])
    for slot, (a, b) in enumerate(zip(found, wanted, strict=True)):
        if a.dtype.kind in "iub" or a.dtype in HALVES:
            np.testing.assert_array_equal(a, b, err_msg=f"slot {slot}")
        else:
            rtol, atol = (1e-10, 1e-11) if pure else (2e-4, 2e-5)
            np.testing.assert_allclose(a, b, rtol=rtol, atol=atol, err_msg=f"slot {slot}")
    return found


@pytest.mark.parametrize("first", range(0, 100, 10))
def test_random_graphs(first: int) -> None:
    for seed in range(first, first + 10):
        graph, arrays, numbers = random_graph(seed, 14 + seed % 20)
        both(graph, arrays, numbers)


@pytest.mark.parametrize("kinds", [(DOUBLE,), MIXED, (INT, MIXED[-1]), HALVES, MIXED[2:]], ids=str)
def test_random_graphs_of_other_dtypes(kinds: Any) -> None:
    for seed in range(1000, 1020):
        graph, arrays, numbers = random_graph(seed, 14 + seed % 20, kinds)
        both(graph, arrays, numbers)


def test_two_threads_give_the_same_bits() -> None:
    x, w = memory(0, (700, 300)), memory(1, (300, 200))
    h = ufunc("tanh", made.matmul(x, w))
    top = made.reshape(made.reduce("maximum", h, (1,)), (700, 1))
    e = ufunc("exp", ufunc("subtract", h, top))
    soft = ufunc("divide", e, made.reshape(made.reduce("add", e, (1,)), (700, 1)))
    columns = made.reduce("add", ufunc("multiply", soft, soft), (0,))
    total = made.reduce("add", h, (0, 1))
    stores = (store(soft, 2), store(columns, 3), store(total, 4))
    graph = Graph(stores, 5, 0)
    random = np.random.RandomState(0)
    results = []
    for threads in (1, 2, 3):
        r = random.__class__(1)
        arrays = [r.randn(700, 300).astype(FLOAT), r.randn(300, 200).astype(FLOAT) / 20]
        arrays += [np.zeros(s, FLOAT) for s in ((700, 200), (200,), ())]
        results.append(both(graph, arrays, (), threads)[2:])
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            assert a.tobytes() == b.tobytes()


def test_slots_are_read_as_they_were_before() -> None:
    x, y = memory(0, (50,)), memory(1, (50,))
    backwards = made.view(memory(2, (50,)), (50,), (-1,), 49)
    stores = (
        store(y, 0),  # a swap
        store(x, 1),
        store(backwards, 2),  # in place, in another order
        store(made.reduce("add", ufunc("multiply", x, y), (0,)), 3),
        store(ufunc("add", x, made.broadcast_to(made.reduce("maximum", x, (0,)), (50,))), 4),
    )
    arrays = [np.random.RandomState(i).rand(50).astype(FLOAT) for i in range(3)]
    both(Graph(stores, 5, 0), [*arrays, np.zeros((), FLOAT), np.zeros(50, FLOAT)])


def test_later_stores_win() -> None:
    x = memory(0, (4, 6))
    part = Store(made.view(ufunc("negative", x), (4, 3), (6, 1), 0), 1, (6, 1), 2, True)
    stores = (store(ufunc("exp", x), 1), part, store(made.reduce("add", x, (1,)), 2))
    arrays = [np.random.RandomState(0).rand(4, 6).astype(FLOAT), np.zeros((4, 6), FLOAT)]
    both(Graph(stores, 3, 0), [*arrays, np.zeros(4, FLOAT)])


def test_a_failing_index_changes_nothing_outside() -> None:
    x, i = memory(0, (5, 3)), memory(1, (4,), INT)
    picked = made.index(x, [i])
    total = made.reduce("add", picked, (0, 1))
    stores = (
        store(ufunc("multiply", x, const(2, FLOAT)), 0),
        store(ufunc("add", memory(2, (3,)), total), 2),
        store(picked, 3, outside=False),
    )
    graph = Graph(stores, 4, 0)
    arrays = [np.ones((5, 3), FLOAT), np.array([0, 4, -5, 2]), np.ones(3, FLOAT)]
    arrays.append(np.zeros((4, 3), FLOAT))
    both(graph, arrays)
    for bad in (5, -6, 2**40):
        tried = [a.copy() for a in arrays]
        tried[1][2] = bad
        program = prepared(graph, tried)
        assert program.run() != 0
        np.testing.assert_array_equal(tried[0], arrays[0])
        np.testing.assert_array_equal(tried[2], arrays[2])
        tried[1][2] = 1
        assert program.run() == 0
        np.testing.assert_array_equal(tried[2], arrays[2] + 12)


def test_calls_in_the_middle() -> None:
    from rushlight import dtypes
    from rushlight.ir.meta import meta
    from rushlight.ir.op import Plan, get

    op = get("sort")
    x = memory(0, (6, 5))
    m = meta((6, 5), dtypes.float32)
    plan = Plan((m, meta((6, 5), dtypes.int64)))
    call = Value("opaque", (ufunc("negative", x),), (op, (1, False), plan, (...,)), (), None)
    sorted_ = Value("part", (call,), (0,), (6, 5), FLOAT)
    stores = (store(ufunc("exp", sorted_), 0), store(made.reduce("add", sorted_, (0,)), 1))
    arrays = [np.random.RandomState(0).rand(6, 5).astype(FLOAT), np.zeros(5, FLOAT)]
    both(Graph(stores, 2, 0), arrays)


def test_a_call_that_fails_changes_nothing_outside() -> None:
    x, i = memory(0, (5,)), memory(1, (2,), INT)
    out = made.scatter(x, const(np.ones(2), FLOAT), [i], "add")
    stores = (store(ufunc("exp", x), 0), store(out, 2))
    arrays = [np.ones(5, FLOAT), np.array([1, 7]), np.zeros(5, FLOAT)]
    program = prepared(Graph(stores, 3, 0), arrays)
    assert program.run() != 0
    np.testing.assert_array_equal(arrays[0], np.ones(5))
    arrays[1][1] = 1
    assert program.run() == 0
    np.testing.assert_array_equal(arrays[2], [1, 3, 1, 1, 1])


def test_scatters_leave_their_base_alone() -> None:
    x, i, j = memory(0, (40, 30)), memory(1, (500,), INT), memory(2, (500,), INT)
    base = ufunc("sin", x)
    added = made.scatter(base, memory(3, (500, 30)), [i], "add")
    put = made.scatter(base, memory(4, (500,)), [i, j], "set")
    stores = (store(ufunc("add", added, base), 5), store(put, 6), store(base, 7))
    random = np.random.RandomState(0)
    arrays = [random.rand(40, 30).astype(FLOAT), random.randint(-40, 40, 500)]
    arrays += [random.randint(-30, 30, 500), random.rand(500, 30).astype(FLOAT)]
    arrays += [random.rand(500).astype(FLOAT)] + [np.zeros((40, 30), FLOAT) for _ in range(3)]
    one, two = [both(Graph(stores, 8, 0), arrays, (), threads) for threads in (1, 2)]
    assert all([a.tobytes() == b.tobytes() for a, b in zip(one, two, strict=True)])


def test_long_chains_are_cut() -> None:
    x = memory(0, (70,))
    v = x
    for i in range(700):
        v = ufunc("add", ufunc("multiply", v, const(0.99, FLOAT)), v if i % 50 == 0 else x)
    both(
        Graph((store(v, 1), store(made.reduce("add", v, (0,)), 2)), 3, 0),
        [np.ones(70, FLOAT), np.zeros(70, FLOAT), np.zeros((), FLOAT)],
    )


def sum_graph(n: int) -> Graph:
    x = memory(0, (n,))
    e = ufunc("exp", ufunc("negative", ufunc("multiply", x, x)))
    number = made.cast(Value("number", (), (0,), (), DOUBLE), FLOAT)
    return Graph(
        (store(ufunc("multiply", e, number), 1), store(made.reduce("add", e, (0,)), 2)), 3, 1
    )


def test_threads_of_python_may_share_a_program() -> None:
    n = 100_000
    random = np.random.RandomState(0)
    arrays = [random.rand(n).astype(FLOAT), np.zeros(n, FLOAT), np.zeros((), FLOAT)]
    program = prepared(sum_graph(n), arrays, [3.0], threads=2)
    assert program.run() == 0
    wanted = arrays[1].copy()
    failed: list[int] = []

    def work() -> None:
        failed.extend([program.run() for _ in range(30)])

    workers = [threading.Thread(target=work) for _ in range(3)]
    for w in workers:
        w.start()
    for w in workers:
        w.join()
    assert failed == [0] * 90
    np.testing.assert_array_equal(arrays[1], wanted)
    np.testing.assert_allclose(wanted, 3 * np.exp(-(arrays[0] ** 2)), rtol=1e-6)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_fork_after_use() -> None:
    n = 100_000
    arrays = [np.ones(n, FLOAT), np.zeros(n, FLOAT), np.zeros((), FLOAT)]
    program = prepared(sum_graph(n), arrays, [2.0], threads=2)
    assert program.run() == 0
    child = os.fork()
    if child == 0:
        arrays[1][:] = 0
        status = program.run()
        good = status == 0 and np.allclose(arrays[1], 2 / np.e)
        os._exit(0 if good else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert program.run() == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_fork_while_another_thread_compiles() -> None:
    def compile_some() -> None:
        for n in range(3000, 3012):
            Program(sum_graph(n))

    worker = threading.Thread(target=compile_some)
    worker.start()
    children = []
    for n in range(64, 70):
        child = os.fork()
        if child == 0:
            arrays = [np.ones(n, FLOAT), np.zeros(n, FLOAT), np.zeros((), FLOAT)]
            good = prepared(sum_graph(n), arrays, [2.0]).run() == 0
            os._exit(0 if good else 1)
        children.append(child)
    worker.join()
    assert [os.waitstatus_to_exitcode(os.waitpid(c, 0)[1]) for c in children] == [0] * 6


def test_programs_with_equal_kernels_share_code() -> None:
    arrays = [np.ones(64, FLOAT), np.zeros(64, FLOAT), np.zeros((), FLOAT)]
    first = prepared(sum_graph(64), arrays, [2.0])
    second = prepared(sum_graph(64), arrays, [2.0])
    del first
    assert second.run() == 0
    np.testing.assert_allclose(arrays[1], np.full(64, 2 / np.e), rtol=1e-6)


def test_seeing_it() -> None:
    arrays = [np.ones(64, FLOAT), np.zeros(64, FLOAT), np.zeros((), FLOAT)]
    program = prepared(sum_graph(64), arrays, [2.0])
    text = program.explain()
    assert "exp" in text and "reduce add" in text and "slot1" in text
    times = program.describe_times()
    assert len(times) == len(program.steps) and all([t > 0 for _, t in times])
    assert "define void" in program.ir()
    arrays[1][:] = 0
    assert program.run() == 0
    np.testing.assert_allclose(arrays[1], np.full(64, 2 / np.e), rtol=1e-6)


def test_a_program_dies_with_its_last_reference() -> None:
    import gc
    import weakref

    from rushlight.compiler import program as programs

    arrays = [np.ones(63, FLOAT), np.zeros(63, FLOAT), np.zeros((), FLOAT)]
    before = len(programs._modules)
    gc.disable()
    try:
        program = prepared(sum_graph(63), arrays, [2.0])
        run = program.run
        seen = weakref.ref(program)
        del program
        assert run() == 0  # what can be called keeps code and memory alive
        np.testing.assert_allclose(arrays[1], np.full(63, 2 / np.e), rtol=1e-6)
        del run
        assert seen() is None and len(programs._modules) == before
    finally:
        gc.enable()


@pytest.mark.parametrize(("threads", "graphs"), [(3, 30), (60, 4)])  # 60: two lines of claims
def test_every_step_shared_among_threads(
    monkeypatch: pytest.MonkeyPatch, threads: int, graphs: int
) -> None:
    from rushlight.compiler import layout

    monkeypatch.setattr(layout, "shared", lambda step: True)
    monkeypatch.setattr(layout, "_TOGETHER", -1.0)
    for seed in range(graphs):
        graph, arrays, numbers = random_graph(seed, 20)
        alone = [a.copy(order="K") for a in arrays]
        assert prepared(graph, alone, numbers, 1).run() == 0
        for _ in range(3):
            found = [a.copy(order="K") for a in arrays]
            program = prepared(graph, found, numbers, threads)
            assert program._parts == threads and program.run() == 0
            for a, b in zip(found, alone, strict=True):
                assert a.tobytes() == b.tobytes(), seed
