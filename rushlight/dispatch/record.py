"""The recorder: runs events eagerly and notes what they did, until the stretch comes round.

In: events (``doors.py``).  Out: a `Recording` for each stretch: its events, as the matcher will ask
for them, and its computations, as the compiler wants them (``ir/trace.py``).  A stretch ends after
an optimiser's step or where its first event recurs, unless a graph is still open.  Nothing here
keeps tensors alive: what the user still holds at a boundary is what a program must deliver.
"""

from __future__ import annotations

import os
import sys
import weakref
from collections.abc import Callable, Sequence
from typing import Any

from rushlight.dispatch import doors, elsewhere, gate, modes, symbolic
from rushlight.dispatch.doors import (
    BACKWARD,
    CLEAR,
    DATA,
    DEMAND,
    DETACH,
    EAGER,
    GRAD,
    STEP,
    WRITE,
    ZERO,
)
from rushlight.dispatch.stepping import StepRecord
from rushlight.dispatch.symbolic import Decisions, Symbol, expression, plain
from rushlight.dispatch.tape import AccumulateGrad, SavedTensor
from rushlight.dispatch.tensor import Tensor, memory_of
from rushlight.ir.meta import Meta
from rushlight.ir.trace import Call, Item, Number, Region
from rushlight.ops.unary import clone as CLONE

__all__ = ["TOO_LONG", "Event", "Place", "Recorder", "Recording", "Slot", "spent"]

state = modes.state
gate.PLAIN.add(Symbol)  # numbers, for the functions that read arguments
symbolic.used.append(True)
_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_MOST_EVENTS = 1500, 4000  # of a recording, at first and when that was too few,
_LOOK = 25, 8  # and for how many a look counts: it goes through all that is recorded
TOO_LONG = "too long"
_COMES_ROUND = 3
_REPEATS = 64  # of a call on results made since its last occurrence: layers do repeat
_TRAINING = 1000  # events since a backward pass within which a program is thought to train
_SURELY = 200  # occurrences after which even an open graph does not keep a stretch going


class Place:
    """A block of memory in a recording.

    Attributes:
        made: whether a computation of the recording made it; otherwise it was there before.
        hosted: whether it is made, but by eager code (random draws), in each flight anew.
        tensor: of memory that was there before, the tensor by which it was first seen.
        base: where that tensor starts in it, in elements; regions count from there.
        written: whether the recording writes to it.
        windows: whether views of it count as places of their own, since another flight may view
            another part (``x[i : i + 32]``).
    """

    __slots__ = (
        *("base", "hosted", "index", "made", "nbytes", "serial", "tensor", "windows", "written"),
    )

    def __init__(self, serial: int, index: int, storage: Any, tensor: Any, base: int) -> None:
        self.serial = serial
        self.index = index
        self.nbytes = storage.length
        self.tensor = tensor
        self.base = base
        self.made = tensor is None
        self.hosted = False
        self.written = False
        self.windows = False


class Slot:
    """A tensor that an event handed out."""

    def __init__(self, serial: int, index: int, t: Tensor, place: int, offset: int) -> None:
        self.serial = serial
        self.index = index
        self.ref = weakref.ref(t)
        self.meta: Meta = t._meta
        self.place = place
        self.offset = offset
        self.note(t)

    def note(self, t: Tensor) -> None:
        """Notes where the tensor is in the gradient graph."""
        self.requires_grad = t._requires_grad
        self.inference = t._inference
        self.node = weakref.ref(t._node) if t._node is not None else None
        self.node_class = type(t._node)
        self.leaves = leaves_of(t._node) if t._node is not None else ()
        self.out_nr = t._out_nr


class Event:
    """One thing that the user's program did.

    Attributes:
        inputs: a reference for each input: ("slot", k), ("outside", place, meta, requires_grad,
            offset), ("number", index), ("value", x).
        outs: the slots of the tensors handed out.
        calls: the computations it caused, a range of the recording's calls.
        alive: after events that launch a program, the slots whose tensors are still held.
        node: of an operator's call or write that is on the tape, its node.
        open: after events that launch a program, the events, by number, whose nodes could run;
            `saved`, the places that they keep.
        single: whether the call returned one tensor rather than a tuple.
        hosted: whether eager code runs it in each flight (random draws).
        windows: whether it views data; another flight may view another part.
        line: where the user's program did it: file and line.
    """

    __slots__ = (
        *("alive", "attrs", "calls", "detail", "hosted", "inputs", "kind", "line", "node"),
        *("op", "open", "outs", "saved", "single", "windows"),
    )

    def __init__(
        self, kind: Any, op: Any, inputs: tuple[Any, ...], attrs: tuple[Any, ...], first: int
    ) -> None:
        self.kind = kind
        self.op = op
        self.inputs = inputs
        self.attrs = attrs
        self.outs: list[Slot] = []
        self.calls = (first, first)
        self.alive: tuple[int, ...] | None = None
        self.detail: Any = None
        self.hosted = False
        self.single = True
        self.windows = False
        self.open: tuple[int, ...] = ()
        self.saved: set[int] = set()
        self.node: Any = None  # a weak reference
        self.line = _users_line()

    def __repr__(self) -> str:
        return f"{self.op.name if self.op else self.kind}{'_' if self.kind is WRITE else ''}"


class Recording:
    """A stretch of events."""

    def __init__(self, serial: int) -> None:
        self.serial = serial
        self.grad = state.grad
        self.inference = state.inference
        self.events: list[Event] = []
        self.calls: list[Call | Item] = []
        self.places: list[Place] = []
        self.slots: list[Slot] = []
        self.attached: list[Slot] = []  # those whose tensors have a place in a graph
        self.numbers: list[float] = []
        self.items = 0
        self.looks = 0
        self.settled: set[int] = set()  # tensors whose gradient an event has decided, by id
        self.decided = Decisions(False)
        self.steppers: list[Any] = []  # optimisers whose step left a graph open
        self.passes = 0  # backward passes so far
        self.seen: dict[Any, tuple[int, int, int]] = {}  # calls: how often, passes, slots then
        self.problem: str | None = None  # why it cannot be compiled

    def alive(self) -> tuple[int, ...]:
        """The slots whose tensors somebody holds."""
        return tuple([s.index for s in self.slots if s.ref() is not None])

    def mark(self, event: Event) -> None:
        """Notes what somebody holds after an event that launches a program."""
        event.alive = self.alive()
        nodes = [e.node() if e.node is not None else None for e in self.events]
        open_ = [(i, n) for i, n in enumerate(nodes) if n is not None and not spent(n)]
        event.open = tuple([i for i, _ in open_])
        event.saved = {p for _, node in open_ for p in _saved_places(node, self.serial)}
        for i, node in open_:
            if self.events[i].kind is WRITE and type(node.inputs[0]) is SavedTensor:
                self.problem = self.problem or "an open graph needs what was written over"

    def graph_open(self) -> bool:
        """Whether a tensor is held whose graph could still be differentiated."""
        for s in self.attached:
            t = s.ref()
            if t is not None and t._requires_grad and t._node is not None and not t._node.ran:
                return True
        return False


def _history(t: Any) -> Any:
    """The node that a write into a tensor replaces: its own, or that of its base."""
    base = t._view.base if getattr(t, "_view", None) is not None else t
    return getattr(base, "_node", None)


def _users_line() -> tuple[str, int]:
    """File and line of the innermost frame that is not this package's."""
    frame: Any = sys._getframe(2)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno


def leaves_of(node: Any) -> tuple[Any, ...]:
    """The leaves that a backward pass from this node could reach; noted at the node."""
    found: dict[int, Any] = {}
    stack, seen = [node], {node}
    while stack:
        n = stack.pop()
        known = n.__dict__.get("leaves")
        if known is not None:
            found.update(known)
        elif type(n) is AccumulateGrad:
            found[id(n.variable)] = n.variable
        else:
            targets = {edge[0] for edge in n.edges if edge is not None} - seen
            seen |= targets
            stack.extend(targets)
    node.__dict__["leaves"] = found
    return tuple(found.values())


def spent(node: Any) -> bool:
    """Whether a node cannot run again: it or one before it has let go of what it kept."""
    if not node.ran:
        return False
    stack, seen = [node], {node}
    while stack:
        node = stack.pop()
        if node.released:
            return True
        for edge in node.edges:
            if edge is not None and edge[0] not in seen:
                seen.add(edge[0])
                stack.append(edge[0])
    return False


def _saved_places(node: Any, serial: int) -> list[int]:
    """The places of the tensors that a node keeps."""
    found = []
    for x in (*node.inputs, *node.outputs):
        t = getattr(x, "tensor", None)
        note = t._storage.note if t is not None else None
        if note is not None and note.serial == serial:
            found.append(note.index)
    return found


class Recorder:
    """Records the events of one thread.

    Args:
        finished: called with each recording that has ended.
        resume: asked before an event is recorded whether a known stretch begins with it; it returns
            the event's result in a tuple if so.
    """

    def __init__(self, finished: Callable[[Recording], None], resume: Any = None) -> None:
        self.finished = finished
        self.resume = resume
        self.depth = 0
        self.again = False  # whether events of a flight run once more, not to be cut
        self.stepping: Any = None  # the event of the optimiser's step that is running
        self.serial = 0
        self.long = 0  # whether there was a recording that was too long
        self.since_backward = 0  # events recorded since the last backward pass
        self.closers: set[int] = set()  # optimisers whose steps end stretches, graph open or not
        self.now = Recording(0)

    def start(self) -> None:
        """Begins a recording."""
        self.serial += 1
        self.now = Recording(self.serial)
        doors.door[0] = self.record
        doors.watch[0] = self

    # What the doors ask

    def record(self, op: Any, inputs: Any, attrs: Any, kind: Any = None) -> Any:
        """Runs an event eagerly and notes it."""
        if doors.get_ident() != doors.owner[0]:
            elsewhere.wait()
            if doors.get_ident() != doors.owner[0]:
                return EAGER[kind](op, inputs, attrs)
            return doors.door[0](op, inputs, attrs, kind)
        if self.depth:
            return self._inner(op, inputs, attrs, kind)
        if not self.again:
            if self._recurs(op, inputs, attrs, kind) or self._comes_round(op, inputs, attrs, kind):
                self.cut()
                return doors.door[0](op, inputs, attrs, kind)
            resumes = self.resume is not None and not modes.special()
            if self.now.events and resumes and not self.now.graph_open():
                result = self.resume(op, inputs, attrs, kind)
                if result is not None:
                    return result[0]
        trace = self.now
        event = Event(kind, op, (), attrs, len(trace.calls))
        self.depth = 1
        self.stepping = event if kind is STEP else None
        try:
            result = self._run(op, inputs, attrs, kind, event)
        except BaseException:
            self._trouble("an event raised")
            raise
        finally:
            self.depth = 0
            self.stepping = None
        if trace.problem is None:
            self._note(event, inputs, result)
        elif len(trace.events) < 1:
            trace.events.append(event)
        if kind is STEP and self._period_ends(inputs[0]):
            self.cut()
        elif self._too_long() and not self.again:
            self.long = 1
            self._trouble(TOO_LONG)
            self.cut()
        return result

    def look(self, t: Any) -> None:
        """Somebody reads a tensor's values."""
        place = self._place_of(t._storage)
        if place is None or not (place.made or place.written) or place.hosted:
            return
        if doors.get_ident() != doors.owner[0]:
            return
        if self.depth:
            self._trouble("a value is read inside an event")
            return
        trace = self.now
        event = Event(DEMAND, None, (self._reference(t, True),), (), len(trace.calls))
        trace.mark(event)
        trace.events.append(event)
        trace.looks += 1

    def history(self, t: Any) -> None:
        """Somebody looks at a tensor's place in the graph."""
        if t._requires_grad and self._slot_of(t) is not None:
            self._trouble("a tensor's history is looked at")

    def edge(self, t: Any) -> bool:
        """Somebody takes up a tensor's place in the graph, for a node or a backward pass.

        Returns:
            whether that is no part of an event.
        """
        if self.depth == 0:
            self._trouble("a graph used by something other than backward()")
        return self.depth == 0

    def interrupt(self, reason: str) -> None:
        """Something happens that cannot be replayed."""
        self._trouble(reason)

    def item(self, t: Any) -> Any:
        """The number of a one-element tensor for the arithmetic of an optimiser's step."""
        place = self._place_of(t._storage)
        if self.stepping is None:
            self.look(t)
            return None
        region = self._region(t) if place is None else self._within(place, t)
        value = memory_of(t).item()
        trace = self.now
        trace.calls.append(Item(trace.items, region))
        trace.items += 1
        return (
            Symbol.of(value, expression("item", trace.items - 1)) if type(value) is float else value
        )

    def accumulated(self, leaf: Any, fresh: bool) -> None:
        """A backward pass put a gradient into ``leaf.grad``, a new tensor or the one there was."""
        if self.depth:
            self.leaves.append((leaf, fresh))

    def copied(self, source: Any, copy: Any) -> None:
        """A write keeps a copy of what was there before, for its gradient."""
        if self.depth and self.now.problem is None:
            place = self._new_place(copy._storage, None, copy._offset)
            plan = gate.plan_of(CLONE, (source,), ())
            region = Region(place.index, copy._meta, 0)
            self.now.calls.append(Call(CLONE, plan, (self._region(source),), (), (region,)))

    # Running

    def _run(self, op: Any, inputs: Any, attrs: Any, kind: Any, event: Event) -> Any:
        if modes.special():
            self._trouble("a mode was active")
        if kind is None or kind is WRITE:
            if not gate.PLAIN.issuperset(map(type, inputs)):
                self._trouble("a tensor subclass")
            if self.now.problem is None and op.kind == "elementwise":
                inputs = self._with_symbols(op, inputs, attrs)
            before = _history(inputs[0]) if kind is WRITE else None
            result = EAGER[kind](op, inputs, attrs)
            if kind is WRITE and _history(result) is not before:
                node = _history(result)
                event.node = weakref.ref(getattr(node, "write", node))
            event.attrs = attrs
            if self.now.problem is None:
                self._note_call(op, inputs, attrs, result, kind, event)
            return result
        self.leaves: list[tuple[Any, bool]] = []
        if kind is STEP:
            event.detail = StepRecord(inputs[0], self.now.numbers, self.now.settled)
            return EAGER[STEP](op, inputs, (event.detail.groups,))
        return EAGER[kind](op, inputs, attrs)

    def _with_symbols(self, op: Any, inputs: Any, attrs: Any) -> Any:
        """The inputs with the floats that may be others next time as Symbols.

        The node of the call keeps them, so the backward pass shows how it depends on them.
        """
        if float not in map(type, inputs):
            return inputs
        trace = self.now
        found = []
        for x in inputs:
            if type(x) is float:
                found.append(Symbol.of(x, Number(len(trace.numbers)), trace.decided))
                trace.numbers.append(x)
            else:
                found.append(x)
        return tuple(found)

    def _inner(self, op: Any, inputs: Any, attrs: Any, kind: Any) -> Any:
        """An operator called by an event: only the computation counts."""
        if kind is not None and kind is not WRITE:
            return EAGER[kind](op, inputs, attrs)
        result = EAGER[kind](op, inputs, plain(attrs))
        if self.now.problem is None:
            self._note_call(op, inputs, attrs, result, kind, None)
        return result

    def adopt(self, event: Event, inputs: Any, result: Any) -> None:
        """Notes an event of a flight that eager code has run already."""
        again = Event(event.kind, event.op, (), event.attrs, len(self.now.calls))
        outs = result if type(result) is tuple else (result,)
        if self.now.problem is None:
            self._note_hosted(inputs, outs, event.kind, again)
            self._note(again, inputs, result)

    def renamed(self, made: Any, handed: Any) -> None:
        """A tensor that the user holds takes the place of one that was just made."""
        slot = self._slot_of(made)
        if slot is not None:
            slot.ref = weakref.ref(handed)

    # Noting

    def _trouble(self, reason: str) -> None:
        if self.now.problem is None:
            self.now.problem = reason

    def _place_of(self, storage: Any) -> Place | None:
        place = storage.note
        return place if place is not None and place.serial == self.serial else None

    def _slot_of(self, t: Any) -> Slot | None:
        slot = t._slot
        return slot if slot is not None and slot.serial == self.serial else None

    def _new_place(self, storage: Any, tensor: Any, base: int = 0) -> Place:
        trace = self.now
        place = Place(self.serial, len(trace.places), storage, tensor, base)
        storage.note = place
        trace.places.append(place)
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
            if place is None or place.serial != self.serial:
                self._trouble("an unknown view of data")
                return Region(0, t._meta, 0)
        if t._meta.conj or t._meta.neg:
            self._trouble("a lazily conjugated tensor")
        return self._within(place, t)

    def _note_call(
        self, op: Any, inputs: Any, attrs: Any, result: Any, kind: Any, event: Event | None
    ) -> None:
        """Notes the computation of an operator's call; views compute nothing."""
        if op.kind == "movement":
            window = inputs[0]._window
            if event is None and window is not None and window.serial == self.serial:
                for t in result if type(result) is tuple else (result,):
                    t._window = window
            return
        trace = self.now
        if not gate.PLAIN.issuperset(map(type, inputs)):
            self._trouble("a tensor subclass")
            return
        plan = gate.plan_of(op, inputs, plain(attrs))
        outs = result if type(result) is tuple else (result,)
        if op.kind == "random" or op.name == "empty":
            self._note_hosted(inputs, outs, kind, event)
            return
        arguments: list[Any] = []
        for x in inputs:
            if isinstance(x, Tensor):
                arguments.append(self._region(x))
            elif type(x) is Symbol:
                varies = _varies(op, plan)
                arguments.append(x.expression if varies else x.decide())
            else:
                arguments.append(x)
        for t in outs:
            if kind is WRITE:
                place = self._place_of(t._storage)
                if place is None:
                    place = self._new_place(t._storage, t, t._offset)
                if place.windows:
                    self._trouble("a write to data that is viewed")
                    return
                place.written = True
                if self.stepping is not None:
                    counters = self.stepping.detail.counters
                    counters[t._counter] = counters.get(t._counter, 0) + 1
            elif self._place_of(t._storage) is None:
                self._new_place(t._storage, None, t._offset)
        regions = tuple([self._region(t) for t in outs])
        known = tuple([a.expression if isinstance(a, Symbol) else a for a in attrs])
        trace.calls.append(Call(op, plan, tuple(arguments), known, regions))

    def _note_hosted(self, inputs: Any, outs: Any, kind: Any, event: Event | None) -> None:
        """Random draws and new memory: eager code makes them in each flight too."""
        if event is None:
            self._trouble("a random draw inside an event")
            return
        for x in inputs:
            if isinstance(x, Tensor):
                place = self._place_of(x._storage)
                if place is not None and ((place.made and not place.hosted) or place.written):
                    self._trouble("a random draw that depends on what is computed")
                elif place is None and kind is not WRITE:
                    self._region(x)
        event.hosted = True
        for t in outs:
            place = self._place_of(t._storage)
            if place is None and kind is not WRITE:
                place = self._new_place(t._storage, None)
                place.hosted = True
            elif place is None or not place.hosted:
                self._trouble("a random draw into existing memory")

    def _note(self, event: Event, inputs: Sequence[Any], result: Any) -> None:
        """Appends an event that has run: references to its inputs, slots for its results."""
        trace = self.now
        kind = event.kind
        first = event.calls[0]
        event.calls = (first, len(trace.calls))
        if kind is None or kind is WRITE:
            own = trace.calls[-1].inputs if event.calls[0] < event.calls[1] else ()  # type: ignore[union-attr]
            event.inputs = tuple(
                [
                    ("number", own[i].at)
                    if type(x) is float and own and type(own[i]) is Number
                    else self._reference(x)
                    for i, x in enumerate(inputs)
                ]
            )
        elif kind in (STEP, ZERO, GRAD):
            event.inputs = tuple([("value", x) for x in inputs])
        else:
            detaches = kind is DETACH or kind is DATA
            event.inputs = tuple([self._reference(x, detaches) for x in inputs])
        if kind is WRITE:
            self._note_write(event, inputs[0])
        elif kind is BACKWARD:
            event.detail = self._note_leaves(event)
        elif kind is STEP:
            problem = event.detail.finish()
            if problem is not None:
                self._trouble(problem)
            trace.mark(event)
        elif kind is ZERO:
            groups = [(g, g["params"], len(g["params"])) for g in inputs[0].param_groups]
            event.detail = (groups, [p for _, params, _ in groups for p in params])
            trace.settled.update(map(id, event.detail[1]))
        elif kind is CLEAR:
            trace.settled.add(id(inputs[0]))
        elif kind is not GRAD:
            event.single = type(result) is not tuple
            for t in result if type(result) is tuple else (result,):
                self._hand_out(event, t)
        trace.events.append(event)

    def _reference(self, x: Any, detaches: bool = False) -> tuple[Any, ...]:
        if not isinstance(x, Tensor):
            return ("value", x)
        slot = self._slot_of(x)
        if slot is not None:
            return ("slot", slot.index)
        place = self._place_of(x._storage) or self._new_place(x._storage, x, x._offset)
        if place.windows and x is not place.tensor:
            self._trouble("an unknown view of data")
        if place.made:
            self._trouble("an alias that no event made")
        if x._requires_grad and x._node is not None and not (detaches or spent(x._node)):
            self._trouble("a graph from before the stretch")
        return ("outside", place.index, x, x._offset - place.base)

    def _hand_out(self, event: Event, t: Tensor) -> None:
        place = self._place_of(t._storage)
        if place is None:
            place = self._new_place(t._storage, t, t._offset)
        elif self._views_data(event, place):
            place.windows = event.windows = True
            note = t._storage.note
            place = t._window = self._new_place(t._storage, t, t._offset)
            t._storage.note = note
        offset = t._offset - place.base
        slot = Slot(self.serial, len(self.now.slots), t, place.index, offset)
        if t._borrowed and place.made:
            self._trouble("a view without history of a tensor that has one")
        if t._node is not None:
            event.node = weakref.ref(t._node)
            self.now.attached.append(slot)
        t._slot = slot
        self.now.slots.append(slot)
        event.outs.append(slot)

    def _views_data(self, event: Event, place: Place) -> bool:
        """Whether an event views memory that is only read: part of a data set, a batch."""
        if place.made or place.written or place.tensor is None:
            return False
        owner = place.tensor
        if owner._is_parameter or owner._requires_grad:
            return False
        moves = event.op is not None and event.op.kind == "movement"
        return moves or (event.kind in (DETACH, DATA) and place.windows)

    def _note_write(self, event: Event, target: Tensor) -> None:
        """What a write did to the history of its target, and of the target's base."""
        changed = []
        for t in (target, target._view.base if target._view is not None else None):
            slot = self._slot_of(t) if t is not None else None
            if slot is not None:
                slot.note(t)  # type: ignore[arg-type]
                self.now.attached.append(slot)
                changed.append(_Place_in_graph(slot))
            elif t is not None and t._node is not None and target._requires_grad:
                self._trouble("an in-place write to a graph from before the stretch")
        event.detail = changed

    def _note_leaves(self, event: Event) -> list[tuple[Any, str, Any]]:
        """What a backward pass did to each leaf: a new gradient, or more in the one it had."""
        found: list[tuple[Any, str, Any]] = []
        seen = set()
        for leaf, fresh in self.leaves:
            slot = self._slot_of(leaf)
            if slot is not None or id(leaf) in seen:
                self._trouble("a leaf made in the stretch" if slot else "a leaf reached twice")
                continue
            seen.add(id(leaf))
            self.now.settled.add(id(leaf))
            grad = leaf._grad
            if fresh:
                self._hand_out(event, grad)
                found.append((leaf, "new", event.outs[-1].index))
            else:
                reference = self._reference(grad)
                found.append((leaf, "more", reference))
        return found

    # Where a stretch ends

    def _comes_round(self, op: Any, inputs: Any, attrs: Any, kind: Any) -> bool:
        """Whether a loop without an optimiser's step has begun anew, wherever recording began.

        The first event to come for the third time begins it.  Once there was a backward pass, only
        occurrences with another one in between count: what one iteration repeats is no period.
        """
        trace = self.now
        self.since_backward += 1
        if kind is BACKWARD:
            trace.passes += 1
            self.since_backward = 0
        if kind is GRAD:
            return False
        marks = [
            (x._meta, x._is_parameter and id(x)) if isinstance(x, Tensor) else type(x)
            for x in inputs
        ]
        try:
            sign = (op, kind, attrs, *marks)
            count, passes, slots = trace.seen.get(sign, (0, -1, 0))
        except TypeError:  # an attribute that has no hash
            return False
        if passes == trace.passes and trace.passes:
            return False
        trace.seen[sign] = (count + 1, trace.passes, len(trace.slots))
        known = [self._slot_of(x) for x in inputs if isinstance(x, Tensor)]
        inside = any([slot is not None and slot.index >= slots for slot in known])
        if count + 1 < (_REPEATS if inside else _COMES_ROUND):
            return False
        if self.since_backward > _TRAINING or count + 1 >= _SURELY:
            return True
        return not trace.graph_open()

    def _too_long(self) -> bool:
        trace = self.now
        weight = len(trace.events) + _LOOK[self.long] * trace.looks
        return weight >= _MOST_EVENTS[self.long]

    def _period_ends(self, optimizer: Any) -> bool:
        """Whether a step ends the stretch: not while a graph is open that a later step may need.

        If the same optimiser steps again and the graph is still open, it stays open for good (the
        last state of a recurrent network, say): from then on its steps end stretches.
        """
        trace = self.now
        if not trace.graph_open() or id(optimizer) in self.closers:
            return True
        if optimizer in trace.steppers:
            self.closers.add(id(optimizer))
            return True
        trace.steppers.append(optimizer)
        return False

    def _recurs(self, op: Any, inputs: Any, attrs: Any, kind: Any) -> bool:
        """Whether this is the event with which the recording began, with no graph open."""
        events = self.now.events
        if not events:
            return False
        root = events[0]
        if root.op is not op or root.kind is not kind or root.attrs != attrs:
            return False
        if kind is GRAD:
            return False
        if kind in (STEP, ZERO):
            return (
                root.inputs != () and root.inputs[0][1] is inputs[0] and not self.now.graph_open()
            )
        if self.now.problem is None:
            for x, r in zip(inputs, root.inputs, strict=False):
                if r[0] == "outside":
                    if not isinstance(x, Tensor):
                        return False
                    if r[2]._is_parameter and r[2] is not x:
                        return False
                    if x._meta is not r[2]._meta or self._slot_of(x) is not None:
                        return False
                elif r[0] == "value" and r[1] is not x:
                    return False
        return self.since_backward > _TRAINING or not self.now.graph_open()

    def cut(self) -> None:
        """Ends the recording here."""
        ended = self.now
        if ended.events and ended.events[-1].alive is None:
            ended.mark(ended.events[-1])
        self.finished(ended)


class _Place_in_graph:
    """Where a slot's tensor is in the graph after a write."""

    __slots__ = ("leaves", "meta", "node_class", "out_nr", "requires_grad", "slot")

    def __init__(self, slot: Slot) -> None:
        self.slot = slot.index
        self.meta = slot.meta
        self.leaves = slot.leaves
        self.requires_grad = slot.requires_grad
        self.node_class = slot.node_class if slot.node is not None else None
        self.out_nr = slot.out_nr


def _varies(op: Any, plan: Any) -> bool:
    """Whether a Python float among the inputs may be another one without another program."""
    compute = plan.compute
    return op.kind == "elementwise" and compute is not None and compute.kind == "f"
