"""Norms: torch.norm, and the vector norm on which it rests."""

from __future__ import annotations

from typing import Any

from rushlight._tensor.api import FUNCTIONS, both, dtype_of, ints, number
from rushlight._tensor.reduction import numpy_names
from rushlight.dispatch.gate import call, write_into
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
