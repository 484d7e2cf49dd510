"""Elementwise functions with parameters, and those made of others: ldexp, dist, renorm, angle."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from rushlight import dtypes
from rushlight._tensor import pointwise  # noqa: F401  its methods get second names here
from rushlight._tensor.api import (
    FUNCTIONS,
    both,
    fitting,
    function,
    is_tensor,
    method,
    must_be_tensors,
    operand,
    result_or_out,
)
from rushlight._tensor.reduction import return_type
from rushlight.dispatch import gate
from rushlight.dispatch.gate import call, write, write_into
from rushlight.dispatch.tensor import Tensor
from rushlight.ops import arithmetic, numeric, unary
from rushlight.ops.refusals import no_pair

__all__: list[str] = []


def _infinite(op: Any, text: str) -> None:
    def f(input: Tensor, *, out: Tensor | None = None) -> Any:
        return call(op, (input,)) if out is None else write_into(op, (input,), (), out)

    f.__name__ = f.__qualname__ = op.name
    f.__doc__ = text
    op.public = both(f)


_infinite(numeric.isposinf, "Where an element is positive infinity.")
_infinite(numeric.isneginf, "Where an element is negative infinity.")


@both
def angle(input: Tensor, *, out: Tensor | None = None) -> Any:
    """The angle of complex numbers; 0 or pi for real ones, NaN for NaN."""
    op = unary.angle
    return call(op, (input,)) if out is None else write_into(op, (input,), (), out)


unary.angle.public = angle


@both
def isreal(input: Tensor) -> Any:
    """Where the imaginary part is 0."""
    return FUNCTIONS["imag"](input) == 0 if input._meta.dtype.is_complex else input == input.real


def _limits(input: Tensor, nan: Any, posinf: Any, neginf: Any) -> tuple[float, float, float]:
    dt = input._meta.dtype
    if dt.is_integral:
        return 0.0, math.inf, -math.inf
    info = dtypes.finfo(dt.to_real())
    return (
        0.0 if nan is None else float(nan),
        info.max if posinf is None else float(posinf),
        info.min if neginf is None else float(neginf),
    )


@both
def nan_to_num(
    input: Tensor,
    nan: float | None = 0.0,
    posinf: float | None = None,
    neginf: float | None = None,
    *,
    out: Tensor | None = None,
) -> Any:
    """Numbers in the place of NaN and the infinities; by default 0 and the largest finite ones."""
    op, attrs = numeric.nan_to_num, _limits(input, nan, posinf, neginf)
    return call(op, (input,), attrs) if out is None else write_into(op, (input,), attrs, out)


numeric.nan_to_num.public = nan_to_num


@both
def nan_to_num_(
    input: Tensor,
    nan: float | None = 0.0,
    posinf: float | None = None,
    neginf: float | None = None,
) -> Tensor:
    """``nan_to_num`` written into the tensor itself."""
    return write(numeric.nan_to_num, (input,), _limits(input, nan, posinf, neginf))


_FREXP = return_type("frexp", "mantissa exponent")


@both
def frexp(input: Tensor, *, out: Any = None) -> Any:
    """Mantissas in [0.5, 1) and int32 exponents with ``input = mantissa * 2 ** exponent``."""
    if out is None:
        return _FREXP(*call(numeric.frexp, (input,)))
    return _FREXP(*write_into(numeric.frexp, (input,), (), tuple(out)))


numeric.frexp.public = frexp


def _power_of_two(input: Tensor, other: Tensor) -> Any:
    """2 to a power, in the input's dtype if the exponents are whole numbers."""
    power = FUNCTIONS["pow"](2.0, other)
    dt = input._meta.dtype
    whole = isinstance(other, Tensor) and other._meta.dtype.is_integral
    return power.to(dt) if whole and dt.is_floating_point else power


@both
def ldexp(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Any:
    """``input * 2 ** other``."""
    must_be_tensors("ldexp", ("input", "other"), (input, other))
    return result_or_out(input * _power_of_two(input, other), out)


@both
def ldexp_(input: Tensor, other: Tensor) -> Tensor:
    """``ldexp`` written into the tensor itself."""
    return write(arithmetic.mul, (input, _power_of_two(input, other)))


def _doubles(value: Any) -> Any:
    """A tensor or number in double precision."""
    value = operand(value)
    if isinstance(value, Tensor):
        wide = dtypes.complex128 if value._meta.dtype.is_complex else dtypes.float64
        return value.to(wide)
    return value


@both
def float_power(input: Any, exponent: Any, *, out: Tensor | None = None) -> Any:
    """A power computed in float64 (complex128 if an operand is complex)."""
    if not is_tensor(input) and not is_tensor(exponent):
        raise no_pair("float_power", ("input", "exponent"), (input, exponent))
    base, exponent = _doubles(input), _doubles(exponent)
    wide = any(
        x._meta.dtype.is_complex if isinstance(x, Tensor) else isinstance(x, complex)
        for x in (base, exponent)
    )
    if wide:
        base, exponent = (
            x.to(dtypes.complex128) if isinstance(x, Tensor) else complex(x)
            for x in (base, exponent)
        )
    return FUNCTIONS["pow"](base, exponent, out=out)


@method
def float_power_(input: Tensor, exponent: Any) -> Tensor:
    """``float_power`` written into the tensor itself, which must be of double precision."""
    dt = input._meta.dtype
    other = exponent._meta.dtype if isinstance(exponent, Tensor) else None
    is_complex = dt.is_complex or isinstance(exponent, complex) or bool(other and other.is_complex)
    wanted = dtypes.complex128 if is_complex else dtypes.float64
    if dt is not wanted:
        raise RuntimeError(
            f"the base given to float_power_ has dtype {dt.title} but the operation's result "
            f"requires dtype {wanted.title}"
        )
    return write(arithmetic.pow, (input, _doubles(exponent)))


@function
def fill(input: Tensor, value: Any) -> Any:
    """A tensor like ``input`` with every element ``value``, a number or 0-d tensor."""
    if isinstance(value, Tensor) and value._meta.ndim:
        raise RuntimeError(
            f"fill only supports 0-dimension value tensor but got tensor with "
            f"{value._meta.ndim} dimensions."
        )
    return call(arithmetic.fill, (input, fitting(value, input)), (True,))


arithmetic.fill.public = fill
# In-place methods of Tensor that are functions of ``torch`` too
for _name in """clamp_ clamp_max_ clamp_min_ clip_ fill_ gcd_ lcm_ round_ square_ xlogy_
    zero_""".split():
    FUNCTIONS[_name] = getattr(Tensor, _name)


# Python functions of elements


def _each(input: Tensor, others: tuple[Tensor, ...], f: Callable[..., Any], name: str) -> Tensor:
    if input._requires_grad and gate.state.grad:
        raise RuntimeError(f"Can't call {name}() on Variable that requires grad.")
    columns = [t.reshape(-1).tolist() for t in (input, *others)]
    made = [f(*values) for values in zip(*columns, strict=True)]
    tensor = FUNCTIONS["tensor"](made, dtype=input._meta.dtype)
    return input.copy_(tensor.reshape(input._meta.shape))  # type: ignore[no-any-return]


@method
def apply_(input: Tensor, callable: Callable[[Any], Any]) -> Tensor:
    """Replaces every element x by ``callable(x)``; slow, one Python call an element."""
    return _each(input, (), callable, "apply_")


@method
def map_(input: Tensor, tensor: Tensor, callable: Callable[[Any, Any], Any]) -> Tensor:
    """Replaces every element x by ``callable(x, y)`` with y from ``tensor``."""
    return _each(input, (tensor.expand_as(input),), callable, "map_")


@method
def map2_(input: Tensor, x: Tensor, y: Tensor, callable: Callable[..., Any]) -> Tensor:
    """Replaces every element by ``callable(element, x, y)`` of three tensors' elements."""
    return _each(input, (x.expand_as(input), y.expand_as(input)), callable, "map2_")


@both
def is_same_size(input: Tensor, other: Tensor) -> bool:
    """Whether two tensors have the same shape."""
    return input._meta.shape == other._meta.shape
