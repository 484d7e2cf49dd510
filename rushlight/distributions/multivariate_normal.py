"""The multivariate normal distribution, and the linear algebra of covariances."""

from __future__ import annotations

import math
from typing import Any

import rushlight as rl
from rushlight.distributions import constraints
from rushlight.distributions.distribution import Distribution
from rushlight.distributions.utils import SCALAR, lazy_property, standard_normal

__all__ = ["MultivariateNormal"]

_WAYS = ("covariance_matrix", "precision_matrix", "scale_tril")


def times_vector(matrix: Any, vector: Any) -> Any:
    """Matrices times vectors, batch dimensions broadcast."""
    return rl.matmul(matrix, vector.unsqueeze(-1)).squeeze(-1)


def squared_distance(factor: Any, vector: Any) -> Any:
    """x' (L L')^-1 x for lower factors L (..., n, n) and vectors x (..., n)."""
    if factor.dim() == 2:  # one factor: all vectors are columns of one right side
        columns = vector.reshape(-1, vector.shape[-1]).mT
        solved = rl.linalg.solve_triangular(factor, columns, upper=False)
        return solved.pow(2).sum(-2).reshape(vector.shape[:-1])
    batch = rl.broadcast_shapes(factor.shape[:-2], vector.shape[:-1])
    factor = factor.expand((*batch, *factor.shape[-2:]))
    columns = vector.expand((*batch, vector.shape[-1])).unsqueeze(-1)
    solved = rl.linalg.solve_triangular(factor, columns, upper=False)
    return solved.squeeze(-1).pow(2).sum(-1)


def half_log_det(factor: Any) -> Any:
    """Half the log-determinant of L L'."""
    return factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)


def factor_of_inverse(precision: Any) -> Any:
    """The lower Cholesky factor of a precision matrix's inverse.

    With J the reversal, J P J = M M' gives P = U U' for the upper U = J M J, whose transposed
    inverse is the factor looked for.
    """
    reversed_factor = rl.linalg.cholesky(rl.flip(precision, (-2, -1)))
    upper = rl.flip(reversed_factor, (-2, -1))
    unit = rl.eye(precision.shape[-1], dtype=precision.dtype, device=precision.device)
    return rl.linalg.solve_triangular(upper.mT, unit, upper=False)


def factor_of(given: dict[str, Any]) -> Any:
    """The lower factor of the covariance that one of three matrices states."""
    if given["scale_tril"] is not None:
        return given["scale_tril"]
    if given["covariance_matrix"] is not None:
        return rl.linalg.cholesky(given["covariance_matrix"])
    return factor_of_inverse(given["precision_matrix"])


class MultivariateNormal(Distribution):
    """The normal distribution of vectors.

    Args:
        loc: (..., n) the mean.
        covariance_matrix: (..., n, n) positive definite.
        precision_matrix: instead, its inverse.
        scale_tril: instead, its lower Cholesky factor.
        validate_args: as in ``Distribution``.

    Raises:
        ValueError: not exactly one of the three matrices; too few dimensions; a matrix that is
            not positive definite.

    Example:
        >>> import rushlight as torch
        >>> d = torch.distributions.MultivariateNormal(torch.zeros(2), scale_tril=torch.eye(2))
        >>> d.variance
        tensor([1., 1.])
    """

    arg_constraints: Any = {
        "loc": constraints.real_vector,
        "covariance_matrix": constraints.positive_definite,
        "precision_matrix": constraints.positive_definite,
        "scale_tril": constraints.lower_cholesky,
    }
    support = constraints.real_vector
    has_rsample = True

    def __init__(
        self,
        loc: Any,
        covariance_matrix: Any = None,
        precision_matrix: Any = None,
        scale_tril: Any = None,
        validate_args: Any = None,
    ) -> None:
        if loc.dim() < 1:
            raise ValueError("loc must be at least one-dimensional.")
        given = dict(zip(_WAYS, (covariance_matrix, precision_matrix, scale_tril), strict=True))
        names = [name for name, matrix in given.items() if matrix is not None]
        if len(names) != 1:
            raise ValueError(
                "Exactly one of covariance_matrix or precision_matrix or scale_tril "
                "may be specified."
            )
        (name,) = names
        matrix = given[name]
        if matrix.dim() < 2:
            shown = "scale_tril matrix" if name == "scale_tril" else name
            raise ValueError(
                f"{shown} must be at least two-dimensional, with optional leading batch dimensions"
            )
        batch_shape = rl.Size(rl.broadcast_shapes(matrix.shape[:-2], loc.shape[:-1]))
        self.__dict__[name] = matrix.expand((*batch_shape, -1, -1))
        self.loc = loc.expand((*batch_shape, -1))
        super().__init__(batch_shape, self.loc.shape[-1:], validate_args=validate_args)
        self._unbroadcasted_scale_tril = factor_of(given)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        new = self._get_checked_instance(MultivariateNormal, _instance)
        batch_shape = rl.Size(batch_shape)
        vector = batch_shape + self.event_shape
        new.loc = self.loc.expand(vector)
        new._unbroadcasted_scale_tril = self._unbroadcasted_scale_tril
        for name in _WAYS:
            if name in self.__dict__:
                new.__dict__[name] = self.__dict__[name].expand(vector + self.event_shape)
        return self._finish_expand(new, batch_shape)

    def _whole(self, matrix: Any) -> Any:
        return matrix.expand(self._batch_shape + self._event_shape + self._event_shape)

    @lazy_property
    def scale_tril(self) -> Any:
        """The lower Cholesky factor of the covariance."""
        return self._whole(self._unbroadcasted_scale_tril)

    @lazy_property
    def covariance_matrix(self) -> Any:
        """The covariance."""
        factor = self._unbroadcasted_scale_tril
        return self._whole(rl.matmul(factor, factor.mT))

    @lazy_property
    def precision_matrix(self) -> Any:
        """The inverse of the covariance."""
        return self._whole(rl.cholesky_inverse(self._unbroadcasted_scale_tril))

    @property
    def mean(self) -> Any:
        return self.loc

    @property
    def mode(self) -> Any:
        return self.loc

    @property
    def variance(self) -> Any:
        squares = self._unbroadcasted_scale_tril.pow(2).sum(-1)
        return squares.expand(self._batch_shape + self._event_shape)

    def rsample(self, sample_shape: Any = SCALAR) -> Any:
        noise = standard_normal(self._extended_shape(sample_shape), self.loc)
        return self.loc + times_vector(self._unbroadcasted_scale_tril, noise)

    def log_prob(self, value: Any) -> Any:
        factor = self._unbroadcasted_scale_tril
        distance = squared_distance(factor, self._checked(value) - self.loc)
        constant = self._event_shape[0] * math.log(2 * math.pi)
        return -0.5 * (constant + distance) - half_log_det(factor)

    def entropy(self) -> Any:
        constant = 0.5 * self._event_shape[0] * (1.0 + math.log(2 * math.pi))
        value = constant + half_log_det(self._unbroadcasted_scale_tril)
        return value.expand(self._batch_shape) if self._batch_shape else value
