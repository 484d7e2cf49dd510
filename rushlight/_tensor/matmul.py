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


def _product(op: Any, inputs: tuple[Any, ...], attrs: tuple[Any, ...], out: Any) -> Any:
    return call(op, inputs, attrs) if out is None else write_into(op, inputs, attrs, out)


def _no_out_dtype(name: str) -> NotImplementedError:
    """PyTorch computes into another dtype on GPUs only."""
    return NotImplementedError(
        f"Could not run 'aten::{name}.dtype' with arguments from the 'CPU' backend."
    )


@both
def mm(input: Tensor, mat2: Tensor, out_dtype: Any = None, *, out: Tensor | None = None) -> Any:
    """The product of two matrices.

    Shapes: input (n, k), mat2 (k, m); result (n, m).  Dtypes must be equal; ``out_dtype``, another
    dtype for the result, is for GPUs alone.

    Raises:
        RuntimeError: operands that are not matrices, or sizes that do not fit.

    Example:
        >>> import rushlight as torch
        >>> torch.mm(torch.tensor([[1, 2]]), torch.tensor([[3], [4]]))
        tensor([[11]])
    """
    if out_dtype is not None:
        raise _no_out_dtype("mm")
    return _product(records.mm, (input, mat2), (), out)


@both
def bmm(input: Tensor, mat2: Tensor, out_dtype: Any = None, *, out: Tensor | None = None) -> Any:
    """The products of two batches of matrices: (b, n, k) and (b, k, m) give (b, n, m)."""
    if out_dtype is not None:
        raise _no_out_dtype("bmm")
    return _product(records.bmm, (input, mat2), (), out)


@both
def mv(input: Tensor, vec: Tensor, *, out: Tensor | None = None) -> Any:
    """The product of a matrix (n, k) and a vector (k)."""
    return _product(records.mv, (input, vec), (), out)


@both
def dot(input: Tensor, tensor: Tensor, *, out: Tensor | None = None) -> Any:
    """The inner product of two vectors of one dtype."""
    return _product(records.dot, (input, tensor), (), out)


@both
def vdot(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Any:
    """The inner product of two vectors, the first conjugated."""
    return _product(records.vdot, (input, other), (), out)


@both
def outer(input: Tensor, vec2: Tensor, *, out: Tensor | None = None) -> Any:
    """The outer product of two vectors: (n) and (m) give (n, m)."""
    return _product(records.outer, (input, vec2), (), out)


alias("ger", outer)
FUNCTIONS["spmm"] = mm  # PyTorch's name for the product with a sparse matrix takes dense ones too

# beta * input + alpha * product; a beta of 0 ignores even NaN in the input


@both
def addmm(
    input: Tensor,
    mat1: Tensor,
    mat2: Tensor,
    out_dtype: Any = None,
    *,
    beta: Any = 1,
    alpha: Any = 1,
    out: Tensor | None = None,
) -> Any:
    """``beta * input + alpha * (mat1 @ mat2)``; ``input`` is broadcast."""
    if out_dtype is not None:
        raise _no_out_dtype("addmm")
    return _product(records.addmm, (input, mat1, mat2), (number(beta), number(alpha)), out)


@both
def baddbmm(
    input: Tensor,
    batch1: Tensor,
    batch2: Tensor,
    out_dtype: Any = None,
    *,
    beta: Any = 1,
    alpha: Any = 1,
    out: Tensor | None = None,
) -> Any:
    """``beta * input + alpha * (batch1 @ batch2)``, a matrix product a batch entry."""
    if out_dtype is not None:
        raise _no_out_dtype("baddbmm")
    return _product(records.baddbmm, (input, batch1, batch2), (number(beta), number(alpha)), out)


@both
def addbmm(
    input: Tensor,
    batch1: Tensor,
    batch2: Tensor,
    *,
    beta: Any = 1,
    alpha: Any = 1,
    out: Tensor | None = None,
) -> Any:
    """``beta * input + alpha * sum over the batch of (batch1 @ batch2)``."""
    return _product(records.addbmm, (input, batch1, batch2), (number(beta), number(alpha)), out)


@both
def addmv(
    input: Tensor,
    mat: Tensor,
    vec: Tensor,
    *,
    beta: Any = 1,
    alpha: Any = 1,
    out: Tensor | None = None,
) -> Any:
    """``beta * input + alpha * (mat @ vec)``."""
    return _product(records.addmv, (input, mat, vec), (number(beta), number(alpha)), out)


@both
def addr(
    input: Tensor,
    vec1: Tensor,
    vec2: Tensor,
    *,
    beta: Any = 1,
    alpha: Any = 1,
    out: Tensor | None = None,
) -> Any:
    """``beta * input + alpha * outer(vec1, vec2)``."""
    return _product(records.addr, (input, vec1, vec2), (number(beta), number(alpha)), out)


def _publish(op: Any) -> None:
    """The in-place twin of a scaled sum, and the record's public function."""
    op.public = FUNCTIONS[op.name]
    if not op.attrs:
        return
    first, second = op.inputs[1:]

    def f(self: Tensor, a: Tensor, b: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Any:
        return write(op, (self, a, b), (number(beta), number(alpha)))

    def by_name(self: Tensor, *args: Any, **kwargs: Any) -> Any:
        for name in (first, second)[len(args) :]:
            args = (*args, kwargs.pop(name))
        return f(self, *args, **kwargs)

    by_name.__name__ = by_name.__qualname__ = op.name + "_"
    by_name.__doc__ = f"``{op.name}`` written into the tensor itself."
    method(by_name)


for _record in (
    records.mm,
    records.bmm,
    records.mv,
    records.dot,
    records.vdot,
    records.outer,
    records.addmm,
    records.baddbmm,
    records.addbmm,
    records.addmv,
    records.addr,
):
    _publish(_record)


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
    if not isinstance(other, Tensor):
        other = operand(other)
        if not is_operand(other) or isinstance(other, (int, float)):
            return NotImplemented
    return matmul(self, other)


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
    left = a.permute(keep_a + over_a).reshape(_count(rows), inner_size)
    right = b.permute(over_b + keep_b).reshape(inner_size, _count(columns))
    return result_or_out(call(records.mm, (left, right)).reshape(rows + columns), out)


def _count(sizes: list[int]) -> int:
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
