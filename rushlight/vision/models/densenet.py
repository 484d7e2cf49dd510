"""DenseNet: every layer of a block sees the outputs of all layers before it.

Source: G. Huang et al., https://arxiv.org/abs/1608.06993; recomputation instead of storage,
https://arxiv.org/abs/1707.06990.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from typing import Any

import rushlight as rl
from rushlight import nn
from rushlight.vision.models._api import WeightsEnum, model_builder
from rushlight.vision.models._meta import imagenet_weights

__all__ = [
    "DenseNet",
    "DenseNet121_Weights",
    "DenseNet161_Weights",
    "DenseNet169_Weights",
    "DenseNet201_Weights",
    "densenet121",
    "densenet161",
    "densenet169",
    "densenet201",
]


class _DenseLayer(nn.Module):
    """1x1 and 3x3 convolutions, each after normalisation and ReLU, of all features so far."""

    def __init__(
        self,
        num_input_features: int,
        growth_rate: int,
        bn_size: int,
        drop_rate: float,
        memory_efficient: bool = False,
    ) -> None:
        super().__init__()
        narrow = bn_size * growth_rate
        self.norm1 = nn.BatchNorm2d(num_input_features)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv1 = nn.Conv2d(num_input_features, narrow, kernel_size=1, stride=1, bias=False)
        self.norm2 = nn.BatchNorm2d(narrow)
        self.relu2 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(narrow, growth_rate, kernel_size=3, stride=1, padding=1, bias=False)
        self.drop_rate = float(drop_rate)
        self.memory_efficient = memory_efficient

    def _narrowed(self, *features: Any) -> Any:
        return self.conv1(self.relu1(self.norm1(rl.cat(features, 1))))

    def forward(self, input: Any) -> Any:
        """`growth_rate` new channels of a tensor, or of a list of tensors side by side."""
        features = [input] if isinstance(input, rl.Tensor) else input
        if self.memory_efficient and any(feature.requires_grad for feature in features):
            recompute = rl.utils.checkpoint.checkpoint
            narrow = recompute(self._narrowed, *features, use_reentrant=False)
        else:
            narrow = self._narrowed(*features)
        new = self.conv2(self.relu2(self.norm2(narrow)))
        if self.drop_rate > 0:
            new = nn.functional.dropout(new, p=self.drop_rate, training=self.training)
        return new


class _DenseBlock(nn.ModuleDict):
    """Dense layers; out come the input and all their outputs, along the channels."""

    _version = 2

    def __init__(
        self,
        num_layers: int,
        num_input_features: int,
        bn_size: int,
        growth_rate: int,
        drop_rate: float,
        memory_efficient: bool = False,
    ) -> None:
        super().__init__()
        for index in range(num_layers):
            layer = _DenseLayer(
                num_input_features + index * growth_rate,
                growth_rate,
                bn_size,
                drop_rate,
                memory_efficient,
            )
            self.add_module(f"denselayer{index + 1}", layer)

    def forward(self, init_features: Any) -> Any:
        """(N, C, H, W) -> (N, C + num_layers * growth_rate, H, W)."""
        features = [init_features]
        for layer in self.values():
            features.append(layer(features))
        return rl.cat(features, 1)


class _Transition(nn.Sequential):
    """Between blocks: 1x1 convolution to fewer channels, then half the height and width."""

    def __init__(self, num_input_features: int, num_output_features: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(num_input_features)
        self.relu = nn.ReLU(inplace=True)
        self.conv = nn.Conv2d(
            num_input_features, num_output_features, kernel_size=1, stride=1, bias=False
        )
        self.pool = nn.AvgPool2d(kernel_size=2, stride=2)


class DenseNet(nn.Module):
    """DenseNet-BC.

    Args:
        growth_rate: channels that each layer adds.
        block_config: layers of each block.
        num_init_features: channels of the first convolution.
        bn_size: a layer's inner channels, in units of `growth_rate`.
        drop_rate: probability of dropping a new feature.
        num_classes: number of outputs.
        memory_efficient: compute inner features again in the backward pass, not store them.

    Shape: (N, 3, H, W) -> (N, num_classes); height and width at least 29.

    Example:
        >>> DenseNet(block_config=(2, 2), num_classes=10).classifier.out_features
        10
    """

    def __init__(
        self,
        growth_rate: int = 32,
        block_config: tuple[int, ...] = (6, 12, 24, 16),
        num_init_features: int = 64,
        bn_size: int = 4,
        drop_rate: float = 0,
        num_classes: int = 1000,
        memory_efficient: bool = False,
    ) -> None:
        super().__init__()
        channels = num_init_features
        first = nn.Conv2d(3, channels, kernel_size=7, stride=2, padding=3, bias=False)
        stem = [
            ("conv0", first),
            ("norm0", nn.BatchNorm2d(channels)),
            ("relu0", nn.ReLU(inplace=True)),
            ("pool0", nn.MaxPool2d(kernel_size=3, stride=2, padding=1)),
        ]
        self.features = nn.Sequential(OrderedDict(stem))
        for index, layers in enumerate(block_config, 1):
            block = _DenseBlock(layers, channels, bn_size, growth_rate, drop_rate, memory_efficient)
            self.features.add_module(f"denseblock{index}", block)
            channels += layers * growth_rate
            if index < len(block_config):
                transition = _Transition(channels, channels // 2)
                self.features.add_module(f"transition{index}", transition)
                channels //= 2
        self.features.add_module("norm5", nn.BatchNorm2d(channels))
        self.classifier = nn.Linear(channels, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
            elif isinstance(module, nn.BatchNorm2d):
                nn.init.constant_(module.weight, 1)
                nn.init.constant_(module.bias, 0)
            elif isinstance(module, nn.Linear):
                nn.init.constant_(module.bias, 0)

    def forward(self, x: Any) -> Any:
        """Scores (N, num_classes) of images (N, 3, H, W)."""
        x = nn.functional.relu(self.features(x), inplace=True)
        x = nn.functional.adaptive_avg_pool2d(x, (1, 1))
        return self.classifier(rl.flatten(x, 1))


def _densenet(
    growth_rate: int,
    block_config: tuple[int, ...],
    num_init_features: int,
    weights: WeightsEnum | None,
    progress: bool,
    **kwargs: Any,
) -> DenseNet:
    model = DenseNet(growth_rate, block_config, num_init_features, **kwargs)
    if weights is not None:
        state = weights.get_state_dict(progress=progress, check_hash=True)
        # The published files are older than the rule that names have no dots: norm.1 -> norm1.
        old = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.([12]\.)")
        model.load_state_dict({old.sub(r"\1\2", key): value for key, value in state.items()})
    return model


class DenseNet121_Weights(WeightsEnum):
    """Pre-trained weights of `densenet121`."""

    IMAGENET1K_V1 = imagenet_weights(
        "densenet121-a639ec97.pth",
        7_978_856,
        (74.434, 91.972),
        2.834,
        30.845,
        "pull/116",
        min_size=(29, 29),
    )
    DEFAULT = IMAGENET1K_V1


class DenseNet161_Weights(WeightsEnum):
    """Pre-trained weights of `densenet161`."""

    IMAGENET1K_V1 = imagenet_weights(
        "densenet161-8d451a50.pth",
        28_681_000,
        (77.138, 93.56),
        7.728,
        110.369,
        "pull/116",
        min_size=(29, 29),
    )
    DEFAULT = IMAGENET1K_V1


class DenseNet169_Weights(WeightsEnum):
    """Pre-trained weights of `densenet169`."""

    IMAGENET1K_V1 = imagenet_weights(
        "densenet169-b2777c0a.pth",
        14_149_480,
        (75.6, 92.806),
        3.36,
        54.708,
        "pull/116",
        min_size=(29, 29),
    )
    DEFAULT = IMAGENET1K_V1


class DenseNet201_Weights(WeightsEnum):
    """Pre-trained weights of `densenet201`."""

    IMAGENET1K_V1 = imagenet_weights(
        "densenet201-c1103571.pth",
        20_013_928,
        (76.896, 93.37),
        4.291,
        77.373,
        "pull/116",
        min_size=(29, 29),
    )
    DEFAULT = IMAGENET1K_V1


@model_builder(DenseNet121_Weights)
def densenet121(
    *, weights: DenseNet121_Weights | None = None, progress: bool = True, **kwargs: Any
) -> DenseNet:
    """DenseNet-121; `weights` is a member of `DenseNet121_Weights` or its name."""
    return _densenet(32, (6, 12, 24, 16), 64, weights, progress, **kwargs)


@model_builder(DenseNet161_Weights)
def densenet161(
    *, weights: DenseNet161_Weights | None = None, progress: bool = True, **kwargs: Any
) -> DenseNet:
    """DenseNet-161; `weights` is a member of `DenseNet161_Weights` or its name."""
    return _densenet(48, (6, 12, 36, 24), 96, weights, progress, **kwargs)


@model_builder(DenseNet169_Weights)
def densenet169(
    *, weights: DenseNet169_Weights | None = None, progress: bool = True, **kwargs: Any
) -> DenseNet:
    """DenseNet-169; `weights` is a member of `DenseNet169_Weights` or its name."""
    return _densenet(32, (6, 12, 32, 32), 64, weights, progress, **kwargs)


@model_builder(DenseNet201_Weights)
def densenet201(
    *, weights: DenseNet201_Weights | None = None, progress: bool = True, **kwargs: Any
) -> DenseNet:
    """DenseNet-201; `weights` is a member of `DenseNet201_Weights` or its name."""
    return _densenet(32, (6, 12, 48, 32), 64, weights, progress, **kwargs)
