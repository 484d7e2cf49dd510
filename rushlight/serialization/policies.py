"""What torch.load lets a pickle reach.

``WeightsPolicy`` (``weights_only=True``) allows tensors and plain containers. ``ModelPolicy``
(``weights_only`` unset) adds what whole models are made of: rushlight's own classes, and classes
derived from ``nn.Module`` that the program has already imported. Both call rebuild functions only
with arguments of the right kinds, construct without ``__init__``, and import nothing of others.
"""

from __future__ import annotations

import enum
import functools
import importlib
import sys
from collections.abc import Callable
from typing import Any

from rushlight import dtypes
from rushlight._tensor import pickling
from rushlight._tensor.pickling import TypedStorage
from rushlight._tensor.random import Generator
from rushlight.devices import device
from rushlight.dispatch.tensor import Tensor
from rushlight.errors import (
    DamagedPickleError,
    FileFormatError,
    MissingClassError,
    RefusedPickleError,
)
from rushlight.ir import op as records
from rushlight.ir.meta import Size

from . import layouts, names, safe_globals
from .pickle_machine import Policy
from .plain_pickle import PlainPolicy

__all__ = ["ModelPolicy", "StorageKind", "WeightsPolicy", "storage_kind"]

# Never reachable, whatever the user allows.
_BLOCKED = frozenset(["sys", "os", "posix", "nt"])


class StorageKind:
    """What the name of a storage class in a file stands for: a dtype."""

    def __init__(self, dtype: dtypes.dtype | None) -> None:
        self.dtype = dtype  # None: untyped


_KINDS: dict[str, StorageKind] = {
    name: StorageKind(dtypes.ALL[dtype]) for name, dtype in names.STORAGE_DTYPES.items()
}
_KINDS["UntypedStorage"] = StorageKind(None)


def storage_kind(module: str, name: str) -> StorageKind | None:
    """The kind of storage that a global of a file names, or None."""
    if module in ("rushlight", "rushlight.storage", "rushlight.cuda"):
        return _KINDS.get(name)
    return None


def _is(value: Any, *kinds: type) -> bool:
    return type(value) in kinds


def _want(right: bool, what: str) -> None:
    if not right:
        raise RefusedPickleError(f"bad arguments for {what}")


def _rebuilder(function: Any, typed: bool) -> Callable[..., Any]:
    """A rebuild function of tensors behind a check of its arguments."""

    def run(storage: Any, offset: Any, size: Any, stride: Any, *rest: Any) -> Any:
        _want(_is(storage, TypedStorage) and (storage.dtype is not None or not typed), "a tensor")
        _want(_is(offset, int) and _is(size, tuple, Size) and _is(stride, tuple, Size), "a tensor")
        if rest:
            _want(_is(rest[0], bool), "a tensor")
        if not typed:
            _want(len(rest) > 2 and _is(rest[2], dtypes.dtype), "a tensor")
        metadata = rest[(2 if typed else 3) :]
        _want(not metadata or _is(metadata[0], dict, type(None)), "a tensor")
        return function(storage, offset, tuple(size), tuple(stride), *rest)

    return run


def _meta_tensor(dtype: Any, size: Any, stride: Any, requires_grad: Any) -> Any:
    _want(_is(dtype, dtypes.dtype) and _is(size, tuple, Size) and _is(stride, tuple, Size), "meta")
    return pickling._rebuild_meta_tensor_no_storage(dtype, size, stride, requires_grad)


def _parameter(data: Any, requires_grad: Any = True, hooks: Any = None, *state: Any) -> Any:
    from rushlight import _utils

    _want(isinstance(data, Tensor) and _is(requires_grad, bool), "a parameter")
    if state:
        _want(len(state) == 1 and _is(state[0], dict, tuple, type(None)), "a parameter")
        return _utils._rebuild_parameter_with_state(data, requires_grad, hooks, *state)
    return _utils._rebuild_parameter(data, requires_grad, hooks)


def _size(values: Any = ()) -> Size:
    _want(_is(values, tuple, list) and all(_is(v, int) for v in values), "a size")
    return Size(values)


def _device(*args: Any) -> device:
    _want(all(_is(arg, str, int) for arg in args), "a device")
    return device(*args)


class WeightsPolicy(Policy):
    """Tensors, storages, dtypes, plain containers, and what the user has declared safe.

    Args:
        persistent: turns the persistent ids of the file into storages.
    """

    def __init__(self, persistent: Callable[[Any], Any]) -> None:
        from rushlight import _utils

        self._load_storage = persistent
        self._plain = PlainPolicy()
        self._user = safe_globals.table()
        self._tensor_classes: dict[int, Any] = {}
        self._user_ids = {id(item) for item in self._user.values()}
        self._calls: dict[int, Callable[..., Any]] = {
            id(pickling._rebuild_tensor): _rebuilder(pickling._rebuild_tensor, True),
            id(pickling._rebuild_tensor_v2): _rebuilder(pickling._rebuild_tensor_v2, True),
            id(pickling._rebuild_tensor_v3): _rebuilder(pickling._rebuild_tensor_v3, False),
            id(pickling._rebuild_meta_tensor_no_storage): _meta_tensor,
            id(pickling._rebuild_from_type_v2): self._from_type,
            id(_utils._rebuild_parameter): _parameter,
            id(_utils._rebuild_parameter_with_state): _parameter,
            id(Size): _size,
            id(device): _device,
            id(layouts.get_layout): layouts.get_layout,
        }
        self._known: dict[str, Any] = {
            f"rushlight._utils.{name}": getattr(_utils, name)
            for name in _utils.__all__
            if name.startswith("_rebuild_")
        }
        self._known["rushlight.Size"] = Size
        self._known["rushlight.device"] = device
        self._known["rushlight.Tensor"] = Tensor
        self._known["rushlight.serialization._get_layout"] = layouts.get_layout

    # looking up

    def find(self, module: str, name: str) -> Any:
        if module in _BLOCKED:
            raise RefusedPickleError(
                f"Trying to load unsupported GLOBAL {module}.{name} whose module {module} is "
                "blocked."
            )
        mine = names.ours(module, name)
        path = ".".join(mine)
        if path in self._known:
            return self._known[path]
        if path == "rushlight.nn.parameter.Parameter":
            return self._parameter_class()
        if mine[0] == "rushlight" and name in dtypes.ALL:
            return dtypes.ALL[name]
        kind = storage_kind(*mine)
        if kind is not None:
            return kind
        if path in self._user:
            return self._user[path]
        return self.find_other(*mine, shown=names.public_name(module, name))

    def find_other(self, module: str, name: str, shown: str) -> Any:
        """A global that is no part of a tensor."""
        if (module, name) in _CONTAINERS:
            return self._plain.find(module, name)
        raise self._refusal(shown)

    def _refusal(self, shown: str) -> RefusedPickleError:
        return RefusedPickleError(
            f"Unsupported global: GLOBAL {shown} was not an allowed global by default. Please use "
            f"`torch.serialization.add_safe_globals([{shown}])` or the "
            f"`torch.serialization.safe_globals([{shown}])` context manager to allowlist this "
            "global if you trust this class/function."
        )

    def _parameter_class(self) -> Any:
        from rushlight.nn.parameter import Parameter

        self._calls[id(Parameter)] = _parameter
        self._tensor_classes[id(Parameter)] = Parameter
        return Parameter

    # doing

    def call(self, function: Any, args: tuple[Any, ...]) -> Any:
        run = self._calls.get(id(function))
        if run is None and id(function) in self._user_ids:
            return function(*args)
        if run is None:
            return self._plain.call(function, args)
        try:
            return run(*args)
        except FileFormatError:
            raise
        except (TypeError, ValueError, LookupError, OverflowError, RuntimeError) as error:
            raise DamagedPickleError(f"bad arguments in a pickle: {error}") from error

    def _from_type(self, function: Any, kind: Any, args: Any, state: Any) -> Any:
        """A tensor with attributes, or of an allowed subclass."""
        _want(id(function) in self._calls and _is(args, tuple), "a tensor")
        _want(function is not pickling._rebuild_from_type_v2, "a tensor")
        _want(isinstance(kind, type) and Tensor in type.mro(kind), "a tensor")
        known = kind is Tensor or id(kind) in self._tensor_classes or id(kind) in self._user_ids
        _want(known, "a tensor")
        _want(_is(state, dict, tuple, type(None)) or id(kind) in self._user_ids, "a tensor")
        tensor = self.call(function, args)
        return pickling._rebuild_from_type_v2(lambda: tensor, kind, (), state)

    def new(self, cls: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if id(cls) in self._user_ids:
            return cls.__new__(cls, *args, **kwargs)
        return self._plain.new(cls, args, kwargs)

    def build(self, instance: Any, state: Any) -> Any:
        if id(type(instance)) in self._user_ids:
            return _assign(instance, state)
        return self._plain.build(instance, state)

    def persistent(self, key: Any) -> Any:
        return self._load_storage(key)


_CONTAINERS = frozenset(
    [
        ("collections", "OrderedDict"),
        ("collections", "Counter"),
        ("_codecs", "encode"),
        ("builtins", "bytearray"),
        ("builtins", "set"),
        ("builtins", "complex"),
        ("builtins", "bytes"),
    ]
)


def _assign(instance: Any, state: Any) -> Any:
    """BUILD as pickle defines it: ``__setstate__``, or attributes and slots."""
    own = getattr(instance, "__setstate__", None)
    if own is not None:
        inherited = names.home(getattr(own, "__module__", None) or "")
        if inherited and (type(state) is not dict or not all(_is(k, str) for k in state)):
            raise DamagedPickleError("an object's state is not a dictionary of attributes")
        own(state)
        return instance
    slots = None
    if type(state) is tuple and len(state) == 2:
        state, slots = state
    for part in (state, slots):
        if part is not None and (type(part) is not dict or not all(_is(k, str) for k in part)):
            raise DamagedPickleError("an object's state is not a dictionary of attributes")
    if state:
        instance.__dict__.update(state)
    for name, value in (slots or {}).items():
        setattr(instance, name, value)
    return instance


def _generator(where: Any = "cpu") -> Generator:
    _want(_is(where, str, device), "a generator")
    return Generator(where)


def _attempt(function: Any, *args: Any, **kwargs: Any) -> Any:
    try:
        return function(*args, **kwargs)
    except (TypeError, ValueError, RuntimeError) as error:
        raise DamagedPickleError(f"bad arguments in a pickle: {error}") from error


# Where rushlight's own classes may come from. No file handles, writers, workers or downloads here.
_TV_TENSORS = "rushlight.vision.tv_tensors"
_OWN_CLASSES = (
    "rushlight.nn.",
    "rushlight.optim.",
    "rushlight.distributions.",
    "rushlight.vision.models.",
    "rushlight.vision.ops.",
    "rushlight.vision.transforms.",
    f"{_TV_TENSORS}.",
)
_OPERATORS = object()  # what holds PyTorch's compiled functions, in pickles of torch.relu
_OWN_FUNCTIONS = ("rushlight.nn.functional",)


class ModelPolicy(WeightsPolicy):
    """Whole models: rushlight's own classes and imported classes derived from ``nn.Module``."""

    def __init__(self, persistent: Callable[[Any], Any]) -> None:
        super().__init__(persistent)
        from rushlight.nn.modules.module import Module

        self._module_class: Any = Module
        self._classes: dict[int, Any] = {}
        self._functions: dict[int, Any] = {}
        self._calls[id(functools.partial)] = self._partial
        self._calls[id(getattr)] = self._nested
        self._calls[id(Generator)] = _generator

    def find_other(self, module: str, name: str, shown: str) -> Any:
        if (module, name) == ("functools", "partial"):
            return functools.partial
        if (module, name) == ("builtins", "getattr"):
            return getattr  # answered by _nested, never called
        if (module, name) == ("rushlight", "_VariableFunctionsClass"):
            return _OPERATORS
        if (module, name) == ("rushlight", "Generator"):
            return Generator
        try:
            return self._plain.find(module, name)
        except RefusedPickleError:
            pass
        if names.home(module):
            found = self._own(module, name)
        else:
            found = self._imported(module, name, shown)
        if found is None:
            raise self._refusal(shown)
        return found

    def _own(self, module: str, name: str) -> Any:
        if module in _OWN_FUNCTIONS:
            return self._own_function(module, name)
        if module == "rushlight":
            return self._operator(name)
        if not f"{module}.".startswith(_OWN_CLASSES) or "__" in module:
            return None
        try:
            found = vars(importlib.import_module(module)).get(name)
        except (ImportError, ValueError):  # ValueError: a name that no file can have
            return None
        if not isinstance(found, type) or not f"{found.__module__}.".startswith(_OWN_CLASSES):
            return None
        if hasattr(found, "__del__"):
            return None
        if Tensor not in type.mro(found):
            return self._allow(found)
        if not module.startswith(_TV_TENSORS):
            return None
        self._tensor_classes[id(found)] = found
        return found

    def _own_function(self, module: str, name: str) -> Any:
        found = getattr(importlib.import_module(module), name, None)
        if name.startswith("_") or isinstance(found, type) or not callable(found):
            return None
        if not names.home(getattr(found, "__module__", None) or ""):
            return None
        self._functions[id(found)] = found
        return found

    def _operator(self, name: str) -> Any:
        """``torch.relu`` and its like, as the value of an attribute."""
        try:
            record = records.get(name)
        except KeyError:
            return None
        found = getattr(record, "public", None)
        if found is None or "torch" not in record.api:
            return None
        self._functions[id(found)] = found
        return found

    def _imported(self, module: str, name: str, shown: str) -> Any:
        """A class of the user's, if it is there already; looked up without running anything."""
        place = sys.modules.get(module)
        if place is None:
            return None
        found: Any = place
        for part in name.split("."):
            found = vars(found).get(part) if hasattr(found, "__dict__") else None
        if found is None:
            raise MissingClassError(f"Can't get attribute {name!r} on {place!r}")
        if isinstance(found, type) and self._module_class in type.mro(found):
            return self._allow(found)
        return None

    def _allow(self, cls: Any) -> Any:
        self._classes[id(cls)] = cls
        return cls

    def call(self, function: Any, args: tuple[Any, ...]) -> Any:
        allowed = self._classes.get(id(function))
        if allowed is not None and id(function) not in self._calls:
            if issubclass(allowed, enum.Enum) and len(args) == 1 and not isinstance(args[0], type):
                return _attempt(allowed, args[0])  # a lookup by value
            raise RefusedPickleError(
                f"Trying to call {names.public_name(allowed.__module__, allowed.__name__)}; "
                "modules are restored without calling their class"
            )
        return super().call(function, args)

    def _partial(self, function: Any) -> Any:
        self._check_partial(function)
        return functools.partial(function)

    def _check_partial(self, function: Any) -> None:
        allowed = id(function) in self._classes or id(function) in self._functions
        _want(allowed, "functools.partial")

    def _nested(self, outer: Any, name: Any) -> Any:
        """``getattr`` in a pickle: a module class inside another, or a function of torch's."""
        _want(_is(name, str), "getattr")
        if outer is _OPERATORS:
            found = self._operator(name)
            _want(found is not None, "getattr")
            return found
        _want(id(outer) in self._classes, "getattr")
        found = vars(outer).get(name)
        _want(isinstance(found, type) and self._module_class in type.mro(found), "getattr")
        return self._allow(found)

    def new(self, cls: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if id(cls) in self._classes:
            return _attempt(cls.__new__, cls, *args, **kwargs)
        return super().new(cls, args, kwargs)

    def build(self, instance: Any, state: Any) -> Any:
        kind = type(instance)
        if kind is functools.partial:
            right = type(state) is tuple and len(state) == 4
            _want(right and _is(state[1], tuple) and _is(state[2], dict), "functools.partial")
            self._check_partial(state[0])
            _attempt(instance.__setstate__, state)
            return instance
        if kind is Generator:
            _want(type(state) is tuple and len(state) == 3, "a generator")
            _attempt(instance.set_state, state[2])
            return instance
        if id(kind) in self._classes and isinstance(instance, self._classes[id(kind)]):
            return _assign(instance, state)
        return super().build(instance, state)
