"""Wrong inputs raise here what they raise in PyTorch, on PyTorch's own table of wrong inputs.

In: `error_inputs_func` of the operators in PyTorch's OpInfo database.  Each call is made with torch
and with rushlight; the types of the exceptions must agree, and their first lines are counted.

    python -m tests.test_error_inputs [part of an operator's name ...]

lists what differs.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
import types
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

import rushlight

torch = pytest.importorskip("torch")
pytest.importorskip("expecttest")  # PyTorch's test helpers need it

OUT_OF_SCOPE = ("_", "jiterator", "sparse", "to_sparse", "hash_tensor", "native_", "torch.ops")
METHODS = {name: f"{name}_" for name in ("cauchy", "exponential", "geometric", "log_normal")}
METHODS |= {"item": "item", "normal.in_place": "normal_", "uniform": "uniform_"}
WITHDRAWN = ("linear_cross_entropy", "nonzero_static", "resize_", "triangular_solve", "chalf")

KNOWN = {
    "Trying to resize storage that is not resizable": "the copies made here own their memory",
    "Expected dim < static_cast<int64_t>": "a failed check inside PyTorch, no answer to the user",
    "' for 'torch._C.TensorBase' objects doesn't apply": "x + 1 called as method of the number 1; "
    "methods written in Python do not ask for their object's class",
    "'int' object has no attribute 'reciprocal'": "likewise, of __rdiv__",
}
"""Parts of PyTorch's texts where the type may differ, and why."""

SAME_TYPE, SAME_TEXT = 632, 627  # of 641: the least counts


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
            base = rushlight.tensor(flat.detach().numpy().copy()).to(dtype)
            self.storages[key] = base
        shape, strides = tuple(t.shape), tuple(t.stride())
        out = base.as_strided(shape, strides, t.storage_offset()).detach()
        return out.requires_grad_() if t.requires_grad else out


class Inapplicable(Exception):
    """A sample that rushlight has no counterpart for."""


def in_scope(op: Any) -> bool:
    name = op.full_name
    if name.startswith("__"):
        return True
    return not name.startswith(OUT_OF_SCOPE) and not any(w in name for w in WITHDRAWN)


def outcome(call: Any) -> tuple[str, str]:
    """The exception's type and first line; empty where there is none."""
    try:
        call()
    except Inapplicable:
        raise
    except Exception as error:
        text = str(error)
        return type(error).__name__, (text.splitlines() or [""])[0]
    return "", ""


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


class Row:
    """One wrong input and what both packages say to it."""

    def __init__(self, op: str, want: tuple[str, str], got: tuple[str, str]) -> None:
        self.op, self.want, self.got = op, want, got

    def __str__(self) -> str:
        sides = [f"{kind or 'nothing'}: {text}" for kind, text in (self.want, self.got)]
        return f"{self.op}\n    torch     {sides[0]}\n    rushlight {sides[1]}"


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def compare(only: tuple[str, ...] = ()) -> list[Row]:
    """Every wrong input of every operator (whose name holds one of the given parts)."""
    database = importlib.import_module("torch.testing._internal.common_methods_invocations")
    rows = []
    for op in database.op_db:
        if op.error_inputs_func is None or not in_scope(op):
            continue
        if only and not any(part in op.full_name for part in only):
            continue
        for case in op.error_inputs("cpu"):
            sample = case.sample_input
            args, kwargs = (sample.input, *sample.args), sample.kwargs
            convert = Converter()
            try:
                mine = ours(op, convert(args), convert(kwargs))
                want = outcome(lambda: op(*args, **kwargs))  # noqa: B023
                if want[0]:
                    rows.append(Row(op.full_name, want, outcome(mine)))
            except Inapplicable:
                continue
    return rows


def test_wrong_inputs_raise_as_in_torch() -> None:
    with quiet():
        rows = compare()
    kinds = [row for row in rows if row.want[0] != row.got[0]]
    texts = sum(row.want == row.got for row in rows)
    print(f"\n{len(rows)} wrong inputs: {len(rows) - len(kinds)} of the same type, ", end="")
    print(f"{texts} with the same first line")
    unknown = [str(row) for row in kinds if not any(part in row.want[1] for part in KNOWN)]
    assert not unknown, "\n".join(unknown)
    assert len(rows) - len(kinds) >= SAME_TYPE
    assert texts >= SAME_TEXT


if __name__ == "__main__":
    with quiet():
        found = compare(tuple(a for a in sys.argv[1:] if a != "--texts"))
    for row in found:
        if row.want[0] != row.got[0] or ("--texts" in sys.argv and row.want != row.got):
            print(row)
    same = sum(row.want[0] == row.got[0] for row in found)
    lines = sum(row.want == row.got for row in found)
    print(f"{len(found)} wrong inputs, {same} of the same type, {lines} with the same first line")
