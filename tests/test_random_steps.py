"""A sample of `random_steps.py`: random training programs say the same eagerly and replayed."""

from __future__ import annotations

import pytest
import random_steps
from replay_programs import differences

import rushlight as rl


def source(number):
    return random_steps.source_of(number)


@pytest.fixture(autouse=True)
def default_tier():
    yield
    rl.compiler.set_tier(None)


FIRST = [kind + n for kind in random_steps.KINDS.values() for n in (0, 10, 20)]


@pytest.mark.parametrize("first", FIRST)
def test_sample(first):
    found = list(random_steps.wrong(range(first, first + 10)))
    assert not found, "\n".join(
        f"program {number}: {lines[:3]}\n{source(number)}" for number, lines in found
    )


def test_programs_depend_on_their_number_alone():
    texts = [source(5) for _ in range(2)]
    assert texts[0] == texts[1] != source(6)


def test_most_programs_run_to_their_end():
    said = [
        random_steps.said_by(source(number), rl)
        for kind in random_steps.KINDS.values()
        for number in range(kind, kind + 20)
    ]
    broken = [s for s in said if any(isinstance(x, str) and x.endswith("Error") for x in s)]
    assert len(broken) < 18


@pytest.mark.parametrize("first", FIRST)
def test_as_torch(first):
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)
    for number in range(first, first + 10):
        theirs, ours = (random_steps.said_by(source(number), t) for t in (torch, rl))
        found = differences(theirs, ours, random_steps.closeness(source(number)) * 10)
        assert not found, f"program {number}: {found[:3]}\n{source(number)}"
