"""From computations over memory to a graph of values: in-place writes and views become functions.

In: the Calls of a recording (``ir/trace.py``).  Out: a Graph whose inputs are what memory held
before and whose stores are what it must hold afterwards.  What a place holds is one value, or, for
memory that was there before, the values of the regions that were written.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from rushlight.compiler.capture import capture
from rushlight.compiler.values import NotCaptured
from rushlight.ir.graph import Graph, Store, Value, const, row_major
from rushlight.ir.meta import Meta
from rushlight.ir.trace import Call, Expression, Item, Number, Region, Scratch, Unsupported

__all__ = ["Lowered", "Scratch", "Unsupported", "lower"]

_DOUBLE = np.dtype(np.float64)
_INDEX = np.dtype(np.int64)


class Lowered(NamedTuple):
    """A graph and what its table holds: for each slot the place whose memory it is, or Scratch."""

    graph: Graph
    places: tuple[Any, ...]


def lower(
    calls: Sequence[Call | Item], made: set[int], wanted: Iterable[int], numbers: int
) -> Lowered:
    """The graph of a range of calls.

    Args:
        calls: the computations, in order.
        made: the places that these calls make.
        wanted: those of them whose contents are needed afterwards.
        numbers: how many run-time numbers the recording has.

    Raises:
        Unsupported: memory is used in a way that has no functional form here.
    """
    return _Lowering(made, numbers).run(calls, wanted)


class _Content(NamedTuple):
    """What a place made here holds: a value, and how it lies in the place's memory."""

    value: Value
    meta: Meta


class _Lowering:
    def __init__(self, made: set[int], numbers: int) -> None:
        self.made = made
        self.numbers = numbers
        self.contents: dict[int, _Content] = {}
        self.written: dict[int, dict[Any, tuple[Region, Value]]] = {}
        self.loaded: dict[Any, Value] = {}
        self.slots: dict[Any, int] = {}
        self.items: dict[int, Value] = {}
        self.checks: list[Value] = []  # values that fail where an index is out of range
        self.visited: set[int] = set()
        self.kept: list[Value] = []

    def run(self, calls: Sequence[Call | Item], wanted: Iterable[int]) -> Lowered:
        for call in calls:
            if type(call) is Item:
                value = self.read(call.region)
                self.items[call.at] = _map("cast", (_reshaped(value, ()),), (), _DOUBLE)
            else:
                self.compute(call)  # type: ignore[arg-type]
        stores = []
        for place in wanted:
            value, m = self.contents[place]
            stores.append(Store(value, self.slot(place), tuple(m.strides), 0, False))
        for place, regions in self.written.items():
            for region, value in regions.values():
                strides = tuple(region.meta.strides)
                stores.append(Store(value, self.slot(place), strides, region.offset, True))
        stores += self.unused_checks(stores)
        graph = Graph(tuple(stores), len(self.slots), self.numbers)
        return Lowered(graph, tuple(self.slots))

    def unused_checks(self, stores: list[Store]) -> list[Store]:
        """Stores into scratch memory for checked values that nobody uses: they must fail too."""
        used = {id(v) for v in Graph(tuple(stores), 0, 0).values()}
        found: list[Store] = []
        for value in self.checks:
            if id(value) not in used:
                scratch = Scratch(len(found), value.size * value.dtype.itemsize)
                slot = self.slots.setdefault(scratch, len(self.slots))
                found.append(Store(value, slot, row_major(value.shape), 0, False))
        return found

    def note_checks(self, results: Sequence[Value]) -> None:
        """Keeps the checked values among what a call computes."""
        waiting = list(results)
        while waiting:
            value = waiting.pop()
            if id(value) not in self.visited:
                self.visited.add(id(value))
                self.kept.append(value)  # so that its id stays its own
                if value.kind in ("index", "scatter"):
                    self.checks.append(value)
                waiting.extend(value.inputs)

    def slot(self, place: int) -> int:
        return self.slots.setdefault(place, len(self.slots))

    def compute(self, call: Call) -> None:
        inputs = [self.operand(x) for x in call.inputs]
        attrs = tuple([self.operand(a) if _varies(a) else a for a in call.attrs])
        try:
            results = capture(call.op, call.plan, inputs, attrs)
        except NotCaptured as error:
            raise Unsupported(str(error)) from None
        self.note_checks(results)
        for region, value in zip(call.outs, results, strict=True):
            self.write(region, value)

    def operand(self, x: Any) -> Any:
        """A Call's input as capture wants it."""
        kind = type(x)
        if kind is Region:
            return self.read(x)
        if kind is Number:
            return Value("number", (), (x.at,), (), _DOUBLE)
        if kind is Expression:
            return self.expression(x)
        return x

    def expression(self, x: Any) -> Value:
        if type(x) is Expression:
            if x.name == "item":
                return self.items[x.args[0]]
            return _map(x.name, tuple([self.expression(a) for a in x.args]), (), _DOUBLE)
        if type(x) is Number:
            return Value("number", (), (x.at,), (), _DOUBLE)
        return const(x, _DOUBLE)

    # Memory

    def read(self, region: Region) -> Value:
        place, m, offset = region
        content = self.contents.get(place)
        if content is not None:
            return _seen(content, m, offset)
        if place in self.made:
            raise Unsupported("a value is read before it is made")
        regions = self.written.get(place)
        if regions:
            found = regions.get(_layout(region))
            if found is not None:
                return _reshaped(found[1], m.shape)
            if any([_overlap(region, other) for other, _ in regions.values()]):
                return self._read_written(region, regions)
        key = (place, m, offset)
        value = self.loaded.get(key)
        if value is None:
            attrs = (self.slot(place), tuple(m.strides), offset)
            value = self.loaded[key] = Value("input", (), attrs, m.shape, m.dtype.numpy)
        return value

    def _read_written(self, region: Region, regions: dict[Any, tuple[Region, Value]]) -> Value:
        """A region of outside memory that lies within one that was written as a whole."""
        for other, value in regions.values():
            m = other.meta
            inside = m.dense and other.offset <= region.offset
            if inside and _end(region) <= other.offset + m.numel and m.dtype is region.meta.dtype:
                return _seen(_Content(value, m), region.meta, region.offset - other.offset)
        raise Unsupported("a region is read that was written in part")

    def write(self, region: Region, value: Value) -> None:
        place, m, offset = region
        if value.dtype != m.dtype.numpy:
            value = _map("cast", (value,), value.shape, m.dtype.numpy)
        if place in self.made:
            content = self.contents.get(place)
            if content is None:
                if offset or not m.dense:
                    raise Unsupported("a result that does not start its memory")
                self.contents[place] = _Content(value, m)
            elif offset == 0 and _same(m, content.meta):
                self.contents[place] = _Content(value, content.meta)
            else:
                self.contents[place] = _replaced(content, region, value)
            return
        regions = self.written.setdefault(place, {})
        key = _layout(region)
        for other_key, (other, _) in list(regions.items()):
            if other_key != key and _overlap(region, other):
                raise Unsupported("overlapping writes to outside memory")
        regions[key] = (region, value)


def _varies(x: Any) -> bool:
    return type(x) is Number or type(x) is Expression


def _map(name: str, inputs: tuple[Value, ...], shape: tuple[int, ...], dtype: Any) -> Value:
    return Value("map", inputs, (name,), shape, np.dtype(dtype))


def _view(base: Value, shape: Sequence[int], strides: Sequence[int], offset: int) -> Value:
    return Value("view", (base,), (tuple(strides), offset), tuple(shape), base.dtype)


def _reshaped(value: Value, shape: tuple[int, ...]) -> Value:
    return value if value.shape == shape else _view(value, shape, row_major(shape), 0)


def _same(a: Meta, b: Meta) -> bool:
    """Whether two Metas see the same elements in the same order."""
    if a is b:
        return True
    return a.shape == b.shape and a.dtype is b.dtype and _steps(a) == _steps(b)


def _steps(m: Meta) -> list[int]:
    return [s for n, s in zip(m.shape, m.strides, strict=True) if n != 1]


def _flat(content: _Content) -> Value:
    """A place's elements in the order in which they lie."""
    value, m = content
    if not m.contiguous:
        order = sorted(range(m.ndim), key=lambda d: (-m.strides[d], d))
        steps = row_major(value.shape)
        value = _view(value, [m.shape[d] for d in order], [steps[d] for d in order], 0)
    return _reshaped(value, (m.numel,))


def _seen(content: _Content, m: Meta, offset: int) -> Value:
    """What a tensor of this Meta and offset sees of a place's content."""
    if m.dtype is not content.meta.dtype:
        raise Unsupported("memory is read as another dtype")
    if offset == 0 and _same(m, content.meta):
        return content.value
    base = content.value if content.meta.contiguous else _flat(content)
    return _view(base, m.shape, m.strides, offset)


def _replaced(content: _Content, region: Region, value: Value) -> _Content:
    """A place's content after a write to part of it."""
    _, m, offset = region
    if m.dtype is not content.meta.dtype:
        raise Unsupported("memory is written as another dtype")
    flat = _flat(content)
    positions: Value = const(offset, _INDEX)
    for d, (n, step) in enumerate(zip(m.shape, m.strides, strict=True)):
        axis = Value("iota", (), (), (n,), _INDEX)
        scaled = _map("multiply", (axis, const(step, _INDEX)), (n,), _INDEX)
        spread = [0] * m.ndim
        spread[d] = 1
        part = _view(scaled, m.shape, spread, 0)
        positions = _map("add", (positions, part), m.shape, _INDEX)
    if not m.ndim:
        positions = _reshaped(positions, ())
    made = Value("scatter", (flat, value, positions), ("set",), flat.shape, flat.dtype)
    whole = content.meta.like(shape=(content.meta.numel,))
    return _Content(made, whole)


def _layout(region: Region) -> tuple[Any, ...]:
    m = region.meta
    return (region.offset, tuple(n for n in m.shape if n != 1), tuple(_steps(m)), m.dtype)


def _end(region: Region) -> int:
    m = region.meta
    return region.offset + sum((n - 1) * s for n, s in zip(m.shape, m.strides, strict=True)) + 1


def _overlap(a: Region, b: Region) -> bool:
    """Whether two regions of one place may share elements."""
    if not a.meta.numel or not b.meta.numel:
        return False
    return a.offset < _end(b) and b.offset < _end(a)
