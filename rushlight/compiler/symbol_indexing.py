"""Indexing of Symbols: slices are views, integer arrays `index` values; writes `scatter`, `concat`.

In: a Symbol and what stood in the brackets.  Out: a Symbol; or the Symbol has been written to.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rushlight.compiler import values
from rushlight.compiler.symbols import FUNCTIONS, Symbol, lift
from rushlight.compiler.values import NotCaptured
from rushlight.ir.graph import Value, const

_INT64 = np.dtype(np.int64)


def _items(key: Any, ndim: int) -> list[Any]:
    """The parts of a key with the ellipsis written out, one for each dimension and new one."""
    items = list(key) if isinstance(key, tuple) else [key]
    taken = 0
    for x in items:
        if x is not None and x is not Ellipsis:
            taken += 1
    if taken > ndim:
        raise IndexError(f"too many indices for array: array is {ndim}-dimensional")
    dots = [i for i, x in enumerate(items) if x is Ellipsis]
    at = dots[0] if dots else len(items)
    return [*items[:at], *[slice(None)] * (ndim - taken), *items[at + 1 :]]


def _is_array(x: Any) -> bool:
    return isinstance(x, (Symbol, np.ndarray, list))


def _basic(v: Value, items: Sequence[Any]) -> Value:
    """A view by integers, slices and new dimensions."""
    base, strides, offset = values.strided(v)
    shape: list[int] = []
    steps: list[int] = []
    d = 0
    for x in items:
        if x is None:
            shape.append(1)
            steps.append(0)
            continue
        n, s = v.shape[d], strides[d]
        d += 1
        if isinstance(x, slice):
            start, stop, step = x.indices(n)
            count = len(range(start, stop, step))
            shape.append(count)
            steps.append(s * step)
            offset += start * s if count else 0
        else:
            i = int(x)
            if not -n <= i < n:
                raise IndexError(f"index {i} is out of bounds for axis {d - 1} with size {n}")
            offset += (i % n) * s
    return values.view(base, shape, steps, offset)


def _place(v: Value, items: Sequence[Any], new: Value) -> Value:
    """The value with new elements where the items (no new dimensions) point."""
    ranges = []
    shape: list[int] = []
    for x, n in zip(items, v.shape, strict=True):
        found = range(n)[x] if isinstance(x, slice) else range(n)[int(x) :][:1]
        if not isinstance(x, slice):
            found = range(int(x) % n, int(x) % n + 1)
        ranges.append(found)
        shape.append(len(found))
    new = values.reshape(new, shape)
    if new.size == 0:
        return v
    for d, r in enumerate(ranges):
        if r.step < 0:
            new = _basic(new, [slice(None)] * d + [slice(None, None, -1)] + _rest(new, d))
            ranges[d] = r[::-1]
    return _placed(v, ranges, new, 0)


def _rest(v: Value, d: int) -> list[Any]:
    return [slice(None)] * (len(v.shape) - d - 1)


def _cut(v: Value, d: int, start: int, stop: int, step: int = 1) -> Value:
    return _basic(v, [slice(None)] * d + [slice(start, stop, step)] + _rest(v, d))


def _placed(v: Value, ranges: Sequence[range], new: Value, d: int) -> Value:
    """As `_place`, from dimension d on: the others are whole already."""
    if d == len(ranges):
        return new
    r, n = ranges[d], v.shape[d]
    if len(r) == n:
        return _placed(v, ranges, new, d + 1)
    last = r[-1] + 1
    inner = _placed(_cut(v, d, r.start, last, r.step), ranges, new, d + 1)
    if r.step > 1 and len(r) > 1:
        inner = _interleaved(_cut(v, d, r.start, last), inner, d, r.step)
    return values.concat([_cut(v, d, 0, r.start), inner, _cut(v, d, last, n)], d)


def _interleaved(old: Value, new: Value, d: int, step: int) -> Value:
    """old with every step-th element along a dimension, the first and last too, taken from new."""
    lead, tail = old.shape[:d], old.shape[d + 1 :]
    count = new.shape[d] - 1
    first = values.reshape(_cut(new, d, 0, count), (*lead, count, 1, *tail))
    blocks = values.reshape(_cut(old, d, 0, count * step), (*lead, count, step, *tail))
    mixed = values.concat([first, _cut(blocks, d + 1, 1, step)], d + 1)
    whole = values.reshape(mixed, (*lead, count * step, *tail))
    return values.concat([whole, _cut(new, d, count, count + 1)], d)


class _Picked:
    """An index with integer arrays: the base seen with the indexed dimensions first.

    Attributes:
        order: the dimensions of the base (after its slices), the indexed ones first.
        indices: their index values.
        back: the order of the picked dimensions that NumPy gives the result.
    """

    def __init__(self, v: Value, items: Sequence[Any]) -> None:
        d = 0
        slices: list[Any] = []
        at: list[int] = []  # indexed dimensions, after slices and new dimensions
        found: list[Any] = []
        positions: list[int] = []  # in the key, to see whether they are neighbours
        integers = [isinstance(x, (int, np.integer)) for x in items]
        for i, x in enumerate(items):
            if _is_array(x) or integers[i]:
                at.append(len(slices))
                found.append(_whole_numbers(x, v.shape[d]))
                positions.append(i)
                slices.append(slice(None))
            else:
                slices.append(x)
            d += x is not None
        self.slices = slices
        self.indices = found
        self.base = _basic(v, slices)
        rest = [k for k in range(len(slices)) if k not in at]
        self.order = [*at, *rest]
        self.shape = np.broadcast_shapes(*[i.shape for i in found])
        neighbours = positions == list(range(positions[0], positions[0] + len(positions)))
        lead = sum(k < at[0] for k in rest) if neighbours else 0
        n = len(self.shape)
        self.back = [*range(n, n + lead), *range(n), *range(n + lead, n + len(rest))]

    def turned(self, v: Value) -> Value:
        """The base, or what has its shape, with the indexed dimensions first."""
        return values.transpose(v, self.order)

    def straight(self, v: Value) -> Value:
        """The opposite."""
        return values.transpose(v, [self.order.index(k) for k in range(len(self.order))])


def _whole_numbers(x: Any, size: int) -> Value:
    v = const(int(x), _INT64) if isinstance(x, (int, np.integer)) else lift(x)
    if v.dtype.kind not in "iu":
        if v.size == 0:
            return values.cast(v, _INT64)
        raise NotCaptured("an index by truth values")
    return values.cast(v, _INT64)


def getitem(x: Symbol, key: Any) -> Any:
    """x[key]."""
    items = _items(_real_masks(key), x.ndim)
    if not any(_is_array(i) for i in items):
        return x.viewed(lambda v: _basic(v, items), lambda v, new: _put_basic(v, items, new))
    picked = _Picked(x.value, items)
    result = values.index(picked.turned(picked.base), picked.indices)
    return Symbol(values.transpose(result, picked.back))


def _put_basic(v: Value, items: Sequence[Any], new: Value) -> Value:
    return _place(v, [x for x in items if x is not None], new)


def _real_masks(key: Any) -> Any:
    """A key whose masks that are known arrays are indices."""
    items = key if isinstance(key, tuple) else (key,)
    found: list[Any] = []
    for x in items:
        if isinstance(x, np.ndarray) and x.dtype == bool:
            found.extend(np.nonzero(x))
        else:
            found.append(x)
    return tuple(found)


def setitem(x: Symbol, key: Any, new: Any) -> None:
    """x[key] = new."""
    if isinstance(key, tuple) and len(key) == 1:
        (key,) = key
    if isinstance(key, Symbol) and key.dtype == bool:
        x.write(_masked(x.value, key.value, values.cast(lift(new), x.dtype)))
        return
    items = _items(_real_masks(key), x.ndim)
    value = values.cast(lift(new), x.dtype)
    if not any(_is_array(i) for i in items):
        value = _broadcast(value, _basic(x.value, items).shape)
        x.write(_put_basic(x.value, items, value))
        return
    _write(x, items, value, "set")


def _broadcast(v: Value, shape: tuple[int, ...]) -> Value:
    """Broadcast as assignment does: superfluous leading dimensions of size 1 vanish."""
    extra = len(v.shape) - len(shape)
    if extra > 0 and all(n == 1 for n in v.shape[:extra]):
        v = values.reshape(v, v.shape[extra:])
    return values.broadcast_to(v, shape)


def _masked(v: Value, mask: Value, new: Value) -> Value:
    if new.size != 1:
        raise NotCaptured("an array written under a mask")
    mask = values.reshape(mask, (*mask.shape, *(1,) * (len(v.shape) - len(mask.shape))))
    return values.broadcast_to(values.choose(mask, values.reshape(new, ()), v), v.shape)


def add_at(x: Symbol, key: Any, new: Any) -> None:
    """np.add.at(x, key, new)."""
    items = _items(_real_masks(key), x.ndim)
    if not any(_is_array(i) for i in items):
        x[key] = x[key] + new
        return
    _write(x, items, values.cast(lift(new), x.dtype), "add")


def _write(x: Symbol, items: Sequence[Any], new: Value, mode: str) -> None:
    picked = _Picked(x.value, items)
    turned = picked.turned(picked.base)
    rest = turned.shape[len(picked.indices) :]
    shape = (*picked.shape, *rest)
    wanted = [shape[k] for k in picked.back]
    new = _broadcast(new, tuple(wanted))
    new = values.transpose(new, [picked.back.index(k) for k in range(len(shape))])
    written = picked.straight(values.scatter(turned, new, picked.indices, mode))
    x.write(_put_basic(x.value, picked.slices, written))


FUNCTIONS["getitem"] = getitem
FUNCTIONS["setitem"] = setitem
FUNCTIONS["add_at"] = add_at
