"""embedding_bag: sums, means or maxima of looked-up vectors.

In: indices in bags (the rows of a matrix, or one row with offsets) and a table.  Out: one vector a
bag.  It is a composition of `embedding`, `index_add` and `gather`.
"""

from __future__ import annotations

import warnings
from typing import Any

import rushlight as rl

from .sparse import embedding

__all__ = ["embedding_bag"]


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
    """Look up the rows of each bag and reduce them; an empty bag gives zeros.

    Args:
        input: indices, (B, N) for bags of equal size, or (N) with offsets.
        weight: the table, (rows, features).
        offsets: where each bag begins in `input`.
        max_norm: rows used are first scaled, in place, to at most this norm.
        norm_type: the p of that norm. Default: 2.
        scale_grad_by_freq: divide each row's gradient by how often it is used in the batch.
        mode: `"sum"`, `"mean"` or `"max"`. Default: `"mean"`.
        sparse: not supported: gradients are dense.
        per_sample_weights: factors of the rows, for `"sum"` only.
        include_last_offset: `offsets` ends with the number of indices. Default: `False`.
        padding_idx: a row that counts for nothing.

    Raises:
        ValueError: shapes or modes that do not go together.
        IndexError: an index outside the table.

    Example:
        >>> import rushlight as rl
        >>> table = rl.eye(3)
        >>> rl.nn.functional.embedding_bag(rl.tensor([[0, 1], [2, 2]]), table, mode="sum")
        tensor([[1., 1., 0.],
                [0., 0., 2.]])
    """
    if weight.dtype is rl.int64 and input.is_floating_point():
        warnings.warn(
            "Argument order of nn.functional.embedding_bag was changed. "
            "Usage `embedding_bag(weight, input, ...)` is deprecated, "
            "and should now be `embedding_bag(input, weight, ...)`.",
            stacklevel=2,
        )
        weight, input = input, weight
    _check_mode(mode, scale_grad_by_freq, sparse, per_sample_weights)
    if weight.dim() != 2:
        raise ValueError(
            f"weight has to be a 2D Tensor, but got Tensor of dimension {weight.dim()}"
        )
    if per_sample_weights is not None and input.size() != per_sample_weights.size():
        raise ValueError(
            f"embedding_bag: If per_sample_weights ({per_sample_weights.shape}) is not None, "
            f"then it must have the same shape as the input ({input.shape})"
        )
    bag_of, bags = _bags(input, offsets, include_last_offset)
    indices = input.reshape(-1)
    rows = embedding(indices, weight, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse)
    if per_sample_weights is not None:
        rows = rows * per_sample_weights.reshape(-1, 1)
    counted = None
    if padding_idx is not None:
        counted = indices != padding_idx % weight.size(0)
    if mode == "max":
        return _largest(rows, bag_of, bags, counted)
    if counted is not None:
        rows = rows * counted.unsqueeze(1)
    total = rows.new_zeros((bags, weight.size(1))).index_add(0, bag_of, rows)
    if mode == "sum":
        return total
    ones = rl.ones_like(bag_of) if counted is None else counted.to(rl.int64)
    count = bag_of.new_zeros(bags).index_add(0, bag_of, ones)
    return total / count.clamp(min=1).unsqueeze(1)


def _check_mode(mode: str, scale_grad_by_freq: bool, sparse: bool, factors: Any) -> None:
    if mode not in ("sum", "mean", "max"):
        raise ValueError("mode has to be one of sum, mean or max")
    if mode == "max" and scale_grad_by_freq:
        raise ValueError("max mode does not support scaling the gradient by the frequency")
    if mode == "max" and sparse:
        raise ValueError("max mode does not support sparse weights")
    if factors is not None and mode != "sum":
        raise NotImplementedError(
            "embedding_bag: per_sample_weights was not None. per_sample_weights is only "
            f"supported for mode='sum' (got mode='{mode}'). Please open a feature request on "
            "GitHub."
        )


def _bags(input: Any, offsets: Any, include_last_offset: bool) -> tuple[Any, int]:
    """The bag of each index, and how many bags there are."""
    if input.dim() == 2:
        if offsets is not None:
            raise ValueError(
                "if input is 2D, then offsets has to be None, as input is treated is a "
                "mini-batch of fixed length sequences. However, found offsets of type "
                f"{type(offsets)}"
            )
        bags, size = input.shape
        return rl.arange(bags, device=input.device).repeat_interleave(size), bags
    if input.dim() != 1:
        raise ValueError(
            f"input has to be 1D or 2D Tensor, but got Tensor of dimension {input.dim()}"
        )
    if offsets is None:
        raise ValueError("offsets has to be a 1D Tensor but got None")
    if offsets.dim() != 1:
        raise ValueError("offsets has to be a 1D Tensor")
    starts = offsets.tolist()
    if starts and starts[0] != 0:
        raise RuntimeError(
            "offsets[0] has to be 0, i.e., the first sequence in the mini-batch has to start "
            f"from position 0. However, got {starts[0]}"
        )
    count = input.size(0)
    if starts and starts[-1] > count:
        raise RuntimeError(
            "offsets[-1] can not be greater than input's length"
            f"({count}) but got offsets[-1] of {starts[-1]}"
        )
    ends = starts[1:] if include_last_offset else [*starts[1:], count]
    if include_last_offset:
        starts = starts[:-1]
    sizes = [end - start for start, end in zip(starts, ends, strict=True)]
    bag_of = [bag for bag, size in enumerate(sizes) for _ in range(size)]
    bag_of += [len(sizes) - 1] * (count - len(bag_of))
    return rl.tensor(bag_of, dtype=rl.int64, device=input.device), len(sizes)


def _largest(rows: Any, bag_of: Any, bags: int, counted: Any) -> Any:
    """The largest value of each feature in each bag; the first one gets the gradient."""
    with rl.no_grad():
        values = rows.detach()
        if counted is not None:
            values = values.masked_fill(~counted.unsqueeze(1), float("-inf"))
        members: list[list[int]] = [[] for _ in range(bags)]
        kept = [True] * len(bag_of) if counted is None else counted.tolist()
        for place, (bag, use) in enumerate(zip(bag_of.tolist(), kept, strict=True)):
            if use:
                members[bag].append(place)
        chosen = []
        for places in members:
            if places:
                index = rl.tensor(places, device=rows.device)
                chosen.append(index[values.index_select(0, index).max(0)[1]])
            else:
                chosen.append(bag_of.new_zeros(rows.size(1)))
    filled = rl.tensor([bool(places) for places in members], device=rows.device)
    return rows.gather(0, rl.stack(chosen)) * filled.unsqueeze(1)
