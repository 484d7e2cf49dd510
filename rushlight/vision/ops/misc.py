"""Building blocks of the model families: convolution with normalisation, gates, small networks."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import rushlight as rl
from rushlight import nn

__all__ = [
    "MLP",
    "Conv2dNormActivation",
    "Conv3dNormActivation",
    "FrozenBatchNorm2d",
    "Permute",
    "SqueezeExcitation",
]

Layer = Callable[..., Any]
Size = int | tuple[int, ...]


class FrozenBatchNorm2d(nn.Module):
    """`BatchNorm2d` in evaluation mode for ever: statistics, weight and bias are buffers.

    Args:
        num_features: number of channels C.
        eps: added to the variance.

    Shape: (N, C, H, W) -> (N, C, H, W).
    """

    def __init__(self, num_features: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.register_buffer("weight", rl.ones(num_features))
        self.register_buffer("bias", rl.zeros(num_features))
        self.register_buffer("running_mean", rl.zeros(num_features))
        self.register_buffer("running_var", rl.ones(num_features))

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *rest: Any, **kwargs: Any
    ) -> None:
        state_dict.pop(prefix + "num_batches_tracked", None)  # of an ordinary BatchNorm2d
        super()._load_from_state_dict(state_dict, prefix, *rest, **kwargs)

    def forward(self, x: Any) -> Any:
        """(x - running_mean) / sqrt(running_var + eps) * weight + bias."""
        column = (1, -1, 1, 1)
        scale = self.weight.reshape(column) * (self.running_var.reshape(column) + self.eps).rsqrt()
        return x * scale + (self.bias.reshape(column) - self.running_mean.reshape(column) * scale)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.weight.shape[0]}, eps={self.eps})"


class ConvNormActivation(nn.Sequential):
    """Convolution, normalisation, activation; the base of the 2-d and 3-d versions."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size = 3,
        stride: Size = 1,
        padding: Size | str | None = None,
        groups: int = 1,
        norm_layer: Layer | None = nn.BatchNorm2d,
        activation_layer: Layer | None = nn.ReLU,
        dilation: Size = 1,
        inplace: bool | None = True,
        bias: bool | None = None,
        conv_layer: Layer = nn.Conv2d,
    ) -> None:
        if padding is None:
            padding = _same_padding(kernel_size, dilation)
        convolution = conv_layer(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation=dilation,
            groups=groups,
            bias=norm_layer is None if bias is None else bias,
        )
        layers = [convolution]
        if norm_layer is not None:
            layers.append(norm_layer(out_channels))
        if activation_layer is not None:
            layers.append(activation_layer(**({} if inplace is None else {"inplace": inplace})))
        super().__init__(*layers)
        self.out_channels = out_channels
        if type(self) is ConvNormActivation:
            warnings.warn(
                "Don't use ConvNormActivation directly, please use Conv2dNormActivation and "
                "Conv3dNormActivation instead."
            )


def _same_padding(kernel_size: Size, dilation: Size) -> Size:
    """The padding that keeps the size at stride 1, for odd kernels."""
    if isinstance(kernel_size, int) and isinstance(dilation, int):
        return (kernel_size - 1) // 2 * dilation
    rank = len(kernel_size) if isinstance(kernel_size, Sequence) else len(dilation)  # type: ignore[arg-type]
    kernels = (kernel_size,) * rank if isinstance(kernel_size, int) else kernel_size
    dilations = (dilation,) * rank if isinstance(dilation, int) else dilation
    return tuple((k - 1) // 2 * d for k, d in zip(kernels, dilations, strict=True))


class Conv2dNormActivation(ConvNormActivation):
    """2-d convolution, then normalisation, then activation.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: of the convolution.
        stride: of the convolution.
        padding: by default what keeps height and width at stride 1.
        groups: of the convolution.
        norm_layer: function of a number of channels; None for no normalisation.
        activation_layer: called as `activation_layer(inplace=...)`; None for no activation.
        dilation: of the convolution.
        inplace: passed to the activation unless None.
        bias: of the convolution; by default only without normalisation.

    Example:
        >>> len(Conv2dNormActivation(3, 8))
        3
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size = 3,
        stride: Size = 1,
        padding: Size | str | None = None,
        groups: int = 1,
        norm_layer: Layer | None = nn.BatchNorm2d,
        activation_layer: Layer | None = nn.ReLU,
        dilation: Size = 1,
        inplace: bool | None = True,
        bias: bool | None = None,
    ) -> None:
        shape = (in_channels, out_channels, kernel_size, stride, padding, groups)
        super().__init__(*shape, norm_layer, activation_layer, dilation, inplace, bias, nn.Conv2d)


class Conv3dNormActivation(ConvNormActivation):
    """3-d convolution, then normalisation, then activation; arguments as in the 2-d version."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size = 3,
        stride: Size = 1,
        padding: Size | str | None = None,
        groups: int = 1,
        norm_layer: Layer | None = nn.BatchNorm3d,
        activation_layer: Layer | None = nn.ReLU,
        dilation: Size = 1,
        inplace: bool | None = True,
        bias: bool | None = None,
    ) -> None:
        shape = (in_channels, out_channels, kernel_size, stride, padding, groups)
        super().__init__(*shape, norm_layer, activation_layer, dilation, inplace, bias, nn.Conv3d)


class SqueezeExcitation(nn.Module):
    """Scales channels by a gate computed from their means (https://arxiv.org/abs/1709.01507).

    Args:
        input_channels: channels of the input.
        squeeze_channels: channels between the gate's two layers.
        activation: module class between the two layers.
        scale_activation: module class of the gate's output.

    Shape: (N, C, H, W) -> (N, C, H, W).
    """

    def __init__(
        self,
        input_channels: int,
        squeeze_channels: int,
        activation: Layer = nn.ReLU,
        scale_activation: Layer = nn.Sigmoid,
    ) -> None:
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Conv2d(input_channels, squeeze_channels, 1)
        self.fc2 = nn.Conv2d(squeeze_channels, input_channels, 1)
        self.activation = activation()
        self.scale_activation = scale_activation()

    def forward(self, input: Any) -> Any:
        """The input times its gate, one number a channel."""
        hidden = self.activation(self.fc1(self.avgpool(input)))
        return self.scale_activation(self.fc2(hidden)) * input


class MLP(nn.Sequential):
    """Linear layers with activation and dropout between them, and dropout at the end.

    Args:
        in_channels: size of the input.
        hidden_channels: sizes of the layers; the last is the output's.
        norm_layer: function of a size, put behind each layer but the last; None for none.
        activation_layer: module class.
        inplace: passed to activation and dropout unless None.
        bias: of the linear layers.
        dropout: probability.

    Shape: (..., in_channels) -> (..., hidden_channels[-1]).
    """

    def __init__(
        self,
        in_channels: int,
        hidden_channels: list[int],
        norm_layer: Layer | None = None,
        activation_layer: Layer = nn.ReLU,
        inplace: bool | None = None,
        bias: bool = True,
        dropout: float = 0.0,
    ) -> None:
        options = {} if inplace is None else {"inplace": inplace}
        layers: list[Any] = []
        size = in_channels
        for hidden in hidden_channels[:-1]:
            layers.append(nn.Linear(size, hidden, bias=bias))
            if norm_layer is not None:
                layers.append(norm_layer(hidden))
            layers += [activation_layer(**options), nn.Dropout(dropout, **options)]
            size = hidden
        layers.append(nn.Linear(size, hidden_channels[-1], bias=bias))
        layers.append(nn.Dropout(dropout, **options))
        super().__init__(*layers)


class Permute(nn.Module):
    """The input with its dimensions in the order `dims`, as a view."""

    def __init__(self, dims: list[int]) -> None:
        super().__init__()
        self.dims = dims

    def forward(self, x: Any) -> Any:
        """`x.permute(dims)`."""
        return rl.permute(x, self.dims)
