"""Putting values at indices, sets or sums, as a native kernel.

In: the sizes of a scatter whose target holds the base already. Out: a prepared launch (`bind`).
Indices are taken in order, so that the last of several equal ones wins and sums have one order;
threads share the elements that each index moves, never the indices.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from rushlight.codegen import engine
from rushlight.codegen.bound import Bound

__all__ = ["bind", "serves"]

_SHARED = 1 << 16  # elements from which threads are worth waking
_FIXED = 6  # words before those of the indices: target, values, count, chunk, indices, bad
_OF_INDEX = 3  # words of each: where it lies, the size, the step of the target

_IR = """
define void @{name}(ptr %block, i64 %part, i64 %parts) {{
entry:
  %target = load ptr, ptr %block
  %values.at = getelementptr i64, ptr %block, i64 1
  %values = load ptr, ptr %values.at
  %count.at = getelementptr i64, ptr %block, i64 2
  %count = load i64, ptr %count.at
  %chunk.at = getelementptr i64, ptr %block, i64 3
  %chunk = load i64, ptr %chunk.at
  %indices.at = getelementptr i64, ptr %block, i64 4
  %indices = load i64, ptr %indices.at
  %bad.at = getelementptr i64, ptr %block, i64 5
  %s0 = mul i64 %part, %chunk
  %start = udiv i64 %s0, %parts
  %after = add i64 %part, 1
  %s1 = mul i64 %after, %chunk
  %stop = udiv i64 %s1, %parts
  br label %row
row:
  %i = phi i64 [0, %entry], [%i.next, %row.done]
  %more = icmp ult i64 %i, %count
  br i1 %more, label %index, label %exit
index:
  %j = phi i64 [0, %row], [%j.next, %inside]
  %place = phi i64 [0, %row], [%place.next, %inside]
  %j.more = icmp ult i64 %j, %indices
  br i1 %j.more, label %look, label %move
look:
  %j.row = mul i64 %j, {OF_INDEX}
  %j.word = add i64 %j.row, {FIXED}
  %list.at = getelementptr i64, ptr %block, i64 %j.word
  %list = load ptr, ptr %list.at
  %size.at = getelementptr i64, ptr %list.at, i64 1
  %size = load i64, ptr %size.at
  %step.at = getelementptr i64, ptr %list.at, i64 2
  %step = load i64, ptr %step.at
  %x.at = getelementptr i64, ptr %list, i64 %i
  %x = load i64, ptr %x.at
  %negative = icmp slt i64 %x, 0
  %from.end = add i64 %x, %size
  %found = select i1 %negative, i64 %from.end, i64 %x
  %good = icmp ult i64 %found, %size
  br i1 %good, label %inside, label %outside
outside:
  store atomic i64 1, ptr %bad.at monotonic, align 8
  br label %row.done
inside:
  %moved = mul i64 %found, %step
  %place.next = add i64 %place, %moved
  %j.next = add i64 %j, 1
  br label %index
move:
  %from = mul i64 %i, %chunk
  %source = getelementptr {element}, ptr %values, i64 %from
  %to = getelementptr {element}, ptr %target, i64 %place
  br label %wide
wide:
  %k = phi i64 [%start, %move], [%k.next, %wide.body]
  %k.next = add i64 %k, {lanes}
  %fits = icmp ule i64 %k.next, %stop
  br i1 %fits, label %wide.body, label %narrow
wide.body:
  %v.at = getelementptr {element}, ptr %source, i64 %k
  %t.at = getelementptr {element}, ptr %to, i64 %k
  %v = load <{lanes} x {element}>, ptr %v.at, align {bytes}
  {wide}
  store <{lanes} x {element}> %r, ptr %t.at, align {bytes}
  br label %wide
narrow:
  %n = phi i64 [%k, %wide], [%n.next, %narrow.body]
  %n.more = icmp ult i64 %n, %stop
  br i1 %n.more, label %narrow.body, label %row.done
narrow.body:
  %nv.at = getelementptr {element}, ptr %source, i64 %n
  %nt.at = getelementptr {element}, ptr %to, i64 %n
  %nv = load {element}, ptr %nv.at
  {narrow}
  store {element} %nr, ptr %nt.at
  %n.next = add i64 %n, 1
  br label %narrow
row.done:
  %i.next = add i64 %i, 1
  br label %row
exit:
  ret void
}}
"""


def serves(dtype: Any, mode: str) -> bool:
    """Whether there is a kernel for this dtype and mode (`set` or `add`)."""
    return mode == "set" or (dtype.kind in "iu" or (dtype.kind == "f" and dtype.itemsize > 2))


@lru_cache(maxsize=32)
def _function(kind: str, bits: int, mode: str) -> int:
    element = {"f32": "float", "f64": "double"}.get(f"{kind}{bits}", f"i{bits}")
    lanes = engine.host().lanes(bits // 8)
    add = "fadd" if kind == "f" else "add"
    vector = f"<{lanes} x {element}>"
    if mode == "add":
        wide = f"%t = load {vector}, ptr %t.at, align {bits // 8}\n  %r = {add} {vector} %t, %v"
        narrow = f"%nt = load {element}, ptr %nt.at\n  %nr = {add} {element} %nt, %nv"
    else:
        wide, narrow = f"%r = bitcast {vector} %v to {vector}", ""
        narrow = f"%nr = bitcast {element} %nv to {element}"
    name = f"rl_scatter_{mode}_{kind}{bits}"
    ir = _IR.format(
        name=name, element=element, lanes=lanes, bytes=bits // 8, wide=wide, narrow=narrow,
        FIXED=_FIXED, OF_INDEX=_OF_INDEX,
    )  # fmt: skip
    engine.compile_ir(ir)
    return engine.address(name)


def bind(
    dtype: Any, mode: str, shape: Sequence[int], indices: int, count: int, threads: int
) -> Bound:
    """A launch; operands are 0 = values, 1, 2, ... = the indices, last the target.

    Args:
        shape: of the target, row-major like everything.
        indices: how many integer arrays there are, one for each leading dimension of the target.
        count: how many elements each of them has.
    """
    kind = "f" if mode == "add" and dtype.kind == "f" else "i"
    kernel = _function(kind, dtype.itemsize * 8, mode)
    chunk = int(np.prod(shape[indices:], dtype=np.int64))
    block = np.zeros(_FIXED + _OF_INDEX * indices, np.int64)
    block[2], block[3], block[4] = count, chunk, indices
    step = chunk
    for j in reversed(range(indices)):
        block[_FIXED + _OF_INDEX * j + 1] = shape[j]
        block[_FIXED + _OF_INDEX * j + 2] = step
        step *= shape[j]
    operands = [(0, indices + 1, 0), (1, 0, 0)]
    operands += [(_FIXED + _OF_INDEX * j, 1 + j, 0) for j in range(indices)]
    parts = min(threads, chunk) if count * chunk >= _SHARED else 1
    return Bound(kernel, block, tuple(operands), (), (5,), parts, 0, 5)
