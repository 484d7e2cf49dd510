"""Functions that are short compositions of others: softmin, softsign, p-norm pooling, and so on.

In: tensors.  Out: tensors.  Each is a few tensor operations, so gradients need nothing more.
"""

from __future__ import annotations

import warnings
from typing import Any

import rushlight as rl
from rushlight.nn._sizes import _pair, _single, _triple

__all__ = [
    "assert_int_or_pair",
    "conv_tbc",
    "gumbel_softmax",
    "local_response_norm",
    "lp_pool1d",
    "lp_pool2d",
    "lp_pool3d",
    "softmin",
    "softsign",
    "tanhshrink",
]


def assert_int_or_pair(arg: Any, arg_name: str, message: str) -> None:
    """AssertionError with `message`, formatted with `arg_name`, unless `arg` is an int or two."""
    if not (isinstance(arg, int) or len(arg) == 2):
        raise AssertionError(message.format(arg_name))


def conv_tbc(input: Any, weight: Any, bias: Any, pad: int = 0) -> Any:
    """A convolution over sequences laid out as (time, batch, channels).

    Args:
        input: (T, N, C_in).
        weight: (kernel width, C_in, C_out).
        bias: (C_out).
        pad: zeros added at both ends. Default: 0.

    Example:
        >>> import rushlight as rl
        >>> x, w = rl.zeros(5, 2, 3), rl.zeros(3, 3, 4)
        >>> rl.nn.functional.conv_tbc(x, w, rl.zeros(4)).shape
        torch.Size([3, 2, 4])
    """
    from rushlight.nn import functional as F

    if input.dim() != 3:
        raise RuntimeError("Input must have 3 dims: time, batch, in_channel")
    if weight.dim() != 3:
        raise RuntimeError(
            "Weight tensor must have 3 dims: kernel_width, in_channels, out_channels."
        )
    if bias.dim() != 1:
        raise RuntimeError("Bias must be 1-D")
    if input.size(2) != weight.size(1):
        raise RuntimeError("Input dim 2 (input channels) is not == dim 1 in the weight tensor")
    if weight.size(2) != bias.size(0):
        raise RuntimeError("Bias size must equal dim 2 in the weight tensor (output channels).")
    # (T, N, C) -> (N, C, T) and (K, C_in, C_out) -> (C_out, C_in, K)
    y = F.conv1d(input.permute(1, 2, 0), weight.permute(2, 1, 0), bias, padding=pad)
    return y.permute(2, 0, 1).contiguous()


def softsign(input: Any) -> Any:
    """x / (1 + |x|).

    Example:
        >>> import rushlight as rl
        >>> rl.nn.functional.softsign(rl.ones(1))
        tensor([0.5000])
    """
    return input / (input.abs() + 1)


def tanhshrink(input: Any) -> Any:
    """x - tanh(x).

    Example:
        >>> import rushlight as rl
        >>> rl.nn.functional.tanhshrink(rl.zeros(1))
        tensor([0.])
    """
    return input - input.tanh()


def softmin(input: Any, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Any:
    """softmax(-x) along `dim`; without `dim` one is guessed, with a warning.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.functional.softmin(rl.zeros(2), dim=0)
        tensor([0.5000, 0.5000])
    """
    if dim is None:
        dim = _get_softmax_dim("softmin", input.dim(), _stacklevel)
    return (-input).softmax(dim) if dtype is None else (-input).softmax(dim, dtype=dtype)


def _get_softmax_dim(name: str, ndim: int, stacklevel: int) -> int:
    """The dimension that old code meant when it named none."""
    warnings.warn(
        f"Implicit dimension choice for {name} has been deprecated. "
        "Change the call to include dim=X as an argument.",
        stacklevel=stacklevel,
    )
    return 0 if ndim in (0, 1, 3) else 1


def gumbel_softmax(
    logits: Any, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1
) -> Any:
    """A sample of the Gumbel-softmax distribution: softmax((logits + Gumbel noise) / tau).

    Args:
        logits: unnormalised log-probabilities.
        tau: temperature. Default: 1.
        hard: return one-hot vectors, with the gradient of the soft ones. Default: `False`.
        eps: deprecated, has no effect.
        dim: the dimension of the classes. Default: -1.

    Source: Jang et al., "Categorical reparameterization with Gumbel-softmax", 2016.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.functional.gumbel_softmax(rl.zeros(2, 3), hard=True).sum(-1)
        tensor([1., 1.])
    """
    if eps != 1e-10:
        warnings.warn("`eps` parameter is deprecated and has no effect.", stacklevel=2)
    drawn = rl.empty_like(logits, memory_format=rl.contiguous_format).exponential_()
    soft = ((logits - drawn.log()) / tau).softmax(dim)
    if not hard:
        return soft
    index = soft.max(dim, keepdim=True)[1]
    zeros = rl.zeros_like(logits, memory_format=rl.contiguous_format)
    # The value is one-hot; the gradient is the soft sample's.
    return zeros.scatter_(dim, index, 1.0) - soft.detach() + soft


def _lp_pool(
    dims: int, input: Any, norm_type: float, kernel: Any, stride: Any, ceil_mode: bool
) -> Any:
    from rushlight.nn import functional as F

    if norm_type in (float("inf"), -float("inf")):
        max_pool: Any = (F.max_pool1d, F.max_pool2d, F.max_pool3d)[dims - 1]
        sign = 1 if norm_type > 0 else -1
        return sign * max_pool(sign * input.abs(), kernel, stride, 0, 1, ceil_mode)
    avg_pool = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[dims - 1]
    mean = avg_pool(input.pow(norm_type), kernel, stride, 0, ceil_mode)
    size = 1
    for k in kernel:
        size *= k
    return (rl.sign(mean) * rl.relu(rl.abs(mean))).mul(size).pow(1.0 / norm_type)


def lp_pool1d(
    input: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
) -> Any:
    """(sum of x^p)^(1/p) of each window of (N, C, L); the stride is the window by default.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.functional.lp_pool1d(rl.ones(1, 1, 4), 1, 2)
        tensor([[[2., 2.]]])
    """
    return _lp_pool(1, input, norm_type, _single(kernel_size), stride, ceil_mode)


def lp_pool2d(
    input: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
) -> Any:
    """(sum of x^p)^(1/p) of each window of (N, C, H, W); the stride is the window by default.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.functional.lp_pool2d(rl.ones(1, 1, 2, 2), 1, 2)
        tensor([[[[4.]]]])
    """
    return _lp_pool(2, input, norm_type, _pair(kernel_size), stride, ceil_mode)


def lp_pool3d(
    input: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
) -> Any:
    """(sum of x^p)^(1/p) of each window of (N, C, D, H, W); the stride is the window by default.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.functional.lp_pool3d(rl.ones(1, 1, 2, 2, 2), 1, 2).item()
        8.0
    """
    return _lp_pool(3, input, norm_type, _triple(kernel_size), stride, ceil_mode)


def local_response_norm(
    input: Any, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Any:
    """input / (k + alpha * mean of squares over `size` neighbouring channels) ^ beta.

    Args:
        input: (N, C, *).
        size: how many channels count as neighbours; missing ones count as zero.
        alpha: default: 1e-4.
        beta: default: 0.75.
        k: default: 1.

    Source: Krizhevsky et al., "ImageNet classification with deep convolutional networks", 2012.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.functional.local_response_norm(rl.ones(1, 3, 2), 3).shape
        torch.Size([1, 3, 2])
    """
    from rushlight.nn import functional as F

    dims = input.dim()
    if dims < 3:
        raise ValueError(
            f"Expected 3D or higher dimensionality                          input "
            f"(got {dims} dimensions)"
        )
    if input.numel() == 0:
        return input
    batch, channels = input.size(0), input.size(1)
    square = input.mul(input).reshape(batch, 1, channels, -1)  # channels as an image's height
    square = F.pad(square, (0, 0, size // 2, (size - 1) // 2))
    mean = F.avg_pool2d(square, (size, 1), stride=1).reshape(input.shape)
    return input / mean.mul(alpha).add(k).pow(beta)
