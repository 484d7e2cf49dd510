"""Sample inputs of operators, for the tests that run over the whole table.

``samples_of(op)`` yields ``(inputs, attrs)``: inputs are NumPy arrays, Python numbers or None,
attrs the record's static attributes, all of them.  A record says how its samples are made with
``samples=``, a function of a SampleMaker; most elementwise, reducing, scanning and sorting records
need none.

    samples=lambda make: [((make(3, 4), make.integers(3, 2)), (0,))]
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from rushlight.ir.op import Op

__all__ = ["SampleMaker", "samples_of"]


class SampleMaker:
    """Draws arrays for samples, always the same ones for an operator.

    Args:
        domain: the interval of the floating values.
        seed: any number.
    """

    def __init__(self, domain: tuple[float, float] = (-3.0, 3.0), seed: int = 0) -> None:
        self.low, self.high = domain
        self.random = np.random.default_rng(seed)

    def __call__(self, *shape: int, low: float | None = None, high: float | None = None) -> Any:
        """Values in the domain that differ from each other, float64."""
        low, high = self.low if low is None else low, self.high if high is None else high
        count = int(np.prod(shape))
        steps = (self.random.permutation(count) + self.random.uniform(0.2, 0.8, count)) / max(
            count, 1
        )
        return (low + (high - low) * steps).reshape(shape)

    def integers(self, high: int, *shape: int, low: int = 0) -> Any:
        """Whole numbers from low to high - 1, int64."""
        return self.random.integers(low, high, shape)

    def booleans(self, *shape: int) -> Any:
        """Truth values."""
        return self.random.integers(0, 2, shape).astype(bool)

    def one_of_each(self, n: int) -> Any:
        """The numbers below n in any order, int64."""
        return self.random.permutation(n)


def samples_of(op: Op) -> Iterator[tuple[tuple[Any, ...], tuple[Any, ...]]]:
    """The samples of a record; none if it neither has its own nor a kind with default ones."""
    make = SampleMaker(op.domain, seed=sum(op.name.encode()))
    if op.samples is not None:
        yield from op.samples(make)
    elif op.kind == "elementwise" and not op.variadic and _filled(op) is not None:
        yield from _elementwise(op, make)
    elif op.kind in ("reduce", "scan", "sort") and len(op.inputs) == 1:
        yield from _along_dim(op, make)


def _filled(op: Op) -> tuple[Any, ...] | None:
    """The default attributes, if every attribute has one."""
    return op.defaults if len(op.defaults) == len(op.attrs) else None


def _elementwise(op: Op, make: SampleMaker) -> Iterator[Any]:
    attrs = _filled(op) or ()
    n = len(op.inputs)
    yield tuple(make(3, 4) for _ in range(n)), attrs
    yield tuple(make() for _ in range(n)), attrs
    yield tuple(make(0, 2) for _ in range(n)), attrs
    if n > 1:
        yield tuple(make(*((2, 1), (3,), (2, 3))[i % 3]) for i in range(n)), attrs


def _along_dim(op: Op, make: SampleMaker) -> Iterator[Any]:
    if not op.attrs:
        yield (make(3, 4),), ()
        yield (make(),), ()
        return
    if op.attrs[0] != "dim":
        return
    rest = op.defaults[len(op.defaults) - len(op.attrs) + 1 :] if len(op.attrs) > 1 else ()
    if len(rest) != len(op.attrs) - 1:
        return
    takes_all = len(op.defaults) == len(op.attrs) and op.defaults[0] is None
    yield (make(3, 4),), (1, *rest)
    yield (make(2, 3, 2),), (0, *rest)
    yield (make(),), (0, *rest)
    if takes_all:
        yield (make(3, 4),), (None, *rest)
    if op.attrs[1:2] == ("keepdim",):
        yield (make(3, 4),), (0, True, *rest[1:])
