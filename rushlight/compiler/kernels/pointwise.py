"""Loops over large arrays: elementwise functions of one array, and softmax over the last dimension.

What an operator computes is one small expression (`EXPRESSIONS`), a Python function of the vector
mathematics and vectors: written once, it works on any number of lanes. The generators here put a
loop around it.

The vector mathematics comes as an argument (``codegen/vecmath.py``): generators stand above it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from rushlight.compiler.kernels.emit import Function, Value, VectorType, declarations

__all__ = ["EXPRESSIONS", "NUMBERS", "elementwise_module", "softmax_module"]

_PARAMETERS = (("ptr", "arguments"), ("i64", "part"), ("i64", "parts"))
_FIELDS = ("x", "out", "count", "rows")
NUMBERS = len(_FIELDS)  # the word of the argument block where the first number stands
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


def _range(f: Function, count: Value, step: int) -> tuple[Value, Value]:
    """Where this part starts and stops, at multiples of a step."""
    units, _ = f.divide(f.add(count, step - 1), step)
    whole = f.add(units, "%parts", -1)
    share = f.mul(f.divide(whole, "%parts")[0], step)
    start = f.mul("%part", share)
    return start, f.least(count, f.add(start, share))


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
    f = Function(name, _PARAMETERS, _FIELDS)
    x, out, count = f.field("x", "ptr"), f.field("out", "ptr"), f.field("count")
    given = [f.load(t.scalar, f.at("i64", "%arguments", NUMBERS + i)) for i in range(numbers)]
    values = [wrap(f, t, f.splat(t, number)) for number in given]
    start, stop = _range(f, count, 4 * t.lanes)
    last = f.sub(count, t.lanes)
    with f.loop(start, stop, t.lanes) as i:
        at = f.least(i, last)
        source = wrap(f, t, f.load(t.vector, f.at(t.scalar, x, at), t.itemsize))
        result = compute(source, *values)
        f.store(t.vector, result.text, f.at(t.scalar, out, at), t.itemsize)
    return declarations(t) + head + f.text()


# Softmax


def _masked(f: Function, t: VectorType, wrap: Wrap, place: str, count: Value, fill: str) -> Any:
    """The first elements of a vector in memory, a number in the others."""
    v, mask = t.vector, f.first_lanes(t, count)
    arguments = f"ptr {place}, i32 {t.itemsize}, <{t.lanes} x i1> {mask}, {v} {fill}"
    return wrap(f, t, f.op(f"call {v} @llvm.masked.load.{t.suffix}.p0({arguments})"))


def _across(f: Function, t: VectorType, wrap: Wrap, vector: Any, join: Callable[..., Any]) -> Any:
    """All lanes joined, in every lane: halves, quarters and so on, in a fixed order."""
    step = t.lanes // 2
    while step:
        order = ", ".join(f"i32 {i ^ step}" for i in range(t.lanes))
        text = f"shufflevector {t.vector} {vector.text}, {t.vector} poison"
        vector = join(vector, wrap(f, t, f.op(f"{text}, <{t.lanes} x i32> <{order}>")))
        step //= 2
    return vector


def _each_vector(
    f: Function,
    t: VectorType,
    columns: Value,
    inits: Sequence[str],
    body: Callable[..., Sequence[Any]],
) -> list[str]:
    """Runs `body(place, elements left, *carried)` along a row; returns what was carried last."""
    loop = f.begin([("i64", 0), *[(t.vector, init) for init in inits]])
    i, *carried = loop.values
    f.test(loop, f.compare("slt", i, columns))
    after = [v.text for v in body(i, f.sub(columns, i), *carried)]
    f.end(loop, [f.add(i, t.lanes), *after])
    return loop.values[1:]


def softmax_module(t: VectorType, name: str, math_: Any, logarithm: bool, wrap: Wrap) -> str:
    """softmax or its logarithm of `rows` rows of `count` elements.

    Largest element, sum of exponentials, result: three passes over a row that stays in the cache.
    """
    f = Function(name, _PARAMETERS, _FIELDS)
    source, target = f.field("x", "ptr"), f.field("out", "ptr")
    columns, rows = f.field("count"), f.field("rows")
    start, stop = _range(f, rows, 1)
    zero, minus_infinity = "zeroinitializer", wrap(f, t, "poison").number(-math.inf).text
    with f.loop(start, stop) as row:
        x = f.at(t.scalar, source, f.mul(row, columns))
        out = f.at(t.scalar, target, f.mul(row, columns))

        def read(place: str, i: Value, left: Value, fill: str) -> Any:
            return _masked(f, t, wrap, f.at(t.scalar, place, i), left, fill)

        def write(place: str, i: Value, left: Value, value: Any) -> None:
            mask = f.first_lanes(t, left)
            where = f"ptr {f.at(t.scalar, place, i)}, i32 {t.itemsize}, <{t.lanes} x i1> {mask}"
            v = t.vector
            f.line(f"call void @llvm.masked.store.{t.suffix}.p0({v} {value.text}, {where})")

        def largest(i: Value, left: Value, so_far: str) -> Sequence[Any]:
            return [wrap(f, t, so_far).at_least(read(x, i, left, minus_infinity))]

        top = wrap(f, t, *_each_vector(f, t, columns, [minus_infinity], largest))
        top = _across(f, t, wrap, top, lambda a, b: a.at_least(b))

        def summed(i: Value, left: Value, total: str, excess: str) -> Sequence[Any]:
            e = math_.exp(read(x, i, left, minus_infinity) - top)
            if not logarithm:
                write(out, i, left, e)
            before = wrap(f, t, total)
            part = e - wrap(f, t, excess)  # Kahan's sum: what rounding added comes off again
            after = before + part
            return [after, (after - before) - part]

        total = wrap(f, t, _each_vector(f, t, columns, [zero, zero], summed)[0])
        total = _across(f, t, wrap, total, lambda a, b: a + b)
        shift = math_.log(total) if logarithm else total

        def result(i: Value, left: Value) -> Sequence[Any]:
            if logarithm:
                write(out, i, left, read(x, i, left, zero) - top - shift)
            else:
                write(out, i, left, read(out, i, left, zero) / shift)
            return []

        _each_vector(f, t, columns, [], result)
    return "".join([declarations(t), math_.declarations(t), f.text()])
