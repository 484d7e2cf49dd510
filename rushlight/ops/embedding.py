"""Embedding tables: rows picked by index, with scaled or withheld gradients."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.dtypes import int64
from rushlight.ir.meta import Meta, meta
from rushlight.ir.op import Op, Plan
from rushlight.ops.build import unsupported
from rushlight.ops.readable import checked, is_symbol, zeros


def _rule(weight: Meta, index: Meta, padding_idx: int, scale_by_freq: bool) -> Plan:
    if index.dtype.name not in ("int32", "int64"):
        raise RuntimeError(
            "Expected tensor for argument #1 'indices' to have one of the following scalar types: "
            f"Long, Int; but got torch.{index.dtype.title}Tensor instead (while checking arguments "
            "for embedding)"
        )
    if weight.ndim != 2:
        raise RuntimeError("'weight' must be 2-D")
    return Plan(weight.like(shape=(*index.shape, weight.shape[1])))


def _embedding(weight: Any, index: Any, padding_idx: int, scale_by_freq: bool) -> Any:
    return weight[checked(index, weight.shape[0], _out_of_range)]


def _out_of_range(index: Any) -> Exception:
    return IndexError("index out of range in self")


def _spread(g: Any, index: Any, rows: int, padding_idx: int, scale_by_freq: bool) -> Any:
    flat = index.reshape(-1)
    values = g.reshape(flat.size, g.shape[-1])
    if is_symbol(g):
        return _symbolic_spread(values, flat, rows, padding_idx, scale_by_freq)
    if padding_idx >= 0:
        keep = flat != padding_idx
        flat, values = flat[keep], values[keep]
    if scale_by_freq and flat.size:
        count = np.bincount(flat, minlength=rows)
        values = values / count[flat][:, None].astype(g.dtype)
    return _summed_rows(values, flat, rows)


def _symbolic_spread(values: Any, index: Any, rows: int, padding_idx: int, by_freq: bool) -> Any:
    """`_spread` without looking at elements."""
    out = zeros(values, (rows, values.shape[-1]))
    if by_freq:
        count = zeros(values, (rows,), np.int64)
        np.add.at(count, index, 1)
        values = values / count[index][:, None].astype(values.dtype)
    if padding_idx >= 0:
        values = np.where((index == padding_idx)[:, None], values.dtype.type(0), values)
    np.add.at(out, index, values)
    return out


def _summed_rows(values: Any, index: Any, rows: int) -> Any:
    """Zeros of so many rows, with each row of ``values`` added where its index points.

    Rounds of indices that are all different: the first occurrence of each, then the second, ...
    (an eighth of ``np.add.at``'s time).
    """
    out = np.zeros((rows, values.shape[-1]), values.dtype)
    if not index.size:
        return out
    order = np.argsort(index, kind="stable")
    ranked = index[order]
    first = np.flatnonzero(np.concatenate([[True], ranked[1:] != ranked[:-1]]))
    counts = np.diff(np.append(first, ranked.size))
    if counts.max() > 64 and counts.max() * 8 > index.size:  # a few rows get nearly everything
        for row, start, count in zip(ranked[first], first, counts, strict=True):
            out[row] = values[order[start : start + count]].sum(0, dtype=values.dtype)
        return out
    often = np.argsort(-counts, kind="stable")
    first, counts = first[often], counts[often]
    targets = ranked[first]
    for k in range(int(counts[0])):
        m = int(np.searchsorted(-counts, -k, side="left"))  # how many occur more than k times
        out[targets[:m]] += values[order[first[:m] + k]]
    return out


def _spread_grad(
    o: Any, g: Any, _g: Any, index: Any, _y: Any, rows: int, padding_idx: int, scale: bool
) -> Any:
    """The rows at the indices, withheld and scaled as ``_spread`` does."""
    each = o.embedding(g, index, -1, False)
    if scale:
        ones = o.full(1, (*index._meta.shape, 1), g._meta.dtype, g._meta.device)
        counts = o.embedding_spread(ones, index, rows, -1, False)
        each = each / o.embedding(counts, index, -1, False)
    if padding_idx >= 0:
        each = o.masked_fill(each, o.unsqueeze(index == padding_idx, -1), 0)
    return each


embedding = Op(
    "embedding",
    kind="indexing",
    inputs=("weight", "indices"),
    attrs=("padding_idx", "scale_grad_by_freq"),
    defaults=(-1, False),
    rule=_rule,
    kernel=_embedding,
    grads=(
        lambda o, g, _w, index, _y, padding_idx, scale: o.embedding_spread(
            g, index, _w.shape[0], padding_idx, scale
        ),
        None,
    ),
)
embedding_spread = Op(
    "embedding_spread",
    kind="indexing",
    inputs=("grad_output", "indices"),
    attrs=("rows", "padding_idx", "scale_grad_by_freq"),
    rule=lambda g, index, rows, padding_idx, scale: g.like(shape=(rows, g.shape[-1])),
    kernel=_spread,
    whole="sums of halves at indices, rounded one by one",
    grads=(_spread_grad, None),
)


# Bags: rows summed, averaged, or taken their maximum of


def _bag_rule(
    weight: Meta, index: Meta, bag: Meta, per: Any, bags: int, mode: str, pad: int, by_freq: bool
) -> Plan:
    if index.dtype.name not in ("int32", "int64"):
        raise RuntimeError(
            "Expected tensor for argument #1 'indices' to have one of the following scalar types: "
            f"Long, Int; but got torch.{index.dtype.title}Tensor instead (while checking arguments "
            "for embedding_bag)"
        )
    if weight.dtype.kind != "f":
        raise unsupported("embedding_bag", weight.dtype)
    if per is not None and per.dtype is not weight.dtype:
        raise RuntimeError(
            "embedding_bag: expected weight and per_sample_weights to have the same dtype, but got "
            f"torch.{weight.dtype.name} and torch.{per.dtype.name}"
        )
    shape = (bags, weight.shape[1])
    where = meta(shape if mode == "max" else (0,), int64, None, weight.device)
    return Plan([meta(shape, weight.dtype, None, weight.device), where])


def _bag(
    weight: Any, index: Any, bag: Any, per: Any, bags: int, mode: str, pad: int, by_freq: bool
) -> Any:
    """Each index's row goes to its bag; a padding index to none; an empty bag is 0."""
    room = weight.shape[0]
    index = checked(index, room, lambda index: _no_row(index, room))
    keep = index != pad
    wide = np.float32 if weight.dtype.itemsize == 2 else weight.dtype
    if is_symbol(weight) and mode != "max":
        return _symbolic_bag(weight.astype(wide), index, bag, per, bags, mode, keep)
    index, bag = index[keep], bag[keep]
    rows = weight[index].astype(wide, copy=False)
    if mode == "max":
        return _bag_maximum(rows, index, bag, bags)
    if per is not None:
        rows = rows * per[keep, None].astype(wide)
    out = _summed_rows(rows, bag, bags)
    if mode == "mean":
        out /= np.maximum(np.bincount(bag, minlength=bags), 1)[:, None].astype(wide)
    return out, np.empty(0, np.int64)


def _no_row(index: Any, rows: int) -> Exception:
    at = int(np.flatnonzero((index < 0) | (index >= rows))[0])
    return RuntimeError(
        f"Index {at} of input takes value {int(index[at])} which is not in the valid range "
        f"[0, {rows})"
    )


def _symbolic_bag(
    weight: Any, index: Any, bag: Any, per: Any, bags: int, mode: str, keep: Any
) -> Any:
    """`_bag` without dropping what is padding: it adds 0."""
    rows = np.where(keep[:, None], weight[index], weight.dtype.type(0))
    if per is not None:
        rows = rows * per[:, None].astype(weight.dtype)
    out = zeros(rows, (bags, rows.shape[1]))
    np.add.at(out, bag, rows)
    if mode == "mean":
        count = zeros(rows, (bags,), np.int64)
        np.add.at(count, bag, keep.astype(np.int64))
        out /= np.maximum(count, 1)[:, None].astype(weight.dtype)
    return out, np.empty(0, np.int64)


def _bag_maximum(rows: Any, index: Any, bag: Any, bags: int) -> Any:
    out = np.zeros((bags, rows.shape[1]), rows.dtype)
    where = np.full(out.shape, -1, np.int64)
    for row, at, b in zip(rows, index, bag, strict=True):
        better = (row > out[b]) | (where[b] < 0)
        out[b] = np.where(better, row, out[b])
        where[b] = np.where(better, at, where[b])
    return out, where


def _bag_backward(
    o: Any,
    needs: Any,
    g: Any,
    inputs: Any,
    outputs: Any,
    bags: int,
    mode: str,
    pad: int,
    by_freq: bool,
) -> Any:
    weight, index, bag, per = inputs
    g = g[0]
    rows = weight._meta.shape[0]
    dw = dper = None
    if mode == "max":
        where = outputs[1]
        g = o.where(where < 0, 0, g)
        zeros = o.zeros(weight._meta.shape, g._meta.dtype, g._meta.device)
        return o.scatter_add(zeros, o.clamp(where, 0, None), g, 0), None, None, None
    if mode == "mean":
        kept = o.unsqueeze(o.to(index != pad, g._meta.dtype), -1)
        counts = o.embedding_spread(kept, bag, bags, -1, False)
        g = g / o.clamp(counts, 1, None)
    each = o.embedding(g, bag, -1, False)  # every index's share
    if needs[0]:
        share = each if per is None else each * o.unsqueeze(per, -1)
        dw = o.embedding_spread(share, index, rows, pad, by_freq)
    if needs[3]:
        dper = o.sum(each * o.embedding(weight, index, -1, False), (1,), False, None)
        dper = o.where(index == pad, 0, dper)
    return dw, None, None, dper


embedding_bag = Op(
    "embedding_bag",
    kind="indexing",
    inputs=("weight", "indices", "bag", "per_sample_weights"),
    attrs=("bags", "mode", "padding_idx", "scale_grad_by_freq"),
    rule=_bag_rule,
    kernel=_bag,
    backward=_bag_backward,
    keeps_inputs=(0, 1, 2, 3),
    keeps_outputs=(1,),
    node="EmbeddingBagBackward0",
    whole="keeps maxima in a loop over rows",
)
