"""A distribution pushed through transforms.

In: a base distribution and transforms.  Out: the distribution of the transformed variable, whose
log-density is the base's minus the log-Jacobians.
"""

from __future__ import annotations

from typing import Any, ClassVar

import rushlight as rl
from rushlight.distributions import constraints
from rushlight.distributions.distribution import Distribution
from rushlight.distributions.independent import Independent
from rushlight.distributions.transforms import ComposeTransform, Transform
from rushlight.distributions.utils import SCALAR, sum_rightmost

__all__ = ["TransformedDistribution"]


def _as_list(transforms: Any) -> list[Any]:
    if isinstance(transforms, Transform):
        return [transforms]
    if not isinstance(transforms, list):
        raise ValueError(f"transforms must be a Transform or list, but was {transforms}")
    if not all([isinstance(t, Transform) for t in transforms]):
        raise ValueError("transforms must be a Transform or a list of Transforms")
    return transforms


class TransformedDistribution(Distribution):
    """The distribution of f(X) for X of a base distribution.

    Args:
        base_distribution: the distribution of X.
        transforms: f, a transform or a list of them, the first to apply first.
        validate_args: as in ``Distribution``.

    Raises:
        ValueError: what is no transform, or a base with too few dimensions for them.

    Example:
        >>> import rushlight as torch
        >>> D = torch.distributions
        >>> log_normal = D.TransformedDistribution(D.Normal(0.0, 1.0), D.ExpTransform())
        >>> log_normal.log_prob(torch.tensor(1.0))
        tensor(-0.9189)
    """

    arg_constraints: Any = {}
    _per_batch: ClassVar[dict[str, int] | None] = {}

    def __init__(self, base_distribution: Any, transforms: Any, validate_args: Any = None) -> None:
        self.transforms = _as_list(transforms)
        whole = ComposeTransform(self.transforms)
        needed, made = whole.domain.event_dim, whole.codomain.event_dim
        base_shape = base_distribution.batch_shape + base_distribution.event_shape
        base_dims = len(base_distribution.event_shape)
        if len(base_shape) < needed:
            raise ValueError(
                f"base_distribution needs to have shape with size at least {needed}, "
                f"but got {base_shape}."
            )
        shape = whole.forward_shape(base_shape)
        widened = whole.inverse_shape(shape)  # parameters of the transforms may broadcast the base
        if base_shape != widened:
            base_distribution = base_distribution.expand(widened[: len(widened) - base_dims])
        if needed > base_dims:
            base_distribution = Independent(base_distribution, needed - base_dims)
        self.base_dist = base_distribution
        event_dims = max(made, base_dims + made - needed)
        if len(shape) < event_dims:
            raise AssertionError(
                f"forward_shape length {len(shape)} must be >= event_dim {event_dims}"
            )
        cut = len(shape) - event_dims
        super().__init__(rl.Size(shape[:cut]), rl.Size(shape[cut:]), validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        owner = next(c for c in type(self).__mro__ if vars(c).get("_per_batch") is not None)
        new = self._get_checked_instance(owner, _instance)
        batch_shape = rl.Size(batch_shape)
        for name in owner._per_batch:  # type: ignore[attr-defined]
            new.__dict__[name] = self.__dict__[name].expand(batch_shape)
        shape = batch_shape + self.event_shape
        for transform in reversed(self.transforms):
            shape = transform.inverse_shape(shape)
        new.base_dist = self.base_dist.expand(
            rl.Size(shape[: len(shape) - len(self.base_dist.event_shape)])
        )
        new.transforms = self.transforms
        return self._finish_expand(new, batch_shape)

    @constraints.dependent_property(is_discrete=False)
    def support(self) -> Any:
        """The last transform's codomain, over all event dimensions."""
        if not self.transforms:
            return self.base_dist.support
        region = self.transforms[-1].codomain
        more = len(self.event_shape) - region.event_dim
        return constraints.independent(region, more) if more > 0 else region

    @property
    def has_rsample(self) -> Any:
        return self.base_dist.has_rsample

    def _forward(self, value: Any) -> Any:
        for transform in self.transforms:
            value = transform(value)
        return value

    def sample(self, sample_shape: Any = SCALAR) -> Any:
        with rl.no_grad():
            return self._forward(self.base_dist.sample(sample_shape))

    def rsample(self, sample_shape: Any = SCALAR) -> Any:
        return self._forward(self.base_dist.rsample(sample_shape))

    def log_prob(self, value: Any) -> Any:
        y = self._checked(value)
        dims = len(self.event_shape)
        total: Any = 0.0
        for transform in reversed(self.transforms):
            x = transform.inv(y)
            dims += transform.domain.event_dim - transform.codomain.event_dim
            slope = transform.log_abs_det_jacobian(x, y)
            total = total - sum_rightmost(slope, dims - transform.domain.event_dim)
            y = x
        base = self.base_dist.log_prob(y)
        return total + sum_rightmost(base, dims - len(self.base_dist.event_shape))

    def _turned(self, probability: Any) -> Any:
        """The probability, or 1 minus it where the transforms fall."""
        sign: Any = 1
        for transform in self.transforms:
            sign = sign * transform.sign
        if isinstance(sign, int) and sign == 1:
            return probability
        return sign * (probability - 0.5) + 0.5

    def cdf(self, value: Any) -> Any:
        for transform in reversed(self.transforms):
            value = transform.inv(value)
        if self._validate_args:
            self.base_dist._validate_sample(value)
        return self._turned(self.base_dist.cdf(value))

    def icdf(self, value: Any) -> Any:
        return self._forward(self.base_dist.icdf(self._turned(value)))
