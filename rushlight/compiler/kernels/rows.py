"""Kernels that go row by row over the last dimension: softmax and layer normalisation.

A row is read several times and stays in the cache. Sums run in the lanes of a vector, in chunks
whose sums are added, and so are the lanes in the end: errors stay small in long rows, and a row's
result depends on nothing but the row.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from rushlight.compiler.kernels.emit import Function, Value, VectorType, declarations
from rushlight.compiler.kernels.pointwise import FIELDS, NUMBERS, PARAMETERS, Wrap, share

__all__ = ["layer_norm_module", "softmax_module"]

_ZERO = "zeroinitializer"
_CHUNK = 64  # vectors summed before the sum is added to the sum so far


class _Rows:
    """A function over rows under construction.

    Args:
        more: further words of the argument block, after the numbers.
    """

    def __init__(self, t: VectorType, name: str, wrap: Wrap, more: Sequence[str] = ()) -> None:
        self.f = Function(name, PARAMETERS, (*FIELDS, *more))
        self.t, self.wrap = t, wrap
        self.columns, self.rows = self.f.field("count"), self.f.field("rows")

    def vec(self, text: str) -> Any:
        """The vector of a value's name."""
        return self.wrap(self.f, self.t, text)

    def row_of(self, pointer: str, row: Value) -> str:
        """The address of a row."""
        return self.f.at(self.t.scalar, pointer, self.f.mul(row, self.columns))

    def read(self, row: str, i: Value, otherwise: str = _ZERO) -> Any:
        """Elements i and following; beyond the row's end the lanes of another vector."""
        mask = self.f.first_lanes(self.t, self.f.sub(self.columns, i))
        v, place = self.t.vector, self.f.at(self.t.scalar, row, i)
        arguments = f"ptr {place}, i32 {self.t.itemsize}, <{self.t.lanes} x i1> {mask}"
        name = f"@llvm.masked.load.{self.t.suffix}.p0"
        return self.vec(self.f.op(f"call {v} {name}({arguments}, {v} {otherwise})"))

    def write(self, row: str, i: Value, value: Any) -> None:
        """Stores elements i and following, those that exist."""
        mask = self.f.first_lanes(self.t, self.f.sub(self.columns, i))
        v, place = self.t.vector, self.f.at(self.t.scalar, row, i)
        arguments = f"{v} {value.text}, ptr {place}, i32 {self.t.itemsize}"
        name = f"@llvm.masked.store.{self.t.suffix}.p0"
        self.f.line(f"call void {name}({arguments}, <{self.t.lanes} x i1> {mask})")

    def write_one(self, pointer: str, i: Value, value: Any) -> None:
        """Stores the first lane."""
        first = self.f.op(f"extractelement {self.t.vector} {value.text}, i64 0")
        self.f.store(self.t.scalar, first, self.f.at(self.t.scalar, pointer, i))

    def along(
        self,
        inits: Sequence[str],
        body: Callable[..., Sequence[Any]],
        start: Value = 0,
        stop: Value = "",
        step: int = 1,
    ) -> list[Any]:
        """Runs `body(i, *carried)` every `step` vectors of a row; returns what was carried last."""
        loop = self.f.begin([("i64", start), *[(self.t.vector, init) for init in inits]])
        i, *carried = loop.values
        self.f.test(loop, self.f.compare("slt", i, stop or self.columns))
        after = [v.text for v in body(i, *map(self.vec, carried))]
        self.f.end(loop, [self.f.add(i, step * self.t.lanes), *after])
        return [self.vec(v) for v in loop.values[1:]]

    def across(self, vector: Any, join: Callable[[Any, Any], Any]) -> Any:
        """All lanes joined, in every lane: halves, quarters and so on."""
        step, v = self.t.lanes // 2, self.t.vector
        while step:
            order = ", ".join(f"i32 {i ^ step}" for i in range(self.t.lanes))
            text = f"shufflevector {v} {vector.text}, {v} poison, <{self.t.lanes} x i32> <{order}>"
            vector = join(vector, self.vec(self.f.op(text)))
            step //= 2
        return vector

    def total(self, term: Callable[[Value], Any]) -> Any:
        """The sum of `term(i)` over a row, in every lane; terms beyond its end must be 0."""

        def chunk(i: Value, total: Any) -> Sequence[Any]:
            stop = self.f.least(self.columns, self.f.add(i, _CHUNK * self.t.lanes))
            (part,) = self.along([_ZERO], lambda i, part: [part + term(i)], i, stop)
            return [total + part]

        (total,) = self.along([_ZERO], chunk, step=_CHUNK)
        return self.across(total, lambda a, b: a + b)


def softmax_module(t: VectorType, name: str, math_: Any, logarithm: bool, wrap: Wrap) -> str:
    """softmax or its logarithm of `rows` rows of `count` elements.

    Args:
        math_: the vector mathematics (exp, log).
    """
    r = _Rows(t, name, wrap)
    f = r.f
    source, target = f.field("x", "ptr"), f.field("out", "ptr")
    lowest = r.vec("poison").number(-math.inf).text
    with f.loop(*share(f, r.rows, 1)) as row:
        x, out = r.row_of(source, row), r.row_of(target, row)
        (top,) = r.along([lowest], lambda i, top: [top.at_least(r.read(x, i, lowest))])
        top = r.across(top, lambda a, b: a.at_least(b))

        def term(i: Value) -> Any:
            e = math_.exp(r.read(x, i, lowest) - top)
            if not logarithm:
                r.write(out, i, e)
            return e

        total = r.total(term)
        shift = math_.log(total) if logarithm else total

        def result(i: Value) -> Sequence[Any]:
            r.write(out, i, r.read(x, i) - top - shift if logarithm else r.read(out, i) / shift)
            return []

        r.along([], result)
    return "".join([declarations(t), math_.declarations(t), f.text()])


def layer_norm_module(
    t: VectorType, name: str, math_: Any, affine: tuple[bool, bool], wrap: Wrap
) -> str:
    """(x - mean) / sqrt(variance + eps) of each row, times a weight, plus a bias.

    The number is eps; after it come pointers to weight, bias, and where means and inverse
    deviations go.

    Args:
        affine: whether there is a weight, and a bias.
    """
    r = _Rows(t, name, wrap, ("eps", "weight", "bias", "mean", "scale"))
    f = r.f
    source, target = f.field("x", "ptr"), f.field("out", "ptr")
    weight, bias, means, scales = (f.field(n, "ptr") for n in ("weight", "bias", "mean", "scale"))
    eps = r.vec(f.splat(t, f.load(t.scalar, f.at("i64", "%arguments", NUMBERS))))
    count = r.vec(f.splat(t, f.op(f"uitofp i64 {r.columns} to {t.scalar}")))
    with f.loop(*share(f, r.rows, 1)) as row:
        x, out = r.row_of(source, row), r.row_of(target, row)
        mean = r.total(lambda i: r.read(x, i)) / count

        def square(i: Value) -> Any:
            distance = r.read(x, i, mean.text) - mean
            return distance * distance

        scale = 1.0 / (r.total(square) / count + eps).sqrt()

        def result(i: Value) -> Sequence[Any]:
            y = (r.read(x, i) - mean) * scale
            if affine[0]:
                y = y * r.read(weight, i)
            if affine[1]:
                y = y + r.read(bias, i)
            r.write(out, i, y)
            return []

        r.along([], result)
        r.write_one(means, row, mean)
        r.write_one(scales, row, scale)
    return "".join([declarations(t), math_.declarations(t), f.text()])
