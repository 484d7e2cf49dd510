"""What the tests of files share: saving to and loading from memory, archives made by hand."""

from __future__ import annotations

import io
from typing import Any

import rushlight as rl
from rushlight.serialization.zip_writer import ZipWriter

DTYPES = [
    "bool",
    "uint8",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint16",
    "uint32",
    "uint64",
    "float16",
    "bfloat16",
    "float32",
    "float64",
    "complex64",
    "complex128",
]


def saved(obj: Any, **options: Any) -> bytes:
    file = io.BytesIO()
    rl.save(obj, file, **options)
    return file.getvalue()


def loaded(data: bytes, **options: Any) -> Any:
    return rl.load(io.BytesIO(data), **options)


def again(obj: Any, **options: Any) -> Any:
    return loaded(saved(obj), **options)


def archive(data: bytes, **storages: bytes) -> bytes:
    """An archive with this pickle, whatever it is."""
    file = io.BytesIO()
    writer = ZipWriter(file, "archive")
    writer.add("data.pkl", data)
    for name, content in storages.items():
        writer.add(f"data/{name}", content)
    writer.finish()
    return file.getvalue()


def same(a: Any, b: Any) -> None:
    assert a.dtype is b.dtype
    assert a.shape == b.shape
    assert a.stride() == b.stride()
    assert a.storage_offset() == b.storage_offset()
    assert a.requires_grad == b.requires_grad
    assert a.untyped_storage().nbytes() == b.untyped_storage().nbytes()
    assert bool((a == b).all())
