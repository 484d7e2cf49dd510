"""The compiler: what users can ask of it and tell it.

Hot code compiles itself; nothing here needs to be called. ``dispatch/`` says what the functions do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["explain", "reset", "set_tier", "statistics"]

control: dict[str, Callable[..., Any]] = {}  # filled by the dispatcher when it is imported


def statistics() -> Any:
    """What recording and replaying have done so far in this process.

    Returns:
        an object with the counts ``recorded``, ``matched``, ``launched``, ``compiled``, and the
        reasons with counts ``bailed`` and ``refused``.

    Example:
        >>> import rushlight as torch
        >>> torch.compiler.statistics().launched >= 0
        True
    """
    return control["statistics"]()


def set_tier(tier: int | None) -> None:
    """Chooses how code runs from now on in this process.

    Args:
        tier: 0 for everything eagerly, None for compiling what comes round again (the default).

    Raises:
        ValueError: another value.
    """
    control["set_tier"](tier)


def reset() -> None:
    """Forgets what was compiled, so that what follows runs as in a new process.

    A second training from the same seed in one process gives the same bits if it begins with this.
    """
    control["reset"]()


def explain() -> str:
    """The stretches that were compiled: events, programs, kernels and their times."""
    return str(control["explain"]())
