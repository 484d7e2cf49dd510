"""`torch.Stream`, `torch.Event`, `get_device_module`: work queues of whatever device there is.

The CPU has one queue, in which all work is done when a call returns: streams and events can be
made and waited for, and PyTorch's refusals of what the CPU has no events for are raised.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, NoReturn

from rushlight.devices import device as Device
from rushlight.devices import usable

__all__ = ["Event", "Stream", "get_device_module"]


def _host(given: Any) -> Device:
    """The device asked for, which must be the CPU."""
    if given is None:
        return Device("cpu")
    if isinstance(given, int):
        raise RuntimeError("Cannot access accelerator device when none is available.")
    kind = given if isinstance(given, Device) else Device(given)
    if kind.type != "cpu":
        raise RuntimeError(f"PyTorch is not linked with support for {kind.type} devices")
    return usable(kind)


def _no_events() -> NoReturn:
    raise RuntimeError("cpu backend doesn't support events.")


class Stream:
    """A queue of work on a device.

    Args:
        device: the CPU, by default.
        priority: no effect; the CPU has one queue.

    Example:
        >>> import rushlight as torch
        >>> torch.Stream().query()
        True
    """

    device_index = -1
    device_type = 0
    stream_id = 0

    def __init__(self, device: Any = None, *, priority: int = 0, **kwargs: Any) -> None:
        self.device = _host(device)

    def query(self) -> bool:
        """Whether all work is done: always."""
        return True

    def synchronize(self) -> None:
        """Waits for the work, which is done."""

    def wait_event(self, event: Event) -> None:
        """Makes later work wait for an event, which is past."""

    def wait_stream(self, stream: Stream) -> None:
        """Makes later work wait for another stream; the CPU has no events to do it with."""
        _no_events()

    def record_event(self, event: Event | None = None) -> NoReturn:
        """A new event at this point; the CPU has none."""
        _no_events()

    def is_capturing(self) -> bool:
        """Whether work is being recorded for replay: never."""
        return False

    @property
    def native_handle(self) -> NoReturn:
        """The driver's handle; there is no driver."""
        raise RuntimeError("Backend doesn't support getting stream native handle.")

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *exc: object) -> None:
        pass

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stream)

    def __hash__(self) -> int:
        return hash((self.device, self.stream_id))

    def __repr__(self) -> str:
        return "torch.Stream device_type=cpu, device_index=-1, stream_id=0"


class Event:
    """A point in a stream.

    Args:
        device: the CPU, by default.
        enable_timing, blocking, interprocess: no effect on the CPU.

    Example:
        >>> import rushlight as torch
        >>> torch.Event().query()
        True
    """

    event_id = 0

    def __init__(
        self,
        device: Any = None,
        *,
        enable_timing: bool = False,
        blocking: bool = False,
        interprocess: bool = False,
    ) -> None:
        self.device = _host(device)

    def record(self, stream: Stream | None = None) -> NoReturn:
        """Puts the event at the stream's end; the CPU has no events."""
        _no_events()

    def wait(self, stream: Stream | None = None) -> None:
        """Makes a stream's later work wait for the event, which is past."""

    def query(self) -> bool:
        """Whether the event is past: always."""
        return True

    def synchronize(self) -> None:
        """Waits for the event, which is past."""

    def elapsed_time(self, end_event: Event) -> float:
        """Milliseconds between two recorded events; none can be recorded on the CPU."""
        raise ValueError("Both events must be recorded before calculating elapsed time.")

    def ipc_handle(self) -> NoReturn:
        """A handle for another process; PyTorch has none either."""
        raise NotImplementedError(
            "torch.Event ipc is not supported yet, please open an issue if you need this!"
        )

    def __repr__(self) -> str:
        return "torch.Event device_type=cpu, device_index=-1, event_flag=0, event_id=0"


def get_device_module(device: Any = None) -> Any:
    """The module of a kind of device, such as `torch.cuda`; of the CPU if none is given.

    Raises:
        RuntimeError: there is no such module.

    Example:
        >>> import rushlight as torch
        >>> torch.get_device_module("cpu").is_available()
        True
    """
    if isinstance(device, (str, Device)):
        kind = Device(device).type
    elif device is None:
        kind = "cpu"
    else:
        raise RuntimeError(f"Invalid value of device '{device}', expect torch.device, str, or None")
    package = __name__.partition(".")[0]
    try:
        return import_module(f"{package}.{kind}")
    except ModuleNotFoundError:
        raise RuntimeError(
            f"Device '{kind}' does not have a corresponding module registered as 'torch.{kind}'."
        ) from None
