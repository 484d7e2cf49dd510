"""Gradient clipping: by the norm of all gradients together, or value by value.

In: parameters with gradients.  Out: the same, their gradients scaled or limited in place.
"""

from __future__ import annotations

import types
import warnings
from typing import Any

import rushlight as rl
from rushlight.dispatch.tensor import Tensor

__all__ = [
    "clip_grad_norm",
    "clip_grad_norm_",
    "clip_grad_value_",
    "clip_grads_with_norm_",
    "get_total_norm",
]


def _as_list(tensors: Any) -> list[Any]:
    return [tensors] if isinstance(tensors, Tensor) else list(tensors)


def _gradients(parameters: Any) -> list[Any]:
    return [p.grad for p in _as_list(parameters) if p.grad is not None]


def get_total_norm(
    tensors: Any,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Any:
    """The norm of all tensors taken as one vector.

    Args:
        tensors: a tensor or an iterable of them.
        norm_type: the p of the norm; may be `inf`. Default: 2.
        error_if_nonfinite: raise when it is not finite. Default: `False`.
        foreach: accepted; there is one way to do it here.

    Raises:
        RuntimeError: the norm is nan or infinite, with `error_if_nonfinite`.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.utils.get_total_norm([rl.tensor([3.0]), rl.tensor([4.0])])
        tensor(5.)
    """
    items = _as_list(tensors)
    norm_type = float(norm_type)
    if not items:
        return rl.tensor(0.0)
    with rl.no_grad():
        first = items[0].device
        norms = [rl.linalg.vector_norm(item, norm_type).to(first) for item in items]
        total = rl.linalg.vector_norm(rl.stack(norms), norm_type)
        if error_if_nonfinite and not bool(total.isfinite()):
            raise RuntimeError(
                f"The total norm of order {norm_type} for gradients from "
                "`parameters` is non-finite, so it cannot be clipped. To disable "
                "this error and scale the gradients by the non-finite norm anyway, "
                "set `error_if_nonfinite=False`"
            )
    return total


def clip_grads_with_norm_(
    parameters: Any, max_norm: float, total_norm: Any, foreach: bool | None = None
) -> None:
    """Scale gradients by max_norm / (total_norm + 1e-6), where that is below 1.

    Args:
        parameters: a parameter or an iterable of them.
        max_norm: the norm they are to have at most.
        total_norm: the norm they have, from `get_total_norm`.
        foreach: accepted; there is one way to do it here.
    """
    grads = _gradients(parameters)
    if not grads:
        return
    with rl.no_grad():
        # No branch on the value: multiplying by 1 costs less than waiting for it.
        scale = (float(max_norm) / (total_norm + 1e-6)).clamp(max=1.0)
        for grad in grads:
            grad.mul_(scale.to(grad.device))


def clip_grad_norm_(
    parameters: Any,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Any:
    """Scale gradients in place so that their joint norm is at most `max_norm`.

    Args:
        parameters: a parameter or an iterable of them; those without gradient do not count.
        max_norm: the largest norm.
        norm_type: the p of the norm; may be `inf`. Default: 2.
        error_if_nonfinite: raise when the norm is nan or infinite. Default: `False`.
        foreach: accepted; there is one way to do it here.

    Returns:
        The norm before clipping.

    Example:
        >>> import rushlight as rl
        >>> p = rl.nn.Parameter(rl.zeros(1))
        >>> p.grad = rl.tensor([4.0])
        >>> rl.nn.utils.clip_grad_norm_([p], 1.0)
        tensor(4.)
        >>> p.grad
        tensor([1.0000])
    """
    is_generator = isinstance(parameters, types.GeneratorType)
    items = _as_list(parameters)
    if is_generator and not items:
        warnings.warn(
            "`parameters` is an empty generator, no gradient clipping will occur.", stacklevel=2
        )
    total = get_total_norm(_gradients(items), norm_type, error_if_nonfinite, foreach)
    clip_grads_with_norm_(items, max_norm, total, foreach)
    return total


def clip_grad_norm(
    parameters: Any,
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Any:
    """Deprecated name of `clip_grad_norm_`."""
    warnings.warn(
        "`torch.nn.utils.clip_grad_norm` is now deprecated "
        "in favor of `torch.nn.utils.clip_grad_norm_`.",
        FutureWarning,
        stacklevel=2,
    )
    return clip_grad_norm_(parameters, max_norm, norm_type, error_if_nonfinite, foreach)


def clip_grad_value_(parameters: Any, clip_value: float, foreach: bool | None = None) -> None:
    """Limit every gradient element to [-clip_value, clip_value], in place.

    Args:
        parameters: a parameter or an iterable of them.
        clip_value: the largest magnitude.
        foreach: accepted; there is one way to do it here.

    Example:
        >>> import rushlight as rl
        >>> p = rl.nn.Parameter(rl.zeros(2))
        >>> p.grad = rl.tensor([4.0, -0.5])
        >>> rl.nn.utils.clip_grad_value_(p, 1.0)
        >>> p.grad
        tensor([ 1.0000, -0.5000])
    """
    limit = float(clip_value)
    with rl.no_grad():
        for grad in _gradients(parameters):
            grad.clamp_(min=-limit, max=limit)
