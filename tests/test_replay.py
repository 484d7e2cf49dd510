"""The mechanism of replay: a test for each trap that a probe fell into or foresaw.

Each runs a small loop eagerly and with replay, which must say the same, and asserts that programs
did run in place of the loop (or that they did not, with the reason).
"""

from __future__ import annotations

import gc
import os
import signal
import threading
import weakref
from collections import Counter

import numpy as np
import pytest

import rushlight as rl
from rushlight import compiler

STEPS = 30


class Seen:
    """What replay did during a program."""

    def __init__(self, before, after):
        self.launched = after[0] - before[0]
        self.matched = after[1] - before[1]
        self.bailed = after[2] - before[2]
        self.refused = after[3] - before[3]


def counts():
    now = compiler.statistics()
    return now.launched, now.matched, Counter(now.bailed), Counter(now.refused)


def both(program, close=1e-5):
    """Runs a program eagerly and with replay, and compares what it returns."""
    said = []
    for tier in (0, None):
        compiler.set_tier(tier)
        before = counts()
        rl.manual_seed(0)
        said.append(program())
        after = counts()
    for eager, replayed in zip(*said, strict=True):
        np.testing.assert_allclose(replayed, eager, rtol=close, atol=close)
    return Seen(before, after)


@pytest.fixture(autouse=True)
def _replay_on():
    yield
    compiler.set_tier(None)


def small():
    """A model, its optimiser, and data."""
    model = rl.nn.Sequential(rl.nn.Linear(3, 5), rl.nn.Tanh(), rl.nn.Linear(5, 1))
    opt = rl.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    return model, opt, rl.randn(8, 3), rl.randn(8, 1)


def stepping(model, opt, x, y):
    """One training step, to be called; it returns the loss."""

    def step():
        loss = ((model(x) - y) ** 2).mean()
        opt.zero_grad()
        loss.backward()
        opt.step()
        return loss

    return step


def plain(t):
    return t.detach().numpy().copy()


def weights(model):
    return [plain(p) for p in model.parameters()]


def loop(before=None, between=None, after=None, steps=STEPS):
    """A program: the ordinary loop with something before it, between backward and step, or after.

    Each is called with (step, model, opt, x, y, loss) and may return something to say.
    """

    def program():
        model, opt, x, y = small()
        said = []
        for step in range(steps):
            things = (model, opt, x, y)
            if before is not None:
                said += before(step, *things) or []
            loss = ((model(x) - y) ** 2).mean()
            opt.zero_grad()
            loss.backward()
            if between is not None:
                said += between(step, *things, loss) or []
            opt.step()
            if after is not None:
                said += after(step, *things, loss) or []
        return [*said, *weights(model)]

    return program


# What the probe fell into


def test_open_graph():
    """A look between forward and backward loses no gradient."""

    def program():
        model, opt, x, y = small()
        said = []
        for _ in range(STEPS):
            loss = ((model(x) - y) ** 2).mean()
            said.append(loss.item())
            opt.zero_grad()
            loss.backward()
            opt.step()
        return [*said, *weights(model)]

    assert both(program).launched > STEPS


def test_early_death():
    """Inputs that nobody holds any more live until the program has run."""

    def program():
        model, opt, _, _ = small()
        said = []
        for step in range(STEPS):
            opt.zero_grad()
            ((model(rl.randn(8, 3)) - rl.randn(8, 1)) ** 2).mean().backward()
            gc.collect() if step == 20 else None
            opt.step()
        return [*said, *weights(model)]

    assert both(program).launched > STEPS // 2


def test_stale_pool():
    """A gradient that the user keeps is not overwritten by later steps."""
    kept = []

    def between(step, model, opt, x, y, loss):
        kept.append(model[0].weight.grad)
        return []

    def program():
        kept.clear()
        said = loop(between=between)()
        return [*said, *map(plain, kept)]

    assert both(program).launched > STEPS // 2


def test_liveness():
    """Results that are held now and then are delivered, and later ones too."""
    kept = []

    def program():
        kept.clear()
        model, opt, x, y = small()
        for step in range(STEPS):
            hidden = model[0](x)
            loss = ((model[2](rl.tanh(hidden)) - y) ** 2).mean()
            opt.zero_grad()
            loss.backward()
            opt.step()
            if step % 9 == 8:
                kept.append(hidden)
            del hidden
        return [*map(plain, kept), *weights(model)]

    assert both(program).launched > 10


def test_exceptions():
    """An operator that raises leaves nothing behind."""

    def after(step, model, opt, x, y, loss):
        if step % 4 == 3:
            with pytest.raises(RuntimeError, match="mat1 and mat2"):
                x @ x
        return [loss.item()]

    assert both(loop(after=after)).launched > 10


def test_exception_inside_an_event():
    """A hook that raises in the middle of a backward pass does not stop recording for good."""

    def program():
        model, opt, x, y = small()
        for step in range(STEPS):
            loss = ((model(x) - y) ** 2).mean()
            opt.zero_grad()
            if step == 3:
                handle = model[0].weight.register_hook(lambda g: 1 / 0)
                with pytest.raises(ZeroDivisionError):
                    loss.backward()
                handle.remove()
                continue
            loss.backward()
            opt.step()
        return weights(model)

    assert both(program).launched > 10


def test_numpy_writes():
    """Arrays behind inputs may change at any time, also while values are pending."""
    buffer = np.ones((8, 3), np.float32)

    def program():
        model, opt, _, y = small()
        x = rl.from_numpy(buffer)
        said = []
        for step in range(STEPS):
            buffer[...] = step * 0.01
            out = model(x)
            buffer[...] = -1.0  # after it was read
            if step % 10 == 9:
                said.append(out.sum().item())
            loss = ((out - y) ** 2).mean()
            said.append(loss.item())
        return said

    both(program)


def test_numpy_writes_between_two_uses():
    buffer = np.ones(4, np.float32)

    def program():
        w = rl.ones(4, requires_grad=True)
        opt = rl.optim.SGD([w], lr=0.1)
        x = rl.from_numpy(buffer)
        said = []
        for step in range(STEPS):
            buffer[...] = 1.0
            first = w + x
            buffer[...] = step
            loss = ((first + x) ** 2).mean()
            opt.zero_grad()
            loss.backward()
            opt.step()
            said.append(loss.item())
        return [*said, plain(w)]

    both(program)


def test_versions():
    """Writes are counted as they are eagerly, whether they were replayed or bailed out of."""

    def program():
        w = rl.ones(3, requires_grad=True)
        data = rl.zeros(3)
        said = []
        for step in range(STEPS):
            data.add_(1.0)
            loss = (w * data).sum()
            loss.backward()
            with rl.no_grad():
                w -= 0.01 * w.grad
                w.grad.zero_()
            if step % 7 == 6:
                said += [data._version, w._version, w.grad._version, (data * 2)._version]
        return [*said, plain(w)]

    both(program)


def test_weakrefs():
    """A weak reference to a result dies with it; attributes do not come back with another one."""

    def program():
        model, opt, x, y = small()
        said, ref = [], None
        for _ in range(STEPS):
            loss = ((model(x) - y) ** 2).mean()
            said += [float(hasattr(loss, "mark"))]
            loss.mark = True
            ref = weakref.ref(loss)
            opt.zero_grad()
            loss.backward()
            opt.step()
            del loss
        model(x)
        said += [float(ref() is None or not hasattr(ref(), "other"))]
        return [*said, *weights(model)]

    assert both(program).launched > 10


def test_last_output_as_input():
    """What the last step handed out is an input of the next."""

    def program():
        model, opt, x, _ = small()
        state = rl.zeros(8, 1)
        for _ in range(STEPS):
            out = model(x)
            loss = ((out - 0.9 * state) ** 2).mean()
            opt.zero_grad()
            loss.backward()
            opt.step()
            state = out.detach()
        return [plain(state), *weights(model)]

    assert both(program).launched > 10


def test_no_step():
    """A loop that only evaluates is cut where it begins anew."""

    def program():
        model, _, x, y = small()
        total = rl.zeros(())
        with rl.no_grad():
            for step in range(250):
                total += ((model(x) - y) ** 2).mean() * float(step)
        return [total.item()]

    assert both(program, 1e-4).launched > 50


# What it foresaw


def test_gradients_after_the_step():
    both_ = both(loop(after=lambda step, model, *_: [plain(model[0].weight.grad)]))
    assert both_.launched > 10


def test_inputs_that_alias_parameters():
    """A view of a parameter or its data among the inputs sees what was written."""

    def program():
        w = rl.ones(2, 3, requires_grad=True)
        opt = rl.optim.SGD([w], lr=0.1)
        alias = w.detach()
        said = []
        for _ in range(STEPS):
            loss = ((w - 2) ** 2).mean() + alias.sum() * 0.5 + w.data[0].sum()
            opt.zero_grad()
            loss.backward()
            opt.step()
            said += [loss.item(), alias.sum().item()]
        return [*said, plain(w)]

    both(program)


def test_reading_what_is_written():
    """Running statistics are read right after the forward pass that changes them."""

    def program():
        model = rl.nn.Sequential(rl.nn.Linear(3, 4), rl.nn.BatchNorm1d(4), rl.nn.Linear(4, 1))
        opt = rl.optim.SGD(model.parameters(), lr=0.1)
        x, said = rl.randn(8, 3), []
        for step in range(STEPS):
            loss = (model(x) ** 2).mean()
            if step % 6 == 5:
                said += [plain(model[1].running_mean), model[1].num_batches_tracked.item()]
            opt.zero_grad()
            loss.backward()
            opt.step()
        return [*said, *weights(model), plain(model[1].running_var)]

    assert both(program).launched > 10


def test_held_outputs():
    """Losses kept in a list keep their values."""

    def program():
        kept = []
        said = loop(after=lambda step, model, opt, x, y, loss: kept.append(loss.detach()))()
        return [*said, *map(plain, kept)]

    assert both(program).launched > 10


def _add_group(step, model, opt, x, y):
    if step == 12:
        extra = rl.nn.Parameter(rl.ones(1))
        model.extra = extra
        opt.add_param_group({"params": [extra], "lr": 0.01})


def _freeze(step, model, opt, x, y):
    if step in (12, 20):
        model[0].weight.requires_grad_(step == 20)


def _new_data(step, model, opt, x, y):
    if step == 12:
        model[0].weight.data = model[0].weight.data * 0.5


def _hook(step, model, opt, x, y):
    if step == 12:
        model[0].weight.register_hook(lambda g: g * 2)


def _module_hook(step, model, opt, x, y):
    if step == 12:
        model[0].register_forward_hook(lambda module, inputs, out: out * 0.5)


def _rate(step, model, opt, x, y):
    opt.param_groups[0]["lr"] = 0.1 / (1 + step)


def _loaded(step, model, opt, x, y):
    if step == 12:
        opt.load_state_dict(opt.state_dict())
    if step == 18:
        model.load_state_dict({k: v * 0.5 for k, v in model.state_dict().items()})


@pytest.mark.parametrize(
    "change", [_add_group, _freeze, _new_data, _hook, _module_hook, _rate, _loaded]
)
def test_changes_half_way(change):
    """What changes while programs stand for the loop is seen at once."""
    assert both(loop(before=change)).launched > 5


def test_gradient_that_no_event_made():
    """A step uses the gradients that are there, also those that the user put there."""

    def program():
        w = rl.ones(3, requires_grad=True)
        opt = rl.optim.SGD([w], lr=0.1)
        for step in range(STEPS):
            if step % 3 == 0:
                w.grad = rl.full((3,), float(step))
            opt.step()
        return [plain(w)]

    both(program)


def test_another_thread():
    """Another thread may read and use what is pending."""

    def between(step, model, opt, x, y, loss):
        found = []
        if step % 10 == 9:

            def work():
                found.extend([loss.item(), (loss.detach() * 2).item()])

            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
        return found

    seen = both(loop(between=between))
    assert seen.launched > 10


def test_two_threads_at_once():
    """Only one thread is replayed; another that trains at the same time is right, too."""

    def program():
        results = {}

        def train(name):
            generator = rl.Generator().manual_seed(1)
            w = rl.ones(4, requires_grad=True)
            opt = rl.optim.SGD([w], lr=0.05)
            x = rl.randn(4, generator=generator)
            for _ in range(100):
                loss = ((w * x - 1) ** 2).sum()
                opt.zero_grad()
                loss.backward()
                opt.step()
            results[name] = plain(w)

        thread = threading.Thread(target=train, args=("other",))
        thread.start()
        train("own")
        thread.join()
        return [results["own"], results["other"]]

    both(program)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_fork_in_flight():
    """What is pending is computed before a fork: parent and child both see it."""

    def between(step, model, opt, x, y, loss):
        if step % 10 != 9:
            return []
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                os.write(writing, np.float64(loss.item()).tobytes())
                status = 0
            finally:
                os._exit(status)
        said = np.frombuffer(os.read(reading, 8))[0]
        os.close(reading)
        os.close(writing)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        return [said, loss.item()]

    both(loop(between=between))


# Errors of the program


def test_bad_label():
    """A label out of range raises what it raises eagerly and leaves parameters alone."""
    model = rl.nn.Linear(3, 4)
    opt = rl.optim.SGD(model.parameters(), lr=0.1)
    x, y = rl.randn(5, 3), rl.tensor([0, 1, 2, 3, 0])
    compiler.set_tier(None)
    before = counts()
    for step in range(STEPS):
        was = weights(model)
        opt.zero_grad()
        if step == 20:
            y = rl.tensor([0, 1, 2, 3, 9])
        try:
            loss = rl.nn.functional.cross_entropy(model(x), y)
            loss.backward()
            opt.step()
        except IndexError as error:
            assert step == 20
            assert str(error).splitlines()[0] == "Target 9 is out of bounds."
            assert any(__file__ in note for note in error.__notes__)
            for a, b in zip(was, weights(model), strict=True):
                np.testing.assert_array_equal(a, b)
            y = rl.tensor([0, 1, 2, 3, 0])
    seen = Seen(before, counts())
    assert seen.bailed["a value is out of range"] == 1
    assert seen.launched > 10


def test_second_backward():
    """A graph that was run cannot be run again, replayed or not."""

    def after(step, model, opt, x, y, loss):
        with pytest.raises(RuntimeError, match="a second time"):
            loss.backward()
        return []

    both(loop(after=after))


def test_interrupted():
    """Ctrl-C while a program runs: it has run, and the next step is as ever."""
    compiler.set_tier(None)
    model, opt, x, y = small()
    step = stepping(model, opt, x, y)
    for _ in range(10):
        step()
    w = model[0].weight
    before = plain(w)
    loss = ((model(x) - y) ** 2).mean()
    opt.zero_grad()
    with pytest.raises(KeyboardInterrupt):
        loss.backward()
        raise KeyboardInterrupt
    np.testing.assert_array_equal(plain(w), before)
    assert loss.item() > 0
    step()
    assert (plain(w) != before).any()


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers here")
def test_interrupted_anywhere():
    """Ctrl-C at any time: the loop can be taken up again, and its losses are those of the model."""
    compiler.set_tier(None)
    model, opt, x, y = small()
    step = stepping(model, opt, x, y)
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        for k in range(30):
            with pytest.raises(KeyboardInterrupt):
                signal.setitimer(signal.ITIMER_REAL, 0.003 + 0.0007 * k)
                while True:
                    step()
            expected = ((model(x) - y) ** 2).mean().item()
            assert abs(step().item() - expected) <= 1e-5 * max(1, abs(expected))
    finally:
        signal.signal(signal.SIGALRM, before)


# Bookkeeping


def test_tier_changed_in_flight():
    compiler.set_tier(None)
    model, opt, x, y = small()
    for _ in range(10):
        loss = ((model(x) - y) ** 2).mean()
        opt.zero_grad()
        loss.backward()
        opt.step()
    loss = ((model(x) - y) ** 2).mean()
    compiler.set_tier(0)
    expected = ((model(x) - y) ** 2).mean()
    np.testing.assert_allclose(plain(loss), plain(expected), rtol=1e-6)


def test_statistics():
    seen = both(loop())
    assert seen.launched == STEPS - 2 or seen.launched > STEPS - 5
    assert seen.matched > seen.launched
    assert not seen.bailed


def test_reasons():
    """Why a flight ended says which event came instead."""

    def after(step, model, opt, x, y, loss):
        return [rl.sin(x).sum().item()] if step == 20 else []

    seen = both(loop(after=after))
    assert sum(seen.bailed.values()) <= 1


def test_shapes_that_never_settle():
    """Lengths that do not come again are neither compiled nor kept."""
    compiler.set_tier(None)
    w = rl.ones(1, requires_grad=True)
    opt = rl.optim.SGD([w], lr=1e-6)
    compiled = compiler.statistics().compiled
    for step in range(300):
        loss = (w * rl.ones(step + 1)).mean()
        opt.zero_grad()
        loss.backward()
        opt.step()
    assert compiler.statistics().compiled - compiled < 5


def test_dead_models_go():
    """Models that were trained and dropped do not stay for ever."""
    compiler.set_tier(None)
    refs = []
    for _ in range(40):
        model, opt, x, y = small()
        refs.append(weakref.ref(model[0].weight))
        for _ in range(8):
            loss = ((model(x) - y) ** 2).mean()
            opt.zero_grad()
            loss.backward()
            opt.step()
    gc.collect()
    assert sum([ref() is not None for ref in refs]) < 25


def test_a_write_to_new_memory_is_waited_for() -> None:
    """``full_like`` is ``empty`` and ``fill_``: the memory is there before its values are."""
    rl.compiler.set_tier(None)
    shapes = [rl.ones(2, 3, dtype=rl.float64) for _ in range(20)]
    for x in shapes:
        filled = rl.full_like(x, 7.0)
        assert filled.numpy().tolist() == [[7.0] * 3] * 2
        assert (rl.full_like(x, 2.0) * x).sum().item() == 12.0
