"""Exceptions of rushlight's own, and the notes that explain an error to a learner.

Where PyTorch raises a built-in exception rushlight raises the same type with the same first line;
what helps (shapes, the fix) is added as PEP 678 notes, so that scripts which catch or search for
the text keep working.
"""

from __future__ import annotations

from typing import TypeVar

__all__ = ["FileFormatError", "OutOfMemoryError", "with_note"]

E = TypeVar("E", bound=BaseException)


class FileFormatError(RuntimeError):
    """A file is truncated, corrupt or malicious; nothing of it was executed or kept."""


class OutOfMemoryError(RuntimeError):
    """A device has no memory left for a tensor."""


def with_note(error: E, *notes: str) -> E:
    """Adds explaining notes to an error and returns it, ready to be raised.

    Example:
        >>> raise with_note(ValueError("bad shape"), "got (3,), want (4,)")
        Traceback (most recent call last):
        ...
        ValueError: bad shape
        got (3,), want (4,)
    """
    for note in notes:
        error.add_note(note)
    return error
