"""Triangles and diagonals of matrices."""

from __future__ import annotations

from typing import Any

from rushlight import dtypes
from rushlight._tensor.api import (
    FUNCTIONS,
    both,
    device_of,
    dtype_of,
    function,
    method,
    result_or_out,
)
from rushlight.dispatch.gate import call, write, write_into
from rushlight.dispatch.tensor import Tensor
from rushlight.dtypes import int64
from rushlight.ops import diagonals

__all__: list[str] = []


def _diagonal_number(name: str, value: Any) -> int:
    if isinstance(value, float) or not hasattr(value, "__index__"):
        raise TypeError(f"{name}(): argument 'diagonal' must be int, not {type(value).__name__}")
    return int(value.__index__())


def _triangle(op: Any, doc: str) -> None:
    name = op.name

    def f(input: Tensor, diagonal: int = 0, *, out: Tensor | None = None) -> Any:
        attrs = (_diagonal_number(name, diagonal),)
        return call(op, (input,), attrs) if out is None else write_into(op, (input,), attrs, out)

    def f_(self: Tensor, diagonal: int = 0) -> Tensor:
        return write(op, (self,), (_diagonal_number(name, diagonal),))

    f.__name__ = f.__qualname__ = name
    f.__doc__ = doc
    f_.__name__ = f_.__qualname__ = name + "_"
    f_.__doc__ = f"``{name}`` written into the tensor itself."
    op.public = both(f)
    method(f_)


_triangle(
    diagonals.triu,
    """The upper triangle of matrices, zeros elsewhere.

    Args:
        input: a tensor of at least two dimensions.
        diagonal: the lowest diagonal kept: 0 the main one, above it if positive.
        out: where to write the result.

    Example:
        >>> import rushlight as torch
        >>> torch.triu(torch.ones(2, 3))
        tensor([[1., 1., 1.],
                [0., 1., 1.]])
    """,
)
_triangle(
    diagonals.tril,
    """The lower triangle of matrices, zeros elsewhere.

    Args:
        input: a tensor of at least two dimensions.
        diagonal: the highest diagonal kept: 0 the main one, above it if positive.
        out: where to write the result.

    Example:
        >>> import rushlight as torch
        >>> torch.tril(torch.ones(2, 3))
        tensor([[1., 0., 0.],
                [1., 1., 0.]])
    """,
)


def _indices(op: Any, doc: str) -> None:
    def f(
        row: int,
        col: int,
        offset: int = 0,
        *,
        dtype: Any = None,
        device: Any = None,
        layout: Any = None,
        pin_memory: bool = False,
    ) -> Any:
        return call(op, (), (row, col, offset, dtype_of(dtype, int64), device_of(device)))

    f.__name__ = f.__qualname__ = op.name
    f.__doc__ = doc
    op.public = function(f)


_indices(diagonals.tril_indices, "Rows and columns of a matrix's lower triangle, a 2 x N tensor.")
_indices(diagonals.triu_indices, "Rows and columns of a matrix's upper triangle, a 2 x N tensor.")


@both
def trace(input: Tensor) -> Any:
    """The sum of the main diagonal of a matrix; integers give int64."""
    return call(diagonals.trace, (input,))


@both
def diag_embed(input: Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    """Matrices, in two new dimensions, whose diagonals are the last dimension of the input."""
    return call(diagonals.diag_embed, (input,), (offset, dim1, dim2))


@both
def diag(input: Tensor, diagonal: int = 0, *, out: Tensor | None = None) -> Any:
    """A matrix with this vector on a diagonal, or the diagonal of a matrix, copied."""
    n = input._meta.ndim
    if n not in (1, 2):
        raise RuntimeError(f"diag(): Supports 1D or 2D tensors. Got {n}D")
    if n == 2:
        made = FUNCTIONS["diagonal"](input, diagonal).clone()
        return result_or_out(made, out)
    attrs = (diagonal, -2, -1)
    return (
        call(diagonals.diag_embed, (input,), attrs)
        if out is None
        else write_into(diagonals.diag_embed, (input,), attrs, out)
    )


@method
def fill_diagonal_(self: Tensor, fill_value: Any, wrap: bool = False) -> Tensor:
    """Fills the main diagonal of a matrix (or of a cube) with one value.

    Args:
        fill_value: a number.
        wrap: whether the diagonal of a tall matrix starts again below the square part.
    """
    shape, strides = self._meta.shape, self._meta.strides
    if len(shape) < 2:
        raise RuntimeError("dimensions must larger than 1")
    if len(shape) > 2 and len(set(shape)) > 1:
        raise RuntimeError("all dimensions of input must be of equal length")
    size, step = min(shape), sum(strides)
    self.as_strided((size,), (step,)).fill_(fill_value)
    rows, columns = shape[0], shape[1]
    if wrap and len(shape) == 2 and rows > columns + 1:
        start = self._offset + strides[0] * (columns + 1)
        count = (rows - columns - 1) * columns
        left = self.as_strided((rows - columns - 1, columns), strides, start)
        at = FUNCTIONS["arange"](0, count, columns + 1)
        rest = FUNCTIONS["zeros"](count, dtype=dtypes.bool_).index_fill_(0, at, True)
        left.masked_fill_(rest.view(rows - columns - 1, columns), fill_value)
    return self


@both
def diagflat(input: Tensor, offset: int = 0) -> Any:
    """A matrix with all elements of the input on a diagonal."""
    return diag_embed(input.contiguous().view(-1), offset)
