"""A small writer of LLVM functions as text, for kernels that are written by hand.

Values are strings (``%v7``) or Python integers; integers are 64 bits wide. What comes out is final:
no IR pass runs after it, so loops carry their values in phi nodes and constants are folded here.
Text because llvmlite's builder is twenty times slower.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

__all__ = ["Function", "Value", "VectorType", "declarations"]

Value = str | int


class VectorType(NamedTuple):
    """An element type and how many of them a vector of the host holds."""

    itemsize: int
    lanes: int

    @property
    def scalar(self) -> str:
        """The element's LLVM type."""
        return "float" if self.itemsize == 4 else "double"

    @property
    def vector(self) -> str:
        """The vector's LLVM type."""
        return f"<{self.lanes} x {self.scalar}>"

    @property
    def suffix(self) -> str:
        """How intrinsics of the vector type are named."""
        return f"v{self.lanes}f{8 * self.itemsize}"

    @property
    def tag(self) -> str:
        """What kernels of this type carry in their names."""
        return f"f{8 * self.itemsize}x{self.lanes}"


def declarations(t: VectorType) -> str:
    """The intrinsics that `Function` uses."""
    v = t.vector
    return (
        f"declare {v} @llvm.fmuladd.{t.suffix}({v}, {v}, {v})\n"
        f"declare {v} @llvm.masked.load.{t.suffix}.p0(ptr, i32, <{t.lanes} x i1>, {v})\n"
        f"declare void @llvm.masked.store.{t.suffix}.p0({v}, ptr, i32, <{t.lanes} x i1>)\n"
        "declare i64 @llvm.smin.i64(i64, i64)\n"
        "declare i64 @llvm.smax.i64(i64, i64)\n"
    )


class _Loop:
    """An open loop: its labels, and the phi nodes that wait for the next iteration's values."""

    def __init__(
        self, number: int, types: list[str], values: list[str], inits: list[Value]
    ) -> None:
        self.number = number
        self.types = types
        self.values = values
        self.inits = inits
        self.place = 0  # where in the text the phi nodes go
        self.before = ""


class Function:
    """One function under construction.

    Args:
        name: its name.
        parameters: (type, name) pairs; the names become values ``%name``.
        fields: names of the 64-bit words of the argument block that `field` reads.
        internal: not visible outside its module.
    """

    def __init__(
        self,
        name: str,
        parameters: Sequence[tuple[str, str]],
        fields: Sequence[str] = (),
        internal: bool = False,
    ) -> None:
        self.name = name
        listed = ", ".join(
            f"{kind}{' noalias' if kind == 'ptr' and internal else ''} %{n}"
            for kind, n in parameters
        )
        linkage = "internal " if internal else ""
        self.lines = [f"define {linkage}void @{name}({listed}) {{", "entry:"]
        self.fields = {n: i for i, n in enumerate(fields)}
        self.label = "entry"
        self.count = 0

    def text(self) -> str:
        """The finished function."""
        return "\n".join([*self.lines, "  ret void", "}", ""])

    # Single instructions

    def line(self, text: str) -> None:
        """An instruction without a result."""
        self.lines.append("  " + text)

    def op(self, text: str) -> str:
        """An instruction with a result, whose name is returned."""
        self.count += 1
        name = f"%v{self.count}"
        self.lines.append(f"  {name} = {text}")
        return name

    def add(self, a: Value, *more: Value) -> Value:
        """The sum of integers."""
        for b in more:
            if isinstance(a, int) and isinstance(b, int):
                a = a + b
            elif b != 0:
                a = b if a == 0 else self.op(f"add i64 {a}, {b}")
        return a

    def sub(self, a: Value, b: Value) -> Value:
        """The difference of integers."""
        if isinstance(a, int) and isinstance(b, int):
            return a - b
        return a if b == 0 else self.op(f"sub i64 {a}, {b}")

    def mul(self, a: Value, b: Value) -> Value:
        """The product of integers."""
        if isinstance(a, int) and isinstance(b, int):
            return a * b
        if a == 0 or b == 0:
            return 0
        if a == 1 or b == 1:
            return b if a == 1 else a
        return self.op(f"mul i64 {a}, {b}")

    def divide(self, a: Value, b: Value) -> tuple[Value, Value]:
        """Quotient and remainder of non-negative integers."""
        quotient = self.op(f"udiv i64 {a}, {b}")
        return quotient, self.sub(a, self.mul(quotient, b))

    def least(self, a: Value, b: Value) -> str:
        """The smaller of two integers."""
        return self.op(f"call i64 @llvm.smin.i64(i64 {a}, i64 {b})")

    def greatest(self, a: Value, b: Value) -> str:
        """The larger of two integers."""
        return self.op(f"call i64 @llvm.smax.i64(i64 {a}, i64 {b})")

    def compare(self, how: str, a: Value, b: Value) -> str:
        """A comparison of integers, for example ``slt``."""
        return self.op(f"icmp {how} i64 {a}, {b}")

    def select(self, condition: str, kind: str, yes: Value, no: Value) -> str:
        """One of two values."""
        return self.op(f"select i1 {condition}, {kind} {yes}, {kind} {no}")

    def at(self, kind: str, pointer: str, *index: Value) -> str:
        """The address of an element."""
        place = self.add(0, *index)
        if place == 0:
            return pointer
        return self.op(f"getelementptr {kind}, ptr {pointer}, i64 {place}")

    def load(self, kind: str, pointer: str, align: int = 0) -> str:
        """Reads memory; vectors need an alignment."""
        return self.op(f"load {kind}, ptr {pointer}" + (f", align {align}" if align else ""))

    def store(self, kind: str, value: Value, pointer: str, align: int = 0) -> None:
        """Writes memory."""
        self.line(f"store {kind} {value}, ptr {pointer}" + (f", align {align}" if align else ""))

    def field(self, name: str, kind: str = "i64") -> str:
        """A word of the argument block ``%arguments``."""
        return self.load(kind, self.at("i64", "%arguments", self.fields[name]))

    def call(self, name: str, *arguments: tuple[str, Value]) -> None:
        """Calls a void function."""
        self.line(f"call void @{name}({', '.join(f'{kind} {v}' for kind, v in arguments)})")

    # Vectors

    def splat(self, t: VectorType, value: str) -> str:
        """A vector of equal elements."""
        one = self.op(f"insertelement {t.vector} poison, {t.scalar} {value}, i64 0")
        mask = f"<{t.lanes} x i32> zeroinitializer"
        return self.op(f"shufflevector {t.vector} {one}, {t.vector} poison, {mask}")

    def fma(self, t: VectorType, a: str, b: str, c: str) -> str:
        """a b + c, fused where the host can."""
        v = t.vector
        return self.op(f"call {v} @llvm.fmuladd.{t.suffix}({v} {a}, {v} {b}, {v} {c})")

    def first_lanes(self, t: VectorType, count: Value) -> str:
        """A mask of the first `count` lanes."""
        kind = f"<{t.lanes} x i64>"
        one = self.op(f"insertelement {kind} poison, i64 {count}, i64 0")
        mask = f"<{t.lanes} x i32> zeroinitializer"
        wide = self.op(f"shufflevector {kind} {one}, {kind} poison, {mask}")
        steps = ", ".join(f"i64 {i}" for i in range(t.lanes))
        return self.op(f"icmp sgt {kind} {wide}, <{steps}>")

    def repeated(self, t: VectorType, value: str) -> str:
        """A constant vector of equal elements."""
        return "<" + ", ".join([f"{t.scalar} {value}"] * t.lanes) + ">"

    def masked_load(
        self, t: VectorType, row: str, column: Value, width: Value, otherwise: str
    ) -> str:
        """A vector of a row from `column` on; lanes outside of 0 .. width are not read."""
        kind = f"<{t.lanes} x i32>"
        lanes = "<" + ", ".join(f"i32 {i}" for i in range(t.lanes)) + ">"
        zeros = f"<{t.lanes} x i32> zeroinitializer"
        wide = []
        for value in (column, width):
            narrow = self.op(f"trunc i64 {value} to i32")
            one = self.op(f"insertelement {kind} poison, i32 {narrow}, i64 0")
            wide.append(self.op(f"shufflevector {kind} {one}, {kind} poison, {zeros}"))
        columns = self.op(f"add {kind} {wide[0]}, {lanes}")
        mask = self.op(f"icmp ult {kind} {columns}, {wide[1]}")
        place = self.at(t.scalar, row, column)
        return self.op(
            f"call {t.vector} @llvm.masked.load.{t.suffix}.p0(ptr {place}, i32 {t.itemsize}, "
            f"<{t.lanes} x i1> {mask}, {t.vector} {otherwise})"
        )

    def every_second(self, t: VectorType, a: str, b: str, start: int) -> str:
        """Every second element of two vectors, beginning with 0 or 1."""
        mask = ", ".join(f"i32 {i}" for i in range(start, 2 * t.lanes, 2))
        return self.op(f"shufflevector {t.vector} {a}, {t.vector} {b}, <{t.lanes} x i32> <{mask}>")

    # Blocks

    def _start(self, label: str) -> None:
        self.lines.append(f"{label}:")
        self.label = label

    def _fresh(self) -> int:
        self.count += 1
        return self.count

    def begin(self, carried: Sequence[tuple[str, Value]]) -> _Loop:
        """Opens a loop that carries values of these types and first values."""
        number = self._fresh()
        values = [f"%v{self._fresh()}" for _ in carried]
        loop = _Loop(number, [k for k, _ in carried], values, [v for _, v in carried])
        loop.before = self.label
        self.line(f"br label %loop{number}")
        self._start(f"loop{number}")
        loop.place = len(self.lines)
        self.lines.extend([""] * len(carried))
        return loop

    def test(self, loop: _Loop, condition: str) -> None:
        """Goes on with the loop's body if the condition holds, else leaves the loop."""
        n = loop.number
        self.line(f"br i1 {condition}, label %body{n}, label %exit{n}")
        self._start(f"body{n}")

    def _fill(self, loop: _Loop, following: Sequence[Value]) -> None:
        for i, (kind, value, init, after) in enumerate(
            zip(loop.types, loop.values, loop.inits, following, strict=True)
        ):
            self.lines[loop.place + i] = (
                f"  {value} = phi {kind} [{init}, %{loop.before}], [{after}, %{self.label}]"
            )

    def end(self, loop: _Loop, following: Sequence[Value]) -> None:
        """Closes a loop, giving the next iteration's values; afterwards its values are the last."""
        self._fill(loop, following)
        self.line(f"br label %loop{loop.number}")
        self._start(f"exit{loop.number}")

    def end_if(self, loop: _Loop, again: str, following: Sequence[Value]) -> None:
        """Closes a loop that is tested at its end: runs again if the condition holds."""
        self._fill(loop, following)
        self.line(f"br i1 {again}, label %loop{loop.number}, label %exit{loop.number}")
        self._start(f"exit{loop.number}")

    @contextmanager
    def loop(self, start: Value, stop: Value, step: Value = 1) -> Iterator[str]:
        """A counting loop."""
        loop = self.begin([("i64", start)])
        i = loop.values[0]
        self.test(loop, self.compare("slt", i, stop))
        yield i
        self.end(loop, [self.add(i, step)])

    @contextmanager
    def claim(self, counter: str, total: Value) -> Iterator[str]:
        """A loop whose iterations the threads share: each takes the next number of a counter."""
        loop = self.begin([])
        i = self.op(f"atomicrmw add ptr {counter}, i64 1 monotonic, align 8")
        self.test(loop, self.compare("slt", i, total))
        yield i
        self.end(loop, [])

    @contextmanager
    def when(self, condition: str) -> Iterator[None]:
        """A block that runs if a condition holds."""
        n = self._fresh()
        self.line(f"br i1 {condition}, label %then{n}, label %fi{n}")
        self._start(f"then{n}")
        yield
        self.line(f"br label %fi{n}")
        self._start(f"fi{n}")

    def either(
        self, condition: str, kind: str, yes: Callable[[], Value], no: Callable[[], Value]
    ) -> str:
        """One of two values, of which only that one is computed; of no value if `kind` is empty."""
        n = self._fresh()
        self.line(f"br i1 {condition}, label %yes{n}, label %no{n}")
        found = []
        for name, compute in ((f"yes{n}", yes), (f"no{n}", no)):
            self._start(name)
            found.append(f"[{compute()}, %{self.label}]")
            self.line(f"br label %either{n}")
        self._start(f"either{n}")
        return self.op(f"phi {kind} {', '.join(found)}") if kind else ""

    def otherwise(self, condition: str) -> str:
        """The negation of a condition."""
        return self.op(f"xor i1 {condition}, true")
