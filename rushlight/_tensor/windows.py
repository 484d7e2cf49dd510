"""Window functions of the ``torch`` namespace; ``torch.signal.windows`` has more.

Periodic windows (the default) are symmetric ones of one more sample, without the last.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from rushlight._tensor.api import FUNCTIONS, dtype_of, function
from rushlight.dispatch.tensor import Tensor

__all__: list[str] = []


def _window(
    name: str,
    length: int,
    periodic: bool,
    options: dict[str, Any],
    weights: Callable[[Tensor, int], Tensor],
) -> Tensor:
    """Checks the arguments; ``weights(n, N)`` gives the weights of samples n of N."""
    kind = dtype_of(options.get("dtype"))
    requires_grad = options.get("requires_grad", False)
    if not kind.is_floating_point:
        raise RuntimeError(f"{name} expects floating point dtypes, got: {kind!r}")
    if length < 0:
        raise RuntimeError(
            f"{name} requires non-negative window_length, got window_length={length}"
        )
    where = {"dtype": kind, "device": options.get("device")}
    if length < 2:
        made = FUNCTIONS["ones"](length, **where)
    else:
        count = length + 1 if periodic else length
        made = weights(FUNCTIONS["arange"](count, **where), count)[:length]
        made = made.clone() if periodic else made
    return made.requires_grad_(True) if requires_grad else made  # type: ignore[no-any-return]


@function
def bartlett_window(window_length: int, periodic: bool = True, **options: Any) -> Tensor:
    """A triangle: 1 - |2 n / (N - 1) - 1|."""

    def weights(n: Tensor, count: int) -> Tensor:
        x = n * (2.0 / (count - 1))
        return FUNCTIONS["where"](n <= (count - 1) >> 1, x, 2 - x)  # type: ignore[no-any-return]

    return _window("bartlett_window", window_length, periodic, options, weights)


@function
def hamming_window(
    window_length: int,
    periodic: bool = True,
    alpha: float = 0.54,
    beta: float = 0.46,
    **options: Any,
) -> Tensor:
    """alpha - beta cos(2 pi n / (N - 1))."""
    return _window(
        "hamming_window",
        window_length,
        periodic,
        options,
        lambda n, count: (n * (2 * math.pi / (count - 1))).cos() * -beta + alpha,
    )


@function
def hann_window(window_length: int, periodic: bool = True, **options: Any) -> Tensor:
    """(1 - cos(2 pi n / (N - 1))) / 2.

    Example:
        >>> import rushlight as torch
        >>> torch.hann_window(4)
        tensor([0.0000, 0.5000, 1.0000, 0.5000])
    """
    return _window(
        "hann_window",
        window_length,
        periodic,
        options,
        lambda n, count: (n * (2 * math.pi / (count - 1))).cos() * -0.5 + 0.5,
    )


@function
def blackman_window(window_length: int, periodic: bool = True, **options: Any) -> Tensor:
    """0.42 - 0.5 cos(2 pi n / (N - 1)) + 0.08 cos(4 pi n / (N - 1))."""

    def weights(n: Tensor, count: int) -> Tensor:
        x = n * (math.pi / (count - 1))
        return (x * 4).cos() * 0.08 - (x * 2).cos() * 0.5 + 0.42  # type: ignore[no-any-return]

    return _window("blackman_window", window_length, periodic, options, weights)


@function
def kaiser_window(
    window_length: int, periodic: bool = True, beta: float = 12.0, **options: Any
) -> Tensor:
    """I0(beta sqrt(1 - x^2)) / I0(beta), x = 2 n / (N - 1) - 1."""

    def weights(n: Tensor, count: int) -> Tensor:
        x = n * (2.0 / (count - 1)) - 1
        limit = FUNCTIONS["tensor"](float(beta), dtype=n._meta.dtype)
        inside = (1 - x * x).clamp_min(0).sqrt() * beta
        return FUNCTIONS["i0"](inside) / FUNCTIONS["i0"](limit)  # type: ignore[no-any-return]

    return _window("kaiser_window", window_length, periodic, options, weights)
