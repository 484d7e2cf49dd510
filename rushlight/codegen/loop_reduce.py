"""Reductions in vectors: what is carried round a loop, and how lanes and partial results join.

Each reduction carries several vectors at once (accumulators), which hides the latency of its
operation and, in float sums, keeps errors small. In what order they join depends on the kernel's
shape alone. Sums of half types are carried in float32 and rounded once.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rushlight.codegen import loop_math
from rushlight.codegen.loop_lanes import INT64, Lanes, Partial, kind_of
from rushlight.compiler.loops import Reduce

__all__ = ["Reduction"]

Parts = list[str]
_ARG = ("argmax", "argmin")
_LOGICAL = {"logical_or": "or", "logical_and": "and"}
_FLOAT32 = np.dtype(np.float32)


class Reduction:
    """One reduction of a stage.

    Args:
        reduce: what the kernel says.
        source: the dtype of the values that are reduced.
    """

    def __init__(self, reduce: Reduce, source: Any) -> None:
        self.value = reduce.value
        self.name = reduce.name
        self.result = kind_of(reduce.dtype)
        self.source = kind_of(source)
        self.arg = reduce.name in _ARG
        self.dtype = np.dtype(source if self.arg else reduce.dtype)
        if self.arg and self.source.family == "b":
            self.dtype = np.dtype(np.uint8)
        if kind_of(self.dtype).half:
            self.dtype = _FLOAT32
        self.kind = kind_of(self.dtype)
        self.additive = reduce.name == "add" and self.kind.family == "f"

    def types(self, lanes: int) -> list[str]:
        """The types of what is carried."""
        found = [f"<{lanes} x {self.kind.register}>"]
        return [*found, f"<{lanes} x i64>"] if self.arg else found

    def start(self, b: Lanes, first: str = "") -> Parts:
        """What is carried at first: values that change nothing.

        Args:
            first: for arg reductions, the positions from which the lanes start.
        """
        start = b.const(self.kind, self._neutral())
        return [start, first] if self.arg else [start]

    def _neutral(self) -> Any:
        if self.name in ("add", "logical_or"):
            return 0
        if self.name in ("multiply", "logical_and"):
            return 1
        low = self.name in ("maximum", "argmax")
        family, bits = self.kind.family, self.kind.bits
        if family == "f":
            return -math.inf if low else math.inf
        if family == "i":
            return -(1 << (bits - 1)) if low else (1 << (bits - 1)) - 1
        return 0 if low else (1 << bits) - 1

    def step(
        self,
        b: Lanes,
        carried: Parts,
        value: str,
        position: str = "",
        count: int | Partial | None = None,
    ) -> Parts:
        """What is carried after another vector of values.

        Args:
            position: for arg reductions, where the values stand.
            count: how many lanes of it there are, None for all.
        """
        x = b.cast(self.source, self.kind, value)
        if count is not None:
            x = self._present(b, x, count)
        if not self.arg:
            return [self._join(b, carried[0], x)]
        better = self._better(b, x, carried[0])
        return self._chosen(b, better, [x, position], carried)

    def _present(self, b: Lanes, x: str, count: int | Partial) -> str:
        """The values that there are; in the other lanes what changes nothing."""
        if isinstance(count, Partial):
            whole, known = x, count.present
            v = b.kind(self.kind.register)
            return b.f.either(count.short, v, lambda: self._present(b, whole, known), lambda: whole)
        return b.select(b.first(count), self.kind.register, x, self.start(b)[0])

    def merge(self, b: Lanes, first: Parts, second: Parts) -> Parts:
        """Two partial results as one."""
        if not self.arg:
            return [self._join(b, first[0], second[0])]
        better = self._better(b, second[0], first[0])
        tied = b.op(
            "and",
            "i1",
            self._same(b, second[0], first[0]),
            b.compare("slt", INT64, second[1], first[1]),
        )
        return self._chosen(b, b.op("or", "i1", better, tied), second, first)

    def across(self, b: Lanes, carried: Parts) -> Parts:
        """All lanes as one: halves, quarters and so on."""
        while b.n > 1:
            half = Lanes(b.f, b.n // 2)
            low = [self._part(b, half.n, 0, p, i) for i, p in enumerate(carried)]
            high = [self._part(b, half.n, half.n, p, i) for i, p in enumerate(carried)]
            carried, b = self.merge(half, low, high), half
        return carried

    def finish(self, b: Lanes, carried: Parts) -> str:
        """The result in its own type."""
        if self.arg:
            return b.cast(INT64, self.result, carried[1])
        return b.cast(self.kind, self.result, carried[0])

    def _part(self, b: Lanes, n: int, start: int, value: str, which: int) -> str:
        v = b.kind("i64" if which else self.kind.register)
        mask = ", ".join([f"i32 {start + i}" for i in range(n)])
        return b.f.op(f"shufflevector {v} {value}, {v} poison, <{n} x i32> <{mask}>")

    def _join(self, b: Lanes, x: str, y: str) -> str:
        name = _LOGICAL.get(self.name)
        if name is not None:
            return b.op(name, "i1", x, y)
        return loop_math.apply(b, self.name, (self.dtype, self.dtype), [x, y], self.kind)

    def _better(self, b: Lanes, x: str, best: str) -> str:
        """Where x beats the best so far: it is greater (less), or the first NaN."""
        how = "gt" if self.name == "argmax" else "lt"
        if self.kind.family != "f":
            return b.compare(("s" if self.kind.family == "i" else "u") + how, self.kind, x, best)
        beats = b.compare("u" + how, self.kind, x, best)  # or one of them is NaN
        return b.op("and", "i1", beats, b.compare("ord", self.kind, best, best))

    def _same(self, b: Lanes, x: str, y: str) -> str:
        if self.kind.family != "f":
            return b.compare("eq", self.kind, x, y)
        both = b.op(
            "and", "i1", b.compare("uno", self.kind, x, x), b.compare("uno", self.kind, y, y)
        )
        return b.op("or", "i1", both, b.compare("oeq", self.kind, x, y))

    def _chosen(self, b: Lanes, mask: str, yes: Parts, no: Parts) -> Parts:
        return [
            b.select(mask, self.kind.register, yes[0], no[0]),
            b.select(mask, "i64", yes[1], no[1]),
        ]
