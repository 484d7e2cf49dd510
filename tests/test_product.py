"""Compiled matrix products against NumPy in float64.

The error of a sum of k products, relative to the sum of their magnitudes, is at most k roundings,
and much less where sums are made in blocks: at most 2 + sqrt(k) are allowed here. Results must be
bit-equal for any number of parts.
"""

from __future__ import annotations

import ctypes
import itertools
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import rushlight as rl
from rushlight.codegen import native, native_matmul, threads
from rushlight.codegen.bound import SCRATCH, Bound
from rushlight.codegen.native_matmul import bind

KERNEL = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
GUARD = 64  # elements around a result that must stay as they are


def launch(bounds: list[Bound], arrays: list[Any], parts: int) -> None:
    """Runs prepared launches; the scratch memory starts as NaN."""
    size = max([b.scratch for b in bounds], default=0)
    memory = np.full(size + 64, 255, np.uint8)
    start = native.address(memory)
    start += -start % 64
    for b in bounds:
        block = b.block.copy()
        for word, operand, offset in b.operands:
            base = start if operand == SCRATCH else native.address(arrays[operand])
            block[word] = base + offset
        for word, other in b.own:
            block[word] = native.address(block) + 8 * other
        for word in b.zeros:
            block[word] = 0
        if min(parts, b.parts) > 1:
            threads.pool(parts).run(b.kernel, native.address(block), min(parts, b.parts))
        else:
            KERNEL(b.kernel)(native.address(block), 0, 1)


def steps(array: Any) -> Any:
    """Strides in elements: of batch dimensions, rows, columns."""
    strides = [s // array.itemsize for s in array.strides]
    return tuple(strides[:-2]), strides[-2], strides[-1]


def operand(rng: Any, shape: tuple[int, ...], dtype: Any, layout: str) -> Any:
    """Random numbers, laid out in rows, in columns, or with gaps."""
    *batch, m, n = shape
    if layout == "columns":
        return np.swapaxes(rng.standard_normal((*batch, n, m)).astype(dtype), -1, -2)
    if layout == "gaps":
        return rng.standard_normal((*batch, 2 * m, 3 * n)).astype(dtype)[..., ::2, ::3]
    return rng.standard_normal(shape).astype(dtype)


class Product:
    """One product with all its operands."""

    def __init__(
        self, rng: Any, sizes: tuple[int, ...], dtype: Any, layouts: Any, batch: Any = ()
    ) -> None:
        m, n, k = self.sizes = sizes
        self.batch = batch = tuple(batch)
        self.layouts = layouts
        self.a = operand(rng, (*batch, m, k), dtype, layouts[0])
        self.b = operand(rng, (*batch, k, n), dtype, layouts[1])
        self.c_layout = layouts[2]
        self.dtype = np.dtype(dtype)
        self.bias = rng.standard_normal(n).astype(dtype) if rng.integers(2) else None
        self.relu = bool(rng.integers(2))

    def result(self, parts: int, lanes: int = 0, allowed: int = 3) -> Any:
        """C, computed in the middle of memory that must not be touched."""
        m, n, k = self.sizes
        extent = {"rows": m * n, "columns": m * n, "gaps": 6 * m * n}[self.c_layout]
        count = int(np.prod(self.batch, dtype=int)) * extent
        memory = np.full(count + 2 * GUARD, 7, self.dtype)
        inside = memory[GUARD : GUARD + count]
        if self.c_layout == "columns":
            c = np.swapaxes(inside.reshape(*self.batch, n, m), -1, -2)
        elif self.c_layout == "gaps":
            c = inside.reshape(*self.batch, 2 * m, 3 * n)[..., ::2, ::3]
        else:
            c = inside.reshape(*self.batch, m, n)
        c[...] = np.nan
        bounds = bind(
            self.dtype, self.batch, m, n, k, steps(self.a), steps(self.b), steps(c), allowed,
            bias=None if self.bias is None else 1, relu=self.relu, lanes=lanes,
        )  # fmt: skip
        launch(bounds, [self.a, self.b, c, self.bias], parts)
        found = c.copy()
        c[...] = 7
        assert (memory == 7).all(), f"written outside of C: {self}"
        return found

    def check(self, lanes: int = 0, parts: Any = (1, 2, 3)) -> None:
        found = [self.result(p, lanes) for p in parts]
        for other in found[1:]:
            np.testing.assert_array_equal(found[0], other, err_msg=f"parts: {self}")
        a, b = self.a.astype("f8"), self.b.astype("f8")
        want, size = a @ b, np.abs(a) @ np.abs(b)
        if self.bias is not None:
            want, size = want + self.bias, size + np.abs(self.bias)
        if self.relu:
            want = np.maximum(want, 0)
        allowed = (2 + self.sizes[2] ** 0.5) * np.finfo(self.dtype).eps * size
        assert (np.abs(found[0] - want) <= allowed).all(), str(self)

    def __str__(self) -> str:
        extras = (self.bias is not None, self.relu)
        return f"{self.dtype} {self.batch} {self.sizes} {self.layouts} bias, relu {extras}"


LAYOUTS = ("rows", "columns", "gaps")


@pytest.fixture(autouse=True)
def share_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    """However small the work, it is cut into parts."""
    monkeypatch.setattr(native_matmul, "_SHARED_WORK", 0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_layouts(dtype: str) -> None:
    rng = np.random.default_rng(0)
    for layouts in itertools.product(LAYOUTS, repeat=3):
        for sizes in ((5, 70, 33), (30, 49, 17), (4, 3, 200)):
            Product(rng, sizes, dtype, layouts).check()


@pytest.mark.parametrize("width", [0, 32, 16])
def test_sizes_around_tiles(width: int) -> None:
    """Rows, columns and depth one below, at and above the edges of tiles and vectors."""
    rng = np.random.default_rng(width)
    sizes = (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 23, 24, 25, 31, 33, 47, 48, 49, 64, 97, 130)
    for _ in range(250):
        dtype = np.dtype(rng.choice(["float32", "float64"]))
        m, n, k = (int(rng.choice(sizes)) for _ in range(3))
        batch = rng.integers(1, 4, int(rng.integers(0, 3)))
        layouts = [str(x) for x in rng.choice(LAYOUTS, 3)]
        lanes = width // dtype.itemsize
        Product(rng, (m, n, k), dtype, layouts, map(int, batch)).check(lanes, (1, 2))


def test_blocks() -> None:
    """More than one block of rows, columns and depth, and sums that are split."""
    rng = np.random.default_rng(1)
    for sizes in ((700, 100, 600), (30, 900, 1100), (3, 5, 70_001), (8, 20, 5000), (9, 4, 40_001)):
        for layouts in itertools.product(("rows", "columns"), repeat=2):
            Product(rng, sizes, "float32", (*layouts, "rows")).check(parts=(1, 2))


@pytest.mark.parametrize("width", [0, 32, 16])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_large_matrices_stream_through(
    dtype: str, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Few rows, or little depth; any alignment of C's rows."""
    monkeypatch.setattr(native_matmul, "_CACHE_BYTES", 4096)
    monkeypatch.setattr(native_matmul, "_STREAM_BYTES", 1024)
    monkeypatch.setattr(native_matmul, "_STREAMED_BYTES", 4096)
    rng = np.random.default_rng(6)
    lanes = width // np.dtype(dtype).itemsize
    for sizes in ((1, 700, 30), (2, 701, 31), (1, 40, 40_001), (40, 333, 1), (21, 350, 8)):
        for layout in LAYOUTS:
            Product(rng, sizes, dtype, (layout, "rows", "rows")).check(lanes, (1, 2))
            Product(rng, sizes, dtype, (layout, "rows", "gaps")).check(lanes, (1, 2))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_no_elements(dtype: str) -> None:
    rng = np.random.default_rng(2)
    for sizes, batch in (((3, 4, 0), ()), ((3, 4, 0), (2,))):
        for layout in LAYOUTS:
            Product(rng, sizes, dtype, ("rows", "rows", layout), batch).check()
    row = ((), 1, 1)
    assert bind(dtype, (), 0, 4, 3, row, row, row, 1) == []
    assert bind(dtype, (), 3, 0, 3, row, row, row, 1) == []
    assert bind(dtype, (2, 0), 3, 3, 3, *(((1, 1), 1, 1),) * 3, 1) == []


def test_batches_broadcast() -> None:
    rng = np.random.default_rng(3)
    batch = (2, 3, 1, 2, 2)
    product = Product(rng, (5, 20, 9), "float32", ("rows",) * 3, batch)
    product.a = np.broadcast_to(product.a[:1, :, :, :1], product.a.shape)
    product.b = np.broadcast_to(product.b[:, :1], product.b.shape)
    product.check()
    six = Product(rng, (2, 3, 4), "float64", ("rows",) * 3, (2,) * 6)
    six.a = six.a.transpose(5, 0, 4, 1, 3, 2, 6, 7)
    six.b = six.b.transpose(3, 1, 5, 4, 0, 2, 6, 7)
    six.check()


@pytest.mark.parametrize("sizes", [(4, 30, 20), (40, 50, 30), (1, 9, 33), (600, 9, 3)])
def test_special_values(sizes: tuple[int, int, int]) -> None:
    """NaN and infinities reach the elements they belong to, and no others."""
    rng = np.random.default_rng(4)
    for layouts in itertools.product(("rows", "columns"), repeat=3):
        product = Product(rng, sizes, "float32", layouts)
        product.a[-1, 0], product.b[-1, -1] = np.inf, np.nan
        product.relu = False
        want = product.a.astype("f8") @ product.b.astype("f8")
        found = product.result(2)
        np.testing.assert_array_equal(np.isnan(found), np.isnan(want))
        np.testing.assert_array_equal(np.isposinf(found), np.isposinf(want))
        np.testing.assert_array_equal(np.isneginf(found), np.isneginf(want))
        product.relu = True
        np.testing.assert_array_equal(np.isnan(product.result(2)), np.isnan(want))


def test_bits_do_not_depend_on_the_threads_allowed() -> None:
    rng = np.random.default_rng(5)
    for sizes in ((3, 4, 50_000), (300, 200, 700), (2, 2000, 3000), (500, 600, 3)):
        for layouts in itertools.product(("rows", "columns"), repeat=2):
            product = Product(rng, sizes, "float32", (*layouts, "rows"))
            found = [product.result(2, allowed=n) for n in (1, 2, 5)]
            np.testing.assert_array_equal(found[0], found[1], err_msg=str(product))
            np.testing.assert_array_equal(found[0], found[2], err_msg=str(product))


def test_a_bias_with_gaps_is_refused() -> None:
    with pytest.raises(ValueError, match="contiguous"):
        bind("float32", (), 2, 3, 4, ((), 4, 1), ((), 3, 1), ((), 3, 1), 1, bias=2)


# The records, through the dispatcher


def records(dtype: Any) -> list[Any]:
    """Calls that are large enough for two threads of NumPy's BLAS."""
    torch_like = dict(dtype=dtype)
    rl.manual_seed(0)
    a, b = rl.randn(300, 260, **torch_like), rl.randn(260, 250, **torch_like)
    c, d = rl.randn(6, 200, 90, **torch_like), rl.randn(6, 90, 170, **torch_like)
    bias, base = rl.randn(250, **torch_like), rl.randn(300, 250, **torch_like)
    w = rl.randn(170, 90, **torch_like)
    v, long = rl.randn(900, **torch_like), rl.randn(1 << 20, **torch_like)
    wide = rl.randn(1200, 900, **torch_like)
    linear = rl.nn.functional.linear
    return [
        a @ b,
        b.t() @ a.t(),
        rl.addmm(bias, a, b),
        rl.addmm(base, a, b, beta=0.5, alpha=2),
        rl.bmm(c, d),
        c @ w.t(),
        rl.baddbmm(rl.ones(170, **torch_like), c, d, beta=2),
        rl.addbmm(rl.zeros(200, 170, **torch_like), c, d),
        linear(a, b.t().contiguous(), bias),
        linear(c, w, w[:, 0].contiguous()),
        linear(c.transpose(0, 1), w),
        linear(c[0], w[0]),
        rl.mv(wide, v),
        rl.addmv(wide[:, 0], wide, v, beta=-1),
        rl.dot(long, long),
    ]


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_records(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """NumPy's results, and the same bits on one thread and on two."""
    before = rl.get_num_threads()
    kind = getattr(rl, dtype)
    found = []
    try:
        for threads in (1, 2):
            rl.set_num_threads(threads)
            found.append(records(kind))
        monkeypatch.setattr(native, "enabled", False)
        want = records(kind)
    finally:
        rl.set_num_threads(before)
    tolerance = {"float32": 2e-5, "float64": 1e-13, "bfloat16": 1e-2}[dtype]
    for i, (one, two, reference) in enumerate(zip(*found, want, strict=True)):
        assert rl.equal(one, two), i
        assert one.shape == reference.shape and one.stride() == reference.stride(), i
        scale = float(reference.abs().max())
        assert float((one - reference).abs().max()) <= tolerance * scale, i


def test_small_products_compile_nothing() -> None:
    """The compiler is not even loaded for them."""
    code = (
        "import sys, rushlight as rl; rl.ones(20, 30) @ rl.ones(30, 20); "
        "rl.nn.Linear(100, 50)(rl.ones(4, 100)).sum().backward(); "
        "assert 'llvmlite' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
