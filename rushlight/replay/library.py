"""The stretches that came by: how often, which are compiled, and the tree that they form.

In: recordings.  Out: their paths in the tree, once they have come often enough.  Another thread
compiles while the program goes on eagerly; when a stretch's programs take over depends on counts
alone, never on time, so that two runs of a program print the same.
"""

from __future__ import annotations

import threading
import time
import warnings
from collections import Counter
from typing import Any

from rushlight.dispatch.doors import STEP
from rushlight.ir.trace import Unsupported
from rushlight.replay.log import log
from rushlight.replay.match import build_end, build_launch, build_match, build_start
from rushlight.replay.patience import Patience, dismantle, dismiss, idle
from rushlight.replay.recording import Recording
from rushlight.replay.tree import Flight, Path, Phase, Point, compile_phases, modes_after

__all__ = ["Library", "Statistics"]

TAKES_OVER = 3  # when a stretch's program takes over
_BAILS = 16  # flights that go wrong between two looks at whether a stretch is of use
_MOST_KEYS = 512
_MOST_PATHS = 64


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
        launched, matched = gone[0] - self.launched, gone[1] - self.matched
        self._gone = (self._gone[0] + launched, self._gone[1] + matched)

    def _points(self) -> list[Point]:
        found = {id(p): p for path in self.paths for p in path.points}
        return list(found.values())


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


class _Known:
    """What is known of a stretch that came by.

    Attributes:
        count: how often it came.
        alive: for each event that launches, the slots that somebody held there.
        problem: why it cannot be compiled.
    """

    __slots__ = ("alive", "count", "job", "keys", "path", "problem")

    def __init__(self) -> None:
        self.count = 0
        self.keys: list[Any] = []  # of its events, once it has come again
        self.job: Compilation | None = None
        self.alive: dict[int, set[int]] = {}
        self.path: Path | None = None
        self.problem: str | None = None


class Library:
    """What one thread's replay has learnt about its program.

    Args:
        flight: what flights through the tree hold.
        watcher: what is told of looks during a flight, and of misses and failures.

    Attributes:
        roots: the first events of the compiled stretches.
    """

    def __init__(self, flight: Flight, watcher: Any) -> None:
        self.flight = flight
        self.watcher = watcher
        self.statistics = Statistics()
        self.roots: list[Point] = []
        self.patience = Patience(self.statistics)
        self._known: dict[int, _Known] = {}

    def learn(self, recording: Recording) -> Point | None:
        """A stretch came by; returns its end in the tree if it is compiled now."""
        path = Path(recording, self.watcher)
        if len(self._known) >= _MOST_KEYS:
            self._known.clear()
        key = hash((recording.modes, *path.keys))  # the keys of what comes once are large
        known = self._known.setdefault(key, _Known())
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
        return self._plant_compiled(known, path)

    def _plant_compiled(self, known: _Known, path: Path) -> Point | None:
        """Plants a stretch whose compilation is due, once it is there."""
        job, known.job = known.job, None
        if job is None or not job.serves(known.alive):
            job = Compilation(path, known.alive)
        self._make_room()
        path, mistake = job.path, False
        try:
            path.phases = job.phases()
        except (Unsupported, NotImplementedError) as error:
            known.problem = str(error) or type(error).__name__
        except Exception as error:
            known.problem, mistake = f"{type(error).__name__}: {error}", True
        if known.problem is not None:
            self.statistics.refused[known.problem] += 1
            log("trace", f"not compiled: {known.problem}")
            if mistake:  # of the compiler's; the program is right without it
                warnings.warn(
                    f"a part of the program runs eagerly as it could not be compiled "
                    f"({known.problem})",
                    RuntimeWarning,
                    stacklevel=2,
                )
            return None
        log("compile", f"{len(path.phases)} programs in {job.seconds * 1e3:.0f} ms")
        self.statistics.compiled += 1
        self.statistics.paths.append(path)
        known.path = path
        self._plant(path)
        return path.points[-1]

    def _plant(self, path: Path) -> None:
        """Puts a compiled path into the tree."""
        recording, modes = path.recording, path.recording.modes
        siblings, parent = self.roots, None
        for i, event in enumerate(recording.events):
            point = next((p for p in siblings if p.key == path.keys[i] and p.modes == modes), None)
            if point is None:
                point = Point(event, path.keys[i], parent, path.references[i], modes)
                siblings.append(point)
            path.points.append(point)
            siblings, parent = point.children, point
        root, end = path.points[0], path.points[-1]
        root.nbytes += sum([place.nbytes for place in recording.places])
        end.ends = True
        self.flight.make_room(len(path.outside), len(recording.numbers))
        cells: dict[int, Any] = {}
        for i, point in enumerate(path.points):
            cells.update(
                {s.index: c for s, c in zip(recording.events[i].outs, point.cells, strict=True)}
            )
            self._build(path, i, cells)
            if i:
                path.points[i - 1].next[0] = point.match
        if end.event.kind is STEP:
            self.follow(end, root)
        else:
            end.next[0] = build_end(end, self.watcher.ended)
        log(
            "trace", f"compiled a stretch of {len(path.points)} events, {len(path.phases)} programs"
        )

    def follow(self, end: Point, root: Point) -> None:
        """After a stretch that ends with a step, a flight may begin with this root."""
        alike = modes_after(end.path()) == root.modes
        end.next[0] = root.match if alike else build_start(root, self.watcher.arm)

    def _build(self, path: Path, i: int, cells: dict[int, Any]) -> None:
        """The functions of a point, unless those that it has serve this path too."""
        point, event, phase = path.points[i], path.recording.events[i], path.phases.get(i)
        if phase is not None:
            point.event, point.phase, point.references = event, phase, path.references[i]
            point.size = i - max((k for k in path.phases if k < i), default=-1)
            known, numbers = path.recording.numbers, phase.program.numbers
            n = min(len(numbers), len(known))
            numbers[:n] = known[:n]
            if event.kind is STEP:
                event.detail.fill(numbers, known)
            watcher = self.watcher
            point.launch = build_launch(
                point, self.flight, path, cells, watcher.failed, watcher.widen
            )
        viewed = point.viewed or path.is_viewed(event)
        if point.match is None or phase is not None or viewed is not point.viewed:
            point.viewed = viewed
            point.match = build_match(point, self.flight, path, cells, self.watcher.miss)

    # Forgetting

    def widen(self, point: Point, held: set[int]) -> None:
        """Stretches through a point are to deliver more slots: they are compiled anew."""
        points = point.path()
        at = len(points) - 1
        for known in self._known.values():
            keys = known.keys
            if len(keys) > at and all(k == p.key for k, p in zip(keys, points, strict=False)):
                known.alive.setdefault(at, set()).update(held)
        if points[0] in self.roots:
            self.uproot(points[0])

    def bailed(self, root: Point) -> None:
        """A flight went wrong; stretches whose flights mostly do are given up."""
        root.bails += 1
        if root.bails % _BAILS or root not in self.roots:
            return
        runs = sum([p.times for p in root.below()])
        if runs - root.runs_then >= _BAILS:
            root.runs_then = runs
            return
        for known in self._known.values():
            if known.path is not None and known.path.points[0] is root:
                known.problem = "its flights mostly went wrong"
                self.statistics.refused[known.problem] += 1
        self.uproot(root)

    def uproot(self, root: Point) -> None:
        """Takes the stretches that begin with a point out of the tree."""
        self.roots.remove(root)
        self.statistics.forget([root])
        for known in self._known.values():
            if known.path is not None and known.path.points[0] is root:
                known.path = None
        for point in [p for other in self.roots for p in other.below()]:
            if getattr(point.next[0], "point", None) is root:
                self.follow(point, point.path()[0])
        self.watcher.uprooted(root)

    def _make_room(self) -> None:
        """Before a stretch is compiled, those go that are not used, or all if there are many."""
        gone = idle(self.roots)
        if len(self.statistics.paths) >= _MOST_PATHS:
            gone = gone or list(self.roots)
        gone = [root for root in gone if root is not self.watcher.resumed]  # a flight began there
        for root in gone:
            for known in self._known.values():
                if known.path is not None and known.path.points[0] is root:
                    known.count = 0
            self.uproot(root)
            dismantle(root)
        if gone and self.watcher.resumed is None:
            self.flight.clear()

    def forget(self) -> None:
        """Drops all that was compiled."""
        self.statistics.forget(self.roots)
        self.roots.clear()
        self._known.clear()
        self.patience = Patience(self.statistics)
