"""Shape arithmetic shared by the rules: broadcasting, dimension numbers, reductions, windows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rushlight.ir.meta import Meta, Size

__all__ = ["broadcast", "dim_list", "infer_size", "reduced", "window_output", "wrap_dim"]


def wrap_dim(dim: Any, ndim: int, scalar_ok: bool = True) -> int:
    """A dimension number in 0..ndim-1; a 0-d tensor accepts 0 and -1.

    Raises:
        IndexError: outside the range, in PyTorch's words.
    """
    span = ndim if ndim or not scalar_ok else 1
    if not -span <= dim < span:
        if span == 0:
            raise IndexError(f"Dimension specified as {dim} but tensor has no dimensions")
        raise IndexError(
            f"Dimension out of range (expected to be in range of [{-span}, {span - 1}], "
            f"but got {dim})"
        )
    return int(dim + span if dim < 0 else dim)


_ALL = tuple(tuple(range(n)) for n in range(8))


def dim_list(dim: Any, ndim: int, all_if_empty: bool = True) -> tuple[int, ...]:
    """Dimensions of a reduction: None or an empty tuple means all of them.

    Raises:
        RuntimeError: if a dimension appears twice.
    """
    if ndim > 64:
        raise RuntimeError("only tensors with up to 64 dims are supported")
    if dim is None:
        return _ALL[ndim] if ndim < len(_ALL) else tuple(range(ndim))
    if all_if_empty and isinstance(dim, (tuple, list)) and len(dim) == 0:
        return tuple(range(ndim))
    if isinstance(dim, (tuple, list)):
        found = tuple(wrap_dim(d, ndim) for d in dim)
    else:
        found = (wrap_dim(dim, ndim),)
    if not ndim:
        return ()
    if len(set(found)) != len(found):
        twice = next(d for i, d in enumerate(found) if d in found[:i])
        raise RuntimeError(f"dim {twice} appears multiple times in the list of dims")
    return found


def reduced(shape: Sequence[int], dims: Sequence[int], keepdim: bool) -> Size:
    """The shape after reducing over these dimensions."""
    gone = set(dims)
    if keepdim:
        return Size(1 if i in gone else s for i, s in enumerate(shape))
    return Size(s for i, s in enumerate(shape) if i not in gone)


def broadcast(*shapes: Sequence[int]) -> Size:
    """The common shape under broadcasting.

    Raises:
        RuntimeError: if two sizes differ and neither is 1.
    """
    result: list[int] = list(shapes[0]) if shapes else []
    for shape in shapes[1:]:
        if len(shape) > len(result):
            result = [1] * (len(shape) - len(result)) + result
        pad = len(result) - len(shape)
        for i in range(len(shape) - 1, -1, -1):  # PyTorch names the last dimension that differs
            size, have = shape[i], result[i + pad]
            if size == have or size == 1:
                continue
            if have != 1:
                raise RuntimeError(
                    f"The size of tensor a ({have}) must match the size of tensor b ({size}) "
                    f"at non-singleton dimension {i + pad}"
                )
            result[i + pad] = size
    return Size(result)


def infer_size(shape: Sequence[int], numel: int) -> Size:
    """Fills in the one -1 of a view's shape.

    Raises:
        RuntimeError: if no size fits.
    """
    known, hole = 1, None
    for i, s in enumerate(shape):
        if s == -1:
            if hole is not None:
                raise RuntimeError("only one dimension can be inferred")
            hole = i
        elif s < 0:
            raise RuntimeError(f"invalid shape dimension {s}")
        else:
            known *= s
    if hole is None:
        if known == numel:
            return Size(shape)
    elif known and numel % known == 0:
        return Size((*shape[:hole], numel // known, *shape[hole + 1 :]))
    elif known == 0 and numel == 0:
        raise RuntimeError(
            f"cannot reshape tensor of 0 elements into shape {list(shape)} because the "
            f"unspecified dimension size -1 can be any value and is ambiguous"
        )
    raise RuntimeError(f"shape '{list(shape)}' is invalid for input of size {numel}")


def window_output(
    size: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool = False
) -> int:
    """How many windows fit along one dimension."""
    reach = dilation * (kernel - 1) + 1
    span = size + 2 * padding - reach
    if not ceil_mode:
        return span // stride + 1
    count = -(-span // stride) + 1
    if (count - 1) * stride >= size + padding:  # the last window must start inside the input
        count -= 1
    return count


def same_device(metas: Sequence[Any]) -> Any:
    """The device of the result; 0-d CPU tensors and numbers go with any.

    Raises:
        RuntimeError: if tensors on two devices meet.
    """
    found = None
    for m in metas:
        if isinstance(m, Meta):
            if found is None or (found.ndim == 0 and found.device.type == "cpu"):
                if found is None or m.device is not found.device:
                    found = m
            elif m.device is not found.device and not (m.ndim == 0 and m.device.type == "cpu"):
                raise RuntimeError(
                    "Expected all tensors to be on the same device, but found at least two "
                    f"devices, {found.device} and {m.device}!"
                )
    return found.device if found is not None else None
