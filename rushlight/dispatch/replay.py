"""Replay: what happens to stretches that come round, to looks, to mismatches, and at the end.

A stretch that was recorded twice alike is compiled and joins the tree (`tree.py`).  From then on
its events are matched (`match.py`) until a program is launched: at an optimiser's step, at a look
at a pending value, or when the stretch is over.  An event that fits nowhere makes the matched
events run eagerly (`bail`): nothing has happened yet, so nothing is lost but time.
"""

from __future__ import annotations

import os
import threading
import time
import warnings
from collections import Counter
from typing import Any

from rushlight.dispatch import doors, elsewhere, modes
from rushlight.dispatch.doors import BACKWARD, DEMAND, EAGER, GRAD, STEP, WRITE, ZERO
from rushlight.dispatch.log import log
from rushlight.dispatch.match import NOT_ME, Flight, build_end, build_launch, build_match, count
from rushlight.dispatch.modes import state
from rushlight.dispatch.patience import Patience, below, dismantle, dismiss, idle, resting
from rushlight.dispatch.record import TOO_LONG, Recorder, Recording
from rushlight.dispatch.settle import as_handed_out, settle, writes
from rushlight.dispatch.tensor import Tensor, memory_of
from rushlight.dispatch.tree import Path, Phase, Point, compile_phases
from rushlight.ir.trace import Unsupported
from rushlight.runtime.storage import force

__all__ = ["Replay", "Statistics", "begin", "replay", "stop"]

TAKES_OVER = 3  # when a stretch's program takes over, always at the same time: same bits again
_MOST_KEYS = 512
_MOST_PATHS = 64
_MOST_MISSES = 4  # flights begun in the middle of a recording that may go wrong


class Statistics:
    """What recording and replaying have done so far.

    Attributes:
        recorded: events that ran eagerly and were recorded.
        paths: the stretches compiled.
        bailed: flights that ended in a mismatch, and why.
        refused: stretches that came round but cannot be compiled, and why.
        compiled: stretches compiled.
    """

    def __init__(self) -> None:
        self.recorded = 0
        self.paths: list[Path] = []
        self.compiled = 0
        self.bailed: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self._gone = (0, 0)  # launched and matched, of stretches that are no more

    @property
    def launched(self) -> int:
        """How many programs have run."""
        return self._gone[0] + sum([p.times for p in self._points()])

    @property
    def matched(self) -> int:
        """How many events a program stood for."""
        return self._gone[1] + sum([p.times * p.size for p in self._points()])

    def forget(self, roots: list[Point]) -> None:
        """Keeps the counts of these stretches alone."""
        gone = self.launched, self.matched
        self.paths = [p for p in self.paths if p.points[0] not in roots]
        left = self.launched, self.matched
        kept = zip(self._gone, gone, left, strict=True)
        self._gone = tuple([n + a - b for n, a, b in kept])  # type: ignore[assignment]

    def _points(self) -> list[Point]:
        found = {id(p): p for path in self.paths for p in path.points}
        return list(found.values())


class _Known:
    """What is known of a stretch that came by."""

    __slots__ = ("alive", "count", "job", "keys", "path", "problem")

    def __init__(self) -> None:
        self.count = 0
        self.keys: list[Any] = []  # of its events, once it has come again
        self.job: Compilation | None = None
        self.alive: dict[int, set[int]] = {}
        self.path: Path | None = None
        self.problem: str | None = None


class Compilation:
    """A stretch being compiled by another thread.

    Args:
        path: the stretch.
        alive: for each event that launches, the slots that are delivered there.

    Attributes:
        seconds: how long it took.
    """

    def __init__(self, path: Path, alive: dict[int, set[int]]) -> None:
        self.path = path
        self.alive = {i: set(slots) for i, slots in alive.items()}
        self.seconds = 0.0
        self._phases: dict[int, Phase] | None = None
        self._error: BaseException | None = None
        from rushlight.compiler import programs  # noqa: F401 large; not in the thread, for forks

        self._thread = threading.Thread(target=self._run, name="rushlight-compiler")
        self._thread.start()

    def _run(self) -> None:
        start = time.perf_counter()
        try:
            self._phases = compile_phases(self.path, self.alive)
        except BaseException as error:  # raised where somebody waits for the result
            self._error = error
        self.seconds = time.perf_counter() - start

    def serves(self, alive: dict[int, set[int]]) -> bool:
        """Whether it delivers all that somebody held in the meantime."""
        return all(slots <= self.alive.get(i, set()) for i, slots in alive.items())

    def phases(self) -> dict[int, Phase]:
        """The programs, when they are there."""
        self._thread.join()
        if self._phases is None and self._error is None:  # a fork left the thread behind
            self._run()
        if self._error is not None:
            raise self._error
        assert self._phases is not None
        return self._phases


class Replay:
    """Recording and replaying of one thread."""

    def __init__(self) -> None:
        self.statistics = Statistics()
        self.recorder = Recorder(self.finished, self._resume)
        self.resumed: Point | None = None  # the root at which a flight began out of a recording
        self.flight = Flight()
        self.known: dict[int, _Known] = {}
        self.roots: list[Point] = []
        self.last: Point | None = None  # where the last stretch ended
        self.patience = Patience(self.statistics)

    # Recording

    def start(self) -> None:
        """Begins to record."""
        self.flight.launched = None
        self.recorder.start()

    def finished(self, recording: Recording) -> None:
        """A recording has ended: count it, compile it if it is the second alike, go on."""
        self.statistics.recorded += len(recording.events)
        end = None
        if recording.problem is not None:
            self.statistics.refused[recording.problem] += 1
            dismiss(recording)
        elif recording.events:
            end = self._learn(recording)
        rest = self.patience.recorded(recording, recording.problem == TOO_LONG)
        if rest and end is None:
            log("trace", f"recording rests for {rest} events")
            doors.door[0] = resting(rest, self.start, self.patience.is_new)
            doors.watch[0] = None
        else:
            self._expect(end)

    def _learn(self, recording: Recording) -> Point | None:
        path = Path(recording, self)
        key = hash((recording.grad, recording.inference, *path.keys))  # keys of one-offs are large
        if len(self.known) >= _MOST_KEYS:
            self.known.clear()
        known = self.known.setdefault(key, _Known())
        known.count += 1
        if known.count > 1:
            known.keys = path.keys
        for i, event in enumerate(recording.events):
            if event.alive is not None:
                known.alive.setdefault(i, set()).update(event.alive)
        if known.problem is not None:
            return None
        if known.path is not None and known.path.points[0] in self.roots:
            self.statistics.refused["it was compiled, yet recorded again"] += 1
            return known.path.points[-1]
        if known.job is None:
            if not self.patience.allows(known, known.count, recording):
                dismiss(recording)
                return None
            known.job = Compilation(path, known.alive)
        if known.count < TAKES_OVER:
            return None  # eager code goes on meanwhile
        return self._compiled(known, path)

    def _compiled(self, known: _Known, path: Path) -> Point | None:
        """Plants a stretch whose compilation is due, once it is there."""
        job, known.job = known.job, None
        if job is None or not job.serves(known.alive):
            job = Compilation(path, known.alive)
        self._make_room()
        try:
            path = job.path
            path.phases = job.phases()
        except (Unsupported, NotImplementedError) as error:
            known.problem = str(error) or type(error).__name__
            self.statistics.refused[known.problem] += 1
            log("trace", f"not compiled: {known.problem}")
            return None
        except Exception as error:  # a mistake of the compiler's; the program is right without it
            known.problem = f"{type(error).__name__}: {error}"
            self.statistics.refused[known.problem] += 1
            self.start()
            warnings.warn(
                f"a part of the program runs eagerly as it could not be compiled ({known.problem})",
                RuntimeWarning,
                stacklevel=2,
            )
            return None
        except BaseException:
            self.start()  # what follows is recorded afresh
            raise
        log("compile", f"{len(path.phases)} programs in {job.seconds * 1e3:.0f} ms")
        self.statistics.compiled += 1
        self.statistics.paths.append(path)
        known.path = path
        return self._plant(path)

    def _make_room(self) -> None:
        """Before a stretch is compiled, those go that are not used, or all if there are many."""
        gone = idle(self.roots)
        if len(self.statistics.paths) >= _MOST_PATHS:
            gone = gone or list(self.roots)
        gone = [root for root in gone if root is not self.resumed]  # a flight has begun there
        for root in gone:
            for known in self.known.values():
                if known.path is not None and known.path.points[0] is root:
                    known.count = 0
            self._uproot(root)
            dismantle(root)
        if gone and self.resumed is None:
            tables = self.flight.outside, self.flight.arrays
            for table in tables:
                table[:] = [None] * len(table)

    def _uproot(self, root: Point) -> None:
        """Takes the stretches that begin with a point out of the tree."""
        self.roots.remove(root)
        self.statistics.forget([root])
        for known in self.known.values():
            if known.path is not None and known.path.points[0] is root:
                known.path = None
        for point in [p for other in self.roots for p in below(other)]:
            if point.next[0] is not None and getattr(point.next[0], "point", None) is root:
                point.next[0] = point.path()[0].match
        if self.last is not None and self.last.path()[0] is root:
            self.last = None

    def _plant(self, path: Path) -> Point:
        """Puts a compiled path into the tree; returns its end."""
        siblings, parent = self.roots, None
        recording = path.recording
        for i, event in enumerate(recording.events):
            point = next((p for p in siblings if p.key == path.keys[i]), None)
            if point is None:
                point = Point(event, path.keys[i], parent, path.references[i])
                point.grad, point.inference = recording.grad, recording.inference
                siblings.append(point)
            path.points.append(point)
            siblings, parent = point.children, point
        path.points[0].nbytes += sum([place.nbytes for place in recording.places])
        self.flight.make_room(len(path.outside), len(recording.numbers))
        cells: dict[int, Any] = {}
        start = 0
        for i, point in enumerate(path.points):
            event = recording.events[i]
            cells.update({s.index: c for s, c in zip(event.outs, point.cells, strict=True)})
            phase = path.phases.get(i)
            last = i == len(path.points) - 1
            if phase is not None:
                point.event, point.phase, point.references = event, phase, path.references[i]
                point.size = i + 1 - start
                start = i + 1
                numbers = phase.program.numbers
                n = min(len(numbers), len(recording.numbers))
                numbers[:n] = recording.numbers[:n]
                if event.kind is STEP:
                    event.detail.fill(phase.program.numbers, recording.numbers)
                point.launch = build_launch(
                    point, self.flight, path, cells, self._failed, self._widen
                )
            point.ends = point.ends or last
            viewed = point.viewed or path.is_viewed(event)
            if point.match is None or phase is not None or viewed is not point.viewed:
                point.viewed = viewed
                point.match = build_match(point, self.flight, path, cells, self._miss)
            if i:
                path.points[i - 1].next[0] = point.match
        end = path.points[-1]
        ended = end.event.kind is not STEP
        end.next[0] = build_end(end, self._ended) if ended else path.points[0].match
        log(
            "trace", f"compiled a stretch of {len(path.points)} events, {len(path.phases)} programs"
        )
        return end

    def _expect(self, end: Point | None) -> None:
        """After a stretch: the root that followed it last time, any root, or recording."""
        if self.last is not None and self.roots and end is not None:
            first = end.path()[0]
            if self.last.event.kind is STEP:
                self.last.next[0] = first.match
        self.last = end
        if self.roots:
            self._arm(self.roots[-1] if end is None else end.path()[0])
        else:
            self.start()

    def _arm(self, root: Point) -> None:
        if modes.special():
            self.start()
            return
        doors.watch[0] = None
        doors.door[0] = root.match

    def _resume(self, op: Any, inputs: Any, attrs: Any, kind: Any) -> Any:
        """An event that begins a known stretch ends a recording (the way into a loop, say)."""
        for root in self.roots:
            if root.misses <= _MOST_MISSES:
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

    def forget(self) -> None:
        """Drops all that was compiled."""
        self.statistics.forget(self.roots)
        self.roots.clear()
        self.known.clear()
        self.last = None
        self.recorder.long = 0
        self.patience = Patience(self.statistics)

    # In flight

    def _miss(self, point: Point, op: Any, inputs: Any, attrs: Any, kind: Any) -> Any:
        """An event that is not the expected one: another branch, or the end of the flight."""
        if doors.get_ident() != doors.owner[0]:
            return self._elsewhere(op, inputs, attrs, kind)
        parent = point.parent
        for other in self.roots if parent is None else parent.children:
            if other is not point:
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

    def _ended(self, point: Point, op: Any, inputs: Any, attrs: Any, kind: Any) -> Any:
        """The event after a stretch that ends without a step."""
        if doors.get_ident() != doors.owner[0]:
            return self._elsewhere(op, inputs, attrs, kind)
        for child in point.children:
            result = child.match(op, inputs, attrs, kind, _not_me)
            if result is not NOT_ME:
                return result
        self._complete(point)
        return doors.door[0](op, inputs, attrs, kind)

    def _complete(self, point: Point) -> None:
        if point.phase is None or self.flight.launched is point or point.launch():
            self.complete(point)

    def complete(self, point: Point) -> None:
        """A stretch is over and its programs have run."""
        self.resumed = None
        doors.watch[0] = None
        if point.event.open:
            points = point.path()
            cells = _cells(points)
            settle(points, cells, lambda p: self._given(p, cells))
            _release(points)
        self._arm(point.path()[0])

    def look(self, t: Tensor) -> None:
        """Somebody reads a tensor's values while a flight is under way."""
        if doors.get_ident() != doors.owner[0]:
            prefix = self._prefix()
            if prefix is not None and self._pending(t, prefix):
                elsewhere.take_over(lambda: doors.look(t))
            return
        match = doors.door[0]
        point = getattr(match, "point", None)
        if point is None:
            return
        if getattr(match, "ended", False):
            if self._pending(t, point):
                self._look_at_end(t, point)
            return
        for other in point.parent.children if point.parent is not None else ():
            if other.event.kind is DEMAND and self._demands(other, t):
                if other.launch() and doors.door[0] is match:
                    doors.door[0] = other.next[0]
                    if other.ends:
                        self.complete(other)
                return
        if point.parent is not None and self._pending(t, point.parent):
            self.bail(point.parent, f"a value is looked at after {point.parent.event}")
            doors.look(t)

    def _look_at_end(self, t: Tensor, point: Point) -> None:
        for child in point.children:
            if child.event.kind is DEMAND and self._demands(child, t):
                if child.launch() and child.ends:
                    self.complete(child)
                elif doors.watch[0] is self:
                    doors.door[0] = child.next[0]
                return
        self.bail(point, f"a value is looked at after {point.event}")
        doors.look(t)

    def _demands(self, point: Point, t: Tensor) -> bool:
        sort, k = point.references[0][:2]
        if sort != "slot":
            return k is t
        node: Point | None = point
        while node is not None:
            for slot, cell in zip(node.event.outs, node.cells, strict=True):
                if slot.index == k:
                    return cell[0] is t
            node = node.parent
        return False

    def _pending(self, t: Tensor, point: Point) -> bool:
        """Whether a tensor's memory is still to be written by the flight."""
        storage = t._storage
        points = point.path()
        cells = _cells(points)
        for p in reversed(points):
            if p is self.flight.launched:
                return False
            if p.real:
                continue
            if any([cell[1] is storage for cell in p.cells]):
                return True
            if p.event.kind is WRITE:
                if self._input(p.references[0], cells)._storage is storage:
                    return True
            if p.event.kind is BACKWARD:
                for _, how, k in p.event.detail:
                    if how == "more":
                        grad = cells[k[1]][0] if k[0] == "slot" else k[2]
                        if grad._storage is storage:
                            return True
        return False

    def history(self, t: Tensor) -> None:
        """Somebody looks at a tensor's place in the graph."""
        prefix = self._prefix()
        if prefix is None or not t._requires_grad:
            return
        if any([cell[0] is t for p in prefix.path() if not p.real for cell in p.cells]):
            if doors.get_ident() != doors.owner[0]:
                elsewhere.take_over(lambda: doors.history(t))
                return
            self.bail(prefix, "a tensor's history is looked at")
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
        prefix = self._prefix()
        if prefix is not None and doors.get_ident() == doors.owner[0]:
            self.bail(prefix, reason)
            doors.interrupt(reason)

    def force(self, storage: Any) -> None:
        """Somebody needs memory that is still pending, whoever the tensor is."""
        prefix = self._prefix()
        if prefix is None:
            return
        if doors.get_ident() != doors.owner[0]:
            elsewhere.take_over(lambda: self.force(storage))
        else:
            self.bail(prefix, "memory is looked at")

    def in_flight(self) -> bool:
        """Whether events were matched whose programs have not run."""
        return self._prefix() is not None

    def _prefix(self) -> Point | None:
        """The last event of the flight that is under way, if any."""
        match = doors.door[0]
        point: Point | None = getattr(match, "point", None)
        if point is None or getattr(match, "ended", False):
            return point
        return point.parent

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
        prefix = self._prefix()
        if prefix is not None and any([self._in_flight(t, prefix) for t in needed]):
            elsewhere.take_over(lambda: doors.interrupt("another thread needs a value"))
        return EAGER[kind](op, inputs, attrs)

    def _in_flight(self, t: Tensor, prefix: Point) -> bool:
        handed = any([cell[0] is t for p in prefix.path() if not p.real for cell in p.cells])
        return handed or self._pending(t, prefix)

    def item(self, t: Tensor) -> None:
        """Somebody reads a number."""
        self.look(t)

    def accumulated(self, leaf: Any, fresh: bool) -> None:
        """A backward pass outside the flight."""

    def copied(self, source: Any, copy: Any) -> None:
        """A write outside the flight kept what was there before."""

    # Bailing out

    def bail(self, point: Point, reason: str) -> None:
        """Runs the matched events up to this point eagerly, as if they had been so all along."""
        self.statistics.bailed[reason] += 1
        log("trace", f"bailed out: {reason}")
        points = point.path()
        points[0].misses += self.resumed is points[0]
        self.resumed = None
        launched = self.flight.launched
        done = points.index(launched) + 1 if launched is not None and launched in points else 0
        now = state.grad, state.inference
        state.grad, state.inference = _modes_at(points, done)
        self.start()
        cells = _cells(points)
        changed: list[tuple[Any, Any]] = []
        try:
            settle(points[:done], cells, lambda p: self._given(p, cells))
            if done:
                self.recorder.interrupt("it began behind a launched program")
            self._take_back(points[done:], cells)
            changed = self._exchange(points[done:])
            self.recorder.again = True
            for p in points[done:]:
                try:
                    self._again(p, cells)
                except Exception as error:
                    error.add_note("the call that failed is at {}:{}".format(*p.event.line))
                    raise
        finally:
            self.recorder.again = False
            for array, latest in changed:
                array[...] = latest
            _release(points)
            state.grad, state.inference = now

    def _take_back(self, points: list[Point], cells: dict[int, Any]) -> None:
        """Undoes what matched events did at once: gradients, versions, histories."""
        interrupted = points[-1].children if points else []
        for p in (*points, *interrupted):
            if p.event.kind is BACKWARD:
                leaves = [leaf for leaf, how, _ in p.event.detail if how == "new"]
                for leaf, cell in zip(leaves, p.cells, strict=True):
                    if p in points or leaf._grad is cell[0]:
                        leaf._grad = None
        for p in points:
            as_handed_out(p)
            if p.event.kind is not STEP:
                for counter, n in writes(p.event, self._given(p, cells), cells).items():
                    counter.value -= n

    def _exchange(self, points: list[Point]) -> list[tuple[Any, Any]]:
        """Puts back what NumPy has changed since events saw it; returns what to restore."""
        found = []
        numbers = {r[1]: None for p in points for r in p.references if r[0] == "outside"}
        for n in numbers:
            t, seen = self.flight.outside[n], self.flight.arrays[n]
            if t._storage.exported and seen is not None:
                array = memory_of(t)
                if array.tobytes() != seen.tobytes():
                    found.append((array, array.copy()))
                    array[...] = seen
        return found

    def _again(self, point: Point, cells: dict[int, Any]) -> None:
        """Runs a matched event eagerly and makes the tensors it handed out what it gives."""
        event = point.event
        inputs = self._given(point, cells)
        recorder = self.recorder
        if event.kind is DEMAND:
            recorder.look(inputs[0])
            return
        handed = [cell[0] for cell in point.cells]
        if event.hosted:
            result = inputs[0] if event.kind is WRITE else tuple(handed)
            if event.single and event.kind is not WRITE:
                result = handed[0]
            recorder.adopt(event, inputs, result)
            return
        attrs = point.attrs if event.windows else () if event.kind is STEP else event.attrs
        result = recorder.record(event.op, inputs, attrs, event.kind)
        if event.kind is WRITE:
            return
        if event.kind is BACKWARD:
            made = [leaf._grad for leaf, how, _ in event.detail if how == "new"]
            leaves = [leaf for leaf, how, _ in event.detail if how == "new"]
        else:
            made, leaves = list(result) if type(result) is tuple else [result], []
        for cell, t in zip(point.cells, made, strict=False):
            _become(cell[0], t)
            recorder.renamed(t, cell[0])
        for leaf, cell in zip(leaves, point.cells, strict=False):
            leaf._grad = cell[0]

    def _input(self, r: Any, cells: dict[int, Any]) -> Any:
        if r[0] == "slot":
            return cells[r[1]][0]
        if r[0] == "outside":
            return self.flight.outside[r[1]]
        if r[0] == "number":
            return self.flight.numbers[r[1]]
        return r[1]

    def _given(self, point: Point, cells: dict[int, Any]) -> tuple[Any, ...]:
        return tuple([self._input(r, cells) for r in point.references])

    def _failed(self, point: Point) -> bool:
        """A program found a bad index: eager code will raise where it would have raised."""
        self.bail(point, "a value is out of range")
        return False

    def _widen(self, point: Point) -> bool:
        """Somebody holds a tensor that the program does not deliver: from now on it will."""
        points = point.path()
        cells = _cells(points)
        phase = point.phase
        assert phase is not None
        held = {k for k, n in phase.expected.items() if count(cells[k]) != n}
        self._prune(point, held)
        self.bail(point, "a tensor is held that was not before")
        return False

    def _prune(self, point: Point, held: set[int]) -> None:
        """Takes the stretches through a point out of the tree; they will deliver more."""
        at = len(point.path()) - 1
        for known in self.known.values():
            if len(known.keys) > at and all(
                k == p.key for k, p in zip(known.keys, point.path(), strict=False)
            ):
                known.alive.setdefault(at, set()).update(held)
        root = point.path()[0]
        if root in self.roots:
            self._uproot(root)


def _modes_at(points: list[Point], n: int) -> tuple[bool, bool]:
    """Gradient recording and inference mode before the n-th event of a path."""
    grad, inference = points[0].grad, points[0].inference
    for p in points[:n]:
        if p.event.kind is GRAD:
            grad, *more = [value for _, value in p.event.inputs]
            inference = more[0] if more else inference
    return grad, inference


def _become(handed: Tensor, made: Tensor) -> None:
    """Makes a tensor that was handed out what eager code made, its storage included.

    Others may share the storage by now, so it stays the same object and gets the memory.
    """
    old, new = handed._storage, made._storage
    for name in ("_requires_grad", "_node", "_out_nr", "_view"):
        handed.__dict__.pop(name, None)
    handed.__dict__.update(made.__dict__)
    if old is not new:
        old.note = new.note
        if old._bytes is None and old.owner is None:
            old._bytes, old.owner = new._bytes, new.owner
        else:  # memory of an earlier flight, over which others may have arrays
            old.bytes[:] = new.bytes
            handed._array = made._array = None
        handed._storage = made._storage = old
        for x in made._node.outputs if made._node is not None else ():
            t = getattr(x, "tensor", None)
            if t is not None and t._storage is new:
                t._storage, t._array = old, None


def _cells(points: list[Point]) -> dict[int, Any]:
    return {s.index: c for p in points for s, c in zip(p.event.outs, p.cells, strict=True)}


def _release(points: list[Point]) -> None:
    """Lets go of the tensors that a flight handed out."""
    for p in points:
        for cell in p.cells:
            cell[:] = [None, None, 0, None, None, 0]


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
