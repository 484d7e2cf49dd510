"""PixelShuffle and PixelUnshuffle: trade channels for resolution, and back.

In: (*, C, H, W).  Out: the same values, rearranged.
"""

from __future__ import annotations

from typing import Any

from rushlight.nn import functional as F

from .module import Module

__all__ = ["PixelShuffle", "PixelUnshuffle"]


class PixelShuffle(Module):
    """(*, C r^2, H, W) to (*, C, H r, W r).

    Args:
        upscale_factor: r.

    Source: Shi et al., "Real-time single image and video super-resolution", 2016.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.PixelShuffle(3)(rl.zeros(1, 9, 4, 4)).shape
        torch.Size([1, 1, 12, 12])
    """

    __constants__ = ["upscale_factor"]
    upscale_factor: int

    def __init__(self, upscale_factor: int) -> None:
        super().__init__()
        self.upscale_factor = upscale_factor

    def forward(self, input: Any) -> Any:
        """Rearrange `input`."""
        return F.pixel_shuffle(input, self.upscale_factor)

    def extra_repr(self) -> str:
        return f"upscale_factor={self.upscale_factor}"


class PixelUnshuffle(Module):
    """(*, C, H r, W r) to (*, C r^2, H, W): undoes PixelShuffle.

    Args:
        downscale_factor: r.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.PixelUnshuffle(3)(rl.zeros(1, 1, 12, 12)).shape
        torch.Size([1, 9, 4, 4])
    """

    __constants__ = ["downscale_factor"]
    downscale_factor: int

    def __init__(self, downscale_factor: int) -> None:
        super().__init__()
        self.downscale_factor = downscale_factor

    def forward(self, input: Any) -> Any:
        """Rearrange `input`."""
        return F.pixel_unshuffle(input, self.downscale_factor)

    def extra_repr(self) -> str:
        return f"downscale_factor={self.downscale_factor}"
