"""Draws whose number of words depends on the values: multinomial, Poisson, gamma, Dirichlet.

In: an engine and an array of parameters; out: a fresh array. Sources: Hoermann, "The transformed
rejection method for generating Poisson random variables" (1993); Marsaglia and Tsang, "A simple
method for generating gamma variables" (2000).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from rushlight.ops.selection import largest_indices
from rushlight.runtime.random.checks import (
    cast,
    is_floating,
    need_floating,
    not_implemented,
    require,
    scalar_name,
)
from rushlight.runtime.random.engine import Engine
from rushlight.runtime.random.uniform import exponential

__all__ = ["dirichlet", "multinomial", "poisson", "standard_gamma"]

Array = npt.NDArray[Any]

_MOST_CATEGORIES = 1 << 24
_TWO_PI = 2.0 * math.pi


class _Doubles:
    """Float64 uniforms one by one, read ahead in blocks; ``close`` returns what was not used."""

    def __init__(self, engine: Engine, expected: int) -> None:
        self._engine = engine
        self._mark = engine.mark()
        self._block = max(16, min(expected, 1 << 15))
        self._values: list[float] = []
        self._at = 0
        self._before = 0  # taken from earlier blocks

    def __call__(self) -> float:
        if self._at == len(self._values):
            self._before += self._at
            self._values = self._engine.doubles(self._block).tolist()
            self._at = 0
        value = self._values[self._at]
        self._at += 1
        return value

    def normal(self) -> float:
        """A standard normal value of the serial path, sharing the engine's spare value."""
        engine = self._engine
        if engine.cached_normal is not None:
            value, engine.cached_normal = engine.cached_normal, None
            return value
        angle = _TWO_PI * self()
        radius = math.sqrt(-2.0 * math.log1p(-self()))
        engine.cached_normal = radius * math.sin(angle)
        return radius * math.cos(angle)

    def close(self) -> None:
        """Put the engine where one-by-one drawing would have left it."""
        self._engine.rewind(self._mark)
        self._engine.skip(2 * (self._before + self._at))


# ---- multinomial -----------------------------------------------------------------------------


def _check_multinomial(weights: Array, count: int, replacement: bool) -> None:
    require(weights.ndim in (1, 2), "prob_dist must be 1 or 2 dim")
    require(
        is_floating(weights.dtype),
        "multinomial only supports floating-point dtypes for input, got: "
        + scalar_name(weights.dtype),
    )
    require(count > 0, "cannot sample n_sample <= 0 samples")
    categories = weights.shape[-1]
    require(
        replacement or count <= categories,
        "cannot sample n_sample > prob_dist.size(-1) samples without replacement",
    )
    require(categories <= _MOST_CATEGORIES, "number of categories cannot exceed 2^24")


def multinomial(
    engine: Engine, weights: Array, count: int, replacement: bool = False
) -> npt.NDArray[np.int64]:
    """``count`` category numbers a row, by weight: ``torch.multinomial``.

    Args:
        engine: the generator's engine.
        weights: floating array, (categories,) or (rows, categories); rows need not sum to 1.
        count: draws a row.
        replacement: whether a category may come again.

    Returns:
        int64 of shape (count,) or (rows, count).

    Raises:
        RuntimeError: weights or counts that are no distribution.
    """
    _check_multinomial(weights, count, replacement)
    rows = weights.reshape(-1, weights.shape[-1]) if weights.size else weights
    shape = (*weights.shape[:-1], count)
    if math.prod(shape) == 0 or weights.size == 0:
        return np.empty(shape, np.int64)
    if replacement and count > 1:
        return _with_replacement(engine, rows, count).reshape(shape)
    wide = rows.astype(np.float64)
    require(
        bool((np.isfinite(wide) & (wide >= 0)).all()),
        "probability tensor contains either `inf`, `nan` or element < 0",
    )
    require(
        bool((wide.sum(-1) > 0).all()),
        "invalid multinomial distribution (sum of probabilities <= 0)",
    )
    # The race: the category whose exponential clock, sped up by its weight, rings first.
    clocks = exponential(engine, rows.size, rows.dtype).reshape(rows.shape)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore", under="ignore"):
        scores = rows / clocks
    if count == 1:
        best: npt.NDArray[np.int64] = np.argmax(scores, axis=-1)
        return best.reshape(shape)
    return np.stack([largest_indices(row, count) for row in scores]).reshape(shape)


def _with_replacement(engine: Engine, rows: Array, count: int) -> npt.NDArray[np.int64]:
    """Look uniforms up in each row's running sum."""
    kind = np.float64 if rows.dtype.itemsize == 8 else np.float32
    out = np.empty((rows.shape[0], count), np.int64)
    for index, row in enumerate(rows):
        weights = row.astype(kind)
        require(
            bool((weights >= 0).all()),
            "invalid multinomial distribution (encountering probability entry < 0)",
        )
        require(
            bool(np.isfinite(weights).all()),
            "invalid multinomial distribution (encountering probability entry = infinity or NaN)",
        )
        running: Any = np.cumsum(weights, dtype=kind)
        total = running[-1]
        require(bool(total > 0), "invalid multinomial distribution (sum of probabilities <= 0)")
        running /= total
        running[-1] = 1
        draws = engine.doubles(count)
        out[index] = np.searchsorted(running.astype(np.float64), draws, side="left")
    return out


# ---- Poisson ---------------------------------------------------------------------------------


def poisson(engine: Engine, rates: Array) -> Array:
    """Poisson counts, one for each rate of a 1-D floating array, in its dtype: ``torch.poisson``.

    Raises:
        RuntimeError: a negative or NaN rate.
    """
    need_floating("poisson_cpu", rates.dtype)
    values = rates.astype(np.float64).tolist()
    draw = _Doubles(engine, 4 * len(values))
    try:
        counts = [_poisson_one(rate, draw) for rate in values]
    finally:
        draw.close()
    return cast(np.array(counts, np.float64), rates.dtype)


def _poisson_one(rate: float, draw: Callable[[], float]) -> float:
    require(rate >= 0, "invalid Poisson rate, expected rate to be non-negative")
    if rate >= 10.0:
        return _poisson_rejection(rate, draw)
    if rate == 0.0:
        return 0.0
    limit = math.exp(-rate)
    count, product = 0, draw()
    while product > limit:
        count += 1
        product *= draw()
    return float(count)


def _poisson_rejection(rate: float, draw: Callable[[], float]) -> float:
    """Hoermann's PTRS."""
    log_rate = math.log(rate)
    b = 0.931 + 2.53 * math.sqrt(rate)
    a = -0.059 + 0.02483 * b
    inverse_alpha = 1.1239 + 1.1328 / (b - 3.4)
    limit = 0.9277 - 3.6224 / (b - 2.0)
    while True:
        u = draw() - 0.5
        v = draw()
        distance = 0.5 - abs(u)
        count = float(math.floor((2.0 * a / distance + b) * u + rate + 0.43))
        if distance >= 0.07 and v <= limit:
            return count
        if count < 0 or (distance < 0.013 and v > distance):
            continue
        left = (
            (math.log(v) if v else -math.inf)
            + math.log(inverse_alpha)
            - math.log(a / (distance * distance) + b)
        )
        if left <= -rate + count * log_rate - math.lgamma(count + 1.0):
            return count


# ---- gamma -----------------------------------------------------------------------------------

_THIRD = float(np.float32(1) / np.float32(3))
_SQUEEZE = float(np.float32(0.0331))


def _gamma_one(alpha: float, narrow: bool, draw: _Doubles) -> float:
    """One gamma variate of scale 1; ``narrow``: the shape's arithmetic is in float32."""
    scale = 1.0
    if alpha < 1.0:
        if alpha == 0.0:
            return 0.0
        inverse = float(np.float32(1) / np.float32(alpha)) if narrow else 1.0 / alpha
        scale = _power(1.0 - draw(), inverse)
        alpha = float(np.float32(alpha) + np.float32(1)) if narrow else alpha + 1.0
    d = float(np.float32(alpha) - np.float32(_THIRD)) if narrow else alpha - _THIRD
    c = 1.0 / math.sqrt(9.0 * d) if d > 0 else math.nan
    while True:
        x = draw.normal()
        y = 1.0 + c * x
        while y <= 0:
            x = draw.normal()
            y = 1.0 + c * x
        v = y * y * y
        u = 1.0 - draw()
        square = x * x
        if u < 1.0 - _SQUEEZE * square * square:
            return scale * d * v
        if math.log(u) < 0.5 * square + d * (1.0 - v + math.log(v)):
            return scale * d * v


def _power(base: float, exponent: float) -> float:
    try:
        return math.pow(base, exponent)
    except OverflowError:
        return math.inf


def _smallest(narrow: bool) -> float:
    return float(np.finfo(np.float32 if narrow else np.float64).tiny)


def standard_gamma(engine: Engine, alphas: Array) -> Array:
    """Gamma variates of scale 1, one for each shape of a 1-D float32 or float64 array."""
    if alphas.dtype.name not in ("float32", "float64"):
        raise not_implemented("gamma_cpu", alphas.dtype)
    narrow = alphas.dtype.itemsize == 4
    least = _smallest(narrow)
    draw = _Doubles(engine, 4 * alphas.size)
    try:
        values = [_gamma_one(alpha, narrow, draw) for alpha in alphas.tolist()]
    finally:
        draw.close()
    with np.errstate(over="ignore", under="ignore"):
        cast_values = np.array(values, np.float64).astype(alphas.dtype)
    return np.where(cast_values > least, cast_values, alphas.dtype.type(least))


def dirichlet(engine: Engine, alphas: Array) -> Array:
    """Dirichlet variates along the last dimension: gammas in float64, divided by their sum."""
    if alphas.dtype.name not in ("float32", "float64"):
        raise not_implemented("dirichlet", alphas.dtype)
    draw = _Doubles(engine, 4 * alphas.size)
    try:
        values = [_gamma_one(alpha, False, draw) for alpha in alphas.ravel().tolist()]
    finally:
        draw.close()
    gammas = np.array(values, np.float64).reshape(alphas.shape)
    shares = (gammas / gammas.sum(-1, keepdims=True)).astype(alphas.dtype)
    info = np.finfo(alphas.dtype)
    clipped: Array = np.clip(shares, info.tiny, 1 - info.epsneg)
    return clipped
