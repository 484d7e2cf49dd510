"""Normalisation."""

from __future__ import annotations

from math import prod
from typing import Any

import rushlight as rl
from rushlight.dispatch.gate import call
from rushlight.errors import explained
from rushlight.ops import norm as records

__all__ = ["batch_norm", "group_norm", "instance_norm", "layer_norm", "rms_norm"]


def _check_values(size: Any) -> None:
    if size[0] == 1 and size[2:].numel() == 1:
        raise _too_few(
            f"Expected more than 1 value per channel when training, got input size {size}"
        )


def _too_few(text: str) -> ValueError:
    """The error of too few values, with what to do about it."""
    return explained(
        ValueError(text),
        "one value has no spread to normalise by: model.eval() for a single image, in training a "
        "larger batch (drop_last=True if only the last batch has one)",
        "只有一个值，无法归一化：单张推理先 model.eval()；训练时请加大批次（最后一批只剩一个时设 "
        "drop_last=True）",
    )


def batch_norm(
    input: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """Normalises each channel over batch and positions (Ioffe and Szegedy 2015).

    In training the batch's own mean and variance are used and the running ones are updated:
    ``running = (1 - momentum) * running + momentum * batch``, with the unbiased variance.

    Shapes: input (N, C, ...); the other tensors (C).

    Example:
        >>> import rushlight as torch
        >>> x = torch.tensor([[1.0], [3.0]])
        >>> torch.nn.functional.batch_norm(x, None, None, training=True, eps=0.0)
        tensor([[-1.],
                [ 1.]])
    """
    if training:
        _check_values(input.size())
    return _normalise_batch(input, running_mean, running_var, weight, bias, training, momentum, eps)


def _normalise_batch(
    input: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any,
    bias: Any,
    training: bool,
    momentum: float,
    eps: float,
) -> Any:
    shape = input.shape
    if len(shape) == 1 and shape[0] == 0:  # no channels: nothing to normalise
        input = input.view(1, 0)
        state = (running_mean, running_var, weight, bias)
        return _normalise_batch(input, *state, training, momentum, eps).view(0)
    if not training and (running_mean is None or running_var is None):
        raise RuntimeError("running_mean must be defined in evaluation mode")
    if not training:
        inputs = (input, weight, bias, running_mean, running_var)
        return call(records.batch_norm, inputs, (False, float(eps)))[0]
    inputs = (input, weight, bias, None, None)
    out, mean, _, var = call(records.batch_norm, inputs, (True, float(eps)))
    if running_mean is not None:
        count = prod(shape) // (shape[1] or 1)
        keep = 1 - momentum
        with rl.no_grad():
            unbiased = var * (count / (count - 1 if count > 1 else 1))
            if mean.dtype is not running_mean.dtype:
                mean, unbiased = mean.to(running_mean.dtype), unbiased.to(running_var.dtype)
            running_mean.mul_(keep).add_(mean, alpha=momentum)
            running_var.mul_(keep).add_(unbiased, alpha=momentum)
    return out


def instance_norm(
    input: Any,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """Normalises each channel of each sample over its positions (Ulyanov et al. 2016)."""
    if use_input_stats:
        count = 1
        for s in input.shape[2:]:
            count *= s
        if count == 1:
            raise ValueError(
                f"Expected more than 1 spatial element when training, got input size {input.size()}"
            )
    elif running_mean is None or running_var is None:
        raise RuntimeError(
            "Expected running_mean and running_var to be defined when use_input_stats is false"
        )
    n, c = input.shape[:2]
    rows = input.contiguous().view(1, n * c, *input.shape[2:])

    def each(t: Any) -> Any:
        return None if t is None else t.repeat(n)

    mean, var = each(running_mean), each(running_var)
    out = batch_norm(rows, mean, var, each(weight), each(bias), use_input_stats, momentum, eps)
    if use_input_stats and running_mean is not None:
        with rl.no_grad():
            running_mean.copy_(mean.view(n, c).mean(0))
            running_var.copy_(var.view(n, c).mean(0))
    return out.view(input.shape)


def layer_norm(
    input: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Any:
    """Normalises over the last dimensions (Ba et al. 2016).

    Example:
        >>> import rushlight as torch
        >>> torch.nn.functional.layer_norm(torch.tensor([[1.0, 3.0]]), (2,), eps=0.0)
        tensor([[-1.,  1.]])
    """
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    return call(records.layer_norm, (input, weight, bias), (shape, float(eps)))[0]


def group_norm(
    input: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Any:
    """Normalises over groups of channels (Wu and He 2018)."""
    if input.dim() < 2:
        raise RuntimeError(
            f"Expected at least 2 dimensions for input tensor but received {input.dim()}"
        )
    _check_values(
        [
            input.size(0) * input.size(1) // num_groups if num_groups else 1,
            num_groups,
            *input.shape[2:],
        ]
    )
    return call(records.group_norm, (input, weight, bias), (num_groups, float(eps)))[0]


def rms_norm(
    input: Any, normalized_shape: Any, weight: Any = None, eps: float | None = None
) -> Any:
    """Divides by the root of the mean square over the last dimensions (Zhang and Sennrich 2019)."""
    shape = [normalized_shape] if isinstance(normalized_shape, int) else list(normalized_shape)
    n = len(shape)
    if not shape:
        raise RuntimeError(
            "Expected normalized_shape to be at least 1-dimensional, i.e., containing at least one "
            "element, but got normalized_shape = []"
        )
    if weight is not None and list(weight.shape) != shape:
        raise RuntimeError(
            "Expected weight to be of same shape as normalized_shape, but got weight of shape "
            f"{list(weight.shape)} and normalized_shape = {shape}"
        )
    if list(input.shape[input.dim() - n :]) != shape:
        raise RuntimeError(
            f"Given normalized_shape={shape}, expected input with shape [*"
            f"{', '.join(map(str, shape))}], but got input of size{list(input.shape)}"
        )
    dims = list(range(input.dim() - n, input.dim()))
    if eps is None:
        eps = rl.finfo(input.dtype).eps
    wide = input.float() if input.dtype in (rl.float16, rl.bfloat16) else input
    out = wide * rl.rsqrt((wide * wide).mean(dims, keepdim=True) + eps)
    out = out.to(input.dtype)
    return out if weight is None else out * weight
