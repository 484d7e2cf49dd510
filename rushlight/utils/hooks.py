"""Removable hook handles and the autograd plumbing of module backward hooks.

In: a dictionary of hooks (a module's, a tensor's, or a global one) and, for `BackwardHook`, a
module's arguments and results.  Out: handles whose `remove()` unregisters, and arguments and
results threaded through an identity node that calls the hooks.  Mirrors `torch.utils.hooks`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from typing import Any

import rushlight as rl
from rushlight.dispatch.hooks import RemovableHandle

__all__ = ["RemovableHandle", "unserializable_hook", "warn_if_has_hooks", "BackwardHook"]


def unserializable_hook(f: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a tensor hook as known not to be pickled, which silences `warn_if_has_hooks`."""
    f.__torch_unserializable__ = True  # type: ignore[attr-defined]
    return f


def warn_if_has_hooks(tensor: Any) -> None:
    """Warn about every hook of `tensor` that pickling loses, unless it is marked as such."""
    hooks = getattr(tensor, "_backward_hooks", None) or {}
    for hook in hooks.values():
        if hasattr(hook, "__torch_unserializable__"):
            continue
        warnings.warn(
            f"backward hook {hook!r} on tensor will not be "
            "serialized.  If this is expected, you can "
            "decorate the function with @torch.utils.hooks.unserializable_hook "
            "to suppress this warning",
            stacklevel=2,
        )


class BackwardHook:
    """Threads a module's inputs and outputs through identity nodes that run its backward hooks.

    Args:
        module: the module the hooks belong to.
        user_hooks: full backward hooks, called as `hook(module, grad_input, grad_output)`.
        user_pre_hooks: backward pre-hooks, called as `hook(module, grad_output)`.
    """

    def __init__(self, module: Any, user_hooks: list[Any], user_pre_hooks: list[Any]) -> None:
        self.module = module
        self.user_hooks = user_hooks
        self.user_pre_hooks = user_pre_hooks
        self.grad_outputs: Any = None
        self.n_outputs = -1
        self.output_tensors_index: list[int] | None = None
        self.n_inputs = -1
        self.input_tensors_index: list[int] | None = None

    @staticmethod
    def _spread(indices: Iterable[int] | None, values: Iterable[Any], size: int) -> tuple[Any, ...]:
        """A tuple of `size` Nones with `values` at `indices`."""
        full: list[Any] = [None] * size
        for i, value in zip(indices or (), values, strict=True):
            full[i] = value
        return tuple(full)

    def _thread(self, values: tuple[Any, ...], on_node: Callable[[Any], None]) -> Any:
        """Pass the tensors of `values` through one identity node, which goes to `on_node`.

        Returns the new values and the indices of the tensors (None where there is no gradient).
        """
        index = [i for i, value in enumerate(values) if isinstance(value, rl.Tensor)]
        tensors = [values[i] for i in index]
        if not (rl.is_grad_enabled() and any(t.requires_grad for t in tensors)):
            return values, None
        from rushlight.nn.modules._functions import BackwardHookFunction

        new_tensors = BackwardHookFunction.apply(*tensors)
        if not index:
            raise RuntimeError(
                "Cannot set Module backward hook for a Module with no input Tensors."
            )
        grad_fns = [t.grad_fn for t in new_tensors if t.grad_fn is not None]
        if not grad_fns:
            raise RuntimeError(
                "Error while setting up backward hooks. Please open "
                "an issue with a code sample to reproduce this."
            )
        on_node(grad_fns[0])
        threaded = list(values)
        for i, tensor in zip(index, new_tensors, strict=True):
            threaded[i] = tensor
        # A named tuple keeps its type: hooks must not change what the caller unpacks.
        made = type(values)(*threaded) if hasattr(values, "_fields") else tuple(threaded)
        return made, index

    def setup_input_hook(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """Thread the module's positional arguments; its input gradients then reach the hooks."""

        def on_node(node: Any) -> None:
            node.register_hook(self._on_input_gradients)

        threaded, index = self._thread(args, on_node)
        self.n_inputs = len(args)
        self.input_tensors_index = index
        return threaded  # type: ignore[no-any-return]

    def _on_input_gradients(self, grad_input: tuple[Any, ...], _: Any) -> Any:
        if self.grad_outputs is None:
            return None  # the gradient did not pass the module's output, as in double backward
        full = self._spread(self.input_tensors_index, grad_input, self.n_inputs)
        for hook in self.user_hooks:
            full = _checked(hook(self.module, full, self.grad_outputs), full, " hook", "input")
        self.grad_outputs = None
        return tuple(full[i] for i in self.input_tensors_index or ())

    def setup_output_hook(self, result: Any) -> Any:
        """Thread the module's result; its output gradients then reach the pre-hooks and hooks."""

        def on_node(node: Any) -> None:
            node.register_prehook(self._on_output_gradients)

        single = not isinstance(result, tuple)
        threaded, index = self._thread((result,) if single else result, on_node)
        self.n_outputs = len(threaded)
        self.output_tensors_index = index
        return threaded[0] if single else threaded

    def _on_output_gradients(self, grad_output: tuple[Any, ...]) -> Any:
        full = self._spread(self.output_tensors_index, grad_output, self.n_outputs)
        for hook in self.user_pre_hooks:
            full = _checked(hook(self.module, full), full, " pre hook", "output")
        self.grad_outputs = full
        if self.input_tensors_index is None:
            warnings.warn(
                "Full backward hook is firing when gradients are computed "
                "with respect to module outputs since no inputs require gradients. See "
                "https://docs.pytorch.org/docs/main/generated/torch.nn.Module.html"
                "#torch.nn.Module.register_full_backward_hook for more details.",
                stacklevel=5,
            )
            # No input wants a gradient: the hooks run now, with a None for each input.
            nones = tuple([None] * self.n_inputs)
            for hook in self.user_hooks:
                answer = hook(self.module, nones, full)
                if answer is not None and not (
                    isinstance(answer, tuple) and all(el is None for el in answer)
                ):
                    raise RuntimeError(
                        "Backward hook for Modules where no input requires "
                        "gradient should always return None or None for all gradients."
                    )
            self.grad_outputs = None
        return tuple(full[i] for i in self.output_tensors_index or ())


def _checked(answer: Any, current: tuple[Any, ...], hook: str, side: str) -> tuple[Any, ...]:
    """A hook's answer, which must have as many gradients as before; None keeps the current ones."""
    if answer is None:
        return current
    if len(answer) != len(current):
        raise RuntimeError(
            f"Backward{hook} returned an invalid number of grad_{side}, "
            f"got {len(answer)}, but expected {len(current)}"
        )
    return answer  # type: ignore[no-any-return]
