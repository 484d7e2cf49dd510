"""Loop IR, said in NumPy: runs the steps of a schedule without generating code.

In: a `Schedule`, the arrays of the slots, the numbers.  Out: what the steps store.  Each stage is
computed for all positions at once, which is the same because outer positions must not depend on
one another.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rushlight.compiler import reference
from rushlight.compiler.loops import Kernel
from rushlight.compiler.outside import memory_at
from rushlight.compiler.steps import Home, LoopStep, Memory, PythonStep

_INT64 = np.dtype(np.int64)


class Interpreter:
    """Memory, and what runs on it."""

    def __init__(self, arrays: list[Any], numbers: list[float], offsets: dict[Any, int]) -> None:
        self.arrays = arrays
        self.numbers = numbers
        self.offsets = offsets
        size = max([offset + m.nbytes for m, offset in offsets.items()], default=0)
        self.arena = np.full(size + 64, 0xA5, np.uint8)
        self.failed = False

    def address(self, memory: Memory) -> int:
        if memory.kind == "slot":
            return int(self.arrays[memory.slot].__array_interface__["data"][0])
        if memory.kind == "const":
            return int(memory.array.ctypes.data)
        return int(self.arena.ctypes.data) + self.offsets[memory]

    def run(self, steps: Any) -> bool:
        """Runs steps; false if an index was out of bounds."""
        for step in steps:
            if step.stop and self.failed:
                break
            with np.errstate(all="ignore"):
                if isinstance(step, LoopStep):
                    self.loops(step)
                else:
                    assert isinstance(step, PythonStep)
                    self.python(step)
        return not self.failed

    def python(self, step: PythonStep) -> None:
        both = zip(step.operands, step.call.inputs, strict=True)
        results = reference.value_of(step.call, [self.array(h, x) for h, x in both], (), ())
        many = results if isinstance(results, list) else [results]
        for home, result in zip(step.results, many, strict=True):
            if home is not None:
                self.array(home, result)[...] = result

    def array(self, home: Home, like: Any) -> Any:
        start = self.address(home.memory) + home.offset * like.dtype.itemsize
        return memory_at(start, like.shape, like.dtype, home.strides, self)

    def loops(self, step: LoopStep) -> None:
        k = step.kernel
        starts = [self.address(p.memory) + p.offset for p in step.places]
        numbers = [self.numbers[n] for n in step.numbers]
        reduced: list[list[Any]] = []
        for stage in k.stages:
            shape = k.outer + (k.inner if stage.inner else (1,) * len(k.inner))
            made: list[Any] = []
            for ins in stage.body:
                made.append(self.instruction(k, ins, made, reduced, shape, starts, numbers))
            results = []
            for r in stage.reduces:
                value = np.broadcast_to(made[r.value], shape)
                results.append(reduction(r, value, len(k.outer), k.inner))
            for s in stage.stores:
                dtype = k.buffers[s.buffer]
                target = memory_at(
                    starts[s.buffer] + s.offset * dtype.itemsize, shape, dtype, s.strides, self
                )
                target[...] = made[s.value]
            reduced.append(results)

    def instruction(
        self, k: Kernel, ins: Any, made: Any, reduced: Any, shape: Any, starts: Any, numbers: Any
    ) -> Any:
        args = [made[a] for a in ins.args]
        if ins.name == "load":
            buffer, offset, strides = ins.attrs
            start = starts[buffer] + offset * ins.dtype.itemsize
            return memory_at(start, shape, ins.dtype, strides, self).copy()
        if ins.name == "gather":
            return self.gather(ins, args, shape, starts)
        if ins.name == "const":
            return np.full(shape, ins.attrs[0], ins.dtype)
        if ins.name == "number":
            return np.full(shape, numbers[ins.attrs[0]], np.float64).astype(ins.dtype)
        if ins.name == "axis":
            (axis,) = ins.attrs
            sizes = [1] * len(shape)
            sizes[axis] = shape[axis]
            return np.broadcast_to(np.arange(shape[axis]).reshape(sizes), shape)
        if ins.name == "reduced":
            stage, result = ins.attrs
            found = reduced[stage][result]
            return np.broadcast_to(found.reshape(k.outer + (1,) * len(k.inner)), shape)
        if ins.name == "cast":
            return args[0].astype(ins.dtype)
        function = np.where if ins.name == "where" else getattr(np, ins.name)
        result = function(*args)
        assert result.dtype == ins.dtype
        return result

    def gather(self, ins: Any, args: Any, shape: Any, starts: Any) -> Any:
        buffer, offset, strides, sizes = ins.attrs
        place = np.zeros(shape, np.int64) + offset
        for axis, s in enumerate(strides):
            steps = [1] * len(shape)
            steps[axis] = shape[axis]
            place = place + s * np.arange(shape[axis]).reshape(steps)
        for index, (size, stride) in zip(args, sizes, strict=True):
            assert index.dtype == _INT64
            bad = (index < -size) | (index >= size)
            self.failed = self.failed or bool(bad.any())
            place = place + np.where(bad, 0, np.where(index < 0, index + size, index)) * stride
        low, high = int(place.min()), int(place.max())
        start = starts[buffer] + low * ins.dtype.itemsize
        flat = memory_at(start, (high - low + 1,), ins.dtype, (1,), self)
        return flat[place - low]


def reduction(r: Any, value: Any, outer: int, inner: Any) -> Any:
    flat = value.reshape(*value.shape[:outer], math.prod(inner))
    if r.name in ("argmax", "argmin"):
        return getattr(np, r.name)(flat, axis=-1)
    return getattr(np, r.name).reduce(flat, axis=-1, dtype=r.dtype)
