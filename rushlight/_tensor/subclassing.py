"""Subclasses of Tensor: ``as_subclass``, the default ``__torch_function__``, and the class itself.

An ordinary subclass keeps its type through operators, as in PyTorch: the default implementation
runs the function on plain tensors and converts the results.
"""

from __future__ import annotations

import functools
import sys
import types
from typing import Any

from rushlight._tensor.api import FUNCTIONS, function, method
from rushlight.dispatch import gate, modes, tape
from rushlight.dispatch.overrides import DisableTorchFunctionSubclass, redirect
from rushlight.dispatch.tensor import Tensor, alias

__all__ = ["converted"]


def _subclassed(cls: type, **kwargs: Any) -> None:
    """A new subclass overrides, unless it says that it does not."""
    super(Tensor, cls).__init_subclass__(**kwargs)  # type: ignore[misc]
    handler = cls.__dict__.get("__torch_function__")
    if (
        handler is not None
        and getattr(handler, "__func__", handler) is _disabled_torch_function_impl
    ):
        cls._overrides = False  # type: ignore[attr-defined]
    elif "_overrides" not in cls.__dict__ and not cls.__dict__.get("_is_parameter"):
        inherited = getattr(cls, "__torch_function__", None)
        disabled = getattr(inherited, "__func__", inherited) is _disabled_torch_function_impl
        cls._overrides = not disabled  # type: ignore[attr-defined]
    if cls._overrides:  # type: ignore[attr-defined]
        _wrap_methods(cls)
    else:
        gate.PLAIN.add(cls)


# Every method of Tensor, wrapped to ask ``__torch_function__`` first.  Only subclasses that
# override carry the wrappers, so plain tensors pay nothing.
_ASIDE = frozenset(
    "__class__ __new__ __init__ __init_subclass__ __torch_function__ __getattribute__ __setattr__ "
    "__delattr__ __dir__ __hash__ __reduce__ __reduce_ex__ __getstate__ __setstate__ __deepcopy__ "
    "__array_priority__ __subclasshook__ __sizeof__ __doc__ __module__ __dict__ __weakref__ "
    "__annotations__ as_subclass _make_subclass".split()
)
_wrappers: dict[str, Any] = {}


def _ask(func: Any) -> Any:
    @functools.wraps(func)
    def method(*args: Any, **kwargs: Any) -> Any:
        handled, result = redirect(func, (*args, *kwargs.values()), args, kwargs)
        return result if handled else func(*args, **kwargs)

    return method


def _ask_property(prop: property) -> property:
    def fget(self: Any) -> Any:
        handled, result = redirect(prop.__get__, (self,), (self,), {})
        return result if handled else prop.__get__(self)

    return property(fget, prop.fset, prop.fdel, prop.__doc__)


def _wrap_methods(cls: type) -> None:
    """Gives an overriding subclass the asking methods, where it has none of its own."""
    if not _wrappers:
        for name, value in vars(Tensor).items():
            if name in _ASIDE or name in _CORE_FIELDS:
                continue
            if isinstance(value, property):
                if name in ("T", "mT", "H", "mH", "real", "imag", "data"):
                    _wrappers[name] = _ask_property(value)
            elif callable(value) and not isinstance(value, type):
                _wrappers[name] = _ask(value)
    for name, wrapper in _wrappers.items():
        owner = next((base for base in cls.__mro__ if name in vars(base)), Tensor)
        if owner is Tensor:
            setattr(cls, name, wrapper)


def _name_operators() -> None:
    """Gives the functions behind operators the names that overriding classes are told."""
    names = {"truediv": "div", "invert": "bitwise_not", "floordiv": "floor_divide"}
    plain = "add sub mul truediv pow matmul lt le gt ge eq ne neg abs".split()
    for name, f in list(vars(Tensor).items()):
        if not (name.startswith("__") and hasattr(f, "__code__")) or f.__name__ == name:
            continue
        if f.__name__ in ("forward", "backward", "update", "<lambda>") or f.__name__[:1] == "_":
            core = name.strip("_")
            if core in plain or (core[0] == "r" and core[1:] in ("add", "mul")):
                f.__name__ = names.get(core, core.removeprefix("r") if core[0] == "r" else core)
            elif core[0] == "i" and core[1:] in plain:
                f.__name__ = names.get(core[1:], core[1:]) + "_"
            else:
                f.__name__ = name


_name_operators()
_CORE_FIELDS = frozenset(Tensor.__annotations__)


_COMPILED = (types.BuiltinFunctionType, types.MethodDescriptorType)


def _namesake(func: Any) -> Any:
    """Our function for another library's, which found one of our tensors among its arguments.

    All functions of this library are written in Python, so one that is not comes from a library
    that asks foreign tensors by the same protocol, and would ask again without end.
    """
    if isinstance(func, types.MethodDescriptorType):  # the other library's tensor is the object
        return None
    package = sys.modules[__name__.partition(".")[0]]  # names of torch that live in subpackages
    return FUNCTIONS.get(func.__name__) or getattr(package, func.__name__, None)


def _torch_function(
    cls: type, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
) -> Any:
    """Runs the function on plain tensors and gives the results this type."""
    if not all(issubclass(cls, t) for t in types):
        return NotImplemented
    if isinstance(func, _COMPILED):
        func = _namesake(func)
        if func is None:
            return NotImplemented
    with DisableTorchFunctionSubclass():
        result = func(*args, **(kwargs or {}))
    if func in _KEEPS_PLAIN:
        return result
    return converted(result, cls)


def _disabled_torch_function_impl(
    cls: Any, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
) -> Any:
    """For subclasses that do not want to be asked: plain results."""
    with DisableTorchFunctionSubclass():
        return func(*args, **(kwargs or {}))


_KEEPS_PLAIN: set[Any] = set()


def converted(result: Any, cls: type) -> Any:
    """Tensors, also within lists and tuples, as instances of a subclass."""
    if isinstance(result, Tensor):
        return result if isinstance(result, cls) else as_subclass(result, cls)
    if isinstance(result, tuple) and hasattr(result, "_fields"):
        return type(result)(*[converted(x, cls) for x in result])
    if isinstance(result, (list, tuple)):
        return type(result)([converted(x, cls) for x in result])
    return result


Tensor.__init_subclass__ = classmethod(_subclassed)  # type: ignore[assignment,method-assign,arg-type]
Tensor.__torch_function__ = classmethod(_torch_function)
FUNCTIONS["_disabled_torch_function_impl"] = _disabled_torch_function_impl


@method
def as_subclass(self: Tensor, cls: type) -> Any:
    """The same tensor, memory and history, as an instance of a subclass."""
    if not isinstance(cls, type):
        raise TypeError(f"cls must be a type (got {type(cls).__name__})")
    if not issubclass(cls, Tensor):
        raise TypeError(
            "Creating a Tensor subclass from a class that does not inherit from Tensor is not "
            "possible. Make sure your class inherits from Tensor."
        )
    t = alias(self, cls, self._counter)
    t._requires_grad, t._node, t._out_nr = self._requires_grad, self._node, self._out_nr
    t._view, t._inference = self._view, self._inference
    edge = tape.gradient_edge(self) if modes.state.grad else None
    if edge is not None:  # a graph sees it as an operator of its own
        t._node, t._out_nr = _ALIAS(None, (), (edge,), (self._meta,)), 0
    return t


def _make_subclass(cls: type, data: Tensor, require_grad: bool = False) -> Any:
    """A new leaf of a subclass over a tensor's memory."""
    t = alias(data, cls, data._counter)
    t._requires_grad = bool(require_grad)
    return t


Tensor._make_subclass = staticmethod(_make_subclass)


class _Alias(tape.Node):
    """Passes its gradient on; the history of a tensor seen as a subclass."""

    __slots__ = ()

    def apply(self, grads: Any, needs: Any) -> Any:
        return grads

    def release(self) -> None:
        pass


_ALIAS = tape.node_class("AliasBackward0", None, _Alias)


def _new_tensor(cls: type, *args: Any, **kwargs: Any) -> Any:
    """``Tensor(data)``, ``Tensor(2, 3)``: float32 data or an uninitialised size."""
    device = kwargs.pop("device", None)
    data = kwargs.pop("data", None)
    if data is not None:
        args = (data,)
    if kwargs:
        raise TypeError(f"new() received unexpected keyword arguments {list(kwargs)}")
    if len(args) == 1 and isinstance(args[0], Tensor):
        made = args[0].detach() if cls is Tensor else args[0]
    elif (
        len(args) == 1
        and not isinstance(args[0], int)
        and not isinstance(args[0], FUNCTIONS["Size"])
    ):
        if isinstance(args[0], (float, complex)) or args[0] is None:
            raise TypeError(f"new(): data must be a sequence (got {type(args[0]).__name__})")
        made = FUNCTIONS["tensor"](args[0], dtype=FUNCTIONS["get_default_dtype"](), device=device)
    else:
        size = args[0] if len(args) == 1 and not isinstance(args[0], int) else args
        made = FUNCTIONS["empty"](size if args else (0,), device=device)
    return made if cls is Tensor else made.as_subclass(cls)


Tensor.__new__ = _new_tensor  # type: ignore[method-assign,assignment]


@function
def typename(obj: Any) -> str:
    """The name of an object's type, tensors by their element type."""
    if isinstance(obj, Tensor) and type(obj) is Tensor:
        return str(obj.type())
    cls = obj if isinstance(obj, type) else type(obj)
    module = cls.__module__
    if module in ("builtins", "__builtin__", ""):
        return cls.__qualname__
    if module.startswith("rushlight"):
        module = "torch" + module.removeprefix("rushlight")
    return f"{module}.{cls.__qualname__}"


class _TypedMeta(type(Tensor)):  # type: ignore[misc]
    """``isinstance(x, torch.FloatTensor)``."""

    def __instancecheck__(cls, instance: Any) -> bool:
        return (
            isinstance(instance, Tensor)
            and instance._meta.dtype is cls._tensor_dtype
            and instance._meta.device.type == "cpu"
        )

    def __repr__(cls) -> str:
        return f"<class 'torch.{cls.__name__}'>"


def _typed(name: str, dtype: Any) -> None:
    def make(cls: type, *args: Any, **kwargs: Any) -> Any:
        return (
            _new_tensor(Tensor, *args, **kwargs).to(dtype)
            if args and not isinstance(args[0], int)
            else FUNCTIONS["empty"](args or (0,), dtype=dtype)
        )

    FUNCTIONS[name] = _TypedMeta(
        name, (), {"__new__": make, "_tensor_dtype": dtype, "__module__": "rushlight"}
    )


def _publish_types() -> None:
    from rushlight import dtypes
    from rushlight._tensor.attributes import _TYPE_NAMES
    from rushlight.ir.meta import Size

    FUNCTIONS["Size"] = Size
    for dtype_name, name in _TYPE_NAMES.items():
        if not dtype_name.startswith("complex"):
            _typed(name, dtypes.by_name(dtype_name))


_publish_types()
