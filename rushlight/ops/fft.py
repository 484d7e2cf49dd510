"""Discrete Fourier transforms by numpy.fft: complex to complex, real to complex, complex to real.

Attributes: the dimensions, a factor for the result, and the direction (forward has exp(-i ...)).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.ir.meta import Meta
from rushlight.ir.op import Op, Plan
from rushlight.ir.strides import strides_in_order

Dims = tuple[int, ...]


def _transformed_last(m: Meta, shape: Any, dims: Dims, dtype: Any) -> Plan:
    """The result's layout: dimensions that are transformed lie innermost, in their order."""
    if m.dtype.is_integral or m.dtype.itemsize == 2:
        raise RuntimeError(f"Unsupported dtype {m.dtype.title}")
    batch = sorted((d for d in range(m.ndim) if d not in dims), key=lambda d: -m.strides[d])
    return Plan(m.like(shape=shape, dtype=dtype, strides=strides_in_order(shape, [*batch, *dims])))


def _complex(make: Any, *shape: int) -> Any:
    """A complex sample."""
    return make(*shape) + 1j * make(*shape)


def _scaled(x: Any, scale: float) -> Any:
    return x if scale == 1 else x * x.real.dtype.type(scale)


def _c2c(x: Any, dims: Dims, scale: float, forward: bool) -> Any:
    if forward:
        return _scaled(np.fft.fftn(x, axes=dims), scale)
    return _scaled(np.fft.ifftn(x, axes=dims, norm="forward"), scale)


fft_c2c = Op(
    "fft_c2c",
    kind="opaque",
    attrs=("dim", "scale", "forward"),
    rule=lambda m, dims, scale, forward: _transformed_last(m, m.shape, dims, m.dtype),
    kernel=_c2c,
    grads=(lambda o, g, _x, _y, dims, scale, forward: o.fft_c2c(g, dims, scale, not forward),),
    node="FftC2CBackward0",
    samples=lambda make: [
        ((_complex(make, 3, 4),), ((0, 1), 0.5, True)),
        ((_complex(make, 3, 4),), ((1,), 1.0, False)),
    ],
)


def _r2c_rule(m: Meta, dims: Dims, scale: float, onesided: bool) -> Plan:
    if m.dtype.is_complex:
        raise RuntimeError(f"Expected a real input tensor to FFT, but got {m.dtype.title}")
    shape = list(m.shape)
    if onesided:
        shape[dims[-1]] = shape[dims[-1]] // 2 + 1
    return _transformed_last(m, tuple(shape), dims, m.dtype.to_complex())


def _r2c(x: Any, dims: Dims, scale: float, onesided: bool) -> Any:
    if not onesided:
        return _scaled(np.fft.fftn(x, axes=dims), scale)
    y = np.fft.rfft(x, axis=dims[-1])
    if len(dims) > 1:
        y = np.fft.fftn(y, axes=dims[:-1])
    return _scaled(y, scale)


def _r2c_grad(o: Any, g: Any, _x: Meta, _y: Any, dims: Dims, scale: float, onesided: bool) -> Any:
    """The real part of the inverse transform of the gradient, the missing half being 0."""
    if onesided:
        half = g._meta.shape[dims[-1]]
        g = o.slice_backward(g, tuple(_x.shape), dims[-1], 0, half, 1)
    return o.real_part(o.fft_c2c(g, dims, scale, False))


fft_r2c = Op(
    "fft_r2c",
    kind="opaque",
    attrs=("dim", "scale", "onesided"),
    rule=_r2c_rule,
    kernel=_r2c,
    grads=(_r2c_grad,),
    node="FftR2CBackward0",
    samples=lambda make: [
        ((make(3, 4),), ((0, 1), 0.5, True)),
        ((make(3, 5),), ((1,), 1.0, True)),
        ((make(4),), ((0,), 1.0, False)),
    ],
)


def _c2r_rule(m: Meta, dims: Dims, scale: float, size: int) -> Plan:
    shape = list(m.shape)
    shape[dims[-1]] = size
    return _transformed_last(m, tuple(shape), dims, m.dtype.to_real())


def _c2r(x: Any, dims: Dims, scale: float, size: int) -> Any:
    if len(dims) > 1:
        x = np.fft.ifftn(x, axes=dims[:-1], norm="forward")
    return _scaled(np.fft.irfft(x, size, axis=dims[-1], norm="forward"), scale)


def _c2r_grad(o: Any, g: Any, _x: Meta, _y: Any, dims: Dims, scale: float, size: int) -> Any:
    """The transform of the gradient; frequencies that stand for two count twice."""
    half = o.fft_r2c(g, dims, scale, True)
    d = dims[-1]
    n = half._meta.shape[d]
    twice = size - n
    if twice <= 0:
        return half
    doubled = o.slice(half, d, 1, 1 + twice, 1)
    return half + o.slice_backward(doubled, tuple(half._meta.shape), d, 1, 1 + twice, 1)


fft_c2r = Op(
    "fft_c2r",
    kind="opaque",
    attrs=("dim", "scale", "last_size"),
    rule=_c2r_rule,
    kernel=_c2r,
    grads=(_c2r_grad,),
    node="FftC2RBackward0",
    samples=lambda make: [
        ((_complex(make, 3, 3),), ((0, 1), 0.5, 4)),
        ((_complex(make, 3, 3),), ((1,), 1.0, 5)),
    ],
)
