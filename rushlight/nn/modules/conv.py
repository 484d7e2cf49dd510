"""Convolution layers in one, two and three dimensions, transposed ones, and the lazy variants.

In: (N, C, ...) tensors, or (C, ...) without a batch.  Out: cross-correlations with learned
filters.  Initial draws follow PyTorch: the weight first, then the bias.
"""

from __future__ import annotations

from typing import Any

from rushlight.nn import functional as F

from ._conv_base import _ConvNd, _ConvTransposeNd, _LazyConvXdMixin
from .utils import _pair, _single, _triple

__all__ = [
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
    "LazyConv1d",
    "LazyConv2d",
    "LazyConv3d",
    "LazyConvTranspose1d",
    "LazyConvTranspose2d",
    "LazyConvTranspose3d",
]


class Conv1d(_ConvNd):
    """A convolution over a signal: each output channel is a learned filter over all input channels.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: an int.
        stride: step of the filter: an int. Default: 1.
        padding: an int added on both sides, or `"same"`, `"valid"`. Default: 0.
        dilation: spacing of the filter's taps. Default: 1.
        groups: into how many independent blocks channels are split. Default: 1.
        bias: whether a number is added to each output channel. Default: `True`.
        padding_mode: `"zeros"`, `"reflect"`, `"replicate"` or `"circular"`. Default: `"zeros"`.
        device: of the parameters.
        dtype: of the parameters.

    Shape:
        Input (N, C_in, L) or (C_in, L); output the same with C_out and, in each dimension,
        floor((size + 2 * padding - dilation * (kernel_size - 1) - 1) / stride) + 1.

    Attributes:
        weight: (out_channels, in_channels / groups, *kernel_size), from U(-k, k), k =
            1 / sqrt(in_channels / groups * prod(kernel_size)).
        bias: (out_channels), from the same.

    Raises:
        ValueError: channels not divisible by `groups`, or an unknown padding.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.Conv1d(16, 33, 3, stride=2)(rl.randn(20, 16, 50)).shape
        torch.Size([20, 33, 24])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            _single(kernel_size),
            _single(stride),
            padding if isinstance(padding, str) else _single(padding),
            _single(dilation),
            False,
            _single(0),
            groups,
            bias,
            padding_mode,
            device,
            dtype,
        )

    def _conv_forward(self, input: Any, weight: Any, bias: Any) -> Any:
        padding = self.padding
        if self.padding_mode != "zeros":
            input, padding = self._padded(input), _single(0)
        return F.conv1d(input, weight, bias, self.stride, padding, self.dilation, self.groups)

    def forward(self, input: Any) -> Any:
        """Convolve `input`."""
        return self._conv_forward(input, self.weight, self.bias)


class Conv2d(_ConvNd):
    """A convolution over an image: each output channel is a learned filter over all input channels.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: an int or 2 ints.
        stride: step of the filter: an int or 2 ints. Default: 1.
        padding: an int or 2 ints added on both sides, or `"same"`, `"valid"`. Default: 0.
        dilation: spacing of the filter's taps. Default: 1.
        groups: into how many independent blocks channels are split. Default: 1.
        bias: whether a number is added to each output channel. Default: `True`.
        padding_mode: `"zeros"`, `"reflect"`, `"replicate"` or `"circular"`. Default: `"zeros"`.
        device: of the parameters.
        dtype: of the parameters.

    Shape:
        Input (N, C_in, H, W) or (C_in, H, W); output the same with C_out and, in each dimension,
        floor((size + 2 * padding - dilation * (kernel_size - 1) - 1) / stride) + 1.

    Attributes:
        weight: (out_channels, in_channels / groups, *kernel_size), from U(-k, k), k =
            1 / sqrt(in_channels / groups * prod(kernel_size)).
        bias: (out_channels), from the same.

    Raises:
        ValueError: channels not divisible by `groups`, or an unknown padding.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.Conv2d(16, 33, 3, stride=2)(rl.randn(20, 16, 50, 100)).shape
        torch.Size([20, 33, 24, 49])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            _pair(kernel_size),
            _pair(stride),
            padding if isinstance(padding, str) else _pair(padding),
            _pair(dilation),
            False,
            _pair(0),
            groups,
            bias,
            padding_mode,
            device,
            dtype,
        )

    def _conv_forward(self, input: Any, weight: Any, bias: Any) -> Any:
        padding = self.padding
        if self.padding_mode != "zeros":
            input, padding = self._padded(input), _pair(0)
        return F.conv2d(input, weight, bias, self.stride, padding, self.dilation, self.groups)

    def forward(self, input: Any) -> Any:
        """Convolve `input`."""
        return self._conv_forward(input, self.weight, self.bias)


class Conv3d(_ConvNd):
    """A convolution over a volume: each output channel is a learned filter over all input channels.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: an int or 3 ints.
        stride: step of the filter: an int or 3 ints. Default: 1.
        padding: an int or 3 ints added on both sides, or `"same"`, `"valid"`. Default: 0.
        dilation: spacing of the filter's taps. Default: 1.
        groups: into how many independent blocks channels are split. Default: 1.
        bias: whether a number is added to each output channel. Default: `True`.
        padding_mode: `"zeros"`, `"reflect"`, `"replicate"` or `"circular"`. Default: `"zeros"`.
        device: of the parameters.
        dtype: of the parameters.

    Shape:
        Input (N, C_in, D, H, W) or (C_in, D, H, W); output the same with C_out and, in each
        dimension,
        floor((size + 2 * padding - dilation * (kernel_size - 1) - 1) / stride) + 1.

    Attributes:
        weight: (out_channels, in_channels / groups, *kernel_size), from U(-k, k), k =
            1 / sqrt(in_channels / groups * prod(kernel_size)).
        bias: (out_channels), from the same.

    Raises:
        ValueError: channels not divisible by `groups`, or an unknown padding.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.Conv3d(16, 33, 3, stride=2)(rl.randn(2, 16, 5, 8, 9)).shape
        torch.Size([2, 33, 2, 3, 4])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            _triple(kernel_size),
            _triple(stride),
            padding if isinstance(padding, str) else _triple(padding),
            _triple(dilation),
            False,
            _triple(0),
            groups,
            bias,
            padding_mode,
            device,
            dtype,
        )

    def _conv_forward(self, input: Any, weight: Any, bias: Any) -> Any:
        padding = self.padding
        if self.padding_mode != "zeros":
            input, padding = self._padded(input), _triple(0)
        return F.conv3d(input, weight, bias, self.stride, padding, self.dilation, self.groups)

    def forward(self, input: Any) -> Any:
        """Convolve `input`."""
        return self._conv_forward(input, self.weight, self.bias)


class ConvTranspose1d(_ConvTransposeNd):
    """The gradient of Conv1d with respect to its input, as a layer: it upsamples a signal.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: an int.
        stride: step between the inputs' copies of the filter. Default: 1.
        padding: taken off both sides of the output, less dilation * (kernel_size - 1). Default: 0.
        output_padding: added to one side of the output, where stride leaves a choice. Default: 0.
        groups: into how many independent blocks channels are split. Default: 1.
        bias: whether a number is added to each output channel. Default: `True`.
        dilation: spacing of the filter's taps. Default: 1.
        padding_mode: only `"zeros"`.
        device: of the parameters.
        dtype: of the parameters.

    Shape:
        Input (N, C_in, L) or (C_in, L); output the same with C_out and, in each dimension,
        (size - 1) * stride - 2 * padding + dilation * (kernel_size - 1) + output_padding + 1.

    Attributes:
        weight: (in_channels, out_channels / groups, *kernel_size), from U(-k, k), k =
            1 / sqrt(out_channels / groups * prod(kernel_size)).
        bias: (out_channels), from the same.

    Source: Zeiler et al., "Deconvolutional networks", 2010.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.ConvTranspose1d(16, 33, 3, stride=2)(rl.randn(20, 16, 50)).shape
        torch.Size([20, 33, 101])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            _single(kernel_size),
            _single(stride),
            _single(padding),
            _single(dilation),
            True,
            _single(output_padding),
            groups,
            bias,
            padding_mode,
            device,
            dtype,
        )

    def forward(self, input: Any, output_size: Any = None) -> Any:
        """Upsample `input`; `output_size` chooses among the sizes that stride leaves open."""
        return self._call(F.conv_transpose1d, input, output_size, 1)


class ConvTranspose2d(_ConvTransposeNd):
    """The gradient of Conv2d with respect to its input, as a layer: it upsamples an image.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: an int or 2 ints.
        stride: step between the inputs' copies of the filter. Default: 1.
        padding: taken off both sides of the output, less dilation * (kernel_size - 1). Default: 0.
        output_padding: added to one side of the output, where stride leaves a choice. Default: 0.
        groups: into how many independent blocks channels are split. Default: 1.
        bias: whether a number is added to each output channel. Default: `True`.
        dilation: spacing of the filter's taps. Default: 1.
        padding_mode: only `"zeros"`.
        device: of the parameters.
        dtype: of the parameters.

    Shape:
        Input (N, C_in, H, W) or (C_in, H, W); output the same with C_out and, in each dimension,
        (size - 1) * stride - 2 * padding + dilation * (kernel_size - 1) + output_padding + 1.

    Attributes:
        weight: (in_channels, out_channels / groups, *kernel_size), from U(-k, k), k =
            1 / sqrt(out_channels / groups * prod(kernel_size)).
        bias: (out_channels), from the same.

    Source: Zeiler et al., "Deconvolutional networks", 2010.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.ConvTranspose2d(16, 33, 3, stride=2)(rl.randn(20, 16, 5, 10)).shape
        torch.Size([20, 33, 11, 21])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            _pair(kernel_size),
            _pair(stride),
            _pair(padding),
            _pair(dilation),
            True,
            _pair(output_padding),
            groups,
            bias,
            padding_mode,
            device,
            dtype,
        )

    def forward(self, input: Any, output_size: Any = None) -> Any:
        """Upsample `input`; `output_size` chooses among the sizes that stride leaves open."""
        return self._call(F.conv_transpose2d, input, output_size, 2)


class ConvTranspose3d(_ConvTransposeNd):
    """The gradient of Conv3d with respect to its input, as a layer: it upsamples a volume.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: an int or 3 ints.
        stride: step between the inputs' copies of the filter. Default: 1.
        padding: taken off both sides of the output, less dilation * (kernel_size - 1). Default: 0.
        output_padding: added to one side of the output, where stride leaves a choice. Default: 0.
        groups: into how many independent blocks channels are split. Default: 1.
        bias: whether a number is added to each output channel. Default: `True`.
        dilation: spacing of the filter's taps. Default: 1.
        padding_mode: only `"zeros"`.
        device: of the parameters.
        dtype: of the parameters.

    Shape:
        Input (N, C_in, D, H, W) or (C_in, D, H, W); output the same with C_out and, in each
        dimension,
        (size - 1) * stride - 2 * padding + dilation * (kernel_size - 1) + output_padding + 1.

    Attributes:
        weight: (in_channels, out_channels / groups, *kernel_size), from U(-k, k), k =
            1 / sqrt(out_channels / groups * prod(kernel_size)).
        bias: (out_channels), from the same.

    Source: Zeiler et al., "Deconvolutional networks", 2010.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.ConvTranspose3d(16, 33, 3, stride=2)(rl.randn(2, 16, 3, 4, 5)).shape
        torch.Size([2, 33, 7, 9, 11])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            _triple(kernel_size),
            _triple(stride),
            _triple(padding),
            _triple(dilation),
            True,
            _triple(output_padding),
            groups,
            bias,
            padding_mode,
            device,
            dtype,
        )

    def forward(self, input: Any, output_size: Any = None) -> Any:
        """Upsample `input`; `output_size` chooses among the sizes that stride leaves open."""
        return self._call(F.conv_transpose3d, input, output_size, 3)


class LazyConv1d(_LazyConvXdMixin, Conv1d):  # type: ignore[misc]
    """A Conv1d whose `in_channels` comes from its first input; else the same arguments.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.LazyConv1d(4, 3)(rl.zeros(2, 5, 6)).shape
        torch.Size([2, 4, 4])
    """

    cls_to_become = Conv1d

    def __init__(
        self,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            0,
            0,
            kernel_size,
            stride,
            padding,
            dilation,
            groups,
            False,
            padding_mode,
            device,
            dtype,
        )
        self._make_lazy(out_channels, bias, device, dtype)


class LazyConv2d(_LazyConvXdMixin, Conv2d):  # type: ignore[misc]
    """A Conv2d whose `in_channels` comes from its first input; else the same arguments.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.LazyConv2d(4, 3)(rl.zeros(2, 5, 6, 6)).shape
        torch.Size([2, 4, 4, 4])
    """

    cls_to_become = Conv2d

    def __init__(
        self,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            0,
            0,
            kernel_size,
            stride,
            padding,
            dilation,
            groups,
            False,
            padding_mode,
            device,
            dtype,
        )
        self._make_lazy(out_channels, bias, device, dtype)


class LazyConv3d(_LazyConvXdMixin, Conv3d):  # type: ignore[misc]
    """A Conv3d whose `in_channels` comes from its first input; else the same arguments.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.LazyConv3d(4, 3)(rl.zeros(2, 5, 6, 6, 6)).shape
        torch.Size([2, 4, 4, 4, 4])
    """

    cls_to_become = Conv3d

    def __init__(
        self,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            0,
            0,
            kernel_size,
            stride,
            padding,
            dilation,
            groups,
            False,
            padding_mode,
            device,
            dtype,
        )
        self._make_lazy(out_channels, bias, device, dtype)


class LazyConvTranspose1d(_LazyConvXdMixin, ConvTranspose1d):  # type: ignore[misc]
    """A ConvTranspose1d whose `in_channels` comes from its first input; else the same arguments.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.LazyConvTranspose1d(4, 3)(rl.zeros(2, 5, 6)).shape
        torch.Size([2, 4, 8])
    """

    cls_to_become = ConvTranspose1d

    def __init__(
        self,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            0,
            0,
            kernel_size,
            stride,
            padding,
            output_padding,
            groups,
            False,
            dilation,
            padding_mode,
            device,
            dtype,
        )
        self._make_lazy(out_channels, bias, device, dtype)


class LazyConvTranspose2d(_LazyConvXdMixin, ConvTranspose2d):  # type: ignore[misc]
    """A ConvTranspose2d whose `in_channels` comes from its first input; else the same arguments.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.LazyConvTranspose2d(4, 3)(rl.zeros(2, 5, 6, 6)).shape
        torch.Size([2, 4, 8, 8])
    """

    cls_to_become = ConvTranspose2d

    def __init__(
        self,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            0,
            0,
            kernel_size,
            stride,
            padding,
            output_padding,
            groups,
            False,
            dilation,
            padding_mode,
            device,
            dtype,
        )
        self._make_lazy(out_channels, bias, device, dtype)


class LazyConvTranspose3d(_LazyConvXdMixin, ConvTranspose3d):  # type: ignore[misc]
    """A ConvTranspose3d whose `in_channels` comes from its first input; else the same arguments.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.LazyConvTranspose3d(4, 3)(rl.zeros(2, 5, 6, 6, 6)).shape
        torch.Size([2, 4, 8, 8, 8])
    """

    cls_to_become = ConvTranspose3d

    def __init__(
        self,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            0,
            0,
            kernel_size,
            stride,
            padding,
            output_padding,
            groups,
            False,
            dilation,
            padding_mode,
            device,
            dtype,
        )
        self._make_lazy(out_channels, bias, device, dtype)
