"""Kernels run without floating-point warnings, and leave NumPy's settings as they were."""

from __future__ import annotations

import numpy as np
import pytest

import rushlight as rl
from rushlight.runtime import quiet


@pytest.mark.parametrize("call", [quiet.quietly, quiet._plainly])
def test_silent_inside_and_as_before_outside(call):
    zero = np.zeros(2)
    with np.errstate(all="raise"):
        assert np.isinf(call(np.divide, (1.0, zero))).all()
        with pytest.raises(FloatingPointError):
            np.divide(1.0, zero)


def test_an_error_inside_leaves_the_settings():
    def fail(x):
        raise KeyError(x)

    with np.errstate(all="raise"):
        with pytest.raises(KeyError):
            quiet.quietly(fail, (1,))
        with pytest.raises(FloatingPointError):
            np.divide(1.0, np.zeros(1))


def test_operators_do_not_warn():
    with np.errstate(all="raise"):
        assert rl.isinf(rl.ones(2) / 0).all()
        x = rl.tensor([1e30, -1.0])
        assert rl.isnan(x.log()[1])
        x.mul_(1e30)
        assert rl.isinf(x[0])
        assert rl.tensor([float("nan")]).to(rl.int32).shape == (1,)


def test_in_place_writes_without_temporaries_agree():
    """`add_` and the like write straight into memory; halves, views and overlaps still agree."""
    for dtype in (rl.float32, rl.float64, rl.float16, rl.int64, rl.complex64):
        x = rl.arange(12).reshape(3, 4).to(dtype)
        want = x + x.t().reshape(3, 4)
        y = x.clone()
        y.add_(x.t().reshape(3, 4))
        assert (y == want).all()
    x = rl.arange(6.0)
    with pytest.raises(RuntimeError, match="unsupported operation: some elements"):
        x[1:].add_(x[:-1])  # reads what it writes
    x.add_(x)
    assert x.tolist() == [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]
    x = rl.arange(4)
    with pytest.raises(RuntimeError, match="can't be cast"):
        x.mul_(0.5)
    b = rl.tensor([True, False])
    assert b.mul_(rl.tensor([True, True])).tolist() == [True, False]
