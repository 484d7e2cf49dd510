"""Helpers of the distributions: broadcasting of parameters, probabilities and logits, triangles.

In and out: tensors.  The names without an underscore are those of ``torch.distributions.utils``.
"""

from __future__ import annotations

import functools
import numbers
from collections.abc import Callable
from typing import Any

import rushlight as rl

__all__ = [
    "broadcast_all",
    "clamp_probs",
    "lazy_property",
    "logits_to_probs",
    "probs_to_logits",
    "tril_matrix_to_vec",
    "vec_to_tril_matrix",
]

euler_constant = 0.57721566490153286060  # Euler and Mascheroni's
SCALAR = rl.Size(())


def is_number(value: Any) -> bool:
    """Whether a parameter was given as a plain Python number."""
    return isinstance(value, (int, float, bool, complex))


def _is_tensor_like(value: Any) -> bool:
    return isinstance(value, rl.Tensor) or hasattr(type(value), "__torch_function__")


def broadcast_all(*values: Any) -> Any:
    """All values as tensors of one shape.

    Args:
        values: tensors or numbers; a number takes the dtype of the first tensor among them, or the
            default dtype.

    Returns:
        A tuple of tensors, one a value.

    Raises:
        ValueError: a value that is neither a number nor a tensor.

    Example:
        >>> import rushlight as torch
        >>> from rushlight.distributions.utils import broadcast_all
        >>> broadcast_all(1.0, torch.zeros(2))
        (tensor([1., 1.]), tensor([0., 0.]))
    """
    if not all([_is_tensor_like(v) or is_number(v) for v in values]):
        raise ValueError(
            "Input arguments must all be instances of Number, "
            "torch.Tensor or objects implementing __torch_function__."
        )
    first = next((v for v in values if isinstance(v, rl.Tensor)), None)
    dtype = rl.get_default_dtype() if first is None else first.dtype
    tensors = [v if _is_tensor_like(v) else rl.tensor(v, dtype=dtype) for v in values]
    return tuple(rl.broadcast_tensors(*tensors))


def batch_of(tensor: Any, *given: Any) -> Any:
    """The batch shape: none if every parameter was given as a number, else the tensor's shape."""
    return SCALAR if all([isinstance(v, numbers.Number) for v in given]) else tensor.size()


def standard_normal(shape: Any, like: Any) -> Any:
    """Standard normal draws of a shape, in the dtype of another tensor."""
    return rl.empty(shape, dtype=like.dtype, device=like.device).normal_()


def uniform_draws(shape: Any, like: Any) -> Any:
    """Draws from [0, 1) of a shape, in the dtype of another tensor."""
    return rl.rand(shape, dtype=like.dtype, device=like.device)


def open_uniform(shape: Any, like: Any) -> Any:
    """Draws from the open interval (0, 1): at least the smallest normal number."""
    info = rl.finfo(like.dtype)
    return like.new_empty(shape).uniform_(info.tiny, 1)


def sum_rightmost(value: Any, dims: int) -> Any:
    """The sum over the last ``dims`` dimensions, taken as one."""
    if dims == 0:
        return value
    return value.reshape(value.shape[:-dims] + (-1,)).sum(-1)


def logits_to_probs(logits: Any, is_binary: bool = False) -> Any:
    """Probabilities of log-odds (``is_binary``) or of unnormalised log-probabilities."""
    return rl.sigmoid(logits) if is_binary else rl.softmax(logits, dim=-1)


def clamp_probs(probs: Any) -> Any:
    """Probabilities kept one epsilon of their dtype away from 0 and 1."""
    eps = rl.finfo(probs.dtype).eps
    return probs.clamp(min=eps, max=1 - eps)


def probs_to_logits(probs: Any, is_binary: bool = False) -> Any:
    """Log-odds (``is_binary``) or log-probabilities, finite also at probabilities 0 and 1."""
    inner = clamp_probs(probs)
    return rl.log(inner) - rl.log1p(-inner) if is_binary else rl.log(inner)


class lazy_property:
    """An attribute computed when first read and then kept in the instance.

    Args:
        wrapped: the method that computes it.
    """

    def __init__(self, wrapped: Callable[[Any], Any]) -> None:
        self.wrapped = wrapped
        functools.update_wrapper(self, wrapped)  # type: ignore[arg-type]

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        if instance is None:
            return _ClassView(self.wrapped)
        with rl.enable_grad():
            value = self.wrapped(instance)
        instance.__dict__[self.wrapped.__name__] = value
        return value


class _ClassView(lazy_property, property):
    """What a class shows of a lazy property: also a ``property``, for documentation tools."""

    def __init__(self, wrapped: Callable[[Any], Any]) -> None:
        property.__init__(self, wrapped)


def _below(n: int, diagonal: int, device: Any) -> Any:
    """The mask of an n x n matrix's entries on and below a diagonal."""
    index = rl.arange(n, device=device)
    return index < index.view(-1, 1) + (diagonal + 1)


def tril_matrix_to_vec(mat: Any, diag: int = 0) -> Any:
    """The entries on and below a diagonal, row by row, as a vector.

    Args:
        mat: (..., n, n).
        diag: the diagonal, 0 the main one.

    Raises:
        ValueError: a diagonal outside of the matrix.
    """
    n = mat.shape[-1]
    if not -n <= diag < n:
        raise ValueError(f"diag ({diag}) provided is outside [{-n}, {n - 1}].")
    return mat[..., _below(n, diag, mat.device)]


def vec_to_tril_matrix(vec: Any, diag: int = 0) -> Any:
    """The matrix whose entries on and below a diagonal are a vector's, row by row.

    Args:
        vec: (..., k).
        diag: the diagonal, 0 the main one.

    Raises:
        ValueError: no matrix has k such entries.
    """
    # n from k = n (n + 1) / 2 + n diag - (the corner that a negative or positive diagonal cuts off)
    slope = 1 + 2 * diag
    n = ((slope * slope + 8 * vec.shape[-1] + 4 * abs(diag) * (diag + 1)) ** 0.5 - slope) / 2
    if round(n) - n > rl.finfo(vec.dtype).eps:
        raise ValueError(
            f"The size of last dimension is {vec.shape[-1]} which cannot be expressed as "
            "the lower triangular part of a square D x D matrix."
        )
    n = round(n)
    mat = vec.new_zeros(vec.shape[:-1] + (n, n))
    mat[..., _below(n, diag, vec.device)] = vec
    return mat
