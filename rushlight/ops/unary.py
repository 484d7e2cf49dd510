"""Elementwise functions of one tensor: rounding, signs, roots, exponentials, trigonometry."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rushlight.ir.op import Op
from rushlight.ir.strides import like_strides
from rushlight.ops.build import elementwise

_LN2, _LN10 = math.log(2), math.log(10)


neg = elementwise(
    "neg",
    np.negative,
    lambda o, g: -g,
    kinds="uifc",
    doc="The negative of each element; refused for bool.",
)
abs = elementwise(
    "abs",
    np.abs,
    lambda o, g, x: g * o.sgn(x),
    result="real",
    kinds="uifc",
    doc="The size of each element; for complex numbers the distance from 0.",
)


def _sgn_kernel(x: Any) -> Any:
    if x.dtype.kind == "b":
        return x.copy()
    if x.dtype.kind != "c":
        return np.sign(x)
    size = np.abs(x)
    return np.where(size == 0, 0, x / np.where(size == 0, 1, size)).astype(x.dtype)


sign = elementwise(
    "sign",
    _sgn_kernel,
    lambda o, g: o.zeros_like(g),
    kinds="buif",
    doc="-1, 0 or 1 by the sign of each element.",
)


def _sgn_grad(o: Any, g: Any, x: Any, out: Any) -> Any:
    if not x._meta.dtype.is_complex:
        return o.zeros_like(g)
    size = o.abs(x)
    part = (g - o.real(g * o.conj(out)) * out) / size
    return o.where(size == 0, o.zeros_like(part), part)


sgn = elementwise(
    "sgn",
    _sgn_kernel,
    _sgn_grad,
    doc="The sign of each element; for complex numbers the number divided by its size.",
)


def _integers_pass(kernel: Any) -> Any:
    return lambda x: x.copy() if x.dtype.kind in "ui" else kernel(x)


ceil = elementwise(
    "ceil",
    _integers_pass(np.ceil),
    lambda o, g: o.zeros_like(g),
    kinds="uif",
    doc="The smallest whole number that is not below each element.",
)
floor = elementwise(
    "floor",
    _integers_pass(np.floor),
    lambda o, g: o.zeros_like(g),
    kinds="uif",
    doc="The largest whole number that is not above each element.",
)
trunc = elementwise(
    "trunc",
    _integers_pass(np.trunc),
    lambda o, g: o.zeros_like(g),
    kinds="uif",
    doc="The whole part of each element.",
)
frac = elementwise(
    "frac",
    lambda x: x - np.trunc(x),
    lambda o, g: g,
    kinds="f",
    doc="What is left of each element without its whole part.",
)


def _round_decimals(x: Any, decimals: int) -> Any:
    if x.dtype.kind in "ui":
        return x.copy()
    if decimals == 0:
        return np.rint(x)
    scale = x.dtype.type(10.0 ** (decimals if decimals > 0 else -decimals))
    if decimals > 0:
        return np.rint(x * scale) / scale
    return np.rint(x / scale) * scale


round = elementwise(
    "round",
    _round_decimals,
    lambda o, g: o.zeros_like(g),
    attrs=("decimals",),
    defaults=(0,),
    kinds="uif",
)

# Roots, exponentials, logarithms

sqrt = elementwise(
    "sqrt",
    np.sqrt,
    lambda o, g, _x, y: g / o.conj(2 * y),  # 1 / (2 sqrt x)
    result="float",
    domain=(0.1, 4.0),
    doc="The square root of each element; NaN below 0.",
)
rsqrt = elementwise(
    "rsqrt",
    lambda x: 1 / np.sqrt(x),
    lambda o, g, _x, y: -0.5 * g * o.conj(o.pow(y, 3)),  # -x^(-3/2) / 2
    result="float",
    domain=(0.1, 4.0),
    doc="One over the square root of each element.",
)
reciprocal = elementwise(
    "reciprocal",
    lambda x: 1 / x,
    lambda o, g, _x, y: -g * o.conj(y * y),  # -1 / x^2
    result="float",
    domain=(0.5, 4.0),
    doc="One over each element.",
)
exp = elementwise(
    "exp",
    np.exp,
    lambda o, g, _x, y: g * o.conj(y),
    result="float",
    doc="e to the power of each element.",
)
exp2 = elementwise(
    "exp2",
    np.exp2,
    lambda o, g, _x, y: g * o.conj(y) * _LN2,
    result="float",
    doc="2 to the power of each element.",
)
expm1 = elementwise(
    "expm1",
    np.expm1,
    lambda o, g, _x, y: g * (o.conj(y) + 1),
    result="float",
    doc="exp(x) - 1, exact for small x.",
)
log = elementwise(
    "log",
    np.log,
    lambda o, g, x: g / o.conj(x),
    result="float",
    domain=(0.1, 5.0),
    doc="The natural logarithm of each element; NaN below 0.",
)
log2 = elementwise(
    "log2",
    np.log2,
    lambda o, g, x: g / (o.conj(x) * _LN2),
    result="float",
    domain=(0.1, 5.0),
    doc="The logarithm to base 2 of each element.",
)
log10 = elementwise(
    "log10",
    np.log10,
    lambda o, g, x: g / (o.conj(x) * _LN10),
    result="float",
    domain=(0.1, 5.0),
    doc="The logarithm to base 10 of each element.",
)
log1p = elementwise(
    "log1p",
    np.log1p,
    lambda o, g, x: g / (o.conj(x) + 1),
    result="float",
    domain=(-0.9, 4.0),
    doc="log(1 + x), exact for small x.",
)

# Trigonometry

sin = elementwise(
    "sin",
    np.sin,
    lambda o, g, x: g * o.conj(o.cos(x)),
    result="float",
    doc="The sine of each element, in radians.",
)
cos = elementwise(
    "cos",
    np.cos,
    lambda o, g, x: -g * o.conj(o.sin(x)),
    result="float",
    doc="The cosine of each element, in radians.",
)
tan = elementwise(
    "tan",
    np.tan,
    lambda o, g, _x, y: g * o.conj(1 + y * y),
    result="float",
    domain=(-1.2, 1.2),
    doc="The tangent of each element, in radians.",
)
asin = elementwise(
    "asin",
    np.arcsin,
    lambda o, g, x: g * o.conj(o.rsqrt(1 - x * x)),
    result="float",
    domain=(-0.9, 0.9),
    doc="The angle in [-pi/2, pi/2] whose sine is each element.",
)
acos = elementwise(
    "acos",
    np.arccos,
    lambda o, g, x: -g * o.conj(o.rsqrt(1 - x * x)),
    result="float",
    domain=(-0.9, 0.9),
    doc="The angle in [0, pi] whose cosine is each element.",
)
atan = elementwise(
    "atan",
    np.arctan,
    lambda o, g, x: g / o.conj(x * x + 1),
    result="float",
    doc="The angle in (-pi/2, pi/2) whose tangent is each element.",
)
sinh = elementwise(
    "sinh",
    np.sinh,
    lambda o, g, x: g * o.conj(o.cosh(x)),
    result="float",
    doc="The hyperbolic sine of each element.",
)
cosh = elementwise(
    "cosh",
    np.cosh,
    lambda o, g, x: g * o.conj(o.sinh(x)),
    result="float",
    doc="The hyperbolic cosine of each element.",
)
tanh = elementwise(
    "tanh",
    np.tanh,
    lambda o, g, _x, y: g * o.conj(1 - y * y),
    result="float",
    doc="The hyperbolic tangent of each element.",
)
asinh = elementwise(
    "asinh",
    np.arcsinh,
    lambda o, g, x: g * o.conj(o.rsqrt(x * x + 1)),
    result="float",
    doc="The inverse hyperbolic sine of each element.",
)
acosh = elementwise(
    "acosh",
    np.arccosh,
    lambda o, g, x: g * o.conj(1 / (o.sqrt(x - 1) * o.sqrt(x + 1))),
    result="float",
    domain=(1.1, 4.0),
    doc="The inverse hyperbolic cosine of each element; NaN below 1.",
)
atanh = elementwise(
    "atanh",
    np.arctanh,
    lambda o, g, x: g / o.conj(1 - x * x),
    result="float",
    domain=(-0.9, 0.9),
    doc="The inverse hyperbolic tangent of each element; infinite at -1 and 1.",
)


def _over_square(o: Any, y: Any, x: Any) -> Any:
    """1 / (x^2 + y^2); 0 at the origin, where the angle has no derivative."""
    square = x * x + y * y
    return o.where(square == 0, o.zeros_like(square), 1 / square)


atan2 = elementwise(
    "atan2",
    np.arctan2,
    (
        lambda o, g, y, x: g * x * _over_square(o, y, x),  # x / r^2
        lambda o, g, y, x: -g * y * _over_square(o, y, x),  # -y / r^2
    ),
    inputs=("input", "other"),
    api="torch method inplace tensors",
    result="float",
    kinds="buif",
    doc="The angle of the point (other, input) from the x axis, in (-pi, pi].",
)

# Tests of values


def _test(name: str, kernel: Any, doc: str) -> Any:
    return elementwise(name, kernel, None, result="bool", api="torch method", doc=doc)


isnan = _test("isnan", np.isnan, doc="Where an element is NaN.")
isinf = _test("isinf", np.isinf, doc="Where an element is infinite.")
isfinite = _test("isfinite", np.isfinite, doc="Where an element is neither infinite nor NaN.")

# Complex parts

conj_physical = elementwise(
    "conj_physical",
    np.conj,
    lambda o, g: o.conj(g),
    api="torch method inplace",
    doc="The complex conjugate of each element, written out in memory.",
)
angle = elementwise(
    "angle",
    lambda x: (
        np.where(np.isnan(x), x, np.where(x < 0, x.dtype.type(np.pi), x.dtype.type(0)))
        if x.dtype.kind == "f"
        else np.angle(x)
    ),
    lambda o, g, x: _angle_grad(o, g, x),
    result="angle",
    api="",
)


def _angle_grad(o: Any, g: Any, x: Any) -> Any:
    if not x._meta.dtype.is_complex:
        return o.zeros_like(g)
    size = o.abs(x)
    turned = o.complex(-o.imag_part(x), o.real_part(x)) / (size * size)
    return o.where(size == 0, o.zeros_like(turned), g * turned)


# Clones


def _clone_rule(m: Any, strides: Any) -> Any:
    return m.like(strides=strides)


clone_strided = Op(
    "clone_strided",
    kind="elementwise",
    attrs=("strides",),
    rule=_clone_rule,
    kernel=lambda x, strides: x,
    grads=(lambda o, g: g,),
    node="CloneBackward0",
    single_pass=True,
)
clone = Op(
    "clone",
    kind="elementwise",
    rule=lambda m: m.like(strides=like_strides(m.shape, m.strides)),
    kernel=lambda x: x,
    grads=(lambda o, g: g,),
    single_pass=True,
)
