"""Loops over large arrays: elementwise functions of one array.

What an operator computes is one small expression (`EXPRESSIONS`), a Python function of the vector
mathematics and vectors: written once, it works on any number of lanes. The generators here put a
loop around it.

The vector mathematics comes as an argument (``codegen/vecmath.py``): generators stand above it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from rushlight.compiler.kernels.emit import Function, Value, VectorType, declarations

__all__ = ["EXPRESSIONS", "FIELDS", "NUMBERS", "PARAMETERS", "Wrap", "elementwise_module", "share"]

PARAMETERS = (("ptr", "arguments"), ("i64", "part"), ("i64", "parts"))
FIELDS = ("x", "out", "count", "rows")
NUMBERS = len(FIELDS)  # the word of the argument block where the first number stands
Wrap = Callable[[Function, VectorType, str], Any]

_TANH_SCALE = math.sqrt(2 / math.pi)


def _mish(m: Any, x: Any) -> Any:
    """tanh(log(1 + e)) = n / (n + 2) with n = e (e + 2), e = exp x; 1 from x = 20 on."""
    e = m.exp(x.at_most(20.0))
    n = e * (e + 2.0)
    return x * (n / (n + 2.0))


def _softplus(m: Any, x: Any, beta: Any, threshold: Any) -> Any:
    scaled = x * beta
    soft = scaled.at_least(0.0) + m.log1p(m.exp(-scaled.abs()))
    return m.select(scaled > threshold, x, soft / beta)


def _elu(m: Any, x: Any, alpha: Any, scale: Any, input_scale: Any) -> Any:
    negative = m.expm1(x.at_most(0.0) * input_scale) * (alpha * scale)
    return m.select(x <= 0.0, negative, x * scale)


def _gelu_tanh(m: Any, x: Any) -> Any:
    inner = (x + x * x * x * 0.044715) * _TANH_SCALE
    return x * 0.5 * (1.0 + m.tanh(inner))


# Record, or record and its attribute in words: the value for an element x and numbers.
EXPRESSIONS: dict[str, Callable[..., Any]] = {
    "exp": lambda m, x: m.exp(x),
    "exp2": lambda m, x: m.exp2(x),
    "expm1": lambda m, x: m.expm1(x),
    "log": lambda m, x: m.log(x),
    "log1p": lambda m, x: m.log1p(x),
    "log2": lambda m, x: m.log2(x),
    "tanh": lambda m, x: m.tanh(x),
    "erf": lambda m, x: m.erf(x),
    "sin": lambda m, x: m.sin(x),
    "cos": lambda m, x: m.cos(x),
    "sigmoid": lambda m, x: m.sigmoid(x),
    "silu": lambda m, x: x * m.sigmoid(x),
    "log_sigmoid": lambda m, x: x.at_most(0.0) - m.log1p(m.exp(-x.abs())),
    "gelu none": lambda m, x: x * 0.5 * (1.0 + m.erf(x * math.sqrt(0.5))),
    "gelu tanh": _gelu_tanh,
    "mish": _mish,
    "softplus": _softplus,
    "elu": _elu,
}


def share(f: Function, count: Value, step: int) -> tuple[Value, Value]:
    """Where this part starts and stops, at multiples of a step."""
    units, _ = f.divide(f.add(count, step - 1), step)
    whole = f.add(units, "%parts", -1)
    size = f.mul(f.divide(whole, "%parts")[0], step)
    start = f.mul("%part", size)
    return start, f.least(count, f.add(start, size))


def elementwise_module(
    t: VectorType, name: str, compute: Callable[..., Any], numbers: int, wrap: Wrap, head: str
) -> str:
    """out[i] = compute(x[i], numbers...) for `count` elements, at least a vector of them.

    The last vector of an array may overlap the one before it: out must not be x.

    Args:
        compute: a function of vectors.
        numbers: how many numbers follow; they stand in the argument block from `NUMBERS` on.
        wrap: makes a vector of a value's name.
        head: what the functions that `compute` uses need declared.
    """
    f = Function(name, PARAMETERS, FIELDS)
    x, out, count = f.field("x", "ptr"), f.field("out", "ptr"), f.field("count")
    given = [f.load(t.scalar, f.at("i64", "%arguments", NUMBERS + i)) for i in range(numbers)]
    values = [wrap(f, t, f.splat(t, number)) for number in given]
    start, stop = share(f, count, 4 * t.lanes)
    last = f.sub(count, t.lanes)
    with f.loop(start, stop, t.lanes) as i:
        at = f.least(i, last)
        source = wrap(f, t, f.load(t.vector, f.at(t.scalar, x, at), t.itemsize))
        result = compute(source, *values)
        f.store(t.vector, result.text, f.at(t.scalar, out, at), t.itemsize)
    return declarations(t) + head + f.text()
