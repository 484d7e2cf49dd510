"""CUDA: `torch.backends.cuda`, its switches and that it is not built in."""

from __future__ import annotations

from typing import Any

__all__ = ["is_built", "matmul"]


class _Matmul:
    """Switches of matrix products on GPUs: kept, and read back."""

    allow_tf32 = False
    allow_fp16_reduced_precision_reduction = True
    allow_bf16_reduced_precision_reduction = True
    fp32_precision = "none"

    def __setattr__(self, name: str, value: Any) -> None:
        if not hasattr(type(self), name):
            raise AttributeError(f"Unknown attribute {name}")
        object.__setattr__(self, name, value)


matmul = _Matmul()


def is_built() -> bool:
    """Whether CUDA support is part of this build."""
    return False
