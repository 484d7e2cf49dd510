"""Errors for names that PyTorch has and rushlight lacks, or that nobody has.

In: a module and the name somebody asked it for. Out: the AttributeError or ImportError, in Python's
words under PyTorch's names, with a note that says whether the name is misspelt or not there yet.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

__all__ = ["missing_attribute", "missing_import", "note_for", "public_module"]


def public_module(name: str) -> str:
    """The name that users know for a module of rushlight.

    Example:
        >>> public_module("rushlight.vision.models")
        'torchvision.models'
    """
    for mine, theirs in (
        ("rushlight.vision", "torchvision"),
        ("rushlight.tensorboard", "torch.utils.tensorboard"),
        ("rushlight", "torch"),
    ):
        if name == mine or name.startswith(mine + "."):
            return theirs + name[len(mine) :]
    return name


def note_for(module: ModuleType, name: str) -> str:
    """What to say about a name that a module lacks."""
    import difflib

    shown = public_module(module.__name__)
    known = [
        other
        for other in dir(module)
        if not other.startswith("_") and abs(len(other) - len(name)) <= 3
    ]
    near = difflib.get_close_matches(name, known, 1, 0.75)
    if near:
        return f"did you mean '{shown}.{near[0]}'?"
    return f"{shown}.{name} is not in rushlight yet, or is misspelt"


def missing_attribute(module: ModuleType, name: str) -> AttributeError:
    """The error for ``module.name``; to be raised."""
    text = f"module '{public_module(module.__name__)}' has no attribute '{name}'"
    error = AttributeError(text, name=name)
    if not name.startswith("__"):  # Python itself and tools probe for these
        error.add_note(note_for(module, name))
    return error


def missing_import(module: ModuleType, name: str) -> ImportError:
    """The error for ``from module import name``; to be raised."""
    shown, file = public_module(module.__name__), getattr(module, "__file__", None)
    where: Any = file or "unknown location"
    text = f"cannot import name '{name}' from '{shown}' ({where})"
    error = ImportError(text, name=shown, path=file)
    error.add_note(note_for(module, name))
    return error
