"""Triangles and diagonals of matrices: triu, tril, trace, diag_embed and the indices of triangles.

Matrices are the last two dimensions; what comes before them is a batch.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.ir.meta import Meta, meta
from rushlight.ir.op import Op, Plan
from rushlight.ir.shapes import wrap_dim
from rushlight.ops.readable import zeros


def _triangle(name: str, kernel: Any, grad: Any) -> Op:
    def rule(m: Meta, diagonal: int) -> Plan:
        if m.ndim < 2:
            raise RuntimeError(f"{name}: input tensor must have at least 2 dimensions")
        return Plan(m.like())

    return Op(
        name,
        kind="indexing",
        attrs=("diagonal",),
        defaults=(0,),
        rule=rule,
        kernel=kernel,
        grads=(grad,),
        samples=lambda make: [
            ((make(3, 4),), (0,)),
            ((make(4, 3),), (-1,)),
            ((make(2, 3, 3),), (1,)),
        ],
    )


def _keep(inside: Any) -> Any:
    def kernel(x: Any, diagonal: int) -> Any:
        rows = np.arange(x.shape[-2])[:, None]
        columns = np.arange(x.shape[-1])
        return np.where(inside(columns - rows, diagonal), x, x.dtype.type(0))

    return kernel


triu = _triangle(
    "triu",
    _keep(lambda above, diagonal: above >= diagonal),
    lambda o, g, _x, _y, diagonal: o.triu(g, diagonal),
)
tril = _triangle(
    "tril",
    _keep(lambda above, diagonal: above <= diagonal),
    lambda o, g, _x, _y, diagonal: o.tril(g, diagonal),
)


def _trace_rule(m: Meta) -> Plan:
    if m.ndim != 2:
        raise RuntimeError(f"trace: expected a matrix, but got tensor with dim {m.ndim}")
    return Plan(meta((), dtypes.int64 if m.dtype.is_integral else m.dtype, None, m.device))


def _trace_backward(o: Any, g: Any, _x: Meta) -> Any:
    """d trace / dX = I."""
    eye = o.eye(*_x.shape, g._meta.dtype, g._meta.device)
    return g * eye


trace = Op(
    "trace",
    kind="reduce",
    rule=_trace_rule,
    kernel=lambda x: np.trace(x, dtype=np.int64 if x.dtype.kind in "bui" else x.dtype),
    grads=(_trace_backward,),
    samples=lambda make: [((make(3, 3),), ()), ((make(2, 4),), ())],
)


def _embed_dims(m: Meta, offset: int, dim1: int, dim2: int) -> tuple[int, int, int]:
    """The two new dimensions and their size."""
    a, b = wrap_dim(dim1, m.ndim + 1), wrap_dim(dim2, m.ndim + 1)
    if a == b:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    return a, b, m.shape[-1] + abs(offset)


def _diag_embed_rule(m: Meta, offset: int, dim1: int, dim2: int) -> Plan:
    a, b, size = _embed_dims(m, offset, dim1, dim2)
    shape = list(m.shape[:-1])
    for d in sorted((a, b)):
        shape.insert(d, size)
    return Plan(m.like(shape=tuple(shape)))


def _diag_embed(x: Any, offset: int, dim1: int, dim2: int) -> Any:
    n = x.shape[-1]
    size = n + abs(offset)
    out = zeros(x, (*x.shape[:-1], size, size))
    at = np.arange(n)
    out[..., at - min(offset, 0), at + max(offset, 0)] = x
    return np.moveaxis(out, (-2, -1), (dim1, dim2))


diag_embed = Op(
    "diag_embed",
    kind="indexing",
    attrs=("offset", "dim1", "dim2"),
    defaults=(0, -2, -1),
    rule=_diag_embed_rule,
    kernel=_diag_embed,
    grads=(lambda o, g, _x, _y, offset, dim1, dim2: o.diagonal(g, offset, dim1, dim2),),
    samples=lambda make: [
        ((make(3),), (0, -2, -1)),
        ((make(2, 3),), (1, 0, 2)),
        ((make(2, 3),), (-2, -1, 0)),
    ],
)


def _indices(name: str, inside: Any) -> Op:
    """The (row, column) pairs of a triangle, row after row, as the two rows of a matrix."""

    def positions(row: int, col: int, offset: int) -> Any:
        rows, columns = np.indices((row, col))
        return np.stack(np.nonzero(inside(columns - rows, offset)))

    def rule(row: int, col: int, offset: int, dtype: Any, device: Any) -> Meta:
        for what, value in (("row", row), ("col", col)):
            if value < 0:
                raise RuntimeError(f"{what} must be non-negative, got{value}")
        return meta((2, positions(row, col, offset).shape[1]), dtype, None, device)

    return Op(
        name,
        kind="create",
        inputs=(),
        attrs=("row", "col", "offset", "dtype", "device"),
        rule=rule,
        kernel=lambda out, row, col, offset, dtype, device: positions(row, col, offset),
    )


tril_indices = _indices("tril_indices", lambda above, offset: above <= offset)
triu_indices = _indices("triu_indices", lambda above, offset: above >= offset)
