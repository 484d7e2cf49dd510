"""Checkpoints: gradients, random state and errors of both forms, and that memory is let go."""

from __future__ import annotations

import gc
import weakref

import pytest

import rushlight as rl
from rushlight import nn
from rushlight.utils.checkpoint import CheckpointError, checkpoint, checkpoint_sequential

FORMS = pytest.mark.parametrize("reentrant", [False, True])


def net():
    rl.manual_seed(0)
    return nn.Sequential(
        nn.Linear(4, 8), nn.Tanh(), nn.Dropout(0.5), nn.Linear(8, 8), nn.GELU(), nn.Linear(8, 2)
    )


def gradients(run, model):
    x = rl.linspace(-1, 1, 12).view(3, 4).requires_grad_()
    rl.manual_seed(5)
    run(model, x).square().sum().backward()
    found = [x.grad.clone(), *[p.grad.clone() for p in model.parameters()]]
    model.zero_grad()
    return found, rl.rand(3)


@FORMS
@pytest.mark.parametrize("segments", [1, 2, 3])
def test_gradients_and_random_numbers_are_the_same(reentrant, segments):
    model = net()
    plain, after = gradients(lambda m, x: m(x), model)
    whole, after_whole = gradients(lambda m, x: checkpoint(m, x, use_reentrant=reentrant), model)
    parts, after_parts = gradients(
        lambda m, x: checkpoint_sequential(m, segments, x, use_reentrant=reentrant), model
    )
    for a, b, c in zip(plain, whole, parts, strict=True):
        assert rl.equal(a, b) and rl.equal(a, c)
    assert rl.equal(after, after_whole) and rl.equal(after, after_parts)


@FORMS
def test_several_results_and_other_arguments(reentrant):
    x = rl.tensor([1.0, 2.0], requires_grad=True)

    def f(a, k, note):
        assert note == {"x": 1}
        return a * k, a.exp(), "text" if False else a.detach()

    y, z, _ = checkpoint(f, x, 3.0, {"x": 1}, use_reentrant=reentrant)
    (y.sum() + z.sum()).backward()
    assert rl.allclose(x.grad, 3 + x.detach().exp())


def test_keyword_arguments():
    x = rl.ones(2, requires_grad=True)
    y = checkpoint(lambda a, *, scale: a * a * scale, x, scale=3.0, use_reentrant=False)
    y.sum().backward()
    assert x.grad.tolist() == [6.0, 6.0]
    with pytest.raises(ValueError, match="Unexpected keyword arguments: scale"):
        checkpoint(lambda a, scale: a * scale, x, scale=3.0, use_reentrant=True)


def test_higher_derivatives_without_reentry():
    x = rl.tensor([0.5], dtype=rl.float64, requires_grad=True)
    y = checkpoint(lambda a: a.sin() * a, x, use_reentrant=False)
    (g,) = rl.autograd.grad(y, x, create_graph=True)
    (h,) = rl.autograd.grad(g, x)
    assert h.item() == pytest.approx(2 * rl.cos(x).item() - (x * x.sin()).item())


def test_nothing_is_kept_between_the_passes():
    kept = []

    def f(a):
        inner = a.exp()
        kept.append(weakref.ref(inner.untyped_storage()))
        return inner * inner

    x = rl.ones(10, requires_grad=True)
    gc.disable()
    try:
        y = checkpoint(f, x, use_reentrant=False)
        assert kept[0]() is None
        y.sum().backward()
        assert len(kept) == 2
    finally:
        gc.enable()


def test_the_function_runs_only_as_far_as_needed():
    calls = []

    def f(a):
        b = a.exp()
        calls.append("exp")
        c = b * 2
        calls.append("mul")
        return c

    x = rl.ones(1, requires_grad=True)
    checkpoint(f, x, use_reentrant=False).backward()
    assert calls == ["exp", "mul"]  # stopped inside exp, where the last tensor was saved
    checkpoint(f, x, use_reentrant=False, early_stop=False).backward()
    assert calls == ["exp", "mul"] * 3


def test_functions_that_change_their_mind_are_refused():
    runs = []

    def f(a):
        runs.append(1)
        return (a if len(runs) == 1 else a.repeat(2)).exp().sum()

    with pytest.raises(CheckpointError, match="different metadata"):
        checkpoint(f, rl.ones(2, requires_grad=True), use_reentrant=False).backward()


def test_warnings():
    x = rl.ones(2, requires_grad=True)
    with pytest.warns(UserWarning, match="use_reentrant parameter should be passed explicitly"):
        checkpoint(rl.exp, x)
    with pytest.warns(UserWarning, match="None of the inputs have requires_grad=True"):
        checkpoint(rl.exp, rl.ones(2), use_reentrant=True)
    with rl.no_grad():
        assert not checkpoint(rl.exp, x, use_reentrant=False).requires_grad


@FORMS
def test_without_preserved_random_state_it_goes_on(reentrant):
    rl.manual_seed(0)
    x = rl.ones(1000, requires_grad=True)
    y = checkpoint(
        lambda a: nn.functional.dropout(a) * a, x, use_reentrant=reentrant, preserve_rng_state=False
    )
    before = rl.get_rng_state()
    y.sum().backward()
    assert not rl.equal(before, rl.get_rng_state())


@pytest.mark.parametrize("positional", [True, False])
def test_arguments_must_be_what_they_were(positional):
    x = rl.ones(3, requires_grad=True)
    y = rl.ones(3)
    given = ((x, y), {}) if positional else ((x,), {"y": y})
    out = rl.utils.checkpoint.checkpoint(
        lambda x, y: rl.tanh(x * y), *given[0], use_reentrant=False, **given[1]
    )
    y.mul_(2)
    if positional:
        with pytest.raises(RuntimeError, match="is at version 1; expected version 0"):
            out.sum().backward()
    else:  # as in PyTorch, nobody watches these
        out.sum().backward()
        assert x.grad is not None
