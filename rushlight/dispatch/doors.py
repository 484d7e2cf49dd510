"""What stands between the user's program and the eager gate: one cell for each question.

``door[0]`` takes every event: the calls of the gate, and the few things of other files that replay
as one (backward, zero_grad, an optimiser's step, detach, a change of the gradient mode).  It is the
recorder, or the matcher of the event that is expected next.  ``watch[0]`` is told when somebody
looks at a tensor beyond its Meta.  Only the owner's thread records and replays; others run eagerly.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import get_ident
from typing import Any

from rushlight import config
from rushlight.compiler import control

__all__ = [
    "EAGER",
    "Kind",
    "aside",
    "door",
    "enter",
    "epoch",
    "event",
    "exported",
    "forget",
    "hidden",
    "get_ident",
    "history",
    "interrupt",
    "look",
    "watch",
]


class Kind:
    """What sort of event it is; a call of an operator has kind None."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name


WRITE = Kind("write")  # an operator into its first input
DETACH = Kind("detach")  # the same memory without history
DATA = Kind("data")  # the same memory, untracked
BACKWARD = Kind("backward")
ZERO = Kind("zero_grad")
CLEAR = Kind("grad = None")
STEP = Kind("step")
GRAD = Kind("grad mode")
AUTOCAST = Kind("autocast")
DEMAND = Kind("demand")

EAGER: dict[Any, Callable[..., Any]] = {}  # kind -> what does it now


def eager(op: Any, inputs: tuple[Any, ...], attrs: tuple[Any, ...], kind: Any = None) -> Any:
    return EAGER[kind](op, inputs, attrs)


_PATIENCE = 200  # calls before recording begins in a program that trains nothing


def _cold(op: Any, inputs: tuple[Any, ...], attrs: tuple[Any, ...], kind: Any = None) -> Any:
    """The first calls of a program: eager, until something is likely to come round again."""
    calls[0] += 1
    if (kind in (BACKWARD, ZERO, STEP) or calls[0] > _PATIENCE) and get_ident() == owner[0]:
        from rushlight.replay import begin

        begin()
        return door[0](op, inputs, attrs, kind)
    return EAGER[kind](op, inputs, attrs)


calls = [0]
door: list[Callable[..., Any]] = [_cold if config.tier() is None else eager]
watch: list[Any] = [None]  # an object with `look(tensor)` and `interrupt(reason)`
owner: list[int] = [get_ident()]
epoch = [0]  # counts changes of what a tensor is: its memory, layout, whether it requires grad


def aside(run: Callable[..., Any], *arguments: Any) -> Any:
    """Calls a function of which nothing is recorded or matched."""
    was = door[0], watch[0]
    door[0], watch[0] = eager, None
    try:
        return run(*arguments)
    finally:
        door[0], watch[0] = was


def event(kind: Kind, inputs: tuple[Any, ...], attrs: tuple[Any, ...] = ()) -> Any:
    """Something other than an operator's call happens."""
    return door[0](None, inputs, attrs, kind)


def look(t: Any) -> Any:
    """Somebody is about to read or change what a tensor is beyond its Meta."""
    watcher = watch[0]
    return None if watcher is None else watcher.look(t)


def history(t: Any) -> None:
    """Somebody is about to read or change a tensor's place in the gradient graph."""
    watcher = watch[0]
    if watcher is not None:
        watcher.history(t)


def exported(t: Any) -> None:
    """A tensor's memory is shown to somebody who may write to it unseen."""
    epoch[0] += 1
    watcher = watch[0]
    if watcher is not None:
        watcher.shown(t)


def hidden() -> None:
    """Memory that was shown is so no longer."""
    epoch[0] += 1
    watcher = watch[0]
    if watcher is not None:
        watcher.hidden()


def interrupt(reason: str) -> None:
    """Something happens that is neither recorded nor replayed."""
    watcher = watch[0]
    if watcher is not None:
        watcher.interrupt(reason)


def enter(reason: str) -> None:
    """A mode begins in which nothing is replayed."""
    interrupt(reason)
    if hasattr(door[0], "point"):
        from rushlight.replay import replay

        replay.start()


def forget(reason: str) -> None:
    """Something changes that no guard watches: what was compiled is compiled anew when needed."""
    if calls[0] >= 0:
        return
    from rushlight import replay

    replay.forget(reason)


def _set_tier(tier: int | None) -> None:
    if tier not in (0, None):
        raise ValueError(f"set_tier takes 0 or None, not {tier!r}")
    if tier == 0 and calls[0] >= 0:  # nothing was recorded yet
        door[0] = eager
        return
    from rushlight import replay

    replay.stop()
    if tier is None:
        replay.begin()


def _explain() -> str:
    from rushlight.replay.explain import explain

    return explain()


def _statistics() -> Any:
    from rushlight.replay import replay

    return replay.statistics


control.update(
    explain=_explain,
    reset=lambda: forget("it was reset"),
    set_tier=_set_tier,
    statistics=_statistics,
)
