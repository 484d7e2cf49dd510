"""Passes over a graph: the same values said more simply.

In: a graph.  Out: a graph that stores the same bits, except that sums over very many elements are
cut into sums of parts.  Values are rebuilt from the leaves; equal ones become one; what is not used
falls away by itself, because a graph is what its stores reach.  Rules on floating-point numbers
hold for every number, -0, infinities and NaN included (x * 1 is x, x + 0 is not).
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rushlight.compiler import values
from rushlight.compiler.access import NotAffine, Split, digits, flat
from rushlight.compiler.reference import value_of
from rushlight.compiler.selections import picks, sums_of_one
from rushlight.ir.graph import Graph, Store, Value, const, row_major, verify

__all__ = ["MUST_CHECK", "number_of", "passes", "rewrite", "simplify"]

Ints = tuple[int, ...]
Rule = Callable[[Value], Value]

# Products that are loops like any other: multiply-adds of tiny ones, of those with a short sum.
# (Packing costs (100, 2) by (2, 100) four times what loops do.)
_TINY_PRODUCT, _SHORT, _SHORT_PRODUCT = 6000, 4, 1 << 16
_FEW_ROWS, _LONG, _CHUNK = 16, 1 << 15, 4096  # which reductions are cut, and into what
_BAND, _BANDED = 32, 1 << 17  # rows that are summed together, of arrays with so many elements
_ASSOCIATIVE = frozenset(("add", "multiply", "maximum", "minimum", "logical_or", "logical_and"))
_KNOWN_BYTES = 256  # constants up to this size are compared by what they hold
MUST_CHECK = os.environ.get("RUSHLIGHT_VERIFY") == "1"


def simplify(graph: Graph) -> Graph:
    """All passes, one after another."""
    for one in passes:
        graph = rewrite(graph, one)
        if MUST_CHECK:
            verify(graph)
    return graph


def rewrite(graph: Graph, rule: Rule) -> Graph:
    """The graph with a rule applied to each value, after its inputs; equal values become one."""
    new: dict[Value, Value] = {}
    known: dict[Any, Value] = {}
    for v in graph.values():
        inputs = tuple([new[x] for x in v.inputs])
        changed = any([a is not b for a, b in zip(inputs, v.inputs, strict=True)])
        same = Value(v.kind, inputs, v.attrs, v.shape, v.dtype) if changed else v
        new[v] = _one_of(known, rule(_one_of(known, same)))
    stores = tuple([Store(new[s.value], *s[1:]) for s in graph.stores])
    return Graph(stores, graph.slots, graph.numbers)


def _one_of(known: dict[Any, Value], v: Value) -> Value:
    """The value itself, or an equal one that was there before."""
    key = _key(v)
    return v if key is None else known.setdefault(key, v)


def _key(v: Value) -> Any:
    if v.kind == "opaque":
        return None  # it may draw random numbers
    attrs: Any = v.attrs
    if v.kind == "const":
        array = v.attrs[0]
        attrs = array.tobytes() if array.nbytes <= _KNOWN_BYTES else id(array)
    elif v.kind == "kernel":
        attrs = (v.attrs[0].name, repr(v.attrs[1]), repr(v.attrs[3]), id(v.attrs[2]))
    return v.kind, tuple([id(x) for x in v.inputs]), attrs, v.shape, v.dtype


# Elementwise


def _scalar(v: Value) -> Value | None:
    """The 0-d value that a value repeats, if it repeats one."""
    if not v.shape:
        return v
    if v.kind == "view" and not any(v.attrs[0]):
        base, (_, offset) = v.inputs[0], v.attrs
        return base if not base.shape else values.view(base, (), (), offset)
    return None


def number_of(v: Value) -> Any:
    """The number that a value is, everywhere; None if that is not known."""
    base = _scalar(v)
    return base.attrs[0].item() if base is not None and base.kind == "const" else None


def _positive_zero(x: Any) -> bool:
    return bool(x == 0 and math.copysign(1.0, x) > 0)


def elementwise(v: Value) -> Value:
    """Constants are computed, repeated numbers computed once, neutral operations dropped."""
    if v.kind != "map":
        return v
    name, inputs = v.attrs[0], v.inputs
    if all([x.kind == "const" and not x.shape for x in inputs]):
        with np.errstate(all="ignore"):
            return const(value_of(v, [x.attrs[0] for x in inputs], (), ()), v.dtype)
    if v.shape:
        scalars = [_scalar(x) for x in inputs]
        found = [s for s in scalars if s is not None]
        if len(found) == len(inputs):
            once = elementwise(Value("map", found, v.attrs, (), v.dtype))
            return values.broadcast_to(once, v.shape)
    if name == "cast":
        return inputs[0] if inputs[0].dtype == v.dtype else v
    if name == "where":
        return _where(v)
    if name in _NEUTRAL and all([x.dtype == v.dtype for x in inputs]):
        return _neutral(v)
    return v


def _where(v: Value) -> Value:
    condition, x, y = v.inputs
    known = number_of(condition)
    if known is None:
        return v
    return values.broadcast_to(x if known else y, v.shape)


_NEUTRAL = frozenset(("multiply", "divide", "true_divide", "add", "subtract", "power"))


def _neutral(v: Value) -> Value:
    """A product with 1, a sum with -0, a square."""
    name = v.attrs[0]
    x, y = v.inputs
    left, right = number_of(x), number_of(y)
    if name == "multiply" and left == 1 and type(left) is not bool:
        return values.broadcast_to(y, v.shape)
    if name in ("multiply", "divide", "true_divide") and right == 1 and type(right) is not bool:
        return values.broadcast_to(x, v.shape)
    whole = v.dtype.kind in "iu"
    if name == "subtract" and right == 0 and (whole or _positive_zero(right)):
        return values.broadcast_to(x, v.shape)
    if name == "add":
        if right == 0 and (whole or not _positive_zero(right)):
            return values.broadcast_to(x, v.shape)
        if left == 0 and (whole or not _positive_zero(left)):
            return values.broadcast_to(y, v.shape)
    if name == "power" and right == 2 and v.dtype.kind == "f":
        return Value("map", (x, x), ("multiply",), v.shape, v.dtype)
    return v


# Views


def views(v: Value) -> Value:
    """A view of a view, or of memory, reads what lies below, where strides can say it."""
    if v.kind != "view":
        return v
    base, (strides, offset) = v.inputs[0], v.attrs
    if base.kind not in ("view", "input"):
        return values.view(base, v.shape, strides, offset)
    try:
        at = digits(offset, strides, v.shape, base.shape)
    except (NotAffine, Split):
        return values.view(base, v.shape, strides, offset)
    if base.kind == "view":
        place, steps = flat(at, base.attrs[0], base.attrs[1], len(v.shape))
        return views(values.view(base.inputs[0], v.shape, steps, place))
    slot, below, start = base.attrs
    place, steps = flat(at, below, start, len(v.shape))
    return Value("input", (), (slot, steps, place), v.shape, v.dtype)


# Products


def products(v: Value) -> Value:
    """A tiny matrix product is a sum of products, which fuses with what surrounds it."""
    if v.kind != "matmul":
        return v
    a, b = v.inputs
    k = a.shape[-1]
    if v.size * k > _TINY_PRODUCT and not (k <= _SHORT and v.size * k <= _SHORT_PRODUCT):
        return v
    m, n = v.shape[-2:]
    lead = len(v.shape) - 2
    shape = (*v.shape, k)
    left = values.reshape(a, (*a.shape[:-1], 1, k))
    order = (*range(len(b.shape) - 2), len(b.shape) - 1, len(b.shape) - 2)
    right = values.transpose(b, order)
    right = values.reshape(right, (*right.shape[:-2], 1, n, k))
    assert len(shape) == lead + 3 and shape[lead] == m
    product = Value("map", (left, right), ("multiply",), shape, v.dtype)
    return values.reduce("add", product, (lead + 2,))


# Reductions


def reductions(v: Value) -> Value:
    """A reduction of very many elements to few is cut into parts, which threads can share.

    One down the columns of a large array is cut into bands of rows: whoever made the rows sums
    them.
    """
    if v.kind != "reduce":
        return v
    name, axes = v.attrs
    x = v.inputs[0]
    if name in ("argmax", "argmin") and x.shape[axes[0]] == 1:
        return values.broadcast_to(const(0, v.dtype), v.shape)
    if name not in _ASSOCIATIVE:
        return v
    length = math.prod([x.shape[a] for a in axes])
    if len(x.shape) - 1 not in axes and v.size >= _BAND and x.size >= _BANDED:
        return _chunks(v, max(axes, key=lambda a: x.shape[a]), _BAND)
    if v.size >= _FEW_ROWS or length < _LONG:
        return v
    rows, first = v.size, 0
    while first < len(axes) - 1 and rows < _FEW_ROWS:
        rows *= x.shape[axes[first]]
        first += 1
    if rows >= _FEW_ROWS and first < len(axes) and length * v.size // rows >= _FEW_ROWS:
        part = values.reduce(name, x, axes[first:], v.dtype)
        return values.reduce(name, part, axes[:first], v.dtype)
    return _chunks(v, max(axes, key=lambda a: x.shape[a]), _CHUNK)


def _chunks(v: Value, axis: int, size: int) -> Value:
    """A reduction whose longest axis is cut into chunks of this size."""
    name, axes = v.attrs
    x = v.inputs[0]
    count, left = divmod(x.shape[axis], size)
    if count < 2:
        return v
    others = [a for a in axes if a != axis]
    main = _chunk(name, x, axis, 0, count, size, others)
    whole = values.reduce(name, main, [_after(axis, others)], v.dtype)
    if not left:
        return whole
    rest = _chunk(name, x, axis, count * size, 1, left, others)
    rest = values.reshape(rest, whole.shape)
    return Value("map", (whole, rest), (name,), whole.shape, v.dtype)


def _after(axis: int, gone: Sequence[int]) -> int:
    return axis - sum([a < axis for a in gone])


def _chunk(
    name: str, x: Value, axis: int, start: int, count: int, size: int, others: Sequence[int]
) -> Value:
    """The reductions of chunks; the axis now counts chunks."""
    strides = row_major(x.shape)
    step = strides[axis]
    shape = (*x.shape[:axis], count, size, *x.shape[axis + 1 :])
    steps = (*strides[:axis], step * size, step, *strides[axis + 1 :])
    part = views(values.view(x, shape, steps, start * step))
    gone = [axis + 1, *[a + (a > axis) for a in others]]
    made = values.reduce(name, part, gone, x.dtype)
    wanted = [count if a == axis else n for a, n in enumerate(x.shape) if a not in others]
    return values.reshape(made, wanted)


# Calls


def operands_in_order(v: Value) -> Value:
    """Native kernels of whole operators, and views that walk across, read row-major copies."""
    if v.kind == "scatter":
        return _whole_indices(v)
    if v.kind != "kernel" and not (v.kind == "view" and v.inputs[0].kind == "input"):
        return v
    inputs = [_straight(x) for x in v.inputs]
    if all([a is b for a, b in zip(inputs, v.inputs, strict=True)]):
        return v
    return Value(v.kind, inputs, v.attrs, v.shape, v.dtype)


def _whole_indices(v: Value) -> Value:
    """A scatter whose indices all have the same shape, and lie in row-major order."""
    base, put, *indices = v.inputs
    shape = put.shape[: len(put.shape) - (len(base.shape) - len(indices))]
    whole = [_straight(values.broadcast_to(i, shape)) for i in indices]
    return Value("scatter", (base, _straight(put), *whole), v.attrs, v.shape, v.dtype)


def _straight(x: Value) -> Value:
    if x.kind != "input":
        return x
    plain = zip(x.shape, x.attrs[1], row_major(x.shape), strict=True)
    if all([n == 1 or s == r for n, s, r in plain]):
        return x
    return Value("view", (x,), (row_major(x.shape), 0), x.shape, x.dtype)


passes: list[Rule] = [
    lambda v: elementwise(views(v)),
    lambda v: reductions(products(picks(sums_of_one(v)))),
    lambda v: operands_in_order(elementwise(views(v))),
]
