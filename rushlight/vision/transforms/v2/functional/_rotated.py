"""Rotated boxes: making a parallelogram a rectangle, and cutting rectangles at the image's edge.

In: boxes (N, 8), four corners x, y. Out: the same. The rules are torchvision 0.28's, which are a
definition rather than a theorem: "soft" clamping keeps as much of a box as it can, "hard" leaves
nothing outside.
"""

from __future__ import annotations

import math
from typing import Any

import rushlight as rl

Tensor = Any


def rectangle(parallelogram: Tensor) -> Tensor:
    """The rectangle for a parallelogram (..., 8): its longer side and its centre stay."""
    dtype = parallelogram.dtype
    work = parallelogram if dtype in (rl.float32, rl.float64) else parallelogram.to(rl.float32)
    x1, y1, x2, y2, x3, y3, x4, y4 = work.unbind(-1)
    cx, cy = (x1 + x3) / 2, (y1 + y3) / 2
    width = rl.sqrt((x2 - x1).pow(2) + (y2 - y1).pow(2))
    height = rl.sqrt((x4 - x1).pow(2) + (y4 - y1).pow(2))
    along = rl.atan2(y1 - y2, x2 - x1)
    down = rl.atan2(y1 - y4, x4 - x1)
    angle = along - down  # between the two sides
    sign = rl.where(angle > math.pi / 2, -1, 1)
    cos, sin = angle.cos(), angle.sin()
    w = rl.where(width < height, width * sin, width + height * cos * sign)
    h = rl.where(width > height, height * sin, height + width * cos * sign)
    turn = rl.where(height > width, down + math.pi / 2, along)
    cos, sin = turn.cos(), turn.sin()
    ax, ay, bx, by = w / 2 * cos, w / 2 * sin, h / 2 * sin, h / 2 * cos
    corners = [cx - ax - bx, cy - by + ay, cx + ax - bx, cy - by - ay]
    corners += [cx + ax + bx, cy + by - ay, cx - ax + bx, cy + by + ay]
    return rl.stack(corners, dim=-1).to(dtype)


def _order(boxes: Tensor) -> Tensor:
    """Indices that put the leftmost corner (the upper one of two) first."""
    x, y = boxes[..., 0::2], boxes[..., 1::2]
    x_max = x.abs().amax(dim=1, keepdim=True)
    y_max = y.abs().amax(dim=1, keepdim=True)
    first = (y / y_max + x / x_max * 100).argmin(dim=1)
    steps = rl.arange(8, device=boxes.device)
    return (first[:, None] * 2 + steps) % 8


def _roll(boxes: Tensor, order: Tensor) -> Tensor:
    """Take corners in the given order.

    Undoing an order by applying it again holds only for shifts by 0 and 4: torchvision's rule.
    """
    return boxes.gather(1, order)


def _lines(boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Slope and intercept of the edge that starts at each corner."""
    x, y = boxes[..., ::2], boxes[..., 1::2]
    slope = (y.roll(-1, -1) - y) / (x.roll(-1, -1) - x)
    return slope, y - slope * x


def _crossings(slope: Tensor, intercept: Tensor) -> Tensor:
    """Where each edge meets the one before it, as corners (N, 8)."""
    x = -(intercept - intercept.roll(1, -1)) / (slope - slope.roll(1, -1))
    y = slope * x + intercept
    return rl.stack([x, y], -1).reshape(-1, 8)


def _limit(value: Tensor, low: Tensor, high: Tensor) -> Tensor:
    return rl.minimum(rl.maximum(value, low), high)


def _new_intercepts(
    boxes: Tensor, original: Tensor, canvas_size: tuple[int, int], hard: bool
) -> Tensor:
    """The intercepts of the edges after the left side of the image has cut the box."""
    slope, intercept = _lines(boxes)
    a1, a2, a3, a4 = slope.unbind(-1)
    b1, b2, b3, b4 = intercept.unbind(-1)
    o1, o2, o3, o4 = _lines(original)[1].unbind(-1)
    height, width = canvas_size
    b1, b4 = (
        _limit(b2, b1, b3).clamp(0, height),
        _limit(b3, b2, b4).clamp(0, height),
    )
    if hard:
        b1 = b4 = (b1 + b4) / 2
        uppers = [b1 * a2 / a1, b3 * a2 / a3, (a1 - a2) * width + b1, (a3 - a2) * width + b3]
        b2 = rl.minimum(rl.stack(uppers, 1).amax(dim=1), b2)
        lowers = [
            height * (1 - a3 / a4) + b4 * a3 / a4,
            height * (1 - a3 / a2) + b2 * a3 / a2,
            (a2 - a3) * width + b2,
            (a4 - a3) * width + b4,
        ]
        b3 = rl.maximum(rl.stack(lowers, 1).amin(dim=1), b3)
    b1, b2, b3, b4 = _limit(b1, o1, o3), _limit(b2, o2, o4), _limit(b3, o1, o3), _limit(b4, o2, o4)
    if hard:  # the first and the last edge are one line, held by both limits
        b1 = b4 = _limit(b1, o2, o4)
    return rl.stack([b1, b2, b3, b4], dim=-1)


def _cut_left(boxes: Tensor, original: Tensor, canvas_size: tuple[int, int], hard: bool) -> Tensor:
    """Cut boxes whose first corner lies left of the image."""
    slope, _ = _lines(boxes)
    x1, y1, x2, y2, x3, y3, x4, y4 = boxes.unbind(-1)
    cut = _crossings(slope, _new_intercepts(boxes, original, canvas_size, hard))
    upright = boxes.clone()
    upright[..., 0] = x1.clamp(min=0)
    upright[..., 6] = x4.clamp(min=0)
    is_upright = y1.isclose(y2) | y3.isclose(y4)
    outside = (x1 <= 0) & (x2 <= 0) & (x3 <= 0) & (x4 <= 0)
    gone = outside | y1.isclose(y4) | y2.isclose(y3) | (is_upright & x1.isclose(x2))
    boxes = rl.where(((x1 < 0) & ~cut.isnan().any(-1))[:, None], cut, boxes)
    boxes = rl.where(is_upright[:, None], upright, boxes)
    return rl.where(gone[:, None], rl.zeros_like(boxes), boxes)


def _quarter_turn(boxes: Tensor, width: int) -> Tensor:
    """Turn the plane so that the next side of the image becomes the left one."""
    x, y = boxes[:, ::2], boxes[:, 1::2]
    return rl.stack([y, width - x], -1).reshape(-1, 8)


def clamp_rotated(boxes: Tensor, canvas_size: tuple[int, int], hard: bool) -> Tensor:
    """Cut boxes (N, 8) at the four sides of an image of (height, width), one after the other."""
    original, (height, width) = boxes, canvas_size
    for _ in range(4):
        order = _order(boxes)
        boxes, original = _roll(boxes, order), _roll(original, order)
        boxes = _cut_left(boxes, original, (height, width), hard)
        boxes, original = _roll(boxes, order), _roll(original, order)
        boxes, original = _quarter_turn(boxes, width), _quarter_turn(original, width)
        height, width = width, height
    return boxes
