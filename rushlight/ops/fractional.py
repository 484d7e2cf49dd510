"""Fractional max pooling: windows of one size at pseudo-random places (Graham 2014).

Shapes: input (N, C, *size), samples (N, C, n) in [0, 1); output (N, C, *sizes) and indices within
each plane.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.ir.meta import Meta, meta
from rushlight.ir.op import Op, Plan
from rushlight.ops.build import unsupported

Ints = tuple[int, ...]

_AXES = ("time", "height", "width")


def _rule(m: Meta, samples: Meta, kernel: Ints, sizes: Ints) -> Plan:
    n = len(sizes)
    name = f"fractional_max_pool{n}d()"
    if m.dtype.kind != "f":
        raise unsupported(f"fractional_max_pool{n}d_out_frame", m.dtype)
    for d in range(n):
        k, out, size = kernel[d], sizes[d], m.shape[2 + d]
        if out + k - 1 > size:
            axis = _AXES[3 - n + d]
            raise RuntimeError(f"{name}: pool {axis} {k} too large relative to input {axis} {size}")
    if samples.dtype is not m.dtype:
        raise RuntimeError(f"{name}: Expect _random_samples to have the same dtype as input")
    if samples.shape[0] != m.shape[0] or samples.shape[1] != m.shape[1] or samples.shape[2] != n:
        raise RuntimeError(
            f"{name}: Expect _random_samples to be of shape {[*m.shape[:2], n]}, but got "
            f"{list(samples.shape)}"
        )
    shape = (*m.shape[:2], *sizes)
    return Plan([meta(shape, m.dtype, None, m.device), meta(shape, dtypes.int64, None, m.device)])


def _starts(sample: Any, size: int, out: int, kernel: int) -> Any:
    """Where each window starts: (planes, out).  Windows overlap; the last ends at the border."""
    kind = sample.dtype.type if sample.dtype.itemsize > 2 else np.float32
    u = sample.astype(kind)[:, None]
    last = np.full((len(sample), 1), size - kernel, np.int64)
    if out == 1:
        return last
    alpha = kind(size - kernel) / kind(out - 1)
    i = np.arange(out - 1, dtype=kind)
    places = ((i + u) * alpha).astype(np.int64) - (u * alpha).astype(np.int64)
    return np.concatenate([places, last], 1)


def _pool(x: Any, samples: Any, kernel: Ints, sizes: Ints) -> Any:
    n = len(sizes)
    planes = x.shape[0] * x.shape[1]
    size = x.shape[2:]
    room = int(np.prod(size, dtype=np.int64))
    flat = x.reshape(planes, room)
    draws = samples.reshape(planes, n)
    if n == 2:
        draws = draws[:, ::-1]  # in two dimensions the first draw is the width's
    count = int(np.prod(sizes, dtype=np.int64))
    starts = [_starts(draws[:, d], size[d], sizes[d], kernel[d]) for d in range(n)]
    best = where = None
    for tap in np.ndindex(*kernel):
        index: Any = 0
        for d in range(n):
            places = (starts[d] + tap[d]).reshape(
                planes, *[sizes[d] if i == d else 1 for i in range(n)]
            )
            index = index * size[d] + places
        index = np.broadcast_to(index, (planes, *sizes)).reshape(planes, count)
        values = np.take_along_axis(flat, index, 1)
        if best is None:
            best, where = values, index.copy()
            continue
        better = (values > best) | np.isnan(values)
        best = np.where(better, values, best)
        where = np.where(better, index, where)
    shape = (*x.shape[:2], *sizes)
    assert best is not None and where is not None
    return best.reshape(shape), where.reshape(shape)


def _backward(o: Any, needs: Any, g: Any, inputs: Any, outputs: Any, *how: Any) -> Any:
    if needs[1]:
        name = f"fractional_max_pool{len(how[0])}d"
        raise RuntimeError(f"derivative for aten::{name}: random_samples is not implemented")
    return o.plane_scatter(g[0], outputs[1], tuple(inputs[0].shape)), None


fractional_max_pool = Op(
    "fractional_max_pool",
    kind="window",
    inputs=("input", "samples"),
    attrs=("kernel", "output_size"),
    rule=_rule,
    kernel=_pool,
    backward=_backward,
    keeps_outputs=(1,),
    node=lambda metas, attrs: f"FractionalMaxPool{len(attrs[0])}DBackward0",
)
