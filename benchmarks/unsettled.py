"""What replay costs programs that never settle: time with replay over time without.

    python benchmarks/unsettled.py [--warm] [--rounds 3] [NAME ...]

Each workload runs in processes of its own, with replay and (RUSHLIGHT_TIER=0) without, in turns;
of each, the least wall time and the least processor time of all threads count.  Nothing is kept
on disk unless ``--warm`` keeps code in a folder of its own, filled by a run that does not count.
The time includes compiling, but no import.  Unsettled programs had better stay below 1.1; the
last three are settled or short, and there to see that they keep what replay gives.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import rushlight as rl
from rushlight import nn
from rushlight.compiler import statistics

F = nn.functional
Step = Callable[[], Any]


def trainer(
    model: nn.Module, batch: Callable[[], tuple[Any, Any]], loss_of: Any, lr: float = 1e-3
) -> Step:
    """Training steps on whatever comes."""
    optimizer = rl.optim.SGD(model.parameters(), lr=lr)

    def step() -> None:
        x, y = batch()
        optimizer.zero_grad()
        loss = loss_of(model(x), y)
        loss.backward()
        optimizer.step()

    return step


def mlp() -> nn.Module:
    """Three layers."""
    return nn.Sequential(
        nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10)
    )


class Unrolled(nn.Module):
    """A recurrent cell, one call for each position."""

    def __init__(self) -> None:
        super().__init__()
        self.cell, self.head = nn.RNNCell(16, 32), nn.Linear(32, 4)

    def forward(self, x: Any) -> Any:
        """Logits from the last state; ``x`` is (length, batch, 16)."""
        h = rl.zeros(x.shape[1], 32)
        for frame in x:
            h = self.cell(frame, h)
        return self.head(h)


class Sequence(nn.Module):
    """A recurrent layer and a head on its last output."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer, self.head = layer, nn.Linear(32, 4)

    def forward(self, x: Any) -> Any:
        """Logits from the last output."""
        return self.head(self.layer(x)[0][-1])


def sequences(model: nn.Module) -> Step:
    """Trains on sequences of 5 to 40 frames."""

    def batch() -> tuple[Any, Any]:
        return rl.randn(random.randint(5, 40), 8, 16), rl.randint(0, 4, (8,))

    return trainer(model, batch, F.cross_entropy)


def batches() -> Step:
    """Trains on batches of any size."""

    def batch() -> tuple[Any, Any]:
        n = random.randint(1, 500)
        return rl.randn(n, 32), rl.randint(0, 10, (n,))

    return trainer(mlp(), batch, F.cross_entropy)


def images() -> Step:
    """Trains a convolutional network on images of any size."""
    layers = (nn.Conv2d(3, 8, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 16, 3), nn.ReLU())
    model = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10))

    def batch() -> tuple[Any, Any]:
        return rl.randn(4, 3, random.randint(16, 48), random.randint(16, 48)), rl.randint(
            0, 10, (4,)
        )

    return trainer(model, batch, F.cross_entropy)


def generation() -> Step:
    """Writes text: a transformer block over a sequence that grows by one, to 200 and again."""
    embed, head = nn.Embedding(50, 32), nn.Linear(32, 50)
    block = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True).eval()
    text = [rl.zeros(1, 1, dtype=rl.int64)]

    def step() -> None:
        with rl.no_grad():
            logits = head(block(embed(text[0])))[:, -1]
            following = logits.argmax(-1, keepdim=True)
        text[0] = rl.cat([text[0], following], 1) if text[0].shape[1] < 200 else following

    return step


def inference() -> Step:
    """Classifies batches of any size."""
    model = mlp().eval()

    def step() -> int:
        with rl.no_grad():
            found: int = model(rl.randn(random.randint(1, 500), 32)).argmax(1).sum().item()
        return found

    return step


def branches() -> Step:
    """A loss of two terms, each of fifty kinds."""
    weight, head = nn.Linear(16, 16), nn.Linear(16, 4)
    kinds = (rl.tanh, rl.relu, rl.sigmoid, rl.sin, F.gelu)
    x, y = rl.randn(32, 16), rl.randint(0, 4, (32,))
    model = nn.ModuleList([weight, head])
    optimizer = rl.optim.SGD(model.parameters(), lr=1e-3)

    def step() -> None:
        h = weight(x)
        for _ in range(2):
            kind = random.randrange(50)
            for i in range(kind % 10 + 1):
                h = kinds[(i + kind // 10) % 5](h)
        optimizer.zero_grad()
        F.cross_entropy(head(h), y).backward()
        optimizer.step()

    return step


def settled() -> Step:
    """A loop as tutorials have it."""
    x, y = rl.randn(64, 32), rl.randint(0, 10, (64,))
    return trainer(mlp(), lambda: (x, y), F.cross_entropy)


def buckets() -> Step:
    """Trains on batches of ten sizes, as loaders that sort by length give them."""
    sizes = range(16, 176, 16)

    def batch() -> tuple[Any, Any]:
        n = random.choice(sizes)
        return rl.randn(n, 32), rl.randint(0, 10, (n,))

    return trainer(mlp(), batch, F.cross_entropy)


def resnet() -> Step:
    """ResNet-18 on four small images."""
    model = rl.vision.models.resnet18()
    x, y = rl.randn(4, 3, 64, 64), rl.randint(0, 1000, (4,))
    return trainer(model, lambda: (x, y), F.cross_entropy)


WORKLOADS: dict[str, tuple[Callable[[], Step], int]] = {
    "unrolled cell, any length": (lambda: sequences(Unrolled()), 500),
    "nn.LSTM, any length": (lambda: sequences(Sequence(nn.LSTM(16, 32))), 500),
    "nn.GRU, any length": (lambda: sequences(Sequence(nn.GRU(16, 32))), 500),
    "MLP, any batch size": (batches, 500),
    "convnet, any image size": (images, 500),
    "growing text": (generation, 500),
    "inference, any batch size": (inference, 500),
    "fifty branches, twice": (branches, 500),
    "ten batch sizes": (buckets, 500),
    "settled MLP": (settled, 300),
    "ResNet-18, 30 steps": (resnet, 30),
}


def measure(name: str, steps: int) -> None:
    """Runs a workload in this process and prints what it took."""
    random.seed(0)
    rl.manual_seed(0)
    make, usual = WORKLOADS[name]
    step = make()
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(steps or usual):
        step()
    taken = time.perf_counter() - wall, time.process_time() - cpu
    print(json.dumps([*taken, statistics().compiled, statistics().matched, statistics().recorded]))


def child(name: str, steps: int, **environment: str) -> list[float]:
    """Measures in a fresh process."""
    command = [sys.executable, __file__, "--in-this-process", "--steps", str(steps), name]
    told = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True
    )
    if told.returncode:
        raise SystemExit(told.stderr)
    found: list[float] = json.loads(told.stdout)
    return found


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=0, help="rather than what the workload says")
    parser.add_argument("--warm", action="store_true", help="compiled code is on disk already")
    parser.add_argument("--in-this-process", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("names", nargs="*", help="parts of the names of the workloads to run")
    given = parser.parse_args()
    if given.in_this_process:
        return measure(given.names[0], given.steps)
    print(f"{'':27s}   wall    cpu   eager s   compiled  matched recorded")
    for name in WORKLOADS:
        if given.names and not any(part in name for part in given.names):
            continue
        with tempfile.TemporaryDirectory() as folder:
            cache = {"RUSHLIGHT_CACHE": folder if given.warm else "off"}
            if given.warm:
                child(name, given.steps, **cache)
            runs = [
                [child(name, given.steps, **cache, RUSHLIGHT_TIER=t) for t in ("", "0")]
                for _ in range(given.rounds)
            ]
        (wall, cpu), (eager, eager_cpu) = [
            [min(r[way][k] for r in runs) for k in (0, 1)] for way in (0, 1)
        ]
        counts = "{:10.0f} {:8.0f} {:8.0f}".format(*runs[0][0][2:])
        print(
            f"{name:27s} {wall / eager:6.2f} {cpu / eager_cpu:6.2f} {eager:9.3f} {counts}",
            flush=True,
        )
    return None


if __name__ == "__main__":
    main()
