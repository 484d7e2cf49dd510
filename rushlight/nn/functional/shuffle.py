"""Rearrangements and codes: pixel and channel shuffles, one-hot vectors.

In: (*, C, H, W) or (N, C, *) tensors, or class indices.  Out: the same values moved, or zeros and
ones.
"""

from __future__ import annotations

from typing import Any

import rushlight as rl

__all__ = ["channel_shuffle", "native_channel_shuffle", "one_hot", "pixel_shuffle"]
__all__ += ["pixel_unshuffle"]


def pixel_shuffle(input: Any, upscale_factor: int) -> Any:
    """(*, C r^2, H, W) to (*, C, H r, W r), with r = `upscale_factor`.

    Raises:
        RuntimeError: fewer than three dimensions, or channels not divisible by r^2.

    Source: Shi et al., "Real-time single image and video super-resolution", 2016.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.functional.pixel_shuffle(rl.zeros(1, 9, 4, 4), 3).shape
        torch.Size([1, 1, 12, 12])
    """
    _check_image("pixel_shuffle", "upscale_factor", input, upscale_factor)
    r = upscale_factor
    *batch, channels, height, width = input.shape
    if channels % (r * r) != 0:
        raise RuntimeError(
            "pixel_shuffle expects its input's 'channel' dimension to be divisible by the square "
            f"of upscale_factor, but input.size(-3)={channels} is not divisible by {r * r}"
        )
    n = len(batch)
    split = input.reshape(*batch, channels // (r * r), r, r, height, width)
    # (*, C, r1, r2, H, W) -> (*, C, H, r1, W, r2)
    moved = split.permute(*range(n), n, n + 3, n + 1, n + 4, n + 2)
    return moved.reshape(*batch, channels // (r * r), height * r, width * r)


def pixel_unshuffle(input: Any, downscale_factor: int) -> Any:
    """(*, C, H r, W r) to (*, C r^2, H, W): undoes `pixel_shuffle`.

    Raises:
        RuntimeError: fewer than three dimensions, or sizes not divisible by r.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.functional.pixel_unshuffle(rl.zeros(1, 1, 12, 12), 3).shape
        torch.Size([1, 9, 4, 4])
    """
    _check_image("pixel_unshuffle", "downscale_factor", input, downscale_factor)
    r = downscale_factor
    *batch, channels, height, width = input.shape
    for name, dim, size in (("height", -2, height), ("width", -1, width)):
        if size % r != 0:
            raise RuntimeError(
                f"pixel_unshuffle expects {name} to be divisible by downscale_factor, but "
                f"input.size({dim})={size} is not divisible by {r}"
            )
    n = len(batch)
    split = input.reshape(*batch, channels, height // r, r, width // r, r)
    # (*, C, H, r1, W, r2) -> (*, C, r1, r2, H, W)
    moved = split.permute(*range(n), n, n + 2, n + 4, n + 1, n + 3)
    return moved.reshape(*batch, channels * r * r, height // r, width // r)


def _check_image(name: str, argument: str, input: Any, factor: int) -> None:
    if input.dim() < 3:
        raise RuntimeError(
            f"{name} expects input to have at least 3 dimensions, but got input with "
            f"{input.dim()} dimension(s)"
        )
    if factor <= 0:
        raise RuntimeError(f"{name} expects a positive {argument}, but got {factor}")


def channel_shuffle(input: Any, groups: int) -> Any:
    """Split the channels of (N, C, *) into `groups` and interleave the groups.

    Raises:
        RuntimeError: fewer than three dimensions, or channels not divisible by `groups`.

    Source: Zhang et al., "ShuffleNet", 2017.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.functional.channel_shuffle(rl.arange(4.0).reshape(1, 4, 1), 2).flatten()
        tensor([0., 2., 1., 3.])
    """
    if input.dim() <= 2:
        raise RuntimeError(
            "channel_shuffle expects input with > 2 dims, but got input with sizes "
            f"{list(input.shape)}"
        )
    if groups <= 0:
        raise RuntimeError(
            f"Number of groups to divide channels in must be positive. Value of groups:{groups}"
        )
    batch, channels, *rest = input.shape
    if channels % groups != 0:
        raise RuntimeError(
            f"Number of channels must be divisible by groups. Got {channels} channels and "
            f"{groups} groups."
        )
    split = input.reshape(batch, groups, channels // groups, *rest)
    return split.transpose(1, 2).reshape(input.shape)


native_channel_shuffle = channel_shuffle


def one_hot(tensor: Any, num_classes: int = -1) -> Any:
    """Indices (*) to vectors (*, num_classes) that are 1 at the index and 0 elsewhere.

    Args:
        tensor: int64 class indices.
        num_classes: default: the largest index plus one.

    Raises:
        RuntimeError: negative indices, indices beyond `num_classes`, or another dtype.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.functional.one_hot(rl.tensor([0, 2]), 3)
        tensor([[1, 0, 0],
                [0, 0, 1]])
    """
    if tensor.dtype != rl.int64:
        raise RuntimeError("one_hot is only applicable to index tensor of type LongTensor.")
    if tensor.numel() == 0:
        if num_classes <= 0:
            raise RuntimeError("Can not infer total number of classes from empty tensor.")
        return tensor.new_zeros((*tensor.shape, num_classes))
    every = tensor if tensor._value is None else rl.func.debug_unwrap(tensor)  # inside vmap
    if int(every.min()) < 0:
        raise RuntimeError("Class values must be non-negative.")
    largest = int(every.max())
    if num_classes == -1:
        num_classes = largest + 1
    elif largest >= num_classes:
        raise RuntimeError("Class values must be smaller than num_classes.")
    zeros = tensor.new_zeros((*tensor.shape, num_classes))
    return zeros.scatter_(-1, tensor.unsqueeze(-1), 1)
