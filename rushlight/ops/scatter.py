"""Writing at indices: scatter_reduce, index_fill, index_copy, index_reduce, put, masked_scatter.

Also take, and the ``xxx_scatter`` operators, which write a tensor into the place of a view.

Indices are checked in the kernel before anything is written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.ir.meta import Meta
from rushlight.ir.op import Op, Plan
from rushlight.ir.shapes import wrap_dim
from rushlight.ir.strides import like_strides
from rushlight.ops import indexing, movement
from rushlight.ops.build import elementwise_meta, unsupported
from rushlight.ops.readable import checked, is_symbol, scalar


def _kept(m: Meta) -> Meta:
    """The Meta of a changed copy: the same layout, made dense."""
    return m.like(strides=like_strides(m.shape, m.strides))


def _positions(index: Any, dim: int) -> tuple[Any, ...]:
    """The index of the slices that an index vector names along a dimension."""
    return (*(slice(None),) * dim, index)


# Reductions into a tensor

_REDUCES: dict[str, tuple[Callable[[Any], Any], Any]] = {
    "sum": (lambda dt: dt.type(0), np.add),
    "mean": (lambda dt: dt.type(0), np.add),
    "prod": (lambda dt: dt.type(1), np.multiply),
    "amax": (lambda dt: _limit(dt, -1), np.maximum),
    "amin": (lambda dt: _limit(dt, 1), np.minimum),
}


def _limit(dt: Any, sign: int) -> Any:
    """The value that any other replaces in a maximum (sign -1) or minimum (sign 1)."""
    if dt.kind == "b":
        return dt.type(sign > 0)
    if dt.kind in "ui":
        return np.iinfo(dt).max if sign > 0 else np.iinfo(dt).min
    return dt.type(sign * np.inf)


def _reduce_at(out: Any, at: tuple[Any, ...], values: Any, reduce: str, include_self: bool) -> None:
    """out[at] = out[at] (reduce) values, each position as often as it is named."""
    identity, ufunc = _REDUCES[reduce]
    if not include_self:
        out[at] = identity(out.dtype)
    if reduce == "mean":
        count = np.full_like(out, int(include_self), np.int64, shape=out.shape)
        np.add.at(count, at, 1)
        count = np.maximum(count, 1)
    ufunc.at(out, at, values)
    if reduce == "mean":
        if out.dtype.kind in "ui":
            out //= count.astype(out.dtype)
        else:
            out /= count


def _scatter_reduce_rule(
    x: Meta, index: Meta, src: Meta, dim: int, reduce: str, include_self: bool
) -> Plan:
    indexing._scatter_rule(x, index, src, dim)
    if reduce not in _REDUCES:
        raise RuntimeError(
            f"reduce argument must be either sum, prod, mean, amax or amin, got {reduce}"
        )
    if reduce == "mean" and x.dtype.kind == "b":
        raise unsupported("scatter_gather_tensor_cpu_reduce_mean", x.dtype)
    return Plan(_kept(x))


def _scatter_reduce(x: Any, index: Any, src: Any, dim: int, reduce: str, include_self: bool) -> Any:
    wide = x.astype(np.float32) if x.dtype.itemsize == 2 and x.dtype.kind not in "uib" else x
    out = np.copy(wide)
    if index.size == 0:
        return out
    d = wrap_dim(dim, x.ndim)
    target, at = indexing._along(out, index, d)
    at = indexing._checked(at, target.shape[d], d)
    values = indexing._cut_source(src, at).astype(out.dtype)
    _reduce_at(target, indexing._indices_along(at, d), values, reduce, include_self)
    return out.astype(x.dtype)


def _spread_gradients(
    o: Any,
    g: Any,
    inputs: tuple[Any, Any, Any],
    mode: tuple[str, bool],
    gather: Callable[[Any], Any],
    add: Callable[[Any, Any], Any],
    again: Callable[[Any, Any], Any],
) -> tuple[Any, Any]:
    """Gradients of a reduction into a tensor, for the tensor and for the source.

    Args:
        inputs: the tensor, the source and the result.
        mode: the reduction's name and whether the tensor's own values took part.
        gather: picks for each source element what stands where it went.
        add: adds source elements into a tensor.
        again: the reduction itself, of other values.
    """
    x, src, y = inputs
    reduce, include_self = mode
    if reduce == "sum":
        return g, gather(g)
    if reduce == "mean":
        count = add(o.full_like(g, int(include_self)), o.full_like(src, 1))
        count = o.masked_fill(count, count == 0, 1)
        return g / count, gather(g) / gather(count)
    if reduce == "prod":
        safe = o.masked_fill(x, x == 0, 1)
        dx = g * again(safe, src) / safe
        zero = src == 0
        zeros_here = gather(add(o.zeros_like(x), o.cast(zero, x._meta.dtype)))
        single = zero & (zeros_here == 1)
        others = again(x, o.masked_fill(src, single, 1))
        ds = o.where(single, gather(g * others), gather(g * y) / o.masked_fill(src, zero, 1))
        return dx, ds
    mine = o.cast(x == y, g._meta.dtype)
    theirs = o.cast(src == gather(y), g._meta.dtype)
    share = g / add(mine, theirs)
    return mine * share, theirs * gather(share)


def _scatter_reduce_backward(
    o: Any,
    needs: Any,
    g: Any,
    inputs: Any,
    outputs: Any,
    dim: int,
    reduce: str,
    include_self: bool,
) -> Any:
    x, index, src = inputs
    if src._meta.shape != index._meta.shape:
        raise RuntimeError("backward for scatter_reduce: src must have the shape of index")
    dx, ds = _spread_gradients(
        o,
        g,
        (x, src, outputs[0]),
        (reduce, include_self),
        lambda t: o.gather(t, index, dim),
        lambda t, s: o.scatter_add(t, index, s, dim),
        lambda a, s: o.scatter_reduce(a, index, s, dim, reduce, include_self),
    )
    if not include_self:
        dx = o.scatter(dx, index, 0, dim)
    return dx, None, ds


scatter_reduce = Op(
    "scatter_reduce",
    kind="indexing",
    inputs=("input", "index", "src"),
    attrs=("dim", "reduce", "include_self"),
    defaults=(True,),
    rule=_scatter_reduce_rule,
    kernel=_scatter_reduce,
    backward=_scatter_reduce_backward,
    keeps_inputs=(0, 1, 2),
    keeps_outputs=(0,),
    whole="maximum.at, minimum.at, multiply.at",
)

# Slices named by an index vector


def _check_vector(name: str, x: Meta, index: Meta, source: Meta, dim: int) -> int:
    """The checks of index_copy and index_reduce; gives the dimension."""
    d = wrap_dim(dim, x.ndim)
    if index.ndim > 1:
        raise IndexError(
            f"{name}(): Index should have dimension 1 or 0 (got {index.ndim})"
            if name == "index_copy_"
            else f"{name}(): Index is supposed to be a vector"
        )
    if index.dtype is not dtypes.int64 and not (
        name == "index_reduce_" and index.dtype is dtypes.int32
    ):
        raise RuntimeError(
            f"{name}(): Expected a long tensor for index, but got {index.dtype.title}"
            if name == "index_copy_"
            else f"{name}(): Expected dtype int32/int64 for index"
        )
    if x.dtype is not source.dtype:
        raise RuntimeError(
            f"{name}(): self and source expected to have the same dtype, but got (self) "
            f"{x.dtype.title} and (source) {source.dtype.title}"
        )
    if source.ndim == 0 and index.numel != 1:
        raise IndexError(
            f"{name}(): When source is scalar, index should have one element (got {index.numel})"
        )
    return d


def _index_copy_rule(x: Meta, index: Meta, source: Meta, dim: int) -> Plan:
    d = _check_vector("index_copy_", x, index, source, dim)
    if source.ndim and x.ndim and source.ndim != x.ndim:
        raise IndexError(
            "index_copy_(): When source and destination are not scalars, their dimensionality must "
            f"match. Source dimensionality ({source.ndim}), destination dimensionality ({x.ndim})"
        )
    mine = [s for k, s in enumerate(x.shape) if k != d]
    theirs = [s for k, s in enumerate(source.shape) if k != d]
    if mine != theirs:
        raise RuntimeError(
            "index_copy_(): Source/destination tensor must have same slice shapes. Destination "
            f"slice shape: {' '.join(map(str, mine))} at dimension {d} and source slice shape: "
            f"{' '.join(map(str, theirs))} at dimension 0."
        )
    if source.ndim and index.numel != source.shape[d]:
        raise IndexError(
            f"index_copy_(): Number of indices ({index.numel}) should be equal to source.size(dim) "
            f"({source.shape[d]})"
        )
    return Plan(_kept(x))


def _in_range(index: Any, size: int, text: str) -> Any:
    def error(index: Any) -> Exception:
        bad = next(int(i) for i in index if i < 0 or i >= size)
        return IndexError(text.format(index=bad, size=size))

    return checked(np.atleast_1d(index), size, error)


def _index_copy(x: Any, index: Any, source: Any, dim: int) -> Any:
    out = np.copy(x)
    d = wrap_dim(dim, x.ndim)
    target = np.atleast_1d(out)
    text = f"index_copy_(): index {{index}} is out of bounds for dimension {d} with size {{size}}"
    at = _in_range(index, target.shape[d], text)
    target[_positions(at, d)] = np.atleast_1d(source)
    return out


index_copy = Op(
    "index_copy",
    kind="indexing",
    inputs=("input", "index", "source"),
    attrs=("dim",),
    rule=_index_copy_rule,
    kernel=_index_copy,
    grads=(
        lambda o, g, _x, index, _s, _y, dim: o.index_fill(g, index, 0, dim),
        None,
        lambda o, g, _x, index, _s, _y, dim: o.reshape(o.index_select(g, index, dim), _s.shape),
    ),
)


def _index_fill_rule(x: Meta, index: Meta, value: Any, dim: int) -> Plan:
    wrap_dim(dim, x.ndim)
    if isinstance(value, Meta) and value.ndim:
        raise RuntimeError(
            "index_fill_ only supports a 0-dimensional value tensor, but got tensor with "
            f"{value.ndim} dimension(s)."
        )
    if index.dtype is not dtypes.int64:
        raise IndexError("index_fill_(): Expected dtype int64 for index.")
    if index.ndim > 1:
        raise RuntimeError("Index has to be a vector/scalar")
    if value.dtype.is_complex and not x.dtype.is_complex:
        raise RuntimeError(
            "index_fill_(): Converting complex Scalar to non-complex type is not supported"
        )
    return Plan(_kept(x))


def _index_fill(x: Any, index: Any, value: Any, dim: int) -> Any:
    out = np.copy(x)
    d = wrap_dim(dim, x.ndim)
    target = np.atleast_1d(out)
    size = target.shape[d]
    text = f"index {{index}} is out of bounds for dimension {d} with size {{size}}"
    at = np.atleast_1d(index)
    at = _in_range(np.where((at < 0) & (at >= -size), at + size, at), size, text)
    target[_positions(at, d)] = scalar(value, x.dtype)
    return out


def _sum_of_filled(o: Any, g: Any, index: Any, dim: int) -> Any:
    """The sum of the gradients of what was filled, each place once."""
    none = o.zeros(g._meta.shape, dtypes.bool_, g._meta.device)
    filled = o.index_fill(none, index, True, dim)
    return o.sum(o.where(filled, g, o.zeros_like(g)), None, False, None)


index_fill = Op(
    "index_fill",
    kind="indexing",
    inputs=("input", "index", "value"),
    attrs=("dim",),
    rule=_index_fill_rule,
    kernel=_index_fill,
    grads=(
        lambda o, g, _x, index, _v, _y, dim: o.index_fill(g, index, 0, dim),
        None,
        lambda o, g, _x, index, _v, _y, dim: _sum_of_filled(o, g, index, dim),
    ),
)


def _index_reduce_rule(
    x: Meta, index: Meta, source: Meta, dim: int, reduce: str, include_self: bool
) -> Plan:
    if reduce not in ("prod", "mean", "amax", "amin"):
        raise RuntimeError(
            f"index_reduce(): Expected reduce to be one of prod, mean, amax or amin but got "
            f"{reduce}."
        )
    d = _check_vector("index_reduce_", x, index, source, dim)
    if source.ndim and index.numel != source.shape[d]:
        raise RuntimeError(
            f"index_reduce_(): Number of indices ({index.numel}) should be equal to "
            f"source.size(dim): ({source.shape[d]}), for dim: {dim}"
        )
    if x.dtype.kind == "b":
        raise unsupported("index_func_", x.dtype)
    return Plan(_kept(x))


def _index_reduce(
    x: Any, index: Any, source: Any, dim: int, reduce: str, include_self: bool
) -> Any:
    wide = x.astype(np.float32) if x.dtype.itemsize == 2 and x.dtype.kind not in "uib" else x
    out = np.copy(wide)
    d = wrap_dim(dim, x.ndim)
    target = np.atleast_1d(out)
    at = _in_range(index, target.shape[d], "index out of range in self")
    values = np.atleast_1d(source).astype(out.dtype)
    _reduce_at(target, _positions(at, d), values, reduce, include_self)
    return out.astype(x.dtype)


def _index_reduce_backward(
    o: Any,
    needs: Any,
    g: Any,
    inputs: Any,
    outputs: Any,
    dim: int,
    reduce: str,
    include_self: bool,
) -> Any:
    x, index, source = inputs

    def pick(t: Any) -> Any:
        return o.reshape(o.index_select(t, index, dim), source._meta.shape)

    dx, ds = _spread_gradients(
        o,
        g,
        (x, source, outputs[0]),
        (reduce, include_self),
        pick,
        lambda t, s: o.index_add(t, index, s, dim, 1),
        lambda a, s: o.index_reduce(a, index, s, dim, reduce, include_self),
    )
    if not include_self:
        dx = o.index_fill(dx, index, 0, dim)
    return dx, None, ds


index_reduce = Op(
    "index_reduce",
    kind="indexing",
    inputs=("input", "index", "source"),
    attrs=("dim", "reduce", "include_self"),
    defaults=(True,),
    rule=_index_reduce_rule,
    kernel=_index_reduce,
    backward=_index_reduce_backward,
    keeps_inputs=(0, 1, 2),
    keeps_outputs=(0,),
    whole="maximum.at, minimum.at, multiply.at",
)

# Elements by their position in row-major order


def _flat_positions(x: Any, index: Any) -> Any:
    n = x.size

    def error(index: Any) -> Exception:
        bad = next(int(i) for i in index.ravel() if i < -n or i >= n)
        return IndexError(f"out of range: tried to access index {bad} on a tensor of {n} elements.")

    at = checked(index, n, error, negative=True)
    return at if is_symbol(at) else np.where(at < 0, at + n, at)


def _take_rule(x: Meta, index: Meta) -> Plan:
    if index.dtype is not dtypes.int64:
        raise RuntimeError(f"take(): Expected a long tensor for index, but got {index.dtype.title}")
    if x.numel == 0 and index.numel:
        raise IndexError("take(): tried to take from an empty tensor")
    return Plan(x.like(shape=index.shape))


take = Op(
    "take",
    kind="indexing",
    inputs=("input", "index"),
    rule=_take_rule,
    kernel=lambda x, index: x.reshape(-1)[_flat_positions(x, index)],
    grads=(
        lambda o, g, _x, index: o.put(
            o.zeros(_x.shape, g._meta.dtype, g._meta.device), index, g, True
        ),
        None,
    ),
)


def _put_rule(x: Meta, index: Meta, source: Meta, accumulate: bool) -> Plan:
    if x.dtype is not source.dtype:
        raise RuntimeError(
            "put_(): self and source expected to have the same dtype, but got self.dtype = "
            f"{x.dtype.title} and source.dtype = {source.dtype.title}"
        )
    if index.dtype is not dtypes.int64:
        raise RuntimeError(f"put_(): Expected a long tensor for index, but got {index.dtype.title}")
    if source.numel != index.numel:
        raise IndexError(
            "put_(): Expected source and index to have the same number of elements, but got "
            f"source.numel() = {source.numel}, index.numel() = {index.numel}"
        )
    if x.numel == 0 and index.numel:
        raise IndexError("put_(): Tried to put elements into an empty tensor")
    return Plan(_kept(x))


def _put(x: Any, index: Any, source: Any, accumulate: bool) -> Any:
    out = np.copy(x, order="C")
    at, values = _flat_positions(x, index).reshape(-1), source.reshape(-1)
    if accumulate:
        np.add.at(out.reshape(-1), at, values)
    else:
        out.reshape(-1)[at] = values
    return out


put = Op(
    "put",
    kind="indexing",
    inputs=("input", "index", "source"),
    attrs=("accumulate",),
    defaults=(False,),
    rule=_put_rule,
    kernel=_put,
    grads=(
        lambda o, g, _x, index, _s, _y, accumulate: (
            g if accumulate else o.put(g, index, o.zeros_like(_s), False)
        ),
        None,
        lambda o, g, _x, index, _s: o.reshape(o.take(g, index), _s.shape),
    ),
)

# Masks


def _masked_scatter_rule(x: Meta, mask: Meta, source: Meta) -> Plan:
    if x.dtype is not source.dtype:
        raise RuntimeError(
            "masked_scatter: expected self and source to have same dtypes but got"
            f"{x.dtype.title} and {source.dtype.title}"
        )
    if mask.dtype is not dtypes.bool_:
        raise RuntimeError(
            f"masked_scatter_ only supports boolean masks, but got mask with dtype "
            f"{mask.dtype.title}"
        )
    return Plan(elementwise_meta((x, mask), x.dtype))


def _masked_scatter(x: Any, mask: Any, source: Any) -> Any:
    x, mask = np.broadcast_arrays(x, mask)
    out = np.array(x, order="C")
    count = int(np.count_nonzero(mask))
    if source.size < count:
        raise RuntimeError("Number of elements of source < number of ones in mask")
    out[mask] = source.reshape(-1)[:count]
    return out


def _masked_pack(g: Any, mask: Any, shape: Sequence[int]) -> Any:
    """The elements under the mask, in the first places of a tensor of zeros."""
    picked = g[np.broadcast_to(mask, g.shape)]
    out = np.zeros(shape, g.dtype)
    out.reshape(-1)[: picked.size] = picked
    return out


masked_pack = Op(
    "masked_pack",
    kind="indexing",
    inputs=("grad", "mask"),
    attrs=("shape",),
    rule=lambda g, mask, shape: g.like(shape=shape),
    kernel=_masked_pack,
    whole="counts a mask",
    grads=(
        lambda o, g, _g, mask, _y, shape: o.masked_scatter(
            o.zeros(_g.shape, g._meta.dtype, g._meta.device), mask, g
        ),
        None,
    ),
)
masked_scatter = Op(
    "masked_scatter",
    kind="indexing",
    inputs=("input", "mask", "source"),
    rule=_masked_scatter_rule,
    kernel=_masked_scatter,
    whole="counts a mask",
    grads=(
        lambda o, g, _x, mask: o.sum_to(o.masked_fill(g, mask, 0), _x.shape),
        None,
        lambda o, g, _x, mask, _s: o.masked_pack(g, mask, tuple(_s.shape)),
    ),
)

# A tensor written into the place of a view


def _view_scatter(name: str, view: Op, write: Callable[..., Any], whole: str = "") -> Op:
    """The operator that writes ``src`` where ``view`` of the input would read.

    Args:
        write: ``write(x, src, *attrs)`` gives the changed copy.
    """

    def rule(x: Meta, src: Meta, *attrs: Any) -> Plan:
        want = view.rule(x, *attrs).meta.shape
        if src.shape != want:
            raise RuntimeError(
                "expected src to have a size equal to the slice of self. src size = "
                f"{list(src.shape)}, slice size = {list(want)}"
            )
        return Plan(_kept(x))

    def backward(o: Any, needs: Any, g: Any, inputs: Any, outputs: Any, *attrs: Any) -> Any:
        """The input's gradient without the written part, and that part."""
        zeros = o.zeros(inputs[1].shape, g._meta.dtype, g._meta.device)
        g = o.contiguous(g)  # as PyTorch: as_strided reads memory
        dx = getattr(o, name)(g, zeros, *attrs) if needs[0] else None
        ds = getattr(o, view.name)(g, *attrs) if needs[1] else None
        return dx, ds

    return Op(
        name,
        kind="indexing",
        inputs=("input", "src"),
        attrs=view.attrs,
        defaults=view.defaults,
        rule=rule,
        kernel=write,
        backward=backward,
        whole=whole,
    )


def _with(x: Any, at: Any, src: Any) -> Any:
    out = np.copy(x)
    out[at] = src
    return out


def _slice_scatter(x: Any, src: Any, dim: int, start: Any, end: Any, step: int) -> Any:
    d = wrap_dim(dim, x.ndim)
    first, length = movement.slice_range(x.shape[d], start, end, step)
    return _with(x, indexing._at(x.shape, d, slice(first, first + length * step, step)), src)


def _diagonal_scatter(x: Any, src: Any, offset: int, dim1: int, dim2: int) -> Any:
    out = np.copy(x)
    moved = np.moveaxis(out, (dim1, dim2), (-2, -1))
    n = np.arange(src.shape[-1])
    moved[..., n - min(offset, 0), n + max(offset, 0)] = src
    return out


def _as_strided_scatter(x: Any, src: Any, size: Any, stride: Any, offset: int) -> Any:
    base = indexing._offsets(x.shape, [s // x.itemsize for s in x.strides], 0)
    at = indexing._offsets(size, stride, offset)
    memory = np.zeros(int(max(base.max(initial=0), at.max(initial=0))) + 1, x.dtype)
    memory[base] = x
    memory[at] = src
    return memory[base]


select_scatter = _view_scatter(
    "select_scatter",
    movement.select,
    lambda x, src, dim, index: _with(x, indexing._at(x.shape, dim, index), src),
)
slice_scatter = _view_scatter("slice_scatter", movement.slice, _slice_scatter)
diagonal_scatter = _view_scatter("diagonal_scatter", movement.diagonal, _diagonal_scatter)
as_strided_scatter = _view_scatter(
    "as_strided_scatter", movement.as_strided, _as_strided_scatter, "looks at its input's strides"
)
