"""The matcher: one generated function an event, which takes the event if it is the expected one.

In: a point of the tree.  Out: ``match(op, inputs, attrs, kind)``, which checks all guards before
any effect, hands out tensors whose values are pending, and puts the next matcher into the door.
What does not fit goes to ``miss``.  Source is generated because a closure with constants is the
cheapest thing that CPython runs (0.2-0.4 us an event).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from rushlight.dispatch import doors, modes, views
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
from rushlight.dispatch.record import Event, Slot
from rushlight.dispatch.tensor import Tensor, Version, memory_of, new
from rushlight.dispatch.tree import Point
from rushlight.dtypes import float32
from rushlight.ir.meta import Size, meta
from rushlight.runtime.cpu import array_over
from rushlight.runtime.storage import Storage

__all__ = ["NOT_ME", "Flight", "build_end", "build_launch", "build_match"]

NOT_ME: Any = object()


class Flight:
    """What one run through the tree holds: shared by all points, one flight at a time.

    Attributes:
        outside: the outside tensors seen, by number; `arrays` their memory or snapshots of it.
        numbers: the Python floats seen, by number.
        launched: the last point whose program has run.
        matched: how many events programs have taken the place of.
    """

    def __init__(self) -> None:
        self.outside: list[Any] = []
        self.arrays: list[Any] = []
        self.numbers: list[float] = []
        self.launched: Point | None = None

    def make_room(self, outside: int, numbers: int) -> None:
        """Room for so many outside tensors and numbers."""
        self.outside.extend([None] * (outside - len(self.outside)))
        self.arrays.extend([None] * (outside - len(self.arrays)))
        self.numbers.extend([0.0] * (numbers - len(self.numbers)))


def _baseline() -> int:
    """What `getrefcount` says of an object that one list and one local variable hold."""
    cell = [Version()]
    held = cell[0]
    return sys.getrefcount(held)


_HELD_ONCE = _baseline()  # by the cell, besides the variable that asks


class _Source:
    """Lines of a function and the constants that they name."""

    def __init__(self, flight: Flight) -> None:
        self.lines: list[str] = []
        self.names: dict[str, Any] = {
            "door": doors.door,
            "epoch": doors.epoch,
            "watch": doors.watch,
            "owner": doors.owner[0],
            "get_ident": doors.get_ident,
            "getrefcount": sys.getrefcount,
            "state": modes.state,
            "X": flight.outside,
            "R": flight.arrays,
            "NUM": flight.numbers,
            "Tensor": Tensor,
            "snapshot": _snapshot,
        }

    def constant(self, value: Any) -> str:
        """A name for a constant."""
        if value is None or value is True or value is False:
            return repr(value)
        for name, known in self.names.items():
            if known is value:
                return name
        name = f"k{len(self.names)}"
        self.names[name] = value
        return name

    def add(self, depth: int, *lines: str) -> None:
        self.lines.extend(["    " * depth + line for line in lines])

    def function(self, name: str, point: Point) -> Any:
        exec("\n".join(self.lines), self.names)
        made = self.names[name]
        made.point = point
        return made


def _snapshot(t: Tensor) -> Any:
    """The memory of an outside tensor; a copy of what NumPy may change behind our back."""
    array = memory_of(t)
    if t._storage.exported:
        copy = Storage(t._storage.length)
        copy.bytes[:] = t._storage.bytes
        return array_over(copy, t._meta, t._offset)
    return array


def _piece(t: Tensor) -> Any:
    """As `_snapshot`, of the part alone that a view of data sees."""
    array = memory_of(t)
    if not t._storage.exported:
        return array
    m = t._meta
    extent = sum([(n - 1) * step for n, step in zip(m.shape, m.strides, strict=True)]) + 1
    copy = array_over(Storage(max(extent, 0) * m.dtype.itemsize), m, 0)
    copy[...] = array
    return copy


def _unchanged(t: Tensor, snapshot: Any) -> bool:
    """Whether memory that NumPy may have changed is what it was at the last snapshot."""
    return bool(memory_of(t).tobytes() == snapshot.tobytes())


def build_match(point: Point, flight: Flight, path: Any, cells: dict[int, Any], miss: Any) -> Any:
    """The match function of a point.

    Args:
        path: the path through it, for the places of outside tensors.
        cells: for each slot of the points before it, and its own, the cell of its tensor.
        miss: what takes events that do not fit.
    """
    event = point.event
    s = _Source(flight)
    s.names["miss"] = miss
    s.names["POINT"] = point
    s.add(0, "def match(op, inputs, attrs, kind=None, miss=miss):")
    if event.kind is DEMAND:
        s.add(1, "return miss(POINT, op, inputs, attrs, kind)")
        return s.function("match", point)
    guards = [f"kind is {s.constant(event.kind)}"]
    if event.op is not None:
        guards.append(f"op is {s.constant(event.op)}")
    n = len(point.references)
    if event.kind is GRAD:
        guards.append(f"inputs == {s.constant(tuple([x for _, x in event.inputs]))}")
    else:
        guards.append(f"len(inputs) == {n}")
    s.add(1, f"if {' and '.join(guards)}:")
    if event.kind is not GRAD and n:
        s.add(2, f"{', '.join(f'a{i}' for i in range(n))}, = inputs")
    checks, effects = _inputs(s, point, cells, path)
    if not event.windows:
        checks += _attributes(s, event)
    if point.parent is None:
        again = s.constant(_Again(point))
        checks += ["get_ident() == owner", f"state.grad is {path.recording.grad}"]
        checks.append(f"state.inference is {path.recording.inference}")
        checks.insert(0, f"(epoch[0] == {again}.epoch or {again}.look())")  # before it is asked
        effects.append(f"watch[0] = {s.constant(path.watcher)}")
        effects.append(f"{s.constant(flight)}.launched = None")
    elif not any(r[0] == "slot" for r in point.references):
        checks.append("get_ident() == owner")
    if event.windows:
        _windows(s, point, path, checks, effects)
        return s.function("match", point)
    more_checks, more_effects, result = _kind(s, point, cells, path)
    checks += more_checks
    s.add(2, f"if {' and '.join(checks) or 'True'}:")
    s.add(3, *effects, *more_effects)
    if event.kind is STEP:
        s.names["NEXT"] = point.next
        s.names["launch"] = point.launch
        s.add(3, "if launch():", "    door[0] = NEXT[0]")
        if point.ends and path.settles(point):
            s.names["complete"] = path.watcher.complete
            s.add(3, "    complete(POINT)")
        elif point.ends:
            s.add(3, "    watch[0] = None")
        s.add(3, "return None")
    else:
        s.names["NEXT"] = point.next
        s.add(3, "door[0] = NEXT[0]", f"return {result}")
    s.add(1, "return miss(POINT, op, inputs, attrs, kind)")
    return s.function("match", point)


class _Fixed:
    """Tensors that must be the same objects, and still be what they were at compilation."""

    __slots__ = ("tensors", "unchanged")

    def __init__(self, *tensors: Tensor) -> None:
        self.tensors = [(t, t._storage, t._meta, t._requires_grad) for t in tensors]
        self.unchanged = [True]

    def look(self) -> None:
        """Looks whether they are."""
        self.unchanged[0] = all(
            [
                t._storage is storage and t._meta is m and t._requires_grad is requires_grad
                for t, storage, m, requires_grad in self.tensors
            ]
        )


class _Again:
    """Looks at the fixed tensors of a tree again whenever some tensor has changed."""

    __slots__ = ("epoch", "root")

    def __init__(self, root: Point) -> None:
        self.root = root
        self.epoch = -1

    def look(self) -> bool:
        """Looks; true, since each point then asks for its own tensors."""
        self.epoch = doors.epoch[0]
        points = [self.root]
        for point in points:  # grows while it is walked
            for fixed in point.fixed:
                fixed.look()
            points.extend(point.children)
        return True


def _inputs(
    s: _Source, point: Point, cells: dict[int, Any], path: Any
) -> tuple[list[str], list[str]]:
    """Guards on the inputs, and what is noted of them."""
    checks: list[str] = []
    effects: list[str] = []
    first: set[int] = set()
    for i, r in enumerate(point.references):
        a = f"a{i}"
        if point.event.kind in (GRAD, STEP, ZERO):
            continue
        if r[0] == "slot":
            checks.append(f"{a} is {s.constant(cells[r[1]])}[0]")
        elif r[0] == "fixed":
            t = r[1]
            fixed = _Fixed(t)
            point.fixed.append(fixed)
            checks.append(f"{a} is {s.constant(t)} and {s.constant(fixed.unchanged)}[0]")
        elif r[0] == "outside":
            n = r[1]
            if n in path.seen_before(point) or n in first:
                checks.append(f"{a} is X[{n}]")
                if path.launches_between(n, point):
                    effects += _noted(a, n)
                elif n not in first:
                    s.names["unchanged"] = _unchanged
                    checks.append(f"(not {a}._storage.exported or unchanged({a}, R[{n}]))")
                continue
            first.add(n)
            place, m, offset = path.outside[n]
            checks.append(f"type({a}) is Tensor and {a}._meta is {s.constant(m)}")
            if path.had_history(place):
                checks.append(
                    f"{a}._requires_grad and {a}._node is not None and {a}._node.released"
                )
            elif point.event.kind not in (DETACH, DATA):
                checks.append(f"not {a}._requires_grad")
                checks.append(f"({a}._view is None or not {a}._view.base._requires_grad)")
            other = path.first_of(place)
            if other != n:
                checks.append(f"{a}._storage is X[{other}]._storage")
                checks.append(f"{a}._offset - X[{other}]._offset == {offset}")
            if path.written_storages:
                checks.append(f"{a}._storage not in {s.constant(path.written_storages)}")
            effects += [f"X[{n}] = {a}", *_noted(a, n)]
        elif r[0] == "number":
            checks.append(f"type({a}) is float")
            effects.append(f"NUM[{r[1]}] = {a}")
        else:
            checks += _same_value(s, a, r[1])
    return checks, effects


def _noted(a: str, n: int) -> list[str]:
    """Lines that note the memory of the n-th outside tensor."""
    return [
        f"r = {a}._array",
        f"if r is None or {a}._storage.exported: r = snapshot({a})",
        f"R[{n}] = r",
    ]


def _same_value(s: _Source, a: str, x: Any) -> list[str]:
    if x is None or isinstance(x, bool):
        return [f"{a} is {x}"]
    if isinstance(x, (int, float, complex, str, tuple)):
        return [f"type({a}) is {s.constant(type(x))} and {a} == {s.constant(x)}"]
    return [f"{a} is {s.constant(x)}"]


def _attributes(s: _Source, event: Event) -> list[str]:
    attrs = event.attrs
    if event.kind not in (None, WRITE, BACKWARD):
        return []
    if not attrs:
        return ["not attrs"]
    if event.op is not None and event.op.kind == "random":
        known = s.constant(attrs[:-1])
        types = s.constant(tuple(map(type, attrs[:-1])))
        return [f"attrs[:-1] == {known} and tuple(map(type, attrs[:-1])) == {types}"]
    name = s.constant(attrs)
    if not any(isinstance(x, (bool, int, float, complex)) for x in attrs):
        return [f"attrs == {name}"]
    types = s.constant(tuple(map(type, attrs)))
    return [f"(attrs is {name} or attrs == {name} and tuple(map(type, attrs)) == {types})"]


def _kind(
    s: _Source, point: Point, cells: dict[int, Any], path: Any
) -> tuple[list[str], list[str], str]:
    """What is particular to the kind of event: guards, effects, and the result."""
    event = point.event
    if event.kind is GRAD:
        values = [value for _, value in event.inputs]
        modes_set = zip(("state.grad", "state.inference"), values, strict=False)
        return [], [f"{mode} = {x}" for mode, x in modes_set], "None"
    if event.kind is ZERO:
        return _zero(s, event)
    if event.kind is CLEAR:
        return [], ["a0._grad = None"], "None"
    if event.kind is BACKWARD:
        return _backward(s, point, cells, path)
    if event.kind is STEP:
        checks, effects = event.detail.guards(s)
        fixed = _Fixed(*event.detail.tensors())
        point.fixed.append(fixed)
        checks.append(f"{s.constant(fixed.unchanged)}[0]")
        return checks, effects, "None"
    if event.hosted or event.kind in (DETACH, DATA) or _view_of_outside(event, path):
        return _hosted(s, point)
    if event.kind is WRITE:
        return _write(s, event, cells, path)
    effects = []
    for i, (slot, cell) in enumerate(zip(event.outs, point.cells, strict=True)):
        effects += _hand_out(s, slot, cell, f"t{i}", point, path, i)
    names = [f"t{i}" for i in range(len(event.outs))]
    single = event.single
    return [], effects, names[0] if single else f"({', '.join(names)},)"


def _view_of_outside(event: Event, path: Any) -> bool:
    """Whether the event makes a view of memory that is there already."""
    if event.op is None or event.op.kind != "movement":
        return False
    place = path.recording.places[event.outs[0].place] if event.outs else None
    return place is not None and (not place.made or place.hosted)


def _windows(s: _Source, point: Point, path: Any, checks: list[str], effects: list[str]) -> None:
    """The rest of the function for a view of data, whose part may be another in each flight."""
    event = point.event
    point.real = True
    s.names.update(run=EAGER[event.kind], aside=doors.aside, NEXT=point.next, piece=_piece)
    s.add(2, f"if {' and '.join(checks) or 'True'}:")
    s.add(3, "result = aside(run, op, inputs, attrs)")
    s.add(3, "outs = result if type(result) is tuple else (result,)")
    metas = [f"outs[{i}]._meta is {s.constant(o.meta)}" for i, o in enumerate(event.outs)]
    metas.append("not outs[0]._requires_grad")
    if path.written_storages:
        metas.append(f"outs[0]._storage not in {s.constant(path.written_storages)}")
    s.add(3, f"if len(outs) == {len(event.outs)} and {' and '.join(metas)}:")
    s.add(4, *effects, "POINT.attrs = attrs")
    for i, (slot, cell) in enumerate(zip(event.outs, point.cells, strict=True)):
        c, n = s.constant(cell), path.variable(slot.place)
        s.add(4, f"t = outs[{i}]; {c}[0] = t; {c}[1] = t._storage; X[{n}] = t")
        s.add(4, f"R[{n}] = piece(t)")
    s.add(4, "door[0] = NEXT[0]", "return result")
    s.add(1, "return miss(POINT, op, inputs, attrs, kind)")


def _hosted(s: _Source, point: Point) -> tuple[list[str], list[str], str]:
    """Events that run eagerly in each flight; their results are real at once."""
    point.real = True
    s.names.update(run=EAGER[point.event.kind], aside=doors.aside)
    effects = ["result = aside(run, op, inputs, attrs)"]
    if point.event.kind is WRITE:
        return [], effects, "result"
    if len(point.cells) == 1:
        s.names["own"] = point.cells[0]
        effects += ["t = result[0] if type(result) is tuple else result"]
        effects += ["own[0] = t; own[1] = t._storage"]
    else:
        for i, cell in enumerate(point.cells):
            name = s.constant(cell)
            effects.append(f"{name}[0] = result[{i}]; {name}[1] = result[{i}]._storage")
    return [], effects, "result"


def _hand_out(
    s: _Source, slot: Slot, cell: list[Any], t: str, point: Point, path: Any, index: int
) -> list[str]:
    """A pending tensor: the one of the last flight if nobody holds it, else a new one."""
    c, event = s.constant(cell), point.event
    node = s.constant(path.node_of(event, slot))
    maker = path.maker(slot.place)
    m = s.constant(slot.meta)
    grads = []
    if slot.requires_grad:
        grads = [f"{t}._requires_grad = True; {t}._node = {node}; {t}._out_nr = {slot.out_nr}"]
    if maker is not cell:  # a view of pending memory
        made = s.constant(maker)
        s.names["new"] = new
        lines = [f"{t} = new(Tensor, {made}[1], {m}, {slot.offset}, None, a0._counter)", *grads]
        lines.append(f"{c}[0] = {t}; {c}[1] = {made}[1]")
        if slot.inference:
            lines.append(f"{t}._inference = True")
        if point.viewed:
            s.names["view_record"] = views.view_record
            op, attrs = s.constant(event.op), s.constant(event.attrs)
            many = not event.single
            lines.append(f"{t}._view = view_record(a0, {op}, {attrs}, {index}, {many})")
        return lines
    s.names["fresh"] = _fresh
    n = _HELD_ONCE
    held = (
        f"getrefcount({t}) != {n} or getrefcount({c}[1]) != {n} or len({t}.__dict__) != {_FIELDS}"
    )
    # A loop holds the loss of one step until that of the next is there, so two tensors take turns.
    turn = ", ".join([f"{c}[{k}]" for k in (0, 1, 2, 3, 4, 5)])
    other = ", ".join([f"{c}[{k}]" for k in (3, 4, 5, 0, 1, 2)])
    lines = [f"{t} = {c}[0]", f"if {held}:", f"    {turn} = {other}", f"    {t} = {c}[0]"]
    lines += [f"    if {t} is None or {held}:"]
    lines += [f"        {t} = fresh({c}, {m}, {slot.requires_grad}, {node}, {slot.out_nr})"]
    lines.append(f"{t}._requires_grad = {slot.requires_grad}; {t}._node = {node}")
    return [*lines, f"{t}._inference = True"] if slot.inference else lines


def _fresh(cell: list[Any], m: Any, requires_grad: bool, node: Any, nr: int) -> Tensor:
    """A tensor without memory yet."""
    storage = Storage.without_memory(m.numel * m.dtype.itemsize)
    t = new(Tensor, storage, m, 0)
    t._array = None
    t._inference = False
    t._requires_grad = requires_grad
    t._node = node
    t._out_nr = nr
    cell[:3] = [t, storage, 0]
    return t


_FIELDS = len(_fresh([], meta(Size(), float32), False, None, 0).__dict__)


def _write(
    s: _Source, event: Event, cells: dict[int, Any], path: Any
) -> tuple[list[str], list[str], str]:
    """A write into a slot's tensor or one from outside."""
    effects = ["a0._counter.value += 1"]
    for change in event.detail:
        node = path.node_after(event, change)
        t = f"{s.constant(cells[change.slot])}[0]"
        effects.append(
            f"{t}._requires_grad = {change.requires_grad}; {t}._node = {s.constant(node)}"
        )
        effects.append(f"{t}._out_nr = {change.out_nr}")
    return ["not a0._storage.exported"], effects, "a0"


def _zero(s: _Source, event: Event) -> tuple[list[str], list[str], str]:
    """Gradients become None."""
    groups, params = event.detail
    optimizer = event.inputs[0][1]
    checks = [f"a0 is {s.constant(optimizer)}"]
    checks += group_checks(s, optimizer, "a0", groups)
    effects = [f"{s.constant(p)}._grad = None" for p in params]
    return checks, effects, "None"


def group_checks(s: Any, optimizer: Any, name: str, groups: Sequence[Any]) -> list[str]:
    """Guards that an optimiser still has these groups with these lists of parameters."""
    checks = [f"{name}.param_groups is {s.constant(optimizer.param_groups)}"]
    checks.append(f"len({name}.param_groups) == {len(groups)}")
    for i, (group, params, count) in enumerate(groups):
        g = s.constant(group)
        checks.append(f"{name}.param_groups[{i}] is {g} and {g}['params'] is {s.constant(params)}")
        checks.append(f"len({s.constant(params)}) == {count}")
    return checks


def _backward(
    s: _Source, point: Point, cells: dict[int, Any], path: Any
) -> tuple[list[str], list[str], str]:
    """Gradients reach the leaves: new tensors, or more in the ones that are there."""
    event = point.event
    checks, effects = [], []
    cleared = path.cleared_before(point)
    own = {slot.index: cell for slot, cell in zip(event.outs, point.cells, strict=True)}
    slots = {slot.index: slot for slot in event.outs}
    for at, (leaf, how, k) in enumerate(event.detail):
        p = s.constant(leaf)
        if how == "new":
            if id(leaf) not in cleared:
                checks.append(f"{p}._grad is None")
            effects += _hand_out(s, slots[k], own[k], f"g{at}", point, path, at)
            effects.append(f"{p}._grad = g{at}")
        elif k[0] == "slot":
            checks.append(f"{p}._grad is {s.constant(cells[k[1]])}[0]")
            effects.append(f"{p}._grad._counter.value += 1")
        else:
            g = s.constant(k[2])
            checks.append(f"{p}._grad is {g} and {g}._storage is {s.constant(k[2]._storage)}")
            checks.append(f"not {g}._storage.exported")
            effects.append(f"{g}._counter.value += 1")
    return checks, effects, "None"


def build_launch(
    point: Point, flight: Flight, path: Any, cells: dict[int, Any], failed: Any, widen: Any
) -> Any:
    """The function that runs the program of a point; it returns whether it could."""
    phase = point.phase
    assert phase is not None
    s = _Source(flight)
    s.names.update(
        POINT=point, T=memoryview(phase.program.table), N=memoryview(phase.program.numbers)
    )
    s.names.update(run=phase.program.run, failed=failed, widen=widen, bind=_bind, FLIGHT=flight)
    s.add(0, "def launch():")
    phase.expected = _expected(phase, path, cells)
    if phase.expected:
        held = [s.constant(cells[k]) for k in phase.expected]
        counts = " + ".join([f"getrefcount({c}[0]) + getrefcount({c}[1])" for c in held])
        s.add(1, f"if {counts} != {sum(phase.expected.values())}:", "    return widen(POINT)")
    for slot, place in enumerate(phase.places):
        n, cell = path.variable(place), path.maker(place)
        if n is not None:
            s.add(1, f"T[{slot}] = id(R[{n}])")
        elif cell is None:
            array = path.memory(place)
            phase.program.table[slot] = id(array)
            s.names[f"memory{slot}"] = array
        elif path.is_hosted(place):
            s.names["memory_of"] = memory_of
            s.add(1, f"T[{slot}] = id(memory_of({s.constant(cell)}[0]))")
        else:
            c = s.constant(cell)
            s.add(1, f"T[{slot}] = {c}[2] or bind({c})")
    for n in phase.numbers:
        s.add(1, f"N[{n}] = NUM[{n}]")
    s.names["PROGRAM"] = phase.program
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


def _expected(phase: Any, path: Any, cells: dict[int, Any]) -> dict[int, int]:
    """For each slot that the program does not deliver, its `count` if nobody holds it."""
    found = {}
    places = [s.place for s in path.recording.slots]
    for k in phase.spare:
        if k in cells:
            sharing = sum([places[j] == places[k] for j in cells])
            found[k] = 2 * (_HELD_ONCE - 1) + 2 * sharing - 1
    return found


def _bind(cell: list[Any]) -> int:
    """Gives a pending tensor's storage memory of its own; what the table says of it."""
    t, storage = cell[:2]
    memory = storage.allocate()
    t._array = array_over(storage, t._meta, t._offset)
    cell[2] = id(memory)
    return id(memory)


def build_end(point: Point, finish: Any) -> Any:
    """What takes the event after a stretch that ended without a step: first the program runs."""

    def end(op: Any, inputs: Any, attrs: Any, kind: Any = None) -> Any:
        return finish(point, op, inputs, attrs, kind)

    end.point = point  # type: ignore[attr-defined]
    end.ended = True  # type: ignore[attr-defined]
    return end
