"""Inception v3: branches of small and of long, narrow convolutions side by side.

Source: C. Szegedy et al., https://arxiv.org/abs/1512.00567.
"""

from __future__ import annotations

import warnings
from collections import namedtuple
from collections.abc import Callable, Sequence
from typing import Any

import rushlight as rl
from rushlight import nn
from rushlight.vision.models._api import WeightsEnum, model_builder, require
from rushlight.vision.models._meta import imagenet_weights
from rushlight.vision.models._utils import init_truncated, load_weights, to_half_range

__all__ = [
    "Inception3",
    "InceptionOutputs",
    "Inception_V3_Weights",
    "_InceptionOutputs",
    "inception_v3",
]

InceptionOutputs = namedtuple("InceptionOutputs", ["logits", "aux_logits"])
_InceptionOutputs = InceptionOutputs  # the name that older scripts use

Block = Callable[..., Any]


class Inception3(nn.Module):
    """Inception v3; made for images of 299x299 pixels.

    Args:
        num_classes: number of outputs.
        aux_logits: one more classifier, whose output comes along in training.
        transform_input: undo ImageNet's normalisation first and scale to [-1, 1] instead.
        inception_blocks: seven classes in the place of `BasicConv2d`, `InceptionA` to
            `InceptionE` and `InceptionAux`.
        init_weights: draw from a truncated normal distribution.
        dropout: probability of dropping an input of the last layer.

    Shape: (N, 3, H, W) -> (N, num_classes), in training `InceptionOutputs` of two such; height and
    width at least 75.

    Example:
        >>> Inception3(num_classes=10, init_weights=False).fc
        Linear(in_features=2048, out_features=10, bias=True)
    """

    def __init__(
        self,
        num_classes: int = 1000,
        aux_logits: bool = True,
        transform_input: bool = False,
        inception_blocks: Sequence[Block] | None = None,
        init_weights: bool | None = None,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        blocks = DEFAULT_BLOCKS if inception_blocks is None else inception_blocks
        if init_weights is None:
            warnings.warn(
                "The default weight initialization of inception_v3 will be changed in future "
                "releases of torchvision. If you wish to keep the old behavior (which leads to "
                "long initialization times due to scipy/scipy#11299), please set "
                "init_weights=True.",
                FutureWarning,
            )
            init_weights = True
        if len(blocks) != 7:
            raise ValueError(f"length of inception_blocks should be 7 instead of {len(blocks)}")
        conv, inception_a, inception_b, inception_c, inception_d, inception_e, auxiliary = blocks
        self.aux_logits = aux_logits
        self.transform_input = transform_input
        self.Conv2d_1a_3x3 = conv(3, 32, kernel_size=3, stride=2)
        self.Conv2d_2a_3x3 = conv(32, 32, kernel_size=3)
        self.Conv2d_2b_3x3 = conv(32, 64, kernel_size=3, padding=1)
        self.maxpool1 = nn.MaxPool2d(kernel_size=3, stride=2)
        self.Conv2d_3b_1x1 = conv(64, 80, kernel_size=1)
        self.Conv2d_4a_3x3 = conv(80, 192, kernel_size=3)
        self.maxpool2 = nn.MaxPool2d(kernel_size=3, stride=2)
        self.Mixed_5b = inception_a(192, pool_features=32)
        self.Mixed_5c = inception_a(256, pool_features=64)
        self.Mixed_5d = inception_a(288, pool_features=64)
        self.Mixed_6a = inception_b(288)
        self.Mixed_6b = inception_c(768, channels_7x7=128)
        self.Mixed_6c = inception_c(768, channels_7x7=160)
        self.Mixed_6d = inception_c(768, channels_7x7=160)
        self.Mixed_6e = inception_c(768, channels_7x7=192)
        self.AuxLogits: Any = auxiliary(768, num_classes) if aux_logits else None
        self.Mixed_7a = inception_d(768)
        self.Mixed_7b = inception_e(1280)
        self.Mixed_7c = inception_e(2048)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.dropout = nn.Dropout(p=dropout)
        self.fc = nn.Linear(2048, num_classes)
        if init_weights:
            init_truncated(self, 0.1)

    def _transform_input(self, x: Any) -> Any:
        return to_half_range(x) if self.transform_input else x

    def _forward(self, x: Any) -> tuple[Any, Any]:
        """Scores, and those of the further classifier (None outside training)."""
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))  # (N, 64, 147, 147)
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(self.maxpool1(x)))  # (N, 192, 71, 71)
        x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(self.maxpool2(x))))  # (N, 288, 35, 35)
        x = self.Mixed_6c(self.Mixed_6b(self.Mixed_6a(x)))
        x = self.Mixed_6e(self.Mixed_6d(x))  # (N, 768, 17, 17)
        aux = self.AuxLogits(x) if self.AuxLogits is not None and self.training else None
        x = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x)))  # (N, 2048, 8, 8)
        x = self.dropout(self.avgpool(x))
        return self.fc(rl.flatten(x, 1)), aux

    def forward(self, x: Any) -> Any:
        """Scores (N, num_classes), in training with `aux_logits` two of them."""
        scores, aux = self._forward(self._transform_input(x))
        return InceptionOutputs(scores, aux) if self.training and self.aux_logits else scores


class InceptionA(nn.Module):
    """1x1; 1x1 and 5x5; 1x1 and twice 3x3; pooling and 1x1."""

    def __init__(
        self, in_channels: int, pool_features: int, conv_block: Block | None = None
    ) -> None:
        super().__init__()
        conv = BasicConv2d if conv_block is None else conv_block
        self.branch1x1 = conv(in_channels, 64, kernel_size=1)
        self.branch5x5_1 = conv(in_channels, 48, kernel_size=1)
        self.branch5x5_2 = conv(48, 64, kernel_size=5, padding=2)
        self.branch3x3dbl_1 = conv(in_channels, 64, kernel_size=1)
        self.branch3x3dbl_2 = conv(64, 96, kernel_size=3, padding=1)
        self.branch3x3dbl_3 = conv(96, 96, kernel_size=3, padding=1)
        self.branch_pool = conv(in_channels, pool_features, kernel_size=1)

    def forward(self, x: Any) -> Any:
        """The branches' outputs along the channels."""
        wide = self.branch5x5_2(self.branch5x5_1(x))
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return rl.cat([self.branch1x1(x), wide, double, self.branch_pool(_mean3x3(x))], 1)


class InceptionB(nn.Module):
    """Halves the size: 3x3; 1x1 and twice 3x3; pooling."""

    def __init__(self, in_channels: int, conv_block: Block | None = None) -> None:
        super().__init__()
        conv = BasicConv2d if conv_block is None else conv_block
        self.branch3x3 = conv(in_channels, 384, kernel_size=3, stride=2)
        self.branch3x3dbl_1 = conv(in_channels, 64, kernel_size=1)
        self.branch3x3dbl_2 = conv(64, 96, kernel_size=3, padding=1)
        self.branch3x3dbl_3 = conv(96, 96, kernel_size=3, stride=2)

    def forward(self, x: Any) -> Any:
        """The branches' outputs along the channels."""
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        pooled = nn.functional.max_pool2d(x, kernel_size=3, stride=2)
        return rl.cat([self.branch3x3(x), double, pooled], 1)


class InceptionC(nn.Module):
    """1x1; 1x1, 1x7 and 7x1; 1x1 and these twice; pooling and 1x1."""

    def __init__(
        self, in_channels: int, channels_7x7: int, conv_block: Block | None = None
    ) -> None:
        super().__init__()
        conv = BasicConv2d if conv_block is None else conv_block
        narrow = channels_7x7
        across: dict[str, Any] = {"kernel_size": (1, 7), "padding": (0, 3)}
        down: dict[str, Any] = {"kernel_size": (7, 1), "padding": (3, 0)}
        self.branch1x1 = conv(in_channels, 192, kernel_size=1)
        self.branch7x7_1 = conv(in_channels, narrow, kernel_size=1)
        self.branch7x7_2 = conv(narrow, narrow, **across)
        self.branch7x7_3 = conv(narrow, 192, **down)
        self.branch7x7dbl_1 = conv(in_channels, narrow, kernel_size=1)
        self.branch7x7dbl_2 = conv(narrow, narrow, **down)
        self.branch7x7dbl_3 = conv(narrow, narrow, **across)
        self.branch7x7dbl_4 = conv(narrow, narrow, **down)
        self.branch7x7dbl_5 = conv(narrow, 192, **across)
        self.branch_pool = conv(in_channels, 192, kernel_size=1)

    def forward(self, x: Any) -> Any:
        """The branches' outputs along the channels."""
        single = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        double = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        double = self.branch7x7dbl_5(self.branch7x7dbl_4(double))
        return rl.cat([self.branch1x1(x), single, double, self.branch_pool(_mean3x3(x))], 1)


class InceptionD(nn.Module):
    """Halves the size: 1x1 and 3x3; 1x1, 1x7, 7x1 and 3x3; pooling."""

    def __init__(self, in_channels: int, conv_block: Block | None = None) -> None:
        super().__init__()
        conv = BasicConv2d if conv_block is None else conv_block
        self.branch3x3_1 = conv(in_channels, 192, kernel_size=1)
        self.branch3x3_2 = conv(192, 320, kernel_size=3, stride=2)
        self.branch7x7x3_1 = conv(in_channels, 192, kernel_size=1)
        self.branch7x7x3_2 = conv(192, 192, kernel_size=(1, 7), padding=(0, 3))
        self.branch7x7x3_3 = conv(192, 192, kernel_size=(7, 1), padding=(3, 0))
        self.branch7x7x3_4 = conv(192, 192, kernel_size=3, stride=2)

    def forward(self, x: Any) -> Any:
        """The branches' outputs along the channels."""
        small = self.branch3x3_2(self.branch3x3_1(x))
        large = self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x)))
        pooled = nn.functional.max_pool2d(x, kernel_size=3, stride=2)
        return rl.cat([small, self.branch7x7x3_4(large), pooled], 1)


class InceptionE(nn.Module):
    """1x1; 1x1 and then 1x3 beside 3x1; 1x1, 3x3 and then the same; pooling and 1x1."""

    def __init__(self, in_channels: int, conv_block: Block | None = None) -> None:
        super().__init__()
        conv = BasicConv2d if conv_block is None else conv_block
        across: dict[str, Any] = {"kernel_size": (1, 3), "padding": (0, 1)}
        down: dict[str, Any] = {"kernel_size": (3, 1), "padding": (1, 0)}
        self.branch1x1 = conv(in_channels, 320, kernel_size=1)
        self.branch3x3_1 = conv(in_channels, 384, kernel_size=1)
        self.branch3x3_2a = conv(384, 384, **across)
        self.branch3x3_2b = conv(384, 384, **down)
        self.branch3x3dbl_1 = conv(in_channels, 448, kernel_size=1)
        self.branch3x3dbl_2 = conv(448, 384, kernel_size=3, padding=1)
        self.branch3x3dbl_3a = conv(384, 384, **across)
        self.branch3x3dbl_3b = conv(384, 384, **down)
        self.branch_pool = conv(in_channels, 192, kernel_size=1)

    def forward(self, x: Any) -> Any:
        """The branches' outputs along the channels."""
        single = self.branch3x3_1(x)
        single = rl.cat([self.branch3x3_2a(single), self.branch3x3_2b(single)], 1)
        double = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        double = rl.cat([self.branch3x3dbl_3a(double), self.branch3x3dbl_3b(double)], 1)
        return rl.cat([self.branch1x1(x), single, double, self.branch_pool(_mean3x3(x))], 1)


class InceptionAux(nn.Module):
    """A small classifier on features from half-way."""

    def __init__(self, in_channels: int, num_classes: int, conv_block: Block | None = None) -> None:
        super().__init__()
        conv = BasicConv2d if conv_block is None else conv_block
        self.conv0 = conv(in_channels, 128, kernel_size=1)
        self.conv1 = conv(128, 768, kernel_size=5)
        self.conv1.stddev = 0.01
        self.fc = nn.Linear(768, num_classes)
        self.fc.stddev = 0.001

    def forward(self, x: Any) -> Any:
        """(N, 768, 17, 17) -> (N, num_classes)."""
        x = self.conv0(nn.functional.avg_pool2d(x, kernel_size=5, stride=3))
        x = nn.functional.adaptive_avg_pool2d(self.conv1(x), (1, 1))
        return self.fc(rl.flatten(x, 1))


class BasicConv2d(nn.Module):
    """Convolution without bias, batch normalisation, ReLU."""

    def __init__(self, in_channels: int, out_channels: int, **kwargs: Any) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, bias=False, **kwargs)
        self.bn = nn.BatchNorm2d(out_channels, eps=0.001)

    def forward(self, x: Any) -> Any:
        """relu(bn(conv(x)))."""
        return nn.functional.relu(self.bn(self.conv(x)), inplace=True)


DEFAULT_BLOCKS: list[Block] = [
    BasicConv2d,
    InceptionA,
    InceptionB,
    InceptionC,
    InceptionD,
    InceptionE,
    InceptionAux,
]


def _mean3x3(x: Any) -> Any:
    return nn.functional.avg_pool2d(x, kernel_size=3, stride=1, padding=1)


class Inception_V3_Weights(WeightsEnum):
    """Pre-trained weights of `inception_v3`."""

    IMAGENET1K_V1 = imagenet_weights(
        "inception_v3_google-0cc3c7bd.pth",
        27_161_264,
        (77.294, 93.45),
        5.713,
        103.903,
        "#inception-v3",
        min_size=(75, 75),
        crop_size=299,
        resize_size=342,
    )
    DEFAULT = IMAGENET1K_V1


@model_builder(Inception_V3_Weights)
def inception_v3(
    *, weights: Inception_V3_Weights | None = None, progress: bool = True, **kwargs: Any
) -> Inception3:
    """Inception v3; `weights` is a member of `Inception_V3_Weights` or its name."""
    if weights is not None:
        kwargs.setdefault("transform_input", True)
        require(kwargs, "aux_logits", True)
        require(kwargs, "init_weights", False)
    loaded: Inception3 = load_weights(Inception3(**kwargs), weights, progress)
    return loaded
