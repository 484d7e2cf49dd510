"""A compiled kernel with its argument block prepared: everything but where its arrays lie.

A program (`compiler/program.py`) plans where arrays lie once, writes the addresses into the blocks,
and runs kernels of the signature ``void kernel(ptr block, i64 part, i64 parts)`` one after the
other.
"""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["SCRATCH", "Bound"]

SCRATCH = -1  # stands for the scratch memory among operands


class Bound(NamedTuple):
    """One launch of a kernel.

    Attributes:
        kernel: the address of the function.
        block: int64 words, the arguments; copied by whoever runs it.
        operands: (word, operand, bytes): word of the block gets the address of this operand (inputs
            first, then results, in the order of the call, inputs that are None counted too; SCRATCH
            is the scratch memory) plus so many bytes.
        own: (word, other): word of the block gets the address of another word of the same block.
        zeros: words that must be 0 whenever the kernel starts (counters of units handed out).
        parts: the largest number of parts into which the work may be cut; results do not depend on
            it.
        scratch: how many bytes of uninitialised memory it needs, for all parts; every launch of one
            call sees the same scratch memory, so an earlier launch may leave packed data for a
            later one.
        bad: one of `zeros` that is not 0 after a run that met invalid inputs (an index outside of
            its plane); -1 if there are none.
    """

    kernel: int
    block: Any
    operands: tuple[tuple[int, int, int], ...]
    own: tuple[tuple[int, int], ...] = ()
    zeros: tuple[int, ...] = ()
    parts: int = 1
    scratch: int = 0
    bad: int = -1
