"""The gradient modes under the module name where PyTorch has them: ``torch.autograd.grad_mode``.

Two of them are permissions that this library's engine does not use: it runs every backward pass on
the calling thread, and always lays accumulated gradients out as PyTorch does. They can be set, read
back and nested.
"""

from __future__ import annotations

import threading
from typing import Any

from rushlight._tensor.modes import (
    _Switch,
    enable_grad,
    inference_mode,
    no_grad,
    set_grad_enabled,
)

__all__ = [
    "enable_grad",
    "enforce_grad_layout_policy",
    "inference_mode",
    "is_multithreading_enabled",
    "no_grad",
    "set_grad_enabled",
    "set_multithreading_enabled",
]


class _Permissions(threading.local):
    """What this thread allows the engine."""

    threads = True
    layout = True


_allowed = _Permissions()


class set_multithreading_enabled(_Switch):
    """Allows backward passes on several threads, or not; as a context, until its end.

    Args:
        mode: whether to allow it.

    Example:
        >>> import rushlight as torch
        >>> with torch.autograd.set_multithreading_enabled(False):
        ...     torch.autograd.is_multithreading_enabled()
        False
    """

    def __init__(self, mode: bool) -> None:
        self.was, self.mode = _allowed.threads, bool(mode)
        _allowed.threads = self.mode

    def _again(self) -> Any:
        return set_multithreading_enabled(self.mode)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exc: object) -> None:
        _allowed.threads = self.was


def is_multithreading_enabled() -> bool:
    """Whether backward passes may run on several threads."""
    return _allowed.threads


class enforce_grad_layout_policy(_Switch):
    """Asks that accumulated gradients lie in memory as their tensors do; also as a context.

    Args:
        enable: false allows, but does not ask for, the layout that a gradient came in.
    """

    def __init__(self, enable: bool = True) -> None:
        self.was, self.mode = _allowed.layout, bool(enable)
        _allowed.layout = self.mode

    def _again(self) -> Any:
        return enforce_grad_layout_policy(self.mode)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exc: object) -> None:
        _allowed.layout = self.was
