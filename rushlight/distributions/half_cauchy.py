"""The half-Cauchy distribution: the size of a Cauchy variable."""

from __future__ import annotations

from typing import Any, ClassVar

import rushlight as rl
from rushlight.distributions.cauchy import Cauchy
from rushlight.distributions.half_normal import Folded

__all__ = ["HalfCauchy"]


class HalfCauchy(Folded):
    """The distribution of |X| where X is Cauchy(0, scale).

    Args:
        scale: the scale of X, positive; a number or a tensor.
        validate_args: as in ``Distribution``.

    Example:
        >>> import rushlight as torch
        >>> torch.distributions.HalfCauchy(1.0).cdf(torch.tensor(1.0))
        tensor(0.5000)
    """

    _whole = Cauchy
    _per_batch: ClassVar[dict[str, int] | None] = {}

    @property
    def mean(self) -> Any:
        shape = self._extended_shape()
        return rl.full(shape, rl.inf, dtype=self.scale.dtype, device=self.scale.device)

    @property
    def variance(self) -> Any:
        return self.base_dist.variance

    def log_prob(self, value: Any) -> Any:
        scale = self.base_dist.scale
        if self._validate_args:
            self._validate_sample(value)
        return super().log_prob(rl.as_tensor(value, dtype=scale.dtype, device=scale.device))
