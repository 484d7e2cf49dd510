"""The tree of stretches that came round: what is compiled, and when.

In: recordings (`recording.py`).  Out: a tree whose points are events; a path from the root to an
end is a stretch, the points at which the program looks (or an optimiser steps) launch a program.
Two stretches that begin alike share points, so alternating branches both replay.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rushlight.dispatch import tape
from rushlight.dispatch.doors import AUTOCAST, BACKWARD, GRAD, STEP, ZERO
from rushlight.dispatch.tensor import array_of
from rushlight.dispatch.views import CopySlices
from rushlight.ir.trace import Call, Item, Region, Scratch
from rushlight.replay import kinds
from rushlight.replay.recording import Event, Recording, spent
from rushlight.runtime.storage import aligned_bytes

__all__ = [
    "Flight",
    "Path",
    "Phase",
    "Point",
    "Reference",
    "cells_of",
    "compile_phases",
    "modes_after",
]

Reference = tuple[Any, ...]


class Flight:
    """What one run through the tree holds: shared by all points, one flight at a time.

    Attributes:
        outside: the outside tensors seen, by number; `arrays` their memory or snapshots of it.
        numbers: the Python floats seen, by number.
        launched: the last point whose program has run.
        shared: whether NumPy may change some of the outside tensors that were ever seen.
        handing: in its only place, the backward pass that is handing out gradients just now.
    """

    def __init__(self) -> None:
        self.outside: list[Any] = []
        self.arrays: list[Any] = []
        self.numbers: list[float] = []
        self.launched: Point | None = None
        self.shared = False
        self.handing: list[Point | None] = [None]

    def make_room(self, outside: int, numbers: int) -> None:
        """Room for so many outside tensors and numbers."""
        self.outside.extend([None] * (outside - len(self.outside)))
        self.arrays.extend([None] * (outside - len(self.arrays)))
        self.numbers.extend([0.0] * (numbers - len(self.numbers)))

    def clear(self) -> None:
        """Lets go of the tensors of the last flight."""
        for table in (self.outside, self.arrays):
            table[:] = [None] * len(table)

    def given(self, r: Reference, cells: dict[int, Any]) -> Any:
        """The input that a reference stands for in this flight."""
        if r[0] == "slot":
            return cells[r[1]][0]
        if r[0] == "outside":
            return self.outside[r[1]]
        if r[0] == "number":
            return self.numbers[r[1]]
        return r[1]

    def attributes(self, point: Point) -> tuple[Any, ...]:
        """The attributes of an event in this flight."""
        event = point.event
        found = list(point.attrs if event.windows else event.attrs)
        for i, number in event.counted:
            found[i] = self.numbers[number]
        return tuple(found)

    def inputs(self, point: Point, cells: dict[int, Any]) -> tuple[Any, ...]:
        """The inputs of an event in this flight."""
        return tuple([self.given(r, cells) for r in point.references])


class Phase:
    """The program of the events between two looks.

    Attributes:
        program: the compiled program.
        places: for each entry of its table, the place whose memory it is.
        delivered: the places made here whose contents somebody may look at.
        spare: slots of which nobody may hold the tensor when the program runs.
        numbers: the run-time numbers that it reads, but for hyper-parameters.
    """

    def __init__(
        self, program: Any, places: tuple[int, ...], delivered: set[int], numbers: tuple[int, ...]
    ) -> None:
        self.program = program
        self.places = places
        self.delivered = delivered
        self.numbers = numbers
        self.spare: tuple[int, ...] = ()
        self.expected: dict[int, int] = {}  # of spare slots, the references if nobody holds them


class Point:
    """An event in the tree; `modes` are those with which its stretches begin."""

    def __init__(
        self, event: Event, key: Any, parent: Point | None, references: Any, modes: Any
    ) -> None:
        self.event = event
        self.key = key
        self.parent = parent
        self.references: Sequence[Reference] = references
        self.modes: tuple[Any, ...] = modes
        self.children: list[Point] = []
        self.cells: list[list[Any]] = [[None, None, 0, None, None, 0] for _ in event.outs]
        self.match: Any = None  # the function that takes the event
        self.next: list[Any] = [None]  # what takes the event after it
        self.phase: Phase | None = None
        self.launch: Any = None
        self.ends = False  # whether a stretch ends here
        self.viewed = False  # whether its views know their bases
        self.fixed: list[Any] = []  # its inputs that must be the same tensors, unchanged
        self.real = False  # whether eager code makes what it hands out
        self.attrs: tuple[Any, ...] = ()  # of a view of data, in this flight
        self.bails = 0  # of a root: flights that went wrong,
        self.runs_then = 0  # and how often programs had run when that was last looked at
        self.misses = 0  # of a root: flights begun in the middle of a recording that went wrong
        self.times = 0  # how often its program has run
        self.runs = 0  # of a root: how often programs had run at the last compilation,
        self.idle = 0  # and for how many compilations none has since
        self.nbytes = 0  # of a root: the memory that its stretches hold
        self.size = 0  # the events for which its program stands

    def path(self) -> list[Point]:
        """The points from the root to this one."""
        found: list[Point] = []
        point: Point | None = self
        while point is not None:
            found.append(point)
            point = point.parent
        return found[::-1]

    def below(self) -> list[Point]:
        """This point and all that follow it."""
        points = [self]
        for point in points:  # grows while it is walked
            points.extend(point.children)
        return points


def modes_after(points: Sequence[Point]) -> tuple[Any, ...]:
    """The modes after the events of a flight, from its beginning."""
    grad, inference, casting = points[0].modes
    for p in points:
        if p.event.kind is GRAD:
            grad, *more = [value for _, value in p.event.inputs]
            inference = more[0] if more else inference
        elif p.event.kind is AUTOCAST:
            casting = p.event.inputs[0][1]
    return grad, inference, casting


def cells_of(points: Sequence[Point]) -> dict[int, Any]:
    """For each slot of a flight the cell of its tensor."""
    return {s.index: c for p in points for s, c in zip(p.event.outs, p.cells, strict=True)}


class Path:
    """A recording in terms that hold from one flight to the next.

    Attributes:
        keys: for each event, what another one must equal to be the same.
        references: for each event, where its inputs come from: ("slot", k), ("fixed", tensor),
            ("outside", n) for the n-th outside tensor, ("number", n, type), ("value", x).
        outside: the outside tensors that may be others next time: (place, Meta, offset from the
            place's first tensor).
        written_storages: outside memory that the stretch writes to.
        watcher: what is told of looks during a flight.
        points: the points of the tree, once it is there.
    """

    def __init__(self, recording: Recording, watcher: Any) -> None:
        self.recording = recording
        self.watcher = watcher
        self.outside: list[tuple[int, Any, int]] = []
        self.keys: list[Any] = []
        self.references: list[tuple[Reference, ...]] = []
        self.points: list[Point] = []
        self.phases: dict[int, Phase] = {}
        self._first: list[set[int]] = []  # before each event, the outside tensors seen
        self._memories: dict[Any, Any] = {}
        self._nodes: dict[Any, Any] = {}
        known: dict[int, int] = {}
        for event in recording.events:
            event.counted = tuple(
                [c for c in event.counted if c[1] not in recording.decided.values]
            )
            self._first.append(set(known.values()))
            detaches = kinds.of(event.kind).detaches
            refs = tuple([self._reference(r, known, detaches) for r in event.inputs])
            self.references.append(refs)
            if event.windows:
                for slot in event.outs:
                    known[-1 - slot.index] = len(self.outside)
                    self.outside.append((slot.place, slot.meta, 0))
            self.keys.append(self._key(event, refs))
        written = [
            p.tensor._storage for p in recording.places if p.written and p.tensor is not None
        ]
        self.written_storages = frozenset(written)
        self._makers: dict[int, tuple[int, int]] = {}
        for i, event in enumerate(recording.events):
            for j, slot in enumerate(event.outs):
                if recording.places[slot.place].made:
                    self._makers.setdefault(slot.place, (i, j))

    def _reference(self, r: Reference, known: dict[int, int], detaches: bool) -> Reference:
        if r[0] == "number" and r[1] in self.recording.decided.values:
            return ("value", self.recording.numbers[r[1]])
        if r[0] != "outside":
            return r
        _, index, t, offset = r
        if self.is_fixed(t, index) and not (detaches and t._node is not None):
            return ("fixed", t, index)
        n = known.get(id(t))
        if n is None:
            n = known[id(t)] = len(self.outside)
            self.outside.append((index, t._meta, offset))
        return ("outside", n)

    def is_fixed(self, t: Any, place: int) -> bool:
        """Whether an outside tensor must be the same object in each flight."""
        written = self.recording.places[place].written
        ended = t._node is not None and spent(t._node)  # a result of a stretch before
        return written or t._is_parameter or (t._requires_grad and not ended)

    def _key(self, event: Event, refs: tuple[Reference, ...]) -> Any:
        kind = kinds.of(event.kind)
        inputs = tuple([self._part(r) for r in refs])
        outs = tuple([(s.meta, s.requires_grad, s.place, s.offset) for s in event.outs])
        attrs = kind.attributes(event)
        detail = kind.detail(event)
        return (event.op, event.kind, attrs, tuple(map(type, attrs)), inputs, outs, detail)

    def _part(self, r: Reference) -> Any:
        if r[0] == "fixed":
            return ("fixed", id(r[1]), id(r[1]._storage), r[1]._meta, r[1]._requires_grad)
        if r[0] == "outside":
            return ("outside", r[1], *self.outside[r[1]])
        if r[0] == "value":
            x = r[1]
            plain = x is None or isinstance(x, (int, float, complex, str, tuple))
            return ("value", type(x), x if plain else id(x))
        return r

    # What the matcher asks

    def seen_before(self, at: int) -> set[int]:
        """The outside tensors that events before the given one have seen."""
        return self._first[at]

    def read_since_launch(self, n: int, at: int) -> bool:
        """Whether an event has read an outside tensor after the last program before this event."""
        for earlier in reversed(range(at)):
            event = self.recording.events[earlier]
            if event.alive is not None:
                return False
            made = event.windows and n in [self.variable(s.place) for s in event.outs]
            if made or n in self.reads(event, self.references[earlier]):
                return True
        return False

    def reads(self, event: Event, refs: Sequence[Reference]) -> list[int | None]:
        """The outside tensors whose memory an event reads; for views of them, by their place."""
        views = event.op is not None and event.op.kind == "movement"
        found = [r[1] for r in refs if r[0] == "outside"]
        if not views and not kinds.of(event.kind).detaches:
            slots = self.recording.slots
            found += [self.variable(slots[r[1]].place) for r in refs if r[0] == "slot"]
        return found

    def detached_before(self, n: int, at: int) -> bool:
        """Whether an earlier event has detached an outside tensor, whatever its history."""
        earlier = zip(self.recording.events[:at], self.references, strict=False)
        return any([("outside", n) in refs and kinds.of(e.kind).detaches for e, refs in earlier])

    def variable(self, place: int) -> int | None:
        """The outside tensor by which a place was first seen; None if it is always the same."""
        return next((n for n, entry in enumerate(self.outside) if entry[0] == place), None)

    def maker(self, place: int) -> Any:
        """The cell of the tensor that was made with a place; None if no event handed it out."""
        at = self._makers.get(place)
        return None if at is None else self.points[at[0]].cells[at[1]]

    def is_hosted(self, place: int) -> bool:
        """Whether eager code makes this memory in each flight."""
        return self.recording.places[place].hosted

    def is_viewed(self, event: Event) -> bool:
        """Whether an event's views need to know their bases: somebody may meet them later."""
        if any(e.open for e in self.recording.events):
            return True
        delivered = [phase.delivered for phase in self.phases.values()]
        return any(slot.place in places for slot in event.outs for places in delivered)

    def memory(self, place: Any) -> Any:
        """The array over memory that is the same in each flight."""
        found = self._memories.get(place)
        if found is None and isinstance(place, Scratch):
            found = self._memories[place] = aligned_bytes(place.nbytes)
        elif found is None:
            where = self.recording.places[place]
            if where.tensor is not None:
                found = array_of(where.tensor)
            else:
                found = aligned_bytes(where.nbytes)
            self._memories[place] = found
        return found

    def had_history(self, place: int) -> bool:
        """Whether an outside tensor was a result with a graph that has been run."""
        t = self.recording.places[place].tensor
        return t is not None and t._requires_grad and t._node is not None

    def cleared_before(self, at: int) -> set[int]:
        """The parameters whose gradient is None since an earlier event, by id."""
        found: set[int] = set()
        for event in self.recording.events[:at]:
            if event.kind is ZERO:
                found |= set(map(id, event.detail[1]))
            elif event.kind is BACKWARD:
                found -= {id(p) for p, _, _ in event.detail}
        return found

    def node_of(self, event: Event, slot: Any) -> Any:
        """What stands for the node of a tensor that a flight hands out."""
        return self._stand_in(event, slot) if slot.node is not None else None

    def node_after(self, event: Event, change: Any) -> Any:
        """What stands for the node of a tensor after a write."""
        return self._stand_in(event, change) if change.node_class is not None else None

    def _stand_in(self, event: Event, place: Any) -> Any:
        """A node that has run already, with the name of the one that eager code would make.

        Its edges lead to the leaves at once, so that a pass that comes to it, and must fail, leaves
        alone the leaves that it would leave alone in eager code.
        """
        cls = place.node_class
        node = self._nodes.get((id(event), cls))
        if node is None:
            if event.op is None or cls is CopySlices:
                cls = tape.node_class(cls.__name__)
            metas = tuple([s.meta for s in event.outs]) or (place.meta,)
            edges = tuple([(tape.accumulator(leaf), 0) for leaf in place.leaves])
            node = self._nodes[id(event), cls] = cls(event.op, event.attrs, edges, metas)
            node.released = node.ran = True
        return node


def compile_phases(path: Path, alive: dict[int, set[int]]) -> dict[int, Phase]:
    """Compiles the programs of a path.

    Args:
        path: the stretch.
        alive: for each event that launches, the slots that are delivered there.

    Returns:
        for each event that launches, its phase.

    Raises:
        Unsupported: it cannot be compiled; the text says why.
    """
    from rushlight.compiler.programs import NOTHING, build  # large, and not always needed

    recording = path.recording
    calls, places = recording.calls, recording.places
    made_at: dict[int, int] = {}
    for at, call in enumerate(calls):
        for region in call.outs if type(call) is Call else ():
            if places[region.place].made and not places[region.place].hosted:
                made_at.setdefault(region.place, at)
    phases: dict[int, Phase] = {}
    first, delivered = 0, set()
    for i, event in enumerate(recording.events):
        if event.alive is None:
            continue
        last = event.calls[1]
        made = {p for p, at in made_at.items() if first <= at < last}
        needed = {recording.slots[k].place for k in alive[i]} | _used(calls[last:])
        needed |= event.saved
        wanted = {p for p in made if p in needed}
        delivered |= wanted
        if first < last:
            program, table, numbers = build(
                calls[first:last], made, sorted(wanted), len(recording.numbers)
            )
        else:
            program, table, numbers = NOTHING, (), ()
        hyper = event.detail.numbers() if event.kind is STEP else set()
        rest = tuple([n for n in numbers if n not in hyper | recording.decided.values])
        phase = phases[i] = Phase(program, table, wanted, rest)
        handed = [s for e in recording.events[: i + 1] for s in e.outs]
        spare = [s.index for s in handed if s.place in made_at and s.place not in delivered]
        phase.spare = tuple(spare)
        first = last
    return phases


def _used(calls: Sequence[Any]) -> set[int]:
    """The places that calls read or write."""
    found = set()
    for call in calls:
        parts = (call.region,) if type(call) is Item else (*call.inputs, *call.outs)
        found |= {x.place for x in parts if type(x) is Region}
    return found
