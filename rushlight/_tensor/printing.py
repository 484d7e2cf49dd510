"""``repr`` and ``str`` of tensors, as PyTorch prints them.

Widths and modes (integer, decimal, scientific) are chosen over all shown elements; large tensors
are summarised at their edges.  Source: PyTorch's printed output, compared in
tests/test_printing.py.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight._tensor.api import function
from rushlight._tensor.numpy_bridge import values_of
from rushlight.devices import default_device
from rushlight.dispatch.tensor import Tensor

__all__ = ["tensor_text"]


class _Options:
    """What ``set_printoptions`` sets."""

    precision = 4
    threshold: float = 1000
    edgeitems = 3
    linewidth = 80
    sci_mode: bool | None = None


_PROFILES = {
    "default": (4, 1000, 3, 80),
    "short": (2, 1000, 2, 80),
    "full": (4, math.inf, 3, 80),
}


@function
def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Sets how tensors are printed.

    Args:
        precision: digits after the point (4).
        threshold: the number of elements above which a tensor is summarised (1000).
        edgeitems: elements shown at each end of a summarised dimension (3).
        linewidth: characters a line (80).
        profile: ``default``, ``short`` or ``full``.
        sci_mode: scientific notation always or never; by the values if not given.
    """
    if profile is not None:
        if profile not in _PROFILES:
            raise ValueError(f"unknown profile {profile!r}: use one of {', '.join(_PROFILES)}")
        o = _PROFILES[profile]
        _Options.precision, _Options.threshold, _Options.edgeitems, _Options.linewidth = o
    for name, value in (
        ("precision", precision),
        ("threshold", threshold),
        ("edgeitems", edgeitems),
        ("linewidth", linewidth),
    ):
        if value is not None:
            setattr(_Options, name, value)
    _Options.sci_mode = sci_mode


class _Formatter:
    """How the elements of one tensor are written: mode and width."""

    def __init__(self, values: Any) -> None:
        self.floating = values.dtype.kind == "f"
        self.integers = True
        self.scientific = False
        self.width = 1
        flat = values.reshape(-1)
        if not self.floating:
            for v in flat.tolist():
                self.width = max(self.width, len(str(v)))
            return
        wide = flat.astype(np.float64)
        # Zeros, infinities and nan do not widen a column.
        shown = wide[np.isfinite(wide) & (wide != 0)]
        if shown.size:
            self._choose_mode(np.abs(shown), shown)
        precision = _Options.precision
        if _Options.sci_mode is not None and shown.size:
            self.scientific = _Options.sci_mode
        if shown.size:
            if self.scientific:
                texts = [f"{v:.{precision}e}" for v in shown]
            elif self.integers:
                texts = [f"{v:.0f}" for v in shown]
                self.width = max(self.width, *(len(t) + 1 for t in texts))
                texts = []
            else:
                texts = [f"{v:.{precision}f}" for v in shown]
            if texts:
                self.width = max(self.width, *(len(t) for t in texts))

    def _choose_mode(self, sizes: Any, values: Any) -> None:
        low, high = float(sizes.min()), float(sizes.max())
        self.integers = bool(np.all(values == np.ceil(values)))
        if self.integers:
            self.scientific = high / low > 1000.0 or high > 1.0e8
        else:
            self.scientific = high / low > 1000.0 or high > 1.0e8 or low < 1.0e-4
        if self.integers and self.scientific and not (high / low > 1000.0 or high > 1.0e8):
            self.scientific = False

    def text(self, value: Any) -> str:
        """One element, not yet padded."""
        if not self.floating:
            return str(value)
        if self.scientific:
            return f"{value:.{_Options.precision}e}"
        if self.integers:
            t = f"{value:.0f}"
            return t if not math.isfinite(value) else t + "."
        return f"{value:.{_Options.precision}f}"

    def padded(self, value: Any) -> str:
        """One element at the common width."""
        t = self.text(value)
        return " " * (self.width - len(t)) + t


class _ComplexFormatter:
    """Real and imaginary parts, each at its width."""

    def __init__(self, values: Any) -> None:
        self.real = _Formatter(np.ascontiguousarray(values.real))
        self.imag = _Formatter(np.ascontiguousarray(values.imag))
        self.width = self.real.width + self.imag.width + 1

    def padded(self, value: Any) -> str:
        real = self.real.padded(value.real)
        imag = self.imag.padded(value.imag).lstrip()
        if imag.startswith("-"):
            return real + imag + "j"
        return real + "+" + imag + "j"


def _shown(values: Any, summarise: bool) -> Any:
    """The elements that will be printed."""
    edge = _Options.edgeitems
    if not summarise or values.ndim == 0:
        return values
    for d in range(values.ndim):
        if values.shape[d] > 2 * edge:
            keep = [*range(edge), *range(values.shape[d] - edge, values.shape[d])]
            values = np.take(values, keep, axis=d)
    return values


def _vector(values: Any, indent: int, summarise: bool, fmt: Any) -> str:
    per_line = max(1, (_Options.linewidth - indent) // (fmt.width + 2))
    edge = _Options.edgeitems
    if summarise and not edge:
        cells = ["..."]
    elif summarise and len(values) > 2 * edge:
        cells = [fmt.padded(v) for v in values[:edge].tolist()]
        cells.append(" ...")
        cells += [fmt.padded(v) for v in values[-edge:].tolist()]
    else:
        cells = [fmt.padded(v) for v in values.tolist()]
    lines = [cells[i : i + per_line] for i in range(0, len(cells), per_line)]
    return "[" + (",\n" + " " * (indent + 1)).join(", ".join(line) for line in lines) + "]"


def _nested(values: Any, indent: int, summarise: bool, fmt: Any) -> str:
    if values.ndim == 0:
        return str(fmt.padded(values.item()))
    if values.ndim == 1:
        return _vector(values, indent, summarise, fmt)
    edge = _Options.edgeitems
    if summarise and values.shape[0] > 2 * edge:
        parts = [_nested(values[i], indent + 1, summarise, fmt) for i in range(edge)]
        parts.append("...")
        n = values.shape[0]
        parts += [_nested(values[i], indent + 1, summarise, fmt) for i in range(n - edge, n)]
    else:
        parts = [_nested(v, indent + 1, summarise, fmt) for v in values]
    between: str = "," + "\n" * (values.ndim - 1) + " " * (indent + 1)
    return "[" + between.join(parts) + "]"


def _body(t: Tensor, indent: int) -> str:
    values = values_of(t)
    if values.size == 0:
        return (
            "[" * max(t._meta.ndim, 1) + "]" * max(t._meta.ndim, 1) if t._meta.ndim <= 1 else "[]"
        )
    summarise = values.size > _Options.threshold
    shown = _shown(values, summarise)
    fmt = _ComplexFormatter(shown) if values.dtype.kind == "c" else _Formatter(shown)
    return _nested(values, indent, summarise, fmt)


def _suffixes(t: Tensor) -> list[str]:
    m = t._meta
    found = []
    if m.device.type == "meta":
        found.append(f"size={tuple(m.shape)}" if m.ndim else "size=()")
        if m.dtype is not dtypes.default_float():
            found.append(f"dtype={m.dtype!r}")
        return [f"device='{m.device}'", *found]
    if m.device is not default_device():
        found.append(f"device='{m.device}'")
    usual = m.dtype is dtypes.default_float() or m.dtype is dtypes.default_float().to_complex()
    if m.numel == 0 and m.ndim != 1:
        found.append(f"size={tuple(m.shape)}")
    if m.numel == 0:
        if m.dtype is not dtypes.default_float():
            found.append(f"dtype={m.dtype!r}")
    elif not usual and m.dtype not in (dtypes.int64, dtypes.bool_):
        found.append(f"dtype={m.dtype!r}")
    return found


def tensor_text(t: Tensor, prefix: str | None = None) -> str:
    """What ``repr`` of a tensor shows."""
    if prefix is None:
        prefix = "Parameter containing:\ntensor(" if t._is_parameter else "tensor("
        if type(t) is not Tensor and not t._is_parameter:
            prefix = type(t).__name__ + "("
    head = prefix.rsplit("\n", 1)[-1]
    m = t._meta
    suffixes = _suffixes(t)
    body = "..." if m.device.type == "meta" else _body(t, len(head))
    if t._requires_grad:
        from rushlight._tensor.gradients import tape_node

        node = tape_node(t)
        suffixes.append(
            f"grad_fn=<{type(node).__name__}>" if node is not None else "requires_grad=True"
        )
    text = prefix + body
    last = len(text) - text.rfind("\n") + 1
    for suffix in suffixes:
        if last + len(suffix) + 2 > _Options.linewidth:
            text += ",\n" + " " * len(head) + suffix
            last = len(head) + len(suffix)
        else:
            text += ", " + suffix
            last += len(suffix) + 2
    return text + ")"


def _repr(self: Tensor, *, tensor_contents: Any = None) -> str:
    if self._overrides:
        from rushlight.dispatch.overrides import redirect

        handled, result = redirect(Tensor.__repr__, (self,), (self,), {})
        if handled:
            return str(result)
    return tensor_text(self)


Tensor.__repr__ = _repr  # type: ignore[method-assign,assignment]
