"""Freed memory is kept by the allocator: a step does not pay for fresh pages again and again."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

glibc = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="other allocators have policies of their own"
)

FAULTS = """
import resource
import rushlight as rl
from rushlight.runtime import memory

def work():
    parts = [rl.ones(300_000) for _ in range(4)]
    return [p + 1 for p in parts]

for _ in range(3):
    work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    work()
print((resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) // 20)
"""


def run(program: str, **environment: str) -> str:
    names = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")
    plain = {name: value for name, value in os.environ.items() if name not in names}
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env=dict(plain, **environment),
    )
    return done.stdout.strip()


@glibc
def test_blocks_asked_for_again_cost_no_faults() -> None:
    assert int(run(FAULTS)) < 50  # 2,300 pages are allocated and freed


@glibc
def test_the_users_own_setting_wins() -> None:
    program = "from rushlight.runtime import memory; print(memory.keep_freed_memory())"
    assert run(program) == "True"
    assert run(program, MALLOC_TRIM_THRESHOLD_="131072") == "False"
