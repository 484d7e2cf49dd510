"""A program: a graph made ready to run again and again by one native call.

In: a graph.  Out: a `Program`, with a table of the arrays outside and run-time numbers to be set
before each run.  Kernels are compiled together in one module; argument blocks are laid out once;
temporaries lie in one arena.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
import weakref
from typing import Any

import numpy as np

from rushlight.codegen import driver as native
from rushlight.codegen import engine, loops
from rushlight.codegen import threads as pools
from rushlight.codegen.bound import SCRATCH
from rushlight.compiler import reference
from rushlight.compiler.outside import memory_at, word_at
from rushlight.compiler.plan import check, plan
from rushlight.compiler.schedule import Schedule, schedule
from rushlight.compiler.steps import CallStep, Home, LoopStep, Memory, Place, PythonStep, Step
from rushlight.compiler.work import nanoseconds, shared
from rushlight.ir.graph import Graph
from rushlight.runtime.storage import aligned_bytes

__all__ = ["Program"]

_SMALL = 30_000.0  # estimated nanoseconds up to which Python's lock is kept
_TOGETHER = 50_000.0  # of work that can be shared from which waking threads pays
_MUST_CHECK = os.environ.get("RUSHLIGHT_VERIFY") == "1"
_PYTHON_FAILED = -1

_lock = threading.RLock()
_modules: dict[str, list[Any]] = {}  # digest: handle, users
_programs: weakref.WeakSet[Program] = weakref.WeakSet()


class Program:
    """A compiled graph.

    Args:
        graph: what to compute.
        threads: how many threads may work on it; results do not depend on it.

    Attributes:
        table: an int64 word a slot, `codegen.driver.word(array)`; the caller keeps the arrays alive
            and writes a word when an array changes.
        numbers: the run-time numbers, float64.
        error: the exception of an operator that failed in Python in the last run.
    """

    def __init__(self, graph: Graph, threads: int = 1) -> None:
        self.graph = graph
        self.threads = threads
        made = schedule(graph, threads)
        self.steps: tuple[Step, ...] = made.steps
        self.table = np.zeros(max(graph.slots, 1), np.int64)
        self.numbers = np.zeros(max(graph.numbers, 1), np.float64)
        self.error: BaseException | None = None
        self._lock = threading.Lock()
        self._native = native.driver()
        with _lock:
            functions = self._compile()
        self._layout = _Layout(self, made, functions)
        self._parts = threads if self._layout.together else 1
        self._address: int = self._layout.head.ctypes.data
        self._segments = self._layout.segments
        native_only = all([step is None for _, _, step in self._segments])
        if native_only and self._parts == 1:
            work = sum([nanoseconds(s) for s in self.steps])
            self.run = self._small if work < _SMALL else self._alone  # type: ignore[method-assign]
        _programs.add(self)

    # Compiling

    def _compile(self) -> dict[str, int]:
        """The addresses of the kernels, by what they are."""
        kernels = {repr(s.kernel): s.kernel for s in self.steps if isinstance(s, LoopStep)}
        if not kernels:
            return {}
        digest = hashlib.sha256("\n".join(kernels).encode()).hexdigest()[:24]
        names = {text: f"rl_{digest}_{i}" for i, text in enumerate(kernels)}
        entry = _modules.get(digest)
        if entry is None:
            ir = loops.module([(names[text], k) for text, k in kernels.items()])
            entry = _modules[digest] = [engine.compile_ir(ir), 0]
        entry[1] += 1
        weakref.finalize(self, _release, digest)
        return {text: engine.address(name) for text, name in names.items()}

    # Running

    def run(self) -> int:
        """Runs the program.

        Returns:
            0; or another number if an index was out of bounds or an operator failed in Python:
            then nothing that anybody could see before has changed.
        """
        with self._lock:
            return self._run()

    def _small(self) -> int:
        status: int = self._native.alone(self._address)
        return status

    def _alone(self) -> int:
        with self._lock:
            status: int = self._native.alone_unlocked(self._address)
            return status

    def _run(self) -> int:
        status = 0
        begin = 1
        for first, last, step in self._segments:
            if step is not None:
                status = self._python(step)
            else:
                status = self._range(begin, first, last)
                begin = 0
            if status:
                break
        return status

    def _range(self, begin: int, first: int, last: int, alone: bool = False) -> int:
        """Runs some native steps."""
        call = self._native.range
        if self._parts > 1 and not alone:
            pool = pools.pool(self._parts)
            taken = pool.enter()
            if taken is not None:
                try:
                    found: int = call(self._address, begin, first, last, *taken)
                    return found
                finally:
                    pool.leave()
        status: int = call(self._address, begin, first, last, None, None)
        return status

    def _python(self, step: PythonStep) -> int:
        """Runs an operator's NumPy kernel."""
        try:
            inputs = [
                self._layout.array(h, x)
                for h, x in zip(step.operands, step.call.inputs, strict=True)
            ]
            with np.errstate(all="ignore"):
                results = reference.value_of(step.call, inputs, (), ())
            many = results if isinstance(results, list) else [results]
            for home, result in zip(step.results, many, strict=True):
                if home is not None:
                    self._layout.array(home, result)[...] = result
        except Exception as error:
            self.error = error
            return _PYTHON_FAILED
        return 0

    # Seeing it

    def explain(self) -> str:
        """The steps, their loops and the memory they use, as text."""
        from rushlight.compiler.explain import describe

        return describe(self.steps, self._layout.flags, self._layout.nbytes)

    def describe_times(self) -> list[tuple[str, float]]:
        """Runs the program once, step by step, on this thread.

        Returns:
            each step's name and microseconds, the call's own (about one) included.
        """
        from rushlight.compiler.explain import name_of

        found = []
        with self._lock:
            self._range(1, 0, 0, alone=True)
            for i, step in enumerate(self.steps):
                first, last = self._layout.ranges[i]
                start = time.perf_counter_ns()
                if isinstance(step, PythonStep):
                    status = self._python(step)
                else:
                    status = self._range(0, first, last, alone=True)
                found.append((name_of(step), (time.perf_counter_ns() - start) / 1e3))
                if status:
                    break
        return found

    def ir(self) -> str:
        """The LLVM IR of the generated kernels."""
        kernels = {repr(s.kernel): s.kernel for s in self.steps if isinstance(s, LoopStep)}
        return loops.module([(f"kernel{i}", k) for i, k in enumerate(kernels.values())])

    def _after_fork(self) -> None:
        self._lock = threading.Lock()


def _release(digest: str) -> None:
    """One program less that uses a module."""
    with _lock:
        entry = _modules.get(digest)
        if entry is not None:
            entry[1] -= 1
            if entry[1] == 0:
                del _modules[digest]
                engine.release(entry[0])


class _Layout:
    """A program's words: head, steps, argument blocks, and the lists of what is set at each run."""

    def __init__(self, program: Program, made: Schedule, functions: dict[str, int]) -> None:
        self.program = program
        self.plan = plan(made.steps)
        if _MUST_CHECK:
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
        self.head: Any = aligned_bytes(8 * len(native.WORDS)).view(np.int64)
        self.head[:] = 0
        self.status = int(self.head.ctypes.data) + 8 * native.WORDS.index("status")
        self.ranges: list[tuple[int, int]] = []
        for step in made.steps:
            first = len(self.launches)
            if isinstance(step, LoopStep):
                self.loop(step, functions[repr(step.kernel)])
            elif isinstance(step, CallStep):
                self.call(step)
            self.ranges.append((first, len(self.launches)))
        both = zip(made.steps, self.ranges, strict=True)
        several = [s for s, (a, b) in both if any([x[2] > 1 for x in self.launches[a:b]])]
        self.together = sum([nanoseconds(s) for s in several]) >= _TOGETHER
        self.flags = self.find_flags(made.steps)
        self.segments = self.cut(made.steps)
        self.write()

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
        threads = self.program.threads
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
            self.launches.append((bound.kernel, start, min(bound.parts, self.program.threads)))

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
            start = int(self.program.table[memory.slot])
            if self.program._native.objects:
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
        table, numbers = self.program.table, self.program.numbers
        lists = [
            self.list_of(x) for x in (steps, self.moves, self.number_moves, self.zeros, self.bads)
        ]
        values = dict(
            steps=lists[0], first=0, last=len(steps), moves=lists[1], move_count=len(self.moves),
            numbers_moved=lists[2], numbers_count=len(self.number_moves), zeros=lists[3],
            zero_count=len(self.zeros), bads=lists[4], bad_count=len(self.bads),
            table=int(table.ctypes.data), numbers=int(numbers.ctypes.data),
            objects=int(self.program._native.objects), status=0, counts=self.counts(len(steps)),
        )  # fmt: skip
        for i, name in enumerate(native.WORDS):
            self.head[i] = values[name]

    def counts(self, steps: int) -> int:
        """Room for the steps' counts, each on a cache line."""
        memory = aligned_bytes(8 * native.COUNT_WORDS * max(steps, 1))
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


def _after_fork() -> None:
    global _lock
    _lock = threading.RLock()
    for program in _programs:
        program._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
