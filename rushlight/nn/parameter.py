"""Parameter and Buffer: tensors that a Module registers when they are assigned to it.

In: a tensor.  Out: a `Parameter` (trained, found by `Module.parameters()`) or a tensor marked as a
buffer (state that is saved but not trained); and the lazy forms whose shape is not known yet.
Operations on parameters return plain tensors.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import rushlight as rl
from rushlight.dispatch.overrides import DisableTorchFunctionSubclass
from rushlight.dispatch.tensor import Tensor

__all__ = [
    "Parameter",
    "UninitializedParameter",
    "is_lazy",
    "Buffer",
    "UninitializedBuffer",
    "UninitializedTensorMixin",
]

_TensorMeta: Any = type(Tensor)
_Tensor: Any = Tensor


class _ParameterMeta(_TensorMeta):  # type: ignore[misc]
    """Lets custom tensor subclasses marked `_is_param` pass `isinstance(x, Parameter)`."""

    def __instancecheck__(self, instance: Any) -> bool:
        if type.__instancecheck__(self, instance):
            return True
        marked = self is Parameter and isinstance(instance, Tensor)
        return marked and bool(getattr(instance, "_is_param", False))


class Parameter(Tensor, metaclass=_ParameterMeta):
    """A tensor that is a module's parameter as soon as it is assigned to an attribute of it.

    Args:
        data: the tensor whose memory the parameter shares; an empty one when absent.
        requires_grad: whether the parameter is trained. Default: `True`.

    Example:
        >>> import rushlight as rl
        >>> module = rl.nn.Module()
        >>> module.scale = rl.nn.Parameter(rl.ones(2))
        >>> [name for name, _ in module.named_parameters()]
        ['scale']
    """

    _is_parameter = True  # for printing

    def __new__(cls, data: Any = None, requires_grad: bool = True) -> Any:
        if data is None:
            data = rl.empty(0)
        if type(data) is Tensor or type(data) is Parameter:
            if requires_grad and not (data.is_floating_point() or data.is_complex()):
                raise RuntimeError(
                    "Only Tensors of floating point and complex dtype can require gradients"
                )
            return _Tensor._make_subclass(cls, data, requires_grad)
        # A custom tensor keeps its own type and is marked instead.
        marked = data.detach().requires_grad_(requires_grad)
        if type(marked) is not type(data):
            raise RuntimeError(
                f"Creating a Parameter from an instance of type {type(data).__name__} "
                "requires that detach() returns an instance of the same type, but return "
                f"type {type(marked).__name__} was found instead. To use the type as a "
                "Parameter, please correct the detach() semantics defined by "
                "its __torch_dispatch__() implementation."
            )
        marked._is_param = True
        return marked

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        if id(self) not in memo:
            copied = self.data.clone(memory_format=rl.preserve_format)
            memo[id(self)] = type(self)(copied, self.requires_grad)
        return memo[id(self)]

    def __reduce_ex__(self, proto: Any) -> Any:
        state = rl._utils._get_obj_state(self)
        # Hooks are never pickled; the empty dictionary keeps PyTorch's form.
        args: tuple[Any, ...] = (self.data, self.requires_grad, OrderedDict())
        if not state:
            return rl._utils._rebuild_parameter, args
        return rl._utils._rebuild_parameter_with_state, (*args, state)

    __torch_function__: Any = classmethod(rl._disabled_torch_function_impl)


class UninitializedTensorMixin:
    """What lazy parameters and buffers share: no shape until `materialize` gives them one."""

    cls_to_become: Any
    data: Any
    requires_grad: bool

    _overrides = True  # every operation comes to `__torch_function__`

    # The few operations that mean something without a shape: conversions and copies.
    _allowed = frozenset(
        (
            *("to", "cast", "clone", "copy_", "detach", "requires_grad_", "empty_like"),
            *("float", "double", "half", "bfloat16", "char", "short", "int", "long"),
            *("cpu", "cuda", "size", "is_complex", "is_floating_point", "get_device"),
        )
    )

    def materialize(self, shape: Any, device: Any = None, dtype: Any = None) -> None:
        """Become an ordinary parameter or tensor of `shape`, with memory that is not initialised.

        Args:
            shape: the shape.
            device: default: the device given at construction.
            dtype: default: the dtype given at construction.
        """
        device = self.data.device if device is None else device
        dtype = self.data.dtype if dtype is None else dtype
        self.data = rl.empty(shape, device=device, dtype=dtype)
        self.__class__ = self.cls_to_become

    @property
    def shape(self) -> Any:
        """There is none yet: reading it raises."""
        raise RuntimeError(
            "Can't access the shape of an uninitialized parameter or buffer. "
            "This error usually happens in `load_state_dict` when trying to load "
            "an uninitialized parameter into an initialized one. "
            "Call `forward` to initialize the parameters before accessing their attributes."
        )

    def share_memory_(self) -> Any:
        """There is no memory yet: this raises."""
        raise RuntimeError(
            "Can't share memory on an uninitialized parameter or buffer. "
            "Call `forward` to initialize the parameters before calling "
            "`module.share_memory()`."
        )

    def __repr__(self, *args: Any, **kwargs: Any) -> str:
        return f"<{self.__class__.__name__}>"

    def __reduce_ex__(self, proto: Any) -> Any:
        return self.__class__, (self.requires_grad,)

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        # Reading `data` and other attributes arrives as a method wrapper.
        wrapper = func.__class__.__name__ == "method-wrapper"
        if wrapper or getattr(func, "__name__", "") in cls._allowed:
            with DisableTorchFunctionSubclass():
                return func(*args, **(kwargs or {}))
        raise ValueError(
            f"Attempted to use an uninitialized parameter in {func}. "
            "This error happens when you are using a `LazyModule` or "
            f"explicitly manipulating `torch.nn.parameter.{cls.__name__}` "
            "objects. When using LazyModules Call `forward` with a dummy batch "
            "to initialize the parameters before calling torch functions"
        )


def is_lazy(param: Any) -> bool:
    """Whether `param` is a parameter or buffer that has no shape yet."""
    return isinstance(param, UninitializedTensorMixin)


class UninitializedParameter(UninitializedTensorMixin, Parameter):  # type: ignore[misc, metaclass]
    """A parameter whose shape the first forward pass decides (see the Lazy modules).

    Args:
        requires_grad: whether the parameter is trained. Default: `True`.
        device: the device it will be made on.
        dtype: the dtype it will have.

    Example:
        >>> import rushlight as rl
        >>> p = rl.nn.UninitializedParameter()
        >>> p.materialize((2, 3))
        >>> p.shape
        torch.Size([2, 3])
    """

    cls_to_become = Parameter

    def __new__(cls, requires_grad: bool = True, device: Any = None, dtype: Any = None) -> Any:
        data = rl.empty(0, device=device, dtype=dtype)
        return _Tensor._make_subclass(cls, data, requires_grad)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        if id(self) not in memo:
            memo[id(self)] = type(self)(self.requires_grad, self.data.device, self.data.dtype)
        return memo[id(self)]


class _BufferMeta(_TensorMeta):  # type: ignore[misc]
    """`isinstance(x, Buffer)` asks for the mark that `Buffer(...)` leaves on a tensor."""

    def __instancecheck__(self, instance: Any) -> bool:
        if type.__instancecheck__(self, instance):
            return True
        marked = self is Buffer and isinstance(instance, Tensor)
        return marked and bool(getattr(instance, "_is_buffer", False))


class Buffer(Tensor, metaclass=_BufferMeta):
    """Mark a tensor so that assigning it to a module registers it as a buffer.

    Args:
        data: the tensor; an empty one when absent.
        persistent: whether the buffer belongs to the module's `state_dict`. Default: `True`.

    Example:
        >>> import rushlight as rl
        >>> module = rl.nn.Module()
        >>> module.mean = rl.nn.Buffer(rl.zeros(3))
        >>> list(module.state_dict())
        ['mean']
    """

    def __new__(cls, data: Any = None, *, persistent: bool = True) -> Any:
        if data is None:
            data = rl.empty(0)
        marked = data.detach().requires_grad_(data.requires_grad)
        marked.persistent = persistent
        marked._is_buffer = True
        return marked

    __torch_function__: Any = classmethod(rl._disabled_torch_function_impl)


class UninitializedBuffer(UninitializedTensorMixin, Tensor):  # type: ignore[misc]
    """A buffer whose shape the first forward pass decides.

    Args:
        requires_grad: default: `False`.
        device: the device it will be made on.
        dtype: the dtype it will have.
        persistent: whether the buffer belongs to the module's `state_dict`. Default: `True`.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.parameter.is_lazy(rl.nn.UninitializedBuffer())
        True
    """

    cls_to_become = Tensor

    def __new__(
        cls,
        requires_grad: bool = False,
        device: Any = None,
        dtype: Any = None,
        persistent: bool = True,
    ) -> Any:
        data = rl.empty(0, device=device, dtype=dtype)
        made = _Tensor._make_subclass(cls, data, requires_grad)
        made.persistent = persistent
        made._is_buffer = True
        return made
