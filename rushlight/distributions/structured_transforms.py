"""Transforms of vectors and matrices, and transforms made of others.

In and out: as in ``transforms.py``, whose public names these are.  Sources: the Stan reference
manual for stick-breaking and for Cholesky factors of correlation matrices; Lewandowski, Kurowicka
and Joe (2009).
"""

from __future__ import annotations

import math
from typing import Any

import rushlight as rl
from rushlight.distributions import constraints
from rushlight.distributions.transforms import Transform, _inside_unit
from rushlight.distributions.utils import (
    lazy_property,
    sum_rightmost,
    tril_matrix_to_vec,
    vec_to_tril_matrix,
)

__all__ = [
    "CatTransform",
    "CorrCholeskyTransform",
    "IndependentTransform",
    "LowerCholeskyTransform",
    "PositiveDefiniteTransform",
    "ReshapeTransform",
    "SoftmaxTransform",
    "StackTransform",
    "StickBreakingTransform",
]

_FEW = "Too few dimensions on input"


def _at_least(dims: int, needed: int) -> None:
    if dims < needed:
        raise ValueError(_FEW)


class IndependentTransform(Transform):
    """A transform whose last batch dimensions count as part of one value.

    Args:
        base_transform: the transform.
        reinterpreted_batch_ndims: how many dimensions.
        cache_size: as in ``Transform``.
    """

    def __init__(
        self, base_transform: Any, reinterpreted_batch_ndims: int, cache_size: int = 0
    ) -> None:
        super().__init__(cache_size=cache_size)
        self.base_transform = base_transform.with_cache(cache_size)
        self.reinterpreted_batch_ndims = reinterpreted_batch_ndims

    def _arguments(self) -> tuple[Any, ...]:
        return (self.base_transform, self.reinterpreted_batch_ndims)

    @constraints.dependent_property(is_discrete=False)
    def domain(self) -> Any:
        return constraints.independent(self.base_transform.domain, self.reinterpreted_batch_ndims)

    @constraints.dependent_property(is_discrete=False)
    def codomain(self) -> Any:
        return constraints.independent(self.base_transform.codomain, self.reinterpreted_batch_ndims)

    @property
    def bijective(self) -> bool:
        return bool(self.base_transform.bijective)

    @property
    def sign(self) -> Any:
        return self.base_transform.sign

    def _call(self, x: Any) -> Any:
        _at_least(x.dim(), self.domain.event_dim)
        return self.base_transform(x)

    def _inverse(self, y: Any) -> Any:
        _at_least(y.dim(), self.codomain.event_dim)
        return self.base_transform.inv(y)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        inner = self.base_transform.log_abs_det_jacobian(x, y)
        return sum_rightmost(inner, self.reinterpreted_batch_ndims)

    def __repr__(self) -> str:
        name = self.__class__.__name__
        return f"{name}({self.base_transform!r}, {self.reinterpreted_batch_ndims})"

    def forward_shape(self, shape: Any) -> Any:
        return self.base_transform.forward_shape(shape)

    def inverse_shape(self, shape: Any) -> Any:
        return self.base_transform.inverse_shape(shape)


class ReshapeTransform(Transform):
    """Another shape for the last dimensions.

    Args:
        in_shape: their shape before.
        out_shape: their shape after.
        cache_size: as in ``Transform``.

    Raises:
        ValueError: the shapes hold different numbers of elements.
    """

    bijective = True

    def __init__(self, in_shape: Any, out_shape: Any, cache_size: int = 0) -> None:
        self.in_shape = rl.Size(in_shape)
        self.out_shape = rl.Size(out_shape)
        if self.in_shape.numel() != self.out_shape.numel():
            raise ValueError("in_shape, out_shape have different numbers of elements")
        super().__init__(cache_size=cache_size)

    def _arguments(self) -> tuple[Any, ...]:
        return (self.in_shape, self.out_shape)

    @constraints.dependent_property
    def domain(self) -> Any:
        return constraints.independent(constraints.real, len(self.in_shape))

    @constraints.dependent_property
    def codomain(self) -> Any:
        return constraints.independent(constraints.real, len(self.out_shape))

    def _call(self, x: Any) -> Any:
        return x.reshape(x.shape[: x.dim() - len(self.in_shape)] + self.out_shape)

    def _inverse(self, y: Any) -> Any:
        return y.reshape(y.shape[: y.dim() - len(self.out_shape)] + self.in_shape)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        return x.new_zeros(x.shape[: x.dim() - len(self.in_shape)])

    def _exchange(self, shape: Any, old: Any, new: Any) -> Any:
        _at_least(len(shape), len(old))
        cut = len(shape) - len(old)
        if tuple(shape[cut:]) != tuple(old):
            raise ValueError(f"Shape mismatch: expected {shape[cut:]} but got {old}")
        return shape[:cut] + new

    def forward_shape(self, shape: Any) -> Any:
        return self._exchange(shape, self.in_shape, self.out_shape)

    def inverse_shape(self, shape: Any) -> Any:
        return self._exchange(shape, self.out_shape, self.in_shape)


class CorrCholeskyTransform(Transform):
    """A vector of D (D - 1) / 2 numbers to the Cholesky factor of a D x D correlation matrix.

    The numbers, squashed by tanh, are canonical partial correlations; row by row, they break a
    stick of squared length 1.
    """

    domain = constraints.real_vector
    codomain = constraints.corr_cholesky
    bijective = True

    def _call(self, x: Any) -> Any:
        squashed = rl.tanh(x)
        eps = rl.finfo(squashed.dtype).eps
        partial = vec_to_tril_matrix(squashed.clamp(min=-1 + eps, max=1 - eps), diag=-1)
        rest = (1 - partial**2).sqrt().cumprod(-1)  # what is left of the stick, before the entry
        unit = rl.eye(partial.shape[-1], dtype=partial.dtype, device=partial.device)
        return (partial + unit) * rl.nn.functional.pad(rest[..., :-1], [1, 0], value=1)

    def _inverse(self, y: Any) -> Any:
        rest = 1 - rl.cumsum(y * y, dim=-1)
        before = rl.nn.functional.pad(rest[..., :-1], [1, 0], value=1)
        entries = tril_matrix_to_vec(y, diag=-1)
        partial = entries / tril_matrix_to_vec(before, diag=-1).sqrt()
        return (partial.log1p() - partial.neg().log1p()) / 2  # atanh

    def log_abs_det_jacobian(self, x: Any, y: Any, intermediates: Any = None) -> Any:
        """Of x and the entries of y below the diagonal."""
        rest = tril_matrix_to_vec(1 - (y * y).cumsum(dim=-1), diag=-2)
        squash = x + rl.nn.functional.softplus(-2 * x) - math.log(2.0)
        return 0.5 * rest.log().sum(-1) - 2 * squash.sum(dim=-1)

    def forward_shape(self, shape: Any) -> Any:
        _at_least(len(shape), 1)
        entries = shape[-1]
        side = round((0.25 + 2 * entries) ** 0.5 + 0.5)
        if side * (side - 1) // 2 != entries:
            raise ValueError("Input is not a flattened lower-diagonal number")
        return shape[:-1] + (side, side)

    def inverse_shape(self, shape: Any) -> Any:
        _at_least(len(shape), 2)
        if shape[-2] != shape[-1]:
            raise ValueError("Input is not square")
        side = shape[-1]
        return shape[:-2] + (side * (side - 1) // 2,)


class _Plain(Transform):
    """A transform without parameters; all of a class are equal."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self))

    __hash__ = object.__hash__


class SoftmaxTransform(_Plain):
    """Unconstrained vectors to the simplex by softmax; the logarithm is its pseudo-inverse."""

    domain = constraints.real_vector
    codomain = constraints.simplex

    def _call(self, x: Any) -> Any:
        weights = (x - x.max(-1, True)[0]).exp()
        return weights / weights.sum(-1, True)

    def _inverse(self, y: Any) -> Any:
        return y.log()

    def forward_shape(self, shape: Any) -> Any:
        _at_least(len(shape), 1)
        return shape

    inverse_shape = forward_shape


class StickBreakingTransform(_Plain):
    """K - 1 unconstrained numbers to the simplex of K parts, broken off one after the other."""

    domain = constraints.real_vector
    codomain = constraints.simplex
    bijective = True

    @staticmethod
    def _parts_left(like: Any, count: int) -> Any:
        """count, count - 1, ..., 1: how many parts remain; zeros map to equal parts."""
        return count + 1 - like.new_ones(count).cumsum(-1)

    def _call(self, x: Any) -> Any:
        pad = rl.nn.functional.pad
        share = _inside_unit(rl.sigmoid(x - self._parts_left(x, x.shape[-1]).log()))
        rest = (1 - share).cumprod(-1)
        return pad(share, [0, 1], value=1) * pad(rest, [1, 0], value=1)

    def _inverse(self, y: Any) -> Any:
        parts = y[..., :-1]
        # rounding may leave a rest that is not positive
        rest = rl.clamp(1 - parts.cumsum(-1), min=rl.finfo(y.dtype).tiny)
        return parts.log() - rest.log() + self._parts_left(y, parts.shape[-1]).log()

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        shifted = x - self._parts_left(x, x.shape[-1]).log()
        terms = -shifted + rl.nn.functional.logsigmoid(shifted) + y[..., :-1].log()
        return terms.sum(-1)

    def forward_shape(self, shape: Any) -> Any:
        _at_least(len(shape), 1)
        return shape[:-1] + (shape[-1] + 1,)

    def inverse_shape(self, shape: Any) -> Any:
        _at_least(len(shape), 1)
        return shape[:-1] + (shape[-1] - 1,)


class LowerCholeskyTransform(_Plain):
    """Square matrices to lower triangles with a positive diagonal (its exponential)."""

    domain = constraints.independent(constraints.real, 2)
    codomain = constraints.lower_cholesky

    def _call(self, x: Any) -> Any:
        return x.tril(-1) + x.diagonal(dim1=-2, dim2=-1).exp().diag_embed()

    def _inverse(self, y: Any) -> Any:
        return y.tril(-1) + y.diagonal(dim1=-2, dim2=-1).log().diag_embed()


class PositiveDefiniteTransform(_Plain):
    """Square matrices to positive definite ones, through their Cholesky factor."""

    domain = constraints.independent(constraints.real, 2)
    codomain = constraints.positive_definite

    def _call(self, x: Any) -> Any:
        factor = LowerCholeskyTransform()(x)
        return factor @ factor.mT

    def _inverse(self, y: Any) -> Any:
        return LowerCholeskyTransform().inv(rl.linalg.cholesky(y))


class _Side(Transform):
    """Transforms that each take a part of a dimension."""

    transforms: list[Any]

    def __init__(self, tseq: Any, dim: int, cache_size: int) -> None:
        if not all([isinstance(t, Transform) for t in tseq]):
            raise AssertionError("All elements of tseq must be Transform instances")
        if cache_size:
            tseq = [t.with_cache(cache_size) for t in tseq]
        super().__init__(cache_size=cache_size)
        self.transforms = list(tseq)
        self.dim = dim

    @property
    def bijective(self) -> bool:
        return all(t.bijective for t in self.transforms)

    def _wanted(self) -> tuple[int, str]:
        raise NotImplementedError

    def _require(self, value: Any, name: str, shown: str) -> None:
        if not -value.dim() <= self.dim < value.dim():
            raise AssertionError(
                f"dim {self.dim} out of range for {name} with {value.dim()} dimensions"
            )
        wanted, what = self._wanted()
        if value.size(self.dim) != wanted:
            raise AssertionError(
                f"{shown}.size({self.dim}) = {value.size(self.dim)} must equal {what} {wanted}"
            )


class CatTransform(_Side):
    """Transforms of consecutive pieces of a dimension.

    Args:
        tseq: the transforms.
        dim: the dimension.
        lengths: how long the pieces are; 1 each by default.
        cache_size: as in ``Transform``.

    Example:
        >>> import rushlight as torch
        >>> D = torch.distributions
        >>> t = D.CatTransform([D.ExpTransform(), D.identity_transform], lengths=[1, 2])
        >>> t(torch.zeros(3))
        tensor([1., 0., 0.])
    """

    def __init__(self, tseq: Any, dim: int = 0, lengths: Any = None, cache_size: int = 0) -> None:
        super().__init__(tseq, dim, cache_size)
        self.lengths = [1] * len(self.transforms) if lengths is None else list(lengths)
        if len(self.lengths) != len(self.transforms):
            raise AssertionError(
                f"lengths ({len(self.lengths)}) must match transforms ({len(self.transforms)})"
            )

    def _arguments(self) -> tuple[Any, ...]:
        return (self.transforms, self.dim, self.lengths)

    @lazy_property
    def event_dim(self) -> int:
        return max(int(t.event_dim) for t in self.transforms)

    @lazy_property
    def length(self) -> int:
        """The length of the dimension."""
        return sum(self.lengths)

    def _wanted(self) -> tuple[int, str]:
        return self.length, "length"

    def _pieces(self, value: Any) -> list[Any]:
        return list(value.split(self.lengths, self.dim))

    def _call(self, x: Any) -> Any:
        self._require(x, "tensor", "x")
        pieces = zip(self.transforms, self._pieces(x), strict=True)
        return rl.cat([t(piece) for t, piece in pieces], dim=self.dim)

    def _inverse(self, y: Any) -> Any:
        self._require(y, "tensor", "y")
        pieces = zip(self.transforms, self._pieces(y), strict=True)
        return rl.cat([t.inv(piece) for t, piece in pieces], dim=self.dim)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        self._require(x, "x", "x")
        self._require(y, "y", "y")
        terms = []
        for t, a, b in zip(self.transforms, self._pieces(x), self._pieces(y), strict=True):
            terms.append(sum_rightmost(t.log_abs_det_jacobian(a, b), self.event_dim - t.event_dim))
        # joined, or added where the dimension is part of the event
        dim = (self.dim - x.dim() if self.dim >= 0 else self.dim) + self.event_dim
        return rl.cat(terms, dim=dim) if dim < 0 else sum(terms)

    @constraints.dependent_property
    def domain(self) -> Any:
        return constraints.cat([t.domain for t in self.transforms], self.dim, self.lengths)

    @constraints.dependent_property
    def codomain(self) -> Any:
        return constraints.cat([t.codomain for t in self.transforms], self.dim, self.lengths)


class StackTransform(_Side):
    """One transform for each index of a dimension.

    Args:
        tseq: the transforms.
        dim: the dimension.
        cache_size: as in ``Transform``.
    """

    def __init__(self, tseq: Any, dim: int = 0, cache_size: int = 0) -> None:
        super().__init__(tseq, dim, cache_size)

    def _arguments(self) -> tuple[Any, ...]:
        return (self.transforms, self.dim)

    def _wanted(self) -> tuple[int, str]:
        return len(self.transforms), "len(transforms)"

    def _call(self, x: Any) -> Any:
        self._require(x, "tensor", "x")
        slices = zip(self.transforms, x.unbind(self.dim), strict=True)
        return rl.stack([t(part) for t, part in slices], dim=self.dim)

    def _inverse(self, y: Any) -> Any:
        self._require(y, "tensor", "y")
        slices = zip(self.transforms, y.unbind(self.dim), strict=True)
        return rl.stack([t.inv(part) for t, part in slices], dim=self.dim)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        self._require(x, "x", "x")
        self._require(y, "y", "y")
        parts = zip(self.transforms, x.unbind(self.dim), y.unbind(self.dim), strict=True)
        return rl.stack([t.log_abs_det_jacobian(a, b) for t, a, b in parts], dim=self.dim)

    @constraints.dependent_property
    def domain(self) -> Any:
        return constraints.stack([t.domain for t in self.transforms], self.dim)

    @constraints.dependent_property
    def codomain(self) -> Any:
        return constraints.stack([t.codomain for t in self.transforms], self.dim)


for _name in __all__:
    globals()[_name].__module__ = Transform.__module__
