"""What a compiled program costs: the call itself, and the step of a linear regression.

python benchmarks/program.py
"""

from __future__ import annotations

import timeit
from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.codegen.driver import word
from rushlight.compiler import values as made
from rushlight.compiler.program import Program
from rushlight.ir.graph import Graph, Store, Value, const, row_major

FLOAT = np.dtype(np.float32)


def memory(slot: int, shape: tuple[int, ...]) -> Value:
    return Value("input", (), (slot, row_major(shape), 0), shape, FLOAT)


def store(value: Value, slot: int) -> Store:
    return Store(value, slot, row_major(value.shape), 0, True)


def ufunc(name: str, *operands: Any) -> Value:
    return made.ufunc(getattr(np, name), operands)


def program(stores: tuple[Store, ...], arrays: list[Any], numbers: list[float]) -> Program:
    found = Program(Graph(stores, len(arrays), len(numbers)))
    found.table[: len(arrays)] = [word(a) for a in arrays]
    found.numbers[: len(numbers)] = numbers
    assert found.run() == 0
    return found


def regression() -> tuple[Program, list[Any]]:
    """100 samples of 2 features: the loss, its gradients, SGD."""
    x, y, w, b = memory(0, (100, 2)), memory(1, (100, 1)), memory(2, (1, 2)), memory(3, (1,))
    d = ufunc("subtract", ufunc("add", made.matmul(x, made.transpose(w, (1, 0))), b), y)
    loss = ufunc("divide", made.reduce("add", ufunc("multiply", d, d), (0, 1)), const(100, FLOAT))
    g = ufunc("multiply", d, const(0.02, FLOAT))
    gw, gb = made.matmul(made.transpose(g, (1, 0)), x), made.reduce("add", g, (0,))
    rate = made.cast(Value("number", (), (0,), (), np.dtype(np.float64)), FLOAT)
    new = [ufunc("subtract", p, ufunc("multiply", q, rate)) for p, q in ((w, gw), (b, gb))]
    stores = (store(loss, 4), store(gw, 5), store(gb, 6), store(new[0], 2), store(new[1], 3))
    shapes = ((100, 2), (100, 1), (1, 2), (1,), (), (1, 2), (1,))
    arrays = [np.random.RandomState(0).rand(*s).astype(FLOAT) for s in shapes[:4]]
    arrays += [np.zeros(s, FLOAT) for s in shapes[4:]]
    return program(stores, arrays, [0.01]), arrays


def nanoseconds(run: Callable[[], object]) -> float:
    """The best mean of several rounds."""
    count = 20_000
    return min(timeit.repeat(run, number=count, repeat=9)) / count * 1e9


def main() -> None:
    x = memory(0, (1,))
    one = [np.ones(1, FLOAT), np.ones(1, FLOAT)]
    nearly_nothing = program((store(ufunc("add", x, x), 1),), one, [])
    step, arrays = regression()
    print(f"one addition:      {nanoseconds(nearly_nothing.run):7.0f} ns")
    print(f"linear regression: {nanoseconds(step.run):7.0f} ns, loss {float(arrays[4]):.4f}")


if __name__ == "__main__":
    main()
