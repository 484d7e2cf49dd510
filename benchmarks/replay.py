"""What replayed code costs: a matched call, a module call, a whole small step; fused kernels.

    python benchmarks/replay.py

Prints nanoseconds of a matched call (the slope over the number of calls in a step, their share of
the program's work taken off), of a module call more than its operator's, the whole step of a linear
regression, and, where PyTorch is installed, how many times faster than its eager mode forward and
backward of elementwise chains, softmax, layer_norm and cross_entropy are.  The least of several
rounds counts, in turns, since other work on the machine disturbs both.
"""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable
from typing import Any

import rushlight

ROUNDS = 9
Step = Callable[[], Any]


def least(step: Step, seconds: float = 0.05) -> float:
    """Seconds a call, of the quickest round."""
    for _ in range(20):
        step()
    best = float("inf")
    for _ in range(ROUNDS):
        calls, start = 0, time.perf_counter()
        while (spent := time.perf_counter() - start) < seconds:
            for _ in range(10):
                step()
            calls += 10
        best = min(best, spent / calls)
    return best


def regression(torch: Any) -> Step:
    """The step of a linear regression, 100 points of two features."""
    model, loss_of = torch.nn.Linear(2, 1), torch.nn.MSELoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    x, y = torch.randn(100, 2), torch.randn(100, 1)

    def step() -> Any:
        optimizer.zero_grad()
        loss = loss_of(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def chain(torch: Any, calls: int, modules: bool) -> Step:
    """A step with so many calls of relu on four numbers."""
    x = torch.ones(4)
    layers = [torch.nn.ReLU() if modules else torch.relu for _ in range(calls)]

    def step() -> Any:
        h = x
        for layer in layers:
            h = layer(h)
        return h.sum().item()

    with_no_grad = torch.no_grad()

    def quiet() -> Any:
        with with_no_grad:
            return step()

    return quiet


def slope(torch: Any, modules: bool) -> float:
    """Seconds a call more."""
    few, many = 10, 110
    return (least(chain(torch, many, modules)) - least(chain(torch, few, modules))) / (many - few)


def fused(torch: Any) -> dict[str, Step]:
    """Forward and backward of what compiles into few kernels."""
    functional = torch.nn.functional
    long = torch.randn(1_000_000, requires_grad=True)
    rows = torch.randn(512, 1000, requires_grad=True)
    weight, bias = torch.ones(1000, requires_grad=True), torch.zeros(1000, requires_grad=True)
    labels = torch.randint(0, 1000, (512,))

    def elementwise() -> Any:
        h = torch.tanh((long * 0.5 + 1.0) * long - 0.25)
        return (torch.relu(h) * 2.0).exp().mean()

    def forward_and_backward(loss: Callable[[], Any], *leaves: Any) -> Step:
        def step() -> Any:
            for leaf in leaves:
                leaf.grad = None
            value = loss()
            value.backward()
            return value.item()

        return step

    norm = (1000,)
    return {
        "chain of eight": forward_and_backward(elementwise, long),
        "softmax": forward_and_backward(lambda: functional.softmax(rows, 1).square().sum(), rows),
        "layer_norm": forward_and_backward(
            lambda: functional.layer_norm(rows, norm, weight, bias).square().sum(),
            *(rows, weight, bias),
        ),
        "cross_entropy": forward_and_backward(lambda: functional.cross_entropy(rows, labels), rows),
    }


def main() -> None:
    """Measures and prints."""
    call, module = slope(rushlight, False), slope(rushlight, True)
    print(f"matched call            {call * 1e9:8.0f} ns")
    print(f"module call, more       {(module - call) * 1e9:8.0f} ns")
    print(f"linear regression step  {least(regression(rushlight)) * 1e6:8.2f} us")
    torch = importlib.import_module("torch") if importlib.util.find_spec("torch") else None
    ours = fused(rushlight)
    theirs = fused(torch) if torch is not None else {}
    for name, step in ours.items():
        mine = least(step, 0.2)
        line = f"{name:22s}  {mine * 1e6:8.0f} us"
        if name in theirs:
            other = least(theirs[name], 0.2)
            line += f"   PyTorch {other * 1e6:8.0f} us, {other / mine:.2f}x"
        print(line)


if __name__ == "__main__":
    main()
