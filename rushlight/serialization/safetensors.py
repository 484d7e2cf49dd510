"""safetensors files: named tensors and nothing that could be executed.

In: a dict of tensors, or a file. Out: a file, or the dict. A file is eight bytes with the length
of a JSON header, the header (dtype, shape and place of each tensor), and the tensors' bytes.

Source: the format section of the safetensors project's README.
"""

from __future__ import annotations

import json
import math
import os
import struct
import sys
from typing import Any, BinaryIO, NoReturn

from rushlight import dtypes
from rushlight._tensor.storage_access import from_storage
from rushlight.dispatch.doors import look
from rushlight.errors import FileFormatError
from rushlight.ir.strides import contiguous_strides
from rushlight.runtime import host_memory
from rushlight.runtime.storage import Storage

from .atomic import atomic_write
from .locations import default_restore_location

__all__ = ["load", "load_file", "save", "save_file"]

_NAMES = {
    "bool": "BOOL",
    "uint8": "U8",
    "int8": "I8",
    "int16": "I16",
    "uint16": "U16",
    "float16": "F16",
    "bfloat16": "BF16",
    "int32": "I32",
    "uint32": "U32",
    "float32": "F32",
    "float64": "F64",
    "int64": "I64",
    "uint64": "U64",
    "complex64": "C64",
}
_DTYPES = {name: dtypes.ALL[mine] for mine, name in _NAMES.items()}
_HEADER_LIMIT = 100_000_000


def _bad(text: str) -> NoReturn:
    raise FileFormatError(f"Error while deserializing header: {text}")


def _check(tensors: Any) -> None:
    if not isinstance(tensors, dict):
        raise ValueError(
            f"Expected a dict of [str, torch.Tensor] but received {type(tensors).__name__}"
        )
    seen: dict[int, str] = {}
    for name, tensor in tensors.items():
        if not isinstance(name, str) or not hasattr(tensor, "_storage"):
            raise ValueError(
                f"Key `{name}` is invalid, expected torch.Tensor but received "
                f"{type(tensor).__name__}"
            )
        if not tensor._meta.contiguous or tensor._meta.conj or tensor._meta.neg:
            raise ValueError(
                f"You are trying to save a non contiguous tensor: `{name}` which is not allowed. "
                "It either means you are trying to save tensors which are reference of each other "
                "in which case it's recommended to save only the full tensors, and reslice at "
                "load time, or simply call `.contiguous()` on your tensor to pack it before saving."
            )
        if tensor._meta.dtype.name not in _NAMES:
            raise ValueError(f"safetensors has no dtype for {tensor._meta.dtype}")
        other = seen.setdefault(id(tensor._storage), name)
        if other != name and tensor._storage.length:
            raise RuntimeError(
                "Some tensors share memory, this will lead to duplicate memory on disk and "
                f"potential differences when loading them again: {{'{other}', '{name}'}}"
            )


def _raw(tensor: Any) -> memoryview:
    width = tensor._meta.dtype.itemsize
    look(tensor)
    start = tensor._offset * width
    raw = host_memory.readable(tensor._storage)[start : start + tensor._meta.numel * width]
    if sys.byteorder == "big":
        swapped = host_memory.exact(raw)
        host_memory.swap_bytes(swapped, width)
        return host_memory.readable(swapped)
    return raw


def _write(file: BinaryIO, tensors: dict[str, Any], metadata: dict[str, str] | None) -> None:
    _check(tensors)
    # Widest elements first, so that every tensor is aligned; then by name.
    order = sorted(tensors, key=lambda name: (-tensors[name]._meta.dtype.itemsize, name))
    header: dict[str, Any] = {}
    if metadata is not None:
        header["__metadata__"] = metadata
    position = 0
    for name in order:
        m = tensors[name]._meta
        end = position + m.numel * m.dtype.itemsize
        header[name] = {
            "dtype": _NAMES[m.dtype.name],
            "shape": list(m.shape),
            "data_offsets": [position, end],
        }
        position = end
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    file.write(struct.pack("<Q", len(text)) + text)
    for name in order:
        file.write(_raw(tensors[name]))


def save_file(
    tensors: dict[str, Any],
    filename: str | os.PathLike[str],
    metadata: dict[str, str] | None = None,
) -> None:
    """Saves named tensors to a safetensors file, atomically.

    Args:
        tensors: contiguous tensors that share no memory, by name.
        filename: the path.
        metadata: strings to keep in the header.

    Raises:
        ValueError: a tensor is not contiguous, or something is no tensor.
        RuntimeError: two tensors share memory.
        OSError: the file cannot be written; what was there stays.

    Example:
        >>> import rushlight as torch
        >>> save_file({"weight": torch.ones(2)}, "model.safetensors")  # doctest: +SKIP
    """
    _check(tensors)
    with atomic_write(filename) as file:
        _write(file, tensors, metadata)


def save(tensors: dict[str, Any], metadata: dict[str, str] | None = None) -> bytes:
    """The bytes of a safetensors file; see ``save_file``."""
    import io

    file = io.BytesIO()
    _write(file, tensors, metadata)
    return file.getvalue()


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key is there twice")
    return result


def _read_header(raw: bytes) -> dict[str, Any]:
    try:
        header = json.loads(raw.decode("utf-8"), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        _bad(f"invalid JSON: {error}")
    if type(header) is not dict:
        _bad("not a JSON object")
    metadata = header.pop("__metadata__", None)
    if metadata is not None and (
        type(metadata) is not dict or not all(type(v) is str for v in metadata.values())
    ):
        _bad("__metadata__ holds more than strings")
    return header


def _entry(name: str, entry: Any) -> tuple[dtypes.dtype, list[int], int, int]:
    if type(entry) is not dict or set(entry) != {"dtype", "shape", "data_offsets"}:
        _bad(f"tensor {name!r} is not described by dtype, shape and data_offsets")
    kind, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if kind not in _DTYPES:
        _bad(f"unknown dtype {kind!r} of tensor {name!r}")
    if type(shape) is not list or type(offsets) is not list or len(offsets) != 2:
        _bad(f"tensor {name!r} has no shape or place")
    if not all(type(n) is int and 0 <= n < 1 << 62 for n in (*shape, *offsets)):
        _bad(f"tensor {name!r} has sizes that are no sizes")
    begin, end = offsets
    if end - begin != math.prod(shape) * _DTYPES[kind].itemsize:
        _bad(f"tensor {name!r} of shape {shape} does not fill its {end - begin} bytes")
    return _DTYPES[kind], shape, begin, end


def _read(file: BinaryIO, device: str) -> dict[str, Any]:
    start = file.tell()
    size = file.seek(0, os.SEEK_END) - start
    file.seek(start)
    head = file.read(8)
    if len(head) != 8:
        _bad("header too small")
    (length,) = struct.unpack("<Q", head)
    if length > _HEADER_LIMIT:
        _bad("header too large")
    if length > size - 8:
        _bad("invalid header length")
    entries = {name: _entry(name, entry) for name, entry in _read_header(file.read(length)).items()}
    expected = 0
    for name, (_, _, begin, end) in sorted(entries.items(), key=lambda item: item[1][2:]):
        if begin != expected:
            _bad(f"tensor {name!r} overlaps another or leaves a hole")
        expected = end
    if expected != size - 8 - length:
        _bad("incomplete metadata, file not fully covered")
    result = {}
    for name, (dtype, shape, begin, end) in entries.items():
        file.seek(start + 8 + length + begin)
        storage = default_restore_location(_fill(file, end - begin, dtype), device)
        result[name] = from_storage(storage, dtype, shape, contiguous_strides(shape))
    return result


def _fill(file: BinaryIO, nbytes: int, dtype: dtypes.dtype) -> Storage:
    storage = Storage(nbytes)
    target, position = host_memory.writable(storage), 0
    while position < nbytes:
        data = file.read(min(nbytes - position, 1 << 24))
        if not data:
            _bad("file is truncated")
        target[position : position + len(data)] = data
        position += len(data)
    if sys.byteorder == "big":
        host_memory.swap_bytes(storage, dtype.itemsize // (2 if dtype.is_complex else 1))
    return storage


def load_file(filename: str | os.PathLike[str], device: Any = "cpu") -> dict[str, Any]:
    """Loads named tensors from a safetensors file.

    Args:
        filename: the path.
        device: where the tensors go. Default: ``"cpu"``.

    Raises:
        FileFormatError: the file is damaged; every offset is checked before anything is read.

    Example:
        >>> load_file("model.safetensors")  # doctest: +SKIP
        {'weight': tensor([1., 1.])}
    """
    with open(filename, "rb") as file:
        return _read(file, str(device))


def load(data: bytes) -> dict[str, Any]:
    """Loads named tensors from the bytes of a safetensors file; see ``load_file``."""
    import io

    return _read(io.BytesIO(data), "cpu")
