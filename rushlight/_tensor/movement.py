"""Shapes: views, reshapes, permutations, splitting and joining."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from math import prod
from typing import Any

from rushlight._tensor.api import (
    FUNCTIONS,
    alias,
    along,
    both,
    function,
    ints,
    method,
    number,
    result_or_out,
    size_of,
)
from rushlight._tensor.formats import FORMATS
from rushlight.dispatch.gate import PLAIN, call, write_into
from rushlight.dispatch.namespace import o
from rushlight.dispatch.tensor import Tensor, point
from rushlight.dispatch.views import check_history
from rushlight.dtypes import dtype as Dtype
from rushlight.ir.meta import Size
from rushlight.ir.shapes import broadcast, wrap_dim
from rushlight.ops import create, movement
from rushlight.ops.refusals import no_overload

__all__: list[str] = []


def _one(given: tuple[Any, ...], named: dict[str, Any], function: str, name: str = "dims") -> Any:
    """An argument given as several ints, one sequence, or by its name."""
    if not named:
        return given
    if given or set(named) != {name}:
        wrong = next((k for k in named if k != name), name)
        raise TypeError(f"{function}() got an unexpected keyword argument '{wrong}'")
    return (named[name],)


@method
def view(self: Tensor, *shape: Any, dtype: Any = None, size: Any = None) -> Tensor:
    """The same memory with another shape, or read as another dtype."""
    if dtype is not None or (len(shape) == 1 and isinstance(shape[0], Dtype)):
        return _view_dtype(self, dtype or shape[0])
    return call(movement.view, (self,), (size_of(shape if size is None else (size,)),))  # type: ignore[no-any-return]


def _view_dtype(self: Tensor, dtype: Any) -> Tensor:
    return call(movement.view_dtype, (self,), (dtype,))  # type: ignore[no-any-return]


@method
def _is_view(self: Tensor) -> bool:
    """Whether the tensor shares the memory and history of another, its ``_base``."""
    return self._view is not None


@method
def view_as(self: Tensor, other: Tensor) -> Tensor:
    """The same memory with another tensor's shape."""
    return view(self, other._meta.shape)


@both
def reshape(input: Tensor, *shape: Any) -> Tensor:
    """Another shape: a view where the memory allows it, else a copy."""
    size = size_of(shape)
    if type(input) in PLAIN and input._meta.contiguous and input._meta.numel:
        return call(movement.view, (input,), (size,))  # type: ignore[no-any-return]
    return o.reshape(input, size)  # type: ignore[no-any-return]


@method
def reshape_as(self: Tensor, other: Tensor) -> Tensor:
    """``reshape`` to another tensor's shape."""
    return o.reshape(self, other._meta.shape)  # type: ignore[no-any-return]


@both
def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Dimensions ``start_dim`` to ``end_dim`` as one."""
    shape = tuple(input._meta.shape)
    n = len(shape)
    first = start_dim if 0 <= start_dim < n else wrap_dim(start_dim, n)
    last = n - 1 if end_dim == -1 and n else wrap_dim(end_dim, n)
    if first > last:
        raise RuntimeError("flatten() has invalid args: start_dim cannot come after end_dim")
    if n == 0:
        return o.reshape(input, (1,))  # type: ignore[no-any-return]
    if first == last:
        return input
    size = (*shape[:first], prod(shape[first : last + 1]), *shape[last + 1 :])
    if type(input) in PLAIN and input._meta.contiguous and input._meta.numel:
        return call(movement.view, (input,), (size,))  # type: ignore[no-any-return]
    return o.reshape(input, size)  # type: ignore[no-any-return]


@both
def ravel(input: Tensor) -> Tensor:
    """One dimension in row-major order, contiguous."""
    return o.reshape(o.contiguous(input), (-1,))  # type: ignore[no-any-return]


@both
def unflatten(input: Tensor, dim: int, sizes: Any) -> Tensor:
    """One dimension split into several."""
    shape = input._meta.shape
    d = wrap_dim(dim, len(shape))
    parts = size_of((sizes,))
    if not parts:
        raise RuntimeError("unflatten: sizes must be non-empty")
    known = Size(p for p in parts if p != -1).numel()
    if -1 in parts:
        parts = tuple(shape[d] // known if p == -1 and known else p for p in parts)
    if Size(parts).numel() != shape[d]:
        raise RuntimeError(
            f"unflatten: Provided sizes {list(size_of((sizes,)))} don't multiply up to the size of "
            f"dim {d} ({shape[d]}) in the input tensor"
        )
    return o.reshape(input, (*shape[:d], *parts, *shape[d + 1 :]))  # type: ignore[no-any-return]


@method
def expand(self: Tensor, *size: Any, implicit: bool = False) -> Tensor:
    """A view in which dimensions of size 1 are repeated without copying."""
    return call(movement.expand, (self,), (size_of(size),))  # type: ignore[no-any-return]


@method
def expand_as(self: Tensor, other: Tensor) -> Tensor:
    """``expand`` to another tensor's shape."""
    return call(movement.expand, (self,), (tuple(other._meta.shape),))  # type: ignore[no-any-return]


@both
def broadcast_to(input: Tensor, size: Any) -> Tensor:
    """``expand`` to a size."""
    return call(movement.expand, (input,), (size_of((size,)),))  # type: ignore[no-any-return]


@function
def broadcast_tensors(*tensors: Any) -> tuple[Tensor, ...]:
    """Each tensor expanded to their common shape."""
    if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)):
        tensors = tuple(tensors[0])
    shape = tuple(broadcast(*[t._meta.shape for t in tensors]))
    return tuple([call(movement.expand, (t,), (shape,)) for t in tensors])


@function
def broadcast_shapes(*shapes: Any) -> Size:
    """The common shape of several shapes under broadcasting."""
    return broadcast(*[(s,) if isinstance(s, int) else tuple(s) for s in shapes])


@both
def permute(input: Tensor, *dims: Any, **named: Any) -> Tensor:
    """A view with the dimensions in another order."""
    return call(movement.permute, (input,), (size_of(_one(dims, named, "permute"), "dims"),))  # type: ignore[no-any-return]


@both
def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """A view with two dimensions exchanged."""
    return call(movement.transpose, (input,), (ints(dim0), ints(dim1)))  # type: ignore[no-any-return]


@both
def t(input: Tensor) -> Tensor:
    """A matrix transposed; vectors and scalars as they are."""
    return call(movement.t, (input,))  # type: ignore[no-any-return]


@both
def adjoint(input: Tensor) -> Tensor:
    """The last two dimensions exchanged and conjugated."""
    return call(movement.transpose, (input,), (-2, -1)).conj()  # type: ignore[no-any-return]


def _numpy_t(self: Tensor) -> Tensor:
    n = self._meta.ndim
    return call(movement.permute, (self,), (tuple(range(n - 1, -1, -1)),))  # type: ignore[no-any-return]


def _matrix_t(self: Tensor) -> Tensor:
    if self._meta.ndim < 2:
        raise RuntimeError(
            "tensor.mT is only supported on matrices or batches of matrices. Got "
            f"{self._meta.ndim}-D tensor."
        )
    return call(movement.transpose, (self,), (-2, -1))  # type: ignore[no-any-return]


Tensor.T = property(_numpy_t, doc="The dimensions in reverse order.")
Tensor.mT = property(_matrix_t, doc="The last two dimensions exchanged.")
Tensor.H = property(
    lambda self: _matrix_t(self).conj() if self._meta.ndim else self, doc="The conjugate transpose."
)
Tensor.mH = property(
    lambda self: _matrix_t(self).conj(), doc="The conjugate transpose of matrices."
)


@both
def movedim(input: Tensor, source: Any, destination: Any) -> Tensor:
    """Dimensions moved to new places, the others in order."""
    n = input._meta.ndim
    given = [[d] if isinstance(d, int) else list(d) for d in (source, destination)]
    if len(given[0]) != len(given[1]):
        raise RuntimeError(
            f"movedim: Invalid source or destination dims: source ({given[0]} dims) should contain "
            f"the same number of dims as destination ({given[1]} dims)"
        )
    src, dst = ([wrap_dim(d, n) for d in dims] for dims in given)
    for name, dims, wrapped in (("source", given[0], src), ("destination", given[1], dst)):
        if len(set(wrapped)) != len(wrapped):
            raise RuntimeError(f"movedim: repeated dim in `{name}` ({dims})")
    if n == 0:
        return call(movement.alias, (input,))  # type: ignore[no-any-return]
    order: list[Any] = [None] * n
    for s, d in zip(src, dst, strict=True):
        order[d] = s
    rest = iter(d for d in range(n) if d not in src)
    return permute(input, [next(rest) if d is None else d for d in order])


alias("moveaxis", movedim)


@both
def squeeze(input: Tensor, dim: Any = None, *, axis: Any = None) -> Tensor:
    """A view without the dimensions of size 1 (all, or those given)."""
    dim = dim if axis is None else axis
    return call(movement.squeeze, (input,), (ints(dim),))  # type: ignore[no-any-return]


@both
def unsqueeze(input: Tensor, dim: Any = None, *, axis: int | None = None) -> Tensor:
    """A view with a new dimension of size 1."""
    if dim is None:
        dim = along("unsqueeze", axis)
    return call(movement.unsqueeze, (input,), (ints(dim),))  # type: ignore[no-any-return]


@both
def select(input: Tensor, dim: int, index: int) -> Tensor:
    """A view at one index of a dimension, which goes away."""
    return call(movement.select, (input,), (ints(dim), ints(index)))  # type: ignore[no-any-return]


@both
def narrow(input: Tensor, dim: int, start: Any, length: int) -> Tensor:
    """A view of ``length`` indices of a dimension from ``start`` on."""
    if input._meta.ndim == 0:
        raise RuntimeError("narrow() cannot be applied to a 0-dim tensor.")
    if isinstance(start, Tensor) and (start._meta.ndim or start._meta.dtype.kind not in "iu"):
        raise RuntimeError("start must be an 0-dim integral Tensor.")
    start, length = int(number(start)), int(length)
    size = input._meta.shape[wrap_dim(dim, input._meta.ndim)]
    if length < 0:
        raise RuntimeError("narrow(): length must be non-negative.")
    if not -size <= start <= size:
        raise IndexError(
            f"start out of range (expected to be in range of [{-size}, {size}], but got {start})"
        )
    if start < 0:
        start += size
    if start + length > size:
        raise RuntimeError(f"start ({start}) + length ({length}) exceeds dimension size ({size}).")
    return call(movement.slice, (input,), (dim, start, start + length, 1))  # type: ignore[no-any-return]


@both
def narrow_copy(
    input: Tensor, dim: int, start: int, length: int, *, out: Tensor | None = None
) -> Any:
    """A copy of what ``narrow`` shows."""
    if -input._meta.ndim <= dim < input._meta.ndim and length < 0:
        size = input._meta.shape[dim]
        raise RuntimeError(f"start ({start}) + length ({length}) exceeds dimension size ({size}).")
    if dim >= input._meta.ndim > 0:
        raise RuntimeError(
            "Expected dim < static_cast<int64_t>(self_sizes.size()) to be true, but got false.  "
            "(Could this error message be improved?  If so, please report an enhancement request "
            "to PyTorch.)"
        )
    return result_or_out(narrow(input, dim, start, length).clone(), out)


@both
def diagonal(input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """A view of a diagonal, as the last dimension."""
    return call(movement.diagonal, (input,), (offset, dim1, dim2))  # type: ignore[no-any-return]


@method
def unfold(self: Tensor, dimension: int, size: int, step: int) -> Tensor:
    """A view of all windows of a size along a dimension, as a new last dimension."""
    return call(movement.unfold, (self,), (dimension, size, step))  # type: ignore[no-any-return]


@both
def as_strided(input: Tensor, size: Any, stride: Any, storage_offset: int | None = None) -> Tensor:
    """A view of the storage with any size, strides and offset that stay inside it.

    Raises:
        RuntimeError: elements outside the storage.
    """
    shape, strides, start = check_strided(input, size, stride, storage_offset)
    return call(movement.as_strided, (input,), (shape, strides, start - input._offset))  # type: ignore[no-any-return]


def check_strided(
    input: Tensor, size: Any, stride: Any, storage_offset: int | None
) -> tuple[tuple[int, ...], tuple[int, ...], int]:
    """The shape, strides and first element of a view that must stay inside the storage."""
    shape, strides = size_of((size,)), size_of((stride,))
    start = input._offset if storage_offset is None else storage_offset
    item = input._meta.dtype.itemsize
    reach = 0 if 0 in shape else sum((n - 1) * s for n, s in zip(shape, strides, strict=False)) + 1
    if start < 0 or (reach and (start + reach) * item > input._storage.length):
        raise RuntimeError(
            f"setStorage: sizes {list(shape)}, strides {list(strides)}, storage offset {start}, "
            f"and itemsize {item} requiring a storage size of {(start + reach) * item} are out of "
            f"bounds for storage of size {input._storage.length}"
        )
    return shape, strides, start


# Splitting


@both
def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of all indices of a dimension."""
    return call(movement.unbind, (input,), (dim,))  # type: ignore[no-any-return]


def _pieces(m: Any, given: Any, dim: int) -> tuple[tuple[int, ...], int, bool]:
    """The sizes of the pieces, the dimension, and whether one size was given for all."""
    if m.ndim == 0:
        raise RuntimeError("split expects at least a 1-dimensional tensor")
    size = m.shape[wrap_dim(dim, m.ndim)]
    if isinstance(given, (list, tuple)):
        return size_of((given,)), dim, False
    piece = number(given)
    if piece < 0:
        raise RuntimeError(f"split expects split_size be non-negative, but got split_size={piece}")
    if piece == 0:
        if size:
            raise RuntimeError(
                f"split_size can only be 0 if dimension size is 0, but got dimension size of {size}"
            )
        return (0,), dim, True
    count = max(-(-size // piece), 1)
    return (*(piece,) * (count - 1), size - piece * (count - 1)), dim, True


@function
def split(tensor: Tensor, split_size_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of consecutive pieces: of one size (the last may be shorter) or of given sizes."""
    return call(movement.split, (tensor,), _pieces(tensor._meta, split_size_or_sections, dim))  # type: ignore[no-any-return]


def _split(self: Tensor, split_size: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of consecutive pieces: of one size (the last may be shorter) or of given sizes."""
    return call(movement.split, (self,), _pieces(self._meta, split_size, dim))  # type: ignore[no-any-return]


_split.__name__ = "split"
method(_split)


@both
def split_with_sizes(input: Tensor, split_sizes: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Views of consecutive pieces of given sizes."""
    sizes = size_of((split_sizes,))
    return call(movement.split, (input,), (sizes, dim, False))  # type: ignore[no-any-return]


@both
def chunk(
    input: Tensor, chunks: int, dim: int = 0, *, axis: int | None = None
) -> tuple[Tensor, ...]:
    """At most ``chunks`` pieces of equal size, the last shorter."""
    dim = dim if axis is None else axis
    if input._meta.ndim == 0:
        raise RuntimeError("chunk expects at least a 1-dimensional tensor")
    if chunks <= 0:
        raise RuntimeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
    size = input._meta.shape[wrap_dim(dim, input._meta.ndim)]
    piece = -(-size // chunks)
    if piece == 0 and size == 0:
        return call(movement.split, (input,), ((0,) * chunks, dim, False))  # type: ignore[no-any-return]
    return split(input, max(piece, 1), dim)


@both
def tensor_split(input: Tensor, indices_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Pieces between given indices, or a number of nearly equal pieces."""
    if input._meta.ndim == 0:
        raise RuntimeError(
            "tensor_split expected at least a 1-dimensional tensor, but got a tensor with 0 dims"
        )
    d = wrap_dim(dim, input._meta.ndim)
    size = input._meta.shape[d]
    where = indices_or_sections
    if isinstance(where, Tensor):
        where = where.tolist()
    if isinstance(where, int):
        if where <= 0:
            raise RuntimeError(f"number of sections must be larger than 0, got {where}")
        base, extra = divmod(size, where)
        bounds, at = [], 0
        for i in range(where - 1):
            at += base + (i < extra)
            bounds.append(at)
    else:
        bounds = list(size_of((where,)))
    starts = [0, *bounds]
    ends = [*bounds, size]
    return tuple(
        [call(movement.slice, (input,), (d, a, b, 1)) for a, b in zip(starts, ends, strict=True)]
    )


def _axis_split(name: str, axis_of: Any, least: int) -> None:
    def f(input: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]:
        n = input._meta.ndim
        if n < least:
            raise RuntimeError(
                f"torch.{name} requires a tensor with at least {least} dimension, but got a tensor "
                f"with {n} dimensions!"
            )
        axis = axis_of(n)
        if isinstance(indices_or_sections, (str, float)):
            forms = ("Tensor input, int sections", "Tensor input, tuple of ints indices")
            raise no_overload(name, (input, indices_or_sections), forms)
        if isinstance(indices_or_sections, int):
            size = input._meta.shape[axis]
            if indices_or_sections <= 0 or size % indices_or_sections:
                raise RuntimeError(
                    f"torch.{name} attempted to split along dimension {axis}, but the size of the "
                    f"dimension {size} is not divisible by the split_size {indices_or_sections}!"
                )
        return tensor_split(input, indices_or_sections, axis)

    f.__name__ = f.__qualname__ = name
    f.__doc__ = f"``tensor_split`` along the axis of NumPy's {name}."
    both(f)


_axis_split("hsplit", lambda n: 0 if n == 1 else 1, 1)
_axis_split("vsplit", lambda n: 0, 2)
_axis_split("dsplit", lambda n: 2, 3)

# Joining


@function
def cat(tensors: Any, dim: int = 0, *, out: Tensor | None = None, axis: int | None = None) -> Any:
    """Tensors joined along an existing dimension (``axis`` is NumPy's name for it)."""
    dim = dim if axis is None else axis
    if isinstance(tensors, Tensor):
        raise TypeError(
            "cat(): argument 'tensors' (position 1) must be tuple of Tensors, not Tensor"
        )
    many = tuple(tensors)
    for i, t in enumerate(many):
        if not isinstance(t, Tensor) and not hasattr(t.__class__, "__torch_function__"):
            raise TypeError(
                f"expected Tensor as element {i} in argument 0, but got {t.__class__.__name__}"
            )
    return (
        call(create.cat, many, (dim,)) if out is None else write_into(create.cat, many, (dim,), out)
    )


create.cat.public = cat
for _name in ("concat", "concatenate"):
    FUNCTIONS[_name] = cat


@function
def stack(tensors: Any, dim: int = 0, *, out: Tensor | None = None, axis: int | None = None) -> Any:
    """Tensors of equal size joined along a new dimension (``axis`` is NumPy's name for it)."""
    dim = dim if axis is None else axis
    many = tuple(tensors)
    return (
        call(create.stack, many, (dim,))
        if out is None
        else write_into(create.stack, many, (dim,), out)
    )


create.stack.public = stack


def _stacker(name: str, at_least: str, axis_of: Any) -> None:
    def f(tensors: Any, *, out: Tensor | None = None) -> Any:
        many = FUNCTIONS[at_least](*tensors) if at_least else tuple(tensors)
        many = many if isinstance(many, tuple) else (many,)
        if not many:
            raise RuntimeError(f"{name} expects a non-empty TensorList")
        return cat(many, axis_of(many[0]._meta.ndim), out=out)

    f.__name__ = f.__qualname__ = name
    f.__doc__ = f"Tensors joined as NumPy's {name} joins them."
    function(f)


def _at_least(n: int) -> None:
    def grow(t: Tensor) -> Tensor:
        have = t._meta.ndim
        if have >= n:
            return t
        if n == 1:
            return o.reshape(t, (1,))  # type: ignore[no-any-return]
        if n == 2:
            return o.reshape(t, (1, 1)) if have == 0 else unsqueeze(t, 0)
        if have == 0:
            return o.reshape(t, (1, 1, 1))  # type: ignore[no-any-return]
        return unsqueeze(unsqueeze(t, 0), -1) if have == 1 else unsqueeze(t, -1)

    def f(*tensors: Any) -> Any:
        if len(tensors) == 1:
            if isinstance(tensors[0], Tensor):
                return grow(tensors[0])
            tensors = tuple(tensors[0])
        return tuple([grow(t) for t in tensors])

    f.__name__ = f.__qualname__ = f"atleast_{n}d"
    f.__doc__ = f"Views with at least {n} dimensions."
    function(f)


for _n in (1, 2, 3):
    _at_least(_n)
_stacker("hstack", "atleast_1d", lambda n: 0 if n == 1 else 1)
_stacker("vstack", "atleast_2d", lambda n: 0)
_stacker("dstack", "atleast_3d", lambda n: 2)
FUNCTIONS["row_stack"] = FUNCTIONS["vstack"]


@function
def column_stack(tensors: Any, *, out: Tensor | None = None) -> Any:
    """Vectors as columns, matrices side by side."""
    columns = [t if t._meta.ndim > 1 else o.reshape(t, (t._meta.numel, 1)) for t in tensors]
    return FUNCTIONS["hstack"](columns, out=out)


# Repeating and reordering


@method
def repeat(self: Tensor, *repeats: Any) -> Tensor:
    """The tensor repeated so many times along each dimension, copied."""
    times = size_of(repeats, "repeats")
    m = self._meta
    if len(times) < m.ndim:
        raise RuntimeError(
            "Number of dimensions of repeat dims can not be smaller than number of dimensions of "
            "tensor"
        )
    return call(create.repeat, (self,), (times,))  # type: ignore[no-any-return]


@both
def tile(input: Tensor, *dims: Any) -> Tensor:
    """``repeat`` with the sizes aligned at the last dimension."""
    times = size_of(dims, "dims")
    return repeat(input, (1,) * (input._meta.ndim - len(times)) + times)


@both
def flip(input: Tensor, *dims: Any, **named: Any) -> Tensor:
    """A copy with the order along these dimensions reversed."""
    return call(create.flip, (input,), (size_of(_one(dims, named, "flip"), "dims"),))  # type: ignore[no-any-return]


@both
def fliplr(input: Tensor) -> Tensor:
    """A copy with the columns reversed."""
    if input._meta.ndim < 2:
        raise RuntimeError("Input must be >= 2-d.")
    return flip(input, (1,))


@both
def flipud(input: Tensor) -> Tensor:
    """A copy with the rows reversed."""
    if input._meta.ndim < 1:
        raise RuntimeError("Input must be >= 1-d.")
    return flip(input, (0,))


@both
def roll(input: Tensor, shifts: Any, dims: Any = None) -> Tensor:
    """A copy with elements moved along dimensions, those at the end coming in at the front."""
    moves = size_of((shifts,) if not isinstance(shifts, int) else ((shifts,),))
    if not moves:
        raise RuntimeError("`shifts` required")
    if dims is None or dims == ():
        if len(moves) != 1:
            raise RuntimeError(f"shifts and dimensions must align. shifts: {len(moves)}, dims:0")
        return o.reshape(call(create.roll, (ravel(input),), (moves, (0,))), input._meta.shape)  # type: ignore[no-any-return]
    axes = size_of((dims,) if not isinstance(dims, int) else ((dims,),))
    if len(moves) != len(axes):
        raise RuntimeError(
            f"shifts and dimensions must align. shifts: {len(moves)}, dims:{len(axes)}"
        )
    if input._meta.ndim == 0:
        raise IndexError(f"Dimension specified as {axes[0]} but tensor has no dimensions")
    return call(create.roll, (input,), (moves, axes))  # type: ignore[no-any-return]


@both
def rot90(input: Tensor, k: int = 1, dims: Sequence[int] = (0, 1)) -> Tensor:
    """A copy turned by ``k`` quarter turns in the plane of two dimensions."""
    if len(dims) != 2:
        raise RuntimeError(f"expected total rotation dims == 2, but got dims = {len(dims)}")
    if input._meta.ndim < 2:
        raise RuntimeError(f"expected total dims >= 2, but got total dims = {input._meta.ndim}")
    a, b = (wrap_dim(d, input._meta.ndim) for d in dims)
    if a == b:
        raise RuntimeError(
            f"expected rotation dims to be different, but got dim0 = {dims[0]} and dim1 = {dims[1]}"
        )
    k %= 4
    if k == 1:
        return flip(input, (b,)).transpose_(a, b)  # type: ignore[no-any-return]
    if k == 2:
        return flip(input, (a, b))
    if k == 3:
        return flip(input, (a,)).transpose_(a, b)  # type: ignore[no-any-return]
    return input.clone(memory_format=FORMATS["contiguous_format"])  # type: ignore[no-any-return]


@function
def meshgrid(*tensors: Any, indexing: str | None = None) -> tuple[Tensor, ...]:
    """Coordinate grids of 1-d tensors; ``indexing`` is ``"ij"`` or ``"xy"``."""
    if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)):
        tensors = tuple(tensors[0])
    if indexing is None:
        import warnings

        warnings.warn(
            "torch.meshgrid: in an upcoming release, it will be required to pass the indexing "
            "argument.",
            UserWarning,
            stacklevel=2,
        )
        indexing = "ij"
    if indexing not in ("ij", "xy"):
        raise RuntimeError(
            f'torch.meshgrid: indexing must be one of "xy" or "ij", but received: {indexing}'
        )
    if any(t._meta.dtype is not tensors[0]._meta.dtype for t in tensors):
        raise RuntimeError("meshgrid expects all tensors to have the same dtype")
    swap = indexing == "xy" and len(tensors) >= 2
    order = [tensors[1], tensors[0], *tensors[2:]] if swap else list(tensors)
    sizes = [t._meta.numel for t in order]
    grids = [
        o.reshape(t, [-1 if i == j else 1 for j in range(len(order))]).expand(sizes)
        for i, t in enumerate(order)
    ]
    if swap:
        grids[0], grids[1] = grids[1], grids[0]
    return tuple(grids)


@function
def view_as_real(input: Tensor) -> Tensor:
    """Complex numbers as pairs of real ones, a view."""
    return call(movement.view_as_real, (input,))  # type: ignore[no-any-return]


@function
def view_as_complex(input: Tensor) -> Tensor:
    """Pairs of real numbers as complex ones, a view."""
    return call(movement.view_as_complex, (input,))  # type: ignore[no-any-return]


@method
def swapdims(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """``transpose``."""
    return transpose(input, dim0, dim1)


FUNCTIONS["swapdims"] = swapdims


@method
def swapaxes(input: Tensor, axis0: int, axis1: int) -> Tensor:
    """``transpose``, under NumPy's name."""
    return transpose(input, axis0, axis1)


FUNCTIONS["swapaxes"] = swapaxes
_INPLACE_VIEWS = ("squeeze", "unsqueeze", "transpose", "t", "swapaxes", "swapdims", "as_strided")


def _reshape_in_place(name: str) -> None:
    out_of_place = getattr(Tensor, name)

    @functools.wraps(out_of_place)
    def f(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        check_history(self)
        made = out_of_place(self, *args, **kwargs)
        if self._value is not None:  # inside vmap
            self._value, self._meta = made._value, made._meta
        else:
            point(self, made._storage, made._meta, made._offset)
        if made._node is not None:
            self._node, self._out_nr = made._node, made._out_nr
        if self._view is not None:
            self._view = made._view
        self._counter.value += 1
        if self._view is not None:
            self._view.seen = self._counter.value
        return self

    f.__name__ = f.__qualname__ = name + "_"
    f.__doc__ = f"``{name}`` applied to the tensor itself."
    method(f)


for _name in _INPLACE_VIEWS:
    _reshape_in_place(_name)
FUNCTIONS["as_strided_"] = Tensor.as_strided_


@function
def constant_pad_nd(input: Tensor, pad: Any, value: Any = 0) -> Tensor:
    """The tensor with a border of one value: (before, after) pairs from the last dimension on."""
    widths = size_of((pad,))
    if len(widths) % 2:
        raise RuntimeError(f"Length of pad must be even but instead it equals {len(widths)}")
    n = input._meta.ndim
    if len(widths) > 2 * n:
        raise RuntimeError(
            "Length of pad should be no more than twice the number of dimensions of the input. "
            f"Pad length is {len(widths)} while the input has {n} dimensions."
        )
    return o.constant_pad(input, widths, number(value))  # type: ignore[no-any-return]
