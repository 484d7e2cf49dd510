"""Patience: programs that never settle cost little, those that do are compiled as soon as ever."""

from __future__ import annotations

import gc
import random
import weakref

import pytest

import rushlight as rl
from rushlight import compiler
from rushlight.dispatch import doors
from rushlight.replay import patience


@pytest.fixture(autouse=True)
def _afresh():
    compiler.set_tier(None)
    yield
    compiler.set_tier(None)


def trained(model, optimizer, *size):
    """One step on random data of a size."""
    x = rl.randn(*size)
    optimizer.zero_grad()
    model(x).square().mean().backward()
    optimizer.step()


def small():
    model = rl.nn.Sequential(rl.nn.Linear(3, 5), rl.nn.Tanh(), rl.nn.Linear(5, 1))
    return model, rl.optim.SGD(model.parameters(), lr=0.1)


def counted(program):
    """What a program adds to compiled, matched and recorded."""
    now = compiler.statistics()
    before = now.compiled, now.matched, now.recorded
    program()
    return now.compiled - before[0], now.matched - before[1], now.recorded - before[2]


def test_sizes_that_never_recur_compile_nothing_and_are_recorded_seldom():
    steps = 400

    def program():
        model, optimizer = small()
        for i in range(steps):
            trained(model, optimizer, i + 1, 3)

    compiled, _, recorded = counted(program)
    assert compiled == 0
    assert 20 < recorded < 0.15 * 8 * steps


def test_sizes_by_chance_compile_little():
    """Forty lengths recur all the time, but a compilation costs as much as thousands of calls."""

    def program():
        chance = random.Random(0)
        model, optimizer = small()
        for _ in range(500):
            trained(model, optimizer, chance.randint(1, 40), 3)

    assert counted(program)[0] <= 1


def test_a_loop_takes_over_at_its_third_step():
    def program():
        model, optimizer = small()
        trained(model, optimizer, 8, 3)  # recording begins in the midst of it
        for _ in range(10):
            trained(model, optimizer, 8, 3)

    compiled, matched, recorded = counted(program)
    assert compiled == 1 and matched >= 6 * 8 and recorded <= 5 * 8


@pytest.mark.parametrize("parts", [2, 3, 4])
def test_a_loop_of_several_stretches(parts):
    def program():
        models = [small() for _ in range(parts)]
        for _ in range(60):
            for i, (model, optimizer) in enumerate(models):
                trained(model, optimizer, 8 + i, 3)

    compiled, matched, _ = counted(program)
    assert compiled == parts and matched > 40 * parts * 8


def test_another_optimizer_ends_a_rest():
    def program():
        model, optimizer = small()
        for i in range(100):
            trained(model, optimizer, i + 1, 3)
        assert doors.door[0].__name__ == "rest"
        model, optimizer = small()
        for _ in range(30):
            trained(model, optimizer, 8, 3)

    compiled, matched, _ = counted(program)
    assert compiled == 1 and matched > 20 * 8


def test_a_loop_after_long_unrest_is_found():
    def program():
        model, optimizer = small()
        for i in range(250):
            trained(model, optimizer, i + 1, 3)
        for _ in range(1500):
            trained(model, optimizer, 8, 3)

    assert counted(program)[0] == 1


def test_short_loops_one_after_the_other_are_not_all_compiled():
    """Sixty models of eight steps each: a compilation would take longer than it saves."""

    def program():
        for _ in range(60):
            model, optimizer = small()
            for _ in range(8):
                trained(model, optimizer, 8, 3)

    assert counted(program)[0] < 20


def test_what_matches_pays_for_what_comes_later():
    def program():
        model, optimizer = small()
        for _ in range(500):
            trained(model, optimizer, 8, 3)
        for size in range(9, 13):
            for _ in range(10):
                trained(model, optimizer, size, 3)

    assert counted(program)[0] == 5


def test_two_runs_do_the_same():
    def program():
        chance = random.Random(1)
        model, optimizer = small()
        for i in range(300):
            trained(model, optimizer, chance.choice((4, 5, 6, i + 10)), 3)

    found = []
    for _ in range(2):
        compiler.set_tier(None)
        found.append(counted(program))
    assert found[0] == found[1] and found[0][0]


def test_a_rest_ends_between_events():
    begun = []
    model, _ = small()
    loss = model(rl.randn(4, 3)).sum()
    compiler.set_tier(0)
    eager = doors.door[0]
    doors.door[0] = patience.resting(
        1, lambda: begun.append(1) or doors.door.__setitem__(0, eager), None
    )
    loss.backward()  # calls many operators, yet is one event
    assert not begun and model[0].weight.grad is not None
    model(rl.randn(4, 3))
    assert begun


def test_a_recording_in_vain_keeps_no_data():
    model, optimizer = small()
    x = rl.ones(50, 3)
    gone = weakref.ref(x)
    gc.disable()
    try:
        trained(model, optimizer, 1, 3)
        optimizer.zero_grad()
        model(x).square().mean().backward()
        optimizer.step()
        del x
        trained(model, optimizer, 2, 3)
        assert gone() is None
    finally:
        gc.enable()
