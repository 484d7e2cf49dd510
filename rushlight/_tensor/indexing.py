"""Indexing and assignment, gather and scatter.

``x[...]`` with ints, slices, None and Ellipsis makes views; with tensors or lists it makes copies
(advanced indexing); both may be mixed, as in NumPy.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight._tensor.api import (
    FUNCTIONS,
    both,
    checked_out,
    ints,
    method,
    number,
    operand,
    result_or_out,
)
from rushlight._tensor.numpy_bridge import from_array, values_of
from rushlight.dispatch.gate import call, write, write_into
from rushlight.dispatch.tensor import Tensor, new
from rushlight.dispatch.views import check_apart
from rushlight.dtypes import bool_, int64
from rushlight.ir.shapes import wrap_dim
from rushlight.ops import indexing, movement

__all__: list[str] = []


def _as_index(item: Any) -> Any:
    """Lists and arrays as index tensors; numbers and slices as they are."""
    if isinstance(item, np.ndarray):
        return FUNCTIONS["from_numpy"](item)
    if isinstance(item, (list, range)):
        made = FUNCTIONS["tensor"](list(item))
        return made.long() if made._meta.numel == 0 else made
    if isinstance(item, np.bool_):
        return bool(item)
    return item


def _items(self: Tensor, index: Any) -> list[Any]:
    """The index as a list with one entry a dimension, Ellipsis replaced by full slices."""
    if isinstance(index, tuple) or (
        isinstance(index, list)
        and any(isinstance(i, (slice, type(None), type(...), Tensor)) for i in index)
    ):
        items = [_as_index(i) for i in index]
    else:
        items = [_as_index(index)]
    used = 0
    for i in items:
        if isinstance(i, Tensor) and i._meta.dtype.name in ("bool", "uint8"):
            used += i._meta.ndim
        elif i is not None and i is not Ellipsis and not isinstance(i, bool):
            used += 1
    missing = self._meta.ndim - used
    if missing < 0 and not isinstance(index, tuple) and isinstance(index, slice):
        raise IndexError("slice() cannot be applied to a 0-dim tensor.")
    if missing < 0 and not (used == 1 and isinstance(index, int)):
        raise IndexError(f"too many indices for tensor of dimension {self._meta.ndim}")
    at = next((k for k, i in enumerate(items) if i is Ellipsis), None)
    if at is not None:
        items[at : at + 1] = [slice(None)] * missing
    return items


def _bound(value: Any) -> Any:
    return value if value is None or type(value) is int else value.__index__()


def _basic(self: Tensor, items: list[Any]) -> tuple[Tensor, list[Any]]:
    """Applies everything but tensors as views; returns the index tensors by dimension."""
    t, d, taken = self, 0, 0  # ``taken``: dimensions that single indices took away
    tensors: list[Any] = []
    for item in items:
        if (
            isinstance(item, Tensor)
            and item._meta.ndim == 0
            and item._meta.dtype.is_integral
            and item._meta.dtype.name not in ("bool", "uint8")
        ):
            if item._value is not None:  # inside vmap: another index for each sample
                tensors.append(item)
                d += 1
                continue
            item = int(item)
        if isinstance(item, slice):
            t = _slice(t, d, item, False)
            tensors.append(None)
            d += 1
        elif item is None:
            t = call(movement.unsqueeze, (t,), (d,))
            tensors.append(None)
            d += 1
        elif isinstance(item, bool):
            t = call(movement.unsqueeze, (t,), (d,))
            tensors.append(FUNCTIONS["tensor"]([item]))
            d += 1
        elif isinstance(item, Tensor) and item._meta.ndim == 0 and item._meta.dtype.is_integral:
            t = call(movement.unsqueeze, (t,), (d,))  # a mask for one element
            tensors.append(item.to(bool_).reshape(1))
            d += 1
        elif isinstance(item, Tensor):
            tensors.append(item)
            if item._meta.dtype.name in ("bool", "uint8"):
                tensors.extend([None] * 0)
                d += item._meta.ndim
            else:
                d += 1
        elif hasattr(item, "__index__"):
            t = _select(self, t, d, item.__index__(), taken)
            taken += 1
        else:
            raise TypeError(
                "only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables "
                f"are valid indices (got {type(item).__name__})"
            )
    return t, tensors


def _slice(t: Tensor, d: int, item: slice, always: bool) -> Tensor:
    """A slice of a dimension; of the whole of it only if ``always``."""
    size = t._meta.shape[d]
    start, stop, step = _bound(item.start), _bound(item.stop), _bound(item.step)
    step = 1 if step is None else step
    if step <= 0:
        raise ValueError("step must be greater than zero")
    if not always and start in (None, 0) and (stop is None or stop >= size) and step == 1:
        return t
    stop = size if stop is None else stop
    return call(movement.slice, (t,), (d, start or 0, stop, step))  # type: ignore[no-any-return]


def _select(whole: Tensor, t: Tensor, d: int, index: int, taken: int = 0) -> Tensor:
    size = t._meta.shape[d] if t._meta.ndim else 0
    if not -size <= index < size:
        if whole._meta.ndim == 0 and index == 0:
            raise IndexError(
                "invalid index of a 0-dim tensor. Use `tensor.item()` in Python or "
                "`tensor.item<T>()` in C++ to convert a 0-dim tensor to a number"
            )
        where = d + taken
        raise IndexError(f"index {index} is out of bounds for dimension {where} with size {size}")
    return call(movement.select, (t,), (d, index))  # type: ignore[no-any-return]


def expand_masks(t: Tensor, tensors: list[Any]) -> tuple[Any, ...]:
    """Index tensors by dimension, with masks replaced by the positions of their true elements."""
    found: list[Any] = []
    for item in tensors:
        if item is None or item._meta.dtype.name not in ("bool", "uint8"):
            if item is not None and not item._meta.dtype.is_integral:
                raise IndexError("tensors used as indices must be long, int, byte or bool tensors")
            found.append(item)
            continue
        if item._value is not None:
            raise RuntimeError(
                "vmap: We do not support batching operators that can support dynamic shape. "
                "Attempting to batch over indexing with a boolean mask."
            )
        start = len(found)
        for k, size in enumerate(item._meta.shape):
            have = t._meta.shape[start + k] if start + k < t._meta.ndim else None
            if size != have:
                raise IndexError(
                    f"The shape of the mask {list(item._meta.shape)} at index {k} does not match "
                    f"the shape of the indexed tensor {list(t._meta.shape)} at index {start + k}"
                )
        found.extend(
            from_array(np.ascontiguousarray(i), int64) for i in np.nonzero(values_of(item))
        )
    while found and found[-1] is None:
        found.pop()
    return tuple(found)


def _getitem(self: Tensor, index: Any) -> Any:
    if type(index) is int:
        return _select(self, self, 0, index)
    if type(index) is slice and self._meta.ndim:
        return _slice(self, 0, index, True)
    t, tensors = _basic(self, _items(self, index))
    indices = expand_masks(t, tensors)
    if not indices:
        return t if t is not self else call(movement.alias, (t,))
    return call(indexing.index, (t, *indices))


def _setitem(self: Tensor, index: Any, value: Any) -> None:
    t, tensors = _basic(self, _items(self, index))
    indices = expand_masks(t, tensors)
    if not isinstance(value, Tensor):
        value = FUNCTIONS["tensor"](operand(value), dtype=t._meta.dtype, device=t._meta.device)
    if not indices:
        m, have = t._meta, value._meta
        if have.ndim > m.ndim and all(s == 1 for s in have.shape[: have.ndim - m.ndim]):
            value = value.reshape(have.shape[have.ndim - m.ndim :])
        if value._meta.ndim == 0 and m.ndim and not value._meta.dtype.is_complex:
            t.fill_(value)
        else:
            t.copy_(value)
        return
    write(indexing.index_put, (t, value.to(t._meta.dtype), *indices), (False,))


Tensor.__getitem__ = _getitem  # type: ignore[method-assign]
Tensor.__setitem__ = _setitem  # type: ignore[method-assign]


@both
def index_put(input: Tensor, indices: Any, values: Tensor, accumulate: bool = False) -> Any:
    """A copy with values written (or added) at index tensors."""
    at = expand_masks(input, list(indices))
    return call(indexing.index_put, (input, values, *at), (bool(accumulate),))


@both
def index_put_(input: Tensor, indices: Any, values: Tensor, accumulate: bool = False) -> Any:
    """Values written (or added) at index tensors, in place."""
    at = expand_masks(input, list(indices))
    return write(indexing.index_put, (input, values, *at), (bool(accumulate),))


@both
def gather(
    input: Tensor, dim: int, index: Tensor, *, sparse_grad: bool = False, out: Any = None
) -> Any:
    """Values picked along a dimension by an index tensor of the same rank."""
    inputs, attrs = (input, index), (ints(dim),)
    if out is None:
        return call(indexing.gather, inputs, attrs)
    target = checked_out(out, input._meta.dtype, inputs, index._meta.numel)
    return write_into(indexing.gather, inputs, attrs, target)


@both
def scatter(
    input: Tensor,
    dim: int,
    index: Tensor,
    src: Any = None,
    *,
    value: Any = None,
    reduce: str | None = None,
    out: Any = None,
) -> Any:
    """A copy with values written along a dimension where an index tensor points."""
    source = operand(value if src is None else src)
    if reduce is not None:
        return FUNCTIONS["_scatter_with"](input, dim, index, source, reduce, out)
    inputs, attrs = (input, index, source), (ints(dim),)
    return (
        call(indexing.scatter, inputs, attrs)
        if out is None
        else write_into(indexing.scatter, inputs, attrs, out)
    )


@method
def scatter_(
    self: Tensor,
    dim: int,
    index: Tensor,
    src: Any = None,
    *,
    value: Any = None,
    reduce: str | None = None,
) -> Any:
    """``scatter`` written into the tensor itself."""
    source = operand(value if src is None else src)
    if reduce is not None:
        return self.copy_(FUNCTIONS["_scatter_with"](self, dim, index, source, reduce, None))
    return write(indexing.scatter, (self, index, source), (ints(dim),))


@both
def scatter_add(input: Tensor, dim: int, index: Tensor, src: Tensor, *, out: Any = None) -> Any:
    """A copy with values added along a dimension where an index tensor points."""
    inputs, attrs = (input, index, src), (ints(dim),)
    return (
        call(indexing.scatter_add, inputs, attrs)
        if out is None
        else write_into(indexing.scatter_add, inputs, attrs, out)
    )


@method
def scatter_add_(self: Tensor, dim: int, index: Tensor, src: Tensor) -> Any:
    """``scatter_add`` written into the tensor itself."""
    return write(indexing.scatter_add, (self, index, src), (ints(dim),))


@both
def index_select(input: Tensor, dim: int, index: Tensor, *, out: Any = None) -> Any:
    """The slices of a dimension at these indices, copied."""
    inputs, attrs = (input, index), (ints(dim),)
    if out is None:
        return call(indexing.index_select, inputs, attrs)
    check_apart(out, inputs)
    return write_into(indexing.index_select, inputs, attrs, out)


@both
def index_add(
    input: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: Any = 1, out: Any = None
) -> Any:
    """A copy with slices added at these indices."""
    inputs, attrs = (input, index, source), (ints(dim), number(alpha))
    return (
        call(indexing.index_add, inputs, attrs)
        if out is None
        else write_into(indexing.index_add, inputs, attrs, out)
    )


@method
def index_add_(self: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: Any = 1) -> Any:
    """``index_add`` written into the tensor itself."""
    return write(indexing.index_add, (self, index, source), (ints(dim), number(alpha)))


@both
def nonzero(input: Tensor, *, out: Any = None, as_tuple: bool = False) -> Any:
    """The positions of the elements that are not zero, a row each or a tensor a dimension."""
    array = values_of(input)
    if as_tuple:
        found = np.nonzero(np.atleast_1d(array))
        return tuple([from_array(np.ascontiguousarray(i), int64) for i in found])
    if array.ndim:
        columns = from_array(np.stack(np.nonzero(array)).astype(np.int64), int64)
        n, count = columns._meta.shape
        shape = columns._meta.like(shape=(count, n), strides=(1, count))
        made = new(Tensor, columns._storage, shape)
    else:
        made = from_array(np.zeros((int(array != 0), 0), np.int64), int64)
    if out is not None:
        return out.resize_(made._meta.shape).copy_(made)
    return made


@both
def argwhere(input: Tensor) -> Any:
    """The positions of the elements that are not zero, a row each."""
    return nonzero(input)


@both
def masked_select(input: Tensor, mask: Tensor, *, out: Any = None) -> Any:
    """The elements where a mask is true, as a vector."""
    if mask._meta.dtype.name != "bool":
        raise RuntimeError("masked_select: expected BoolTensor for mask")
    x, at = FUNCTIONS["broadcast_tensors"](input, mask)
    made = x[at] if x._meta.ndim else x.reshape(1)[at.reshape(1)]
    check_apart(out, (input, mask))
    return result_or_out(made, out)


@both
def take_along_dim(
    input: Tensor, indices: Tensor, dim: int | None = None, *, out: Any = None
) -> Any:
    """``gather`` with the other dimensions broadcast; the flat tensor if no dimension is given."""
    if indices._meta.dtype is not int64:
        raise RuntimeError(
            "torch.take_along_dim(): dtype of indices should be Long but got "
            f"{indices._meta.dtype.title}"
        )
    if dim is None:
        return gather(input.reshape(-1), 0, indices.reshape(-1), out=out)
    n = input._meta.ndim
    if n != indices._meta.ndim:
        raise RuntimeError(
            "torch.take_along_dim(): input and indices should have the same number of dimensions, "
            f"but got {n} dimensions for input, and {indices._meta.ndim} dimensions for indices"
        )
    shape, other = list(input._meta.shape), list(indices._meta.shape)
    d = wrap_dim(dim, n)
    size = shape[d]
    shape[d] = other[d] = 1
    common = list(FUNCTIONS["broadcast_shapes"](shape, other))
    x = input.expand([*common[:d], size, *common[d + 1 :]])
    at = indices.expand([*common[:d], indices._meta.shape[d], *common[d + 1 :]])
    return gather(x, d, FUNCTIONS["where"](at < 0, at + size, at), out=out)
