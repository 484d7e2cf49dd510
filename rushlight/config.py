"""What the environment says: variables are read once, when the package is imported."""

from __future__ import annotations

import os

__all__ = ["tier"]


def tier() -> str | None:
    """``RUSHLIGHT_TIER``: ``0`` runs everything eagerly, ``1`` every call as a program of its own.

    Unset, programs start eagerly and stretches that come round are compiled.

    Raises:
        ValueError: it is something else.
    """
    found = os.environ.get("RUSHLIGHT_TIER") or None
    if found not in (None, "0", "1"):
        raise ValueError(f"RUSHLIGHT_TIER must be 0, 1 or unset, not {found!r}")
    return found
