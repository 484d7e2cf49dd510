"""Uniform values, and the draws that are one float64 uniform each.

In: an engine, a count, a dtype, parameters; out: a fresh 1-D array in fill order. float32 and the
16-bit floats take one 32-bit word a value (24 bits of it), everything in float64 two (53 bits).
Where the reference uses libm, so does this, through ``math``: NumPy's own float64 log and log1p
differ in the last bit on some processors.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from rushlight.runtime.random.checks import (
    Dtype,
    cast,
    check_continuous,
    check_positive,
    check_uniform,
    cpp_name,
    is_floating,
    need_narrow,
    not_implemented,
    require,
    scalar_name,
    spelled,
)
from rushlight.runtime.random.engine import Engine
from rushlight.runtime.random.fma import fma32, fma64

__all__ = [
    "CHUNK",
    "bernoulli_scalar",
    "bernoulli_tensor",
    "cauchy",
    "dropout_mask",
    "exponential",
    "fill_by_libm",
    "geometric",
    "real_view_dtype",
    "rrelu_slopes",
    "uniform",
]

Array = npt.NDArray[Any]

CHUNK = 1 << 15  # values a step: the working arrays stay in the second-level cache


def real_view_dtype(dtype: Dtype) -> Dtype:
    """The dtype of the real and imaginary parts of a complex dtype."""
    return np.dtype({4: np.float16, 8: np.float32, 16: np.float64}[dtype.itemsize])


_F4 = np.dtype(np.float32)


def uniform(engine: Engine, n: int, dtype: Dtype, low: float = 0.0, high: float = 1.0) -> Array:
    """Values in [low, high): ``rand`` and ``uniform_``.

    Raises:
        RuntimeError: bounds out of order, outside the dtype, or too far apart.
        NotImplementedError: a dtype that is neither floating nor complex.
    """
    if low == 0.0 and high == 1.0 and dtype == _F4 and n <= CHUNK:
        return engine.floats(n)  # the commonest draw; 1 is never reached
    if dtype.kind in "cW":  # W: complex32
        return uniform(engine, 2 * n, real_view_dtype(dtype), low, high).view(dtype)
    check_uniform(dtype, low, high)
    wide = dtype.itemsize == 8
    compute = np.dtype(np.float64 if wide else np.float32)
    start, stop = np.array([low, high]).astype(compute)
    width = compute.type(stop - start)
    stretch = _stretching(start, stop, width)
    out = np.empty(n, dtype)
    draw: Callable[[int], Array] = engine.doubles if wide else engine.floats
    first, end = np.array([start, stop]).astype(dtype)
    for begin in range(0, n, CHUNK):
        part = out[begin : begin + CHUNK]
        part[:] = stretch(draw(part.size))
        reached = part == end  # rounding may reach the excluded bound
        if reached.any():
            part[reached] = first
    return out


def _stretching(start: Any, stop: Any, width: Any) -> Callable[[Array], Array]:
    """How to get ``fma(u, width, start)`` from uniforms u: the cheapest way that rounds once."""
    if start == 0:
        return (lambda u: u) if width == 1 else (lambda u: u * width)
    if width.dtype.itemsize == 8:
        return lambda u: fma64(u, width, start)
    wide_width, wide_start = np.float64(width), np.float64(start)
    # Every u * width and start are multiples of this; under 2**53 of it float64 sums are exact.
    unit = min(float(np.spacing(width)) * 2.0**-24, abs(float(np.spacing(start))))
    if max(abs(float(start)), abs(float(stop))) > 2.0**52 * unit:
        return lambda u: fma32(u, width, start)

    def by_exact_sum(u: Array) -> Array:
        values = u.astype(np.float64)
        values *= wide_width
        values += wide_start
        return values.astype(np.float32)

    return by_exact_sum


def fill_by_libm(
    engine: Engine, n: int, dtype: Dtype, rule: Callable[[list[float]], list[float]]
) -> Array:
    """One float64 uniform a value, turned by ``rule`` on Python floats, cast at the end."""
    out = np.empty(n, dtype)
    for begin in range(0, n, CHUNK):
        part = out[begin : begin + CHUNK]
        part[:] = cast(np.array(rule(engine.doubles(part.size).tolist())), dtype)
    return out


def exponential(engine: Engine, n: int, dtype: Dtype, rate: float = 1.0) -> Array:
    """Values of density ``rate * exp(-rate * x)``: ``exponential_``."""
    check_positive("exponential_", "lambda", rate)
    if n:
        check_continuous("Exponential", dtype, scalar_name(dtype))
    scale = -1.0 / rate
    log1p = math.log1p
    return fill_by_libm(engine, n, dtype, lambda us: [scale * log1p(-u) for u in us])


def cauchy(engine: Engine, n: int, dtype: Dtype, median: float = 0.0, sigma: float = 1.0) -> Array:
    """Values of the Cauchy distribution: ``cauchy_``."""
    check_positive("cauchy_", "sigma", sigma)
    check_continuous("Cauchy", dtype, cpp_name(dtype))
    tan, pi = math.tan, math.pi

    def rule(us: list[float]) -> list[float]:
        slopes = [tan(pi * (u - 0.5)) for u in us]
        scaled: list[float] = fma64(slopes, sigma, median).tolist()
        return scaled

    return fill_by_libm(engine, n, dtype, rule)


def geometric(engine: Engine, n: int, dtype: Dtype, p: float) -> Array:
    """Trials up to the first success, from 1: ``geometric_``."""
    if not 0.0 < p < 1.0:
        raise RuntimeError(f"geometric_ expects p to be in (0, 1), but got p={spelled(p)}")
    need_narrow("geometric_cpu", dtype)
    if dtype.kind == "b":
        raise not_implemented("geometric_cpu", dtype)
    bottom = math.log1p(-p)
    log = math.log

    def rule(us: list[float]) -> list[float]:
        trials = np.array([log(u) if u else -math.inf for u in us])
        trials /= bottom
        rounded: list[float] = np.ceil(trials).tolist()
        return rounded

    return fill_by_libm(engine, n, dtype, rule)


def bernoulli_scalar(engine: Engine, n: int, dtype: Dtype, p: float = 0.5) -> Array:
    """1 with probability ``p``, else 0: ``bernoulli_(p)``, any dtype, two words a value.

    Raises:
        RuntimeError: ``p`` is not in [0, 1].
    """
    if not 0.0 <= p <= 1.0:
        raise RuntimeError(f"bernoulli_ expects p to be in [0, 1], but got p={spelled(p)}")
    if n:
        need_narrow("bernoulli_scalar_cpu_", dtype)
    out = np.empty(n, dtype)
    for begin in range(0, n, CHUNK):
        part = out[begin : begin + CHUNK]
        part[:] = engine.doubles(part.size) < p
    return out


def dropout_mask(engine: Engine, n: int, p: float) -> npt.NDArray[np.bool_]:
    """Which of ``n`` values dropout with probability ``p`` keeps."""
    return bernoulli_scalar(engine, n, np.dtype(np.bool_), 1.0 - p)


def bernoulli_tensor(engine: Engine, probabilities: Array, dtype: Dtype | None = None) -> Array:
    """1 with each value's own probability: ``bernoulli(P)`` and ``bernoulli_(P)``.

    Args:
        engine: the generator's engine.
        probabilities: 1-D floating array, in fill order; float64 takes two words a value, the
            others one.
        dtype: of the result; default: that of ``probabilities``.

    Raises:
        RuntimeError: a probability outside [0, 1] (NaN too).
    """
    dtype = probabilities.dtype if dtype is None else dtype
    if dtype.kind == "c" or dtype.name in ("uint16", "uint32", "uint64"):
        raise not_implemented("bernoulli_tensor_cpu_self_", dtype)
    if not is_floating(probabilities.dtype):
        raise not_implemented("bernoulli_tensor_cpu_p_", probabilities.dtype)
    wide = probabilities.dtype.itemsize == 8
    levels: Array = probabilities.astype(np.float64 if wide else np.float32, copy=False)
    require(
        bool((np.greater_equal(levels, 0) & np.less_equal(levels, 1)).all()),
        "Expected p_in >= 0 && p_in <= 1 to be true, but got false.  (Could this error message be "
        "improved?  If so, please report an enhancement request to PyTorch.)",
    )
    draw: Callable[[int], Array] = engine.doubles if wide else engine.floats
    out = np.empty(levels.size, dtype)
    for begin in range(0, levels.size, CHUNK):
        level = levels[begin : begin + CHUNK]
        out[begin : begin + CHUNK] = draw(level.size) < level
    return out


def rrelu_slopes(
    engine: Engine, values: Array, lower: float = 1.0 / 8, upper: float = 1.0 / 3
) -> Array:
    """The factor of each value under training-mode ``rrelu``: 1 above zero, else a random slope.

    Args:
        engine: the generator's engine.
        values: 1-D input in fill order; only values <= 0 draw.
        lower: least slope, rounded to float32 first unless the dtype is float64.
        upper: largest slope, likewise.
    """
    dtype = values.dtype
    if dtype.name not in ("bfloat16", "float32", "float64"):
        raise not_implemented("rrelu_with_noise_out_cpu", dtype)
    compute = np.float64 if dtype.itemsize == 8 else np.float32
    bounds = np.array([lower, upper]).astype(compute).astype(np.float64)
    chosen = values <= 0
    slopes = np.ones(values.size, dtype)
    draws = engine.doubles(int(np.count_nonzero(chosen)))
    slopes[chosen] = cast(draws * (bounds[1] - bounds[0]) + bounds[0], dtype)
    return slopes
