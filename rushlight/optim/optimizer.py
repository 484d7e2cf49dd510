"""The optimizer base: parameter groups, state, files, hooks, and the step over parameters.

In: parameters with their `.grad`, and hyper-parameters by group.  Out: parameters changed in
place.  `Optimizer` does the bookkeeping; `RuleOptimizer` walks the parameters; each optimizer's
arithmetic stands apart, as one function of tensors and numbers in its own file, so that a
compiled step can take the place of the walk.  Names, errors and the layout of `state_dict()` are
PyTorch 2.13's (`torch.optim.optimizer`), so that optimizer files travel both ways.
"""

from __future__ import annotations

import functools
import warnings
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Hashable, Iterable
from copy import deepcopy
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import rushlight as rl
from rushlight.dispatch.doors import EAGER, STEP, ZERO, door, interrupt
from rushlight.dispatch.modes import state
from rushlight.utils.hooks import RemovableHandle

if TYPE_CHECKING:
    from rushlight import Tensor

__all__ = [
    "Optimizer",
    "register_optimizer_step_pre_hook",
    "register_optimizer_step_post_hook",
]

StateDict: TypeAlias = dict[str, Any]
ParamsT: TypeAlias = Iterable[Any]
Group: TypeAlias = dict[str, Any]
State: TypeAlias = dict[str, Any]
Closure: TypeAlias = Callable[[], Any]
F = TypeVar("F", bound=Callable[..., Any])

_global_optimizer_pre_hooks: dict[int, Callable[..., Any]] = OrderedDict()
_global_optimizer_post_hooks: dict[int, Callable[..., Any]] = OrderedDict()

# The hook tables that every optimizer carries, and that a file or a pickle leaves out.
_HOOK_TABLES = (
    "_optimizer_step_pre_hooks",
    "_optimizer_step_post_hooks",
    "_optimizer_state_dict_pre_hooks",
    "_optimizer_state_dict_post_hooks",
    "_optimizer_load_state_dict_pre_hooks",
    "_optimizer_load_state_dict_post_hooks",
)
# Devices on which a step can be recorded with its counters (`capturable=True`), as PyTorch says.
_CAPTURABLE_DEVICES = ["cuda", "xpu", "hpu", "privateuseone", "xla"]


class _RequiredParameter:
    """The default of a hyper-parameter that has none: every group must give it."""

    def __repr__(self) -> str:
        return "<required parameter>"


required = _RequiredParameter()


def register_optimizer_step_pre_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call `hook(optimizer, args, kwargs)` before every step of every optimizer.

    The hook may return `(args, kwargs)`, which then replace the arguments of the step.
    """
    handle = RemovableHandle(_global_optimizer_pre_hooks)
    _global_optimizer_pre_hooks[handle.id] = hook
    return handle


def register_optimizer_step_post_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """Call `hook(optimizer, args, kwargs)` after every step of every optimizer."""
    handle = RemovableHandle(_global_optimizer_post_hooks)
    _global_optimizer_post_hooks[handle.id] = hook
    return handle


def _use_grad_for_differentiable(func: F) -> F:
    """Run a `step` with gradients off, or on where the optimizer is `differentiable`."""

    @functools.wraps(func)
    def with_mode(*args: Any, **kwargs: Any) -> Any:
        previous = rl.is_grad_enabled()
        rl.set_grad_enabled(args[0].defaults["differentiable"])
        try:
            return func(*args, **kwargs)
        finally:
            rl.set_grad_enabled(previous)

    return with_mode  # type: ignore[return-value]


# --- what the rules share ---------------------------------------------------------------------


def number(value: Any) -> Any:
    """The Python number of a hyper-parameter, which may be given as a one-element tensor."""
    if type(value) is float or not isinstance(value, rl.Tensor):
        return value
    return value.item()


def scalar(value: Any) -> Any:
    """A hyper-parameter without dimensions: (1,) tensors become (), numbers stay numbers."""
    if type(value) is float or not isinstance(value, rl.Tensor) or value.dim() == 0:
        return value
    return value.squeeze()


def counter_dtype(is_fused: bool | None = None) -> Any:
    """The dtype of step counters: float32, or float64 where that is the default dtype."""
    if is_fused:
        return rl.float32
    return rl.float64 if rl.get_default_dtype() == rl.float64 else rl.float32


def new_counter(param: Tensor, group: Group) -> Any:
    """A zero step counter: on the host, or beside the parameter if the step is to be recorded."""
    fused = group.get("fused")
    if group.get("capturable") or fused:
        return rl.zeros((), dtype=counter_dtype(fused), device=param.device)
    return rl.zeros((), dtype=counter_dtype())


def zeros_like(param: Tensor) -> Any:
    """A zero buffer with the shape and the strides of a parameter."""
    return rl.zeros_like(param, memory_format=rl.preserve_format)


def check_capturable(names: str, *tensors: Tensor) -> None:
    """Refuse `capturable=True` where the device cannot record a step."""
    kinds = {tensor.device.type for tensor in tensors}
    if len(kinds) != 1 or kinds.pop() not in _CAPTURABLE_DEVICES:
        raise AssertionError(
            f"If capturable=True, {names} must be on supported devices: {_CAPTURABLE_DEVICES}."
        )


def check_fused(param: Tensor) -> None:
    """Refuse `fused=True` for parameters that are not floating point."""
    if not param.is_floating_point():
        raise RuntimeError(
            "`fused=True` requires all the params to be floating point Tensors of "
            f"supported devices: ['mps', 'cuda', 'xpu', 'hpu', 'cpu', 'mtia', 'privateuseone'] "
            f"but {param.dtype} and {param.device.type}"
        )


def check_lr(lr: Any) -> None:
    """A learning rate is a number or a one-element tensor, and not negative."""
    if isinstance(lr, rl.Tensor) and lr.numel() != 1:
        raise ValueError("Tensor lr must be 1-element")
    if not lr >= 0.0:
        raise ValueError(f"Invalid learning rate: {lr}")


def check_not_negative(text: str, value: Any) -> None:
    """Raise `Invalid <text>: <value>` for a negative value or NaN."""
    if not value >= 0.0:
        raise ValueError(f"Invalid {text}: {value}")


def check_betas(betas: Any) -> None:
    """Both averaging factors lie in [0, 1)."""
    for i in (0, 1):
        if not 0.0 <= betas[i] < 1.0:
            raise ValueError(f"Invalid beta parameter at index {i}: {betas[i]}")


def check_fused_options(fused: Any, foreach: Any, differentiable: bool) -> None:
    """`fused` goes with neither `differentiable` nor `foreach`."""
    if fused and differentiable:
        raise RuntimeError("`fused` does not support `differentiable`")
    if fused and foreach:
        raise RuntimeError("`fused` and `foreach` cannot be `True` together.")


# --- the base ---------------------------------------------------------------------------------


class Optimizer:
    """Base class of all optimizers.

    Args:
        params: the tensors to optimize, as an iterable of tensors, of `(name, tensor)` pairs, or
            of dictionaries that each describe a group (`{"params": [...], "lr": 0.1}`).
        defaults: hyper-parameters of the groups that do not give their own.

    Attributes:
        param_groups: list of dictionaries: `"params"` and the group's hyper-parameters.
        state: what the optimizer remembers, by parameter.
        defaults: the default hyper-parameters.

    Raises:
        TypeError: `params` is a tensor or a set, or holds something that is not a tensor.
        ValueError: no parameters, a parameter twice, or one that is not a leaf.

    Example:
        >>> import rushlight as rl
        >>> weight = rl.nn.Parameter(rl.ones(2))
        >>> optimizer = rl.optim.SGD([weight], lr=0.5)
        >>> weight.sum().backward()
        >>> optimizer.step()
        >>> weight.tolist()
        [0.5, 0.5]
    """

    _optimizer_step_pre_hooks: OrderedDict[int, Callable[..., Any]]
    _optimizer_step_post_hooks: OrderedDict[int, Callable[..., Any]]
    _optimizer_state_dict_pre_hooks: OrderedDict[int, Callable[..., Any]]
    _optimizer_state_dict_post_hooks: OrderedDict[int, Callable[..., Any]]
    _optimizer_load_state_dict_pre_hooks: OrderedDict[int, Callable[..., Any]]
    _optimizer_load_state_dict_post_hooks: OrderedDict[int, Callable[..., Any]]

    def __init__(self, params: ParamsT, defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        self._add_hook_tables()
        self._patch_step_function()
        if isinstance(params, rl.Tensor):
            raise TypeError(
                "params argument given to the optimizer should be "
                "an iterable of Tensors or dicts, but got " + rl.typename(params)
            )
        self.state: defaultdict[Any, Any] = defaultdict(dict)
        self.param_groups: list[Group] = []
        groups = list(params)
        if len(groups) == 0:
            raise ValueError("optimizer got an empty parameter list")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    def _add_hook_tables(self) -> None:
        for name in _HOOK_TABLES:
            if name not in self.__dict__:
                setattr(self, name, OrderedDict())

    def __getstate__(self) -> dict[str, Any]:
        return {
            "defaults": self.defaults,
            "state": self.state,
            "param_groups": self.param_groups,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._add_hook_tables()
        self._patch_step_function()
        self.defaults.setdefault("differentiable", False)

    def __repr__(self) -> str:
        text = type(self).__name__ + " ("
        for i, group in enumerate(self.param_groups):
            lines = [f"    {key}: {group[key]}\n" for key in sorted(group) if key != "params"]
            text += f"\nParameter Group {i}\n" + "".join(lines)
        return text + ")"

    # --- the step and its hooks ---

    def step(self, closure: Closure | None = None) -> Any:
        """Update the parameters once; every optimizer has its own.

        Args:
            closure: evaluates the model again, calls `backward()` and returns the loss.

        Returns:
            what `closure` returned, or None.
        """
        raise NotImplementedError

    @staticmethod
    def profile_hook_step(func: F) -> F:
        """Wrap a class's `step` so that it runs the step hooks."""

        @functools.wraps(func)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            self = args[0]
            pre, post = self._optimizer_step_pre_hooks, self._optimizer_step_post_hooks
            if not (pre or post or _global_optimizer_pre_hooks or _global_optimizer_post_hooks):
                return func(self) if len(args) == 1 and not kwargs else func(*args, **kwargs)
            for hook in chain(_global_optimizer_pre_hooks.values(), pre.values()):
                answer = hook(self, args, kwargs)
                if answer is None:
                    continue
                if not (isinstance(answer, tuple) and len(answer) == 2):
                    raise RuntimeError(
                        f"{func} must return None or a tuple of (new_args, new_kwargs), "
                        f"but got {answer}."
                    )
                args, kwargs = answer
            out = func(*args, **kwargs)
            for hook in chain(post.values(), _global_optimizer_post_hooks.values()):
                hook(self, args, kwargs)
            return out

        return wrapper  # type: ignore[return-value]

    def _patch_step_function(self) -> None:
        """Wrap the `step` of this optimizer's class, once a class."""
        cls = type(self)
        if not getattr(cls.step, "hooked", None):
            cls.step = self.profile_hook_step(cls.step)  # type: ignore[method-assign]
            cls.step.hooked = True  # type: ignore[attr-defined]

    def _register(
        self, table: str, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        hooks: OrderedDict[int, Callable[..., Any]] = getattr(self, table)
        handle = RemovableHandle(hooks)
        hooks[handle.id] = hook
        if prepend:
            hooks.move_to_end(handle.id, last=False)
        return handle

    def register_step_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(optimizer, args, kwargs)` before each step; it may return new arguments."""
        return self._register("_optimizer_step_pre_hooks", hook)

    def register_step_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(optimizer, args, kwargs)` after each step."""
        return self._register("_optimizer_step_post_hooks", hook)

    def register_state_dict_pre_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call `hook(optimizer)` before `state_dict()` gathers anything."""
        return self._register("_optimizer_state_dict_pre_hooks", hook, prepend)

    def register_state_dict_post_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call `hook(optimizer, state_dict)` on each state dict; it may return another one."""
        return self._register("_optimizer_state_dict_post_hooks", hook, prepend)

    def register_load_state_dict_pre_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call `hook(optimizer, state_dict)` before loading; it may return another state dict."""
        return self._register("_optimizer_load_state_dict_pre_hooks", hook, prepend)

    def register_load_state_dict_post_hook(
        self, hook: Callable[..., Any], prepend: bool = False
    ) -> RemovableHandle:
        """Call `hook(optimizer)` after a state dict was loaded."""
        return self._register("_optimizer_load_state_dict_post_hooks", hook, prepend)

    # --- files ---

    def state_dict(self) -> StateDict:
        """The optimizer's state and groups, with parameters replaced by their numbers.

        Returns:
            `{"state": {number: {...}}, "param_groups": [{..., "params": [numbers]}]}`.  Tensors
            are the optimizer's own, not copies.
        """
        for hook in self._optimizer_state_dict_pre_hooks.values():
            hook(self)
        numbers: dict[int, int] = {}
        groups: list[Group] = []
        start = 0
        for group in self.param_groups:
            params = group["params"]
            for i, param in enumerate(params, start):
                numbers.setdefault(id(param), i)
            packed = {key: value for key, value in group.items() if key != "params"}
            packed["params"] = [numbers[id(param)] for param in params]
            groups.append(packed)
            start += len(params)
        state = {
            (numbers[id(key)] if isinstance(key, rl.Tensor) else key): value
            for key, value in self.state.items()
        }
        result: StateDict = {"state": state, "param_groups": groups}
        for hook in self._optimizer_state_dict_post_hooks.values():
            answer = hook(self, result)
            if answer is not None:
                result = answer
        return result

    def load_state_dict(self, state_dict: StateDict) -> None:
        """Take over the state and the hyper-parameters of a `state_dict()`.

        Buffers are brought to the dtype and device of their parameter; step counters keep theirs.

        Raises:
            ValueError: the groups differ in number or in size.
        """
        state_dict = state_dict.copy()
        for hook in self._optimizer_load_state_dict_pre_hooks.values():
            answer = hook(self, state_dict)
            if answer is not None:
                state_dict = answer
        groups = self.param_groups
        saved_groups = deepcopy(state_dict["param_groups"])
        if len(groups) != len(saved_groups):
            raise ValueError("loaded state dict has a different number of parameter groups")
        if any(
            len(group["params"]) != len(saved["params"])
            for group, saved in zip(groups, saved_groups, strict=True)
        ):
            raise ValueError(
                "loaded state dict contains a parameter group "
                "that doesn't match the size of optimizer's group"
            )
        params = {
            number: (param, saved)
            for group, saved in zip(groups, saved_groups, strict=True)
            for number, param in zip(saved["params"], group["params"], strict=True)
        }
        state: defaultdict[Any, Any] = defaultdict(dict)
        for key, value in state_dict["state"].items():
            if key in params:
                param, saved = params[key]
                state[param] = _adapt(param, value, saved)
            else:
                state[key] = value
        for group, saved in zip(groups, saved_groups, strict=True):
            saved["params"] = group["params"]
            if "param_names" in group and "param_names" not in saved:
                saved["param_names"] = group["param_names"]
        self.__setstate__({"state": state, "param_groups": saved_groups})
        for hook in self._optimizer_load_state_dict_post_hooks.values():
            hook(self)

    # --- gradients and groups ---

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters.

        Args:
            set_to_none: set `.grad` to None (default); else fill it with zeros.
        """
        if set_to_none:
            door[0](None, (self,), (), ZERO)
            return
        for group in self.param_groups:
            for param in group["params"]:
                grad = param.grad
                if grad is None:
                    continue
                if grad.grad_fn is not None:
                    grad.detach_()
                else:
                    grad.requires_grad_(False)
                grad.zero_()

    def add_param_group(self, param_group: Group) -> None:
        """Add a group of parameters, e.g. layers that are unfrozen during training.

        Args:
            param_group: `"params"` and the hyper-parameters that differ from the defaults.
        """
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        params = param_group["params"]
        if isinstance(params, rl.Tensor):
            params = [params]
        elif isinstance(params, set):
            raise TypeError(
                "optimizer parameters need to be organized in ordered collections, but "
                "the ordering of tensors in sets will change between runs. "
                "Please use a list instead."
            )
        params, names = _split_names(list(params))
        param_group["params"] = params
        if names:
            param_group["param_names"] = names
        for param in params:
            self._check_param(param)
        for name, default in self.defaults.items():
            if default is required and name not in param_group:
                raise ValueError(
                    "parameter group didn't specify a value of required optimization parameter "
                    + name
                )
            param_group.setdefault(name, default)
        if len(params) != len(set(params)):
            warnings.warn(
                "optimizer contains a parameter group with duplicate parameters; "
                "in future, this will cause an error; "
                "see github.com/pytorch/pytorch/issues/40967 for more information",
                stacklevel=3,
            )
        self._check_against_groups(param_group)
        self.param_groups.append(param_group)

    def _check_param(self, param: Any) -> None:
        if not isinstance(param, rl.Tensor):
            raise TypeError(
                "optimizer can only optimize Tensors, "
                "but one of the params is " + rl.typename(param)
            )
        if not self.defaults.get("differentiable", None) and not (
            param.is_leaf or param.retains_grad
        ):
            raise ValueError("can't optimize a non-leaf Tensor")

    def _check_against_groups(self, new: Group) -> None:
        known: set[Any] = set()
        for group in self.param_groups:
            known.update(group["params"])
            if ("param_names" in new) != ("param_names" in group):
                kind = "with names" if "param_names" in new else "without names"
                raise ValueError(
                    "all optimizer param groups should be with/without names. "
                    f"cannot add param group {kind} to the optimizer"
                )
        if not known.isdisjoint(new["params"]):
            raise ValueError("some parameters appear in more than one parameter group")


def _split_names(entries: list[Any]) -> tuple[list[Any], list[str]]:
    """Separate `(name, tensor)` pairs; all entries have a name or none has."""
    names = [entry[0] for entry in entries if isinstance(entry, tuple)]
    params = [entry[1] if isinstance(entry, tuple) else entry for entry in entries]
    if names and len(names) != len(params):
        raise ValueError(
            "all optimizer params should be with/without names. Some param names are missing"
        )
    return params, names


def _adapt(param: Tensor, value: Any, group: Group, key: Hashable = None) -> Any:
    """A loaded state entry, brought to its parameter's dtype and device."""
    if isinstance(value, rl.Tensor):
        if key == "step":
            if group.get("capturable", False) or group.get("fused", False):
                return value.to(dtype=rl.float32, device=param.device)
            return value
        if param.is_floating_point():
            return value.to(dtype=param.dtype, device=param.device)
        return value.to(device=param.device)
    if isinstance(value, dict):
        return {k: _adapt(param, v, group, k) for k, v in value.items()}
    if isinstance(value, Iterable):
        return type(value)(_adapt(param, v, group) for v in value)  # type: ignore[call-arg]
    return value


class RuleOptimizer(Optimizer):
    """An optimizer that treats each parameter alone: `step` walks, `_update` applies the rule.

    Subclasses define `_update(param, grad, group)`, which sees to the parameter's state and calls
    the file's rule, and `_DEFAULTS`, what groups of older files may lack.
    """

    _DEFAULTS: dict[str, Any] = {}

    def _update(self, param: Tensor, grad: Tensor, group: Group) -> None:
        """Change one parameter in place."""
        raise NotImplementedError

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            for key, value in self._DEFAULTS.items():
                group.setdefault(key, value)
            for param in group["params"]:
                known = self.state.get(param)
                if known:
                    self._restore_counters(param, known, group)

    def _restore_counters(self, param: Tensor, state: State, group: Group) -> None:
        """Make a tensor of a step counter that an older file holds as a number."""
        step = state.get("step")
        if step is not None and not isinstance(step, rl.Tensor):
            state["step"] = new_counter(param, group).fill_(float(step))

    def step(self, closure: Closure | None = None) -> Any:
        """Update every parameter that has a gradient.

        Args:
            closure: evaluates the model again, calls `backward()` and returns the loss; it runs
                with gradients on.

        Returns:
            what `closure` returned, or None.
        """
        loss = None
        if closure is not None:
            with rl.enable_grad():
                loss = closure()
        if self.defaults.get("differentiable", False):
            interrupt("a differentiable step")
            with rl.enable_grad():
                self._walk(self.param_groups)
        else:
            door[0](None, (self,), (), STEP)
        return loss

    def _walk(self, groups: Iterable[Group]) -> None:
        """Update every parameter that has a gradient, by the hyper-parameters of these groups."""
        update = self._update
        for group in groups:
            for param in group["params"]:
                grad = param._grad
                if grad is not None:
                    update(param, grad, group)


def _zero_now(op: Any, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> None:
    for group in inputs[0].param_groups:
        for param in group["params"]:
            param._grad = None


def _step_now(op: Any, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> None:
    """One step; `attrs` may hold groups to read the hyper-parameters from."""
    previous = state.grad
    state.grad = False
    try:
        inputs[0]._walk(*attrs or (inputs[0].param_groups,))
    finally:
        state.grad = previous


EAGER[ZERO] = _zero_now
EAGER[STEP] = _step_now
