"""The embedded data set: ten classes of 32x32 RGB shapes, drawn by NumPy from a seed.

In: a number of images and a seed. Out: `images` (N, 32, 32, 3) uint8 and `labels` (N,) int64. The
same seed gives the same images with the same NumPy; different seeds give disjoint draws.

A shape is the inside of a signed-distance function (negative inside), evaluated on every pixel of
every image of its class at once. Position, size, rotation, colours, background texture, a streak
that distracts and noise vary, and it is chance whether the shape is lighter or darker than what
lies behind it: a linear classifier has nothing to hold on to.
Distance functions: I. Quilez, "2D distance functions" (formulas), simplified.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["CLASSES", "SIZE", "make"]

Array = npt.NDArray[Any]  # float32

SIZE = 32


def _polygon(x: Array, y: Array, sides: int, apothem: float) -> Array:
    """Distance to a regular polygon: the largest of the distances to its sides."""
    out = x.copy()  # the side whose normal points along x
    for side in range(1, sides):
        angle = side * 2 * math.pi / sides
        np.maximum(out, x * math.cos(angle) + y * math.sin(angle), out=out)
    return out - apothem


def _disc(x: Array, y: Array) -> Array:
    return np.hypot(x, y) - 0.85


def _ring(x: Array, y: Array) -> Array:
    return np.abs(np.hypot(x, y) - 0.72) - 0.2


def _half(x: Array, y: Array) -> Array:
    return np.maximum(np.hypot(x, y + 0.4) - 1.0, -(y + 0.4))


def _triangle(x: Array, y: Array) -> Array:
    return _polygon(x, y, 3, 0.55)


def _square(x: Array, y: Array) -> Array:
    return _polygon(x, y, 4, 0.72)


def _frame(x: Array, y: Array) -> Array:
    return np.abs(_polygon(x, y, 4, 0.62)) - 0.17


def _bar(x: Array, y: Array) -> Array:
    return np.maximum(np.abs(x) - 1.05, np.abs(y) - 0.32)


def _cross(x: Array, y: Array) -> Array:
    across, along = np.abs(x), np.abs(y)
    inner, outer = np.minimum(across, along), np.maximum(across, along)
    return np.maximum(inner - 0.27, outer - 0.95)


def _star(x: Array, y: Array) -> Array:
    """Five points: fold the plane into one tenth, then the distance to one straight edge."""
    sector = 2 * math.pi / 5
    angle = np.abs(np.mod(np.arctan2(y, x), sector) - sector / 2)  # 0 between points, pi/5 at one
    radius = np.hypot(x, y)
    across, along = radius * np.cos(angle), radius * np.sin(angle)
    inner, tip = 0.46, 1.08
    edge_x, edge_y = tip * math.cos(math.pi / 5) - inner, tip * math.sin(math.pi / 5)
    length = math.hypot(edge_x, edge_y)
    return (across - inner) * (edge_y / length) - along * (edge_x / length)


def _heart(x: Array, y: Array) -> Array:
    """Two discs and a triangle below them."""
    side = np.abs(x)
    lobe = np.hypot(side - 0.42, y + 0.3) - 0.5
    tip = np.maximum((side + y) * math.sqrt(0.5) - 0.6, -(y + 0.3))
    return np.minimum(lobe, tip)


_SHAPES: dict[str, Callable[[Array, Array], Array]] = {
    "disc": _disc,
    "ring": _ring,
    "half-disc": _half,
    "triangle": _triangle,
    "square": _square,
    "frame": _frame,
    "bar": _bar,
    "cross": _cross,
    "star": _star,
    "heart": _heart,
}
CLASSES: tuple[str, ...] = tuple(_SHAPES)


def _uniform(rng: np.random.Generator, low: float, high: float, *shape: int) -> Array:
    return rng.random(shape, dtype=np.float32) * (high - low) + low


def _background(rng: np.random.Generator, count: int, x: Array, y: Array) -> Array:
    """Two colours mixed by a plane wave of random direction and length: (N, 32, 32, 3) in 0..1."""
    angle = _uniform(rng, 0, 2 * np.pi, count, 1, 1)
    frequency = _uniform(rng, 0.05, 0.7, count, 1, 1)
    phase = _uniform(rng, 0, 2 * np.pi, count, 1, 1)
    wave = np.sin((x * np.cos(angle) + y * np.sin(angle)) * frequency + phase)  # (N, 32, 32)
    wave = (wave * 0.5 + 0.5)[..., None]
    first = _uniform(rng, 0.1, 0.9, count, 1, 1, 3)
    second = np.clip(first + _uniform(rng, -0.35, 0.35, count, 1, 1, 3), 0, 1)
    mixed: Array = first * wave + second * (1 - wave)
    return mixed


def _colours(rng: np.random.Generator, behind: Array) -> Array:
    """One colour an image, at least 0.35 lighter or darker than what lies behind: (N, 1, 1, 3)."""
    count = len(behind)
    mean = behind.mean(axis=(1, 2), keepdims=True)  # (N, 1, 1, 3)
    grey = mean.mean(axis=3, keepdims=True)
    lighter = rng.random((count, 1, 1, 1)) < 0.5
    lighter = np.where(grey > 0.65, False, np.where(grey < 0.35, True, lighter))
    step = np.where(lighter, 1, -1) * _uniform(rng, 0.35, 0.6, count, 1, 1, 1)
    tint = _uniform(rng, -0.2, 0.2, count, 1, 1, 3)
    colour: Array = np.clip(mean + step + tint, 0, 1)
    return colour


def make(
    count: int, seed: int | Sequence[int]
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Draws `count` images, the ten classes in equal parts, in random order.

    Args:
        count: how many images.
        seed: seed of the draw, a number or a sequence of numbers.

    Returns:
        `images`, uint8 of shape (count, 32, 32, 3), and `labels`, int64 of shape (count,), indices
        into `CLASSES`.

    Example:
        >>> images, labels = make(20, seed=0)
        >>> images.shape, images.dtype, sorted(set(labels.tolist()))
        ((20, 32, 32, 3), dtype('uint8'), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    """
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(count, dtype=np.int64) % len(CLASSES))
    grid = np.arange(SIZE, dtype=np.float32) - (SIZE - 1) / 2
    y, x = grid[None, :, None], grid[None, None, :]
    image = _background(rng, count, x, y)

    # A thin line somewhere: edges alone do not make a shape.
    angle = _uniform(rng, 0, np.pi, count, 1, 1)
    away = np.abs(x * np.cos(angle) + y * np.sin(angle) - _uniform(rng, -14, 14, count, 1, 1))
    streak = np.clip(1.1 - away, 0, 1)[..., None] * _uniform(rng, 0, 0.8, count, 1, 1, 1)
    image += streak * (_uniform(rng, 0, 1, count, 1, 1, 3) - image)

    radius = _uniform(rng, 6.5, 12.0, count, 1, 1)
    room = np.maximum(SIZE / 2 - 1 - radius, 0)
    across = x - _uniform(rng, -1, 1, count, 1, 1) * room
    along = y - _uniform(rng, -1, 1, count, 1, 1) * room
    turn = _uniform(rng, 0, 2 * np.pi, count, 1, 1)
    cos, sin = np.cos(turn), np.sin(turn)
    u = (across * cos + along * sin) / radius  # (N, 32, 32), the shape's own coordinates
    v = (along * cos - across * sin) / radius
    cover = np.empty_like(u)
    for label, distance in enumerate(_SHAPES.values()):
        rows = labels == label
        # One pixel of soft edge: coverage falls from 1 to 0 within half a pixel of the outline.
        cover[rows] = np.clip(0.5 - distance(u[rows], v[rows]) * radius[rows], 0, 1)
    image += cover[..., None] * (_colours(rng, image) - image)
    image += rng.standard_normal(image.shape, dtype=np.float32) * _uniform(
        rng, 0.01, 0.06, count, 1, 1, 1
    )
    return np.clip(image * 255, 0, 255).astype(np.uint8), labels
