"""The slim tensor core: a strided view of a Storage with its place in the gradient graph.

``_tensor/`` attaches the methods that users call.  Nothing here computes.
"""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

from rushlight.devices import CPU
from rushlight.dispatch.doors import epoch, interrupt, watch
from rushlight.ir.meta import Meta
from rushlight.naming import PublicType
from rushlight.runtime import cpu
from rushlight.runtime.storage import Storage, moves

__all__ = ["Tensor", "Version", "ViewOf", "new"]


class Version:
    """Counts writes to memory; shared by a base, its views and what ``detach`` returns."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0


class ViewOf:
    """How a view came from its base.

    Attributes:
        base: the tensor that owns the history.
        steps: the movement calls, (op, attrs, output index), that lead from the base to the view.
        seen: the version at which the view's graph node was last right.
        problem: why in-place writes through this view are refused, or None.
    """

    __slots__ = ("base", "problem", "seen", "steps")

    def __init__(
        self, base: Tensor, steps: tuple[Any, ...], seen: int, problem: str | None
    ) -> None:
        self.base = base
        self.steps = steps
        self.seen = seen
        self.problem = problem


if TYPE_CHECKING:

    class _TensorType(PublicType):
        """`_tensor/` attaches the methods, which a type checker cannot see."""

        def __getattr__(cls, name: str) -> Any: ...
        def __setattr__(cls, name: str, value: Any) -> None: ...

else:
    _TensorType = PublicType


class Tensor(metaclass=_TensorType):
    """A multi-dimensional array with automatic differentiation.

    Make one with ``torch.tensor(data)``, ``torch.zeros(size)``, ``torch.randn(size)`` and the like.

    Example:
        >>> import rushlight as torch
        >>> x = torch.tensor([1.0, 2.0], requires_grad=True)
        >>> (x * x).sum().backward()
        >>> x.grad
        tensor([2., 4.])
    """

    _meta: Meta
    _storage: Storage
    _offset: int
    _counter: Version
    _overrides = False  # subclasses with __torch_function__ set it
    _is_parameter = False
    # What most tensors never have is a class attribute until it is set.
    _array: Any = None
    _node: Any = None
    _out_nr = 0
    _requires_grad = False
    _grad: Any = None
    _view: ViewOf | None = None
    _hooks: Any = None
    _post_hooks: Any = None
    _accumulator: Any = None
    _retains = False
    _slot: Any = None  # what the recorder knows of it
    _changed = False  # its memory, layout or requires_grad, since it was made
    _window: Any = None  # likewise, of a view of data
    _inference = False
    _value: Any = None  # of a tensor inside vmap: the tensor of the whole batch (func/batched.py)
    _borrowed = False  # a view made under no_grad of what requires grad: its gradient goes nowhere

    if TYPE_CHECKING:

        def __init__(self, *args: Any, **kwargs: Any) -> None: ...
        def __getattr__(self, name: str) -> Any: ...
        def __setattr__(self, name: str, value: Any) -> None: ...
        def __add__(self, other: Any) -> Tensor: ...
        def __radd__(self, other: Any) -> Tensor: ...
        def __sub__(self, other: Any) -> Tensor: ...
        def __rsub__(self, other: Any) -> Tensor: ...
        def __mul__(self, other: Any) -> Tensor: ...
        def __rmul__(self, other: Any) -> Tensor: ...
        def __truediv__(self, other: Any) -> Tensor: ...
        def __rtruediv__(self, other: Any) -> Tensor: ...
        def __floordiv__(self, other: Any) -> Tensor: ...
        def __mod__(self, other: Any) -> Tensor: ...
        def __pow__(self, other: Any) -> Tensor: ...
        def __rpow__(self, other: Any) -> Tensor: ...
        def __matmul__(self, other: Any) -> Tensor: ...
        def __neg__(self) -> Tensor: ...
        def __invert__(self) -> Tensor: ...
        def __and__(self, other: Any) -> Tensor: ...
        def __or__(self, other: Any) -> Tensor: ...
        def __xor__(self, other: Any) -> Tensor: ...
        def __eq__(self, other: Any) -> Tensor: ...  # type: ignore[override]
        def __ne__(self, other: Any) -> Tensor: ...  # type: ignore[override]
        def __lt__(self, other: Any) -> Tensor: ...
        def __le__(self, other: Any) -> Tensor: ...
        def __gt__(self, other: Any) -> Tensor: ...
        def __ge__(self, other: Any) -> Tensor: ...
        def __getitem__(self, index: Any) -> Tensor: ...
        def __setitem__(self, index: Any, value: Any) -> None: ...
        def __len__(self) -> int: ...
        def __int__(self) -> int: ...
        def __float__(self) -> float: ...
        def __bool__(self) -> bool: ...
        def __index__(self) -> int: ...


Tensor.__module__ = "rushlight"


def new(
    cls: type, storage: Storage, meta: Meta, offset: int = 0, array: Any = None, version: Any = None
) -> Tensor:
    """A tensor over a storage; ``array`` is the NumPy view of it, if the caller has it."""
    t: Tensor = object.__new__(cls)
    t._meta = meta
    t._storage = storage
    t._offset = offset
    t._counter = Version() if version is None else version
    if array is not None:
        t._array = array
    return t


def array_of(t: Tensor) -> Any:
    """The values of a CPU tensor as a NumPy array over its memory; conj/neg views are resolved."""
    if watch[0] is not None:
        watch[0].look(t)
    return memory_of(t)


def memory_of(t: Tensor) -> Any:
    """The same for the gate, which knows that the values are there."""
    array = t._array
    if array is None:
        if t._storage.device is not CPU:
            raise NotImplementedError("Cannot copy out of meta tensor; no data!")
        array = t._array = cpu.array_over(t._storage, t._meta, t._offset)
    meta = t._meta
    if meta.conj:
        array = array.conj()
    if meta.neg:
        array = -array
    return array


def alias(t: Tensor, cls: type, version: Version) -> Tensor:
    """A tensor of class `cls` over the same memory, with this version counter and no history."""
    if t._value is not None:
        return t._shadow(version)  # type: ignore[no-any-return]
    return new(cls, t._storage, t._meta, t._offset, t._array, version)


def point(t: Tensor, storage: Storage, meta: Meta, offset: int) -> None:
    """Makes a tensor a view of other memory, or of its own in another way."""
    interrupt("a tensor became another view of memory")
    t._storage, t._meta, t._offset, t._array = storage, meta, offset, None
    changed(t)


def changed(t: Tensor) -> None:
    """What an existing tensor is has changed: compiled code must look at it anew."""
    t._changed = True
    epoch[0] += 1


def _moved(storage: Storage) -> None:
    """A storage gets other memory: no tensor over it may keep an array over the old."""
    interrupt("a storage was resized")
    for holder in gc.get_referrers(storage):  # rarely needed, so nothing else keeps count of them
        if isinstance(holder, Tensor):
            found = holder.__dict__
        elif type(holder) is dict and holder.get("_storage") is storage:
            found = holder
        else:
            continue
        if found.get("_storage") is storage:
            found["_array"] = None
    epoch[0] += 1


moves.append(_moved)


def innermost(t: Tensor) -> Tensor:
    """The tensor with memory behind one inside vmap: all samples' values."""
    while t._value is not None:
        t = t._value
    return t


def raw_array(t: Tensor) -> Any:
    """The array over a tensor's memory, for writing; conj/neg bits are not looked at."""
    if watch[0] is not None:
        watch[0].look(t)
    return raw_memory(t)


def raw_memory(t: Tensor) -> Any:
    """The same for the gate, which knows that the values are there."""
    array = t._array
    if array is None:
        array = t._array = cpu.array_over(t._storage, t._meta, t._offset)
    return array
