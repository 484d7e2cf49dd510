"""The generalized Pareto distribution of excesses over a threshold.

Source: Pickands, "Statistical inference using extreme order statistics" (1975).
"""

from __future__ import annotations

from typing import Any, ClassVar

import rushlight as rl
from rushlight.distributions import constraints
from rushlight.distributions.distribution import Distribution
from rushlight.distributions.utils import SCALAR, batch_of, broadcast_all, uniform_draws

__all__ = ["GeneralizedPareto"]


class GeneralizedPareto(Distribution):
    """The generalized Pareto distribution.

    Args:
        loc: the threshold, a number or a tensor.
        scale: the scale, positive.
        concentration: the shape; 0 gives an exponential tail, below 0 a bounded one.
        validate_args: as in ``Distribution``.

    Example:
        >>> import rushlight as torch
        >>> torch.distributions.GeneralizedPareto(0.0, 1.0, 0.5).mean
        tensor(2.)
    """

    arg_constraints: Any = {
        "loc": constraints.real,
        "scale": constraints.positive,
        "concentration": constraints.real,
    }
    has_rsample = True
    _per_batch: ClassVar[dict[str, int] | None] = {"loc": 0, "scale": 0, "concentration": 0}

    def __init__(self, loc: Any, scale: Any, concentration: Any, validate_args: Any = None) -> None:
        self.loc, self.scale, self.concentration = broadcast_all(loc, scale, concentration)
        batch_shape = batch_of(self.loc, loc, scale, concentration)
        super().__init__(batch_shape, validate_args=validate_args)

    @constraints.dependent_property(is_discrete=False, event_dim=0)
    def support(self) -> Any:
        """From the threshold on, up to an end where the shape is negative."""
        end = self.loc - self.scale / self.concentration
        return constraints.interval(self.loc, rl.where(self.concentration < 0, end, rl.inf))

    @property
    def mean(self) -> Any:
        finite = self.concentration < 1
        shape = rl.where(finite, self.concentration, 0.5)
        return rl.where(finite, self.loc + self.scale / (1 - shape), rl.nan)

    @property
    def mode(self) -> Any:
        return self.loc

    @property
    def variance(self) -> Any:
        finite = self.concentration < 0.5
        shape = rl.where(finite, self.concentration, 0.25)
        value = self.scale**2 / ((1 - shape) ** 2 * (1 - 2 * shape))
        return rl.where(finite, value, rl.nan)

    def rsample(self, sample_shape: Any = SCALAR) -> Any:
        return self.icdf(uniform_draws(self._extended_shape(sample_shape), self.loc))

    def _shape(self) -> tuple[Any, Any]:
        """Where the shape is 0, and the shape with 1 in its place there."""
        zero = rl.isclose(self.concentration, rl.zeros_like(self.concentration))
        return zero, rl.where(zero, rl.ones_like(self.concentration), self.concentration)

    def log_prob(self, value: Any) -> Any:
        z = (self._checked(value) - self.loc) / self.scale
        zero, shape = self._shape()
        power = 1 / shape + rl.ones_like(z)
        tail = rl.where(power == 0, power, power * rl.log1p(shape * z))
        return -self.scale.log() - rl.where(zero, z, tail)

    def log_survival_function(self, value: Any) -> Any:
        """The logarithm of the probability of results above a value."""
        z = (self._checked(value) - self.loc) / self.scale
        zero, shape = self._shape()
        return rl.where(zero, -z, -rl.log1p(shape * z) / shape)

    def log_cdf(self, value: Any) -> Any:
        """The logarithm of ``cdf``."""
        return rl.log1p(-rl.exp(self.log_survival_function(value)))

    def cdf(self, value: Any) -> Any:
        return rl.exp(self.log_cdf(value))

    def icdf(self, value: Any) -> Any:
        zero, shape = self._shape()
        log_rest = rl.log1p(-value)
        power = self.loc + self.scale / shape * rl.expm1(-shape * log_rest)
        return rl.where(zero, self.loc - self.scale * log_rest, power)

    def entropy(self) -> Any:
        value = rl.log(self.scale) + self.concentration + 1
        return rl.broadcast_to(value, self._batch_shape)
