"""CUDA as scripts ask for it: this build computes on the CPU, and says so.

``is_available()`` is false and ``device_count()`` 0; memory figures are 0; what needs a GPU raises
PyTorch's error with a note that says what this machine has.
"""

from __future__ import annotations

from typing import Any, NoReturn

__all__ = [
    "CUDAGraph",
    "Event",
    "Stream",
    "current_device",
    "current_stream",
    "default_stream",
    "device",
    "device_count",
    "empty_cache",
    "get_arch_list",
    "get_device_capability",
    "get_device_name",
    "get_device_properties",
    "get_rng_state",
    "graph",
    "init",
    "initial_seed",
    "ipc_collect",
    "is_available",
    "is_bf16_supported",
    "is_initialized",
    "manual_seed",
    "manual_seed_all",
    "max_memory_allocated",
    "max_memory_reserved",
    "mem_get_info",
    "memory_allocated",
    "memory_reserved",
    "memory_summary",
    "reset_peak_memory_stats",
    "seed",
    "seed_all",
    "set_device",
    "set_rng_state",
    "stream",
    "synchronize",
]

__path__: list[str] = []  # a module that `torch.cuda.amp` can be imported from


def _refuse() -> NoReturn:
    error = AssertionError("Torch not compiled with CUDA enabled")
    error.add_note("this machine offers: cpu; ask torch.cuda.is_available() first")
    raise error


# What is there to ask


def is_available() -> bool:
    """Whether tensors can live on a CUDA device.

    Example:
        >>> import rushlight as torch
        >>> "cuda" if torch.cuda.is_available() else "cpu"
        'cpu'
    """
    return False


def is_initialized() -> bool:
    """Whether a CUDA device was used."""
    return False


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """Whether the CUDA device computes in bfloat16."""
    return False


def device_count() -> int:
    """How many CUDA devices there are."""
    return 0


def get_arch_list() -> list[str]:
    """The GPU architectures that this build has code for."""
    return []


def memory_allocated(device: Any = None) -> int:
    """Bytes that tensors occupy on a CUDA device."""
    return 0


def max_memory_allocated(device: Any = None) -> int:
    """The most bytes that tensors occupied on a CUDA device."""
    return 0


def memory_reserved(device: Any = None) -> int:
    """Bytes that the allocator holds on a CUDA device."""
    return 0


def max_memory_reserved(device: Any = None) -> int:
    """The most bytes that the allocator held on a CUDA device."""
    return 0


def reset_peak_memory_stats(device: Any = None) -> None:
    """Starts the peak figures anew."""


def empty_cache() -> None:
    """Gives unused memory of CUDA devices back; there is none."""


def ipc_collect() -> None:
    """Frees memory shared with other processes; there is none."""


def manual_seed(seed: int) -> None:
    """Seeds the current CUDA device, if there is one."""


def manual_seed_all(seed: int) -> None:
    """Seeds all CUDA devices, of which there are none."""


# What needs a device


def init() -> None:
    """Prepares CUDA.

    Raises:
        AssertionError: always: there is no CUDA device.
    """
    _refuse()


def _needs_device(name: str, what: str) -> Any:
    def f(*args: Any, **kwargs: Any) -> NoReturn:
        _refuse()

    f.__name__ = f.__qualname__ = name
    f.__doc__ = f"{what}\n\nRaises:\n    AssertionError: always: there is no CUDA device."
    return f


current_device = _needs_device("current_device", "The index of the current CUDA device.")
current_stream = _needs_device("current_stream", "The stream on which a device works.")
default_stream = _needs_device("default_stream", "The default stream of a device.")
get_device_capability = _needs_device("get_device_capability", "A device's compute capability.")
get_device_name = _needs_device("get_device_name", "The name of a CUDA device.")
get_device_properties = _needs_device("get_device_properties", "A device's properties.")
get_rng_state = _needs_device("get_rng_state", "The state of a device's random generator.")
initial_seed = _needs_device("initial_seed", "The seed of the current device's generator.")
mem_get_info = _needs_device("mem_get_info", "Free and total bytes of a device.")
memory_summary = _needs_device("memory_summary", "A table of a device's memory.")
seed = _needs_device("seed", "Seeds the current device with a number nobody can foresee.")
seed_all = _needs_device("seed_all", "Seeds all devices with a number nobody can foresee.")
set_device = _needs_device("set_device", "Makes a device the current one.")
set_rng_state = _needs_device("set_rng_state", "Sets the state of a device's generator.")
synchronize = _needs_device("synchronize", "Waits until a device has done its work.")


class _NeedsDevice:
    """A class whose instances need a CUDA device."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        _refuse()


class Stream(_NeedsDevice):
    """A queue of work on a CUDA device; making one raises, there is no device."""


class Event(_NeedsDevice):
    """A point in a stream; making one raises, there is no device."""


class CUDAGraph(_NeedsDevice):
    """Recorded work of a CUDA device; making one raises, there is no device."""


class graph(_NeedsDevice):
    """Context that records a CUDAGraph; making one raises, there is no device."""


class stream:
    """Context that selects a stream; ``None`` selects nothing, as in PyTorch.

    Args:
        stream: a Stream, or None.
    """

    def __init__(self, stream: Any) -> None:
        if stream is not None:
            _refuse()

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exc: object) -> None:
        pass


class device:
    """Context that selects a CUDA device; ``None`` or a negative index selects nothing.

    Args:
        device: a device, an index, or None.
    """

    def __init__(self, device: Any) -> None:
        index = getattr(device, "index", device)
        if device is not None and not (isinstance(index, int) and index < 0):
            _refuse()

    def __enter__(self) -> None:
        pass

    def __exit__(self, *exc: object) -> None:
        pass


def __getattr__(name: str) -> Any:
    if name == "amp":  # torch.cuda.amp, older than torch.amp
        from importlib import import_module

        return import_module("rushlight.amp.cuda")
    import sys

    from rushlight.missing import missing_attribute

    raise missing_attribute(sys.modules[__name__], name)
