"""Losses with kernels of their own.  ``reduction`` is ``none``, ``mean`` or ``sum``."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.dtypes import can_cast
from rushlight.errors import explained
from rushlight.ir.meta import Meta, meta
from rushlight.ir.op import Op, Plan
from rushlight.ops.build import combined_dtype, elementwise_meta, opmath, unsupported
from rushlight.ops.readable import checked, is_symbol, refused

PAIR = ("input", "target")


def _pair_rule(name: str) -> Any:
    def rule(x: Meta, y: Meta, reduction: str, *rest: Any) -> Plan:
        dt = combined_dtype((x, y))
        if dt.is_integral and name in ("mse", "smooth_l1", "huber"):
            raise NotImplementedError(f"\"{name}_cpu\" not implemented for '{dt.title}'")
        out = elementwise_meta((x, y), dt)
        if reduction != "none":
            out = meta((), dt, None, out.device)
        return Plan(out, compute=opmath(dt))

    return rule


def _reduced(values: Any, reduction: str) -> Any:
    if reduction == "none":
        return values
    total = values.sum(dtype=values.dtype)
    return total / values.dtype.type(values.size) if reduction == "mean" else total


def _pair_loss(
    name: str, value: Any, slope: Any, node: str, attrs: Any = (), defaults: Any = ()
) -> Op:
    """A loss of the difference: ``value(d, *attrs)``; ``slope(o, d, *attrs)`` is its slope."""

    def grads(
        o: Any, needs: Any, g: Any, inputs: Any, outputs: Any, reduction: str, *rest: Any
    ) -> Any:
        x, y = inputs
        d = slope(o, x - y, *rest)
        if reduction == "mean":
            d = d / max(d._meta.numel, 1)
        d = d * g
        dx = o.sum_to(d, x._meta.shape) if needs[0] else None
        dy = o.sum_to(-d, y._meta.shape) if needs[1] else None
        return dx, dy

    return Op(
        name,
        kind="reduce",
        inputs=PAIR,
        attrs=("reduction", *attrs),
        defaults=defaults,
        rule=_pair_rule(name.removesuffix("_loss")),
        kernel=lambda x, y, reduction, *rest: _reduced(value(x - y, *rest), reduction),
        backward=grads,
        keeps_inputs=(0, 1),
        node=node,
    )


mse_loss = _pair_loss("mse_loss", np.square, lambda o, d: 2 * d, "MseLossBackward0")


def _smooth(d: Any, beta: float) -> Any:
    size = np.abs(d)
    kind = d.dtype.type
    if beta == 0:
        return size
    return np.where(size < beta, kind(0.5) * d * d / kind(beta), size - kind(0.5 * beta))


smooth_l1_loss = _pair_loss(
    "smooth_l1_loss",
    _smooth,
    lambda o, d, beta: o.sign(d) if beta == 0 else o.where(o.abs(d) < beta, d / beta, o.sign(d)),
    "SmoothL1LossBackward0",
    ("beta",),
)


def _huber(d: Any, delta: float) -> Any:
    size = np.abs(d)
    kind = d.dtype.type
    return np.where(size <= delta, kind(0.5) * d * d, kind(delta) * (size - kind(0.5 * delta)))


huber_loss = _pair_loss(
    "huber_loss",
    _huber,
    lambda o, d, delta: o.clamp(d, -delta, delta),
    "HuberLossBackward0",
    ("delta",),
)


# Binary cross entropy


def _bce_rule(x: Meta, y: Meta, w: Any, reduction: str) -> Plan:
    if x.dtype.kind != "f":
        raise unsupported("binary_cross_entropy", x.dtype)
    if x.dtype is not y.dtype:
        raise explained(
            RuntimeError(f"Found dtype {y.dtype.title} but expected {x.dtype.title}"),
            f"the targets of this loss are floating point: target = target.to({x.dtype})",
            f"这个损失的标签要用浮点：target = target.to({x.dtype})",
        )
    if not x.dtype.is_floating_point:
        raise unsupported("binary_cross_entropy", x.dtype)
    out = elementwise_meta([m for m in (x, y, w) if m is not None], x.dtype)
    if reduction != "none":
        out = meta((), x.dtype, None, x.device)
    return Plan(out, compute=opmath(x.dtype))


def _bce(x: Any, y: Any, w: Any, reduction: str) -> Any:
    floor = refused(
        x.dtype.type(-100),  # PyTorch bounds the logarithms
        (x < 0) | (x > 1),
        lambda: RuntimeError("all elements of input should be between 0 and 1"),
    )
    loss = (y - 1) * np.maximum(np.log1p(-x), floor) - y * np.maximum(np.log(x), floor)
    return _reduced(loss if w is None else loss * w, reduction)


def _bce_backward(o: Any, needs: Any, g: Any, inputs: Any, outputs: Any, reduction: str) -> Any:
    """dx = (x - y) / (x (1 - x)); dy = log(1 - x) - log x."""
    x, y, w = inputs
    if needs[2]:
        raise RuntimeError("derivative for aten::binary_cross_entropy: weight is not implemented")
    if reduction == "mean":
        g = g / max(x._meta.numel, 1)
    if w is not None:
        g = g * w
    dx = dy = None
    if needs[0]:
        dx = o.sum_to(g * (x - y) / o.clamp((1 - x) * x, 1e-12, None), x._meta.shape)
    if needs[1]:
        dy = o.sum_to(g * (o.log1p(-x) - o.log(x)), y._meta.shape)
    return dx, dy, None


binary_cross_entropy = Op(
    "binary_cross_entropy",
    kind="reduce",
    inputs=("input", "target", "weight"),
    attrs=("reduction",),
    rule=_bce_rule,
    kernel=_bce,
    backward=_bce_backward,
    keeps_inputs=(0, 1, 2),
)


def _logits(x: Any, y: Any, w: Any, pos: Any, reduction: str) -> Any:
    """(1 - y) x + (1 + (p - 1) y) log(1 + e^-x), without overflow."""
    soft = np.log1p(np.exp(-np.abs(x))) + np.maximum(-x, 0)
    factor = 1 if pos is None else 1 + (pos - 1) * y
    loss = (1 - y) * x + factor * soft
    return _reduced(loss if w is None else loss * w, reduction)


def _logits_rule(x: Meta, y: Meta, w: Any, pos: Any, reduction: str) -> Plan:
    found = combined_dtype((x, y))
    if found.kind == "b":
        raise RuntimeError(
            "Subtraction, the `-` operator, with a bool tensor is not supported. If you are trying "
            "to invert a mask, use the `~` or `logical_not()` operator instead."
        )
    dt = y.dtype  # PyTorch computes into 1 - target
    if not can_cast(found, dt):
        raise explained(
            RuntimeError(
                f"result type {found.title} can't be cast to the desired output type {dt.title}"
            ),
            f"the targets of this loss are floating point: target = target.to({x.dtype})",
            f"这个损失的标签要用浮点：target = target.to({x.dtype})",
        )
    if not x.dtype.is_floating_point:
        raise unsupported("log_sigmoid_cpu", x.dtype)
    out = elementwise_meta([m for m in (x, y, w, pos) if m is not None], dt)
    if reduction != "none":
        out = meta((), dt, None, out.device)
    return Plan(out, compute=opmath(found))


def _logits_backward(o: Any, needs: Any, g: Any, inputs: Any, outputs: Any, reduction: str) -> Any:
    """With l the loss of an element, s = sigmoid(x) and t = -log s, the soft plus of -x:

    dx = (1 + (p - 1) y) s - p y; dy = -x + (p - 1) t; dw = l; dp = y t.
    """
    x, y, w, pos = inputs
    if reduction == "mean":
        g = g / max(x._meta.numel, 1)
    each = g if w is None else g * w
    dx = dy = dw = dp = None
    if needs[0]:
        s = o.sigmoid(x)
        inner = s - y if pos is None else (1 + (pos - 1) * y) * s - pos * y
        dx = o.sum_to(each * inner, x._meta.shape)
    if needs[1]:
        soft = -x if pos is None else -x - (pos - 1) * o.log_sigmoid(x)
        dy = o.sum_to(each * soft, y._meta.shape)
    if needs[2] or needs[3]:
        t = -o.log_sigmoid(x)
        if needs[2]:
            factor = 1 if pos is None else 1 + (pos - 1) * y
            dw = o.sum_to(g * ((1 - y) * x + factor * t), w._meta.shape)
        if needs[3]:
            dp = o.sum_to(each * y * t, pos._meta.shape)
    return dx, dy, dw, dp


binary_cross_entropy_with_logits = Op(
    "binary_cross_entropy_with_logits",
    kind="reduce",
    inputs=("input", "target", "weight", "pos_weight"),
    attrs=("reduction",),
    rule=_logits_rule,
    kernel=_logits,
    backward=_logits_backward,
    keeps_inputs=(0, 1, 2, 3),
)


# Negative log likelihood of class indices: input (N, C, ...) and target (N, ...)


def wrong_labels(dt: Any) -> RuntimeError:
    """The error for class indices of another dtype than int64."""
    return explained(
        RuntimeError(f"expected target dtype to be Long or Byte, but got {dt.title}"),
        "class indices must be int64: target.long()",
        "标签（类别下标）要用 int64：target.long()",
    )


def _check_labels(x: Meta, t: Meta) -> None:
    """Refuses targets whose shape does not go with the input's."""
    if x.ndim == 0:
        raise ValueError("Expected 1 or more dimensions (got 0)")
    if x.ndim == 1:
        if t.ndim and t.numel != 1:
            raise ValueError(
                f"For 1D input, 1D target must have size 1, but got target size: {t.numel}"
            )
        return
    batch = t.shape[0] if t.ndim else 0
    if x.shape[0] != batch:
        raise explained(
            ValueError(
                f"Expected input batch_size ({x.shape[0]}) to match target batch_size ({batch})."
            ),
            f"the outputs are {list(x.shape)}, the labels {list(t.shape)}: was the batch changed "
            "by a view or flatten in the network?",
            f"输出是 {list(x.shape)}，标签是 {list(t.shape)}："
            "网络中的 view 或 flatten 改变了批次维？",
        )
    want = (x.shape[0], *x.shape[2:])
    if t.shape == want:
        return
    squeeze = ("one label too deep: target.squeeze(1)", "标签多了一维：target.squeeze(1)")
    notes = squeeze if t.ndim == x.ndim and t.shape[1] == 1 else ("", "")
    if x.ndim == 2:
        text = "0D or 1D target tensor expected, multi-target not supported"
    elif x.ndim != 4:
        text = f"Expected target size {list(want)}, got {list(t.shape)}"
    elif t.ndim != 3:
        text = (
            "only batches of spatial targets supported (3D tensors) but got targets of dimension: "
            f"{t.ndim}"
        )
    else:
        text = f"size mismatch (got input: {list(x.shape)} , target: {list(t.shape)}"
    raise explained(RuntimeError(text), *notes)


def _nll_rule(x: Meta, t: Meta, w: Any, reduction: str, ignore_index: int) -> Plan:
    _check_labels(x, t)
    if t.dtype.name not in ("int64", "uint8"):
        raise wrong_labels(t.dtype)
    if x.dtype.kind != "f":
        raise NotImplementedError(f"\"nll_loss_out_frame\" not implemented for '{x.dtype.title}'")
    classes = x.shape[1] if x.ndim > 1 else x.shape[0]
    want = (x.shape[0], *x.shape[2:]) if x.ndim > 1 else ()
    if w is not None and w.shape != (classes,):
        raise RuntimeError(
            "weight tensor should be defined either for all "
            f"{classes} classes or no classes but got weight tensor of shape: {list(w.shape)}"
        )
    if w is not None and w.dtype is not x.dtype:
        raise RuntimeError(f"expected scalar type {x.dtype.title} but found {w.dtype.title}")
    out = meta(want if reduction == "none" else (), x.dtype, None, x.device)
    total = meta((), x.dtype, None, x.device)
    return Plan([out, total], compute=None)


def _picked(x: Any, t: Any, ignore_index: int) -> tuple[Any, Any, Any]:
    """(values at the targets, which count, safe targets), with the class dimension second."""
    if x.ndim == 1:
        x, t = x[None], t.reshape(1)
    counts = t != ignore_index
    safe = np.where(counts, t, 0).astype(np.int64)
    safe = checked(safe, x.shape[1], lambda labels: _wrong_label(labels, x.shape[1]))
    values = np.take_along_axis(x, safe[:, None], 1)[:, 0]
    return values, counts, safe


def _wrong_label(labels: Any, classes: int) -> Exception:
    """The error for the first label that is no class."""
    where = tuple(int(i) for i in np.argwhere((labels < 0) | (labels >= classes))[0])
    value = int(labels[where])
    place = ", ".join(map(str, where))
    return explained(
        IndexError(f"Target {value} is out of bounds."),
        f"target[{place}] = {value}, but {classes} outputs allow 0 to {classes - 1}; labels "
        "that start at 1: subtract 1",
        f"target[{place}] = {value}，但 {classes} 个输出只允许 0–{classes - 1}；"
        "标签若从 1 开始请减 1",
    )


def _nll(x: Any, t: Any, w: Any, reduction: str, ignore_index: int) -> Any:
    dt = x.dtype
    if dt.itemsize == 2:
        x = x.astype(np.float32)
    values, counts, safe = _picked(x, t, ignore_index)
    weights = (counts if w is None else np.where(counts, w.astype(x.dtype)[safe], 0)).astype(
        x.dtype
    )
    loss = -values * weights
    loss = np.where(counts, loss, x.dtype.type(0))
    total = weights.sum(dtype=x.dtype)
    if reduction == "none":
        return (loss.reshape(()) if t.ndim == 0 else loss), x.dtype.type(0)
    if reduction == "sum":
        return loss.sum(dtype=x.dtype), total
    return loss.sum(dtype=x.dtype) / total, total


def _nll_backward(
    o: Any, needs: Any, g: Any, inputs: Any, outputs: Any, reduction: str, ignore_index: int
) -> Any:
    x, t, w = inputs
    if needs[2]:
        raise RuntimeError("derivative for aten::nll_loss_forward: weight is not implemented")
    return (
        o.nll_spread(g[0], t, w, outputs[1], tuple(x.shape), reduction, ignore_index),
        None,
        None,
    )


nll_loss = Op(
    "nll_loss",
    kind="reduce",
    inputs=("input", "target", "weight"),
    attrs=("reduction", "ignore_index"),
    rule=_nll_rule,
    kernel=_nll,
    backward=_nll_backward,
    keeps_inputs=(1, 2),
    keeps_outputs=(1,),
    node=lambda metas, attrs: "NllLoss2DBackward0" if metas[0].ndim > 2 else "NllLossBackward0",
    chain=(0,),
)


def _spread_rule(g: Meta, t: Meta, w: Any, total: Meta, shape: Any, *how: Any) -> Plan:
    if g.dtype.kind != "f":
        raise unsupported("nll_loss_backward", g.dtype)
    return Plan(meta(shape, g.dtype, None, g.device))


def _nll_spread(
    g: Any, t: Any, w: Any, total: Any, shape: Any, reduction: str, ignore_index: int
) -> Any:
    """The adjoint of picking: -weight at each target, 0 elsewhere."""
    full = shape if len(shape) > 1 else (1, *shape)
    target = t if len(shape) > 1 else t.reshape(1)
    counts = target != ignore_index
    safe = np.where(counts, target, 0).astype(np.int64)
    weights = (counts if w is None else np.where(counts, w[safe], 0)).astype(g.dtype)
    share = -weights * (g if reduction != "none" else g.reshape(target.shape))
    if reduction == "mean":
        share = share / total
    share = np.where(counts, share, g.dtype.type(0))
    if is_symbol(share):  # a choice at every element goes into one loop with what follows
        classes = np.arange(full[1]).reshape(-1, *(1,) * (len(full) - 2))
        return np.where(classes == safe[:, None], share[:, None], g.dtype.type(0)).reshape(shape)
    out = np.zeros(full, g.dtype)
    np.put_along_axis(out, safe[:, None], share[:, None], 1)
    return out.reshape(shape)


def _spread_grad(o: Any, needs: Any, gg: Any, inputs: Any, outputs: Any, *rest: Any) -> Any:
    _g, t, w, total = inputs
    shape, reduction, ignore_index = rest
    return o.nll_loss(gg, t, w, reduction, ignore_index)[0], None, None, None


nll_spread = Op(
    "nll_spread",
    kind="indexing",
    inputs=("grad_output", "target", "weight", "total"),
    attrs=("shape", "reduction", "ignore_index"),
    rule=_spread_rule,
    kernel=_nll_spread,
    backward=_spread_grad,
    keeps_inputs=(1, 2),
)
