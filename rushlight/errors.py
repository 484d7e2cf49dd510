"""Exceptions of rushlight's own, and the notes that explain an error to a learner.

Where PyTorch raises a built-in exception rushlight raises the same type with the same first line;
what helps (shapes, the fix) is added as PEP 678 notes, so that scripts which catch or search for
the text keep working.
"""

from __future__ import annotations

import os
import pickle
from typing import TypeVar

__all__ = [
    "DamagedPickleError",
    "EmptyFileError",
    "FileFormatError",
    "LinAlgError",
    "MissingClassError",
    "OutOfMemoryError",
    "RefusedPickleError",
    "explained",
    "in_users_language",
    "language",
    "with_note",
]

E = TypeVar("E", bound=BaseException)


class FileFormatError(RuntimeError):
    """A file is truncated, corrupt or malicious; nothing of it was executed or kept."""


class EmptyFileError(FileFormatError, EOFError):
    """A file ends before it has begun."""


class DamagedPickleError(FileFormatError, pickle.UnpicklingError):
    """The pickle in a file is truncated or is not a pickle."""


class RefusedPickleError(FileFormatError, pickle.UnpicklingError):
    """A file asks for something that its reader does not allow; nothing of it was executed."""


class MissingClassError(FileFormatError, AttributeError):
    """A file needs a class that its module does not define (any more)."""


class LinAlgError(RuntimeError):
    """A matrix is singular or not positive-definite, or an algorithm did not converge."""


LinAlgError.__name__ = LinAlgError.__qualname__ = "_LinAlgError"  # as PyTorch names it
_LinAlgError = LinAlgError


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


def language() -> str:
    """The language of notes: ``RUSHLIGHT_LANG`` (en or zh), else the locale's."""
    for name in ("RUSHLIGHT_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        wish = os.environ.get(name, "").lower()
        if wish:
            return "zh" if wish.startswith(("zh", "chinese")) else "en"
    import locale  # Windows sets no variables

    return "zh" if (locale.getlocale()[0] or "").lower().startswith(("zh", "chinese")) else "en"


def in_users_language(english: str, chinese: str) -> str:
    """One of two texts that say the same."""
    return chinese if language() == "zh" else english


def explained(error: E, english: str, chinese: str) -> E:
    """Adds the note in the user's language, unless it is empty, and returns the error.

    Example:
        >>> raise explained(ValueError("bad shape"), "got (3,)", "实际 (3,)")
        Traceback (most recent call last):
        ...
        ValueError: bad shape
        got (3,)
    """
    note = in_users_language(english, chinese)
    return with_note(error, note) if note else error
