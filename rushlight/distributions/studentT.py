"""Student's t distribution."""

from __future__ import annotations

import math
from typing import Any

import rushlight as rl
from rushlight.distributions import constraints
from rushlight.distributions.chi2 import Chi2
from rushlight.distributions.distribution import Distribution
from rushlight.distributions.utils import SCALAR, broadcast_all, standard_normal

__all__ = ["StudentT"]


class StudentT(Distribution):
    """Student's t distribution, moved and scaled.

    Args:
        df: the degrees of freedom, positive; a number or a tensor.
        loc: the median.
        scale: the scale, positive.
        validate_args: as in ``Distribution``.

    Example:
        >>> import rushlight as torch
        >>> torch.distributions.StudentT(4.0).variance
        tensor(2.)
    """

    arg_constraints: Any = {
        "df": constraints.positive,
        "loc": constraints.real,
        "scale": constraints.positive,
    }
    support = constraints.real
    has_rsample = True

    def __init__(
        self, df: Any, loc: Any = 0.0, scale: Any = 1.0, validate_args: Any = None
    ) -> None:
        self.df, self.loc, self.scale = broadcast_all(df, loc, scale)
        self._chi2 = Chi2(self.df)
        super().__init__(self.df.size(), validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        new = self._get_checked_instance(StudentT, _instance)
        batch_shape = rl.Size(batch_shape)
        for name in ("df", "loc", "scale", "_chi2"):
            setattr(new, name, getattr(self, name).expand(batch_shape))
        return self._finish_expand(new, batch_shape)

    @property
    def mean(self) -> Any:
        return rl.where(self.df <= 1, rl.nan, self.loc)

    @property
    def mode(self) -> Any:
        return self.loc

    @property
    def variance(self) -> Any:
        finite = self.scale.pow(2) * self.df / (self.df - 2)
        return rl.where(self.df > 2, finite, rl.where(self.df > 1, rl.inf, rl.nan).to(self.df))

    def rsample(self, sample_shape: Any = SCALAR) -> Any:
        normal = standard_normal(self._extended_shape(sample_shape), self.df)
        squares = self._chi2.rsample(sample_shape)
        return self.loc + self.scale * (normal * rl.rsqrt(squares / self.df))

    def log_prob(self, value: Any) -> Any:
        z = (self._checked(value) - self.loc) / self.scale
        half, half_more = 0.5 * self.df, 0.5 * (self.df + 1.0)
        normalizer = (
            self.scale.log()
            + 0.5 * self.df.log()
            + 0.5 * math.log(math.pi)
            + rl.lgamma(half)
            - rl.lgamma(half_more)
        )
        return -half_more * rl.log1p(z**2.0 / self.df) - normalizer

    def entropy(self) -> Any:
        half, half_more = 0.5 * self.df, 0.5 * (self.df + 1)
        log_beta = rl.lgamma(half) + math.lgamma(0.5) - rl.lgamma(half_more)
        spread = half_more * (rl.digamma(half_more) - rl.digamma(half))
        return self.scale.log() + spread + 0.5 * self.df.log() + log_beta
