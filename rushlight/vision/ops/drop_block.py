"""DropBlock: dropping whole squares of a feature map (https://arxiv.org/abs/1810.12890)."""

from __future__ import annotations

from typing import Any

import rushlight as rl
from rushlight import nn

__all__ = ["DropBlock2d", "DropBlock3d", "drop_block2d", "drop_block3d"]


def drop_block2d(
    input: Any,
    p: float,
    block_size: int,
    inplace: bool = False,
    eps: float = 1e-06,
    training: bool = True,
) -> Any:
    """Zeroes squares of a feature map (N, C, H, W) and scales the rest up.

    Args:
        input: the feature map.
        p: share of the map to drop, in [0, 1].
        block_size: side of a square, odd; at most the map's own.
        inplace: change the input itself.
        eps: keeps the scale finite.
        training: if false the input comes back as it is.
    """
    return _drop_blocks(input, p, block_size, inplace, eps, training, 2)


def drop_block3d(
    input: Any,
    p: float,
    block_size: int,
    inplace: bool = False,
    eps: float = 1e-06,
    training: bool = True,
) -> Any:
    """Zeroes cubes of a feature map (N, C, D, H, W); arguments as in `drop_block2d`."""
    return _drop_blocks(input, p, block_size, inplace, eps, training, 3)


def _drop_blocks(
    input: Any, p: float, size: int, inplace: bool, eps: float, training: bool, rank: int
) -> Any:
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"drop probability has to be between 0 and 1, but got {p}.")
    if input.ndim != rank + 2:
        raise ValueError(f"input should be {rank + 2} dimensional. Got {input.ndim} dimensions.")
    if not training or p == 0.0:
        return input
    sides = input.shape[2:]
    size = min(size, *sides)
    if size % 2 == 0:
        raise ValueError(f"block size should be odd. Got {size} which is even.")
    # A cell is the centre of a dropped block with this probability, so that a share p is dropped.
    places = [side - size + 1 for side in sides]
    cells, centres = 1, 1
    for side, place in zip(sides, places, strict=True):
        cells, centres = cells * side, centres * place
    rate = (p * cells) / (size**rank * centres)
    marked = rl.empty((*input.shape[:2], *places), dtype=input.dtype, device=input.device)
    marked.bernoulli_(rate)
    marked = nn.functional.pad(marked, [size // 2] * (2 * rank), value=0)
    pool = nn.functional.max_pool2d if rank == 2 else nn.functional.max_pool3d
    kept = 1 - pool(marked, kernel_size=size, stride=1, padding=size // 2)
    scale = kept.numel() / (eps + kept.sum())
    if inplace:
        return input.mul_(kept).mul_(scale)
    return input * kept * scale


class DropBlock2d(nn.Module):
    """`drop_block2d` as a module, active while training."""

    def __init__(
        self, p: float, block_size: int, inplace: bool = False, eps: float = 1e-06
    ) -> None:
        super().__init__()
        self.p = p
        self.block_size = block_size
        self.inplace = inplace
        self.eps = eps

    def forward(self, input: Any) -> Any:
        """The input, or in training what is left of it."""
        settings = (self.p, self.block_size, self.inplace, self.eps, self.training)
        return drop_block2d(input, *settings)

    def __repr__(self) -> str:
        settings = f"p={self.p}, block_size={self.block_size}, inplace={self.inplace}"
        return f"{type(self).__name__}({settings})"


class DropBlock3d(DropBlock2d):
    """`drop_block3d` as a module, active while training."""

    def forward(self, input: Any) -> Any:
        """The input, or in training what is left of it."""
        settings = (self.p, self.block_size, self.inplace, self.eps, self.training)
        return drop_block3d(input, *settings)
