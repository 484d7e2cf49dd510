"""Normalisation over features, groups of channels, or neighbouring channels.

In: a tensor.  Out: the same shape, normalised within each sample: no batch statistics.
"""

from __future__ import annotations

import numbers
from typing import Any

import rushlight as rl
from rushlight.nn import functional as F
from rushlight.nn import init
from rushlight.nn.parameter import Parameter

from .module import Module

__all__ = ["LocalResponseNorm", "CrossMapLRN2d", "LayerNorm", "GroupNorm", "RMSNorm"]


class LocalResponseNorm(Module):
    """Divides by (k + alpha / size * sum of squares over neighbouring channels) ^ beta.

    Args:
        size: how many channels count as neighbours.
        alpha: default: 1e-4.
        beta: default: 0.75.
        k: default: 1.

    Shape:
        (N, C, *); output the same.

    Source: Krizhevsky et al., "ImageNet classification with deep convolutional networks", 2012.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.LocalResponseNorm(2)(rl.randn(2, 5, 4)).shape
        torch.Size([2, 5, 4])
    """

    __constants__ = ["size", "alpha", "beta", "k"]
    size: int
    alpha: float
    beta: float
    k: float

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        self.size = size
        self.alpha = alpha
        self.beta = beta
        self.k = k

    def forward(self, input: Any) -> Any:
        """Normalise `input`."""
        return F.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


class CrossMapLRN2d(Module):
    """LocalResponseNorm of images as Torch7 had it: the window is cut off at the borders.

    Args:
        size: how many channels count as neighbours.
        alpha: default: 1e-4.
        beta: default: 0.75.
        k: default: 1.

    Raises:
        ValueError: the input is not (N, C, H, W).

    Example:
        >>> import rushlight as rl
        >>> rl.nn.CrossMapLRN2d(3)(rl.randn(2, 5, 4, 4)).shape
        torch.Size([2, 5, 4, 4])
    """

    size: int
    alpha: float
    beta: float
    k: float

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1) -> None:
        super().__init__()
        self.size = size
        self.alpha = alpha
        self.beta = beta
        self.k = k

    def forward(self, input: Any) -> Any:
        """Normalise `input`."""
        from ._functions import CrossMapLRN2d as Function

        return Function.apply(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


def _as_shape(shape: Any) -> tuple[int, ...]:
    return (shape,) if isinstance(shape, numbers.Integral) else tuple(shape)  # type: ignore[return-value]


class LayerNorm(Module):
    """y = (x - mean) / sqrt(var + eps) * weight + bias over the last dimensions.

    Args:
        normalized_shape: sizes of the last dimensions: an int for one, or a list.
        eps: keeps the root from 0. Default: 1e-5.
        elementwise_affine: whether there are weight and bias. Default: `True`.
        bias: whether there is a bias. Default: `True`.
        device: of the parameters.
        dtype: of the parameters.

    Shape:
        (*, *normalized_shape); output the same. The variance is the biased one.

    Attributes:
        weight, bias: of `normalized_shape`, 1 and 0 at first.

    Source: Ba et al., "Layer normalization", 2016.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.LayerNorm(10)(rl.randn(20, 5, 10)).shape
        torch.Size([20, 5, 10])
    """

    __constants__ = ["normalized_shape", "eps", "elementwise_affine"]
    normalized_shape: tuple[int, ...]
    eps: float
    elementwise_affine: bool
    weight: Any
    bias: Any

    def __init__(
        self,
        normalized_shape: Any,
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = shape = _as_shape(normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        for name, wanted in (("weight", True), ("bias", bias)):
            if elementwise_affine and wanted:
                setattr(self, name, Parameter(rl.empty(shape, device=device, dtype=dtype)))
            else:
                self.register_parameter(name, None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Scale 1, shift 0."""
        if self.elementwise_affine:
            init.ones_(self.weight)
            if self.bias is not None:
                init.zeros_(self.bias)

    def forward(self, input: Any) -> Any:
        """Normalise `input`."""
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, "
            f"elementwise_affine={self.elementwise_affine}, bias={self.bias is not None}"
        )


class GroupNorm(Module):
    """y = (x - mean) / sqrt(var + eps) * weight + bias over groups of channels.

    Args:
        num_groups: into how many groups channels are split.
        num_channels: C; divisible by `num_groups`.
        eps: keeps the root from 0. Default: 1e-5.
        affine: whether there are weight and bias, one a channel. Default: `True`.
        device: of the parameters.
        dtype: of the parameters.
        bias: whether there is a bias. Default: `True`.

    Shape:
        (N, C, *); output the same.

    Raises:
        ValueError: the channels cannot be split evenly.

    Source: Wu and He, "Group normalization", 2018.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.GroupNorm(3, 6)(rl.randn(2, 6, 4, 4)).shape
        torch.Size([2, 6, 4, 4])
    """

    __constants__ = ["num_groups", "num_channels", "eps", "affine"]
    num_groups: int
    num_channels: int
    eps: float
    affine: bool
    weight: Any
    bias: Any

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if num_channels % num_groups != 0:
            raise ValueError(
                f"num_channels ({num_channels}) must be divisible by num_groups ({num_groups})"
            )
        self.num_groups = num_groups
        self.num_channels = num_channels
        self.eps = eps
        self.affine = affine
        for name, wanted in (("weight", True), ("bias", bias)):
            if affine and wanted:
                setattr(self, name, Parameter(rl.empty(num_channels, device=device, dtype=dtype)))
            else:
                self.register_parameter(name, None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Scale 1, shift 0."""
        if self.affine:
            init.ones_(self.weight)
            if self.bias is not None:
                init.zeros_(self.bias)

    def forward(self, input: Any) -> Any:
        """Normalise `input`."""
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.num_groups}, {self.num_channels}, eps={self.eps}, "
            f"affine={self.affine}, bias={self.bias is not None}"
        )


class RMSNorm(Module):
    """y = x / sqrt(mean(x^2) + eps) * weight over the last dimensions.

    Args:
        normalized_shape: sizes of the last dimensions: an int for one, or a list.
        eps: keeps the root from 0. Default: the machine epsilon of the input's dtype.
        elementwise_affine: whether there is a weight. Default: `True`.
        device: of the parameter.
        dtype: of the parameter.

    Source: Zhang and Sennrich, "Root mean square layer normalization", 2019.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.RMSNorm([2, 3])(rl.randn(2, 2, 3)).shape
        torch.Size([2, 2, 3])
    """

    __constants__ = ["normalized_shape", "eps", "elementwise_affine"]
    normalized_shape: tuple[int, ...]
    eps: float | None
    elementwise_affine: bool
    weight: Any

    def __init__(
        self,
        normalized_shape: Any,
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = shape = _as_shape(normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        if elementwise_affine:
            self.weight = Parameter(rl.empty(shape, device=device, dtype=dtype))
        else:
            self.register_parameter("weight", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Scale 1."""
        if self.elementwise_affine:
            init.ones_(self.weight)

    def forward(self, x: Any) -> Any:
        """Normalise `x`."""
        return F.rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"
        )
