"""Compiled elementwise kernels and softmax against the NumPy kernels that define them.

float32 results may differ by a few units in the last place: 1e-6 relative, and absolutely where a
function cancels by its definition (gelu's 1 + erf, log_softmax). Also tails, threads, special
values, in-place writes, gradients, and when NumPy serves.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import rushlight as rl
from rushlight.codegen import NATIVE_LARGE, engine, native, native_pointwise
from rushlight.compiler.kernels import pointwise
from rushlight.ops import norm
from rushlight.runtime import blas

F = rl.nn.functional
N = native_pointwise.MIN_SIZE
CASES: dict[str, Callable[[Any], Any]] = {
    "exp": rl.exp,
    "exp2": rl.exp2,
    "expm1": rl.expm1,
    "log": rl.log,
    "log1p": rl.log1p,
    "log2": rl.log2,
    "tanh": rl.tanh,
    "sin": rl.sin,
    "cos": rl.cos,
    "erf": rl.erf,
    "sigmoid": rl.sigmoid,
    "silu": F.silu,
    "log_sigmoid": F.logsigmoid,
    "gelu none": F.gelu,
    "gelu tanh": lambda x: F.gelu(x, approximate="tanh"),
    "mish": F.mish,
    "softplus": lambda x: F.softplus(x, 1.5, 10.0),
    "elu": lambda x: F.elu(x, 1.3),
    "softmax": lambda x: F.softmax(x, -1),
    "log_softmax": lambda x: F.log_softmax(x, -1),
    "layer_norm": lambda x: F.layer_norm(x, x.shape[-1:]),
}
ROWS = ("softmax", "log_softmax", "layer_norm")
SPECIAL = (0.0, -0.0, np.inf, -np.inf, np.nan, 1e-45, -1e-45, 100.0, -100.0, 3e38, -3e38, 20.0)


@pytest.fixture(autouse=True)
def every_kernel_from_the_least_size_on(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    before = blas.allowed()
    monkeypatch.setattr(native_pointwise, "LARGER", {})
    monkeypatch.setattr(native_pointwise, "_QUICK_IN_NUMPY", frozenset())
    native_pointwise._worth.cache_clear()
    monkeypatch.setattr(native_pointwise, "_SHARED_SIZE", N)
    yield
    blas.set_threads(before)
    native_pointwise._worth.cache_clear()


def by_numpy(f: Callable[..., Any], *x: Any) -> Any:
    native.enabled, before = False, native.enabled
    try:
        with np.errstate(all="ignore"):
            return f(*x)
    finally:
        native.enabled = before


def same(got: Any, want: Any) -> None:
    np.testing.assert_allclose(got.numpy(), want.numpy(), rtol=2e-6, atol=4e-7, equal_nan=True)


def numbers(size: int, scale: float = 4.0) -> Any:
    rng = np.random.default_rng(size)
    return rl.from_numpy((rng.standard_normal(size) * scale).astype(np.float32))


def test_records_have_expressions() -> None:
    assert set(native_pointwise.KERNELS) == NATIVE_LARGE
    records = {name.split()[0] for name in pointwise.EXPRESSIONS}
    assert NATIVE_LARGE - records == set(ROWS)
    assert {name.split()[0] for name in CASES} == NATIVE_LARGE


@pytest.mark.parametrize("name", CASES)
def test_values_of_any_number_of_elements(name: str) -> None:
    for extra in (0, 1, 7, 15, 16, 17, 63, 64, 65):
        x = numbers(N + extra)
        same(CASES[name](x), by_numpy(CASES[name], x))


@pytest.mark.parametrize("name", [c for c in CASES if c not in ROWS])
def test_special_values_at_any_place(name: str) -> None:
    for shift in (0, 3, N - 5):
        x = numbers(N + 13)
        x[shift : shift + len(SPECIAL)] = rl.tensor(SPECIAL)
        same(CASES[name](x), by_numpy(CASES[name], x))


@pytest.mark.parametrize("name", ROWS)
def test_rows_of_any_length(name: str) -> None:
    for columns in (8, 9, 15, 16, 17, 31, 33, 100, 1000):
        x = numbers((N // columns + 1) * columns).view(-1, columns)
        same(CASES[name](x), by_numpy(CASES[name], x))
    y = x.view(-1, 5, 200)
    assert rl.equal(CASES[name](y), CASES[name](x.view(-1, 200)).view(-1, 5, 200))


@pytest.mark.parametrize("name", ROWS)
def test_special_values_in_rows(name: str) -> None:
    x = numbers(N * 2).view(-1, 32)
    x[1, 3], x[2, 0], x[3, 31] = np.nan, np.inf, -np.inf
    x[4], x[5], x[6] = -np.inf, np.inf, 1e38
    x[7, 20], x[8, 1] = 3e38, -3e38
    same(CASES[name](x), by_numpy(CASES[name], x))


@pytest.mark.parametrize("shape", [(60, 331), (30, 2, 331), (10, 6, 331)])
@pytest.mark.parametrize("affine", [(0, 0), (1, 0), (0, 1), (1, 1)])
def test_layer_norm_with_weight_and_bias(affine: tuple[int, int], shape: tuple[int, ...]) -> None:
    x = numbers(60 * 331).view(shape)
    last = shape[-1:] if shape[1] != 6 else shape[1:]
    rng = np.random.default_rng(0)
    w, b = (rl.from_numpy(rng.random(last, np.float32)) if given else None for given in affine)
    same(F.layer_norm(x, last, w, b), by_numpy(F.layer_norm, x, last, w, b))
    operands = [None if v is None else v.numpy() for v in (x, w, b)]
    eligible, run = native_pointwise.KERNELS["layer_norm"]
    assert eligible(operands, (last, 1e-5))
    got = run(operands, (last, 1e-5))
    for one, other in zip(got, norm._layer_norm(*operands, last, 1e-5), strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=2e-6, atol=4e-7)


def test_long_rows() -> None:
    x = numbers(200_003, 1.0).view(1, -1)
    wide = x.numpy().astype(np.float64)
    e = np.exp(wide - wide.max())
    np.testing.assert_allclose(F.softmax(x, 1).numpy(), e / e.sum(), rtol=1e-6)
    want = (wide - wide.mean()) / np.sqrt(wide.var() + 1e-5)
    np.testing.assert_allclose(F.layer_norm(x, (200_003,)).numpy(), want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", CASES)
def test_any_number_of_threads_gives_the_same_bits(name: str) -> None:
    x = numbers(5 * 7 * 1001).view(-1, 7 * 11)
    results = []
    for threads in (1, 2, 3):
        blas.set_threads(threads)
        results.append(CASES[name](x).numpy())
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0], results[2])


def test_in_place() -> None:
    for f in (
        lambda x: x.sigmoid_(),
        lambda x: F.elu(x, inplace=True),
        lambda x: F.silu(x, inplace=True),
    ):
        x = numbers(N + 5)
        y = x.clone()
        address = y.data_ptr()
        f(y)
        assert y.data_ptr() == address
        same(y, by_numpy(f, x.clone()))
    half = numbers(2 * N)
    want = half.numpy().copy()
    half[N:].sigmoid_()
    np.testing.assert_array_equal(half.numpy()[:N], want[:N])
    np.testing.assert_allclose(half.numpy()[N:], 1 / (1 + np.exp(-want[N:])), rtol=1e-6)


@pytest.mark.parametrize("name", CASES)
def test_gradients_stay(name: str) -> None:
    weight = numbers(N + 64, 1.0)[:N].view(-1, 64)

    def gradient(x: Any) -> Any:
        x = x.clone().requires_grad_()
        y = CASES[name](x)
        (y * weight).sum().backward()
        return x.grad

    x = numbers(N, 2.0).view(-1, 64)
    if name.startswith("log") and name not in ROWS and name != "log_sigmoid":
        x = x.abs() + 0.1
    got, want = gradient(x).numpy(), by_numpy(gradient, x).numpy()
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=2e-6)


def test_when_numpy_serves() -> None:
    small, wide, turned = numbers(N - 1), numbers(N).double(), numbers(N).view(128, -1).t()
    for x in (small, wide, turned, numbers(2 * N)[::2], rl.arange(N)):
        assert native.find("mish", [x.numpy()], ()) is None
    x = numbers(N).view(128, -1).numpy()
    assert native.find("softmax", [x], (1, None)) is not None
    assert native.find("softmax", [x], (0, None)) is None
    assert native.find("softmax", [x], (1, rl.float64)) is None
    assert native.find("softmax", [x.reshape(-1, 4)], (1, None)) is None
    assert F.softmax(rl.from_numpy(x), 1, dtype=rl.float64).dtype == rl.float64


def test_numbers_do_not_compile_again() -> None:
    x = numbers(N)
    F.elu(x, 0.5)
    before = engine.statistics.compiled + engine.statistics.loaded
    F.elu(x, 0.75)
    assert engine.statistics.compiled + engine.statistics.loaded == before


def test_llvm_comes_with_the_first_large_call() -> None:
    program = (
        "import sys, rushlight as rl\n"
        "rl.nn.functional.gelu(rl.ones(100))\n"
        "print('llvmlite' in sys.modules)\n"
        "rl.nn.functional.gelu(rl.ones(20000))\n"
        "print('llvmlite' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout.split() == ["False", "True"], done.stderr
