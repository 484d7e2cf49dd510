"""einsum: sums of products written as subscripts.

Operands are brought to one order of dimensions (output subscripts first, then those summed over)
and multiplied from left to right as batched matrix products; a subscript is summed as soon as no
later operand has it.
"""

from __future__ import annotations

from typing import Any

from rushlight._tensor.api import function
from rushlight.dispatch.gate import call
from rushlight.dispatch.namespace import o
from rushlight.dispatch.tensor import Tensor
from rushlight.ops import movement

__all__: list[str] = []

_DOTS = "..."


def _subscripts(text: str, operand: str, start: int) -> list[str]:
    """The subscripts of one operand, an ellipsis as one item; ``start``: where the text stands."""
    found: list[str] = []
    i = 0
    while i < len(text):
        c = text[i]
        if c == " ":
            i += 1
        elif c == ".":
            if _DOTS in found:
                raise RuntimeError(
                    f"einsum(): found '.' for {operand} for which an ellipsis was already found"
                )
            if text[i : i + 3] != _DOTS:
                raise RuntimeError(
                    f"einsum(): found '.' for {operand} that is not part of any ellipsis"
                )
            found.append(_DOTS)
            i += 3
        elif c.isascii() and c.isalpha():
            found.append(c)
            i += 1
        else:
            raise RuntimeError(
                f"einsum(): invalid subscript given at index {start + i} in the equation string, "
                "subscripts must be in [a-zA-Z]"
            )
    return found


def _parse(equation: str, count: int) -> tuple[list[list[str]], list[str] | None]:
    """The subscripts of each operand, and of the output if the equation gives it."""
    left, arrow, right = equation.partition("->")
    terms = left.split(",")
    if len(terms) > count:
        raise RuntimeError("einsum(): fewer operands were provided than specified in the equation")
    if len(terms) < count:
        raise RuntimeError("einsum(): more operands were provided than specified in the equation")
    inputs, at = [], 0
    for i, term in enumerate(terms):
        inputs.append(_subscripts(term, f"operand {i}", at))
        at += len(term) + 1
    return inputs, _subscripts(right, "the output", len(left) + 2) if arrow else None


def _from_lists(args: tuple[Any, ...]) -> tuple[str, list[Any]]:
    """The equation and operands of the form einsum(x, [0, 1], y, [1, 2], [0, 2])."""

    def letters(dims: Any) -> str:
        text = ""
        for d in dims:
            if d is Ellipsis:
                text += _DOTS
            elif 0 <= d < 52:
                text += chr(ord("A") + d) if d < 26 else chr(ord("a") + d - 26)
            else:
                raise ValueError(
                    "einsum(): subscript in subscript list is not within the valid range [0, 52), "
                    f"got {d}"
                )
        return text

    pairs, rest = args[: len(args) // 2 * 2], args[len(args) // 2 * 2 :]
    equation = ",".join(letters(dims) for dims in pairs[1::2])
    if rest:
        equation += "->" + letters(rest[0])
    return equation, list(pairs[::2])


def _diagonals(x: Tensor, names: list[str], operand: int) -> tuple[Tensor, list[str]]:
    """Repeated subscripts of one operand become a diagonal."""
    i = 0
    while i < len(names):
        first = names.index(names[i])
        if first == i:
            i += 1
            continue
        shape = x._meta.shape
        if shape[first] != shape[i]:
            raise RuntimeError(
                f"einsum(): subscript {names[i]} is repeated for operand {operand} but the sizes "
                f"don't match, {shape[i]} != {shape[first]}"
            )
        x = call(movement.diagonal, (x,), (0, first, i))
        x = x.movedim(-1, first)
        names = names[:i] + names[i + 1 :]
    return x, names


def _expanded(names: list[str], ndim: int, operand: int, width: int) -> list[str]:
    """Subscripts with the ellipsis replaced by one name a dimension, the last one ``...0``."""
    plain = len(names) - (_DOTS in names)
    if _DOTS not in names:
        if plain != ndim:
            raise RuntimeError(
                f"einsum(): the number of subscripts in the equation ({plain}) does not match the "
                f"number of dimensions ({ndim}) for operand {operand} and no ellipsis was given"
            )
        return names
    if plain > ndim:
        raise RuntimeError(
            f"einsum(): the number of subscripts in the equation ({plain}) is more than the number "
            f"of dimensions ({ndim}) for operand {operand}"
        )
    at = names.index(_DOTS)
    dots = [f"{_DOTS}{i}" for i in range(ndim - plain - 1, -1, -1)]
    return names[:at] + dots + names[at + 1 :]


def _output(inputs: list[list[str]], given: list[str] | None, width: int) -> list[str]:
    """The output's subscripts: as given, or those that occur once, in alphabetical order."""
    dots = [f"{_DOTS}{i}" for i in range(width - 1, -1, -1)]
    every = [n for names in inputs for n in names]
    if given is None:
        return dots + sorted(n for n in set(every) if n[0] != "." and every.count(n) == 1)
    for n in given:
        if given.count(n) > 1:
            raise RuntimeError(
                f"einsum(): output subscript {n} appears more than once in the output"
            )
        if n != _DOTS and n not in every:
            raise RuntimeError(
                f"einsum(): output subscript {n} does not appear in the equation for any input "
                "operand"
            )
    found: list[str] = []
    for n in given:
        found += dots if n == _DOTS else [n]
    return found


def _check_sizes(operands: list[Tensor], inputs: list[list[str]]) -> None:
    sizes: dict[str, int] = {}
    for i, (x, names) in enumerate(zip(operands, inputs, strict=True)):
        for n, size in zip(names, x._meta.shape, strict=True):
            have = sizes.get(n, 1)
            if have == 1:
                sizes[n] = size
            elif size not in (1, have):
                raise RuntimeError(
                    f"einsum(): subscript {n} has size {size} for operand {i} which does not "
                    f"broadcast with previously seen size {have}"
                )


def _aligned(x: Tensor, names: list[str], order: list[str]) -> Tensor:
    """The operand with all subscripts as dimensions, those it lacks of size 1."""
    have = [n for n in order if n in names]
    x = call(movement.permute, (x,), (tuple(names.index(n) for n in have),))
    for d, n in enumerate(order):
        if n not in names:
            x = call(movement.unsqueeze, (x,), (d,))
    return x


def _multiply(a: Tensor, b: Tensor, over: list[int]) -> Tensor:
    """The product of two aligned operands, summed over dimensions, which keep size 1."""
    sa, sb = a._meta.shape, b._meta.shape
    both_sum = [d for d in over if sa[d] != 1 and sb[d] != 1]
    for only, other in ((a, sb), (b, sa)):
        alone = tuple(d for d in over if other[d] == 1 and only._meta.shape[d] != 1)
        if alone:
            total = o.sum(only, alone, True, None)
            a, b = (total, b) if only is a else (a, total)
    if not both_sum:
        return a * b
    sa, sb = a._meta.shape, b._meta.shape
    free = [d for d in range(len(sa)) if d not in both_sum]
    batch = [d for d in free if sa[d] != 1 and sb[d] != 1]
    rows = [d for d in free if sb[d] == 1 and d not in batch]
    columns = [d for d in free if d not in batch and d not in rows]
    n, m, k = (_product(sa, dims) for dims in (batch, rows, both_sum))
    p = _product(sb, columns)
    left = o.permute(a, (*batch, *rows, *both_sum, *columns))
    right = o.permute(b, (*batch, *both_sum, *columns, *rows))
    product = o.bmm(o.reshape(left, (n, m, k)), o.reshape(right, (n, k, p)))
    order = [*batch, *rows, *columns, *both_sum]
    shape = (*(sa[d] for d in batch + rows), *(sb[d] for d in columns), *[1] * len(both_sum))
    back = tuple(order.index(d) for d in range(len(order)))
    return o.permute(o._unsafe_view(product, shape), back)  # type: ignore[no-any-return]


def _product(shape: Any, dims: list[int]) -> int:
    n = 1
    for d in dims:
        n *= shape[d]
    return n


@function
def einsum(equation: Any = None, *operands: Any) -> Any:
    """Sums of products of tensors, written as subscripts.

    Args:
        equation: the operands' subscripts (letters, one a dimension, or ``...``) separated by
            commas, then ``->`` and the result's subscripts; without ``->`` the result has those
            that occur once, in alphabetical order.  What the result lacks is summed over.
        operands: the tensors.  Or, instead of an equation, each tensor followed by a list of
            dimension numbers, and at the end a list for the result.

    Raises:
        RuntimeError: subscripts that do not fit the operands.

    Example:
        >>> import rushlight as torch
        >>> a, b = torch.ones(2, 3), torch.ones(3, 4)
        >>> torch.einsum("ij,jk->ik", a, b)
        tensor([[3., 3., 3., 3.],
                [3., 3., 3., 3.]])
    """
    if equation is None or not operands:
        raise ValueError(
            "einsum(): must specify the equation string and at least one operand, or at least one "
            "operand and its subscripts list"
        )
    if isinstance(equation, Tensor):
        equation, factors = _from_lists((equation, *operands))
    else:
        factors = list(operands)
        if len(factors) == 1 and isinstance(factors[0], (list, tuple)):
            factors = list(factors[0])
    terms, given = _parse(equation, len(factors))
    width = max(
        (x._meta.ndim - len(t) + 1 for x, t in zip(factors, terms, strict=True) if _DOTS in t),
        default=0,
    )
    inputs = []
    for i, (x, names) in enumerate(zip(factors, terms, strict=True)):
        factors[i], names = _diagonals(x, _expanded(names, x._meta.ndim, i, width), i)
        inputs.append(names)
    _check_sizes(factors, inputs)
    output = _output(terms, given, width)
    summed = [n for n in dict.fromkeys(n for names in inputs for n in names) if n not in output]
    order = output + summed
    last = {n: max(i for i, names in enumerate(inputs) if n in names) for n in summed}
    aligned = [_aligned(x, names, order) for x, names in zip(factors, inputs, strict=True)]
    result = aligned[0]
    first = tuple(order.index(n) for n in summed if last[n] == 0)
    if first:
        result = o.sum(result, first, True, None)
    for i, x in enumerate(aligned[1:], 1):
        result = _multiply(result, x, [order.index(n) for n in summed if last[n] == i])
    if summed:
        gone = tuple(range(len(output), len(order)))
        result = call(movement.squeeze, (result,), (gone,))
    return result
