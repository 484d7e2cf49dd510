"""The gamma distribution."""

from __future__ import annotations

from typing import Any, ClassVar

import rushlight as rl
from rushlight.distributions import constraints
from rushlight.distributions.exp_family import ExponentialFamily
from rushlight.distributions.utils import SCALAR, batch_of, broadcast_all

__all__ = ["Gamma"]


class Gamma(ExponentialFamily):
    """The gamma distribution with a shape and a rate.

    Args:
        concentration: the shape, often called alpha; a number or a tensor.
        rate: the rate, often called beta, 1 over the scale.
        validate_args: as in ``Distribution``.

    Raises:
        ValueError: a parameter that is not positive.

    Example:
        >>> import rushlight as torch
        >>> torch.distributions.Gamma(2.0, 4.0).mean
        tensor(0.5000)
    """

    arg_constraints: Any = {
        "concentration": constraints.positive,
        "rate": constraints.positive,
    }
    support = constraints.nonnegative
    has_rsample = True
    _mean_carrier_measure = 0
    _per_batch: ClassVar[dict[str, int] | None] = {"concentration": 0, "rate": 0}

    def __init__(self, concentration: Any, rate: Any, validate_args: Any = None) -> None:
        self.concentration, self.rate = broadcast_all(concentration, rate)
        batch_shape = batch_of(self.concentration, concentration, rate)
        super().__init__(batch_shape, validate_args=validate_args)

    @property
    def mean(self) -> Any:
        return self.concentration / self.rate

    @property
    def mode(self) -> Any:
        return ((self.concentration - 1) / self.rate).clamp(min=0)

    @property
    def variance(self) -> Any:
        return self.concentration / self.rate.pow(2)

    def rsample(self, sample_shape: Any = SCALAR) -> Any:
        shape = self._extended_shape(sample_shape)
        unit = rl._standard_gamma(self.concentration.expand(shape))
        value = unit / self.rate.expand(shape)
        value.detach().clamp_(min=rl.finfo(value.dtype).tiny)  # the gradient stays as it is
        return value

    def log_prob(self, value: Any) -> Any:
        value = rl.as_tensor(value, dtype=self.rate.dtype, device=self.rate.device)
        value = self._checked(value)
        return (
            rl.xlogy(self.concentration, self.rate)
            + rl.xlogy(self.concentration - 1, value)
            - self.rate * value
            - rl.lgamma(self.concentration)
        )

    def cdf(self, value: Any) -> Any:
        return rl.special.gammainc(self.concentration, self.rate * self._checked(value))

    def entropy(self) -> Any:
        shape = self.concentration
        return shape - rl.log(self.rate) + rl.lgamma(shape) + (1.0 - shape) * rl.digamma(shape)

    @property
    def _natural_params(self) -> Any:
        return (self.concentration - 1, -self.rate)

    def _log_normalizer(self, x: Any, y: Any) -> Any:
        return rl.lgamma(x + 1) + (x + 1) * rl.log(-y.reciprocal())
