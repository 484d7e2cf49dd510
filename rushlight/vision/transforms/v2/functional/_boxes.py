"""Geometric kernels for boxes and key points.

In: plain boxes with their `format` and `canvas_size` (height, width), or points (..., 2) as x, y.
Out: the same dtype and shape, with the new canvas size where it changes. Boxes lie on the lines
between pixels, points on pixels: a flip maps x to w - x for a box, to w - 1 - x for a point.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import rushlight as rl
from rushlight.vision.tv_tensors import BoundingBoxFormat, is_rotated_bounding_format

from ... import _params as P
from ... import _tensor as T
from ._meta import clamp, convert
from ._rotated import rectangle

Tensor = Any
Size = tuple[int, int]
Format = BoundingBoxFormat


def _hub(format: Any) -> Format:
    """The format whose numbers are corners."""
    return Format.XYXYXYXY if is_rotated_bounding_format(format) else Format.XYXY


def _points_of(boxes: Tensor, rotated: bool) -> Tensor:
    """The corners of boxes in the hub format as points (4 N, 2)."""
    if not rotated:
        boxes = boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]]
    return boxes.reshape(-1, 2)


def _boxes_of(points: Tensor, rotated: bool) -> Tensor:
    """The boxes in the hub format around moved corners."""
    if rotated:
        return rectangle(points.reshape(-1, 8))
    points = points.reshape(-1, 4, 2)
    return rl.cat([points.amin(dim=1), points.amax(dim=1)], dim=1)


def _with_ones(points: Tensor) -> Tensor:
    ones = rl.ones(points.shape[0], 1, dtype=points.dtype, device=points.device)
    return rl.cat([points, ones], dim=-1)


# ---------------------------------------------------------------- flips


def horizontal_flip_keypoints(keypoints: Tensor, canvas_size: Size) -> Tensor:
    """x becomes w - 1 - x."""
    x, y = keypoints.unbind(-1)
    return rl.stack([canvas_size[1] - 1 - x, y], -1)


def vertical_flip_keypoints(keypoints: Tensor, canvas_size: Size) -> Tensor:
    """y becomes h - 1 - y."""
    x, y = keypoints.unbind(-1)
    return rl.stack([x, canvas_size[0] - 1 - y], -1)


def _flip(boxes: Tensor, format: Any, edge: int, axis: int) -> Tensor:
    """Mirror coordinate `axis` (0: x, 1: y) of boxes at the middle of an edge."""
    parts = list(boxes.unbind(-1))
    if format == Format.XYXY:
        parts[axis], parts[axis + 2] = edge - parts[axis + 2], edge - parts[axis]
    elif format == Format.XYWH:
        parts[axis] = edge - (parts[axis] + parts[axis + 2])
    elif format == Format.XYXYXYXY:
        parts[axis::2] = [edge - p for p in parts[axis::2]]
        parts = [parts[i] for i in (2, 3, 0, 1, 6, 7, 4, 5)]
    else:
        if format == Format.XYWHR:  # the first corner becomes the second
            radians = parts[4].mul(math.pi).div(180)
            parts[0] = parts[0] + parts[2] * radians.cos()
            parts[1] = parts[1] - parts[2] * radians.sin()
        parts[axis] = edge - parts[axis]
        if format != Format.CXCYWH:
            parts[4] = -parts[4] if axis == 0 else 180 - parts[4]
    return rl.stack(parts, -1)


def horizontal_flip_bounding_boxes(
    bounding_boxes: Tensor, format: Any, canvas_size: Size
) -> Tensor:
    """Mirror boxes left and right."""
    return _flip(bounding_boxes, format, canvas_size[1], 0)


def vertical_flip_bounding_boxes(bounding_boxes: Tensor, format: Any, canvas_size: Size) -> Tensor:
    """Mirror boxes top and bottom."""
    return _flip(bounding_boxes, format, canvas_size[0], 1)


# ---------------------------------------------------------------- resize


def resize_keypoints(
    keypoints: Tensor, size: Any, canvas_size: Size, max_size: int | None = None
) -> tuple[Tensor, Size]:
    """Scale points with their canvas."""
    new, ratios = _scaling(size, canvas_size, max_size)
    if new == tuple(canvas_size):
        return keypoints, canvas_size
    factors = rl.tensor(ratios, device=keypoints.device)
    return keypoints.mul(factors).to(keypoints.dtype), new


def _scaling(size: Any, canvas_size: Size, max_size: int | None) -> tuple[Size, list[float]]:
    height, width = P.resized_size_v2(canvas_size, size, max_size)
    return (height, width), [width / canvas_size[1], height / canvas_size[0]]


def resize_bounding_boxes(
    bounding_boxes: Tensor,
    canvas_size: Size,
    size: Any,
    max_size: int | None = None,
    format: Any = Format.XYXY,
    clamping_mode: str | None = "soft",
) -> tuple[Tensor, Size]:
    """Scale boxes with their canvas."""
    new, ratios = _scaling(size, canvas_size, max_size)
    if new == tuple(canvas_size):
        return bounding_boxes, canvas_size
    if not is_rotated_bounding_format(format):
        factors = rl.tensor(ratios * 2, device=bounding_boxes.device)
        return bounding_boxes.mul(factors).to(bounding_boxes.dtype), new
    corners = convert(bounding_boxes, format, Format.XYXYXYXY).reshape(-1, 8)
    corners = rectangle(corners.mul(rl.tensor(ratios * 4, device=bounding_boxes.device)))
    corners = clamp(corners, Format.XYXYXYXY, new, clamping_mode)
    out = convert(corners, Format.XYXYXYXY, format).to(bounding_boxes.dtype)
    return out.reshape(bounding_boxes.shape), new


# ---------------------------------------------------------------- affine


def _affine_theta(
    canvas_size: Size, arguments: tuple[Any, ...], like: Tensor
) -> tuple[Tensor, list[float]]:
    """The forward matrix, transposed, for points like `like`; and the inverse as numbers."""
    scale = arguments[2]
    angle, translate, shear, center = P.affine_arguments(*arguments)
    center = [canvas_size[1] * 0.5, canvas_size[0] * 0.5] if center is None else center
    forward = P.affine_matrix(center, angle, translate, scale, shear, inverted=False)
    theta = rl.tensor(forward, dtype=like.dtype, device=like.device).reshape(2, 3).T
    return theta, P.affine_matrix(center, angle, translate, scale, shear)


def _expanded(theta: Tensor, inverse: list[float], canvas_size: Size) -> tuple[Tensor, Size]:
    """The new origin (1, 2) and canvas of an image that grows to keep its corners."""
    height, width = canvas_size
    corners = rl.tensor(
        [[0.0, 0.0], [0.0, height], [width, height], [width, 0.0]],
        dtype=theta.dtype,
        device=theta.device,
    )
    origin = _with_ones(corners).matmul(theta).amin(dim=0, keepdim=True)
    new_width, new_height = P.affine_output_size(inverse, width, height)
    return origin, (new_height, new_width)


def _affine_points(
    keypoints: Tensor, canvas_size: Size, expand: bool, arguments: tuple[Any, ...]
) -> tuple[Tensor, Size]:
    if keypoints.numel() == 0:
        return keypoints, canvas_size
    work = keypoints if keypoints.is_floating_point() else keypoints.float()
    theta, inverse = _affine_theta(canvas_size, arguments, work)
    moved = _with_ones(work.reshape(-1, 2)).matmul(theta)
    if expand:
        origin, canvas_size = _expanded(theta, inverse, canvas_size)
        moved = moved - origin
    return moved.reshape(keypoints.shape).to(keypoints.dtype), canvas_size


def _affine_boxes(
    boxes: Tensor,
    format: Any,
    canvas_size: Size,
    mode: Any,
    expand: bool,
    arguments: tuple[Any, ...],
) -> tuple[Tensor, Size]:
    if boxes.numel() == 0:
        return boxes, canvas_size
    rotated, hub = is_rotated_bounding_format(format), _hub(format)
    work = boxes if boxes.is_floating_point() else boxes.float()
    corners = convert(work, format, hub).reshape(-1, 8 if rotated else 4)
    theta, inverse = _affine_theta(canvas_size, arguments, work)
    moved = _boxes_of(_with_ones(_points_of(corners, rotated)).matmul(theta), rotated)
    if expand:
        origin, canvas_size = _expanded(theta, inverse, canvas_size)
        moved = moved - origin.repeat((1, 4 if rotated else 2))
    moved = clamp(moved, hub, canvas_size, mode)
    return convert(moved, hub, format).reshape(boxes.shape).to(boxes.dtype), canvas_size


def affine_keypoints(
    keypoints: Tensor,
    canvas_size: Size,
    angle: float,
    translate: Any,
    scale: float,
    shear: Any,
    center: Any = None,
) -> tuple[Tensor, Size]:
    """Turn, move, scale and shear points."""
    return _affine_points(keypoints, canvas_size, False, (angle, translate, scale, shear, center))


def affine_bounding_boxes(
    bounding_boxes: Tensor,
    format: Any,
    canvas_size: Size,
    angle: float,
    translate: Any,
    scale: float,
    shear: Any,
    center: Any = None,
    clamping_mode: str | None = "soft",
) -> Tensor:
    """Turn, move, scale and shear boxes: the upright boxes around the moved corners."""
    arguments = (angle, translate, scale, shear, center)
    return _affine_boxes(bounding_boxes, format, canvas_size, clamping_mode, False, arguments)[0]


def rotate_keypoints(
    keypoints: Tensor, canvas_size: Size, angle: float, expand: bool = False, center: Any = None
) -> tuple[Tensor, Size]:
    """Turn points counter-clockwise by `angle` degrees."""
    arguments = (-angle, [0.0, 0.0], 1.0, [0.0, 0.0], center)
    return _affine_points(keypoints, canvas_size, expand, arguments)


def rotate_bounding_boxes(
    bounding_boxes: Tensor,
    format: Any,
    canvas_size: Size,
    angle: float,
    expand: bool = False,
    center: Any = None,
    clamping_mode: str | None = "soft",
) -> tuple[Tensor, Size]:
    """Turn boxes counter-clockwise by `angle` degrees."""
    arguments = (-angle, [0.0, 0.0], 1.0, [0.0, 0.0], center)
    return _affine_boxes(bounding_boxes, format, canvas_size, clamping_mode, expand, arguments)


# ---------------------------------------------------------------- pad, crop


def _shift(boxes: Tensor, format: Any, x: int, y: int) -> Tensor:
    """Move boxes; sizes and angles stay."""
    steps = [x, y] * {Format.XYXY: 2, Format.XYXYXYXY: 4}.get(format, 1)
    steps += [0] * (boxes.shape[-1] - len(steps))
    return boxes + rl.tensor(steps, dtype=boxes.dtype, device=boxes.device)


def pad_keypoints(
    keypoints: Tensor, canvas_size: Size, padding: Any, padding_mode: str = "constant"
) -> tuple[Tensor, Size]:
    """Move points by the left and top border."""
    if padding_mode != "constant":
        raise ValueError(
            f"Padding mode '{padding_mode}' is not supported with KeyPoints (supported modes are "
            "constant)"
        )
    left, top, right, bottom = P.pad_ltrb_v2(padding)
    steps = rl.tensor([left, top], dtype=keypoints.dtype, device=keypoints.device)
    return keypoints + steps, (canvas_size[0] + top + bottom, canvas_size[1] + left + right)


def pad_bounding_boxes(
    bounding_boxes: Tensor,
    format: Any,
    canvas_size: Size,
    padding: Any,
    padding_mode: str = "constant",
    clamping_mode: str | None = "soft",
) -> tuple[Tensor, Size]:
    """Move boxes by the left and top border."""
    if padding_mode != "constant":
        raise ValueError(f"Padding mode '{padding_mode}' is not supported with bounding boxes")
    left, top, right, bottom = P.pad_ltrb_v2(padding)
    canvas_size = (canvas_size[0] + top + bottom, canvas_size[1] + left + right)
    moved = _shift(bounding_boxes, format, left, top)
    return clamp(moved, format, canvas_size, clamping_mode), canvas_size


def crop_keypoints(
    keypoints: Tensor, top: int, left: int, height: int, width: int
) -> tuple[Tensor, Size]:
    """Points as the crop sees them."""
    steps = rl.tensor([left, top], dtype=keypoints.dtype, device=keypoints.device)
    return keypoints - steps, (height, width)


def crop_bounding_boxes(
    bounding_boxes: Tensor,
    format: Any,
    top: int,
    left: int,
    height: int,
    width: int,
    clamping_mode: str | None = "soft",
) -> tuple[Tensor, Size]:
    """Boxes as the crop sees them."""
    moved = _shift(bounding_boxes, format, -left, -top)
    if format == Format.XYXYXYXY:
        moved = rectangle(moved)
    return clamp(moved, format, (height, width), clamping_mode), (height, width)


def center_crop_keypoints(inpt: Tensor, canvas_size: Size, output_size: Any) -> tuple[Tensor, Size]:
    """Points as the centre crop sees them."""
    height, width = P.square(output_size)
    top, left = P.center_crop_anchor((height, width), canvas_size)
    return crop_keypoints(inpt, top, left, height, width)


def center_crop_bounding_boxes(
    bounding_boxes: Tensor,
    format: Any,
    canvas_size: Size,
    output_size: Any,
    clamping_mode: str | None = "soft",
) -> tuple[Tensor, Size]:
    """Boxes as the centre crop sees them."""
    height, width = P.square(output_size)
    top, left = P.center_crop_anchor((height, width), canvas_size)
    return crop_bounding_boxes(bounding_boxes, format, top, left, height, width, clamping_mode)


def resized_crop_keypoints(
    keypoints: Tensor, top: int, left: int, height: int, width: int, size: Any
) -> tuple[Tensor, Size]:
    """Crop, then resize points."""
    keypoints, canvas_size = crop_keypoints(keypoints, top, left, height, width)
    return resize_keypoints(keypoints, size, canvas_size)


def resized_crop_bounding_boxes(
    bounding_boxes: Tensor,
    format: Any,
    top: int,
    left: int,
    height: int,
    width: int,
    size: Any,
    clamping_mode: str | None = "soft",
) -> tuple[Tensor, Size]:
    """Crop, then resize boxes."""
    boxes, canvas_size = crop_bounding_boxes(
        bounding_boxes, format, top, left, height, width, clamping_mode
    )
    return resize_bounding_boxes(
        boxes, canvas_size, size, format=format, clamping_mode=clamping_mode
    )


# ---------------------------------------------------------------- perspective, elastic


def _projected(points: Tensor, coefficients: Sequence[float], what: str) -> Tensor:
    """Points (N, 2) where the image's own projective map takes them."""
    inverse = P.inverse_perspective(coefficients, what)
    dtype = points.dtype if points.is_floating_point() else rl.float32
    theta = rl.tensor(inverse, dtype=dtype, device=points.device).reshape(3, 3)
    moved = _with_ones(points.to(dtype)).matmul(theta.T)
    return moved[:, :2] / moved[:, 2:]


def perspective_keypoints(
    keypoints: Tensor,
    canvas_size: Size,
    startpoints: Any,
    endpoints: Any,
    coefficients: Any = None,
) -> Tensor:
    """Project points."""
    if keypoints.numel() == 0:
        return keypoints
    numbers = P.coefficients_v2(startpoints, endpoints, coefficients)
    moved = _projected(keypoints.reshape(-1, 2), numbers, "keypoints")
    return moved.to(keypoints.dtype).reshape(keypoints.shape)


def perspective_bounding_boxes(
    bounding_boxes: Tensor,
    format: Any,
    canvas_size: Size,
    startpoints: Any,
    endpoints: Any,
    coefficients: Any = None,
    clamping_mode: str | None = "soft",
) -> Tensor:
    """Project boxes: the upright boxes around the moved corners."""
    if bounding_boxes.numel() == 0:
        return bounding_boxes
    numbers = P.coefficients_v2(startpoints, endpoints, coefficients)
    rotated, hub = is_rotated_bounding_format(format), _hub(format)
    corners = convert(bounding_boxes, format, hub).reshape(-1, 8 if rotated else 4)
    moved = _projected(_points_of(corners, rotated), numbers, "bounding boxes")
    moved = clamp(_boxes_of(moved, rotated), hub, canvas_size, clamping_mode)
    out = convert(moved, hub, format).reshape(bounding_boxes.shape)
    return out.to(bounding_boxes.dtype)


def _displaced(points: Tensor, canvas_size: Size, displacement: Tensor) -> Tensor:
    """Points (N, 2) moved against the field at the pixel they lie on (its approximate inverse)."""
    height, width = canvas_size
    dtype = points.dtype if points.is_floating_point() else rl.float32
    field = displacement.to(dtype=dtype, device=points.device)
    inverse = T.identity_grid(height, width, dtype, points.device) - field
    index = points.to(rl.int64)
    x, y = index[:, 0].clamp(0, width - 1), index[:, 1].clamp(0, height - 1)
    size = rl.tensor([width, height], dtype=dtype, device=points.device)
    return (inverse[0, y, x] + 1) * (0.5 * size) - 0.5


def elastic_keypoints(keypoints: Tensor, canvas_size: Size, displacement: Tensor) -> Tensor:
    """Move points with a displacement field."""
    T.check_displacement(displacement, *canvas_size)
    if keypoints.numel() == 0:
        return keypoints
    moved = _displaced(keypoints.reshape(-1, 2), canvas_size, displacement)
    return moved.to(keypoints.dtype).reshape(keypoints.shape)


def elastic_bounding_boxes(
    bounding_boxes: Tensor,
    format: Any,
    canvas_size: Size,
    displacement: Tensor,
    clamping_mode: str | None = "soft",
) -> Tensor:
    """Move boxes with a displacement field; rotated ones only move their centres."""
    T.check_displacement(displacement, *canvas_size)
    if bounding_boxes.numel() == 0:
        return bounding_boxes
    rotated = is_rotated_bounding_format(format)
    middle = Format.CXCYWHR if rotated else Format.XYXY
    work = convert(bounding_boxes, format, middle).reshape(-1, 5 if rotated else 4)
    points = work[:, :2] if rotated else _points_of(work, rotated)
    points = points.ceil() if points.is_floating_point() else points
    moved = _displaced(points, canvas_size, displacement)
    boxes = rl.cat([moved, work[:, 2:]], dim=1) if rotated else _boxes_of(moved, rotated)
    boxes = clamp(boxes.to(work.dtype), middle, canvas_size, clamping_mode)
    return convert(boxes, middle, format).reshape(bounding_boxes.shape)
