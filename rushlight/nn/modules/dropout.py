"""Dropout layers: parts of the input are zeroed at random while training.

In: a tensor.  Out: the same with elements or whole channels zeroed and the rest scaled up, so that
the expectation stays; in evaluation the input itself.
"""

from __future__ import annotations

from typing import Any

from rushlight.nn import functional as F

from .module import Module

__all__ = [
    "Dropout",
    "Dropout1d",
    "Dropout2d",
    "Dropout3d",
    "AlphaDropout",
    "FeatureAlphaDropout",
]


class _DropoutNd(Module):
    """Keeps the probability, which lies in [0, 1]."""

    __constants__ = ["p", "inplace"]
    p: float
    inplace: bool

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        if p < 0 or p > 1:
            raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
        self.p = p
        self.inplace = inplace

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_DropoutNd):
    """Zeroes elements with probability p and divides the rest by 1 - p.

    Args:
        p: the probability. Default: 0.5.
        inplace: overwrite the input. Default: `False`.

    Raises:
        ValueError: p is outside [0, 1].

    Source: Hinton et al., "Improving neural networks by preventing co-adaptation", 2012.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.Dropout(0.2).eval()(rl.ones(2))
        tensor([1., 1.])
    """

    def forward(self, input: Any) -> Any:
        """Drop, if the module is training."""
        return F.dropout(input, self.p, self.training, self.inplace)


class Dropout1d(_DropoutNd):
    """Zeroes whole channels of (N, C, L) or (C, L) with probability p.

    Args:
        p: the probability. Default: 0.5.
        inplace: overwrite the input. Default: `False`.

    Raises:
        ValueError: p is outside [0, 1].

    Source: Tompson et al., "Efficient object localization using convolutional networks", 2015.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.Dropout1d(0.2)(rl.ones(2, 3, 4)).shape
        torch.Size([2, 3, 4])
    """

    def forward(self, input: Any) -> Any:
        """Drop, if the module is training."""
        return F.dropout1d(input, self.p, self.training, self.inplace)


class Dropout2d(_DropoutNd):
    """Zeroes whole channels of (N, C, H, W) or (C, H, W) with probability p.

    Args:
        p: the probability. Default: 0.5.
        inplace: overwrite the input. Default: `False`.

    Raises:
        ValueError: p is outside [0, 1].

    Source: Tompson et al., "Efficient object localization using convolutional networks", 2015.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.Dropout2d(0.2)(rl.ones(2, 3, 4, 4)).shape
        torch.Size([2, 3, 4, 4])
    """

    def forward(self, input: Any) -> Any:
        """Drop, if the module is training."""
        return F.dropout2d(input, self.p, self.training, self.inplace)


class Dropout3d(_DropoutNd):
    """Zeroes whole channels of (N, C, D, H, W) or (C, D, H, W) with probability p.

    Args:
        p: the probability. Default: 0.5.
        inplace: overwrite the input. Default: `False`.

    Raises:
        ValueError: p is outside [0, 1].

    Source: Tompson et al., "Efficient object localization using convolutional networks", 2015.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.Dropout3d(0.2)(rl.ones(2, 3, 2, 2, 2)).shape
        torch.Size([2, 3, 2, 2, 2])
    """

    def forward(self, input: Any) -> Any:
        """Drop, if the module is training."""
        return F.dropout3d(input, self.p, self.training, self.inplace)


class AlphaDropout(_DropoutNd):
    """Dropout for SELU networks: it keeps mean 0 and variance 1.

    Args:
        p: the probability. Default: 0.5.
        inplace: has no effect.

    Raises:
        ValueError: p is outside [0, 1].

    Source: Klambauer et al., "Self-normalizing neural networks", 2017.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.AlphaDropout(0.2).eval()(rl.ones(2))
        tensor([1., 1.])
    """

    def forward(self, input: Any) -> Any:
        """Drop, if the module is training."""
        return F.alpha_dropout(input, self.p, self.training)


class FeatureAlphaDropout(_DropoutNd):
    """AlphaDropout of whole channels.

    Args:
        p: the probability. Default: 0.5.
        inplace: has no effect.

    Raises:
        ValueError: p is outside [0, 1].

    Source: Klambauer et al., "Self-normalizing neural networks", 2017.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.FeatureAlphaDropout(0.2).eval()(rl.ones(1, 2))
        tensor([[1., 1.]])
    """

    def forward(self, input: Any) -> Any:
        """Drop, if the module is training."""
        return F.feature_alpha_dropout(input, self.p, self.training)
