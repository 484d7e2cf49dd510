"""Loss functions as modules: how far a network's output is from what it should be.

In: the output and the target.  Out: one number (`reduction="mean"` or `"sum"`) or one number an
element (`"none"`).  Class weights are buffers, so they move with the module.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

from rushlight.nn import functional as F

from ._loss_base import _Loss, _WeightedLoss
from .linear import Linear
from .margin_loss import (
    CosineEmbeddingLoss,
    HingeEmbeddingLoss,
    MarginRankingLoss,
    MultiLabelMarginLoss,
    MultiLabelSoftMarginLoss,
    MultiMarginLoss,
    SoftMarginLoss,
    TripletMarginLoss,
    TripletMarginWithDistanceLoss,
)

__all__ = [
    "L1Loss",
    "NLLLoss",
    "NLLLoss2d",
    "PoissonNLLLoss",
    "GaussianNLLLoss",
    "KLDivLoss",
    "MSELoss",
    "BCELoss",
    "BCEWithLogitsLoss",
    "HingeEmbeddingLoss",
    "MultiLabelMarginLoss",
    "SmoothL1Loss",
    "HuberLoss",
    "SoftMarginLoss",
    "CrossEntropyLoss",
    "LinearCrossEntropyLoss",
    "MultiLabelSoftMarginLoss",
    "CosineEmbeddingLoss",
    "MarginRankingLoss",
    "MultiMarginLoss",
    "TripletMarginLoss",
    "TripletMarginWithDistanceLoss",
    "CTCLoss",
]


class L1Loss(_Loss):
    """The mean absolute difference of input and target.

    Args:
        size_average, reduce: deprecated, see `reduction`.
        reduction: `"mean"`, `"sum"` or `"none"`. Default: `"mean"`.

    Shape:
        Input and target of one shape (*); output a scalar, or (*) without reduction.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.L1Loss()(rl.zeros(2), rl.tensor([1.0, 3.0]))
        tensor(2.)
    """

    __constants__ = ["reduction"]

    def forward(self, input: Any, target: Any) -> Any:
        """The loss."""
        return F.l1_loss(input, target, None, None, self.reduction)


class NLLLoss(_WeightedLoss):
    """The negative log-likelihood: minus the input at the target's class.

    Args:
        weight: (C), a factor for each class. Default: none.
        ignore_index: targets of this value do not count. Default: -100.
        size_average, reduce: deprecated, see `reduction`.
        reduction: `"mean"`, `"sum"` or `"none"`. Default: `"mean"`.

    Shape:
        Input (N, C, *) or (C) of log-probabilities, target (N, *) of class indices.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.NLLLoss()(rl.tensor([[-1.0, -2.0]]), rl.tensor([1]))
        tensor(2.)
    """

    __constants__ = ["ignore_index", "reduction"]

    def __init__(
        self,
        weight: Any = None,
        size_average: Any = None,
        ignore_index: int = -100,
        reduce: Any = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        self.ignore_index = ignore_index

    def forward(self, input: Any, target: Any) -> Any:
        """The loss."""
        return F.nll_loss(input, target, self.weight, None, self.ignore_index, None, self.reduction)


class NLLLoss2d(NLLLoss):
    """Deprecated name of `NLLLoss`, which takes any number of dimensions.

    Example:
        >>> import warnings, rushlight as rl
        >>> with warnings.catch_warnings():
        ...     warnings.simplefilter("ignore")
        ...     loss = rl.nn.NLLLoss2d()
        >>> loss(rl.zeros(1, 2, 1, 1), rl.zeros(1, 1, 1, dtype=rl.int64)).item() == 0
        True
    """

    def __init__(
        self,
        weight: Any = None,
        size_average: Any = None,
        ignore_index: int = -100,
        reduce: Any = None,
        reduction: str = "mean",
    ) -> None:
        warnings.warn(
            "`NLLLoss2d` has been deprecated. Please use `NLLLoss` instead as a drop-in "
            "replacement and see https://pytorch.org/docs/main/nn.html#torch.nn.NLLLoss "
            "for more details.",
            FutureWarning,
            stacklevel=2,
        )
        super().__init__(weight, size_average, ignore_index, reduce, reduction)


class PoissonNLLLoss(_Loss):
    """The negative log-likelihood of counts under a Poisson distribution.

    Args:
        log_input: the input is the logarithm of the rate. Default: `True`.
        full: add Stirling's approximation of log(target!). Default: `False`.
        eps: keeps log(rate) finite when `log_input` is False. Default: 1e-8.
        size_average, reduce: deprecated, see `reduction`.
        reduction: `"mean"`, `"sum"` or `"none"`. Default: `"mean"`.

    Shape:
        Input and target of one shape (*); output a scalar, or (*) without reduction.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.PoissonNLLLoss()(rl.zeros(2), rl.ones(2))
        tensor(1.)
    """

    __constants__ = ["log_input", "full", "eps", "reduction"]

    def __init__(
        self,
        log_input: bool = True,
        full: bool = False,
        size_average: Any = None,
        eps: float = 1e-8,
        reduce: Any = None,
        reduction: str = "mean",
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.log_input = log_input
        self.full = full
        self.eps = eps

    def forward(self, log_input: Any, target: Any) -> Any:
        """The loss."""
        return F.poisson_nll_loss(
            log_input,
            target,
            log_input=self.log_input,
            full=self.full,
            eps=self.eps,
            reduction=self.reduction,
        )


class GaussianNLLLoss(_Loss):
    """The negative log-likelihood of targets under a normal distribution.

    Args:
        full: add the constant log(2 pi) / 2. Default: `False`.
        eps: smallest variance. Default: 1e-6.
        reduction: `"mean"`, `"sum"` or `"none"`. Default: `"mean"`.

    Shape:
        Input, target (*), var (*) or with one dimension of size 1 or missing.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.GaussianNLLLoss()(rl.zeros(2), rl.ones(2), rl.ones(2))
        tensor(0.5000)
    """

    __constants__ = ["full", "eps", "reduction"]

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean") -> None:
        super().__init__(None, None, reduction)
        self.full = full
        self.eps = eps

    def forward(self, input: Any, target: Any, var: Any) -> Any:
        """The loss."""
        return F.gaussian_nll_loss(
            input, target, var, full=self.full, eps=self.eps, reduction=self.reduction
        )


class KLDivLoss(_Loss):
    """The Kullback-Leibler divergence, target * (log(target) - input).

    Args:
        log_target: the target holds log-probabilities too. Default: `False`.
        size_average, reduce: deprecated, see `reduction`.
        reduction: `"mean"`, `"sum"` or `"none"`. Default: `"mean"`;
            `"batchmean"` is the true divergence.

    Shape:
        Input and target of one shape (*); output a scalar, or (*) without reduction.
        The input holds log-probabilities.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.KLDivLoss(reduction="sum")(rl.zeros(2), rl.ones(2))
        tensor(0.)
    """

    __constants__ = ["reduction"]

    def __init__(
        self,
        size_average: Any = None,
        reduce: Any = None,
        reduction: str = "mean",
        log_target: bool = False,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.log_target = log_target

    def forward(self, input: Any, target: Any) -> Any:
        """The loss."""
        return F.kl_div(input, target, reduction=self.reduction, log_target=self.log_target)


class MSELoss(_Loss):
    """The mean squared difference of input and target.

    Args:
        size_average, reduce: deprecated, see `reduction`.
        reduction: `"mean"`, `"sum"` or `"none"`. Default: `"mean"`.

    Shape:
        Input and target of one shape (*); output a scalar, or (*) without reduction.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.MSELoss()(rl.zeros(2), rl.tensor([1.0, 3.0]))
        tensor(5.)
    """

    __constants__ = ["reduction"]

    def forward(self, input: Any, target: Any) -> Any:
        """The loss."""
        return F.mse_loss(input, target, None, None, self.reduction)


class BCELoss(_WeightedLoss):
    """Binary cross-entropy of probabilities: -(t log x + (1 - t) log(1 - x)).

    Args:
        weight: a factor for each element of a batch. Default: none.
        size_average, reduce: deprecated, see `reduction`.
        reduction: `"mean"`, `"sum"` or `"none"`. Default: `"mean"`.

    Shape:
        Input and target of one shape (*); output a scalar, or (*) without reduction.
        Both lie in [0, 1].

    Example:
        >>> import rushlight as rl
        >>> rl.nn.BCELoss()(rl.tensor([0.5]), rl.tensor([1.0]))
        tensor(0.6931)
    """

    __constants__ = ["reduction"]

    def forward(self, input: Any, target: Any) -> Any:
        """The loss."""
        return F.binary_cross_entropy(input, target, self.weight, None, None, self.reduction)


class BCEWithLogitsLoss(_Loss):
    """Binary cross-entropy of sigmoid(input), computed without overflow.

    Args:
        weight: a factor for each element of a batch. Default: none.
        pos_weight: a factor for positive targets, broadcast. Default: none.
        size_average, reduce: deprecated, see `reduction`.
        reduction: `"mean"`, `"sum"` or `"none"`. Default: `"mean"`.

    Shape:
        Input and target of one shape (*); output a scalar, or (*) without reduction.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.BCEWithLogitsLoss()(rl.zeros(1), rl.ones(1))
        tensor(0.6931)
    """

    weight: Any
    pos_weight: Any

    def __init__(
        self,
        weight: Any = None,
        size_average: Any = None,
        reduce: Any = None,
        reduction: str = "mean",
        pos_weight: Any = None,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.register_buffer("weight", weight)
        self.register_buffer("pos_weight", pos_weight)

    def forward(self, input: Any, target: Any) -> Any:
        """The loss."""
        return F.binary_cross_entropy_with_logits(
            input, target, self.weight, None, None, self.reduction, self.pos_weight
        )


class SmoothL1Loss(_Loss):
    """d^2 / (2 beta) for differences below beta, else |d| - beta / 2.

    Args:
        size_average, reduce: deprecated, see `reduction`.
        reduction: `"mean"`, `"sum"` or `"none"`. Default: `"mean"`.
        beta: where the square ends. Default: 1.

    Shape:
        Input and target of one shape (*); output a scalar, or (*) without reduction.

    Source: Girshick, "Fast R-CNN", 2015.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.SmoothL1Loss()(rl.zeros(2), rl.tensor([1.0, 3.0]))
        tensor(1.5000)
    """

    __constants__ = ["reduction"]

    def __init__(
        self,
        size_average: Any = None,
        reduce: Any = None,
        reduction: str = "mean",
        beta: float = 1.0,
    ) -> None:
        super().__init__(size_average, reduce, reduction)
        self.beta = beta

    def forward(self, input: Any, target: Any) -> Any:
        """The loss."""
        return F.smooth_l1_loss(input, target, reduction=self.reduction, beta=self.beta)


class HuberLoss(_Loss):
    """d^2 / 2 for differences below delta, else delta * (|d| - delta / 2).

    Args:
        reduction: `"mean"`, `"sum"` or `"none"`. Default: `"mean"`.
        delta: where the square ends; positive. Default: 1.

    Shape:
        Input and target of one shape (*); output a scalar, or (*) without reduction.

    Source: Huber, "Robust estimation of a location parameter", 1964.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.HuberLoss()(rl.zeros(2), rl.tensor([1.0, 3.0]))
        tensor(1.5000)
    """

    __constants__ = ["reduction", "delta"]

    def __init__(self, reduction: str = "mean", delta: float = 1.0) -> None:
        if not isinstance(delta, (float, int)):
            raise TypeError(f"delta must be a float or int, got: {type(delta)}")
        super().__init__(reduction=reduction)
        self.delta = delta

    def forward(self, input: Any, target: Any) -> Any:
        """The loss."""
        return F.huber_loss(input, target, reduction=self.reduction, delta=self.delta)


class CrossEntropyLoss(_WeightedLoss):
    """Cross-entropy of softmax(input): what classifiers are trained with.

    Args:
        weight: (C), a factor for each class. Default: none.
        ignore_index: targets of this value do not count. Default: -100.
        label_smoothing: share of the target spread evenly over the classes. Default: 0.
        size_average, reduce: deprecated, see `reduction`.
        reduction: `"mean"`, `"sum"` or `"none"`. Default: `"mean"`.

    Shape:
        Input (N, C, *) or (C) of scores, without softmax; target (N, *) of class indices (int64),
        or of the input's shape with probabilities. Output a scalar, or (N, *) without reduction.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.CrossEntropyLoss()(rl.zeros(1, 2), rl.tensor([1]))
        tensor(0.6931)
    """

    __constants__ = ["ignore_index", "reduction", "label_smoothing"]

    ignore_index: int
    label_smoothing: float

    def __init__(
        self,
        weight: Any = None,
        size_average: Any = None,
        ignore_index: int = -100,
        reduce: Any = None,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(weight, size_average, reduce, reduction)
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing

    def forward(self, input: Any, target: Any) -> Any:
        """The loss."""
        return F.cross_entropy(
            input,
            target,
            self.weight,
            None,
            self.ignore_index,
            None,
            self.reduction,
            self.label_smoothing,
        )


class LinearCrossEntropyLoss(_WeightedLoss):
    """A Linear layer and the cross-entropy of its output, as one module.

    Args:
        in_features: size of the last dimension of the input.
        num_classes: how many classes.
        out_features: further dimensions of the target. Default: none.
        bias: whether the layer has a bias. Default: `False`.
        device: of the parameters.
        dtype: of the parameters.
        reduction: `"mean"`, `"sum"` or `"none"`. Default: `"mean"`.
        weight: (num_classes), a factor for each class. Default: none.
        ignore_index: targets of this value do not count. Default: none.
        label_smoothing: in [0, 1]. Default: 0.
        options: a LinearCrossEntropyOptions; how the work is cut in pieces, never the result.

    Shape:
        Input (N, in_features) or (in_features), target (N, *out_features) of class indices.

    Raises:
        RuntimeError: a weight of another shape, or a label smoothing outside [0, 1].

    Example:
        >>> import rushlight as rl
        >>> loss = rl.nn.LinearCrossEntropyLoss(4, 3)
        >>> loss(rl.zeros(2, 4), rl.tensor([0, 2])).detach()
        tensor(1.0986)
    """

    __constants__ = [
        "num_classes",
        "out_features",
        "reduction",
        "ignore_index",
        "label_smoothing",
    ]
    num_classes: int
    out_features: tuple[int, ...]
    ignore_index: int | None
    label_smoothing: float

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        *,
        out_features: tuple[int, ...] = (),
        bias: bool = False,
        device: Any = None,
        dtype: Any = None,
        reduction: str = "mean",
        weight: Any = None,
        ignore_index: int | None = None,
        label_smoothing: float = 0.0,
        options: Any = None,
    ) -> None:
        if weight is not None and weight.shape != (num_classes,):
            raise RuntimeError(
                f"expected weight shape to be {(num_classes,)}, got {tuple(weight.shape)}"
            )
        if label_smoothing < 0 or label_smoothing > 1.0:
            raise RuntimeError(
                f"expected label_smoothing to be in range [0, 1], got {label_smoothing}"
            )
        super().__init__(weight=weight, reduction=reduction)
        self.num_classes = num_classes
        self.out_features = out_features
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing
        rows = math.prod(out_features, start=num_classes)
        self.linear = Linear(in_features, rows, bias=bias, device=device, dtype=dtype)
        self.options = options

    def forward(self, input: Any, target: Any) -> Any:
        """The loss."""
        linear = self.linear
        classes = (self.num_classes, *self.out_features)
        return F.linear_cross_entropy(
            input,
            linear.weight.reshape((*classes, linear.in_features)),
            target,
            linear_bias=None if linear.bias is None else linear.bias.reshape(classes),
            weight=self.weight,
            reduction=self.reduction,
            ignore_index=self.ignore_index,
            label_smoothing=self.label_smoothing,
            options=self.options,
        )

    def extra_repr(self) -> str:
        return (
            f"in_features={self.linear.in_features}, num_classes={self.num_classes}, "
            f"out_features={self.out_features}, bias={self.linear.bias is not None}, "
            f"reduction={self.reduction}, ignore_index={self.ignore_index}, "
            f"label_smoothing={self.label_smoothing}, options={self.options}"
        )


class CTCLoss(_Loss):
    """Connectionist temporal classification: a sequence against labels without alignment.

    Args:
        blank: index of the blank label. Default: 0.
        reduction: `"mean"`, `"sum"` or `"none"`. Default: `"mean"`.
        zero_infinity: losses of impossible alignments count as 0. Default: `False`.

    Shape:
        log_probs (T, N, C), targets (N, S) or all in one row, lengths (N).

    Source: Graves et al., "Connectionist temporal classification", 2006.

    Example:
        >>> import rushlight as rl
        >>> log_probs = rl.zeros(1, 1, 2)
        >>> rl.nn.CTCLoss()(log_probs, rl.tensor([[1]]), (1,), (1,)).item() == 0
        True
    """

    __constants__ = ["blank", "reduction"]

    blank: int
    zero_infinity: bool

    def __init__(
        self, blank: int = 0, reduction: str = "mean", zero_infinity: bool = False
    ) -> None:
        super().__init__(reduction=reduction)
        self.blank = blank
        self.zero_infinity = zero_infinity

    def forward(self, log_probs: Any, targets: Any, input_lengths: Any, target_lengths: Any) -> Any:
        """The loss."""
        return F.ctc_loss(
            log_probs,
            targets,
            input_lengths,
            target_lengths,
            self.blank,
            self.reduction,
            self.zero_infinity,
        )
