"""Fold and Unfold: images to columns of sliding windows, and back.

In: (N, C, H, W), or (N, C * prod(kernel), L) columns.  Out: the other of the two.
"""

from __future__ import annotations

from typing import Any

from rushlight.nn import functional as F

from .module import Module

__all__ = ["Fold", "Unfold"]


class Fold(Module):
    """Sums columns of sliding windows into an image: the gradient of Unfold.

    Args:
        output_size: (H, W) of the image.
        kernel_size: of the window.
        dilation: spacing inside the window. Default: 1.
        padding: zeros that were added on both sides. Default: 0.
        stride: step of the window. Default: 1.

    Shape:
        (N, C * prod(kernel_size), L) or without N; output (N, C, H, W) or without N.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.Fold((4, 5), (2, 2))(rl.randn(1, 3 * 2 * 2, 12)).shape
        torch.Size([1, 3, 4, 5])
    """

    __constants__ = ["output_size", "kernel_size", "dilation", "padding", "stride"]

    def __init__(
        self,
        output_size: Any,
        kernel_size: Any,
        dilation: Any = 1,
        padding: Any = 0,
        stride: Any = 1,
    ) -> None:
        super().__init__()
        self.output_size = output_size
        self.kernel_size = kernel_size
        self.dilation = dilation
        self.padding = padding
        self.stride = stride

    def forward(self, input: Any) -> Any:
        """Fold `input`."""
        return F.fold(
            input, self.output_size, self.kernel_size, self.dilation, self.padding, self.stride
        )

    def extra_repr(self) -> str:
        return (
            f"output_size={self.output_size}, kernel_size={self.kernel_size}, "
            f"dilation={self.dilation}, padding={self.padding}, stride={self.stride}"
        )


class Unfold(Module):
    """Copies each sliding window of an image into a column.

    Args:
        kernel_size: of the window.
        dilation: spacing inside the window. Default: 1.
        padding: zeros added on both sides. Default: 0.
        stride: step of the window. Default: 1.

    Shape:
        (N, C, H, W) or (C, H, W); output (N, C * prod(kernel_size), L) or without N.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.Unfold((2, 3))(rl.randn(2, 5, 3, 4)).shape
        torch.Size([2, 30, 4])
    """

    __constants__ = ["kernel_size", "dilation", "padding", "stride"]

    def __init__(
        self, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.dilation = dilation
        self.padding = padding
        self.stride = stride

    def forward(self, input: Any) -> Any:
        """Unfold `input`."""
        return F.unfold(input, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, dilation={self.dilation}, "
            f"padding={self.padding}, stride={self.stride}"
        )
