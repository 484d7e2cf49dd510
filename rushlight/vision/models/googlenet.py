"""GoogLeNet (Inception v1) with batch normalisation.

Source: C. Szegedy et al., https://arxiv.org/abs/1409.4842.  As in the published weights, the
branch that the paper gives a 5x5 convolution has a 3x3 one.
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

__all__ = ["GoogLeNet", "GoogLeNetOutputs", "GoogLeNet_Weights", "_GoogLeNetOutputs", "googlenet"]

GoogLeNetOutputs = namedtuple("GoogLeNetOutputs", ["logits", "aux_logits2", "aux_logits1"])
_GoogLeNetOutputs = GoogLeNetOutputs  # the name that older scripts use

Block = Callable[..., Any]


class GoogLeNet(nn.Module):
    """GoogLeNet.

    Args:
        num_classes: number of outputs.
        aux_logits: two more classifiers half-way, whose outputs come along in training.
        transform_input: undo ImageNet's normalisation first and scale to [-1, 1] instead.
        init_weights: draw from a truncated normal distribution of standard deviation 0.01.
        blocks: classes in the place of `BasicConv2d`, `Inception` and `InceptionAux`.
        dropout: probability of dropping an input of the last layer.
        dropout_aux: the same of the further classifiers.

    Shape: (N, 3, H, W) -> (N, num_classes), in training `GoogLeNetOutputs` of three such; height
    and width at least 15.

    Example:
        >>> GoogLeNet(num_classes=10, init_weights=False).fc
        Linear(in_features=1024, out_features=10, bias=True)
    """

    __constants__ = ["aux_logits", "transform_input"]

    def __init__(
        self,
        num_classes: int = 1000,
        aux_logits: bool = True,
        transform_input: bool = False,
        init_weights: bool | None = None,
        blocks: Sequence[Block] | None = None,
        dropout: float = 0.2,
        dropout_aux: float = 0.7,
    ) -> None:
        super().__init__()
        blocks = [BasicConv2d, Inception, InceptionAux] if blocks is None else blocks
        if init_weights is None:
            warnings.warn(
                "The default weight initialization of GoogleNet will be changed in future releases "
                "of torchvision. If you wish to keep the old behavior (which leads to long "
                "initialization times due to scipy/scipy#11299), please set init_weights=True.",
                FutureWarning,
            )
            init_weights = True
        if len(blocks) != 3:
            raise ValueError(f"blocks length should be 3 instead of {len(blocks)}")
        conv, inception, auxiliary = blocks
        self.aux_logits = aux_logits
        self.transform_input = transform_input
        self.conv1 = conv(3, 64, kernel_size=7, stride=2, padding=3)
        self.maxpool1 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.conv2 = conv(64, 64, kernel_size=1)
        self.conv3 = conv(64, 192, kernel_size=3, padding=1)
        self.maxpool2 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.inception3a = inception(192, 64, 96, 128, 16, 32, 32)
        self.inception3b = inception(256, 128, 128, 192, 32, 96, 64)
        self.maxpool3 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.inception4a = inception(480, 192, 96, 208, 16, 48, 64)
        self.inception4b = inception(512, 160, 112, 224, 24, 64, 64)
        self.inception4c = inception(512, 128, 128, 256, 24, 64, 64)
        self.inception4d = inception(512, 112, 144, 288, 32, 64, 64)
        self.inception4e = inception(528, 256, 160, 320, 32, 128, 128)
        self.maxpool4 = nn.MaxPool2d(2, stride=2, ceil_mode=True)
        self.inception5a = inception(832, 256, 160, 320, 32, 128, 128)
        self.inception5b = inception(832, 384, 192, 384, 48, 128, 128)
        self.aux1: Any = None
        self.aux2: Any = None
        if aux_logits:
            self.aux1 = auxiliary(512, num_classes, dropout=dropout_aux)
            self.aux2 = auxiliary(528, num_classes, dropout=dropout_aux)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.dropout = nn.Dropout(p=dropout)
        self.fc = nn.Linear(1024, num_classes)
        if init_weights:
            init_truncated(self, 0.01)

    def _transform_input(self, x: Any) -> Any:
        return to_half_range(x) if self.transform_input else x

    def _forward(self, x: Any) -> tuple[Any, Any, Any]:
        """Scores, and those of the two further classifiers (None outside training)."""
        x = self.maxpool1(self.conv1(x))  # (N, 64, H / 4, W / 4)
        x = self.maxpool2(self.conv3(self.conv2(x)))  # (N, 192, H / 8, W / 8)
        x = self.maxpool3(self.inception3b(self.inception3a(x)))  # (N, 480, H / 16, W / 16)
        x = self.inception4a(x)
        aux1 = self.aux1(x) if self.aux1 is not None and self.training else None
        x = self.inception4d(self.inception4c(self.inception4b(x)))
        aux2 = self.aux2(x) if self.aux2 is not None and self.training else None
        x = self.maxpool4(self.inception4e(x))  # (N, 832, H / 32, W / 32)
        x = self.avgpool(self.inception5b(self.inception5a(x)))
        return self.fc(self.dropout(rl.flatten(x, 1))), aux2, aux1

    def forward(self, x: Any) -> Any:
        """Scores (N, num_classes), in training with `aux_logits` three of them."""
        scores, aux2, aux1 = self._forward(self._transform_input(x))
        return GoogLeNetOutputs(scores, aux2, aux1) if self.training and self.aux_logits else scores


class Inception(nn.Module):
    """Four branches side by side: 1x1; 1x1 and 3x3; 1x1 and 3x3; pooling and 1x1."""

    def __init__(
        self,
        in_channels: int,
        ch1x1: int,
        ch3x3red: int,
        ch3x3: int,
        ch5x5red: int,
        ch5x5: int,
        pool_proj: int,
        conv_block: Block | None = None,
    ) -> None:
        super().__init__()
        conv = BasicConv2d if conv_block is None else conv_block
        self.branch1 = conv(in_channels, ch1x1, kernel_size=1)
        self.branch2 = nn.Sequential(
            conv(in_channels, ch3x3red, kernel_size=1),
            conv(ch3x3red, ch3x3, kernel_size=3, padding=1),
        )
        self.branch3 = nn.Sequential(
            conv(in_channels, ch5x5red, kernel_size=1),
            conv(ch5x5red, ch5x5, kernel_size=3, padding=1),
        )
        self.branch4 = nn.Sequential(
            nn.MaxPool2d(kernel_size=3, stride=1, padding=1, ceil_mode=True),
            conv(in_channels, pool_proj, kernel_size=1),
        )

    def forward(self, x: Any) -> Any:
        """The branches' outputs along the channels."""
        return rl.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1)


class InceptionAux(nn.Module):
    """A small classifier on features from half-way."""

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        conv_block: Block | None = None,
        dropout: float = 0.7,
    ) -> None:
        super().__init__()
        conv = BasicConv2d if conv_block is None else conv_block
        self.conv = conv(in_channels, 128, kernel_size=1)
        self.fc1 = nn.Linear(2048, 1024)
        self.fc2 = nn.Linear(1024, num_classes)
        self.dropout = nn.Dropout(p=dropout)

    def forward(self, x: Any) -> Any:
        """(N, C, H, W) -> (N, num_classes)."""
        x = self.conv(nn.functional.adaptive_avg_pool2d(x, (4, 4)))
        x = nn.functional.relu(self.fc1(rl.flatten(x, 1)), inplace=True)
        return self.fc2(self.dropout(x))


class BasicConv2d(nn.Module):
    """Convolution without bias, batch normalisation, ReLU."""

    def __init__(self, in_channels: int, out_channels: int, **kwargs: Any) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, bias=False, **kwargs)
        self.bn = nn.BatchNorm2d(out_channels, eps=0.001)

    def forward(self, x: Any) -> Any:
        """relu(bn(conv(x)))."""
        return nn.functional.relu(self.bn(self.conv(x)), inplace=True)


class GoogLeNet_Weights(WeightsEnum):
    """Pre-trained weights of `googlenet`."""

    IMAGENET1K_V1 = imagenet_weights(
        "googlenet-1378be20.pth",
        6_624_904,
        (69.778, 89.53),
        1.498,
        49.731,
        "#googlenet",
        min_size=(15, 15),
    )
    DEFAULT = IMAGENET1K_V1


@model_builder(GoogLeNet_Weights)
def googlenet(
    *, weights: GoogLeNet_Weights | None = None, progress: bool = True, **kwargs: Any
) -> GoogLeNet:
    """GoogLeNet; `weights` is a member of `GoogLeNet_Weights` or its name.

    With weights the further classifiers are left out unless `aux_logits=True`; they are untrained.
    """
    wanted = kwargs.get("aux_logits", False)
    if weights is not None:
        kwargs.setdefault("transform_input", True)
        require(kwargs, "aux_logits", True)
        require(kwargs, "init_weights", False)
    model: GoogLeNet = load_weights(GoogLeNet(**kwargs), weights, progress)
    if weights is not None and wanted:
        warnings.warn(
            "auxiliary heads in the pretrained googlenet model are NOT pretrained, "
            "so make sure to train them"
        )
    elif weights is not None:
        model.aux_logits = False
        model.aux1 = model.aux2 = None
    return model
