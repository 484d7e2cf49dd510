"""The continuous Bernoulli distribution on [0, 1].

Source: Loaiza-Ganem and Cunningham, "The continuous Bernoulli: fixing a pervasive error in
variational autoencoders" (2019).  Near probability 1/2 the formulas lose digits; there they are
replaced by their Taylor series.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import rushlight as rl
from rushlight.distributions import constraints
from rushlight.distributions.exp_family import ExponentialFamily
from rushlight.distributions.odds import BinaryOdds
from rushlight.distributions.utils import (
    SCALAR,
    broadcast_all,
    clamp_probs,
    lazy_property,
    logits_to_probs,
    uniform_draws,
)

__all__ = ["ContinuousBernoulli"]


class ContinuousBernoulli(BinaryOdds, ExponentialFamily):
    """A density on [0, 1] proportional to probs^x (1 - probs)^(1 - x).

    Args:
        probs: the parameter in (0, 1), a number or a tensor.
        logits: instead of ``probs``, its log-odds.
        lims: the interval around 1/2 in which series are used.
        validate_args: as in ``Distribution``.

    Raises:
        ValueError: both or neither of ``probs`` and ``logits``; a value outside of [0, 1].

    Example:
        >>> import rushlight as torch
        >>> torch.distributions.ContinuousBernoulli(torch.tensor([0.5])).mean
        tensor([0.5000])
    """

    support = constraints.unit_interval
    has_rsample = True
    _mean_carrier_measure = 0
    _per_batch: ClassVar[dict[str, int] | None] = {"probs": 0, "logits": 0}
    _kept: ClassVar[tuple[str, ...]] = ("_lims",)

    def __init__(
        self,
        probs: Any = None,
        logits: Any = None,
        lims: tuple[float, float] = (0.499, 0.501),
        validate_args: Any = None,
    ) -> None:
        batch_shape = self._take_odds(probs, logits)
        if probs is not None:
            # checked here, because clamping would hide what is wrong
            if validate_args is not None and not constraints.unit_interval.check(self.probs).all():
                raise ValueError("The parameter probs has invalid values")
            self.__dict__["probs"] = self._param = clamp_probs(self.probs)
        self._lims = lims
        super().__init__(batch_shape, validate_args=validate_args)

    @lazy_property
    def probs(self) -> Any:
        """The parameter, kept away from 0 and 1."""
        return clamp_probs(logits_to_probs(self.logits, is_binary=True))

    def _stable(self) -> Any:
        """Where the closed formulas are accurate."""
        return (self.probs <= self._lims[0]) | (self.probs > self._lims[1])

    def _safe_probs(self) -> Any:
        """The parameter, replaced by the lower limit where the formulas are not used."""
        return rl.where(self._stable(), self.probs, rl.full_like(self.probs, self._lims[0]))

    @staticmethod
    def _log_odds_down(p: Any) -> Any:
        return rl.log1p(-p) - rl.log(p)

    def _cont_bern_log_norm(self) -> Any:
        """The logarithm of the normalising constant, 2 atanh(1 - 2p) / (1 - 2p)."""
        p = self._safe_probs()
        low = p <= 0.5
        below = rl.where(low, p, rl.zeros_like(p))
        above = rl.where(p >= 0.5, p, rl.ones_like(p))
        gap = rl.where(low, rl.log1p(-2.0 * below), rl.log(2.0 * above - 1.0))  # log |1 - 2p|
        x = (self.probs - 0.5).pow(2)
        series = math.log(2.0) + (4.0 / 3.0 + 104.0 / 45.0 * x) * x
        return rl.where(self._stable(), rl.log(rl.abs(self._log_odds_down(p))) - gap, series)

    @property
    def mean(self) -> Any:
        p = self._safe_probs()
        closed = p / (2.0 * p - 1.0) + 1.0 / self._log_odds_down(p)
        x = self.probs - 0.5
        series = 0.5 + (1.0 / 3.0 + 16.0 / 45.0 * x.pow(2)) * x
        return rl.where(self._stable(), closed, series)

    @property
    def variance(self) -> Any:
        p = self._safe_probs()
        closed = p * (p - 1.0) / (1.0 - 2.0 * p).pow(2) + 1.0 / self._log_odds_down(p).pow(2)
        x = (self.probs - 0.5).pow(2)
        series = 1.0 / 12.0 - (1.0 / 15.0 - 128.0 / 945.0 * x) * x
        return rl.where(self._stable(), closed, series)

    def sample(self, sample_shape: Any = SCALAR) -> Any:
        with rl.no_grad():
            return self.rsample(sample_shape)

    def rsample(self, sample_shape: Any = SCALAR) -> Any:
        return self.icdf(uniform_draws(self._extended_shape(sample_shape), self.probs))

    def log_prob(self, value: Any) -> Any:
        value = self._checked(value)
        logits, value = broadcast_all(self.logits, value)
        loss = rl.nn.functional.binary_cross_entropy_with_logits
        return self._cont_bern_log_norm() - loss(logits, value, reduction="none")

    def cdf(self, value: Any) -> Any:
        value = self._checked(value)
        p = self._safe_probs()
        closed = (p.pow(value) * (1.0 - p).pow(1.0 - value) + p - 1.0) / (2.0 * p - 1.0)
        inside = rl.where(self._stable(), closed, value)
        inside = rl.where(value >= 1.0, rl.ones_like(value), inside)
        return rl.where(value <= 0.0, rl.zeros_like(value), inside)

    def icdf(self, value: Any) -> Any:
        p = self._safe_probs()
        rise = rl.log1p(-p + value * (2.0 * p - 1.0)) - rl.log1p(-p)
        return rl.where(self._stable(), rise / -self._log_odds_down(p), value)

    def entropy(self) -> Any:
        p = self.probs
        return self.mean * self._log_odds_down(p) - self._cont_bern_log_norm() - rl.log1p(-p)

    @property
    def _natural_params(self) -> Any:
        return (self.logits,)

    def _log_normalizer(self, x: Any) -> Any:
        """log((e^x - 1) / x)."""
        low, high = self._lims[0] - 0.5, self._lims[1] - 0.5
        stable = (x <= low) | (x > high)
        safe = rl.where(stable, x, rl.full_like(x, low))
        closed = rl.log(rl.abs(rl.expm1(safe))) - rl.log(rl.abs(safe))
        series = 0.5 * x + x.pow(2) / 24.0 - x.pow(4) / 2880.0
        return rl.where(stable, closed, series)
