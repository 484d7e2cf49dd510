"""Large elementwise functions, softmax and layer normalisation by compiled kernels.

In: C-contiguous float32 arrays of at least `MIN_SIZE` elements. Out: a new array. What is computed
is in ``compiler/kernels/pointwise.py`` and ``rows.py``; here stand when a kernel serves, and its
call. A record has one (`codegen.NATIVE_LARGE`) where it was measured at least 1.3 times as fast as
NumPy on one thread (``benchmarks/pointwise.py``).
"""

from __future__ import annotations

import hashlib
import math
import sys
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from rushlight.codegen import NATIVE_LARGE, engine, native, vecmath
from rushlight.codegen.vecmath_lanes import Vec
from rushlight.compiler.kernels import pointwise, rows
from rushlight.compiler.kernels.emit import VectorType

__all__ = ["KERNELS", "MIN_SIZE", "entry", "evaluate"]

MIN_SIZE = 1 << 14  # elements; a call costs about 4 us besides its work
# Where NumPy is quick itself (vectorised exp), only larger arrays gain.
LARGER = {
    **dict.fromkeys(("exp", "exp2", "silu", "log_sigmoid", "gelu tanh"), 1 << 16),
    "sigmoid": 1 << 17,
}
# NumPy for Linux has vector functions for AVX-512 that are as fast as ours (tanh, log2: faster).
# Without them (NPY_DISABLE_CPU_FEATURES) it takes 2 to 40 times as long as the compiled kernel.
_QUICK_IN_NUMPY = frozenset(("cos", "expm1", "log", "log1p", "log2", "sin", "tanh"))
_LEAST_ROW = 8  # elements of a row of softmax
_SHARED_SIZE = 1_000_000  # elements from which a second thread is worth waking


@lru_cache(maxsize=256)
def compiled(t: VectorType, what: str, numbers: int) -> int:
    """The address of the kernel for an expression of `pointwise.EXPRESSIONS`, or a softmax."""
    name = f"rl_map_{t.tag}_{hashlib.sha256(what.encode()).hexdigest()[:16]}"
    if what in ("softmax", "log_softmax"):
        logarithm = what == "log_softmax"
        engine.compile_ir(rows.softmax_module(t, name, vecmath, logarithm, Vec))
    elif what.startswith("layer_norm"):
        affine = ("weight" in what, "bias" in what)
        engine.compile_ir(rows.layer_norm_module(t, name, vecmath, affine, Vec))
    else:
        expression = pointwise.EXPRESSIONS[what]

        def compute(*values: Vec) -> Vec:
            return expression(vecmath, *values)  # type: ignore[no-any-return]

        head = vecmath.declarations(t)
        engine.compile_ir(pointwise.elementwise_module(t, name, compute, numbers, Vec, head))
    return engine.address(name)


@lru_cache(maxsize=256)
def _prepared(what: str, itemsize: int, lanes: int, numbers: tuple[float, ...]) -> tuple[int, Any]:
    """The address of a kernel and its argument block, still without arrays."""
    t = VectorType(itemsize, lanes) if lanes else native.vector_type(itemsize)
    block = np.zeros(pointwise.NUMBERS + len(numbers), np.int64)
    for i, number in enumerate(numbers):
        word = block[pointwise.NUMBERS + i :].view(f"f{itemsize}")
        word[0] = number
    return compiled(t, what, len(numbers)), block


def _run(
    what: str, x: Any, numbers: tuple[float, ...] = (), columns: int = 0, lanes: int = 0
) -> Any:
    kernel, template = _prepared(what, x.itemsize, lanes, numbers)
    out = np.empty(x.shape, x.dtype)
    block = template.copy()
    columns = columns or x.size
    arrays = (native.address(x), native.address(out))
    block[: pointwise.NUMBERS] = (*arrays, columns, x.size // columns)
    native.launch(
        kernel, native.address(block), native.allowed_threads() if x.size >= _SHARED_SIZE else 1
    )
    return out


def evaluate(what: str, x: Any, *numbers: float, lanes: int = 0) -> Any:
    """An expression of all elements of a contiguous array with at least `lanes` elements.

    Args:
        what: a name in `pointwise.EXPRESSIONS`.
        lanes: elements of a vector; by default as many as the host's vectors hold.
    """
    return _run(what, x, numbers, lanes=lanes)


@lru_cache(maxsize=64)
def _worth(what: str) -> bool:
    """Whether this host gains: it has fused multiply-adds, and no such functions in NumPy."""
    host = engine.host()
    if not host.features.get("fma", not host.triple.startswith(("x86_64", "i686"))):
        return False
    quick = sys.platform == "linux" and host.vector_bytes == 64
    return not (quick and what in _QUICK_IN_NUMPY)


def _contiguous(x: Any, least: int) -> bool:
    """Whether this is an array of floats in order, with so many elements."""
    if type(x) is not np.ndarray or x.size < least or x.dtype != np.float32:
        return False
    return bool(x.flags.c_contiguous and x.flags.aligned)


def _expression(name: str, attrs: tuple[Any, ...]) -> tuple[str, tuple[Any, ...]]:
    """The expression for a record's attributes, which are numbers or a word; and the numbers."""
    return (f"{name} {attrs[0]}", ()) if attrs and isinstance(attrs[0], str) else (name, attrs)


def entry(name: str) -> tuple[Callable[..., bool], native.Kernel]:
    """When the kernel of an elementwise record serves, and how it runs."""

    def serves(operands: list[Any], attrs: tuple[Any, ...]) -> bool:
        what = _expression(name, attrs)[0]
        return _contiguous(operands[0], LARGER.get(what, MIN_SIZE)) and _worth(what)

    def run(operands: list[Any], attrs: tuple[Any, ...]) -> list[Any]:
        what, numbers = _expression(name, attrs)
        return [_run(what, operands[0], numbers)]

    return serves, run


def _softmax_serves(operands: list[Any], attrs: tuple[Any, ...]) -> bool:
    x, (dim, dtype) = operands[0], attrs
    if not _contiguous(x, MIN_SIZE) or (dtype is not None and dtype.numpy != x.dtype):
        return False
    return dim in (-1, x.ndim - 1) and x.shape[-1] >= _LEAST_ROW and _worth("softmax")


def _softmax(name: str) -> native.Kernel:
    def run(operands: list[Any], attrs: tuple[Any, ...]) -> list[Any]:
        x = operands[0]
        return [_run(name, x, columns=x.shape[-1])]

    return run


def _layer_norm_serves(operands: list[Any], attrs: tuple[Any, ...]) -> bool:
    x, *affine = operands
    if not _contiguous(x, MIN_SIZE) or math.prod(attrs[0]) < _LEAST_ROW:
        return False
    return all([v is None or _contiguous(v, 0) for v in affine]) and _worth("layer_norm")


def _layer_norm(operands: list[Any], attrs: tuple[Any, ...]) -> list[Any]:
    x, w, b = operands
    shape, eps = attrs
    columns = math.prod(shape)
    what = f"layer_norm{'' if w is None else ' weight'}{'' if b is None else ' bias'}"
    kernel, template = _prepared(what, x.itemsize, 0, (eps,))
    stat = (*x.shape[: x.ndim - len(shape)], *(1,) * len(shape))
    out, mean, scale = np.empty(x.shape, x.dtype), np.empty(stat, x.dtype), np.empty(stat, x.dtype)
    sizes = (columns, x.size // columns)
    given = [0 if v is None else native.address(v) for v in (w, b)]
    block = np.array(
        [
            *(native.address(x), native.address(out), *sizes, template[pointwise.NUMBERS]),
            *(*given, native.address(mean), native.address(scale)),
        ],
        np.int64,
    )
    native.launch(
        kernel, native.address(block), native.allowed_threads() if x.size >= _SHARED_SIZE else 1
    )
    return [out, mean, scale]


_ROWS = {
    "layer_norm": (_layer_norm_serves, _layer_norm),
    **{name: (_softmax_serves, _softmax(name)) for name in ("softmax", "log_softmax")},
}
KERNELS = {name: _ROWS.get(name) or entry(name) for name in NATIVE_LARGE}
