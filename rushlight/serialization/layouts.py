"""Layouts in files: ``torch.strided`` travels as a call of ``torch.serialization._get_layout``.

In: a layout's printed name. Out: the layout; rushlight has the strided one.
"""

from __future__ import annotations

from rushlight._tensor.formats import STRIDED, layout

__all__ = ["get_layout"]


def get_layout(name: str) -> layout:
    """The layout of this printed name.

    Raises:
        KeyError: rushlight has no such layout (sparse ones).

    Example:
        >>> get_layout("torch.strided")
        torch.strided
    """
    return {repr(STRIDED): STRIDED}[name]
