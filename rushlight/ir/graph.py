"""The graph: what a stretch of calls computes, as pure functions of arrays.

In: the calls that `dispatch/trace.py` noted.  Out: what `compiler/` turns into one program.  A
Value is one array, made once; its elements are thought of in row-major order, wherever they will
lie.  Views are values that read another value's elements in another order, and an in-place write is
a new value that a Store puts into memory at the end: so passes never ask who shares memory with
whom.  Values are immutable; a pass makes new ones.

The kinds of values, with their inputs and attributes:

    input    ()             (slot, strides, offset)   memory outside: table[slot] is its array
    number   ()             (index,)                  a Python number known at run time, 0-d
    const    ()             (array,)                  a NumPy array known now, 0-d or small
    iota     ()             ()                        0, 1, 2, ... along its only dimension
    map      (values...)    (name,)                   a NumPy ufunc by its name, or `where`, `cast`;
                                                      inputs broadcast as in NumPy, dtypes as given
    view     (base,)        (strides, offset)         base's row-major elements, read with these
                                                      strides (0: broadcast; negative: backwards)
    concat   (values...)    (axis,)
    reduce   (value,)       (name, axes)              ufunc name or `argmax`, `argmin`; axes vanish
    index    (base, i...)   ()                        base[i0, i1, ...]: one integer array for each
                                                      leading dimension, broadcast together; checked
    scatter  (base, values, i...)  (mode,)            base with values `set` or `add`ed at i, in
                                                      row-major order of the indices; checked
    matmul   (a, b)         ()                        as np.matmul, two or more dimensions each
    kernel   (values...)    (op, attrs, plan, known)  a whole operator with a native kernel
    opaque   (values...)    (op, attrs, plan, known)  a whole operator, run by its NumPy kernel
    part     (call,)        (index,)                  one result of a kernel or opaque call

The inputs of a map have the dtypes of the ufunc's loop already: promotions are casts in the graph.
`known` of a call has an entry for each operand: `...` where the next value stands, otherwise the
Python number or None itself (`operands` puts them together).  A value without elements is always a
const.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

__all__ = ["Graph", "Store", "Value", "const", "operands", "row_major", "verify"]

Ints = tuple[int, ...]
KINDS = frozenset(
    ("input", "number", "const", "iota", "map", "view", "concat", "reduce", "index", "scatter")
    + ("matmul", "kernel", "opaque", "part")
)


class Value:
    """One array of a graph.

    Attributes:
        kind: one of the kinds above.
        inputs: the values from which it is computed.
        attrs: what else it depends on.
        shape: its shape; () for kernel and opaque calls, whose parts are the arrays.
        dtype: its NumPy dtype; None for kernel and opaque calls.
    """

    __slots__ = ("attrs", "dtype", "inputs", "kind", "shape")

    def __init__(
        self, kind: str, inputs: Sequence[Value], attrs: tuple[Any, ...], shape: Ints, dtype: Any
    ) -> None:
        self.kind = kind
        self.inputs = tuple(inputs)
        self.attrs = attrs
        self.shape = tuple(shape)
        self.dtype = dtype

    @property
    def size(self) -> int:
        """How many elements it has."""
        return math.prod(self.shape)

    def __repr__(self) -> str:
        name = f"{self.kind}.{self.attrs[0]}" if self.kind in ("map", "reduce") else self.kind
        return f"<{name} {list(self.shape)} {self.dtype}>"


class Store(NamedTuple):
    """A value that is put into memory outside the program.

    Attributes:
        value: what is stored.
        slot: the entry of the program's table that holds the array.
        strides: of the memory, in elements of the value's dtype, one a dimension of the value.
        offset: where in the memory the value starts, in elements.
        outside: whether somebody saw this memory before (a parameter); such stores wait until all
            index checks have passed, so that a failing program has changed nothing.
    """

    value: Value
    slot: int
    strides: Ints
    offset: int
    outside: bool


class Graph(NamedTuple):
    """What a program computes: its stores, in order; what they read follows from them.

    Attributes:
        stores: what ends up in memory.  Reads of a slot see it as it was before the program.
        slots: how many entries the table has.
        numbers: how many run-time numbers there are.
    """

    stores: tuple[Store, ...]
    slots: int
    numbers: int

    def values(self) -> Iterator[Value]:
        """All values, each after those it is computed from."""
        done: set[int] = set()
        for store in self.stores:
            stack = [(store.value, False)]
            while stack:
                value, expanded = stack.pop()
                if expanded:
                    yield value
                elif id(value) not in done:
                    done.add(id(value))
                    stack.append((value, True))
                    stack.extend([(x, False) for x in reversed(value.inputs)])


def row_major(shape: Sequence[int]) -> Ints:
    """The strides of a row-major array, in elements."""
    strides = []
    step = 1
    for n in reversed(shape):
        strides.append(step)
        step *= n
    return tuple(reversed(strides))


def const(value: Any, dtype: Any) -> Value:
    """A constant."""
    array = np.asarray(value, dtype)
    return Value("const", (), (array,), array.shape, array.dtype)


def operands(call: Value, values: Sequence[Any]) -> list[Any]:
    """The operands of a kernel or opaque call, with these things in the places of its inputs."""
    found = iter(values)
    return [next(found) if known is ... else known for known in call.attrs[3]]


def verify(graph: Graph) -> None:
    """Checks what every pass relies on.

    Raises:
        AssertionError: the graph is not well formed.
    """
    for v in graph.values():
        assert v.kind in KINDS, f"unknown kind {v.kind}"
        if v.kind not in ("kernel", "opaque"):
            assert isinstance(v.dtype, np.dtype), f"{v} has no dtype"
        check = _CHECKS.get(v.kind)
        if check is not None:
            check(v)
    for s in graph.stores:
        assert 0 <= s.slot < graph.slots, f"slot {s.slot} of {graph.slots}"
        assert len(s.strides) == len(s.value.shape), f"strides {s.strides} of {s.value}"


def _check_map(v: Value) -> None:
    assert np.broadcast_shapes(*[x.shape for x in v.inputs]) == v.shape, f"{v} of {v.inputs}"
    if v.attrs[0] not in ("where", "cast"):
        assert isinstance(getattr(np, v.attrs[0], None), np.ufunc), f"no ufunc {v.attrs[0]}"


def _check_view(v: Value) -> None:
    (base,), (strides, offset) = v.inputs, v.attrs
    assert len(strides) == len(v.shape)
    if v.size:
        reach = [(n - 1) * s for n, s in zip(v.shape, strides, strict=True)]
        low = offset + sum(r for r in reach if r < 0)
        high = offset + sum(r for r in reach if r > 0)
        assert 0 <= low <= high < base.size, f"{v} reads outside {base}"
    assert v.dtype == base.dtype


def _check_reduce(v: Value) -> None:
    (x,), (_, axes) = v.inputs, v.attrs
    assert all(0 <= a < len(x.shape) for a in axes)
    assert v.shape == tuple(n for i, n in enumerate(x.shape) if i not in axes), f"{v} of {x}"


def _check_matmul(v: Value) -> None:
    a, b = v.inputs
    assert a.dtype == b.dtype == v.dtype and len(a.shape) >= 2 and len(b.shape) >= 2
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    assert a.shape[-1] == b.shape[-2] and v.shape == (*batch, a.shape[-2], b.shape[-1])


def _check_part(v: Value) -> None:
    assert v.inputs[0].kind in ("kernel", "opaque")


_CHECKS = {
    "map": _check_map,
    "view": _check_view,
    "reduce": _check_reduce,
    "matmul": _check_matmul,
    "part": _check_part,
}
