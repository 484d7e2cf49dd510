"""L D L^T of symmetric (or Hermitian) matrices with Bunch-Kaufman pivoting, and solving with it.

D has blocks of 1 x 1 and 2 x 2.  The packed form and the pivots are LAPACK's (sytf2, lower): a
positive pivot p says that rows k and p were exchanged, two equal negative ones that rows k + 1 and
-p were and that a 2 x 2 block starts at k.  Bunch & Kaufman 1977, "Some stable methods for
calculating inertia and solving symmetric linear systems".
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.ir.meta import Meta, meta
from rushlight.ir.op import Op, Plan
from rushlight.ir.shapes import broadcast
from rushlight.ops.linalg import fortran, need_float, need_square

_ALPHA = (1 + math.sqrt(17)) / 8


def _size(x: Any) -> Any:
    """LAPACK's size of numbers: the sum of the parts' absolute values."""
    return np.abs(x.real) + np.abs(x.imag)


def _choose(a: Any, k: int) -> tuple[int, int]:
    """The row to exchange with and the size of the block at k; (k, 0) if the column is zero."""
    here = _size(a[k, k])
    if k + 1 == a.shape[0]:
        return k, int(here != 0)
    below = _size(a[k + 1 :, k])
    best = k + 1 + int(below.argmax())
    largest = below.max()
    if max(here, largest) == 0:
        return k, 0
    if here >= _ALPHA * largest:
        return k, 1
    across = _size(a[best, k:best]).max()
    if best + 1 < a.shape[0]:
        across = max(across, _size(a[best + 1 :, best]).max())
    if here >= _ALPHA * largest * (largest / across):
        return k, 1
    return best, 1 if _size(a[best, best]) >= _ALPHA * across else 2


def _exchange(a: Any, k: int, j: int, p: int, conj: Any) -> None:
    """Rows and columns j and p > j of the lower triangle, from column k on."""
    a[p + 1 :, [j, p]] = a[p + 1 :, [p, j]]
    kept = a[j + 1 : p, j].copy()
    a[j + 1 : p, j] = conj(a[p, j + 1 : p])
    a[p, j + 1 : p] = conj(kept)
    a[p, j] = conj(a[p, j])
    a[j, j], a[p, p] = a[p, p], a[j, j]
    if j != k:
        a[j, k], a[p, k] = a[p, k], a[j, k]


def _block(a: Any, k: int, conj: Any) -> Any:
    """The 2 x 2 block of D at k."""
    off = a[k + 1, k]
    return np.array([[a[k, k], conj(off)], [off, a[k + 1, k + 1]]])


def _factor_one(a: Any, conj: Any) -> tuple[Any, Any, int]:
    n = a.shape[0]
    a = np.tril(a)
    hermitian = conj is np.conj and a.dtype.kind == "c"
    diagonal = np.einsum("ii->i", a)
    if hermitian:
        diagonal.imag = 0
    pivots, info, k = np.zeros(n, np.int32), 0, 0
    while k < n:
        p, size = _choose(a, k)
        if size == 0:
            info = info or k + 1
            pivots[k], k = k + 1, k + 1
            continue
        j = k + size - 1
        if p != j:
            _exchange(a, k, j, p, conj)
        end = k + size
        left = a[end:, k:end].copy()
        d = _block(a, k, conj) if size == 2 else a[k : k + 1, k : k + 1]
        scaled = left @ np.linalg.inv(d)
        a[end:, end:] -= np.tril(scaled @ conj(left.T))
        a[end:, k:end] = scaled
        if hermitian:  # rounding must not leave the real line
            diagonal.imag = 0
        pivots[k:end] = p + 1 if size == 1 else -(p + 1)
        k = end
    return a, pivots, info


def _conj(hermitian: bool) -> Any:
    return np.conj if hermitian else (lambda x: x)


def _factor_rule(a: Meta, hermitian: bool) -> Plan:
    need_square("torch.linalg.ldl_factor_ex", a)
    need_float("torch.linalg.ldl_factor_ex", a)
    pivots = meta(a.shape[:-1], dtypes.int32, None, a.device)
    info = meta(a.shape[:-2], dtypes.int32, None, a.device)
    return Plan((fortran(a, a.shape), pivots, info))


def _factor(a: Any, hermitian: bool) -> Any:
    ld, pivots = np.zeros_like(a), np.zeros(a.shape[:-1], np.int32)
    info = np.zeros(a.shape[:-2], np.int32)
    for at in np.ndindex(a.shape[:-2]):
        ld[at], pivots[at], info[at] = _factor_one(a[at], _conj(hermitian))
    return ld, pivots, info


ldl_factor_ex = Op(
    "linalg_ldl_factor_ex",
    kind="opaque",
    attrs=("hermitian",),
    defaults=(False,),
    rule=_factor_rule,
    kernel=_factor,
    samples=lambda make: [((make(4, 4),), (False,)), ((make(2, 3, 3),), (True,))],
)


def _swap(b: Any, i: int, j: int) -> None:
    if i != j:
        b[[i, j]] = b[[j, i]]


def _solve_one(a: Any, pivots: Any, b: Any, conj: Any) -> Any:
    """L D (L^T x) = b: forward through the blocks, then back."""
    b, n, k = b.copy(), a.shape[0], 0
    while k < n:
        size = 1 if pivots[k] > 0 else 2
        end = k + size
        _swap(b, end - 1, abs(pivots[k]) - 1)
        b[end:] -= a[end:, k:end] @ b[k:end]
        d = _block(a, k, conj) if size == 2 else a[k : k + 1, k : k + 1]
        b[k:end] = np.linalg.solve(d, b[k:end])
        k = end
    end = n
    while end > 0:
        size = 1 if pivots[end - 1] > 0 else 2
        k = end - size
        b[k:end] -= conj(a[end:, k:end].T) @ b[end:]
        _swap(b, end - 1, abs(pivots[k]) - 1)
        end = k
    return b


def _solve_rule(ld: Meta, pivots: Meta, b: Meta, hermitian: bool) -> Plan:
    need_square("torch.linalg.ldl_solve", ld)
    need_float("torch.linalg.ldl_solve", ld)
    if b.ndim < 2:
        raise RuntimeError(
            "torch.linalg.ldl_solve: Expected B to have at least 2 dimensions, but it has "
            f"{b.ndim} dimensions instead"
        )
    lead = broadcast(ld.shape[:-2], b.shape[:-2])
    return Plan(fortran(b, (*lead, *b.shape[-2:])))


def _solve(ld: Any, pivots: Any, b: Any, hermitian: bool) -> Any:
    lead = np.broadcast_shapes(ld.shape[:-2], b.shape[:-2])
    ld = np.broadcast_to(ld, (*lead, *ld.shape[-2:]))
    pivots = np.broadcast_to(pivots, (*lead, pivots.shape[-1]))
    x = np.array(np.broadcast_to(b, (*lead, *b.shape[-2:])))
    for at in np.ndindex(lead):
        x[at] = _solve_one(ld[at], pivots[at], x[at], _conj(hermitian))
    return x


ldl_solve = Op(
    "linalg_ldl_solve",
    kind="opaque",
    inputs=("LD", "pivots", "B"),
    attrs=("hermitian",),
    defaults=(False,),
    rule=_solve_rule,
    kernel=_solve,
    samples=lambda make: [
        ((make(2, 2) + 3 * np.eye(2), np.array([1, 2], np.int32), make(2, 3)), (False,))
    ],
)
