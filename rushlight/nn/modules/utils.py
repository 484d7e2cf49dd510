"""Small helpers of the modules: size arguments, and a state_dict prefix.

In: sizes as users write them (an int or a tuple), or a state_dict.  Out: tuples of the right
length, or the same dictionary with a prefix taken off its keys.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rushlight.nn._sizes import _ntuple, _pair, _quadruple, _single, _triple

__all__ = [
    "_ntuple",
    "_pair",
    "_quadruple",
    "_single",
    "_triple",
    "consume_prefix_in_state_dict_if_present",
]


def _reverse_repeat_tuple(t: Iterable[Any], n: int) -> tuple[Any, ...]:
    """The elements in reverse order, each `n` times: `F.pad`'s order, last dimension first."""
    return tuple(x for x in reversed(tuple(t)) for _ in range(n))


def _list_with_default(out_size: Any, defaults: list[int]) -> Any:
    """`out_size` with its Nones filled from the last entries of `defaults`."""
    if isinstance(out_size, int):
        return out_size
    if len(defaults) <= len(out_size):
        raise ValueError(f"Input dimension should be at least {len(out_size) + 1}")
    own = defaults[-len(out_size) :]
    return [d if v is None else v for v, d in zip(out_size, own, strict=False)]


def consume_prefix_in_state_dict_if_present(state_dict: dict[str, Any], prefix: str) -> None:
    """Take `prefix` off every key that begins with it, in place (`"module."` of DataParallel).

    Args:
        state_dict: the dictionary; its `_metadata`, where there is one, is changed too.
        prefix: what to take off.

    Example:
        >>> state = {"module.weight": 1}
        >>> consume_prefix_in_state_dict_if_present(state, "module.")
        >>> state
        {'weight': 1}
    """
    for key in list(state_dict):
        if key.startswith(prefix):
            state_dict[key[len(prefix) :]] = state_dict.pop(key)
    metadata = getattr(state_dict, "_metadata", None)
    if metadata is None:
        return
    for key in list(metadata):
        # Metadata keys have no final dot: the entry of the prefix itself becomes the root's.
        if key and (key == prefix.replace(".", "") or key.startswith(prefix)):
            metadata[key[len(prefix) :]] = metadata.pop(key)
