"""Methods that PyTorch keeps for older code, for other layouts, and for other devices.

In: tensors, all of them strided and in the host's memory. Out: what the method means for those, or
PyTorch's refusal.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Sequence
from typing import Any, NoReturn

from rushlight._tensor.api import FUNCTIONS, dtype_of, function, method, size_of
from rushlight._tensor.api import tensor_property as _property
from rushlight._tensor.formats import memory_format
from rushlight._tensor.pickling import TypedStorage
from rushlight.dispatch.tensor import Tensor
from rushlight.ir.shapes import wrap_dim

__all__: list[str] = []


# Where the elements lie


@method
def const_data_ptr(self: Tensor) -> int:
    """The address of the first element, for reading only."""
    return self.data_ptr()  # type: ignore[no-any-return]


@method
def storage(self: Tensor) -> TypedStorage:
    """The memory seen as elements of this dtype; `untyped_storage` is what PyTorch recommends."""
    warnings.warn(
        "TypedStorage is deprecated. It will be removed in the future and UntypedStorage will be "
        "the only storage class. This should only matter to you if you are using storages "
        "directly.  To access UntypedStorage directly, use tensor.untyped_storage() instead of "
        "tensor.storage()",
        UserWarning,
        stacklevel=2,
    )
    return TypedStorage(self.untyped_storage(), self._meta.dtype)


@method
def dim_order(self: Tensor, *, ambiguity_check: Any = False) -> tuple[int, ...]:
    """The dimensions from the outermost to the innermost in memory.

    Args:
        ambiguity_check: raise where several orders fit; a list of memory formats, where not exactly
            one of them fits.

    Raises:
        RuntimeError: the order is not unique.

    Example:
        >>> import rushlight as torch
        >>> torch.empty(2, 3, 4, 5).to(memory_format=torch.channels_last).dim_order()
        (0, 2, 3, 1)
    """
    formats: Any = ambiguity_check if isinstance(ambiguity_check, list) else []
    if not isinstance(ambiguity_check, bool) and not (
        isinstance(ambiguity_check, list) and all(isinstance(f, memory_format) for f in formats)
    ):
        raise TypeError("The ambiguity_check argument must be a bool or a list of memory formats.")
    m = self._meta
    several = 1 in m.shape or any(a == b for a, b in itertools.pairwise(m.strides))
    if ambiguity_check is not False and several:
        if sum(self.is_contiguous(memory_format=f) for f in formats) != 1:
            raise RuntimeError(
                "The tensor does not have unique dim order, or cannot map to exact one of the "
                "given memory formats."
            )
    order = list(range(m.ndim))
    for i in range(1, m.ndim):  # by insertion: equal or zero strides keep their order
        at = i
        for j in range(i - 1, -1, -1):
            here, there = m.strides[order[at]], m.strides[order[j]]
            if here == 0 or there == 0:
                continue
            if there >= here:
                break
            order[at], order[j] = order[j], order[at]
            at = j
    return tuple(order)


@function
def get_device(input: Tensor) -> int:
    """The index of the device; -1 on the CPU."""
    return input.get_device()  # type: ignore[no-any-return]


@method
def record_stream(self: Tensor, stream: Any) -> NoReturn:
    """Tells a device's allocator of a stream that uses the memory; the CPU has none.

    Raises:
        NotImplementedError: always.
    """
    raise NotImplementedError(
        "Could not run 'aten::record_stream' with arguments from the 'CPU' backend."
    )


@method
def is_distributed(self: Tensor) -> bool:
    """False; kept for older code."""
    return False


# Other layouts


@method
def to_dense(self: Tensor, dtype: Any = None, *, masked_grad: bool | None = None) -> Any:
    """The tensor itself, for it is strided; converted if a dtype is given."""
    return self if dtype is None else self.to(dtype_of(dtype))


@method
def to_padded_tensor(self: Tensor, padding: float, output_size: Any = None) -> NoReturn:
    """Makes a nested tensor rectangular; there are no nested tensors.

    Raises:
        NotImplementedError: always.
    """
    raise NotImplementedError(
        "Could not run 'aten::to_padded_tensor' with arguments from the 'CPU' backend."
    )


# New shapes


def _resized(self: Tensor, size: tuple[int, ...]) -> Any:
    count = 1
    for n in size:
        count *= n
    if count != self._meta.numel:
        given = "x".join(map(str, size))
        have = "x".join(map(str, self._meta.shape))
        raise RuntimeError(
            f"requested resize to {given} ({count} elements in total), but the given tensor has a "
            f"size of {have} ({self._meta.numel} elements). autograd's resize can only change the "
            "shape of a given tensor, while preserving the number of elements. "
        )
    return self.contiguous().view(size)


@method
def resize(self: Tensor, *sizes: Any) -> Any:
    """A view of another shape; deprecated, ``view`` and ``reshape`` do it."""
    warnings.warn("non-inplace resize is deprecated", UserWarning, stacklevel=2)
    return _resized(self, size_of(sizes))


@method
def resize_as(self: Tensor, tensor: Tensor) -> Any:
    """A view of another tensor's shape; deprecated, ``view_as`` does it."""
    warnings.warn("non-inplace resize_as is deprecated", UserWarning, stacklevel=2)
    return _resized(self, tuple(tensor._meta.shape))


@method
def index(self: Tensor, positions: Any, dims: Any) -> Any:
    """What indexing gives with an index at each of these dimensions.

    Args:
        positions: a dimension, or a sequence of them.
        dims: an index (an int, slice or tensor) for each.

    Example:
        >>> import rushlight as torch
        >>> torch.arange(6).reshape(2, 3).index(1, 2)
        tensor([2, 5])
    """
    at: Sequence[int] = positions if isinstance(positions, (tuple, list)) else (positions,)
    given: Sequence[Any] = dims if isinstance(positions, (tuple, list)) else (dims,)
    if len(at) != len(given):
        raise ValueError(f"{len(at)} positions, but {len(given)} indices")
    n = self._meta.ndim
    items: list[Any] = [slice(None)] * n
    for position, item in zip(at, given, strict=True):
        items[wrap_dim(position, n)] = item
    return self[tuple(items)]


# Modules and autograd


@method
def module_load(self: Tensor, other: Tensor, assign: bool = False) -> Any:
    """What ``load_state_dict`` puts in this tensor's place when modules swap tensors.

    Args:
        other: the value in the state dict.
        assign: take ``other`` itself rather than its values.
    """
    return other.detach() if assign else self.copy_(other).detach()


@method
def reinforce(self: Tensor, reward: Any) -> NoReturn:
    """Gone since PyTorch 0.4.

    Raises:
        RuntimeError: always; it says what to use.
    """
    raise RuntimeError(
        "reinforce() was removed.\nUse torch.distributions instead.\n"
        "See https://pytorch.org/docs/main/distributions.html"
    )


FUNCTIONS["addmv_"] = Tensor.addmv_


def _no(self: Tensor) -> None:
    return None


def _volatile(self: Tensor) -> bool:
    warnings.warn(
        "volatile was removed (Variable.volatile is always False)", UserWarning, stacklevel=2
    )
    return False


def _set_volatile(self: Tensor, value: Any) -> None:
    warnings.warn(
        "volatile was removed and now has no effect. Use `with torch.no_grad():` instead.",
        UserWarning,
        stacklevel=2,
    )


_property("name", _no, None, "None; tensors of PyTorch's C++ side can have one.")
_property("volatile", _volatile, _set_volatile, "False; kept for code older than PyTorch 0.4.")
