"""Module hooks: the global registries, the registration methods, and the call that runs them.

In: a module, the arguments of its call, and whatever hooks are registered.  Out: the result of
`forward` after every hook has had its say.  `Module.__call__` comes here only when some hook
exists; without hooks it goes straight to `forward`.
"""

from __future__ import annotations

import copy
import functools
import warnings
import weakref
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rushlight import Tensor
from rushlight.utils.hooks import BackwardHook, RemovableHandle

if TYPE_CHECKING:
    from .module import Module

FlagDict = OrderedDict[int, bool]

# One entry for each hook around a call that is registered anywhere in this process: while it is
# empty `Module.__call__` need not look at the hooks of the module.  It may hold too many (a module
# that died with its hooks leaves them here), never too few.
hooks_seen: list[bool] = []


class HookDict(OrderedDict[int, Callable[..., Any]]):
    """Hooks by handle number, in order; each is counted in `hooks_seen`.

    It is copied as itself and pickled as the OrderedDict that PyTorch's files have.
    """

    def __setitem__(self, key: int, hook: Callable[..., Any]) -> None:
        if key not in self:
            hooks_seen.append(True)
        super().__setitem__(key, hook)

    def __delitem__(self, key: int) -> None:
        super().__delitem__(key)
        hooks_seen.pop()

    def pop(self, key: int, *default: Any) -> Any:
        """Remove a hook and return it, or `default`."""
        if key not in self and default:
            return default[0]
        hook = self[key]
        del self[key]
        return hook

    def popitem(self, last: bool = True) -> tuple[int, Callable[..., Any]]:
        """Remove the last (or the first) hook and return it with its number."""
        if not self:
            raise KeyError("dictionary is empty")
        key = next(reversed(self)) if last else next(iter(self))
        return key, self.pop(key)

    def clear(self) -> None:
        """Remove every hook."""
        for key in list(self):
            del self[key]

    def __reduce_ex__(self, protocol: Any) -> Any:
        return OrderedDict, (), None, None, iter(list(self.items()))

    def __deepcopy__(self, memo: dict[int, Any]) -> HookDict:
        memo[id(self)] = copied = HookDict()
        for key, hook in self.items():
            copied[key] = copy.deepcopy(hook, memo)
        return copied


_global_buffer_registration_hooks: OrderedDict[int, Callable[..., Any]] = OrderedDict()
_global_module_registration_hooks: OrderedDict[int, Callable[..., Any]] = OrderedDict()
_global_parameter_registration_hooks: OrderedDict[int, Callable[..., Any]] = OrderedDict()
_global_backward_pre_hooks: HookDict = HookDict()
_global_backward_hooks: HookDict = HookDict()
_global_forward_pre_hooks: HookDict = HookDict()
_global_forward_hooks: HookDict = HookDict()
_global_forward_hooks_always_called: FlagDict = OrderedDict()
_global_forward_hooks_with_kwargs: FlagDict = OrderedDict()
_global_is_full_backward_hook: bool | None = None

_MIXED_BACKWARD = (
    "Cannot use both regular backward hooks and full backward hooks {}. "
    "Please use only one of them."
)


class _WrappedHook:
    """A hook that is called with its module first, holding the module weakly; picklable."""

    def __init__(self, hook: Callable[..., Any], module: Module | None = None) -> None:
        self.hook: Callable[..., Any] = hook
        functools.update_wrapper(self, hook)
        self.with_module: bool = False
        if module is not None:
            self.module: weakref.ReferenceType[Module] = weakref.ref(module)
            self.with_module = True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not self.with_module:
            return self.hook(*args, **kwargs)
        module = self.module()
        if module is None:
            raise RuntimeError("You are trying to call the hook of a dead Module!")
        return self.hook(module, *args, **kwargs)

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = {"hook": self.hook, "with_module": self.with_module}
        if self.with_module:
            state["module"] = self.module()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.hook = state["hook"]
        self.with_module = state["with_module"]
        if self.with_module:
            if state["module"] is None:
                raise RuntimeError("You are trying to revive the hook of a dead Module!")
            self.module = weakref.ref(state["module"])


# It is pickled inside modules, under the name that PyTorch's files use.
_WrappedHook.__module__ = "rushlight.nn.modules.module"


def _add(
    hooks: Any, hook: Callable[..., Any], extra: Any = None, prepend: bool = False
) -> RemovableHandle:
    """Put `hook` into `hooks` under a fresh handle."""
    handle = RemovableHandle(hooks, extra_dict=extra)
    hooks[handle.id] = hook
    if prepend:
        hooks.move_to_end(handle.id, last=False)
    return handle


def register_module_buffer_registration_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call `hook(module, name, buffer)` whenever any module registers a buffer.

    A result that is not None replaces the buffer.
    """
    return _add(_global_buffer_registration_hooks, hook)


def register_module_module_registration_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call `hook(module, name, submodule)` whenever any module registers a child.

    A result that is not None replaces the child.
    """
    return _add(_global_module_registration_hooks, hook)


def register_module_parameter_registration_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call `hook(module, name, param)` whenever any module registers a parameter.

    A result that is not None replaces the parameter.
    """
    return _add(_global_parameter_registration_hooks, hook)


def register_module_forward_pre_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call `hook(module, args)` before the forward of every module; it may return new `args`."""
    return _add(_global_forward_pre_hooks, hook)


def register_module_forward_hook(
    hook: Callable[..., Any], *, with_kwargs: bool = False, always_call: bool = False
) -> RemovableHandle:
    """Call `hook(module, args, output)` after the forward of every module.

    Args:
        hook: may return a replacement for the output.
        with_kwargs: call `hook(module, args, kwargs, output)` instead.
        always_call: call it even when the forward raises.
    """
    handle = _add(_global_forward_hooks, hook, _global_forward_hooks_always_called)
    if with_kwargs:
        _global_forward_hooks_with_kwargs[handle.id] = True
    if always_call:
        _global_forward_hooks_always_called[handle.id] = True
    return handle


def register_module_backward_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Deprecated form of `register_module_full_backward_hook`: sees one node's gradients only."""
    global _global_is_full_backward_hook
    if _global_is_full_backward_hook is True:
        raise RuntimeError(_MIXED_BACKWARD.format("as a global Module hook"))
    _global_is_full_backward_hook = False
    return _add(_global_backward_hooks, hook)


def register_module_full_backward_pre_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call `hook(module, grad_output)` before the backward of every module."""
    return _add(_global_backward_pre_hooks, hook)


def register_module_full_backward_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call `hook(module, grad_input, grad_output)` after the backward of every module."""
    global _global_is_full_backward_hook
    if _global_is_full_backward_hook is False:
        raise RuntimeError(_MIXED_BACKWARD.format("as a global Module hook"))
    _global_is_full_backward_hook = True
    return _add(_global_backward_hooks, hook)


class HookMethods:
    """The methods of Module that register hooks."""

    _is_full_backward_hook: bool | None
    _backward_pre_hooks: HookDict
    _backward_hooks: HookDict
    _forward_pre_hooks: HookDict
    _forward_pre_hooks_with_kwargs: FlagDict
    _forward_hooks: HookDict
    _forward_hooks_with_kwargs: FlagDict
    _forward_hooks_always_called: FlagDict

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, args)` before each forward.

        Args:
            hook: may return new positional arguments (a single value is wrapped in a tuple), or
                with `with_kwargs` a pair of new args and kwargs.
            prepend: run it before the hooks that are already there. Default: `False`.
            with_kwargs: call `hook(module, args, kwargs)`. Default: `False`.

        Returns:
            A handle whose `remove()` unregisters the hook.
        """
        flags = self._forward_pre_hooks_with_kwargs
        handle = _add(self._forward_pre_hooks, hook, flags, prepend)
        if with_kwargs:
            flags[handle.id] = True
        return handle

    def register_forward_hook(
        self,
        hook: Callable[..., Any],
        *,
        prepend: bool = False,
        with_kwargs: bool = False,
        always_call: bool = False,
    ) -> RemovableHandle:
        """Call `hook(module, args, output)` after each forward.

        Args:
            hook: may return a replacement for the output.
            prepend: run it before the hooks that are already there. Default: `False`.
            with_kwargs: call `hook(module, args, kwargs, output)`. Default: `False`.
            always_call: run it even when the forward raises. Default: `False`.

        Returns:
            A handle whose `remove()` unregisters the hook.

        Example:
            >>> import rushlight as rl
            >>> layer = rl.nn.Linear(2, 3)
            >>> seen = []
            >>> handle = layer.register_forward_hook(lambda m, x, y: seen.append(y.shape))
            >>> _ = layer(rl.zeros(1, 2))
            >>> handle.remove()
            >>> seen
            [torch.Size([1, 3])]
        """
        extras = [self._forward_hooks_with_kwargs, self._forward_hooks_always_called]
        handle = _add(self._forward_hooks, hook, extras, prepend)
        if with_kwargs:
            self._forward_hooks_with_kwargs[handle.id] = True
        if always_call:
            self._forward_hooks_always_called[handle.id] = True
        return handle

    def register_full_backward_pre_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, grad_output)` before the gradients of each call are computed.

        A tuple that it returns replaces `grad_output`.
        """
        return _add(self._backward_pre_hooks, hook, None, prepend)

    def register_full_backward_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, grad_input, grad_output)` when a call's input gradients are known.

        A tuple that it returns replaces `grad_input`. Positions that are no tensors hold None.
        """
        if self._is_full_backward_hook is False:
            raise RuntimeError(_MIXED_BACKWARD.format("on a single Module"))
        self._is_full_backward_hook = True
        return _add(self._backward_hooks, hook, None, prepend)

    def register_backward_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Deprecated: sees the gradients of the output's own node only."""
        if self._is_full_backward_hook is True:
            raise RuntimeError(_MIXED_BACKWARD.format("on a single Module"))
        self._is_full_backward_hook = False
        return _add(self._backward_hooks, hook)

    def _get_backward_hooks(self) -> tuple[list[Any], list[Any]]:
        """The full and the non-full backward hooks, global ones first."""
        full: list[Any] = []
        partial: list[Any] = []
        for is_full, hooks in (
            (_global_is_full_backward_hook, _global_backward_hooks),
            (self._is_full_backward_hook, self._backward_hooks),
        ):
            if is_full is not None:
                (full if is_full else partial).extend(hooks.values())
        return full, partial

    def _get_backward_pre_hooks(self) -> list[Any]:
        return [*_global_backward_pre_hooks.values(), *self._backward_pre_hooks.values()]


class _HookedCall:
    """One call of a module that has hooks."""

    def __init__(self, module: Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.module = module
        self.args = args
        self.kwargs = kwargs
        self.result: Any = None
        self.called_always: set[int] = set()

    def run(self) -> Any:
        try:
            return self._inner()
        except Exception:
            self._run_always_called()
            raise

    def _inner(self) -> Any:
        module = self.module
        pre_hooks = module._get_backward_pre_hooks()
        full, partial = module._get_backward_hooks()
        self._run_forward_pre_hooks()
        backward = None
        if full or pre_hooks:
            backward = BackwardHook(module, full, pre_hooks)
            self.args = backward.setup_input_hook(self.args)
        self.result = module.forward(*self.args, **self.kwargs)
        self._run_forward_hooks()
        if backward is not None:
            if not isinstance(self.result, (Tensor, tuple)):
                warnings.warn(
                    "For backward hooks to be called, module output should be a Tensor or a "
                    f"tuple of Tensors but received {type(self.result)}",
                    stacklevel=5,
                )
            self.result = backward.setup_output_hook(self.result)
        if partial:
            self._hang_partial_hooks(partial)
        return self.result

    def _run_forward_pre_hooks(self) -> None:
        module = self.module
        with_kwargs = module._forward_pre_hooks_with_kwargs
        hooks = (*_global_forward_pre_hooks.items(), *module._forward_pre_hooks.items())
        for hook_id, hook in hooks:
            if hook_id in with_kwargs:
                answer = hook(module, self.args, self.kwargs)
                if answer is None:
                    continue
                if not (isinstance(answer, tuple) and len(answer) == 2):
                    raise RuntimeError(
                        "forward pre-hook must return None or a tuple "
                        f"of (new_args, new_kwargs), but got {answer}."
                    )
                self.args, self.kwargs = answer
            else:
                answer = hook(module, self.args)
                if answer is not None:
                    self.args = answer if isinstance(answer, tuple) else (answer,)

    def _forward_hook(self, hook_id: int, hook: Callable[..., Any]) -> None:
        """Call one forward hook; its answer, if any, is the new result."""
        module = self.module
        if (
            hook_id in module._forward_hooks_with_kwargs
            or hook_id in _global_forward_hooks_with_kwargs
        ):
            answer = hook(module, self.args, self.kwargs, self.result)
        else:
            answer = hook(module, self.args, self.result)
        if answer is not None:
            self.result = answer

    def _run_forward_hooks(self) -> None:
        module = self.module
        hooks = (*_global_forward_hooks.items(), *module._forward_hooks.items())
        for hook_id, hook in hooks:
            if (
                hook_id in module._forward_hooks_always_called
                or hook_id in _global_forward_hooks_always_called
            ):
                self.called_always.add(hook_id)
            self._forward_hook(hook_id, hook)

    def _run_always_called(self) -> None:
        """The forward raised: run the hooks that asked to run anyway, once each."""
        module = self.module
        for where, hooks, always in (
            ("global module", _global_forward_hooks, _global_forward_hooks_always_called),
            ("module", module._forward_hooks, module._forward_hooks_always_called),
        ):
            for hook_id, hook in list(hooks.items()):
                if hook_id not in always or hook_id in self.called_always:
                    continue
                try:
                    self._forward_hook(hook_id, hook)
                except Exception as error:
                    warnings.warn(
                        f"{where} forward hook with ``always_call=True`` raised an exception "
                        f"that was silenced as another error was raised in forward: {error!s}",
                        stacklevel=5,
                    )

    def _hang_partial_hooks(self, hooks: list[Any]) -> None:
        """Hang non-full backward hooks on the node of the first tensor in the result."""
        var = self.result
        while not isinstance(var, Tensor):
            if isinstance(var, dict):
                var = next(v for v in var.values() if isinstance(v, Tensor))
            else:
                var = var[0]
        grad_fn = var.grad_fn
        if grad_fn is None:
            return
        for hook in hooks:
            grad_fn.register_hook(_WrappedHook(hook, self.module))
        _warn_about_partial_hook(self.args, self.result, grad_fn)


def _warn_about_partial_hook(inputs: Any, result: Any, grad_fn: Any) -> None:
    """Say when a non-full backward hook will not see every gradient."""

    def warn(cause: str, missing: str, advice: bool = True) -> None:
        text = (
            f"Using {cause} is deprecated and will be removed in future versions. "
            f"This hook will be missing some {missing}."
        )
        if advice:
            text += " Please use register_full_backward_hook to get the documented behavior."
        warnings.warn(text, FutureWarning, stacklevel=7)

    def as_tensors(value: Any) -> tuple[Any, ...] | None:
        if isinstance(value, Tensor):
            return (value,)
        if isinstance(value, tuple) and all(isinstance(v, Tensor) for v in value):
            return value
        return None

    results = as_tensors(result)
    if results is None:
        warn(
            "non-full backward hooks on a Module that does not return a single Tensor or a "
            "tuple of Tensors",
            "of the grad_output",
        )
        return
    tensors = as_tensors(inputs)
    if tensors is None:
        warn(
            "non-full backward hooks on a Module that does not take as input a single Tensor "
            "or a tuple of Tensors",
            "of the grad_input",
        )
        return
    nodes = {r.grad_fn for r in results if r.grad_fn is not None}
    if not nodes or (len(nodes) == 1 and grad_fn not in nodes):
        warn(
            "a non-full backward hook when outputs are nested in python data structure",
            "grad_output",
            advice=False,
        )
    elif len(nodes) > 1:
        warn(
            "a non-full backward hook when outputs are generated by different autograd Nodes",
            "grad_output",
        )
    elif {t.grad_fn for t in tensors if t.grad_fn is not None} != {
        edge[0] for edge in grad_fn.next_functions
    }:
        warn(
            "a non-full backward hook when the forward contains multiple autograd Nodes",
            "grad_input",
        )


def call_with_hooks(module: Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call `module.forward` with every hook around it."""
    return _HookedCall(module, args, kwargs).run()
