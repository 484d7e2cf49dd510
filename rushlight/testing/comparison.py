"""``assert_close``: are two results equal up to rounding?  And tensors to test with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

import rushlight as rl

__all__ = ["assert_close", "make_tensor"]

# (rtol, atol) by dtype, as PyTorch's documentation lists them.
_TOLERANCES = {
    "float16": (1e-3, 1e-5),
    "bfloat16": (1.6e-2, 1e-5),
    "float32": (1.3e-6, 1e-5),
    "float64": (1e-7, 1e-7),
    "complex64": (1.3e-6, 1e-5),
    "complex128": (1e-7, 1e-7),
}


def assert_close(
    actual: Any,
    expected: Any,
    *,
    allow_subclasses: bool = True,
    rtol: float | None = None,
    atol: float | None = None,
    equal_nan: bool = False,
    check_device: bool = True,
    check_dtype: bool = True,
    check_layout: bool = True,
    check_stride: bool = False,
    msg: str | Callable[[str], str] | None = None,
) -> None:
    """Checks that ``|actual - expected| <= atol + rtol * |expected|`` everywhere.

    Args:
        actual, expected: tensors, numbers, or sequences and mappings of them.
        rtol, atol: both or neither; by dtype if not given.
        equal_nan: whether NaN equals NaN.
        check_dtype, check_device, check_stride: whether these must be equal too.
        msg: the text of the error, or a function of the text that would be shown.

    Raises:
        AssertionError: they are not close.
        ValueError: only one of ``rtol`` and ``atol`` is given.

    Example:
        >>> import rushlight as torch
        >>> torch.testing.assert_close(torch.ones(2) / 3 * 3, torch.ones(2))
    """
    if (rtol is None) != (atol is None):
        raise ValueError(
            "rtol and atol must both be specified or both be unspecified, but got rtol="
            f"{rtol} and atol={atol}"
        )
    checks = (check_device, check_dtype, check_stride)
    why = _compare(actual, expected, rtol, atol, equal_nan, checks)
    if why is not None:
        raise AssertionError(msg(why) if callable(msg) else msg if msg is not None else why)


def _compare(
    a: Any, b: Any, rtol: Any, atol: Any, equal_nan: bool, checks: tuple[bool, bool, bool]
) -> str | None:
    """What is wrong, or None."""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        if a.keys() != b.keys():
            return f"The keys of the mappings do not match:\n{list(a)}\n{list(b)}"
        for key in a:
            if (why := _compare(a[key], b[key], rtol, atol, equal_nan, checks)) is not None:
                return f"{why}\n\nThe failure occurred for item [{key!r}]"
        return None
    if _is_sequence(a) and _is_sequence(b):
        if len(a) != len(b):
            return f"The length of the sequences mismatch: {len(a)} != {len(b)}"
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            if (why := _compare(x, y, rtol, atol, equal_nan, checks)) is not None:
                return f"{why}\n\nThe failure occurred for item [{i}]"
        return None
    if isinstance(a, rl.Tensor) != isinstance(b, rl.Tensor) and not _is_array(a, b):
        return f"None of the pairs match: {type(a)} and {type(b)} cannot be compared."
    scalars = not isinstance(a, rl.Tensor) and not isinstance(a, np.ndarray)
    x, y = (rl.as_tensor(v) for v in (a, b))
    return _compare_tensors(x, y, rtol, atol, equal_nan, checks, scalars)


def _is_sequence(x: Any) -> bool:
    return isinstance(x, Sequence) and not isinstance(x, str)


def _is_array(a: Any, b: Any) -> bool:
    return isinstance(a, (rl.Tensor, np.ndarray)) and isinstance(b, (rl.Tensor, np.ndarray))


def _compare_tensors(
    x: Any,
    y: Any,
    rtol: Any,
    atol: Any,
    equal_nan: bool,
    checks: tuple[bool, bool, bool],
    scalars: bool,
) -> str | None:
    device, dtype, stride = checks
    if x.shape != y.shape:
        return f"The values for attribute 'shape' do not match: {x.shape} != {y.shape}."
    for wanted, name in ((device, "device"), (dtype and not scalars, "dtype")):
        if wanted and getattr(x, name) != getattr(y, name):
            mine, theirs = getattr(x, name), getattr(y, name)
            return f"The values for attribute '{name}' do not match: {mine} != {theirs}."
    if stride and x.stride() != y.stride():
        return f"The values for attribute 'stride()' do not match: {x.stride()} != {y.stride()}."
    if rtol is None:
        pairs = [_TOLERANCES.get(t.dtype.name, (0.0, 0.0)) for t in (x, y)]
        rtol, atol = (max(p) for p in zip(*pairs, strict=True))
    kind = rl.promote_types(x.dtype, y.dtype)
    x, y = x.detach().to(kind), y.detach().to(kind)
    close = rl.isclose(x, y, rtol=rtol, atol=atol, equal_nan=equal_nan)
    if bool(close.all()):
        return None
    return _describe(x, y, close, rtol, atol, scalars)


def _describe(x: Any, y: Any, close: Any, rtol: float, atol: float, scalars: bool) -> str:
    if x.dtype in (rl.bool, rl.uint8, rl.int8, rl.int16, rl.int32):
        x, y = x.to(rl.int64), y.to(rl.int64)
    gap = (x - y).abs()
    relative = gap / y.abs()
    exact = rtol == 0 and atol == 0
    head = "Scalars" if scalars else "Tensor-likes"
    lines = [f"{head} are not {'equal' if exact else 'close'}!", ""]
    if x.dim() == 0:
        if exact:
            return f"{head} are not equal!\n\nExpected {y.item()} but got {x.item()}."
        lines = [f"{head} are not close!", "", f"Expected {y.item()} but got {x.item()}."]
    else:
        bad, total = int((~close).sum()), close.numel()
        lines.append(f"Mismatched elements: {bad} / {total} ({bad / total:.1%})")
    for name, values, limit in (("absolute", gap, atol), ("relative", relative, rtol)):
        masked = rl.where(close, rl.zeros_like(values), values)
        worst = int(masked.nan_to_num(float("inf")).argmax())
        at = tuple(int(i) for i in np.unravel_index(worst, tuple(x.shape)))
        place = f" at index {at}" if x.dim() else ""
        shown = f" (up to {limit} allowed)" if not exact else ""
        label = "Greatest " + name if x.dim() else name.capitalize()
        lines.append(f"{label} difference: {values.reshape(-1)[worst].item()}{place}{shown}")
    return "\n".join(lines)


def make_tensor(
    *shape: Any,
    dtype: Any,
    device: Any = "cpu",
    low: float | None = None,
    high: float | None = None,
    requires_grad: bool = False,
    noncontiguous: bool = False,
    exclude_zero: bool = False,
    memory_format: Any = None,
) -> Any:
    """A tensor of random values to test with.

    Args:
        shape: its size, as ints or one sequence.
        low, high: the range; [-9, 9] for floats, [-9, 10) for integers, [0, 10) for uint8, {0, 1}
            for bool if not given.
        noncontiguous: every second element of a larger tensor.
        exclude_zero: no zeros.
    """
    size = tuple(shape[0]) if len(shape) == 1 and not isinstance(shape[0], int) else shape
    wide = (*size[:-1], size[-1] * 2) if noncontiguous and size else size
    if dtype.is_floating_point or dtype.is_complex:
        bottom, top = (-9.0 if low is None else low), (9.0 if high is None else high)
        made = rl.empty(wide, dtype=dtype, device=device).uniform_(bottom, top)
    else:
        least = 0 if dtype in (rl.bool, rl.uint8) else -9
        most = 2 if dtype is rl.bool else 10
        bottom, top = (least if low is None else int(low)), (most if high is None else int(high))
        made = rl.randint(bottom, top, wide, dtype=dtype, device=device)
    if noncontiguous and size:
        made = made[..., ::2]
    if exclude_zero:
        made[made == 0] = 1
    if memory_format is not None:
        made = made.clone(memory_format=memory_format)
    return made.requires_grad_(requires_grad)
