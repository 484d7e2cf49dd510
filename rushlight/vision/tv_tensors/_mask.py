"""Mask: the tv_tensor of segmentation labels, which are never interpolated."""

from __future__ import annotations

from typing import Any

from ..transforms._params import is_pil_image
from ..transforms.functional import pil_to_tensor
from ._tv_tensor import TVTensor


class Mask(TVTensor):
    """Labels of pixels (..., H, W), or one binary mask an object (N, H, W).

    Args:
        data: tensor, nested numbers or a Pillow image.
        dtype, device, requires_grad: as in `tensor`; the data's own by default.
    """

    def __new__(
        cls,
        data: Any,
        *,
        dtype: Any = None,
        device: Any = None,
        requires_grad: bool | None = None,
    ) -> Any:
        if is_pil_image(data):
            data = pil_to_tensor(data)
        tensor = cls._to_tensor(data, dtype=dtype, device=device, requires_grad=requires_grad)
        return tensor.as_subclass(cls)
