"""Movement: operators that re-read memory without touching it.  Each returns a view.

A record's rule gives the view's shape and strides and how far it starts behind its base; there is
no kernel.  Gradients put the view's gradient back into the base's shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rushlight.ir.meta import Meta, meta
from rushlight.ir.op import Op, View
from rushlight.ir.shapes import infer_size, wrap_dim
from rushlight.ir.strides import view_strides


def _view(m: Meta, shape: Any, strides: Sequence[int], offset: int = 0) -> View:
    return View(meta(tuple(shape), m.dtype, tuple(strides), m.device, m.conj, m.neg), offset)


def _without(values: Sequence[int], dim: int) -> tuple[int, ...]:
    return tuple(values[:dim]) + tuple(values[dim + 1 :])


def _view_rule(m: Meta, size: tuple[int, ...]) -> View:
    shape = infer_size(size, m.numel)
    strides = view_strides(m.shape, m.strides, shape)
    if strides is None:
        raise RuntimeError(
            "view size is not compatible with input tensor's size and stride (at least one "
            "dimension spans across two contiguous subspaces). Use .reshape(...) instead."
        )
    return _view(m, shape, strides)


view = Op(
    "view",
    kind="movement",
    attrs=("size",),
    rule=_view_rule,
    grads=(lambda o, g, _x: o.reshape(g, _x.shape),),
)
alias = Op(
    "alias",
    kind="movement",
    rule=lambda m: _view(m, m.shape, m.strides),
    grads=(lambda o, g: g,),
    samples=lambda make: [((make(2, 3),), ())],
)
_unsafe_view = Op(
    "_unsafe_view",
    kind="movement",
    attrs=("size",),
    rule=_view_rule,
    grads=(lambda o, g, _x: o.reshape(g, _x.shape),),
)


def _old_name(m: Meta) -> str:
    """A tensor's type as PyTorch named it before dtypes; later dtypes have another form."""
    title = m.dtype.title
    old = title in ("Float", "Double", "Half", "Long", "Int", "Short", "Char", "Byte")
    return f"torch.{title}Tensor" if old else f"CPU{title}Type"


def _expand_rule(m: Meta, size: tuple[int, ...]) -> View:
    lead = len(size) - m.ndim
    if lead < 0:
        raise RuntimeError(
            f"expand({_old_name(m)}{{{list(m.shape)}}}, size={list(size)}): the "
            "number "
            f"of sizes provided ({len(size)}) must be greater or equal to the number of dimensions "
            f"in the tensor ({m.ndim})"
        )
    shape, strides = [], []
    for i, want in enumerate(size):
        have = m.shape[i - lead] if i >= lead else 1
        if want == -1:
            if i < lead:
                raise RuntimeError(
                    f"expand({_old_name(m)}{{{list(m.shape)}}}, size={list(size)}): "
                    f"the expanded size of the tensor ({want}) isn't allowed in a leading, "
                    f"non-existing dimension {i}"
                )
            want = have
        if want != have and have != 1:
            raise RuntimeError(
                f"The expanded size of the tensor ({want}) must match the existing size ({have}) "
                f"at non-singleton dimension {i}.  Target sizes: {list(size)}.  Tensor sizes: "
                f"{list(m.shape)}"
            )
        shape.append(want)
        strides.append(m.strides[i - lead] if i >= lead and (have != 1 or want == 1) else 0)
    for i in range(lead - 1, -1, -1):  # new dimensions of size 1 get the stride of a view
        if shape[i] == 1 and i + 1 < len(shape):
            strides[i] = shape[i + 1] * strides[i + 1]
        elif shape[i] == 1:
            strides[i] = 1
    return _view(m, shape, strides)


expand = Op(
    "expand",
    kind="movement",
    attrs=("size",),
    rule=_expand_rule,
    grads=(lambda o, g, _x: o.sum_to(g, _x.shape),),
)


def _permute_rule(m: Meta, dims: tuple[int, ...]) -> View:
    if len(dims) != m.ndim:
        raise RuntimeError(
            f"permute(sparse_coo): number of dimensions in the tensor input does not match the "
            f"length of the desired ordering of dimensions i.e. input.dim() = {m.ndim} is not "
            f"equal to len(dims) = {len(dims)}"
        )
    order = [wrap_dim(d, m.ndim) for d in dims]
    if len(set(order)) != len(order):
        raise RuntimeError("permute(): duplicate dims are not allowed.")
    return _view(m, [m.shape[d] for d in order], [m.strides[d] for d in order])


def _inverse(dims: Sequence[int]) -> tuple[int, ...]:
    order = [d % len(dims) for d in dims]
    return tuple(order.index(i) for i in range(len(order)))


permute = Op(
    "permute",
    kind="movement",
    attrs=("dims",),
    rule=_permute_rule,
    grads=(lambda o, g, _x, _y, dims: o.permute(g, _inverse(dims)),),
)


def _transpose_rule(m: Meta, dim0: int, dim1: int) -> View:
    a, b = wrap_dim(dim0, m.ndim), wrap_dim(dim1, m.ndim)
    if m.ndim == 0:
        return _view(m, (), ())
    shape, strides = list(m.shape), list(m.strides)
    shape[a], shape[b] = shape[b], shape[a]
    strides[a], strides[b] = strides[b], strides[a]
    return _view(m, shape, strides)


transpose = Op(
    "transpose",
    kind="movement",
    attrs=("dim0", "dim1"),
    rule=_transpose_rule,
    grads=(lambda o, g, _x, _y, dim0, dim1: o.transpose(g, dim0, dim1),),
)


def _t_rule(m: Meta) -> View:
    if m.ndim > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {m.ndim}D")
    return _view(m, m.shape[::-1], m.strides[::-1])


t = Op("t", kind="movement", rule=_t_rule, grads=(lambda o, g: o.t(g),), node="TBackward0")


def _unsqueeze_rule(m: Meta, dim: int) -> View:
    d = wrap_dim(dim, m.ndim + 1)
    stride = m.shape[d] * m.strides[d] if d < m.ndim else 1
    return _view(m, (*m.shape[:d], 1, *m.shape[d:]), (*m.strides[:d], stride, *m.strides[d:]))


unsqueeze = Op(
    "unsqueeze",
    kind="movement",
    attrs=("dim",),
    rule=_unsqueeze_rule,
    grads=(lambda o, g, _x, _y, dim: o.squeeze(g, (wrap_dim(dim, _x.ndim + 1),)),),
)


def _squeeze_rule(m: Meta, dim: Any) -> View:
    dims = (
        range(m.ndim)
        if dim is None
        else [wrap_dim(d, m.ndim) for d in (dim if isinstance(dim, tuple) else (dim,))]
    )
    gone = {d for d in dims if m.ndim and m.shape[d] == 1}
    keep = [d for d in range(m.ndim) if d not in gone]
    return _view(m, [m.shape[d] for d in keep], [m.strides[d] for d in keep])


squeeze = Op(
    "squeeze",
    kind="movement",
    attrs=("dim",),
    defaults=(None,),
    rule=_squeeze_rule,
    grads=(lambda o, g, _x: o.reshape(g, _x.shape),),
    node=lambda metas, attrs: (
        "SqueezeBackward0"
        if attrs[0] is None
        else "SqueezeBackward2"
        if isinstance(attrs[0], tuple)
        else "SqueezeBackward1"
    ),
)


def _select_rule(m: Meta, dim: int, index: int) -> View:
    if m.ndim == 0:
        raise IndexError("select() cannot be applied to a 0-dim tensor.")
    d = wrap_dim(dim, m.ndim)
    size = m.shape[d]
    if not -size <= index < size:
        raise IndexError(
            f"select(): index {index} out of range for tensor of size {list(m.shape)} at dimension "
            f"{d}"
        )
    at = index + size if index < 0 else index
    return _view(m, _without(m.shape, d), _without(m.strides, d), at * m.strides[d])


select = Op(
    "select",
    kind="movement",
    attrs=("dim", "index"),
    rule=_select_rule,
    grads=(lambda o, g, _x, _y, dim, index: o.select_backward(g, _x.shape, dim, index),),
)


def slice_range(size: int, start: Any, end: Any, step: int) -> tuple[int, int]:
    """The first index and the length of a slice, clamped as PyTorch clamps."""
    if step <= 0:
        raise ValueError("step must be greater than zero")
    start = 0 if start is None else start
    end = size if end is None else end
    start = max(0, min(start + size if start < 0 else start, size))
    end = max(start, min(end + size if end < 0 else end, size))
    return start, -(-(end - start) // step)


def _slice_rule(m: Meta, dim: int, start: Any, end: Any, step: int) -> View:
    if m.ndim == 0:
        raise IndexError("slice() cannot be applied to a 0-dim tensor.")
    d = wrap_dim(dim, m.ndim)
    first, length = slice_range(m.shape[d], start, end, step)
    shape, strides = list(m.shape), list(m.strides)
    shape[d], strides[d] = length, strides[d] * step
    return _view(m, shape, strides, first * m.strides[d])


slice = Op(
    "slice",
    kind="movement",
    attrs=("dim", "start", "end", "step"),
    defaults=(None, None, 1),
    rule=_slice_rule,
    grads=(
        lambda o, g, _x, _y, dim, start, end, step: o.slice_backward(
            g, _x.shape, dim, start, end, step
        ),
    ),
)


def _diagonal_rule(m: Meta, offset: int, dim1: int, dim2: int) -> View:
    a, b = wrap_dim(dim1, m.ndim), wrap_dim(dim2, m.ndim)
    if a == b:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    rows, columns = m.shape[a], m.shape[b]
    length = max(min(rows, columns - offset) if offset >= 0 else min(rows + offset, columns), 0)
    start = 0
    if length:
        start = offset * m.strides[b] if offset >= 0 else -offset * m.strides[a]
    keep = [d for d in range(m.ndim) if d not in (a, b)]
    return _view(
        m,
        [*(m.shape[d] for d in keep), length],
        [*(m.strides[d] for d in keep), m.strides[a] + m.strides[b]],
        start,
    )


diagonal = Op(
    "diagonal",
    kind="movement",
    attrs=("offset", "dim1", "dim2"),
    defaults=(0, 0, 1),
    rule=_diagonal_rule,
    grads=(
        lambda o, g, _x, _y, offset, dim1, dim2: o.diagonal_backward(
            g, _x.shape, offset, dim1, dim2
        ),
    ),
)


def _unfold_rule(m: Meta, dimension: int, size: int, step: int) -> View:
    d = wrap_dim(dimension, m.ndim)
    length = m.shape[d] if m.ndim else 1
    if size > length:
        raise RuntimeError(
            f"maximum size for tensor at dimension {d} is {length} but size is {size}"
        )
    if step <= 0:
        raise RuntimeError(f"step is {step} but must be > 0")
    if m.ndim == 0:
        return _view(m, (size,), (1,))
    shape, strides = [*m.shape, size], [*m.strides, m.strides[d]]
    shape[d], strides[d] = (length - size) // step + 1, m.strides[d] * step
    return _view(m, shape, strides)


unfold = Op(
    "unfold",
    kind="movement",
    attrs=("dimension", "size", "step"),
    rule=_unfold_rule,
    grads=(
        lambda o, g, _x, _y, dimension, size, step: o.unfold_backward(
            g, _x.shape, dimension, size, step
        ),
    ),
)


def _as_strided_rule(m: Meta, size: tuple[int, ...], stride: tuple[int, ...], offset: int) -> View:
    if len(size) != len(stride):
        raise RuntimeError("mismatch in length of strides and shape")
    if any(s < 0 for s in stride):
        raise RuntimeError(
            "as_strided: Negative strides are not supported at the moment, got strides: "
            f"{list(stride)}"
        )
    return _view(m, size, stride, offset)


as_strided = Op(
    "as_strided",
    kind="movement",
    attrs=("size", "stride", "offset"),  # the offset counts from the input's own
    defaults=(0,),
    rule=_as_strided_rule,
    grads=(
        lambda o, g, _x, _y, size, stride, offset: o.as_strided_backward(
            g, _x.shape, _x.strides, size, stride, offset
        ),
    ),
)


def _unbind_rule(m: Meta, dim: int) -> list[View]:
    if m.ndim == 0:
        raise IndexError(f"Dimension specified as {dim} but tensor has no dimensions")
    d = wrap_dim(dim, m.ndim)
    shape, strides = _without(m.shape, d), _without(m.strides, d)
    return [_view(m, shape, strides, i * m.strides[d]) for i in range(m.shape[d])]


unbind = Op(
    "unbind",
    kind="movement",
    attrs=("dim",),
    defaults=(0,),
    rule=_unbind_rule,
    backward=lambda o, needs, g, inputs, outputs, dim: (
        o.stack(_each(g), wrap_dim(dim, inputs[0].ndim)) if inputs[0].shape[dim] else None,
    ),
)


def _each(g: Any) -> list[Any]:
    """The gradients of a multi-output call; one output comes bare."""
    return list(g) if isinstance(g, (list, tuple)) else [g]


def _split_rule(m: Meta, sizes: tuple[int, ...], dim: int, by_size: bool) -> list[View]:
    d = wrap_dim(dim, m.ndim)
    if sum(sizes) != m.shape[d] or any(s < 0 for s in sizes):
        raise RuntimeError(
            f"split_with_sizes expects split_sizes to sum exactly to {m.shape[d]} (input tensor's "
            f"size at dimension {dim}), but got split_sizes={list(sizes)}"
        )
    views, at = [], 0
    for size in sizes:
        shape = (*m.shape[:d], size, *m.shape[d + 1 :])
        views.append(_view(m, shape, m.strides, at * m.strides[d]))
        at += size
    return views


split = Op(
    "split",
    kind="movement",
    attrs=("sizes", "dim", "by_size"),  # by_size: the caller gave one size for all pieces
    defaults=(0, False),
    rule=_split_rule,
    backward=lambda o, needs, g, inputs, outputs, sizes, dim, by_size: (o.cat(_each(g), dim),),
    node=lambda metas, attrs: "SplitBackward0" if attrs[2] else "SplitWithSizesBackward0",
)

# Complex numbers seen as pairs of reals, and the other way round


def _parts(m: Meta, at: int) -> View:
    """The real (0) or imaginary (1) parts; those of a conjugate are negated when read."""
    strides = tuple(2 * s for s in m.strides)
    neg = m.neg != (m.conj and at == 1)
    return View(meta(m.shape, m.dtype.to_real(), strides, m.device, False, neg), at)


def _imag_rule(m: Meta) -> View:
    if not m.dtype.is_complex:
        raise RuntimeError("imag is not implemented for tensors with non-complex dtypes.")
    return _parts(m, 1)


real_part = Op(
    "real_part",
    kind="movement",
    rule=lambda m: _parts(m, 0),
    grads=(lambda o, g: o.complex(g, o.zeros_like(g)),),
    node="SelectBackward0",
    chain=(("ViewAsRealBackward0", 0),),
)
imag_part = Op(
    "imag_part",
    kind="movement",
    rule=_imag_rule,
    grads=(lambda o, g: o.complex(o.zeros_like(g), g),),
    node="SelectBackward0",
    chain=(("ViewAsRealBackward0", 0),),
)


def _view_as_real_rule(m: Meta) -> View:
    if not m.dtype.is_complex:
        raise RuntimeError("view_as_real is only supported for complex tensors")
    if m.conj:
        raise RuntimeError(
            "view_as_real doesn't work on unresolved conjugated tensors.  To resolve the conjugate "
            "tensor so you can view it as real, use self.resolve_conj(); however, be warned that "
            "the resulting tensor will NOT alias the original."
        )
    strides = (*(2 * s for s in m.strides), 1)
    return View(meta((*m.shape, 2), m.dtype.to_real(), strides, m.device))


def _view_as_complex_rule(m: Meta) -> View:
    if m.dtype.name not in ("float16", "float32", "float64"):
        raise RuntimeError(
            "view_as_complex is only supported for half, float and double tensors, but got a "
            f"tensor of scalar type: {m.dtype.title}"
        )
    if m.ndim == 0 or m.shape[-1] != 2:
        raise RuntimeError("Tensor must have a last dimension of size 2")
    if m.strides[-1] != 1:
        raise RuntimeError("Tensor must have a last dimension with stride 1")
    if any(s % 2 for s in m.strides[:-1]):
        raise RuntimeError("Tensor must have a stride divisible by 2 for all but last dimension")
    strides = tuple(s // 2 for s in m.strides[:-1])
    return View(meta(m.shape[:-1], m.dtype.to_complex(), strides, m.device))


view_as_real = Op(
    "view_as_real",
    kind="movement",
    rule=_view_as_real_rule,
    grads=(lambda o, g: o.view_as_complex(o.contiguous(g)),),
)
view_as_complex = Op(
    "view_as_complex",
    kind="movement",
    rule=_view_as_complex_rule,
    grads=(lambda o, g: o.view_as_real(o.resolved(g)),),
)


def _flip_bit(m: Meta, conj: bool) -> View:
    if conj:
        return View(meta(m.shape, m.dtype, m.strides, m.device, not m.conj, m.neg))
    return View(meta(m.shape, m.dtype, m.strides, m.device, m.conj, not m.neg))


conj_view = Op(
    "conj_view",
    kind="movement",
    rule=lambda m: _flip_bit(m, True),
    grads=(lambda o, g: o.conj(g),),
    node="ConjBackward0",
)
neg_view = Op(
    "neg_view",
    kind="movement",
    rule=lambda m: _flip_bit(m, False),
    grads=(lambda o, g: -g,),
    node="NegViewBackward0",
)


def _view_dtype_rule(m: Meta, dtype: Any) -> View:
    have, want = m.dtype.itemsize, dtype.itemsize
    if have == want:
        return View(meta(m.shape, dtype, m.strides, m.device))
    if m.ndim == 0:
        raise RuntimeError(
            f"self.dim() cannot be 0 to view {m.dtype.title} as {dtype.title} (different element "
            "sizes)"
        )
    if m.strides[-1] != 1:
        raise RuntimeError(
            f"self.stride(-1) must be 1 to view {m.dtype.title} as {dtype.title} (different "
            "element "
            f"sizes), but got {m.strides[-1]}"
        )
    if have > want:
        ratio = have // want
        shape = (*m.shape[:-1], m.shape[-1] * ratio)
        return View(meta(shape, dtype, (*(s * ratio for s in m.strides[:-1]), 1), m.device))
    ratio = want // have
    if m.shape[-1] % ratio:
        raise RuntimeError(
            f"self.size(-1) must be divisible by {ratio} to view {m.dtype.title} as {dtype.title} "
            f"(different element sizes), but got {m.shape[-1]}"
        )
    if any(s % ratio for s in m.strides[:-1]):
        raise RuntimeError(
            f"self.stride(0) must be divisible by {ratio} to view {m.dtype.title} as {dtype.title} "
            "(different element sizes)"
        )
    shape = (*m.shape[:-1], m.shape[-1] // ratio)
    return View(meta(shape, dtype, (*(s // ratio for s in m.strides[:-1]), 1), m.device))


view_dtype = Op("view_dtype", kind="movement", attrs=("dtype",), rule=_view_dtype_rule)
