"""BoundingBoxes: the tv_tensor of boxes, with their format and their image's size."""

from __future__ import annotations

from enum import Enum
from typing import Any

import rushlight as rl

from ._tv_tensor import TVTensor


class BoundingBoxFormat(Enum):
    """What the numbers of a box mean.

    X, Y: corners; W, H: width and height; C: the centre; R: rotation, counter-clockwise in degrees.
    """

    XYXY = "XYXY"
    XYWH = "XYWH"
    CXCYWH = "CXCYWH"
    XYWHR = "XYWHR"
    CXCYWHR = "CXCYWHR"
    XYXYXYXY = "XYXYXYXY"


_ROTATED = ("XYWHR", "CXCYWHR", "XYXYXYXY")


def is_rotated_bounding_format(format: BoundingBoxFormat | str) -> bool:
    """Can boxes of this format stand askew?"""
    if isinstance(format, BoundingBoxFormat):
        return format.value in _ROTATED
    if isinstance(format, str):
        return format in _ROTATED
    raise ValueError(f"format should be str or BoundingBoxFormat, got {type(format)}")


class BoundingBoxes(TVTensor):
    """Boxes (N, 4), or (N, 5) and (N, 8) for rotated formats; one box (4,) becomes (1, 4).

    Args:
        data: tensor or nested numbers.
        format: a `BoundingBoxFormat` or its name.
        canvas_size: (height, width) of the image.
        clamping_mode: "soft", "hard" or None: how rotated boxes are cut at the image's edge.
        dtype, device, requires_grad: as in `tensor`; the data's own by default.

    Raises:
        ValueError: more than two dimensions, an unknown mode, or rotated boxes of integers.

    Example:
        >>> from rushlight.vision import tv_tensors
        >>> boxes = tv_tensors.BoundingBoxes([1, 2, 3, 4], format="XYXY", canvas_size=(8, 8))
        >>> boxes.shape, boxes.format.value
        (torch.Size([1, 4]), 'XYXY')
    """

    format: BoundingBoxFormat
    canvas_size: tuple[int, int]
    clamping_mode: str | None

    def __new__(
        cls,
        data: Any,
        *,
        format: BoundingBoxFormat | str,
        canvas_size: tuple[int, int],
        clamping_mode: str | None = "soft",
        dtype: Any = None,
        device: Any = None,
        requires_grad: bool | None = None,
    ) -> Any:
        tensor = cls._to_tensor(data, dtype=dtype, device=device, requires_grad=requires_grad)
        if not rl.is_floating_point(tensor) and is_rotated_bounding_format(format):
            raise ValueError(
                f"Rotated bounding boxes should be floating point tensors, got {tensor.dtype}."
            )
        return cls._wrap(
            tensor, format=format, canvas_size=canvas_size, clamping_mode=clamping_mode
        )

    @classmethod
    def _wrap(cls, tensor: Any, *, check_dims: bool = True, **metadata: Any) -> Any:
        mode, format = metadata.get("clamping_mode", "soft"), metadata["format"]
        if check_dims:
            if tensor.ndim == 1:
                tensor = tensor.unsqueeze(0)
            elif tensor.ndim != 2:
                raise ValueError(f"Expected a 1D or 2D tensor, got {tensor.ndim}D")
        if mode not in (None, "hard", "soft"):
            raise ValueError(f"clamping_mode must be None, hard or soft, got {mode}.")
        boxes = tensor.as_subclass(cls)
        boxes.format = BoundingBoxFormat[format.upper()] if isinstance(format, str) else format
        boxes.canvas_size = metadata["canvas_size"]
        boxes.clamping_mode = mode
        return boxes

    def _metadata(self) -> dict[str, Any]:
        return {
            "format": self.format,
            "canvas_size": self.canvas_size,
            "clamping_mode": self.clamping_mode,
        }

    def __repr__(self, *, tensor_contents: Any = None) -> str:
        return self._make_repr(**self._metadata())
