"""What the random transforms draw, in torchvision's order, so that a seed gives its numbers.

In: ranges and image sizes. Out: Python numbers. All come from the default generator in float32:
`uniform` takes one word of the stream, `integer` one or two, as `rl.rand` and `rl.randint` do.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import rushlight as rl


def coin(p: float) -> bool:
    """True with probability p."""
    return bool(rl.rand(1) < p)


def uniform(low: Any, high: Any) -> float:
    """A float32 between low and high."""
    return rl.empty(1).uniform_(low, high).item()  # type: ignore[no-any-return]


def integer(low: int, high: int) -> int:
    """An integer from low to high - 1."""
    return int(rl.randint(low, high, (1,)).item())


def log_ratio(ratio: Sequence[float]) -> tuple[float, float]:
    """The logarithms of an aspect range, in float32."""
    low, high = rl.log(rl.tensor(ratio)).tolist()
    return low, high


def box_shape(area: int, scale: Sequence[float], logs: tuple[float, float]) -> tuple[int, int]:
    """(long, other) edges of a box: its share of `area` from `scale`, then its aspect ratio."""
    target = area * uniform(scale[0], scale[1])
    aspect = rl.exp(rl.empty(1).uniform_(logs[0], logs[1])).item()
    return round(math.sqrt(target * aspect)), round(math.sqrt(target / aspect))


def resized_crop_box(
    height: int,
    width: int,
    scale: Sequence[float],
    ratio: Sequence[float],
    logs: tuple[float, float],
) -> tuple[int, int, int, int]:
    """(top, left, h, w): ten tries at a box that fits, else the largest centred one."""
    for _ in range(10):
        w, h = box_shape(height * width, scale, logs)
        if 0 < w <= width and 0 < h <= height:
            return integer(0, height - h + 1), integer(0, width - w + 1), h, w
    h, w = height, width
    if width / height < min(ratio):
        h = round(width / min(ratio))
    elif width / height > max(ratio):
        w = round(height * max(ratio))
    return (height - h) // 2, (width - w) // 2, h, w


def erasing_box(
    channels: int,
    height: int,
    width: int,
    scale: Sequence[float],
    logs: tuple[float, float],
    value: Sequence[float] | None,
) -> tuple[int, int, int, int, Any] | None:
    """(top, left, h, w, pixels) to erase, after at most ten tries; None if no box fitted."""
    for _ in range(10):
        h, w = box_shape(height * width, scale, logs)
        if not (h < height and w < width):
            continue
        if value is None:
            pixels = rl.empty([channels, h, w], dtype=rl.float32).normal_()
        else:
            pixels = rl.tensor(value)[:, None, None]
        return integer(0, height - h + 1), integer(0, width - w + 1), h, w, pixels
    return None


def affine_parameters(
    degrees: Sequence[float],
    translate: Sequence[float] | None,
    scale: Sequence[float] | None,
    shear: Sequence[float] | None,
    size: Sequence[int],
) -> tuple[float, tuple[int, int], float, tuple[float, float]]:
    """(angle, (tx, ty), scale, (shear x, shear y)) for an image of (width, height)."""
    angle = uniform(float(degrees[0]), float(degrees[1]))
    moved = (0, 0)
    if translate is not None:
        reach_x, reach_y = float(translate[0] * size[0]), float(translate[1] * size[1])
        moved = (round(uniform(-reach_x, reach_x)), round(uniform(-reach_y, reach_y)))
    factor = 1.0 if scale is None else uniform(scale[0], scale[1])
    shear_x = shear_y = 0.0
    if shear is not None:
        shear_x = uniform(shear[0], shear[1])
        if len(shear) == 4:
            shear_y = uniform(shear[2], shear[3])
    return angle, moved, factor, (shear_x, shear_y)


def perspective_corners(
    width: int, height: int, distortion_scale: float
) -> tuple[list[list[int]], list[list[int]]]:
    """The four corners and where they go: each moves inwards by at most half the scale."""
    reach_x = int(distortion_scale * (width // 2)) + 1
    reach_y = int(distortion_scale * (height // 2)) + 1
    left, right = (0, reach_x), (width - reach_x, width)
    top, bottom = (0, reach_y), (height - reach_y, height)
    order = [(left, top), (right, top), (right, bottom), (left, bottom)]
    ends = [[integer(*xs), integer(*ys)] for xs, ys in order]
    starts = [[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]]
    return starts, ends


def jitter_factors(*ranges: Sequence[float] | None) -> tuple[Any, list[float | None]]:
    """The order in which four adjustments apply, and a factor for each that has a range."""
    order = rl.randperm(4)
    return order, [None if r is None else uniform(r[0], r[1]) for r in ranges]


def displacement(
    height: int, width: int, alpha: Sequence[float], sigma: Sequence[float], blur: Any
) -> Any:
    """A smooth random field (1, H, W, 2): noise in [-1, 1], blurred, times alpha pixels.

    P. Y. Simard, D. Steinkraus, J. C. Platt: Best Practices for CNNs (ICDAR 2003).
    """
    from ._params import odd_kernel

    fields = []
    for deviation, strength, size in zip(sigma, alpha, (width, height), strict=True):
        field = rl.rand(1, 1, height, width) * 2 - 1
        if deviation > 0.0:
            window = odd_kernel(deviation)
            field = blur(field, [window, window], list(sigma))
        fields.append(field * strength / size)
    return rl.cat(fields, 1).permute(0, 2, 3, 1)
