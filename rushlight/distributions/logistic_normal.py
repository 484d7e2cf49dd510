"""The logistic-normal distribution on the simplex."""

from __future__ import annotations

from typing import Any, ClassVar

from rushlight.distributions import constraints
from rushlight.distributions.normal import Normal
from rushlight.distributions.transformed_distribution import TransformedDistribution
from rushlight.distributions.transforms import StickBreakingTransform

__all__ = ["LogisticNormal"]


class LogisticNormal(TransformedDistribution):
    """Shares broken off a stick by independent normal variables.

    Args:
        loc: (..., k - 1) means, for k shares.
        scale: their standard deviations, positive.
        validate_args: as in ``Distribution``.

    Example:
        >>> import rushlight as torch
        >>> d = torch.distributions.LogisticNormal(torch.zeros(3), torch.ones(3))
        >>> d.event_shape
        torch.Size([4])
    """

    arg_constraints: Any = {"loc": constraints.real, "scale": constraints.positive}
    support: Any = constraints.simplex
    has_rsample: Any = True
    _per_batch: ClassVar[dict[str, int] | None] = {}

    def __init__(self, loc: Any, scale: Any, validate_args: Any = None) -> None:
        base = Normal(loc, scale, validate_args=validate_args)
        if not base.batch_shape:
            base = base.expand([1])
        super().__init__(base, StickBreakingTransform(), validate_args=validate_args)

    @property
    def loc(self) -> Any:
        """The means of the normal variables."""
        return self.base_dist.base_dist.loc

    @property
    def scale(self) -> Any:
        """The standard deviations of the normal variables."""
        return self.base_dist.base_dist.scale
