"""The processor: `torch.backends.cpu`."""

from __future__ import annotations

__all__ = ["get_cpu_capability"]


def get_cpu_capability() -> str:
    """The instruction set that kernels are written for; NumPy picks its own at run time."""
    return "DEFAULT"
