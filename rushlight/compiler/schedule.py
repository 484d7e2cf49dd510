"""From a graph to steps: where every array lies, what runs before what.

In: a graph.  Out: a `Schedule`: kernels and calls in order, with the memory that each reads and
writes.  `compiler/clusters.py` decides what is fused; here results find their memory.  A result
goes straight into the slot that wants it if everything that reads the slot's old contents can run
before; otherwise it goes into a temporary that is copied at the end.  Stores that others can see
come after the last check of an index.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from rushlight.compiler.access import span
from rushlight.compiler.calls import call_steps
from rushlight.compiler.clusters import (
    Node,
    Partition,
    ancestors,
    clash,
    in_place,
    partition,
    read_by,
    same_element,
    touched,
)
from rushlight.compiler.epilogues import epilogues
from rushlight.compiler.lower import Lowered, lower, resolve
from rushlight.compiler.simplify import simplify
from rushlight.compiler.steps import Home, LoopStep, Memory, Step
from rushlight.ir.graph import Graph, Value, row_major

__all__ = ["Schedule", "schedule"]

Ints = tuple[int, ...]
Range = tuple[int, int]  # bytes of a slot, first and last


class Schedule(NamedTuple):
    """What a program does.

    Attributes:
        steps: in the order in which they run.
        slots: the memory of each slot.
    """

    steps: tuple[Step, ...]
    slots: tuple[Memory, ...]


def schedule(graph: Graph, threads: int = 1) -> Schedule:
    """Steps that do what a graph says.

    Args:
        threads: how many threads ready-made kernels are prepared for.
    """
    return _Placing(partition(epilogues(simplify(graph))), threads).run()


class _Access(NamedTuple):
    """That a node reads or writes a part of a slot."""

    node: Node
    part: Range


class _Placing:
    """Finds memory for what the nodes of a partition make, and their order."""

    def __init__(self, p: Partition, threads: int) -> None:
        self.p = p
        self.threads = threads
        self.outside = {s.slot for s in p.graph.stores if s.outside}
        self.readers: dict[Memory, list[_Access]] = {m: [] for m in p.slots}
        self.writers: dict[Memory, list[_Access]] = {m: [] for m in p.slots}
        self.needed: set[Node] = set()
        self.targets: dict[Value, list[Home]] = {}
        self.homes: dict[Value, Home] = {}

    def run(self) -> Schedule:
        for node in self.p.nodes:
            self.note_reads(node)
        self.needed = ancestors([n for n in self.p.nodes if n.checks])
        for v, home in self.p.stored.items():
            self.place(v, home)
        self.settle()
        order = self.order()
        steps: list[Step] = []
        stop = bool(self.needed)
        for node in order:
            made = self.steps(node)
            if stop and node not in self.needed and made:
                made[0] = made[0]._replace(stop=True)
                stop = False
            steps.extend(made)
        return Schedule(tuple(steps), tuple(self.p.slots))

    # Who touches which part of a slot

    def note_reads(self, node: Node) -> None:
        if node.lowered is not None:
            for r in node.lowered.reads:
                if self.p.shown(r.memory):
                    self.readers[r.memory].append(_Access(node, touched(node.lowered, r)))
        else:
            for x in read_by(node.value):
                home = resolve(x, self.p.home)
                assert home is not None
                if self.p.shown(home.memory):
                    part = _bytes(x.shape, home, x.dtype)
                    self.readers[home.memory].append(_Access(node, part))

    # Stores

    def place(self, v: Value, home: Home) -> None:
        """Lets a value's node write it where it is wanted, or copies it at the end."""
        node = self.p.maker[v]
        if not self.p.shown(home.memory):  # its part of a concatenation
            self.targets[v] = [home]
            return
        part = _bytes(v.shape, home, v.dtype)
        before = self.touching(home.memory, part, node)
        if self.direct(node, v, home, part, before):
            self.targets[v] = [home]
            node.deps |= before
            self.writers[home.memory].append(_Access(node, part))
            return
        copy = Value("view", (v,), (row_major(v.shape), 0), v.shape, v.dtype)
        self.p.roots[copy] = None
        last = Node(copy, self.p.lower_root(copy), len(self.p.position))
        self.p.position[copy] = last.order
        self.p.nodes[last] = None
        self.p.maker[copy] = last
        last.deps = {node} | self.touching(home.memory, part, last)
        self.targets[copy] = [home]
        self.writers[home.memory].append(_Access(last, part))

    def touching(self, memory: Memory, part: Range, but: Node) -> set[Node]:
        """The nodes that read or write a part of a slot."""
        accesses = self.readers[memory] + self.writers[memory]
        return {a.node for a in accesses if _meet(a.part, part)} - {but}

    def direct(self, node: Node, v: Value, home: Home, part: Range, before: set[Node]) -> bool:
        """Whether a node may write a value straight into a slot."""
        if any([w.node is node and _meet(w.part, part) for w in self.writers[home.memory]]):
            return False
        if node in self.needed and (home.memory.slot in self.outside or before - self.needed):
            return False
        if node.lowered is None:
            own = any([r.node is node and _meet(r.part, part) for r in self.readers[home.memory]])
            if own or not home.row_major(v.shape) or self.crowded(home, part):
                return False
        elif self.spoils(node.lowered, v, home):
            return False
        return not any([_reaches(b, node) for b in before])

    def spoils(self, lowered: Lowered, v: Value, home: Home) -> bool:
        """Whether a cluster that writes a value to a slot would still read what was there."""
        if not any([r.memory is home.memory for r in lowered.reads]):
            return False

        def targets(x: Value) -> list[Home]:
            own = home if x is v else self.p.home(x) if x in lowered.reloads else None
            return [] if own is None else [own]

        return clash(lower(lowered.cluster, self.p.home, targets))

    def crowded(self, home: Home, part: Range) -> bool:
        """Whether several values are stored over one another in a part of a slot."""
        stored = [
            v
            for v, other in self.p.stored.items()
            if other.memory is home.memory and _meet(_bytes(v.shape, other, v.dtype), part)
        ]
        return len(stored) > 1

    def settle(self) -> None:
        """Decides where each value that other nodes read lies."""
        read: set[Value] = set()
        for node in self.p.nodes:
            if node.lowered is not None:
                read.update([v for v, _ in node.lowered.uses])
                read.update(node.lowered.reloads)
            else:
                for x in read_by(node.value):
                    read.add(x)
                    while x.kind == "view" and x not in self.p.roots:
                        x = x.inputs[0]
                        read.add(x)
        for v in self.p.maker:
            placed = self.targets.setdefault(v, [])
            if (v in read or in_place(v)) and v.kind != "concat":
                if placed and self.lasting(v, placed[0]):
                    self.homes[v] = placed[0]
                else:
                    home = self.p.home(v)
                    assert home is not None
                    self.homes[v] = home
                    placed.insert(0, home)

    def lasting(self, v: Value, home: Home) -> bool:
        """Whether a value can be read where it was stored."""
        if not home.row_major(v.shape):
            return False
        if not self.p.shown(home.memory):
            return home.memory not in self.p.changed
        return not self.crowded(home, _bytes(v.shape, home, v.dtype))

    def home(self, v: Value) -> Home | None:
        """Where a value lies."""
        return self.homes.get(v) or self.p.home(v)

    # Order

    def order(self) -> list[Node]:
        """The nodes, each after those it waits for, those before checks first."""
        import heapq

        waiting = {n: len(n.deps) for n in self.p.nodes}
        after: dict[Node, list[Node]] = {n: [] for n in self.p.nodes}
        for n in self.p.nodes:
            for d in n.deps:
                after[d].append(n)
        ready = [self.rank(n) for n, count in waiting.items() if count == 0]
        heapq.heapify(ready)
        done: list[Node] = []
        while ready:
            node = heapq.heappop(ready)[-1]
            done.append(node)
            for n in after[node]:
                waiting[n] -= 1
                if waiting[n] == 0:
                    heapq.heappush(ready, self.rank(n))
        assert len(done) == len(waiting), "nodes wait for each other"
        return done

    def rank(self, n: Node) -> tuple[bool, int, int, Node]:
        return n not in self.needed, n.order, id(n), n

    # Steps

    def steps(self, node: Node) -> list[Any]:
        """What a node does, now that memory is known."""
        if node.lowered is None:
            return call_steps(node.value, self.home, self.targets, self.threads)
        lowered = lower(node.lowered.cluster, self.home, lambda v: self.targets.get(v, ()))
        assert not clash(lowered), "a slot is read after it was overwritten"
        if not lowered.writes:
            return []
        reads = frozenset([r.memory for r in lowered.reads])
        writes = frozenset([w.memory for w in lowered.writes])
        return [
            LoopStep(
                lowered.kernel, lowered.places, lowered.numbers, reads, writes, lowered.checks,
                _reusable(lowered),
            )
        ]  # fmt: skip


def _reusable(lowered: Lowered) -> tuple[tuple[Memory, Memory], ...]:
    """Pairs of temporaries, written and read, that may be one: element by element."""
    found = []
    for w in lowered.writes:
        if w.memory.kind != "temp":
            continue
        for m in {r.memory for r in lowered.reads}:
            touches = [r for r in lowered.reads if r.memory is m]
            fits = m.kind == "temp" and m.nbytes == w.memory.nbytes
            if fits and all([same_element(r, w) for r in touches]):
                found.append((w.memory, m))
    written = {w.memory for w in lowered.writes}
    return tuple([(w, r) for w, r in found if r not in written])


def _bytes(shape: Ints, home: Home, dtype: Any) -> Range:
    low, high = span(shape, home.strides, home.offset)
    size = dtype.itemsize
    return low * size, high * size + size - 1


def _meet(a: Range, b: Range) -> bool:
    return a[0] <= b[1] and b[0] <= a[1]


def _reaches(node: Node, target: Node) -> bool:
    """Whether a node waits for the target, or is it."""
    stack, seen = [node], {node}
    while stack:
        n = stack.pop()
        if n is target:
            return True
        for d in n.deps:
            if d not in seen:
                seen.add(d)
                stack.append(d)
    return False
