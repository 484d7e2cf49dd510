"""The LKJ distribution of correlation matrices, over their Cholesky factors.

Source: Lewandowski, Kurowicka and Joe, "Generating random correlation matrices based on vines and
extended onion method" (2009).
"""

from __future__ import annotations

import math
from typing import Any

import rushlight as rl
from rushlight.distributions import constraints
from rushlight.distributions.beta import Beta
from rushlight.distributions.distribution import Distribution
from rushlight.distributions.utils import SCALAR, broadcast_all

__all__ = ["LKJCholesky"]


class LKJCholesky(Distribution):
    """Cholesky factors of correlation matrices with density det(C) ** (concentration - 1).

    Args:
        dim: the side of the matrices, at least 2.
        concentration: the exponent, positive; 1 is uniform over correlation matrices.
        validate_args: as in ``Distribution``.

    Raises:
        ValueError: a side below 2.

    Example:
        >>> import rushlight as torch
        >>> torch.distributions.LKJCholesky(3, 0.5).event_shape
        torch.Size([3, 3])
    """

    arg_constraints: Any = {"concentration": constraints.positive}
    support = constraints.corr_cholesky

    def __init__(self, dim: int, concentration: Any = 1.0, validate_args: Any = None) -> None:
        if dim < 2:
            raise ValueError(
                f"Expected dim to be an integer greater than or equal to 2. Found dim={dim}."
            )
        self.dim = dim
        (self.concentration,) = broadcast_all(concentration)
        # the squared length of each row's part left of the diagonal
        rows = rl.arange(dim - 1, dtype=self.concentration.dtype, device=self.concentration.device)
        rows = rl.cat([rows.new_zeros((1,)), rows])
        marginal = self.concentration + 0.5 * (dim - 2)
        self._beta = Beta(rows + 0.5, marginal.unsqueeze(-1) - 0.5 * rows)
        super().__init__(self.concentration.size(), rl.Size((dim, dim)), validate_args)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        new = self._get_checked_instance(LKJCholesky, _instance)
        batch_shape = rl.Size(batch_shape)
        new.dim = self.dim
        new.concentration = self.concentration.expand(batch_shape)
        new._beta = self._beta.expand(batch_shape + (self.dim,))
        return self._finish_expand(new, batch_shape)

    def sample(self, sample_shape: Any = SCALAR) -> Any:
        """Draws by the onion method: rows are points of a sphere, scaled by beta variables."""
        with rl.no_grad():
            square = self._beta.sample(sample_shape).unsqueeze(-1)
            shape = self._extended_shape(sample_shape)
            normal = rl.randn(shape, dtype=square.dtype, device=square.device).tril(-1)
            direction = normal / normal.norm(dim=-1, keepdim=True)
            direction[..., 0, :].fill_(0.0)  # the first row has nothing left of the diagonal
            factor = rl.sqrt(square) * direction
            rest = rl.clamp(1 - rl.sum(factor**2, dim=-1), min=rl.finfo(factor.dtype).tiny)
            return factor + rl.diag_embed(rest.sqrt())

    def log_prob(self, value: Any) -> Any:
        value = self._checked(value)
        diagonal = value.diagonal(dim1=-1, dim2=-2)[..., 1:]
        row = rl.arange(2, self.dim + 1, device=self.concentration.device)
        # from the determinant, and from the Jacobian of the factorisation
        power = 2 * (self.concentration - 1).unsqueeze(-1) + self.dim - row
        unnormalized = rl.sum(power * diagonal.log(), dim=-1)
        n = self.dim - 1
        alpha = self.concentration + 0.5 * n
        normalizer = 0.5 * n * math.log(math.pi) + rl.mvlgamma(alpha - 0.5, n)
        return unnormalized - (normalizer - rl.lgamma(alpha) * n)
