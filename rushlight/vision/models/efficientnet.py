"""EfficientNet and EfficientNetV2: inverted residual blocks with gates, scaled as one.

Sources: M. Tan, Q. V. Le, https://arxiv.org/abs/1905.11946 and https://arxiv.org/abs/2104.00298.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import rushlight as rl
from rushlight import nn
from rushlight.vision.models._api import WeightsEnum, model_builder
from rushlight.vision.models._meta import imagenet_weights
from rushlight.vision.models._utils import load_weights, make_divisible
from rushlight.vision.ops.misc import Conv2dNormActivation, SqueezeExcitation
from rushlight.vision.ops.stochastic_depth import StochasticDepth
from rushlight.vision.transforms import InterpolationMode

__all__ = [
    "EfficientNet",
    "EfficientNet_B0_Weights",
    "EfficientNet_B1_Weights",
    "EfficientNet_B2_Weights",
    "EfficientNet_B3_Weights",
    "EfficientNet_B4_Weights",
    "EfficientNet_B5_Weights",
    "EfficientNet_B6_Weights",
    "EfficientNet_B7_Weights",
    "EfficientNet_V2_L_Weights",
    "EfficientNet_V2_M_Weights",
    "EfficientNet_V2_S_Weights",
    "efficientnet_b0",
    "efficientnet_b1",
    "efficientnet_b2",
    "efficientnet_b3",
    "efficientnet_b4",
    "efficientnet_b5",
    "efficientnet_b6",
    "efficientnet_b7",
    "efficientnet_v2_l",
    "efficientnet_v2_m",
    "efficientnet_v2_s",
]


@dataclass
class _MBConvConfig:
    """One stage: its blocks' expansion, kernel, first stride, channels, number and class."""

    expand_ratio: float
    kernel: int
    stride: int
    input_channels: int
    out_channels: int
    num_layers: int
    block: Callable[..., Any]

    @staticmethod
    def adjust_channels(channels: int, width_mult: float, min_value: int | None = None) -> int:
        """`channels * width_mult`, as a multiple of 8."""
        return make_divisible(channels * width_mult, 8, min_value)


class MBConvConfig(_MBConvConfig):
    """A stage of `MBConv` blocks, scaled in width and depth."""

    def __init__(
        self,
        expand_ratio: float,
        kernel: int,
        stride: int,
        input_channels: int,
        out_channels: int,
        num_layers: int,
        width_mult: float = 1.0,
        depth_mult: float = 1.0,
        block: Callable[..., Any] | None = None,
    ) -> None:
        super().__init__(
            expand_ratio,
            kernel,
            stride,
            self.adjust_channels(input_channels, width_mult),
            self.adjust_channels(out_channels, width_mult),
            self.adjust_depth(num_layers, depth_mult),
            MBConv if block is None else block,
        )

    @staticmethod
    def adjust_depth(num_layers: int, depth_mult: float) -> int:
        """`num_layers * depth_mult`, rounded up."""
        return math.ceil(num_layers * depth_mult)


class FusedMBConvConfig(_MBConvConfig):
    """A stage of `FusedMBConv` blocks."""

    def __init__(
        self,
        expand_ratio: float,
        kernel: int,
        stride: int,
        input_channels: int,
        out_channels: int,
        num_layers: int,
        block: Callable[..., Any] | None = None,
    ) -> None:
        shape = (expand_ratio, kernel, stride, input_channels, out_channels, num_layers)
        super().__init__(*shape, FusedMBConv if block is None else block)


class _Residual(nn.Module):
    """What both blocks do with their layers: drop a share of the rows, add the input."""

    def __init__(self, cnf: _MBConvConfig, layers: list[Any], stochastic_depth_prob: float) -> None:
        super().__init__()
        if not 1 <= cnf.stride <= 2:
            raise ValueError("illegal stride value")
        self.use_res_connect = cnf.stride == 1 and cnf.input_channels == cnf.out_channels
        self.block = nn.Sequential(*layers)
        self.stochastic_depth = StochasticDepth(stochastic_depth_prob, "row")
        self.out_channels = cnf.out_channels

    def forward(self, input: Any) -> Any:
        """(N, C, H, W) -> (N, out_channels, H / stride, W / stride)."""
        result = self.block(input)
        if self.use_res_connect:
            result = self.stochastic_depth(result)
            result += input
        return result


class MBConv(_Residual):
    """1x1 expansion, convolution of each channel, gate, 1x1 projection."""

    def __init__(
        self,
        cnf: _MBConvConfig,
        stochastic_depth_prob: float,
        norm_layer: Callable[..., Any],
        se_layer: Callable[..., Any] = SqueezeExcitation,
    ) -> None:
        options: dict[str, Any] = {"norm_layer": norm_layer, "activation_layer": nn.SiLU}
        channels = cnf.input_channels
        wide = cnf.adjust_channels(channels, cnf.expand_ratio)
        layers: list[Any] = []
        if wide != channels:
            layers.append(Conv2dNormActivation(channels, wide, kernel_size=1, **options))
        shape: dict[str, Any] = {
            "kernel_size": cnf.kernel,
            "stride": cnf.stride,
            "groups": wide,
        }
        layers.append(Conv2dNormActivation(wide, wide, **shape, **options))
        gate = {"activation": partial(nn.SiLU, inplace=True)}
        layers.append(se_layer(wide, max(1, channels // 4), **gate))
        options["activation_layer"] = None
        layers.append(Conv2dNormActivation(wide, cnf.out_channels, kernel_size=1, **options))
        super().__init__(cnf, layers, stochastic_depth_prob)


class FusedMBConv(_Residual):
    """One full convolution in the place of the expansion and the convolution of each channel."""

    def __init__(
        self,
        cnf: _MBConvConfig,
        stochastic_depth_prob: float,
        norm_layer: Callable[..., Any],
    ) -> None:
        options: dict[str, Any] = {"norm_layer": norm_layer, "activation_layer": nn.SiLU}
        shape: dict[str, Any] = {"kernel_size": cnf.kernel, "stride": cnf.stride}
        channels, after = cnf.input_channels, cnf.out_channels
        wide = cnf.adjust_channels(channels, cnf.expand_ratio)
        if wide == channels:
            layers = [Conv2dNormActivation(channels, after, **shape, **options)]
        else:
            layers = [Conv2dNormActivation(channels, wide, **shape, **options)]
            options["activation_layer"] = None
            layers.append(Conv2dNormActivation(wide, after, kernel_size=1, **options))
        super().__init__(cnf, layers, stochastic_depth_prob)


class EfficientNet(nn.Module):
    """EfficientNet, version 1 or 2.

    Args:
        inverted_residual_setting: the stages.
        dropout: probability of dropping an input of the linear layer.
        stochastic_depth_prob: probability of dropping the last block's branch; less before.
        num_classes: number of outputs.
        norm_layer: function of a number of channels; by default `BatchNorm2d`.
        last_channel: channels of the last convolution; by default four times its input's.

    Shape: (N, 3, H, W) -> (N, num_classes).

    Example:
        >>> efficientnet_b0(num_classes=10).classifier[1]
        Linear(in_features=1280, out_features=10, bias=True)
    """

    def __init__(
        self,
        inverted_residual_setting: Sequence[_MBConvConfig],
        dropout: float,
        stochastic_depth_prob: float = 0.2,
        num_classes: int = 1000,
        norm_layer: Callable[..., Any] | None = None,
        last_channel: int | None = None,
    ) -> None:
        super().__init__()
        stages = inverted_residual_setting
        if not stages:
            raise ValueError("The inverted_residual_setting should not be empty")
        if not isinstance(stages, Sequence) or not all(
            isinstance(stage, _MBConvConfig) for stage in stages
        ):
            raise TypeError("The inverted_residual_setting should be List[MBConvConfig]")
        norm = nn.BatchNorm2d if norm_layer is None else norm_layer
        options: dict[str, Any] = {"norm_layer": norm, "activation_layer": nn.SiLU}
        first, last = stages[0].input_channels, stages[-1].out_channels
        top = 4 * last if last_channel is None else last_channel
        self.features = nn.Sequential(
            Conv2dNormActivation(3, first, kernel_size=3, stride=2, **options),
            *_stages(stages, stochastic_depth_prob, norm),
            Conv2dNormActivation(last, top, kernel_size=1, **options),
        )
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(
            nn.Dropout(p=dropout, inplace=True), nn.Linear(top, num_classes)
        )
        self._initialize()

    def _initialize(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, (nn.BatchNorm2d, nn.GroupNorm)):
                nn.init.ones_(module.weight)
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Linear):
                limit = 1.0 / math.sqrt(module.out_features)
                nn.init.uniform_(module.weight, -limit, limit)
                nn.init.zeros_(module.bias)

    def _forward_impl(self, x: Any) -> Any:
        return self.classifier(rl.flatten(self.avgpool(self.features(x)), 1))

    def forward(self, x: Any) -> Any:
        """Scores (N, num_classes) of images (N, 3, H, W)."""
        return self._forward_impl(x)


def _stages(
    configs: Sequence[_MBConvConfig], stochastic_depth_prob: float, norm: Callable[..., Any]
) -> list[Any]:
    """The stages; the probability of dropping a branch grows from block to block."""
    total = sum(config.num_layers for config in configs)
    built = 0
    stages = []
    for config in configs:
        blocks = []
        config = copy.copy(config)
        for _ in range(config.num_layers):
            probability = stochastic_depth_prob * float(built) / total
            blocks.append(config.block(config, probability, norm))
            config.input_channels, config.stride = config.out_channels, 1
            built += 1
        stages.append(nn.Sequential(*blocks))
    return stages


# Expansion, kernel, stride, input channels, output channels, blocks.
V1 = [
    (1, 3, 1, 32, 16, 1),
    (6, 3, 2, 16, 24, 2),
    (6, 5, 2, 24, 40, 2),
    (6, 3, 2, 40, 80, 3),
    (6, 5, 1, 80, 112, 3),
    (6, 5, 2, 112, 192, 4),
    (6, 3, 1, 192, 320, 1),
]
# The first three stages are fused.
V2 = {
    "s": [
        (1, 3, 1, 24, 24, 2),
        (4, 3, 2, 24, 48, 4),
        (4, 3, 2, 48, 64, 4),
        (4, 3, 2, 64, 128, 6),
        (6, 3, 1, 128, 160, 9),
        (6, 3, 2, 160, 256, 15),
    ],
    "m": [
        (1, 3, 1, 24, 24, 3),
        (4, 3, 2, 24, 48, 5),
        (4, 3, 2, 48, 80, 5),
        (4, 3, 2, 80, 160, 7),
        (6, 3, 1, 160, 176, 14),
        (6, 3, 2, 176, 304, 18),
        (6, 3, 1, 304, 512, 5),
    ],
    "l": [
        (1, 3, 1, 32, 32, 4),
        (4, 3, 2, 32, 64, 7),
        (4, 3, 2, 64, 96, 7),
        (4, 3, 2, 96, 192, 10),
        (6, 3, 1, 192, 224, 19),
        (6, 3, 2, 224, 384, 25),
        (6, 3, 1, 384, 640, 7),
    ],
}


def _efficientnet_v1(
    width: float,
    depth: float,
    dropout: float,
    weights: WeightsEnum | None,
    progress: bool,
    **kwargs: Any,
) -> EfficientNet:
    stages = [MBConvConfig(*row, width_mult=width, depth_mult=depth) for row in V1]
    model = EfficientNet(stages, kwargs.pop("dropout", dropout), **kwargs)
    loaded: EfficientNet = load_weights(model, weights, progress)
    return loaded


def _efficientnet_v2(
    size: str, dropout: float, weights: WeightsEnum | None, progress: bool, **kwargs: Any
) -> EfficientNet:
    stages: list[_MBConvConfig] = [FusedMBConvConfig(*row) for row in V2[size][:3]]
    stages += [MBConvConfig(*row) for row in V2[size][3:]]
    kwargs.setdefault("norm_layer", partial(nn.BatchNorm2d, eps=1e-03))
    model = EfficientNet(stages, kwargs.pop("dropout", dropout), last_channel=1280, **kwargs)
    loaded: EfficientNet = load_weights(model, weights, progress)
    return loaded


class EfficientNet_B0_Weights(WeightsEnum):
    """Pre-trained weights of `efficientnet_b0`."""

    IMAGENET1K_V1 = imagenet_weights(
        "efficientnet_b0_rwightman-7f5810bc.pth",
        5_288_548,
        (77.692, 93.532),
        0.386,
        20.451,
        "#efficientnet-v1",
        resize_size=256,
        interpolation=InterpolationMode.BICUBIC,
    )
    DEFAULT = IMAGENET1K_V1


class EfficientNet_B1_Weights(WeightsEnum):
    """Pre-trained weights of `efficientnet_b1`."""

    IMAGENET1K_V1 = imagenet_weights(
        "efficientnet_b1_rwightman-bac287d4.pth",
        7_794_184,
        (78.642, 94.186),
        0.687,
        30.134,
        "#efficientnet-v1",
        crop_size=240,
        resize_size=256,
        interpolation=InterpolationMode.BICUBIC,
    )
    IMAGENET1K_V2 = imagenet_weights(
        "efficientnet_b1-c27df63c.pth",
        7_794_184,
        (79.838, 94.934),
        0.687,
        30.136,
        "issues/3995#new-recipe-with-lr-wd-crop-tuning",
        crop_size=240,
        resize_size=255,
        interpolation=InterpolationMode.BILINEAR,
    )
    DEFAULT = IMAGENET1K_V2


class EfficientNet_B2_Weights(WeightsEnum):
    """Pre-trained weights of `efficientnet_b2`."""

    IMAGENET1K_V1 = imagenet_weights(
        "efficientnet_b2_rwightman-c35c1473.pth",
        9_109_994,
        (80.608, 95.31),
        1.088,
        35.174,
        "#efficientnet-v1",
        crop_size=288,
        resize_size=288,
        interpolation=InterpolationMode.BICUBIC,
    )
    DEFAULT = IMAGENET1K_V1


class EfficientNet_B3_Weights(WeightsEnum):
    """Pre-trained weights of `efficientnet_b3`."""

    IMAGENET1K_V1 = imagenet_weights(
        "efficientnet_b3_rwightman-b3899882.pth",
        12_233_232,
        (82.008, 96.054),
        1.827,
        47.184,
        "#efficientnet-v1",
        crop_size=300,
        resize_size=320,
        interpolation=InterpolationMode.BICUBIC,
    )
    DEFAULT = IMAGENET1K_V1


class EfficientNet_B4_Weights(WeightsEnum):
    """Pre-trained weights of `efficientnet_b4`."""

    IMAGENET1K_V1 = imagenet_weights(
        "efficientnet_b4_rwightman-23ab8bcd.pth",
        19_341_616,
        (83.384, 96.594),
        4.394,
        74.489,
        "#efficientnet-v1",
        crop_size=380,
        resize_size=384,
        interpolation=InterpolationMode.BICUBIC,
    )
    DEFAULT = IMAGENET1K_V1


class EfficientNet_B5_Weights(WeightsEnum):
    """Pre-trained weights of `efficientnet_b5`."""

    IMAGENET1K_V1 = imagenet_weights(
        "efficientnet_b5_lukemelas-1a07897c.pth",
        30_389_784,
        (83.444, 96.628),
        10.266,
        116.864,
        "#efficientnet-v1",
        crop_size=456,
        resize_size=456,
        interpolation=InterpolationMode.BICUBIC,
    )
    DEFAULT = IMAGENET1K_V1


class EfficientNet_B6_Weights(WeightsEnum):
    """Pre-trained weights of `efficientnet_b6`."""

    IMAGENET1K_V1 = imagenet_weights(
        "efficientnet_b6_lukemelas-24a108a5.pth",
        43_040_704,
        (84.008, 96.916),
        19.068,
        165.362,
        "#efficientnet-v1",
        crop_size=528,
        resize_size=528,
        interpolation=InterpolationMode.BICUBIC,
    )
    DEFAULT = IMAGENET1K_V1


class EfficientNet_B7_Weights(WeightsEnum):
    """Pre-trained weights of `efficientnet_b7`."""

    IMAGENET1K_V1 = imagenet_weights(
        "efficientnet_b7_lukemelas-c5b4e57e.pth",
        66_347_960,
        (84.122, 96.908),
        37.746,
        254.675,
        "#efficientnet-v1",
        crop_size=600,
        resize_size=600,
        interpolation=InterpolationMode.BICUBIC,
    )
    DEFAULT = IMAGENET1K_V1


class EfficientNet_V2_S_Weights(WeightsEnum):
    """Pre-trained weights of `efficientnet_v2_s`."""

    IMAGENET1K_V1 = imagenet_weights(
        "efficientnet_v2_s-dd5fe13b.pth",
        21_458_488,
        (84.228, 96.878),
        8.366,
        82.704,
        "#efficientnet-v2",
        min_size=(33, 33),
        crop_size=384,
        resize_size=384,
        interpolation=InterpolationMode.BILINEAR,
    )
    DEFAULT = IMAGENET1K_V1


class EfficientNet_V2_M_Weights(WeightsEnum):
    """Pre-trained weights of `efficientnet_v2_m`."""

    IMAGENET1K_V1 = imagenet_weights(
        "efficientnet_v2_m-dc08266a.pth",
        54_139_356,
        (85.112, 97.156),
        24.582,
        208.01,
        "#efficientnet-v2",
        min_size=(33, 33),
        crop_size=480,
        resize_size=480,
        interpolation=InterpolationMode.BILINEAR,
    )
    DEFAULT = IMAGENET1K_V1


class EfficientNet_V2_L_Weights(WeightsEnum):
    """Pre-trained weights of `efficientnet_v2_l`."""

    IMAGENET1K_V1 = imagenet_weights(
        "efficientnet_v2_l-59c71312.pth",
        118_515_272,
        (85.808, 97.788),
        56.08,
        454.573,
        "#efficientnet-v2",
        min_size=(33, 33),
        crop_size=480,
        resize_size=480,
        interpolation=InterpolationMode.BICUBIC,
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
    )
    DEFAULT = IMAGENET1K_V1


@model_builder(EfficientNet_B0_Weights)
def efficientnet_b0(
    *, weights: EfficientNet_B0_Weights | None = None, progress: bool = True, **kwargs: Any
) -> EfficientNet:
    """EfficientNet-B0; `weights` is a member of `EfficientNet_B0_Weights` or its name."""
    return _efficientnet_v1(1.0, 1.0, 0.2, weights, progress, **kwargs)


@model_builder(EfficientNet_B1_Weights)
def efficientnet_b1(
    *, weights: EfficientNet_B1_Weights | None = None, progress: bool = True, **kwargs: Any
) -> EfficientNet:
    """EfficientNet-B1; `weights` is a member of `EfficientNet_B1_Weights` or its name."""
    return _efficientnet_v1(1.0, 1.1, 0.2, weights, progress, **kwargs)


@model_builder(EfficientNet_B2_Weights)
def efficientnet_b2(
    *, weights: EfficientNet_B2_Weights | None = None, progress: bool = True, **kwargs: Any
) -> EfficientNet:
    """EfficientNet-B2; `weights` is a member of `EfficientNet_B2_Weights` or its name."""
    return _efficientnet_v1(1.1, 1.2, 0.3, weights, progress, **kwargs)


@model_builder(EfficientNet_B3_Weights)
def efficientnet_b3(
    *, weights: EfficientNet_B3_Weights | None = None, progress: bool = True, **kwargs: Any
) -> EfficientNet:
    """EfficientNet-B3; `weights` is a member of `EfficientNet_B3_Weights` or its name."""
    return _efficientnet_v1(1.2, 1.4, 0.3, weights, progress, **kwargs)


@model_builder(EfficientNet_B4_Weights)
def efficientnet_b4(
    *, weights: EfficientNet_B4_Weights | None = None, progress: bool = True, **kwargs: Any
) -> EfficientNet:
    """EfficientNet-B4; `weights` is a member of `EfficientNet_B4_Weights` or its name."""
    return _efficientnet_v1(1.4, 1.8, 0.4, weights, progress, **kwargs)


@model_builder(EfficientNet_B5_Weights)
def efficientnet_b5(
    *, weights: EfficientNet_B5_Weights | None = None, progress: bool = True, **kwargs: Any
) -> EfficientNet:
    """EfficientNet-B5; `weights` is a member of `EfficientNet_B5_Weights` or its name."""
    kwargs.setdefault("norm_layer", partial(nn.BatchNorm2d, eps=0.001, momentum=0.01))
    return _efficientnet_v1(1.6, 2.2, 0.4, weights, progress, **kwargs)


@model_builder(EfficientNet_B6_Weights)
def efficientnet_b6(
    *, weights: EfficientNet_B6_Weights | None = None, progress: bool = True, **kwargs: Any
) -> EfficientNet:
    """EfficientNet-B6; `weights` is a member of `EfficientNet_B6_Weights` or its name."""
    kwargs.setdefault("norm_layer", partial(nn.BatchNorm2d, eps=0.001, momentum=0.01))
    return _efficientnet_v1(1.8, 2.6, 0.5, weights, progress, **kwargs)


@model_builder(EfficientNet_B7_Weights)
def efficientnet_b7(
    *, weights: EfficientNet_B7_Weights | None = None, progress: bool = True, **kwargs: Any
) -> EfficientNet:
    """EfficientNet-B7; `weights` is a member of `EfficientNet_B7_Weights` or its name."""
    kwargs.setdefault("norm_layer", partial(nn.BatchNorm2d, eps=0.001, momentum=0.01))
    return _efficientnet_v1(2.0, 3.1, 0.5, weights, progress, **kwargs)


@model_builder(EfficientNet_V2_S_Weights)
def efficientnet_v2_s(
    *, weights: EfficientNet_V2_S_Weights | None = None, progress: bool = True, **kwargs: Any
) -> EfficientNet:
    """EfficientNetV2-S; `weights` is a member of `EfficientNet_V2_S_Weights` or its name."""
    return _efficientnet_v2("s", 0.2, weights, progress, **kwargs)


@model_builder(EfficientNet_V2_M_Weights)
def efficientnet_v2_m(
    *, weights: EfficientNet_V2_M_Weights | None = None, progress: bool = True, **kwargs: Any
) -> EfficientNet:
    """EfficientNetV2-M; `weights` is a member of `EfficientNet_V2_M_Weights` or its name."""
    return _efficientnet_v2("m", 0.3, weights, progress, **kwargs)


@model_builder(EfficientNet_V2_L_Weights)
def efficientnet_v2_l(
    *, weights: EfficientNet_V2_L_Weights | None = None, progress: bool = True, **kwargs: Any
) -> EfficientNet:
    """EfficientNetV2-L; `weights` is a member of `EfficientNet_V2_L_Weights` or its name."""
    return _efficientnet_v2("l", 0.4, weights, progress, **kwargs)
