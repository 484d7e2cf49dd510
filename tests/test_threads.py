"""The pool of native threads: every part once, any number of threads, forks, two callers."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from rushlight.codegen import engine
from rushlight.codegen.threads import Pool

# Adds 1 to each element of its share of 1000 numbers.
KERNEL = """
define void @test_threads_share(ptr %data, i64 %part, i64 %parts) {
entry:
  %a = mul i64 %part, 1000
  %begin = udiv i64 %a, %parts
  %next = add i64 %part, 1
  %b = mul i64 %next, 1000
  %end = udiv i64 %b, %parts
  br label %loop
loop:
  %i = phi i64 [%begin, %entry], [%j, %body]
  %more = icmp ult i64 %i, %end
  br i1 %more, label %body, label %exit
body:
  %p = getelementptr i64, ptr %data, i64 %i
  %v = load i64, ptr %p
  %w = add i64 %v, 1
  store i64 %w, ptr %p
  %j = add i64 %i, 1
  br label %loop
exit:
  ret void
}
"""


@pytest.fixture(scope="module")
def kernel() -> int:
    engine.compile_ir(KERNEL)
    return engine.address("test_threads_share")


@pytest.mark.parametrize("threads", [1, 2, 3, 5])
def test_every_part_runs_once(kernel: int, threads: int) -> None:
    pool = Pool(threads)
    data = np.zeros(1000, np.int64)
    for _ in range(300):
        pool.run(kernel, data.ctypes.data, threads)
    np.testing.assert_array_equal(data, np.full(1000, 300))
    pool.close()


def test_closed_pools_leave_no_worker_behind(kernel: int) -> None:
    data = np.zeros(1000, np.int64)
    for round_ in range(1, 101):  # a worker that outlived its pool would run a later one's parts
        pool = Pool(2)
        pool.run(kernel, data.ctypes.data, 2)
        pool.close()
        np.testing.assert_array_equal(data, np.full(1000, round_))


def test_workers_wake_from_sleep(kernel: int) -> None:
    pool = Pool(2)
    data = np.zeros(1000, np.int64)
    for _ in range(5):
        pool.run(kernel, data.ctypes.data, 2)
        threading.Event().wait(0.02)
    np.testing.assert_array_equal(data, np.full(1000, 5))
    pool.close()


def test_two_callers_at_once(kernel: int) -> None:
    pool = Pool(2)
    arrays = [np.zeros(1000, np.int64) for _ in range(2)]

    def work(data: np.ndarray) -> None:
        for _ in range(500):
            pool.run(kernel, data.ctypes.data, 2)

    callers = [threading.Thread(target=work, args=(a,)) for a in arrays]
    for c in callers:
        c.start()
    for c in callers:
        c.join()
    for a in arrays:
        np.testing.assert_array_equal(a, np.full(1000, 500))
    pool.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_fork_after_use(kernel: int) -> None:
    from rushlight.codegen import threads

    pool = threads.pool(2)
    data = np.zeros(1000, np.int64)
    pool.run(kernel, data.ctypes.data, 2)
    child = os.fork()
    if child == 0:
        pool.run(kernel, data.ctypes.data, 2)
        os._exit(0 if (data == 2).all() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    pool.run(kernel, data.ctypes.data, 2)
    assert (data == 2).all()


TOGETHER = """
import gc
import sys
import threading

import numpy as np

from rushlight.codegen import driver, threads

sys.setswitchinterval(1e-6)
gate = threading.Barrier(6)
methods, pools, head = [], [], np.zeros(len(driver.WORDS), np.int64)

def work():
    gate.wait()
    methods.append(driver.driver().method(head))
    pools.append(threads.pool(2))

workers = [threading.Thread(target=work) for _ in range(6)]
for worker in workers:
    worker.start()
for worker in workers:
    worker.join()
junk = [bytes(32) for _ in range(10000)]
gc.collect()  # looks at the methods' definitions
assert len({id(p) for p in pools}) == 1
assert all([m.__name__ == "run" for m in methods])
"""


def test_threads_that_begin_together_share_driver_and_pool() -> None:
    for _ in range(5):
        subprocess.run([sys.executable, "-c", TOGETHER], check=True, timeout=60)
