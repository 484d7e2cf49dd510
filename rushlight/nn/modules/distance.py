"""Distances between pairs of vectors, as modules.

In: two tensors of one shape.  Out: a distance, or a similarity, for each pair of vectors.
"""

from __future__ import annotations

from typing import Any

from rushlight.nn import functional as F

from .module import Module

__all__ = ["PairwiseDistance", "CosineSimilarity"]


class PairwiseDistance(Module):
    """The p-norm of x1 - x2 + eps along the last dimension.

    Args:
        p: of the norm; may be negative. Default: 2.
        eps: added to each difference, so that a gradient exists. Default: 1e-6.
        keepdim: keep the last dimension with size 1. Default: `False`.

    Shape:
        Inputs (N, D) or (D); output (N) or (), or (N, 1) and (1) with `keepdim`.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.PairwiseDistance()(rl.zeros(1, 4), rl.ones(1, 4))
        tensor([2.0000])
    """

    __constants__ = ["norm", "eps", "keepdim"]
    norm: float
    eps: float
    keepdim: bool

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> None:
        super().__init__()
        self.norm = p
        self.eps = eps
        self.keepdim = keepdim

    def forward(self, x1: Any, x2: Any) -> Any:
        """The distances."""
        return F.pairwise_distance(x1, x2, self.norm, self.eps, self.keepdim)


class CosineSimilarity(Module):
    """x1 . x2 / (|x1| |x2|) along `dim`.

    Args:
        dim: the dimension of the vectors. Default: 1.
        eps: smallest norm, so that nothing divides by zero. Default: 1e-8.

    Shape:
        Inputs broadcast against each other; output without `dim`.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.CosineSimilarity()(rl.ones(1, 2), -rl.ones(1, 2)).round()
        tensor([-1.])
    """

    __constants__ = ["dim", "eps"]
    dim: int
    eps: float

    def __init__(self, dim: int = 1, eps: float = 1e-8) -> None:
        super().__init__()
        self.dim = dim
        self.eps = eps

    def forward(self, x1: Any, x2: Any) -> Any:
        """The similarities."""
        return F.cosine_similarity(x1, x2, self.dim, self.eps)
