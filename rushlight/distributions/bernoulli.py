"""The Bernoulli distribution: 1 with a probability, else 0."""

from __future__ import annotations

from typing import Any, ClassVar

import rushlight as rl
from rushlight.distributions import constraints
from rushlight.distributions.exp_family import ExponentialFamily
from rushlight.distributions.odds import BinaryOdds
from rushlight.distributions.utils import SCALAR, broadcast_all

__all__ = ["Bernoulli"]


class Bernoulli(BinaryOdds, ExponentialFamily):
    """1 with probability ``probs``, else 0.

    Args:
        probs: the probability of 1, a number or a tensor.
        logits: instead of ``probs``, its log-odds.
        validate_args: as in ``Distribution``.

    Raises:
        ValueError: both or neither of ``probs`` and ``logits``.

    Example:
        >>> import rushlight as torch
        >>> torch.distributions.Bernoulli(torch.tensor([0.5])).log_prob(torch.tensor([1.0]))
        tensor([-0.6931])
    """

    support = constraints.boolean
    has_enumerate_support = True
    _mean_carrier_measure = 0
    _per_batch: ClassVar[dict[str, int] | None] = {"probs": 0, "logits": 0}

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: Any = None) -> None:
        super().__init__(self._take_odds(probs, logits), validate_args=validate_args)

    @property
    def mean(self) -> Any:
        return self.probs

    @property
    def mode(self) -> Any:
        likely = (self.probs >= 0.5).to(self.probs)
        return rl.where(self.probs == 0.5, rl.nan, likely)

    @property
    def variance(self) -> Any:
        return self.probs * (1 - self.probs)

    def sample(self, sample_shape: Any = SCALAR) -> Any:
        with rl.no_grad():
            return rl.bernoulli(self.probs.expand(self._extended_shape(sample_shape)))

    def log_prob(self, value: Any) -> Any:
        value = self._checked(value)
        logits, value = broadcast_all(self.logits, value)
        loss = rl.nn.functional.binary_cross_entropy_with_logits
        return -loss(logits, value, reduction="none")

    def entropy(self) -> Any:
        loss = rl.nn.functional.binary_cross_entropy_with_logits
        return loss(self.logits, self.probs, reduction="none")

    def enumerate_support(self, expand: bool = True) -> Any:
        values = rl.arange(2, dtype=self._param.dtype, device=self._param.device)
        return self._enumerated(values, expand)

    @property
    def _natural_params(self) -> Any:
        return (rl.logit(self.probs),)

    def _log_normalizer(self, x: Any) -> Any:
        return rl.log1p(rl.exp(x))
