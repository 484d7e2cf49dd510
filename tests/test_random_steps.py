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


FOUND = {
    # what a launched part of a flight keeps has the versions from before the part that bails out
    "versions": """
def program(torch, np, out):
    p = torch.ones(4, dtype=torch.float64, requires_grad=True)
    q = torch.ones(4, dtype=torch.float64, requires_grad=True)
    c = torch.ones(4, dtype=torch.float64)
    shared = torch.from_numpy(np.ones((3,)))
    for step in range(10):
        if step % 4 == 3: c.fill_(0.5)
        v = torch.maximum(p, c)
        other = shared.detach()
        turned = torch.neg(q)
        loss = torch.tanh(shared).mean() + torch.tanh(q).mean()
        loss.backward()
        out(loss.item())
        loss = torch.tanh(q).mean() + torch.tanh(turned).mean() + torch.tanh(v).mean()
        loss.backward()
        with torch.no_grad(): p -= 0.01 * p.sin()
        if step == 8: torch.compiler.reset()
    out(p, p.grad, q.grad)
""",
    # NumPy writes between forward and backward, which reads the target again
    "shared": """
def program(torch, np, out):
    p = torch.linspace(-1, 1, 6, dtype=torch.float64).reshape(2, 3).requires_grad_()
    array = np.ones(3)
    shared = torch.from_numpy(array)
    for step in range(12):
        loss = torch.nn.functional.mse_loss(p, shared.expand_as(p)) + (p * shared).sum()
        array *= 0.9
        loss.backward()
        with torch.no_grad(): p -= 0.1 * p.grad
        p.grad = None
    out(p, loss)
""",
}


@pytest.mark.parametrize("name", list(FOUND))
def test_found_before(name):
    """Programs that went wrong once, cut to what matters."""
    assert not random_steps.check(FOUND[name])
