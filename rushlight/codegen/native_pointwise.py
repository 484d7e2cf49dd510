"""Large elementwise functions and softmax by compiled kernels.

In: C-contiguous float32 arrays of at least `MIN_SIZE` elements. Out: a new array. What is computed
is in ``compiler/kernels/pointwise.py``; here stand which records have such a kernel, when it
serves, and its call. Records are listed where it was measured at least 1.3 times as fast as NumPy
on one thread (``benchmarks/pointwise.py``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from rushlight.codegen import engine, native, vecmath
from rushlight.codegen.vecmath_lanes import Vec
from rushlight.compiler.kernels import pointwise
from rushlight.compiler.kernels.emit import VectorType

__all__ = ["KERNELS", "MIN_SIZE", "entry", "evaluate"]

MIN_SIZE = 1 << 14  # below, NumPy needs some tens of microseconds
_SHARED_SIZE = 1_000_000  # elements from which a second thread is worth waking


@lru_cache(maxsize=256)
def compiled(t: VectorType, what: str, numbers: int) -> int:
    """The address of the kernel for an expression of `pointwise.EXPRESSIONS`, or a softmax."""
    name = f"rl_map_{t.tag}_{hashlib.sha256(what.encode()).hexdigest()[:16]}"
    if what in ("softmax", "log_softmax"):
        logarithm = what == "log_softmax"
        engine.compile_ir(pointwise.softmax_module(t, name, vecmath, logarithm, Vec))
    else:
        expression = pointwise.EXPRESSIONS[what]

        def compute(*values: Vec) -> Vec:
            return expression(vecmath, *values)  # type: ignore[no-any-return]

        head = vecmath.declarations(t)
        engine.compile_ir(pointwise.elementwise_module(t, name, compute, numbers, Vec, head))
    return engine.address(name)


def _run(what: str, x: Any, numbers: tuple[float, ...], t: VectorType, columns: int) -> Any:
    out = np.empty(x.shape, x.dtype)
    given = np.array(numbers or (0,), x.dtype)
    kernel = compiled(t, what, len(numbers))
    place = native.address
    words = (place(x), place(out), columns, x.size // columns, place(given))
    block = np.array(words, np.int64)
    parts = native.allowed_threads() if x.size >= _SHARED_SIZE else 1
    native.launch(kernel, block, parts)
    return out


def evaluate(what: str, x: Any, *numbers: float, lanes: int = 0) -> Any:
    """An expression of all elements of a contiguous array with at least `lanes` elements.

    Args:
        what: a name in `pointwise.EXPRESSIONS`.
        lanes: elements of a vector; by default as many as the host's vectors hold.
    """
    t = VectorType(x.itemsize, lanes) if lanes else native.vector_type(x.itemsize)
    return _run(what, x, numbers, t, x.size)


def _large(x: Any) -> bool:
    return (
        type(x) is np.ndarray
        and x.size >= MIN_SIZE
        and x.dtype == np.float32
        and bool(x.flags.c_contiguous and x.flags.aligned)
    )


def _serves(operands: list[Any], attrs: tuple[Any, ...]) -> bool:
    return _large(operands[0])


def _kernel(name: str) -> Callable[[list[Any], tuple[Any, ...]], list[Any]]:
    """Runs a record whose attributes are numbers, or one word."""

    def run(operands: list[Any], attrs: tuple[Any, ...]) -> list[Any]:
        if attrs and isinstance(attrs[0], str):
            return [evaluate(f"{name} {attrs[0]}", operands[0])]
        return [evaluate(name, operands[0], *attrs)]

    return run


def _softmax_serves(operands: list[Any], attrs: tuple[Any, ...]) -> bool:
    x = operands[0]
    if not _large(x) or x.ndim == 0:
        return False
    dim, dtype = attrs
    if dtype is not None and dtype.numpy != x.dtype:
        return False
    return dim in (-1, x.ndim - 1) and x.shape[-1] >= 8


def _softmax(name: str) -> Callable[[list[Any], tuple[Any, ...]], list[Any]]:
    def run(operands: list[Any], attrs: tuple[Any, ...]) -> list[Any]:
        x = operands[0]
        return [_run(name, x, (), native.vector_type(x.itemsize), x.shape[-1])]

    return run


def entry(name: str) -> tuple[Callable[..., bool], native.Kernel]:
    """When the kernel of a record serves, and how it runs."""
    return _serves, _kernel(name)


_RECORDS = (
    *("expm1", "log1p", "tanh", "erf", "sigmoid", "silu", "log_sigmoid"),
    *("gelu", "mish", "softplus", "elu", "exp", "log"),
)
KERNELS = {
    **{name: entry(name) for name in _RECORDS},
    **{name: (_softmax_serves, _softmax(name)) for name in ("softmax", "log_softmax")},
}
