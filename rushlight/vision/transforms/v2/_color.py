"""Colour v2 transforms: jitter, tones, grey, channels.

In: a nested sample. Out: the sample with its images and videos recoloured; masks, boxes and points
pass through. Draws are torchvision 0.28's, one set a call.
"""

from __future__ import annotations

from typing import Any

import rushlight as rl

from .. import _draws as D
from .. import _params as P
from .. import transforms as v1
from . import functional as F
from ._transform import RandomApplyTransform, Transform
from ._utils import query_chw


class Grayscale(Transform):
    """Grey, in 1 or 3 equal channels."""

    _v1_transform_cls = v1.Grayscale

    def __init__(self, num_output_channels: int = 1) -> None:
        super().__init__()
        self.num_output_channels = num_output_channels

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return self._call_kernel(
            F.rgb_to_grayscale, inpt, num_output_channels=self.num_output_channels
        )


class RandomGrayscale(RandomApplyTransform):
    """Grey with probability p, in as many channels as the image has."""

    _v1_transform_cls = v1.RandomGrayscale

    def __init__(self, p: float = 0.1) -> None:
        super().__init__(p=p)

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        return {"num_output_channels": query_chw(flat_inputs)[0]}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return self._call_kernel(F.rgb_to_grayscale, inpt, **params)


class RGB(Transform):
    """Three equal channels from one; other images stay as they are."""

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return self._call_kernel(F.grayscale_to_rgb, inpt)


_ADJUSTMENTS = ("brightness", "contrast", "saturation", "hue")


class _Adjusts(Transform):
    """What the two colour jitters share."""

    def _adjust(self, inpt: Any, name: str, params: dict[str, Any]) -> Any:
        factor = params[f"{name}_factor"]
        if factor is None:
            return inpt
        return self._call_kernel(getattr(F, f"adjust_{name}"), inpt, **{f"{name}_factor": factor})


class ColorJitter(_Adjusts):
    """Change brightness, contrast, saturation and hue by random factors in random order.

    Args:
        brightness, contrast, saturation: x means a factor in [max(0, 1 - x), 1 + x], or (min, max).
        hue: x <= 0.5 means a turn in [-x, x], or (min, max).
    """

    _v1_transform_cls = v1.ColorJitter

    def __init__(
        self,
        brightness: Any = None,
        contrast: Any = None,
        saturation: Any = None,
        hue: Any = None,
    ) -> None:
        super().__init__()
        self.brightness = P.jitter_range(brightness, "brightness", v2=True)
        self.contrast = P.jitter_range(contrast, "contrast", v2=True)
        self.saturation = P.jitter_range(saturation, "saturation", v2=True)
        self.hue = P.jitter_range(hue, "hue", 0, (-0.5, 0.5), clip_first_on_zero=False, v2=True)

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        order, factors = D.jitter_factors(*(getattr(self, name) for name in _ADJUSTMENTS))
        named = {f"{name}_factor": f for name, f in zip(_ADJUSTMENTS, factors, strict=True)}
        return {"fn_idx": order, **named}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        for i in params["fn_idx"].tolist():
            inpt = self._adjust(inpt, _ADJUSTMENTS[i], params)
        return inpt


class RandomChannelPermutation(Transform):
    """Reorder the channels at random."""

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        return {"permutation": rl.randperm(query_chw(flat_inputs)[0])}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return self._call_kernel(F.permute_channels, inpt, **params)


class RandomPhotometricDistort(_Adjusts):
    """Change brightness, contrast, saturation, hue and channels, each with probability p.

    Args:
        brightness, contrast, saturation, hue: (min, max) of the factors.

    Source: W. Liu et al., SSD: Single Shot MultiBox Detector (ECCV 2016).
    """

    def __init__(
        self,
        brightness: tuple[float, float] = (0.875, 1.125),
        contrast: tuple[float, float] = (0.5, 1.5),
        saturation: tuple[float, float] = (0.5, 1.5),
        hue: tuple[float, float] = (-0.05, 0.05),
        p: float = 0.5,
    ) -> None:
        super().__init__()
        self.brightness = brightness
        self.contrast = contrast
        self.hue = hue
        self.saturation = saturation
        self.p = p

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        channels = query_chw(flat_inputs)[0]
        params: dict[str, Any] = {}
        for name in _ADJUSTMENTS:
            low, high = getattr(self, name)
            params[f"{name}_factor"] = D.uniform(low, high) if D.coin(self.p) else None
        params["contrast_before"] = bool(rl.rand(()) < 0.5)
        params["channel_permutation"] = rl.randperm(channels) if D.coin(self.p) else None
        return params

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        first = ["brightness", "saturation", "hue"]
        first.insert(1 if params["contrast_before"] else 3, "contrast")
        for name in first:
            inpt = self._adjust(inpt, name, params)
        permutation = params["channel_permutation"]
        if permutation is None:
            return inpt
        return self._call_kernel(F.permute_channels, inpt, permutation=permutation)


class RandomEqualize(RandomApplyTransform):
    """Flatten the histogram with probability p."""

    _v1_transform_cls = v1.RandomEqualize

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return self._call_kernel(F.equalize, inpt)


class RandomInvert(RandomApplyTransform):
    """Take the negative with probability p."""

    _v1_transform_cls = v1.RandomInvert

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return self._call_kernel(F.invert, inpt)


class RandomAutocontrast(RandomApplyTransform):
    """Stretch every channel to the full range with probability p."""

    _v1_transform_cls = v1.RandomAutocontrast

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return self._call_kernel(F.autocontrast, inpt)


class RandomPosterize(RandomApplyTransform):
    """Keep the highest `bits` bits with probability p."""

    _v1_transform_cls = v1.RandomPosterize

    def __init__(self, bits: int, p: float = 0.5) -> None:
        super().__init__(p=p)
        self.bits = bits

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return self._call_kernel(F.posterize, inpt, bits=self.bits)


class RandomSolarize(RandomApplyTransform):
    """Invert what is at or above `threshold` with probability p."""

    _v1_transform_cls = v1.RandomSolarize

    def __init__(self, threshold: float, p: float = 0.5) -> None:
        super().__init__(p=p)
        self.threshold = threshold

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return self._call_kernel(F.solarize, inpt, threshold=self.threshold)


class RandomAdjustSharpness(RandomApplyTransform):
    """Sharpen (factor above 1) or smooth with probability p."""

    _v1_transform_cls = v1.RandomAdjustSharpness

    def __init__(self, sharpness_factor: float, p: float = 0.5) -> None:
        super().__init__(p=p)
        self.sharpness_factor = sharpness_factor

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return self._call_kernel(F.adjust_sharpness, inpt, sharpness_factor=self.sharpness_factor)
