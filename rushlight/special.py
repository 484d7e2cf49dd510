"""``torch.special``: the special functions of mathematics, after SciPy's names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rushlight._tensor.special import SPECIAL as _SPECIAL

if not TYPE_CHECKING:
    globals().update(_SPECIAL)

__all__ = sorted(_SPECIAL)
