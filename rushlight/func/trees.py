"""Nested containers of tensors: tuples, lists, dicts and named tuples taken apart and put together.

In: what users pass to and get from transformed functions.  Out: the leaves, and a Spec that can put
other leaves in their places.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Sequence
from typing import Any

__all__ = ["Spec", "broadcast", "flatten", "mapped"]


class Spec:
    """The structure of a nested container; a leaf has no kind."""

    __slots__ = ("context", "kind", "parts")

    def __init__(self, kind: Any, context: Any, parts: Sequence[Spec]) -> None:
        self.kind = kind
        self.context = context
        self.parts = tuple(parts)

    def unflatten(self, leaves: Sequence[Any]) -> Any:
        """The container with these leaves."""
        return _build(self, iter(leaves))

    def __len__(self) -> int:
        return 1 if self.kind is None else sum(len(p) for p in self.parts)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Spec)
            and self.kind is other.kind
            and self.context == other.context
            and self.parts == other.parts
        )

    def __hash__(self) -> int:
        return hash((self.kind, self.parts))

    def __repr__(self) -> str:
        return _show(self, 0)

    def __str__(self) -> str:
        return _brief(self)


def _show(spec: Spec, indent: int) -> str:
    if spec.kind is None:
        return "*"
    head = f"TreeSpec({spec.kind.__name__}, {spec.context}, ["
    inner = indent + 2
    parts = [_show(p, inner) for p in spec.parts]
    text = parts[0] if parts else ""
    if len(parts) > 1:
        text += ",\n" + ",\n".join(" " * inner + p for p in parts[1:])
    return head + text + "])"


def _brief(spec: Spec) -> str:
    """As Python writes such a container, with stars for leaves."""
    if spec.kind is None:
        return "*"
    parts = [_brief(p) for p in spec.parts]
    if spec.kind is list:
        return f"[{', '.join(parts)}]"
    if spec.kind is dict:
        return (
            "{" + ", ".join(f"{k!r}: {p}" for k, p in zip(spec.context, parts, strict=True)) + "}"
        )
    if spec.kind is tuple:
        return f"({', '.join(parts)}{',' if len(parts) == 1 else ''})"
    return _show(spec, 0)


def _build(spec: Spec, leaves: Any) -> Any:
    if spec.kind is None:
        return next(leaves)
    made = [_build(p, leaves) for p in spec.parts]
    kind, context = spec.kind, spec.context
    if kind is defaultdict:
        return defaultdict(context[0], zip(context[1], made, strict=True))
    if issubclass(kind, dict):
        return kind(zip(context, made, strict=True))
    if hasattr(kind, "_fields") or hasattr(kind, "n_sequence_fields"):
        return kind(*made) if hasattr(kind, "_fields") else kind(made)
    return kind(made)


def _children(tree: Any) -> tuple[Any, Any, list[Any]] | None:
    """(kind, context, parts) of a container; None for a leaf."""
    kind = type(tree)
    if kind in (list, tuple, deque):
        return kind, None, list(tree)
    if kind is defaultdict:
        return kind, [tree.default_factory, list(tree)], list(tree.values())
    if kind in (dict, OrderedDict):
        return kind, list(tree), list(tree.values())
    if isinstance(tree, tuple) and hasattr(kind, "_fields"):
        return kind, None, list(tree)
    if isinstance(tree, tuple) and hasattr(kind, "n_sequence_fields"):
        return kind, None, list(tree)
    return None


def flatten(tree: Any) -> tuple[list[Any], Spec]:
    """The leaves in order, and the structure."""
    leaves: list[Any] = []

    def walk(node: Any) -> Spec:
        found = _children(node)
        if found is None:
            leaves.append(node)
            return Spec(None, None, ())
        kind, context, parts = found
        return Spec(kind, context, [walk(p) for p in parts])

    spec = walk(tree)
    return leaves, spec


def mapped(f: Callable[..., Any], tree: Any, *others: Any) -> Any:
    """The container with ``f`` applied to its leaves, together with those of like containers."""
    leaves, spec = flatten(tree)
    rest = [flatten(t)[0] for t in others]
    return spec.unflatten([f(*xs) for xs in zip(leaves, *rest, strict=True)])


def broadcast(prefix: Any, spec: Spec) -> list[Any] | None:
    """One value a leaf of ``spec`` from a container of less depth; None if they do not fit."""
    found = _children(prefix)
    if found is None:
        return [prefix] * len(spec)
    kind, context, parts = found
    same = kind is spec.kind or (kind in (list, tuple) and spec.kind in (list, tuple))
    if not same or len(parts) != len(spec.parts):
        return None
    if kind is not spec.kind or context != spec.context:
        return None
    values: list[Any] = []
    for part, child in zip(parts, spec.parts, strict=True):
        below = broadcast(part, child)
        if below is None:
            return None
        values.extend(below)
    return values
