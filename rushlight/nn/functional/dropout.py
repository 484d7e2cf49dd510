"""Dropout: elements or whole channels set to zero at random in training."""

from __future__ import annotations

import warnings
from typing import Any

import rushlight as rl

__all__ = [
    "alpha_dropout",
    "dropout",
    "dropout1d",
    "dropout2d",
    "dropout3d",
    "feature_alpha_dropout",
]

_ALPHA = 1.7580993408473766  # minus the saturation value of SELU


def _check(p: float) -> None:
    if p < 0.0 or p > 1.0:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")


def _drop(input: Any, p: float, training: bool, inplace: bool, feature: bool, alpha: bool) -> Any:
    """Draws as PyTorch does: one noise value an element (or a channel), scaled to keep the mean."""
    if p == 0 or not training or input.numel() == 0:
        return input
    if p == 1:
        return input.mul_(0) if inplace else input.mul(0)
    if feature:
        if input.dim() < 2:
            raise RuntimeError("Feature dropout requires at least 2 dimensions in the input")
        noise = input.new_empty([*input.shape[:2], *[1] * (input.dim() - 2)])
    else:
        noise = rl.empty_like(input)
    noise.bernoulli_(1 - p)  # it requires no gradient, so that nothing is recorded
    if not alpha:
        noise.div_(1 - p)
        return input.mul_(noise) if inplace else input * noise
    a = 1 / ((_ALPHA**2 * p + 1) * (1 - p)) ** 0.5
    b = noise.add(-1).mul_(_ALPHA * a).add_(_ALPHA * a * p)
    noise.mul_(a)
    return input.mul_(noise).add_(b) if inplace else input * noise + b


def dropout(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Sets elements to 0 with probability ``p`` and scales the others by 1 / (1 - p).

    Source: Srivastava et al. 2014.

    Example:
        >>> import rushlight as torch
        >>> torch.nn.functional.dropout(torch.ones(2), training=False)
        tensor([1., 1.])
    """
    _check(p)
    return _drop(input, p, training, inplace, False, False)


def alpha_dropout(input: Any, p: float = 0.5, training: bool = False, inplace: bool = False) -> Any:
    """Dropout that keeps mean and variance of SELU networks (Klambauer et al. 2017)."""
    _check(p)
    return _drop(input, p, training, inplace, False, True)


def feature_alpha_dropout(
    input: Any, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Any:
    """``alpha_dropout`` of whole channels."""
    _check(p)
    return _drop(input, p, training, inplace, True, True)


def _check_rank(n: int, input: Any) -> None:
    have = input.dim()
    if have not in (n + 1, n + 2):
        warnings.warn(
            f"dropout{n}d: Received a {have}-D input to dropout{n}d, which is deprecated and will "
            "result in an error in a future release. To retain the behavior and silence this "
            f"warning, please use dropout instead. Note that dropout{n}d exists to provide "
            f"channel-wise dropout on inputs with {n} spatial dimensions, a channel dimension, and "
            f"an optional batch dimension (i.e. {n + 1}D or {n + 2}D inputs).",
            UserWarning,
            stacklevel=3,
        )


def _unbatched(input: Any, p: float, training: bool, inplace: bool) -> Any:
    """Dropout of the channels of one sample."""
    x = input.unsqueeze_(0) if inplace else input.unsqueeze(0)
    out = _drop(x, p, training, inplace, True, False)
    return out.squeeze_(0) if inplace else out.squeeze(0)


def dropout1d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Dropout of whole channels; input (N, C, L) or (C, L)."""
    _check(p)
    if input.dim() not in (2, 3):
        raise RuntimeError(
            f"dropout1d: Expected 2D or 3D input, but received a {input.dim()}D input. Note that "
            "dropout1d exists to provide channel-wise dropout on inputs with 1 spatial dimension, "
            "a "
            "channel dimension, and an optional batch dimension (i.e. 2D or 3D inputs)."
        )
    if input.dim() == 2:
        return _unbatched(input, p, training, inplace)
    return _drop(input, p, training, inplace, True, False)


def dropout2d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Dropout of whole channels of (N, C, H, W), or of (N, C, L), read as ``dropout1d``."""
    _check(p)
    _check_rank(2, input)
    if input.dim() == 3:
        warnings.warn(
            "dropout2d: Received a 3D input to dropout2d and assuming that channel-wise 1D dropout "
            "behavior is desired - input is interpreted as shape (N, C, L), where C is the channel "
            "dim. This behavior will change in a future release to interpret the input as one "
            "without a batch dimension, i.e. shape (C, H, W). To maintain the 1D channel-wise "
            "dropout behavior, please switch to using dropout1d instead.",
            UserWarning,
            stacklevel=2,
        )
    return _drop(input, p, training, inplace, True, False)


def dropout3d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Dropout of whole channels; input (N, C, D, H, W) or (C, D, H, W)."""
    _check(p)
    _check_rank(3, input)
    if input.dim() != 5:
        return _unbatched(input, p, training, inplace)
    return _drop(input, p, training, inplace, True, False)
