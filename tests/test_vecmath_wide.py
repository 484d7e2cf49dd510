"""The vector mathematics in float64 against longdouble NumPy: at most 2 ulp."""

from __future__ import annotations

import numpy as np
import pytest
from loop_kernels import compiled, elementwise, run

NAMES = ["tanh", "log2", "sin", "cos", "exp", "exp2", "expm1", "log", "log1p"]


def points(name: str) -> np.ndarray:
    rng = np.random.default_rng(0)
    near = rng.uniform(-4, 4, 20_000)
    wide = np.exp2(rng.uniform(-60, 60, 20_000)) * rng.choice([-1, 1], 20_000)
    turns = np.arange(-3000, 3000) * (np.pi / 2)
    special = [0.0, -0.0, np.inf, -np.inf, np.nan, 5e-324, -5e-324, 2.2e-308, 1.7e308, 2.0**20]
    edges = 1 + np.arange(-500, 500) * 2.0**-52
    x = np.concatenate([near, wide, turns, np.nextafter(turns, 9), special, edges, -edges])
    return np.abs(x) if name.startswith("log") and name != "log1p" else x


@pytest.mark.parametrize("name", NAMES)
def test_errors_are_at_most_two_ulp(name: str) -> None:
    x = points(name)
    (f,) = compiled([elementwise(name, ["float64"], x.size)])
    out = np.zeros(x.size)
    assert run(f, [x, out]) == 0
    with np.errstate(all="ignore"):
        want = getattr(np, name)(x.astype(np.longdouble))
        rounded = want.astype(np.float64)
        place = np.maximum(np.spacing(np.abs(rounded)), 5e-324)
        error = np.abs(out.astype(np.longdouble) - want) / place
    special = ~np.isfinite(rounded) | (rounded == 0)
    np.testing.assert_array_equal(out[special], rounded[special])
    signs = np.signbit(out[special]) == np.signbit(rounded[special])
    assert np.all(signs | np.isnan(out[special]))
    assert float(error[~special].max()) <= 2, x[~special][error[~special].argmax()]


@pytest.mark.parametrize("name", ["tan", "sinh", "cosh", "log10"])
def test_float32_through_float64(name: str) -> None:
    with np.errstate(over="ignore"):
        x = points(name).astype(np.float32)
    (f,) = compiled([elementwise(name, ["float32"], x.size)])
    out = np.zeros_like(x)
    assert run(f, [x, out]) == 0
    with np.errstate(all="ignore"):
        want = getattr(np, name)(x.astype(np.float64))
        rounded = want.astype(np.float32)
        error = np.abs(out - want) / np.maximum(np.spacing(np.abs(rounded)), 1e-45)
    special = ~np.isfinite(rounded) | (rounded == 0)
    np.testing.assert_array_equal(out[special], rounded[special])
    assert error[~special].max() <= 1.1, x[~special][error[~special].argmax()]
