"""Fused loops against NumPy: every ufunc in every dtype, sizes round vector edges, reductions."""

from __future__ import annotations

import itertools
import re
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from loop_kernels import Build, compiled, elementwise, reduction, run

from rushlight.codegen import c_library, engine, loop_math, loops
from rushlight.compiler.loops import Kernel

BF16 = np.dtype(ml_dtypes.bfloat16)
HALF = np.dtype(np.float16)
FLOATS = [np.dtype(np.float32), np.dtype(np.float64), BF16]
if loops.supports(reduction("add", HALF, (), (1,), (1,))):  # the host can convert it
    FLOATS.append(HALF)
INTEGERS = [np.dtype(f"{u}int{n}") for u in ("", "u") for n in (8, 16, 32, 64)]
DTYPES = [np.dtype(bool), *INTEGERS, *FLOATS]
ARITHMETIC = (
    "add subtract multiply divide floor_divide remainder fmod maximum minimum fmax fmin copysign "
    "equal not_equal less less_equal greater greater_equal logical_and logical_or logical_xor "
    "bitwise_and bitwise_or bitwise_xor left_shift right_shift heaviside"
).split()
UNARY = (
    "negative positive absolute fabs sign square sqrt reciprocal floor ceil trunc rint signbit "
    "isnan isinf isfinite logical_not invert bitwise_count"
).split()
FUNCTIONS = (
    "exp exp2 expm1 log log1p log2 log10 sin cos tan tanh sinh cosh arcsin arccos arctan arcsinh "
    "arccosh arctanh cbrt deg2rad rad2deg"
).split()
FUNCTIONS_2 = "power arctan2 hypot logaddexp logaddexp2 nextafter".split()
# ulp of the result's type; NumPy's own functions are up to 4 off in float32
TOLERANCE = {"float16": 1.01, "bfloat16": 1.01, "float32": 4.5, "float64": 4.5}


def samples(dtype: Any) -> Any:
    """Numbers of a type with all that is special in it; as many as fill some vectors and a bit."""
    if dtype.kind == "b":
        return np.array([0, 1, 1, 0, 1] * 5, bool)
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        chosen = [0, 1, 2, 3, 5, 7, 8, 31, info.bits - 1, info.bits, info.max, info.max - 1]
        if info.min:
            chosen += [-1, -2, -3, -7, info.min, info.min + 1]
        return np.array(chosen, dtype)
    numbers = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5, -2.5, 3.0, -3.5, 0.1, 7.3, 88.0, -30.25]
    numbers += [np.nan, np.inf, -np.inf, 1e-6, -1e-3, 11.7]
    info = ml_dtypes.finfo(dtype)
    numbers += [float(info.max), float(info.tiny), float(info.smallest_subnormal)]
    return np.array(numbers).astype(dtype)


def pairs(a: Any, b: Any) -> list[Any]:
    left, right = zip(*itertools.product(range(len(a)), range(len(b))), strict=True)
    return [a[list(left)], b[list(right)]]


def cases(names: list[str], operands: int) -> list[tuple[str, Any, list[Any]]]:
    """The ufuncs that NumPy and the loops have, with their operands."""
    found = []
    for name, dtype in itertools.product(names, DTYPES):
        try:
            getattr(np, name).resolve_dtypes((*(dtype,) * operands, None))
        except TypeError:
            continue
        values = samples(dtype)
        arrays = [np.tile(values, 3)] if operands == 1 else pairs(values, values)
        if "shift" in name and dtype.kind != "b":  # NumPy shifts by negative counts as C does
            arrays[1] = np.abs(arrays[1] % (np.iinfo(dtype).bits + 3)).astype(dtype)
        if not loop_math.supports(name, (dtype,) * operands):
            continue
        found.append((name, dtype, arrays))
    return found


def results(found: list[tuple[str, Any, list[Any]]]) -> list[Any]:
    kernels = [elementwise(name, [d] * len(a), a[0].size) for name, d, a in found]
    outs = []
    for (_, _, arrays), kernel, f in zip(found, kernels, compiled(kernels), strict=True):
        out = np.zeros(arrays[0].size, kernel.buffers[-1])
        assert run(f, [*arrays, out]) == 0
        outs.append(out)
    return outs


def same_bits(a: Any, b: Any) -> bool:
    """Equal, signs of zeros included; NaN equals NaN."""
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    if a.dtype.kind in "biu":
        return bool(np.array_equal(a, b))
    wide_a, wide_b = a.astype(np.float64), b.astype(np.float64)
    nan = np.isnan(wide_a)
    same = (wide_a == wide_b) & (np.signbit(wide_a) == np.signbit(wide_b))
    return bool(np.all(np.where(nan, np.isnan(wide_b), same)))


@pytest.mark.parametrize("operands", [1, 2])
def test_arithmetic_gives_numpys_bits(operands: int) -> None:
    found = cases(UNARY if operands == 1 else ARITHMETIC, operands)
    assert len(found) > 100
    wrong = []
    for (name, dtype, arrays), out in zip(found, results(found), strict=True):
        with np.errstate(all="ignore"):
            expected = getattr(np, name)(*arrays)
        if name in ("fmax", "fmin"):  # which of two equal zeros is open
            out, expected = out + 0, expected + 0
        if not same_bits(out, expected):
            wrong.append((name, dtype.name))
    assert wrong == []


def ulps(out: Any, expected: Any) -> float:
    """The largest distance in units of the last place; infinite if NaN or signs differ."""
    dtype = out.dtype
    with np.errstate(all="ignore"):
        x, y = out.astype(np.float64), expected.astype(np.float64)
        info = ml_dtypes.finfo(dtype)
        place = np.exp2(np.floor(np.log2(np.maximum(np.abs(y), float(info.tiny)))))
        distance = np.abs(x - y) / (place * float(info.eps))
        distance = np.where((x == y) | (np.isnan(x) & np.isnan(y)), 0, distance)
        signs = np.isnan(x) | (np.signbit(x) == np.signbit(y))
    return float(np.max(np.where(np.isnan(distance) | ~signs, np.inf, distance)))


@pytest.mark.parametrize("operands", [1, 2])
def test_functions_are_close_to_numpys(operands: int) -> None:
    found = cases(FUNCTIONS if operands == 1 else FUNCTIONS_2, operands)
    wrong = []
    for (name, dtype, arrays), out in zip(found, results(found), strict=True):
        with np.errstate(all="ignore"):
            expected = getattr(np, name)(*arrays)
        if out.dtype.kind in "iub":
            off = 0.0 if np.array_equal(out, expected) else np.inf
        else:
            off = ulps(out, expected)
        if off > TOLERANCE.get(out.dtype.name, 0):
            wrong.append((name, dtype.name, off))
    assert wrong == []


@pytest.mark.parametrize("source", DTYPES, ids=str)
def test_casts_are_those_of_astype(source: Any) -> None:
    x = np.tile(samples(source), 2)
    kernels, targets = [], [d for d in DTYPES if d != source]
    for target in targets:
        b = Build()
        b.store(b.put("cast", [b.load(source, 0, (1,))], (), target), 1, (1,))
        kernels.append(Kernel((), (x.size,), (source, target), 0, (b.stage(),)))
    for target, f in zip(targets, compiled(kernels), strict=True):
        out = np.zeros(x.size, target)
        assert run(f, [x, out]) == 0
        with np.errstate(all="ignore"):
            expected = x.astype(target)
        assert same_bits(out, expected), (target, x[out != expected], out, expected)


@pytest.mark.parametrize("exponent", [0, 1, 2, 3, 4, -1, 0.5, -0.5, 1.7])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_constant_powers(exponent: float, dtype: str) -> None:
    x = np.concatenate([samples(np.dtype(dtype)), np.random.default_rng(0).normal(0, 9, 200)])
    x = x.astype(dtype)
    b = Build()
    b.store(b.op("power", b.load(dtype, 0, (1,)), b.const(exponent, dtype)), 1, (1,))
    kernel = Kernel((), (x.size,), (np.dtype(dtype),) * 2, 0, (b.stage(),))
    (f,) = compiled([kernel])
    out = np.zeros(x.size, dtype)
    assert run(f, [x, out]) == 0
    with np.errstate(all="ignore"):
        assert ulps(out, np.power(x, np.asarray(exponent, dtype))) <= 2


EDGES = [0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 53, 64, 100, 333]


@pytest.mark.parametrize("dtype", ["float32", "int64", "bool", "uint8", "bfloat16"])
@pytest.mark.parametrize("parts", [1, 3])
def test_sizes_round_vector_edges(dtype: str, parts: int) -> None:
    dtype = BF16 if dtype == "bfloat16" else np.dtype(dtype)
    kernels = [elementwise("multiply", [dtype, dtype], n) for n in EDGES]
    for n, f in zip(EDGES, compiled(kernels), strict=True):
        x = (np.arange(n) % 7 + 1).astype(dtype)
        y = (np.arange(n) % 5).astype(dtype)
        out = np.full(n + 2, 9).astype(dtype)
        before = out.copy()
        assert run(f, [x, y, out[1:]], parts=parts) == 0
        assert np.array_equal(out[1:-1], x * y)
        assert out[0] == before[0] and out[-1] == before[-1]


REDUCES = "add multiply maximum minimum argmax argmin".split()


@pytest.mark.parametrize("name", REDUCES)
@pytest.mark.parametrize("dtype", ["float32", "int64", "float64", "int8"])
@pytest.mark.parametrize("layout", ["rows", "columns"])
def test_reductions(name: str, dtype: str, layout: str) -> None:
    sizes = [(1, 1), (3, 2), (5, 15), (2, 16), (17, 17), (16, 33), (4, 53), (33, 130), (1, 700)]
    result = np.int64 if name.startswith("arg") else dtype
    kernels = []
    for rows, n in sizes:
        strides = (n, 1) if layout == "rows" else (1, rows)
        kernels.append(reduction(name, dtype, (rows,), (n,), strides, result))
    rng = np.random.default_rng(0)
    for (rows, n), f in zip(sizes, compiled(kernels), strict=True):
        wide = rng.standard_normal((rows, n)) * 50
        if name == "multiply":
            wide = np.sign(wide) * rng.uniform(0.8, 1.25, wide.shape)
        x = wide.astype(dtype)
        memory = np.ascontiguousarray(x if layout == "rows" else x.T)
        expected = (
            getattr(np, name)(x, axis=1)
            if name.startswith("arg")
            else (getattr(np, name).reduce(x, axis=1, dtype=dtype))
        )
        for parts in (1, 3):
            out = np.zeros(rows, result)
            assert run(f, [memory, out], parts=parts) == 0
            if x.dtype.kind == "f" and name in ("add", "multiply"):
                scale = np.abs(wide).sum(1) if name == "add" else np.abs(expected)
                eps = np.finfo(x.dtype).eps
                assert np.all(np.abs(out - expected) <= 4 * eps * scale * max(n, 4) ** 0.5)
            else:
                assert np.array_equal(out, expected), (rows, n)


def test_nothing_is_reassociated_or_fused() -> None:
    """No fast-math flag, and no multiply-add but in the vector mathematics."""
    kernels = [
        *[elementwise(n, ["float32", "float32"], 100) for n in ("add", "multiply", "power")],
        *[elementwise(n, ["float32"], 37) for n in ("exp", "log", "tanh", "sin", "sqrt")],
        *[reduction("add", d, (3,), (5000,), (5000, 1)) for d in ("float32", "float64")],
    ]
    text = loops.module([(f"k{i}", k) for i, k in enumerate(kernels)])
    flags = r"\b(fast|nnan|ninf|nsz|arcp|contract|afn|reassoc)\b"
    assert re.findall(flags, text) == []
    assert "fmuladd" not in text
    plain = loops.module([("k", elementwise("multiply", ["float32", "float32"], 100))])
    assert "fma" not in plain and engine.host().vector_bytes >= 16


def test_functions_that_the_system_lacks_are_known_beforehand() -> None:
    assert c_library.has("powf") and c_library.has("atan2")
    assert not c_library.has("rl_there_is_no_such_function")
    with pytest.raises(NotImplementedError):
        c_library.announce("rl_there_is_no_such_function")
