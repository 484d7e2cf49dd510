"""What kernels use so that they can run on symbolic arrays too and be read as graphs.

A symbolic array (`compiler/symbols.py`) has no elements to look at.  Where a kernel checks its
operands' values, these helpers raise PyTorch's error for arrays, and for symbolic ones put the
check into what is computed: the compiled program refuses to store anything if it fails.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = [
    "checked",
    "empty",
    "is_symbol",
    "refused",
    "same_number",
    "scalar",
    "sums_at",
    "zeros",
]

_NUMBERS = (int, float, bool, complex)


def is_symbol(x: Any) -> bool:
    """Whether an operand is a symbolic array."""
    return hasattr(type(x), "captured")


def empty(like: Any, shape: Any, dtype: Any = None) -> Any:
    """An uninitialised row-major array; of an array's dtype and symbolic if that is."""
    return np.empty_like(like, dtype, "C", False, shape)


def zeros(like: Any, shape: Any, dtype: Any = None) -> Any:
    """A row-major array of zeros; of an array's dtype and symbolic if that is."""
    return np.zeros_like(like, dtype, "C", False, shape)


def scalar(value: Any, dtype: Any) -> Any:
    """A Python number, one known at run time only, or a 0-d array, in a dtype."""
    if dtype.kind == "f" and type(value) in (float, int):
        return dtype.type(value)  # three times as fast
    return value.astype(dtype) if is_symbol(value) else np.asarray(value).astype(dtype)


def same_number(value: Any, number: float) -> bool:
    """Whether a number is known to be this one; one known at run time only is not."""
    return type(value) in _NUMBERS and bool(value == number)


def checked(
    index: Any, size: int, error: Callable[[Any], Exception], negative: bool = False
) -> Any:
    """Indices that have been checked, or will be when they are used.

    Args:
        index: an array of whole numbers.
        size: what all of them must be less than.
        error: gives the exception for a wrong array of indices.
        negative: whether they may count from the end, down to ``-size``.

    Returns:
        the indices, to be used for reading or writing.
    """
    if is_symbol(index):
        index = index.astype(np.int64)
        return index if negative else np.where(index < 0, size, index)
    if index.size and (index.min() < (-size if negative else 0) or index.max() >= size):
        raise error(index)
    return index


def refused(x: Any, bad: Any, error: Callable[[], Exception]) -> Any:
    """The array x, unless ``bad`` is true somewhere.

    What is computed from the result of this does not exist if the check fails.
    """
    if not is_symbol(bad):
        if np.any(bad):
            raise error()
        return x
    row = np.where(np.any(bad), 1, 0)  # x is row 0 of one row: row 1 is out of bounds
    return np.broadcast_to(x, (1, *np.shape(x)))[row] if is_symbol(x) else _only_row(bad, x)[row]


def sums_at(places: Any, values: Any, size: int) -> Any:
    """A float64 vector of this size: the sum of the values that have each place."""
    if not is_symbol(values) and not is_symbol(places):
        return np.bincount(places, values, size)
    like = values if is_symbol(values) else places
    total = zeros(like, size, np.float64)
    np.add.at(total, places, values.astype(np.float64))
    return total


def _only_row(like: Any, x: Any) -> Any:
    """A symbolic array whose only row is x."""
    return np.full_like(like, x, np.asarray(x).dtype, shape=(1, *np.shape(x)))
