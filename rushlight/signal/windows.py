"""``torch.signal.windows``: weights of a signal's samples, symmetric or periodic.

Each takes the number of samples ``M`` and gives a vector.  ``sym=False`` gives a periodic window,
for spectral analysis.  Formulas: Harris 1978, "On the use of windows for harmonic analysis".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import rushlight as rl
from rushlight import Tensor

__all__ = [
    "bartlett",
    "blackman",
    "cosine",
    "exponential",
    "gaussian",
    "general_cosine",
    "general_hamming",
    "hamming",
    "hann",
    "kaiser",
    "nuttall",
]


def _check(name: str, M: int, dtype: Any) -> Any:
    """Refuses negative lengths and dtypes without windows; returns the dtype."""
    if M < 0:
        raise ValueError(f"{name} requires non-negative window length, got M={M}")
    dtype = rl.get_default_dtype() if dtype is None else dtype
    if dtype not in (rl.float32, rl.float64):
        raise ValueError(f"{name} expects float32 or float64 dtypes, got: {dtype}")
    return dtype


def _window(
    name: str, M: int, options: dict[str, Any], weights: Callable[[Any, dict[str, Any]], Tensor]
) -> Tensor:
    """Checks the arguments and makes the window of M samples.

    Args:
        weights: ``weights(dtype, places)`` gives the weights of at least two samples.
    """
    requires_grad = options.pop("requires_grad")
    options.pop("layout")
    dtype = options["dtype"] = _check(name, M, options["dtype"])
    if M < 2:
        made = rl.ones(M, **options)
    else:
        made = weights(dtype, options)
    return made.requires_grad_(True) if requires_grad else made  # type: ignore[no-any-return]


def _spaced(start: float, step: float, M: int, options: dict[str, Any]) -> Tensor:
    """M numbers a step apart."""
    made: Tensor = rl.linspace(start, start + (M - 1) * step, M, **options)
    return made


def exponential(
    M: int,
    *,
    center: float | None = None,
    tau: float = 1.0,
    sym: bool = True,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """exp(-|n - center| / tau)."""
    if tau <= 0:
        raise ValueError(f"Tau must be positive, got: {tau} instead.")
    if sym and center is not None:
        raise ValueError("Center must be None for symmetric windows")
    middle = (M - 1 if sym else M) / 2 if center is None else center
    options = {"dtype": dtype, "layout": layout, "device": device, "requires_grad": requires_grad}
    return _window(
        "exponential",
        M,
        options,
        lambda _, where: rl.exp(-rl.abs(_spaced(-middle / tau, 1 / tau, M, where))),
    )


def cosine(
    M: int,
    *,
    sym: bool = True,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """sin(pi (n + 1/2) / M)."""
    step = math.pi / (M if sym else M + 1)
    options = {"dtype": dtype, "layout": layout, "device": device, "requires_grad": requires_grad}
    return _window(
        "cosine", M, options, lambda _, where: rl.sin(_spaced(0.5 * step, step, M, where))
    )


def gaussian(
    M: int,
    *,
    std: float = 1.0,
    sym: bool = True,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """exp(-(n - middle)^2 / (2 std^2))."""
    if std <= 0:
        raise ValueError(f"Standard deviation must be positive, got: {std} instead.")
    step = 1 / (std * math.sqrt(2))
    start = -(M - 1 if sym else M) / 2 * step
    options = {"dtype": dtype, "layout": layout, "device": device, "requires_grad": requires_grad}
    return _window(
        "gaussian", M, options, lambda _, where: rl.exp(-(_spaced(start, step, M, where) ** 2))
    )


def kaiser(
    M: int,
    *,
    beta: float = 12.0,
    sym: bool = True,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """I0(beta sqrt(1 - x^2)) / I0(beta) for x from -1 to 1."""
    if beta < 0:
        raise ValueError(f"beta must be non-negative, got: {beta} instead.")

    def weights(kind: Any, where: dict[str, Any]) -> Tensor:
        step = 2.0 * beta / (M - 1 if sym else M)
        k = rl.linspace(-beta, min(beta, -beta + (M - 1) * step), M, **where)
        limit = rl.tensor(beta, dtype=kind)
        made: Tensor = rl.i0(rl.sqrt(beta * beta - k**2)) / rl.i0(limit)
        return made

    options = {"dtype": dtype, "layout": layout, "device": device, "requires_grad": requires_grad}
    return _window("kaiser", M, options, weights)


def bartlett(
    M: int,
    *,
    sym: bool = True,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """1 - |x| for x from -1 to 1: a triangle."""
    step = 2 / (M - 1 if sym else M) if M > 1 else 0.0
    options = {"dtype": dtype, "layout": layout, "device": device, "requires_grad": requires_grad}
    return _window(
        "bartlett", M, options, lambda _, where: 1 - rl.abs(_spaced(-1.0, step, M, where))
    )


def general_cosine(
    M: int,
    *,
    a: Iterable[float],
    sym: bool = True,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """The sum over i of (-1)^i a_i cos(2 pi i n / (M - 1)).

    Example:
        >>> import rushlight as torch
        >>> torch.signal.windows.general_cosine(3, a=[0.5, 0.5])
        tensor([0., 1., 0.])
    """
    if not isinstance(a, (list, tuple)):
        raise TypeError("Coefficients must be a list/tuple")
    if not a:
        raise ValueError("Coefficients cannot be empty")

    def weights(kind: Any, where: dict[str, Any]) -> Tensor:
        k = _spaced(0.0, 2 * math.pi / (M - 1 if sym else M), M, where)
        signed = rl.tensor([(-1) ** i * w for i, w in enumerate(a)], **where)
        i = rl.arange(len(a), **where)
        made: Tensor = (signed.unsqueeze(-1) * rl.cos(i.unsqueeze(-1) * k)).sum(0)
        return made

    options = {"dtype": dtype, "layout": layout, "device": device, "requires_grad": requires_grad}
    return _window("general_cosine", M, options, weights)


def general_hamming(M: int, *, alpha: float = 0.54, **options: Any) -> Tensor:
    """alpha - (1 - alpha) cos(2 pi n / (M - 1))."""
    return general_cosine(M, a=[alpha, 1.0 - alpha], **options)


def hamming(M: int, **options: Any) -> Tensor:
    """0.54 - 0.46 cos(2 pi n / (M - 1))."""
    return general_cosine(M, a=[0.54, 1.0 - 0.54], **options)


def hann(M: int, **options: Any) -> Tensor:
    """(1 - cos(2 pi n / (M - 1))) / 2."""
    return general_cosine(M, a=[0.5, 0.5], **options)


def blackman(M: int, **options: Any) -> Tensor:
    """0.42 - 0.5 cos(x) + 0.08 cos(2 x), x = 2 pi n / (M - 1)."""
    _check("blackman", M, options.get("dtype"))
    return general_cosine(M, a=[0.42, 0.5, 0.08], **options)


def nuttall(M: int, **options: Any) -> Tensor:
    """The minimum 4-term Blackman-Harris window of Nuttall 1981."""
    return general_cosine(M, a=[0.3635819, 0.4891775, 0.1365995, 0.0106411], **options)
