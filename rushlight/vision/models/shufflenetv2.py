"""ShuffleNetV2: half of the channels pass each block untouched, then the halves are mixed.

Source: N. Ma et al., https://arxiv.org/abs/1807.11164.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import rushlight as rl
from rushlight import nn
from rushlight.vision.models._api import WeightsEnum, model_builder
from rushlight.vision.models._meta import imagenet_weights
from rushlight.vision.models._utils import load_weights

__all__ = [
    "ShuffleNetV2",
    "ShuffleNet_V2_X0_5_Weights",
    "ShuffleNet_V2_X1_0_Weights",
    "ShuffleNet_V2_X1_5_Weights",
    "ShuffleNet_V2_X2_0_Weights",
    "shufflenet_v2_x0_5",
    "shufflenet_v2_x1_0",
    "shufflenet_v2_x1_5",
    "shufflenet_v2_x2_0",
]


def channel_shuffle(x: Any, groups: int) -> Any:
    """Takes a channel of each group in turn: (N, C, H, W) -> (N, C, H, W)."""
    batch, channels, height, width = x.size()
    x = x.view(batch, groups, channels // groups, height, width)
    x = rl.transpose(x, 1, 2).contiguous()  # (N, C / groups, groups, H, W)
    return x.view(batch, channels, height, width)


class InvertedResidual(nn.Module):
    """The block; at stride 1 it works on half of the channels, else on all of them twice.

    Shape: (N, inp, H, W) -> (N, oup, H / stride, W / stride).
    """

    def __init__(self, inp: int, oup: int, stride: int) -> None:
        super().__init__()
        if not 1 <= stride <= 3:
            raise ValueError("illegal stride value")
        self.stride = stride
        half = oup // 2
        if stride == 1 and inp != half << 1:
            raise ValueError(
                f"Invalid combination of stride {stride}, inp {inp} and oup {oup} values. "
                "If stride == 1 then inp should be equal to oup // 2 << 1."
            )
        if stride > 1:
            self.branch1 = nn.Sequential(
                self.depthwise_conv(inp, inp, kernel_size=3, stride=stride, padding=1),
                nn.BatchNorm2d(inp),
                nn.Conv2d(inp, half, kernel_size=1, stride=1, padding=0, bias=False),
                nn.BatchNorm2d(half),
                nn.ReLU(inplace=True),
            )
        else:
            self.branch1 = nn.Sequential()
        before = inp if stride > 1 else half
        self.branch2 = nn.Sequential(
            nn.Conv2d(before, half, kernel_size=1, stride=1, padding=0, bias=False),
            nn.BatchNorm2d(half),
            nn.ReLU(inplace=True),
            self.depthwise_conv(half, half, kernel_size=3, stride=stride, padding=1),
            nn.BatchNorm2d(half),
            nn.Conv2d(half, half, kernel_size=1, stride=1, padding=0, bias=False),
            nn.BatchNorm2d(half),
            nn.ReLU(inplace=True),
        )

    @staticmethod
    def depthwise_conv(
        i: int, o: int, kernel_size: int, stride: int = 1, padding: int = 0, bias: bool = False
    ) -> Any:
        """One convolution for each channel."""
        return nn.Conv2d(i, o, kernel_size, stride, padding, bias=bias, groups=i)

    def forward(self, x: Any) -> Any:
        """The two branches side by side, their channels shuffled."""
        if self.stride == 1:
            passed, x = x.chunk(2, dim=1)
        else:
            passed = self.branch1(x)
        return channel_shuffle(rl.cat((passed, self.branch2(x)), dim=1), 2)


class ShuffleNetV2(nn.Module):
    """ShuffleNetV2.

    Args:
        stages_repeats: blocks of the three stages.
        stages_out_channels: channels of the first convolution, the stages, the last convolution.
        num_classes: number of outputs.
        inverted_residual: function like `InvertedResidual`.

    Shape: (N, 3, H, W) -> (N, num_classes).

    Example:
        >>> shufflenet_v2_x0_5(num_classes=10).fc
        Linear(in_features=1024, out_features=10, bias=True)
    """

    def __init__(
        self,
        stages_repeats: list[int],
        stages_out_channels: list[int],
        num_classes: int = 1000,
        inverted_residual: Callable[..., Any] = InvertedResidual,
    ) -> None:
        super().__init__()
        if len(stages_repeats) != 3:
            raise ValueError("expected stages_repeats as list of 3 positive ints")
        if len(stages_out_channels) != 5:
            raise ValueError("expected stages_out_channels as list of 5 positive ints")
        self._stage_out_channels = stages_out_channels
        first, *stages, last = stages_out_channels
        self.conv1 = nn.Sequential(
            nn.Conv2d(3, first, 3, 2, 1, bias=False), nn.BatchNorm2d(first), nn.ReLU(inplace=True)
        )
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        channels = first
        for number, (repeats, width) in enumerate(zip(stages_repeats, stages, strict=True), 2):
            blocks = [inverted_residual(channels, width, 2)]
            blocks += [inverted_residual(width, width, 1) for _ in range(repeats - 1)]
            setattr(self, f"stage{number}", nn.Sequential(*blocks))
            channels = width
        self.conv5 = nn.Sequential(
            nn.Conv2d(channels, last, 1, 1, 0, bias=False),
            nn.BatchNorm2d(last),
            nn.ReLU(inplace=True),
        )
        self.fc = nn.Linear(last, num_classes)

    def _forward_impl(self, x: Any) -> Any:
        x = self.maxpool(self.conv1(x))
        x = self.conv5(self.stage4(self.stage3(self.stage2(x))))
        return self.fc(x.mean([2, 3]))

    def forward(self, x: Any) -> Any:
        """Scores (N, num_classes) of images (N, 3, H, W)."""
        return self._forward_impl(x)


def _shufflenetv2(
    channels: list[int], weights: WeightsEnum | None, progress: bool, **kwargs: Any
) -> ShuffleNetV2:
    model = ShuffleNetV2([4, 8, 4], channels, **kwargs)
    loaded: ShuffleNetV2 = load_weights(model, weights, progress)
    return loaded


class ShuffleNet_V2_X0_5_Weights(WeightsEnum):
    """Pre-trained weights of `shufflenet_v2_x0_5`."""

    IMAGENET1K_V1 = imagenet_weights(
        "shufflenetv2_x0.5-f707e7126e.pth",
        1_366_792,
        (60.552, 81.746),
        0.04,
        5.282,
        "https://github.com/ericsun99/Shufflenet-v2-Pytorch",
    )
    DEFAULT = IMAGENET1K_V1


class ShuffleNet_V2_X1_0_Weights(WeightsEnum):
    """Pre-trained weights of `shufflenet_v2_x1_0`."""

    IMAGENET1K_V1 = imagenet_weights(
        "shufflenetv2_x1-5666bf0f80.pth",
        2_278_604,
        (69.362, 88.316),
        0.145,
        8.791,
        "https://github.com/ericsun99/Shufflenet-v2-Pytorch",
    )
    DEFAULT = IMAGENET1K_V1


class ShuffleNet_V2_X1_5_Weights(WeightsEnum):
    """Pre-trained weights of `shufflenet_v2_x1_5`."""

    IMAGENET1K_V1 = imagenet_weights(
        "shufflenetv2_x1_5-3c479a10.pth",
        3_503_624,
        (72.996, 91.086),
        0.296,
        13.557,
        "pull/5906",
        resize_size=232,
    )
    DEFAULT = IMAGENET1K_V1


class ShuffleNet_V2_X2_0_Weights(WeightsEnum):
    """Pre-trained weights of `shufflenet_v2_x2_0`."""

    IMAGENET1K_V1 = imagenet_weights(
        "shufflenetv2_x2_0-8be3c8ee.pth",
        7_393_996,
        (76.23, 93.006),
        0.583,
        28.433,
        "pull/5906",
        resize_size=232,
    )
    DEFAULT = IMAGENET1K_V1


@model_builder(ShuffleNet_V2_X0_5_Weights)
def shufflenet_v2_x0_5(
    *, weights: ShuffleNet_V2_X0_5_Weights | None = None, progress: bool = True, **kwargs: Any
) -> ShuffleNetV2:
    """ShuffleNetV2, 0.5 times as wide; `weights`: of `ShuffleNet_V2_X0_5_Weights`."""
    return _shufflenetv2([24, 48, 96, 192, 1024], weights, progress, **kwargs)


@model_builder(ShuffleNet_V2_X1_0_Weights)
def shufflenet_v2_x1_0(
    *, weights: ShuffleNet_V2_X1_0_Weights | None = None, progress: bool = True, **kwargs: Any
) -> ShuffleNetV2:
    """ShuffleNetV2, 1.0 times as wide; `weights`: of `ShuffleNet_V2_X1_0_Weights`."""
    return _shufflenetv2([24, 116, 232, 464, 1024], weights, progress, **kwargs)


@model_builder(ShuffleNet_V2_X1_5_Weights)
def shufflenet_v2_x1_5(
    *, weights: ShuffleNet_V2_X1_5_Weights | None = None, progress: bool = True, **kwargs: Any
) -> ShuffleNetV2:
    """ShuffleNetV2, 1.5 times as wide; `weights`: of `ShuffleNet_V2_X1_5_Weights`."""
    return _shufflenetv2([24, 176, 352, 704, 1024], weights, progress, **kwargs)


@model_builder(ShuffleNet_V2_X2_0_Weights)
def shufflenet_v2_x2_0(
    *, weights: ShuffleNet_V2_X2_0_Weights | None = None, progress: bool = True, **kwargs: Any
) -> ShuffleNetV2:
    """ShuffleNetV2, 2.0 times as wide; `weights`: of `ShuffleNet_V2_X2_0_Weights`."""
    return _shufflenetv2([24, 244, 488, 976, 2048], weights, progress, **kwargs)
