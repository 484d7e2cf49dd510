"""Orthogonal decompositions: svd, qr, geqrf, and what rests on them: pinv, matrix_exp.

Matrices are the last two dimensions.  Gradients: see the head of ops/linalg.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.ir.meta import Meta, meta
from rushlight.ir.op import Op, Plan
from rushlight.ops.linalg import (
    _diag,
    _diagonal,
    _h,
    fortran,
    need_float,
    need_matrix,
    need_square,
    svd_failed,
)
from rushlight.ops.null_space import complement


def _svd_rule(a: Meta, full: bool) -> Plan:
    need_matrix("linalg.svd", a)
    need_float("linalg.svd", a)
    *lead, m, n = a.shape
    k = min(m, n)
    s = meta((*lead, k), a.dtype.to_real(), None, a.device)
    return Plan(
        (fortran(a, (*lead, m, m if full else k)), s, fortran(a, (*lead, n if full else k, n)))
    )


def _svd(a: Any, full: bool) -> Any:
    if not np.isfinite(a).all():
        raise svd_failed()
    u, s, vh = np.linalg.svd(a, full_matrices=full)
    if full and a.size:
        complement(a, u, vh)
    return u, s, vh


def _svd_backward(o: Any, needs: Any, g: Any, inputs: Any, outputs: Any, full: bool) -> Any:
    """dA = U (skew(H(U) gU)/E S + S skew(H(V) gV)/E + diag gS) H(V) and what lies outside.

    E_ij = s_j^2 - s_i^2; skew(X) = X - H(X).
    """
    gu, gs, gvh = g
    u, s, vh = outputs
    if gu is None and gvh is None:
        if gs is None:
            return (None,)
        k = s._meta.shape[-1]
        u, vh = o.slice(u, -1, 0, k, 1), o.slice(vh, -2, 0, k, 1)
        return ((u * o.unsqueeze(o.to(gs, u._meta.dtype), -2)) @ vh,)
    m, n, k = inputs[0].shape[-2], inputs[0].shape[-1], s._meta.shape[-1]
    if full:  # what the further columns get has no gradient
        u, vh = o.slice(u, -1, 0, k, 1), o.slice(vh, -2, 0, k, 1)
        gu = None if gu is None else o.slice(gu, -1, 0, k, 1)
        gvh = None if gvh is None else o.slice(gvh, -2, 0, k, 1)
    kind = u._meta.dtype
    sk = o.to(s, kind)
    squares = s * s
    eye = o.eye(k, k, s._meta.dtype, s._meta.device)
    e = o.to(o.unsqueeze(squares, -2) - o.unsqueeze(squares, -1) + eye, kind)
    inner = None
    uhg = vhg = None
    if gu is not None:
        uhg = _h(o, u) @ gu
        inner = _skew(o, uhg) / e * o.unsqueeze(sk, -2)
    if gvh is not None:
        vhg = vh @ _h(o, gvh)
        part = o.unsqueeze(sk, -1) * (_skew(o, vhg) / e)
        inner = part if inner is None else inner + part
    inner = inner - _diag(o, _diagonal(o, inner))
    if kind.is_complex and uhg is not None:
        turn = o.imag_part(o.clone(_diagonal(o, uhg)))
        inner = inner + _diag(o, o.complex(o.zeros_like(turn), turn / s))
    if gs is not None:
        inner = inner + _diag(o, o.to(gs, kind))
    found = u @ inner @ vh
    if m > k and gu is not None:
        outside = gu / o.unsqueeze(sk, -2)
        found = found + (outside - u @ (_h(o, u) @ outside)) @ vh
    if n > k and gvh is not None:
        outside = gvh / o.unsqueeze(sk, -1)
        found = found + u @ (outside - (outside @ _h(o, vh)) @ vh)
    return (found,)


def _skew(o: Any, x: Any) -> Any:
    return x - _h(o, x)


svd = Op(
    "linalg_svd",
    kind="opaque",
    attrs=("full_matrices",),
    defaults=(True,),
    rule=_svd_rule,
    kernel=_svd,
    backward=_svd_backward,
    keeps_outputs=(0, 1, 2),
    materialize=False,
    samples=lambda make: [
        ((make(*shape),), (False,)) for shape in ((3, 3), (4, 2), (2, 4), (2, 3, 2))
    ],
)

# QR


def _qr_rule(a: Meta, mode: str) -> Plan:
    need_matrix("linalg.qr", a)
    need_float("linalg.qr", a)
    if mode not in ("reduced", "complete", "r"):
        raise RuntimeError(
            f"qr received unrecognized mode '{mode}' but expected one of 'reduced' (default), 'r', "
            "or 'complete'"
        )
    *lead, m, n = a.shape
    k = m if mode == "complete" else min(m, n)
    q = fortran(a, (*lead, m, k)) if mode != "r" else a.like(shape=(0,))
    return Plan((q, fortran(a, (*lead, k, n))))


def _qr(a: Any, mode: Any) -> Any:
    if mode == "r":
        return np.empty(0, a.dtype), np.linalg.qr(a, "r")
    return tuple(np.linalg.qr(a, mode))


def _qr_backward(o: Any, needs: Any, g: Any, inputs: Any, outputs: Any, mode: str) -> Any:
    """dA = (gQ + Q sym(triu(gR H(R) - H(Q) gQ))) H(R)^-1, sym(X) = X + H(X) - diag.

    A wide matrix [A1 A2] has R2 = H(Q) A2, so that A2 takes part like a product.
    """
    if mode == "r":
        raise RuntimeError(
            "The derivative of linalg.qr depends on Q, which is not computed when mode='r'. "
            "Please use linalg.qr(A, mode='reduced') if you are going to differentiate through "
            "linalg.qr."
        )
    gq, gr = g
    q, r = outputs
    m, n = inputs[0].shape[-2:]
    if mode == "complete" and m > n:
        raise RuntimeError(
            "The QR decomposition is not differentiable when mode='complete' and nrows > ncols."
        )
    if gq is None and gr is None:
        return (None,)
    if gq is None:
        gq = o.zeros_like(q)
    if gr is None:
        gr = o.zeros_like(r)
    if m >= n:
        return (_qr_square(o, q, r, gq, gr),)
    r1 = o.slice(r, -1, 0, m, 1)
    gr1, gr2 = o.slice(gr, -1, 0, m, 1), o.slice(gr, -1, m, n, 1)
    a2 = q @ o.slice(r, -1, m, n, 1)
    first = _qr_square(o, q, r1, gq + a2 @ _h(o, gr2), gr1)
    return (o.cat([first, q @ gr2], -1),)


def _qr_square(o: Any, q: Any, r: Any, gq: Any, gr: Any) -> Any:
    inner = o.triu(gr @ _h(o, r) - _h(o, q) @ gq, 0)
    diagonal = o.to(o.real(o.clone(_diagonal(o, inner))), inner._meta.dtype)
    inner = inner + _h(o, inner) - _diag(o, diagonal)
    return o.linalg_solve_triangular(_h(o, r), gq + q @ inner, False, False, False)


qr = Op(
    "linalg_qr",
    kind="opaque",
    attrs=("mode",),
    defaults=("reduced",),
    rule=_qr_rule,
    kernel=_qr,
    backward=_qr_backward,
    keeps_outputs=(0, 1),
    materialize=False,
    samples=lambda make: [
        ((make(*shape),), ("reduced",)) for shape in ((3, 3), (4, 2), (2, 4), (2, 3, 2))
    ],
)


def _geqrf_rule(a: Meta) -> Plan:
    need_matrix("torch.geqrf", a, "input")
    need_float("torch.geqrf", a)
    return Plan((fortran(a, a.shape), a.like(shape=(*a.shape[:-2], min(a.shape[-2:])))))


def _geqrf(a: Any) -> Any:
    if 0 in a.shape:
        return a, np.zeros((*a.shape[:-2], min(a.shape[-2:])), a.dtype)
    h, tau = np.linalg.qr(a, "raw")
    return np.swapaxes(h, -1, -2), tau


geqrf = Op(
    "geqrf",
    kind="opaque",
    rule=_geqrf_rule,
    kernel=_geqrf,
    samples=lambda make: [((make(4, 3),), ())],
)

# The pseudo-inverse


def _pinv_rule(a: Meta, atol: Any, rtol: Any, hermitian: bool) -> Plan:
    need_matrix("linalg.pinv", a)
    need_float("linalg.pinv", a)
    return Plan(a.like(shape=(*a.shape[:-2], a.shape[-1], a.shape[-2])))


def _pinv(a: Any, atol: Any, rtol: Any, hermitian: bool) -> Any:
    if 0 in a.shape:
        return np.zeros((*a.shape[:-2], a.shape[-1], a.shape[-2]), a.dtype)
    if hermitian:  # the signs of the eigenvalues go to one side
        values, u = np.linalg.eigh(a)
        s = np.abs(values)
        vh = np.swapaxes(u * np.sign(values)[..., None, :], -1, -2).conj()
    else:
        u, s, vh = _svd(a, False)
    if rtol is None:
        least = np.finfo(s.dtype).eps * max(a.shape[-2:])
        rtol = np.where(np.asarray(0 if atol is None else atol) > 0, 0, least)
    limit = np.maximum(np.asarray(0 if atol is None else atol), np.asarray(rtol) * s.max(-1))
    keep = s > limit[..., None]
    inverse = np.where(keep, 1 / np.where(keep, s, 1), 0).astype(s.dtype)
    vs = np.swapaxes(vh, -1, -2).conj() * inverse[..., None, :]
    return np.matmul(vs, np.swapaxes(u, -1, -2).conj())


def _pinv_backward(o: Any, g: Any, a: Any, _atol: Any, _rtol: Any, y: Any) -> Any:
    """Golub & Pereyra 1973: the change of A+ inside and outside the row and column spaces."""
    m, n = a._meta.shape[-2:]
    yh, gh = _h(o, y), _h(o, g)
    if m <= n:
        k = gh @ y
        ky = k @ yh
        return -_h(o, y @ k) + ky - (a @ y) @ ky + (yh @ y) @ (gh - k @ a)
    k = y @ gh
    yk = yh @ k
    return -_h(o, k @ y) + (gh - a @ k) @ y @ yh + yk - (yk @ y) @ a


pinv = Op(
    "linalg_pinv",
    kind="opaque",
    inputs=("input", "atol", "rtol"),
    attrs=("hermitian",),
    defaults=(False,),
    rule=_pinv_rule,
    kernel=_pinv,
    grads=(_pinv_backward, None, None),
    samples=lambda make: [
        ((make(*shape), None, None), (False,)) for shape in ((3, 3), (4, 2), (2, 4))
    ],
)

# The matrix exponential

_PADE = (
    64764752532480000.0, 32382376266240000.0, 7771770303897600.0, 1187353796428800.0,
    129060195264000.0, 10559470521600.0, 670442572800.0, 33522128640.0, 1323241920.0,
    40840800.0, 960960.0, 16380.0, 182.0, 1.0,
)  # fmt: skip
_PADE_REACH = 5.371920351148152  # the norm up to which the approximant is exact to rounding


def _matrix_exp(a: Any) -> Any:
    """Scaling and squaring with the [13/13] Pade approximant (Higham 2005), in double precision."""
    if 0 in a.shape:
        return a.copy()
    wide = a.astype(np.complex128 if a.dtype.kind == "c" else np.float64)
    norm = np.abs(wide).sum(-2).max(-1, initial=0)
    norm = np.where(np.isfinite(norm), norm, 0)
    halvings = np.maximum(np.ceil(np.log2(np.maximum(norm, 1e-300) / _PADE_REACH)), 0)
    wide = wide / (2.0**halvings)[..., None, None]
    eye = np.eye(a.shape[-1])
    a2 = wide @ wide
    a4 = a2 @ a2
    a6 = a4 @ a2
    b = _PADE
    u = a6 @ (b[13] * a6 + b[11] * a4 + b[9] * a2) + b[7] * a6 + b[5] * a4 + b[3] * a2 + b[1] * eye
    u = wide @ u
    v = a6 @ (b[12] * a6 + b[10] * a4 + b[8] * a2) + b[6] * a6 + b[4] * a4 + b[2] * a2 + b[0] * eye
    found = np.linalg.solve(v - u, v + u)
    for i in range(int(halvings.max(initial=0))):
        found = np.where((halvings > i)[..., None, None], found @ found, found)
    return found.astype(a.dtype)


def _matrix_exp_rule(a: Meta) -> Plan:
    need_square("linalg.matrix_exp", a)
    if not a.dtype.is_floating_point:
        need_float("linalg.matrix_exp", a)
    return Plan(a.like())


def _matrix_exp_grad(o: Any, g: Any, a: Any) -> Any:
    """The upper right block of exp([[H(A), G], [0, H(A)]])."""
    n = a._meta.shape[-1]
    ah = _h(o, a)
    above, below = o.cat([ah, g], -1), o.cat([o.zeros_like(g), ah], -1)
    whole = o.linalg_matrix_exp(o.cat([above, below], -2))
    return o.slice(o.slice(whole, -2, 0, n, 1), -1, n, 2 * n, 1)


matrix_exp = Op(
    "linalg_matrix_exp",
    kind="opaque",
    rule=_matrix_exp_rule,
    kernel=_matrix_exp,
    grads=(_matrix_exp_grad,),
    samples=lambda make: [((make(3, 3),), ()), ((make(2, 2, 2),), ())],
)
