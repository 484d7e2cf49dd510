"""Making values of a graph: maps with promoted operands, views of views, reductions, products.

In: Values and NumPy arrays.  Out: Values in the simplest of equal forms: a view of a view is one
view where strides can say it, a cast to the same dtype is nothing, sums over dimensions of size 1
are views, and what has no elements is a const.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from rushlight.ir.graph import Value, const, row_major

__all__ = [
    "NotCaptured",
    "broadcast_to",
    "cast",
    "choose",
    "concat",
    "from_array",
    "index",
    "matmul",
    "reduce",
    "reshape",
    "scatter",
    "strided",
    "transpose",
    "ufunc",
    "view",
]

Ints = tuple[int, ...]
_INT64 = np.dtype(np.int64)
_ROUNDS = frozenset(("gcd", "lcm"))  # as many rounds as the numbers say: not generated code
_REDUCES = frozenset(("add", "multiply", "maximum", "minimum", "logical_or", "logical_and"))


class NotCaptured(Exception):
    """A kernel does what a graph does not say; the call is made whole, by NumPy."""


def make(
    kind: str, inputs: Sequence[Value], attrs: tuple[Any, ...], shape: Ints, dtype: Any
) -> Value:
    """A value; without elements it is a constant."""
    if dtype.kind not in "buif" and dtype.name != "bfloat16":
        raise NotCaptured(f"values of {dtype}")
    if 0 in shape:
        return const(np.empty(shape, dtype), dtype)
    return Value(kind, inputs, attrs, shape, dtype)


# Constants


def from_array(array: Any) -> Value:
    """A NumPy array or number as a value: uniform and evenly spaced ones are not data."""
    array = np.asarray(array)
    if array.size == 0 or array.ndim == 0:
        return make("const", (), (array.copy(),), array.shape, array.dtype)
    flat = array.reshape(-1)
    if array.size > 1 and not any(array.strides):
        return broadcast_to(from_array(flat[0]), array.shape)
    if flat.tobytes() == flat[:1].tobytes() * array.size:
        return broadcast_to(from_array(flat[0]), array.shape)
    if array.dtype.kind in "iu" and array.size > 2:
        start, step = int(flat[0]), int(flat[1]) - int(flat[0])
        if np.array_equal(flat, start + step * np.arange(array.size)):
            count = Value("iota", (), (), (array.size,), _INT64)
            if step != 1:
                count = ufunc(np.multiply, [count, const(step, _INT64)])
            if start:
                count = ufunc(np.add, [count, const(start, _INT64)])
            return reshape(cast(count, array.dtype), array.shape)
    return make("const", (), (np.array(array, order="C"),), array.shape, array.dtype)


# Views


def strided(v: Value) -> tuple[Value, Ints, int]:
    """A value as (base, strides, offset) of the base's row-major elements."""
    if v.kind == "view":
        return (v.inputs[0], *v.attrs)
    return v, row_major(v.shape), 0


def view(base: Value, shape: Sequence[int], strides: Sequence[int], offset: int) -> Value:
    """The base's row-major elements read with these strides."""
    shape = tuple(shape)
    steps = tuple(0 if n == 1 else s for n, s in zip(shape, strides, strict=True))
    plain = tuple(0 if n == 1 else s for n, s in zip(shape, row_major(shape), strict=True))
    if shape == base.shape and offset == 0 and steps == plain:
        return base
    return make("view", (base,), (steps, offset), shape, base.dtype)


def broadcast_to(v: Value, shape: Sequence[int]) -> Value:
    """Repeated along leading dimensions and dimensions of size 1."""
    shape = tuple(shape)
    if v.shape == shape:
        return v
    if np.broadcast_shapes(v.shape, shape) != shape:
        raise ValueError(f"cannot broadcast {v.shape} to {shape}")
    base, strides, offset = strided(v)
    lead = len(shape) - len(v.shape)
    steps = [0] * lead + [
        s if n == m else 0 for n, m, s in zip(v.shape, shape[lead:], strides, strict=True)
    ]
    return view(base, shape, steps, offset)


def transpose(v: Value, order: Sequence[int]) -> Value:
    """Dimensions in another order."""
    base, strides, offset = strided(v)
    return view(base, [v.shape[d] for d in order], [strides[d] for d in order], offset)


def reshape(v: Value, shape: Sequence[int]) -> Value:
    """The row-major elements in another shape, which may hold one -1."""
    sizes = [int(n) for n in shape]
    if -1 in sizes:
        rest = -math.prod(sizes)
        sizes[sizes.index(-1)] = v.size // rest if rest else 0
    if math.prod(sizes) != v.size:
        raise ValueError(f"cannot reshape array of size {v.size} into shape {tuple(shape)}")
    if tuple(sizes) == v.shape:
        return v
    base, strides, offset = strided(v)
    steps = _reshaped_strides(v.shape, strides, sizes)
    if steps is None:
        return view(v, sizes, row_major(sizes), 0)
    return view(base, sizes, steps, offset)


def _reshaped_strides(old: Ints, strides: Ints, new: Sequence[int]) -> Ints | None:
    """Strides that read the same elements in another shape, if there are such."""
    kept = [(n, s) for n, s in zip(old, strides, strict=True) if n != 1]
    if 0 in new:
        return tuple([0] * len(new))
    found = [0] * len(new)
    at, j = 0, 0
    while at < len(kept):
        size, first = kept[at][0], at
        group = []
        have = 1
        while have != size:
            if have < size:
                have *= new[j]
                group.append(j)
                j += 1
            else:
                at += 1
                size *= kept[at][0]
        for k in range(first, at):
            if kept[k][1] != kept[k + 1][0] * kept[k + 1][1]:
                return None
        step = kept[at][1]
        for k in reversed(group):
            found[k] = step
            step *= new[k]
        at += 1
    return tuple(found)


def concat(values: Sequence[Value], axis: int) -> Value:
    """Values of one dtype one after the other along a dimension."""
    used = [v for v in values if v.shape[axis]]
    if len(used) == 1:
        return used[0]
    first = values[0]
    shape = (*first.shape[:axis], sum(v.shape[axis] for v in used), *first.shape[axis + 1 :])
    return make("concat", used, (axis,), shape, first.dtype)


# Elementwise


def cast(v: Value, dtype: Any) -> Value:
    """Converted as NumPy's astype does."""
    dtype = np.dtype(dtype)
    return v if v.dtype == dtype else make("map", (v,), ("cast",), v.shape, dtype)


def _weak(x: Any) -> Any:
    """An operand as `resolve_dtypes` takes it: the type of a Python number, else a dtype."""
    return type(x) if type(x) in (int, float, complex) else x.dtype


def as_value(x: Any, dtype: Any) -> Value:
    """A Python number or a value, in a dtype."""
    if isinstance(x, Value):
        return cast(x, dtype)
    if type(x) is int and dtype.kind in "iu":
        info = np.iinfo(dtype)
        if not info.min <= x <= info.max:
            raise NotCaptured(f"the number {x} with {dtype}")
    return const(x, dtype)


def ufunc(function: Any, operands: Sequence[Any], dtype: Any = None) -> Value:
    """A ufunc of values and Python numbers, with NumPy's promotions; weak operands are numbers.

    Args:
        operands: Values, Python numbers, or pairs (Value, Python type) of run-time numbers, which
            promote as numbers of that type do.
        dtype: the ``dtype=`` of the call: the loop's result.
    """
    name = function.__name__
    known = isinstance(getattr(np, name, None), np.ufunc) and name not in _ROUNDS
    if not known or function.nout != 1:
        raise NotCaptured(f"the ufunc {name}")
    kinds = [x[1] if isinstance(x, tuple) else _weak(x) for x in operands]
    options = {} if dtype is None else {"signature": (*[None] * len(kinds), np.dtype(dtype))}
    *wanted, result = function.resolve_dtypes((*kinds, None), **options)
    values = [
        as_value(x[0] if isinstance(x, tuple) else x, dt)
        for x, dt in zip(operands, wanted, strict=True)
    ]
    if name in ("positive", "conjugate"):
        return values[0]
    shape = np.broadcast_shapes(*[v.shape for v in values])
    return make("map", values, (name,), shape, result)


def choose(condition: Value, x: Value, y: Value) -> Value:
    """``where``; both choices in one dtype."""
    shape = np.broadcast_shapes(condition.shape, x.shape, y.shape)
    return make("map", (cast(condition, np.bool_), x, y), ("where",), shape, x.dtype)


# Reductions and products


def reduce(name: str, v: Value, axes: Sequence[int], dtype: Any = None) -> Value:
    """A ufunc's reduction over axes, or ``argmax`` or ``argmin`` over one; the axes vanish."""
    if name in ("argmax", "argmin"):
        (axis,) = axes
        shape = tuple(n for i, n in enumerate(v.shape) if i != axis)
        return make("reduce", (v,), (name, (axis,)), shape, _INT64)
    if name not in _REDUCES:
        raise NotCaptured(f"the reduction {name}")
    if dtype is None:
        dtype = v.dtype
        if name in ("logical_or", "logical_and"):
            dtype = np.dtype(bool)
        elif name in ("add", "multiply") and dtype.kind in "biu" and dtype.itemsize < 8:
            dtype = np.dtype(np.uint64 if dtype.kind == "u" else np.int64)
    v = cast(v, dtype)
    shape = tuple(n for i, n in enumerate(v.shape) if i not in axes)
    if v.size == 0:
        empty = getattr(np, name).reduce(np.empty(v.shape, v.dtype), axis=tuple(axes))
        return from_array(np.asarray(empty, v.dtype))
    single = [a for a in axes if v.shape[a] == 1]
    if single:
        axes = _renumbered([a for a in axes if v.shape[a] != 1], single)
        v = reshape(v, [n for i, n in enumerate(v.shape) if i not in single])
    if not axes:
        return v
    return make("reduce", (v,), (name, tuple(sorted(axes))), shape, v.dtype)


def _renumbered(axes: Sequence[int], gone: Sequence[int]) -> list[int]:
    return [a - sum(g < a for g in gone) for a in axes]


def matmul(a: Value, b: Value) -> Value:
    """np.matmul of values of one dtype; of integers it is a sum of products."""
    if a.shape[-1 if len(a.shape) else 0] != b.shape[-2 if len(b.shape) > 1 else 0]:
        raise ValueError(f"matmul: sizes do not fit: {a.shape} and {b.shape}")
    one_left, one_right = len(a.shape) == 1, len(b.shape) == 1
    if one_left:
        a = reshape(a, (1, *a.shape))
    if one_right:
        b = reshape(b, (*b.shape, 1))
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    m, k, n = *a.shape[-2:], b.shape[-1]
    if a.dtype.kind != "f" or k == 0:
        plus, times = (
            ("logical_or", np.logical_and) if a.dtype.kind == "b" else ("add", np.multiply)
        )
        left = reshape(a, (*a.shape[:-2], m, k, 1))
        right = reshape(b, (*b.shape[:-2], 1, k, n))
        product = ufunc(times, [left, right])
        result = reduce(plus, product, (len(product.shape) - 2,), a.dtype)
    else:
        result = make("matmul", (a, b), (), (*batch, m, n), a.dtype)
    rows, columns = () if one_left else (m,), () if one_right else (n,)
    return reshape(result, (*batch, *rows, *columns))


# Picking and putting


def index(base: Value, indices: Sequence[Value]) -> Value:
    """base[indices], an integer array for each leading dimension."""
    indices = [cast(i, _INT64) for i in indices]
    shape = np.broadcast_shapes(*[i.shape for i in indices])
    rest = base.shape[len(indices) :]
    if base.size == 0 and math.prod(shape) * math.prod(rest):
        raise IndexError("index is out of bounds for an axis with size 0")
    return make("index", (base, *indices), (), (*shape, *rest), base.dtype)


def scatter(base: Value, values: Value, indices: Sequence[Value], mode: str) -> Value:
    """base with values set or added at indices, an integer array for each leading dimension."""
    indices = [cast(i, _INT64) for i in indices]
    shape = (*np.broadcast_shapes(*[i.shape for i in indices]), *base.shape[len(indices) :])
    if 0 in shape:
        return base
    values = broadcast_to(cast(values, base.dtype), shape)
    return make("scatter", (base, values, *indices), (mode,), base.shape, base.dtype)
