"""Making tensors: inference, errors, sharing, ranges, layouts and devices."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from transcripts import blocks, check

import rushlight as rl

BLOCKS = blocks("creation")


@pytest.mark.parametrize("steps", [s for _, s in BLOCKS], ids=[t for t, _ in BLOCKS])
def test_transcript(steps):
    check(steps, rl)


@pytest.mark.parametrize("steps", [s for _, s in BLOCKS], ids=[t for t, _ in BLOCKS])
def test_transcript_is_what_torch_says(steps):
    check(steps, pytest.importorskip("torch"))


def test_sharing_outlives_either_side():
    array = np.arange(4.0)
    t = rl.from_numpy(array)
    del array
    assert t.tolist() == [0.0, 1.0, 2.0, 3.0]
    view = t[1:].numpy()
    del t
    view += 1
    assert view.tolist() == [2.0, 3.0, 4.0]


def test_from_numpy_keeps_the_array_alive_no_longer_than_needed():
    array = np.arange(6.0)[1:4]
    before = sys.getrefcount(array)
    t = rl.from_numpy(array)
    del t
    assert sys.getrefcount(array) == before


def test_strided_arrays_share_memory():
    base = np.zeros((4, 6))
    t = rl.from_numpy(base[1::2, ::3].T)
    t += 1
    assert base.sum() == t.numel()
    assert t.stride() == (3, 12)


@pytest.mark.parametrize(
    "dtype", ["float16", "float32", "float64", "int8", "uint8", "int64", "bool"]
)
def test_numpy_round_trip(dtype):
    array = np.array([[0, 1], [1, 0]], dtype)
    t = rl.from_numpy(array)
    assert str(t.dtype) == f"torch.{dtype}"
    assert (t.numpy() == array).all() and np.shares_memory(t.numpy(), array)


@pytest.mark.parametrize("end", [1, 7, 1.0, 0.3, -4])
@pytest.mark.parametrize("step", [0.1, 0.25, 1, 3, -0.5, -2])
def test_arange_lengths(end, step):
    if (end < 0) != (step < 0):
        return
    t = rl.arange(0, end, step, dtype=rl.float64)
    assert len(t) == max(0, int(np.ceil(end / step)))
    assert np.allclose(t.numpy(), np.arange(len(t)) * step)


def test_dtypes_of_lists_follow_their_elements():
    numbers = [True, 1, 1.5, 1j]
    rank = [rl.bool, rl.int64, rl.float32, rl.complex64]
    for i, a in enumerate(numbers):
        for j, b in enumerate(numbers):
            assert rl.tensor([a, b]).dtype is rank[max(i, j)]
            assert rl.tensor([[a], [b]]).dtype is rank[max(i, j)]


def test_big_lists_are_read_quickly():
    data = np.random.default_rng(0).random((200, 500)).tolist()
    assert rl.tensor(data).shape == (200, 500)


@pytest.mark.parametrize("dtype", "int64 int32 uint8 float32 float16 bfloat16 bool".split())
@pytest.mark.parametrize(
    "value", [1e39, float("nan"), float("inf"), -1, -300, -0.5, 255.5, 70000, 2**40, 1j, 2 + 0j]
)
def test_numbers_that_do_not_fit(dtype, value):
    """fill_, full, full_like and masked_fill refuse the numbers that PyTorch refuses."""
    torch = pytest.importorskip("torch")
    said = []
    for t in (torch, rl):
        kind = getattr(t, dtype)
        for make in (
            lambda t=t, kind=kind: t.zeros(2, dtype=kind).fill_(value),
            lambda t=t, kind=kind: t.full((2,), value, dtype=kind),
            lambda t=t, kind=kind: t.full_like(t.zeros(2, dtype=kind), value),
            lambda t=t, kind=kind: t.zeros(2, dtype=kind).masked_fill(
                t.tensor([True, False]), value
            ),
        ):
            try:
                said.append((t, str(make().tolist())))
            except RuntimeError as error:
                said.append((t, str(error)))
    assert [s for t, s in said if t is torch] == [s for t, s in said if t is rl]


def test_a_mask_value_that_halves_do_not_hold():
    with pytest.raises(RuntimeError, match="type c10::Half without overflow"):
        rl.zeros(2, dtype=rl.float16).masked_fill(rl.tensor([True, False]), -1e9)
    assert rl.full((1,), -1, dtype=rl.uint8).item() == 255


def test_what_is_no_tensor_is_named():
    for wrong in ([1], 1, None):
        with pytest.raises(TypeError):
            rl.masked_fill(wrong, rl.tensor([True]), 0)
        with pytest.raises(TypeError):
            rl.fill(wrong, 1)
