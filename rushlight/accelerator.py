"""Whatever accelerator a machine has: here none, scripts fall back to the CPU.

Example:
    >>> import rushlight as torch
    >>> accelerator = torch.accelerator
    >>> accelerator.current_accelerator() if accelerator.is_available() else torch.device("cpu")
    device(type='cpu')
"""

from __future__ import annotations

from typing import Any

__all__ = ["current_accelerator", "device_count", "is_available", "synchronize"]


def is_available() -> bool:
    """Whether there is an accelerator."""
    return False


def device_count() -> int:
    """How many accelerators there are."""
    return 0


def current_accelerator(check_available: bool = False) -> Any:
    """The kind of accelerator as a device, or None if there is none."""
    return None


def synchronize(device: Any = None) -> None:
    """Waits for the accelerator.

    Raises:
        RuntimeError: there is none.
    """
    raise RuntimeError("Cannot access accelerator device when none is available.")
