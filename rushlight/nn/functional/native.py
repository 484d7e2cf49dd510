"""`torch.X` where its parameters differ from those of `torch.nn.functional.X`.

PyTorch's root functions take the weight of a table first, the reduction as a number (0 none,
1 mean, 2 sum), whether to train as ``train``, and return what their kernels return.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import rushlight as rl
from rushlight.dispatch.gate import call
from rushlight.ops import grid_sample as sampling

from . import conv, loss, margin_loss, norm, pooling, sparse, vision
from .activation import rrelu as _rrelu
from .dropout import _check, _drop

__all__ = [
    "adaptive_max_pool1d",
    "affine_grid_generator",
    "alpha_dropout",
    "alpha_dropout_",
    "batch_norm",
    "binary_cross_entropy_with_logits",
    "conv_tbc",
    "cosine_embedding_loss",
    "ctc_loss",
    "dropout",
    "dropout_",
    "embedding",
    "embedding_bag",
    "embedding_renorm_",
    "feature_alpha_dropout",
    "feature_alpha_dropout_",
    "feature_dropout",
    "feature_dropout_",
    "grid_sampler",
    "grid_sampler_2d",
    "grid_sampler_3d",
    "group_norm",
    "hinge_embedding_loss",
    "instance_norm",
    "kl_div",
    "layer_norm",
    "margin_ranking_loss",
    "max_pool1d",
    "max_pool2d",
    "max_pool3d",
    "poisson_nll_loss",
    "rrelu",
    "rrelu_",
    "triplet_margin_loss",
]

_REDUCTIONS = ("none", "mean", "sum")
_BAG_MODES = ("sum", "mean", "max")
_SAMPLING = ("bilinear", "nearest", "bicubic")
_PADDING = ("zeros", "border", "reflection")


# Tables


def embedding(
    weight: Any,
    indices: Any,
    padding_idx: int = -1,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Any:
    """The rows of a table at these indices; ``padding_idx`` -1 means none."""
    padding = None if padding_idx == -1 else padding_idx
    return _embedding(indices, weight, padding, None, 2.0, scale_grad_by_freq, sparse)


_embedding = sparse.embedding


def embedding_bag(
    weight: Any,
    indices: Any,
    offsets: Any,
    scale_grad_by_freq: bool = False,
    mode: int = 0,
    sparse: bool = False,
    per_sample_weights: Any = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Any:
    """Bags of rows: mode 0 sums, 1 averages, 2 takes the maximum.

    Returns:
        (bags, each index's bag, how many indices each bag has, where each maximum stands).
    """
    if sparse:
        raise NotImplementedError("sparse gradients are not supported: use sparse=False")
    name = _BAG_MODES[mode]
    out, bag, where = _bags(
        weight,
        indices,
        offsets,
        scale_grad_by_freq,
        name,
        per_sample_weights,
        include_last_offset,
        padding_idx,
    )
    sizes = rl.bincount(bag, minlength=out.size(0)) if bag.numel() else offsets.new_zeros(len(out))
    return out, bag, sizes, where


_bags = sparse._bags


def embedding_renorm_(input: Any, indices: Any, max_norm: float, norm_type: float) -> Any:
    """Scales the rows of a table that are in use, in place, to at most this norm."""
    sparse._renormalise(input, indices, max_norm, norm_type)
    return input


# Normalisation


def batch_norm(
    input: Any,
    weight: Any,
    bias: Any,
    running_mean: Any,
    running_var: Any,
    training: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool,
) -> Any:
    """Batch normalisation."""
    if training and input.numel() == input.size(1):  # one value a channel: PyTorch's kernel obliges
        return norm._normalise_batch(
            input, running_mean, running_var, weight, bias, training, momentum, eps
        )
    return norm.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)


def instance_norm(
    input: Any,
    weight: Any,
    bias: Any,
    running_mean: Any,
    running_var: Any,
    use_input_stats: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool,
) -> Any:
    """Instance normalisation."""
    state = (running_mean, running_var, weight, bias)
    return norm.instance_norm(input, *state, use_input_stats, momentum, eps)


def layer_norm(
    input: Any,
    normalized_shape: Sequence[int],
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
    cudnn_enable: bool = True,
) -> Any:
    """Layer normalisation."""
    return norm.layer_norm(input, normalized_shape, weight, bias, eps)


def group_norm(
    input: Any,
    num_groups: int,
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
    cudnn_enabled: bool = True,
) -> Any:
    """Group normalisation."""
    return norm.group_norm(input, num_groups, weight, bias, eps)


# Dropout


def _published(name: str, feature: bool, alpha: bool, inplace: bool) -> Callable[..., Any]:
    def f(input: Any, p: float, train: bool) -> Any:
        _check(p)
        return _drop(input, p, train, inplace, feature, alpha)

    f.__name__ = f.__qualname__ = name
    f.__doc__ = (
        f"{'Alpha dropout' if alpha else 'Dropout'}{' of whole channels' if feature else ''} with "
        f"probability ``p`` if ``train``{', written into the tensor itself' if inplace else ''}."
    )
    return f


dropout = _published("dropout", False, False, False)
dropout_ = _published("dropout_", False, False, True)
feature_dropout = _published("feature_dropout", True, False, False)
feature_dropout_ = _published("feature_dropout_", True, False, True)
alpha_dropout = _published("alpha_dropout", False, True, False)
alpha_dropout_ = _published("alpha_dropout_", False, True, True)
feature_alpha_dropout = _published("feature_alpha_dropout", True, True, False)
feature_alpha_dropout_ = _published("feature_alpha_dropout_", True, True, True)


def rrelu(
    input: Any,
    lower: float = 1.0 / 8,
    upper: float = 1.0 / 3,
    training: bool = False,
    generator: Any = None,
) -> Any:
    """Leaky ReLU with a random slope in training."""
    return _rrelu(input, lower, upper, training, generator=generator)


def rrelu_(
    input: Any,
    lower: float = 1.0 / 8,
    upper: float = 1.0 / 3,
    training: bool = False,
    generator: Any = None,
) -> Any:
    """``rrelu`` written into the tensor itself."""
    return _rrelu(input, lower, upper, training, True, generator=generator)


# Losses, with the reduction as a number


def _reduction(number: int) -> str:
    if number not in (0, 1, 2):
        raise ValueError(f"{number} is not a valid value for reduction")
    return _REDUCTIONS[number]


def binary_cross_entropy_with_logits(
    input: Any, target: Any, weight: Any = None, pos_weight: Any = None, reduction: int = 1
) -> Any:
    """Binary cross entropy of logits."""
    return loss.binary_cross_entropy_with_logits(
        input, target, weight, reduction=_reduction(reduction), pos_weight=pos_weight
    )


def ctc_loss(
    log_probs: Any,
    targets: Any,
    input_lengths: Any,
    target_lengths: Any,
    blank: int = 0,
    reduction: int = 1,
    zero_infinity: bool = False,
) -> Any:
    """The loss of connectionist temporal classification."""
    kind = _reduction(reduction)
    return loss.ctc_loss(
        log_probs, targets, input_lengths, target_lengths, blank, kind, zero_infinity
    )


def cosine_embedding_loss(
    input1: Any, input2: Any, target: Any, margin: float = 0.0, reduction: int = 1
) -> Any:
    """``1 - cos`` of pairs alike, ``max(0, cos - margin)`` of others."""
    return margin_loss.cosine_embedding_loss(
        input1, input2, target, margin, reduction=_reduction(reduction)
    )


def hinge_embedding_loss(input: Any, target: Any, margin: float = 1.0, reduction: int = 1) -> Any:
    """``x`` where the target is 1, ``max(0, margin - x)`` where it is -1."""
    return margin_loss.hinge_embedding_loss(input, target, margin, reduction=_reduction(reduction))


def kl_div(input: Any, target: Any, reduction: int = 1, *, log_target: bool = False) -> Any:
    """The Kullback-Leibler divergence of a target from logarithms of probabilities."""
    return margin_loss.kl_div(input, target, reduction=_reduction(reduction), log_target=log_target)


def margin_ranking_loss(
    input1: Any, input2: Any, target: Any, margin: float = 0.0, reduction: int = 1
) -> Any:
    """``max(0, -y (x1 - x2) + margin)``."""
    return margin_loss.margin_ranking_loss(
        input1, input2, target, margin, reduction=_reduction(reduction)
    )


def poisson_nll_loss(
    input: Any, target: Any, log_input: bool, full: bool, eps: float, reduction: int
) -> Any:
    """The negative log likelihood of a Poisson distribution."""
    return margin_loss.poisson_nll_loss(
        input, target, log_input, full, eps=eps, reduction=_reduction(reduction)
    )


def triplet_margin_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: int = 1,
) -> Any:
    """``max(0, d(a, p) - d(a, n) + margin)``."""
    return margin_loss.triplet_margin_loss(
        anchor, positive, negative, margin, p, eps, swap, reduction=_reduction(reduction)
    )


# Windows and grids


def adaptive_max_pool1d(input: Any, output_size: Any) -> Any:
    """(the maxima, their places) over windows that tile the input evenly."""
    return pooling.__dict__["adaptive_max_pool1d_with_indices"](input, output_size)


def _pool_of(n: int) -> Callable[..., Any]:
    pool = pooling.__dict__[f"max_pool{n}d"]

    def f(
        input: Any,
        kernel_size: Any,
        stride: Any = (),
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
    ) -> Any:
        return pool(input, kernel_size, stride, padding, dilation, ceil_mode)

    f.__name__ = f.__qualname__ = f"max_pool{n}d"
    f.__doc__ = f"The maximum over {n}-d windows."
    return f


max_pool1d, max_pool2d, max_pool3d = (_pool_of(n) for n in (1, 2, 3))


def conv_tbc(input: Any, weight: Any, bias: Any, pad: int = 0) -> Any:
    """1-d convolution of (time, batch, channels); weight (k, C, K), bias (K)."""
    x = input.permute(1, 2, 0)
    return conv.conv1d(x, weight.permute(2, 1, 0), bias, 1, pad).permute(2, 0, 1)


def affine_grid_generator(theta: Any, size: Sequence[int], align_corners: bool) -> Any:
    """The grid of an affine map."""
    return vision.affine_grid(theta, size, bool(align_corners))


def grid_sampler(
    input: Any, grid: Any, interpolation_mode: int, padding_mode: int, align_corners: bool
) -> Any:
    """``grid_sample``: 0 bilinear, 1 nearest, 2 bicubic; 0 zeros, 1 border, 2 reflection."""
    how = (_SAMPLING[interpolation_mode], _PADDING[padding_mode], bool(align_corners))
    return call(sampling.grid_sample, (input, grid), how)


def grid_sampler_2d(
    input: Any, grid: Any, interpolation_mode: int, padding_mode: int, align_corners: bool
) -> Any:
    """``grid_sampler`` of images."""
    return grid_sampler(input, grid, interpolation_mode, padding_mode, align_corners)


def grid_sampler_3d(
    input: Any, grid: Any, interpolation_mode: int, padding_mode: int, align_corners: bool
) -> Any:
    """``grid_sampler`` of volumes."""
    return grid_sampler(input, grid, interpolation_mode, padding_mode, align_corners)


for _name in __all__:
    getattr(sys.modules[__name__], _name).__module__ = "rushlight"
