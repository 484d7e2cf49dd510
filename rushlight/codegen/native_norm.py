"""Batch normalisation by compiled kernels (``compiler/kernels/norm.py``).

In: how arrays lie, and the attributes of `batch_norm` and `batch_norm_backward`. Out: launches.
"""

from __future__ import annotations

import math
import struct
from functools import lru_cache
from typing import Any

import numpy as np

from rushlight.codegen import engine, native
from rushlight.codegen.bound import Bound
from rushlight.codegen.native import Bindings, Entry
from rushlight.codegen.native_plans import Layout
from rushlight.compiler.kernels import norm, norm_short

__all__ = ["KERNELS"]

_MIN_WORK = 8_192  # elements; NumPy needs less than about 30 us for fewer
_SHARED_WORK = 100_000  # elements from which a second thread is worth waking


@lru_cache(maxsize=8)
def _functions(itemsize: int, short: bool) -> tuple[int, int]:
    """Addresses of the forward and the backward function."""
    t = native.vector_type(itemsize)
    kind = norm_short if short else norm
    engine.compile_ir(kind.module(t))
    return engine.address(kind.forward_name(t)), engine.address(kind.backward_name(t))


def _short(x: Layout) -> bool:
    """Whether rows of one channel would leave vectors empty; needs masked loads and stores."""
    t = native.vector_type(x.itemsize)
    return t.lanes * t.itemsize >= 32 and math.prod(x.shape[2:]) <= norm_short.MOST_POSITIONS


def _fits(layouts: list[Any], outs: Any) -> bool:
    """Whether all lie in row-major order and are of one type."""
    x: Layout = layouts[0]
    if x.dtype.char not in "fd" or len(x.shape) < 2 or x.size == 0:
        return False
    given = [a for a in (*layouts, *(outs or ())) if a is not None]
    return all([a.dtype == x.dtype and a.contiguous for a in given])


def _worth(layouts: list[Any], attrs: tuple[Any, ...]) -> bool:
    return bool(layouts[0].size >= _MIN_WORK)


def _launch(
    function: int, x: Layout, arrays: list[int | float], rest: list[int], threads: int
) -> Bound:
    """The launch for these arrays: operands by number, or a float that stands in every channel.

    Args:
        rest: the words after the sizes.
    """
    n, c = x.shape[:2]
    counter = len(arrays)
    words = [np.array([0] * (counter + 1) + [n, c, x.size // (n * c), *rest, 0], np.int64)]
    count = words[0].size - 1  # how many channels were handed out
    operands, own = [], [(counter, count)]
    for word, array in enumerate(arrays):
        if isinstance(array, int):
            operands.append((word, array, 0))
            continue
        own.append((word, sum([part.size for part in words])))
        values = np.full(-(-c * x.itemsize // 8) * 8 // x.itemsize, array, x.dtype)
        words.append(values.view(np.int64))
    parts = min(threads if x.size > _SHARED_WORK else 1, c)
    return Bound(function, np.concatenate(words), tuple(operands), tuple(own), (count,), parts)


def _forward(
    layouts: list[Any], attrs: tuple[Any, ...], outs: Any, threads: int
) -> Bindings | None:
    x, w, b, _, _ = layouts
    training, eps = attrs
    if training:  # the running statistics are not read
        layouts = layouts[:3]
    if not _fits(layouts, outs):
        return None
    c, dtype = x.shape[1], x.dtype
    # adding -0.0 changes nothing
    affine = (1.0 if w is None else 1, -0.0 if b is None else 2)
    mean, scale, var = (6, 7, 8) if training else (3, 5, 4)  # the scale is not written
    (bits,) = struct.unpack("q", struct.pack("d", dtype.type(eps)))
    arrays = [0, *affine, mean, scale, var, 5]
    launch = _launch(
        _functions(x.itemsize, _short(x))[0], x, arrays, [int(training), bits], threads
    )
    vector = ((c if training else 0,), dtype)
    return Bindings([launch], ((x.shape, dtype), vector, vector, vector))


def _backward(
    layouts: list[Any], attrs: tuple[Any, ...], outs: Any, threads: int
) -> Bindings | None:
    _, x, w, _, _ = layouts
    if not _fits(layouts, outs):
        return None
    arrays = [0, 1, 1.0 if w is None else 2, 3, 4, 5, 6, 7]
    launch = _launch(_functions(x.itemsize, _short(x))[1], x, arrays, [int(attrs[0])], threads)
    vector = ((x.shape[1],), x.dtype)
    return Bindings([launch], ((x.shape, x.dtype), vector, vector))


KERNELS = {
    "batch_norm": Entry(_forward, _worth),
    "batch_norm_backward": Entry(_backward, _worth),
}
