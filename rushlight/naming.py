"""How classes show themselves: by the names under which users know them, `<class 'torch.Size'>`.

In: a class made with the metaclass `PublicType`.  Out: its repr.
"""

from __future__ import annotations

__all__ = ["PublicType", "public_module"]


def public_module(module: str) -> str:
    """The module's name as users know it.

    Example:
        >>> public_module("rushlight.nn.modules.conv")
        'torch.nn.modules.conv'
    """
    if module.startswith("rushlight.vision"):
        return "torchvision" + module.removeprefix("rushlight.vision")
    if module.startswith("rushlight"):
        return "torch" + module.removeprefix("rushlight")
    return module


class PublicType(type):
    """The metaclass of classes whose repr names PyTorch's class."""

    def __repr__(cls) -> str:
        if cls.__module__ == "builtins":
            return f"<class '{cls.__qualname__}'>"
        return f"<class '{public_module(cls.__module__)}.{cls.__qualname__}'>"
