"""Batching rules of losses: the loss of each element, then each sample's sum or mean."""

from __future__ import annotations

from typing import Any

from rushlight.dispatch.namespace import o
from rushlight.func.rules import composition

__all__: list[str] = []


def _reduced(loss: Any, reduction: str) -> Any:
    if reduction == "none":
        return loss
    fold = o.mean if reduction == "mean" else o.sum
    return fold(loss, None, False, None)


@composition("mse_loss")
def _mse(x: Any, y: Any, reduction: str) -> Any:
    d = x - y
    return _reduced(d * d, reduction)


@composition("smooth_l1_loss")
def _smooth_l1(x: Any, y: Any, reduction: str, beta: float) -> Any:
    d = o.abs(x - y)
    if beta == 0:
        return _reduced(d, reduction)
    return _reduced(o.where(d < beta, d * d * (0.5 / beta), d - 0.5 * beta), reduction)


@composition("huber_loss")
def _huber(x: Any, y: Any, reduction: str, delta: float) -> Any:
    d = o.abs(x - y)
    return _reduced(o.where(d <= delta, d * d * 0.5, (d - 0.5 * delta) * delta), reduction)


@composition("binary_cross_entropy")
def _bce(x: Any, y: Any, w: Any, reduction: str) -> Any:
    kept = (y - 1) * o.clamp(o.log1p(-x), -100, None)
    loss = kept - y * o.clamp(o.log(x), -100, None)
    return _reduced(loss if w is None else loss * w, reduction)


@composition("binary_cross_entropy_with_logits")
def _bce_logits(x: Any, y: Any, w: Any, pos: Any, reduction: str) -> Any:
    soft = -o.log_sigmoid(x)
    factor = soft if pos is None else soft * ((pos - 1) * y + 1)
    loss = (1 - y) * x + factor
    return _reduced(loss if w is None else loss * w, reduction)


def _class_weights(t: Any, w: Any, ignore_index: int, dt: Any) -> tuple[Any, Any]:
    """For each target its weight (0 if ignored), and an index that is in bounds."""
    counts = t != ignore_index
    safe = o.to(o.where(counts, t, 0), t.dtype)
    if w is None:
        return o.to(counts, dt), safe
    picked = o.reshape(o.index_select(w, o.reshape(safe, (-1,)), 0), tuple(t._meta.shape))
    return picked * o.to(counts, dt), safe


@composition("nll_loss")
def _nll(x: Any, t: Any, w: Any, reduction: str, ignore_index: int) -> Any:
    dt = x._meta.dtype
    if x._meta.ndim == 1 and t._meta.ndim:
        t = o.reshape(t, ())
    dim = 1 if x._meta.ndim > 1 else 0
    weights, safe = _class_weights(t, w, ignore_index, dt)
    loss = -o.squeeze(o.gather(x, o.unsqueeze(safe, dim), dim), dim) * weights
    if reduction == "none":
        return loss, o.zeros((), dt, x._meta.device)
    total = o.sum(weights, None, False, None)
    summed = o.sum(loss, None, False, None)
    return (summed / total if reduction == "mean" else summed), total


@composition("nll_spread")
def _nll_spread(
    g: Any, t: Any, w: Any, total: Any, shape: Any, reduction: str, ignore_index: int
) -> Any:
    dim = 1 if len(shape) > 1 else 0
    if len(shape) == 1 and t._meta.ndim:
        t = o.reshape(t, ())
    weights, safe = _class_weights(t, w, ignore_index, g._meta.dtype)
    each = -weights * (g / total if reduction == "mean" else g)
    zeros = o.zeros(tuple(shape), g._meta.dtype, g._meta.device)
    return o.scatter(zeros, o.unsqueeze(safe, dim), o.unsqueeze(each, dim), dim)
