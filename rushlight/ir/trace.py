"""What a trace is made of: computations over memory, as the gate saw them.

A trace does not know tensors, only *places*: blocks of memory (a Storage each) that exist before
the stretch or are made in it.  A Call reads regions of places and writes regions of places; views
and aliases need no entry, they are regions.  `compiler/functional.py` makes a Graph of it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from rushlight.ir.meta import Meta
from rushlight.ir.op import Op, Plan

__all__ = ["Call", "Expression", "Item", "Number", "Region", "Scratch", "Unsupported"]


class Unsupported(Exception):
    """A stretch that cannot be compiled; the text says why."""


class Region(NamedTuple):
    """What a tensor sees of a place; offset in elements."""

    place: int
    meta: Meta
    offset: int


class Number(NamedTuple):
    """A Python float that may be another one next time: a run-time number of the program."""

    at: int


class Expression(NamedTuple):
    """Arithmetic on run-time numbers: ``name`` is a ufunc, ``args`` are what a Call may read."""

    name: str
    args: tuple[Any, ...]


class Call(NamedTuple):
    """One computation.

    Attributes:
        op: the record.
        plan: the rule's decision for these inputs.
        inputs: Regions, Python numbers, Numbers, Expressions or None.
        attrs: static attributes; Numbers and Expressions may stand for floats.
        outs: the regions that get the results.
    """

    op: Op
    plan: Plan
    inputs: tuple[Any, ...]
    attrs: tuple[Any, ...]
    outs: tuple[Region, ...]


class Item(NamedTuple):
    """The value of a one-element region at this point, for the Expressions that follow."""

    at: int
    region: Region


class Scratch(NamedTuple):
    """Memory whose contents nobody reads, in the place of a place's number."""

    number: int
    nbytes: int
