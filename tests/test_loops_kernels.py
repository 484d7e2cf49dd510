"""Fused loops against NumPy: strides, several stages, long sums, indices, and parts."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from loop_kernels import Build, compiled, reduction, run

from rushlight.codegen import loops
from rushlight.compiler.loops import Kernel

F32, I64 = np.dtype(np.float32), np.dtype(np.int64)
BF16 = np.dtype(ml_dtypes.bfloat16)
HALVES = [BF16]
if loops.supports(reduction("add", np.float16, (), (1,), (1,))):  # the host can convert it
    HALVES.append(np.dtype(np.float16))


def check(
    kernel: Kernel,
    inputs: Sequence[Any],
    expected: Sequence[Any],
    rtol: float = 0.0,
    numbers: Sequence[float] = (),
) -> None:
    """Runs a kernel in 1, 2, 3 and 7 parts; the outputs are its last buffers."""
    (f,) = compiled([kernel])
    first: list[Any] = []
    for parts in (1, 2, 3, 7):
        outs = [np.full(e.shape, 77).astype(e.dtype) for e in expected]
        assert run(f, [*inputs, *outs], numbers, parts) == 0
        if parts == 1:
            first = outs
            for out, want in zip(outs, expected, strict=True):
                np.testing.assert_allclose(
                    out.astype(np.float64), want.astype(np.float64), rtol=rtol, atol=rtol
                )
        for out, before in zip(outs, first, strict=True):
            assert out.tobytes() == before.tobytes(), f"{parts} parts differ"


def strides(array: Any) -> tuple[int, ...]:
    return tuple([s // array.itemsize for s in array.strides])


def sources(rows: int, n: int) -> dict[str, tuple[Any, Any]]:
    """Memory of float32 and a view of it of shape (rows, n), laid out in many ways."""
    base = np.arange(4 * (rows + 1) * (n + 1) * 3, dtype=np.float32)
    dense = base[: rows * n].reshape(rows, n)
    return {
        "dense": (base, dense),
        "transposed": (base, base[: rows * n].reshape(n, rows).T),
        "columns": (base, base[: rows * n * 2].reshape(rows, 2 * n)[:, ::2]),
        "thirds": (base, base[: rows * n * 3].reshape(rows, 3 * n)[:, 1::3]),
        "reversed": (base, dense[:, ::-1]),
        "upside down": (base, dense[::-1]),
        "one row": (base, np.broadcast_to(base[:n], (rows, n))),
        "one column": (base, np.broadcast_to(base[:rows, None], (rows, n))),
        "one number": (base, np.broadcast_to(base[5], (rows, n))),
    }


LAYOUTS = list(sources(1, 1))


def place(base: Any, view: Any) -> int:
    return int((view.__array_interface__["data"][0] - base.ctypes.data) // base.itemsize)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", [(3, 5), (4, 16), (17, 37), (2, 130), (1, 1), (40, 3)])
def test_loads_with_any_strides(layout: str, shape: tuple[int, int]) -> None:
    base, view = sources(*shape)[layout]
    b = Build()
    x = b.load(F32, 0, strides(view), place(base, view))
    b.store(b.op("add", x, b.const(1, F32)), 1, (shape[1], 1))
    kernel = Kernel((), shape, (F32, F32), 0, (b.stage(),))
    check(kernel, [base], [view + 1])


@pytest.mark.parametrize("layout", LAYOUTS[:6])
@pytest.mark.parametrize("shape", [(3, 5), (17, 37), (40, 3)])
def test_stores_with_any_strides(layout: str, shape: tuple[int, int]) -> None:
    base, view = sources(*shape)[layout]
    b = Build()
    b.store(b.load(F32, 0, (shape[1], 1)), 1, strides(view), place(base, view))
    kernel = Kernel(shape, (), (F32, F32), 0, (b.stage(),))
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    expected = np.full(base.shape, 77, np.float32)
    target = np.lib.stride_tricks.as_strided(
        expected[place(base, view) :], view.shape, view.strides
    )
    target[...] = x
    check(kernel, [x], [expected])


@pytest.mark.parametrize("n", [1, 16, 40])
@pytest.mark.parametrize("name", ["maximum", "minimum", "fmax", "add"])
def test_nan_at_every_lane(name: str, n: int) -> None:
    b = Build()
    b.store(b.op(name, b.load(F32, 0, (1,)), b.load(F32, 1, (1,))), 2, (1,))
    kernel = Kernel((), (n,), (F32,) * 3, 0, (b.stage(),))
    whole = reduction("maximum", F32, (), (n,), (1,))
    best = reduction("argmax", F32, (), (n,), (1,), I64)
    f, g, h = compiled([kernel, whole, best])
    for i, special in itertools.product(range(n), (np.nan, np.inf, -0.0)):
        x, y = np.ones(n, np.float32), np.full(n, -2, np.float32)
        x[i] = special
        for left, right in ((x, y), (y, x)):
            out = np.zeros(n, np.float32)
            run(f, [left, right, out])
            np.testing.assert_array_equal(out, getattr(np, name)(left, right))
        top, at = np.zeros(1, np.float32), np.zeros(1, np.int64)
        run(g, [x, top])
        run(h, [x, at])
        np.testing.assert_array_equal(top[0], x.max())
        assert at[0] == x.argmax()


def softmax(rows: int, n: int, step: tuple[int, int], logarithm: bool) -> Kernel:
    """Softmax or its logarithm over the inner axis."""
    stages = []
    b = Build()
    b.reduce("maximum", b.load(F32, 0, step), F32)
    stages.append(b.stage())
    b = Build()
    e = b.op("exp", b.op("subtract", b.load(F32, 0, step), b.reduced(0, 0, F32)))
    b.reduce("add", e, F32)
    if not logarithm:
        b.store(e, 1, step)
    stages.append(b.stage())
    b = Build()
    if logarithm:
        moved = b.op("subtract", b.load(F32, 0, step), b.reduced(0, 0, F32))
        b.store(b.op("subtract", moved, b.op("log", b.reduced(1, 0, F32))), 1, step)
    else:
        b.store(b.op("divide", b.load(F32, 1, step), b.reduced(1, 0, F32)), 1, step)
    stages.append(b.stage())
    return Kernel((rows,), (n,), (F32, F32), 0, tuple(stages))


@pytest.mark.parametrize("shape", [(1, 1), (5, 10), (3, 16), (17, 33), (4, 300), (1, 5000)])
@pytest.mark.parametrize("layout", ["rows", "columns"])
@pytest.mark.parametrize("logarithm", [False, True])
def test_softmax(shape: tuple[int, int], layout: str, logarithm: bool) -> None:
    rows, n = shape
    x = np.random.default_rng(1).standard_normal(shape).astype(np.float32) * 4
    wide = np.exp(x.astype(np.float64) - x.max(1, keepdims=True))
    expected = wide / wide.sum(1, keepdims=True)
    expected = (np.log(expected) if logarithm else expected).astype(np.float32)
    step = (n, 1) if layout == "rows" else (1, rows)
    given, want = (x, expected) if layout == "rows" else (x.T.copy(), expected.T.copy())
    check(softmax(rows, n, step, logarithm), [given], [want], rtol=1e-6)


@pytest.mark.parametrize("shape", [(1, 1), (7, 10), (3, 64), (5, 333)])
def test_layer_norm_with_numbers_and_weights(shape: tuple[int, int]) -> None:
    rows, n = shape
    mean = Build()
    mean.reduce("add", mean.load(F32, 0, (n, 1)), F32)

    def centred(b: Build) -> int:
        average = b.op("divide", b.reduced(0, 0, F32), b.const(n, F32))
        return b.op("subtract", b.load(F32, 0, (n, 1)), average)

    spread = Build()
    distance = centred(spread)
    spread.reduce("add", spread.op("multiply", distance, distance), F32)
    last = Build()
    eps = last.put("number", (), (0,), F32)
    variance = last.op("divide", last.reduced(1, 0, F32), last.const(n, F32))
    scale = last.op("sqrt", last.op("add", variance, eps))
    y = last.op("multiply", last.op("divide", centred(last), scale), last.load(F32, 1, (0, 1)))
    last.store(y, 2, (n, 1))
    stages = (mean.stage(), spread.stage(), last.stage())
    kernel = Kernel((rows,), (n,), (F32,) * 3, 1, stages)
    rng = np.random.default_rng(2)
    x, w = rng.standard_normal(shape).astype(F32), rng.standard_normal(n).astype(F32)
    wide = x.astype(np.float64)
    expected = (wide - wide.mean(1, keepdims=True)) / np.sqrt(wide.var(1, keepdims=True) + 1e-3)
    check(kernel, [x, w], [(expected * w).astype(F32)], rtol=2e-6, numbers=[1e-3])


@pytest.mark.parametrize("shape", [(2, 3, 5), (4, 7, 33), (3, 16, 64), (70, 2, 20), (3, 90, 3)])
@pytest.mark.parametrize("axes", [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)])
def test_sums_over_any_axes(shape: tuple[int, ...], axes: tuple[int, ...]) -> None:
    x = np.random.default_rng(3).standard_normal(shape).astype(F32)
    outer = [a for a in range(3) if a not in axes]
    steps = strides(x)
    kernel = reduction(
        "add",
        F32,
        [shape[a] for a in outer],
        [shape[a] for a in axes],
        [steps[a] for a in (*outer, *axes)],
    )
    expected = x.astype(np.float64).sum(axes).astype(F32)
    check(kernel, [x], [np.asarray(expected)], rtol=2e-5)


@pytest.mark.parametrize("n", [1000, 30_000, 1_000_000])
@pytest.mark.parametrize("layout", ["row", "column"])
def test_long_sums_are_as_accurate_as_pairwise_ones(n: int, layout: str) -> None:
    ours, numpys = [], []
    columns = 1 if layout == "row" else 3
    kernel = reduction("add", F32, (columns,), (n,), (1, columns))
    (f,) = compiled([kernel])
    for seed in range(5):
        x = np.random.default_rng(seed).uniform(0, 1, (n, columns)).astype(F32)
        out = np.zeros(columns, F32)
        run(f, [x, out])
        exact = x.astype(np.float64).sum(0)
        pairwise = np.array([x[:, c].copy().sum() for c in range(columns)])
        ours.append(np.abs(out - exact).max() / exact.max())
        numpys.append(np.abs(pairwise - exact).max() / exact.max())
    eps = 2.0**-24
    assert max(ours) <= max(2 * max(numpys), 3 * eps), (max(ours) / eps, max(numpys) / eps)


def test_half_sums_are_rounded_once() -> None:
    for dtype in HALVES:
        x = np.random.default_rng(4).uniform(0, 1, (3, 300)).astype(dtype)
        expected = x.astype(np.float32).sum(1).astype(dtype)
        check(reduction("add", dtype, (3,), (300,), (300, 1)), [x], [expected])


@pytest.mark.parametrize("name", ["logical_or", "logical_and"])
@pytest.mark.parametrize("n", [1, 20, 64, 200])
def test_logical_reductions(name: str, n: int) -> None:
    x = np.zeros((4, n), bool)
    x[1], x[2, -1], x[3, 1:] = True, True, True
    expected = getattr(np, name).reduce(x, 1)
    check(reduction(name, bool, (4,), (n,), (n, 1)), [x], [expected])


@pytest.mark.parametrize("name", ["argmax", "argmin"])
@pytest.mark.parametrize("layout", [(130, 1), (1, 5)])
def test_arg_reductions_take_the_first(name: str, layout: tuple[int, int]) -> None:
    x = np.random.default_rng(5).integers(0, 3, (5, 130)).astype(F32)
    x[0] = 0
    x[1, [70, 90]] = np.nan
    x[2] = -np.inf if name == "argmax" else np.inf
    x[3] = np.nan
    given = x if layout[1] == 1 else x.T.copy()
    kernel = reduction(name, F32, (5,), (130,), layout, I64)
    check(kernel, [given], [getattr(np, name)(x, axis=1)])


def test_reductions_of_nothing() -> None:
    for name, expected in (("add", 0), ("multiply", 1)):
        for outer in ((3,), (40,), ()):
            kernel = reduction(name, F32, outer, (0,), (*[0] * len(outer), 1))
            check(kernel, [np.zeros(0, F32)], [np.full(outer, expected, F32)])
    kernel = reduction("add", F32, (0,), (5,), (5, 1))
    check(kernel, [np.zeros(0, F32)], [np.zeros(0, F32)])


def gathered(
    index: Any, rows: int, n: int, count: int, index_steps: tuple[int, int], moved: bool
) -> Kernel:
    """out[i, j] = table[index[...], j], or table[index[...]] without j."""
    b = Build()
    i = b.load(index, 1, index_steps)
    sizes = ((count, n if moved else 1),)
    value = b.put("gather", [i], (0, 0, (0, 1 if moved else 0), sizes), F32)
    b.store(value, 2, (n, 1))
    return Kernel((rows,), (n,), (F32, np.dtype(index), F32), 0, (b.stage(),))


@pytest.mark.parametrize("index", ["int64", "int32", "uint8"])
@pytest.mark.parametrize("n", [1, 7, 16, 37])
def test_gathers(index: str, n: int) -> None:
    rng = np.random.default_rng(6)
    table = rng.standard_normal((11, n)).astype(F32)
    i = rng.integers(0 if index[0] == "u" else -11, 11, 6).astype(index)
    check(gathered(index, 6, n, 11, (1, 0), True), [table, i], [table[i]])
    flat = table.reshape(-1)
    j = rng.integers(0, min(flat.size, 99), (6, n)).astype(index)
    check(gathered(index, 6, n, flat.size, (n, 1), False), [flat, j], [flat[j]])


@pytest.mark.parametrize("bad", [11, -12, 2**40, -(2**62)])
@pytest.mark.parametrize("n", [1, 16, 37])
@pytest.mark.parametrize("moved", [True, False])
def test_bad_indices_set_the_status(bad: int, n: int, moved: bool) -> None:
    table = np.ones((11, n) if moved else 11, F32)
    steps = (1, 0) if moved else (n, 1)
    (f,) = compiled([gathered("int64", 6, n, 11, steps, moved)])
    for place in range(6 if moved else 6 * n):
        i = np.zeros(6 if moved else 6 * n, I64)
        out = np.zeros((6, n), F32)
        assert run(f, [table, i, out], parts=2) == 0
        i[place] = bad
        assert run(f, [table, i, out], parts=2) == 1


def test_gather_of_an_empty_table() -> None:
    (f,) = compiled([gathered("int64", 2, 5, 0, (1, 0), True)])
    out = np.ones((2, 5), F32)
    assert run(f, [np.zeros(0, F32), np.zeros(2, I64), out]) == 1


def test_axes_numbers_and_where() -> None:
    """out[i, j] = a run-time number where i >= j, else j."""
    for shape in ((5, 7), (20, 33), (1, 16)):
        b = Build()
        i, j = (b.put("axis", (), (a,), I64) for a in (0, 1))
        number = b.put("number", (), (1,), F32)
        below = b.op("greater_equal", i, j)
        value = b.put("where", [below, number, b.put("cast", [j], (), F32)], (), F32)
        b.store(value, 0, (shape[1], 1))
        kernel = Kernel((), shape, (F32,), 2, (b.stage(),))
        x, y = np.ogrid[: shape[0], : shape[1]]
        expected = np.where(x >= y, 0.1, y).astype(F32)
        check(kernel, [], [expected], numbers=[7.0, 0.1])


def test_nothing_but_numbers() -> None:
    """A kernel of no axes."""
    b = Build()
    b.store(b.op("exp", b.load(F32, 0, ())), 1, ())
    check(
        Kernel((), (), (F32, F32), 0, (b.stage(),)),
        [np.ones((), F32)],
        [np.exp(np.ones((), F32))],
        1e-6,
    )


def test_writes_in_place() -> None:
    n = 1003
    b = Build()
    b.store(b.op("multiply", b.load(F32, 0, (1,)), b.const(3, F32)), 0, (1,))
    (f,) = compiled([Kernel((), (n,), (F32,), 0, (b.stage(),))])
    x = np.arange(n, dtype=F32)
    run(f, [x], parts=3)
    np.testing.assert_array_equal(x, np.arange(n) * 3)


def test_what_loops_do_not_know_is_refused() -> None:
    for name, dtype in (("add", np.complex64), ("gcd", np.int64), ("power", np.int64)):
        b = Build()
        x = b.load(dtype, 0, (1,))
        b.store(b.op(name, x, x), 1, (1,))
        kernel = Kernel((), (4,), (np.dtype(dtype),) * 2, 0, (b.stage(),))
        assert not loops.supports(kernel)
    b = Build()
    b.store(b.op("power", b.load(I64, 0, (1,)), b.const(3, I64)), 1, (1,))
    x = np.arange(-20, 20)
    check(Kernel((), (40,), (I64, I64), 0, (b.stage(),)), [x], [x**3])
    assert math.prod(x.shape) == 40


@pytest.mark.parametrize("dtype", ["float32", "int64", *HALVES, "bool"])
@pytest.mark.parametrize("shape", [(1, 8, 8), (2, 16, 16), (1, 33, 40), (20, 9, 17), (3, 64, 8)])
def test_turned_matrices(dtype: Any, shape: tuple[int, int, int]) -> None:
    """out[k, i, j] = where(x[k, j, i], or y[i], j > i), and its mirror, whose store is turned."""
    kind = np.dtype(dtype)
    n, rows, columns = shape
    x = (np.arange(n * rows * columns) % 7 % 3).astype(kind).reshape(n, columns, rows)
    y = (np.arange(rows) % 2).astype(kind)
    size = rows * columns
    steps = {"turned": (size, 1, rows), "plain": (size, columns, 1)}
    i, j = np.arange(rows)[:, None], np.arange(columns)
    expected = np.where(j > i, x.transpose(0, 2, 1), y[:, None])
    for source, target in (("turned", "plain"), ("turned", "turned"), ("plain", "turned")):
        b = Build()
        value = b.load(kind, 0, steps[source])
        below = b.op("greater", b.put("axis", (), (2,), I64), b.put("axis", (), (1,), I64))
        chosen = b.put("where", [below, value, b.load(kind, 1, (0, 1, 0))], (), kind)
        b.store(chosen, 2, steps[target])
        kernel = Kernel(shape, (), (kind,) * 3, 0, (b.stage(),))
        given = x if source == "turned" else x.transpose(0, 2, 1).copy()
        want = expected if target == "plain" else expected.transpose(0, 2, 1).copy()
        check(kernel, [given, y], [want])


@pytest.mark.parametrize("step", [2, 3, 5, 8])
@pytest.mark.parametrize("n", [1, 5, 16, 37, 64])
def test_elements_a_few_apart(step: int, n: int) -> None:
    """A heavy body, and sums over what lies between; memory ends with the last element."""
    x = np.random.default_rng(8).uniform(-1, 1, (n - 1) * step + 1).astype(F32)
    b = Build()
    b.store(b.op("tanh", b.load(F32, 0, (step,))), 1, (1,))
    kernel = Kernel((n,), (), (F32, F32), 0, (b.stage(),))
    check(kernel, [x], [np.tanh(x[::step].astype(np.float64)).astype(F32)], rtol=3e-7)
    for width in range(1, step + 1):
        y = np.random.default_rng(9).uniform(-1, 1, (n - 1) * step + width).astype(F32)
        rows = np.lib.stride_tricks.as_strided(y, (n, width), (4 * step, 4))
        expected = rows.astype(np.float64).sum(1).astype(F32)
        check(reduction("add", F32, (n,), (width,), (step, 1)), [y], [expected], rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("spacing", [1, 3, 4])
def test_quotients_beyond_the_end_are_not_summed(dtype: Any, spacing: int) -> None:
    sizes, far = [3, 5, 6, 7, 9, 13, 14, 15], 100
    kernels = []
    for n in sizes:
        b, total = Build(), Build()
        x, y = b.load(dtype, 0, (far, spacing)), b.load(dtype, 1, (far, spacing))
        b.reduce("add", b.op("divide", x, y), dtype)  # 0 / 0 in the lanes beyond
        total.store(total.reduced(0, 0, dtype), 2, (1, 0))
        stages = (b.stage(), total.stage(inner=False))
        kernels.append(Kernel((4,), (n,), (np.dtype(dtype),) * 3, 0, stages))
    above, below = np.arange(4.0 * far) + 1, np.arange(4.0 * far)[::-1] + 1
    for f, n in zip(compiled(kernels), sizes, strict=True):
        found = np.empty(4, dtype)
        assert run(f, [above.astype(dtype), below.astype(dtype), found]) == 0
        wanted = (above / below).reshape(4, far)[:, : n * spacing : spacing].sum(1)
        np.testing.assert_allclose(found, wanted, rtol=1e-6)


@pytest.mark.parametrize("rows", [2, 4, 7, 16])
@pytest.mark.parametrize("columns", [1, 10, 33])
def test_short_sums_down_columns_are_added_in_order(rows: int, columns: int) -> None:
    x = np.random.RandomState(rows * columns).randn(rows, columns).astype(np.float32)
    (f,) = compiled([reduction("add", F32, (columns,), (rows,), (1, columns))])
    found, wanted = np.empty(columns, np.float32), np.zeros(columns, np.float32)
    assert run(f, [x, found]) == 0
    for row in x:
        wanted += row
    if columns > 1:  # a single column is a row
        assert found.tobytes() == wanted.tobytes()
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
