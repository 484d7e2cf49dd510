"""Data types: PyTorch's promotion table, casts, finfo and iinfo."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from transcripts import blocks, check

import rushlight as rl

BLOCKS = blocks("dtypes")
TORCH_TYPES = "bool uint8 int8 int16 int32 int64 float16 bfloat16 float32 float64".split()
REAL = [getattr(rl, name) for name in TORCH_TYPES]


@pytest.mark.parametrize("steps", [s for _, s in BLOCKS], ids=[t for t, _ in BLOCKS])
def test_transcript(steps):
    check(steps, rl)


@pytest.mark.parametrize("steps", [s for _, s in BLOCKS], ids=[t for t, _ in BLOCKS])
def test_transcript_is_what_torch_says(steps):
    check(steps, pytest.importorskip("torch"))


@pytest.fixture(autouse=True)
def default_dtype_is_put_back():
    yield
    rl.set_default_dtype(rl.float32)


@pytest.mark.parametrize("to", REAL, ids=str)
@pytest.mark.parametrize("source", REAL, ids=str)
def test_casts_agree_with_numpy_where_values_fit(source, to):
    values = [0, 1, 2, 100] if source is not rl.bool else [0, 1]
    t = rl.tensor(values).to(source).to(to)
    assert t.dtype is to
    assert t.double().tolist() == [float(bool(v)) if to is rl.bool else float(v) for v in values]


@pytest.mark.parametrize("name", TORCH_TYPES[1:6])
def test_integers_wrap(name):
    to = getattr(rl, name)
    values = [-(2**40) - 3, -129, -1, 255, 256, 2**31, 2**33 + 7]
    wanted = np.array(values, np.int64).astype(name).tolist()
    assert rl.tensor(values).to(to).tolist() == wanted


def test_promotion_is_symmetric_and_associative_enough():
    for a, b in itertools.product(REAL, REAL):
        found = rl.promote_types(a, b)
        assert found is rl.promote_types(b, a)
        assert found is rl.promote_types(found, a)
        assert rl.can_cast(a, found) and rl.can_cast(b, found)


@pytest.mark.parametrize("seed", range(3))
def test_all_dtype_pairs_compute_what_torch_computes(seed):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(seed)
    for a, b in itertools.product(TORCH_TYPES, TORCH_TYPES):
        x, y = rng.integers(0, 5, (2, 6)), rng.integers(1, 5, (2, 6))
        mine = [rl.tensor(x.tolist()).to(getattr(rl, a)), rl.tensor(y.tolist()).to(getattr(rl, b))]
        real = [
            torch.tensor(x.tolist()).to(getattr(torch, a)),
            torch.tensor(y.tolist()).to(getattr(torch, b)),
        ]
        for f in (
            lambda t, x, y: x + y,
            lambda t, x, y: x * y,
            lambda t, x, y: x / y,
            lambda t, x, y: x > y,
            lambda t, x, y: t.where(x > y, x, y),
            lambda t, x, y: t.cat([x, y]),
            lambda t, x, y: t.stack([x, y]),
            lambda t, x, y: t.maximum(x, y),
        ):
            got, want = f(rl, *mine), f(torch, *real)
            assert str(got.dtype) == str(want.dtype), (a, b)
            assert got.double().tolist() == want.double().tolist(), (a, b)
