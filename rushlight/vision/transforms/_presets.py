"""The preprocessing that belongs to pre-trained weights: what `Weights.transforms()` makes."""

from __future__ import annotations

from typing import Any

import rushlight as rl
from rushlight import nn
from rushlight.vision.transforms import InterpolationMode
from rushlight.vision.transforms import functional as F

__all__ = ["ImageClassification"]


class ImageClassification(nn.Module):
    """Resize the shorter side, cut out the centre, scale to [0, 1], normalise.

    Args:
        crop_size: side of the square that is cut out.
        resize_size: length of the shorter side before that.
        mean: subtracted, one value a channel.
        std: divided by, one value a channel.
        interpolation: how pixels are looked up.
        antialias: whether tensors are smoothed when made smaller, as PIL images always are.

    Shape: a PIL image, or a tensor (C, H, W) or (B, C, H, W); out comes float32 of that shape with
    height and width `crop_size`.
    """

    def __init__(
        self,
        *,
        crop_size: int,
        resize_size: int = 256,
        mean: tuple[float, ...] = (0.485, 0.456, 0.406),
        std: tuple[float, ...] = (0.229, 0.224, 0.225),
        interpolation: InterpolationMode = InterpolationMode.BILINEAR,
        antialias: bool | None = True,
    ) -> None:
        super().__init__()
        self.crop_size = [crop_size]
        self.resize_size = [resize_size]
        self.mean = list(mean)
        self.std = list(std)
        self.interpolation = interpolation
        self.antialias = antialias

    def forward(self, img: Any) -> Any:
        """The image, ready for the model."""
        img = F.resize(
            img, self.resize_size, interpolation=self.interpolation, antialias=self.antialias
        )
        img = F.center_crop(img, self.crop_size)
        if not isinstance(img, rl.Tensor):
            img = F.pil_to_tensor(img)
        return F.normalize(F.convert_image_dtype(img, rl.float), mean=self.mean, std=self.std)

    def __repr__(self) -> str:
        names = ("crop_size", "resize_size", "mean", "std", "interpolation")
        lines = "".join(f"\n    {name}={getattr(self, name)}" for name in names)
        return f"{type(self).__name__}({lines}\n)"

    def describe(self) -> str:
        """What the preprocessing takes and does, in a sentence or two."""
        return (
            "Takes a PIL image or a tensor (C, H, W) or (B, C, H, W). "
            f"Resizes the shorter side to {self.resize_size} ({self.interpolation}), cuts out the "
            f"central {self.crop_size}, scales to [0, 1] and normalises with mean {self.mean} and "
            f"std {self.std}."
        )
