"""Linear maps and convolutions."""

from __future__ import annotations

from numbers import Integral
from typing import Any

import rushlight as rl
from rushlight.dispatch.gate import call
from rushlight.errors import explained
from rushlight.ops import conv as records
from rushlight.ops import matmul

__all__ = [
    "bilinear",
    "conv1d",
    "conv2d",
    "conv3d",
    "conv_transpose1d",
    "conv_transpose2d",
    "conv_transpose3d",
    "linear",
]


def linear(input: Any, weight: Any, bias: Any = None) -> Any:
    """``input @ weight.T + bias``.

    Shapes: input (*, in), weight (out, in), bias (out); result (*, out).

    Example:
        >>> import rushlight as torch
        >>> w = torch.tensor([[1.0, 2.0]])
        >>> torch.nn.functional.linear(torch.tensor([[3.0, 4.0]]), w)
        tensor([[11.]])
    """
    return call(matmul.linear, (input, weight, bias))


matmul.linear.public = linear


def bilinear(input1: Any, input2: Any, weight: Any, bias: Any = None) -> Any:
    """``x1^T W_k x2 + b_k`` for each output k.

    Shapes: input1 (*, a), input2 (*, b), weight (out, a, b), bias (out); result (*, out).
    """
    import rushlight as rl

    if input1.dim() != input2.dim():
        raise RuntimeError(
            f"bilinear(): input dimensions do not match: got {input1.dim()} and {input2.dim()}"
        )
    for k in range(input1.dim() - 1):
        if input1.size(k) != input2.size(k):
            raise RuntimeError(
                f"bilinear(): input batch dimensions do not match at dim {k}: got "
                f"{input1.size(k)} and {input2.size(k)}"
            )
    for i, (x, axis) in enumerate(((input1, 1), (input2, 2))):
        if x.size(-1) != weight.size(axis):
            raise RuntimeError(
                f"bilinear(): input{i + 1} size does not match weight size: got {x.size(-1)} but "
                f"expected {weight.size(axis)}"
            )
    lead = input1.shape[:-1]
    a = input1.reshape(-1, input1.size(-1))
    b = input2.reshape(-1, input2.size(-1))
    left = rl.matmul(a, weight.permute(1, 0, 2).reshape(a.size(1), -1))  # (rows, out * b)
    left = left.reshape(a.size(0), weight.size(0), b.size(1))
    result = rl.bmm(left, b.unsqueeze(-1)).squeeze(-1).reshape(*lead, weight.size(0))
    return result if bias is None else result + bias


def _tuple(value: Any, n: int, name: str) -> tuple[int, ...]:
    if isinstance(value, Integral):  # NumPy's integers too
        return (int(value),) * n
    values = tuple(int(v) for v in value)
    if len(values) == 1:
        return values * n
    if len(values) != n:
        raise RuntimeError(
            f"expected {name} to be a single integer value or a list of {n} values to match the "
            f"convolution dimensions, but got {name}={list(values)}"
        )
    return values


def _batched(name: str, input: Any, n: int) -> tuple[Any, bool]:
    """The input with a batch dimension, and whether it had none."""
    have = input.dim()
    if have not in (n + 1, n + 2):
        error = RuntimeError(
            f"Expected {n + 1}D (unbatched) or {n + 2}D (batched) input to {name}, but got input "
            f"of size: {list(input.shape)}"
        )
        if have == n:
            raise explained(
                error,
                "the batch and channel dimensions are missing: x[None, None]",
                "缺少批次维和通道维：x[None, None]",
            )
        raise explained(
            error,
            "the input is (N, C, ...) with its batch and channel dimensions first",
            "输入应为 (N, C, ...)：批次维和通道维在前",
        )
    return (input.unsqueeze(0), True) if have == n + 1 else (input, False)


def _check_rank(input: Any, weight: Any, n: int) -> None:
    if not isinstance(input, rl.Tensor) or not isinstance(weight, rl.Tensor):
        kinds = ", ".join(type(x).__name__ for x in (input, weight))
        raise TypeError(
            f"conv{n}d() received an invalid combination of arguments - got ({kinds}), but "
            "expected one of:\n * (Tensor input, Tensor weight, Tensor bias = None, ...)"
        )
    if weight.dim() != n + 2:
        shape = list(input.shape)
        if len(shape) == n + 1:
            shape = [1, *shape]
        raise RuntimeError(
            "weight should have at least three dimensions"
            if weight.dim() < 3
            else f"Expected {weight.dim()}-dimensional input for {weight.dim()}-dimensional weight"
            f"{list(weight.shape)}, but got {len(shape)}-dimensional input of size "
            f"{shape} instead"
        )


def _same_padding(
    input: Any, weight: Any, dilation: tuple[int, ...], stride: tuple[int, ...]
) -> Any:
    """Symmetric padding for ``same``, and the input with what is left padded at its end."""
    from . import pad

    if any(s != 1 for s in stride):
        raise RuntimeError("padding='same' is not supported for strided convolutions")
    totals = [d * (k - 1) for d, k in zip(dilation, weight.shape[2:], strict=True)]
    extra = [t % 2 for t in totals]
    if any(extra):
        widths: list[int] = []
        for e in reversed(extra):
            widths += [0, e]
        input = pad(input, widths)
    return input, tuple(t // 2 for t in totals)


def _convolve(
    n: int,
    input: Any,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
) -> Any:
    kind = type(stride)
    if (kind is tuple or kind is int) and kind is type(padding) is type(dilation):  # the usual way
        if kind is int:
            stride, padding, dilation = (stride,) * n, (padding,) * n, (dilation,) * n
        try:
            usual = input._meta.ndim == weight._meta.ndim == n + 2
        except AttributeError:
            usual = False  # no tensor: refused below
        if usual and len(stride) == len(padding) == len(dilation) == n:
            how = (stride, padding, dilation, groups)
            return call(records.conv, (input, weight, bias), how)
    _check_rank(input, weight, n)
    input, single = _batched(f"conv{n}d", input, n)
    strides, dilations = _tuple(stride, n, "stride"), _tuple(dilation, n, "dilation")
    if isinstance(padding, str):
        if padding not in ("same", "valid"):
            raise RuntimeError("Invalid padding string: '" + padding + "'")
        if padding == "valid":
            paddings: tuple[int, ...] = (0,) * n
        else:
            input, paddings = _same_padding(input, weight, dilations, strides)
    else:
        paddings = _tuple(padding, n, "padding")
    out = call(records.conv, (input, weight, bias), (strides, paddings, dilations, groups))
    return out.squeeze(0) if single else out


def conv1d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """1-d convolution; input (N, C, L) or (C, L), weight (K, C / groups, k)."""
    return _convolve(1, input, weight, bias, stride, padding, dilation, groups)


def conv2d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """2-d convolution; input (N, C, H, W) or (C, H, W), weight (K, C / groups, kH, kW).

    Args:
        padding: zeros at each side, or ``"valid"`` (none) or ``"same"`` (the result's size is the
            input's; stride 1 only).

    Example:
        >>> import rushlight as torch
        >>> x, w = torch.ones(1, 1, 3, 3), torch.ones(1, 1, 2, 2)
        >>> torch.nn.functional.conv2d(x, w)
        tensor([[[[4., 4.],
                  [4., 4.]]]])
    """
    return _convolve(2, input, weight, bias, stride, padding, dilation, groups)


def conv3d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Any:
    """3-d convolution of (N, C, D, H, W) or (C, D, H, W); weight (K, C / groups, kD, kH, kW)."""
    return _convolve(3, input, weight, bias, stride, padding, dilation, groups)


def _transposed(
    n: int,
    input: Any,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: int,
    dilation: Any,
) -> Any:
    _check_rank(input, weight, n)
    input, single = _batched(f"conv_transpose{n}d", input, n)
    strides, dilations = _tuple(stride, n, "stride"), _tuple(dilation, n, "dilation")
    paddings, extra = _tuple(padding, n, "padding"), _tuple(output_padding, n, "output_padding")
    for e, s, d in zip(extra, strides, dilations, strict=True):
        if e >= s and e >= d:
            raise RuntimeError(
                "output padding must be smaller than either stride or dilation, but got "
                f"output_padding_height: {extra[0]} output_padding_width: {extra[-1]} "
                f"stride_height: {strides[0]} stride_width: {strides[-1]} dilation_height: "
                f"{dilations[0]} dilation_width: {dilations[-1]}"
            )
    size = tuple(
        (m - 1) * s - 2 * p + d * (k - 1) + e + 1
        for m, s, p, d, k, e in zip(
            input.shape[2:], strides, paddings, dilations, weight.shape[2:], extra, strict=True
        )
    )
    how = (size, strides, paddings, dilations, groups)
    out = call(records.conv_input, (input, weight, bias), how)
    return out.squeeze(0) if single else out


def conv_transpose1d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    """1-d transposed convolution; weight (C, K / groups, k)."""
    return _transposed(1, input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose2d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    """2-d transposed convolution; weight (C, K / groups, kH, kW)."""
    return _transposed(2, input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose3d(
    input: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Any:
    """3-d transposed convolution; weight (C, K / groups, kD, kH, kW)."""
    return _transposed(3, input, weight, bias, stride, padding, output_padding, groups, dilation)
