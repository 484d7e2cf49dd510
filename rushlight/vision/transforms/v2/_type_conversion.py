"""Changing what an input is: Pillow image, array, tensor, tv_tensor.

In: a nested sample. Out: the sample with those leaves converted.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

import rushlight as rl
from rushlight.vision import tv_tensors

from .. import functional as v1
from .._params import is_pil_image
from . import functional as F
from ._transform import Transform
from .functional._utils import is_pure_tensor


class PILToTensor(Transform):
    """Pillow images as (C, H, W) tensors of the same values, not scaled."""

    _transformed_types = (is_pil_image,)

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return F.pil_to_tensor(inpt)


class ToImage(Transform):
    """Tensors, (H, W[, C]) arrays and Pillow images as `Image`, not scaled.

    Follow it with `ToDtype(float32, scale=True)` for what v1's ToTensor does.

    Example:
        >>> import numpy as np
        >>> from rushlight.vision.transforms import v2
        >>> type(v2.ToImage()(np.zeros((2, 2, 3), np.uint8))).__name__
        'Image'
    """

    _transformed_types = (is_pure_tensor, is_pil_image, np.ndarray)

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return F.to_image(inpt)


class ToPILImage(Transform):
    """Tensors and (H, W, C) arrays as Pillow images.

    Args:
        mode: Pillow's mode; guessed from channels and dtype when None.
    """

    _transformed_types = (is_pure_tensor, tv_tensors.Image, np.ndarray)

    def __init__(self, mode: str | None = None) -> None:
        super().__init__()
        self.mode = mode

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return F.to_pil_image(inpt, mode=self.mode)


class ToPureTensor(Transform):
    """tv_tensors as plain tensors."""

    _transformed_types = (tv_tensors.TVTensor,)

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return inpt.as_subclass(rl.Tensor)


class ToTensor(Transform):
    """Deprecated: Pillow images and arrays as float tensors in [0, 1]."""

    _transformed_types = (is_pil_image, np.ndarray)

    def __init__(self) -> None:
        warnings.warn(
            "The transform `ToTensor()` is deprecated and will be removed in a future release. "
            "Instead, please use "
            "`v2.Compose([v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])`."
            "Output is equivalent up to float precision.",
            stacklevel=2,
        )
        super().__init__()

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return v1.to_tensor(inpt)
