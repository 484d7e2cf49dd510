"""How tensors print: recorded strings of PyTorch 2.13, and real torch where it is installed."""

from __future__ import annotations

import math
import random

import pytest

import rushlight as rl

INF, NAN = math.inf, math.nan


@pytest.fixture(autouse=True)
def usual_options():
    """Each test starts and ends with the usual options."""
    rl.set_printoptions(profile="default")
    yield
    rl.set_printoptions(profile="default")


RECORDED = [
    (lambda t: t.tensor([1.0, 2.5, -3.0]), {}, "tensor([ 1.0000,  2.5000, -3.0000])"),
    (
        lambda t: t.tensor([[1, 20], [-300, 4]]),
        {},
        """tensor([[   1,   20],
        [-300,    4]])""",
    ),
    (lambda t: t.tensor([True, False]), {}, "tensor([ True, False])"),
    (lambda t: t.tensor(3.14159), {}, "tensor(3.1416)"),
    (lambda t: t.tensor([]), {}, "tensor([])"),
    (lambda t: t.zeros(2, 0), {}, "tensor([], size=(2, 0))"),
    (lambda t: t.tensor([1.0, 2.0, 300.0]), {}, "tensor([  1.,   2., 300.])"),
    (lambda t: t.tensor([1e-5, 1.0]), {}, "tensor([1.0000e-05, 1.0000e+00])"),
    (lambda t: t.tensor([1.5, INF, NAN]), {}, "tensor([1.5000,    inf,    nan])"),
    (lambda t: t.tensor([1.0, -INF]), {}, "tensor([1., -inf])"),
    (lambda t: t.tensor([0.5], dtype=t.float64), {}, "tensor([0.5000], dtype=torch.float64)"),
    (lambda t: t.tensor([0.1], dtype=t.bfloat16), {}, "tensor([0.1001], dtype=torch.bfloat16)"),
    (lambda t: t.tensor([1, 2], dtype=t.int8), {}, "tensor([1, 2], dtype=torch.int8)"),
    (lambda t: t.tensor([1 + 2j, -0.5j]), {}, "tensor([1.+2.0000j, -0.-0.5000j])"),
    (lambda t: t.arange(2000), {}, "tensor([   0,    1,    2,  ..., 1997, 1998, 1999])"),
    (
        lambda t: t.zeros(3, 3, requires_grad=True),
        {},
        """tensor([[0., 0., 0.],
        [0., 0., 0.],
        [0., 0., 0.]], requires_grad=True)""",
    ),
    (lambda t: t.ones(2, requires_grad=True) * 2, {}, "tensor([2., 2.], grad_fn=<MulBackward0>)"),
    (
        lambda t: t.nn.Parameter(t.ones(2)),
        {},
        """Parameter containing:
tensor([1., 1.], requires_grad=True)""",
    ),
    (lambda t: t.tensor([3.14159265]), {"precision": 2}, "tensor([3.14])"),
    (lambda t: t.tensor([1.0, 1000.5]), {"sci_mode": True}, "tensor([1.0000e+00, 1.0005e+03])"),
    (lambda t: t.tensor([1e-8, 1.0]), {"sci_mode": False}, "tensor([0.0000, 1.0000])"),
    (
        lambda t: t.arange(12.0).reshape(3, 4),
        {"threshold": 5, "edgeitems": 1},
        """tensor([[ 0.,  ...,  3.],
        ...,
        [ 8.,  ..., 11.]])""",
    ),
    (
        lambda t: t.arange(24.0),
        {"linewidth": 40},
        """tensor([ 0.,  1.,  2.,  3.,  4.,  5.,
         6.,  7.,  8.,  9., 10., 11.,
        12., 13., 14., 15., 16., 17.,
        18., 19., 20., 21., 22., 23.])""",
    ),
    (lambda t: t.zeros(2, 3, device="meta"), {}, "tensor(..., device='meta', size=(2, 3))"),
    (
        lambda t: t.arange(8).reshape(2, 2, 2),
        {},
        """tensor([[[0, 1],
         [2, 3]],

        [[4, 5],
         [6, 7]]])""",
    ),
]


@pytest.mark.parametrize(("make", "options", "want"), RECORDED)
def test_recorded(make, options, want):
    rl.set_printoptions(**options)
    assert repr(make(rl)) == want


def test_format_of_scalars():
    assert f"{rl.tensor(3)}" == "3"
    assert f"{rl.tensor(1.23456):.2f}" == "1.23"
    assert str(rl.tensor([1.5])) == "tensor([1.5000])"
    assert str(rl.ones(2, 3).size()) == "torch.Size([2, 3])"


def test_a_nameless_profile_is_refused():
    with pytest.raises(ValueError, match="unknown profile"):
        rl.set_printoptions(profile="wide")


SHAPES = [(), (1,), (3,), (0,), (2, 3), (0, 3), (2, 2, 2), (12,), (1001,), (40, 40), (2, 3, 4, 5)]
POOLS = [
    lambda: random.uniform(-1, 1),
    lambda: float(random.randint(-9, 9)),
    lambda: random.uniform(-1e6, 1e6),
    lambda: random.uniform(-1, 1) * 10 ** random.randint(-12, 12),
    lambda: random.choice([NAN, INF, -INF, 1.5, 0.0, -0.0]),
    lambda: random.choice([0.0, 1.0, 1e-3, 100.0, 1e8]),
    lambda: random.choice([INF, 1.0, 2.0, 300.0]),
]
DTYPES = """float32 float64 float16 bfloat16 int64 int32 int8 uint8 bool complex64
    complex128""".split()
OPTIONS = [
    {},
    {"precision": 2},
    {"linewidth": 40},
    {"threshold": 5},
    {"threshold": 10, "edgeitems": 2},
    {"sci_mode": True},
    {"sci_mode": False},
    {"profile": "full"},
    {"profile": "short"},
    {"edgeitems": 1, "threshold": 0},
]


def values_for(dtype, pool, count):
    """Values that the dtype can hold."""
    found = [pool() for _ in range(count)]
    if dtype.startswith("complex"):
        return [complex(v, pool()) for v in found]
    if dtype.startswith(("int", "uint", "bool")):
        found = [int(v) % 100 if math.isfinite(v) else 7 for v in found]
        return [bool(v % 2) for v in found] if dtype == "bool" else found
    return found


@pytest.mark.parametrize("seed", range(6))
def test_like_torch(seed):
    """Random shapes, values, dtypes and options print as in real torch."""
    torch = pytest.importorskip("torch")
    random.seed(seed)
    try:
        for _ in range(60):
            shape, options = random.choice(SHAPES), random.choice(OPTIONS)
            dtype, kind = (
                random.choice(DTYPES),
                random.choice(["", "transposed", "leaf", "computed"]),
            )
            values = values_for(dtype, random.choice(POOLS), math.prod(shape))
            texts = []
            for library in (rl, torch):
                library.set_printoptions(profile="default")
                library.set_printoptions(**options)
                t = library.tensor(values, dtype=getattr(library, dtype)).reshape(shape)
                if kind == "transposed" and t.dim() > 1:
                    t = t.transpose(0, 1)
                if kind in ("leaf", "computed") and (t.is_floating_point() or t.is_complex()):
                    t = t.detach().clone().requires_grad_()
                    t = t * 1 if kind == "computed" else t
                texts.append(repr(t))
            assert texts[0] == texts[1]
    finally:
        torch.set_printoptions(profile="default")
