"""Stochastic depth: leaving out residual branches at random (https://arxiv.org/abs/1603.09382)."""

from __future__ import annotations

from typing import Any

import rushlight as rl
from rushlight import nn

__all__ = ["StochasticDepth", "stochastic_depth"]


def stochastic_depth(input: Any, p: float, mode: str, training: bool = True) -> Any:
    """Zeroes the input, or rows of it, with probability `p` and scales what is left by 1 / (1 - p).

    Args:
        input: (N, ...).
        p: probability of zero, in [0, 1].
        mode: "batch": all of it or nothing; "row": each of the N rows by itself.
        training: if false the input comes back as it is.

    Example:
        >>> stochastic_depth(rl.ones(2, 3), 0.5, "row", training=False).sum().item()
        6.0
    """
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"drop probability has to be between 0 and 1, but got {p}")
    if mode not in ("batch", "row"):
        raise ValueError(f"mode has to be either 'batch' or 'row', but got {mode}")
    if not training or p == 0.0:
        return input
    rows = input.shape[0] if mode == "row" else 1
    kept = rl.empty([rows] + [1] * (input.ndim - 1), dtype=input.dtype, device=input.device)
    kept = kept.bernoulli_(1.0 - p)
    if p < 1.0:
        kept.div_(1.0 - p)
    return input * kept


class StochasticDepth(nn.Module):
    """`stochastic_depth` as a module, active while training."""

    def __init__(self, p: float, mode: str) -> None:
        super().__init__()
        self.p = p
        self.mode = mode

    def forward(self, input: Any) -> Any:
        """The input, or in training what is left of it."""
        return stochastic_depth(input, self.p, self.mode, self.training)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(p={self.p}, mode={self.mode})"
