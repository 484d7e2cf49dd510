"""Prepared launches of kernels, run by hand: the same bits as eager calls, in one part or two.

Scratch memory and results start as NaN, so that what a kernel reads before it wrote shows.
"""

from __future__ import annotations

import ctypes
import threading
from typing import Any

import numpy as np
import pytest

from rushlight import dtypes
from rushlight.codegen import native, native_batch, native_conv, native_norm, native_pool
from rushlight.codegen.bound import SCRATCH
from rushlight.ir.meta import meta
from rushlight.ops import conv as conv_ops
from rushlight.ops import norm as norm_ops
from rushlight.ops import pool as pool_ops

OPS = {
    op.name: op
    for op in (
        *(conv_ops.conv, conv_ops.conv_input, conv_ops.conv_weight),
        *(pool_ops.max_pool, pool_ops.plane_scatter),
        *(norm_ops.batch_norm, norm_ops.batch_norm_backward),
    )
}
DTYPES = {"float32": dtypes.float32, "float64": dtypes.float64, "int64": dtypes.int64}
_KERNEL = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)


@pytest.fixture(autouse=True)
def shared_however_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "SHARED_WORK", 0)
    monkeypatch.setattr(native_batch, "_SHARED_WORDS", 0)
    for module in (native_norm, native_pool):
        monkeypatch.setattr(module, "_SHARED_WORK", 0)
    monkeypatch.setattr(native_conv, "_SHARED_PACK", 0)


def meta_of(array: Any) -> Any:
    if array is None:
        return None
    steps = tuple(s // array.itemsize for s in array.strides)
    return meta(array.shape, DTYPES[str(array.dtype)], steps)


def launch(bound: Any, operands: list[Any], scratch: Any, parts: int) -> int:
    """Runs one launch, each part on a thread of its own; returns the word for bad inputs."""
    block = np.array(bound.block)
    for word in bound.zeros:
        block[word] = 0
    for word, other in bound.own:
        block[word] = block.ctypes.data + 8 * other
    for word, operand, offset in bound.operands:
        array = scratch if operand == SCRATCH else operands[operand]
        block[word] = array.__array_interface__["data"][0] + offset
    parts = min(parts, bound.parts)
    call = _KERNEL(bound.kernel)
    hands = [
        threading.Thread(target=call, args=(block.ctypes.data, part, parts))
        for part in range(parts)
    ]
    for hand in hands:
        hand.start()
    for hand in hands:
        hand.join()
    return int(block[bound.bad]) if bound.bad >= 0 else 0


def by_hand(name: str, operands: list[Any], attrs: tuple[Any, ...], parts: int) -> Any:
    """The results of the prepared launches, and whether they met bad inputs."""
    metas = [meta_of(a) for a in operands]
    outs = OPS[name].rule(*metas, *attrs)
    outs = getattr(outs, "outs", outs if isinstance(outs, list | tuple) else (outs,))
    outs = [m.like() for m in outs]  # row-major
    bounds = native.bind(name, metas, attrs, outs, 2)
    assert bounds, name
    results = []
    for m in outs:
        result = np.empty(m.shape, m.dtype.numpy)
        result.fill(-1 if m.dtype.kind == "i" else np.nan)
        results.append(result)
    room = max(b.scratch for b in bounds)
    memory = np.full(room // 8 + 9, np.nan)
    scratch = memory[-(memory.ctypes.data // 8) % 8 :]
    bad = [launch(b, [*operands, *results], scratch, parts) for b in bounds]
    return results, any(bad)


def check(name: str, operands: list[Any], attrs: tuple[Any, ...]) -> None:
    want = native.run(name, operands, attrs)
    for parts in (1, 2):
        got, bad = by_hand(name, operands, attrs, parts)
        assert not bad
        for a, b in zip(got, want, strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a, b, err_msg=f"{name} {attrs}")


def convolution(rng: Any) -> None:
    """The three records on one random geometry."""
    axes, dtype = int(rng.choice([1, 2, 2, 3])), str(rng.choice(["float32", "float64"]))
    groups, c, k = int(rng.choice([1, 1, 2])), int(rng.integers(1, 9)), int(rng.integers(1, 33))
    if rng.integers(4) == 0:
        groups, c, k = int(rng.integers(2, 9)), 1, 1
    kernel, stride, dilation, padding = (
        tuple(int(v) for v in rng.integers(low, high, axes))
        for low, high in ((1, 5), (1, 4), (1, 3), (0, 4))
    )
    size = tuple(
        max(1, d * (m - 1) + 1 - 2 * p) + int(rng.integers(0, 12))
        for d, m, p in zip(dilation, kernel, padding, strict=True)
    )
    x = rng.standard_normal((int(rng.choice([1, 2, 9, 16, 31])), c * groups, *size)).astype(dtype)
    w = rng.standard_normal((k * groups, c, *kernel)).astype(dtype)
    b = rng.standard_normal(k * groups).astype(dtype) if rng.integers(2) else None
    back = rng.standard_normal(c * groups).astype(dtype) if rng.integers(2) else None
    if rng.integers(2):
        x = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    how = (stride, padding, dilation, groups)
    check("conv", [x, w, b], how)
    g = rng.standard_normal(native.run("conv", [x, w, None], how)[0].shape).astype(dtype)
    check("conv_input", [g, w, back], (size, *how))
    check("conv_weight", [g, x], (kernel, *how))


@pytest.mark.parametrize("seed", range(4))
def test_convolutions(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for _ in range(10):
        convolution(rng)


def test_poolings() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        axes, dtype = int(rng.choice([1, 2])), str(rng.choice(["float32", "float64"]))
        kernel, stride = (tuple(int(v) for v in rng.integers(1, 4, axes)) for _ in range(2))
        padding = tuple(k // 2 for k in kernel)
        shape = (
            *(int(v) for v in rng.integers(1, 9, 2)),
            *(int(v) for v in rng.integers(3, 40, 2)),
        )
        x = rng.integers(-9, 9, shape[: 2 + axes]).astype(dtype)
        attrs = (kernel, stride, padding, (1,) * axes, bool(rng.integers(2)))
        check("max_pool", [x], attrs)
        best, places = native.run("max_pool", [x], attrs)
        check("plane_scatter", [best, places], (x.shape, False))


@pytest.mark.parametrize("training", [True, False])
def test_normalisations(training: bool) -> None:
    rng = np.random.default_rng(1)
    for shape in ((3, 5, 7), (2, 33, 4, 9), (9, 4, 1, 1), (6, 20), (64, 40, 2, 2)):
        for dtype in ("float32", "float64"):
            c = shape[1]
            x, g = (rng.standard_normal(shape).astype(dtype) for _ in range(2))
            w, b, mean = (rng.standard_normal(c).astype(dtype) for _ in range(3))
            var = (rng.random(c) + 1).astype(dtype)
            if rng.integers(2):
                w = b = None
            check("batch_norm", [x, w, b, mean, var], (training, 1e-5))
            check("batch_norm_backward", [g, x, w, mean, var], (training,))


def test_bad_places_are_reported() -> None:
    g, places = np.ones((1, 2, 50), "f4"), np.zeros((1, 2, 50), np.int64)
    places[0, 1, 3] = 50
    assert by_hand("plane_scatter", [g, places], (g.shape, False), 2)[1]
    places[0, 1, 3] = 49
    assert not by_hand("plane_scatter", [g, places], (g.shape, False), 2)[1]


def test_results_may_have_the_channels_last() -> None:
    rng = np.random.default_rng(2)
    x, w = (rng.standard_normal(s).astype("f4") for s in ((2, 5, 9, 11), (7, 5, 3, 3)))
    how = ((1, 1), (1, 1), (1, 1), 1)
    want = native.run("conv", [x, w, None], how)[0]
    result = np.moveaxis(np.full((2, 9, 11, 7), np.nan, "f4"), -1, 1)
    bounds = native.bind("conv", [meta_of(x), meta_of(w), None], how, [meta_of(result)], 1)
    assert bounds
    scratch = np.empty(bounds[0].scratch + 64, np.uint8)
    for bound in bounds:
        launch(bound, [x, w, None, result], scratch, 1)
    np.testing.assert_array_equal(result, want)


def test_where_no_kernel_serves() -> None:
    def bind(x: Any, w: Any) -> Any:
        how = ((1,), (0,), (1,), 1)
        return native.bind("conv", [x, w, None], how, [meta((1, 1, 4), x.dtype)], 1)

    f4, f8, f2 = dtypes.float32, dtypes.float64, dtypes.float16
    assert bind(meta((1, 1, 4), f4), meta((1, 1, 1), f4))
    assert bind(meta((1, 1, 4), f4), meta((1, 1, 1), f8)) is None
    assert bind(meta((1, 1, 4), f2), meta((1, 1, 1), f2)) is None
    assert bind(meta((0, 1, 4), f4), meta((1, 1, 1), f4)) is None
    m = meta((1, 1, 4), f4)
    assert native.bind("exp", [m], (), [m], 1) is None
