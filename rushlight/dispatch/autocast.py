"""Automatic mixed precision: which operators run in which dtype.

While a device type has autocast switched on, the gate asks here for the inputs of each call: those
of products and convolutions are cast to the fast dtype, of what loses too much there to float32, of
joins to the widest dtype among them.  float64 and integer tensors stay as they are.  Casts are
calls of their own, before the operator's, so they replay as all calls do.  Source of the lists:
PyTorch's autocast operator reference for CPU (measured on torch 2.13).
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any

from rushlight import dtypes
from rushlight.dispatch.doors import AUTOCAST, EAGER, event
from rushlight.dispatch.modes import Casting, state
from rushlight.dispatch.tensor import Tensor
from rushlight.ir.op import Op

__all__ = [
    "cast_inputs",
    "change",
    "clear_casts",
    "fast_under_autocast",
    "float32_under_autocast",
    "kept",
    "set_now",
    "used",
]

FAST = frozenset("addbmm addmm baddbmm bmm conv conv_input dot linear mm mv".split())
FLOAT32 = frozenset(
    """binary_cross_entropy binary_cross_entropy_with_logits cdist cholesky_solve ctc_loss fft_c2c
    fft_c2r fft_r2c geqrf huber_loss linalg_cholesky_ex linalg_eig linalg_eigh linalg_inv_ex
    linalg_lu_factor_ex linalg_pinv linalg_qr linalg_solve_ex linalg_svd mse_loss nll_loss prod
    smooth_l1_loss trace view_as_complex""".split()
)
WIDEST = frozenset("cat index_copy stack".split())


used: list[bool] = []  # not empty once autocast was on somewhere


class _Kept(threading.local):
    """Casts of parameters that this thread keeps while contexts are open."""

    def __init__(self) -> None:
        self.casts: dict[tuple[int, Any, bool], tuple[Tensor, Tensor, int]] = {}


kept = _Kept()
_known: dict[Casting, Casting] = {state.casting: state.casting}  # one object a setting


def change(**fields: Any) -> None:
    """Changes some of this thread's settings."""
    casting = state.casting._replace(**fields)
    event(AUTOCAST, (_known.setdefault(casting, casting),))


def set_now(casting: Casting) -> None:
    """Makes these the settings of this thread; when the last context ends, casts are forgotten."""
    if casting.enabled and not used:
        used.append(True)
    if state.casting.nesting and not casting.nesting:
        kept.casts.clear()
    state.casting = casting


def _set(op: Any, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> None:
    set_now(inputs[0])


EAGER[AUTOCAST] = _set


def clear_casts() -> None:
    """Forgets the casts of parameters."""
    kept.casts.clear()


def _eligible(x: Any) -> bool:
    if not isinstance(x, Tensor):
        return False
    m = x._meta
    return (
        m.dtype.is_floating_point
        and m.dtype is not dtypes.float64
        and m.device.type in state.casting.enabled
    )


def _cast(x: Any, dtype: Any) -> Any:
    """A tensor in another dtype; casts of parameters are kept until autocast ends."""
    if not _eligible(x) or x._meta.dtype is dtype:
        return x
    fast = dtype is getattr(state.casting, x._meta.device.type)
    keep = (
        state.casting.cache_enabled
        and fast
        and x._requires_grad
        and x._node is None
        and x._view is None
        and x._meta.dtype is dtypes.float32
    )
    if not keep:
        return x.to(dtype)
    key = (id(x), dtype, state.grad)
    known = kept.casts.get(key)
    if known is None or known[0] is not x or known[2] != x._counter.value:
        known = kept.casts[key] = (x, x.to(dtype), x._counter.value)
    return known[1]


def _widest(inputs: tuple[Any, ...]) -> Any:
    kinds = {x._meta.dtype for x in inputs if _eligible(x)}
    if not kinds:
        return None
    return next(iter(kinds)) if len(kinds) == 1 else dtypes.float32


def cast_inputs(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> tuple[Any, ...]:
    """The inputs of a call, cast as this thread's settings want it."""
    name = op.name
    if name in FAST:
        device = next((x._meta.device.type for x in inputs if _eligible(x)), None)
        wide = any([isinstance(x, Tensor) and x._meta.dtype is dtypes.float64 for x in inputs])
        if device is not None and not wide:
            return tuple([_cast(x, getattr(state.casting, device)) for x in inputs])
    elif name in FLOAT32 or (name in _POOLS and _is_3d(attrs)):
        return tuple([_cast(x, dtypes.float32) for x in inputs])
    elif name in WIDEST:
        widest = _widest(inputs)
        if widest is not None:
            return tuple([_cast(x, widest) for x in inputs])
    return inputs


_POOLS = frozenset("adaptive_avg_pool avg_pool max_pool max_unpool".split())


def _is_3d(attrs: tuple[Any, ...]) -> bool:
    return bool(attrs) and isinstance(attrs[0], tuple) and len(attrs[0]) == 3


def _cast_within(x: Any, dtype: Any) -> Any:
    """A tensor, or the tensors of a list or tuple, in another dtype."""
    if type(x) in (list, tuple):
        return type(x)([_cast(part, dtype) for part in x])
    return _cast(x, dtype)


def float32_under_autocast(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function made of several operators, all of them in float32 while autocast is on."""

    @functools.wraps(function)
    def run(*args: Any, **named: Any) -> Any:
        if state.casting.enabled:
            args = tuple([_cast(x, dtypes.float32) for x in args])
            named = {k: _cast(x, dtypes.float32) for k, x in named.items()}
        return function(*args, **named)

    return run


def fast_under_autocast(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function made of several operators, all of them in the fast dtype of its first tensor."""

    @functools.wraps(function)
    def run(*args: Any) -> Any:
        if state.casting.enabled and args and _eligible(args[0]):
            dtype = getattr(state.casting, args[0]._meta.device.type)
            args = tuple([_cast_within(x, dtype) for x in args])
        return function(*args)

    return run
