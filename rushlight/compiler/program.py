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

import numpy as np

from rushlight.codegen import driver as native
from rushlight.codegen import engine, loops
from rushlight.codegen import threads as pools
from rushlight.compiler import reference
from rushlight.compiler.layout import Layout
from rushlight.compiler.schedule import schedule
from rushlight.compiler.steps import LoopStep, PythonStep, Step
from rushlight.compiler.work import nanoseconds
from rushlight.ir.graph import Graph
from rushlight.runtime.quiet import quietly

__all__ = ["Program"]

_SMALL = 30_000.0  # estimated nanoseconds up to which Python's lock is kept
_PYTHON_FAILED = -1

_lock = threading.RLock()
_modules: weakref.WeakValueDictionary[str, engine.Code] = weakref.WeakValueDictionary()
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
        ending: whether a run has come to its last part, which only an error of its own stops.
    """

    def __init__(self, graph: Graph, threads: int = 1) -> None:
        self.graph = graph
        self.threads = threads
        made = schedule(graph, threads)
        self.steps: tuple[Step, ...] = made.steps
        self.table = np.zeros(max(graph.slots, 1), np.int64)
        self.numbers = np.zeros(max(graph.numbers, 1), np.float64)
        self.error: BaseException | None = None
        self.ending = True
        self._lock = threading.Lock()
        self._native = native.driver()
        with _lock:
            functions, code = self._compile()
        self._layout = Layout(made, functions, threads, self.table, self.numbers)
        self._layout.head.keep += (code,)  # it lives as long as what can call it
        self._parts = threads if self._layout.together else 1
        self._address: int = self._layout.head.ctypes.data
        self._segments = self._layout.segments
        self._plain = self._parts == 1 and all([step is None for _, _, step in self._segments])
        if self._plain and sum([nanoseconds(s) for s in self.steps]) < _SMALL:
            method = self._native.method(self._layout.head)
            if method is not None:
                self.run = method  # type: ignore[method-assign]
        _programs.add(self)

    # Compiling

    def _compile(self) -> tuple[list[int], engine.Code | None]:
        """The address of each step's kernel, 0 for steps that are not loops; and their code."""
        texts = [repr(s.kernel) if isinstance(s, LoopStep) else "" for s in self.steps]
        kernels = {
            text: s.kernel
            for text, s in zip(texts, self.steps, strict=True)
            if isinstance(s, LoopStep)
        }
        if not kernels:
            return [0] * len(texts), None
        digest = hashlib.sha256("\n".join(kernels).encode()).hexdigest()[:24]
        names = {text: f"rl_{digest}_{i}" for i, text in enumerate(kernels)}
        code = _modules.get(digest)
        if code is None:
            code = engine.Code(loops.module([(names[text], k) for text, k in kernels.items()]))
            _modules[digest] = code
        places = {text: code.address(name) for text, name in names.items()}
        return [places.get(text, 0) for text in texts], code

    # Running

    def run(self) -> int:
        """Runs the program.

        Returns:
            0; or another number if an index was out of bounds or an operator failed in Python:
            then nothing that anybody could see before has changed.
        """
        with self._lock:
            if self._plain:
                status: int = self._native.alone(self._address)
                return status
            return self._run()

    def _run(self) -> int:
        status = 0
        begin = 1
        for first, last, step in self._segments:
            self.ending = step is None and last == self._segments[-1][1]
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
            quietly(self._compute, (step,))
        except Exception as error:
            self.error = error
            return _PYTHON_FAILED
        return 0

    def _compute(self, step: PythonStep) -> None:
        inputs = [
            self._layout.array(h, x) for h, x in zip(step.operands, step.call.inputs, strict=True)
        ]
        results = reference.value_of(step.call, inputs, (), ())
        many = results if isinstance(results, list) else [results]
        for home, result in zip(step.results, many, strict=True):
            if home is not None:
                self._layout.array(home, result)[...] = result

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


def _after_fork() -> None:
    global _lock
    _lock = threading.RLock()
    for program in _programs:
        program._after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
