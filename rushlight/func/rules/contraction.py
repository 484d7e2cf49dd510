"""Batching rules of products, linear algebra and Fourier transforms."""

from __future__ import annotations

from typing import Any

from rushlight.dispatch import gate
from rushlight.dispatch.namespace import o
from rushlight.dispatch.tensor import Tensor
from rushlight.func.rules import Call, by_kind, composition, one_by_one, values
from rushlight.func.rules.pointwise import shifted

__all__: list[str] = []


@values("mm")
def _mm(c: Call) -> Any:
    a, b = c.values
    if c.has[0] and not c.has[1]:  # (B, n, k) (k, m)
        rows = o.reshape(a, (c.size * c.shape(0)[0], c.shape(0)[1]))
        return o.reshape(o.mm(rows, b), c.out())
    return o.bmm(c.full(0), c.full(1))


@values("bmm")
def _bmm(c: Call) -> Any:
    a, b = (o.reshape(c.full(i), (c.size * c.shape(i)[0], *c.shape(i)[1:])) for i in (0, 1))
    return o.reshape(o.bmm(a, b), c.out())


@composition("mv")
def _mv(a: Any, v: Any) -> Any:
    return o.squeeze(o.mm(a, o.unsqueeze(v, 1)), 1)


@values("dot")
def _dot(c: Call) -> Any:
    a, b = o.unsqueeze(c.full(0), 1), o.unsqueeze(c.full(1), 2)
    return o.reshape(o.bmm(a, b), (c.size,))


@composition("vdot")
def _vdot(a: Any, b: Any) -> Any:
    return o.dot(o.conj(a), b)


@composition("outer")
def _outer(a: Any, b: Any) -> Any:
    return o.unsqueeze(a, 1) * b


def _added(x: Any, product: Any, beta: Any, alpha: Any) -> Any:
    product = product if alpha == 1 else product * alpha
    if beta == 0:
        return product
    return o.add(x if beta == 1 else x * beta, product, 1)


@composition("addmm")
def _addmm(x: Any, a: Any, b: Any, beta: Any, alpha: Any) -> Any:
    return _added(x, o.mm(a, b), beta, alpha)


@composition("baddbmm")
def _baddbmm(x: Any, a: Any, b: Any, beta: Any, alpha: Any) -> Any:
    return _added(x, o.bmm(a, b), beta, alpha)


@composition("addbmm")
def _addbmm(x: Any, a: Any, b: Any, beta: Any, alpha: Any) -> Any:
    return _added(x, o.sum(o.bmm(a, b), (0,), False, None), beta, alpha)


@composition("addmv")
def _addmv(x: Any, a: Any, v: Any, beta: Any, alpha: Any) -> Any:
    return _added(x, o.mv(a, v), beta, alpha)


@composition("addr")
def _addr(x: Any, a: Any, b: Any, beta: Any, alpha: Any) -> Any:
    return _added(x, o.outer(a, b), beta, alpha)


@values("linear")
def _linear(c: Call) -> Any:
    x, w, b = (*c.values, None)[:3]
    has_bias = b is not None
    if not c.has[1] and not (has_bias and c.has[2]):
        return gate.call(c.op, tuple(c.values), c.attrs)
    shape = c.shape(0)
    if c.has[1]:
        rows = o.reshape(c.full(0), (c.size, _count(shape[:-1]), shape[-1]))
        w = w if w._meta.ndim == 3 else o.unsqueeze(w, 1)  # a weight may be a vector
        y = o.bmm(rows, o.transpose(w, 1, 2))
        y = o.reshape(y, c.out())
    else:
        y = o.linear(x, w, None)
    if has_bias:
        if c.has[2]:
            lead = len(c.out()) - 1 - c.ndim(2)
            b = o.reshape(b, (c.size, *(1,) * lead, *c.shape(2)))
        y = y + b
    return y


def _count(shape: tuple[int, ...]) -> int:
    n = 1
    for s in shape:
        n *= s
    return n


@by_kind("contraction")
def _other(c: Call) -> Any:
    return one_by_one(c)


# Linear algebra works on the last two dimensions, whatever stands before them.

_ON_MATRICES = frozenset(
    "linalg_lu_factor_ex linalg_inv_ex linalg_det linalg_slogdet linalg_cholesky_ex linalg_eigh "
    "linalg_eig linalg_svd linalg_qr geqrf linalg_matrix_exp pivots_matrix".split()
)
_ON_PAIRS = frozenset("linalg_solve_triangular cholesky_solve".split())


@by_kind("opaque")
def _opaque(c: Call) -> Any:
    name = c.op.name
    if name.startswith("fft_"):
        return gate.call(c.op, (c.values[0],), shifted(c, c.ndim(0)))
    if name in _ON_MATRICES:
        return gate.call(c.op, (c.values[0],), c.attrs)
    if name in _ON_PAIRS:
        n = max(c.ndim(0), c.ndim(1))
        return gate.call(c.op, tuple(_padded(c, i, n) for i in (0, 1)), c.attrs)
    if name == "linalg_solve_ex":
        return _solve(c)
    if name == "linalg_pinv":
        return _pinv(c)
    return one_by_one(c)


def _padded(c: Call, i: int, n: int) -> Any:
    v = c.full(i)
    if not isinstance(v, Tensor):
        return v
    return o.reshape(v, (c.size, *(1,) * (n - c.ndim(i)), *c.shape(i)))


def _solve(c: Call) -> Any:
    """A vector on the right is a matrix of one column: with a batch it would be ambiguous."""
    a, b = c.full(0), c.full(1)
    n, k = c.ndim(0), c.ndim(1)
    vector = k == 1 or (k == n - 1 and c.shape(1) == c.shape(0)[:-1])
    if not vector:
        top = max(n, k)
        found = gate.call(c.op, (_padded(c, 0, top), _padded(c, 1, top)), c.attrs)
        return c.shaped(found)
    found = gate.call(c.op, (a, o.unsqueeze(b, -1)), c.attrs)
    return c.shaped(found)


def _pinv(c: Call) -> Any:
    if any(c.has[1:]):
        return one_by_one(c)
    return gate.call(c.op, tuple(c.values), c.attrs)
