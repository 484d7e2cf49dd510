"""How many calls ran as compiled code, whole by their NumPy kernel inside a program, or eagerly.

In: `note`, from who runs calls.  Out: `snapshot`, for `RUSHLIGHT_TIER=1`, where eager must stay 0
and opaque must be what the operator's kind allows.
"""

from __future__ import annotations

from collections import Counter

__all__ = ["COMPILED", "EAGER", "OPAQUE", "clear", "note", "snapshot"]

COMPILED, OPAQUE, EAGER = "compiled", "opaque", "eager"
_counts: dict[str, Counter[str]] = {COMPILED: Counter(), OPAQUE: Counter(), EAGER: Counter()}


def note(how: str, name: str) -> None:
    """Counts a call of the operator of this name."""
    _counts[how][name] += 1


def snapshot() -> dict[str, dict[str, int]]:
    """Calls by how they ran and by operator.

    Example:
        >>> clear()
        >>> note(COMPILED, "add")
        >>> snapshot()["compiled"]
        {'add': 1}
    """
    return {how: dict(counter) for how, counter in _counts.items()}


def clear() -> None:
    """Starts counting anew."""
    for counter in _counts.values():
        counter.clear()
