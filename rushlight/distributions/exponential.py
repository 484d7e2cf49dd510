"""The exponential distribution."""

from __future__ import annotations

from typing import Any, ClassVar

import rushlight as rl
from rushlight.distributions import constraints
from rushlight.distributions.exp_family import ExponentialFamily
from rushlight.distributions.utils import SCALAR, batch_of, broadcast_all

__all__ = ["Exponential"]


class Exponential(ExponentialFamily):
    """Waiting times between events that come at a constant rate.

    Args:
        rate: the rate, 1 over the mean; a number or a tensor.
        validate_args: as in ``Distribution``.

    Raises:
        ValueError: a rate that is not positive.

    Example:
        >>> import rushlight as torch
        >>> torch.distributions.Exponential(2.0).mean
        tensor(0.5000)
    """

    arg_constraints: Any = {"rate": constraints.positive}
    support = constraints.nonnegative
    has_rsample = True
    _mean_carrier_measure = 0
    _per_batch: ClassVar[dict[str, int] | None] = {"rate": 0}

    def __init__(self, rate: Any, validate_args: Any = None) -> None:
        (self.rate,) = broadcast_all(rate)
        super().__init__(batch_of(self.rate, rate), validate_args=validate_args)

    @property
    def mean(self) -> Any:
        return self.rate.reciprocal()

    @property
    def mode(self) -> Any:
        return rl.zeros_like(self.rate)

    @property
    def stddev(self) -> Any:
        return self.rate.reciprocal()

    @property
    def variance(self) -> Any:
        return self.rate.pow(-2)

    def rsample(self, sample_shape: Any = SCALAR) -> Any:
        unit = self.rate.new_empty(self._extended_shape(sample_shape)).exponential_()
        return unit / self.rate

    def log_prob(self, value: Any) -> Any:
        return self.rate.log() - self.rate * self._checked(value)

    def cdf(self, value: Any) -> Any:
        return 1 - rl.exp(-self.rate * self._checked(value))

    def icdf(self, value: Any) -> Any:
        return -rl.log1p(-value) / self.rate

    def entropy(self) -> Any:
        return 1.0 - rl.log(self.rate)

    @property
    def _natural_params(self) -> Any:
        return (-self.rate,)

    def _log_normalizer(self, x: Any) -> Any:
        return -rl.log(-x)
