"""Resizing images and sampling them on grids."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import rushlight as rl
from rushlight.dispatch.gate import call
from rushlight.ops import grid_sample as sampling
from rushlight.ops import resample as records

__all__ = [
    "affine_grid",
    "grid_sample",
    "interpolate",
    "upsample",
    "upsample_bilinear",
    "upsample_nearest",
]

_RANKS = {"linear": 3, "bilinear": 4, "bicubic": 4, "lanczos": 4, "trilinear": 5}
_FILTERS = {
    "linear": "linear",
    "bilinear": "linear",
    "trilinear": "linear",
    "bicubic": "cubic",
    "lanczos": "lanczos",
}
_GRID_WARNING = (
    "Default grid_sample and affine_grid behavior has changed to align_corners=False since 1.3.0. "
    "Please specify align_corners=True if the old behavior is desired. See the documentation of "
    "grid_sample for details."
)


def _is_integer(value: Any) -> bool:
    if isinstance(value, rl.Tensor):
        return not value.is_floating_point()
    return hasattr(value, "__index__")


def _given_size(input: Any, size: Any, dim: int) -> list[int]:
    if not isinstance(size, (list, tuple)):
        return [int(size)] * dim
    if len(size) != dim:
        raise ValueError(
            "Input and output must have the same number of spatial dimensions, but got input with "
            f"spatial dimensions of {list(input.shape[2:])} and output size of {size}. Please "
            "provide input tensor in (N, C, d1, d2, ...,dK) format and output size in (o1, o2, "
            "...,oK) format."
        )
    if not all(_is_integer(s) for s in size):
        raise TypeError(
            "expected size to be one of int or Tuple[int] or Tuple[int, int] or Tuple[int, int, "
            f"int], but got size with types {[type(s) for s in size]}"
        )
    return [int(s) for s in size]


def _given_scales(input: Any, scale_factor: Any, dim: int) -> list[float]:
    if not isinstance(scale_factor, (list, tuple)):
        return [float(scale_factor)] * dim
    if len(scale_factor) != dim:
        raise ValueError(
            "Input and scale_factor must have the same number of spatial dimensions, but got input "
            f"with spatial dimensions of {list(input.shape[2:])} and scale_factor of shape "
            f"{scale_factor}. Please provide input tensor in (N, C, d1, d2, ...,dK) format and "
            "scale_factor in (s1, s2, ...,sK) format."
        )
    return [float(s) for s in scale_factor]


def _check_mode(input: Any, mode: str, align_corners: Any, antialias: bool) -> None:
    if antialias and not (mode in ("bilinear", "bicubic", "lanczos") and input.dim() == 4):
        raise ValueError(
            "Anti-alias option is restricted to bilinear, bicubic, and lanczos modes and requires "
            "a 4-D tensor as input"
        )
    rank = _RANKS.get(mode)
    if input.dim() in (3, 4, 5):
        if rank is not None and rank != input.dim() and rank + input.dim() in (7, 8, 9):
            raise NotImplementedError(
                f"Got {input.dim()}D input, but {mode} mode needs {rank}D input"
            )
        if rank == input.dim() or mode in ("nearest", "nearest-exact", "area"):
            if mode == "lanczos" and (align_corners or not antialias):
                raise ValueError(
                    "Lanczos mode does not support align_corners=True"
                    if antialias
                    else "Lanczos mode requires antialias=True"
                )
            return
    raise NotImplementedError(
        f"Input Error: Only 3D, 4D and 5D input Tensors supported (got {input.dim()}D) for the "
        "modes: nearest | linear | bilinear | bicubic | trilinear | lanczos | area | nearest-exact "
        f"(got {mode})"
    )


def interpolate(
    input: Any,
    size: int | Sequence[int] | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Any:
    """Resizes signals (N, C, L), images (N, C, H, W) or volumes (N, C, D, H, W).

    Args:
        input: floating point, or uint8 (which is rounded as Pillow rounds).
        size: the wanted spatial size; give it or ``scale_factor``.
        scale_factor: the wanted size over the present one; also sets how far samples lie apart.
        mode: ``nearest`` (as OpenCV), ``nearest-exact`` (as Pillow), ``linear``, ``bilinear``,
            ``trilinear``, ``bicubic``, ``lanczos`` (antialiased only) or ``area`` (means).
        align_corners: whether the corner elements' centres, rather than the corners, are aligned.
        recompute_scale_factor: whether distances follow from the sizes although a factor is given.
        antialias: widen the filter when shrinking, as Pillow does.

    Raises:
        ValueError: neither or both of ``size`` and ``scale_factor``, or a wrong length.
        NotImplementedError: a mode that does not fit the input's rank.

    Example:
        >>> import rushlight as torch
        >>> torch.nn.functional.interpolate(torch.tensor([[[1.0, 2.0]]]), scale_factor=2)
        tensor([[[1., 1., 2., 2.]]])
    """
    if mode in ("nearest", "area", "nearest-exact"):
        if align_corners is not None:
            raise ValueError(
                "align_corners option can only be set with the interpolating modes: linear | "
                "bilinear | bicubic | trilinear"
            )
    dim = input.dim() - 2
    sizes: list[int] | None = None
    scales: list[float] | None = None
    if size is not None and scale_factor is not None:
        raise ValueError("only one of size or scale_factor should be defined")
    if size is not None:
        sizes = _given_size(input, size, dim)
        if recompute_scale_factor:
            raise ValueError("recompute_scale_factor is not meaningful with an explicit size.")
    elif scale_factor is not None:
        scales = _given_scales(input, scale_factor, dim)
    else:
        raise ValueError("either size or scale_factor should be defined")
    _check_mode(input, mode, align_corners, antialias)
    if scales is not None:
        sizes = [int(n * s) for n, s in zip(input.shape[2:], scales, strict=True)]
        if recompute_scale_factor or mode == "area":
            scales = None
    assert sizes is not None
    if mode == "area":
        pool = getattr(rl.nn.functional, f"adaptive_avg_pool{dim}d")
        return pool(input, sizes)
    if 0 in input.shape[1:]:
        raise RuntimeError(
            f"Non-empty {input.dim()}D data tensor expected but got a tensor with sizes "
            f"{list(input.shape)}"
        )
    how = (_FILTERS.get(mode, mode), bool(align_corners), tuple(scales) if scales else None)
    return call(records.resample, (input,), (tuple(sizes), *how, bool(antialias)))


def upsample(
    input: Any,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Any:
    """An older name of ``interpolate``."""
    _deprecated("upsample")
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input: Any, size: Any = None, scale_factor: Any = None) -> Any:
    """An older name of ``interpolate(mode="nearest")``."""
    _deprecated("upsample_nearest")
    return interpolate(input, size, scale_factor, mode="nearest")


def upsample_bilinear(input: Any, size: Any = None, scale_factor: Any = None) -> Any:
    """An older name of ``interpolate(mode="bilinear", align_corners=True)``."""
    _deprecated("upsample_bilinear")
    return interpolate(input, size, scale_factor, mode="bilinear", align_corners=True)


def _deprecated(name: str) -> None:
    warnings.warn(
        f"`nn.functional.{name}` is deprecated. Use `nn.functional.interpolate` instead.",
        stacklevel=3,
    )


def grid_sample(
    input: Any,
    grid: Any,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Any:
    """Reads an image or volume at the places that a grid names (Jaderberg et al. 2015).

    Args:
        input: (N, C, H, W) or (N, C, D, H, W).
        grid: (N, h, w, 2) or (N, d, h, w, 3): coordinates in [-1, 1], x first.
        mode: ``bilinear``, ``nearest`` or ``bicubic`` (images only).
        padding_mode: what lies outside: ``zeros``, the ``border``, or the ``reflection``.
        align_corners: whether -1 and 1 are the corner elements' centres or the corners.

    Returns:
        (N, C, h, w) or (N, C, d, h, w).

    Example:
        >>> import rushlight as torch
        >>> image = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
        >>> corner = torch.tensor([[[[1.0, -1.0]]]])  # x = 1, y = -1: top right
        >>> torch.nn.functional.grid_sample(image, corner, align_corners=True)
        tensor([[[[2.]]]])
    """
    if mode not in ("bilinear", "nearest", "bicubic"):
        raise ValueError(
            "nn.functional.grid_sample(): expected mode to be 'bilinear', 'nearest' or 'bicubic', "
            f"but got: '{mode}'"
        )
    if padding_mode not in ("zeros", "border", "reflection"):
        raise ValueError(
            "nn.functional.grid_sample(): expected padding_mode to be 'zeros', 'border', or "
            f"'reflection', but got: '{padding_mode}'"
        )
    if align_corners is None:
        warnings.warn(_GRID_WARNING, stacklevel=2)
    how = (mode, padding_mode, bool(align_corners))
    return call(sampling.grid_sample, (input, grid), how)


def _line(n: int, like: Any, align_corners: bool) -> Any:
    """The coordinates of n elements along an axis of [-1, 1]."""
    if n <= 1:
        return rl.zeros(n, dtype=like.dtype, device=like.device)
    line = rl.linspace(-1, 1, n, dtype=like.dtype, device=like.device)
    return line if align_corners else line * (n - 1) / n


def affine_grid(theta: Any, size: Sequence[int], align_corners: bool | None = None) -> Any:
    """The grid by which ``grid_sample`` applies an affine map to an image or volume.

    Args:
        theta: (N, 2, 3) or (N, 3, 4), from output to input coordinates.
        size: of the output, (N, C, H, W) or (N, C, D, H, W).
        align_corners: as in ``grid_sample``.

    Returns:
        (N, H, W, 2) or (N, D, H, W, 3).

    Example:
        >>> import rushlight as torch
        >>> theta = torch.tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])
        >>> torch.nn.functional.affine_grid(theta, (1, 1, 1, 2), align_corners=False)
        tensor([[[[-0.5000,  0.0000],
                  [ 0.5000,  0.0000]]]])
    """
    if align_corners is None:
        warnings.warn(_GRID_WARNING, stacklevel=2)
        align_corners = False
    if not theta.is_floating_point():
        raise ValueError(f"Expected theta to have floating point type, but got {theta.dtype}")
    if len(size) not in (4, 5):
        raise NotImplementedError(
            "affine_grid only supports 4D and 5D sizes, for 2D and 3D affine transforms, "
            f"respectively. Got size {size}."
        )
    n = len(size) - 2
    if theta.dim() != 3 or theta.shape[-2] != n or theta.shape[-1] != n + 1:
        raise ValueError(
            f"Expected a batch of {n}D affine matrices of shape Nx{n}x{n + 1} for size {size}. Got "
            f"{theta.shape}."
        )
    if align_corners and min(size[2:]) == 1:
        warnings.warn(
            "Since version 1.3.0, affine_grid behavior has changed for unit-size grids when "
            "align_corners=True. This is not an intended use case of affine_grid. See the "
            "documentation of affine_grid for details.",
            stacklevel=2,
        )
    elif min(size) <= 0:
        raise ValueError(f"Expected non-zero, positive output size. Got {size}")
    lines = [_line(int(s), theta, align_corners) for s in size[2:]]
    axes = [
        line.view([-1 if i == d else 1 for i in range(n)]).expand(*size[2:])
        for d, line in enumerate(lines)
    ]
    base = rl.stack([*reversed(axes), rl.ones_like(axes[0])], -1)  # (*size, n + 1), x first
    rows = base.view(1, -1, n + 1).expand(size[0], -1, -1)
    return rl.bmm(rows, theta.transpose(1, 2)).view(size[0], *size[2:], n)
