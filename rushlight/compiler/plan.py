"""Where temporaries lie: one arena, planned once, in which memory is used again.

In: steps.  Out: an offset for each temporary, and the size of the arena.  A temporary lives from
the first step that writes it to the last that reads it; two that live at once never overlap, except
that a kernel which reads and writes element by element may write where its dying input lies.  A
small one keeps its place for a step longer, so that threads need not wait to use it again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rushlight.compiler.steps import LoopStep, Memory, Step

__all__ = ["Plan", "check", "plan"]

_LINE = 64
_SMALL = 1 << 16


class Plan(NamedTuple):
    """An arena.

    Attributes:
        offsets: where each temporary starts, in bytes.
        nbytes: the size of the whole.
    """

    offsets: dict[Memory, int]
    nbytes: int


class _Life:
    """Temporaries that share their memory, and from which step to which they live."""

    __slots__ = ("first", "last", "memories", "nbytes")

    def __init__(self, memory: Memory, step: int) -> None:
        self.memories = [memory]
        self.first = self.last = step
        self.nbytes = -(-max(memory.nbytes, 1) // _LINE) * _LINE


def plan(steps: Sequence[Step]) -> Plan:
    """Lays out all temporaries, the largest first, each at the lowest free place."""
    lives = _shared(steps, _lives(steps))
    for life in lives:
        if life.nbytes <= _SMALL:
            life.last += 1
    offsets: dict[Memory, int] = {}
    placed: list[tuple[int, _Life]] = []
    nbytes = 0
    for life in sorted(lives, key=lambda x: (-x.nbytes, x.first)):
        offset = 0
        for start, other in placed:  # in order of their places
            if other.first <= life.last and life.first <= other.last:
                if start >= offset + life.nbytes:
                    break
                offset = max(offset, start + other.nbytes)
        placed.append((offset, life))
        placed.sort(key=lambda x: x[0])
        nbytes = max(nbytes, offset + life.nbytes)
        offsets.update(dict.fromkeys(life.memories, offset))
    return Plan(offsets, nbytes)


def _lives(steps: Sequence[Step]) -> dict[Memory, _Life]:
    found: dict[Memory, _Life] = {}
    for i, step in enumerate(steps):
        for memory in (*step.reads, *step.writes):
            if memory.kind == "temp":
                found.setdefault(memory, _Life(memory, i)).last = i
    return found


def _shared(steps: Sequence[Step], lives: dict[Memory, _Life]) -> list[_Life]:
    """Lets kernels write in place where the input dies and the result is born."""
    for i, step in enumerate(steps):
        taken: set[int] = set()
        for written, read in step.reuse if isinstance(step, LoopStep) else ():
            new, old = lives[written], lives[read]
            if new is old or id(new) in taken or id(old) in taken:
                continue
            if new.first == i and old.last == i and old.first < i:
                taken.add(id(old))
                old.last = new.last
                old.memories += new.memories
                for memory in new.memories:
                    lives[memory] = old
    return list({id(life): life for life in lives.values()}.values())


def check(steps: Sequence[Step], made: Plan) -> None:
    """Checks that what lives at once does not overlap.

    Raises:
        AssertionError: two temporaries do.
    """
    lives = _lives(steps)
    shared = {frozenset(pair) for s in steps if isinstance(s, LoopStep) for pair in s.reuse}
    for a, x in lives.items():
        assert made.offsets[a] % _LINE == 0 and made.offsets[a] + a.nbytes <= made.nbytes
        for b, y in lives.items():
            if a is b or x.first > y.last or y.first > x.last:
                continue
            apart = (
                made.offsets[a] + a.nbytes <= made.offsets[b]
                or made.offsets[b] + b.nbytes <= made.offsets[a]
            )
            in_place = frozenset((a, b)) in shared and (x.last == y.first or y.last == x.first)
            assert apart or in_place, f"{a} and {b} overlap"
