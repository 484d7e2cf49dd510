"""Programs that do something unusual in the middle of a training loop; see `replay_programs.py`.

What the user changes half-way must count from that step on, what the user holds must keep its
values, and what goes wrong must leave everything as eager code leaves it.
"""

from __future__ import annotations

import copy
import pickle
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from replay_programs import Out, _mlp, _points, _regression, program

HALF = 25


def _train(torch: Any, out: Out, change: Callable[..., Any], opt: Any = None, **how: Any) -> None:
    """Forty usual steps; `change(step, model, optimiser)` comes before each."""
    model = how.pop("model", None) or _mlp(torch, 2, 6, 1)
    x, y = _points(torch, 20)
    opt = (opt or (lambda m: torch.optim.SGD(m.parameters(), lr=0.05, momentum=0.5)))(model)
    for step in out.steps(how.pop("steps", 40)):
        change(step, model, opt)
        opt.zero_grad()
        loss = torch.nn.functional.mse_loss(model(x), y)
        loss.backward()
        opt.step()
        out(loss.item())
    out.state(model, opt)


@program(seed=30, replays=True)
def array_written_between_steps(torch: Any, out: Out) -> None:
    model = torch.nn.Linear(2, 1)
    rng = np.random.default_rng(30)
    array = np.zeros((10, 2), np.float32)
    x, y = torch.from_numpy(array), torch.ones(10, 1)
    opt = torch.optim.SGD(model.parameters(), lr=0.05)
    for _ in out.steps():
        array[:] = rng.normal(size=array.shape)
        opt.zero_grad()
        loss = torch.nn.functional.mse_loss(model(x), y)
        loss.backward()
        opt.step()
        out(loss.item())
    out.state(model)


@program(seed=31)
def array_written_inside_a_step(torch: Any, out: Out) -> None:
    model = torch.nn.Linear(2, 1)
    array = np.ones((10, 2), np.float32)
    x, y = torch.from_numpy(array), torch.ones(10, 1)
    opt = torch.optim.SGD(model.parameters(), lr=0.05)
    for step in out.steps():
        opt.zero_grad()
        doubled = x * 2
        guess = model(doubled)
        array += 0.1  # after x was used
        loss = torch.nn.functional.mse_loss(guess, y)
        loss.backward()
        opt.step()
        array[:] = np.float32(step % 7)
        out(loss.item())
    out(doubled)
    out.state(model)


@program(seed=32)
def parameter_seen_by_numpy(torch: Any, out: Out) -> None:
    def change(step: int, model: Any, opt: Any) -> None:
        if step >= HALF:
            array = model[0].weight.detach().numpy()
            array *= 0.99
            out(float(array.sum()))

    _train(torch, out, change)


@program(seed=33, replays=True)
def graph_used_twice(torch: Any, out: Out) -> None:
    model, x, y, opt = _regression(torch, 2, 6, 1, n=20, lr=0.02)
    for _ in out.steps():
        opt.zero_grad()
        loss = torch.nn.functional.mse_loss(model(x), y)
        loss.backward(retain_graph=True)
        loss.backward()
        opt.step()
        out(loss.item())
    out.state(model)


@program(seed=34, replays=True)
def schedulers(torch: Any, out: Out) -> None:
    lr = torch.optim.lr_scheduler
    for make in (
        lambda opt: lr.StepLR(opt, 5, 0.7),
        lambda opt: lr.CosineAnnealingLR(opt, 20),
        lambda opt: lr.OneCycleLR(opt, 0.1, total_steps=45),
        lambda opt: lr.ReduceLROnPlateau(opt, patience=2),
    ):
        model = torch.nn.Linear(2, 1)
        x, y = _points(torch, 20)
        opt = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
        schedule = make(opt)
        for _ in range(40):
            opt.zero_grad()
            loss = torch.nn.functional.mse_loss(model(x), y)
            loss.backward()
            opt.step()
            takes_loss = isinstance(schedule, lr.ReduceLROnPlateau)
            schedule.step(loss.item()) if takes_loss else schedule.step()
            out(loss.item(), opt.param_groups[0]["lr"])
        out.state(model)


@program(seed=35)
def frozen_half_way(torch: Any, out: Out) -> None:
    def change(step: int, model: Any, opt: Any) -> None:
        if step in (HALF, 33):
            model[0].requires_grad_(step != HALF)

    _train(torch, out, change)


@program(seed=36)
def hooks_half_way(torch: Any, out: Out) -> None:
    handles: list[Any] = []

    def change(step: int, model: Any, opt: Any) -> None:
        if step == HALF:
            handles.append(model[0].register_forward_hook(lambda m, args, y: y * 1.5))
            handles.append(model[2].weight.register_hook(lambda g: g * 0.5))
        if step == 30:
            handles.pop(0).remove()
            handles.append(model[2].register_full_backward_hook(lambda m, i, g: out(g[0].sum())))
        if step == 33:
            handles.append(opt.register_step_post_hook(lambda o, a, k: out("stepped")))
        if step == 36:
            for handle in handles:
                handle.remove()

    _train(torch, out, change)


@program(seed=37)
def data_replaced_half_way(torch: Any, out: Out) -> None:
    def change(step: int, model: Any, opt: Any) -> None:
        if step == HALF:
            model[0].weight.data = torch.ones(6, 2)
        if step == 30:
            model[0].weight.data.mul_(0.5)
        if step == 32:
            model[0].weight.data[0, 0] = 3.0
        if step == 34:
            model[2].bias = torch.nn.Parameter(torch.ones(1))  # the optimiser has the old one

    _train(torch, out, change)


@program(seed=38)
def states_loaded_half_way(torch: Any, out: Out) -> None:
    saved: dict[str, Any] = {}

    def change(step: int, model: Any, opt: Any) -> None:
        if step == 10:
            saved["model"] = copy.deepcopy(model.state_dict())
            saved["opt"] = copy.deepcopy(opt.state_dict())
        if step == HALF:
            model.load_state_dict(saved["model"])
            opt.load_state_dict(saved["opt"])
        if step == 33:
            model.load_state_dict(saved["model"], assign=True)

    _train(torch, out, change, lambda m: torch.optim.Adam(m.parameters(), lr=0.01))


@program(seed=39)
def group_added_half_way(torch: Any, out: Out) -> None:
    def make(model: Any) -> Any:
        return torch.optim.SGD(model[2].parameters(), lr=0.05, momentum=0.5)

    def change(step: int, model: Any, opt: Any) -> None:
        if step == HALF:
            opt.add_param_group({"params": list(model[0].parameters()), "lr": 0.02})
        if step == 33:
            opt.param_groups[0]["momentum"] = 0.0
            opt.param_groups[1]["weight_decay"] = 0.1

    _train(torch, out, change, make)


@program(seed=40, close=1e-4)
def training_and_evaluation(torch: Any, out: Out) -> None:
    nn = torch.nn
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.3))
    model.append(nn.Linear(8, 1))
    x, y = torch.randn(16, 4), torch.randn(16, 1)
    opt = torch.optim.SGD(model.parameters(), lr=0.02)
    for step in out.steps(50):
        model.train()
        opt.zero_grad()
        loss = nn.functional.mse_loss(model(x), y)
        loss.backward()
        opt.step()
        model.eval()
        with torch.no_grad():
            out(nn.functional.mse_loss(model(x), y).item())
        if step % 10 == 0:
            out(model[1].running_mean, model[1].num_batches_tracked)
    out.state(model)


@program(seed=41, replays=True, close=1e-4)
def batch_norm_images(torch: Any, out: Out) -> None:
    nn = torch.nn
    model = nn.Sequential(nn.Conv2d(1, 3, 3, bias=False), nn.BatchNorm2d(3), nn.ReLU(inplace=True))
    model.extend([nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(12, 2)])
    x, labels = torch.randn(4, 1, 6, 6), torch.tensor([0, 1, 1, 0])
    opt = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-3)
    for _ in out.steps():
        opt.zero_grad()
        loss = nn.functional.cross_entropy(model(x), labels)
        loss.backward()
        opt.step()
        out(loss.item())
    out.state(model)


@program(seed=42, replays=True)
def tied_weights(torch: Any, out: Out) -> None:
    first, second = torch.nn.Linear(4, 4), torch.nn.Linear(4, 4)
    second.weight = first.weight
    x, y = torch.randn(8, 4), torch.randn(8, 4)
    opt = torch.optim.SGD([*first.parameters(), second.bias], lr=0.05)
    for _ in out.steps():
        opt.zero_grad()
        loss = torch.nn.functional.mse_loss(second(torch.tanh(first(x))), y)
        loss.backward()
        opt.step()
        out(loss.item())
    out.state(first, second)


@program(seed=43)
def input_shares_memory_with_a_parameter(torch: Any, out: Out) -> None:
    model = torch.nn.Linear(3, 3)
    opt = torch.optim.SGD(model.parameters(), lr=0.05)
    inputs = [torch.randn(3, 3) for _ in range(3)]
    for step in out.steps():
        x = model.weight.detach() if step in (22, 23, 31) else inputs[step % 3]
        opt.zero_grad()
        loss = (model(x) ** 2).mean()
        loss.backward()
        opt.step()
        out(loss.item(), x.sum())
    out.state(model)


@program(seed=44)
def inputs_that_are_one_tensor(torch: Any, out: Out) -> None:
    w = torch.randn(4, requires_grad=True)
    a, b = torch.randn(4), torch.randn(4)
    for step in out.steps():
        x, y = (a, a) if step in (24, 25, 33) else (a, b)
        x = x.mul_(1.01)
        loss = ((x * w + y) ** 2).sum()
        loss.backward()
        with torch.no_grad():
            w -= 0.01 * w.grad
        w.grad = None
        out(loss.item(), y.sum())
    out(w, a, b)


@program(seed=45, replays=True)
def relu_in_place(torch: Any, out: Out) -> None:
    nn = torch.nn
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(inplace=True), nn.Linear(8, 8), nn.ReLU(True))
    x = torch.randn(5, 4)
    opt = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in out.steps():
        opt.zero_grad()
        hidden = model[0](x)
        kept = model[1](hidden)
        loss = model[3](model[2](kept)).mean()
        loss.backward()
        opt.step()
        out(loss.item())
    out(hidden)
    out.state(model)


@program(seed=46)
def results_kept_in_lists(torch: Any, out: Out) -> None:
    model, x, y, opt = _regression(torch, 2, 4, 1, n=10, lr=0.1)
    losses, outputs, grads, weights = [], [], [], []
    for _ in out.steps():
        opt.zero_grad()
        guess = model(x)
        loss = torch.nn.functional.mse_loss(guess, y)
        loss.backward()
        opt.step()
        losses.append(loss)
        outputs.append(guess.detach())
        grads.append(model[0].weight.grad)
        weights.append(model[0].weight.detach().clone())
    out.keep(losses, outputs, grads, weights)


@program(seed=47)
def some_results_kept(torch: Any, out: Out) -> None:
    model, x, y, opt = _regression(torch, 2, 4, 1, n=10, lr=0.1)
    for step in out.steps(60):
        opt.zero_grad()
        hidden = model[0](x)
        loss = torch.nn.functional.mse_loss(model[2](model[1](hidden)), y)
        loss.backward()
        opt.step()
        if step % 11 == 3:  # what is alive differs from step to step
            out.keep(hidden)
        if step % 17 == 5:
            out.keep(loss, model[2].bias.grad)
    out.state(model)


@program(seed=48)
def copies_of_the_model(torch: Any, out: Out) -> None:
    copies: list[Any] = []

    def change(step: int, model: Any, opt: Any) -> None:
        if step % 9 == 8:
            copies.append(copy.deepcopy(model))
            out(pickle.loads(pickle.dumps(model))[0].weight)

    _train(torch, out, change)
    out.state(*copies)


@program(seed=49)
def wrong_shapes_half_way(torch: Any, out: Out) -> None:
    model, x, y, opt = _regression(torch, 2, 6, 1, n=20, lr=0.05)
    for step in out.steps():
        try:
            opt.zero_grad()
            wrong = torch.randn(20, 3) if step in (30, 31) else x
            loss = torch.nn.functional.mse_loss(model(wrong), y)
            loss.backward()
            if step == 34:
                loss.backward()
            opt.step()
            out(loss.item())
        except RuntimeError as error:
            out(type(error).__name__, str(error).splitlines()[0][:60])
            out.state(model)
            out([p.grad for p in model.parameters()])
    out.state(model)


@program(seed=50)
def label_out_of_range_half_way(torch: Any, out: Out) -> None:
    model = torch.nn.Linear(4, 3)
    x = torch.randn(6, 4)
    opt = torch.optim.SGD(model.parameters(), lr=0.05)
    for step in out.steps():
        labels = torch.tensor([0, 1, 2, 0, 1, 7 if step == 30 else 2])
        before = model.weight.detach().clone()
        try:
            opt.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(x), labels)
            loss.backward()
            opt.step()
            out(loss.item())
        except IndexError as error:
            out(type(error).__name__, str(error).splitlines()[0])
            out(bool((model.weight == before).all()))
    out.state(model)


@program(seed=51)
def index_out_of_range_half_way(torch: Any, out: Out) -> None:
    table, last = torch.nn.Embedding(5, 3), torch.nn.Linear(3, 2)
    opt = torch.optim.SGD([*table.parameters(), *last.parameters()], lr=0.1)
    labels = torch.tensor([0, 1])
    for step in out.steps():
        words = torch.tensor([step % 5, 9 if step == 30 else 2])
        try:
            opt.zero_grad()
            loss = torch.nn.functional.cross_entropy(last(table(words)), labels)
            loss.backward()
            opt.step()
            out(loss.item())
        except IndexError as error:
            out(type(error).__name__, str(error).splitlines()[0])
    out.state(table, last)


@program(seed=52)
def two_threads(torch: Any, out: Out) -> None:
    models = [_mlp(torch, 2, 6, 1), _mlp(torch, 2, 6, 1)]
    data = [_points(torch, 20), _points(torch, 30)]
    said: list[list[float]] = [[], []]
    problems: list[BaseException] = []
    start = threading.Barrier(2)

    def train(i: int) -> None:
        try:
            start.wait()
            opt = torch.optim.SGD(models[i].parameters(), lr=0.05, momentum=0.5)
            for _ in range(60):
                opt.zero_grad()
                loss = torch.nn.functional.mse_loss(models[i](data[i][0]), data[i][1])
                loss.backward()
                opt.step()
                said[i].append(loss.item())
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=train, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if problems:
        raise problems[0]
    out(*said)
    out.state(*models)


@program(seed=53)
def the_other_thread_looks(torch: Any, out: Out) -> None:
    model, x, y, opt = _regression(torch, 2, 6, 1, n=20, lr=0.05)
    for step in out.steps():
        opt.zero_grad()
        loss = torch.nn.functional.mse_loss(model(x), y)
        if step in (26, 33):
            seen: list[float] = []
            thread = threading.Thread(target=lambda: seen.append(loss.item()))  # noqa: B023
            thread.start()
            thread.join()
            out(seen)
        loss.backward()
        opt.step()
    out.state(model)
