"""MobileNetV2: residual blocks that are wide inside, with one convolution a channel.

Source: M. Sandler et al., https://arxiv.org/abs/1801.04381.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import rushlight as rl
from rushlight import nn
from rushlight.vision.models._api import WeightsEnum, model_builder
from rushlight.vision.models._meta import imagenet_weights
from rushlight.vision.models._utils import init_mobile, load_weights, make_divisible
from rushlight.vision.ops.misc import Conv2dNormActivation

__all__ = ["MobileNetV2", "MobileNet_V2_Weights", "mobilenet_v2"]

# Expansion, output channels, blocks, stride of the first block (table 2 of the paper).
SETTING = [
    [1, 16, 1, 1],
    [6, 24, 2, 2],
    [6, 32, 3, 2],
    [6, 64, 4, 2],
    [6, 96, 3, 1],
    [6, 160, 3, 2],
    [6, 320, 1, 1],
]


class InvertedResidual(nn.Module):
    """1x1 expansion, 3x3 convolution of each channel, 1x1 projection; shortcut where shapes agree.

    Shape: (N, inp, H, W) -> (N, oup, H / stride, W / stride).
    """

    def __init__(
        self,
        inp: int,
        oup: int,
        stride: int,
        expand_ratio: int,
        norm_layer: Callable[..., Any] | None = None,
    ) -> None:
        super().__init__()
        self.stride = stride
        if stride not in [1, 2]:
            raise ValueError(f"stride should be 1 or 2 instead of {stride}")
        norm = nn.BatchNorm2d if norm_layer is None else norm_layer
        hidden = round(inp * expand_ratio)
        self.use_res_connect = stride == 1 and inp == oup
        options: dict[str, Any] = {"norm_layer": norm, "activation_layer": nn.ReLU6}
        layers: list[Any] = []
        if expand_ratio != 1:
            layers.append(Conv2dNormActivation(inp, hidden, kernel_size=1, **options))
        layers += [
            Conv2dNormActivation(hidden, hidden, stride=stride, groups=hidden, **options),
            nn.Conv2d(hidden, oup, 1, 1, 0, bias=False),
            norm(oup),
        ]
        self.conv = nn.Sequential(*layers)
        self.out_channels = oup
        self._is_cn = stride > 1

    def forward(self, x: Any) -> Any:
        """The block's output, with the input added where `use_res_connect`."""
        return x + self.conv(x) if self.use_res_connect else self.conv(x)


class MobileNetV2(nn.Module):
    """MobileNetV2.

    Args:
        num_classes: number of outputs.
        width_mult: factor on the numbers of channels.
        inverted_residual_setting: rows like those of `SETTING`.
        round_nearest: channels are rounded to multiples of this.
        block: function like `InvertedResidual`.
        norm_layer: function of a number of channels; by default `BatchNorm2d`.
        dropout: probability of dropping an input of the linear layer.

    Shape: (N, 3, H, W) -> (N, num_classes).

    Example:
        >>> MobileNetV2(num_classes=10).classifier[1]
        Linear(in_features=1280, out_features=10, bias=True)
    """

    def __init__(
        self,
        num_classes: int = 1000,
        width_mult: float = 1.0,
        inverted_residual_setting: list[list[int]] | None = None,
        round_nearest: int = 8,
        block: Callable[..., Any] | None = None,
        norm_layer: Callable[..., Any] | None = None,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        block = InvertedResidual if block is None else block
        norm = nn.BatchNorm2d if norm_layer is None else norm_layer
        setting = SETTING if inverted_residual_setting is None else inverted_residual_setting
        if len(setting) == 0 or len(setting[0]) != 4:
            raise ValueError(
                "inverted_residual_setting should be non-empty or a 4-element list, "
                f"got {inverted_residual_setting}"
            )
        options: dict[str, Any] = {"norm_layer": norm, "activation_layer": nn.ReLU6}
        channels = make_divisible(32 * width_mult, round_nearest)
        self.last_channel = make_divisible(1280 * max(1.0, width_mult), round_nearest)
        features: list[Any] = [Conv2dNormActivation(3, channels, stride=2, **options)]
        for expansion, width, count, first_stride in setting:
            after = make_divisible(width * width_mult, round_nearest)
            for index in range(count):
                stride = first_stride if index == 0 else 1
                features.append(
                    block(channels, after, stride, expand_ratio=expansion, norm_layer=norm)
                )
                channels = after
        features.append(Conv2dNormActivation(channels, self.last_channel, kernel_size=1, **options))
        self.features = nn.Sequential(*features)
        self.classifier = nn.Sequential(
            nn.Dropout(p=dropout), nn.Linear(self.last_channel, num_classes)
        )
        init_mobile(self)

    def _forward_impl(self, x: Any) -> Any:
        x = nn.functional.adaptive_avg_pool2d(self.features(x), (1, 1))
        return self.classifier(rl.flatten(x, 1))

    def forward(self, x: Any) -> Any:
        """Scores (N, num_classes) of images (N, 3, H, W)."""
        return self._forward_impl(x)


class MobileNet_V2_Weights(WeightsEnum):
    """Pre-trained weights of `mobilenet_v2`."""

    IMAGENET1K_V1 = imagenet_weights(
        "mobilenet_v2-b0353104.pth", 3_504_872, (71.878, 90.286), 0.301, 13.555, "#mobilenetv2"
    )
    IMAGENET1K_V2 = imagenet_weights(
        "mobilenet_v2-7ebf99e0.pth",
        3_504_872,
        (72.154, 90.822),
        0.301,
        13.598,
        "issues/3995#new-recipe-with-reg-tuning",
        resize_size=232,
    )
    DEFAULT = IMAGENET1K_V2


@model_builder(MobileNet_V2_Weights)
def mobilenet_v2(
    *, weights: MobileNet_V2_Weights | None = None, progress: bool = True, **kwargs: Any
) -> MobileNetV2:
    """MobileNetV2; `weights` is a member of `MobileNet_V2_Weights` or its name."""
    loaded: MobileNetV2 = load_weights(MobileNetV2(**kwargs), weights, progress)
    return loaded
