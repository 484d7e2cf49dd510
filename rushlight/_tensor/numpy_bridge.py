"""Tensors and NumPy arrays over the same memory, and tensors from Python data.

The only file of the API that touches a storage's array.  ``from_numpy`` and ``.numpy()`` share
memory; a storage that NumPy can see is marked exported.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight._tensor.api import function, method
from rushlight.dispatch.doors import exported, hidden, look, watch
from rushlight.dispatch.tensor import Tensor, array_of, memory_of, new, raw_array
from rushlight.ir.meta import Size, meta
from rushlight.runtime.storage import Storage

__all__ = ["from_data"]


@function
def from_numpy(ndarray: Any) -> Tensor:
    """A tensor over a NumPy array's memory: writing to one changes the other.

    Raises:
        TypeError: not an array, or of a dtype that tensors do not have.
        ValueError: negative strides.
    """
    if not isinstance(ndarray, np.ndarray):
        raise TypeError(f"expected np.ndarray (got {type(ndarray).__name__})")
    dtype = dtypes.from_numpy(ndarray.dtype)
    size = ndarray.itemsize
    if any(s < 0 for s in ndarray.strides):
        raise ValueError(
            "At least one stride in the given numpy array is negative, and tensors with negative "
            "strides are not currently supported. (You can probably work around this by making a "
            "copy of your array  with array.copy().) "
        )
    if any(s % size for s in ndarray.strides):
        raise ValueError(
            "given numpy array strides not a multiple of the element byte size. Copy the numpy "
            "array to reallocate the memory."
        )
    if not ndarray.flags.writeable:
        warnings.warn(
            "The given NumPy array is not writable, and PyTorch does not support non-writable "
            "tensors. This means writing to this tensor will result in undefined behavior. You may "
            "want to copy the array to protect its data or make it writable before converting it "
            "to "
            "a tensor. This type of warning will be suppressed for the rest of this program.",
            UserWarning,
            stacklevel=2,
        )
    strides = tuple(s // size for s in ndarray.strides)
    m = meta(Size(ndarray.shape), dtype, strides)
    storage = Storage(_extent(ndarray), memory=_bytes_of(ndarray))
    storage.exported = 1  # for good
    return new(Tensor, storage, m, 0, np.asarray(ndarray))


def _extent(array: Any) -> int:
    if array.size == 0:
        return 0
    reach = sum((n - 1) * s for n, s in zip(array.shape, array.strides, strict=True))
    return int(reach + array.itemsize)


def _bytes_of(array: Any) -> Any:
    """All bytes between an array's first and last element, as one flat array."""
    if array.flags.c_contiguous:
        return array.reshape(-1).view(np.uint8)
    return _span(array)


def _span(array: Any) -> Any:
    """A byte array over the whole reach of a strided array, which it keeps alive."""
    if array.size == 0:
        return np.empty(0, np.uint8)

    class Reach:
        __array_interface__ = {
            "shape": (_extent(array),),
            "typestr": "|u1",
            "data": (array.__array_interface__["data"][0], False),
            "version": 3,
        }
        owner = array

    return np.asarray(Reach())


def from_data(data: Any, dtype: Any) -> Tensor:
    """A new tensor with a copy of numbers, nested sequences or an array."""
    if isinstance(data, (np.ndarray, np.generic)):
        array = np.array(data)
        if dtype is None:
            dtype = dtypes.from_numpy(array.dtype)
    elif hasattr(data, "__array_interface__") or hasattr(data, "__array__"):
        array = np.array(data)
        dtype = dtype or dtypes.from_numpy(array.dtype)
    else:
        array, dtype = _from_sequence(data, dtype)
    return from_array(_cast(array, dtype), dtype)


def from_array(array: Any, dtype: Any) -> Tensor:
    """A tensor that takes over a fresh array."""
    array = np.ascontiguousarray(array).reshape(array.shape)
    if not array.flags.owndata:
        array = array.copy()
    m = meta(Size(array.shape), dtype)
    return new(Tensor, Storage.adopt(array), m, 0, array)


def _cast(array: Any, dtype: Any) -> Any:
    from rushlight.runtime.cpu import cast_into

    if array.dtype == dtype.numpy:
        return array
    out = np.empty(array.shape, dtype.numpy)
    with np.errstate(all="ignore"):
        cast_into(out, array)
    return out


def _from_sequence(data: Any, dtype: Any) -> tuple[Any, Any]:
    """An array of nested sequences of numbers, and its dtype: the given or the inferred one."""
    shape = _shape_of(data)
    if dtype is None and shape and 0 not in shape:
        _look_for_strangers(data)
    flat: list[Any] = []
    _flatten(data, shape, 0, flat)
    kinds = set(map(type, flat))
    if not kinds <= _NUMBERS:
        flat, found = _plain(flat)
        kinds = set(map(type, flat))
    else:
        found = None
    if dtype is None:
        dtype = found if found is not None else _inferred(kinds)
    wide: Any = {"c": np.complex128, "f": np.float64, "b": None}.get(dtype.kind, np.int64)
    if complex in kinds and dtype.kind != "c":
        if dtype.kind == "f":
            raise TypeError("must be real number, not complex")
        if dtype.kind != "b":
            raise TypeError("'complex' object cannot be interpreted as an integer")
    if wide is np.int64 and kinds <= {int, bool}:
        _refuse_overflow(flat, dtype)
        wide = np.uint64 if dtype.name == "uint64" else wide
    try:
        array = np.array(flat, dtype=wide if float not in kinds or wide is not np.int64 else None)
    except OverflowError:
        raise ValueError("Overflow when unpacking long long") from None
    return array.reshape(shape), dtype


_NUMBERS = {float, int, bool, complex}


def _inferred(kinds: set[type]) -> Any:
    if complex in kinds:
        return dtypes.default_float().to_complex()
    if float in kinds or not kinds:
        return dtypes.default_float()
    return dtypes.int64 if int in kinds else dtypes.bool_


def _refuse_overflow(flat: list[Any], dtype: Any) -> None:
    """Integers that their dtype cannot hold; negative ones may wrap around in unsigned types."""
    if not flat:
        return
    low, high = min(flat), max(flat)
    bits = 8 * dtype.itemsize
    if dtype.name != "uint64" and (high >= 1 << 63 or low < -(1 << 63)):
        raise ValueError("Overflow when unpacking long long")
    top = (1 << (bits - 1 if dtype.is_signed else bits)) - 1
    if high > top or low < (-top - 1 if dtype.is_signed else -top):
        raise RuntimeError(f"value cannot be converted to type {dtype.name} without overflow")


def _plain(flat: list[Any]) -> tuple[list[Any], Any]:
    """Python numbers for tensors and NumPy scalars among them, and the dtype all promote to."""
    found: Any = None
    values = []
    for x in flat:
        if isinstance(x, Tensor):
            if x._meta.numel != 1:
                raise TypeError(
                    "only integer tensors of a single element can be converted to an index"
                )
            kind, x = x._meta.dtype, array_of(x).item()
        elif isinstance(x, (np.generic, np.ndarray)):
            kind, x = dtypes.from_numpy(x.dtype), x.item()
        else:
            if type(x) not in _NUMBERS:
                x = _number_of(x)
            kind = dtypes.of_number(x)
        found = kind if found is None else dtypes.promote(found, kind)
        values.append(x)
    return values, found


def _number_of(x: Any) -> Any:
    """A number for an instance of a subclass of Python's numbers."""
    kinds: tuple[Any, ...] = (bool, int, float, complex)
    for kind in kinds:
        if isinstance(x, kind):
            return kind(x)
    if isinstance(x, str):
        raise TypeError(f"new(): invalid data type '{type(x).__name__}'")
    if isinstance(x, (list, tuple)):
        raise TypeError(f"'{type(x).__name__}' object cannot be interpreted as an integer")
    raise RuntimeError(f"Could not infer dtype of {_type_name(x)}")


def _type_name(x: Any) -> str:
    kind = type(x)
    return f"{kind.__module__}.{kind.__name__}" if kind.__module__ == "decimal" else kind.__name__


def _look_for_strangers(data: Any) -> None:
    """Raises for what no dtype can be inferred from, before shapes are looked at closely."""
    if isinstance(data, str):
        raise TypeError("new(): invalid data type 'str'")
    if isinstance(data, (list, tuple)):
        kinds = set(map(type, data))
        if not kinds <= _NUMBERS:
            for x in data:
                _look_for_strangers(x)
    elif type(data) not in _NUMBERS and not isinstance(data, (Tensor, np.generic, np.ndarray)):
        if not _is_sequence(data):
            _number_of(data)


def _is_sequence(data: Any) -> bool:
    return (
        hasattr(type(data), "__getitem__")
        and hasattr(type(data), "__len__")
        and not isinstance(data, (dict, set, frozenset, int, float, complex))
    )


def _shape_of(data: Any) -> tuple[int, ...]:
    if isinstance(data, (str, bytes)):
        raise TypeError(f"new(): invalid data type '{type(data).__name__}'")
    shape: list[int] = []
    while not isinstance(data, (Tensor, np.generic)) and _is_sequence(data):
        if isinstance(data, np.ndarray):
            return (*shape, *data.shape)
        if isinstance(data, str):
            raise ValueError(f"too many dimensions '{type(data).__name__}'")
        n = len(data)
        shape.append(n)
        if n == 0:
            break
        data = data[0]
    else:
        if not shape and type(data) not in _NUMBERS and not isinstance(data, (Tensor, np.generic)):
            _number_of(data)
    return tuple(shape)


def _flatten(data: Any, shape: tuple[int, ...], depth: int, flat: list[Any]) -> None:
    if depth == len(shape):
        flat.append(data)
        return
    if isinstance(data, (Tensor, np.generic)) or not _is_sequence(data):
        raise TypeError("not a sequence")
    n = len(data)
    if n != shape[depth]:
        raise ValueError(f"expected sequence of length {shape[depth]} at dim {depth} (got {n})")
    if depth == len(shape) - 1:
        flat.extend(data)
        return
    for item in data:
        _flatten(item, shape, depth + 1, flat)


@method
def numpy(self: Tensor, *, force: bool = False) -> Any:
    """A NumPy array over the tensor's memory: writing to one changes the other.

    Args:
        force: also for tensors that need a gradient, or lie elsewhere, by a copy if needed.

    Raises:
        RuntimeError: the tensor requires grad (use ``detach()``), or is a conj/neg view.
        TypeError: bfloat16 or complex32, or not on the CPU.
    """
    if force:
        return numpy(self.detach().cpu().resolve_conj().resolve_neg())
    m = self._meta
    if m.device.type != "cpu":
        raise TypeError(
            f"can't convert {m.device} device type tensor to numpy. Use Tensor.cpu() to copy the "
            "tensor to host memory first."
        )
    if self._requires_grad:
        raise RuntimeError(
            "Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead."
        )
    for bit, name in ((m.conj, "conjugate"), (m.neg, "negative")):
        if bit:
            call = "conj" if name == "conjugate" else "neg"
            raise RuntimeError(
                f"Can't call numpy() on Tensor that has {name} bit set. Use "
                f"tensor.resolve_{call}().numpy() instead."
            )
    if m.dtype.name in ("bfloat16", "complex32"):
        raise TypeError(f"Got unsupported ScalarType {m.dtype.title}")
    if m.numel == 0 or self._storage.foreign:
        return raw_array(self).view()
    look(self)
    size = m.dtype.itemsize
    strides = tuple([step * size for step in m.strides])
    memory = np.asarray(_Export(self))
    return np.ndarray(m.shape, m.dtype.numpy, memory, self._offset * size, strides)


class _Export:
    """A storage's memory as NumPy sees it; arrays keep this alive, and views of them do.

    As long as it lives, the storage is marked exported: NumPy may read and write there unseen.
    """

    __slots__ = ("__array_interface__", "memory", "storage")

    def __init__(self, t: Tensor) -> None:
        self.storage = t._storage
        self.memory = self.storage.bytes
        self.__array_interface__ = self.memory.__array_interface__
        self.storage.exported += 1
        exported(t)

    def __del__(self) -> None:
        self.storage.exported -= 1
        hidden()


def __array__(self: Tensor, dtype: Any = None, copy: bool | None = None) -> Any:
    array = numpy(self)
    if dtype is not None and array.dtype != dtype:
        return array.astype(dtype)
    return array.copy() if copy else array


def __array_wrap__(
    self: Tensor, array: Any, context: Any = None, return_scalar: bool = False
) -> Any:
    """What NumPy's functions make of their result: a tensor; truth values become uint8."""
    if array.dtype == bool:
        array = array.astype(np.uint8)
    return from_numpy(np.asarray(array))


Tensor.__array__ = __array__
Tensor.__array_wrap__ = __array_wrap__
Tensor.__array_priority__ = 1000


@method
def item(self: Tensor) -> Any:
    """The value of a one-element tensor as a Python number."""
    m = self._meta
    if watch[0] is None and m.numel == 1 and self._array is not None and not m.neg:
        value = self._array.item()
        if type(value) is float or type(value) is int:
            return value
    if m.numel != 1:
        raise RuntimeError(
            f"a Tensor with {self._meta.numel} elements cannot be converted to Scalar"
        )
    if self._meta.device.type == "meta":
        raise RuntimeError("Tensor.item() cannot be called on meta tensors")
    if watch[0] is not None:
        symbol = watch[0].item(self)
        if symbol is not None:
            return symbol
    value = memory_of(self).item()
    return value if isinstance(value, (bool, int, float, complex)) else float(value)


@method
def tolist(self: Tensor) -> Any:
    """The values as nested lists of Python numbers."""
    return values_of(self).tolist()


_WIDER = {"bfloat16": np.float32, "complex32": np.complex64}


def values_of(t: Tensor) -> Any:
    """A tensor's values as an array of NumPy's own types, for looking at only."""
    array = array_of(t)
    wide = _WIDER.get(t._meta.dtype.name)
    return array if wide is None else array.astype(wide)


@function
def frombuffer(
    buffer: Any,
    *,
    dtype: Any,
    count: int = -1,
    offset: int = 0,
    requires_grad: bool = False,
) -> Tensor:
    """A 1-d tensor over the memory of a Python buffer."""
    total, width = memoryview(buffer).nbytes, dtype.itemsize
    if total == 0 or count == 0:
        raise ValueError(f"both buffer length ({total}) and count ({count}) must not be 0")
    if not 0 <= offset < total:
        raise ValueError(
            f"offset ({offset} bytes) must be non-negative and no greater than buffer length "
            f"({total} bytes) minus 1"
        )
    if count < 0 and (total - offset) % width:
        raise ValueError(
            f"buffer length ({total} bytes) after offset ({offset} bytes) must be a multiple of "
            f"element size ({width})"
        )
    if count > 0 and offset + count * width > total:
        raise ValueError(
            f"requested buffer length ({count} * {width} bytes) after offset ({offset} bytes) must "
            f"not be greater than actual buffer length ({total} bytes)"
        )
    array = np.frombuffer(buffer, dtype.numpy, count, offset)
    with warnings.catch_warnings():
        if not array.flags.writeable:
            warnings.simplefilter("ignore")
        t = from_numpy(array)
    return t.requires_grad_(requires_grad)  # type: ignore[no-any-return]


def _dlpack(self: Tensor, **options: Any) -> Any:
    if self._requires_grad:
        raise BufferError("Can't export tensors that require gradient, use tensor.detach()")
    return numpy(self).__dlpack__(**options)


Tensor.__dlpack__ = _dlpack
Tensor.__dlpack_device__ = lambda self: (1, 0)


@function
def from_dlpack(ext_tensor: Any, *, device: Any = None, copy: bool | None = None) -> Tensor:
    """A tensor over the memory of another library's array."""
    if isinstance(ext_tensor, Tensor):
        return ext_tensor
    array = np.from_dlpack(ext_tensor)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        t = from_numpy(array)
    return t.clone() if copy else t  # type: ignore[no-any-return]
