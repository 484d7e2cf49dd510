"""Activation functions and softmax, elementwise or along a dimension."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.ir.meta import Meta
from rushlight.ir.op import Op, Plan
from rushlight.ir.shapes import wrap_dim
from rushlight.ir.strides import like_strides, memory_order
from rushlight.ops import special_math
from rushlight.ops.build import elementwise, opmath, unsupported
from rushlight.ops.readable import is_symbol, scalar

_HALF_SQRT_2 = math.sqrt(0.5)
_INV_SQRT_2PI = 1 / math.sqrt(2 * math.pi)


def _cut(o: Any, keep: Any, g: Any) -> Any:
    """The gradient where the function is not flat."""
    return o.where(keep, g, o.zeros_like(g))


def _relu(x: Any) -> Any:
    if x.size > 4096 and x.dtype.kind == "f":  # four times as fast as maximum with a number
        return np.clip(x, 0, np.inf)
    return np.maximum(x, x.dtype.type(0))


relu = elementwise(
    "relu",
    _relu,
    lambda o, g, _x, y: o.threshold_backward(g, y, 0),
    kinds="uif",
    doc="max(x, 0), element by element.",
    single_pass=True,
)
_BITS = {2: np.int16, 4: np.int32, 8: np.int64}


def _threshold_backward(g: Any, x: Any, threshold: float) -> Any:
    """``where(x <= threshold, 0, g)``, as a product of bits: a choice by random masks is slow."""
    keep = np.logical_not(np.less_equal(x, threshold))
    if is_symbol(g):
        return np.where(keep, g, g.dtype.type(0))
    if g.dtype.kind in "biu":
        return g * keep
    return np.multiply(g.view(_BITS[g.dtype.itemsize]), keep).view(g.dtype)


threshold_backward = elementwise(
    "threshold_backward",
    _threshold_backward,
    (lambda o, g, _g, x, _y, threshold: o.threshold_backward(g, x, threshold), None),
    inputs=("grad_output", "input"),
    attrs=("threshold",),
    kinds="uif",
    api="",
)
threshold = elementwise(
    "threshold",
    lambda x, threshold, value: np.where(x <= threshold, scalar(value, x.dtype), x),
    lambda o, g, x, _y, threshold: o.threshold_backward(g, x, threshold),
    attrs=("threshold", "value"),
    kinds="uif",
    api="",
)


def _sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x)); where exp overflows this is 0, as it should be."""
    y = np.negative(x)
    if not y.ndim:
        return 1 / (np.exp(y) + 1)
    np.exp(y, out=y)
    np.add(y, 1, out=y)
    return np.divide(1, y, out=y)


sigmoid = elementwise(
    "sigmoid",
    _sigmoid,
    lambda o, g, _x, y: g * o.conj((1 - y) * y),
    result="float",
    doc="1 / (1 + exp(-x)), element by element.",
)


def _log_sigmoid(x: Any) -> Any:
    return np.minimum(x, 0) - np.log1p(np.exp(-np.abs(x)))


log_sigmoid = elementwise(
    "log_sigmoid",
    _log_sigmoid,
    lambda o, g, x: g * o.sigmoid(-x),
    kinds="f",
    api="",
    node="LogSigmoidBackward0",
)
leaky_relu = elementwise(
    "leaky_relu",
    lambda x, slope: np.where(x > 0, x, x * scalar(slope, x.dtype)),
    lambda o, g, x, _y, slope: o.where(x > 0, g, g * slope),
    attrs=("negative_slope",),
    defaults=(0.01,),
    kinds="f",
    api="",
)


def _elu(x: Any, alpha: float, scale: float, input_scale: float) -> Any:
    size = scalar(alpha * scale, x.dtype)
    negative = np.expm1(np.minimum(x, 0) * scalar(input_scale, x.dtype)) * size
    return np.where(x <= 0, negative, x * scalar(scale, x.dtype))


elu = elementwise(
    "elu",
    _elu,
    # scale above 0; alpha scale input_scale e^(input_scale x) below
    lambda o, g, x, _y, alpha, scale, input_scale: o.where(
        x <= 0,
        g * (alpha * scale * input_scale) * o.exp(o.clamp(x, None, 0) * input_scale),
        g * scale,
    ),
    attrs=("alpha", "scale", "input_scale"),
    defaults=(1.0, 1.0, 1.0),
    kinds="f",
    api="",
)
celu = elementwise(
    "celu",
    lambda x, alpha: _elu(x, alpha, 1.0, 1.0 / alpha),
    lambda o, g, x, _y, alpha: o.where(x <= 0, g * o.exp(o.clamp(x, None, 0) / alpha), g),
    attrs=("alpha",),
    defaults=(1.0,),
    kinds="f",
    api="",
)
softplus = elementwise(
    "softplus",
    lambda x, beta, threshold: np.where(
        x * beta > threshold,
        x,
        (np.maximum(x * beta, 0) + np.log1p(np.exp(-np.abs(x * beta)))) / scalar(beta, x.dtype),
    ),
    lambda o, g, x, _y, beta, threshold: o.where(x * beta > threshold, g, g * o.sigmoid(x * beta)),
    attrs=("beta", "threshold"),
    defaults=(1.0, 20.0),
    kinds="f",
    api="",
)
hardtanh = elementwise(
    "hardtanh",
    lambda x, low, high: np.minimum(np.maximum(x, scalar(low, x.dtype)), scalar(high, x.dtype)),
    lambda o, g, x, _y, low, high: _cut(o, (x > low) & (x < high), g),
    attrs=("min_val", "max_val"),
    defaults=(-1.0, 1.0),
    kinds="uif",
    api="",
)
_any_hardtanh = hardtanh.rule


def _hardtanh_rule(m: Meta, low: float, high: float) -> Any:
    if m.dtype.kind == "u" and (low < 0 or high < 0):
        raise RuntimeError("cannot do hardtanh on an unsigned type with negative limits")
    return _any_hardtanh(m, low, high)


hardtanh.rule = _hardtanh_rule
hardsigmoid = elementwise(
    "hardsigmoid",
    lambda x: np.minimum(np.maximum(x + x.dtype.type(3), 0), 6) / x.dtype.type(6),
    lambda o, g, x: _cut(o, (x > -3) & (x < 3), g / 6),
    kinds="f",
    api="",
)


def _slope(name: str, slope: Callable[..., Any], attrs: tuple[str, ...] = ()) -> Op:
    """An operator ``g * slope(x)``: a gradient in one kernel, rounded once also for halves."""
    in_blocks = special_math.blockwise(slope)
    return elementwise(
        name,
        lambda g, x, *rest: g * in_blocks(x, *rest),
        None,
        inputs=("grad_output", "input"),
        attrs=attrs,
        kinds="f",
        api="",
    )


hardswish_backward = _slope(
    "hardswish_backward",
    lambda x: np.where(x <= -3, 0, np.where(x < 3, x / 3 + x.dtype.type(0.5), 1)).astype(x.dtype),
)


def _hardswish_grad(o: Any, g: Any, x: Any) -> Any:
    """0 below -3, 1 above 3, x / 3 + 1 / 2 between."""
    if not o.recording():
        return o.hardswish_backward(g, x)
    return o.where(x <= -3, o.zeros_like(g), o.where(x < 3, g * (x / 3 + 0.5), g))


hardswish = elementwise(
    "hardswish",
    lambda x: x * np.minimum(np.maximum(x + x.dtype.type(3), 0), 6) / x.dtype.type(6),
    _hardswish_grad,
    kinds="f",
    api="",
)
hardshrink = elementwise(
    "hardshrink",
    lambda x, lambd: np.where((x >= -lambd) & (x <= lambd), x.dtype.type(0), x),
    lambda o, g, x, _y, lambd: _cut(o, (x > lambd) | (x < -lambd), g),
    attrs=("lambd",),
    defaults=(0.5,),
    kinds="f",
    api="",
)
softshrink = elementwise(
    "softshrink",
    lambda x, lambd: np.where(
        x > lambd,
        x - scalar(lambd, x.dtype),
        np.where(x < -lambd, x + scalar(lambd, x.dtype), x * x.dtype.type(0)),
    ),
    lambda o, g, x, _y, lambd: _cut(o, (x > lambd) | (x < -lambd), g),
    attrs=("lambd",),
    defaults=(0.5,),
    kinds="f",
    api="",
)


def _silu_slope(x: Any) -> Any:
    s = _sigmoid(x)
    return s * (1 + x * (1 - s))


silu_backward = _slope("silu_backward", _silu_slope)


def _silu_grad(o: Any, g: Any, x: Any) -> Any:
    """s (1 + x (1 - s)) with s the sigmoid."""
    if not o.recording() and not x._meta.dtype.is_complex:
        return o.silu_backward(g, x)
    s = o.sigmoid(x)
    return g * o.conj(s * (1 + x * (1 - s)))


silu = elementwise("silu", lambda x: x * _sigmoid(x), _silu_grad, kinds="fc", api="")


def _mish_slope(x: Any) -> Any:
    t = np.tanh(np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))))
    return t + x * _sigmoid(x) * (1 - t * t)


mish_backward = _slope("mish_backward", _mish_slope)


def _mish_grad(o: Any, g: Any, x: Any) -> Any:
    """t + x s (1 - t^2) with t = tanh(softplus x), s = sigmoid x."""
    if not o.recording():
        return o.mish_backward(g, x)
    t = o.tanh(o.softplus(x, 1.0, 20.0))
    return g * (t + x * o.sigmoid(x) * (1 - t * t))


mish = elementwise(
    "mish",
    lambda x: x * np.tanh(np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))),
    _mish_grad,
    kinds="f",
    api="",
)


def _gelu(x: Any, approximate: str) -> Any:
    if approximate == "tanh":
        kind = x.dtype.type
        inner = kind(math.sqrt(2 / math.pi)) * (x + kind(0.044715) * x * x * x)
        return kind(0.5) * x * (1 + np.tanh(inner))
    return _gelu_exact(x)


@special_math.blockwise
def _gelu_exact(x: Any) -> Any:
    """x times the normal distribution function."""
    erf = special_math.erf_single if x.dtype.itemsize == 4 else special_math.erf
    half = x.dtype.type(0.5)
    return half * x * (1 + erf(x * x.dtype.type(_HALF_SQRT_2)))


def _gelu_slope(x: Any, approximate: str) -> Any:
    kind = x.dtype.type
    half, one = kind(0.5), kind(1)
    if approximate == "tanh":
        c = kind(math.sqrt(2 / math.pi))
        square = x * x
        t = np.tanh(c * x * (one + kind(0.044715) * square))
        bend = one + kind(3 * 0.044715) * square
        return half * (one + t) + half * x * (one - t * t) * c * bend
    erf = special_math.erf_single if x.dtype.itemsize == 4 else special_math.erf
    cdf = half * (one + erf(x * kind(_HALF_SQRT_2)))
    return cdf + x * np.exp(x * x * -half) * kind(_INV_SQRT_2PI)


gelu_backward = _slope("gelu_backward", _gelu_slope, ("approximate",))


def _gelu_grad(o: Any, g: Any, x: Any, _y: Any, approximate: str) -> Any:
    if not o.recording():
        return o.gelu_backward(g, x, approximate)
    if approximate == "tanh":
        c = math.sqrt(2 / math.pi)
        t = o.tanh(c * (x + 0.044715 * x * x * x))
        return g * (0.5 * (1 + t) + 0.5 * x * (1 - t * t) * c * (1 + 3 * 0.044715 * x * x))
    # the normal cdf plus x times the normal density
    cdf = 0.5 * (1 + o.erf(x * _HALF_SQRT_2))
    return g * (cdf + x * o.exp(x * x * -0.5) * _INV_SQRT_2PI)


gelu = elementwise(
    "gelu", _gelu, _gelu_grad, attrs=("approximate",), defaults=("none",), kinds="f", api=""
)


def _prelu_rule(x: Meta, w: Meta) -> Plan:
    if x.dtype is not w.dtype:
        raise RuntimeError(
            f"prelu: Type promoting not supported. Got {x.dtype.title} and {w.dtype.title}"
        )
    if w.ndim > 1:
        raise RuntimeError(
            f"prelu: Expected `weight` to be a scalar or 1D tensor, but got: ndim = {w.ndim}"
        )
    if w.numel != 1:
        if x.ndim == 0:
            raise RuntimeError("Not allow zero-dim input tensor.")
        channels = x.shape[1] if x.ndim > 1 else 1
        if channels != w.numel:
            raise RuntimeError(
                f"Mismatch of parameter numbers and input channel size. Found parameter numbers = "
                f"{w.numel} and channel size = {channels}."
            )
    return Plan(x.like(strides=like_strides(x.shape, x.strides)), compute=opmath(x.dtype))


def _channel_shape(ndim: int, n: int) -> tuple[int, ...]:
    return tuple(n if d == 1 else 1 for d in range(ndim)) if ndim > 1 else (n,) * min(ndim, 1)


def _prelu(x: Any, w: Any) -> Any:
    slope = w.reshape(_channel_shape(x.ndim, w.size)) if w.size > 1 else w.reshape(())
    return np.where(x > 0, x, x * slope)


def _prelu_backward(o: Any, needs: Any, g: Any, inputs: Any, outputs: Any) -> Any:
    x, w = inputs
    n = w._meta.numel
    shape = _channel_shape(x._meta.ndim, n) if n > 1 else ()
    slope = o.reshape(w, shape)
    positive = x > 0
    dx = o.where(positive, g, g * slope) if needs[0] else None
    dw = None
    if needs[1]:
        part = _cut(o, positive == False, g * x)  # noqa: E712  an elementwise comparison
        dw = o.reshape(o.sum_to(part, shape), w._meta.shape)
    return dx, dw


prelu = Op(
    "prelu",
    kind="elementwise",
    inputs=("input", "weight"),
    rule=_prelu_rule,
    kernel=_prelu,
    backward=_prelu_backward,
    keeps_inputs=(0, 1),
    node="PreluKernelBackward0",
)


def _glu_rule(x: Meta, dim: int) -> Plan:
    if x.ndim == 0:
        raise RuntimeError("glu does not support scalars because halving size must be even")
    if not x.dtype.is_floating_point:
        raise unsupported("glu_cpu", x.dtype)
    d = wrap_dim(dim, x.ndim)
    if x.dtype.kind != "f":
        raise unsupported("glu_cpu", x.dtype)
    if x.shape[d] % 2:
        raise RuntimeError(
            f"Halving dimension must be even, but dimension {d} is size {x.shape[d]}"
        )
    shape = (*x.shape[:d], x.shape[d] // 2, *x.shape[d + 1 :])
    return Plan(x.like(shape=shape), compute=opmath(x.dtype))


def _glu(x: Any, dim: int) -> Any:
    a, b = np.split(x, 2, dim)
    return a * _sigmoid(b)


def _glu_grad(o: Any, g: Any, x: Any, _y: Any, dim: int) -> Any:
    half = x._meta.shape[dim] // 2
    a, b = o.split(x, (half, half), dim)
    s = o.sigmoid(b)
    return o.cat((g * s, g * a * s * (1 - s)), dim)


glu = Op("glu", kind="window", attrs=("dim",), rule=_glu_rule, kernel=_glu, grads=(_glu_grad,))

# Softmax


def _softmax_rule(name: str) -> Any:
    def rule(x: Meta, dim: int, dtype: Any) -> Plan:
        wrap_dim(dim, x.ndim)
        dt = dtype or x.dtype
        if dt.kind != "f":
            raise unsupported(f"{name}_lastdim_kernel_impl", dt)
        return Plan(x.like(dtype=dt), compute=opmath(dt))

    return rule


def _shifted(x: Any, dim: int) -> Any:
    return x - np.max(x, axis=dim, keepdims=True, initial=-np.inf) if x.size else x


def _softmax(x: Any, dim: int, dtype: Any) -> Any:
    if x.ndim == 0:
        return np.where(np.isnan(x), x, np.ones_like(x))
    e = np.exp(_shifted(x, dim))
    return e / e.sum(axis=dim, keepdims=True, dtype=e.dtype)


def _log_softmax(x: Any, dim: int, dtype: Any) -> Any:
    if x.ndim == 0:
        return np.where(np.isnan(x), x, np.zeros_like(x))
    shifted = _shifted(x, dim)
    return shifted - np.log(np.exp(shifted).sum(axis=dim, keepdims=True, dtype=x.dtype))


def _backward_rule(g: Meta, y: Meta, dim: int) -> Plan:
    if y.dtype.kind != "f":
        raise unsupported("softmax_backward_kernel", y.dtype)
    return Plan(y.like(), compute=opmath(y.dtype))


def _softmax_backward(g: Any, y: Any, dim: int) -> Any:
    """y (g - sum g y)."""
    if y.ndim == 0:
        return np.zeros_like(y)
    out = g * y
    return out - y * out.sum(axis=dim, keepdims=True, dtype=y.dtype)


def _log_softmax_backward(g: Any, y: Any, dim: int) -> Any:
    """g - e^y sum g."""
    if y.ndim == 0:
        return np.zeros_like(y)
    out = np.exp(y)
    out *= g.sum(axis=dim, keepdims=True, dtype=y.dtype)
    return np.subtract(g, out, out=out)


softmax_backward = Op(
    "softmax_backward",
    kind="reduce",
    inputs=("grad_output", "output"),
    attrs=("dim",),
    rule=_backward_rule,
    kernel=_softmax_backward,
)
log_softmax_backward = Op(
    "log_softmax_backward",
    kind="reduce",
    inputs=("grad_output", "output"),
    attrs=("dim",),
    rule=_backward_rule,
    kernel=_log_softmax_backward,
)


def _softmax_grad(o: Any, g: Any, _x: Any, y: Any, dim: int) -> Any:
    """y (g - sum g y); as operators where it is differentiated again."""
    if o.recording():
        return y * (g - o.sum(g * y, dim, True, None))
    return o.softmax_backward(g, y, dim)


def _log_softmax_grad(o: Any, g: Any, _x: Any, y: Any, dim: int) -> Any:
    """g - e^y sum g; as operators where it is differentiated again."""
    if o.recording():
        return g - o.exp(y) * o.sum(g, dim, True, None)
    return o.log_softmax_backward(g, y, dim)


softmax = Op(
    "softmax",
    kind="reduce",
    attrs=("dim", "dtype"),
    defaults=(None,),
    rule=_softmax_rule("softmax"),
    kernel=_softmax,
    grads=(_softmax_grad,),
)
log_softmax = Op(
    "log_softmax",
    kind="reduce",
    attrs=("dim", "dtype"),
    defaults=(None,),
    rule=_softmax_rule("log_softmax"),
    kernel=_log_softmax,
    grads=(_log_softmax_grad,),
)

rrelu_slopes = Op(
    "rrelu_slopes",
    kind="random",
    attrs=("lower", "upper", "engine"),
    rule=lambda m, lower, upper, engine: Plan(m),
    kernel=lambda out, x, lower, upper, engine: engine.streams.rrelu_slopes(
        engine, memory_values(x, out), lower, upper
    ),
)


def memory_values(x: Any, m: Meta) -> Any:
    """The values of an array in the order in which a tensor of this Meta keeps them."""
    order = memory_order(m.shape, m.strides)
    return np.ascontiguousarray(x.transpose(order)).reshape(-1)
