"""torchvision.transforms: image transforms (v1 here, v2 in `rushlight.vision.transforms.v2`)."""

from __future__ import annotations

from typing import Any

from . import functional
from .autoaugment import (
    AugMix,
    AutoAugment,
    AutoAugmentPolicy,
    RandAugment,
    TrivialAugmentWide,
)
from .transforms import *  # noqa: F403
from .transforms import __all__ as _transform_names

__all__ = [
    *_transform_names,
    "AugMix",
    "AutoAugment",
    "AutoAugmentPolicy",
    "RandAugment",
    "TrivialAugmentWide",
    "functional",
    "v2",  # noqa: F405
]


def __getattr__(name: str) -> Any:
    if name == "v2":
        import importlib

        return importlib.import_module(".v2", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
