"""More programs with habits: recurrent state, evaluation, views; see `replay_habits.py`."""

from __future__ import annotations

import os
import pickle
from typing import Any

from replay_habits import HALF, _train
from replay_programs import Out, _mlp, _points, _regression, program


@program(seed=54)
def fork_after_use(torch: Any, out: Out) -> None:
    model, x, y, opt = _regression(torch, 2, 6, 1, n=20, lr=0.05)

    def some(steps: int) -> list[float]:
        said = []
        for _ in range(steps):
            opt.zero_grad()
            loss = torch.nn.functional.mse_loss(model(x), y)
            loss.backward()
            opt.step()
            said.append(loss.item())
        return said

    out(some(30))
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.write(writing, pickle.dumps(some(10)))
            status = 0
        finally:
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        of_child = pipe.read()
    _, status = os.waitpid(child, 0)
    out(status)
    of_child = pickle.loads(of_child)
    out(of_child)
    out(some(10))


@program(seed=55, replays=True)
def gradients_read_after_the_step(torch: Any, out: Out) -> None:
    model, x, y, opt = _regression(torch, 2, 4, 1, n=10, lr=0.1)
    for _ in out.steps():
        opt.zero_grad()
        loss = torch.nn.functional.mse_loss(model(x), y)
        loss.backward()
        opt.step()
        out(sum(p.grad.abs().sum().item() for p in model.parameters()))
    out([p.grad for p in model.parameters()])


@program(seed=56)
def loss_used_after_the_step(torch: Any, out: Out) -> None:
    model, x, y, opt = _regression(torch, 2, 4, 1, n=10, lr=0.1)
    running = torch.zeros(())
    for _ in out.steps():
        opt.zero_grad()
        loss = torch.nn.functional.mse_loss(model(x), y)
        loss.backward()
        opt.step()
        running += loss.detach()
        out((loss * 2 + 1).item())
    out(running, loss.grad_fn is not None)


@program(seed=57)
def losses_added_up_as_tensors(torch: Any, out: Out) -> None:
    model = _mlp(torch, 2, 4, 1)
    opt = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in out.steps():
        total = 0
        opt.zero_grad()
        for k in range(3):
            x = torch.full((4, 2), float(k))
            total = total + model(x).pow(2).mean()
        total.backward()
        opt.step()
        out(total.item())
    out.state(model)


@program(seed=58, replays=True)
def evaluation_inside_the_loop(torch: Any, out: Out) -> None:
    model = _mlp(torch, 4, 8, 3)
    x, labels = torch.randn(20, 4), torch.randint(0, 3, (20,))
    opt = torch.optim.SGD(model.parameters(), lr=0.05)
    for _ in out.steps():
        opt.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(x), labels)
        loss.backward()
        opt.step()
        with torch.no_grad():
            guess = model(x).argmax(1)
            out((guess == labels).float().mean().item())
    out.state(model)


@program(seed=59, close=1e-4)
def lstm_with_carried_state(torch: Any, out: Out) -> None:
    cell, head = torch.nn.LSTMCell(3, 5), torch.nn.Linear(5, 1)
    x, y = torch.randn(40, 2, 3), torch.randn(40, 2, 1)
    opt = torch.optim.SGD([*cell.parameters(), *head.parameters()], lr=0.05)
    h, c = torch.zeros(2, 5), torch.zeros(2, 5)
    for step in out.steps():
        h, c = cell(x[step], (h.detach(), c.detach()))
        loss = torch.nn.functional.mse_loss(head(h), y[step])
        opt.zero_grad()
        loss.backward()
        opt.step()
        out(loss.item())
    out(h, c)


@program(seed=60, close=1e-4)
def recurrent_layers(torch: Any, out: Out) -> None:
    for kind in (torch.nn.LSTM, torch.nn.GRU):
        layer, head = kind(3, 5, batch_first=True), torch.nn.Linear(5, 1)
        x, y = torch.randn(2, 4, 3), torch.randn(2, 1)
        opt = torch.optim.Adam([*layer.parameters(), *head.parameters()], lr=0.01)
        for _ in range(30):
            opt.zero_grad()
            found, _ = layer(x)
            loss = torch.nn.functional.mse_loss(head(found[:, -1]), y)
            loss.backward()
            opt.step()
            out(loss.item())
        out.state(layer)


@program(seed=61)
def embedding_and_cross_entropy(torch: Any, out: Out) -> None:
    nn = torch.nn
    model = nn.Sequential(nn.Embedding(10, 4), nn.Flatten(), nn.Linear(12, 10))
    opt = torch.optim.Adam(model.parameters(), lr=0.05)
    text = torch.randint(0, 10, (40, 8, 4))
    for step in out.steps():
        opt.zero_grad()
        loss = nn.functional.cross_entropy(model(text[step, :, :3]), text[step, :, 3])
        loss.backward()
        opt.step()
        out(loss.item())
    out.state(model)


@program(seed=62)
def gradient_penalty(torch: Any, out: Out) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(2, 6), torch.nn.Tanh(), torch.nn.Linear(6, 1))
    opt = torch.optim.SGD(model.parameters(), lr=0.05)
    x = torch.randn(10, 2, requires_grad=True)
    for _ in out.steps():
        opt.zero_grad()
        guess = model(x)
        (slope,) = torch.autograd.grad(guess.sum(), x, create_graph=True)
        loss = guess.pow(2).mean() + (slope.norm(dim=1) - 1).pow(2).mean()
        loss.backward()
        opt.step()
        out(loss.item())
    out.state(model)
    out(x.grad)


@program(seed=63)
def gradients_filled_with_zeros(torch: Any, out: Out) -> None:
    model, x, y, opt = _regression(torch, 2, 4, 1, n=10, lr=0.1)
    loss = torch.nn.functional.mse_loss(model(x), y)
    loss.backward()
    first = model[0].weight.grad
    for _ in out.steps():
        opt.zero_grad(set_to_none=False)
        loss = torch.nn.functional.mse_loss(model(x), y)
        loss.backward()
        opt.step()
        out(loss.item())
    out(first, first is model[0].weight.grad)


@program(seed=64, replays=True)
def gradient_of_the_input(torch: Any, out: Out) -> None:
    model = _mlp(torch, 3, 6, 2).requires_grad_(False)
    image = torch.randn(1, 3, requires_grad=True)
    opt = torch.optim.Adam([image], lr=0.05)
    label = torch.tensor([1])
    for _ in out.steps():
        opt.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(image), label)
        loss.backward()
        opt.step()
        with torch.no_grad():
            image.clamp_(-1, 1)
        out(loss.item())
    out(image)


@program(seed=65)
def other_sizes_and_types_half_way(torch: Any, out: Out) -> None:
    model = torch.nn.Linear(2, 1)
    opt = torch.optim.SGD(model.parameters(), lr=0.05)
    for step in out.steps(60):
        if step == 30:
            model.double()
        if step == 45:
            model.float()
        n = 3 + step % 4
        x = torch.linspace(-1, 1, 2 * n, dtype=model.weight.dtype).view(n, 2)
        x = x.t().contiguous().t() if step % 5 == 0 else x
        opt.zero_grad()
        loss = model(x).pow(2).sum()
        loss.backward()
        opt.step()
        out(loss.item())
    out.state(model)


@program()
def seed_set_again(torch: Any, out: Out) -> None:
    nn = torch.nn
    model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 1))
    torch.manual_seed(66)
    for p in model.parameters():
        nn.init.normal_(p)
    x = torch.randn(6, 4)
    opt = torch.optim.SGD(model.parameters(), lr=0.01)
    for step in out.steps():
        if step % 8 == 0:
            torch.manual_seed(step)
            out(torch.rand(1))
        opt.zero_grad()
        loss = (model(x + 0.1 * torch.randn(6, 4))).pow(2).mean()
        loss.backward()
        opt.step()
        out(loss.item())
    out(torch.get_rng_state()[:64])


@program(seed=74, replays=True)
def numbers_that_change(torch: Any, out: Out) -> None:
    model, x, y, opt = _regression(torch, 2, 6, 1, n=20, lr=0.02)
    for step in out.steps():
        opt.zero_grad()
        loss = torch.nn.functional.mse_loss((0.5 + 0.1 * step) * model(x), y)
        penalty = sum((p / (1 + 0.5 * step)).pow(2).sum() for p in model.parameters())
        loss = loss + 0.9**step * penalty
        loss.backward()
        opt.step()
        out(loss.item())
    out.state(model)
    out([p.grad for p in model.parameters()])


@program(seed=76, replays=True)
def a_number_times_a_parameter(torch: Any, out: Out) -> None:
    w = torch.randn(3, requires_grad=True)
    opt = torch.optim.SGD([w], lr=0.02)
    for step in out.steps():
        opt.zero_grad()
        loss = torch.tanh((0.5 + 0.1 * step) * w).mean()
        loss.backward()
        opt.step()
    out(w, w.grad)


@program(seed=77)
def named_numbers_that_change(torch: Any, out: Out) -> None:
    w, x = torch.randn(3, requires_grad=True), torch.randn(3)
    opt = torch.optim.SGD([w], lr=0.02)
    for step in out.steps():
        opt.zero_grad()
        mixed = torch.add(w, x, alpha=0.9**step)
        loss = torch.nn.functional.leaky_relu(mixed, 0.01 * step).clamp(-1, 0.1 * step).sum()
        loss.backward()
        opt.step()
    out(w, w.grad)


@program(seed=78)
def a_step_now_and_then(torch: Any, out: Out) -> None:
    w = torch.randn(3, requires_grad=True)
    opt = torch.optim.SGD([w], lr=0.1, momentum=0.9)
    for step in out.steps():
        loss = torch.tanh(w).mean()
        opt.zero_grad()
        loss.backward()
        if step % 2:
            opt.step()
    out(w, w.grad)


@program(seed=79)
def data_written_now_and_then(torch: Any, out: Out) -> None:
    w, c = torch.randn(3, requires_grad=True), torch.ones(2)
    opt = torch.optim.RMSprop([w], lr=0.01)
    for step in out.steps(42):
        if step % 4 == 3:
            c.fill_(0.5)
        c.mul_(2)
        with torch.no_grad():
            unused = w + w
        torch.tanh(w).mean().backward()
        opt.step()
    out(w, c, unused)


@program(seed=80)
def a_step_between_forward_and_backward(torch: Any, out: Out) -> None:
    w, v = torch.randn(4, requires_grad=True), torch.randn(4, requires_grad=True)
    of_w, of_v = torch.optim.SGD([w], lr=0.02), torch.optim.SGD([v], lr=0.02)
    for step in out.steps():
        mixed = w * torch.rand(4)
        mixed.view(-1)[0].fill_(-1.5)
        of_v.step()
        seen = mixed * (0.5 + 0.1 * step)
        loss = torch.tanh(mixed).mean() + torch.tanh(seen).mean() + (v * v).mean()
        loss.backward()
        of_w.step()
    out(w, v, w.grad, v.grad)


@program(seed=75)
def integers_that_change(torch: Any, out: Out) -> None:
    w = torch.randn(6, requires_grad=True)
    opt = torch.optim.SGD([w], lr=0.02)
    for step in out.steps():
        opt.zero_grad()
        loss = (w * step).roll(step % 3)[: 2 + step % 4].pow(1 + step % 2).sum() + (step % 5 > 2)
        loss.backward()
        opt.step()
        out(loss.item())
    out(w, w.grad)


@program(seed=67, replays=True)
def three_optimisers_with_groups(torch: Any, out: Out) -> None:
    x, y = _points(torch, 20)
    for kind in (torch.optim.AdamW, torch.optim.RMSprop, torch.optim.Adagrad):
        model = _mlp(torch, 2, 4, 1)
        slow = {"params": list(model[0].parameters()), "lr": 0.001}
        fast = {"params": list(model[2].parameters()), "weight_decay": 0.01}
        opt = kind([slow, fast], lr=0.01)
        for _ in range(30):
            opt.zero_grad()
            loss = torch.nn.functional.smooth_l1_loss(model(x), y)
            loss.backward()
            opt.step()
            out(loss.item())
        out.state(model, opt)


@program(seed=68)
def a_closure(torch: Any, out: Out) -> None:
    model = torch.nn.Linear(2, 1)
    x, y = _points(torch, 20)
    opt = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)

    def closure() -> Any:
        opt.zero_grad()
        loss = torch.nn.functional.mse_loss(model(x), y)
        loss.backward()
        return loss

    for _ in out.steps():
        out(opt.step(closure).item())
    out.state(model)


@program(seed=69)
def gradients_by_hand(torch: Any, out: Out) -> None:
    def change(step: int, model: Any, opt: Any) -> None:
        if step == HALF:
            model[0].weight.grad = torch.ones(6, 2)
            opt.step()
        if step == 30:
            model[0].weight.grad = None
            opt.step()
        if step == 33:
            for p in model.parameters():
                p.grad *= 10
            opt.step()

    _train(torch, out, change)


@program(seed=70)
def attributes_of_pending_results(torch: Any, out: Out) -> None:
    model, x, y, opt = _regression(torch, 2, 4, 1, n=10, lr=0.1)
    for _ in out.steps():
        opt.zero_grad()
        guess = model(x)
        assert guess.shape == (10, 1)
        assert guess.requires_grad and not guess.is_leaf
        assert guess.dtype is torch.float32 and guess.stride() == (1, 1)
        out(guess.grad_fn.name(), guess._version, guess.is_contiguous(), repr(guess.size()))
        loss = torch.nn.functional.mse_loss(guess, y)
        loss.backward()
        opt.step()
        assert model[0].weight.grad.shape == (4, 2)
    out.state(model)


@program(seed=71)
def truth_of_a_value_decides(torch: Any, out: Out) -> None:
    w = torch.randn(3, requires_grad=True)
    x = torch.randn(40, 3)
    opt = torch.optim.SGD([w], lr=0.05)
    for step in out.steps():
        score = (w * x[step]).sum()
        loss = score**2 if score > 0 else -score * 0.5
        opt.zero_grad()
        loss.backward()
        opt.step()
        out(loss.item())
    out(w)


@program(seed=72)
def views_of_a_parameter(torch: Any, out: Out) -> None:
    w = torch.randn(4, 3, requires_grad=True)
    rows = w.detach()[1:3]
    opt = torch.optim.SGD([w], lr=0.05)
    for step in out.steps():
        opt.zero_grad()
        loss = (w[:2] * w[2:]).sum() + w.t()[0].pow(2).sum()
        loss.backward()
        opt.step()
        if step % 6 == 0:
            rows.mul_(0.9)
        out(loss.item())
    out(rows, w)


@program(seed=73)
def nothing_requires_gradients(torch: Any, out: Out) -> None:
    x = torch.randn(6, 6)
    for _ in out.steps():
        x = torch.softmax(x @ x.t() * 0.3, dim=1) + 0.1
        x = x - x.mean(0, keepdim=True)
    out(x)


@program()
def wide_values(torch: Any, out: Out) -> None:
    w = torch.tensor([1e30, -1e-30, 0.0, -0.0, float("inf"), float("nan"), 3.0], requires_grad=True)
    for _ in out.steps(30):
        loss = (torch.exp(-w.abs()) + torch.relu(w) * 0 + w.clamp(-1, 1)).sum()
        w.grad = None
        loss.backward()
        out(w.grad, loss)


@program(seed=74, replays=True)
def evaluation_in_inference_mode(torch: Any, out: Out) -> None:
    functional = torch.nn.functional
    model = _mlp(torch, 2, 8, 3)
    x, y = _points(torch, 30)
    labels = (y[:, 0] > 0).long()
    opt = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in out.steps():
        opt.zero_grad()
        loss = functional.cross_entropy(model(x), labels)
        loss.backward()
        opt.step()
        with torch.inference_mode():
            scores = model(x)
            right = (scores.argmax(1) == labels).sum()
            out(right.item(), functional.cross_entropy(scores, labels).item())
        out(scores.is_inference(), scores.requires_grad)
    out.state(model)


@program(seed=75, replays=True)
def requires_grad_as_handed_out(torch: Any, out: Out) -> None:
    p, x = torch.randn((2, 3), requires_grad=True), torch.randn((2, 3))
    opt = torch.optim.SGD([p], lr=0.02)
    for _ in out.steps():
        v, z = x * 2, torch.zeros(2, 3)
        out(v.requires_grad, z.requires_grad)
        v += p
        z += p
        loss = torch.tanh(v + z).mean()
        opt.zero_grad()
        loss.backward()
        opt.step()
        out(v.requires_grad, loss.item())


@program(seed=76)
def a_draw_that_is_written_to(torch: Any, out: Out) -> None:
    p = torch.randn((2, 3), requires_grad=True)
    opt = torch.optim.SGD([p], lr=0.02)
    for step in out.steps():
        draw = torch.randn(2, 3)
        drawn = draw._version
        draw -= p * 0.1
        if step == 16:
            p.detach().numpy()
        loss = torch.tanh(draw).mean()
        opt.zero_grad()
        loss.backward()
        opt.step()
        out(draw._version - drawn)
    out(p)


@program(seed=77)
def numpy_writes_before_values_are_needed(torch: Any, out: Out) -> None:
    x, p = torch.randn(3), torch.randn(3, requires_grad=True)
    held = p.detach().numpy()
    opt = torch.optim.SGD([p], lr=0.02)
    for step in out.steps():
        v, w = x * p, p + 1
        x.numpy()[...] = step % 3
        if step > 20:
            held *= 0.5
        loss = torch.tanh(v).mean() + w.pow(2).sum()
        opt.zero_grad()
        if step < 20:
            loss.backward()
            opt.step()
        out(loss.item(), v)


@program(seed=78)
def accumulated_and_interrupted(torch: Any, out: Out) -> None:
    p, x = torch.randn(3, requires_grad=True), torch.randn(3)
    model = torch.nn.Linear(3, 3)
    opt = torch.optim.SGD([p, *model.parameters()], lr=0.02)
    for _ in out.steps(16):
        for _ in range(2):
            doubled = None
            doubled = p * 2
            model(x).sum().backward()
        opt.step()
        opt.zero_grad()
    out(doubled)
    out.state(model)


@program(seed=79)
def a_result_where_data_was(torch: Any, out: Out) -> None:
    p, x = torch.randn(3, requires_grad=True), torch.randn(3)
    data = [torch.randn(3) for _ in range(40)]
    opt = torch.optim.SGD([p], lr=0.02)
    for step in out.steps():
        t = torch.sin(x * (3.0 + step))
        u = (t if step > 20 else data[step]) + 1
        loss = ((p - u) ** 2).sum() + (t * p).sum()
        opt.zero_grad()
        loss.backward()
        opt.step()
        out(loss.item())


@program(seed=80)
def the_same_calls_with_gradients_and_without(torch: Any, out: Out) -> None:
    p, q, x = torch.randn(4, requires_grad=True), torch.randn(4, requires_grad=True), torch.randn(4)
    for step in out.steps(12):
        for _ in range(3):
            with torch.set_grad_enabled(step % 2 == 0):
                moved, doubled = x + 2, q * 2
            out(moved, doubled.requires_grad)
            (doubled.sum() + p.sum()).backward()
        out(q.grad, p.grad)


@program(seed=81)
def numpy_writes_between_two_uses_of_a_view(torch: Any, out: Out) -> None:
    array = torch.ones(3).numpy().copy()
    shared = torch.from_numpy(array)
    p = torch.randn(3, requires_grad=True)
    opt = torch.optim.SGD([p], lr=0.02)
    for step in out.steps():
        rows = shared.expand(2, 3)
        first = rows @ p
        array[0] = 0.1 * step
        second = torch.tanh(rows) @ p
        part = shared[1:]
        array[2] += 0.01
        loss = (first * second).sum() + part.sum() + p.pow(2).sum()
        opt.zero_grad()
        loss.backward()
        opt.step()
        out(loss.item())
    out(array.tolist())


@program(seed=82)
def detached_before_it_requires_gradients(torch: Any, out: Out) -> None:
    p, q = torch.randn(4, requires_grad=True), torch.randn(3, requires_grad=True)
    opt = torch.optim.SGD([p, q], lr=0.5)
    for step in out.steps():
        q.requires_grad_(step % 6 < 3)
        twice = q + q.detach()
        loss = torch.tanh(twice).mean() + torch.tanh(p).mean()
        out(loss.item())
        opt.zero_grad()
        loss.backward()
        out(q.grad is None)
        if step % 2:
            opt.step()
