"""``autocast``: a context in which operators choose their dtype; and its switches.

What is cast is listed in ``dispatch/autocast.py``.  Source: Micikevicius et al., "Mixed precision
training" (2018).
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

import rushlight as rl
from rushlight.dispatch.autocast import change, clear_casts
from rushlight.dispatch.modes import state
from rushlight.naming import PublicType

__all__ = ["autocast", "custom_bwd", "custom_fwd", "is_autocast_available"]

# ---- switches: torch.is_autocast_enabled and so on ---------------------------------------------


_DEVICES = ("cpu", "cuda")


def _known(device_type: str) -> str:
    if device_type not in _DEVICES:
        rl.device(device_type)  # names what is no device type at all
        raise RuntimeError(f"User specified an unsupported autocast device_type '{device_type}'")
    return device_type


def is_autocast_available(device_type: str) -> bool:
    """Whether there is autocast for a device type."""
    return device_type in _DEVICES


def is_autocast_enabled(device_type: str = "cuda") -> bool:
    """Whether autocast is on for a device type in this thread."""
    return _known(device_type) in state.casting.enabled


def set_autocast_enabled(device_type: Any, enabled: Any = None) -> None:
    """Switches autocast of a device type: ``set_autocast_enabled("cpu", True)``."""
    if enabled is None:
        device_type, enabled = "cuda", device_type
    change(enabled=_with(_known(device_type), bool(enabled)))


def _with(device_type: str, enabled: bool) -> frozenset[str]:
    """The device types for which autocast is on after a change of one."""
    rest = state.casting.enabled - {device_type}
    return rest | {device_type} if enabled else rest


def get_autocast_dtype(device_type: str) -> Any:
    """The dtype in which fast operators run."""
    return getattr(state.casting, _known(device_type))


def set_autocast_dtype(device_type: str, dtype: Any) -> None:
    """Sets the dtype in which fast operators run."""
    change(**{_known(device_type): dtype})


def is_autocast_cache_enabled() -> bool:
    """Whether casts of parameters are kept inside of an autocast context."""
    return state.casting.cache_enabled


def set_autocast_cache_enabled(enabled: bool) -> None:
    """Whether casts of parameters are kept from now on."""
    change(cache_enabled=bool(enabled))


def clear_autocast_cache() -> None:
    """Forgets the casts of parameters."""
    clear_casts()


def autocast_increment_nesting() -> int:
    """Notes that a context begins; returns how many are open."""
    change(nesting=state.casting.nesting + 1)
    return state.casting.nesting


def autocast_decrement_nesting() -> int:
    """Notes that a context ends; returns how many are open."""
    change(nesting=state.casting.nesting - 1)
    return state.casting.nesting


def is_autocast_cpu_enabled() -> bool:
    """``is_autocast_enabled("cpu")``."""
    return is_autocast_enabled("cpu")


def set_autocast_cpu_enabled(enabled: bool) -> None:
    """``set_autocast_enabled("cpu", enabled)``."""
    set_autocast_enabled("cpu", enabled)


def get_autocast_cpu_dtype() -> Any:
    """``get_autocast_dtype("cpu")``."""
    return get_autocast_dtype("cpu")


def set_autocast_cpu_dtype(dtype: Any) -> None:
    """``set_autocast_dtype("cpu", dtype)``."""
    set_autocast_dtype("cpu", dtype)


def get_autocast_gpu_dtype() -> Any:
    """``get_autocast_dtype("cuda")``."""
    return get_autocast_dtype("cuda")


def set_autocast_gpu_dtype(dtype: Any) -> None:
    """``set_autocast_dtype("cuda", dtype)``."""
    set_autocast_dtype("cuda", dtype)


# ---- the context -------------------------------------------------------------------------------


class autocast(metaclass=PublicType):
    """A context, or decorator, in which operators choose their dtype.

    Products and convolutions run in the fast dtype, losses and decompositions in float32; the
    results have these dtypes.  Use it around the forward pass and the loss, not the backward pass.

    Args:
        device_type: ``"cpu"`` or ``"cuda"``.
        dtype: the fast dtype, bfloat16 or float16; by default bfloat16 on CPUs.
        enabled: whether the context does anything.
        cache_enabled: whether casts of parameters are kept while contexts are open.

    Raises:
        ValueError: a device type that is no string.
        RuntimeError: a device type without autocast.

    Example:
        >>> import rushlight as torch
        >>> model = torch.nn.Linear(2, 2)
        >>> with torch.autocast("cpu", dtype=torch.bfloat16):
        ...     y = model(torch.ones(1, 2))
        >>> y.dtype
        torch.bfloat16
    """

    def __init__(
        self,
        device_type: str,
        dtype: Any = None,
        enabled: bool = True,
        cache_enabled: bool | None = None,
    ) -> None:
        if not isinstance(device_type, str):
            raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")
        _known(device_type)
        self.device = device_type
        self.fast_dtype = get_autocast_dtype(device_type) if dtype is None else dtype
        self._cache_enabled = (
            is_autocast_cache_enabled() if cache_enabled is None else cache_enabled
        )
        self._enabled = enabled and self._usable()

    def _usable(self) -> bool:
        """Whether the device and dtype can be used; warns where not, as PyTorch does."""
        if self.device == "cuda":
            if not rl.cuda.is_available():
                warnings.warn(
                    "CUDA is not available or torch_xla is imported. Disabling autocast.",
                    stacklevel=4,
                )
                return False
            return True
        supported = (rl.bfloat16, rl.float16)
        if self.fast_dtype in supported:
            return True
        name = self.device.upper()
        warnings.warn(
            f"In {name} autocast, but the target dtype is not supported. Disabling autocast.\n"
            f"{name} Autocast only supports dtypes of "
            + ", ".join(map(str, supported))
            + " currently.",
            stacklevel=4,
        )
        return False

    def __enter__(self) -> autocast:
        self.prev_cache_enabled = is_autocast_cache_enabled()
        self.prev = is_autocast_enabled(self.device)
        self.prev_fastdtype = get_autocast_dtype(self.device)
        self._change(self._enabled, self.fast_dtype, self._cache_enabled, 1)
        return self

    def __exit__(self, *exc: object) -> None:
        self._change(self.prev, self.prev_fastdtype, self.prev_cache_enabled, -1)

    def _change(self, enabled: bool, dtype: Any, cache_enabled: bool, nesting: int) -> None:
        change(
            enabled=_with(self.device, enabled),
            cache_enabled=cache_enabled,
            nesting=state.casting.nesting + nesting,
            **{self.device: dtype},
        )

    def __call__(self, func: Callable[..., Any]) -> Callable[..., Any]:
        if not callable(func):
            raise TypeError(
                f"autocast()(func) requires a callable, but got {type(func).__name__}. "
                "Did you mean to use autocast as a context manager? For example:\n"
                "    with torch.autocast(device_type=...):\n"
                "        output = model(input)"
            )

        @functools.wraps(func)
        def decorated(*args: Any, **named: Any) -> Any:
            with self:
                return func(*args, **named)

        return decorated


# ---- autograd functions of one's own -----------------------------------------------------------


def _cast_all(value: Any, device_type: str, dtype: Any) -> Any:
    """Floating tensors, also inside of containers, in another dtype; float64 stays."""
    if isinstance(value, rl.Tensor):
        fits = value.is_floating_point() and value.dtype is not rl.float64
        return value.to(dtype) if fits and value.device.type == device_type else value
    if isinstance(value, (str, bytes, np.ndarray)):
        return value
    if isinstance(value, Mapping):
        return {
            _cast_all(k, device_type, dtype): _cast_all(v, device_type, dtype)
            for k, v in value.items()
        }
    if isinstance(value, Iterable):
        parts = (_cast_all(v, device_type, dtype) for v in value)
        kind: Any = type(value)
        return kind(parts) if isinstance(value, (list, tuple)) else parts
    return value


def custom_fwd(fwd: Any = None, *, device_type: str, cast_inputs: Any = None) -> Any:
    """A decorator for ``forward`` of an ``autograd.Function`` under autocast.

    Args:
        fwd: the method.
        device_type: ``"cpu"`` or ``"cuda"``.
        cast_inputs: if given, floating inputs are cast to it and autocast is off inside.

    Raises:
        ValueError: a device type that is no string.
    """
    if not isinstance(device_type, str):
        raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")
    if fwd is None:
        return functools.partial(custom_fwd, device_type=device_type, cast_inputs=cast_inputs)

    @functools.wraps(fwd)
    def decorated(*args: Any, **named: Any) -> Any:
        context = args[0]
        context._dtype = get_autocast_dtype(device_type)
        is_on = is_autocast_enabled(device_type)
        context._fwd_used_autocast = is_on if cast_inputs is None else False
        if cast_inputs is None or not is_on:
            return fwd(*args, **named)
        with autocast(device_type, enabled=False):
            return fwd(
                *_cast_all(args, device_type, cast_inputs),
                **_cast_all(named, device_type, cast_inputs),
            )

    return decorated


def custom_bwd(bwd: Any = None, *, device_type: str) -> Any:
    """A decorator for ``backward``: it runs under the autocast of its ``forward``.

    Args:
        bwd: the method.
        device_type: ``"cpu"`` or ``"cuda"``.

    Raises:
        ValueError: a device type that is no string.
    """
    if not isinstance(device_type, str):
        raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")
    if bwd is None:
        return functools.partial(custom_bwd, device_type=device_type)

    @functools.wraps(bwd)
    def decorated(*args: Any, **named: Any) -> Any:
        context = args[0]
        with autocast(device_type, enabled=context._fwd_used_autocast, dtype=context._dtype):
            return bwd(*args, **named)

    return decorated
