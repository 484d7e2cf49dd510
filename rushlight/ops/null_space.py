"""The rows of V^H (columns of U) that a full singular value decomposition adds to the reduced one.

Any orthonormal basis of the null space is right; which one LAPACK gives depends on its way: a QR
decomposition first where one side is much longer, or the bidiagonal form at once (Golub & Kahan
1965). PyTorch's library takes QR for complex matrices from a ratio of 17/9 on, for real ones from
3/2 on if they are tall, never if they are wide (measured on shapes up to 30 x 80). Both ways are
followed here, so that the basis is PyTorch's whatever library NumPy has.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["complement"]


def _reflector(x: Any) -> tuple[Any, Any]:
    """v and t with (I - t v v^H)^H x = -+|x| e_1, as LAPACK's larfg chooses them."""
    size = np.linalg.norm(x, axis=-1, keepdims=True)
    first = x[..., :1]
    goal = np.where(first.real >= 0, -size, size)
    v = x.copy()
    v[..., :1] = 1
    v[..., 1:] /= np.where(size > 0, first - goal, 1)
    return v, np.where(size > 0, (goal - first) / np.where(size > 0, goal, 1), 0)


def _on_the_left(v: Any, t: Any, x: Any) -> None:
    """x := (I - t v v^H) x, in place."""
    x -= (t * v)[..., :, None] * (v.conj()[..., None, :] @ x)


def _on_the_right(v: Any, t: Any, x: Any) -> None:
    """x := x (I - t v v^H), in place."""
    x -= (x @ (t * v)[..., :, None]) * v.conj()[..., None, :]


def _last_columns(reflectors: list[tuple[Any, Any]], lead: Any, n: int, dtype: Any) -> Any:
    """The last columns of the product of reflectors, each of which leaves one more row alone."""
    k = len(reflectors)
    basis = np.zeros((*lead, n, n - k), dtype)
    basis[..., k:, :] = np.eye(n - k)
    for i in range(k - 1, -1, -1):
        _on_the_left(*reflectors[i], basis[..., i:, :])
    return basis


def _below(a: Any) -> Any:
    """The rows that complete V^H of a wide matrix made bidiagonal; a is overwritten."""
    m, n = a.shape[-2:]
    right = []
    for k in range(m):
        v, t = _reflector(a[..., k, k:].conj())
        right.append((v, t))
        _on_the_right(v, t, a[..., k:, k:])
        if k + 1 < m:
            w, t = _reflector(a[..., k + 1 :, k])
            _on_the_left(w, t.conj(), a[..., k + 1 :, k:])
    return _last_columns(right, a.shape[:-2], n, a.dtype).conj().swapaxes(-1, -2)


def _beside(a: Any) -> Any:
    """The columns that complete U of a tall matrix made bidiagonal; a is overwritten."""
    m, n = a.shape[-2:]
    left = []
    for k in range(n):
        w, t = _reflector(a[..., k:, k])
        left.append((w, t))
        _on_the_left(w, t.conj(), a[..., k:, k:])
        if k + 1 < n:
            v, t = _reflector(a[..., k, k + 1 :].conj())
            _on_the_right(v, t, a[..., k:, k + 1 :])
    return _last_columns(left, a.shape[:-2], m, a.dtype)


def complement(a: Any, u: Any, vh: Any) -> None:
    """Writes the further columns of U, or rows of V^H, where there are two or more.

    They stay as they are where the matrix is singular: then they must fit the others.

    Args:
        a: matrices (..., m, n).
        u, vh: their full decomposition, changed in place.
    """
    m, n = a.shape[-2:]
    if abs(m - n) < 2 or not min(m, n):
        return
    wide = m < n
    is_complex = a.dtype.kind == "c"
    x = a.astype(np.complex128 if is_complex else np.float64)
    if max(m, n) >= int(min(m, n) * (17 / 9 if is_complex else 1.5)) and (is_complex or not wide):
        tall = x.conj().swapaxes(-1, -2) if wide else x
        made = np.linalg.qr(tall, mode="complete")[0][..., min(m, n) :]
        made = made.conj().swapaxes(-1, -2) if wide else made
    else:
        made = _below(x) if wide else _beside(x)
    if wide:
        apart = np.abs(vh[..., :m, :] @ made.conj().swapaxes(-1, -2))
        place = vh[..., m:, :]
    else:
        apart = np.abs(u[..., :n].conj().swapaxes(-1, -2) @ made)
        place = u[..., n:]
    fits = apart.max((-2, -1)) < 32 * max(m, n) * np.finfo(a.dtype).eps
    place[...] = np.where(fits[..., None, None], made, place)
