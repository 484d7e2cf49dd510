"""Losses with kernels of their own; compositions are in margin_loss.py."""

from __future__ import annotations

import warnings
from typing import Any

import rushlight as rl
from rushlight.dispatch.gate import call
from rushlight.ops import loss as records

from .activation import log_softmax
from .margin_loss import _resolve

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "huber_loss",
    "l1_loss",
    "mse_loss",
    "nll_loss",
    "smooth_l1_loss",
]


def _check_reduction(reduction: str) -> str:
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{reduction} is not a valid value for reduction")
    return reduction


def _warn_sizes(name: str, input: Any, target: Any) -> None:
    if target.size() != input.size():
        warnings.warn(
            f"Using a target size ({target.size()}) that is different to the input size "
            f"({input.size()}). This will likely lead to incorrect results due to broadcasting. "
            "Please ensure they have the same size.",
            UserWarning,
            stacklevel=3,
        )


def _weighted(values: Any, weight: Any, reduction: str) -> Any:
    """Elementwise losses times weights; the mean is over the weights' sum."""
    if weight is None:
        raise ValueError("no weight")
    if weight.size() != values.size():
        raise ValueError("Weights and input must have the same size.")
    values = values * weight
    if reduction == "mean":
        return values.sum() / weight.sum()
    return values.sum() if reduction == "sum" else values


def mse_loss(
    input: Any,
    target: Any,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
    weight: Any = None,
) -> Any:
    """The squared difference.

    Args:
        reduction: ``mean``, ``sum`` or ``none``.
        weight: of each element.
    """
    _warn_sizes("mse_loss", input, target)
    reduction = _check_reduction(_resolve(size_average, reduce, reduction))
    if weight is not None:
        return _weighted(call(records.mse_loss, (input, target), ("none",)), weight, reduction)
    return call(records.mse_loss, (input, target), (reduction,))


def l1_loss(
    input: Any,
    target: Any,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
    weight: Any = None,
) -> Any:
    """The size of the difference."""
    _warn_sizes("l1_loss", input, target)
    reduction = _check_reduction(_resolve(size_average, reduce, reduction))
    distance = (input - target).abs()
    if weight is not None:
        return _weighted(distance, weight, reduction)
    if reduction == "none":
        return distance
    return distance.mean() if reduction == "mean" else distance.sum()


def smooth_l1_loss(
    input: Any,
    target: Any,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Any:
    """Quadratic below ``beta``, linear above (Girshick 2015)."""
    _warn_sizes("smooth_l1_loss", input, target)
    reduction = _check_reduction(_resolve(size_average, reduce, reduction))
    if beta < 0:
        raise RuntimeError("smooth_l1_loss does not support negative values for beta.")
    return call(records.smooth_l1_loss, (input, target), (reduction, float(beta)))


def huber_loss(
    input: Any, target: Any, reduction: str = "mean", delta: float = 1.0, weight: Any = None
) -> Any:
    """Quadratic below ``delta``, linear above (Huber 1964)."""
    _warn_sizes("huber_loss", input, target)
    _check_reduction(reduction)
    if delta <= 0:
        raise RuntimeError("huber_loss does not support non-positive values for delta.")
    if weight is not None:
        values = call(records.huber_loss, (input, target), ("none", float(delta)))
        return _weighted(values, weight, reduction)
    return call(records.huber_loss, (input, target), (reduction, float(delta)))


def binary_cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Any:
    """``-(y log x + (1 - y) log(1 - x))`` of probabilities; the logarithms stop at -100."""
    reduction = _check_reduction(_resolve(size_average, reduce, reduction))
    if target.size() != input.size():
        raise ValueError(
            f"Using a target size ({target.size()}) that is different to the input size "
            f"({input.size()}) is deprecated. Please ensure they have the same size."
        )
    if weight is not None:
        weight = weight.expand(rl.broadcast_shapes(target.size(), weight.size()))
    return call(records.binary_cross_entropy, (input, target, weight), (reduction,))


def binary_cross_entropy_with_logits(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
    pos_weight: Any = None,
) -> Any:
    """Binary cross entropy of logits, computed without overflow."""
    reduction = _check_reduction(_resolve(size_average, reduce, reduction))
    if target.size() != input.size():
        raise ValueError(
            f"Target size ({target.size()}) must be the same as input size ({input.size()})"
        )
    inputs = (input, target, weight, pos_weight)
    return call(records.binary_cross_entropy_with_logits, inputs, (reduction,))


def nll_loss(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: Any = None,
    ignore_index: int = -100,
    reduce: Any = None,
    reduction: str = "mean",
) -> Any:
    """The negative log-probability of each target class.

    Shapes: input (N, C, ...) or (C), target (N, ...) or () of class indices.
    """
    reduction = _check_reduction(_resolve(size_average, reduce, reduction))
    return call(records.nll_loss, (input, target, weight), (reduction, ignore_index))[0]


def cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: Any = None,
    ignore_index: int = -100,
    reduce: Any = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    """The negative log-probability, under softmax of ``input``, of the target classes.

    Args:
        input: logits, (N, C, ...) or (C).
        target: class indices (N, ...) of dtype int64, or class probabilities like ``input``.
        weight: of each class, (C).
        ignore_index: a target that does not count.
        reduction: ``mean`` (over the weights of the targets), ``sum`` or ``none``.
        label_smoothing: how much of the target is spread evenly over all classes.

    Raises:
        RuntimeError: targets that are neither int64 nor probabilities.
        IndexError: a class index outside 0 .. C-1.

    Example:
        >>> import rushlight as torch
        >>> torch.nn.functional.cross_entropy(torch.zeros(1, 4), torch.tensor([2]))
        tensor(1.3863)
    """
    reduction = _check_reduction(_resolve(size_average, reduce, reduction))
    if not 0.0 <= label_smoothing <= 1.0:
        raise RuntimeError(f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing}")
    dim = 0 if input.dim() == 1 else 1
    if input.size() == target.size():
        return _of_probabilities(input, target, weight, reduction, label_smoothing, dim)
    if target.dtype.is_floating_point:
        error = RuntimeError(f"expected scalar type Long but found {target.dtype.title}")
        error.add_note("class indices must be int64: target.long()")
        raise error
    logp = log_softmax(input, dim)
    nll = call(records.nll_loss, (logp, target, weight), (reduction, ignore_index))[0]
    if label_smoothing == 0:
        return nll
    return _smoothed(logp, nll, target, weight, ignore_index, reduction, label_smoothing, dim)


def _smoothed(
    logp: Any,
    nll: Any,
    target: Any,
    weight: Any,
    ignore_index: int,
    reduction: str,
    smoothing: float,
    dim: int,
) -> Any:
    """(1 - s) times the loss plus s / C times the loss of all classes alike."""
    shape = [1] * logp.dim()
    shape[dim] = logp.size(dim)
    even = -(logp if weight is None else logp * weight.view(shape)).sum(dim)
    even = even.masked_fill(target == ignore_index, 0)
    if reduction == "sum":
        even = even.sum()
    elif reduction == "mean":
        counts = target != ignore_index
        if weight is None:
            even = even.sum() / counts.sum()
        else:
            even = (
                even.sum()
                / weight.gather(0, target.masked_fill(~counts, 0).flatten())
                .masked_fill(~counts.flatten(), 0)
                .sum()
            )
    share = smoothing / logp.size(dim)
    return nll * (1 - smoothing) + even * share


def _of_probabilities(
    input: Any, target: Any, weight: Any, reduction: str, smoothing: float, dim: int
) -> Any:
    if not target.dtype.is_floating_point:
        raise RuntimeError(
            "Expected floating point type for target with class probabilities, got "
            f"{target.dtype.title}"
        )
    logp = log_softmax(input, dim)
    if smoothing > 0:
        target = target * (1 - smoothing) + smoothing / input.size(dim)
    losses = logp * target
    if weight is not None:
        shape = [1] * input.dim()
        shape[dim] = input.size(dim)
        losses = losses * weight.view(shape)
    if reduction == "none":
        return -losses.sum(dim)
    if reduction == "sum":
        return -losses.sum()
    return -(losses.sum() / max(input.numel() // input.size(dim), 1))
