"""What loss modules share: the reduction and a buffer of weights.

In: `reduction`, or the two deprecated booleans.  Out: the base classes of all losses.
"""

from __future__ import annotations

from typing import Any

from rushlight.nn import _reduction as _Reduction

from .module import Module


class _Loss(Module):
    """Keeps `reduction`, which the two deprecated booleans may also say."""

    reduction: str

    def __init__(
        self, size_average: Any = None, reduce: Any = None, reduction: str = "mean"
    ) -> None:
        super().__init__()
        if size_average is not None or reduce is not None:
            reduction = _Reduction.legacy_get_string(size_average, reduce)
        self.reduction = reduction


class _WeightedLoss(_Loss):
    """A loss with a buffer of weights."""

    weight: Any

    def __init__(
        self,
        weight: Any = None,
        size_average: Any = None,
        reduce: Any = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.register_buffer("weight", weight)
