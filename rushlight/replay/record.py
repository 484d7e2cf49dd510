"""The recorder: runs events eagerly and notes what they did, until the stretch comes round.

In: events (``dispatch/doors.py``).  Out: a `Recording` of each stretch.  An event is noted twice:
for the matcher, where its inputs came from and what it handed out; for the compiler, the
computations that it caused, over places of memory, so that views and aliases need nothing special.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from rushlight.dispatch import autocast, doors, gate, modes, symbolic
from rushlight.dispatch.doors import DATA, DEMAND, DETACH, EAGER, STEP, WRITE
from rushlight.dispatch.symbolic import Count, Symbol, Symbolic, expression, plain
from rushlight.dispatch.tensor import Tensor, memory_of
from rushlight.dtypes import int64
from rushlight.ir.trace import Call, Item, Number, Region
from rushlight.ops.unary import clone as CLONE
from rushlight.replay import elsewhere, kinds
from rushlight.replay.ends import Ends
from rushlight.replay.recording import EXACT, Event, Place, Recording, Slot, outputs, spent

__all__ = ["TOO_LONG", "Recorder"]

gate.PLAIN.update((Count, Symbol))  # numbers, for the functions that read arguments
symbolic.used.append(True)
_MOST_EVENTS = 1500, 4000  # of a recording, at first and when that was too few,
_LOOK = 25, 8  # and for how many a look counts: it goes through all that is recorded
TOO_LONG = "too long"
_CHANGES = 2  # of an int: then it is a run-time number
_MOST_SITES = 10_000


class Recorder:
    """Records the events of one thread.

    Args:
        finished: called with each recording that has ended.
        resume: asked before an event is recorded whether a known stretch begins with it; it returns
            the event's result in a tuple if so.

    Attributes:
        now: the recording.
        long: 1 if there was a recording that was too long, else 0.
        again: whether events of a flight run once more, not to be cut.
        leaves: what the last backward pass reached: (leaf, whether its gradient is new).
    """

    def __init__(self, finished: Callable[[Recording], None], resume: Any) -> None:
        self.finished = finished
        self.resume = resume
        self.long = 0
        self.again = False
        self.leaves: list[tuple[Any, bool]] = []
        self.now = Recording(0)
        self._inside: Event | None = None  # the event that is running
        self._counts: dict[Any, tuple[Any, int]] = {}  # numbers that may count: last, changes
        self._ends = Ends()

    def start(self) -> None:
        """Begins a recording."""
        self.now = Recording(self.now.serial + 1)
        self._ends.start()
        autocast.clear_casts()  # casts are made in the recording that uses them
        doors.door[0] = self.record
        doors.watch[0] = self

    def record(self, op: Any, inputs: Any, attrs: Any, kind: Any = None) -> Any:
        """Runs an event eagerly and notes it."""
        if doors.get_ident() != doors.owner[0]:
            elsewhere.wait()
            if doors.get_ident() != doors.owner[0]:
                return EAGER[kind](op, inputs, attrs)
            return doors.door[0](op, inputs, attrs, kind)
        if self._inside is not None:
            return self._inner(op, inputs, attrs, kind)
        now = self.now
        if not self.again:
            if self._ends.before(now, op, inputs, attrs, kind):
                self.cut()
                return doors.door[0](op, inputs, attrs, kind)
            if now.events and not modes.special() and not now.graph_open():
                result = self.resume(op, inputs, attrs, kind)
                if result is not None:
                    return result[0]
        event = Event(kind, op, (), attrs, len(now.calls))
        result = self._run(event, inputs)
        if now.problem is None:
            self._note(event, inputs, result)
        elif not now.events:
            now.events.append(event)
        if kind is STEP and self._ends.after_step(now, inputs[0]):
            self.cut()
        elif self._too_long() and not self.again:
            self.long = 1
            self.interrupt(TOO_LONG)
            self.cut()
        return result

    def cut(self) -> None:
        """Ends the recording here."""
        now = self.now
        if now.events and now.events[-1].alive is None:
            now.mark(now.events[-1])
        self.finished(now)

    def _too_long(self) -> bool:
        weight = len(self.now.events) + _LOOK[self.long] * self.now.looks
        return weight >= _MOST_EVENTS[self.long]

    def adopt(self, event: Event, inputs: Any, result: Any) -> None:
        """Notes an event of a flight that eager code has run already."""
        again = Event(event.kind, event.op, (), event.attrs, len(self.now.calls))
        if self.now.problem is None:
            self._note_hosted(inputs, outputs(result), event.kind, again)
            self._note(again, inputs, result)

    def _run(self, event: Event, inputs: Any) -> Any:
        if modes.special():
            self.interrupt("a mode was active")
        elif event.op is not None and not gate.PLAIN.issuperset(map(type, inputs)):
            self.interrupt("a tensor subclass")
        self._inside = event
        try:
            return kinds.of(event.kind).run(self, event, inputs)
        except BaseException:
            self.interrupt("an event raised")
            raise
        finally:
            self._inside = None

    def _inner(self, op: Any, inputs: Any, attrs: Any, kind: Any) -> Any:
        """An operator called by an event: only the computation counts."""
        if kind is not None and kind is not WRITE:
            return EAGER[kind](op, inputs, attrs)
        result = EAGER[kind](op, inputs, plain(attrs))
        self.note_call(op, inputs, attrs, result, kind, None)
        return result

    def _note(self, event: Event, inputs: Any, result: Any) -> None:
        event.calls = (event.calls[0], len(self.now.calls))
        kinds.of(event.kind).note(self, event, inputs, result)
        self.now.events.append(event)

    # What the watch is told

    def interrupt(self, reason: str) -> None:
        """Something happens that cannot be replayed."""
        self.now.problem = self.now.problem or reason

    def shown(self, t: Any) -> None:
        """A tensor's memory is shown to NumPy: what was to read it must have done so by then."""
        now = self.now
        launched = now.events and now.events[-1].kind is DEMAND
        if launched and now.events[-1].calls[0] == len(now.calls):
            return
        known = self._place_of(t._storage) is not None
        if known and self._inside is None and doors.get_ident() == doors.owner[0]:
            self._demand(t)

    def hidden(self) -> None:
        """Memory that was shown is so no longer."""

    def look(self, t: Any) -> None:
        """Somebody reads a tensor's values."""
        place = self._place_of(t._storage)
        if place is None or not (place.made or place.written) or place.hosted:
            return
        if doors.get_ident() != doors.owner[0]:
            return
        if self._inside is not None:
            self.interrupt("a value is read inside an event")
            return
        self._demand(t)

    def _demand(self, t: Any) -> None:
        event = Event(DEMAND, None, (self.reference(t, True),), (), len(self.now.calls))
        self.now.mark(event)
        self.now.events.append(event)
        self.now.looks += 1

    def history(self, t: Any) -> None:
        """Somebody looks at a tensor's place in the graph."""
        if t._requires_grad and self.slot_of(t) is not None:
            self.interrupt("a tensor's history is looked at")

    def edge(self, t: Any) -> bool:
        """Somebody takes up a tensor's place in the graph, for a node or a backward pass.

        Returns:
            whether that is no part of an event.
        """
        if self._inside is None:
            self.interrupt("a graph used by something other than backward()")
        return self._inside is None

    def item(self, t: Any) -> Any:
        """The number of a one-element tensor for the arithmetic of an optimiser's step."""
        if self._inside is None or self._inside.kind is not STEP:
            self.look(t)
            return None
        place = self._place_of(t._storage)
        region = self._region(t) if place is None else self._within(place, t)
        value = memory_of(t).item()
        now = self.now
        now.calls.append(Item(now.items, region))
        now.items += 1
        return (
            Symbol.of(value, expression("item", now.items - 1)) if type(value) is float else value
        )

    def accumulated(self, leaf: Any, fresh: bool) -> None:
        """A backward pass put a gradient into ``leaf.grad``, a new tensor or the one there was."""
        if self._inside is not None:
            self.leaves.append((leaf, fresh))

    def copied(self, source: Any, copy: Any) -> None:
        """A write keeps a copy of what was there before, for its gradient."""
        if self._inside is not None and self.now.problem is None:
            place = self._new_place(copy._storage, None, copy._offset)
            plan = gate.plan_of(CLONE, (source,), ())
            region = Region(place.index, copy._meta, 0)
            self.now.calls.append(Call(CLONE, plan, (self._region(source),), (), (region,)))

    def renamed(self, made: Any, handed: Any) -> None:
        """A tensor that the user holds takes the place of one that was just made."""
        slot = self.slot_of(made)
        if slot is not None:
            slot.ref = weakref.ref(handed)

    # Tensors: what is known of them and of their memory

    def slot_of(self, t: Any) -> Slot | None:
        """The slot of a tensor that an event of this recording handed out."""
        slot = t._slot
        return slot if slot is not None and slot.serial == self.now.serial else None

    def _place_of(self, storage: Any) -> Place | None:
        place = storage.note
        return place if place is not None and place.serial == self.now.serial else None

    def _new_place(self, storage: Any, tensor: Any, base: int = 0) -> Place:
        now = self.now
        place = Place(now.serial, len(now.places), storage, tensor, base)
        storage.note = place
        now.places.append(place)
        return place

    def _within(self, place: Place, t: Any) -> Region:
        return Region(place.index, t._meta, t._offset - place.base)

    def _region(self, t: Any) -> Region:
        """What a tensor sees of a place, which may be new to the recording."""
        place = self._place_of(t._storage)
        if place is None:
            place = self._new_place(t._storage, t, t._offset)
        elif place.windows and t is not place.tensor:
            place = t._window
            if place is None or place.serial != self.now.serial:
                self.interrupt("an unknown view of data")
                return Region(0, t._meta, 0)
        if t._meta.conj or t._meta.neg:
            self.interrupt("a lazily conjugated tensor")
        return self._within(place, t)

    def reference(self, x: Any, detaches: bool = False) -> tuple[Any, ...]:
        """Where an input comes from; see `Event`."""
        if not isinstance(x, Tensor):
            return ("value", x)
        slot = self.slot_of(x)
        if slot is not None:
            return ("slot", slot.index)
        place = self._place_of(x._storage) or self._new_place(x._storage, x, x._offset)
        if place.windows and x is not place.tensor:
            self.interrupt("an unknown view of data")
        if place.made:
            self.interrupt("an alias that no event made")
        if x._requires_grad and x._node is not None and not (detaches or spent(x._node)):
            self.interrupt("a graph from before the stretch")
        return ("outside", place.index, x, x._offset - place.base)

    def hand_out(self, event: Event, t: Tensor) -> None:
        """Notes a tensor that an event returns, or puts into ``.grad``."""
        place = self._place_of(t._storage)
        if place is None:
            place = self._new_place(t._storage, t, t._offset)
        elif _views_data(event, place):
            place.windows = event.windows = True
            note = t._storage.note
            place = t._window = self._new_place(t._storage, t, t._offset)
            t._storage.note = note
        if t._borrowed and place.made:
            self.interrupt("a view without history of a tensor that has one")
        if t._node is not None:
            event.node = weakref.ref(t._node)
        now = self.now
        slot = t._slot = Slot(now.serial, len(now.slots), t, place.index, t._offset - place.base)
        now.slots.append(slot)
        event.outs.append(slot)
        if t._node is not None:
            now.attached.append(slot)

    # Computations

    def with_symbols(self, event: Event, inputs: Any) -> Any:
        """The inputs with the numbers that may be others next time as Symbols and Counts.

        The node of the call keeps them, so the backward pass shows how it depends on them.
        """
        now = self.now
        if now.problem is not None or event.op.kind not in ("elementwise", "create"):
            return inputs
        found = list(inputs)
        for i, x in enumerate(inputs):
            if type(x) is float or type(x) is int:
                often = type(x) is float and event.op.kind == "elementwise"
                if often or self._changes(event, i, x):
                    found[i] = self._symbol(x)
        return tuple(found)

    def attributes_with_symbols(self, event: Event) -> tuple[Any, ...]:
        """The attributes likewise, with Symbols for the floats that have changed before."""
        found = list(event.attrs)
        if self.now.problem is None and event.op.kind == "elementwise":
            for i, x in enumerate(event.attrs):
                if type(x) is float and self._changes(event, -1 - i, x):
                    event.counted += ((i, len(self.now.numbers)),)
                    found[i] = self._symbol(x)
        return tuple(found)

    def _symbol(self, x: Any) -> Any:
        now = self.now
        now.numbers.append(x)
        kind = Symbol if type(x) is float else Count
        return kind.of(x, Number(len(now.numbers) - 1), now.decided)

    def _changes(self, event: Event, i: int, x: Any) -> bool:
        """Whether a number of the user's line has changed before.

        Most ints never do, nor most attributes, nor what new tensors are filled with; a constant
        makes the better program.
        """
        site = (event.op, i, event.line)
        last, changes = self._counts.get(site, (x, 0))
        changes += int(x != last)
        if len(self._counts) >= _MOST_SITES:
            self._counts.clear()
        self._counts[site] = (x, changes)
        return bool(changes >= _CHANGES and abs(x) < EXACT)

    def note_call(
        self, op: Any, inputs: Any, attrs: Any, result: Any, kind: Any, event: Event | None
    ) -> None:
        """Notes the computation of an operator's call; views compute nothing.

        Args:
            event: the event that the call is; None inside another.
        """
        if self.now.problem is not None:
            return
        outs = outputs(result)
        if op.kind == "movement":
            window = inputs[0]._window
            if event is None and window is not None and window.serial == self.now.serial:
                for t in outs:
                    t._window = window
        elif not gate.PLAIN.issuperset(map(type, inputs)):
            self.interrupt("a tensor subclass")
        elif op.kind == "random" or op.name == "empty":
            self._note_hosted(inputs, outs, kind, event)
        else:
            plan = gate.plan_of(op, inputs, plain(attrs))
            arguments = tuple([self._argument(op, plan, x) for x in inputs])
            for t in outs:
                self._note_memory(t, kind)
            known = tuple([a.expression if isinstance(a, Symbolic) else a for a in attrs])
            regions = tuple([self._region(t) for t in outs])
            self.now.calls.append(Call(op, plan, arguments, known, regions))

    def _argument(self, op: Any, plan: Any, x: Any) -> Any:
        if isinstance(x, Tensor):
            return self._region(x)
        if not isinstance(x, Symbolic):
            return x
        # another number may need another program, or not
        dtype = plan.compute if op.kind == "elementwise" else plan.outs[0].dtype
        varies = op.kind in ("elementwise", "create") and dtype is not None
        if varies and (dtype.kind == "f" or (type(x) is Count and dtype is int64)):
            return x.expression
        return x.decide()

    def _note_memory(self, t: Any, kind: Any) -> None:
        """Notes the memory that a computation makes, or writes to."""
        place = self._place_of(t._storage)
        if kind is not WRITE:
            if place is None:
                self._new_place(t._storage, None, t._offset)
            return
        if place is None:
            place = self._new_place(t._storage, t, t._offset)
        if place.windows:
            self.interrupt("a write to data that is viewed")
        place.written = True
        if self._inside is not None and self._inside.kind is STEP:
            counters = self._inside.detail.counters
            counters[t._counter] = counters.get(t._counter, 0) + 1

    def _note_hosted(self, inputs: Any, outs: Any, kind: Any, event: Event | None) -> None:
        """Random draws and new memory: eager code makes them in each flight too."""
        if event is None:
            self.interrupt("a random draw inside an event")
            return
        for x in inputs:
            if isinstance(x, Tensor):
                place = self._place_of(x._storage)
                if place is not None and ((place.made and not place.hosted) or place.written):
                    self.interrupt("a random draw that depends on what is computed")
                elif place is None and kind is not WRITE:
                    self._region(x)
        event.hosted = True
        for t in outs:
            place = self._place_of(t._storage)
            if place is None and kind is not WRITE:
                place = self._new_place(t._storage, None)
                place.hosted = True
            elif place is None or not place.hosted:
                self.interrupt("a random draw into existing memory")


def _views_data(event: Event, place: Place) -> bool:
    """Whether an event views memory that is only read: part of a data set, a batch."""
    if place.made or place.written or place.tensor is None:
        return False
    owner = place.tensor
    if owner._is_parameter or owner._requires_grad:
        return False
    moves = event.op is not None and event.op.kind == "movement"
    return moves or (event.kind in (DETACH, DATA) and place.windows)
