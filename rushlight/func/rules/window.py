"""Batching rules of convolution, pooling and normalisation.

Where an operator treats the first dimension N as a batch, the samples' batches are laid end to
end; where weights differ from sample to sample, samples become groups of channels.
"""

from __future__ import annotations

from typing import Any

from rushlight.dispatch import gate
from rushlight.dispatch.namespace import o
from rushlight.func.rules import Call, composed, composition, values
from rushlight.func.rules.pointwise import along

__all__: list[str] = []


def _merged(v: Any, at: int = 0) -> Any:
    """The batch dimension (first) merged into the sample's dimension ``at``."""
    shape = tuple(v._meta.shape)
    if at:
        v = o.permute(v, (*range(1, at + 1), 0, *range(at + 1, len(shape))))
    lead, own = shape[1 : at + 1], shape[at + 1]
    return o.reshape(v, (*lead, shape[0] * own, *shape[at + 2 :]))


def _parted(v: Any, size: int, at: int = 0) -> Any:
    """Undoes `_merged`."""
    shape = tuple(v._meta.shape)
    v = o.reshape(v, (*shape[:at], size, shape[at] // size, *shape[at + 1 :]))
    return o.permute(v, (at, *range(at), *range(at + 1, len(shape) + 1))) if at else v


@values("conv", "conv_input")
def _conv(c: Call) -> Any:
    x, w, b = c.values
    if not c.has[1] and not (b is not None and c.has[2]):
        return _parted(gate.call(c.op, (_merged(x), w, b), c.attrs), c.size)
    groups = c.attrs[-1]
    attrs = (*c.attrs[:-1], groups * c.size)
    made = gate.call(c.op, (_merged(c.full(0), 1), _merged(c.full(1)), None), attrs)
    y = _parted(made, c.size, 1)
    if b is not None:
        lead = (c.size,) if c.has[2] else ()
        y = y + o.reshape(b, (*lead, *((1,) if lead else ()), -1, *(1,) * (c.ndim(0) - 2)))
    return y


@values("conv_weight")
def _conv_weight(c: Call) -> Any:
    groups = c.attrs[-1]
    attrs = (*c.attrs[:-1], groups * c.size)
    made = gate.call(c.op, (_merged(c.full(0), 1), _merged(c.full(1), 1)), attrs)
    return _parted(made, c.size)


@values(
    "max_pool", "avg_pool", "adaptive_avg_pool", "adaptive_max_pool", "im2col", "col2im",
    "plane_gather", "max_unpool", "resample", "grid_sample", "grid_sample_backward",
    "grid_sample_double_backward",
    "fractional_max_pool",
)  # fmt: skip
def _planes(c: Call) -> Any:
    inputs = tuple([_merged(c.full(i)) for i in range(len(c.values))])
    return _apart(c, gate.call(c.op, inputs, c.attrs))


@values("avg_spread", "adaptive_avg_spread", "plane_scatter", "resample_spread")
def _spread(c: Call) -> Any:
    if "shape" not in c.op.attrs:
        return _planes(c)
    at = c.op.attrs.index("shape")
    shape = c.attrs[at]
    attrs = (*c.attrs[:at], (shape[0] * c.size, *shape[1:]), *c.attrs[at + 1 :])
    inputs = tuple([_merged(c.full(i)) for i in range(len(c.values))])
    return _apart(c, gate.call(c.op, inputs, attrs))


def _apart(c: Call, made: Any) -> Any:
    if isinstance(made, tuple):
        return tuple([_parted(t, c.size) for t in made])
    return _parted(made, c.size)


@values("glu")
def _glu(c: Call) -> Any:
    return along(c)


# Normalisation


def _channels(n: int) -> tuple[int, ...]:
    return (1, -1, *(1,) * (n - 2))


def _batch_norm(x: Any, w: Any, b: Any, mean: Any, var: Any, training: bool, eps: float) -> Any:
    m = x._meta
    shape = _channels(m.ndim)
    dims = (0, *range(2, m.ndim))
    if training:
        mean = o.mean(x, dims, False, None)
        centred = x - o.reshape(mean, shape)
        var = o.mean(centred * centred, dims, False, None)
    else:
        centred = x - o.reshape(mean, shape)
    scale = o.rsqrt(var + eps)
    y = centred * o.reshape(scale if w is None else scale * w, shape)
    if b is not None:
        y = y + o.reshape(b, shape)
    if not training:
        mean = scale = var = o.empty((0,), (1,), m.dtype, m.device)
    return y, mean, scale, var


@values("batch_norm")
def _batch_norm_rule(c: Call) -> Any:
    return composed(c, _batch_norm)


@composition("batch_norm_backward")
def _batch_norm_backward(g: Any, x: Any, w: Any, mean: Any, scale: Any, training: bool) -> Any:
    m = x._meta
    shape, dims = _channels(m.ndim), (0, *range(2, m.ndim))
    xhat = (x - o.reshape(mean, shape)) * o.reshape(scale, shape)
    scaled = g if w is None else g * o.reshape(w, shape)
    dx = scaled
    if training:
        centre = o.mean(scaled, dims, True, None)
        dx = scaled - centre - xhat * o.mean(scaled * xhat, dims, True, None)
    dx = dx * o.reshape(scale, shape)
    return dx, o.sum(g * xhat, dims, False, None), o.sum(g, dims, False, None)


@composition("layer_norm")
def _layer_norm(x: Any, w: Any, b: Any, size: Any, eps: float) -> Any:
    n = x._meta.ndim
    dims = tuple(range(n - len(size), n))
    mean = o.mean(x, dims, True, None)
    centred = x - mean
    scale = o.rsqrt(o.mean(centred * centred, dims, True, None) + eps)
    y = centred * scale
    y = y if w is None else y * w
    return (y if b is None else y + b), mean, scale


@composition("layer_norm_backward")
def _layer_norm_backward(g: Any, x: Any, w: Any, mean: Any, scale: Any, size: Any) -> Any:
    n = x._meta.ndim
    dims = tuple(range(n - len(size), n))
    xhat = (x - mean) * scale
    scaled = g if w is None else g * w
    centre = o.mean(scaled, dims, True, None)
    dx = (scaled - centre - xhat * o.mean(scaled * xhat, dims, True, None)) * scale
    lead = tuple(range(n - len(size)))
    if not lead:
        return dx, g * xhat, g
    return dx, o.sum(g * xhat, lead, False, None), o.sum(g, lead, False, None)


@composition("group_norm")
def _group_norm(x: Any, w: Any, b: Any, groups: int, eps: float) -> Any:
    m = x._meta
    rows = o.reshape(x, (m.shape[0], groups, m.numel // max(m.shape[0] * groups, 1)))
    mean = o.mean(rows, (2,), True, None)
    centred = rows - mean
    scale = o.rsqrt(o.mean(centred * centred, (2,), True, None) + eps)
    y = o.reshape(centred * scale, tuple(m.shape))
    shape = _channels(m.ndim)
    if w is not None:
        y = y * o.reshape(w, shape)
    if b is not None:
        y = y + o.reshape(b, shape)
    return y, o.squeeze(mean, 2), o.squeeze(scale, 2)
