"""Pickles of plain data: containers, strings, numbers and NumPy arrays, and nothing else.

In: a file such as a batch of CIFAR-10 or a NumPy pickle. Out: the object. No class or function
that the file names is looked up or called, and array metadata is checked before NumPy sees it.
"""

from __future__ import annotations

import io
import math
import re
from collections import Counter, OrderedDict, defaultdict, deque
from typing import Any, BinaryIO

import numpy as np

from rushlight.errors import DamagedPickleError, RefusedPickleError

from .pickle_machine import Machine, Policy

__all__ = ["PlainPolicy", "load", "loads"]

_FACTORIES: tuple[Any, ...] = (None, list, dict, set, tuple, int, float, str, bool, OrderedDict)
_BUILTINS: tuple[Any, ...] = (
    (set, frozenset, bytearray, complex, slice, range)  # may be called
    + (list, dict, tuple, int, float, str, bool, bytes)  # factories of a defaultdict
)
_ARRAY_MODULES = ("numpy.core.multiarray", "numpy._core.multiarray")
_BUFFER_MODULES = ("numpy.core.numeric", "numpy._core.numeric")
_DTYPE = re.compile(r"[<>|=]?(b1|[iu][1248]|f[248]|f16|c8|c16|c32|[SUV][1-9]\d{0,6})\Z")


class _Token:
    """Stands for a function of NumPy that this reader carries out itself."""

    def __init__(self, name: str) -> None:
        self.name = name


_RECONSTRUCT, _SCALAR, _FROMBUFFER, _ENCODE = (
    _Token(name) for name in ("_reconstruct", "scalar", "_frombuffer", "encode")
)


class PlainPolicy(Policy):
    """Lets a pickle build plain containers and NumPy arrays.

    ``arrays`` can be switched off, which leaves Python's own containers.
    """

    def __init__(self, arrays: bool = True) -> None:
        self._known: dict[tuple[str, str], Any] = {
            ("collections", "OrderedDict"): OrderedDict,
            ("collections", "Counter"): Counter,
            ("collections", "defaultdict"): defaultdict,
            ("collections", "deque"): deque,
            ("_codecs", "encode"): _ENCODE,
        }
        for kind in _BUILTINS:
            self._known["builtins", kind.__name__] = kind
        if arrays:
            self._known["numpy", "ndarray"] = np.ndarray
            self._known["numpy", "dtype"] = np.dtype
            for module in _ARRAY_MODULES:
                self._known[module, "_reconstruct"] = _RECONSTRUCT
                self._known[module, "scalar"] = _SCALAR
            for module in _BUFFER_MODULES:
                self._known[module, "_frombuffer"] = _FROMBUFFER

    def find(self, module: str, name: str) -> Any:
        try:
            return self._known[module, name]
        except KeyError:
            raise RefusedPickleError(
                f"the global {module}.{name} is not allowed in a file of plain data"
            ) from None

    def call(self, function: Any, args: tuple[Any, ...]) -> Any:
        run = _CALLS.get(id(function))
        if run is None:
            return super().call(function, args)
        try:
            return run(*args)
        except (TypeError, ValueError, LookupError, OverflowError) as error:
            raise DamagedPickleError(f"bad arguments in a pickle: {error}") from error

    def new(self, cls: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        # Protocol 4 writes sets and the like as NEWOBJ of the class with no arguments.
        if kwargs or args or not any(cls is kind for kind in (OrderedDict, Counter, set)):
            return super().new(cls, args, kwargs)
        return cls()

    def build(self, instance: Any, state: Any) -> Any:
        if type(instance) is np.ndarray:
            return _set_array(instance, state)
        if isinstance(instance, np.dtype):
            return _set_dtype(instance, state)
        if type(instance) is OrderedDict and type(state) is dict:
            instance.__dict__.update(state)
            return instance
        return super().build(instance, state)


def _raw(data: Any) -> bytes:
    """The bytes of an array; Python 2 wrote them as a string."""
    if isinstance(data, str):
        return data.encode("latin-1")
    if not isinstance(data, (bytes, bytearray)):
        raise RefusedPickleError(f"array data is a {type(data).__name__}, not bytes")
    return bytes(data)


def _shape(shape: Any) -> tuple[int, ...]:
    shape = (shape,) if type(shape) is int else shape
    if (
        type(shape) is not tuple
        or len(shape) > 32
        or not all(type(n) is int and 0 <= n < 1 << 62 for n in shape)
    ):
        raise DamagedPickleError("an array's shape is not a tuple of sizes")
    return shape


def _make_dtype(code: Any, align: Any = False, copy: Any = False) -> np.dtype[Any]:
    code = code.decode("latin-1") if isinstance(code, bytes) else code
    if type(code) is not str or not _DTYPE.match(code):
        raise RefusedPickleError(
            f"arrays of dtype {code!r} are not allowed in a file of plain data"
        )
    return np.dtype(code)


def _set_dtype(dtype: np.dtype[Any], state: Any) -> np.dtype[Any]:
    if type(state) is not tuple or len(state) < 5 or any(part is not None for part in state[2:5]):
        raise RefusedPickleError("structured arrays are not allowed in a file of plain data")
    order: Any = state[1].decode("latin-1") if isinstance(state[1], bytes) else state[1]
    if order not in ("<", ">", "=", "|"):
        raise DamagedPickleError(f"unknown byte order {order!r}")
    return dtype if order == "|" else dtype.newbyteorder(order)


def _array(dtype: Any, shape: Any, data: Any, fortran: bool) -> np.ndarray[Any, Any]:
    if not isinstance(dtype, np.dtype) or dtype.hasobject:
        raise RefusedPickleError("arrays of objects are not allowed in a file of plain data")
    raw, sizes = _raw(data), _shape(shape)
    if math.prod(sizes) * dtype.itemsize != len(raw):
        raise DamagedPickleError(
            f"an array of shape {sizes} and dtype {dtype} does not fill {len(raw)} bytes"
        )
    flat = np.frombuffer(bytearray(raw), dtype)  # a bytearray, so that the array can be written to
    return flat.reshape(sizes, order="F" if fortran else "C")


def _reconstruct(kind: Any, shape: Any, code: Any) -> np.ndarray[Any, Any]:
    if kind is not np.ndarray:
        raise RefusedPickleError("only plain ndarrays are allowed in a file of plain data")
    return np.empty(0, np.uint8)


def _set_array(array: np.ndarray[Any, Any], state: Any) -> np.ndarray[Any, Any]:
    if type(state) is not tuple or len(state) != 5:
        raise DamagedPickleError("an array's state is not a tuple of five")
    _, shape, dtype, fortran, data = state
    return _array(dtype, shape, data, bool(fortran))


def _frombuffer(data: Any, dtype: Any, shape: Any, order: Any, *axes: Any) -> Any:
    return _array(dtype, shape, data, order == "F")


def _scalar(dtype: Any, data: Any) -> Any:
    return _array(dtype, (), data, False)[()]


def _encode(text: Any, encoding: Any = "utf-8") -> bytes:
    if type(text) is not str or encoding not in ("latin1", "latin-1", "utf-8", "ascii"):
        raise RefusedPickleError("only text may be encoded")
    return text.encode(encoding)


def _bytearray(data: Any = b"", encoding: Any = "latin-1") -> bytearray:
    return bytearray(_encode(data, encoding) if isinstance(data, str) else _raw(data))


def _complex(real: Any = 0.0, imag: Any = 0.0) -> complex:
    if type(real) is str:
        return complex(real)
    return complex(float(real), float(imag))


def _defaultdict(factory: Any = None, *rest: Any) -> defaultdict[Any, Any]:
    if rest or not any(factory is known for known in _FACTORIES):
        raise RefusedPickleError("this default factory is not allowed in a file of plain data")
    return defaultdict(factory)


def _plain(kind: Any) -> Any:
    """A constructor that takes at most one list or dict, as pickles of these kinds do."""

    def build(items: Any = (), maximum: Any = None) -> Any:
        if type(items) not in (list, tuple, dict):
            raise RefusedPickleError(f"{kind.__name__} of {type(items).__name__} is not allowed")
        return kind(items) if maximum is None else kind(items, maximum)

    return build


_CALLS: dict[int, Any] = {
    id(np.dtype): _make_dtype,
    id(_RECONSTRUCT): _reconstruct,
    id(_SCALAR): _scalar,
    id(_FROMBUFFER): _frombuffer,
    id(_ENCODE): _encode,
    id(bytearray): _bytearray,
    id(complex): _complex,
    id(defaultdict): _defaultdict,
    id(slice): slice,
    id(range): range,
    id(bytes): lambda: b"",  # protocol 2 writes empty bytes as a call
} | {id(kind): _plain(kind) for kind in (OrderedDict, Counter, deque, set, frozenset)}


def load(file: BinaryIO, encoding: str = "ASCII", errors: str = "strict") -> Any:
    """Reads one pickle of plain data from a binary file.

    Args:
        file: the open file; it is left behind the pickle.
        encoding: for 8-bit strings that Python 2 wrote: ``"latin1"`` keeps NumPy data of Python 2
            readable, ``"bytes"`` leaves such strings bytes.
        errors: the error handler of that decoding.

    Raises:
        FileFormatError: the file is damaged or holds more than plain data. Nothing was executed.

    Example:
        >>> import pickle
        >>> loads(pickle.dumps({"data": np.arange(3), "labels": [1, 2]}))["data"]
        array([0, 1, 2])
    """
    return Machine(file, PlainPolicy(), encoding, errors).load()


def loads(data: bytes, encoding: str = "ASCII", errors: str = "strict") -> Any:
    """Reads one pickle of plain data from bytes; see ``load``."""
    return load(io.BytesIO(data), encoding, errors)
