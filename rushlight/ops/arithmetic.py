"""Arithmetic, comparison, bitwise and logical operators, elementwise.

Each record: the NumPy kernel, the gradient (formula beside it), where it is published.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight import dtypes
from rushlight.ir.meta import Meta
from rushlight.ir.op import Op, Plan
from rushlight.ops.build import (
    combined_dtype,
    elementwise,
    elementwise_meta,
    opmath,
    unsupported,
)
from rushlight.ops.readable import is_symbol, refused, same_number, scalar

BINARY = ("input", "other")
TENSORS = "torch method inplace tensors"  # not with Python numbers


def _add(x: Any, y: Any, alpha: Any) -> Any:
    if x.dtype.kind == "b":
        return x | (y & bool(alpha))
    return x + y if same_number(alpha, 1) else x + _scaled(y, alpha)


def _sub(x: Any, y: Any, alpha: Any) -> Any:
    return x - y if same_number(alpha, 1) else x - _scaled(y, alpha)


def _scaled(y: Any, alpha: Any) -> Any:
    return y * scalar(alpha, y.dtype)


def _alpha_rule(name: str) -> Any:
    def rule(x: Any, y: Any, alpha: Any) -> Plan:
        dt = combined_dtype((x, y))
        if name == "sub" and x.dtype.kind == "b" and y.dtype.kind == "b":
            raise RuntimeError(
                "Subtraction, the `-` operator, with two bool tensors is not supported. "
                "Use the `^` or `logical_xor()` operator instead."
            )
        if name == "sub" and (x.dtype.kind == "b" or y.dtype.kind == "b"):
            raise RuntimeError(
                "Subtraction, the `-` operator, with a bool tensor is not supported. If you are "
                "trying to invert a mask, use the `~` or `logical_not()` operator instead."
            )
        if dt.is_integral and isinstance(alpha, (float, complex)):
            raise RuntimeError(
                "For integral input tensors, argument alpha must not be a floating point number."
            )
        if isinstance(alpha, bool) and dt.kind != "b":
            raise RuntimeError("Boolean alpha only supported for Boolean results.")
        if isinstance(alpha, complex) and not dt.is_complex:
            raise RuntimeError(
                "For non-complex input tensors, argument alpha must not be a complex number."
            )
        return Plan(elementwise_meta((x, y), dt), compute=opmath(dt))

    return rule


def _times(o: Any, g: Any, alpha: Any) -> Any:
    return g if alpha == 1 else g * o.conj(alpha)


def _both_shown(metas: Any, attrs: Any) -> tuple[Any, ...]:
    """PyTorch makes a number into a tensor here, so that it has a place in the graph."""
    return (1, None) if metas[0].is_scalar else (0, 1)


add = Op(
    "add",
    kind="elementwise",
    inputs=BINARY,
    attrs=("alpha",),
    defaults=(1,),
    rule=_alpha_rule("add"),
    kernel=_add,
    ufunc=np.add,
    grads=(
        lambda o, g: g,  # d(x + a y)/dx = 1
        lambda o, g, _x, _y, _out, alpha: _times(o, g, alpha),  # d/dy = a
    ),
    api="method inplace",
    chain=_both_shown,
)
sub = Op(
    "sub",
    kind="elementwise",
    inputs=BINARY,
    attrs=("alpha",),
    defaults=(1,),
    rule=_alpha_rule("sub"),
    kernel=_sub,
    ufunc=np.subtract,
    grads=(
        lambda o, g: g,  # d(x - a y)/dx = 1
        lambda o, g, _x, _y, _out, alpha: -_times(o, g, alpha),  # d/dy = -a
    ),
    node=lambda metas, attrs: "RsubBackward1" if metas[0].is_scalar else "SubBackward0",
    chain=lambda metas, attrs: (1,) if metas[0].is_scalar else (0, 1),
)


def _multiply(x: Any, y: Any) -> Any:
    return x * y if x.dtype.kind != "b" else np.logical_and(x, y)


mul = elementwise(
    "mul",
    _multiply,
    (
        lambda o, g, _x, y: g * o.conj(y),  # d(xy)/dx = y
        lambda o, g, x: g * o.conj(x),  # d(xy)/dy = x
    ),
    ufunc=np.multiply,
    inputs=BINARY,
    doc="Product of two tensors, element by element, with broadcasting.",
    chain=_both_shown,
)


def _div_rule(x: Any, y: Any, rounding_mode: str | None) -> Plan:
    dt = combined_dtype((x, y))
    if rounding_mode is None:
        if dt.is_integral:
            dt = dtypes.default_float()
    elif rounding_mode not in ("trunc", "floor"):
        raise RuntimeError(
            "div expected rounding_mode to be one of None, 'trunc', or 'floor' but found "
            f"'{rounding_mode}'"
        )
    elif dt.is_complex or dt.kind == "b":
        raise NotImplementedError(f"\"div_{rounding_mode}_cpu\" not implemented for '{dt.title}'")
    return Plan(elementwise_meta((x, y), dt), compute=opmath(dt))


def _div(x: Any, y: Any, rounding_mode: str | None) -> Any:
    if rounding_mode is None:
        return np.true_divide(x, y)
    if x.dtype.kind in "biu":
        y = _no_zero(y)
        quotient = np.floor_divide(x, y)
        if rounding_mode == "floor":
            return quotient
        rest = np.remainder(x, y)
        return quotient + ((rest != 0) & ((x < 0) != (y < 0))).astype(quotient.dtype)
    if rounding_mode == "trunc":
        return np.trunc(np.true_divide(x, y))
    return _floor_divide_floats(x, y)


def _floor_divide_floats(x: Any, y: Any) -> Any:
    """floor(x / y) through fmod, as Python and PyTorch compute it."""
    rest = np.fmod(x, y)
    quotient = (x - rest) / y
    quotient = quotient - ((rest != 0) & ((y < 0) != (rest < 0)))
    floor = np.floor(quotient)
    floor = floor + (quotient - floor > 0.5)
    result = np.where(quotient != 0, floor, np.copysign(0, x / y))
    return np.where(np.equal(y, 0), x / y, result).astype(np.result_type(x, y), copy=False)


div = Op(
    "div",
    kind="elementwise",
    inputs=BINARY,
    attrs=("rounding_mode",),
    defaults=(None,),
    rule=_div_rule,
    kernel=_div,
    ufunc=np.true_divide,
    grads=(
        # d(x/y)/dx = 1/y, d(x/y)/dy = -x/y^2; rounded quotients are constant almost everywhere
        lambda o, g, _x, y, _out, mode: g / o.conj(y) if mode is None else o.zeros_like(g),
        lambda o, g, x, y, _out, mode: (
            -g * o.conj((x / y) / y) if mode is None else o.zeros_like(g)
        ),
    ),
    domain=(0.5, 4.0),
    node=lambda metas, attrs: (
        "MulBackward0" if metas[0].is_scalar and attrs[0] is None else "DivBackward0"
    ),
    chain=lambda metas, attrs: (
        (("ReciprocalBackward0", 1), None)
        if metas[0].is_scalar and attrs[0] is None
        else _both_shown(metas, attrs)
    ),
)


def _no_zero(y: Any) -> Any:
    """A divisor of whole numbers."""
    return refused(y, np.equal(y, 0), lambda: RuntimeError("ZeroDivisionError"))


def _remainder(x: Any, y: Any) -> Any:
    return np.remainder(x, _no_zero(y) if x.dtype.kind in "iu" else y)


def _fmod(x: Any, y: Any) -> Any:
    return np.fmod(x, _no_zero(y) if x.dtype.kind in "iu" else y)


remainder = elementwise(
    "remainder",
    _remainder,
    (
        lambda o, g: g,  # x - y floor(x/y)
        lambda o, g, x, y: -g * o.div(x, y, "floor"),
    ),
    inputs=BINARY,
    kinds="uif",
    domain=(0.5, 4.0),
    doc="What is left of input / other rounded down; it has the sign of ``other``.",
)
fmod = elementwise(
    "fmod",
    _fmod,
    (
        lambda o, g: g,  # x - y trunc(x/y)
        lambda o, g, x, y: -g * o.div(x, y, "trunc"),
    ),
    inputs=BINARY,
    kinds="uif",
    domain=(0.5, 4.0),
    doc="What is left of input / other rounded towards 0; it has the sign of ``input``.",
)


def _pow_rule(x: Any, y: Any) -> Plan:
    dt = combined_dtype((x, y))
    if dt.kind == "b":
        raise unsupported("pow", dt)
    return Plan(elementwise_meta((x, y), dt), compute=opmath(dt))


def _pow(x: Any, y: Any) -> Any:
    if x.dtype.kind in "biu":
        if y.dtype.kind == "i" and (is_symbol(y) or np.any(y < 0)):
            if isinstance(y, np.generic):  # a Python number
                raise RuntimeError("Integers to negative integer powers are not allowed.")
            return _whole_power(x, y)
        return np.power(x, y)
    if y.ndim == 0 and not is_symbol(y):
        if y == 2:
            return x * x
        if y == 3:
            return x * x * x
        if y == 0.5 and x.dtype.kind != "c":
            return np.sqrt(x)
        if y == 1:
            return x.copy()
    return np.power(x, y)


def _whole_power(base: Any, exponent: Any) -> Any:
    """Integer powers: negative ones are 0 but for bases 1 and -1."""
    good = np.power(base, np.maximum(exponent, 0))
    odd = np.where(exponent % 2 == 0, 1, -1).astype(good.dtype)
    negative = np.where(base == 1, 1, np.where(base == -1, odd, 0)).astype(good.dtype)
    return np.where(exponent < 0, negative, good)


def _pow_grad_base(o: Any, g: Any, x: Any, y: Any) -> Any:
    """d(x^y)/dx = y x^(y-1), and 0 where y is 0."""
    if not hasattr(y, "_meta"):
        if y == 0:
            return o.zeros_like(g)
        return g * o.conj(y * o.pow(x, y - 1))
    return o.where(y == 0, o.zeros_like(y), g * o.conj(y * o.pow(x, y - 1)))


def _pow_grad_exponent(o: Any, g: Any, x: Any, y: Any, out: Any) -> Any:
    """d(x^y)/dy = x^y log x, and 0 where x is 0 and y is not negative."""
    if not hasattr(x, "_meta"):
        if x == 0:
            return o.where(y >= 0, o.zeros_like(y), g * out * float("-inf"))
        log = np.log(complex(x)) if isinstance(x, complex) or x < 0 else float(np.log(x))
        return g * o.conj(out * log)
    zero = (x == 0) & ((y >= 0) if not y._meta.dtype.is_complex else (y == y))
    return o.where(zero, o.full_like(x, 0), g * o.conj(out * o.log(x)))


pow = Op(
    "pow",
    kind="elementwise",
    inputs=("input", "exponent"),
    rule=_pow_rule,
    kernel=_pow,
    grads=(_pow_grad_base, _pow_grad_exponent),
    node=lambda metas, attrs: (
        "PowBackward0"
        if metas[1].is_scalar
        else "PowBackward2"
        if metas[0].is_scalar
        else "PowBackward1"
    ),
    domain=(0.5, 3.0),
    single_pass=True,
    whole="powers of whole numbers by whole numbers",
)

# Comparison


def _compare(name: str, kernel: Any, kinds: str = "buifc", doc: str = "") -> Op:
    return elementwise(name, kernel, None, inputs=BINARY, result="bool", kinds=kinds, doc=doc)


eq = _compare("eq", np.equal, doc="Where two elements are equal.")
ne = _compare("ne", np.not_equal, doc="Where two elements differ.")
lt = _compare("lt", np.less, "buif", doc="Where input < other.")
le = _compare("le", np.less_equal, "buif", doc="Where input <= other.")
gt = _compare("gt", np.greater, "buif", doc="Where input > other.")
ge = _compare("ge", np.greater_equal, "buif", doc="Where input >= other.")

# Logic and bits


def _truth(kernel: Any) -> Any:
    return lambda *arrays: kernel(*[np.not_equal(a, 0) for a in arrays])


logical_and = elementwise(
    "logical_and",
    _truth(np.logical_and),
    inputs=BINARY,
    result="bool",
    api=TENSORS,
    doc="Where both elements are true (not 0).",
)
logical_or = elementwise(
    "logical_or",
    _truth(np.logical_or),
    inputs=BINARY,
    result="bool",
    api=TENSORS,
    doc="Where one of the elements is true (not 0).",
)
logical_xor = elementwise(
    "logical_xor",
    _truth(np.logical_xor),
    inputs=BINARY,
    result="bool",
    api=TENSORS,
    doc="Where just one of the elements is true (not 0).",
)
logical_not = elementwise(
    "logical_not", lambda x: np.equal(x, 0), result="bool", doc="Where an element is 0."
)
bitwise_and = elementwise(
    "bitwise_and",
    np.bitwise_and,
    inputs=BINARY,
    kinds="bui",
    doc="The bits set in both whole numbers.",
)
bitwise_or = elementwise(
    "bitwise_or",
    np.bitwise_or,
    inputs=BINARY,
    kinds="bui",
    doc="The bits set in one of the whole numbers.",
)
bitwise_xor = elementwise(
    "bitwise_xor",
    np.bitwise_xor,
    inputs=BINARY,
    kinds="bui",
    doc="The bits set in just one of the whole numbers.",
)
bitwise_not = elementwise(
    "bitwise_not",
    np.bitwise_not,
    kinds="bui",
    doc="The bits that are not set; for bool the opposite.",
)


def _shift(kernel: Any, past_end: Any) -> Any:
    def shift(x: Any, n: Any) -> Any:
        bits = 8 * x.dtype.itemsize
        outside = (n < 0) | (n >= bits)
        return np.where(outside, past_end(x), kernel(x, np.where(outside, 0, n)))

    return shift


bitwise_left_shift = elementwise(
    "bitwise_left_shift",
    _shift(np.left_shift, np.zeros_like),
    inputs=BINARY,
    kinds="ui",
    doc="The bits of ``input`` shifted left ``other`` places.",
)
bitwise_right_shift = elementwise(
    "bitwise_right_shift",
    _shift(np.right_shift, lambda x: np.where(x < 0, -1, 0).astype(x.dtype)),
    inputs=BINARY,
    kinds="ui",
    doc="The bits of ``input`` shifted right ``other`` places, the sign kept.",
)

# Selection


def _half_to(o: Any, g: Any, mine: Any, other: Any) -> Any:
    """The gradient goes to the winner; a tie is shared in halves."""
    return o.where(mine == other, g * 0.5, g)


maximum = elementwise(
    "maximum",
    np.maximum,
    (
        lambda o, g, x, y: o.where(x < y, o.zeros_like(g), _half_to(o, g, x, y)),
        lambda o, g, x, y: o.where(y < x, o.zeros_like(g), _half_to(o, g, x, y)),
    ),
    inputs=BINARY,
    kinds="buif",
    api="torch method tensors",
    doc="The larger of two elements; NaN if one is NaN.",
)
minimum = elementwise(
    "minimum",
    np.minimum,
    (
        lambda o, g, x, y: o.where(x > y, o.zeros_like(g), _half_to(o, g, x, y)),
        lambda o, g, x, y: o.where(y > x, o.zeros_like(g), _half_to(o, g, x, y)),
    ),
    inputs=BINARY,
    kinds="buif",
    api="torch method tensors",
    doc="The smaller of two elements; NaN if one is NaN.",
)


def _where_rule(condition: Any, x: Any, y: Any) -> Plan:
    if condition.dtype.name not in ("bool", "uint8"):
        raise RuntimeError(
            f"where expected condition to be a boolean tensor, but got a tensor with dtype "
            f"{condition.dtype.title}"
        )
    dt = combined_dtype((x, y))
    mixed = not x.is_scalar and not y.is_scalar and x.dtype is not y.dtype
    return Plan(elementwise_meta((condition, x, y), dt), compute=dt if mixed else None)


def _where(condition: Any, x: Any, y: Any) -> Any:
    return np.where(condition, x, y)


where = Op(
    "where",
    kind="elementwise",
    inputs=("condition", "input", "other"),
    rule=_where_rule,
    kernel=_where,
    samples=lambda make: [
        ((make.booleans(3, 4), make(3, 4), make(3, 4)), ()),
        ((make.booleans(2, 1), make(3), make(2, 3)), ()),
        ((make.booleans(), make(), make()), ()),
    ],
    grads=(
        None,
        lambda o, g, c: o.where(c, g, o.zeros_like(g)),
        lambda o, g, c: o.where(c, o.zeros_like(g), g),
    ),
    single_pass=True,
)


def _clamp_rule(x: Any, low: Any, high: Any) -> Plan:
    if low is None and high is None:
        raise RuntimeError("torch.clamp: At least one of 'min' or 'max' must not be None")
    dt = combined_dtype((x, low, high))
    if dt.is_complex:
        raise NotImplementedError("clamp is not supported for complex types")
    if dt.kind == "b":
        raise NotImplementedError("\"clamp_scalar_cpu\" not implemented for 'Bool'")
    return Plan(elementwise_meta((x, low, high), dt), compute=opmath(dt))


def _clamp(x: Any, low: Any, high: Any) -> Any:
    if x.size > 4096 and low is not None and high is not None:
        return np.clip(x, low, high)  # faster, but only when there is much to do
    if low is not None:
        x = np.maximum(x, low)
    return x if high is None else np.minimum(x, high)


def _inside(o: Any, x: Any, low: Any, high: Any) -> Any:
    if low is None:
        return x <= high
    return (x >= low) if high is None else (x >= low) & (x <= high)


def _bounded_by_tensors(metas: Any) -> bool:
    return any(m is not None and not m.is_scalar for m in metas[1:])


clamp = Op(
    "clamp",
    kind="elementwise",
    inputs=("input", "min", "max"),
    rule=_clamp_rule,
    kernel=_clamp,
    grads=(
        lambda o, g, x, low, high: o.where(_inside(o, x, low, high), g, o.zeros_like(g)),
        lambda o, g, x, low, high: o.where(
            (x < low) if high is None else (x < low) & (low < high), g, o.zeros_like(g)
        ),
        lambda o, g, x, low, high: o.where(
            (x > high) if low is None else (x > high) | (high <= low), g, o.zeros_like(g)
        ),
    ),
    node=lambda metas, attrs: "ClampBackward" + ("0" if _bounded_by_tensors(metas) else "1"),
    chain=lambda metas, attrs: (0, 1, 2) if _bounded_by_tensors(metas) else (0,),
    single_pass=True,
)


def _lerp_rule(start: Any, end: Any, weight: Any) -> Plan:
    if start.dtype is not end.dtype:
        raise RuntimeError(
            f"expected dtype {start.dtype.title.lower()} for `end` but got dtype "
            f"{end.dtype.title.lower()}"
        )
    if start.dtype.is_integral:
        kernel = "lerp_kernel_scalar" if weight.is_scalar else "lerp_kernel_tensor"
        raise unsupported(kernel, start.dtype)
    return Plan(elementwise_meta((start, end, weight), start.dtype), compute=opmath(start.dtype))


def _lerp(start: Any, end: Any, weight: Any) -> Any:
    """From the nearer end, so that weight 1 gives ``end`` exactly."""
    span = end - start
    near_start = np.abs(weight) < 0.5
    return np.where(near_start, start + weight * span, end - span * (1 - weight))


lerp = Op(
    "lerp",
    kind="elementwise",
    inputs=("input", "end", "weight"),
    rule=_lerp_rule,
    kernel=_lerp,
    grads=(
        lambda o, g, _s, _e, w: g * o.conj(1 - w),
        lambda o, g, _s, _e, w: g * o.conj(w),
        lambda o, g, s, e: g * o.conj(e - s),
    ),
)


def _fused_rule(x: Any, a: Any, b: Any, value: Any) -> Plan:
    dt = combined_dtype((x, a, b))
    return Plan(elementwise_meta((x, a, b), dt), compute=opmath(dt))


addcmul = Op(
    "addcmul",
    kind="elementwise",
    inputs=("input", "tensor1", "tensor2"),
    attrs=("value",),
    defaults=(1,),
    rule=_fused_rule,
    kernel=lambda x, a, b, value: x + (scalar(value, x.dtype) * a) * b,
    grads=(
        lambda o, g: g,  # x + v a b
        lambda o, g, _x, _a, b, _out, value: g * o.conj(b * value),
        lambda o, g, _x, a, _b, _out, value: g * o.conj(a * value),
    ),
)


def _addcdiv_rule(x: Any, a: Any, b: Any, value: Any) -> Plan:
    if a.dtype.is_integral and b.dtype.is_integral:
        raise RuntimeError(
            "Integer division with addcdiv is no longer supported, and in a future  release "
            "addcdiv will perform a true division of tensor1 and tensor2. The historic addcdiv "
            "behavior can be implemented as (input + value * torch.trunc(tensor1 / "
            "tensor2)).to(input.dtype) for integer inputs and as (input + value * tensor1 / "
            "tensor2) for float inputs. The future addcdiv behavior is just the latter "
            "implementation: (input + value * tensor1 / tensor2), for all dtypes."
        )
    return _fused_rule(x, a, b, value)


addcdiv = Op(
    "addcdiv",
    kind="elementwise",
    inputs=("input", "tensor1", "tensor2"),
    attrs=("value",),
    defaults=(1,),
    rule=_addcdiv_rule,
    kernel=lambda x, a, b, value: x + (scalar(value, x.dtype) * a) / b,
    grads=(
        lambda o, g: g,  # x + v a / b
        lambda o, g, _x, _a, b, _out, value: g * o.conj(value / b),
        lambda o, g, _x, a, b, _out, value: -g * o.conj(value * (a / (b * b))),
    ),
    domain=(0.5, 3.0),
)


def _copy_rule(target: Any, source: Any) -> Plan:
    from rushlight.ir.shapes import broadcast

    shape = broadcast(target.shape, source.shape)
    if shape != target.shape:
        raise RuntimeError(
            f"output with shape {list(target.shape)} doesn't match the broadcast shape "
            f"{list(shape)}"
        )
    return Plan(target.like(strides=target.strides if target.dense else None))


copy = Op(
    "copy",
    kind="elementwise",
    inputs=("input", "src"),
    rule=_copy_rule,
    kernel=lambda target, source: np.broadcast_to(source, target.shape),
    samples=lambda make: [((make(2, 3), make(2, 3)), ()), ((make(2, 3), make(3)), ())],
    grads=(lambda o, g: o.zeros_like(g), lambda o, g: g),
    node="CopyBackwards",
    single_pass=True,
)


def _fill_node(metas: Any, attrs: Any) -> str:
    """PyTorch numbers its four kinds of fill: into a new tensor or in place, number or tensor."""
    return f"FillBackward{(0 if attrs[0] else 2) + (not metas[1].is_scalar)}"


def _fill_plan(m: Meta) -> Plan:
    """Values are converted first where that is exact, so that they may be run-time numbers."""
    exact = m.dtype in (dtypes.float32, dtypes.float64, dtypes.int64)
    out = m.like(strides=m.strides if m.dense else None)
    return Plan(out, m.dtype if exact else None)


fill = Op(
    "fill",
    kind="elementwise",
    inputs=("input", "value"),
    attrs=("copies",),  # whether the result is a new tensor
    defaults=(False,),
    rule=lambda m, value, copies: _fill_plan(m),
    kernel=lambda x, value, copies: np.broadcast_to(value, x.shape),
    samples=lambda make: [((make(2, 3), 2.5), (False,)), ((make(2, 3), make()), (False,))],
    grads=(lambda o, g: o.zeros_like(g), lambda o, g: g),
    node=_fill_node,
    single_pass=True,
)

zero = Op(
    "zero",
    kind="elementwise",
    rule=lambda m: Plan(m.like(strides=m.strides if m.dense else None)),
    kernel=lambda x: np.broadcast_to(x.dtype.type(0), x.shape),
    grads=(lambda o, g: o.zeros_like(g),),
    single_pass=True,
)


def _cast_rule(x: Any, dtype: Any) -> Plan:
    return Plan(x.like(dtype=dtype, strides=elementwise_meta((x,), dtype).strides))


cast = Op(
    "cast",
    kind="elementwise",
    attrs=("dtype",),
    rule=_cast_rule,
    kernel=lambda x, dtype: x,
    grads=(lambda o, g: g,),
    node="ToCopyBackward0",
    single_pass=True,
)
