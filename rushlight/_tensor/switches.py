"""Switches of the process that scripts set for speed or reproducibility, and ``compile``.

They are kept and can be read back.  Every algorithm here is deterministic and computes in the dtype
that it is given, so none of them changes a result.
"""

from __future__ import annotations

from typing import Any

from rushlight._tensor.api import FUNCTIONS, function
from rushlight.dispatch import modes
from rushlight.dispatch.doors import enter

__all__: list[str] = []


class _Switches:
    matmul_precision = "highest"
    debug_mode = 0
    warn_always = False


@function
def compile(
    model: Any = None,
    *,
    fullgraph: bool = False,
    dynamic: bool | None = None,
    backend: Any = "inductor",
    mode: str | None = None,
    options: Any = None,
    name: str | None = None,
    disable: bool = False,
    recompile_limit: int | None = None,
    isolate_recompiles: bool = False,
    shapes_spec: Any = None,
) -> Any:
    """Accepts a model or function and returns it: no call is needed for code to run fast.

    May be used as a decorator, with or without arguments.

    Raises:
        RuntimeError: both ``mode`` and ``options`` are given.
    """
    if mode is not None and options is not None:
        raise RuntimeError(
            "Either mode or options can be specified, but both can't be specified at the same time."
        )
    return model if model is not None else (lambda wrapped: wrapped)


@function
def get_float32_matmul_precision() -> str:
    """What ``set_float32_matmul_precision`` was given."""
    return _Switches.matmul_precision


@function
def set_float32_matmul_precision(precision: str) -> None:
    """Says how precise float32 products must be: ``highest``, ``high`` or ``medium``.

    Products on the CPU are computed in float32 under each of them, as PyTorch's are.
    """
    if precision not in ("highest", "high", "medium"):
        raise RuntimeError(
            f"{precision} is not one of 'highest', 'high', or 'medium'; the current value is "
            f"{_Switches.matmul_precision}"
        )
    _Switches.matmul_precision = precision


@function
def get_deterministic_debug_mode() -> int:
    """0 (default), 1 (warn) or 2 (error)."""
    return _Switches.debug_mode


@function
def set_deterministic_debug_mode(debug_mode: int | str) -> None:
    """Sets what nondeterministic algorithms should do; every algorithm here is deterministic."""
    names = {"default": 0, "warn": 1, "error": 2}
    if isinstance(debug_mode, str):
        if debug_mode not in names:
            raise RuntimeError(
                "invalid value of debug_mode, expected one of `default`, `warn`, `error`, but got "
                f"{debug_mode}"
            )
        debug_mode = names[debug_mode]
    if debug_mode not in (0, 1, 2):
        raise RuntimeError(
            f"invalid value of debug_mode, expected 0, 1, or 2, but got {debug_mode}"
        )
    _Switches.debug_mode = debug_mode
    FUNCTIONS["use_deterministic_algorithms"](debug_mode > 0, warn_only=debug_mode == 1)


@function
def is_deterministic_algorithms_warn_only_enabled() -> bool:
    """Whether nondeterministic algorithms should only warn."""
    return _Switches.debug_mode == 1


@function
def is_warn_always_enabled() -> bool:
    """Whether warnings come each time rather than once."""
    return _Switches.warn_always


@function
def set_warn_always(b: bool) -> None:
    """Sets whether warnings come each time rather than once."""
    _Switches.warn_always = bool(b)


@function
def set_flush_denormal(mode: bool) -> bool:
    """Asks for denormal numbers to become 0; not supported here, which the answer says."""
    return False


@function
def set_anomaly_enabled(mode: bool, check_nan: bool = True) -> None:
    """Turns anomaly detection of backward passes on or off."""
    enter("anomaly detection")
    modes.state.anomaly = bool(mode) and check_nan


@function
def set_default_tensor_type(t: Any) -> None:
    """Sets the default dtype by a tensor type, ``torch.DoubleTensor`` or its name."""
    if isinstance(t, str):
        t = FUNCTIONS.get(t.removeprefix("torch."), t)
    kind = getattr(t, "_tensor_dtype", None)
    if kind is None or not kind.is_floating_point:
        raise TypeError(
            f"invalid type object: {t}"
            if kind is None
            else "only floating-point types are supported as the default type"
        )
    FUNCTIONS["set_default_dtype"](kind)
