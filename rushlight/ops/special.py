"""Special functions: error, gamma, zeta, Bessel and Airy functions, orthogonal polynomials.

Kernels are in ``special_math`` and ``bessel_math``; they compute in float64 whatever the input's
dtype, so that float32 results are correctly rounded almost always.  Those whose name starts with
``special_`` are published in ``torch.special`` alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.ir.op import Op
from rushlight.ops import bessel_math as bessel
from rushlight.ops import special_math as functions
from rushlight.ops.build import elementwise, no_derivative

_SQRT_PI, _SQRT_2PI = math.sqrt(math.pi), math.sqrt(2 * math.pi)
_LOG_PI = math.log(math.pi)


def _special(name: str, kernel: Any, grads: Any = None, **more: Any) -> Op:
    """A real function computed in float64; integers give the default float."""
    inputs = more.get("inputs", ("input",))
    if grads is None:
        grads = (no_derivative(name),) * len(inputs)
    if len(inputs) == 1:
        kernel = functions.blockwise(kernel)
    more.setdefault("api", "" if name.startswith("special_") else "torch method inplace")
    more.setdefault("kinds", "buif")
    return elementwise(name, kernel, grads, result="float", wide=True, **more)


# Error functions

_erf_single = functions.blockwise(functions.erf_single)
_erf_double = functions.blockwise(functions.erf)
erf = elementwise(
    "erf",
    lambda x: _erf_single(x) if x.dtype.itemsize == 4 else _erf_double(x),
    lambda o, g, x: g * (2 / _SQRT_PI) * o.exp(-x * x),
    result="float",
    kinds="buif",
    doc="The error function, 2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x.",
)
erfc = _special(
    "erfc",
    functions.erfc,
    lambda o, g, x: g * (-2 / _SQRT_PI) * o.exp(-x * x),
    doc="1 - erf(x), without cancellation for large x.",
)
erfinv = _special(
    "erfinv",
    functions.erfinv,
    lambda o, g, _x, y: g * (_SQRT_PI / 2) * o.exp(y * y),
    domain=(-0.9, 0.9),
    doc="The inverse of erf: infinite at -1 and 1, NaN outside.",
)
erfcx = _special(
    "special_erfcx",
    functions.erfcx,
    lambda o, g, x, y: g * (2 * x * y - 2 / _SQRT_PI),
    doc="exp(x^2) erfc(x), which does not underflow.",
)
ndtr = _special(
    "special_ndtr",
    functions.ndtr,
    lambda o, g, x: g * o.exp(-0.5 * x * x) / _SQRT_2PI,
    doc="The distribution function of the standard normal.",
)
ndtri = _special(
    "special_ndtri",
    functions.ndtri,
    lambda o, g, _x, y: g * _SQRT_2PI * o.exp(0.5 * y * y),
    domain=(0.05, 0.95),
    doc="The inverse of ndtr: the quantile of the standard normal.",
)
log_ndtr = _special(
    "special_log_ndtr",
    functions.log_ndtr,
    # the density over the distribution function: sqrt(2/pi) / erfcx(-x / sqrt 2)
    lambda o, g, x: g * math.sqrt(2 / math.pi) / o.special_erfcx(x * -math.sqrt(0.5)),
    doc="The logarithm of ndtr, accurate far to the left.",
)

# Gamma functions

lgamma = _special(
    "lgamma",
    functions.lgamma,
    lambda o, g, x: g * o.digamma(x),
    domain=(0.2, 5.0),
    doc="The logarithm of the absolute value of the gamma function.",
)
digamma = _special(
    "digamma",
    functions.digamma,
    lambda o, g, x: g * o.polygamma(x, 1),
    domain=(0.2, 5.0),
    doc="The derivative of lgamma.",
)
polygamma = _special(
    "polygamma",
    functions.polygamma,
    lambda o, g, x, _y, n: g * o.polygamma(x, n + 1),
    attrs=("n",),
    domain=(0.2, 5.0),
    samples=lambda make: [((make(3),), (n,)) for n in range(4)],
    api="",
)


def _mvlgamma(x: Any, p: int) -> Any:
    parts = [functions.lgamma(x - 0.5 * j) for j in range(p)]
    return np.sum(np.stack(parts), axis=0) + p * (p - 1) / 4 * _LOG_PI


def _mvlgamma_grad(o: Any, g: Any, x: Any, _y: Any, p: int) -> Any:
    """The sum over j < p of digamma(x - j / 2)."""
    total = o.digamma(x)
    for j in range(1, p):
        total = total + o.digamma(x - 0.5 * j)
    return g * total


mvlgamma = _special(
    "mvlgamma",
    _mvlgamma,
    _mvlgamma_grad,
    attrs=("p",),
    samples=lambda make: [((make(3),), (p,)) for p in (1, 2, 4)],
    domain=(3.0, 6.0),
    api="",
)


def _gamma_density(o: Any, g: Any, a: Any, x: Any) -> Any:
    """exp(-x) x^(a - 1) / gamma(a)."""
    return g * o.exp((a - 1) * o.log(x) - x - o.lgamma(a))


igamma = _special(
    "igamma",
    functions.gammainc,
    (no_derivative("igamma: input"), lambda o, g, a, x: _gamma_density(o, g, a, x)),
    kinds="f",
    inputs=("input", "other"),
    api="torch method inplace tensors",
    domain=(0.2, 4.0),
    whole="loops until all elements have converged",
    doc="The regularised lower incomplete gamma function P(input, other).",
)
igammac = _special(
    "igammac",
    functions.gammaincc,
    (no_derivative("igammac: input"), lambda o, g, a, x: -_gamma_density(o, g, a, x)),
    kinds="f",
    inputs=("input", "other"),
    api="torch method inplace tensors",
    domain=(0.2, 4.0),
    whole="loops until all elements have converged",
    doc="The regularised upper incomplete gamma function Q(input, other) = 1 - P(input, other).",
)
zeta = _special(
    "special_zeta",
    functions.zeta,
    (no_derivative("zeta"), lambda o, g, s, q: -g * s * o.special_zeta(s + 1, q)),
    inputs=("input", "other"),
    domain=(1.5, 4.0),
    doc="Hurwitz's zeta function: the sum over k >= 0 of (other + k)^-input.",
)

# Logarithms with a factor that may be 0


def _times_log(log: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    def kernel(x: Any, y: Any) -> Any:
        product = x * log(y)
        return np.where(np.isnan(y), y, np.where(np.equal(x, 0), 0.0, product))

    return kernel


def _factor_grad(o: Any, g: Any, x: Any, y: Any, log: Any) -> Any:
    """log y, but 0 where x is 0 and y is not positive."""
    zero = (x == 0) & (y <= 0)
    value = g * (log(y) if hasattr(y, "_meta") else log(o.full_like(g, y)))
    return o.where(zero, o.zeros_like(value), value)


xlogy = _special(
    "xlogy",
    _times_log(np.log),
    (
        lambda o, g, x, y: _factor_grad(o, g, x, y, o.log),
        lambda o, g, x, y: g * x / y,
    ),
    inputs=("input", "other"),
    domain=(0.2, 4.0),
    doc="input * log(other), and 0 where input is 0.",
)
xlog1py = _special(
    "special_xlog1py",
    _times_log(np.log1p),
    (
        lambda o, g, x, y: _factor_grad(o, g, x, y + 1, lambda v: o.log(v)),
        lambda o, g, x, y: g * x / (y + 1),
    ),
    inputs=("input", "other"),
    domain=(0.2, 4.0),
    doc="input * log1p(other), and 0 where input is 0.",
)
entr = _special(
    "special_entr",
    lambda x: np.where(x > 0, -x * np.log(x), np.where(np.equal(x, 0), 0.0, x * np.inf)),
    lambda o, g, x: g * (-o.log(x) - 1),
    domain=(0.1, 3.0),
    doc="-x log x for x > 0, 0 at 0, -inf below.",
)


def _logit(x: Any, eps: float | None) -> Any:
    if eps is not None:
        x = np.clip(x, eps, 1 - eps)
    return np.log(x / (1 - x))


def _logit_grad(o: Any, g: Any, x: Any, _y: Any, eps: float | None) -> Any:
    """1 / (x (1 - x)); outside the range 0, or NaN if the range is [0, 1] itself."""
    low = 0.0 if eps is None else eps
    inside = (x >= low) & (x <= 1.0 - low)
    value = g / (x * (1.0 - x))
    return o.where(inside, value, o.full_like(value, float("nan") if eps is None else 0.0))


logit = _special(
    "logit",
    _logit,
    _logit_grad,
    attrs=("eps",),
    defaults=(None,),
    domain=(0.05, 0.95),
    api="",
)

# Bessel and Airy functions

i0 = _special(
    "i0",
    bessel.i0,
    lambda o, g, x: g * o.special_i1(x),
    doc="The modified Bessel function of the first kind of order 0.",
)
i0e = _special(
    "special_i0e",
    bessel.i0e,
    lambda o, g, x, y: g * (o.special_i1e(x) - o.sgn(x) * y),
    doc="exp(-|x|) i0(x).",
)


def _i1_grad(o: Any, g: Any, x: Any, y: Any) -> Any:
    """I0 - I1 / x, and 1/2 at 0."""
    safe = o.where(x == 0, o.full_like(x, 1), x)
    slope = o.i0(x) - y / safe
    return g * o.where(x == 0, o.full_like(slope, 0.5), slope)


def _i1e_grad(o: Any, g: Any, x: Any, y: Any) -> Any:
    """I0e - I1e (sign x + 1 / x), and 1/2 at 0."""
    safe = o.where(x == 0, o.full_like(x, 1), x)
    slope = o.special_i0e(x) - y * (o.sgn(x) + o.reciprocal(safe))
    return g * o.where(x == 0, o.full_like(slope, 0.5), slope)


i1 = _special(
    "special_i1",
    bessel.i1,
    _i1_grad,
    doc="The modified Bessel function of the first kind of order 1.",
)
i1e = _special("special_i1e", bessel.i1e, _i1e_grad, doc="exp(-|x|) i1(x).")


def _spherical(x: Any) -> Any:
    return np.where(np.isinf(x), 0.0, np.where(np.equal(x, 0), 1.0, np.sin(x) / x))


for _name, _kernel, _doc in (
    ("airy_ai", bessel.airy_ai, "Airy's function Ai."),
    ("bessel_j0", bessel.j0, "The Bessel function of the first kind of order 0."),
    ("bessel_j1", bessel.j1, "The Bessel function of the first kind of order 1."),
    ("bessel_y0", bessel.y0, "The Bessel function of the second kind of order 0."),
    ("bessel_y1", bessel.y1, "The Bessel function of the second kind of order 1."),
    ("modified_bessel_i0", bessel.i0, "The modified Bessel function I of order 0."),
    ("modified_bessel_i1", bessel.i1, "The modified Bessel function I of order 1."),
    ("modified_bessel_k0", bessel.k0, "The modified Bessel function K of order 0."),
    ("modified_bessel_k1", bessel.k1, "The modified Bessel function K of order 1."),
    ("scaled_modified_bessel_k0", bessel.k0e, "exp(x) times modified_bessel_k0."),
    ("scaled_modified_bessel_k1", bessel.k1e, "exp(x) times modified_bessel_k1."),
    ("spherical_bessel_j0", _spherical, "sin(x) / x, and 1 at 0."),
):
    _special(f"special_{_name}", _kernel, domain=(0.3, 5.0), doc=_doc)

# Orthogonal polynomials: special_NAME(x, n) is the polynomial of degree n at x

for _name, _first in (
    ("t", lambda x: x),
    ("u", lambda x: 2 * x),
    ("v", lambda x: 2 * x - 1),
    ("w", lambda x: 2 * x + 1),
):
    for _shifted in ("", "shifted_"):
        _special(
            f"special_{_shifted}chebyshev_polynomial_{_name}",
            bessel.chebyshev_like(_first, bool(_shifted)),
            inputs=("input", "n"),
            doc=f"The {_shifted.replace('_', ' ')}Chebyshev polynomial of kind {_name.upper()} "
            "and degree n.",
            whole="as many rounds as the largest degree says",
        )
for _name, _polynomial, _who in (
    ("hermite_polynomial_h", bessel.hermite_h, "physicists' Hermite"),
    ("hermite_polynomial_he", bessel.hermite_he, "probabilists' Hermite"),
    ("laguerre_polynomial_l", bessel.laguerre, "Laguerre"),
    ("legendre_polynomial_p", bessel.legendre, "Legendre"),
):
    _special(
        f"special_{_name}",
        _polynomial,
        inputs=("input", "n"),
        doc=f"The {_who} polynomial of degree n.",
        whole="as many rounds as the largest degree says",
    )
