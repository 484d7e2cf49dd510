"""Bessel, Airy and orthogonal-polynomial functions in NumPy: float64 in, float64 out.

Near 0 by Chebyshev series of the regular part, far out by modulus and phase (Abramowitz & Stegun
9.2, 9.7, 10.4); the tables are in ``special_tables``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.ops import special_tables as tables
from rushlight.ops.special_math import chebyshev

__all__ = ["airy_ai", "i0", "i0e", "i1", "i1e", "j0", "j1", "k0", "k0e", "k1", "k1e", "y0", "y1"]

_TWO_OVER_PI = 2 / math.pi


def i0e(x: Any) -> Any:
    """exp(-|x|) I0(x)."""
    size = np.abs(x)
    near, far = np.minimum(size, 8), np.maximum(size, 8)
    tail = chebyshev(tables.I0_FAR, 8 / far, 0, 1) / np.sqrt(far)
    return np.where(size <= 8, chebyshev(tables.I0, near, 0, 8), tail)


def i1e(x: Any) -> Any:
    """exp(-|x|) I1(x)."""
    size = np.abs(x)
    near, far = np.minimum(size, 8), np.maximum(size, 8)
    tail = chebyshev(tables.I1_FAR, 8 / far, 0, 1) / np.sqrt(far)
    return np.copysign(np.where(size <= 8, near * chebyshev(tables.I1, near, 0, 8), tail), x)


def _grown(scaled: Any, x: Any) -> Any:
    """exp(|x|) times a scaled value, in two steps so that it overflows only where it must."""
    half = np.exp(0.5 * np.abs(x))
    return np.where(np.isinf(x), np.copysign(np.inf, scaled), scaled * half * half)


def i0(x: Any) -> Any:
    """The modified Bessel function of the first kind of order 0."""
    return _grown(i0e(x), x)


def i1(x: Any) -> Any:
    """The modified Bessel function of the first kind of order 1."""
    return _grown(i1e(x), x)


def _k(order: int, x: Any, scaled: bool) -> Any:
    near, far = np.clip(x, 1e-300, 2), np.maximum(x, 2)
    u, log = near * near, np.log(near / 2)
    if order == 0:
        small = chebyshev(tables.K0, u, 0, 4) - log * chebyshev(tables.I0_NEAR, u, 0, 4)
        tail = chebyshev(tables.K0_FAR, 2 / far, 0, 1) / np.sqrt(far)
    else:
        first = near * chebyshev(tables.I1_NEAR, u, 0, 4)
        small = near * chebyshev(tables.K1, u, 0, 4) + log * first + 1 / near
        tail = chebyshev(tables.K1_FAR, 2 / far, 0, 1) / np.sqrt(far)
    if scaled:
        small = small * np.exp(near)
    else:
        tail = tail * np.exp(-far)
    result = np.where(x <= 2, small, tail)
    return np.where(x == 0, np.inf, np.where(x < 0, np.nan, result))


def k0(x: Any) -> Any:
    """The modified Bessel function of the second kind of order 0."""
    return _k(0, x, False)


def k1(x: Any) -> Any:
    """The modified Bessel function of the second kind of order 1."""
    return _k(1, x, False)


def k0e(x: Any) -> Any:
    """exp(x) K0(x)."""
    return _k(0, x, True)


def k1e(x: Any) -> Any:
    """exp(x) K1(x)."""
    return _k(1, x, True)


def _far(order: int, x: Any) -> tuple[Any, Any]:
    """J and Y of the order for x >= 8, by modulus and phase."""
    x = np.maximum(x, 8)
    u = (8 / x) ** 2
    p_table, q_table = (tables.P0, tables.Q0) if order == 0 else (tables.P1, tables.Q1)
    p, q = chebyshev(p_table, u, 0, 1), chebyshev(q_table, u, 0, 1) / x
    sin, cos = np.sin(x), np.cos(x)
    # cosine and sine of x - pi/4 - order pi/2, times sqrt 2
    c, s = (cos + sin, sin - cos) if order == 0 else (sin - cos, -sin - cos)
    size = 1 / np.sqrt(np.pi * x)
    zero = np.isinf(x)
    return (
        np.where(zero, 0.0, size * (p * c - q * s)),
        np.where(zero, 0.0, size * (p * s + q * c)),
    )


def j0(x: Any) -> Any:
    """The Bessel function of the first kind of order 0."""
    size = np.abs(x)
    near = np.minimum(size, 8)
    return np.where(size <= 8, chebyshev(tables.J0, near * near, 0, 64), _far(0, size)[0])


def j1(x: Any) -> Any:
    """The Bessel function of the first kind of order 1."""
    size = np.abs(x)
    near = np.minimum(size, 8)
    small = near * chebyshev(tables.J1, near * near, 0, 64)
    return np.copysign(1.0, x) * np.where(size <= 8, small, _far(1, size)[0])


def _positive_only(x: Any, result: Any) -> Any:
    return np.where(x == 0, -np.inf, np.where(x < 0, np.nan, result))


def y0(x: Any) -> Any:
    """The Bessel function of the second kind of order 0."""
    near = np.clip(x, 1e-300, 8)
    small = chebyshev(tables.Y0, near * near, 0, 64) + _TWO_OVER_PI * np.log(near / 2) * j0(near)
    return _positive_only(x, np.where(x <= 8, small, _far(0, x)[1]))


def y1(x: Any) -> Any:
    """The Bessel function of the second kind of order 1."""
    near = np.clip(x, 1e-300, 8)
    singular = _TWO_OVER_PI * (np.log(near / 2) * j1(near) - 1 / near)
    small = near * chebyshev(tables.Y1, near * near, 0, 64) + singular
    return _positive_only(x, np.where(x <= 8, small, _far(1, x)[1]))


def airy_ai(x: Any) -> Any:
    """Airy's function Ai; NaN at the infinities."""
    right = np.maximum(x, 1)
    zeta = 2 / 3 * right * np.sqrt(right)
    far = chebyshev(tables.AIRY_FAR, 1 / zeta, 0, 1.5) * np.exp(-zeta)
    far = far / (2 * math.sqrt(math.pi) * np.sqrt(np.sqrt(right)))
    middle = chebyshev(tables.AIRY_MIDDLE, np.clip(x, -3, 1), -3, 1)
    left = chebyshev(tables.AIRY_LEFT, np.clip(x, -8, -3), -8, -3)
    size = np.maximum(-x, 8)
    zeta = 2 / 3 * size * np.sqrt(size)
    u = 1 / (zeta * zeta)
    p = chebyshev(tables.AIRY_P, u, 0, 9 / 2048)
    q = chebyshev(tables.AIRY_Q, u, 0, 9 / 2048) / zeta
    sin, cos = np.sin(zeta), np.cos(zeta)  # of zeta + pi/4, times sqrt 2: sin + cos, cos - sin
    wave = (p * (sin + cos) - q * (cos - sin)) / np.sqrt(2 * np.pi * np.sqrt(size))
    result = np.where(x > 1, far, np.where(x >= -3, middle, np.where(x >= -8, left, wave)))
    return np.where(np.isinf(x) | np.isnan(x), np.nan, result)


# Orthogonal polynomials of degree n, by their three-term recurrences


def _degrees(x: Any, n: Any) -> tuple[Any, Any]:
    x, n = np.broadcast_arrays(x, n)
    return x, np.trunc(np.where(np.isfinite(n), n, -1)).astype(np.int64)


def _recurrence(x: Any, n: Any, first: Any, step: Callable[[int, Any, Any], Any]) -> Any:
    """p_0 = 1, p_1 = first, p_k = step(k, p_{k-1}, p_{k-2}); the value of degree n, 0 below 0."""
    before, now = np.ones_like(x), first
    result = np.where(n == 0, before, np.where(n == 1, now, 0.0))
    for k in range(2, int(n.max(initial=0)) + 1):
        before, now = now, step(k, now, before)
        result = np.where(n == k, now, result)
    return result


def chebyshev_like(first: Callable[[Any], Any], shifted: bool) -> Callable[[Any, Any], Any]:
    """Chebyshev polynomials of the four kinds: p_k = 2 x p_{k-1} - p_{k-2} from a given p_1."""

    def f(x: Any, n: Any) -> Any:
        x, n = _degrees(x, n)
        x = 2 * x - 1 if shifted else x
        return _recurrence(x, n, first(x), lambda k, now, before: 2 * x * now - before)

    return f


def hermite_h(x: Any, n: Any) -> Any:
    """The physicists' Hermite polynomials."""
    x, n = _degrees(x, n)
    return _recurrence(x, n, 2 * x, lambda k, now, before: 2 * x * now - 2 * (k - 1) * before)


def hermite_he(x: Any, n: Any) -> Any:
    """The probabilists' Hermite polynomials."""
    x, n = _degrees(x, n)
    return _recurrence(x, n, x, lambda k, now, before: x * now - (k - 1) * before)


def laguerre(x: Any, n: Any) -> Any:
    """The Laguerre polynomials."""
    x, n = _degrees(x, n)
    return _recurrence(
        x, n, 1 - x, lambda k, now, before: ((2 * k - 1 - x) * now - (k - 1) * before) / k
    )


def legendre(x: Any, n: Any) -> Any:
    """The Legendre polynomials."""
    x, n = _degrees(x, n)
    return _recurrence(
        x, n, x, lambda k, now, before: ((2 * k - 1) * x * now - (k - 1) * before) / k
    )
