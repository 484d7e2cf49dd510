"""``Tensor.grad_dtype``: gradients of a leaf kept in another dtype than its own.

In: a dtype, or None for any. Out: ``.grad`` in that dtype after every backward pass.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from rushlight._tensor.api import tensor_property
from rushlight.dispatch.doors import forget, interrupt
from rushlight.dispatch.tensor import Tensor
from rushlight.dtypes import dtype as Dtype
from rushlight.ops.build import c_name

__all__ = ["of"]

_UNSET: Any = object()
_KEY = "grad_dtype"  # among the hooks that run after a gradient was added


def of(t: Tensor) -> Dtype | None:
    """The dtype that a tensor's gradient must have; None if any will do."""
    found = t.__dict__.get("_grad_dtype", _UNSET)
    return t._meta.dtype if found is _UNSET else found  # type: ignore[no-any-return]


def _get(self: Tensor) -> Dtype | None:
    if self.grad_fn is not None:
        raise RuntimeError("grad_dtype can only be accessed on leaf tensors.")
    return of(self)


def _convert(leaf: Tensor) -> None:
    """Runs after a gradient was added: gives it the dtype asked for."""
    kind = of(leaf)
    if kind is not None and leaf._grad is not None and leaf._grad._meta.dtype is not kind:
        leaf._grad = leaf._grad.to(kind)


def _set(self: Tensor, value: Any) -> None:
    if self.grad_fn is not None:
        raise RuntimeError("grad_dtype can only be set on leaf tensors.")
    if value is not None and not isinstance(value, Dtype):
        raise RuntimeError(
            f"grad_dtype must be a torch.dtype or None, but got {type(value).__name__}"
        )
    have = self._grad
    if have is not None and value is not None and have._meta.dtype is not value:
        raise RuntimeError(
            f"Cannot set grad_dtype to '{value.title}' because there is already a gradient with "
            f"dtype '{c_name(have._meta.dtype)}'. Please clear the gradient (.grad = None) before "
            "changing grad_dtype, or ensure the new grad_dtype matches the existing gradient's "
            "dtype."
        )
    interrupt("grad_dtype was set")
    forget("grad_dtype was set")
    self.__dict__["_grad_dtype"] = value
    if self._post_hooks is None:
        self._post_hooks = OrderedDict()
    self._post_hooks[_KEY] = _convert


tensor_property("grad_dtype", _get, _set, "The dtype of ``.grad``, by default the tensor's own.")
