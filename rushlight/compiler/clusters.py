"""Fusion: which values are computed together by one kernel.

In: a simplified graph.  Out: nodes: clusters of values that one loop nest makes, and calls of
ready-made kernels or of Python, with what each must wait for.

First, values that must lie in memory become *roots*: what is stored, reduced, gathered from, given
to a call, or so dear that computing it for each of its users costs more than reading it back.  Each
root is a cluster of its own; everything between roots is computed in place.  Then clusters are
merged along their dependencies, and with others that read the same values, where both walk the same
axes and each reads of the other only what the same loop position has made.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from rushlight.codegen import loops, native_scatter
from rushlight.compiler.access import Access, NotAffine, identity, span
from rushlight.compiler.loops import Instruction, Kernel, Reduce, Stage
from rushlight.compiler.lower import Cluster, Lowered, Touch, cost, lower, resolve
from rushlight.compiler.steps import Home, Memory
from rushlight.ir.graph import Graph, Store, Value, row_major

__all__ = ["Node", "Partition", "ancestors", "clash", "in_place", "partition", "read_by"]

Ints = tuple[int, ...]
Reads = Sequence[tuple[Value, Access | None]]  # what one cluster reads of another, and where

CALLS = frozenset(("matmul", "kernel", "opaque", "scatter", "concat"))
_CHECKING = frozenset(("plane_scatter",))  # native kernels that may refuse their inputs
_LEAVES = frozenset(("input", "number", "const", "iota"))
_COMPUTED = frozenset(("map", "view", "index", "reduce"))
_KNOWN: dict[Any, bool] = {}  # what loops can do
_MOST_INSTRUCTIONS = 200
_LONGEST, _DEEPEST = 400, 60  # expression between roots: values, those shared counted often
_MOST_BUFFERS = 32
_SERIAL = 1 << 14  # elements that one thread may walk although more could share the work
_ROWS = 16  # outer positions that are enough to share
_STRIDED = 1 << 18  # elements that may be walked across their rows
_SIBLINGS = 4  # how many clusters that read the same value are tried


class Node:
    """What runs at once: a cluster, or a call.

    Attributes:
        value: the call, or the first root of the cluster.
        lowered: the cluster, as far as it is known before memory is.
        deps: the nodes that must have run.
        order: where it stands in the graph.
    """

    __slots__ = ("deps", "lowered", "order", "value")

    def __init__(self, value: Value, lowered: Lowered | None, order: int) -> None:
        self.value = value
        self.lowered = lowered
        self.deps: set[Node] = set()
        self.order = order

    @property
    def checks(self) -> bool:
        """Whether it may find out that the program must not go on."""
        if self.lowered is not None:
            return self.lowered.checks
        return self.value.kind in ("scatter", "opaque", "map", "reduce") or (
            self.value.kind == "kernel" and self.value.attrs[0].name in _CHECKING
        )


class Partition:
    """A graph cut into nodes.

    Attributes:
        nodes: the nodes, none twice.
        maker: the node that computes a root.
        slots: the memory of each slot.
        stored: where the program's stores, or a concatenation, want a root.
        parts: for each concatenation, the roots that it is made of.
        changed: temporaries that a call changes after others have written them.
        needed: the nodes that check something, and what these wait for.
        outside: the stored values that must wait for all checks.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.position = {v: i for i, v in enumerate(graph.values())}
        self.slots = [Memory("slot", slot=i) for i in range(graph.slots)]
        self.constants: dict[Value, Memory] = {}
        self.virtual: dict[Value, Home] = {}
        self.roots: dict[Value, None] = {}
        self.stored: dict[Value, Home] = {}
        self.parts: dict[Value, list[Value]] = {}
        self.calls: dict[Value, bool] = {}
        self.changed: set[Memory] = set()
        self.needed: set[Node] = set()
        self.outside: set[Value] = set()
        self.maker: dict[Value, Node] = {}
        self.nodes: dict[Node, None] = {}

    def home(self, v: Value) -> Home | None:
        """Where a value lies, as far as that is known: roots in memory of their own."""
        if v.kind == "input":
            slot, strides, offset = v.attrs
            return Home(self.slots[slot], offset, strides)
        if v.kind == "const" and (v.shape or v in self.constants):
            return self.constant(v)
        if v in self.roots or v.kind == "part" or (v.dtype is not None and self.called(v)):
            found = self.virtual.get(v)
            if found is None:
                memory = Memory("temp", nbytes=v.size * v.dtype.itemsize)
                found = self.virtual[v] = Home(memory, 0, row_major(v.shape))
            return found
        return None

    def shown(self, memory: Memory) -> bool:
        """Whether memory is a slot where reads and writes must be in order."""
        return memory.kind == "slot" and self.slots[memory.slot] is memory

    def constant(self, v: Value) -> Home:
        """Where a constant lies."""
        array = v.attrs[0]
        memory = self.constants.get(v)
        if memory is None:
            memory = self.constants[v] = Memory("const", array=array.copy(order="C"))
        return Home(memory, 0, row_major(v.shape))

    def targets(self, v: Value) -> Sequence[Home]:
        """Where a member would be stored, while it is not known whether it must be."""
        home = self.stored.get(v) or self.home(v)
        return [home] if home is not None else []

    def called(self, v: Value) -> bool:
        """Whether a value is not made of loops: a call, or a function that loops do not have."""
        found = self.calls.get(v)
        if found is None:
            found = v.kind in CALLS or (v.kind in ("map", "reduce") and not in_loops(v))
            self.calls[v] = found
        return found

    # Roots

    def lay(self, v: Value) -> None:
        """Makes sure that a value can be read where it lies."""
        base = v
        while base.kind == "view" and base not in self.roots:
            base = base.inputs[0]
        if base.kind == "const":
            self.constant(base)
        elif base.kind in ("map", "index", "number", "iota") and not self.called(base):
            self.roots[base] = None
        if resolve(v, self.home) is None:
            self.roots[v] = None

    def straighten(self, v: Value) -> None:
        """Makes sure that a view lies in row-major order."""
        home = resolve(v, self.home)
        if v.kind == "view" and not (home and home.row_major(v.shape)):
            self.roots[v] = None

    def choose(self) -> None:
        """Finds the roots."""
        order = list(self.graph.values())
        self.build_in_place(order)
        for s in self.graph.stores:
            if s.value.size and not self.built(s):
                self.store(s.value, Home(self.slots[s.slot], s.offset, s.strides), s.outside)
        users = Counter([s.value for s in self.graph.stores])
        for v in order:
            users.update(v.inputs)
        for v in reversed(order):
            if v.kind == "concat":
                self.gather_parts(v, users)
        for v in order:
            if v.kind == "reduce" and not self.called(v):
                self.roots[v] = None
        for v in order:
            if v.kind != "concat" and self.called(v):
                if in_place(v):  # it starts with its base in the place of its result
                    whole = self.home(v)
                    assert whole is not None
                    self.parts[v] = [self.store(v.inputs[0], whole, False)]
                    self.changed.add(whole.memory)
                for x in read_by(v):
                    self.lay(x)
                    if v.kind in ("kernel", "scatter"):
                        self.straighten(x)
                if v.kind == "matmul" and len(v.inputs) == 3:
                    self.straighten(v.inputs[2])
            elif v.kind == "index":
                self.lay(v.inputs[0])
        self.cut(order)
        self.dear(order)

    def build_in_place(self, order: list[Value]) -> None:
        """Lets what is made of parts, or in place, grow in a slot that nothing else uses."""
        used = Counter([s.slot for s in self.graph.stores])
        used.update({v.attrs[0] for v in order if v.kind == "input"})
        for s in self.graph.stores:
            v = s.value
            fits = used[s.slot] == 1 and not s.outside and v not in self.virtual
            if fits and (v.kind == "concat" or in_place(v)):
                home = Home(Memory("slot", slot=s.slot), s.offset, s.strides)
                if home.row_major(v.shape):
                    self.virtual[v] = home._replace(strides=row_major(v.shape))

    def built(self, s: Store) -> bool:
        """Whether a stored value grows where it is wanted."""
        home = self.virtual.get(s.value)
        return home is not None and home.memory.slot == s.slot

    def store(self, v: Value, home: Home, outside: bool) -> Value:
        """Notes that a value is wanted somewhere; returns the root that is put there."""
        while v.kind == "view" and same_order(v) and home.row_major(v.shape):
            base = v.inputs[0]
            if base.kind in _LEAVES or base in self.stored:
                break
            v, home = base, home._replace(strides=row_major(base.shape))
        temporary = not self.shown(home.memory)
        called = v.kind == "part" or self.called(v)
        made = called and (temporary or v.kind == "concat" or in_place(v))
        if v.kind in _LEAVES or v in self.stored or made:
            v = Value("view", (v,), (row_major(v.shape), 0), v.shape, v.dtype)  # a copy
            self.position[v] = len(self.position)
        if v.kind in _COMPUTED and not self.called(v):
            self.roots[v] = None
        self.stored[v] = home
        if outside:
            self.outside.add(v)
        return v

    def gather_parts(self, v: Value, users: Counter[Value]) -> None:
        """The values that are concatenated are stored in their parts of the whole."""
        whole = self.home(v)
        assert whole is not None
        start = 0
        parts = []
        for x in v.inputs:
            offset = whole.offset + start * whole.strides[v.attrs[0]]
            place = Home(whole.memory, offset, whole.strides)
            if x.kind == "concat" and x not in self.virtual and users[x] == 1:
                self.virtual[x] = place  # a whole that is a part
                parts.append(x)
            else:
                parts.append(self.store(x, place, False))
            start += x.shape[v.attrs[0]]
        self.parts[v] = parts

    def cut(self, order: list[Value]) -> None:
        """Makes roots where expressions get too long for one kernel."""
        size: dict[Value, int] = {}
        depth: dict[Value, int] = {}
        for v in order:
            size[v] = depth[v] = 0
            if self.home(v) is None and v.kind in ("map", "view", "index"):
                size[v] = 1 + sum([size[x] for x in v.inputs])
                depth[v] = 1 + max([depth[x] for x in v.inputs])
                if v.kind != "view" and (size[v] > _LONGEST or depth[v] > _DEEPEST):
                    self.roots[v] = None
                    size[v] = depth[v] = 0

    def dear(self, order: list[Value]) -> None:
        """Makes roots of values that several roots would compute, if reading them is cheaper."""
        weight: dict[Value, tuple[float, frozenset[Value]]] = {}
        for v in order:
            weight[v] = self.weight(v, weight)
        users: dict[Value, set[Value]] = {v: set() for v in order}
        for v in reversed(order):
            computed = v.kind in ("map", "view", "index") and self.home(v) is None
            if computed and v.kind != "view" and len(users[v]) > 1:
                total, leaves = weight[v]
                n = len(users[v])
                once = total + len(leaves)
                small = v.size == 1 and total >= 4
                if small or n * once > once + 1 + n + 0.5:
                    self.roots[v] = None
                    computed = False
            for x in v.inputs:
                users[x] |= users[v] if computed else {v}

    def weight(
        self, v: Value, weight: dict[Value, tuple[float, frozenset[Value]]]
    ) -> tuple[float, frozenset[Value]]:
        """What computing an element costs, and which arrays it reads."""
        if self.home(v) is not None or v.kind in _LEAVES:
            large = v.size > 1 and v.kind not in ("number", "iota")
            return 0.0, frozenset((v,)) if large else frozenset()
        total, leaves = cost(v), frozenset[Value]()
        for x in v.inputs:
            if x in self.roots:
                leaves |= {x}
                continue
            below, read = weight.get(x, (0.0, frozenset()))
            total += below
            leaves |= read
        return min(total, 1e6), leaves

    # Nodes

    def make(self) -> None:
        """A node for each root and each call."""
        lowered: dict[Value, Lowered] = {}
        while len(lowered) < len(self.roots):  # until no root was found on the way
            lowered = {v: self.lower_root(v) for v in list(self.roots)}
        for v in self.roots:
            self.maker[v] = Node(v, lowered[v], 0)
            self.nodes[self.maker[v]] = None
        for v in self.graph.values():
            if self.called(v):
                node = Node(v, None, self.position[v])
                self.nodes[node] = None
                self.maker[v] = node
            elif v.kind == "part":
                self.maker[v] = self.maker[v.inputs[0]]
        for node in self.nodes:
            node.order = self.position[node.value]
            self.connect(node)

    def lower_root(self, v: Value) -> Lowered:
        """A root's own cluster; what cannot be computed in place becomes a root."""
        while True:
            axes, at = identity(v.inputs[0].shape if v.kind == "reduce" else v.shape)
            outer = len(axes)
            if v.kind == "reduce":
                axes, outer, at = _rows(v, axes, at)
            try:
                return lower(Cluster(axes, outer, {v: at}), self.home, self.targets)
            except NotAffine as problem:
                if not problem.args:
                    raise
                self.roots[problem.args[0]] = None

    def connect(self, node: Node) -> None:
        """Notes what a node waits for."""
        if node.lowered is not None:
            read = [v for v, _ in node.lowered.uses]
        else:
            read = []
            for x in (*self.parts.get(node.value, ()), *read_by(node.value)):
                while x.kind == "view" and x not in self.maker:
                    x = x.inputs[0]
                read.append(x)
        node.deps = {self.maker[v] for v in read if v in self.maker} - {node}

    # Merging

    def merge(self) -> None:
        """Merges clusters, in the graph's order."""
        self.needed = ancestors([n for n in self.nodes if n.checks])
        readers: dict[Value, list[Node]] = {}
        for node in sorted(self.nodes, key=lambda n: n.order):
            if node.lowered is None:
                continue
            merged = node
            for other in self.candidates(node, readers):
                if other in self.nodes and other is not merged:
                    merged = self.try_merge(other, merged) or merged
            assert merged.lowered is not None
            for v, _ in merged.lowered.uses:
                known = readers.setdefault(v, [])
                if merged not in known:
                    known.append(merged)

    def candidates(self, node: Node, readers: dict[Value, list[Node]]) -> list[Node]:
        """With what a cluster may be merged: what it waits for, what reads the same."""
        assert node.lowered is not None
        found = sorted([d for d in node.deps if d.lowered], key=lambda n: -n.order)
        for v, _ in node.lowered.uses:
            found.extend(reversed(readers.get(v, [])[-_SIBLINGS:]))
        return list(dict.fromkeys(found))

    def try_merge(self, first: Node, second: Node) -> Node | None:
        """Makes one node of two, if that is possible and worth it."""
        if _between(first, second) or _between(second, first) or self.delays(first, second):
            return None
        assert first.lowered is not None and second.lowered is not None
        cluster = self.match(first.lowered, second.lowered)
        if cluster is None or not _worth(cluster):
            return None
        try:
            lowered = lower(cluster, self.home, self.targets)
        except NotAffine:
            return None
        k = lowered.kernel
        size = sum([len(s.body) for s in k.stages])
        if size > _MOST_INSTRUCTIONS or len(k.buffers) > _MOST_BUFFERS or clash(lowered):
            return None
        if first in self.needed or second in self.needed:
            self.needed |= ancestors([first, second])
        first.lowered = lowered
        first.deps = (first.deps | second.deps) - {first, second}
        first.order = max(first.order, second.order)
        del self.nodes[second]
        for v in lowered.cluster.members:
            self.maker[v] = first
        for node in self.nodes:
            if second in node.deps:
                node.deps.discard(second)
                node.deps.add(first)
        return first

    def delays(self, first: Node, second: Node) -> bool:
        """Whether one must run before a check and the other's stores must wait for all checks."""
        if (first in self.needed) == (second in self.needed):
            return False
        later = second if first in self.needed else first
        assert later.lowered is not None
        return any([v in self.outside for v in later.lowered.cluster.members])

    def match(self, first: Lowered, second: Lowered) -> Cluster | None:
        """One cluster of two, if their axes can be laid on each other."""
        for x, y in ((first, second), (second, first)):
            read = [(v, at) for v, at in y.uses if v in x.cluster.members]
            if read:
                return _lay_on(*_alike(x.cluster, y.cluster, read))
        a, b = first.cluster, second.cluster
        if a.axes == b.axes and a.outer == b.outer:
            return Cluster(a.axes, a.outer, {**a.members, **b.members})
        return None


def partition(graph: Graph) -> Partition:
    """Cuts a graph into clusters and calls."""
    p = Partition(graph)
    p.choose()
    p.make()
    p.merge()
    return p


def same_order(v: Value) -> bool:
    """Whether a view has all of its base's elements, in their order."""
    strides, offset = v.attrs
    plain = zip(v.shape, strides, row_major(v.shape), strict=True)
    return (
        offset == 0 and v.size == v.inputs[0].size and all([n == 1 or s == r for n, s, r in plain])
    )


def in_place(v: Value) -> bool:
    """Whether a call changes its first operand, which is put where its result will be."""
    return v.kind == "scatter" and native_scatter.serves(v.dtype, v.attrs[0])


def read_by(v: Value) -> tuple[Value, ...]:
    """The operands that a call reads where they lie."""
    return () if v.kind == "concat" else v.inputs[1:] if in_place(v) else v.inputs


def in_loops(v: Value) -> bool:
    """Whether the emitter of loops knows a map's or a reduction's function for its dtypes."""
    body = []
    for x in v.inputs:
        if x.kind == "const" and not x.shape:
            body.append(Instruction("const", (), (x.attrs[0].item(),), x.dtype))
        else:
            body.append(Instruction("load", (), (0, 0, ()), x.dtype))
    reduces: tuple[Reduce, ...] = ()
    if v.kind == "reduce":
        reduces = (Reduce(v.attrs[0], 0, v.dtype),)
    else:
        body.append(Instruction(v.attrs[0], tuple(range(len(body))), (), v.dtype))
    key = (tuple([(i.name, repr(i.attrs), i.dtype) for i in body]), reduces)
    found = _KNOWN.get(key)
    if found is None:
        stage = Stage(tuple(body), reduces, (), bool(reduces))
        kernel = Kernel((), (2,), tuple([x.dtype for x in (*v.inputs, v)]), 0, (stage,))
        found = _KNOWN[key] = loops.supports(kernel)
    return found


def clash(lowered: Lowered) -> bool:
    """Whether a kernel may read an element of a slot after it has overwritten it."""
    slots = [w for w in lowered.writes if w.memory.kind == "slot"]
    return any(
        [
            r.memory is w.memory and not same_element(r, w) and _overlap(lowered, r, w)
            for w in slots
            for r in lowered.reads
        ]
    )


def same_element(r: Touch, w: Touch) -> bool:
    """Whether what is read is, at each position, what is then written there."""
    return (
        (r.offset, r.steps) == (w.offset, w.steps)
        and r.dtype.itemsize == w.dtype.itemsize
        and r.within is None
        and r.stage <= w.stage
    )


def _overlap(lowered: Lowered, r: Touch, w: Touch) -> bool:
    low, high = touched(lowered, w)
    start, end = touched(lowered, r)
    return not (end < low or high < start)


def touched(lowered: Lowered, touch: Touch) -> tuple[int, int]:
    """The first and the last byte that a kernel may read or write."""
    size = touch.dtype.itemsize
    low, high = touch.within or span(lowered.cluster.axes, touch.steps, touch.offset)
    return low * size, high * size + size - 1


def _rows(v: Value, axes: Ints, at: Access) -> tuple[Ints, int, Access]:
    """The axes of a reduction, those that stay first."""
    reduced = {i for d in v.attrs[1] for i, s in enumerate(at.steps[d]) if s}
    order = [i for i in range(len(axes)) if i not in reduced] + sorted(reduced)
    place = [order.index(i) for i in range(len(axes))]
    new = tuple([axes[i] for i in order])
    return new, len(axes) - len(reduced), at.moved(place, len(axes))


def ancestors(nodes: Sequence[Node]) -> set[Node]:
    """Nodes and all that they wait for."""
    found: set[Node] = set()
    stack = list(nodes)
    while stack:
        node = stack.pop()
        if node not in found:
            found.add(node)
            stack.extend(node.deps)
    return found


def _between(first: Node, second: Node) -> bool:
    """Whether the second waits for a third node that waits for the first."""
    stack = [d for d in second.deps if d is not first]
    seen = set(stack)
    while stack:
        node = stack.pop()
        for d in node.deps:
            if d is first:
                return True
            if d not in seen:
                seen.add(d)
                stack.append(d)
    return False


def _walks(steps: Ints) -> list[tuple[int, int]]:
    """The axes along which an index moves, by how far."""
    return sorted([(c, i) for i, c in enumerate(steps) if c])


def _alike(a: Cluster, b: Cluster, reads: Reads) -> tuple[Cluster, Cluster, Reads]:
    """Two clusters, axes cut where the other walks the same dimension in two loops."""
    while True:
        cut = _cut(a, b, reads)
        if cut is None:
            return a, b, reads
        of_a, axis, inner = cut
        try:
            if of_a:
                a = a.split(axis, inner)
            else:
                b = b.split(axis, inner)
                reads = [(v, at and at.split(axis, inner)) for v, at in reads]
        except NotAffine:
            return a, b, reads


def _cut(a: Cluster, b: Cluster, reads: Reads) -> tuple[bool, int, int] | None:
    """An axis, of the first or the second cluster, that must be cut, and the inner size."""
    for v, wanted in reads:
        if wanted is None:
            continue
        for p, q in zip(a.result(v).steps, wanted.steps, strict=True):
            left, right = _walks(p), _walks(q)
            if not left or not right or len(left) == len(right):
                continue
            of_a = len(left) < len(right)
            few, many = (left, right) if of_a else (right, left)
            whole, parts = (a, b) if of_a else (b, a)
            inner = parts.axes[many[0][1]]
            size = whole.axes[few[0][1]]
            fits = few[0][0] == many[0][0] == 1 and many[1][0] == inner
            if fits and size > inner and size % inner == 0:
                return of_a, few[0][1], inner
    return None


def _lay_on(a: Cluster, b: Cluster, reads: Reads) -> Cluster | None:
    """One cluster of two of which b reads what a makes."""
    pairs: dict[int, int] = {}  # axis of b: axis of a
    for v, wanted in reads:
        made = a.result(v)
        if wanted is None or made.offsets != wanted.offsets:
            return None
        for p, q in zip(made.steps, wanted.steps, strict=True):
            left, right = _walks(p), _walks(q)
            if [c for c, _ in left] != [c for c, _ in right]:
                return None
            for (_, i), (_, j) in zip(left, right, strict=True):
                if pairs.setdefault(j, i) != i or a.axes[i] != b.axes[j]:
                    return None
    if len(set(pairs.values())) != len(pairs):
        return None
    rest_a = [i for i in range(len(a.axes)) if i not in pairs.values()]
    rest_b = [j for j in range(len(b.axes)) if j not in pairs]
    a_outer, b_outer = set(range(a.outer)), set(range(b.outer))
    if rest_a and rest_b:
        if [a.axes[i] for i in rest_a] != [b.axes[j] for j in rest_b]:
            return None
        pairs.update(zip(rest_b, rest_a, strict=True))
        rest_a = rest_b = []
    if rest_a:  # b has an element for each outer position of a
        if set(pairs.values()) != a_outer or b.outer != len(b.axes):
            return None
        return _joined(a, b, pairs)
    if rest_b:  # a has an element for each outer position of b
        if set(pairs) != b_outer or a.outer != len(a.axes):
            return None
        return _joined(b, a, {i: j for j, i in pairs.items()}, b_first=False)
    if b.outer == len(b.axes):
        return _joined(a, b, pairs)
    back = {i: j for j, i in pairs.items()}
    if a.outer == len(a.axes):
        return _joined(b, a, back, b_first=False)
    inner_b = [pairs[j] for j in range(b.outer, len(b.axes))]
    if inner_b != list(range(a.outer, len(a.axes))):
        return None
    return _joined(a, b, pairs)


def _joined(frame: Cluster, other: Cluster, place: dict[int, int], b_first: bool = True) -> Cluster:
    """The members of two clusters in the axes of the first; those read stand first."""
    where = [place[i] for i in range(len(other.axes))]
    moved = {v: at.moved(where, len(frame.axes)) for v, at in other.members.items()}
    members = {**frame.members, **moved} if b_first else {**moved, **frame.members}
    return Cluster(frame.axes, frame.outer, members)


def _worth(cluster: Cluster) -> bool:
    """Whether enough can be shared among threads, and memory is walked along its rows."""
    if cluster.outer == len(cluster.axes):
        return True
    rows = math.prod(cluster.axes[: cluster.outer])
    total = math.prod(cluster.axes)
    if rows < _ROWS and total > _SERIAL:
        return False
    if total <= _STRIDED:
        return True
    inside = [v for v in cluster.members if cluster.inside(v)]
    return all([any(_last(cluster.members[v])[cluster.outer :]) for v in inside])


def _last(at: Access) -> Ints:
    """The steps of the last dimension that has more than one element."""
    return [s for s in at.steps if any(s)][-1]
