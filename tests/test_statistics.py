"""Order statistics, unique elements, histograms, differences: NumPy is the reference."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rushlight as rl

RNG = np.random.default_rng(5)
X = RNG.standard_normal((4, 5, 3))
SMALL = RNG.integers(0, 4, (4, 5))


def t(array):
    return rl.tensor(np.asarray(array))


@pytest.mark.parametrize("method", ["linear", "lower", "higher", "midpoint", "nearest"])
@pytest.mark.parametrize("dim", [None, 0, 1, -1])
def test_quantile(method, dim):
    q = [0.0, 0.2, 0.5, 1.0]
    want = np.quantile(X, q, axis=dim, method=method)
    got = rl.quantile(t(X), t(np.array(q)), dim=dim, interpolation=method)
    np.testing.assert_allclose(got.numpy(), want)
    kept = rl.quantile(t(X), 0.5, dim=dim, keepdim=True, interpolation=method)
    np.testing.assert_allclose(
        kept.numpy(), np.quantile(X, 0.5, axis=dim, keepdims=True, method=method)
    )


def test_quantiles_and_nan():
    x = X.copy()
    x[0, 0, 0] = np.nan
    assert np.isnan(rl.quantile(t(x), 0.5).item())
    np.testing.assert_allclose(
        rl.nanquantile(t(x), 0.3, dim=0).numpy(), np.nanquantile(x, 0.3, axis=0)
    )
    assert rl.nanquantile(t(np.array([np.nan, np.nan])), 0.5).isnan()
    assert rl.nanmedian(t(np.array([np.nan, 3.0, 1.0]))).item() == 1.0
    assert rl.median(t(np.array([np.nan, 3.0, 1.0]))).isnan()


@pytest.mark.parametrize("dim", [0, 1, 2])
def test_sort_and_selection(dim):
    values, order = rl.sort(t(X), dim=dim)
    np.testing.assert_array_equal(values.numpy(), np.sort(X, axis=dim))
    np.testing.assert_array_equal(np.take_along_axis(X, order.numpy(), dim), values.numpy())
    down = rl.sort(t(X), dim=dim, descending=True)[0]
    np.testing.assert_array_equal(down.numpy(), np.flip(np.sort(X, axis=dim), dim))
    top, places = rl.topk(t(X), 2, dim=dim)
    want = np.take(np.flip(np.sort(X, axis=dim), dim), [0, 1], axis=dim)
    np.testing.assert_array_equal(top.numpy(), want)
    np.testing.assert_array_equal(np.take_along_axis(X, places.numpy(), dim), want)
    kth = rl.kthvalue(t(X), 2, dim=dim)[0]
    np.testing.assert_array_equal(kth.numpy(), np.take(np.sort(X, axis=dim), 1, axis=dim))


def test_equal_elements_keep_their_order_both_ways():
    x = t([1, 0, 1, 0, 1])
    assert rl.argsort(x, stable=True).tolist() == [1, 3, 0, 2, 4]
    assert rl.argsort(x, descending=True, stable=True).tolist() == [0, 2, 4, 1, 3]


def test_nan_is_the_largest():
    x = t(np.array([1.0, np.nan, 0.0]))
    assert rl.argsort(x).tolist() == [2, 0, 1]
    assert rl.argsort(x, descending=True).tolist() == [1, 0, 2]
    assert rl.topk(x, 1).indices.tolist() == [1]


def test_recorded_choices_among_equals():
    """What PyTorch 2.13 gives."""
    x = t([(7 * i * i + 3 * i) % 5 for i in range(24)])
    assert rl.topk(x, 7).indices.tolist() == [17, 12, 9, 14, 7, 19, 22]
    assert rl.topk(x, 4, largest=False).indices.tolist() == [15, 6, 16, 1]
    assert rl.topk(x, 4, sorted=False).indices.tolist() == [9, 7, 14, 17]
    assert [rl.kthvalue(x, k).indices.item() for k in (9, 12)] == [5, 18]
    assert rl.mode(x).indices.item() == 11


@pytest.mark.parametrize("case", range(60))
def test_choices_among_equals_are_those_of_torch(case):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(case)
    shape = rng.permutation([int(rng.integers(1, 200)), int(rng.integers(1, 4))])
    x = rng.integers(0, int(rng.integers(2, 12)), shape)
    dim = int(rng.integers(0, 2))
    k = int(rng.integers(1, shape[dim] + 1))
    x = x if case % 2 else x.astype(np.float32)
    if case % 4 == 0:
        x[rng.random(shape) < 0.1] = np.nan

    def found(m, v):
        ways = [(large, sort) for large in (False, True) for sort in (False, True)]
        picks = [m.topk(v, k, dim, *way)[1] for way in ways]
        picks.append(m.kthvalue(v, k, dim)[1])
        if case % 4:  # the reference's sort is not defined on NaN
            picks.append(m.mode(v, dim)[1])
        return [p.tolist() for p in picks]

    assert found(rl, rl.tensor(x)) == found(torch, torch.tensor(x))


def test_mode_takes_the_smallest_of_the_most_frequent():
    values, _ = rl.mode(t([[2, 1, 2, 1], [3, 3, 0, 1]]))
    assert values.tolist() == [1, 3]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(-3, 3), max_size=12))
def test_unique(numbers):
    x = np.array(numbers, np.int64)
    got = rl.unique(t(x), return_inverse=True, return_counts=True)
    want = np.unique(x, return_inverse=True, return_counts=True)
    for a, b in zip(got, want, strict=True):
        np.testing.assert_array_equal(a.numpy(), b)
    values, inverse, counts = rl.unique_consecutive(t(x), return_inverse=True, return_counts=True)
    np.testing.assert_array_equal(values[inverse].numpy(), x)
    np.testing.assert_array_equal(np.repeat(values.numpy(), counts.numpy()), x)
    assert (values[1:] != values[:-1]).all()


@pytest.mark.parametrize("dim", [0, 1])
def test_unique_slices(dim):
    x = RNG.integers(0, 2, (5, 2)) if dim == 0 else RNG.integers(0, 2, (2, 5))
    got = rl.unique(t(x), dim=dim, return_inverse=True, return_counts=True)
    want = np.unique(x, axis=dim, return_inverse=True, return_counts=True)
    for a, b in zip(got, want, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.reshape(a.shape))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(-4, 4), min_size=1, max_size=9), st.booleans())
def test_searchsorted(numbers, right):
    row = np.sort(np.array(numbers))
    values = np.arange(-5, 6)
    want = np.searchsorted(row, values, "right" if right else "left")
    got = rl.searchsorted(t(row), t(values), right=right)
    np.testing.assert_array_equal(got.numpy(), want)
    np.testing.assert_array_equal(rl.bucketize(t(values), t(row), right=right).numpy(), want)
    rows = rl.searchsorted(t(np.stack([row, row])), t(np.stack([values, values])), right=right)
    np.testing.assert_array_equal(rows.numpy(), np.stack([want, want]))


def test_histograms():
    flat = X.reshape(-1)
    counts, edges = rl.histogram(t(X), 6, range=(-2.0, 2.0))
    want, places = np.histogram(flat, 6, (-2.0, 2.0))
    np.testing.assert_array_equal(counts.numpy(), want)
    np.testing.assert_allclose(edges.numpy(), places)
    density = rl.histogram(t(X), 6, density=True)[0]
    np.testing.assert_allclose(density.numpy(), np.histogram(flat, 6, density=True)[0])
    np.testing.assert_array_equal(rl.histc(t(X), 6, min=-2, max=2).numpy(), want)
    points = X.reshape(-1, 3)
    boxes = rl.histogramdd(t(points), [2, 3, 4], weight=t(np.arange(20.0)))
    want, _ = np.histogramdd(points, [2, 3, 4], weights=np.arange(20.0))
    np.testing.assert_allclose(boxes.hist.numpy(), want)
    np.testing.assert_array_equal(
        rl.bincount(t([1, 1, 3]), minlength=6).numpy(), [0, 2, 0, 1, 0, 0]
    )


@pytest.mark.parametrize("dim", [0, 1, 2])
def test_running_and_differences(dim):
    x = t(X)
    np.testing.assert_allclose(rl.cumsum(x, dim).numpy(), np.cumsum(X, dim))
    np.testing.assert_allclose(rl.cumprod(x, dim).numpy(), np.cumprod(X, dim))
    np.testing.assert_allclose(rl.cummax(x, dim)[0].numpy(), np.maximum.accumulate(X, dim))
    lcse = np.log(np.cumsum(np.exp(X), dim))
    np.testing.assert_allclose(rl.logcumsumexp(x, dim).numpy(), lcse)
    np.testing.assert_allclose(rl.diff(x, dim=dim, n=2).numpy(), np.diff(X, 2, dim))
    points = np.cumsum(RNG.uniform(0.5, 1.5, X.shape[dim]))
    area = np.trapezoid(X, points, axis=dim)
    np.testing.assert_allclose(rl.trapezoid(x, t(points), dim=dim).numpy(), area)
    for edge in (1, 2):
        (got,) = rl.gradient(x, spacing=(t(points),), dim=dim, edge_order=edge)
        want = np.gradient(X, points, axis=dim, edge_order=edge)
        np.testing.assert_allclose(got.numpy(), want)


def test_covariance():
    x = RNG.standard_normal((3, 8))
    counts, weights = RNG.integers(1, 4, 8), RNG.uniform(0.5, 1.5, 8)
    got = rl.cov(t(x), correction=0, fweights=t(counts), aweights=t(weights))
    np.testing.assert_allclose(got.numpy(), np.cov(x, ddof=0, fweights=counts, aweights=weights))
    np.testing.assert_allclose(rl.corrcoef(t(x)).numpy(), np.corrcoef(x))


def test_gradients_of_scans_at_zero():
    """cumprod's gradient divides by its input, but not where that is 0."""
    for values in ([1.0, 2.0, 3.0], [2.0, 0.0, 3.0], [0.0, 0.0, 3.0], [2.0, 0.0, 0.0]):
        x = rl.tensor(values, dtype=rl.float64, requires_grad=True)
        weights = rl.tensor([1.0, -2.0, 0.5], dtype=rl.float64)
        (x.cumprod(0) * weights).sum().backward()
        for i in range(3):
            up, down = x.detach().clone(), x.detach().clone()
            up[i] += 1e-6
            down[i] -= 1e-6
            slope = ((up.cumprod(0) - down.cumprod(0)) * weights).sum() / 2e-6
            assert x.grad[i].item() == pytest.approx(slope.item(), abs=1e-6)


def test_isin_and_friends():
    np.testing.assert_array_equal(rl.isin(t(SMALL), t([1, 3])).numpy(), np.isin(SMALL, [1, 3]))
    assert rl.allclose(t(X), t(X + 1e-10)) and not rl.allclose(t(X), t(X + 1e-3))
    assert rl.isclose(t(np.array([np.inf, np.nan])), t(np.array([np.inf, np.nan]))).tolist() == [
        True,
        False,
    ]
    assert rl.equal(t(SMALL), t(SMALL.copy()))
