"""Data types: the dtype objects, PyTorch's promotion table, default dtype, finfo and iinfo.

A dtype knows its NumPy counterpart; bfloat16's and complex32's come from ml_dtypes, loaded when
first used.
Source of the promotion rules: the tensor-attributes page of PyTorch's documentation, checked
against the real package by tests/test_dtypes.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.naming import PublicType

__all__ = ["dtype", "finfo", "iinfo"]

_ORDER = (
    "bool uint8 int8 int16 int32 int64 float16 bfloat16 float32 float64 "
    "complex32 complex64 complex128"
)
_FROM_ML_DTYPES = ("bfloat16", "complex32")


class dtype(metaclass=PublicType):
    """The type of a tensor's elements, such as ``torch.float32``.

    Attributes:
        itemsize: bytes of one element.
        is_floating_point: true for float16, bfloat16, float32 and float64.
        is_complex: true for complex32, complex64 and complex128.
        is_signed: false for bool and the unsigned integers.
    """

    __slots__ = (
        "_numpy",
        "is_complex",
        "is_floating_point",
        "is_signed",
        "itemsize",
        "kind",
        "name",
        "title",
    )

    def __init__(self, name: str, kind: str, itemsize: int, title: str) -> None:
        self.name = name
        self.kind = kind  # 'b', 'u', 'i', 'f' or 'c', as in NumPy
        self.itemsize = itemsize
        self.title = title  # the name that PyTorch's error messages use
        self.is_floating_point = kind == "f"
        self.is_complex = kind == "c"
        self.is_signed = kind not in "bu"
        self._numpy: Any = None if name in _FROM_ML_DTYPES else np.dtype(name)

    @property
    def numpy(self) -> np.dtype[Any]:
        """The NumPy dtype of the same memory layout."""
        if self._numpy is None:
            import ml_dtypes

            self._numpy = np.dtype(getattr(ml_dtypes, self.name))
            _FROM_NUMPY[self._numpy] = self
        return self._numpy  # type: ignore[no-any-return]

    @property
    def is_integral(self) -> bool:
        """True for the integers and bool."""
        return self.kind in "bui"

    def to_complex(self) -> dtype:
        """The complex type whose parts have this type's precision."""
        if self.is_complex:
            return self
        if self is float16:
            return complex32
        return complex128 if self is float64 else complex64

    def to_real(self) -> dtype:
        """The type of the real part."""
        if not self.is_complex:
            return self
        if self is complex32:
            return float16
        return float64 if self is complex128 else float32

    def __repr__(self) -> str:
        return f"torch.{self.name}"

    def __reduce__(self) -> tuple[Any, ...]:
        return (by_name, (self.name,))

    def __copy__(self) -> dtype:
        return self

    def __deepcopy__(self, memo: Any) -> dtype:
        return self


bool_ = dtype("bool", "b", 1, "Bool")
uint8 = dtype("uint8", "u", 1, "Byte")
int8 = dtype("int8", "i", 1, "Char")
int16 = dtype("int16", "i", 2, "Short")
int32 = dtype("int32", "i", 4, "Int")
int64 = dtype("int64", "i", 8, "Long")
float16 = dtype("float16", "f", 2, "Half")
bfloat16 = dtype("bfloat16", "f", 2, "BFloat16")
float32 = dtype("float32", "f", 4, "Float")
float64 = dtype("float64", "f", 8, "Double")
complex32 = dtype("complex32", "c", 4, "ComplexHalf")
complex64 = dtype("complex64", "c", 8, "ComplexFloat")
complex128 = dtype("complex128", "c", 16, "ComplexDouble")
uint16 = dtype("uint16", "u", 2, "UInt16")
uint32 = dtype("uint32", "u", 4, "UInt32")
uint64 = dtype("uint64", "u", 8, "UInt64")

ALL: dict[str, dtype] = {
    d.name: d
    for d in (
        bool_,
        uint8,
        int8,
        int16,
        int32,
        int64,
        float16,
        bfloat16,
        float32,
        float64,
        complex32,
        complex64,
        complex128,
        uint16,
        uint32,
        uint64,
    )
}
ALIASES: dict[str, dtype] = {
    "half": float16,
    "float": float32,
    "double": float64,
    "chalf": complex32,
    "cfloat": complex64,
    "cdouble": complex128,
    "short": int16,
    "int": int32,
    "long": int64,
}
_FROM_NUMPY: dict[Any, dtype] = {d._numpy: d for d in ALL.values() if d._numpy is not None}


def by_name(name: str) -> dtype:
    """The dtype of this name; what pickles of dtypes call."""
    return ALL[name]


def from_numpy(np_dtype: Any) -> dtype:
    """The dtype of a NumPy dtype.

    Raises:
        TypeError: for NumPy types that tensors cannot hold, in PyTorch's words.
    """
    found = _FROM_NUMPY.get(np_dtype)
    if found is None and np_dtype.name in _FROM_ML_DTYPES:
        kind = ALL[np_dtype.name]
        return kind if np_dtype == kind.numpy else _unsupported(np_dtype)
    if found is None and np_dtype.newbyteorder("=") in _FROM_NUMPY and not np_dtype.isnative:
        raise ValueError(
            "given numpy array has byte order different from the native byte order. "
            "Conversion between byte orders is currently not supported."
        )
    return found if found is not None else _unsupported(np_dtype)


def _unsupported(np_dtype: Any) -> dtype:
    raise TypeError(
        f"can't convert np.ndarray of type {np_dtype.type.__module__}.{np_dtype.type.__name__}. "
        "The only supported types are: float64, float32, float16, complex64, complex128, int64, "
        "int32, int16, int8, uint64, uint32, uint16, uint8, and bool."
    )


class _Default:
    """The default floating type, which Python floats and float results of integers take."""

    real: dtype = float32


def default_float() -> dtype:
    """The default floating dtype."""
    return _Default.real


def set_default_float(value: dtype) -> None:
    """Sets the default floating dtype."""
    if not isinstance(value, dtype):
        raise TypeError(
            "invalid dtype object: only floating-point types are supported as the default type"
        )
    if not value.is_floating_point:
        raise TypeError("only floating-point types are supported as the default type")
    _Default.real = value


def of_number(value: Any) -> dtype:
    """The dtype that a Python number has as a tensor."""
    kind = type(value)
    if kind is bool:
        return bool_
    if kind is int:
        return int64
    if kind is float:
        return _Default.real
    return _Default.real.to_complex()


def _promote_uncached(a: dtype, b: dtype) -> dtype:
    if a is b:
        return a
    if {a.name, b.name} & {"uint16", "uint32", "uint64"}:
        if a.kind in "fc":
            return a
        if b.kind in "fc":
            return b
        raise RuntimeError(
            "Promotion for uint16, uint32, uint64 types is not supported, "
            f"attempted to promote {a.title} and {b.title}"
        )
    rank = _ORDER.split()
    low, high = (a, b) if rank.index(a.name) <= rank.index(b.name) else (b, a)
    if high is complex32:
        return complex32 if low is float16 or low.is_integral else low.to_complex()
    if high.is_complex:
        return complex128 if low is float64 else high
    if {low, high} == {float16, bfloat16}:
        return float32
    if low is uint8 and high is int8:
        return int16
    return high


_PROMOTED: dict[tuple[dtype, dtype], dtype] = {}


def promote(a: dtype, b: dtype) -> dtype:
    """The smallest dtype to which both can be converted, by PyTorch's table.

    Example:
        >>> promote(uint8, int8)
        torch.int16
    """
    found = _PROMOTED.get((a, b))
    if found is None:
        found = _PROMOTED[a, b] = _promote_uncached(a, b)
    return found


def can_cast(source: dtype, target: dtype) -> bool:
    """Whether a result of this kind may be written into a tensor of that kind."""
    if source.is_complex and not target.is_complex:
        return False
    if source.is_floating_point and target.is_integral:
        return False
    return not (source.kind != "b" and target.kind == "b")


def combine(high: dtype | None, low: dtype | None) -> dtype | None:
    """Joins a higher category (tensors) with a lower one (0-d tensors, numbers)."""
    if high is None:
        return low
    if low is None or high.is_complex:
        return high
    if high.is_floating_point:
        return high.to_complex() if low.is_complex else high
    if high is bool_ or low.kind in "fc":
        return promote(high, low)
    return high


class finfo(metaclass=PublicType):
    """Numerical properties of a floating dtype.

    Args:
        type: a floating or complex dtype; the default dtype if not given.

    Example:
        >>> finfo(float32).eps
        1.1920928955078125e-07
    """

    def __init__(self, type: dtype | None = None) -> None:
        kind = (type or default_float()).to_real()
        if not kind.is_floating_point:
            raise TypeError(
                "torch.finfo() requires a floating point input type. Use torch.iinfo to handle "
                "'torch.finfo'"
            )
        if kind is bfloat16:
            import ml_dtypes

            info: Any = ml_dtypes.finfo(kind.numpy)  # type: ignore[no-untyped-call]
        else:
            info = np.finfo(kind.numpy)
        self.bits = kind.itemsize * 8
        self.eps = float(info.eps)
        self.max = float(info.max)
        self.min = float(info.min)
        self.tiny = self.smallest_normal = float(info.tiny)
        self.resolution = float(f"1e-{info.precision}")
        self.dtype = kind.name

    def __repr__(self) -> str:
        return (
            f"finfo(resolution={self.resolution:g}, min={self.min:g}, max={self.max:g}, "
            f"eps={self.eps:g}, smallest_normal={self.smallest_normal:g}, tiny={self.tiny:g}, "
            f"dtype={self.dtype})"
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, finfo) and self.dtype == other.dtype

    def __hash__(self) -> int:
        return hash(self.dtype)


class iinfo(metaclass=PublicType):
    """Numerical properties of an integer dtype.

    Args:
        type: an integer dtype.

    Example:
        >>> iinfo(int8).max
        127
    """

    def __init__(self, type: dtype) -> None:
        if type is bool_:
            raise TypeError("torch.bool is not supported by torch.iinfo")
        if not type.is_integral:
            raise TypeError(
                "torch.iinfo() requires an integer input type. Use torch.finfo to handle "
                "'torch.iinfo'"
            )
        info = np.iinfo(type.numpy)
        self.bits = type.itemsize * 8
        self.max = int(info.max)
        self.min = int(info.min)
        self.dtype = type.name

    def __repr__(self) -> str:
        return f"iinfo(min={self.min:g}, max={self.max:g}, dtype={self.dtype})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, iinfo) and self.dtype == other.dtype

    def __hash__(self) -> int:
        return hash(self.dtype)


for _public in (dtype, finfo, iinfo):
    _public.__module__ = "rushlight"
