"""Vision transformer: an image as a sequence of patches.

Sources: A. Dosovitskiy et al., https://arxiv.org/abs/2010.11929; convolutional stem, T. Xiao et
al., https://arxiv.org/abs/2106.14881.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import rushlight as rl
from rushlight import nn
from rushlight.vision.models._api import WeightsEnum, model_builder, require
from rushlight.vision.models._meta import SWAG, imagenet_weights, swag_preset
from rushlight.vision.models._utils import load_weights
from rushlight.vision.ops.misc import MLP, Conv2dNormActivation

__all__ = [
    "ViT_B_16_Weights",
    "ViT_B_32_Weights",
    "ViT_H_14_Weights",
    "ViT_L_16_Weights",
    "ViT_L_32_Weights",
    "VisionTransformer",
    "vit_b_16",
    "vit_b_32",
    "vit_h_14",
    "vit_l_16",
    "vit_l_32",
]

Layer = Callable[..., Any]
LAYER_NORM = partial(nn.LayerNorm, eps=1e-6)


class ConvStemConfig(NamedTuple):
    """One convolution of a convolutional stem."""

    out_channels: int
    kernel_size: int
    stride: int
    norm_layer: Layer = nn.BatchNorm2d
    activation_layer: Layer = nn.ReLU


class MLPBlock(MLP):
    """The two linear layers of an encoder block, with GELU between them."""

    _version = 2  # before, the layers were called linear_1 and linear_2

    def __init__(self, in_dim: int, mlp_dim: int, dropout: float) -> None:
        super().__init__(in_dim, [mlp_dim, in_dim], activation_layer=nn.GELU, dropout=dropout)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.normal_(module.bias, std=1e-6)

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, local_metadata: dict[str, Any], *rest: Any
    ) -> None:
        version = local_metadata.get("version")
        if version is None or version < 2:
            for old, new in (("linear_1", "0"), ("linear_2", "3")):
                for kind in ("weight", "bias"):
                    if f"{prefix}{old}.{kind}" in state_dict:
                        value = state_dict.pop(f"{prefix}{old}.{kind}")
                        state_dict[f"{prefix}{new}.{kind}"] = value
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *rest)


class EncoderBlock(nn.Module):
    """Self-attention, then two linear layers, each after normalisation and added to its input.

    Shape: (N, S, hidden_dim) -> (N, S, hidden_dim).
    """

    def __init__(
        self,
        num_heads: int,
        hidden_dim: int,
        mlp_dim: int,
        dropout: float,
        attention_dropout: float,
        norm_layer: Layer = LAYER_NORM,
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.ln_1 = norm_layer(hidden_dim)
        self.self_attention = nn.MultiheadAttention(
            hidden_dim, num_heads, dropout=attention_dropout, batch_first=True
        )
        self.dropout = nn.Dropout(dropout)
        self.ln_2 = norm_layer(hidden_dim)
        self.mlp = MLPBlock(hidden_dim, mlp_dim, dropout)

    def forward(self, input: Any) -> Any:
        """The sequence after attention and linear layers."""
        _check_sequence(input)
        x = self.ln_1(input)
        x, _ = self.self_attention(x, x, x, need_weights=False)
        x = self.dropout(x) + input
        return x + self.mlp(self.ln_2(x))


class Encoder(nn.Module):
    """A learnt embedding of each position added, then the blocks, then normalisation.

    Shape: (N, seq_length, hidden_dim) -> the same.
    """

    def __init__(
        self,
        seq_length: int,
        num_layers: int,
        num_heads: int,
        hidden_dim: int,
        mlp_dim: int,
        dropout: float,
        attention_dropout: float,
        norm_layer: Layer = LAYER_NORM,
    ) -> None:
        super().__init__()
        self.pos_embedding = nn.Parameter(rl.empty(1, seq_length, hidden_dim).normal_(std=0.02))
        self.dropout = nn.Dropout(dropout)
        shape = (num_heads, hidden_dim, mlp_dim, dropout, attention_dropout, norm_layer)
        blocks = [(f"encoder_layer_{index}", EncoderBlock(*shape)) for index in range(num_layers)]
        self.layers = nn.Sequential(OrderedDict(blocks))
        self.ln = norm_layer(hidden_dim)

    def forward(self, input: Any) -> Any:
        """The encoded sequence."""
        _check_sequence(input)
        return self.ln(self.layers(self.dropout(input + self.pos_embedding)))


def _check_sequence(input: Any) -> None:
    if input.dim() != 3:
        raise AssertionError(f"Expected (batch_size, seq_length, hidden_dim) got {input.shape}")


class VisionTransformer(nn.Module):
    """Vision transformer for square images of one size.

    Args:
        image_size: height and width of the images.
        patch_size: height and width of a patch; divides `image_size`.
        num_layers: encoder blocks.
        num_heads: heads of each attention.
        hidden_dim: size of a patch's embedding.
        mlp_dim: inner size of the blocks' linear layers.
        dropout: probability, after attention and linear layers.
        attention_dropout: probability, of attention weights.
        num_classes: number of outputs.
        representation_size: size of one more layer before the last; None for none.
        norm_layer: function of a size; by default `LayerNorm` with eps 1e-6.
        conv_stem_configs: convolutions in the place of the single one that embeds the patches.

    Shape: (N, 3, image_size, image_size) -> (N, num_classes).

    Example:
        >>> VisionTransformer(32, 16, 1, 2, 8, 16, num_classes=3)(rl.rand(2, 3, 32, 32)).shape
        torch.Size([2, 3])
    """

    def __init__(
        self,
        image_size: int,
        patch_size: int,
        num_layers: int,
        num_heads: int,
        hidden_dim: int,
        mlp_dim: int,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        num_classes: int = 1000,
        representation_size: int | None = None,
        norm_layer: Layer = LAYER_NORM,
        conv_stem_configs: list[ConvStemConfig] | None = None,
    ) -> None:
        super().__init__()
        if image_size % patch_size != 0:
            raise AssertionError("Input shape indivisible by patch size!")
        self.image_size = image_size
        self.patch_size = patch_size
        self.hidden_dim = hidden_dim
        self.mlp_dim = mlp_dim
        self.attention_dropout = attention_dropout
        self.dropout = dropout
        self.num_classes = num_classes
        self.representation_size = representation_size
        self.norm_layer = norm_layer
        self.conv_proj: Any
        if conv_stem_configs is None:
            self.conv_proj = nn.Conv2d(3, hidden_dim, kernel_size=patch_size, stride=patch_size)
        else:
            self.conv_proj = _conv_stem(conv_stem_configs, hidden_dim)
        self.class_token = nn.Parameter(rl.zeros(1, 1, hidden_dim))
        seq_length = (image_size // patch_size) ** 2 + 1  # the patches and the class token
        shape = (num_heads, hidden_dim, mlp_dim, dropout, attention_dropout, norm_layer)
        self.encoder = Encoder(seq_length, num_layers, *shape)
        self.seq_length = seq_length
        heads: OrderedDict[str, Any] = OrderedDict()
        if representation_size is None:
            heads["head"] = nn.Linear(hidden_dim, num_classes)
        else:
            heads["pre_logits"] = nn.Linear(hidden_dim, representation_size)
            heads["act"] = nn.Tanh()
            heads["head"] = nn.Linear(representation_size, num_classes)
        self.heads = nn.Sequential(heads)
        self._initialize()

    def _initialize(self) -> None:
        stem = self.conv_proj
        if isinstance(stem, nn.Conv2d):
            fan_in = stem.in_channels * stem.kernel_size[0] * stem.kernel_size[1]
            nn.init.trunc_normal_(stem.weight, std=math.sqrt(1 / fan_in))
            nn.init.zeros_(stem.bias)
        else:
            last = stem.conv_last
            nn.init.normal_(last.weight, mean=0.0, std=math.sqrt(2.0 / last.out_channels))
            nn.init.zeros_(last.bias)
        if self.representation_size is not None:
            layer = self.heads.pre_logits
            nn.init.trunc_normal_(layer.weight, std=math.sqrt(1 / layer.in_features))
            nn.init.zeros_(layer.bias)
        nn.init.zeros_(self.heads.head.weight)
        nn.init.zeros_(self.heads.head.bias)

    def _process_input(self, x: Any) -> Any:
        """(N, 3, H, W) -> (N, patches, hidden_dim)."""
        count, _, height, width = x.shape
        size = self.image_size
        if height != size:
            raise AssertionError(f"Wrong image height! Expected {size} but got {height}!")
        if width != size:
            raise AssertionError(f"Wrong image width! Expected {size} but got {width}!")
        side = size // self.patch_size
        x = self.conv_proj(x)  # (N, hidden_dim, side, side)
        return x.reshape(count, self.hidden_dim, side * side).permute(0, 2, 1)

    def forward(self, x: Any) -> Any:
        """Scores (N, num_classes) of images (N, 3, image_size, image_size)."""
        x = self._process_input(x)
        token = self.class_token.expand(x.shape[0], -1, -1)
        x = self.encoder(rl.cat([token, x], dim=1))
        return self.heads(x[:, 0])


def _conv_stem(configs: list[ConvStemConfig], hidden_dim: int) -> Any:
    stem = nn.Sequential()
    channels = 3
    for index, config in enumerate(configs):
        layer = Conv2dNormActivation(
            channels,
            config.out_channels,
            kernel_size=config.kernel_size,
            stride=config.stride,
            norm_layer=config.norm_layer,
            activation_layer=config.activation_layer,
        )
        stem.add_module(f"conv_bn_relu_{index}", layer)
        channels = config.out_channels
    stem.add_module("conv_last", nn.Conv2d(channels, hidden_dim, kernel_size=1))
    return stem


def interpolate_embeddings(
    image_size: int,
    patch_size: int,
    model_state: OrderedDict[str, Any],
    interpolation_mode: str = "bicubic",
    reset_heads: bool = False,
) -> OrderedDict[str, Any]:
    """A state dict for images of another size: the positions' embeddings are interpolated.

    Args:
        image_size: of the new model.
        patch_size: of the new model.
        model_state: state dict of the old model; its position embedding is replaced.
        interpolation_mode: as in `nn.functional.interpolate`.
        reset_heads: leave out the last layers.

    Raises:
        ValueError: the old positions do not make a square.
    """
    embedding = model_state["encoder.pos_embedding"]
    count, seq_length, hidden_dim = embedding.shape
    if count != 1:
        raise ValueError(f"Unexpected position embedding shape: {embedding.shape}")
    side = image_size // patch_size
    if side**2 + 1 == seq_length:
        return model_state
    token, positions = embedding[:, :1, :], embedding[:, 1:, :]
    old_side = math.isqrt(seq_length - 1)
    if old_side**2 != seq_length - 1:
        raise ValueError(
            "seq_length is not a perfect square! Instead got seq_length_1d * seq_length_1d = "
            f"{old_side**2} and seq_length = {seq_length - 1}"
        )
    grid = positions.permute(0, 2, 1).reshape(1, hidden_dim, old_side, old_side)
    grid = nn.functional.interpolate(grid, size=side, mode=interpolation_mode, align_corners=True)
    positions = grid.reshape(1, hidden_dim, side**2).permute(0, 2, 1)
    model_state["encoder.pos_embedding"] = rl.cat([token, positions], dim=1)
    if reset_heads:
        kept = ((key, v) for key, v in model_state.items() if not key.startswith("heads"))
        model_state = OrderedDict(kept)
    return model_state


def _vision_transformer(
    patch_size: int,
    num_layers: int,
    num_heads: int,
    hidden_dim: int,
    weights: WeightsEnum | None,
    progress: bool,
    **kwargs: Any,
) -> VisionTransformer:
    """The published sizes: the linear layers are four times as wide inside."""
    if weights is not None:
        require(kwargs, "image_size", weights.meta["min_size"][0])
    image_size = kwargs.pop("image_size", 224)
    shape = (patch_size, num_layers, num_heads, hidden_dim, 4 * hidden_dim)
    model = VisionTransformer(image_size, *shape, **kwargs)
    loaded: VisionTransformer = load_weights(model, weights, progress)
    return loaded


class ViT_B_16_Weights(WeightsEnum):
    """Pre-trained weights of `vit_b_16`."""

    IMAGENET1K_V1 = imagenet_weights(
        "vit_b_16-c867db91.pth",
        86_567_656,
        (81.072, 95.318),
        17.564,
        330.285,
        "#vit_b_16",
        min_size=(224, 224),
    )
    IMAGENET1K_SWAG_E2E_V1 = imagenet_weights(
        "vit_b_16_swag-9ac1b537.pth",
        86_859_496,
        (85.304, 97.65),
        55.484,
        331.398,
        SWAG,
        min_size=(384, 384),
        **swag_preset(384),
    )
    IMAGENET1K_SWAG_LINEAR_V1 = imagenet_weights(
        "vit_b_16_lc_swag-4e70ced5.pth",
        86_567_656,
        (81.886, 96.18),
        17.564,
        330.285,
        "pull/5793",
        min_size=(224, 224),
        **swag_preset(224),
    )
    DEFAULT = IMAGENET1K_V1


class ViT_B_32_Weights(WeightsEnum):
    """Pre-trained weights of `vit_b_32`."""

    IMAGENET1K_V1 = imagenet_weights(
        "vit_b_32-d86f8d99.pth",
        88_224_232,
        (75.912, 92.466),
        4.409,
        336.604,
        "#vit_b_32",
        min_size=(224, 224),
    )
    DEFAULT = IMAGENET1K_V1


class ViT_L_16_Weights(WeightsEnum):
    """Pre-trained weights of `vit_l_16`."""

    IMAGENET1K_V1 = imagenet_weights(
        "vit_l_16-852ce7e3.pth",
        304_326_632,
        (79.662, 94.638),
        61.555,
        1161.023,
        "#vit_l_16",
        min_size=(224, 224),
        resize_size=242,
    )
    IMAGENET1K_SWAG_E2E_V1 = imagenet_weights(
        "vit_l_16_swag-4f3808c9.pth",
        305_174_504,
        (88.064, 98.512),
        361.986,
        1164.258,
        SWAG,
        min_size=(512, 512),
        **swag_preset(512),
    )
    IMAGENET1K_SWAG_LINEAR_V1 = imagenet_weights(
        "vit_l_16_lc_swag-4d563306.pth",
        304_326_632,
        (85.146, 97.422),
        61.555,
        1161.023,
        "pull/5793",
        min_size=(224, 224),
        **swag_preset(224),
    )
    DEFAULT = IMAGENET1K_V1


class ViT_L_32_Weights(WeightsEnum):
    """Pre-trained weights of `vit_l_32`."""

    IMAGENET1K_V1 = imagenet_weights(
        "vit_l_32-c7638314.pth",
        306_535_400,
        (76.972, 93.07),
        15.378,
        1169.449,
        "#vit_l_32",
        min_size=(224, 224),
    )
    DEFAULT = IMAGENET1K_V1


class ViT_H_14_Weights(WeightsEnum):
    """Pre-trained weights of `vit_h_14`."""

    IMAGENET1K_SWAG_E2E_V1 = imagenet_weights(
        "vit_h_14_swag-80465313.pth",
        633_470_440,
        (88.552, 98.694),
        1016.717,
        2416.643,
        SWAG,
        min_size=(518, 518),
        **swag_preset(518),
    )
    IMAGENET1K_SWAG_LINEAR_V1 = imagenet_weights(
        "vit_h_14_lc_swag-c1eb923e.pth",
        632_045_800,
        (85.708, 97.73),
        167.295,
        2411.209,
        "pull/5793",
        min_size=(224, 224),
        **swag_preset(224),
    )
    DEFAULT = IMAGENET1K_SWAG_E2E_V1


@model_builder(ViT_B_16_Weights)
def vit_b_16(
    *, weights: ViT_B_16_Weights | None = None, progress: bool = True, **kwargs: Any
) -> VisionTransformer:
    """ViT Base on patches of 16x16; `weights` is a member of `ViT_B_16_Weights` or its name."""
    return _vision_transformer(16, 12, 12, 768, weights, progress, **kwargs)


@model_builder(ViT_B_32_Weights)
def vit_b_32(
    *, weights: ViT_B_32_Weights | None = None, progress: bool = True, **kwargs: Any
) -> VisionTransformer:
    """ViT Base on patches of 32x32; `weights` is a member of `ViT_B_32_Weights` or its name."""
    return _vision_transformer(32, 12, 12, 768, weights, progress, **kwargs)


@model_builder(ViT_L_16_Weights)
def vit_l_16(
    *, weights: ViT_L_16_Weights | None = None, progress: bool = True, **kwargs: Any
) -> VisionTransformer:
    """ViT Large on patches of 16x16; `weights` is a member of `ViT_L_16_Weights` or its name."""
    return _vision_transformer(16, 24, 16, 1024, weights, progress, **kwargs)


@model_builder(ViT_L_32_Weights)
def vit_l_32(
    *, weights: ViT_L_32_Weights | None = None, progress: bool = True, **kwargs: Any
) -> VisionTransformer:
    """ViT Large on patches of 32x32; `weights` is a member of `ViT_L_32_Weights` or its name."""
    return _vision_transformer(32, 24, 16, 1024, weights, progress, **kwargs)


@model_builder(ViT_H_14_Weights)
def vit_h_14(
    *, weights: ViT_H_14_Weights | None = None, progress: bool = True, **kwargs: Any
) -> VisionTransformer:
    """ViT Huge on patches of 14x14; `weights` is a member of `ViT_H_14_Weights` or its name."""
    return _vision_transformer(14, 32, 16, 1280, weights, progress, **kwargs)
