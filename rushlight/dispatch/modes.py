"""Thread-local modes: gradient recording, inference, autocast, saved-tensor hooks, the mode stack.

The stack is empty in ordinary code; what stands on it (subclass dispatch, tracing for a graph
drawing) sees each call before the gate runs it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, NamedTuple

from rushlight import dtypes
from rushlight.dispatch.doors import EAGER, GRAD, enter, event

__all__ = ["Casting", "no_grad", "special", "state"]


class Casting(NamedTuple):
    """Settings of autocast.

    Attributes:
        enabled: the device types for which it is on.
        cpu: the dtype of fast operators on CPUs; `cuda`, on GPUs.
        cache_enabled: whether casts of parameters are kept while contexts are open.
        nesting: how many contexts are open.
    """

    enabled: frozenset[str] = frozenset()
    cpu: Any = dtypes.bfloat16
    cuda: Any = dtypes.float16
    cache_enabled: bool = True
    nesting: int = 0


class _State(threading.local):
    """What the gate consults; the class attributes are a new thread's values."""

    grad = True
    inference = False
    casting = Casting()
    plain = False  # inside DisableTorchFunctionSubclass
    stack: tuple[Any, ...] = ()  # modes, innermost last: mode(op, inputs, attrs, call) -> result
    packing: tuple[tuple[Callable[..., Any], Callable[..., Any]], ...] = ()
    anomaly = False
    check_nan = True
    refusal: str | None = None  # the error of disable_saved_tensors_hooks


state = _State()


def special() -> bool:
    """Whether a mode is active in which nothing is replayed."""
    return bool(state.stack or state.packing or state.anomaly)


def _set_grad_mode(op: Any, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> None:
    """Sets gradient recording, and inference mode if there is a second value."""
    state.grad = inputs[0]
    if len(inputs) > 1:
        state.inference = inputs[1]


EAGER[GRAD] = _set_grad_mode


class no_grad:
    """Context in which the framework's own code records no gradients."""

    __slots__ = ("was",)

    def __enter__(self) -> None:
        self.was = state.grad
        event(GRAD, (False,))

    def __exit__(self, *exc: object) -> None:
        event(GRAD, (self.was,))


class pushed:
    """Context that puts a mode on the stack of this thread."""

    __slots__ = ("mode",)

    def __init__(self, mode: Any) -> None:
        self.mode = mode

    def __enter__(self) -> Any:
        enter("a mode was entered")
        state.stack = (*state.stack, self.mode)
        return self.mode

    def __exit__(self, *exc: object) -> None:
        state.stack = state.stack[:-1]
