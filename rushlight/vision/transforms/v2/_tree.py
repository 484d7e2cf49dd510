"""Nested samples: a dict, list or tuple of anything, as a flat list and back.

In: a sample such as (image, {"boxes": ..., "labels": ...}). Out: its leaves in order, and a
function that builds the same nesting around as many new leaves. Only the plain containers are
opened; an object of any other class, subclasses of dict or list included, is a leaf.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterator
from typing import Any

Rebuild = Callable[[Iterator[Any]], Any]

_SEQUENCES = (list, tuple, deque)
_MAPPINGS = (dict, OrderedDict, defaultdict)


def _leaf(leaves: Iterator[Any]) -> Any:
    return next(leaves)


def _open(node: Any, flat: list[Any]) -> Rebuild:
    kind: Any = type(node)
    if kind in _MAPPINGS:
        keys, parts = list(node), [_open(value, flat) for value in node.values()]

        def mapping(leaves: Iterator[Any]) -> Any:
            pairs = [(key, part(leaves)) for key, part in zip(keys, parts, strict=True)]
            if kind is defaultdict:
                return defaultdict(node.default_factory, pairs)
            return kind(pairs)

        return mapping
    named = isinstance(node, tuple) and hasattr(node, "_fields")
    if kind in _SEQUENCES or named:
        parts = [_open(value, flat) for value in node]

        def sequence(leaves: Iterator[Any]) -> Any:
            values = [part(leaves) for part in parts]
            return kind(*values) if named else kind(values)

        return sequence
    flat.append(node)
    return _leaf


def tree_flatten(sample: Any) -> tuple[list[Any], Rebuild]:
    """The leaves of a sample, and how to build it again."""
    flat: list[Any] = []
    return flat, _open(sample, flat)


def tree_unflatten(flat: list[Any], rebuild: Rebuild) -> Any:
    """The sample with these leaves."""
    return rebuild(iter(flat))
