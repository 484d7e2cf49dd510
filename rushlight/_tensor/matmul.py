"""Products of matrices and vectors."""

from __future__ import annotations

from typing import Any

from rushlight._tensor.api import (
    FUNCTIONS,
    alias,
    both,
    function,
    is_operand,
    method,
    number,
    operand,
)
from rushlight.dispatch.gate import call, write, write_into
from rushlight.dispatch.namespace import o
from rushlight.dispatch.tensor import Tensor
from rushlight.ir.shapes import broadcast, wrap_dim
from rushlight.ops import matmul as records
from rushlight.ops import movement

__all__: list[str] = []


def _two(op: Any, doc: str, second: str) -> None:
    def f(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Any:
        return call(op, (input, other)) if out is None else write_into(op, (input, other), (), out)

    f.__name__ = f.__qualname__ = op.name
    f.__doc__ = doc
    both(_renamed(f, second))
    op.public = FUNCTIONS[op.name]


def _renamed(f: Any, second: str) -> Any:
    """The function with its second parameter under PyTorch's name."""
    if second == "other":
        return f

    def g(input: Tensor, *args: Any, out: Tensor | None = None, **kwargs: Any) -> Any:
        value = args[0] if args else kwargs.pop(second)
        if kwargs or len(args) > 1:
            raise TypeError(f"{f.__name__}() got unexpected arguments")
        return f(input, value, out=out)

    g.__name__ = g.__qualname__ = f.__name__
    g.__doc__ = f.__doc__
    return g


_two(records.mm, "The product of two matrices.", "mat2")
_two(records.bmm, "The products of two batches of matrices.", "mat2")
_two(records.mv, "The product of a matrix and a vector.", "vec")
_two(records.dot, "The inner product of two vectors.", "tensor")
_two(records.vdot, "The inner product of two vectors, the first conjugated.", "other")
_two(records.outer, "The outer product of two vectors.", "vec2")
alias("ger", FUNCTIONS["outer"])


def _three(op: Any) -> None:
    first, second = op.inputs[1:]

    def f(input: Tensor, a: Any, b: Any, *, beta: Any = 1, alpha: Any = 1, out: Any = None) -> Any:
        inputs, attrs = (input, a, b), (number(beta), number(alpha))
        return call(op, inputs, attrs) if out is None else write_into(op, inputs, attrs, out)

    def g(input: Tensor, *args: Any, **kwargs: Any) -> Any:
        a = args[0] if args else kwargs.pop(first)
        b = args[1] if len(args) > 1 else kwargs.pop(second)
        return f(input, a, b, **kwargs)

    def g_(input: Tensor, *args: Any, beta: Any = 1, alpha: Any = 1, **kwargs: Any) -> Any:
        a = args[0] if args else kwargs.pop(first)
        b = args[1] if len(args) > 1 else kwargs.pop(second)
        return write(op, (input, a, b), (number(beta), number(alpha)))

    g.__name__ = g.__qualname__ = op.name
    g.__doc__ = f"``beta * input + alpha * ({first} @ {second})``."
    g_.__name__ = g_.__qualname__ = op.name + "_"
    both(g)
    method(g_)
    op.public = g


for _op in (records.addmm, records.baddbmm, records.addbmm, records.addmv, records.addr):
    _three(_op)


@both
def matmul(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Any:
    """The matrix product, by NumPy's rules for vectors and batches.

    Raises:
        RuntimeError: sizes that do not fit, 0-d operands, or different dtypes.
    """
    if out is not None:
        from rushlight._tensor.api import result_or_out

        return result_or_out(matmul(input, other), out)
    a, b = input._meta, other._meta
    if a.ndim == 2 and b.ndim == 2:
        return call(records.mm, (input, other))
    if a.ndim == 0 or b.ndim == 0:
        raise RuntimeError(
            f"both arguments to matmul need to be at least 1D, but they are {a.ndim}D and {b.ndim}D"
        )
    if a.ndim == 1 and b.ndim == 1:
        return call(records.dot, (input, other))
    if a.ndim == 2 and b.ndim == 1:
        return call(records.mv, (input, other))
    if a.ndim == 1 and b.ndim == 2:
        return call(
            movement.squeeze,
            (call(records.mm, (call(movement.unsqueeze, (input,), (0,)), other)),),
            (0,),
        )
    if a.ndim >= 3 and b.ndim <= 2:
        return _folded(input, other)
    if b.ndim >= 3 and a.ndim == 1:
        return matmul(input.unsqueeze(0), other).squeeze(-2)
    return _batched(input, other)


def _folded(x: Tensor, w: Tensor) -> Any:
    """A batch times one matrix (or vector): the batch is folded into rows."""
    shape = x._meta.shape
    rows = o.reshape(x, (shape[:-1].numel(), shape[-1]))
    if w._meta.ndim == 1:
        return call(movement._unsafe_view, (call(records.mv, (rows, w)),), (tuple(shape[:-1]),))
    y = call(records.mm, (rows, w))
    return call(movement._unsafe_view, (y,), ((*shape[:-1], w._meta.shape[1]),))


def _batched(x: Tensor, y: Tensor) -> Any:
    a, b = x._meta.shape, y._meta.shape
    lead = broadcast(a[:-2], b[:-2])
    n = lead.numel()
    left = o.reshape(call(movement.expand, (x,), ((*lead, *a[-2:]),)), (n, *a[-2:]))
    right = o.reshape(call(movement.expand, (y,), ((*lead, *b[-2:]),)), (n, *b[-2:]))
    out = call(records.bmm, (left, right))
    return call(movement._unsafe_view, (out,), ((*lead, a[-2], b[-1]),))


def _at(self: Tensor, other: Any) -> Any:
    other = operand(other)
    return (
        matmul(self, other)
        if is_operand(other) and not isinstance(other, (int, float))
        else NotImplemented
    )


def _rat(self: Tensor, other: Any) -> Any:
    other = operand(other)
    return matmul(other, self) if isinstance(other, Tensor) else NotImplemented


Tensor.__matmul__ = _at  # type: ignore[method-assign]
Tensor.__rmatmul__ = _rat


@both
def inner(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Any:
    """Sums of products over the last dimensions."""
    from rushlight._tensor.api import result_or_out

    if not input._meta.ndim or not other._meta.ndim:
        return result_or_out(input * other, out)
    if input._meta.shape[-1] != other._meta.shape[-1]:
        raise RuntimeError(
            f"inner() the last dimension must match on both input tensors but got shapes "
            f"{list(input._meta.shape)} and {list(other._meta.shape)}"
        )
    return result_or_out(FUNCTIONS["tensordot"](input, other, ([-1], [-1])), out)


@function
def tensordot(a: Tensor, b: Tensor, dims: Any = 2, out: Tensor | None = None) -> Any:
    """Sums of products over several dimensions at once."""
    from rushlight._tensor.api import result_or_out

    if isinstance(dims, Tensor):
        dims = dims.tolist() if dims._meta.ndim else dims.item()
    if isinstance(dims, int):
        if dims < 0:
            raise RuntimeError(f"tensordot expects dims >= 0, but got dims={dims}")
        if dims > min(a._meta.ndim, b._meta.ndim):
            raise RuntimeError(f"tensordot expects dims < ndim_a or ndim_b, but got dims={dims}")
        over_a, over_b = list(range(-dims, 0)), list(range(dims))
    else:
        over_a, over_b = ([d] if isinstance(d, int) else list(d) for d in dims)
    if len(over_a) != len(over_b):
        raise RuntimeError("both dimension lists should have same length")
    if a._meta.dtype is not b._meta.dtype:
        raise RuntimeError("both inputs should have same dtype")
    over_a = [wrap_dim(d, a._meta.ndim) for d in over_a]
    over_b = [wrap_dim(d, b._meta.ndim) for d in over_b]
    for i, j in zip(over_a, over_b, strict=True):
        m, n = a._meta.shape[i], b._meta.shape[j]
        if m == 1:
            b = b.sum(j, True)
        elif n == 1:
            a = a.sum(i, True)
        elif m != n:
            raise RuntimeError(
                f"contracted dimensions need to match, but first has size {m} in dim {i} and "
                f"second has size {n} in dim {j}"
            )
    keep_a = [d for d in range(a._meta.ndim) if d not in over_a]
    keep_b = [d for d in range(b._meta.ndim) if d not in over_b]
    rows = [a._meta.shape[d] for d in keep_a]
    columns = [b._meta.shape[d] for d in keep_b]
    inner_size = 1
    for d in over_a:
        inner_size *= a._meta.shape[d]
    left = a.permute(keep_a + over_a).reshape(_product(rows), inner_size)
    right = b.permute(over_b + keep_b).reshape(inner_size, _product(columns))
    return result_or_out(call(records.mm, (left, right)).reshape(rows + columns), out)


def _product(sizes: list[int]) -> int:
    n = 1
    for s in sizes:
        n *= s
    return n


@function
def chain_matmul(*matrices: Tensor, out: Tensor | None = None) -> Any:
    """The product of several matrices, from left to right."""
    from rushlight._tensor.api import result_or_out

    product = matrices[0]
    for m in matrices[1:]:
        product = call(records.mm, (product, m))
    return result_or_out(product, out)
