"""The CPU driver: runs an operator's kernel on arrays and places the result as its Meta says."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rushlight.ir.meta import Meta
from rushlight.ir.op import Op, Plan
from rushlight.ir.strides import memory_order
from rushlight.runtime import blas
from rushlight.runtime.quiet import quietly
from rushlight.runtime.storage import Storage

__all__ = ["array_over", "empty", "in_memory_order", "place", "run"]


def array_over(storage: Storage, meta: Meta, offset: int) -> Any:
    """The NumPy array over a storage that a tensor of this Meta and offset stands for."""
    dt = meta.dtype.numpy
    if meta.numel == 0:
        return np.empty(meta.shape, dt)
    size = meta.dtype.itemsize
    return np.ndarray(
        meta.shape,
        dt,
        buffer=storage.bytes,
        offset=offset * size,
        strides=tuple([s * size for s in meta.strides]),
    )


def empty(meta: Meta) -> tuple[Storage, Any]:
    """A new storage for a dense tensor, and the array over it."""
    storage = Storage(meta.numel * meta.dtype.itemsize, meta.device)
    return storage, array_over(storage, meta, 0)


def run(op: Op, plan: Plan, operands: list[Any], attrs: tuple[Any, ...]) -> list[Any]:
    """Runs a kernel and returns its results as arrays, not yet placed.

    Args:
        operands: arrays, Python numbers or None, in the order of the op's inputs.
    """
    kernel: Any = op.kernel
    if kernel is None:
        raise NotImplementedError(f"{op.name} has no kernel for the CPU")
    if plan.compute is not None:
        operands = convert(operands, plan.compute)
    if op.kind in ("contraction", "window"):
        _share_product(op, plan, operands)
    if op.kind in ("create", "random"):
        out = plan.outs[0] if plan.single else plan.outs
        results = quietly(kernel, (out, *operands, *attrs))
        if op.kind == "random" and plan.single:
            results = in_memory_order(results, plan.outs[0])
    else:
        results = quietly(kernel, (*operands, *attrs))
    if plan.single:
        return [results if type(results) is np.ndarray else np.asarray(results)]
    return [np.asarray(r) for r in results]


def product_work(operands: list[Any], plan: Plan, images: int = 1) -> float:
    """The multiply-adds of the product inside an operator, one of so many; 0 if there is none.

    Those of (m, k) times (k, n) are m k n, the root of the product of operands' and result's sizes.
    """
    sizes = sorted([x.size for x in operands if isinstance(x, np.ndarray)])
    if len(sizes) < 2:
        return 0
    return math.sqrt(float(sizes[-1] // images) * sizes[-2] * (plan.outs[0].numel // images))


def _share_product(op: Op, plan: Plan, operands: list[Any]) -> None:
    """Decides how many threads the product inside this operator gets; windows go image by image."""
    images = max(operands[0].shape[0], 1) if op.kind == "window" else 1
    work = product_work(operands, plan, images)
    if work:
        blas.prepare(work)


def convert(operands: list[Any], compute: Any) -> list[Any]:
    """Operands in the dtype in which an elementwise or reducing kernel computes."""
    dt = compute.numpy
    made: list[Any] = []
    for x in operands:
        if type(x) is np.ndarray:
            made.append(x if x.dtype is dt or x.dtype == dt else x.astype(dt))
        else:
            made.append(None if x is None else _number(x, compute))
    return made


def run_into(op: Op, plan: Plan, operands: list[Any], target: Any) -> bool:
    """Computes an operator that is one ufunc straight into memory, if the dtypes allow.

    Returns:
        whether it did; otherwise nothing has happened.
    """
    compute = plan.compute
    if compute is None or compute.numpy != target.dtype or compute.kind == "b":
        return False
    quietly(op.ufunc, (*convert(operands, compute), target))
    return True


# Large elementwise results are computed a block at a time: the kernels' temporaries then stay in
# the cache, and below the size at which the C library maps fresh pages for each of them
# (benchmarks/elementwise.py: lerp 2.3 times faster, gelu 1.8, an update with alpha 1.3).
_BLOCK = 1 << 14
_WORTH_BLOCKS = 1 << 18
WORTH_COMPILED = 1 << 14  # elements from which a compiled kernel is asked for
WORTH_PRODUCT = 1 << 19  # multiply-adds of a product from which it is; NumPy needs 9 us for them


def worth_blocks(op: Op, numel: int, attrs: tuple[Any, ...]) -> bool:
    """Whether an operator is elementwise, large, and makes more than one pass over its operands."""
    return (
        numel >= _WORTH_BLOCKS
        and op.kind == "elementwise"
        and not op.single_pass
        and not (op.ufunc is not None and attrs == op.defaults)
    )


def run_in_blocks(
    op: Op, plan: Plan, operands: list[Any], attrs: tuple[Any, ...], out: Any, writes: bool
) -> bool:
    """Computes an operator that is ``worth_blocks`` block by block, where its operands allow.

    Args:
        out: an array of the result's shape.
        writes: whether ``out`` is memory that operands may share (in-place operators).

    Returns:
        whether it did; otherwise nothing has happened.
    """
    if not out.flags.c_contiguous:
        return False
    flat: list[Any] = []
    for x in operands:
        if type(x) is np.ndarray and x.ndim:
            if x.shape != out.shape or not x.flags.c_contiguous:
                return False
            same = x.ctypes.data == out.ctypes.data and x.itemsize == out.itemsize
            if writes and not same and np.may_share_memory(x, out):
                return False
            flat.append(x.reshape(-1))
        else:
            flat.append(x)
    quietly(_blocks, (op.kernel, plan.compute, flat, attrs, out.reshape(-1)))
    return True


def _blocks(kernel: Any, compute: Any, flat: list[Any], attrs: tuple[Any, ...], out: Any) -> None:
    """The loop over blocks; operands with dimensions are cut, others are the same everywhere."""
    if compute is not None:
        flat = [x if type(x) is np.ndarray and x.ndim else convert([x], compute)[0] for x in flat]
        dt = compute.numpy
        casts = any([type(x) is np.ndarray and x.dtype != dt for x in flat])
    else:
        casts = False
    pieces = [type(x) is np.ndarray and x.ndim > 0 for x in flat]
    for start in range(0, out.size, _BLOCK):
        part = slice(start, start + _BLOCK)
        cut = [x[part] if piece else x for x, piece in zip(flat, pieces, strict=True)]
        result = kernel(*(convert(cut, compute) if casts else cut), *attrs)
        if type(result) is np.ndarray and result.dtype == out.dtype:
            out[part] = result
        else:
            cast_into(out[part], np.asarray(result))


def _number(value: Any, compute: Any) -> Any:
    if type(value) is int and not -(1 << 63) <= value < 1 << 64:
        raise OverflowError("int too big to convert")
    if compute.kind == "f" and type(value) is not complex:
        return compute.numpy.type(value)
    if compute.is_integral and not isinstance(value, bool):
        bits = 8 * compute.itemsize
        if compute.name == "bool":
            return np.bool_(value)
        wrapped = int(value) & ((1 << bits) - 1)  # numbers wrap around as in C
        if compute.is_signed and wrapped >> (bits - 1):
            wrapped -= 1 << bits
        return compute.numpy.type(wrapped)
    if not compute.is_complex and isinstance(value, complex):
        value = value.real
    return compute.numpy.type(value)


def place(array: Any, meta: Meta, operands: list[Any]) -> tuple[Storage, Any]:
    """Puts a kernel's result into a storage laid out as its Meta says.

    A fresh result in the right layout is adopted; any other is copied.
    """
    dt = meta.dtype.numpy
    if array.base is None and array.dtype == dt and meta.contiguous and array.shape == meta.shape:
        flags = array.flags
        if flags.c_contiguous and flags.owndata:
            for x in operands:
                if x is array:
                    break
            else:
                return Storage.adopt(array), array
    storage, out = empty(meta)
    if array.dtype == dt:
        np.copyto(out, array)
    else:
        quietly(cast_into, (out, array))
    return storage, out


def cast_into(target: Any, values: Any) -> None:
    """Copies values into an array, converting as PyTorch converts."""
    if values.dtype.kind == "W" and target.dtype != values.dtype:  # complex32
        values = values.astype(np.complex64)
    if values.dtype.kind == "c" and target.dtype.kind not in "cW":
        values = values.real if target.dtype.kind != "b" else values != 0
    kind = target.dtype.kind
    if (values.dtype.kind == "f" and kind == "u") or (kind == "i" and values.dtype.kind == "f"):
        if target.dtype.itemsize < 8 or kind == "u":
            values = values.astype(np.int64)  # as C does on x86-64, then wraps
    if values.dtype != target.dtype and values.size > 1 and not any(values.strides):
        values = values[(0,) * values.ndim].astype(target.dtype)  # one number everywhere
    np.copyto(target, values, casting="unsafe")


def in_memory_order(flat: Any, meta: Meta) -> Any:
    """The array of a Meta's shape whose elements, read in memory order, are ``flat``."""
    if meta.contiguous:
        return flat.reshape(meta.shape)
    order = memory_order(meta.shape, meta.strides)
    inverse = [order.index(d) for d in range(meta.ndim)]
    return flat.reshape([meta.shape[d] for d in order]).transpose(inverse)
