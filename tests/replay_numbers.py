"""Programs whose Python numbers change from step to step, for test_replay_patterns.py."""

from __future__ import annotations

from typing import Any

from replay_programs import Out, program


@program(seed=95, replays=True)
def ints_that_count(torch: Any, out: Out) -> None:
    w = torch.randn(3, 4, requires_grad=True)
    x = torch.randn(5, 3)
    opt = torch.optim.SGD([w], lr=0.01)
    for step in out.steps(60):
        h = (x @ w) * step + (step - 3)
        loss = (h / (step + 1)).pow(2).mean() + (step * w).mean()
        opt.zero_grad()
        loss.backward()
        opt.step()
        out(loss.item())
    out(w)


@program(replays=True)
def ints_in_int64(torch: Any, out: Out) -> None:
    kept = torch.arange(6)
    torch.optim.SGD([torch.ones(1)], lr=0.1).zero_grad()  # as programs do that are worth recording
    for step in out.steps(60):
        a = kept * step + 7
        b = torch.full((6,), step) - a
        c = torch.full((2, 3), step, dtype=torch.int64).reshape(6)
        kept.fill_(step)
        kept += c
        out((a + b + c).sum().item(), str(b.dtype))
    out(kept)


@program(seed=96, replays=True)
def filled_with_what_changes(torch: Any, out: Out) -> None:
    x = torch.randn(4, 3)
    model = torch.nn.Linear(3, 3)
    opt = torch.optim.SGD(model.parameters(), lr=0.1)
    for step in out.steps(60):
        noise = torch.full((4, 3), 1.0 / (step + 1))
        loss = (model(x + noise) - torch.full((), step * 0.01)).pow(2).mean()
        opt.zero_grad()
        loss.backward()
        opt.step()
        out(loss.item())
    out.state(model)


@program(seed=97)
def ints_that_decide(torch: Any, out: Out) -> None:
    x = (torch.rand(4) + 0.5).requires_grad_()
    for step in out.steps(30):
        powers = x**step + x ** (step % 4)
        kinds = torch.remainder(torch.arange(4), step + 1) + torch.arange(4) // (step + 1)
        shifted = torch.arange(4, dtype=torch.int32) << (step % 5)
        bytes_ = torch.arange(4, dtype=torch.uint8) + step
        wrong = torch.clamp(x * 10, max=step) > step // 2
        loss = powers.sum() * 0.01
        x.grad = None
        loss.backward()
        out(loss.item(), x.grad, kinds, shifted, bytes_, wrong, str(bytes_.dtype))


@program()
def numbers_of_another_type(torch: Any, out: Out) -> None:
    x = torch.arange(1.0, 5.0)
    for step in out.steps(80):
        by: Any = step if step < 30 or step > 50 else float(step)
        y = torch.arange(4) * by
        out((x * by + y).sum().item(), str(y.dtype))
        if step == 60:
            out((x * (1 << 60)).sum().item(), (torch.arange(4) * (1 << 60)).sum().item())


@program(seed=98, replays=True)
def sampling_by_diffusion(torch: Any, out: Out) -> None:
    steps = 60
    nn = torch.nn
    time = nn.Embedding(steps, 8)
    model = nn.Sequential(nn.Linear(2 + 8, 16), nn.SiLU(), nn.Linear(16, 2))
    beta = torch.linspace(1e-4, 0.02, steps)
    alpha = 1.0 - beta
    kept = torch.cumprod(alpha, 0)
    x = torch.randn(5, 2)
    with torch.no_grad():
        for count in out.steps(steps - 1):
            i = steps - 1 - count
            t = (torch.ones(5) * i).long()
            guess = model(torch.cat([x, time(t)], dim=1))
            a, k, b = alpha[t][:, None], kept[t][:, None], beta[t][:, None]
            noise = torch.randn_like(x) if i > 1 else torch.zeros_like(x)
            x = (
                1 / torch.sqrt(a) * (x - (1 - a) / torch.sqrt(1 - k) * guess)
                + torch.sqrt(b) * noise
            )
            if count % 10 == 0:
                out(x)
    out(x)


@program(seed=99, replays=True)
def attributes_that_change(torch: Any, out: Out) -> None:
    w, average = torch.randn(6, requires_grad=True), torch.zeros(6)
    x = torch.randn(6)
    for step in out.steps(60):
        rate = 0.1 / (1 + 0.1 * step)
        mixed = torch.add(w, x, alpha=0.9**step)
        loss = torch.nn.functional.leaky_relu(mixed, 0.01 * step).pow(2).mean()
        loss = loss + torch.clamp(w, -1.0, 0.05 * step).sum() * 0.1
        loss.backward()
        with torch.no_grad():
            w.add_(w.grad, alpha=-rate)
            average.mul_(1 - rate).add_(w, alpha=rate)
        w.grad = None
        out(loss.item())
    out(w, average)


@program(seed=100)
def changing_attributes_in_open_graphs(torch: Any, out: Out) -> None:
    w, x = torch.randn(6, requires_grad=True), torch.randn(6)
    held: list[Any] = []
    for step in out.steps(50):
        y = torch.add(w * 2, x, alpha=0.5**step)
        y.add_(w, alpha=0.1 * step)
        z = torch.nn.functional.elu(y, 0.3 + 0.01 * step)
        held.append(z)
        out(z.sum().item())
        if len(held) > 2:
            loss = torch.stack(held).pow(2).mean()
            w.grad = None
            loss.backward()
            out(w.grad)
            with torch.no_grad():
                w.sub_(w.grad, alpha=0.01 * (step % 3))
            held.clear()
    out(w)
