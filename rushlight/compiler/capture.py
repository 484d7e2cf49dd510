"""Capture: from a call of an operator to Values, by running its NumPy kernel on Symbols.

The NumPy kernel of a record is the operator's definition, so the compiler reads it: no operator has
a second one.  In: a record, its plan, Values for tensors, Python numbers or None.  Out: a Value for
each result, of the shape and dtype that the plan says.  Calls whose kernels ask for elements, sort,
draw or loop by values stay whole (`opaque`); heavy operators with a native kernel stay whole too
(`kernel`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rushlight.codegen import NATIVE, native_pool
from rushlight.compiler import symbol_functions, symbol_indexing, values
from rushlight.compiler.symbols import Symbol, lift
from rushlight.compiler.values import NotCaptured
from rushlight.dtypes import float32
from rushlight.ir.graph import Value
from rushlight.ir.meta import Meta
from rushlight.ir.op import Op, Plan
from rushlight.ops.create import empty
from rushlight.runtime import cpu
from rushlight.runtime.quiet import quietly

__all__ = ["NotCaptured", "capture", "decompose", "for_kernel", "whole"]

_TABLES = (symbol_functions, symbol_indexing)  # what they hold is in symbols.FUNCTIONS
_FLOAT = np.dtype(np.float32)
_NEVER = frozenset(("random", "sort", "opaque"))  # kinds whose kernels are not read


def capture(op: Op, plan: Plan, inputs: Sequence[Any], attrs: tuple[Any, ...]) -> tuple[Value, ...]:
    """The results of a call as Values.

    Args:
        op: the record; not of kind movement, whose results are views.
        plan: what its rule decided.
        inputs: Values (the tensors, as they are before any conversion), Python numbers or None.
        attrs: the static attributes; a `number` Value may stand where a Python float was.

    Raises:
        NotCaptured: a run-time number is among the attributes of a call that must stay whole.
    """
    served = for_kernel(op, plan, inputs, attrs)
    if served is not None:
        parts = whole("kernel", op, *served, attrs)
        return tuple(_result(v, m) for v, m in zip(parts, plan.outs, strict=True))
    try:
        return decompose(op, plan, inputs, attrs)
    except Exception:  # the kernel itself, run whole, raises what is the user's to see
        return whole("opaque", op, plan, inputs, attrs)


def for_kernel(
    op: Op, plan: Plan, inputs: Sequence[Any], attrs: tuple[Any, ...]
) -> tuple[Plan, list[Any]] | None:
    """Plan and inputs of a call that goes to a native kernel of a whole operator; else None.

    Those kernels take float32 or float64 throughout; halves are converted, as `plan.compute` says.
    """
    if op.name not in NATIVE:
        return None
    arrays = [x for x in inputs if isinstance(x, Value)]
    if any(x.size == 0 for x in arrays) or plan.outs[0].numel == 0:
        return None
    if op.name == "max_pool" and not native_pool.serves(inputs[0].shape, _FLOAT, attrs):
        return None
    kinds = {x.dtype for x in arrays if x.dtype.kind != "i"}
    if len(kinds) == 1 and kinds <= {np.dtype(np.float32), np.dtype(np.float64)}:
        return plan, list(inputs)
    if plan.compute is not float32 or not all(k.kind in "fV" for k in kinds):
        return None
    outs = [m.like(dtype=float32, strides=m.strides) for m in plan.outs]
    wide = Plan(outs[0] if plan.single else outs, float32)
    return wide, [values.cast(x, np.float32) if isinstance(x, Value) else x for x in inputs]


def whole(
    kind: str, op: Op, plan: Plan, inputs: Sequence[Any], attrs: tuple[Any, ...]
) -> tuple[Value, ...]:
    """A call that stays one value, and its results."""
    if any(isinstance(a, Value) for a in attrs):
        raise NotCaptured(f"a run-time number among the attributes of {op.name}")
    known = tuple(... if isinstance(x, Value) else x for x in inputs)
    arrays = [x for x in inputs if isinstance(x, Value)]
    call = Value(kind, arrays, (op, attrs, plan, known), (), None)
    return tuple(
        Value("part", (call,), (i,), tuple(m.shape), m.dtype.numpy) for i, m in enumerate(plan.outs)
    )


def decompose(
    op: Op, plan: Plan, inputs: Sequence[Any], attrs: tuple[Any, ...]
) -> tuple[Value, ...]:
    """The results as what the kernel does with its operands.

    Raises:
        NotCaptured: the kernel does something that a graph does not say.
    """
    if op.kind in _NEVER or op.kernel is None:
        raise NotCaptured(f"operators of kind {op.kind}")
    if any(m.dtype.kind == "c" for m in plan.outs):
        raise NotCaptured("complex numbers")
    if op is empty:
        return tuple(_result(values.from_array(m.dtype.numpy.type(0)), m) for m in plan.outs)
    operands = [_operand(x, plan.compute) for x in inputs]
    given = [Symbol(a, float) if isinstance(a, Value) else a for a in attrs]
    kernel: Any = op.kernel
    if op.kind == "create":
        operands = [plan.outs[0] if plan.single else plan.outs, *operands]
    results = quietly(kernel, (*operands, *given))
    found = [results] if plan.single else list(results)
    return tuple(_result(lift(r), m) for r, m in zip(found, plan.outs, strict=True))


def _operand(x: Any, compute: Any) -> Any:
    """An operand as `runtime.cpu.convert` makes it, with Symbols for arrays."""
    if not isinstance(x, Value):
        return x if compute is None else cpu.convert([x], compute)[0]
    if x.dtype.kind == "c" or x.dtype.name == "complex32":
        raise NotCaptured("complex numbers")
    if compute is not None:
        return Symbol(values.cast(x, compute.numpy))
    return Symbol(x, float if x.kind == "number" else None)


def _result(v: Value, meta: Meta) -> Value:
    """A kernel's result in the dtype of its Meta, converted as PyTorch does, and in its shape."""
    dtype = meta.dtype.numpy
    if v.dtype.kind == "f" and (dtype.kind == "u" or (dtype.kind == "i" and dtype.itemsize < 8)):
        v = values.cast(v, np.int64)  # as `runtime.cpu.cast_into`
    return values.broadcast_to(values.cast(v, dtype), meta.shape)
