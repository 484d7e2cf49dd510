"""Error functions, gamma functions and zeta in NumPy: arrays of float64 in, arrays of float64 out.

Methods: Chebyshev series (``special_tables``) on the central range, Stirling-type expansions for
large arguments, recurrences and reflection elsewhere; the incomplete gamma functions by power
series and Lentz's continued fraction (Abramowitz & Stegun 6.5), Hurwitz's zeta by Euler-Maclaurin,
the inverse of erf by Halley's iteration.  Relative accuracy is about 1e-14.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.ops import special_tables as tables
from rushlight.ops.readable import is_symbol

__all__ = [
    "blockwise",
    "chebyshev",
    "digamma",
    "erf",
    "erf_single",
    "erfc",
    "erfcx",
    "erfinv",
    "gammainc",
    "gammaincc",
    "lgamma",
    "log_ndtr",
    "ndtr",
    "ndtri",
    "polygamma",
    "zeta",
]

_SQRT_PI, _SQRT_2 = math.sqrt(math.pi), math.sqrt(2)
_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)
_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510)


def chebyshev(coefficients: tuple[float, ...], x: Any, low: float, high: float) -> Any:
    """A Chebyshev series on [low, high] by Clenshaw's recurrence."""
    t2 = (4 * x - 2 * (low + high)) / (high - low)
    b1 = b2 = np.zeros_like(t2)
    for c in reversed(coefficients[1:]):
        b1, b2 = t2 * b1 - b2 + c, b1
    return 0.5 * t2 * b1 - b2 + coefficients[0]


def blockwise(f: Callable[..., Any], block: int = 1 << 15) -> Callable[..., Any]:
    """The function of one array, computed block by block so that temporaries stay in the cache."""

    def kernel(x: Any, *attrs: Any) -> Any:
        if x.size <= 2 * block or is_symbol(x):
            return f(x, *attrs)
        flat = x.reshape(-1)
        out = np.empty(flat.shape, flat.dtype)
        for start in range(0, flat.size, block):
            out[start : start + block] = f(flat[start : start + block], *attrs)
        return out.reshape(x.shape)

    return kernel


# Error functions


def _exp_minus_square(x: Any) -> Any:
    """exp(-x^2) without the rounding of x^2: x is split in a short head and a rest."""
    head = x.astype(np.float32).astype(np.float64)
    return np.exp(-head * head) * np.exp(-(x - head) * (x + head))


def _erfcx_positive(x: Any) -> Any:
    t = np.where(np.isinf(x), 1.0, (x - 3.75) / (x + 3.75))
    return chebyshev(tables.ERFCX, t, -1, 1) / (1 + 2 * x)


def erfcx(x: Any) -> Any:
    """exp(x^2) erfc(x)."""
    right = _erfcx_positive(np.abs(x))
    return np.where(x < 0, 2 * np.exp(np.minimum(x * x, 800)) - right, right)


def erfc(x: Any) -> Any:
    """1 - erf(x)."""
    size = np.abs(x)
    near = np.where(size < 0.5, x, 0)
    middle = 1 - near * chebyshev(tables.ERF, near * near, 0, 1)
    tail = _erfcx_positive(size) * _exp_minus_square(np.minimum(size, 30))
    return np.where(size < 0.5, middle, np.where(x < 0, 2 - tail, tail))


def erf(x: Any) -> Any:
    """2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x."""
    size = np.abs(x)
    near = np.where(size < 1, x, 0)
    tail = _erfcx_positive(size) * _exp_minus_square(np.minimum(size, 30))
    far = np.copysign(1 - tail, x)
    return np.where(size < 1, near * chebyshev(tables.ERF, near * near, 0, 1), far)


def _monomials(coefficients: tuple[float, ...], terms: int) -> list[Any]:
    """The first terms of a Chebyshev series as coefficients of powers, highest first, float32."""
    before, now = [1.0], [0.0, 1.0]  # T_0 and T_1, lowest power first
    total = [coefficients[0]] + [0.0] * (terms - 1)
    for c in coefficients[1:terms]:
        for power, value in enumerate(now):
            total[power] += c * value
        after = [0.0] + [2 * value for value in now]
        for power, value in enumerate(before):
            after[power] -= value
        before, now = now, after
    return [np.float32(value) for value in reversed(total)]


_NEAR, _FAR = _monomials(tables.ERF, 8), _monomials(tables.ERFCX, 13)


def _horner(coefficients: list[Any], t: Any) -> Any:
    y = np.full_like(t, coefficients[0])
    for c in coefficients[1:]:
        np.multiply(y, t, out=y)
        np.add(y, c, out=y)
    return y


def erf_single(x: Any) -> Any:
    """``erf`` of float32 in float32, right to about two units in the last place."""
    size = np.minimum(np.abs(x), np.float32(10))
    square = size * size
    far = _horner(_FAR, (size - np.float32(3.75)) / (size + np.float32(3.75)))
    far *= np.exp(-square)
    far /= size + size + np.float32(1)
    np.subtract(np.float32(1), far, out=far)
    np.copysign(far, x, out=far)
    near = _horner(_NEAR, square + square - np.float32(1))
    near *= x
    return np.where(size < 1, near, far)


def _inverse(y: Any, rest: Any) -> Any:
    """The x with erf(x) = y >= 0, where ``rest`` is 1 - y without rounding."""
    inside = (rest > 0) & (rest <= 1)
    p = np.where(inside, rest, 0.5)
    y = np.where(inside, y, 0.5)
    log = np.log(p * (2 - p))  # of 1 - y^2
    a = 0.147  # Winitzki's approximation, 0.2 % off
    b = 2 / (math.pi * a) + log / 2
    x = np.sqrt(np.maximum(np.sqrt(b * b - log / a) - b, 0))
    small = y < 0.5
    x = np.where(y < 1e-3, y * _SQRT_PI / 2, x)
    for _ in range(3):
        grown = np.exp(x * x)
        gap = np.where(small, (erf(x) - y) * grown, p * grown - _erfcx_positive(x))
        step = gap * _SQRT_PI / 2
        x = x - step / (1 + x * step)
    return np.where(inside, x, np.where(rest == 0, np.inf, np.nan))


def erfinv(y: Any) -> Any:
    """The inverse of erf."""
    size = np.abs(y)
    return np.copysign(_inverse(size, 1 - size), y)


def ndtr(x: Any) -> Any:
    """The distribution function of the standard normal."""
    return 0.5 * erfc(-x / _SQRT_2)


def ndtri(p: Any) -> Any:
    """The inverse of ``ndtr``."""
    low = np.where(p <= 0.5, p, 1 - p)
    return np.where(p <= 0.5, -1.0, 1.0) * _SQRT_2 * _inverse(1 - 2 * low, 2 * low)


def log_ndtr(x: Any) -> Any:
    """The logarithm of ``ndtr``."""
    left = np.minimum(x, -1)
    tail = np.log(0.5 * _erfcx_positive(-left / _SQRT_2)) - 0.5 * left * left
    return np.where(x < -1, tail, np.log1p(-0.5 * erfc(np.maximum(x, -1) / _SQRT_2)))


# Gamma functions


def _stirling_rest(x: Any) -> Any:
    """lgamma(x) less Stirling's formula, for x >= 3."""
    return chebyshev(tables.STIRLING, 1 / (x * x), 0, 1 / 9) / x


def _lgamma1p(a: Any) -> Any:
    """lgamma(1 + a) for a >= 0, exact near 0."""
    near = np.minimum(a, 1)
    small = near * (near - 1) * chebyshev(tables.LGAMMA, 1 + near, 1, 3)
    return np.where(a <= 1, small, _lgamma_positive(1 + a))


def _lgamma_positive(x: Any) -> Any:
    far = np.maximum(x, 3)
    large = (far - 0.5) * np.log(far) - far + _HALF_LOG_2PI + _stirling_rest(far)
    middle = np.clip(x, 1, 3)
    centre = (middle - 1) * (middle - 2) * chebyshev(tables.LGAMMA, middle, 1, 3)
    low = np.minimum(x, 1)
    small = low * (low - 1) * chebyshev(tables.LGAMMA, 1 + low, 1, 3) - np.log(low)
    result = np.where(x > 3, large, np.where(x < 1, small, centre))
    return np.where(np.isinf(x), np.inf, result)


def _sin_pi(x: Any) -> Any:
    """sin(pi x) through the distance to the nearest integer."""
    near = np.rint(x)
    return np.sin(np.pi * (x - near)) * np.where(np.mod(near, 2) == 0, 1.0, -1.0)


def lgamma(x: Any) -> Any:
    """The logarithm of |gamma(x)|; infinite at 0, -1, -2, ..."""
    positive = x > 0
    right = _lgamma_positive(np.where(positive, x, 1 - x))
    reflected = np.log(np.pi / np.abs(_sin_pi(x))) - right
    result = np.where(positive, right, reflected)
    pole = ((x <= 0) & (x == np.floor(x))) | np.isinf(x)
    return np.where(np.isnan(x), x, np.where(pole, np.inf, result))


def digamma(x: Any) -> Any:
    """The derivative of lgamma; -inf at 0 and NaN at the negative integers."""
    positive = x > 0
    a = np.where(positive, x, 1 - x)
    total = np.zeros_like(a)
    for _ in range(3):
        short = a < 3
        total = np.where(short, total - 1 / a, total)
        a = np.where(short, a + 1, a)
    u = 1 / (a * a)
    total = total + np.log(a) - 0.5 / a - chebyshev(tables.DIGAMMA, u, 0, 1 / 9) * u
    reflected = total - np.pi / np.tan(np.pi * (x - np.rint(x)))
    result = np.where(positive, total, reflected)
    result = np.where((x < 0) & (x == np.floor(x)), np.nan, result)
    return np.where(x == 0, np.copysign(np.inf, -x), result)


def _trigamma(x: Any) -> Any:
    left = x < 0.5
    a = np.where(left, 1 - x, x)
    total = np.zeros_like(a)
    for _ in range(3):
        short = a < 3
        total = np.where(short, total + 1 / (a * a), total)
        a = np.where(short, a + 1, a)
    u = 1 / (a * a)
    total = total + 1 / a + 0.5 * u + chebyshev(tables.TRIGAMMA, u, 0, 1 / 9) * u / a
    return np.where(left, (np.pi / _sin_pi(x)) ** 2 - total, total)


def polygamma(x: Any, n: int) -> Any:
    """The n-th derivative of digamma."""
    if n == 0:
        return digamma(x)
    if n == 1:
        return _trigamma(x)
    scale = math.exp(math.lgamma(n + 1)) if n > 170 else float(math.factorial(n))
    return (1.0 if n % 2 else -1.0) * scale * zeta(np.full_like(x, n + 1.0), x)


def _zeta_positive(s: Any, q: Any) -> Any:
    """Euler-Maclaurin after ten terms, for q > 0."""
    a, total = q, np.zeros_like(q)
    for _ in range(10):
        total = total + np.power(a, -s)
        a = a + 1
    total = total + np.power(a, 1 - s) / (s - 1) + 0.5 * np.power(a, -s)
    term = s * np.power(a, -s - 1) / 2
    for k, b in enumerate(_BERNOULLI, start=1):
        total = total + b * term
        term = term * (s + 2 * k - 1) * (s + 2 * k) / (a * a * (2 * k + 1) * (2 * k + 2))
    return np.where(np.isinf(s), np.where(q > 1, 0.0, np.where(q == 1, 1.0, np.inf)), total)


def zeta(s: Any, q: Any) -> Any:
    """Hurwitz's zeta: the sum over k >= 0 of (q + k)^-s."""
    s, q = np.broadcast_arrays(s, q)
    good = s > 1
    exponent = np.where(good, s, 2.0)
    result = _zeta_positive(exponent, np.where(q > 0, q, 1.0))
    if is_symbol(q) or np.any(q <= 0):
        # the terms with q + k < 0 are a difference of two zetas of positive arguments
        size = np.where(q <= 0, -q, 0.5)
        first = np.where(size == np.floor(size), 0.5, size - np.floor(size))
        sign = np.where(np.mod(exponent, 2) == 0, 1.0, -1.0)
        head = _zeta_positive(exponent, first) - _zeta_positive(exponent, size + 1)
        below = sign * head + _zeta_positive(exponent, 1 - first)
        below = np.where(exponent == np.floor(exponent), below, np.nan)
        below = np.where(q == np.floor(q), np.inf, below)
        result = np.where(q <= 0, below, result)
    return np.where(good, result, np.where(s == 1, np.inf, np.nan))


# Incomplete gamma functions

_MOST_TERMS = 20_000


def _power_factor(a: Any, x: Any) -> Any:
    """x^a exp(-x) / gamma(a), without cancellation for large a."""
    small = np.exp(a * np.log(x) - x - _lgamma_positive(a))
    big = np.maximum(a, 10)
    off = (x - big) / big
    gap = np.where(np.abs(off) < 0.5, off - np.log1p(off), off - np.log(x / big))
    large = np.sqrt(big / (2 * np.pi)) * np.exp(-big * gap - _stirling_rest(big))
    return np.where(a < 10, small, large)


def _series(a: Any, x: Any) -> Any:
    """P(a, x) by its power series, for x not much above a."""
    term = total = 1 / a
    n = 0
    while n < _MOST_TERMS and np.any(term > 1e-17 * total):
        n += 1
        term = term * x / (a + n)
        total = total + term
    return total * _power_factor(a, x)


def _fraction(a: Any, x: Any) -> Any:
    """Q(a, x) by Lentz's continued fraction, for x above a."""
    b = x + 1 - a
    c = np.full_like(b, 1e300)
    h = d = 1 / b
    going = np.ones(b.shape, bool)
    n = 0
    while n < _MOST_TERMS and going.any():
        n += 1
        top = -n * (n - a)
        b = b + 2
        d = top * d + b
        d = 1 / np.where(d == 0, 1e-300, d)
        c = b + top / c
        c = np.where(c == 0, 1e-300, c)
        h = np.where(going, h * (d * c), h)
        going &= np.abs(d * c - 1) > 4e-16
    return h * _power_factor(a, x)


def _small_complement(a: Any, x: Any) -> Any:
    """Q(a, x) for small x and a, without 1 - P."""
    total, factor = np.zeros_like(x), np.ones_like(x)
    for n in range(1, 60):
        factor = factor * -x / n
        total = total + factor / (a + n)
    log = a * np.log(x)
    return -np.expm1(log - _lgamma1p(a)) - np.exp(log - _lgamma_positive(a)) * total


def _incomplete(a: Any, x: Any, upper: bool) -> Any:
    a, x = (np.array(v) for v in np.broadcast_arrays(a, x))
    plain = (a > 0) & (x > 0) & np.isfinite(a) & np.isfinite(x)
    result = np.full(a.shape, np.nan)
    below = (plain & (x < a)) | (plain & (x <= 1.1) & _mostly_below(a, x))
    small = plain & (x <= 1.1) & ~below
    above = plain & ~below & ~small
    for where, f, is_upper in (
        (below, _series, False),
        (small, _small_complement, True),
        (above, _fraction, True),
    ):
        if np.any(where):
            value = f(a[where], x[where])
            result[where] = value if is_upper == upper else 1 - value
    zero, one = (1.0, 0.0) if upper else (0.0, 1.0)
    result[(a > 0) & (x == 0)] = zero
    result[(a == 0) & (x > 0)] = one
    result[np.isfinite(a) & (a >= 0) & np.isposinf(x)] = one
    result[np.isposinf(a) & np.isfinite(x) & (x >= 0)] = zero
    return result


def _mostly_below(a: Any, x: Any) -> Any:
    """Where P is small enough for Q = 1 - P."""
    return np.where(x <= 0.5, -0.4 / np.log(np.minimum(x, 0.5)) < a, 1.1 * x < a)


def gammainc(a: Any, x: Any) -> Any:
    """The regularised lower incomplete gamma function."""
    return _incomplete(a, x, False)


def gammaincc(a: Any, x: Any) -> Any:
    """The regularised upper incomplete gamma function."""
    return _incomplete(a, x, True)
