"""Symbolic arrays: what NumPy kernels are run on so that they say what they compute.

A Symbol stands for an array whose elements are not known.  It answers to what kernels do with
arrays (operators, ufuncs, NumPy functions, methods, indexing) and makes Values of it.  Writing into
a Symbol gives it a new Value; Symbols that are views of it see that, as arrays would.  What asks
for elements raises `NotCaptured`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from rushlight.compiler import values
from rushlight.compiler.values import NotCaptured
from rushlight.ir.graph import Value

__all__ = ["FUNCTIONS", "Symbol", "axes_of", "lift", "operand"]

FUNCTIONS: dict[Any, Callable[..., Any]] = {}  # NumPy's functions on Symbols, by function
_FAST_POWERS = {-1.0: np.reciprocal, 0.5: np.sqrt, 2.0: np.square}


class _Flags:
    """What kernels ask about memory: Symbols are row-major."""

    c_contiguous = True
    f_contiguous = False


class Symbol(NDArrayOperatorsMixin):
    """An array of a graph, for kernels.

    Args:
        value: what it stands for.
        weak: the Python type whose promotions it follows, for numbers known at run time.
    """

    __slots__ = ("_parent", "_put", "_read", "_seen", "_value", "version", "weak")
    flags = _Flags
    captured = True  # how operators' files recognise one

    def __init__(self, value: Value, weak: type | None = None) -> None:
        self._value = value
        self._parent: Symbol | None = None
        self._read: Any = None
        self._put: Any = None
        self._seen = 0
        self.version = 0
        self.weak = weak

    def viewed(self, read: Callable[[Value], Value], put: Callable[[Value, Value], Value]) -> Any:
        """A Symbol that shares this one's memory.

        Args:
            read: the view's value, given this one's.
            put: this one's value after a write, given the old one and the view's new value.
        """
        made = Symbol(read(self.value))
        made._parent, made._read, made._put = self, read, put
        made._seen = self._root_version()
        return made

    def _root_version(self) -> int:
        return self.version if self._parent is None else self._parent._root_version()

    @property
    def value(self) -> Value:
        """What it stands for now."""
        if self._parent is not None:
            now = self._root_version()
            if now != self._seen:
                self._value, self._seen = self._read(self._parent.value), now
        return self._value

    def write(self, value: Value) -> None:
        """Gives it other elements."""
        value = values.broadcast_to(values.cast(value, self.dtype), self.shape)
        if self._parent is None:
            self._value = value
            self.version += 1
        else:
            self._parent.write(self._put(self._parent.value, value))

    # What is known of it

    @property
    def shape(self) -> tuple[int, ...]:
        return self._value.shape

    @property
    def dtype(self) -> Any:
        return self._value.dtype

    @property
    def ndim(self) -> int:
        return len(self._value.shape)

    @property
    def size(self) -> int:
        return self._value.size

    @property
    def itemsize(self) -> int:
        return int(self.dtype.itemsize)

    @property
    def T(self) -> Any:
        return self.transpose()

    @property
    def real(self) -> Any:
        return self

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of unsized object")
        return self.shape[0]

    def __iter__(self) -> Iterator[Any]:
        return iter([self[i] for i in range(len(self))])

    # What is not

    def _elements(self, *args: Any, **kwargs: Any) -> Any:
        raise NotCaptured("the kernel looks at elements")

    __bool__ = __int__ = __float__ = __index__ = __complex__ = __array__ = _elements
    __contains__ = item = tolist = tobytes = _elements
    strides = ctypes = property(_elements)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise NotCaptured(f"the method {name}")

    # NumPy's protocols

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        out = options.pop("out", None)
        if options.pop("where", True) is not True:
            raise NotCaptured("a ufunc's where=")
        run = {"__call__": _called, "reduce": _reduced, "at": _written, "outer": _outer}.get(method)
        if run is None:
            raise NotCaptured(f"{ufunc.__name__}.{method}")
        result = run(ufunc, inputs, options)
        return result if out is None else _into(out[0], result)

    def __array_function__(self, func: Any, types: Any, args: Any, options: Any) -> Any:
        known = FUNCTIONS.get(func)
        if known is not None:
            return known(*args, **options)
        general = getattr(func, "_implementation", None)
        if general is None:
            raise NotCaptured(f"the function {func.__name__}")
        return general(*args, **options)

    # Operators that the mixin does not have right, or at all

    def __pow__(self, other: Any) -> Any:
        if type(other) in (int, float):  # as ndarray.__pow__ does
            if self.dtype.kind == "f" and other in _FAST_POWERS:
                return _FAST_POWERS[other](self)
            if self.dtype.kind in "iu" and other == 2:
                return np.square(self)
        return np.power(self, other)

    # Methods

    def astype(self, dtype: Any, *args: Any, **options: Any) -> Any:
        if np.dtype(dtype) == self.dtype and not options.get("copy", True):
            return self
        return Symbol(values.cast(self.value, dtype))

    def copy(self, order: str = "C") -> Any:
        return Symbol(self.value)

    def view(self, dtype: Any = None) -> Any:
        if dtype is not None and np.dtype(dtype) != self.dtype:
            raise NotCaptured("bits read as another dtype")
        return self.viewed(lambda v: v, lambda _, new: new)

    def conj(self) -> Any:
        return self

    def reshape(self, *shape: Any, order: str = "C") -> Any:
        sizes = shape[0] if len(shape) == 1 and not isinstance(shape[0], int) else shape
        before = self.shape
        return self.viewed(
            lambda v: values.reshape(v, sizes), lambda _, new: values.reshape(new, before)
        )

    def ravel(self, order: str = "C") -> Any:
        return self.reshape(-1)

    def flatten(self, order: str = "C") -> Any:
        return self.reshape(-1).copy()

    def squeeze(self, axis: Any = None) -> Any:
        gone = axes_of(axis, self.ndim)
        if axis is None:
            gone = tuple(d for d in gone if self.shape[d] == 1)
        return self.reshape([n for d, n in enumerate(self.shape) if d not in gone])

    def transpose(self, *axes: Any) -> Any:
        if len(axes) == 1 and (axes[0] is None or not isinstance(axes[0], int)):
            axes = axes[0] or ()
        order = axes_of(tuple(axes), self.ndim) if axes else tuple(reversed(range(self.ndim)))
        back = tuple(order.index(d) for d in range(self.ndim))
        return self.viewed(
            lambda v: values.transpose(v, order), lambda _, new: values.transpose(new, back)
        )

    def swapaxes(self, a: int, b: int) -> Any:
        order = list(range(self.ndim))
        order[a], order[b] = order[b], order[a]
        return self.transpose(tuple(order))

    def sum(self, axis: Any = None, dtype: Any = None, out: Any = None, **options: Any) -> Any:
        return np.add.reduce(self, axis, dtype, out, **options)

    def prod(self, axis: Any = None, dtype: Any = None, out: Any = None, **options: Any) -> Any:
        return np.multiply.reduce(self, axis, dtype, out, **options)

    def max(self, axis: Any = None, out: Any = None, **options: Any) -> Any:
        return np.maximum.reduce(self, axis, None, out, **options)

    def min(self, axis: Any = None, out: Any = None, **options: Any) -> Any:
        return np.minimum.reduce(self, axis, None, out, **options)

    def any(self, axis: Any = None, out: Any = None, **options: Any) -> Any:
        return np.logical_or.reduce(self, axis, None, out, **options)

    def all(self, axis: Any = None, out: Any = None, **options: Any) -> Any:
        return np.logical_and.reduce(self, axis, None, out, **options)

    def mean(self, axis: Any = None, dtype: Any = None, out: Any = None, **options: Any) -> Any:
        if dtype is None and self.dtype.kind in "biu":
            dtype = np.dtype(np.float64)
        total = self.sum(axis, dtype, **options)
        count = 1
        for d in axes_of(axis, self.ndim):
            count *= self.shape[d]
        if total.dtype.kind == "f":
            mean = np.divide(total, total.dtype.type(count))
        else:
            mean = np.divide(total, np.float64(count)).astype(total.dtype)
        return mean if out is None else _into(out, mean)

    def argmax(self, axis: Any = None, out: Any = None, *, keepdims: bool = False) -> Any:
        return self._arg("argmax", axis, keepdims)

    def argmin(self, axis: Any = None, out: Any = None, *, keepdims: bool = False) -> Any:
        return self._arg("argmin", axis, keepdims)

    def _arg(self, name: str, axis: Any, keepdims: bool) -> Any:
        flat = axis is None
        v = values.reshape(self.value, (-1,)) if flat else self.value
        at = 0 if flat else axes_of(axis, self.ndim)[0]
        found = values.reduce(name, v, (at,))
        if keepdims:
            kept = [1 if flat or d == at else n for d, n in enumerate(self.shape)]
            found = values.reshape(found, kept)
        return Symbol(found)

    def clip(self, low: Any = None, high: Any = None, out: Any = None) -> Any:
        result = self
        if low is not None and not _is(low, -np.inf):
            result = np.maximum(result, low)
        if high is not None and not _is(high, np.inf):
            result = np.minimum(result, high)
        return result

    def dot(self, other: Any) -> Any:
        return np.matmul(self, other) if self.ndim and np.ndim(other) else np.multiply(self, other)

    def __getitem__(self, key: Any) -> Any:
        return FUNCTIONS["getitem"](self, key)

    def __setitem__(self, key: Any, new: Any) -> None:
        FUNCTIONS["setitem"](self, key, new)


def _is(x: Any, number: float) -> bool:
    return isinstance(x, (int, float, np.generic)) and bool(x == number)


def lift(x: Any) -> Value:
    """A Symbol, array or number as a value."""
    if isinstance(x, Symbol):
        return x.value
    if isinstance(x, Value):
        return x
    return values.from_array(x)


def operand(x: Any) -> Any:
    """An operand of a ufunc, as `values.ufunc` takes it."""
    if isinstance(x, Symbol):
        return x.value if x.weak is None else (x.value, x.weak)
    if type(x) in (int, float):
        return x
    return lift(x)


def axes_of(axis: Any, ndim: int) -> tuple[int, ...]:
    """The dimensions that an ``axis`` argument names."""
    if axis is None:
        return tuple(range(ndim))
    axes = (axis,) if isinstance(axis, (int, np.integer)) else tuple(axis)
    for a in axes:
        if not -ndim <= a < ndim:
            raise np.exceptions.AxisError(a, ndim)
    return tuple(int(a) % ndim for a in axes)


def _into(target: Any, result: Any) -> Any:
    if not isinstance(target, Symbol):
        raise NotCaptured("a write into a real array")
    v = lift(result)
    plain = v.dtype.kind in "biuf" and target.dtype.kind in "biuf"
    if plain and not np.can_cast(v.dtype, target.dtype, "same_kind"):
        raise NotCaptured(f"{v.dtype} into {target.dtype}, which NumPy refuses")
    target.write(v)
    return target


def _called(ufunc: Any, inputs: Sequence[Any], options: dict[str, Any]) -> Any:
    dtype = options.pop("dtype", None)
    options.pop("casting", None)
    options.pop("subok", None)
    if options:
        raise NotCaptured(f"{ufunc.__name__} with {', '.join(options)}")
    if ufunc is np.matmul:
        a, b = (lift(x) for x in inputs)
        common = np.result_type(a.dtype, b.dtype)
        return Symbol(values.matmul(values.cast(a, common), values.cast(b, common)))
    if ufunc.signature is not None:
        raise NotCaptured(f"the function {ufunc.__name__}")
    operands = [operand(x) for x in inputs]
    made = values.ufunc(ufunc, operands, dtype)
    weak = all(isinstance(x, tuple) or type(x) in (int, float) for x in operands)
    return Symbol(made, float if weak and made.dtype == np.float64 else None)


def _reduced(ufunc: Any, inputs: Sequence[Any], options: dict[str, Any]) -> Any:
    (x,) = inputs
    v = lift(x)
    axes = axes_of(options.get("axis", 0), len(v.shape))
    dtype = options.get("dtype")
    initial = options.get("initial", np._NoValue)
    name = ufunc.__name__
    if initial is not np._NoValue and initial is not None and v.size == 0:
        gone = tuple(n for i, n in enumerate(v.shape) if i not in axes)
        found = values.from_array(np.full(gone, initial, dtype or v.dtype))
    else:
        found = values.reduce(name, v, axes, None if dtype is None else np.dtype(dtype))
        if initial is not np._NoValue and initial is not None and not _neutral(name, initial):
            found = values.ufunc(ufunc, [found, initial])
    if options.get("keepdims"):
        found = values.reshape(found, [1 if i in axes else n for i, n in enumerate(v.shape)])
    return Symbol(found)


def _neutral(name: str, initial: Any) -> bool:
    identities = {"add": 0, "multiply": 1, "maximum": -np.inf, "minimum": np.inf}
    return name in identities and _is(initial, identities[name])


def _written(ufunc: Any, inputs: Sequence[Any], options: dict[str, Any]) -> Any:
    target, key, new = inputs
    if not isinstance(target, Symbol):
        raise NotCaptured("a write into a real array")
    if ufunc is not np.add:
        raise NotCaptured(f"{ufunc.__name__}.at")
    FUNCTIONS["add_at"](target, key, new)


def _outer(ufunc: Any, inputs: Sequence[Any], options: dict[str, Any]) -> Any:
    a, b = (x if isinstance(x, Symbol) else Symbol(lift(x)) for x in inputs)
    return ufunc(a.reshape(*a.shape, *(1,) * b.ndim), b)
