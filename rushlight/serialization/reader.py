"""torch.load: archives of torch.save, and the older format, back into objects.

In: a path or file. Out: the object. Every record's CRC-32, size and place, and every tensor's
geometry, are checked; damage and refusals raise before anything of the file is executed.
"""

from __future__ import annotations

import io
import mmap as memory_map
import os
import pickle
import re
import sys
import warnings
from collections.abc import Callable
from typing import Any, BinaryIO, NoReturn

from rushlight._tensor.pickling import TypedStorage
from rushlight.devices import META
from rushlight.errors import (
    DamagedPickleError,
    EmptyFileError,
    FileFormatError,
    RefusedPickleError,
)
from rushlight.runtime import host_memory
from rushlight.runtime.storage import Storage

from . import names
from .locations import restorer, to_meta
from .persistent_ids import storage_key
from .pickle_machine import Machine, Policy
from .policies import ModelPolicy, StorageKind, WeightsPolicy, storage_kind
from .zip_reader import ZipReader, damaged, is_zip

__all__ = ["load"]

_UNSET = (
    "In PyTorch 2.6, we changed the default value of the `weights_only` argument in `torch.load` "
    "from `False` to `True`. Re-running `torch.load` with `weights_only` set to `False` will "
    "likely succeed, but it can result in arbitrary code execution. Do it only if you got the "
    "file from a trusted source."
)
_TRUE = ("1", "y", "yes", "true")


class _Loader:
    """How one file's pickles are run: under a policy, or by an unpickler that executes."""

    def __init__(
        self, weights_only: bool | None, module: Any, options: dict[str, Any], location: Any
    ) -> None:
        self.weights_only = weights_only
        self.module = module
        self.options = options
        self.restore: Callable[[Any, str], Any] = restorer(location)
        self.meta = to_meta(location)

    def unpickle(self, file: BinaryIO, persistent: Callable[[Any], Any]) -> Any:
        """The next object of a stream."""
        if self.weights_only is False:
            return self._execute(file, persistent)
        kind = WeightsPolicy if self.weights_only else ModelPolicy
        return self._run(file, kind(persistent))

    def header(self, file: BinaryIO) -> Any:
        """The next object of a stream, if it is plain data."""
        return self._run(file, Policy())

    def _run(self, file: BinaryIO, policy: Policy) -> Any:
        encoding = self.options.get("encoding", "utf-8")
        errors = self.options.get("errors", "strict")
        return Machine(file, policy, encoding, errors).load()

    def _execute(self, file: BinaryIO, persistent: Callable[[Any], Any]) -> Any:
        base: Any = self.module.Unpickler

        class Unpickler(base):  # type: ignore[misc]
            def find_class(self, module: str, name: str) -> Any:
                module, name = names.ours(module, name)
                kind = storage_kind(module, name)
                if kind is not None:
                    return kind
                if (module, name) == ("rushlight", "_VariableFunctionsClass"):
                    return sys.modules["rushlight"]  # where torch.relu and its like are
                return super().find_class(module, name)

            def persistent_load(self, key: Any) -> Any:
                return persistent(key)

        try:
            return Unpickler(file, **self.options).load()
        except FileFormatError:
            raise
        except (pickle.UnpicklingError, EOFError) as error:
            raise DamagedPickleError(str(error)) from error


class _Archive:
    """The storages of a zip archive, each read once when the pickle asks for it."""

    def __init__(self, reader: ZipReader, loader: _Loader, mapped: Any = None) -> None:
        self._reader = reader
        self._loader = loader
        self._mapped = mapped
        self._loaded: dict[str, Storage] = {}
        order = (
            reader.read("byteorder", 16).decode("latin-1") if "byteorder" in reader else "little"
        )
        if order not in ("little", "big"):
            raise FileFormatError(f"Unknown endianness type: {order}")
        self._swap = order != sys.byteorder

    def persistent(self, key: Any) -> TypedStorage:
        kind, name, location, count = storage_key(key, 4)
        width = kind.dtype.itemsize if kind.dtype is not None else 1
        storage = self._loaded.get(name)
        if storage is None:
            storage = self._loaded[name] = self._load(name, location, count * width, kind)
        elif storage.length // width != count:
            damaged(f"two tensors disagree about the size of storage {name}")
        return TypedStorage(storage, kind.dtype)

    def _load(self, name: str, location: str, nbytes: int, kind: StorageKind) -> Storage:
        record = f"data/{name}"
        size = self._reader.size(record)
        width = kind.dtype.itemsize if kind.dtype is not None else 1
        if size // width * width != nbytes:
            damaged(f"storage {name} has {size} bytes, but its tensors need {nbytes}")
        if self._loader.meta:
            return Storage(size, META)
        place = self._reader.place(record)
        mappable = self._mapped is not None and not self._swap
        if mappable and place is not None and place % 16 == 0:
            storage = host_memory.over(self._mapped, place, size)
        else:
            storage = Storage(size)
            self._reader.read_into(record, host_memory.writable(storage))
            if self._swap:
                self._unswap(storage, kind)
        restored = self._loader.restore(storage, location)
        return restored.storage if isinstance(restored, TypedStorage) else restored

    def _unswap(self, storage: Storage, kind: StorageKind) -> None:
        width = kind.dtype.itemsize if kind.dtype is not None else 1
        if kind.dtype is not None and kind.dtype.is_complex:
            width //= 2
        host_memory.swap_bytes(storage, width)


def _load_archive(file: BinaryIO, loader: _Loader, path: str | None, mapped: bool) -> Any:
    reader = ZipReader(file)
    if "constants.pkl" in reader:
        raise FileFormatError(
            "the file is a TorchScript archive; rushlight loads what torch.save writes"
        )
    memory = None
    if mapped:
        if path is None:
            raise ValueError("f must be a file path in order to use the mmap argument")
        # Copy on write: the tensors can be changed, the file stays as it is.
        memory = memory_map.mmap(file.fileno(), 0, access=memory_map.ACCESS_COPY)
    archive = _Archive(reader, loader, memory)
    data = io.BytesIO(reader.read("data.pkl"))
    return loader.unpickle(data, archive.persistent)


def load(
    f: Any,
    map_location: Any = None,
    pickle_module: Any = None,
    *,
    weights_only: bool | None = None,
    mmap: bool | None = None,
    **pickle_load_args: Any,
) -> Any:
    """Loads what ``torch.save`` saved, here or in PyTorch.

    Nothing of the file is executed unless ``weights_only=False`` says so. Records are verified by
    their CRC-32; with ``mmap`` those of storages are not, since their pages are read when used.

    Args:
        f: a path, or a seekable binary file.
        map_location: where storages go: None, a device or its name, a dict of location tags, or a
            function of a storage and its tag.
        pickle_module: a module whose Unpickler executes the pickle; for ``weights_only=False``.
        weights_only: True allows tensors and plain containers; False executes whatever the file
            says; unset allows, besides, rushlight's own classes and classes derived from
            ``nn.Module`` that the program has imported.
        mmap: map the file instead of reading it; changes stay in memory.
        pickle_load_args: ``encoding`` and ``errors`` for strings that Python 2 wrote.

    Raises:
        FileFormatError: the file is damaged (also an ``EOFError`` if it is empty), or asks for
            what is not allowed (also a ``pickle.UnpicklingError``) or not defined (also an
            ``AttributeError``).
        FileNotFoundError: there is no such file.

    Example:
        >>> import io
        >>> import rushlight as torch
        >>> file = io.BytesIO()
        >>> torch.save([torch.arange(3), "x"], file)
        >>> _ = file.seek(0)
        >>> torch.load(file, weights_only=True)
        [tensor([0, 1, 2]), 'x']
    """
    weights_only = _forced(weights_only)
    if pickle_module is not None and weights_only is None:
        weights_only = False  # an unpickler of the caller's own can only execute
    if weights_only and pickle_module is not None:
        raise RuntimeError("Can not safely load weights when explicit pickle_module is specified")
    options = {"encoding": "utf-8"} | pickle_load_args
    loader = _Loader(weights_only, pickle_module or pickle, options, map_location)
    if not isinstance(f, (str, os.PathLike)):
        _check_seekable(f)
        return _load_open(f, loader, None, bool(mmap))
    path = os.fspath(f)
    if path.endswith(".safetensors"):
        return _load_safetensors(path, map_location)
    with open(path, "rb") as file:
        return _load_open(file, loader, path, bool(mmap))


def _forced(weights_only: bool | None) -> bool | None:
    """The value after PyTorch's environment variables have spoken."""
    force = os.environ.get("TORCH_FORCE_WEIGHTS_ONLY_LOAD", "0").lower() in _TRUE
    force_not = os.environ.get("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "0").lower() in _TRUE
    if force and force_not:
        raise RuntimeError(
            "Only one of `TORCH_FORCE_WEIGHTS_ONLY_LOAD` or `TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD` "
            "should be set, but both were set."
        )
    if force:
        return True
    if force_not and weights_only is None:
        warnings.warn(
            "Environment variable TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD detected, since the"
            "`weights_only` argument was not explicitly passed to `torch.load`, forcing "
            "weights_only=False.",
            UserWarning,
            stacklevel=3,
        )
        return False
    return weights_only


def _check_seekable(file: Any) -> None:
    try:
        file.seek(file.tell())
    except (io.UnsupportedOperation, AttributeError) as error:
        if "seek" not in str(error) and "tell" not in str(error):
            raise
        raise type(error)(
            f"{error}. You can only torch.load from a file that is seekable. Please pre-load the "
            "data into a buffer like io.BytesIO and try to load from it instead."
        ) from None


def _load_safetensors(path: str, map_location: Any) -> Any:
    from .safetensors import load_file

    kind = "dict" if isinstance(map_location, dict) else "callable"
    if isinstance(map_location, dict) or callable(map_location):
        raise RuntimeError(
            f"Loading safetensors file with {kind} map_location is not supported. Use a device "
            "string or torch.device instead."
        )
    return load_file(path, "cpu" if map_location is None else str(map_location))


def _load_open(file: BinaryIO, loader: _Loader, path: str | None, mapped: bool) -> Any:
    from .legacy import load_legacy

    try:
        if is_zip(file):
            return _load_archive(file, loader, path, mapped)
        if mapped:
            name = f"{path}, " if path else ""
            raise RuntimeError(
                f"mmap can only be used with files saved with `torch.save({name}"
                "_use_new_zipfile_serialization=True), please torch.save your checkpoint with "
                "this option in order to use mmap."
            )
        start = file.tell()
        if not file.read(1):
            raise EmptyFileError("Ran out of input")
        file.seek(start)
        return load_legacy(file, loader.header, loader.unpickle, loader.restore)
    except RefusedPickleError as error:
        _refuse(str(error), loader.weights_only)
    except AttributeError as error:
        missing = re.match(r"Can't get attribute '([^']*)' on", str(error))
        if missing is not None:
            name = missing[1]
            error.add_note(f"the file holds a {name}: define or import class {name} before loading")
        raise


def _refuse(message: str, weights_only: bool | None) -> NoReturn:
    """Raises in PyTorch's words, with what to do about it."""
    shown = re.search(r"GLOBAL (\S+) was not an allowed global by default", message)
    if shown is None:
        first = f"Weights only load failed. {_UNSET}\n\n\n{message}"
    else:
        first = (
            "Weights only load failed. This file can still be loaded, to do so you have two "
            "options, \033[1mdo those steps only if you trust the source of the checkpoint"
            f"\033[0m. \n\t(1) {_UNSET}\n\t(2) Alternatively, to load with `weights_only=True` "
            "please check the recommended steps in the following error message.\n\t"
            f"WeightsUnpickler error: {message}"
        )
    error = RefusedPickleError(first)
    if shown is not None:
        module, _, name = shown[1].rpartition(".")
        if weights_only is None and module and module not in sys.modules:
            error.add_note(f"import {module} before loading if {name} is an nn.Module of yours")
        error.add_note("nothing in the file was executed")
    raise error from None
