"""Embedding tables."""

from __future__ import annotations

import warnings
from typing import Any

import rushlight as rl
from rushlight.dispatch.gate import call
from rushlight.ops import embedding as records

__all__ = ["embedding", "embedding_bag"]

_SPARSE = "sparse gradients are not supported: use sparse=False"


def _renormalise(weight: Any, input: Any, max_norm: float, norm_type: float) -> None:
    """Scales the rows in use, in place, to at most this norm."""
    with rl.no_grad():
        used = input.reshape(-1).unique()
        norms = weight[used].norm(norm_type, dim=1, keepdim=True)
        scale = rl.where(norms > max_norm, max_norm / (norms + 1e-7), rl.ones_like(norms))
        weight[used] = weight[used] * scale


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

    Example:
        >>> import rushlight as torch
        >>> table = torch.tensor([[0.0, 1.0], [2.0, 3.0]])
        >>> torch.nn.functional.embedding(torch.tensor([1, 0, 1]), table)
        tensor([[2., 3.],
                [0., 1.],
                [2., 3.]])
    """
    if sparse:
        raise NotImplementedError(_SPARSE)
    if weight.dim() != 2:
        raise RuntimeError("'weight' must be 2-D")
    rows = weight.size(0)
    if padding_idx is None:
        padding_idx = -1
    elif padding_idx >= rows:
        raise AssertionError("Padding_idx must be within num_embeddings")
    elif padding_idx < 0:
        if padding_idx < -rows:
            raise AssertionError("Padding_idx must be within num_embeddings")
        padding_idx += rows
    if max_norm is not None:
        _renormalise(weight, input, max_norm, norm_type)
    return call(records.embedding, (weight, input), (padding_idx, bool(scale_grad_by_freq)))


def embedding_bag(
    input: Any,
    weight: Any,
    offsets: Any = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Any = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Any:
    """The sum, mean or maximum of bags of rows of a table.

    Args:
        input: indices, (B, n) for B bags of n, or (N) cut into bags by ``offsets``.
        weight: the table, (rows, features).
        offsets: where each bag begins in a one-dimensional ``input``.
        max_norm: rows used are first scaled, in place, to at most this norm.
        norm_type: the p of that norm.
        scale_grad_by_freq: divide each row's gradient by how often it is used (not for ``max``).
        mode: ``mean``, ``sum`` or ``max``.
        sparse: not supported: gradients are dense.
        per_sample_weights: a factor for each index (``sum`` only).
        include_last_offset: whether ``offsets`` ends with the length of ``input``.
        padding_idx: an index that does not count.

    Returns:
        (B, features); an empty bag gives zeros.

    Example:
        >>> import rushlight as torch
        >>> table = torch.tensor([[0.0, 1.0], [2.0, 3.0]])
        >>> torch.nn.functional.embedding_bag(torch.tensor([[0, 1]]), table)
        tensor([[1., 2.]])
    """
    if weight.dtype == rl.int64 and input.is_floating_point():
        warnings.warn(
            "Argument order of nn.functional.embedding_bag was changed. Usage "
            "`embedding_bag(weight, input, ...)` is deprecated, and should now be "
            "`embedding_bag(input, weight, ...)`.",
            stacklevel=2,
        )
        weight, input = input, weight
    if per_sample_weights is not None and input.size() != per_sample_weights.size():
        raise ValueError(
            f"embedding_bag: If per_sample_weights ({per_sample_weights.shape}) is not None, then "
            "it "
            f"must have the same shape as the input ({input.shape})"
        )
    if weight.dim() != 2:
        raise ValueError(
            f"weight has to be a 2D Tensor, but got Tensor of dimension {weight.dim()}"
        )
    if input.dim() == 2:
        if offsets is not None:
            raise ValueError(
                "if input is 2D, then offsets has to be None, as input is treated is a mini-batch "
                "of "
                f"fixed length sequences. However, found offsets of type {type(offsets)}"
            )
        starts = rl.arange(0, input.numel(), input.size(1)) if input.size(1) else None
        if starts is None:
            starts = rl.zeros(input.size(0), dtype=rl.int64)
        offsets, include_last_offset = starts, False
        input = input.reshape(-1)
        if per_sample_weights is not None:
            per_sample_weights = per_sample_weights.reshape(-1)
    elif input.dim() != 1:
        raise ValueError(
            f"input has to be 1D or 2D Tensor, but got Tensor of dimension {input.dim()}"
        )
    elif offsets is None:
        raise ValueError("offsets has to be a 1D Tensor but got None")
    elif offsets.dim() != 1:
        raise ValueError("offsets has to be a 1D Tensor")
    if mode not in ("sum", "mean", "max"):
        raise ValueError("mode has to be one of sum, mean or max")
    if mode == "max" and scale_grad_by_freq:
        raise ValueError("max mode does not support scaling the gradient by the frequency")
    if sparse:
        raise (
            ValueError("max mode does not support sparse weights")
            if mode == "max"
            else (NotImplementedError(_SPARSE))
        )
    if max_norm is not None:
        _renormalise(weight, input, max_norm, norm_type)
    if per_sample_weights is not None and mode != "sum":
        raise NotImplementedError(
            "embedding_bag: per_sample_weights was not None. per_sample_weights is only supported "
            f"for mode='sum' (got mode='{mode}'). Please open a feature request on GitHub."
        )
    return _bags(
        weight,
        input,
        offsets,
        scale_grad_by_freq,
        mode,
        per_sample_weights,
        include_last_offset,
        padding_idx,
    )[0]


def _bags(
    weight: Any,
    input: Any,
    offsets: Any,
    scale_grad_by_freq: bool,
    mode: str,
    per_sample_weights: Any,
    include_last_offset: bool,
    padding_idx: int | None,
) -> tuple[Any, Any, Any]:
    """(the bags, each index's bag, where each maximum stands)."""
    count = input.numel()
    if offsets.numel():
        if int(offsets[0]) != 0:
            raise RuntimeError(
                "offsets[0] has to be 0, i.e., the first sequence in the mini-batch has to start "
                f"from position 0. However, got {int(offsets[0])}"
            )
        if int(offsets[-1]) > count:
            raise RuntimeError(
                f"offsets[-1] can not be greater than input's length {count} but got offsets[-1] "
                "of "
                f"{int(offsets[-1])}"
            )
    bags = offsets.numel() - (1 if include_last_offset else 0)
    starts = offsets[:bags].long()
    bag = rl.searchsorted(starts.contiguous(), rl.arange(count), right=True) - 1
    if padding_idx is None:
        padding_idx = -1
    elif padding_idx < 0:
        padding_idx += weight.size(0)
    inputs = (weight, input, bag, per_sample_weights)
    how = (bags, mode, padding_idx, bool(scale_grad_by_freq))
    out, where = call(records.embedding_bag, inputs, how)
    return out, bag, where
