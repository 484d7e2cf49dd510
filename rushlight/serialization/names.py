"""The names under which rushlight's classes and functions travel in files: PyTorch's.

In: a module path and a name. Out: the same thing's path on the other side. ``rushlight.X`` is
``torch.X`` and ``rushlight.vision.X`` is ``torchvision.X``; the tables hold what differs.
"""

from __future__ import annotations

from typing import Any

__all__ = ["STORAGE_DTYPES", "home", "ours", "theirs"]

# Names of typed storages in files, and the dtypes of their elements.
STORAGE_DTYPES = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
    "ComplexFloatStorage": "complex64",
    "ComplexDoubleStorage": "complex128",
}

# Modules whose contents PyTorch keeps elsewhere: ours -> theirs, longest prefix first.
_MODULES_OUT = {
    "rushlight._tensor.pickling": "torch._utils",
    "rushlight.nn.functional": "torch.nn.functional",  # one module there, a package here
    "rushlight.optim._lr_base": "torch.optim.lr_scheduler",
    "rushlight.optim._lr_cycles": "torch.optim.lr_scheduler",
    "rushlight.vision.transforms._params": "torchvision.transforms.functional",
    "rushlight.vision.transforms._random": "torchvision.transforms.transforms",
    "rushlight.vision": "torchvision",
    "rushlight.tensorboard": "torch.utils.tensorboard",
    "rushlight.devices": "torch",
    "rushlight.dtypes": "torch",
    "rushlight.ir": "torch",
    "rushlight.runtime.random": "torch._C",
    "rushlight.runtime": "torch",
    "rushlight.dispatch": "torch",
    "rushlight._tensor": "torch",
    "rushlight": "torch",
}
# Packages here that are one module there: everything below them takes their name.
_COLLAPSED = (
    "rushlight.nn.functional",
    "rushlight.devices",
    "rushlight.dtypes",
    "rushlight.ir",
    "rushlight.runtime.random",
    "rushlight.runtime",
    "rushlight.dispatch",
    "rushlight._tensor",
)
_OBJECTS_OUT = {
    ("rushlight", "Generator"): ("torch._C", "Generator"),
    ("rushlight._tensor.pickling", "_rebuild_from_type_v2"): (
        "torch._tensor",
        "_rebuild_from_type_v2",
    ),
    ("rushlight.runtime.storage", "Storage"): ("torch.storage", "UntypedStorage"),
}
_MODULES_IN = {
    "torch._C._nn": "rushlight.nn.functional",
    "torch._C": "rushlight",
    "torch.tensor": "rushlight._tensor",  # before PyTorch 1.8
    "torchvision": "rushlight.vision",
    "torch": "rushlight",
}
_OBJECTS_IN = {
    ("torch._tensor", "_rebuild_from_type_v2"): ("rushlight._utils", "_rebuild_from_type_v2"),
    ("torch._tensor", "Tensor"): ("rushlight", "Tensor"),
    ("torch.tensor", "Tensor"): ("rushlight", "Tensor"),
    ("torch.nn", "Parameter"): ("rushlight.nn.parameter", "Parameter"),
}


def _swap(module: str, table: dict[str, str]) -> str:
    prefix = module
    while prefix:
        if prefix in table:
            return table[prefix] + module[len(prefix) :]
        prefix = prefix.rpartition(".")[0]
    return module


def home(module: str) -> bool:
    """Whether a module path is rushlight's own."""
    return module == "rushlight" or module.startswith("rushlight.")


def theirs(module: str, name: str) -> tuple[str, str]:
    """The path and name that a file gives to something of rushlight's.

    Example:
        >>> theirs("rushlight.nn.modules.conv", "Conv2d")
        ('torch.nn.modules.conv', 'Conv2d')
    """
    if not home(module):
        return module, name
    if (module, name) in _OBJECTS_OUT:
        return _OBJECTS_OUT[module, name]
    if module in _MODULES_OUT:
        return _MODULES_OUT[module], name
    for prefix in _COLLAPSED:
        if module.startswith(prefix + "."):
            return _MODULES_OUT[prefix], name
    return _swap(module, _MODULES_OUT), name


def ours(module: str, name: str) -> tuple[str, str]:
    """Where rushlight keeps what a file names; other packages' names stay as they are.

    Example:
        >>> ours("torchvision.models.vgg", "VGG")
        ('rushlight.vision.models.vgg', 'VGG')
    """
    if module.partition(".")[0] not in ("torch", "torchvision"):
        return module, name
    if (module, name) in _OBJECTS_IN:
        return _OBJECTS_IN[module, name]
    return _swap(module, _MODULES_IN), name


def public_name(module: Any, name: str) -> str:
    """How messages write a global: without the module for builtins."""
    return name if module == "builtins" else f"{module}.{name}"
