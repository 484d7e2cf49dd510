"""Derives the polynomials of ``rushlight/codegen/vecmath_tables.py`` and prints them.

    python benchmarks/fit_vecmath.py

Each is a weighted least-squares fit at Chebyshev nodes in extended precision, repeated with the
weights of Lawson's algorithm until the largest error no longer falls (a near-minimax polynomial).
Coefficients are rounded to float32 one by one from the constant term on, the others being fitted
again to what the rounding left. Printed with each: the largest weighted error, in units of 2^-24
(half a unit in the last place of a result in [1, 2)).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

Array = Any
WIDE = np.longdouble


def nodes(low: float, high: float, count: int = 600) -> Array:
    """Chebyshev nodes of an interval."""
    angles = (np.arange(count, dtype=WIDE) + WIDE(0.5)) * WIDE(np.pi) / count
    return (low + high) / WIDE(2) + (high - low) / WIDE(2) * np.cos(angles)


def fit(x: Array, y: Array, weight: Array, degree: int) -> list[float]:
    """Float32 coefficients, constant term first, of a polynomial near the minimax one."""
    powers = x[:, None] ** np.arange(degree + 1)
    fixed: list[float] = []
    while len(fixed) <= degree:
        rest = y - powers[:, : len(fixed)] @ np.array(fixed, WIDE) if fixed else y
        c = lawson(powers[:, len(fixed) :], rest, weight)
        fixed.append(float(np.float32(c[0])))
    return fixed


def lawson(powers: Array, y: Array, weight: Array, rounds: int = 40) -> Array:
    """Coefficients that nearly minimise the largest weighted error."""
    share = np.ones(len(y), WIDE)
    best, least = None, math.inf
    scale = np.abs(powers).max(axis=0)
    for _ in range(rounds):
        w = weight * np.sqrt(share)
        a = (powers / scale * w[:, None]).astype(np.float64)
        b = (y * w).astype(np.float64)
        c = np.linalg.lstsq(a, b, rcond=None)[0]
        residual = b - a @ c  # one step of refinement
        c = (c + np.linalg.lstsq(a, residual, rcond=None)[0]) / scale
        error = np.abs((powers @ c - y) * weight)
        if error.max() < least:
            least, best = error.max(), c
        share = share * error / error.max()
        share = np.maximum(share / share.mean(), WIDE(1e-12))
    return best


def series(x: Array, term: Callable[[int], float], count: int) -> Array:
    """The sum of term(k) x^k."""
    total = np.zeros_like(x)
    for k in reversed(range(count)):
        total = total * x + WIDE(term(k))
    return total


def show(name: str, x: Array, y: Array, weight: Array, degree: int) -> None:
    """Fits, and prints what belongs into the table."""
    c = fit(x, y, weight, degree)
    worst = np.abs((x[:, None] ** np.arange(degree + 1) @ np.array(c, WIDE) - y) * weight).max()
    print(f"{name} = (  # largest error {float(worst) * 2**24:.3f} * 2^-24")
    for value in c:
        print(f"    {value!r},")
    print(")")


def main() -> None:
    """Prints every table."""
    half_ln2 = math.log(2) / 2 * 1.001
    x = nodes(-half_ln2, half_ln2)
    q = series(x, lambda k: 1 / math.factorial(k + 2), 24)  # (e^x - 1 - x) / x^2
    show("EXP", x, q, np.abs(x) * np.maximum(np.abs(x), 0.3), 4)

    x = nodes(-0.5, 0.5)
    q = series(x, lambda k: math.log(2) ** (k + 1) / math.factorial(k + 1), 24)  # (2^x - 1) / x
    show("EXP2", x, q, np.abs(x), 5)

    x = nodes(math.sqrt(0.5) - 1, math.sqrt(2) - 1)
    log1p = np.log1p(x)
    far = np.where(np.abs(x) < 0.05, WIDE(1), x)
    direct = (np.log1p(far) - far + far * far / 2) / far**3
    near = series(x, lambda k: (-1) ** k / WIDE(k + 3), 60)
    show("LOG", x, np.where(np.abs(x) < 0.05, near, direct), x**3 / log1p, 8)

    z = nodes(0, 0.625**2)
    x = np.sqrt(z)
    show("TANH", z, (np.tanh(x) / x - 1) / z, z, 5)

    z = nodes(0, 0.95**2)
    x = np.sqrt(z)
    c = 2 / math.sqrt(math.pi)
    whole = series(z, lambda k: (-1) ** k * c / (math.factorial(k) * (2 * k + 1)), 30)
    show("ERF", z, whole - 1, 1 / whole, 6)

    x = nodes(0.9, 4.0)
    log_erfc = np.array([math.log(math.erfc(float(t))) for t in x], WIDE)
    erfc = np.exp(log_erfc)
    show("LOG_ERFC", x, log_erfc / x, x * erfc / (1 - erfc), 7)

    z = nodes(0, (math.pi / 4 * 1.001) ** 2)
    sine = series(z, lambda k: (-1) ** (k + 1) / math.factorial(2 * k + 3), 14)
    show("SIN", z, sine, z, 3)
    cosine = series(z, lambda k: (-1) ** k / math.factorial(2 * k + 4), 14)
    show("COS", z, cosine, z * z / np.cos(np.sqrt(z)), 2)


if __name__ == "__main__":
    main()
