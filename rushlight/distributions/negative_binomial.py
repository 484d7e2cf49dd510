"""The negative binomial distribution: successes before a number of failures."""

from __future__ import annotations

from typing import Any, ClassVar

import rushlight as rl
from rushlight.distributions import constraints
from rushlight.distributions.gamma import Gamma
from rushlight.distributions.odds import BinaryOdds
from rushlight.distributions.utils import SCALAR, lazy_property

__all__ = ["NegativeBinomial"]


class NegativeBinomial(BinaryOdds):
    """How many trials succeed before ``total_count`` of them failed.

    Args:
        total_count: the number of failures at which counting stops; any number from 0 on.
        probs: the probability of a success, in [0, 1).
        logits: instead of ``probs``, its log-odds.
        validate_args: as in ``Distribution``.

    Raises:
        ValueError: both or neither of ``probs`` and ``logits``.

    Example:
        >>> import rushlight as torch
        >>> torch.distributions.NegativeBinomial(3.0, torch.tensor([0.5])).mean
        tensor([3.])
    """

    arg_constraints: Any = {
        "total_count": constraints.greater_than_eq(0),
        "probs": constraints.half_open_interval(0.0, 1.0),
        "logits": constraints.real,
    }
    support = constraints.nonnegative_integer
    _per_batch: ClassVar[dict[str, int] | None] = {"total_count": 0, "probs": 0, "logits": 0}

    def __init__(
        self, total_count: Any, probs: Any = None, logits: Any = None, validate_args: Any = None
    ) -> None:
        batch_shape = self._take_counted_odds(total_count, probs, logits)
        super().__init__(batch_shape, validate_args=validate_args)

    @property
    def mean(self) -> Any:
        return self.total_count * rl.exp(self.logits)

    @property
    def mode(self) -> Any:
        return ((self.total_count - 1) * self.logits.exp()).floor().clamp(min=0.0)

    @property
    def variance(self) -> Any:
        return self.mean / rl.sigmoid(-self.logits)

    @lazy_property
    def _gamma(self) -> Any:
        """The distribution of the Poisson rate of the count; its shape may be 0."""
        return Gamma(self.total_count, rl.exp(-self.logits), validate_args=False)

    def sample(self, sample_shape: Any = SCALAR) -> Any:
        with rl.no_grad():
            return rl.poisson(self._gamma.sample(sample_shape))

    def log_prob(self, value: Any) -> Any:
        value = self._checked(value)
        n = self.total_count
        log_sigmoid = rl.nn.functional.logsigmoid
        choose = rl.lgamma(n + value) - rl.lgamma(1.0 + value) - rl.lgamma(n)
        choose = choose.masked_fill(n + value == 0.0, 0.0)  # 0 of 0 is certain
        return n * log_sigmoid(-self.logits) + value * log_sigmoid(self.logits) + choose
