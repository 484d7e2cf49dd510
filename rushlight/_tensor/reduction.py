"""Reductions: sums, means, extremes, truth, spread."""

from __future__ import annotations

import functools
from collections import namedtuple
from typing import Any

import numpy as np

from rushlight._tensor.api import (
    FUNCTIONS,
    both,
    checked_out,
    dtype_of,
    function,
    ints,
    is_tensor,
    method,
    must_be_tensors,
    result_or_out,
    size_of,
)
from rushlight.dispatch.gate import call, write_into
from rushlight.dispatch.namespace import o
from rushlight.dispatch.tensor import Tensor
from rushlight.ir.shapes import wrap_dim
from rushlight.naming import PublicType
from rushlight.ops import reduce
from rushlight.ops.refusals import no_overload

__all__ = ["RETURN_TYPES", "return_type"]

RETURN_TYPES: dict[str, Any] = {}


def return_type(name: str, fields: str) -> Any:
    """A named tuple as ``torch.return_types`` has them."""
    base = namedtuple(name, fields)  # type: ignore[misc]

    def show(self: Any) -> str:
        inner = ",\n".join(f"{k}={v!r}" for k, v in zip(self._fields, self, strict=True))
        return f"torch.return_types.{name}(\n{inner})"

    made = PublicType(
        name,
        (base,),
        {"__slots__": (), "__module__": "rushlight.return_types", "__repr__": show},
    )
    RETURN_TYPES[name] = made
    return made


def numpy_names(f: Any) -> Any:
    """Accepts NumPy's ``axis`` and ``keepdims`` for ``dim`` and ``keepdim``."""

    @functools.wraps(f)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        if kwargs:
            if "axis" in kwargs:
                kwargs["dim"] = kwargs.pop("axis")
            if "keepdims" in kwargs:
                kwargs["keepdim"] = kwargs.pop("keepdims")
        return f(*args, **kwargs)

    return wrapper


def _numpy_values(name: str, dim: Any, keepdim: Any, **given: Any) -> tuple[Any, Any]:
    """``dim`` and ``keepdim`` where NumPy's names for them were given."""
    for key in given:
        if key not in ("axis", "keepdims"):
            raise TypeError(f"{name}() got an unexpected keyword argument '{key}'")
    return given.get("axis", dim), given.get("keepdims", keepdim)


def _flag(name: str, keepdim: Any) -> bool:
    """``keepdim``, which must be a bool: ``x.sum(0, 1)`` is a mistake for ``x.sum((0, 1))``."""
    if isinstance(keepdim, (bool, np.bool_)):
        return bool(keepdim)
    raise TypeError(
        f"{name}(): argument 'keepdim' (position 2) must be bool, not {type(keepdim).__name__}"
    )


def _with_dtype(op: Any, doc: str) -> None:
    def f(
        input: Tensor,
        dim: Any = None,
        keepdim: bool = False,
        *,
        dtype: Any = None,
        out: Any = None,
        **numpy: Any,
    ) -> Any:
        if numpy:
            dim, keepdim = _numpy_values(op.name, dim, keepdim, **numpy)
        if keepdim is not False:
            keepdim = _flag(op.name, keepdim)
        attrs = (
            dim if dim is None else ints(dim),
            keepdim,
            None if dtype is None else dtype_of(dtype),
        )
        return call(op, (input,), attrs) if out is None else write_into(op, (input,), attrs, out)

    f.__name__ = f.__qualname__ = op.name
    f.__doc__ = doc
    both(f)
    op.public = f


_with_dtype(reduce.sum, "The sum of all elements, or over dimensions.")
_with_dtype(reduce.mean, "The mean of all elements, or over dimensions.")


@both
@numpy_names
def prod(
    input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None, out: Any = None
) -> Any:
    """The product of all elements, or over one dimension."""
    attrs = (ints(dim), bool(keepdim), None if dtype is None else dtype_of(dtype))
    return (
        call(reduce.prod, (input,), attrs)
        if out is None
        else write_into(reduce.prod, (input,), attrs, out)
    )


def _plain(op: Any, doc: str, needs_dim: bool = False) -> None:
    def f(input: Tensor, dim: Any = None, keepdim: bool = False, *, out: Any = None) -> Any:
        attrs = (ints(dim), _flag(op.name, keepdim))
        if out is None:
            return call(op, (input,), attrs)
        have, want = input._meta.dtype, out._meta.dtype
        if have is not want and op.name in ("amax", "amin"):
            raise RuntimeError(
                f"Expected the dtype for input and out to match, but got {have.title} for input's "
                f"dtype and {want.title} for out's dtype."
            )
        return write_into(op, (input,), attrs, out)

    f.__name__ = f.__qualname__ = op.name
    f.__doc__ = doc
    f = numpy_names(f)
    both(f)
    op.public = f


_plain(reduce.amax, "The largest values over dimensions; ties share the gradient.")
_plain(reduce.amin, "The smallest values over dimensions; ties share the gradient.")
_plain(reduce.any, "Whether any element is true, over all or over dimensions.")
_plain(reduce.all, "Whether all elements are true, over all or over dimensions.")
_plain(reduce.argmax, "Where the largest value stands (the first of equals).")
_plain(reduce.argmin, "Where the smallest value stands (the first of equals).")


@both
@numpy_names
def logsumexp(input: Tensor, dim: Any, keepdim: bool = False, *, out: Any = None) -> Any:
    """The logarithm of the sum of exponentials over dimensions, computed without overflow."""
    op, attrs = reduce.logsumexp, (ints(dim), _flag("logsumexp", keepdim))
    return call(op, (input,), attrs) if out is None else write_into(op, (input,), attrs, out)


reduce.logsumexp.public = logsumexp


@both
def aminmax(
    input: Tensor, *, dim: int | None = None, keepdim: bool = False, out: Any = None
) -> Any:
    """The smallest and largest values."""
    m = input._meta
    if dim is None and m.numel == 0:
        raise RuntimeError(
            "aminmax(): cannot compute aminmax over an empty dimension as the operation has no "
            "identity."
        )
    if dim is not None and m.ndim and m.shape[wrap_dim(dim, m.ndim)] == 0:
        at = wrap_dim(dim, m.ndim)
        raise IndexError(f"aminmax: Expected reduction dim {at} to have non-zero size.")
    for target in out or ():
        checked_out(target, m.dtype, ())
    made = (
        call(reduce.amin, (input,), (dim, keepdim)),
        call(reduce.amax, (input,), (dim, keepdim)),
    )
    return _AMINMAX(*result_or_out(made, out))


_AMINMAX = return_type("aminmax", "min max")


_EXTREME_FORMS = (
    "Tensor input, *, Tensor out = None",
    "Tensor input, Tensor other, *, Tensor out = None",
    "Tensor input, int dim, bool keepdim = False, *, tuple of Tensors out = None",
)


def _extreme(name: str, over_all: Any, over_dim: Any, pairwise: str) -> None:
    pair = return_type(name, "values indices")

    def f(
        input: Tensor, dim: Any = None, keepdim: bool = False, *, other: Any = None, out: Any = None
    ) -> Any:
        if not is_tensor(input) or isinstance(dim, float):
            if dim is None and other is None:
                must_be_tensors(name, ("input",), (input,))
            raise no_overload(name, (input, dim if other is None else other), _EXTREME_FORMS)
        if isinstance(dim, Tensor):
            other, dim = dim, None
        if other is not None:
            return FUNCTIONS[pairwise](input, other, out=out)
        if dim is None:
            if out is not None:
                return write_into(over_all, (input,), (), out)
            return call(over_all, (input,))
        attrs = (ints(dim), bool(keepdim))
        if out is not None:
            return pair(*write_into(over_dim, (input,), attrs, tuple(out)))
        return pair(*call(over_dim, (input,), attrs))

    f.__name__ = f.__qualname__ = name
    f.__doc__ = (
        f"The {name}imum of all elements; with ``dim``, the values and indices over it; "
        f"with ``other``, the elementwise {name}imum."
    )
    f = numpy_names(f)
    both(f)
    over_all.public = over_dim.public = f


_extreme("max", reduce.max_all, reduce.max_dim, "maximum")
_extreme("min", reduce.min_all, reduce.min_dim, "minimum")


def _spread(op: Any) -> None:
    def f(
        input: Tensor,
        dim: Any = None,
        unbiased: Any = None,
        keepdim: bool = False,
        *,
        correction: Any = 1,
        out: Any = None,
    ) -> Any:
        if isinstance(dim, bool):  # var(input, unbiased)
            dim, unbiased = None, dim
        if unbiased is not None:
            correction = 1 if unbiased else 0
        dims = ints(dim)
        attrs = (
            None if dims == () else dims,
            bool(keepdim),
            1 if correction is None else correction,
        )
        _warn_degrees(input, attrs)
        return call(op, (input,), attrs) if out is None else write_into(op, (input,), attrs, out)

    f.__name__ = f.__qualname__ = op.name
    f.__doc__ = "The variance" if op.name == "var" else "The standard deviation"
    f.__doc__ += " over all elements or dimensions, with Bessel's correction unless told otherwise."
    f = numpy_names(f)
    both(f)
    op.public = f


def _warn_degrees(input: Tensor, attrs: Any) -> None:
    from rushlight.ops.reduce import _count

    m = input._meta
    if m.numel and attrs[2] >= _count(m.shape, attrs[0]):
        import warnings

        warnings.warn(
            "std(): degrees of freedom is <= 0. Correction should be strictly less than the "
            "reduction factor (input numel divided by output numel).",
            UserWarning,
            stacklevel=4,
        )


_spread(reduce.var)
_spread(reduce.std)


def _with_mean(name: str) -> None:
    def f(
        input: Tensor,
        dim: Any = None,
        unbiased: Any = None,
        keepdim: bool = False,
        *,
        correction: Any = 1,
        out: Any = None,
    ) -> Any:
        if isinstance(dim, bool):
            dim, unbiased = None, dim
        if input._meta.dtype.is_integral:
            raise RuntimeError(f"{name}_mean only support floating point and complex dtypes")
        first = FUNCTIONS[name](input, dim, unbiased, keepdim, correction=correction)
        return first, FUNCTIONS["mean"](input, dim, keepdim)

    f.__name__ = f.__qualname__ = name + "_mean"
    f.__doc__ = f"``({name}(input), mean(input))``."
    function(numpy_names(f))


_with_mean("var")
_with_mean("std")


@both
def count_nonzero(input: Tensor, dim: Any = None) -> Any:
    """How many elements are not zero."""
    return (input != 0).sum(ints(dim))


@both
@numpy_names
def nansum(
    input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None, out: Any = None
) -> Any:
    """The sum with NaN counted as 0."""
    if input._meta.dtype.is_complex:
        raise RuntimeError("nansum on CPU does not support complex inputs")
    made = FUNCTIONS["sum"](input.masked_fill(input.isnan(), 0), dim, keepdim, dtype=dtype)
    return result_or_out(made, out)


@both
@numpy_names
def nanmean(
    input: Tensor, dim: Any = None, keepdim: bool = False, *, dtype: Any = None, out: Any = None
) -> Any:
    """The mean of the elements that are not NaN."""
    if input._meta.dtype.is_integral:
        raise RuntimeError(
            "nanmean(): expected input to have floating point or complex dtype but got "
            f"{input._meta.dtype.title}"
        )
    count = (~input.isnan()).sum(ints(dim), keepdim)
    return result_or_out(nansum(input, dim, keepdim, dtype=dtype) / count, out)


@method
def sum_to_size(input: Tensor, *size: Any) -> Any:
    """The sum over the dimensions along which ``size`` would be broadcast to this shape."""
    shape = size_of(size)
    have = input._meta.shape
    lead = len(have) - len(shape)
    if lead < 0 or any(s not in (1, have[i + lead]) for i, s in enumerate(shape)):
        raise RuntimeError(f"size {{{list(shape)}}} is not expandable to size {{{list(have)}}}.")
    if input._meta.dtype.is_integral and not shape:
        return input.sum()
    return o.sum_to(input, shape)


def _tensors(name: str, input: Any, other: Any) -> None:
    for i, (label, value) in enumerate((("input", input), ("other", other))):
        if not isinstance(value, Tensor):
            raise TypeError(
                f"{name}(): argument '{label}' (position {i + 1}) must be Tensor, "
                f"not {type(value).__name__}"
            )


@both
def equal(input: Tensor, other: Tensor) -> bool:
    """Whether two tensors have the same size and elements."""
    _tensors("equal", input, other)
    if input._meta.shape != other._meta.shape:
        return False
    return bool((input == other).all())


@both
def isclose(
    input: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False
) -> Tensor:
    """Where ``|input - other| <= atol + rtol * |other|``."""
    _tensors("isclose", input, other)
    a, b = input._meta.dtype, other._meta.dtype
    if a is not b:
        raise RuntimeError(f"{a.title} did not match {b.title}")
    for name, bound in (("rtol", rtol), ("atol", atol)):
        if bound < 0:
            raise RuntimeError(f"{name} must be greater than or equal to zero, but got {bound}")
    close = input == other
    if equal_nan and a.kind in "fc":
        close = close | (input.isnan() & other.isnan())
    if rtol == 0 and atol == 0:
        return close
    if a.kind not in "fc":
        input, other = (
            input.to(FUNCTIONS["get_default_dtype"]()),
            other.to(FUNCTIONS["get_default_dtype"]()),
        )
    gap = (input - other).abs()
    within: Tensor = close | (gap.isfinite() & (gap <= atol + (rtol * other).abs()))
    return within


@both
def allclose(
    input: Tensor, other: Tensor, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False
) -> bool:
    """Whether all elements are close."""
    _tensors("allclose", input, other)
    return bool(isclose(input, other, rtol, atol, equal_nan).all())
