"""Vector mathematics: exp, log, tanh, erf, sin, pow and their kin, as LLVM IR.

Each function takes and returns a `Vec` and writes its instructions where the vector lives, without
branches but one (sines of huge arguments). Any number of lanes; float32 everywhere, float64 where
the docstring says so. Results are at most 2 units in the last place (ulp) from the true value for
all floats, subnormal ones included; NaN, infinities and -0 come out as in C. The largest errors
stated with each were measured by ``tests/check_vecmath.py``, over all floats unless it says so. The
module that uses a function must contain `declarations`. Polynomials are our own
(``vecmath_tables.py``); the ways of reduction are those of Cody and Waite (Software Manual for the
Elementary Functions, 1980) and of Tang (ACM TOMS 15 and 16, 1989-90).
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

from rushlight.codegen import engine
from rushlight.codegen import vecmath_tables as tables
from rushlight.codegen.vecmath_lanes import Bits, Mask, Vec, fma, literal, polynomial, select
from rushlight.compiler.kernels.emit import VectorType

__all__ = [
    "FUNCTIONS",
    "cos",
    "declarations",
    "erf",
    "exp",
    "exp2",
    "expm1",
    "log",
    "log1p",
    "log2",
    "log_rest",
    "log_specials",
    "nearest",
    "normal",
    "pow",
    "select",
    "sigmoid",
    "sin",
    "split",
    "table_text",
    "tanh",
]


class Format(NamedTuple):
    """The constants of an element type."""

    mantissa: int  # bits
    bias: int
    shift: float  # adding it rounds to an integer, which then stands in the low bits
    shift_bits: int
    ln2: tuple[float, float]  # ln 2, rounded, and the rest
    exp_range: tuple[float, float]  # beyond these exp is 0 or infinite
    half_root: int  # the bits of sqrt(1/2)
    tiny: float  # the smallest normal number


SINGLE = Format(
    23,
    127,
    1.5 * 2**23,
    0x4B400000,
    (0.693147182464599609375, -1.904654299957767878541e-9),
    (-104.0, 89.0),
    0x3F3504F3,
    2.0**-126,
)
DOUBLE = Format(
    52,
    1023,
    1.5 * 2**52,
    0x4338000000000000,
    (0.6931471805599453094, 2.319046813846299616e-17),
    (-746.0, 710.0),
    0x3FE6A09E667F3BCD,
    2.0**-1022,
)


def _format(x: Vec) -> Format:
    return SINGLE if x.t.itemsize == 4 else DOUBLE


def _single(x: Vec) -> None:
    """Refuses vectors for which there is no table."""
    if x.t.itemsize != 4:
        raise TypeError(f"this function has no polynomial for {x.t.scalar}")


def nearest(x: Vec, factor: float) -> tuple[Vec, Bits]:
    """The integer nearest to x times a number, as float and as integer."""
    form = _format(x)
    shifted = fma(x, factor, form.shift)
    return shifted - form.shift, shifted.bits() - form.shift_bits


def _power_of_two(k: Bits) -> Vec:
    """2^k for exponents of normal numbers."""
    form = SINGLE if k.t.itemsize == 4 else DOUBLE
    return ((k + form.bias) << form.mantissa).floats()


def _scaled(x: Vec, n: Vec, k: Bits) -> Vec:
    """x 2^k where that may be subnormal or infinite: in two steps, of which one rounds.

    AVX-512 has an instruction that does the same.

    Args:
        n: k as floats.
    """
    wide = engine.host().vector_bytes == 64 and engine.host().triple.startswith("x86_64")
    if wide and x.t.lanes * x.t.itemsize == 64:
        v, kind = x.t.vector, "ps" if x.t.itemsize == 4 else "pd"
        name = f"@llvm.x86.avx512.mask.scalef.{kind}.512"
        operands = f"{v} {x.text}, {v} {n.text}, {v} {x.text}, i{x.t.lanes} -1, i32 4"
        return Vec(x.f, x.t, x.f.op(f"call {v} {name}({operands})"))
    first = k >> 1
    return x * _power_of_two(first) * _power_of_two(k - first)


def _reduced(x: Vec) -> tuple[Vec, Vec, Vec, Bits]:
    """r, what its rounding lost, k as floats and as integers: x = k ln 2 + r, |r| <= ln 2 / 2.

    x - k hi is exact: both are multiples of the last place of hi, or of x where that is finer.
    """
    form = _format(x)
    n, k = nearest(x, 1 / math.log(2))
    exact = fma(n, -form.ln2[0], x)
    r = fma(n, -form.ln2[1], exact)
    return r, fma(n, -form.ln2[1], exact - r), n, k


def _exp_tail(r: Vec) -> Vec:
    """(e^r - 1 - r) / r^2."""
    return polynomial(r, tables.EXP if r.t.itemsize == 4 else tables.EXP_WIDE)


def _exp_inside(x: Vec) -> Vec:
    """exp where the result is a normal number."""
    r, lost, _, k = _reduced(x)
    return (1.0 + (r + fma(r * r, _exp_tail(r), lost))) * _power_of_two(k)


def exp(x: Vec) -> Vec:
    """e^x. x = k ln 2 + r, e^r = 1 + r + r^2 p(r), degree 6; also float64.

    Largest error: 0.90 ulp.
    """
    form = _format(x)
    low, high = form.exp_range
    r, lost, n, k = _reduced(x.at_most(high).at_least(low))
    return _scaled(1.0 + (r + fma(r * r, _exp_tail(r), lost)), n, k)


def exp2(x: Vec) -> Vec:
    """2^x. x = k + r, 2^r = 1 + r p(r), degree 6; also float64.

    Largest error: 0.88 ulp.
    """
    form = _format(x)
    high = float(form.bias + 1)
    x = x.at_most(high).at_least(-high - form.mantissa)
    n, k = nearest(x, 1.0)
    r = x - n
    p = polynomial(r, tables.EXP2 if x.t.itemsize == 4 else tables.EXP2_WIDE)
    return _scaled(fma(r, p, 1.0), n, k)


def expm1(x: Vec) -> Vec:
    """e^x - 1 = 2^k (e^r - 1) + (2^k - 1), the large terms added without loss; also float64.

    Largest error: 1.15 ulp.
    """
    form = _format(x)
    r, lost, _, k = _reduced(x.at_most(form.exp_range[1]).at_least(-1.0 - form.mantissa))
    scale = _power_of_two(k - 1)  # half of 2^k, which may be too large
    rest = scale * fma(r * r, _exp_tail(r), lost)
    whole = scale - 0.5
    head = scale * r
    total = whole + head
    # What the sum lost: the parts are swapped into order of size for k = 0, -1 and 1 alike.
    back = total - whole
    error = (whole - (total - back)) + (head - back)
    result = 2.0 * (total + (error + rest))
    return select(x.abs() < 2.0 ** -(form.mantissa + 2), x, result)


def sigmoid(x: Vec) -> Vec:
    """1 / (1 + e^-x), as e^-|x| / (1 + e^-|x|) for negative x; also float64.

    The quotient is corrected by its remainder, in which the sum's rounding is put right too.
    Largest error: 1.45 ulp (every 29th float).
    """
    e = exp(-x.abs())
    above = select(x < 0.0, e, 1.0)
    below = 1.0 + e
    lost = e - (below - 1.0)
    inverse = 1.0 / below
    quotient = above * inverse
    remainder = fma(-quotient, below, above) - quotient * lost
    return fma(remainder, inverse, quotient)


def tanh(x: Vec) -> Vec:
    """x + x^3 p(x^2) below 0.625, else 1 - 2 / (1 + e^2|x|).

    Largest error: 1.33 ulp.
    """
    _single(x)
    z = x * x
    near = fma(x * z, polynomial(z, tables.TANH), x)
    size = x.abs()
    far = 1.0 - 2.0 / (1.0 + _exp_inside(size.at_most(10.0) * 2.0))
    return select(size < 0.625, near, far).with_sign_of(x)


def erf(x: Vec) -> Vec:
    """x + x p(x^2) below 0.92, else 1 - exp(x q(x)) with q fitted to log(erfc x) / x.

    Largest error: 1.10 ulp.
    """
    _single(x)
    near = fma(x, polynomial(x * x, tables.ERF), x)
    size = x.abs()
    t = size.at_most(4.0)
    far = 1.0 - _exp_inside(t * polynomial(t, tables.LOG_ERFC))
    return select(size < 0.92, near, far).with_sign_of(x)


# Logarithms


def split(x: Vec) -> tuple[Vec, Vec]:
    """f and k with x = 2^k (1 + f), sqrt(1/2) <= 1 + f < sqrt 2, for positive normal x."""
    form = _format(x)
    raised = x.bits() - form.half_root
    k = raised >> form.mantissa
    m = (raised & ((1 << form.mantissa) - 1)) + form.half_root
    return m.floats() - 1.0, k.values()


def log_rest(f: Vec) -> Vec:
    """log(1 + f) - f."""
    if f.t.itemsize == 4:
        z = f * f
        return fma(z, -0.5, f * z * polynomial(f, tables.LOG))
    # s = f / (2 + f): log(1 + f) = 2 atanh s = f - f^2/2 + s (f^2/2 + 2 s^2 p(s^2))
    s = f / (2.0 + f)
    z = s * s
    half = f * f * 0.5
    return s * (half + 2.0 * z * polynomial(z, tables.ATANH)) - half


def normal(x: Vec) -> tuple[Vec, Vec]:
    """x scaled up if it is subnormal, and the exponent to add for that."""
    form = _format(x)
    small = x < form.tiny
    scaled = select(small, x * 2.0**form.mantissa, x)
    return scaled, select(small, x.number(-form.mantissa), 0.0)


def log_specials(x: Vec, result: Vec) -> Vec:
    """The result for positive finite x; -inf, NaN or x itself elsewhere."""
    inside = (x > 0.0) & (x < x.number(math.inf))
    other = select(x < 0.0, x.number(math.nan), x)
    other = select(x.same(0.0), x.number(-math.inf), other)
    return select(inside, result, other)


def log(x: Vec) -> Vec:
    """x = 2^k (1 + f), log(1 + f) = f - f^2/2 + f^3 p(f), degree 11; also float64.

    Largest error: 0.88 ulp.
    """
    hi, lo = _format(x).ln2
    scaled, more = normal(x)
    f, k = split(scaled)
    k = k + more
    return log_specials(x, fma(k, hi, f + fma(k, lo, log_rest(f))))


_LOG2_E = (1.44269502162933349609375, 1.925963033500852e-8)


def log2(x: Vec) -> Vec:
    """k + log(1 + f) / ln 2, as in `log`, with the factor in two parts.

    Largest error: 1.02 ulp.
    """
    _single(x)
    scaled, more = normal(x)
    f, k = split(scaled)
    rest = fma(f, _LOG2_E[1], log_rest(f) * _LOG2_E[0])
    return log_specials(x, (k + more) + fma(f, _LOG2_E[0], rest))


def log1p(x: Vec) -> Vec:
    """log(1 + x): k from 1 + x, but f = x 2^-k + (2^-k - 1) from x itself; also float64.

    For k = 0 that is x, exact; elsewhere one rounding. Largest error: 1.41 ulp.
    """
    form = _format(x)
    hi, lo = form.ln2
    u = x + 1.0
    rounded, k = split(u)
    raised = (u.bits() - form.half_root) >> form.mantissa
    scale = _power_of_two(raised ^ -1) * 2.0  # 2^-k
    f = select(u > 2.0 ** (form.mantissa + 2), rounded, fma(x, scale, scale - 1.0))
    result = log_specials(u, fma(k, hi, f + fma(k, lo, log_rest(f))))
    return select(x.abs() < 2.0 ** -(form.mantissa + 2), x, result)


# Sine and cosine

_HUGE = 2.0**30
_HALF_PI = (1.5707963267948966, 6.123233995736766e-17)


def _pi(bits: int) -> int:
    """pi 2^bits, by Machin's formula."""

    def arctan_of_inverse(n: int) -> int:
        power = total = (1 << (bits + 16)) // n
        k, sign = 1, -1
        while power:
            power //= n * n
            k += 2
            total += sign * (power // k)
            sign = -sign
        return total

    return (16 * arctan_of_inverse(5) - 4 * arctan_of_inverse(239)) >> 16


_FIRST, _LAST = 157, 254  # biased exponents of 2^30 and of the largest floats


@lru_cache(maxsize=1)
def _quarter_turns() -> list[tuple[float, float]]:
    """2^e 2/pi modulo 4 for the last place's exponent e of each large float, in two parts.

    The first has 28 bits, so that its product with a mantissa is exact.
    """
    bits = 400
    inverse = (2 << (2 * bits)) // _pi(bits)  # 2/pi 2^bits
    found = []
    for biased in range(_FIRST, _LAST + 1):
        turns = (inverse << (biased - 150)) % (4 << bits)
        head = turns >> (bits - 26)
        rest = turns - (head << (bits - 26))
        found.append((head / 2**26, (rest >> (bits - 120)) / 2**120))
    return found


def table_text() -> str:
    """The table that sines of huge arguments read, as a definition of the module."""
    numbers = [f"double {literal(x, 8)}" for pair in _quarter_turns() for x in pair]
    return (
        f"@rl_quarter_turns = private constant [{len(numbers)} x double] [{', '.join(numbers)}]\n"
    )


def _looked_up(index: Bits, part: int) -> Vec:
    """Entries of the table of quarter turns."""
    f, lanes = index.f, index.t.lanes
    t = VectorType(8, lanes)
    total = "poison"
    for lane in range(lanes):
        i = f.op(f"extractelement <{lanes} x i32> {index.text}, i64 {lane}")
        at = f.op(f"zext i32 {i} to i64")
        place = f.at("double", "@rl_quarter_turns", f.mul(at, 2), part)
        value = f.load("double", place)
        total = f.op(f"insertelement {t.vector} {total}, double {value}, i64 {lane}")
    return Vec(f, t, total)


def _turned(x: Vec) -> tuple[Vec, Bits]:
    """r (float32) and n with x = n pi/2 + r, |r| <= pi/4, n modulo 4; x finite.

    Below 2^30 in float64 with pi/2 in two parts. Above, x = m 2^e with an integer m, and 2^e 2/pi
    modulo 4 comes from a table: m times its head is exact, so whole turns fall away without error.
    """
    _single(x)
    f, t = x.f, VectorType(8, x.t.lanes)
    wide = x.wide()
    n, k = nearest(wide, 2 / math.pi)
    r = fma(n, -_HALF_PI[1], fma(n, -_HALF_PI[0], wide))
    huge = x.abs() >= _HUGE
    kind = f"<{t.lanes} x i64>"
    loop = f.begin([(t.vector, r.text), (kind, k.text), ("i1", huge.any())])
    f.test(loop, loop.values[2])  # runs once, or not at all
    bits = x.bits()
    inside = huge & (x.abs() < x.number(math.inf))
    index = (((bits >> 23) & 255) - _FIRST).only(inside)
    mantissa = ((bits & 0x7FFFFF) | 0x800000).values().with_sign_of(x).wide()
    head = mantissa * _looked_up(index, 0)
    rest = mantissa * _looked_up(index, 1)
    whole, turns = nearest(head + rest, 1.0)
    angle = ((head - whole) + rest) * _HALF_PI[0]
    pick = f"select <{t.lanes} x i1> {huge.text}"
    angle_text = f.op(f"{pick}, {t.vector} {angle.text}, {t.vector} {loop.values[0]}")
    turns_text = f.op(f"{pick}, {kind} {turns.text}, {kind} {loop.values[1]}")
    f.end(loop, [angle_text, turns_text, "false"])
    return Vec(f, t, loop.values[0]).narrow(), Bits(f, t, loop.values[1]).narrow()


def _sine_of_turned(x: Vec, quarter: int) -> Vec:
    """sin(x + quarter pi/2)."""
    r, n = _turned(x)
    n = n + quarter
    z = r * r
    sine = fma(r * z, polynomial(z, tables.SIN), r)
    cosine = fma(z * z, polynomial(z, tables.COS), fma(z, -0.5, 1.0))
    even: Mask = (n & 1).zero()
    value = select(even, sine, cosine)
    turned = (value.bits() ^ ((n & 2) << 30)).floats()
    return select(x.abs() < x.number(math.inf), turned, x.number(math.nan))


def sin(x: Vec) -> Vec:
    """r + r^3 p(r^2) or the cosine's series, by the quadrant; exact reduction for all floats.

    Largest error: 1.58 ulp.
    """
    result = _sine_of_turned(x, 0)
    return select(x.same(0.0), x, result)


def cos(x: Vec) -> Vec:
    """1 - r^2/2 + r^4 p(r^2) or the sine's series, by the quadrant; see `sin`.

    Largest error: 1.57 ulp (every 29th float).
    """
    return _sine_of_turned(x, 1)


# Powers


def pow(x: Vec, y: Vec) -> Vec:
    """x^y = 2^(y log2 |x|) in float64, rounded once; zeros, infinities and signs as C's pow.

    Largest error: 0.50 ulp, over samples.
    """
    _single(x)
    size = x.abs()
    f, k = split(size.wide())
    s = f / (2.0 + f)
    z = s * s
    series = 2.0 * s * fma(z, polynomial(z, tables.ATANH[:8]), 1.0)
    lg = k + series * (1 / math.log(2))
    infinite = size.same(x.number(math.inf))
    lg = select(infinite, lg.number(math.inf), select(size.same(0.0), lg.number(-math.inf), lg))
    product = (y.wide() * lg).at_most(200.0).at_least(-200.0)
    n, k2 = nearest(product, 1.0)
    r = product - n
    power = fma(r, polynomial(r, tables.EXP2_WIDE[:10]), 1.0) * _power_of_two(k2)
    result = power.narrow()
    whole = y.trunc().same(y)
    half = y * 0.5
    odd = whole & half.trunc().differs(half)
    negative = (x.bits() & -(1 << 31)).zero()  # where it is not
    signed = select(negative, result, select(odd, -result, result))
    nan = x.number(math.nan)
    fractional = (x < 0.0) & (size < x.number(math.inf)) & y.trunc().differs(y)
    signed = select(fractional, nan, signed)
    signed = select(x.differs(x) | y.differs(y), nan, signed)
    signed = select(size.same(1.0) & y.abs().same(x.number(math.inf)), 1.0, signed)
    return select(x.same(1.0) | y.same(0.0), 1.0, signed)


FUNCTIONS = {
    f.__name__: f for f in (exp, exp2, expm1, log, log1p, log2, sigmoid, tanh, erf, sin, cos)
}


def declarations(t: VectorType) -> str:
    """What a module that uses these functions must declare, for one number of lanes."""
    parts = [table_text()]
    for kind in (VectorType(4, t.lanes), VectorType(8, t.lanes)):
        v, s = kind.vector, kind.suffix
        parts += [f"declare {v} @llvm.{n}.{s}({v})\n" for n in ("fabs", "sqrt", "trunc")]
        parts.append(f"declare {v} @llvm.copysign.{s}({v}, {v})\n")
        if t.lanes * kind.itemsize == 64 and engine.host().vector_bytes == 64:
            name = f"@llvm.x86.avx512.mask.scalef.{'ps' if kind.itemsize == 4 else 'pd'}.512"
            parts.append(f"declare {v} {name}({v}, {v}, {v}, i{t.lanes}, i32)\n")
        parts.append(f"declare {v} @llvm.fma.{s}({v}, {v}, {v})\n")
    return "".join(parts)
