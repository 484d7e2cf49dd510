"""Pooling layers: the maximum, mean or p-norm of windows.

In: (N, C, ...) or (C, ...).  Out: the same with smaller spatial dimensions, except the unpooling
layers, which undo a max pooling.
"""

from __future__ import annotations

from typing import Any

from rushlight.nn import functional as F

from ._members import plain_dict
from .module import Module
from .utils import _pair, _single, _triple

__all__ = [
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
    "MaxUnpool1d",
    "MaxUnpool2d",
    "MaxUnpool3d",
    "AvgPool1d",
    "AvgPool2d",
    "AvgPool3d",
    "FractionalMaxPool2d",
    "FractionalMaxPool3d",
    "LPPool1d",
    "LPPool2d",
    "LPPool3d",
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d",
    "AdaptiveMaxPool3d",
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveAvgPool3d",
]


class _MaxPoolNd(Module):
    __constants__ = ["kernel_size", "stride", "padding", "dilation", "return_indices"]
    __constants__ += ["ceil_mode"]
    kernel_size: Any
    stride: Any
    padding: Any
    dilation: Any
    return_indices: bool
    ceil_mode: bool

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = stride if stride is not None else kernel_size
        self.padding = padding
        self.dilation = dilation
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(_MaxPoolNd):
    """The largest value of each window of a signal.

    Args:
        kernel_size: size of the window: an int.
        stride: step of the window. Default: `kernel_size`.
        padding: minus infinity added on both sides, at most half a window. Default: 0.
        dilation: spacing inside the window. Default: 1.
        return_indices: also return where the maxima are. Default: `False`.
        ceil_mode: also count windows that reach over the far border. Default: `False`.

    Shape:
        (N, C, L) or (C, L); each size becomes
        floor((size + 2 * padding - dilation * (kernel_size - 1) - 1) / stride) + 1.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.MaxPool1d(2)(rl.zeros(1, 1, 6)).shape
        torch.Size([1, 1, 3])
    """

    def forward(self, input: Any) -> Any:
        """Pool `input`."""
        return F.max_pool1d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            self.ceil_mode,
            self.return_indices,
        )


class MaxPool2d(_MaxPoolNd):
    """The largest value of each window of an image.

    Args:
        kernel_size: size of the window: an int or two.
        stride: step of the window. Default: `kernel_size`.
        padding: minus infinity added on both sides, at most half a window. Default: 0.
        dilation: spacing inside the window. Default: 1.
        return_indices: also return where the maxima are. Default: `False`.
        ceil_mode: also count windows that reach over the far border. Default: `False`.

    Shape:
        (N, C, H, W) or (C, H, W); each size becomes
        floor((size + 2 * padding - dilation * (kernel_size - 1) - 1) / stride) + 1.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.MaxPool2d(2)(rl.zeros(1, 1, 6, 6)).shape
        torch.Size([1, 1, 3, 3])
    """

    def forward(self, input: Any) -> Any:
        """Pool `input`."""
        return F.max_pool2d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            self.ceil_mode,
            self.return_indices,
        )


class MaxPool3d(_MaxPoolNd):
    """The largest value of each window of a volume.

    Args:
        kernel_size: size of the window: an int or three.
        stride: step of the window. Default: `kernel_size`.
        padding: minus infinity added on both sides, at most half a window. Default: 0.
        dilation: spacing inside the window. Default: 1.
        return_indices: also return where the maxima are. Default: `False`.
        ceil_mode: also count windows that reach over the far border. Default: `False`.

    Shape:
        (N, C, D, H, W) or (C, D, H, W); each size becomes
        floor((size + 2 * padding - dilation * (kernel_size - 1) - 1) / stride) + 1.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.MaxPool3d(2)(rl.zeros(1, 1, 6, 6, 6)).shape
        torch.Size([1, 1, 3, 3, 3])
    """

    def forward(self, input: Any) -> Any:
        """Pool `input`."""
        return F.max_pool3d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            self.ceil_mode,
            self.return_indices,
        )


class _MaxUnpoolNd(Module):
    kernel_size: Any
    stride: Any
    padding: Any

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxUnpool1d(_MaxUnpoolNd):
    """Puts the results of MaxPool1d back where they came from, zeros elsewhere.

    Args:
        kernel_size: size of the window: an int.
        stride: step of the window. Default: `kernel_size`.
        padding: that the pooling had. Default: 0.

    Example:
        >>> import rushlight as rl
        >>> pooled, where = rl.nn.MaxPool1d(2, return_indices=True)(rl.randn(1, 1, 4))
        >>> rl.nn.MaxUnpool1d(2)(pooled, where).shape
        torch.Size([1, 1, 4])
    """

    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0) -> None:
        super().__init__()
        self.kernel_size = _single(kernel_size)
        self.stride = _single(stride if stride is not None else kernel_size)
        self.padding = _single(padding)

    def forward(self, input: Any, indices: Any, output_size: Any = None) -> Any:
        """Unpool; `output_size` decides where several sizes are possible."""
        return F.max_unpool1d(
            input, indices, self.kernel_size, self.stride, self.padding, output_size
        )


class MaxUnpool2d(_MaxUnpoolNd):
    """Puts the results of MaxPool2d back where they came from, zeros elsewhere.

    Args:
        kernel_size: size of the window: an int or two.
        stride: step of the window. Default: `kernel_size`.
        padding: that the pooling had. Default: 0.

    Example:
        >>> import rushlight as rl
        >>> pooled, where = rl.nn.MaxPool2d(2, return_indices=True)(rl.randn(1, 1, 4, 4))
        >>> rl.nn.MaxUnpool2d(2)(pooled, where).shape
        torch.Size([1, 1, 4, 4])
    """

    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0) -> None:
        super().__init__()
        self.kernel_size = _pair(kernel_size)
        self.stride = _pair(stride if stride is not None else kernel_size)
        self.padding = _pair(padding)

    def forward(self, input: Any, indices: Any, output_size: Any = None) -> Any:
        """Unpool; `output_size` decides where several sizes are possible."""
        return F.max_unpool2d(
            input, indices, self.kernel_size, self.stride, self.padding, output_size
        )


class MaxUnpool3d(_MaxUnpoolNd):
    """Puts the results of MaxPool3d back where they came from, zeros elsewhere.

    Args:
        kernel_size: size of the window: an int or three.
        stride: step of the window. Default: `kernel_size`.
        padding: that the pooling had. Default: 0.

    Example:
        >>> import rushlight as rl
        >>> pooled, where = rl.nn.MaxPool3d(2, return_indices=True)(rl.randn(1, 1, 4, 4, 4))
        >>> rl.nn.MaxUnpool3d(2)(pooled, where).shape
        torch.Size([1, 1, 4, 4, 4])
    """

    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0) -> None:
        super().__init__()
        self.kernel_size = _triple(kernel_size)
        self.stride = _triple(stride if stride is not None else kernel_size)
        self.padding = _triple(padding)

    def forward(self, input: Any, indices: Any, output_size: Any = None) -> Any:
        """Unpool; `output_size` decides where several sizes are possible."""
        return F.max_unpool3d(
            input, indices, self.kernel_size, self.stride, self.padding, output_size
        )


class _AvgPoolNd(Module):
    __constants__ = ["kernel_size", "stride", "padding", "ceil_mode", "count_include_pad"]
    kernel_size: Any
    stride: Any
    padding: Any
    ceil_mode: bool
    count_include_pad: bool

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool1d(_AvgPoolNd):
    """The mean of each window of a signal.

    Args:
        kernel_size: size of the window: an int.
        stride: step of the window. Default: `kernel_size`.
        padding: zeros added on both sides, at most half a window. Default: 0.
        ceil_mode: also count windows that reach over the far border. Default: `False`.
        count_include_pad: padded zeros count in the mean. Default: `True`.

    Shape:
        (N, C, L) or (C, L); each size becomes
        floor((size + 2 * padding - kernel_size) / stride) + 1.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.AvgPool1d(2)(rl.zeros(1, 1, 6)).shape
        torch.Size([1, 1, 3])
    """

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__()
        self.kernel_size = _single(kernel_size)
        self.stride = _single(stride if stride is not None else kernel_size)
        self.padding = _single(padding)
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad

    def forward(self, input: Any) -> Any:
        """Pool `input`."""
        return F.avg_pool1d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
        )


class AvgPool2d(_AvgPoolNd):
    """The mean of each window of an image.

    Args:
        kernel_size: size of the window: an int or two.
        stride: step of the window. Default: `kernel_size`.
        padding: zeros added on both sides, at most half a window. Default: 0.
        ceil_mode: also count windows that reach over the far border. Default: `False`.
        count_include_pad: padded zeros count in the mean. Default: `True`.
        divisor_override: divide by this number. Default: the size of the window.

    Shape:
        (N, C, H, W) or (C, H, W); each size becomes
        floor((size + 2 * padding - kernel_size) / stride) + 1.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.AvgPool2d(2)(rl.zeros(1, 1, 6, 6)).shape
        torch.Size([1, 1, 3, 3])
    """

    __constants__ = [*_AvgPoolNd.__constants__, "divisor_override"]

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = stride if stride is not None else kernel_size
        self.padding = padding
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override

    def forward(self, input: Any) -> Any:
        """Pool `input`."""
        return F.avg_pool2d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )


class AvgPool3d(_AvgPoolNd):
    """The mean of each window of a volume.

    Args:
        kernel_size: size of the window: an int or three.
        stride: step of the window. Default: `kernel_size`.
        padding: zeros added on both sides, at most half a window. Default: 0.
        ceil_mode: also count windows that reach over the far border. Default: `False`.
        count_include_pad: padded zeros count in the mean. Default: `True`.
        divisor_override: divide by this number. Default: the size of the window.

    Shape:
        (N, C, D, H, W) or (C, D, H, W); each size becomes
        floor((size + 2 * padding - kernel_size) / stride) + 1.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.AvgPool3d(2)(rl.zeros(1, 1, 6, 6, 6)).shape
        torch.Size([1, 1, 3, 3, 3])
    """

    __constants__ = [*_AvgPoolNd.__constants__, "divisor_override"]

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = stride if stride is not None else kernel_size
        self.padding = padding
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override

    def forward(self, input: Any) -> Any:
        """Pool `input`."""
        return F.avg_pool3d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        own = plain_dict(self)
        own.setdefault("padding", 0)
        own.setdefault("ceil_mode", False)
        own.setdefault("count_include_pad", True)


class _FractionalMaxPoolNd(Module):
    """Keeps the window and exactly one of output size and ratio."""

    __constants__ = ["kernel_size", "return_indices", "output_size", "output_ratio"]
    _random_samples: Any

    def _keep(
        self, spread: Any, kernel_size: Any, output_size: Any, output_ratio: Any, rest: Any
    ) -> None:
        self.kernel_size = spread(kernel_size)
        self.return_indices, random_samples = rest
        self.register_buffer("_random_samples", random_samples)
        self.output_size = spread(output_size) if output_size is not None else None
        self.output_ratio = spread(output_ratio) if output_ratio is not None else None
        if output_size is None and output_ratio is None:
            raise ValueError(
                f"{self._kind} requires specifying either an output size, or a pooling ratio"
            )
        if output_size is not None and output_ratio is not None:
            raise ValueError("only one of output_size and output_ratio may be specified")
        if self.output_ratio is not None and not all(0 < r < 1 for r in self.output_ratio):
            raise ValueError(f"output_ratio must be between 0 and 1 (got {output_ratio})")

    _kind: str


class FractionalMaxPool2d(_FractionalMaxPoolNd):
    """Max pooling over windows at random steps, so that the size shrinks by any fraction.

    Args:
        kernel_size: size of the window: an int or two.
        output_size: size of the result; or
        output_ratio: its share of the input's size, in (0, 1).
        return_indices: also return where the maxima are. Default: `False`.
        _random_samples: (N, C, 2), the random numbers to use. Default: fresh ones each call.

    Raises:
        ValueError: neither or both of size and ratio, or a ratio outside (0, 1).

    Source: Graham, "Fractional max-pooling", 2014.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.FractionalMaxPool2d(2, output_size=4)(rl.zeros(1, 1, 9, 9)).shape
        torch.Size([1, 1, 4, 4])
    """

    _kind = "FractionalMaxPool2d"

    def __init__(
        self,
        kernel_size: Any,
        output_size: Any = None,
        output_ratio: Any = None,
        return_indices: bool = False,
        _random_samples: Any = None,
    ) -> None:
        super().__init__()
        rest = return_indices, _random_samples
        self._keep(_pair, kernel_size, output_size, output_ratio, rest)

    def forward(self, input: Any) -> Any:
        """Pool `input`."""
        return F.fractional_max_pool2d(
            input,
            self.kernel_size,
            self.output_size,
            self.output_ratio,
            self.return_indices,
            _random_samples=self._random_samples,
        )


class FractionalMaxPool3d(_FractionalMaxPoolNd):
    """Max pooling over windows at random steps, so that the size shrinks by any fraction.

    Args:
        kernel_size: size of the window: an int or three.
        output_size: size of the result; or
        output_ratio: its share of the input's size, in (0, 1).
        return_indices: also return where the maxima are. Default: `False`.
        _random_samples: (N, C, 3), the random numbers to use. Default: fresh ones each call.

    Raises:
        ValueError: neither or both of size and ratio, or a ratio outside (0, 1).

    Source: Graham, "Fractional max-pooling", 2014.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.FractionalMaxPool3d(2, output_size=4)(rl.zeros(1, 1, 9, 9, 9)).shape
        torch.Size([1, 1, 4, 4, 4])
    """

    _kind = "FractionalMaxPool3d"

    def __init__(
        self,
        kernel_size: Any,
        output_size: Any = None,
        output_ratio: Any = None,
        return_indices: bool = False,
        _random_samples: Any = None,
    ) -> None:
        super().__init__()
        sizes = kernel_size if isinstance(kernel_size, (tuple, list)) else (kernel_size,)
        if any(isinstance(k, int) and k <= 0 for k in sizes):
            raise ValueError(f"kernel_size must be greater than 0, but got {kernel_size}")
        rest = return_indices, _random_samples
        self._keep(_triple, kernel_size, output_size, output_ratio, rest)

    def forward(self, input: Any) -> Any:
        """Pool `input`."""
        return F.fractional_max_pool3d(
            input,
            self.kernel_size,
            self.output_size,
            self.output_ratio,
            self.return_indices,
            _random_samples=self._random_samples,
        )


class _LPPoolNd(Module):
    __constants__ = ["norm_type", "kernel_size", "stride", "ceil_mode"]
    norm_type: float
    ceil_mode: bool

    def __init__(
        self, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
    ) -> None:
        super().__init__()
        self.norm_type = norm_type
        self.kernel_size = kernel_size
        self.stride = stride
        self.ceil_mode = ceil_mode

    def extra_repr(self) -> str:
        return (
            f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, "
            f"stride={self.stride}, ceil_mode={self.ceil_mode}"
        )


class LPPool1d(_LPPoolNd):
    """(sum of x^p)^(1/p) of each window of a signal.

    Args:
        norm_type: p; 1 gives the sum, a large number nears the maximum.
        kernel_size: size of the window: an int.
        stride: step of the window. Default: `kernel_size`.
        ceil_mode: also count windows that reach over the far border. Default: `False`.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.LPPool1d(2, 2)(rl.ones(1, 1, 6)).shape
        torch.Size([1, 1, 3])
    """

    def forward(self, input: Any) -> Any:
        """Pool `input`."""
        return F.lp_pool1d(
            input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode
        )


class LPPool2d(_LPPoolNd):
    """(sum of x^p)^(1/p) of each window of an image.

    Args:
        norm_type: p; 1 gives the sum, a large number nears the maximum.
        kernel_size: size of the window: an int or two.
        stride: step of the window. Default: `kernel_size`.
        ceil_mode: also count windows that reach over the far border. Default: `False`.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.LPPool2d(2, 2)(rl.ones(1, 1, 6, 6)).shape
        torch.Size([1, 1, 3, 3])
    """

    def forward(self, input: Any) -> Any:
        """Pool `input`."""
        return F.lp_pool2d(
            input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode
        )


class LPPool3d(_LPPoolNd):
    """(sum of x^p)^(1/p) of each window of a volume.

    Args:
        norm_type: p; 1 gives the sum, a large number nears the maximum.
        kernel_size: size of the window: an int or three.
        stride: step of the window. Default: `kernel_size`.
        ceil_mode: also count windows that reach over the far border. Default: `False`.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.LPPool3d(2, 2)(rl.ones(1, 1, 6, 6, 6)).shape
        torch.Size([1, 1, 3, 3, 3])
    """

    def forward(self, input: Any) -> Any:
        """Pool `input`."""
        return F.lp_pool3d(
            input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode
        )


class _AdaptiveMaxPoolNd(Module):
    __constants__ = ["output_size", "return_indices"]
    return_indices: bool

    def __init__(self, output_size: Any, return_indices: bool = False) -> None:
        super().__init__()
        self.output_size = output_size
        self.return_indices = return_indices

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveMaxPool1d(_AdaptiveMaxPoolNd):
    """The largest value of windows chosen so that the output has the wanted size.

    Args:
        output_size: an int.
        return_indices: also return where the maxima are. Default: `False`.

    Shape:
        (N, C, L) or (C, L), with any sizes; output of the given sizes.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.AdaptiveMaxPool1d(3)(rl.zeros(1, 1, 7)).shape
        torch.Size([1, 1, 3])
    """

    def forward(self, input: Any) -> Any:
        """Pool `input`."""
        return F.adaptive_max_pool1d(input, self.output_size, self.return_indices)


class AdaptiveMaxPool2d(_AdaptiveMaxPoolNd):
    """The largest value of windows chosen so that the output has the wanted size.

    Args:
        output_size: an int or two; None keeps a dimension's size.
        return_indices: also return where the maxima are. Default: `False`.

    Shape:
        (N, C, H, W) or (C, H, W), with any sizes; output of the given sizes.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.AdaptiveMaxPool2d(3)(rl.zeros(1, 1, 7, 7)).shape
        torch.Size([1, 1, 3, 3])
    """

    def forward(self, input: Any) -> Any:
        """Pool `input`."""
        return F.adaptive_max_pool2d(input, self.output_size, self.return_indices)


class AdaptiveMaxPool3d(_AdaptiveMaxPoolNd):
    """The largest value of windows chosen so that the output has the wanted size.

    Args:
        output_size: an int or three; None keeps a dimension's size.
        return_indices: also return where the maxima are. Default: `False`.

    Shape:
        (N, C, D, H, W) or (C, D, H, W), with any sizes; output of the given sizes.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.AdaptiveMaxPool3d(3)(rl.zeros(1, 1, 7, 7, 7)).shape
        torch.Size([1, 1, 3, 3, 3])
    """

    def forward(self, input: Any) -> Any:
        """Pool `input`."""
        return F.adaptive_max_pool3d(input, self.output_size, self.return_indices)


class _AdaptiveAvgPoolNd(Module):
    __constants__ = ["output_size"]

    def __init__(self, output_size: Any) -> None:
        super().__init__()
        self.output_size = output_size

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_AdaptiveAvgPoolNd):
    """The mean of windows chosen so that the output has the wanted size.

    Args:
        output_size: an int.

    Shape:
        (N, C, L) or (C, L), with any sizes; output of the given sizes.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.AdaptiveAvgPool1d(3)(rl.zeros(1, 1, 7)).shape
        torch.Size([1, 1, 3])
    """

    def forward(self, input: Any) -> Any:
        """Pool `input`."""
        return F.adaptive_avg_pool1d(input, self.output_size)


class AdaptiveAvgPool2d(_AdaptiveAvgPoolNd):
    """The mean of windows chosen so that the output has the wanted size.

    Args:
        output_size: an int or two; None keeps a dimension's size.

    Shape:
        (N, C, H, W) or (C, H, W), with any sizes; output of the given sizes.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.AdaptiveAvgPool2d(3)(rl.zeros(1, 1, 7, 7)).shape
        torch.Size([1, 1, 3, 3])
    """

    def forward(self, input: Any) -> Any:
        """Pool `input`."""
        return F.adaptive_avg_pool2d(input, self.output_size)


class AdaptiveAvgPool3d(_AdaptiveAvgPoolNd):
    """The mean of windows chosen so that the output has the wanted size.

    Args:
        output_size: an int or three; None keeps a dimension's size.

    Shape:
        (N, C, D, H, W) or (C, D, H, W), with any sizes; output of the given sizes.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.AdaptiveAvgPool3d(3)(rl.zeros(1, 1, 7, 7, 7)).shape
        torch.Size([1, 1, 3, 3, 3])
    """

    def forward(self, input: Any) -> Any:
        """Pool `input`."""
        return F.adaptive_avg_pool3d(input, self.output_size)
