"""Integers: ``randint``, ``random_`` and ``randperm``.

In: an engine, a count, a dtype, bounds; out: a fresh 1-D array in fill order. A range below 2**28
takes one 32-bit word a value, a wider one a 64-bit word, whatever the dtype; the value is the word
modulo the range (so very slightly biased, as the reference is).
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

from rushlight.runtime.random.checks import (
    Dtype,
    cast,
    cpp_name,
    is_floating,
    largest,
    need_narrow,
    not_implemented,
    precision,
    require,
    scalar_name,
)
from rushlight.runtime.random.engine import Engine
from rushlight.runtime.random.uniform import CHUNK

__all__ = ["randint", "random_", "random_default", "randperm"]

Array = npt.NDArray[Any]

_INT64_MIN = -(1 << 63)
_WIDE_FROM = 1 << 28  # ranges from here on take 64-bit words
_INSIDE_OUT_FROM = (2**32 - 1) // 20  # permutations from here on use the other shuffle


_I8 = np.dtype(np.int64)


def _modulo(words: Array, span: int) -> Array:
    """``words % span``; NumPy's integer division by a constant is several times its remainder."""
    divisor = words.dtype.type(span)
    words -= (words // divisor) * divisor
    return words


def _as_int64(value: int) -> np.int64:
    """A Python integer modulo 2**64, as int64."""
    return np.uint64(value & 0xFFFFFFFFFFFFFFFF).astype(np.int64)


def _fill(engine: Engine, n: int, dtype: Dtype, low: int, span: int) -> Array:
    """``low + word % span``; a span of 2**64 takes the word as it is."""
    if n == 1 and span < _WIDE_FROM and dtype.kind == "i":  # one index at a time is common
        return np.array([low + engine.word() % span]).astype(dtype)
    out = np.empty(n, dtype)
    base = _as_int64(low)
    for begin in range(0, n, CHUNK):
        part = out[begin : begin + CHUNK]
        if span < _WIDE_FROM:
            values = _modulo(engine.words32(part.size), span).astype(np.int64)
        else:
            words = engine.words64(part.size)
            values = (words if span == 1 << 64 else _modulo(words, span)).view(np.int64)
        if low and span != 1 << 64:
            values += base
        if dtype.kind == "b":
            part[:] = values != 0
        elif dtype.kind == "f" or is_floating(dtype):
            part[:] = cast(values, dtype)
        else:
            part[:] = values.astype(dtype)
    return out


def _limits(dtype: Dtype) -> tuple[int, int]:
    if dtype.kind == "b":
        return 0, 1
    if is_floating(dtype):
        most = int(largest(dtype))
        return -most, most
    info = np.iinfo(dtype)
    return int(info.min), int(info.max)


def _check_bounds(dtype: Dtype, low: int, last: int) -> None:
    """Both ends representable; a warning where a float dtype skips integers on the way."""
    least, most = _limits(dtype)
    name = cpp_name(dtype)
    for label, value in (("from", low), ("to - 1", last)):
        require(least <= value <= most, f"{label} is out of bounds for {name}")
    if not is_floating(dtype):
        return
    bits = precision(dtype)
    for label, value in (("from", low), ("to - 1", last)):
        if not -(1 << bits) <= value <= 1 << bits:
            warnings.warn(
                f"{label} is out of bounds [-(2^{bits}), 2^{bits}]. Due to precision limitations "
                f"{name} can support discrete uniform distribution only within this range. This "
                "warning will become an error in version 1.7 release, please fix the code in "
                "advance",
                UserWarning,
                stacklevel=3,
            )


def _in_dtype(value: int, dtype: Dtype) -> int:
    """An integer after a trip through a floating dtype."""
    with np.errstate(over="ignore"):
        there = float(cast(np.array([value], np.int64), dtype).astype(np.float64)[0])
    return int(there) if abs(there) < 2.0**63 else (-1 if there < 0 else 1) << 63


def _raised(low: int, dtype: Dtype) -> int:
    """The lower bound moved up when the dtype rounds it down below itself."""
    nearest = _in_dtype(low + 1, dtype)
    if nearest >= low:
        return low
    return nearest + (1 << (abs(low + 1).bit_length() - precision(dtype)))


def _lowered(high: int, dtype: Dtype) -> int:
    """The upper bound moved down when the dtype rounds the largest value up to it."""
    nearest = _in_dtype(high - 1, dtype)
    if nearest < high:
        return high
    return nearest - (1 << (abs(high - 1).bit_length() - precision(dtype)))


def random_(engine: Engine, n: int, dtype: Dtype, low: int = 0, high: int | None = None) -> Array:
    """Integers from ``low`` up to and without ``high``: ``random_(low, high)``, ``randint``.

    Without ``high``: up to the largest value of an integer dtype, or to 2**24 (float32), 2**53
    (float64), 2**11 (float16), 2**8 (bfloat16), that value included.

    Raises:
        RuntimeError: empty range, or a bound the dtype cannot hold.
        NotImplementedError: a dtype without code for the full 64-bit range.
    """
    if high is not None:
        if low >= high:
            raise RuntimeError(
                f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}"
            )
        if dtype == _I8 and low >= _INT64_MIN and high <= -_INT64_MIN:
            return _fill(engine, n, dtype, low, high - low)
        _need_countable(dtype)
        if is_floating(dtype):
            low, high = _raised(low, dtype), _lowered(high, dtype)
            if low >= high:
                raise RuntimeError(
                    "random_ expects 'from' casted to dtype to be less than 'to' casted to dtype, "
                    f"but got from={low} >= to={high}"
                )
        _check_bounds(dtype, low, high - 1)
        return _fill(engine, n, dtype, low, high - low)
    if low == _INT64_MIN:
        return _full_range(engine, n, dtype)
    _need_countable(dtype)
    last = 1 << precision(dtype) if is_floating(dtype) else _limits(dtype)[1]
    if is_floating(dtype):
        low = _raised(low, dtype)
        if low >= last:
            raise RuntimeError(
                "random_ expects 'from' casted to dtype to be less than or equal to 'to_inc' "
                f"casted to dtype, but got from={low} > to_inc={last}"
            )
    _check_bounds(dtype, low, last)
    return _fill(engine, n, dtype, low, last - low + 1)


randint = random_


def _need_countable(dtype: Dtype) -> None:
    require(
        dtype.kind in "biu" or is_floating(dtype),
        "check_random_bounds handles only integral, floating-point and boolean types",
    )


def _full_range(engine: Engine, n: int, dtype: Dtype) -> Array:
    if n == 0 or dtype.name in ("int64", "float64", "float32", "bfloat16"):
        return _fill(engine, n, dtype, 0, 1 << 64)
    if dtype.name in ("int8", "uint8", "int16", "int32"):
        raise RuntimeError(
            "random_full_64_bits_range_kernel_cpu handles only int64, double, float and bfloat16"
        )
    raise not_implemented("random_full_64_bits_range_kernel_cpu", dtype)


def random_default(engine: Engine, n: int, dtype: Dtype) -> Array:
    """Integers over the dtype's whole non-negative range: ``random_()``."""
    if n:
        need_narrow("random_kernel_cpu", dtype)
        if not (dtype.kind in "biu" or is_floating(dtype)):
            raise not_implemented("random_kernel_cpu", dtype)
    if dtype.kind == "b":
        return _fill(engine, n, dtype, 0, 2)
    if is_floating(dtype):
        span = (1 << precision(dtype)) + 1
    else:
        span = int(np.iinfo(dtype).max) + 1
    if dtype.name == "int32":
        out = np.empty(n, dtype)
        for begin in range(0, n, CHUNK):
            part = out[begin : begin + CHUNK]
            part[:] = engine.words32(part.size) & np.uint32(0x7FFFFFFF)
        return out
    return _fill(engine, n, dtype, 0, span)


def _check_permutation(n: int, dtype: Dtype) -> None:
    if n < 0:
        raise RuntimeError(f"Trying to create tensor with negative dimension {n}: [{n}]")
    need_narrow("randperm", dtype)
    if dtype.kind == "b":
        raise not_implemented("randperm", dtype)
    if dtype.kind in "iu":
        if n - 1 > np.iinfo(dtype).max:
            raise RuntimeError(f"value cannot be converted to type {dtype.name}_t without overflow")
    elif dtype.name != "bfloat16" and n > (1 << precision(dtype)) + 1:
        limit = {11: "2049", 24: "2^24+1", 53: "2^53+1"}[precision(dtype)]
        raise RuntimeError(f"n cannot be greater than {limit} for {scalar_name(dtype)} type.")


def randperm(engine: Engine, n: int, dtype: Dtype | None = None) -> Array:
    """A random permutation of 0 .. n-1: ``randperm``.

    Raises:
        RuntimeError: ``n`` is negative or the dtype cannot hold every value.
    """
    dtype = np.dtype(np.int64) if dtype is None else dtype
    _check_permutation(n, dtype)
    order = _shuffle(engine, n) if n < _INSIDE_OUT_FROM else _shuffle_inside_out(engine, n)
    return cast(order, dtype) if is_floating(dtype) else order.astype(dtype, copy=False)


def _shuffle(engine: Engine, n: int) -> npt.NDArray[np.int64]:
    """Fisher and Yates's shuffle from the front: one 32-bit word for each place but the last."""
    if n < 2:
        return np.arange(n, dtype=np.int64)
    places = list(range(n))
    for begin in range(0, n - 1, CHUNK):
        end = min(begin + CHUNK, n - 1)
        left = np.arange(n - begin, n - end, -1, dtype=np.uint32)
        other = engine.words32(end - begin)
        other %= left
        other += np.arange(begin, end, dtype=np.uint32)
        for i, k in enumerate(other.tolist(), begin):
            places[i], places[k] = places[k], places[i]
    return np.array(places, np.int64)


def _shuffle_inside_out(engine: Engine, n: int) -> npt.NDArray[np.int64]:
    """The shuffle of very long permutations: grows from the front, a 64-bit word for each place."""
    order = np.empty(n, np.int64)
    places: Any = order.data
    for begin in range(0, n, CHUNK):
        end = min(begin + CHUNK, n)
        other = engine.words64(end - begin) % np.arange(begin + 1, end + 1, dtype=np.uint64)
        for i, z in enumerate(other.tolist(), begin):
            places[i] = places[z]
            places[z] = i
    return order
