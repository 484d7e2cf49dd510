"""torchvision.tv_tensors: tensors that say what they mean, for the v2 transforms."""

from __future__ import annotations

from typing import Any

from ._bounding_boxes import BoundingBoxes, BoundingBoxFormat, is_rotated_bounding_format
from ._image import Image
from ._keypoints import KeyPoints
from ._mask import Mask
from ._tv_tensor import TVTensor, set_return_type
from ._video import Video

__all__ = [
    "BoundingBoxFormat",
    "BoundingBoxes",
    "Image",
    "KeyPoints",
    "Mask",
    "TVTensor",
    "Video",
    "is_rotated_bounding_format",
    "set_return_type",
    "wrap",
]


def wrap(wrappee: Any, *, like: Any, **kwargs: Any) -> Any:
    """A plain tensor as the tv_tensor type of `like`, with its metadata.

    Args:
        kwargs: metadata to change, such as `canvas_size=` or `format=` of boxes.

    Example:
        >>> import rushlight as rl
        >>> from rushlight.vision import tv_tensors
        >>> mask = tv_tensors.Mask(rl.zeros(2, 2))
        >>> type(tv_tensors.wrap(mask + 1, like=mask)).__name__
        'Mask'
    """
    method = getattr(type(like), "wrap", None)
    if method is not None:
        return method(wrappee, like, **kwargs)
    return wrappee.as_subclass(type(like))
