"""Intel's MKL: `torch.backends.mkl`; rushlight does not use it."""

from __future__ import annotations

__all__ = ["is_available"]


def is_available() -> bool:
    """Whether Intel's MKL is used."""
    return False
