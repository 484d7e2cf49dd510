"""Distances, similarities and normalised vectors, as compositions of tensor operations.

In: tensors of vectors.  Out: one number a pair of vectors, or the vectors with norm 1.
"""

from __future__ import annotations

from typing import Any

import rushlight as rl

__all__ = ["cosine_similarity", "normalize", "pairwise_distance", "pdist"]


def pairwise_distance(
    x1: Any, x2: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Any:
    """The p-norm of x1 - x2 + eps along the last dimension.

    Args:
        x1: (N, D) or (D).
        x2: the same, or broadcast.
        p: of the norm. Default: 2.
        eps: added to each difference. Default: 1e-6.
        keepdim: keep the last dimension with size 1. Default: `False`.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.functional.pairwise_distance(rl.zeros(1, 4), rl.ones(1, 4))
        tensor([2.0000])
    """
    # The norm runs along the last dimension of the wider input.
    dim = max(x1.dim(), x2.dim()) - 1
    return rl.norm(x1 - x2 + eps, p, dim, keepdim)


def cosine_similarity(x1: Any, x2: Any, dim: int = 1, eps: float = 1e-8) -> Any:
    """x1 . x2 / (max(|x1|, eps) * max(|x2|, eps)) along `dim`; the inputs broadcast.

    Raises:
        RuntimeError: the inputs are not floating point.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.functional.cosine_similarity(rl.ones(1, 2), -rl.ones(1, 2)).round()
        tensor([-1.])
    """
    dtype = rl.result_type(x1, x2)
    if not dtype.is_floating_point:
        raise RuntimeError(
            f"expected common dtype to be floating point, yet common dtype is {_scalar_name(dtype)}"
        )
    x1, x2 = rl.broadcast_tensors(x1.to(dtype), x2.to(dtype))

    def unit(x: Any) -> Any:
        norm = rl.linalg.vector_norm(x, 2, dim, keepdim=True).clone()
        # The limit is no part of the graph: the gradient is that of the unclamped norm.
        with rl.no_grad():
            norm.clamp_min_(eps)
        return x / norm

    return (unit(x1) * unit(x2)).sum(dim)


def _scalar_name(dtype: Any) -> str:
    """The name PyTorch's messages give a dtype: Long, Int, ..."""
    names = {"int64": "Long", "int32": "Int", "int16": "Short", "int8": "Char", "uint8": "Byte"}
    plain = str(dtype).rpartition(".")[2]
    return names.get(plain, plain.capitalize())


def pdist(input: Any, p: float = 2.0) -> Any:
    """The p-norm distances between every two rows of (N, M): N (N - 1) / 2 numbers.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.functional.pdist(rl.tensor([[0.0], [1.0], [3.0]]))
        tensor([1., 3., 2.])
    """
    if input.dim() != 2:
        raise RuntimeError(f"pdist only supports 2D tensors, got: {input.dim()}D")
    if not input.is_floating_point():
        raise RuntimeError("pdist only supports floating-point dtypes")
    if p < 0:
        raise RuntimeError("pdist only supports non-negative p values")
    rows, columns = rl.triu_indices(input.size(0), input.size(0), 1, device=input.device)
    return rl.linalg.vector_norm(input[rows] - input[columns], p, 1)


def normalize(input: Any, p: float = 2.0, dim: Any = 1, eps: float = 1e-12, out: Any = None) -> Any:
    """input / max(|input|_p, eps) along `dim`.

    Args:
        input: any shape.
        p: of the norm. Default: 2.
        dim: one dimension or several. Default: 1.
        eps: smallest norm. Default: 1e-12.
        out: written into instead of a new tensor; it is not differentiable then.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.functional.normalize(rl.tensor([[3.0, 4.0]]))
        tensor([[0.6000, 0.8000]])
    """
    norm = input.norm(p, dim, keepdim=True).clamp_min(eps).expand_as(input)
    return input / norm if out is None else rl.div(input, norm, out=out)
