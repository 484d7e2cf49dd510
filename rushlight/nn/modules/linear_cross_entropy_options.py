"""LinearCrossEntropyOptions: how `F.linear_cross_entropy` may cut its work in pieces.

In: the settings.  Out: a checked, immutable record of them.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import rushlight as rl

__all__ = ["LinearCrossEntropyOptions"]


class _Settings(NamedTuple):
    allow_retain_graph: bool
    batch_chunk_size: int | None
    chunking_method: str | None
    acc_policy: str
    acc_dtype: Any


class LinearCrossEntropyOptions(_Settings):
    """Settings that trade memory for time in `F.linear_cross_entropy`; results do not change.

    Args:
        allow_retain_graph: allow `backward(retain_graph=True)`. Default: `False`.
        batch_chunk_size: rows at a time. Default: chosen.
        chunking_method: `"auto"`, `"aspect_ratio"` or `"aspect_ratio:N"`. Default: `"auto"`.
        acc_policy: `"auto"`, `"accurate"`, `"balanced"` or `"compact"`. Default: `"auto"`.
        acc_dtype: the dtype of sums. Default: chosen.

    Raises:
        ValueError: any other value.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.LinearCrossEntropyOptions(batch_chunk_size=8).batch_chunk_size
        8
    """

    __slots__ = ()

    def __new__(
        cls,
        allow_retain_graph: bool = False,
        batch_chunk_size: int | None = None,
        chunking_method: str | None = "auto",
        acc_policy: str = "auto",
        acc_dtype: Any = None,
    ) -> LinearCrossEntropyOptions:
        if acc_policy not in ("auto", "accurate", "balanced", "compact"):
            raise ValueError(f"invalid acc_policy: {acc_policy!r}")
        if chunking_method is not None and chunking_method != "auto":
            name, colon, factor = chunking_method.partition(":")
            factor = factor if colon else "1"
            if name != "aspect_ratio" or not factor.isdigit() or int(factor) == 0:
                raise ValueError(f"invalid chunking_method: {chunking_method!r}")
        if batch_chunk_size is not None and (
            not isinstance(batch_chunk_size, int) or batch_chunk_size <= 0
        ):
            raise ValueError(
                f"batch_chunk_size must be positive int or None, got {batch_chunk_size!r}"
            )
        if acc_dtype not in (None, rl.float16, rl.bfloat16, rl.float32, rl.float64):
            raise ValueError(
                "acc_dtype must be one of {None, torch.float16, torch.bfloat16, torch.float32, "
                f"torch.float64}}, got {acc_dtype!r}. Pass acc_dtype=None to let the op pick "
                "automatically."
            )
        return super().__new__(
            cls, allow_retain_graph, batch_chunk_size, chunking_method, acc_policy, acc_dtype
        )
