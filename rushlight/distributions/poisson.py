"""The Poisson distribution."""

from __future__ import annotations

from typing import Any, ClassVar

import rushlight as rl
from rushlight.distributions import constraints
from rushlight.distributions.exp_family import ExponentialFamily
from rushlight.distributions.utils import SCALAR, batch_of, broadcast_all

__all__ = ["Poisson"]


class Poisson(ExponentialFamily):
    """The number of events that come at a constant rate.

    Args:
        rate: the mean number, not negative; a number or a tensor.
        validate_args: as in ``Distribution``.

    Raises:
        ValueError: a negative rate.

    Example:
        >>> import rushlight as torch
        >>> torch.distributions.Poisson(2.0).log_prob(torch.tensor(0.0))
        tensor(-2.)
    """

    arg_constraints: Any = {"rate": constraints.nonnegative}
    support = constraints.nonnegative_integer
    _per_batch: ClassVar[dict[str, int] | None] = {"rate": 0}

    def __init__(self, rate: Any, validate_args: Any = None) -> None:
        (self.rate,) = broadcast_all(rate)
        super().__init__(batch_of(self.rate, rate), validate_args=validate_args)

    @property
    def mean(self) -> Any:
        return self.rate

    @property
    def mode(self) -> Any:
        return self.rate.floor()

    @property
    def variance(self) -> Any:
        return self.rate

    def sample(self, sample_shape: Any = SCALAR) -> Any:
        with rl.no_grad():
            return rl.poisson(self.rate.expand(self._extended_shape(sample_shape)))

    def log_prob(self, value: Any) -> Any:
        value = self._checked(value)
        rate, value = broadcast_all(self.rate, value)
        return value.xlogy(rate) - rate - (value + 1).lgamma()

    @property
    def _natural_params(self) -> Any:
        return (rl.log(self.rate),)

    def _log_normalizer(self, x: Any) -> Any:
        return rl.exp(x)
