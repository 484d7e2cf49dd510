"""Running sums and products along a dimension; differences, integrals and numerical gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rushlight._tensor.api import FUNCTIONS, both, dtype_of, function, ints, method, result_or_out
from rushlight._tensor.reduction import numpy_names, return_type
from rushlight.dispatch.gate import call, write, write_into
from rushlight.dispatch.tensor import Tensor
from rushlight.ir.shapes import dim_list, wrap_dim
from rushlight.ops import scan

__all__: list[str] = []


def _running(op: Any, text: str) -> None:
    def f(input: Tensor, dim: int, *, dtype: Any = None, out: Tensor | None = None) -> Any:
        attrs = (ints(dim), None if dtype is None else dtype_of(dtype))
        return call(op, (input,), attrs) if out is None else write_into(op, (input,), attrs, out)

    def f_(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:
        attrs = (ints(dim), input._meta.dtype if dtype is None else dtype_of(dtype))
        return write(op, (input,), attrs)

    f.__name__ = f.__qualname__ = op.name
    f.__doc__ = text
    f_.__name__ = f_.__qualname__ = op.name + "_"
    f_.__doc__ = f"``{op.name}`` written into the tensor itself."
    op.public = both(numpy_names(f))
    method(f_)


_running(scan.cumsum, "Running sums along a dimension; integers are summed as int64.")
_running(scan.cumprod, "Running products along a dimension; integers are multiplied as int64.")


def _running_extreme(op: Any, word: str) -> None:
    pair = return_type(op.name, "values indices")

    def f(input: Tensor, dim: int, *, out: Any = None) -> Any:
        attrs = (ints(dim),)
        if out is None:
            return pair(*call(op, (input,), attrs))
        return pair(*write_into(op, (input,), attrs, tuple(out)))

    f.__name__ = f.__qualname__ = op.name
    f.__doc__ = f"The {word} so far along a dimension, and where it (its last occurrence) stands."
    op.public = both(numpy_names(f))


_running_extreme(scan.cummax, "largest")
_running_extreme(scan.cummin, "smallest")


@both
@numpy_names
def logcumsumexp(input: Tensor, dim: int, *, out: Tensor | None = None) -> Any:
    """The logarithm of the running sums of exponentials, without overflow."""
    op, attrs = scan.logcumsumexp, (ints(dim),)
    return call(op, (input,), attrs) if out is None else write_into(op, (input,), attrs, out)


scan.logcumsumexp.public = logcumsumexp


@both
@numpy_names
def diff(
    input: Tensor,
    n: int = 1,
    dim: int = -1,
    prepend: Tensor | None = None,
    append: Tensor | None = None,
    *,
    out: Tensor | None = None,
) -> Any:
    """The n-th differences of neighbours along a dimension.

    Args:
        input: at least 1-d; bool elements are compared rather than subtracted.
        n: how often to take differences; 0 returns the input.
        dim: the dimension.
        prepend: values to put before the input first, of its size in the other dimensions.
        append: values to put behind it.

    Example:
        >>> import rushlight as torch
        >>> torch.diff(torch.tensor([1, 4, 9]))
        tensor([3, 5])
    """
    if input._meta.ndim == 0:
        raise RuntimeError("diff expects input to be at least one-dimensional")
    if n < 0:
        raise RuntimeError(f"order must be non-negative but got {n}")
    if n == 0:
        return result_or_out(input.clone() if out is None else input, out)
    parts = [t for t in (prepend, input, append) if t is not None]
    for t in parts:
        if t._meta.ndim != input._meta.ndim:
            raise RuntimeError("diff expects prepend or append to be the same dimension as input")
    x = FUNCTIONS["cat"](parts, dim) if len(parts) > 1 else input
    for _ in range(min(n, x._meta.shape[dim])):
        size = x._meta.shape[dim]
        later, sooner = x.narrow(dim, 1, size - 1), x.narrow(dim, 0, size - 1)
        x = later ^ sooner if x._meta.dtype.kind == "b" else later - sooner
    return result_or_out(x, out)


def _steps(y: Tensor, x: Tensor, dim: int) -> Any:
    """The distances between sample points, shaped to multiply y's neighbours."""
    if x._meta.ndim == 1:
        if x._meta.shape[0] != y._meta.shape[dim]:
            raise RuntimeError("There must be one `x` value for each sample point")
        shape = [1] * y._meta.ndim
        shape[dim] = x._meta.shape[0]
        x = x.view(shape)
    elif x._meta.ndim < y._meta.ndim:
        x = x.view([1] * (y._meta.ndim - x._meta.ndim) + list(x._meta.shape))
    size = x._meta.shape[dim]
    return x.narrow(dim, 1, size - 1) - x.narrow(dim, 0, size - 1)


def _strips(y: Tensor, x: Any, dx: Any, dim: int) -> Any:
    """The areas of the trapezoids between neighbours."""
    if x is not None and dx is not None:
        raise RuntimeError("trapezoid(): only one of x and dx can be given")
    dim = wrap_dim(dim, y._meta.ndim)
    size = y._meta.shape[dim]
    both_sides = y.narrow(dim, 1, size - 1) + y.narrow(dim, 0, size - 1)
    if x is None:
        return both_sides * ((1 if dx is None else dx) / 2.0)
    return both_sides * _steps(y, x, dim) / 2.0


@function
def trapezoid(y: Tensor, x: Tensor | None = None, *, dx: Any = None, dim: int = -1) -> Any:
    """The integral along a dimension by the trapezoidal rule.

    Args:
        y: the values of the function.
        x: the points where they were taken; otherwise they are ``dx`` (1) apart.
    """
    if y._meta.shape[dim] == 0:
        shape = list(y._meta.shape)
        del shape[dim]
        return y.new_zeros(shape)
    return _strips(y, x, dx, dim).sum(dim)


@function
def trapz(y: Tensor, x: Tensor | None = None, *, dx: Any = None, dim: int = -1) -> Any:
    """An older name of ``trapezoid``."""
    return trapezoid(y, x, dx=dx, dim=dim)


@function
def cumulative_trapezoid(
    y: Tensor, x: Tensor | None = None, *, dx: Any = None, dim: int = -1
) -> Any:
    """The running integral along a dimension by the trapezoidal rule."""
    if y._meta.shape[dim] == 0:
        return y.new_zeros(list(y._meta.shape))
    return _strips(y, x, dx, dim).cumsum(dim)


# Numerical gradients


def _spacings(spacing: Any, dims: Sequence[int], dims_given: bool) -> list[Any]:
    """A step or a tensor of coordinates for each dimension."""
    if isinstance(spacing, (int, float, complex)):
        return [spacing] * len(dims)
    given = [spacing] if isinstance(spacing, Tensor) else list(spacing)
    if len(given) != len(dims):
        raise RuntimeError(
            "torch.gradient expected spacing to be unspecified, a scalar or it's spacing and dim "
            f"arguments to have the same length, but got a spacing argument of length {len(given)} "
            f"and a dim argument of length {len(dims)}."
            if dims_given
            else "torch.gradient expected spacing to be unspecified, a scalar, or a list of length "
            f"equal to 'self.dim() = {len(dims)}', since dim argument was not given, but got a "
            f"list of length {len(given)}"
        )
    return given


def _one_gradient(x: Tensor, h: Any, d: int, edge_order: int) -> Any:
    size = x._meta.shape[d]

    def at(i: int) -> Any:
        return x.narrow(d, i % size, 1)

    if isinstance(h, Tensor):
        if h._meta.ndim == 0:
            h = h.item()
        else:
            return _uneven_gradient(x, h, d, edge_order)
    middle = (x.narrow(d, 2, size - 2) - x.narrow(d, 0, size - 2)) / (2.0 * h)
    if edge_order == 1:
        first, last = (at(1) - at(0)) / h, (at(-1) - at(-2)) / h
    else:
        first = (-1.5 * at(0) + 2.0 * at(1) - 0.5 * at(2)) / h
        last = (1.5 * at(-1) - 2.0 * at(-2) + 0.5 * at(-3)) / h
    return FUNCTIONS["cat"]([first, middle, last], d)


def _uneven_gradient(x: Tensor, points: Tensor, d: int, edge_order: int) -> Any:
    """Second-order differences on unevenly spaced points (Fornberg 1988)."""
    size = x._meta.shape[d]
    shape = [1] * x._meta.ndim
    shape[d] = size - 1
    step = (points[1:] - points[:-1]).view(shape)

    def at(i: int) -> Any:
        return x.narrow(d, i % size, 1)

    def gap(i: int) -> Any:
        return step.narrow(d, i % (size - 1), 1)

    a, b = step.narrow(d, 0, size - 2), step.narrow(d, 1, size - 2)
    left, here, right = (x.narrow(d, i, size - 2) for i in range(3))
    middle = -b / (a * (a + b)) * left + (b - a) / (a * b) * here + a / (b * (a + b)) * right
    if edge_order == 1:
        first, last = (at(1) - at(0)) / gap(0), (at(-1) - at(-2)) / gap(-1)
    else:
        a, b = gap(0), gap(1)
        first = (
            -(2.0 * a + b) / (a * (a + b)) * at(0)
            + (a + b) / (a * b) * at(1)
            - a / (b * (a + b)) * at(2)
        )
        a, b = gap(-2), gap(-1)
        last = (
            b / (a * (a + b)) * at(-3)
            - (a + b) / (a * b) * at(-2)
            + (a + 2.0 * b) / (b * (a + b)) * at(-1)
        )
    return FUNCTIONS["cat"]([first, middle, last], d)


@function
def gradient(input: Tensor, *, spacing: Any = 1, dim: Any = None, edge_order: int = 1) -> Any:
    """Numerical gradients along dimensions, by central differences.

    Args:
        input: the values of the function.
        spacing: a number for all dimensions, or for each a number or a vector of coordinates.
        dim: the dimensions; all of them if None.
        edge_order: 1 or 2, the order of the one-sided differences at both ends.

    Raises:
        RuntimeError: fewer than ``edge_order + 1`` elements along a dimension.
    """
    m = input._meta
    if edge_order not in (1, 2):
        raise RuntimeError("torch.gradient only supports edge_order=1 and edge_order=2.")
    spacing = 1 if spacing is None else spacing
    dims = range(m.ndim) if dim is None else [dim] if isinstance(dim, int) else list(dim)
    found = list(dim_list(tuple(dims), m.ndim)) if dims else []
    if isinstance(spacing, (int, float)) and m.dtype.is_integral:
        input = input.to(FUNCTIONS["get_default_dtype"]())
    steps = _spacings(spacing, found, dim is not None)
    for d in found:
        if m.shape[d] < edge_order + 1:
            raise RuntimeError(
                "torch.gradient expected each dimension size to be at least edge_order+1"
            )
    return tuple(
        [_one_gradient(input, h, d, edge_order) for h, d in zip(steps, found, strict=True)]
    )
