"""The multinomial distribution: how often each category came."""

from __future__ import annotations

from typing import Any, ClassVar

import rushlight as rl
from rushlight.distributions import constraints
from rushlight.distributions.binomial import Binomial
from rushlight.distributions.one_hot_categorical import OverCategories
from rushlight.distributions.utils import SCALAR, broadcast_all

__all__ = ["Multinomial"]


class Multinomial(OverCategories):
    """Counts of the categories in ``total_count`` draws.

    Args:
        total_count: the number of draws, an int.
        probs: (..., k) weights that are not negative; they are divided by their sum.
        logits: instead of ``probs``, log-weights.
        validate_args: as in ``Distribution``.

    Raises:
        NotImplementedError: a count that is no int.

    Example:
        >>> import rushlight as torch
        >>> torch.distributions.Multinomial(4, torch.tensor([1.0, 3.0])).mean
        tensor([1., 3.])
    """

    _shape_owner: ClassVar[Any] = True
    _kept: ClassVar[tuple[str, ...]] = ("total_count", "_binomial")

    def __init__(
        self,
        total_count: int = 1,
        probs: Any = None,
        logits: Any = None,
        validate_args: Any = None,
    ) -> None:
        if not isinstance(total_count, int):
            raise NotImplementedError("inhomogeneous total_count is not supported")
        self.total_count = total_count
        self._take_categories(probs, logits, validate_args)
        self._binomial = Binomial(total_count=total_count, probs=self.probs)

    @constraints.dependent_property(is_discrete=True, event_dim=1)
    def support(self) -> Any:
        """Counts that sum to the number of draws."""
        return constraints.multinomial(self.total_count)

    @property
    def mean(self) -> Any:
        return self.probs * self.total_count

    @property
    def variance(self) -> Any:
        return self.total_count * self.probs * (1 - self.probs)

    def sample(self, sample_shape: Any = SCALAR) -> Any:
        sample_shape = rl.Size(sample_shape)
        draws = self._categorical.sample((self.total_count, *sample_shape))
        draws = draws.movedim(0, -1)
        counts = rl.zeros(self._extended_shape(sample_shape), dtype=draws.dtype)
        return counts.scatter_add_(-1, draws, rl.ones_like(draws)).type_as(self.probs)

    def log_prob(self, value: Any) -> Any:
        value = self._checked(value)
        logits, value = broadcast_all(self.logits, value)
        impossible = (value == 0) & (logits == -rl.inf)
        logits = rl.where(impossible, rl.zeros_like(logits), logits)
        ways = rl.lgamma(value.sum(-1) + 1) - rl.lgamma(value + 1).sum(-1)
        return ways + (logits * value).sum(-1)

    def entropy(self) -> Any:
        n = rl.tensor(self.total_count)
        counts = self._binomial.enumerate_support(expand=False)[1:]
        weights = rl.exp(self._binomial.log_prob(counts))
        repeated = (weights * rl.lgamma(counts + 1)).sum([0, -1])
        return n * self._categorical.entropy() - rl.lgamma(n + 1) + repeated
