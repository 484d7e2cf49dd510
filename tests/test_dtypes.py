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


def complex_halves(torch):
    """What complex32 prints, in both libraries."""
    c = torch.complex32
    x = torch.tensor([1 + 2j, 3.5 - 1j], dtype=c)
    half = torch.ones(2).half()
    y = torch.tensor([1.0, 2.0], requires_grad=True)
    y.chalf().real.sum().backward()
    pairs = (torch.bool, torch.int64, torch.float16, torch.bfloat16, torch.float32, torch.float64)
    return [
        repr(v)
        for v in (
            *(torch.promote_types(c, d) for d in (*pairs, torch.complex64, torch.complex128)),
            *(d.to_complex() for d in (torch.float16, torch.bfloat16)),
            *(c.to_real(), c.itemsize, c.is_complex, torch.chalf, torch.finfo(c)),
            *(x, x.type(), x.tolist(), x[0].item(), x.real, x.imag, x.abs(), x.conj()),
            *(x * x, x - 1, x + 1.5j, -x, x == x, half * 1j, torch.complex(half, half)),
            *(x.to(torch.complex64), x.to(torch.bool), torch.arange(3).to(c), half.chalf()),
            *(torch.view_as_real(x), torch.view_as_complex(torch.ones(2, 2).half())),
            *(torch.cat([x, x]), x[torch.tensor([1, 0])], torch.where(x.real > 2, x, -x)),
            *(x.clone().mul_(2), torch.ones(2, dtype=torch.complex64).copy_(x), y.grad),
            *(torch.zeros(2, dtype=c), torch.full((2,), 1 + 1j, dtype=c), x.stride()),
            *(torch.manual_seed(3) and (torch.randn(20, dtype=c), torch.rand(3, dtype=c)),),
        )
    ]


@pytest.mark.filterwarnings("ignore:Casting complex values:UserWarning")
def test_complex_halves():
    mine = complex_halves(rl)
    assert "tensor([1.0000+2.j, 3.5000-1.j], dtype=torch.complex32)" in mine
    with pytest.raises(TypeError, match="Got unsupported ScalarType ComplexHalf"):
        rl.ones(2, dtype=rl.complex32).numpy()
    with pytest.raises(RuntimeError, match=r"Low precision dtypes not supported. Got ComplexHalf"):
        rl.linalg.inv(rl.ones(2, 2, dtype=rl.complex32))


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_complex_halves_like_torch():
    torch = pytest.importorskip("torch")
    assert complex_halves(rl) == complex_halves(torch)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_complex_halves_travel_in_files(tmp_path):
    x = rl.tensor([1 + 2j, 3], dtype=rl.complex32)
    rl.save(x, tmp_path / "x.pt")
    assert rl.load(tmp_path / "x.pt").equal(x)
    torch = pytest.importorskip("torch")
    assert torch.load(tmp_path / "x.pt").tolist() == [1 + 2j, 3]
