"""Fusing a batch normalisation in evaluation into the layer before it.

In: a convolution or Linear and a BatchNorm, both in evaluation.  Out: one layer that does both.
"""

from __future__ import annotations

import copy
from typing import Any

import rushlight as rl
from rushlight.nn.parameter import Parameter

__all__ = [
    "fuse_conv_bn_eval",
    "fuse_conv_bn_weights",
    "fuse_linear_bn_eval",
    "fuse_linear_bn_weights",
]


def _check(layer: Any, bn: Any) -> None:
    if layer.training or bn.training:
        raise AssertionError("Fusion only for eval!")
    if bn.running_mean is None or bn.running_var is None:
        raise AssertionError("bn.running_mean and bn.running_var must not be None")


def fuse_conv_bn_eval(conv: Any, bn: Any, transpose: bool = False) -> Any:
    """A convolution that does `conv` and then `bn`.

    Args:
        conv: in evaluation mode.
        bn: in evaluation mode, with running statistics.
        transpose: the convolution is transposed. Default: `False`.

    Raises:
        AssertionError: a layer is training, or there are no statistics.

    Example:
        >>> import rushlight as rl
        >>> conv, bn = rl.nn.Conv2d(1, 2, 3).eval(), rl.nn.BatchNorm2d(2).eval()
        >>> rl.nn.utils.fuse_conv_bn_eval(conv, bn)
        Conv2d(1, 2, kernel_size=(3, 3), stride=(1, 1))
    """
    _check(conv, bn)
    fused = copy.deepcopy(conv)
    fused.weight, fused.bias = fuse_conv_bn_weights(
        fused.weight,
        fused.bias,
        bn.running_mean,
        bn.running_var,
        bn.eps,
        bn.weight,
        bn.bias,
        transpose,
    )
    return fused


def fuse_conv_bn_weights(
    conv_w: Any,
    conv_b: Any,
    bn_rm: Any,
    bn_rv: Any,
    bn_eps: float,
    bn_w: Any,
    bn_b: Any,
    transpose: bool = False,
) -> tuple[Any, Any]:
    """The weight and bias of a convolution fused with a batch normalisation.

    w' = w * bn_w / sqrt(var + eps), b' = (b - mean) * bn_w / sqrt(var + eps) + bn_b.
    """
    bias_dtype = conv_w.dtype if conv_b is None else conv_b.dtype
    bias = rl.zeros_like(bn_rm) if conv_b is None else conv_b
    weight = rl.ones_like(bn_rm) if bn_w is None else bn_w
    shift = rl.zeros_like(bn_rm) if bn_b is None else bn_b
    inverse = rl.rsqrt(bn_rv + bn_eps)
    shape = [1] * conv_w.dim()
    shape[1 if transpose else 0] = -1
    fused_w = (conv_w * (weight * inverse).reshape(shape)).to(dtype=conv_w.dtype)
    fused_b = ((bias - bn_rm) * inverse * weight + shift).to(dtype=bias_dtype)
    return Parameter(fused_w, conv_w.requires_grad), Parameter(fused_b, bias.requires_grad)


def fuse_linear_bn_eval(linear: Any, bn: Any) -> Any:
    """A Linear that does `linear` and then `bn`, both in evaluation mode.

    Raises:
        AssertionError: a layer is training, there are no statistics, or sizes differ.
    """
    _check(linear, bn)
    if linear.out_features != bn.num_features and bn.num_features != 1:
        raise AssertionError(
            "To fuse, linear.out_features == bn.num_features or bn.num_features == 1, got "
            f"linear.out_features={linear.out_features} and bn.num_features={bn.num_features}"
        )
    fused = copy.deepcopy(linear)
    fused.weight, fused.bias = fuse_linear_bn_weights(
        fused.weight, fused.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias
    )
    return fused


def fuse_linear_bn_weights(
    linear_w: Any, linear_b: Any, bn_rm: Any, bn_rv: Any, bn_eps: float, bn_w: Any, bn_b: Any
) -> tuple[Any, Any]:
    """The weight and bias of a Linear fused with a batch normalisation; see the convolution's."""
    bias_dtype = linear_w.dtype if linear_b is None else linear_b.dtype
    bias = rl.zeros_like(bn_rm) if linear_b is None else linear_b
    scale = bn_w * rl.rsqrt(bn_rv + bn_eps)
    fused_w = linear_w * scale.unsqueeze(-1).to(dtype=linear_w.dtype)
    fused_b = ((bias - bn_rm) * scale + bn_b).to(dtype=bias_dtype)
    return Parameter(fused_w, linear_w.requires_grad), Parameter(fused_b, bias.requires_grad)
