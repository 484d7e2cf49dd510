"""TVTensor: a tensor that says what it means (an image, a mask, boxes), for the v2 transforms.

In: any tensor-like data. Out: a Tensor subclass. Operations on one return plain tensors, so that a
sum of pixels is no image; `clone`, `to`, `detach`, `requires_grad_` and `pin_memory` keep the type,
and `set_return_type("TVTensor")` makes every operation keep it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import rushlight as rl
from rushlight.dispatch.overrides import DisableTorchFunctionSubclass

_keep_type = False


class _RestoreReturnType:
    """Undoes `set_return_type` at the end of a `with` block."""

    def __init__(self, before: bool) -> None:
        self.before = before

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        global _keep_type
        _keep_type = self.before


def set_return_type(return_type: str) -> _RestoreReturnType:
    """Choose what operations on tv_tensors return, from now on or inside a `with` block.

    Args:
        return_type: "Tensor" (the default) or "TVTensor".

    Example:
        >>> import rushlight as rl
        >>> from rushlight.vision import tv_tensors
        >>> image = tv_tensors.Image(rl.zeros(3, 2, 2))
        >>> with tv_tensors.set_return_type("TVTensor"):
        ...     type(image + 1).__name__
        'Image'
        >>> type(image + 1).__name__
        'Tensor'
    """
    global _keep_type
    choices = {"tensor": False, "tvtensor": True}
    if return_type.lower() not in choices:
        raise ValueError(f"return_type must be 'TVTensor' or 'Tensor', got {return_type}")
    before = _keep_type
    _keep_type = choices[return_type.lower()]
    return _RestoreReturnType(before)


_PLAIN: Any = rl.Tensor


def _keeps_type(name: str) -> Any:
    """A method of Tensor whose result is the same thing elsewhere, hence of the same type."""
    plain = getattr(_PLAIN, name)

    @functools.wraps(plain)
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        with DisableTorchFunctionSubclass():
            output = plain(self, *args, **kwargs)
        return self._wrap_output(output, self)

    return method


class TVTensor(rl.Tensor):
    """Base class of all tv_tensors; derive from it for a type of your own."""

    clone, to, detach = _keeps_type("clone"), _keeps_type("to"), _keeps_type("detach")
    requires_grad_, pin_memory = _keeps_type("requires_grad_"), _keeps_type("pin_memory")

    @staticmethod
    def _to_tensor(
        data: Any, dtype: Any = None, device: Any = None, requires_grad: bool | None = None
    ) -> Any:
        if requires_grad is None:
            requires_grad = data.requires_grad if isinstance(data, rl.Tensor) else False
        return rl.as_tensor(data, dtype=dtype, device=device).requires_grad_(requires_grad)

    def _metadata(self) -> dict[str, Any]:
        """What this type carries besides its values, as keyword arguments of `_wrap`."""
        return {}

    @classmethod
    def _wrap(cls, tensor: Any, *, check_dims: bool = True, **metadata: Any) -> Any:
        return tensor.as_subclass(cls)

    @classmethod
    def wrap(cls, tensor: Any, like: Any, **kwargs: Any) -> Any:
        """`tensor` as this type, with the metadata of `like` where `kwargs` give none."""
        return cls._wrap(tensor, **{**like._metadata(), **kwargs})

    @classmethod
    def _wrap_output(cls, output: Any, like: Any) -> Any:
        """The result of an operation as this type, tuples and lists part by part."""
        if isinstance(output, rl.Tensor) and not isinstance(output, cls):
            return cls._wrap(output, check_dims=False, **like._metadata())
        if isinstance(output, (tuple, list)):
            parts = [cls._wrap_output(part, like) for part in output]
            named = hasattr(output, "_fields") or not isinstance(output, (tuple, list))
            return type(output)(*parts) if named else type(output)(parts)
        return output

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Run the operation on plain tensors, then wrap or unwrap its result."""
        for t in types:
            if not issubclass(cls, t):
                return NotImplemented
        with DisableTorchFunctionSubclass():
            output = func(*args, **(kwargs or {}))
        if _keep_type:
            like = _first(cls, (args, tuple((kwargs or {}).values())))
            return output if like is None else cls._wrap_output(output, like)
        if isinstance(output, cls):  # an in-place operation returns its argument
            return output.as_subclass(rl.Tensor)
        return output

    def _make_repr(self, **kwargs: Any) -> str:
        extra = ", ".join(f"{key}={value}" for key, value in kwargs.items())
        return f"{super().__repr__()[:-1]}, {extra})"

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self.detach().clone().requires_grad_(self.requires_grad)  # type: ignore[no-any-return]


def _first(cls: type, values: Any) -> Any:
    """The first tv_tensor of this type among arguments, nested ones included."""
    for value in values:
        if isinstance(value, cls):
            return value
        if isinstance(value, (tuple, list)):
            found = _first(cls, value)
            if found is not None:
                return found
    return None
