"""The multivariate normal distribution whose covariance is of low rank plus a diagonal.

With Sigma = W W' + D everything is computed through the small capacitance matrix C = I + W' D^-1 W:
inv(Sigma) = D^-1 - D^-1 W C^-1 W' D^-1 and det(Sigma) = det(C) det(D) (Woodbury; the matrix
determinant lemma).
"""

from __future__ import annotations

import math
from typing import Any

import rushlight as rl
from rushlight.distributions import constraints
from rushlight.distributions.distribution import Distribution
from rushlight.distributions.multivariate_normal import (
    half_log_det,
    squared_distance,
    times_vector,
)
from rushlight.distributions.utils import SCALAR, lazy_property, standard_normal

__all__ = ["LowRankMultivariateNormal"]


def _scaled(factor: Any, diagonal: Any) -> Any:
    """W' D^-1."""
    return factor.mT / diagonal.unsqueeze(-2)


def _with_identity(matrix: Any) -> Any:
    return matrix + rl.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)


def low_rank_log_det(factor: Any, diagonal: Any, capacitance_tril: Any) -> Any:
    """log det(W W' + D)."""
    return 2 * half_log_det(capacitance_tril) + diagonal.log().sum(-1)


def low_rank_distance(factor: Any, diagonal: Any, vector: Any, capacitance_tril: Any) -> Any:
    """x' (W W' + D)^-1 x."""
    inner = times_vector(_scaled(factor, diagonal), vector)
    direct = (vector.pow(2) / diagonal).sum(-1)
    return direct - squared_distance(capacitance_tril, inner)


class LowRankMultivariateNormal(Distribution):
    """The normal distribution of vectors with covariance W W' + diag(d).

    Args:
        loc: (..., n) the mean.
        cov_factor: (..., n, m) the factor W, m well below n.
        cov_diag: (..., n) the diagonal d, positive.
        validate_args: as in ``Distribution``.

    Raises:
        ValueError: shapes that do not fit.

    Example:
        >>> import rushlight as torch
        >>> W, d = torch.tensor([[1.0], [0.0]]), torch.ones(2)
        >>> torch.distributions.LowRankMultivariateNormal(torch.zeros(2), W, d).variance
        tensor([2., 1.])
    """

    arg_constraints: Any = {
        "loc": constraints.real_vector,
        "cov_factor": constraints.independent(constraints.real, 2),
        "cov_diag": constraints.independent(constraints.positive, 1),
    }
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, loc: Any, cov_factor: Any, cov_diag: Any, validate_args: Any = None) -> None:
        event_shape = self._check_shapes(loc, cov_factor, cov_diag)
        try:
            batch_shape = rl.Size(
                rl.broadcast_shapes(loc.shape[:-1], cov_factor.shape[:-2], cov_diag.shape[:-1])
            )
        except RuntimeError as error:
            raise ValueError(
                f"Incompatible batch shapes: loc {loc.shape}, cov_factor {cov_factor.shape}, "
                f"cov_diag {cov_diag.shape}"
            ) from error
        self.loc = loc.expand(batch_shape + event_shape)
        self.cov_factor = cov_factor.expand(batch_shape + cov_factor.shape[-2:])
        self.cov_diag = cov_diag.expand(batch_shape + event_shape)
        self._unbroadcasted_cov_factor = cov_factor
        self._unbroadcasted_cov_diag = cov_diag
        capacitance = _with_identity(rl.matmul(_scaled(cov_factor, cov_diag), cov_factor))
        self._capacitance_tril = rl.linalg.cholesky(capacitance)
        super().__init__(batch_shape, event_shape, validate_args=validate_args)

    @staticmethod
    def _check_shapes(loc: Any, cov_factor: Any, cov_diag: Any) -> Any:
        if loc.dim() < 1:
            raise ValueError("loc must be at least one-dimensional.")
        event_shape = loc.shape[-1:]
        if cov_factor.dim() < 2:
            raise ValueError(
                "cov_factor must be at least two-dimensional, with optional leading batch "
                "dimensions"
            )
        if cov_factor.shape[-2:-1] != event_shape:
            raise ValueError(
                f"cov_factor must be a batch of matrices with shape {event_shape[0]} x m"
            )
        if cov_diag.shape[-1:] != event_shape:
            raise ValueError(f"cov_diag must be a batch of vectors with shape {event_shape}")
        return event_shape

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        new = self._get_checked_instance(LowRankMultivariateNormal, _instance)
        batch_shape = rl.Size(batch_shape)
        vector = batch_shape + self.event_shape
        new.loc = self.loc.expand(vector)
        new.cov_diag = self.cov_diag.expand(vector)
        new.cov_factor = self.cov_factor.expand(vector + self.cov_factor.shape[-1:])
        for name in ("_unbroadcasted_cov_factor", "_unbroadcasted_cov_diag", "_capacitance_tril"):
            setattr(new, name, getattr(self, name))
        return self._finish_expand(new, batch_shape)

    def _parts(self) -> tuple[Any, Any]:
        return self._unbroadcasted_cov_factor, self._unbroadcasted_cov_diag

    def _whole(self, matrix: Any) -> Any:
        return matrix.expand(self._batch_shape + self._event_shape + self._event_shape)

    @property
    def mean(self) -> Any:
        return self.loc

    @property
    def mode(self) -> Any:
        return self.loc

    @lazy_property
    def variance(self) -> Any:
        factor, diagonal = self._parts()
        return (factor.pow(2).sum(-1) + diagonal).expand(self._batch_shape + self._event_shape)

    @lazy_property
    def scale_tril(self) -> Any:
        """The lower Cholesky factor, through I + D^-1/2 W W' D^-1/2, whose eigenvalues are >= 1."""
        factor, diagonal = self._parts()
        root = diagonal.sqrt().unsqueeze(-1)
        scaled = factor / root
        inner = rl.linalg.cholesky(_with_identity(rl.matmul(scaled, scaled.mT)))
        return self._whole(root * inner)

    @lazy_property
    def covariance_matrix(self) -> Any:
        """The covariance."""
        factor, diagonal = self._parts()
        return self._whole(rl.matmul(factor, factor.mT) + rl.diag_embed(diagonal))

    @lazy_property
    def precision_matrix(self) -> Any:
        """The inverse of the covariance."""
        factor, diagonal = self._parts()
        inner = rl.linalg.solve_triangular(
            self._capacitance_tril, _scaled(factor, diagonal), upper=False
        )
        return self._whole(rl.diag_embed(diagonal.reciprocal()) - inner.mT @ inner)

    def rsample(self, sample_shape: Any = SCALAR) -> Any:
        factor, diagonal = self._parts()
        shape = self._extended_shape(sample_shape)
        common = standard_normal((*shape[:-1], self.cov_factor.shape[-1]), self.loc)
        own = standard_normal(shape, self.loc)
        return self.loc + times_vector(factor, common) + diagonal.sqrt() * own

    def log_prob(self, value: Any) -> Any:
        factor, diagonal = self._parts()
        gap = self._checked(value) - self.loc
        distance = low_rank_distance(factor, diagonal, gap, self._capacitance_tril)
        log_det = low_rank_log_det(factor, diagonal, self._capacitance_tril)
        return -0.5 * (self._event_shape[0] * math.log(2 * math.pi) + log_det + distance)

    def entropy(self) -> Any:
        log_det = low_rank_log_det(*self._parts(), self._capacitance_tril)
        value = 0.5 * (self._event_shape[0] * (1.0 + math.log(2 * math.pi)) + log_det)
        return value.expand(self._batch_shape) if self._batch_shape else value
