"""Parameters as one flat vector, and back.

In: parameters, or a vector with as many elements.  Out: the other of the two.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import rushlight as rl
from rushlight.dispatch.tensor import Tensor

__all__ = ["parameters_to_vector", "vector_to_parameters"]


def _check_devices(parameters: list[Any]) -> None:
    places = {param.get_device() for param in parameters}
    if len(places) > 1:
        raise TypeError(
            "Found two parameters on different devices, this is currently not supported."
        )


def parameters_to_vector(parameters: Iterable[Any]) -> Any:
    """All parameters flattened and joined, in order.

    Raises:
        TypeError: they lie on different devices.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.utils.parameters_to_vector(rl.nn.Linear(3, 2).parameters()).shape
        torch.Size([8])
    """
    items = list(parameters)
    _check_devices(items)
    return rl.cat([param.view(-1) for param in items])


def vector_to_parameters(vec: Any, parameters: Iterable[Any]) -> None:
    """Let each parameter be a slice of `vec`, in order; they share its memory.

    Raises:
        TypeError: `vec` is no tensor, or the parameters lie on different devices.
    """
    if not isinstance(vec, Tensor):
        from rushlight.nn.modules._arguments import _typename

        raise TypeError(f"expected torch.Tensor, but got: {_typename(vec)}")
    items = list(parameters)
    _check_devices(items)
    start = 0
    for param in items:
        stop = start + param.numel()
        param.data = vec[start:stop].view_as(param).data
        start = stop
