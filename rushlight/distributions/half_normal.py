"""The half-normal distribution: the size of a normal variable."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import rushlight as rl
from rushlight.distributions import constraints
from rushlight.distributions.cauchy import Cauchy
from rushlight.distributions.normal import Normal
from rushlight.distributions.transformed_distribution import TransformedDistribution
from rushlight.distributions.transforms import AbsTransform

__all__ = ["HalfNormal"]


class Folded(TransformedDistribution):
    """The distribution of |X| for an X that is symmetric about 0."""

    arg_constraints: Any = {"scale": constraints.positive}
    support: Any = constraints.nonnegative
    has_rsample: Any = True
    _per_batch: ClassVar[dict[str, int] | None] = {}
    _whole: ClassVar[type[Normal] | type[Cauchy]]

    def __init__(self, scale: Any, validate_args: Any = None) -> None:
        base = self._whole(0, scale, validate_args=False)
        super().__init__(base, AbsTransform(), validate_args=validate_args)

    @property
    def scale(self) -> Any:
        """The scale of X."""
        return self.base_dist.scale

    @property
    def mode(self) -> Any:
        return rl.zeros_like(self.scale)

    def log_prob(self, value: Any) -> Any:
        value = self._checked(value)
        return rl.where(value >= 0, self.base_dist.log_prob(value) + math.log(2), -rl.inf)

    def cdf(self, value: Any) -> Any:
        return 2 * self.base_dist.cdf(self._checked(value)) - 1

    def icdf(self, prob: Any) -> Any:
        return self.base_dist.icdf((prob + 1) / 2)

    def entropy(self) -> Any:
        return self.base_dist.entropy() - math.log(2)


class HalfNormal(Folded):
    """The distribution of |X| where X is Normal(0, scale).

    Args:
        scale: the standard deviation of X, positive; a number or a tensor.
        validate_args: as in ``Distribution``.

    Example:
        >>> import rushlight as torch
        >>> torch.distributions.HalfNormal(1.0).mean
        tensor(0.7979)
    """

    _whole = Normal
    _per_batch: ClassVar[dict[str, int] | None] = {}

    @property
    def mean(self) -> Any:
        return self.scale * math.sqrt(2 / math.pi)

    @property
    def variance(self) -> Any:
        return self.scale.pow(2) * (1 - 2 / math.pi)
