"""Linear algebra: the functions of ``torch.linalg`` and their elders in ``torch``.

The records in ops/linalg.py compute; here their ``info`` becomes errors, and what rests on them
(norms, ranks, powers, least squares) is put together.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

from rushlight import dtypes
from rushlight._tensor.api import FUNCTIONS, both, dtype_of, result_or_out
from rushlight._tensor.norms import vector_norm
from rushlight._tensor.reduction import return_type
from rushlight.dispatch.gate import call
from rushlight.dispatch.namespace import o
from rushlight.dispatch.tensor import Tensor, innermost
from rushlight.errors import LinAlgError
from rushlight.ir.shapes import wrap_dim
from rushlight.ops import linalg as records
from rushlight.ops import linalg_orthogonal as orthogonal

__all__: list[str] = []

_INV_EX = return_type("linalg_inv_ex", "inverse info")
_SOLVE_EX = return_type("linalg_solve_ex", "result info")
_CHOLESKY_EX = return_type("linalg_cholesky_ex", "L info")
_SLOGDET = {name: return_type(name, "sign logabsdet") for name in ("linalg_slogdet", "slogdet")}
_EIG = return_type("linalg_eig", "eigenvalues eigenvectors")
_EIGH = return_type("linalg_eigh", "eigenvalues eigenvectors")
_SVD = return_type("linalg_svd", "U S Vh")
_SVD_OLD = return_type("svd", "U S V")
_QR = {name: return_type(name, "Q R") for name in ("linalg_qr", "qr")}


def named(kind: Any, parts: Any, out: Any) -> Any:
    """Several results as a named tuple, written to ``out`` if that is given."""
    return kind(*(parts if out is None else result_or_out(tuple(parts), tuple(out))))


def check_info(info: Tensor, text: str) -> None:
    """Raises the error for the first matrix whose factorisation failed.

    Args:
        text: the message; ``{batch}`` tells which matrix, ``{info}`` where it failed.
    """
    values = innermost(info).reshape(-1).tolist()
    for i, value in enumerate(values):
        if value:
            batch = f"(Batch element {i}): " if info._meta.ndim else ""
            raise LinAlgError(text.format(batch=batch, info=value))


_INV = (
    "{name}: {{batch}}The diagonal element {{info}} is zero, the inversion could not be completed "
    "because the input matrix is singular."
)
_SINGULAR = "torch.linalg.solve: {batch}The solver failed because the input matrix is singular."
_NOT_POSITIVE = (
    "{name}: {{batch}}The factorization could not be completed because the input is not "
    "positive-definite (the leading minor of order {{info}} is not positive-definite)."
)

# Inverse and solve


def inv_ex(A: Tensor, *, check_errors: bool = False, out: Any = None) -> Any:
    """The inverse of square matrices, and for each where it failed (0 if it did not)."""
    parts = call(records.inv_ex, (A,))
    if check_errors:
        check_info(parts[1], _INV.format(name="linalg.inv_ex"))
    return named(_INV_EX, parts, out)


def inv(A: Tensor, *, out: Any = None) -> Any:
    """The inverse of square matrices.

    Args:
        A: shape (..., n, n), floating point or complex.
        out: where to write the result.

    Raises:
        LinAlgError: a matrix is singular.

    Example:
        >>> import rushlight as torch
        >>> torch.linalg.inv(torch.tensor([[2.0, 0.0], [0.0, 4.0]]))
        tensor([[0.5000, 0.0000],
                [0.0000, 0.2500]])
    """
    found, info = call(records.inv_ex, (A,))
    check_info(info, _INV.format(name="linalg.inv"))
    return result_or_out(found, out)


@both
def inverse(input: Tensor, *, out: Any = None) -> Any:
    """The inverse of square matrices: ``torch.linalg.inv``."""
    return inv(input, out=out)


def solve_ex(
    A: Tensor, B: Tensor, *, left: bool = True, check_errors: bool = False, out: Any = None
) -> Any:
    """The solution of A X = B, and for each matrix where its factorisation failed (or 0)."""
    parts = call(records.solve_ex, (A, B), (bool(left),))
    if check_errors:
        check_info(parts[1], _SINGULAR)
    return named(_SOLVE_EX, parts, out)


def solve(A: Tensor, B: Tensor, *, left: bool = True, out: Any = None) -> Any:
    """The solution X of A X = B (of X A = B if not ``left``).

    Args:
        A: shape (..., n, n).
        B: matrices of shape (..., n, k) or vectors of shape (..., n).
        left: on which side of X the matrix A stands.
        out: where to write the result.

    Raises:
        LinAlgError: a matrix is singular.

    Example:
        >>> import rushlight as torch
        >>> torch.linalg.solve(torch.tensor([[2.0, 0.0], [0.0, 4.0]]), torch.tensor([2.0, 4.0]))
        tensor([1., 1.])
    """
    found, info = call(records.solve_ex, (A, B), (bool(left),))
    check_info(info, _SINGULAR)
    return result_or_out(found, out)


def solve_triangular(
    input: Tensor,
    B: Tensor,
    *,
    upper: bool,
    left: bool = True,
    unitriangular: bool = False,
    out: Any = None,
) -> Any:
    """The solution X of A X = B (or X A = B) for a triangular A, by substitution."""
    attrs = (bool(upper), bool(left), bool(unitriangular))
    return result_or_out(call(records.solve_triangular, (input, B), attrs), out)


# Determinants


def linalg_det(A: Tensor, *, out: Any = None) -> Any:
    """The determinant of square matrices."""
    return result_or_out(call(records.det, (A,)), out)


@both
def det(input: Tensor) -> Any:
    """The determinant of square matrices."""
    return call(records.det, (input,))


def linalg_slogdet(A: Tensor, *, out: Any = None) -> Any:
    """The sign of the determinant and the logarithm of its absolute value."""
    return named(_SLOGDET["linalg_slogdet"], call(records.slogdet, (A,)), out)


@both
def slogdet(input: Tensor, *, out: Any = None) -> Any:
    """The sign of the determinant and the logarithm of its absolute value."""
    return named(_SLOGDET["slogdet"], call(records.slogdet, (input,)), out)


@both
def logdet(input: Tensor) -> Any:
    """The logarithm of the determinant; NaN if that is negative, -inf if it is 0."""
    sign, size = call(records.slogdet, (input,))
    if input._meta.dtype.is_complex:
        return sign.log() + size
    return FUNCTIONS["where"](sign == -1.0, math.nan, size)


# Cholesky


def cholesky_ex(
    input: Tensor, *, upper: bool = False, check_errors: bool = False, out: Any = None
) -> Any:
    """The Cholesky factor, and for each matrix the minor that is not positive-definite (or 0)."""
    parts = call(records.cholesky_ex, (input,), (bool(upper),))
    if check_errors:
        check_info(parts[1], _NOT_POSITIVE.format(name="linalg.cholesky_ex"))
    return named(_CHOLESKY_EX, parts, out)


def linalg_cholesky(input: Tensor, *, upper: bool = False, out: Any = None) -> Any:
    """The lower triangular L with A = L L^H (or the upper one with A = U^H U).

    Raises:
        LinAlgError: a matrix is not positive-definite.
    """
    found, info = call(records.cholesky_ex, (input,), (bool(upper),))
    check_info(info, _NOT_POSITIVE.format(name="linalg.cholesky"))
    return result_or_out(found, out)


@both
def cholesky(input: Tensor, upper: bool = False, *, out: Any = None) -> Any:
    """The Cholesky factor; use ``torch.linalg.cholesky``."""
    found, info = call(records.cholesky_ex, (input,), (bool(upper),))
    check_info(info, _NOT_POSITIVE.format(name="cholesky"))
    return result_or_out(found, out)


@both
def cholesky_solve(input: Tensor, input2: Tensor, upper: bool = False, *, out: Any = None) -> Any:
    """The solution X of A X = B for the Cholesky factor of A."""
    for name, m in (("b", input._meta), ("u", input2._meta)):
        if m.ndim < 2:
            raise RuntimeError(
                f"{name} should have at least 2 dimensions, but has {m.ndim} dimensions instead"
            )
    if input2._meta.shape[-1] != input2._meta.shape[-2]:
        raise RuntimeError(
            "A must be batches of square matrices, but they are "
            f"{input2._meta.shape[-2]} by {input2._meta.shape[-1]} matrices"
        )
    if input2._meta.shape[-1] != input._meta.shape[-2]:
        a, b = input2._meta.shape, input._meta.shape
        raise RuntimeError(
            f"Incompatible matrix sizes for cholesky_solve: each A matrix is {a[-1]} by {a[-1]} "
            f"but each b matrix is {b[-2]} by {b[-1]}"
        )
    return result_or_out(call(records.cholesky_solve, (input, input2), (bool(upper),)), out)


@both
def cholesky_inverse(input: Tensor, upper: bool = False, *, out: Any = None) -> Any:
    """The inverse of the matrix whose Cholesky factor this is."""
    n = input._meta.shape[-1]
    kind, device = input._meta.dtype, input._meta.device
    eye = FUNCTIONS["eye"](n, dtype=kind, device=device).expand(input._meta.shape)
    return cholesky_solve(eye, input, upper, out=out)


# Eigenvalues and singular values


def eig(input: Tensor, *, out: Any = None) -> Any:
    """Eigenvalues and eigenvectors of square matrices, always complex."""
    return named(_EIG, call(records.eig, (input,)), out)


def eigvals(input: Tensor, *, out: Any = None) -> Any:
    """Eigenvalues of square matrices, always complex."""
    return result_or_out(call(records.eig, (input,))[0], out)


def _uplo(value: str) -> str:
    if value.upper() not in ("L", "U"):
        raise RuntimeError(f"Expected UPLO argument to be 'L' or 'U', but got {value}")
    return value.upper()


def eigh(input: Tensor, UPLO: str = "L", *, out: Any = None) -> Any:
    """Eigenvalues, ascending, and eigenvectors of Hermitian matrices (one triangle is read)."""
    return named(_EIGH, call(records.eigh, (input,), (_uplo(UPLO),)), out)


def eigvalsh(input: Tensor, UPLO: str = "L", *, out: Any = None) -> Any:
    """Eigenvalues of Hermitian matrices, ascending."""
    return result_or_out(call(records.eigh, (input,), (_uplo(UPLO),))[0], out)


def linalg_svd(
    A: Tensor, full_matrices: bool = True, *, driver: str | None = None, out: Any = None
) -> Any:
    """The singular value decomposition A = U diag(S) Vh, S descending.

    Args:
        A: shape (..., m, n).
        full_matrices: whether U and Vh are square; otherwise they have min(m, n) vectors.
        driver: of cuSOLVER; not on a CPU.
        out: where to write the three results.
    """
    if driver is not None:
        raise RuntimeError(
            "torch.linalg.svd: keyword argument `driver=` is only supported on CUDA inputs with "
            "cuSOLVER backend."
        )
    return named(_SVD, call(orthogonal.svd, (A,), (bool(full_matrices),)), out)


def svdvals(A: Tensor, *, driver: str | None = None, out: Any = None) -> Any:
    """The singular values of matrices, descending."""
    return result_or_out(linalg_svd(A, False, driver=driver)[1], out)


@both
def svd(input: Tensor, some: bool = True, compute_uv: bool = True, *, out: Any = None) -> Any:
    """The singular value decomposition with V instead of its conjugate transpose."""
    if not compute_uv:
        s = svdvals(input)
        *lead, m, n = input._meta.shape
        u, v = input.new_zeros((*lead, m, m)), input.new_zeros((*lead, n, n))
        return named(_SVD_OLD, (u, s, v), out)
    u, s, vh = call(orthogonal.svd, (input,), (not some,))
    return named(_SVD_OLD, (u, s, vh.mH), out)


# QR


def linalg_qr(A: Tensor, mode: str = "reduced", *, out: Any = None) -> Any:
    """The decomposition A = Q R; ``mode`` is ``reduced``, ``complete`` or ``r`` (R alone)."""
    return named(_QR["linalg_qr"], call(orthogonal.qr, (A,), (mode,)), out)


@both
def qr(input: Tensor, some: bool = True, *, out: Any = None) -> Any:
    """The decomposition A = Q R; use ``torch.linalg.qr``."""
    mode = "reduced" if some else "complete"
    return named(_QR["qr"], call(orthogonal.qr, (input,), (mode,)), out)


# Norms


def _matrix_dims(A: Tensor, dim: Any) -> tuple[int, int]:
    name = "linalg.matrix_norm"
    if A._meta.ndim < 2:
        raise RuntimeError(f"{name}: The input tensor A must have at least 2 dimensions.")
    dims = (dim,) if isinstance(dim, int) else tuple(dim)
    if len(dims) != 2:
        raise RuntimeError(f"{name}: dim must be a 2-tuple. Got {' '.join(map(str, dims))}")
    a, b = (wrap_dim(d, A._meta.ndim) for d in dims)
    if a == b:
        raise RuntimeError(f"{name}: dims must be different. Got ({dims[0]}, {dims[1]})")
    return a, b


def _reduced(x: Tensor, name: str, dim: int, keepdim: bool) -> Any:
    """A reduction of sizes, which cannot be negative: the largest of none is 0."""
    if name == "amax" and not x._meta.shape[dim]:
        name = "sum"
    return getattr(x, name)(dim, keepdim)


def matrix_norm(
    input: Tensor,
    ord: Any = "fro",
    dim: Any = (-2, -1),
    keepdim: bool = False,
    *,
    dtype: Any = None,
    out: Any = None,
) -> Any:
    """A norm of matrices.

    Args:
        input: a floating point or complex tensor of at least two dimensions.
        ord: ``"fro"`` (the root of the sum of squares), ``"nuc"`` (the sum of singular values),
            2 or -2 (the largest or smallest singular value), 1 or -1 (of column sums), inf or
            -inf (of row sums).
        dim: the two dimensions of the matrices.
        keepdim: whether these stay with size 1.
        dtype: the dtype in which to compute.
        out: where to write the result.
    """
    name = "linalg.matrix_norm"
    m = input._meta
    a, b = _matrix_dims(input, dim)
    if isinstance(ord, str) and ord not in ("fro", "nuc"):
        raise RuntimeError(f"{name}: Order {ord} not supported.")
    if not isinstance(ord, str) and abs(ord) not in (1, 2, math.inf):
        raise RuntimeError(f"{name}: Order {ord:g} not supported.")
    if not (m.dtype.is_floating_point or m.dtype.is_complex):
        raise RuntimeError(
            f"{'linalg.vector_norm' if ord == 'fro' else name}: Expected a floating point or "
            f"complex tensor as input. Got {m.dtype.title}"
        )
    if ord == "fro":
        return vector_norm(input, 2, (a, b), keepdim, dtype=dtype, out=out)
    if dtype is not None:
        input = input.to(dtype_of(dtype))
    if ord == "nuc" or abs(ord) == 2:
        records.need_float(name, input._meta)
        s = svdvals(input.movedim((a, b), (-2, -1)))
        how = "sum" if ord == "nuc" else "amax" if ord > 0 else "amin"
        found = _reduced(s, how, -1, keepdim)
        if keepdim:
            found = found.unsqueeze(-1).movedim((-2, -1), (a, b))
        return result_or_out(found, out)
    over, best = (a, b) if abs(ord) == 1 else (b, a)
    sums = vector_norm(input, 1, over, keepdim)
    if not keepdim and over < best:
        best -= 1
    return result_or_out(_reduced(sums, "amax" if ord > 0 else "amin", best, keepdim), out)


FUNCTIONS["_matrix_norm"] = matrix_norm


def norm(
    input: Tensor,
    ord: Any = None,
    dim: Any = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
    out: Any = None,
) -> Any:
    """A vector or matrix norm, as the order and the dimensions say."""
    if dim is not None:
        dims = (dim,) if isinstance(dim, int) else tuple(dim)
        if len(dims) not in (1, 2):
            raise RuntimeError(
                f"linalg.norm: If dim is specified, it must be of length 1 or 2. Got {list(dims)}"
            )
        if ord is not None and (len(dims) == 2 or isinstance(ord, str)):
            return matrix_norm(input, ord, dims, keepdim, dtype=dtype, out=out)
        return vector_norm(input, 2 if ord is None else ord, dims, keepdim, dtype=dtype, out=out)
    if ord is not None:
        if input._meta.ndim not in (1, 2):
            raise RuntimeError(
                "linalg.norm: If dim is not specified but ord is, the input must be 1D or 2D. Got "
                f"{input._meta.ndim}D."
            )
        if input._meta.ndim == 2 or isinstance(ord, str):
            return matrix_norm(input, ord, (-2, -1), keepdim, dtype=dtype, out=out)
    return vector_norm(input, 2 if ord is None else ord, None, keepdim, dtype=dtype, out=out)


def cond(input: Tensor, p: Any = None, *, out: Any = None) -> Any:
    """The condition number: the norm of a matrix times that of its inverse."""
    if input._meta.ndim < 2:
        raise RuntimeError("linalg.cond: The input tensor A must have at least 2 dimensions.")
    if p is None or (not isinstance(p, str) and abs(p) == 2):
        s = svdvals(input)
        large, small = s[..., 0], s[..., -1]
        return result_or_out(small / large if p == -2 else large / small, out)
    if p not in ("fro", "nuc", 1, -1, math.inf, -math.inf):
        raise RuntimeError(f"linalg.cond got an invalid norm type: {p}")
    if input._meta.shape[-1] != input._meta.shape[-2]:
        raise RuntimeError(
            f"linalg.cond(ord={p}): A must be batches of square matrices, but they are "
            f"{input._meta.shape[-2]} by {input._meta.shape[-1]} matrices"
        )
    if input._meta.numel == 0:
        return result_or_out(
            input.new_zeros(input._meta.shape[:-2], dtype=input._meta.dtype.to_real()), out
        )
    inverse_, info = call(records.inv_ex, (input,))
    inverse_ = inverse_.masked_fill((info != 0).unsqueeze(-1).unsqueeze(-1), math.inf)
    found = (matrix_norm(input, p) * matrix_norm(inverse_, p)).masked_fill(info != 0, math.inf)
    return result_or_out(found, out)


# Products


@both
def matrix_power(input: Tensor, n: int, *, out: Any = None) -> Any:
    """Square matrices to an integer power; negative powers are those of the inverse."""
    records.need_square("linalg.matrix_power", input._meta)
    if n == 0:
        size = input._meta.shape[-1]
        eye = FUNCTIONS["eye"](size, dtype=input._meta.dtype, device=input._meta.device)
        return result_or_out(input.clone().copy_(eye), out)
    base = inv(input) if n < 0 else input
    n = abs(n)
    if n == 1:
        return result_or_out(base.clone() if base is input else base, out)
    found = None
    while n:
        if n & 1:
            found = base if found is None else found @ base
        n >>= 1
        if n:
            base = base @ base
    return result_or_out(found, out)


def linalg_matrix_exp(input: Tensor) -> Any:
    """The matrix exponential: the sum of A^k / k!."""
    return call(orthogonal.matrix_exp, (input,))


@both
def matrix_exp(input: Tensor) -> Any:
    """The matrix exponential: the sum of A^k / k!."""
    return call(orthogonal.matrix_exp, (input,))


def _best_order(sizes: list[int]) -> Any:
    """The cheapest way to multiply a chain of matrices, as nested pairs of positions."""
    n = len(sizes) - 1
    cost: dict[tuple[int, int], tuple[int, Any]] = {(i, i): (0, i) for i in range(n)}
    for length in range(1, n):
        for i in range(n - length):
            j = i + length
            cost[i, j] = min(
                (
                    (
                        cost[i, k][0] + cost[k + 1, j][0] + sizes[i] * sizes[k + 1] * sizes[j + 1],
                        (cost[i, k][1], cost[k + 1, j][1]),
                    )
                    for k in range(i, j)
                ),
                key=lambda found: found[0],
            )
    return cost[0, n - 1][1]


def multi_dot(tensors: Any, *, out: Any = None) -> Any:
    """The product of a chain of matrices in the cheapest order; the ends may be vectors."""
    chain = list(tensors)
    if len(chain) < 2:
        raise RuntimeError(f"multi_dot(): expected at least 2 tensors but got {len(chain)}")
    for where, t in (("first", chain[0]), ("last", chain[-1])):
        if t._meta.ndim not in (1, 2):
            raise RuntimeError(
                f"multi_dot(): the {where} tensor must be 1D or 2D but got {t._meta.ndim}D"
            )
    for i, t in enumerate(chain[1:-1], 1):
        if t._meta.ndim != 2:
            raise RuntimeError(f"multi_dot(): tensor {i} must be 2D but got {t._meta.ndim}D")
    for i, (a, b) in enumerate(itertools.pairwise(chain)):
        if a._meta.shape[-1] != b._meta.shape[0]:
            raise RuntimeError(
                f"multi_dot(): tensors {i} and {i + 1} with shapes {list(a._meta.shape)} and "
                f"{list(b._meta.shape)} cannot be multiplied"
            )
    shape = [*chain[0]._meta.shape[:-1], *chain[-1]._meta.shape[1:]]
    if chain[0]._meta.ndim == 1:
        chain[0] = chain[0].unsqueeze(0)
    if chain[-1]._meta.ndim == 1:
        chain[-1] = chain[-1].unsqueeze(-1)

    def product(order: Any) -> Any:
        return chain[order] if isinstance(order, int) else product(order[0]) @ product(order[1])

    sizes = [chain[0]._meta.shape[0], *(t._meta.shape[1] for t in chain)]
    return result_or_out(product(_best_order(sizes)).reshape(shape), out)


def vecdot(x: Tensor, y: Tensor, *, dim: int = -1, out: Any = None) -> Any:
    """The inner products of vectors along a dimension, the first conjugated."""
    records_name = "linalg.vecdot"
    if not (x._meta.dtype.is_floating_point or x._meta.dtype.is_complex):
        raise RuntimeError(
            f"{records_name}: Expected a floating point or complex tensor as input. Got "
            f"{x._meta.dtype.title}"
        )
    return result_or_out((x.conj() * y).sum(dim), out)


# Pseudo-inverse, rank


def pinv(
    input: Tensor,
    rcond: Any = None,
    hermitian: bool = False,
    *,
    atol: Any = None,
    rtol: Any = None,
    out: Any = None,
) -> Any:
    """The pseudo-inverse, without the singular values at most max(atol, rtol * the largest).

    Args:
        A: shape (..., m, n).
        rcond: NumPy's name of ``rtol``.
        hermitian: whether A is Hermitian, which is faster.
        atol, rtol: the limits, numbers or tensors; rtol is max(m, n) * eps if none is given.
        out: where to write the result.
    """
    if input._meta.ndim < 2 or input._meta.dtype.is_integral or input._meta.dtype.itemsize == 2:
        raise RuntimeError(
            f"linalg.pinv({input._meta.dtype.title}{{{list(input._meta.shape)}}}): expected a "
            "tensor with 2 or more dimensions of float, double, cfloat or cdouble types"
        )
    rtol = rcond if rtol is None else rtol
    return result_or_out(call(orthogonal.pinv, (input, atol, rtol), (bool(hermitian),)), out)


def _limit(A: Tensor, largest: Tensor, atol: Any, rtol: Any) -> Any:
    """Below which a singular value counts as 0: max(atol, rtol * the largest)."""
    if rtol is None:
        least = dtypes.finfo(A._meta.dtype).eps * max(A._meta.shape[-2:])
        if isinstance(atol, Tensor):
            rtol = FUNCTIONS["where"](atol > 0, 0.0, least)
        else:
            rtol = 0.0 if atol else least
    rtol = rtol.unsqueeze(-1) if isinstance(rtol, Tensor) else rtol
    atol = atol.unsqueeze(-1) if isinstance(atol, Tensor) else float(atol or 0)
    relative = largest * rtol
    return relative.clamp_min(atol) if not isinstance(atol, Tensor) else relative.maximum(atol)


@both
def pinverse(input: Tensor, rcond: float = 1e-15) -> Any:
    """The pseudo-inverse; use ``torch.linalg.pinv``."""
    return pinv(input, rtol=rcond)


def matrix_rank(
    input: Tensor,
    tol: Any = None,
    hermitian: bool = False,
    *,
    atol: Any = None,
    rtol: Any = None,
    out: Any = None,
) -> Any:
    """How many singular values exceed max(atol, rtol * the largest)."""
    if input._meta.ndim < 2:
        raise RuntimeError(
            "torch.linalg.matrix_rank: Expected as input a tensor with at least 2 dimensions"
        )
    if tol is not None:
        atol, rtol = tol, 0.0
    if input._meta.numel == 0:
        return result_or_out(input.new_zeros(input._meta.shape[:-2], dtype=dtypes.int64), out)
    values = eigvalsh(input).abs() if hermitian else svdvals(input)
    return result_or_out((values > _limit(input, values.amax(-1, True), atol, rtol)).sum(-1), out)


def diagonal(A: Tensor, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    """A view of the diagonals of matrices."""
    return o.diagonal(A, offset, dim1, dim2)


def tensorinv(input: Tensor, ind: int = 2, *, out: Any = None) -> Any:
    """The inverse of ``tensordot`` with A over its last dimensions, ``ind`` being first."""
    if ind <= 0:
        raise RuntimeError(f"Expected a strictly positive integer for 'ind', but got {ind}")
    shape = input._meta.shape
    left, right = shape[:ind].numel(), shape[ind:].numel()
    if left != right:
        raise RuntimeError(
            "Expected self to satisfy the requirement prod(self.shape[ind:]) == "
            f"prod(self.shape[:ind]), but got {right} != {left}"
        )
    found = inv(input.reshape(left, right)).reshape(*shape[ind:], *shape[:ind])
    return result_or_out(found, out)


def tensorsolve(input: Tensor, other: Tensor, dims: Any = None, *, out: Any = None) -> Any:
    """The X with ``tensordot(A, X) == B`` over the dimensions of X."""
    if dims is not None:
        order = [
            wrap_dim(d, input._meta.ndim) for d in ((dims,) if isinstance(dims, int) else dims)
        ]
        n = input._meta.ndim
        input = input.movedim(order, list(range(n - len(order), n)))
    at = other._meta.ndim
    left, right = input._meta.shape[:at].numel(), input._meta.shape[at:].numel()
    if left != right:
        raise RuntimeError(
            "Expected self to satisfy the requirement prod(self.shape[other.ndim:]) == "
            f"prod(self.shape[:other.ndim]), but got {right} != {left}"
        )
    found = solve(input.reshape(left, right), other.reshape(-1)).reshape(input._meta.shape[at:])
    return result_or_out(found, out)


def matmul(input: Tensor, other: Tensor, *, out: Any = None) -> Any:
    """``torch.matmul``."""
    return FUNCTIONS["matmul"](input, other, out=out)


def _removed(name: str, hint: str) -> None:
    def f(self: Tensor, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(
            f"This function was deprecated since version 1.9 and is now removed. {hint}"
        )

    f.__name__ = f.__qualname__ = name
    f.__doc__ = f"Removed from PyTorch; see ``torch.linalg``. {hint}"
    setattr(Tensor, name, f)


_removed(
    "eig",
    "`torch.linalg.eig` returns complex tensors of dtype `cfloat` or `cdouble` rather than real "
    "tensors mimicking complex tensors.",
)
_removed(
    "symeig",
    "The default behavior has changed from using the upper triangular portion of the matrix by "
    "default to using the lower triangular portion.",
)
_removed("lstsq", "`torch.lstsq` is deprecated in favor of `torch.linalg.lstsq`.")
_removed(
    "solve",
    "`torch.solve` is deprecated in favor of `torch.linalg.solve`. `torch.linalg.solve` has its "
    "arguments reversed and does not return the LU factorization.",
)
