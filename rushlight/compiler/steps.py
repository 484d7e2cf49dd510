"""What a schedule is made of: memory, where arrays lie in it, and steps that run one after another.

In: what `compiler/clusters.py` and `compiler/lower.py` found out.  Out: what `compiler/plan.py` and
`compiler/program.py` turn into addresses and calls.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from rushlight.compiler.loops import Kernel
from rushlight.ir.graph import Value, row_major

__all__ = ["CallStep", "Home", "LoopStep", "Memory", "Place", "PythonStep", "Step"]

Ints = tuple[int, ...]


class Memory:
    """A stretch of memory: a slot of the table, a temporary, or a constant.

    Attributes:
        kind: ``slot``, ``temp`` or ``const``.
        slot: the number of the slot.
        nbytes: the size of a temporary.
        array: the constant.
    """

    __slots__ = ("array", "kind", "nbytes", "slot")

    def __init__(self, kind: str, slot: int = -1, nbytes: int = 0, array: Any = None) -> None:
        self.kind = kind
        self.slot = slot
        self.nbytes = nbytes
        self.array = array

    def __repr__(self) -> str:
        if self.kind == "slot":
            return f"slot{self.slot}"
        return f"{self.kind}@{id(self) & 0xFFFFFF:x}"


class Home(NamedTuple):
    """Where an array lies; offset and strides in elements."""

    memory: Memory
    offset: int
    strides: Ints

    def row_major(self, shape: Ints) -> bool:
        """Whether an array of this shape lies there in row-major order without gaps."""
        plain = zip(shape, self.strides, row_major(shape), strict=True)
        return all([n == 1 or s == r for n, s, r in plain])


class Place(NamedTuple):
    """An address: so many bytes behind the start of a memory."""

    memory: Memory
    offset: int


class LoopStep(NamedTuple):
    """A generated kernel.

    Attributes:
        kernel: its loops.
        places: where each buffer lies.
        numbers: which of the program's numbers its numbers are.
        reads, writes: the memories.
        checks: whether it looks at indices.
        reuse: pairs (written, read) of temporaries that may be the same memory.
        stop: whether it must not run if an earlier check failed.
    """

    kernel: Kernel
    places: tuple[Place, ...]
    numbers: Ints
    reads: frozenset[Memory]
    writes: frozenset[Memory]
    checks: bool = False
    reuse: tuple[tuple[Memory, Memory], ...] = ()
    stop: bool = False


class CallStep(NamedTuple):
    """Launches of ready-made kernels.

    Attributes:
        name: for people.
        bounds: the launches, one after another.
        places: where each operand lies (None where there is none).
        scratch: memory for all launches.
        reads, writes, checks, stop: as above.
        work: about how many nanoseconds one thread needs.
    """

    name: str
    bounds: tuple[Any, ...]
    places: tuple[Place | None, ...]
    scratch: Memory | None
    reads: frozenset[Memory]
    writes: frozenset[Memory]
    checks: bool = False
    stop: bool = False
    work: float = 0.0


class PythonStep(NamedTuple):
    """An operator that its NumPy kernel computes, in Python.

    Attributes:
        call: the call.
        operands: where its inputs lie, one a value.
        results: where each result goes (None: nobody wants it).
        reads, writes, checks, stop: as above.
    """

    call: Value
    operands: tuple[Home, ...]
    results: tuple[Home | None, ...]
    reads: frozenset[Memory]
    writes: frozenset[Memory]
    checks: bool = True
    stop: bool = False


Step = LoopStep | CallStep | PythonStep
