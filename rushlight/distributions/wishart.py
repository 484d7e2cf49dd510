"""The Wishart distribution of positive definite matrices.

Source: Wishart (1928); sampling by Bartlett's decomposition: Sawyer, "Wishart distributions and
inverse-Wishart sampling" (2007).
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import rushlight as rl
from rushlight.distributions import constraints
from rushlight.distributions.chi2 import Chi2
from rushlight.distributions.exp_family import ExponentialFamily
from rushlight.distributions.multivariate_normal import factor_of, half_log_det
from rushlight.distributions.utils import SCALAR, is_number, lazy_property

__all__ = ["Wishart"]

_WAYS = ("covariance_matrix", "precision_matrix", "scale_tril")
_TRIES = 10


class Wishart(ExponentialFamily):
    """The distribution of X X' for a matrix X of ``df`` normal columns.

    Args:
        df: the degrees of freedom, above n - 1; a number or a tensor.
        covariance_matrix: (..., n, n) the columns' covariance.
        precision_matrix: instead, its inverse.
        scale_tril: instead, its lower Cholesky factor.
        validate_args: as in ``Distribution``.

    Raises:
        AssertionError: not exactly one of the three matrices.
        ValueError: too few dimensions or degrees of freedom; a matrix not positive definite.

    Example:
        >>> import rushlight as torch
        >>> d = torch.distributions.Wishart(torch.tensor(3.0), covariance_matrix=torch.eye(2))
        >>> d.mean
        tensor([[3., 0.],
                [0., 3.]])
    """

    support = constraints.positive_definite
    has_rsample = True
    _mean_carrier_measure = 0

    @property
    def arg_constraints(self) -> dict[str, Any]:
        """The degrees of freedom are bounded by the side of the matrices."""
        return {
            "covariance_matrix": constraints.positive_definite,
            "precision_matrix": constraints.positive_definite,
            "scale_tril": constraints.lower_cholesky,
            "df": constraints.greater_than(self.event_shape[-1] - 1),
        }

    def __init__(
        self,
        df: Any,
        covariance_matrix: Any = None,
        precision_matrix: Any = None,
        scale_tril: Any = None,
        validate_args: Any = None,
    ) -> None:
        given = dict(zip(_WAYS, (covariance_matrix, precision_matrix, scale_tril), strict=True))
        names = [name for name, matrix in given.items() if matrix is not None]
        if len(names) != 1:
            raise AssertionError(
                "Exactly one of covariance_matrix or precision_matrix or scale_tril "
                "may be specified."
            )
        matrix = given[names[0]]
        if matrix.dim() < 2:
            raise ValueError(
                "scale_tril must be at least two-dimensional, with optional leading batch "
                "dimensions"
            )
        event_shape = matrix.shape[-2:]
        batch_shape = self._take_df(df, matrix)
        self.__dict__[names[0]] = matrix.expand((*batch_shape, -1, -1))
        if self.df.lt(event_shape[-1]).any():
            warnings.warn(
                "Low df values detected. Singular samples are highly likely to occur for "
                "ndim - 1 < df < ndim.",
                stacklevel=2,
            )
        super().__init__(batch_shape, event_shape, validate_args=validate_args)
        self._unbroadcasted_scale_tril = factor_of(given)
        self._dist_chi2 = self._diagonal_squares()

    def _take_df(self, df: Any, matrix: Any) -> Any:
        """Sets ``df``; returns the batch shape."""
        if is_number(df):
            batch_shape = matrix.shape[:-2]
            self.df = rl.tensor(df, dtype=matrix.dtype, device=matrix.device)
        else:
            batch_shape = rl.Size(rl.broadcast_shapes(matrix.shape[:-2], df.shape))
            self.df = df.expand(batch_shape)
        least = matrix.shape[-1] - 1
        if self.df.le(least).any():
            raise ValueError(f"Value of df={df} expected to be greater than ndim - 1 = {least}.")
        return batch_shape

    def _diagonal_squares(self) -> Any:
        """The distributions of the squared diagonal of Bartlett's factor."""
        factor = self._unbroadcasted_scale_tril
        index = rl.arange(self._event_shape[-1], dtype=factor.dtype, device=factor.device)
        return Chi2(df=self.df.unsqueeze(-1) - index.expand((*self._batch_shape, -1)))

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        new = self._get_checked_instance(Wishart, _instance)
        batch_shape = rl.Size(batch_shape)
        whole = batch_shape + self.event_shape
        new._unbroadcasted_scale_tril = self._unbroadcasted_scale_tril.expand(whole)
        new.df = self.df.expand(batch_shape)
        for name in _WAYS:
            if name in self.__dict__:
                new.__dict__[name] = self.__dict__[name].expand(whole)
        self._finish_expand(new, batch_shape)
        new._dist_chi2 = new._diagonal_squares()
        return new

    def _whole(self, matrix: Any) -> Any:
        return matrix.expand(self._batch_shape + self._event_shape)

    @lazy_property
    def scale_tril(self) -> Any:
        """The lower Cholesky factor of the covariance."""
        return self._whole(self._unbroadcasted_scale_tril)

    @lazy_property
    def covariance_matrix(self) -> Any:
        """The columns' covariance."""
        factor = self._unbroadcasted_scale_tril
        return self._whole(factor @ factor.mT)

    @lazy_property
    def precision_matrix(self) -> Any:
        """The inverse of the covariance."""
        factor = self._unbroadcasted_scale_tril
        unit = rl.eye(self._event_shape[-1], dtype=factor.dtype, device=factor.device)
        return self._whole(rl.cholesky_solve(unit, factor))

    def _per_matrix(self, value: Any) -> Any:
        return value.view((*self._batch_shape, 1, 1))

    @property
    def mean(self) -> Any:
        return self._per_matrix(self.df) * self.covariance_matrix

    @property
    def mode(self) -> Any:
        factor = self.df - self.covariance_matrix.shape[-1] - 1
        factor = rl.where(factor <= 0, rl.nan, factor)
        return self._per_matrix(factor) * self.covariance_matrix

    @property
    def variance(self) -> Any:
        covariance = self.covariance_matrix
        diagonal = covariance.diagonal(dim1=-2, dim2=-1)
        outer = diagonal.unsqueeze(-1) * diagonal.unsqueeze(-2)
        return self._per_matrix(self.df) * (covariance.pow(2) + outer)

    def _bartlett(self, sample_shape: Any) -> Any:
        """One try: a lower factor with chi diagonal and normal entries below it, squared."""
        p = self._event_shape[-1]
        roots = self._dist_chi2.rsample(sample_shape).sqrt()
        inner = roots.clamp(min=rl.finfo(roots.dtype).eps).diag_embed(dim1=-2, dim2=-1)
        below = rl.randn(
            (*sample_shape, *self._batch_shape, p * (p - 1) // 2),
            dtype=inner.dtype,
            device=inner.device,
        )
        row, column = rl.tril_indices(p, p, offset=-1)
        inner[..., row, column] = below
        factor = self._unbroadcasted_scale_tril @ inner
        return factor @ factor.mT

    def _any_of_batch(self, flags: Any) -> Any:
        if not self._batch_shape:
            return flags
        return flags.amax([-(i + 1) for i in range(len(self._batch_shape))])

    def rsample(self, sample_shape: Any = SCALAR, max_try_correction: Any = None) -> Any:
        tries = _TRIES if max_try_correction is None else max_try_correction
        sample = self._bartlett(rl.Size(sample_shape))
        # PyTorch's first test marks the matrices that are positive definite, not those that are
        # not: these are drawn once more, with the warning.  Equal streams need the same here.
        again = self._any_of_batch(self.support.check(sample))
        if again.any():
            warnings.warn("Singular sample detected.", stacklevel=2)
            for _ in range(tries):
                new = self._bartlett(again[again].shape)
                sample[again] = new
                again[again.clone()] = self._any_of_batch(~self.support.check(new))
                if not again.any():
                    break
        return sample

    def log_prob(self, value: Any) -> Any:
        value = self._checked(value)
        nu, p = self.df, self._event_shape[-1]
        factor = self._unbroadcasted_scale_tril
        trace = rl.cholesky_solve(value, factor).diagonal(dim1=-2, dim2=-1).sum(dim=-1)
        return (
            -nu * (p * math.log(2) / 2 + half_log_det(factor))
            - rl.mvlgamma(nu / 2, p=p)
            + (nu - p - 1) / 2 * rl.linalg.slogdet(value).logabsdet
            - trace / 2
        )

    def entropy(self) -> Any:
        nu, p = self.df, self._event_shape[-1]
        steps = rl.arange(p, dtype=nu.dtype, device=nu.device) / 2
        multi_digamma = rl.digamma((nu / 2).unsqueeze(-1) - steps).sum(-1)
        return (
            (p + 1) * (p * math.log(2) / 2 + half_log_det(self._unbroadcasted_scale_tril))
            + rl.mvlgamma(nu / 2, p=p)
            - (nu - p - 1) / 2 * multi_digamma
            + nu * p / 2
        )

    @property
    def _natural_params(self) -> Any:
        return -self.precision_matrix / 2, (self.df - self._event_shape[-1] - 1) / 2

    def _log_normalizer(self, x: Any, y: Any) -> Any:
        p = self._event_shape[-1]
        half_df = y + (p + 1) / 2
        log_det = rl.linalg.slogdet(-2 * x).logabsdet
        return half_df * (math.log(2) * p - log_det) + rl.mvlgamma(half_df, p=p)
