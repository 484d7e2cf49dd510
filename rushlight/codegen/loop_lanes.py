"""Values of the loop emitter: element types, vectors of any number of lanes, conversions.

In: NumPy dtypes. Out: LLVM IR. A value of `n` lanes is always a vector, `<n x type>`, also for one
lane. Bools are `i1` in registers and bytes in memory; float16 and bfloat16 are `float` in
registers, rounded to what they can represent, and 16 bits in memory. Conversions are those of C as
NumPy's `astype` does them on x86-64: what lies outside the target's range becomes its lowest
number.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from rushlight.codegen import engine
from rushlight.compiler.kernels.emit import Function, VectorType

__all__ = ["Kind", "Lanes", "Partial", "kind_of", "number"]


class Kind(NamedTuple):
    """An element type.

    Attributes:
        name: NumPy's.
        family: ``f`` float, ``i`` signed, ``u`` unsigned, ``b`` bool.
        register: the LLVM type in registers.
        memory: the LLVM type in memory.
        size: bytes in memory.
    """

    name: str
    family: str
    register: str
    memory: str
    size: int

    @property
    def half(self) -> bool:
        """Whether values are computed as float32 and rounded."""
        return self.size == 2 and self.family == "f"

    @property
    def bits(self) -> int:
        """Bits in registers."""
        return 1 if self.family == "b" else 32 if self.half else 8 * self.size


_KINDS = {
    "bool": Kind("bool", "b", "i1", "i8", 1),
    **{f"int{n}": Kind(f"int{n}", "i", f"i{n}", f"i{n}", n // 8) for n in (8, 16, 32, 64)},
    **{f"uint{n}": Kind(f"uint{n}", "u", f"i{n}", f"i{n}", n // 8) for n in (8, 16, 32, 64)},
    "float16": Kind("float16", "f", "float", "i16", 2),
    "bfloat16": Kind("bfloat16", "f", "float", "i16", 2),
    "float32": Kind("float32", "f", "float", "float", 4),
    "float64": Kind("float64", "f", "double", "double", 8),
}
FLOAT = _KINDS["float32"]
INT64 = _KINDS["int64"]


@lru_cache(maxsize=64)
def _kind(dtype: Any) -> Kind | None:
    host = engine.host()
    if dtype.name == "float16" and not host.features.get("f16c", "x86" not in host.triple):
        return None  # conversions would be calls of functions that the process may not have
    return _KINDS.get(dtype.name)


def kind_of(dtype: Any) -> Kind:
    """The element type of a NumPy dtype.

    Raises:
        NotImplementedError: loops have no such type (complex numbers, strings; float16 on
            processors that cannot convert it).
    """
    kind = _kind(np.dtype(dtype))
    if kind is None:
        raise NotImplementedError(f"loops over {dtype}")
    return kind


def number(kind: Kind, value: Any) -> str:
    """A number of this type as LLVM writes it."""
    if kind.family == "b":
        return "true" if value else "false"
    if kind.family in "iu":
        return str(int(value))
    value = float(value)
    if kind.register == "float":
        with np.errstate(over="ignore"):
            value = float(np.float32(value))
    return "0x" + struct.pack(">d", value).hex().upper()


class Partial(NamedTuple):
    """How many lanes there are of a vector that may be a shorter one.

    Attributes:
        short: the condition that it is.
        present: how many lanes it has then.
    """

    short: str
    present: int


class Lanes:
    """Writes instructions on vectors of so many lanes.

    Args:
        f: the function under construction.
        n: how many lanes.
    """

    __slots__ = ("f", "n")

    def __init__(self, f: Function, n: int) -> None:
        self.f, self.n = f, n

    def kind(self, register: str) -> str:
        """The vector type of a register type."""
        return f"<{self.n} x {register}>"

    def const(self, kind: Kind, value: Any) -> str:
        """A vector of one number."""
        return f"splat ({kind.register} {number(kind, value)})"

    def literal(self, register: str, text: Any) -> str:
        """A vector of one number written by LLVM's rules."""
        return f"splat ({register} {text})"

    def vector_type(self, kind: Kind) -> VectorType:
        """The type as the vector mathematics names it."""
        return VectorType(4 if kind.register == "float" else 8, self.n)

    # Instructions

    def op(self, name: str, register: str, a: str, b: str) -> str:
        """An instruction of two operands of one type."""
        result = self.f.op(f"{name} <{self.n} x {register}> {a}, {b}")
        if name == "fdiv" and self.n > 1:
            # LLVM (seen in 22) takes lanes that are 0 in both operands for 0 in the quotient, not
            # NaN, and drops a select that would put 0 there; it does not look through a fence.
            return self.intrinsic("arithmetic.fence", register, result)
        return result

    def compare(self, how: str, kind: Kind, a: str, b: str) -> str:
        """A comparison, with the predicate as in ``fcmp`` or ``icmp``."""
        name = "fcmp" if kind.family == "f" else "icmp"
        return self.f.op(f"{name} {how} <{self.n} x {kind.register}> {a}, {b}")

    def select(self, mask: str, register: str, yes: str, no: str) -> str:
        """Lane by lane one of two vectors."""
        v = self.kind(register)
        return self.f.op(f"select <{self.n} x i1> {mask}, {v} {yes}, {v} {no}")

    def convert(self, how: str, source: str, a: str, target: str) -> str:
        """A conversion instruction."""
        return self.f.op(f"{how} {self.kind(source)} {a} to {self.kind(target)}")

    def intrinsic(self, name: str, register: str, *operands: str) -> str:
        """An LLVM intrinsic whose operands and result have one type."""
        v = self.kind(register)
        suffix = {"float": "f32", "double": "f64"}.get(register, register)
        listed = ", ".join([f"{v} {x}" for x in operands])
        return self.f.op(f"call {v} @llvm.{name}.v{self.n}{suffix}({listed})")

    def splat(self, register: str, scalar: str) -> str:
        """A vector of a scalar value."""
        v = self.kind(register)
        one = self.f.op(f"insertelement {v} poison, {register} {scalar}, i64 0")
        if self.n == 1:
            return one
        mask = f"<{self.n} x i32> zeroinitializer"
        return self.f.op(f"shufflevector {v} {one}, {v} poison, {mask}")

    def widen(self, register: str, one: str) -> str:
        """A vector of the only lane of another."""
        if self.n == 1:
            return one
        if one.startswith("splat"):
            return one
        source = f"<1 x {register}>"
        mask = f"<{self.n} x i32> zeroinitializer"
        return self.f.op(f"shufflevector {source} {one}, {source} poison, {mask}")

    def extract(self, register: str, a: str, lane: int) -> str:
        """One lane as a scalar."""
        return self.f.op(f"extractelement {self.kind(register)} {a}, i64 {lane}")

    def insert(self, register: str, a: str, scalar: str, lane: int) -> str:
        """The vector with one lane replaced."""
        return self.f.op(
            f"insertelement {self.kind(register)} {a}, {register} {scalar}, i64 {lane}"
        )

    def iota(self, start: str | int, step: int = 1) -> str:
        """start, start + step, ... as int64."""
        first = start if isinstance(start, int) else 0
        ramp = f"<{', '.join([f'i64 {first + i * step}' for i in range(self.n)])}>"
        if isinstance(start, int):
            return ramp
        return self.op("add", "i64", self.splat("i64", start), ramp)

    def first(self, count: int | Partial | None) -> str:
        """The mask of the first `count` lanes; of all if there is no count."""
        if isinstance(count, Partial):
            v = self.kind("i1")
            masks = f"{v} {self.first(count.present)}, {v} {self.first(None)}"
            return self.f.op(f"select i1 {count.short}, {masks}")
        if count is None or count >= self.n:
            return self.literal("i1", "true")
        return f"<{', '.join([f'i1 {str(i < count).lower()}' for i in range(self.n)])}>"

    def any(self, mask: str) -> str:
        """Whether one lane is set, as a scalar."""
        if self.n == 1:
            return self.f.op(f"extractelement <1 x i1> {mask}, i64 0")
        whole = self.f.op(f"bitcast <{self.n} x i1> {mask} to i{self.n}")
        return self.f.op(f"icmp ne i{self.n} {whole}, 0")

    def turned(self, register: str, lines: list[str]) -> list[str]:
        """As many vectors as lanes, turned like a matrix: blocks of 1, 2, 4 ... change places."""
        v, n, size = self.kind(register), self.n, 1
        while size < n:
            low = [c if not c & size else n + c - size for c in range(n)]
            high = [c + size if not c & size else n + c for c in range(n)]
            masks = [f"<{n} x i32> <{', '.join([f'i32 {c}' for c in m])}>" for m in (low, high)]
            after = list(lines)
            for i in range(n):
                if not i & size:
                    pair = f"{v} {lines[i]}, {v} {lines[i + size]}"
                    after[i] = self.f.op(f"shufflevector {pair}, {masks[0]}")
                    after[i + size] = self.f.op(f"shufflevector {pair}, {masks[1]}")
            lines, size = after, size * 2
        return lines

    # Memory

    def unpacked(self, kind: Kind, raw: str) -> str:
        """What was read, as in registers."""
        if kind.family == "b":
            return self.f.op(f"icmp ne {self.kind('i8')} {raw}, zeroinitializer")
        if kind.name == "float16":
            return self.convert(
                "fpext", "half", self.convert("bitcast", "i16", raw, "half"), "float"
            )
        if kind.name == "bfloat16":
            wide = self.op(
                "shl", "i32", self.convert("zext", "i16", raw, "i32"), self.literal("i32", 16)
            )
            return self.convert("bitcast", "i32", wide, "float")
        return raw

    def packed(self, kind: Kind, value: str) -> str:
        """A value as in memory."""
        if kind.family == "b":
            return self.convert("zext", "i1", value, "i8")
        if kind.name == "float16":
            narrow = self.convert("fptrunc", "float", value, "half")
            return self.convert("bitcast", "half", narrow, "i16")
        if kind.name == "bfloat16":
            bits = self.convert("bitcast", "float", value, "i32")
            return self.convert(
                "trunc", "i32", self.op("lshr", "i32", bits, self.literal("i32", 16)), "i16"
            )
        return value

    def rounded(self, kind: Kind, value: str) -> str:
        """A float32 result as its half type can represent it, ties to even."""
        if kind.name == "float16":
            narrow = self.convert("fptrunc", "float", value, "half")
            return self.convert("fpext", "half", narrow, "float")
        if kind.name != "bfloat16":
            return value
        bits = self.convert("bitcast", "float", value, "i32")
        low = self.op("lshr", "i32", bits, self.literal("i32", 16))
        odd = self.op("and", "i32", low, self.literal("i32", 1))
        up = self.op("add", "i32", odd, self.literal("i32", 0x7FFF))
        moved = self.op("add", "i32", bits, up)
        quiet = self.op("or", "i32", bits, self.literal("i32", 0x400000))
        nan = self.f.op(f"fcmp uno {self.kind('float')} {value}, {value}")
        chosen = self.select(nan, "i32", quiet, moved)
        kept = self.op("and", "i32", chosen, self.literal("i32", -65536))
        return self.convert("bitcast", "i32", kept, "float")

    # Conversions

    def cast(self, source: Kind, target: Kind, a: str) -> str:
        """A value in another type, as C converts it."""
        if source.name == target.name:
            return a
        if target.family == "b":
            zero = "zeroinitializer"
            return self.compare("une" if source.family == "f" else "ne", source, a, zero)
        if source.family == "f":
            return self._from_float(source, target, a)
        if target.family == "f":
            how = "sitofp" if source.family == "i" else "uitofp"
            return self.rounded(target, self.convert(how, source.register, a, target.register))
        if source.bits == target.bits:
            return a
        if source.bits > target.bits:
            return self.convert("trunc", source.register, a, target.register)
        how = "sext" if source.family == "i" else "zext"
        return self.convert(how, source.register, a, target.register)

    def _from_float(self, source: Kind, target: Kind, a: str) -> str:
        if target.family != "f":
            if source.name == "float16" and target.name == "uint32":
                return self.convert(
                    "trunc", "i64", self.convert("fptosi", "float", a, "i64"), "i32"
                )
            return self._to_integer(source.register, target, a)
        if source.register == target.register:
            return self.rounded(target, a)
        if source.register == "float":
            return self.convert("fpext", "float", a, "double")
        if target.name == "float16":
            a = self._rounded_to_odd(a)
        else:
            a = self.convert("fptrunc", "double", a, "float")
        return self.rounded(target, a)

    def _rounded_to_odd(self, a: str) -> str:
        """float32 from float64 such that rounding it again is as if rounding once."""
        near = self.convert("fptrunc", "double", a, "float")
        back = self.convert("fpext", "float", near, "double")
        beyond = self.f.op(
            f"fcmp ogt {self.kind('double')} {self.intrinsic('fabs', 'double', back)}, "
            f"{self.intrinsic('fabs', 'double', a)}"
        )
        inexact = self.f.op(f"fcmp one {self.kind('double')} {back}, {a}")
        bits = self.convert("bitcast", "float", near, "i32")
        bits = self.op("sub", "i32", bits, self.convert("zext", "i1", beyond, "i32"))
        bits = self.op("or", "i32", bits, self.convert("zext", "i1", inexact, "i32"))
        return self.convert("bitcast", "i32", bits, "float")

    def _to_integer(self, source: str, target: Kind, a: str) -> str:
        if target.bits < 32:
            whole = self.convert("fptosi", source, a, "i32")
            return self.convert("trunc", "i32", whole, target.register)
        if target.family == "i":
            return self.convert("fptosi", source, a, target.register)
        half = 2.0 ** (target.bits - 1)
        bound = self.literal(source, number(FLOAT, half))
        large = self.f.op(f"fcmp oge {self.kind(source)} {a}, {bound}")
        less = self.op("fsub", source, a, bound)
        below = self.convert("fptosi", source, a, target.register)
        above = self.convert("fptosi", source, less, target.register)
        top = self.literal(target.register, 1 << (target.bits - 1))
        flipped = self.op("xor", target.register, above, top)
        return self.select(large, target.register, flipped, below)
