"""One call compiled and by its NumPy kernel: how far they may differ, and whether they do.

For the tests of tier 1 (`RUSHLIGHT_TIER=1`: every call a program of its own).  What a difference
may be follows from the call's graph: data and arithmetic keep NumPy's order, so they give the same
bits; a transcendental function alone is within 2 ulp of the true value; everything else (sums,
which have an order of their own, products, and what is made of several functions) is within a few
roundings of the largest number in the call.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from rushlight.compiler import counts, single
from rushlight.dtypes import from_numpy
from rushlight.ir import op as records
from rushlight.ir.graph import Value
from rushlight.runtime import blas, cpu
from rushlight.runtime.quiet import quietly

__all__ = [
    "check", "fast_flags", "notes", "operand", "reference", "same_bits", "special",
    "undeclared", "with_threads",
]  # fmt: skip

notes: list[str] = []  # for the summary of a test run
KINDS_WHOLE = ("scan", "sort", "opaque", "random")
SPECIAL = (np.nan, np.inf, -np.inf, 0.0, -0.0, 1.5, -2.5)
TRANSCENDENTAL = frozenset(
    "exp exp2 expm1 log log2 log10 log1p sin cos tan arcsin arccos arctan sinh cosh tanh arcsinh "
    "arccosh arctanh power float_power hypot arctan2 logaddexp logaddexp2 cbrt".split()
)
ULPS = 2
ROUNDINGS = {2: 2, 4: 64, 8: 4096}  # of composed results, by size; float64 has 12 digits to spare
_FAST = re.compile(
    r"^(?!\s*(?:;|declare)).*\b(fast|nnan|ninf|nsz|arcp|afn|reassoc|contract)\b", re.M
)


def operand(x: Any, dtype: Any = None) -> Any:
    """A sample's input as an array; floating ones in the dtype."""
    if not isinstance(x, (np.ndarray, np.generic)):
        return x
    x = np.asarray(x)
    return x.astype(dtype) if dtype is not None and x.dtype.kind == "f" else x


def reference(op: Any, plan: Any, operands: list[Any], attrs: Any) -> list[Any]:
    """What the NumPy kernel gives, in the dtypes and shapes of the plan."""
    placed = []
    for result, meta in zip(cpu.run(op, plan, operands, attrs), plan.outs, strict=True):
        out = np.empty(meta.shape, meta.dtype.numpy)
        quietly(cpu.cast_into, (out, result))
        placed.append(out)
    return placed


def _values(call: Any) -> list[Value]:
    return list(call.program.graph.values())


def _is_float(v: Value) -> bool:
    return v.dtype is not None and (v.dtype.kind == "f" or v.dtype.name == "bfloat16")


def allowance(call: Any) -> str:
    """``bits``, ``ulps`` or ``roundings``, by what the call's graph computes."""
    functions = others = 0
    for v in _values(call):
        if v.kind in ("kernel", "matmul"):
            return "roundings"
        if v.kind == "reduce" and v.attrs[0] in ("add", "multiply") and _is_float(v):
            return "roundings"
        if v.kind == "scatter" and v.attrs[0] == "add" and _is_float(v):
            return "roundings"
        if v.kind == "map" and v.attrs[0] in TRANSCENDENTAL:
            functions += 1
        elif v.kind == "map" and v.attrs[0] != "cast" and _is_float(v):
            others += 1
    if functions == 0:
        return "bits"
    return "ulps" if functions == 1 and others == 0 else "roundings"


def _whole(a: Any) -> Any:
    """The array; complex numbers of two halves as NumPy knows them."""
    return a.astype(np.complex64) if from_numpy(a.dtype).name == "complex32" else a


def same_bits(a: Any, b: Any) -> bool:
    """Whether the elements are the same, -0 and 0 told apart, any NaN like any other."""
    a, b = _whole(a), _whole(b)
    if a.dtype.kind not in "fc" and a.dtype.name != "bfloat16":
        return bool(np.array_equal(a, b))
    if a.dtype.kind == "c":
        return same_bits(a.real, b.real) and same_bits(a.imag, b.imag)
    nan = np.isnan(a)
    equal = (a == b) & (np.signbit(a) == np.signbit(b))
    return bool(np.all(np.where(nan, np.isnan(b), equal)))


def close(a: Any, b: Any, rtol: float, scale: float) -> None:
    wide = np.complex128 if a.dtype.kind == "c" else np.float64
    np.testing.assert_allclose(a.astype(wide), b.astype(wide), rtol=rtol, atol=rtol * scale)


def largest(arrays: list[Any]) -> float:
    """The largest finite number among arrays, at least 1."""
    found = 1.0
    for x in arrays:
        if isinstance(x, np.ndarray) and x.dtype.kind != "V":
            with np.errstate(all="ignore"):
                sizes = np.abs(x.astype(np.complex128 if x.dtype.kind == "c" else np.float64))
            found = max(found, float(sizes[np.isfinite(sizes)].max(initial=1.0)))
    return found


def compare(op: Any, call: Any, found: list[Any], wanted: list[Any], operands: list[Any]) -> None:
    """Fails unless the results differ by no more than the call's graph allows."""
    how = "bits" if call.opaque else allowance(call)
    for a, b in zip(found, wanted, strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype), op.name
        a, b = _whole(a), _whole(b)
        if a.dtype.kind not in "fc" and a.dtype.name != "bfloat16":
            np.testing.assert_array_equal(a, b, err_msg=op.name)
        elif not same_bits(a, b):
            assert how != "bits", f"{op.name}: {different(a, b)}"
            real = a.dtype.itemsize // (2 if a.dtype.kind == "c" else 1)
            eps = {2: 2.0**-7, 4: 2.0**-23, 8: 2.0**-52}[real]
            if a.dtype == np.float16:
                eps = 2.0**-10
            if how == "ulps":  # theirs may be 1 ulp off as well, in float64 a little more
                close(a, b, (ULPS + 2) * eps, np.finfo(np.float32).tiny)
            else:
                close(a, b, ROUNDINGS[real] * eps, largest([*operands, *wanted]))


def different(a: Any, b: Any) -> str:
    """The first elements that differ."""
    pairs = [
        (i, x, y)
        for i, x, y in zip(np.ndindex(a.shape), a.flat, b.flat, strict=True)
        if not same_bits(np.asarray(x), np.asarray(y))
    ]
    return f"{len(pairs)} of {a.size} differ, first {pairs[:3]}"


def check(op: Any, plan: Any, operands: list[Any], attrs: Any) -> Any:
    """Runs a call both ways and compares; returns the compiled results.

    Where the kernel refuses its operands, the program must fail in the same way.
    """
    try:
        wanted = reference(op, plan, operands, attrs)
    except Exception as refusal:
        try:
            single.run(op, plan, operands, attrs)
        except type(refusal):
            return None
        raise AssertionError(f"{op.name} refused {refusal!r} only when not compiled") from refusal
    found = single.run(op, plan, operands, attrs)
    compare(op, single.program_of(op, plan, operands, attrs), found, wanted, operands)
    return found


def undeclared() -> list[str]:
    """Records of which calls ran whole in programs, or eagerly, though they do not say so."""
    ran = counts.snapshot()
    plain = [name for name in ran["opaque"] if not name.endswith(" (complex)")]
    found = [records.get(name) for name in plain]
    whole = [op.name for op in found if op.kind not in KINDS_WHOLE and not op.whole]
    return [*whole, *ran["eager"]]


def with_threads(count: int, f: Any) -> Any:
    """f() with so many threads allowed."""
    before = blas.allowed()
    blas.set_threads(count)
    try:
        return f()
    finally:
        blas.set_threads(before)


def fast_flags(ir: str) -> list[str]:
    """Lines of LLVM IR that have a fast-math flag."""
    return [m.group(0) for m in _FAST.finditer(ir)]


def special(count: int, dtype: Any, lanes: int = 16) -> list[Any]:
    """Operands whose elements bring every tuple of special values through every lane."""
    size = len(SPECIAL) ** count
    at = np.arange(size * lanes + 3)
    which = (at // lanes + at % lanes) % size
    table = np.array(SPECIAL, dtype)
    return [table[which // len(SPECIAL) ** i % len(SPECIAL)] for i in range(count)]
