"""ConvNeXt: a convolutional network with the block shape of a vision transformer.

Source: Z. Liu et al., https://arxiv.org/abs/2201.03545.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import rushlight as rl
from rushlight import nn
from rushlight.vision.models._api import WeightsEnum, model_builder
from rushlight.vision.models._meta import imagenet_weights
from rushlight.vision.models._utils import load_weights
from rushlight.vision.ops.misc import Conv2dNormActivation, Permute
from rushlight.vision.ops.stochastic_depth import StochasticDepth

__all__ = [
    "ConvNeXt",
    "ConvNeXt_Base_Weights",
    "ConvNeXt_Large_Weights",
    "ConvNeXt_Small_Weights",
    "ConvNeXt_Tiny_Weights",
    "convnext_base",
    "convnext_large",
    "convnext_small",
    "convnext_tiny",
]


class LayerNorm2d(nn.LayerNorm):
    """`LayerNorm` over the channels of (N, C, H, W)."""

    def forward(self, x: Any) -> Any:
        """The input with mean 0 and variance 1 over the channels, scaled and shifted."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class CNBlock(nn.Module):
    """7x7 convolution of each channel, then two linear layers over the channels, scaled and added.

    Shape: (N, dim, H, W) -> (N, dim, H, W).
    """

    def __init__(
        self,
        dim: int,
        layer_scale: float,
        stochastic_depth_prob: float,
        norm_layer: Callable[..., Any] | None = None,
    ) -> None:
        super().__init__()
        norm = partial(nn.LayerNorm, eps=1e-6) if norm_layer is None else norm_layer
        self.block = nn.Sequential(
            nn.Conv2d(dim, dim, kernel_size=7, padding=3, groups=dim, bias=True),
            Permute([0, 2, 3, 1]),
            norm(dim),
            nn.Linear(in_features=dim, out_features=4 * dim, bias=True),
            nn.GELU(),
            nn.Linear(in_features=4 * dim, out_features=dim, bias=True),
            Permute([0, 3, 1, 2]),
        )
        self.layer_scale = nn.Parameter(rl.ones(dim, 1, 1) * layer_scale)
        self.stochastic_depth = StochasticDepth(stochastic_depth_prob, "row")

    def forward(self, input: Any) -> Any:
        """The input plus the scaled branch."""
        result = self.stochastic_depth(self.layer_scale * self.block(input))
        result += input
        return result


class CNBlockConfig:
    """One stage: channels, channels of the next stage (None for the last), number of blocks."""

    def __init__(self, input_channels: int, out_channels: int | None, num_layers: int) -> None:
        self.input_channels = input_channels
        self.out_channels = out_channels
        self.num_layers = num_layers

    def __repr__(self) -> str:
        facts = ", ".join(f"{name}={value}" for name, value in vars(self).items())
        return f"{type(self).__name__}({facts})"


class ConvNeXt(nn.Module):
    """ConvNeXt.

    Args:
        block_setting: the stages.
        stochastic_depth_prob: probability of dropping the last block's branch; less before.
        layer_scale: first value of the factor on each branch.
        num_classes: number of outputs.
        block: function like `CNBlock`.
        norm_layer: function of a number of channels; by default `LayerNorm2d`.

    Shape: (N, 3, H, W) -> (N, num_classes); height and width at least 32.

    Example:
        >>> ConvNeXt([CNBlockConfig(8, None, 2)], num_classes=10).classifier[2]
        Linear(in_features=8, out_features=10, bias=True)
    """

    def __init__(
        self,
        block_setting: Sequence[CNBlockConfig],
        stochastic_depth_prob: float = 0.0,
        layer_scale: float = 1e-6,
        num_classes: int = 1000,
        block: Callable[..., Any] | None = None,
        norm_layer: Callable[..., Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        if not block_setting:
            raise ValueError("The block_setting should not be empty")
        if not isinstance(block_setting, Sequence) or not all(
            isinstance(stage, CNBlockConfig) for stage in block_setting
        ):
            raise TypeError("The block_setting should be List[CNBlockConfig]")
        block = CNBlock if block is None else block
        norm = partial(LayerNorm2d, eps=1e-6) if norm_layer is None else norm_layer
        first = block_setting[0].input_channels
        patches: dict[str, Any] = {"kernel_size": 4, "stride": 4, "padding": 0, "bias": True}
        layers: list[Any] = [
            Conv2dNormActivation(3, first, norm_layer=norm, activation_layer=None, **patches)
        ]
        total = sum(stage.num_layers for stage in block_setting)
        built = 0
        for stage in block_setting:
            channels, after = stage.input_channels, stage.out_channels
            blocks = []
            for _ in range(stage.num_layers):
                probability = stochastic_depth_prob * built / (total - 1.0)
                blocks.append(block(channels, layer_scale, probability))
                built += 1
            layers.append(nn.Sequential(*blocks))
            if after is not None:
                halve = nn.Conv2d(channels, after, kernel_size=2, stride=2)
                layers.append(nn.Sequential(norm(channels), halve))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        last = block_setting[-1].out_channels or block_setting[-1].input_channels
        self.classifier = nn.Sequential(norm(last), nn.Flatten(1), nn.Linear(last, num_classes))
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def _forward_impl(self, x: Any) -> Any:
        return self.classifier(self.avgpool(self.features(x)))

    def forward(self, x: Any) -> Any:
        """Scores (N, num_classes) of images (N, 3, H, W)."""
        return self._forward_impl(x)


def _convnext(
    width: int,
    third: int,
    stochastic_depth_prob: float,
    weights: WeightsEnum | None,
    progress: bool,
    **kwargs: Any,
) -> ConvNeXt:
    """Four stages of 3, 3, `third` and 3 blocks; each doubles the channels of the one before."""
    stages = [
        CNBlockConfig(width, 2 * width, 3),
        CNBlockConfig(2 * width, 4 * width, 3),
        CNBlockConfig(4 * width, 8 * width, third),
        CNBlockConfig(8 * width, None, 3),
    ]
    probability = kwargs.pop("stochastic_depth_prob", stochastic_depth_prob)
    model = ConvNeXt(stages, stochastic_depth_prob=probability, **kwargs)
    loaded: ConvNeXt = load_weights(model, weights, progress)
    return loaded


class ConvNeXt_Tiny_Weights(WeightsEnum):
    """Pre-trained weights of `convnext_tiny`."""

    IMAGENET1K_V1 = imagenet_weights(
        "convnext_tiny-983f1562.pth",
        28_589_128,
        (82.52, 96.146),
        4.456,
        109.119,
        "#convnext",
        min_size=(32, 32),
        resize_size=236,
    )
    DEFAULT = IMAGENET1K_V1


class ConvNeXt_Small_Weights(WeightsEnum):
    """Pre-trained weights of `convnext_small`."""

    IMAGENET1K_V1 = imagenet_weights(
        "convnext_small-0c510722.pth",
        50_223_688,
        (83.616, 96.65),
        8.684,
        191.703,
        "#convnext",
        min_size=(32, 32),
        resize_size=230,
    )
    DEFAULT = IMAGENET1K_V1


class ConvNeXt_Base_Weights(WeightsEnum):
    """Pre-trained weights of `convnext_base`."""

    IMAGENET1K_V1 = imagenet_weights(
        "convnext_base-6075fbad.pth",
        88_591_464,
        (84.062, 96.87),
        15.355,
        338.064,
        "#convnext",
        min_size=(32, 32),
        resize_size=232,
    )
    DEFAULT = IMAGENET1K_V1


class ConvNeXt_Large_Weights(WeightsEnum):
    """Pre-trained weights of `convnext_large`."""

    IMAGENET1K_V1 = imagenet_weights(
        "convnext_large-ea097f82.pth",
        197_767_336,
        (84.414, 96.976),
        34.361,
        754.537,
        "#convnext",
        min_size=(32, 32),
        resize_size=232,
    )
    DEFAULT = IMAGENET1K_V1


@model_builder(ConvNeXt_Tiny_Weights)
def convnext_tiny(
    *, weights: ConvNeXt_Tiny_Weights | None = None, progress: bool = True, **kwargs: Any
) -> ConvNeXt:
    """ConvNeXt tiny; `weights` is a member of `ConvNeXt_Tiny_Weights` or its name."""
    return _convnext(96, 9, 0.1, weights, progress, **kwargs)


@model_builder(ConvNeXt_Small_Weights)
def convnext_small(
    *, weights: ConvNeXt_Small_Weights | None = None, progress: bool = True, **kwargs: Any
) -> ConvNeXt:
    """ConvNeXt small; `weights` is a member of `ConvNeXt_Small_Weights` or its name."""
    return _convnext(96, 27, 0.4, weights, progress, **kwargs)


@model_builder(ConvNeXt_Base_Weights)
def convnext_base(
    *, weights: ConvNeXt_Base_Weights | None = None, progress: bool = True, **kwargs: Any
) -> ConvNeXt:
    """ConvNeXt base; `weights` is a member of `ConvNeXt_Base_Weights` or its name."""
    return _convnext(128, 27, 0.5, weights, progress, **kwargs)


@model_builder(ConvNeXt_Large_Weights)
def convnext_large(
    *, weights: ConvNeXt_Large_Weights | None = None, progress: bool = True, **kwargs: Any
) -> ConvNeXt:
    """ConvNeXt large; `weights` is a member of `ConvNeXt_Large_Weights` or its name."""
    return _convnext(192, 27, 0.5, weights, progress, **kwargs)
