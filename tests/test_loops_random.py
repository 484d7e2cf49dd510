"""Random kernels of the loop IR against an interpreter in NumPy; not a byte outside may change.

Values are small whole numbers, so that sums are exact in any order. Buffers lie in the middle of
larger arrays, which are compared as a whole.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from loop_kernels import Build, compiled, run

from rushlight.codegen import loops
from rushlight.compiler.loops import Instruction, Kernel, Stage

KINDS = [np.dtype(d) for d in ("float32", "float32", "int64", "float64", "int32", "uint8", "bool")]
KINDS += [np.dtype(d) for d in ("float16", "int8", "int16", "uint32")]
KINDS.append(np.dtype(ml_dtypes.bfloat16))
SIZES = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 20, 31, 33, 40, 65]
OPERATIONS = "add subtract multiply maximum minimum less where cast".split()
EDGE = 70  # elements before and after each buffer


class Reference:
    """Runs a kernel with NumPy.

    Args:
        arrays: the buffers' memory, with `EDGE` elements before what offsets count from.
    """

    def __init__(self, kernel: Kernel, arrays: Sequence[Any]) -> None:
        self.kernel, self.arrays = kernel, arrays
        self.outer = len(kernel.outer)
        self.reduced: dict[tuple[int, int], Any] = {}

    def view(self, stage: Stage, buffer: int, offset: int, strides: Sequence[int]) -> Any:
        """A buffer's elements at all positions of a stage; those of size 1 where it has no axes."""
        array = self.arrays[buffer]
        ones = (1,) * len(self.kernel.inner)
        shape = self.kernel.outer + (self.kernel.inner if stage.inner else ones)
        steps = [s * array.itemsize for s in strides]
        return np.lib.stride_tricks.as_strided(array[EDGE + offset :], shape, steps)

    def kernel_axes(self) -> int:
        return self.outer + len(self.kernel.inner)

    def value(self, stage: Stage, ins: Instruction, done: list[Any]) -> Any:
        args = [done[a] for a in ins.args]
        if ins.name == "load":
            return self.view(stage, *ins.attrs).copy()
        if ins.name == "const":
            return np.asarray(ins.attrs[0]).astype(ins.dtype)
        if ins.name == "axis":
            shape = [1] * self.kernel_axes()
            shape[ins.attrs[0]] = -1
            size = (self.kernel.outer + self.kernel.inner)[ins.attrs[0]]
            return np.arange(size).reshape(shape)
        if ins.name == "reduced":
            return self.reduced[ins.attrs]
        if ins.name == "cast":
            return args[0].astype(ins.dtype)
        if ins.name == "where":
            return np.where(*args)
        return getattr(np, ins.name)(*args)

    def run(self) -> None:
        shape = self.kernel.outer + self.kernel.inner
        for number, stage in enumerate(self.kernel.stages):
            done: list[Any] = []
            for ins in stage.body:
                done.append(self.value(stage, ins, done))
            axes = tuple(range(self.outer, len(shape)))
            for result, r in enumerate(stage.reduces):
                whole = np.broadcast_to(done[r.value], shape)
                flat = whole.reshape(*self.kernel.outer, -1)
                if r.name in ("argmax", "argmin"):
                    value = getattr(np, r.name)(flat, axis=-1)
                else:
                    half = r.dtype.itemsize == 2 and r.dtype.kind not in "iu"  # rounded once
                    kind = np.float32 if half else r.dtype
                    value = getattr(np, r.name).reduce(flat, axis=-1, dtype=kind)
                found = np.asarray(value).astype(r.dtype)
                self.reduced[number, result] = found.reshape(*found.shape, *[1] * len(axes))
            for t in stage.stores:
                target = self.view(stage, t.buffer, t.offset, t.strides)
                target[...] = np.broadcast_to(done[t.value], target.shape)


class Maker:
    """A random kernel, and memory for it."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.outer = tuple(self.random.choices(SIZES, k=self.random.randint(0, 3)))
        self.inner = tuple(self.random.choices(SIZES, k=self.random.randint(0, 2)))
        while math.prod(self.outer + self.inner) > 40_000:
            self.outer, self.inner = self.outer[1:], self.inner[-1:]
        self.buffers: list[Any] = []
        self.sizes: list[int] = []
        self.places: list[Any] = []  # what later stages may read
        self.written: list[Any] = []

    def buffer(self, kind: Any, strides: Sequence[int], shape: Sequence[int]) -> tuple[int, int]:
        """A new buffer, and the offset at which no position lies before its start."""
        ends = [(n - 1) * s for n, s in zip(shape, strides, strict=True)]
        low = -sum([e for e in ends if e < 0])
        self.buffers.append(kind)
        self.sizes.append(low + sum([e for e in ends if e > 0]) + 1)
        return len(self.buffers) - 1, low

    def strides(self, shape: Sequence[int], one_each: bool) -> list[int]:
        """Those of an array of this shape: permuted, reversed, spaced; repeated unless one each."""
        order = list(range(len(shape)))
        if self.random.random() < 0.4:
            self.random.shuffle(order)
        step = self.random.choice([1, 1, 1, 1, 2, 3])
        found = [0] * len(shape)
        for axis in reversed(order):
            if one_each or self.random.random() < 0.8:
                found[axis] = step if self.random.random() < 0.9 else -step
                step *= shape[axis]
        return found

    def load(self, b: Build, inner: bool) -> int:
        """Of a new buffer, or what a stage before has read or written."""
        before = [x for x in self.places if x[0] == inner]
        if before and self.random.random() < 0.4:
            _, kind, number, found, low = self.random.choice(before)
            return b.load(kind, number, found, low)
        kind = self.random.choice(KINDS)
        shape = self.outer + (self.inner if inner else ())
        found = self.strides(shape, one_each=False)
        number, low = self.buffer(kind, found, shape)
        found += [0] * (len(self.outer + self.inner) - len(shape))
        self.places.append((inner, kind, number, found, low))
        return b.load(kind, number, found, low)

    def store(self, b: Build, value: int, inner: bool) -> None:
        shape = self.outer + (self.inner if inner else ())
        found = self.strides(shape, one_each=True)
        number, low = self.buffer(b.body[value].dtype, found, shape)
        found += [0] * (len(self.outer + self.inner) - len(shape))
        b.store(value, number, found, low)
        self.written.append((inner, b.body[value].dtype, number, found, low))

    def operations(self, b: Build, first: int) -> int:
        """A few operations on what there is from `first` on."""
        value = len(b.body) - 1
        for _ in range(self.random.randint(0, 5)):
            other = self.random.randrange(first, len(b.body))
            kind = b.body[value].dtype
            if b.body[other].dtype != kind:
                other = b.put("cast", [other], (), kind)
            name = self.random.choice(OPERATIONS)
            if name == "cast":
                value = b.put("cast", [value], (), self.random.choice(KINDS))
            elif name == "where":
                test = b.op("less_equal", value, other)
                value = b.put("where", [test, value, other], (), kind)
            elif kind.kind == "b" and name == "subtract":
                value = b.op("logical_xor", value, other)
            else:
                value = b.op(name, value, other)
        if b.body[value].dtype.kind != "b":  # small again, so that sums are exact
            small = b.op("minimum", value, b.const(3, b.body[value].dtype))
            low = b.const(0 if b.body[value].dtype.kind == "u" else -3, b.body[value].dtype)
            value = b.op("maximum", small, low)
        return value

    def stage(self, number: int, reduced: list[tuple[int, Any]], inner: bool) -> tuple[Stage, list]:
        b = Build()
        for _ in range(self.random.randint(1, 3)):
            self.load(b, inner)
        b.const(self.random.randint(0, 3), self.random.choice(KINDS))
        if self.outer and self.random.random() < 0.3:
            b.put("axis", (), (self.random.randrange(len(self.outer)),), np.int64)
        for source, kind in reduced:
            b.reduced(source, 0, kind)
        value = self.operations(b, 0)
        made = []
        if inner and self.random.random() < 0.8:
            kind = b.body[value].dtype
            names = "logical_or logical_and" if kind.kind == "b" else "add maximum minimum"
            if len(self.inner) == 1 and kind.kind != "b":
                names += " argmax"
            name = self.random.choice(names.split())
            b.reduce(name, value, np.int64 if name == "argmax" else kind)
            made.append((number, b.reduces[0].dtype))
        if not made or self.random.random() < 0.3:
            self.store(b, value, inner)
        return b.stage(inner), made

    def kernel(self) -> Kernel:
        stages: list[Stage] = []
        reduced: list[tuple[int, Any]] = []
        for number in range(self.random.randint(1, 3)):
            stage, made = self.stage(
                number, reduced, bool(self.inner) and self.random.random() < 0.8
            )
            stages.append(stage)
            reduced += made
            self.places += self.written
            self.written = []
        b = Build()
        for source, kind in reduced:
            self.store(b, b.reduced(source, 0, kind), inner=False)
        if reduced:
            stages.append(b.stage(inner=False))
        return Kernel(self.outer, self.inner, tuple(self.buffers), 0, tuple(stages))

    def memory(self) -> list[Any]:
        rng = np.random.default_rng(self.random.randrange(1 << 30))
        return [
            rng.integers(0 if k.kind in "bu" else -3, 4, n + 2 * EDGE).astype(k)
            for k, n in zip(self.buffers, self.sizes, strict=True)
        ]


def same(a: Any, b: Any) -> bool:
    return bool(np.array_equal(a.astype(np.float64), b.astype(np.float64)))


@pytest.mark.parametrize("batch", range(8))
def test_random_kernels(batch: int) -> None:
    makers = [Maker(100 * batch + i) for i in range(20)]
    made = [(m, m.kernel()) for m in makers]
    made = [(m, k) for m, k in made if loops.supports(k)]
    assert made
    for (maker, kernel), f in zip(made, compiled([k for _, k in made]), strict=True):
        before = maker.memory()
        expected = [x.copy() for x in before]
        with np.errstate(all="ignore"):
            Reference(kernel, expected).run()
        for parts in (1, 3):
            got = [x.copy() for x in before]
            assert run(f, [x[EDGE:] for x in got], parts=parts) == 0
            for i, (x, y) in enumerate(zip(got, expected, strict=True)):
                assert same(x, y), f"buffer {i} of {kernel}"
