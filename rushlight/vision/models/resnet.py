"""ResNet, ResNeXt and Wide ResNet: blocks whose input is added to their output.

Sources: K. He et al., https://arxiv.org/abs/1512.03385 (in the variant whose stride lies in the
bottleneck's 3x3 convolution); S. Xie et al., https://arxiv.org/abs/1611.05431 (grouped
convolutions); S. Zagoruyko, N. Komodakis, https://arxiv.org/abs/1605.07146 (wide).
Parameter names and the order of the initial draws are torchvision's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import rushlight as rl
from rushlight import nn
from rushlight.vision.models._api import WeightsEnum, model_builder, require
from rushlight.vision.models._meta import imagenet_weights
from rushlight.vision.models._utils import load_weights

__all__ = [
    "BasicBlock",
    "Bottleneck",
    "ResNeXt101_32X8D_Weights",
    "ResNeXt101_64X4D_Weights",
    "ResNeXt50_32X4D_Weights",
    "ResNet",
    "ResNet101_Weights",
    "ResNet152_Weights",
    "ResNet18_Weights",
    "ResNet34_Weights",
    "ResNet50_Weights",
    "Wide_ResNet101_2_Weights",
    "Wide_ResNet50_2_Weights",
    "resnet101",
    "resnet152",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnext101_32x8d",
    "resnext101_64x4d",
    "resnext50_32x4d",
    "wide_resnet101_2",
    "wide_resnet50_2",
]

Norm = Callable[..., Any]


def conv3x3(
    in_planes: int, out_planes: int, stride: int = 1, groups: int = 1, dilation: int = 1
) -> nn.Conv2d:
    """A 3x3 convolution without bias that keeps height and width at stride 1."""
    return nn.Conv2d(
        in_planes,
        out_planes,
        kernel_size=3,
        stride=stride,
        padding=dilation,
        groups=groups,
        bias=False,
        dilation=dilation,
    )


def conv1x1(in_planes: int, out_planes: int, stride: int = 1) -> nn.Conv2d:
    """A 1x1 convolution without bias."""
    return nn.Conv2d(in_planes, out_planes, kernel_size=1, stride=stride, bias=False)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and the shortcut, of ResNet-18 and -34.

    Shape: (N, inplanes, H, W) -> (N, planes, H / stride, W / stride).
    """

    expansion: int = 1

    def __init__(
        self,
        inplanes: int,
        planes: int,
        stride: int = 1,
        downsample: Any = None,
        groups: int = 1,
        base_width: int = 64,
        dilation: int = 1,
        norm_layer: Norm | None = None,
    ) -> None:
        super().__init__()
        norm = nn.BatchNorm2d if norm_layer is None else norm_layer
        if groups != 1 or base_width != 64:
            raise ValueError("BasicBlock only supports groups=1 and base_width=64")
        if dilation > 1:
            raise NotImplementedError("Dilation > 1 not supported in BasicBlock")
        self.conv1 = conv3x3(inplanes, planes, stride)
        self.bn1 = norm(planes)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = conv3x3(planes, planes)
        self.bn2 = norm(planes)
        self.downsample = downsample
        self.stride = stride

    def forward(self, x: Any) -> Any:
        """The block's output; `downsample` fits the shortcut where the shapes differ."""
        shortcut = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += shortcut
        return self.relu(out)


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions and the shortcut, of ResNet-50 and deeper.

    Shape: (N, inplanes, H, W) -> (N, 4 planes, H / stride, W / stride).
    """

    expansion: int = 4

    def __init__(
        self,
        inplanes: int,
        planes: int,
        stride: int = 1,
        downsample: Any = None,
        groups: int = 1,
        base_width: int = 64,
        dilation: int = 1,
        norm_layer: Norm | None = None,
    ) -> None:
        super().__init__()
        norm = nn.BatchNorm2d if norm_layer is None else norm_layer
        width = int(planes * (base_width / 64.0)) * groups
        self.conv1 = conv1x1(inplanes, width)
        self.bn1 = norm(width)
        self.conv2 = conv3x3(width, width, stride, groups, dilation)
        self.bn2 = norm(width)
        self.conv3 = conv1x1(width, planes * self.expansion)
        self.bn3 = norm(planes * self.expansion)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample
        self.stride = stride

    def forward(self, x: Any) -> Any:
        """The block's output; `downsample` fits the shortcut where the shapes differ."""
        shortcut = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        out += shortcut
        return self.relu(out)


class ResNet(nn.Module):
    """A residual network of four stages.

    Args:
        block: `BasicBlock` or `Bottleneck`.
        layers: number of blocks of each stage.
        num_classes: number of outputs.
        zero_init_residual: start each block as the identity (its last normalisation at zero).
        groups: groups of the 3x3 convolutions (ResNeXt).
        width_per_group: channels of a group in the first stage.
        replace_stride_with_dilation: for stages 2 to 4, dilate instead of halving the size.
        norm_layer: function of a number of channels; by default `BatchNorm2d`.

    Shape: (N, 3, H, W) -> (N, num_classes).

    Example:
        >>> resnet18(num_classes=10).fc
        Linear(in_features=512, out_features=10, bias=True)
    """

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        layers: Sequence[int],
        num_classes: int = 1000,
        zero_init_residual: bool = False,
        groups: int = 1,
        width_per_group: int = 64,
        replace_stride_with_dilation: Sequence[bool] | None = None,
        norm_layer: Norm | None = None,
    ) -> None:
        super().__init__()
        norm: Norm = nn.BatchNorm2d if norm_layer is None else norm_layer
        self._norm_layer = norm
        self.inplanes = 64
        self.dilation = 1
        dilate = replace_stride_with_dilation
        if dilate is None:
            dilate = [False, False, False]
        if len(dilate) != 3:
            raise ValueError(
                f"replace_stride_with_dilation should be None or a 3-element tuple, got {dilate}"
            )
        self.groups = groups
        self.base_width = width_per_group
        self.conv1 = nn.Conv2d(3, 64, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = norm(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        self.layer1 = self._make_layer(block, 64, layers[0])
        self.layer2 = self._make_layer(block, 128, layers[1], stride=2, dilate=dilate[0])
        self.layer3 = self._make_layer(block, 256, layers[2], stride=2, dilate=dilate[1])
        self.layer4 = self._make_layer(block, 512, layers[3], stride=2, dilate=dilate[2])
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(512 * block.expansion, num_classes)
        self._initialize(zero_init_residual)

    def _initialize(self, zero_init_residual: bool) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, (nn.BatchNorm2d, nn.GroupNorm)):
                nn.init.constant_(module.weight, 1)
                nn.init.constant_(module.bias, 0)
        if not zero_init_residual:
            return
        for module in self.modules():
            if isinstance(module, (BasicBlock, Bottleneck)):
                last = module.bn3 if isinstance(module, Bottleneck) else module.bn2
                if last.weight is not None:
                    nn.init.constant_(last.weight, 0)

    def _make_layer(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        planes: int,
        blocks: int,
        stride: int = 1,
        dilate: bool = False,
    ) -> Any:
        """One stage; only its first block changes the number of channels and the size."""
        norm = self._norm_layer
        first_dilation = self.dilation
        if dilate:
            self.dilation *= stride
            stride = 1
        outplanes = planes * block.expansion
        downsample = None
        if stride != 1 or self.inplanes != outplanes:
            downsample = nn.Sequential(conv1x1(self.inplanes, outplanes, stride), norm(outplanes))
        shape = (self.groups, self.base_width)
        stage = [block(self.inplanes, planes, stride, downsample, *shape, first_dilation, norm)]
        self.inplanes = outplanes
        stage += [
            block(outplanes, planes, 1, None, *shape, self.dilation, norm) for _ in range(1, blocks)
        ]
        return nn.Sequential(*stage)

    def _forward_impl(self, x: Any) -> Any:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))  # (N, 64, H / 4, W / 4)
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(rl.flatten(self.avgpool(x), 1))

    def forward(self, x: Any) -> Any:
        """Scores (N, num_classes) of images (N, 3, H, W)."""
        return self._forward_impl(x)


def _resnet(
    block: type[BasicBlock] | type[Bottleneck],
    layers: Sequence[int],
    weights: WeightsEnum | None,
    progress: bool,
    **kwargs: Any,
) -> ResNet:
    loaded: ResNet = load_weights(ResNet(block, layers, **kwargs), weights, progress)
    return loaded


class ResNet18_Weights(WeightsEnum):
    """Pre-trained weights of `resnet18`."""

    IMAGENET1K_V1 = imagenet_weights(
        "resnet18-f37072fd.pth", 11_689_512, (69.758, 89.078), 1.814, 44.661, "#resnet"
    )
    DEFAULT = IMAGENET1K_V1


class ResNet34_Weights(WeightsEnum):
    """Pre-trained weights of `resnet34`."""

    IMAGENET1K_V1 = imagenet_weights(
        "resnet34-b627a593.pth", 21_797_672, (73.314, 91.42), 3.664, 83.275, "#resnet"
    )
    DEFAULT = IMAGENET1K_V1


class ResNet50_Weights(WeightsEnum):
    """Pre-trained weights of `resnet50`."""

    IMAGENET1K_V1 = imagenet_weights(
        "resnet50-0676ba61.pth", 25_557_032, (76.13, 92.862), 4.089, 97.781, "#resnet"
    )
    IMAGENET1K_V2 = imagenet_weights(
        "resnet50-11ad3fa6.pth",
        25_557_032,
        (80.858, 95.434),
        4.089,
        97.79,
        "issues/3995#issuecomment-1013906621",
        resize_size=232,
    )
    DEFAULT = IMAGENET1K_V2


class ResNet101_Weights(WeightsEnum):
    """Pre-trained weights of `resnet101`."""

    IMAGENET1K_V1 = imagenet_weights(
        "resnet101-63fe2227.pth", 44_549_160, (77.374, 93.546), 7.801, 170.511, "#resnet"
    )
    IMAGENET1K_V2 = imagenet_weights(
        "resnet101-cd907fc2.pth",
        44_549_160,
        (81.886, 95.78),
        7.801,
        170.53,
        "issues/3995#new-recipe",
        resize_size=232,
    )
    DEFAULT = IMAGENET1K_V2


class ResNet152_Weights(WeightsEnum):
    """Pre-trained weights of `resnet152`."""

    IMAGENET1K_V1 = imagenet_weights(
        "resnet152-394f9c45.pth", 60_192_808, (78.312, 94.046), 11.514, 230.434, "#resnet"
    )
    IMAGENET1K_V2 = imagenet_weights(
        "resnet152-f82ba261.pth",
        60_192_808,
        (82.284, 96.002),
        11.514,
        230.474,
        "issues/3995#new-recipe",
        resize_size=232,
    )
    DEFAULT = IMAGENET1K_V2


class ResNeXt50_32X4D_Weights(WeightsEnum):
    """Pre-trained weights of `resnext50_32x4d`."""

    IMAGENET1K_V1 = imagenet_weights(
        "resnext50_32x4d-7cdf4587.pth", 25_028_904, (77.618, 93.698), 4.23, 95.789, "#resnext"
    )
    IMAGENET1K_V2 = imagenet_weights(
        "resnext50_32x4d-1a0047aa.pth",
        25_028_904,
        (81.198, 95.34),
        4.23,
        95.833,
        "issues/3995#new-recipe",
        resize_size=232,
    )
    DEFAULT = IMAGENET1K_V2


class ResNeXt101_32X8D_Weights(WeightsEnum):
    """Pre-trained weights of `resnext101_32x8d`."""

    IMAGENET1K_V1 = imagenet_weights(
        "resnext101_32x8d-8ba56ff5.pth", 88_791_336, (79.312, 94.526), 16.414, 339.586, "#resnext"
    )
    IMAGENET1K_V2 = imagenet_weights(
        "resnext101_32x8d-110c445d.pth",
        88_791_336,
        (82.834, 96.228),
        16.414,
        339.673,
        "issues/3995#new-recipe-with-fixres",
        resize_size=232,
    )
    DEFAULT = IMAGENET1K_V2


class ResNeXt101_64X4D_Weights(WeightsEnum):
    """Pre-trained weights of `resnext101_64x4d`."""

    IMAGENET1K_V1 = imagenet_weights(
        "resnext101_64x4d-173b62eb.pth",
        83_455_272,
        (83.246, 96.454),
        15.46,
        319.318,
        "pull/5935",
        resize_size=232,
    )
    DEFAULT = IMAGENET1K_V1


class Wide_ResNet50_2_Weights(WeightsEnum):
    """Pre-trained weights of `wide_resnet50_2`."""

    IMAGENET1K_V1 = imagenet_weights(
        "wide_resnet50_2-95faca4d.pth",
        68_883_240,
        (78.468, 94.086),
        11.398,
        131.82,
        "pull/912#issue-445437439",
    )
    IMAGENET1K_V2 = imagenet_weights(
        "wide_resnet50_2-9ba9bcbe.pth",
        68_883_240,
        (81.602, 95.758),
        11.398,
        263.124,
        "issues/3995#new-recipe-with-fixres",
        resize_size=232,
    )
    DEFAULT = IMAGENET1K_V2


class Wide_ResNet101_2_Weights(WeightsEnum):
    """Pre-trained weights of `wide_resnet101_2`."""

    IMAGENET1K_V1 = imagenet_weights(
        "wide_resnet101_2-32ee1156.pth",
        126_886_696,
        (78.848, 94.284),
        22.753,
        242.896,
        "pull/912#issue-445437439",
    )
    IMAGENET1K_V2 = imagenet_weights(
        "wide_resnet101_2-d733dc28.pth",
        126_886_696,
        (82.51, 96.02),
        22.753,
        484.747,
        "issues/3995#new-recipe",
        resize_size=232,
    )
    DEFAULT = IMAGENET1K_V2


@model_builder(ResNet18_Weights)
def resnet18(
    *, weights: ResNet18_Weights | None = None, progress: bool = True, **kwargs: Any
) -> ResNet:
    """ResNet-18.

    Args:
        weights: a member of `ResNet18_Weights` or its name; None for fresh weights.
        progress: show a bar while weights are downloaded.
        **kwargs: further arguments of `ResNet`, such as `num_classes`.

    Example:
        >>> sum(p.numel() for p in resnet18().parameters())
        11689512
    """
    return _resnet(BasicBlock, [2, 2, 2, 2], weights, progress, **kwargs)


@model_builder(ResNet34_Weights)
def resnet34(
    *, weights: ResNet34_Weights | None = None, progress: bool = True, **kwargs: Any
) -> ResNet:
    """ResNet-34; arguments as in `resnet18`."""
    return _resnet(BasicBlock, [3, 4, 6, 3], weights, progress, **kwargs)


@model_builder(ResNet50_Weights)
def resnet50(
    *, weights: ResNet50_Weights | None = None, progress: bool = True, **kwargs: Any
) -> ResNet:
    """ResNet-50; arguments as in `resnet18`."""
    return _resnet(Bottleneck, [3, 4, 6, 3], weights, progress, **kwargs)


@model_builder(ResNet101_Weights)
def resnet101(
    *, weights: ResNet101_Weights | None = None, progress: bool = True, **kwargs: Any
) -> ResNet:
    """ResNet-101; arguments as in `resnet18`."""
    return _resnet(Bottleneck, [3, 4, 23, 3], weights, progress, **kwargs)


@model_builder(ResNet152_Weights)
def resnet152(
    *, weights: ResNet152_Weights | None = None, progress: bool = True, **kwargs: Any
) -> ResNet:
    """ResNet-152; arguments as in `resnet18`."""
    return _resnet(Bottleneck, [3, 8, 36, 3], weights, progress, **kwargs)


@model_builder(ResNeXt50_32X4D_Weights)
def resnext50_32x4d(
    *, weights: ResNeXt50_32X4D_Weights | None = None, progress: bool = True, **kwargs: Any
) -> ResNet:
    """ResNeXt-50, 32 groups of 4 channels; arguments as in `resnet18`."""
    require(kwargs, "groups", 32)
    require(kwargs, "width_per_group", 4)
    return _resnet(Bottleneck, [3, 4, 6, 3], weights, progress, **kwargs)


@model_builder(ResNeXt101_32X8D_Weights)
def resnext101_32x8d(
    *, weights: ResNeXt101_32X8D_Weights | None = None, progress: bool = True, **kwargs: Any
) -> ResNet:
    """ResNeXt-101, 32 groups of 8 channels; arguments as in `resnet18`."""
    require(kwargs, "groups", 32)
    require(kwargs, "width_per_group", 8)
    return _resnet(Bottleneck, [3, 4, 23, 3], weights, progress, **kwargs)


@model_builder(ResNeXt101_64X4D_Weights)
def resnext101_64x4d(
    *, weights: ResNeXt101_64X4D_Weights | None = None, progress: bool = True, **kwargs: Any
) -> ResNet:
    """ResNeXt-101, 64 groups of 4 channels; arguments as in `resnet18`."""
    require(kwargs, "groups", 64)
    require(kwargs, "width_per_group", 4)
    return _resnet(Bottleneck, [3, 4, 23, 3], weights, progress, **kwargs)


@model_builder(Wide_ResNet50_2_Weights)
def wide_resnet50_2(
    *, weights: Wide_ResNet50_2_Weights | None = None, progress: bool = True, **kwargs: Any
) -> ResNet:
    """Wide ResNet-50, bottlenecks twice as wide; arguments as in `resnet18`."""
    require(kwargs, "width_per_group", 128)
    return _resnet(Bottleneck, [3, 4, 6, 3], weights, progress, **kwargs)


@model_builder(Wide_ResNet101_2_Weights)
def wide_resnet101_2(
    *, weights: Wide_ResNet101_2_Weights | None = None, progress: bool = True, **kwargs: Any
) -> ResNet:
    """Wide ResNet-101, bottlenecks twice as wide; arguments as in `resnet18`."""
    require(kwargs, "width_per_group", 128)
    return _resnet(Bottleneck, [3, 4, 23, 3], weights, progress, **kwargs)
