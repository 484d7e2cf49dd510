"""Runs NumPy without floating-point warnings, cheaply.

PyTorch divides by zero in silence, so every kernel runs under ``errstate(all="ignore")``.  Entering
``np.errstate`` costs as much as a small kernel; NumPy 2 keeps the state in a context variable,
which costs a tenth.  That variable is private to NumPy, so a self-test at import decides between it
and ``np.errstate``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import numpy as np

__all__ = ["quietly"]


def _plainly(f: Callable[..., Any], arguments: Sequence[Any]) -> Any:
    """Calls a function without floating-point warnings."""
    with np.errstate(all="ignore"):
        return f(*arguments)


def _by_variable() -> Callable[..., Any] | None:
    try:
        umath: Any = import_module("numpy._core.umath")
        silent = umath._make_extobj(all="ignore")
        enter, leave = umath._extobj_contextvar.set, umath._extobj_contextvar.reset
    except (ImportError, AttributeError, TypeError):
        return None

    def quietly(f: Callable[..., Any], arguments: Sequence[Any]) -> Any:
        """Calls a function without floating-point warnings."""
        before = enter(silent)
        try:
            return f(*arguments)
        finally:
            leave(before)

    return quietly


def _works(candidate: Callable[..., Any] | None) -> bool:
    """Whether a division by zero is silent inside and an error outside again."""
    if candidate is None:
        return False
    zero = np.zeros(1, np.float32)
    try:
        with np.errstate(all="raise"):
            if not np.isinf(candidate(np.divide, (np.float32(1), zero))).all():
                return False
            try:
                np.divide(np.float32(1), zero)
            except FloatingPointError:
                return True
    except (FloatingPointError, TypeError, ValueError, RuntimeError):
        return False
    return False


_candidate = _by_variable()
quietly: Callable[..., Any] = (
    _candidate if _candidate is not None and _works(_candidate) else _plainly
)
