"""The binomial distribution: how many of several trials succeed."""

from __future__ import annotations

from typing import Any, ClassVar

import rushlight as rl
from rushlight.distributions import constraints
from rushlight.distributions.odds import BinaryOdds
from rushlight.distributions.utils import SCALAR

__all__ = ["Binomial"]


class Binomial(BinaryOdds):
    """The number of successes in ``total_count`` independent trials.

    Args:
        total_count: how many trials, a number or a tensor.
        probs: the probability of a success.
        logits: instead of ``probs``, its log-odds.
        validate_args: as in ``Distribution``.

    Raises:
        ValueError: both or neither of ``probs`` and ``logits``.

    Example:
        >>> import rushlight as torch
        >>> torch.distributions.Binomial(2, torch.tensor([0.5])).log_prob(torch.tensor(1.0)).exp()
        tensor([0.5000])
    """

    arg_constraints: Any = {
        "total_count": constraints.nonnegative_integer,
        "probs": constraints.unit_interval,
        "logits": constraints.real,
    }
    has_enumerate_support = True
    _per_batch: ClassVar[dict[str, int] | None] = {"total_count": 0, "probs": 0, "logits": 0}

    def __init__(
        self,
        total_count: Any = 1,
        probs: Any = None,
        logits: Any = None,
        validate_args: Any = None,
    ) -> None:
        batch_shape = self._take_counted_odds(total_count, probs, logits)
        super().__init__(batch_shape, validate_args=validate_args)

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self) -> Any:
        """0 to the number of trials."""
        return constraints.integer_interval(0, self.total_count)

    @property
    def mean(self) -> Any:
        return self.total_count * self.probs

    @property
    def mode(self) -> Any:
        return ((self.total_count + 1) * self.probs).floor().clamp(max=self.total_count)

    @property
    def variance(self) -> Any:
        return self.total_count * self.probs * (1 - self.probs)

    def sample(self, sample_shape: Any = SCALAR) -> Any:
        shape = self._extended_shape(sample_shape)
        with rl.no_grad():
            return rl.binomial(self.total_count.expand(shape), self.probs.expand(shape))

    def log_prob(self, value: Any) -> Any:
        value = self._checked(value)
        n, logits = self.total_count, self.logits
        # n log(1 + e^logits), split so that the exponential never overflows
        positive_part = (logits.clamp(min=0) + logits - logits.clamp(max=0)) / 2
        partition = n * positive_part + n * rl.log1p(rl.exp(-rl.abs(logits)))
        choose = rl.lgamma(n + 1) - rl.lgamma(value + 1) - rl.lgamma(n - value + 1)
        return value * logits + choose - partition

    def _single_count(self, method: str) -> int:
        count = int(self.total_count.max())
        if not self.total_count.min() == count:
            raise NotImplementedError(f"Inhomogeneous total count not supported by `{method}`.")
        return count

    def entropy(self) -> Any:
        self._single_count("entropy")
        log_prob = self.log_prob(self.enumerate_support(False))
        return -(rl.exp(log_prob) * log_prob).sum(0)

    def enumerate_support(self, expand: bool = True) -> Any:
        count = self._single_count("enumerate_support")
        values = rl.arange(1 + count, dtype=self._param.dtype, device=self._param.device)
        return self._enumerated(values, expand)
