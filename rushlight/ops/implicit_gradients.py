"""How a gamma or beta variable moves with its shape while its place in the distribution stays.

With F(x; a) the distribution function and p its density, dx/da = -(dF/da) / p: the implicit
reparameterisation gradient.  Written as an integral from x into the tail in which the integrand
keeps its sign, it needs no derivative of an incomplete gamma or beta function and loses no digits:

    gamma:  dx/da = +- x * integral of (+-(log t - psi(a))) (t / x)^a e^(x - t) dlog t
    beta:   the same with the logit as variable, log t - psi(a) + psi(a + b), and
            (t / x)^a ((1 - t) / (1 - x))^b

In: float64 arrays; out: an array.  Source: Figurnov, Mohamed and Mnih, "Implicit reparameterization
gradients" (2018); the integrals are computed by Gauss and Legendre's rule.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from rushlight.ops import special_math

__all__ = ["beta_path", "gamma_path"]

F64 = npt.NDArray[np.float64]

_NODES = 96
_NEGLIGIBLE = -42.0  # exp of it is below float64's rounding
_BLOCK = 4096  # values computed at once
_TINY = 1e-300


def _reach(log_weight: Callable[[F64], F64], size: int) -> F64:
    """How far a concave log-weight with log_weight(0) = 0 stays above what is negligible."""
    low, high = np.full(size, -80.0), np.full(size, 80.0)  # of the logarithm of the distance
    for _ in range(60):
        middle = (low + high) / 2
        near = log_weight(np.exp(middle)) > _NEGLIGIBLE
        low, high = np.where(near, middle, low), np.where(near, high, middle)
    reach: F64 = np.exp(high)
    return reach


def _tail_integral(log_weight: Callable[[F64], F64], factor: Callable[[F64], F64], n: int) -> F64:
    """The integral of factor(s) exp(log_weight(s)) over s >= 0."""
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    end = _reach(log_weight, n)
    s = end * (nodes[:, None] + 1) / 2
    total: F64 = (weights[:, None] * factor(s) * np.exp(log_weight(s))).sum(0) * end / 2
    return total


def _gamma_block(a: F64, x: F64) -> F64:
    log_x = np.log(x)
    centre: F64 = special_math.digamma(a)
    side = np.where(log_x >= centre, 1.0, -1.0)  # into the tail beyond x, seen from the centre

    def log_weight(s: F64) -> F64:
        value: F64 = side * a * s - x * np.expm1(side * s)
        return value

    def factor(s: F64) -> F64:
        return side * (log_x + side * s - centre)

    path: F64 = x * _tail_integral(log_weight, factor, x.size)
    return path


def _log_sigmoid(y: F64) -> F64:
    value: F64 = -np.logaddexp(0.0, -y)
    return value


def _beta_block(a: F64, b: F64, x: F64) -> F64:
    y = np.log(x) - np.log1p(-x)
    log_x, log_rest = np.log(x), np.log1p(-x)
    centre: F64 = special_math.digamma(a) - special_math.digamma(a + b)
    side = np.where(log_x >= centre, 1.0, -1.0)

    def log_weight(s: F64) -> F64:
        at = y + side * s
        return a * (_log_sigmoid(at) - log_x) + b * (_log_sigmoid(-at) - log_rest)

    def factor(s: F64) -> F64:
        return side * (_log_sigmoid(y + side * s) - centre)

    path: F64 = x * _tail_integral(log_weight, factor, x.size)
    return path


def _blockwise(compute: Callable[..., F64], *arrays: Any) -> F64:
    wide = np.broadcast_arrays(*[np.asarray(v, np.float64) for v in arrays])
    flat = [v.reshape(-1) for v in wide]
    out = np.empty(flat[0].size)
    for start in range(0, out.size, _BLOCK):
        part = slice(start, start + _BLOCK)
        with np.errstate(all="ignore"):
            out[part] = compute(*[v[part] for v in flat])
    return out.reshape(wide[0].shape)


def gamma_path(a: Any, x: Any) -> F64:
    """dx/da of x ~ Gamma(a, 1); 0 where x is 0."""
    x = np.asarray(x, np.float64)
    inside = _blockwise(_gamma_block, a, np.maximum(x, _TINY))
    path: F64 = np.where(x > 0, inside, np.where(np.isnan(x), np.nan, 0.0))
    return path


def beta_path(x: Any, a: Any, total: Any) -> F64:
    """dx/da / (1 - x) of x ~ Beta(a, total - a), the form in which Dirichlet shares use it."""
    a = np.asarray(a, np.float64)
    inner = np.clip(np.asarray(x, np.float64), _TINY, 1 - 2.0**-53)
    return _blockwise(_beta_block, a, np.asarray(total, np.float64) - a, inner)
