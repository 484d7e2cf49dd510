"""Containers: modules that hold modules or parameters by position or by name.

In: modules, parameters, or collections of them.  Out: `Sequential` (also callable), `ModuleList`,
`ModuleDict`, `ParameterList` and `ParameterDict`, whose members are registered with the network.
"""

from __future__ import annotations

import operator
import warnings
from collections import OrderedDict
from collections import abc as abstract
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from typing import Any, TypeVar

from rushlight import Tensor
from rushlight.nn.parameter import Parameter

from ._arguments import _typename
from ._hooks import hooks_seen
from ._place import note_place
from .module import Module

__all__ = [
    "Container",
    "Sequential",
    "ModuleList",
    "ModuleDict",
    "ParameterList",
    "ParameterDict",
]

_Seq = TypeVar("_Seq", bound="Sequential")
_List = TypeVar("_List", bound="ModuleList")
_Params = TypeVar("_Params", bound="ParameterList")
_ParamDict = TypeVar("_ParamDict", bound="ParameterDict")


def _indent(text: str) -> str:
    """Two spaces before every line but the first."""
    return text.replace("\n", "\n  ")


def _position(idx: Any, size: int) -> int:
    """A valid non-negative position; IndexError when `idx` is out of range."""
    idx = int(operator.index(idx))
    if not -size <= idx < size:
        raise IndexError(f"index {idx} is out of range")
    return int(idx % size)


def _pairs(source: Any, kind: str) -> Iterator[tuple[Any, Any]]:
    """Key and value pairs of an iterable, checked as `update` wants them."""
    for j, item in enumerate(source):
        if not isinstance(item, abstract.Iterable):
            raise TypeError(
                f"{kind} update sequence element #{j} should be Iterable; is" + type(item).__name__
            )
        if not len(item) == 2:  # type: ignore[arg-type]
            raise ValueError(
                f"{kind} update sequence element #{j} has length {len(item)}; 2 is required"  # type: ignore[arg-type]
            )
        yield item[0], item[1]  # type: ignore[index]


def _renumber(module: Any) -> None:
    """Give the children the names 0, 1, 2, ... again."""
    children = module._modules.values()
    module._modules = OrderedDict((str(i), child) for i, child in enumerate(children))


class Container(Module):
    """Deprecated: subclass `Module` instead. Registers its keyword arguments as children.

    Example:
        >>> import warnings, rushlight as rl
        >>> with warnings.catch_warnings():
        ...     warnings.simplefilter("ignore")
        ...     box = rl.nn.Container(act=rl.nn.ReLU())
        >>> box.act
        ReLU()
    """

    def __init__(self, **kwargs: Any) -> None:
        warnings.warn(
            "`nn.Container` is deprecated. All of its functionality is now implemented in "
            "`nn.Module`. Subclass that instead.",
            FutureWarning,
            stacklevel=2,
        )
        super().__init__()
        for key, value in kwargs.items():
            self.add_module(key, value)


_CALL = Module.__call__


class Sequential(Module):
    """A chain of modules: each gets what the one before it returned.

    Args:
        *args: the modules, in order; or one OrderedDict of names and modules.

    Indexing gives a module, slicing a Sequential of the same modules.

    Example:
        >>> import rushlight as rl
        >>> net = rl.nn.Sequential(rl.nn.Linear(4, 2), rl.nn.ReLU())
        >>> net(rl.zeros(3, 4)).shape
        torch.Size([3, 2])
        >>> net[1]
        ReLU()
    """

    _modules: dict[str, Any]

    def __init__(self, *args: Any) -> None:
        super().__init__()
        if len(args) == 1 and isinstance(args[0], OrderedDict):
            named: Iterable[tuple[str, Any]] = args[0].items()
        else:
            named = ((str(i), module) for i, module in enumerate(args))
        for key, module in named:
            self.add_module(key, module)

    def _get_item_by_idx(self, iterator: Iterable[Any], idx: Any) -> Any:
        return next(islice(iterator, _position(idx, len(self)), None))

    def __getitem__(self, idx: Any) -> Any:
        if isinstance(idx, slice):
            return self.__class__(OrderedDict(list(self._modules.items())[idx]))
        return self._get_item_by_idx(self._modules.values(), idx)

    def __setitem__(self, idx: int, module: Module) -> None:
        setattr(self, self._get_item_by_idx(self._modules.keys(), idx), module)

    def __delitem__(self, idx: Any) -> None:
        if isinstance(idx, slice):
            keys = list(self._modules.keys())[idx]
        else:
            keys = [self._get_item_by_idx(self._modules.keys(), idx)]
        for key in keys:
            delattr(self, key)
        _renumber(self)

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._modules.values())

    def __dir__(self) -> list[str]:
        return [key for key in super().__dir__() if not key.isdigit()]

    def _check_sequential(self, other: Any) -> None:
        if not isinstance(other, Sequential):
            raise ValueError(
                "add operator supports only objects "
                f"of Sequential class, but {type(other)!s} is given."
            )

    def __add__(self, other: Any) -> Sequential:
        self._check_sequential(other)
        return Sequential(*self, *other)

    def __iadd__(self: _Seq, other: Any) -> _Seq:
        self._check_sequential(other)
        return self.extend(list(other))

    def _check_factor(self, other: Any) -> None:
        if not isinstance(other, int):
            raise TypeError(f"unsupported operand type(s) for *: {type(self)} and {type(other)}")
        if other <= 0:
            raise ValueError(f"Non-positive multiplication factor {other} for {type(self)}")

    def __mul__(self, other: int) -> Sequential:
        self._check_factor(other)
        return Sequential(*(list(self) * other))

    def __rmul__(self, other: int) -> Sequential:
        return self.__mul__(other)

    def __imul__(self: _Seq, other: int) -> _Seq:
        self._check_factor(other)
        return self.extend(list(self) * (other - 1))

    def forward(self, input: Any) -> Any:
        """Pass `input` through every module in turn."""
        for module in self._modules.values():
            if hooks_seen or type(module).__call__ is not _CALL:
                input = module(input)
                continue
            try:  # what `Module.__call__` does, without a frame of its own
                input = module.forward(input)
            except Exception as error:
                note_place(error, module)
                raise
        return input

    def append(self: _Seq, module: Module) -> _Seq:
        """Add a module at the end; returns the container."""
        self.add_module(str(len(self)), module)
        return self

    def insert(self: _Seq, index: int, module: Module) -> _Seq:
        """Add a module before position `index`; returns the container."""
        if not isinstance(module, Module):
            raise AssertionError(f"module should be of type: {Module}")
        size = len(self._modules)
        if not -size <= index <= size:
            raise IndexError(f"Index out of range: {index}")
        index = index + size if index < 0 else index
        for i in range(size, index, -1):
            self._modules[str(i)] = self._modules[str(i - 1)]
        self._modules[str(index)] = module
        return self

    def extend(self: _Seq, sequential: Iterable[Module]) -> _Seq:
        """Add several modules at the end; returns the container."""
        for layer in sequential:
            self.append(layer)
        return self

    def pop(self, key: Any) -> Any:
        """Remove the module at position `key` and return it."""
        module = self[key]
        del self[key]
        return module


class ModuleList(Module):
    """A list of modules, registered under their positions. It has no `forward`.

    Args:
        modules: the first members.

    Example:
        >>> import rushlight as rl
        >>> layers = rl.nn.ModuleList([rl.nn.Linear(2, 2) for _ in range(3)])
        >>> layers
        ModuleList(
          (0-2): 3 x Linear(in_features=2, out_features=2, bias=True)
        )
    """

    _modules: dict[str, Any]

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        if modules is not None:
            self += modules

    def _get_abs_string_index(self, idx: Any) -> str:
        return str(_position(idx, len(self)))

    def __getitem__(self, idx: Any) -> Any:
        if isinstance(idx, slice):
            return self.__class__(list(self._modules.values())[idx])
        return self._modules[self._get_abs_string_index(idx)]

    def __setitem__(self, idx: int, module: Module) -> None:
        setattr(self, self._get_abs_string_index(idx), module)

    def __delitem__(self, idx: Any) -> None:
        if isinstance(idx, slice):
            for k in range(len(self._modules))[idx]:
                delattr(self, str(k))
        else:
            delattr(self, self._get_abs_string_index(idx))
        _renumber(self)

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._modules.values())

    def __iadd__(self: _List, modules: Iterable[Module]) -> _List:
        return self.extend(modules)

    def __add__(self, other: Iterable[Module]) -> ModuleList:
        combined = ModuleList()
        for i, module in enumerate(chain(self, other)):
            combined.add_module(str(i), module)
        return combined

    def __dir__(self) -> list[str]:
        return [key for key in super().__dir__() if not key.isdigit()]

    def __repr__(self) -> str:
        """Like `Module.__repr__`, with runs of equal members on one line."""
        if len(self) == 0:
            return self._get_name() + "()"
        runs: list[list[Any]] = []  # [first, last, repr]
        for i, text in enumerate(repr(item) for item in self):
            if runs and runs[-1][2] == text:
                runs[-1][1] = i
            else:
                runs.append([i, i, text])
        lines = []
        for first, last, text in runs:
            label = f"({first})" if first == last else f"({first}-{last})"
            times = "" if first == last else f"{last - first + 1} x "
            lines.append(_indent(f"{label}: {times}{text}"))
        return f"{self._get_name()}(\n  " + "\n  ".join(lines) + "\n)"

    def insert(self, index: int, module: Module) -> None:
        """Add a module before position `index`."""
        for i in range(len(self._modules), index, -1):
            self._modules[str(i)] = self._modules[str(i - 1)]
        self._modules[str(index)] = module

    def append(self: _List, module: Module) -> _List:
        """Add a module at the end; returns the list."""
        self.add_module(str(len(self)), module)
        return self

    def pop(self, key: Any) -> Any:
        """Remove the module at position `key` and return it."""
        module = self[key]
        del self[key]
        return module

    def extend(self: _List, modules: Iterable[Module]) -> _List:
        """Add several modules at the end; returns the list."""
        if not isinstance(modules, abstract.Iterable):
            raise TypeError(
                "ModuleList.extend should be called with an "
                "iterable, but got " + type(modules).__name__
            )
        offset = len(self)
        for i, module in enumerate(modules):
            self.add_module(str(offset + i), module)
        return self


class ModuleDict(Module):
    """A dictionary of modules, registered under their keys; it keeps insertion order.

    Args:
        modules: a mapping, or an iterable of pairs, of names and modules.

    Example:
        >>> import rushlight as rl
        >>> acts = rl.nn.ModuleDict({"relu": rl.nn.ReLU(), "tanh": rl.nn.Tanh()})
        >>> acts["tanh"]
        Tanh()
    """

    _modules: dict[str, Any]

    def __init__(self, modules: Any = None) -> None:
        super().__init__()
        if modules is not None:
            self.update(modules)

    def __getitem__(self, key: str) -> Any:
        return self._modules[key]

    def __setitem__(self, key: str, module: Module) -> None:
        self.add_module(key, module)

    def __delitem__(self, key: str) -> None:
        del self._modules[key]

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __contains__(self, key: str) -> bool:
        return key in self._modules

    def clear(self) -> None:
        """Remove every member."""
        self._modules.clear()

    def pop(self, key: str) -> Any:
        """Remove the member `key` and return it."""
        module = self[key]
        del self[key]
        return module

    def keys(self) -> Any:
        """The names."""
        return self._modules.keys()

    def items(self) -> Any:
        """The pairs of names and modules."""
        return self._modules.items()

    def values(self) -> Any:
        """The modules."""
        return self._modules.values()

    def update(self, modules: Any) -> None:
        """Add or replace members from a mapping or an iterable of pairs."""
        if not isinstance(modules, abstract.Iterable):
            raise TypeError(
                "ModuleDict.update should be called with an "
                "iterable of key/value pairs, but got " + type(modules).__name__
            )
        if isinstance(modules, (ModuleDict, abstract.Mapping)):
            pairs: Iterable[tuple[Any, Any]] = modules.items()
        else:
            pairs = _pairs(modules, "ModuleDict")
        for key, module in pairs:
            self[key] = module


def _describe(key: Any, value: Any, type_text: Any) -> str:
    """One line of `repr` for a member of a parameter container."""
    if not isinstance(value, Tensor):
        return f"  ({key}): Object of type: {type(value).__name__}"
    size = "x".join(str(n) for n in value.size())
    device = f" ({value.device})" if value.device.type == "cuda" else ""
    kind = "Parameter" if isinstance(value, Parameter) else "Tensor"
    return f"  ({key}): {kind} containing: [{type_text} of size {size}{device}]"


def _as_parameter(value: Any) -> Any:
    """Plain tensors become parameters; everything else stays what it is."""
    if isinstance(value, Tensor) and not isinstance(value, Parameter):
        return Parameter(value)
    return value


class ParameterList(Module):
    """A list of parameters; tensors put into it become parameters, other objects stay.

    Args:
        values: the first members.

    Example:
        >>> import rushlight as rl
        >>> params = rl.nn.ParameterList([rl.zeros(2), rl.zeros(3)])
        >>> [tuple(p.shape) for p in params]
        [(2,), (3,)]
    """

    def __init__(self, values: Iterable[Any] | None = None) -> None:
        super().__init__()
        self._size = 0
        if values is not None:
            self += values

    def _get_abs_string_index(self, idx: Any) -> str:
        return str(_position(idx, len(self)))

    def __getitem__(self, idx: Any) -> Any:
        if isinstance(idx, slice):
            chosen = self.__class__()
            for i in range(*idx.indices(len(self))):
                chosen.append(self[i])
            return chosen
        return getattr(self, self._get_abs_string_index(idx))

    def __setitem__(self, idx: int, param: Any) -> None:
        # The position is checked first: a wrong one must not make a parameter.
        name = self._get_abs_string_index(idx)
        setattr(self, name, _as_parameter(param))

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Any]:
        return iter(self[i] for i in range(len(self)))

    def __iadd__(self: _Params, parameters: Iterable[Any]) -> _Params:
        return self.extend(parameters)

    def __dir__(self) -> list[str]:
        return [key for key in super().__dir__() if not key.isdigit()]

    def append(self: _Params, value: Any) -> _Params:
        """Add a value at the end; returns the list."""
        self._size += 1
        self[self._size - 1] = value
        return self

    def extend(self: _Params, values: Iterable[Any]) -> _Params:
        """Add several values at the end; returns the list. A tensor is not taken apart."""
        if not isinstance(values, abstract.Iterable) or isinstance(values, Tensor):
            raise TypeError(
                "ParameterList.extend should be called with an "
                "iterable, but got " + type(values).__name__
            )
        for value in values:
            self.append(value)
        return self

    def extra_repr(self) -> str:
        lines = [_describe(k, p, getattr(p, "dtype", None)) for k, p in enumerate(self)]
        return "\n".join(lines)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("ParameterList should not be called.")


class ParameterDict(Module):
    """A dictionary of parameters; tensors put into it become parameters, other objects stay.

    Args:
        parameters: a mapping, or an iterable of pairs. A plain mapping is taken in sorted order,
            an OrderedDict in its own.

    Example:
        >>> import rushlight as rl
        >>> params = rl.nn.ParameterDict({"scale": rl.ones(2)})
        >>> params["scale"].requires_grad
        True
    """

    def __init__(self, parameters: Any = None) -> None:
        super().__init__()
        self._keys: dict[str, None] = {}
        if parameters is not None:
            self.update(parameters)

    def _key_to_attr(self, key: Any) -> str:
        if not isinstance(key, str):
            raise TypeError(
                "Index given to ParameterDict cannot be used as a key as it is "
                f"not a string (type is '{type(key).__name__}'). Open an issue on "
                "github if you need non-string keys."
            )
        return key

    def __getitem__(self, key: str) -> Any:
        return getattr(self, self._key_to_attr(key))

    def __setitem__(self, key: str, value: Any) -> None:
        # The key counts from now on, even if the value is refused: PyTorch does the same.
        self._keys[key] = None
        setattr(self, self._key_to_attr(key), _as_parameter(value))

    def __delitem__(self, key: str) -> None:
        del self._keys[key]
        delattr(self, self._key_to_attr(key))

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    def __reversed__(self) -> Iterator[str]:
        return reversed(self._keys)

    def __contains__(self, key: str) -> bool:
        return key in self._keys

    def copy(self) -> ParameterDict:
        """A new dictionary of the same parameters."""
        return ParameterDict(OrderedDict(self.items()))

    def setdefault(self, key: str, default: Any = None) -> Any:
        """The value of `key`, which becomes `default` if it was absent."""
        if key not in self:
            self[key] = default
        return self[key]

    def clear(self) -> None:
        """Remove every member."""
        for key in self._keys.copy():
            del self[key]

    def pop(self, key: str) -> Any:
        """Remove the member `key` and return it."""
        value = self[key]
        del self[key]
        return value

    def popitem(self) -> tuple[str, Any]:
        """Remove the last member and return it with its key."""
        key, _ = self._keys.popitem()
        self._keys[key] = None  # `pop` looks it up once more
        return key, self.pop(key)

    def get(self, key: str, default: Any = None) -> Any:
        """The value of `key`, or `default`."""
        return self[key] if key in self else default  # noqa: SIM401

    def fromkeys(self, keys: Iterable[str], default: Any = None) -> ParameterDict:
        """A new dictionary that gives every key the value `default`."""
        return ParameterDict((key, default) for key in keys)

    def keys(self) -> Any:
        """The names."""
        return self._keys.keys()

    def items(self) -> Iterable[tuple[str, Any]]:
        """The pairs of names and values."""
        return ((key, self[key]) for key in self._keys)

    def values(self) -> Iterable[Any]:
        """The values."""
        return (self[key] for key in self._keys)

    def update(self, parameters: Any) -> None:
        """Add or replace members from a mapping or an iterable of pairs."""
        if not isinstance(parameters, abstract.Iterable):
            raise TypeError(
                "ParametersDict.update should be called with an "
                "iterable of key/value pairs, but got " + type(parameters).__name__
            )
        pairs: Iterable[tuple[Any, Any]]
        if isinstance(parameters, (OrderedDict, ParameterDict)):
            pairs = parameters.items()
        elif isinstance(parameters, Mapping):
            pairs = sorted(parameters.items())
        else:
            pairs = _pairs(parameters, "ParameterDict")
        for key, parameter in pairs:
            self[key] = parameter

    def extra_repr(self) -> str:
        return "\n".join(_describe(key, p, _typename(p)) for key, p in self.items())

    def __call__(self, input: Any) -> Any:  # type: ignore[override]
        raise RuntimeError("ParameterDict should not be called.")

    def __or__(self, other: ParameterDict) -> ParameterDict:
        combined = self.copy()
        combined.update(other)
        return combined

    def __ror__(self, other: ParameterDict) -> ParameterDict:
        combined = other.copy()
        combined.update(self)
        return combined

    def __ior__(self: _ParamDict, other: ParameterDict) -> _ParamDict:
        self.update(other)
        return self
