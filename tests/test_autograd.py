"""Automatic differentiation: transcripts of PyTorch, deep graphs, memory, threads, hooks.

Values are compared with formulas and finite differences; what errors and graphs look like, with the
transcript `transcripts/autograd.txt`, which runs on real torch too where it is installed.
"""

from __future__ import annotations

import gc
import math
import threading
import tracemalloc
import weakref

import pytest
from transcripts import blocks, check

import rushlight as rl
from rushlight import nn

BLOCKS = blocks("autograd")


@pytest.mark.parametrize("steps", [s for _, s in BLOCKS], ids=[t for t, _ in BLOCKS])
def test_transcript(steps):
    check(steps, rl)


@pytest.mark.parametrize("steps", [s for _, s in BLOCKS], ids=[t for t, _ in BLOCKS])
def test_transcript_is_what_torch_says(steps):
    check(steps, pytest.importorskip("torch"))


def test_deep_graphs_neither_run_nor_die_recursively():
    x = rl.tensor([1.0], requires_grad=True)
    y = x
    for _ in range(10_000):
        y = y * 1.0
    y.backward()
    assert x.grad.item() == 1.0
    del y
    chains = (
        (50_000, lambda y: y * 1.0),
        (2_000, lambda y: y.view(1)),
        (20_000, lambda y: y.clone().mul_(1.0)),
    )
    for length, make in chains:
        y = x
        for _ in range(length):
            y = make(y)
        del y  # a recursive deallocation would overflow the C stack here


def test_deep_graph_through_views_of_one_base():
    y = rl.ones(50, requires_grad=True) * 1
    for i in range(50):
        y[i] = y[i - 1] * 0.5 if i else y[0] * 2.0
    y.sum().backward()


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(6, 8)
        self.second = nn.Linear(8, 3)

    def forward(self, x):
        return self.second(self.first(x).relu())


def training_step(net, optimizer, x, y):
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(net(x), y)
    loss.backward()
    optimizer.step()
    return loss.item()


def test_a_training_step_leaves_no_cycles():
    net = Net()
    optimizer = rl.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    x, y = rl.randn(4, 6), rl.tensor([0, 1, 2, 0])
    for _ in range(10):  # by then the step is compiled
        training_step(net, optimizer, x, y)
    gc.collect()
    gc.disable()
    try:
        for _ in range(5):
            training_step(net, optimizer, x, y)
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_a_graph_dies_with_its_results():
    x = rl.ones(3, requires_grad=True)
    y = (x.exp() * x).sigmoid()
    y.retain_grad()
    v = y[1:]
    node = weakref.ref(y.grad_fn)
    gc.disable()
    try:
        del y, v
        assert node() is None
    finally:
        gc.enable()


def test_memory_stays_flat():
    net = Net()
    optimizer = rl.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    x, y = rl.randn(4, 6), rl.tensor([0, 1, 2, 0])
    for _ in range(100):
        training_step(net, optimizer, x, y)
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(2000):
            training_step(net, optimizer, x, y)
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown < 20_000


def test_two_threads_train_at_once():
    def train(results, key):
        net = Net()
        with rl.no_grad():
            for p in net.parameters():
                p.copy_(rl.linspace(-0.5, 0.5, p.numel()).view(p.shape))
        optimizer = rl.optim.SGD(net.parameters(), lr=0.1)
        x, y = rl.linspace(-1, 1, 24).view(4, 6), rl.tensor([0, 1, 2, 0])
        results[key] = [training_step(net, optimizer, x, y) for _ in range(60)]

    results = {}
    threads = [threading.Thread(target=train, args=(results, i)) for i in range(2)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    train(results, 2)
    assert results[0] == results[1]
    # the main thread's steps are compiled: sums may be added up in another order
    assert results[0] == pytest.approx(results[2], rel=1e-5)
    assert results[2][-1] < results[2][0]


def test_modes_belong_to_their_thread():
    seen = []
    with rl.inference_mode(), rl.autograd.graph.saved_tensors_hooks(lambda t: t, lambda t: t):
        t = threading.Thread(
            target=lambda: seen.append((rl.is_grad_enabled(), rl.is_inference_mode_enabled()))
        )
        t.start()
        t.join()
    assert seen == [(True, False)]


def test_module_backward_hooks():
    net = Net()
    log = []
    handles = [
        net.first.register_full_backward_hook(
            lambda m, gi, go: log.append(("full", gi[0].shape, go[0].shape))
        ),
        net.second.register_full_backward_pre_hook(
            lambda m, go: log.append(("pre", go[0].shape)) or (go[0] * 2,)
        ),
    ]
    x = rl.ones(4, 6, requires_grad=True)
    net(x).sum().backward()
    assert log == [("pre", (4, 3)), ("full", (4, 6), (4, 8))]
    doubled = x.grad.clone()
    for h in handles:
        h.remove()
    x.grad = None
    net(x).sum().backward()
    assert rl.allclose(doubled, 2 * x.grad)
    assert len(log) == 2


def test_handles_are_the_public_class():
    x = rl.ones(1, requires_grad=True)
    handle = x.register_hook(print)
    assert isinstance(handle, rl.utils.hooks.RemovableHandle)
    handle.remove()
    handle.remove()


@pytest.mark.parametrize("order", [1, 2, 3])
def test_higher_derivatives(order):
    x = rl.tensor([0.3, -0.7, 1.1], dtype=rl.float64, requires_grad=True)
    y = (x.sin() * x.exp()).sum()
    for _ in range(order):
        (y,) = rl.autograd.grad(y.sum(), x, create_graph=True)
    # the n-th derivative of e^x sin x is 2^(n/2) e^x sin(x + n pi/4)
    wanted = [
        2 ** (order / 2) * math.exp(v) * math.sin(v + order * math.pi / 4) for v in x.tolist()
    ]
    assert y.tolist() == pytest.approx(wanted, rel=1e-12)


def test_gradients_of_leaves_are_their_own():
    a, b = (rl.ones(3, requires_grad=True) for _ in range(2))
    (a + b).backward(rl.ones(3))
    a.grad.add_(1)
    assert b.grad.tolist() == [1.0, 1.0, 1.0]


def test_views_of_a_base_that_came_to_require_grad():
    """A view taken before its base was written to takes part in the graph afterwards."""
    x = rl.tensor([1.0, 2.0], requires_grad=True)
    base = rl.zeros(4)
    view, whole = base[:2], base.view(2, 2)
    base[:2] = x * 3
    (view * rl.tensor([1.0, 10.0])).sum().backward(retain_graph=True)
    assert x.grad.tolist() == [3.0, 30.0]
    x.grad = None
    whole.t()[0].sum().backward()
    assert x.grad.tolist() == [3.0, 0.0]


def test_nodes_say_what_they_saved():
    x = rl.ones(2, 3, requires_grad=True)
    assert x.exp().grad_fn._saved_result.tolist() == rl.exp(x).tolist()
    assert (x * x).grad_fn._saved_other is x
    with pytest.raises(AttributeError):
        _ = x.exp().grad_fn._saved_nothing
    total = x.exp().sum()
    total.backward()
    with pytest.raises(RuntimeError, match="second time"):
        _ = total.grad_fn.next_functions[0][0]._saved_result


def test_anomaly_names_the_line():
    x = rl.zeros(1, requires_grad=True)
    with pytest.warns(UserWarning, match=r"(?s)SqrtBackward0.*test_autograd.*rl\.sqrt"):
        with rl.autograd.set_detect_anomaly(True), pytest.raises(RuntimeError, match="nan"):
            (rl.sqrt(x) * 0).backward()


def test_second_derivatives_through_writes_into_views():
    """The saved result of a write through a view has the base's history; layouts are kept."""
    x = rl.tensor([[0.2, -0.4], [0.6, 0.8]], dtype=rl.float64, requires_grad=True)

    def f(x):
        base = x.t().clone()
        base.transpose(0, 1)[0].tanh_()
        other = base.clone()
        other.t()[1].mul_(x[1])
        return (base**3 * other).sum()

    assert rl.autograd.gradcheck(f, (x,))
    assert rl.autograd.gradgradcheck(f, (x,))


def test_linear_keeps_what_its_gradients_read():
    """The weight of a first layer may change before backward: only the input is read."""
    layer, x = rl.nn.Linear(2, 2), rl.ones(3, 2)
    y = layer(x).sum()
    with rl.no_grad():
        layer.weight.zero_()
    y.backward()
    assert layer.weight.grad.tolist() == [[3, 3], [3, 3]]
    hidden = layer(x.requires_grad_())
    with rl.no_grad():
        layer.weight.zero_()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        hidden.sum().backward()
    frozen = rl.nn.Linear(2, 1).requires_grad_(False)
    z = x * 1
    y = frozen(z).sum()
    z.detach().zero_()
    y.backward()
    for shape in ((2,), (3, 2), (2, 3, 2)):
        w, x = rl.randn(2, requires_grad=True), rl.randn(shape, requires_grad=True)
        (rl.nn.functional.linear(x, w) * 2).sum().backward()
        assert w.grad.shape == (2,)
        assert x.grad.shape == shape


@pytest.mark.parametrize("kind", [RuntimeError, TypeError])
def test_post_accumulate_hooks_return_none(kind):
    x = rl.ones(2, requires_grad=True)
    given = rl.ones(2) if kind is RuntimeError else 5
    handle = x.register_post_accumulate_grad_hook(lambda t: given)
    with pytest.raises(kind, match=r"should return None|hook returned 'int'"):
        x.sum().backward()
    handle.remove()
    x.sum().backward()
    assert x.grad.tolist() == [2, 2]


def hooks_of_several(torch):
    """What `register_multi_grad_hook` calls, in both libraries."""
    log = []
    a, b = torch.ones(2, requires_grad=True), torch.full((2,), 2.0, requires_grad=True)
    c, d = a * b, a + b
    register = torch.autograd.graph.register_multi_grad_hook

    def note(grads):
        log.append([None if g is None else g.tolist() for g in grads])

    with register((a, b, c, d), note):
        c.sum().backward(retain_graph=True)
        c.sum().backward(inputs=(a,), retain_graph=True)
    d.sum().backward(retain_graph=True)
    handle = register((a, c), lambda g: log.append(g.tolist()), mode="any")
    c.sum().backward(retain_graph=True)
    handle.remove()
    c.sum().backward()
    return log


def test_hooks_of_several_tensors():
    log = hooks_of_several(rl)
    assert log[0] == [[2.0, 2.0], [1.0, 1.0], [1.0, 1.0], None] and len(log) == 3
    with pytest.raises(ValueError, match="Expects mode to be one of"):
        rl.autograd.graph.register_multi_grad_hook((), print, mode="some")


def test_hooks_of_several_tensors_like_torch():
    torch = pytest.importorskip("torch")
    assert hooks_of_several(rl) == hooks_of_several(torch)


def test_saved_tensors_may_be_written_to():
    x = rl.ones(2, requires_grad=True)
    allow = rl.autograd.graph.allow_mutation_on_saved_tensors
    with allow():
        y = x * 3
        z = (y**2).sum()
        y.sin_()
        z.backward(retain_graph=True)
        with pytest.raises(RuntimeError, match="contexts cannot be nested"), allow():
            pass
    assert x.grad.tolist() == [18, 18]
    with pytest.raises(AssertionError, match="Trying to backward outside of"):
        z.backward()
