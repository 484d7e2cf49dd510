"""Contractions of matrices and vectors: mm, bmm, mv, dot, addmm, linear and their kin.

NumPy hands floats to BLAS.  Halves are multiplied in float32 and rounded once.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rushlight.errors import explained
from rushlight.ir.meta import Meta
from rushlight.ir.op import Op, Plan
from rushlight.ir.shapes import broadcast
from rushlight.ops.build import c_name, opmath
from rushlight.ops.movement import _expand_rule
from rushlight.ops.readable import same_number, scalar


def same_dtype(name: str, a: Meta, b: Meta) -> None:
    """Contractions do not promote."""
    if a.dtype is not b.dtype:
        raise RuntimeError(
            "expected m1 and m2 to have the same dtype, but got: "
            f"{c_name(a.dtype)} != {c_name(b.dtype)}"
            if name != "dot"
            else f"dot : expected both vectors to have same dtype, but found {a.dtype.title} and "
            f"{b.dtype.title}"
        )


def _no_bool(name: str, m: Meta) -> None:
    if m.dtype.kind == "b":
        raise NotImplementedError(f"\"{name}\" not implemented for 'Bool'")


def _mm_rule(a: Meta, b: Meta) -> Plan:
    if a.ndim != 2:
        raise RuntimeError("self must be a matrix")
    if b.ndim != 2:
        raise RuntimeError("mat2 must be a matrix")
    _fit(a, b)
    same_dtype("mm", a, b)
    _no_bool("addmm_impl_cpu_", a)
    return Plan(a.like(shape=(a.shape[0], b.shape[1])), compute=opmath(a.dtype))


def _fit(a: Meta, b: Meta) -> None:
    if a.shape[1] != b.shape[0]:
        raise RuntimeError(
            f"mat1 and mat2 shapes cannot be multiplied ({a.shape[0]}x{a.shape[1]} and "
            f"{b.shape[0]}x{b.shape[1]})"
        )


mm = Op(
    "mm",
    kind="contraction",
    inputs=("input", "mat2"),
    rule=_mm_rule,
    kernel=np.matmul,
    grads=(
        lambda o, g, _a, b: o.mm(g, o.conj(o.t(b))),  # dA = G B^H
        lambda o, g, a, _b: o.mm(o.conj(o.t(a)), g),  # dB = A^H G
    ),
)


def _bmm_rule(a: Meta, b: Meta) -> Plan:
    if a.ndim != 3:
        raise RuntimeError("batch1 must be a 3D tensor")
    if b.ndim != 3:
        raise RuntimeError("batch2 must be a 3D tensor")
    if a.shape[0] != b.shape[0] or a.shape[2] != b.shape[1]:
        raise RuntimeError(
            "Expected size for first two dimensions of batch2 tensor to be: "
            f"[{a.shape[0]}, {a.shape[2]}] but got: [{b.shape[0]}, {b.shape[1]}]."
        )
    same_dtype("bmm", a, b)
    _no_bool("baddbmm_cpu_mkl", a)
    return Plan(a.like(shape=(a.shape[0], a.shape[1], b.shape[2])), compute=opmath(a.dtype))


bmm = Op(
    "bmm",
    kind="contraction",
    inputs=("input", "mat2"),
    rule=_bmm_rule,
    kernel=np.matmul,
    grads=(
        lambda o, g, _a, b: o.bmm(g, o.conj(o.transpose(b, 1, 2))),
        lambda o, g, a, _b: o.bmm(o.conj(o.transpose(a, 1, 2)), g),
    ),
)


def _mv_rule(a: Meta, v: Meta) -> Plan:
    if a.ndim != 2 or v.ndim != 1:
        raise RuntimeError(f"vector + matrix @ vector expected, got {1}, {a.ndim}, {v.ndim}")
    if a.shape[1] != v.shape[0]:
        raise RuntimeError(
            f"size mismatch, got input ({a.shape[0]}), mat ({a.shape[0]}x{a.shape[1]}), vec "
            f"({v.shape[0]})"
        )
    same_dtype("mv", a, v)
    _no_bool("addmv_impl_cpu", a)
    return Plan(a.like(shape=(a.shape[0],)), compute=opmath(a.dtype))


mv = Op(
    "mv",
    kind="contraction",
    inputs=("input", "vec"),
    rule=_mv_rule,
    kernel=np.matmul,
    grads=(
        lambda o, g, _a, v: o.outer(g, o.conj(v)),  # dA = g v^H
        lambda o, g, a, _v: o.mv(o.conj(o.t(a)), g),  # dv = A^H g
    ),
)


def _dot_rule(a: Meta, b: Meta) -> Plan:
    if a.ndim != 1 or b.ndim != 1:
        raise RuntimeError(f"1D tensors expected, but got {a.ndim}D and {b.ndim}D tensors")
    same_dtype("dot", a, b)
    if a.shape != b.shape:
        raise RuntimeError(
            f"inconsistent tensor size, expected tensor [{a.shape[0]}] and src [{b.shape[0]}] to "
            f"have the same number of elements, but got {a.shape[0]} and {b.shape[0]} elements "
            "respectively"
        )
    _no_bool("dot", a)
    return Plan(a.like(shape=()), compute=opmath(a.dtype))


dot = Op(
    "dot",
    kind="contraction",
    inputs=("input", "tensor"),
    rule=_dot_rule,
    kernel=np.dot,
    grads=(lambda o, g, _a, b: g * o.conj(b), lambda o, g, a, _b: g * o.conj(a)),
)
vdot = Op(
    "vdot",
    kind="contraction",
    inputs=("input", "other"),
    rule=_dot_rule,
    kernel=np.vdot,
    grads=(lambda o, g, _a, b: o.conj(g) * b, lambda o, g, a, _b: g * a),
)


def _outer_rule(a: Meta, b: Meta) -> Plan:
    from rushlight.ops.build import combined_dtype

    for name, m in (("self", a), ("vec2", b)):
        if m.ndim != 1:
            raise RuntimeError(f"outer: Expected 1-D argument {name}, but got {m.ndim}-D")
    dt = combined_dtype((a, b))
    return Plan(a.like(shape=(a.shape[0], b.shape[0]), dtype=dt), compute=opmath(dt))


outer = Op(
    "outer",
    kind="contraction",
    inputs=("input", "vec2"),
    rule=_outer_rule,
    kernel=lambda a, b: np.logical_and.outer(a, b) if a.dtype == bool else np.multiply.outer(a, b),
    grads=(
        lambda o, g, _a, b: o.mv(g, o.conj(b)),
        lambda o, g, a, _b: o.mv(o.t(g), o.conj(a)),
    ),
    node="MulBackward0",
)


def scaled_sum(base: Any, beta: Any, product: Any, alpha: Any) -> Any:
    """beta base + alpha product; a beta of 0 ignores even NaN in the base."""
    if not same_number(alpha, 1):
        product = scalar(alpha, product.dtype) * product
    if same_number(beta, 0):
        return product
    return product + (base if same_number(beta, 1) else scalar(beta, product.dtype) * base)


def _addmm_rule(base: Meta, a: Meta, b: Meta, beta: Any, alpha: Any) -> Plan:
    if a.ndim != 2 or b.ndim != 2:
        which, m = ("mat1", a) if a.ndim != 2 else ("mat2", b)
        raise RuntimeError(f"{which} must be a matrix, got {m.ndim}-D tensor")
    _fit(a, b)
    same_dtype("addmm", a, b)
    if base.dtype is not a.dtype:
        raise RuntimeError(
            f"self and mat2 must have the same dtype, but got {base.dtype.title} and "
            f"{b.dtype.title}"
        )
    shape = (a.shape[0], b.shape[1])
    _expand_rule(base, shape)
    _no_bool("addmm_impl_cpu_", a)
    return Plan(a.like(shape=shape), compute=opmath(a.dtype))


def _product_op(name: str, inputs: tuple[str, ...], rule: Any, product: Any, grads: Any) -> Op:
    """beta * input + alpha * (product of the other two)."""
    return Op(
        name,
        kind="contraction",
        inputs=inputs,
        attrs=("beta", "alpha"),
        defaults=(1, 1),
        rule=rule,
        kernel=lambda base, a, b, beta, alpha: scaled_sum(base, beta, product(a, b), alpha),
        grads=(
            lambda o, g, _i, _a, _b, _y, beta: o.sum_to(
                g if beta == 1 else g * o.conj(beta), _i.shape
            ),
            *grads,
        ),
    )


def _by(o: Any, g: Any, alpha: Any) -> Any:
    return g if alpha == 1 else g * o.conj(alpha)


addmm = _product_op(
    "addmm",
    ("input", "mat1", "mat2"),
    _addmm_rule,
    np.matmul,
    (
        lambda o, g, _i, _a, b, _y, beta, alpha: _by(o, o.mm(g, o.conj(o.t(b))), alpha),
        lambda o, g, _i, a, _b, _y, beta, alpha: _by(o, o.mm(o.conj(o.t(a)), g), alpha),
    ),
)


def _baddbmm_rule(base: Meta, a: Meta, b: Meta, beta: Any, alpha: Any) -> Plan:
    if a.ndim == 3 and b.ndim == 3:
        _expand_rule(base, (a.shape[0], a.shape[1], b.shape[2]))
    plan = _bmm_rule(a, b)
    if base.dtype is not a.dtype:
        raise RuntimeError(
            f"Input dtypes must be the same, got: input {c_name(base.dtype)}, batch1: "
            f"{c_name(a.dtype)}, batch2: {c_name(b.dtype)}"
        )
    return plan


baddbmm = _product_op(
    "baddbmm",
    ("input", "batch1", "batch2"),
    _baddbmm_rule,
    np.matmul,
    (
        lambda o, g, _i, _a, b, _y, beta, alpha: _by(
            o, o.bmm(g, o.conj(o.transpose(b, 1, 2))), alpha
        ),
        lambda o, g, _i, a, _b, _y, beta, alpha: _by(
            o, o.bmm(o.conj(o.transpose(a, 1, 2)), g), alpha
        ),
    ),
)


def _addbmm_rule(base: Meta, a: Meta, b: Meta, beta: Any, alpha: Any) -> Plan:
    if a.ndim == 3 and b.ndim == 3:
        _expand_rule(base, (a.shape[1], b.shape[2]))
    plan = _bmm_rule(a, b)
    return Plan(a.like(shape=plan.outs[0].shape[1:]), compute=opmath(a.dtype))


def _same_for_each(o: Any, g: Any, batch: int) -> Any:
    return o.expand(o.unsqueeze(g, 0), (batch, *g._meta.shape))


addbmm = _product_op(
    "addbmm",
    ("input", "batch1", "batch2"),
    _addbmm_rule,
    lambda a, b: np.matmul(a, b).sum(0),
    (
        lambda o, g, _i, _a, b, _y, beta, alpha: _by(
            o, o.bmm(_same_for_each(o, g, b._meta.shape[0]), o.conj(o.transpose(b, 1, 2))), alpha
        ),
        lambda o, g, _i, a, _b, _y, beta, alpha: _by(
            o, o.bmm(o.conj(o.transpose(a, 1, 2)), _same_for_each(o, g, a._meta.shape[0])), alpha
        ),
    ),
)


def _addmv_rule(base: Meta, a: Meta, v: Meta, beta: Any, alpha: Any) -> Plan:
    plan = _mv_rule(a, v)
    broadcast(base.shape, plan.outs[0].shape)
    return plan


addmv = _product_op(
    "addmv",
    ("input", "mat", "vec"),
    _addmv_rule,
    np.matmul,
    (
        lambda o, g, _i, _a, v, _y, beta, alpha: _by(o, o.outer(g, o.conj(v)), alpha),
        lambda o, g, _i, a, _v, _y, beta, alpha: _by(o, o.mv(o.conj(o.t(a)), g), alpha),
    ),
)


def _addr_rule(base: Meta, a: Meta, b: Meta, beta: Any, alpha: Any) -> Plan:
    from rushlight.ops.build import combined_dtype

    plan = _outer_rule(a, b)
    dt = combined_dtype((base, a, b))
    return Plan(plan.outs[0].like(dtype=dt), compute=opmath(dt))


addr = _product_op(
    "addr",
    ("input", "vec1", "vec2"),
    _addr_rule,
    lambda a, b: np.logical_and.outer(a, b) if a.dtype == bool else np.multiply.outer(a, b),
    (
        lambda o, g, _i, _a, b, _y, beta, alpha: _by(o, o.mv(g, o.conj(b)), alpha),
        lambda o, g, _i, a, _b, _y, beta, alpha: _by(o, o.mv(o.t(g), o.conj(a)), alpha),
    ),
)


# linear: x W^T + b for x of any number of leading dimensions


def _dtype_text(x: Meta, w: Meta, b: Any) -> str:
    if b is None:
        return (
            "expected m1 and m2 to have the same dtype, but got: "
            f"{c_name(x.dtype)} != {c_name(w.dtype)}"
        )
    left, first = ("mat1", x) if b.dtype is w.dtype else ("self", b)
    return (
        f"{left} and mat2 must have the same dtype, but got {first.dtype.title} and {w.dtype.title}"
    )


def _misfit(x: Meta, features: int) -> tuple[str, str]:
    """What to do about an input of another size than the layer's, in two languages."""
    shape, have = list(x.shape), x.shape[-1] if x.ndim else 1
    if x.ndim > 2 and math.prod(x.shape[1:]) == features:
        return (
            f"the input {shape} still has its image dimensions: x = torch.flatten(x, 1) first",
            f"输入 {shape} 还没有展平：先 x = torch.flatten(x, 1)",
        )
    if x.ndim == 1 and have > features and have % features == 0:
        return (
            f"the batch was flattened too ({have} = {have // features} x {features}): use "
            "flatten(x, 1), and drop_last=True if only the last batch is short",
            f"批次维也被展平了（{have} = {have // features} x {features}）：请用 flatten(x, 1)；"
            "若只有最后一批不足，请设 drop_last=True",
        )
    return (
        f"the layer takes {features} features, the input {shape} has {have}: set "
        f"in_features={have}, or flatten from dimension 1: flatten(x, 1)",
        f"该层需要 {features} 个特征，输入 {shape} 实际有 {have} 个：请改 in_features={have}，"
        "或从第 1 维展平：flatten(x, 1)",
    )


def _expands(b: Meta, shape: Any) -> bool:
    """Whether a bias can be expanded to the result's shape."""
    tail = shape[len(shape) - b.ndim :]
    return b.ndim <= len(shape) and all(s in (1, n) for s, n in zip(b.shape, tail, strict=True))


def _linear_rule(x: Meta, w: Meta, b: Any) -> Plan:
    if w.ndim not in (1, 2):
        raise RuntimeError(f"linear(): weight must be 1-D or 2-D, got {w.ndim}-D")
    features = w.shape[-1]
    rows = x.numel // max(x.shape[-1], 1) if x.ndim else 1
    if x.ndim == 0 or x.shape[-1] != features:
        raise explained(
            RuntimeError(
                f"mat1 and mat2 shapes cannot be multiplied ({rows}x"
                f"{x.shape[-1] if x.ndim else 1} and {features}x{w.shape[0]})"
            ),
            *_misfit(x, features),
        )
    if x.dtype is not w.dtype:
        raise explained(
            RuntimeError(_dtype_text(x, w, b)),
            f"the input is {x.dtype}, the weight {w.dtype}: x = x.to({w.dtype})",
            f"输入是 {x.dtype}，权重是 {w.dtype}：x = x.to({w.dtype})",
        )
    if b is not None and b.dtype is not w.dtype:
        raise RuntimeError(_dtype_text(x, w, b))
    shape = (*x.shape[:-1], w.shape[0]) if w.ndim == 2 else x.shape[:-1]
    if b is not None and not _expands(b, shape):
        rows = [math.prod(shape[:-1]), shape[-1]]
        raise RuntimeError(
            f"The expanded size of the tensor ({shape[-1]}) must match the existing size "
            f"({b.shape[-1]}) at non-singleton dimension 1.  Target sizes: {rows}.  Tensor sizes: "
            f"{list(b.shape)}"
        )
    return Plan(x.like(shape=shape), compute=opmath(x.dtype))


def _linear(x: Any, w: Any, b: Any) -> Any:
    if w.ndim == 1:
        y = np.matmul(x, w)
    elif x.ndim == 2:
        y = np.matmul(x, w.T)
    else:
        rows = x.reshape(math.prod(x.shape[:-1]), x.shape[-1])
        y = np.matmul(rows, w.T).reshape(*x.shape[:-1], w.shape[0])
    if b is not None:
        y += b
    return y


def _rows(o: Any, x: Any) -> Any:
    m = x._meta
    return x if m.ndim == 2 else o.reshape(x, (math.prod(m.shape[:-1]), m.shape[-1]))


def _linear_backward(o: Any, needs: Any, g: Any, inputs: Any, outputs: Any) -> Any:
    """dx = g W, dW = g^T x, db = the sum of g over rows."""
    x, w, b = inputs
    of_x, of_w = getattr(x, "_meta", x), getattr(w, "_meta", w)
    if of_w.ndim == 1:
        g = o.unsqueeze(g, -1)
    dx = dw = db = None
    if needs[0]:
        dx = o.mm(_rows(o, g), o.conj(o.unsqueeze(w, 0) if of_w.ndim == 1 else w))
        if of_x.ndim != 2:
            dx = o.reshape(dx, of_x.shape)
    if needs[1]:
        dw = o.mm(o.t(_rows(o, g)), o.conj(_rows(o, x)))
        if of_w.ndim == 1:
            dw = o.reshape(dw, of_w.shape)
    if needs[2]:
        m = g._meta
        if b.shape == m.shape[-1:]:  # no view: the sum itself becomes the bias's .grad
            db = o.sum(g, tuple(range(m.ndim - 1)), False, None) if m.ndim > 1 else g
        else:
            db = o.sum_to(g, b.shape)
    return dx, dw, db


def _linear_keeps(needs: Any) -> tuple[int, ...]:
    """The gradient of either factor reads the other."""
    return (*((0,) if needs[1] else ()), *((1,) if needs[0] else ()))


def _linear_node(metas: Any, attrs: Any) -> str:
    x, w, b = metas
    if x.ndim == 2:
        return "AddmmBackward0" if b is not None else "MmBackward0"
    if x.ndim == 1:
        return "ViewBackward0" if b is not None else "SqueezeBackward4"
    return "ViewBackward0" if b is not None else "UnsafeViewBackward0"


def _linear_chain(metas: Any, attrs: Any) -> tuple[Any, ...]:
    """PyTorch composes it of t, mm or addmm and views of the rows."""
    x, w, b = metas
    weight = ("TBackward0", 1)
    if x.ndim == 2:
        return (0, weight) if b is None else (2, 0, weight)
    if x.ndim == 1 and b is None:
        return (("MmBackward0", ("UnsqueezeBackward0", 0), weight),)
    rows = ("ViewBackward0", 0)
    return (("MmBackward0", rows, weight) if b is None else ("AddmmBackward0", 2, rows, weight),)


linear = Op(
    "linear",
    kind="contraction",
    inputs=("input", "weight", "bias"),
    rule=_linear_rule,
    kernel=_linear,
    backward=_linear_backward,
    keeps_inputs=_linear_keeps,
    node=_linear_node,
    chain=_linear_chain,
)
