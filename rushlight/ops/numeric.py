"""More elementwise operators: signs, extremes, number theory, stable sums of exponentials."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.ir.op import Op, Plan
from rushlight.ops.build import elementwise, elementwise_meta, opmath

BINARY = ("input", "other")
_LN2 = math.log(2)

# Signs and tests

signbit = elementwise(
    "signbit",
    np.signbit,
    result="bool",
    kinds="buif",
    api="torch method",
    doc="Where an element is negative, or a negative zero.",
)
isposinf = elementwise("isposinf", lambda x: x == np.inf, result="bool", kinds="buif", api="")
isneginf = elementwise("isneginf", lambda x: x == -np.inf, result="bool", kinds="buif", api="")


def _copysign_grad(o: Any, g: Any, x: Any, _y: Any, out: Any) -> Any:
    """The sign that the result gave to x; 0 at 0."""
    ratio = out / x
    return o.where(x == 0, o.zeros_like(g), g * ratio)


copysign = elementwise(
    "copysign",
    np.copysign,
    (_copysign_grad, lambda o, g: o.zeros_like(g)),
    inputs=BINARY,
    result="float",
    kinds="buif",
    doc="The size of ``input`` with the sign of ``other``.",
)


def _heaviside_rule(x: Any, values: Any) -> Plan:
    if x.dtype is not values.dtype:
        raise RuntimeError("heaviside is not yet implemented for tensors with different dtypes.")
    if x.dtype.is_complex:
        raise RuntimeError("heaviside is not yet implemented for complex tensors.")
    return Plan(elementwise_meta((x, values), x.dtype), compute=opmath(x.dtype))


heaviside = Op(
    "heaviside",
    kind="elementwise",
    inputs=("input", "values"),
    rule=_heaviside_rule,
    kernel=lambda x, v: np.where(x == 0, v, (x > 0).astype(x.dtype)),
    api="torch method inplace tensors",
    doc="0 below 0, 1 above, ``values`` at 0.",
)
nextafter = elementwise(
    "nextafter",
    np.nextafter,
    (
        lambda o, g, x, y: o.where(x == y, o.zeros_like(g), g),
        lambda o, g: o.zeros_like(g),
    ),
    inputs=BINARY,
    api="torch method inplace tensors",
    kinds="f",
    doc="The next number after ``input`` in the direction of ``other``.",
)

# Extremes that ignore NaN


def _fmax_grad(o: Any, g: Any, mine: Any, other: Any) -> Any:
    """To the larger; halves for equals; a number wins over NaN."""
    loses = ~((mine >= other) | (other != other))
    return o.where(loses, o.zeros_like(g), g)


fmax = elementwise(
    "fmax",
    np.fmax,
    (
        lambda o, g, x, y: _fmax_grad(o, g, x, y),
        lambda o, g, x, y: o.where((x >= y) | (y != y), o.zeros_like(g), g),
    ),
    inputs=BINARY,
    kinds="buif",
    api="torch method tensors",
    doc="The larger of two elements; a number rather than NaN.",
)
fmin = elementwise(
    "fmin",
    np.fmin,
    (
        lambda o, g, x, y: o.where((x <= y) | (y != y), g, o.zeros_like(g)),
        lambda o, g, x, y: o.where((x <= y) | (y != y), o.zeros_like(g), g),
    ),
    inputs=BINARY,
    kinds="buif",
    api="torch method tensors",
    doc="The smaller of two elements; a number rather than NaN.",
)

# Lengths, angles, exponentials

hypot = elementwise(
    "hypot",
    np.hypot,
    (
        lambda o, g, x, _y, out: g * x / out,
        lambda o, g, _x, y, out: g * y / out,
    ),
    inputs=BINARY,
    api="torch method inplace tensors",
    kinds="f",
    doc="The length of the hypotenuse, sqrt(input^2 + other^2), without overflow.",
)
deg2rad = elementwise(
    "deg2rad",
    lambda x: x * x.dtype.type(math.pi / 180),
    lambda o, g: g * (math.pi / 180),
    result="float",
    kinds="buif",
    doc="Degrees to radians.",
)
rad2deg = elementwise(
    "rad2deg",
    lambda x: x * x.dtype.type(180 / math.pi),
    lambda o, g: g * (180 / math.pi),
    result="float",
    kinds="buif",
    doc="Radians to degrees.",
)


def _sinc(x: Any) -> Any:
    turned = x * x.dtype.type(math.pi)
    return np.where(np.equal(x, 0), x.dtype.type(1), np.sin(turned) / turned)


def _sinc_grad(o: Any, g: Any, x: Any) -> Any:
    """(cos(pi x) pi x - sin(pi x)) / (pi x^2), and 0 at 0."""
    turned = x * math.pi
    slope = (turned * o.cos(turned) - o.sin(turned)) / (turned * x)
    slope = g * o.conj(slope)
    return o.where(x == 0, o.zeros_like(slope), slope)


sinc = elementwise(
    "sinc",
    _sinc,
    _sinc_grad,
    result="float",
    doc="sin(pi x) / (pi x), and 1 at 0.",
)


def _logaddexp(x: Any, y: Any) -> Any:
    if x.dtype.kind != "c":
        return np.logaddexp(x, y)
    larger = np.where(x.real >= y.real, x, y)
    smaller = np.where(x.real >= y.real, y, x)
    total = larger + np.log(1 + np.exp(smaller - larger))
    return np.where(np.isneginf(larger.real), larger, total)


def _share(o: Any, g: Any, mine: Any, out: Any, exp: Any) -> Any:
    """exp(mine - out), and a half where both are the same infinity."""
    if mine._meta.dtype.is_complex:
        return g * o.conj(exp(mine - out))
    gone = (mine == out) & o.isinf(mine)
    return g * o.where(gone, o.full_like(out, 1.0), exp(mine - out))


logaddexp = elementwise(
    "logaddexp",
    _logaddexp,
    (
        lambda o, g, x, _y, out: _share(o, g, x, out, o.exp),
        lambda o, g, _x, y, out: _share(o, g, y, out, o.exp),
    ),
    inputs=BINARY,
    kinds="fc",
    api="torch method tensors",
    doc="log(exp(input) + exp(other)), without overflow.",
)
logaddexp2 = elementwise(
    "logaddexp2",
    np.logaddexp2,
    (
        lambda o, g, x, _y, out: _share(o, g, x, out, o.exp2),
        lambda o, g, _x, y, out: _share(o, g, y, out, o.exp2),
    ),
    inputs=BINARY,
    kinds="f",
    api="torch method tensors",
    doc="log2(2^input + 2^other), without overflow.",
)

# Whole numbers

gcd = elementwise(
    "gcd",
    np.gcd,
    inputs=BINARY,
    api="torch method inplace tensors",
    kinds="ui",
    doc="The greatest common divisor.",
    whole="as many rounds as the numbers say",
)
lcm = elementwise(
    "lcm",
    np.lcm,
    inputs=BINARY,
    api="torch method inplace tensors",
    kinds="ui",
    doc="The least common multiple.",
    whole="as many rounds as the numbers say",
)

# Numbers in the place of NaN and infinities


def _nan_to_num(x: Any, nan: Any, posinf: Any, neginf: Any) -> Any:
    if x.dtype.kind in "bui":
        return x.copy()
    if x.dtype.kind == "c":
        made = np.empty_like(x)
        made.real = _nan_to_num(x.real, nan, posinf, neginf)
        made.imag = _nan_to_num(x.imag, nan, posinf, neginf)
        return made
    x = np.where(np.isnan(x), x.dtype.type(nan), x)
    x = np.where(x == np.inf, x.dtype.type(posinf), x)
    return np.where(x == -np.inf, x.dtype.type(neginf), x)


nan_to_num = elementwise(
    "nan_to_num",
    _nan_to_num,
    lambda o, g, x: g * o.cast(o.isfinite(x), g._meta.dtype),
    attrs=("nan", "posinf", "neginf"),
    defaults=(0.0, math.inf, -math.inf),
    api="",
)

# Mantissa and exponent


def _frexp_rule(m: Any) -> Plan:
    if not m.dtype.is_floating_point:
        raise RuntimeError("torch.frexp() only supports floating-point dtypes")
    first = elementwise_meta((m,), m.dtype)
    return Plan((first, first.like(dtype=dtypes.int32, strides=first.strides)), opmath(m.dtype))


def _frexp_backward(o: Any, needs: Any, g: Any, inputs: Any, outputs: Any) -> Any:
    """The mantissa is x 2^-exponent."""
    return (g[0] * o.exp2(-o.to(outputs[1], g[0]._meta.dtype)),)


frexp = Op(
    "frexp",
    kind="elementwise",
    rule=_frexp_rule,
    kernel=np.frexp,
    backward=_frexp_backward,
    keeps_outputs=(1,),
    whole="a ufunc with two results",
)
