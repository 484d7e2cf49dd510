"""Where a stretch ends: after an optimiser's step, or where a loop has visibly begun anew.

In: the events as they come, before they are recorded.  A stretch does not end while a graph is open
that a later event may differentiate, unless it has become clear that none will.
"""

from __future__ import annotations

from typing import Any

from rushlight.dispatch.doors import AUTOCAST, BACKWARD, GRAD, STEP, ZERO
from rushlight.dispatch.tensor import Tensor
from rushlight.replay.recording import Recording

__all__ = ["Ends"]

_COMES_ROUND = 3
_REPEATS = 64  # of a call on results made since its last occurrence: layers do repeat
_TRAINING = 1000  # events since a backward pass within which a program is thought to train
_SURELY = 200  # occurrences after which even an open graph does not keep a stretch going
_MODES = (GRAD, AUTOCAST)  # where one is set, no loop begins


class Ends:
    """Decides where the stretches of one thread end."""

    def __init__(self) -> None:
        self._closers: set[int] = set()  # optimisers whose steps end stretches, graph open or not
        self._since_backward = 0  # events since the last backward pass
        self.start()

    def start(self) -> None:
        """A recording begins."""
        self._passes = 0  # backward passes so far
        self._seen: dict[Any, tuple[int, int, int]] = {}  # calls: how often, passes, slots then
        self._steppers: list[Any] = []  # optimisers whose step left a graph open

    def before(self, now: Recording, op: Any, inputs: Any, attrs: Any, kind: Any) -> bool:
        """Whether the stretch is over before this event."""
        return self._recurs(now, op, inputs, attrs, kind) or self._comes_round(
            now, op, inputs, attrs, kind
        )

    def after_step(self, now: Recording, optimizer: Any) -> bool:
        """Whether an optimiser's step ends the stretch: not if a later step may need the graph.

        If the same optimiser steps again and the graph is still open, it stays open for good (the
        last state of a recurrent network, say): from then on its steps end stretches.
        """
        if not now.graph_open() or id(optimizer) in self._closers:
            return True
        if optimizer in self._steppers:
            self._closers.add(id(optimizer))
            return True
        self._steppers.append(optimizer)
        return False

    def _recurs(self, now: Recording, op: Any, inputs: Any, attrs: Any, kind: Any) -> bool:
        """Whether this is the event with which the recording began, with no graph open."""
        if not now.events or kind in _MODES:
            return False
        root = now.events[0]
        if root.op is not op or root.kind is not kind or root.attrs != attrs:
            return False
        if kind in (STEP, ZERO):
            return root.inputs != () and root.inputs[0][1] is inputs[0] and not now.graph_open()
        if now.problem is None:
            for x, r in zip(inputs, root.inputs, strict=False):
                if not _alike(x, r, now.serial):
                    return False
        return self._since_backward > _TRAINING or not now.graph_open()

    def _comes_round(self, now: Recording, op: Any, inputs: Any, attrs: Any, kind: Any) -> bool:
        """Whether a loop without an optimiser's step has begun anew, wherever recording began.

        The first event to come for the third time begins it.  Once there was a backward pass, only
        occurrences with another one in between count: what one iteration repeats is no period.
        """
        self._since_backward += 1
        if kind is BACKWARD:
            self._passes += 1
            self._since_backward = 0
        if kind in _MODES:
            return False
        marks = [
            (x._meta, x._is_parameter and id(x)) if isinstance(x, Tensor) else type(x)
            for x in inputs
        ]
        try:
            sign = (op, kind, attrs, *marks)
            count, passes, slots = self._seen.get(sign, (0, -1, 0))
        except TypeError:  # an attribute that has no hash
            return False
        if passes == self._passes and self._passes:
            return False
        self._seen[sign] = (count + 1, self._passes, len(now.slots))
        known = [x._slot for x in inputs if isinstance(x, Tensor) and x._slot is not None]
        inside = any([slot.serial == now.serial and slot.index >= slots for slot in known])
        if count + 1 < (_REPEATS if inside else _COMES_ROUND):
            return False
        if self._since_backward > _TRAINING or count + 1 >= _SURELY:
            return True
        return not now.graph_open()


def _alike(x: Any, r: tuple[Any, ...], serial: int) -> bool:
    """Whether an input could be what a reference of the first event says."""
    if r[0] == "outside":
        if not isinstance(x, Tensor) or (r[2]._is_parameter and r[2] is not x):
            return False
        return x._meta is r[2]._meta and (x._slot is None or x._slot.serial != serial)
    return r[0] != "value" or r[1] is x
