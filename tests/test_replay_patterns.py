"""Whole training loops, run eagerly and with hot code replayed: what they say must be the same.

float32 values may lie 1e-5 apart, relative to the largest of their tensor (1e-4 where a program
says so, because its losses magnify rounding); everything else must be equal.  With real torch
installed, the eager run is compared with torch's too.
"""

from __future__ import annotations

import contextlib
import warnings
from collections import Counter

import pytest
import replay_habits  # noqa: F401 - adds its programs
import replay_habits_more  # noqa: F401 - adds its programs
import replay_modes  # noqa: F401 - adds its programs
import replay_numbers  # noqa: F401 - adds its programs
from replay_programs import PROGRAMS, Out, differences

import rushlight as rl
from rushlight import compiler

SWITCH = getattr(compiler, "set_tier", None)
COUNTS = getattr(compiler, "statistics", None)


@contextlib.contextmanager
def tier(level):
    """Runs the block in this tier; None is replay."""
    if SWITCH is not None:
        SWITCH(level)
    try:
        yield
    finally:
        if SWITCH is not None:
            SWITCH(None)


def counts():
    """What was recorded, matched and refused so far."""
    if COUNTS is None:
        return None
    now = COUNTS()
    return now.recorded, now.matched, Counter(now.bailed) + Counter(now.refused)


def replayed_share(out):
    """The part of the events between step 20 and the end that programs stood for, and why not all.

    Reasons are those of the bail-outs in that time.
    """
    (recorded, matched, why), then = out.counts[0], out.counts[-1]
    recorded, matched, why = then[0] - recorded, then[1] - matched, then[2] - why
    return matched / max(recorded + matched, 1), dict(why)


def run(name, torch, level=0):
    """What a program says in a tier."""
    out = Out(counts)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # fork beside threads
        if torch is rl:
            with tier(level):
                PROGRAMS[name].run(torch, out)
                said = out.finish()
        else:
            PROGRAMS[name].run(torch, out)
            said = out.finish()
    return said, out


@pytest.mark.parametrize("name", list(PROGRAMS))
def test_replayed_as_eager(name):
    eager, _ = run(name, rl, 0)
    replayed, out = run(name, rl, None)
    found = differences(eager, replayed, PROGRAMS[name].close)
    assert not found, "\n".join(found[:10])
    if COUNTS is not None and PROGRAMS[name].replays and len(out.counts) > 1:
        share, reasons = replayed_share(out)
        assert share >= 0.95, f"{share:.2f} replayed: {reasons}"


@pytest.mark.parametrize("name", list(PROGRAMS))
def test_eager_as_torch(name):
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    if PROGRAMS[name].unlike_torch:
        pytest.skip(PROGRAMS[name].unlike_torch)
    found = differences(run(name, torch)[0], run(name, rl)[0], max(1e-4, PROGRAMS[name].close))
    assert not found, "\n".join(found[:10])


def test_again_and_again():
    """The same program three times in one process: what was compiled serves again."""
    said = [run("c_adam", rl, None)[0] for _ in range(3)]
    assert not differences(said[0], said[1], 1e-5)
    assert not differences(said[0], said[2], 1e-5)


def test_differences_are_found():
    assert differences([1.0], [1.0 + 1e-4], 1e-5)
    assert not differences([1.0], [1.0 + 1e-6], 1e-5)
    assert differences({"a": 1}, {"b": 1}, 1e-5)
    assert differences("tensor(1.0000)", "tensor(2.0000)", 1e-5)
    assert differences([True], [1], 1e-5)
