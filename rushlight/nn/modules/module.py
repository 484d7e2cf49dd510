"""Module: a node of a network, with its parameters, buffers, children and hooks.

In: attributes that user code assigns (parameters, buffers and modules register themselves) and the
inputs of a call.  Out: what `forward` returns.  State saving stands in `_state.py`, hooks in
`_hooks.py`, the look-up of members in `_members.py`.  The instance attributes are PyTorch's, so
that pickled modules travel both ways.
"""

from __future__ import annotations

import warnings
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import rushlight as rl
from rushlight.nn.parameter import Buffer, Parameter

from ._arguments import _is_tensor_like, _parse_to, _typename
from ._hooks import (
    HookDict,
    HookMethods,
    _global_backward_hooks,
    _global_backward_pre_hooks,
    _global_buffer_registration_hooks,
    _global_forward_hooks,
    _global_forward_pre_hooks,
    _global_module_registration_hooks,
    _global_parameter_registration_hooks,
    _WrappedHook,
    call_with_hooks,
    hooks_seen,
    register_module_backward_hook,
    register_module_buffer_registration_hook,
    register_module_forward_hook,
    register_module_forward_pre_hook,
    register_module_full_backward_hook,
    register_module_full_backward_pre_hook,
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)
from ._members import (
    KINDS,
    MemberAttributes,
    Members,
    keep_nothing,
    plain_attributes,
    plain_dict,
)
from ._place import note_place
from ._state import StateMethods, _IncompatibleKeys

__all__ = [
    "register_module_forward_pre_hook",
    "register_module_forward_hook",
    "register_module_full_backward_pre_hook",
    "register_module_backward_hook",
    "register_module_full_backward_hook",
    "register_module_buffer_registration_hook",
    "register_module_module_registration_hook",
    "register_module_parameter_registration_hook",
    "Module",
    "_IncompatibleKeys",
    "_WrappedHook",
]

T = TypeVar("T", bound="Module")
_Tree = TypeVar("_Tree", bound="Module")

_set = object.__setattr__
_NOT_GIVEN: Any = object()

_CALL_HOOKS = frozenset(
    ("_backward_hooks", "_backward_pre_hooks", "_forward_hooks", "_forward_pre_hooks")
)
_WATCHED = _CALL_HOOKS.union(KINDS)

# Attributes that files of older versions lack, with what makes their empty value.
_STATE_DEFAULTS: tuple[tuple[str, Callable[[], Any]], ...] = (
    ("_forward_pre_hooks", OrderedDict),
    ("_forward_pre_hooks_with_kwargs", OrderedDict),
    ("_forward_hooks_with_kwargs", OrderedDict),
    ("_forward_hooks_always_called", OrderedDict),
    ("_state_dict_hooks", OrderedDict),
    ("_state_dict_pre_hooks", OrderedDict),
    ("_load_state_dict_pre_hooks", OrderedDict),
    ("_load_state_dict_post_hooks", OrderedDict),
    ("_non_persistent_buffers_set", set),
    ("_is_full_backward_hook", lambda: None),
    ("_backward_pre_hooks", OrderedDict),
)


def _addindent(text: str, spaces: int) -> str:
    """Indent every line but the first; blank lines become empty."""
    first, *rest = text.split("\n")
    return "\n".join([first, *(spaces * " " + line if line.strip() else "" for line in rest)])


def _forward_unimplemented(self: Any, *input: Any) -> None:
    """The computation of the module; every subclass defines it."""
    raise NotImplementedError(
        f'Module [{type(self).__name__}] is missing the required "forward" function'
    )


def _check_name(module: Module, kind: str, name: Any, owner: dict[str, Any]) -> None:
    """Refuse a parameter or buffer name that is no string, dotted, empty or taken."""
    if not isinstance(name, str):
        raise TypeError(f"{kind} name should be a string. Got {_typename(name)}")
    if "." in name:
        raise KeyError(f'{kind} name can\'t contain "."')
    if name == "":
        raise KeyError(f'{kind} name can\'t be empty string ""')
    if hasattr(module, name) and name not in owner:
        raise KeyError(f"attribute '{name}' already exists")


class Module(MemberAttributes, HookMethods, StateMethods):
    """The base of every layer and network.

    Subclass it, create parameters and child modules in `__init__` (after `super().__init__()`),
    and say in `forward` how inputs become outputs. Calling the module runs `forward` and hooks.

    Attributes:
        training: whether the module is in training mode; see `train()` and `eval()`.

    Example:
        >>> import rushlight as rl
        >>> class Net(rl.nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.hidden = rl.nn.Linear(4, 2)
        ...     def forward(self, x):
        ...         return rl.relu(self.hidden(x))
        >>> Net()
        Net(
          (hidden): Linear(in_features=4, out_features=2, bias=True)
        )
    """

    dump_patches: bool = False
    _version: int = 1
    training: bool
    _parameters: dict[str, Any]
    _buffers: dict[str, Any]
    _non_persistent_buffers_set: set[str]
    _modules: dict[str, Any]
    call_super_init: bool = False
    _compiled_call_impl: Any = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if not self.call_super_init:
            if kwargs:
                raise TypeError(
                    f"{type(self).__name__}.__init__() got an unexpected keyword argument "
                    f"'{next(iter(kwargs))}'"
                )
            if args:
                raise TypeError(
                    f"{type(self).__name__}.__init__() takes 1 positional argument but "
                    f"{len(args) + 1} were given"
                )
        if "_parameters" in plain_dict(self):
            keep_nothing(self)
        own = weakref.ref(self)
        _set(self, "training", True)
        _set(self, "_parameters", Members(own))
        _set(self, "_buffers", Members(own))
        _set(self, "_non_persistent_buffers_set", set())
        _set(self, "_backward_pre_hooks", HookDict())
        _set(self, "_backward_hooks", HookDict())
        _set(self, "_is_full_backward_hook", None)
        _set(self, "_forward_hooks", HookDict())
        _set(self, "_forward_hooks_with_kwargs", OrderedDict())
        _set(self, "_forward_hooks_always_called", OrderedDict())
        _set(self, "_forward_pre_hooks", HookDict())
        _set(self, "_forward_pre_hooks_with_kwargs", OrderedDict())
        _set(self, "_state_dict_hooks", OrderedDict())
        _set(self, "_state_dict_pre_hooks", OrderedDict())
        _set(self, "_load_state_dict_pre_hooks", OrderedDict())
        _set(self, "_load_state_dict_post_hooks", OrderedDict())
        _set(self, "_modules", Members(own))
        if self.call_super_init:
            super().__init__(*args, **kwargs)

    forward: Callable[..., Any] = _forward_unimplemented

    # ---------------------------------------------------------------- calling

    def _call_impl(self, *args: Any, **kwargs: Any) -> Any:
        return call_with_hooks(self, args, kwargs)

    def __call__(  # type: ignore[no-untyped-def]  # so that subclasses may narrow it
        self, input=_NOT_GIVEN, other=_NOT_GIVEN, /, *args, **kwargs
    ):
        # This runs once a layer a step: no hook dictionary is looked at before the process has
        # its first hook.  `training` is there unless `Module.__init__` was not called.
        try:
            if hooks_seen or self.training is None:
                args = tuple([x for x in (input, other) if x is not _NOT_GIVEN]) + args
                return self._call_slowly(args, kwargs)
            if args or kwargs:
                args = tuple([x for x in (input, other) if x is not _NOT_GIVEN]) + args
                return self.forward(*args, **kwargs)
            if other is not _NOT_GIVEN:
                return self.forward(input, other)
            return self.forward() if input is _NOT_GIVEN else self.forward(input)
        except Exception as error:
            if "training" not in plain_dict(self):
                self._call_slowly((), {})
            note_place(error, self)
            raise

    def _call_slowly(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        own = plain_dict(self)
        try:
            hooked = (
                own["_backward_hooks"]
                or own["_backward_pre_hooks"]
                or own["_forward_hooks"]
                or own["_forward_pre_hooks"]
                or _global_forward_hooks
                or _global_forward_pre_hooks
                or _global_backward_hooks
                or _global_backward_pre_hooks
            )
        except KeyError as missing:
            raise AttributeError(
                f"'{type(self).__name__}' object has no attribute {missing}"
            ) from None
        if self._compiled_call_impl is not None:
            return self._compiled_call_impl(*args, **kwargs)
        if not hooked:
            return self.forward(*args, **kwargs)
        return call_with_hooks(self, args, kwargs)

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Call this module through `torch.compile(...)` from now on; arguments go to it."""
        self._compiled_call_impl = rl.compile(self._call_impl, *args, **kwargs)
        hooks_seen.append(True)

    # ----------------------------------------------------------- registration

    def register_buffer(self, name: str, tensor: Any, persistent: bool = True) -> None:
        """Add a tensor that is part of the state but is not trained (a running mean, say).

        Args:
            name: the attribute it becomes.
            tensor: the buffer, or None: then it has a name but no value.
            persistent: whether `state_dict` saves it. Default: `True`.

        Raises:
            KeyError: the name is taken, empty or has a dot.
            TypeError: the name is no string, or the value no tensor.
        """
        if "_buffers" not in plain_dict(self):
            raise AttributeError("cannot assign buffer before Module.__init__() call")
        _check_name(self, "buffer", name, self._buffers)
        if tensor is not None and not _is_tensor_like(tensor):
            raise TypeError(
                f"cannot assign '{_typename(tensor)}' object to buffer '{name}' "
                "(torch Tensor or None required)"
            )
        for hook in _global_buffer_registration_hooks.values():
            answer = hook(self, name, tensor)
            tensor = tensor if answer is None else answer
        self._buffers[name] = tensor
        if persistent:
            self._non_persistent_buffers_set.discard(name)
        else:
            self._non_persistent_buffers_set.add(name)

    def register_parameter(self, name: str, param: Any) -> None:
        """Add a parameter.

        Args:
            name: the attribute it becomes.
            param: a Parameter, or None: then it has a name but no value.

        Raises:
            KeyError: the name is taken, empty or has a dot.
            TypeError: the name is no string, or the value no Parameter.
            ValueError: the value is the result of a computation.
        """
        if "_parameters" not in plain_dict(self):
            raise AttributeError("cannot assign parameter before Module.__init__() call")
        _check_name(self, "parameter", name, self._parameters)
        if param is None:
            self._parameters[name] = None
            return
        if not isinstance(param, Parameter):
            raise TypeError(
                f"cannot assign '{_typename(param)}' object to parameter '{name}' "
                "(torch.nn.Parameter or None required)"
            )
        if param.grad_fn:
            raise ValueError(
                f"Cannot assign non-leaf Tensor to parameter '{name}'. Model "
                f"parameters must be created explicitly. To express '{name}' "
                "as a function of another Tensor, compute the value in "
                "the forward() method."
            )
        for hook in _global_parameter_registration_hooks.values():
            answer = hook(self, name, param)
            param = param if answer is None else answer
        self._parameters[name] = param

    def add_module(self, name: str, module: Module | None) -> None:
        """Add a child module under `name`.

        Raises:
            KeyError: the name is taken, empty or has a dot.
            TypeError: the name is no string, or the value no Module.
        """
        if not isinstance(module, Module) and module is not None:
            raise TypeError(f"{_typename(module)} is not a Module subclass")
        if not isinstance(name, str):
            raise TypeError(f"module name should be a string. Got {_typename(name)}")
        if hasattr(self, name) and name not in self._modules:
            raise KeyError(f"attribute '{name}' already exists")
        if "." in name:
            raise KeyError(f'module name can\'t contain ".", got: {name}')
        if name == "":
            raise KeyError('module name can\'t be empty string ""')
        self._store_module(name, module)

    def register_module(self, name: str, module: Module | None) -> None:
        """Another name of `add_module`."""
        self.add_module(name, module)

    def _store_module(self, name: str, module: Module | None) -> None:
        for hook in _global_module_registration_hooks.values():
            answer = hook(self, name, module)
            module = module if answer is None else answer
        self._modules[name] = module

    # ------------------------------------------------------ attribute protocol

    def __setattr__(self, name: str, value: Any) -> None:
        own = plain_dict(self)
        if isinstance(value, Parameter):
            if "_parameters" not in own:
                raise AttributeError("cannot assign parameters before Module.__init__() call")
            self._forget(name, own, self._buffers, self._modules)
            self.register_parameter(name, value)
            return
        if name in own.get("_parameters", ()):
            if value is not None:
                raise TypeError(
                    f"cannot assign '{_typename(value)}' as parameter '{name}' "
                    "(torch.nn.Parameter or None expected)"
                )
            self.register_parameter(name, value)
            return
        if isinstance(value, Module):
            if "_modules" not in own:
                raise AttributeError("cannot assign module before Module.__init__() call")
            self._forget(name, own, self._parameters, self._buffers)
            self._store_module(name, value)
            return
        if name in own.get("_modules", ()):
            if value is not None:
                raise TypeError(
                    f"cannot assign '{_typename(value)}' as child module '{name}' "
                    "(torch.nn.Module or None expected)"
                )
            self._store_module(name, value)
            return
        if name in own.get("_buffers", ()) or isinstance(value, Buffer):
            self._set_buffer(name, value)
            return
        if name in _WATCHED:
            if name in KINDS:
                keep_nothing(self)
            elif not isinstance(value, HookDict):
                value = HookDict(value)
        object.__setattr__(self, name, value)

    def _forget(self, name: str, *places: dict[str, Any]) -> None:
        """Drop what `name` meant before it gets a new kind of value."""
        for place in places:
            place.pop(name, None)
        self._non_persistent_buffers_set.discard(name)

    def _set_buffer(self, name: str, value: Any) -> None:
        if value is not None and not _is_tensor_like(value):
            raise TypeError(
                f"cannot assign '{_typename(value)}' as buffer '{name}' "
                "(torch.nn.Buffer, torch.Tensor or None expected)"
            )
        if isinstance(value, Buffer):
            persistent = value.persistent
        else:
            persistent = name not in self._non_persistent_buffers_set
        if type(self).register_buffer is not Module.register_buffer:
            # An override may predate the `persistent` argument.
            import inspect

            if "persistent" not in inspect.signature(self.register_buffer).parameters:
                if not persistent:
                    raise RuntimeError(
                        "Registering a non-persistent buffer "
                        "on a Module subclass that implements "
                        "register_buffer() without the persistent "
                        "argument is not allowed."
                    )
                self.register_buffer(name, value)
                return
        self.register_buffer(name, value, persistent)

    def __delattr__(self, name: str) -> None:
        if name in self._parameters:
            del self._parameters[name]
        elif name in self._buffers:
            del self._buffers[name]
            self._non_persistent_buffers_set.discard(name)
        elif name in self._modules:
            del self._modules[name]
        else:
            object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        keys = [*dir(self.__class__), *plain_attributes(self)]
        keys += [*self._parameters, *self._modules, *self._buffers]
        return sorted(key for key in keys if not key[0].isdigit())

    def __getstate__(self) -> dict[str, Any]:
        state = plain_attributes(self)
        state.pop("_compiled_call_impl", None)
        for kind in KINDS:
            if type(state.get(kind)) is Members:
                state[kind] = dict(state[kind])
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        keep_nothing(self)
        own = plain_dict(self)
        own.update(state)
        for name, make in _STATE_DEFAULTS:
            if name not in own:
                own[name] = make()
        for kind in KINDS:
            if type(own.get(kind)) is dict:
                own[kind] = Members(weakref.ref(self), own[kind])
        # Plain dictionaries of a file: handles in it point at them, so they must stay; nobody
        # would see a hook that is put into them, so calls look from now on.
        if not hooks_seen and not all(isinstance(own.get(name), HookDict) for name in _CALL_HOOKS):
            hooks_seen.append(True)

    def __copy__(self: _Tree) -> _Tree:
        # As in PyTorch, both modules have the same dictionaries: what one registers, both have.
        reduced: Any = self.__reduce_ex__(4)
        copied: _Tree = reduced[0](*reduced[1])
        state = reduced[2]
        if type(self).__getstate__ is Module.__getstate__:
            own = plain_dict(self)
            state |= {kind: own[kind] for kind in KINDS if kind in own}
        copied.__setstate__(state)
        return copied

    # -------------------------------------------------------------- look-up

    def _step_into(self, name: str) -> Any:
        if not hasattr(self, name):
            raise AttributeError(self._get_name() + " has no attribute `" + name + "`")
        return getattr(self, name)

    def get_submodule(self, target: str) -> Module:
        """The descendant with the dotted name `target` (the module itself for `""`).

        Raises:
            AttributeError: a part of the path is missing or is no module.
        """
        module: Any = self
        for name in target.split(".") if target else ():
            module = module._step_into(name)
            if not isinstance(module, Module):
                raise AttributeError("`" + name + "` is not an nn.Module")
        return module  # type: ignore[no-any-return]

    def set_submodule(self, target: str, module: Module, strict: bool = False) -> None:
        """Put `module` at the dotted name `target`.

        Args:
            target: where; its parents must exist.
            module: the new module.
            strict: refuse a name that does not exist yet. Default: `False`.
        """
        if target == "":
            raise ValueError("Cannot set the submodule without a target name!")
        if not isinstance(module, Module):
            raise ValueError("`" + "module" + f"` is not an nn.Module, found {type(module)}")
        path, _, name = target.rpartition(".")
        parent = self.get_submodule(path)
        if strict and not hasattr(parent, name):
            raise AttributeError(parent._get_name() + " has no attribute `" + name + "`")
        if hasattr(parent, name) and not isinstance(getattr(parent, name), Module):
            raise AttributeError("`" + name + "` is not an nn.Module")
        setattr(parent, name, module)

    def get_parameter(self, target: str) -> Any:
        """The parameter with the dotted name `target`; AttributeError when there is none."""
        path, _, name = target.rpartition(".")
        param = self.get_submodule(path)._step_into(name)
        if not isinstance(param, Parameter):
            raise AttributeError("`" + name + "` is not an nn.Parameter")
        return param

    def get_buffer(self, target: str) -> Any:
        """The buffer with the dotted name `target`; AttributeError when there is none."""
        path, _, name = target.rpartition(".")
        module = self.get_submodule(path)
        buffer = module._step_into(name)
        if name not in module._buffers:
            raise AttributeError("`" + name + "` is not a buffer")
        return buffer

    # ------------------------------------------------------------- traversal

    def _named_members(
        self,
        get_members_fn: Callable[[Any], Iterable[tuple[str, Any]]],
        prefix: str = "",
        recurse: bool = True,
        remove_duplicate: bool = True,
    ) -> Iterator[tuple[str, Any]]:
        """Walk over members of this module and, with `recurse`, of its descendants."""
        seen: set[Any] = set()
        modules: Iterable[tuple[str, Any]] = [(prefix, self)]
        if recurse:
            modules = self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate)
        for module_prefix, module in modules:
            dotted = module_prefix + "." if module_prefix else ""
            for name, member in get_members_fn(module):
                if member is None or member in seen:
                    continue
                if remove_duplicate:
                    seen.add(member)
                yield dotted + name, member

    def parameters(self, recurse: bool = True) -> Iterator[Any]:
        """Iterate over parameters: this module's own, and with `recurse` its descendants'."""
        for _, param in self.named_parameters(recurse=recurse):
            yield param

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Any]]:
        """Iterate over `(name, parameter)`; a shared parameter comes once by default."""
        yield from self._named_members(
            lambda module: module._parameters.items(), prefix, recurse, remove_duplicate
        )

    def buffers(self, recurse: bool = True) -> Iterator[Any]:
        """Iterate over buffers: this module's own, and with `recurse` its descendants'."""
        for _, buffer in self.named_buffers(recurse=recurse):
            yield buffer

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Any]]:
        """Iterate over `(name, buffer)`; a shared buffer comes once by default."""
        yield from self._named_members(
            lambda module: module._buffers.items(), prefix, recurse, remove_duplicate
        )

    def children(self) -> Iterator[Any]:
        """Iterate over the direct children, each once."""
        for _, module in self.named_children():
            yield module

    def named_children(self) -> Iterator[tuple[str, Any]]:
        """Iterate over `(name, child)` of the direct children, each once."""
        seen = set()
        for name, module in self._modules.items():
            if module is not None and module not in seen:
                seen.add(module)
                yield name, module

    def modules(self, remove_duplicate: bool = True) -> Iterator[Any]:
        """Iterate over this module and all its descendants, each once by default."""
        for _, module in self.named_modules(remove_duplicate=remove_duplicate):
            yield module

    def named_modules(
        self, memo: set[Any] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Any]]:
        """Iterate over `(dotted name, module)`, this module first, under the name `prefix`.

        Example:
            >>> import rushlight as rl
            >>> [name for name, _ in rl.nn.Sequential(rl.nn.ReLU()).named_modules()]
            ['', '0']
        """
        memo = set() if memo is None else memo
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        dotted = prefix + "." if prefix else ""
        for name, module in self._modules.items():
            if module is not None:
                yield from module.named_modules(memo, dotted + name, remove_duplicate)

    def apply(self: _Tree, fn: Callable[[Any], Any]) -> _Tree:
        """Call `fn` on every descendant, children first, then on this module; return it."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    # ------------------------------------------------------- mode and gradient

    def train(self: _Tree, mode: bool = True) -> _Tree:
        """Set training mode (dropout, batch statistics) here and below; return the module."""
        if not isinstance(mode, bool):
            raise ValueError("training mode is expected to be boolean")
        self.training = mode
        for module in self.children():
            module.train(mode)
        return self

    def eval(self: _Tree) -> _Tree:
        """Set evaluation mode: the same as `train(False)`."""
        return self.train(False)

    def requires_grad_(self: _Tree, requires_grad: bool = True) -> _Tree:
        """Train (or freeze) every parameter here and below; return the module."""
        for param in self.parameters():
            param.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop every parameter's gradient, or fill it with zeros with `set_to_none=False`."""
        if getattr(self, "_is_replica", False):
            warnings.warn(
                "Calling .zero_grad() from a module created with nn.DataParallel() has no effect. "
                "The parameters are copied (in a differentiable manner) from the original module. "
                "This means they are not leaf nodes in autograd and so don't accumulate "
                "gradients. If you need gradients in your forward method, consider using "
                "autograd.grad instead.",
                stacklevel=2,
            )
        for param in self.parameters():
            if param.grad is None:
                continue
            if set_to_none:
                param.grad = None
                continue
            if param.grad.grad_fn is not None:
                param.grad.detach_()
            else:
                param.grad.requires_grad_(False)
            param.grad.zero_()

    # -------------------------------------------------------------- conversion

    def _apply(self: _Tree, fn: Callable[[Any], Any], recurse: bool = True) -> _Tree:
        """Replace every parameter, gradient and buffer by `fn` of it, keeping its identity."""
        if recurse:
            for module in self.children():
                module._apply(fn)
        for param in self._parameters.values():
            if param is None:
                continue
            with rl.no_grad():
                param.data = fn(param)
            if param.grad is not None:
                with rl.no_grad():
                    param.grad.data = fn(param.grad)
        for name, buffer in self._buffers.items():
            if buffer is not None:
                self._buffers[name] = fn(buffer)
        return self

    def _cast(self: _Tree, dtype: Any) -> _Tree:
        return self._apply(lambda t: t.to(dtype) if t.is_floating_point() else t)

    def to(self: _Tree, *args: Any, **kwargs: Any) -> _Tree:
        """Move and cast parameters and buffers in place; return the module.

        Called as `to(device)`, `to(dtype)`, `to(device, dtype)`, `to(tensor)` or
        `to(memory_format=...)`, with `non_blocking` where it applies. Integer tensors move but
        keep their dtype; a memory format reaches four- and five-dimensional tensors only.

        Raises:
            TypeError: the dtype is neither floating point nor complex.

        Example:
            >>> import rushlight as rl
            >>> rl.nn.Linear(2, 2).to(rl.float64).weight.dtype
            torch.float64
        """
        device, dtype, non_blocking, memory_format = _parse_to(*args, **kwargs)
        if dtype is not None:
            if not (dtype.is_floating_point or dtype.is_complex):
                raise TypeError(
                    "nn.Module.to only accepts floating point or complex "
                    f"dtypes, but got desired dtype={dtype}"
                )
            if dtype.is_complex:
                warnings.warn(
                    "Complex modules are a new feature under active development whose design may "
                    "change, and some modules might not work as expected when using complex "
                    "tensors as parameters or buffers. Please file an issue at "
                    "https://github.com/pytorch/pytorch/issues/new?template=bug-report.yml "
                    "if a complex module does not work as expected.",
                    stacklevel=2,
                )

        def convert(t: Any) -> Any:
            castable = t.is_floating_point() or t.is_complex()
            options = {}
            if memory_format is not None and t.dim() in (4, 5):
                options["memory_format"] = memory_format
            try:
                return t.to(device, dtype if castable else None, non_blocking, **options)
            except NotImplementedError as error:
                if str(error) != "Cannot copy out of meta tensor; no data!":
                    raise
                raise NotImplementedError(
                    f"{error} Please use torch.nn.Module.to_empty() instead of "
                    "torch.nn.Module.to() when moving module from meta to a different device."
                ) from None

        return self._apply(convert)

    def to_empty(self: _Tree, *, device: Any, recurse: bool = True) -> _Tree:
        """Move to `device` without copying values: memory there is not initialised."""
        return self._apply(lambda t: rl.empty_like(t, device=device), recurse=recurse)

    def cuda(self: _Tree, device: Any = None) -> _Tree:
        """Move parameters and buffers to a GPU (the current one by default), in place."""
        return self._apply(lambda t: t.cuda(device))

    def cpu(self: _Tree) -> _Tree:
        """Move parameters and buffers to the CPU, in place."""
        return self._apply(lambda t: t.cpu())

    def type(self: _Tree, dst_type: Any) -> _Tree:
        """Cast every parameter and buffer to `dst_type`, integers too."""
        return self._apply(lambda t: t.type(dst_type))

    def float(self: _Tree) -> _Tree:
        """Cast floating-point parameters and buffers to float32, in place."""
        return self._cast(rl.float32)

    def double(self: _Tree) -> _Tree:
        """Cast floating-point parameters and buffers to float64, in place."""
        return self._cast(rl.float64)

    def half(self: _Tree) -> _Tree:
        """Cast floating-point parameters and buffers to float16, in place."""
        return self._cast(rl.float16)

    def bfloat16(self: _Tree) -> _Tree:
        """Cast floating-point parameters and buffers to bfloat16, in place."""
        return self._cast(rl.bfloat16)

    def share_memory(self: _Tree) -> _Tree:
        """Move parameters and buffers to memory that other processes can map."""
        return self._apply(lambda t: t.share_memory_())

    # ---------------------------------------------------------------- printing

    def _get_name(self) -> str:
        return self.__class__.__name__

    def extra_repr(self) -> str:
        """What stands between the brackets of `repr`; subclasses say their settings here."""
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr()
        extra_lines = extra.split("\n") if extra else []
        child_lines = [
            f"({name}): {_addindent(repr(module), 2)}" for name, module in self._modules.items()
        ]
        lines = extra_lines + child_lines
        if not lines:
            body = ""
        elif len(extra_lines) == 1 and not child_lines:
            body = extra_lines[0]
        else:
            body = "\n  " + "\n  ".join(lines) + "\n"
        return f"{self._get_name()}({body})"

    def _replicate_for_data_parallel(self) -> Any:
        replica = self.__new__(type(self))
        plain_dict(replica).update(plain_attributes(self))
        replica._parameters = {}
        replica._buffers = replica._buffers.copy()
        replica._modules = replica._modules.copy()
        replica._is_replica = True
        return replica
