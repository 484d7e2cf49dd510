"""Compiled kernels against the NumPy kernels that define their operators.

The reference runs in float64 (float32 results may differ by a few rounding errors of a sum of up to
thousands of terms, relative to the largest result: 2e-5; float64 results by 1e-13). Also: the same
bits for any number of threads and for narrower vectors than the host's, no access outside of the
operands, special values, and when NumPy serves instead.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import rushlight as rl
from rushlight.codegen import (
    NATIVE,
    engine,
    native,
    native_batch,
    native_conv,
    native_norm,
    native_pixels,
    native_pool,
    native_weight,
)
from rushlight.compiler.kernels.emit import VectorType
from rushlight.ops import conv as reference
from rushlight.ops import norm as norm_reference
from rushlight.ops import pool as pool_reference
from rushlight.runtime import blas

TOLERANCE = {"float32": 2e-5, "float64": 1e-13}


@pytest.fixture(autouse=True)
def two_threads_for_everything(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """However small the work, it is shared when two threads are allowed."""
    before = blas.allowed()
    native.forget()
    monkeypatch.setattr(native, "SHARED_WORK", 0)
    monkeypatch.setattr(native_batch, "_SHARED_WORDS", 0)
    monkeypatch.setattr(native_pixels, "_SHARED_PACK", 0)
    monkeypatch.setattr(native_conv, "_SHARED_PACK", 0)
    monkeypatch.setattr(native_pool, "_SHARED_WORK", 0)
    monkeypatch.setattr(native_norm, "_SHARED_WORK", 0)
    yield
    blas.set_threads(before)
    native.forget()


class Case:
    """Operands of one convolution: input, weight, bias, output gradient."""

    def __init__(self, rng: Any, dtype: str, x: Any, w: Any, how: Any) -> None:
        self.how = how  # stride, padding, dilation, groups
        self.size, self.kernel = x[2:], w[2:]
        self.x = rng.standard_normal(x).astype(dtype)
        self.w = rng.standard_normal(w).astype(dtype)
        self.bias = rng.standard_normal(w[0]).astype(dtype) if rng.integers(2) else None
        sizes = zip(self.size, self.kernel, *how[:3], strict=True)
        positions = [reference.out_size(*s) for s in sizes]
        self.g = rng.standard_normal((x[0], w[0], *positions)).astype(dtype)

    def describe(self) -> str:
        return f"{self.x.dtype} x {self.x.shape} w {self.w.shape} {self.how}"

    def last_channels(self) -> None:
        """Puts the channels of input and gradient last in memory."""
        self.x, self.g = (
            np.moveaxis(np.ascontiguousarray(np.moveaxis(a, 1, -1)), -1, 1)
            for a in (self.x, self.g)
        )

    def check(self) -> None:
        wide = [None if a is None else a.astype("f8") for a in (self.x, self.w, self.bias, self.g)]
        x, w, b, g = wide
        stride = self.how
        self._compare(
            "conv", [self.x, self.w, self.bias], stride, reference._conv(x, w, b, *stride)
        )
        attrs = (self.size, *stride)
        want = reference._conv_input(g, w, None, *attrs)
        self._compare("conv_input", [self.g, self.w, None], attrs, want)
        attrs = (self.kernel, *self.how)
        self._compare("conv_weight", [self.g, self.x], attrs, reference._conv_weight(g, x, *attrs))

    def _compare(self, name: str, operands: Any, attrs: Any, want: Any) -> None:
        results = []
        for threads in (1, 2):
            blas.set_threads(threads)
            results.append(native.run(name, operands, attrs)[0])
        assert results[0].dtype == self.x.dtype and results[0].shape == want.shape
        np.testing.assert_array_equal(*results, err_msg=f"threads: {name} {self.describe()}")
        error = np.abs(results[0] - want).max() / max(np.abs(want).max(), 1e-9)
        assert error < TOLERANCE[str(self.x.dtype)], f"{name} {self.describe()}: {error}"


def random_case(rng: Any) -> Case:
    """Any geometry: kernels outside the input, strides over kernels, groups, one to three axes."""
    axes = int(rng.choice([1, 2, 2, 2, 3]))
    groups, c, k = int(rng.choice([1, 1, 2, 3])), int(rng.integers(1, 7)), int(rng.integers(1, 20))
    if groups > 1 and rng.integers(2):  # one channel a group has kernels of its own
        groups, c, k = int(rng.integers(2, 12)), 1, 1

    def some(low: int, high: int) -> tuple[int, ...]:
        return tuple(int(v) for v in rng.integers(low, high, axes))

    kernel, stride, dilation, padding = some(1, 5), some(1, 5), some(1, 4), some(0, 6)
    extra = some(0, 20 if axes < 3 else 6)
    size = tuple(
        max(1, d * (m - 1) + 1 - 2 * p) + e
        for d, m, p, e in zip(dilation, kernel, padding, extra, strict=True)
    )
    n = int(rng.choice([1, 2, 8, 31, 40]))
    dtype = str(rng.choice(["float32", "float64"]))
    how = (stride, padding, dilation, groups)
    case = Case(rng, dtype, (n, c * groups, *size), (k * groups, c, *kernel), how)
    if rng.integers(2):
        case.last_channels()
    if rng.integers(3) == 0:
        case.w = np.asfortranarray(case.w)
    return case


@pytest.mark.parametrize("seed", range(8))
def test_random_geometries(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(30):
        random_case(rng).check()


class PoolCase:
    """Operands of one maximum pooling, of any geometry in which every window sees an element."""

    def __init__(self, rng: Any) -> None:
        axes = int(rng.choice([1, 2, 2]))
        while True:
            kernel, stride, dilation = (
                tuple(int(v) for v in rng.integers(1, high, axes)) for high in (5, 5, 4)
            )
            padding = tuple(int(rng.integers(0, k // 2 + 1)) for k in kernel)
            size = tuple(
                max(1, d * (k - 1) + 1 - 2 * p) + int(rng.integers(0, 40))
                for d, k, p in zip(dilation, kernel, padding, strict=True)
            )
            self.attrs = (kernel, stride, padding, dilation, bool(rng.integers(2)))
            if native_pool._axes(size, self.attrs) is not None:
                break
        dtype = str(rng.choice(["float32", "float64"]))
        x = rng.integers(-4, 4, (int(rng.integers(1, 4)), int(rng.integers(1, 9)), *size))
        self.x = x.astype(dtype)  # whole numbers: many are equal
        if rng.integers(3) == 0:
            self.x[rng.random(x.shape) < 0.1] = np.nan
        if rng.integers(3) == 0:
            self.x[rng.random(x.shape) < 0.6] = -np.inf
        self.rng = rng

    def check(self) -> None:
        want, places = pool_reference._max_pool(self.x, *self.attrs)
        g = self.rng.integers(-9, 9, want.shape).astype(self.x.dtype)  # sums are exact
        back = (self.x.shape, False)
        for threads in (1, 2):
            blas.set_threads(threads)
            best, where = native.run("max_pool", [self.x], self.attrs)
            np.testing.assert_array_equal(best, want)
            np.testing.assert_array_equal(where, places)
            (spread,) = native.run("plane_scatter", [g, places], back)
            np.testing.assert_array_equal(spread, pool_reference._scatter_kernel(g, places, *back))


def test_windows_of_two_by_two() -> None:
    rng = np.random.default_rng(9)
    case = PoolCase(rng)
    for height, width in ((2, 2), (9, 65), (14, 30), (8, 8), (5, 131), (3, 32)):
        for dtype in ("float32", "float64"):
            case.attrs = ((2, 2), (2, 2), (0, 0), (1, 1), bool(width % 2))
            case.x = rng.integers(-4, 4, (3, 5, height, width)).astype(dtype)
            case.x[rng.random(case.x.shape) < 0.1] = np.nan
            case.x[rng.random(case.x.shape) < 0.1] = -np.inf
            case.check()


@pytest.mark.parametrize("seed", range(4))
def test_random_poolings(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(40):
        case = PoolCase(rng)
        if rng.integers(2):
            last = np.ascontiguousarray(np.moveaxis(case.x, 1, -1))
            case.x = np.moveaxis(last, -1, 1)
        case.check()


def check_normalisation(rng: Any, x: Any, training: bool) -> None:
    """Forward and backward against NumPy in float64; float32 results are within 1e-5 of them."""
    c, dtype = x.shape[1], x.dtype
    w, b, mean, var, g = (rng.standard_normal(size).astype(dtype) for size in (c, c, c, c, x.shape))
    if rng.integers(2):
        w = b = None
    var, eps = np.abs(var), 1e-2
    scale = (1 / np.sqrt(var + eps)).astype(dtype)
    given = [None, None] if training else [mean, var]

    def double(arrays: Any) -> Any:
        return [None if a is None else a.astype("f8") for a in arrays]

    forward, backward = [x, w, b, *given], [g, x, w, mean, scale]
    wanted = [
        norm_reference._batch_norm(*double(forward), training, eps),
        norm_reference._batch_gradients(*double(backward), training),
    ]
    results: list[list[Any]] = []
    for threads in (1, 2):
        blas.set_threads(threads)
        results.append(
            native.run("batch_norm", forward, (training, eps))
            + native.run("batch_norm_backward", backward, (training,))
        )
    for one, two, want in zip(*results, wanted[0] + wanted[1], strict=True):
        np.testing.assert_array_equal(one, two)
        assert one.shape == want.shape
        near = 1e-5 if dtype == np.float32 else 1e-12
        np.testing.assert_allclose(one, want, 0, near * max(1.0, np.abs(want).max(initial=0)))


@pytest.mark.parametrize("training", [True, False])
def test_batch_normalisation(training: bool) -> None:
    rng = np.random.default_rng(5)
    for _ in range(60):
        n, c = int(rng.integers(1, 7)), int(rng.choice([1, 2, 5, 16, 37]))
        sizes = [tuple(rng.integers(1, high, 1 + high % 3)) for high in (199, 30, 6)]
        shape = (n, c, *sizes[rng.integers(3)])
        dtype = str(rng.choice(["float32", "float64"]))
        check_normalisation(rng, (rng.standard_normal(shape) + 3).astype(dtype), training)


def test_normalisation_of_many_elements_stays_exact() -> None:
    rng = np.random.default_rng(6)
    check_normalisation(rng, (rng.standard_normal((9, 2, 300, 301)) + 3).astype("f4"), True)


def test_windows_without_elements_stay_with_numpy() -> None:
    attrs = ((2,), (1,), (1,), (2,), False)
    assert native_pool._axes((1,), attrs) is None
    assert native_pool._axes((2,), attrs) is not None


def test_bad_places_raise() -> None:
    g = np.ones((1, 2, 100, 100), "f4")
    for bad in (-1, 10_000):
        places = np.zeros(g.shape, np.int64)
        places[0, 1, 3, 4] = bad
        with pytest.raises(RuntimeError, match=f"invalid max index: {bad}"):
            native.run("plane_scatter", [g, places], (g.shape, False))


def test_every_native_operator_is_listed() -> None:
    assert set(native._table()) >= NATIVE


PLAIN = ((1, 1), (1, 1), (1, 1), 1)


@pytest.mark.parametrize("k", [1, 7, 8, 9, 16, 17, 33])
@pytest.mark.parametrize("columns", [1, 15, 16, 17, 47, 48, 49, 97])
def test_around_the_edges_of_tiles(k: int, columns: int) -> None:
    rng = np.random.default_rng(k * columns)
    Case(rng, "float32", (2, 3, 2, columns), (k, 3, 3, 3), PLAIN).check()


def test_long_sums_are_cut_in_blocks() -> None:
    rng = np.random.default_rng(0)
    Case(rng, "float32", (1, 200, 6, 6), (20, 200, 3, 3), PLAIN).check()
    Case(rng, "float32", (2, 160, 9, 9), (130, 160, 5, 5), ((2, 1), (2, 2), (1, 1), 1)).check()
    Case(rng, "float32", (33, 150, 4, 3), (40, 150, 3, 3), ((1, 2), (1, 1), (1, 1), 1)).check()
    Case(rng, "float64", (70, 70, 2, 2), (70, 70, 3, 3), PLAIN).check()
    Case(rng, "float32", (16, 300, 1, 1), (50, 300, 3, 3), PLAIN).check()


def test_narrow_planes_take_tiles_of_two_rows() -> None:
    rng = np.random.default_rng(2)
    how = ((2, 3), (1, 3), (1, 2), 1)
    Case(rng, "float64", (5, 64, 11, 9), (31, 64, 3, 3), how).check()
    Case(rng, "float32", (3, 40, 9, 5), (32, 40, 3, 3), PLAIN).check()


def test_large_images_are_cut_in_bands() -> None:
    rng = np.random.default_rng(1)
    Case(rng, "float32", (2, 8, 120, 150), (6, 8, 3, 3), PLAIN).check()
    Case(rng, "float32", (1, 16, 90, 301), (4, 16, 3, 3), ((2, 2), (0, 1), (2, 3), 1)).check()
    Case(rng, "float32", (2, 3, 5000), (5, 3, 9), ((2,), (4,), (1,), 1)).check()
    Case(rng, "float64", (1, 2, 9001), (3, 2, 4), ((1,), (1,), (3,), 1)).check()


@pytest.mark.parametrize("vector_bytes", [16, 32, 64])
def test_narrower_hosts(vector_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    if engine.host().vector_bytes < vector_bytes:
        pytest.skip("this host has no such vectors")

    def narrow(itemsize: int) -> VectorType:
        return VectorType(itemsize, vector_bytes // itemsize)

    def forget() -> None:
        native_conv._functions.cache_clear()
        native_conv._weight_function.cache_clear()
        native_conv._depthwise_functions.cache_clear()
        native_conv._fill_function.cache_clear()
        native_batch._function.cache_clear()
        native_weight._functions.cache_clear()
        native_pixels._function.cache_clear()
        native_pixels._pack_function.cache_clear()
        native_batch.turn_function.cache_clear()
        native_pool._function.cache_clear()
        native_pool._pairs_function.cache_clear()
        native_norm._functions.cache_clear()
        native.forget()

    forget()
    monkeypatch.setattr(native, "vector_type", narrow)
    monkeypatch.setattr(engine.host(), "vector_bytes", vector_bytes)
    try:
        rng = np.random.default_rng(vector_bytes)
        for _ in range(10):
            random_case(rng).check()
            PoolCase(rng).check()
            check_normalisation(rng, rng.standard_normal((2, 3, 37)).astype("f4"), True)
        Case(rng, "float32", (2, 5, 13, 14), (9, 5, 3, 3), PLAIN).check()
    finally:
        forget()


@pytest.mark.skipif(sys.platform != "linux", reason="memory protection is set by libc's mprotect")
def test_nothing_outside_the_operands_is_touched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Operands and results lie between pages that may not be touched, at either end."""
    kept: list[mmap.mmap] = []

    def guarded(shape: Any, dtype: Any, at_end: bool) -> Any:
        nbytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
        page = mmap.PAGESIZE
        pages = -(-nbytes // page)
        memory = mmap.mmap(-1, (pages + 2) * page)
        kept.append(memory)
        start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        for forbidden in (start, start + (pages + 1) * page):
            protect = ctypes.CDLL(None).mprotect
            assert protect(ctypes.c_void_p(forbidden), ctypes.c_size_t(page), 0) == 0
        offset = (pages + 1) * page - nbytes if at_end else page
        return np.frombuffer(memory, dtype, int(np.prod(shape)), offset).reshape(shape)

    rng = np.random.default_rng(3)
    for at_end in (False, True):
        monkeypatch.setattr(
            native, "_new", lambda shape, dtype, end=at_end: guarded(shape, dtype, end)
        )
        for _ in range(12):
            case = random_case(rng)
            for name in ("x", "w", "g"):
                copy = guarded(getattr(case, name).shape, case.x.dtype, at_end)
                copy[...] = getattr(case, name)
                setattr(case, name, copy)
            case.check()
            pooling = PoolCase(rng)
            copy = guarded(pooling.x.shape, pooling.x.dtype, at_end)
            copy[...] = pooling.x
            pooling.x = copy
            pooling.check()
            copy = guarded((2, 3, 45), np.dtype("f4"), at_end)
            copy[...] = rng.standard_normal(copy.shape)
            check_normalisation(rng, copy, True)


def test_two_python_threads_at_once() -> None:
    rng = np.random.default_rng(7)
    cases = [Case(rng, "float32", (2, c, 20, 20), (9, c, 3, 3), PLAIN) for c in (3, 5)]
    blas.set_threads(2)
    wrong: list[Any] = []

    def work(case: Case) -> None:
        want = native.run("conv", [case.x, case.w, None], PLAIN)[0]
        weight = native.run("conv_weight", [case.g, case.x], (case.kernel, *PLAIN))[0]
        for _ in range(50):
            got = native.run("conv", [case.x, case.w, None], PLAIN)[0]
            dw = native.run("conv_weight", [case.g, case.x], (case.kernel, *PLAIN))[0]
            if not (np.array_equal(got, want) and np.array_equal(dw, weight)):
                wrong.append(case.describe())

    hands = [threading.Thread(target=work, args=(case,)) for case in cases]
    for hand in hands:
        hand.start()
    for hand in hands:
        hand.join()
    assert not wrong


def test_special_values_reach_exactly_their_windows() -> None:
    rng = np.random.default_rng(4)
    for value in (np.nan, np.inf, -np.inf):
        for place in range(0, 17 * 18, 7):
            case = Case(rng, "float32", (1, 2, 17, 18), (3, 2, 3, 3), PLAIN)
            case.x[0, 1].reshape(-1)[place] = value
            got = native.run("conv", [case.x, case.w, None], PLAIN)[0]
            want = reference._conv(case.x, case.w, None, *PLAIN)
            np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
            np.testing.assert_array_equal(np.isinf(got), np.isinf(want))
    zeros = np.full((1, 2, 17, 18), -0.0, "f4")
    got = native.run("conv", [zeros, case.w, None], PLAIN)[0]
    want = reference._conv(zeros, case.w, None, *PLAIN)
    np.testing.assert_array_equal(np.signbit(got), np.signbit(want))


def test_operators_use_them(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    real = native.launch

    def counted(*arguments: Any) -> None:
        made.append("run")
        real(*arguments)

    monkeypatch.setattr(native, "launch", counted)
    x = rl.rand(4, 8, 20, 20, requires_grad=True)
    w = rl.rand(16, 8, 3, 3, requires_grad=True)
    y = rl.nn.functional.conv2d(x, w, padding=1)
    assert len(made) == 2  # packing and convolving
    y.sum().backward()
    assert len(made) > 2
    made.clear()
    rl.nn.functional.conv2d(rl.rand(1, 1, 5, 5), rl.rand(1, 1, 3, 3))  # small: NumPy serves
    rl.nn.functional.conv2d(rl.rand(0, 8, 20, 20), w)
    assert not made


def test_channels_last_results_keep_their_layout() -> None:
    x = rl.rand(4, 8, 20, 20).to(memory_format=rl.channels_last)
    w = rl.rand(16, 8, 3, 3)
    y = rl.nn.functional.conv2d(x, w)
    assert y.is_contiguous(memory_format=rl.channels_last)
    plain = rl.nn.functional.conv2d(x.contiguous(), w)
    assert rl.equal(y, plain)


def test_they_can_be_turned_off() -> None:
    script = (
        "import sys, rushlight as rl\n"
        "rl.nn.functional.conv2d(rl.rand(4, 8, 20, 20), rl.rand(16, 8, 3, 3))\n"
        "print('llvmlite' in sys.modules)\n"
    )
    for value, used in (("0", "False"), ("1", "True")):
        env = dict(os.environ, RUSHLIGHT_NATIVE=value)
        done = subprocess.run(
            [sys.executable, "-c", script], env=env, capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == used
