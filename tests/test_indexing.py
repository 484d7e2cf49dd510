"""Reading and writing at indices: NumPy as the model, real torch where it is installed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rushlight as rl

X = np.arange(60, dtype=np.float32).reshape(3, 4, 5)


def parts():
    """One entry of an index: what NumPy and torch read alike, by the size of its dimension."""
    numbers = st.integers(-3, 2)
    slices = st.builds(
        slice,
        st.none() | st.integers(-4, 4),
        st.none() | st.integers(-4, 5),
        st.none() | st.integers(1, 3),
    )
    lists = st.lists(st.integers(-3, 2), min_size=1, max_size=3)
    return st.one_of(numbers, slices, slices, lists, st.just(None), st.just(Ellipsis))


def one_ellipsis(index):
    return sum(i is Ellipsis for i in index) <= 1 and sum(i not in (None, ...) for i in index) <= 3


def numpy_like(index):
    """Whether NumPy puts the dimensions of advanced indices where torch puts them."""
    lists = [k for k, i in enumerate(index) if isinstance(i, list)]
    sizes = {len(index[k]) for k in lists} - {1}
    mixed = lists and any(isinstance(i, int) for i in index)  # for NumPy an int is a list as well
    return len(sizes) <= 1 and not mixed


indices = st.lists(parts(), min_size=1, max_size=4).map(tuple).filter(one_ellipsis)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(indices.filter(numpy_like))
def test_reading_like_numpy(index):
    want = X[index]
    got = rl.tensor(X)[index]
    assert tuple(got.shape) == want.shape
    assert np.array_equal(got.numpy(), want)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(indices.filter(numpy_like))
def test_writing_like_numpy(index):
    a, t = X.copy(), rl.tensor(X)
    a[index] = -1
    t[index] = -1
    assert np.array_equal(t.numpy(), a)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(indices)
def test_reading_and_gradients_like_torch(index):
    torch = pytest.importorskip("torch")

    def run(library):
        x = library.tensor(X.tolist(), requires_grad=True)
        try:
            y = x[index]
        except (IndexError, ValueError) as error:
            return type(error), str(error).split("\n")[0]
        (y * y).sum().backward()
        return y.tolist(), tuple(y.shape), tuple(y.stride()), x.grad.tolist()

    assert run(rl) == run(torch)


MASK = np.arange(12).reshape(3, 4) % 3 == 0


@pytest.mark.parametrize(
    ("index", "model"),
    [
        (rl.tensor(MASK), MASK),
        ((slice(None), rl.tensor(MASK[0])), (slice(None), MASK[0])),
        ((rl.tensor(MASK[:, 0]), 1), (MASK[:, 0], 1)),
        (True, True),
        (False, False),
        ((None, rl.tensor([0, 2])), (None, [0, 2])),
        (rl.tensor([[0, 1], [2, 0]]), [[0, 1], [2, 0]]),
        ((rl.tensor([[0], [1]]), rl.tensor([2, 3])), ([[0], [1]], [2, 3])),
        (rl.tensor(1), 1),
        ([], np.array([], np.int64)),
        (np.array([0, 2]), [0, 2]),
    ],
)
def test_masks_and_tensors(index, model):
    a = X[:, :, 0].copy()
    t = rl.tensor(a)
    assert np.array_equal(t[index].numpy(), a[model])
    t[index] = 7
    a[model] = 7
    assert np.array_equal(t.numpy(), a)


@pytest.mark.parametrize(
    ("index", "text"),
    [
        (3, "index 3 is out of bounds for dimension 0 with size 3"),
        ((0, 0, 0, 0), "too many indices for tensor of dimension 3"),
        ([0, 5], "index 5 is out of bounds for dimension 0 with size 3"),
        (rl.tensor([0.5]), "tensors used as indices must be long, int, byte or bool tensors"),
        (rl.tensor([True]), "The shape of the mask [1] at index 0 does not match the shape of"),
    ],
)
def test_bad_indices(index, text):
    with pytest.raises(IndexError) as caught:
        rl.tensor(X)[index]
    assert str(caught.value).startswith(text)


REDUCE = {"sum": np.add, "prod": np.multiply, "amax": np.maximum, "amin": np.minimum}


@pytest.mark.parametrize("include_self", [True, False])
@pytest.mark.parametrize("reduce", [*REDUCE, "mean"])
def test_scatter_reduce(reduce, include_self):
    """out[i] = x[i] (reduced) the src whose index is i."""
    x, src = np.array([1.0, 2.0, 3.0, 4.0]), np.array([5.0, 6.0, -7.0, 8.0, 9.0])
    index = np.array([0, 2, 0, 2, 2])
    want = x.copy()
    for i in range(4):
        values = ([x[i]] if include_self else []) + list(src[index == i])
        if values:
            want[i] = np.mean(values) if reduce == "mean" else REDUCE[reduce].reduce(values)
        else:
            want[i] = x[i]
    got = rl.tensor(x).scatter_reduce(
        0, rl.tensor(index), rl.tensor(src), reduce, include_self=include_self
    )
    np.testing.assert_allclose(got.numpy(), want)


def gradient(function, *arrays):
    leaves = [rl.tensor(a, dtype=rl.float64, requires_grad=True) for a in arrays]
    return rl.autograd.gradcheck(function, tuple(leaves))


INDEX = rl.tensor([2, 0])
A, B = np.linspace(1, 2, 12).reshape(3, 4), np.linspace(-2, -1, 8).reshape(2, 4)


@pytest.mark.filterwarnings("ignore:index_reduce")
@pytest.mark.parametrize(
    "function",
    [
        lambda x, s: x.index_copy(0, INDEX, s),
        lambda x, s: x.index_add(0, INDEX, s, alpha=3),
        lambda x, s: x.index_reduce(0, INDEX, s, "prod"),
        lambda x, s: x.index_reduce(0, INDEX, s, "mean", include_self=False),
        lambda x, s: x.index_fill(0, INDEX, s.sum()),
        lambda x, s: x.index_put((INDEX,), s),
        lambda x, s: x.index_put((rl.tensor([0, 0]),), s, accumulate=True),
        lambda x, s: x.put(rl.tensor([1, 3]), s[0, :2]),
        lambda x, s: x.masked_scatter(x > 1.5, s),
        lambda x, s: x.scatter_reduce(0, rl.tensor([[0, 1, 2, 0]] * 2), s, "prod"),
        lambda x, s: x.scatter_reduce(0, rl.tensor([[0, 1, 2, 0]] * 2), s, "amin"),
        lambda x, s: x.scatter(0, rl.tensor([[0, 1, 2, 0]]), s),
        lambda x, s: x.slice_scatter(s, 0, 1),
        lambda x, s: rl.as_strided_scatter(x, s, (2, 4), (4, 1), 4),
        lambda x, s: rl.take_along_dim(x, rl.tensor([[0], [2]]), 0) * s,
        lambda x, s: rl.repeat_interleave(x, rl.tensor([0, 1, 1]), 0) * s,
    ],
)
def test_gradients(function):
    assert gradient(function, A, B)


def test_masked_scatter_takes_the_source_in_order():
    x, mask = rl.zeros(2, 3), rl.tensor([[True, False, True], [False, True, False]])
    assert x.masked_scatter(mask, rl.arange(1.0, 9.0)).tolist() == [[1, 0, 2], [0, 3, 0]]
    with pytest.raises(RuntimeError, match="Number of elements of source < number of ones"):
        x.masked_scatter(mask, rl.ones(2))


def test_repeat_interleave():
    x = rl.tensor([[1, 2], [3, 4]])
    assert rl.repeat_interleave(x, 2).tolist() == [1, 1, 2, 2, 3, 3, 4, 4]
    assert x.repeat_interleave(rl.tensor([2, 1]), 0).tolist() == [[1, 2], [1, 2], [3, 4]]
    assert rl.repeat_interleave(rl.tensor([0, 2, 1])).tolist() == [1, 1, 2]
