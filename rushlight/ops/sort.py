"""Sorting and what follows from it: order statistics, unique elements, searching, counting.

NaN counts as larger than every number, as in PyTorch.  Sorts are stable; topk, kthvalue and mode
choose among equal values as PyTorch does (`selection.py`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.ir.meta import Meta, meta
from rushlight.ir.op import Op, Plan
from rushlight.ir.shapes import reduced, wrap_dim
from rushlight.ir.strides import like_strides
from rushlight.ops.build import unsupported
from rushlight.ops.selection import kth_index, last_of_mode, top_indices


def _order(x: Any, dim: int, descending: bool) -> Any:
    """The stable order of the elements along a dimension."""
    if x.dtype.kind == "V" or x.dtype.name == "bfloat16":
        x = x.astype(np.float32)
    if not descending:
        return np.argsort(x, axis=dim, kind="stable")
    back = np.argsort(np.flip(x, dim), axis=dim, kind="stable")
    return x.shape[dim] - 1 - np.flip(back, dim)


# Among equal values PyTorch's choice is followed as long as it takes no noticeable time (its
# algorithms step in Python); in more elements than this the first of equals comes first.
_MOST_TIED = 1 << 17


def _tied(x: Any, order: Any, dim: int) -> tuple[Any, Any]:
    """Rows along a dimension: the rank of each element, and which places in order equal the next.

    Args:
        order: the order of the elements along the dimension, as ``_order`` gives it.
    """
    n = x.shape[dim]
    if x.dtype.name == "bfloat16":
        x = x.astype(np.float32)
    rows = np.moveaxis(order, dim, -1).reshape(-1, n)
    values = _pick(np.moveaxis(x, dim, -1).reshape(-1, n), rows, -1)
    same = values[:, 1:] == values[:, :-1]
    if x.dtype.kind == "f":
        same |= np.isnan(values[:, 1:]) & np.isnan(values[:, :-1])
    in_order = np.zeros(rows.shape, np.int64)
    np.cumsum(~same, axis=-1, out=in_order[:, 1:])
    ranks = np.empty(rows.shape, np.int64)
    np.put_along_axis(ranks, rows, in_order, -1)
    return ranks, same


def _chosen(index: Any, dim: int, ranks: Any, rows: Any, choose: Any) -> Any:
    """The places with those of these rows chosen among equals as PyTorch does."""
    if not rows.any() or int(rows.sum()) * ranks.shape[-1] > _MOST_TIED:
        return index
    shape = np.moveaxis(index, dim, -1).shape
    flat = np.moveaxis(index, dim, -1).reshape(len(ranks), -1).copy()
    for row in np.flatnonzero(rows):
        flat[row] = choose(ranks[row])
    return np.moveaxis(flat.reshape(shape), -1, dim)


def _pick(x: Any, index: Any, dim: int) -> Any:
    return np.take_along_axis(x, index, dim)


def _give_back(o: Any, needs: Any, g: Any, inputs: Any, outputs: Any, dim: int, *rest: Any) -> Any:
    """The gradient of each value goes to the place it came from."""
    return (o.put_back(g[0], outputs[1], inputs[0].shape, wrap_dim(dim, inputs[0].ndim), True),)


def _sort_rule(m: Meta, dim: int, descending: bool) -> Plan:
    wrap_dim(dim, m.ndim)
    if m.dtype.is_complex:
        raise RuntimeError(" Sort does not support complex dtypes on CPU")
    strides = like_strides(m.shape, m.strides)
    return Plan((m.like(strides=strides), m.like(dtype=dtypes.int64, strides=strides)))


def _sort(x: Any, dim: int, descending: bool) -> Any:
    if x.ndim == 0:
        return x.copy(), np.zeros((), np.int64)
    order = _order(x, dim, descending)
    return _pick(x, order, dim), order


sort = Op(
    "sort",
    kind="sort",
    attrs=("dim", "descending"),
    defaults=(-1, False),
    rule=_sort_rule,
    kernel=_sort,
    backward=_give_back,
    keeps_outputs=(1,),
)


def _topk_rule(m: Meta, k: int, dim: int, largest: bool, in_order: bool) -> Plan:
    d = wrap_dim(dim, m.ndim)
    if m.dtype.is_complex:
        raise RuntimeError(" topk does not support complex dtypes on CPU")
    if m.dtype.kind == "b":
        raise RuntimeError("topk does not support bool dtypes on CPU")
    if not 0 <= k <= (m.shape[d] if m.ndim else 1):
        raise RuntimeError("selected index k out of range")
    shape = tuple(k if i == d else s for i, s in enumerate(m.shape))
    return Plan((m.like(shape), m.like(shape, dtypes.int64)))


def _topk(x: Any, k: int, dim: int, largest: bool, in_order: bool) -> Any:
    if x.ndim == 0:
        return x.copy(), np.zeros((), np.int64)
    n = x.shape[dim]
    order = _order(x, dim, largest)
    best = order if k == n else np.take(order, np.arange(k), axis=dim)
    if x.size and k:
        ranks, same = _tied(x, order, dim)
        rows = same[:, :k].any(-1) if in_order else np.ones(len(ranks), bool)
        best = _chosen(best, dim, ranks, rows, lambda r: top_indices(r, k, in_order))
    return _pick(x, best, dim), best


def _topk_backward(
    o: Any, needs: Any, g: Any, inputs: Any, outputs: Any, k: int, dim: int, *rest: Any
) -> Any:
    return _give_back(o, needs, g, inputs, outputs, dim)


topk = Op(
    "topk",
    kind="sort",
    attrs=("k", "dim", "largest", "sorted"),
    defaults=(-1, True, True),
    rule=_topk_rule,
    kernel=_topk,
    samples=lambda make: [
        ((make(3, 4),), (2, 1, True, True)),
        ((make(3, 4),), (1, 0, False, True)),
    ],
    backward=_topk_backward,
    keeps_outputs=(1,),
)

# One element along a dimension: kthvalue, median, mode


def _selection_metas(name: str, m: Meta, dim: int, keepdim: bool, kinds: str) -> Plan:
    d = wrap_dim(dim, m.ndim)
    if m.dtype.kind not in kinds:
        raise unsupported(f"{name}_cpu", m.dtype)
    if m.ndim and m.shape[d] == 0:
        raise IndexError(f"{name}(): Expected reduction dim {d} to have non-zero size.")
    out = reduced(m.shape, (d,) if m.ndim else (), keepdim)
    return Plan((meta(out, m.dtype, None, m.device), meta(out, dtypes.int64, None, m.device)))


def _selected(x: Any, index: Any, dim: int, keepdim: bool) -> Any:
    """Values and places, given the places with the dimension kept."""
    values = _pick(x, index, dim)
    if keepdim:
        return values, index
    return np.squeeze(values, dim), np.squeeze(index, dim)


def _kth_rule(m: Meta, k: int, dim: int, keepdim: bool) -> Plan:
    plan = _selection_metas("kthvalue", m, dim, keepdim, "uif")
    if not 1 <= k <= (m.shape[wrap_dim(dim, m.ndim)] if m.ndim else 1):
        d = wrap_dim(dim, m.ndim)
        raise RuntimeError(f"kthvalue(): selected number k out of range for dimension {d}")
    return plan


def _kthvalue(x: Any, k: int, dim: int, keepdim: bool) -> Any:
    if x.ndim == 0:
        return x.copy(), np.zeros((), np.int64)
    order = _order(x, dim, False)
    index = np.take(order, [k - 1], axis=dim)
    if x.size:
        ranks, same = _tied(x, order, dim)
        rows = same[:, max(k - 2, 0) : k].any(-1)
        index = _chosen(index, dim, ranks, rows, lambda r: kth_index(r, k - 1))
    return _selected(x, index, dim, keepdim)


def _kth_backward(
    o: Any, needs: Any, g: Any, inputs: Any, outputs: Any, k: int, dim: int, keepdim: bool
) -> Any:
    shape = inputs[0].shape
    return (o.put_back(g[0], outputs[1], shape, wrap_dim(dim, len(shape)), keepdim),)


kthvalue = Op(
    "kthvalue",
    kind="sort",
    attrs=("k", "dim", "keepdim"),
    defaults=(-1, False),
    rule=_kth_rule,
    kernel=_kthvalue,
    samples=lambda make: [((make(3, 4),), (2, 1, False)), ((make(3, 4),), (1, 0, True))],
    backward=_kth_backward,
    keeps_outputs=(1,),
)


def _median_places(x: Any, dim: int, ignore_nan: bool) -> Any:
    """Where the lower of the two middle elements stands, the dimension kept."""
    order = _order(x, dim, False)
    n = x.shape[dim]
    if x.dtype.kind in "bui":
        return np.take(order, [(n - 1) // 2], axis=dim)
    nans = np.isnan(x).sum(axis=dim, keepdims=True)
    if ignore_nan:
        place = np.maximum(n - nans - 1, 0) // 2
    else:  # the first NaN, if there is one
        place = np.where(nans > 0, n - nans, (n - 1) // 2)
    return _pick(order, place, dim)


def _median_kernel(ignore_nan: bool) -> Any:
    def kernel(x: Any, dim: int, keepdim: bool) -> Any:
        if x.ndim == 0:
            return x.copy(), np.zeros((), np.int64)
        return _selected(x, _median_places(x, dim, ignore_nan), dim, keepdim)

    return kernel


def _pair_backward(
    o: Any, needs: Any, g: Any, inputs: Any, outputs: Any, dim: int, keepdim: bool
) -> Any:
    shape = inputs[0].shape
    return (o.put_back(g[0], outputs[1], shape, wrap_dim(dim, len(shape)), keepdim),)


def _selection(name: str, kernel: Any, kinds: str, node: str, label: str) -> Op:
    return Op(
        name,
        kind="sort",
        attrs=("dim", "keepdim"),
        defaults=(-1, False),
        rule=lambda m, dim, keepdim: _selection_metas(label, m, dim, keepdim, kinds),
        kernel=kernel,
        backward=_pair_backward,
        keeps_outputs=(1,),
        node=node,
    )


def _mode(x: Any, dim: int, keepdim: bool) -> Any:
    """The most frequent element, the smallest of equals, at its last place."""
    if x.ndim == 0:
        return x.copy(), np.zeros((), np.int64)
    found = _order(x, dim, False)
    order = np.moveaxis(found, dim, -1)
    rising = _pick(np.moveaxis(x, dim, -1), order, -1)
    n = rising.shape[-1]
    places = np.arange(n)
    starts = np.ones(rising.shape, bool)
    starts[..., 1:] = rising[..., 1:] != rising[..., :-1]
    run = places - np.maximum.accumulate(np.where(starts, places, 0), axis=-1)
    end = np.argmax(run, axis=-1)[..., None]
    index = np.moveaxis(_pick(order, end, -1), -1, dim)
    if n > 16 and x.size:  # shorter rows are sorted by insertion, which is stable
        ranks, same = _tied(x, found, dim)
        rows = same.any(-1)
        if x.dtype.kind == "f":
            rows &= ~np.isnan(rising.reshape(-1, n)).any(-1)
        index = _chosen(index, dim, ranks, rows, last_of_mode)
    elif x.size and x.dtype.kind == "f":  # unless there are NaNs, which keep others in their place
        values = np.moveaxis(x, dim, -1).reshape(-1, n)
        index = _chosen(index, dim, values, np.isnan(values).any(-1), last_of_mode)
    return _selected(x, index, dim, keepdim)


median_dim = _selection("median_dim", _median_kernel(False), "uif", "MedianBackward1", "median")
nanmedian_dim = _selection(
    "nanmedian_dim", _median_kernel(True), "uif", "NanmedianBackward1", "nanmedian"
)
mode = _selection("mode", _mode, "buif", "ModeBackward0", "mode")


def _whole_median(name: str, ignore_nan: bool) -> Op:
    def rule(m: Meta) -> Meta:
        if m.dtype.kind not in "uif":
            raise unsupported("median_cpu", m.dtype)
        return meta((), m.dtype, None, m.device)

    def kernel(x: Any) -> Any:
        if x.size == 0:
            return np.asarray(np.nan if x.dtype.kind not in "ui" else np.iinfo(x.dtype).min)
        flat = x.reshape(-1)
        return flat[_median_places(flat, 0, ignore_nan)[0]]

    def grad(o: Any, g: Any, x: Any, y: Any) -> Any:
        """Shared by the elements that equal the median."""
        hit = (x == y) | ((x != x) & (y != y))
        return o.cast(hit, g._meta.dtype) * (g / o.sum(hit, None, False, None))

    return Op(
        f"{name}_all",
        kind="sort",
        rule=rule,
        kernel=kernel,
        grads=(grad,),
        node=f"{name.capitalize()}Backward0",
    )


median_all = _whole_median("median", False)
nanmedian_all = _whole_median("nanmedian", True)

# Searching sorted rows


def _search_rule(boundaries: Any, values: Any, sorter: Any, right: bool, int32: bool) -> Plan:
    shape = values.shape
    b = boundaries.shape
    if boundaries.ndim != 1 and (len(shape) != len(b) or tuple(shape[:-1]) != tuple(b[:-1])):
        if values.is_scalar or values.ndim == 0:
            raise RuntimeError(
                "torch.searchsorted(): input value can be a scalar only when boundaries tensor "
                f"dimension is 1, but we got boundaries tensor dim({boundaries.ndim}) and input "
                f"value's dim({values.ndim}) numel(1)"
            )
        raise RuntimeError(
            "torch.searchsorted(): boundaries tensor should be 1 dimension or the first N-1 "
            "dimensions of boundaries tensor and input value tensor must match, but we got "
            f"boundaries tensor {list(b)} and input value tensor {list(shape)}"
        )
    dt = dtypes.int32 if int32 else dtypes.int64
    return Plan(meta(tuple(shape), dt, None, boundaries.device))


def _search(boundaries: Any, values: Any, sorter: Any, right: bool, int32: bool) -> Any:
    values = np.asarray(values)
    if sorter is not None:
        boundaries = _pick(boundaries, sorter, -1)
    if boundaries.dtype.name == "bfloat16":
        boundaries, values = boundaries.astype(np.float32), values.astype(np.float32)
    if boundaries.ndim == 1:
        return np.searchsorted(boundaries, values, "right" if right else "left")
    low = np.zeros(values.shape, np.int64)  # rows: a binary search of all of them at once
    n = boundaries.shape[-1]
    high = np.full(values.shape, n, np.int64)
    for _ in range(n.bit_length()):
        middle = (low + high) // 2
        at = _pick(boundaries, np.minimum(middle, n - 1), -1)
        ahead = ~(values < at) | np.isnan(values) if right else at < values
        if not right and values.dtype.kind == "f":
            ahead |= np.isnan(values) & ~np.isnan(at)
        ahead &= low < high
        low = np.where(ahead, middle + 1, low)
        high = np.where(ahead, high, np.where(low < high, middle, high))
    return low


searchsorted = Op(
    "searchsorted",
    kind="sort",
    inputs=("sorted_sequence", "values", "sorter"),
    attrs=("right", "out_int32"),
    defaults=(False, False),
    rule=_search_rule,
    kernel=_search,
    samples=lambda make: [
        ((np.sort(make(5)), make(2, 3), None), (False, False)),
        ((np.sort(make(2, 5)), make(2, 3), None), (True, True)),
    ],
)
