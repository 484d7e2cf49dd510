"""Computes rushlight/ops/special_tables.py: Chebyshev series of the special functions.

    python scripts/fit_special_functions.py > rushlight/ops/special_tables.py

Each function is multiplied by a simple factor and its argument mapped so that what is left is
smooth on [-1, 1]; a Chebyshev series of it, computed with 40 digits, is cut where its terms fall
below the precision of float64.  Needs mpmath; run only when a table is added or changed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mpmath import mp, mpf

mp.dps = 40
NODES = 90
PI = mp.pi


def series(f: Callable[[Any], Any], low: Any, high: Any) -> list[float]:
    """The Chebyshev coefficients of f on [low, high]."""
    low, high = mpf(low), mpf(high)
    angles = [PI * (k + mpf(1) / 2) / NODES for k in range(NODES)]
    values = [f((high + low) / 2 + (high - low) / 2 * mp.cos(a)) for a in angles]
    coefficients = [
        sum(v * mp.cos(j * a) for v, a in zip(values, angles, strict=True)) * 2 / NODES
        for j in range(NODES)
    ]
    coefficients[0] /= 2
    size = max(abs(c) for c in coefficients)
    while abs(coefficients[-1]) < size * mpf("2e-18"):
        coefficients.pop()
    return [float(c) for c in coefficients]


def erfcx(x: Any) -> Any:
    return mp.exp(x * x) * mp.erfc(x)


def shepherd(t: Any) -> Any:
    """(1 + 2x) erfcx(x) with x = 3.75 (1 + t) / (1 - t)."""
    if t == 1:
        return 2 / mp.sqrt(PI)
    x = mpf("3.75") * (1 + t) / (1 - t)
    if x > 200:  # the asymptotic series, where exp(x^2) would overflow the working precision
        term, total = mpf(1), mpf(1)
        for k in range(1, 12):
            term *= -(2 * k - 1) / (2 * x * x)
            total += term
        return (1 + 2 * x) * total / (x * mp.sqrt(PI))
    with mp.workdps(60):
        return (1 + 2 * x) * erfcx(x)


def at_square(f: Callable[[Any], Any], tiny: Any = 1e-12) -> Callable[[Any], Any]:
    """f as a function of u = x^2."""
    return lambda u: f(mp.sqrt(u) if u > 0 else mpf(tiny))


def stirling_rest(x: Any) -> Any:
    with mp.workdps(60):
        return x * (mp.loggamma(x) - ((x - mpf(1) / 2) * mp.log(x) - x + mp.log(2 * PI) / 2))


def inverse_square(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """f as a function of u = 1 / x^2."""
    return lambda u: f(1 / mp.sqrt(u))


def lgamma_factor(x: Any) -> Any:
    return mp.loggamma(x) / ((x - 1) * (x - 2))


def digamma_rest(x: Any) -> Any:
    with mp.workdps(60):
        return (mp.log(x) - 1 / (2 * x) - mp.digamma(x)) * x * x


def trigamma_rest(x: Any) -> Any:
    with mp.workdps(60):
        return (mp.psi(1, x) - 1 / x - 1 / (2 * x * x)) * x**3


def modulus(order: int, part: str) -> Callable[[Any], Any]:
    """P and x Q of the Bessel functions for large x, as a function of u = (8 / x)^2."""

    def f(u: Any) -> Any:
        x = 8 / mp.sqrt(u)
        with mp.workdps(60):
            chi = x - PI / 4 - order * PI / 2
            j, y = mp.besselj(order, x), mp.bessely(order, x)
            size = mp.sqrt(PI * x / 2)
            if part == "p":
                return size * (j * mp.cos(chi) + y * mp.sin(chi))
            return size * x * (y * mp.cos(chi) - j * mp.sin(chi))

    return f


def airy_negative(part: str) -> Callable[[Any], Any]:
    """Of u = 1 / zeta^2: Ai(-x) = (P sin - Q cos)(zeta + pi/4) / (sqrt(pi) x^(1/4))."""

    def f(u: Any) -> Any:
        zeta = 1 / mp.sqrt(u)
        with mp.workdps(60):
            x = (mpf(3) / 2 * zeta) ** (mpf(2) / 3)
            a, b = mp.airyai(-x), mp.airybi(-x)
            angle = zeta + PI / 4
            size = mp.sqrt(PI) * x ** (mpf(1) / 4)
            if part == "p":
                return size * (a * mp.sin(angle) + b * mp.cos(angle))
            return size * zeta * (b * mp.sin(angle) - a * mp.cos(angle))

    return f


def airy_positive(v: Any) -> Any:
    """Of v = 1 / zeta: 2 sqrt(pi) x^(1/4) exp(zeta) Ai(x)."""
    zeta = 1 / v
    x = (mpf(3) / 2 * zeta) ** (mpf(2) / 3)
    return 2 * mp.sqrt(PI) * x ** (mpf(1) / 4) * mp.exp(zeta) * mp.airyai(x)


def y0_rest(x: Any) -> Any:
    return mp.bessely(0, x) - 2 / PI * mp.log(x / 2) * mp.besselj(0, x)


def y1_rest(x: Any) -> Any:
    return (mp.bessely(1, x) - 2 / PI * (mp.log(x / 2) * mp.besselj(1, x) - 1 / x)) / x


def k0_rest(x: Any) -> Any:
    return mp.besselk(0, x) + mp.log(x / 2) * mp.besseli(0, x)


def k1_rest(x: Any) -> Any:
    return (mp.besselk(1, x) - mp.log(x / 2) * mp.besseli(1, x) - 1 / x) / x


def large_i(order: int) -> Callable[[Any], Any]:
    """Of v = 8 / x: sqrt(x) exp(-x) I(x)."""
    return lambda v: mp.sqrt(8 / v) * mp.exp(-8 / v) * mp.besseli(order, 8 / v)


def large_k(order: int) -> Callable[[Any], Any]:
    """Of v = 2 / x: sqrt(x) exp(x) K(x)."""
    return lambda v: mp.sqrt(2 / v) * mp.exp(2 / v) * mp.besselk(order, 2 / v)


TINY = mpf("1e-9")
TABLES: dict[str, tuple[Callable[[Any], Any], Any, Any, str]] = {
    "ERF": (at_square(lambda x: mp.erf(x) / x), 0, 1, "erf(x) / x of x^2 in [0, 1]"),
    "ERFCX": (shepherd, -1, 1, "(1 + 2x) erfcx(x) of (x - 3.75) / (x + 3.75)"),
    "LGAMMA": (lgamma_factor, 1, 3, "lgamma(x) / ((x - 1) (x - 2)) of x in [1, 3]"),
    "STIRLING": (inverse_square(stirling_rest), 0, mpf(1) / 9, "x (lgamma - Stirling), 1/x^2"),
    "DIGAMMA": (inverse_square(digamma_rest), 0, mpf(1) / 9, "x^2 (log x - 1/2x - psi), 1/x^2"),
    "TRIGAMMA": (inverse_square(trigamma_rest), 0, mpf(1) / 9, "x^3 (psi1 - 1/x - 1/2x^2), 1/x^2"),
    "I0": (lambda x: mp.exp(-x) * mp.besseli(0, x), 0, 8, "exp(-x) I0(x) of x in [0, 8]"),
    "I0_FAR": (large_i(0), 0, 1, "sqrt(x) exp(-x) I0(x) of 8/x"),
    "I1": (
        lambda x: mp.exp(-x) * (mp.besseli(1, x) / x if x else mpf(1) / 2),
        0,
        8,
        "exp(-x) I1(x) / x of x in [0, 8]",
    ),
    "I1_FAR": (large_i(1), 0, 1, "sqrt(x) exp(-x) I1(x) of 8/x"),
    "J0": (at_square(lambda x: mp.besselj(0, x)), 0, 64, "J0(x) of x^2 in [0, 64]"),
    "J1": (at_square(lambda x: mp.besselj(1, x) / x), 0, 64, "J1(x) / x of x^2 in [0, 64]"),
    "Y0": (at_square(y0_rest, TINY), 0, 64, "Y0 - 2/pi log(x/2) J0 of x^2"),
    "Y1": (at_square(y1_rest, TINY), 0, 64, "(Y1 - 2/pi (log(x/2) J1 - 1/x)) / x of x^2"),
    "P0": (modulus(0, "p"), 0, 1, "P of order 0 of (8/x)^2"),
    "Q0": (modulus(0, "q"), 0, 1, "x Q of order 0 of (8/x)^2"),
    "P1": (modulus(1, "p"), 0, 1, "P of order 1 of (8/x)^2"),
    "Q1": (modulus(1, "q"), 0, 1, "x Q of order 1 of (8/x)^2"),
    "K0": (at_square(k0_rest, TINY), 0, 4, "K0 + log(x/2) I0 of x^2 in [0, 4]"),
    "K0_FAR": (large_k(0), 0, 1, "sqrt(x) exp(x) K0(x) of 2/x"),
    "K1": (at_square(k1_rest, TINY), 0, 4, "(K1 - log(x/2) I1 - 1/x) / x of x^2 in [0, 4]"),
    "K1_FAR": (large_k(1), 0, 1, "sqrt(x) exp(x) K1(x) of 2/x"),
    "I0_NEAR": (at_square(lambda x: mp.besseli(0, x)), 0, 4, "I0(x) of x^2 in [0, 4]"),
    "I1_NEAR": (at_square(lambda x: mp.besseli(1, x) / x), 0, 4, "I1(x) / x of x^2 in [0, 4]"),
    "AIRY_FAR": (airy_positive, 0, mpf(3) / 2, "2 sqrt(pi) x^(1/4) exp(zeta) Ai of 1/zeta"),
    "AIRY_MIDDLE": (mp.airyai, -3, 1, "Ai(x) of x in [-3, 1]"),
    "AIRY_LEFT": (mp.airyai, -8, -3, "Ai(x) of x in [-8, -3]"),
    "AIRY_P": (airy_negative("p"), 0, mpf(9) / 2048, "P of 1/zeta^2, x < -8"),
    "AIRY_Q": (airy_negative("q"), 0, mpf(9) / 2048, "zeta Q of 1/zeta^2, x < -8"),
}

HEAD = '''"""Chebyshev series of special functions; printed by scripts/fit_special_functions.py."""

__all__: list[str] = []
'''


def main() -> None:
    """Prints the module."""
    print(HEAD)
    for name, (f, low, high, what) in TABLES.items():
        numbers = series(f, low, high)
        print(f"# {what}")
        print(f"{name} = (")
        for c in numbers:
            print(f"    {c!r},")
        print(")")


if __name__ == "__main__":
    main()
