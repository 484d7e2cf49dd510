"""Images: data sets, models, transforms and drawing, with torchvision 0.28's API.

Each part is loaded when it is first used: `rushlight.vision.models`, `.datasets`, `.transforms`,
`.utils`, `.io`, `.ops`, `.tv_tensors`.
"""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["datasets", "io", "models", "ops", "transforms", "tv_tensors", "utils"]

__version__ = "0.28.0"

_PARTS = frozenset(__all__)
_image_backend = "PIL"


def __getattr__(name: str) -> Any:
    if name in _PARTS:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted({*globals(), *_PARTS})


def set_image_backend(backend: str) -> None:
    """Chooses the package that loads images; "PIL" is the one there is.

    Raises:
        ValueError: for any other name.
    """
    if backend != "PIL":
        raise ValueError(f"Invalid backend '{backend}'. Options are 'PIL'")


def get_image_backend() -> str:
    """The name of the package that loads images: "PIL"."""
    return _image_backend


def disable_beta_transforms_warning() -> None:
    """Kept for scripts of the time when the v2 transforms were in beta: there is no warning."""
