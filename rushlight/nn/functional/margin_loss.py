"""Losses that are compositions of tensor operations: margins, rankings, likelihoods, divergences.

In: scores or embeddings with what belongs together, or parameters of a distribution with samples.
Out: one number (`"mean"`, `"sum"`) or one an element or sample (`"none"`).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import rushlight as rl
from rushlight.nn import _reduction as _Reduction

from .distance import pairwise_distance

__all__ = [
    "cosine_embedding_loss",
    "gaussian_nll_loss",
    "hinge_embedding_loss",
    "kl_div",
    "linear_cross_entropy",
    "margin_ranking_loss",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "poisson_nll_loss",
    "soft_margin_loss",
    "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
]


def _resolve(size_average: Any, reduce: Any, reduction: str) -> str:
    """The reduction's name, from the deprecated arguments where they are given; checked."""
    if size_average is not None or reduce is not None:
        return _Reduction.legacy_get_string(size_average, reduce)
    return ("none", "mean", "sum")[_Reduction.get_enum(reduction)]


def _reduced(loss: Any, reduction: str) -> Any:
    if reduction == "mean":
        return loss.mean()
    return loss.sum() if reduction == "sum" else loss


def margin_ranking_loss(
    input1: Any,
    input2: Any,
    target: Any,
    margin: float = 0,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Any:
    """max(0, -target * (input1 - input2) + margin).

    Example:
        >>> import rushlight as rl
        >>> rl.nn.functional.margin_ranking_loss(rl.zeros(1), rl.ones(1), rl.ones(1))
        tensor(1.)
    """
    reduction = _resolve(size_average, reduce, reduction)
    if input1.dim() != input2.dim() or input1.dim() != target.dim():
        raise RuntimeError(
            "margin_ranking_loss : All input tensors should have same dimension but got sizes: "
            f"input1: {input1.size()}, input2: {input2.size()}, target: {target.size()} "
        )
    return _reduced((-target * (input1 - input2) + margin).clamp_min(0), reduction)


def hinge_embedding_loss(
    input: Any,
    target: Any,
    margin: float = 1.0,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Any:
    """The input where the target is 1, max(0, margin - input) where it is -1.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.functional.hinge_embedding_loss(rl.tensor([3.0]), rl.tensor([1.0]))
        tensor(3.)
    """
    reduction = _resolve(size_average, reduce, reduction)
    far = rl.where(target == 1, 0.0, (margin - input).clamp_min(0))
    near = rl.where(target == -1, 0.0, input)
    return _reduced(far + near, reduction)


def soft_margin_loss(
    input: Any,
    target: Any,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Any:
    """log(1 + exp(-target * input)).

    Example:
        >>> import rushlight as rl
        >>> rl.nn.functional.soft_margin_loss(rl.zeros(1), rl.ones(1))
        tensor(0.6931)
    """
    reduction = _resolve(size_average, reduce, reduction)
    from rushlight.nn import functional as F

    # softplus is log(1 + exp(x)) that does not overflow
    return _reduced(F.softplus(input * -target), reduction)


def multilabel_soft_margin_loss(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Any:
    """Binary cross-entropy of sigmoid(input), averaged over the last dimension.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.functional.multilabel_soft_margin_loss(rl.zeros(1, 2), rl.ones(1, 2))
        tensor(0.6931)
    """
    from rushlight.nn import functional as F

    if size_average is not None or reduce is not None:
        reduction = _Reduction.legacy_get_string(size_average, reduce)
    loss = -(target * F.logsigmoid(input) + (1 - target) * F.logsigmoid(-input))
    if weight is not None:
        loss = loss * weight
    classes = input.dim() - 1
    loss = loss.sum(dim=classes) / input.size(classes)
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(reduction + " is not valid")
    return _reduced(loss, reduction)


def multilabel_margin_loss(
    input: Any,
    target: Any,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Any:
    """sum over right j and wrong i of max(0, 1 - (x[j] - x[i])) / C; targets end at the first -1.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.functional.multilabel_margin_loss(rl.zeros(1, 2), rl.tensor([[0, -1]]))
        tensor(0.5000)
    """
    reduction = _resolve(size_average, reduce, reduction)
    _need_classes(input)
    if target.shape != input.shape or input.dim() > 2:
        raise RuntimeError(
            f"inconsistent target size: {list(target.shape)} for input of size: {list(input.shape)}"
        )
    single = input.dim() < 2
    scores = input.reshape(1, -1) if single else input  # (N, C)
    labels = target.reshape(scores.shape)
    if bool(((labels < -1) | (labels >= scores.size(1))).any()):
        raise RuntimeError("argument #2 'target' is out of range")
    listed = (labels >= 0).to(rl.int64).cumprod(1)  # 1 until the first -1
    places = labels * listed
    right = rl.zeros_like(labels).scatter_add_(1, places, listed) > 0
    best = scores.gather(1, places)  # scores of the listed classes
    margins = (1 - best.unsqueeze(2) + scores.unsqueeze(1)).clamp_min(0)  # (N, right, wrong)
    counted = (listed > 0).unsqueeze(2) & ~right.unsqueeze(1)
    loss = (margins * counted).sum((1, 2)) / scores.size(1)
    return _reduced(loss.squeeze(0) if single else loss, reduction)


def _need_classes(input: Any) -> None:
    """Scores are a vector or matrix; a batch may be empty, the classes may not."""
    if input.dim() > 2 or (input.dim() and input.size(-1) == 0):
        raise RuntimeError(
            "Expected non-empty vector or matrix with optional 0-dim batch size, but got: "
            f"{list(input.shape)}"
        )


def multi_margin_loss(
    input: Any,
    target: Any,
    p: int = 1,
    margin: float = 1.0,
    weight: Any = None,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Any:
    """sum over wrong i of max(0, margin - x[y] + x[i])^p * weight[y] / C.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.functional.multi_margin_loss(rl.zeros(1, 2), rl.tensor([0]))
        tensor(0.5000)
    """
    reduction = _resolve(size_average, reduce, reduction)
    if p not in (1, 2):
        raise ValueError("only p == 1 and p == 2 supported")
    if weight is not None and weight.dim() != 1:
        raise ValueError("weight must be one-dimensional")
    single = input.dim() < 2
    _need_classes(input)
    scores = input.reshape(1, -1) if single else input  # (N, C)
    labels = target.reshape(-1)
    if weight is not None and weight.numel() != scores.size(1):
        raise RuntimeError(
            f"inconsistent weight size, expected {scores.size(1)} but got {list(weight.shape)}"
        )
    if labels.numel() != scores.size(0):
        raise RuntimeError(
            "multi_margin_loss: target tensor should be 1-D with size equal to the number of "
            f"input samples (batch size). Expected target size [{scores.size(0)}], but got "
            f"{list(target.shape)}. Input has shape {list(input.shape)}."
        )
    if labels.dtype is not rl.int64:
        raise RuntimeError(f"expected scalar type Long but found {labels.dtype.title}")
    if bool(((labels < 0) | (labels >= scores.size(1))).any()):
        raise RuntimeError("target out of range")
    index = labels.unsqueeze(1)
    margins = (margin - scores.gather(1, index) + scores).clamp_min(0)
    if p == 2:
        margins = margins * margins
    if weight is not None:
        margins = margins * weight[labels].unsqueeze(1)
    wrong = rl.ones_like(scores, dtype=rl.bool).scatter_(1, index, False)
    loss = (margins * wrong).sum(1) / scores.size(1)
    return _reduced(loss.squeeze(0) if single and target.dim() == 0 else loss, reduction)


def cosine_embedding_loss(
    input1: Any,
    input2: Any,
    target: Any,
    margin: float = 0,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Any:
    """1 - cos(x1, x2) where the target is 1, max(0, cos(x1, x2) - margin) where it is -1.

    Example:
        >>> import rushlight as rl
        >>> x = rl.ones(1, 2)
        >>> rl.nn.functional.cosine_embedding_loss(x, -x, rl.tensor([-1]))
        tensor(0.)
    """
    reduction = _resolve(size_average, reduce, reduction)
    dims = target.dim()
    if dims not in (0, 1):
        raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
    if input1.dim() != dims + 1 or input2.dim() != dims + 1:
        raise RuntimeError(
            f"{dims}D target tensor expects {dims + 1}D input tensors, but found inputs with "
            f"sizes {list(input1.shape)} and {list(input2.shape)}."
        )
    dim = dims

    def square(x: Any) -> Any:
        return (x * x).sum(dim) + 1e-12

    cosine = (input1 * input2).sum(dim) / (square(input1) * square(input2)).sqrt()
    near = rl.where(target == 1, 1 - cosine, 0.0)
    far = rl.where(target == -1, (cosine - margin).clamp_min(0), 0.0)
    return _reduced(near + far, reduction)


def triplet_margin_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
) -> Any:
    """max(0, d(anchor, positive) - d(anchor, negative) + margin) with a p-norm as d.

    Example:
        >>> import rushlight as rl
        >>> zero = rl.zeros(1, 2)
        >>> rl.nn.functional.triplet_margin_loss(zero, zero, rl.ones(1, 2)).item() == 0
        True
    """
    reduction = _resolve(size_average, reduce, reduction)
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    dims = (anchor.dim(), positive.dim(), negative.dim())
    if len(set(dims)) != 1:
        raise RuntimeError(
            "The anchor, positive, and negative tensors are expected to have the same number of "
            f"dimensions, but got: anchor {dims[0]}D, positive {dims[1]}D, and negative "
            f"{dims[2]}D inputs"
        )

    def distance(a: Any, b: Any) -> Any:
        return pairwise_distance(a, b, p, eps)

    return _triplet(anchor, positive, negative, distance, margin, swap, reduction)


def triplet_margin_with_distance_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    *,
    distance_function: Callable[[Any, Any], Any] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Any:
    """A triplet loss with any distance function (by default `pairwise_distance`).

    Example:
        >>> import rushlight as rl
        >>> loss = rl.nn.functional.triplet_margin_with_distance_loss
        >>> loss(rl.zeros(1, 1), rl.zeros(1, 1), rl.ones(1, 1), margin=2.0)
        tensor(1.0000)
    """
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"{reduction} is not a valid value for reduction")
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    dims = (anchor.ndim, positive.ndim, negative.ndim)
    if len(set(dims)) != 1:
        raise RuntimeError(
            "The anchor, positive, and negative tensors are expected to have the same number of "
            f"dimensions, but got: anchor {dims[0]}D, positive {dims[1]}D, and negative "
            f"{dims[2]}D inputs"
        )
    distance = pairwise_distance if distance_function is None else distance_function
    return _triplet(anchor, positive, negative, distance, margin, swap, reduction)


def _triplet(
    anchor: Any,
    positive: Any,
    negative: Any,
    distance: Callable[[Any, Any], Any],
    margin: float,
    swap: bool,
    reduction: str,
) -> Any:
    to_positive = distance(anchor, positive)
    to_negative = distance(anchor, negative)
    if swap:
        to_negative = rl.minimum(to_negative, distance(positive, negative))
    return _reduced((margin + to_positive - to_negative).clamp_min(0), reduction)


def poisson_nll_loss(
    input: Any,
    target: Any,
    log_input: bool = True,
    full: bool = False,
    size_average: Any = None,
    eps: float = 1e-8,
    reduce: Any = None,
    reduction: str = "mean",
) -> Any:
    """exp(input) - target * input, or input - target * log(input + eps) without `log_input`.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.functional.poisson_nll_loss(rl.zeros(2), rl.ones(2))
        tensor(1.)
    """
    if size_average is not None or reduce is not None:
        reduction = _Reduction.legacy_get_string(size_average, reduce)
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(reduction + " is not a valid value for reduction")
    if log_input:
        loss = rl.exp(input) - target * input
    else:
        loss = input - target * rl.log(input + eps)
    if full:  # Stirling's approximation of log(target!)
        stirling = target * rl.log(target) - target + 0.5 * rl.log(2 * math.pi * target)
        loss = loss + stirling.masked_fill(target <= 1, 0)
    return _reduced(loss, reduction)


def gaussian_nll_loss(
    input: Any,
    target: Any,
    var: Any,
    full: bool = False,
    eps: float = 1e-6,
    reduction: str = "mean",
) -> Any:
    """(log(var) + (input - target)^2 / var) / 2, with var at least `eps`.

    Raises:
        ValueError: negative variances, or a shape that does not fit.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.functional.gaussian_nll_loss(rl.zeros(2), rl.ones(2), rl.ones(2))
        tensor(0.5000)
    """
    if isinstance(var, float):
        if var < 0:
            raise ValueError("var has negative entry/entries")
        var = var * rl.ones_like(input)
    elif rl.any(var < 0):
        raise ValueError("var has negative entry/entries")
    if var.size() != input.size():
        if input.size()[:-1] == var.size():
            var = var.unsqueeze(-1)
        else:
            differing = [v for i, v in zip(input.size(), var.size(), strict=False) if i != v]
            if input.ndim != var.ndim or differing != [1]:
                raise ValueError("var is of incorrect size")
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(reduction + " is not valid")
    var = var.clone()
    with rl.no_grad():  # the limit is no part of the gradient
        var.clamp_(min=eps)
    loss = 0.5 * (rl.log(var) + (input - target) ** 2 / var)
    if full:
        loss = loss + 0.5 * math.log(2 * math.pi)
    return _reduced(loss, reduction)


def kl_div(
    input: Any,
    target: Any,
    size_average: Any = None,
    reduce: Any = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Any:
    """target * (log(target) - input), with log-probabilities as input.

    Args:
        input: log-probabilities.
        target: probabilities, or log-probabilities with `log_target`.
        size_average: deprecated, see `reduction`.
        reduce: deprecated, see `reduction`.
        reduction: also `"batchmean"`: the sum over the batch size. Default: `"mean"`.
        log_target: default: `False`.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.functional.kl_div(rl.zeros(2), rl.ones(2), reduction="sum")
        tensor(0.)
    """
    if size_average is not None or reduce is not None:
        name = _Reduction.legacy_get_string(size_average, reduce)
    else:
        if reduction == "mean":
            warnings.warn(
                "reduction: 'mean' divides the total loss by both the batch size and the support "
                "size.'batchmean' divides only by the batch size, and aligns with the KL div math "
                "definition.'mean' will be changed to behave the same as 'batchmean' in the next "
                "major release.",
                stacklevel=2,
            )
        name = "sum" if reduction == "batchmean" else _resolve(None, None, reduction)
    if log_target:
        loss = rl.exp(target) * (target - input)
    else:
        loss = rl.xlogy(target, target) - target * input
    loss = _reduced(loss, name)
    if reduction == "batchmean" and input.dim() != 0:
        loss = loss / input.size(0)
    return loss


def linear_cross_entropy(
    input: Any,
    linear_weight: Any,
    target: Any,
    *,
    linear_bias: Any = None,
    weight: Any = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    options: Any = None,
) -> Any:
    """The cross-entropy of linear(input, linear_weight, linear_bias).

    Args:
        input: (N, in_features) or (in_features).
        linear_weight: (num_classes, *out_features, in_features).
        target: class indices (N, *out_features), or probabilities.
        linear_bias: (num_classes, *out_features).
        weight, reduction, ignore_index, label_smoothing: as of `cross_entropy`.
        options: how to cut the work in pieces; accepted, since it never changes the result.

    Raises:
        RuntimeError: shapes that do not fit.

    Example:
        >>> import rushlight as rl
        >>> loss = rl.nn.functional.linear_cross_entropy
        >>> loss(rl.zeros(2, 4), rl.zeros(3, 4), rl.tensor([0, 2]))
        tensor(1.0986)
    """
    from rushlight.nn import functional as F

    if input.dim() not in (1, 2):
        raise RuntimeError(f"expected input with dimensionality 1 or 2, got {input.dim()}")
    if linear_weight.dim() < 2:
        raise RuntimeError(
            f"expected linear_weight with dimensionality at least 2, got {linear_weight.dim()}"
        )
    *batch, features = input.shape
    classes, *outer, width = linear_weight.shape
    if features != width:
        raise RuntimeError(
            "expected equal input and linear_weight last dimensions (in_features), got "
            f"{features} and {width}, respectively"
        )
    if linear_bias is not None and tuple(linear_bias.shape) != (classes, *outer):
        raise RuntimeError(
            f"expected linear_bias shape {(classes, *outer)}, got {tuple(linear_bias.shape)}"
        )
    if outer and not batch:
        raise RuntimeError(
            f"K-dimensional loss defined by linear_weight shape {tuple(linear_weight.shape)} "
            f"requires batched input, (N, {features}), got unbatched input with shape "
            f"{tuple(input.shape)}"
        )
    shape = (*batch, classes, *outer)
    if tuple(target.shape) == shape and ignore_index is not None:
        raise RuntimeError("ignore_index cannot be specified when target contains probabilities")
    rows = math.prod(outer, start=classes)
    bias = None if linear_bias is None else linear_bias.reshape(rows)
    logits = F.linear(input, linear_weight.reshape(rows, features), bias)
    return F.cross_entropy(
        logits.reshape(shape),
        target,
        weight=weight,
        reduction=reduction,
        ignore_index=-100 if ignore_index is None else ignore_index,
        label_smoothing=label_smoothing,
    )
