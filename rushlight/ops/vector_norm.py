"""Norms of vectors and distances between rows: linalg.vector_norm, cdist.

Sums are taken in the computing dtype (float32 for halves).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rushlight.ir.meta import Meta, meta
from rushlight.ir.op import Op, Plan
from rushlight.ir.shapes import dim_list, reduced
from rushlight.ops.build import opmath


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
    options = {"axis": dim_list(dim, x.ndim) if x.ndim else (), "keepdims": keepdim}
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
