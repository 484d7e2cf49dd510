"""RegNet: networks whose stages' widths follow a line, rounded to a few values.

Source: I. Radosavovic et al., https://arxiv.org/abs/2003.13678; X without, Y with gates.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from rushlight import nn
from rushlight.vision.models._api import WeightsEnum, model_builder
from rushlight.vision.models._meta import SWAG, imagenet_weights, swag_preset
from rushlight.vision.models._utils import load_weights, make_divisible
from rushlight.vision.ops.misc import Conv2dNormActivation, SqueezeExcitation

__all__ = [
    "RegNet",
    "RegNet_X_16GF_Weights",
    "RegNet_X_1_6GF_Weights",
    "RegNet_X_32GF_Weights",
    "RegNet_X_3_2GF_Weights",
    "RegNet_X_400MF_Weights",
    "RegNet_X_800MF_Weights",
    "RegNet_X_8GF_Weights",
    "RegNet_Y_128GF_Weights",
    "RegNet_Y_16GF_Weights",
    "RegNet_Y_1_6GF_Weights",
    "RegNet_Y_32GF_Weights",
    "RegNet_Y_3_2GF_Weights",
    "RegNet_Y_400MF_Weights",
    "RegNet_Y_800MF_Weights",
    "RegNet_Y_8GF_Weights",
    "regnet_x_16gf",
    "regnet_x_1_6gf",
    "regnet_x_32gf",
    "regnet_x_3_2gf",
    "regnet_x_400mf",
    "regnet_x_800mf",
    "regnet_x_8gf",
    "regnet_y_128gf",
    "regnet_y_16gf",
    "regnet_y_1_6gf",
    "regnet_y_32gf",
    "regnet_y_3_2gf",
    "regnet_y_400mf",
    "regnet_y_800mf",
    "regnet_y_8gf",
]

Layer = Callable[..., Any]


class SimpleStemIN(Conv2dNormActivation):
    """3x3 convolution of stride 2, normalisation, activation."""

    def __init__(
        self, width_in: int, width_out: int, norm_layer: Layer, activation_layer: Layer
    ) -> None:
        options: dict[str, Any] = {"norm_layer": norm_layer, "activation_layer": activation_layer}
        super().__init__(width_in, width_out, kernel_size=3, stride=2, **options)


class BottleneckTransform(nn.Sequential):
    """1x1 convolution, grouped 3x3 convolution, gate where wanted, 1x1 convolution."""

    def __init__(
        self,
        width_in: int,
        width_out: int,
        stride: int,
        norm_layer: Layer,
        activation_layer: Layer,
        group_width: int,
        bottleneck_multiplier: float,
        se_ratio: float | None,
    ) -> None:
        inner = round(width_out * bottleneck_multiplier)
        options: dict[str, Any] = {"norm_layer": norm_layer, "activation_layer": activation_layer}
        grouped: dict[str, Any] = {"stride": stride, "groups": inner // group_width}
        layers: OrderedDict[str, Any] = OrderedDict()
        layers["a"] = Conv2dNormActivation(width_in, inner, kernel_size=1, **options)
        layers["b"] = Conv2dNormActivation(inner, inner, kernel_size=3, **grouped, **options)
        if se_ratio:
            squeezed = round(se_ratio * width_in)
            layers["se"] = SqueezeExcitation(inner, squeezed, activation=activation_layer)
        options["activation_layer"] = None
        layers["c"] = Conv2dNormActivation(inner, width_out, kernel_size=1, **options)
        super().__init__(layers)


class ResBottleneckBlock(nn.Module):
    """x + BottleneckTransform(x), with a 1x1 convolution of x where shapes differ."""

    def __init__(
        self,
        width_in: int,
        width_out: int,
        stride: int,
        norm_layer: Layer,
        activation_layer: Layer,
        group_width: int = 1,
        bottleneck_multiplier: float = 1.0,
        se_ratio: float | None = None,
    ) -> None:
        super().__init__()
        self.proj = None
        if width_in != width_out or stride != 1:
            options: dict[str, Any] = {"norm_layer": norm_layer, "activation_layer": None}
            self.proj = Conv2dNormActivation(
                width_in, width_out, kernel_size=1, stride=stride, **options
            )
        shape = (width_in, width_out, stride)
        bottleneck = (group_width, bottleneck_multiplier, se_ratio)
        self.f = BottleneckTransform(*shape, norm_layer, activation_layer, *bottleneck)
        self.activation = activation_layer(inplace=True)

    def forward(self, x: Any) -> Any:
        """(N, width_in, H, W) -> (N, width_out, H / stride, W / stride)."""
        shortcut = x if self.proj is None else self.proj(x)
        return self.activation(shortcut + self.f(x))


class AnyStage(nn.Sequential):
    """Blocks of one width; only the first changes channels and size."""

    def __init__(
        self,
        width_in: int,
        width_out: int,
        stride: int,
        depth: int,
        block_constructor: Layer,
        norm_layer: Layer,
        activation_layer: Layer,
        group_width: int,
        bottleneck_multiplier: float,
        se_ratio: float | None = None,
        stage_index: int = 0,
    ) -> None:
        super().__init__()
        bottleneck = (group_width, bottleneck_multiplier, se_ratio)
        for index in range(depth):
            before, step = (width_in, stride) if index == 0 else (width_out, 1)
            block = block_constructor(
                before, width_out, step, norm_layer, activation_layer, *bottleneck
            )
            self.add_module(f"block{stage_index}-{index}", block)


class BlockParams:
    """Depth, width, group width, bottleneck factor and stride of each stage."""

    def __init__(
        self,
        depths: list[int],
        widths: list[int],
        group_widths: list[int],
        bottleneck_multipliers: list[float],
        strides: list[int],
        se_ratio: float | None = None,
    ) -> None:
        self.depths = depths
        self.widths = widths
        self.group_widths = group_widths
        self.bottleneck_multipliers = bottleneck_multipliers
        self.strides = strides
        self.se_ratio = se_ratio

    @classmethod
    def from_init_params(
        cls,
        depth: int,
        w_0: int,
        w_a: float,
        w_m: float,
        group_width: int,
        bottleneck_multiplier: float = 1.0,
        se_ratio: float | None = None,
        **kwargs: Any,
    ) -> BlockParams:
        """The stages of the paper's parametrisation (its section 3.3).

        Block j of `depth` wants the width u = w_0 + w_a j; it gets w_0 w_m^k with k the integer
        nearest to log(u / w_0) / log(w_m), rounded to a multiple of 8.  Blocks of equal width make
        a stage.  Widths are then rounded to multiples of the group width.
        """
        if w_a < 0 or w_0 <= 0 or w_m <= 1 or w_0 % 8 != 0:
            raise ValueError("Invalid RegNet settings")
        wanted = np.arange(depth) * w_a + w_0
        steps = np.round(np.log(wanted / w_0) / math.log(w_m))
        widths = (np.round(w_0 * w_m**steps / 8) * 8).astype(int).tolist()
        stages = sorted(set(widths))  # widths never fall
        depths = [widths.count(width) for width in stages]
        inner = [int(width * bottleneck_multiplier) for width in stages]
        groups = [min(group_width, width) for width in inner]
        fitted = [make_divisible(w, g) for w, g in zip(inner, groups, strict=True)]
        return cls(
            depths=depths,
            widths=[int(width / bottleneck_multiplier) for width in fitted],
            group_widths=groups,
            bottleneck_multipliers=[bottleneck_multiplier] * len(stages),
            strides=[2] * len(stages),
            se_ratio=se_ratio,
        )

    def _get_expanded_params(self) -> Iterator[tuple[int, int, int, int, float]]:
        return zip(
            self.widths,
            self.strides,
            self.depths,
            self.group_widths,
            self.bottleneck_multipliers,
            strict=True,
        )


class RegNet(nn.Module):
    """RegNet.

    Args:
        block_params: the stages.
        num_classes: number of outputs.
        stem_width: channels of the first convolution.
        stem_type: class like `SimpleStemIN`.
        block_type: class like `ResBottleneckBlock`.
        norm_layer: function of a number of channels; by default `BatchNorm2d`.
        activation: module class; by default `ReLU`.

    Shape: (N, 3, H, W) -> (N, num_classes).

    Example:
        >>> regnet_x_400mf(num_classes=10).fc
        Linear(in_features=400, out_features=10, bias=True)
    """

    def __init__(
        self,
        block_params: BlockParams,
        num_classes: int = 1000,
        stem_width: int = 32,
        stem_type: Layer | None = None,
        block_type: Layer | None = None,
        norm_layer: Layer | None = None,
        activation: Layer | None = None,
    ) -> None:
        super().__init__()
        stem_type = SimpleStemIN if stem_type is None else stem_type
        norm_layer = nn.BatchNorm2d if norm_layer is None else norm_layer
        block_type = ResBottleneckBlock if block_type is None else block_type
        activation = nn.ReLU if activation is None else activation
        self.stem = stem_type(3, stem_width, norm_layer, activation)
        channels = stem_width
        stages: OrderedDict[str, Any] = OrderedDict()
        for index, stage in enumerate(block_params._get_expanded_params(), 1):
            width, stride, depth, group_width, multiplier = stage
            stages[f"block{index}"] = AnyStage(
                channels,
                width,
                stride,
                depth,
                block_type,
                norm_layer,
                activation,
                group_width,
                multiplier,
                block_params.se_ratio,
                stage_index=index,
            )
            channels = width
        self.trunk_output = nn.Sequential(stages)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(in_features=channels, out_features=num_classes)
        self._initialize()

    def _initialize(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels
                nn.init.normal_(module.weight, mean=0.0, std=math.sqrt(2.0 / fan_out))
            elif isinstance(module, nn.BatchNorm2d):
                nn.init.ones_(module.weight)
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, mean=0.0, std=0.01)
                nn.init.zeros_(module.bias)

    def forward(self, x: Any) -> Any:
        """Scores (N, num_classes) of images (N, 3, H, W)."""
        x = self.avgpool(self.trunk_output(self.stem(x)))
        return self.fc(x.flatten(start_dim=1))


def _regnet(
    line: tuple[int, int, float, float, int],
    se_ratio: float | None,
    weights: WeightsEnum | None,
    progress: bool,
    **kwargs: Any,
) -> RegNet:
    """`line`: depth, w_0, w_a, w_m and group width, as in `BlockParams.from_init_params`."""
    params = BlockParams.from_init_params(*line, se_ratio=se_ratio, **kwargs)
    kwargs.setdefault("norm_layer", partial(nn.BatchNorm2d, eps=1e-05, momentum=0.1))
    loaded: RegNet = load_weights(RegNet(params, **kwargs), weights, progress)
    return loaded


class RegNet_Y_400MF_Weights(WeightsEnum):
    """Pre-trained weights of `regnet_y_400mf`."""

    IMAGENET1K_V1 = imagenet_weights(
        "regnet_y_400mf-c65dace8.pth", 4_344_144, (74.046, 91.716), 0.402, 16.806, "#small-models"
    )
    IMAGENET1K_V2 = imagenet_weights(
        "regnet_y_400mf-e6988f5f.pth",
        4_344_144,
        (75.804, 92.742),
        0.402,
        16.806,
        "issues/3995#new-recipe",
        resize_size=232,
    )
    DEFAULT = IMAGENET1K_V2


class RegNet_Y_800MF_Weights(WeightsEnum):
    """Pre-trained weights of `regnet_y_800mf`."""

    IMAGENET1K_V1 = imagenet_weights(
        "regnet_y_800mf-1b27b58c.pth", 6_432_512, (76.42, 93.136), 0.834, 24.774, "#small-models"
    )
    IMAGENET1K_V2 = imagenet_weights(
        "regnet_y_800mf-58fc7688.pth",
        6_432_512,
        (78.828, 94.502),
        0.834,
        24.774,
        "issues/3995#new-recipe",
        resize_size=232,
    )
    DEFAULT = IMAGENET1K_V2


class RegNet_Y_1_6GF_Weights(WeightsEnum):
    """Pre-trained weights of `regnet_y_1_6gf`."""

    IMAGENET1K_V1 = imagenet_weights(
        "regnet_y_1_6gf-b11a554e.pth", 11_202_430, (77.95, 93.966), 1.612, 43.152, "#small-models"
    )
    IMAGENET1K_V2 = imagenet_weights(
        "regnet_y_1_6gf-0d7bc02a.pth",
        11_202_430,
        (80.876, 95.444),
        1.612,
        43.152,
        "issues/3995#new-recipe",
        resize_size=232,
    )
    DEFAULT = IMAGENET1K_V2


class RegNet_Y_3_2GF_Weights(WeightsEnum):
    """Pre-trained weights of `regnet_y_3_2gf`."""

    IMAGENET1K_V1 = imagenet_weights(
        "regnet_y_3_2gf-b5a9779c.pth", 19_436_338, (78.948, 94.576), 3.176, 74.567, "#medium-models"
    )
    IMAGENET1K_V2 = imagenet_weights(
        "regnet_y_3_2gf-9180c971.pth",
        19_436_338,
        (81.982, 95.972),
        3.176,
        74.567,
        "issues/3995#new-recipe",
        resize_size=232,
    )
    DEFAULT = IMAGENET1K_V2


class RegNet_Y_8GF_Weights(WeightsEnum):
    """Pre-trained weights of `regnet_y_8gf`."""

    IMAGENET1K_V1 = imagenet_weights(
        "regnet_y_8gf-d0d0e4a8.pth", 39_381_472, (80.032, 95.048), 8.473, 150.701, "#medium-models"
    )
    IMAGENET1K_V2 = imagenet_weights(
        "regnet_y_8gf-dc2b1b54.pth",
        39_381_472,
        (82.828, 96.33),
        8.473,
        150.701,
        "issues/3995#new-recipe",
        resize_size=232,
    )
    DEFAULT = IMAGENET1K_V2


class RegNet_Y_16GF_Weights(WeightsEnum):
    """Pre-trained weights of `regnet_y_16gf`."""

    IMAGENET1K_V1 = imagenet_weights(
        "regnet_y_16gf-9e6ed7dd.pth", 83_590_140, (80.424, 95.24), 15.912, 319.49, "#large-models"
    )
    IMAGENET1K_V2 = imagenet_weights(
        "regnet_y_16gf-3e4a00f9.pth",
        83_590_140,
        (82.886, 96.328),
        15.912,
        319.49,
        "issues/3995#new-recipe",
        resize_size=232,
    )
    IMAGENET1K_SWAG_E2E_V1 = imagenet_weights(
        "regnet_y_16gf_swag-43afe44d.pth",
        83_590_140,
        (86.012, 98.054),
        46.735,
        319.49,
        SWAG,
        **swag_preset(384),
    )
    IMAGENET1K_SWAG_LINEAR_V1 = imagenet_weights(
        "regnet_y_16gf_lc_swag-f3ec0043.pth",
        83_590_140,
        (83.976, 97.244),
        15.912,
        319.49,
        "pull/5793",
        **swag_preset(224),
    )
    DEFAULT = IMAGENET1K_V2


class RegNet_Y_32GF_Weights(WeightsEnum):
    """Pre-trained weights of `regnet_y_32gf`."""

    IMAGENET1K_V1 = imagenet_weights(
        "regnet_y_32gf-4dee3f7a.pth", 145_046_770, (80.878, 95.34), 32.28, 554.076, "#large-models"
    )
    IMAGENET1K_V2 = imagenet_weights(
        "regnet_y_32gf-8db6d4b5.pth",
        145_046_770,
        (83.368, 96.498),
        32.28,
        554.076,
        "issues/3995#new-recipe",
        resize_size=232,
    )
    IMAGENET1K_SWAG_E2E_V1 = imagenet_weights(
        "regnet_y_32gf_swag-04fdfa75.pth",
        145_046_770,
        (86.838, 98.362),
        94.826,
        554.076,
        SWAG,
        **swag_preset(384),
    )
    IMAGENET1K_SWAG_LINEAR_V1 = imagenet_weights(
        "regnet_y_32gf_lc_swag-e1583746.pth",
        145_046_770,
        (84.622, 97.48),
        32.28,
        554.076,
        "pull/5793",
        **swag_preset(224),
    )
    DEFAULT = IMAGENET1K_V2


class RegNet_Y_128GF_Weights(WeightsEnum):
    """Pre-trained weights of `regnet_y_128gf`."""

    IMAGENET1K_SWAG_E2E_V1 = imagenet_weights(
        "regnet_y_128gf_swag-c8ce3e52.pth",
        644_812_894,
        (88.228, 98.682),
        374.57,
        2461.564,
        SWAG,
        **swag_preset(384),
    )
    IMAGENET1K_SWAG_LINEAR_V1 = imagenet_weights(
        "regnet_y_128gf_lc_swag-cbe8ce12.pth",
        644_812_894,
        (86.068, 97.844),
        127.518,
        2461.564,
        "pull/5793",
        **swag_preset(224),
    )
    DEFAULT = IMAGENET1K_SWAG_E2E_V1


class RegNet_X_400MF_Weights(WeightsEnum):
    """Pre-trained weights of `regnet_x_400mf`."""

    IMAGENET1K_V1 = imagenet_weights(
        "regnet_x_400mf-adf1edd5.pth", 5_495_976, (72.834, 90.95), 0.414, 21.258, "#small-models"
    )
    IMAGENET1K_V2 = imagenet_weights(
        "regnet_x_400mf-62229a5f.pth",
        5_495_976,
        (74.864, 92.322),
        0.414,
        21.257,
        "issues/3995#new-recipe-with-fixres",
        resize_size=232,
    )
    DEFAULT = IMAGENET1K_V2


class RegNet_X_800MF_Weights(WeightsEnum):
    """Pre-trained weights of `regnet_x_800mf`."""

    IMAGENET1K_V1 = imagenet_weights(
        "regnet_x_800mf-ad17e45c.pth", 7_259_656, (75.212, 92.348), 0.8, 27.945, "#small-models"
    )
    IMAGENET1K_V2 = imagenet_weights(
        "regnet_x_800mf-94a99ebd.pth",
        7_259_656,
        (77.522, 93.826),
        0.8,
        27.945,
        "issues/3995#new-recipe-with-fixres",
        resize_size=232,
    )
    DEFAULT = IMAGENET1K_V2


class RegNet_X_1_6GF_Weights(WeightsEnum):
    """Pre-trained weights of `regnet_x_1_6gf`."""

    IMAGENET1K_V1 = imagenet_weights(
        "regnet_x_1_6gf-e3633e7f.pth", 9_190_136, (77.04, 93.44), 1.603, 35.339, "#small-models"
    )
    IMAGENET1K_V2 = imagenet_weights(
        "regnet_x_1_6gf-a12f2b72.pth",
        9_190_136,
        (79.668, 94.922),
        1.603,
        35.339,
        "issues/3995#new-recipe-with-fixres",
        resize_size=232,
    )
    DEFAULT = IMAGENET1K_V2


class RegNet_X_3_2GF_Weights(WeightsEnum):
    """Pre-trained weights of `regnet_x_3_2gf`."""

    IMAGENET1K_V1 = imagenet_weights(
        "regnet_x_3_2gf-f342aeae.pth", 15_296_552, (78.364, 93.992), 3.177, 58.756, "#medium-models"
    )
    IMAGENET1K_V2 = imagenet_weights(
        "regnet_x_3_2gf-7071aa85.pth",
        15_296_552,
        (81.196, 95.43),
        3.177,
        58.756,
        "issues/3995#new-recipe",
        resize_size=232,
    )
    DEFAULT = IMAGENET1K_V2


class RegNet_X_8GF_Weights(WeightsEnum):
    """Pre-trained weights of `regnet_x_8gf`."""

    IMAGENET1K_V1 = imagenet_weights(
        "regnet_x_8gf-03ceed89.pth", 39_572_648, (79.344, 94.686), 7.995, 151.456, "#medium-models"
    )
    IMAGENET1K_V2 = imagenet_weights(
        "regnet_x_8gf-2b70d774.pth",
        39_572_648,
        (81.682, 95.678),
        7.995,
        151.456,
        "issues/3995#new-recipe",
        resize_size=232,
    )
    DEFAULT = IMAGENET1K_V2


class RegNet_X_16GF_Weights(WeightsEnum):
    """Pre-trained weights of `regnet_x_16gf`."""

    IMAGENET1K_V1 = imagenet_weights(
        "regnet_x_16gf-2007eb11.pth",
        54_278_536,
        (80.058, 94.944),
        15.941,
        207.627,
        "#medium-models",
    )
    IMAGENET1K_V2 = imagenet_weights(
        "regnet_x_16gf-ba3796d7.pth",
        54_278_536,
        (82.716, 96.196),
        15.941,
        207.627,
        "issues/3995#new-recipe",
        resize_size=232,
    )
    DEFAULT = IMAGENET1K_V2


class RegNet_X_32GF_Weights(WeightsEnum):
    """Pre-trained weights of `regnet_x_32gf`."""

    IMAGENET1K_V1 = imagenet_weights(
        "regnet_x_32gf-9d47f8d0.pth",
        107_811_560,
        (80.622, 95.248),
        31.736,
        412.039,
        "#large-models",
    )
    IMAGENET1K_V2 = imagenet_weights(
        "regnet_x_32gf-6eb8fdc6.pth",
        107_811_560,
        (83.014, 96.288),
        31.736,
        412.039,
        "issues/3995#new-recipe",
        resize_size=232,
    )
    DEFAULT = IMAGENET1K_V2


@model_builder(RegNet_Y_400MF_Weights)
def regnet_y_400mf(
    *, weights: RegNet_Y_400MF_Weights | None = None, progress: bool = True, **kwargs: Any
) -> RegNet:
    """RegNet-Y, 400 million operations; `weights` is a member of `RegNet_Y_400MF_Weights`."""
    return _regnet((16, 48, 27.89, 2.09, 8), 0.25, weights, progress, **kwargs)


@model_builder(RegNet_Y_800MF_Weights)
def regnet_y_800mf(
    *, weights: RegNet_Y_800MF_Weights | None = None, progress: bool = True, **kwargs: Any
) -> RegNet:
    """RegNet-Y, 800 million operations; `weights` is a member of `RegNet_Y_800MF_Weights`."""
    return _regnet((14, 56, 38.84, 2.4, 16), 0.25, weights, progress, **kwargs)


@model_builder(RegNet_Y_1_6GF_Weights)
def regnet_y_1_6gf(
    *, weights: RegNet_Y_1_6GF_Weights | None = None, progress: bool = True, **kwargs: Any
) -> RegNet:
    """RegNet-Y, 1.6 billion operations; `weights` is a member of `RegNet_Y_1_6GF_Weights`."""
    return _regnet((27, 48, 20.71, 2.65, 24), 0.25, weights, progress, **kwargs)


@model_builder(RegNet_Y_3_2GF_Weights)
def regnet_y_3_2gf(
    *, weights: RegNet_Y_3_2GF_Weights | None = None, progress: bool = True, **kwargs: Any
) -> RegNet:
    """RegNet-Y, 3.2 billion operations; `weights` is a member of `RegNet_Y_3_2GF_Weights`."""
    return _regnet((21, 80, 42.63, 2.66, 24), 0.25, weights, progress, **kwargs)


@model_builder(RegNet_Y_8GF_Weights)
def regnet_y_8gf(
    *, weights: RegNet_Y_8GF_Weights | None = None, progress: bool = True, **kwargs: Any
) -> RegNet:
    """RegNet-Y, 8 billion operations; `weights` is a member of `RegNet_Y_8GF_Weights`."""
    return _regnet((17, 192, 76.82, 2.19, 56), 0.25, weights, progress, **kwargs)


@model_builder(RegNet_Y_16GF_Weights)
def regnet_y_16gf(
    *, weights: RegNet_Y_16GF_Weights | None = None, progress: bool = True, **kwargs: Any
) -> RegNet:
    """RegNet-Y, 16 billion operations; `weights` is a member of `RegNet_Y_16GF_Weights`."""
    return _regnet((18, 200, 106.23, 2.48, 112), 0.25, weights, progress, **kwargs)


@model_builder(RegNet_Y_32GF_Weights)
def regnet_y_32gf(
    *, weights: RegNet_Y_32GF_Weights | None = None, progress: bool = True, **kwargs: Any
) -> RegNet:
    """RegNet-Y, 32 billion operations; `weights` is a member of `RegNet_Y_32GF_Weights`."""
    return _regnet((20, 232, 115.89, 2.53, 232), 0.25, weights, progress, **kwargs)


@model_builder(RegNet_Y_128GF_Weights)
def regnet_y_128gf(
    *, weights: RegNet_Y_128GF_Weights | None = None, progress: bool = True, **kwargs: Any
) -> RegNet:
    """RegNet-Y, 128 billion operations; `weights` is a member of `RegNet_Y_128GF_Weights`."""
    return _regnet((27, 456, 160.83, 2.52, 264), 0.25, weights, progress, **kwargs)


@model_builder(RegNet_X_400MF_Weights)
def regnet_x_400mf(
    *, weights: RegNet_X_400MF_Weights | None = None, progress: bool = True, **kwargs: Any
) -> RegNet:
    """RegNet-X, 400 million operations; `weights` is a member of `RegNet_X_400MF_Weights`."""
    return _regnet((22, 24, 24.48, 2.54, 16), None, weights, progress, **kwargs)


@model_builder(RegNet_X_800MF_Weights)
def regnet_x_800mf(
    *, weights: RegNet_X_800MF_Weights | None = None, progress: bool = True, **kwargs: Any
) -> RegNet:
    """RegNet-X, 800 million operations; `weights` is a member of `RegNet_X_800MF_Weights`."""
    return _regnet((16, 56, 35.73, 2.28, 16), None, weights, progress, **kwargs)


@model_builder(RegNet_X_1_6GF_Weights)
def regnet_x_1_6gf(
    *, weights: RegNet_X_1_6GF_Weights | None = None, progress: bool = True, **kwargs: Any
) -> RegNet:
    """RegNet-X, 1.6 billion operations; `weights` is a member of `RegNet_X_1_6GF_Weights`."""
    return _regnet((18, 80, 34.01, 2.25, 24), None, weights, progress, **kwargs)


@model_builder(RegNet_X_3_2GF_Weights)
def regnet_x_3_2gf(
    *, weights: RegNet_X_3_2GF_Weights | None = None, progress: bool = True, **kwargs: Any
) -> RegNet:
    """RegNet-X, 3.2 billion operations; `weights` is a member of `RegNet_X_3_2GF_Weights`."""
    return _regnet((25, 88, 26.31, 2.25, 48), None, weights, progress, **kwargs)


@model_builder(RegNet_X_8GF_Weights)
def regnet_x_8gf(
    *, weights: RegNet_X_8GF_Weights | None = None, progress: bool = True, **kwargs: Any
) -> RegNet:
    """RegNet-X, 8 billion operations; `weights` is a member of `RegNet_X_8GF_Weights`."""
    return _regnet((23, 80, 49.56, 2.88, 120), None, weights, progress, **kwargs)


@model_builder(RegNet_X_16GF_Weights)
def regnet_x_16gf(
    *, weights: RegNet_X_16GF_Weights | None = None, progress: bool = True, **kwargs: Any
) -> RegNet:
    """RegNet-X, 16 billion operations; `weights` is a member of `RegNet_X_16GF_Weights`."""
    return _regnet((22, 216, 55.59, 2.1, 128), None, weights, progress, **kwargs)


@model_builder(RegNet_X_32GF_Weights)
def regnet_x_32gf(
    *, weights: RegNet_X_32GF_Weights | None = None, progress: bool = True, **kwargs: Any
) -> RegNet:
    """RegNet-X, 32 billion operations; `weights` is a member of `RegNet_X_32GF_Weights`."""
    return _regnet((23, 320, 69.86, 2.0, 168), None, weights, progress, **kwargs)
