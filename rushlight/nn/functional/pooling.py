"""Pooling."""

from __future__ import annotations

from numbers import Integral
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
    if isinstance(value, Integral):  # NumPy's integers too
        return (int(value),) * n
    values = tuple(int(v) for v in value)
    return values * n if len(values) == 1 else values


def _one(value: Any) -> int:
    return int(value if isinstance(value, int) else value[0])


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


def _refuse_empty(name: str, input: Any, n: int, kernel: Any, padding: Any) -> None:
    """Dimensions other than the batch must have elements; but wrong padding is named first."""
    shape = list(input.shape)
    wrong = [p for k, p in zip(kernel, padding, strict=True) if not 0 <= 2 * p <= k]
    if wrong or 0 not in shape[-n - 1 :]:
        return
    if n == 3:
        who = f"{name}_with_indices_out_cpu_template" if name.startswith("max") else name
        raise RuntimeError(
            f"{who}(): Expected input's non-batch dimensions to have positive length, but input "
            f"has a shape of {shape} and non-batch dimension 0 has length zero!"
        )
    kind = "3D or 4D"
    if name == "max_pool1d":
        name, kind = "max_pool1d: ", "2D or 3D"
    else:
        shape = [*shape[:-1], 1, shape[-1]] if n == 1 else shape
        name = ""
    raise RuntimeError(
        f"{name}Expected {kind} (batch mode) tensor with optional 0 dim batch size for input, but "
        f"got:{shape}"
    )


def _check_max_pool1d(size: int, kernel: int, stride: int, padding: int, dilation: int) -> None:
    """What ``max_pool1d`` without indices asks of its arguments, in words of its own."""
    name = "max_pool1d()"
    for what, value in (("kernel_size", kernel), ("stride", stride)):
        if value <= 0:
            raise RuntimeError(f"{name} {what} must be greater than zero, but got {value}")
    if padding < 0:
        raise RuntimeError(f"{name} padding must be non-negative, but got {padding}")
    if padding > kernel // 2:
        raise RuntimeError(
            f"{name} padding should be at most half of kernel size, but got padding={padding} and "
            f"kernel_size={kernel}"
        )
    if dilation <= 0:
        raise RuntimeError(f"{name} dilation must be greater than zero, but got {dilation}")
    out = (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
    if out <= 0:
        raise RuntimeError(f"{name} Invalid computed output size: {out}")


# A window's settings as the record takes them, by how they were given: what is here was valid once.
_windows: dict[Any, tuple[Any, ...]] = {}


def _max_pool(
    n: int,
    input: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool,
) -> tuple[Any, Any]:
    kind = type(kernel_size)
    alike = (kind is tuple or kind is int) and (stride is None or kind is type(stride))
    alike = alike and type(padding) is type(dilation) is int
    if alike and (how := _windows.get((n, kernel_size, stride, padding, dilation, ceil_mode))):
        shape = input._meta.shape
        if len(shape) == n + 2 and 0 not in shape:
            return call(records.max_pool, (input,), how)  # type: ignore[no-any-return]
    name = f"max_pool{n}d"
    x, single = _batched(name, input, n)
    kernel = _checked(name, "kernel_size", kernel_size, n)
    default = stride is None or (isinstance(stride, (list, tuple)) and not stride)
    steps = kernel if default else _checked(name, "stride", stride, n)
    around = _checked(name, "padding", padding, n)
    _refuse_empty(name, input, n, kernel, around)
    how = (kernel, steps, around, _checked(name, "dilation", dilation, n), bool(ceil_mode))
    if alike and len(_windows) < 1000:
        _windows[n, kernel_size, stride, padding, dilation, ceil_mode] = how
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
        if n == 1 and not return_indices and input.dim() in (2, 3) and input.size(-1):
            single = _one(kernel_size)
            steps = single if stride is None else _one(stride)
            _check_max_pool1d(input.size(-1), single, steps, _one(padding), _one(dilation))
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
    default = stride is None or (isinstance(stride, (list, tuple)) and not stride)
    steps = kernel if default else _checked(name, "stride", stride, n)
    around = _checked(name, "padding", padding, n)
    _refuse_empty(name, input, n, kernel, around)
    attrs = (
        kernel,
        steps,
        around,
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
        raise RuntimeError(
            f"{name}() argument 'output_size' should contain one int (got {len(wanted)})"
            if n == 1
            else f"{name}(): internal error: output_size.size() must be {n}"
            if "max" in name
            else f"{name}: output_size must be {n}"
        )
    sizes = tuple(x.shape[2 + i] if s is None else int(s) for i, s in enumerate(wanted))
    if min(sizes) < 0:
        _refuse_negative(name, x, sizes)
    return sizes


def _refuse_negative(name: str, x: Any, sizes: tuple[int, ...]) -> None:
    if len(sizes) == 1:
        name, sizes = name.replace("1d", "2d"), (1, *sizes)
    if "max" in name:
        negative = next(s for s in sizes if s < 0)
        shape = [*x.shape[:2], *sizes]
        raise RuntimeError(f"Trying to create tensor with negative dimension {negative}: {shape}")
    shown = f"{sizes[0]}, {sizes[1]}" + "".join(f",{s}" for s in sizes[2:])
    raise RuntimeError(
        f"{name}: elements of output_size must be greater than or equal to 0 but received "
        f"{{{shown}}}"
    )


def _adaptive(name: str, n: int, op: Any, input: Any, output_size: Any) -> Any:
    have = input.dim()
    if n > 1 and isinstance(output_size, (tuple, list)) and have <= len(output_size):
        raise ValueError(f"Input dimension should be at least {len(output_size) + 1}")
    if have not in (n + 1, n + 2):
        raise RuntimeError(
            f"Expected 2 to 3 dimensions, but got {have}-dimensional tensor for argument #1 'self' "
            f"(while checking arguments for {name})"
            if n == 1
            else f"{name}(): Expected {n + 1}D or {n + 2}D tensor, but got"
            f"{':' if 'max' in name else ''} {list(input.shape)}"
        )
    channels = "max" in name or n == 3
    for d in range(have - n - channels, have):
        if input.shape[d] == 0:
            who = name.replace("avg_pool1d", "avg_pool2d")
            raise RuntimeError(
                f"{who}(): Expected input to have non-zero size for non-batch dimensions, but "
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
