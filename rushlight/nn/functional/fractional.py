"""Fractional max pooling: windows at pseudo-random steps, so that sizes shrink by any fraction.

In: (N, C, H, W) or (N, C, T, H, W), or the same without N.  Out: the largest value of each window,
and where it was.  Source: Graham, "Fractional max-pooling", 2014.
"""

from __future__ import annotations

from typing import Any

import rushlight as rl
from rushlight.nn._sizes import _pair, _triple

__all__ = [
    "fractional_max_pool2d",
    "fractional_max_pool2d_with_indices",
    "fractional_max_pool3d",
    "fractional_max_pool3d_with_indices",
]


def _starts(samples: Any, size: int, pooled: int, window: int) -> Any:
    """Where the windows of one dimension begin: (N, C, pooled).

    int((i + u) * alpha) - int(u * alpha) with alpha = (size - window) / (pooled - 1); the last
    window touches the border.
    """
    last = samples.new_full((*samples.shape, 1), size - window).to(rl.int64)
    if pooled == 1:
        return last
    alpha = rl.tensor(size - window, dtype=samples.dtype) / (pooled - 1)
    u = samples.unsqueeze(-1)
    i = rl.arange(pooled - 1, dtype=samples.dtype, device=samples.device)
    places = ((i + u) * alpha).to(rl.int64) - (u * alpha).to(rl.int64)
    return rl.cat([places, last], -1)


def _pool(
    dims: int, input: Any, kernel: tuple[int, ...], output: tuple[int, ...], samples: Any
) -> tuple[Any, Any]:
    """Values and flat indices of the maxima."""
    name = f"fractional_max_pool{dims}d"
    batched = input.dim() == dims + 2
    x = input if batched else input.unsqueeze(0)
    batch, channels, *sizes = x.shape
    for what, size, window, pooled in zip(
        ("time", "height", "width")[-dims:], sizes, kernel, output, strict=True
    ):
        if pooled + window - 1 > size:
            raise RuntimeError(
                f"{name}(): pool {what} {window} too large relative to input {what} {size}"
            )
    # In two dimensions the first random number is the width's.
    order = (1, 0) if dims == 2 else (0, 1, 2)
    index: Any = 0  # (N, C, out..., window...) of places in the flattened plane
    for d in range(dims):
        starts = _starts(samples[..., order[d]], sizes[d], output[d], kernel[d])
        window = rl.arange(kernel[d], device=x.device)
        places = starts.unsqueeze(-1) + window  # (N, C, out_d, k_d)
        shape = [batch, channels, *([1] * (2 * dims))]
        shape[2 + d], shape[2 + dims + d] = output[d], kernel[d]
        index = index * sizes[d] + places.reshape(shape)
    flat = index.reshape(batch, channels, -1)
    values = x.reshape(batch, channels, -1).gather(2, flat)
    windows = values.reshape(batch, channels, *output, -1)
    best, where = windows.max(-1)
    indices = index.reshape(windows.shape).gather(-1, where.unsqueeze(-1)).squeeze(-1)
    return (best, indices) if batched else (best.squeeze(0), indices.squeeze(0))


def _prepare(
    dims: int, input: Any, kernel_size: Any, output_size: Any, output_ratio: Any, samples: Any
) -> tuple[Any, Any]:
    name = f"fractional_max_pool{dims}d"
    spread = _pair if dims == 2 else _triple
    if output_size is None and output_ratio is None:
        raise ValueError(f"{name} requires specifying either an output_size or an output_ratio")
    if output_size is None:
        ratios = spread(output_ratio)
        sizes = input.shape[-dims:]
        output_size = tuple(int(n * r) for n, r in zip(sizes, ratios, strict=True))
    if samples is None:
        batch = 1 if input.dim() == dims + 1 else input.size(0)
        samples = rl.rand(
            batch, input.size(-dims - 1), dims, dtype=input.dtype, device=input.device
        )
    return _pool(dims, input, spread(kernel_size), spread(output_size), samples)


def fractional_max_pool2d_with_indices(
    input: Any,
    kernel_size: Any,
    output_size: Any = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Any = None,
) -> tuple[Any, Any]:
    """Values and indices of `fractional_max_pool2d`."""
    return _prepare(2, input, kernel_size, output_size, output_ratio, _random_samples)


def fractional_max_pool2d(
    input: Any,
    kernel_size: Any,
    output_size: Any = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Any = None,
) -> Any:
    """The largest value of windows at pseudo-random steps.

    Args:
        input: (N, C, H, W) or (C, H, W).
        kernel_size: size of the window: an int or two.
        output_size: size of the result; or
        output_ratio: its share of the input's size.
        return_indices: also return where the maxima are. Default: `False`.
        _random_samples: (N, C, 2) in [0, 1). Default: drawn.

    Raises:
        ValueError: neither size nor ratio.
        RuntimeError: the window is too large.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.functional.fractional_max_pool2d(rl.zeros(1, 1, 9, 9), 2, 4).shape
        torch.Size([1, 1, 4, 4])
    """
    found = _prepare(2, input, kernel_size, output_size, output_ratio, _random_samples)
    return found if return_indices else found[0]


def fractional_max_pool3d_with_indices(
    input: Any,
    kernel_size: Any,
    output_size: Any = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Any = None,
) -> tuple[Any, Any]:
    """Values and indices of `fractional_max_pool3d`."""
    return _prepare(3, input, kernel_size, output_size, output_ratio, _random_samples)


def fractional_max_pool3d(
    input: Any,
    kernel_size: Any,
    output_size: Any = None,
    output_ratio: Any = None,
    return_indices: bool = False,
    _random_samples: Any = None,
) -> Any:
    """The largest value of windows at pseudo-random steps; see `fractional_max_pool2d`.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.functional.fractional_max_pool3d(rl.zeros(1, 1, 9, 9, 9), 2, 4).shape
        torch.Size([1, 1, 4, 4, 4])
    """
    found = _prepare(3, input, kernel_size, output_size, output_ratio, _random_samples)
    return found if return_indices else found[0]
