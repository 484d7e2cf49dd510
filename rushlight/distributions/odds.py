"""Parameters given as probabilities or as logits, for the distributions that take either.

In: ``probs`` or ``logits``, one of them.  Out: both as attributes, the other computed when read.
"""

from __future__ import annotations

from typing import Any

from rushlight.distributions import constraints
from rushlight.distributions.distribution import Distribution
from rushlight.distributions.utils import (
    SCALAR,
    broadcast_all,
    is_number,
    lazy_property,
    logits_to_probs,
    probs_to_logits,
)

__all__ = ["BinaryOdds", "require_one"]


def require_one(probs: Any, logits: Any) -> None:
    """Raises ValueError unless exactly one of the two is given."""
    if (probs is None) == (logits is None):
        raise ValueError("Either `probs` or `logits` must be specified, but not both.")


class BinaryOdds(Distribution):
    """A distribution with the probability or the log-odds of a success."""

    arg_constraints: Any = {"probs": constraints.unit_interval, "logits": constraints.real}
    _param: Any

    def _take_odds(self, probs: Any, logits: Any) -> Any:
        """Sets ``probs`` or ``logits``; returns the batch shape."""
        require_one(probs, logits)
        name, given = ("logits", logits) if probs is None else ("probs", probs)
        (self._param,) = broadcast_all(given)
        self.__dict__[name] = self._param
        return SCALAR if is_number(given) else self._param.size()

    def _take_counted_odds(self, total_count: Any, probs: Any, logits: Any) -> Any:
        """The same together with a count of trials; returns the batch shape."""
        require_one(probs, logits)
        name, given = ("logits", logits) if probs is None else ("probs", probs)
        count, self._param = broadcast_all(total_count, given)
        self.total_count = count.type_as(self._param)
        self.__dict__[name] = self._param
        return self._param.size()

    @lazy_property
    def logits(self) -> Any:
        """The log-odds."""
        return probs_to_logits(self.probs, is_binary=True)

    @lazy_property
    def probs(self) -> Any:
        """The probability."""
        return logits_to_probs(self.logits, is_binary=True)

    @property
    def param_shape(self) -> Any:
        """The shape of the parameter."""
        return self._param.size()

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        new = super().expand(batch_shape, _instance)
        new._param = new.__dict__["probs" if "probs" in self.__dict__ else "logits"]
        if "probs" in self.__dict__ and "logits" in self.__dict__:
            new._param = new.probs if self._param is self.__dict__["probs"] else new.logits
        return new
