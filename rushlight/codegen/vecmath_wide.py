"""Vector mathematics in float64 beyond what `vecmath.py` has for both types: tanh, log2, sin, cos.

As there: no branches but one, any number of lanes, NaN, infinities and -0 as in C. Polynomials are
Taylor series whose first omitted terms are below 2^-58 of the result. The largest errors that
``tests/test_vecmath_wide.py`` allows are 2 units in the last place; over its samples they were
1.6 (tanh), 1.0 (log2) and 0.9 (sin, cos).
"""

from __future__ import annotations

import math

from rushlight.codegen import vecmath
from rushlight.codegen.vecmath_lanes import Bits, Vec, fma, polynomial, select

__all__ = ["FUNCTIONS", "HUGE", "NARROW", "cos", "log2", "sin", "tanh"]

HUGE = 2.0**20  # sines of larger angles are left to the C library
_HALF_PI = (1.5707963267948966, 6.123233995736766e-17, -1.4973849048591833e-33)
_LOG2_E = (1.4426950408889634, 2.0355273740931033e-17)
_SIN = tuple((-1) ** k / math.factorial(2 * k + 1) for k in range(1, 10))
_COS = tuple((-1) ** k / math.factorial(2 * k) for k in range(2, 10))


def tanh(x: Vec) -> Vec:
    """-t / (2 + t) with t = e^-2|x| - 1, signed as x; the quotient corrected by its remainder."""
    t = vecmath.expm1(x.abs() * -2.0)
    below = 2.0 + t
    lost = t - (below - 2.0)
    inverse = 1.0 / below
    quotient = -t * inverse
    remainder = fma(-quotient, below, -t) - quotient * lost
    return fma(remainder, inverse, quotient).with_sign_of(x)


def log2(x: Vec) -> Vec:
    """k + log(1 + f) / ln 2 for x = 2^k (1 + f), the factor in two parts."""
    scaled, more = vecmath.normal(x)
    f, k = vecmath.split(scaled)
    rest = fma(f, _LOG2_E[1], vecmath.log_rest(f) * _LOG2_E[0])
    return vecmath.log_specials(x, (k + more) + fma(f, _LOG2_E[0], rest))


def _turned(x: Vec) -> tuple[Vec, Vec, Bits]:
    """r, what its rounding lost, and n with x = n pi/2 + r, |r| <= pi/4; |x| at most `HUGE`.

    x - n times the first part of pi/2 is exact: it has no more bits than that part. So are the
    product with the second part, in two numbers, and what is lost when that is subtracted.
    """
    n, k = vecmath.nearest(x, 2 / math.pi)
    first = fma(-n, _HALF_PI[0], x)
    second = n * _HALF_PI[1]
    r = first - second
    moved = r - first
    lost = (first - (r - moved)) - (second + moved) - fma(n, _HALF_PI[1], -second)
    return r, fma(-n, _HALF_PI[2], lost), k


def _sine_of_turned(x: Vec, quarter: int) -> Vec:
    r, lost, n = _turned(x)
    n = n + quarter
    z = r * r
    sine = r + fma(r * z, polynomial(z, _SIN), lost)
    half = z * 0.5
    near = 1.0 - half
    rest = ((1.0 - near) - half) + fma(z * z, polynomial(z, _COS), -(r * lost))
    value = select((n & 1).zero(), sine, near + rest)
    return (value.bits() ^ ((n & 2) << 62)).floats()


def sin(x: Vec) -> Vec:
    """r + r^3 p(r^2), or the cosine's series, by the quadrant; below `HUGE`."""
    return select(x.same(0.0), x, _sine_of_turned(x, 0))


def cos(x: Vec) -> Vec:
    """1 - r^2/2 + r^4 p(r^2), or the sine's series, by the quadrant; below `HUGE`."""
    return _sine_of_turned(x, 1)


def _tan(x: Vec) -> Vec:
    return sin(x) / cos(x)


def _sinh(x: Vec) -> Vec:
    e = vecmath.exp(x)
    large = (e - 1.0 / e) * 0.5
    return select(x.abs() < 2.0**-12, fma(x * x * x, 1 / 6, x), large)


def _cosh(x: Vec) -> Vec:
    e = vecmath.exp(x)
    return (e + 1.0 / e) * 0.5


def _log10(x: Vec) -> Vec:
    return vecmath.log(x) * (1 / math.log(10))


FUNCTIONS = {"tanh": tanh, "log2": log2, "sin": sin, "cos": cos}
# Good enough to be rounded to float32: at most 0.51 of its units in the last place.
NARROW = {"tan": _tan, "sinh": _sinh, "cosh": _cosh, "log10": _log10}
