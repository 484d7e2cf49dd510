"""Losses of detectors: focal loss for classes, losses of box overlap for places.

Boxes are xyxy with positive sides; `reduction` is "none", "mean" or "sum".
"""

from __future__ import annotations

import math
from typing import Any

import rushlight as rl
from rushlight import nn

__all__ = [
    "complete_box_iou_loss",
    "distance_box_iou_loss",
    "generalized_box_iou_loss",
    "sigmoid_focal_loss",
]


def _reduced(loss: Any, reduction: str) -> Any:
    if reduction == "none":
        return loss
    if reduction == "mean":
        return loss.mean() if loss.numel() > 0 else 0.0 * loss.sum()
    if reduction == "sum":
        return loss.sum()
    raise ValueError(
        f"Invalid Value for arg 'reduction': '{reduction} \n"
        " Supported reduction modes: 'none', 'mean', 'sum'"
    )


def sigmoid_focal_loss(
    inputs: Any, targets: Any, alpha: float = 0.25, gamma: float = 2, reduction: str = "none"
) -> Any:
    """Binary cross-entropy in which examples that are right already count little.

    Source: T.-Y. Lin et al., https://arxiv.org/abs/1708.02002.  With p the probability of the right
    answer: (1 - p) ** gamma times the cross-entropy.

    Args:
        inputs: scores, of any shape.
        targets: 0 or 1, floats of the same shape.
        alpha: weight of positive examples, negative ones get 1 - alpha; -1 for no weights.
        gamma: how strongly easy examples are discounted.
        reduction: "none", "mean" or "sum".

    Example:
        >>> sigmoid_focal_loss(rl.tensor([0.0, 4.0]), rl.tensor([1.0, 1.0]), reduction="sum")
        tensor(0.0433)
    """
    if not 0 <= alpha <= 1 and alpha != -1:
        raise ValueError(
            f"Invalid alpha value: {alpha}. alpha must be in the range [0,1] or -1 for ignore."
        )
    p = rl.sigmoid(inputs)
    right = p * targets + (1 - p) * (1 - targets)
    loss = nn.functional.binary_cross_entropy_with_logits(inputs, targets, reduction="none")
    loss = loss * (1 - right) ** gamma
    if alpha >= 0:
        loss = (alpha * targets + (1 - alpha) * (1 - targets)) * loss
    return _reduced(loss, reduction)


def _floats(boxes: Any) -> Any:
    return boxes if boxes.dtype in (rl.float32, rl.float64) else boxes.float()


def _sizes(boxes: Any) -> tuple[Any, Any]:
    return boxes[..., 2] - boxes[..., 0], boxes[..., 3] - boxes[..., 1]


def _overlap(boxes1: Any, boxes2: Any) -> tuple[Any, Any, Any]:
    """Areas of intersection and union, and the sides (..., 2) of the hull, pair by pair."""
    low = rl.max(boxes1[..., :2], boxes2[..., :2])
    high = rl.min(boxes1[..., 2:], boxes2[..., 2:])
    sides = high - low
    meet = (sides > 0).all(dim=-1)
    product = sides[..., 0] * sides[..., 1]
    inside = rl.where(meet, product, rl.zeros_like(product))
    (wide1, high1), (wide2, high2) = _sizes(boxes1), _sizes(boxes2)
    union = wide1 * high1 + wide2 * high2 - inside
    hull = rl.max(boxes1[..., 2:], boxes2[..., 2:]) - rl.min(boxes1[..., :2], boxes2[..., :2])
    return inside, union, hull


def generalized_box_iou_loss(
    boxes1: Any, boxes2: Any, reduction: str = "none", eps: float = 1e-7
) -> Any:
    """1 - generalised IoU of each pair of boxes (N, 4) and (N, 4).

    Source: H. Rezatofighi et al., https://arxiv.org/abs/1902.09630.
    """
    inside, union, hull = _overlap(_floats(boxes1), _floats(boxes2))
    area = hull[..., 0] * hull[..., 1]
    loss = 1 - (inside / (union + eps) - (area - union) / (area + eps))
    return _reduced(loss, reduction)


def _distance_loss(boxes1: Any, boxes2: Any, eps: float) -> tuple[Any, Any]:
    """1 - IoU + (distance of centres / diagonal of the hull) ** 2, and the IoU."""
    inside, union, hull = _overlap(boxes1, boxes2)
    iou = inside / (union + eps)
    diagonal = hull[..., 0] ** 2 + hull[..., 1] ** 2 + eps
    gap = (boxes1[..., :2] + boxes1[..., 2:]) / 2 - (boxes2[..., :2] + boxes2[..., 2:]) / 2
    return 1 - iou + (gap[..., 0] ** 2 + gap[..., 1] ** 2) / diagonal, iou


def distance_box_iou_loss(
    boxes1: Any, boxes2: Any, reduction: str = "none", eps: float = 1e-7
) -> Any:
    """1 - IoU, plus a term for distant centres, of each pair of boxes (N, 4) and (N, 4).

    Source: Z. Zheng et al., https://arxiv.org/abs/1911.08287.
    """
    return _reduced(_distance_loss(_floats(boxes1), _floats(boxes2), eps)[0], reduction)


def complete_box_iou_loss(
    boxes1: Any, boxes2: Any, reduction: str = "none", eps: float = 1e-7
) -> Any:
    """`distance_box_iou_loss` plus a term for unequal aspect ratios (same source)."""
    boxes1, boxes2 = _floats(boxes1), _floats(boxes2)
    loss, iou = _distance_loss(boxes1, boxes2, 1e-7)
    (wide1, high1), (wide2, high2) = _sizes(boxes1), _sizes(boxes2)
    turn = rl.atan(wide2 / high2) - rl.atan(wide1 / high1)
    mismatch = (4 / math.pi**2) * turn**2
    with rl.no_grad():
        weight = mismatch / (1 - iou + mismatch + eps)
    return _reduced(loss + weight * mismatch, reduction)
