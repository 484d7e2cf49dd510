"""The Gumbel distribution of maxima."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import rushlight as rl
from rushlight.distributions import constraints
from rushlight.distributions.transformed_distribution import TransformedDistribution
from rushlight.distributions.transforms import AffineTransform, ExpTransform
from rushlight.distributions.uniform import Uniform
from rushlight.distributions.utils import broadcast_all, euler_constant, is_number

__all__ = ["Gumbel"]


class Gumbel(TransformedDistribution):
    """The Gumbel distribution: loc - scale * log(-log U) for a uniform U.

    Args:
        loc: the mode, a number or a tensor.
        scale: the scale, positive.
        validate_args: as in ``Distribution``.

    Example:
        >>> import rushlight as torch
        >>> torch.distributions.Gumbel(0.0, 1.0).mean
        tensor(0.5772)
    """

    arg_constraints: Any = {"loc": constraints.real, "scale": constraints.positive}
    support: Any = constraints.real
    _per_batch: ClassVar[dict[str, int] | None] = {"loc": 0, "scale": 0}

    def __init__(self, loc: Any, scale: Any, validate_args: Any = None) -> None:
        self.loc, self.scale = broadcast_all(loc, scale)
        info = rl.finfo(self.loc.dtype)
        low, high = info.tiny, 1 - info.eps
        if is_number(loc) and is_number(scale):
            base = Uniform(low, high, validate_args=validate_args)
        else:
            low, high = rl.full_like(self.loc, low), rl.full_like(self.loc, high)
            base = Uniform(low, high, validate_args=validate_args)
        log = ExpTransform().inv
        minus = AffineTransform(loc=0, scale=-rl.ones_like(self.scale))
        chain = [log, minus, ExpTransform().inv, AffineTransform(loc=loc, scale=-self.scale)]
        super().__init__(base, chain, validate_args=validate_args)

    @property
    def mean(self) -> Any:
        return self.loc + self.scale * euler_constant

    @property
    def mode(self) -> Any:
        return self.loc

    @property
    def stddev(self) -> Any:
        return (math.pi / math.sqrt(6)) * self.scale

    @property
    def variance(self) -> Any:
        return self.stddev.pow(2)

    def log_prob(self, value: Any) -> Any:
        z = (self.loc - self._checked(value)) / self.scale
        return (z - z.exp()) - self.scale.log()

    def entropy(self) -> Any:
        return self.scale.log() + (1 + euler_constant)
