"""Native threads that run compiled kernels, one call for all of them.

A kernel is a compiled function ``void kernel(ptr arguments, i64 part, i64 parts)``; ``Pool.run``
calls it once for each part. Results must not depend on how many parts there are, nor on who runs
them: threads ask for the next part, so that the caller does alone what a worker that the system
does not let run would have done. A whole program (`codegen/driver.py`) runs the same way.

The workers are Python threads that stay inside one native function and never hold Python's lock.
Between calls they spin for a moment and then sleep: on a futex on Linux, elsewhere by yielding. The
caller opens a round, works, closes it and waits for those who joined, not for those who sleep.
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

__all__ = ["Pool", "pause", "pool", "sleeping"]

# The words of the shared state, a cache line apart where threads meet.
_ROUND, _FUNCTION, _ARGUMENT, _HANDS = 0, 8, 9, 10
_ACTIVE, _OPEN, _SLEEPERS, _JOB, _STOP, _WORDS = 16, 24, 32, 40, 48, 56
_SPINS = 1500  # about 20 us: longer than the gap between two kernels of a step
_FUTEX = {"x86_64": 202, "aarch64": 98}

_LOOP = """
declare i64 @syscall(i64, ...)
declare i32 @sched_yield()
{pause_declaration}

define void @rl_worker(ptr %state, i64 %first, i64 %hand) {{
entry:
  %round = getelementptr i64, ptr %state, i64 {ROUND}
  %stop = getelementptr i64, ptr %state, i64 {STOP}
  %active = getelementptr i64, ptr %state, i64 {ACTIVE}
  %open.at = getelementptr i64, ptr %state, i64 {OPEN}
  %sleepers = getelementptr i64, ptr %state, i64 {SLEEPERS}
  br label %wait
wait:
  %seen = phi i64 [%first, %entry], [%now, %leave]
  br label %spin
spin:
  %tries = phi i64 [0, %wait], [%more, %again], [0, %asleep]
  %now = load atomic i64, ptr %round seq_cst, align 8
  %changed = icmp ne i64 %now, %seen
  br i1 %changed, label %go, label %again
again:
  {pause}
  %more = add i64 %tries, 1
  %tired = icmp ugt i64 %more, {SPINS}
  br i1 %tired, label %asleep, label %spin
asleep:
  %plus = atomicrmw add ptr %sleepers, i64 1 seq_cst, align 8
  %low = trunc i64 %seen to i32
  {sleep}
  %minus = atomicrmw sub ptr %sleepers, i64 1 seq_cst, align 8
  br label %spin
go:
  %ended = load atomic i64, ptr %stop acquire, align 8
  %end = icmp ne i64 %ended, 0
  br i1 %end, label %exit, label %join
join:
  %joined = atomicrmw add ptr %active, i64 1 seq_cst, align 8
  %open = load atomic i64, ptr %open.at seq_cst, align 8
  %is.open = icmp ne i64 %open, 0
  br i1 %is.open, label %work, label %leave
work:
  %function.at = getelementptr i64, ptr %state, i64 {FUNCTION}
  %argument.at = getelementptr i64, ptr %state, i64 {ARGUMENT}
  %function = load ptr, ptr %function.at
  %argument = load ptr, ptr %argument.at
  %hands.at = getelementptr i64, ptr %state, i64 {HANDS}
  %hands = load i64, ptr %hands.at
  call void %function(ptr %argument, i64 %hand, i64 %hands)
  br label %leave
leave:
  %left = atomicrmw sub ptr %active, i64 1 seq_cst, align 8
  br label %wait
exit:
  ret void
}}

define void @rl_run(ptr %state, ptr %function, ptr %argument) {{
entry:
  %round = getelementptr i64, ptr %state, i64 {ROUND}
  %active = getelementptr i64, ptr %state, i64 {ACTIVE}
  %open = getelementptr i64, ptr %state, i64 {OPEN}
  %sleepers = getelementptr i64, ptr %state, i64 {SLEEPERS}
  %function.at = getelementptr i64, ptr %state, i64 {FUNCTION}
  %argument.at = getelementptr i64, ptr %state, i64 {ARGUMENT}
  store ptr %function, ptr %function.at
  store ptr %argument, ptr %argument.at
  store atomic i64 1, ptr %open seq_cst, align 8
  %old = atomicrmw add ptr %round, i64 1 seq_cst, align 8
  %asleep = load atomic i64, ptr %sleepers seq_cst, align 8
  %some = icmp ne i64 %asleep, 0
  br i1 %some, label %wake, label %work
wake:
  {wake}
  br label %work
work:
  %hands.at = getelementptr i64, ptr %state, i64 {HANDS}
  %hands = load i64, ptr %hands.at
  call void %function(ptr %argument, i64 0, i64 %hands)
  store atomic i64 0, ptr %open seq_cst, align 8
  br label %spin
spin:
  %tries = phi i64 [0, %work], [%more, %again], [0, %yield]
  %left = load atomic i64, ptr %active seq_cst, align 8
  %over = icmp eq i64 %left, 0
  br i1 %over, label %exit, label %again
again:
  {pause}
  %more = add i64 %tries, 1
  %tired = icmp ugt i64 %more, {SPINS}
  br i1 %tired, label %yield, label %spin
yield:
  %ignored = call i32 @sched_yield()
  br label %spin
exit:
  ret void
}}

; A job: kernel, arguments, parts, the next part.
define internal void @rl_parts(ptr %job, i64 %hand, i64 %hands) {{
entry:
  %arguments.at = getelementptr i64, ptr %job, i64 1
  %parts.at = getelementptr i64, ptr %job, i64 2
  %next.at = getelementptr i64, ptr %job, i64 3
  %kernel = load ptr, ptr %job
  %arguments = load ptr, ptr %arguments.at
  %parts = load i64, ptr %parts.at
  br label %ask
ask:
  %part = atomicrmw add ptr %next.at, i64 1 acq_rel, align 8
  %mine = icmp ult i64 %part, %parts
  br i1 %mine, label %run, label %exit
run:
  call void %kernel(ptr %arguments, i64 %part, i64 %parts)
  br label %ask
exit:
  ret void
}}

define void @rl_run_parts(ptr %state, ptr %kernel, ptr %arguments, i64 %parts) {{
  %job = getelementptr i64, ptr %state, i64 {JOB}
  %arguments.at = getelementptr i64, ptr %job, i64 1
  %parts.at = getelementptr i64, ptr %job, i64 2
  %next.at = getelementptr i64, ptr %job, i64 3
  store ptr %kernel, ptr %job
  store ptr %arguments, ptr %arguments.at
  store i64 %parts, ptr %parts.at
  store i64 0, ptr %next.at
  call void @rl_run(ptr %state, ptr @rl_parts, ptr %job)
  ret void
}}

define void @rl_stop(ptr %state) {{
  %round = getelementptr i64, ptr %state, i64 {ROUND}
  %stop = getelementptr i64, ptr %state, i64 {STOP}
  store atomic i64 1, ptr %stop release, align 8
  %old = atomicrmw add ptr %round, i64 1 seq_cst, align 8
  {wake}
  ret void
}}
"""


def pause() -> tuple[str, str]:
    """IR that tells the processor that it waits in a loop, and the declaration that it needs."""
    if platform.machine() in ("x86_64", "AMD64"):
        return "call void @llvm.x86.sse2.pause()", "declare void @llvm.x86.sse2.pause()"
    return "", ""


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
    sleep, wake = sleeping("%round", "%low")
    wait, declaration = pause()
    return _LOOP.format(
        sleep=sleep, wake=wake, pause=wait, pause_declaration=declaration, ROUND=_ROUND,
        FUNCTION=_FUNCTION, ARGUMENT=_ARGUMENT, HANDS=_HANDS, ACTIVE=_ACTIVE, OPEN=_OPEN,
        SLEEPERS=_SLEEPERS, JOB=_JOB, STOP=_STOP, SPINS=_SPINS,
    )  # fmt: skip


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
            parts: how many parts the work was cut into.
        """
        if parts > 1 and self._busy.acquire(blocking=False):
            try:
                if self._owner != os.getpid():
                    self._start()
                self._run(self._state.ctypes.data, kernel, arguments, parts)
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
        self._run = engine.function("rl_run_parts", (pointer, pointer, pointer, number))
        self._entry = engine.address("rl_run")
        worker = engine.function("rl_worker", (pointer, number, number))
        state = np.zeros(_WORDS + 8, np.int64)
        start = -(state.ctypes.data // 8) % 8  # on a cache line
        self._state = state[start : start + _WORDS]
        self._state[_HANDS] = self.threads
        self._workers = [
            threading.Thread(
                target=worker,
                args=(self._state.ctypes.data, 0, hand),
                name=f"rushlight-{hand}",
                daemon=True,
            )
            for hand in range(1, self.threads)
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
_choosing = threading.Lock()


def pool(threads: int) -> Pool:
    """The process's pool of this many threads; another number replaces it."""
    global _pool
    found = _pool
    if found is None or found.threads != threads:
        with _choosing:  # a pool that nobody keeps would leave workers that look at freed memory
            if _pool is None or _pool.threads != threads:
                if _pool is not None:
                    _pool.close()
                _pool = Pool(threads)
            found = _pool
    return found


def _forget() -> None:
    """In a forked child: the parent's workers are not here, its lock may be held for ever."""
    global _choosing
    _choosing = threading.Lock()
    if _pool is not None:
        _pool._owner = 0
        _pool._busy = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
