"""Index arithmetic: which element of an array a loop reads at each of its positions.

An `Access` says, for each dimension of an array, the index as an affine function of the loop's
positions.  Views make flat places out of it (`flat`) and `digits` takes those apart again, where
the view's walk never carries from one dimension into the next.  Where it does, `digits` says how to
split a loop axis so that it no longer does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from rushlight.ir.graph import row_major

__all__ = ["Access", "NotAffine", "Split", "digits", "flat", "identity", "span"]

Ints = tuple[int, ...]


class Access(NamedTuple):
    """An index vector.

    Attributes:
        offsets: the index in each dimension where all loop positions are 0.
        steps: for each dimension, how far one step along each loop axis moves it.
    """

    offsets: Ints
    steps: tuple[Ints, ...]

    def take(self, dimensions: Sequence[int]) -> Access:
        """The same for some of the dimensions."""
        return Access(
            tuple([self.offsets[d] for d in dimensions]), tuple([self.steps[d] for d in dimensions])
        )

    def broadcast_to(self, shape: Ints) -> Access:
        """The access to an operand of this shape that was broadcast to the accessed array."""
        skipped = len(self.offsets) - len(shape)
        zeros = (0,) * (len(self.steps[0]) if self.steps else 0)
        return Access(
            tuple([0 if n == 1 else self.offsets[d + skipped] for d, n in enumerate(shape)]),
            tuple([zeros if n == 1 else self.steps[d + skipped] for d, n in enumerate(shape)]),
        )

    def moved(self, place: Sequence[int], axes: int) -> Access:
        """The same in a nest of `axes` loops, where axis i of this one is axis place[i]."""
        made = []
        for steps in self.steps:
            new = [0] * axes
            for i, s in enumerate(steps):
                if s:
                    new[place[i]] = s
            made.append(tuple(new))
        return Access(self.offsets, tuple(made))

    def split(self, axis: int, inner: int) -> Access:
        """The same after an axis became two, the second of which has `inner` positions."""
        return Access(
            self.offsets,
            tuple([(*s[:axis], s[axis] * inner, s[axis], *s[axis + 1 :]) for s in self.steps]),
        )


class NotAffine(Exception):
    """An index is no affine function of the loop's positions."""


class Split(Exception):
    """A loop axis must become two for an index to be affine."""

    def __init__(self, axis: int, inner: int) -> None:
        super().__init__(axis, inner)
        self.axis = axis
        self.inner = inner


def identity(shape: Ints) -> tuple[Ints, Access]:
    """Loop axes that walk an array in row-major order (none for size 1), and the access."""
    kept = [d for d, n in enumerate(shape) if n != 1]
    steps = tuple([tuple([int(d == k) for k in kept]) for d in range(len(shape))])
    return tuple([shape[d] for d in kept]), Access((0,) * len(shape), steps)


def flat(at: Access, strides: Ints, offset: int, axes: int) -> tuple[int, Ints]:
    """Where an access lies in memory with these strides: an offset and a step a loop axis."""
    steps = [0] * axes
    for index, moves, stride in zip(at.offsets, at.steps, strides, strict=True):
        offset += index * stride
        if stride:
            for i, m in enumerate(moves):
                if m:
                    steps[i] += m * stride
    return offset, tuple(steps)


def span(shape: Sequence[int], strides: Sequence[int], offset: int) -> tuple[int, int]:
    """The lowest and the highest place that strides reach."""
    reach = [(n - 1) * s for n, s in zip(shape, strides, strict=True)]
    return offset + sum([r for r in reach if r < 0]), offset + sum([r for r in reach if r > 0])


def digits(offset: int, steps: Ints, axes: Ints, shape: Ints) -> Access:
    """The index vector in an array of this shape of places in its row-major elements.

    Raises:
        Split: it would be affine if that loop axis were two.
        NotAffine: it is not.
    """
    n = len(shape)
    strides = row_major(shape)
    offsets = [0] * n
    moves = [[0] * len(axes) for _ in range(n)]
    rest = list(steps)
    for d, stride in enumerate(strides):
        if shape[d] == 1:
            continue
        offsets[d], offset = divmod(offset, stride)
        for i, step in enumerate(rest):
            if step:
                q = abs(step) // stride * (1 if step > 0 else -1)
                moves[d][i] = q
                rest[i] = step - q * stride
    for d in range(n):
        low, high = span(axes, moves[d], offsets[d])
        if low < 0 or high >= shape[d]:
            raise _carries(steps, axes, shape)
    return Access(tuple(offsets), tuple([tuple(m) for m in moves]))


def _carries(steps: Ints, axes: Ints, shape: Ints) -> Exception:
    """What to do about an axis that walks over the end of a dimension."""
    for i, (step, count) in enumerate(zip(steps, axes, strict=True)):
        if step <= 0:
            continue
        for d in range(len(shape) - 1, 0, -1):
            whole = math.prod(shape[d:])  # the next dimension's stride
            if whole % step == 0:
                inner = whole // step
                if 1 < inner < count and count % inner == 0:
                    return Split(i, inner)
    return NotAffine()
