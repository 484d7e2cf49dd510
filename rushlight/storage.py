"""Storages by PyTorch's names: ``torch.storage``.

In: nothing. Out: the storage classes, and what plain pickles of PyTorch's tensors call.
"""

from __future__ import annotations

import io
from typing import Any

from rushlight._tensor.pickling import TypedStorage
from rushlight.runtime.storage import Storage as UntypedStorage

__all__ = ["TypedStorage", "UntypedStorage"]


def _load_from_bytes(data: bytes) -> Any:
    from rushlight.serialization import load

    return load(io.BytesIO(data))
