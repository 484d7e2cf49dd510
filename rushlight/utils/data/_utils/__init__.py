"""The inside of the loader: collating, fetching, worker processes.

In: what `DataLoader` was given.  Out: batches.  Module names as in `torch.utils.data._utils`.
"""

from __future__ import annotations

from typing import Any


def torch_repr(obj: Any) -> str:
    """What `repr` prints of an object without its own, with torch's name for the module."""
    cls = type(obj)
    module = cls.__module__
    if module.startswith("rushlight."):
        module = "torch" + module.removeprefix("rushlight")
    return f"<{module}.{cls.__qualname__} object at {id(obj):#x}>"
