"""Norms of vectors and distances between rows: linalg.vector_norm, cdist.

Sums are taken in the computing dtype (float32 for halves).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rushlight.ir.meta import Meta, meta
from rushlight.ir.op import Op, Plan
from rushlight.ir.shapes import broadcast, dim_list, reduced, wrap_dim
from rushlight.ops.build import combined_dtype, opmath


def _count(shape: Any, dims: Any) -> int:
    return math.prod([shape[d] for d in dims]) if shape else 1


def _norm_rule(m: Meta, ord: float, dim: Any, keepdim: bool, dtype: Any) -> Plan:
    dt = dtype or m.dtype
    if not (m.dtype.is_floating_point or m.dtype.is_complex):
        raise RuntimeError(
            "linalg.vector_norm: Expected a floating point or complex tensor as input. Got "
            f"{m.dtype.title}"
        )
    if dtype is not None:
        _check_dtype("linalg.vector_norm", m, dtype)
    dims = dim_list(dim, m.ndim)
    if (ord < 0 or ord == math.inf) and m.numel == 0:
        name = "inf" if ord == math.inf else "-inf" if ord == -math.inf else f"{ord:g}"
        if dim is None or not m.ndim:
            raise RuntimeError(
                f"linalg.vector_norm cannot compute the {name} norm on an empty tensor because the "
                "operation does not have an identity"
            )
        for d in dims:
            if m.shape[d] == 0:
                raise RuntimeError(
                    f"linalg.vector_norm cannot compute the {name} norm on the dimension {d} "
                    "because this dimension is empty and the operation does not have an identity"
                )
    shape = reduced(m.shape, dims, keepdim)
    return Plan(meta(shape, dt.to_real(), None, m.device), compute=opmath(dt))


def _check_dtype(name: str, m: Meta, dtype: Any) -> None:
    """Whether a norm can be computed in another dtype: as wide or wider, of the same kind."""
    if not (dtype.is_floating_point or dtype.is_complex):
        raise RuntimeError(f"{name}: dtype should be floating point or complex. Got {dtype.title}")
    if m.dtype.is_complex != dtype.is_complex:
        kind, expected = ("complex", "complex") if m.dtype.is_complex else ("real", "real")
        raise RuntimeError(
            f"{name}: dtype should be {expected} for {kind} inputs, but got {dtype.title}"
        )
    if dtype.itemsize < m.dtype.itemsize:
        raise RuntimeError(
            f"{name}: the dtype of the input ({m.dtype.title}) should be convertible without "
            f"narrowing to the specified dtype ({dtype.title})"
        )


def _norm(x: Any, ord: float, dim: Any, keepdim: bool, dtype: Any) -> Any:
    options: dict[str, Any] = {"axis": dim_list(dim, x.ndim) if x.ndim else (), "keepdims": keepdim}
    if ord == 2 and x.dtype.kind != "c":
        return np.sqrt(np.sum(x * x, **options))
    size = np.abs(x)
    if ord == math.inf:
        return np.max(size, initial=0, **options)
    if ord == -math.inf:
        return np.min(size, **options)
    if ord == 0:
        return np.sum(size != 0, dtype=size.dtype, **options)
    if ord == 1:
        return np.sum(size, **options)
    if ord == 2:
        return np.sqrt(np.sum(size * size, **options))
    kind = size.dtype.type
    return np.sum(size ** kind(ord), **options) ** kind(1 / ord)


def _norm_grad(
    o: Any, g: Any, x: Any, y: Any, ord: float, dim: Any, keepdim: bool, dtype: Any
) -> Any:
    """d |x|_p / dx = sgn(x) |x|^(p-1) / |x|_p^(p-1); 0 where the norm is 0."""
    m = x._meta
    if dtype is not None:
        x = o.to(x, dtype)
    dims = dim_list(dim, m.ndim)
    g, y = o.restore(g, m.shape, dims, keepdim), o.restore(y, m.shape, dims, keepdim)
    if ord == 0:
        return o.zeros_like(m)
    if ord == 1:
        found = o.sgn(x) * g
    elif ord == 2:
        found = g * o.masked_fill(x / y, y == 0, 0)
    elif ord in (math.inf, -math.inf):
        size = o.abs(x)
        best = (size == y) | ((size != size) & (y != y))
        count = o.sum(best, dims, True, None)
        found = o.sgn(x) * (g / count) * o.cast(best, g._meta.dtype)
    elif ord < 1:
        size = o.abs(x)
        scaled = o.sgn(x) * o.masked_fill(size ** (ord - 1), size == 0, 0)
        found = scaled * g * y ** (1 - ord)
    elif ord < 2:
        scaled = o.sgn(x) * o.abs(x) ** (ord - 1)
        found = scaled * o.masked_fill(g / y ** (ord - 1), y == 0, 0)
    else:
        scaled = x * o.abs(x) ** (ord - 2)
        found = scaled * o.masked_fill(g / y ** (ord - 1), y == 0, 0)
    return o.to(found, m.dtype)


vector_norm = Op(
    "linalg_vector_norm",
    kind="reduce",
    attrs=("ord", "dim", "keepdim", "dtype"),
    defaults=(2, None, False, None),
    rule=_norm_rule,
    kernel=_norm,
    grads=(_norm_grad,),
    samples=lambda make: [
        ((make(3, 4),), (ord, dim, keepdim, None))
        for ord in (0, 0.5, 1, 1.5, 2, 3, math.inf, -math.inf)
        for dim, keepdim in ((None, False), ((1,), True))
    ],
)


def _dist_rule(a: Meta, b: Meta, p: float) -> Plan:
    dt = combined_dtype((a, b))
    if not (dt.is_floating_point or dt.is_complex):
        raise RuntimeError(
            "norm(): input dtype should be either floating point or complex. Got "
            f"{dt.title} instead."
        )
    broadcast(a.shape, b.shape)
    return Plan(meta((), dt.to_real(), None, a.device), compute=opmath(dt))


def _dist_backward(o: Any, needs: Any, g: Any, inputs: Any, outputs: Any, p: float) -> Any:
    """The norm's gradient at the difference."""
    a, b = inputs
    d = _norm_grad(o, g, a - b, outputs[0], p, None, False, None)
    da = o.sum_to(d, a._meta.shape) if needs[0] else None
    return da, -o.sum_to(d, b._meta.shape) if needs[1] else None


dist = Op(
    "dist",
    kind="reduce",
    inputs=("input", "other"),
    attrs=("p",),
    defaults=(2,),
    rule=_dist_rule,
    kernel=lambda a, b, p: _norm(np.subtract(a, b), p, None, False, None),
    backward=_dist_backward,
    keeps_inputs=(0, 1),
    keeps_outputs=(0,),
    samples=lambda make: [((make(3, 4), make(4)), (p,)) for p in (1, 2, 3, math.inf)],
)


def _other_dims(ndim: int, dim: int) -> tuple[int, ...]:
    return tuple(d for d in range(ndim) if d != dim % ndim)


def _renorm_rule(x: Meta, p: float, dim: int, maxnorm: float) -> Plan:
    if p <= 0:
        raise RuntimeError("renorm: non-positive-norm not supported")
    if maxnorm < 0:
        raise RuntimeError(f"renorm: expected maxnorm to be >= 0 but got {maxnorm:g}")
    if x.ndim < 2:
        raise RuntimeError(f"renorm: input needs at least 2 dimensions, got {x.ndim} dimensions")
    wrap_dim(dim, x.ndim)
    return Plan(x.like(), compute=opmath(x.dtype))


def _renorm(x: Any, p: float, dim: int, maxnorm: float) -> Any:
    size = _norm(x, p, _other_dims(x.ndim, dim), True, None)
    kind = size.dtype.type
    return x * np.where(size > maxnorm, kind(maxnorm) / (size + kind(1e-7)), kind(1))


def _renorm_grad(o: Any, g: Any, x: Any, _y: Any, p: float, dim: int, maxnorm: float) -> Any:
    """y = m x / (|x| + 1e-7) where |x| > m: dx = m (g - |x|' sum(g x) / (|x| + 1e-7)) / (...)."""
    dims = _other_dims(x._meta.ndim, dim)
    size = o.linalg_vector_norm(x, p, dims, True, None)
    total = o.real(o.sum(o.conj(g) * x, dims, True, None))
    through = _norm_grad(o, total, x, size, p, dims, True, None)
    inverse = 1 / (size + 1e-7)
    scaled = maxnorm * inverse * (g - inverse * through)
    return o.where(size > maxnorm, scaled, g)


renorm = Op(
    "renorm",
    kind="reduce",
    attrs=("p", "dim", "maxnorm"),
    rule=_renorm_rule,
    kernel=_renorm,
    grads=(_renorm_grad,),
    samples=lambda make: [((make(3, 4),), (2.0, 0, 1.0)), ((make(3, 4),), (1.0, 1, 2.0))],
)

# Distances between all pairs of rows


def _cdist_rule(a: Meta, b: Meta, p: float, matmul: bool) -> Plan:
    for name, m in (("X1", a), ("X2", b)):
        if m.ndim < 2:
            raise RuntimeError(f"cdist only supports at least 2D tensors, {name} got: {m.ndim}D")
    if a.shape[-1] != b.shape[-1]:
        raise RuntimeError(
            f"X1 and X2 must have the same number of columns. X1: {a.shape[-1]} X2: {b.shape[-1]}"
        )
    for name, m in (("X1", a), ("X2", b)):
        if not m.dtype.is_floating_point:
            raise RuntimeError(
                f"cdist only supports floating-point dtypes, {name} got: {m.dtype.title}"
            )
    if p < 0:
        raise RuntimeError("cdist only supports non-negative p values")
    if a.dtype is not b.dtype:
        raise RuntimeError(f"expected scalar type {a.dtype.title} but found {b.dtype.title}")
    lead = broadcast(a.shape[:-2], b.shape[:-2])
    return Plan(a.like(shape=(*lead, a.shape[-2], b.shape[-2])), compute=opmath(a.dtype))


_PAIRS_AT_ONCE = 1 << 22  # elements of differences held in memory


def _cdist(a: Any, b: Any, p: float, matmul: bool) -> Any:
    if matmul:
        squares = (a * a).sum(-1)[..., :, None] + (b * b).sum(-1)[..., None, :]
        return np.sqrt(np.maximum(squares - 2 * np.matmul(a, np.swapaxes(b, -1, -2)), 0))
    rows, each = a.shape[-2], max(b.size, b.shape[-2] * b.shape[-1], 1)
    step = max(_PAIRS_AT_ONCE // each, 1)
    parts = [
        _norm(a[..., i : i + step, None, :] - b[..., None, :, :], p, (-1,), False, None)
        for i in range(0, max(rows, 1), step)
    ]
    return np.concatenate(parts, axis=-2)


def _cdist_backward(
    o: Any, needs: Any, g: Any, inputs: Any, outputs: Any, p: float, matmul: bool
) -> Any:
    """d_ij' = sgn(a_i - b_j) (|a_i - b_j| / d_ij)^(p-1); 0 where a distance is 0."""
    a, b = inputs
    diff = o.unsqueeze(a, -2) - o.unsqueeze(b, -3)
    g, d = o.unsqueeze(g, -1), o.unsqueeze(outputs[0], -1)
    size = o.abs(diff)
    if p == 0:
        slope = o.zeros_like(diff)
    elif p == 1:
        slope = o.sgn(diff) * g
    elif p == math.inf:
        slope = o.sgn(diff) * o.cast(size == d, g._meta.dtype) * g
    elif p == 2:
        slope = o.masked_fill(g / d, d == 0, 0) * diff
    else:
        ratio = o.masked_fill((size / d) ** (p - 1), (d == 0) | (size == 0), 0)
        slope = o.sgn(diff) * ratio * g
    n = slope._meta.ndim
    da = o.sum_to(o.sum(slope, (n - 2,), False, None), a._meta.shape) if needs[0] else None
    db = -o.sum_to(o.sum(slope, (n - 3,), False, None), b._meta.shape) if needs[1] else None
    return da, db


cdist = Op(
    "cdist",
    kind="reduce",
    inputs=("x1", "x2"),
    attrs=("p", "matmul"),
    defaults=(2.0, False),
    rule=_cdist_rule,
    kernel=_cdist,
    backward=_cdist_backward,
    keeps_inputs=(0, 1),
    keeps_outputs=(0,),
    samples=lambda make: [
        ((make(3, 4), make(2, 4)), (p, False)) for p in (0.5, 1.0, 1.5, 2.0, 3.0, math.inf)
    ],
)
