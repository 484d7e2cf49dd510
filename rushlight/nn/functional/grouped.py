"""Products of many matrices at once (`grouped_mm`), and products of scaled 8-bit floats.

In: matrices stacked in one tensor, by a leading dimension or end to end along a dimension. Out: a
tensor of their products. There are no 8-bit floats here, so the scaled products refuse, as
PyTorch's do, whatever they are given.
"""

from __future__ import annotations

import enum
from typing import Any, NoReturn

import rushlight as rl
from rushlight import Tensor

__all__ = [
    "ScalingType",
    "SwizzleType",
    "grouped_mm",
    "scaled_grouped_mm",
    "scaled_mm",
]


class ScalingType(enum.IntEnum):
    """How many elements of a matrix of 8-bit floats share a scale."""

    TensorWise = 0
    RowWise = 1
    BlockWise1x16 = 2
    BlockWise1x32 = 3
    BlockWise1x128 = 4
    BlockWise128x128 = 5


class SwizzleType(enum.IntEnum):
    """In which order the scales lie in memory."""

    NO_SWIZZLE = 0
    SWIZZLE_32_4_4 = 1


def _check_grouped(a: Any, b: Any, offs: Any, bias: Any, out_dtype: Any) -> None:
    """Refuses what PyTorch refuses, in its words."""
    kinds = (rl.float32, rl.bfloat16, rl.float16)
    for name, m in (("mat_a", a), ("mat_b", b)):
        if m.dtype not in kinds:
            kind = rl.empty(0, dtype=m.dtype).type().removeprefix("torch.").removesuffix("Tensor")
            raise RuntimeError(
                f"Expected {name} to be Float32, BFloat16 or Float16 matrix, got {kind or 'Float'}"
            )
        if m.dim() not in (2, 3):
            raise RuntimeError(f"{name} has to be 2 or 3d")
    if (a.dim() == 2 or b.dim() == 2) != (offs is not None):
        raise RuntimeError(
            "Have to provide offsets if there is a 2d matrix, or no offset if both matrices are 3d"
        )
    if a.shape[-1] != b.shape[-2]:
        raise RuntimeError("contraction dimension of mat_a and mat_b must match")
    if offs is not None and offs.dtype is not rl.int32:
        raise RuntimeError("Offsets have to be int32")
    if any(s * a.element_size() % 16 for m in (a, b) for s in m.stride() if s != 1):
        raise RuntimeError("strides should be multiple of 16 bytes")
    if bias is not None:
        raise RuntimeError("Bias not supported yet")
    if out_dtype is not None and out_dtype is not a.dtype:
        raise RuntimeError("Grouped gemm output dtype must match `mat_a` dtype")


def grouped_mm(
    mat_a: Tensor,
    mat_b: Tensor,
    *,
    offs: Tensor | None = None,
    bias: Tensor | None = None,
    out_dtype: Any = None,
) -> Any:
    """The products of groups of matrices.

    Args:
        mat_a: (G, M, K), or (M, K) whose rows, or columns, are shared out among the groups.
        mat_b: (G, K, N), or (K, N).
        offs: where each group ends, (G,) int32; needed if one of them is 2-d.
        bias, out_dtype: not supported by PyTorch either.

    Shapes, with a group's share written m, k or n:
        - (G, M, K) x (G, K, N) gives (G, M, N)
        - (M, K) x (G, K, N), rows shared out, gives (M, N)
        - (G, M, K) x (K, N), columns of the second shared out, gives (M, N)
        - (M, K) x (K, N), the inner dimension shared out, gives (G, M, N)

    Raises:
        RuntimeError: dtypes other than float32, float16 and bfloat16, or shapes that do not fit.

    Example:
        >>> import rushlight as rl
        >>> ends = rl.tensor([1, 4], dtype=rl.int32)
        >>> rl.nn.functional.grouped_mm(rl.ones(4, 8), rl.ones(2, 8, 4), offs=ends).shape
        torch.Size([4, 4])
    """
    _check_grouped(mat_a, mat_b, offs, bias, out_dtype)
    if offs is None:
        return rl.bmm(mat_a, mat_b)
    parts, start = [], 0
    flat_a, flat_b = mat_a.dim() == 2, mat_b.dim() == 2
    for group, end in enumerate(offs.tolist()):
        a = mat_a if flat_a else mat_a[group]
        b = mat_b if flat_b else mat_b[group]
        if flat_a:
            a = a[:, start:end] if flat_b else a[start:end]
        if flat_b:
            b = b[start:end] if flat_a else b[:, start:end]
        parts.append(rl.mm(a, b))
        start = end
    if flat_a and flat_b:
        return rl.stack(parts)
    dim, size = (0, mat_a.shape[0]) if flat_a else (1, mat_b.shape[1])
    if start < size:  # what belongs to no group; PyTorch leaves it uninitialised
        shape = list(parts[0].shape)
        shape[dim] = size - start
        parts.append(parts[0].new_zeros(shape))
    return rl.cat(parts, dim)


def scaled_mm(
    mat_a: Tensor,
    mat_b: Tensor,
    scale_a: Any,
    scale_recipe_a: Any,
    scale_b: Any,
    scale_recipe_b: Any,
    swizzle_a: Any = None,
    swizzle_b: Any = None,
    bias: Tensor | None = None,
    output_dtype: Any = rl.bfloat16,
    contraction_dim: Any = (),
    use_fast_accum: bool = False,
) -> NoReturn:
    """The product of two matrices of 8-bit floats with scales; there are none here.

    Raises:
        ValueError: always, for no tensor has an 8-bit floating dtype.
    """
    m, n = mat_a.shape[0], mat_b.shape[1]
    shown = [
        f"{name}.dtype()={t.type().removeprefix('torch.').removesuffix('Tensor')}, "
        f"scale_{name[-1]}.dtype()={s.type().removeprefix('torch.').removesuffix('Tensor')}, "
        f"scale_{name[-1]}.size()={list(s.shape)}"
        for name, t, s in (("mat_a", mat_a, _one(scale_a)), ("mat_b", mat_b, _one(scale_b)))
    ]
    raise ValueError(
        "Invalid scaling configuration.\n- For TensorWise scaling, a and b should be float8, "
        "scales should be float and singletons.\n- For RowWise scaling, a and b should be float8, "
        f"scales should be float, scale_a should be ({m}, 1) and scale_b should be (1, {n}), and "
        f"both should be contiguous.\nGot {' and '.join(shown)}"
    )


def _one(scale: Any) -> Any:
    return scale[0] if isinstance(scale, (list, tuple)) else scale


def scaled_grouped_mm(
    mat_a: Tensor,
    mat_b: Tensor,
    scale_a: Any,
    scale_recipe_a: Any,
    scale_b: Any,
    scale_recipe_b: Any,
    swizzle_a: Any = None,
    swizzle_b: Any = None,
    bias: Tensor | None = None,
    offs: Tensor | None = None,
    output_dtype: Any = rl.bfloat16,
    contraction_dim: Any = (),
    use_fast_accum: bool = False,
) -> NoReturn:
    """Products of groups of matrices of 8-bit floats with scales; PyTorch's CPU has none either.

    Raises:
        NotImplementedError: always.
    """
    raise NotImplementedError(
        "Could not run 'aten::_scaled_grouped_mm_v2' with arguments from the 'CPU' backend."
    )
