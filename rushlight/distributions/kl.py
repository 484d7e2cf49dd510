"""Kullback-Leibler divergences: their registry, and those between distributions of one family.

In: two distributions p and q.  Out: KL(p || q), the mean under p of log p - log q.  Divergences
between different families are in ``kl_families.py``.  Sources: Gil, Alajaji and Linder, "Renyi
divergence measures for commonly used univariate continuous distributions" (2013); Nielsen and Nock
(2010) for exponential families; Chyzak and Nielsen (2019) for Cauchy.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import rushlight as rl
from rushlight.distributions.bernoulli import Bernoulli
from rushlight.distributions.beta import Beta
from rushlight.distributions.binomial import Binomial
from rushlight.distributions.categorical import Categorical
from rushlight.distributions.cauchy import Cauchy
from rushlight.distributions.continuous_bernoulli import ContinuousBernoulli
from rushlight.distributions.dirichlet import Dirichlet
from rushlight.distributions.distribution import Distribution
from rushlight.distributions.exp_family import ExponentialFamily
from rushlight.distributions.exponential import Exponential
from rushlight.distributions.gamma import Gamma
from rushlight.distributions.geometric import Geometric
from rushlight.distributions.gumbel import Gumbel
from rushlight.distributions.half_normal import HalfNormal
from rushlight.distributions.independent import Independent
from rushlight.distributions.laplace import Laplace
from rushlight.distributions.lowrank_multivariate_normal import (
    LowRankMultivariateNormal,
    low_rank_distance,
    low_rank_log_det,
)
from rushlight.distributions.multivariate_normal import (
    MultivariateNormal,
    half_log_det,
    squared_distance,
)
from rushlight.distributions.normal import Normal
from rushlight.distributions.one_hot_categorical import OneHotCategorical
from rushlight.distributions.pareto import Pareto
from rushlight.distributions.poisson import Poisson
from rushlight.distributions.transformed_distribution import TransformedDistribution
from rushlight.distributions.uniform import Uniform
from rushlight.distributions.utils import euler_constant, sum_rightmost

__all__ = ["kl_divergence", "register_kl"]

Rule = Callable[[Any, Any], Any]

_KL_REGISTRY: dict[tuple[type, type], Rule] = {}
_KL_MEMOIZE: dict[tuple[type, type], Rule | None] = {}


def register_kl(type_p: Any, type_q: Any) -> Callable[[Rule], Rule]:
    """A decorator that registers a function of (p, q) for two classes of distributions.

    The most specific classes win; where the left and the right side disagree on which are, a
    RuntimeWarning asks for a rule of exactly those two.

    Args:
        type_p: a subclass of Distribution.
        type_q: a subclass of Distribution.

    Raises:
        TypeError: what is no class of distributions.
    """
    for name, given in (("type_p", type_p), ("type_q", type_q)):
        if not (isinstance(given, type) and issubclass(given, Distribution)):
            raise TypeError(f"Expected {name} to be a Distribution subclass but got {given}")

    def decorator(fun: Rule) -> Rule:
        _KL_REGISTRY[type_p, type_q] = fun
        _KL_MEMOIZE.clear()
        return fun

    return decorator


def _lookup(type_p: type, type_q: type) -> Rule | None:
    """The rule of the closest ancestors of the two classes."""
    matches = [(p, q) for p, q in _KL_REGISTRY if issubclass(type_p, p) and issubclass(type_q, q)]
    if not matches:
        return None
    far_p, far_q = type_p.__mro__.index, type_q.__mro__.index
    left = min(matches, key=lambda m: (far_p(m[0]), far_q(m[1])))
    right = min(matches, key=lambda m: (far_q(m[1]), far_p(m[0])))
    if _KL_REGISTRY[left] is not _KL_REGISTRY[right]:
        warnings.warn(
            f"Ambiguous kl_divergence({type_p.__name__}, {type_q.__name__}). "
            f"Please register_kl({left[0].__name__}, {right[1].__name__})",
            RuntimeWarning,
            stacklevel=3,
        )
    return _KL_REGISTRY[left]


def kl_divergence(p: Any, q: Any) -> Any:
    """KL(p || q), how much less likely values of p are under q, in nats.

    Args:
        p: the distribution over which the mean is taken.
        q: the distribution compared with it.

    Returns:
        A tensor of the batch shape.

    Raises:
        NotImplementedError: no rule for these two classes.

    Example:
        >>> import rushlight as torch
        >>> D = torch.distributions
        >>> D.kl_divergence(D.Normal(0.0, 1.0), D.Normal(1.0, 1.0))
        tensor(0.5000)
    """
    key = (type(p), type(q))
    if key not in _KL_MEMOIZE:
        _KL_MEMOIZE[key] = _lookup(*key)
    rule = _KL_MEMOIZE[key]
    if rule is None:
        raise NotImplementedError(
            "No KL(p || q) is implemented for "
            f"p type {p.__class__.__name__} and q type {q.__class__.__name__}"
        )
    return rule(p, q)


def infinite_where(condition: Any, value: Any) -> Any:
    """The value, but infinity where the condition holds."""
    return rl.where(condition, rl.full_like(value, rl.inf), value)


def _zero_where(condition: Any, value: Any) -> Any:
    return rl.where(condition, rl.zeros_like(value), value)


# ---- discrete ----------------------------------------------------------------------------------


@register_kl(Bernoulli, Bernoulli)
def _bernoulli(p: Any, q: Any) -> Any:
    softplus = rl.nn.functional.softplus  # -log sigmoid(-x)
    ones = p.probs * (softplus(-q.logits) - softplus(-p.logits))
    zeros = (1 - p.probs) * (softplus(q.logits) - softplus(p.logits))
    ones = _zero_where(p.probs == 0, infinite_where(q.probs == 0, ones))
    return ones + _zero_where(p.probs == 1, infinite_where(q.probs == 1, zeros))


@register_kl(Binomial, Binomial)
def _binomial(p: Any, q: Any) -> Any:
    if (p.total_count < q.total_count).any():
        raise NotImplementedError(
            "KL between Binomials where q.total_count > p.total_count is not implemented"
        )
    trial = p.probs * (p.logits - q.logits) + (-p.probs).log1p() - (-q.probs).log1p()
    return infinite_where(p.total_count > q.total_count, p.total_count * trial)


@register_kl(Categorical, Categorical)
def _categorical(p: Any, q: Any) -> Any:
    terms = infinite_where(q.probs == 0, p.probs * (p.logits - q.logits))
    return _zero_where(p.probs == 0, terms).sum(-1)


@register_kl(OneHotCategorical, OneHotCategorical)
def _one_hot_categorical(p: Any, q: Any) -> Any:
    return _categorical(p._categorical, q._categorical)


@register_kl(Geometric, Geometric)
def _geometric(p: Any, q: Any) -> Any:
    return -p.entropy() - rl.log1p(-q.probs) / p.probs - q.logits


@register_kl(Poisson, Poisson)
def _poisson(p: Any, q: Any) -> Any:
    return p.rate * (p.rate.log() - q.rate.log()) - (p.rate - q.rate)


# ---- continuous --------------------------------------------------------------------------------


@register_kl(Beta, Beta)
def _beta(p: Any, q: Any) -> Any:
    p_total = p.concentration1 + p.concentration0
    q_total = q.concentration1 + q.concentration0
    log_beta_q = q.concentration1.lgamma() + q.concentration0.lgamma() - q_total.lgamma()
    log_beta_p = p.concentration1.lgamma() + p.concentration0.lgamma() - p_total.lgamma()
    return (
        log_beta_q
        - log_beta_p
        + (p.concentration1 - q.concentration1) * p.concentration1.digamma()
        + (p.concentration0 - q.concentration0) * p.concentration0.digamma()
        + (q_total - p_total) * p_total.digamma()
    )


@register_kl(ContinuousBernoulli, ContinuousBernoulli)
def _continuous_bernoulli(p: Any, q: Any) -> Any:
    p_part = p._cont_bern_log_norm() + rl.log1p(-p.probs)
    q_part = q._cont_bern_log_norm() + rl.log1p(-q.probs)
    return p.mean * (p.logits - q.logits) + p_part - q_part


@register_kl(Dirichlet, Dirichlet)
def _dirichlet(p: Any, q: Any) -> Any:
    a, b = p.concentration, q.concentration
    total = a.sum(-1)
    normalizers = total.lgamma() - b.sum(-1).lgamma() - (a.lgamma() - b.lgamma()).sum(-1)
    mean_log = a.digamma() - total.digamma().unsqueeze(-1)
    return normalizers + ((a - b) * mean_log).sum(-1)


@register_kl(Exponential, Exponential)
def _exponential(p: Any, q: Any) -> Any:
    ratio = q.rate / p.rate
    return ratio - ratio.log() - 1


@register_kl(ExponentialFamily, ExponentialFamily)
def _exponential_family(p: Any, q: Any) -> Any:
    """The Bregman divergence of the log-normaliser between the natural parameters."""
    if type(p) is not type(q):
        raise NotImplementedError(
            "The cross KL-divergence between different exponential families cannot "
            "                            be computed using Bregman divergences"
        )
    thetas = [theta.detach().requires_grad_() for theta in p._natural_params]
    with rl.enable_grad():
        normalizer = p._log_normalizer(*thetas)
        slopes = rl.autograd.grad(normalizer.sum(), thetas, create_graph=True)
    result = q._log_normalizer(*q._natural_params) - normalizer
    for own, other, slope in zip(thetas, q._natural_params, slopes, strict=True):
        result = result - sum_rightmost((other - own) * slope, len(q.event_shape))
    return result


@register_kl(Gamma, Gamma)
def _gamma(p: Any, q: Any) -> Any:
    return (
        q.concentration * (p.rate / q.rate).log()
        + rl.lgamma(q.concentration)
        - rl.lgamma(p.concentration)
        + (p.concentration - q.concentration) * rl.digamma(p.concentration)
        + (q.rate - p.rate) * (p.concentration / p.rate)
    )


@register_kl(Gumbel, Gumbel)
def _gumbel(p: Any, q: Any) -> Any:
    ratio = p.scale / q.scale
    shift = (q.loc - p.loc) / q.scale
    tail = rl.exp(shift + (1 + ratio).lgamma())
    return -ratio.log() - shift + ratio * euler_constant + tail - (1 + euler_constant)


@register_kl(Laplace, Laplace)
def _laplace(p: Any, q: Any) -> Any:
    ratio = p.scale / q.scale
    gap = (p.loc - q.loc).abs()
    return gap / q.scale - ratio.log() + ratio * rl.exp(-gap / p.scale) - 1


@register_kl(Normal, Normal)
def _normal(p: Any, q: Any) -> Any:
    ratio = (p.scale / q.scale).pow(2)
    return 0.5 * (ratio + ((p.loc - q.loc) / q.scale).pow(2) - 1 - ratio.log())


@register_kl(HalfNormal, HalfNormal)
def _half_normal(p: Any, q: Any) -> Any:
    return _normal(p.base_dist, q.base_dist)


@register_kl(Pareto, Pareto)
def _pareto(p: Any, q: Any) -> Any:
    ratio = q.alpha / p.alpha
    value = q.alpha * (p.scale / q.scale).log() - ratio.log() + ratio - 1
    return infinite_where(p.scale < q.scale, value)


@register_kl(Uniform, Uniform)
def _uniform(p: Any, q: Any) -> Any:
    value = ((q.high - q.low) / (p.high - p.low)).log()
    return infinite_where((q.low > p.low) | (q.high < p.high), value)


@register_kl(Cauchy, Cauchy)
def _cauchy(p: Any, q: Any) -> Any:
    spread = ((p.scale + q.scale).pow(2) + (p.loc - q.loc).pow(2)).log()
    return spread - (4 * p.scale * q.scale).log()


# ---- made of others ----------------------------------------------------------------------------


@register_kl(TransformedDistribution, TransformedDistribution)
def _transformed(p: Any, q: Any) -> Any:
    if p.transforms != q.transforms or p.event_shape != q.event_shape:
        raise NotImplementedError
    return kl_divergence(p.base_dist, q.base_dist)


@register_kl(Independent, Independent)
def _independent(p: Any, q: Any) -> Any:
    if p.reinterpreted_batch_ndims != q.reinterpreted_batch_ndims:
        raise NotImplementedError
    return sum_rightmost(kl_divergence(p.base_dist, q.base_dist), p.reinterpreted_batch_ndims)


# ---- multivariate normal -----------------------------------------------------------------------


def _squares(matrix: Any) -> Any:
    """The sum of squares of a matrix: the trace of X X'."""
    return matrix.pow(2).sum((-2, -1))


class _Covariance:
    """A normal distribution's covariance as KL reads it: either a factor or a low-rank sum."""

    def __init__(self, d: Any) -> None:
        self.low_rank = isinstance(d, LowRankMultivariateNormal)
        if self.low_rank:
            self.factor, self.diagonal = d._parts()
            self.capacitance = d._capacitance_tril
        else:
            self.factor = d._unbroadcasted_scale_tril

    def log_det(self) -> Any:
        if self.low_rank:
            return low_rank_log_det(self.factor, self.diagonal, self.capacitance)
        return 2 * half_log_det(self.factor)

    def distance(self, vector: Any) -> Any:
        if self.low_rank:
            return low_rank_distance(self.factor, self.diagonal, vector, self.capacitance)
        return squared_distance(self.factor, vector)

    def roots(self) -> list[Any]:
        """Matrices X whose X X' sum to the covariance."""
        if self.low_rank:
            return [self.factor, rl.diag_embed(self.diagonal.sqrt())]
        return [self.factor]

    def trace_of_ratio(self, root: Any) -> Any:
        """The trace of this covariance's inverse times X X'."""
        if self.low_rank:
            scaled = self.factor.mT / self.diagonal.unsqueeze(-2)
            inner = rl.linalg.solve_triangular(self.capacitance, scaled, upper=False)
            direct = _squares(root * self.diagonal.rsqrt().unsqueeze(-1))
            return direct - _squares(rl.matmul(inner, root))
        batch = rl.broadcast_shapes(self.factor.shape[:-2], root.shape[:-2])
        factor = self.factor.expand((*batch, *self.factor.shape[-2:]))
        root = root.expand((*batch, *root.shape[-2:]))
        return _squares(rl.linalg.solve_triangular(factor, root, upper=False))


def _multivariate(p: Any, q: Any, names: str) -> Any:
    if p.event_shape != q.event_shape:
        raise ValueError(
            f"KL-divergence between two {names} with"
            "                          different event shapes cannot be computed"
        )
    p_cov, q_cov = _Covariance(p), _Covariance(q)
    trace = sum(q_cov.trace_of_ratio(root) for root in p_cov.roots())
    distance = q_cov.distance(q.loc - p.loc)
    return 0.5 * (q_cov.log_det() - p_cov.log_det() + trace + distance - p.event_shape[0])


@register_kl(MultivariateNormal, MultivariateNormal)
def _mvn_mvn(p: Any, q: Any) -> Any:
    return _multivariate(p, q, "Multivariate Normals")


@register_kl(LowRankMultivariateNormal, LowRankMultivariateNormal)
def _low_rank_low_rank(p: Any, q: Any) -> Any:
    return _multivariate(p, q, "Low Rank Multivariate Normals")


@register_kl(MultivariateNormal, LowRankMultivariateNormal)
@register_kl(LowRankMultivariateNormal, MultivariateNormal)
def _mixed_ranks(p: Any, q: Any) -> Any:
    return _multivariate(p, q, "(Low Rank) Multivariate Normals")
