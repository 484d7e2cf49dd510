"""Embedding tables."""

from __future__ import annotations

from typing import Any

import rushlight as rl
from rushlight.dispatch.gate import call
from rushlight.ops import embedding as records

__all__ = ["embedding"]


def embedding(
    input: Any,
    weight: Any,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Any:
    """The rows of a table at these indices.

    Args:
        input: indices of any shape.
        weight: the table, (rows, features).
        padding_idx: a row whose gradient is withheld.
        max_norm: rows used are first scaled, in place, to at most this norm.
        norm_type: the p of that norm.
        scale_grad_by_freq: divide each row's gradient by how often it is used in the batch.
        sparse: not supported: gradients are dense.

    Raises:
        IndexError: an index outside the table.
    """
    if sparse:
        raise NotImplementedError("sparse gradients are not supported: use sparse=False")
    rows = weight.size(0)
    if padding_idx is None:
        padding_idx = -1
    elif not -rows <= padding_idx < rows:
        raise AssertionError("Padding_idx must be within num_embeddings")
    elif padding_idx < 0:
        padding_idx += rows
    if max_norm is not None:
        with rl.no_grad():
            used = input.reshape(-1).unique()
            norms = weight[used].norm(norm_type, dim=1, keepdim=True)
            scale = rl.where(norms > max_norm, max_norm / (norms + 1e-7), rl.ones_like(norms))
            weight[used] = weight[used] * scale
    return call(records.embedding, (weight, input), (padding_idx, bool(scale_grad_by_freq)))
