"""Products and combinations of tensors: kron, cross, block_diag, cartesian_prod, vander, cov."""

from __future__ import annotations

import itertools
import math
from typing import Any

from rushlight import dtypes
from rushlight._tensor.api import FUNCTIONS, both, function, result_or_out
from rushlight.dispatch.gate import call, write_into
from rushlight.dispatch.namespace import o
from rushlight.dispatch.tensor import Tensor
from rushlight.ops import products as records

__all__: list[str] = []


@both
def kron(input: Tensor, other: Tensor, *, out: Any = None) -> Any:
    """The Kronecker product: each element of the input times the whole other tensor."""
    n = max(input._meta.ndim, other._meta.ndim)
    a = (1,) * (n - input._meta.ndim) + tuple(input._meta.shape)
    b = (1,) * (n - other._meta.ndim) + tuple(other._meta.shape)
    spread = o.reshape(input, [s for size in a for s in (size, 1)])
    inner = o.reshape(other, [s for size in b for s in (1, size)])
    shape = tuple(x * y for x, y in zip(a, b, strict=True))
    return result_or_out(o._unsafe_view(o.contiguous(spread * inner), shape), out)


def linalg_cross(input: Tensor, other: Tensor, *, dim: int = -1, out: Any = None) -> Any:
    """The cross product of vectors of three elements along a dimension; others broadcast."""
    inputs, attrs = (input, other), (dim,)
    return (
        call(records.linalg_cross, inputs, attrs)
        if out is None
        else write_into(records.linalg_cross, inputs, attrs, out)
    )


@both
def cross(input: Tensor, other: Tensor, dim: int | None = None, *, out: Any = None) -> Any:
    """The cross product along a dimension of size 3 (the first such if none is given)."""
    if dim is None:
        import warnings

        warnings.warn(
            "Using torch.cross without specifying the dim arg is deprecated.\n"
            "Please either pass the dim explicitly or simply use torch.linalg.cross.\n"
            "The default value of dim will change to agree with that of linalg.cross in a future "
            "release.",
            UserWarning,
            stacklevel=2,
        )
        dim = next((d for d, size in enumerate(input._meta.shape) if size == 3), None)
        if dim is None:
            raise RuntimeError("no dimension of size 3 in input")
    return linalg_cross(input, other, dim=dim, out=out)


@function
def block_diag(*tensors: Any) -> Any:
    """A matrix with these matrices (vectors as rows, numbers as 1 x 1) along its diagonal."""
    if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)):
        tensors = tuple(tensors[0])
    if not tensors:
        return FUNCTIONS["empty"](1, 0)
    return call(records.block_diag, tensors)


@function
def cartesian_prod(*tensors: Any) -> Any:
    """All combinations of the elements of vectors, one a row."""
    for t in tensors:
        if t._meta.ndim != 1:
            raise RuntimeError(f"Expect a 1D vector, but got shape {list(t._meta.shape)}")
    if len(tensors) == 1:
        return tensors[0]
    grids = [g.flatten() for g in FUNCTIONS["meshgrid"](*tensors, indexing="ij")]
    return FUNCTIONS["stack"](grids, 1)


@function
def combinations(input: Tensor, r: int = 2, with_replacement: bool = False) -> Any:
    """All ways to choose ``r`` elements of a vector, one a row.

    Example:
        >>> import rushlight as torch
        >>> torch.combinations(torch.tensor([1, 2, 3]))
        tensor([[1, 2],
                [1, 3],
                [2, 3]])
    """
    if input._meta.ndim != 1:
        raise RuntimeError(f"Expect a 1D vector, but got shape {list(input._meta.shape)}")
    if r < 0:
        raise RuntimeError(f"Expect a non-negative number, but got {r}")
    if r == 0:
        return input.new_empty(0)
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    rows = list(choose(range(input._meta.numel), r))
    at = FUNCTIONS["tensor"](rows, dtype=dtypes.int64).reshape(-1, r)
    return o.reshape(o.index_select(input, o.reshape(at, (-1,)), 0), (len(rows), r))


def linalg_vander(x: Tensor, *, N: int | None = None) -> Any:
    """The powers 0 to N-1 of each element, along a new last dimension."""
    x = x if x._meta.ndim else x.unsqueeze(0)
    n = x._meta.shape[-1] if N is None else N
    if n <= 1:
        raise RuntimeError("N must be greater than 1.")
    if x._meta.dtype.name == "bool":
        raise RuntimeError("linalg.vander not implemented for 'Bool'")
    wide = x.to(dtypes.int64) if x._meta.dtype.is_integral else x
    powers = wide.unsqueeze(-1).expand(*x._meta.shape, n - 1)
    ones = FUNCTIONS["ones_like"](wide.unsqueeze(-1))
    return FUNCTIONS["cat"]([ones, FUNCTIONS["cumprod"](powers, -1)], -1)


@function
def vander(x: Tensor, N: int | None = None, increasing: bool = False) -> Any:
    """The Vandermonde matrix of a vector: its powers N-1 to 0 (or 0 to N-1) as columns."""
    if x._meta.ndim != 1:
        raise RuntimeError("x must be a one-dimensional tensor.")
    n = x._meta.numel if N is None else N
    if n < 0:
        raise RuntimeError("N must be non-negative.")
    kind = dtypes.int64 if x._meta.dtype.is_integral else x._meta.dtype
    if x._meta.numel == 0 or n == 0:
        return FUNCTIONS["empty"](x._meta.numel, n, dtype=kind)
    made = FUNCTIONS["ones"](x._meta.numel, 1, dtype=kind)
    if n > 1:
        powers = x.to(kind).unsqueeze(1).expand(x._meta.numel, n - 1)
        made = FUNCTIONS["cat"]([made, FUNCTIONS["cumprod"](powers, 1)], 1)
    return made if increasing else made.flip(1)


# Covariance


def _check_weights(name: str, w: Tensor, count: int, integral: bool) -> None:
    if w._meta.ndim > 1:
        raise RuntimeError(
            f"cov(): expected {name} to have one or fewer dimensions but got {name} with "
            f"{w._meta.ndim} dimensions"
        )
    if integral and not (w._meta.dtype.is_integral and w._meta.dtype.name != "bool"):
        raise RuntimeError(
            f"cov(): expected {name} to have integral dtype but got {name} with "
            f"{w._meta.dtype.title} dtype"
        )
    if not integral and not w._meta.dtype.is_floating_point:
        raise RuntimeError(
            f"cov(): expected {name} to have floating point dtype but got {name} with "
            f"{w._meta.dtype.title} dtype"
        )
    if w._meta.numel != count:
        raise RuntimeError(
            f"cov(): expected {name} to have the same numel as there are observations in the input "
            f"but got {w._meta.numel} != {count}"
        )
    if count and bool((w < 0).any()):
        raise RuntimeError(f"cov(): {name} cannot be negative")


def _weighted_count(x: Tensor, w: Any, a: Any, weights_sum: Any, count: int, delta: int) -> Any:
    """By what the sum of products is divided."""
    if w is None:
        return float(count - delta)
    if delta == 0:
        return weights_sum
    if a is None:
        return weights_sum - delta
    return weights_sum - delta * (w * a).sum() / weights_sum


@both
def cov(input: Tensor, *, correction: int = 1, fweights: Any = None, aweights: Any = None) -> Any:
    """The covariance matrix of variables (rows) over observations (columns).

    Args:
        input: a matrix, a vector (one variable) or a number.
        correction: the sum of products is divided by the number of observations less this.
        fweights: how often each observation occurred, integers.
        aweights: how much each observation counts, floating point.

    Example:
        >>> import rushlight as torch
        >>> torch.cov(torch.tensor([[0.0, 1.0, 2.0], [2.0, 1.0, 0.0]]))
        tensor([[ 1., -1.],
                [-1.,  1.]])
    """
    if input._meta.ndim > 2:
        raise RuntimeError(
            "cov(): expected input to have two or fewer dimensions but got an input with "
            f"{input._meta.ndim} dimensions"
        )
    if input._meta.dtype.name == "bool":
        raise RuntimeError("cov(): bool dtype is not supported for input")
    x = input if input._meta.ndim == 2 else o.reshape(input, (1, -1))
    count = x._meta.shape[1]
    w = None
    if fweights is not None:
        _check_weights("fweights", fweights, count, True)
        w = fweights
    if aweights is not None:
        _check_weights("aweights", aweights, count, False)
        w = aweights if w is None else w * aweights
    total = None
    if w is not None:
        total = w.to(dtypes.default_float() if w._meta.dtype.is_integral else w._meta.dtype).sum()
        if float(total) == 0:
            raise RuntimeError("cov(): weights sum to zero, can't be normalized")
        mean = (x * w).sum(1) / total
    else:
        kind = dtypes.default_float() if x._meta.dtype.is_integral else x._meta.dtype
        mean = x.sum(1).to(kind) / count if count else x.to(kind).mean(1)
    divisor = _weighted_count(x, w, aweights, total, count, correction)
    if isinstance(divisor, float):
        if divisor <= 0:
            _warn_freedom()
            divisor = 0.0
    elif float(divisor) <= 0:
        _warn_freedom()
        divisor = FUNCTIONS["zeros_like"](divisor)
    x = x - mean.unsqueeze(1)
    y = x if w is None else x * w
    y = y.to(x._meta.dtype)
    return (FUNCTIONS["mm"](x, y.t().conj()) / divisor).squeeze()


def _warn_freedom() -> None:
    import warnings

    warnings.warn(
        "cov(): degrees of freedom is <= 0. Correction should be strictly less than the number of "
        "observations.",
        UserWarning,
        stacklevel=3,
    )


@both
def corrcoef(input: Tensor) -> Any:
    """Pearson's correlation coefficients of variables (rows): covariances over deviations."""
    if input._meta.ndim > 2:
        raise RuntimeError(
            "corrcoef(): expected input to have two or fewer dimensions but got an input with "
            f"{input._meta.ndim} dimensions"
        )
    c = cov(input)
    if c._meta.ndim == 0:
        return c / c  # NaN where the variance is 0 or infinite
    d = c.diag()
    deviations = (d.real if c._meta.dtype.is_complex else d).sqrt()
    c = c / deviations.view(-1, 1)
    c = c / deviations.view(1, -1)
    if c._meta.dtype.is_complex:
        return FUNCTIONS["complex"](c.real.clip(-1, 1), c.imag.clip(-1, 1))
    return c.clip(-1, 1)


@function
def unravel_index(indices: Tensor, shape: Any) -> Any:
    """Coordinates in a tensor of this shape for positions in row-major order."""
    if (
        indices._meta.dtype.is_floating_point
        or indices._meta.dtype.is_complex
        or (indices._meta.dtype.name == "bool")
    ):
        raise TypeError(f"expected 'indices' to be integer dtype, but got {indices._meta.dtype!r}")
    if isinstance(shape, Tensor):
        shape = shape.tolist()
    sizes = (shape,) if isinstance(shape, int) else tuple(shape)
    if any(s < 0 for s in sizes):
        raise ValueError(f"'shape' cannot have negative values, but got {tuple(sizes)}")
    steps = [math.prod(sizes[d + 1 :]) for d in range(len(sizes))]
    step = FUNCTIONS["tensor"](steps, dtype=dtypes.int64, device=indices._meta.device)
    size = FUNCTIONS["tensor"](sizes, dtype=dtypes.int64, device=indices._meta.device)
    found = indices.unsqueeze(-1).div(step, rounding_mode="floor") % size
    return found.unbind(-1)
