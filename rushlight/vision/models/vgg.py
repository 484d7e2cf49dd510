"""VGG: stacks of 3x3 convolutions, then three large linear layers.

Source: K. Simonyan, A. Zisserman, "Very Deep Convolutional Networks for Large-Scale Image
Recognition", https://arxiv.org/abs/1409.1556; configurations A, B, D and E of its table 1.
Parameter names and the order of the initial draws are torchvision's.
"""

from __future__ import annotations

from typing import Any

import rushlight as rl
from rushlight import nn
from rushlight.vision.models._api import WeightsEnum, model_builder
from rushlight.vision.models._meta import imagenet_weights
from rushlight.vision.models._utils import load_weights

__all__ = [
    "VGG",
    "VGG11_BN_Weights",
    "VGG11_Weights",
    "VGG13_BN_Weights",
    "VGG13_Weights",
    "VGG16_BN_Weights",
    "VGG16_Weights",
    "VGG19_BN_Weights",
    "VGG19_Weights",
    "vgg11",
    "vgg11_bn",
    "vgg13",
    "vgg13_bn",
    "vgg16",
    "vgg16_bn",
    "vgg19",
    "vgg19_bn",
]

# Convolutions of each of the five levels of size.
COUNTS = {
    "A": (1, 1, 2, 2, 2),
    "B": (2, 2, 2, 2, 2),
    "D": (2, 2, 3, 3, 3),
    "E": (2, 2, 4, 4, 4),
}


def _steps(counts: tuple[int, ...]) -> list[str | int]:
    """Output channels of each convolution; "M" halves height and width."""
    steps: list[str | int] = []
    for channels, count in zip((64, 128, 256, 512, 512), counts, strict=True):
        steps += [channels] * count
        steps.append("M")
    return steps


cfgs = {name: _steps(counts) for name, counts in COUNTS.items()}


class VGG(nn.Module):
    """A VGG network with given convolutional `features`.

    Args:
        features: module from (N, 3, H, W) to (N, 512, h, w).
        num_classes: number of outputs.
        init_weights: draw the weights as in the paper: He's normal distribution for convolutions,
            standard deviation 0.01 for linear layers.
        dropout: probability of dropping a unit of the two hidden linear layers.

    Shape: (N, 3, H, W) -> (N, num_classes); height and width at least 32.

    Example:
        >>> vgg11(num_classes=10).classifier[6]
        Linear(in_features=4096, out_features=10, bias=True)
    """

    def __init__(
        self,
        features: Any,
        num_classes: int = 1000,
        init_weights: bool = True,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.features = features
        self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
        self.classifier = nn.Sequential(
            nn.Linear(512 * 7 * 7, 4096),
            nn.ReLU(True),
            nn.Dropout(p=dropout),
            nn.Linear(4096, 4096),
            nn.ReLU(True),
            nn.Dropout(p=dropout),
            nn.Linear(4096, num_classes),
        )
        if init_weights:
            self._initialize()

    def _initialize(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.constant_(module.bias, 0)
            elif isinstance(module, nn.BatchNorm2d):
                nn.init.constant_(module.weight, 1)
                nn.init.constant_(module.bias, 0)
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, 0, 0.01)
                nn.init.constant_(module.bias, 0)

    def forward(self, x: Any) -> Any:
        """Scores (N, num_classes) of images (N, 3, H, W)."""
        x = self.avgpool(self.features(x))  # (N, 512, 7, 7)
        return self.classifier(rl.flatten(x, 1))


def make_layers(cfg: list[str | int], batch_norm: bool = False) -> Any:
    """The convolutional part that `cfg`, a value of `cfgs`, describes."""
    layers: list[Any] = []
    channels = 3
    for step in cfg:
        if isinstance(step, str):
            layers.append(nn.MaxPool2d(kernel_size=2, stride=2))
            continue
        layers.append(nn.Conv2d(channels, step, kernel_size=3, padding=1))
        if batch_norm:
            layers.append(nn.BatchNorm2d(step))
        layers.append(nn.ReLU(inplace=True))
        channels = step
    return nn.Sequential(*layers)


def _vgg(
    cfg: str, batch_norm: bool, weights: WeightsEnum | None, progress: bool, **kwargs: Any
) -> VGG:
    if weights is not None:
        kwargs["init_weights"] = False  # they are overwritten at once
    model = VGG(make_layers(cfgs[cfg], batch_norm), **kwargs)
    loaded: VGG = load_weights(model, weights, progress)
    return loaded


class VGG11_Weights(WeightsEnum):
    """Pre-trained weights of `vgg11`."""

    IMAGENET1K_V1 = imagenet_weights(
        "vgg11-8a719046.pth",
        132_863_336,
        (69.02, 88.628),
        7.609,
        506.84,
        "#alexnet-and-vgg",
        min_size=(32, 32),
    )
    DEFAULT = IMAGENET1K_V1


class VGG11_BN_Weights(WeightsEnum):
    """Pre-trained weights of `vgg11_bn`."""

    IMAGENET1K_V1 = imagenet_weights(
        "vgg11_bn-6002323d.pth",
        132_868_840,
        (70.37, 89.81),
        7.609,
        506.881,
        "#alexnet-and-vgg",
        min_size=(32, 32),
    )
    DEFAULT = IMAGENET1K_V1


class VGG13_Weights(WeightsEnum):
    """Pre-trained weights of `vgg13`."""

    IMAGENET1K_V1 = imagenet_weights(
        "vgg13-19584684.pth",
        133_047_848,
        (69.928, 89.246),
        11.308,
        507.545,
        "#alexnet-and-vgg",
        min_size=(32, 32),
    )
    DEFAULT = IMAGENET1K_V1


class VGG13_BN_Weights(WeightsEnum):
    """Pre-trained weights of `vgg13_bn`."""

    IMAGENET1K_V1 = imagenet_weights(
        "vgg13_bn-abd245e5.pth",
        133_053_736,
        (71.586, 90.374),
        11.308,
        507.59,
        "#alexnet-and-vgg",
        min_size=(32, 32),
    )
    DEFAULT = IMAGENET1K_V1


class VGG16_Weights(WeightsEnum):
    """Pre-trained weights of `vgg16`."""

    IMAGENET1K_V1 = imagenet_weights(
        "vgg16-397923af.pth",
        138_357_544,
        (71.592, 90.382),
        15.47,
        527.796,
        "#alexnet-and-vgg",
        min_size=(32, 32),
    )
    IMAGENET1K_FEATURES = imagenet_weights(
        "vgg16_features-amdegroot-88682ab5.pth",
        138_357_544,
        (float("nan"), float("nan")),
        15.47,
        527.802,
        "https://github.com/amdegroot/ssd.pytorch#training-ssd",
        min_size=(32, 32),
        mean=(0.48235, 0.45882, 0.40784),
        std=(0.00392156862745098, 0.00392156862745098, 0.00392156862745098),
        extra={"categories": None},
    )
    DEFAULT = IMAGENET1K_V1


class VGG16_BN_Weights(WeightsEnum):
    """Pre-trained weights of `vgg16_bn`."""

    IMAGENET1K_V1 = imagenet_weights(
        "vgg16_bn-6c64b313.pth",
        138_365_992,
        (73.36, 91.516),
        15.47,
        527.866,
        "#alexnet-and-vgg",
        min_size=(32, 32),
    )
    DEFAULT = IMAGENET1K_V1


class VGG19_Weights(WeightsEnum):
    """Pre-trained weights of `vgg19`."""

    IMAGENET1K_V1 = imagenet_weights(
        "vgg19-dcbb9e9d.pth",
        143_667_240,
        (72.376, 90.876),
        19.632,
        548.051,
        "#alexnet-and-vgg",
        min_size=(32, 32),
    )
    DEFAULT = IMAGENET1K_V1


class VGG19_BN_Weights(WeightsEnum):
    """Pre-trained weights of `vgg19_bn`."""

    IMAGENET1K_V1 = imagenet_weights(
        "vgg19_bn-c79401a0.pth",
        143_678_248,
        (74.218, 91.842),
        19.632,
        548.143,
        "#alexnet-and-vgg",
        min_size=(32, 32),
    )
    DEFAULT = IMAGENET1K_V1


@model_builder(VGG11_Weights)
def vgg11(*, weights: VGG11_Weights | None = None, progress: bool = True, **kwargs: Any) -> VGG:
    """VGG-11, configuration A.

    Args:
        weights: a member of `VGG11_Weights` or its name; None for fresh weights.
        progress: show a bar while weights are downloaded.
        **kwargs: `num_classes`, `dropout` of `VGG`.

    Example:
        >>> sum(p.numel() for p in vgg11().parameters())
        132863336
    """
    return _vgg("A", False, weights, progress, **kwargs)


@model_builder(VGG11_BN_Weights)
def vgg11_bn(
    *, weights: VGG11_BN_Weights | None = None, progress: bool = True, **kwargs: Any
) -> VGG:
    """VGG-11 with batch normalisation, configuration A; arguments as in `vgg11`."""
    return _vgg("A", True, weights, progress, **kwargs)


@model_builder(VGG13_Weights)
def vgg13(*, weights: VGG13_Weights | None = None, progress: bool = True, **kwargs: Any) -> VGG:
    """VGG-13, configuration B; arguments as in `vgg11`."""
    return _vgg("B", False, weights, progress, **kwargs)


@model_builder(VGG13_BN_Weights)
def vgg13_bn(
    *, weights: VGG13_BN_Weights | None = None, progress: bool = True, **kwargs: Any
) -> VGG:
    """VGG-13 with batch normalisation, configuration B; arguments as in `vgg11`."""
    return _vgg("B", True, weights, progress, **kwargs)


@model_builder(VGG16_Weights)
def vgg16(*, weights: VGG16_Weights | None = None, progress: bool = True, **kwargs: Any) -> VGG:
    """VGG-16, configuration D; arguments as in `vgg11`."""
    return _vgg("D", False, weights, progress, **kwargs)


@model_builder(VGG16_BN_Weights)
def vgg16_bn(
    *, weights: VGG16_BN_Weights | None = None, progress: bool = True, **kwargs: Any
) -> VGG:
    """VGG-16 with batch normalisation, configuration D; arguments as in `vgg11`."""
    return _vgg("D", True, weights, progress, **kwargs)


@model_builder(VGG19_Weights)
def vgg19(*, weights: VGG19_Weights | None = None, progress: bool = True, **kwargs: Any) -> VGG:
    """VGG-19, configuration E; arguments as in `vgg11`."""
    return _vgg("E", False, weights, progress, **kwargs)


@model_builder(VGG19_BN_Weights)
def vgg19_bn(
    *, weights: VGG19_BN_Weights | None = None, progress: bool = True, **kwargs: Any
) -> VGG:
    """VGG-19 with batch normalisation, configuration E; arguments as in `vgg11`."""
    return _vgg("E", True, weights, progress, **kwargs)
