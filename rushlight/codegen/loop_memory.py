"""Vectors from memory and back: dense, reversed, spaced or scattered, whole or their first lanes.

In: the address of the first lane's element, and how far apart the lanes' elements are. What does
not exist is never read or written: beyond `count` lanes vectors are masked.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from rushlight.codegen.loop_lanes import Kind, Lanes, Partial

__all__ = [
    "FARTHEST",
    "WIDEST",
    "Count",
    "picked",
    "read",
    "read_at",
    "regular",
    "window",
    "write",
    "write_together",
]

Count = int | Partial | None  # how many lanes there are, None for all
FARTHEST = 8  # elements apart up to which all between are read
WIDEST = 16  # lanes of vectors whose elements are picked


def read(b: Lanes, kind: Kind, place: str, stride: int, count: Count) -> str:
    """A vector as in memory; lanes beyond the count are 0."""
    v, size = b.kind(kind.memory), kind.size
    if isinstance(count, Partial):
        return b.f.either(
            count.short,
            v,
            lambda: read(b, kind, place, stride, count.present),
            lambda: read(b, kind, place, stride, None),
        )
    if stride == 1 and (count is None or count >= b.n):
        return b.f.load(v, place, size)
    if count == 1:
        one = b.f.load(kind.memory, place, size)
        return b.insert(kind.memory, "zeroinitializer", one, 0)
    if stride == 1:
        rest = f"<{b.n} x i1> {b.first(count)}, {v} zeroinitializer"
        name = f"@llvm.masked.load.{_suffix(b, kind)}.p0"
        return b.f.op(f"call {v} {name}(ptr {place}, i32 {size}, {rest})")
    if stride == -1 and count is None:
        start = b.f.at(kind.memory, place, 1 - b.n)
        return _reversed(b, kind, b.f.load(v, start, size))
    return read_at(b, kind, place, b.iota(0, stride), count)


def read_at(b: Lanes, kind: Kind, place: str, elements: str, count: Count) -> str:
    """The elements at these distances from a place."""
    v, size = b.kind(kind.memory), kind.size
    places = b.f.op(f"getelementptr {kind.memory}, ptr {place}, {b.kind('i64')} {elements}")
    rest = f"<{b.n} x i1> {b.first(count)}, {v} zeroinitializer"
    name = f"@llvm.masked.gather.{_suffix(b, kind)}.v{b.n}p0"
    return b.f.op(f"call {v} {name}(<{b.n} x ptr> {places}, i32 {size}, {rest})")


def window(
    b: Lanes, kind: Kind, place: str, elements: Sequence[int], span: int, count: Count
) -> list[str]:
    """All elements from a place to `span - 1` after the last lane's, as vectors.

    Args:
        elements: how far from the place each lane's element is, none before it.
    """
    found = []
    for start in range(0, max(elements) + span, b.n):
        at = b.f.at(kind.memory, place, start)

        def some(there: int, at: str = at) -> str:
            return read(b, kind, at, 1, there) if there > 0 else "zeroinitializer"

        whole = min(max(elements) + span - start, b.n)
        if count is None:
            found.append(some(whole))
            continue
        lanes = count.present if isinstance(count, Partial) else count
        fewer = min(max(elements[:lanes]) + span - start, b.n)
        if isinstance(count, int) or fewer == whole:
            found.append(some(fewer))
            continue
        arms = (partial(some, fewer), partial(some, whole))
        found.append(b.f.either(count.short, b.kind(kind.memory), *arms))
    return found


def write_together(b: Lanes, kind: Kind, vectors: list[str], place: str, count: Count) -> None:
    """Stores the lanes of several vectors in turn, one of each: densely."""
    if isinstance(count, Partial):
        for condition, lanes in ((count.short, count.present), (b.f.otherwise(count.short), None)):
            with b.f.when(condition):
                write_together(b, kind, vectors, place, lanes)
        return
    several = len(vectors)
    there = several * (b.n if count is None else count)
    for start in range(0, there, b.n):
        turns = [divmod(n, several) for n in range(start, start + b.n)]
        value = picked(b, kind, vectors, [which * b.n + lane for lane, which in turns])
        write(b, kind, value, b.f.at(kind.memory, place, start), 1, min(there - start, b.n))


def picked(b: Lanes, kind: Kind, vectors: list[str], elements: Sequence[int]) -> str:
    """These elements of what a window holds."""
    v = b.kind(kind.memory)
    total, have = vectors[0], [n if n < b.n else -1 for n in elements]
    for k, vector in enumerate([*vectors[1:], "poison"]):
        if vector == "poison" and (k or have == list(range(b.n))):
            break
        new = [n - k * b.n if 0 <= n - (k + 1) * b.n < b.n else -1 for n in elements]
        mask = [x if x >= 0 else y for x, y in zip(new, have, strict=True)]
        listed = ", ".join([f"i32 {n if n >= 0 else 'poison'}" for n in mask])
        pair = f"{v} {total}, {v} {vector}"
        total = b.f.op(f"shufflevector {pair}, <{b.n} x i32> <{listed}>")
        have = [lane if n >= 0 else -1 for lane, n in enumerate(mask)]
    return total


def regular(elements: Sequence[int]) -> int | None:
    """The stride, if all are equally far apart."""
    stride = elements[1] - elements[0] if len(elements) > 1 else 1
    return stride if list(elements) == [stride * i for i in range(len(elements))] else None


def write(b: Lanes, kind: Kind, value: str, place: str, stride: int, count: Count) -> None:
    """Stores a vector as in memory, the lanes that there are."""
    v, size = b.kind(kind.memory), kind.size
    if isinstance(count, Partial):
        for short, lanes in ((True, count.present), (False, None)):
            condition = count.short if short else b.f.otherwise(count.short)
            with b.f.when(condition):
                write(b, kind, value, place, stride, lanes)
        return
    mask = f"<{b.n} x i1> {b.first(count)}"
    if b.n == 1 or (stride == 1 and (count is None or count >= b.n)):
        b.f.store(v, value, place, size)
    elif count == 1:  # LLVM 22 makes a wide store of a narrowed vector under a mask of one lane
        b.f.store(kind.memory, b.extract(kind.memory, value, 0), place, size)
    elif stride == 1:
        name = f"@llvm.masked.store.{_suffix(b, kind)}.p0"
        b.f.line(f"call void {name}({v} {value}, ptr {place}, i32 {size}, {mask})")
    elif stride == -1 and count is None:
        start = b.f.at(kind.memory, place, 1 - b.n)
        b.f.store(v, _reversed(b, kind, value), start, size)
    else:
        ramp = f"{b.kind('i64')} {b.iota(0, stride)}"
        places = b.f.op(f"getelementptr {kind.memory}, ptr {place}, {ramp}")
        name = f"@llvm.masked.scatter.{_suffix(b, kind)}.v{b.n}p0"
        pointers = f"<{b.n} x ptr> {places}"
        b.f.line(f"call void {name}({v} {value}, {pointers}, i32 {size}, {mask})")


def _suffix(b: Lanes, kind: Kind) -> str:
    short = {"float": "f32", "double": "f64"}.get(kind.memory, kind.memory)
    return f"v{b.n}{short}"


def _reversed(b: Lanes, kind: Kind, raw: str) -> str:
    v = b.kind(kind.memory)
    mask = ", ".join([f"i32 {i}" for i in range(b.n - 1, -1, -1)])
    return b.f.op(f"shufflevector {v} {raw}, {v} poison, <{b.n} x i32> <{mask}>")
