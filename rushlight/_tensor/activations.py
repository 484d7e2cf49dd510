"""Softmax as functions of ``torch`` and methods of Tensor."""

from __future__ import annotations

from typing import Any

from rushlight._tensor.api import along, both, result_or_out
from rushlight.dispatch.gate import call
from rushlight.dispatch.tensor import Tensor
from rushlight.ops import activation as records

__all__: list[str] = []


@both
def softmax(
    input: Tensor,
    dim: Any = None,
    dtype: Any = None,
    *,
    out: Tensor | None = None,
    axis: int | None = None,
) -> Any:
    """exp(x) / sum of exp(x) along ``dim``, computed without overflow."""
    if dim is None:
        dim = along("softmax", axis)
    return result_or_out(call(records.softmax, (input,), (dim, dtype)), out)


@both
def log_softmax(
    input: Tensor,
    dim: Any = None,
    dtype: Any = None,
    *,
    out: Tensor | None = None,
    axis: int | None = None,
) -> Any:
    """The logarithm of ``softmax``, computed without overflow."""
    if dim is None:
        dim = along("log_softmax", axis)
    return result_or_out(call(records.log_softmax, (input,), (dim, dtype)), out)


@both
def prelu(input: Tensor, weight: Tensor) -> Any:
    """x above 0, ``weight * x`` below."""
    return call(records.prelu, (input, weight))


@both
def hardshrink(input: Tensor, lambd: float = 0.5) -> Any:
    """0 within [-lambd, lambd], x outside."""
    return call(records.hardshrink, (input,), (lambd,))
