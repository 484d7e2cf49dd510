"""Normal values: the serial path, the block path, and what is built on them.

In: an engine, a count, a dtype, mean and std; out: a fresh 1-D array in fill order.

The reference takes the block path for 16 or more values in row-major order, else the serial one.
Both are Box-Muller. Serial: float64 through libm, two values a pair of uniforms, the second kept in
the engine for the next call. Block: 8 pairs every 16 values; float64 through libm, float32 (and the
16-bit floats) through the polynomial routines below (after the Cephes library, Moshier 1989, in the
single-precision form of Pommier's sse_mathfun, 2007), whose fused multiply-adds round once.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from rushlight.runtime.random.checks import Dtype, cast, check_normal, check_positive, need_floating
from rushlight.runtime.random.engine import Engine
from rushlight.runtime.random.fma import fma32, fma64
from rushlight.runtime.random.uniform import CHUNK, real_view_dtype, uniform

__all__ = ["log32", "log_normal", "normal", "serial_deviates", "sincos32", "trunc_normal"]

Array = npt.NDArray[Any]
F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]

_TWO_PI = 2.0 * math.pi
_BLOCK = 16
_f4 = np.float32


def _rounded(*values: float) -> list[np.float64]:
    """Float32 constants, held in float64 for the float64 half of a fused multiply-add."""
    return [np.float64(np.float32(value)) for value in values]


_LOG = _rounded(
    7.0376836292e-2,
    -1.1514610310e-1,
    1.1676998740e-1,
    -1.2420140846e-1,
    1.4249322787e-1,
    -1.6668057665e-1,
    2.0000714765e-1,
    -2.4999993993e-1,
    3.3333331174e-1,
)
_COS = _rounded(2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2)
_SIN = _rounded(-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1)
_PI_PARTS = _rounded(-0.78515625, -2.4187564849853515625e-4, -3.77489497744594108e-8)
_LN2_HIGH = np.float64(0.693359375)
_LN2_LOW = _f4(-2.12194440e-4)
_FOUR_OVER_PI = _f4(1.27323954473516)
_SQRT_HALF_BITS = 0x3F3504F3


def _mul_add(a: Array, b: Array | np.float64, c: Array | np.float64) -> F32:
    """Float32 ``a * b + c`` for operands held in float64: exact product, one float64 sum, a cast.

    Two roundings, so not a fused multiply-add in general. Over all 2**24 inputs of ``log32`` and
    ``sincos32`` it gives the same bits as one (tests/test_random_streams.py compares them).
    """
    total = np.multiply(a, b)
    total += c
    return total.astype(np.float32)


def _wide(values: F32) -> F64:
    return values.astype(np.float64)


def log32(x: F32, fma: Any = _mul_add) -> F32:
    """Natural logarithm of float32 values in (0, 1], with the reference's rounding errors."""
    bits = x.view(np.int32) + np.int32(0x3F800000 - _SQRT_HALF_BITS)
    exponent = (bits >> np.int32(23)) - np.int32(127)
    bits &= np.int32(0x7FFFFF)
    bits += np.int32(_SQRT_HALF_BITS)
    t = bits.view(np.float32)  # in [sqrt(1/2), sqrt(2)), then minus 1: exact
    t -= _f4(1)
    e = exponent.astype(np.float32)
    t8 = _wide(t)
    z8 = _wide(t * t)
    y = fma(t8, _LOG[0], _LOG[1])
    for constant in _LOG[2:]:
        y = fma(_wide(y), t8, constant)
    y *= t
    y = fma(_wide(y), z8, _wide(e * _LN2_LOW))
    y = fma(z8, np.float64(-0.5), _wide(y))
    y += t
    result: F32 = fma(_wide(e), _LN2_HIGH, _wide(y))
    return result


def sincos32(angle: F32, fma: Any = _mul_add) -> tuple[F32, F32]:
    """Sine and cosine of float32 angles in [0, 2*pi], with the reference's rounding errors."""
    octant = (angle * _FOUR_OVER_PI).astype(np.int32)
    octant += np.int32(1)
    octant &= np.int32(-2)
    j8 = octant.astype(np.float64)
    x = angle
    for part in _PI_PARTS:
        x = fma(j8, part, _wide(x))
    x8 = _wide(x)
    z = x * x
    z8 = _wide(z)
    c = fma(z8, _COS[0], _COS[1])
    c = fma(_wide(c), z8, _COS[2])
    c *= z
    c = fma(_wide(c), z8, _wide(z * _f4(-0.5)))
    c += _f4(1)
    s = fma(z8, _SIN[0], _SIN[1])
    s = fma(_wide(s), z8, _SIN[2])
    s *= z
    s = fma(_wide(s), x8, x8)
    swap = (octant & np.int32(2)) != 0
    sine, cosine = np.where(swap, c, s), np.where(swap, s, c)
    # The signs go in as the top bit: octants 4..7 for the sine, 2..5 for the cosine.
    sine.view(np.int32)[...] ^= (octant & np.int32(4)) << np.int32(29)
    cosine.view(np.int32)[...] ^= ((octant + np.int32(2)) & np.int32(4)) << np.int32(29)
    return sine, cosine


def _scale32(values: F32, mean: np.float32, std: np.float32) -> F32:
    """``fma(values, std, mean)``, by cheaper operations where they round the same."""
    if std == 1:
        values += mean  # also turns -0 into +0 when the mean is 0
        return values
    if mean == 0:
        values *= std
        values += mean
        return values
    return fma32(values, std, mean)


def _blocks32(engine: Engine, count: int, mean: np.float32, std: np.float32) -> F32:
    """``count`` float32 values, a multiple of 16."""
    draws = engine.floats(count).reshape(-1, 2, 8)
    radius = log32(_f4(1) - draws[:, 0])
    radius *= _f4(-2)
    np.sqrt(radius, out=radius)
    sine, cosine = sincos32(draws[:, 1] * _f4(_TWO_PI))
    np.multiply(radius, cosine, out=draws[:, 0])
    np.multiply(radius, sine, out=draws[:, 1])
    return _scale32(draws.reshape(-1), mean, std)


def _scale64(values: F64, mean: float, std: float) -> F64:
    """``fma(values, std, mean)``, by cheaper operations where they round the same."""
    if std == 1.0:
        return values + mean
    if mean == 0.0:
        return values * std + mean
    return fma64(values, std, mean)


def _blocks64(engine: Engine, count: int, mean: float, std: float) -> F64:
    """``count`` float64 values, a multiple of 16."""
    draws = engine.doubles(count).reshape(-1, 2, 8)
    logs = list(map(math.log, (1.0 - draws[:, 0]).ravel().tolist()))
    angles = (draws[:, 1] * _TWO_PI).ravel().tolist()
    shape = draws[:, 0].shape
    radius = np.sqrt(np.array(logs) * -2.0).reshape(shape)
    draws[:, 0] = radius * np.array(list(map(math.cos, angles))).reshape(shape)
    draws[:, 1] = radius * np.array(list(map(math.sin, angles))).reshape(shape)
    return _scale64(draws.reshape(-1), mean, std)


def _fill_blocks(engine: Engine, n: int, dtype: Dtype, mean: float, std: float) -> Array:
    out = np.empty(n, dtype)
    wide = dtype.itemsize == 8

    def blocks(count: int) -> Array:
        if wide:
            return _blocks64(engine, count, mean, std)
        return cast(_blocks32(engine, count, mean4, std4), dtype)

    with np.errstate(over="ignore"):
        mean4, std4 = _f4(mean), _f4(std)
        whole = n - n % _BLOCK
        for begin in range(0, whole, CHUNK):
            count = min(CHUNK, whole - begin)
            out[begin : begin + count] = blocks(count)
        if n != whole:
            # The reference fills every place with uniforms first (the 16-bit floats only the
            # whole blocks), then draws 16 new ones for the last 16 places.
            if dtype.itemsize != 2:
                engine.skip((n - whole) * (2 if wide else 1))
            out[n - _BLOCK :] = blocks(_BLOCK)
    return out


def serial_deviates(engine: Engine, n: int) -> F64:
    """``n`` standard normal float64 values of the serial path; uses and leaves the spare value."""
    out = np.empty(n, np.float64)
    begin = 0
    if n and engine.cached_normal is not None:
        out[0] = engine.cached_normal
        engine.cached_normal = None
        begin = 1
    log1p, sin, cos = math.log1p, math.sin, math.cos
    while begin < n:
        count = min(CHUNK, n - begin)
        pairs = (count + 1) // 2
        draws = engine.doubles(2 * pairs)
        radius = np.sqrt(np.array([log1p(-u) for u in draws[1::2].tolist()]) * -2.0)
        angles = (draws[0::2] * _TWO_PI).tolist()
        values = np.empty((pairs, 2), np.float64)
        values[:, 0] = radius * np.array(list(map(cos, angles)))
        values[:, 1] = radius * np.array(list(map(sin, angles)))
        out[begin : begin + count] = values.reshape(-1)[:count]
        if count % 2:
            engine.cached_normal = float(values[-1, 1])
        begin += count
    return out


def normal(
    engine: Engine,
    n: int,
    dtype: Dtype,
    mean: float = 0.0,
    std: float = 1.0,
    contiguous: bool = True,
) -> Array:
    """Normal values: ``randn`` and ``normal_``.

    Args:
        engine: the generator's engine.
        n: how many values.
        dtype: floating or complex (both parts then have ``std / sqrt(2)``).
        mean: of the distribution.
        std: standard deviation, at least 0.
        contiguous: whether the tensor being filled is row-major; it chooses the path.

    Raises:
        RuntimeError: ``std`` is negative or NaN.
        NotImplementedError: a dtype that is neither floating nor complex.
    """
    check_normal(std)
    if n == 0:
        return np.empty(0, dtype)
    if dtype.kind in "cW":  # W: complex32
        parts = real_view_dtype(dtype)
        return normal(engine, 2 * n, parts, mean, std / math.sqrt(2.0), contiguous).view(dtype)
    need_floating("normal_kernel_cpu", dtype)
    if n >= _BLOCK and contiguous:
        return _fill_blocks(engine, n, dtype, mean, std)
    out = np.empty(n, dtype)
    begin = 0
    while begin < n:
        part = out[begin : begin + CHUNK]
        part[:] = cast(_scale64(serial_deviates(engine, part.size), mean, std), dtype)
        begin += part.size
    return out


def log_normal(engine: Engine, n: int, dtype: Dtype, mean: float = 1.0, std: float = 2.0) -> Array:
    """``exp`` of serial normal values, in float64 at any size: ``log_normal_``."""
    check_positive("log_normal_", "std", std)
    if n:
        need_floating("log_normal_cpu", dtype)
    out = np.empty(n, dtype)
    for begin in range(0, n, CHUNK):
        part = out[begin : begin + CHUNK]
        exponents = _scale64(serial_deviates(engine, part.size), mean, std).tolist()
        part[:] = cast(np.array([math.exp(x) if x < 709.7 else _exp(x) for x in exponents]), dtype)
    return out


def _exp(x: float) -> float:
    """``math.exp`` that overflows to infinity."""
    try:
        return math.exp(x)
    except OverflowError:
        return math.inf


def trunc_normal(
    engine: Engine, n: int, dtype: Dtype, mean: float, std: float, low: float, high: float
) -> Array:
    """Normal values kept to [low, high] by rejection: ``nn.init.trunc_normal_``.

    A likely interval (more than 0.3 of the mass) redraws whole normal tensors for the places that
    fell outside; an unlikely one proposes uniforms and accepts by the ratio of densities.
    """

    def mass_below(x: float) -> float:
        return (1.0 + math.erf(x / math.sqrt(2.0))) / 2.0

    if mass_below((high - mean) / std) - mass_below((low - mean) / std) > 0.3:
        least, most = np.array([low, high]).astype(dtype)
        values = normal(engine, n, dtype, mean, std)
        pending = (values < least) | (values > most)
        while pending.any():
            values = np.where(pending, normal(engine, n, dtype, mean, std), values)
            pending = (values < least) | (values > most)
        return values
    top = -0.5 * ((max(low, min(mean, high)) - mean) / std) ** 2
    # The reference's subtraction rounds its scalar to the dtype; its division does not.
    centre, peak = np.array([mean, top]).astype(dtype)
    values = uniform(engine, n, dtype, low, high)
    proposed, pending = values, np.ones(n, np.bool_)
    while True:
        with np.errstate(divide="ignore"):
            odds = _stepwise(uniform(engine, n, dtype), lambda x, _: np.log(x))
        limit = _stepwise(
            proposed,
            lambda x, kind: x - centre.astype(kind),
            lambda x, kind: x / kind(std),
            lambda x, kind: x * x,
            lambda x, kind: x * kind(-0.5),
            lambda x, kind: x - peak.astype(kind),
        )
        pending &= odds > limit
        if not pending.any():
            return values
        proposed = uniform(engine, n, dtype, low, high)
        values = np.where(pending, proposed, values)


def _stepwise(values: Array, *steps: Callable[[Array, type[np.floating[Any]]], Array]) -> Array:
    """Apply elementwise steps, each rounded to the dtype; 16-bit floats compute in float32."""
    kind = np.float64 if values.dtype.itemsize == 8 else np.float32
    for step in steps:
        values = step(values.astype(kind, copy=False), kind).astype(values.dtype, copy=False)
    return values
