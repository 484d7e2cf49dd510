"""Elementwise work on large tensors: times in milliseconds of processor time.

python benchmarks/elementwise.py            # rushlight
python benchmarks/elementwise.py torch      # real PyTorch, where it is installed
"""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Callable

SIZE = 1 << 24


def measure(run: Callable[[], object], rounds: int = 5) -> float:
    """The least processor time of several rounds, in milliseconds."""
    run()
    best = float("inf")
    for _ in range(rounds):
        start = time.process_time()
        run()
        best = min(best, time.process_time() - start)
    return best * 1e3


def main() -> None:
    torch = importlib.import_module(sys.argv[1] if len(sys.argv) > 1 else "rushlight")
    torch.set_num_threads(1)
    p, g, buf = (torch.rand(SIZE) for _ in range(3))

    def sgd() -> None:
        buf.mul_(0.9).add_(g)
        p.add_(buf, alpha=-0.01)

    def adam() -> None:
        buf.lerp_(g, 0.1)
        p.addcdiv_(buf, g.sqrt().add_(1e-8), value=-0.001)

    for name, run in (
        ("SGD update", sgd),
        ("Adam-like update", adam),
        ("sigmoid", lambda: torch.sigmoid(p)),
        ("gelu", lambda: torch.nn.functional.gelu(p)),
        ("lerp_", lambda: buf.lerp_(g, 0.1)),
        ("x * 2 + y", lambda: p * 2 + g),
    ):
        print(f"{name:18s} {measure(run):8.1f} ms")


if __name__ == "__main__":
    main()
