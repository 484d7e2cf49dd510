"""The native driver: runs a program's steps, alone or with the pool's threads.

In: a program as int64 words in memory (`WORDS` says which), made by `compiler/program.py`.  Out:
its steps have run.  One call from Python does it all: pointers of arrays outside are copied into
the argument blocks (the table holds `id(array)`, and an ndarray object keeps the address of its
data 16 bytes behind its start, which is checked once; where that fails the table holds addresses),
run-time numbers likewise, claims are cleared, then every thread walks the steps and claims at each
its own part and then those that nobody has.  The same thread works on the same share of an array
step after step and run after run, so that it finds it in its own cache: where two cores share none,
a step over megabytes costs three times as much otherwise.  Where a step needs what earlier ones
make, threads wait until all parts of these are done: for the work, not for each other, because on a
busy machine some threads are not running.
"""

from __future__ import annotations

import ctypes
import platform
from functools import lru_cache
from typing import Any

import numpy as np

from rushlight.codegen import engine, threads

__all__ = [
    "BARRIER",
    "DATA",
    "STEP_WORDS",
    "STOP",
    "WORDS",
    "Driver",
    "claim_words",
    "driver",
    "word",
]

# Words of a program's head.
WORDS = (
    ("steps", "first", "last", "moves", "move_count", "numbers_moved", "numbers_count")
    + ("zeros", "zero_count", "bads", "bad_count", "table", "numbers", "objects", "status")
    + ("counts", "count_words", "make_int", "count")
)  # fmt: skip
STEP_WORDS = 4  # kernel, argument block, parts, flags
BARRIER, STOP = 1, 2  # flags: wait for what came before; end here if a check failed
DATA = 16  # where an ndarray object keeps the address of its data
_SPINS = 1500

_IR = """
declare i32 @sched_yield()
{pause_declaration}

define internal i64 @rl_program_failed(ptr %p) {{
entry:
  %status.at = getelementptr i64, ptr %p, i64 {status}
  %status = load atomic i64, ptr %status.at monotonic, align 8
  {get_bads}
  {get_bad_count}
  br label %loop
loop:
  %i = phi i64 [0, %entry], [%next, %body]
  %found = phi i64 [%status, %entry], [%or, %body]
  %more = icmp ult i64 %i, %bad_count
  br i1 %more, label %body, label %exit
body:
  %at = getelementptr ptr, ptr %bads, i64 %i
  %word = load ptr, ptr %at
  %bad = load i64, ptr %word
  %or = or i64 %found, %bad
  %next = add i64 %i, 1
  br label %loop
exit:
  ret i64 %found
}}

define internal void @rl_program_begin(ptr %p) {{
entry:
  %status.at = getelementptr i64, ptr %p, i64 {status}
  store i64 0, ptr %status.at
  {get_moves}
  {get_move_count}
  {get_table}
  {get_objects}
  %by.object = icmp ne i64 %objects, 0
  br label %loop
loop:
  %i = phi i64 [0, %entry], [%i.next, %moved]
  %more = icmp ult i64 %i, %move_count
  br i1 %more, label %body, label %scalars
body:
  %row = mul i64 %i, 3
  %to.at = getelementptr i64, ptr %moves, i64 %row
  %to = load ptr, ptr %to.at
  %slot.at = getelementptr i64, ptr %to.at, i64 1
  %slot = load i64, ptr %slot.at
  %offset.at = getelementptr i64, ptr %to.at, i64 2
  %offset = load i64, ptr %offset.at
  %entry.at = getelementptr ptr, ptr %table, i64 %slot
  %array = load ptr, ptr %entry.at
  br i1 %by.object, label %object, label %moved
object:
  %data.at = getelementptr i8, ptr %array, i64 {DATA}
  %data = load ptr, ptr %data.at
  br label %moved
moved:
  %start = phi ptr [%array, %body], [%data, %object]
  %place = getelementptr i8, ptr %start, i64 %offset
  store ptr %place, ptr %to
  %i.next = add i64 %i, 1
  br label %loop
scalars:
  {get_numbers_moved}
  {get_numbers_count}
  {get_numbers}
  br label %number.loop
number.loop:
  %n = phi i64 [0, %scalars], [%n.next, %number.body]
  %n.more = icmp ult i64 %n, %numbers_count
  br i1 %n.more, label %number.body, label %clear
number.body:
  %n.row = mul i64 %n, 2
  %n.to.at = getelementptr i64, ptr %numbers_moved, i64 %n.row
  %n.to = load ptr, ptr %n.to.at
  %n.from.at = getelementptr i64, ptr %n.to.at, i64 1
  %n.from = load i64, ptr %n.from.at
  %value.at = getelementptr i64, ptr %numbers, i64 %n.from
  %value = load i64, ptr %value.at
  store i64 %value, ptr %n.to
  %n.next = add i64 %n, 1
  br label %number.loop
clear:
  {get_zeros}
  {get_zero_count}
  br label %zero.loop
zero.loop:
  %z = phi i64 [0, %clear], [%z.next, %zero.body]
  %z.more = icmp ult i64 %z, %zero_count
  br i1 %z.more, label %zero.body, label %exit
zero.body:
  %z.at = getelementptr ptr, ptr %zeros, i64 %z
  %z.to = load ptr, ptr %z.at
  store i64 0, ptr %z.to
  %z.next = add i64 %z, 1
  br label %zero.loop
exit:
  ret void
}}

; Waits until the steps from %from to before %to are done.
define internal void @rl_program_wait(ptr %p, i64 %from, i64 %to) {{
entry:
  {get_steps}
  {get_counts}
  {get_count_words}
  br label %next
next:
  %i = phi i64 [%from, %entry], [%j, %done]
  %more = icmp ult i64 %i, %to
  br i1 %more, label %look, label %exit
look:
  %row = mul i64 %i, {STEP_WORDS}
  %kernel.at = getelementptr i64, ptr %steps, i64 %row
  %parts.at = getelementptr i64, ptr %kernel.at, i64 2
  %parts = load i64, ptr %parts.at
  %line = mul i64 %i, %count_words
  %done.at = getelementptr i64, ptr %counts, i64 %line
  br label %spin
spin:
  %tries = phi i64 [0, %look], [%tries.next, %again], [0, %yield]
  %finished = load atomic i64, ptr %done.at acquire, align 8
  %all = icmp eq i64 %finished, %parts
  br i1 %all, label %done, label %again
again:
  {pause}
  %tries.next = add i64 %tries, 1
  %tired = icmp ugt i64 %tries.next, {SPINS}
  br i1 %tired, label %yield, label %spin
yield:
  %ignored = call i32 @sched_yield()
  br label %spin
done:
  %j = add i64 %i, 1
  br label %next
exit:
  ret void
}}

; What one of several hands does.
define void @rl_program_walk(ptr %p, i64 %hand, i64 %hands) {{
entry:
  {get_steps}
  {get_counts}
  {get_count_words}
  {get_first}
  {get_last}
  br label %loop
loop:
  %i = phi i64 [%first, %entry], [%next, %over]
  %since = phi i64 [%first, %entry], [%since.now, %over]
  %more = icmp ult i64 %i, %last
  br i1 %more, label %step, label %exit
step:
  {get_step}
  %line = mul i64 %i, %count_words
  %done.at = getelementptr i64, ptr %counts, i64 %line
  %claims = getelementptr i64, ptr %done.at, i64 1
  %before.mine = mul i64 %hand, %parts
  %own = udiv i64 %before.mine, %hands
  %plain = icmp eq i64 %flags, 0
  br i1 %plain, label %ask, label %wait
wait:
  call void @rl_program_wait(ptr %p, i64 %since, i64 %i)
  %stop.flag = and i64 %flags, {STOP}
  %stops = icmp ne i64 %stop.flag, 0
  br i1 %stops, label %check, label %ask
check:
  %failed = call i64 @rl_program_failed(ptr %p)
  %bad = icmp ne i64 %failed, 0
  br i1 %bad, label %exit, label %ask
ask:
  %since.now = phi i64 [%since, %step], [%i, %wait], [%i, %check], [%since.now, %asked]
  %asked.before = phi i64 [0, %step], [0, %wait], [0, %check], [%asked.now, %asked]
  %any = icmp ult i64 %asked.before, %parts
  br i1 %any, label %look, label %over
look:
  %ahead = add i64 %own, %asked.before
  %behind = sub i64 %ahead, %parts
  %past = icmp uge i64 %ahead, %parts
  %part = select i1 %past, i64 %behind, i64 %ahead
  %claim.at = getelementptr i8, ptr %claims, i64 %part
  %claim = load atomic i8, ptr %claim.at monotonic, align 1
  %free = icmp eq i8 %claim, 0
  br i1 %free, label %take, label %asked
take:
  %old = atomicrmw xchg ptr %claim.at, i8 1 acq_rel, align 1
  %mine = icmp eq i8 %old, 0
  br i1 %mine, label %run, label %asked
run:
  call void %kernel(ptr %block, i64 %part, i64 %parts)
  %before = atomicrmw add ptr %done.at, i64 1 acq_rel, align 8
  br label %asked
asked:
  %asked.now = add i64 %asked.before, 1
  br label %ask
over:
  %next = add i64 %i, 1
  br label %loop
exit:
  ret void
}}

define internal void @rl_program_steps(ptr %p) {{
entry:
  {get_steps}
  {get_first}
  {get_last}
  br label %loop
loop:
  %i = phi i64 [%first, %entry], [%next, %run]
  %more = icmp ult i64 %i, %last
  br i1 %more, label %step, label %exit
step:
  {get_step}
  %stop.flag = and i64 %flags, {STOP}
  %stops = icmp ne i64 %stop.flag, 0
  br i1 %stops, label %check, label %run
check:
  %failed = call i64 @rl_program_failed(ptr %p)
  %bad = icmp ne i64 %failed, 0
  br i1 %bad, label %exit, label %run
run:
  call void %kernel(ptr %block, i64 0, i64 1)
  %next = add i64 %i, 1
  br label %loop
exit:
  ret void
}}

define i64 @rl_program_alone(ptr %p) {{
  %first.at = getelementptr i64, ptr %p, i64 {first}
  store i64 0, ptr %first.at
  {get_count}
  %last.at = getelementptr i64, ptr %p, i64 {last}
  store i64 %count, ptr %last.at
  call void @rl_program_begin(ptr %p)
  call void @rl_program_steps(ptr %p)
  %failed = call i64 @rl_program_failed(ptr %p)
  ret i64 %failed
}}

define i64 @rl_program_range(ptr %p, i64 %begin, i64 %first, i64 %last, ptr %run, ptr %state) {{
entry:
  %begins = icmp ne i64 %begin, 0
  br i1 %begins, label %start, label %ready
start:
  call void @rl_program_begin(ptr %p)
  br label %ready
ready:
  %first.at = getelementptr i64, ptr %p, i64 {first}
  store i64 %first, ptr %first.at
  %last.at = getelementptr i64, ptr %p, i64 {last}
  store i64 %last, ptr %last.at
  %alone = icmp eq ptr %run, null
  br i1 %alone, label %single, label %clear
clear:
  {get_counts}
  {get_count_words}
  %zero.first = mul i64 %first, %count_words
  %zero.last = mul i64 %last, %count_words
  br label %zero
zero:
  %i = phi i64 [%zero.first, %clear], [%next, %zeroed]
  %more = icmp ult i64 %i, %zero.last
  br i1 %more, label %zeroed, label %pool
zeroed:
  %word.at = getelementptr i64, ptr %counts, i64 %i
  store i64 0, ptr %word.at
  %next = add i64 %i, 1
  br label %zero
pool:
  call void %run(ptr %state, ptr @rl_program_walk, ptr %p)
  br label %over
single:
  call void @rl_program_steps(ptr %p)
  br label %over
over:
  %failed = call i64 @rl_program_failed(ptr %p)
  ret i64 %failed
}}

; A method of a head array, for Python: int run().
define ptr @rl_program_method(ptr %self, ptr %unused) {{
  %data.at = getelementptr i8, ptr %self, i64 {DATA}
  %p = load ptr, ptr %data.at
  %failed = call i64 @rl_program_alone(ptr %p)
  {get_make_int}
  %result = call ptr %make_int(i64 %failed)
  ret ptr %result
}}

define i64 @rl_program_data(ptr %array) {{
  %data.at = getelementptr i8, ptr %array, i64 {DATA}
  %data = load i64, ptr %data.at
  ret i64 %data
}}
"""


_STEP = """
  %row = mul i64 %i, {STEP_WORDS}
  %kernel.at = getelementptr i64, ptr %steps, i64 %row
  %kernel = load ptr, ptr %kernel.at
  %block.at = getelementptr i64, ptr %kernel.at, i64 1
  %block = load ptr, ptr %block.at
  %parts.at = getelementptr i64, ptr %kernel.at, i64 2
  %parts = load i64, ptr %parts.at
  %flags.at = getelementptr i64, ptr %kernel.at, i64 3
  %flags = load i64, ptr %flags.at
"""
# What else is no `..._count` is a pointer.
_NUMBERS = {"first", "last", "count", "objects", "count_words"}


def _get(name: str, place: int) -> str:
    """IR that reads a word of the head as a value of that name."""
    kind = "i64" if name in _NUMBERS or name.endswith("_count") else "ptr"
    return (
        f"%{name}.at = getelementptr i64, ptr %p, i64 {place}\n"
        f"  %{name} = load {kind}, ptr %{name}.at"
    )


def _ir() -> str:
    pause, pause_declaration = threads.pause()
    places = {name: i for i, name in enumerate(WORDS)}
    gets = {f"get_{name}": _get(name, place) for name, place in places.items()}
    gets["get_step"] = _STEP.format(STEP_WORDS=STEP_WORDS).strip()
    return _IR.format(
        pause=pause, pause_declaration=pause_declaration, SPINS=_SPINS, DATA=DATA,
        STEP_WORDS=STEP_WORDS, STOP=STOP, **places, **gets,
    )  # fmt: skip


def claim_words(parts: int) -> int:
    """How many words a step's counts are: the parts done, then a byte a part, on own cache lines.

    Example:
        >>> claim_words(2), claim_words(64)
        (8, 16)
    """
    return -(-(8 + parts) // 64) * 8


_NO_ARGUMENTS = 4  # METH_NOARGS


class _MethodDef(ctypes.Structure):
    """CPython's PyMethodDef, which its stable interface fixes."""

    _fields_ = (
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    )


class Driver:
    """The driver's functions.

    Attributes:
        alone: runs a whole program on this thread, without Python's lock.
        range: runs some steps, with a pool's threads or alone, without Python's lock.
        objects: whether tables hold array objects (`id`) rather than addresses.
    """

    def __init__(self) -> None:
        engine.compile_ir(_ir())
        method = engine.address("rl_program_method")
        self._method = _MethodDef(b"run", method, _NO_ARGUMENTS)
        pointer, number = ctypes.c_void_p, ctypes.c_int64
        self.alone: Any = engine.function("rl_program_alone", (pointer,), number)
        self.range: Any = engine.function(
            "rl_program_range", (pointer, number, number, number, pointer, pointer), number
        )
        self.objects = _reads_objects()
        self.make_int = 0
        if self.objects:
            made = ctypes.pythonapi.PyLong_FromLongLong
            self.make_int = ctypes.cast(made, ctypes.c_void_p).value or 0

    def method(self, head: Any) -> Any:
        """A built-in function without arguments that does what `alone` does; a third of its cost.

        Args:
            head: the program's head, an int64 array, which the function keeps alive.

        Returns:
            the function; None where objects are not laid out as we think.
        """
        if not self.make_int:
            return None
        new: Any = ctypes.pythonapi.PyCFunction_NewEx
        new.restype, new.argtypes = ctypes.py_object, (ctypes.c_void_p,) + (ctypes.py_object,) * 2
        return new(ctypes.addressof(self._method), head, None)


def _reads_objects() -> bool:
    """Whether the address of an array's data lies where we think, for arrays of several kinds."""
    if platform.python_implementation() != "CPython" or not _plain_objects():
        return False
    data: Any = ctypes.PYFUNCTYPE(ctypes.c_int64, ctypes.c_void_p)(
        engine.address("rl_program_data")
    )
    base = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    for array in (base, base[1, ::2], np.zeros(()), np.empty((0, 3)), base.view(np.uint8)):
        if data(id(array)) != array.__array_interface__["data"][0]:
            return False
    return True


def _plain_objects() -> bool:
    """Whether ndarray objects are large enough that byte 16 is theirs."""
    return np.ndarray.__basicsize__ >= DATA + 8 and np.ndarray.__itemsize__ == 0


_driver: Driver | None = None


@lru_cache(maxsize=1)
def driver() -> Driver:
    """The process's driver; only one is ever made, because its methods point into it."""
    global _driver
    with engine.lock:
        if _driver is None:
            _driver = Driver()
        return _driver


def word(array: Any) -> int:
    """What a program's table holds for an array: the array must outlive the run.

    Example:
        >>> array = np.zeros(3)
        >>> word(array) == id(array) or word(array) == array.ctypes.data
        True
    """
    return id(array) if driver().objects else int(array.__array_interface__["data"][0])
