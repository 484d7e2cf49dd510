"""``__torch_function__``: classes that take over calls made with their instances.

The function handed over is the public one (``torch.add``), with the tensor arguments by position
and the attributes that differ from their defaults by name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rushlight.dispatch import modes
from rushlight.dispatch.tensor import Tensor
from rushlight.ir.op import Op

__all__ = ["DisableTorchFunctionSubclass", "handle", "handle_write", "overriding", "redirect"]

state = modes.state


class DisableTorchFunctionSubclass:
    """Context in which subclasses are treated as plain tensors."""

    __slots__ = ("was",)

    def __enter__(self) -> None:
        self.was = state.plain
        state.plain = True

    def __exit__(self, *exc: object) -> None:
        state.plain = self.was


def overriding(values: Sequence[Any]) -> list[Any]:
    """One value of each class that overrides, subclasses before their bases."""
    found: list[Any] = []
    for x in values:
        cls = type(x)
        if isinstance(x, Tensor):
            if not x._overrides:
                continue
        elif not hasattr(cls, "__torch_function__"):
            continue
        if any(type(y) is cls for y in found):
            continue
        at = next((i for i, y in enumerate(found) if issubclass(cls, type(y))), len(found))
        found.insert(at, x)
    return found


def redirect(
    func: Callable[..., Any], values: Sequence[Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[bool, Any]:
    """Offers a call to the overriding classes among ``values``.

    Returns:
        whether one took it, and its result.
    """
    if state.plain:
        return False, None
    owners = overriding(values)
    if not owners:
        return False, None
    types = tuple([type(x) for x in owners])
    for x in owners:
        result = type(x).__torch_function__(func, types, args, kwargs or None)
        if result is not NotImplemented:
            return True, result
    if getattr(func, "_operator", False):
        return True, NotImplemented
    name = getattr(func, "__name__", str(func))
    given = "\n".join([f"  - tensor subclass {t}" for t in types])
    raise TypeError(
        f"Multiple dispatch failed for 'torch.{name}'; all __torch_function__ handlers returned "
        f"NotImplemented:\n\n{given}"
    )


def handle(op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> tuple[bool, Any]:
    """Offers an operator's call to overriding inputs."""
    func: Any = op.public
    if func is None:
        from rushlight.dispatch.namespace import o

        func = getattr(o, op.name)
        return redirect(func, inputs, (*inputs, *attrs), {})
    values = (inputs,) if op.variadic else inputs
    return redirect(func, inputs, values, named_arguments(op, attrs))


def named_arguments(op: Op, attrs: tuple[Any, ...]) -> dict[str, Any]:
    """The attributes of a call that differ from their defaults, by name."""
    start = len(op.attrs) - len(op.defaults)
    return {
        name: value
        for i, (name, value) in enumerate(zip(op.attrs, attrs, strict=True))
        if i < start or value != op.defaults[i - start]
    }


def handle_write(
    op: Op, inputs: tuple[Any, ...], attrs: tuple[Any, ...], write: Callable[..., Any]
) -> tuple[bool, Any]:
    """Offers an in-place call to overriding inputs."""
    if state.stack:
        mode = state.stack[-1]
        was, state.stack = state.stack, state.stack[:-1]
        try:
            return True, mode(op, inputs, attrs, write)
        finally:
            state.stack = was
    func = getattr(Tensor, op.name + "_", None) or (lambda *args: write(op, args, attrs))
    return (
        redirect(func, inputs, inputs, {})
        if not attrs
        else redirect(lambda *args: write(op, args, attrs), inputs, inputs, {})
    )
