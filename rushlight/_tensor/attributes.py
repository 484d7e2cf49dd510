"""What a tensor tells about itself, conversions, copies, and the gradient side of a tensor."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rushlight import dtypes
from rushlight._tensor.api import (
    FUNCTIONS,
    both,
    device_of,
    dtype_of,
    fitting,
    function,
    method,
    size_of,
    tensor_property,
)
from rushlight._tensor.formats import STRIDED
from rushlight.devices import device as Device
from rushlight.dispatch import gate
from rushlight.dispatch.doors import exported, look
from rushlight.dispatch.gate import call, write
from rushlight.dispatch.tensor import Tensor, point
from rushlight.dispatch.views import check_write
from rushlight.dtypes import dtype as Dtype
from rushlight.ir.meta import Size, meta
from rushlight.ir.shapes import wrap_dim
from rushlight.ops import arithmetic, movement
from rushlight.ops import unary as unary_ops

__all__: list[str] = []


tensor_property("shape", lambda self: self._meta.shape, doc="The sizes of the dimensions.")
tensor_property("dtype", lambda self: self._meta.dtype, doc="The type of the elements.")
tensor_property("device", lambda self: self._meta.device, doc="Where the tensor lies.")
tensor_property("ndim", lambda self: self._meta.ndim, doc="The number of dimensions.")
tensor_property("itemsize", lambda self: self._meta.dtype.itemsize, doc="Bytes of one element.")
tensor_property(
    "nbytes",
    lambda self: self._meta.numel * self._meta.dtype.itemsize,
    doc="Bytes of all elements.",
)
tensor_property("layout", lambda self: STRIDED, doc="Always ``torch.strided``.")
tensor_property("is_cpu", lambda self: self._meta.device.type == "cpu")
tensor_property("is_cuda", lambda self: self._meta.device.type == "cuda")
tensor_property("is_mps", lambda self: self._meta.device.type == "mps")
tensor_property("is_meta", lambda self: self._meta.device.type == "meta")
tensor_property("is_sparse", lambda self: False)
tensor_property("is_quantized", lambda self: False)
tensor_property("is_nested", lambda self: False)
tensor_property("_base", lambda self: self._view.base if self._view is not None else None)


@method
def size(self: Tensor, dim: int | None = None) -> Any:
    """The shape, or the size of one dimension."""
    shape = self._meta.shape
    if dim is None:
        return shape
    if -len(shape) <= dim < len(shape):
        return shape[dim]
    return shape[wrap_dim(dim, len(shape), False)]


@method
def stride(self: Tensor, dim: int | None = None) -> Any:
    """How many elements lie between neighbours, for each dimension or for one."""
    if dim is None:
        return self._meta.strides
    from rushlight.ir.shapes import wrap_dim

    return self._meta.strides[wrap_dim(dim, self._meta.ndim, False)]


@method
def storage_offset(self: Tensor) -> int:
    """Where in its storage the tensor starts, in elements."""
    return self._offset


@method
def dim(self: Tensor) -> int:
    """The number of dimensions."""
    return self._meta.ndim


Tensor.ndimension = dim


@both
def numel(input: Tensor) -> int:
    """The number of elements."""
    return input._meta.numel


Tensor.nelement = numel


@method
def element_size(self: Tensor) -> int:
    """Bytes of one element."""
    return self._meta.dtype.itemsize


@method
def data_ptr(self: Tensor) -> int:
    """The address of the first element."""
    if self._meta.numel == 0:
        return 0
    start: int = untyped_storage(self).data_ptr()
    return start + self._offset * self._meta.dtype.itemsize


@method
def untyped_storage(self: Tensor) -> Any:
    """The storage that the tensor is a view of."""
    look(self)
    self._storage.exported += 1  # for good: who has it may read and write unseen
    exported(self)
    return self._storage


@method
def is_contiguous(self: Tensor, memory_format: Any = None) -> bool:
    """Whether the elements lie in memory in row-major order, or in that of a format."""
    m = self._meta
    if memory_format is None or memory_format.name == "contiguous_format":
        return m.contiguous
    want = memory_format.strides(m.shape) if m.ndim in (4, 5) else None
    return want is not None and all(
        a == b or n == 1 for n, a, b in zip(m.shape, m.strides, want, strict=True)
    )


@both
def is_floating_point(input: Tensor) -> bool:
    """Whether the dtype is a float."""
    return input._meta.dtype.is_floating_point


@both
def is_complex(input: Tensor) -> bool:
    """Whether the dtype is complex."""
    return input._meta.dtype.is_complex


@both
def is_signed(input: Tensor) -> bool:
    """Whether the dtype has negative values."""
    return input._meta.dtype.is_signed


@both
def is_conj(input: Tensor) -> bool:
    """Whether the tensor is a lazily conjugated view."""
    return input._meta.conj


@both
def is_neg(input: Tensor) -> bool:
    """Whether the tensor is a lazily negated view."""
    return input._meta.neg


@both
def is_inference(input: Tensor) -> bool:
    """Whether the tensor was made in inference mode."""
    return input._inference


@both
def is_nonzero(input: Tensor) -> bool:
    """Whether a one-element tensor is not zero."""
    return bool(input)


@function
def is_tensor(obj: Any) -> bool:
    """Whether an object is a tensor."""
    return isinstance(obj, Tensor)


@function
def is_storage(obj: Any) -> bool:
    """Whether an object is a storage."""
    from rushlight.runtime.storage import Storage

    return isinstance(obj, Storage)


def _need_one(self: Tensor, what: str) -> Any:
    n = self._meta.numel
    if n != 1:
        if what == "bool":
            if n == 0:
                raise RuntimeError("Boolean value of Tensor with no values is ambiguous")
            raise RuntimeError("Boolean value of Tensor with more than one value is ambiguous")
        raise RuntimeError(f"a Tensor with {n} elements cannot be converted to Scalar")
    return self.item()


def _real_number(self: Tensor, kind: str) -> Any:
    if self._meta.numel != 1:
        raise ValueError("only one element tensors can be converted to Python scalars")
    if self._meta.dtype.is_complex:
        raise RuntimeError(f"value cannot be converted to type {kind} without overflow")
    return self.item()


def _index(self: Tensor) -> int:
    if self._meta.dtype.is_integral and self._meta.numel == 1:
        return int(self.item())
    raise TypeError("only integer tensors of a single element can be converted to an index")


def _format(self: Tensor, spec: str) -> str:
    if self._meta.ndim == 0 and not self._overrides and self._meta.device.type != "meta":
        return format(self.item(), spec)
    return object.__format__(self, spec)


def _length(self: Tensor) -> int:
    if self._meta.ndim == 0:
        raise TypeError("len() of a 0-d tensor")
    return int(self._meta.shape[0])


def _iterate(self: Tensor) -> Iterator[Any]:
    if self._meta.ndim == 0:
        raise TypeError("iteration over a 0-d tensor")
    return iter(self.unbind(0))


def _reversed(self: Tensor) -> Tensor:
    return self.flip(0) if self._meta.ndim else self  # type: ignore[no-any-return]


def _contains(self: Tensor, element: Any) -> bool:
    if isinstance(element, (Tensor, int, float, complex, bool)):
        return bool((self == element).any())
    raise RuntimeError(
        "Tensor.__contains__ only supports Tensor or scalar, but you passed in a "
        f"{element.__class__}."
    )


for _name, _f in {
    "__bool__": lambda self: bool(_need_one(self, "bool")),
    "__int__": lambda self: int(_real_number(self, "int64_t")),
    "__float__": lambda self: float(_real_number(self, "double")),
    "__complex__": lambda self: complex(_need_one(self, "complex")),
    "__index__": _index,
    "__format__": _format,
    "__len__": _length,
    "__iter__": _iterate,
    "__contains__": _contains,
    "__reversed__": _reversed,
}.items():
    setattr(Tensor, _name, _f)

# Conversions

_TYPE_NAMES = {
    "float32": "FloatTensor",
    "float64": "DoubleTensor",
    "float16": "HalfTensor",
    "bfloat16": "BFloat16Tensor",
    "uint8": "ByteTensor",
    "int8": "CharTensor",
    "int16": "ShortTensor",
    "int32": "IntTensor",
    "int64": "LongTensor",
    "bool": "BoolTensor",
    "complex32": "ComplexHalfTensor",
    "complex64": "ComplexFloatTensor",
    "complex128": "ComplexDoubleTensor",
}


def _convert(self: Tensor, device: Any, dtype: Any, copy: bool, memory_format: Any) -> Any:
    m = self._meta
    where = m.device if device is None else device_of(device)
    kind = m.dtype if dtype is None else dtype_of(dtype)
    kept = memory_format is None or memory_format.name == "preserve_format"
    if (
        where is m.device
        and kind is m.dtype
        and not copy
        and (kept or self.is_contiguous(memory_format=memory_format))
    ):
        return self
    if where is not m.device:
        if m.device.type == "meta":
            raise NotImplementedError("Cannot copy out of meta tensor; no data!")
        return FUNCTIONS["empty_like"](self, dtype=kind, device=where, memory_format=memory_format)
    if not kept:
        self = call(unary_ops.clone_strided, (self,), (memory_format.strides(m.shape),))
        copy = False
    if kind is not m.dtype:
        return call(arithmetic.cast, (self,), (kind,))
    return call(unary_ops.clone, (self,)) if copy else self


@method
def to(self: Tensor, *args: Any, **kwargs: Any) -> Any:
    """The tensor with another dtype, on another device, or like another tensor.

    ``to(dtype)``, ``to(device, dtype)``, ``to(other)``; with ``non_blocking``, ``copy`` and
    ``memory_format``.  Returns the tensor itself if nothing changes and ``copy`` is false.
    """
    device, dtype = kwargs.pop("device", None), kwargs.pop("dtype", None)
    other = kwargs.pop("other", None)
    copy = kwargs.pop("copy", False)
    kwargs.pop("non_blocking", False)
    memory_format = kwargs.pop("memory_format", None)
    if kwargs:
        raise TypeError(f"to() got an unexpected keyword argument '{next(iter(kwargs))}'")
    flags = []
    for a in args:
        if isinstance(a, Dtype) or a in (float, int, bool):
            if isinstance(a, bool):
                flags.append(a)
            else:
                dtype = a
        elif isinstance(a, (Device, str)) or (isinstance(a, int) and not isinstance(a, bool)):
            device = a
        elif isinstance(a, Tensor):
            other = a
        elif isinstance(a, bool):
            flags.append(a)
        elif a is not None:
            raise TypeError(
                f"to() received an invalid combination of arguments - got ({a.__class__.__name__})"
            )
    if len(flags) > 1:
        copy = flags[1]
    if dtype is not None and not isinstance(dtype, Dtype) and dtype not in (float, int, bool):
        raise TypeError(
            "to() received an invalid combination of arguments - got "
            f"(dtype={dtype.__class__.__name__}, ), but expected one of:\n"
            " * (torch.device device = None, torch.dtype dtype = None, bool non_blocking = False, "
            "bool copy = False, *, torch.memory_format memory_format = None)\n"
            " * (torch.dtype dtype, bool non_blocking = False, bool copy = False, *, "
            "torch.memory_format memory_format = None)\n"
            " * (Tensor tensor, bool non_blocking = False, bool copy = False, *, "
            "torch.memory_format memory_format = None)\n"
        )
    if other is not None:
        device, dtype = other._meta.device, other._meta.dtype
    return _convert(self, device, dtype, copy, memory_format)


def _caster(name: str, dtype: Dtype) -> None:
    def f(self: Tensor, memory_format: Any = None) -> Any:
        return _convert(self, None, dtype, False, memory_format)

    f.__name__ = f.__qualname__ = name
    f.__doc__ = f"The tensor as {dtype!r}; itself if it is."
    method(f)


for _name, _dtype in {
    "float": dtypes.float32,
    "double": dtypes.float64,
    "half": dtypes.float16,
    "bfloat16": dtypes.bfloat16,
    "int": dtypes.int32,
    "long": dtypes.int64,
    "short": dtypes.int16,
    "char": dtypes.int8,
    "byte": dtypes.uint8,
    "bool": dtypes.bool_,
    "chalf": dtypes.complex32,
    "cfloat": dtypes.complex64,
    "cdouble": dtypes.complex128,
}.items():
    _caster(_name, _dtype)


@method
def cpu(self: Tensor, memory_format: Any = None) -> Any:
    """The tensor on the CPU."""
    return _convert(self, "cpu", None, False, memory_format)


@method
def cuda(
    self: Tensor, device: Any = None, non_blocking: bool = False, memory_format: Any = None
) -> Any:
    """The tensor on a CUDA device."""
    return _convert(self, "cuda" if device is None else device, None, False, memory_format)


@method
def type(self: Tensor, dtype: Any = None, non_blocking: bool = False) -> Any:
    """The name of the tensor's type, or the tensor converted to a type or dtype."""
    if dtype is None:
        where = "" if self._meta.device.type == "cpu" else self._meta.device.type + "."
        return f"torch.{where}{_TYPE_NAMES.get(self._meta.dtype.name, self._meta.dtype.name)}"
    if isinstance(dtype, str):
        names = {f"torch.{v}": k for k, v in _TYPE_NAMES.items()}
        if dtype not in names:
            raise ValueError(f"invalid type: '{dtype}'")
        dtype = dtypes.by_name(names[dtype])
    dtype = getattr(dtype, "_tensor_dtype", dtype)
    return _convert(self, None, dtype, False, None)


@method
def type_as(self: Tensor, other: Tensor) -> Any:
    """The tensor with another's dtype and device."""
    return _convert(self, other._meta.device, other._meta.dtype, False, None)


@both
def clone(input: Tensor, *, memory_format: Any = None) -> Any:
    """A copy with memory of its own; gradients flow through it."""
    if memory_format is None or memory_format.name == "preserve_format":
        return call(unary_ops.clone, (input,))
    return call(unary_ops.clone_strided, (input,), (memory_format.strides(input._meta.shape),))


unary_ops.clone.public = clone


@method
def contiguous(self: Tensor, memory_format: Any = None) -> Any:
    """The tensor in row-major order (or a format's); itself if it is."""
    if is_contiguous(self, memory_format):
        return self
    strides = None if memory_format is None else memory_format.strides(self._meta.shape)
    return call(unary_ops.clone_strided, (self,), (strides,))


@method
def copy_(self: Tensor, src: Any, non_blocking: bool = False) -> Tensor:
    """Overwrites the tensor with another's values, broadcast and converted."""
    if not isinstance(src, Tensor):
        src = FUNCTIONS["tensor"](src)
    return write(arithmetic.copy, (self, src))


@method
def fill_(self: Tensor, value: Any) -> Tensor:
    """Overwrites every element with one value."""
    if isinstance(value, Tensor):
        if value._meta.ndim:
            raise RuntimeError(
                "fill_ only supports 0-dimension value tensor but got tensor with "
                f"{value._meta.ndim} dimensions."
            )
        check_write(self, False, arithmetic.copy)  # as strict as copy_, unlike a number
    return write(arithmetic.fill, (self, fitting(value, self)), (False,))


@both
def zero_(input: Tensor) -> Tensor:
    """Overwrites every element with 0."""
    return write(arithmetic.zero, (input,))


@method
def set_(
    self: Tensor, source: Any = None, storage_offset: int = 0, size: Any = None, stride: Any = None
) -> Tensor:
    """Makes the tensor a view of another tensor's or storage's memory."""
    from rushlight.runtime.storage import Storage

    if source is None:
        source = FUNCTIONS["empty"](0, dtype=self._meta.dtype)
    if isinstance(source, Tensor):
        self.data = source
        if size is not None:
            m = source._meta
            strides = tuple(stride) if stride is not None else None
            point(
                self, source._storage, meta(Size(size), m.dtype, strides, m.device), storage_offset
            )
    elif isinstance(source, Storage):
        kind = self._meta.dtype
        shape = Size(size if size is not None else (source.length // kind.itemsize,))
        strides = tuple(stride) if stride is not None else None
        point(self, source, meta(shape, kind, strides, source.device), storage_offset)
    else:
        raise TypeError(
            f"set_(): argument 'source' must be Tensor or Storage, not {source.__class__.__name__}"
        )
    self._counter.value += 1
    return self


@method
def resize_(self: Tensor, *size: Any, memory_format: Any = None) -> Tensor:
    """Gives the tensor another size in place; new elements are uninitialised."""
    shape = Size(size_of(size))
    if self._requires_grad:
        raise RuntimeError("cannot resize variables that require grad")
    strides = memory_format.strides(shape) if memory_format is not None else None
    gate.set_geometry(self, meta(shape, self._meta.dtype, strides, self._meta.device))
    return self


@method
def resize_as_(self: Tensor, the_template: Tensor, *, memory_format: Any = None) -> Tensor:
    """Gives the tensor another one's size in place."""
    return resize_(self, the_template._meta.shape, memory_format=memory_format)


# Complex views


@both
def conj(input: Tensor) -> Tensor:
    """The complex conjugate, as a view; real tensors return themselves."""
    return call(movement.conj_view, (input,)) if input._meta.dtype.is_complex else input  # type: ignore[no-any-return]


@both
def resolve_conj(input: Tensor) -> Tensor:
    """The tensor with its conjugation carried out; itself if it has none."""
    return clone(input) if input._meta.conj else input  # type: ignore[no-any-return]


@both
def resolve_neg(input: Tensor) -> Tensor:
    """The tensor with its negation carried out; itself if it has none."""
    return clone(input) if input._meta.neg else input  # type: ignore[no-any-return]


@method
def _neg_view(self: Tensor) -> Tensor:
    return call(movement.neg_view, (self,))  # type: ignore[no-any-return]


@function
def real(input: Tensor) -> Tensor:
    """The real part, as a view; real tensors return themselves."""
    return call(movement.real_part, (input,)) if input._meta.dtype.is_complex else input  # type: ignore[no-any-return]


@function
def imag(input: Tensor) -> Tensor:
    """The imaginary part, as a view."""
    return call(movement.imag_part, (input,))  # type: ignore[no-any-return]


tensor_property("real", real, lambda self, value: real(self).copy_(operand_tensor(value)))
tensor_property("imag", imag, lambda self, value: imag(self).copy_(operand_tensor(value)))


def operand_tensor(value: Any) -> Any:
    """A tensor for something assigned."""
    return value if isinstance(value, Tensor) else FUNCTIONS["tensor"](value)


@method
def share_memory_(self: Tensor) -> Tensor:
    """Marks the storage as shared with the worker processes that inherit it."""
    self._storage.shared = True
    return self


@method
def is_shared(self: Tensor) -> bool:
    """Whether ``share_memory_`` was called on the storage."""
    return self._storage.shared


@method
def pin_memory(self: Tensor, device: Any = None) -> Tensor:
    """The tensor in page-locked memory; without an accelerator that is the tensor itself."""
    return self


@method
def is_pinned(self: Tensor, device: Any = None) -> bool:
    """Whether the memory is page-locked."""
    return False


@method
def is_set_to(self: Tensor, tensor: Tensor) -> bool:
    """Whether both tensors are the same view of the same storage."""
    return (
        self._storage is tensor._storage
        and self._offset == tensor._offset
        and self._meta is tensor._meta
    )


@method
def get_device(self: Tensor) -> int:
    """The index of the device; -1 on the CPU."""
    index = self._meta.device.index
    return -1 if self._meta.device.type in ("cpu", "meta") else index or 0
