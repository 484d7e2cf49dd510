"""Long loops must not grow: memory, objects and compiled stretches after many replayed steps.

    python tests/check_growth.py                    # 100,000 steps, then lengths that never settle
    python tests/check_growth.py --steps 5000       # a short run

Exits with 1 if anything grows.  Memory is the resident set, so this needs Linux.
"""

from __future__ import annotations

import argparse
import gc
import random
import sys
import time

import rushlight as rl
from rushlight import compiler


def resident() -> float:
    """Megabytes of memory that this process holds."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * 4096 / 1e6


def model_and_optimiser() -> tuple[rl.nn.Module, rl.optim.Optimizer]:
    """A small network, so that what a step leaves behind shows."""
    model = rl.nn.Sequential(rl.nn.Linear(4, 8), rl.nn.ReLU(), rl.nn.Linear(8, 1))
    return model, rl.optim.Adam(model.parameters(), lr=0.01)


def train(steps: int, lengths: random.Random | None = None) -> None:
    """So many steps, on one batch or on batches of random lengths."""
    model, opt = model_and_optimiser()
    x, y = rl.randn(16, 4), rl.randn(16, 1)
    for step in range(steps):
        if lengths is not None:
            n = lengths.randrange(1, 5000)
            x, y = rl.randn(n, 4), rl.randn(n, 1)
        opt.zero_grad()
        loss = rl.nn.functional.mse_loss(model(x), y)
        loss.backward()
        opt.step()
        if step % 100 == 0:
            loss.item()


def steady(steps: int) -> list[str]:
    """What grows in a loop whose every step is alike."""
    train(500)
    model, opt = model_and_optimiser()
    x, y = rl.randn(16, 4), rl.randn(16, 1)

    def some(count: int) -> None:
        for _ in range(count):
            opt.zero_grad()
            loss = rl.nn.functional.mse_loss(model(x), y)
            loss.backward()
            opt.step()

    some(1000)
    gc.collect()
    before = resident(), len(gc.get_objects()), sys.getallocatedblocks()
    launched = compiler.statistics().launched
    some(steps)
    gc.collect()
    after = resident(), len(gc.get_objects()), sys.getallocatedblocks()
    replayed = compiler.statistics().launched - launched
    memory, objects, blocks = (b - a for a, b in zip(before, after, strict=True))
    print(f"{steps} steps, {replayed} replayed: {memory:+.1f} MB, {objects:+} objects")
    found = []
    if memory > 5:
        found.append(f"{memory:.1f} MB")
    if objects > 200 or blocks > 2000:
        found.append(f"{objects} objects, {blocks} blocks")
    if replayed < 0.99 * steps:
        found.append(f"only {replayed} steps were replayed")
    return found


def unsettled(steps: int) -> list[str]:
    """What grows, and how slow it is, where no two steps are alike."""
    seconds = {}
    for tier in (0, None):
        compiler.set_tier(tier)
        start = time.perf_counter()
        train(steps, random.Random(0))
        seconds[tier] = time.perf_counter() - start
    compiled = len(compiler.statistics().paths)
    before = resident()
    train(steps, random.Random(1))
    memory = resident() - before
    print(
        f"{steps} random lengths: {seconds[None] / seconds[0]:.2f} times eager, {memory:+.1f} MB, "
        f"{compiled} stretches kept"
    )
    return [f"{memory:.1f} MB with random lengths"] if memory > 30 else []


def models(count: int) -> list[str]:
    """What stays of models that were trained and dropped."""

    def one() -> None:
        model = rl.nn.Linear(500, 500)
        opt = rl.optim.SGD(model.parameters(), lr=0.01)
        x = rl.randn(2, 500)
        for _ in range(10):
            opt.zero_grad()
            (model(x) ** 2).mean().backward()
            opt.step()

    for _ in range(count // 2):
        one()
    before = resident()
    for _ in range(count // 2):
        one()
    memory = resident() - before
    print(f"{count} models made and dropped: {memory:+.1f} MB for the later half")
    return [f"{memory:.1f} MB of dead models"] if memory > 20 else []


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=100_000)
    given = parser.parse_args()
    found = steady(given.steps) + unsettled(max(given.steps // 50, 200)) + models(60)
    for line in found:
        print("grows:", line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
