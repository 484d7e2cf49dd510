"""Native threads that run compiled kernels, one call for all of them.

A kernel is a compiled function ``void kernel(ptr arguments, i64 part, i64 parts)``; ``Pool.run``
calls it once for each part, the caller's thread taking part 0. How many parts there are is the
kernel's business (results must not depend on it); the pool only has more hands or fewer.

The workers are Python threads that stay inside one native function and never hold Python's lock.
Between calls they spin for a moment and then sleep: on a futex on Linux, elsewhere by yielding.
After a fork the child has no workers and makes its own when it first needs them. Two Python threads
may call at once: the one that comes second does its parts alone.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys
import threading
from typing import Any

import numpy as np

from rushlight.codegen import engine

__all__ = ["Pool", "pool", "sleeping"]

# The words of the shared state, a cache line apart where threads meet.
_ROUND, _WORK, _ARGUMENTS, _PARTS, _PENDING, _STOP, _WORDS = 0, 8, 9, 10, 16, 24, 32
_SPINS = 2000  # about 20 us: longer than the gap between two kernels of a step
_FUTEX = {"x86_64": 202, "aarch64": 98}

_LOOP = """
declare i64 @syscall(i64, ...)
declare i32 @sched_yield()

define internal void @rl_sleep(ptr %word, i64 %seen) {{
  %low = trunc i64 %seen to i32
  {sleep}
  ret void
}}

define internal void @rl_wake(ptr %word) {{
  {wake}
  ret void
}}

define void @rl_worker(ptr %state, i64 %part, i64 %first) {{
entry:
  %round = getelementptr i64, ptr %state, i64 {ROUND}
  %stop = getelementptr i64, ptr %state, i64 {STOP}
  %pending = getelementptr i64, ptr %state, i64 {PENDING}
  br label %wait
wait:
  %seen = phi i64 [%first, %entry], [%now.ok, %done]
  br label %spin
spin:
  %tries = phi i64 [0, %wait], [%more, %again], [0, %slept]
  %now = load atomic i64, ptr %round acquire, align 8
  %changed = icmp ne i64 %now, %seen
  br i1 %changed, label %go, label %again
again:
  %more = add i64 %tries, 1
  %tired = icmp ugt i64 %more, {SPINS}
  br i1 %tired, label %slept, label %spin
slept:
  call void @rl_sleep(ptr %round, i64 %seen)
  br label %spin
go:
  %now.ok = phi i64 [%now, %spin]
  %ended = load atomic i64, ptr %stop acquire, align 8
  %end = icmp ne i64 %ended, 0
  br i1 %end, label %exit, label %work
work:
  %work.at = getelementptr i64, ptr %state, i64 {WORK}
  %arguments.at = getelementptr i64, ptr %state, i64 {ARGUMENTS}
  %parts.at = getelementptr i64, ptr %state, i64 {PARTS}
  %kernel = load ptr, ptr %work.at
  %arguments = load ptr, ptr %arguments.at
  %parts = load i64, ptr %parts.at
  %mine = icmp ult i64 %part, %parts
  br i1 %mine, label %run, label %done
run:
  call void %kernel(ptr %arguments, i64 %part, i64 %parts)
  br label %done
done:
  %before = atomicrmw sub ptr %pending, i64 1 acq_rel, align 8
  br label %wait
exit:
  ret void
}}

define void @rl_run(ptr %state, ptr %kernel, ptr %arguments, i64 %parts, i64 %workers) {{
entry:
  %round = getelementptr i64, ptr %state, i64 {ROUND}
  %pending = getelementptr i64, ptr %state, i64 {PENDING}
  %work.at = getelementptr i64, ptr %state, i64 {WORK}
  %arguments.at = getelementptr i64, ptr %state, i64 {ARGUMENTS}
  %parts.at = getelementptr i64, ptr %state, i64 {PARTS}
  store ptr %kernel, ptr %work.at
  store ptr %arguments, ptr %arguments.at
  store i64 %parts, ptr %parts.at
  store atomic i64 %workers, ptr %pending release, align 8
  %old = atomicrmw add ptr %round, i64 1 acq_rel, align 8
  call void @rl_wake(ptr %round)
  call void %kernel(ptr %arguments, i64 0, i64 %parts)
  br label %spin
spin:
  %tries = phi i64 [0, %entry], [%more, %again], [0, %yield]
  %left = load atomic i64, ptr %pending acquire, align 8
  %over = icmp eq i64 %left, 0
  br i1 %over, label %exit, label %again
again:
  %more = add i64 %tries, 1
  %tired = icmp ugt i64 %more, {SPINS}
  br i1 %tired, label %yield, label %spin
yield:
  %ignored = call i32 @sched_yield()
  br label %spin
exit:
  ret void
}}

define void @rl_stop(ptr %state) {{
  %round = getelementptr i64, ptr %state, i64 {ROUND}
  %stop = getelementptr i64, ptr %state, i64 {STOP}
  store atomic i64 1, ptr %stop release, align 8
  %old = atomicrmw add ptr %round, i64 1 acq_rel, align 8
  call void @rl_wake(ptr %round)
  ret void
}}
"""


def sleeping(word: str, seen: str) -> tuple[str, str]:
    """IR that sleeps while the 32-bit word at `word` is `seen`, and IR that wakes who sleeps.

    Where there is no futex, sleeping is yielding and waking is nothing.
    """
    number = _FUTEX.get(platform.machine()) if sys.platform == "linux" else None
    if number is None:
        return "%r.sleep = call i32 @sched_yield()", ""
    call = f"call i64 (i64, ...) @syscall(i64 {number}, ptr {word}"
    # FUTEX_WAIT and FUTEX_WAKE, private to the process
    return (
        f"%r.sleep = {call}, i32 128, i32 {seen}, ptr null)",
        f"%r.wake = {call}, i32 129, i32 4096)",
    )


def _loop_ir() -> str:
    sleep, wake = sleeping("%word", "%low")
    return _LOOP.format(
        sleep=sleep,
        wake=wake,
        ROUND=_ROUND,
        WORK=_WORK,
        ARGUMENTS=_ARGUMENTS,
        PARTS=_PARTS,
        PENDING=_PENDING,
        STOP=_STOP,
        SPINS=_SPINS,
    )


class Pool:
    """A caller and its workers.

    Args:
        threads: how many hands there are, the caller's included.

    Example:
        >>> Pool(2).threads
        2
    """

    def __init__(self, threads: int) -> None:
        self.threads = max(threads, 1)
        self._busy = threading.Lock()
        self._owner = 0  # the process whose workers these are
        self._state: Any = None
        self._run: Any = None
        self._entry = 0
        self._workers: list[threading.Thread] = []

    def run(self, kernel: int, arguments: int, parts: int) -> None:
        """Calls a kernel for each part.

        Args:
            kernel: the address of a compiled function (arguments, part, parts).
            arguments: the address of what it works on; it must stay alive until this returns.
            parts: how many parts the work was cut into, at most ``threads``.
        """
        if parts > 1 and self._busy.acquire(blocking=False):
            try:
                if self._owner != os.getpid():
                    self._start()
                self._run(self._state.ctypes.data, kernel, arguments, parts, self.threads - 1)
                return
            finally:
                self._busy.release()
        call = _KERNEL(kernel)
        for part in range(parts):
            call(arguments, part, parts)

    def enter(self) -> tuple[int, int] | None:
        """Takes the pool for a native caller; None if somebody else has it.

        Returns:
            the addresses of `rl_run` and of the shared state; `leave` must follow.
        """
        if self.threads < 2 or not self._busy.acquire(blocking=False):
            return None
        if self._owner != os.getpid():
            self._start()
        return self._entry, self._state.ctypes.data

    def leave(self) -> None:
        """Gives the pool back."""
        self._busy.release()

    def _start(self) -> None:
        engine.compile_ir(_loop_ir())
        pointer, number = ctypes.c_void_p, ctypes.c_int64
        self._run = engine.function("rl_run", (pointer, pointer, pointer, number, number))
        self._entry = engine.address("rl_run")
        worker = engine.function("rl_worker", (pointer, number, number))
        state = np.zeros(_WORDS + 8, np.int64)
        start = -(state.ctypes.data // 8) % 8  # on a cache line
        self._state = state[start : start + _WORDS]
        self._workers = [
            threading.Thread(
                target=worker,
                args=(self._state.ctypes.data, part, 0),
                name=f"rushlight-{part}",
                daemon=True,
            )
            for part in range(1, self.threads)
        ]
        for thread in self._workers:
            thread.start()
        self._keep = state
        self._owner = os.getpid()

    def close(self) -> None:
        """Ends the workers; returns when they no longer look at the shared state."""
        with self._busy:
            if self._owner == os.getpid():
                engine.function("rl_stop", (ctypes.c_void_p,))(self._state.ctypes.data)
                for thread in self._workers:
                    thread.join()
                self._owner = 0


_KERNEL = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
_pool: Pool | None = None


def pool(threads: int) -> Pool:
    """The process's pool of this many threads; another number replaces it."""
    global _pool
    if _pool is None or _pool.threads != threads:
        if _pool is not None:
            _pool.close()
        _pool = Pool(threads)
    return _pool


def _forget() -> None:
    """In a forked child: the parent's workers are not here, its lock may be held for ever."""
    if _pool is not None:
        _pool._owner = 0
        _pool._busy = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
