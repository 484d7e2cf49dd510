"""Quantiles, histograms, counts, covariance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight._tensor.api import FUNCTIONS, both, function, result_or_out
from rushlight._tensor.numpy_bridge import from_array, values_of
from rushlight._tensor.reduction import numpy_names, return_type
from rushlight.dispatch.tensor import Tensor
from rushlight.ir.shapes import wrap_dim

__all__: list[str] = []

# Quantiles


def _levels(input: Tensor, q: Any, name: str) -> Tensor:
    dt = input._meta.dtype
    if input._meta.numel == 0:
        raise RuntimeError(f"{name}() input tensor must be non-empty")
    if not isinstance(q, Tensor):
        if not 0 <= q <= 1:
            raise RuntimeError(f"{name}() q must be in the range [0, 1] but got {q:g}")
        q = FUNCTIONS["tensor"](q, dtype=dt)
    if q._meta.ndim > 1:
        raise RuntimeError(f"{name}() q must be a scalar or 1D tensor")
    if dt not in (dtypes.float32, dtypes.float64):
        raise RuntimeError(f"{name}() input tensor must be either float or double dtype")
    if q._meta.dtype is not dt:
        raise RuntimeError(f"{name}() q tensor must be same dtype as the input tensor")
    if not bool(((q >= 0) & (q <= 1)).all()):
        raise RuntimeError(f"{name}() q values must be in the range [0, 1]")
    checked: Tensor = q
    return checked


def _quantile(
    name: str, input: Tensor, q: Any, dim: Any, keepdim: bool, interpolation: str, ignore_nan: bool
) -> Any:
    q = _levels(input, q, name)
    if interpolation not in ("linear", "lower", "higher", "midpoint", "nearest"):
        raise RuntimeError(
            f"{name}() interpolation must be one of linear, lower, higher, midpoint or nearest, "
            f"but got {interpolation}"
        )
    m = input._meta
    if dim is None:
        rows, kept = input.reshape(-1), [1] * m.ndim
    else:
        d = wrap_dim(dim, m.ndim)
        kept = [1 if i == d else s for i, s in enumerate(m.shape)]
        rows = input.reshape(-1) if not m.ndim else input.movedim(d, -1)
    rows = rows.sort(-1)[0].unsqueeze(-2)  # (..., 1, n)
    levels = q.reshape(-1)
    nan = rows.isnan()
    if ignore_nan:
        ranks = levels * (~nan).sum(-1).sub(1).clamp(min=0)
    else:
        last = rows._meta.shape[-1] - 1
        ranks = FUNCTIONS["where"](nan.any(-1), float(last), levels * last)
    found = _between(rows.squeeze(-2), ranks, interpolation)
    if keepdim:
        found = (
            found.reshape([*kept, -1])
            if dim is None
            else found.unsqueeze(wrap_dim(dim, m.ndim) if m.ndim else 0)
        )
        found = found if m.ndim else found.reshape(-1)
    return found.squeeze(-1) if q._meta.ndim == 0 else found.movedim(-1, 0)


def _between(rows: Tensor, ranks: Tensor, interpolation: str) -> Any:
    """The values of sorted rows at ranks that need not be whole."""
    if interpolation in ("lower", "higher", "nearest"):
        whole = {"lower": "floor", "higher": "ceil", "nearest": "round"}[interpolation]
        return rows.gather(-1, getattr(ranks, whole)().long())
    low = ranks.floor()
    below, above = rows.gather(-1, low.long()), rows.gather(-1, ranks.ceil().long())
    weight = FUNCTIONS["full_like"](ranks, 0.5) if interpolation == "midpoint" else ranks - low
    return below.lerp(above, weight)


@both
@numpy_names
def quantile(
    input: Tensor,
    q: Any,
    dim: int | None = None,
    keepdim: bool = False,
    *,
    interpolation: str = "linear",
    out: Tensor | None = None,
) -> Any:
    """The q-quantiles over a dimension, or of all elements.

    Args:
        input: float32 or float64.
        q: a number or a vector of numbers in [0, 1]; a vector puts its dimension first.
        interpolation: between two elements: linear, lower, higher, midpoint or nearest.

    Example:
        >>> import rushlight as torch
        >>> torch.quantile(torch.tensor([0.0, 1.0, 2.0, 3.0]), 0.5)
        tensor(1.5000)
    """
    return result_or_out(_quantile("quantile", input, q, dim, keepdim, interpolation, False), out)


@both
@numpy_names
def nanquantile(
    input: Tensor,
    q: Any,
    dim: int | None = None,
    keepdim: bool = False,
    *,
    interpolation: str = "linear",
    out: Tensor | None = None,
) -> Any:
    """The quantiles of the elements that are not NaN."""
    return result_or_out(_quantile("nanquantile", input, q, dim, keepdim, interpolation, True), out)


# Histograms


def _span(array: Any, low: float, high: float, name: str) -> tuple[float, float]:
    """The outer edges: those given, or the values' own extremes."""
    if low == high and array.size:
        low, high = float(array.min()), float(array.max())
    if low == high:
        low, high = low - 1, high + 1
    if not (math.isfinite(low) and math.isfinite(high)):
        raise RuntimeError(f"{name}: range of [{low:g}, {high:g}] is not finite")
    if low > high:
        raise RuntimeError(f"{name}: max must be larger than min")
    return low, high


@both
def histc(
    input: Tensor, bins: int = 100, min: Any = 0, max: Any = 0, *, out: Tensor | None = None
) -> Any:
    """How many elements fall into each of equal bins between min and max.

    Args:
        input: a floating tensor; elements outside [min, max] are not counted.
        bins: how many bins.
        min, max: the range; that of the values if both are equal.
    """
    dt = input._meta.dtype
    if dt.is_complex:
        raise NotImplementedError(f"\"aminmax_cpu\" not implemented for '{dt.title}'")
    if not dt.is_floating_point:
        raise NotImplementedError(f"\"histogram_cpu\" not implemented for '{dt.title}'")
    if bins <= 0:
        raise RuntimeError("torch.histc: bins must be > 0")
    array = values_of(input).reshape(-1)
    low, high = _span(array, float(min), float(max), "torch.histc")
    inside = array[(array >= low) & (array <= high)]
    kind = array.dtype.type
    places = ((inside - kind(low)) * kind(bins) / (kind(high) - kind(low))).astype(np.int64)
    counts = np.bincount(np.minimum(places, bins - 1), minlength=bins)
    return result_or_out(from_array(counts.astype(array.dtype), dt), out)


def _edges(column: Any, bins: Any, limits: Any) -> Any:
    if isinstance(bins, Tensor):
        return values_of(bins)
    if limits is None:
        low, high = (float(column.min()), float(column.max())) if column.size else (0.0, 1.0)
    else:
        low, high = float(limits[0]), float(limits[1])
    if low == high:
        low, high = low - 0.5, high + 0.5
    return values_of(FUNCTIONS["linspace"](low, high, bins + 1, dtype=_kind_of(column)))


def _kind_of(array: Any) -> Any:
    return dtypes.from_numpy(array.dtype)


def _counted(points: Any, edges: Sequence[Any], weight: Any, density: bool) -> Any:
    """Counts of the (N, D) points in the boxes between the edges."""
    shape = [len(e) - 1 for e in edges]
    inside = np.ones(points.shape[0], bool)
    flat = np.zeros(points.shape[0], np.int64)
    for d, edge in enumerate(edges):
        column = points[:, d]
        inside &= (column >= edge[0]) & (column <= edge[-1])
        place = np.searchsorted(edge, column, side="right") - 1
        flat = flat * shape[d] + np.minimum(place, shape[d] - 1)
    weights = None if weight is None else weight.reshape(-1)[inside]
    counts = np.bincount(flat[inside], weights=weights, minlength=math.prod(shape))
    counts = counts.reshape(shape).astype(points.dtype)
    if density:
        volume: Any = np.ones((), points.dtype)
        for edge in edges:
            volume = np.multiply.outer(volume, np.diff(edge))
        with np.errstate(all="ignore"):
            counts = counts / counts.sum() / volume
    return counts


_HISTOGRAM = return_type("histogram", "hist bin_edges")
_HISTOGRAMDD = return_type("histogramdd", "hist bin_edges")


@both
def histogram(
    input: Tensor,
    bins: Any,
    *,
    range: Sequence[float] | None = None,
    weight: Tensor | None = None,
    density: bool = False,
    out: Any = None,
) -> Any:
    """Counts (or weights, or densities) of the elements in bins, and the bins' edges.

    Args:
        bins: how many equal bins, or a vector of edges.
        range: the outer edges; those of the values if not given.
        weight: what each element counts, of the input's shape.
        density: divide by the total and the bins' widths, so that the integral is 1.
    """
    array = values_of(input).reshape(-1)
    if weight is not None and weight._meta.shape != input._meta.shape:
        raise RuntimeError(
            "histogramdd(): if weight tensor is provided it should have the same shape as the "
            "input tensor excluding its innermost dimension"
        )
    edge = _edges(array, bins, range)
    given = None if weight is None else values_of(weight)
    dt = input._meta.dtype
    counts = _counted(array[:, None], [edge], given, density)
    return _HISTOGRAM(*result_or_out((from_array(counts, dt), from_array(edge, dt)), out))


@function
def histogramdd(
    input: Tensor,
    bins: Any,
    *,
    range: Sequence[float] | None = None,
    weight: Tensor | None = None,
    density: bool = False,
) -> Any:
    """Counts of points in boxes, and the edges along each dimension.

    Args:
        input: points, (..., D).
        bins: a number of bins for all dimensions or one for each, or a vector of edges for each.
        range: 2 D outer edges.
    """
    array = values_of(input)
    points = array.reshape(-1, array.shape[-1])
    count = points.shape[1]
    each = [bins] * count if isinstance(bins, int) else list(bins)
    if len(each) != count:
        raise RuntimeError(
            "histogramdd: The size of bins must be equal to the innermost dimension of the input."
        )
    limits = [None] * count if range is None else list(zip(range[::2], range[1::2], strict=True))
    edges = [_edges(points[:, d], each[d], limits[d]) for d in np.arange(count)]
    given = None if weight is None else values_of(weight)
    dt = input._meta.dtype
    counts = from_array(np.ascontiguousarray(_counted(points, edges, given, density)), dt)
    return _HISTOGRAMDD(counts, tuple([from_array(e, dt) for e in edges]))


@both
def bincount(input: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Any:
    """How often each whole number occurs, or the sum of its weights.

    Raises:
        RuntimeError: for an input that is not a vector of non-negative integers.
    """
    m = input._meta
    if minlength < 0:
        raise RuntimeError("minlength should be >= 0")
    if m.dtype.kind not in "ui":
        raise NotImplementedError(f"\"bincount_cpu\" not implemented for '{m.dtype.title}'")
    array = values_of(input)
    if m.ndim != 1 or (array.size and array.min() < 0):
        raise RuntimeError("bincount only supports 1-d non-negative integral inputs.")
    if weights is not None and weights._meta.shape != m.shape:
        raise RuntimeError("weights should be 1-d and have the same length as input")
    if weights is None:
        return from_array(np.bincount(array, minlength=minlength).astype(np.int64), dtypes.int64)
    dt = dtypes.float32 if weights._meta.dtype is dtypes.float32 else dtypes.float64
    made = np.bincount(array, weights=values_of(weights), minlength=minlength)
    return from_array(made.astype(dt.numpy), dt)
