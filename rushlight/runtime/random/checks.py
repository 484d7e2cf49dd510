"""Dtype facts and argument checks of the random fills, with PyTorch's words.

In: the NumPy dtype and the arguments of a call; out: nothing, or PyTorch's exception with its
first line. Messages were read off torch 2.13.0. ``bfloat16`` is known by its dtype's name, so this
package does not import the extension that defines it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Dtype", "cast", "is_floating", "precision", "require", "scalar_name", "spelled"]

Dtype = np.dtype[Any]

# NumPy name -> (the library's scalar type, the name its C++ messages use)
_NAMES = {
    "bool": ("Bool", "bool"),
    "uint8": ("Byte", "unsigned char"),
    "int8": ("Char", "signed char"),
    "int16": ("Short", "short int"),
    "int32": ("Int", "int"),
    "int64": ("Long", "long int"),
    "uint16": ("UInt16", "short unsigned int"),
    "uint32": ("UInt32", "unsigned int"),
    "uint64": ("UInt64", "long unsigned int"),
    "float16": ("Half", "c10::Half"),
    "bfloat16": ("BFloat16", "c10::BFloat16"),
    "float32": ("Float", "float"),
    "float64": ("Double", "double"),
    "complex64": ("ComplexFloat", "c10::complex<float>"),
    "complex128": ("ComplexDouble", "c10::complex<double>"),
    "float8_e4m3fn": ("Float8_e4m3fn", "c10::Float8_e4m3fn"),
    "float8_e5m2": ("Float8_e5m2", "c10::Float8_e5m2"),
}
_DIGITS = {"float16": 11, "bfloat16": 8, "float32": 24, "float64": 53}
_LARGEST = {
    "float16": 65504.0,
    "bfloat16": float.fromhex("0x1.fep127"),
    "float32": float.fromhex("0x1.fffffep127"),
    "float64": float.fromhex("0x1.fffffffffffffp1023"),
}
_UNSIGNED_WIDE = ("uint16", "uint32", "uint64")


_NAME_OF: dict[Dtype, str] = {}


def name_of(dtype: Dtype) -> str:
    """``dtype.name``, remembered: NumPy puts it together anew each time, in 3 us."""
    found = _NAME_OF.get(dtype)
    if found is None:
        found = _NAME_OF[dtype] = dtype.name
    return found


def is_floating(dtype: Dtype) -> bool:
    """Whether the dtype is one of float16, bfloat16, float32, float64."""
    return name_of(dtype) in _DIGITS


def precision(dtype: Dtype) -> int:
    """Significant bits of a real floating dtype."""
    return _DIGITS[name_of(dtype)]


def largest(dtype: Dtype) -> float:
    """The largest finite value of a real floating dtype."""
    return _LARGEST[name_of(dtype)]


def scalar_name(dtype: Dtype) -> str:
    """The name of the scalar type in messages such as ``not implemented for 'Int'``."""
    return _NAMES.get(name_of(dtype), (name_of(dtype), name_of(dtype)))[0]


def cpp_name(dtype: Dtype) -> str:
    """The name of the scalar type in messages such as ``out of bounds for signed char``."""
    return _NAMES.get(name_of(dtype), (name_of(dtype), name_of(dtype)))[1]


def spelled(value: float) -> str:
    """A number as a C++ stream prints it: six significant digits."""
    return format(value, "g")


def require(condition: bool, message: str) -> None:
    """Raise ``RuntimeError(message)`` unless the condition holds."""
    if not condition:
        raise RuntimeError(message)


def not_implemented(kernel: str, dtype: Dtype) -> NotImplementedError:
    """The error of a kernel that has no code for a dtype."""
    return NotImplementedError(f"\"{kernel}\" not implemented for '{scalar_name(dtype)}'")


def need_floating(kernel: str, dtype: Dtype) -> None:
    """Raise unless the dtype is a real floating one."""
    if name_of(dtype) not in _DIGITS:
        raise not_implemented(kernel, dtype)


def need_narrow(kernel: str, dtype: Dtype) -> None:
    """Raise for complex dtypes, wide unsigned dtypes, and those the library has no name for."""
    if name_of(dtype) not in _NAMES or dtype.kind == "c" or name_of(dtype) in _UNSIGNED_WIDE:
        raise not_implemented(kernel, dtype)


def cast(values: npt.NDArray[Any], dtype: Dtype) -> npt.NDArray[Any]:
    """Convert float64 or int64 values as C++ does: 16-bit floats go through float32."""
    if values.dtype == dtype:
        return values
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        if dtype.itemsize == 2 and name_of(dtype) in _DIGITS:
            return values.astype(np.float32).astype(dtype)
        if values.dtype.kind == "f" and dtype.kind in "iu":
            return values.astype(np.int64).astype(dtype)
        return values.astype(dtype)


def check_uniform(dtype: Dtype, low: float, high: float) -> None:
    """The bounds of ``uniform_``: order, range of the dtype, finite width."""
    if name_of(dtype) not in _LARGEST:
        raise not_implemented("check_uniform_bounds", dtype)
    most = _LARGEST[name_of(dtype)]
    if not -most <= low <= most:
        raise RuntimeError(f"from is out of bounds for {cpp_name(dtype)}")
    if not -most <= high <= most:
        raise RuntimeError(f"to is out of bounds for {cpp_name(dtype)}")
    if low > high:
        raise RuntimeError(
            "uniform_ expects to return a [from, to) range, but found "
            f"from={spelled(low)} > to={spelled(high)}"
        )
    if high - low > most:
        raise RuntimeError(
            f"uniform_ expects to-from <= std::numeric_limits<{scalar_name(dtype)}>::max(), but "
            f"found to={spelled(high)} and from={spelled(low)} which result in to-from to exceed "
            "the limit"
        )


def check_normal(std: float) -> None:
    """The spread of ``normal_``."""
    if not std >= 0.0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {spelled(std)}")


def check_positive(name: str, parameter: str, value: float) -> None:
    """A parameter that must be above zero, NaN refused."""
    if not value > 0.0:
        raise RuntimeError(
            f"{name} expects {parameter} > 0.0, but found {parameter}={spelled(value)}"
        )


def check_continuous(distribution: str, dtype: Dtype, name: str) -> None:
    """A continuous distribution asked for a dtype that is not floating."""
    if name_of(dtype) not in _DIGITS:
        raise RuntimeError(
            f"{distribution} distribution is a continuous probability distribution. dtype must be "
            f"a floating point but you specified {name}"
        )
