"""`torch.nn`: modules, parameters, initialisation and functions for neural networks.

In: settings and tensors.  Out: layers that keep parameters and compute.  `nn.utils` and
`nn.parallel` are loaded when first used.
"""

from __future__ import annotations

import importlib
from typing import Any

from . import functional, init, modules, parameter
from .modules import *  # noqa: F403
from .modules import __all__ as _module_names
from .parameter import Buffer, Parameter, UninitializedBuffer, UninitializedParameter

__all__ = [
    *_module_names,
    "Buffer",
    "DataParallel",  # noqa: F405 - by __getattr__
    "Parameter",
    "UninitializedBuffer",
    "UninitializedParameter",
    "factory_kwargs",
    "functional",
    "init",
    "modules",
    "parallel",  # noqa: F405
    "parameter",
    "utils",  # noqa: F405
]


def factory_kwargs(kwargs: dict[str, Any] | None) -> dict[str, Any]:
    """The `device`, `dtype` and `memory_format` among a module's keyword arguments.

    Args:
        kwargs: keyword arguments; those inside a `"factory_kwargs"` entry count too.

    Raises:
        TypeError: another keyword, or one that is given twice.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.factory_kwargs({"dtype": rl.float64})
        {'dtype': torch.float64}
    """
    if kwargs is None:
        return {}
    simple = {"device", "dtype", "memory_format"}
    expected = simple | {"factory_kwargs"}
    if not kwargs.keys() <= expected:
        raise TypeError(f"unexpected kwargs {kwargs.keys() - expected}")
    found = dict(kwargs.get("factory_kwargs", {}))
    for name in simple:
        if name in kwargs:
            if name in found:
                raise TypeError(f"{name} specified twice, in **kwargs and in factory_kwargs")
            found[name] = kwargs[name]
    return found


_LAZY = ("utils", "parallel")


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return importlib.import_module(f"{__name__}.{name}")
    if name == "DataParallel":
        return importlib.import_module(f"{__name__}.parallel").DataParallel
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
