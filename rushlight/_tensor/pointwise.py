"""Elementwise functions, methods and operators of Tensor."""

from __future__ import annotations

import builtins
from typing import Any

from rushlight import dtypes
from rushlight._tensor.api import (
    FUNCTIONS,
    alias,
    binary,
    both,
    fitting,
    function,
    is_operand,
    is_tensor,
    method,
    must_be_tensors,
    number,
    operand,
    result_or_out,
    unary,
)
from rushlight.dispatch.gate import PLAIN, call, write, write_into
from rushlight.dispatch.tensor import Tensor
from rushlight.ir import op as records
from rushlight.ops import arithmetic, create, indexing
from rushlight.ops import unary as unary_ops
from rushlight.ops.refusals import no_pair

ADD, SUB, MUL, DIV, POW = (
    arithmetic.add,
    arithmetic.sub,
    arithmetic.mul,
    arithmetic.div,
    arithmetic.pow,
)

for _op in list(records.ops()):
    if _op.kind == "elementwise" and _op.api and not _op.attrs:
        if len(_op.inputs) == 1:
            unary(_op)
        elif len(_op.inputs) == 2:
            binary(_op)

# Functions with parameters of their own


def _alpha_function(op: Any, name: str) -> None:
    def f(input: Any, other: Any, *, alpha: Any = 1, out: Tensor | None = None) -> Any:
        if input is None or other is None:
            raise no_pair(name, op.inputs, (input, other))
        inputs = (operand(input), operand(other))
        attrs = (number(alpha),)
        return call(op, inputs, attrs) if out is None else write_into(op, inputs, attrs, out)

    def f_(input: Tensor, other: Any, *, alpha: Any = 1) -> Any:
        return write(op, (input, operand(other)), (number(alpha),))

    f.__name__ = f.__qualname__ = name
    f.__doc__ = f"``input {'+' if name == 'add' else '-'} alpha * other``, with broadcasting."
    f_.__name__ = f_.__qualname__ = name + "_"
    both(f)
    method(f_)
    op.public = f


_alpha_function(ADD, "add")
_alpha_function(SUB, "sub")
alias("subtract", FUNCTIONS["sub"])
Tensor.subtract_ = Tensor.sub_


@both
def rsub(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    """``other - alpha * input``."""
    if not is_tensor(input):
        raise no_pair("rsub", SUB.inputs, (input, other))
    return call(SUB, (operand(other), operand(input)), (number(alpha),))


@both
def div(
    input: Any, other: Any, *, rounding_mode: str | None = None, out: Tensor | None = None
) -> Any:
    """Quotient, element by element; rounded towards zero (``trunc``) or down (``floor``) on wish.

    Example:
        >>> import rushlight as torch
        >>> torch.div(torch.tensor([7, -7]), 2, rounding_mode="floor")
        tensor([ 3, -4])
    """
    inputs, attrs = (operand(input), operand(other)), (rounding_mode,)
    return call(DIV, inputs, attrs) if out is None else write_into(DIV, inputs, attrs, out)


DIV.public = div


@method
def div_(input: Tensor, other: Any, *, rounding_mode: str | None = None) -> Tensor:
    """``div`` written into the tensor itself."""
    return write(DIV, (input, operand(other)), (rounding_mode,))


@both
def floor_divide(input: Any, other: Any, *, out: Tensor | None = None) -> Any:
    """Quotient rounded down."""
    return div(input, other, rounding_mode="floor", out=out)


@method
def floor_divide_(input: Tensor, other: Any) -> Tensor:
    """``floor_divide`` written into the tensor itself."""
    return div_(input, other, rounding_mode="floor")


for _name in ("divide", "true_divide"):
    alias(_name, div)
    setattr(Tensor, _name + "_", div_)


@both
def pow(input: Any, exponent: Any, *, out: Tensor | None = None) -> Any:
    """``input`` to the power ``exponent``."""
    if exponent is None:
        raise no_pair("pow", POW.inputs, (input, exponent))
    inputs = (operand(input), operand(exponent))
    return call(POW, inputs) if out is None else write_into(POW, inputs, (), out)


POW.public = pow


@method
def pow_(input: Tensor, exponent: Any) -> Tensor:
    """``pow`` written into the tensor itself."""
    return write(POW, (input, operand(exponent)))


@both
def square(input: Tensor, *, out: Tensor | None = None) -> Any:
    """The square of each element."""
    return pow(input, 2, out=out)


@method
def square_(input: Tensor) -> Tensor:
    """``square`` written into the tensor itself."""
    return pow_(input, 2)


@both
def round(input: Tensor, *, decimals: int = 0, out: Tensor | None = None) -> Any:
    """The nearest integer, ties to even; or the nearest number of so many decimals."""
    op = unary_ops.round
    return (
        call(op, (input,), (decimals,))
        if out is None
        else write_into(op, (input,), (decimals,), out)
    )


@method
def round_(input: Tensor, *, decimals: int = 0) -> Tensor:
    """``round`` written into the tensor itself."""
    return write(unary_ops.round, (input,), (decimals,))


@function
def where(
    condition: Tensor, input: Any = None, other: Any = None, *, out: Tensor | None = None
) -> Any:
    """``input`` where the condition holds, else ``other``; alone: ``nonzero(as_tuple=True)``."""
    if input is None and other is None:
        return condition.nonzero(as_tuple=True)
    inputs = (condition, operand(input), operand(other))
    if all(type(x) in (int, float, bool, builtins.complex) for x in inputs[1:]):
        inputs = (condition, FUNCTIONS["tensor"](inputs[1]), FUNCTIONS["tensor"](inputs[2]))
    return (
        call(arithmetic.where, inputs)
        if out is None
        else write_into(arithmetic.where, inputs, (), out)
    )


arithmetic.where.public = where
Tensor.where = lambda self, condition, other: where(condition, self, other)


@both
def clamp(input: Tensor, min: Any = None, max: Any = None, *, out: Tensor | None = None) -> Any:
    """Values kept within [min, max]; bounds are numbers or tensors, either may be missing."""
    inputs = (input, operand(min), operand(max))
    op = arithmetic.clamp
    return call(op, inputs) if out is None else write_into(op, inputs, (), out)


arithmetic.clamp.public = clamp


@method
def clamp_(input: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """``clamp`` written into the tensor itself."""
    return write(arithmetic.clamp, (input, operand(min), operand(max)))


alias("clip", clamp)
Tensor.clip_ = clamp_


def _as_tensor(value: Any) -> Any:
    return value if isinstance(value, Tensor) else FUNCTIONS["tensor"](value)


@both
def clamp_min(input: Tensor, min: Any, *, out: Tensor | None = None) -> Any:
    """Values of at least ``min``."""
    if min is None or not is_tensor(input):
        raise no_pair("clamp_min", ("input", "min"), (input, min))
    if input._meta.dtype is dtypes.bool_:
        return FUNCTIONS["maximum"](input, _as_tensor(min), out=out)
    return clamp(input, min, None, out=out)


@both
def clamp_max(input: Tensor, max: Any, *, out: Tensor | None = None) -> Any:
    """Values of at most ``max``."""
    if max is None or not is_tensor(input):
        raise no_pair("clamp_max", ("input", "max"), (input, max))
    if input._meta.dtype is dtypes.bool_:
        return FUNCTIONS["minimum"](input, _as_tensor(max), out=out)
    return clamp(input, None, max, out=out)


@method
def clamp_min_(input: Tensor, min: Any) -> Tensor:
    """``clamp_min`` written into the tensor itself."""
    return clamp_(input, min, None)


@method
def clamp_max_(input: Tensor, max: Any) -> Tensor:
    """``clamp_max`` written into the tensor itself."""
    return clamp_(input, None, max)


@both
def lerp(input: Tensor, end: Tensor, weight: Any, *, out: Tensor | None = None) -> Any:
    """Linear interpolation: ``input + weight * (end - input)``."""
    inputs, op = (input, end, operand(weight)), arithmetic.lerp
    return call(op, inputs) if out is None else write_into(op, inputs, (), out)


@method
def lerp_(input: Tensor, end: Tensor, weight: Any) -> Tensor:
    """``lerp`` written into the tensor itself."""
    return write(arithmetic.lerp, (input, end, operand(weight)))


def _fused(op: Any, text: str) -> None:
    def f(
        input: Tensor,
        tensor1: Tensor,
        tensor2: Tensor,
        *,
        value: Any = 1,
        out: Tensor | None = None,
    ) -> Any:
        inputs, attrs = (input, tensor1, tensor2), (number(value),)
        return call(op, inputs, attrs) if out is None else write_into(op, inputs, attrs, out)

    def f_(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: Any = 1) -> Any:
        return write(op, (input, tensor1, tensor2), (number(value),))

    f.__name__ = f.__qualname__ = op.name
    f_.__name__ = f_.__qualname__ = op.name + "_"
    f.__doc__ = text
    both(f)
    method(f_)
    op.public = f


_fused(arithmetic.addcmul, "``input + value * tensor1 * tensor2``.")
_fused(arithmetic.addcdiv, "``input + value * tensor1 / tensor2``.")


@both
def masked_fill(input: Tensor, mask: Tensor, value: Any) -> Any:
    """``value`` where the mask is true, ``input`` elsewhere."""
    return call(indexing.masked_fill, (input, mask, fitting(value, input)))


@method
def masked_fill_(input: Tensor, mask: Tensor, value: Any) -> Tensor:
    """``masked_fill`` written into the tensor itself."""
    return write(indexing.masked_fill, (input, mask, fitting(value, input)))


@function
def complex(real: Tensor, imag: Tensor, *, out: Tensor | None = None) -> Any:
    """A complex tensor of these parts."""
    must_be_tensors("complex", ("real", "imag"), (real, imag))
    op = create.complex
    if out is None:
        return call(op, (real, imag))
    wanted = real._meta.dtype.to_complex() if real._meta.dtype.kind == "f" else out._meta.dtype
    if out._meta.dtype is not wanted:
        raise RuntimeError(
            f"Expected object of scalar type {wanted.title} but got scalar type "
            f"{out._meta.dtype.title} for argument 'out'"
        )
    return write_into(op, (real, imag), (), out)


@function
def polar(abs: Tensor, angle: Tensor, *, out: Tensor | None = None) -> Any:
    """A complex tensor of these lengths and angles."""
    must_be_tensors("polar", ("abs", "angle"), (abs, angle))
    return result_or_out(complex(abs * angle.cos(), abs * angle.sin()), out)


for _new, _old in (
    ("absolute", "abs"),
    ("negative", "neg"),
    ("multiply", "mul"),
    ("arccos", "acos"),
    ("arccosh", "acosh"),
    ("arcsin", "asin"),
    ("arcsinh", "asinh"),
    ("arctan", "atan"),
    ("arctanh", "atanh"),
    ("arctan2", "atan2"),
    ("fix", "trunc"),
    ("greater", "gt"),
    ("greater_equal", "ge"),
    ("less", "lt"),
    ("less_equal", "le"),
    ("not_equal", "ne"),
):
    alias(_new, FUNCTIONS[_old])
    if hasattr(Tensor, _old + "_"):
        setattr(Tensor, _new + "_", getattr(Tensor, _old + "_"))
        if _old + "_" in FUNCTIONS:
            FUNCTIONS[_new + "_"] = FUNCTIONS[_old + "_"]

# Operators


def _operator(op: Any, attrs: tuple[Any, ...] = ()) -> Any:
    def forward(self: Tensor, other: Any) -> Any:
        if type(other) not in PLAIN or other is None:
            other = operand(other)
            if other is None or not is_operand(other):
                return NotImplemented
        return call(op, (self, other), attrs)

    forward._operator = True  # type: ignore[attr-defined]
    return forward


def _no_method(name: str, x: Any) -> Exception:
    """What PyTorch says to a method of its tensors that was called on something else."""
    kind = type(x).__name__
    if name == "__rtruediv__":  # PyTorch's is written in Python
        return AttributeError(f"'{kind}' object has no attribute 'reciprocal'")
    return TypeError(
        f"descriptor '{name}' for 'torch._C.TensorBase' objects doesn't apply to a '{kind}' object"
    )


def _reflected(op: Any, name: str, attrs: tuple[Any, ...] = ()) -> Any:
    def backward(self: Tensor, other: Any) -> Any:
        if type(other) is Tensor and not is_tensor(self):  # never by Python, which tries it first
            raise _no_method(name, self)
        if type(other) not in PLAIN or other is None:
            other = operand(other)
            if other is None or not is_operand(other):
                return NotImplemented
        try:
            return call(op, (other, self), attrs)
        except TypeError:
            if is_tensor(self):
                raise
        raise _no_method(name, self)

    backward._operator = True  # type: ignore[attr-defined]
    return backward


def _in_place(op: Any, attrs: tuple[Any, ...] = ()) -> Any:
    def update(self: Tensor, other: Any) -> Any:
        return write(op, (self, operand(other)), attrs)

    return update


for _name, _record, _attrs in (
    ("add", ADD, (1,)),
    ("sub", SUB, (1,)),
    ("mul", MUL, ()),
    ("truediv", DIV, (None,)),
    ("floordiv", DIV, ("floor",)),
    ("mod", arithmetic.remainder, ()),
    ("pow", POW, ()),
    ("and", arithmetic.bitwise_and, ()),
    ("or", arithmetic.bitwise_or, ()),
    ("xor", arithmetic.bitwise_xor, ()),
    ("lshift", arithmetic.bitwise_left_shift, ()),
    ("rshift", arithmetic.bitwise_right_shift, ()),
):
    setattr(Tensor, f"__{_name}__", _operator(_record, _attrs))
    setattr(Tensor, f"__r{_name}__", _reflected(_record, f"__r{_name}__", _attrs))
    setattr(Tensor, f"__i{_name}__", _in_place(_record, _attrs))
Tensor.__rdiv__ = Tensor.__rtruediv__  # type: ignore[attr-defined]
for _name in ("lt", "le", "gt", "ge", "eq", "ne"):
    setattr(Tensor, f"__{_name}__", _operator(getattr(arithmetic, _name)))
Tensor.__hash__ = lambda self: id(self)  # type: ignore[method-assign]
Tensor.__neg__ = lambda self: call(unary_ops.neg, (self,))  # type: ignore[method-assign]
Tensor.__pos__ = lambda self: self
Tensor.__abs__ = lambda self: call(unary_ops.abs, (self,))
Tensor.__invert__ = lambda self: call(arithmetic.bitwise_not, (self,))  # type: ignore[method-assign]


@both
def positive(input: Tensor) -> Tensor:
    """The tensor itself; refused for bool."""
    if input._meta.dtype is dtypes.bool_:
        raise RuntimeError("The `+` operator, on a bool tensor is not supported.")
    return input
