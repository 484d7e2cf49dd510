"""The geometric distribution: failures before the first success."""

from __future__ import annotations

from typing import Any, ClassVar

import rushlight as rl
from rushlight.distributions import constraints
from rushlight.distributions.odds import BinaryOdds
from rushlight.distributions.utils import SCALAR, broadcast_all, open_uniform

__all__ = ["Geometric"]


class Geometric(BinaryOdds):
    """How many trials fail before the first that succeeds.

    Args:
        probs: the probability of a success, in (0, 1].
        logits: instead of ``probs``, its log-odds.
        validate_args: as in ``Distribution``.

    Raises:
        ValueError: both or neither of ``probs`` and ``logits``; a probability of 0.

    Example:
        >>> import rushlight as torch
        >>> torch.distributions.Geometric(torch.tensor([0.5])).log_prob(torch.tensor([1.0])).exp()
        tensor([0.2500])
    """

    support = constraints.nonnegative_integer
    _per_batch: ClassVar[dict[str, int] | None] = {"probs": 0, "logits": 0}

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: Any = None) -> None:
        super().__init__(self._take_odds(probs, logits), validate_args=validate_args)
        if self._validate_args and probs is not None and not (self.probs > 0).all():
            value = self.probs
            raise ValueError(
                "Expected parameter probs "
                f"({type(value).__name__} of shape {tuple(value.shape)}) "
                f"of distribution {self!r} "
                f"to be positive but found invalid values:\n{value.detach()[~(value > 0)]}"
            )

    @property
    def mean(self) -> Any:
        return 1.0 / self.probs - 1.0

    @property
    def mode(self) -> Any:
        return rl.zeros_like(self.probs)

    @property
    def variance(self) -> Any:
        return (1.0 / self.probs - 1.0) / self.probs

    def sample(self, sample_shape: Any = SCALAR) -> Any:
        with rl.no_grad():
            u = open_uniform(self._extended_shape(sample_shape), self.probs)
            return (u.log() / (-self.probs).log1p()).floor()

    def log_prob(self, value: Any) -> Any:
        value = self._checked(value)
        value, probs = broadcast_all(value, self.probs)
        # at probability 1 the value 0 is certain: 0 * log(0) is to be 0
        certain = (probs == 1) & (value == 0)
        failures = rl.where(certain, rl.zeros_like(probs), probs)
        return value * (-failures).log1p() + self.probs.log()

    def entropy(self) -> Any:
        loss = rl.nn.functional.binary_cross_entropy_with_logits
        return loss(self.logits, self.probs, reduction="none") / self.probs
