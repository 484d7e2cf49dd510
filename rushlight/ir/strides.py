"""Stride arithmetic: contiguous, permuted and channels-last layouts, and which one results take.

All strides count elements.  ``elementwise_strides`` follows the rule of PyTorch's TensorIterator:
equal dense layouts are kept, otherwise dimensions are ordered by the operands' strides.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = [
    "channels_last_strides",
    "contiguous_strides",
    "elementwise_strides",
    "is_channels_last",
    "is_dense",
    "memory_order",
    "overlaps_itself",
    "view_strides",
]

Ints = Sequence[int]


def contiguous_strides(shape: Ints) -> tuple[int, ...]:
    """Row-major strides; a dimension of size 0 counts as 1, as in PyTorch."""
    strides = [1] * len(shape)
    step = 1
    for i in range(len(shape) - 1, -1, -1):
        strides[i] = step
        step *= max(shape[i], 1)
    return tuple(strides)


def memory_order(shape: Ints, strides: Ints) -> list[int]:
    """Dimensions from the slowest in memory to the fastest; ties keep their order."""
    return sorted(range(len(shape)), key=lambda d: (-strides[d], d))


def strides_in_order(shape: Ints, order: Ints) -> tuple[int, ...]:
    """Dense strides that lay the dimensions out in this order, slowest first."""
    strides = [1] * len(shape)
    step = 1
    for d in reversed(order):
        strides[d] = step
        step *= max(shape[d], 1)
    return tuple(strides)


def is_dense(shape: Ints, strides: Ints) -> bool:
    """Whether the elements fill a block of memory without gaps or overlap."""
    if 0 in shape:
        return True
    expected = 1
    for size, stride in sorted(
        ((n, s) for n, s in zip(shape, strides, strict=True) if n != 1), key=lambda p: (p[1], p[0])
    ):
        if stride != expected:
            return False
        expected *= size
    return True


def overlaps_itself(shape: Ints, strides: Ints) -> bool:
    """Whether two indices surely share one element, as after ``expand``."""
    if 0 in shape:
        return False
    reach = 0  # the largest offset reached by the dimensions seen so far
    for size, stride in sorted(
        ((n, s) for n, s in zip(shape, strides, strict=True) if n != 1), key=lambda p: p[1]
    ):
        if stride <= reach:
            return stride == 0 or not is_dense(shape, strides)
        reach += (size - 1) * stride
    return False


def channels_last_strides(shape: Ints) -> tuple[int, ...]:
    """Strides of NHWC (4-d) or NDHWC (5-d) memory for an NCHW or NCDHW shape."""
    n = len(shape)
    return strides_in_order(shape, [0, *range(2, n), 1])


def is_channels_last(shape: Ints, strides: Ints) -> bool:
    """Whether a 4-d or 5-d tensor is laid out channels last, by PyTorch's test of strides."""
    n = len(shape)
    if n not in (4, 5):
        return False
    least = 0
    if strides[1] == 0:
        return False
    for d in (1, *range(n - 1, 1, -1), 0):
        if shape[d] == 0 or strides[d] < least:
            return False
        if d == 0 and least == strides[1]:
            return False
        least = strides[d] * max(shape[d], 1)
    return True


def suggested_strides(shape: Ints, like_shape: Ints, like_strides: Ints) -> tuple[int, ...]:
    """Channels last if the pattern is channels last, else contiguous."""
    if len(shape) == len(like_shape) and is_channels_last(like_shape, like_strides):
        return channels_last_strides(shape)
    return contiguous_strides(shape)


def like_strides(shape: Ints, strides: Ints) -> tuple[int, ...]:
    """Strides of ``empty_like``: a dense layout is kept, another is made dense in its order."""
    if is_dense(shape, strides):
        return tuple(strides)
    return elementwise_strides(shape, [(tuple(shape), tuple(strides))])


def elementwise_strides(shape: Ints, operands: Sequence[tuple[Ints, Ints]]) -> tuple[int, ...]:
    """Strides of an elementwise result, given each tensor operand's (shape, strides)."""
    n = len(shape)
    shape = tuple(shape)
    if n <= 1:
        return contiguous_strides(shape)
    same = [tuple(st) for sh, st in operands if tuple(sh) == shape]
    if same and len(same) == len(operands):
        contiguous = contiguous_strides(shape)
        if all(_matches(shape, st, contiguous) for st in same):
            return contiguous
        if n in (4, 5):
            last = channels_last_strides(shape)
            if all(_matches(shape, st, last) for st in same):
                return last
        if is_dense(shape, same[0]) and all(st == same[0] for st in same):
            return same[0]
    aligned = [_broadcast_strides(shape, sh, st) for sh, st in operands]
    return strides_in_order(shape, _iterator_order(shape, aligned))


def _matches(shape: Ints, strides: Ints, wanted: Ints) -> bool:
    return 0 in shape or all(
        a == b or s == 1 for s, a, b in zip(shape, strides, wanted, strict=True)
    )


def _broadcast_strides(shape: Ints, own: Ints, strides: Ints) -> list[int]:
    pad = len(shape) - len(own)
    return [0] * pad + [
        0 if own[i] == 1 and shape[i + pad] != 1 else strides[i] for i in range(len(own))
    ]


def _iterator_order(shape: Ints, operands: Sequence[Ints]) -> list[int]:
    """Slowest dimension first, by insertion sort on ambiguous stride comparisons."""
    n = len(shape)
    fastest_first = list(range(n - 1, -1, -1))

    def should_swap(d0: int, d1: int) -> int:
        for strides in operands:
            a, b = strides[d0], strides[d1]
            if a == 0 or b == 0:
                continue
            if a != b:
                return -1 if a < b else 1
            if shape[d0] > shape[d1]:
                return 1
        return 0

    for i in range(1, n):
        d1 = i
        for d0 in range(i - 1, -1, -1):
            verdict = should_swap(fastest_first[d0], fastest_first[d1])
            if verdict > 0:
                fastest_first[d0], fastest_first[d1] = fastest_first[d1], fastest_first[d0]
                d1 = d0
            elif verdict < 0:
                break
    return fastest_first[::-1]


def view_strides(shape: Ints, strides: Ints, new: Ints) -> tuple[int, ...] | None:
    """Strides under which the same memory has shape ``new``, or None if it must be copied."""
    if 0 in shape:
        return tuple(strides) if tuple(shape) == tuple(new) else contiguous_strides(new)
    result = [0] * len(new)
    at = len(new) - 1
    if not shape:
        return (1,) * len(new)
    chunk_base = strides[-1]
    covered = wanted = 1
    for d in range(len(shape) - 1, -1, -1):
        covered *= shape[d]
        if d == 0 or (shape[d - 1] != 1 and strides[d - 1] != covered * chunk_base):
            while at >= 0 and (wanted < covered or new[at] == 1):
                result[at] = wanted * chunk_base
                wanted *= new[at]
                at -= 1
            if wanted != covered:
                return None
            if d > 0:
                chunk_base = strides[d - 1]
                covered = wanted = 1
    return tuple(result) if at == -1 else None
