"""Replay: one thread's way between recording and flights, and what happens when a flight ends.

A stretch that came often enough joins the tree (``library.py``).  From then on its events are
matched (``match.py``) until a program is launched: at an optimiser's step, at a look at a pending
value, or when the stretch is over.  An event that fits nowhere makes the matched events run eagerly
(``bail.py``): nothing has happened yet, so nothing is lost but time.
"""

from __future__ import annotations

import os
from typing import Any

from rushlight.dispatch import doors, modes
from rushlight.dispatch.doors import BACKWARD, DEMAND, EAGER, STEP, WRITE, ZERO
from rushlight.dispatch.tensor import Tensor
from rushlight.replay import bail, elsewhere, kinds
from rushlight.replay.library import Library, Statistics
from rushlight.replay.log import log
from rushlight.replay.match import NOT_ME, count
from rushlight.replay.patience import dismiss, resting
from rushlight.replay.record import TOO_LONG, Recorder
from rushlight.replay.recording import Recording, modes_now
from rushlight.replay.settle import settle
from rushlight.replay.tree import Flight, Point, cells_of, modes_after
from rushlight.runtime.storage import force

__all__ = ["Replay", "begin", "flush", "forget", "replay", "stop"]

_MOST_MISSES = 4  # flights begun in the middle of a recording that may go wrong


class Replay:
    """Recording and replaying of one thread; told by the doors' watch while a flight is under way.

    Attributes:
        resumed: the root at which a flight began out of a recording.
    """

    def __init__(self) -> None:
        self.recorder = Recorder(self.finished, self._resume)
        self.flight = Flight()
        self.library = Library(self.flight, self)
        self.resumed: Point | None = None
        self._last: Point | None = None  # where the last stretch ended

    @property
    def statistics(self) -> Statistics:
        """What recording and replaying have done so far."""
        return self.library.statistics

    # Between stretches

    def start(self) -> None:
        """Begins to record."""
        self.flight.launched = None
        self.recorder.start()

    def finished(self, recording: Recording) -> None:
        """A recording has ended: learn from it, and go on with a flight or another recording."""
        said = self.statistics
        said.recorded += len(recording.events)
        end = None
        try:
            if recording.problem is not None:
                said.refused[recording.problem] += 1
                dismiss(recording)
            elif recording.events:
                end = self.library.learn(recording)
        except BaseException:  # Ctrl-C, or a warning that is an error
            self.start()
            raise
        patience = self.library.patience
        rest = patience.recorded(recording, recording.problem == TOO_LONG)
        if rest and end is None:
            log("trace", f"recording rests for {rest} events")
            doors.door[0], doors.watch[0] = resting(rest, self.start, patience.is_new), None
        else:
            self._expect(end)

    def _expect(self, end: Point | None) -> None:
        """After a stretch: the root that followed it last time, any root, or recording."""
        last, self._last = self._last, end
        roots = self.library.roots
        if end is not None and last is not None and last.event.kind is STEP:
            self.library.follow(last, end.path()[0])
        if not roots:
            self.start()
        else:
            self.arm(roots[-1] if end is None else end.path()[0], modes_now())

    def arm(self, root: Point, now: tuple[Any, ...]) -> None:
        """A flight may begin with this root, or another for the modes that there are now."""
        if root.modes != now:
            root = next((other for other in self.library.roots if other.modes == now), root)
        if root.modes != now or modes.special():
            self.start()
            return
        doors.watch[0] = None
        doors.door[0] = root.match

    def _resume(self, op: Any, inputs: Any, attrs: Any, kind: Any) -> Any:
        """An event that begins a known stretch ends a recording (the way into a loop, say)."""
        now = modes_now()
        for root in self.library.roots:
            if root.misses <= _MOST_MISSES and root.modes == now:
                recording = self.recorder.now
                result = root.match(op, inputs, attrs, kind, _not_me)
                if result is not NOT_ME:
                    self.resumed = root
                    flight = doors.door[0], doors.watch[0]
                    doors.door[0], doors.watch[0] = doors.eager, None
                    try:
                        recording.mark(recording.events[-1])
                        self.finished(recording)
                    finally:
                        doors.door[0], doors.watch[0] = flight
                    return (result,)
        return None

    def uprooted(self, root: Point) -> None:
        """The stretches that begin with a point are no more."""
        if self._last is not None and self._last.path()[0] is root:
            self._last = None

    def forget(self) -> None:
        """Drops all that was compiled."""
        self.library.forget()
        self.recorder.long = 0
        self._last = None

    # Events that are not the expected ones

    def miss(self, point: Point, op: Any, inputs: Any, attrs: Any, kind: Any) -> Any:
        """An event that is not the expected one: another branch, or the end of the flight."""
        if doors.get_ident() != doors.owner[0]:
            return self._elsewhere(op, inputs, attrs, kind)
        parent = point.parent
        for other in self.library.roots if parent is None else parent.children:
            if other is not point and other.modes == point.modes:
                result = other.match(op, inputs, attrs, kind, _not_me)
                if result is not NOT_ME:
                    if parent is not None and not parent.ends:
                        parent.next[0] = other.match
                    return result
        if parent is None:
            self.start()
        else:
            self.bail(parent, f"after {parent.event} came {_name(op, kind)}")
        return doors.door[0](op, inputs, attrs, kind)

    def ended(self, point: Point, op: Any, inputs: Any, attrs: Any, kind: Any) -> Any:
        """The event after a stretch that ends without a step."""
        if doors.get_ident() != doors.owner[0]:
            return self._elsewhere(op, inputs, attrs, kind)
        for child in point.children:
            result = child.match(op, inputs, attrs, kind, _not_me)
            if result is not NOT_ME:
                return result
        if point.phase is None or self.flight.launched is point or point.launch():
            self.complete(point)
        return doors.door[0](op, inputs, attrs, kind)

    def complete(self, point: Point) -> None:
        """A stretch is over and its programs have run."""
        self.resumed = None
        doors.watch[0] = None
        points = point.path()
        if point.event.open:
            settle(points, self.flight)
            bail.release(points)
        self.arm(points[0], modes_after(points))

    def _elsewhere(self, op: Any, inputs: Any, attrs: Any, kind: Any) -> Any:
        """An event of another thread: it runs eagerly, once what it needs is there."""
        elsewhere.wait()
        if doors.get_ident() == doors.owner[0]:  # this thread was parked
            return doors.door[0](op, inputs, attrs, kind)
        if kind is STEP or kind is ZERO:
            params = [p for group in inputs[0].param_groups for p in group["params"]]
            needed = params + [p._grad for p in params if p._grad is not None]
        else:
            needed = [x for x in inputs if isinstance(x, Tensor)]
        last = self._last_event()
        if last and any([_handed_out(t, last) or self._pending(t, last) for t in needed]):
            elsewhere.take_over(lambda: doors.interrupt("another thread needs a value"))
        return EAGER[kind](op, inputs, attrs)

    # What the watch is told during a flight

    def look(self, t: Tensor) -> None:
        """Somebody reads a tensor's values."""
        last = self._last_event()
        if last is None:
            return
        if doors.get_ident() != doors.owner[0]:
            if self._pending(t, last):
                elsewhere.take_over(lambda: doors.look(t))
            return
        ended = getattr(doors.door[0], "ended", False)
        if ended and not self._pending(t, last):
            return
        for child in last.children:
            if child.event.kind is DEMAND and self._demands(child, t):
                if child.launch():
                    if child.ends:
                        self.complete(child)
                    else:
                        doors.door[0] = child.next[0]
                return
        if ended or self._pending(t, last):
            self.bail(last, f"a value is looked at after {last.event}")
            doors.look(t)

    def history(self, t: Tensor) -> None:
        """Somebody looks at a tensor's place in the graph."""
        last = self._last_event()
        if last is None or not t._requires_grad or not _handed_out(t, last):
            return
        if doors.get_ident() != doors.owner[0]:
            elsewhere.take_over(lambda: doors.history(t))
            return
        self.bail(last, "a tensor's history is looked at")
        doors.history(t)

    def edge(self, t: Any) -> bool:
        """Somebody takes up a tensor's place in the graph; as the recorder's."""
        if t is None:
            self.interrupt("a graph used by something other than backward()")
        else:
            self.history(t)
        return True

    def interrupt(self, reason: str) -> None:
        """Something happens that cannot be replayed."""
        last = self._last_event()
        if last is not None and doors.get_ident() == doors.owner[0]:
            self.bail(last, reason)
            doors.interrupt(reason)

    def force(self, storage: Any) -> None:
        """Somebody needs memory that is still pending, whoever the tensor is."""
        last = self._last_event()
        if last is not None and doors.get_ident() != doors.owner[0]:
            elsewhere.take_over(lambda: self.force(storage))
        elif last is not None:
            self.bail(last, "memory is looked at")

    def shown(self, t: Tensor) -> None:
        """Memory is shown to NumPy, which may write to it before matched events have read it."""
        last = self._last_event()
        if last is None:
            return
        if not self._to_be_read(t._storage, last):
            self.hidden()
        elif doors.get_ident() != doors.owner[0]:
            elsewhere.take_over(lambda: self.shown(t))
        else:
            self.bail(last, "memory that is still to be read is shown to NumPy")
            doors.exported(t)

    def hidden(self) -> None:
        """Whether memory is shown has changed."""
        last = self._last_event()
        for p in last.path()[0].below() if last is not None else ():
            for fixed in p.fixed:
                fixed.look()

    def item(self, t: Tensor) -> None:
        """Somebody reads a number."""
        self.look(t)

    def accumulated(self, leaf: Any, fresh: bool) -> None:
        """A backward pass outside the flight."""

    def copied(self, source: Any, copy: Any) -> None:
        """A write outside the flight kept what was there before."""

    # What is under way

    def in_flight(self) -> bool:
        """Whether events were matched whose programs have not run."""
        return self._last_event() is not None

    def _last_event(self) -> Point | None:
        """The last event of the flight that is under way, if any."""
        match = doors.door[0]
        point: Point | None = getattr(match, "point", None)
        if point is None or getattr(match, "ended", False):
            return point
        return point.parent

    def _pending(self, t: Tensor, last: Point) -> bool:
        """Whether a tensor's memory is still to be written by the flight."""
        storage = t._storage
        points = last.path()
        cells = cells_of(points)
        for p in reversed(points):
            if p is self.flight.launched:
                return False
            if p.real:
                continue
            if any([cell[1] is storage for cell in p.cells]):
                return True
            written = []
            if p.event.kind is WRITE:
                written = [self.flight.given(p.references[0], cells)]
            elif p.event.kind is BACKWARD:
                written = kinds.of(BACKWARD).added_to(p.event, cells)
            if any([x._storage is storage for x in written]):
                return True
        return False

    def _demands(self, point: Point, t: Tensor) -> bool:
        """Whether the look that a point stands for is at this tensor."""
        sort, k = point.references[0][:2]
        if sort != "slot":
            return (self.flight.outside[k] if sort == "outside" else k) is t
        node: Point | None = point
        while node is not None:
            for slot, cell in zip(node.event.outs, node.cells, strict=True):
                if slot.index == k:
                    return cell[0] is t
            node = node.parent
        return False

    def is_there(self, t: Tensor, last: Point) -> bool:
        """Whether a flight that has come so far need not run to know a tensor's values."""
        return not self._pending(t, last)

    def _to_be_read(self, storage: Any, last: Point) -> bool:
        """Whether the flight has still to read memory that was there before."""
        points = last.path()
        cells = cells_of(points)
        for p in reversed(points):
            if p is self.flight.launched:
                return False
            given = () if p.real else self.flight.inputs(p, cells)
            if any([isinstance(x, Tensor) and x._storage is storage for x in given]):
                return True
        return False

    # The end of a flight that went wrong

    def bail(self, point: Point, reason: str) -> None:
        """Runs the matched events up to this point eagerly, as if they had been so all along."""
        self.statistics.bailed[reason] += 1
        log("trace", f"bailed out: {reason}")
        points = point.path()
        points[0].misses += self.resumed is points[0]
        self.library.bailed(points[0])
        self.resumed = None
        bail.run_eagerly(points, self.flight, self.recorder)

    def failed(self, point: Point) -> bool:
        """A program found a bad index: eager code will raise where it would have raised."""
        self.bail(point, "a value is out of range")
        return False

    def widen(self, point: Point) -> bool:
        """Somebody holds a tensor that the program does not deliver: from now on it will."""
        cells = cells_of(point.path())
        assert point.phase is not None
        held = {k for k, n in point.phase.expected.items() if count(cells[k]) != n}
        self.library.widen(point, held)
        self.bail(point, "a tensor is held that was not before")
        return False


def _handed_out(t: Tensor, last: Point) -> bool:
    """Whether a flight handed out a tensor that eager code did not make."""
    return any([cell[0] is t for p in last.path() if not p.real for cell in p.cells])


def _not_me(*args: Any) -> Any:
    return NOT_ME


def _name(op: Any, kind: Any) -> str:
    return f"{op.name}{'_' if kind is WRITE else ''}" if op is not None else str(kind)


replay = Replay()


def begin() -> None:
    """From now on this thread's program is recorded and replayed."""
    if not force:
        force.append(_force)
        os.register_at_fork(before=lambda: flush("a fork"), after_in_child=_in_child)
    doors.calls[0] = -1
    replay.start()


def flush(reason: str) -> None:
    """Whichever thread asks: what is in flight is finished eagerly."""
    if doors.get_ident() == doors.owner[0]:
        replay.interrupt(reason)
    elif replay.in_flight():
        elsewhere.take_over(lambda: replay.interrupt(reason))


def _in_child() -> None:
    """After a fork, only the thread that forked goes on."""
    elsewhere.after_fork()
    if doors.get_ident() != doors.owner[0]:
        doors.owner[0] = doors.get_ident()
        replay.forget()
        if doors.door[0] is not doors.eager:
            replay.start()


def forget(reason: str) -> None:
    """Drops what was compiled; recording begins anew."""
    if doors.get_ident() == doors.owner[0] and doors.door[0] is not doors.eager:
        replay.interrupt(reason)
        replay.forget()
        replay.start()


def stop() -> None:
    """From now on everything runs eagerly; what is in flight is finished eagerly first."""
    flush("the tier was changed")
    replay.forget()
    doors.door[0] = doors.eager
    doors.watch[0] = None


def _force(storage: Any) -> None:
    """Somebody needs the memory of a pending storage itself."""
    replay.force(storage)
