"""From computations to a program: the one thing of the compiler that `dispatch/` calls."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from rushlight.compiler.functional import lower

__all__ = ["NOTHING", "build"]


class _Nothing:
    """The program of no computations."""

    table = np.zeros(0, np.int64)
    numbers = np.zeros(0, np.float64)
    ending = True

    def run(self) -> int:
        return 0


NOTHING = _Nothing()


def build(
    calls: Sequence[Any], made: set[int], wanted: Iterable[int], numbers: int
) -> tuple[Any, tuple[int, ...], tuple[int, ...]]:
    """Compiles calls.

    Args:
        calls: the computations (``ir/trace.py``), in order.
        made: the places that they make.
        wanted: those of them whose contents are needed afterwards.
        numbers: how many run-time numbers the recording has.

    Returns:
        the program, the place of each entry of its table, and the run-time numbers that it reads.

    Raises:
        Unsupported: they cannot be compiled.
    """
    lowered = lower(calls, made, wanted, numbers)
    read = {v.attrs[0] for v in lowered.graph.values() if v.kind == "number"}
    return program_of(lowered.graph), lowered.places, tuple(sorted(read))


def program_of(graph: Any) -> Any:
    """The program of a graph."""
    from rushlight.compiler.program import Program
    from rushlight.runtime import blas

    return Program(graph, blas.allowed())
