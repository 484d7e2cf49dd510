"""`torch.cpu`: the CPU under the names that accelerators' modules have."""

from __future__ import annotations

from typing import Any

from rushlight.streams import Event, Stream

__all__ = [
    "Event",
    "Stream",
    "StreamContext",
    "current_device",
    "current_stream",
    "device_count",
    "is_available",
    "is_initialized",
    "set_device",
    "stream",
    "synchronize",
]

_STREAM = Stream()


def is_available() -> bool:
    """True: there is a CPU."""
    return True


def is_initialized() -> bool:
    """True: it needs no preparation."""
    return True


def device_count() -> int:
    """1: the CPU is one device.

    Example:
        >>> import rushlight as torch
        >>> torch.cpu.device_count()
        1
    """
    return 1


def current_device() -> str:
    """``"cpu"``."""
    return "cpu"


def set_device(device: Any) -> None:
    """Does nothing; there is one."""


def synchronize(device: Any = None) -> None:
    """Waits for the work, which is done when a call returns."""


def current_stream(device: Any = None) -> Stream:
    """The queue of the CPU."""
    return _STREAM


class StreamContext:
    """Context that selects a stream; there is one.

    Args:
        stream: a Stream.
    """

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exc: object) -> None:
        pass


def stream(stream: Stream) -> StreamContext:
    """A `StreamContext`."""
    return StreamContext(stream)
