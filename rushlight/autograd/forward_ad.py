"""Dual tensors: ``torch.autograd.forward_ad``.

A dual tensor is a tensor whose graph starts at the primal; its tangent, and that of all that is
computed from it, is found when somebody unpacks it, by going backward twice (see
``rushlight/func/transforms.py``).
"""

from __future__ import annotations

from typing import Any, NamedTuple

from rushlight.dispatch import tape
from rushlight.dispatch.tensor import Tensor
from rushlight.func.transforms import (
    Linear,
    Scope,
    check_tangent,
    entered,
    recording,
    settled,
    watched_at_any_level,
)

__all__ = [
    "UnpackedDualTensor",
    "dual_level",
    "enter_dual_level",
    "exit_dual_level",
    "make_dual",
    "unpack_dual",
]


class UnpackedDualTensor(NamedTuple):
    """What `unpack_dual` returns: the value, and the tangent or None."""

    primal: Tensor
    tangent: Tensor | None


class _Level:
    """The duals made between entering and leaving a level."""

    def __init__(self) -> None:
        self.scope = Scope()
        self.duals: list[tuple[Tensor, Tensor]] = []  # (dual, tangent)


_levels: list[_Level] = []


def enter_dual_level() -> int:
    """Starts a level, in which dual tensors can be made; returns its number."""
    if _levels:
        raise RuntimeError("Nested forward mode AD is not supported at the moment")
    _levels.append(_Level())
    return len(_levels) - 1


def exit_dual_level(*, level: int | None = None) -> None:
    """Ends the level: its tangents are gone."""
    if not _levels or level not in (None, len(_levels) - 1):
        raise RuntimeError(
            "Trying to exit a forward AD level that was not the last one that was created. This is "
            "not supported."
        )
    _levels.pop().scope.alive = False


class dual_level:
    """Context in which dual tensors can be made and unpacked.

    Example:
        >>> import rushlight as torch
        >>> import rushlight.autograd.forward_ad as fwAD
        >>> with fwAD.dual_level():
        ...     x = fwAD.make_dual(torch.tensor(3.0), torch.tensor(1.0))
        ...     fwAD.unpack_dual(x * x).tangent
        tensor(6.)
    """

    def __enter__(self) -> int:
        return enter_dual_level()

    def __exit__(self, *exc: object) -> None:
        exit_dual_level()


def _current(level: int | None, what: str) -> _Level | None:
    at = len(_levels) - 1 if level is None else level
    if 0 <= at < len(_levels):
        return _levels[at]
    if what == "make":
        raise RuntimeError(
            "Trying to create a dual Tensor for forward AD but no level exists, make sure to "
            "enter_dual_level() first."
        )
    return None


def make_dual(tensor: Any, tangent: Any, *, level: int | None = None) -> Any:
    """The tensor with a tangent, a tensor of its shape: the direction of differentiation."""
    here = _current(level, "make")
    assert here is not None
    for name, t in (("tensor", tensor), ("tangent", tangent)):
        if not (isinstance(t, Tensor) and t._meta.dtype.kind in "fc"):
            raise ValueError(
                f"Expected {name} to be floating point or complex, but got: "
                f"{t.dtype if isinstance(t, Tensor) else type(t)}"
            )
    check_tangent(tensor, tangent)
    with recording():
        dual = entered(tensor, here.scope)
    here.duals.append((dual, tangent))
    return dual


def unpack_dual(tensor: Any, *, level: int | None = None) -> UnpackedDualTensor:
    """The value and the tangent of a tensor; the tangent is None if no dual led to it."""
    here = _current(level, "unpack")
    if here is None:
        return UnpackedDualTensor(tensor, None)
    duals = [(d, v) for d, v in here.duals if _leads(d, tensor)]
    if not duals:
        return UnpackedDualTensor(tensor, None)
    with recording() as outside:
        linear = Linear([tensor], [d for d, _ in duals])
        linear.end()
        here.scope.alive = False
        try:
            create = outside and any(
                [watched_at_any_level(t) for t in (tensor, *[v for _, v in duals])]
            )
            found = linear([v for _, v in duals], create)[0]
            return UnpackedDualTensor(settled(tensor, outside), settled(found, outside))
        finally:
            here.scope.alive = True


def _leads(dual: Any, tensor: Any) -> bool:
    """Whether a tensor was computed from this dual."""
    goal, start = tape.gradient_edge(dual), tape.gradient_edge(tensor)
    if goal is None or start is None:
        return False
    seen, waiting = {start[0]}, [start[0]]
    while waiting:
        node = waiting.pop()
        if node is goal[0]:
            return True
        for below in node.edges:
            if below is not None and below[0] not in seen:
                seen.add(below[0])
                waiting.append(below[0])
    return False
