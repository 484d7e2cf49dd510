"""Sizes as users write them, an int or a tuple, made into tuples.

In: an int or an iterable.  Out: a tuple of the right length.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any


def _ntuple(n: int, name: str = "parse") -> Callable[[Any], Any]:
    """A function that repeats a number `n` times and turns other iterables into tuples."""

    def parse(x: Any) -> Any:
        if isinstance(x, Iterable):
            return tuple(x)
        return (x,) * n

    parse.__name__ = name
    return parse


_single = _ntuple(1, "_single")
_pair = _ntuple(2, "_pair")
_triple = _ntuple(3, "_triple")
_quadruple = _ntuple(4, "_quadruple")
