"""The Dirichlet distribution on the simplex."""

from __future__ import annotations

from typing import Any, ClassVar

import rushlight as rl
from rushlight.distributions import constraints
from rushlight.distributions.exp_family import ExponentialFamily
from rushlight.distributions.utils import SCALAR

__all__ = ["Dirichlet"]


class Dirichlet(ExponentialFamily):
    """Random shares that sum to 1.

    Args:
        concentration: (..., k) positive weights of the k shares.
        validate_args: as in ``Distribution``.

    Raises:
        ValueError: a concentration without a dimension, or one that is not positive.

    Example:
        >>> import rushlight as torch
        >>> torch.distributions.Dirichlet(torch.tensor([1.0, 3.0])).mean
        tensor([0.2500, 0.7500])
    """

    arg_constraints: Any = {"concentration": constraints.independent(constraints.positive, 1)}
    support = constraints.simplex
    has_rsample = True
    _per_batch: ClassVar[dict[str, int] | None] = {"concentration": 1}

    def __init__(self, concentration: Any, validate_args: Any = None) -> None:
        if concentration.dim() < 1:
            raise ValueError("`concentration` parameter must be at least one-dimensional.")
        self.concentration = concentration
        shape = concentration.shape
        super().__init__(shape[:-1], shape[-1:], validate_args=validate_args)

    @property
    def mean(self) -> Any:
        return self.concentration / self.concentration.sum(-1, True)

    @property
    def mode(self) -> Any:
        """The most likely shares; a corner where every concentration is below 1."""
        above = (self.concentration - 1).clamp(min=0.0)
        inner = above / above.sum(-1, True)
        corner = rl.nn.functional.one_hot(inner.argmax(dim=-1), above.shape[-1]).to(inner)
        cornered = (self.concentration < 1).all(dim=-1, keepdim=True)
        return rl.where(cornered, corner, inner)

    @property
    def variance(self) -> Any:
        total = self.concentration.sum(-1, True)
        return self.concentration * (total - self.concentration) / (total.pow(2) * (total + 1))

    def rsample(self, sample_shape: Any = SCALAR) -> Any:
        return rl._sample_dirichlet(self.concentration.expand(self._extended_shape(sample_shape)))

    def log_prob(self, value: Any) -> Any:
        value = self._checked(value)
        return (
            rl.xlogy(self.concentration - 1.0, value).sum(-1)
            + rl.lgamma(self.concentration.sum(-1))
            - rl.lgamma(self.concentration).sum(-1)
        )

    def entropy(self) -> Any:
        alpha = self.concentration
        total = alpha.sum(-1)
        return (
            rl.lgamma(alpha).sum(-1)
            - rl.lgamma(total)
            - (alpha.size(-1) - total) * rl.digamma(total)
            - ((alpha - 1.0) * rl.digamma(alpha)).sum(-1)
        )

    @property
    def _natural_params(self) -> Any:
        return (self.concentration,)

    def _log_normalizer(self, x: Any) -> Any:
        return x.lgamma().sum(-1) - rl.lgamma(x.sum(-1))
