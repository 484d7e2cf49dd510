"""CUDA as scripts ask for it: this build computes on the CPU, and says so.

``is_available()`` is false and ``device_count()`` 0; what needs a GPU raises PyTorch's error.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "current_device",
    "device_count",
    "empty_cache",
    "get_device_name",
    "is_available",
    "is_bf16_supported",
    "is_initialized",
    "manual_seed",
    "manual_seed_all",
    "synchronize",
]


def _unavailable() -> AssertionError:
    error = AssertionError("Torch not compiled with CUDA enabled")
    error.add_note("this machine offers: cpu; ask torch.cuda.is_available() first")
    return error


def is_available() -> bool:
    """Whether tensors can live on a CUDA device."""
    return False


def is_initialized() -> bool:
    """Whether a CUDA device was used."""
    return False


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """Whether the CUDA device computes in bfloat16."""
    return False


def device_count() -> int:
    """How many CUDA devices there are."""
    return 0


def current_device() -> int:
    """The index of the current CUDA device."""
    raise _unavailable()


def get_device_name(device: Any = None) -> str:
    """The name of a CUDA device."""
    raise _unavailable()


def synchronize(device: Any = None) -> None:
    """Waits for a CUDA device."""
    raise _unavailable()


def empty_cache() -> None:
    """Gives unused memory of CUDA devices back; there is none."""


def manual_seed(seed: int) -> None:
    """Seeds the current CUDA device, if there is one."""


def manual_seed_all(seed: int) -> None:
    """Seeds all CUDA devices."""
