"""Vectors under construction: arithmetic that writes LLVM IR into a function.

A `Vec` is a value of some lanes of float32 or float64; operators and methods append instructions
to the function it belongs to. `Bits` are integers of the same width, `Mask` the results of
comparisons. No instruction carries a fast-math flag; `fma` is one rounding everywhere.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from rushlight.compiler.kernels.emit import Function, VectorType

__all__ = ["Bits", "Mask", "Vec", "fma", "polynomial", "select"]


def literal(value: float, itemsize: int) -> str:
    """An LLVM constant, rounded to the element type."""
    if itemsize == 4:
        try:
            value = struct.unpack("<f", struct.pack("<f", value))[0]
        except OverflowError:
            raise ValueError(f"{value} is no float32") from None
    return "0x" + struct.pack(">d", value).hex().upper()


class Vec:
    """A vector of floats.

    Args:
        f: the function under construction.
        t: element type and number of lanes.
        text: the LLVM value.
    """

    __slots__ = ("f", "t", "text")

    def __init__(self, f: Function, t: VectorType, text: str) -> None:
        self.f, self.t, self.text = f, t, text

    def number(self, value: float) -> Vec:
        """A vector of one number."""
        one = f"splat ({self.t.scalar} {literal(value, self.t.itemsize)})"
        return Vec(self.f, self.t, one)

    def like(self, value: Vec | float) -> Vec:
        """The operand itself, or the vector of a number."""
        return value if isinstance(value, Vec) else self.number(value)

    def _op(self, name: str, a: Vec | float, b: Vec | float) -> Vec:
        a, b = self.like(a), self.like(b)
        return Vec(self.f, self.t, self.f.op(f"{name} {self.t.vector} {a.text}, {b.text}"))

    def __add__(self, other: Vec | float) -> Vec:
        return self._op("fadd", self, other)

    def __radd__(self, other: float) -> Vec:
        return self._op("fadd", other, self)

    def __sub__(self, other: Vec | float) -> Vec:
        return self._op("fsub", self, other)

    def __rsub__(self, other: float) -> Vec:
        return self._op("fsub", other, self)

    def __mul__(self, other: Vec | float) -> Vec:
        return self._op("fmul", self, other)

    def __rmul__(self, other: float) -> Vec:
        return self._op("fmul", other, self)

    def __truediv__(self, other: Vec | float) -> Vec:
        return self._op("fdiv", self, other)

    def __rtruediv__(self, other: float) -> Vec:
        return self._op("fdiv", other, self)

    def __neg__(self) -> Vec:
        return Vec(self.f, self.t, self.f.op(f"fneg {self.t.vector} {self.text}"))

    def _compare(self, how: str, other: Vec | float) -> Mask:
        b = self.like(other)
        text = self.f.op(f"fcmp {how} {self.t.vector} {self.text}, {b.text}")
        return Mask(self.f, self.t.lanes, text)

    def __lt__(self, other: Vec | float) -> Mask:
        return self._compare("olt", other)

    def __le__(self, other: Vec | float) -> Mask:
        return self._compare("ole", other)

    def __gt__(self, other: Vec | float) -> Mask:
        return self._compare("ogt", other)

    def __ge__(self, other: Vec | float) -> Mask:
        return self._compare("oge", other)

    def same(self, other: Vec | float) -> Mask:
        """Where both are equal numbers."""
        return self._compare("oeq", other)

    def differs(self, other: Vec | float) -> Mask:
        """Where they are not equal, or one is NaN."""
        return self._compare("une", other)

    def intrinsic(self, name: str, *more: Vec | float) -> Vec:
        """An LLVM intrinsic of this and other vectors."""
        v = self.t.vector
        listed = ", ".join(f"{v} {self.like(x).text}" for x in (self, *more))
        return Vec(self.f, self.t, self.f.op(f"call {v} @llvm.{name}.{self.t.suffix}({listed})"))

    def abs(self) -> Vec:
        """Sizes."""
        return self.intrinsic("fabs")

    def sqrt(self) -> Vec:
        """Square roots, correctly rounded."""
        return self.intrinsic("sqrt")

    def trunc(self) -> Vec:
        """Whole parts."""
        return self.intrinsic("trunc")

    def with_sign_of(self, other: Vec) -> Vec:
        """The size of this with the sign of the other."""
        return self.intrinsic("copysign", other)

    def at_most(self, bound: Vec | float) -> Vec:
        """The smaller of both; NaN stays NaN."""
        return select(self > bound, bound, self)

    def at_least(self, bound: Vec | float) -> Vec:
        """The larger of both; NaN stays NaN."""
        return select(self < bound, bound, self)

    def bits(self) -> Bits:
        """The elements' representation."""
        kind = bits_type(self.t)
        text = self.f.op(f"bitcast {self.t.vector} {self.text} to {kind}")
        return Bits(self.f, self.t, text)

    def wide(self) -> Vec:
        """As float64."""
        t = VectorType(8, self.t.lanes)
        return Vec(self.f, t, self.f.op(f"fpext {self.t.vector} {self.text} to {t.vector}"))

    def narrow(self) -> Vec:
        """As float32, rounded."""
        t = VectorType(4, self.t.lanes)
        return Vec(self.f, t, self.f.op(f"fptrunc {self.t.vector} {self.text} to {t.vector}"))


def bits_type(t: VectorType) -> str:
    """The vector of integers as wide as a vector type's floats."""
    return f"<{t.lanes} x i{8 * t.itemsize}>"


class Bits:
    """A vector of integers as wide as the floats of its vector type."""

    __slots__ = ("f", "t", "text")

    def __init__(self, f: Function, t: VectorType, text: str) -> None:
        self.f, self.t, self.text = f, t, text

    def _op(self, name: str, other: Bits | int) -> Bits:
        if isinstance(other, int):
            text = f"splat (i{8 * self.t.itemsize} {other})"
        else:
            text = other.text
        return Bits(self.f, self.t, self.f.op(f"{name} {bits_type(self.t)} {self.text}, {text}"))

    def __add__(self, other: Bits | int) -> Bits:
        return self._op("add", other)

    def __sub__(self, other: Bits | int) -> Bits:
        return self._op("sub", other)

    def __and__(self, other: Bits | int) -> Bits:
        return self._op("and", other)

    def __or__(self, other: Bits | int) -> Bits:
        return self._op("or", other)

    def __xor__(self, other: Bits | int) -> Bits:
        return self._op("xor", other)

    def __lshift__(self, count: int) -> Bits:
        return self._op("shl", count)

    def __rshift__(self, count: int) -> Bits:
        """An arithmetic shift: the sign stays."""
        return self._op("ashr", count)

    def only(self, mask: Mask) -> Bits:
        """These integers where the mask is set, 0 elsewhere."""
        kind = bits_type(self.t)
        pick = f"select <{mask.lanes} x i1> {mask.text}, {kind} {self.text}"
        return Bits(self.f, self.t, self.f.op(f"{pick}, {kind} zeroinitializer"))

    def zero(self) -> Mask:
        """Where these are 0."""
        kind = bits_type(self.t)
        return Mask(self.f, self.t.lanes, self.f.op(f"icmp eq {kind} {self.text}, zeroinitializer"))

    def floats(self) -> Vec:
        """The floats with this representation."""
        text = self.f.op(f"bitcast {bits_type(self.t)} {self.text} to {self.t.vector}")
        return Vec(self.f, self.t, text)

    def values(self) -> Vec:
        """These integers as floats."""
        text = self.f.op(f"sitofp {bits_type(self.t)} {self.text} to {self.t.vector}")
        return Vec(self.f, self.t, text)

    def narrow(self) -> Bits:
        """The low halves of 64 bits."""
        t = VectorType(4, self.t.lanes)
        text = self.f.op(f"trunc {bits_type(self.t)} {self.text} to {bits_type(t)}")
        return Bits(self.f, t, text)


class Mask:
    """One bit a lane."""

    __slots__ = ("f", "lanes", "text")

    def __init__(self, f: Function, lanes: int, text: str) -> None:
        self.f, self.lanes, self.text = f, lanes, text

    def _op(self, name: str, other: Mask) -> Mask:
        text = self.f.op(f"{name} <{self.lanes} x i1> {self.text}, {other.text}")
        return Mask(self.f, self.lanes, text)

    def __and__(self, other: Mask) -> Mask:
        return self._op("and", other)

    def __or__(self, other: Mask) -> Mask:
        return self._op("or", other)

    def any(self) -> str:
        """Whether one lane is set: a scalar condition."""
        if self.lanes == 1:
            return self.f.op(f"extractelement <1 x i1> {self.text}, i64 0")
        whole = self.f.op(f"bitcast <{self.lanes} x i1> {self.text} to i{self.lanes}")
        return self.f.op(f"icmp ne i{self.lanes} {whole}, 0")


def select(mask: Mask, yes: Vec | float, no: Vec | float) -> Vec:
    """Lane by lane one of two vectors."""
    model = yes if isinstance(yes, Vec) else no
    if not isinstance(model, Vec):
        raise TypeError("select needs a vector among its operands")
    a, b = model.like(yes), model.like(no)
    v = model.t.vector
    text = f"select <{mask.lanes} x i1> {mask.text}, {v} {a.text}, {v} {b.text}"
    return Vec(model.f, model.t, model.f.op(text))


def fma(a: Vec, b: Vec | float, c: Vec | float) -> Vec:
    """a b + c, rounded once."""
    return a.intrinsic("fma", b, c)


def polynomial(x: Vec, coefficients: Sequence[float]) -> Vec:
    """A polynomial by Horner's rule, constant term first."""
    total = x.number(coefficients[-1])
    for c in reversed(coefficients[:-1]):
        total = fma(x, total, c)
    return total
