"""The `reduction` argument of losses, and the two deprecated booleans before it.

In: `"none"`, `"mean"` or `"sum"`, or `size_average` and `reduce`.  Out: the name or its number.
"""

from __future__ import annotations

import warnings


def get_enum(reduction: str) -> int:
    """0 for `"none"`, 1 for `"mean"`, 2 for `"sum"`; ValueError for anything else."""
    if reduction == "elementwise_mean":
        warnings.warn(
            "reduction='elementwise_mean' is deprecated. Please use reduction='mean' instead.",
            stacklevel=2,
        )
        return 1
    known = {"none": 0, "mean": 1, "sum": 2}
    if reduction not in known:
        raise ValueError(f"{reduction} is not a valid value for reduction")
    return known[reduction]


def legacy_get_string(
    size_average: bool | None, reduce: bool | None, emit_warning: bool = True
) -> str:
    """The reduction that the two deprecated arguments mean; each is True when None."""
    if reduce is not None and not reduce:
        name = "none"
    elif size_average is None or size_average:
        name = "mean"
    else:
        name = "sum"
    if emit_warning:
        warnings.warn(
            "size_average and reduce args will be deprecated, "
            f"please use reduction='{name}' instead.",
            stacklevel=2,
        )
    return name


def legacy_get_enum(
    size_average: bool | None, reduce: bool | None, emit_warning: bool = True
) -> int:
    """The number of the reduction that the two deprecated arguments mean."""
    return get_enum(legacy_get_string(size_average, reduce, emit_warning))
