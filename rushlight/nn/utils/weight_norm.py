"""Weight normalisation by a forward pre-hook: w = g * v / |v| (the older of the two forms).

In: a module with a weight.  Out: the same with `weight_g` and `weight_v` trained instead.
Source: Salimans and Kingma, "Weight normalization", 2016.
"""

from __future__ import annotations

import warnings
from typing import Any

from rushlight.nn.parameter import Parameter, UninitializedParameter

__all__ = ["WeightNorm", "remove_weight_norm", "weight_norm"]


def norm_except_dim(v: Any, power: float, dim: int) -> Any:
    """The norm over all dimensions but `dim`, which keep size 1; over all of them for -1."""
    if dim == -1:
        return v.norm(power)
    others = [d for d in range(v.dim()) if d != dim]
    return v.norm(power, others, keepdim=True) if others else v.abs()


def scaled(v: Any, g: Any, dim: int) -> Any:
    """g * v / |v|."""
    return v * (g / norm_except_dim(v, 2, dim))


class WeightNorm:
    """The hook that computes the weight before each forward.

    Args:
        name: of the parameter.
        dim: the dimension whose slices keep a norm of their own; None for one norm in all.
    """

    name: str
    dim: int

    def __init__(self, name: str, dim: int | None) -> None:
        self.name = name
        self.dim = -1 if dim is None else dim

    def compute_weight(self, module: Any) -> Any:
        """The weight from its two parts."""
        v = getattr(module, self.name + "_v")
        return scaled(v, getattr(module, self.name + "_g"), self.dim)

    @staticmethod
    def apply(module: Any, name: str, dim: int | None) -> WeightNorm:
        """Split the parameter in two, and hang the hook on the module."""
        warnings.warn(
            "`torch.nn.utils.weight_norm` is deprecated "
            "in favor of `torch.nn.utils.parametrizations.weight_norm`.",
            FutureWarning,
            stacklevel=3,
        )
        for hook in module._forward_pre_hooks.values():
            if isinstance(hook, WeightNorm) and hook.name == name:
                raise RuntimeError(
                    f"Cannot register two weight_norm hooks on the same parameter {name}"
                )
        fn = WeightNorm(name, dim)
        weight = getattr(module, name)
        if isinstance(weight, UninitializedParameter):
            raise ValueError(
                "The module passed to `WeightNorm` can't have uninitialized parameters. "
                "Make sure to run the dummy forward before applying weight normalization"
            )
        del module._parameters[name]
        module.register_parameter(name + "_g", Parameter(norm_except_dim(weight, 2, fn.dim).data))
        module.register_parameter(name + "_v", Parameter(weight.data))
        setattr(module, name, fn.compute_weight(module))
        module.register_forward_pre_hook(fn)
        return fn

    def remove(self, module: Any) -> None:
        """Make the weight a parameter again."""
        weight = self.compute_weight(module)
        delattr(module, self.name)
        del module._parameters[self.name + "_g"]
        del module._parameters[self.name + "_v"]
        setattr(module, self.name, Parameter(weight.data))

    def __call__(self, module: Any, inputs: Any) -> None:
        setattr(module, self.name, self.compute_weight(module))


def weight_norm(module: Any, name: str = "weight", dim: int | None = 0) -> Any:
    """Deprecated form of `parametrizations.weight_norm`; returns the module.

    Args:
        module: with the parameter `name`.
        name: default: `"weight"`.
        dim: the dimension whose slices keep a norm of their own. Default: 0.

    Example:
        >>> import warnings, rushlight as rl
        >>> with warnings.catch_warnings():
        ...     warnings.simplefilter("ignore")
        ...     layer = rl.nn.utils.weight_norm(rl.nn.Linear(3, 2))
        >>> [name for name, _ in layer.named_parameters()]
        ['bias', 'weight_g', 'weight_v']
    """
    WeightNorm.apply(module, name, dim)
    return module


def remove_weight_norm(module: Any, name: str = "weight") -> Any:
    """Undo `weight_norm`; ValueError when there is none."""
    for key, hook in module._forward_pre_hooks.items():
        if isinstance(hook, WeightNorm) and hook.name == name:
            hook.remove(module)
            del module._forward_pre_hooks[key]
            return module
    raise ValueError(f"weight_norm of '{name}' not found in {module}")
