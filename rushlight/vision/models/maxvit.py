"""MaxViT: in every layer a convolution, attention within windows, and attention across a grid.

Source: Z. Tu et al., https://arxiv.org/abs/2204.01697.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from math import isqrt
from typing import Any

import numpy as np

import rushlight as rl
from rushlight import nn
from rushlight.vision.models._api import WeightsEnum, model_builder, require
from rushlight.vision.models._meta import imagenet_weights
from rushlight.vision.models._utils import load_weights
from rushlight.vision.ops.misc import Conv2dNormActivation, SqueezeExcitation
from rushlight.vision.ops.stochastic_depth import StochasticDepth
from rushlight.vision.transforms import InterpolationMode

__all__ = ["MaxVit", "MaxVit_T_Weights", "maxvit_t"]

Layer = Callable[..., Any]


def _halved(size: tuple[int, int]) -> tuple[int, int]:
    """Height and width after a 3x3 convolution of stride 2 and padding 1."""
    return (size[0] - 1) // 2 + 1, (size[1] - 1) // 2 + 1


class MBConv(nn.Module):
    """1x1 expansion, convolution of each channel, gate, 1x1 projection, added to the input.

    Shape: (N, in_channels, H, W) -> (N, out_channels, H / stride, W / stride).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        expansion_ratio: float,
        squeeze_ratio: float,
        stride: int,
        activation_layer: Layer,
        norm_layer: Layer,
        p_stochastic_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.proj: Any = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            shortcut: list[Any] = [nn.Conv2d(in_channels, out_channels, kernel_size=1, stride=1)]
            if stride == 2:
                shortcut.insert(0, nn.AvgPool2d(kernel_size=3, stride=stride, padding=1))
            self.proj = nn.Sequential(*shortcut)
        wide = int(out_channels * expansion_ratio)
        narrow = int(out_channels * squeeze_ratio)
        self.stochastic_depth: Any = nn.Identity()
        if p_stochastic_dropout:
            self.stochastic_depth = StochasticDepth(p_stochastic_dropout, mode="row")
        options: dict[str, Any] = {
            "activation_layer": activation_layer,
            "norm_layer": norm_layer,
            "inplace": None,
        }
        each: dict[str, Any] = {"kernel_size": 3, "stride": stride, "padding": 1, "groups": wide}
        layers: OrderedDict[str, Any] = OrderedDict()
        layers["pre_norm"] = norm_layer(in_channels)
        layers["conv_a"] = Conv2dNormActivation(
            in_channels, wide, kernel_size=1, padding=0, **options
        )
        layers["conv_b"] = Conv2dNormActivation(wide, wide, **each, **options)
        layers["squeeze_excitation"] = SqueezeExcitation(wide, narrow, activation=nn.SiLU)
        layers["conv_c"] = nn.Conv2d(wide, out_channels, kernel_size=1, bias=True)
        self.layers = nn.Sequential(layers)

    def forward(self, x: Any) -> Any:
        """The shortcut plus the branch."""
        return self.proj(x) + self.stochastic_depth(self.layers(x))


class RelativePositionalMultiHeadAttention(nn.Module):
    """Attention within each group of `max_seq_len` vectors, with a bias for their distance.

    Shape: (N, groups, max_seq_len, feat_dim) -> the same.
    """

    def __init__(self, feat_dim: int, head_dim: int, max_seq_len: int) -> None:
        super().__init__()
        if feat_dim % head_dim != 0:
            raise ValueError(f"feat_dim: {feat_dim} must be divisible by head_dim: {head_dim}")
        self.n_heads = feat_dim // head_dim
        self.head_dim = head_dim
        self.size = isqrt(max_seq_len)
        self.max_seq_len = max_seq_len
        self.to_qkv = nn.Linear(feat_dim, feat_dim * 3)
        self.scale_factor = feat_dim**-0.5
        self.merge = nn.Linear(feat_dim, feat_dim)
        distances = (2 * self.size - 1) ** 2
        self.relative_position_bias_table = nn.Parameter(
            rl.empty((distances, self.n_heads), dtype=rl.float32)
        )
        self.register_buffer("relative_position_index", _position_index(self.size))
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)

    def get_relative_positional_bias(self) -> Any:
        """(1, heads, max_seq_len, max_seq_len), added to the scores."""
        bias = self.relative_position_bias_table[self.relative_position_index.view(-1)]
        bias = bias.view(self.max_seq_len, self.max_seq_len, -1)
        return bias.permute(2, 0, 1).contiguous().unsqueeze(0)

    def forward(self, x: Any) -> Any:
        """The attended groups."""
        count, groups, length, _ = x.shape
        shape = (count, groups, length, self.n_heads, self.head_dim)
        query, key, value = (
            part.reshape(shape).permute(0, 1, 3, 2, 4)  # (N, G, heads, length, head_dim)
            for part in rl.chunk(self.to_qkv(x), 3, dim=-1)
        )
        scores = query.matmul((key * self.scale_factor).transpose(-2, -1))
        weights = nn.functional.softmax(scores + self.get_relative_positional_bias(), dim=-1)
        return self.merge(weights.matmul(value).permute(0, 1, 3, 2, 4).reshape(x.shape))


def _position_index(side: int) -> Any:
    """For each pair of cells of a square, which row of the table of biases is theirs."""
    down, across = rl.meshgrid(rl.arange(side), rl.arange(side), indexing="ij")
    down, across = rl.flatten(down), rl.flatten(across)
    down = down[:, None] - down[None, :] + (side - 1)
    across = across[:, None] - across[None, :] + (side - 1)
    return down * (2 * side - 1) + across


class SwapAxes(nn.Module):
    """The input with two axes exchanged, as a view."""

    def __init__(self, a: int, b: int) -> None:
        super().__init__()
        self.a = a
        self.b = b

    def forward(self, x: Any) -> Any:
        """`x.swapaxes(a, b)`."""
        return rl.swapaxes(x, self.a, self.b)


class WindowPartition(nn.Module):
    """(N, C, H, W) -> (N, windows, p * p, C)."""

    def forward(self, x: Any, p: int) -> Any:
        """The windows of p x p pixels."""
        count, channels, height, width = x.shape
        x = x.reshape(count, channels, height // p, p, width // p, p).permute(0, 2, 4, 3, 5, 1)
        return x.reshape(count, (height // p) * (width // p), p * p, channels)


class WindowDepartition(nn.Module):
    """The inverse of `WindowPartition`."""

    def forward(self, x: Any, p: int, h_partitions: int, w_partitions: int) -> Any:
        """(N, windows, p * p, C) -> (N, C, H, W)."""
        count, _, _, channels = x.shape
        x = x.reshape(count, h_partitions, w_partitions, p, p, channels).permute(0, 5, 1, 3, 2, 4)
        return x.reshape(count, channels, h_partitions * p, w_partitions * p)


class PartitionAttentionLayer(nn.Module):
    """Attention within windows of neighbours ("window") or of pixels far apart ("grid").

    Shape: (N, in_channels, *grid_size) -> the same.
    """

    def __init__(
        self,
        in_channels: int,
        head_dim: int,
        partition_size: int,
        partition_type: str,
        grid_size: tuple[int, int],
        mlp_ratio: int,
        activation_layer: Layer,
        norm_layer: Layer,
        attention_dropout: float,
        mlp_dropout: float,
        p_stochastic_dropout: float,
    ) -> None:
        super().__init__()
        self.n_heads = in_channels // head_dim
        self.head_dim = head_dim
        self.n_partitions = grid_size[0] // partition_size
        self.partition_type = partition_type
        self.grid_size = grid_size
        if partition_type not in ["grid", "window"]:
            raise ValueError("partition_type must be either 'grid' or 'window'")
        grid = partition_type == "grid"
        self.p = self.n_partitions if grid else partition_size
        self.g = partition_size if grid else self.n_partitions
        self.partition_op = WindowPartition()
        self.departition_op = WindowDepartition()
        # Exchanged, the same cell of every window makes a group, instead of a window's cells.
        self.partition_swap = SwapAxes(-2, -3) if grid else nn.Identity()
        self.departition_swap = SwapAxes(-2, -3) if grid else nn.Identity()
        self.attn_layer = nn.Sequential(
            norm_layer(in_channels),
            RelativePositionalMultiHeadAttention(in_channels, head_dim, partition_size**2),
            nn.Dropout(attention_dropout),
        )
        self.mlp_layer = nn.Sequential(
            nn.LayerNorm(in_channels),
            nn.Linear(in_channels, in_channels * mlp_ratio),
            activation_layer(),
            nn.Linear(in_channels * mlp_ratio, in_channels),
            nn.Dropout(mlp_dropout),
        )
        self.stochastic_dropout = StochasticDepth(p_stochastic_dropout, mode="row")

    def forward(self, x: Any) -> Any:
        """The feature map after attention and linear layers."""
        high, wide = self.grid_size
        if high % self.p or wide % self.p:
            raise AssertionError(
                "Grid size must be divisible by partition size. "
                f"Got grid size of {self.grid_size} and partition size of {self.p}"
            )
        x = self.partition_swap(self.partition_op(x, self.p))
        x = x + self.stochastic_dropout(self.attn_layer(x))
        x = x + self.stochastic_dropout(self.mlp_layer(x))
        return self.departition_op(self.departition_swap(x), self.p, high // self.p, wide // self.p)


class MaxVitLayer(nn.Module):
    """A convolution block and both kinds of attention."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        squeeze_ratio: float,
        expansion_ratio: float,
        stride: int,
        norm_layer: Layer,
        activation_layer: Layer,
        head_dim: int,
        mlp_ratio: int,
        mlp_dropout: float,
        attention_dropout: float,
        p_stochastic_dropout: float,
        partition_size: int,
        grid_size: tuple[int, int],
    ) -> None:
        super().__init__()
        layers: OrderedDict[str, Any] = OrderedDict()
        ratios = (expansion_ratio, squeeze_ratio, stride)
        layers["MBconv"] = MBConv(
            in_channels,
            out_channels,
            *ratios,
            activation_layer=activation_layer,
            norm_layer=norm_layer,
            p_stochastic_dropout=p_stochastic_dropout,
        )
        for kind in ("window", "grid"):
            layers[f"{kind}_attention"] = PartitionAttentionLayer(
                in_channels=out_channels,
                head_dim=head_dim,
                partition_size=partition_size,
                partition_type=kind,
                grid_size=grid_size,
                mlp_ratio=mlp_ratio,
                activation_layer=activation_layer,
                norm_layer=nn.LayerNorm,
                attention_dropout=attention_dropout,
                mlp_dropout=mlp_dropout,
                p_stochastic_dropout=p_stochastic_dropout,
            )
        self.layers = nn.Sequential(layers)

    def forward(self, x: Any) -> Any:
        """(N, in_channels, H, W) -> (N, out_channels, H / stride, W / stride)."""
        return self.layers(x)


class MaxVitBlock(nn.Module):
    """Layers of one width; the first halves height and width.

    `input_grid_size` is the height and width that come in, `p_stochastic` the probability of
    dropping a branch of each layer; the other arguments go to `MaxVitLayer`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        squeeze_ratio: float,
        expansion_ratio: float,
        norm_layer: Layer,
        activation_layer: Layer,
        head_dim: int,
        mlp_ratio: int,
        mlp_dropout: float,
        attention_dropout: float,
        partition_size: int,
        input_grid_size: tuple[int, int],
        n_layers: int,
        p_stochastic: list[float],
    ) -> None:
        super().__init__()
        if len(p_stochastic) != n_layers:
            raise ValueError(
                f"p_stochastic must have length n_layers={n_layers}, "
                f"got p_stochastic={p_stochastic}."
            )
        self.layers = nn.ModuleList()
        self.grid_size = _halved(input_grid_size)
        for index, probability in enumerate(p_stochastic):
            layer = MaxVitLayer(
                in_channels=in_channels if index == 0 else out_channels,
                out_channels=out_channels,
                squeeze_ratio=squeeze_ratio,
                expansion_ratio=expansion_ratio,
                stride=2 if index == 0 else 1,
                norm_layer=norm_layer,
                activation_layer=activation_layer,
                head_dim=head_dim,
                mlp_ratio=mlp_ratio,
                mlp_dropout=mlp_dropout,
                attention_dropout=attention_dropout,
                partition_size=partition_size,
                grid_size=self.grid_size,
                p_stochastic_dropout=probability,
            )
            self.layers.append(layer)

    def forward(self, x: Any) -> Any:
        """(N, in_channels, H, W) -> (N, out_channels, H / 2, W / 2)."""
        for layer in self.layers:
            x = layer(x)
        return x


class MaxVit(nn.Module):
    """MaxViT for images of one size.

    Args:
        input_size: height and width of the images.
        stem_channels: channels of the first two convolutions.
        partition_size: side of a window and of the grid; divides every block's height and width.
        block_channels: channels of each block.
        block_layers: layers of each block.
        head_dim: channels of an attention head.
        stochastic_depth_prob: probability of dropping the last layer's branches; less before.
        norm_layer: of the convolutions, a function of a number of channels.
        activation_layer: module class.
        squeeze_ratio: channels inside the gates, in units of the output's.
        expansion_ratio: channels inside the convolution blocks, in units of the output's.
        mlp_ratio: inner size of the linear layers, in units of the channels.
        mlp_dropout: probability, after the linear layers.
        attention_dropout: probability, after attention.
        num_classes: number of outputs.

    Shape: (N, 3, *input_size) -> (N, num_classes).

    Raises:
        ValueError: a block's size is not a multiple of `partition_size`.

    Example:
        >>> net = MaxVit((32, 32), 8, 2, [8, 16], [1, 1], 4, 0.1, num_classes=3)
        >>> net(rl.rand(2, 3, 32, 32)).shape
        torch.Size([2, 3])
    """

    def __init__(
        self,
        input_size: tuple[int, int],
        stem_channels: int,
        partition_size: int,
        block_channels: list[int],
        block_layers: list[int],
        head_dim: int,
        stochastic_depth_prob: float,
        norm_layer: Layer | None = None,
        activation_layer: Layer = nn.GELU,
        squeeze_ratio: float = 0.25,
        expansion_ratio: float = 4,
        mlp_ratio: int = 4,
        mlp_dropout: float = 0.0,
        attention_dropout: float = 0.0,
        num_classes: int = 1000,
    ) -> None:
        super().__init__()
        norm = (
            partial(nn.BatchNorm2d, eps=1e-3, momentum=0.01) if norm_layer is None else norm_layer
        )
        size = _halved(input_size)
        _check_sizes(size, len(block_channels), partition_size)
        first: dict[str, Any] = {"norm_layer": norm, "activation_layer": activation_layer}
        second: dict[str, Any] = {"norm_layer": None, "activation_layer": None, "bias": True}
        self.stem = nn.Sequential(
            Conv2dNormActivation(3, stem_channels, 3, 2, bias=False, inplace=None, **first),
            Conv2dNormActivation(stem_channels, stem_channels, 3, 1, **second),
        )
        self.partition_size = partition_size
        self.blocks = nn.ModuleList()
        rates = np.linspace(0, stochastic_depth_prob, sum(block_layers)).tolist()
        before = [stem_channels] + block_channels[:-1]
        for channels, after, layers in zip(before, block_channels, block_layers, strict=True):
            block = MaxVitBlock(
                in_channels=channels,
                out_channels=after,
                squeeze_ratio=squeeze_ratio,
                expansion_ratio=expansion_ratio,
                norm_layer=norm,
                activation_layer=activation_layer,
                head_dim=head_dim,
                mlp_ratio=mlp_ratio,
                mlp_dropout=mlp_dropout,
                attention_dropout=attention_dropout,
                partition_size=partition_size,
                input_grid_size=size,
                n_layers=layers,
                p_stochastic=rates[:layers],
            )
            self.blocks.append(block)
            size, rates = block.grid_size, rates[layers:]
        last = block_channels[-1]
        self.classifier = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.LayerNorm(last),
            nn.Linear(last, last),
            nn.Tanh(),
            nn.Linear(last, num_classes, bias=False),
        )
        self._init_weights()

    def forward(self, x: Any) -> Any:
        """Scores (N, num_classes) of images (N, 3, *input_size)."""
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.classifier(x)

    def _init_weights(self) -> None:
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, nn.BatchNorm2d):
                nn.init.constant_(module.weight, 1)
                nn.init.constant_(module.bias, 0)


def _check_sizes(size: tuple[int, int], blocks: int, partition_size: int) -> None:
    sizes = []
    for _ in range(blocks):
        size = _halved(size)
        sizes.append(size)
    for index, (high, wide) in enumerate(sizes):
        if high % partition_size or wide % partition_size:
            raise ValueError(
                f"Input size {(high, wide)} of block {index} is not divisible by partition size "
                f"{partition_size}. Consider changing the partition size or the input size.\n"
                f"Current configuration yields the following block input sizes: {sizes}."
            )


def _maxvit(
    channels: list[int],
    layers: list[int],
    stochastic_depth_prob: float,
    weights: WeightsEnum | None,
    progress: bool,
    **kwargs: Any,
) -> MaxVit:
    if weights is not None:
        require(kwargs, "input_size", weights.meta["min_size"])
    input_size = kwargs.pop("input_size", (224, 224))
    shape = (7, channels, layers, 32, stochastic_depth_prob)
    loaded: MaxVit = load_weights(MaxVit(input_size, 64, *shape, **kwargs), weights, progress)
    return loaded


class MaxVit_T_Weights(WeightsEnum):
    """Pre-trained weights of `maxvit_t`."""

    IMAGENET1K_V1 = imagenet_weights(
        "maxvit_t-bc5ab103.pth",
        30_919_624,
        (83.7, 96.722),
        5.558,
        118.769,
        "#maxvit",
        min_size=(224, 224),
        resize_size=224,
        interpolation=InterpolationMode.BICUBIC,
    )
    DEFAULT = IMAGENET1K_V1


@model_builder(MaxVit_T_Weights)
def maxvit_t(
    *, weights: MaxVit_T_Weights | None = None, progress: bool = True, **kwargs: Any
) -> MaxVit:
    """MaxViT tiny; `weights` is a member of `MaxVit_T_Weights` or its name."""
    return _maxvit([64, 128, 256, 512], [2, 2, 5, 2], 0.2, weights, progress, **kwargs)
