"""Training programs under autocast, for test_replay_patterns.py: what is cast, where, and when."""

from __future__ import annotations

from typing import Any

from replay_programs import Out, program

# Halves are rounded at other places where a chain of them is computed as one, and a rounding of
# 2**-9 (bfloat16) or 2**-12 (float16) moves the parameters of a short training by some tenths.
BFLOAT16 = 2e-2
FLOAT16 = 3e-3
STALE = "torch keeps a parameter's cast when an optimizer writes the parameter in the context"


def _classifier(torch: Any, dropout: float = 0.0) -> tuple[Any, Any, Any]:
    """A model, its inputs and labels."""
    torch.manual_seed(90)
    nn = torch.nn
    model = nn.Sequential(
        *(nn.Linear(6, 16), nn.LayerNorm(16), nn.ReLU(), nn.Dropout(dropout), nn.Linear(16, 3))
    )
    return model, torch.randn(20, 6), torch.arange(20) % 3


@program(replays=True, close=BFLOAT16)
def autocast_around_the_forward_pass(torch: Any, out: Out) -> None:
    model, x, labels = _classifier(torch, 0.1)
    opt = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.5)
    for _ in out.steps():
        opt.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            scores = model(x)
            loss = torch.nn.functional.cross_entropy(scores, labels)
        out(str(scores.dtype), str(loss.dtype))
        loss.backward()
        opt.step()
        out(loss.item())
    out.state(model)


@program(replays=True, close=BFLOAT16, unlike_torch=STALE)
def autocast_around_the_loop(torch: Any, out: Out) -> None:
    model, x, labels = _classifier(torch)
    opt = torch.optim.Adam(model.parameters(), lr=0.01)
    with torch.autocast("cpu"):
        for _ in out.steps():
            loss = torch.nn.functional.cross_entropy(model(x), labels)
            opt.zero_grad()
            loss.backward()
            opt.step()
            out(loss.item())
    out(torch.is_autocast_enabled("cpu"))


@program(replays=True, close=FLOAT16)
def gradients_are_scaled(torch: Any, out: Out) -> None:
    model, x, labels = _classifier(torch)
    opt = torch.optim.SGD(model.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=256.0, growth_interval=15)
    for step in out.steps():
        opt.zero_grad(set_to_none=True)
        with torch.autocast("cpu", dtype=torch.float16):
            loss = torch.nn.functional.cross_entropy(model(x), labels)
        scaler.scale(loss).backward()
        scaler.unscale_(opt)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        scaler.step(opt)
        scaler.update()
        out(loss.item())
        if step % 7 == 0:
            out(scaler.get_scale())
    out(scaler.get_scale())
    out.state(model)


@program(close=FLOAT16)
def a_scale_that_is_too_large(torch: Any, out: Out) -> None:
    model, x, labels = _classifier(torch)
    opt = torch.optim.SGD(model.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**126, growth_interval=12)
    for _ in out.steps():
        opt.zero_grad()
        with torch.autocast("cpu", dtype=torch.float16):
            loss = torch.nn.functional.cross_entropy(model(x), labels) * 4
        scaler.scale(loss).backward()
        scaler.step(opt)
        scaler.update()
        out(loss.item(), scaler.get_scale())


@program(replays=True, close=BFLOAT16)
def evaluation_under_autocast(torch: Any, out: Out) -> None:
    model, x, labels = _classifier(torch)
    opt = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in out.steps():
        opt.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(x), labels)  # in float32
        loss.backward()
        opt.step()
        with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
            scores = model(x)
            out(str(scores.dtype), (scores.argmax(1) == labels).sum().item() >= 0)
        out(loss.item())


@program(seed=91, replays=True, close=BFLOAT16)
def autocast_off_within(torch: Any, out: Out) -> None:
    a = torch.randn(5, 4, requires_grad=True)
    x = torch.randn(3, 5)
    opt = torch.optim.SGD([a], lr=0.05)
    for step in out.steps():
        opt.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            h = x @ a
            with torch.autocast("cpu", enabled=False):
                wide = x @ a
            again = x @ a
            loss = (h.float() - wide * 0.5).pow(2).mean() + again.float().mean()
        loss.backward()
        opt.step()
        out(str(h.dtype), str(wide.dtype), loss.item())
        if step == 20:
            x = x * 1.5


@program(close=BFLOAT16)
def autocast_every_other_step(torch: Any, out: Out) -> None:
    model, x, labels = _classifier(torch)
    opt = torch.optim.SGD(model.parameters(), lr=0.1)
    for step in out.steps():
        opt.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=step % 2 == 0):
            scores = model(x)
            loss = torch.nn.functional.cross_entropy(scores, labels)
        loss.backward()
        opt.step()
        out(str(scores.dtype), loss.item())


@program(seed=92, close=BFLOAT16, unlike_torch=STALE)
def casts_that_are_kept(torch: Any, out: Out) -> None:
    w = torch.randn(4, 4, requires_grad=True)
    x = torch.randn(2, 4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for step in out.steps():
            y = ((x @ w) @ w).float()
            out(y)
            if step % 5 == 4:
                y.sum().backward()
                with torch.no_grad():
                    w.sub_(w.grad, alpha=0.01)
                w.grad = None
            if step % 9 == 8:
                torch.clear_autocast_cache()
    out(w)
