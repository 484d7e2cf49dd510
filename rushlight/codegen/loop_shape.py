"""A kernel made ready for emission: fewer axes, in a better order, and which one fills the vectors.

`collapse` gives a kernel that computes the same: an elementwise kernel's axes are all outer ones,
axes of size 1 go, the others are sorted by how far apart their elements lie, neighbours that run
through memory as one become one, equal instructions are merged and unused ones dropped, and the
checks of a gather's indices become instructions of their own. `vector_axis` then chooses between
the last inner axis (rows) and the last outer one (columns).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from rushlight.codegen.loop_lanes import kind_of
from rushlight.codegen.loop_math import cost
from rushlight.codegen.loop_memory import FARTHEST, WIDEST
from rushlight.compiler.loops import Instruction, Kernel, Stage

__all__ = ["tiled", "collapse", "instruction_cost", "lanes_for", "strides_of", "vector_axis"]

Ints = tuple[int, ...]
_MEMORY = ("load", "gather")
_CHEAP = 12  # instructions of a body that tiles repeat
_INT64 = np.dtype(np.int64)


def strides_of(ins: Instruction) -> Ints:
    """The strides of a load or gather."""
    return tuple(ins.attrs[2])


# Bodies


def _reduced_body(stage: Stage) -> Stage:
    """The stage without repeated and unused instructions, its gathers split in check and read."""
    body: list[Instruction] = []
    known: dict[Any, int] = {}
    place: list[int] = []

    def put(ins: Instruction) -> int:
        key = (ins.name, ins.args, _hashable(ins), ins.dtype)
        if key not in known:
            known[key] = len(body)
            body.append(ins)
        return known[key]

    live = _live(stage)
    for i, ins in enumerate(stage.body):
        if i not in live:
            place.append(-1)
            continue
        args = tuple([place[a] for a in ins.args])
        if ins.name == "gather":
            buffer, offset, strides, sizes = ins.attrs
            check = put(Instruction("check", args, (buffer, tuple(sizes)), _INT64))
            ins = Instruction("gather", (check,), (buffer, offset, tuple(strides)), ins.dtype)
            place.append(put(ins))
        else:
            place.append(put(ins._replace(args=args)))
    return Stage(
        tuple(body),
        tuple([r._replace(value=place[r.value]) for r in stage.reduces]),
        tuple([s._replace(value=place[s.value]) for s in stage.stores]),
        stage.inner,
    )


def _hashable(ins: Instruction) -> Any:
    if ins.name == "const":  # 0.0 and -0.0 are equal, NaN is not, yet both matter
        value = ins.attrs[0]
        return repr(value.item() if hasattr(value, "item") else value)
    return ins.attrs


def _live(stage: Stage) -> set[int]:
    wanted = {r.value for r in stage.reduces} | {s.value for s in stage.stores}
    for i in range(len(stage.body) - 1, -1, -1):
        if stage.body[i].name == "gather":
            wanted.add(i)  # its check counts
        if i in wanted:
            wanted.update(stage.body[i].args)
    return wanted


# Axes


def _moved(kernel: Kernel, outer: Sequence[int], inner: Sequence[int]) -> Kernel:
    """The kernel with these axes (numbers of the old ones) in this order; others had size 1."""
    sizes = kernel.outer + kernel.inner
    order = [*outer, *inner]

    def strides(old: Ints) -> Ints:
        full = (*old, *(0,) * (len(sizes) - len(old)))
        return tuple([full[a] for a in order])

    def instruction(ins: Instruction) -> Instruction:
        if ins.name in _MEMORY:
            buffer, offset, old = ins.attrs
            return ins._replace(attrs=(buffer, offset, strides(old)))
        if ins.name == "axis":
            if ins.attrs[0] not in order:
                return Instruction("const", (), (0,), ins.dtype)
            return ins._replace(attrs=(order.index(ins.attrs[0]),))
        return ins

    stages = [
        Stage(
            tuple([instruction(i) for i in s.body]),
            s.reduces,
            tuple([t._replace(strides=strides(t.strides)) for t in s.stores]),
            s.inner,
        )
        for s in kernel.stages
    ]
    return kernel._replace(
        outer=tuple([sizes[a] for a in outer]),
        inner=tuple([sizes[a] for a in inner]),
        stages=tuple(stages),
    )


def _accesses(kernel: Kernel) -> list[Ints]:
    """The strides of everything that is read or written, stores first."""
    axes = len(kernel.outer) + len(kernel.inner)
    stores = [t.strides for s in kernel.stages for t in s.stores]
    loads = [strides_of(i) for s in kernel.stages for i in s.body if i.name in _MEMORY]
    return [(*s, *(0,) * (axes - len(s))) for s in stores + loads]


def _sorted(kernel: Kernel) -> tuple[list[int], list[int]]:
    """Outer and inner axes of sizes other than 1, wide strides first."""
    sizes = kernel.outer + kernel.inner
    accesses = _accesses(kernel)

    def key(axis: int) -> tuple[int, ...]:
        return tuple([-abs(s[axis]) for s in accesses if s[axis]])[:1] or (0,)

    def order(axes: Sequence[int]) -> list[int]:
        return sorted([a for a in axes if sizes[a] != 1], key=key)

    first = len(kernel.outer)
    return order(range(first)), order(range(first, len(sizes)))


def _one_run(kernel: Kernel, a: int, size: int) -> bool:
    """Whether axes a and a + 1 (of this size) run through all memory as one axis would."""
    used = {i.attrs[0] for s in kernel.stages for i in s.body if i.name == "axis"}
    if a in used or a + 1 in used:
        return False
    return all([s[a] == s[a + 1] * size for s in _accesses(kernel)])


def _merged(kernel: Kernel) -> Kernel:
    a = 0
    while a < len(kernel.outer) + len(kernel.inner) - 1:
        outer, inner = list(kernel.outer), list(kernel.inner)
        first = len(outer)
        sizes = outer + inner
        if a + 1 != first and _one_run(kernel, a, sizes[a + 1]):
            order = [i for i in range(len(sizes)) if i != a]
            new = _moved(kernel, order[: first - (a < first)], order[first - (a < first) :])
            sizes[a + 1] *= sizes[a]
            del sizes[a]
            first -= a < first
            kernel = new._replace(outer=tuple(sizes[:first]), inner=tuple(sizes[first:]))
        else:
            a += 1
    return kernel


def collapse(kernel: Kernel) -> Kernel:
    """The same kernel with as few axes and instructions as may be."""
    kernel = kernel._replace(stages=tuple([_reduced_body(s) for s in kernel.stages]))
    if len(kernel.stages) == 1 and not kernel.stages[0].reduces:
        stage = kernel.stages[0]
        axes = kernel.outer + (kernel.inner if stage.inner else ())
        only = stage._replace(inner=False)
        kernel = kernel._replace(outer=axes, inner=(), stages=(only,))
        kernel = _moved(kernel, range(len(axes)), ())
    return _merged(_moved(kernel, *_sorted(kernel)))


# Vectors


def tiled(kernel: Kernel, lanes: int) -> Kernel | None:
    """The kernel with the two axes of its tiles last, if it is one that tiles serve.

    It must be elementwise, cheap (its body stands there once for each line of a tile), and read or
    write memory that is dense along another axis than the one that fills the vectors.
    """
    if kernel.inner or len(kernel.outer) < 2 or min(kernel.outer[-1], lanes) < 8:
        return None
    work = sum([_work(s, lanes) for s in kernel.stages])
    names = {i.name for s in kernel.stages for i in s.body}
    if len(kernel.stages) > 1 or work > _CHEAP or "gather" in names or lanes > 16:
        return None
    last = len(kernel.outer) - 1
    for strides in _accesses(kernel):
        if strides[last] in (0, 1, -1):
            continue
        dense = [a for a in range(last) if strides[a] == 1 and kernel.outer[a] >= 8]
        if dense:
            order = [a for a in range(last) if a != dense[0]]
            return _moved(kernel, [*order, dense[0], last], ())
    return None


def lanes_for(kernel: Kernel, vector_bytes: int) -> int:
    """How many lanes vectors have: as many as fill one with the most usual element size."""
    sizes = set()
    for stage in kernel.stages:
        for ins in stage.body:
            kind = kind_of(ins.dtype)
            if ins.name != "axis" and not (ins.name == "check" or kind.family == "b"):
                sizes.add(4 if kind.half else kind.size)
    size = 4 if 4 in sizes else max(sizes, default=1)
    return vector_bytes // size


def instruction_cost(ins: Instruction, kind: Any, lanes: int) -> int:
    """About how many instructions one vector of this takes."""
    if ins.name in ("const", "number", "axis", "reduced"):
        return 0
    if ins.name in _MEMORY or ins.name in ("where", "cast"):
        return 1
    return 4 if ins.name == "check" else cost(ins.name, kind, lanes)


def _touch(strides: Ints, axis: int, lanes: int) -> float:
    step = strides[axis]
    if step == 0:
        return 0.25
    if 1 < step <= FARTHEST and lanes <= WIDEST:
        return 1.5 * step
    return 1.0 if step == 1 else 1.5 if step == -1 else float(lanes)


def paired(kernel: Kernel, lanes: int) -> int:
    """The size of the last outer axis if vectors shall hold several positions of the one before.

    It must be short, stores dense, and what is read must lie near by. Else 0.
    """
    if len(kernel.outer) < 2 or lanes > WIDEST or 0 in kernel.outer:
        return 0
    rows, size = kernel.outer[-2:]
    last = len(kernel.outer) - 1
    several = min(lanes // size, rows)
    if several < 2:
        return 0
    stores = [t.strides for s in kernel.stages for t in s.stores]
    if any([(t[last - 1], t[last]) != (size, 1) for t in stores]):
        return 0
    for strides in _accesses(kernel):
        step, stride = strides[last - 1], strides[last]
        if min(step, stride) < 0 or (several - 1) * step + (size - 1) * stride > 4 * lanes:
            return 0
    return size


def vector_axis(kernel: Kernel, lanes: int, pair: int) -> bool:
    """Whether the last inner axis fills the vectors; if not, the last outer one does."""
    if not kernel.inner:
        return False
    if not kernel.outer:
        return True
    accesses = _accesses(kernel)
    last, n = kernel.inner[-1], kernel.outer[-1]
    positions, walk = math.prod(kernel.outer), math.prod(kernel.inner)
    outer, inner = len(kernel.outer) - 1, len(kernel.outer) + len(kernel.inner) - 1
    work = sum([_work(s, lanes) for s in kernel.stages])
    reduces = sum([len(s.reduces) for s in kernel.stages])
    rows = sum([_touch(s, inner, lanes) for s in accesses]) + work
    rows *= positions * (walk // max(last, 1)) * math.ceil(last / lanes)
    rows += positions * (8 * reduces + 4)
    columns = sum([_touch(s, outer, lanes) for s in accesses]) + work
    if pair:
        rest = positions // (n * kernel.outer[-2])
        columns *= rest * math.ceil(kernel.outer[-2] / (lanes // pair)) * walk
    else:
        columns *= (positions // max(n, 1)) * math.ceil(n / lanes) * walk
    return rows <= columns


def _work(stage: Stage, lanes: int) -> int:
    return sum([instruction_cost(i, kind_of(i.dtype), lanes) for i in stage.body])
