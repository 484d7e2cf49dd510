"""Gradient modes, default dtype and device, and other switches of the process or thread."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any, TypeVar, cast

from rushlight import devices, dtypes
from rushlight._tensor.api import function
from rushlight.dispatch import gate, modes
from rushlight.dispatch.doors import GRAD, event, forget
from rushlight.naming import PublicType

__all__ = ["enable_grad", "inference_mode", "no_grad", "set_grad_enabled"]

state = modes.state


F = TypeVar("F", bound=Callable[..., Any])


class _Switch(metaclass=PublicType):
    """A context that can also decorate a function (or a generator)."""

    def __call__(self, f: F) -> F:
        import inspect

        if inspect.isgeneratorfunction(f):
            return cast(F, _decorated_generator(self, f))

        @functools.wraps(f)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            with self._again():
                return f(*args, **kwargs)

        return cast(F, wrapper)

    def _again(self) -> Any:
        return type(self)()

    def __repr__(self) -> str:
        return f"<torch.autograd.grad_mode.{type(self).__name__} object at {id(self):#x}>"

    def clone(self) -> Any:
        """Another context of the same kind."""
        return self._again()


def _decorated_generator(switch: _Switch, f: Any) -> Any:
    @functools.wraps(f)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        generator = f(*args, **kwargs)
        value: Any = None
        while True:
            with switch._again():
                try:
                    produced = generator.send(value)
                except StopIteration as end:
                    return end.value
            value = yield produced

    return wrapper


class no_grad(_Switch):
    """Context or decorator in which no gradients are recorded.

    Example:
        >>> import rushlight as torch
        >>> x = torch.ones(1, requires_grad=True)
        >>> with torch.no_grad():
        ...     y = x * 2
        >>> y.requires_grad
        False
    """

    value = False

    def __new__(cls, orig_func: Any = None) -> Any:
        self = object.__new__(cls)
        return self if orig_func is None else self(orig_func)

    def __enter__(self) -> None:
        self.was = state.grad
        event(GRAD, (self.value,))

    def __exit__(self, *exc: object) -> None:
        event(GRAD, (self.was,))


class enable_grad(no_grad):
    """Context or decorator in which gradients are recorded again."""

    value = True


class set_grad_enabled(_Switch):
    """Sets gradient recording; as a context, until its end."""

    def __init__(self, mode: bool) -> None:
        self.was = state.grad
        self.mode = bool(mode)
        event(GRAD, (self.mode,))

    def __call__(self, f: Any) -> Any:
        event(GRAD, (self.was,))
        return super().__call__(f)

    def _again(self) -> Any:
        return set_grad_enabled(self.mode)

    def __repr__(self) -> str:
        return f"torch.autograd.grad_mode.set_grad_enabled(mode={self.mode})"

    def __enter__(self) -> None:
        event(GRAD, (self.mode,))

    def __exit__(self, *exc: object) -> None:
        event(GRAD, (self.was,))


class inference_mode(_Switch):
    """Context or decorator like ``no_grad`` whose tensors can never take part in autograd."""

    mode: Any

    def __new__(cls, mode: Any = True) -> Any:
        self = object.__new__(cls)
        if callable(mode):
            self.mode = True
            return self(mode)
        self.mode = mode
        return self

    def _again(self) -> Any:
        return inference_mode(self.mode)

    def __enter__(self) -> None:
        self.was = state.grad, state.inference
        event(GRAD, (False if self.mode else state.grad, bool(self.mode)))

    def __exit__(self, *exc: object) -> None:
        event(GRAD, self.was)


for _switch in (no_grad, enable_grad, set_grad_enabled, inference_mode):
    _switch.__module__ = "rushlight.autograd.grad_mode"


@function
def is_grad_enabled() -> bool:
    """Whether gradients are recorded on this thread."""
    return state.grad


@function
def is_inference_mode_enabled() -> bool:
    """Whether inference mode is on."""
    return state.inference


@function
def is_anomaly_enabled() -> bool:
    """Whether anomaly detection is on."""
    return state.anomaly


@function
def is_anomaly_check_nan_enabled() -> bool:
    """Whether anomaly detection looks for NaN."""
    return state.check_nan


@function
def get_default_dtype() -> Any:
    """The dtype of float results that nothing else decides."""
    return dtypes.default_float()


@function
def set_default_dtype(d: Any) -> None:
    """Sets the default floating dtype."""
    dtypes.set_default_float(d)
    forget("the default dtype was changed")
    gate.clear_plans()


@function
def set_default_device(device: Any) -> None:
    """Sets where factory functions put tensors if no device is given."""
    devices.set_default_device(None if device is None else devices.device(device))


@function
def get_default_device() -> Any:
    """Where factory functions put tensors if no device is given."""
    return devices.default_device()


class _Threads:
    count = os.cpu_count() or 1
    interop = os.cpu_count() or 1


@function
def get_num_threads() -> int:
    """How many threads a computation may use."""
    return _Threads.count


@function
def set_num_threads(n: int) -> None:
    """Sets how many threads a computation may use."""
    if not isinstance(n, int) or isinstance(n, bool):
        raise TypeError(f"set_num_threads expects an int, but got {type(n).__name__}")
    if n <= 0:
        raise RuntimeError("set_num_threads expects a positive integer")
    from rushlight.runtime.blas import set_threads

    if n != _Threads.count:
        forget("the number of threads was changed")
    _Threads.count = n
    set_threads(n)


@function
def get_num_interop_threads() -> int:
    """How many threads may run independent operators; they run one after the other."""
    return _Threads.interop


@function
def set_num_interop_threads(n: int) -> None:
    """Accepted for compatibility; operators run one after the other."""
    if n <= 0:
        raise RuntimeError("set_num_interop_threads expects a positive integer")
    _Threads.interop = n


@function
def result_type(tensor: Any, other: Any) -> Any:
    """The dtype in which an operation on these would compute."""
    from rushlight.dispatch.tensor import Tensor
    from rushlight.ir.meta import scalar_meta
    from rushlight.ops.build import combined_dtype

    return combined_dtype(
        [x._meta if isinstance(x, Tensor) else scalar_meta(type(x)) for x in (tensor, other)]
    )


def _need_dtype(who: str, name: str, position: int, value: Any) -> None:
    if not isinstance(value, dtypes.dtype):
        raise TypeError(
            f"{who}(): argument '{name}' (position {position}) must be torch.dtype, not "
            f"{type(value).__name__}"
        )


@function
def promote_types(type1: Any, type2: Any) -> Any:
    """The smallest dtype to which both can be converted."""
    for i, value in enumerate((type1, type2), 1):
        _need_dtype("promote_types", f"type{i}", i, value)
    return dtypes.promote(type1, type2)


@function
def can_cast(from_: Any, to: Any) -> bool:
    """Whether a result of one dtype may be written into another."""
    _need_dtype("can_cast", "from_", 1, from_)
    _need_dtype("can_cast", "to", 2, to)
    return dtypes.can_cast(from_, to)


@function
def are_deterministic_algorithms_enabled() -> bool:
    """Whether only deterministic algorithms run: always here."""
    return _Deterministic.enabled


class _Deterministic:
    enabled = False


@function
def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Asks for deterministic algorithms; every algorithm here is."""
    _Deterministic.enabled = bool(mode)
