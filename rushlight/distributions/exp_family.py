"""Exponential families: densities exp(<t(x), theta> - F(theta) + k(x)).

In: natural parameters theta and the log-normaliser F.  Out: the entropy.  Source: Nielsen and Nock,
"Entropies and cross-entropies of exponential families" (2010).
"""

from __future__ import annotations

from typing import Any

import rushlight as rl
from rushlight.distributions.distribution import Distribution

__all__ = ["ExponentialFamily"]


class ExponentialFamily(Distribution):
    """A distribution whose entropy follows from its log-normaliser.

    A subclass gives ``_natural_params`` (theta), ``_log_normalizer`` (F) and
    ``_mean_carrier_measure`` (the mean of k); the entropy is F - <theta, grad F> - mean k.
    """

    @property
    def _natural_params(self) -> Any:
        raise NotImplementedError

    def _log_normalizer(self, *natural_params: Any) -> Any:
        raise NotImplementedError

    @property
    def _mean_carrier_measure(self) -> Any:
        raise NotImplementedError

    def entropy(self) -> Any:
        """The entropy, by differentiating the log-normaliser."""
        natural = [p.detach().requires_grad_() for p in self._natural_params]
        with rl.enable_grad():
            normalizer = self._log_normalizer(*natural)
            slopes = rl.autograd.grad(normalizer.sum(), natural, create_graph=True)
        result = normalizer - self._mean_carrier_measure
        for theta, slope in zip(natural, slopes, strict=True):
            result = result - (theta * slope).reshape(self._batch_shape + (-1,)).sum(-1)
        return result
