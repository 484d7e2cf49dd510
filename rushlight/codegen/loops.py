"""Fused loops: LLVM IR for the kernels of ``compiler/loops.py``.

In: `Kernel`s. Out: `module`, LLVM IR with a function ``void name(ptr block, i64 part, i64 parts)``
for each, written for the host's vectors and for the kernel's sizes. Either the last inner axis
fills the vectors (rows: softmax) or the last outer one (columns: elementwise kernels, sums down a
column). What does not change in a loop is computed outside of it. Parts take neighbouring outer
positions or blocks of vectors; what a result is does not depend on them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, NamedTuple

from rushlight.codegen import engine, loop_math
from rushlight.codegen.loop_body import Body, Group
from rushlight.codegen.loop_declare import declarations
from rushlight.codegen.loop_lanes import Lanes, Partial, kind_of
from rushlight.codegen.loop_memory import FARTHEST
from rushlight.codegen.loop_reduce import Reduction
from rushlight.codegen.loop_shape import (
    collapse,
    instruction_cost,
    lanes_for,
    paired,
    tiled,
    vector_axis,
)
from rushlight.compiler.kernels.emit import Function, Value
from rushlight.compiler.loops import Kernel, Stage

__all__ = ["module", "supports"]

PARAMETERS = (("ptr", "block"), ("i64", "part"), ("i64", "parts"))
_CHAIN = 64  # additions in a row to one accumulator of a float sum
_BLOCK = 32  # steps of a block where there would be more
_UNROLLED = 160  # instructions of a short inner axis at most that is written out
_TILE = 8
_HEAVY = 18  # instructions of a body that should stand only once
_IN_ORDER = 16  # terms of a sum down a column that are added one after another, as PyTorch does
_MANY_ROWS = 16  # from here on parts take whole rows
_ARG = ("argmax", "argmin")


def supports(kernel: Kernel) -> bool:
    """Whether loops can be made of this kernel: its types and functions are known here."""
    try:
        for dtype in kernel.buffers:
            kind_of(dtype)
        return all([_stage_supported(stage) for stage in kernel.stages])
    except NotImplementedError:
        return False


def _stage_supported(stage: Stage) -> bool:
    for ins in stage.body:
        kind_of(ins.dtype)
        if ins.name in ("load", "gather", "const", "number", "axis", "reduced", "where", "cast"):
            continue
        dtypes = tuple([stage.body[a].dtype for a in ins.args])
        if not loop_math.supports(ins.name, dtypes, loop_math.numbers_of(stage.body, ins)):
            return False
    return all([_reduce_supported(r.name, r.dtype) for r in stage.reduces])


def _reduce_supported(name: str, dtype: Any) -> bool:
    plain = ("add", "multiply", "maximum", "minimum", "logical_or", "logical_and", *_ARG)
    return name in plain and (name not in ("logical_or", "logical_and") or dtype.kind == "b")


def module(kernels: Sequence[tuple[str, Kernel]]) -> str:
    """LLVM IR of functions of these names for these kernels.

    Raises:
        NotImplementedError: a kernel for which `supports` is false.
    """
    text = "\n".join([_function(name, kernel) for name, kernel in kernels])
    return declarations(text) + text


def _function(name: str, kernel: Kernel) -> str:
    f = Function(name, PARAMETERS)
    if math.prod(kernel.outer) == 0:
        return f.text()
    ready = collapse(kernel)
    lanes = lanes_for(ready, engine.host().vector_bytes)
    tiles = tiled(ready, lanes)
    if tiles is not None:
        _Tiles(f, tiles, lanes).write()
    else:
        pair = paired(ready, lanes)
        if vector_axis(ready, lanes, pair):
            _Rows(f, ready, lanes).write()
        else:
            _Columns(f, ready, lanes, pair).write()
    return f.text()


def _power_above(n: int) -> int:
    return 1 << (n - 1).bit_length() if n > 1 else 1


class _Loops:
    """A kernel's function under construction: what rows and columns have in common."""

    def __init__(
        self,
        f: Function,
        kernel: Kernel,
        rows: bool,
        lanes: int,
        tiled: bool = False,
        pair: int = 0,
    ) -> None:
        self.f, self.kernel = f, kernel
        self.body = Body(f, kernel, rows, tiled, pair)
        self.costs = [self._cost(s, lanes) for s in range(len(kernel.stages))]

    def _cost(self, s: int, lanes: int) -> int:
        """About how many instructions a stage's innermost loop has for each vector."""
        traits, depth = self.body.traits[s], self.body.innermost(s)
        return sum(
            [
                instruction_cost(ins, kind_of(ins.dtype), lanes)
                for ins, trait in zip(self.kernel.stages[s].body, traits, strict=True)
                if trait.depth == depth
            ]
        )

    # Parts

    def share(self, total: int) -> tuple[Value, Value]:
        """The range of this part, of so many things."""
        f = self.f
        size, _ = f.divide(f.add(total - 1, "%parts"), "%parts")
        start = f.least(f.mul("%part", size), total)
        return start, f.least(f.add(start, size), total)

    @contextmanager
    def only(self, part: Value) -> Iterator[None]:
        """What one of the parts does."""
        with self.f.when(self.f.compare("eq", "%part", part)):
            yield

    def positions(self, axes: int, start: Value, stop: Value, body: Callable[[], None]) -> None:
        """Runs a body for a range of positions along the first outer axes."""
        sizes = self.kernel.outer[:axes]
        if math.prod(sizes) == 1:
            body()
            return
        with self.f.loop(start, stop) as flat:
            indices: dict[int, Value] = {}
            rest: Value = flat
            for axis in range(axes - 1, 0, -1):
                rest, indices[axis] = self.f.divide(rest, sizes[axis])
            indices[0] = rest
            with self.body.inside(indices):
                body()

    def partial(self, length: int, start: Value, lanes: int) -> Partial:
        """How much there is of a vector that starts here."""
        last = length // lanes * lanes
        return Partial(self.f.compare("eq", start, last), length - last)

    # Loops that carry accumulators

    def repeat(
        self,
        start: Value,
        stop: Value,
        step: int,
        accumulators: _Accumulators,
        carried: list[str],
        body: Callable[[Value, list[str]], list[str]],
    ) -> list[str]:
        """A loop that runs at least once."""
        f = self.f
        loop = f.begin([("i64", start), *zip(accumulators.types, carried, strict=True)])
        index, *values = loop.values
        after = body(index, values)
        following = f.add(index, step)
        f.end_if(loop, f.compare("slt", following, stop), [following, *after])
        return after

    def blocks(
        self,
        trips: int,
        accumulators: _Accumulators,
        carried: list[str],
        body: Callable[[Value, list[str]], list[str]],
    ) -> list[str]:
        """`body(k, carried)` for k from 0 to trips; float sums in blocks if there are many."""
        if trips == 0:
            return carried
        if trips == 1:
            return body(0, carried)
        size = 1
        if accumulators.additive and trips > _CHAIN:
            while size * _BLOCK < trips:
                size *= _BLOCK
        return self._walk(0, trips, size, accumulators, carried, body)

    def _walk(
        self,
        start: Value,
        stop: Value,
        size: int,
        accumulators: _Accumulators,
        carried: list[str],
        body: Callable[[Value, list[str]], list[str]],
    ) -> list[str]:
        if size == 1:
            return self.repeat(start, stop, 1, accumulators, carried, body)

        def block(index: Value, carried: list[str]) -> list[str]:
            end = self.f.least(self.f.add(index, size), stop)
            fresh = accumulators.fresh(carried)
            part = self._walk(index, end, size // _BLOCK, accumulators, fresh, body)
            return accumulators.added(carried, part)

        return self.repeat(start, stop, size, accumulators, carried, block)

    def middle(
        self,
        stage: int,
        axis: int,
        chain: int,
        accumulators: _Accumulators,
        carried: list[str],
        innermost: Callable[[list[str]], list[str]],
    ) -> list[str]:
        """The loops over all inner axes but the last, from this inner axis on.

        Args:
            chain: additions in a row to an accumulator in one innermost loop.
        """
        kernel, count = self.kernel, len(self.kernel.inner)
        if axis >= count - 1:
            return innermost(carried)
        trips = kernel.inner[axis]
        within = chain * math.prod(kernel.inner[axis + 1 : count - 1])
        fresh = accumulators.additive and within > 8 and within * trips > _CHAIN

        def body(index: Value, carried: list[str]) -> list[str]:
            start = accumulators.fresh(carried) if fresh else carried
            with self.body.inside({len(kernel.outer) + axis: index}, stage):
                self.body.instructions(stage, 2 + axis)
                part = self.middle(stage, axis + 1, chain, accumulators, start, innermost)
            return accumulators.added(carried, part) if fresh else part

        return self.blocks(trips, accumulators, carried, body)


class _Accumulators:
    """What a stage carries round its loops: some vectors for each reduction.

    Args:
        copies: how many accumulators each reduction has.
        firsts: for arg reductions, the positions from which each copy's lanes start.
    """

    def __init__(
        self, f: Function, lanes: int, reductions: list[Reduction], firsts: Sequence[str]
    ) -> None:
        self.b = Lanes(f, lanes)
        self.reductions = reductions
        self.copies = len(firsts)
        self.firsts = firsts
        self.types = [t for r in reductions for _ in firsts for t in r.types(lanes)]
        self.additive = any([r.additive for r in reductions])

    def start(self) -> list[str]:
        """The first values."""
        return [p for r in self.reductions for first in self.firsts for p in r.start(self.b, first)]

    def split(self, carried: list[str]) -> list[list[list[str]]]:
        """By reduction and copy."""
        found: list[list[list[str]]] = []
        place = 0
        for r in self.reductions:
            width = 2 if r.arg else 1
            ends = range(place, place + self.copies * width, width)
            found.append([carried[i : i + width] for i in ends])
            place += self.copies * width
        return found

    def fresh(self, carried: list[str]) -> list[str]:
        """What a block of a float sum starts from; other reductions go on."""
        found = [
            r.start(self.b) if r.additive else parts
            for r, copies in zip(self.reductions, self.split(carried), strict=True)
            for parts in copies
        ]
        return [p for parts in found for p in parts]

    def added(self, carried: list[str], block: list[str]) -> list[str]:
        """The float sums with a block's added."""
        found: list[str] = []
        pairs = zip(self.split(carried), self.split(block), strict=True)
        for r, (before, now) in zip(self.reductions, pairs, strict=True):
            for old, new in zip(before, now, strict=True):
                found += r.merge(self.b, old, new) if r.additive else new
        return found

    def joined(self, parts: list[list[str]], r: Reduction) -> list[str]:
        """Copies of one reduction as one: neighbours, then their results, and so on."""
        while len(parts) > 1:
            pairs = [parts[i : i + 2] for i in range(0, len(parts), 2)]
            parts = [r.merge(self.b, *p) if len(p) == 2 else p[0] for p in pairs]
        return parts[0]


class _Split(NamedTuple):
    """An axis cut in steps: `main` times `copies` of them in a loop, then `rest` one by one.

    If `masked`, the last step may be shorter than the others.
    """

    copies: int
    main: int
    rest: int
    masked: bool = False


def _split(steps: int, wanted: int) -> _Split:
    if steps <= 2 * wanted:
        return _Split(max(steps, 1), min(steps, 1), 0)
    while wanted > 2 and steps % wanted and steps < 8 * wanted:
        wanted //= 2
    return _Split(wanted, steps // wanted, steps % wanted)


def _copies(cost: int, reduces: bool) -> int:
    """How many steps stand in one round of a loop."""
    if not reduces:
        return 2 if cost <= 10 else 1
    return 4 if cost <= 6 else 2 if cost <= 30 else 1


def _columns_copies(cost: int, reduces: bool, steps: int) -> int:
    """How many neighbouring vectors go down the columns together, at least a quarter of a line."""
    most = 8 if reduces and cost <= 2 else _copies(cost, reduces)
    most = max(min(most, steps // 4), 1)
    return next((n for n in range(most, most // 2, -1) if steps % n == 0), most)


def _masked(cost: int, length: int, lanes: int) -> _Split | None:
    """One loop for all vectors, the shorter last one included, where a second body costs more.

    Compiling a body of vector mathematics takes milliseconds; a branch at its loads and stores
    costs next to nothing.
    """
    if cost < _HEAVY or length < lanes or length % lanes == 0:
        return None
    return _Split(1, length // lanes + 1, 0, masked=True)


class _Rows(_Loops):
    """The last inner axis fills the vectors; outer positions come one by one."""

    def __init__(self, f: Function, kernel: Kernel, lanes: int) -> None:
        super().__init__(f, kernel, True, lanes)
        self.length = kernel.inner[-1]
        self.lanes = min(lanes, _power_above(self.length))
        tail = self.length % self.lanes
        self.tail_lanes = _power_above(tail)
        self.body.widths = {self.lanes, self.tail_lanes} if tail else {self.lanes}

    def write(self) -> None:
        """The function's body."""
        total = math.prod(self.kernel.outer)
        self.body.enter()
        if total == 1:
            with self.only(0):
                self.position()
        else:
            self.positions(len(self.kernel.outer), *self.share(total), self.position)

    def position(self) -> None:
        """One outer position: all stages."""
        for s, stage in enumerate(self.kernel.stages):
            self.body.group = Group(1, None, 1, 1)
            self.body.instructions(s, 0)
            if stage.inner:
                self.walk(s)
            else:
                self.body.stores(s)

    def walk(self, s: int) -> None:
        """A stage's loops, and its results."""
        stage = self.kernel.stages[s]
        steps = self.length // self.lanes
        split = _masked(self.costs[s], self.length, self.lanes)
        if split is None:
            split = _split(steps, _copies(self.costs[s], bool(stage.reduces)))
        reductions = [Reduction(r, stage.body[r.value].dtype) for r in stage.reduces]
        copies = split.copies if steps else 1
        firsts = [Lanes(self.f, self.lanes).iota(c * self.lanes) for c in range(copies)]
        accumulators = _Accumulators(self.f, self.lanes, reductions, firsts)

        def innermost(carried: list[str]) -> list[str]:
            return self.innermost(s, split, accumulators, carried)

        carried = accumulators.start()
        if math.prod(self.kernel.inner):
            chain = min(split.main, _BLOCK) + 1
            carried = self.middle(s, 0, chain, accumulators, carried, innermost)
        for i, (r, parts) in enumerate(zip(reductions, accumulators.split(carried), strict=True)):
            whole = r.across(accumulators.b, accumulators.joined(parts, r))
            self.body.set_reduced(s, i, [r.finish(Lanes(self.f, 1), whole)])

    def innermost(
        self, s: int, split: _Split, accumulators: _Accumulators, carried: list[str]
    ) -> list[str]:
        """The last inner axis: rounds of several vectors, single vectors, the end."""
        lanes = self.lanes

        def some(copies: int, offset: int) -> Callable[[Value, list[str]], list[str]]:
            def body(k: Value, carried: list[str]) -> list[str]:
                start = self.f.add(self.f.mul(k, split.copies * lanes), offset)
                count = self.partial(self.length, start, lanes) if split.masked else None
                return self.vectors(s, start, Group(lanes, count, copies, 1), accumulators, carried)

            return body

        carried = self.blocks(split.main, accumulators, carried, some(split.copies, 0))
        done = split.main * split.copies
        if split.rest:
            carried = some(split.rest, done * lanes)(0, carried)
            done += split.rest
        tail = self.length - done * lanes
        if tail > 0:
            width = lanes if accumulators.reductions else self.tail_lanes
            group = Group(width, tail if tail < width else None, 1, 1)
            carried = self.vectors(s, done * lanes, group, accumulators, carried)
        return carried

    def vectors(
        self,
        s: int,
        start: Value,
        group: Group,
        accumulators: _Accumulators,
        carried: list[str],
    ) -> list[str]:
        """Some neighbouring vectors: instructions, stores, and a step of each reduction."""
        axis = len(self.kernel.outer) + len(self.kernel.inner) - 1
        self.body.group = group
        with self.body.inside({axis: start}, s):
            self.body.instructions(s, self.body.innermost(s))
            self.body.stores(s)
            b = Lanes(self.f, group.lanes)
            found: list[str] = []
            for r, copies in zip(accumulators.reductions, accumulators.split(carried), strict=True):
                for c, parts in enumerate(copies):
                    if c < group.vectors:
                        place = b.iota(self.f.add(start, c * group.lanes)) if r.arg else ""
                        value = self.body.value(s, r.value, c, 0, group.lanes)
                        parts = r.step(b, parts, value, place, group.present)
                    found += parts
        return found


class _Columns(_Loops):
    """The last outer axis fills the vectors; inner axes, if any, are walked step by step.

    Args:
        pair: the last outer axis's size, if vectors hold several positions of the one before.
    """

    def __init__(self, f: Function, kernel: Kernel, lanes: int, pair: int) -> None:
        if not kernel.outer:
            kernel = _with_an_axis(kernel)
        super().__init__(f, kernel, False, lanes, pair=pair)
        self.axis = len(kernel.outer) - (2 if pair else 1)  # along which vectors follow each other
        self.length = math.prod(kernel.outer[self.axis :])
        self.lanes = min(lanes, _power_above(self.length))
        self.each = self.lanes // pair if pair else self.lanes  # positions along it in a vector
        self.used = self.each * pair if pair else self.lanes  # lanes
        self.walked = any([s.inner for s in kernel.stages])
        steps = self.length // self.used
        cost = max([self.costs[s] * self.unrolled(s) for s in range(len(kernel.stages))])
        split = None if pair else _masked(cost, self.length, self.lanes)
        if split is None:
            wanted = _columns_copies(max(self.costs), self.walked, steps)
            split = _Split(wanted, steps // wanted, steps % wanted)
        self.split = split
        tail = self.length % self.lanes
        self.tail_lanes = self.lanes if pair else _power_above(tail)
        self.body.widths = {self.lanes, self.tail_lanes} if tail else {self.lanes}

    def unrolled(self, s: int) -> int:
        """How many steps of a stage's last inner axis are written out: all if few, else 1."""
        inner = self.kernel.inner if self.kernel.stages[s].inner else ()
        short = inner and inner[-1] <= FARTHEST and inner[-1] * self.costs[s] <= _UNROLLED
        return inner[-1] if short and self.body.interleaved(s) else 1

    def group(self, vectors: int, count: int | Partial | None = None) -> Group:
        """Some whole vectors."""
        if count is None and self.used < self.lanes:
            count = self.used
        return Group(self.lanes, count, vectors, 1)

    def write(self) -> None:
        """The function's body."""
        axes = self.axis
        rows = math.prod(self.kernel.outer[:axes])
        main = self.split.main
        self.body.group = self.group(1)
        self.body.enter()
        if rows >= _MANY_ROWS or (main < 2 and rows > 1):
            start, stop = self.share(rows)
            self.positions(axes, start, stop, lambda: self.row((0, main), None))
        elif main < 2:
            with self.only(0):
                self.row((0, main), None)
        else:
            bounds = self.share(main)
            last = self.f.sub("%parts", 1)
            self.positions(axes, 0, rows, lambda: self.row(bounds, last))

    def row(self, bounds: tuple[Value, Value], last: Value | None) -> None:
        """One position of the other outer axes: blocks of vectors, single vectors, the end.

        Args:
            last: the part that does what follows the blocks; None if this one does.
        """
        self.body.group = self.group(1)
        for s in range(len(self.kernel.stages)):
            self.body.instructions(s, 0)
        copies, main, rest, masked = self.split
        if bounds == (0, 1):
            self.chunk(0, self.group(copies))
        elif main:
            with self.f.loop(*bounds) as block:
                start = self.f.mul(block, copies * self.each)
                count = self.partial(self.length, start, self.lanes) if masked else None
                self.chunk(start, self.group(copies, count))
        done = main * copies
        if last is None:
            self.ends(done, rest)
        elif rest or done * self.used < self.length:
            with self.only(last):
                self.ends(done, rest)

    def ends(self, done: int, rest: int) -> None:
        """What follows the blocks."""
        if rest:
            self.chunk(done * self.each, self.group(rest))
        done += rest
        tail = self.length - done * self.used
        if tail > 0:
            count = tail if tail < self.tail_lanes else None
            self.chunk(done * self.each, Group(self.tail_lanes, count, 1, 1))

    def chunk(self, start: Value, group: Group) -> None:
        """Some neighbouring vectors of outer positions: all stages."""
        with self.body.inside({self.axis: start}):
            for s, stage in enumerate(self.kernel.stages):
                self.body.group = group
                self.body.instructions(s, 1)
                if stage.inner:
                    self.walk(s, group)
                else:
                    self.body.stores(s)

    def walk(self, s: int, group: Group) -> None:
        """A stage's loops, and its results."""
        stage, inner = self.kernel.stages[s], self.kernel.inner
        trips = inner[-1] if inner else 1
        wanted = max(_copies(self.costs[s], bool(stage.reduces)) // group.vectors, 1)
        split = _split(trips, wanted)
        if self.unrolled(s) > 1:
            split = _Split(trips, 1, 0)
        reductions = [Reduction(r, stage.body[r.value].dtype) for r in stage.reduces]
        in_order = math.prod(inner) <= _IN_ORDER and all([r.additive for r in reductions])
        each = 1 if in_order else split.copies
        b = Lanes(self.f, group.lanes)
        firsts = [b.literal("i64", k) for _ in range(group.vectors) for k in range(each)]
        accumulators = _Accumulators(self.f, group.lanes, reductions, firsts)

        def innermost(carried: list[str]) -> list[str]:
            return self.innermost(s, split, accumulators, group, carried)

        carried = accumulators.start()
        if math.prod(inner):
            chain = min(split.main, _BLOCK) + 1
            carried = self.middle(s, 0, chain, accumulators, carried, innermost)
        for i, (r, parts) in enumerate(zip(reductions, accumulators.split(carried), strict=True)):
            found = []
            for u in range(group.vectors):
                mine = parts[u * each : (u + 1) * each]
                found.append(r.finish(b, accumulators.joined(mine, r)))
            self.body.set_reduced(s, i, found)

    def innermost(
        self,
        s: int,
        split: _Split,
        accumulators: _Accumulators,
        group: Group,
        carried: list[str],
    ) -> list[str]:
        """The last inner axis, several steps in a round."""

        def some(steps: int, offset: int) -> Callable[[Value, list[str]], list[str]]:
            def body(k: Value, carried: list[str]) -> list[str]:
                start = self.f.add(self.f.mul(k, split.copies), offset)
                here = group._replace(steps=steps)
                return self.steps(s, start, here, accumulators, carried)

            return body

        carried = self.blocks(split.main, accumulators, carried, some(split.copies, 0))
        if split.rest:
            carried = some(split.rest, split.main * split.copies)(0, carried)
        return carried

    def steps(
        self,
        s: int,
        start: Value,
        group: Group,
        accumulators: _Accumulators,
        carried: list[str],
    ) -> list[str]:
        """Some steps along the last inner axis: instructions, stores, reductions."""
        self.body.group = group
        where = {len(self.kernel.outer) + len(self.kernel.inner) - 1: start}
        with self.body.inside(where if self.kernel.inner else {}, s):
            self.body.instructions(s, self.body.innermost(s))
            self.body.stores(s)
            b = Lanes(self.f, group.lanes)
            each = accumulators.copies // group.vectors
            found: list[str] = []
            for r, copies in zip(accumulators.reductions, accumulators.split(carried), strict=True):
                for c, parts in enumerate(copies):
                    u, first = divmod(c, each)
                    for step in range(first, group.steps, each):
                        at = self.f.add(start, step)
                        place = b.splat("i64", str(at)) if r.arg else ""
                        value = self.body.value(s, r.value, u, step, group.lanes)
                        parts = r.step(b, parts, value, place)
                    found += parts
        return found


class _Tiles(_Loops):
    """An elementwise kernel in squares of the last two outer axes: copies that turn matrices.

    Squares of 16 are no faster than of 8 and take four times as long to compile.
    """

    def __init__(self, f: Function, kernel: Kernel, lanes: int) -> None:
        super().__init__(f, kernel, False, lanes, tiled=True)
        self.lines, self.length = kernel.outer[-2:]
        self.lanes = min(lanes, _TILE, _power_above(self.length))
        self.body.widths = {self.lanes}

    def write(self) -> None:
        """The function's body; parts take positions of the other axes, or bands of lines."""
        axes = len(self.kernel.outer) - 2
        others = math.prod(self.kernel.outer[:axes])
        bands = self.lines // self.lanes
        self.body.enter()
        if others >= _MANY_ROWS or (bands < 2 and others > 1):
            self.positions(axes, *self.share(others), lambda: self.bands(0, bands, None))
        elif bands < 2:
            with self.only(0):
                self.bands(0, bands, None)
        else:
            share, last = self.share(bands), self.f.sub("%parts", 1)
            self.positions(axes, 0, others, lambda: self.bands(*share, last))

    def bands(self, start: Value, stop: Value, last: Value | None) -> None:
        """One position of the other axes.

        Args:
            last: the part that does what is less than a band; None if this one does.
        """
        self.body.instructions(0, 0)
        done = self.lines // self.lanes * self.lanes
        if done:
            with self.f.loop(start, stop) as band:
                self.band(self.f.mul(band, self.lanes), self.lanes)
        if done < self.lines:
            with nullcontext() if last is None else self.only(last):
                self.band(done, self.lines - done)

    def band(self, line: Value, lines: int) -> None:
        """Some lines: tiles from end to end."""
        whole = self.length // self.lanes
        if whole:
            with self.f.loop(0, whole) as tile:
                self.tile(line, self.f.mul(tile, self.lanes), Group(self.lanes, None, lines, 1))
        rest = self.length - whole * self.lanes
        if rest:
            self.tile(line, whole * self.lanes, Group(self.lanes, rest, lines, 1))

    def tile(self, line: Value, start: Value, group: Group) -> None:
        """One tile."""
        self.body.group = group
        axes = len(self.kernel.outer)
        with self.body.inside({axes - 2: line, axes - 1: start}):
            self.body.instructions(0, 1)
            self.body.stores(0)


def _with_an_axis(kernel: Kernel) -> Kernel:
    """A kernel of one position with an outer axis of size 1."""

    def wider(stage: Stage) -> Stage:
        body = []
        for ins in stage.body:
            if ins.name in ("load", "gather"):
                buffer, offset, strides = ins.attrs
                ins = ins._replace(attrs=(buffer, offset, (0, *strides)))
            elif ins.name == "axis":
                ins = ins._replace(attrs=(ins.attrs[0] + 1,))
            body.append(ins)
        stores = tuple([t._replace(strides=(0, *t.strides)) for t in stage.stores])
        return stage._replace(body=tuple(body), stores=stores)

    return kernel._replace(outer=(1,), stages=tuple([wider(s) for s in kernel.stages]))
