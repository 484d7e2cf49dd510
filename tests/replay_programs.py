"""Training loops as users write them, to be run eagerly and replayed: what they print must agree.

Each program is a function of a torch-like module and of an `Out`, which counts the steps and takes
down what the program says.  `replays` marks those of which nearly every call must be replayed once
they are under way; `close` is how far relative values may lie apart.  The rarer habits stand in
`replay_habits.py`.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

STEPS = 40
SETTLED = 20  # from this step on, calls are counted

PROGRAMS: dict[str, Program] = {}


class Program:
    """A program with what is expected of it."""

    def __init__(
        self, run: Callable[..., None], replays: bool, close: float, unlike_torch: str | None
    ) -> None:
        self.run = run
        self.replays = replays
        self.close = close
        self.unlike_torch = unlike_torch


def program(
    *,
    seed: int | None = None,
    replays: bool = False,
    close: float = 1e-5,
    unlike_torch: str | None = None,
) -> Callable[..., Any]:
    """Adds a function to the programs; it begins with this seed."""

    def add(run: Callable[..., None]) -> Callable[..., None]:
        def seeded(torch: Any, out: Out) -> None:
            if seed is not None:
                torch.manual_seed(seed)
            run(torch, out)

        PROGRAMS[run.__name__] = Program(seeded, replays, close, unlike_torch)
        return run

    return add


def plain(value: Any) -> Any:
    """Tensors as arrays, through all kinds of containers; a copy."""
    if isinstance(value, dict):
        return {key: plain(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if hasattr(value, "detach"):
        return np.array(value.detach().cpu().tolist(), str(value.dtype).split(".")[-1])
    return value


class Out:
    """Takes down what a program says."""

    def __init__(self, statistics: Callable[[], Any] = lambda: None) -> None:
        self.said: list[Any] = []
        self._kept: list[tuple[Any, Any]] = []
        self._statistics = statistics
        self.counts: list[Any] = []

    def __call__(self, *values: Any) -> None:
        """Values now; tensors are read."""
        self.said.extend(plain(value) for value in values)

    def keep(self, *values: Any) -> None:
        """Tensors that the user holds and looks at when everything is over."""
        self._kept.extend((len(self._kept), value) for value in values)

    def steps(self, count: int = STEPS) -> Iterator[int]:
        """The numbers of the steps."""
        for step in range(count):
            if step == SETTLED:
                self.counts.append(self._statistics())
            yield step
        self.counts.append(self._statistics())

    def state(self, *holders: Any) -> None:
        """The states of modules and optimisers, now."""
        for holder in holders:
            self(dict(holder.state_dict()))

    def finish(self) -> list[Any]:
        """All that was said and kept."""
        return [*self.said, *(plain(value) for _, value in self._kept)]


NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*(?:e[-+]?\d+)?|\.\d+|inf|nan)")


def differences(a: Any, b: Any, close: float, where: str = "") -> list[str]:
    """Where two results of a program differ.

    Floats may lie `close` apart, relative to the largest of their tensor (or 0.1, as sums that
    nearly cancel are small).
    """
    if isinstance(a, dict) and isinstance(b, dict):
        if list(a) != list(b):
            return [f"{where}: keys {list(a)} and {list(b)}"]
        pairs = [(f"{where}.{key}", a[key], b[key]) for key in a]
    elif isinstance(a, list) and isinstance(b, list):
        if len(a) != len(b):
            return [f"{where}: {len(a)} and {len(b)} values"]
        pairs = [(f"{where}[{i}]", x, y) for i, (x, y) in enumerate(zip(a, b, strict=True))]
    elif isinstance(a, str) and isinstance(b, str):
        words = NUMBER.split(a) == NUMBER.split(b)
        numbers = [[float(x) for x in NUMBER.findall(text)] for text in (a, b)]
        same = words and np.allclose(*numbers, rtol=max(close, 1e-3), atol=2e-4, equal_nan=True)
        return [] if same else [f"{where}: {a!r} and {b!r}"]
    elif isinstance(a, (float, np.ndarray)) and isinstance(b, (float, np.ndarray)):
        x, y = np.asarray(a), np.asarray(b)
        if x.shape != y.shape or x.dtype != y.dtype:
            return [f"{where}: {x.dtype}{x.shape} and {y.dtype}{y.shape}"]
        if x.dtype.kind not in "fc":
            return [] if (x == y).all() else [f"{where}: {a} and {b}"]
        size = float(np.abs(x[np.isfinite(x)]).max(initial=0.1))
        same = np.allclose(x, y, rtol=close, atol=close * size, equal_nan=True)
        return [] if same else [f"{where}: {a} and {b}"]
    else:
        return [] if type(a) is type(b) and a == b else [f"{where}: {a!r} and {b!r}"]
    return [line for at, x, y in pairs for line in differences(x, y, close, at)]


# The fourteen loops of the specification


def _points(torch: Any, n: int = 100, inputs: int = 2) -> tuple[Any, Any]:
    x = torch.randn(n, inputs)
    return x, x.sum(1, keepdim=True) * 0.5 + 0.1 * torch.randn(n, 1)


def _mlp(torch: Any, *sizes: int) -> Any:
    nn = torch.nn
    layers: list[Any] = []
    for a, b in itertools.pairwise(sizes):
        layers += [nn.Linear(a, b), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def _regression(torch: Any, *sizes: int, n: int, lr: float) -> tuple[Any, Any, Any, Any]:
    """A small network, n points with what it is to say of them, and its optimiser."""
    model = _mlp(torch, *sizes)
    x, y = _points(torch, n)
    return model, x, y, torch.optim.SGD(model.parameters(), lr=lr)


@program(seed=0, replays=True)
def a_linear_regression(torch: Any, out: Out) -> None:
    model, crit = torch.nn.Linear(2, 1), torch.nn.MSELoss()
    x, y = _points(torch)
    opt = torch.optim.SGD(model.parameters(), lr=0.05)
    for _ in out.steps():
        opt.zero_grad()
        loss = crit(model(x), y)
        loss.backward()
        opt.step()
        out(loss.item())
    out.state(model)


@program(seed=1, replays=True)
def b_momentum(torch: Any, out: Out) -> None:
    nn = torch.nn
    model = nn.Sequential(nn.Linear(10, 5), nn.ReLU(), nn.Linear(5, 1), nn.Sigmoid())
    x, y = torch.randn(10, 10), torch.rand(10, 1)
    opt = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for _ in out.steps():
        opt.zero_grad()
        loss = nn.functional.mse_loss(model(x), y)
        loss.backward()
        opt.step()
        out(loss.item())
    out.state(model, opt)


@program(seed=2, replays=True)
def c_adam(torch: Any, out: Out) -> None:
    nn = torch.nn
    model = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 1), nn.Sigmoid())
    x = torch.randn(64, 2)
    y = (x.pow(2).sum(1, keepdim=True) < 1).float()
    opt, crit = torch.optim.Adam(model.parameters(), lr=0.02), nn.BCELoss()
    for _ in out.steps():
        loss = crit(model(x), y)
        opt.zero_grad()
        loss.backward()
        opt.step()
        out(loss.item())
    out.state(model, opt)


def _lenet(torch: Any) -> Any:
    nn, F = torch.nn, torch.nn.functional

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(1, 4, 3)
            self.pool = nn.MaxPool2d(2, 2)
            self.conv2 = nn.Conv2d(4, 6, 3)
            self.fc1, self.fc2 = nn.Linear(54, 20), nn.Linear(20, 16)
            self.fc3 = nn.Linear(16, 10)

        def forward(self, x: Any) -> Any:
            x = self.pool(F.relu(self.conv1(x)))
            x = self.pool(F.relu(self.conv2(x)))
            x = torch.flatten(x, 1)
            return self.fc3(F.relu(self.fc2(F.relu(self.fc1(x)))))

    return Net()


@program(seed=3, replays=True)
def d_lenet(torch: Any, out: Out) -> None:
    model, crit = _lenet(torch), torch.nn.CrossEntropyLoss()
    x, labels = torch.randn(4, 1, 18, 18), torch.tensor([1, 0, 7, 9])
    opt = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
    for _ in out.steps():
        opt.zero_grad()
        outputs = model(x)
        loss = crit(outputs, labels)
        loss.backward()
        opt.step()
        out(loss.item())
    out.state(model)


@program(seed=4, replays=True)
def e_fresh_tensors(torch: Any, out: Out) -> None:
    model, crit = torch.nn.Linear(2, 1), torch.nn.MSELoss()
    opt = torch.optim.SGD(model.parameters(), lr=0.05)
    for _ in out.steps():
        x, y = torch.randn(100, 2), torch.randn(100, 1)
        opt.zero_grad()
        loss = crit(model(x), y)
        loss.backward()
        opt.step()
        out(loss.item())
    out.state(model)


@program(seed=5, replays=True)
def f_alternating_branch(torch: Any, out: Out) -> None:
    model, crit = torch.nn.Linear(2, 1), torch.nn.MSELoss()
    x, y = _points(torch)
    opt = torch.optim.SGD(model.parameters(), lr=0.05)
    for step in out.steps():
        opt.zero_grad()
        guess = model(x)
        if step % 2:
            guess = torch.tanh(guess) * 2
        loss = crit(guess, y)
        loss.backward()
        opt.step()
        out(loss.item())
    out.state(model)


@program(seed=6, replays=True)
def f_random_branch(torch: Any, out: Out) -> None:
    model, crit = torch.nn.Linear(2, 1), torch.nn.MSELoss()
    x, y = _points(torch)
    opt = torch.optim.SGD(model.parameters(), lr=0.05)
    coins = np.random.default_rng(6).integers(0, 2, STEPS)
    coins[:6] = (0, 1, 1, 0, 1, 0)
    for step in out.steps():
        opt.zero_grad()
        loss = crit(model(x), y) if coins[step] else (model(x) - y).abs().mean()
        loss.backward()
        opt.step()
        out(loss.item())
    out.state(model)


@program(seed=7, replays=True)
def g_short_batch(torch: Any, out: Out) -> None:
    model, crit = torch.nn.Linear(2, 1), torch.nn.MSELoss()
    x, y = _points(torch, 47)
    opt = torch.optim.SGD(model.parameters(), lr=0.05)
    for step in out.steps(60):
        start = step % 5 * 10  # the last of five batches has seven rows
        opt.zero_grad()
        loss = crit(model(x[start : start + 10]), y[start : start + 10])
        loss.backward()
        opt.step()
        out(loss.item())
    out.state(model)


@program(seed=8, replays=True)
def h_changing_rate(torch: Any, out: Out) -> None:
    model, crit = torch.nn.Linear(2, 1), torch.nn.MSELoss()
    x, y = _points(torch)
    opt = torch.optim.SGD(model.parameters(), lr=0.1)
    for step in out.steps():
        for group in opt.param_groups:
            group["lr"] = 0.1 / (1 + 0.1 * step)
        opt.zero_grad()
        loss = crit(model(x), y)
        loss.backward()
        opt.step()
        out(loss.item())
    out.state(model, opt)


@program(seed=9, replays=True)
def i_accumulation(torch: Any, out: Out) -> None:
    model, crit = _mlp(torch, 2, 6, 1), torch.nn.MSELoss()
    x, y = _points(torch)
    opt = torch.optim.SGD(model.parameters(), lr=0.05)
    opt.zero_grad()
    for step in out.steps():
        half = slice(0, 50) if step % 2 == 0 else slice(50, 100)
        loss = crit(model(x[half]), y[half]) / 2
        loss.backward()
        out(loss.item())
        if step % 2:
            opt.step()
            opt.zero_grad()
    out.state(model)


@program(seed=10, replays=True)
def j_hidden_state(torch: Any, out: Out) -> None:
    inner, outer = torch.nn.Linear(6, 4), torch.nn.Linear(4, 1)
    x, y = torch.randn(STEPS, 3, 2), torch.randn(STEPS, 3, 1)
    parameters = [*inner.parameters(), *outer.parameters()]
    opt = torch.optim.SGD(parameters, lr=0.05)
    hidden = torch.zeros(3, 4)
    for step in out.steps():
        hidden = torch.tanh(inner(torch.cat([x[step], hidden.detach()], 1)))
        loss = torch.nn.functional.mse_loss(outer(hidden), y[step])
        opt.zero_grad()
        loss.backward()
        opt.step()
        out(loss.item())
    out(hidden)
    out.state(inner, outer)


@program(seed=11, replays=True)
def k_printing_now_and_then(torch: Any, out: Out) -> None:
    model, crit = torch.nn.Linear(2, 1), torch.nn.MSELoss()
    x, y = _points(torch)
    opt = torch.optim.SGD(model.parameters(), lr=0.05)
    for step in out.steps(120):
        opt.zero_grad()
        loss = crit(model(x), y)
        loss.backward()
        opt.step()
        if step % 10 == 0:
            out(str(loss))
    out.state(model)


@program(seed=12, replays=True)
def l_write_to_a_view(torch: Any, out: Out) -> None:
    model, crit = torch.nn.Linear(4, 1), torch.nn.MSELoss()
    x, y = torch.randn(8, 4), torch.randn(8, 1)
    opt = torch.optim.SGD(model.parameters(), lr=0.05)
    for _ in out.steps():
        z = x * 1.0
        z[:, 0] = 0.5
        z[:, 1:3].mul_(2.0)
        opt.zero_grad()
        h = model(z)
        h[0].add_(1.0)
        loss = crit(h, y)
        loss.backward()
        opt.step()
        out(loss.item())
    out(z)
    out.state(model)


@program(seed=13, replays=True)
def m_dropout(torch: Any, out: Out) -> None:
    nn = torch.nn
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Dropout(0.4), nn.Linear(8, 1))
    x, y = torch.randn(16, 6), torch.randn(16, 1)
    opt = torch.optim.SGD(model.parameters(), lr=0.05)
    for _ in out.steps():
        opt.zero_grad()
        loss = nn.functional.mse_loss(model(x), y)
        loss.backward()
        opt.step()
        out(loss.item())
    out.state(model)
    out(torch.rand(2))


@program(seed=14, replays=True)
def n_evaluation(torch: Any, out: Out) -> None:
    model = _mlp(torch, 4, 8, 3).eval()
    batches = [(torch.randn(10, 4), torch.randint(0, 3, (10,))) for _ in range(STEPS)]
    correct = torch.zeros((), dtype=torch.int64)
    total = torch.zeros(())
    with torch.no_grad():
        for step in out.steps():
            x, labels = batches[step]
            outputs = model(x)
            correct += (outputs.argmax(1) == labels).sum()
            total += torch.nn.functional.cross_entropy(outputs, labels)
    out(correct, total.item())


# What the issue names beside them


@program(seed=20, replays=True)
def manual_update(torch: Any, out: Out) -> None:
    w = torch.randn(2, 1, requires_grad=True)
    b = torch.zeros(1, requires_grad=True)
    x, y = _points(torch)
    rate = 0.1
    for _ in out.steps():
        loss = ((x @ w + b - y) ** 2).mean()
        loss.backward()
        with torch.no_grad():
            w -= rate * w.grad
            b -= rate * b.grad
            w.grad.zero_()
            b.grad.zero_()
        out(loss.item())
    out(w, b, w.grad)


@program(seed=21, replays=True)
def clipped_gradients(torch: Any, out: Out) -> None:
    model, x, y, opt = _regression(torch, 2, 6, 1, n=100, lr=0.02)
    for _ in out.steps():
        opt.zero_grad()
        loss = torch.nn.functional.mse_loss(model(x), y)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        opt.step()
        out(loss.item(), norm.item())
    out.state(model)


@program(seed=22, replays=True, close=1e-4)
def adversaries(torch: Any, out: Out) -> None:
    nn = torch.nn
    maker = nn.Sequential(nn.Linear(2, 8), nn.LeakyReLU(0.2), nn.Linear(8, 2))
    judge = nn.Sequential(nn.Linear(2, 8), nn.LeakyReLU(0.2), nn.Linear(8, 1))
    loss = nn.BCEWithLogitsLoss()
    of_maker = torch.optim.Adam(maker.parameters(), lr=0.01, betas=(0.5, 0.999))
    of_judge = torch.optim.Adam(judge.parameters(), lr=0.01, betas=(0.5, 0.999))
    ones, zeros = torch.ones(16, 1), torch.zeros(16, 1)
    for _ in out.steps():
        real, noise = torch.randn(16, 2) + 1, torch.randn(16, 2)
        of_judge.zero_grad()
        made = maker(noise)
        wrong = loss(judge(real), ones) + loss(judge(made.detach()), zeros)
        wrong.backward()
        of_judge.step()
        of_maker.zero_grad()
        caught = loss(judge(made), ones)
        caught.backward()
        of_maker.step()
        out(wrong.item(), caught.item())
    out.state(maker, judge)


@program(seed=23, replays=True)
def averaged_weights(torch: Any, out: Out) -> None:
    model, shadow = _mlp(torch, 2, 4, 1), _mlp(torch, 2, 4, 1)
    shadow.load_state_dict(model.state_dict())
    x, y = _points(torch)
    opt = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in out.steps():
        opt.zero_grad()
        loss = torch.nn.functional.mse_loss(model(x), y)
        loss.backward()
        opt.step()
        with torch.no_grad():
            for mean, p in zip(shadow.parameters(), model.parameters(), strict=True):
                mean.mul_(0.9).add_(p, alpha=0.1)
        out(loss.item())
    out.state(model, shadow)


@program(seed=24, replays=True)
def numpy_data_loader(torch: Any, out: Out) -> None:
    rng = np.random.default_rng(24)
    points = rng.normal(size=(80, 2)).astype(np.float32)
    labels = (points.sum(1) > 0).astype(np.int64)

    class Points(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return len(points)

        def __getitem__(self, i: int) -> Any:
            return points[i], labels[i]

    loader = torch.utils.data.DataLoader(Points(), batch_size=10, shuffle=True)
    model, crit = _mlp(torch, 2, 6, 2), torch.nn.CrossEntropyLoss()
    opt = torch.optim.SGD(model.parameters(), lr=0.1)
    steps = out.steps()
    for _ in range(STEPS // 8):
        for x, target in loader:
            next(steps)
            opt.zero_grad()
            loss = crit(model(x), target)
            loss.backward()
            opt.step()
            out(loss.item())
    next(steps, None)
    out.state(model)


@program(seed=25, replays=True)
def item_before_backward(torch: Any, out: Out) -> None:
    model = _mlp(torch, 2, 6, 1)
    x, y = _points(torch)
    opt = torch.optim.Adam(model.parameters(), lr=0.01)
    running = 0.0
    for _ in out.steps():
        loss = torch.nn.functional.mse_loss(model(x), y)
        running += loss.item()
        opt.zero_grad()
        loss.backward()
        opt.step()
        out(running)
    out.state(model)
