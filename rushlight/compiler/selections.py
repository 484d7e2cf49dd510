"""Rules for few elements of many: sums in which one term counts, picks from computed arrays.

In: a value of a graph.  Out: an equal one, to the bit.  A class label selects one element of a row:
the gradient of a loss is zeros with one number among them, whose sum need not be walked, and the
loss itself needs one logarithm of a row, not all of them in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rushlight.compiler import values
from rushlight.ir.graph import Value, const

__all__ = ["picks", "sums_of_one"]

Ints = tuple[int, ...]

_MEMORY = frozenset(("input", "const", "reduce", "matmul", "part", "scatter", "concat"))
_LONGEST = 60  # values of an expression that is made again
_FEWER = 8  # times: how many fewer elements must be picked than there are


class _Rebuilding:
    """Expressions made again without what their result does not need; long ones are given up."""

    def __init__(self) -> None:
        self.left = _LONGEST
        self.known: dict[Any, Value | None] = {}

    def once(self, key: Any, make: Callable[[], Value | None]) -> Value | None:
        """What a part of the expression becomes; None if that is not known, or too long."""
        if key not in self.known:
            self.left -= 1
            self.known[key] = make() if self.left >= 0 else None
        return self.known[key]

    def map(self, v: Value, inputs: Sequence[Value | None], shape: Ints) -> Value | None:
        """A map of other inputs, if all are known."""
        known = [x for x in inputs if x is not None]
        return Value("map", known, v.attrs, shape, v.dtype) if len(known) == len(inputs) else None

    def without(self, v: Value, axis: int, ndim: int) -> Value | None:
        """A value that broadcasts to an array of so many dimensions, without an axis of it.

        Returns:
            None if the value is not known to be the same all along the axis.
        """
        d = axis - (ndim - len(v.shape))
        if d < 0:
            return v
        shape = (*v.shape[:d], *v.shape[d + 1 :])
        if v.shape[d] == 1:
            return values.reshape(v, shape)
        if v.kind == "view" and not v.attrs[0][d]:
            strides, offset = v.attrs
            return values.view(v.inputs[0], shape, (*strides[:d], *strides[d + 1 :]), offset)
        if v.kind != "map":
            return None

        def made() -> Value | None:
            return self.map(v, [self.without(x, d, len(v.shape)) for x in v.inputs], shape)

        return self.once((v, d), made)

    def picked(self, x: Value, indices: Sequence[Value], shape: Ints) -> Value | None:
        """What is picked from an array, computed from what is picked from its parts."""
        if x.kind != "map":
            return self.picked_part(x, indices, shape)

        def made() -> Value | None:
            whole = [values.broadcast_to(p, x.shape) for p in x.inputs]
            return self.map(x, [self.picked(p, indices, shape) for p in whole], shape)

        return self.once(x, made)

    def picked_part(self, x: Value, indices: Sequence[Value], shape: Ints) -> Value | None:
        """What is picked from an array in memory, or from one that repeats it."""
        kept = list(indices)
        for d in reversed(range(len(indices))):
            smaller = self.without(x, d, len(x.shape))
            if smaller is not None:
                x = smaller
                del kept[d]
        if not kept:
            return values.broadcast_to(x, shape)
        for a in range(len(kept[0].shape)) if len(kept) == len(x.shape) == 1 else ():
            if _counts(kept[0], a, len(kept[0].shape), x.size):  # all of it, in order
                after = len(kept[0].shape) - a - 1
                return values.broadcast_to(values.reshape(x, (x.size, *(1,) * after)), shape)
        return values.broadcast_to(values.index(x, kept), shape) if x.kind in _MEMORY else None


def _counts(v: Value, axis: int, ndim: int, size: int) -> bool:
    """Whether a value that broadcasts to an array counts 0, 1, ... along one of its axes."""
    d = axis - (ndim - len(v.shape))
    if d < 0 or v.shape[d] != size:
        return False
    if v.kind == "iota":
        return True
    if v.kind != "view" or v.inputs[0].kind != "iota":
        return False
    strides, offset = v.attrs
    steps = [1 if i == d else 0 for i in range(len(v.shape))]
    return list(strides) == steps and offset == 0 and v.inputs[0].shape == (size,)


def sums_of_one(v: Value) -> Value:
    """The sum of ``where(position == k, x, 0)`` over all positions is x, where k is one of them."""
    if v.kind != "reduce" or v.attrs[0] != "add" or len(v.attrs[1]) != 1:
        return v
    row, axis = v.inputs[0], v.attrs[1][0]
    if row.kind != "map" or row.attrs[0] != "where" or row.shape[axis] < 2:
        return v
    condition, x, other = row.inputs
    ndim, size = len(row.shape), row.shape[axis]
    if condition.kind != "map" or condition.attrs[0] != "equal" or not _zero(other):
        return v
    term = _Rebuilding().without(x, axis, ndim)
    label = _label(condition, axis - (ndim - len(condition.shape)), size)
    if term is None or label is None:
        return v
    inside = values.ufunc(
        np.logical_and,
        [values.ufunc(np.greater_equal, [label, 0]), values.ufunc(np.less, [label, size])],
    )
    zero = const(0, v.dtype)
    total = values.ufunc(np.add, [values.choose(inside, term, zero), zero])  # -0 and zeros make 0
    return values.broadcast_to(total, v.shape)


def _label(condition: Value, axis: int, size: int) -> Value | None:
    """With what positions along an axis are compared, if it is the same all along."""
    ndim = len(condition.shape)
    for position, other in (condition.inputs, condition.inputs[::-1]):
        if _counts(position, axis, ndim, size):
            return _Rebuilding().without(other, axis, ndim)
    return None


def _zero(v: Value) -> bool:
    while v.kind == "view":
        v = v.inputs[0]
    return v.kind == "const" and not v.shape and v.attrs[0] == 0 and not np.signbit(v.attrs[0])


def picks(v: Value) -> Value:
    """A few elements of a map are the map of a few elements."""
    if v.kind != "index" or v.inputs[0].kind != "map" or v.inputs[0].size < _FEWER * v.size:
        return v
    base, *indices = v.inputs
    found = _Rebuilding().picked(base, indices, v.shape)
    return v if found is None or not _checks(found, len(indices)) else found


def _checks(v: Value, indices: int) -> bool:
    """Whether some part of a map is picked by all the indices, so that each is checked."""
    if v.kind == "map":
        return any([_checks(x, indices) for x in v.inputs])
    return v.kind == "index" and len(v.inputs) == indices + 1
