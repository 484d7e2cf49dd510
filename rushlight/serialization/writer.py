"""torch.save: an object's pickle and its tensors' memory, in one archive.

In: an object and a path or file. Out: a zip archive as PyTorch writes it, with PyTorch's names for
rushlight's classes, complete or not there at all.
"""

from __future__ import annotations

import io
import os
import pickle
import sys
from types import FunctionType
from typing import Any, BinaryIO

from rushlight._tensor.formats import layout
from rushlight._tensor.pickling import TypedStorage
from rushlight.dtypes import dtype
from rushlight.errors import with_note
from rushlight.runtime import host_memory
from rushlight.runtime.storage import Storage

from . import names
from .atomic import atomic_write
from .locations import location_tag
from .zip_writer import ALIGNMENT, ZipWriter

__all__ = ["save"]

_FUNCTIONAL = "rushlight.nn.functional"
_STORAGE_NAMES = {dtype_name: name for name, dtype_name in names.STORAGE_DTYPES.items()}
_PythonPickler: Any = pickle._Pickler  # type: ignore[attr-defined]


class _Named:
    """Something that a pickle mentions by a name which nothing here has."""

    def __init__(self, module: str, name: str) -> None:
        self.module, self.name = module, name

    def __call__(self, *args: Any) -> None:
        raise TypeError(f"{self.module}.{self.name} is only a name")  # pickle wants a callable


_GET_LAYOUT = _Named("torch.serialization", "_get_layout")


class _Storages:
    """Numbers the storages that a pickle meets, each once."""

    def __init__(self) -> None:
        self.found: dict[str, Storage] = {}
        self._keys: dict[int, str] = {}
        self._dtypes: dict[int, str] = {}
        self._classes: dict[str, _Named] = {}

    def persistent_id(self, obj: Any) -> tuple[Any, ...] | None:
        if type(obj) is TypedStorage:
            storage, kind = obj.storage, obj.dtype
        elif type(obj) is Storage:
            storage, kind = obj, None
        else:
            return None
        name = kind.name if kind is not None else "uint8"
        if storage.length and self._dtypes.setdefault(id(storage), name) != name:
            raise RuntimeError(
                "Cannot save multiple tensors or storages that view the same data as different "
                "types"
            )
        key = self._keys.setdefault(id(storage), str(len(self._keys)))
        self.found[key] = storage
        count = storage.length // (kind.itemsize if kind is not None else 1)
        return ("storage", self._class(kind), key, location_tag(storage), count)

    def _class(self, kind: dtype | None) -> _Named:
        name = "UntypedStorage" if kind is None else _STORAGE_NAMES[kind.name]
        module = "torch.storage" if kind is None else "torch"
        return self._classes.setdefault(name, _Named(module, name))


def _pickler(base: Any, file: BinaryIO, protocol: int, storages: _Storages) -> Any:
    """A pickler of the wanted kind that writes storages as records and PyTorch's names."""

    class Pickler(base):  # type: ignore[misc]
        def persistent_id(self, obj: Any) -> Any:
            return storages.persistent_id(obj)

        def reducer_override(self, obj: Any) -> Any:
            if type(obj) is _Named:
                return obj.name  # a string: a global, which save_global writes
            if type(obj) is dtype:
                return obj.name
            if type(obj) is layout:
                return _GET_LAYOUT, (repr(obj),)
            if type(obj) is FunctionType and names.home(obj.__module__ or ""):
                return obj.__qualname__  # the base class would not ask save_global
            return NotImplemented

        def save_global(self, obj: Any, name: str | None = None, **rest: Any) -> None:
            place = _place(obj, name)
            if place is None:
                super().save_global(obj, name, **rest)
            else:
                _write_global(self, obj, *place)

    return Pickler(file, protocol=protocol)


def _place(obj: Any, name: str | None) -> tuple[str, str] | None:
    """PyTorch's module and name for what is rushlight's; None for everything else."""
    if type(obj) is _Named:
        return obj.module, obj.name
    if type(obj) is dtype:
        return "torch", obj.name
    module = getattr(obj, "__module__", None)
    name = name or getattr(obj, "__qualname__", None) or getattr(obj, "__name__", None)
    if not isinstance(module, str) or not names.home(module) or not name or "." in name:
        return None
    if not _importable(obj, module, name) and _importable(obj, _FUNCTIONAL, name):
        module = _FUNCTIONAL  # an operator that is public there alone
    if not _importable(obj, module, name):
        raise pickle.PicklingError(f"Can't pickle {obj!r}: it's not found as {module}.{name}")
    return names.theirs(module, name)


def _importable(obj: Any, module: str, name: str) -> bool:
    return getattr(sys.modules.get(module), name, None) is obj


def _write_global(pickler: Any, obj: Any, module: str, name: str) -> None:
    if pickler.proto >= 4:
        pickler.save(module)
        pickler.save(name)
        pickler.write(pickle.STACK_GLOBAL)
    else:
        pickler.write(pickle.GLOBAL + f"{module}\n{name}\n".encode())
    pickler.memoize(obj)


def _pickle(obj: Any, storages: _Storages, module: Any, protocol: int) -> bytes:
    base = _PythonPickler if module is pickle else module.Pickler
    if not hasattr(base, "save_global"):
        raise TypeError(
            f"pickle_module {module.__name__} must offer a Pickler written in Python, whose "
            "save_global can be overridden"
        )
    buffer = io.BytesIO()
    _pickler(base, buffer, protocol, storages).dump(obj)
    return buffer.getvalue()


def save(
    obj: object,
    f: Any,
    pickle_module: Any = pickle,
    pickle_protocol: int = 2,
    _use_new_zipfile_serialization: bool = True,
    _disable_byteorder_record: bool = False,
) -> None:
    """Saves an object to a file that PyTorch reads too.

    A path is written atomically: whatever fails, the file that was there stays. Tensors that share
    a storage share it again when loaded, and a view is saved with its whole storage.

    Args:
        obj: a tensor, a ``state_dict``, a whole module, or anything that pickles.
        f: a path, or a binary file with ``write`` and ``flush``.
        pickle_module: the module whose Pickler is used. Default: ``pickle``.
        pickle_protocol: the protocol of the pickle. Default: 2.

    Raises:
        RuntimeError: the folder does not exist; or tensors of different dtypes share a storage.
        AttributeError: ``f`` is neither a path nor a file.
        OSError: the disk is full, or the file may not be written.

    Example:
        >>> import io
        >>> import rushlight as torch
        >>> file = io.BytesIO()
        >>> torch.save({"weight": torch.ones(2)}, file)
        >>> _ = file.seek(0)
        >>> torch.load(file)
        {'weight': tensor([1., 1.])}
    """
    if not isinstance(f, (str, os.PathLike)) and not hasattr(f, "write"):
        raise AttributeError(
            "expected 'f' to be string, path, or a file-like object with a 'write' attribute"
        )
    if not _use_new_zipfile_serialization:
        raise NotImplementedError(
            "rushlight reads the format from before PyTorch 1.6 and does not write it"
        )
    storages = _Storages()
    data = _pickle(obj, storages, pickle_module, pickle_protocol)
    order = not _disable_byteorder_record
    if not isinstance(f, (str, os.PathLike)):
        _write_archive(f, "archive", data, storages, order)
        f.flush()
        return
    path = os.fspath(f)
    _check_folder(path)
    with atomic_write(path) as file:
        _write_archive(file, _archive_name(path), data, storages, order)


def _check_folder(path: str) -> None:
    folder, name = os.path.split(path)
    if not name:
        raise RuntimeError(f"invalid file name: {path}")
    if folder and not os.path.isdir(folder):
        raise with_note(
            RuntimeError(f"Parent directory {folder} does not exist."),
            "make it first: os.makedirs(folder, exist_ok=True)",
        )
    if os.path.isdir(path):
        raise RuntimeError(f"open file failed with strerror: Is a directory: {path}")


def _archive_name(path: str) -> str:
    name = os.path.basename(path)
    stem = name.rpartition(".")[0] if "." in name else name
    return stem if stem and stem.isascii() and "\\" not in stem else "archive"


def _write_archive(file: Any, name: str, data: bytes, storages: _Storages, byteorder: bool) -> None:
    archive = ZipWriter(file, name)
    archive.add("data.pkl", data)
    archive.add(".format_version", b"1")
    archive.add(".storage_alignment", str(ALIGNMENT).encode())
    if byteorder:
        archive.add("byteorder", sys.byteorder.encode())
    for key, storage in storages.found.items():
        archive.add(f"data/{key}", host_memory.readable(storage))
    archive.finish()
