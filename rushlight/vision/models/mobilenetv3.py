"""MobileNetV3: MobileNetV2 with gates and hard activations, its sizes found by search.

Source: A. Howard et al., https://arxiv.org/abs/1905.02244.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import rushlight as rl
from rushlight import nn
from rushlight.vision.models._api import WeightsEnum, model_builder
from rushlight.vision.models._meta import imagenet_weights
from rushlight.vision.models._utils import init_mobile, load_weights, make_divisible
from rushlight.vision.ops.misc import Conv2dNormActivation, SqueezeExcitation

__all__ = [
    "MobileNetV3",
    "MobileNet_V3_Large_Weights",
    "MobileNet_V3_Small_Weights",
    "mobilenet_v3_large",
    "mobilenet_v3_small",
]

# Kernel, expanded channels, output channels, gate, activation, stride; the input is the row before.
LARGE: list[tuple[int, int, int, bool, str, int]] = [
    (3, 16, 16, False, "RE", 1),
    (3, 64, 24, False, "RE", 2),
    (3, 72, 24, False, "RE", 1),
    (5, 72, 40, True, "RE", 2),
    (5, 120, 40, True, "RE", 1),
    (5, 120, 40, True, "RE", 1),
    (3, 240, 80, False, "HS", 2),
    (3, 200, 80, False, "HS", 1),
    (3, 184, 80, False, "HS", 1),
    (3, 184, 80, False, "HS", 1),
    (3, 480, 112, True, "HS", 1),
    (3, 672, 112, True, "HS", 1),
    (5, 672, 160, True, "HS", 2),
    (5, 960, 160, True, "HS", 1),
    (5, 960, 160, True, "HS", 1),
]
SMALL: list[tuple[int, int, int, bool, str, int]] = [
    (3, 16, 16, True, "RE", 2),
    (3, 72, 24, False, "RE", 2),
    (3, 88, 24, False, "RE", 1),
    (5, 96, 40, True, "HS", 2),
    (5, 240, 40, True, "HS", 1),
    (5, 240, 40, True, "HS", 1),
    (5, 120, 48, True, "HS", 1),
    (5, 144, 48, True, "HS", 1),
    (5, 288, 96, True, "HS", 2),
    (5, 576, 96, True, "HS", 1),
    (5, 576, 96, True, "HS", 1),
]

HARD_GATE = partial(SqueezeExcitation, scale_activation=nn.Hardsigmoid)


class InvertedResidualConfig:
    """One row of the paper's tables 1 and 2, its channels scaled by `width_mult`."""

    def __init__(
        self,
        input_channels: int,
        kernel: int,
        expanded_channels: int,
        out_channels: int,
        use_se: bool,
        activation: str,
        stride: int,
        dilation: int,
        width_mult: float,
    ) -> None:
        self.input_channels = self.adjust_channels(input_channels, width_mult)
        self.kernel = kernel
        self.expanded_channels = self.adjust_channels(expanded_channels, width_mult)
        self.out_channels = self.adjust_channels(out_channels, width_mult)
        self.use_se = use_se
        self.use_hs = activation == "HS"
        self.stride = stride
        self.dilation = dilation

    @staticmethod
    def adjust_channels(channels: int, width_mult: float) -> int:
        """`channels * width_mult`, as a multiple of 8."""
        return make_divisible(channels * width_mult, 8)


class InvertedResidual(nn.Module):
    """Expansion, convolution of each channel, gate, projection; shortcut where shapes agree."""

    def __init__(
        self,
        cnf: InvertedResidualConfig,
        norm_layer: Callable[..., Any],
        se_layer: Callable[..., Any] = HARD_GATE,
    ) -> None:
        super().__init__()
        if not 1 <= cnf.stride <= 2:
            raise ValueError("illegal stride value")
        self.use_res_connect = cnf.stride == 1 and cnf.input_channels == cnf.out_channels
        activation = nn.Hardswish if cnf.use_hs else nn.ReLU
        options: dict[str, Any] = {"norm_layer": norm_layer, "activation_layer": activation}
        wide = cnf.expanded_channels
        layers: list[Any] = []
        if wide != cnf.input_channels:
            layers.append(Conv2dNormActivation(cnf.input_channels, wide, kernel_size=1, **options))
        layers.append(
            Conv2dNormActivation(
                wide,
                wide,
                kernel_size=cnf.kernel,
                stride=1 if cnf.dilation > 1 else cnf.stride,
                dilation=cnf.dilation,
                groups=wide,
                **options,
            )
        )
        if cnf.use_se:
            layers.append(se_layer(wide, make_divisible(wide // 4, 8)))
        options["activation_layer"] = None
        layers.append(Conv2dNormActivation(wide, cnf.out_channels, kernel_size=1, **options))
        self.block = nn.Sequential(*layers)
        self.out_channels = cnf.out_channels
        self._is_cn = cnf.stride > 1

    def forward(self, input: Any) -> Any:
        """The block's output, with the input added where `use_res_connect`."""
        result = self.block(input)
        if self.use_res_connect:
            result += input
        return result


class MobileNetV3(nn.Module):
    """MobileNetV3.

    Args:
        inverted_residual_setting: the blocks.
        last_channel: size of the hidden linear layer.
        num_classes: number of outputs.
        block: function like `InvertedResidual`.
        norm_layer: function of a number of channels.
        dropout: probability of dropping an input of the last layer.

    Shape: (N, 3, H, W) -> (N, num_classes).

    Example:
        >>> mobilenet_v3_small(num_classes=10).classifier[3]
        Linear(in_features=1024, out_features=10, bias=True)
    """

    def __init__(
        self,
        inverted_residual_setting: Sequence[InvertedResidualConfig],
        last_channel: int,
        num_classes: int = 1000,
        block: Callable[..., Any] | None = None,
        norm_layer: Callable[..., Any] | None = None,
        dropout: float = 0.2,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        setting = inverted_residual_setting
        if not setting:
            raise ValueError("The inverted_residual_setting should not be empty")
        if not isinstance(setting, Sequence) or not all(
            isinstance(row, InvertedResidualConfig) for row in setting
        ):
            raise TypeError("The inverted_residual_setting should be List[InvertedResidualConfig]")
        block = InvertedResidual if block is None else block
        if norm_layer is None:
            norm_layer = partial(nn.BatchNorm2d, eps=0.001, momentum=0.01)
        options: dict[str, Any] = {"norm_layer": norm_layer, "activation_layer": nn.Hardswish}
        first, last = setting[0].input_channels, setting[-1].out_channels
        self.features = nn.Sequential(
            Conv2dNormActivation(3, first, kernel_size=3, stride=2, **options),
            *[block(row, norm_layer) for row in setting],
            Conv2dNormActivation(last, 6 * last, kernel_size=1, **options),
        )
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(
            nn.Linear(6 * last, last_channel),
            nn.Hardswish(inplace=True),
            nn.Dropout(p=dropout, inplace=True),
            nn.Linear(last_channel, num_classes),
        )
        init_mobile(self)

    def _forward_impl(self, x: Any) -> Any:
        return self.classifier(rl.flatten(self.avgpool(self.features(x)), 1))

    def forward(self, x: Any) -> Any:
        """Scores (N, num_classes) of images (N, 3, H, W)."""
        return self._forward_impl(x)


def _mobilenet_v3_conf(
    arch: str,
    width_mult: float = 1.0,
    reduced_tail: bool = False,
    dilated: bool = False,
    **kwargs: Any,
) -> tuple[list[InvertedResidualConfig], int]:
    """The blocks and the hidden layer's size; the last three blocks can be halved or dilated."""
    tables = {"mobilenet_v3_large": (LARGE, 1280), "mobilenet_v3_small": (SMALL, 1024)}
    if arch not in tables:
        raise ValueError(f"Unsupported model type {arch}")
    rows, last = tables[arch]
    divider = 2 if reduced_tail else 1
    setting = []
    channels = 16
    for index, (kernel, expanded, out, gate, activation, stride) in enumerate(rows):
        tail = index >= len(rows) - 3
        if tail:
            out //= divider
        if tail and index > len(rows) - 3:
            expanded //= divider
        dilation = 2 if dilated and tail else 1
        shape = (channels, kernel, expanded, out)
        setting.append(
            InvertedResidualConfig(*shape, gate, activation, stride, dilation, width_mult)
        )
        channels = out
    return setting, InvertedResidualConfig.adjust_channels(last // divider, width_mult)


def _mobilenet_v3(
    arch: str, weights: WeightsEnum | None, progress: bool, **kwargs: Any
) -> MobileNetV3:
    setting, last_channel = _mobilenet_v3_conf(arch, **kwargs)
    model = MobileNetV3(setting, last_channel, **kwargs)
    loaded: MobileNetV3 = load_weights(model, weights, progress)
    return loaded


class MobileNet_V3_Large_Weights(WeightsEnum):
    """Pre-trained weights of `mobilenet_v3_large`."""

    IMAGENET1K_V1 = imagenet_weights(
        "mobilenet_v3_large-8738ca79.pth",
        5_483_032,
        (74.042, 91.34),
        0.217,
        21.114,
        "#mobilenetv3-large--small",
    )
    IMAGENET1K_V2 = imagenet_weights(
        "mobilenet_v3_large-5c1a4163.pth",
        5_483_032,
        (75.274, 92.566),
        0.217,
        21.107,
        "issues/3995#new-recipe-with-reg-tuning",
        resize_size=232,
    )
    DEFAULT = IMAGENET1K_V2


class MobileNet_V3_Small_Weights(WeightsEnum):
    """Pre-trained weights of `mobilenet_v3_small`."""

    IMAGENET1K_V1 = imagenet_weights(
        "mobilenet_v3_small-047dcff4.pth",
        2_542_856,
        (67.668, 87.402),
        0.057,
        9.829,
        "#mobilenetv3-large--small",
    )
    DEFAULT = IMAGENET1K_V1


@model_builder(MobileNet_V3_Large_Weights)
def mobilenet_v3_large(
    *, weights: MobileNet_V3_Large_Weights | None = None, progress: bool = True, **kwargs: Any
) -> MobileNetV3:
    """MobileNetV3 large; `weights` is a member of `MobileNet_V3_Large_Weights` or its name."""
    return _mobilenet_v3("mobilenet_v3_large", weights, progress, **kwargs)


@model_builder(MobileNet_V3_Small_Weights)
def mobilenet_v3_small(
    *, weights: MobileNet_V3_Small_Weights | None = None, progress: bool = True, **kwargs: Any
) -> MobileNetV3:
    """MobileNetV3 small; `weights` is a member of `MobileNet_V3_Small_Weights` or its name."""
    return _mobilenet_v3("mobilenet_v3_small", weights, progress, **kwargs)
