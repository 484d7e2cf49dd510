"""``torch.return_types``: the named tuples that functions with several results return."""

from __future__ import annotations

from typing import Any

from rushlight._tensor.reduction import RETURN_TYPES

__all__ = sorted(RETURN_TYPES)


def __getattr__(name: str) -> Any:
    try:
        return RETURN_TYPES[name]
    except KeyError:
        raise AttributeError(f"module 'torch.return_types' has no attribute '{name}'") from None
