"""Batching rules of elementwise, moving, reducing, scanning and sorting operators.

Elementwise operators get their batch dimensions aligned; the others get their ``dim`` moved past
the batch dimension.
"""

from __future__ import annotations

from typing import Any

from rushlight.dispatch import gate
from rushlight.dispatch.namespace import o
from rushlight.dispatch.tensor import Tensor
from rushlight.func.rules import Call, by_kind, composed, composition, one_by_one, values
from rushlight.ir.shapes import wrap_dim
from rushlight.ops.build import combined_dtype

__all__: list[str] = []

_INTO = frozenset(("copy", "fill", "masked_fill", "zero"))  # the result is shaped as input 0


def aligned(c: Call) -> list[Any]:
    """The values with so many dimensions that they broadcast sample by sample."""
    n = max(x._meta.ndim for x in c.logical if isinstance(x, Tensor))
    found = []
    for i, (v, h) in enumerate(zip(c.values, c.has, strict=True)):
        if h and c.ndim(i) < n:
            v = o.reshape(v, (c.size, *(1,) * (n - c.ndim(i)), *c.shape(i)))
        found.append(v)
    return found


@by_kind("elementwise")
def elementwise(c: Call) -> Any:
    """Batch dimensions in front, sample dimensions from behind."""
    vs = aligned(c)
    if c.op.name in _INTO and not c.has[0]:
        vs[0] = c.full(0)
    if any(h and c.ndim(i) == 0 for i, h in enumerate(c.has)):
        vs = _promoted(c, vs)
    return c.shaped(gate.call(c.op, tuple(vs), c.attrs))


def _promoted(c: Call, vs: list[Any]) -> list[Any]:
    """Numbers of a batch weigh as numbers in type promotion, though their value has a dim."""
    if gate.plan_of(c.op, tuple(vs), c.attrs).outs[0].dtype is c.plan.outs[0].dtype:
        return vs
    want = combined_dtype([x._meta for x in c.logical if isinstance(x, Tensor)])
    return [
        o.to(v, want) if h and c.ndim(i) == 0 else v
        for i, (v, h) in enumerate(zip(vs, c.has, strict=True))
    ]


@values("clone_strided")
def _clone_strided(c: Call) -> Any:
    return o.clone_strided(c.values[0], None)


@values("masked_fill")
def _masked_fill(c: Call) -> Any:
    if len(c.has) < 3 or not c.has[2]:
        return elementwise(c)
    x, mask, value = aligned(c)
    return c.shaped(o.where(mask, o.to(value, c.plan.outs[0].dtype), x))


@values("fill")
def _fill(c: Call) -> Any:
    if not c.has[1]:
        return elementwise(c)
    return o.copy(c.full(0), aligned(c)[1])


@composition("prelu")
def _prelu(x: Any, weight: Any) -> Any:
    if weight._meta.ndim == 1 and x._meta.ndim > 1:
        weight = o.reshape(weight, (-1, *(1,) * (x._meta.ndim - 2)))
    return o.where(x > 0, x, x * weight)


# Movement


@values("view", "_unsafe_view")
def _view(c: Call) -> Any:
    return o.reshape(c.values[0], c.out())


@values("expand")
def _expand(c: Call) -> Any:
    lead = len(c.out()) - 1 - c.ndim(0)
    v = c.values[0]
    for _ in range(lead):
        v = o.unsqueeze(v, 1)
    return o.expand(v, c.out())


@values("permute")
def _permute(c: Call) -> Any:
    n = c.ndim(0)
    return o.permute(c.values[0], (0, *[wrap_dim(d, n) + 1 for d in c.attrs[0]]))


@values("t")
def _t(c: Call) -> Any:
    return (
        o.transpose(c.values[0], 1, 2) if c.ndim(0) == 2 else o.slice(c.values[0], 0, 0, c.size, 1)
    )


@values("unsqueeze")
def _unsqueeze(c: Call) -> Any:
    return o.unsqueeze(c.values[0], wrap_dim(c.attrs[0], c.ndim(0) + 1) + 1)


@values("squeeze")
def _squeeze(c: Call) -> Any:
    return o.reshape(c.values[0], c.out())


@values("as_strided")
def _as_strided(c: Call) -> Any:
    size, stride, offset = c.attrs
    v = c.values[0]
    return o.as_strided(v, (c.size, *size), (v._meta.strides[0], *stride), offset)


_DIMS = ("dim", "dims", "dimension", "dim0", "dim1", "dim2")


@by_kind("movement", "scan", "sort")
def along(c: Call) -> Any:
    """Operators of one tensor with dimensions among their attributes."""
    if len(c.values) != 1:
        return one_by_one(c)
    v, n = c.values[0], c.ndim(0)
    if n == 0:
        v, n = o.unsqueeze(v, 1), 1
    return c.shaped(gate.call(c.op, (v,), shifted(c, n)))


def shifted(c: Call, n: int, extra: int = 0) -> tuple[Any, ...]:
    """The attributes with each dimension moved past the batch's."""
    return tuple(
        [
            _moved(a, n + extra) if name in _DIMS else a
            for name, a in zip(c.op.attrs, c.attrs, strict=True)
        ]
    )


def _moved(dim: Any, n: int) -> Any:
    if isinstance(dim, (tuple, list)):
        return tuple([wrap_dim(d, n) + 1 for d in dim])
    return wrap_dim(dim, n) + 1


@values("diag_embed")
def _diag_embed(c: Call) -> Any:
    return c.shaped(gate.call(c.op, (c.values[0],), shifted(c, c.ndim(0), 1)))


@values("view_as_complex", "view_as_real", "real_part", "imag_part", "conj_view", "neg_view")
def _as_is(c: Call) -> Any:
    return gate.call(c.op, (c.values[0],), c.attrs)


@values("view_dtype")
def _view_dtype(c: Call) -> Any:
    return gate.call(c.op, (c.values[0],), c.attrs)


# Reduction


_WHOLE = frozenset(("max_all", "min_all", "median_all", "nanmedian_all"))
_OF_DIM = {
    "max_all": ("amax", (1, False)),
    "min_all": ("amin", (1, False)),
    "median_all": ("median_dim", (1, False)),
    "nanmedian_all": ("nanmedian_dim", (1, False)),
}


@values(*_WHOLE)
def _whole(c: Call) -> Any:
    name, attrs = _OF_DIM[c.op.name]
    found = getattr(o, name)(o.reshape(c.values[0], (c.size, -1)), *attrs)
    return found[0] if isinstance(found, tuple) else found


@by_kind("reduce")
def reduce(c: Call) -> Any:
    """Reductions over dimensions; all of a sample's if none is named."""
    if len(c.values) != 1 or "dim" not in c.op.attrs:
        return one_by_one(c)
    at = c.op.attrs.index("dim")
    dim = c.attrs[at]
    v, n = c.values[0], c.ndim(0)
    everything = dim is None or (isinstance(dim, (tuple, list)) and not dim)
    if everything or n == 0:
        v = o.reshape(v, (c.size, _numel(c.shape(0))))
        attrs = (*c.attrs[:at], 1, *c.attrs[at + 1 :])
    else:
        attrs = (*c.attrs[:at], _moved(dim, n), *c.attrs[at + 1 :])
    return c.shaped(gate.call(c.op, (v,), attrs))


def _numel(shape: tuple[int, ...]) -> int:
    n = 1
    for s in shape:
        n *= s
    return n


@composition("trace")
def _trace(x: Any) -> Any:
    return o.sum(o.diagonal(x, 0, 0, 1), None, False, None)


@composition("dist")
def _dist(x: Any, y: Any, p: Any) -> Any:
    return o.linalg_vector_norm(x - y, p, None, False, None)


@values("cdist")
def _cdist(c: Call) -> Any:
    n = max(c.ndim(0), c.ndim(1))
    vs = [o.reshape(c.full(i), (c.size, *(1,) * (n - c.ndim(i)), *c.shape(i))) for i in (0, 1)]
    return gate.call(c.op, tuple(vs), c.attrs)


@values("renorm")
def _renorm(c: Call) -> Any:
    return composed(c, _renormed)


def _renormed(x: Any, p: float, dim: int, maxnorm: float) -> Any:
    n = x._meta.ndim
    others = tuple([d for d in range(n) if d != wrap_dim(dim, n)])
    size = o.linalg_vector_norm(x, p, others, True, None)
    return x * o.where(size > maxnorm, maxnorm / (size + 1e-7), 1)


@values("softmax_backward", "log_softmax_backward")
def _softmax_backward(c: Call) -> Any:
    n = max(c.ndim(0), 1)
    vs = [o.reshape(c.full(i), (c.size, *(c.shape(i) or (1,)))) for i in (0, 1)]
    return c.shaped(gate.call(c.op, tuple(vs), shifted(c, n)))
