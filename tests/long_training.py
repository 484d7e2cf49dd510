"""A training loop of many steps in one process: its memory must not grow.

    python tests/long_training.py --steps 100000     # every night

The loop has what makes tensors come and go: fresh data, a short batch now and then, a branch,
evaluation, losses that are kept for a while.  Prints the growth after the first tenth.
"""

from __future__ import annotations

import argparse
import gc
import sys
from typing import Any


def resident() -> int:
    """The memory of this process that is in use, in bytes."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


def train(torch: Any, steps: int) -> Any:
    """Yields the number of each step after it was made."""
    nn = torch.nn
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, 2))
    crit, opt = nn.CrossEntropyLoss(), torch.optim.Adam(model.parameters(), lr=1e-3)
    recent: list[Any] = []
    running = 0.0
    for step in range(steps):
        n = 5 if step % 10 == 9 else 12
        x, labels = torch.randn(n, 8), torch.randint(0, 2, (n,))
        opt.zero_grad()
        outputs = model(x)
        loss = crit(outputs, labels)
        if step % 7 == 3:
            loss = loss + outputs.pow(2).mean()
        loss.backward()
        opt.step()
        running += loss.item()
        if step % 5 == 0:
            with torch.no_grad():
                running += (model(x).argmax(1) == labels).sum().item()
        recent.append(loss)
        del recent[:-20]
        yield step


def growth(torch: Any, steps: int) -> tuple[int, int]:
    """Bytes and Python objects gained between the first tenth of the steps and the last."""
    start: tuple[int, int] = (0, 0)
    for step in train(torch, steps):
        if step == steps // 10:
            gc.collect()
            start = resident(), len(gc.get_objects())
    gc.collect()
    return resident() - start[0], len(gc.get_objects()) - start[1]


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=100_000)
    given = parser.parse_args()
    import rushlight as torch

    torch.compiler.set_tier(None)
    size, objects = growth(torch, given.steps)
    print(f"{given.steps} steps: {size / 2**20:.1f} MiB and {objects} objects more")
    now = torch.compiler.statistics()
    print(f"recorded {now.recorded}, matched {now.matched}, launched {now.launched}")
    return 0 if size < 4 << 20 and objects < 2000 else 1


if __name__ == "__main__":
    sys.exit(main())
