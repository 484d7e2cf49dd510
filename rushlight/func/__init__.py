"""Composable function transforms: ``torch.func``.

``grad``, ``vjp``, ``jvp`` and the Jacobians are in ``transforms.py``, ``vmap`` in ``mapping.py``
(its tensors in ``batched.py``, how operators are batched in ``rules/``), modules as functions in
``modules.py``.
"""

from __future__ import annotations

from typing import Any

from rushlight.func.batched import Batched
from rushlight.func.functional_form import functionalize
from rushlight.func.mapping import vmap
from rushlight.func.modules import (
    functional_call,
    replace_all_batch_norm_modules_,
    stack_module_state,
)
from rushlight.func.rearranging import rearrange
from rushlight.func.transforms import (
    grad,
    grad_and_value,
    hessian,
    jacfwd,
    jacrev,
    jvp,
    linearize,
    vjp,
)

__all__ = [
    "debug_unwrap",
    "functional_call",
    "functionalize",
    "grad",
    "grad_and_value",
    "hessian",
    "jacfwd",
    "jacrev",
    "jvp",
    "linearize",
    "rearrange",
    "replace_all_batch_norm_modules_",
    "stack_module_state",
    "vjp",
    "vmap",
]


def debug_unwrap(tensor: Any, *, recurse: bool = True) -> Any:
    """The values inside a tensor of a transform, to look at; an ordinary tensor as it is.

    Args:
        tensor: what a transformed function sees.
        recurse: unwrap all levels rather than one.
    """
    while isinstance(tensor, Batched):
        tensor = tensor._value
        if not recurse:
            break
    return tensor
