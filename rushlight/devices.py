"""Devices: the device object and which devices this machine has.

``cpu`` computes, ``meta`` knows shapes alone. A device that this build or machine lacks may be
named (scripts choose with ``cuda.is_available()``), but placing a tensor there raises.
"""

from __future__ import annotations

import re
import threading
from typing import Any

from rushlight.naming import PublicType

__all__ = ["device"]

_KNOWN = (
    "cpu, cuda, ipu, xpu, mkldnn, opengl, opencl, ideep, hip, ve, fpga, maia, xla, lazy, vulkan, "
    "mps, meta, hpu, mtia, privateuseone"
)
_KINDS = frozenset(_KNOWN.split(", "))
_PATTERN = re.compile(r"([a-z_]+)(?::(0|[1-9]\d*))?\Z")
_INTERNED: dict[tuple[str, int | None], device] = {}

_ABSENT: Any = object()


class device(metaclass=PublicType):
    """Where a tensor lives: a kind such as ``cpu`` or ``cuda`` and, optionally, an index.

    Args:
        type: ``"cpu"``, ``"cuda:0"``, another device, or an index, which means an accelerator.
        index: the number of the device among those of its kind.

    Example:
        >>> device("cuda", 1)
        device(type='cuda', index=1)
    """

    __slots__ = ("index", "type")
    type: str
    index: int | None

    def __new__(cls, type: Any = _ABSENT, index: int | None = None) -> device:
        if isinstance(type, device):
            return type
        if isinstance(type, bool) or not isinstance(type, (str, int)):
            given = "" if type is _ABSENT else _class_name(type)
            raise TypeError(
                f"device() received an invalid combination of arguments - got ({given}), but "
                "expected one of:\n * (torch.device device)\n * (str type, int index = -1)\n"
            )
        if index is not None and not isinstance(index, int):
            raise TypeError(
                f"device(): argument 'index' (position 2) must be int, not {_class_name(index)}"
            )
        if type == "":
            raise RuntimeError("Device string must not be empty")
        if isinstance(type, int):
            kind, index = "cuda", type
        else:
            match = _PATTERN.match(type)
            if match is None:
                raise RuntimeError(f"Invalid device string: '{type}'")
            kind = match[1]
            if kind not in _KINDS:
                raise RuntimeError(
                    f"Expected one of {_KNOWN} device type at start of device string: {kind}"
                )
            if match[2] is not None:
                if index is not None:
                    raise RuntimeError(
                        f"type (string) must not include an index because index was passed "
                        f"explicitly: {type}"
                    )
                index = int(match[2])
        found = _INTERNED.get((kind, index))
        if found is None:
            found = object.__new__(cls)
            found.type, found.index = kind, index
            _INTERNED[kind, index] = found
        return found

    def __repr__(self) -> str:
        if self.index is None:
            return f"device(type='{self.type}')"
        return f"device(type='{self.type}', index={self.index})"

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __reduce__(self) -> tuple[Any, ...]:
        return (device, (self.type,) if self.index is None else (self.type, self.index))

    def __copy__(self) -> device:
        return self

    def __deepcopy__(self, memo: Any) -> device:
        return self

    def __enter__(self) -> device:  # a default device for factory functions
        _Defaults.stack = (*_Defaults.stack, usable(self))
        return self

    def __exit__(self, *exc: object) -> None:
        _Defaults.stack = _Defaults.stack[:-1]


device.__module__ = "rushlight"


def _class_name(value: object) -> str:
    return type(value).__name__


class _ThreadDefaults(threading.local):
    """The devices that ``with device:`` made the default on this thread, innermost last."""

    stack: tuple[device, ...] = ()


_Defaults = _ThreadDefaults()
CPU = device("cpu")
META = device("meta")


def usable(wanted: device) -> device:
    """The device itself if tensors can live there.

    Raises:
        AssertionError, RuntimeError: with PyTorch's first line if this machine lacks it.
    """
    if wanted is CPU or wanted is META:
        return wanted
    if wanted.type in ("cpu", "meta"):
        return CPU if wanted.type == "cpu" else META
    if wanted.type == "cuda":
        error: Exception = AssertionError("Torch not compiled with CUDA enabled")
    elif wanted.type == "mps":
        error = RuntimeError("PyTorch is not linked with support for mps devices")
    else:
        error = RuntimeError(f"PyTorch is not linked with support for {wanted.type} devices")
    error.add_note(
        f"this machine offers: cpu. Choose the device by what is there: "
        f"device = '{wanted.type}' if torch.{wanted.type}.is_available() else 'cpu'"
    )
    raise error


class _Global:
    """The default device of the process."""

    default: device = CPU


def default_device() -> device:
    """Where factory functions put tensors if no device is given."""
    stack = _Defaults.stack
    return stack[-1] if stack else _Global.default


def set_default_device(value: device | None) -> None:
    """Sets where factory functions put tensors if no device is given."""
    _Global.default = CPU if value is None else usable(value)
