"""MNASNet (variant B1): inverted residual blocks whose sizes were searched for on a phone.

Source: M. Tan et al., https://arxiv.org/abs/1807.11626.
"""

from __future__ import annotations

import warnings
from typing import Any

from rushlight import nn
from rushlight.vision.models._api import WeightsEnum, model_builder
from rushlight.vision.models._meta import imagenet_weights
from rushlight.vision.models._utils import load_weights, make_divisible

__all__ = [
    "MNASNet",
    "MNASNet0_5_Weights",
    "MNASNet0_75_Weights",
    "MNASNet1_0_Weights",
    "MNASNet1_3_Weights",
    "mnasnet0_5",
    "mnasnet0_75",
    "mnasnet1_0",
    "mnasnet1_3",
]

MOMENTUM = 1 - 0.9997  # the paper's decay of running statistics, in PyTorch's sense
DEPTHS = (32, 16, 24, 40, 80, 96, 192, 320)  # channels at width 1


class _InvertedResidual(nn.Module):
    """1x1 expansion, convolution of each channel, 1x1 projection; shortcut where shapes agree."""

    def __init__(
        self,
        in_ch: int,
        out_ch: int,
        kernel_size: int,
        stride: int,
        expansion_factor: int,
        bn_momentum: float = 0.1,
    ) -> None:
        super().__init__()
        if stride not in [1, 2]:
            raise ValueError(f"stride should be 1 or 2 instead of {stride}")
        if kernel_size not in [3, 5]:
            raise ValueError(f"kernel_size should be 3 or 5 instead of {kernel_size}")
        wide = in_ch * expansion_factor
        self.apply_residual = in_ch == out_ch and stride == 1
        self.layers = nn.Sequential(
            nn.Conv2d(in_ch, wide, 1, bias=False),
            nn.BatchNorm2d(wide, momentum=bn_momentum),
            nn.ReLU(inplace=True),
            *_each_channel(wide, kernel_size, stride, bn_momentum),
            nn.Conv2d(wide, out_ch, 1, bias=False),
            nn.BatchNorm2d(out_ch, momentum=bn_momentum),
        )

    def forward(self, input: Any) -> Any:
        """The block's output, with the input added where `apply_residual`."""
        return self.layers(input) + input if self.apply_residual else self.layers(input)


def _each_channel(channels: int, kernel_size: int, stride: int, momentum: float) -> list[Any]:
    """Convolution of each channel by itself, normalisation, ReLU."""
    convolution = nn.Conv2d(
        channels,
        channels,
        kernel_size,
        padding=kernel_size // 2,
        stride=stride,
        groups=channels,
        bias=False,
    )
    return [convolution, nn.BatchNorm2d(channels, momentum=momentum), nn.ReLU(inplace=True)]


def _stack(
    in_ch: int,
    out_ch: int,
    kernel_size: int,
    stride: int,
    exp_factor: int,
    repeats: int,
    bn_momentum: float,
) -> Any:
    """`repeats` blocks; only the first changes channels and size."""
    if repeats < 1:
        raise ValueError(f"repeats should be >= 1, instead got {repeats}")
    shape = (kernel_size, stride, exp_factor, bn_momentum)
    blocks = [_InvertedResidual(in_ch, out_ch, *shape)]
    shape = (kernel_size, 1, exp_factor, bn_momentum)
    blocks += [_InvertedResidual(out_ch, out_ch, *shape) for _ in range(1, repeats)]
    return nn.Sequential(*blocks)


def _stem(first: int, second: int, momentum: float) -> list[Any]:
    """The eight modules before the stacks: a convolution, then one of each channel, then 1x1."""
    return [
        nn.Conv2d(3, first, 3, padding=1, stride=2, bias=False),
        nn.BatchNorm2d(first, momentum=momentum),
        nn.ReLU(inplace=True),
        *_each_channel(first, 3, 1, momentum),
        nn.Conv2d(first, second, 1, padding=0, stride=1, bias=False),
        nn.BatchNorm2d(second, momentum=momentum),
    ]


class MNASNet(nn.Module):
    """MNASNet-B1.

    Args:
        alpha: factor on the numbers of channels.
        num_classes: number of outputs.
        dropout: probability of dropping an input of the linear layer.

    Shape: (N, 3, H, W) -> (N, num_classes).

    Example:
        >>> MNASNet(0.5, num_classes=10).classifier[1]
        Linear(in_features=1280, out_features=10, bias=True)
    """

    _version = 2  # since version 2 the stem's channels are scaled too

    def __init__(self, alpha: float, num_classes: int = 1000, dropout: float = 0.2) -> None:
        super().__init__()
        if alpha <= 0.0:
            raise ValueError(f"alpha should be greater than 0.0 instead of {alpha}")
        self.alpha = alpha
        self.num_classes = num_classes
        depths = [make_divisible(depth * alpha, 8) for depth in DEPTHS]
        self.layers = nn.Sequential(
            *_stem(depths[0], depths[1], MOMENTUM),
            _stack(depths[1], depths[2], 3, 2, 3, 3, MOMENTUM),
            _stack(depths[2], depths[3], 5, 2, 3, 3, MOMENTUM),
            _stack(depths[3], depths[4], 5, 2, 6, 3, MOMENTUM),
            _stack(depths[4], depths[5], 3, 1, 6, 2, MOMENTUM),
            _stack(depths[5], depths[6], 5, 2, 6, 4, MOMENTUM),
            _stack(depths[6], depths[7], 3, 1, 6, 1, MOMENTUM),
            nn.Conv2d(depths[7], 1280, 1, padding=0, stride=1, bias=False),
            nn.BatchNorm2d(1280, momentum=MOMENTUM),
            nn.ReLU(inplace=True),
        )
        self.classifier = nn.Sequential(
            nn.Dropout(p=dropout, inplace=True), nn.Linear(1280, num_classes)
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, nn.BatchNorm2d):
                nn.init.ones_(module.weight)
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.Linear):
                nn.init.kaiming_uniform_(module.weight, mode="fan_out", nonlinearity="sigmoid")
                nn.init.zeros_(module.bias)

    def forward(self, x: Any) -> Any:
        """Scores (N, num_classes) of images (N, 3, H, W)."""
        return self.classifier(self.layers(x).mean([2, 3]))

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, local_metadata: dict[str, Any], *rest: Any
    ) -> None:
        version = local_metadata.get("version")
        if version not in [1, 2]:
            raise ValueError(f"version should be set to 1 or 2 instead of {version}")
        if version == 1 and self.alpha != 1.0:
            second = make_divisible(DEPTHS[2] * self.alpha, 8)
            stem = [*_stem(32, 16, MOMENTUM), _stack(16, second, 3, 2, 3, 3, MOMENTUM)]
            for index, layer in enumerate(stem):
                self.layers[index] = layer
            self._version = 1  # and is saved as such
            warnings.warn(
                "A new version of MNASNet model has been implemented. "
                "Your checkpoint was saved using the previous version. "
                "This checkpoint will load and work as before, but "
                "you may want to upgrade by training a newer model or "
                "transfer learning from an updated ImageNet checkpoint.",
                UserWarning,
            )
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *rest)


class MNASNet0_5_Weights(WeightsEnum):
    """Pre-trained weights of `mnasnet0_5`."""

    IMAGENET1K_V1 = imagenet_weights(
        "mnasnet0.5_top1_67.823-3ffadce67e.pth",
        2_218_512,
        (67.734, 87.49),
        0.104,
        8.591,
        "https://github.com/1e100/mnasnet_trainer",
    )
    DEFAULT = IMAGENET1K_V1


class MNASNet0_75_Weights(WeightsEnum):
    """Pre-trained weights of `mnasnet0_75`."""

    IMAGENET1K_V1 = imagenet_weights(
        "mnasnet0_75-7090bc5f.pth",
        3_170_208,
        (71.18, 90.496),
        0.215,
        12.303,
        "pull/6019",
        resize_size=232,
    )
    DEFAULT = IMAGENET1K_V1


class MNASNet1_0_Weights(WeightsEnum):
    """Pre-trained weights of `mnasnet1_0`."""

    IMAGENET1K_V1 = imagenet_weights(
        "mnasnet1.0_top1_73.512-f206786ef8.pth",
        4_383_312,
        (73.456, 91.51),
        0.314,
        16.915,
        "https://github.com/1e100/mnasnet_trainer",
    )
    DEFAULT = IMAGENET1K_V1


class MNASNet1_3_Weights(WeightsEnum):
    """Pre-trained weights of `mnasnet1_3`."""

    IMAGENET1K_V1 = imagenet_weights(
        "mnasnet1_3-a4c69d6f.pth",
        6_282_256,
        (76.506, 93.522),
        0.526,
        24.246,
        "pull/6019",
        resize_size=232,
    )
    DEFAULT = IMAGENET1K_V1


@model_builder(MNASNet0_5_Weights)
def mnasnet0_5(
    *, weights: MNASNet0_5_Weights | None = None, progress: bool = True, **kwargs: Any
) -> MNASNet:
    """MNASNet, 0.5 times as wide; `weights` is a member of `MNASNet0_5_Weights` or its name."""
    loaded: MNASNet = load_weights(MNASNet(0.5, **kwargs), weights, progress)
    return loaded


@model_builder(MNASNet0_75_Weights)
def mnasnet0_75(
    *, weights: MNASNet0_75_Weights | None = None, progress: bool = True, **kwargs: Any
) -> MNASNet:
    """MNASNet, 0.75 times as wide; `weights` is a member of `MNASNet0_75_Weights` or its name."""
    loaded: MNASNet = load_weights(MNASNet(0.75, **kwargs), weights, progress)
    return loaded


@model_builder(MNASNet1_0_Weights)
def mnasnet1_0(
    *, weights: MNASNet1_0_Weights | None = None, progress: bool = True, **kwargs: Any
) -> MNASNet:
    """MNASNet, 1.0 times as wide; `weights` is a member of `MNASNet1_0_Weights` or its name."""
    loaded: MNASNet = load_weights(MNASNet(1.0, **kwargs), weights, progress)
    return loaded


@model_builder(MNASNet1_3_Weights)
def mnasnet1_3(
    *, weights: MNASNet1_3_Weights | None = None, progress: bool = True, **kwargs: Any
) -> MNASNet:
    """MNASNet, 1.3 times as wide; `weights` is a member of `MNASNet1_3_Weights` or its name."""
    loaded: MNASNet = load_weights(MNASNet(1.3, **kwargs), weights, progress)
    return loaded
