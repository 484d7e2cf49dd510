"""Swin transformer: attention within windows, which shift by half from block to block.

Sources: Z. Liu et al., https://arxiv.org/abs/2103.14030 and, version 2 (cosine attention, a network
for the position bias, normalisation behind the branches), https://arxiv.org/abs/2111.09883.
Feature maps are (N, H, W, C) here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import rushlight as rl
from rushlight import nn
from rushlight.vision.models._api import WeightsEnum, model_builder
from rushlight.vision.models._meta import imagenet_weights
from rushlight.vision.models._utils import load_weights
from rushlight.vision.ops.misc import MLP, Permute
from rushlight.vision.ops.stochastic_depth import StochasticDepth
from rushlight.vision.transforms import InterpolationMode

__all__ = [
    "SwinTransformer",
    "Swin_B_Weights",
    "Swin_S_Weights",
    "Swin_T_Weights",
    "Swin_V2_B_Weights",
    "Swin_V2_S_Weights",
    "Swin_V2_T_Weights",
    "swin_b",
    "swin_s",
    "swin_t",
    "swin_v2_b",
    "swin_v2_s",
    "swin_v2_t",
]

Layer = Callable[..., Any]


def _merge_patches(x: Any) -> Any:
    """(..., H, W, C) -> (..., H / 2, W / 2, 4 C): each 2x2 square becomes one vector."""
    height, width, _ = x.shape[-3:]
    x = nn.functional.pad(x, (0, 0, 0, width % 2, 0, height % 2))
    even, odd = x[..., 0::2, :, :], x[..., 1::2, :, :]
    parts = [even[..., 0::2, :], odd[..., 0::2, :], even[..., 1::2, :], odd[..., 1::2, :]]
    return rl.cat(parts, -1)


class PatchMerging(nn.Module):
    """Halves height and width and doubles the channels: (..., H, W, C) -> (..., H/2, W/2, 2C)."""

    def __init__(self, dim: int, norm_layer: Layer = nn.LayerNorm) -> None:
        super().__init__()
        self.dim = dim
        self.reduction = nn.Linear(4 * dim, 2 * dim, bias=False)
        self.norm = norm_layer(4 * dim)

    def forward(self, x: Any) -> Any:
        """Normalised, then reduced."""
        return self.reduction(self.norm(_merge_patches(x)))


class PatchMergingV2(nn.Module):
    """`PatchMerging` that reduces first and normalises then."""

    def __init__(self, dim: int, norm_layer: Layer = nn.LayerNorm) -> None:
        super().__init__()
        self.dim = dim
        self.reduction = nn.Linear(4 * dim, 2 * dim, bias=False)
        self.norm = norm_layer(2 * dim)

    def forward(self, x: Any) -> Any:
        """Reduced, then normalised."""
        return self.norm(self.reduction(_merge_patches(x)))


def _to_windows(x: Any, window: Sequence[int]) -> Any:
    """(N, H, W, C) -> (N * windows, pixels of a window, C)."""
    count, height, width, channels = x.shape
    rows, columns = height // window[0], width // window[1]
    x = x.view(count, rows, window[0], columns, window[1], channels).permute(0, 1, 3, 2, 4, 5)
    return x.reshape(count * rows * columns, window[0] * window[1], channels)


def _from_windows(x: Any, window: Sequence[int], shape: Sequence[int]) -> Any:
    """The inverse of `_to_windows`, to `shape` (N, H, W, C)."""
    count, height, width, channels = shape
    rows, columns = height // window[0], width // window[1]
    x = x.view(count, rows, columns, window[0], window[1], channels).permute(0, 1, 3, 2, 4, 5)
    return x.reshape(count, height, width, channels)


def _shift_mask(x: Any, window: Sequence[int], shift: Sequence[int]) -> Any:
    """(windows, pixels, pixels): -100 between pixels that only the cyclic shift made neighbours."""
    height, width = x.shape[1:3]
    regions = x.new_zeros((height, width))
    number = 0
    for top, bottom in ((0, -window[0]), (-window[0], -shift[0]), (-shift[0], None)):
        for left, right in ((0, -window[1]), (-window[1], -shift[1]), (-shift[1], None)):
            regions[top:bottom, left:right] = number
            number += 1
    regions = _to_windows(regions[None, :, :, None], window)[..., 0]
    apart = regions.unsqueeze(1) - regions.unsqueeze(2)
    return apart.masked_fill(apart != 0, -100.0)


def shifted_window_attention(
    input: Any,
    qkv_weight: Any,
    proj_weight: Any,
    relative_position_bias: Any,
    window_size: list[int],
    num_heads: int,
    shift_size: list[int],
    attention_dropout: float = 0.0,
    dropout: float = 0.0,
    qkv_bias: Any = None,
    proj_bias: Any = None,
    logit_scale: Any = None,
    training: bool = True,
) -> Any:
    """Self-attention of each window by itself.

    Args:
        input: (N, H, W, C); padded at the right and bottom to whole windows.
        qkv_weight: (3 C, C), of query, key and value.
        proj_weight: (C, C), of the output.
        relative_position_bias: (1, heads, pixels, pixels), added to the scores.
        window_size: height and width of a window.
        num_heads: number of heads; divides C.
        shift_size: how far the windows are shifted down and right; 0 where one window is enough.
        attention_dropout: probability, of attention weights.
        dropout: probability, of the output.
        qkv_bias: (3 C,); with `logit_scale` the key's part counts as zero.
        proj_bias: (C,).
        logit_scale: logarithm of the factor on the cosines of version 2; None for version 1.
        training: whether the dropouts are active.

    Returns:
        (N, H, W, C).
    """
    functional = nn.functional
    _, height, width, channels = input.shape
    right, bottom = -width % window_size[1], -height % window_size[0]
    x = functional.pad(input, (0, 0, 0, right, 0, bottom))
    padded = x.shape
    sizes = zip(shift_size, window_size, padded[1:3], strict=True)
    shift = [0 if window >= side else by for by, window, side in sizes]
    if sum(shift) > 0:
        x = rl.roll(x, shifts=(-shift[0], -shift[1]), dims=(1, 2))
    mask = _shift_mask(x, window_size, shift) if sum(shift) > 0 else None
    x = _to_windows(x, window_size)
    count, pixels, _ = x.shape
    if logit_scale is not None and qkv_bias is not None:
        qkv_bias = qkv_bias.clone()
        qkv_bias[channels : 2 * channels].zero_()
    qkv = functional.linear(x, qkv_weight, qkv_bias)
    qkv = qkv.reshape(count, pixels, 3, num_heads, channels // num_heads).permute(2, 0, 3, 1, 4)
    query, key, value = qkv[0], qkv[1], qkv[2]
    if logit_scale is None:
        query = query * (channels // num_heads) ** -0.5
        scores = query.matmul(key.transpose(-2, -1))
    else:
        query, key = functional.normalize(query, dim=-1), functional.normalize(key, dim=-1)
        scores = query @ key.transpose(-2, -1)
        scores = scores * rl.clamp(logit_scale, max=math.log(100.0)).exp()
    scores = scores + relative_position_bias
    if mask is not None:
        windows = mask.shape[0]
        scores = scores.view(count // windows, windows, num_heads, pixels, pixels)
        scores = scores + mask.unsqueeze(1).unsqueeze(0)
        scores = scores.view(-1, num_heads, pixels, pixels)
    weights = functional.softmax(scores, dim=-1)
    weights = functional.dropout(weights, p=attention_dropout, training=training)
    x = weights.matmul(value).transpose(1, 2).reshape(count, pixels, channels)
    x = functional.linear(x, proj_weight, proj_bias)
    x = functional.dropout(x, p=dropout, training=training)
    x = _from_windows(x, window_size, padded)
    if sum(shift) > 0:
        x = rl.roll(x, shifts=(shift[0], shift[1]), dims=(1, 2))
    return x[:, :height, :width, :].contiguous()


class ShiftedWindowAttention(nn.Module):
    """`shifted_window_attention` with its weights and a table of position biases.

    Shape: (N, H, W, dim) -> (N, H, W, dim).
    """

    def __init__(
        self,
        dim: int,
        window_size: list[int],
        shift_size: list[int],
        num_heads: int,
        qkv_bias: bool = True,
        proj_bias: bool = True,
        attention_dropout: float = 0.0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if len(window_size) != 2 or len(shift_size) != 2:
            raise ValueError("window_size and shift_size must be of length 2")
        self.window_size = window_size
        self.shift_size = shift_size
        self.num_heads = num_heads
        self.attention_dropout = attention_dropout
        self.dropout = dropout
        self.qkv = nn.Linear(dim, dim * 3, bias=qkv_bias)
        self.proj = nn.Linear(dim, dim, bias=proj_bias)
        self.define_relative_position_bias_table()
        self.define_relative_position_index()

    def define_relative_position_bias_table(self) -> None:
        """One bias for each distance of two pixels and each head."""
        high, wide = self.window_size
        table = rl.zeros((2 * high - 1) * (2 * wide - 1), self.num_heads)
        self.relative_position_bias_table = nn.Parameter(table)
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)

    def define_relative_position_index(self) -> None:
        """Which row of the table belongs to each pair of pixels."""
        high, wide = self.window_size
        down, across = rl.meshgrid(rl.arange(high), rl.arange(wide), indexing="ij")
        down, across = rl.flatten(down), rl.flatten(across)
        down = down[:, None] - down[None, :] + (high - 1)
        across = across[:, None] - across[None, :] + (wide - 1)
        self.register_buffer("relative_position_index", (down * (2 * wide - 1) + across).flatten())

    def _bias_of_pairs(self, table: Any) -> Any:
        """(1, heads, pixels, pixels) of a table (distances, heads)."""
        pixels = self.window_size[0] * self.window_size[1]
        bias = table[self.relative_position_index].view(pixels, pixels, -1)
        return bias.permute(2, 0, 1).contiguous().unsqueeze(0)

    def get_relative_position_bias(self) -> Any:
        """(1, heads, pixels, pixels), what is added to the scores."""
        return self._bias_of_pairs(self.relative_position_bias_table)

    def _logit_scale(self) -> Any:
        return None

    def forward(self, x: Any) -> Any:
        """The attended feature map."""
        return shifted_window_attention(
            x,
            self.qkv.weight,
            self.proj.weight,
            self.get_relative_position_bias(),
            self.window_size,
            self.num_heads,
            shift_size=self.shift_size,
            attention_dropout=self.attention_dropout,
            dropout=self.dropout,
            qkv_bias=self.qkv.bias,
            proj_bias=self.proj.bias,
            logit_scale=self._logit_scale(),
            training=self.training,
        )


class ShiftedWindowAttentionV2(ShiftedWindowAttention):
    """Attention by cosines; a small network gives the position biases."""

    def __init__(
        self,
        dim: int,
        window_size: list[int],
        shift_size: list[int],
        num_heads: int,
        qkv_bias: bool = True,
        proj_bias: bool = True,
        attention_dropout: float = 0.0,
        dropout: float = 0.0,
    ) -> None:
        shape = (dim, window_size, shift_size, num_heads)
        super().__init__(*shape, qkv_bias, proj_bias, attention_dropout, dropout)
        self.logit_scale = nn.Parameter(rl.log(10 * rl.ones((num_heads, 1, 1))))
        self.cpb_mlp = nn.Sequential(
            nn.Linear(2, 512, bias=True),
            nn.ReLU(inplace=True),
            nn.Linear(512, num_heads, bias=False),
        )
        if qkv_bias:
            with rl.no_grad():
                self.qkv.bias[dim : 2 * dim].zero_()

    def define_relative_position_bias_table(self) -> None:
        """The network's input: each distance on a logarithmic scale, 1 at 8 times the window."""
        sides = [rl.arange(-(side - 1), side, dtype=rl.float32) for side in self.window_size]
        table = rl.stack(rl.meshgrid(*sides, indexing="ij")).permute(1, 2, 0).contiguous()
        table = table.unsqueeze(0)  # (1, 2 high - 1, 2 wide - 1, 2)
        table[:, :, :, 0] /= self.window_size[0] - 1
        table[:, :, :, 1] /= self.window_size[1] - 1
        table *= 8
        table = rl.sign(table) * rl.log2(rl.abs(table) + 1.0) / 3.0
        self.register_buffer("relative_coords_table", table)

    def get_relative_position_bias(self) -> Any:
        """(1, heads, pixels, pixels), between 0 and 16."""
        table = self.cpb_mlp(self.relative_coords_table).view(-1, self.num_heads)
        return 16 * rl.sigmoid(self._bias_of_pairs(table))

    def _logit_scale(self) -> Any:
        return self.logit_scale


class SwinTransformerBlock(nn.Module):
    """Attention and two linear layers, each after normalisation and added to its input.

    Shape: (N, H, W, dim) -> (N, H, W, dim).
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        window_size: list[int],
        shift_size: list[int],
        mlp_ratio: float = 4.0,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        stochastic_depth_prob: float = 0.0,
        norm_layer: Layer = nn.LayerNorm,
        attn_layer: Layer = ShiftedWindowAttention,
    ) -> None:
        super().__init__()
        self.norm1 = norm_layer(dim)
        self.attn = attn_layer(
            dim,
            window_size,
            shift_size,
            num_heads,
            attention_dropout=attention_dropout,
            dropout=dropout,
        )
        self.stochastic_depth = StochasticDepth(stochastic_depth_prob, "row")
        self.norm2 = norm_layer(dim)
        hidden = [int(dim * mlp_ratio), dim]
        self.mlp = MLP(dim, hidden, activation_layer=nn.GELU, inplace=None, dropout=dropout)
        for module in self.mlp.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.normal_(module.bias, std=1e-6)

    def forward(self, x: Any) -> Any:
        """The feature map after attention and linear layers."""
        x = x + self.stochastic_depth(self.attn(self.norm1(x)))
        return x + self.stochastic_depth(self.mlp(self.norm2(x)))


class SwinTransformerBlockV2(SwinTransformerBlock):
    """The block of version 2: it normalises the branches' outputs, not their inputs."""

    def __init__(
        self,
        dim: int,
        num_heads: int,
        window_size: list[int],
        shift_size: list[int],
        mlp_ratio: float = 4.0,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        stochastic_depth_prob: float = 0.0,
        norm_layer: Layer = nn.LayerNorm,
        attn_layer: Layer = ShiftedWindowAttentionV2,
    ) -> None:
        shape = (dim, num_heads, window_size, shift_size, mlp_ratio)
        rates = (dropout, attention_dropout, stochastic_depth_prob)
        super().__init__(*shape, *rates, norm_layer, attn_layer)

    def forward(self, x: Any) -> Any:
        """The feature map after attention and linear layers."""
        x = x + self.stochastic_depth(self.norm1(self.attn(x)))
        return x + self.stochastic_depth(self.norm2(self.mlp(x)))


class SwinTransformer(nn.Module):
    """Swin transformer, version 1 or 2.

    Args:
        patch_size: height and width of a patch.
        embed_dim: channels of the first stage; each further stage has twice as many.
        depths: blocks of each stage.
        num_heads: heads of each stage.
        window_size: height and width of a window, in patches.
        mlp_ratio: inner size of the linear layers, in units of the channels.
        dropout: probability, after attention and linear layers.
        attention_dropout: probability, of attention weights.
        stochastic_depth_prob: probability of dropping the last block's branches; less before.
        num_classes: number of outputs.
        norm_layer: function of a size; by default `LayerNorm`.
        block: class like `SwinTransformerBlock`.
        downsample_layer: class like `PatchMerging`.

    Shape: (N, 3, H, W) -> (N, num_classes).

    Example:
        >>> net = SwinTransformer([4, 4], 8, [1, 2], [1, 2], [2, 2], num_classes=5)
        >>> net(rl.rand(1, 3, 32, 32)).shape
        torch.Size([1, 5])
    """

    def __init__(
        self,
        patch_size: list[int],
        embed_dim: int,
        depths: list[int],
        num_heads: list[int],
        window_size: list[int],
        mlp_ratio: float = 4.0,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        stochastic_depth_prob: float = 0.1,
        num_classes: int = 1000,
        norm_layer: Layer | None = None,
        block: Layer | None = None,
        downsample_layer: Layer = PatchMerging,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        block = SwinTransformerBlock if block is None else block
        norm = partial(nn.LayerNorm, eps=1e-5) if norm_layer is None else norm_layer
        patch = (patch_size[0], patch_size[1])
        embed = nn.Conv2d(3, embed_dim, kernel_size=patch, stride=patch)
        layers: list[Any] = [nn.Sequential(embed, Permute([0, 2, 3, 1]), norm(embed_dim))]
        built = 0
        for stage, (depth, heads) in enumerate(zip(depths, num_heads, strict=True)):
            channels = embed_dim * 2**stage
            blocks = []
            for index in range(depth):
                probability = stochastic_depth_prob * float(built) / (sum(depths) - 1)
                blocks.append(
                    block(
                        channels,
                        heads,
                        window_size=window_size,
                        shift_size=[0 if index % 2 == 0 else side // 2 for side in window_size],
                        mlp_ratio=mlp_ratio,
                        dropout=dropout,
                        attention_dropout=attention_dropout,
                        stochastic_depth_prob=probability,
                        norm_layer=norm,
                    )
                )
                built += 1
            layers.append(nn.Sequential(*blocks))
            if stage < len(depths) - 1:
                layers.append(downsample_layer(channels, norm))
        self.features = nn.Sequential(*layers)
        self.norm = norm(channels)
        self.permute = Permute([0, 3, 1, 2])
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten(1)
        self.head = nn.Linear(channels, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, x: Any) -> Any:
        """Scores (N, num_classes) of images (N, 3, H, W)."""
        x = self.permute(self.norm(self.features(x)))  # (N, C, H / 32, W / 32)
        return self.head(self.flatten(self.avgpool(x)))


def _swin_transformer(
    embed_dim: int,
    third: int,
    stochastic_depth_prob: float,
    weights: WeightsEnum | None,
    progress: bool,
    *,
    version: int = 1,
    **kwargs: Any,
) -> SwinTransformer:
    """Stages of 2, 2, `third` and 2 blocks on patches of 4x4; a head has 32 channels."""
    if version == 2:
        kwargs |= {"block": SwinTransformerBlockV2, "downsample_layer": PatchMergingV2}
    heads = [embed_dim // 32 * 2**stage for stage in range(4)]
    window = [7, 7] if version == 1 else [8, 8]
    kwargs.setdefault("stochastic_depth_prob", stochastic_depth_prob)
    model = SwinTransformer([4, 4], embed_dim, [2, 2, third, 2], heads, window, **kwargs)
    loaded: SwinTransformer = load_weights(model, weights, progress)
    return loaded


class Swin_T_Weights(WeightsEnum):
    """Pre-trained weights of `swin_t`."""

    IMAGENET1K_V1 = imagenet_weights(
        "swin_t-704ceda3.pth",
        28_288_354,
        (81.474, 95.776),
        4.491,
        108.19,
        "#swintransformer",
        min_size=(224, 224),
        resize_size=232,
        interpolation=InterpolationMode.BICUBIC,
    )
    DEFAULT = IMAGENET1K_V1


class Swin_S_Weights(WeightsEnum):
    """Pre-trained weights of `swin_s`."""

    IMAGENET1K_V1 = imagenet_weights(
        "swin_s-5e29d889.pth",
        49_606_258,
        (83.196, 96.36),
        8.741,
        189.786,
        "#swintransformer",
        min_size=(224, 224),
        resize_size=246,
        interpolation=InterpolationMode.BICUBIC,
    )
    DEFAULT = IMAGENET1K_V1


class Swin_B_Weights(WeightsEnum):
    """Pre-trained weights of `swin_b`."""

    IMAGENET1K_V1 = imagenet_weights(
        "swin_b-68c6b09e.pth",
        87_768_224,
        (83.582, 96.64),
        15.431,
        335.364,
        "#swintransformer",
        min_size=(224, 224),
        resize_size=238,
        interpolation=InterpolationMode.BICUBIC,
    )
    DEFAULT = IMAGENET1K_V1


class Swin_V2_T_Weights(WeightsEnum):
    """Pre-trained weights of `swin_v2_t`."""

    IMAGENET1K_V1 = imagenet_weights(
        "swin_v2_t-b137f0e2.pth",
        28_351_570,
        (82.072, 96.132),
        5.94,
        108.626,
        "#swintransformer-v2",
        min_size=(256, 256),
        crop_size=256,
        resize_size=260,
        interpolation=InterpolationMode.BICUBIC,
    )
    DEFAULT = IMAGENET1K_V1


class Swin_V2_S_Weights(WeightsEnum):
    """Pre-trained weights of `swin_v2_s`."""

    IMAGENET1K_V1 = imagenet_weights(
        "swin_v2_s-637d8ceb.pth",
        49_737_442,
        (83.712, 96.816),
        11.546,
        190.675,
        "#swintransformer-v2",
        min_size=(256, 256),
        crop_size=256,
        resize_size=260,
        interpolation=InterpolationMode.BICUBIC,
    )
    DEFAULT = IMAGENET1K_V1


class Swin_V2_B_Weights(WeightsEnum):
    """Pre-trained weights of `swin_v2_b`."""

    IMAGENET1K_V1 = imagenet_weights(
        "swin_v2_b-781e5279.pth",
        87_930_848,
        (84.112, 96.864),
        20.325,
        336.372,
        "#swintransformer-v2",
        min_size=(256, 256),
        crop_size=256,
        resize_size=272,
        interpolation=InterpolationMode.BICUBIC,
    )
    DEFAULT = IMAGENET1K_V1


@model_builder(Swin_T_Weights)
def swin_t(
    *, weights: Swin_T_Weights | None = None, progress: bool = True, **kwargs: Any
) -> SwinTransformer:
    """Swin transformer T; `weights` is a member of `Swin_T_Weights` or its name."""
    return _swin_transformer(96, 6, 0.2, weights, progress, **kwargs)


@model_builder(Swin_S_Weights)
def swin_s(
    *, weights: Swin_S_Weights | None = None, progress: bool = True, **kwargs: Any
) -> SwinTransformer:
    """Swin transformer S; `weights` is a member of `Swin_S_Weights` or its name."""
    return _swin_transformer(96, 18, 0.3, weights, progress, **kwargs)


@model_builder(Swin_B_Weights)
def swin_b(
    *, weights: Swin_B_Weights | None = None, progress: bool = True, **kwargs: Any
) -> SwinTransformer:
    """Swin transformer B; `weights` is a member of `Swin_B_Weights` or its name."""
    return _swin_transformer(128, 18, 0.5, weights, progress, **kwargs)


@model_builder(Swin_V2_T_Weights)
def swin_v2_t(
    *, weights: Swin_V2_T_Weights | None = None, progress: bool = True, **kwargs: Any
) -> SwinTransformer:
    """Swin transformer V2, size T; `weights` is a member of `Swin_V2_T_Weights` or its name."""
    return _swin_transformer(96, 6, 0.2, weights, progress, version=2, **kwargs)


@model_builder(Swin_V2_S_Weights)
def swin_v2_s(
    *, weights: Swin_V2_S_Weights | None = None, progress: bool = True, **kwargs: Any
) -> SwinTransformer:
    """Swin transformer V2, size S; `weights` is a member of `Swin_V2_S_Weights` or its name."""
    return _swin_transformer(96, 18, 0.3, weights, progress, version=2, **kwargs)


@model_builder(Swin_V2_B_Weights)
def swin_v2_b(
    *, weights: Swin_V2_B_Weights | None = None, progress: bool = True, **kwargs: Any
) -> SwinTransformer:
    """Swin transformer V2, size B; `weights` is a member of `Swin_V2_B_Weights` or its name."""
    return _swin_transformer(128, 18, 0.5, weights, progress, version=2, **kwargs)
