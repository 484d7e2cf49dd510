"""Fused multiply-add with one rounding, in float32 and float64, from plain IEEE operations.

In: arrays or scalars; out: arrays holding ``round(a * b + c)``, the bits a hardware FMA gives.
Only ``+ - *`` and casts are used, so the result does not depend on the processor.

Sources: Boldo and Melquiond, "Emulation of FMA and correctly rounded sums: proved algorithms using
rounding to odd" (2008); Dekker (1971) for the exact product; Knuth for the exact sum.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["fma32", "fma64"]

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]

_TINY32 = 2.0**-126
# Beside an addend this large a sum below _TINY32 is exactly 0: both parts are multiples of 2**-118.
_NORMAL_ADDEND = 2.0**-70
_SPLIT = 134217729.0  # 2**27 + 1
# Inside these bounds no step of the float64 recipe overflows or loses bits to underflow.
_SAFE_HIGH = 2.0**500
_SAFE_LOW = 2.0**-480


def _two_sum(a: Any, b: Any) -> tuple[Any, Any]:
    """The rounded sum and its exact error (Knuth)."""
    total = a + b
    other = total - a
    return total, (a - (total - other)) + (b - other)


def _to_odd(total: F64, error: F64) -> F64:
    """Round ``total + error`` to odd: a last bit of 1 whenever the sum was inexact."""
    even = (total.view(np.int64) & 1) == 0
    toward = np.where(error > 0.0, np.inf, -np.inf)
    return np.where((error != 0.0) & even, np.nextafter(total, toward), total)


def fma32(a: npt.ArrayLike, b: npt.ArrayLike, c: npt.ArrayLike) -> F32:
    """``a * b + c`` in float32 with a single rounding.

    The product of two float32 values is exact in float64, so the float64 sum is wrong by at most
    one rounding; casting it to float32 only misleads at a float32 midpoint or below the normal
    range, and there the sum is taken again with rounding to odd.
    """
    product = np.asarray(np.asarray(a, np.float64) * np.asarray(b, np.float64))
    addend = np.asarray(c, dtype=np.float64)
    total = np.atleast_1d(product + addend)
    doubtful = (total.view(np.int64) & 0x1FFFFFFF) == 0x10000000
    if addend.ndim or abs(float(addend)) < _NORMAL_ADDEND:
        doubtful |= np.abs(total) < _TINY32
    if doubtful.any():
        shape = total.shape
        p = np.broadcast_to(product, shape)[doubtful]
        q = np.broadcast_to(addend, shape)[doubtful]
        again, error = _two_sum(p, q)
        total[doubtful] = _to_odd(again, error)
    with np.errstate(over="ignore", under="ignore"):
        return total.astype(np.float32)


def _exact(a: float, b: float, c: float) -> float:
    """One value, through rational arithmetic: for the far ends of the exponent range."""
    plain = a * b + c
    if not (math.isfinite(a) and math.isfinite(b) and math.isfinite(c)):
        return plain
    from fractions import Fraction  # rarely needed, slow to import

    value = Fraction(a) * Fraction(b) + Fraction(c)
    if value == 0:
        return plain  # keeps the sign of zero
    try:
        return float(value)
    except OverflowError:
        return math.copysign(math.inf, value)


def fma64(a: npt.ArrayLike, b: npt.ArrayLike, c: npt.ArrayLike) -> F64:
    """``a * b + c`` in float64 with a single rounding."""
    x, y, z = (
        np.ascontiguousarray(part)
        for part in np.broadcast_arrays(
            np.atleast_1d(np.asarray(a, np.float64)),
            np.asarray(b, np.float64),
            np.asarray(c, np.float64),
        )
    )
    with np.errstate(all="ignore"):
        product = x * y
        high_x = x * _SPLIT
        high_x = high_x - (high_x - x)
        high_y = y * _SPLIT
        high_y = high_y - (high_y - y)
        low_x, low_y = x - high_x, y - high_y
        rest = low_x * low_y - (((product - high_x * high_y) - low_x * high_y) - high_x * low_y)
        # a*b + c = product + rest + c: exact sums, then the two small parts rounded to odd.
        middle, low = _two_sum(z, rest)
        high, error = _two_sum(product, middle)
        result = np.asarray(high + _to_odd(*_two_sum(error, low)))
        size, biggest = np.abs(product), np.maximum(np.abs(x), np.abs(y))
        safe = (biggest < _SAFE_HIGH) & (np.abs(z) < _SAFE_HIGH) & (size < _SAFE_HIGH)
        safe &= (size > _SAFE_LOW) & ((np.abs(z) > _SAFE_LOW) | (z == 0.0))
    for index in np.flatnonzero(~safe):
        result.flat[index] = _exact(
            float(x.flat[index]), float(y.flat[index]), float(z.flat[index])
        )
    return result
