"""Help for classes that take over functions of tensors: `torch.overrides`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from rushlight.dispatch import modes
from rushlight.dispatch.doors import enter
from rushlight.dispatch.overrides import named_arguments, overriding
from rushlight.dispatch.tensor import Tensor

__all__ = [
    "TorchFunctionMode",
    "handle_torch_function",
    "has_torch_function",
    "has_torch_function_unary",
    "has_torch_function_variadic",
    "is_tensor_like",
    "wrap_torch_function",
]


def is_tensor_like(inp: Any) -> bool:
    """Whether a value is a tensor or its class has ``__torch_function__``.

    Example:
        >>> import rushlight as torch
        >>> torch.overrides.is_tensor_like(torch.ones(1))
        True
    """
    return isinstance(inp, Tensor) or hasattr(type(inp), "__torch_function__")


def has_torch_function(relevant_args: Iterable[Any]) -> bool:
    """Whether one of the arguments' classes overrides functions."""
    return not modes.state.plain and bool(overriding(tuple(relevant_args)))


def has_torch_function_unary(arg: Any) -> bool:
    """`has_torch_function` of one argument."""
    return has_torch_function((arg,))


def has_torch_function_variadic(*args: Any) -> bool:
    """`has_torch_function` of the arguments given."""
    return has_torch_function(args)


def handle_torch_function(
    public_api: Callable[..., Any], relevant_args: Iterable[Any], *args: Any, **kwargs: Any
) -> Any:
    """Gives a call to the overriding classes among ``relevant_args``, subclasses first.

    Raises:
        TypeError: every one of them returned NotImplemented.
    """
    owners = overriding(tuple(relevant_args))
    types = tuple([type(x) for x in owners])
    for x in owners:
        result = type(x).__torch_function__(public_api, types, args, kwargs)
        if result is not NotImplemented:
            return result
    name = f"{public_api.__module__}.{public_api.__name__}"
    raise TypeError(
        f"no implementation found for {name!r} on types that implement __torch_function__: "
        f"{list(types)}"
    )


def wrap_torch_function(dispatcher: Callable[..., Iterable[Any]]) -> Any:
    """Decorates a function so that classes can override it; ``dispatcher`` names who is asked."""

    def decorate(func: Callable[..., Any]) -> Callable[..., Any]:
        import functools

        @functools.wraps(func)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            asked = tuple(dispatcher(*args, **kwargs))
            if has_torch_function(asked):
                return handle_torch_function(wrapper, asked, *args, **kwargs)
            return func(*args, **kwargs)

        return wrapper

    return decorate


class TorchFunctionMode:
    """Context whose ``__torch_function__(func, types, args, kwargs)`` sees operators on tensors.

    What PyTorch composes of several operators is seen as those operators.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Has the call; to be overridden."""
        raise NotImplementedError

    def _call(self, op: Any, inputs: tuple[Any, ...], attrs: tuple[Any, ...], call: Any) -> Any:
        def operator(*args: Any, **kwargs: Any) -> Any:
            return call(op, inputs, attrs)

        func = op.public
        if func is None:
            operator.__name__ = op.name
            return self.__torch_function__(operator, (), inputs, {})
        values = (inputs,) if op.variadic else inputs
        return self.__torch_function__(func, (), values, named_arguments(op, attrs))

    def __enter__(self) -> TorchFunctionMode:
        enter("a mode was entered")
        modes.state.stack = (*modes.state.stack, self._call)
        return self

    def __exit__(self, *exc: object) -> None:
        modes.state.stack = modes.state.stack[:-1]
