"""Padding, sliding blocks (unfold and fold) and unpooling."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from rushlight.ir.meta import Meta, meta
from rushlight.ir.op import Op, Plan
from rushlight.ir.strides import suggested_strides
from rushlight.ops.readable import checked, zeros

Ints = tuple[int, ...]


def pad_sides(ndim: int, pad: Ints) -> list[tuple[int, int]]:
    """(before, after) of each dimension, from PyTorch's list that starts at the last one."""
    sides = [(0, 0)] * ndim
    for i in range(len(pad) // 2):
        sides[ndim - 1 - i] = (pad[2 * i], pad[2 * i + 1])
    return sides


def _pad_rule(m: Meta, pad: Ints, value: Any) -> Plan:
    if len(pad) % 2:
        raise RuntimeError("Padding length must be divisible by 2")
    if len(pad) > 2 * m.ndim:
        raise RuntimeError(
            "Padding length should be less than or equal to two times the input dimension but got "
            f"padding length {len(pad)} and input of dimension {m.ndim}"
        )
    shape = []
    for size, (a, b) in zip(m.shape, pad_sides(m.ndim, pad), strict=True):
        if size + a + b < 0:
            raise RuntimeError("narrow(): length must be non-negative.")
        shape.append(size + a + b)
    strides = suggested_strides(shape, m.shape, m.strides)
    return Plan(m.like(shape=tuple(shape), strides=strides))


def _constant_pad(x: Any, pad: Ints, value: Any) -> Any:
    sides = pad_sides(x.ndim, pad)
    inner = x[
        tuple(slice(max(-a, 0), s - max(-b, 0)) for s, (a, b) in zip(x.shape, sides, strict=True))
    ]
    shape = [s + a + b for s, (a, b) in zip(x.shape, sides, strict=True)]
    out = np.full_like(x, value, None, "C", False, shape)
    out[
        tuple(slice(max(a, 0), max(a, 0) + s) for s, (a, _) in zip(inner.shape, sides, strict=True))
    ] = inner
    return out


constant_pad = Op(
    "constant_pad",
    kind="indexing",
    attrs=("pad", "value"),
    rule=_pad_rule,
    kernel=_constant_pad,
    grads=(lambda o, g, _x, _y, pad, value: o.constant_pad(g, tuple(-p for p in pad), 0),),
    node="ConstantPadNdBackward0",
)


# Sliding blocks: (N, C, *size) <-> (N, C * taps, blocks)


def _block_counts(size: Ints, kernel: Ints, dilation: Ints, padding: Ints, stride: Ints) -> Ints:
    return tuple(
        (s + 2 * p - d * (k - 1) - 1) // st + 1
        for s, k, d, p, st in zip(size, kernel, dilation, padding, stride, strict=True)
    )


def _unfold_rule(m: Meta, kernel: Ints, dilation: Ints, padding: Ints, stride: Ints) -> Plan:
    counts = _block_counts(m.shape[2:], kernel, dilation, padding, stride)
    if any(c < 1 for c in counts):
        raise RuntimeError(
            f"Given input with spatial size {tuple(m.shape[2:])}, kernel_size={kernel}, "
            f"dilation={dilation}, padding={padding}, calculated shape of the array of sliding "
            f"blocks as {counts}, but its components must be at least one."
        )
    taps, blocks = int(np.prod(kernel)), int(np.prod(counts))
    return Plan(m.like(shape=(m.shape[0], m.shape[1] * taps, blocks)))


def _taps(kernel: Ints, counts: Ints, dilation: Ints, stride: Ints) -> Any:
    for tap in itertools.product(*[range(k) for k in kernel]):
        at = tuple(
            slice(t * d, t * d + (n - 1) * st + 1, st)
            for t, d, n, st in zip(tap, dilation, counts, stride, strict=True)
        )
        yield tap, at


def _im2col(x: Any, kernel: Ints, dilation: Ints, padding: Ints, stride: Ints) -> Any:
    counts = _block_counts(x.shape[2:], kernel, dilation, padding, stride)
    sizes = list(zip(x.shape[2:], padding, strict=True))
    padded = zeros(x, (*x.shape[:2], *(s + 2 * p for s, p in sizes)))
    padded[(..., *(slice(p, p + s) for s, p in sizes))] = x
    taps = [padded[(..., *at)] for _, at in _taps(kernel, counts, dilation, stride)]
    return np.stack(taps, 2).reshape(
        x.shape[0], x.shape[1] * int(np.prod(kernel)), int(np.prod(counts))
    )


def _col2im(g: Any, size: Ints, kernel: Ints, dilation: Ints, padding: Ints, stride: Ints) -> Any:
    counts = _block_counts(size, kernel, dilation, padding, stride)
    channels = g.shape[1] // int(np.prod(kernel))
    padded = zeros(
        g, (g.shape[0], channels, *(s + 2 * p for s, p in zip(size, padding, strict=True)))
    )
    blocks = g.reshape(g.shape[0], channels, *kernel, *counts)
    for tap, at in _taps(kernel, counts, dilation, stride):
        padded[(slice(None), slice(None), *at)] += blocks[(slice(None), slice(None), *tap)]
    inner = tuple(slice(p, p + s) for s, p in zip(size, padding, strict=True))
    return padded[(slice(None), slice(None), *inner)]


im2col = Op(
    "im2col",
    kind="window",
    attrs=("kernel", "dilation", "padding", "stride"),
    rule=_unfold_rule,
    kernel=_im2col,
    grads=(
        lambda o, g, _x, _y, kernel, dilation, padding, stride: o.col2im(
            g, tuple(_x.shape[2:]), kernel, dilation, padding, stride
        ),
    ),
    node="Im2ColBackward0",
)


def _fold_rule(
    m: Meta, size: Ints, kernel: Ints, dilation: Ints, padding: Ints, stride: Ints
) -> Plan:
    taps = int(np.prod(kernel))
    if m.shape[1] % taps:
        raise RuntimeError(
            "Expected size of input's dimension 1 to be divisible by the product of kernel_size, "
            "but "
            f"got input.size(1)={m.shape[1]} and kernel_size={kernel}."
        )
    counts = _block_counts(size, kernel, dilation, padding, stride)
    blocks = int(np.prod(counts))
    if m.shape[2] != blocks:
        inner = " * ".join(str(c) for c in counts)
        raise RuntimeError(
            f"Given output_size={size}, kernel_size={kernel}, dilation={dilation}, "
            f"padding={padding}, stride={stride}, expected size of input's dimension 2 to match "
            "the "
            f"calculated number of sliding blocks {inner} = {blocks}, but got input.size(2)="
            f"{m.shape[2]}."
        )
    return Plan(m.like(shape=(m.shape[0], m.shape[1] // taps, *size)))


col2im = Op(
    "col2im",
    kind="window",
    attrs=("size", "kernel", "dilation", "padding", "stride"),
    rule=_fold_rule,
    kernel=_col2im,
    grads=(
        lambda o, g, _x, _y, size, kernel, dilation, padding, stride: o.im2col(
            g, kernel, dilation, padding, stride
        ),
    ),
    node="Col2ImBackward0",
)


# Unpooling: values go back to where max pooling found them


def _unpool(x: Any, index: Any, size: Ints) -> Any:
    planes = x.shape[0] * x.shape[1]
    room = int(np.prod(size, dtype=np.int64))
    flat = index.reshape(planes, -1)

    def error(index: Any) -> Exception:
        bad = index.min() if index.min() < 0 else index.max()
        return RuntimeError(
            f"Found an invalid max index: {bad} (output volumes are of size "
            f"{'x'.join(str(s) for s in size)})"
        )

    flat = checked(flat, room, error)
    out = zeros(x, (planes, room))
    np.put_along_axis(out, flat, x.reshape(planes, -1), 1)
    return out.reshape(*x.shape[:2], *size)


def _unpool_rule(x: Meta, index: Meta, size: Ints) -> Plan:
    shape = (*x.shape[:2], *size)
    # only images keep the layout with the channels last
    strides = suggested_strides(shape, x.shape, x.strides) if len(size) == 2 else None
    return Plan(meta(shape, x.dtype, strides, x.device))


max_unpool = Op(
    "max_unpool",
    kind="indexing",
    inputs=("input", "indices"),
    attrs=("size",),
    rule=_unpool_rule,
    kernel=_unpool,
    grads=(lambda o, g, _x, index: o.plane_gather(g, index), None),
    node=lambda metas, attrs: f"MaxUnpool{len(attrs[0])}DBackward0",
)
