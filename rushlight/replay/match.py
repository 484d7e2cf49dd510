"""The matcher: one generated function an event, which takes the event if it is the expected one.

In: a point of the tree.  Out: ``match(op, inputs, attrs, kind)``, which checks all guards before
any effect, hands out tensors whose values are pending, and puts the next matcher into the door.
What does not fit goes to ``miss``.  It takes 0.2-0.4 us an event.

    def match(op, inputs, attrs, kind=None, miss=miss):
        if kind is None and op is add and len(inputs) == 2:
            a0, a1, = inputs
            if a0 is cell[0] and a1 is weight and unchanged[0] and not attrs:   # guards
                t0 = ...                                                        # effects
                door[0] = NEXT[0]
                return t0
        return miss(POINT, op, inputs, attrs, kind)
"""

from __future__ import annotations

import sys
from typing import Any

from rushlight.dispatch import doors
from rushlight.dispatch.autocast import clear_casts
from rushlight.dispatch.doors import BACKWARD, DEMAND, STEP, ZERO
from rushlight.dispatch.tensor import Tensor, memory_of
from rushlight.replay import kinds
from rushlight.replay.recording import EXACT, modes_now, spent
from rushlight.replay.source import HELD_ONCE, Site, Source, snapshot
from rushlight.replay.tree import Flight, Path, Point
from rushlight.runtime.cpu import array_over

__all__ = ["NOT_ME", "build_end", "build_launch", "build_match", "build_start", "count"]

NOT_ME: Any = object()  # what a match function returns instead of a miss, if so asked


def build_match(point: Point, flight: Flight, path: Path, cells: dict[int, Any], miss: Any) -> Any:
    """The match function of a point.

    Args:
        path: the path through it, for the places of outside tensors.
        cells: for each slot of the points before it, and its own, the cell of its tensor.
        miss: what takes events that do not fit.
    """
    site = Site(point, flight, path, cells)
    event, n = point.event, len(point.references)
    kind = kinds.of(event.kind)
    site.names.update(miss=miss, POINT=point, NEXT=point.next, launch=point.launch)
    site.add(0, "def match(op, inputs, attrs, kind=None, miss=miss):")
    if event.kind is not DEMAND:
        known = [f"kind is {site.constant(event.kind)}"]
        if event.op is not None:
            known.append(f"op is {site.constant(event.op)}")
        site.add(1, f"if {' and '.join(known)} and len(inputs) == {n}:")
        if n:
            site.add(2, f"{', '.join(f'a{i}' for i in range(n))}, = inputs")
        if point.parent is None:
            _begin(site)
        elif not any(r[0] == "slot" for r in point.references):
            site.checks.append("get_ident() == owner")
        if event.kind not in (STEP, ZERO):
            _inputs(site, kind)
        if event.kind is BACKWARD and site.path.seen_before(site.at):
            graphs = site.constant(_ReadByGraphs(site))
            site.checks.append(f"(not {site.constant(site.flight)}.shared or {graphs}.fits())")
        if kind.static and not event.windows:
            if event.counted:
                _counted(site, kind.attributes(event))
            else:
                _attributes(site, kind.attributes(event))
        kind.match(site)
        _write_down(site)
    site.add(1, "return miss(POINT, op, inputs, attrs, kind)")
    return site.function("match", point)


def _write_down(site: Site) -> None:
    """The lines of a function with its guards, effects and result."""
    depth = 2
    for before, checks in (((), site.checks), (site.first, site.late)):
        if before:
            site.add(depth, *before)
        if checks:
            site.add(depth, f"if {' and '.join(checks)}:")
            depth += 1
    site.add(depth, *site.effects)
    if site.event.kind is not STEP:
        site.add(depth, "door[0] = NEXT[0]", f"return {site.result}")
        return
    site.add(depth, "if launch():", "    door[0] = NEXT[0]")
    if site.point.ends and site.event.open:  # graphs, whose nodes must then be made
        site.names["complete"] = site.path.watcher.complete
        site.add(depth, "    complete(POINT)")
    elif site.point.ends:
        site.add(depth, "    watch[0] = None")
    site.add(depth, "return None")


class _Again:
    """Looks at the fixed tensors of a tree again whenever some tensor has changed."""

    __slots__ = ("epoch", "root")

    def __init__(self, root: Point) -> None:
        self.root = root
        self.epoch = -1

    def look(self) -> bool:
        """Looks; true, since each point then asks for its own tensors."""
        self.epoch = doors.epoch[0]
        for point in self.root.below():
            for fixed in point.fixed:
                fixed.look()
        return True


def _begin(site: Site) -> None:
    """A flight begins: the thread, and whether tensors are what they were.

    The modes are right: a change of one is an event, and no root is in the door after it.
    """
    again = site.constant(_Again(site.point))
    site.checks += [
        f"(epoch[0] == {again}.epoch or {again}.look())",  # before it is asked
        "get_ident() == owner",
    ]
    site.effects.append(f"watch[0] = {site.constant(site.path.watcher)}")
    site.effects.append(f"{site.constant(site.flight)}.launched = None")
    if site.point.modes[-1].enabled:  # casts are made in the flight that uses them
        site.names["clear_casts"] = clear_casts
        site.effects.append("clear_casts()")


def _inputs(site: Site, kind: Any) -> None:
    """Guards on the inputs, and what is noted of them.

    What this flight handed out is asked first: another thread that comes here has none of it.
    """
    seen: set[int] = set()
    found = enumerate(site.point.references)
    for i, r in sorted(found, key=lambda entry: entry[1][0] != "slot"):
        a = f"a{i}"
        if r[0] == "slot":
            site.checks.append(f"{a} is {site.constant(site.cells[r[1]])}[0]")
            for n in site.path.reads(site.event, (r,)):
                if n is not None:  # it is a view, made in the flight, of memory that was there
                    _as_before(site, n)
        elif r[0] == "fixed":
            site.checks.append(f"{a} is {site.constant(r[1])}")
            site.fix(r[1])
        elif r[0] == "number":
            site.checks.append(f"type({a}) is {r[2].__name__}")
            if r[2] is int:
                site.checks.append(f"-{EXACT} < {a} < {EXACT}")
            site.effects.append(f"NUM[{r[1]}] = {a}")
        elif r[0] == "value":
            _same_value(site, a, r[1])
        elif r[1] in seen:
            site.checks.append(f"{a} is X[{r[1]}]")
        elif r[1] in site.path.seen_before(site.at):
            _seen_again(site, a, r[1], kind.detaches)
        else:
            _outside(site, a, r[1], kind.detaches)
        if r[0] == "outside":
            seen.add(r[1])


def _outside(site: Site, a: str, n: int, detaches: bool) -> None:
    """An outside tensor that the flight sees for the first time."""
    path = site.path
    place, m, offset = path.outside[n]
    last = site.constant(_Outside(site, m))
    site.checks.append(f"({a} is {last}.tensor and epoch[0] == {last}.epoch or {last}.fits({a}))")
    if not detaches:
        _no_graph(site, a, place)
    other = path.variable(place)
    if other != n:
        site.checks.append(f"{a}._storage is X[{other}]._storage")
        site.checks.append(f"{a}._offset - X[{other}]._offset == {offset}")
    site.effects += [f"X[{n}] = {a}", f"R[{n}] = {last}.memory"]


class _Outside:
    """What is asked of an outside tensor, and the last one that had it, while nothing changes.

    Attributes:
        memory: its memory, or a copy if NumPy may change it.
    """

    __slots__ = ("epoch", "flight", "memory", "meta", "parent", "tensor", "watcher", "written")

    def __init__(self, site: Site, meta: Any) -> None:
        path = site.path
        self.parent = site.point.parent
        self.flight = site.flight
        self.watcher = path.watcher
        self.written = path.written_storages
        self.meta = meta
        self.tensor: Any = None
        self.memory: Any = None
        self.epoch = -1

    def fits(self, t: Any) -> bool:
        """Whether a tensor can stand here."""
        if type(t) is not Tensor or t._meta is not self.meta or t._storage in self.written:
            return False
        if self.parent is not None and t._storage.deferred:
            if not self.watcher.is_there(t, self.parent):
                return False
        self.tensor, self.memory = t, snapshot(t)
        self.epoch = doors.epoch[0]
        if t._storage.exported:
            self.epoch, self.flight.shared = -1, True
        return True


def _no_graph(site: Site, a: str, place: int) -> None:
    """No later event can differentiate what an outside tensor was computed from."""
    if site.path.had_history(place):
        site.names["spent"] = spent
        gone = f"({a}._node.released or spent({a}._node))"
        site.checks.append(f"{a}._requires_grad and {a}._node is not None and {gone}")
    else:
        site.checks.append(f"not {a}._requires_grad")
        site.checks.append(f"({a}._view is None or not {a}._view.base._requires_grad)")


def _seen_again(site: Site, a: str, n: int, detaches: bool) -> None:
    """An outside tensor that an earlier event has seen; NumPy may have changed it since."""
    site.checks.append(f"{a} is X[{n}]")
    if not detaches and site.path.detached_before(n, site.at):
        _no_graph(site, a, site.path.outside[n][0])
    _as_before(site, n)


def _as_before(site: Site, n: int) -> None:
    """Memory that an earlier event has seen; NumPy may have changed it since."""
    if site.path.read_since_launch(n, site.at):
        site.names["unchanged"] = _unchanged
        site.checks.append(f"(not X[{n}]._storage.exported or unchanged(X[{n}], R[{n}]))")
    else:
        site.snapshot(n)


def _unchanged(t: Tensor, snapshot: Any) -> bool:
    """Whether memory that NumPy may have changed is what it was at the last snapshot."""
    return bool(memory_of(t).tobytes() == snapshot.tobytes())


class _ReadByGraphs:
    """Outside tensors that a backward pass may read again; NumPy may have changed them since."""

    __slots__ = ("again", "flight", "fresh")

    def __init__(self, site: Site) -> None:
        self.flight = site.flight
        seen = sorted(site.path.seen_before(site.at))
        self.again = [n for n in seen if site.path.read_since_launch(n, site.at)]
        self.fresh = [n for n in seen if n not in self.again]

    def fits(self) -> bool:
        """Whether what was read since the last launch is as it was; the rest is noted anew."""
        given, memory = self.flight.outside, self.flight.arrays
        for n in self.again:
            if given[n]._storage.exported and not _unchanged(given[n], memory[n]):
                return False
        for n in self.fresh:
            if given[n]._storage.exported:
                memory[n] = snapshot(given[n])
        return True


def _same_value(site: Site, a: str, x: Any) -> None:
    if x is None or isinstance(x, bool):
        site.checks.append(f"{a} is {x}")
    elif isinstance(x, (int, float, complex, str)) or type(x) is tuple:
        same = f"type({a}) is {site.constant(type(x))} and {a} == {site.constant(x)}"
        site.checks.append(same)
    else:
        site.checks.append(f"{a} is {site.constant(x)}")


def _attributes(site: Site, attrs: tuple[Any, ...]) -> None:
    if len(attrs) < len(site.event.attrs):
        given = f"attrs[:{len(attrs)}]"
    elif not attrs:
        site.checks.append("not attrs")
        return
    else:
        given = "attrs"
    name = site.constant(attrs)
    if not any(isinstance(x, (bool, int, float, complex)) for x in attrs):
        site.checks.append(f"{given} == {name}")
        return
    types = site.constant(tuple(map(type, attrs)))
    same = f"{given} == {name} and tuple(map(type, {given})) == {types}"
    site.checks.append(f"({given} is {name} or {same})")


def _counted(site: Site, attrs: tuple[Any, ...]) -> None:
    """Attributes of which some are run-time numbers."""
    numbers = dict(site.event.counted)
    site.checks.append(f"len(attrs) == {len(attrs)}")
    for i, x in enumerate(attrs):
        if i in numbers:
            site.checks.append(f"type(attrs[{i}]) is float")
            site.effects.append(f"NUM[{numbers[i]}] = attrs[{i}]")
        else:
            _same_value(site, f"attrs[{i}]", x)


def build_launch(
    point: Point, flight: Flight, path: Path, cells: dict[int, Any], failed: Any, widen: Any
) -> Any:
    """The function that runs the program of a point; it returns whether it could."""
    phase = point.phase
    assert phase is not None
    program = phase.program
    s = Source(flight)
    s.names.update(POINT=point, FLIGHT=flight, PROGRAM=program, run=program.run)
    s.names.update(T=memoryview(program.table), N=memoryview(program.numbers))
    s.names.update(failed=failed, widen=widen, bind=_bind, memory_of=memory_of)
    s.add(0, "def launch():")
    phase.expected = _expected(phase, path, cells)
    if phase.expected:
        held = [s.constant(cells[k]) for k in phase.expected]
        counts = " + ".join([f"getrefcount({c}[0]) + getrefcount({c}[1])" for c in held])
        s.add(1, f"if {counts} != {sum(phase.expected.values())}:", "    return widen(POINT)")
    for entry, place in enumerate(phase.places):
        n, cell = path.variable(place), path.maker(place)
        if n is not None:
            s.add(1, f"T[{entry}] = id(R[{n}])")
        elif cell is None:
            array = path.memory(place)
            program.table[entry] = id(array)
            s.names[f"memory{entry}"] = array
        elif path.is_hosted(place):
            s.add(1, f"T[{entry}] = id(memory_of({s.constant(cell)}[0]))")
        else:
            c = s.constant(cell)
            s.add(1, f"T[{entry}] = {c}[2] or bind({c})")
    for n in phase.numbers:
        s.add(1, f"N[{n}] = NUM[{n}]")
    s.add(1, "try:", "    status = run()", "except BaseException:")  # Ctrl-C, most likely
    s.add(2, "if PROGRAM.ending: FLIGHT.launched = POINT", "raise")
    s.add(1, "if status: return failed(POINT)", "FLIGHT.launched = POINT", "POINT.times += 1")
    if point.event.kind is STEP:
        for counter, times in point.event.detail.counters.items():
            s.add(1, f"{s.constant(counter)}.value += {times}")
    s.add(1, "return True")
    return s.function("launch", point)


def count(cell: list[Any]) -> int:
    """How many references there are to a handed-out tensor and to its storage."""
    return sys.getrefcount(cell[0]) + sys.getrefcount(cell[1])


def _expected(phase: Any, path: Path, cells: dict[int, Any]) -> dict[int, int]:
    """For each slot that the program does not deliver, its `count` if nobody holds it."""
    found = {}
    places = [s.place for s in path.recording.slots]
    for k in phase.spare:
        if k in cells:
            sharing = sum([places[j] == places[k] for j in cells])
            found[k] = 2 * (HELD_ONCE - 1) + 2 * sharing - 1
    return found


def _bind(cell: list[Any]) -> int:
    """Gives a pending tensor's storage memory of its own; what the table says of it."""
    t, storage = cell[:2]
    memory = storage.allocate()
    t._array = array_over(storage, t._meta, t._offset)
    cell[2] = id(memory)
    return id(memory)


def build_start(root: Point, arm: Any) -> Any:
    """What takes the event after a stretch whose modes are not those of a root."""

    def start(op: Any, inputs: Any, attrs: Any, kind: Any = None) -> Any:
        arm(root, modes_now())
        return doors.door[0](op, inputs, attrs, kind)

    return start


def build_end(point: Point, finish: Any) -> Any:
    """What takes the event after a stretch that ended without a step: first the program runs."""

    def end(op: Any, inputs: Any, attrs: Any, kind: Any = None) -> Any:
        return finish(point, op, inputs, attrs, kind)

    end.point = point  # type: ignore[attr-defined]
    end.ended = True  # type: ignore[attr-defined]
    return end
