"""The records of matrix products on compiled kernels: mm, bmm, mv, dot, linear and their sums.

In: how arrays lie. Out: launches (`native_matmul.bind`), or for the records that add a scaled
matrix (addmm and its kin) the product's result, to which NumPy adds. Eager calls come here when
they are large enough (`runtime/cpu.py: WORTH_PRODUCT`): NumPy's BLAS may give other bits with
another number of threads, these kernels do not.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.codegen import native
from rushlight.codegen.native import Bindings, Entry
from rushlight.codegen.native_matmul import bind
from rushlight.codegen.native_plans import Layout
from rushlight.ops import matmul as records
from rushlight.runtime.quiet import quietly

__all__ = ["KERNELS", "SUMS"]

Ints = tuple[int, ...]


def _always(layouts: Any, attrs: Any) -> bool:
    return True  # the dispatcher has looked at the sizes


def _floats(layouts: list[Any], outs: Any) -> bool:
    """Whether all are float32 or all are float64."""
    dtype = layouts[0].dtype
    given = [x for x in (*layouts, *(outs or ())) if x is not None]
    return dtype.char in "fd" and all([x.dtype == dtype for x in given])


def _row_major(shape: Ints) -> Ints:
    return tuple([math.prod(shape[d + 1 :]) for d in range(len(shape))])


def _steps(shape: Ints, strides: Ints) -> tuple[Ints, int, int]:
    return strides[:-2], strides[-2], strides[-1]


def _result(outs: Any, shape: Ints, dtype: Any) -> tuple[Ints, tuple[Any, ...]]:
    """The strides of the result, and how it is made."""
    strides = outs[0].strides if outs else _row_major(shape)
    return strides, ((shape, dtype),)


def _matrices(layouts: list[Any], attrs: Any, outs: Any, threads: int) -> Bindings | None:
    """mm and bmm."""
    if not _floats(layouts, outs):
        return None
    a, b = layouts
    shape = (*a.shape[:-1], b.shape[-1])
    strides, results = _result(outs, shape, a.dtype)
    steps = [_steps(x.shape, x.strides) for x in (a, b)]
    c = _steps(shape, strides)
    (m, n), k = shape[-2:], a.shape[-1]
    launches = bind(a.dtype, a.shape[:-2], m, n, k, steps[0], steps[1], c, threads)
    return Bindings(launches, results) if launches else None


def _vector(layouts: list[Any], attrs: Any, outs: Any, threads: int) -> Bindings | None:
    """mv."""
    if not _floats(layouts, outs):
        return None
    a, v = layouts
    (m, k), strides = a.shape, _result(outs, a.shape[:1], a.dtype)[0]
    b, c = ((), v.strides[0], 1), ((), strides[0], 1)
    launches = bind(a.dtype, (), m, 1, k, _steps(a.shape, a.strides), b, c, threads)
    return Bindings(launches, (((m,), a.dtype),)) if launches else None


def _dot(layouts: list[Any], attrs: Any, outs: Any, threads: int) -> Bindings | None:
    """dot, and vdot of real vectors."""
    if not _floats(layouts, outs):
        return None
    x, y = layouts
    a, b, c = ((), 1, x.strides[0]), ((), y.strides[0], 1), ((), 1, 1)
    launches = bind(x.dtype, (), 1, 1, x.shape[0], a, b, c, threads)
    return Bindings(launches, (((), x.dtype),))


def _rows(x: Layout) -> tuple[Ints, Ints, int, int]:
    """The leading dimensions of a layer's input as batch and rows: sizes, strides, rows, stride."""
    if len(x.shape) == 1:
        return (), (), 1, 0
    sizes, strides = list(x.shape[:-1]), list(x.strides[:-1])
    while len(sizes) > 1 and strides[-2] == strides[-1] * sizes[-1]:
        size, stride = sizes.pop(), strides.pop()
        sizes[-1], strides[-1] = sizes[-1] * size, stride
    return tuple(sizes[:-1]), tuple(strides[:-1]), sizes[-1], strides[-1]


def _linear(layouts: list[Any], attrs: Any, outs: Any, threads: int) -> Bindings | None:
    """x W^T + bias."""
    x, w, bias = layouts
    if not _floats(layouts, outs) or (outs and not outs[0].contiguous):
        return None
    n = w.shape[0] if len(w.shape) == 2 else 1
    if bias is not None and (bias.shape != (n,) or len(w.shape) == 1):
        return None
    shape = (*x.shape[:-1], n) if len(w.shape) == 2 else x.shape[:-1]
    batch, leading, m, row = _rows(x)
    inner = _row_major((*batch, m, n))
    b = ((0,) * len(batch), w.strides[-1], w.strides[0] if len(w.shape) == 2 else 1)
    launches = bind(
        x.dtype, batch, m, n, x.shape[-1],
        (leading, row, x.strides[-1]), b, _steps(inner, inner), threads,
        bias=None if bias is None else 1,
    )  # fmt: skip
    # The bias is the third input, the result comes after it.
    place = (0, 1, 3, 2)
    moved = [
        one._replace(
            operands=tuple([(w, place[o] if o >= 0 else o, more) for w, o, more in one.operands])
        )
        for one in launches
    ]
    return Bindings(moved, ((shape, x.dtype),)) if moved else None


KERNELS = {
    "mm": Entry(_matrices, _always),
    "bmm": Entry(_matrices, _always),
    "mv": Entry(_vector, _always),
    "dot": Entry(_dot, _always),
    "vdot": Entry(_dot, _always),
    "linear": Entry(_linear, _always),
}


def _sum_of(product: str, batches_add: bool = False) -> tuple[Callable[..., bool], native.Kernel]:
    """beta * input + alpha * product, with the product from its kernel."""

    def serves(operands: list[Any], attrs: tuple[Any, ...]) -> bool:
        return native.find(product, operands[1:], ()) is not None

    def run(operands: list[Any], attrs: tuple[Any, ...]) -> list[Any]:
        base, a, b = operands
        kernel = native.find(product, [a, b], ())
        assert kernel is not None
        (made,) = kernel([a, b], ())
        if batches_add:
            made = made.sum(0)
        return [np.asarray(quietly(records.scaled_sum, (base, attrs[0], made, attrs[1])))]

    return serves, run


SUMS = {
    "addmm": _sum_of("mm"),
    "baddbmm": _sum_of("bmm"),
    "addbmm": _sum_of("bmm", batches_add=True),
    "addmv": _sum_of("mv"),
}
