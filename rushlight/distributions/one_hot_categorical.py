"""One-hot vectors of a categorical distribution."""

from __future__ import annotations

from typing import Any, ClassVar

import rushlight as rl
from rushlight.distributions import constraints
from rushlight.distributions.categorical import Categorical
from rushlight.distributions.distribution import Distribution
from rushlight.distributions.utils import SCALAR

__all__ = ["OneHotCategorical", "OneHotCategoricalStraightThrough"]


class OverCategories(Distribution):
    """A distribution over vectors with an entry a category, built on a ``Categorical``."""

    arg_constraints: Any = {"probs": constraints.simplex, "logits": constraints.real_vector}
    _categorical: Any
    _shape_owner: ClassVar[Any] = None  # the class whose __init__ `expand` knows

    def _take_categories(self, probs: Any, logits: Any, validate_args: Any) -> None:
        categorical = self._categorical = Categorical(probs, logits)
        event_shape = categorical.param_shape[-1:]
        Distribution.__init__(self, categorical.batch_shape, event_shape, validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        owner = next(c for c in type(self).__mro__ if vars(c).get("_shape_owner"))
        new = self._get_checked_instance(owner, _instance)
        batch_shape = rl.Size(batch_shape)
        for name in owner._kept:  # type: ignore[attr-defined]
            setattr(new, name, getattr(self, name))
        new._categorical = self._categorical.expand(batch_shape)
        return self._finish_expand(new, batch_shape)

    @property
    def probs(self) -> Any:
        """Normalised probabilities."""
        return self._categorical.probs

    @property
    def logits(self) -> Any:
        """Normalised log-probabilities."""
        return self._categorical.logits

    @property
    def param_shape(self) -> Any:
        """The parameter's shape, the categories last."""
        return self._categorical.param_shape


class OneHotCategorical(OverCategories):
    """A one-hot vector whose 1 stands at a random category.

    Args:
        probs: (..., k) weights that are not negative; they are divided by their sum.
        logits: instead of ``probs``, log-weights.
        validate_args: as in ``Distribution``.

    Example:
        >>> import rushlight as torch
        >>> torch.distributions.OneHotCategorical(torch.tensor([1.0, 3.0])).mode
        tensor([0., 1.])
    """

    support = constraints.one_hot
    has_enumerate_support = True
    _shape_owner: ClassVar[Any] = True

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: Any = None) -> None:
        self._take_categories(probs, logits, validate_args)

    @property
    def _param(self) -> Any:
        return self._categorical._param

    def _one_hot(self, index: Any) -> Any:
        return rl.nn.functional.one_hot(index, self._event_shape[0]).to(self.probs)

    @property
    def mean(self) -> Any:
        return self.probs

    @property
    def mode(self) -> Any:
        return self._one_hot(self.probs.argmax(dim=-1))

    @property
    def variance(self) -> Any:
        return self.probs * (1 - self.probs)

    def sample(self, sample_shape: Any = SCALAR) -> Any:
        return self._one_hot(self._categorical.sample(sample_shape))

    def log_prob(self, value: Any) -> Any:
        return self._categorical.log_prob(self._checked(value).max(-1)[1])

    def entropy(self) -> Any:
        return self._categorical.entropy()

    def enumerate_support(self, expand: bool = True) -> Any:
        n = self._event_shape[0]
        values = rl.eye(n, dtype=self._param.dtype, device=self._param.device)
        values = values.view((n,) + (1,) * len(self._batch_shape) + (n,))
        return values.expand((n, *self._batch_shape, n)) if expand else values


class OneHotCategoricalStraightThrough(OneHotCategorical):
    """One-hot vectors with a gradient: that of the probabilities.

    Source: Bengio, Leonard and Courville, "Estimating or propagating gradients through stochastic
    neurons for conditional computation" (2013).
    """

    has_rsample = True

    def rsample(self, sample_shape: Any = SCALAR) -> Any:
        probs = self.probs
        return self.sample(sample_shape) + (probs - probs.detach())
