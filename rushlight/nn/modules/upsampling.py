"""Upsampling layers: make signals, images and volumes larger by interpolation.

In: (N, C, ...) with one to three spatial dimensions.  Out: the same with new sizes.
"""

from __future__ import annotations

from typing import Any

from rushlight.nn import functional as F

from .module import Module

__all__ = ["Upsample", "UpsamplingNearest2d", "UpsamplingBilinear2d"]


class Upsample(Module):
    """Interpolates to a size, or by a factor.

    Args:
        size: the spatial sizes of the output; or
        scale_factor: the factor, one number or one a dimension.
        mode: `"nearest"`, `"linear"`, `"bilinear"`, `"bicubic"` or `"trilinear"`.
        align_corners: corner pixels keep their values (not for nearest). Default: `False`.
        recompute_scale_factor: compute the factor anew from the rounded size. Default: `False`.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.Upsample(scale_factor=2)(rl.zeros(1, 1, 2, 2)).shape
        torch.Size([1, 1, 4, 4])
    """

    __constants__ = [
        "size",
        "scale_factor",
        "mode",
        "align_corners",
        "name",
        "recompute_scale_factor",
    ]

    def __init__(
        self,
        size: Any = None,
        scale_factor: Any = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ) -> None:
        super().__init__()
        self.name = type(self).__name__
        self.size = size
        if isinstance(scale_factor, tuple):
            self.scale_factor: Any = tuple(float(factor) for factor in scale_factor)
        else:
            self.scale_factor = float(scale_factor) if scale_factor else None
        self.mode = mode
        self.align_corners = align_corners
        self.recompute_scale_factor = recompute_scale_factor

    def forward(self, input: Any) -> Any:
        """Interpolate `input`."""
        return F.interpolate(
            input,
            self.size,
            self.scale_factor,
            self.mode,
            self.align_corners,
            recompute_scale_factor=self.recompute_scale_factor,
        )

    def __setstate__(self, state: dict[str, Any]) -> None:
        state.setdefault("recompute_scale_factor", True)  # what old files meant
        super().__setstate__(state)

    def extra_repr(self) -> str:
        if self.scale_factor is not None:
            return f"scale_factor={self.scale_factor!r}, mode={self.mode!r}"
        return f"size={self.size!r}, mode={self.mode!r}"


class UpsamplingNearest2d(Upsample):
    """Enlarges images by repeating pixels.

    Args:
        size: (H, W) of the output; or
        scale_factor: the factor.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.UpsamplingNearest2d(scale_factor=2)(rl.ones(1, 1, 1, 1)).shape
        torch.Size([1, 1, 2, 2])
    """

    def __init__(self, size: Any = None, scale_factor: Any = None) -> None:
        super().__init__(size, scale_factor, mode="nearest")


class UpsamplingBilinear2d(Upsample):
    """Enlarges images by bilinear interpolation with aligned corners.

    Args:
        size: (H, W) of the output; or
        scale_factor: the factor.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.UpsamplingBilinear2d(scale_factor=2)(rl.ones(1, 1, 2, 2)).shape
        torch.Size([1, 1, 4, 4])
    """

    def __init__(self, size: Any = None, scale_factor: Any = None) -> None:
        super().__init__(size, scale_factor, mode="bilinear", align_corners=True)
