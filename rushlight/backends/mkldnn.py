"""oneDNN: `torch.backends.mkldnn`; rushlight does not use it."""

from __future__ import annotations

__all__ = ["is_available"]


def is_available() -> bool:
    """Whether oneDNN is used."""
    return False
