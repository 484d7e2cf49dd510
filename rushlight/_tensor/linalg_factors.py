"""LU and Householder factors and what is solved with them; least squares; low-rank sketches."""

from __future__ import annotations

from typing import Any

from rushlight import dtypes
from rushlight._tensor.api import FUNCTIONS, both, function, result_or_out
from rushlight._tensor.linalg import check_info, named, pinv, solve_triangular, svdvals
from rushlight._tensor.reduction import return_type
from rushlight.dispatch.gate import call
from rushlight.dispatch.modes import no_grad
from rushlight.dispatch.namespace import o
from rushlight.dispatch.tensor import Tensor, innermost
from rushlight.ops import ldl
from rushlight.ops import linalg as records
from rushlight.ops import linalg_orthogonal as orthogonal

__all__: list[str] = []

_LU = return_type("linalg_lu", "P L U")
_LU_FACTOR = return_type("linalg_lu_factor", "LU pivots")
_LU_FACTOR_EX = return_type("linalg_lu_factor_ex", "LU pivots info")
_LU_UNPACK = return_type("lu_unpack", "P L U")
_LU_WITH_INFO = return_type("_lu_with_info", "LU pivots info")
_LDL_FACTOR = return_type("linalg_ldl_factor", "LD pivots")
_LDL_FACTOR_EX = return_type("linalg_ldl_factor_ex", "LD pivots info")
_LDL_FAILED = "torch.linalg.ldl_factor: {batch}The block of D at row {info} is singular."
_LSTSQ = return_type("linalg_lstsq", "solution residuals rank singular_values")
_GEQRF = return_type("geqrf", "a tau")
_TRIANGULAR = return_type("triangular_solve", "solution cloned_coefficient")

# LU


def _no_pivot(name: str, pivot: bool) -> None:
    if not pivot:
        raise RuntimeError(f"{name}: LU without pivoting is not implemented on the CPU")


def lu_factor_ex(
    A: Tensor, *, pivot: bool = True, check_errors: bool = False, out: Any = None
) -> Any:
    """L and U packed into one matrix, the row exchanges, and where a pivot was 0 (or 0)."""
    _no_pivot("linalg.lu_factor", pivot)
    parts = call(records.lu_factor_ex, (A,), (True,))
    if check_errors:
        _check_lu(parts[2])
    return named(_LU_FACTOR_EX, parts, out)


def _check_lu(info: Tensor) -> None:
    for i, value in enumerate(innermost(info).reshape(-1).tolist()):
        if value:
            batch = f"(Batch element {i}): " if info._meta.ndim else ""
            raise RuntimeError(
                f"torch.linalg.lu_factor: {batch}U[{value},{value}] is zero and using it on "
                "lu_solve would result in a division by zero. If you still want to perform the "
                "factorization, consider calling linalg.lu(A, pivot) or "
                "linalg.lu_factor_ex(A, pivot)"
            )


def lu_factor(A: Tensor, *, pivot: bool = True, out: Any = None) -> Any:
    """L and U of A = P L U packed into one matrix, and the row exchanges (counted from 1)."""
    _no_pivot("linalg.lu_factor", pivot)
    packed, pivots, info = call(records.lu_factor_ex, (A,), (True,))
    _check_lu(info)
    return named(_LU_FACTOR, (packed, pivots), out)


@function
def lu_unpack(
    LU_data: Tensor,
    LU_pivots: Tensor,
    unpack_data: bool = True,
    unpack_pivots: bool = True,
    *,
    out: Any = None,
) -> Any:
    """P, L and U from what ``lu_factor`` packed."""
    m, n = LU_data._meta.shape[-2:]
    empty = LU_data.new_empty(0)
    p, lower, upper = empty, empty, empty
    if unpack_pivots:
        if LU_pivots._meta.dtype is not dtypes.int32:
            raise RuntimeError(
                "torch.lu_unpack: LU_pivots is expected to be a contiguous tensor of torch.int32 "
                "dtype.\nNote: this function is intended to be used with the output produced by "
                "torch.linalg.lu_factor"
            )
        p = call(records.pivots_matrix, (LU_pivots,), (m, LU_data._meta.dtype))
    if unpack_data:
        k = min(m, n)
        left = LU_data if n == k else o.slice(LU_data, -1, 0, k, 1)
        top = LU_data if m == k else o.slice(LU_data, -2, 0, k, 1)
        lower = o.tril(left, -1) + o.eye(m, k, LU_data._meta.dtype, LU_data._meta.device)
        upper = o.triu(top, 0)
    return named(_LU_UNPACK, (p, lower, upper), out)


def linalg_lu(A: Tensor, *, pivot: bool = True, out: Any = None) -> Any:
    """The decomposition A = P L U with a permutation, a unit lower and an upper triangle."""
    _no_pivot("linalg.lu", pivot)
    packed, pivots, _ = call(records.lu_factor_ex, (A,), (True,))
    return named(_LU, lu_unpack(packed, pivots), out)


@both
def lu(A: Tensor, pivot: bool = True, get_infos: bool = False, out: Any = None) -> Any:
    """Packed L and U and the row exchanges; use ``torch.linalg.lu_factor``."""
    _no_pivot("linalg.lu_factor", pivot)
    parts = call(records.lu_factor_ex, (A,), (True,))
    if get_infos:
        return named(_LU_WITH_INFO, parts, out)
    _check_lu(parts[2])
    return result_or_out((parts[0], parts[1]), out)


def _by_columns(x: Tensor) -> Tensor:
    """The same matrices, each column by column in memory, as LAPACK leaves them."""
    return o.clone_strided(x, records.columns_first(x._meta.shape))  # type: ignore[no-any-return]


def linalg_lu_solve(
    LU: Tensor,
    pivots: Tensor,
    B: Tensor,
    *,
    left: bool = True,
    adjoint: bool = False,
    out: Any = None,
) -> Any:
    """The solution of A X = B (or X A = B; with ``adjoint`` of A^H) for a factored A."""
    a, b = LU._meta.shape, B._meta.shape
    if a[-1] != b[-2 if left else -1]:
        raise RuntimeError(
            "linalg.lu_solve: Incompatible shapes of A and B for the equation "
            f"{'AX = B' if left else 'XA = B'} ({a[-2]}x{a[-1]} and {b[-2]}x{b[-1]})"
        )
    if not left:  # X A = B: A^H X^H = B^H
        flipped = linalg_lu_solve(LU, pivots, B.mH, left=True, adjoint=not adjoint)
        return result_or_out(flipped.mH if flipped._meta.numel else flipped.mT, out)
    p, lower, upper = lu_unpack(LU, pivots)
    if adjoint:
        half = solve_triangular(upper.mH, B, upper=False)
        found = p @ solve_triangular(lower.mH, half, upper=True, unitriangular=True)
        found = _by_columns(found)
    else:
        half = solve_triangular(lower, p.mT @ B, upper=False, unitriangular=True)
        found = solve_triangular(upper, half, upper=True)
    return result_or_out(found, out)


@both
def lu_solve(input: Tensor, LU_data: Tensor, LU_pivots: Tensor, *, out: Any = None) -> Any:
    """The solution of A X = b for a factored A; use ``torch.linalg.lu_solve``."""
    return linalg_lu_solve(LU_data, LU_pivots, input, out=out)


@both
def triangular_solve(
    input: Tensor,
    A: Tensor,
    upper: bool = True,
    transpose: bool = False,
    unitriangular: bool = False,
    *,
    out: Any = None,
) -> Any:
    """The solution of A X = b for a triangular A; use ``torch.linalg.solve_triangular``."""
    matrix = A.mT if transpose else A
    found = solve_triangular(matrix, input, upper=upper != transpose, unitriangular=unitriangular)
    return named(_TRIANGULAR, (found, A.clone()), out)


# Householder reflectors


@both
def geqrf(input: Tensor, *, out: Any = None) -> Any:
    """The reflectors of a QR decomposition (below the diagonal of ``a``) and their scales."""
    return named(_GEQRF, call(orthogonal.geqrf, (input,)), out)


def _reflected(a: Tensor, tau: Tensor, target: Tensor, reverse: bool, adjoint: bool) -> Tensor:
    """Applies the reflectors I - tau v v^H, one after the other, to the rows of ``target``."""
    k = tau._meta.shape[-1]
    lower = o.tril(a, -1) + o.eye(*a._meta.shape[-2:], a._meta.dtype, a._meta.device)
    for i in range(k - 1, -1, -1) if reverse else range(k):
        v = o.slice(lower, -1, i, i + 1, 1)
        t = o.slice(tau, -1, i, i + 1, 1).unsqueeze(-1)
        target = target - (t.conj() if adjoint else t) * (v @ (v.mH @ target))
    return target


def householder_product(input: Tensor, tau: Tensor, *, out: Any = None) -> Any:
    """The first columns of the product of the reflectors that ``geqrf`` gives."""
    m = input._meta
    records.need_matrix("torch.linalg.householder_product", m, "input")
    if m.shape[-2] < m.shape[-1]:
        raise RuntimeError(
            "torch.linalg.householder_product: input.shape[-2] must be greater than or equal to "
            "input.shape[-1]"
        )
    if m.shape[-1] < tau._meta.shape[-1]:
        raise RuntimeError(
            "torch.linalg.householder_product: input.shape[-1] must be greater than or equal to "
            "tau.shape[-1]"
        )
    eye = o.expand(o.eye(*m.shape[-2:], m.dtype, m.device), tuple(m.shape))
    return result_or_out(_by_columns(_reflected(input, tau, eye, True, False)), out)


@both
def orgqr(input: Tensor, input2: Tensor) -> Any:
    """``torch.linalg.householder_product``."""
    return householder_product(input, input2)


@both
def ormqr(
    input: Tensor,
    input2: Tensor,
    input3: Tensor,
    left: bool = True,
    transpose: bool = False,
    *,
    out: Any = None,
) -> Any:
    """The product of the reflectors that ``geqrf`` gives, times a matrix."""
    tau, other = input2, input3  # PyTorch's own names
    for name, t in (("input", input), ("other", other)):
        if t._meta.ndim < 2:
            raise RuntimeError(f"torch.ormqr: {name} must have at least 2 dimensions.")
    side = -2 if left else -1
    if tau._meta.shape[-1] != min(other._meta.shape[side], input._meta.shape[-1]):
        raise RuntimeError(
            f"torch.ormqr: tau.shape[-1] must be equal to min(other.shape[{side}], input.shape[-1])"
        )
    if input._meta.shape[-2] != other._meta.shape[side]:
        raise RuntimeError(f"torch.ormqr: input.shape[-2] must be equal to other.shape[{side}]")
    if left:
        found = _reflected(input, tau, other, not transpose, transpose)
    else:  # C Q = (Q^H C^H)^H
        found = _reflected(input, tau, other.mH, transpose, not transpose).mH
    return result_or_out(_by_columns(found), out)


# L D L^T


def ldl_factor_ex(
    input: Tensor, *, hermitian: bool = False, check_errors: bool = False, out: Any = None
) -> Any:
    """The packed L and D of a symmetric A = L D L^T, the pivots, and where a block was 0 (or 0)."""
    parts = call(ldl.ldl_factor_ex, (input,), (bool(hermitian),))
    if check_errors:
        check_info(parts[2], _LDL_FAILED)
    return named(_LDL_FACTOR_EX, parts, out)


def ldl_factor(input: Tensor, *, hermitian: bool = False, out: Any = None) -> Any:
    """The packed L and D of a symmetric (or Hermitian) A = L D L^T, and the pivots.

    Raises:
        LinAlgError: D is singular.
    """
    packed, pivots, info = call(ldl.ldl_factor_ex, (input,), (bool(hermitian),))
    check_info(info, _LDL_FAILED)
    return named(_LDL_FACTOR, (packed, pivots), out)


def ldl_solve(
    LD: Tensor, pivots: Tensor, B: Tensor, *, hermitian: bool = False, out: Any = None
) -> Any:
    """The solution of A X = B for a factored A."""
    return result_or_out(call(ldl.ldl_solve, (LD, pivots, B), (bool(hermitian),)), out)


# Least squares


def lstsq(
    input: Tensor, b: Tensor, rcond: float | None = None, *, driver: str | None = None
) -> Any:
    """The X that minimises |A X - B|.

    Args:
        input: shape (..., m, n).
        b: shape (..., m, k) or (..., m).
        rcond: singular values below this times the largest count as 0.
        driver: ``gels`` (full rank), ``gelsy`` (the default), ``gelsd`` or ``gelss``.

    Returns:
        the solution, the squared residuals (if m > n and A has full rank), the rank (not with
        ``gels``) and the singular values (with ``gelsd`` and ``gelss``).
    """
    if input._meta.ndim < 2:
        raise RuntimeError("torch.linalg.lstsq: input must have at least 2 dimensions.")
    if b._meta.ndim < 1:
        raise RuntimeError("torch.linalg.lstsq: other must have at least 1 dimension.")
    records.need_float("torch.linalg.lstsq", input._meta)
    driver = driver or "gelsy"
    if driver not in ("gels", "gelsy", "gelsd", "gelss"):
        raise RuntimeError(
            "torch.linalg.lstsq: parameter `driver` should be one of (gels, gelsy, gelsd, gelss)"
        )
    vector = records.is_vector(input._meta, b._meta)
    right = b.unsqueeze(-1) if vector else b
    m, n = input._meta.shape[-2:]
    eps = dtypes.finfo(input._meta.dtype).eps
    limit = eps * max(m, n) if rcond is None else rcond
    none = input.new_empty(0)
    rank: Any = none.to(dtypes.int64)
    values: Any = none.to(input._meta.dtype.to_real())
    full = True
    if driver != "gels":
        with no_grad():
            s = svdvals(input)
            rank = (s > limit * s.amax(-1, True)).sum(-1) if s._meta.numel else rank
        full = o.holds(rank == n)
        if driver != "gelsy":
            values = s
    if full and m >= n:
        q, r = call(orthogonal.qr, (input,), ("reduced",))
        found = solve_triangular(r, q.mH @ right, upper=True)
    else:
        found = pinv(input, rtol=0.0 if driver == "gels" else limit) @ right
    residuals: Any = found.reshape(-1)[:0].abs()
    if m > n and full and driver != "gelsy":
        difference = input @ found - right
        residuals = difference.abs().square().sum(-2)
        residuals = residuals.squeeze(-1) if vector and residuals._meta.ndim > 1 else residuals
    if m > n:  # LAPACK has B and X in one place, which has room for the larger
        below = found.new_zeros((*found._meta.shape[:-2], m - n, found._meta.shape[-1]))
        found = FUNCTIONS["cat"]([found, below], -2)
    found = _by_columns(found).narrow(-2, 0, n)
    solution = found.squeeze(-1) if vector else found
    return _LSTSQ(solution, residuals, rank, values)


# Low-rank sketches (Halko, Martinsson & Tropp 2009)


def _range_basis(A: Tensor, q: int, niter: int, M: Tensor | None) -> Tensor:
    """An orthonormal basis of A's range, by randomised subspace iteration."""
    kind = A._meta.dtype if not A._meta.dtype.is_integral else dtypes.default_float()

    def forward(x: Tensor) -> Tensor:
        return A @ x if M is None else A @ x - M @ x

    def back(x: Tensor) -> Tensor:
        return A.mH @ x if M is None else A.mH @ x - M.mH @ x  # type: ignore[no-any-return]

    start = FUNCTIONS["randn"](A._meta.shape[-1], q, dtype=kind, device=A._meta.device)
    basis = call(orthogonal.qr, (forward(start),), ("reduced",))[0]
    for _ in range(niter):
        basis = call(orthogonal.qr, (back(basis),), ("reduced",))[0]
        basis = call(orthogonal.qr, (forward(basis),), ("reduced",))[0]
    return basis  # type: ignore[no-any-return]


@function
def svd_lowrank(A: Tensor, q: int | None = 6, niter: int | None = 2, M: Any = None) -> Any:
    """An approximate singular value decomposition with ``q`` values, by a random sketch.

    Args:
        A: shape (..., m, n).
        q: how many singular values, a little more than the rank.
        niter: how many subspace iterations.
        M: a matrix subtracted from A before.
    """
    q, niter = 6 if q is None else q, 2 if niter is None else niter
    m, n = A._meta.shape[-2:]
    if M is not None:
        M = M.broadcast_to(A._meta.shape)
    if m < n:
        u, s, v = svd_lowrank(A.mH, q, niter, None if M is None else M.mH)
        return v, s, u
    basis = _range_basis(A, q, niter, M)
    small = basis.mH @ A
    if M is not None:
        small = small - basis.mH @ M
    u, s, vh = call(orthogonal.svd, (small,), (False,))
    return basis @ u, s, vh.mH


@function
def pca_lowrank(A: Tensor, q: int | None = None, center: bool = True, niter: int = 2) -> Any:
    """Principal components of the rows of a matrix, by ``svd_lowrank`` of the centred matrix."""
    m, n = A._meta.shape[-2:]
    if q is None:
        q = min(6, m, n)
    elif not (0 <= q <= min(m, n)):
        raise ValueError(
            f"q(={q}) must be non-negative integer and not greater than min(m, n)={min(m, n)}"
        )
    if not niter >= 0:
        raise ValueError(f"niter(={niter}) must be non-negative integer")
    return svd_lowrank(A - A.mean(-2, True) if center else A, q, niter)
