"""Boxes: formats, areas, overlaps, and non-maximum suppression.

A set of boxes is a tensor (..., N, 4).  Formats: "xyxy" two corners, "xywh" corner and size,
"cxcywh" centre and size.  The rotated formats of torchvision ("xywhr", "cxcywhr", "xyxyxyxy") are
not there and raise.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import rushlight as rl

__all__ = [
    "batched_nms",
    "box_area",
    "box_convert",
    "box_iou",
    "clip_boxes_to_image",
    "complete_box_iou",
    "distance_box_iou",
    "generalized_box_iou",
    "masks_to_boxes",
    "nms",
    "remove_small_boxes",
]

FORMATS = ("xyxy", "xywh", "cxcywh")
ROTATED = ("xywhr", "cxcywhr", "xyxyxyxy")


def _upcast(values: Any) -> Any:
    """Wide enough that products do not overflow: float32 at least, int64 for small integers."""
    if values.is_floating_point():
        return values if values.dtype in (rl.float32, rl.float64) else values.float()
    return values if values.dtype in (rl.int32, rl.int64) else values.int()


def box_convert(boxes: Any, in_fmt: str, out_fmt: str) -> Any:
    """The boxes (..., 4) in another format.

    Example:
        >>> box_convert(rl.tensor([[10, 20, 30, 60]]), "xyxy", "xywh")
        tensor([[10, 20, 20, 40]])
    """
    formats = {in_fmt, out_fmt}
    if not formats <= {*FORMATS, *ROTATED}:
        raise ValueError(
            f"Unsupported Bounding Box Conversions for given in_fmt {in_fmt} and out_fmt {out_fmt}"
        )
    if in_fmt == out_fmt:
        return boxes.clone()
    if not formats <= set(FORMATS):
        raise NotImplementedError(
            f"Unsupported Bounding Box Conversions for given in_fmt {in_fmt} and out_fmt {out_fmt}"
        )
    first, second = boxes[..., :2], boxes[..., 2:]
    if in_fmt == "xywh":
        second = first + second
    elif in_fmt == "cxcywh":
        first, second = first - 0.5 * second, first + 0.5 * second
    if out_fmt == "xywh":
        second = second - first
    elif out_fmt == "cxcywh":
        first, second = (first + second) / 2, second - first
    return rl.cat((first, second), dim=-1)


def box_area(boxes: Any, fmt: str = "xyxy") -> Any:
    """The areas (...) of boxes (..., 4)."""
    if fmt not in FORMATS:
        raise ValueError(f"Unsupported Bounding Box area for given format {fmt}")
    boxes = _upcast(boxes)
    if fmt == "xyxy":
        return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])
    return boxes[..., 2] * boxes[..., 3]


def _corners(boxes: Any, fmt: str) -> tuple[Any, Any]:
    first, second = boxes[..., :2], boxes[..., 2:]
    if fmt == "xywh":
        return first, first + second
    if fmt == "cxcywh":
        return first - second / 2, first + second / 2
    return first, second


def _overlap(boxes1: Any, boxes2: Any, fmt: str = "xyxy") -> tuple[Any, Any]:
    """Areas (..., N, M) of intersection and of union."""
    (low1, high1), (low2, high2) = _corners(boxes1, fmt), _corners(boxes2, fmt)
    low = rl.max(low1[..., None, :], low2[..., None, :, :])  # (..., N, M, 2)
    high = rl.min(high1[..., None, :], high2[..., None, :, :])
    sides = _upcast(high - low).clamp(min=0)
    inside = sides[..., 0] * sides[..., 1]
    return inside, box_area(boxes1, fmt)[..., None] + box_area(boxes2, fmt)[..., None, :] - inside


def box_iou(boxes1: Any, boxes2: Any, fmt: str = "xyxy") -> Any:
    """Intersection over union (..., N, M) of every pair of two sets of boxes.

    Example:
        >>> box_iou(rl.tensor([[0., 0., 2., 2.]]), rl.tensor([[1., 0., 3., 2.]]))
        tensor([[0.3333]])
    """
    if fmt in ROTATED:
        raise NotImplementedError(f"box_iou of the rotated format '{fmt}' is not there")
    if fmt not in FORMATS:
        raise ValueError(
            f"Unsupported format '{fmt}'. Supported axis-aligned formats: {FORMATS}. "
            f"Supported rotated formats: {ROTATED}."
        )
    inside, union = _overlap(boxes1, boxes2, fmt)
    return inside / union


def _hull(boxes1: Any, boxes2: Any) -> Any:
    """Sides (..., N, M, 2) of the smallest box around each pair."""
    low = rl.min(boxes1[..., None, :2], boxes2[..., None, :, :2])
    high = rl.max(boxes1[..., None, 2:], boxes2[..., None, :, 2:])
    return _upcast(high - low).clamp(min=0)


def generalized_box_iou(boxes1: Any, boxes2: Any) -> Any:
    """IoU less the share of the pair's hull that neither box covers.

    Source: H. Rezatofighi et al., https://arxiv.org/abs/1902.09630.  Boxes are xyxy.
    """
    inside, union = _overlap(boxes1, boxes2)
    sides = _hull(boxes1, boxes2)
    hull = sides[..., 0] * sides[..., 1]
    return inside / union - (hull - union) / hull


def _distance_iou(boxes1: Any, boxes2: Any, eps: float) -> tuple[Any, Any]:
    iou = box_iou(boxes1, boxes2)
    sides = _hull(boxes1, boxes2)
    diagonal = sides[..., 0] ** 2 + sides[..., 1] ** 2 + eps
    centre1 = (boxes1[..., :2] + boxes1[..., 2:]) / 2
    centre2 = (boxes2[..., :2] + boxes2[..., 2:]) / 2
    gap = _upcast(centre1[..., None, :] - centre2[..., None, :, :])
    return iou - (gap[..., 0] ** 2 + gap[..., 1] ** 2) / diagonal, iou


def distance_box_iou(boxes1: Any, boxes2: Any, eps: float = 1e-7) -> Any:
    """IoU less the squared distance of the centres over the hull's squared diagonal.

    Source: Z. Zheng et al., https://arxiv.org/abs/1911.08287.  Boxes are xyxy.
    """
    return _distance_iou(_upcast(boxes1), _upcast(boxes2), eps)[0]


def complete_box_iou(boxes1: Any, boxes2: Any, eps: float = 1e-7) -> Any:
    """`distance_box_iou` less a term for unequal aspect ratios (same source)."""
    boxes1, boxes2 = _upcast(boxes1), _upcast(boxes2)
    distance_iou, iou = _distance_iou(boxes1, boxes2, eps)
    size1 = boxes1[..., None, 2:] - boxes1[..., None, :2]
    size2 = boxes2[..., None, :, 2:] - boxes2[..., None, :, :2]
    turn = rl.atan(size1[..., 0] / size1[..., 1]) - rl.atan(size2[..., 0] / size2[..., 1])
    mismatch = (4 / math.pi**2) * turn**2
    with rl.no_grad():
        weight = mismatch / (1 - iou + mismatch + eps)
    return distance_iou - weight * mismatch


def nms(boxes: Any, scores: Any, iou_threshold: float) -> Any:
    """Non-maximum suppression: drops each box that overlaps a better one too much.

    Args:
        boxes: (N, 4), xyxy.
        scores: (N,).
        iou_threshold: greatest IoU with a better box that is kept.

    Returns:
        int64 indices of the boxes kept, best first; equal scores in order of index.

    Example:
        >>> boxes = rl.tensor([[0., 0., 2., 2.], [0., 0., 2., 1.9], [5., 5., 6., 6.]])
        >>> nms(boxes, rl.tensor([0.9, 0.8, 0.7]), 0.5)
        tensor([0, 2])
    """
    if boxes.ndim != 2:
        raise RuntimeError(f"boxes should be a 2d tensor, got {boxes.ndim}D")
    if boxes.size(1) != 4:
        raise RuntimeError(f"boxes should have 4 elements in dimension 1, got {boxes.size(1)}")
    if scores.ndim != 1:
        raise RuntimeError(f"scores should be a 1d tensor, got {scores.ndim}D")
    if boxes.size(0) != scores.size(0):
        raise RuntimeError(
            "boxes and scores should have same number of elements in dimension 0, "
            f"got {boxes.size(0)} and {scores.size(0)}"
        )
    table = boxes.detach().cpu().numpy()
    left, top, right, bottom = table.T
    areas = (right - left) * (bottom - top)
    order = np.argsort(-scores.detach().cpu().numpy(), kind="stable")
    kept = []
    while order.size:
        best, order = order[0], order[1:]
        kept.append(int(best))
        wide = np.minimum(right[best], right[order]) - np.maximum(left[best], left[order])
        high = np.minimum(bottom[best], bottom[order]) - np.maximum(top[best], top[order])
        inside = np.maximum(wide, 0) * np.maximum(high, 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            iou = inside / (areas[best] + areas[order] - inside)
        order = order[~(iou > iou_threshold)]
    return rl.tensor(kept, dtype=rl.int64, device=boxes.device)


def batched_nms(boxes: Any, scores: Any, idxs: Any, iou_threshold: float) -> Any:
    """`nms` within each category alone.

    Args:
        boxes: (N, 4), xyxy.
        scores: (N,).
        idxs: (N,), the category of each box.
        iou_threshold: as in `nms`.

    Returns:
        int64 indices of the boxes kept, best first.
    """
    if boxes.numel() == 0:
        return rl.empty((0,), dtype=rl.int64, device=boxes.device)
    # Each category is shifted beyond the others' reach, so that one pass serves all.
    offsets = idxs.to(boxes) * (boxes.max() + rl.tensor(1).to(boxes))
    return nms(boxes + offsets[:, None], scores, iou_threshold)


def remove_small_boxes(boxes: Any, min_size: float) -> Any:
    """Indices of the boxes (xyxy) whose sides are both at least `min_size`."""
    wide, high = boxes[..., 2] - boxes[..., 0], boxes[..., 3] - boxes[..., 1]
    return rl.where((wide >= min_size) & (high >= min_size))[0]


def clip_boxes_to_image(boxes: Any, size: tuple[int, int]) -> Any:
    """The boxes (xyxy) cut off at an image of (height, width) `size`."""
    height, width = size
    across = boxes[..., 0::2].clamp(min=0, max=width)
    down = boxes[..., 1::2].clamp(min=0, max=height)
    return rl.stack((across, down), dim=boxes.dim()).reshape(boxes.shape)


def masks_to_boxes(masks: Any) -> Any:
    """The smallest box (xyxy, float32) around each of N masks (N, H, W)."""
    if masks.numel() == 0:
        return rl.zeros((0, 4), device=masks.device, dtype=rl.float)
    boxes = rl.zeros((masks.shape[0], 4), device=masks.device, dtype=rl.float)
    for index, mask in enumerate(masks):
        rows, columns = rl.where(mask != 0)
        if rows.numel():
            low_high = [columns.min(), rows.min(), columns.max(), rows.max()]
            boxes[index] = rl.stack(low_high).to(rl.float)
    return boxes
