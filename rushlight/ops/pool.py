"""Pooling over windows: maximum (with indices), average, adaptive, and the gradients.

Shapes: input (N, C, *size); unbatched inputs get their batch dimension in the API.  Indices count
within the unpadded plane of one channel, row-major, as PyTorch's do.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.ir.meta import Meta, meta
from rushlight.ir.op import Op, Plan
from rushlight.ir.shapes import window_output
from rushlight.ir.strides import suggested_strides
from rushlight.ops.build import opmath, unsupported
from rushlight.ops.readable import is_symbol, sums_at, zeros

Ints = tuple[int, ...]


def _positions(
    name: str, m: Meta, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints, ceil_mode: bool
) -> Ints:
    if any(s == 0 for s in stride):
        raise RuntimeError("stride should not be zero")
    for k, p, d in zip(kernel, padding, dilation, strict=True):
        if p < 0:
            raise RuntimeError(f"pad must be non-negative, but got pad: {p}")
        if p * 2 > (k - 1) * d + 1 and (p * 2 > k or d == 1):
            raise RuntimeError(
                f"pad should be at most half of effective kernel size, but got pad={p}, "
                f"kernel_size={k} and dilation={d}"
                if name.startswith("max")
                else f"pad should be at most half of effective kernel size, but got pad={p}, "
                f"kernel_size={k} and dilation=1"
            )
    for what, letter, values in (("stride", "d", stride), ("dilation", "dilation", dilation)):
        if any(v <= 0 for v in values):
            shown = values if len(values) > 1 else (1, *values)
            named = zip("THW"[-len(shown) :], shown, strict=True)
            got = " ".join([f"{letter}{axis}: {v}" for axis, v in named])
            raise RuntimeError(f"{what} should be greater than zero, but got {got}")
    sizes = tuple(
        window_output(s, k, st, p, d, ceil_mode)
        for s, k, st, p, d in zip(m.shape[2:], kernel, stride, padding, dilation, strict=True)
    )
    if any(s < 1 for s in sizes):
        flat = (1,) if len(sizes) == 1 else ()  # PyTorch pools vectors as images of one row
        before = "x".join(str(s) for s in (m.shape[1], *flat, *m.shape[2:]))
        after = "x".join(str(s) for s in (m.shape[1], *flat, *sizes))
        raise RuntimeError(
            f"Given input size: ({before}). Calculated output size: ({after}). Output size is too "
            "small"
        )
    return sizes


def _max_rule(
    m: Meta, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints, ceil_mode: bool
) -> Plan:
    sizes = _positions("max_pool", m, kernel, stride, padding, dilation, ceil_mode)
    shape = (*m.shape[:2], *sizes)
    strides = suggested_strides(shape, m.shape, m.strides)
    return Plan(
        [meta(shape, m.dtype, strides, m.device), meta(shape, dtypes.int64, strides, m.device)]
    )


def _taps(kernel: Ints, dilation: Ints) -> Any:
    return itertools.product(*[range(0, k * d, d) for k, d in zip(kernel, dilation, strict=True)])


def _lowest(dt: Any) -> Any:
    if dt.kind in "iu":
        return np.iinfo(dt).min
    return -np.inf if dt.kind == "f" or dt.name == "bfloat16" else False


def _reach(
    x: Any, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints, positions: Ints
) -> Any:
    """The padded size that all windows together reach."""
    return [
        max(s + 2 * p, (n - 1) * st + (k - 1) * d + 1)
        for s, p, n, st, k, d in zip(
            x.shape[2:], padding, positions, stride, kernel, dilation, strict=True
        )
    ]


def _max_pool(
    x: Any, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints, ceil_mode: bool
) -> Any:
    """The maximum of each window and its place; the first of equals wins, NaN wins over all."""
    positions = tuple(
        window_output(s, k, st, p, d, ceil_mode)
        for s, k, st, p, d in zip(x.shape[2:], kernel, stride, padding, dilation, strict=True)
    )
    how = (kernel, stride, padding, dilation, positions)
    if x.dtype.itemsize == 2 and x.dtype.kind not in "iu":
        best, where = _max_pool(x.astype(np.float32), kernel, stride, padding, dilation, ceil_mode)
        return best.astype(x.dtype), where
    if is_symbol(x):
        return _careful_max(x, *how)
    if x.size and math.prod(positions) and not (x.dtype.kind == "f" and np.isnan(x.max())):
        found = _quick_max(x, *how)
        if found is not None:
            return found
    return _careful_max(x, *how)


def _padded_to_reach(
    x: Any, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints, positions: Ints
) -> Any:
    size = x.shape[2:]
    reach = _reach(x, kernel, stride, padding, dilation, positions)
    if list(size) == reach:
        return x
    padded = np.full_like(x, _lowest(x.dtype), None, "C", False, (*x.shape[:2], *reach))
    inner: Any = (..., *(slice(p, p + s) for p, s in zip(padding, size, strict=True)))
    padded[inner] = x
    return padded


def _quick_max(
    x: Any, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints, positions: Ints
) -> Any:
    """Maxima axis by axis, remembering the winner's tap as a small number.

    None if a window holds nothing above the padding, whose place this could not tell.
    """
    best = padded = _padded_to_reach(x, kernel, stride, padding, dilation, positions)
    taps = math.prod(kernel)
    small = np.int8 if taps < 128 else np.int16 if taps < 1 << 15 else np.int32
    where: Any = None
    step = 1
    for d in range(len(kernel) - 1, -1, -1):  # the last axis first: row-major order decides ties
        at = [
            (..., slice(t, t + (positions[d] - 1) * stride[d] + 1, stride[d]))
            + (slice(None),) * (len(kernel) - 1 - d)
            for t in range(0, kernel[d] * dilation[d], dilation[d])
        ]
        parts = [best[i] for i in at]
        marks = None if where is None else [where[i] for i in at]
        best, where = _running_maximum(parts, marks, step, small)
        step *= kernel[d]
    if padded is not x and (best == _lowest(x.dtype)).any():
        return None
    size = x.shape[2:]
    first: Any = 0
    table: Any = 0
    for places, s, offsets in zip(
        _axis_places((0,) * len(kernel), positions, stride, padding),
        size,
        _axis_places((0,) * len(kernel), kernel, dilation, (0,) * len(kernel)),
        strict=True,
    ):
        first, table = first * s + places, table * s + offsets
    index = np.take(np.asarray(table, np.int64).reshape(-1), where)
    index += first
    return best, index


def _running_maximum(parts: list[Any], marks: list[Any] | None, step: int, small: Any) -> Any:
    """(maximum, mark of the first part that has it); part t's marks are raised by ``t * step``."""
    best = parts[0].copy()
    where = np.zeros_like(best, small) if marks is None else marks[0].copy()
    better = np.empty_like(best, np.bool_)
    for t, part in enumerate(parts[1:], 1):
        np.greater(part, best, out=better)
        np.maximum(best, part, out=best)
        # marks of later parts exceed all earlier ones, so the latest improvement is their maximum
        mark = better.astype(small)
        mark *= small(t * step) if marks is None else marks[t] + small(t * step)
        np.maximum(where, mark, out=where)
    return best, where


def _careful_max(
    x: Any, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints, positions: Ints
) -> Any:
    """A running maximum over the taps that keeps to what lies inside, with NaN."""
    size = x.shape[2:]
    padded = _padded_to_reach(x, kernel, stride, padding, dilation, positions)
    best: Any = None
    where: Any = None
    seen: Any = None
    for tap in _taps(kernel, dilation):
        values = padded[(..., *_window_at(tap, positions, stride))]
        index = _plane_index(tap, positions, stride, padding, size)
        inside = _inside(tap, positions, stride, padding, size)
        if best is None:
            best = values.copy()
            where = np.broadcast_to(index, best.shape).copy()
            seen = np.broadcast_to(inside, best.shape).copy()
            continue
        better = (
            (values > best) | (np.isnan(values) if x.dtype.kind == "f" else False) | ~seen
        ) & inside
        best = np.where(better, values, best)
        where = np.where(better, index, where)
        seen |= inside
    return best, where


def _axis_places(tap: Ints, positions: Ints, stride: Ints, padding: Ints) -> list[Any]:
    n = len(positions)
    return [
        (t - p + np.arange(m) * st).reshape([-1 if i == d else 1 for i in range(n)])
        for d, (t, m, st, p) in enumerate(zip(tap, positions, stride, padding, strict=True))
    ]


def _plane_index(tap: Ints, positions: Ints, stride: Ints, padding: Ints, size: Ints) -> Any:
    """The row-major index, within the plane, of the element under this tap."""
    index: Any = 0
    for places, s in zip(_axis_places(tap, positions, stride, padding), size, strict=True):
        index = index * s + places
    return np.asarray(index, np.int64)


def _inside(tap: Ints, positions: Ints, stride: Ints, padding: Ints, size: Ints) -> Any:
    ok: Any = True
    for places, s in zip(_axis_places(tap, positions, stride, padding), size, strict=True):
        ok = ok & (places >= 0) & (places < s)
    return np.asarray(ok)


def _max_backward(o: Any, needs: Any, g: Any, inputs: Any, outputs: Any, *how: Any) -> Any:
    apart = False  # whether windows are disjoint, so that no place occurs twice
    if len(how) > 1:
        kernel, stride, _padding, dilation, _ceil = how
        apart = all(
            st >= (k - 1) * d + 1 for k, st, d in zip(kernel, stride, dilation, strict=True)
        )
    return (o.plane_scatter(g[0], outputs[1], tuple(inputs[0].shape), apart),)


max_pool = Op(
    "max_pool",
    kind="window",
    attrs=("kernel", "stride", "padding", "dilation", "ceil_mode"),
    rule=_max_rule,
    kernel=_max_pool,
    backward=_max_backward,
    keeps_outputs=(1,),
    node=lambda metas, attrs: f"MaxPool{len(attrs[0])}DWithIndicesBackward0",
)


def _scatter_kernel(g: Any, index: Any, shape: Ints, distinct: bool) -> Any:
    """Adds each value at its index within its plane."""
    planes = shape[0] * shape[1]
    size = math.prod(shape[2:])
    own = index.reshape(planes, g.size // max(planes, 1))
    places = (own + np.arange(planes)[:, None] * size).reshape(-1)
    values = g.reshape(-1)
    if not distinct and values.dtype.kind == "f":
        return sums_at(places, values, planes * size).astype(g.dtype).reshape(shape)
    total = zeros(g, planes * size)
    if distinct:
        total[places] = values
    else:
        np.add.at(total, places, values)
    return total.reshape(shape)


plane_scatter = Op(
    "plane_scatter",
    kind="indexing",
    inputs=("grad_output", "indices"),
    attrs=("shape", "distinct"),
    defaults=(False,),
    rule=lambda g, index, shape, distinct: g.like(
        shape=shape, strides=suggested_strides(shape, g.shape, g.strides)
    ),
    kernel=_scatter_kernel,
    grads=(lambda o, g, _g, index: o.plane_gather(g, index), None),
)


def _gather_kernel(x: Any, index: Any) -> Any:
    planes = x.reshape(x.shape[0] * x.shape[1], -1)
    flat = index.reshape(planes.shape[0], -1)
    return np.take_along_axis(planes, flat, 1).reshape(index.shape)


plane_gather = Op(
    "plane_gather",
    kind="indexing",
    inputs=("input", "indices"),
    rule=lambda x, index: x.like(shape=index.shape),
    kernel=_gather_kernel,
    grads=(lambda o, g, _x, index: o.plane_scatter(g, index, tuple(_x.shape)), None),
)


# Average


def _avg_rule(
    m: Meta,
    kernel: Ints,
    stride: Ints,
    padding: Ints,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor: Any,
) -> Plan:
    if divisor == 0:
        raise RuntimeError("divisor must be not zero")
    if m.dtype.kind not in "iuf":
        raise unsupported(f"avg_pool{len(kernel)}d", m.dtype)
    if not (m.dtype.is_floating_point or m.dtype.name == "int64"):
        raise unsupported("avg_pool2d" if len(kernel) < 3 else "avg_pool3d_out_frame", m.dtype)
    sizes = _positions("avg_pool", m, kernel, stride, padding, (1,) * len(kernel), ceil_mode)
    shape = (*m.shape[:2], *sizes)
    strides = suggested_strides(shape, m.shape, m.strides)
    return Plan(meta(shape, m.dtype, strides, m.device), compute=opmath(m.dtype))


def _divisors(
    size: Ints,
    positions: Ints,
    kernel: Ints,
    stride: Ints,
    padding: Ints,
    include_pad: bool,
    divisor: Any,
) -> Any:
    """By how much each window's sum is divided."""
    if divisor:
        return np.asarray(float(divisor))
    n = len(kernel)
    count: Any = 1
    for d, (s, m, k, st, p) in enumerate(
        zip(size, positions, kernel, stride, padding, strict=True)
    ):
        start = np.arange(m) * st - p
        end = np.minimum(start + k, s + p)
        if not include_pad:
            start, end = np.maximum(start, 0), np.minimum(end, s)
        count = count * (end - start).reshape([-1 if i == d else 1 for i in range(n)])
    return np.asarray(count, np.float64)


def _avg_pool(
    x: Any,
    kernel: Ints,
    stride: Ints,
    padding: Ints,
    ceil_mode: bool,
    include_pad: bool,
    divisor: Any,
) -> Any:
    ones = (1,) * len(kernel)
    positions = tuple(
        window_output(s, k, st, p, 1, ceil_mode)
        for s, k, st, p in zip(x.shape[2:], kernel, stride, padding, strict=True)
    )
    reach = _reach(x, kernel, stride, padding, ones, positions)
    padded: Any = zeros(x, (*x.shape[:2], *reach))
    padded[(..., *(slice(p, p + s) for p, s in zip(padding, x.shape[2:], strict=True)))] = x
    total = zeros(x, (*x.shape[:2], *positions))
    for tap in _taps(kernel, ones):
        total += padded[(..., *_window_at(tap, positions, stride))]
    by = _divisors(x.shape[2:], positions, kernel, stride, padding, include_pad, divisor)
    if x.dtype.kind == "f":
        return total / by.astype(x.dtype)
    whole = by.astype(np.int64)
    # towards zero, as C divides
    return np.abs(total) // np.abs(whole) * np.sign(total) * np.sign(whole)


def _window_at(tap: Ints, positions: Ints, stride: Ints) -> tuple[slice, ...]:
    return tuple(
        slice(t, t + (n - 1) * st + 1, st) for t, n, st in zip(tap, positions, stride, strict=True)
    )


def _avg_spread(
    g: Any,
    shape: Ints,
    kernel: Ints,
    stride: Ints,
    padding: Ints,
    include_pad: bool,
    divisor: Any,
) -> Any:
    """The adjoint of average pooling: each window's share to each of its elements."""
    size, positions = shape[2:], g.shape[2:]
    by = _divisors(size, positions, kernel, stride, padding, include_pad, divisor)
    share = g / by.astype(g.dtype)
    if kernel == stride and not any(padding):
        return _repeated(share, kernel, size)
    ones = (1,) * len(kernel)
    reach = _reach(np.empty(shape, np.bool_), kernel, stride, padding, ones, positions)
    padded: Any = zeros(g, (*shape[:2], *reach))
    for tap in _taps(kernel, ones):
        padded[(..., *_window_at(tap, positions, stride))] += share
    return padded[(..., *(slice(p, p + s) for p, s in zip(padding, size, strict=True)))]


def _repeated(x: Any, times: Ints, size: Ints) -> Any:
    """Each element as a block of equal ones; zeros where the blocks do not reach."""
    apart = x.reshape(*x.shape[:2], *[v for s in x.shape[2:] for v in (s, 1)])
    blocks = [v for s, k in zip(x.shape[2:], times, strict=True) for v in (s, k)]
    wide = [s * k for s, k in zip(x.shape[2:], times, strict=True)]
    whole: Any = np.broadcast_to(apart, (*x.shape[:2], *blocks)).reshape(*x.shape[:2], *wide)
    if tuple(wide) == tuple(size):
        return whole
    out: Any = zeros(x, (*x.shape[:2], *size))
    cut = tuple(slice(0, min(w, s)) for w, s in zip(wide, size, strict=True))
    out[(..., *cut)] = whole[(..., *cut)]
    return out


def _spread_rule(g: Meta, shape: Ints, *how: Any) -> Plan:
    if g.dtype.kind != "f":
        raise unsupported("avg_pool_backward", g.dtype)
    strides = suggested_strides(shape, g.shape, g.strides)
    return Plan(g.like(shape=shape, strides=strides), compute=opmath(g.dtype))


avg_pool = Op(
    "avg_pool",
    kind="window",
    attrs=("kernel", "stride", "padding", "ceil_mode", "count_include_pad", "divisor"),
    rule=_avg_rule,
    kernel=_avg_pool,
    grads=(
        lambda o, g, _x, _y, kernel, stride, padding, ceil_mode, include, divisor: o.avg_spread(
            g, tuple(_x.shape), kernel, stride, padding, include, divisor, ceil_mode
        ),
    ),
    node=lambda metas, attrs: f"AvgPool{len(attrs[0])}DBackward0",
)
avg_spread = Op(
    "avg_spread",
    kind="window",
    inputs=("grad_output",),
    attrs=("shape", "kernel", "stride", "padding", "count_include_pad", "divisor", "ceil_mode"),
    rule=_spread_rule,
    kernel=lambda g, shape, kernel, stride, padding, include, divisor, ceil_mode: _avg_spread(
        g, shape, kernel, stride, padding, include, divisor
    ),
    grads=(
        lambda o, g, _g, _y, shape, kernel, stride, padding, include, divisor, ceil_mode: (
            o.avg_pool(g, kernel, stride, padding, ceil_mode, include, divisor)
        ),
    ),
)

# Adaptive: window i of n over a size s runs from floor(i s / n) to ceil((i + 1) s / n)


def _bins(size: int, n: int) -> list[tuple[int, int]]:
    return [(i * size // n, -(-(i + 1) * size // n)) for i in range(n)]


def _adaptive_rule(m: Meta, sizes: Ints) -> Plan:
    shape = (*m.shape[:2], *sizes)
    strides = suggested_strides(shape, m.shape, m.strides)
    return Plan(meta(shape, m.dtype, strides, m.device), compute=opmath(m.dtype))


def _adaptive_avg(x: Any, sizes: Ints) -> Any:
    """One axis after the other: means of means over equal windows."""
    if x.size and all(n and s % n == 0 for s, n in zip(x.shape[2:], sizes, strict=True)):
        split = [v for s, n in zip(x.shape[2:], sizes, strict=True) for v in (n, s // n)]
        axes = tuple(range(3, 3 + 2 * len(sizes), 2))
        if all(n == 1 for n in sizes):  # global pooling: long sums
            split, axes = [math.prod(x.shape[2:])], (2,)
        total = x.reshape(*x.shape[:2], *split).sum(axes, dtype=x.dtype)
        windows = math.prod(x.shape[2:]) // math.prod(sizes)
        return (total / x.dtype.type(windows)).reshape(*x.shape[:2], *sizes)
    for d, n in enumerate(sizes):
        axis = d + 2
        parts = [
            x[(slice(None),) * axis + (slice(a, b),)].mean(axis, keepdims=True, dtype=x.dtype)
            for a, b in _bins(x.shape[axis], n)
        ]
        x = np.concatenate(parts, axis) if parts else x[(slice(None),) * axis + (slice(0, 0),)]
    return x


def _adaptive_spread(g: Any, shape: Ints) -> Any:
    for d in range(len(shape) - 2):
        axis = d + 2
        lead = (slice(None),) * axis
        times, rest = divmod(shape[axis], max(g.shape[axis], 1))
        if rest == 0:
            g = np.repeat(g / g.dtype.type(max(times, 1)), times, axis)
            continue
        out = zeros(g, (*g.shape[:axis], shape[axis], *g.shape[axis + 1 :]))
        for i, (a, b) in enumerate(_bins(shape[axis], g.shape[axis])):
            out[(*lead, slice(a, b))] += g[(*lead, slice(i, i + 1))] / g.dtype.type(b - a)
        g = out
    return g


adaptive_avg_pool = Op(
    "adaptive_avg_pool",
    kind="window",
    attrs=("output_size",),
    rule=_adaptive_rule,
    kernel=_adaptive_avg,
    grads=(lambda o, g, _x: o.adaptive_avg_spread(g, tuple(_x.shape)),),
    node=lambda metas, attrs: (
        "MeanBackward1"
        if len(attrs[0]) == 2 and all(n == 1 for n in attrs[0])
        else f"AdaptiveAvgPool{len(attrs[0])}DBackward0"
    ),
)
adaptive_avg_spread = Op(
    "adaptive_avg_spread",
    kind="window",
    inputs=("grad_output",),
    attrs=("shape",),
    rule=_spread_rule,
    kernel=_adaptive_spread,
    grads=(lambda o, g, _g: o.adaptive_avg_pool(g, tuple(_g.shape[2:])),),
)


def _adaptive_max_rule(m: Meta, sizes: Ints) -> Plan:
    if m.dtype.is_complex:
        name = "adaptive_max_pool3d_cpu" if len(sizes) == 3 else "adaptive_max_pool2d"
        raise unsupported(name, m.dtype)
    shape = (*m.shape[:2], *sizes)
    strides = suggested_strides(shape, m.shape, m.strides)
    return Plan(
        [meta(shape, m.dtype, strides, m.device), meta(shape, dtypes.int64, strides, m.device)]
    )


def _adaptive_max(x: Any, sizes: Ints) -> Any:
    values = np.empty((*x.shape[:2], *sizes), x.dtype)
    indices = np.empty(values.shape, np.int64)
    plane = np.arange(int(np.prod(x.shape[2:], dtype=np.int64))).reshape(x.shape[2:])
    bins = [_bins(s, n) for s, n in zip(x.shape[2:], sizes, strict=True)]
    for at in np.ndindex(*sizes):
        window = tuple(slice(*bins[d][i]) for d, i in enumerate(at))
        flat = x[(..., *window)].reshape(*x.shape[:2], -1)
        best = flat.argmax(-1)
        values[(..., *at)] = np.take_along_axis(flat, best[..., None], -1)[..., 0]
        indices[(..., *at)] = plane[window].reshape(-1)[best]
    return values, indices


adaptive_max_pool = Op(
    "adaptive_max_pool",
    kind="window",
    attrs=("output_size",),
    rule=_adaptive_max_rule,
    kernel=_adaptive_max,
    whole="a loop over windows of different sizes",
    backward=_max_backward,
    keeps_outputs=(1,),
    node=lambda metas, attrs: f"AdaptiveMaxPool{len(attrs[0])}DBackward0",
)
