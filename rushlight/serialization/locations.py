"""Where loaded storages go: location tags, ``map_location``, and the table behind both.

In: a storage that was read and the tag it was saved with. Out: the storage where it is wanted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rushlight.devices import CPU, META, device
from rushlight.errors import FileFormatError, with_note
from rushlight.runtime.storage import Storage

__all__ = ["default_restore_location", "location_tag", "register_package", "restorer", "to_meta"]

_Tagger = Callable[[Any], Any]
_Restorer = Callable[[Any, str], Any]
_packages: list[tuple[int, _Tagger, _Restorer]] = []


def register_package(priority: int, tagger: _Tagger, deserializer: _Restorer) -> None:
    """Adds a kind of location; lower priorities are asked first.

    Args:
        priority: the place in the queue.
        tagger: given a storage, returns its tag, or None if it is of another kind.
        deserializer: given a storage and a tag, returns the storage placed there, or None.
    """
    _packages.append((priority, tagger, deserializer))
    _packages.sort(key=lambda entry: entry[0])


def _cpu_place(storage: Storage, location: str) -> Storage | None:
    return storage if location == "cpu" else None


def _meta_place(storage: Storage, location: str) -> Storage | None:
    return Storage(storage.length, META) if location == "meta" else None


def _cuda_place(storage: Storage, location: str) -> None:
    if location.partition(":")[0] == "cuda":
        raise with_note(
            RuntimeError(
                "Attempting to deserialize object on a CUDA device but torch.cuda.is_available() "
                "is False. If you are running on a CPU-only machine, please use torch.load with "
                "map_location=torch.device('cpu') to map your storages to the CPU."
            ),
            "the file was saved from a GPU: torch.load(path, map_location='cpu')",
        )


def _mps_place(storage: Storage, location: str) -> None:
    if location.partition(":")[0] == "mps":
        raise with_note(
            RuntimeError("torch.UntypedStorage(): Storage device not recognized: mps"),
            "this machine offers: cpu. Use torch.load(path, map_location='cpu')",
        )


register_package(10, lambda s: "cpu" if s.device is CPU else None, _cpu_place)
register_package(20, lambda s: str(s.device) if s.device.type == "cuda" else None, _cuda_place)
register_package(21, lambda s: str(s.device) if s.device.type == "mps" else None, _mps_place)
register_package(22, lambda s: "meta" if s.device.type == "meta" else None, _meta_place)


def location_tag(storage: Storage) -> str:
    """The tag with which a storage is saved, such as ``"cpu"`` or ``"cuda:0"``."""
    for _, tagger, _ in _packages:
        tag = tagger(storage)
        if tag:
            return str(tag)
    raise RuntimeError("don't know how to determine data location of torch.storage.UntypedStorage")


def default_restore_location(storage: Any, location: str) -> Any:
    """Places a storage where its tag says.

    Raises:
        FileFormatError: nothing here can place that tag.
    """
    for _, _, place in _packages:
        placed = place(storage, location)
        if placed is not None:
            return placed
    raise FileFormatError(
        "don't know how to restore data location of torch.storage.UntypedStorage "
        f"(tagged with {location})"
    )


def to_meta(map_location: Any) -> bool:
    """Whether everything goes to the meta device, so that no data need be read."""
    if isinstance(map_location, (str, bytes)):
        return map_location in ("meta", b"meta")
    return isinstance(map_location, device) and map_location.type == "meta"


def restorer(map_location: Any) -> Callable[[Any, str], Any]:
    """The function that places storages, for every form of ``map_location``.

    Args:
        map_location: None, a device or its name, a dict from tags to tags, or a function of the
            storage and its tag that returns a storage, or None for the default.
    """
    if map_location is None:
        return default_restore_location
    if isinstance(map_location, dict):
        return lambda storage, tag: default_restore_location(
            storage, str(map_location.get(tag, tag))
        )
    if isinstance(map_location, bytes):
        map_location = map_location.decode("ascii")
    if isinstance(map_location, (str, device)):
        return lambda storage, tag: default_restore_location(storage, str(map_location))

    def ask(storage: Any, tag: str) -> Any:
        placed = map_location(storage, tag)
        return default_restore_location(storage, tag) if placed is None else placed

    return ask
