"""Whatever a user logs, as a NumPy array.

In: tensors, arrays, Python scalars. Out: arrays; a tensor is known by ``detach()`` and ``numpy()``,
so that this package needs nothing of the tensor core.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from rushlight.errors import with_note

__all__ = ["is_tensor", "make_np"]

Array = npt.NDArray[Any]


def is_tensor(value: object) -> bool:
    """True for tensors, whatever device or subclass they are of."""
    return hasattr(value, "detach") and hasattr(value, "numpy")


def make_np(x: Any) -> Array:
    """An array with the values of ``x``.

    Args:
        x: a tensor of any device and dtype (bfloat16 is widened to float32), an array, or a
            scalar, which gives an array of shape (1,).

    Raises:
        NotImplementedError: ``x`` is none of these; a list, for instance.

    Example:
        >>> make_np(2.5)
        array([2.5])
    """
    if isinstance(x, np.ndarray):
        return x
    if np.isscalar(x):
        return np.array([x])
    if is_tensor(x):
        if str(x.dtype).endswith("bfloat16"):  # NumPy has none
            x = x.float()
        array: Array = x.detach().cpu().numpy()
        return array
    error = NotImplementedError(f"Got {type(x)}, but numpy array or torch tensor are expected.")
    if isinstance(x, list | tuple):
        with_note(error, "convert the sequence first: torch.tensor(...) or numpy.asarray(...)")
    raise error
