"""Mixtures of distributions of one family."""

from __future__ import annotations

from typing import Any, ClassVar

import rushlight as rl
from rushlight.distributions import constraints
from rushlight.distributions.categorical import Categorical
from rushlight.distributions.constraints import MixtureSameFamilyConstraint
from rushlight.distributions.distribution import Distribution
from rushlight.distributions.utils import SCALAR

__all__ = ["MixtureSameFamily"]


class MixtureSameFamily(Distribution):
    """A mixture whose components stand along the last batch dimension of one distribution.

    Args:
        mixture_distribution: a Categorical over the components.
        component_distribution: the components, the last batch dimension numbering them.
        validate_args: as in ``Distribution``.

    Raises:
        ValueError: other types, or shapes that do not fit.

    Example:
        >>> import rushlight as torch
        >>> D = torch.distributions
        >>> two = D.Normal(torch.tensor([-1.0, 1.0]), 1.0)
        >>> D.MixtureSameFamily(D.Categorical(torch.ones(2)), two).mean
        tensor(0.)
    """

    arg_constraints: ClassVar[dict[str, Any]] = {}
    has_rsample = False

    def __init__(
        self, mixture_distribution: Any, component_distribution: Any, validate_args: Any = None
    ) -> None:
        self._mixture_distribution = mixture_distribution
        self._component_distribution = component_distribution
        self._check_types()
        mixture_batch = mixture_distribution.batch_shape
        batch_shape = component_distribution.batch_shape[:-1]
        for i, j in zip(reversed(mixture_batch), reversed(batch_shape), strict=False):
            if i != 1 and j != 1 and i != j:
                raise ValueError(
                    f"`mixture_distribution.batch_shape` ({mixture_batch}) is not "
                    "compatible with `component_distribution."
                    f"batch_shape`({batch_shape})"
                )
        self._num_component = mixture_distribution.logits.shape[-1]
        components = component_distribution.batch_shape[-1]
        if self._num_component != components:
            raise ValueError(
                f"`mixture_distribution component` ({self._num_component}) does not"
                " equal `component_distribution.batch_shape[-1]`"
                f" ({components})"
            )
        event_shape = component_distribution.event_shape
        self._event_ndims = len(event_shape)
        super().__init__(batch_shape, event_shape, validate_args=validate_args)

    def _check_types(self) -> None:
        if not isinstance(self._mixture_distribution, Categorical):
            raise ValueError(
                " The Mixture distribution needs to be an "
                " instance of torch.distributions.Categorical"
            )
        if not isinstance(self._component_distribution, Distribution):
            raise ValueError(
                "The Component distribution needs to be an "
                "instance of torch.distributions.Distribution"
            )

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        new = self._get_checked_instance(MixtureSameFamily, _instance)
        batch_shape = rl.Size(batch_shape)
        k = self._num_component
        new._component_distribution = self._component_distribution.expand(batch_shape + (k,))
        new._mixture_distribution = self._mixture_distribution.expand(batch_shape)
        new._num_component, new._event_ndims = k, self._event_ndims
        return self._finish_expand(new, batch_shape)

    @constraints.dependent_property
    def support(self) -> Any:
        """What every component may give."""
        return MixtureSameFamilyConstraint(self._component_distribution.support)

    @property
    def mixture_distribution(self) -> Any:
        """The distribution over the components."""
        return self._mixture_distribution

    @property
    def component_distribution(self) -> Any:
        """The components."""
        return self._component_distribution

    def _weights(self) -> Any:
        """The probabilities, shaped to multiply the components' moments."""
        probs = self._mixture_distribution.probs
        mixture_dims = len(self._mixture_distribution.batch_shape)
        gap = 0 if mixture_dims == 1 else len(self._batch_shape) - mixture_dims
        shape = (*probs.shape[:-1], *[1] * gap, probs.shape[-1], *[1] * self._event_ndims)
        return probs.reshape(shape)

    def _over_components(self, value: Any) -> Any:
        return rl.sum(self._weights() * value, dim=-1 - self._event_ndims)

    def _pad(self, value: Any) -> Any:
        """With a dimension for the components."""
        return value.unsqueeze(-1 - self._event_ndims)

    @property
    def mean(self) -> Any:
        return self._over_components(self._component_distribution.mean)

    @property
    def variance(self) -> Any:
        """The mean of the variances plus the variance of the means."""
        parts = self._component_distribution
        within = self._over_components(parts.variance)
        between = self._over_components((parts.mean - self._pad(self.mean)).pow(2.0))
        return within + between

    def cdf(self, x: Any) -> Any:
        parts = self._component_distribution.cdf(self._pad(x))
        return rl.sum(parts * self._mixture_distribution.probs, dim=-1)

    def log_prob(self, x: Any) -> Any:
        parts = self._component_distribution.log_prob(self._pad(self._checked(x)))
        weights = rl.log_softmax(self._mixture_distribution.logits, dim=-1)
        return rl.logsumexp(parts + weights, dim=-1)

    def sample(self, sample_shape: Any = SCALAR) -> Any:
        with rl.no_grad():
            chosen = self._mixture_distribution.sample(sample_shape)
            parts = self._component_distribution.sample(sample_shape)
            dim = len(sample_shape) + len(self._batch_shape)
            index = chosen.reshape((*chosen.shape, *[1] * (self._event_ndims + 1)))
            index = index.expand((*chosen.shape, 1, *self._event_shape))
            return rl.gather(parts, dim, index).squeeze(dim)

    def __repr__(self) -> str:
        inner = f"\n  {self._mixture_distribution},\n  {self._component_distribution}"
        return f"MixtureSameFamily({inner})"
