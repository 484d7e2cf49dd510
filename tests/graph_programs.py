"""Random graphs for the tests of the compiler: maps, views, reductions, products, picks, stores.

In: a seed and dtypes.  Out: a graph, and the arrays and numbers that it runs on.  Values keep to
sizes and functions for which results hardly depend on the order of operations: floats of 32 and 64
bits go through functions and sums; halves only through arithmetic, which rounds in one way; whole
numbers come from whole numbers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import ml_dtypes
import numpy as np

from rushlight.compiler import values as made
from rushlight.ir.graph import Graph, Store, Value, row_major

FLOAT = np.dtype(np.float32)
DOUBLE = np.dtype(np.float64)
INT = np.dtype(np.int64)
HALVES = (np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16))
MIXED = (FLOAT, DOUBLE, INT, *HALVES) + tuple(map(np.dtype, ("int32", "uint8", "bool", "int16")))
UNARY = ("tanh", "exp", "negative", "absolute", "sqrt", "sin")
BINARY = ("add", "subtract", "multiply", "maximum", "minimum")
SHAPES = ((), (1,), (3,), (17,), (4, 5), (3, 1, 4), (2, 3, 4), (16, 33), (1, 7), (40, 3))


class Maker:
    """A graph while it grows."""

    def __init__(self, seed: int, kinds: Sequence[Any] = (FLOAT,)) -> None:
        self.kinds = kinds
        self.random = np.random.RandomState(seed)
        self.arrays: list[Any] = []
        self.values: list[Value] = []
        self.stores: list[Store] = []
        self.numbers = [float(self.random.rand()), float(self.random.rand())]
        self.inputs: list[tuple[int, tuple[int, ...], Any]] = []

    def pick(self, things: Any) -> Any:
        return things[self.random.randint(len(things))]

    def slot(self, array: Any) -> int:
        self.arrays.append(array)
        return len(self.arrays) - 1

    def input(self) -> Value:
        shape = self.pick(SHAPES)
        order = list(self.random.permutation(len(shape)))
        kind = self.pick(self.kinds) if len(self.kinds) > 1 else self.kinds[0]
        drawn = np.asarray(self.random.rand(*[shape[d] for d in order]))
        if kind.kind in "iub":
            drawn = np.floor(drawn * (2 if kind.kind == "b" else 40))
        array = np.asarray(drawn, kind)
        array = array.transpose(np.argsort(order))
        slot = self.slot(array)
        strides = tuple([s // kind.itemsize for s in array.strides])
        self.inputs.append((slot, tuple(shape), kind))
        return Value("input", (), (slot, strides, 0), shape, kind)

    def any(self) -> Value:
        return self.pick(self.values)

    def calm(self, v: Value) -> Value:
        """A value whose numbers stay between -1 and 1."""
        return made.ufunc(np.sin, [v]) if v.dtype in (FLOAT, DOUBLE) else v

    def unary(self) -> Value:
        name = self.pick(UNARY)
        x = self.any()
        if x.dtype not in (FLOAT, DOUBLE):
            name = "logical_not" if x.dtype == bool else self.pick(("negative", "absolute"))
        if name == "sqrt":
            x = made.ufunc(np.absolute, [x])
        if name == "exp":
            x = self.calm(x)
        return made.ufunc(getattr(np, name), [x])

    def binary(self) -> Value:
        x = self.any()
        fitting = [y for y in self.values if self.broadcasts(x, y)]
        try:
            return made.ufunc(getattr(np, self.pick(BINARY)), [x, self.pick(fitting or [x])])
        except (TypeError, made.NotCaptured):  # such dtypes do not go together
            return x

    @staticmethod
    def broadcasts(x: Value, y: Value) -> bool:
        try:
            return math.prod(np.broadcast_shapes(x.shape, y.shape)) <= 2000
        except ValueError:
            return False

    def where(self) -> Value:
        x = self.any()
        y = self.pick([y for y in self.values if (y.shape, y.dtype) == (x.shape, x.dtype)])
        return made.choose(made.ufunc(np.less, [x, y]), y, x)

    def number(self) -> Value:
        n = Value("number", (), (self.random.randint(2),), (), DOUBLE)
        x = self.any()
        if x.dtype.kind in "iub":
            return x
        return made.ufunc(np.multiply, [x, made.cast(n, x.dtype)])

    def view(self) -> Value:
        x = self.any()
        kind = self.random.randint(4)
        if kind == 0:
            return made.transpose(x, list(self.random.permutation(len(x.shape))))
        if kind == 1:
            return made.reshape(x, self.pick([(-1,), (1, -1), (-1, 1), (x.size,)]))
        if kind == 2 and x.shape:
            return made.broadcast_to(x, (self.random.randint(1, 4), *x.shape))
        return self.slice(x)

    def slice(self, x: Value) -> Value:
        base, strides, offset = made.strided(x)
        shape, steps = [], []
        for n, s in zip(x.shape, strides, strict=True):
            start = self.random.randint(n)
            stop = self.random.randint(start + 1, n + 1)
            step = self.pick([1, 1, 2])
            count = -(-(stop - start) // step)
            if self.random.rand() < 0.2:
                start, step = start + (count - 1) * step, -step
            shape.append(count)
            steps.append(s * step)
            offset += s * start
        return made.view(base, shape, steps, offset)

    def reduce(self) -> Value:
        x = self.any()
        if not x.shape:
            return x
        if self.random.rand() < 0.15:
            axis = self.random.randint(len(x.shape))
            found = made.reduce(self.pick(("argmax", "argmin")), x, (axis,))
            return made.cast(found, self.kinds[0]) if self.kinds[0].kind == "f" else found
        axes = [a for a in range(len(x.shape)) if self.random.rand() < 0.6] or [0]
        x = self.calm(x)
        name = self.pick(("add", "add", "maximum", "minimum"))
        if x.dtype == bool:
            name = self.pick(("logical_or", "logical_and"))
        return made.reduce("maximum" if x.dtype in HALVES else name, x, axes)

    def softmax(self) -> Value:
        x = self.any()
        if not x.shape or x.dtype not in (FLOAT, DOUBLE):
            return x
        axis = self.random.randint(len(x.shape))
        kept = (*x.shape[:axis], 1, *x.shape[axis + 1 :])
        top = made.reshape(made.reduce("maximum", x, (axis,)), kept)
        e = made.ufunc(np.exp, [made.ufunc(np.subtract, [x, top])])
        total = made.reshape(made.reduce("add", e, (axis,)), kept)
        return made.ufunc(np.divide, [e, total])

    def matmul(self) -> Value:
        pairs = [
            (x, y)
            for x in self.values
            for y in self.values
            if len(x.shape) == len(y.shape) == 2
            and x.shape[1] == y.shape[0]
            and x.dtype == y.dtype
            and x.dtype not in HALVES
        ]
        if not pairs:
            return self.any()
        x, y = self.pick(pairs)
        return made.matmul(self.calm(x), self.calm(y))

    def index(self) -> Value:
        x = self.any()
        if not x.shape:
            return x
        count = self.random.randint(1, 6)
        picked = self.random.randint(-x.shape[0], x.shape[0], count)
        slot = self.slot(picked.astype(INT))
        i = Value("input", (), (slot, (1,), 0), (count,), INT)
        return made.index(x, [i])

    def concat(self) -> Value:
        x = self.any()
        if not x.shape:
            return x
        fitting = [
            y
            for y in self.values
            if y.shape[1:] == x.shape[1:] and len(y.shape) == len(x.shape) and y.dtype == x.dtype
        ]
        return made.concat([x, self.pick(fitting), x], 0)

    def scatter(self) -> Value:
        x = self.any()
        if not x.shape:
            return x
        i = made.from_array(self.random.randint(0, x.shape[0], 3))
        fitting = [v for v in self.values if not v.shape and v.dtype == x.dtype]
        if not fitting:
            return x
        values = made.broadcast_to(self.calm(self.pick(fitting)), (3, *x.shape[1:]))
        return made.scatter(x, values, [i], self.pick(("set", "add")))

    def graph(self, steps: int) -> Graph:
        self.values.append(made.from_array(np.asarray(0.5).astype(self.kinds[0])))
        for _ in range(self.random.randint(2, 5)):
            self.values.append(self.input())
        kinds = (
            [self.unary] * 5 + [self.binary] * 6 + [self.view] * 5 + [self.reduce] * 3
            + [self.softmax, self.matmul, self.where, self.number, self.index, self.concat]
            + [self.scatter]
        )  # fmt: skip
        for _ in range(steps):
            v = self.pick(kinds)()
            if v.size <= 4000:
                self.values.append(v)
        self.store()
        return Graph(tuple(self.stores), len(self.arrays), len(self.numbers))

    def store(self) -> None:
        """Some results into new memory, some over the inputs."""
        for v in [self.pick(self.values) for _ in range(3)] + self.values[-2:]:
            slot = self.slot(np.zeros(v.shape, v.dtype))
            self.stores.append(Store(v, slot, row_major(v.shape), 0, False))
        for slot, shape, kind in self.inputs:
            fitting = [v for v in self.values if v.shape == shape and v.dtype == kind]
            if fitting and self.random.rand() < 0.7:
                strides = tuple([s // kind.itemsize for s in self.arrays[slot].strides])
                outside = bool(self.random.rand() < 0.5)
                self.stores.append(Store(self.pick(fitting), slot, strides, 0, outside))


def random_graph(
    seed: int, steps: int = 14, kinds: Sequence[Any] = (FLOAT,)
) -> tuple[Graph, list[Any], list[float]]:
    """A graph of values of these dtypes, its arrays and its numbers."""
    maker = Maker(seed, kinds)
    with np.errstate(all="ignore"):
        graph = maker.graph(steps)
    return graph, maker.arrays, maker.numbers
