"""Losses with a margin: hinges, rankings, embeddings and triplets.

In: scores or embeddings, and which of them belong together.  Out: zero once they are apart by the
margin.  PyTorch keeps these classes in its file `loss.py`; pickled modules name them there.
"""

from __future__ import annotations

from typing import Any

from rushlight.nn import functional as F

from ._loss_base import _Loss, _WeightedLoss
from .distance import PairwiseDistance

__all__ = [
    "HingeEmbeddingLoss",
    "MultiLabelMarginLoss",
    "SoftMarginLoss",
    "MultiLabelSoftMarginLoss",
    "CosineEmbeddingLoss",
    "MarginRankingLoss",
    "MultiMarginLoss",
    "TripletMarginLoss",
    "TripletMarginWithDistanceLoss",
]


class HingeEmbeddingLoss(_Loss):
    """The input where the target is 1, max(0, margin - input) where it is -1.

    Args:
        margin: default: 1.
        size_average, reduce: deprecated, see `reduction`.
        reduction: `"mean"`, `"sum"` or `"none"`. Default: `"mean"`.

    Shape:
        Input and target of one shape (*); output a scalar, or (*) without reduction.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.HingeEmbeddingLoss()(rl.tensor([3.0]), rl.tensor([1.0]))
        tensor(3.)
    """

    __constants__ = ["margin", "reduction"]

    margin: float

    def __init__(
        self,
        margin: float = 1.0,
        size_average: Any = None,
        reduce: Any = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.margin = margin

    def forward(self, input: Any, target: Any) -> Any:
        """The loss."""
        return F.hinge_embedding_loss(input, target, margin=self.margin, reduction=self.reduction)


class MultiLabelMarginLoss(_Loss):
    """A hinge loss where several classes are right: the target lists them, then -1.

    Args:
        size_average, reduce: deprecated, see `reduction`.
        reduction: `"mean"`, `"sum"` or `"none"`. Default: `"mean"`.

    Shape:
        Input (N, C) or (C), target the same of class indices.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.MultiLabelMarginLoss()(rl.zeros(1, 2), rl.tensor([[0, -1]]))
        tensor(0.5000)
    """

    __constants__ = ["reduction"]

    def forward(self, input: Any, target: Any) -> Any:
        """The loss."""
        return F.multilabel_margin_loss(input, target, reduction=self.reduction)


class SoftMarginLoss(_Loss):
    """log(1 + exp(-target * input)) for targets of 1 and -1.

    Args:
        size_average, reduce: deprecated, see `reduction`.
        reduction: `"mean"`, `"sum"` or `"none"`. Default: `"mean"`.

    Shape:
        Input and target of one shape (*); output a scalar, or (*) without reduction.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.SoftMarginLoss()(rl.zeros(1), rl.ones(1))
        tensor(0.6931)
    """

    __constants__ = ["reduction"]

    def forward(self, input: Any, target: Any) -> Any:
        """The loss."""
        return F.soft_margin_loss(input, target, reduction=self.reduction)


class MultiLabelSoftMarginLoss(_WeightedLoss):
    """Binary cross-entropy of sigmoid(input), averaged over the classes.

    Args:
        weight: (C), a factor for each class. Default: none.
        size_average, reduce: deprecated, see `reduction`.
        reduction: `"mean"`, `"sum"` or `"none"`. Default: `"mean"`.

    Shape:
        Input and target (N, C) or (C); output a scalar, or (N) without reduction.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.MultiLabelSoftMarginLoss()(rl.zeros(1, 2), rl.ones(1, 2))
        tensor(0.6931)
    """

    __constants__ = ["reduction"]

    def forward(self, input: Any, target: Any) -> Any:
        """The loss."""
        return F.multilabel_soft_margin_loss(
            input, target, weight=self.weight, reduction=self.reduction
        )


class CosineEmbeddingLoss(_Loss):
    """1 - cos(x1, x2) for targets of 1, max(0, cos(x1, x2) - margin) for -1.

    Args:
        margin: between -1 and 1. Default: 0.
        size_average, reduce: deprecated, see `reduction`.
        reduction: `"mean"`, `"sum"` or `"none"`. Default: `"mean"`.

    Shape:
        Inputs (N, D) or (D), target (N) or ().

    Example:
        >>> import rushlight as rl
        >>> rl.nn.CosineEmbeddingLoss()(rl.ones(1, 2), -rl.ones(1, 2), rl.tensor([-1]))
        tensor(0.)
    """

    __constants__ = ["margin", "reduction"]

    margin: float

    def __init__(
        self,
        margin: float = 0.0,
        size_average: Any = None,
        reduce: Any = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.margin = margin

    def forward(self, input1: Any, input2: Any, target: Any) -> Any:
        """The loss."""
        return F.cosine_embedding_loss(
            input1, input2, target, margin=self.margin, reduction=self.reduction
        )


class MarginRankingLoss(_Loss):
    """max(0, -target * (x1 - x2) + margin): which of two is to rank higher.

    Args:
        margin: default: 0.
        size_average, reduce: deprecated, see `reduction`.
        reduction: `"mean"`, `"sum"` or `"none"`. Default: `"mean"`.

    Shape:
        Inputs and target (N) or ().

    Example:
        >>> import rushlight as rl
        >>> rl.nn.MarginRankingLoss()(rl.zeros(1), rl.ones(1), rl.ones(1))
        tensor(1.)
    """

    __constants__ = ["margin", "reduction"]

    margin: float

    def __init__(
        self,
        margin: float = 0.0,
        size_average: Any = None,
        reduce: Any = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.margin = margin

    def forward(self, input1: Any, input2: Any, target: Any) -> Any:
        """The loss."""
        return F.margin_ranking_loss(
            input1, input2, target, margin=self.margin, reduction=self.reduction
        )


class MultiMarginLoss(_WeightedLoss):
    """A hinge loss over classes: max(0, margin - x[y] + x[i])^p over the wrong ones.

    Args:
        p: 1 or 2. Default: 1.
        margin: default: 1.
        weight: (C), a factor for each class. Default: none.
        size_average, reduce: deprecated, see `reduction`.
        reduction: `"mean"`, `"sum"` or `"none"`. Default: `"mean"`.

    Shape:
        Input (N, C) or (C), target (N) or () of class indices.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.MultiMarginLoss()(rl.zeros(1, 2), rl.tensor([0]))
        tensor(0.5000)
    """

    __constants__ = ["p", "margin", "reduction"]

    margin: float
    p: int

    def __init__(
        self,
        p: int = 1,
        margin: float = 1.0,
        weight: Any = None,
        size_average: Any = None,
        reduce: Any = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        if p != 1 and p != 2:
            raise ValueError("only p == 1 and p == 2 supported")
        if weight is not None and weight.dim() != 1:
            raise ValueError(
                "MultiMarginLoss: expected weight to be None or 1D tensor, "
                f"got {weight.dim()}D instead"
            )
        self.p = p
        self.margin = margin

    def forward(self, input: Any, target: Any) -> Any:
        """The loss."""
        return F.multi_margin_loss(
            input,
            target,
            p=self.p,
            margin=self.margin,
            weight=self.weight,
            reduction=self.reduction,
        )


class TripletMarginLoss(_Loss):
    """max(0, d(anchor, positive) - d(anchor, negative) + margin) with a p-norm as d.

    Args:
        margin: positive. Default: 1.
        p: of the norm. Default: 2.
        eps: keeps the norm differentiable. Default: 1e-6.
        swap: take d(positive, negative) where it is smaller. Default: `False`.
        size_average, reduce: deprecated, see `reduction`.
        reduction: `"mean"`, `"sum"` or `"none"`. Default: `"mean"`.

    Shape:
        Three inputs (N, D) or (D); output a scalar, or (N) without reduction.

    Source: Balntas et al., "Learning shallow convolutional feature descriptors with triplet
    losses", 2016.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.TripletMarginLoss()(rl.zeros(1, 2), rl.zeros(1, 2), rl.ones(1, 2)).item() == 0
        True
    """

    __constants__ = ["margin", "p", "eps", "swap", "reduction"]

    margin: float
    p: float
    eps: float
    swap: bool

    def __init__(
        self,
        margin: float = 1.0,
        p: float = 2.0,
        eps: float = 1e-6,
        swap: bool = False,
        size_average: Any = None,
        reduce: Any = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        if margin <= 0:
            raise ValueError(
                f"TripletMarginLoss: expected margin to be greater than 0, got {margin} instead"
            )
        self.margin = margin
        self.p = p
        self.eps = eps
        self.swap = swap

    def forward(self, anchor: Any, positive: Any, negative: Any) -> Any:
        """The loss."""
        return F.triplet_margin_loss(
            anchor,
            positive,
            negative,
            margin=self.margin,
            p=self.p,
            eps=self.eps,
            swap=self.swap,
            reduction=self.reduction,
        )


class TripletMarginWithDistanceLoss(_Loss):
    """A triplet loss with any distance function.

    Args:
        distance_function: of two tensors. Default: `PairwiseDistance()`.
        margin: positive. Default: 1.
        swap: take d(positive, negative) where it is smaller. Default: `False`.
        reduction: `"mean"`, `"sum"` or `"none"`. Default: `"mean"`.

    Shape:
        Three inputs (N, *).

    Example:
        >>> import rushlight as rl
        >>> loss = rl.nn.TripletMarginWithDistanceLoss(margin=2.0)
        >>> loss(rl.zeros(1, 1), rl.zeros(1, 1), rl.ones(1, 1))
        tensor(1.0000)
    """

    __constants__ = ["margin", "swap", "reduction"]

    margin: float
    swap: bool

    def __init__(
        self,
        *,
        distance_function: Any = None,
        margin: float = 1.0,
        swap: bool = False,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average=None, reduce=None, reduction=reduction)
        if margin <= 0:
            raise ValueError(
                "TripletMarginWithDistanceLoss: expected margin to be greater than 0, "
                f"got {margin} instead"
            )
        if distance_function is None:
            distance_function = PairwiseDistance()
        self.distance_function = distance_function
        self.margin = margin
        self.swap = swap

    def forward(self, anchor: Any, positive: Any, negative: Any) -> Any:
        """The loss."""
        return F.triplet_margin_with_distance_loss(
            anchor,
            positive,
            negative,
            distance_function=self.distance_function,
            margin=self.margin,
            swap=self.swap,
            reduction=self.reduction,
        )


for _name in __all__:
    globals()[_name].__module__ = "rushlight.nn.modules.loss"
