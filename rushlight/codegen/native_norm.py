"""Batch normalisation by compiled kernels (``compiler/kernels/norm.py``).

In: contiguous arrays and the attributes of `batch_norm` and `batch_norm_backward`. Out: new arrays.
"""

from __future__ import annotations

import math
import struct
from functools import lru_cache
from typing import Any

import numpy as np

from rushlight.codegen import engine, native
from rushlight.codegen.native import address
from rushlight.compiler.kernels import norm

__all__ = ["KERNELS"]

_MIN_WORK = 8_192  # elements; NumPy needs less than about 30 us for fewer
_MIN_ROW = 16  # positions of one image: shorter rows leave vectors empty
_SHARED_WORK = 100_000  # elements from which a second thread is worth waking


@lru_cache(maxsize=4)
def _functions(itemsize: int) -> tuple[int, int]:
    """Addresses of the forward and the backward function."""
    t = native.vector_type(itemsize)
    engine.compile_ir(norm.module(t))
    return engine.address(norm.forward_name(t)), engine.address(norm.backward_name(t))


def _new(shape: Any, dtype: Any) -> Any:
    return np.empty(shape, dtype)


@lru_cache(maxsize=64)
def _full(channels: int, value: float, dtype: Any) -> Any:
    return np.full(channels, value, dtype)


def _serves(arrays: list[Any]) -> bool:
    """Whether these are contiguous inputs, large enough, and vectors of the same type."""
    x = arrays[0]
    if x.dtype.char not in "fd" or x.ndim < 3 or x.size < _MIN_WORK:
        return False
    if math.prod(x.shape[2:]) < _MIN_ROW:
        return False
    same = [a is None or (a.dtype == x.dtype and a.flags.c_contiguous) for a in arrays]
    return all(same) and all([a is None or a.flags.aligned for a in arrays])


def _sizes(x: Any, training: bool) -> tuple[int, int, int, int]:
    return x.shape[0], x.shape[1], x.size // (x.shape[0] * x.shape[1]), int(training)


def _launch(function: int, block: Any, x: Any) -> None:
    threads = native.allowed_threads() if x.size > _SHARED_WORK else 1
    native.launch(function, block, min(threads, x.shape[1]))


def _forward(operands: list[Any], attrs: tuple[Any, ...]) -> list[Any]:
    x, w, b, mean, var = operands
    training, eps = attrs
    c, dtype = x.shape[1], x.dtype
    w = _full(c, 1.0, dtype) if w is None else w
    b = _full(c, -0.0, dtype) if b is None else b  # adding it changes nothing
    out = _new(x.shape, dtype)
    if training:
        mean, scale, var = _new(c, dtype), _new(c, dtype), _new(c, dtype)
    else:
        scale = np.empty(0, dtype)
    block = np.zeros(len(norm.FORWARD_FIELDS) + 1, np.int64)
    counter = address(block) + 8 * (block.size - 1)
    (bits,) = struct.unpack("q", struct.pack("d", dtype.type(eps)))
    arrays = (x, w, b, mean, scale, var, out)
    block[:-1] = (*[address(a) for a in arrays], counter, *_sizes(x, training), bits)
    _launch(_functions(x.itemsize)[0], block, x)
    if training:
        return [out, mean, scale, var]
    return [out, scale, scale, scale]


def _backward(operands: list[Any], attrs: tuple[Any, ...]) -> list[Any]:
    g, x, w, mean, scale = operands
    c, dtype = x.shape[1], x.dtype
    w = _full(c, 1.0, dtype) if w is None else w
    dx, dw, db = _new(x.shape, dtype), _new(c, dtype), _new(c, dtype)
    block = np.zeros(len(norm.BACKWARD_FIELDS) + 1, np.int64)
    counter = address(block) + 8 * (block.size - 1)
    arrays = (g, x, w, mean, scale, dx, dw, db)
    block[:-1] = (*[address(a) for a in arrays], counter, *_sizes(x, attrs[0]))
    _launch(_functions(x.itemsize)[1], block, x)
    return [dx, dw, db]


KERNELS = {
    "batch_norm": (lambda operands, attrs: _serves(operands), _forward),
    "batch_norm_backward": (lambda operands, attrs: _serves(operands), _backward),
}
