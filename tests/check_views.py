"""Thousands of random programs of views, in-place writes and reads print what real torch prints.

    python tests/check_views.py --count 5000          # a night's worth; needs torch installed
    python tests/check_views.py --seed 17 --show      # one program and both logs

Each program comes from a seed (see ``view_programs.py`` for the steps); after every step each live
tensor is read (values, strides, offset, version, flags, who shares memory) and printed in full.
"""

from __future__ import annotations

import argparse
import random
import re
import sys
from typing import Any

import view_programs

import rushlight

SHAPES = [(4,), (2, 3), (3, 2), (2, 2, 2), (1, 4), (), (0, 3), (3, 1, 2), (2, 1, 2, 2)]
NAMES = view_programs.VIEWS * 2 + view_programs.WRITES * 2 + view_programs.OTHERS


def program(seed: int) -> Any:
    """The program of a seed: a shape, how the first tensor is made, and steps."""
    rng = random.Random(seed)
    draw = rng.randrange
    steps = [
        (rng.choice(NAMES), draw(10), draw(8), draw(8), rng.choice(["", "", "", "", "no_grad"]))
        for _ in range(rng.randint(1, 12))
    ]
    return rng.choice(SHAPES), rng.choice(["plain", "leaf", "computed"]), steps


NUMBER = re.compile(r"-?\d+\.\d+(?:e[+-]\d+)?")


def alike(a: Any, b: Any) -> bool:
    """Equal, but for the last digits of printed numbers: sin and addcmul_ differ in rounding."""
    if a == b:
        return True
    a, b = str(a), str(b)
    pairs = zip(NUMBER.findall(a), NUMBER.findall(b), strict=False)
    return NUMBER.sub("#", a) == NUMBER.sub("#", b) and all(
        abs(float(x) - float(y)) <= 1.1e-3 * max(1.0, abs(float(y)) * 1e-2) for x, y in pairs
    )


def difference(torch: Any, seed: int) -> str:
    """Where the logs of a program part, or nothing."""
    ours = view_programs.run(rushlight, program(seed), full=True)
    theirs = view_programs.run(torch, program(seed), full=True)
    for a, b in zip(ours, theirs, strict=False):
        if not alike(a, b):
            pairs = zip(a, b, strict=False) if isinstance(a, list) and isinstance(b, list) else ()
            a, b = next(((x, y) for x, y in pairs if not alike(x, y)), (a, b))
            return f"seed {seed}\n  rushlight {a}\n  torch     {b}"
    return "" if len(ours) == len(theirs) else f"seed {seed}: {len(ours)}/{len(theirs)} lines"


def main() -> int:
    import torch

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--show", action="store_true", help="print one program and its log")
    given = parser.parse_args()
    if given.show:
        print(program(given.seed))
        print(*view_programs.run(rushlight, program(given.seed), full=True), sep="\n")
        print(difference(torch, given.seed))
        return 0
    found = [difference(torch, seed) for seed in range(given.seed, given.seed + given.count)]
    differing = [text for text in found if text]
    print(*differing[:20], sep="\n")
    print(f"{given.count} programs, {len(differing)} differ from torch {torch.__version__}")
    return int(bool(differing))


if __name__ == "__main__":
    sys.exit(main())
