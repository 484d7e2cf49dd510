"""Creation and joining: operators that make tensors from attributes or from several tensors."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.ir.meta import Meta, meta
from rushlight.ir.op import Op, Plan
from rushlight.ir.shapes import wrap_dim
from rushlight.ir.strides import channels_last_strides, is_channels_last
from rushlight.ops.build import combined_dtype, elementwise_meta
from rushlight.ops.readable import is_symbol


def _full_kernel(out: Meta, value: Any, size: Any, dtype: Any, device: Any) -> Any:
    if is_symbol(value):
        return np.broadcast_to(value, out.shape)
    result = np.empty(out.shape, dtype.numpy)
    if dtype.kind in "iu" and isinstance(value, float):
        value = int(value)
    result[...] = value
    return result


full = Op(
    "full",
    kind="create",
    inputs=("fill_value",),  # a number
    attrs=("size", "dtype", "device"),
    rule=lambda value, size, dtype, device: meta(size, dtype, None, device),
    kernel=_full_kernel,
)
empty = Op(
    "empty",
    kind="create",
    inputs=(),
    attrs=("size", "stride", "dtype", "device"),
    rule=lambda size, stride, dtype, device: meta(size, dtype, stride, device),
    kernel=lambda out, size, stride, dtype, device: np.empty(out.shape, dtype.numpy),
)


def _arange_rule(start: Any, end: Any, step: Any, dtype: Any, device: Any) -> Meta:
    if step == 0:
        raise RuntimeError("step must be nonzero")
    if not all(np.isfinite(v) for v in (start, end)):
        raise RuntimeError(f"unsupported range: {start} -> {end}")
    if (step > 0 and start > end) or (step < 0 and start < end):
        raise RuntimeError("upper bound and lower bound inconsistent with step sign")
    if all(isinstance(v, int) for v in (start, end, step)):
        n = max(-((start - end) // step), 0)
    else:
        n = max(int(np.ceil((end - start) / step)), 0)
    return meta((n,), dtype, None, device)


def _arange(out: Meta, start: Any, end: Any, step: Any, dtype: Any, device: Any) -> Any:
    index = np.arange(out.shape[0])
    if dtype.is_integral:
        return (int(start) + index * int(step)).astype(dtype.numpy)
    return (np.float64(start) + index * np.float64(step)).astype(dtype.numpy)


arange = Op(
    "arange",
    kind="create",
    inputs=(),
    attrs=("start", "end", "step", "dtype", "device"),
    rule=_arange_rule,
    kernel=_arange,
)


def _steps_rule(start: Any, end: Any, steps: int, dtype: Any, device: Any) -> Meta:
    if steps < 0:
        raise RuntimeError("number of steps must be non-negative")
    return meta((steps,), dtype, None, device)


def _linspace(out: Meta, start: Any, end: Any, steps: int, dtype: Any, device: Any) -> Any:
    """From both ends towards the middle, as PyTorch computes it."""
    if dtype.is_integral:
        start, end = int(start), int(end)
    if steps == 0:
        return np.empty(0, dtype.numpy)
    if steps == 1:
        return np.full(1, start, dtype.numpy)
    wide = (
        dtype.to_complex().numpy
        if dtype.is_complex
        else (
            np.dtype(np.float64)
            if dtype.is_integral or dtype.itemsize == 8
            else np.dtype(np.float32)
        )
    )
    kind = wide.type
    step = kind((kind(end) - kind(start)) / kind(steps - 1))
    index = np.arange(steps)
    front = kind(start) + step * index.astype(wide)
    back = kind(end) - step * (steps - 1 - index).astype(wide)
    values = np.where(index < steps // 2, front, back)
    return values.astype(dtype.numpy)


linspace = Op(
    "linspace",
    kind="create",
    inputs=(),
    attrs=("start", "end", "steps", "dtype", "device"),
    rule=_steps_rule,
    kernel=_linspace,
)


def _logspace(
    out: Meta, start: Any, end: Any, steps: int, base: float, dtype: Any, device: Any
) -> Any:
    wide = dtypes.float64 if not dtype.is_complex else dtypes.complex128
    if dtype.is_integral and steps > 1:
        start, end = int(start), int(end)
    exponents = _linspace(out, start, end, steps, wide, device)
    return np.power(wide.numpy.type(base), exponents).astype(dtype.numpy)


logspace = Op(
    "logspace",
    kind="create",
    inputs=(),
    attrs=("start", "end", "steps", "base", "dtype", "device"),
    rule=lambda start, end, steps, base, dtype, device: _steps_rule(
        start, end, steps, dtype, device
    ),
    kernel=_logspace,
)


def _eye_rule(n: int, m: int, dtype: Any, device: Any) -> Meta:
    if n < 0:
        raise RuntimeError(f"n must be greater or equal to 0, got {n}")
    if m < 0:
        raise RuntimeError(f"m must be greater or equal to 0, got {m}")
    return meta((n, m), dtype, None, device)


eye = Op(
    "eye",
    kind="create",
    inputs=(),
    attrs=("n", "m", "dtype", "device"),
    rule=_eye_rule,
    kernel=lambda out, n, m, dtype, device: np.eye(n, m, dtype=dtype.numpy),
)

# Joining


def _cat_rule(*args: Any) -> Plan:
    *metas, dim = args
    if not metas:
        raise ValueError("torch.cat(): expected a non-empty list of Tensors")
    for i, m in enumerate(metas):
        if m.ndim == 0:
            raise RuntimeError(f"zero-dimensional tensor (at position {i}) cannot be concatenated")
    used = [m for m in metas if m.shape != (0,)]  # PyTorch skips 1-d empties
    dt = combined_dtype(metas)
    if not used:
        return Plan(metas[0].like(shape=(0,), dtype=dt))
    first = used[0]
    d = wrap_dim(dim, first.ndim)
    total = 0
    for i, m in enumerate(metas):
        if m.shape == (0,):
            continue
        if m.ndim != first.ndim:
            raise RuntimeError(
                f"Tensors must have same number of dimensions: got {first.ndim} and {m.ndim}"
            )
        for k in range(first.ndim):
            if k != d and m.shape[k] != first.shape[k]:
                raise RuntimeError(
                    f"Sizes of tensors must match except in dimension {d}. Expected size "
                    f"{first.shape[k]} but got size {m.shape[k]} for tensor number {i} in the list."
                )
        total += m.shape[d]
    shape = (*first.shape[:d], total, *first.shape[d + 1 :])
    strides = None
    if all(is_channels_last(m.shape, m.strides) and not m.contiguous for m in used):
        strides = channels_last_strides(shape)
    mixed = any(m.dtype is not dt for m in metas)
    return Plan(first.like(shape=shape, dtype=dt, strides=strides), compute=dt if mixed else None)


def _cat(*args: Any) -> Any:
    *arrays, dim = args
    used = [a for a in arrays if a.shape != (0,)]
    return np.concatenate(used, axis=dim) if used else arrays[0]


def _cat_backward(o: Any, needs: Any, g: Any, inputs: Any, outputs: Any, dim: int) -> Any:
    grads, at = [], 0
    d = wrap_dim(dim, outputs[0].ndim)
    for need, m in zip(needs, inputs, strict=True):
        size = 0 if m.shape == (0,) else m.shape[d]
        piece = None
        if need:
            piece = o.slice(g, d, at, at + size, 1) if m.shape != (0,) else o.zeros_like(m)
        grads.append(piece)
        at += size
    return grads


cat = Op(
    "cat",
    kind="indexing",
    inputs=("*tensors",),
    attrs=("dim",),
    defaults=(0,),
    rule=_cat_rule,
    kernel=_cat,
    backward=_cat_backward,
)


def _stack_rule(*args: Any) -> Plan:
    *metas, dim = args
    if not metas:
        raise RuntimeError("stack expects a non-empty TensorList")
    first = metas[0]
    for i, m in enumerate(metas):
        if m.shape != first.shape:
            raise RuntimeError(
                f"stack expects each tensor to be equal size, but got {list(first.shape)} at entry "
                f"0 and {list(m.shape)} at entry {i}"
            )
    d = wrap_dim(dim, first.ndim + 1)
    shape = (*first.shape[:d], len(metas), *first.shape[d:])
    dt = combined_dtype(metas)
    mixed = any(m.dtype is not dt for m in metas)
    return Plan(first.like(shape=shape, dtype=dt), compute=dt if mixed else None)


def _stack_backward(o: Any, needs: Any, g: Any, inputs: Any, outputs: Any, dim: int) -> Any:
    return [o.select(g, dim, i) if need else None for i, need in enumerate(needs)]


stack = Op(
    "stack",
    kind="indexing",
    inputs=("*tensors",),
    attrs=("dim",),
    defaults=(0,),
    rule=_stack_rule,
    kernel=lambda *args: np.stack(args[:-1], axis=args[-1]),
    backward=_stack_backward,
)


def _complex_rule(real: Meta, imag: Meta) -> Plan:
    if not {real.dtype.name, imag.dtype.name} <= {"float32", "float64", "float16"}:
        raise RuntimeError(
            f"Expected both inputs to be Half, Float or Double tensors but got {real.dtype.title} "
            f"and {imag.dtype.title}"
        )
    if real.dtype is not imag.dtype:
        raise RuntimeError(
            f"Expected object of scalar type {real.dtype.title} but got scalar type "
            f"{imag.dtype.title} for second argument"
        )
    return Plan(elementwise_meta((real, imag), real.dtype.to_complex()))


def _complex(real: Any, imag: Any) -> Any:
    real, imag = np.broadcast_arrays(real, imag)
    out = np.empty(real.shape, np.complex128 if real.dtype == np.float64 else np.complex64)
    out.real, out.imag = real, imag
    return out


complex = Op(
    "complex",
    kind="elementwise",
    inputs=("real", "imag"),
    rule=_complex_rule,
    kernel=_complex,
    whole="complex numbers",
    grads=(lambda o, g: o.real_part(g), lambda o, g: o.imag_part(o.resolved(g))),
)

# Copies in another order


def _repeat_rule(m: Meta, repeats: tuple[int, ...]) -> Meta:
    lead = len(repeats) - m.ndim
    shape = [r * (m.shape[i - lead] if i >= lead else 1) for i, r in enumerate(repeats)]
    return m.like(shape=tuple(shape))


def _repeat_grad(o: Any, g: Any, _x: Meta, _y: Any, repeats: tuple[int, ...]) -> Any:
    """The sum of the copies' gradients."""
    lead = len(repeats) - _x.ndim
    shape: list[int] = []
    for i, r in enumerate(repeats):
        shape += [r, _x.shape[i - lead] if i >= lead else 1]
    if 0 in repeats:
        return o.zeros(_x.shape, g._meta.dtype, g._meta.device)
    folded = (
        o.sum(o.reshape(g, tuple(shape)), tuple(range(0, len(shape), 2)), False, None)
        if shape
        else g
    )
    return o.reshape(folded, _x.shape)


repeat = Op(
    "repeat",
    kind="indexing",
    attrs=("repeats",),
    rule=_repeat_rule,
    kernel=np.tile,
    grads=(_repeat_grad,),
)


def _dims(dims: tuple[int, ...], ndim: int) -> tuple[int, ...]:
    found = tuple(wrap_dim(d, ndim) for d in dims)
    if len(set(found)) != len(found):
        twice = next(d for i, d in enumerate(found) if d in found[:i])
        raise RuntimeError(f"dim {twice} appears multiple times in the list of dims")
    return found


def _flip_rule(m: Meta, dims: tuple[int, ...]) -> Plan:
    _dims(dims, m.ndim)
    return Plan(elementwise_meta((m,), m.dtype))


flip = Op(
    "flip",
    kind="indexing",
    attrs=("dims",),
    rule=_flip_rule,
    kernel=lambda x, dims: np.flip(x, _dims(dims, x.ndim)) if x.ndim else x,
    grads=(lambda o, g, _x, _y, dims: o.flip(g, dims),),
)
roll = Op(
    "roll",
    kind="indexing",
    attrs=("shifts", "dims"),
    rule=lambda m, shifts, dims: ([wrap_dim(d, m.ndim) for d in dims], m.like())[1],
    kernel=lambda x, shifts, dims: np.roll(x, shifts, dims) if x.ndim else x,
    grads=(lambda o, g, _x, _y, shifts, dims: o.roll(g, tuple(-s for s in shifts), dims),),
)
