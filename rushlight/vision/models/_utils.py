"""What the model families share: rounding of channel counts, first weights, loading of weights."""

from __future__ import annotations

from typing import Any

import rushlight as rl
from rushlight import nn
from rushlight.vision.models._api import WeightsEnum

__all__ = ["init_mobile", "init_truncated", "load_weights", "make_divisible", "to_half_range"]


def make_divisible(value: float, divisor: int, min_value: int | None = None) -> int:
    """The multiple of `divisor` nearest to `value`, at least `min_value` and 90 % of `value`.

    Example:
        >>> make_divisible(37.5, 8)
        40
    """
    nearest = int(value + divisor / 2) // divisor * divisor
    rounded = max(divisor if min_value is None else min_value, nearest)
    return rounded if rounded >= 0.9 * value else rounded + divisor


def init_mobile(model: Any) -> None:
    """First weights of the MobileNets: He's distribution for convolutions, 0.01 for linear layers.

    The modules are visited in order, so that a seed gives the weights that it gives in torchvision.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, (nn.BatchNorm2d, nn.GroupNorm)):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, 0, 0.01)
            nn.init.zeros_(module.bias)


def load_weights(model: Any, weights: WeightsEnum | None, progress: bool) -> Any:
    """Loads `weights`, if any, into `model` and returns it; the file's hash is checked."""
    if weights is not None:
        model.load_state_dict(weights.get_state_dict(progress=progress, check_hash=True))
    return model


def init_truncated(model: Any, std: float) -> None:
    """First weights of the Inception family: normal, cut at 2; a module's `stddev` goes first."""
    for module in model.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            own = float(getattr(module, "stddev", std))
            nn.init.trunc_normal_(module.weight, mean=0.0, std=own, a=-2, b=2)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.constant_(module.weight, 1)
            nn.init.constant_(module.bias, 0)


def to_half_range(images: Any) -> Any:
    """Images (N, 3, H, W) in ImageNet's normalisation, normalised with 0.5 and 0.5 instead."""
    facts = ((0.229, 0.485), (0.224, 0.456), (0.225, 0.406))
    channels = [
        rl.unsqueeze(images[:, index], 1) * (deviation / 0.5) + (mean - 0.5) / 0.5
        for index, (deviation, mean) in enumerate(facts)
    ]
    return rl.cat(channels, 1)
