"""Resizing of images, signals and volumes, and its adjoint.

Every mode is separable: along each axis an output element is a weighted sum of a few input elements
(*taps*).  ``axis_taps`` finds them; the kernels apply them axis by axis, the last axis first.
Bytes use PyTorch's (and Pillow's) fixed-point arithmetic.

Shapes: input (N, C, *size), output (N, C, *sizes).
Sources: Keys 1981 (cubic, A = -0.75, or -0.5 with antialiasing); Turkowski 1990 (Lanczos).
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

from rushlight.ir.meta import Meta, meta
from rushlight.ir.op import Op, Plan
from rushlight.ir.strides import suggested_strides
from rushlight.ops.build import opmath

Ints = tuple[int, ...]

SPAN = {"linear": 2, "cubic": 4, "lanczos": 6}  # taps of each filter at full resolution


def _ratio(size: int, out: int, align: bool, scale: float | None, kind: Any) -> Any:
    """How far output elements lie apart, in input elements, in the computing dtype."""
    if align:
        return kind(size - 1) / kind(out - 1) if out > 1 else kind(0)
    if scale is not None and scale > 0:
        return kind(1.0 / scale)
    return kind(size) / kind(out)


def nearest_places(mode: str, size: int, out: int, scale: float | None) -> Any:
    """Which input element each output element copies; computed in float32 as PyTorch does."""
    kind = np.float32
    step = _ratio(size, out, False, scale, kind)
    at = np.arange(out, dtype=kind)
    if mode == "nearest-exact":
        at = at + kind(0.5)
    return np.minimum(np.floor(at * step).astype(np.int64), size - 1)


def _cubic(x: Any, a: float) -> Any:
    x = np.abs(x)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((x - 5) * x + 8) * x * a - 4 * a
    return np.where(x < 1, near, np.where(x < 2, far, 0))


def _lanczos(x: Any) -> Any:
    return np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0)


def _filter(mode: str, x: Any, a: float) -> Any:
    if mode == "linear":
        return np.maximum(1 - np.abs(x), 0)
    return _cubic(x, a) if mode == "cubic" else _lanczos(x)


def _sharp_taps(mode: str, size: int, out: int, align: bool, step: Any, kind: Any) -> Any:
    """Taps around each sample point; those outside are moved to the border."""
    at = np.arange(out, dtype=kind)
    source = at * step if align else (at + kind(0.5)) * step - kind(0.5)
    if mode == "linear":
        source = np.maximum(source, kind(0))
    first = np.minimum(np.floor(source), size - 1)
    part = np.clip(source - first, 0, 1).astype(kind)
    half = SPAN[mode] // 2
    offsets = np.arange(1 - half, half + 1)[:, None]
    index = np.clip(first.astype(np.int64) + offsets, 0, size - 1)
    return index, _filter(mode, part - offsets.astype(kind), -0.75).astype(kind)


def _smooth_taps(mode: str, size: int, out: int, step: Any, kind: Any) -> Any:
    """Taps of a filter stretched to the output's resolution, normalised; those outside left out."""
    stretch = step if step >= 1 else kind(1)
    support = kind(SPAN[mode] * 0.5) * stretch
    centre = step * (np.arange(out, dtype=kind) + kind(0.5))
    low = np.maximum((centre - support + kind(0.5)).astype(np.int64), 0)
    high = np.minimum((centre + support + kind(0.5)).astype(np.int64), size)
    taps = np.arange(max(int((high - low).max()), 1))[:, None]
    index = low + taps
    inverse = kind(1) / stretch
    weights = _filter(mode, (index.astype(kind) - centre + kind(0.5)) * inverse, -0.5)
    weights = np.where(index < high, weights, 0).astype(kind)
    total = weights.sum(0, dtype=kind)
    return np.minimum(index, size - 1), weights / np.where(total == 0, kind(1), total)


@lru_cache(maxsize=256)
def axis_taps(
    mode: str, size: int, out: int, align: bool, scale: float | None, antialias: bool, wide: bool
) -> tuple[Any, Any]:
    """(indices, weights), both (taps, out), of one axis."""
    kind = np.float64 if wide else np.float32
    step = _ratio(size, out, align, scale, kind)
    if antialias:
        found = _smooth_taps(mode, size, out, step, kind)
    else:
        found = _sharp_taps(mode, size, out, align, step, kind)
    for array in found:
        array.setflags(write=False)
    return found  # type: ignore[no-any-return]


def _along(n: int, axis: int, values: Any) -> Any:
    """A vector lined up with one axis of n."""
    return values.reshape([-1 if d == axis else 1 for d in range(n)])


def _apply(x: Any, axis: int, index: Any, weights: Any) -> Any:
    """The weighted sum of the taps along an axis."""
    if len(index) > 4 * SPAN["cubic"]:
        matrix = _dense(index, weights, x.shape[axis], x.dtype)
        return _along_axis(x, axis, matrix)
    total = None
    for places, weight in zip(index, weights, strict=True):
        part = np.take(x, places, axis)
        part *= _along(x.ndim, axis, weight)
        if total is None:
            total = part
        else:
            total += part
    return total


def _along_axis(x: Any, axis: int, matrix: Any) -> Any:
    """A matrix (new, old) applied along an axis."""
    if axis == x.ndim - 1:
        return x @ matrix.T
    shape = x.shape
    tail = math.prod(shape[axis + 1 :])
    rows = x.reshape(math.prod(shape[:axis]), shape[axis], tail)
    return np.matmul(matrix, rows).reshape(*shape[:axis], len(matrix), *shape[axis + 1 :])


def _dense(index: Any, weights: Any, size: int, dt: Any) -> Any:
    """The taps as a matrix (out, size)."""
    matrix = np.zeros((index.shape[1], size), dt)
    np.add.at(matrix, (np.arange(index.shape[1]), index), weights)
    return matrix


def _fixed_point(x: Any, axis: int, index: Any, weights: Any) -> Any:
    """The weighted sum of bytes with 16-bit weights, rounded and kept within 0..255."""
    merged = np.zeros_like(weights)
    for k in range(len(index)):  # taps that the border moved onto one element add up first
        first = np.argmax(index == index[k], 0)
        np.add.at(merged, (first, np.arange(index.shape[1])), weights[k])
    most, bits = float(merged.max()), 0
    while bits < 22 and int(0.5 + most * (1 << (bits + 1))) < 1 << 15:
        bits += 1
    whole = np.trunc(merged * (1 << bits) + np.where(merged < 0, -0.5, 0.5)).astype(np.int32)
    total = _apply(x.astype(np.int32), axis, index, whole)
    total += 1 << (bits - 1)
    total >>= bits
    return np.clip(total, 0, 255).astype(np.uint8)


def _axes(x_size: Ints, sizes: Ints, align: bool, scales: Any) -> Any:
    """(axis, size, out, scale) of the axes that change, the last first."""
    for d in range(len(sizes) - 1, -1, -1):
        scale = scales[d] if scales else None
        same = x_size[d] == sizes[d] and (align or scale is None or scale == 1)
        if not same:
            yield d + 2, x_size[d], sizes[d], scale


def _resample(x: Any, sizes: Ints, mode: str, align: bool, scales: Any, antialias: bool) -> Any:
    for axis, size, out, scale in _axes(x.shape[2:], sizes, align, scales):
        if mode.startswith("nearest"):
            x = np.take(x, nearest_places(mode, size, out, scale), axis)
            continue
        bytes_ = x.dtype == np.uint8
        wide = bytes_ or x.dtype == np.float64
        taps = axis_taps(mode, size, out, align, scale, antialias, wide)
        x = _fixed_point(x, axis, *taps) if bytes_ else _apply(x, axis, *taps)
    return x


def _adjoint(
    g: Any, size: Ints, sizes: Ints, mode: str, align: bool, scales: Any, antialias: bool
) -> Any:
    """Each output's gradient back to its taps: a product with the transposed matrix."""
    for axis, n, out, scale in reversed(list(_axes(size, sizes, align, scales))):
        if mode.startswith("nearest"):
            index = nearest_places(mode, n, out, scale)[None]
            weights = np.ones(index.shape, g.dtype)
        else:
            wide = g.dtype == np.float64
            index, weights = axis_taps(mode, n, out, align, scale, antialias, wide)
        matrix = _dense(index, weights, n, g.dtype)
        g = _along_axis(g, axis, matrix.T)
    return g


def _node(metas: Any, attrs: Any) -> str:
    sizes, mode, _align, _scales, antialias = attrs
    n = len(sizes)
    kind = {
        "nearest": "Nearest",
        "nearest-exact": "NearestExact",
        "linear": ("Linear", "Bilinear", "Trilinear")[n - 1],
        "cubic": "Bicubic",
        "lanczos": "Lanczos",
    }[mode]
    return f"Upsample{kind}{n}D{'Aa' if antialias else ''}Backward0"


def _check_sizes(m: Meta, sizes: Ints) -> None:
    if any(s <= 0 for s in (*m.shape[2:], *sizes)):
        names = "WHD"[: len(sizes)][::-1]

        def listed(values: Any) -> str:
            return ", ".join(f"{n}: {v}" for n, v in zip(names, values, strict=True))

        raise RuntimeError(
            "Input and output sizes should be greater than 0, but got input "
            f"({listed(m.shape[2:])}) output ({listed(sizes)})"
        )


_MISSING = {
    "nearest": "compute_indices_weights_nearest",
    "nearest-exact": "compute_indices_weights_nearest",
    "linear": "compute_indices_weights_linear",
    "cubic": "compute_indices_weights_cubic",
    "lanczos": "compute_indices_weights_lanczos",
}


def _rule(m: Meta, sizes: Ints, mode: str, align: bool, scales: Any, antialias: bool) -> Plan:
    _check_sizes(m, sizes)
    if m.dtype.kind != "f" and m.dtype.name != "uint8":
        raise NotImplementedError(f"\"{_MISSING[mode]}\" not implemented for '{m.dtype.title}'")
    shape = (*m.shape[:2], *sizes)
    out = meta(shape, m.dtype, suggested_strides(shape, m.shape, m.strides), m.device)
    return Plan(out, compute=None if mode.startswith("nearest") else opmath(m.dtype))


resample = Op(
    "resample",
    kind="window",
    attrs=("sizes", "mode", "align_corners", "scales", "antialias"),
    rule=_rule,
    kernel=_resample,
    grads=(
        lambda o, g, _x, _y, sizes, mode, align, scales, antialias: o.resample_spread(
            g, tuple(_x.shape[2:]), sizes, mode, align, scales, antialias
        ),
    ),
    node=_node,
)
resample_spread = Op(
    "resample_spread",
    kind="window",
    inputs=("grad_output",),
    attrs=("size", "sizes", "mode", "align_corners", "scales", "antialias"),
    rule=lambda g, size, *how: Plan(
        g.like(
            shape=(*g.shape[:2], *size),
            strides=suggested_strides((*g.shape[:2], *size), g.shape, g.strides),
        ),
        compute=opmath(g.dtype),
    ),
    kernel=_adjoint,
    grads=(
        lambda o, g, _g, _y, size, sizes, mode, align, scales, antialias: o.resample(
            g, sizes, mode, align, scales, antialias
        ),
    ),
)
