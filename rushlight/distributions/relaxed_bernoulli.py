"""Continuous relaxations of the Bernoulli distribution.

Source: Maddison, Mnih and Teh, "The concrete distribution" (2017); Jang, Gu and Poole (2017).
"""

from __future__ import annotations

from typing import Any, ClassVar

from rushlight.distributions import constraints
from rushlight.distributions.odds import BinaryOdds
from rushlight.distributions.transformed_distribution import TransformedDistribution
from rushlight.distributions.transforms import SigmoidTransform
from rushlight.distributions.utils import SCALAR, broadcast_all, clamp_probs, uniform_draws

__all__ = ["LogitRelaxedBernoulli", "RelaxedBernoulli"]


class LogitRelaxedBernoulli(BinaryOdds):
    """The logit of a relaxed Bernoulli variable.

    Args:
        temperature: the degree of relaxation, a tensor.
        probs: the probability of 1.
        logits: instead of ``probs``, its log-odds.
        validate_args: as in ``Distribution``.
    """

    support = constraints.real
    _per_batch: ClassVar[dict[str, int] | None] = {"probs": 0, "logits": 0}
    _kept: ClassVar[tuple[str, ...]] = ("temperature",)

    def __init__(
        self, temperature: Any, probs: Any = None, logits: Any = None, validate_args: Any = None
    ) -> None:
        self.temperature = temperature
        super().__init__(self._take_odds(probs, logits), validate_args=validate_args)

    def rsample(self, sample_shape: Any = SCALAR) -> Any:
        shape = self._extended_shape(sample_shape)
        p = clamp_probs(self.probs.expand(shape))
        u = clamp_probs(uniform_draws(shape, p))
        return (u.log() - (-u).log1p() + p.log() - (-p).log1p()) / self.temperature

    def log_prob(self, value: Any) -> Any:
        value = self._checked(value)
        logits, value = broadcast_all(self.logits, value)
        gap = logits - value.mul(self.temperature)
        return self.temperature.log() + gap - 2 * gap.exp().log1p()


class RelaxedBernoulli(TransformedDistribution):
    """A variable in (0, 1) that approaches a Bernoulli one as the temperature falls to 0.

    Args:
        temperature: the degree of relaxation, a tensor.
        probs: the probability of 1.
        logits: instead of ``probs``, its log-odds.
        validate_args: as in ``Distribution``.

    Example:
        >>> import rushlight as torch
        >>> d = torch.distributions.RelaxedBernoulli(torch.tensor(1.0), torch.tensor([0.5]))
        >>> d.log_prob(torch.tensor([0.5]))  # uniform at temperature 1
        tensor([0.])
    """

    arg_constraints: Any = {"probs": constraints.unit_interval, "logits": constraints.real}
    support: Any = constraints.unit_interval
    has_rsample: Any = True
    _per_batch: ClassVar[dict[str, int] | None] = {}

    def __init__(
        self, temperature: Any, probs: Any = None, logits: Any = None, validate_args: Any = None
    ) -> None:
        base = LogitRelaxedBernoulli(temperature, probs, logits)
        super().__init__(base, SigmoidTransform(), validate_args=validate_args)

    @property
    def temperature(self) -> Any:
        """The degree of relaxation."""
        return self.base_dist.temperature

    @property
    def logits(self) -> Any:
        """The log-odds of 1."""
        return self.base_dist.logits

    @property
    def probs(self) -> Any:
        """The probability of 1."""
        return self.base_dist.probs
