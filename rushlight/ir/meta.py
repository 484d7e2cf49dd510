"""Meta: everything about a tensor but its values, interned so that comparing is one ``is``.

Shape rules take and return Metas; the gate compares them; the ``meta`` device has nothing else.
"""

from __future__ import annotations

from typing import Any

from rushlight import dtypes
from rushlight.devices import CPU, device
from rushlight.dtypes import dtype
from rushlight.ir.strides import contiguous_strides, is_dense
from rushlight.naming import PublicType

__all__ = ["Meta", "ScalarMeta", "Size", "meta", "scalar_meta"]


class Size(tuple[int, ...], metaclass=PublicType):
    """The shape of a tensor: a tuple of ints.

    Example:
        >>> Size([2, 3]).numel()
        6
    """

    __slots__ = ()

    def __new__(cls, sizes: Any = ()) -> Size:
        values = tuple(sizes)
        for i, v in enumerate(values):
            if type(v) is not int:
                try:
                    values = (*values[:i], v.__index__(), *values[i + 1 :])
                except (AttributeError, TypeError):
                    raise TypeError(
                        "torch.Size() takes an iterable of 'int' "
                        f"(item {i} is '{type(v).__name__}')"
                    ) from None
        return tuple.__new__(cls, values)

    def numel(self) -> int:
        """How many elements a tensor of this size has."""
        n = 1
        for s in self:
            n *= s
        return n

    def __repr__(self) -> str:
        return f"torch.Size([{', '.join(map(str, self))}])"

    def __getitem__(self, index: Any) -> Any:
        item = tuple.__getitem__(self, index)
        return tuple.__new__(Size, item) if isinstance(index, slice) else item

    def __add__(self, other: Any) -> Any:
        if not isinstance(other, tuple):
            return NotImplemented
        return Size(tuple.__add__(self, other))

    def __radd__(self, other: Any) -> Any:
        if not isinstance(other, tuple):
            return NotImplemented
        return Size(tuple.__add__(tuple(other), self))

    def __mul__(self, n: Any) -> Size:
        return Size(tuple.__mul__(self, n))

    __rmul__ = __mul__

    def __reduce__(self) -> tuple[Any, ...]:
        return (Size, (tuple(self),))


Size.__module__ = "rushlight"


class Meta:
    """Shape, dtype, strides (in elements), device and the conj/neg bits of a tensor.

    Make one with :func:`meta`: equal Metas are the same object.
    """

    __slots__ = (
        "conj",
        "contiguous",
        "dense",
        "device",
        "dtype",
        "ndim",
        "neg",
        "numel",
        "shape",
        "strides",
    )
    is_scalar = False

    def __init__(
        self,
        shape: Size,
        dtype: dtype,
        strides: tuple[int, ...],
        device: device,
        conj: bool,
        neg: bool,
    ) -> None:
        self.shape = shape
        self.dtype = dtype
        self.strides = strides
        self.device = device
        self.conj = conj
        self.neg = neg
        self.ndim = len(shape)
        self.numel = shape.numel()
        self.contiguous = self.numel == 0 or _row_major(shape, strides)
        self.dense = self.contiguous or is_dense(shape, strides)

    def like(
        self,
        shape: Any = None,
        dtype: dtype | None = None,
        strides: tuple[int, ...] | None = None,
        device: device | None = None,
    ) -> Meta:
        """The same with some fields changed; contiguous unless strides are given."""
        return meta(
            self.shape if shape is None else shape,
            dtype or self.dtype,
            strides,
            device or self.device,
        )

    def __repr__(self) -> str:
        return f"Meta({list(self.shape)}, {self.dtype.name}, {self.strides}, {self.device})"


def _row_major(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    expected = 1
    for size, stride in zip(reversed(shape), reversed(strides), strict=True):
        if size != 1:
            if stride != expected:
                return False
            expected *= size
    return True


class ScalarMeta:
    """Stands for a Python number among the inputs of an operator: a type without a value."""

    __slots__ = ("kind", "name")
    is_scalar = True
    shape = Size()
    strides: tuple[int, ...] = ()
    ndim = 0
    numel = 1
    device = CPU
    conj = neg = False

    def __init__(self, name: str, kind: type) -> None:
        self.name = name
        self.kind = kind

    @property
    def dtype(self) -> dtype:
        """The dtype of such a number; follows the default dtype."""
        return dtypes.of_number(self.kind(0))

    def __repr__(self) -> str:
        return f"ScalarMeta({self.name})"


_SCALARS = {kind: ScalarMeta(kind.__name__, kind) for kind in (bool, int, float, complex)}
_INTERNED: dict[tuple[Any, ...], Meta] = {}
_MOST_INTERNED = 100_000


def meta(
    shape: Any,
    dtype: dtype,
    strides: tuple[int, ...] | None = None,
    device: device = CPU,
    conj: bool = False,
    neg: bool = False,
) -> Meta:
    """The interned Meta of these properties; contiguous if no strides are given."""
    if strides is None:
        strides = contiguous_strides(shape)
    key = (shape, dtype, strides, device, conj, neg)
    found = _INTERNED.get(key)
    if found is None:
        if len(_INTERNED) >= _MOST_INTERNED:  # shapes that never settle must not fill the memory
            _INTERNED.clear()
        size = shape if type(shape) is Size else Size(shape)
        found = Meta(size, dtype, tuple(strides), device, conj, neg)
        _INTERNED[size, dtype, found.strides, device, conj, neg] = found
    return found


def scalar_meta(kind: type) -> ScalarMeta | None:
    """The ScalarMeta of a Python number's type, or None for other types."""
    return _SCALARS.get(kind)  # type: ignore[arg-type]
