"""Initialisation: the same draws as PyTorch where installed, and the distributions themselves."""

from __future__ import annotations

import math

import numpy as np
import pytest

import rushlight as rl
from rushlight.nn import init

DRAWS = [
    ("uniform_", (), {"a": -0.3, "b": 1.7}),
    ("normal_", (), {"mean": 0.5, "std": 0.2}),
    ("trunc_normal_", (), {}),
    ("trunc_normal_", (), {"mean": 0.1, "std": 0.5, "a": -0.2, "b": 0.6}),
    ("trunc_normal_", (), {"std": 1.0, "a": 1.0, "b": 1.5}),
    ("constant_", (0.25,), {}),
    ("ones_", (), {}),
    ("zeros_", (), {}),
    ("xavier_uniform_", (), {"gain": 1.3}),
    ("xavier_normal_", (), {}),
    ("kaiming_uniform_", (), {"a": math.sqrt(5)}),
    ("kaiming_uniform_", (), {"mode": "fan_out", "nonlinearity": "relu"}),
    ("kaiming_normal_", (), {"nonlinearity": "tanh"}),
]
SHAPES = [(3, 4), (6, 5), (4, 3, 3, 3)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("case", DRAWS, ids=lambda case: case[0])
def test_draws_are_torchs(case, shape):
    torch = pytest.importorskip("torch")
    name, args, kwargs = case
    found = []
    for module in (rl, torch):
        module.manual_seed(3)
        tensor = module.empty(shape)
        assert getattr(module.nn.init, name)(tensor, *args, **kwargs) is tensor
        found.append((tensor.numpy(), module.get_rng_state().numpy()))
    np.testing.assert_array_equal(found[0][0], found[1][0])
    np.testing.assert_array_equal(found[0][1], found[1][1])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dtypes_and_generators_are_torchs(dtype):
    torch = pytest.importorskip("torch")
    for name, args, kwargs in DRAWS:
        found = []
        for module in (rl, torch):
            generator = module.Generator().manual_seed(11)
            tensor = module.empty((5, 7), dtype=getattr(module, dtype))
            drawn = name not in ("constant_", "ones_", "zeros_")
            extra = {"generator": generator} if drawn else {}
            getattr(module.nn.init, name)(tensor, *args, **kwargs, **extra)
            found.append(tensor.numpy())
        np.testing.assert_array_equal(found[0], found[1], err_msg=name)


def test_bounds_and_moments():
    rl.manual_seed(0)
    w = rl.empty(200, 300)
    init.xavier_uniform_(w)
    bound = math.sqrt(6 / 500)
    assert w.abs().max().item() <= bound and w.abs().max().item() > 0.99 * bound
    init.kaiming_normal_(w, nonlinearity="relu")
    assert abs(w.std().item() - math.sqrt(2 / 300)) < 1e-3
    init.trunc_normal_(w, std=2.0, a=-1.0, b=0.5)
    assert w.min().item() >= -1 and w.max().item() <= 0.5
    init.trunc_normal_(w, a=2.0, b=3.0)  # the tail: accepted uniforms
    assert w.min().item() >= 2 and w.max().item() <= 3
    density = (w < 2.2).to(rl.float32).mean().item()
    cdf = [0.5 * (1 + math.erf(x / math.sqrt(2))) for x in (2.0, 2.2, 3.0)]
    assert abs(density - (cdf[1] - cdf[0]) / (cdf[2] - cdf[0])) < 0.01


def test_structured():
    eye = init.eye_(rl.empty(2, 3))
    np.testing.assert_array_equal(eye.numpy(), np.eye(2, 3))
    kernel = init.dirac_(rl.empty(4, 2, 3, 3), groups=2)
    x = rl.randn(1, 4, 5, 5)
    y = rl.nn.functional.conv2d(x, kernel, padding=1, groups=2)
    np.testing.assert_allclose(y.numpy(), x.numpy(), atol=1e-6)
    rl.manual_seed(0)
    sparse = init.sparse_(rl.empty(10, 4), 0.3)
    assert ((sparse == 0).sum(0) == 3).all()


def test_orthogonal():
    if not hasattr(pytest.importorskip("rushlight.linalg"), "qr"):
        pytest.skip("torch.linalg.qr is not in rushlight yet")
    rl.manual_seed(0)
    for shape in ((4, 4), (3, 6), (6, 2, 2)):
        q = init.orthogonal_(rl.empty(shape), gain=2.0).reshape(shape[0], -1).numpy()
        small = q @ q.T if q.shape[0] <= q.shape[1] else q.T @ q
        np.testing.assert_allclose(small, 4 * np.eye(len(small)), atol=1e-5)


def test_gradients_are_not_recorded():
    w = rl.nn.Parameter(rl.empty(2, 2))
    assert init.ones_(w) is w and w.grad_fn is None and w.requires_grad


def test_gains_and_errors():
    assert init.calculate_gain("conv2d") == 1
    assert init.calculate_gain("selu") == 0.75
    assert init.calculate_gain("leaky_relu", 1) == 1.0
    assert init.calculate_gain("leaky_relu") == math.sqrt(2 / (1 + 0.01**2))
    with pytest.raises(ValueError, match="Unsupported nonlinearity swish"):
        init.calculate_gain("swish")
    with pytest.raises(ValueError, match="negative_slope True not a valid number"):
        init.calculate_gain("leaky_relu", True)
    with pytest.raises(ValueError, match="Fan in and fan out can not be computed for tensor"):
        init.xavier_uniform_(rl.empty(3))
    with pytest.raises(ValueError, match="Mode fan not supported, please use one of"):
        init.kaiming_uniform_(rl.empty(3, 3), mode="fan")
    with pytest.raises(ValueError, match="Only tensors with 3, 4, or 5 dimensions are supported"):
        init.dirac_(rl.empty(3, 3))
    with pytest.warns(UserWarning, match="Initializing zero-element tensors is a no-op"):
        init.kaiming_uniform_(rl.empty(0, 3))
    with pytest.warns(UserWarning, match="mean is more than 2 std from"):
        init.trunc_normal_(rl.empty(2), mean=5.0, std=0.5, a=-1.0, b=1.0)
    with pytest.warns(FutureWarning, match="`nn.init.normal` is now deprecated in favor of"):
        init.normal(rl.empty(2))
    meta = rl.empty(2, 2, device="meta")
    assert init.trunc_normal_(meta) is meta
