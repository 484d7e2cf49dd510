"""Time of `import rushlight` over `import numpy`: median of ten fresh processes each, warm disk.

    python benchmarks/import_time.py [--runs 10] [--limit 0.06]

Prints both medians and their difference in seconds; with --limit the exit status says whether the
difference stays within it. The two imports take turns, so that a drifting machine hurts both alike.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys

PROGRAM = "import time; t = time.perf_counter(); import {}; print(time.perf_counter() - t)"


def seconds(module: str) -> float:
    """Seconds that importing `module` takes in a process of its own."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(module)],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    return float(done.stdout)


def main() -> int:
    """Measures, prints, and returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--limit", type=float, default=None, help="fail above this difference")
    options = parser.parse_args()
    modules = ("numpy", "rushlight")
    for module in modules:  # warm the disk cache and the byte-code cache
        seconds(module)
    taken: dict[str, list[float]] = {module: [] for module in modules}
    for _ in range(options.runs):
        for module in modules:
            taken[module].append(seconds(module))
    numpy, rushlight = (statistics.median(taken[module]) for module in modules)
    print(f"import numpy      {numpy:.4f} s")
    print(f"import rushlight  {rushlight:.4f} s")
    print(f"difference        {rushlight - numpy:.4f} s")
    return int(options.limit is not None and rushlight - numpy > options.limit)


if __name__ == "__main__":
    sys.exit(main())
