"""What the model families share: rounding of channel counts, and loading of weights."""

from __future__ import annotations

from typing import Any

from rushlight.vision.models._api import WeightsEnum

__all__ = ["load_weights", "make_divisible"]


def make_divisible(value: float, divisor: int, min_value: int | None = None) -> int:
    """The multiple of `divisor` nearest to `value`, at least `min_value` and 90 % of `value`.

    Example:
        >>> make_divisible(37.5, 8)
        40
    """
    nearest = int(value + divisor / 2) // divisor * divisor
    rounded = max(divisor if min_value is None else min_value, nearest)
    return rounded if rounded >= 0.9 * value else rounded + divisor


def load_weights(model: Any, weights: WeightsEnum | None, progress: bool) -> Any:
    """Loads `weights`, if any, into `model` and returns it; the file's hash is checked."""
    if weights is not None:
        model.load_state_dict(weights.get_state_dict(progress=progress, check_hash=True))
    return model
