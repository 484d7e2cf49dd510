"""skip_init: make a module without drawing its parameters.

In: a module class and its arguments.  Out: the module, with memory that is not initialised.
"""

from __future__ import annotations

import inspect
from typing import Any

from rushlight.nn.modules.module import Module

__all__ = ["skip_init"]


def skip_init(module_cls: Any, *args: Any, **kwargs: Any) -> Any:
    """Make a module on the meta device, and give it memory on the wanted one.

    Args:
        module_cls: a Module class that takes a `device`.
        *args: its arguments.
        **kwargs: its keyword arguments; `device` is where the memory will be.

    Raises:
        RuntimeError: no Module, or no `device` argument.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.utils.skip_init(rl.nn.Linear, 3, 2).weight.shape
        torch.Size([2, 3])
    """
    if not issubclass(module_cls, Module):
        raise RuntimeError(f"Expected a Module; got {module_cls}")
    if "device" not in inspect.signature(module_cls).parameters:
        raise RuntimeError("Module must support a 'device' arg to skip initialization")
    device = kwargs.pop("device", "cpu")
    return module_cls(*args, **kwargs, device="meta").to_empty(device=device)
