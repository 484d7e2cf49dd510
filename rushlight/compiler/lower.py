"""Writes a cluster of values as one loop kernel.

In: a `Cluster` (loop axes, the values it makes, the access of each) and where other values lie.
Out: a `Lowered`: stages with straight-line bodies, which memory they touch and how.  What is not a
member and lies nowhere is computed in place, as often as it is needed.  The same walk serves for
trying whether values fit into one kernel: it raises `NotAffine` where they do not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from rushlight.compiler import loops
from rushlight.compiler.access import Access, NotAffine, Split, digits, flat, span
from rushlight.compiler.loops import Instruction
from rushlight.compiler.steps import Home, Memory, Place
from rushlight.ir.graph import Value

__all__ = ["Cluster", "Lowered", "Touch", "cost", "lower", "resolve"]

Ints = tuple[int, ...]
Homes = Callable[[Value], Home | None]
Targets = Callable[[Value], Sequence[Home]]

_INT64 = np.dtype(np.int64)
_DEAR = frozenset(
    ("exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "tanh", "sinh")
    + ("cosh", "arcsin", "arccos", "arctan", "arcsinh", "arccosh", "arctanh", "arctan2", "power")
    + ("float_power", "cbrt", "logaddexp", "logaddexp2", "fmod", "remainder", "hypot")
)
_LOOPS = frozenset(("map", "view", "index", "reduce"))  # kinds that loops compute
_SLOW = frozenset(("divide", "true_divide", "floor_divide", "sqrt", "erf"))


def cost(v: Value) -> float:
    """What computing one element costs, given its inputs, where reading memory costs about 1."""
    if v.kind == "map":
        name = v.attrs[0]
        return 8.0 if name in _DEAR else 1.0 if name in _SLOW else 0.25
    return 4.0 if v.kind == "index" else 0.0


class Cluster:
    """Values that one kernel makes.

    Attributes:
        axes: the sizes of the loop axes, outer ones first.
        outer: how many of them are outer.
        members: the values, each after those it is computed from, and the access by which it is
            computed; for a reduction the access to what is reduced.
    """

    __slots__ = ("axes", "members", "outer")

    def __init__(self, axes: Ints, outer: int, members: dict[Value, Access]) -> None:
        self.axes = axes
        self.outer = outer
        self.members = members

    def result(self, v: Value) -> Access:
        """The access by which others find a member."""
        at = self.members[v]
        if v.kind != "reduce":
            return at
        axes = v.attrs[1]
        return at.take([d for d in range(len(at.offsets)) if d not in axes])

    def inside(self, v: Value) -> bool:
        """Whether a member has an element for each position of the inner axes."""
        if v.kind == "reduce":
            return False
        return any([any(s[self.outer :]) for s in self.members[v].steps])

    def split(self, axis: int, inner: int) -> Cluster:
        """The same with an axis made two."""
        if axis >= self.outer:
            for v in self.members:
                if v.kind == "reduce" and v.attrs[0] in ("argmax", "argmin"):
                    raise NotAffine(v.inputs[0])  # a position counts along one axis
        axes = (*self.axes[:axis], self.axes[axis] // inner, inner, *self.axes[axis + 1 :])
        members = {v: at.split(axis, inner) for v, at in self.members.items()}
        return Cluster(axes, self.outer + (axis < self.outer), members)


class Touch(NamedTuple):
    """That a kernel reads or writes memory: which element at each position, in which stage."""

    memory: Memory
    dtype: Any
    offset: int
    steps: Ints
    stage: int
    within: Ints | None = None  # read at places that depend on indices: the first and the last


class Lowered(NamedTuple):
    """A cluster as a kernel, and what it touches."""

    cluster: Cluster
    kernel: loops.Kernel
    places: tuple[Place, ...]
    numbers: Ints
    uses: dict[tuple[Value, Access | None], None]  # values from elsewhere; None: any elements
    reads: tuple[Touch, ...]
    writes: tuple[Touch, ...]
    checks: bool
    reloads: tuple[Value, ...]  # members that a later stage reads back


def resolve(v: Value, home: Homes) -> Home | None:
    """Where a value lies if it, or what it is a view of, lies somewhere."""
    found = home(v)
    if found is not None or v.kind != "view":
        return found
    base = v.inputs[0]
    below = resolve(base, home)
    if below is None:
        return None
    strides, offset = v.attrs
    if below.row_major(base.shape):
        return Home(below.memory, below.offset + offset, strides)
    try:
        at = digits(offset, strides, v.shape, base.shape)
    except (NotAffine, Split):
        return None
    place, steps = flat(at, below.strides, below.offset, len(v.shape))
    return Home(below.memory, place, steps)


def lower(cluster: Cluster, home: Homes, targets: Targets) -> Lowered:
    """Writes a cluster as a kernel, splitting loop axes where views need it.

    Args:
        home: where a value lies that is not a member.
        targets: where a member is to be stored; it may be nowhere.

    Raises:
        NotAffine: its members do not fit into one kernel.
    """
    while True:
        try:
            return _Lowering(cluster, home, targets).run()
        except Split as split:
            cluster = cluster.split(split.axis, split.inner)


class _Stage:
    """A stage while it is written."""

    def __init__(self, inner: bool) -> None:
        self.inner = inner
        self.body: list[Instruction] = []
        self.made: dict[tuple[Value, Access], int] = {}
        self.known: dict[Any, int] = {}
        self.dear: dict[Value, bool] = {}
        self.reduces: list[loops.Reduce] = []
        self.stores: list[loops.Store] = []

    def emit(self, name: str, args: Ints, attrs: tuple[Any, ...], dtype: Any) -> int:
        key = (name, args, repr(attrs) if name == "const" else attrs, dtype)  # -0.0 is not 0.0
        found = self.known.get(key)
        if found is None:
            found = self.known[key] = len(self.body)
            self.body.append(Instruction(name, args, attrs, dtype))
        return found


class _Lowering:
    """One walk over a cluster."""

    def __init__(self, cluster: Cluster, home: Homes, targets: Targets) -> None:
        self.cluster = cluster
        self.home = home
        self.targets = targets
        self.levels: dict[Value, int] = {}
        self.buffers: dict[tuple[Memory, Any, int], int] = {}
        self.numbers: dict[int, int] = {}
        self.uses: dict[tuple[Value, Access | None], None] = {}
        self.reads: list[Touch] = []
        self.writes: list[Touch] = []
        self.reduced: dict[Value, Ints] = {}  # stage, result
        self.checks = False
        self.reloads: dict[Value, None] = {}
        self.stages: list[_Stage] = []
        self.stage = _Stage(True)
        self.number = 0

    def run(self) -> Lowered:
        c = self.cluster
        inner = len(c.axes) > c.outer
        level = {v: self.level(v) - (v.kind == "reduce") for v in c.members}
        inside = [v for v in c.members if inner and (v.kind == "reduce" or c.inside(v))]
        for number in sorted({level[v] for v in inside}):
            self.begin(True)
            for v in inside:
                if level[v] == number:
                    self.reduce(v) if v.kind == "reduce" else self.store(v)
        rest = [v for v in c.members if not c.inside(v) or not inner]
        if any([self.targets(v) for v in rest]) or not inner:
            self.begin(False)
            for v in rest:
                self.store(v)
        stages = [
            loops.Stage(tuple(s.body), tuple(s.reduces), tuple(s.stores), s.inner)
            for s in self.stages
            if s.reduces or s.stores
        ]
        kernel = loops.Kernel(
            c.axes[: c.outer],
            c.axes[c.outer :],
            tuple([dtype for _, dtype, _ in self.buffers]),
            len(self.numbers),
            tuple(stages),
        )
        places = tuple([Place(m, o * d.itemsize) for m, d, o in self.buffers])
        return Lowered(
            c, kernel, places, tuple(self.numbers), self.uses, tuple(self.reads),
            tuple(self.writes), self.checks, tuple(self.reloads),
        )  # fmt: skip

    def begin(self, inner: bool) -> None:
        self.stage = _Stage(inner)
        self.number = len(self.stages)
        self.stages.append(self.stage)

    def level(self, v: Value) -> int:
        """How many reductions of this cluster lie one behind another below a value."""
        found = self.levels.get(v)
        if found is None:
            member = v in self.cluster.members
            if not member and self.home(v) is not None:
                found = 0
            else:
                found = max([self.level(x) for x in v.inputs], default=0)
                found += v.kind == "reduce"
            self.levels[v] = found
        return found

    def reduce(self, v: Value) -> None:
        x = self.value(v.inputs[0], self.cluster.members[v])
        self.reduced[v] = (self.number, len(self.stage.reduces))
        self.stage.reduces.append(loops.Reduce(v.attrs[0], x, v.dtype))

    def store(self, v: Value) -> None:
        at = self.cluster.result(v)
        for home in self.targets(v):
            x = self.value(v, at)
            offset, steps = flat(at, home.strides, home.offset, len(self.cluster.axes))
            self.stage.stores.append(
                loops.Store(x, self.buffer(home.memory, v.dtype, offset), 0, steps)
            )
            self.writes.append(Touch(home.memory, v.dtype, offset, steps, self.number))

    def buffer(self, memory: Memory, dtype: Any, offset: int) -> int:
        return self.buffers.setdefault((memory, dtype, offset), len(self.buffers))

    def value(self, v: Value, at: Access) -> int:
        """The instruction that has a value at an access."""
        key = (v, at)
        found = self.stage.made.get(key)
        if found is None:
            found = self.at_hand_now(v, at)
            if found is None:
                maker = _MAKERS.get(v.kind)
                if maker is None:
                    raise NotAffine
                found = maker(self, v, at)
            self.stage.made[key] = found
        return found

    def at_hand_now(self, v: Value, at: Access) -> int | None:
        """The instruction that reads a value, if it was made elsewhere or by an earlier stage."""
        c = self.cluster
        if v not in c.members:
            home = self.home(v)
            if home is None:
                return None
            self.uses[v, at] = None
            return self.load(v, at, home)
        if at != c.result(v):
            raise NotAffine
        if v.kind == "reduce":
            return self.stage.emit("reduced", (), self.reduced[v], v.dtype)
        earlier = c.inside(v) and self.level(v) < self.level_of_stage()
        stored = self.targets(v)
        if earlier and stored and self.dear(v):
            self.reloads[v] = None
            return self.load(v, at, stored[0])
        return None

    def level_of_stage(self) -> int:
        """The level of what is being computed: as many as there are reducing stages before it."""
        return len([s for s in self.stages[:-1] if s.reduces])

    def dear(self, v: Value) -> bool:
        """Whether reading a value back in this stage is cheaper than computing it again."""
        known = self.stage.dear.get(v)
        if known is None:
            known = self.stage.dear[v] = self.cost_here(v) > 4.0
        return known

    def cost_here(self, v: Value) -> float:
        """What computing a value costs in this stage, as `cost` counts."""
        total, seen, stack = 0.0, set(), [v]
        while stack:
            x = stack.pop()
            if x in seen:
                continue
            seen.add(x)
            if x is not v and self.at_hand(x):
                total += 0.5
                continue
            total += cost(x)
            stack.extend(x.inputs)
        return total

    def at_hand(self, x: Value) -> bool:
        """Whether a value need only be read: it lies elsewhere, or an earlier stage has made it."""
        if x.kind == "reduce":
            return True
        if x not in self.cluster.members:
            return self.home(x) is not None
        earlier = self.cluster.inside(x) and self.level(x) < self.level_of_stage()
        return earlier and bool(self.targets(x)) and self.dear(x)

    def load(self, v: Value, at: Access, home: Home) -> int:
        offset, steps = flat(at, home.strides, home.offset, len(self.cluster.axes))
        return self.load_at(v.dtype, home.memory, offset, steps)

    def load_at(self, dtype: Any, memory: Memory, offset: int, steps: Ints) -> int:
        self.reads.append(Touch(memory, dtype, offset, steps, self.number))
        return self.stage.emit("load", (), (self.buffer(memory, dtype, offset), 0, steps), dtype)

    def const(self, number: Any, dtype: Any) -> int:
        return self.stage.emit("const", (), (number,), dtype)

    # How each kind of value is computed in place.

    def make_const(self, v: Value, at: Access) -> int:
        if v.shape:
            raise NotAffine  # it lies in memory
        return self.const(v.attrs[0].item(), v.dtype)

    def make_number(self, v: Value, at: Access) -> int:
        place = self.numbers.setdefault(v.attrs[0], len(self.numbers))
        return self.stage.emit("number", (), (place,), v.dtype)

    def make_iota(self, v: Value, at: Access) -> int:
        found = None
        for axis, step in enumerate(at.steps[0]):
            if step:
                x = self.stage.emit("axis", (), (axis,), _INT64)
                if step != 1:
                    x = self.stage.emit("multiply", (x, self.const(step, _INT64)), (), _INT64)
                found = x if found is None else self.stage.emit("add", (found, x), (), _INT64)
        start = at.offsets[0]
        if found is None or start:
            first = self.const(start, _INT64)
            found = first if found is None else self.stage.emit("add", (found, first), (), _INT64)
        return found if v.dtype == _INT64 else self.stage.emit("cast", (found,), (), v.dtype)

    def make_map(self, v: Value, at: Access) -> int:
        args: Ints = ()
        for x in v.inputs:  # no list comprehension, that would be another frame on the stack
            args += (self.value(x, at.broadcast_to(x.shape)),)
        return self.stage.emit(v.attrs[0], args, (), v.dtype)

    def make_view(self, v: Value, at: Access) -> int:
        base = v.inputs[0]
        strides, offset = v.attrs
        place, steps = flat(at, strides, offset, len(self.cluster.axes))
        member = base in self.cluster.members
        home = None if member else self.home(base)
        if home is None or not home.row_major(base.shape):
            return self.value(base, self.digits(base, place, steps))
        found: Access | None
        try:
            found = digits(place, steps, self.cluster.axes, base.shape)
        except NotAffine:
            found = None  # no matter where the base lies in row-major order
        except Split as split:
            if base.kind in _LOOPS and self.may_split(split.axis):
                raise  # with the base's own axes, both may become one kernel
            found = None
        self.uses[base, found] = None
        return self.load_at(base.dtype, home.memory, home.offset + place, steps)

    def may_split(self, axis: int) -> bool:
        """Whether a loop axis may become two: positions of arg reductions count along one."""
        c = self.cluster
        arg = [v for v in c.members if v.kind == "reduce" and v.attrs[0] in ("argmax", "argmin")]
        return axis < c.outer or not arg

    def digits(self, base: Value, place: int, steps: Ints) -> Access:
        """The access to the base of a view; who catches NotAffine learns what should be stored."""
        try:
            return digits(place, steps, self.cluster.axes, base.shape)
        except NotAffine:
            raise NotAffine(base) from None

    def make_index(self, v: Value, at: Access) -> int:
        base, indices = v.inputs[0], v.inputs[1:]
        if any([b in self.cluster.members for b in _roots(base)]):
            raise NotAffine
        home = resolve(base, self.home)
        if home is None:
            raise NotAffine
        self.uses.update(dict.fromkeys([(b, None) for b in _roots(base)]))
        n = len(indices)
        lead = len(v.shape) - (len(base.shape) - n)
        front = at.take(range(lead))
        args = []
        for i in indices:
            x = self.value(i, front.broadcast_to(i.shape))
            args.append(x if i.dtype == _INT64 else self.stage.emit("cast", (x,), (), _INT64))
        behind = at.take(range(lead, len(v.shape)))
        axes = len(self.cluster.axes)
        offset, steps = flat(behind, home.strides[n:], home.offset, axes)
        sizes = tuple(zip(base.shape[:n], home.strides[:n], strict=True))
        self.checks = True
        within = span(base.shape, home.strides, home.offset)
        self.reads.append(Touch(home.memory, v.dtype, offset, steps, self.number, within))
        buffer = self.buffer(home.memory, v.dtype, offset)
        return self.stage.emit("gather", tuple(args), (buffer, 0, steps, sizes), v.dtype)


def _roots(v: Value) -> list[Value]:
    """A value and what it is a view of."""
    found = [v]
    while v.kind == "view":
        v = v.inputs[0]
        found.append(v)
    return found


_MAKERS: dict[str, Callable[[_Lowering, Value, Access], int]] = {
    "const": _Lowering.make_const,
    "number": _Lowering.make_number,
    "iota": _Lowering.make_iota,
    "map": _Lowering.make_map,
    "view": _Lowering.make_view,
    "index": _Lowering.make_index,
}
