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
from rushlight.dispatch.tensor import Tensor, array_of, new, raw_array
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
    storage.exported = True
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
        array, inferred = _from_sequence(data)
        dtype = dtype or inferred
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


def _from_sequence(data: Any) -> tuple[Any, Any]:
    """An array of nested sequences of numbers, and the dtype PyTorch infers for it."""
    kinds: set[type] = set()
    shape = _shape_of(data)
    flat: list[Any] = []
    _flatten(data, shape, 0, flat, kinds)
    if complex in kinds:
        dtype = dtypes.default_float().to_complex()
        wide: Any = np.complex128
    elif float in kinds or not kinds:
        dtype, wide = dtypes.default_float(), np.float64
    elif int in kinds:
        dtype, wide = dtypes.int64, np.int64
    else:
        dtype, wide = dtypes.bool_, np.bool_
    special = [k for k in kinds if k not in (complex, float, int, bool)]
    if special:  # tensors and NumPy scalars keep their dtype if they are alone
        dtype = special[0] if len(kinds) == 1 else dtype  # type: ignore[assignment]
    try:
        return np.array(flat, dtype=wide if not special else None).reshape(shape), dtype
    except OverflowError:
        raise RuntimeError("Overflow when unpacking long long") from None


def _shape_of(data: Any) -> tuple[int, ...]:
    shape: list[int] = []
    while True:
        if isinstance(data, Tensor):
            return (*shape, *data._meta.shape)
        if isinstance(data, np.ndarray):
            return (*shape, *data.shape)
        if isinstance(data, (str, bytes)):
            raise TypeError(f"new(): invalid data type '{type(data).__name__}'")
        if isinstance(data, (bool, int, float, complex, np.generic)):
            return tuple(shape)
        try:
            n = len(data)
            first = data[0] if n else None
        except (TypeError, KeyError, IndexError):
            if hasattr(data, "__float__") or hasattr(data, "__index__"):
                return tuple(shape)
            if not shape:
                raise RuntimeError(f"Could not infer dtype of {type(data).__name__}") from None
            raise TypeError(f"not a sequence: {type(data).__name__}") from None
        shape.append(n)
        if n == 0:
            return tuple(shape)
        data = first


def _flatten(
    data: Any, shape: tuple[int, ...], depth: int, flat: list[Any], kinds: set[Any]
) -> None:
    if depth == len(shape):
        flat.append(_scalar(data, kinds))
        return
    if isinstance(data, (Tensor, np.ndarray)):
        array = array_of(data) if isinstance(data, Tensor) else data
        if array.shape != shape[depth:]:
            _ragged(array.shape[0] if array.ndim else 0, shape[depth], depth)
        kinds.add({"b": bool, "u": int, "i": int, "f": float, "c": complex}[array.dtype.kind])
        flat.extend(array.reshape(-1).tolist())
        return
    try:
        n = len(data)
    except TypeError:
        raise TypeError(
            f"expected sequence of length {shape[depth]} at dim {depth} (got {type(data).__name__})"
        ) from None
    if n != shape[depth]:
        _ragged(n, shape[depth], depth)
    for item in data:
        _flatten(item, shape, depth + 1, flat, kinds)


def _ragged(got: int, want: int, depth: int) -> None:
    raise ValueError(f"expected sequence of length {want} at dim {depth} (got {got})")


def _scalar(value: Any, kinds: set[Any]) -> Any:
    kind = type(value)
    if kind in (float, int, bool, complex):
        kinds.add(kind)
        return value
    if isinstance(value, Tensor):
        if value._meta.numel != 1:
            raise ValueError("only one element tensors can be converted to Python scalars")
        value = array_of(value).item()
    elif isinstance(value, np.generic):
        value = value.item()
    elif isinstance(value, (bool, int, float, complex)):
        number: Any = next(k for k in (bool, int, float, complex) if isinstance(value, k))
        value = number(value)
    elif hasattr(value, "__index__"):
        value = value.__index__()
    elif hasattr(value, "__float__") and not isinstance(value, (str, bytes)):
        value = float(value)
    elif value is None:
        raise RuntimeError("Could not infer dtype of NoneType")
    else:
        if hasattr(value, "__len__"):
            raise ValueError(
                "expected a number, got a sequence; are the sequences of equal length?"
            )
        raise TypeError(f"new(): invalid data type '{kind.__name__}'")
    kinds.add(type(value))
    return value


@method
def numpy(self: Tensor, *, force: bool = False) -> Any:
    """A NumPy array over the tensor's memory: writing to one changes the other.

    Args:
        force: also for tensors that need a gradient, or lie elsewhere, by a copy if needed.

    Raises:
        RuntimeError: the tensor requires grad (use ``detach()``), or is a conj/neg view.
        TypeError: bfloat16, or not on the CPU.
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
    if m.dtype.name == "bfloat16":
        raise TypeError("Got unsupported ScalarType BFloat16")
    self._storage.exported = True
    return raw_array(self).view()


def __array__(self: Tensor, dtype: Any = None, copy: bool | None = None) -> Any:
    array = numpy(self)
    if dtype is not None and array.dtype != dtype:
        return array.astype(dtype)
    return array.copy() if copy else array


Tensor.__array__ = __array__
Tensor.__array_priority__ = 1000


@method
def item(self: Tensor) -> Any:
    """The value of a one-element tensor as a Python number."""
    if self._meta.numel != 1:
        raise RuntimeError(
            f"a Tensor with {self._meta.numel} elements cannot be converted to Scalar"
        )
    if self._meta.device.type == "meta":
        raise RuntimeError("Tensor.item() cannot be called on meta tensors")
    value = array_of(self).item()
    return value if isinstance(value, (bool, int, float, complex)) else float(value)


@method
def tolist(self: Tensor) -> Any:
    """The values as nested lists of Python numbers."""
    array = array_of(self)
    if self._meta.dtype.name == "bfloat16":
        array = array.astype(np.float32)
    return array.tolist()


def values_of(t: Tensor) -> Any:
    """A tensor's values as an array, for looking at only (bfloat16 as float32)."""
    array = array_of(t)
    return array.astype(np.float32) if t._meta.dtype.name == "bfloat16" else array


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
