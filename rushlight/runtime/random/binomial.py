"""Binomial counts: ``torch.binomial``.

In: an engine, counts and probabilities; out: a fresh array.  Few expected successes: the waiting
times between them are summed (Devroye, "Non-uniform random variate generation", 1986, p. 525);
many: Hoermann's transformed rejection, "The generation of binomial random variates" (1993).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from rushlight.runtime.random.checks import cast, need_floating
from rushlight.runtime.random.engine import Engine
from rushlight.runtime.random.sampling import _Doubles

__all__ = ["binomial"]

Array = npt.NDArray[Any]

_MANY = 10.0  # expected successes from which rejection is used
# log k! less Stirling's formula for k = 0, 1, ..., 9
_STIRLING = tuple(
    math.lgamma(k + 1.0) - (k + 0.5) * math.log(k + 1.0) + (k + 1.0) - 0.5 * math.log(2 * math.pi)
    for k in range(10)
)


def binomial(engine: Engine, counts: Array, probs: Array) -> Array:
    """How many of ``counts`` trials succeed with probability ``probs``, 1-D arrays of one dtype.

    Returns:
        An array of that dtype; NaN for a NaN probability.

    Raises:
        RuntimeError: an integer dtype.
    """
    need_floating("binomial_cpu", counts.dtype)
    narrow = counts.dtype.itemsize < 8
    pairs = zip(counts.astype(np.float64).tolist(), probs.astype(np.float64).tolist(), strict=True)
    draw = _Doubles(engine, 4 * counts.size)
    try:
        values = [_one(n, p, draw, narrow) for n, p in pairs]
    finally:
        draw.close()
    return cast(np.array(values, np.float64), counts.dtype)


def _one(n: float, p: float, draw: Callable[[], float], narrow: bool) -> float:
    if n <= 0.0 or p <= 0.0:
        return 0.0
    if p >= 1.0:
        return n
    if math.isnan(p):
        return math.nan
    if p > 0.5:
        return n - _fewer(n, 1.0 - p, draw, narrow)
    return _fewer(n, p, draw, narrow)


def _fewer(n: float, p: float, draw: Callable[[], float], narrow: bool) -> float:
    """For a probability of at most 1/2."""
    return _rejection(n, p, draw, narrow) if n * p >= _MANY else _waiting(n, p, draw)


def _waiting(n: float, p: float, draw: Callable[[], float]) -> float:
    """Counts geometric waiting times until they exceed the number of trials."""
    log_failure = math.log1p(-p)
    passed, successes = 0.0, 0
    while True:
        u = draw()
        passed += math.ceil(math.log(u) / log_failure) if u else math.inf
        if passed > n:
            return float(successes)
        successes += 1


def _stirling(k: float) -> float:
    if k <= 9:
        return _STIRLING[int(k)]
    square = (k + 1) * (k + 1)
    return (1.0 / 12 - (1.0 / 360 - 1.0 / 1260 / square) / square) / (k + 1)


def _rejection(n: float, p: float, draw: Callable[[], float], narrow: bool) -> float:
    """Hoermann's BTRS; ``narrow``: its constants start from float32 products."""
    real: Any = np.float32 if narrow else float
    count, chance = real(n), real(p)
    deviation = float(real(math.sqrt(count * chance * (1 - chance))))
    b = 1.15 + 2.53 * deviation
    a = -0.0873 + 0.0248 * b + 0.01 * p
    centre = float(count * chance) + 0.5
    limit = 0.92 - 4.2 / b
    odds = float(chance / (1 - chance))
    alpha = (2.83 + 5.1 / b) * deviation
    mode = math.floor((count + 1) * chance)
    while True:
        u = draw() - 0.5
        v = draw()
        distance = 0.5 - abs(u)
        k = math.floor((2 * a / distance + b) * u + centre) if distance else -1
        if distance >= 0.07 and v <= limit:
            return float(k)
        if k < 0 or k > n:
            continue
        scaled = v * alpha / (a / (distance * distance) + b)
        bound = (
            (mode + 0.5) * math.log((mode + 1) / (odds * (n - mode + 1)))
            + (n + 1) * math.log((n - mode + 1) / (n - k + 1))
            + (k + 0.5) * math.log(odds * (n - k + 1) / (k + 1))
            + _stirling(mode)
            + _stirling(n - mode)
            - _stirling(k)
            - _stirling(n - k)
        )
        if (math.log(scaled) if scaled else -math.inf) <= bound:
            return float(k)
