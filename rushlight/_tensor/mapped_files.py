"""Tensors over files: `from_file` maps a file's bytes into memory.

In: a file's name and a number of elements. Out: a tensor whose memory is the file's.
"""

from __future__ import annotations

import os
from typing import Any

from rushlight._tensor.api import device_of, dtype_of, function
from rushlight.dispatch.tensor import Tensor, new
from rushlight.dtypes import dtype as Dtype
from rushlight.ir.meta import Size, meta
from rushlight.runtime import host_memory

__all__: list[str] = []


def _open(filename: str, shared: bool, nbytes: int) -> Any:
    """A map of the file's first bytes; a shared file is made, or made larger, if need be."""
    import mmap

    flags = (os.O_RDWR | os.O_CREAT) if shared else os.O_RDONLY
    try:
        handle = os.open(filename, flags | getattr(os, "O_BINARY", 0), 0o600)
    except OSError as error:
        mode = "read-write" if shared else "read-only"
        raise RuntimeError(
            f"unable to open file <{filename}> in {mode} mode: {error.strerror} ({error.errno})"
        ) from None
    try:
        have = os.fstat(handle).st_size
        if have < nbytes:
            if not shared:
                raise RuntimeError(
                    f"file <{filename}> size <{have}> is smaller than the required mapping size "
                    f"<{nbytes}>"
                )
            os.truncate(handle, nbytes)
        access = mmap.ACCESS_WRITE if shared else mmap.ACCESS_COPY
        return mmap.mmap(handle, nbytes, access=access) if nbytes else b""
    finally:
        os.close(handle)


@function
def from_file(
    filename: str,
    shared: bool | None = None,
    size: int | None = 0,
    *,
    dtype: Dtype | None = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
) -> Tensor:
    """A 1-d tensor over the memory of a file.

    Args:
        filename: the file; made if it is not there and ``shared`` is true.
        shared: writes to the tensor go to the file; otherwise they stay in this process.
        size: the number of elements; a shared file that is shorter grows.
        dtype: the elements' type, by default the default dtype.

    Raises:
        RuntimeError: the file cannot be opened, or is too short.

    Example:
        >>> import rushlight as torch, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     t = torch.from_file(folder + "/data", shared=True, size=3)
        ...     _ = t.fill_(2)
        ...     torch.from_file(folder + "/data", size=2)
        tensor([2., 2.])
    """
    kind = dtype_of(dtype)
    where = device_of(device)
    count = int(size or 0)
    nbytes = count * kind.itemsize
    storage = host_memory.over(_open(os.fspath(filename), bool(shared), nbytes), 0, nbytes)
    t: Tensor = new(Tensor, storage, meta(Size((count,)), kind, (1,), where), 0)
    return t.requires_grad_() if requires_grad else t
