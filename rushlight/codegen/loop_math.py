"""What NumPy's ufuncs compute, as LLVM IR on vectors of any number of lanes.

In: a ufunc's name, element types and values (`loop_lanes.Lanes`). Out: the value of the result.
Arithmetic gives NumPy's bits, the corner cases included: integers wrap and divided by zero give 0,
`floor_divide` and `remainder` follow the divisor's sign, NaN wins in `maximum` and `minimum`.
Transcendental functions are those of ``vecmath.py`` where it has them, else the C library's, lane
by lane. Half types are computed in float32 and rounded. No instruction has a fast-math flag.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from rushlight.codegen import c_library, vecmath, vecmath_wide
from rushlight.codegen.loop_lanes import FLOAT, Kind, Lanes, kind_of
from rushlight.codegen.vecmath_lanes import Vec
from rushlight.compiler.loops import Instruction

__all__ = ["apply", "cost", "numbers_of", "signature", "supports"]

Emit = Callable[..., str]


@lru_cache(maxsize=4096)
def signature(name: str, dtypes: tuple[Any, ...]) -> tuple[tuple[Kind, ...], Kind]:
    """The types in which a ufunc computes, and that of its result.

    Raises:
        NotImplementedError: there is no emitter for the ufunc in these types.
    """
    if name in _EXTENSIONS:
        kinds = tuple([kind_of(d) for d in dtypes])
        return kinds, kinds[0]
    ufunc = getattr(np, name, None)
    if not isinstance(ufunc, np.ufunc) or ufunc.nout != 1:
        raise NotImplementedError(f"no emitter for {name}")
    try:
        found = ufunc.resolve_dtypes((*dtypes, None))
    except TypeError as error:
        raise NotImplementedError(f"{name} of {dtypes}") from error
    kinds = tuple([kind_of(d) for d in found])
    return kinds[:-1], kinds[-1]


def _emitter(name: str, kind: Kind) -> Emit:
    table = _FLOAT if kind.family == "f" else _BOOL if kind.family == "b" else _INTEGER
    found = table.get(name) or _ANY.get(name)
    if found is None or (kind.half and name == "nextafter"):
        raise NotImplementedError(f"no emitter for {name} of {kind.name}")
    symbol = _LIBRARY_NAMES.get(name, name if name == "ldexp" else "")
    if symbol and not c_library.has(symbol + ("f" if kind.register == "float" else "")):
        raise NotImplementedError(f"the C library has no {symbol}")
    return found


def supports(name: str, dtypes: tuple[Any, ...], numbers: tuple[Any, ...] = ()) -> bool:
    """Whether `apply` has this ufunc in these types.

    Args:
        numbers: the values of operands that are constants, None for others.
    """
    try:
        kinds, _ = signature(name, dtypes)
        _emitter(name, kinds[0])
    except NotImplementedError:
        return False
    if name == "power" and kinds[0].family == "i":  # NumPy raises for negative exponents
        return len(numbers) == 2 and numbers[1] is not None and numbers[1] >= 0
    return True


def apply(
    b: Lanes,
    name: str,
    dtypes: tuple[Any, ...],
    args: list[str],
    target: Kind,
    numbers: tuple[Any, ...] = (),
) -> str:
    """The result of a ufunc.

    Args:
        b: where the instructions go.
        dtypes: NumPy's, one an operand.
        args: the operands, vectors as wide as `b`.
        target: the type that the result shall have.
        numbers: the values of operands that are constants, None for others.
    """
    kinds, result = signature(name, dtypes)
    operands = [b.cast(kind_of(d), k, a) for d, k, a in zip(dtypes, kinds, args, strict=True)]
    kind = kinds[0]
    if name in ("power", "float_power"):
        x, y = operands
        value = _power(b, kind, x, y, numbers[1] if numbers else None)
    elif name == "ldexp":
        value = _ldexp(b, kind, kinds[1], *operands)
    else:
        value = _emitter(name, kind)(b, kind, *operands)
    if result.half and name not in _EXACT:
        value = b.rounded(result, value)
    return b.cast(result, target, value)


def numbers_of(body: Sequence[Instruction], ins: Instruction) -> tuple[Any, ...]:
    """The values of an instruction's operands that are constants, None for the others."""
    operands = [body[a] for a in ins.args]
    return tuple([x.attrs[0] if x.name == "const" else None for x in operands])


def cost(name: str, kind: Kind, lanes: int) -> int:
    """About how many instructions a vector of this ufunc takes."""
    if name in _LIBM and (name not in _COST or kind.register == "double"):
        return 5 * lanes
    return _COST.get(name, 1) * (2 if kind.half else 1)


# Any type


def _compare(floats: str, signed: str, unsigned: str) -> Emit:
    def emit(b: Lanes, k: Kind, x: str, y: str) -> str:
        how = floats if k.family == "f" else signed if k.family == "i" else unsigned
        return b.compare(how, k, x, y)

    return emit


def _truth(b: Lanes, k: Kind, x: str) -> str:
    return b.cast(k, kind_of(np.bool_), x)


def _logical(name: str) -> Emit:
    def emit(b: Lanes, k: Kind, x: str, y: str) -> str:
        return b.op(name, "i1", _truth(b, k, x), _truth(b, k, y))

    return emit


def _not(b: Lanes, k: Kind, x: str) -> str:
    return b.op("xor", "i1", _truth(b, k, x), b.literal("i1", "true"))


def _same(b: Lanes, k: Kind, x: str) -> str:
    return x


_ANY: dict[str, Emit] = {
    "equal": _compare("oeq", "eq", "eq"),
    "not_equal": _compare("une", "ne", "ne"),
    "less": _compare("olt", "slt", "ult"),
    "less_equal": _compare("ole", "sle", "ule"),
    "greater": _compare("ogt", "sgt", "ugt"),
    "greater_equal": _compare("oge", "sge", "uge"),
    "logical_and": _logical("and"),
    "logical_or": _logical("or"),
    "logical_xor": _logical("xor"),
    "logical_not": _not,
    "positive": _same,
    "conjugate": _same,
}

# Integers and bools


def _op(name: str) -> Emit:
    def emit(b: Lanes, k: Kind, x: str, y: str) -> str:
        return b.op(name, k.register, x, y)

    return emit


def _signed(how: str) -> str:
    return {"gt": "sgt", "lt": "slt"}[how]


def _pick(how: str) -> Emit:
    """The one of two integers that is greater, or less."""

    def emit(b: Lanes, k: Kind, x: str, y: str) -> str:
        mask = b.compare(("s" if k.family == "i" else "u") + how, k, x, y)
        return b.select(mask, k.register, x, y)

    return emit


def _zero(b: Lanes, k: Kind, x: str) -> str:
    how = "oeq" if k.family == "f" else "eq"
    return b.compare(how, k, x, "zeroinitializer")


def _safe_divisor(b: Lanes, k: Kind, x: str, y: str) -> str:
    """The divisor, or 1 where the processor would trap: then x / 1 and x % 1 are what is wanted.

    The lowest number divided by -1 wraps to itself, with remainder 0. What 0 as a divisor gives is
    put right by `_unless_zero`.
    """
    if y.startswith("splat") and not y.endswith((" 0)", " -1)")):
        return y
    bad = _zero(b, k, y)
    if k.family == "i":
        lowest = b.compare("eq", k, x, b.literal(k.register, -(1 << (k.bits - 1))))
        minus = b.compare("eq", k, y, b.literal(k.register, -1))
        bad = b.op("or", "i1", bad, b.op("and", "i1", lowest, minus))
    return b.select(bad, k.register, b.literal(k.register, 1), y)


def _unless_zero(b: Lanes, k: Kind, y: str, value: str) -> str:
    if y.startswith("splat") and not y.endswith(" 0)"):
        return value
    return b.select(_zero(b, k, y), k.register, "zeroinitializer", value)


def _quotient(b: Lanes, k: Kind, x: str, y: str) -> str:
    """Rounded towards 0; the divisor is safe.

    Processors divide vectors of floats, not of integers. Rounding cannot carry a float quotient to
    the next integer if the type has twice as many bits: a quotient by y is at least 1/|y| off it.
    """
    if k.bits > 32 or y.startswith("splat"):
        return b.op("sdiv" if k.family == "i" else "udiv", k.register, x, y)
    wide = "double" if k.bits == 32 else "float"
    to, back = ("sitofp", "fptosi") if k.family == "i" else ("uitofp", "fptoui")
    parts = [b.convert(to, k.register, v, wide) for v in (x, y)]
    if k.bits == 32:
        return b.convert(back, wide, b.op("fdiv", wide, *parts), k.register)
    whole = b.convert("fptosi", wide, b.op("fdiv", wide, *parts), "i32")
    return b.convert("trunc", "i32", whole, k.register)


def _int_floor_divide(b: Lanes, k: Kind, x: str, y: str) -> str:
    r = k.register
    safe = _safe_divisor(b, k, x, y)
    quotient = _quotient(b, k, x, safe)
    if k.family == "u":
        return _unless_zero(b, k, y, quotient)
    rest = b.op("sub", r, x, b.op("mul", r, quotient, safe))
    below = _opposite(b, k, rest, safe)
    return _unless_zero(b, k, y, b.op("add", r, quotient, b.convert("sext", "i1", below, r)))


def _opposite(b: Lanes, k: Kind, rest: str, divisor: str) -> str:
    """Where a remainder is not 0 and its sign not the divisor's."""
    differs = b.compare("slt", k, b.op("xor", k.register, rest, divisor), "zeroinitializer")
    return b.op("and", "i1", differs, b.compare("ne", k, rest, "zeroinitializer"))


def _int_remainder(b: Lanes, k: Kind, x: str, y: str) -> str:
    rest = _int_fmod(b, k, x, y)
    if k.family == "u":
        return rest
    wrong = _opposite(b, k, rest, y)
    more = b.select(wrong, k.register, y, "zeroinitializer")
    return b.op("add", k.register, rest, more)


def _int_fmod(b: Lanes, k: Kind, x: str, y: str) -> str:
    r = k.register
    safe = _safe_divisor(b, k, x, y)
    whole = b.op("mul", r, _quotient(b, k, x, safe), safe)
    return _unless_zero(b, k, y, b.op("sub", r, x, whole))


def _int_negative(b: Lanes, k: Kind, x: str) -> str:
    return b.op("sub", k.register, "zeroinitializer", x)


def _int_absolute(b: Lanes, k: Kind, x: str) -> str:
    if k.family != "i":
        return x
    less = b.compare("slt", k, x, "zeroinitializer")
    return b.select(less, k.register, _int_negative(b, k, x), x)


def _int_sign(b: Lanes, k: Kind, x: str) -> str:
    one = b.literal(k.register, 1)
    below = "zeroinitializer"
    if k.family == "i":
        less = b.compare("slt", k, x, "zeroinitializer")
        below = b.select(less, k.register, b.literal(k.register, -1), "zeroinitializer")
    more = b.compare("sgt" if k.family == "i" else "ugt", k, x, "zeroinitializer")
    return b.select(more, k.register, one, below)


def _square(b: Lanes, k: Kind, x: str) -> str:
    return b.op("fmul" if k.family == "f" else "mul", k.register, x, x)


def _invert(b: Lanes, k: Kind, x: str) -> str:
    return b.op("xor", k.register, x, b.literal(k.register, "true" if k.bits == 1 else -1))


def _shift(left: bool) -> Emit:
    """Shifts by as many bits as there are, or more, give 0 (or -1): as NumPy, not as C."""

    def emit(b: Lanes, k: Kind, x: str, y: str) -> str:
        r = k.register
        inside = b.f.op(f"icmp ult {b.kind(r)} {y}, {b.literal(r, k.bits)}")
        if left or k.family == "u":
            count = b.select(inside, r, y, "zeroinitializer")
            moved = b.op("shl" if left else "lshr", r, x, count)
            return b.select(inside, r, moved, "zeroinitializer")
        count = b.select(inside, r, y, b.literal(r, k.bits - 1))
        return b.op("ashr", r, x, count)

    return emit


def _constant(value: bool) -> Emit:
    def emit(b: Lanes, k: Kind, x: str) -> str:
        return b.literal("i1", str(value).lower())

    return emit


def _int_signbit(b: Lanes, k: Kind, x: str) -> str:
    return b.compare("slt", k, x, "zeroinitializer")


def _bit_count(b: Lanes, k: Kind, x: str) -> str:
    count = b.intrinsic("ctpop", k.register, _int_absolute(b, k, x))
    return b.cast(k, kind_of(np.uint8), count)


_CLASSES: dict[str, Emit] = {
    "isnan": _constant(False),
    "isinf": _constant(False),
    "isfinite": _constant(True),
    **dict.fromkeys(("floor", "ceil", "trunc", "rint"), _same),
}
_INTEGER: dict[str, Emit] = {
    **_CLASSES,
    "add": _op("add"),
    "subtract": _op("sub"),
    "multiply": _op("mul"),
    "bitwise_and": _op("and"),
    "bitwise_or": _op("or"),
    "bitwise_xor": _op("xor"),
    **dict.fromkeys(("maximum", "fmax"), _pick("gt")),
    **dict.fromkeys(("minimum", "fmin"), _pick("lt")),
    "floor_divide": _int_floor_divide,
    "remainder": _int_remainder,
    "mod": _int_remainder,
    "fmod": _int_fmod,
    "power": _same,
    "negative": _int_negative,
    "absolute": _int_absolute,
    "abs": _int_absolute,
    "sign": _int_sign,
    "square": _square,
    "invert": _invert,
    "bitwise_not": _invert,
    "left_shift": _shift(True),
    "right_shift": _shift(False),
    "signbit": _int_signbit,
    "bitwise_count": _bit_count,
}
_BOOL: dict[str, Emit] = {
    **_CLASSES,
    **dict.fromkeys(("add", "maximum", "fmax", "bitwise_or"), _op("or")),
    **dict.fromkeys(("multiply", "minimum", "fmin", "bitwise_and"), _op("and")),
    "bitwise_xor": _op("xor"),
    "invert": _invert,
    "bitwise_not": _invert,
    "absolute": _same,
    "abs": _same,
}

# Floats


def _unary(name: str) -> Emit:
    def emit(b: Lanes, k: Kind, x: str) -> str:
        return b.intrinsic(name, k.register, x)

    return emit


def _nan(b: Lanes, k: Kind, x: str) -> str:
    return b.compare("uno", k, x, x)


def _float_pick(how: str, number: bool) -> Emit:
    """maximum and minimum: NaN wins; fmax and fmin: the number wins.

    Of equal operands (zeros) the second is taken, in float16 the first, as NumPy does.
    """

    def emit(b: Lanes, k: Kind, x: str, y: str) -> str:
        first = how[:2] + "e" if k.name == "float16" else how
        chosen = b.select(b.compare(first, k, x, y), k.register, x, y)  # y where one is NaN
        kept = y if number else x
        if kept.startswith("splat") and not number:
            return chosen  # a number: NaN can only come from y
        return b.select(_nan(b, k, kept), k.register, x, chosen)

    return emit


def _negative(b: Lanes, k: Kind, x: str) -> str:
    return b.f.op(f"fneg {b.kind(k.register)} {x}")


def _sign(b: Lanes, k: Kind, x: str) -> str:
    r = k.register
    below = b.compare("olt", k, x, "zeroinitializer")
    # NaN stays; -0 becomes 0, but in bfloat16
    other = x if k.name == "bfloat16" else b.op("fadd", r, x, "zeroinitializer")
    less = b.select(below, r, b.const(k, -1.0), other)
    return b.select(b.compare("ogt", k, x, "zeroinitializer"), r, b.const(k, 1.0), less)


def _reciprocal(b: Lanes, k: Kind, x: str) -> str:
    return b.op("fdiv", k.register, b.const(k, 1.0), x)


def _copysign(b: Lanes, k: Kind, x: str, y: str) -> str:
    return b.intrinsic("copysign", k.register, x, y)


def _signbit(b: Lanes, k: Kind, x: str) -> str:
    bits = f"i{k.bits}"
    whole = b.convert("bitcast", k.register, x, bits)
    return b.f.op(f"icmp slt {b.kind(bits)} {whole}, zeroinitializer")


def _against_infinity(how: str) -> Emit:
    def emit(b: Lanes, k: Kind, x: str) -> str:
        size = b.intrinsic("fabs", k.register, x)
        return b.compare(how, k, size, b.const(k, math.inf))

    return emit


def _fmod(b: Lanes, k: Kind, x: str, y: str) -> str:
    return _library("fmod")(b, k, x, y)


def _remainder(b: Lanes, k: Kind, x: str, y: str) -> str:
    """C's remainder, moved to the divisor's sign; a zero has the divisor's sign too."""
    rest, wrong = _rest(b, k, x, y)
    moved = b.select(wrong, k.register, b.op("fadd", k.register, rest, y), rest)
    zero = _zero(b, k, rest)
    signed = _copysign(b, k, "zeroinitializer", y)
    return b.select(zero, k.register, signed, moved)


def _rest(b: Lanes, k: Kind, x: str, y: str) -> tuple[str, str]:
    """C's remainder, and where it has the wrong sign."""
    rest = _fmod(b, k, x, y)
    other = b.compare("olt", k, y, "zeroinitializer")
    mine = b.compare("olt", k, rest, "zeroinitializer")
    nonzero = b.compare("one", k, rest, "zeroinitializer")
    return rest, b.op("and", "i1", nonzero, b.op("xor", "i1", other, mine))


def _floor_divide(b: Lanes, k: Kind, x: str, y: str) -> str:
    """(x - x mod y) / y, rounded to the integer it must be; x / y where y is 0."""
    r = k.register
    rest, wrong = _rest(b, k, x, y)
    plain = b.op("fdiv", r, x, y)
    quotient = b.op("fdiv", r, b.op("fsub", r, x, rest), y)
    less = b.op("fsub", r, quotient, b.const(k, 1.0))
    quotient = b.select(wrong, r, less, quotient)
    whole = b.intrinsic("floor", r, quotient)
    gap = b.op("fsub", r, quotient, whole)
    up = b.compare("ogt", k, gap, b.const(k, 0.5))
    whole = b.select(up, r, b.op("fadd", r, whole, b.const(k, 1.0)), whole)
    signed = _copysign(b, k, "zeroinitializer", plain)
    whole = b.select(_zero(b, k, quotient), r, signed, whole)
    return b.select(_zero(b, k, y), r, plain, whole)


def _scaled_by(factor: float) -> Emit:
    def emit(b: Lanes, k: Kind, x: str) -> str:
        return b.op("fmul", k.register, x, b.const(k, factor))

    return emit


def _heaviside(b: Lanes, k: Kind, x: str, y: str) -> str:
    r = k.register
    above = b.compare("ogt", k, x, "zeroinitializer")
    step = b.select(above, r, b.const(k, 1.0), "zeroinitializer")
    step = b.select(_zero(b, k, x), r, y, step)
    return b.select(_nan(b, k, x), r, x, step)


def _log_add_exp(exp: str, log1p: str, two: float) -> Emit:
    """log(e^x + e^y) as the larger plus log1p of e to minus their distance."""

    def emit(b: Lanes, k: Kind, x: str, y: str) -> str:
        r = k.register
        distance = b.op("fsub", r, x, y)
        size = b.intrinsic("fabs", r, distance)
        more = _FLOAT[log1p](b, k, _FLOAT[exp](b, k, _negative(b, k, size)))
        if log1p == "log1p" and exp == "exp2":
            more = b.op("fmul", r, more, b.const(k, 1 / math.log(2)))
        greater = b.select(b.compare("ogt", k, x, y), r, x, y)
        total = b.op("fadd", r, greater, more)
        total = b.select(_nan(b, k, distance), r, distance, total)
        same = b.op("fadd", r, x, b.const(k, two))  # infinities too
        return b.select(b.compare("oeq", k, x, y), r, same, total)

    return emit


# Functions

_LIBRARY_NAMES = {
    "arcsin": "asin",
    "arccos": "acos",
    "arctan": "atan",
    "arctan2": "atan2",
    "arcsinh": "asinh",
    "arccosh": "acosh",
    "arctanh": "atanh",
    "power": "pow",
    **{n: n for n in ("tan", "sinh", "cosh", "cbrt", "log10", "hypot", "nextafter", "fmod")},
    **{n: n for n in ("exp", "exp2", "expm1", "log", "log1p", "log2", "tanh", "sin", "cos", "erf")},
}


def _library(name: str) -> Emit:
    """The C library's function, lane by lane."""
    c = _LIBRARY_NAMES[name]

    def emit(b: Lanes, k: Kind, *operands: str) -> str:
        r = k.register
        symbol = c + ("f" if r == "float" else "")
        total = "poison"
        for lane in range(b.n):
            parts = [f"{r} {b.extract(r, x, lane)}" for x in operands]
            value = b.f.op(f"call {r} @{symbol}({', '.join(parts)})")
            total = b.insert(r, total, value, lane)
        return total

    return emit


_ANGLES = frozenset(("sin", "cos", "tan"))
_LONG = frozenset(("sin", "cos"))  # so many instructions that one value is not worth them
_WIDE = frozenset(("exp", "exp2", "expm1", "log", "log1p", "sigmoid"))  # float64 in vecmath


def _function(name: str) -> Emit:
    """A function of the vector mathematics, or the C library's where that has no float64."""
    vector = vecmath.FUNCTIONS[name]

    def emit(b: Lanes, k: Kind, x: str) -> str:
        if k.register == "double" and name in vecmath_wide.FUNCTIONS and b.n > 1:
            return _wide(name)(b, k, x)
        if (k.register == "double" and name not in _WIDE) or (b.n == 1 and name in _LONG):
            return _library(name)(b, k, x)
        return vector(Vec(b.f, b.vector_type(k), x)).text

    return emit


def _root(b: Lanes, k: Kind, x: str) -> str:
    """x^0.5: as a square root, but of -0 and -infinity C's pow gives 0 and infinity."""
    r = k.register
    root = b.intrinsic("sqrt", r, b.op("fadd", r, x, "zeroinitializer"))
    lowest = b.compare("oeq", k, x, b.const(k, -math.inf))
    return b.select(lowest, r, b.const(k, math.inf), root)


# Constant exponents whose powers are at most 1.5 ulp off without the general function.
_SIMPLE_POWERS: dict[Any, Emit] = {
    0: lambda b, k, x: b.const(k, 1.0),
    1: _same,
    2: _square,
    3: lambda b, k, x: b.op("fmul", k.register, _square(b, k, x), x),
    4: lambda b, k, x: _square(b, k, _square(b, k, x)),
    -1: _reciprocal,
    0.5: lambda b, k, x: b.intrinsic("sqrt", k.register, x),  # NumPy's own way
    -0.5: lambda b, k, x: _reciprocal(b, k, _root(b, k, x)),
}


def _power(b: Lanes, k: Kind, x: str, y: str, exponent: Any) -> str:
    if k.family != "f":
        return _whole_power(b, k, x, y) if exponent is None else _product(b, k, x, int(exponent))
    if exponent is not None and exponent in _SIMPLE_POWERS:
        return _SIMPLE_POWERS[exponent](b, k, x)
    if k.register == "double" or b.n == 1:
        return _library("power")(b, k, x, y)
    t = b.vector_type(FLOAT)
    return vecmath.pow(Vec(b.f, t, x), Vec(b.f, t, y)).text


def _product(b: Lanes, k: Kind, x: str, exponent: int) -> str:
    """x to a constant power, by squaring."""
    result = b.literal(k.register, 1)
    while exponent:
        if exponent & 1:
            result = b.op("mul", k.register, result, x)
        x = b.op("mul", k.register, x, x)
        exponent >>= 1
    return result


def _wide(name: str) -> Emit:
    """A function in float64, perhaps of float32; sines of huge angles are the C library's."""
    narrow = vecmath_wide.NARROW.get(name)

    def emit(b: Lanes, k: Kind, x: str) -> str:
        given = Vec(b.f, b.vector_type(k), x)
        if narrow is None:
            value = vecmath_wide.FUNCTIONS[name](given).text
        elif k.register == "double" or b.n == 1:
            return _library(name)(b, k, x)
        else:
            value = narrow(given.wide()).narrow().text
        if name not in _ANGLES:
            return value
        size = b.intrinsic("fabs", k.register, x)
        huge = b.compare("ugt", k, size, b.const(k, vecmath_wide.HUGE))

        def exact() -> str:
            return b.select(huge, k.register, _library(name)(b, k, x), value)

        return b.f.either(b.any(huge), b.kind(k.register), exact, lambda: value)

    return emit


def _whole_power(b: Lanes, k: Kind, x: str, y: str) -> str:
    """x to a power that is not negative, by squaring until all exponents are used up."""
    v, one = b.kind(k.register), b.literal(k.register, 1)
    loop = b.f.begin([(v, one), (v, x), (v, y)])
    result, base, left = loop.values
    b.f.test(loop, b.any(b.compare("ne", k, left, "zeroinitializer")))
    low = b.op("and", k.register, left, one)
    odd = b.compare("ne", k, low, "zeroinitializer")
    more = b.select(odd, k.register, b.op("mul", k.register, result, base), result)
    b.f.end(loop, [more, b.op("mul", k.register, base, base), b.op("lshr", k.register, left, one)])
    return loop.values[0]


def _ldexp(b: Lanes, k: Kind, exponents: Kind, x: str, y: str) -> str:
    """The C library's ldexp, lane by lane; exponents beyond int32 act like its ends."""
    r = k.register
    if exponents.bits > 32:
        low, high = (b.literal("i64", n) for n in (-(2**31), 2**31 - 1))
        y = b.select(b.compare("slt", exponents, y, low), "i64", low, y)
        y = b.select(b.compare("sgt", exponents, y, high), "i64", high, y)
    y = b.cast(exponents, kind_of(np.int32), y)
    total = "poison"
    for lane in range(b.n):
        parts = f"{r} {b.extract(r, x, lane)}, i32 {b.extract('i32', y, lane)}"
        value = b.f.op(f"call {r} @{'ldexpf' if r == 'float' else 'ldexp'}({parts})")
        total = b.insert(r, total, value, lane)
    return total


_EXTENSIONS = frozenset(("erf", "sigmoid"))  # functions that NumPy has not
_FLOAT: dict[str, Emit] = {
    **{name: _function(name) for name in vecmath.FUNCTIONS},
    **{n: _library(n) for n in _LIBRARY_NAMES if n not in vecmath.FUNCTIONS},
    **{n: _wide(n) for n in vecmath_wide.NARROW},
    "add": _op("fadd"),
    "subtract": _op("fsub"),
    "multiply": _op("fmul"),
    "divide": _op("fdiv"),
    "true_divide": _op("fdiv"),
    "floor_divide": _floor_divide,
    "remainder": _remainder,
    "mod": _remainder,
    "negative": _negative,
    "sign": _sign,
    "square": _square,
    "reciprocal": _reciprocal,
    "copysign": _copysign,
    "signbit": _signbit,
    "isnan": _nan,
    "isinf": _against_infinity("oeq"),
    "isfinite": _against_infinity("olt"),
    "maximum": _float_pick("ogt", False),
    "minimum": _float_pick("olt", False),
    "fmax": _float_pick("ogt", True),
    "fmin": _float_pick("olt", True),
    "sqrt": _unary("sqrt"),
    "floor": _unary("floor"),
    "ceil": _unary("ceil"),
    "trunc": _unary("trunc"),
    "rint": _unary("rint"),
    **dict.fromkeys(("absolute", "abs", "fabs"), _unary("fabs")),
    **dict.fromkeys(("deg2rad", "radians"), _scaled_by(math.pi / 180)),
    **dict.fromkeys(("rad2deg", "degrees"), _scaled_by(180 / math.pi)),
    "heaviside": _heaviside,
    "float_power": _same,
    "ldexp": _same,
}
_FLOAT["logaddexp"] = _log_add_exp("exp", "log1p", math.log(2))
_FLOAT["logaddexp2"] = _log_add_exp("exp2", "log1p", 1.0)

# Half results of these need no rounding.
_EXACT = frozenset(
    (
        "negative",
        "absolute",
        "abs",
        "fabs",
        "sign",
        "copysign",
        "maximum",
        "minimum",
        "fmax",
        "fmin",
    )
    + ("floor", "ceil", "trunc", "rint", "positive", "conjugate", "fmod", "heaviside")
)
_LIBM = frozenset(n for n in _LIBRARY_NAMES if n not in vecmath.FUNCTIONS)
_COST = {
    "exp": 22,
    "exp2": 18,
    "expm1": 34,
    "log": 34,
    "log1p": 38,
    "log2": 36,
    "tanh": 40,
    "erf": 45,
    "sin": 70,
    "cos": 70,
    "sigmoid": 32,
    "power": 80,
    "divide": 4,
    "sqrt": 6,
    "maximum": 3,
    "minimum": 3,
    "fmax": 3,
    "fmin": 3,
    "remainder": 50,
    "floor_divide": 50,
    "mod": 50,
    "tan": 120,
    "sinh": 60,
    "cosh": 60,
    "log10": 70,
    "logaddexp": 70,
    "logaddexp2": 70,
    "ldexp": 60,
    "reciprocal": 4,
}
