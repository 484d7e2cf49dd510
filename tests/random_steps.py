"""Random training programs, run eagerly and with hot code replayed: both must say the same.

    python tests/random_steps.py --programs 10000 --seed 0     # every night
    python tests/random_steps.py --show 17                     # one program's source
    python tests/random_steps.py --only 17                     # run one
    python tests/random_steps.py --shrink 17                   # the part of it that goes wrong

The programs are written by `random_writer.py` and, from number WIDE on, by `random_wide.py`.
Half of them compute in float64, where rounding cannot hide a mistake.
What raises an error raises it in both runs; its text is compared too.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from random_wide import WIDE, Wide
from random_writer import LEFT_OPEN, RICH, Writer
from replay_programs import Out, differences

KINDS = {"plain": 0, "rich": RICH, "wide": WIDE}  # and the number of the first


def source_of(number: int) -> str:
    """The program of this number."""
    return (Wide(number) if number >= WIDE else Writer(number)).source()


def compiled(source: str) -> Callable[..., None]:
    """A program as a function."""
    scope: dict[str, Any] = {}
    exec(compile(source, "<program>", "exec"), scope)
    return scope["program"]  # type: ignore[no-any-return]


def said_by(source: str, torch: Any, tier: int | None = 0) -> list[Any]:
    """What a program says, with rushlight in this tier."""
    import numpy as np

    out = Out()
    with warnings.catch_warnings(), in_tier(torch, tier):
        warnings.simplefilter("ignore")
        warnings.filterwarnings("error", message=".*could not be compiled")
        try:
            compiled(source)(torch, np, out)
        except Exception as error:  # of a kind that the program itself does not catch
            out(type(error).__name__, str(error).splitlines()[0])
        return [_BROKEN if _is_broken(x) else x for x in out.finish()]


@contextlib.contextmanager
def in_tier(torch: Any, tier: int | None) -> Iterator[None]:
    """Runs rushlight in a tier; what comes round is compiled early, as these programs are short."""
    if not hasattr(getattr(torch, "compiler", None), "set_tier"):
        yield
        return
    from rushlight.replay import library, patience

    was = library.TAKES_OVER, patience.ROW
    library.TAKES_OVER, patience.ROW = 2, 1
    torch.compiler.set_tier(tier)
    try:
        yield
    finally:
        library.TAKES_OVER, patience.ROW = was


_BROKEN = "a graph that cannot be run"


def _is_broken(x: Any) -> bool:
    """Whether this is one of two errors; which comes first where both apply is left open."""
    texts = ("Trying to backward through the graph a second time", "one of the variables needed")
    return isinstance(x, str) and x.startswith(texts)


def closeness(source: str) -> float:
    """How far results may lie apart."""
    return 2e-3 if "float32" in source else 1e-9


def check(source: str) -> list[str]:
    """The differences between a program's two runs; none is good.

    Some programs magnify rounding without bound (Adagrad where tanh is flat, say): what differs in
    float32 counts if it differs in float64, too.
    """
    import rushlight as torch

    eager = said_by(source, torch)
    found = differences(eager, said_by(source, torch, None), closeness(source))
    if found and "float32" in source:
        return check(source.replace("float32", "float64"))
    if found and differences(eager, said_by(source, torch), 0):
        return []  # it reads memory that nobody has written, or draws without a seed
    return found


def shrunk(source: str, check: Callable[[str], list[str]] = check) -> str:
    """A shorter program whose runs still differ: lines are left out as long as that is so."""
    lines = source.splitlines()
    size = len(lines) // 2
    while size:
        at = 3  # the seed stays
        while at < len(lines):
            kept = [line for line in lines[at : at + size] if LEFT_OPEN in line]
            fewer = lines[:at] + kept + lines[at + size :]
            text = "\n".join(fewer) + "\n"
            try:
                still = bool(check(text))
            except SyntaxError:  # that line was needed
                still = False
            if still and len(fewer) < len(lines):
                lines = fewer
            else:
                at += size
        size //= 2
    return "\n".join(lines) + "\n"


def wrong(numbers: Iterable[int], most: int = 10) -> Iterator[tuple[int, list[str]]]:
    """The programs whose runs differ, with the differences; stops after the first few."""
    for number in numbers:
        found = check(source_of(number))
        if found:
            yield number, found
            most -= 1
            if not most:
                return


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--programs", type=int, default=1000, help="how many")
    parser.add_argument("--seed", type=int, default=0, help="number of the first, in thousands")
    parser.add_argument("--kind", choices=KINDS, help="only programs of this kind")
    parser.add_argument("--show", type=int, help="print this program and stop")
    parser.add_argument("--only", type=int, help="run this program alone")
    parser.add_argument(
        "--shrink", type=int, help="print a short version of a program that differs"
    )
    given = parser.parse_args()
    if given.shrink is not None:
        source = shrunk(source_of(given.shrink))
        print(source, *check(source)[:5], sep="\n")
        return 0
    if given.show is not None:
        print(source_of(given.show))
        return 0
    first = given.seed * 1000 if given.only is None else given.only
    count = given.programs if given.only is None else 1
    numbers: Iterable[int] = [first]
    if given.only is None:
        kinds = [KINDS[given.kind]] if given.kind else list(KINDS.values())
        each = range(first, first + -(-count // len(kinds)))
        numbers = itertools.islice((kind + n for n in each for kind in kinds), count)
    failed = 0
    for number, found in wrong(numbers):
        failed += 1
        print(f"program {number} differs:", *found[:5], sep="\n  ")
        if failed <= 3:
            print(source_of(number))
    from rushlight import compiler

    if hasattr(compiler, "statistics"):
        now = compiler.statistics()
        print(f"recorded {now.recorded}, matched {now.matched}, launched {now.launched}")
    print(f"{failed} of {count} programs differ" if failed else f"{count} programs agree")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
