"""Padding layers: a border of constants, reflections, copies, or the other side.

In: a tensor with one to three spatial dimensions.  Out: the same, larger (or, with negative
padding, smaller) on each side.  `padding` counts the last dimension first: left, right, top, ...
"""

from __future__ import annotations

from typing import Any

from rushlight.nn import functional as F

from .module import Module
from .utils import _ntuple, _pair, _quadruple

__all__ = [
    "CircularPad1d",
    "CircularPad2d",
    "CircularPad3d",
    "ConstantPad1d",
    "ConstantPad2d",
    "ConstantPad3d",
    "ReflectionPad1d",
    "ReflectionPad2d",
    "ReflectionPad3d",
    "ReplicationPad1d",
    "ReplicationPad2d",
    "ReplicationPad3d",
    "ZeroPad1d",
    "ZeroPad2d",
    "ZeroPad3d",
]

_sextuple = _ntuple(6)


class _PadNd(Module):
    """A padding layer whose mode the class names."""

    __constants__ = ["padding"]
    padding: Any
    _mode: str

    def forward(self, input: Any) -> Any:
        """Pad `input`."""
        return F.pad(input, self.padding, self._mode)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _CircularPadNd(_PadNd):
    """Wraps around; the input's number of dimensions is checked."""

    _mode = "circular"
    _dims: int

    def forward(self, input: Any) -> Any:
        """Pad `input`."""
        self._check_input_dim(input)
        return F.pad(input, self.padding, "circular")

    def _check_input_dim(self, input: Any) -> None:
        low = self._dims + 1
        if input.dim() not in (low, low + 1):
            raise ValueError(f"expected {low}D or {low + 1}D input (got {input.dim()}D input)")


class _ConstantPadNd(Module):
    """Pads with one number."""

    __constants__ = ["padding", "value"]
    value: float
    padding: Any

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def forward(self, input: Any) -> Any:
        """Pad `input`."""
        return F.pad(input, self.padding, "constant", self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class _ReflectionPadNd(_PadNd):
    """Mirrors the input at its border."""

    _mode = "reflect"


class _ReplicationPadNd(_PadNd):
    """Repeats the border."""

    _mode = "replicate"


class CircularPad1d(_CircularPadNd):
    """Pads (N, C, L) or (C, L) with values from the other side.

    Args:
        padding: an int, or (left, right).

    Example:
        >>> import rushlight as rl
        >>> rl.nn.CircularPad1d(1)(rl.zeros(1, 1, 3)).shape
        torch.Size([1, 1, 5])
    """

    _dims = 1

    def __init__(self, padding: Any) -> None:
        super().__init__()
        self.padding = _pair(padding)


class CircularPad2d(_CircularPadNd):
    """Pads (N, C, H, W) or (C, H, W) with values from the other side.

    Args:
        padding: an int, or (left, right, top, bottom).

    Example:
        >>> import rushlight as rl
        >>> rl.nn.CircularPad2d(1)(rl.zeros(1, 1, 3, 3)).shape
        torch.Size([1, 1, 5, 5])
    """

    _dims = 2

    def __init__(self, padding: Any) -> None:
        super().__init__()
        self.padding = _quadruple(padding)


class CircularPad3d(_CircularPadNd):
    """Pads (N, C, D, H, W) or (C, D, H, W) with values from the other side.

    Args:
        padding: an int, or (left, right, top, bottom, front, back).

    Example:
        >>> import rushlight as rl
        >>> rl.nn.CircularPad3d(1)(rl.zeros(1, 1, 3, 3, 3)).shape
        torch.Size([1, 1, 5, 5, 5])
    """

    _dims = 3

    def __init__(self, padding: Any) -> None:
        super().__init__()
        self.padding = _sextuple(padding)


class ConstantPad1d(_ConstantPadNd):
    """Pads (N, C, L) or (C, L) with one number.

    Args:
        padding: an int, or (left, right).
        value: the number.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.ConstantPad1d(1, 3.5)(rl.zeros(1, 1, 3)).shape
        torch.Size([1, 1, 5])
    """

    def __init__(self, padding: Any, value: float) -> None:
        super().__init__(value)
        self.padding = _pair(padding)


class ConstantPad2d(_ConstantPadNd):
    """Pads (N, C, H, W) or (C, H, W) with one number.

    Args:
        padding: an int, or (left, right, top, bottom).
        value: the number.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.ConstantPad2d(1, 3.5)(rl.zeros(1, 1, 3, 3)).shape
        torch.Size([1, 1, 5, 5])
    """

    def __init__(self, padding: Any, value: float) -> None:
        super().__init__(value)
        self.padding = _quadruple(padding)


class ConstantPad3d(_ConstantPadNd):
    """Pads (N, C, D, H, W) or (C, D, H, W) with one number.

    Args:
        padding: an int, or (left, right, top, bottom, front, back).
        value: the number.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.ConstantPad3d(1, 3.5)(rl.zeros(1, 1, 3, 3, 3)).shape
        torch.Size([1, 1, 5, 5, 5])
    """

    def __init__(self, padding: Any, value: float) -> None:
        super().__init__(value)
        self.padding = _sextuple(padding)


class ReflectionPad1d(_ReflectionPadNd):
    """Pads (N, C, L) or (C, L) with its mirror image, the border itself not repeated.

    Args:
        padding: an int, or (left, right).

    Example:
        >>> import rushlight as rl
        >>> rl.nn.ReflectionPad1d(1)(rl.zeros(1, 1, 3)).shape
        torch.Size([1, 1, 5])
    """

    def __init__(self, padding: Any) -> None:
        super().__init__()
        self.padding = _pair(padding)


class ReflectionPad2d(_ReflectionPadNd):
    """Pads (N, C, H, W) or (C, H, W) with its mirror image, the border itself not repeated.

    Args:
        padding: an int, or (left, right, top, bottom).

    Example:
        >>> import rushlight as rl
        >>> rl.nn.ReflectionPad2d(1)(rl.zeros(1, 1, 3, 3)).shape
        torch.Size([1, 1, 5, 5])
    """

    def __init__(self, padding: Any) -> None:
        super().__init__()
        self.padding = _quadruple(padding)


class ReflectionPad3d(_ReflectionPadNd):
    """Pads (N, C, D, H, W) or (C, D, H, W) with its mirror image, the border itself not repeated.

    Args:
        padding: an int, or (left, right, top, bottom, front, back).

    Example:
        >>> import rushlight as rl
        >>> rl.nn.ReflectionPad3d(1)(rl.zeros(1, 1, 3, 3, 3)).shape
        torch.Size([1, 1, 5, 5, 5])
    """

    def __init__(self, padding: Any) -> None:
        super().__init__()
        self.padding = _sextuple(padding)


class ReplicationPad1d(_ReplicationPadNd):
    """Pads (N, C, L) or (C, L) with copies of its border.

    Args:
        padding: an int, or (left, right).

    Example:
        >>> import rushlight as rl
        >>> rl.nn.ReplicationPad1d(1)(rl.zeros(1, 1, 3)).shape
        torch.Size([1, 1, 5])
    """

    def __init__(self, padding: Any) -> None:
        super().__init__()
        self.padding = _pair(padding)


class ReplicationPad2d(_ReplicationPadNd):
    """Pads (N, C, H, W) or (C, H, W) with copies of its border.

    Args:
        padding: an int, or (left, right, top, bottom).

    Example:
        >>> import rushlight as rl
        >>> rl.nn.ReplicationPad2d(1)(rl.zeros(1, 1, 3, 3)).shape
        torch.Size([1, 1, 5, 5])
    """

    def __init__(self, padding: Any) -> None:
        super().__init__()
        self.padding = _quadruple(padding)


class ReplicationPad3d(_ReplicationPadNd):
    """Pads (N, C, D, H, W) or (C, D, H, W) with copies of its border.

    Args:
        padding: an int, or (left, right, top, bottom, front, back).

    Example:
        >>> import rushlight as rl
        >>> rl.nn.ReplicationPad3d(1)(rl.zeros(1, 1, 3, 3, 3)).shape
        torch.Size([1, 1, 5, 5, 5])
    """

    def __init__(self, padding: Any) -> None:
        super().__init__()
        self.padding = _sextuple(padding)


class ZeroPad1d(ConstantPad1d):
    """Pads (N, C, L) or (C, L) with zeros.

    Args:
        padding: an int, or (left, right).

    Example:
        >>> import rushlight as rl
        >>> rl.nn.ZeroPad1d(1)(rl.zeros(1, 1, 3)).shape
        torch.Size([1, 1, 5])
    """

    def __init__(self, padding: Any) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ZeroPad2d(ConstantPad2d):
    """Pads (N, C, H, W) or (C, H, W) with zeros.

    Args:
        padding: an int, or (left, right, top, bottom).

    Example:
        >>> import rushlight as rl
        >>> rl.nn.ZeroPad2d(1)(rl.zeros(1, 1, 3, 3)).shape
        torch.Size([1, 1, 5, 5])
    """

    def __init__(self, padding: Any) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ZeroPad3d(ConstantPad3d):
    """Pads (N, C, D, H, W) or (C, D, H, W) with zeros.

    Args:
        padding: an int, or (left, right, top, bottom, front, back).

    Example:
        >>> import rushlight as rl
        >>> rl.nn.ZeroPad3d(1)(rl.zeros(1, 1, 3, 3, 3)).shape
        torch.Size([1, 1, 5, 5, 5])
    """

    def __init__(self, padding: Any) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"
