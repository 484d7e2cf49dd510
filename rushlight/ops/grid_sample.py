"""Sampling images and volumes at given places, and the gradients.

Shapes: input (N, C, *size); grid (N, *out, n) with n coordinates in [-1, 1], the last dimension's
(x) first; output (N, C, *out).  Source: Jaderberg et al. 2015.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from rushlight.ir.meta import Meta, meta
from rushlight.ir.op import Op, Plan
from rushlight.ir.strides import suggested_strides
from rushlight.ops.build import no_derivative, opmath, unsupported
from rushlight.ops.readable import sums_at, zeros

_A = -0.75  # of Keys' cubic


def _unnormalised(x: Any, size: int, align: bool) -> tuple[Any, float]:
    """Coordinates in [-1, 1] as element positions, and the derivative."""
    if align:
        return (x + 1) / 2 * (size - 1), (size - 1) / 2
    return ((x + 1) * size - 1) / 2, size / 2


def _reflected(x: Any, low: float, high: float) -> tuple[Any, Any]:
    """Coordinates mirrored into [low, high], and the derivative."""
    if low == high:
        return np.zeros_like(x), np.zeros_like(x)
    span = high - low
    away = np.abs(x - low)
    turns = np.floor(away / span)
    rest = away - turns * span
    odd = turns % 2 == 1
    sign = np.where(x < low, -1, 1) * np.where(odd, -1, 1)
    return np.where(odd, span - rest + low, rest + low), sign.astype(x.dtype)


def _kept_inside(x: Any, size: int, padding: str, align: bool) -> tuple[Any, Any]:
    """Positions after the padding mode, and the derivative."""
    slope: Any = np.ones_like(x)
    if padding == "reflection":
        x, slope = _reflected(x, *((0.0, size - 1.0) if align else (-0.5, size - 0.5)))
    if padding != "zeros":
        slope = np.where((x > 0) & (x < size - 1), slope, 0)
        x = np.clip(np.where(np.isnan(x), 0, x), 0, size - 1)
    return x, slope


def _axis_taps(
    x: Any, size: int, mode: str, padding: str, align: bool
) -> list[tuple[Any, Any, Any, Any, Any]]:
    """Along one axis, of each tap: (index, inside, weight, and the weight's first and second
    derivatives by the grid)."""
    place, factor = _unnormalised(x, size, align)
    if mode != "bicubic":
        place, slope = _kept_inside(place, size, padding, align)
        slope = slope * x.dtype.type(factor)
    if mode == "nearest":
        place = np.rint(place)
        index = _index(place, size)
        none = np.zeros_like(x)
        return [(index, _inside(place, size), np.ones_like(x), none, none)]
    low = np.floor(place)
    part = place - low
    if mode == "bilinear":
        found = ((low, 1 - part, -slope), (low + 1, part, slope))
        none = np.zeros_like(x)
        return [(_index(p, size), _inside(p, size), w, d, none) for p, w, d in found]
    taps = []
    scale = x.dtype.type(factor)
    cubics = zip(_cubic(part), _cubic_slope(part), _cubic_curve(part), strict=True)
    for offset, (weight, slope, curve) in zip(range(-1, 3), cubics, strict=True):
        p = low + offset
        if padding != "zeros":
            p, _ = _kept_inside(p, size, padding, align)
        bends = (slope * scale, curve * scale * scale)
        taps.append((_index(p, size), _inside(p, size), weight, *bends))
    return taps


def _index(place: Any, size: int) -> Any:
    return np.clip(np.where(np.isnan(place), -1, place), 0, max(size - 1, 0)).astype(np.int64)


def _inside(place: Any, size: int) -> Any:
    return (place >= 0) & (place < size)


def _cubic(t: Any) -> list[Any]:
    def near(x: Any) -> Any:
        return ((_A + 2) * x - (_A + 3)) * x * x + 1

    def far(x: Any) -> Any:
        return ((_A * x - 5 * _A) * x + 8 * _A) * x - 4 * _A

    return [far(t + 1), near(t), near(1 - t), far(2 - t)]


def _cubic_slope(t: Any) -> list[Any]:
    def near(x: Any) -> Any:
        return (3 * (_A + 2) * x - 2 * (_A + 3)) * x

    def far(x: Any) -> Any:
        return (3 * _A * x - 10 * _A) * x + 8 * _A

    return [far(t + 1), near(t), -near(1 - t), -far(2 - t)]


def _cubic_curve(t: Any) -> list[Any]:
    def near(x: Any) -> Any:
        return 6 * (_A + 2) * x - 2 * (_A + 3)

    def far(x: Any) -> Any:
        return 6 * _A * x - 10 * _A

    return [far(t + 1), near(t), near(1 - t), far(2 - t)]


def _combinations(
    grid: Any, size: Any, mode: str, padding: str, align: bool
) -> Iterator[tuple[Any, Any, list[tuple[Any, Any, Any]]]]:
    """Every combination of taps: (flat index, inside, [(weight, slope, curve) of each axis]).

    All arrays are (N, places).
    """
    n = grid.shape[-1]
    flat = grid.reshape(grid.shape[0], -1, n)
    axes = [_axis_taps(flat[..., n - 1 - d], size[d], mode, padding, align) for d in range(n)]
    for taps in itertools.product(*axes):
        index: Any = 0
        inside: Any = True
        for (at, ok, *_), extent in zip(taps, size, strict=True):
            index = index * extent + at
            inside = inside & ok
        yield index, inside, [tap[2:] for tap in taps]


def _product(factors: list[Any]) -> Any:
    total = factors[0]
    for f in factors[1:]:
        total = total * f
    return total


def _sample(x: Any, grid: Any, mode: str, padding: str, align: bool) -> Any:
    planes = x.reshape(*x.shape[:2], -1)
    out: Any = 0
    for index, inside, weights in _combinations(grid, x.shape[2:], mode, padding, align):
        values = np.take_along_axis(planes, index[:, None], 2)
        weight = np.where(inside, _product([w for w, *_ in weights]), 0)
        out = out + np.where(inside[:, None], values, 0) * weight[:, None]
    return out.astype(x.dtype, copy=False).reshape(*x.shape[:2], *grid.shape[1:-1])


def _sample_backward(g: Any, x: Any, grid: Any, mode: str, padding: str, align: bool) -> Any:
    """Back to the elements, by their weights, and to the grid, by the weights' derivatives."""
    n, c = x.shape[:2]
    room = int(np.prod(x.shape[2:], dtype=np.int64))
    planes = x.reshape(n, c, -1)
    rows = g.reshape(n, c, -1)
    dx = zeros(x, n * c * room)
    dims = grid.shape[-1]
    dgrid = zeros(x, (n, rows.shape[2], dims))
    base = (np.arange(n * c) * room).reshape(n, c, 1)
    for index, inside, weights in _combinations(grid, x.shape[2:], mode, padding, align):
        weight = np.where(inside, _product([w for w, *_ in weights]), 0)
        dx += sums_at(
            (base + index[:, None]).reshape(-1), (rows * weight[:, None]).reshape(-1), dx.size
        ).astype(x.dtype)
        if mode == "nearest":
            continue
        along = np.where(inside, (rows * np.take_along_axis(planes, index[:, None], 2)).sum(1), 0)
        for d in range(dims):
            dgrid[..., dims - 1 - d] += along * _derivative(weights, d)
    return dx.reshape(x.shape), dgrid.reshape(grid.shape)


def _derivative(weights: list[tuple[Any, Any, Any]], *axes: int) -> Any:
    """A tap's weight, derived by the grid along these axes."""
    return _product([w[axes.count(i)] for i, w in enumerate(weights)])


def _sample_twice(
    a: Any, b: Any, g: Any, x: Any, grid: Any, mode: str, padding: str, align: bool
) -> Any:
    """Back through the backward pass.

    With W the weight of a tap and y its element of x, that pass gave sum g W at y and sum g W' y at
    the grid. Given gradients a and b of these: to g goes W a + b W' y, to the element g b W', to
    the grid g a W' + g b W'' y.
    """
    n, c = x.shape[:2]
    room = int(np.prod(x.shape[2:], dtype=np.int64))
    planes, given = x.reshape(n, c, -1), a.reshape(n, c, -1)
    rows = g.reshape(n, c, -1)
    dims = grid.shape[-1]
    along = b.reshape(n, -1, dims)[..., ::-1]  # (N, places, axes), as the image's axes lie
    dg, dx = np.zeros_like(rows), zeros(x, n * c * room)
    dgrid = zeros(x, (n, rows.shape[2], dims))
    base = (np.arange(n * c) * room).reshape(n, c, 1)
    for index, inside, weights in _combinations(grid, x.shape[2:], mode, padding, align):
        y = np.where(inside[:, None], np.take_along_axis(planes, index[:, None], 2), 0)
        at = np.where(inside[:, None], np.take_along_axis(given, index[:, None], 2), 0)
        moved = sum(along[..., d] * _derivative(weights, d) for d in range(dims))
        dg += at * _product([w for w, *_ in weights])[:, None] + y * moved[:, None]
        spread = rows * np.where(inside, moved, 0)[:, None]
        dx += sums_at((base + index[:, None]).reshape(-1), spread.reshape(-1), dx.size).astype(
            x.dtype
        )
        ga, gy = (rows * at).sum(1), (rows * y).sum(1)
        for d in range(dims):
            bent = sum(along[..., e] * _derivative(weights, d, e) for e in range(dims))
            dgrid[..., dims - 1 - d] += ga * _derivative(weights, d) + gy * bent
    return dg.reshape(g.shape), dx.reshape(x.shape), dgrid.reshape(grid.shape)


def _rule(x: Meta, grid: Meta, mode: str, padding: str, align: bool) -> Plan:
    n = x.ndim - 2
    if x.dtype is not grid.dtype:
        raise RuntimeError(
            "grid_sampler(): expected input and grid to have same dtype, but input has "
            f"{_scalar(x)} and grid has {_scalar(grid)}"
        )
    if x.ndim not in (4, 5) or x.ndim != grid.ndim:
        raise RuntimeError(
            "grid_sampler(): expected 4D or 5D input and grid with same number of dimensions, but "
            f"got input with sizes {list(x.shape)} and grid with sizes {list(grid.shape)}"
        )
    if x.shape[0] != grid.shape[0]:
        raise RuntimeError(
            "grid_sampler(): expected grid and input to have same batch size, but got input with "
            f"sizes {list(x.shape)} and grid with sizes {list(grid.shape)}"
        )
    if grid.shape[-1] != n:
        raise RuntimeError(
            f"grid_sampler(): expected grid to have size {n} in last dimension, but got grid with "
            f"sizes {list(grid.shape)}"
        )
    for d in range(2, x.ndim):
        if x.shape[d] == 0:
            raise RuntimeError(
                "grid_sampler(): expected input to have non-empty spatial dimensions, but input "
                "has "
                f"sizes {list(x.shape)} with dimension {d} being empty"
            )
    if n == 3 and mode == "bicubic":
        raise RuntimeError("grid_sampler(): bicubic interpolation only supports 4D input")
    if x.dtype.kind != "f":
        raise NotImplementedError(
            f"\"grid_sampler_{n}d_cpu\" not implemented for '{x.dtype.title}'"
        )
    shape = (*x.shape[:2], *grid.shape[1:-1])
    return Plan(meta(shape, x.dtype, None, x.device), compute=opmath(x.dtype))


def _scalar(m: Meta) -> str:
    return f"torch.{m.dtype.name}"


def _backward_rule(g: Meta, x: Meta, grid: Meta, *how: Any) -> Plan:
    if x.dtype.kind != "f":
        raise unsupported("grid_sampler_backward_cpu", x.dtype)
    dx = x.like(strides=suggested_strides(x.shape, x.shape, x.strides))
    dgrid = meta(tuple(grid.shape), grid.dtype, None, grid.device)
    return Plan([dx, dgrid], compute=opmath(x.dtype))


def _double_backward_rule(a: Meta, b: Meta, g: Meta, x: Meta, grid: Meta, *how: Any) -> Plan:
    if x.dtype.kind != "f":
        raise unsupported("grid_sampler_double_backward_cpu", x.dtype)
    outs = [meta(tuple(m.shape), m.dtype, None, m.device) for m in (g, x, grid)]
    return Plan(outs, compute=opmath(x.dtype))


def _backward(o: Any, needs: Any, g: Any, inputs: Any, outputs: Any, *how: Any) -> Any:
    return o.grid_sample_backward(g, *inputs, *how)


grid_sample = Op(
    "grid_sample",
    kind="indexing",
    inputs=("input", "grid"),
    attrs=("mode", "padding_mode", "align_corners"),
    rule=_rule,
    kernel=_sample,
    backward=_backward,
    keeps_inputs=(0, 1),
    node=lambda metas, attrs: f"GridSampler{metas[0].ndim - 2}DBackward0",
)
grid_sample_backward = Op(
    "grid_sample_backward",
    kind="indexing",
    inputs=("grad_output", "input", "grid"),
    attrs=("mode", "padding_mode", "align_corners"),
    rule=_backward_rule,
    kernel=_sample_backward,
    backward=lambda o, needs, g, inputs, outputs, *how: o.grid_sample_double_backward(
        *g, *inputs, *how
    ),
    keeps_inputs=(0, 1, 2),
)
grid_sample_double_backward = Op(
    "grid_sample_double_backward",
    kind="indexing",
    inputs=("a", "b", "grad_output", "input", "grid"),
    attrs=("mode", "padding_mode", "align_corners"),
    rule=_double_backward_rule,
    kernel=_sample_twice,
    grads=(no_derivative("grid_sampler_double_backward"),) * 5,
)
