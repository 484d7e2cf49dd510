"""Calls of ready-made kernels and of Python as steps of a program.

In: a value that is a matrix product, a whole operator or a scatter, and where its operands and
results lie.  Out: its steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from rushlight import dtypes
from rushlight.codegen import native, native_matmul, native_scatter
from rushlight.compiler.clusters import in_place, read_by
from rushlight.compiler.lower import resolve
from rushlight.compiler.steps import CallStep, Home, Memory, Place, PythonStep
from rushlight.ir.graph import Value, operands, row_major
from rushlight.ir.meta import meta

__all__ = ["call_steps"]

_PRODUCT, _ELEMENT = 0.02, 0.2  # nanoseconds of a multiply-add, of an element that is moved

Ints = tuple[int, ...]
Homes = Callable[[Value], Home | None]


def call_steps(
    v: Value, home: Homes, targets: dict[Value, list[Home]], threads: int
) -> list[CallStep | PythonStep]:
    """The steps of a call.

    Args:
        home: where a value lies.
        targets: where results go; values that are missing there are not wanted.
        threads: how many threads kernels are prepared for.
    """
    if v.kind == "concat":
        return []  # its parts are in place
    inputs = []
    for x in read_by(v):
        found = resolve(x, home)
        assert found is not None, f"{x} lies nowhere"
        inputs.append(found)
    results = _results(v, targets)
    if in_place(v):
        return [_scatter(v, inputs, results[0], threads)]
    if v.kind == "matmul":
        return [_product(v, inputs, results[0], threads)]
    if v.kind == "kernel":
        step = _native(v, inputs, results, threads)
        if step is not None:
            return [step]
    return [_python(v, inputs, results)]


def _results(v: Value, targets: dict[Value, list[Home]]) -> list[Home | None]:
    """Where each result of a call goes."""
    if v.dtype is not None:
        return [targets[v][0]]
    found: list[Home | None] = [None] * len(v.attrs[2].outs)
    for x, homes in targets.items():
        if x.kind == "part" and x.inputs[0] is v and homes:
            found[x.attrs[0]] = homes[0]
    return found


def _python(v: Value, inputs: list[Home], results: list[Home | None]) -> PythonStep:
    reads = frozenset([h.memory for h in inputs])
    writes = frozenset([h.memory for h in results if h is not None])
    return PythonStep(v, tuple(inputs), tuple(results), reads, writes)


def _product(v: Value, inputs: list[Home], result: Home | None, threads: int) -> Any:
    """A matrix product."""
    assert result is not None
    if v.dtype.itemsize not in (4, 8) or v.dtype.kind != "f":
        return _python(v, inputs, [result])
    a, b, *bias = v.inputs
    batch = v.shape[:-2]
    m, n, k = v.shape[-2], v.shape[-1], a.shape[-1]
    sa, sb, sc = [
        _product_steps(x.shape, h.strides, batch)
        for x, h in zip((a, b, v), (*inputs[:2], result), strict=True)
    ]
    finish = (1, v.attrs[0]) if bias else ()
    bounds = native_matmul.bind(v.dtype, batch, m, n, k, sa, sb, sc, threads, *finish)
    homes = (*inputs[:2], result, *inputs[2:])
    name = f"matmul {(*batch, m, n, k)}"
    step = _call(name, bounds, homes, [v.dtype] * len(homes), (0, 1, 3))
    return step._replace(work=v.size * k * _PRODUCT)


def _scatter(v: Value, inputs: list[Home], result: Home | None, threads: int) -> CallStep:
    """Values put at indices, in place."""
    indices = v.inputs[2:]
    mode = v.attrs[0]
    count = indices[0].size
    bound = native_scatter.bind(v.dtype, mode, v.shape, len(indices), count, threads)
    kinds = [x.dtype for x in (*v.inputs[1:], v)]
    step = _call(f"scatter {mode}", [bound], (*inputs, result), kinds, range(len(inputs)))
    return step._replace(reads=step.reads | step.writes, work=float(v.inputs[1].size))


def _product_steps(shape: Ints, strides: Ints, batch: Ints) -> tuple[Ints, int, int]:
    lead = [0] * (len(batch) - (len(shape) - 2))
    own = [0 if n == 1 else s for n, s in zip(shape[:-2], strides[:-2], strict=True)]
    return (*lead, *own), strides[-2], strides[-1]


def _native(
    v: Value, inputs: list[Home], results: list[Home | None], threads: int
) -> CallStep | None:
    """A whole operator's native kernel, if there is one for these operands."""
    op, attrs, plan, known = v.attrs
    shown = [
        meta(x.shape, dtypes.from_numpy(x.dtype), _strides(x.shape, h))
        for x, h in zip(v.inputs, inputs, strict=True)
    ]
    metas = operands(v, shown)
    if any([m is not None and type(m) in (bool, int, float) for m in metas]):
        return None
    outs = [m.like() for m in plan.outs]
    bounds = native.bind(op.name, metas, attrs, outs, threads)
    if bounds is None:
        return None
    homes: list[Home | None] = [*operands(v, inputs), *results]
    for i, m in enumerate(outs):
        if results[i] is None:  # nobody wants it, the kernel makes it
            memory = Memory("temp", nbytes=max(m.numel * m.dtype.itemsize, 1))
            homes[len(known) + i] = Home(memory, 0, row_major(m.shape))
    kinds = [m and m.dtype.numpy for m in (*metas, *outs)]
    step = _call(op.name, bounds, homes, kinds, range(len(known)))
    return step._replace(work=_work(v, outs))


def _work(v: Value, outs: Sequence[Any]) -> float:
    """About how long a whole operator takes: a convolution multiplies, others read and write."""
    sizes = sorted([x.size for x in v.inputs])
    moved = float(sum(sizes) + sum([m.numel for m in outs]))
    if v.attrs[0].kind != "window" or len(sizes) < 2 or len(v.inputs[1].shape) < 3:
        return moved * _ELEMENT
    weight = v.inputs[1].shape if v.attrs[0].name != "conv_weight" else outs[0].shape
    positions = max([m.numel for m in outs] + sizes) / max(weight[0], 1)
    return float(positions * math.prod(weight) * _PRODUCT + moved * _ELEMENT)


def _strides(shape: Ints, home: Home) -> Ints:
    plain = zip(shape, home.strides, row_major(shape), strict=True)
    return tuple([r if n == 1 else s for n, s, r in plain])


def _call(
    name: str,
    bounds: Sequence[Any],
    homes: Sequence[Home | None],
    kinds: Sequence[Any],
    inputs: Sequence[int],
) -> CallStep:
    """Launches with their operands' places; `inputs` says which are read."""
    places = [
        h and Place(h.memory, h.offset * k.itemsize) for h, k in zip(homes, kinds, strict=True)
    ]
    size = max([b.scratch for b in bounds], default=0)
    scratch = Memory("temp", nbytes=size) if size else None
    used = [(i in inputs, h.memory) for i, h in enumerate(homes) if h is not None]
    reads = frozenset([memory for read, memory in used if read])
    writes = {memory for read, memory in used if not read}
    if scratch is not None:
        writes.add(scratch)
    checks = any([b.bad >= 0 for b in bounds])
    return CallStep(name, tuple(bounds), tuple(places), scratch, reads, frozenset(writes), checks)
