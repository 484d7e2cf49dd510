"""Linear algebra: inverses, solvers, determinants and decompositions, by NumPy's LAPACK.

Matrices are the last two dimensions, what comes before them is a batch.  Operators whose
factorisation can fail return an ``info`` per matrix (0, or where it failed) as LAPACK does; the
public functions turn it into errors.  H(X) is the conjugate transpose.
Gradients: Giles 2008, "An extended collection of matrix derivative results"; Townsend 2016,
"Differentiating the singular value decomposition"; Walter & Lehmann 2010 (QR).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.errors import LinAlgError
from rushlight.ir.meta import Meta, meta
from rushlight.ir.op import Op, Plan
from rushlight.ir.shapes import broadcast
from rushlight.ir.strides import contiguous_strides


def need_float(name: str, m: Meta) -> None:
    """The check of dtype of most functions of torch.linalg."""
    if not (m.dtype.is_floating_point or m.dtype.is_complex):
        raise RuntimeError(
            f"{name}: Expected a floating point or complex tensor as input. Got {m.dtype.title}"
        )
    if m.dtype.itemsize == 2 or m.dtype is dtypes.complex32:
        raise RuntimeError(f"{name}: Low precision dtypes not supported. Got {m.dtype.title}")


def need_matrix(name: str, m: Meta, letter: str = "A") -> None:
    """The check that there are matrices."""
    if m.ndim < 2:
        raise RuntimeError(f"{name}: The input tensor {letter} must have at least 2 dimensions.")


def need_square(name: str, m: Meta) -> None:
    """The checks of functions of square matrices."""
    need_matrix(name, m)
    if m.shape[-1] != m.shape[-2]:
        raise RuntimeError(
            f"{name}: A must be batches of square matrices, but they are {m.shape[-2]} by "
            f"{m.shape[-1]} matrices"
        )


def columns_first(shape: Any) -> tuple[int, ...]:
    """Strides of batches of column-major matrices, as LAPACK fills them."""
    strides = list(contiguous_strides(shape))
    strides[-2], strides[-1] = 1, max(shape[-2], 1)
    return tuple(strides)


def fortran(m: Meta, shape: Any, dtype: Any = None) -> Meta:
    """The Meta of column-major matrices."""
    return m.like(shape=tuple(shape), dtype=dtype, strides=columns_first(shape))


def _info(m: Meta) -> Meta:
    return meta(m.shape[:-2], dtypes.int32, None, m.device)


def _h(o: Any, x: Any) -> Any:
    return o.conj(o.transpose(x, -2, -1))


def _diag(o: Any, x: Any) -> Any:
    return o.diag_embed(x, 0, -2, -1)


def _diagonal(o: Any, x: Any) -> Any:
    return o.diagonal(x, 0, -2, -1)


def _regular(make: Any, *shape: int) -> Any:
    """Sample matrices far from singular."""
    n = shape[-1]
    return make(*shape, n, low=-1.0, high=1.0) + 3 * np.eye(n)


# LU, in NumPy, all matrices of the batch at once


def lu_arrays(a: Any) -> tuple[Any, Any, Any]:
    """Packed L and U, the rows exchanged, and where a pivot was 0; both counted from 1."""
    m, n = a.shape[-2:]
    k = min(m, n)
    lead = a.shape[:-2]
    work = a.reshape(math.prod(lead), m, n).copy()
    batch = np.arange(work.shape[0])
    pivots = np.zeros((work.shape[0], k), np.int32)
    info = np.zeros(work.shape[0], np.int32)
    for j in range(k):
        column = work[:, j:, j]
        size = np.abs(column.real) + np.abs(column.imag) if a.dtype.kind == "c" else np.abs(column)
        p = size.argmax(1) + j
        pivots[:, j] = p + 1
        rows = work[batch, p].copy()
        work[batch, p] = work[:, j]
        work[:, j] = rows
        pivot = work[:, j, j]
        zero = pivot == 0
        info = np.where((info == 0) & zero, j + 1, info).astype(np.int32)
        factor = work[:, j + 1 :, j] / np.where(zero, 1, pivot)[:, None]
        work[:, j + 1 :, j] = factor
        work[:, j + 1 :, j + 1 :] -= factor[:, :, None] * work[:, None, j, j + 1 :]
    return work.reshape(a.shape), pivots.reshape(*lead, k), info.reshape(lead)


def permutation(pivots: Any, m: int) -> Any:
    """The row order that the exchanges of an LU lead to."""
    lead, k = pivots.shape[:-1], pivots.shape[-1]
    flat = pivots.reshape(math.prod(lead), k)
    order = np.tile(np.arange(m), (flat.shape[0], 1))
    batch = np.arange(flat.shape[0])
    for j in range(k):
        p = flat[:, j] - 1
        kept = order[batch, p].copy()
        order[batch, p] = order[:, j]
        order[:, j] = kept
    return order.reshape(*lead, m)


def _lu_rule(a: Meta, pivot: bool) -> Plan:
    need_matrix("torch.lu_factor", a)
    need_float("torch.linalg.lu_factor", a)
    k = min(a.shape[-2:])
    pivots = meta((*a.shape[:-2], k), dtypes.int32, None, a.device)
    return Plan((fortran(a, a.shape), pivots, _info(a)))


def _lu_backward(o: Any, needs: Any, g: Any, inputs: Any, outputs: Any, pivot: bool) -> Any:
    """A = P L U: dA = P H(L)^-1 (tril(H(L) gL, -1) + triu(gU H(U))) H(U)^-1, by blocks."""
    if g[0] is None:
        return (None,)
    lu, pivots = outputs[0], outputs[1]
    m, n = lu._meta.shape[-2:]
    k = min(m, n)
    order = o.pivots_matrix(pivots, m, lu._meta.dtype)
    eye = o.eye(k, k, lu._meta.dtype, lu._meta.device)
    square = lu if m == n else o.slice(o.slice(lu, -2, 0, k, 1), -1, 0, k, 1)
    lower, upper = o.tril(square, -1) + eye, o.triu(square, 0)
    gs = o.slice(o.slice(g[0], -2, 0, k, 1), -1, 0, k, 1)
    left, right = _h(o, lower) @ o.tril(gs, -1), o.triu(gs, 0) @ _h(o, upper)
    if m > n:
        g2, l2 = o.slice(g[0], -2, k, m, 1), o.slice(lu, -2, k, m, 1)
        right = right - _h(o, l2) @ g2
    elif n > m:
        g2, u2 = o.slice(g[0], -1, k, n, 1), o.slice(lu, -1, k, n, 1)
        left = left - g2 @ _h(o, u2)
    phi = o.tril(left, -1) + o.triu(right, 0)
    inner = o.linalg_solve_triangular(_h(o, lower), phi, True, True, True)
    da = o.linalg_solve_triangular(_h(o, upper), inner, False, False, False)
    if m > n:
        da = o.cat([da, o.linalg_solve_triangular(_h(o, upper), g2, False, False, False)], -2)
    elif n > m:
        da = o.cat([da, o.linalg_solve_triangular(_h(o, lower), g2, True, True, True)], -1)
    return (order @ da,)


lu_factor_ex = Op(
    "linalg_lu_factor_ex",
    kind="opaque",
    attrs=("pivot",),
    defaults=(True,),
    rule=_lu_rule,
    kernel=lambda a, pivot: lu_arrays(a),
    backward=_lu_backward,
    keeps_outputs=(0, 1),
    materialize=False,
    samples=lambda make: [
        ((make(*shape),), (True,)) for shape in ((3, 3), (4, 2), (2, 4), (2, 3, 3))
    ],
)


def _pivots_matrix(pivots: Any, m: int, dtype: Any) -> Any:
    """P of A = P L U, for the exchanges that an LU made."""
    order = permutation(pivots, m)
    return (np.arange(m)[:, None] == order[..., None, :]).astype(dtype.numpy)


pivots_matrix = Op(
    "pivots_matrix",
    kind="opaque",
    inputs=("pivots",),
    attrs=("m", "dtype"),
    rule=lambda p, m, dtype: meta((*p.shape[:-1], m, m), dtype, None, p.device),
    kernel=_pivots_matrix,
    samples=lambda make: [((np.array([2, 3, 3], np.int32),), (4, dtypes.float64))],
)

# Inverse, solve, determinants


def _inv_rule(a: Meta) -> Plan:
    need_square("linalg.inv", a)
    need_float("linalg.inv", a)
    return Plan((fortran(a, a.shape), _info(a)))


def _inv(a: Any) -> Any:
    try:
        return np.linalg.inv(a), np.zeros(a.shape[:-2], np.int32)
    except np.linalg.LinAlgError:
        info = lu_arrays(a)[2]
        eye = np.eye(a.shape[-1], dtype=a.dtype)
        found = np.linalg.inv(np.where((info != 0)[..., None, None], eye, a))
        return np.where((info != 0)[..., None, None], a.dtype.type(np.nan), found), info


inv_ex = Op(
    "linalg_inv_ex",
    kind="opaque",
    rule=_inv_rule,
    kernel=_inv,
    backward=lambda o, needs, g, inputs, outputs: (
        -_h(o, outputs[0]) @ g[0] @ _h(o, outputs[0]) if g[0] is not None else None,
    ),
    keeps_outputs=(0,),
    materialize=False,
    samples=lambda make: [((_regular(make, 3),), ()), ((_regular(make, 2, 3),), ())],
)


def is_vector(a: Meta, b: Meta) -> bool:
    """Whether the right-hand side of a solve is (a batch of) vectors."""
    return b.ndim == 1 or (a.ndim - 1 == b.ndim and b.shape == a.shape[:-1])


def _solve_rule(a: Meta, b: Meta, left: bool) -> Plan:
    need_square("linalg.solve", a)
    need_float("linalg.solve", a)
    if a.dtype is not b.dtype:
        raise RuntimeError(
            "linalg.solve: Expected A and B to have the same dtype, but found A of type "
            f"{a.dtype.title} and B of type {b.dtype.title} instead"
        )
    vector = is_vector(a, b)
    if vector and not left:
        raise RuntimeError(
            "linalg.solve: Vector broadcasting of the left hand side is not supported for "
            "left=False. In this case linalg.solve is equivalent to B / A.squeeze(-1)"
        )
    rows = (*b.shape, 1) if vector else b.shape
    if a.shape[-1] != rows[-2 if left else -1]:
        raise RuntimeError(
            "linalg.solve: Incompatible shapes of A and B for the equation "
            f"{'AX = B' if left else 'XA = B'} ({a.shape[-2]}x{a.shape[-1]} and "
            f"{rows[-2]}x{rows[-1]})"
        )
    lead = broadcast(a.shape[:-2], rows[:-2])
    shape = (*lead, *rows[-2:])
    if vector:
        flat = fortran(a, shape[:-1]) if lead else a.like(shape=shape[:-1])
        return Plan((flat, meta(lead, dtypes.int32, None, a.device)))
    order = fortran(a, shape) if left else a.like(shape=shape)
    return Plan((order, meta(a.shape[:-2], dtypes.int32, None, a.device)))


def _solve(a: Any, b: Any, left: bool) -> Any:
    vector = b.ndim == 1 or (a.ndim - 1 == b.ndim and b.shape == a.shape[:-1])
    if vector:
        b = b[..., None]
    if not left:
        a, b = np.swapaxes(a, -1, -2), np.swapaxes(b, -1, -2)
    try:
        x, info = np.linalg.solve(a, b), np.zeros(a.shape[:-2], np.int32)
    except np.linalg.LinAlgError:
        info = lu_arrays(a)[2]
        bad = (info != 0)[..., None, None]
        x = np.linalg.solve(np.where(bad, np.eye(a.shape[-1], dtype=a.dtype), a), b)
        x = np.where(bad, a.dtype.type(np.nan), x)
    if not left:
        x = np.swapaxes(x, -1, -2)
    if vector:
        x, info = x[..., 0], np.broadcast_to(info, x.shape[:-2])
    return x, info


def _solve_backward(o: Any, needs: Any, g: Any, inputs: Any, outputs: Any, left: bool) -> Any:
    """A X = B: gB = H(A)^-1 gX, gA = -gB H(X)."""
    a, b = inputs
    if g[0] is None:
        return None, None
    x = outputs[0]
    vector = is_vector(a._meta, b)
    gb = o.linalg_solve_ex(_h(o, a), g[0], left)[0]
    ga = None
    if needs[0]:
        g2, x2 = (o.unsqueeze(gb, -1), o.unsqueeze(x, -1)) if vector else (gb, x)
        ga = -(g2 @ _h(o, x2)) if left else -(_h(o, x2) @ g2)
        ga = o.sum_to(ga, a._meta.shape)
    return ga, o.sum_to(gb, b.shape) if needs[1] else None


solve_ex = Op(
    "linalg_solve_ex",
    kind="opaque",
    inputs=("A", "B"),
    attrs=("left",),
    defaults=(True,),
    rule=_solve_rule,
    kernel=_solve,
    backward=_solve_backward,
    keeps_inputs=(0,),
    keeps_outputs=(0,),
    materialize=False,
    samples=lambda make: [
        ((_regular(make, 3), make(3, 2)), (True,)),
        ((_regular(make, 2, 3), make(2, 3)), (True,)),
        ((_regular(make, 3), make(2, 3)), (False,)),
    ],
)


def _triangular_rule(a: Meta, b: Meta, upper: bool, left: bool, unit: bool) -> Plan:
    name = "linalg.solve_triangular"
    need_square(name, a)
    need_matrix(name, b, "B")
    need_float(name, a)
    if a.dtype is not b.dtype:
        raise RuntimeError(
            f"{name}: Expected A and B to have the same dtype, but found A of type "
            f"{a.dtype.title} and B of type {b.dtype.title} instead"
        )
    if a.shape[-1] != b.shape[-2 if left else -1]:
        raise RuntimeError(
            f"{name}: Incompatible shapes of A and B for the equation "
            f"{'AX = B' if left else 'XA = B'} ({a.shape[-2]}x{a.shape[-1]} and "
            f"{b.shape[-2]}x{b.shape[-1]})"
        )
    shape = (*broadcast(a.shape[:-2], b.shape[:-2]), *b.shape[-2:])
    return Plan(fortran(a, shape))


def _solve_triangular(a: Any, b: Any, upper: bool, left: bool, unit: bool) -> Any:
    """Row by row: x_i = (b_i - sum of a_ij x_j of the rows known) / a_ii."""
    if not left:
        a, b, upper = np.swapaxes(a, -1, -2), np.swapaxes(b, -1, -2), not upper
    lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a = np.broadcast_to(a, (*lead, *a.shape[-2:]))
    x = np.array(np.broadcast_to(b, (*lead, *b.shape[-2:])), order="C")
    n = a.shape[-1]
    for i in range(n - 1, -1, -1) if upper else range(n):
        known = slice(i + 1, n) if upper else slice(0, i)
        x[..., i, :] -= (a[..., i, None, known] @ x[..., known, :])[..., 0, :]
        if not unit:
            x[..., i, :] /= a[..., i, i, None]
    return np.swapaxes(x, -1, -2) if not left else x


def _triangular_backward(
    o: Any, needs: Any, g: Any, inputs: Any, outputs: Any, upper: bool, left: bool, unit: bool
) -> Any:
    """A X = B: gB = H(A)^-1 gX, gA = the triangle of -gB H(X)."""
    a, b = inputs
    x = outputs[0]
    gb = o.linalg_solve_triangular(_h(o, a), g, not upper, left, unit)
    ga = None
    if needs[0]:
        ga = -(gb @ _h(o, x)) if left else -(_h(o, x) @ gb)
        ga = o.triu(ga, int(unit)) if upper else o.tril(ga, -int(unit))
        ga = o.sum_to(ga, a._meta.shape)
    return ga, o.sum_to(gb, b.shape) if needs[1] else None


solve_triangular = Op(
    "linalg_solve_triangular",
    kind="opaque",
    inputs=("A", "B"),
    attrs=("upper", "left", "unitriangular"),
    rule=_triangular_rule,
    kernel=_solve_triangular,
    backward=_triangular_backward,
    keeps_inputs=(0,),
    keeps_outputs=(0,),
    materialize=False,
    samples=lambda make: [
        ((_regular(make, 3), make(3, 2)), (True, True, False)),
        ((_regular(make, 3), make(2, 3)), (False, False, True)),
    ],
)


def _det_rule(a: Meta) -> Plan:
    need_square("linalg.det", a)
    need_float("linalg.det", a)
    return Plan(a.like(shape=a.shape[:-2]))


def _det_grad(o: Any, g: Any, a: Any, det: Any) -> Any:
    """dA = g conj(det) H(A)^-1; for singular matrices by the singular values' other products."""
    if o.holds(det != 0):
        eye = o.eye(a._meta.shape[-1], a._meta.shape[-1], a._meta.dtype, a._meta.device)
        scale = o.unsqueeze(o.unsqueeze(g * o.conj(det), -1), -1)
        return o.linalg_solve_ex(_h(o, a), scale * o.expand(eye, tuple(a._meta.shape)), True)[0]
    u, s, vh = o.linalg_svd(a, True)
    others = o.products_of_others(s, s._meta.ndim - 1)
    phase = o.conj(o.linalg_det(u) * o.linalg_det(vh)) * g
    inner = o.unsqueeze(phase, -1) * o.to(others, a._meta.dtype)
    return (u * o.unsqueeze(inner, -2)) @ vh


det = Op(
    "linalg_det",
    kind="opaque",
    rule=_det_rule,
    kernel=np.linalg.det,
    grads=(_det_grad,),
    samples=lambda make: [((_regular(make, 3),), ()), ((_regular(make, 2, 3),), ())],
)


def _slogdet_rule(a: Meta) -> Plan:
    need_square("linalg.slogdet", a)
    need_float("linalg.slogdet", a)
    shape = a.shape[:-2]
    return Plan((a.like(shape=shape), a.like(shape=shape, dtype=a.dtype.to_real())))


def _slogdet_backward(o: Any, needs: Any, g: Any, inputs: Any, outputs: Any) -> Any:
    """d log|det A| = Re tr(A^-1 dA); the sign turns by the imaginary part."""
    (a,) = inputs
    scale = None if g[1] is None else o.to(g[1], a._meta.dtype)
    if a._meta.dtype.is_complex and g[0] is not None:
        turn = o.imag_part(o.conj_physical(g[0]) * outputs[0])
        turned = o.complex(o.zeros_like(turn), -turn)
        scale = turned if scale is None else scale + turned
    if scale is None:
        return (None,)
    n = a._meta.shape[-1]
    eye = o.expand(o.eye(n, n, a._meta.dtype, a._meta.device), tuple(a._meta.shape))
    right = o.unsqueeze(o.unsqueeze(scale, -1), -1) * eye
    return (o.linalg_solve_ex(_h(o, a), right, True)[0],)


slogdet = Op(
    "linalg_slogdet",
    kind="opaque",
    rule=_slogdet_rule,
    kernel=lambda a: tuple(np.linalg.slogdet(a)),
    backward=_slogdet_backward,
    keeps_inputs=(0,),
    keeps_outputs=(0,),
    materialize=False,
    samples=lambda make: [((_regular(make, 3),), ()), ((_regular(make, 2, 3),), ())],
)

# Cholesky


def _cholesky_rule(a: Meta, upper: bool) -> Plan:
    need_square("linalg.cholesky", a)
    need_float("linalg.cholesky", a)
    return Plan((fortran(a, a.shape), _info(a)))


def _cholesky_one(a: Any) -> tuple[Any, int]:
    """One matrix, and the order of the first minor that is not positive-definite."""
    try:
        return np.linalg.cholesky(a), 0
    except np.linalg.LinAlgError:
        done = np.tril(a)
        for k in range(1, a.shape[-1] + 1):
            try:
                done[:k, :k] = np.linalg.cholesky(a[:k, :k])
            except np.linalg.LinAlgError:
                return done, k
        return done, a.shape[-1]


def _cholesky(a: Any, upper: bool) -> Any:
    if upper:
        a = np.swapaxes(a, -1, -2).conj()
    info = np.zeros(a.shape[:-2], np.int32)
    try:
        lower = np.linalg.cholesky(a)
    except np.linalg.LinAlgError:
        lower = np.empty(a.shape, a.dtype)
        for at in np.ndindex(a.shape[:-2]):
            lower[at], info[at] = _cholesky_one(a[at])
    return (np.swapaxes(lower, -1, -2).conj() if upper else lower), info


def _cholesky_backward(o: Any, needs: Any, g: Any, inputs: Any, outputs: Any, upper: bool) -> Any:
    """dA = the Hermitian part of H(L)^-1 phi(H(L) gL) L^-1, phi halving the diagonal."""
    if g[0] is None:
        return (None,)
    lower, gl = outputs[0], g[0]
    if upper:
        lower, gl = _h(o, lower), _h(o, gl)
    inner = o.tril(_h(o, lower) @ gl, 0)
    inner = (inner + _h(o, o.tril(inner, -1))) * 0.5
    if inner._meta.dtype.is_complex:
        diagonal = _diagonal(o, inner)
        inner = inner - _diag(o, diagonal - o.to(o.real_part(diagonal), inner._meta.dtype))
    left = o.linalg_solve_triangular(_h(o, lower), inner, True, True, False)
    return (o.linalg_solve_triangular(lower, left, False, False, False),)


cholesky_ex = Op(
    "linalg_cholesky_ex",
    kind="opaque",
    attrs=("upper",),
    defaults=(False,),
    rule=_cholesky_rule,
    kernel=_cholesky,
    backward=_cholesky_backward,
    keeps_outputs=(0,),
    materialize=False,
)


def _cholesky_solve(b: Any, factor: Any, upper: bool) -> Any:
    lower = np.swapaxes(factor, -1, -2).conj() if upper else factor
    half = _solve_triangular(lower, b, False, True, False)
    return _solve_triangular(np.swapaxes(lower, -1, -2).conj(), half, True, True, False)


def _cholesky_solve_rule(b: Meta, factor: Meta, upper: bool) -> Plan:
    need_float("cholesky_solve", b)
    return Plan(fortran(b, (*broadcast(b.shape[:-2], factor.shape[:-2]), *b.shape[-2:])))


def _cholesky_solve_backward(
    o: Any, needs: Any, g: Any, inputs: Any, outputs: Any, upper: bool
) -> Any:
    """gB = A^-1 gX; gL = -(gB H(X) + its conjugate transpose) L."""
    b, factor = inputs
    gb = o.cholesky_solve(g, factor, upper)
    gl = None
    if needs[1]:
        common = gb @ _h(o, outputs[0])
        common = common + _h(o, common)
        gl = o.sum_to(-(factor @ common) if upper else -(common @ factor), factor._meta.shape)
    return o.sum_to(gb, b.shape) if needs[0] else None, gl


cholesky_solve = Op(
    "cholesky_solve",
    kind="opaque",
    inputs=("input", "L"),
    attrs=("upper",),
    defaults=(False,),
    rule=_cholesky_solve_rule,
    kernel=_cholesky_solve,
    backward=_cholesky_solve_backward,
    keeps_inputs=(1,),
    keeps_outputs=(0,),
)

# Eigenvalues


def _eigh_rule(a: Meta, uplo: str) -> Plan:
    need_square("linalg.eigh", a)
    need_float("linalg.eigh", a)
    values = meta(a.shape[:-1], a.dtype.to_real(), None, a.device)
    return Plan((values, fortran(a, a.shape)))


def _differences(o: Any, values: Any) -> Any:
    """E_ij = values_j - values_i, with 1 on the diagonal."""
    e = o.unsqueeze(values, -2) - o.unsqueeze(values, -1)
    n = values._meta.shape[-1]
    return e + o.eye(n, n, values._meta.dtype, values._meta.device)


def _off_diagonal(o: Any, x: Any) -> Any:
    return x - _diag(o, _diagonal(o, x))


def _eigh_backward(o: Any, needs: Any, g: Any, inputs: Any, outputs: Any, uplo: str) -> Any:
    """dA = V (diag(gw) + (H(V) gV) / E) H(V), E_ij = w_j - w_i."""
    w, v = outputs
    inner = None
    if g[1] is not None:
        inner = _off_diagonal(o, _h(o, v) @ g[1]) / o.to(_differences(o, w), v._meta.dtype)
    if g[0] is not None:
        diagonal = _diag(o, o.to(g[0], v._meta.dtype))
        inner = diagonal if inner is None else inner + diagonal
    return (v @ inner @ _h(o, v) if inner is not None else None,)


eigh = Op(
    "linalg_eigh",
    kind="opaque",
    attrs=("UPLO",),
    defaults=("L",),
    rule=_eigh_rule,
    kernel=lambda a, uplo: tuple(np.linalg.eigh(a, uplo)),
    backward=_eigh_backward,
    keeps_outputs=(0, 1),
    materialize=False,
)


def _eig_rule(a: Meta) -> Plan:
    need_square("linalg.eig", a)
    need_float("linalg.eig", a)
    dt = a.dtype.to_complex()
    return Plan((meta(a.shape[:-1], dt, None, a.device), fortran(a, a.shape, dt)))


def _eig(a: Any) -> Any:
    if not np.isfinite(a).all():
        raise RuntimeError("torch.linalg.eig: input tensor should not contain infs or NaNs.")
    return tuple(np.linalg.eig(a))


def _eig_backward(o: Any, needs: Any, g: Any, inputs: Any, outputs: Any) -> Any:
    """dA = H(V)^-1 (diag(gw) + (H(V) gV - H(V) V diag(Re H(V) gV)) / conj(E)) H(V)."""
    w, v = outputs
    vh = _h(o, v)
    inner = None
    if g[1] is not None:
        vhg = vh @ g[1]
        scale = o.to(o.real_part(_diagonal(o, vhg)), v._meta.dtype)
        part = _off_diagonal(o, vhg - (vh @ v) * o.unsqueeze(scale, -2))
        inner = part / o.conj(_differences(o, w))
    if g[0] is not None:
        inner = _diag(o, g[0]) if inner is None else inner + _diag(o, g[0])
    if inner is None:
        return (None,)
    found = o.linalg_solve_ex(vh, inner @ vh, True)[0]
    return (found if inputs[0].dtype.is_complex else o.real_part(found),)


eig = Op(
    "linalg_eig",
    kind="opaque",
    rule=_eig_rule,
    kernel=_eig,
    backward=_eig_backward,
    keeps_outputs=(0, 1),
    materialize=False,
)


def svd_failed() -> LinAlgError:
    """The error for values that are not finite."""
    return LinAlgError(
        "linalg.svd: The algorithm failed to converge because the input matrix contained "
        "non-finite values."
    )
