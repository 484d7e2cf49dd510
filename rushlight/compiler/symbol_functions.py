"""NumPy's functions on Symbols: those that NumPy does not itself make of methods and operators.

Each is what `np.NAME` does, with the parameters that kernels use.  Other functions run NumPy's own
Python code on the Symbol, or raise `NotCaptured`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rushlight.compiler import values
from rushlight.compiler.symbols import FUNCTIONS, Symbol, axes_of, lift, operand
from rushlight.compiler.values import NotCaptured
from rushlight.ir.graph import Value


def _of(function: Any) -> Callable[[Any], Any]:
    def note(f: Any) -> Any:
        FUNCTIONS[function] = f
        return f

    return note


def _common(xs: Sequence[Any]) -> list[Value]:
    """Values of the dtype to which NumPy promotes these arrays and numbers."""
    kinds = []
    for x in xs:
        found = operand(x)
        if isinstance(found, tuple):
            kinds.append(found[1](0))
        else:
            kinds.append(found.dtype if isinstance(found, Value) else found)
    dtype = np.result_type(*kinds)
    return [values.as_value(x if type(x) in (int, float) else lift(x), dtype) for x in xs]


@_of(np.where)
def _where(condition: Any, x: Any = None, y: Any = None) -> Any:
    if x is None:
        raise NotCaptured("where() of one argument")
    return Symbol(values.choose(lift(condition), *_common([x, y])))


@_of(np.concatenate)
def _concatenate(arrays: Any, axis: Any = 0, out: Any = None, **options: Any) -> Any:
    found = _common(list(arrays))
    if axis is None:
        found, axis = [values.reshape(v, (-1,)) for v in found], 0
    return Symbol(values.concat(found, axes_of(axis, len(found[0].shape))[0]))


@_of(np.stack)
def _stack(arrays: Any, axis: int = 0, out: Any = None, **options: Any) -> Any:
    found = _common(list(arrays))
    (at,) = axes_of(axis, len(found[0].shape) + 1)
    parts = [values.reshape(v, (*v.shape[:at], 1, *v.shape[at:])) for v in found]
    return Symbol(values.concat(parts, at))


def _like(x: Any, dtype: Any, shape: Any, fill: Any) -> Any:
    shape = x.shape if shape is None else shape
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    dtype = np.dtype(x.dtype if dtype is None else dtype)
    v = fill if isinstance(fill, Value) else values.from_array(np.asarray(fill).astype(dtype))
    return Symbol(values.broadcast_to(values.cast(v, dtype), shape))


@_of(np.zeros_like)
@_of(np.empty_like)
def _zeros_like(
    a: Any, dtype: Any = None, order: str = "K", subok: bool = True, shape: Any = None
) -> Any:
    return _like(a, dtype, shape, 0)


@_of(np.ones_like)
def _ones_like(
    a: Any, dtype: Any = None, order: str = "K", subok: bool = True, shape: Any = None
) -> Any:
    return _like(a, dtype, shape, 1)


@_of(np.full_like)
def _full_like(
    a: Any,
    fill_value: Any,
    dtype: Any = None,
    order: str = "K",
    subok: bool = True,
    shape: Any = None,
) -> Any:
    fill = fill_value.value if isinstance(fill_value, Symbol) else fill_value
    return _like(a, dtype, shape, fill)


@_of(np.copy)
def _copy(a: Any, order: str = "K", subok: bool = False) -> Any:
    return a.copy()


@_of(np.copyto)
def _copyto(dst: Any, src: Any, casting: str = "same_kind", where: Any = True) -> None:
    if not isinstance(dst, Symbol):
        raise NotCaptured("a write into a real array")
    new = values.cast(lift(src), dst.dtype)
    if where is not True:
        new = values.choose(lift(where), new, dst.value)
    dst.write(new)


@_of(np.broadcast_to)
def _broadcast_to(array: Any, shape: Any, subok: bool = False) -> Any:
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    return Symbol(values.broadcast_to(lift(array), shape))


@_of(np.broadcast_arrays)
def _broadcast_arrays(*args: Any, subok: bool = False) -> Any:
    found = [lift(x) for x in args]
    shape = np.broadcast_shapes(*[v.shape for v in found])
    return tuple(Symbol(values.broadcast_to(v, shape)) for v in found)


@_of(np.expand_dims)
def _expand_dims(a: Any, axis: Any) -> Any:
    axes = (axis,) if isinstance(axis, int) else tuple(axis)
    new = axes_of(axes, a.ndim + len(axes))
    sizes = iter(a.shape)
    return a.reshape([1 if d in new else next(sizes) for d in range(a.ndim + len(axes))])


@_of(np.atleast_1d)
def _atleast_1d(*arrays: Any) -> Any:
    found = [x if np.ndim(x) else _symbol(x).reshape(1) for x in arrays]
    return found[0] if len(found) == 1 else tuple(found)


def _symbol(x: Any) -> Symbol:
    return x if isinstance(x, Symbol) else Symbol(lift(x))


@_of(np.take)
def _take(a: Any, indices: Any, axis: Any = None, out: Any = None, mode: str = "raise") -> Any:
    if mode != "raise":
        raise NotCaptured("take() with a mode")
    if axis is None:
        return _symbol(a).reshape(-1)[indices]
    (at,) = axes_of(axis, np.ndim(a))
    return _symbol(a)[(*(slice(None),) * at, indices)]


@_of(np.take_along_axis)
def _take_along_axis(arr: Any, indices: Any, axis: Any = -1) -> Any:
    return _symbol(arr)[_along(np.shape(arr), _symbol(indices), axis)]


@_of(np.put_along_axis)
def _put_along_axis(arr: Any, indices: Any, values: Any, axis: Any) -> None:
    if not isinstance(arr, Symbol):
        raise NotCaptured("a write into a real array")
    arr[_along(arr.shape, _symbol(indices), axis)] = values


def _along(shape: tuple[int, ...], indices: Symbol, axis: int) -> tuple[Any, ...]:
    """The index that names an element for each of `indices`, in its own place but for one axis."""
    (at,) = axes_of(axis, len(shape))
    key: list[Any] = []
    for d, n in enumerate(shape):
        if d == at:
            key.append(indices)
        else:  # a size of 1 in the indices broadcasts, as in NumPy
            key.append(np.arange(n).reshape([-1 if k == d else 1 for k in range(len(shape))]))
    return tuple(key)


@_of(np.roll)
def _roll(a: Any, shift: Any, axis: Any = None) -> Any:
    if axis is None:
        return _roll(a.reshape(-1), shift, 0).reshape(a.shape)
    shifts = (shift,) if isinstance(shift, int) else tuple(shift)
    axes = (axis,) if isinstance(axis, int) else tuple(axis)
    v = a.value
    for by, d in zip(shifts, axes, strict=True):
        n = v.shape[d]
        if n and by % n:
            x, lead = Symbol(v), (slice(None),) * axes_of(d, len(v.shape))[0]
            cut = n - by % n
            parts = [x[(*lead, slice(cut, n))], x[(*lead, slice(0, cut))]]
            v = _concatenate(parts, axis=len(lead)).value
    return Symbol(v)


@_of(np.tile)
def _tile(A: Any, reps: Any) -> Any:
    repeats = (reps,) if isinstance(reps, int) else tuple(reps)
    shape = (1,) * (len(repeats) - A.ndim) + A.shape
    repeats = (1,) * (len(shape) - len(repeats)) + repeats
    v = values.reshape(A.value, [n for size in shape for n in (1, size)])
    wide = [n for r, size in zip(repeats, shape, strict=True) for n in (r, size)]
    spread = values.broadcast_to(v, wide)
    return Symbol(
        values.reshape(spread, [r * size for r, size in zip(repeats, shape, strict=True)])
    )


@_of(np.repeat)
def _repeat(a: Any, repeats: Any, axis: Any = None) -> Any:
    if not isinstance(repeats, int):
        raise NotCaptured("repeat() by an array")
    if axis is None:
        a, axis = a.reshape(-1), 0
    (at,) = axes_of(axis, a.ndim)
    shape = a.shape
    v = values.reshape(a.value, (*shape[: at + 1], 1, *shape[at + 1 :]))
    v = values.broadcast_to(v, (*shape[: at + 1], repeats, *shape[at + 1 :]))
    return Symbol(values.reshape(v, (*shape[:at], shape[at] * repeats, *shape[at + 1 :])))


@_of(np.count_nonzero)
def _count_nonzero(a: Any, axis: Any = None, *, keepdims: bool = False) -> Any:
    return (a != 0).sum(axis, np.int64, keepdims=keepdims)


@_of(np.shape)
def _shape(a: Any) -> Any:
    return a.shape


@_of(np.result_type)
def _result_type(*args: Any) -> Any:
    return np.result_type(*[x.dtype if isinstance(x, Symbol) else x for x in args])


@_of(np.may_share_memory)
def _may_share_memory(a: Any, b: Any, max_work: Any = None) -> bool:
    return False


@_of(np.diagonal)
def _diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    first, second = axes_of((axis1, axis2), a.ndim)
    rows, columns = a.shape[first], a.shape[second]
    count = max(min(rows + min(offset, 0), columns - max(offset, 0)), 0)
    base, strides, start = values.strided(a.value)
    start += max(offset, 0) * strides[second] - min(offset, 0) * strides[first]
    rest = [d for d in range(a.ndim) if d not in (first, second)]
    shape = [*[a.shape[d] for d in rest], count]
    steps = [*[strides[d] for d in rest], strides[first] + strides[second]]
    return Symbol(values.view(base, shape, steps, start))


@_of(np.trace)
def _trace(
    a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None, out: Any = None
) -> Any:
    return np.add.reduce(_diagonal(a, offset, axis1, axis2), -1, dtype)


# Products


@_of(np.dot)
def _dot(a: Any, b: Any, out: Any = None) -> Any:
    if np.ndim(a) > 2 or np.ndim(b) > 2:
        raise NotCaptured("dot() of more than two dimensions")
    return np.matmul(a, b) if np.ndim(a) and np.ndim(b) else np.multiply(a, b)


@_of(np.vdot)
def _vdot(a: Any, b: Any) -> Any:
    return np.matmul(_symbol(a).reshape(-1), _symbol(b).reshape(-1))


@_of(np.tensordot)
def _tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    if isinstance(axes, int):
        axes = (tuple(range(a.ndim - axes, a.ndim)), tuple(range(axes)))
    left, right = axes_of(axes[0], a.ndim), axes_of(axes[1], b.ndim)
    letters = [chr(97 + k) for k in range(a.ndim + b.ndim)]
    first = letters[: a.ndim]
    second = letters[a.ndim :]
    for i, j in zip(left, right, strict=True):
        second[j] = first[i]
    kept = [c for d, c in enumerate(first) if d not in left]
    kept += [c for d, c in enumerate(second) if d not in right]
    return _einsum(f"{''.join(first)},{''.join(second)}->{''.join(kept)}", a, b)


@_of(np.einsum)
def _einsum(subscripts: Any, *operands: Any, optimize: Any = False, **options: Any) -> Any:
    """One or two operands, every result dimension named."""
    if options or len(operands) > 2 or "." in subscripts or "->" not in subscripts:
        raise NotCaptured(f"einsum({subscripts!r})")
    given, result = subscripts.replace(" ", "").split("->")
    terms = given.split(",")
    found = _common(list(operands))
    if any(len(set(t)) < len(t) for t in terms):
        raise NotCaptured(f"einsum({subscripts!r})")
    if len(terms) == 1:
        return Symbol(_summed(found[0], terms[0], result))
    return Symbol(_contracted(found[0], terms[0], found[1], terms[1], result))


def _summed(v: Value, labels: str, kept: str) -> Value:
    """Labels that are not kept are summed over; the others come in the order wanted."""
    gone = [d for d, c in enumerate(labels) if c not in kept]
    left = [c for c in labels if c in kept]
    v = values.reduce("add", v, gone, v.dtype) if gone else v
    return values.transpose(v, [left.index(c) for c in kept])


def _contracted(a: Value, left: str, b: Value, right: str, result: str) -> Value:
    a = _summed(a, left, left := "".join(c for c in left if c in right or c in result))
    b = _summed(b, right, right := "".join(c for c in right if c in left or c in result))
    sizes = dict(zip(left + right, a.shape + b.shape, strict=True))
    batch = [c for c in left if c in right and c in result]
    inner = [c for c in left if c in right and c not in result]
    rows = [c for c in left if c not in right]
    columns = [c for c in right if c not in left]

    def shaped(v: Value, labels: str, order: list[str], groups: list[list[str]]) -> Value:
        v = values.transpose(v, [labels.index(c) for c in order])
        flat = [int(np.prod([sizes[c] for c in g], dtype=int)) for g in groups]
        return values.reshape(v, [*[sizes[c] for c in batch], *flat])

    if not rows or not columns or not inner:  # no product of matrices
        order = [*left, *columns]
        wide = []
        for v, labels in ((a, left), (b, right)):
            v = values.transpose(v, [labels.index(c) for c in order if c in labels])
            wide.append(values.reshape(v, [sizes[c] if c in labels else 1 for c in order]))
        product = values.ufunc(np.multiply, wide)
        return _summed(product, "".join(order), result)
    m = shaped(a, left, [*batch, *rows, *inner], [rows, inner])
    n = shaped(b, right, [*batch, *inner, *columns], [inner, columns])
    order = [*batch, *rows, *columns]
    product = values.reshape(values.matmul(m, n), [sizes[c] for c in order])
    return values.transpose(product, [order.index(c) for c in result])
