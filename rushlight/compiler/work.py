"""Estimates of how long steps take, good enough to decide who runs them."""

from __future__ import annotations

import math

from rushlight.compiler.steps import CallStep, LoopStep, Step

__all__ = ["nanoseconds", "shared"]

_DEAR = frozenset(
    ("exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "tanh", "sinh")
    + ("cosh", "power", "arctan2", "erf", "gather", "arctan", "arcsin", "arccos")
)
_STEP, _CALL = 15.0, 100.0  # what a step costs that does nothing
# Nanoseconds an element of float32, measured on long rows in the second cache.
_COSTS = {"load": 0.04, "gather": 0.5, "const": 0.0, "number": 0.0, "reduced": 0.0}
_SIMPLE, _FUNCTION, _STORE = 0.015, 0.15, 0.04
_WORTH_SHARING = 10_000.0


def nanoseconds(step: Step) -> float:
    """About how long one thread needs for a step."""
    if isinstance(step, LoopStep):
        return _STEP + _loops(step)
    if isinstance(step, CallStep):
        return _CALL * len(step.bounds) + step.work
    return 50_000.0


def _loops(step: LoopStep) -> float:
    k = step.kernel
    outer, inner = math.prod(k.outer), math.prod(k.inner)
    total = 0.0
    for s in k.stages:
        body = _STORE * len(s.stores)
        for i in s.body:
            plain = _FUNCTION if i.name in _DEAR else _SIMPLE
            body += _COSTS.get(i.name, plain) * i.dtype.itemsize / 4
        total += (outer * inner if s.inner else outer) * body
    return total


def shared(step: LoopStep) -> bool:
    """Whether several threads should share a generated kernel."""
    return math.prod(step.kernel.outer) > 1 and _loops(step) >= _WORTH_SHARING
