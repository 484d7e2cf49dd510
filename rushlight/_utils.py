"""Rebuild functions by the names that pickles carry; mirrors the part of ``torch._utils`` they use.

In: what a pickle holds. Out: tensors and parameters.
"""

from __future__ import annotations

from typing import Any

from rushlight._tensor.pickling import (
    _rebuild_from_type_v2,
    _rebuild_meta_tensor_no_storage,
    _rebuild_tensor,
    _rebuild_tensor_v2,
    _rebuild_tensor_v3,
)
from rushlight._tensor.pickling import get_state as _get_obj_state
from rushlight._tensor.pickling import set_state as _set_obj_state

__all__ = [
    "_get_obj_state",
    "_rebuild_from_type_v2",
    "_rebuild_meta_tensor_no_storage",
    "_rebuild_parameter",
    "_rebuild_parameter_with_state",
    "_rebuild_tensor",
    "_rebuild_tensor_v2",
    "_rebuild_tensor_v3",
    "_set_obj_state",
]


def _rebuild_parameter(data: Any, requires_grad: bool, backward_hooks: Any) -> Any:
    from rushlight.nn.parameter import Parameter

    return Parameter(data, requires_grad)


def _rebuild_parameter_with_state(
    data: Any, requires_grad: bool, backward_hooks: Any, state: Any
) -> Any:
    from rushlight.nn.parameter import Parameter

    return _set_obj_state(Parameter(data, requires_grad), state)
