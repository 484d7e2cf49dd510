"""Pooling."""

from __future__ import annotations

from typing import Any

import rushlight as rl
from rushlight.dispatch.gate import call
from rushlight.errors import explained
from rushlight.ops import fractional
from rushlight.ops import pool as records

__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "adaptive_max_pool1d",
    "adaptive_max_pool1d_with_indices",
    "adaptive_max_pool2d",
    "adaptive_max_pool2d_with_indices",
    "adaptive_max_pool3d",
    "adaptive_max_pool3d_with_indices",
    "avg_pool1d",
    "avg_pool2d",
    "avg_pool3d",
    "fractional_max_pool2d",
    "fractional_max_pool2d_with_indices",
    "fractional_max_pool3d",
    "fractional_max_pool3d_with_indices",
    "max_pool1d",
    "max_pool1d_with_indices",
    "max_pool2d",
    "max_pool2d_with_indices",
    "max_pool3d",
    "max_pool3d_with_indices",
]


def _tuple(value: Any, n: int) -> tuple[int, ...]:
    if isinstance(value, int):
        return (value,) * n
    values = tuple(int(v) for v in value)
    return values * n if len(values) == 1 else values


_WORDS = {1: "one int", 2: "two ints", 3: "three ints"}


def _checked(pool: str, name: str, value: Any, n: int) -> tuple[int, ...]:
    values = _tuple(value, n)
    if len(values) != n:
        either = "either be omitted, a single int" if name == "stride" else "either be a single int"
        raise RuntimeError(f"{pool}: {name} must {either}, or a tuple of {_WORDS[n]}")
    return values


def _batched(name: str, input: Any, n: int) -> tuple[Any, bool]:
    """The input with a batch dimension, and whether it had none."""
    have = input.dim()
    if have not in (n + 1, n + 2):
        if n > 1:
            text = f"non-empty {n + 1}D or {n + 2}D (batch mode) tensor expected for input"
        elif name.startswith("max"):
            text = (
                f"{name}: Expected 2D or 3D (batch mode) tensor with optional 0 dim batch size for "
                f"input, but got:{list(input.shape)}"
            )
        else:
            text = (
                f"Expected 2 to 3 dimensions, but got {have}-dimensional tensor for argument #1 "
                f"'self' (while checking arguments for {name})"
            )
        raise explained(
            RuntimeError(text),
            f"pooling takes (N, C, ...) or (C, ...); this input is {list(input.shape)}",
            f"池化需要 (N, C, ...) 或 (C, ...)，实际输入是 {list(input.shape)}",
        )
    return (input.unsqueeze(0), True) if have == n + 1 else (input, False)


def _max_pool(
    n: int,
    input: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool,
) -> tuple[Any, Any]:
    name = f"max_pool{n}d"
    x, single = _batched(name, input, n)
    kernel = _checked(name, "kernel_size", kernel_size, n)
    default = stride is None or stride == [] or stride == ()
    steps = kernel if default else _checked(name, "stride", stride, n)
    around = _checked(name, "padding", padding, n)
    how = (kernel, steps, around, _checked(name, "dilation", dilation, n), bool(ceil_mode))
    values, indices = call(records.max_pool, (x,), how)
    return (values.squeeze(0), indices.squeeze(0)) if single else (values, indices)


def _publish_max(n: int) -> None:
    def with_indices(
        input: Any,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> Any:
        return _max_pool(n, input, kernel_size, stride, padding, dilation, ceil_mode)

    def pool(
        input: Any,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> Any:
        found = _max_pool(n, input, kernel_size, stride, padding, dilation, ceil_mode)
        return found if return_indices else found[0]

    pool.__name__ = pool.__qualname__ = f"max_pool{n}d"
    pool.__doc__ = (
        f"The maximum over {n}-d windows.\n\nArgs:\n"
        "    stride: how far windows lie apart; ``kernel_size`` if None.\n"
        "    padding: cells of minus infinity at each side, at most half a window.\n"
        "    ceil_mode: also windows that begin inside and reach over the end.\n"
        "    return_indices: also where each maximum stands in its plane."
    )
    with_indices.__name__ = with_indices.__qualname__ = f"max_pool{n}d_with_indices"
    with_indices.__doc__ = f"``max_pool{n}d`` with the place of each maximum in its plane."
    globals()[pool.__name__] = pool
    globals()[with_indices.__name__] = with_indices


def _avg_pool(n: int, input: Any, how: tuple[Any, ...]) -> Any:
    kernel_size, stride, padding, ceil_mode, count_include_pad, divisor = how
    name = f"avg_pool{n}d"
    x, single = _batched(name, input, n)
    kernel = _checked(name, "kernel_size", kernel_size, n)
    default = stride is None or stride == [] or stride == ()
    steps = kernel if default else _checked(name, "stride", stride, n)
    attrs = (
        kernel,
        steps,
        _checked(name, "padding", padding, n),
        bool(ceil_mode),
        bool(count_include_pad),
        divisor,
    )
    out = call(records.avg_pool, (x,), attrs)
    return out.squeeze(0) if single else out


def avg_pool1d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Any:
    """The mean over 1-d windows."""
    return _avg_pool(1, input, (kernel_size, stride, padding, ceil_mode, count_include_pad, None))


def avg_pool2d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    """The mean over 2-d windows."""
    how = (kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)
    return _avg_pool(2, input, how)


def avg_pool3d(
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Any:
    """The mean over 3-d windows."""
    how = (kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)
    return _avg_pool(3, input, how)


def _sizes(name: str, output_size: Any, x: Any, n: int) -> tuple[int, ...]:
    """The wanted sizes; None keeps the input's."""
    if isinstance(output_size, int) or output_size is None:
        wanted: tuple[Any, ...] = (output_size,) * n
    else:
        wanted = tuple(output_size)
        if len(wanted) == 1:
            wanted = wanted * n
    if len(wanted) != n:
        raise RuntimeError(f"{name}: output_size must be {n}")
    return tuple(x.shape[2 + i] if s is None else int(s) for i, s in enumerate(wanted))


def _adaptive(name: str, n: int, op: Any, input: Any, output_size: Any) -> Any:
    have = input.dim()
    if have not in (n + 1, n + 2):
        raise RuntimeError(
            f"Expected 2 to 3 dimensions, but got {have}-dimensional tensor for argument #1 'self' "
            f"(while checking arguments for {name})"
            if n == 1
            else f"{name}(): Expected {n + 1}D or {n + 2}D tensor, but got"
            f"{':' if 'max' in name else ''} {list(input.shape)}"
        )
    for d in range(have - n, have):
        if input.shape[d] == 0:
            raise RuntimeError(
                f"{name}(): Expected input to have non-zero size for non-batch dimensions, but "
                f"input has sizes {list(input.shape)} with dimension {d} being empty"
            )
    x, single = (input.unsqueeze(0), True) if have == n + 1 else (input, False)
    out = call(op, (x,), (_sizes(name, output_size, x, n),))
    if not single:
        return out
    return tuple(t.squeeze(0) for t in out) if isinstance(out, tuple) else out.squeeze(0)


def _publish_adaptive(n: int) -> None:
    def average(input: Any, output_size: Any) -> Any:
        return _adaptive(f"adaptive_avg_pool{n}d", n, records.adaptive_avg_pool, input, output_size)

    def with_indices(input: Any, output_size: Any, return_indices: bool = False) -> Any:
        return _adaptive(f"adaptive_max_pool{n}d", n, records.adaptive_max_pool, input, output_size)

    def maximum(input: Any, output_size: Any, return_indices: bool = False) -> Any:
        found = with_indices(input, output_size)
        return found if return_indices else found[0]

    for f, name, doc in (
        (average, f"adaptive_avg_pool{n}d", "The mean over windows that tile the input evenly."),
        (maximum, f"adaptive_max_pool{n}d", "The maximum over windows that tile the input evenly."),
        (
            with_indices,
            f"adaptive_max_pool{n}d_with_indices",
            f"``adaptive_max_pool{n}d`` with the place of each maximum.",
        ),
    ):
        f.__name__ = f.__qualname__ = name
        f.__doc__ = doc + "\n\nArgs:\n    output_size: the result's spatial size; None keeps one."
        globals()[name] = f


def _fractional(
    n: int, input: Any, kernel_size: Any, output_size: Any, output_ratio: Any, samples: Any
) -> tuple[Any, Any]:
    name = f"fractional_max_pool{n}d"
    if output_size is None and output_ratio is None:
        raise ValueError(f"{name} requires specifying either an output_size or an output_ratio")
    if output_size is None:
        if not isinstance(output_ratio, (int, float)) and len(output_ratio) > n:
            raise ValueError(
                f"{name} requires output_ratio to either be a single Int or tuple of Ints."
            )
        ratios = [output_ratio] * n if isinstance(output_ratio, (int, float)) else output_ratio
        sizes = tuple(int(input.size(d - n) * r) for d, r in enumerate(ratios))
    else:
        sizes = _tuple(output_size, n)
    if samples is None:
        batch = 1 if input.dim() == n + 1 else input.size(0)
        samples = rl.rand(batch, input.size(-n - 1), n, dtype=input.dtype, device=input.device)
    x, single = (input.unsqueeze(0), True) if input.dim() == n + 1 else (input, False)
    found = call(fractional.fractional_max_pool, (x, samples), (_tuple(kernel_size, n), sizes))
    return tuple(t.squeeze(0) for t in found) if single else found


def _publish_fractional(n: int) -> None:
    def with_indices(
        input: Any,
        kernel_size: Any,
        output_size: Any = None,
        output_ratio: Any = None,
        return_indices: bool = False,
        _random_samples: Any = None,
    ) -> Any:
        return _fractional(n, input, kernel_size, output_size, output_ratio, _random_samples)

    def pool(
        input: Any,
        kernel_size: Any,
        output_size: Any = None,
        output_ratio: Any = None,
        return_indices: bool = False,
        _random_samples: Any = None,
    ) -> Any:
        found = _fractional(n, input, kernel_size, output_size, output_ratio, _random_samples)
        return found if return_indices else found[0]

    pool.__name__ = pool.__qualname__ = f"fractional_max_pool{n}d"
    pool.__doc__ = (
        f"The maximum over {n}-d windows at pseudo-random places (Graham 2014).\n\nArgs:\n"
        "    output_size: the result's spatial size; or give\n"
        "    output_ratio: the result's size over the input's, below 1.\n"
        "    return_indices: also where each maximum stands in its plane."
    )
    with_indices.__name__ = with_indices.__qualname__ = f"fractional_max_pool{n}d_with_indices"
    with_indices.__doc__ = f"``fractional_max_pool{n}d`` with the place of each maximum."
    globals()[pool.__name__] = pool
    globals()[with_indices.__name__] = with_indices


_publish_fractional(2)
_publish_fractional(3)
for _n in (1, 2, 3):
    _publish_max(_n)
    _publish_adaptive(_n)
