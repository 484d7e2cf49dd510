"""The persistent ids by which a pickle of torch.save mentions its storages.

In: an id as the pickle holds it. Out: its parts, checked.
"""

from __future__ import annotations

from typing import Any

from rushlight.errors import DamagedPickleError, RefusedPickleError

from .policies import StorageKind

__all__ = ["storage_key", "text"]


def storage_key(key: Any, parts: int) -> tuple[Any, ...]:
    """The parts of a persistent id after its first word, checked."""
    if type(key) is not tuple or not key or text(key[0]) != "storage":
        raise RefusedPickleError(
            f"Only persistent_load of storage is allowed, but got {type(key).__name__}"
        )
    if len(key) != parts + 1 or not isinstance(key[1], StorageKind):
        raise DamagedPickleError("a storage's persistent id is not complete")
    kind, name, location, count = key[1], text(key[2]), text(key[3]), key[4]
    if type(name) is not str or type(location) is not str:
        raise DamagedPickleError("a storage's persistent id has no name or location")
    if type(count) is not int or not 0 <= count < 1 << 60:
        raise DamagedPickleError("a storage's persistent id has no size")
    return kind, name, location, count, *key[5:]


def text(value: Any) -> Any:
    return value.decode("ascii", "replace") if isinstance(value, bytes) else value
