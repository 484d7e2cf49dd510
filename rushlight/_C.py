"""The few names that scripts take from PyTorch's compiled module, `torch._C`."""

from __future__ import annotations

from rushlight._tensor.random import Generator
from rushlight._tensor.subclassing import _disabled_torch_function_impl
from rushlight.dispatch.overrides import DisableTorchFunctionSubclass
from rushlight.ir.meta import Size

DisableTorchFunction = DisableTorchFunctionSubclass

__all__ = [
    "DisableTorchFunction",
    "DisableTorchFunctionSubclass",
    "Generator",
    "Size",
    "_disabled_torch_function_impl",
]
