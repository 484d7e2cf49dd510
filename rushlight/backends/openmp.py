"""OpenMP: `torch.backends.openmp`; rushlight does not use it."""

from __future__ import annotations

__all__ = ["is_available"]


def is_available() -> bool:
    """Whether OpenMP is used."""
    return False
