"""Batching rules of operators that pick, place and join elements."""

from __future__ import annotations

from typing import Any

from rushlight.dispatch import gate
from rushlight.dispatch.namespace import o
from rushlight.dispatch.tensor import Tensor
from rushlight.dtypes import int64
from rushlight.func.rules import Call, composition, one_by_one, values
from rushlight.func.rules.pointwise import along, shifted
from rushlight.ir.shapes import wrap_dim

__all__: list[str] = []


@values("cat")
def _cat(c: Call) -> Any:
    vs = [c.full(i) for i in range(len(c.values))]
    n = max(c.ndim(i) for i in range(len(vs)))
    kept = [v for i, v in enumerate(vs) if c.ndim(i) == n or c.shape(i) != (0,)]
    return gate.call(c.op, tuple(kept or vs), (wrap_dim(c.attrs[0], n) + 1,))


@values("stack")
def _stack(c: Call) -> Any:
    vs = tuple([c.full(i) for i in range(len(c.values))])
    return gate.call(c.op, vs, (wrap_dim(c.attrs[0], c.ndim(0) + 1) + 1,))


@values("repeat")
def _repeat(c: Call) -> Any:
    repeats = tuple(c.attrs[0])
    v = o.reshape(c.values[0], (c.size, *(1,) * (len(repeats) - c.ndim(0)), *c.shape(0)))
    return gate.call(c.op, (v,), ((1, *repeats),))


@values("roll")
def _roll(c: Call) -> Any:
    shifts, dims = c.attrs
    if dims is None or (isinstance(dims, tuple) and not dims):
        flat = o.reshape(c.values[0], (c.size, -1))
        shift = shifts if isinstance(shifts, tuple) else (shifts,)
        return c.shaped(gate.call(c.op, (flat,), (shift, (1,))))
    return along(c)


@values("flip")
def _flip(c: Call) -> Any:
    return along(c)


@values("triu", "tril", "constant_pad")
def _trailing(c: Call) -> Any:
    return gate.call(c.op, (c.values[0],), c.attrs)


@values("embedding")
def _embedding(c: Call) -> Any:
    if not c.has[0]:
        return gate.call(c.op, tuple(c.values), c.attrs)
    table, index = _tables(c.full(0)), _offset(c, 1, c.shape(0)[0])
    return o.embedding(table, index, -1, False)


def _tables(v: Any) -> Any:
    """A table a sample (B, rows, d) as one table (B * rows, d)."""
    b, rows, d = v._meta.shape
    return o.reshape(v, (b * rows, d))


def _batch_index(c: Call, ndim: int) -> Any:
    """0 .. B-1 as the first of ndim + 1 dimensions."""
    where = next(v for v, h in zip(c.values, c.has, strict=True) if h)._meta.device
    i = o.arange(0, c.size, 1, int64, where)
    return o.reshape(i, (c.size, *(1,) * ndim))


def _offset(c: Call, at: int, rows: int) -> Any:
    index = c.full(at)
    return o.to(index, int64) + _batch_index(c, c.ndim(at)) * rows


@values("embedding_spread")
def _embedding_spread(c: Call) -> Any:
    rows, padding_idx, by_freq = c.attrs
    g, index = c.full(0), c.full(1)
    if padding_idx >= 0:
        g = o.masked_fill(g, o.unsqueeze(index == padding_idx, -1), 0)
    made = o.embedding_spread(g, _offset(c, 1, rows), rows * c.size, -1, by_freq)
    return o.reshape(made, c.out())


# Adjoints of views, and writes into slices


@values(
    "select_backward", "slice_backward", "diagonal_backward", "unfold_backward",
)  # fmt: skip
def _backward_of_view(c: Call) -> Any:
    shape = tuple(c.attrs[0])
    shape = shape or (1,)
    attrs = list(shifted(c, len(shape)))
    attrs[0] = (c.size, *shape)
    return c.shaped(gate.call(c.op, (c.values[0],), tuple(attrs)))


def _reach(size: tuple[int, ...], stride: tuple[int, ...]) -> int:
    """How far behind its first element a layout's last one stands."""
    return sum([max(n - 1, 0) * s for n, s in zip(size, stride, strict=True)])


@values("as_strided_backward")
def _as_strided_backward(c: Call) -> Any:
    shape, strides, size, stride, offset = c.attrs
    apart = max(_reach(shape, strides), offset + _reach(size, stride)) + 1  # sample from sample
    attrs = ((c.size, *shape), (apart, *strides), (c.size, *size), (apart, *stride), offset)
    return gate.call(c.op, (c.values[0],), attrs)


@values("select_scatter", "slice_scatter", "diagonal_scatter")
def _scatter_view(c: Call) -> Any:
    return gate.call(c.op, (c.full(0), c.full(1)), shifted(c, c.ndim(0)))


# gather and scatter


@values("gather", "scatter", "scatter_add", "scatter_reduce")
def _picked(c: Call) -> Any:
    n = c.ndim(0)
    inputs = [c.full(i) for i in range(len(c.values))]
    if n == 0:
        inputs = [_at_least_one(v) for v in inputs]
    if len(inputs) > 2 and isinstance(inputs[2], Tensor) and inputs[2]._meta.ndim < max(n, 1) + 1:
        return one_by_one(c)  # one value for all places
    inputs = [
        o.unsqueeze(v, -1) if isinstance(v, Tensor) and v._meta.ndim < max(n, 1) + 1 else v
        for v in inputs
    ]
    return c.shaped(gate.call(c.op, tuple(inputs), shifted(c, max(n, 1))))


def _at_least_one(v: Any) -> Any:
    return o.unsqueeze(v, 1) if isinstance(v, Tensor) and v._meta.ndim == 1 else v


def _spread_index(x: Any, index: Any, dim: int) -> Any:
    """A vector of indices along dim, in the shape that gather and scatter want."""
    shape = [1] * x._meta.ndim
    shape[dim] = index._meta.numel
    want = list(x._meta.shape)
    want[dim] = index._meta.numel
    return o.expand(o.reshape(index, shape), tuple(want))


@values("index_select")
def _index_select(c: Call) -> Any:
    n = max(c.ndim(0), 1)
    if not c.has[1]:
        v = c.values[0] if c.ndim(0) else o.unsqueeze(c.values[0], 1)
        return c.shaped(gate.call(c.op, (v, c.values[1]), shifted(c, n)))
    dim = wrap_dim(c.attrs[0], n)
    x = c.full(0) if c.ndim(0) else o.unsqueeze(c.full(0), 1)
    index = o.reshape(c.values[1], (c.size, -1))
    shape = [c.size, *[1] * n]
    shape[dim + 1] = index._meta.shape[1]
    want = list(x._meta.shape)
    want[dim + 1] = index._meta.shape[1]
    at = o.expand(o.reshape(o.to(index, int64), shape), tuple(want))
    return c.shaped(o.gather(x, at, dim + 1))


@composition("index_add")
def _index_add(x: Any, index: Any, source: Any, dim: int, alpha: Any) -> Any:
    n = x._meta.ndim
    if n == 0:
        x, source = o.unsqueeze(x, 0), o.reshape(source, (-1,))
    dim = wrap_dim(dim, max(n, 1))
    at = _spread_index(x, o.to(index, int64), dim)
    made = o.scatter_add(x, at, source if alpha == 1 else source * alpha, dim)
    return made if n else o.squeeze(made, 0)


@composition("index_copy")
def _index_copy(x: Any, index: Any, source: Any, dim: int) -> Any:
    n = x._meta.ndim
    if n == 0:
        x, source = o.unsqueeze(x, 0), o.reshape(source, (-1,))
    dim = wrap_dim(dim, max(n, 1))
    made = o.scatter(x, _spread_index(x, o.to(index, int64), dim), source, dim)
    return made if n else o.squeeze(made, 0)


@composition("index_fill")
def _index_fill(x: Any, index: Any, value: Any, dim: int) -> Any:
    n = x._meta.ndim
    y = x if n else o.unsqueeze(x, 0)
    dim = wrap_dim(dim, max(n, 1))
    at = _spread_index(y, o.to(index, int64), dim)
    if isinstance(value, Tensor):
        source = o.expand(o.to(value, y._meta.dtype), tuple(at._meta.shape))
    else:
        source = o.full(value, tuple(at._meta.shape), y._meta.dtype, y._meta.device)
    made = o.scatter(y, at, source, dim)
    return made if n else o.squeeze(made, 0)


@composition("take")
def _take(x: Any, index: Any) -> Any:
    return o.index((o.reshape(x, (-1,)), index))


@composition("put")
def _put(x: Any, index: Any, source: Any, accumulate: bool) -> Any:
    shape = tuple(x._meta.shape)
    flat = o.reshape(x, (-1,))
    source = o.reshape(source, (-1,))
    return o.reshape(o.index_put((flat, source, o.reshape(index, (-1,))), accumulate), shape)


@composition("block_diag")
def _block_diag(*blocks: Any) -> Any:
    blocks = tuple([o.reshape(b, (1,) * (2 - b._meta.ndim) + tuple(b._meta.shape)) for b in blocks])
    width = sum(b._meta.shape[1] for b in blocks)
    rows, start = [], 0
    for b in blocks:
        n = b._meta.shape[1]
        rows.append(o.constant_pad(b, (start, width - start - n), 0))
        start += n
    return o.cat(rows, 0)


@values("linalg_cross")
def _cross(c: Call) -> Any:
    n = max(c.ndim(0), c.ndim(1))
    vs = tuple(
        [o.reshape(c.full(i), (c.size, *(1,) * (n - c.ndim(i)), *c.shape(i))) for i in (0, 1)]
    )
    return gate.call(c.op, vs, (wrap_dim(c.attrs[0], n) + 1,))


@values("searchsorted")
def _searchsorted(c: Call) -> Any:
    sorter = c.values[2] if len(c.values) > 2 else None
    if c.ndim(0) != 1 or (sorter is not None and c.has[2]):
        return one_by_one(c)
    if not c.has[0]:
        return gate.call(c.op, tuple(c.values), c.attrs)
    values = o.reshape(c.full(1), (c.size, -1))
    rest = c.values[2:] if sorter is None else [c.full(2)]
    return c.shaped(gate.call(c.op, (c.values[0], o.clone_strided(values, None), *rest), c.attrs))


# x[index tensors]


def _to_front(c: Call, indices: list[Any]) -> tuple[Any, list[int], int]:
    """Input 0 with its indexed dimensions directly behind the batch's.

    Returns:
        it, the order of its dimensions, and where one sample's result has the indices' shape.
    """
    used = [d for d, i in enumerate(indices) if i is not None]
    rest = [d for d in range(c.ndim(0)) if d not in used]
    order = [0, *[d + 1 for d in (*used, *rest)]]
    adjacent = used == list(range(used[0], used[-1] + 1))
    return o.permute(c.full(0), tuple(order)), order, used[0] if adjacent else 0


def _indices(c: Call, first: int) -> tuple[list[Any], list[Any], int]:
    """The index tensors of a call, for the batch and as given, and their broadcast rank."""
    given = [c.logical[i] for i in range(first, len(c.values))]
    rank = max(i._meta.ndim for i in given if i is not None)
    found: list[Any] = [_batch_index(c, rank)]
    for at in range(first, len(c.values)):
        v = c.values[at]
        if v is None:
            continue
        if c.has[at]:
            v = o.reshape(v, (c.size, *(1,) * (rank - c.ndim(at)), *c.shape(at)))
        found.append(o.to(v, int64))
    return found, given, rank


@values("index")
def _index(c: Call) -> Any:
    if not any(c.has[1:]):
        used = [d for d, i in enumerate(c.values[1:]) if i is not None]
        if used == list(range(used[0], used[-1] + 1)):
            return gate.call(c.op, (c.values[0], None, *c.values[1:]), ())
    found, given, rank = _indices(c, 1)
    x, _, at = _to_front(c, given)
    picked = o.index((x, *found))  # (B, *index, *rest)
    if at == 0:
        return picked
    n = picked._meta.ndim
    order = [0, *range(1 + rank, 1 + rank + at), *range(1, 1 + rank), *range(1 + rank + at, n)]
    return o.permute(picked, tuple(order))


@values("index_put")
def _index_put(c: Call) -> Any:
    found, given, rank = _indices(c, 2)
    x, order, at = _to_front(c, given)
    spread = o.index((x, *found))._meta.shape  # (B, *index, *rest)
    shape = (*spread[1 + rank : 1 + rank + at], *spread[1 : 1 + rank], *spread[1 + rank + at :])
    v = c.values[1]
    if c.has[1]:
        v = o.reshape(v, (c.size, *(1,) * (len(shape) - c.ndim(1)), *c.shape(1)))
    v = o.expand(v, (c.size, *shape))
    if at:
        back = [0, *range(1 + at, 1 + at + rank), *range(1, 1 + at), *range(1 + at + rank, v.ndim)]
        v = o.permute(v, tuple(back))
    made = o.index_put((x, v, *found), *c.attrs)
    undo = sorted(range(len(order)), key=order.__getitem__)
    return o.permute(made, tuple(undo))
