"""Moving the tensors of a batch to page-locked memory, from which a GPU copies faster.

In: a batch of any structure.  Out: the same structure.  Mirrors `torch.utils.data._utils.
pin_memory`; without an accelerator the loader warns and does not come here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import rushlight as rl
from rushlight.utils.data._utils.collate import _same_mapping, _same_sequence


def accelerator_is_available() -> bool:
    """Whether there is a device to pin memory for."""
    cuda = getattr(rl, "cuda", None)
    return cuda is not None and bool(cuda.is_available())


def pin_memory(data: Any) -> Any:
    """The batch with its tensors in page-locked memory; what has `pin_memory()` is asked."""
    if isinstance(data, rl.Tensor):
        return data.pin_memory()
    if hasattr(data, "pin_memory"):
        return data.pin_memory()
    if isinstance(data, (str, bytes)):
        return data
    if isinstance(data, Mapping):
        return _same_mapping(data, {key: pin_memory(item) for key, item in data.items()})
    if isinstance(data, tuple):
        items = [pin_memory(item) for item in data]
        return type(data)(*items) if hasattr(data, "_fields") else type(data)(items)
    if isinstance(data, Sequence):
        return _same_sequence(data, [pin_memory(item) for item in data])
    return data
