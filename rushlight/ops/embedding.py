"""Embedding tables: rows picked by index, with scaled or withheld gradients."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.ir.meta import Meta
from rushlight.ir.op import Op, Plan


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
    if index.size and (index.min() < 0 or index.max() >= weight.shape[0]):
        raise IndexError("index out of range in self")
    return weight[index]


def _spread(g: Any, index: Any, rows: int, padding_idx: int, scale_by_freq: bool) -> Any:
    flat = index.reshape(-1)
    values = g.reshape(flat.size, g.shape[-1])
    if padding_idx >= 0:
        keep = flat != padding_idx
        flat, values = flat[keep], values[keep]
    if scale_by_freq and flat.size:
        count = np.bincount(flat, minlength=rows)
        values = values / count[flat][:, None].astype(g.dtype)
    out = np.zeros((rows, g.shape[-1]), g.dtype)
    np.add.at(out, flat, values)
    return out


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
    grads=(
        lambda o, g, _g, index, _y, rows, padding_idx, scale: o.masked_fill(
            o.embedding(g, index, -1, False), o.unsqueeze(index == padding_idx, -1), 0
        ),
        None,
    ),
)
