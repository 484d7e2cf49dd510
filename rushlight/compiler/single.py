"""One call as a program of its own: what `RUSHLIGHT_TIER=1` makes of every call.

In: a record, its plan, arrays and attributes.  Out: the results as new arrays, computed by compiled
code.  Programs are kept for calls whose arrays lie alike; Python floats are run-time numbers.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any

import numpy as np

from rushlight.codegen.driver import word
from rushlight.compiler import counts
from rushlight.compiler.capture import NotCaptured, capture
from rushlight.compiler.program import Program
from rushlight.compiler.steps import PythonStep
from rushlight.dtypes import from_numpy
from rushlight.ir.graph import Graph, Store, Value, const, row_major
from rushlight.ir.op import Op, Plan
from rushlight.runtime import blas, cpu
from rushlight.runtime.quiet import quietly

__all__ = ["Call", "clear", "program_of", "run"]

_MOST = 512
_DOUBLE = np.dtype(np.float64)
_lock = threading.RLock()
_calls: OrderedDict[Any, Call] = OrderedDict()


def run(op: Op, plan: Plan, operands: list[Any], attrs: tuple[Any, ...]) -> list[Any]:
    """The results of a call, computed by its own program.

    Args:
        op: a record with a kernel.
        operands: arrays, Python numbers or None, before any conversion.

    Returns:
        new row-major arrays of the shapes and dtypes of `plan.outs`.
    """
    operands = [_plain(x) if isinstance(x, np.ndarray) else x for x in operands]
    call = program_of(op, plan, operands, attrs)
    results = call.run(op, plan, operands, attrs)
    counts.note(counts.OPAQUE if call.opaque else counts.COMPILED, op.name + call.numbers_are)
    return results


def program_of(op: Op, plan: Plan, operands: list[Any], attrs: tuple[Any, ...]) -> Call:
    """The program of a call, a new one if calls like it have none."""
    key = _key(op, plan, operands, attrs)
    with _lock:
        call = _calls.get(key) if key is not None else None
        if call is None:
            call = quietly(Call, (op, plan, operands, attrs))
            if key is not None:
                _calls[key] = call
                if len(_calls) > _MOST:
                    _calls.popitem(last=False)
        else:
            _calls.move_to_end(key)
    return call


def clear() -> None:
    """Forgets all programs."""
    with _lock:
        _calls.clear()


def _plain(x: Any) -> Any:
    """The array, copied if its elements do not lie at multiples of their size."""
    whole = all([s % x.itemsize == 0 for s in x.strides]) if x.itemsize else True
    return x if whole and x.flags.aligned else x.copy()


def _key(op: Op, plan: Plan, operands: list[Any], attrs: tuple[Any, ...]) -> Any:
    """By what a program is found again; None if its attributes cannot say."""
    parts: list[Any] = [op.name, id(plan), blas.allowed(), repr(attrs)]
    for x in operands:
        if isinstance(x, np.ndarray):
            parts.append((x.shape, x.strides, x.dtype))
        elif type(x) is float:
            parts.append(float)
        else:
            parts.append((type(x), x))
    key = (*parts, attrs)
    try:
        hash(key)
    except TypeError:
        return None
    return key


class Call:
    """A call's program, and which operands its slots and numbers are.

    Attributes:
        program: the program.
        opaque: whether it runs a NumPy kernel in Python.
        numbers_are: what the counts say behind the operator's name: complex numbers stay whole.
    """

    def __init__(self, op: Op, plan: Plan, operands: list[Any], attrs: tuple[Any, ...]) -> None:
        self.plan = plan  # kept alive: the key has its identity
        self.lock = threading.Lock()
        try:
            self.make(op, plan, operands, attrs, floats=True)
        except NotCaptured:
            self.make(op, plan, operands, attrs, floats=False)
        kinds = [m.dtype.kind for m in plan.outs]
        kinds += [from_numpy(x.dtype).kind for x in operands if isinstance(x, np.ndarray)]
        self.numbers_are = " (complex)" if "c" in kinds else ""
        self.opaque = any([isinstance(s, PythonStep) for s in self.program.steps])

    def make(
        self, op: Op, plan: Plan, operands: list[Any], attrs: tuple[Any, ...], floats: bool
    ) -> None:
        self.arrays: list[int] = []
        self.numbers: list[int] = []
        self.floats = floats
        inputs = [self.operand(i, x) for i, x in enumerate(operands)]
        results = capture(op, plan, inputs, attrs)
        first = len(self.arrays)
        stores = [Store(v, first + i, row_major(v.shape), 0, False) for i, v in enumerate(results)]
        graph = Graph(tuple(stores), first + len(stores), len(self.numbers))
        self.program = Program(graph, blas.allowed())

    def operand(self, i: int, x: Any) -> Any:
        """An operand as capture takes it."""
        if isinstance(x, np.ndarray):
            if x.size == 0:
                return const(x, x.dtype)
            self.arrays.append(i)
            strides = tuple([s // x.itemsize for s in x.strides])
            return Value("input", (), (len(self.arrays) - 1, strides, 0), x.shape, x.dtype)
        if type(x) is float and self.floats:
            self.numbers.append(i)
            return Value("number", (), (len(self.numbers) - 1,), (), _DOUBLE)
        return x

    def run(self, op: Op, plan: Plan, operands: list[Any], attrs: tuple[Any, ...]) -> list[Any]:
        """Runs the program; what fails there is run again, to fail as the operator fails."""
        results = [np.empty(m.shape, m.dtype.numpy) for m in plan.outs]
        arrays = [operands[i] for i in self.arrays] + results
        with self.lock:
            self.program.table[: len(arrays)] = [word(a) for a in arrays]
            self.program.numbers[: len(self.numbers)] = [operands[i] for i in self.numbers]
            status = self.program.run()
            error = self.program.error
        if status:
            cpu.run(op, plan, operands, attrs)
            raise error or AssertionError(f"{op.name} failed only when compiled")
        return results
