"""Linear algebra and Fourier transforms: what defines them, finite differences, and real torch."""

from __future__ import annotations

import numpy as np
import pytest

import rushlight as rl

RANDOM = np.random.default_rng(0)
A = rl.tensor(RANDOM.standard_normal((2, 4, 4)))
TALL, WIDE = rl.tensor(RANDOM.standard_normal((5, 3))), rl.tensor(RANDOM.standard_normal((3, 5)))
Z = rl.complex(A, A.flip(-1))
DEFINITE = A @ A.mT + 4 * rl.eye(4, dtype=rl.float64)


def close(a, b):
    return rl.allclose(a, b, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("x", [A, Z], ids=["real", "complex"])
def test_decompositions_multiply_back(x):
    p, lower, upper = rl.linalg.lu(x)
    assert close(p @ lower @ upper, x)
    q, r = rl.linalg.qr(x)
    assert close(q @ r, x) and close(q.mH @ q, rl.eye(4, dtype=x.dtype).expand_as(x))
    u, s, vh = rl.linalg.svd(x)
    assert close((u * s.unsqueeze(-2)) @ vh, x) and bool((s[..., :-1] >= s[..., 1:]).all())
    values, vectors = rl.linalg.eig(x)
    assert close(x.to(rl.complex128) @ vectors, vectors * values.unsqueeze(-2))
    h = x + x.mH
    values, vectors = rl.linalg.eigh(h)
    assert close((vectors * values.unsqueeze(-2)) @ vectors.mH, h)
    positive = x @ x.mH + rl.eye(4, dtype=x.dtype)
    lower = rl.linalg.cholesky(positive)
    assert close(lower @ lower.mH, positive) and close(lower, lower.tril())
    upper = rl.linalg.cholesky(positive, upper=True)
    assert close(upper.mH @ upper, positive)
    assert close(rl.linalg.householder_product(*rl.geqrf(x)), q)


@pytest.mark.parametrize("x", [TALL, WIDE], ids=["tall", "wide"])
def test_rectangular_matrices(x):
    p, lower, upper = rl.linalg.lu(x)
    assert close(p @ lower @ upper, x)
    q, r = rl.linalg.qr(x)
    assert close(q @ r, x)
    y = rl.linalg.pinv(x)
    assert close(x @ y @ x, x) and close((x @ y).mT, x @ y)
    assert int(rl.linalg.matrix_rank(x)) == 3
    b = rl.ones(x.shape[0], 2, dtype=rl.float64)
    found = rl.linalg.lstsq(x, b).solution
    assert close(x.mT @ (x @ found), x.mT @ b)


def test_solvers():
    b = rl.tensor(RANDOM.standard_normal((2, 4, 3)))
    assert close(A @ rl.linalg.solve(A, b), b)
    assert close(rl.linalg.solve(A, b.mT, left=False) @ A, b.mT)
    assert close(A @ rl.linalg.inv(A), rl.eye(4, dtype=rl.float64).expand_as(A))
    assert close(A @ rl.linalg.lu_solve(*rl.linalg.lu_factor(A), b), b)
    assert close(A.mT @ rl.linalg.lu_solve(*rl.linalg.lu_factor(A), b, adjoint=True), b)
    upper = A.triu()
    assert close(upper @ rl.linalg.solve_triangular(upper, b, upper=True), b)
    assert close(DEFINITE @ rl.cholesky_solve(b, rl.linalg.cholesky(DEFINITE)), b)
    assert rl.linalg.solve(A, b[..., 0]).shape == (2, 4)


@pytest.mark.parametrize("n", [1, 2, 5, 9])
def test_ldl(n):
    """Indefinite symmetric and Hermitian matrices, with 1 x 1 and 2 x 2 blocks."""
    a, b = rl.tensor(RANDOM.standard_normal((2, n, n))), rl.ones(2, n, 2, dtype=rl.float64)
    symmetric = a + a.mT - 2 * rl.diag_embed(rl.diagonal(a, 0, -2, -1))
    hermitian = rl.complex(symmetric, a - a.mT)
    for x, right, flag in ((symmetric, b, False), (hermitian, rl.complex(b, b), True)):
        if n > 1:
            found = rl.linalg.ldl_solve(
                *rl.linalg.ldl_factor(x, hermitian=flag), right, hermitian=flag
            )
            assert rl.allclose(x @ found, right, rtol=1e-7, atol=1e-7)


def test_determinants_powers_exponentials():
    want = np.linalg.det(A.numpy())
    np.testing.assert_allclose(rl.linalg.det(A).numpy(), want)
    sign, size = rl.linalg.slogdet(A)
    np.testing.assert_allclose((sign * size.exp()).numpy(), want)
    assert close(rl.linalg.matrix_power(A, 3), A @ A @ A)
    assert close(rl.linalg.matrix_power(A, -2), rl.linalg.inv(A @ A))
    nilpotent = rl.tensor([[0.0, 1.0], [0.0, 0.0]])
    assert rl.matrix_exp(nilpotent).tolist() == [[1, 1], [0, 1]]
    assert close(rl.matrix_exp(A) @ rl.matrix_exp(-A), rl.eye(4, dtype=rl.float64).expand_as(A))
    assert close(rl.linalg.multi_dot([TALL, WIDE, TALL]), TALL @ WIDE @ TALL)


@pytest.mark.parametrize("order", ["fro", "nuc", 1, -1, 2, -2, float("inf"), -float("inf")])
def test_matrix_norms(order):
    want = np.linalg.norm(TALL.numpy(), order)
    np.testing.assert_allclose(float(rl.linalg.matrix_norm(TALL, order)), want)
    if order not in ("fro", "nuc"):
        np.testing.assert_allclose(float(rl.linalg.norm(TALL[0], order)), norm_of_row(order))


def norm_of_row(order):
    return np.linalg.norm(TALL[0].numpy(), order)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda z: rl.linalg.inv(z), "linalg.inv: The diagonal element 1 is zero, the inversion"),
        (lambda z: rl.linalg.solve(z, z), "torch.linalg.solve: The solver failed because the"),
        (lambda z: rl.linalg.cholesky(-z - rl.eye(2)), "linalg.cholesky: The factorization could"),
        (
            lambda z: rl.linalg.inv(rl.stack([rl.eye(2), z])),
            "linalg.inv: (Batch element 1): The diagonal element 1 is zero",
        ),
    ],
)
def test_singular_matrices(call, text):
    with pytest.raises(rl.linalg.LinAlgError) as caught:
        call(rl.zeros(2, 2))
    assert str(caught.value).startswith(text)


def symmetric(x):
    return x + x.mT


L = rl.linalg


@pytest.mark.parametrize(
    ("function", "x"),
    [
        (lambda x: L.cholesky(x @ x.mT + rl.eye(4, dtype=x.dtype)), A),
        (lambda x: L.cholesky(x @ x.mT + rl.eye(4, dtype=x.dtype), upper=True), A),
        (lambda x: L.eigvalsh(symmetric(x)), A),
        (lambda x: L.eigh(symmetric(x)).eigenvectors ** 2, A),
        (lambda x: L.eigvals(x).abs(), A),
        (lambda x: L.eig(x).eigenvectors.abs(), A),
        (lambda x: L.svdvals(x), WIDE),
        (lambda x: L.svd(x, full_matrices=False).U ** 2, TALL),
        (lambda x: L.pinv(x), WIDE),
        (lambda x: L.lstsq(x, rl.ones(5, 1, dtype=x.dtype)).solution, TALL),
        (lambda x: rl.cholesky_solve(x.mT, L.cholesky(x @ x.mT + rl.eye(4, dtype=x.dtype))), A),
        (lambda x: L.householder_product(x.tril(), x[0]), TALL),
        (lambda x: L.cond(x), A),
        (lambda x: L.matrix_norm(x, "nuc"), A),
        (lambda x: rl.logdet(x @ x.mT), A),
        (lambda x: L.det(x - x[..., :1, :1] * 0), A),
        (lambda x: rl.fft.fft(x).abs(), TALL),
        (lambda x: rl.fft.irfft(rl.fft.rfft(x, dim=0), 5, dim=0), TALL),
        (lambda x: rl.fft.irfftn(rl.complex(x, x), (5, 5)), TALL),
        (lambda x: rl.fft.hfft(rl.complex(x, x.flip(0))), TALL),
        (lambda x: rl.stft(x.flatten(), 4, return_complex=True).abs(), TALL),
    ],
)
def test_gradients(function, x):
    x = x.clone().requires_grad_()
    assert rl.autograd.gradcheck(function, (x,), atol=1e-4)


def test_gradient_of_a_singular_determinant():
    x = rl.tensor([[1.0, 2.0], [2.0, 4.0]], dtype=rl.float64, requires_grad=True)
    rl.linalg.det(x).backward()
    np.testing.assert_allclose(x.grad.numpy(), [[4, -2], [-2, 1]], atol=1e-12)


@pytest.mark.parametrize("name", ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft"])
@pytest.mark.parametrize("norm", [None, "ortho", "forward"])
@pytest.mark.parametrize("n", [None, 3, 8])
def test_fourier_transforms_like_numpy(name, norm, n):
    x = RANDOM.standard_normal((3, 6))
    if name not in ("rfft", "ihfft"):
        x = x + 1j * RANDOM.standard_normal((3, 6))
    want = getattr(np.fft, name)(x, n, norm=norm)
    got = getattr(rl.fft, name)(rl.tensor(x), n, norm=norm)
    np.testing.assert_allclose(got.resolve_conj().numpy(), want, atol=1e-12)


def test_istft_gives_the_signal_back():
    x, window = rl.randn(2, 100), rl.hann_window(16)
    spectra = rl.stft(x, 16, window=window, return_complex=True)
    assert spectra.shape == (2, 9, 26)
    back = rl.istft(spectra, 16, window=window, length=100)
    assert rl.allclose(back, x, atol=1e-5)


def test_einsum_like_numpy():
    a, b = TALL.numpy(), WIDE.numpy()
    for text in ("ij,jk->ik", "ij,jk", "ij,jk->", "ij,jk->kji", "ij,ji->i", "i...,...k->k..."):
        got = rl.einsum(text, TALL, WIDE)
        np.testing.assert_allclose(got.numpy(), np.einsum(text, a, b), atol=1e-12)
    assert float(rl.einsum("ii", A[0])) == pytest.approx(float(A[0].trace()))
    assert close(rl.einsum(TALL, [0, 1], WIDE, [1, 2], [2, 0]), (TALL @ WIDE).mT)


def test_named_results():
    found = rl.linalg.slogdet(rl.eye(2))
    assert repr(found) == (
        "torch.return_types.linalg_slogdet(\nsign=tensor(1.),\nlogabsdet=tensor(0.))"
    )
    assert isinstance(found, rl.return_types.linalg_slogdet)


@pytest.mark.parametrize("name", ["bartlett", "blackman", "hamming", "hann", "kaiser"])
def test_windows_like_numpy(name):
    named = {"hann": "hanning"}.get(name, name)
    extra = (12.0,) if name == "kaiser" else ()
    want = getattr(np, named)(9, *extra)
    made = getattr(rl.signal.windows, name)(9, dtype=rl.float64)
    np.testing.assert_allclose(made.numpy(), want, atol=1e-7)
    plain = getattr(rl, name + "_window")(9, periodic=False, dtype=rl.float64)
    np.testing.assert_allclose(plain.numpy(), want, atol=1e-7)
    assert getattr(rl, name + "_window")(8).shape == (8,)


WIDE_AND_TALL = [(3, 5), (2, 4), (4, 6), (6, 4), (7, 5), (5, 9), (9, 5), (2, 3, 6), (1, 4)]


@pytest.mark.parametrize("dtype", ["float64", "complex128"])
@pytest.mark.parametrize("shape", WIDE_AND_TALL)
def test_basis_of_the_null_space(shape, dtype):
    rng = np.random.default_rng(3)
    a = rng.standard_normal(shape).astype(dtype)
    if dtype == "complex128":
        a += 1j * rng.standard_normal(shape)
    u, s, vh = (t.numpy() for t in rl.linalg.svd(rl.from_numpy(a)))
    for q in (u, vh):
        eye = np.broadcast_to(np.eye(q.shape[-1]), q.shape)
        np.testing.assert_allclose(q.conj().swapaxes(-1, -2) @ q, eye, atol=1e-12)
    k = s.shape[-1]
    np.testing.assert_allclose((u[..., :k] * s[..., None, :]) @ vh[..., :k, :], a, atol=1e-12)
    torch = pytest.importorskip("torch")
    want = torch.linalg.svd(torch.from_numpy(a))
    np.testing.assert_allclose(np.abs(u), want[0].abs().numpy(), atol=1e-9)
    np.testing.assert_allclose(np.abs(vh), want[2].abs().numpy(), atol=1e-9)


@pytest.mark.parametrize("shape", [(3, 6), (6, 3)])
def test_basis_of_a_singular_matrix(shape):
    for a in (np.zeros(shape), np.ones(shape)):
        for q in rl.linalg.svd(rl.from_numpy(a))[::2]:
            np.testing.assert_allclose((q @ q.T).numpy(), np.eye(len(q)), atol=1e-12)


def test_results_lie_as_lapack_leaves_them():
    a, b = rl.randn(5, 5, dtype=rl.float64), rl.randn(5, 2, dtype=rl.float64)
    la = rl.linalg
    assert la.householder_product(a, rl.ones(5, dtype=rl.float64)).stride() == (1, 5)
    assert rl.ormqr(a, rl.ones(5, dtype=rl.float64), b).stride() == (1, 5)
    assert la.lstsq(a[:, :3], b)[0].stride() == (1, 5) and la.lstsq(a[:3], b[:3])[0].stride() == (
        1,
        5,
    )
    assert la.solve(rl.stack([a, a]), b.T).stride() == (1, 2)
    assert la.solve_triangular(a, b.T.contiguous(), upper=True, left=False).stride() == (1, 2)
    assert la.lu_solve(*la.lu_factor(a), b, adjoint=True).stride() == (1, 5)


def test_norms_of_empty_matrices():
    for shape, ord in (((0, 0), 2), ((5, 0), 1), ((0, 5), float("inf")), ((0, 0), "nuc")):
        found = rl.linalg.norm(rl.empty(shape), ord, keepdim=True)
        assert found.tolist() == [[0.0]]
    with pytest.raises(IndexError, match="Expected reduction dim"):
        rl.linalg.norm(rl.empty(5, 0), -1)
