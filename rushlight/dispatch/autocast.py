"""Automatic mixed precision: which operators run in which dtype, as a mode at the gate.

While a device type has autocast switched on, the mode stands at the bottom of this thread's stack
and casts the inputs of the listed operators: products and convolutions to the fast dtype, what
loses too much there to float32, joins to the widest dtype among their inputs.  float64 and integer
tensors stay as they are.  In: the calls of the gate.  Out: the same calls with cast inputs.  Source
of the lists: PyTorch's autocast operator reference for CPU (measured on torch 2.13).
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any

from rushlight import dtypes
from rushlight.dispatch.doors import enter
from rushlight.dispatch.modes import state
from rushlight.dispatch.tensor import Tensor
from rushlight.ir.op import Op

__all__ = ["fast_under_autocast", "float32_under_autocast", "settings", "switch"]

FAST = frozenset("addbmm addmm baddbmm bmm conv conv_input dot linear mm mv".split())
FLOAT32 = frozenset(
    """binary_cross_entropy binary_cross_entropy_with_logits cdist cholesky_solve ctc_loss fft_c2c
    fft_c2r fft_r2c geqrf huber_loss linalg_cholesky_ex linalg_eig linalg_eigh linalg_inv_ex
    linalg_lu_factor_ex linalg_pinv linalg_qr linalg_solve_ex linalg_svd mse_loss nll_loss prod
    smooth_l1_loss trace view_as_complex""".split()
)
WIDEST = frozenset("cat index_copy stack".split())


class _Settings(threading.local):
    """This thread's autocast; the class attributes are a new thread's values."""

    def __init__(self) -> None:
        self.enabled = {"cpu": False, "cuda": False}
        self.dtype = {"cpu": dtypes.bfloat16, "cuda": dtypes.float16}
        self.cache_enabled = True
        self.nesting = 0
        self.cache: dict[
            tuple[int, Any, bool], tuple[Tensor, Tensor, int]
        ] = {}  # casts of parameters


settings = _Settings()


def switch(device_type: str, enabled: bool) -> None:
    """Switches autocast of a device type in this thread; the mode stands while any is on."""
    enter("autocast")
    settings.enabled[device_type] = enabled
    rest = tuple([mode for mode in state.stack if mode is not _cast_call])
    state.stack = (_cast_call, *rest) if any(settings.enabled.values()) else rest


def _eligible(x: Any) -> bool:
    if not isinstance(x, Tensor):
        return False
    m = x._meta
    return (
        m.dtype.is_floating_point
        and m.dtype is not dtypes.float64
        and settings.enabled.get(m.device.type, False)
    )


def _cast(x: Any, dtype: Any) -> Any:
    """A tensor in another dtype; casts of parameters are kept until autocast ends."""
    if not _eligible(x) or x._meta.dtype is dtype:
        return x
    fast = dtype is settings.dtype[x._meta.device.type]
    keep = (
        settings.cache_enabled
        and fast
        and x._requires_grad
        and x._node is None
        and x._view is None
        and x._meta.dtype is dtypes.float32
    )
    if not keep:
        return x.to(dtype)
    key = (id(x), dtype, state.grad)
    known = settings.cache.get(key)
    if known is None or known[0] is not x or known[2] != x._counter.value:
        known = settings.cache[key] = (x, x.to(dtype), x._counter.value)
    return known[1]


def _widest(inputs: tuple[Any, ...]) -> Any:
    kinds = {x._meta.dtype for x in inputs if _eligible(x)}
    if not kinds:
        return None
    return next(iter(kinds)) if len(kinds) == 1 else dtypes.float32


def _cast_call(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...], proceed: Any) -> Any:
    """The mode: one call with its inputs cast."""
    name = op.name
    if proceed.__name__ != "call":  # in place: the tensor keeps its dtype
        return proceed(op, inputs, attrs)
    if name in FAST:
        device = next((x._meta.device.type for x in inputs if _eligible(x)), None)
        wide = any([isinstance(x, Tensor) and x._meta.dtype is dtypes.float64 for x in inputs])
        if device is not None and not wide:
            inputs = tuple([_cast(x, settings.dtype[device]) for x in inputs])
    elif name in FLOAT32 or (name in _POOLS and _is_3d(attrs)):
        inputs = tuple([_cast(x, dtypes.float32) for x in inputs])
    elif name in WIDEST:
        widest = _widest(inputs)
        if widest is not None:
            inputs = tuple([_cast(x, widest) for x in inputs])
    return proceed(op, inputs, attrs)


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
        if state.stack and any(settings.enabled.values()):
            args = tuple([_cast(x, dtypes.float32) for x in args])
            named = {k: _cast(x, dtypes.float32) for k, x in named.items()}
        return function(*args, **named)

    return run


def fast_under_autocast(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function made of several operators, all of them in the fast dtype of its first tensor."""

    @functools.wraps(function)
    def run(*args: Any) -> Any:
        if state.stack and args and _eligible(args[0]):
            dtype = settings.dtype[args[0]._meta.device.type]
            args = tuple([_cast_within(x, dtype) for x in args])
        return function(*args)

    return run
