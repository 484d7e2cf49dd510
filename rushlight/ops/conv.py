"""Convolution in any number of dimensions, and its two adjoints.

``conv`` is bilinear in input and weight; ``conv_input`` is its adjoint in the input (also what
transposed convolution computes), ``conv_weight`` its adjoint in the weight.  Each one's gradients
are the other two, so derivatives of any order need nothing more.

Shapes: input (N, C, *size), weight (K, C / groups, *kernel), output (N, K, *positions).  The
kernels gather windows into columns (im2col) a few images at a time and multiply by BLAS.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from rushlight.errors import explained
from rushlight.ir.meta import Meta, meta
from rushlight.ir.op import Op, Plan
from rushlight.ir.strides import channels_last_strides, is_channels_last
from rushlight.ops.build import c_name, opmath

_COLUMN_BYTES = 1 << 21  # columns of a few images at a time stay in the cache (measured)

Ints = tuple[int, ...]


def _count(shape: Any) -> int:
    return math.prod(shape)


def out_size(size: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    """How many windows fit."""
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def _layout(shape: Ints, *operands: Meta) -> Any:
    """Channels last if the input or the weight is."""
    if len(shape) in (4, 5) and any(
        is_channels_last(m.shape, m.strides) and not m.contiguous for m in operands
    ):
        return channels_last_strides(shape)
    return None


def _check(
    x: Meta, w: Meta, b: Any, stride: Ints, padding: Ints, dilation: Ints, groups: int
) -> None:
    spatial = w.ndim - 2
    if groups <= 0:
        raise RuntimeError("non-positive groups is not supported")
    if any(v <= 0 for v in stride):
        raise RuntimeError("non-positive stride is not supported")
    if any(v <= 0 for v in dilation):
        raise RuntimeError("dilation should be greater than zero")
    if any(p < 0 for p in padding):
        raise RuntimeError("negative padding is not supported")
    if w.shape[0] < groups:
        raise RuntimeError(
            f"Given groups={groups}, expected weight to be at least {groups} at dimension 0, but "
            "got "
            f"weight of size {list(w.shape)} instead"
        )
    if w.shape[0] % groups:
        raise RuntimeError(
            f"Given groups={groups}, expected weight to be divisible by {groups} at dimension 0, "
            "but "
            f"got weight of size {list(w.shape)} instead"
        )
    if x.shape[1] != w.shape[1] * groups:
        raise explained(
            RuntimeError(
                f"Given groups={groups}, weight of size {list(w.shape)}, expected "
                f"input{list(x.shape)} to have {w.shape[1] * groups} channels, but got "
                f"{x.shape[1]} channels instead"
            ),
            *_wrong_channels(x, w.shape[1] * groups),
        )
    _check_bias(w, b, w.shape[0], groups)
    _check_dtypes(x, w, b)
    padded = [s + 2 * p for s, p in zip(x.shape[2:], padding, strict=True)]
    reach = [d * (k - 1) + 1 for d, k in zip(dilation, w.shape[2:], strict=True)]
    if any(s < r for s, r in zip(padded, reach, strict=True)):
        sizes = " x ".join(str(s) for s in padded)
        kernels = " x ".join(str(r) for r in reach)
        raise RuntimeError(
            f"Calculated padded input size per channel: ({sizes}). Kernel size: ({kernels}). "
            "Kernel "
            "size can't be greater than actual input size"
        )
    assert spatial == len(stride)


def _wrong_channels(x: Meta, wanted: int) -> tuple[str, str]:
    """What to do about an input of other channels than the layer's, in two languages."""
    have = x.shape[1]
    if x.ndim > 2 and x.shape[-1] == wanted:
        order = (0, x.ndim - 1, *range(1, x.ndim - 1))
        return (
            f"the input looks like channels last (NHWC): x = x.permute{order}",
            f"输入像是通道在最后（NHWC）：x = x.permute{order}",
        )
    if have == 1 and wanted == 3:
        return "a grey image: image.convert('RGB') gives it 3", "灰度图：请用 image.convert('RGB')"
    if have == 4 and wanted == 3:
        return (
            "an image with transparency: image.convert('RGB') leaves 3",
            "带透明通道的图像：请用 image.convert('RGB')",
        )
    if have == 3 and wanted == 1:
        return "a colour image: image.convert('L') makes it grey", "彩色图：请用 image.convert('L')"
    return (
        f"the layer takes {wanted} channels, the input {list(x.shape)} has {have}: set "
        f"in_channels={have}, or check the layer before",
        f"该层需要 {wanted} 个通道，输入 {list(x.shape)} 有 {have} 个："
        f"请改 in_channels={have}，或检查前一层",
    )


def _check_bias(w: Meta, b: Any, channels: int, groups: int) -> None:
    if b is not None and b.shape != (channels,):
        raise RuntimeError(
            f"Given weight of size {list(w.shape)}, expected bias to be 1-dimensional with "
            f"{channels} elements, but got bias of size {list(b.shape)} instead"
        )


def _check_dtypes(x: Meta, w: Meta, b: Any) -> None:
    if x.dtype is w.dtype and (b is None or b.dtype is x.dtype):
        return
    if b is not None and b.dtype is not x.dtype:
        text = (
            f"Input type ({c_name(x.dtype)}) and bias type ({c_name(b.dtype)}) should be the same"
        )
    else:
        text = f"expected scalar type {x.dtype.title} but found {w.dtype.title}"
    if x.dtype.kind == "u":
        raise explained(
            RuntimeError(text),
            "an image of bytes: x = x.float() / 255 (or transforms.ToTensor())",
            "字节图像：x = x.float() / 255（或用 transforms.ToTensor()）",
        )
    raise explained(
        RuntimeError(text),
        f"the input is {x.dtype}, the weight {w.dtype}: x = x.to({w.dtype})",
        f"输入是 {x.dtype}，权重是 {w.dtype}：x = x.to({w.dtype})",
    )


def _conv_rule(
    x: Meta, w: Meta, b: Any, stride: Ints, padding: Ints, dilation: Ints, groups: int
) -> Plan:
    _check(x, w, b, stride, padding, dilation, groups)
    sizes = [
        out_size(s, k, st, p, d)
        for s, k, st, p, d in zip(x.shape[2:], w.shape[2:], stride, padding, dilation, strict=True)
    ]
    shape = (x.shape[0], w.shape[0], *sizes)
    out = meta(shape, x.dtype, _layout(shape, x, w), x.device)
    return Plan(out, compute=opmath(x.dtype))


def _pad(x: Any, padding: Ints) -> Any:
    if not any(padding):
        return x
    shape = (*x.shape[:2], *(s + 2 * p for s, p in zip(x.shape[2:], padding, strict=True)))
    padded = np.zeros(shape, x.dtype)
    padded[_inner(x.shape[2:], padding)] = x
    return padded


def _inner(sizes: Ints, padding: Ints) -> tuple[Any, ...]:
    return (
        slice(None),
        slice(None),
        *(slice(p, p + s) for s, p in zip(sizes, padding, strict=True)),
    )


def windows(padded: Any, kernel: Ints, stride: Ints, dilation: Ints, positions: Ints) -> Any:
    """All windows of a padded input as a strided view: (N, C, *kernel, *positions)."""
    s = padded.strides
    spatial = s[2:]
    return np.lib.stride_tricks.as_strided(
        padded,
        (*padded.shape[:2], *kernel, *positions),
        (
            *s[:2],
            *(a * d for a, d in zip(spatial, dilation, strict=True)),
            *(a * st for a, st in zip(spatial, stride, strict=True)),
        ),
        writeable=False,
    )


def _columns(
    padded: Any, kernel: Ints, stride: Ints, dilation: Ints, positions: Ints, groups: int
) -> Iterator[tuple[slice, Any]]:
    """Batches of columns: (images, array (n, groups, C / groups * taps, positions))."""
    n, channels = padded.shape[:2]
    count = _count(positions)
    rows = channels // groups * _count(kernel)
    view = windows(padded, kernel, stride, dilation, positions)
    step = max(1, _COLUMN_BYTES // max(rows * groups * count * padded.itemsize, 1))
    for start in range(0, n, step):
        part = view[start : start + step]
        yield slice(start, start + step), part.reshape(part.shape[0], groups, rows, count)


def _conv(x: Any, w: Any, b: Any, stride: Ints, padding: Ints, dilation: Ints, groups: int) -> Any:
    kernel, k = w.shape[2:], w.shape[0]
    padded = _pad(x, padding)
    positions = tuple(
        out_size(s, ks, st, 0, d)
        for s, ks, st, d in zip(padded.shape[2:], kernel, stride, dilation, strict=True)
    )
    out = np.empty((x.shape[0], groups, k // groups, _count(positions)), x.dtype)
    matrix = np.ascontiguousarray(w).reshape(groups, k // groups, -1)
    for part, columns in _columns(padded, kernel, stride, dilation, positions, groups):
        np.matmul(matrix, columns, out=out[part])
    if b is not None:
        out += b.reshape(groups, k // groups, 1)
    return out.reshape(x.shape[0], k, *positions)


def _conv_input(
    g: Any,
    w: Any,
    b: Any,
    size: Ints,
    stride: Ints,
    padding: Ints,
    dilation: Ints,
    groups: int,
) -> Any:
    """Spreads each output position over the window it came from."""
    kernel, spatial = w.shape[2:], len(size)
    if groups > 1 and w.shape[:2] == (groups, 1):
        result = _depthwise_input(g, w, size, stride, padding, dilation)
    elif _flips(g, w, size, stride, padding, dilation):
        around = tuple(d * (k - 1) - p for d, k, p in zip(dilation, kernel, padding, strict=True))
        return _conv(g, _flipped(w, groups), b, stride, around, dilation, groups)
    else:
        result = _spread_columns(g, w, size, stride, padding, dilation, groups)
    return result if b is None else result + b.reshape(-1, *(1,) * spatial)


def _flips(g: Any, w: Any, size: Ints, stride: Ints, padding: Ints, dilation: Ints) -> bool:
    """Whether the adjoint is computed as a convolution by the flipped weight.

    That saves adding columns up, and pays while it does not multiply much more (measured).
    """
    if any(st != 1 for st in stride) or w.shape[0] > 2 * w.shape[1]:
        return False
    reaches = [d * (k - 1) for d, k in zip(dilation, w.shape[2:], strict=True)]
    if any(p > r for p, r in zip(padding, reaches, strict=True)):
        return False
    # the size that these positions came from, without output padding
    usual = [m + r - 2 * p for m, r, p in zip(g.shape[2:], reaches, padding, strict=True)]
    return list(size) == usual and _count(size) <= 1.5 * _count(g.shape[2:])


def _flipped(w: Any, groups: int) -> Any:
    """The weight of the adjoint: taps reversed, inputs and outputs exchanged within each group."""
    k, c = w.shape[:2]
    back = (slice(None),) * 3 + (slice(None, None, -1),) * (w.ndim - 2)
    grouped = w.reshape(groups, k // groups, c, *w.shape[2:])[back]
    return grouped.swapaxes(1, 2).reshape(groups * c, k // groups, *w.shape[2:])


def _taps_at(
    kernel: Ints, stride: Ints, dilation: Ints, positions: Ints
) -> Iterator[tuple[Any, tuple[slice, ...]]]:
    """Each tap of the kernel, and the slices of the padded input that it reads."""
    for tap in np.ndindex(*kernel):
        yield (
            tap,
            tuple(
                slice(t * d, t * d + (m - 1) * st + 1, st)
                for t, d, m, st in zip(tap, dilation, positions, stride, strict=True)
            ),
        )


def _spread_columns(
    g: Any, w: Any, size: Ints, stride: Ints, padding: Ints, dilation: Ints, groups: int
) -> Any:
    n, kernel, positions = g.shape[0], w.shape[2:], g.shape[2:]
    channels = w.shape[1] * groups
    padded_size = tuple(s + 2 * p for s, p in zip(size, padding, strict=True))
    out = np.zeros((n, channels, *padded_size), g.dtype)
    count = _count(positions)
    matrix = np.ascontiguousarray(w).reshape(groups, w.shape[0] // groups, -1).swapaxes(1, 2)
    rows = channels * _count(kernel)
    step = max(1, _COLUMN_BYTES // max(rows * count * g.itemsize, 1))
    grouped = np.ascontiguousarray(g).reshape(n, groups, w.shape[0] // groups, count)
    for start in range(0, n, step):
        part = slice(start, start + step)
        columns = np.matmul(matrix, grouped[part])
        columns = columns.reshape(columns.shape[0], channels, *kernel, *positions)
        for tap, at in _taps_at(kernel, stride, dilation, positions):
            out[(part, slice(None), *at)] += columns[(slice(None), slice(None), *tap)]
    return out[_inner(size, padding)]


def _depthwise_input(
    g: Any, w: Any, size: Ints, stride: Ints, padding: Ints, dilation: Ints
) -> Any:
    """One channel a group: no products of matrices, a multiple of the gradient for each tap."""
    padded_size = tuple(s + 2 * p for s, p in zip(size, padding, strict=True))
    out = np.zeros((*g.shape[:2], *padded_size), g.dtype)
    part = np.empty(g.shape, g.dtype)
    for tap, at in _taps_at(w.shape[2:], stride, dilation, g.shape[2:]):
        factor = w[(slice(None), 0, *tap)].reshape(-1, *(1,) * len(size))
        out[(slice(None), slice(None), *at)] += np.multiply(g, factor, out=part)
    return out[_inner(size, padding)]


def _conv_weight(
    g: Any, x: Any, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints, groups: int
) -> Any:
    """Correlates the output's gradient with the windows it came from."""
    n, k, positions = g.shape[0], g.shape[1], g.shape[2:]
    count, per_group = _count(positions), x.shape[1] // groups
    if groups == 1 and (count < 16 or (x.shape[1] >= 8 and _count(kernel) > 1)):
        return _weight_of_rows(g, x, kernel, stride, padding, dilation)
    padded = _pad(x, padding)
    if per_group == 1 and k == groups:
        return _depthwise_weight(g, padded, kernel, stride, dilation)
    rows = per_group * _count(kernel)
    out = np.zeros((groups, k // groups, rows), g.dtype)
    grouped = np.ascontiguousarray(g).reshape(n, groups, k // groups, count)
    for part, columns in _columns(padded, kernel, stride, dilation, positions, groups):
        for image, column in zip(grouped[part], columns, strict=True):
            out += np.matmul(image, column.swapaxes(1, 2))
    return out.reshape(k, per_group, *kernel)


def _weight_of_rows(
    g: Any, x: Any, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints
) -> Any:
    """Windows as rows with the channels last: one product for several images.

    (K, images * positions) times (images * positions, taps * C).
    """
    n, k, positions, c = g.shape[0], g.shape[1], g.shape[2:], x.shape[1]
    count, rows = _count(positions), _count(kernel) * c
    shape = (n, *(s + 2 * p for s, p in zip(x.shape[2:], padding, strict=True)), c)
    padded = np.zeros(shape, x.dtype)
    inner = (slice(p, p + s) for p, s in zip(padding, x.shape[2:], strict=True))
    padded[(slice(None), *inner)] = np.moveaxis(x, 1, -1)
    s = padded.strides
    view = np.lib.stride_tricks.as_strided(
        padded,
        (n, *positions, *kernel, c),
        (
            s[0],
            *(a * st for a, st in zip(s[1:-1], stride, strict=True)),
            *(a * d for a, d in zip(s[1:-1], dilation, strict=True)),
            s[-1],
        ),
        writeable=False,
    )
    out = np.zeros((k, rows), g.dtype)
    flat = g.reshape(n, k, count)
    step = max(1, _COLUMN_BYTES // max(rows * count * g.itemsize, 1))
    for start in range(0, n, step):
        piece = flat[start : start + step]
        left = piece[0] if len(piece) == 1 else piece.transpose(1, 0, 2).reshape(k, -1)
        out += left @ view[start : start + step].reshape(-1, rows)
    return np.moveaxis(out.reshape(k, *kernel, c), -1, 1)


def _depthwise_weight(g: Any, padded: Any, kernel: Ints, stride: Ints, dilation: Ints) -> Any:
    """One channel a group: for each tap the sum of gradient times input."""
    out = np.empty((g.shape[1], 1, *kernel), g.dtype)
    product = np.empty(g.shape, g.dtype)
    others = (0, *range(2, g.ndim))
    for tap, at in _taps_at(kernel, stride, dilation, g.shape[2:]):
        np.multiply(g, padded[(slice(None), slice(None), *at)], out=product)
        out[(slice(None), 0, *tap)] = product.sum(others)
    return out


def _conv_backward(
    o: Any,
    needs: Any,
    g: Any,
    inputs: Any,
    outputs: Any,
    stride: Ints,
    padding: Ints,
    dilation: Ints,
    groups: int,
) -> Any:
    x, w, b = inputs
    how = (stride, padding, dilation, groups)
    dx = dw = db = None
    if needs[0]:
        dx = o.conv_input(g, o.conj(w), None, tuple(x._meta.shape[2:]), *how)
    if needs[1]:
        dw = o.conv_weight(g, o.conj(x), tuple(w._meta.shape[2:]), *how)
    if needs[2]:
        db = o.sum(g, (0, *range(2, g._meta.ndim)), False, None)
    return dx, dw, db


conv = Op(
    "conv",
    kind="window",
    inputs=("input", "weight", "bias"),
    attrs=("stride", "padding", "dilation", "groups"),
    rule=_conv_rule,
    kernel=_conv,
    backward=_conv_backward,
    keeps_inputs=(0, 1),
    node="ConvolutionBackward0",
    whole="of halves and whole numbers: windows by strides, blocked by memory",
)


def _input_rule(
    g: Meta, w: Meta, b: Any, size: Ints, stride: Ints, padding: Ints, dilation: Ints, groups: int
) -> Plan:
    if g.shape[1] != w.shape[0]:
        raise RuntimeError(
            f"Given transposed=1, weight of size {list(w.shape)}, expected input{list(g.shape)} to "
            f"have {w.shape[0]} channels, but got {g.shape[1]} channels instead"
        )
    if groups <= 0:
        raise RuntimeError("non-positive groups is not supported")
    if w.shape[0] % groups:
        raise RuntimeError(
            f"Given groups={groups}, expected weight to be divisible by {groups} at dimension 0, "
            "but "
            f"got weight of size {list(w.shape)} instead"
        )
    _check_bias(w, b, w.shape[1] * groups, groups)
    _check_dtypes(g, w, b)
    shape = (g.shape[0], w.shape[1] * groups, *size)
    return Plan(meta(shape, g.dtype, _layout(shape, g, w), g.device), compute=opmath(g.dtype))


def _input_backward(
    o: Any,
    needs: Any,
    g: Any,
    inputs: Any,
    outputs: Any,
    size: Ints,
    stride: Ints,
    padding: Ints,
    dilation: Ints,
    groups: int,
) -> Any:
    y, w, b = inputs
    how = (stride, padding, dilation, groups)
    dy = dw = db = None
    if needs[0]:
        dy = o.conv(g, o.conj(w), None, *how)
        want = y._meta.shape[2:]
        for d, n in enumerate(want):  # output padding adds positions that no window reaches
            if dy._meta.shape[d + 2] != n:
                dy = o.slice(dy, d + 2, 0, n, 1)
    if needs[1]:
        dw = o.conv_weight(o.conj(y), g, tuple(w._meta.shape[2:]), *how)
    if needs[2]:
        db = o.sum(g, (0, *range(2, g._meta.ndim)), False, None)
    return dy, dw, db


conv_input = Op(
    "conv_input",
    kind="window",
    inputs=("input", "weight", "bias"),
    attrs=("size", "stride", "padding", "dilation", "groups"),
    rule=_input_rule,
    kernel=_conv_input,
    backward=_input_backward,
    keeps_inputs=(0, 1),
    node="ConvolutionBackward0",
    whole="of halves and whole numbers: windows by strides, blocked by memory",
)


def _weight_rule(
    g: Meta, x: Meta, kernel: Ints, stride: Ints, padding: Ints, dilation: Ints, groups: int
) -> Plan:
    shape = (g.shape[1], x.shape[1] // groups, *kernel)
    return Plan(meta(shape, g.dtype, _layout(shape, g, x), g.device), compute=opmath(g.dtype))


def _weight_backward(
    o: Any,
    needs: Any,
    g: Any,
    inputs: Any,
    outputs: Any,
    kernel: Ints,
    stride: Ints,
    padding: Ints,
    dilation: Ints,
    groups: int,
) -> Any:
    y, x = inputs
    how = (stride, padding, dilation, groups)
    dy = dx = None
    if needs[0]:
        dy = o.conv(o.conj(x), g, None, *how)
        for d, n in enumerate(y._meta.shape[2:]):
            if dy._meta.shape[d + 2] != n:
                dy = o.slice(dy, d + 2, 0, n, 1)
    if needs[1]:
        dx = o.conv_input(o.conj(y), g, None, tuple(x._meta.shape[2:]), *how)
    return dy, dx


conv_weight = Op(
    "conv_weight",
    kind="window",
    inputs=("grad_output", "input"),
    attrs=("kernel", "stride", "padding", "dilation", "groups"),
    rule=_weight_rule,
    kernel=_conv_weight,
    backward=_weight_backward,
    keeps_inputs=(0, 1),
    node="ConvolutionBackwardBackward0",
    whole="of halves and whole numbers: windows by strides, blocked by memory",
)
