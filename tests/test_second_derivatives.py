"""One sample an operator of what ``check_second_derivatives.py`` checks; gradcheck's modes."""

from __future__ import annotations

import importlib
import warnings

import pytest

import rushlight as rl
from rushlight.autograd.checking import GradcheckError


@pytest.mark.parametrize("part", range(4))
def test_second_derivatives_of_the_table(part):
    torch = pytest.importorskip("torch")
    pytest.importorskip("expecttest")
    checks = importlib.import_module("check_second_derivatives")
    failed = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for op in checks.operators([], torch.float64)[part::4]:
            failed += [f"{op.full_name}: {why}" for why in checks.run(op, 1, torch.float64)[1]]
    assert not failed, "\n".join(failed)


def double(*size):
    rl.manual_seed(1)
    return rl.randn(*size, dtype=rl.float64, requires_grad=True)


class Wrong(rl.autograd.Function):
    """x squared with the gradient of x."""

    @staticmethod
    def forward(ctx, x):
        return x * x

    @staticmethod
    def backward(ctx, g):
        return g


@pytest.mark.parametrize("fast", [False, True])
def test_gradcheck_finds_a_wrong_gradient(fast):
    x = double(2, 3)
    assert rl.autograd.gradcheck(lambda t: t.exp() * t.sum(), (x,), fast_mode=fast)
    assert rl.autograd.gradgradcheck(lambda t: t.exp() * t.sum(), (x,), fast_mode=fast)
    with pytest.raises(GradcheckError, match="Jacobian mismatch for output 0"):
        rl.autograd.gradcheck(Wrong.apply, (x,), fast_mode=fast)
    assert not rl.autograd.gradcheck(Wrong.apply, (x,), fast_mode=fast, raise_exception=False)


@pytest.mark.parametrize("fast", [False, True])
def test_gradcheck_of_complex_numbers(fast):
    z = rl.view_as_complex(double(3, 2).detach()).requires_grad_()
    assert rl.autograd.gradcheck(lambda t: (t * t.conj().exp()).abs() * t, (z,), fast_mode=fast)
    assert rl.autograd.gradgradcheck(lambda t: t.exp() * t.conj(), (z,), fast_mode=fast)


def test_cumprod_twice_at_zeros():
    x = rl.tensor([2.0, 0.0, 3.0, 0.0], dtype=rl.float64, requires_grad=True)
    assert rl.autograd.gradgradcheck(lambda t: t.cumprod(0), (x,))


@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
def test_grid_sample_twice(mode):
    image, grid = double(1, 2, 4, 5), (double(1, 2, 3, 2).detach() / 3).requires_grad_()
    sample = rl.nn.functional.grid_sample
    assert rl.autograd.gradgradcheck(
        lambda x, g: sample(x, g, mode=mode, align_corners=False), (image, grid)
    )


def test_product_of_complex_numbers_twice_at_zeros():
    z = rl.tensor([1 + 2j, 0, 3 - 1j], dtype=rl.complex128, requires_grad=True)
    assert rl.autograd.gradgradcheck(lambda t: t.prod(), (z,))
    assert rl.autograd.gradgradcheck(lambda t: t.cumprod(0), (z,))
