"""The reference interpreter: what a graph means, said in NumPy.

In: a graph, the arrays of its table and its run-time numbers.  Out: the stores are done.  Nothing
is fast here; the compiler's programs are tested against it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rushlight.compiler.outside import memory_at
from rushlight.ir.graph import Graph, Value, operands
from rushlight.runtime import cpu
from rushlight.runtime.quiet import quietly

__all__ = ["evaluate", "value_of"]


def evaluate(graph: Graph, arrays: Sequence[Any], numbers: Sequence[float] = ()) -> None:
    """Runs a graph: computes all values, then performs its stores in order.

    Args:
        graph: the graph.
        arrays: one array a slot; inputs are read from and stores go to the memory that starts at an
            array's first element.
        numbers: the run-time numbers.

    Raises:
        IndexError: an index is out of bounds; nothing has been stored.
    """
    with np.errstate(all="ignore"):
        found: dict[int, Any] = {}
        for v in graph.values():
            found[id(v)] = value_of(v, [found[id(x)] for x in v.inputs], arrays, numbers)
        for s in graph.stores:
            target = _memory(arrays[s.slot], s.value.shape, s.value.dtype, s.strides, s.offset)
            target[...] = found[id(s.value)]


def value_of(v: Value, inputs: list[Any], arrays: Sequence[Any], numbers: Sequence[float]) -> Any:
    """The array of a value, given those of its inputs; a list of arrays for a whole operator."""
    if v.kind == "input":
        slot, strides, offset = v.attrs
        return _memory(arrays[slot], v.shape, v.dtype, strides, offset).copy()
    if v.kind == "number":
        return np.asarray(numbers[v.attrs[0]], v.dtype)
    result = _KINDS[v.kind](v, *inputs)
    if v.dtype is not None:
        assert (result.shape, result.dtype) == (v.shape, v.dtype), f"{v} gave {result.dtype}"
    return result


def _memory(array: Any, shape: Any, dtype: Any, strides: Any, offset: int) -> Any:
    """The elements that strides (in elements) name in the memory from an array's first element."""
    start = array.__array_interface__["data"][0] + offset * dtype.itemsize
    return memory_at(start, shape, dtype, strides, array)


def _map(v: Value, *inputs: Any) -> Any:
    name = v.attrs[0]
    if name == "cast":
        return inputs[0].astype(v.dtype)
    if name == "where":
        return np.where(*inputs)
    return np.asarray(getattr(np, name)(*inputs))


def _view(v: Value, base: Any) -> Any:
    flat = np.ascontiguousarray(base)
    return _memory(flat, v.shape, v.dtype, *v.attrs).copy()


def _reduce(v: Value, x: Any) -> Any:
    name, axes = v.attrs
    if name in ("argmax", "argmin"):
        (axis,) = axes
        return np.asarray(getattr(np, name)(x, axis=axis), v.dtype)
    return np.asarray(getattr(np, name).reduce(x, axis=axes, dtype=v.dtype))


def _index(v: Value, base: Any, *indices: Any) -> Any:
    return np.asarray(base[indices])


def _scatter(v: Value, base: Any, values: Any, *indices: Any) -> Any:
    out = base.copy()
    if v.attrs[0] == "add":
        np.add.at(out, indices, values)
    else:
        out[indices] = values
    return out


def _call(v: Value, *inputs: Any) -> list[Any]:
    op, attrs, plan = v.attrs[:3]
    given = [a.item() if x.kind == "number" else a for x, a in zip(v.inputs, inputs, strict=True)]
    results = cpu.run(op, plan, operands(v, given), attrs)
    placed = []
    for result, meta in zip(results, plan.outs, strict=True):
        out = np.empty(meta.shape, meta.dtype.numpy)
        quietly(cpu.cast_into, (out, result))
        placed.append(out)
    return placed


_KINDS: dict[str, Callable[..., Any]] = {
    "const": lambda v: v.attrs[0],
    "iota": lambda v: np.arange(v.shape[0], dtype=v.dtype),
    "map": _map,
    "view": _view,
    "concat": lambda v, *inputs: np.concatenate(inputs, axis=v.attrs[0]),
    "reduce": _reduce,
    "index": _index,
    "scatter": _scatter,
    "matmul": lambda v, a, b: np.matmul(a, b),
    "kernel": _call,
    "opaque": _call,
    "part": lambda v, results: results[v.attrs[0]],
}
