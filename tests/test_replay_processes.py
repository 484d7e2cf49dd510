"""Replay seen from outside: the same bits in each process, and memory that does not grow."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
SCRIPT = """
import sys
sys.path.insert(0, sys.argv[1])
import rushlight as torch
import replay_habits
import replay_habits_more  # noqa: F401 - adds its programs
from replay_programs import PROGRAMS, Out, plain

torch.set_num_threads(int(sys.argv[2]))
if len(sys.argv) > 3:
    torch.compiler.set_tier(int(sys.argv[3]) if sys.argv[3] != "None" else None)

def show(value):
    if isinstance(value, dict):
        for v in value.values():
            show(v)
    elif isinstance(value, list):
        for v in value:
            show(v)
    elif hasattr(value, "tobytes"):
        print(value.tobytes().hex())
    else:
        print(value.hex() if isinstance(value, float) else value)

for name in ("b_momentum", "d_lenet", "m_dropout", "adversaries", "batch_norm_images"):
    out = Out()
    PROGRAMS[name].run(torch, out)
    show(out.finish())
"""


def said(cache, threads=1, tier="None", **environment):
    """What a process prints."""
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(TESTS), str(threads), *([tier] if tier else [])],
        env={**os.environ, "RUSHLIGHT_CACHE": str(cache), **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    assert len(run.stdout.splitlines()) > 200
    return run.stdout


def test_same_bits_in_each_process(tmp_path):
    first = said(tmp_path / "code")
    assert said(tmp_path / "code") == first, "with the code that is stored now"
    assert said(tmp_path / "elsewhere", threads=2) == first, "with two threads and new code"


def test_same_bits_eagerly_for_two_threads_and_by_the_environment(tmp_path):
    by_call = said(tmp_path, tier="0")
    assert said(tmp_path, threads=2, tier="", RUSHLIGHT_TIER="0") == by_call


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads Linux's /proc")
def test_memory_does_not_grow():
    run = subprocess.run(
        [sys.executable, str(TESTS / "long_training.py"), "--steps", "3000"],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.returncode == 0, run.stdout + run.stderr[-2000:]
