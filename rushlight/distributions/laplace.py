"""The Laplace distribution."""

from __future__ import annotations

from typing import Any, ClassVar

import rushlight as rl
from rushlight.distributions import constraints
from rushlight.distributions.distribution import Distribution
from rushlight.distributions.utils import SCALAR, batch_of, broadcast_all

__all__ = ["Laplace"]


class Laplace(Distribution):
    """The Laplace (double exponential) distribution.

    Args:
        loc: the mean, a number or a tensor.
        scale: the mean distance from it, positive.
        validate_args: as in ``Distribution``.

    Example:
        >>> import rushlight as torch
        >>> torch.distributions.Laplace(0.0, 1.0).log_prob(torch.tensor(0.0))
        tensor(-0.6931)
    """

    arg_constraints: Any = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.real
    has_rsample = True
    _per_batch: ClassVar[dict[str, int] | None] = {"loc": 0, "scale": 0}

    def __init__(self, loc: Any, scale: Any, validate_args: Any = None) -> None:
        self.loc, self.scale = broadcast_all(loc, scale)
        super().__init__(batch_of(self.loc, loc, scale), validate_args=validate_args)

    @property
    def mean(self) -> Any:
        return self.loc

    @property
    def mode(self) -> Any:
        return self.loc

    @property
    def stddev(self) -> Any:
        return 2**0.5 * self.scale

    @property
    def variance(self) -> Any:
        return 2 * self.scale.pow(2)

    def rsample(self, sample_shape: Any = SCALAR) -> Any:
        low = rl.finfo(self.loc.dtype).eps - 1
        u = self.loc.new_empty(self._extended_shape(sample_shape)).uniform_(low, 1)
        return self.loc - self.scale * u.sign() * rl.log1p(-u.abs())

    def log_prob(self, value: Any) -> Any:
        value = self._checked(value)
        return -rl.log(2 * self.scale) - rl.abs(value - self.loc) / self.scale

    def cdf(self, value: Any) -> Any:
        gap = self._checked(value) - self.loc
        return 0.5 - 0.5 * gap.sign() * rl.expm1(-gap.abs() / self.scale)

    def icdf(self, value: Any) -> Any:
        half = value - 0.5
        return self.loc - self.scale * half.sign() * rl.log1p(-2 * half.abs())

    def entropy(self) -> Any:
        return 1 + rl.log(2 * self.scale)
