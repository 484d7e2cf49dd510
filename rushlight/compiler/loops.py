"""Loop IR: a kernel as loops over axes with straight-line bodies; `codegen/` makes LLVM IR of it.

A kernel runs over outer axes, which threads share (each result is computed by one thread, so
results do not depend on how many there are), and for each outer position runs its stages in order.
A stage walks the inner axes: it either reduces (its results are then one number each for this outer
position, which later stages read) or stores. Softmax over rows is an outer axis of rows and three
stages: maximum, sum of exponentials, store. An elementwise kernel has one stage; a sum over columns
has the columns outside and the rows inside (the emitter then puts neighbouring outer positions into
one vector).

Instructions of a body are SSA: arguments are positions of earlier instructions of the same body.

    load     ()           (buffer, offset, strides)   strides: one a loop axis, outer then inner
    gather   (i...)       (buffer, offset, strides, ((size, stride), ...))   as load, moved by an
                                                      index each; negative ones count from the
                                                      end; one outside its size sets the status
    const    ()           (number,)
    number   ()           (position,)                 a run-time double, converted to the dtype
    axis     ()           (axis,)                     the loop's position along an axis, int64
    reduced  ()           (stage, result)             what an earlier stage reduced
    NAME     (x...)       ()                          a NumPy ufunc by name, `where`, or `cast`
"""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["Instruction", "Kernel", "Reduce", "Stage", "Store"]

Ints = tuple[int, ...]


class Instruction(NamedTuple):
    """One operation of a body; ``dtype`` is the NumPy dtype of its result."""

    name: str
    args: Ints
    attrs: tuple[Any, ...]
    dtype: Any


class Reduce(NamedTuple):
    """A reduction of an instruction's values over the inner axes.

    ``name`` is a ufunc (add, multiply, maximum, minimum, logical_or, logical_and), or argmax or
    argmin (the first position along the only inner axis, int64). NaN wins in maximum, minimum and
    arg reductions, as in NumPy.
    """

    name: str
    value: int
    dtype: Any


class Store(NamedTuple):
    """Writes an instruction's value to a buffer; strides as for load."""

    value: int
    buffer: int
    offset: int
    strides: Ints


class Stage(NamedTuple):
    """One walk over the inner axes, or, if not ``inner``, one pass at the outer position itself."""

    body: tuple[Instruction, ...]
    reduces: tuple[Reduce, ...]
    stores: tuple[Store, ...]
    inner: bool


class Kernel(NamedTuple):
    """A kernel.

    Its argument block is int64 words: the buffers' addresses, then the numbers' doubles, then the
    address of the status word (int64; 0 while all is well, else 1 + the buffer of a failed gather).
    """

    outer: Ints
    inner: Ints
    buffers: tuple[Any, ...]  # NumPy dtypes
    numbers: int
    stages: tuple[Stage, ...]
