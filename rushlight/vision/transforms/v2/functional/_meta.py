"""Sizes of inputs, formats of boxes, and clamping of boxes and points to the image.

In: tensors, Pillow images and tv_tensors. Out: sizes as lists, or boxes and points of the same
dtype.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import rushlight as rl
from rushlight.vision import tv_tensors
from rushlight.vision.tv_tensors import BoundingBoxFormat, is_rotated_bounding_format

from ... import _pil
from ._rotated import clamp_rotated
from ._utils import PIL_IMAGE, dispatch, is_pure_tensor, register_raw

Tensor = Any
Format = BoundingBoxFormat


# ---------------------------------------------------------------- sizes


def get_dimensions(inpt: Any) -> list[int]:
    """[channels, height, width] of an image or video."""
    return dispatch(get_dimensions, inpt)  # type: ignore[no-any-return]


def get_dimensions_image(image: Tensor) -> list[int]:
    """[channels, height, width]; (H, W) has one channel."""
    shape = list(image.shape[-3:])
    if len(shape) < 2:
        raise TypeError(f"Input tensor should have at least two dimensions, but got {len(shape)}")
    return shape if len(shape) == 3 else [1, *shape]


def get_num_channels(inpt: Any) -> int:
    """The number of channels of an image or video."""
    return dispatch(get_num_channels, inpt)  # type: ignore[no-any-return]


def get_num_channels_image(image: Tensor) -> int:
    """The number of channels of a tensor."""
    return get_dimensions_image(image)[0]


def get_size(inpt: Any) -> list[int]:
    """[height, width] of an image, video or mask, or of the canvas of boxes and points."""
    return dispatch(get_size, inpt)  # type: ignore[no-any-return]


def get_size_image(image: Tensor) -> list[int]:
    """[height, width] of a tensor."""
    shape = list(image.shape[-2:])
    if len(shape) < 2:
        raise TypeError(f"Input tensor should have at least two dimensions, but got {len(shape)}")
    return shape


def get_size_bounding_boxes(bounding_box: Any) -> list[int]:
    """[height, width] of the canvas."""
    return list(bounding_box.canvas_size)


def get_num_frames(inpt: Any) -> int:
    """The number of frames of a video."""
    return dispatch(get_num_frames, inpt)  # type: ignore[no-any-return]


def get_num_frames_video(video: Tensor) -> int:
    """The length of dimension -4."""
    return video.shape[-4]  # type: ignore[no-any-return]


get_dimensions_video, get_num_channels_video = get_dimensions_image, get_num_channels_image
get_size_video = get_size_mask = get_size_image
get_size_keypoints = get_size_bounding_boxes
get_image_num_channels = get_num_channels


def _register_sizes() -> None:
    pictures = (rl.Tensor, tv_tensors.Image, tv_tensors.Video)
    pil: Callable[[Any], Any] = _pil.get_dimensions
    register_raw(get_dimensions, {**dict.fromkeys(pictures, get_dimensions_image), PIL_IMAGE: pil})
    register_raw(
        get_num_channels,
        {**dict.fromkeys(pictures, get_num_channels_image), PIL_IMAGE: lambda img: pil(img)[0]},
    )
    register_raw(
        get_size,
        {
            **dict.fromkeys((*pictures, tv_tensors.Mask), get_size_image),
            tv_tensors.BoundingBoxes: get_size_bounding_boxes,
            tv_tensors.KeyPoints: get_size_keypoints,
            PIL_IMAGE: lambda img: pil(img)[1:],
        },
    )
    register_raw(get_num_frames, dict.fromkeys((rl.Tensor, tv_tensors.Video), get_num_frames_video))


_register_sizes()


# ---------------------------------------------------------------- formats of boxes


def _corners(xy: Tensor, wh: Tensor) -> Tensor:
    return rl.cat([xy, xy + wh], -1)


def _half(wh: Tensor) -> Tensor:
    """Half a size; integers are cut towards minus infinity."""
    return wh / 2 if wh.is_floating_point() else wh.div(2, rounding_mode="floor")


def _from_centre(boxes: Tensor, corners: bool) -> Tensor:
    """cx, cy, w, h as x, y and the other corner or the size; integers go through floats."""
    exact = boxes if boxes.is_floating_point() else boxes.float()
    first = exact[..., :2] - exact[..., 2:] / 2
    last = (first + exact[..., 2:]).to(boxes.dtype)
    if corners:
        return rl.cat([first.to(boxes.dtype), last], -1)
    if exact is boxes:
        return rl.cat([first, boxes[..., 2:]], -1)
    return rl.cat([first.to(boxes.dtype), last - first.to(boxes.dtype)], -1)


def _turned(boxes: Tensor, sign: int) -> Tensor:
    """Move (x, y) of (x, y, w, h, angle) by half the turned box: to its centre, or back."""
    half = boxes[..., 2:4].abs() / 2
    radians = boxes[..., 4].mul(math.pi).div(180.0)
    cos, sin = radians.cos(), radians.sin()
    dx = half[..., 0] * cos + half[..., 1] * sin
    dy = half[..., 1] * cos - half[..., 0] * sin
    moved = boxes[..., :2] + sign * rl.stack([dx, dy], -1)
    return rl.cat([moved, boxes[..., 2:]], -1)


def _to_corners(boxes: Tensor) -> Tensor:
    """x, y, w, h, angle as the four corners, clockwise from the first."""
    x, y, w, h, degrees = boxes.unbind(-1)
    radians = degrees.mul(math.pi).div(180.0)
    cos, sin = radians.cos(), radians.sin()
    across, along = (w * cos, -(w * sin)), (h * sin, h * cos)
    points = [x, y, x + across[0], y + across[1]]
    points += [x + (across[0] + along[0]), y + (across[1] + along[1]), x + along[0], y + along[1]]
    return rl.stack(points, -1)


def _from_corners(boxes: Tensor) -> Tensor:
    """Four corners as x, y, w, h, angle."""
    work = boxes if boxes.dtype in (rl.float32, rl.float64) else boxes.to(rl.float32)
    x1, y1, x2, y2, x3, y3, _, _ = work.unbind(-1)
    degrees = rl.atan2(y1 - y2, x2 - x1).div(math.pi).mul(180.0)
    w = ((x2 - x1).pow(2) + (y2 - y1).pow(2)).sqrt()
    h = ((x3 - x2).pow(2) + (y3 - y2).pow(2)).sqrt()
    return rl.stack([x1, y1, w, h, degrees], -1).to(boxes.dtype)


# Every upright format to XYXY and back, every rotated one to XYWHR and back.
_TO_HUB: dict[Format, Callable[[Tensor], Tensor]] = {
    Format.XYWH: lambda b: _corners(b[..., :2], b[..., 2:]),
    Format.CXCYWH: lambda b: _from_centre(b, corners=True),
    Format.CXCYWHR: lambda b: _turned(b, -1),
    Format.XYXYXYXY: _from_corners,
}
_FROM_HUB: dict[Format, Callable[[Tensor], Tensor]] = {
    Format.XYWH: lambda b: rl.cat([b[..., :2], b[..., 2:] - b[..., :2]], -1),
    Format.CXCYWH: lambda b: rl.cat([_half(b[..., :2] + b[..., 2:]), b[..., 2:] - b[..., :2]], -1),
    Format.CXCYWHR: lambda b: _turned(b, 1),
    Format.XYXYXYXY: _to_corners,
}
_DIRECT: dict[tuple[Format, Format], Callable[[Tensor], Tensor]] = {
    (Format.XYWH, Format.CXCYWH): lambda b: rl.cat(
        [b[..., :2] + _half(b[..., 2:]), b[..., 2:]], -1
    ),
    (Format.CXCYWH, Format.XYWH): lambda b: _from_centre(b, corners=False),
}


def convert(boxes: Tensor, old: Format, new: Format) -> Tensor:
    """Plain boxes in another format; the same tensor if the format is the same."""
    if old == new:
        return boxes
    if is_rotated_bounding_format(old) != is_rotated_bounding_format(new):
        raise ValueError("Cannot convert between rotated and unrotated bounding boxes.")
    if (old, new) in _DIRECT:
        return _DIRECT[old, new](boxes)
    boxes = _TO_HUB[old](boxes) if old in _TO_HUB else boxes
    return _FROM_HUB[new](boxes) if new in _FROM_HUB else boxes


def _named(format: Any) -> Any:
    return BoundingBoxFormat[format.upper()] if isinstance(format, str) else format


def convert_bounding_box_format(
    inpt: Any, old_format: Any = None, new_format: Any = None, inplace: bool = False
) -> Any:
    """Boxes in another format.

    Args:
        inpt: BoundingBoxes, or a plain tensor together with `old_format`.
        new_format: a `BoundingBoxFormat` or its name.
        inplace: write a plain tensor's result over it (formats of equally many numbers).

    Example:
        >>> import rushlight as rl
        >>> from rushlight.vision.transforms.v2 import functional as F
        >>> F.convert_bounding_box_format(rl.tensor([[1, 2, 3, 4]]), "xywh", "xyxy")
        tensor([[1, 2, 4, 6]])
    """
    if new_format is None:
        raise TypeError("convert_bounding_box_format() missing 1 required argument: 'new_format'")
    old_format, new_format = _named(old_format), _named(new_format)
    if is_pure_tensor(inpt):
        if old_format is None:
            raise ValueError("For pure tensor inputs, `old_format` has to be passed.")
        return _written_over(inpt, convert(inpt, old_format, new_format), inplace)
    if not isinstance(inpt, tv_tensors.BoundingBoxes):
        raise TypeError(
            "Input can either be a plain tensor or a bounding box tv_tensor, but got "
            f"{type(inpt)} instead."
        )
    if old_format is not None:
        raise ValueError("For bounding box tv_tensor inputs, `old_format` must not be passed.")
    plain = inpt.as_subclass(rl.Tensor)
    out = _written_over(plain, convert(plain, inpt.format, new_format), inplace)
    return tv_tensors.wrap(out, like=inpt, format=new_format)


def _written_over(boxes: Tensor, out: Tensor, inplace: bool) -> Tensor:
    if inplace and out is not boxes and out.shape == boxes.shape:
        return boxes.copy_(out)
    return out


# ---------------------------------------------------------------- clamping


def clamp(boxes: Tensor, format: Format, canvas_size: Any, clamping_mode: str | None) -> Tensor:
    """Plain boxes cut at the image's edge."""
    if clamping_mode is None:
        return boxes.clone()
    if is_rotated_bounding_format(format):
        corners = convert(boxes, format, Format.XYXYXYXY).reshape(-1, 8)
        corners = clamp_rotated(corners, canvas_size, clamping_mode == "hard")
        return convert(corners, Format.XYXYXYXY, format).reshape(boxes.shape)
    work = boxes if boxes.is_floating_point() else boxes.float()
    corners = convert(work, format, Format.XYXY)
    limit = rl.tensor(
        [canvas_size[1], canvas_size[0]] * 2, dtype=corners.dtype, device=corners.device
    )
    corners = rl.minimum(corners.clamp(min=0), limit)
    return convert(corners, Format.XYXY, format).to(boxes.dtype)


def clamp_bounding_boxes(
    inpt: Any, format: Any = None, canvas_size: Any = None, clamping_mode: str | None = "auto"
) -> Any:
    """Boxes cut at the image's edge.

    Args:
        inpt: BoundingBoxes, or a plain tensor together with the other three arguments.
        clamping_mode: "soft", "hard", None (no change) or "auto", the boxes' own.
    """
    if clamping_mode not in (None, "soft", "hard", "auto"):
        raise ValueError(f"clamping_mode must be soft, hard, auto or None, got {clamping_mode}")
    if is_pure_tensor(inpt):
        if format is None or canvas_size is None or clamping_mode == "auto":
            raise ValueError(
                "For pure tensor inputs, `format`, `canvas_size` and `clamping_mode` have to be "
                "passed."
            )
        return clamp(inpt, _named(format), canvas_size, clamping_mode)
    if not isinstance(inpt, tv_tensors.BoundingBoxes):
        raise TypeError(
            "Input can either be a plain tensor or a bounding box tv_tensor, but got "
            f"{type(inpt)} instead."
        )
    if format is not None or canvas_size is not None:
        raise ValueError(
            "For bounding box tv_tensor inputs, `format` and `canvas_size` must not be passed."
        )
    mode = inpt.clamping_mode if clamping_mode == "auto" else clamping_mode
    out = clamp(inpt.as_subclass(rl.Tensor), inpt.format, inpt.canvas_size, mode)
    return tv_tensors.wrap(out, like=inpt)


def clamp_keypoints(inpt: Any, canvas_size: Any = None) -> Any:
    """Points moved to the nearest pixel of the image.

    Args:
        inpt: KeyPoints, or a plain tensor together with `canvas_size` (height, width).
    """
    if is_pure_tensor(inpt):
        if canvas_size is None:
            raise ValueError("For pure tensor inputs, `canvas_size` has to be passed.")
        return _clamp_points(inpt, canvas_size)
    if not isinstance(inpt, tv_tensors.KeyPoints):
        raise TypeError(
            "Input can either be a plain tensor or a keypoints tv_tensor, but got "
            f"{type(inpt)} instead."
        )
    if canvas_size is not None:
        raise ValueError("For keypoints tv_tensor inputs, `canvas_size` must not be passed.")
    out = _clamp_points(inpt.as_subclass(rl.Tensor), inpt.canvas_size)
    return tv_tensors.wrap(out, like=inpt)


def _clamp_points(points: Tensor, canvas_size: Any) -> Tensor:
    work = points if points.is_floating_point() else points.float()
    x = work[..., 0].clamp(0, canvas_size[1] - 1)
    y = work[..., 1].clamp(0, canvas_size[0] - 1)
    return rl.stack([x, y], -1).to(points.dtype)
