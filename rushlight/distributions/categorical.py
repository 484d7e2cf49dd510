"""The categorical distribution: one of several categories."""

from __future__ import annotations

from typing import Any

import rushlight as rl
from rushlight.distributions import constraints
from rushlight.distributions.distribution import Distribution
from rushlight.distributions.odds import require_one
from rushlight.distributions.utils import SCALAR, lazy_property, logits_to_probs, probs_to_logits

__all__ = ["Categorical"]


class Categorical(Distribution):
    """A category's number, 0 to k - 1, drawn with given probabilities.

    Args:
        probs: (..., k) weights that are not negative; they are divided by their sum.
        logits: instead of ``probs``, log-weights.
        validate_args: as in ``Distribution``.

    Raises:
        ValueError: both or neither of ``probs`` and ``logits``; one without a dimension.

    Example:
        >>> import rushlight as torch
        >>> d = torch.distributions.Categorical(torch.tensor([1.0, 3.0]))
        >>> d.log_prob(torch.tensor(1)).exp()
        tensor(0.7500)
    """

    arg_constraints: Any = {"probs": constraints.simplex, "logits": constraints.real_vector}
    has_enumerate_support = True

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: Any = None) -> None:
        require_one(probs, logits)
        name, given = ("logits", logits) if probs is None else ("probs", probs)
        if given.dim() < 1:
            raise ValueError(f"`{name}` parameter must be at least one-dimensional.")
        if probs is not None:
            self._param = probs / probs.sum(-1, keepdim=True)
        else:
            self._param = logits - logits.logsumexp(dim=-1, keepdim=True)
        self.__dict__[name] = self._param
        self._num_events = self._param.size()[-1]
        super().__init__(self._param.size()[:-1], validate_args=validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        new = self._get_checked_instance(Categorical, _instance)
        batch_shape = rl.Size(batch_shape)
        new._num_events = self._num_events
        for name in ("probs", "logits"):
            if name in self.__dict__:
                value = self.__dict__[name]
                new.__dict__[name] = value.expand(batch_shape + (self._num_events,))
                if value is self._param:
                    new._param = new.__dict__[name]
        return self._finish_expand(new, batch_shape)

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self) -> Any:
        """0 to k - 1."""
        return constraints.integer_interval(0, self._num_events - 1)

    @lazy_property
    def logits(self) -> Any:
        """Normalised log-probabilities."""
        return probs_to_logits(self.probs)

    @lazy_property
    def probs(self) -> Any:
        """Normalised probabilities."""
        return logits_to_probs(self.logits)

    @property
    def param_shape(self) -> Any:
        """The parameter's shape, the categories last."""
        return self._param.size()

    def _undefined(self) -> Any:
        shape = self._extended_shape()
        return rl.full(shape, rl.nan, dtype=self.probs.dtype, device=self.probs.device)

    @property
    def mean(self) -> Any:
        return self._undefined()

    @property
    def mode(self) -> Any:
        return self.probs.argmax(dim=-1)

    @property
    def variance(self) -> Any:
        return self._undefined()

    def sample(self, sample_shape: Any = SCALAR) -> Any:
        sample_shape = rl.Size(sample_shape)
        with rl.no_grad():
            rows = self.probs.reshape(-1, self._num_events)
            drawn = rl.multinomial(rows, sample_shape.numel(), True)
            return drawn.T.reshape(self._extended_shape(sample_shape))

    def log_prob(self, value: Any) -> Any:
        index = self._checked(value).long().unsqueeze(-1)
        index, log_probs = rl.broadcast_tensors(index, self.logits)
        return log_probs.gather(-1, index[..., :1]).squeeze(-1)

    def entropy(self) -> Any:
        finite = rl.clamp(self.logits, min=rl.finfo(self.logits.dtype).min)
        return -(finite * self.probs).sum(-1)

    def enumerate_support(self, expand: bool = True) -> Any:
        values = rl.arange(self._num_events, dtype=rl.long, device=self._param.device)
        return self._enumerated(values, expand)
