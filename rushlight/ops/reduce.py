"""Reductions: sums, means, extremes, norms and truth over dimensions.

Gradients give the reduced dimensions back with size 1 (``o.restore``) and broadcast.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.ir.meta import Meta, meta
from rushlight.ir.op import Op, Plan
from rushlight.ir.shapes import dim_list, reduced, wrap_dim
from rushlight.ops.build import opmath, reduction, unsupported
from rushlight.ops.refusals import refusal

_add_up: Any = np.add.reduce
_NO_IDENTITY = "{name}(): Expected reduction dim {dim} to have non-zero size."


def _spread(o: Any, g: Any, shape: Any, dim: Any, keepdim: bool) -> Any:
    """A reduction's gradient, expanded to the input's shape."""
    g = o.restore(g, shape, dim_list(dim, len(shape)), keepdim)
    return o.expand(g, tuple(shape))


def _sum(x: Any, dims: Any, keepdim: bool, dtype: Any = None) -> Any:
    return _add_up(x, dims, x.dtype, None, keepdim)


def _numbered(name: str) -> Any:
    """SumBackward0 over everything, SumBackward1 over given dimensions."""
    return lambda metas, attrs: f"{name}Backward{0 if attrs[0] is None else 1}"


sum = reduction(
    "sum",
    _sum,
    result="wide",
    attrs=("dim", "keepdim", "dtype"),
    defaults=(None, False, None),
    dtype_at=2,
    grads=(lambda o, g, _x, _y, dim, keepdim, dtype: _spread(o, g, _x.shape, dim, keepdim),),
    node=_numbered("Sum"),
)


def _count(shape: Any, dim: Any) -> int:
    n = 1
    for d in dim_list(dim, len(shape)):
        n *= shape[d] if shape else 1
    return n


def _mean_rule(m: Meta, dim: Any, keepdim: bool, dtype: Any) -> Plan:
    dt = dtype or m.dtype
    if dt.is_integral:
        raise RuntimeError(
            f"mean(): could not infer output dtype. {'Optional' if dtype else 'Input'} dtype must "
            f"be either a floating point or complex dtype. Got: {dt.title}"
        )
    dims = dim_list(dim, m.ndim)
    return Plan(meta(reduced(m.shape, dims, keepdim), dt, None, m.device), compute=opmath(dt))


mean = Op(
    "mean",
    kind="reduce",
    attrs=("dim", "keepdim", "dtype"),
    defaults=(None, False, None),
    rule=_mean_rule,
    kernel=lambda x, dim, keepdim, dtype: _mean(x, dim_list(dim, x.ndim), keepdim),
    grads=(
        lambda o, g, _x, _y, dim, keepdim, dtype: (
            _spread(o, g, _x.shape, dim, keepdim) / max(_count(_x.shape, dim), 1)
        ),
    ),
    node=_numbered("Mean"),
)


def _mean(x: Any, dims: Any, keepdim: bool) -> Any:
    count = _count(x.shape, dims)
    total = _add_up(x, dims, x.dtype, None, keepdim)
    return np.divide(total, x.dtype.type(count))


def _prod_grad(o: Any, g: Any, x: Any, y: Any, dim: Any, keepdim: bool, dtype: Any) -> Any:
    """d prod / dx_i = the product of the others; by division where no element is 0."""
    shape = x._meta.shape
    spread = _spread(o, g, shape, dim, keepdim)
    if o.holds(x != 0):
        return spread * o.conj(
            o.expand(o.restore(y, shape, dim_list(dim, len(shape)), keepdim), tuple(shape)) / x
        )
    if dim is None or len(shape) <= 1:
        return spread * o.conj(
            o.reshape(o.products_of_others(o.reshape(x, (-1,)), 0), tuple(shape))
        )
    return spread * o.conj(o.products_of_others(x, wrap_dim(dim, len(shape))))


def _products_of_others(x: Any, dim: int) -> Any:
    """For each element, the product of the other elements along a dimension."""
    x = np.moveaxis(x, dim, -1)
    ones = np.ones((*x.shape[:-1], 1), x.dtype)
    before = np.cumprod(np.concatenate([ones, x[..., :-1]], -1), -1)
    after = np.cumprod(np.concatenate([ones, x[..., :0:-1]], -1), -1)[..., ::-1]
    return np.moveaxis(before * after, -1, dim)


products_of_others = Op(
    "products_of_others",
    kind="scan",
    attrs=("dim",),
    rule=lambda m, dim: m.like(),
    kernel=_products_of_others,
    samples=lambda make: [((make(3, 4),), (1,)), ((make(3, 2),), (0,))],
    grads=(lambda o, g, x, _y, dim: _others_grad(o, g, x, dim),),
)


def _others_grad(o: Any, g: Any, x: Any, dim: int) -> Any:
    """The sum over j of g_j times the conjugate product of all but i and j."""
    size = x._meta.shape[dim]
    positions = o.arange(0, size, 1, dtypes.int64, x._meta.device)
    positions = o.view(positions, tuple(size if d == dim else 1 for d in range(x._meta.ndim)))
    total = None
    for j in range(size):
        here = positions == j
        g_j = o.sum(o.where(here, g, o.zeros_like(g)), dim, True, None)
        without = o.products_of_others(o.where(here, o.full_like(x, 1), x), dim)
        part = g_j * o.conj(o.where(here, o.zeros_like(without), without))
        total = part if total is None else total + part
    return o.zeros_like(x) if total is None else total


prod = reduction(
    "prod",
    lambda x, dims, keepdim, dtype: np.prod(x, axis=dims, keepdims=keepdim, dtype=x.dtype),
    result="wide",
    attrs=("dim", "keepdim", "dtype"),
    defaults=(None, False, None),
    dtype_at=2,
    grads=(_prod_grad,),
    node=_numbered("Prod"),
)


def _extreme(kernel: Any) -> Any:
    return lambda x, dims, keepdim: kernel(x, axis=dims, keepdims=keepdim)


def _share(o: Any, g: Any, x: Any, y: Any, dim: Any, keepdim: bool) -> Any:
    """The gradient of an extreme value, shared evenly among ties."""
    shape = x._meta.shape
    dims = dim_list(dim, len(shape))
    best = o.restore(y, shape, dims, keepdim)
    mask = x == best
    mask = mask | ((x != x) & (best != best))
    count = o.sum(mask, dims, True, None)
    return o.cast(mask, g._meta.dtype) * (o.restore(g, shape, dims, keepdim) / count)


amax = reduction("amax", _extreme(np.max), kinds="buif", nonempty=_NO_IDENTITY, grads=(_share,))
amin = reduction("amin", _extreme(np.min), kinds="buif", nonempty=_NO_IDENTITY, grads=(_share,))


def _whole_extreme(name: str, kernel: Any) -> Op:
    """``x.max()``: the extreme of all elements; ties share the gradient."""

    def rule(m: Meta) -> Meta:
        if m.numel == 0:
            raise RuntimeError(
                f"{name}(): Expected reduction dim to be specified for input.numel() == 0. "
                "Specify the reduction dim with the 'dim' argument."
            )
        if m.dtype.is_complex:
            raise unsupported(f"{name}_all", m.dtype)
        return meta((), m.dtype, None, m.device)

    return Op(
        f"{name}_all",
        kind="reduce",
        rule=rule,
        kernel=lambda x: kernel(x),
        grads=(lambda o, g, x, y: _share(o, g, x, y, None, False),),
        node=f"{name.capitalize()}Backward1",
    )


max_all = _whole_extreme("max", np.max)
min_all = _whole_extreme("min", np.min)


def _extreme_dim(name: str, kernel: Any, arg: Any) -> Op:
    """``x.max(dim)``: extreme values and where the first of each stands."""

    def rule(m: Meta, dim: int, keepdim: bool) -> Any:
        if m.dtype.is_complex:
            raise unsupported(f"{name}_cpu", m.dtype)
        d = wrap_dim(dim, m.ndim)
        if m.ndim and m.shape[d] == 0:
            raise IndexError(f"{name}(): Expected reduction dim {d} to have non-zero size.")
        out = reduced(m.shape, (d,) if m.ndim else (), keepdim)
        return meta(out, m.dtype, None, m.device), meta(out, dtypes.int64, None, m.device)

    def run(x: Any, dim: int, keepdim: bool) -> Any:
        if x.ndim == 0:
            return x.copy(), np.zeros((), np.int64)
        where = arg(x, axis=dim)
        index = np.expand_dims(where, dim)
        values = np.take_along_axis(x, index, dim)
        return (values, index) if keepdim else (np.squeeze(values, dim), where)

    def backward(
        o: Any, needs: Any, g: Any, inputs: Any, outputs: Any, dim: int, keepdim: bool
    ) -> Any:
        return (o.put_back(g[0], outputs[1], inputs[0].shape, dim, keepdim),)

    return Op(
        f"{name}_dim",
        kind="reduce",
        attrs=("dim", "keepdim"),
        defaults=(False,),
        rule=rule,
        kernel=run,
        backward=backward,
        keeps_outputs=(1,),
        node=f"{name.capitalize()}Backward0",
    )


max_dim = _extreme_dim("max", np.max, np.argmax)
min_dim = _extreme_dim("min", np.min, np.argmin)


def _arg_rule(name: str) -> Any:
    def rule(m: Meta, dim: Any, keepdim: bool) -> Meta:
        if m.dtype.is_complex or m.dtype.kind == "b":
            raise refusal(name, m.dtype)
        if dim is None:
            if m.numel == 0:
                raise IndexError(
                    f"{name}(): Expected reduction dim to be specified for input.numel() == 0."
                )
            return meta((1,) * m.ndim if keepdim else (), dtypes.int64, None, m.device)
        d = wrap_dim(dim, m.ndim)
        if m.ndim and m.shape[d] == 0:
            raise IndexError(f"{name}(): Expected reduction dim {d} to have non-zero size.")
        return meta(reduced(m.shape, (d,) if m.ndim else (), keepdim), dtypes.int64, None, m.device)

    return rule


def _arg_kernel(find: Any) -> Any:
    def run(x: Any, dim: Any, keepdim: bool) -> Any:
        if dim is None:
            return np.reshape(find(x.reshape(-1)), (1,) * x.ndim if keepdim else ())
        if x.ndim == 0:
            return np.zeros((), np.int64)
        return find(x, axis=dim, keepdims=keepdim)

    return run


argmax = Op(
    "argmax",
    kind="reduce",
    attrs=("dim", "keepdim"),
    defaults=(None, False),
    rule=_arg_rule("argmax"),
    kernel=_arg_kernel(np.argmax),
)
argmin = Op(
    "argmin",
    kind="reduce",
    attrs=("dim", "keepdim"),
    defaults=(None, False),
    rule=_arg_rule("argmin"),
    kernel=_arg_kernel(np.argmin),
)


def _truth_rule(m: Meta, dim: Any, keepdim: bool) -> Plan:
    kind = dtypes.uint8 if m.dtype is dtypes.uint8 else dtypes.bool_
    out = meta(reduced(m.shape, dim_list(dim, m.ndim, False), keepdim), kind, None, m.device)
    return Plan(out, compute=dtypes.complex64 if m.dtype is dtypes.complex32 else None)


any = Op(
    "any",
    kind="reduce",
    attrs=("dim", "keepdim"),
    defaults=(None, False),
    rule=_truth_rule,
    kernel=lambda x, dim, keepdim: np.any(x, axis=dim_list(dim, x.ndim, False), keepdims=keepdim),
)
all = Op(
    "all",
    kind="reduce",
    attrs=("dim", "keepdim"),
    defaults=(None, False),
    rule=_truth_rule,
    kernel=lambda x, dim, keepdim: np.all(x, axis=dim_list(dim, x.ndim, False), keepdims=keepdim),
)


def _var(x: Any, dims: Any, keepdim: bool, correction: Any) -> Any:
    count = _count(x.shape, dims)
    centre = np.mean(x, axis=dims, keepdims=True, dtype=x.dtype) if count else 0
    spread = x - centre
    if spread.dtype.kind == "c":
        spread = np.abs(spread)
    squares = np.multiply(spread, spread, out=spread if spread.ndim else None)
    total = _add_up(squares, dims, None, None, keepdim)
    return total / total.dtype.type(max(count - correction, 0))


def _var_grad(o: Any, g: Any, x: Any, _y: Any, dim: Any, keepdim: bool, correction: Any) -> Any:
    """d var / dx = 2 (x - mean) / (n - correction)."""
    shape = x._meta.shape
    count = _count(shape, dim)
    freedom = count - correction
    scale = 2.0 / freedom if freedom > 0 else float("nan") if freedom == 0 else 0.0
    return (
        _spread(o, g, shape, dim, keepdim)
        * scale
        * (
            x - o.mean(x, dim, True, None)
            if dim is not None or not shape
            else x - o.mean(x, None, False, None)
        )
    )


var = reduction(
    "var",
    _var,
    result="real",
    kinds="fc",
    attrs=("dim", "keepdim", "correction"),
    defaults=(None, False, 1),
    grads=(_var_grad,),
)


def _std_grad(o: Any, g: Any, x: Any, y: Any, dim: Any, keepdim: bool, correction: Any) -> Any:
    """d std / dx = d var / dx / (2 std), and 0 where std is 0."""
    inner = g / (2 * y)
    inner = o.where(y == 0, o.zeros_like(inner), inner)
    return _var_grad(o, inner, x, y, dim, keepdim, correction)


std = reduction(
    "std",
    lambda x, dims, keepdim, correction: np.sqrt(_var(x, dims, keepdim, correction)),
    result="real",
    kinds="fc",
    attrs=("dim", "keepdim", "correction"),
    defaults=(None, False, 1),
    grads=(_std_grad,),
)


def _logsumexp(x: Any, dims: Any, keepdim: bool) -> Any:
    top = np.max(x.real, axis=dims, keepdims=True, initial=-np.inf)
    top = np.where(np.isfinite(top), top, 0).astype(x.real.dtype)
    total = np.log(np.sum(np.exp(x - top), axis=dims, keepdims=True)) + top
    return total if keepdim else np.squeeze(total, axis=dims)


logsumexp = reduction(
    "logsumexp",
    _logsumexp,
    result="float",
    attrs=("dim", "keepdim"),
    defaults=(False,),
    grads=(
        # the softmax of x
        lambda o, g, x, y, dim, keepdim: (
            _spread(o, g, x._meta.shape, dim, keepdim)
            * o.conj(o.exp(x - o.restore(y, x._meta.shape, dim_list(dim, x._meta.ndim), keepdim)))
        ),
    ),
)
