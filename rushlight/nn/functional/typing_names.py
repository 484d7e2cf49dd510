"""Names that PyTorch's functional module has for its own signatures and documentation.

Scripts that imported them from there keep working: hints for TorchScript's lists, the codes of
grid sampling's modes, notes that docstrings quote, and `boolean_dispatch`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = [
    "GRID_SAMPLE_INTERPOLATION_MODES",
    "GRID_SAMPLE_PADDING_MODES",
    "BroadcastingList1",
    "BroadcastingList2",
    "BroadcastingList3",
    "boolean_dispatch",
    "reproducibility_notes",
    "tf32_notes",
]

GRID_SAMPLE_INTERPOLATION_MODES = {"bilinear": 0, "nearest": 1, "bicubic": 2}
GRID_SAMPLE_PADDING_MODES = {"zeros": 0, "border": 1, "reflection": 2}

reproducibility_notes = {
    "forward_reproducibility_note": "Deterministic here, on any number of threads.",
    "backward_reproducibility_note": "The gradient is deterministic here.",
    "cudnn_reproducibility_note": "Deterministic here; cuDNN is not used.",
}
tf32_notes = {"tf32_note": "Computed in the full precision of its dtype here."}


class _BroadcastingList:
    """A hint: a list of numbers, or one number that stands for all of them."""

    def __getitem__(self, types: Any) -> None:
        return None


BroadcastingList1 = BroadcastingList2 = BroadcastingList3 = _BroadcastingList()


def boolean_dispatch(
    arg_name: str,
    arg_index: int,
    default: bool,
    if_true: Callable[..., Any],
    if_false: Callable[..., Any],
    module_name: str | None,
    func_name: str | None,
) -> Callable[..., Any]:
    """A function that calls one of two by a boolean argument.

    Args:
        arg_name, arg_index: the argument's name and position.
        default: its value where it is not given.
        if_true, if_false: the functions; one of them may have a docstring.
        module_name, func_name: what the new function is called.

    Raises:
        RuntimeError: both have a docstring.
    """
    if if_true.__doc__ is not None and if_false.__doc__ is not None:
        raise RuntimeError("only one function can have a docstring")

    def chosen(*args: Any, **kwargs: Any) -> Any:
        flag = kwargs.get(arg_name, args[arg_index] if arg_index < len(args) else default)
        return (if_true if flag else if_false)(*args, **kwargs)

    chosen.__doc__ = if_true.__doc__ if if_true.__doc__ is not None else if_false.__doc__
    if module_name is not None:
        chosen.__module__ = module_name
    if func_name is not None:
        chosen.__name__ = func_name
    return chosen
