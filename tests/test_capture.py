"""Capture: every record's kernel read as a graph gives what the kernel gives.

Each sample of each record, in several dtypes, is captured; the graph is verified and evaluated by
the reference interpreter, and compared with the kernel's own result.  Whose calls may stay whole,
the records say (`kind`, `whole`).
"""

from __future__ import annotations

import numpy as np
import pytest
from test_ops_table import OPS, samples

import rushlight as rl
from rushlight import dtypes
from rushlight.compiler.capture import NotCaptured, capture, decompose, for_kernel
from rushlight.compiler.reference import evaluate
from rushlight.compiler.symbols import Symbol, lift
from rushlight.devices import CPU
from rushlight.dispatch.gate import call, plan_of
from rushlight.dispatch.tensor import array_of
from rushlight.ir import op as records
from rushlight.ir.graph import Graph, Store, Value, row_major, verify
from rushlight.runtime import cpu
from rushlight.runtime.quiet import quietly

KINDS_WHOLE = {"scan", "sort", "opaque", "random"}
# Sums of products, which NumPy's einsum and BLAS order in their own way.
ROUNDED = {"batch_norm_backward"}
# Records that can be read, but not all that they do has generated code.
EMITTED = {"pow", "scatter_add", "index_add", "embedding_spread"}
DTYPES = [rl.float32, rl.float64, rl.bfloat16, rl.int64, rl.uint8, rl.bool]
CAPTURED = [n for n in OPS if records.get(n).kind not in ("movement", *KINDS_WHOLE) and samples(n)]


def inputs_of(tensors):
    """Values for tensors, and the arrays that they read."""
    found, arrays = [], []
    for t in tensors:
        if not isinstance(t, rl.Tensor):
            found.append(t)
            continue
        array = np.ascontiguousarray(array_of(t)).reshape(t.shape)
        shape = tuple(t.shape)
        found.append(Value("input", (), (len(arrays), row_major(shape), 0), shape, array.dtype))
        arrays.append(array)
    return found, arrays


def stored(results, arrays, numbers=()):
    """What the reference interpreter makes of results."""
    targets = [np.empty(v.shape, v.dtype) for v in results]
    stores = tuple(
        Store(v, len(arrays) + i, row_major(v.shape), 0, False) for i, v in enumerate(results)
    )
    graph = Graph(stores, len(arrays) + len(targets), len(numbers))
    verify(graph)
    evaluate(graph, [*arrays, *targets], numbers)
    return targets


def eager(op, plan, tensors, attrs):
    """What the kernel makes, placed as tensors would be."""
    operands = [array_of(t) if isinstance(t, rl.Tensor) else t for t in tensors]
    placed = []
    for result, meta in zip(cpu.run(op, plan, operands, attrs), plan.outs, strict=True):
        target = np.empty(meta.shape, meta.dtype.numpy)
        quietly(cpu.cast_into, (target, result))
        placed.append(target)
    return placed


def tensor(x, dtype):
    if not isinstance(x, (np.ndarray, np.generic)):
        return x
    t = rl.tensor(np.asarray(x))
    return t.to(dtype) if t.dtype.is_floating_point else t


def cases(name):
    """(plan, tensors, attrs) of each sample and dtype that the record takes."""
    op = records.get(name)
    for dtype in DTYPES:
        for inputs, attrs in samples(name):
            if dtype is not rl.float32 and not any(
                isinstance(x, (np.ndarray, np.generic)) and x.dtype.kind == "f" for x in inputs
            ):
                continue
            tensors = tuple(tensor(x, dtype) for x in inputs)
            try:
                plan = plan_of(op, tensors, attrs)
                want = eager(op, plan, tensors, attrs)
            except (RuntimeError, TypeError, IndexError, NotImplementedError, ValueError):
                continue
            yield plan, tensors, attrs, want


@pytest.mark.parametrize("name", CAPTURED)
def test_graphs_are_what_kernels_compute(name):
    op = records.get(name)
    for plan, tensors, attrs, want in cases(name):
        values, arrays = inputs_of(tensors)
        try:
            results = decompose(op, plan, values, attrs)
        except NotCaptured as reason:
            complex_ones = any(m.dtype.kind == "c" for m in plan.outs)
            assert op.whole or complex_ones, f"{name} stays whole: {reason}"
            results = capture(op, plan, values, attrs)
        for got, expected in zip(stored(results, arrays), want, strict=True):
            assert (got.shape, got.dtype) == (expected.shape, expected.dtype)
            if got.dtype.name == "bfloat16":
                got, expected = got.astype(np.float32), expected.astype(np.float32)
            tolerance = 32 * np.finfo(got.dtype).eps if name in ROUNDED else 0
            np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance)


def test_few_records_stay_whole():
    """What records declare is needed, and captured are nearly all."""
    whole, parts = set(), 0
    for name in CAPTURED:
        op = records.get(name)
        for plan, tensors, attrs, _ in cases(name):
            try:
                decompose(op, plan, inputs_of(tensors)[0], attrs)
                parts += 1
            except NotCaptured:
                if all(m.dtype.kind != "c" for m in plan.outs):
                    whole.add(name)
    declared = {n for n in CAPTURED if records.get(n).whole}
    assert not whole - declared
    assert declared - whole == {"complex", *EMITTED}
    assert parts > 3300


# What kernels do with arrays, on arrays and on Symbols.


def both(f, *arrays):
    """f of the arrays, and the graph of f evaluated on them."""
    values = [
        Value("input", (), (i, row_major(a.shape), 0), a.shape, a.dtype)
        for i, a in enumerate(arrays)
    ]
    result = f(*[Symbol(v) for v in values])
    (got,) = stored([lift(result)], arrays)
    want = np.asarray(f(*[a.copy() for a in arrays]))
    assert (got.shape, got.dtype) == (want.shape, want.dtype)
    np.testing.assert_array_equal(got, want)


X = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
AT = np.array([[1, -1], [0, 2]])


@pytest.mark.parametrize(
    "key",
    [
        0,
        (slice(None), -1),
        (..., slice(1, None, 2)),
        (slice(None, None, -1), slice(2, 0, -1), None, 1),
        (None, ..., slice(3, None, -3)),
        (slice(0, 0), 1),
        np.array([1, 0, 1]),
        (slice(None), AT),
        (slice(None), AT, 1),
        (0, slice(None), AT),
        (AT % 2, slice(None), AT),
        (slice(None), None, AT, slice(1, 3)),
        (AT % 2, AT, AT),
        np.array([True, False]),
    ],
    ids=str,
)
def test_indexing(key):
    both(lambda x: x[key], X)
    both(lambda x: x.swapaxes(0, 2)[..., ::-1][key] if x.ndim else x, np.ones((4, 3, 2)))

    def written(x):
        y = x.copy()
        y[key] = 7
        y[key] = y[key] + 1
        view = y.transpose(2, 1, 0)
        view[1:3] *= 2
        return y

    both(written, X)


def test_writes_reach_views_and_bases():
    def views(x):
        y = x.copy()
        flat, turned = y.reshape(-1), y.T
        flat[3:9] = 100
        turned[0] += flat[:6].reshape(3, 2)
        y[:, ::2, 1:] = x[:, ::2, 1:] * 3
        np.multiply(flat, 2, out=flat)
        np.copyto(turned, 5, where=turned > 90)
        y[x > 20] = 1
        return turned + y.T + flat.reshape(2, 3, 4).T

    both(views, X)


def test_scatter_adds():
    def added(x, at):
        y = np.zeros_like(x)
        np.add.at(y, (slice(None), at), x[:, :1, None])
        np.put_along_axis(y, at[None, :, :1] % 3, 5, 1)
        return y

    both(added, X, AT)


def test_numbers_known_at_run_time():
    """A number promotes as a Python float does and reaches every use."""
    number = Value("number", (), (0,), (), np.dtype(np.float64))
    x = rl.tensor([1.0, 2.0])
    (value,), arrays = inputs_of([x])
    add, addcdiv, mul = (records.get(n) for n in ("add", "addcdiv", "mul"))
    results = []
    plan = plan_of(add, (x, x), (0.5,))
    results += decompose(add, plan, [value, value], (number,))
    plan = plan_of(addcdiv, (x, x, x), (0.5,))
    results += decompose(addcdiv, plan, [value] * 3, (number,))
    plan = plan_of(mul, (x, 0.5), ())
    results += decompose(mul, plan, [value, number], ())
    got = stored(results, arrays, [-0.1])
    assert [g.dtype for g in got] == [np.float32] * 3
    n = np.float32(-0.1)
    a = arrays[0]
    for g, w in zip(got, (a + a * n, a + n * a / a, a * n), strict=True):
        np.testing.assert_array_equal(g, w)
    clamp = records.get("round")
    with pytest.raises(NotCaptured):
        capture(clamp, plan_of(clamp, (x,), (2,)), [value], (number,))


@pytest.mark.parametrize("name", ["gather", "embedding", "nll_loss", "index", "scatter_add"])
def test_wrong_indices_fail_when_the_program_runs(name):
    """Captured calls of value-checked operators refuse what the kernels refuse."""
    op = records.get(name)
    plan, tensors, attrs, _ = next(iter(cases(name)))
    values, arrays = inputs_of(tensors)
    results = decompose(op, plan, values, attrs)
    at = next(i for i, a in enumerate(arrays) if a.dtype.kind == "i")
    for wrong in (1000, -1000, *([-1] if name != "index" else [])):
        broken = [a.copy() for a in arrays]
        broken[at].flat[-1] = wrong
        with pytest.raises(IndexError):
            stored(results, broken)
        again = iter(broken)
        operands = [rl.from_numpy(next(again)) if t is not None else None for t in tensors]
        with pytest.raises((IndexError, RuntimeError)):
            call(op, tuple(operands), attrs)


def test_wrong_values_fail_when_the_program_runs():
    x, y = rl.tensor([0.5, 0.25]), rl.tensor([1.0, 0.0])
    op = records.get("binary_cross_entropy")
    plan = plan_of(op, (x, y, None), ("mean",))
    values, arrays = inputs_of([x, y, None])
    results = decompose(op, plan, values, ("mean",))
    assert stored(results, arrays)[0] == eager(op, plan, (x, y, None), ("mean",))[0]
    with pytest.raises(IndexError):
        stored(results, [np.array([0.5, 1.5], np.float32), arrays[1]])


def test_creation_is_not_data():
    """Uniform and evenly spaced results are views and counts, whatever their size."""
    full, arange = records.get("full"), records.get("arange")
    attrs = ((100, 100), dtypes.float32, CPU)
    (v,) = decompose(full, plan_of(full, (2.5,), attrs), [2.5], attrs)
    assert (v.kind, v.inputs[0].size) == ("view", 1)
    attrs = (3, 1003, 2, dtypes.int64, CPU)
    (v,) = decompose(arange, plan_of(arange, (), attrs), [], attrs)
    assert v.kind == "map"
    np.testing.assert_array_equal(stored([v], [])[0], np.arange(3, 1003, 2))


def test_heavy_operators_keep_their_kernels():
    x, w = rl.ones(1, 2, 4, 4), rl.ones(3, 2, 3, 3)
    conv = records.get("conv")
    attrs = ((1, 1), (1, 1), (1, 1), 1)
    for dtype, kind in ((rl.float32, "kernel"), (rl.bfloat16, "kernel"), (rl.int64, "opaque")):
        tensors = (x.to(dtype), w.to(dtype), None)
        plan = plan_of(conv, tensors, attrs)
        values, arrays = inputs_of(tensors)
        results = capture(conv, plan, values, attrs)
        graph = Graph((Store(results[0], 9, row_major(results[0].shape), 0, False),), 10, 0)
        (call_of,) = [v for v in graph.values() if v.dtype is None]
        assert call_of.kind == kind
        assert (for_kernel(conv, plan, values, attrs) is not None) == (kind == "kernel")
        np.testing.assert_array_equal(
            stored(results, arrays)[0].astype(np.float32),
            eager(conv, plan, tensors, attrs)[0].astype(np.float32),
        )
