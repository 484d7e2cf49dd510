"""Continuous relaxations of the one-hot categorical distribution.

Source: Maddison, Mnih and Teh, "The concrete distribution" (2017); Jang, Gu and Poole (2017).
"""

from __future__ import annotations

from typing import Any, ClassVar

import rushlight as rl
from rushlight.distributions import constraints
from rushlight.distributions.one_hot_categorical import OverCategories
from rushlight.distributions.transformed_distribution import TransformedDistribution
from rushlight.distributions.transforms import ExpTransform
from rushlight.distributions.utils import SCALAR, broadcast_all, clamp_probs, uniform_draws

__all__ = ["ExpRelaxedCategorical", "RelaxedOneHotCategorical"]


class ExpRelaxedCategorical(OverCategories):
    """The logarithm of a relaxed one-hot variable.

    Args:
        temperature: the degree of relaxation, a tensor.
        probs: (..., k) weights that are not negative.
        logits: instead of ``probs``, log-weights.
        validate_args: as in ``Distribution``.
    """

    support = constraints.real_vector
    has_rsample = True
    _shape_owner: ClassVar[Any] = True
    _kept: ClassVar[tuple[str, ...]] = ("temperature",)

    def __init__(
        self, temperature: Any, probs: Any = None, logits: Any = None, validate_args: Any = None
    ) -> None:
        self.temperature = temperature
        self._take_categories(probs, logits, validate_args)

    def rsample(self, sample_shape: Any = SCALAR) -> Any:
        u = clamp_probs(uniform_draws(self._extended_shape(sample_shape), self.logits))
        gumbel = -((-(u.log())).log())
        scores = (self.logits + gumbel) / self.temperature
        return scores - scores.logsumexp(dim=-1, keepdim=True)

    def log_prob(self, value: Any) -> Any:
        k = self._categorical._num_events
        value = self._checked(value)
        logits, value = broadcast_all(self.logits, value)
        temperature = self.temperature
        log_scale = rl.full_like(temperature, float(k)).lgamma() + temperature.log().mul(k - 1)
        score = logits - value.mul(temperature)
        return (score - score.logsumexp(dim=-1, keepdim=True)).sum(-1) + log_scale


class RelaxedOneHotCategorical(TransformedDistribution):
    """A variable on the simplex that approaches one-hot vectors as the temperature falls to 0.

    Args:
        temperature: the degree of relaxation, a tensor.
        probs: (..., k) weights that are not negative.
        logits: instead of ``probs``, log-weights.
        validate_args: as in ``Distribution``.

    Example:
        >>> import rushlight as torch
        >>> t, p = torch.tensor(0.5), torch.tensor([1.0, 1.0])
        >>> torch.distributions.RelaxedOneHotCategorical(t, p).event_shape
        torch.Size([2])
    """

    arg_constraints: Any = {"probs": constraints.simplex, "logits": constraints.real_vector}
    support: Any = constraints.simplex
    has_rsample: Any = True
    _per_batch: ClassVar[dict[str, int] | None] = {}

    def __init__(
        self, temperature: Any, probs: Any = None, logits: Any = None, validate_args: Any = None
    ) -> None:
        base = ExpRelaxedCategorical(temperature, probs, logits, validate_args=validate_args)
        super().__init__(base, ExpTransform(), validate_args=validate_args)

    @property
    def temperature(self) -> Any:
        """The degree of relaxation."""
        return self.base_dist.temperature

    @property
    def logits(self) -> Any:
        """Normalised log-probabilities."""
        return self.base_dist.logits

    @property
    def probs(self) -> Any:
        """Normalised probabilities."""
        return self.base_dist.probs
