"""Estimates of how long steps take, good enough to decide who runs them."""

from __future__ import annotations

import math

from rushlight.compiler.steps import CallStep, LoopStep, Step

__all__ = ["nanoseconds", "shared"]

_DEAR = frozenset(
    ("exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "tanh", "sinh")
    + ("cosh", "power", "arctan2", "erf", "gather", "arctan", "arcsin", "arccos")
)
_STEP = 15.0  # what a step costs that does nothing
_WORTH_SHARING = 15_000.0


def nanoseconds(step: Step) -> float:
    """About how long one thread needs for a step."""
    if isinstance(step, LoopStep):
        return _STEP + _loops(step)
    if isinstance(step, CallStep):
        return sum([20_000.0 if b.parts > 1 else 1_000.0 for b in step.bounds])
    return 50_000.0


def _loops(step: LoopStep) -> float:
    k = step.kernel
    outer, inner = math.prod(k.outer), math.prod(k.inner)
    total = 0.0
    for s in k.stages:
        body = sum([0.8 if i.name in _DEAR else 0.06 for i in s.body])
        total += (outer * inner if s.inner else outer) * (body + 0.06 * len(s.stores))
    return total


def shared(step: LoopStep) -> bool:
    """Whether several threads should share a generated kernel."""
    return math.prod(step.kernel.outer) > 1 and _loops(step) >= _WORTH_SHARING
