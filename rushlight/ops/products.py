"""The cross product and block-diagonal matrices."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.ir.meta import Meta
from rushlight.ir.op import Op, Plan
from rushlight.ir.shapes import broadcast, wrap_dim
from rushlight.ops.build import combined_dtype, opmath, unsupported
from rushlight.ops.readable import zeros


def _cross_rule(a: Meta, b: Meta, dim: int) -> Plan:
    if a.ndim != b.ndim:
        raise RuntimeError("linalg.cross: inputs must have the same number of dimensions.")
    d = wrap_dim(dim, a.ndim)
    if a.shape[d] != 3 or b.shape[d] != 3:
        raise RuntimeError(
            f"linalg.cross: inputs dimension {dim} must have length 3. Got {a.shape[d]} and "
            f"{b.shape[d]}"
        )
    dt = combined_dtype((a, b))
    if dt.kind == "b":
        raise unsupported("cross", dt)
    return Plan(a.like(shape=broadcast(a.shape, b.shape), dtype=dt), compute=opmath(dt))


def _cross(a: Any, b: Any, dim: int) -> Any:
    """c_i = a_(i+1) b_(i+2) - a_(i+2) b_(i+1), indices modulo 3."""
    a, b = np.broadcast_arrays(a, b)
    d = wrap_dim(dim, a.ndim)
    one, two = [1, 2, 0], [2, 0, 1]
    a1, a2 = np.take(a, one, d), np.take(a, two, d)
    b1, b2 = np.take(b, one, d), np.take(b, two, d)
    return a1 * b2 - a2 * b1


linalg_cross = Op(
    "linalg_cross",
    kind="indexing",
    inputs=("input", "other"),
    attrs=("dim",),
    defaults=(-1,),
    rule=_cross_rule,
    kernel=_cross,
    grads=(
        lambda o, g, _a, b, _y, dim: o.sum_to(o.linalg_cross(o.conj(b), g, dim), _a.shape),
        lambda o, g, a, _b, _y, dim: o.sum_to(o.linalg_cross(g, o.conj(a), dim), _b.shape),
    ),
    samples=lambda make: [((make(3), make(3)), (-1,)), ((make(2, 3), make(1, 3)), (1,))],
)


def _sides(m: Any) -> tuple[int, int]:
    """Rows and columns of a matrix, a vector as a row, a number as 1 x 1."""
    return (1,) * (2 - len(m.shape)) + tuple(m.shape)


def _block_diag_rule(*metas: Meta) -> Plan:
    for i, m in enumerate(metas):
        if m.ndim > 2:
            raise RuntimeError(
                f"torch.block_diag: Input tensors must have 2 or fewer dimensions. Input {i} has "
                f"{m.ndim} dimensions"
            )
    shape = tuple(sum(_sides(m)[k] for m in metas) for k in (0, 1))
    return Plan(metas[0].like(shape=shape, dtype=combined_dtype(metas)))


def _block_diag(*arrays: Any) -> Any:
    shape = tuple(sum(_sides(a)[k] for a in arrays) for k in (0, 1))
    out = zeros(arrays[0], shape, np.result_type(*[a.dtype for a in arrays]))
    row = column = 0
    for a in arrays:
        h, w = _sides(a)
        out[row : row + h, column : column + w] = a
        row, column = row + h, column + w
    return out


def _block_diag_backward(o: Any, needs: Any, g: Any, inputs: Any, outputs: Any) -> Any:
    """Each block's part of the gradient."""
    grads = []
    row = column = 0
    for need, m in zip(needs, inputs, strict=True):
        h, w = _sides(m)
        part = None
        if need:
            part = o.slice(o.slice(g, 0, row, row + h, 1), 1, column, column + w, 1)
            part = o.to(o.reshape(part, m.shape), m.dtype)
        grads.append(part)
        row, column = row + h, column + w
    return grads


block_diag = Op(
    "block_diag",
    kind="indexing",
    inputs=("*tensors",),
    rule=_block_diag_rule,
    kernel=_block_diag,
    backward=_block_diag_backward,
    samples=lambda make: [((make(2, 3), make(3), make()), ())],
)
