"""What operators say to dtypes that they do not take: PyTorch's exception types and first lines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rushlight.dtypes import dtype

__all__ = ["needs_tensor_first", "no_overload", "no_pair", "refusal"]

# PyTorch's names of its kernels, where they are not NAME_cpu
_KERNELS = {
    "amax": "max_values_cpu",
    "amin": "min_values_cpu",
    "bitwise_left_shift": "lshift_cpu",
    "bitwise_right_shift": "rshift_cpu",
    "ceil": "ceil_vml_cpu",
    "digamma": "digamma",
    "erf": "erf_vml_cpu",
    "erfc": "erfc_vml_cpu",
    "erfinv": "erfinv_vml_cpu",
    "floor": "floor_vml_cpu",
    "i0": "i0_vml_cpu",
    "lgamma": "lgamma_vml_cpu",
    "round": "round_vml_cpu",
    "trunc": "trunc_vml_cpu",
}
_NEGATION = (
    "Negation, the `-` operator, on a bool tensor is not supported. If you are trying to invert a "
    "mask, use the `~` or `logical_not()` operator instead."
)
_INVERSION = "~ (operator.invert) is only implemented on integer and Boolean-type tensors"
_SPREAD = "std and var only support floating point and complex dtypes"
_TEXTS: dict[tuple[str, str], tuple[type[Exception], str]] = {
    ("argmax", "b"): (RuntimeError, "argmax(): does not support bool input"),
    ("argmax", "c"): (RuntimeError, "argmax(): does not support complex input"),
    ("argmin", "b"): (RuntimeError, "argmin(): does not support bool input"),
    ("argmin", "c"): (RuntimeError, "argmin(): does not support complex input"),
    **{("bitwise_not", kind): (TypeError, _INVERSION) for kind in "fc"},
    ("ceil", "c"): (NotImplementedError, "ceil is not supported for complex inputs"),
    ("deg2rad", "c"): (RuntimeError, "deg2rad is not supported for complex tensors."),
    ("floor", "c"): (NotImplementedError, "floor is not supported for complex inputs"),
    ("isneginf", "c"): (RuntimeError, "isneginf does not support complex inputs."),
    ("isposinf", "c"): (RuntimeError, "isposinf does not support complex inputs."),
    ("maximum", "c"): (RuntimeError, "maximum not implemented for complex tensors."),
    ("minimum", "c"): (RuntimeError, "minimum not implemented for complex tensors."),
    ("fmax", "c"): (RuntimeError, "fmax not implemented for complex tensors."),
    ("fmin", "c"): (RuntimeError, "fmin not implemented for complex tensors."),
    ("neg", "b"): (RuntimeError, _NEGATION),
    ("rad2deg", "c"): (RuntimeError, "rad2deg is not supported for complex tensors."),
    ("relu", "b"): (RuntimeError, "Boolean inputs not supported for relu"),
    ("relu", "c"): (NotImplementedError, "clamp is not supported for complex types"),
    ("sign", "c"): (
        NotImplementedError,
        "Unlike NumPy, torch.sign is not intended to support complex numbers. Please use "
        "torch.sgn instead.",
    ),
    ("signbit", "c"): (NotImplementedError, "signbit is not implemented for complex tensors."),
    ("trunc", "c"): (NotImplementedError, "trunc is not supported for complex inputs"),
    **{(name, kind): (RuntimeError, _SPREAD) for name in ("std", "var") for kind in "bui"},
}


def refusal(name: str, dt: dtype) -> Exception:
    """The error for an operator (by its record's name) and a dtype that it does not take."""
    known = _TEXTS.get((name, dt.kind))
    if known is not None:
        return known[0](known[1])
    kernel = _KERNELS.get(name, f"{name}_cpu")
    return NotImplementedError(f"\"{kernel}\" not implemented for '{dt.title}'")


def no_overload(name: str, arguments: Sequence[Any], forms: Sequence[str]) -> TypeError:
    """The error for arguments that fit none of a function's forms.

    Args:
        arguments: what was given, or the classes of it.
        forms: the parameters of each form, as PyTorch writes them.
    """
    kinds = ", ".join([_kind(x) for x in arguments])
    return TypeError(
        f"{name}() received an invalid combination of arguments - got ({kinds}), but "
        "expected one of:\n" + "".join([f" * ({form})\n" for form in forms])
    )


def _kind(argument: Any) -> str:
    return (argument if isinstance(argument, type) else type(argument)).__name__


# Functions of two operands that take a Python number as the second alone
_SECOND_ONLY = frozenset(
    ("eq", "ne", "lt", "le", "gt", "ge", "fmod", "copysign", "rsub", "clamp_min", "clamp_max")
)


def no_pair(name: str, names: Sequence[str], arguments: Sequence[Any]) -> TypeError:
    """The error for operands of which none is a tensor, or not the right one."""
    if name in ("add", "sub", "mul", "div"):
        at = 1 if arguments[1] is None else 0
        kind = _kind(arguments[at])
        return TypeError(
            f"{name}(): argument '{names[at]}' (position {at + 1}) must be Tensor, not {kind}"
        )
    first, second = names
    tail = ", *, Tensor out = None"
    forms = [f"Tensor {first}, Tensor {second}{tail}", f"Tensor {first}, Number {second}{tail}"]
    if name not in _SECOND_ONLY:
        forms.insert(1, f"Number self, Tensor {second}{tail}")
    return no_overload(name, arguments, forms)


def needs_tensor_first(name: str) -> bool:
    """Whether a function of two operands refuses a number as the first."""
    return name in _SECOND_ONLY
