"""Losses with kernels of their own; compositions are in margin_loss.py."""

from __future__ import annotations

import warnings
from typing import Any

import rushlight as rl
from rushlight.dispatch.gate import call
from rushlight.errors import explained, in_users_language
from rushlight.ops import ctc
from rushlight.ops import loss as records
from rushlight.ops.activation import log_softmax as log_softmax_record
from rushlight.ops.activation import softmax as softmax_record

from .activation import log_softmax
from .margin_loss import _resolve

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "ctc_loss",
    "huber_loss",
    "l1_loss",
    "mse_loss",
    "nll_loss",
    "smooth_l1_loss",
]

_REDUCTIONS = ("mean", "sum", "none")


def _check_reduction(reduction: str) -> str:
    if reduction not in _REDUCTIONS:
        raise ValueError(f"{reduction} is not a valid value for reduction")
    return reduction


def _reduction(size_average: Any, reduce: Any, reduction: str) -> str:
    """The reduction's name, from the deprecated arguments where they are given; checked."""
    if size_average is None and reduce is None and reduction in _REDUCTIONS:
        return reduction
    return _check_reduction(_resolve(size_average, reduce, reduction))


def _warn_sizes(input: Any, target: Any) -> None:
    """Warns if the sizes differ."""
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

    Example:
        >>> import rushlight as torch
        >>> torch.nn.functional.mse_loss(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 4.0]))
        tensor(2.)
    """
    try:
        alike = input._meta is target._meta
    except AttributeError:
        alike = False  # not a tensor itself, but it may stand in for one
    if not alike:
        _warn_sizes(input, target)
    if size_average is not None or reduce is not None or reduction not in _REDUCTIONS:
        reduction = _reduction(size_average, reduce, reduction)
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
    _warn_sizes(input, target)
    reduction = _reduction(size_average, reduce, reduction)
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
    _warn_sizes(input, target)
    reduction = _reduction(size_average, reduce, reduction)
    if beta < 0:
        raise RuntimeError("smooth_l1_loss does not support negative values for beta.")
    return call(records.smooth_l1_loss, (input, target), (reduction, float(beta)))


def huber_loss(
    input: Any, target: Any, reduction: str = "mean", delta: float = 1.0, weight: Any = None
) -> Any:
    """Quadratic below ``delta``, linear above (Huber 1964)."""
    _warn_sizes(input, target)
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
    reduction = _reduction(size_average, reduce, reduction)
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
    reduction = _reduction(size_average, reduce, reduction)
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

    Example:
        >>> import rushlight as torch
        >>> logp = torch.tensor([[-1.0, -2.0]])
        >>> torch.nn.functional.nll_loss(logp, torch.tensor([1]))
        tensor(2.)
    """
    reduction = _reduction(size_average, reduce, reduction)
    return call(records.nll_loss, (input, target, weight), (reduction, ignore_index))[0]


_warned: set[str] = set()


def _warn_of_softmax() -> None:
    """Says once that softmax was applied twice: the loss then learns slowly, without an error."""
    if "softmax" in _warned:
        return
    _warned.add("softmax")
    warnings.warn(
        in_users_language(
            "cross_entropy got the result of softmax, but applies log_softmax itself: pass the "
            "network's raw outputs (logits)",
            "cross_entropy 收到的是 softmax 的结果，而它自己会做 log_softmax："
            "请直接传入网络的原始输出（logits）",
        ),
        UserWarning,
        stacklevel=3,
    )


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
    if size_average is not None or reduce is not None or reduction not in _REDUCTIONS:
        reduction = _reduction(size_average, reduce, reduction)
    if label_smoothing and not 0.0 <= label_smoothing <= 1.0:
        raise RuntimeError(f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing}")
    try:
        node, shape = input._node, input._meta.shape
        labels, kind = target._meta.shape, target._meta.dtype
    except AttributeError:  # not a tensor itself, but it may stand in for one
        node, shape, labels, kind = None, input.shape, target.shape, target.dtype
    if node is not None and node.op is softmax_record:
        _warn_of_softmax()
    dims = len(shape)
    if dims == 0:
        raise ValueError("Expected 1 or more dimensions (got 0)")
    dim = 0 if dims == 1 else 1
    if shape == labels:
        return _of_probabilities(input, target, weight, reduction, label_smoothing, dim)
    if kind.is_floating_point and len(labels) < dims:
        raise records.wrong_labels(kind)
    logp = call(log_softmax_record, (input,), (dim, None))
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
        raise explained(
            RuntimeError(
                "Expected floating point type for target with class probabilities, got "
                f"{target.dtype.title}"
            ),
            "one-hot targets: target.float(), or class indices: target.argmax(1)",
            "one-hot 标签：target.float()；或改用类别下标：target.argmax(1)",
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


def _lengths(values: Any, name: str) -> tuple[int, ...]:
    if isinstance(values, rl.Tensor):
        if values.is_floating_point():
            raise RuntimeError(f"{name} must be integral")
        values = values.reshape(-1).tolist()
    return tuple(int(v) for v in values)


def _check_lengths(
    log_probs: Any, targets: Any, inputs: tuple[int, ...], labels: tuple[int, ...], blank: int
) -> None:
    steps, n, classes = log_probs.shape
    where = "(while checking arguments for ctc_loss_allocate_outputs)"
    if not 0 <= blank < classes:
        raise RuntimeError("blank must be in label range")
    if len(inputs) != n:
        raise RuntimeError("input_lengths must be of size batch_size")
    if len(labels) != n:
        raise RuntimeError("target_lengths must be of size batch_size")
    for length in inputs:
        if length < 0 or length > steps:
            bound = "at least 0" if length < 0 else f"at most {steps}"
            raise RuntimeError(
                f"Expected input_lengths to have value {bound}, but got value {length} {where}"
            )
    for length in labels:
        if length < 0:
            raise RuntimeError(
                f"Expected target_lengths to have value at least 0, but got value {length} {where}"
            )
    d = targets.dim() - 1
    need = sum(labels) if d == 0 else max(labels, default=0)
    have = targets.size(d)
    if (d == 0 and have != need) or have < need:
        least = "" if d == 0 else "at least "
        raise RuntimeError(
            f"Expected tensor to have size {least}{need} at dimension {d}, but got size {have} for "
            f"argument #2 'targets' {where}"
        )


def _padded_targets(targets: Any, labels: tuple[int, ...], blank: int) -> Any:
    """Targets as (N, longest), from rows or from one concatenated vector."""
    longest = max(labels, default=0)
    if targets.dim() == 2:
        rows = targets[:, :longest].long()
    else:
        rows = rl.full((len(labels), longest), blank, dtype=rl.int64)
        start = 0
        for i, length in enumerate(labels):
            rows[i, :length] = targets[start : start + length]
            start += length
    inside = rl.arange(longest).unsqueeze(0) < rl.tensor(labels, dtype=rl.int64).unsqueeze(1)
    return rl.where(inside, rows, blank)


def ctc_loss(
    log_probs: Any,
    targets: Any,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Any:
    """The loss of label sequences that are not aligned with the inputs (Graves et al. 2006).

    Args:
        log_probs: logarithms of class probabilities (from ``log_softmax``), (T, N, C) or (T, C).
        targets: classes, (N, S), or all targets one after the other.
        input_lengths: how many steps of each input count.
        target_lengths: how many labels each target has.
        blank: the class that stands for no label.
        reduction: ``mean`` divides each loss by its target's length first; ``sum``; ``none``.
        zero_infinity: whether targets that do not fit their input count 0 instead of infinity.

    Example:
        >>> import rushlight as torch
        >>> logp = torch.zeros(2, 1, 2).log_softmax(2)  # two steps, blank and one label
        >>> torch.nn.functional.ctc_loss(logp, torch.tensor([[1]]), (2,), (1,))
        tensor(0.2877)
    """
    _check_reduction(reduction)
    single = log_probs.dim() == 2
    if single:
        log_probs = log_probs.unsqueeze(1)
        targets = targets.unsqueeze(0) if targets.dim() == 1 else targets
    inputs = _lengths(input_lengths, "input_lengths")
    labels = _lengths(target_lengths, "target_lengths")
    _check_lengths(log_probs, targets, inputs, labels, blank)
    rows = _padded_targets(targets, labels, blank)
    loss = call(ctc.ctc_loss, (log_probs, rows), (inputs, labels, int(blank), bool(zero_infinity)))[
        0
    ]
    if zero_infinity:
        loss = rl.where(loss == float("inf"), rl.zeros_like(loss), loss)
    if reduction == "mean":
        return (loss / rl.tensor([max(n, 1) for n in labels], dtype=loss.dtype)).mean()
    if reduction == "sum":
        return loss.sum()
    return loss.squeeze(0) if single else loss
