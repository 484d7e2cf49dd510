"""Indexing: gather, scatter, masks and advanced indices, and the gradients of views.

Indices are checked in the kernel before anything is written.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.ir.meta import Meta
from rushlight.ir.op import Op, Plan
from rushlight.ir.shapes import broadcast, wrap_dim
from rushlight.ir.strides import is_dense
from rushlight.ops.build import c_name, elementwise_meta, overflow
from rushlight.ops.movement import slice_range
from rushlight.ops.readable import checked, empty, is_symbol, same_number, scalar, zeros

# Gradients of views: zeros of the base's shape with the gradient in the view's place


def _placed(shape: Sequence[int], g: Any, at: Any) -> Any:
    out = zeros(g, shape)
    out[at] = g
    return out


def _at(shape: Sequence[int], dim: int, what: Any) -> tuple[Any, ...]:
    d = wrap_dim(dim, len(shape))
    return (*(slice(None),) * d, what)


select_backward = Op(
    "select_backward",
    kind="indexing",
    attrs=("shape", "dim", "index"),
    rule=lambda g, shape, dim, index: g.like(shape=shape),
    kernel=lambda g, shape, dim, index: _placed(shape, g, _at(shape, dim, index)),
    grads=(lambda o, g, _g, _y, shape, dim, index: o.select(g, dim, index),),
)


def _slice_backward(g: Any, shape: Any, dim: int, start: Any, end: Any, step: int) -> Any:
    d = wrap_dim(dim, len(shape))
    first, length = slice_range(shape[d], start, end, step)
    return _placed(shape, g, _at(shape, d, slice(first, first + length * step, step)))


slice_backward = Op(
    "slice_backward",
    kind="indexing",
    attrs=("shape", "dim", "start", "end", "step"),
    rule=lambda g, shape, dim, start, end, step: g.like(shape=shape),
    kernel=_slice_backward,
    grads=(lambda o, g, _g, _y, shape, dim, start, end, step: o.slice(g, dim, start, end, step),),
)


def _diagonal_backward(g: Any, shape: Any, offset: int, dim1: int, dim2: int) -> Any:
    out = zeros(g, shape)
    a, b = wrap_dim(dim1, len(shape)), wrap_dim(dim2, len(shape))
    moved = np.moveaxis(out, (a, b), (-2, -1))
    n = np.arange(g.shape[-1])
    moved[..., n - min(offset, 0), n + max(offset, 0)] = g
    return out


diagonal_backward = Op(
    "diagonal_backward",
    kind="indexing",
    attrs=("shape", "offset", "dim1", "dim2"),
    rule=lambda g, shape, offset, dim1, dim2: g.like(shape=shape),
    kernel=_diagonal_backward,
    grads=(lambda o, g, _g, _y, shape, offset, dim1, dim2: o.diagonal(g, offset, dim1, dim2),),
)


def _unfold_backward(g: Any, shape: Any, dimension: int, size: int, step: int) -> Any:
    out = zeros(g, shape)
    if not shape:
        return g.reshape(())
    d = wrap_dim(dimension, len(shape))
    windows = g.shape[d]
    for k in range(size):
        at = _at(shape, d, slice(k, k + (windows - 1) * step + 1, step))
        out[at] += g[..., k]
    return out


unfold_backward = Op(
    "unfold_backward",
    kind="indexing",
    attrs=("shape", "dimension", "size", "step"),
    rule=lambda g, shape, dimension, size, step: g.like(shape=shape),
    kernel=_unfold_backward,
    grads=(lambda o, g, _g, _y, shape, dimension, size, step: o.unfold(g, dimension, size, step),),
)


def _offsets(size: Sequence[int], stride: Sequence[int], start: int) -> Any:
    """The memory offset of each element of a strided layout."""
    found = np.array(start, np.int64)
    for n, s in zip(size, stride, strict=True):
        found = found[..., None] + np.arange(n, dtype=np.int64) * s
    return found


def _as_strided_backward(
    g: Any, shape: Any, strides: Any, size: Any, stride: Any, offset: int
) -> Any:
    """Adds up in memory, then reads the base's own elements; shared elements are averaged."""
    base = _offsets(shape, strides, 0)
    view = _offsets(size, stride, offset)
    memory = zeros(g, int(max(base.max(initial=0), view.max(initial=0))) + 1)
    np.add.at(memory, view, g)
    if base.size:
        count = np.zeros(memory.shape, np.int64)
        np.add.at(count, base, 1)
        memory = (memory / np.maximum(count, 1)).astype(g.dtype) if count.max() > 1 else memory
    return memory[base]


def _laid_out(o: Any, g: Any, shape: Any, strides: Any) -> Any:
    """A gradient in the memory layout that its base had."""
    if not is_dense(shape, strides):
        raise NotImplementedError(
            "the second derivative of as_strided() is not implemented for tensors with gaps or "
            "overlaps in memory"
        )
    return o.clone_strided(g, strides)


as_strided_backward = Op(
    "as_strided_backward",
    kind="indexing",
    attrs=("shape", "strides", "size", "stride", "offset"),
    rule=lambda g, shape, strides, size, stride, offset: g.like(shape=shape),
    kernel=_as_strided_backward,
    grads=(
        lambda o, g, _g, _y, shape, strides, size, stride, offset: o.as_strided(
            _laid_out(o, g, shape, strides), size, stride, offset
        ),
    ),
)

# Gather and scatter along one dimension


def _checked(index: Any, size: int, dim: int) -> Any:
    def error(index: Any) -> Exception:
        bad = index.min() if index.min() < 0 else index.max()
        return RuntimeError(f"index {bad} is out of bounds for dimension {dim} with size {size}")

    return checked(index, size, error)


def _need_int64(name: str, index: Meta) -> None:
    if index.numel and index.dtype not in (dtypes.int64, dtypes.int32):
        raise RuntimeError(f"{name}(): Expected dtype int32/int64 for index")


def _along(x: Any, index: Any, dim: int) -> tuple[Any, Any]:
    """Both as at least 1-d arrays, and x cut to the index's reach in the other dimensions."""
    x1, i1 = np.atleast_1d(x), np.atleast_1d(index)
    cut = tuple(slice(None) if d == dim else slice(0, i1.shape[d]) for d in range(x1.ndim))
    return x1[cut], i1


def _gather_rule(x: Meta, index: Meta, dim: int) -> Plan:
    d = wrap_dim(dim, x.ndim)
    _need_int64("gather", index)
    _same_rank("gather", x, index)
    for k in range(x.ndim):
        if index.numel and k != d and index.shape[k] > x.shape[k]:
            raise RuntimeError(
                f"Size does not match at dimension {k} expected index {list(index.shape)} to be no "
                f"larger than self {list(x.shape)} apart from dimension {d}"
            )
    return Plan(x.like(shape=index.shape))


def _same_rank(name: str, x: Meta, index: Meta) -> None:
    if index.numel and max(x.ndim, 1) != max(index.ndim, 1):
        raise RuntimeError(
            "Index tensor must have the same number of dimensions as "
            f"{'input' if name == 'gather' else 'self'} tensor"
        )


def _gather(x: Any, index: Any, dim: int) -> Any:
    if index.size == 0:
        return empty(x, index.shape)
    d = wrap_dim(dim, x.ndim)
    source, at = _along(x, index, d)
    at = _checked(at, source.shape[d], d)
    return np.take_along_axis(source, at, d).reshape(index.shape)


gather = Op(
    "gather",
    kind="indexing",
    inputs=("input", "index"),
    attrs=("dim",),
    rule=_gather_rule,
    kernel=_gather,
    grads=(
        lambda o, g, _x, index, _y, dim: o.scatter_add(
            o.zeros(_x.shape, g._meta.dtype, g._meta.device), index, g, dim
        ),
        None,
    ),
)


def _scatter_rule(x: Meta, index: Meta, src: Any, dim: int, *rest: Any) -> Plan:
    d = wrap_dim(dim, x.ndim)
    _need_int64("scatter", index)
    _same_rank("scatter", x, index)
    if isinstance(src, Meta):
        if src.dtype is not x.dtype:
            raise RuntimeError("scatter(): Expected self.dtype to be equal to src.dtype")
        if index.numel and max(index.ndim, 1) != max(src.ndim, 1):
            raise RuntimeError("Index tensor must have the same number of dimensions as src tensor")
        for k in range(x.ndim):
            if index.numel and (
                (k != d and index.shape[k] > x.shape[k]) or index.shape[k] > src.shape[k]
            ):
                raise RuntimeError(
                    f"Expected index {list(index.shape)} to be no larger than self {list(x.shape)} "
                    f"apart from dimension {d} and to be no larger size than src {list(src.shape)}"
                )
    return Plan(x.like(strides=_kept(x)))


def _kept(m: Meta) -> Any:
    from rushlight.ir.strides import like_strides

    return like_strides(m.shape, m.strides)


def _cut_source(src: Any, index: Any) -> Any:
    if np.ndim(src) == 0:
        return src
    return src[tuple(slice(0, n) for n in index.shape)]


def _scatter(x: Any, index: Any, src: Any, dim: int) -> Any:
    out = np.copy(x)
    if index.size == 0:
        return out
    d = wrap_dim(dim, x.ndim)
    target, at = _along(out, index, d)
    at = _checked(at, target.shape[d], d)
    np.put_along_axis(target, at, _cut_source(src, at), d)
    return out


def _zero_at(o: Any, g: Any, index: Any, dim: int) -> Any:
    return o.scatter(g, index, 0, dim)


scatter = Op(
    "scatter",
    kind="indexing",
    inputs=("input", "index", "src"),
    attrs=("dim",),
    rule=_scatter_rule,
    kernel=_scatter,
    grads=(
        lambda o, g, _x, index, _s, _y, dim: _zero_at(o, g, index, dim),
        None,
        lambda o, g, _x, index, _s, _y, dim: _source_grad(o, o.gather(g, index, dim), _s),
    ),
)


def _source_grad(o: Any, picked: Any, source: Meta) -> Any:
    """The gradient of a source that may be larger than the index."""
    if picked._meta.shape == source.shape:
        return picked
    out = picked
    for d, size in enumerate(source.shape):
        out = (
            o.slice_backward(
                out,
                tuple(source.shape[: d + 1]) + tuple(out._meta.shape[d + 1 :]),
                d,
                0,
                out._meta.shape[d],
                1,
            )
            if out._meta.shape[d] != size
            else out
        )
    return out


def _indices_along(at: Any, dim: int) -> tuple[Any, ...]:
    grid = np.ogrid[tuple(slice(0, n) for n in at.shape)]
    return tuple(at if d == dim else grid[d] for d in range(at.ndim))


def _scatter_add(x: Any, index: Any, src: Any, dim: int) -> Any:
    out = np.copy(x)
    if index.size == 0:
        return out
    d = wrap_dim(dim, x.ndim)
    target, at = _along(out, index, d)
    at = _checked(at, target.shape[d], d)
    np.add.at(target, _indices_along(at, d), _cut_source(src, at))
    return out


scatter_add = Op(
    "scatter_add",
    kind="indexing",
    inputs=("input", "index", "src"),
    attrs=("dim",),
    rule=_scatter_rule,
    kernel=_scatter_add,
    whole="sums of halves at indices, rounded one by one",
    grads=(
        lambda o, g: g,
        None,
        lambda o, g, _x, index, _s, _y, dim: _source_grad(o, o.gather(g, index, dim), _s),
    ),
)


def _index_select_rule(x: Meta, index: Meta, dim: int) -> Plan:
    d = wrap_dim(dim, x.ndim)
    if index.dtype.name not in ("int32", "int64"):
        raise RuntimeError("index_select(): Expected dtype int32 or int64 for index")
    if index.ndim > 1:
        raise IndexError("index_select(): Index is supposed to be a vector")
    if x.ndim == 0:
        return Plan(x.like())
    return Plan(x.like(shape=(*x.shape[:d], index.numel, *x.shape[d + 1 :])))


def _index_select(x: Any, index: Any, dim: int) -> Any:
    at = np.atleast_1d(index)
    d = wrap_dim(dim, x.ndim)
    size = x.shape[d] if x.ndim else 1
    at = checked(at, size, lambda _: IndexError("index out of range in self"))
    return np.take(np.atleast_1d(x), at, axis=d).reshape(
        x.shape if x.ndim == 0 else (*x.shape[:d], at.size, *x.shape[d + 1 :])
    )


index_select = Op(
    "index_select",
    kind="indexing",
    inputs=("input", "index"),
    attrs=("dim",),
    rule=_index_select_rule,
    kernel=_index_select,
    grads=(
        lambda o, g, _x, index, _y, dim: o.index_add(
            o.zeros(_x.shape, g._meta.dtype, g._meta.device), index, g, dim, 1
        ),
        None,
    ),
)


def _index_add_rule(x: Meta, index: Meta, source: Meta, dim: int, alpha: Any) -> Plan:
    d = wrap_dim(dim, x.ndim)
    if index.ndim > 1:
        raise IndexError("index_add_(): Index is supposed to be a vector")
    if index.dtype not in (dtypes.int64, dtypes.int32):
        raise RuntimeError(
            f"index_add_(): Expected dtype int32/int64 for index but got: {index.dtype.title}"
        )
    if x.dtype is not source.dtype:
        raise RuntimeError(
            f"index_add_(): self ({x.dtype.title}) and source ({source.dtype.title}) must have the "
            "same scalar type"
        )
    if source.ndim and index.numel != source.shape[wrap_dim(dim, source.ndim)]:
        raise RuntimeError(
            f"index_add_(): Number of indices ({index.numel}) should be equal to source.size(dim): "
            f"({source.shape[dim]}), for dim: {dim}"
        )
    mine = [s for k, s in enumerate(x.shape) if k != d]
    if source.ndim and mine != [s for k, s in enumerate(source.shape) if k != d]:
        raise RuntimeError(
            "source tensor shape must match self tensor shape, excluding the specified dimension. "
            f"Got self.shape = {list(x.shape)} source.shape = {list(source.shape)}"
        )
    return Plan(x.like(strides=_kept(x)))


def _index_add(x: Any, index: Any, source: Any, dim: int, alpha: Any) -> Any:
    out = np.copy(x)
    at = np.atleast_1d(index)
    d = wrap_dim(dim, x.ndim)
    target = np.atleast_1d(out)
    at = _checked(at, target.shape[d], d)
    values = np.atleast_1d(source)
    if not same_number(alpha, 1):
        values = values * scalar(alpha, values.dtype)
    np.add.at(np.moveaxis(target, d, 0), at, np.moveaxis(values, d, 0))
    return out


index_add = Op(
    "index_add",
    kind="indexing",
    inputs=("input", "index", "source"),
    attrs=("dim", "alpha"),
    defaults=(1,),
    rule=_index_add_rule,
    kernel=_index_add,
    whole="sums of halves at indices, rounded one by one",
    grads=(
        lambda o, g: g,
        None,
        lambda o, g, _x, index, _s, _y, dim, alpha: o.reshape(
            o.index_select(g, index, dim) * alpha, _s.shape
        ),
    ),
)

# Masks


def _masked_fill_rule(x: Any, mask: Any, value: Any) -> Plan:
    for i, m in enumerate((x, mask)):
        if not isinstance(m, Meta):
            name, kind = ("input", "mask")[i], "NoneType" if m is None else m.name
            raise TypeError(
                f"masked_fill(): argument '{name}' (position {i + 1}) must be Tensor, not {kind}"
            )
    if mask.dtype is not dtypes.bool_:
        raise RuntimeError(
            "masked_fill_ only supports boolean masks, but got mask with dtype "
            f"{c_name(mask.dtype)}"
        )
    if isinstance(value, Meta) and value.ndim:
        raise RuntimeError(
            "masked_fill_ only supports a 0-dimensional value tensor, but got tensor with "
            f"{value.ndim} dimension(s)."
        )
    if value.dtype.is_complex and not x.dtype.is_complex:
        raise overflow(x.dtype)
    return Plan(elementwise_meta((x, mask), x.dtype))


masked_fill = Op(
    "masked_fill",
    kind="elementwise",
    inputs=("input", "mask", "value"),
    rule=_masked_fill_rule,
    kernel=lambda x, mask, value: np.where(mask, scalar(value, x.dtype), x),
    grads=(
        lambda o, g, _x, mask: o.masked_fill(g, mask, 0),
        None,
        lambda o, g, _x, mask: o.sum(o.where(mask, g, o.zeros_like(g)), None, False, None),
    ),
)


# Advanced indexing: x[indices], where an index is a tensor of integers or None (the whole
# dimension).  Masks have become integers before they come here.


def _index_shape(x: Meta, indices: Sequence[Any]) -> tuple[tuple[int, ...], tuple[int, ...], int]:
    """The broadcast index shape, the result's shape, and where the index dimensions stand."""
    used = [d for d, i in enumerate(indices) if i is not None]
    if len(indices) > x.ndim:
        raise IndexError(f"too many indices for tensor of dimension {x.ndim}")
    try:
        shape = tuple(broadcast(*[indices[d].shape for d in used]))
    except RuntimeError:
        shapes = ", ".join(str(list(indices[d].shape)) for d in used)
        raise IndexError(
            f"shape mismatch: indexing tensors could not be broadcast together with shapes {shapes}"
        ) from None
    adjacent = used == list(range(used[0], used[-1] + 1))
    rest = [x.shape[d] for d in range(x.ndim) if d >= len(indices) or indices[d] is None]
    at = used[0] if adjacent else 0
    return shape, (*rest[:at], *shape, *rest[at:]), at


def _index_rule(x: Meta, *indices: Any) -> Plan:
    for i in indices:
        if i is not None and i.dtype.name not in ("int64", "int32"):
            raise IndexError("tensors used as indices must be long, int, byte or bool tensors")
    return Plan(x.like(shape=_index_shape(x, indices)[1]))


def _wrapped(x: Any, indices: Sequence[Any]) -> tuple[Any, ...]:
    """Index arrays for NumPy, checked and with negatives resolved."""
    found: list[Any] = []
    for d, i in enumerate(indices):
        if i is None:
            found.append(slice(None))
            continue
        size = x.shape[d]
        i = checked(i, size, functools.partial(_outside, size, d), negative=True)
        found.append(i if is_symbol(i) else np.where(i < 0, i + size, i))
    return tuple(found)


def _outside(size: int, dim: int, index: Any) -> Exception:
    bad = index.min() if index.min() < -size else index.max()
    return IndexError(f"index {bad} is out of bounds for dimension {dim} with size {size}")


def _index_grad(o: Any, needs: Any, g: Any, inputs: Any, outputs: Any) -> Any:
    x, *indices = inputs
    zeros = o.zeros(x.shape, g._meta.dtype, g._meta.device)
    return (o.index_put((zeros, g, *indices), True), *[None] * len(indices))


index = Op(
    "index",
    kind="indexing",
    inputs=("*tensors",),
    rule=_index_rule,
    kernel=lambda x, *indices: x[_wrapped(x, indices)],
    chain=(0,),
    backward=_index_grad,
    keeps_inputs=tuple(range(1, 65)),
)


def _index_put_rule(x: Meta, values: Meta, *rest: Any) -> Plan:
    *indices, accumulate = rest
    if x.dtype is not values.dtype:
        raise RuntimeError(
            "Index put requires the source and destination dtypes match, got "
            f"{x.dtype.title} for the destination and {values.dtype.title} for the source."
        )
    shape = _index_shape(x, indices)[1]
    try:
        fits = broadcast(values.shape, shape) == shape
    except RuntimeError:
        fits = False
    if not fits:
        raise RuntimeError(
            f"shape mismatch: value tensor of shape {list(values.shape)} cannot be broadcast to "
            f"indexing result of shape {list(shape)}"
        )
    return Plan(x.like(strides=_kept(x)))


def _index_put(x: Any, values: Any, *rest: Any) -> Any:
    *indices, accumulate = rest
    out = np.copy(x)
    at = _wrapped(x, indices)
    if accumulate:
        np.add.at(out, at, values)
    else:
        out[at] = values
    return out


def _index_put_grad(o: Any, needs: Any, g: Any, inputs: Any, outputs: Any, accumulate: bool) -> Any:
    x, values, *indices = inputs
    dx = dv = None
    if needs[0]:
        dx = g
        if not accumulate:
            dx = o.index_put((g, o.zeros((), g._meta.dtype, g._meta.device), *indices), False)
    if needs[1]:
        dv = o.sum_to(o.index((g, *indices)), values.shape)
    return (dx, dv, *[None] * len(indices))


index_put = Op(
    "index_put",
    kind="indexing",
    inputs=("*tensors",),
    attrs=("accumulate",),
    defaults=(False,),
    rule=_index_put_rule,
    kernel=_index_put,
    backward=_index_put_grad,
    keeps_inputs=tuple(range(2, 66)),
)
