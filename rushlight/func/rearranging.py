"""``rearrange``: reshaping and reordering of dimensions by a pattern with names.

Source of the notation: einops (Rogozhnikov 2022), https://openreview.net/forum?id=oapKSVM2bcj.
"""

from __future__ import annotations

import re
from typing import Any

import rushlight as rl

__all__ = ["rearrange"]

Group = list[str]


class DimensionBindError(Exception):
    """The sizes of a pattern's dimensions cannot be found, or do not fit the tensor."""


_TOKEN = re.compile(r"\s*(\.\.\.|[A-Za-z_]\w*|\d+|[()])")


def _groups(side: str) -> list[Group]:
    """The dimensions of one side of a pattern, each a list of names; "..." stands for several."""
    groups: list[Group] = []
    inner: Group | None = None
    at = 0
    text = side.rstrip()
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise ValueError(f"Unknown character '{text[at:].strip()[0]}'")
        token, at = found.group(1), found.end()
        if token == "(":
            if inner is not None:
                raise ValueError(
                    "Axis composition is one-level (brackets inside brackets not allowed)"
                )
            inner = []
        elif token == ")":
            if inner is None:
                raise ValueError("Brackets are not balanced")
            groups.append(inner)
            inner = None
        elif token.isdigit():
            if token != "1":
                raise ValueError("rearrange only supports unnamed axes of size 1")
            if inner is None:
                groups.append([])
        elif inner is not None:
            inner.append(token)
        else:
            groups.append([token])
    if inner is not None:
        raise ValueError(f"Imbalanced parentheses in expression: '{side}'")
    return groups


def _names(groups: list[Group]) -> list[str]:
    found: list[str] = []
    for group in groups:
        for name in group:
            if name in found:
                raise ValueError(f"Indexing expression contains duplicate dimension '{name}'")
            found.append(name)
    return found


def rearrange(tensor: Any, pattern: str, **axes_lengths: int) -> Any:
    """Reshapes and transposes by a pattern such as ``"b c (h p) -> b h (p c)"``.

    Args:
        tensor: a tensor, or a list of equally shaped ones, which are stacked first.
        pattern: names of dimensions before and after; parentheses merge or split dimensions, 1 is
            a dimension of size 1, an ellipsis any further dimensions.
        axes_lengths: sizes of named dimensions.

    Example:
        >>> import rushlight as torch
        >>> torch.func.rearrange(torch.zeros(2, 3, 4), "a b c -> c (b a)").shape
        torch.Size([4, 6])
    """
    if not isinstance(tensor, rl.Tensor):
        tensor = rl.stack(list(tensor))
    sides = pattern.split("->")
    if len(sides) != 2:
        raise ValueError("Pattern must contain a single '->' separator")
    left, right = _groups(sides[0]), _groups(sides[1])
    left_names, right_names = _names(left), _names(right)
    odd = set(left_names) ^ set(right_names)
    if odd:
        raise ValueError(
            f"Identifiers only on one side of rearrange expression (should be on both): {odd}"
        )
    unknown = set(axes_lengths) - set(left_names)
    if unknown:
        raise ValueError(f"Identifiers not found in rearrange expression: {unknown}")
    sizes, split = _read(tuple(tensor.shape), left, axes_lengths)
    order = [name for group in left for name in _expanded(group, sizes)]
    wanted = [name for group in right for name in _expanded(group, sizes)]
    moved = tensor.reshape(split).permute([order.index(name) for name in wanted])
    shape: list[int] = []
    for group in right:
        if group == ["..."]:
            shape.extend(sizes[name] for name in _expanded(group, sizes))
        else:
            n = 1
            for name in _expanded(group, sizes):
                n *= sizes[name]
            shape.append(n)
    return moved.reshape(shape)


def _expanded(group: Group, sizes: dict[str, int]) -> list[str]:
    """The names of a group, the ellipsis replaced by what it stands for."""
    found: list[str] = []
    for name in group:
        found.extend([n for n in sizes if n.startswith("...")] if name == "..." else [name])
    return found


def _read(
    shape: tuple[int, ...], left: list[Group], given: dict[str, int]
) -> tuple[dict[str, int], list[int]]:
    """The size of each name, and the shape with merged dimensions split."""
    free = len(shape) - (len(left) - (["..."] in left))
    if free < 0 or (free and ["..."] not in left):
        rule = "less than or equal to" if ["..."] in left else "equal to"
        count = len(left) - (["..."] in left)
        raise ValueError(
            f"Number of dimensions in pattern ({count}) must be {rule} the number of dimensions in "
            f"the tensor ({len(shape)})"
        )
    sizes: dict[str, int] = {}
    split: list[int] = []
    named = [name for group in left for name in group if name != "..."]
    numbers = {name: f"d{i}" for i, name in enumerate(named)}
    at = 0
    for group in left:
        if group == ["..."]:
            for k in range(free):
                sizes[f"...{k}"] = shape[at + k]
            split.extend(shape[at : at + free])
            at += free
            continue
        _bind(group, shape[at], given, sizes, numbers)
        split.extend([sizes[name] for name in group])
        at += 1
    return sizes, split


def _bind(
    group: Group, size: int, given: dict[str, int], sizes: dict[str, int], numbers: dict[str, str]
) -> None:
    """Finds the sizes of the names that share one dimension."""
    unknown = [name for name in group if name not in given]
    known = 1
    for name in group:
        if name in given:
            sizes[name] = given[name]
            known *= given[name]
    if len(unknown) > 1:
        raise DimensionBindError(
            "cannot infer the sizes of two dimensions at once "
            f"{numbers[unknown[0]]} and {numbers[unknown[1]]}"
        )
    if not unknown and known != size:
        pack = ", ".join([numbers[name] for name in group]) + ("," if len(group) == 1 else "")
        raise DimensionBindError(
            f"Dimension sizes to do not match ({size} != {known}) when matching dimension pack "
            f"({pack})"
        )
    if unknown and (not known or size % known):
        pattern = tuple([given.get(name, "?") for name in group])
        raise DimensionBindError(
            f"inferred dimension does not evenly fit into larger dimension: {size} vs {pattern}"
        )
    for name in unknown:
        sizes[name] = size // known
