"""Padding, sliding blocks and unpooling."""

from __future__ import annotations

from typing import Any

import rushlight as rl
from rushlight.dispatch.gate import call
from rushlight.ops import window as records

__all__ = ["fold", "max_unpool1d", "max_unpool2d", "max_unpool3d", "pad", "unfold"]


def pad(input: Any, pad: Any, mode: str = "constant", value: float | None = None) -> Any:
    """Adds cells at the ends of dimensions, or takes them away where ``pad`` is negative.

    Args:
        pad: (before, after) of the last dimension, then of the one before it, and so on.
        mode: ``constant``, ``reflect``, ``replicate`` or ``circular``.
        value: the constant; 0 if not given.

    Example:
        >>> import rushlight as torch
        >>> torch.nn.functional.pad(torch.ones(2), (1, 0))
        tensor([0., 1., 1.])
    """
    widths = tuple(int(p) for p in pad)
    if len(widths) % 2:
        raise RuntimeError("Padding length must be divisible by 2")
    if mode == "constant":
        fill = 0 if value is None else value
        if input.dtype.is_integral:
            fill = int(fill)
        return call(records.constant_pad, (input,), (widths, fill))
    if value is not None and value != 0:
        raise RuntimeError(f'Padding mode "{mode}" doesn\'t take in value argument')
    if mode not in ("reflect", "replicate", "circular"):
        raise NotImplementedError(f"Unrecognised padding mode {mode}")
    _check_wrapped(input, widths, mode)
    sides = records.pad_sides(input.dim(), widths)
    for d, (before, after) in enumerate(sides):
        if before or after:
            input = input.index_select(d, _places(input.size(d), before, after, mode, d))
    return input


def _check_wrapped(input: Any, widths: tuple[int, ...], mode: str) -> None:
    spatial = len(widths) // 2
    if input.dim() not in (spatial + 1, spatial + 2) or spatial not in (1, 2, 3):
        raise NotImplementedError(
            f"Padding size {len(widths)} is not supported for {input.dim()}D input tensor."
        )
    shape = input.shape
    for i in range(spatial):
        before, after = widths[2 * i], widths[2 * i + 1]
        size = shape[-1 - i]
        d = input.dim() - 1 - i
        if mode == "reflect" and (before >= size or after >= size):
            raise RuntimeError(
                "Argument #4: Padding size should be less than the corresponding input dimension, "
                f"but got: padding ({before}, {after}) at dimension {d} of input {list(shape)}"
            )
        if mode == "circular" and (before > size or after > size):
            raise RuntimeError("Padding value causes wrapping around more than once.")
        if size + before + after < (1 if mode != "circular" else 0):
            raise RuntimeError(
                f"input (W: {size}) is too small. Calculated output W: {size + before + after}"
            )


def _places(size: int, before: int, after: int, mode: str, d: int) -> Any:
    """Which element each cell of the padded dimension repeats."""
    at = rl.arange(-before, size + after)
    if mode == "replicate":
        return at.clamp(0, max(size - 1, 0))
    if mode == "circular":
        first, end = max(-before, 0), size - max(-after, 0)  # what a negative padding leaves
        return first + (at - first) % max(end - first, 1)
    at = at.abs()
    return (size - 1 - (size - 1 - at).abs()) if size > 1 else at * 0


def _pair(value: Any) -> tuple[int, int]:
    if isinstance(value, int):
        return (value, value)
    values = tuple(int(v) for v in value)
    return (values[0], values[0]) if len(values) == 1 else (values[0], values[1])


def unfold(
    input: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Any:
    """All windows of an image as columns: (N, C, H, W) to (N, C * kH * kW, windows)."""
    if input.dim() not in (3, 4):
        raise RuntimeError(
            "Expected 3D or 4D (batch mode) tensor with possibly 0 batch size and other non-zero "
            f"dimensions for input, but got: {list(input.shape)}"
        )
    x = input.unsqueeze(0) if input.dim() == 3 else input
    how = (_pair(kernel_size), _pair(dilation), _pair(padding), _pair(stride))
    out = call(records.im2col, (x,), how)
    return out.squeeze(0) if input.dim() == 3 else out


def fold(
    input: Any,
    output_size: Any,
    kernel_size: Any,
    dilation: Any = 1,
    padding: Any = 0,
    stride: Any = 1,
) -> Any:
    """Adds columns up into images: the adjoint of ``unfold``."""
    if input.dim() not in (2, 3):
        raise RuntimeError(
            "Expected 2D or 3D (batch mode) tensor for input with possibly 0 batch size and "
            "non-zero "
            f"dimensions for input, but got: {list(input.shape)}"
        )
    x = input.unsqueeze(0) if input.dim() == 2 else input
    how = (_pair(kernel_size), _pair(dilation), _pair(padding), _pair(stride))
    out = call(records.col2im, (x,), (_pair(output_size), *how))
    return out.squeeze(0) if input.dim() == 2 else out


def _unpool(
    n: int, input: Any, indices: Any, kernel_size: Any, stride: Any, padding: Any, output_size: Any
) -> Any:
    def spread(value: Any) -> tuple[int, ...]:
        return (value,) * n if isinstance(value, int) else tuple(value)

    kernel = spread(kernel_size)
    steps = kernel if stride is None else spread(stride)
    around = spread(padding)
    usual = [
        (s - 1) * st - 2 * p + k
        for s, st, p, k in zip(input.shape[-n:], steps, around, kernel, strict=True)
    ]
    size = usual if output_size is None else [int(s) for s in output_size][-n:]
    for want, have, st in zip(size, usual, steps, strict=True):
        if output_size is not None and not have - st < want < have + st:
            raise ValueError(
                f"invalid output_size {list(size)} (dim 0 must be between {have - st} and "
                f"{have + st})"
            )
    if indices.shape != input.shape:
        flat = [1] if n == 1 else []  # PyTorch sees vectors as images of one column
        raise RuntimeError(
            "Expected shape of indices to be same as that of the input tensor "
            f"({[*input.shape, *flat]}) but got indices tensor with shape: "
            f"{[*indices.shape, *flat]}"
        )
    single = input.dim() == n + 1
    x, at = (input.unsqueeze(0), indices.unsqueeze(0)) if single else (input, indices)
    out = call(records.max_unpool, (x, at), (tuple(size),))
    return out.squeeze(0) if single else out


def max_unpool1d(
    input: Any,
    indices: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    output_size: Any = None,
) -> Any:
    """Puts the values of ``max_pool1d`` back where they stood; zeros elsewhere."""
    return _unpool(1, input, indices, kernel_size, stride, padding, output_size)


def max_unpool2d(
    input: Any,
    indices: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    output_size: Any = None,
) -> Any:
    """Puts the values of ``max_pool2d`` back where they stood; zeros elsewhere."""
    return _unpool(2, input, indices, kernel_size, stride, padding, output_size)


def max_unpool3d(
    input: Any,
    indices: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    output_size: Any = None,
) -> Any:
    """Puts the values of ``max_pool3d`` back where they stood; zeros elsewhere."""
    return _unpool(3, input, indices, kernel_size, stride, padding, output_size)
