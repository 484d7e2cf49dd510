"""Writing at indices: scatter_reduce, index_fill, index_copy, index_reduce, put, masked_scatter.

Also tensors written into the place of a view: ``select_scatter`` and its kin.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight._tensor.api import (
    FUNCTIONS,
    both,
    function,
    ints,
    method,
    number,
    operand,
    result_or_out,
)
from rushlight._tensor.movement import check_strided
from rushlight._tensor.numpy_bridge import from_array, values_of
from rushlight.dispatch.gate import call, write, write_into
from rushlight.dispatch.tensor import Tensor
from rushlight.dispatch.views import check_apart
from rushlight.ir.shapes import wrap_dim
from rushlight.ops import scatter as records

__all__: list[str] = []


@both
def scatter_reduce(
    input: Tensor,
    dim: int,
    index: Tensor,
    src: Tensor,
    reduce: str,
    *,
    include_self: bool = True,
    out: Any = None,
) -> Any:
    """A copy in which values that go to the same place along a dimension are reduced together.

    Args:
        input: the tensor to start from.
        dim: the dimension along which ``index`` points.
        index: int64 positions, no larger than ``src``.
        src: the values.
        reduce: ``"sum"``, ``"prod"``, ``"mean"``, ``"amax"`` or ``"amin"``.
        include_self: whether the input's own values take part.
        out: where to write the result.

    Example:
        >>> import rushlight as torch
        >>> index = torch.tensor([0, 1, 0, 1])
        >>> torch.zeros(2).scatter_reduce(0, index, torch.tensor([1.0, 2.0, 3.0, 4.0]), "sum")
        tensor([4., 6.])
    """
    inputs, attrs = (input, index, src), (ints(dim), reduce, bool(include_self))
    return (
        call(records.scatter_reduce, inputs, attrs)
        if out is None
        else write_into(records.scatter_reduce, inputs, attrs, out)
    )


@method
def scatter_reduce_(
    self: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, *, include_self: bool = True
) -> Any:
    """``scatter_reduce`` written into the tensor itself."""
    attrs = (ints(dim), reduce, bool(include_self))
    return write(records.scatter_reduce, (self, index, src), attrs)


@both
def index_fill(input: Tensor, dim: int, index: Tensor, value: Any) -> Any:
    """A copy with the slices of a dimension at these indices filled with one value."""
    return call(records.index_fill, (input, index, operand(value)), (ints(dim),))


@method
def index_fill_(self: Tensor, dim: int, index: Tensor, value: Any) -> Any:
    """``index_fill`` written into the tensor itself."""
    return write(records.index_fill, (self, index, operand(value)), (ints(dim),))


@both
def index_copy(input: Tensor, dim: int, index: Tensor, source: Tensor, *, out: Any = None) -> Any:
    """A copy with the slices of a dimension at these indices replaced by those of a source."""
    inputs, attrs = (input, index, source), (ints(dim),)
    return (
        call(records.index_copy, inputs, attrs)
        if out is None
        else write_into(records.index_copy, inputs, attrs, out)
    )


@method
def index_copy_(self: Tensor, dim: int, index: Tensor, source: Tensor) -> Any:
    """``index_copy`` written into the tensor itself."""
    return write(records.index_copy, (self, index, source), (ints(dim),))


def _warn_beta() -> None:
    import warnings

    warnings.warn(
        "index_reduce() is in beta and the API may change at any time.", UserWarning, stacklevel=3
    )


@both
def index_reduce(
    input: Tensor,
    dim: int,
    index: Tensor,
    source: Tensor,
    reduce: str,
    *,
    include_self: bool = True,
    out: Any = None,
) -> Any:
    """A copy in which slices are reduced into those that an index names.

    Args:
        input: the tensor to start from.
        dim: the dimension of the slices.
        index: the slice of the input for each slice of the source.
        source: the slices.
        reduce: ``"prod"``, ``"mean"``, ``"amax"`` or ``"amin"``.
        include_self: whether the input's own values take part.
        out: where to write the result.
    """
    _warn_beta()
    inputs, attrs = (input, index, source), (ints(dim), reduce, bool(include_self))
    return (
        call(records.index_reduce, inputs, attrs)
        if out is None
        else write_into(records.index_reduce, inputs, attrs, out)
    )


@method
def index_reduce_(
    self: Tensor, dim: int, index: Tensor, source: Tensor, reduce: str, *, include_self: bool = True
) -> Any:
    """``index_reduce`` written into the tensor itself."""
    _warn_beta()
    attrs = (ints(dim), reduce, bool(include_self))
    return write(records.index_reduce, (self, index, source), attrs)


@both
def put(input: Tensor, index: Tensor, source: Tensor, accumulate: bool = False) -> Any:
    """A copy with values written (or added) at positions in row-major order."""
    return call(records.put, (input, index, source), (bool(accumulate),))


@method
def put_(self: Tensor, index: Tensor, source: Tensor, accumulate: bool = False) -> Any:
    """``put`` written into the tensor itself."""
    return write(records.put, (self, index, source), (bool(accumulate),))


@both
def take(input: Tensor, index: Tensor, *, out: Any = None) -> Any:
    """Elements by their position in row-major order; negative positions count from the end."""
    inputs = (input, index)
    if out is None:
        return call(records.take, inputs)
    check_apart(out, inputs)
    return write_into(records.take, inputs, (), out)


@both
def masked_scatter(input: Tensor, mask: Tensor, source: Tensor) -> Any:
    """A copy with the elements under a mask replaced by the source's, in order.

    Raises:
        RuntimeError: fewer elements in the source than true ones in the mask.
    """
    return call(records.masked_scatter, (input, mask, source))


@method
def masked_scatter_(self: Tensor, mask: Tensor, source: Tensor) -> Any:
    """``masked_scatter`` written into the tensor itself."""
    if mask._meta.shape != self._meta.shape:
        mask = mask.expand(self._meta.shape)
    return write(records.masked_scatter, (self, mask, source))


# A tensor written into the place of a view


@both
def select_scatter(input: Tensor, src: Tensor, dim: int, index: int) -> Any:
    """A copy with ``src`` in the place of ``select(dim, index)``."""
    return call(records.select_scatter, (input, src), (ints(dim), ints(index)))


@both
def slice_scatter(
    input: Tensor, src: Tensor, dim: int = 0, start: Any = None, end: Any = None, step: int = 1
) -> Any:
    """A copy with ``src`` in the place of a slice of a dimension."""
    attrs = (ints(dim), ints(start), ints(end), ints(step))
    return call(records.slice_scatter, (input, src), attrs)


@both
def diagonal_scatter(
    input: Tensor, src: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1
) -> Any:
    """A copy with ``src`` on a diagonal."""
    return call(records.diagonal_scatter, (input, src), (offset, dim1, dim2))


@both
def as_strided_scatter(
    input: Tensor, src: Tensor, size: Any, stride: Any, storage_offset: int | None = None
) -> Any:
    """A copy with ``src`` in the place of ``as_strided(size, stride, storage_offset)``."""
    check_strided(input, size, stride, storage_offset)
    offset = 0 if storage_offset is None else storage_offset - input._offset
    attrs = (tuple(size), tuple(stride), offset)
    return call(records.as_strided_scatter, (input, src), attrs)


def _scatter_with(input: Tensor, dim: int, index: Tensor, src: Any, reduce: str, out: Any) -> Any:
    """``scatter(..., reduce=)``: values added or multiplied where the index points."""
    if reduce not in ("add", "multiply"):
        raise RuntimeError("reduce argument must be either add or multiply.")
    if isinstance(src, Tensor):
        import warnings

        warnings.warn(
            "The reduce argument of torch.scatter with Tensor src is deprecated and will be "
            "removed in a future PyTorch release. Use torch.scatter_reduce instead for more "
            "reduction options.",
            UserWarning,
            stacklevel=3,
        )
    else:
        src = input.new_full(index._meta.shape, number(src))
    name = "sum" if reduce == "add" else "prod"
    return result_or_out(scatter_reduce(input, dim, index, src, name), out)


FUNCTIONS["_scatter_with"] = _scatter_with


def repeats_index(repeats: Tensor, output_size: int | None) -> Tensor:
    """The position of each repeated element: i as often as ``repeats[i]`` says."""
    kind = repeats._meta.dtype
    if kind.name not in ("int64", "int32"):
        raise NotImplementedError(f"\"repeat_interleave_cpu\" not implemented for '{kind.title}'")
    if repeats._meta.ndim != 1:
        raise RuntimeError("repeat_interleave only accept 1D vector as repeat")
    times = values_of(repeats)
    if times.size and times.min() < 0:
        raise RuntimeError("repeats can not be negative")
    found = np.repeat(np.arange(times.size, dtype=times.dtype), times)
    if output_size is not None and output_size != found.size:
        raise RuntimeError("allocated size does not match required size")
    return from_array(found, kind)


@function
def repeat_interleave(
    input: Any = None,
    repeats: Any = None,
    dim: int | None = None,
    *,
    output_size: int | None = None,
) -> Any:
    """Each element (or slice of a dimension) repeated, the copies side by side.

    Args:
        input: the tensor; if it is the only argument, it holds the repeats of 0, 1, 2, ...
        repeats: how often, one number or one for each slice.
        dim: the dimension; the input is flattened if None.
        output_size: the length of the result, if known.

    Example:
        >>> import rushlight as torch
        >>> torch.repeat_interleave(torch.tensor([1, 2, 3]), 2)
        tensor([1, 1, 2, 2, 3, 3])
    """
    if repeats is None:
        return repeats_index(input, output_size)
    if input is None:
        return repeats_index(repeats, output_size)
    if dim is None:
        input, dim = input.reshape(-1), 0
    d = wrap_dim(dim, input._meta.ndim)
    if input._meta.ndim == 0:
        input = input.reshape(1)
    size = input._meta.shape[d]
    if not isinstance(repeats, Tensor):
        if repeats < 0:
            raise RuntimeError("Repeats must be non-negative")
        if output_size is not None and output_size != size * repeats:
            raise RuntimeError(
                f"repeat_interleave: Invalid output_size, expected {size * repeats} but got "
                f"{output_size}"
            )
        shape = list(input._meta.shape)
        wide = input.unsqueeze(d + 1).expand(*shape[: d + 1], repeats, *shape[d + 1 :])
        return wide.contiguous().flatten(d, d + 1)
    if repeats._meta.ndim == 0 or (repeats._meta.ndim == 1 and repeats._meta.numel == 1):
        repeats = repeats.reshape(1).expand(size)
    elif repeats._meta.ndim != 1:
        raise RuntimeError("repeats must be 0-dim or 1-dim tensor")
    elif repeats._meta.numel != size:
        raise RuntimeError(
            "repeats must have the same size as input along dim, but got repeats.size(0) = "
            f"{repeats._meta.numel} and input.size({dim}) = {size}"
        )
    return input.index_select(d, repeats_index(repeats, output_size))


def _repeat_interleave(
    self: Tensor, repeats: Any, dim: int | None = None, *, output_size: int | None = None
) -> Any:
    """``torch.repeat_interleave`` of this tensor."""
    return repeat_interleave(self, repeats, dim, output_size=output_size)


_repeat_interleave.__name__ = _repeat_interleave.__qualname__ = "repeat_interleave"
method(_repeat_interleave)
