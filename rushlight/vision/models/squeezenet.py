"""SqueezeNet: AlexNet's accuracy with fifty times fewer parameters.

Source: F. N. Iandola et al., https://arxiv.org/abs/1602.07360; version 1.1 is of
https://github.com/forresti/SqueezeNet.
"""

from __future__ import annotations

from typing import Any

import rushlight as rl
from rushlight import nn
from rushlight.vision.models._api import WeightsEnum, model_builder
from rushlight.vision.models._meta import imagenet_weights
from rushlight.vision.models._utils import load_weights

__all__ = [
    "SqueezeNet",
    "SqueezeNet1_0_Weights",
    "SqueezeNet1_1_Weights",
    "squeezenet1_0",
    "squeezenet1_1",
]


class Fire(nn.Module):
    """A 1x1 convolution to few channels, then 1x1 and 3x3 convolutions side by side.

    Shape: (N, inplanes, H, W) -> (N, expand1x1_planes + expand3x3_planes, H, W).
    """

    def __init__(
        self, inplanes: int, squeeze_planes: int, expand1x1_planes: int, expand3x3_planes: int
    ) -> None:
        super().__init__()
        self.inplanes = inplanes
        self.squeeze = nn.Conv2d(inplanes, squeeze_planes, kernel_size=1)
        self.squeeze_activation = nn.ReLU(inplace=True)
        self.expand1x1 = nn.Conv2d(squeeze_planes, expand1x1_planes, kernel_size=1)
        self.expand1x1_activation = nn.ReLU(inplace=True)
        self.expand3x3 = nn.Conv2d(squeeze_planes, expand3x3_planes, kernel_size=3, padding=1)
        self.expand3x3_activation = nn.ReLU(inplace=True)

    def forward(self, x: Any) -> Any:
        """The two expansions, one after the other along the channels."""
        x = self.squeeze_activation(self.squeeze(x))
        narrow = self.expand1x1_activation(self.expand1x1(x))
        return rl.cat([narrow, self.expand3x3_activation(self.expand3x3(x))], 1)


def _pool() -> Any:
    return nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True)


def _fires(*squeezes: int, inplanes: int) -> list[Any]:
    """`Fire` modules; each expands its squeezed channels fourfold on both sides."""
    fires = []
    for squeeze in squeezes:
        fires.append(Fire(inplanes, squeeze, 4 * squeeze, 4 * squeeze))
        inplanes = 8 * squeeze
    return fires


class SqueezeNet(nn.Module):
    """SqueezeNet 1.0 or 1.1.

    Args:
        version: "1_0" or "1_1".
        num_classes: number of outputs.
        dropout: probability of dropping an input of the last convolution.

    Shape: (N, 3, H, W) -> (N, num_classes); height and width at least 21 (1.0) or 17 (1.1).

    Example:
        >>> len(SqueezeNet("1_1").features)
        13
    """

    def __init__(self, version: str = "1_0", num_classes: int = 1000, dropout: float = 0.5) -> None:
        super().__init__()
        self.num_classes = num_classes
        if version == "1_0":
            self.features = nn.Sequential(
                nn.Conv2d(3, 96, kernel_size=7, stride=2),
                nn.ReLU(inplace=True),
                _pool(),
                *_fires(16, 16, 32, inplanes=96),
                _pool(),
                *_fires(32, 48, 48, 64, inplanes=256),
                _pool(),
                *_fires(64, inplanes=512),
            )
        elif version == "1_1":
            self.features = nn.Sequential(
                nn.Conv2d(3, 64, kernel_size=3, stride=2),
                nn.ReLU(inplace=True),
                _pool(),
                *_fires(16, 16, inplanes=64),
                _pool(),
                *_fires(32, 32, inplanes=128),
                _pool(),
                *_fires(48, 48, 64, 64, inplanes=256),
            )
        else:
            raise ValueError(f"Unsupported SqueezeNet version {version}: 1_0 or 1_1 expected")
        last = nn.Conv2d(512, num_classes, kernel_size=1)
        self.classifier = nn.Sequential(
            nn.Dropout(p=dropout), last, nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d((1, 1))
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                if module is last:
                    nn.init.normal_(module.weight, mean=0.0, std=0.01)
                else:
                    nn.init.kaiming_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.constant_(module.bias, 0)

    def forward(self, x: Any) -> Any:
        """Scores (N, num_classes) of images (N, 3, H, W)."""
        return rl.flatten(self.classifier(self.features(x)), 1)


class SqueezeNet1_0_Weights(WeightsEnum):
    """Pre-trained weights of `squeezenet1_0`."""

    IMAGENET1K_V1 = imagenet_weights(
        "squeezenet1_0-b66bff10.pth",
        1_248_424,
        (58.092, 80.42),
        0.819,
        4.778,
        "pull/49#issuecomment-277560717",
        min_size=(21, 21),
    )
    DEFAULT = IMAGENET1K_V1


class SqueezeNet1_1_Weights(WeightsEnum):
    """Pre-trained weights of `squeezenet1_1`."""

    IMAGENET1K_V1 = imagenet_weights(
        "squeezenet1_1-b8a52dc0.pth",
        1_235_496,
        (58.178, 80.624),
        0.349,
        4.729,
        "pull/49#issuecomment-277560717",
        min_size=(17, 17),
    )
    DEFAULT = IMAGENET1K_V1


@model_builder(SqueezeNet1_0_Weights)
def squeezenet1_0(
    *, weights: SqueezeNet1_0_Weights | None = None, progress: bool = True, **kwargs: Any
) -> SqueezeNet:
    """SqueezeNet 1.0; `weights` is a member of `SqueezeNet1_0_Weights` or its name."""
    loaded: SqueezeNet = load_weights(SqueezeNet("1_0", **kwargs), weights, progress)
    return loaded


@model_builder(SqueezeNet1_1_Weights)
def squeezenet1_1(
    *, weights: SqueezeNet1_1_Weights | None = None, progress: bool = True, **kwargs: Any
) -> SqueezeNet:
    """SqueezeNet 1.1; `weights` is a member of `SqueezeNet1_1_Weights` or its name."""
    loaded: SqueezeNet = load_weights(SqueezeNet("1_1", **kwargs), weights, progress)
    return loaded
