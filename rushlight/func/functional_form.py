"""`functionalize`: a function without effects on its inputs' memory while it runs.

In: a function of tensors that writes in place. Out: one with the same results; what it wrote to an
input reaches that input at the end, in one step. PyTorch's removes the in-place operators for the
sake of tracers; here the compiler does that for itself, so what is left is this contract.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from rushlight.dispatch.tensor import Tensor
from rushlight.func.trees import mapped

__all__ = ["functionalize"]


def functionalize(func: Callable[..., Any], *, remove: str = "mutations") -> Callable[..., Any]:
    """The function on copies of its inputs, whose changes are written back when it returns.

    Args:
        func: a function of tensors, also within lists, tuples and dicts.
        remove: ``"mutations"``, or ``"mutations_and_views"``, which gives results of their own
            memory instead of views of the inputs.

    Raises:
        RuntimeError: another ``remove``.

    Example:
        >>> import rushlight as torch
        >>> x = torch.zeros(2)
        >>> torch.func.functionalize(lambda t: t.add_(1) * 2)(x), x
        (tensor([2., 2.]), tensor([1., 1.]))
    """
    if remove not in ("mutations", "mutations_and_views"):
        raise RuntimeError(
            f"functionalize(f, remove='mutations'): received invalid argument for remove={remove}. "
            "Valid options are:\n     remove='mutations': all inplace and out= operators will be "
            "removed from the program, and replaced with their out-of-place equivalents.\n     "
            "remove='mutations_and_views': In addition to the above, all aliasing operators {view} "
            "will be replaced with their non-aliasing counterparts, {view}_copy.\n"
        )

    @functools.wraps(func)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        pairs: dict[int, tuple[Tensor, Tensor, int]] = {}

        def apart(x: Any) -> Any:
            if not isinstance(x, Tensor):
                return x
            if id(x) not in pairs:
                made = x.clone()
                pairs[id(x)] = (x, made, made._version)
            return pairs[id(x)][1]

        results = func(*mapped(apart, args), **mapped(apart, kwargs))
        for x, made, version in pairs.values():
            if made._version != version:
                x.copy_(made)
        return results

    return wrapped
