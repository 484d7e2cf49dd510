"""Reading the arguments of Module's methods, and naming values in their messages.

In: what a caller passed.  Out: a normal form, or the name that PyTorch's messages give a type.
"""

from __future__ import annotations

from typing import Any

import rushlight as rl
from rushlight.dispatch.tensor import Tensor


def _parse_to(
    *args: Any,
    device: Any = None,
    dtype: Any = None,
    non_blocking: bool = False,
    copy: bool = False,
    memory_format: Any = None,
) -> tuple[Any, Any, bool, Any]:
    """The arguments of `to`, in any of its forms: device, dtype, non_blocking, memory format."""
    rest = list(args)
    if rest and isinstance(rest[0], Tensor):
        like = rest.pop(0)
        device, dtype = like.device, like.dtype
    elif rest and isinstance(rest[0], rl.dtype):
        dtype = rest.pop(0)
    elif rest:
        device = rest.pop(0)
        if rest and (rest[0] is None or isinstance(rest[0], rl.dtype)):
            dtype = rest.pop(0)
    if rest:
        non_blocking = rest.pop(0)
    if device is not None:
        device = rl.device(device)
    return device, dtype, non_blocking, memory_format


def _typename(value: Any) -> str:
    """The name of a value's type as messages show it: `torch.FloatTensor`, `list`, ..."""
    if isinstance(value, Tensor):
        return str(value.type())
    cls = value if isinstance(value, type) else type(value)
    module = cls.__module__
    if module in ("builtins", "__builtin__"):
        return cls.__qualname__
    if module.startswith("rushlight"):
        module = "torch" + module.removeprefix("rushlight")
    return f"{module}.{cls.__qualname__}"


def _is_tensor_like(value: Any) -> bool:
    return isinstance(value, Tensor) or hasattr(value, "__torch_function__")
