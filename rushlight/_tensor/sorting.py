"""Sorting, order statistics, unique elements, searching."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight._tensor.api import (
    FUNCTIONS,
    both,
    function,
    ints,
    number,
    operand,
    result_or_out,
)
from rushlight._tensor.numpy_bridge import from_array, values_of
from rushlight._tensor.reduction import numpy_names, return_type
from rushlight.dispatch.gate import call, write_into
from rushlight.dispatch.tensor import Tensor
from rushlight.dispatch.views import check_apart
from rushlight.ir.shapes import wrap_dim
from rushlight.ops import sort as records

__all__: list[str] = []

_SORT = return_type("sort", "values indices")
_TOPK = return_type("topk", "values indices")
_KTH = return_type("kthvalue", "values indices")


def _pair(kind: Any, op: Any, input: Tensor, attrs: tuple[Any, ...], out: Any) -> Any:
    if out is None:
        return kind(*call(op, (input,), attrs))
    return kind(*write_into(op, (input,), attrs, tuple(out)))


@both
@numpy_names
def sort(
    input: Tensor,
    dim: int = -1,
    descending: bool = False,
    stable: bool = False,
    *,
    out: Any = None,
) -> Any:
    """The elements along a dimension in order, and where each stood.

    Args:
        input: any tensor that is not complex; NaN counts as the largest.
        dim: the dimension.
        descending: from large to small.
        stable: equal elements keep their order (they always do here).

    Example:
        >>> import rushlight as torch
        >>> torch.sort(torch.tensor([3, 1, 2])).indices
        tensor([1, 2, 0])
    """
    return _pair(_SORT, records.sort, input, (ints(dim), bool(descending)), out)


records.sort.public = sort


@both
@numpy_names
def argsort(input: Tensor, dim: int = -1, descending: bool = False, *, stable: bool = False) -> Any:
    """The order that sorts a tensor along a dimension."""
    return call(records.sort, (input,), (ints(dim), bool(descending)))[1]


@both
def msort(input: Tensor, *, out: Tensor | None = None) -> Any:
    """The elements sorted along the first dimension."""
    made = call(records.sort, (input,), (0, False))[0]
    return made if out is None else out.resize_(made._meta.shape).copy_(made)


@both
@numpy_names
def topk(
    input: Tensor,
    k: int,
    dim: int = -1,
    largest: bool = True,
    sorted: bool = True,
    *,
    out: Any = None,
) -> Any:
    """The k largest (or smallest) elements along a dimension, in order, and where they stand."""
    dim = -1 if dim is None else dim
    attrs = (int(number(k)), ints(dim), bool(largest), bool(sorted))
    return _pair(_TOPK, records.topk, input, attrs, out)


records.topk.public = topk


@both
@numpy_names
def kthvalue(
    input: Tensor, k: int, dim: int = -1, keepdim: bool = False, *, out: Any = None
) -> Any:
    """The k-th smallest element along a dimension (k counts from 1), and where it stands."""
    for target in out or ():
        check_apart(target, (input,))
    return _pair(_KTH, records.kthvalue, input, (int(k), ints(dim), bool(keepdim)), out)


records.kthvalue.public = kthvalue


def _median(name: str, over_all: Any, over_dim: Any, text: str) -> None:
    pair = return_type(name, "values indices")

    def f(input: Tensor, dim: int | None = None, keepdim: bool = False, *, out: Any = None) -> Any:
        if dim is None:
            return call(over_all, (input,))
        return _pair(pair, over_dim, input, (ints(dim), bool(keepdim)), out)

    f.__name__ = f.__qualname__ = name
    f.__doc__ = text
    over_all.public = over_dim.public = both(numpy_names(f))


_median(
    "median",
    records.median_all,
    records.median_dim,
    "The median, the lower of the two middle elements; NaN if there is a NaN.",
)
_median(
    "nanmedian",
    records.nanmedian_all,
    records.nanmedian_dim,
    "The median of the elements that are not NaN.",
)
_MODE = return_type("mode", "values indices")


@both
@numpy_names
def mode(input: Tensor, dim: int = -1, keepdim: bool = False, *, out: Any = None) -> Any:
    """The most frequent element along a dimension (the smallest of several), and its last place."""
    return _pair(_MODE, records.mode, input, (ints(dim), bool(keepdim)), out)


records.mode.public = mode

# Unique elements; their number depends on the values, so these read them


def _tensors(
    input: Tensor, values: Any, inverse: Any, counts: Any, dim: int = 0
) -> tuple[Any, Any, Any]:
    """The three results; slices are laid out one after the other, and moved to ``dim``."""
    made = from_array(np.array(values, order="C"), input._meta.dtype)
    if dim:
        made = made.movedim(0, dim)
    index = from_array(np.array(inverse, order="C"), dtypes.int64)
    return made, index, from_array(np.array(counts), dtypes.int64)


def _ordered_values(input: Tensor) -> Any:
    """The values in a dtype that NumPy can order."""
    dt = input._meta.dtype
    if dt.is_complex:
        raise NotImplementedError(f"\"unique\" not implemented for '{dt.title}'")
    array = values_of(input)
    return array.astype(np.float32) if dt is dtypes.bfloat16 else array


def _chosen(parts: tuple[Any, Any, Any], return_inverse: bool, return_counts: bool) -> Any:
    if return_inverse:
        return parts if return_counts else parts[:2]
    return (parts[0], parts[2]) if return_counts else parts[0]


def _runs(rows: Any) -> Any:
    """Where a row (or element) differs from the one before."""
    starts = np.ones(rows.shape[0], bool)
    starts[1:] = (rows[1:] != rows[:-1]).any(axis=tuple(range(1, rows.ndim)))
    return starts


def _as_rows(array: Any, dim: int) -> Any:
    moved = np.moveaxis(array, dim, 0)
    if 0 in moved.shape[1:] and moved.shape[0]:
        raise RuntimeError(
            "There are 0 sized dimensions, and they aren't selected, so unique cannot be applied"
        )
    return moved


def _row_order(rows: Any) -> Any:
    """The stable order of rows, compared element by element."""
    if not rows.size:
        return np.arange(rows.shape[0])
    return np.lexsort(rows.reshape(rows.shape[0], -1).T[::-1])


def _grouped(rows: Any, starts: Any, order: Any = None) -> tuple[Any, Any]:
    """For each original row the number of its group, and the sizes of the groups."""
    group = np.cumsum(starts) - 1
    inverse = group
    if order is not None:
        inverse = np.empty_like(group)
        inverse[order] = group
    places = np.flatnonzero(starts)
    return inverse, np.diff(np.append(places, rows.shape[0]))


@both
def unique(
    input: Tensor,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """The different elements in order, or the different slices along a dimension.

    Args:
        input: a tensor that is not complex.
        sorted: the result is always in order.
        return_inverse: also where each element of the input stands in the result.
        return_counts: also how often each occurs.
        dim: compare slices along this dimension; elements if None.

    Example:
        >>> import rushlight as torch
        >>> torch.unique(torch.tensor([3, 1, 3]), return_counts=True)
        (tensor([1, 3]), tensor([1, 2]))
    """
    array = _ordered_values(input)
    if dim is None:
        flat = array.reshape(-1)
        order = np.argsort(flat, kind="stable")
        rows = flat[order]
        starts = _runs(rows)
        inverse, counts = _grouped(rows, starts, order)
        parts = _tensors(input, rows[starts], inverse.reshape(array.shape), counts)
    else:
        d = wrap_dim(dim, array.ndim)
        rows = _as_rows(array, d) if array.ndim else array.reshape(1)
        order = _row_order(rows)
        starts = _runs(rows[order])
        inverse, counts = _grouped(rows, starts, order)
        values = rows[order][starts]
        parts = _tensors(input, values, inverse, counts, d)
    return _chosen(parts, return_inverse, return_counts)


@both
def unique_consecutive(
    input: Tensor,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """The first of each run of equal elements (or slices along a dimension)."""
    array = _ordered_values(input)
    if dim is None:
        rows = array.reshape(-1)
        starts = _runs(rows)
        inverse, counts = _grouped(rows, starts)
        parts = _tensors(input, rows[starts], inverse.reshape(array.shape), counts)
    else:
        d = wrap_dim(dim, array.ndim)
        rows = _as_rows(array, d) if array.ndim else array.reshape(1)
        starts = _runs(rows)
        inverse, counts = _grouped(rows, starts)
        parts = _tensors(input, rows[starts], inverse, counts, d)
    return _chosen(parts, return_inverse, return_counts)


# Searching


def _search(
    boundaries: Tensor, values: Any, right: bool, int32: bool, sorter: Any, out: Any
) -> Any:
    values = operand(values)
    if not isinstance(values, Tensor):
        dt = boundaries._meta.dtype
        wide = dt if dt.is_floating_point or isinstance(values, int) else dtypes.float64
        values = FUNCTIONS["tensor"](values, dtype=wide)
    op, inputs = records.searchsorted, (boundaries, values, sorter)
    attrs = (bool(right), bool(int32))
    return call(op, inputs, attrs) if out is None else write_into(op, inputs, attrs, out)


@function
def searchsorted(
    sorted_sequence: Tensor,
    values: Any = None,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    out: Tensor | None = None,
    sorter: Tensor | None = None,
    input: Any = None,
) -> Any:
    """Where values would be inserted into rows that are in order.

    Args:
        sorted_sequence: one row, or as many as ``values`` has.
        values: a tensor or, for one row, a number.
        out_int32: int32 rather than int64 indices.
        right: behind equal elements rather than before them; ``side="right"`` is the same.
        sorter: the order that sorts the rows, if they are not in order.
    """
    if side not in (None, "left", "right"):
        raise RuntimeError(
            "torch.searchsorted(): side can only be 'left' or 'right' but got " + str(side)
        )
    if side == "left" and right:
        raise RuntimeError(
            "torch.searchsorted(): side and right can't be set to opposites, got side of left "
            "while right was True"
        )
    values = input if values is None else values
    a = sorted_sequence._meta.dtype
    if isinstance(values, Tensor) and values._meta.dtype is not a:
        raise RuntimeError(
            "torch.searchsorted(): boundary tensor and input value tensor should have same dtype, "
            f"but got boundary tensor dtype {a.title} and input value tensor dtype "
            f"{values._meta.dtype.title}"
        )
    return _search(sorted_sequence, values, right or side == "right", out_int32, sorter, out)


records.searchsorted.public = searchsorted


@function
def bucketize(
    input: Any,
    boundaries: Tensor,
    *,
    out_int32: bool = False,
    right: bool = False,
    out: Tensor | None = None,
) -> Any:
    """Which interval between boundaries (a vector in order) each value falls into."""
    if boundaries._meta.ndim != 1:
        raise RuntimeError(
            f"boundaries tensor must be 1 dimension, but got dim({boundaries._meta.ndim})"
        )
    return _search(boundaries, input, right, out_int32, None, out)


@function
def isin(
    elements: Any = None,
    test_elements: Any = None,
    *,
    assume_unique: bool = False,
    invert: bool = False,
    element: Any = None,
    test_element: Any = None,
    out: Tensor | None = None,
) -> Any:
    """Where an element is one of the test elements.

    Args:
        elements, test_elements: tensors, or one of them a number.
        element, test_element: names for a number.
        invert: where it is none of them.
    """
    elements = element if elements is None else elements
    test_elements = test_element if test_elements is None else test_elements
    if elements is None or test_elements is None:
        missing = "elements" if elements is None else "test_elements"
        raise TypeError(f'isin() missing 1 required positional arguments: "{missing}"')
    return result_or_out(_isin(elements, test_elements, invert), out)


def _isin(elements: Any, test_elements: Any, invert: bool) -> Any:
    tensor = FUNCTIONS["tensor"]
    a = elements if isinstance(elements, Tensor) else tensor(elements)
    b = test_elements if isinstance(test_elements, Tensor) else tensor(test_elements)
    for t in (a, b):
        if t._meta.dtype.kind in "bc":
            raise RuntimeError(
                f"Unsupported input type encountered for isin(): {t._meta.dtype.title}"
            )
    if a._value is not None or b._value is not None:  # inside vmap
        same = (a.unsqueeze(-1) == b.reshape(-1)).any(-1)
        return same.logical_not() if invert else same
    found = np.isin(values_of(a), values_of(b).reshape(-1), invert=invert)
    return from_array(np.asarray(found), dtypes.bool_)
