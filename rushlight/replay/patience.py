"""Patience: when compiling pays, when recording does, and which stretches are kept.

A program whose shapes never settle would compile for ever and record in vain.  So the more compiled
stretches turn out to be of little use, the more often one must come before it is compiled; and
where recordings lead to nothing, recording rests for a while.  All this depends on counts alone,
never on time, so that two runs of a program do the same.
"""

from __future__ import annotations

from typing import Any

from rushlight.dispatch import doors
from rushlight.dispatch.doors import EAGER

__all__ = ["TIMES", "Patience", "dismantle", "idle", "resting"]

TIMES = 2  # a stretch is compiled when it has come this often, at least
_MOST_TIMES = 64
_BATCH = 16  # compiled stretches that are judged together,
_BATCH_EVENTS = 1000  # or fewer that have so many events
_PAYS = 8  # runs of a compiled stretch that make up for its compilation
_RECORDINGS = 64  # recordings that are judged together
_LONGEST_REST = 16  # times as many events as were recorded in vain
_IDLE = 16  # compilations that an unused stretch outlives
_IDLE_BYTES = 1 << 26  # memory that unused stretches may hold


class Patience:
    """What a thread's replay has learnt about its program.

    Attributes:
        times: how often a stretch must come before it is compiled.
    """

    def __init__(self) -> None:
        self.times = TIMES
        self._batch: list[Any] = []
        self._recordings = 0
        self._events = 0
        self._launched = 0
        self._rest = 4

    def compiled(self, path: Any) -> None:
        """A stretch was compiled; those before it are judged when there are enough."""
        n = len(self._batch)
        if n == _BATCH or sum([len(p.points) for p in self._batch]) > _BATCH_EVENTS:
            if sum([min(_runs(p.points), 2 * _PAYS) for p in self._batch]) < n * _PAYS:
                self.times = min(2 * self.times, _MOST_TIMES)
            else:
                self.times = max(self.times // 2, TIMES)
            self._batch.clear()
        self._batch.append(path)

    def recorded(self, events: int, statistics: Any) -> int:
        """A recording has ended; for how many events recording had better rest."""
        self._recordings += 1
        self._events += events
        if self._recordings < _RECORDINGS:
            return 0
        launched = statistics.launched
        in_vain = launched - self._launched < _RECORDINGS // 4
        events = self._events
        self._recordings, self._events, self._launched = 0, 0, launched
        if not in_vain:
            self._rest = 4
            return 0
        rest = self._rest * events
        self._rest = min(2 * self._rest, _LONGEST_REST)
        return rest


def resting(events: int, begin: Any) -> Any:
    """A door through which so many events go eagerly; then recording begins again."""
    left = events

    def rest(op: Any, inputs: Any, attrs: Any, kind: Any = None) -> Any:
        nonlocal left
        left -= 1
        if left < 0 and doors.get_ident() == doors.owner[0]:
            begin()
            return doors.door[0](op, inputs, attrs, kind)
        return EAGER[kind](op, inputs, attrs)

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
