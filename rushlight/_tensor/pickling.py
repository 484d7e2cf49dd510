"""How tensors and storages are pickled and deep-copied.

In: a tensor. Out: for pickle, PyTorch's own form: a rebuild function and a typed storage, which
``torch.save`` replaces by a record of its archive and plain pickle stores in place. Storages that
tensors share stay shared, in pickles and in deep copies.
"""

from __future__ import annotations

import copy
import copyreg
import warnings
from collections import OrderedDict
from typing import Any

import numpy as np

from rushlight._tensor.storage_access import from_storage
from rushlight.devices import CPU, META
from rushlight.dispatch.doors import look
from rushlight.dispatch.tensor import Tensor, new
from rushlight.dtypes import dtype
from rushlight.errors import FileFormatError
from rushlight.ir.meta import Meta
from rushlight.runtime import host_memory
from rushlight.runtime.storage import Storage

__all__ = ["TypedStorage", "attach", "get_state", "set_state"]

# No typed storages exist for these dtypes: their pickles name the dtype beside raw bytes.
_UNTYPED = ("uint16", "uint32", "uint64", "complex32")


class TypedStorage:
    """A storage with the dtype under which a tensor sees it.

    Attributes:
        storage: the memory.
        dtype: the elements' type.
    """

    __slots__ = ("dtype", "storage")

    def __init__(self, storage: Storage, dtype: dtype | None) -> None:
        self.storage = storage
        self.dtype = dtype  # None: raw bytes, the tensor names its dtype itself

    @property
    def device(self) -> Any:
        """Where the memory lies."""
        return self.storage.device

    def untyped(self) -> Storage:
        """The storage without its dtype."""
        return self.storage

    def nbytes(self) -> int:
        """The size in bytes."""
        return self.storage.length

    def size(self) -> int:
        """The size in elements."""
        return self.storage.length // (self.dtype.itemsize if self.dtype else 1)

    __len__ = size

    def data_ptr(self) -> int:
        """The address of the first byte."""
        return self.storage.data_ptr()

    def element_size(self) -> int:
        """Bytes of one element."""
        return self.dtype.itemsize if self.dtype else 1

    def _elements(self) -> Any:
        raw = np.asarray(host_memory.writable(self.storage))
        return raw.view(self.dtype.numpy) if self.dtype else raw

    def __getitem__(self, index: int) -> Any:
        if isinstance(index, slice):
            raise RuntimeError("slices are only supported in UntypedStorage.__getitem__")
        return self._elements()[index].item()

    def __setitem__(self, index: Any, value: Any) -> None:
        self._elements()[index] = value

    def tolist(self) -> list[Any]:
        """All elements as Python numbers."""
        return list(self._elements().tolist())

    def __iter__(self) -> Any:
        return iter(self.tolist())

    def fill_(self, value: Any) -> TypedStorage:
        """Overwrites all elements with one value."""
        self._elements()[...] = value
        return self

    def copy_(self, source: TypedStorage, non_blocking: bool | None = None) -> TypedStorage:
        """Overwrites the elements with another storage's."""
        self._elements()[...] = source._elements()
        return self

    def clone(self) -> TypedStorage:
        """A copy with memory of its own."""
        return TypedStorage(self.storage.clone(), self.dtype)

    def __repr__(self) -> str:
        values = "\n ".join(str(x) for x in self.tolist()) if self.device is CPU else "..."
        return (
            f" {values}\n[torch.storage.TypedStorage(dtype={self.dtype}, device={self.device}) "
            f"of size {self.size()}]"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return TypedStorage, (self.storage, self.dtype)


def _load_storage(data: bytes) -> Storage:
    return host_memory.exact(data)


def _meta_storage(nbytes: int) -> Storage:
    return Storage(nbytes, META)


def _reduce_storage(storage: Storage) -> tuple[Any, ...]:
    if storage.device is META:
        return _meta_storage, (storage.length,)
    return _load_storage, (host_memory.readable(storage).tobytes(),)


copyreg.pickle(Storage, _reduce_storage)


# Rebuild functions: the names and arguments that pickles carry.


def _rebuild_tensor(
    storage: TypedStorage, storage_offset: int, size: Any, stride: Any, *bits: Any
) -> Any:
    assert storage.dtype is not None
    return from_storage(storage.storage, storage.dtype, size, stride, storage_offset)


def _rebuild_tensor_v2(
    storage: TypedStorage,
    storage_offset: int,
    size: Any,
    stride: Any,
    requires_grad: bool,
    backward_hooks: Any,
    metadata: Any = None,
) -> Any:
    kind = storage.dtype
    assert kind is not None
    return _rebuild_tensor_v3(
        storage, storage_offset, size, stride, requires_grad, backward_hooks, kind, metadata
    )


def _rebuild_tensor_v3(
    storage: TypedStorage,
    storage_offset: int,
    size: Any,
    stride: Any,
    requires_grad: bool,
    backward_hooks: Any,
    dtype: dtype,
    metadata: Any = None,
) -> Any:
    bits = {name: bool((metadata or {}).get(name)) for name in ("conj", "neg")}
    tensor = from_storage(storage.storage, dtype, size, stride, storage_offset, **bits)
    return _with_grad(tensor, requires_grad)


def _rebuild_meta_tensor_no_storage(
    dtype: dtype, size: Any, stride: Any, requires_grad: bool
) -> Any:
    extent = sum((n - 1) * s for n, s in zip(size, stride, strict=True)) + 1 if 0 not in size else 0
    storage = Storage(extent * dtype.itemsize, META)
    return _with_grad(from_storage(storage, dtype, size, stride), requires_grad)


def _rebuild_from_type_v2(func: Any, new_type: type, args: tuple[Any, ...], state: Any) -> Any:
    tensor = func(*args)
    if type(tensor) is not new_type:
        grad = tensor._requires_grad
        tensor = _bare(new_type, tensor._storage, tensor._meta, tensor._offset)
        tensor._requires_grad = grad
    # A subclass may have a __setstate__ of its own.
    own = getattr(new_type, "__setstate__", None)
    if own is not None and own is not getattr(Tensor, "__setstate__", None):
        tensor.__setstate__(state)
    else:
        set_state(tensor, state)
    return tensor


def _bare(cls: type, storage: Storage, view: Meta, offset: int) -> Any:
    """A tensor of a subclass, whose own ``__new__`` is not asked."""
    tensor = new(Tensor, storage, view, offset)
    if cls is Tensor:
        return tensor
    made: Any = object.__new__(cls)
    vars(made).update(vars(tensor))
    return made


def _with_grad(tensor: Any, requires_grad: Any) -> Any:
    if requires_grad:
        kind = tensor._meta.dtype
        if not (kind.is_floating_point or kind.is_complex):
            raise RuntimeError("only Tensors of floating point dtype can require gradients")
        tensor._requires_grad = True
    return tensor


# What a tensor carries besides its values.


# The tensor core's own fields: those that the class declares or has a plain default for.
_CORE = frozenset(Tensor.__annotations__) | {
    name
    for name, value in vars(Tensor).items()
    if name[:1] == "_" != name[1:2] and (value is None or isinstance(value, int))
}


def get_state(obj: Any) -> Any:
    """The attributes that users or subclasses have set on a tensor: a dict, a pair, or None."""
    own = getattr(type(obj), "__getstate__", None)
    if own is not None and own is not getattr(object, "__getstate__", None):
        return obj.__getstate__()
    attributes = {k: v for k, v in obj.__dict__.items() if k not in _CORE}
    slots = {
        name: getattr(obj, name)
        for name in copyreg._slotnames(type(obj))  # type: ignore[attr-defined]
        if hasattr(obj, name) and name not in _CORE
    }
    if slots:
        return attributes or None, slots
    return attributes or None


def set_state(obj: Any, state: Any) -> Any:
    """Puts back what ``get_state`` took."""
    slots = None
    if isinstance(state, tuple):
        if len(state) != 2:
            raise RuntimeError(f"Invalid serialized state: {state}")
        state, slots = state
    for attributes in (state, slots):
        for name, value in (attributes or {}).items():
            if name in _CORE or name.startswith("__"):
                raise FileFormatError(f"the state of a tensor may not set its field {name}")
            setattr(obj, name, value)
    return obj


def _warn_about_hooks(tensor: Tensor) -> None:
    hooks = tensor._hooks
    for hook in list(hooks.values() if isinstance(hooks, dict) else hooks or ()):
        if not hasattr(hook, "__torch_unserializable__"):
            warnings.warn(
                f"backward hook {hook!r} on tensor will not be serialized.  If this is expected, "
                "you can decorate the function with @torch.utils.hooks.unserializable_hook to "
                "suppress this warning",
                stacklevel=4,
            )


def _reduce_plain(tensor: Any) -> tuple[Any, tuple[Any, ...]]:
    m = tensor._meta
    if m.device is META:
        args = (m.dtype, tuple(m.shape), m.strides, tensor._requires_grad)
        return _rebuild_meta_tensor_no_storage, args
    untyped = m.dtype.name in _UNTYPED
    look(tensor)
    storage = TypedStorage(tensor._storage, None if untyped else m.dtype)
    # Tuples of their own, as PyTorch's are: pickles refer back to objects that they meet again.
    place = (storage, tensor._offset, tuple(m.shape), (*m.strides,))
    rest: tuple[Any, ...] = (tensor._requires_grad, OrderedDict())  # hooks are never pickled
    if untyped:
        rest = (*rest, m.dtype)
    bits = {name: True for name in ("conj", "neg") if getattr(m, name)}
    if bits:
        rest = (*rest, bits)
    return (_rebuild_tensor_v3 if untyped else _rebuild_tensor_v2), (*place, *rest)


def reduce_ex(self: Any, protocol: Any) -> tuple[Any, ...]:
    """``Tensor.__reduce_ex__``: a rebuild function and its arguments."""
    _warn_about_hooks(self)
    function, args = _reduce_plain(self)
    state = get_state(self)
    if type(self) is Tensor and not state:
        return function, args
    return _rebuild_from_type_v2, (function, type(self), args, state)


def deepcopy(self: Any, memo: dict[int, Any]) -> Any:
    """``Tensor.__deepcopy__``: new memory, one copy of each storage, attributes copied too.

    Raises:
        RuntimeError: the tensor has a history; only leaves are copied.
    """
    if id(self) in memo:
        return memo[id(self)]
    if self._requires_grad and self._node is not None:
        raise RuntimeError(
            "Only Tensors created explicitly by the user (graph leaves) support the deepcopy "
            "protocol at the moment.  If you were attempting to deepcopy a module, this may be "
            "because of a torch.nn.utils.weight_norm usage, see "
            "https://github.com/pytorch/pytorch/pull/103001"
        )
    look(self)
    storage = copy.deepcopy(self._storage, memo)
    copied = _bare(type(self), storage, self._meta, self._offset)
    memo[id(self)] = copied
    copied._requires_grad = self._requires_grad
    if self._grad is not None:
        copied._grad = copy.deepcopy(self._grad, memo)
    set_state(copied, copy.deepcopy(get_state(self), memo))
    return copied


def attach(cls: Any = Tensor) -> None:
    """Gives the tensor class its pickling and copying methods."""
    cls.__reduce_ex__ = reduce_ex
    cls.__deepcopy__ = deepcopy


attach()
