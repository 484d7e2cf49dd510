"""Normalisation over channels or over trailing dimensions.

``batch_norm`` returns the result, the batch's mean and inverse deviation that the gradient reuses,
and its (biased) variance for the running statistics; ``layer_norm`` and ``group_norm`` return the
result, mean and inverse deviation.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from rushlight.ir.meta import Meta, meta
from rushlight.ir.op import Op, Plan
from rushlight.ir.strides import like_strides, suggested_strides
from rushlight.ops.build import opmath, unsupported
from rushlight.ops.readable import empty, is_symbol, zeros

Ints = tuple[int, ...]


def _check_float(name: str, m: Meta) -> None:
    if m.dtype.kind != "f":
        raise unsupported(name, m.dtype)


def _channels(m: Any) -> tuple[int, ...]:
    """The shape that lines a per-channel vector up with (N, C, ...)."""
    return (1, m.shape[1], *(1,) * (m.ndim - 2)) if m.ndim > 1 else (m.shape[0],)


def _others(ndim: int) -> Ints:
    return (0, *range(2, ndim))


def _batch_rule(x: Meta, w: Any, b: Any, mean: Any, var: Any, training: bool, eps: float) -> Plan:
    if x.ndim < 2 and x.numel:
        raise RuntimeError(f"expected 2D or more input (got {x.ndim}D input)")
    c = x.shape[1] if x.ndim > 1 else 0
    for name, m in (("weight", w), ("bias", b), ("running_mean", mean), ("running_var", var)):
        if m is not None and m.numel != c:
            raise RuntimeError(f"{name} should contain {c} elements not {m.numel}")
    _check_float("batch_norm", x)
    wide = opmath(x.dtype) if w is None else w.dtype
    stat = meta((c,) if training else (0,), wide, None, x.device)
    out = x.like(strides=like_strides(x.shape, x.strides))
    return Plan([out, stat, stat, stat], compute=opmath(x.dtype))


def _batch_norm(x: Any, w: Any, b: Any, mean: Any, var: Any, training: bool, eps: float) -> Any:
    shape = _channels(x)
    if training:
        dims = _others(x.ndim)
        mean = x.mean(dims, dtype=x.dtype)
        centred = x - mean.reshape(shape)
        var = _channel_dot(centred, centred) / x.dtype.type(max(x.size // max(x.shape[1], 1), 1))
    else:
        centred = x - mean.reshape(shape)
    scale = 1 / np.sqrt(var + x.dtype.type(eps))
    factor = scale if w is None else scale * w
    out = centred
    out *= factor.reshape(shape)
    if b is not None:
        out += b.reshape(shape)
    if not training:
        mean = scale = var = np.empty(0, x.dtype)
    return out, mean, scale, var


def _batch_backward(
    o: Any, needs: Any, g: Any, inputs: Any, outputs: Any, training: bool, eps: float
) -> Any:
    """With n elements a channel and xhat = (x - mean) / std:

    training: dx = w / std (g - mean(g) - xhat mean(g xhat));  evaluation: dx = w / std g.
    """
    x, w, _b, mean, var = inputs
    g = g[0]
    m = x._meta
    if not training:
        mean, scale = mean, o.rsqrt(var + eps)
    else:
        mean, scale = outputs[1], outputs[2]
    if not o.recording():
        dx, dw, db = o.batch_norm_backward(g, x, w, mean, scale, training)
        return dx, dw, db, None, None
    shape, dims = _channels(m), _others(m.ndim)
    if training:  # as functions of x again: the pass itself is differentiated
        mean, scale = _channel_statistics(o, x, dims, eps)
    else:
        mean, scale = o.reshape(mean, shape), o.reshape(scale, shape)
    xhat = (x - mean) * scale
    dx = dw = db = None
    if needs[0]:
        scaled = g if w is None else g * o.reshape(w, shape)
        if training:
            centre = o.mean(scaled, dims, True, None)
            along = o.mean(scaled * xhat, dims, True, None)
            dx = (scaled - centre - xhat * along) * scale
        else:
            dx = scaled * scale
    if needs[1]:
        dw = o.sum(g * xhat, dims, False, None)
    if needs[2]:
        db = o.sum(g, dims, False, None)
    return dx, dw, db, None, None


def _channel_statistics(o: Any, x: Any, dims: Ints, eps: float) -> tuple[Any, Any]:
    mean = o.mean(x, dims, True, None)
    centred = x - mean
    return mean, o.rsqrt(o.mean(centred * centred, dims, True, None) + eps)


def _channel_dot(a: Any, b: Any) -> Any:
    """For each channel the sum of products."""
    if a.ndim > 2 and a.flags.c_contiguous and b.flags.c_contiguous:
        rows = (a.shape[0] * a.shape[1], -1 if a.size else 0)
        return np.einsum("ij,ij->i", a.reshape(rows), b.reshape(rows)).reshape(a.shape[:2]).sum(0)
    return np.multiply(a, b).sum(_others(a.ndim))


def _batch_gradients(g: Any, x: Any, w: Any, mean: Any, scale: Any, training: bool) -> Any:
    """The formulas above in few passes: dx = g A - (x - mean) B - D with A, B, D a channel."""
    shape = _channels(x)
    n = x.dtype.type(max(x.size // max(x.shape[1], 1), 1))
    centred = x - mean.reshape(shape)
    along = _channel_dot(g, centred)
    total = g.sum(_others(g.ndim), dtype=g.dtype)
    factor = scale if w is None else scale * w
    dx = np.multiply(g, factor.reshape(shape))
    if training:
        centred *= (factor * scale * scale * along / n).reshape(shape)
        centred += (factor * total / n).reshape(shape)
        dx -= centred
    return dx, along * scale, total


def _batch_gradients_rule(
    g: Meta, x: Meta, w: Any, mean: Meta, scale: Meta, training: bool
) -> Plan:
    _check_float("batch_norm_backward", x)
    vector = meta((x.shape[1],), x.dtype if w is None else w.dtype, None, x.device)
    dx = x.like(strides=like_strides(x.shape, x.strides))
    return Plan([dx, vector, vector], compute=opmath(x.dtype))


batch_norm_backward = Op(
    "batch_norm_backward",
    kind="reduce",
    inputs=("grad_output", "input", "weight", "mean", "inverse_deviation"),
    attrs=("training",),
    rule=_batch_gradients_rule,
    kernel=_batch_gradients,
)
batch_norm = Op(
    "batch_norm",
    kind="reduce",
    inputs=("input", "weight", "bias", "running_mean", "running_var"),
    attrs=("training", "eps"),
    rule=_batch_rule,
    kernel=_batch_norm,
    backward=_batch_backward,
    keeps_inputs=(0, 1, 3, 4),
    keeps_outputs=(1, 2),
    node="NativeBatchNormBackward0",
    chain=(0, 1, 2),
)


# Layer normalisation over the last dimensions


def _layer_rule(x: Meta, w: Any, b: Any, shape: Ints, eps: float) -> Plan:
    n = len(shape)
    if n == 0:
        raise RuntimeError(
            "Expected normalized_shape to be at least 1-dimensional, i.e., containing at least one "
            "element, but got normalized_shape = []"
        )
    for name, m in (("weight", w), ("bias", b)):
        if m is not None and m.shape != tuple(shape):
            raise RuntimeError(
                f"Expected {name} to be of same shape as normalized_shape, but got {name} of shape "
                f"{list(m.shape)} and normalized_shape = {list(shape)}"
            )
    if x.ndim < n or tuple(x.shape[x.ndim - n :]) != tuple(shape):
        raise RuntimeError(
            f"Given normalized_shape={list(shape)}, expected input with shape [*, "
            f"{', '.join(map(str, shape))}], but got input of size{list(x.shape)}"
        )
    _check_float("LayerNormKernelImpl", x)
    lead = (*x.shape[: x.ndim - n], *(1,) * n)
    stat = meta(lead, opmath(x.dtype), None, x.device)
    return Plan([x.like(), stat, stat], compute=opmath(x.dtype))


_BLOCK = 1 << 17  # elements of a block of rows: temporaries stay in the cache (measured)


def _blocks(x: Any) -> Iterator[slice]:
    """Rows that are worked on together; a graph has them all at once."""
    rows, width = x.shape
    step = max(1, rows if is_symbol(x) else _BLOCK // max(width, 1))
    for start in range(0, rows, step):
        yield slice(start, start + step)


def _layer_norm(x: Any, w: Any, b: Any, shape: Ints, eps: float) -> Any:
    width, n = math.prod(shape), len(shape)
    lead = x.shape[: x.ndim - n]
    rows = x.reshape(math.prod(lead), width)
    weight, bias = (None if v is None else v.reshape(width) for v in (w, b))
    out = empty(x, rows.shape)
    mean = empty(x, (len(rows), 1))
    scale = empty(x, (len(rows), 1))
    count = x.dtype.type(max(width, 1))
    for part in _blocks(rows):
        y = out[part]
        mean[part, 0] = rows[part].sum(1, dtype=x.dtype) / count
        np.subtract(rows[part], mean[part], out=y)
        scale[part, 0] = 1 / np.sqrt(np.einsum("ij,ij->i", y, y) / count + x.dtype.type(eps))
        y *= scale[part]
        if weight is not None:
            y *= weight
        if bias is not None:
            y += bias
    stat = (*lead, *(1,) * n)
    return out.reshape(x.shape), mean.reshape(stat), scale.reshape(stat)


def _layer_gradients(g: Any, x: Any, w: Any, mean: Any, scale: Any, shape: Ints) -> Any:
    """dx = (h - mean(h) - xhat mean(h xhat)) / std with h = g w, in few passes."""
    width = math.prod(shape)
    count = x.dtype.type(max(width, 1))
    rows = math.prod(x.shape[: x.ndim - len(shape)])
    gs, xs = g.reshape(rows, width), x.reshape(rows, width)
    mean, scale = mean.reshape(rows, 1), scale.reshape(rows, 1)
    weight = None if w is None else w.reshape(width)
    dx = empty(x, (rows, width))
    dw = db = None
    for part in _blocks(xs):
        xhat = xs[part] - mean[part]
        xhat *= scale[part]
        dw = _added(dw, np.einsum("ij,ij->j", gs[part], xhat))
        db = _added(db, gs[part].sum(0, dtype=x.dtype))
        h = dx[part]
        np.multiply(gs[part], 1 if weight is None else weight, out=h)
        along = np.einsum("ij,ij->i", h, xhat)[:, None] / count
        h -= h.sum(1, keepdims=True, dtype=x.dtype) / count
        xhat *= along
        h -= xhat
        h *= scale[part]
    if dw is None or db is None:
        dw = db = zeros(x, (width,))
    return dx.reshape(x.shape), dw.reshape(shape), db.reshape(shape)


def _added(total: Any, part: Any) -> Any:
    return part if total is None else total + part


def _layer_gradients_rule(g: Meta, x: Meta, w: Any, mean: Meta, scale: Meta, shape: Ints) -> Plan:
    _check_float("LayerNormBackwardKernelImpl", x)
    vector = meta(shape, (w or x).dtype, None, x.device)
    return Plan([x.like(), vector, vector], compute=opmath(x.dtype))


layer_norm_backward = Op(
    "layer_norm_backward",
    kind="reduce",
    inputs=("grad_output", "input", "weight", "mean", "inverse_deviation"),
    attrs=("normalized_shape",),
    rule=_layer_gradients_rule,
    kernel=_layer_gradients,
)


def _normalise_grad(o: Any, scaled: Any, x: Any, mean: Any, scale: Any, dims: Ints) -> Any:
    xhat = (x - mean) * scale
    centre = o.mean(scaled, dims, True, None)
    along = o.mean(scaled * xhat, dims, True, None)
    return (scaled - centre - xhat * along) * scale


def _statistics(o: Any, x: Any, dims: Ints, eps: float, outputs: Any) -> tuple[Any, Any]:
    if not o.recording():
        return outputs[1], outputs[2]
    mean = o.mean(x, dims, True, None)
    centred = x - mean
    return mean, o.rsqrt(o.mean(centred * centred, dims, True, None) + eps)


def _layer_backward(
    o: Any, needs: Any, g: Any, inputs: Any, outputs: Any, shape: Ints, eps: float
) -> Any:
    x, w, _b = inputs
    g = g[0]
    if not o.recording():
        return o.layer_norm_backward(g, x, w, outputs[1], outputs[2], tuple(shape))
    n = x._meta.ndim
    dims = tuple(range(n - len(shape), n))
    mean, scale = _statistics(o, x, dims, eps, outputs)
    dx = dw = db = None
    if needs[0]:
        dx = _normalise_grad(o, g if w is None else g * w, x, mean, scale, dims)
    if needs[1]:
        dw = o.sum_to(g * ((x - mean) * scale), tuple(shape))
    if needs[2]:
        db = o.sum_to(g, tuple(shape))
    return dx, dw, db


layer_norm = Op(
    "layer_norm",
    kind="reduce",
    inputs=("input", "weight", "bias"),
    attrs=("normalized_shape", "eps"),
    rule=_layer_rule,
    kernel=_layer_norm,
    backward=_layer_backward,
    keeps_inputs=(0, 1),
    keeps_outputs=(1, 2),
    node="NativeLayerNormBackward0",
)


def _group_rule(x: Meta, w: Any, b: Any, groups: int, eps: float) -> Plan:
    if x.ndim < 2:
        raise RuntimeError(f"Expected at least 2 dimensions for input tensor but received {x.ndim}")
    c = x.shape[1]
    if groups <= 0:
        raise RuntimeError(f"Expected num groups to be greater than 0, got {groups}")
    if c % groups:
        raise RuntimeError(
            "Expected number of channels in input to be divisible by num_groups, but got input of "
            f"shape {list(x.shape)} and num_groups={groups}"
        )
    for name, m in (("weight", w), ("bias", b)):
        if m is not None and m.shape != (c,):
            raise RuntimeError(
                f"Expected {name} to be a vector of size equal to the number of channels in input, "
                f"but got {name} of shape {list(m.shape)} and input of shape {list(x.shape)}"
            )
    _check_float("GroupNormKernelImpl", x)
    stat = meta((x.shape[0], groups), opmath(x.dtype), None, x.device)
    out = x.like(strides=suggested_strides(x.shape, x.shape, x.strides))
    return Plan([out, stat, stat], compute=opmath(x.dtype))


def _group_norm(x: Any, w: Any, b: Any, groups: int, eps: float) -> Any:
    rows = x.reshape(x.shape[0], groups, x.size // max(x.shape[0] * groups, 1))
    mean = rows.mean(-1, keepdims=True, dtype=x.dtype) if rows.size else rows.sum(-1, keepdims=True)
    centred = rows - mean
    var = np.square(centred).mean(-1, keepdims=True, dtype=x.dtype) if rows.size else mean
    scale = 1 / np.sqrt(var + x.dtype.type(eps))
    out = (centred * scale).reshape(x.shape)
    shape = _channels(x)
    if w is not None:
        out = out * w.reshape(shape)
    if b is not None:
        out = out + b.reshape(shape)
    return out, mean[..., 0], scale[..., 0]


def _group_backward(
    o: Any, needs: Any, g: Any, inputs: Any, outputs: Any, groups: int, eps: float
) -> Any:
    x, w, _b = inputs
    g = g[0]
    m = x._meta
    rows = (m.shape[0], groups, m.numel // max(m.shape[0] * groups, 1))
    shape = _channels(m)
    flat = o.reshape(x, rows)
    saved = (None, *(o.unsqueeze(s, -1) for s in outputs[1:]))
    mean, scale = _statistics(o, flat, (2,), eps, saved)
    dx = dw = db = None
    if needs[0]:
        scaled = g if w is None else g * o.reshape(w, shape)
        dx = o.reshape(
            _normalise_grad(o, o.reshape(scaled, rows), flat, mean, scale, (2,)), m.shape
        )
    if needs[1]:
        xhat = o.reshape((flat - mean) * scale, m.shape)
        dw = o.sum(g * xhat, _others(m.ndim), False, None)
    if needs[2]:
        db = o.sum(g, _others(m.ndim), False, None)
    return dx, dw, db


group_norm = Op(
    "group_norm",
    kind="reduce",
    inputs=("input", "weight", "bias"),
    attrs=("num_groups", "eps"),
    rule=_group_rule,
    kernel=_group_norm,
    backward=_group_backward,
    keeps_inputs=(0, 1),
    keeps_outputs=(1, 2),
    node="NativeGroupNormBackward0",
)
