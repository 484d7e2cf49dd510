"""Python frames between user code and the gate: nanoseconds of a call whose operator is a stub.

    python benchmarks/overhead.py [--rounds 15] [NAME ...]

Every `call` and `write` of the gate is replaced by a function that returns a tensor that is there
already, so that only modules, functional wrappers and methods are timed.  The cost of calling the
stub itself is subtracted once for each operator that the line names.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from typing import Any

import rushlight as rl
from rushlight import nn
from rushlight.dispatch import gate

F = nn.functional
REPEAT = 4000


class Net(nn.Module):
    """What a tutorial writes: members by name, functions between them."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5)
        self.fc1 = nn.Linear(4, 4)
        self.scale = nn.Parameter(rl.ones(4))

    def forward(self, x: Any) -> Any:
        """The input, after looking three members up."""
        self.conv1, self.fc1, self.scale  # noqa: B018
        return x


def best(run: Callable[[], object], rounds: int) -> float:
    """The least time of one call in nanoseconds."""
    lines = "def loop(run):\n" + "    run()\n" * 10
    scope: dict[str, Any] = {}
    exec(lines, scope)
    loop = scope["loop"]
    least = float("inf")
    for _ in range(rounds):
        start = time.perf_counter_ns()
        for _ in range(REPEAT // 10):
            loop(run)
        least = min(least, time.perf_counter_ns() - start)
    return least / REPEAT


def cases() -> dict[str, tuple[int, Callable[[], object]]]:
    """By name: how many operators a call runs, and the call."""
    x, flat = rl.randn(4, 1, 8, 8), rl.randn(4, 4)
    target, labels = rl.randn(4, 4), rl.tensor([0, 1, 2, 3])
    linear, relu, mse, entropy = nn.Linear(4, 4), nn.ReLU(), nn.MSELoss(), nn.CrossEntropyLoss()
    three = nn.Sequential(nn.ReLU(), nn.ReLU(), nn.ReLU())
    conv, pool, norm = nn.Conv2d(1, 6, 5), nn.MaxPool2d(2), nn.BatchNorm2d(1)
    drop, identity, net = nn.Dropout(), nn.Identity(), Net()
    still = nn.Dropout().eval()
    weighty = nn.Linear(4, 4)
    optimizer = rl.optim.SGD(linear.parameters(), lr=0.1)
    scalar = rl.tensor(1.0)
    return {
        "nothing": (0, lambda: None),
        "self.weight": (0, lambda: weighty.weight),
        "net.conv1": (0, lambda: net.conv1),
        "nn.Identity": (0, lambda: identity(flat)),
        "Net, three members": (0, lambda: net(flat)),
        "F.linear": (1, lambda: F.linear(flat, target, scalar)),
        "nn.Linear": (1, lambda: linear(flat)),
        "nn.ReLU": (1, lambda: relu(flat)),
        "nn.Sequential of three": (3, lambda: three(flat)),
        "nn.MSELoss": (1, lambda: mse(flat, target)),
        "nn.CrossEntropyLoss": (2, lambda: entropy(flat, labels)),
        "nn.Conv2d": (1, lambda: conv(x)),
        "nn.MaxPool2d": (1, lambda: pool(x)),
        "nn.BatchNorm2d": (6, lambda: norm(x)),
        "nn.Dropout": (4, lambda: drop(flat)),
        "nn.Dropout, evaluation": (0, lambda: still(flat)),
        "F.relu": (1, lambda: F.relu(flat)),
        "F.mse_loss": (1, lambda: F.mse_loss(flat, target)),
        "F.cross_entropy": (2, lambda: F.cross_entropy(flat, labels)),
        "F.conv2d": (1, lambda: F.conv2d(x, conv.weight)),
        "F.max_pool2d": (1, lambda: F.max_pool2d(x, 2)),
        "F.log_softmax": (1, lambda: F.log_softmax(flat, dim=1)),
        "torch.flatten": (1, lambda: rl.flatten(x, 1)),
        "torch.relu": (1, lambda: rl.relu(flat)),
        "torch.exp": (1, lambda: rl.exp(flat)),
        "x.relu()": (1, lambda: flat.relu()),
        "x.view": (1, lambda: flat.view(-1, 8)),
        "x.sum()": (1, lambda: flat.sum()),
        "x.mean()": (1, lambda: flat.mean()),
        "x + y": (1, lambda: flat + target),
        "x * 2": (1, lambda: flat * 2),
        "x - y": (1, lambda: flat - target),
        "2 * x": (1, lambda: 2 * flat),
        "x ** 2": (1, lambda: flat**2),
        "-x": (1, lambda: -flat),
        "x @ y": (1, lambda: flat @ target),
        "x[0]": (1, lambda: flat[0]),
        "x.detach()": (0, lambda: flat.detach()),
        "x.size(0)": (0, lambda: flat.size(0)),
        "x.shape": (0, lambda: flat.shape),
        "x.argmax(1)": (1, lambda: flat.argmax(1)),
        "x += y": (1, lambda: flat.__iadd__(target)),
        "loss.item()": (0, lambda: scalar.item()),
        "zero_grad": (0, lambda: optimizer.zero_grad()),
    }


def stub_the_gate(results: dict[str, Any]) -> None:
    """Replaces the gate's functions wherever they were imported."""

    def call(op: Any, inputs: Any, attrs: Any = ()) -> Any:
        return results[op.name] if op.name in results else inputs[0]

    def write(op: Any, inputs: Any, attrs: Any = ()) -> Any:
        return inputs[0]

    for module in list(sys.modules.values()):
        if module is not None and module.__name__.startswith("rushlight."):
            for name, stub, real in (("call", call, gate.call), ("write", write, gate.write)):
                if module is not gate and vars(module).get(name) is real:
                    setattr(module, name, stub)
    results["stub"] = call


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("names", nargs="*", help="parts of the lines to time")
    given = parser.parse_args()
    one = rl.ones(())
    counts = {"nll_loss": 2, "max_pool": 2, "batch_norm": 4, "empty": 0}
    results: dict[str, Any] = {name: (one,) * n or one for name, n in counts.items()}
    runs = cases()
    stub_the_gate(results)
    call, op, pair = results["stub"], _an_op(), (one, one)
    empty = best(lambda: None, given.rounds)
    stub = best(lambda: call(op, pair), given.rounds) - empty
    print(f"{'the stub':24s} {stub:7.0f} ns")
    for name, (operators, run) in runs.items():
        if given.names and not any(part in name for part in given.names):
            continue
        print(f"{name:24s} {best(run, given.rounds) - empty - operators * stub:7.0f} ns")


def _an_op() -> Any:
    from rushlight.ops import activation

    return activation.relu


if __name__ == "__main__":
    main()
