"""Apple's GPUs: `torch.backends.mps`, which rushlight does not drive."""

from __future__ import annotations

__all__ = ["is_available", "is_built"]


def is_available() -> bool:
    """Whether tensors can be placed on an Apple GPU."""
    return False


def is_built() -> bool:
    """Whether support for Apple GPUs is part of this build."""
    return False
