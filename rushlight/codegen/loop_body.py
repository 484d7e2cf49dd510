"""The straight-line bodies of loops: each instruction where it changes, in vectors or as one value.

The loops of a kernel have depths: -1 the function's entry, 0 the outer positions, 1 the vectors of
the last outer axis (columns only), 2 and more the inner axes. An instruction is emitted at the
depth of the deepest loop in which it changes. One that does not depend on the axis that fills the
vectors has one lane and is spread when vectors need it. The innermost loop's body is emitted for
several neighbouring vectors or steps at once (copies), instruction by instruction.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from rushlight.codegen import loop_math
from rushlight.codegen.loop_lanes import INT64, Kind, Lanes, kind_of
from rushlight.codegen.loop_memory import (
    FARTHEST,
    WIDEST,
    Count,
    picked,
    read,
    read_at,
    regular,
    window,
    write,
    write_together,
)
from rushlight.compiler.kernels.emit import Function, Value
from rushlight.compiler.loops import Instruction, Kernel, Stage

__all__ = ["Body", "Group"]

Ints = tuple[int, ...]
Access = tuple[int, int, Ints]  # buffer, offset, strides
_DOUBLE = Kind("float64", "f", "double", "double", 8)


class Group(NamedTuple):
    """What a body is emitted for at once.

    Attributes:
        lanes: of a vector.
        present: how many of the last vector's lanes there are, None for all.
        vectors: neighbouring vectors along the axis that fills them.
        steps: steps along the last inner axis (columns only).
    """

    lanes: int
    present: Count
    vectors: int
    steps: int


class _Traits(NamedTuple):
    """At which depth an instruction stands, and whether its lanes and its copies differ."""

    depth: int
    vector: bool
    copied: bool


class Body:
    """The instructions of a kernel's stages.

    Args:
        rows: whether the last inner axis fills the vectors; if not, the last outer one does.
        pair: if not 0, vectors hold so many elements of the axis that fills them, all it has, for
            each of several positions of the outer axis before that.
        tiled: whether neighbouring vectors are those along the outer axis before that (tiles), so
            that memory in which that axis is the dense one is read and written in vectors too.

    Attributes:
        group: what is being emitted for.
        widths: how many lanes vectors of this kernel have.
    """

    def __init__(
        self, f: Function, kernel: Kernel, rows: bool, tiled: bool = False, pair: int = 0
    ) -> None:
        self.f, self.kernel, self.rows = f, kernel, rows
        self.outer = len(kernel.outer)
        self.axes = self.outer + len(kernel.inner)
        self.fills = self.axes - 1 if rows else self.outer - 1
        self.pair, self.tiled = pair, tiled
        # the axis of neighbouring vectors
        self.copies = self.fills - 1 if tiled or pair else self.fills
        self.tiles: dict[Access, list[str]] = {}
        self.known: dict[Any, str] = {}
        self.windows: dict[tuple[int, Access, int, int], list[str]] = {}
        self.group = Group(1, None, 1, 1)
        self.widths: set[int] = set()
        self.index: dict[int, Value] = {}
        self.pointers: dict[Access, str] = {}
        self.near: dict[tuple[Access, int], str] = {}
        self.values: dict[tuple[int, int, int, int], str] = {}  # stage, instruction, vector, step
        self.spread: dict[tuple[int, int, int, int, int], str] = {}  # ..., lanes
        self.reduced: dict[tuple[int, int], list[str]] = {}
        self.stored = {t.buffer for s in kernel.stages for t in s.stores}
        self.traits = [self._traits(s) for s in range(len(kernel.stages))]
        self.spreads = [self._spreads(s) for s in range(len(kernel.stages))]
        self.accesses = [self._accesses(s) for s in kernel.stages]

    # What changes where

    def innermost(self, s: int) -> int:
        """The depth of a stage's innermost loop."""
        if self.kernel.stages[s].inner and self.kernel.inner:
            return 1 + len(self.kernel.inner)
        return 0 if self.rows else 1

    def _depth(self, axis: int) -> int:
        if axis >= self.outer:
            return 2 + axis - self.outer
        if self.pair and axis == self.fills:
            return -1
        return 1 if axis in (self.fills, self.copies) else 0

    def _fills(self, axes: Sequence[int]) -> bool:
        """Whether what changes along these axes differs from lane to lane."""
        return self.fills in axes or (self.pair > 0 and self.copies in axes)

    def elements(self, access: Access, lanes: int) -> list[int]:
        """How far from the first lane's element each lane's is."""
        stride = access[2][self.fills] if self.axes else 0
        if not self.pair:
            return [stride * i for i in range(lanes)]
        step = access[2][self.copies]
        return [i // self.pair * step + i % self.pair * stride for i in range(lanes)]

    def _traits(self, s: int) -> list[_Traits]:
        stage = self.kernel.stages[s]
        found: list[_Traits] = []
        here = {t.buffer for t in stage.stores}
        base = 0 if self.rows else 1
        for ins in stage.body:
            depth = max([found[a].depth for a in ins.args], default=-1)
            vector = any([found[a].vector for a in ins.args])
            copied = any([found[a].copied for a in ins.args])
            if ins.name in ("load", "gather"):
                buffer, _, strides = ins.attrs
                moving = [a for a, n in enumerate(strides) if n]
                depth = max([depth, *map(self._depth, moving)])
                vector, copied = vector or self._fills(moving), copied or self.copies in moving
                if buffer in here:
                    depth = self.innermost(s)
                elif buffer in self.stored:
                    depth = max(depth, base)
            elif ins.name == "axis":
                axis = ins.attrs[0]
                depth, vector, copied = self._depth(axis), self._fills([axis]), axis == self.copies
            elif ins.name == "reduced":
                depth, vector, copied = base, not self.rows, not self.rows
            found.append(_Traits(depth, vector, copied))
        return found

    def _spreads(self, s: int) -> set[int]:
        """The instructions of one lane that vectors need."""
        stage, traits = self.kernel.stages[s], self.traits[s]
        found = {
            a
            for i, ins in enumerate(stage.body)
            if traits[i].vector and ins.name != "gather"
            for a in ins.args
        }
        if stage.inner or not self.rows:
            found |= {r.value for r in stage.reduces} | {t.value for t in stage.stores}
        return {i for i in found if not traits[i].vector}

    def _accesses(self, stage: Stage) -> list[Access]:
        found = [i.attrs for i in stage.body if i.name in ("load", "gather")]
        found += [t[1:] for t in stage.stores]
        return list(dict.fromkeys([(b, o, self._full(s)) for b, o, s in found]))

    def _full(self, strides: Ints) -> Ints:
        return (*strides, *(0,) * (self.axes - len(strides)))

    def interleaved(self, s: int) -> bool:
        """Whether the last inner axis lies densely between the elements of neighbouring lanes."""
        return any([a[2][-1] == 1 and 1 < a[2][self.fills] <= FARTHEST for a in self.accesses[s]])

    # Places

    def enter(self) -> None:
        """Reads the argument block, and emits what never changes."""
        buffers: dict[int, str] = {}
        for access in dict.fromkeys([a for stage in self.accesses for a in stage]):
            buffer, offset, _ = access
            if buffer not in buffers:
                buffers[buffer] = self.word("ptr", buffer)
            self.pointers[access] = self._moved(access, buffers[buffer], offset)
        for s in range(len(self.kernel.stages)):
            self.instructions(s, -1)

    def word(self, kind: str, index: int) -> str:
        """A word of the argument block."""
        return self.f.load(kind, self.f.at("i64", "%block", index))

    def _moved(self, access: Access, pointer: str, *elements: Value) -> str:
        return self.f.at(kind_of(self.kernel.buffers[access[0]]).memory, pointer, *elements)

    @contextmanager
    def inside(self, indices: dict[int, Value], s: int | None = None) -> Iterator[None]:
        """A loop's inside: where its axes stand.

        Args:
            s: the stage whose loop it is; None if it is all stages'.
        """
        before = (self.index, self.pointers, self.near, self.tiles, self.windows, self.known)
        self.index = {**self.index, **indices}
        self.pointers = dict(self.pointers)
        self.near, self.tiles, self.windows, self.known = {}, {}, {}, dict(self.known)
        products: dict[tuple[Value, int], Value] = {}
        for access in self.pointers if s is None else self.accesses[s]:
            moves: list[Value] = []
            for axis, index in indices.items():
                stride = access[2][axis]
                if stride and index != 0:
                    if (index, stride) not in products:
                        products[index, stride] = self.f.mul(index, stride)
                    moves.append(products[index, stride])
            if moves:
                self.pointers[access] = self._moved(access, self.pointers[access], *moves)
        yield
        self.index, self.pointers, self.near, self.tiles, self.windows, self.known = before

    def place(self, access: Access, u: int, step: int) -> str:
        """The address for a copy."""
        strides = access[2]
        each = 1 if self.tiled else self.group.lanes
        each = each // self.pair if self.pair else each
        elements = u * each * strides[self.copies] if self.axes else 0
        return self.near_by(access, elements + (step * strides[-1] if step else 0))

    def near_by(self, access: Access, elements: int) -> str:
        """The address so many elements further."""
        if not elements:
            return self.pointers[access]
        key = (access, elements)
        if key not in self.near:
            self.near[key] = self._moved(access, self.pointers[access], elements)
        return self.near[key]

    # Instructions

    def instructions(self, s: int, depth: int) -> None:
        """Emits the instructions of a stage that stand at a depth."""
        for i, ins in enumerate(self.kernel.stages[s].body):
            trait = self.traits[s][i]
            if trait.depth != depth:
                continue
            for u, step in self._copies(s, trait):
                b = Lanes(self.f, self.group.lanes if trait.vector else 1)
                key = self._key(b, s, ins, u, step)
                value = self.known.get(key)
                if value is None:
                    value = self.known[key] = self._emit(b, s, ins, u, step, trait)
                self.values[s, i, u, step] = value
                if i in self.spreads[s]:
                    self._spread(s, i, u, step, value)

    def _key(self, b: Lanes, s: int, ins: Instruction, u: int, step: int) -> Any:
        """What makes a value: another stage's with the same key is the same."""
        vector = [self.traits[s][a].vector for a in ins.args]
        lanes = [b.n if v else 1 for v in vector]
        args = tuple([self.value(s, a, u, step, n) for a, n in zip(ins.args, lanes, strict=True)])
        if ins.name in ("load", "gather"):
            buffer, offset, strides = ins.attrs
            if buffer in self.stored:
                return (s, ins, u, step)
            place = self.place((buffer, offset, self._full(strides)), u, step)
            return (ins.name, place, strides, args, b.n)
        if ins.name in ("axis", "const"):
            return (s, ins.name, repr(ins.attrs), ins.dtype, u, step, b.n)
        return (ins.name, ins.attrs, args, ins.dtype, b.n, ins.name == "reduced" and u)

    def _copies(self, s: int, trait: _Traits) -> list[tuple[int, int]]:
        stepping = not self.rows and trait.depth >= 2 and trait.depth == self.innermost(s)
        return [
            (u, step)
            for u in range(self.group.vectors if trait.copied else 1)
            for step in range(self.group.steps if stepping else 1)
        ]

    def _spread(self, s: int, i: int, u: int, step: int, value: str) -> None:
        known = self.traits[s][i].depth >= (self.innermost(s) if self.rows else 1)
        register = kind_of(self.kernel.stages[s].body[i].dtype).register
        for lanes in (self.group.lanes,) if known else self.widths:
            self.spread[s, i, u, step, lanes] = Lanes(self.f, lanes).widen(register, value)

    def value(self, s: int, i: int, u: int, step: int, lanes: int) -> str:
        """An instruction's value for a copy."""
        trait = self.traits[s][i]
        if trait.depth < 2 or trait.depth != self.innermost(s):
            step = 0
        u = u if trait.copied else 0
        if trait.vector or lanes == 1:
            return self.values[s, i, u, step]
        return self.spread[s, i, u, step, lanes]

    def set_reduced(self, s: int, result: int, values: list[str]) -> None:
        """What a stage has reduced: a value, or one for each vector."""
        self.reduced[s, result] = values

    def _emit(self, b: Lanes, s: int, ins: Instruction, u: int, step: int, trait: _Traits) -> str:
        kind = kind_of(ins.dtype)
        if ins.name == "const":
            return b.const(kind, ins.dtype.type(ins.attrs[0]))
        if ins.name == "number":
            one = self.word("<1 x double>", len(self.kernel.buffers) + ins.attrs[0])
            return b.cast(_DOUBLE, kind, one)
        if ins.name == "axis":
            return b.cast(INT64, kind, self._axis(b, ins.attrs[0], u, step))
        if ins.name == "reduced":
            return self.reduced[ins.attrs][u if trait.vector else 0]
        if ins.name == "load":
            return self._load(b, s, ins, u, step)
        body = self.kernel.stages[s].body
        if ins.name == "gather":
            return self._gather(b, s, ins, u, step)
        args = [self.value(s, a, u, step, b.n) for a in ins.args]
        dtypes = tuple([body[a].dtype for a in ins.args])
        if ins.name == "check":
            return self._check(b, ins, [kind_of(d) for d in dtypes], args)
        if ins.name == "cast":
            return b.cast(kind_of(dtypes[0]), kind, args[0])
        if ins.name == "where":
            mask = b.cast(kind_of(dtypes[0]), kind_of(bool), args[0])
            yes, no = (
                b.cast(kind_of(d), kind, a) for d, a in zip(dtypes[1:], args[1:], strict=True)
            )
            return b.select(mask, kind.register, yes, no)
        numbers = loop_math.numbers_of(body, ins)
        return loop_math.apply(b, ins.name, dtypes, args, kind, numbers)

    def _axis(self, b: Lanes, axis: int, u: int, step: int) -> str:
        index = self.index.get(axis, 0)
        if self.pair and axis in (self.fills, self.copies):
            return self._pair_axis(b, axis, index, u)
        if axis == self.fills:
            return b.iota(index if self.tiled else self.f.add(index, u * b.n))
        if axis == self.copies:
            index = self.f.add(index, u)
        if axis == self.axes - 1:
            index = self.f.add(index, step)
        return b.literal("i64", index) if isinstance(index, int) else b.splat("i64", index)

    def _pair_axis(self, b: Lanes, axis: int, index: Value, u: int) -> str:
        lanes = range(b.n)
        places = [i % self.pair if axis == self.fills else i // self.pair for i in lanes]
        ramp = f"<{', '.join([f'i64 {p}' for p in places])}>"
        if axis == self.fills:
            return ramp
        start = self.f.add(index, u * (b.n // self.pair))
        return b.op("add", "i64", b.splat("i64", str(start)), ramp)

    # Memory

    def _load(self, b: Lanes, s: int, ins: Instruction, u: int, step: int, moved: str = "") -> str:
        buffer, offset, strides = ins.attrs
        access = (buffer, offset, self._full(strides))
        kind = kind_of(self.kernel.buffers[buffer])
        elements = self.elements(access, b.n)
        there = elements[: self.group.present] if isinstance(self.group.present, int) else elements
        stride = regular(there) if b.n > 1 else 1
        near = min(elements) >= 0 and max(elements) <= FARTHEST * b.n and b.n <= WIDEST
        if b.n > 1 and not moved and self._across(access):
            if access not in self.tiles:
                self.tiles[access] = self._read_tile(b, kind, access)
            raw = self.tiles[access][u]
        elif near and not moved and stride not in (0, 1):
            raw = self._spaced(b, kind, s, access, elements, u, step)
        else:
            place = self.place(access, u, step)
            if moved:
                place = self._moved(access, place, moved)
            count = self.group.present if b.n > 1 else None
            if stride is None:
                listed = f"<{', '.join([f'i64 {n}' for n in elements])}>"
                raw = read_at(b, kind, place, listed, count)
            else:
                raw = read(b, kind, place, stride, count)
        return b.cast(kind, kind_of(ins.dtype), b.unpacked(kind, raw))

    def _spaced(
        self,
        b: Lanes,
        kind: Kind,
        s: int,
        access: Access,
        elements: list[int],
        u: int,
        step: int,
    ) -> str:
        """Elements a few apart: all between are read, once for all steps, and these picked."""
        steps = self.group.steps
        together = not self.rows and access[2][-1] == 1 and 1 < steps <= FARTHEST
        first, span = (0, steps) if together else (step, 1)
        key = (s, access, u, first)
        if key not in self.windows:
            place, count = self.place(access, u, first), self.group.present
            self.windows[key] = window(b, kind, place, elements, span, count)
        return picked(b, kind, self.windows[key], [n + step - first for n in elements])

    def _across(self, access: Access) -> bool:
        """Whether the memory is dense along a tile's other axis."""
        strides = access[2]
        return self.tiled and strides[self.copies] == 1 and strides[self.fills] not in (0, 1, -1)

    def _read_tile(self, b: Lanes, kind: Kind, access: Access) -> list[str]:
        """A tile's vectors, read along its other axis and turned."""
        stride, count = access[2][self.fills], self.group.present
        lines = []
        for lane in range(b.n):
            if isinstance(count, int) and lane >= count:
                lines.append("zeroinitializer")
                continue
            place = self.near_by(access, lane * stride)
            lines.append(read(b, kind, place, 1, self._tile_count(b)))
        return b.turned(kind.memory, lines)

    def _tile_count(self, b: Lanes) -> int | None:
        return None if self.group.vectors == b.n else self.group.vectors

    def _write_tile(self, b: Lanes, kind: Kind, values: list[str], access: Access) -> None:
        """Writes a tile's vectors along its other axis."""
        stride, count = access[2][self.fills], self.group.present
        values = values + ["zeroinitializer"] * (b.n - len(values))
        for lane, line in enumerate(b.turned(kind.memory, values)):
            if not isinstance(count, int) or lane < count:
                place = self.near_by(access, lane * stride)
                write(b, kind, line, place, 1, self._tile_count(b))

    def _gather(self, b: Lanes, s: int, ins: Instruction, u: int, step: int) -> str:
        (check,) = ins.args
        kind = kind_of(ins.dtype)
        if any([size == 0 for size, _ in self.kernel.stages[s].body[check].attrs[1]]):
            return b.const(kind, 0)  # there is nothing to read; the status says so
        if not self.traits[s][check].vector:
            moved = self.value(s, check, u, step, 1)
            moved = Lanes(self.f, 1).extract("i64", moved, 0)
            return self._load(b, s, ins, u, step, moved)
        buffer, offset, strides = ins.attrs
        access = (buffer, offset, self._full(strides))
        stored = kind_of(self.kernel.buffers[buffer])
        elements = self.value(s, check, u, step, b.n)
        moves = self.elements(access, b.n)
        if any(moves):
            listed = f"<{', '.join([f'i64 {n}' for n in moves])}>"
            elements = b.op("add", "i64", elements, listed)
        raw = read_at(b, stored, self.place(access, u, step), elements, self.group.present)
        return b.cast(stored, kind, b.unpacked(stored, raw))

    def _check(self, b: Lanes, ins: Instruction, kinds: list[Kind], args: list[str]) -> str:
        """How far an element is moved by its indices; a bad one moves by 0 and sets the status."""
        buffer, sizes = ins.attrs
        total, good = "zeroinitializer", b.literal("i1", "true")
        for (size, stride), kind, arg in zip(sizes, kinds, args, strict=True):
            index = b.cast(kind, INT64, arg)
            if kind.family == "i":
                more = b.op("add", "i64", index, b.literal("i64", size))
                negative = b.compare("slt", INT64, index, "zeroinitializer")
                index = b.select(negative, "i64", more, index)
            inside = b.compare("ult", INT64, index, b.literal("i64", size))
            good = b.op("and", "i1", good, inside)
            index = b.select(inside, "i64", index, "zeroinitializer")
            moved = b.op("mul", "i64", index, b.literal("i64", stride))
            total = b.op("add", "i64", total, moved)
        bad = b.op("xor", "i1", good, b.literal("i1", "true"))
        if b.n > 1 and self.group.present is not None:
            bad = b.op("and", "i1", bad, b.first(self.group.present))
        with self.f.when(b.any(bad)):
            status = self.word("ptr", len(self.kernel.buffers) + self.kernel.numbers)
            self.f.store("i64", 1 + buffer, status)
        return total

    def stores(self, s: int) -> None:
        """Writes a stage's results."""
        group = self.group
        for t in self.kernel.stages[s].stores:
            access = (t.buffer, t.offset, self._full(t.strides))
            source = kind_of(self.kernel.stages[s].body[t.value].dtype)
            kind = kind_of(self.kernel.buffers[t.buffer])
            b = Lanes(self.f, group.lanes)
            copies = [(u, step) for u in range(group.vectors) for step in range(group.steps)]
            values = [b.cast(source, kind, self.value(s, t.value, *c, b.n)) for c in copies]
            values = [b.packed(kind, v) for v in values]
            if b.n > 1 and self._across(access):
                self._write_tile(b, kind, values, access)
                continue
            stride = regular(self.elements(access, b.n)) if b.n > 1 else 1
            assert stride is not None, "pairs of axes are dense where they are stored"
            if 1 < stride == group.steps <= FARTHEST and access[2][-1] == 1:
                for u in range(group.vectors):
                    several = values[u * stride : (u + 1) * stride]
                    write_together(b, kind, several, self.place(access, u, 0), group.present)
                continue
            for (u, step), value in zip(copies, values, strict=True):
                write(b, kind, value, self.place(access, u, step), stride, group.present)
