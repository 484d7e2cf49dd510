"""Patience: when compiling pays, when recording does, and which stretches are kept.

A program whose shapes never settle would compile for ever and record in vain.  So both have a
budget, in *credit*: an event that a program stood for earns one, eager events earn a little, and
a compilation costs as many as it takes the time of.  What comes round at once is compiled on
debt, so that hot loops start at once; anything else when it has come often and the credit is
there.  Where recordings lead to nothing, recording rests, longer each time.  All this depends on
counts alone, never on time, so that two runs of a program do the same.
"""

from __future__ import annotations

import weakref
from collections import deque
from typing import Any

from rushlight.dispatch import doors
from rushlight.dispatch.doors import EAGER, STEP, WRITE

__all__ = ["ROW", "Patience", "dismantle", "dismiss", "idle", "resting"]

_TIMES = 2  # a stretch is compiled when it has come this often, at least
_OFTEN = 8  # or this often, if it does not come round at once
_COSTS, _COSTS_EVENT = 500, 50  # what compiling takes, in eager events (2 to 5 ms an event)
_EARNS = 32  # eager events that earn as much as a matched one
_DEBT = 8000  # with more, what comes round at once must wait too
_WINDOW = 32  # recordings that are remembered
ROW = 3  # so many alike in a row are a loop,
_SHARE = 6  # and so is one in so many,
_NONE_NEW = 4  # if so many came round before
_RECORDINGS = 8  # recordings that are judged together, if they have
_EVENTS = 200  # so many events
_REST, _LONGEST_REST = 24, 48  # times as many events as were recorded in vain
_OPTIMIZERS = 16  # so many end a rest with their first step
_IDLE = 16  # compilations that an unused stretch outlives
_IDLE_BYTES = 1 << 26  # memory that unused stretches may hold


class Patience:
    """What a thread's replay has learnt about its program.

    Args:
        statistics: of the replay; it counts the events that were matched and recorded.
    """

    def __init__(self, statistics: Any) -> None:
        self._statistics = statistics
        self._before = statistics.matched, statistics.recorded  # of a life before
        self._rested = 0  # events
        self._spent = 0
        self._window: deque[tuple[Any, int]] = deque(maxlen=_WINDOW)  # stretches and their work
        self._new: deque[bool] = deque(maxlen=_NONE_NEW)  # whether the last stretches were
        self._matched = 0  # events matched when recordings were last judged,
        self._recordings = 0  # and recordings since then
        self._work = 0  # and what they had
        self._rest = _REST
        self._optimizers: weakref.WeakSet[Any] = weakref.WeakSet()
        self._optimizers_left = _OPTIMIZERS

    def _matches(self) -> int:
        matched: int = self._statistics.matched - self._before[0]
        return matched

    def _credit(self) -> int:
        eager = self._statistics.recorded - self._before[1] + self._rested
        credit: int = self._matches() + eager // _EARNS - self._spent
        return credit

    def allows(self, stretch: Any, count: int, recording: Any) -> bool:
        """Whether a stretch is compiled, which has now come so often.

        Args:
            stretch: what all its recordings share.
            count: how often it has come.
            recording: the latest.
        """
        self._new.append(count == 1)
        self._window.append((stretch, _work(recording)))
        if count < _TIMES or not (count >= _OFTEN or self._comes_round(stretch)):
            return False
        cost = _COSTS + _COSTS_EVENT * len(recording.events)
        credit = self._credit()
        if credit < cost and not (credit > -_DEBT and self._comes_round(stretch)):
            return False
        self._spent += cost
        self._recordings = self._work = 0
        return True

    def _comes_round(self, stretch: Any) -> bool:
        """Whether a loop is likely to have begun, of this stretch or of some of which it is one."""
        window = self._window
        all_work = sum([work for _, work in window])
        own_work = sum([work for s, work in window if s is stretch])
        if 2 * own_work >= all_work or all([s is stretch for s, _ in list(window)[-ROW:]]):
            return True
        return own_work * _SHARE >= all_work and not any(self._new)

    def recorded(self, recording: Any, too_long: bool) -> int:
        """A recording has ended; for how many events recording had better rest.

        Args:
            recording: it; if it only fills memory, as when a model is made, it says nothing.
            too_long: whether it was given up.
        """
        for event in recording.events:
            if event.kind is STEP:
                self.is_new(event.detail.optimizer)
        work = _work(recording)
        self._recordings += work > 0
        self._work += work
        if (self._recordings < _RECORDINGS or self._work < _EVENTS) and not too_long:
            return 0
        matched, work = self._matches(), self._work
        pays = 2 * (matched - self._matched) >= work
        self._matched, self._recordings, self._work = matched, 0, 0
        if pays:
            self._rest = _REST
            return 0
        rest = self._rest * work
        self._rest = min(2 * self._rest, _LONGEST_REST)
        self._rested += rest
        return rest

    def is_new(self, optimizer: Any) -> bool:
        """Whether an optimiser has not stepped before; some of a program's are told."""
        if self._optimizers_left == 0 or optimizer in self._optimizers:
            return False
        self._optimizers.add(optimizer)
        self._optimizers_left -= 1
        self._rest = _REST
        return True


def _work(recording: Any) -> int:
    """How many events of a recording compute something other than new contents of memory."""
    return sum([e.kind is not WRITE and not e.hosted for e in recording.events])


def resting(events: int, begin: Any, is_new: Any) -> Any:
    """A door through which so many events go eagerly; then recording begins again.

    Args:
        events: how many.
        begin: called to begin.
        is_new: tells whether an optimiser steps for the first time: something else begins then.
    """
    left = events

    def inner(op: Any, inputs: Any, attrs: Any, kind: Any = None) -> Any:
        return EAGER[kind](op, inputs, attrs)

    def rest(op: Any, inputs: Any, attrs: Any, kind: Any = None) -> Any:
        nonlocal left
        if doors.get_ident() != doors.owner[0]:
            return EAGER[kind](op, inputs, attrs)
        left -= 1
        if left < 0 or (kind is STEP and is_new(inputs[0])):
            begin()
            return doors.door[0](op, inputs, attrs, kind)
        if kind is None or kind is WRITE:
            return EAGER[kind](op, inputs, attrs)
        doors.door[0] = inner  # what it calls is no event
        try:
            return EAGER[kind](op, inputs, attrs)
        finally:
            if doors.door[0] is inner:
                doors.door[0] = rest

    return rest


def idle(roots: list[Any]) -> list[Any]:
    """The roots of the tree that are to go, as others are to come.

    Called before each compilation: those go that have not run during many, or during some if they
    hold much memory.
    """
    gone = []
    total = 0
    for root in roots:
        runs = _runs(root.below())
        root.idle = 0 if runs != root.runs else root.idle + 1
        root.runs = runs
    for root in sorted(roots, key=lambda r: r.idle):
        if root.idle > 1:
            total += root.nbytes
        if root.idle >= _IDLE or (root.idle > 1 and total > _IDLE_BYTES):
            gone.append(root)
    return gone


def _runs(points: list[Any]) -> int:
    return sum([p.times for p in points])


def dismantle(root: Any) -> None:
    """Takes points apart, so that their memory goes at once, not with the next collection."""
    for point in root.below():
        for function in (point.match, point.launch):
            if function is not None:
                function.__globals__.clear()
        point.match = point.launch = point.phase = None
        point.next[0] = None
        point.children = []
        for cell in point.cells:
            cell[:] = [None, None, 0, None, None, 0]


def dismiss(recording: Any) -> None:
    """Lets go of the tensors that a recording knows, which know it: they go at once, likewise."""
    for place in recording.places:
        place.tensor = None
