"""Tools around training: `torch.utils`, whose parts are loaded when first used.

In: the name of a part (`data`, `tensorboard`, `checkpoint`, `hooks` ...).  Out: its module.
"""

from __future__ import annotations

from typing import Any

__all__: list[str] = []


def __getattr__(name: str) -> Any:
    import importlib

    full = f"{__name__}.{name}"
    if not name.startswith("__"):
        try:
            return importlib.import_module(full)
        except ModuleNotFoundError as error:
            if error.name != full:
                raise
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
