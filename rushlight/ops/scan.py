"""Running sums, products, extremes and log-sum-exps along a dimension.

A 0-d tensor counts as one element.  Kernels run along the last axis of a moved array.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.ir.meta import Meta
from rushlight.ir.op import Op, Plan
from rushlight.ir.shapes import wrap_dim
from rushlight.ops.build import opmath, unsupported


def _scan_rule(name: str, kinds: str, widens: bool) -> Any:
    def rule(m: Meta, dim: int, *rest: Any) -> Plan:
        wrap_dim(dim, m.ndim)
        dt = rest[0] if rest and rest[0] is not None else m.dtype
        if not (rest and rest[0] is not None) and widens and dt.is_integral:
            dt = dtypes.int64
        if dt.kind not in kinds:
            raise unsupported(name, dt)
        return Plan(m.like(dtype=dt), opmath(dt))

    return rule


def _accumulate(ufunc: np.ufunc) -> Any:
    def kernel(x: Any, dim: int, dtype: Any) -> Any:
        if x.ndim == 0:
            return x.copy()
        return ufunc.accumulate(x, axis=dim, dtype=x.dtype)

    return kernel


def _to_input(o: Any, g: Any, like: Any) -> Any:
    """A gradient in the input's dtype."""
    return o.to(g, like.dtype) if like.dtype.kind in "fc" else g


def _back_sum(o: Any, g: Any, dim: int) -> Any:
    """Sums from each element to the end."""
    if g._meta.ndim == 0:
        return g
    return o.flip(o.cumsum(o.flip(g, (dim,)), dim, None), (dim,))


cumsum = Op(
    "cumsum",
    kind="scan",
    attrs=("dim", "dtype"),
    defaults=(None,),
    rule=_scan_rule("cumsum_out_cpu", "uifc", True),
    kernel=_accumulate(np.add),
    grads=(lambda o, g, _x, _y, dim, dtype: _back_sum(o, _to_input(o, g, _x), _axis(_x, dim)),),
)


def _axis(m: Any, dim: int) -> int:
    return wrap_dim(dim, m.ndim)


def _cumprod_grad(o: Any, g: Any, x: Any, y: Any, dim: int, dtype: Any) -> Any:
    """The sum over j >= i of g_j y_j / x_i; at the first zero, the products without it."""
    m = x._meta
    if m.ndim == 0:
        return g
    dim = wrap_dim(dim, m.ndim)
    zero = x == 0
    if o.holds(x != 0):
        return _back_sum(o, g * o.conj(y), dim) / o.conj(x)
    if o.recording():
        return _cumprod_grad_by_element(o, g, x, dim)
    zeros = o.cumsum(zero, dim, None)
    before = zeros == 0
    first = zero & (zeros == 1)
    one = o.full_like(x, 1)
    none = o.zeros_like(g)
    head = _back_sum(o, o.where(before, g * o.conj(y), none), dim)
    head = head / o.conj(o.where(before, x, one))
    without = o.cumprod(o.where(first, one, x), dim, None)
    at_zero = _back_sum(o, o.where(before, none, g * o.conj(without)), dim)
    return o.where(before, head, o.where(first, at_zero, none))


def _cumprod_grad_by_element(o: Any, g: Any, x: Any, dim: int) -> Any:
    """The same without a division, element by element, for derivatives at zeros."""
    size = x._meta.shape[dim]
    along = [-1 if d == dim else 1 for d in range(x._meta.ndim)]
    places = o.reshape(o.arange(0, size, 1, dtypes.int64, x._meta.device), along)
    parts = []
    for i in range(size):
        others = o.cumprod(o.where(places == i, o.full_like(x, 1), x), dim, None)
        parts.append(o.sum(o.where(places >= i, g * o.conj(others), 0), (dim,), True, None))
    return o.cat(parts, dim)


cumprod = Op(
    "cumprod",
    kind="scan",
    attrs=("dim", "dtype"),
    defaults=(None,),
    rule=_scan_rule("cumprod_out_cpu", "uifc", True),
    kernel=_accumulate(np.multiply),
    grads=(_cumprod_grad,),
)


def _extreme_rule(name: str) -> Any:
    def rule(m: Meta, dim: int) -> Plan:
        wrap_dim(dim, m.ndim)
        if m.dtype.is_complex:
            raise unsupported(f"{name}_cpu", m.dtype)
        return Plan((m.like(), m.like(dtype=dtypes.int64)))

    return rule


def _extreme_kernel(ufunc: np.ufunc) -> Any:
    def kernel(x: Any, dim: int) -> Any:
        if x.ndim == 0:
            return x.copy(), np.zeros((), np.int64)
        best = ufunc.accumulate(x, axis=dim)
        hit = x == best
        if x.dtype.kind not in "bui":
            hit |= x != x  # a NaN replaces what came before
        shape = [1] * x.ndim
        shape[dim] = -1
        places = np.arange(x.shape[dim]).reshape(shape)
        return best, np.maximum.accumulate(np.where(hit, places, 0), axis=dim)

    return kernel


def _extreme_backward(
    o: Any, needs: Any, g: Any, inputs: Any, outputs: Any, dim: int
) -> tuple[Any, ...]:
    """Each gradient goes to the element that its place took."""
    if not inputs[0].shape:
        return (g[0],)
    start = o.zeros(inputs[0].shape, g[0]._meta.dtype, g[0]._meta.device)
    return (o.scatter_add(start, outputs[1], g[0], dim),)


def _running_extreme(name: str, ufunc: np.ufunc) -> Op:
    return Op(
        name,
        kind="scan",
        attrs=("dim",),
        rule=_extreme_rule(name),
        kernel=_extreme_kernel(ufunc),
        backward=_extreme_backward,
        keeps_outputs=(1,),
    )


cummax = _running_extreme("cummax", np.maximum)
cummin = _running_extreme("cummin", np.minimum)


def _logcumsumexp_rule(m: Meta, dim: int) -> Plan:
    plan = _scan_rule("logcumsumexp_out_cpu", "fc", False)(m, dim)
    if not m.dtype.is_complex:
        plan.compute = dtypes.float64  # the errors of a running sum of logarithms add up
    return plan  # type: ignore[no-any-return]


def _logcumsumexp(x: Any, dim: int) -> Any:
    if x.ndim == 0:
        return x.copy()
    if x.dtype.kind != "c":
        return np.logaddexp.accumulate(x, axis=dim)
    moved = np.moveaxis(x, dim, 0)
    made = np.array(moved)
    for i in range(1, moved.shape[0]):  # complex numbers have no logaddexp in NumPy
        larger = np.where(made[i - 1].real >= moved[i].real, made[i - 1], moved[i])
        other = np.where(made[i - 1].real >= moved[i].real, moved[i], made[i - 1])
        total = larger + np.log(1 + np.exp(other - larger))
        made[i] = np.where(np.isneginf(larger.real), larger, total)
    return np.moveaxis(made, 0, dim)


def _logcumsumexp_grad(o: Any, g: Any, x: Any, y: Any, dim: int) -> Any:
    """The sum over j >= i of g_j exp(x_i - y_j), in logarithms, for each sign of g."""
    m = x._meta
    if m.ndim == 0 or m.numel == 0:
        return g
    dim = wrap_dim(dim, m.ndim)
    if m.dtype.is_complex:
        return o.exp(o.conj(x)) * _back_sum(o, g * o.exp(-o.conj(y)), dim)
    if o.recording():  # logarithms of g have no second derivative where g changes its sign
        middle = o.amax(y, (dim,), True)
        return o.exp(x - middle) * _back_sum(o, g * o.exp(middle - y), dim)
    low = o.full_like(g, float("-inf"))

    def part(mask: Any, size: Any) -> Any:
        logs = o.where(mask, o.log(size), low) - y
        ahead = o.flip(o.logcumsumexp(o.flip(logs, (dim,)), dim), (dim,))
        return o.exp(ahead + x)

    return part(g > 0, o.abs(g)) - part(g < 0, o.abs(g))


logcumsumexp = Op(
    "logcumsumexp",
    kind="scan",
    attrs=("dim",),
    rule=_logcumsumexp_rule,
    kernel=_logcumsumexp,
    grads=(_logcumsumexp_grad,),
)
