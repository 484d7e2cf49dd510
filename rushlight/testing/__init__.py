"""Helpers for tests of numerical code: ``torch.testing``."""

from __future__ import annotations

from rushlight.testing.comparison import assert_close, make_tensor

__all__ = ["assert_close", "make_tensor"]
