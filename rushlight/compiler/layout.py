"""A program's words: head, steps, argument blocks, and the lists of what is set at each run.

In: a schedule and the addresses of its kernels.  Out: a `Layout`, whose head `codegen/driver.py`
runs.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.codegen import driver as native
from rushlight.codegen.bound import SCRATCH
from rushlight.compiler.outside import memory_at, word_at
from rushlight.compiler.plan import check, plan
from rushlight.compiler.schedule import Schedule
from rushlight.compiler.simplify import MUST_CHECK
from rushlight.compiler.steps import CallStep, Home, LoopStep, Memory, Place, PythonStep, Step
from rushlight.compiler.work import nanoseconds, shared
from rushlight.runtime.storage import aligned_bytes

__all__ = ["Layout"]

_TOGETHER = 50_000.0  # nanoseconds of work that can be shared from which waking threads pays


class _Head(np.ndarray[Any, Any]):
    """An array that can hold a reference."""

    keep: Any = None


class Layout:
    """A program's words: head, steps, argument blocks, and the lists of what is set at each run."""

    def __init__(
        self, made: Schedule, functions: list[int], threads: int, table: Any, numbers: Any
    ) -> None:
        self.threads = threads
        self.table, self.numbers = table, numbers
        self.objects = native.driver().objects
        self.plan = plan(made.steps)
        if MUST_CHECK:
            check(made.steps, self.plan)
        self.nbytes = self.plan.nbytes
        self.arena = aligned_bytes(max(self.nbytes, 64))
        self.start = int(self.arena.ctypes.data)
        self.blocks: list[Any] = []  # int64 arrays
        self.launches: list[tuple[int, int, int]] = []  # kernel, block, parts
        self.moves: list[tuple[int, int, int]] = []  # address of a word, slot, offset
        self.number_moves: list[tuple[int, int]] = []
        self.zeros: list[int] = []
        self.bads: list[int] = []
        self.keep: list[Any] = []
        self.head: Any = aligned_bytes(8 * len(native.WORDS)).view(np.int64).view(_Head)
        self.head[:] = 0
        self.status = int(self.head.ctypes.data) + 8 * native.WORDS.index("status")
        self.ranges: list[tuple[int, int]] = []
        for step, function in zip(made.steps, functions, strict=True):
            first = len(self.launches)
            if isinstance(step, LoopStep):
                self.loop(step, function)
            elif isinstance(step, CallStep):
                self.call(step)
            self.ranges.append((first, len(self.launches)))
        both = zip(made.steps, self.ranges, strict=True)
        several = [s for s, (a, b) in both if any([x[2] > 1 for x in self.launches[a:b]])]
        self.together = sum([nanoseconds(s) for s in several]) >= _TOGETHER
        self.count_words = native.claim_words(max([x[2] for x in self.launches], default=1))
        self.flags = self.find_flags(made.steps)
        self.segments = self.cut(made.steps)
        self.write()
        # whoever can run the program keeps its memory
        self.head.keep = (self.arena, self.blocks, self.keep, table, numbers)

    def loop(self, step: LoopStep, kernel: int) -> None:
        """A generated kernel's argument block."""
        count = len(step.places)
        block = np.zeros(count + len(step.numbers) + 1, np.int64)
        start = int(block.ctypes.data)
        for i, place in enumerate(step.places):
            self.put(block, i, place)
        for i, number in enumerate(step.numbers):
            self.number_moves.append((start + 8 * (count + i), number))
        block[-1] = self.status
        self.blocks.append(block)
        threads = self.threads
        self.launches.append((kernel, start, threads if shared(step) else 1))

    def call(self, step: CallStep) -> None:
        """The argument blocks of ready-made kernels."""
        for bound in step.bounds:
            block = np.array(bound.block, np.int64)
            start = int(block.ctypes.data)
            for word, operand, offset in bound.operands:
                if operand == SCRATCH:
                    assert step.scratch is not None
                    self.put(block, word, Place(step.scratch, offset))
                    continue
                place = step.places[operand]
                if place is not None:
                    self.put(block, word, Place(place.memory, place.offset + offset))
                else:
                    block[word] = 0
            for word, other in bound.own:
                block[word] = start + 8 * other
            self.zeros.extend([start + 8 * word for word in bound.zeros])
            if bound.bad >= 0:
                self.bads.append(start + 8 * bound.bad)
            self.blocks.append(block)
            self.keep.append(bound)
            self.launches.append((bound.kernel, start, min(bound.parts, self.threads)))

    def put(self, block: Any, word: int, place: Place) -> None:
        """Lets a word of a block be an address."""
        if place.memory.kind == "slot":
            at = int(block.ctypes.data) + 8 * word
            self.moves.append((at, place.memory.slot, place.offset))
        else:
            block[word] = self.address(place.memory) + place.offset

    def address(self, memory: Memory) -> int:
        """Where a temporary or a constant lies."""
        if memory.kind == "temp":
            return self.start + self.plan.offsets[memory]
        self.keep.append(memory.array)
        return int(memory.array.ctypes.data)

    def array(self, home: Home, like: Any) -> Any:
        """The array that lies somewhere, with the shape and dtype of `like`."""
        memory = home.memory
        offset = home.offset * like.dtype.itemsize
        if memory.kind == "slot":
            start = int(self.table[memory.slot])
            if self.objects:
                start = word_at(start + native.DATA)
        else:
            start = self.address(memory)
        return memory_at(start + offset, like.shape, like.dtype, home.strides, self.arena)

    def find_flags(self, steps: tuple[Step, ...]) -> list[int]:
        """The flags of each launch: where threads wait, where a failed check ends the run."""
        flags = [0] * len(self.launches)
        since: list[tuple[set[Any], set[Any]]] = []  # reads, writes
        for step, (first, last) in zip(steps, self.ranges, strict=True):
            reads, writes = self.ranges_of(step.reads), self.ranges_of(step.writes)
            for i in range(first, last):
                waits = i > first
                for r, w in since:
                    if _touch(w, reads) or _touch(r, writes) or _touch(w, writes):
                        waits = True
                if i == first and step.stop:
                    flags[i] |= native.STOP
                    waits = True
                if waits:
                    flags[i] |= native.BARRIER
                    since.clear()
                since.append((reads, writes))
        return flags

    def ranges_of(self, memories: frozenset[Memory]) -> set[Any]:
        """What memories occupy: of temporaries a range of the arena, of slots the slot."""
        found: set[Any] = set()
        for m in memories:
            if m.kind == "temp":
                start = self.plan.offsets[m]
                found.add((start, start + m.nbytes))
            elif m.kind == "slot":
                found.add(m)
        return found

    def cut(self, steps: tuple[Step, ...]) -> list[tuple[int, int, PythonStep | None]]:
        """Runs of native launches, and the Python steps between them."""
        segments: list[tuple[int, int, PythonStep | None]] = [(0, 0, None)]
        for step, (first, last) in zip(steps, self.ranges, strict=True):
            if isinstance(step, PythonStep):
                segments.append((first, last, step))
            elif segments[-1][2] is None:
                segments[-1] = (segments[-1][0], last, None)
            else:
                segments.append((first, last, None))
        return segments

    def write(self) -> None:
        """Fills the head and the lists."""
        steps = [
            (kernel, block, parts, flag)
            for (kernel, block, parts), flag in zip(self.launches, self.flags, strict=True)
        ]
        table, numbers = self.table, self.numbers
        lists = [
            self.list_of(x) for x in (steps, self.moves, self.number_moves, self.zeros, self.bads)
        ]
        values = dict(
            steps=lists[0], first=0, last=0, count=len(steps), moves=lists[1],
            move_count=len(self.moves), numbers_moved=lists[2],
            numbers_count=len(self.number_moves), zeros=lists[3], zero_count=len(self.zeros),
            bads=lists[4], bad_count=len(self.bads), table=int(table.ctypes.data),
            numbers=int(numbers.ctypes.data), objects=int(self.objects), status=0,
            counts=self.counts(len(steps)), count_words=self.count_words,
            make_int=native.driver().make_int,
        )  # fmt: skip
        for i, name in enumerate(native.WORDS):
            self.head[i] = values[name]

    def counts(self, steps: int) -> int:
        """Room for the steps' counts, each on its own cache lines."""
        memory = aligned_bytes(8 * self.count_words * max(steps, 1))
        self.keep.append(memory)
        return int(memory.ctypes.data)

    def list_of(self, rows: list[Any]) -> int:
        array = np.array(rows or [0], np.int64)
        self.keep.append(array)
        return int(array.ctypes.data)


def _touch(a: set[Any], b: set[Any]) -> bool:
    """Whether two sets of memory have something in common."""
    if a & b:
        return True
    ranges = [x for x in b if isinstance(x, tuple)]
    return any([x[0] < y[1] and y[0] < x[1] for x in a if isinstance(x, tuple) for y in ranges])
