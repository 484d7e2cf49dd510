"""The classes and functions that the user has declared safe to load.

In: classes, functions, or pairs of one and its full name. Out: the table that restricted loading
asks. As in PyTorch it is empty at first and holds for the whole process.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any

from . import names

__all__ = [
    "add_safe_globals",
    "clear_safe_globals",
    "get_safe_globals",
    "safe_globals",
    "table",
]

_safe: set[Any] = set()


def add_safe_globals(safe_globals: list[Any]) -> None:
    """Marks classes and functions as safe for ``torch.load(..., weights_only=True)``.

    What is marked may be called and instantiated by the files that are loaded.

    Args:
        safe_globals: classes, functions, or pairs of one and the full name that files use.

    Example:
        >>> class Config: ...
        >>> add_safe_globals([Config])
        >>> get_safe_globals() == [Config]
        True
        >>> clear_safe_globals()
    """
    _safe.update(safe_globals)


def get_safe_globals() -> list[Any]:
    """What has been marked as safe."""
    return list(_safe)


def clear_safe_globals() -> None:
    """Forgets everything that was marked as safe."""
    _safe.clear()


class safe_globals:
    """A context in which some classes and functions are safe to load.

    Args:
        safe_globals: as for ``add_safe_globals``.

    Example:
        >>> class Config: ...
        >>> with safe_globals([Config]):
        ...     len(get_safe_globals())
        1
    """

    def __init__(self, safe_globals: list[Any]) -> None:
        self.safe_globals = safe_globals

    def __enter__(self) -> None:
        self._added = set(self.safe_globals) - _safe
        _safe.update(self._added)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        _safe.difference_update(self._added)


def table() -> dict[str, Any]:
    """What is safe, by the full name that a file would use (rushlight's own names)."""
    result: dict[str, Any] = {}
    for entry in _safe:
        if isinstance(entry, tuple):
            if len(entry) != 2:
                raise ValueError(
                    "Expected tuple of length 2 (global, str of callable full path), but got "
                    f"tuple of length: {len(entry)}"
                )
            item, path = entry
            if type(path) is not str:
                raise TypeError(
                    "Expected second item in tuple to be str of callable full path, but got: "
                    f"{type(path)}"
                )
            module, _, name = path.rpartition(".")
            module, name = names.ours(module, name)
        else:
            item, module, name = entry, entry.__module__, entry.__qualname__
        result[f"{module}.{name}"] = item
    return result
