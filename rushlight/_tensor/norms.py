"""Norms: torch.norm, and the vector norm on which it rests."""

from __future__ import annotations

from typing import Any

from rushlight._tensor.api import FUNCTIONS, both, dtype_of, function, ints, method, number
from rushlight._tensor.reduction import numpy_names
from rushlight.dispatch.gate import call, write, write_into
from rushlight.dispatch.tensor import Tensor
from rushlight.ops import vector_norm as records

__all__ = ["vector_norm"]


def vector_norm(
    x: Tensor,
    ord: Any = 2,
    dim: Any = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
    out: Any = None,
) -> Any:
    """The norm of all elements, or of the vectors along dimensions.

    Args:
        x: a floating point or complex tensor.
        ord: 2 (the root of the sum of squares), any other number p (the p-th root of the sum of
            p-th powers), 0 (how many are not zero), inf or -inf (the largest or smallest size).
        dim: one or several dimensions; all elements if None.
        keepdim: whether the reduced dimensions stay with size 1.
        dtype: the dtype in which to compute.
        out: where to write the result.

    Raises:
        RuntimeError: integers, or an empty tensor whose norm has no identity.

    Example:
        >>> import rushlight as torch
        >>> torch.linalg.vector_norm(torch.tensor([3.0, 4.0]))
        tensor(5.)
    """
    kind = None if dtype is None else dtype_of(dtype)
    attrs = (float(number(ord)), ints(dim), bool(keepdim), kind)
    return (
        call(records.vector_norm, (x,), attrs)
        if out is None
        else write_into(records.vector_norm, (x,), attrs, out)
    )


records.vector_norm.public = vector_norm


@both
@numpy_names
def norm(
    input: Tensor,
    p: Any = "fro",
    dim: Any = None,
    keepdim: bool = False,
    out: Any = None,
    dtype: Any = None,
) -> Any:
    """The norm of a tensor: of all elements as one vector, or over dimensions.

    Args:
        input: a floating point or complex tensor.
        p: a number (a vector norm), ``"fro"`` (the 2-norm) or ``"nuc"`` (the sum of a matrix's
            singular values).
        dim: one or several dimensions; all if None.
        keepdim: whether the reduced dimensions stay with size 1.
        out: where to write the result.
        dtype: the dtype in which to compute.

    Example:
        >>> import rushlight as torch
        >>> torch.norm(torch.tensor([[3.0, 4.0], [0.0, 12.0]]), dim=1)
        tensor([ 5., 12.])
    """
    if isinstance(p, str):
        if p != "fro" or not (dim is None or isinstance(dim, int) or len(dim) <= 2):
            dims = list(range(input._meta.ndim)) if dim is None else dim
            dims = [dims] if isinstance(dims, int) else dims
            return FUNCTIONS["_matrix_norm"](input, p, dims, keepdim, dtype=dtype, out=out)
        p = 2.0
    return vector_norm(input, 2.0 if p is None else p, dim, keepdim, dtype=dtype, out=out)


@both
def dist(input: Tensor, other: Tensor, p: float = 2) -> Any:
    """The p-norm of the difference of two tensors."""
    return call(records.dist, (input, other), (float(number(p)),))


@both
def renorm(input: Tensor, p: float, dim: int, maxnorm: float, *, out: Any = None) -> Any:
    """A copy in which slices of a dimension whose p-norm exceeds ``maxnorm`` are scaled to it."""
    attrs = (float(number(p)), ints(dim), float(number(maxnorm)))
    return (
        call(records.renorm, (input,), attrs)
        if out is None
        else write_into(records.renorm, (input,), attrs, out)
    )


@method
def renorm_(self: Tensor, p: float, dim: int, maxnorm: float) -> Tensor:
    """``renorm`` written into the tensor itself."""
    return write(records.renorm, (self,), (float(number(p)), ints(dim), float(number(maxnorm))))


_MATMUL = {
    "use_mm_for_euclid_dist_if_necessary": None,
    "use_mm_for_euclid_dist": True,
    "donot_use_mm_for_euclid_dist": False,
}


@function
def cdist(
    x1: Tensor,
    x2: Tensor,
    p: float = 2.0,
    compute_mode: str | None = "use_mm_for_euclid_dist_if_necessary",
) -> Any:
    """The p-norm distances between all rows of two (batches of) matrices.

    Args:
        x1: shape (..., P, M).
        x2: shape (..., R, M).
        p: the norm, 0 to inf.
        compute_mode: whether Euclidean distances may be taken from a matrix product, which is
            faster and less exact: by default beyond 25 rows.

    Returns:
        the distances, shape (..., P, R).

    Example:
        >>> import rushlight as torch
        >>> torch.cdist(torch.zeros(1, 2), torch.tensor([[3.0, 4.0], [0.0, 1.0]]))
        tensor([[5., 1.]])
    """
    if compute_mode is not None and compute_mode not in _MATMUL:
        raise ValueError(f"{compute_mode} is not a valid value for compute_mode")
    wanted = _MATMUL[compute_mode or "use_mm_for_euclid_dist_if_necessary"]
    large = (
        x1._meta.ndim > 1
        and x2._meta.ndim > 1
        and (x1._meta.shape[-2] > 25 or x2._meta.shape[-2] > 25)
    )
    matmul = p == 2 and (large if wanted is None else wanted)
    return call(records.cdist, (x1, x2), (float(p), matmul))
