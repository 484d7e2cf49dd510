"""PyTorch's sample inputs with rushlight's tensors in them: stand-ins, copies, how a call is made.

In: samples of the operators in PyTorch's OpInfo database (torch must be installed).  Out: the same
calls on rushlight.  A ``Stand`` stands in for one of its tensors in calls of torch functions.
"""

from __future__ import annotations

import types
from typing import Any

import torch

import rushlight

METHODS = {name: f"{name}_" for name in ("cauchy", "exponential", "geometric", "log_normal")}
METHODS |= {"item": "item", "normal.in_place": "normal_", "uniform": "uniform_"}


class Stand:
    """Stands in for a rushlight tensor in calls of torch functions, and forwards them."""

    def __init__(self, value: Any) -> None:
        object.__setattr__(self, "value", value)

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = torch.overrides.resolve_name(func) or f"torch.{func.__name__}"
        if name.endswith((".__get__", ".__set__")):
            return stand(getattr(plain(args[0]), name.split(".")[-2]))
        return stand(find(name)(*plain(args), **plain(kwargs or {})))

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.value, name)
        if callable(found) and not isinstance(found, rushlight.Tensor):
            return lambda *a, **k: stand(found(*plain(a), **plain(k)))
        return stand(found)


def _forward(name: str) -> Any:
    return lambda self, *args: stand(getattr(self.value, name)(*plain(args)))


for _name in (
    "add sub mul truediv floordiv mod pow matmul and or xor lshift rshift radd rsub rmul rtruediv "
    "rfloordiv rmod rpow rmatmul rand ror rxor lt le gt ge eq ne getitem setitem neg abs invert "
    "len float int bool index iadd isub imul itruediv iter"
).split():
    setattr(Stand, f"__{_name}__", _forward(f"__{_name}__"))
Stand.__hash__ = object.__hash__  # type: ignore[method-assign]


def find(name: str) -> Any:
    """The function that torch calls by this dotted name, of rushlight."""
    found: Any = rushlight
    for part in name.split(".")[1:]:
        found = getattr(found, part)
    return found


def stand(x: Any) -> Any:
    if isinstance(x, rushlight.Tensor):
        return Stand(x)
    if isinstance(x, (list, tuple)):
        return (list if isinstance(x, list) else tuple)([stand(v) for v in x])
    return x


def plain(x: Any) -> Any:
    """Arguments as rushlight takes them."""
    if isinstance(x, Stand):
        return x.value
    if type(x) in (list, tuple, torch.Size):
        return (list if type(x) is list else tuple)([plain(v) for v in x])
    if isinstance(x, dict):
        return {k: plain(v) for k, v in x.items()}
    if isinstance(x, torch.device):
        return str(x)
    if isinstance(x, (torch.dtype, torch.memory_format, torch.layout)):
        if not hasattr(rushlight, str(x).split(".")[1]):
            raise Inapplicable(str(x))
        return getattr(rushlight, str(x).split(".")[1])
    return x


class Converter:
    """Copies torch's tensors into rushlight; those that share memory share it there too."""

    def __init__(self) -> None:
        self.storages: dict[int, Any] = {}

    def __call__(self, x: Any) -> Any:
        if isinstance(x, torch.Tensor):
            return self.tensor(x)
        if type(x) in (list, tuple, torch.Size):
            return (list if type(x) is list else tuple)([self(v) for v in x])
        if isinstance(x, dict):
            return {k: self(v) for k, v in x.items()}
        return plain(x)

    def tensor(self, t: Any) -> Any:
        if t.device.type != "cpu" or t.layout != torch.strided:
            raise Inapplicable(f"a tensor on {t.device} of layout {t.layout}")
        if t.numel() and not t.untyped_storage().nbytes():
            raise Inapplicable("no memory")
        dtype = plain(t.dtype)
        key = t.untyped_storage().data_ptr()
        base = self.storages.get(key) if key else None
        if base is None or base.dtype != dtype:
            flat = torch.empty(0, dtype=t.dtype).set_(t.untyped_storage())
            if t.dtype in (torch.bfloat16, torch.complex32):
                flat = flat.to(torch.float32 if t.dtype is torch.bfloat16 else torch.complex64)
            values = flat.detach().numpy().copy()
            fixed = not t.untyped_storage().resizable()
            base = rushlight.from_numpy(values) if fixed else rushlight.tensor(values)
            base = base.to(dtype)
            self.storages[key] = base
        shape, strides = tuple(t.shape), tuple(t.stride())
        out = base.as_strided(shape, strides, t.storage_offset()).detach()
        return out.requires_grad_() if t.requires_grad else out


class Inapplicable(Exception):
    """A sample that rushlight has no counterpart for."""


def ours(op: Any, args: Any, kwargs: Any) -> Any:
    """A function that makes the call on rushlight."""
    call = op.op
    method = METHODS.get(op.full_name)
    if isinstance(call, (types.MethodDescriptorType, types.WrapperDescriptorType)):
        return lambda: getattr(rushlight.Tensor, call.__name__)(*args, **kwargs)
    if method:
        return lambda: getattr(args[0], method)(*args[1:], **kwargs)
    name = torch.overrides.resolve_name(call) or ""
    if call.__module__.startswith("torch.signal"):  # these do not let others override
        name = f"torch.{op.name}"
    if name.startswith("torch.") and "._" not in name:
        return lambda: find(name)(*args, **kwargs)
    return lambda: call(*stand(args), **stand_all(kwargs))


def stand_all(kwargs: dict[str, Any]) -> dict[str, Any]:
    return {k: stand(v) for k, v in kwargs.items()}
