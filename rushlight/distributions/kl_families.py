"""Kullback-Leibler divergences between distributions of different families.

KL(p || q) = -H(p) - E[log q(X)].  What E[log q(X)] needs of p is a few means (of X, X^2, log X,
log(1 - X), exp(-X / s)), stated once a family in ``_Means``; a rule for q puts them together.
Where p gives values that q cannot, the divergence is infinite.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import rushlight as rl
from rushlight.distributions.bernoulli import Bernoulli
from rushlight.distributions.beta import Beta
from rushlight.distributions.binomial import Binomial
from rushlight.distributions.continuous_bernoulli import ContinuousBernoulli
from rushlight.distributions.exponential import Exponential
from rushlight.distributions.gamma import Gamma
from rushlight.distributions.gumbel import Gumbel
from rushlight.distributions.kl import infinite_where, register_kl
from rushlight.distributions.laplace import Laplace
from rushlight.distributions.normal import Normal
from rushlight.distributions.pareto import Pareto
from rushlight.distributions.poisson import Poisson
from rushlight.distributions.uniform import Uniform
from rushlight.distributions.utils import euler_constant

__all__: list[str] = []

# ---- means of functions of X -------------------------------------------------------------------


def _x_log_x(x: Any) -> Any:
    return rl.xlogy(x, x)


def _uniform_mean_log(low: Any, high: Any) -> Any:
    return (_x_log_x(high) - _x_log_x(low)) / (high - low) - 1


_MEAN_LOG: dict[type, Callable[[Any], Any]] = {
    Beta: lambda p: p.concentration1.digamma() - (p.concentration1 + p.concentration0).digamma(),
    Exponential: lambda p: -euler_constant - p.rate.log(),
    Pareto: lambda p: p.scale.log() + p.alpha.reciprocal(),
    Uniform: lambda p: _uniform_mean_log(p.low, p.high),
}

# the mean of exp(-X / s)
_MEAN_EXP: dict[type, Callable[[Any, Any], Any]] = {
    Exponential: lambda p, s: p.rate * s / (p.rate * s + 1),
    Gamma: lambda p, s: (1 + (p.rate * s).reciprocal()).pow(-p.concentration),
    Normal: lambda p, s: rl.exp(0.5 * (p.scale / s).pow(2) - p.loc / s),
    Uniform: lambda p, s: s / (p.high - p.low) * (rl.exp(-p.low / s) - rl.exp(-p.high / s)),
}

# ---- one rule a family of q --------------------------------------------------------------------


def _to_exponential(p: Any, q: Any) -> Any:
    return -p.entropy() - q.rate.log() + q.rate * p.mean


def _to_gamma(p: Any, q: Any) -> Any:
    mean_log = _MEAN_LOG[_family(p)](p)
    normalizer = q.concentration.lgamma() - q.concentration * q.rate.log()
    return -p.entropy() + normalizer - (q.concentration - 1) * mean_log + q.rate * p.mean


def _to_normal(p: Any, q: Any) -> Any:
    spread = p.variance + (p.mean - q.loc).pow(2)
    return (
        -p.entropy() + 0.5 * math.log(2 * math.pi) + q.scale.log() + spread / (2 * q.scale.pow(2))
    )


def _to_gumbel(p: Any, q: Any) -> Any:
    tail = rl.exp(q.loc / q.scale) * _MEAN_EXP[_family(p)](p, q.scale)
    return -p.entropy() + q.scale.log() + (p.mean - q.loc) / q.scale + tail


def _to_continuous_bernoulli(p: Any, q: Any) -> Any:
    return -p.entropy() - p.mean * q.logits - rl.log1p(-q.probs) - q._cont_bern_log_norm()


def _to_uniform(p: Any, q: Any) -> Any:
    return -p.entropy() + (q.high - q.low).log()


def _family(p: Any) -> type:
    return next(c for c in type(p).__mro__ if c in _MEAN_LOG or c in _MEAN_EXP)


_p: type
for _p in (Beta, ContinuousBernoulli):
    register_kl(_p, Exponential)(_to_exponential)
register_kl(Gamma, Exponential)(_to_exponential)
for _p in (Beta, Exponential):
    register_kl(_p, Gamma)(_to_gamma)
for _p in (Beta, ContinuousBernoulli, Exponential, Gamma, Gumbel, Laplace, Uniform):
    register_kl(_p, Normal)(_to_normal)
for _p in (Exponential, Gamma, Normal, Uniform):
    register_kl(_p, Gumbel)(_to_gumbel)
register_kl(Beta, ContinuousBernoulli)(_to_continuous_bernoulli)


# ---- where the supports or the moments decide --------------------------------------------------


@register_kl(Bernoulli, Poisson)
def _bernoulli_poisson(p: Any, q: Any) -> Any:
    return -p.entropy() - (p.probs * q.rate.log() - q.rate)


@register_kl(Beta, Uniform)
def _beta_uniform(p: Any, q: Any) -> Any:
    return infinite_where((q.low > 0) | (q.high < 1), _to_uniform(p, q))


@register_kl(ContinuousBernoulli, Uniform)
def _continuous_bernoulli_uniform(p: Any, q: Any) -> Any:
    # as in PyTorch, infinite also where the interval is exactly [0, 1]
    return infinite_where((q.low >= 0) | (q.high <= 1), _to_uniform(p, q))


@register_kl(Uniform, ContinuousBernoulli)
def _uniform_continuous_bernoulli(p: Any, q: Any) -> Any:
    return infinite_where((p.high >= 1) | (p.low <= 0), _to_continuous_bernoulli(p, q))


@register_kl(Uniform, Beta)
def _uniform_beta(p: Any, q: Any) -> Any:
    a, b = q.concentration1, q.concentration0
    log_beta = a.lgamma() + b.lgamma() - (a + b).lgamma()
    logs = (a - 1) * _uniform_mean_log(p.low, p.high)
    mirrored = (b - 1) * _uniform_mean_log(1 - p.high, 1 - p.low)
    return infinite_where((p.high > 1) | (p.low < 0), -p.entropy() + log_beta - logs - mirrored)


@register_kl(Uniform, Exponential)
def _uniform_exponential(p: Any, q: Any) -> Any:
    return infinite_where(p.low < 0, _to_exponential(p, q))


@register_kl(Uniform, Gamma)
def _uniform_gamma(p: Any, q: Any) -> Any:
    return infinite_where(p.low < 0, _to_gamma(p, q))


@register_kl(Uniform, Pareto)
def _uniform_pareto(p: Any, q: Any) -> Any:
    normalizer = q.alpha.log() + q.alpha * q.scale.log()
    value = -p.entropy() - normalizer + (q.alpha + 1) * _MEAN_LOG[Uniform](p)
    return infinite_where(p.low < q.scale, value)


@register_kl(Pareto, Exponential)
def _pareto_exponential(p: Any, q: Any) -> Any:
    return infinite_where(p.alpha <= 1, _to_exponential(p, q))


@register_kl(Pareto, Gamma)
def _pareto_gamma(p: Any, q: Any) -> Any:
    return infinite_where(p.alpha <= 1, _to_gamma(p, q))


@register_kl(Pareto, Normal)
def _pareto_normal(p: Any, q: Any) -> Any:
    return infinite_where(p.alpha <= 2, _to_normal(p, q))


@register_kl(Normal, Laplace)
def _normal_laplace(p: Any, q: Any) -> Any:
    gap = p.loc - q.loc
    z = gap / p.scale
    # the mean distance of a normal variable from q's centre
    distance = math.sqrt(2 / math.pi) * p.scale * rl.exp(-0.5 * z.pow(2))
    distance = distance + gap * rl.erf(math.sqrt(0.5) * z)
    return -p.entropy() + (2 * q.scale).log() + distance / q.scale


# p's first parameter gives the shape of the result, as in PyTorch
_FIRST: dict[type, str] = {
    Beta: "concentration1",
    ContinuousBernoulli: "probs",
    Exponential: "rate",
    Gamma: "concentration",
    Gumbel: "loc",
    Laplace: "loc",
    Normal: "loc",
    Pareto: "scale",
    Poisson: "rate",
}


def _always_infinite(parameter: str) -> Callable[[Any, Any], Any]:
    return lambda p, q: rl.full_like(getattr(p, parameter), rl.inf)


_HALF_LINE = (Beta, ContinuousBernoulli, Pareto, Uniform)
_WHOLE_LINE = (Beta, ContinuousBernoulli, Exponential, Gamma, Pareto, Uniform)
_WIDER: dict[type, tuple[type, ...]] = {
    Beta: (Pareto,),
    ContinuousBernoulli: (Pareto,),
    Exponential: _HALF_LINE,
    Gamma: _HALF_LINE,
    Gumbel: _WHOLE_LINE,
    Laplace: _WHOLE_LINE,
    Normal: _WHOLE_LINE,
    Pareto: (Beta, ContinuousBernoulli, Uniform),
    Poisson: (Bernoulli, Binomial),
}
for _p_type, _q_types in _WIDER.items():
    for _q_type in _q_types:
        register_kl(_p_type, _q_type)(_always_infinite(_FIRST[_p_type]))
