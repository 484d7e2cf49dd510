"""How functions and methods are published, and how arguments are read.

``@function`` puts a function into the ``torch`` namespace, ``@method`` onto Tensor, ``@both`` on
both.  ``unary`` and ``binary`` make the public functions of elementwise records.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

import numpy as np

from rushlight import dtypes
from rushlight.devices import default_device, usable
from rushlight.devices import device as Device
from rushlight.dispatch import gate, views
from rushlight.dispatch.gate import call, write, write_into
from rushlight.dispatch.tensor import Tensor
from rushlight.dtypes import dtype as Dtype
from rushlight.ir.op import Op
from rushlight.ops.build import c_name, overflow
from rushlight.ops.refusals import needs_tensor_first, no_pair

__all__ = ["FUNCTIONS", "both", "function", "method"]

F = TypeVar("F", bound=Callable[..., Any])
FUNCTIONS: dict[str, Any] = {}


def function(f: F) -> F:
    """Publishes ``torch.f``."""
    FUNCTIONS[f.__name__] = f
    f.__module__ = "rushlight"
    return f


def method(f: F) -> F:
    """Publishes ``Tensor.f``."""
    setattr(Tensor, f.__name__, f)
    return f


def both(f: F) -> F:
    """Publishes ``torch.f`` and ``Tensor.f``."""
    return method(function(f))


def asks(f: F) -> F:
    """Lets a class of the first argument that overrides have the call first."""

    @functools.wraps(f)
    def wrapper(input: Any, *args: Any, **kwargs: Any) -> Any:
        if type(input) not in gate.PLAIN:
            from rushlight.dispatch.overrides import redirect

            handled, result = redirect(wrapper, (input,), (input, *args), kwargs)
            if handled:
                return result
        return f(input, *args, **kwargs)

    return cast(F, wrapper)


def tensor_property(name: str, getter: Any, setter: Any = None, doc: str = "") -> None:
    """Publishes a property of Tensor."""
    setattr(Tensor, name, property(getter, setter, None, doc))


def alias(name: str, f: Callable[..., Any]) -> None:
    """Publishes a second name of a function that is both in ``torch`` and on Tensor."""
    FUNCTIONS[name] = f
    setattr(Tensor, name, f)


_ARGUMENTS = (
    "",
    """

    Args:
        input: a tensor.
        out: where to write the result; a tensor of its dtype, resized if its shape differs.
    """,
    """

    Args:
        input: a tensor, or a number if ``other`` is a tensor.
        other: a tensor or number; shapes are broadcast, dtypes promoted.
        out: where to write the result; a tensor of its dtype, resized if its shape differs.
    """,
)


def publish(op: Op, f: Callable[..., Any], in_place: Callable[..., Any] | None = None) -> None:
    """Publishes a record's function where the record says."""
    f.__name__ = f.__qualname__ = op.name
    f.__module__ = "rushlight"
    f.__doc__ = op.doc + _ARGUMENTS[min(len(op.inputs), 2)] if op.doc else f.__doc__
    op.public = f
    if "torch" in op.api:
        FUNCTIONS[op.name] = f
    if "method" in op.api:
        setattr(Tensor, op.name, f)
    if "inplace" in op.api and in_place is not None:
        in_place.__name__ = in_place.__qualname__ = op.name + "_"
        in_place.__doc__ = f"``{op.name}`` written into the tensor itself."
        setattr(Tensor, op.name + "_", in_place)
        if "torch" in op.api and len(op.inputs) == 1:
            FUNCTIONS[op.name + "_"] = in_place


def unary(op: Op) -> None:
    """Publishes an elementwise record of one tensor."""

    def f(input: Tensor, *, out: Tensor | None = None) -> Any:
        return call(op, (input,)) if out is None else write_into(op, (input,), (), out)

    def f_(input: Tensor) -> Any:
        return write(op, (input,))

    publish(op, f, f_)


def binary(op: Op) -> None:
    """Publishes an elementwise record of two operands without attributes."""

    tensors_only = "tensors" in op.api
    careful = tensors_only or needs_tensor_first(op.name)

    def f(input: Any, other: Any, *, out: Tensor | None = None) -> Any:
        if type(other) not in gate.PLAIN:
            other = operand(other)
        if careful or other is None or input is None:
            if tensors_only:
                must_be_tensors(op.name, op.inputs, (input, other))
            else:
                _must_be_pair(op, input, other)
        if type(input) not in gate.PLAIN:
            input = operand(input)
        return call(op, (input, other)) if out is None else write_into(op, (input, other), (), out)

    def f_(input: Tensor, other: Any) -> Any:
        if type(other) not in gate.PLAIN:
            other = operand(other)
        return write(op, (input, other))

    if op.inputs[1] == "values":  # heaviside
        publish(
            op,
            lambda input, values, *, out=None: f(input, values, out=out),
            lambda input, values: f_(input, values),
        )
    else:
        publish(op, f, f_)


def must_be_tensors(who: str, names: Sequence[str], values: Sequence[Any]) -> None:
    """Refuses Python numbers for an operator that PyTorch defines on tensors alone.

    Raises:
        TypeError: in PyTorch's words.
    """
    for i, value in enumerate(values):
        if value is None or isinstance(value, (bool, int, float, complex)):
            raise TypeError(
                f"{who}(): argument '{names[i]}' (position {i + 1}) must be Tensor, "
                f"not {type(value).__name__}"
            )


def _must_be_pair(op: Op, input: Any, other: Any) -> None:
    """Refuses None, and a number where only the second operand may be one."""
    numbers = (bool, int, float, complex)
    if input is None or other is None or isinstance(input, numbers):
        raise no_pair(op.name, op.inputs, (input, other))


def operand(value: Any) -> Any:
    """A Tensor or Python number for what a caller passed to an elementwise function."""
    if type(value) in gate.PLAIN:
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (bool, int, float, complex)):  # subclasses, such as IntEnum
        kind: Any = next(k for k in (bool, int, float, complex) if isinstance(value, k))
        return kind(value)
    if isinstance(value, np.ndarray):
        return FUNCTIONS["from_numpy"](value)
    return value


def fitting(value: Any, like: Any) -> Any:
    """An `operand` that is to become the values of a tensor, as a number of the dtype's kind.

    Args:
        like: the tensor, or its dtype.  For anything else the gate finds the words.

    Raises:
        RuntimeError: a number that the dtype cannot hold: too large, or not finite or with an
            imaginary part where there is no such thing.
    """
    value = operand(value)
    dtype = like._meta.dtype if isinstance(like, Tensor) else like
    if not isinstance(dtype, Dtype):
        return value
    if type(value) is complex and dtype.kind == "b":
        return bool(value)
    if type(value) is complex and not (dtype.is_complex or value.imag):
        value = value.real
    if type(value) in (int, float, complex) and not _fits(value, dtype):
        raise overflow(dtype)
    if type(value) is int and value < 0 and dtype.kind == "u":
        value += int(_limits(dtype)[1]) + 1
    return value


def _fits(value: Any, dtype: Dtype) -> bool:
    if type(value) is complex:
        return dtype.is_complex and _fits(value.real, dtype) and _fits(value.imag, dtype)
    if dtype.kind == "b" or dtype.name == "complex32":
        return True
    least, most = _limits(dtype)
    if dtype.kind in "fc":
        return bool(abs(value) <= most or value != value or abs(value) == math.inf)
    if type(value) is int:  # an unsigned dtype takes -x as what lies x from its end
        least = -max(most, -least)
    return bool(least <= value <= most)


@functools.cache
def _limits(dtype: Dtype) -> tuple[float, float]:
    """The least and the largest finite value of a dtype."""
    found = dtypes.finfo(dtype) if dtype.kind in "fc" else dtypes.iinfo(dtype)
    return found.min, found.max


def is_tensor(value: Any) -> bool:
    """Whether this is a tensor, or an object that stands in for one."""
    return isinstance(value, Tensor) or hasattr(type(value), "__torch_function__")


def is_operand(value: Any) -> bool:
    """Whether the gate can take this value (after ``operand``)."""
    return type(value) in gate.PLAIN or is_tensor(value)


def result_or_out(result: Any, out: Any) -> Any:
    """The result of a composite function, or ``out`` after writing the result there."""
    if out is None:
        return result
    targets = out if isinstance(out, (tuple, list)) else (out,)
    if gate.state.grad and any(t._requires_grad for t in targets):
        raise RuntimeError(
            "functions with out=... arguments don't support automatic differentiation, but one of "
            "the arguments requires grad."
        )
    gate.store_out(result, targets)
    return out


def checked_out(out: Any, dtype: Dtype, inputs: Sequence[Any], numel: int = 0) -> Any:
    """``out=`` of an operator that asks for the result's own dtype and for memory of its own."""
    if isinstance(out, Tensor):
        if out._meta.dtype is not dtype:
            raise RuntimeError(
                f"Expected out tensor to have dtype {c_name(dtype)}, but got "
                f"{c_name(out._meta.dtype)} instead"
            )
        views.check_apart(out, inputs, numel)
    return out


def size_of(args: Sequence[Any], name: str = "size", who: str = "") -> tuple[int, ...]:
    """A size given as ints or as one sequence: ``f(2, 3)``, ``f((2, 3))``, ``f([2, 3])``."""
    if len(args) == 1 and isinstance(args[0], (tuple, list)):
        args = args[0]
    for s in args:
        if type(s) is not int:
            return _unusual_size(args, name, who)
    return tuple(args)


def _unusual_size(args: Sequence[Any], name: str, who: str) -> tuple[int, ...]:
    """A size with something else than ints in it: what counts as an int, or an error."""
    if len(args) == 1 and type(args[0]) is not int and not _is_int(args[0]):
        args = args[0]
        if isinstance(args, str) or not hasattr(args, "__iter__"):
            at = f"{who}(): argument '{name}' (position 1)" if who else f"argument '{name}'"
            raise TypeError(f"{at} must be tuple of ints, not {type(args).__name__}")
    sizes = []
    for i, s in enumerate(args):
        if type(s) is int:
            sizes.append(s)
        elif _is_int(s):
            sizes.append(s.__index__())
        elif who:
            raise TypeError(
                f"{who}(): argument '{name}' failed to unpack the object at pos {i + 1} with error "
                f'"type must be tuple of ints,but got {type(s).__name__}"'
            )
        else:
            raise TypeError(
                f"argument '{name}' (position 1) must be tuple of ints, but found element of type "
                f"{type(s).__name__} at pos {i}"
            )
    return tuple(sizes)


def _is_int(value: Any) -> bool:
    if isinstance(value, Tensor):
        return value._meta.numel == 1 and value._meta.ndim == 0 and value._meta.dtype.is_integral
    return hasattr(value, "__index__") and not isinstance(value, float)


def checked_size(size: tuple[int, ...]) -> tuple[int, ...]:
    """A size for a new tensor."""
    for s in size:
        if s < 0:
            raise RuntimeError(f"Trying to create tensor with negative dimension {s}: {list(size)}")
    return size


def device_of(value: Any, who: str = "") -> Device:
    """The device for a new tensor."""
    if value is None:
        return default_device()
    if who and not isinstance(value, (Device, str, int)):
        raise TypeError(
            f"{who}(): argument 'device' must be torch.device, not {type(value).__name__}"
        )
    return usable(value if isinstance(value, Device) else Device(value))


def dtype_of(value: Any, default: Dtype | None = None, who: str = "") -> Dtype:
    """The dtype for a new tensor; Python's ``float``, ``int`` and ``bool`` are accepted."""
    if value is None:
        return default or dtypes.default_float()
    if isinstance(value, Dtype):
        return value
    found = {
        float: dtypes.float64,
        int: dtypes.int64,
        bool: dtypes.bool_,
        complex: dtypes.complex128,
    }.get(value)
    if found is None:
        at = f"{who}(): argument 'dtype'" if who else "dtype"
        raise TypeError(f"{at} must be torch.dtype, not {type(value).__name__}")
    return found


def ints(value: Any) -> Any:
    """Dims as a hashable attribute: an int, None or a tuple of ints."""
    if value is None or type(value) is int:
        return value
    if isinstance(value, (tuple, list)):
        return tuple([v if type(v) is int else v.__index__() for v in value])
    return value.__index__()


def along(who: str, axis: Any) -> Any:
    """A dimension that must be given, where only NumPy's name for it can have been.

    Raises:
        TypeError: it was not.
    """
    if axis is None:
        raise TypeError(f'{who}() missing 1 required positional arguments: "dim"')
    return axis


def number(value: Any, who: str = "", name: str = "", position: int = 1) -> Any:
    """A Python number from a number, NumPy scalar or 0-d tensor."""
    if type(value) in (int, float, bool, complex):
        return value
    if isinstance(value, (Tensor, np.generic)):
        return value.item()
    if who and not isinstance(value, (int, float, complex)):
        raise TypeError(
            f"{who}(): argument '{name}' (position {position}) must be Number, not "
            f"{type(value).__name__}"
        )
    return operand(value)
