"""``torch.functional``: functions that PyTorch defines in Python; the same ones as in ``torch``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rushlight._tensor.api import FUNCTIONS as _FUNCTIONS

_NAMES = (
    "atleast_1d",
    "atleast_2d",
    "atleast_3d",
    "broadcast_shapes",
    "broadcast_tensors",
    "block_diag",
    "cartesian_prod",
    "cdist",
    "chain_matmul",
    "einsum",
    "lu",
    "meshgrid",
    "norm",
    "pca_lowrank",
    "split",
    "stft",
    "istft",
    "svd_lowrank",
    "tensordot",
    "unique",
    "unique_consecutive",
    "unravel_index",
)

if not TYPE_CHECKING:
    globals().update({name: _FUNCTIONS[name] for name in _NAMES if name in _FUNCTIONS})

__all__ = [name for name in _NAMES if name in _FUNCTIONS]
