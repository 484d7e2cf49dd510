"""Batch normalisation where a channel has few positions: vectors run over channels.

In memory the positions of neighbouring channels of one image follow each other: a group of channels
is some whole vectors. The formulas are those of ``norm.py``:

    for group of channels, shared by the threads:
        for some vectors of the group: sums over the images, each lane for itself, in float64
        for channel: add up its lanes; its constants are repeated for each of its positions
        for some vectors of the group: for image: write the result

A group is a unit, so threads do not change a bit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rushlight.compiler.kernels.emit import Function, Value, VectorType
from rushlight.compiler.kernels.norm import (
    BACKWARD_FIELDS,
    FORWARD_FIELDS,
    binary,
    declare,
    element_count,
    narrowed,
    widened,
)
from rushlight.compiler.kernels.windows import PARAMETERS

__all__ = ["MOST_POSITIONS", "backward_name", "forward_name", "module"]

MOST_POSITIONS = 31  # areas on the stack have room for so many

_TOGETHER = 4  # vectors: neighbours in memory are read together

Vectors = Callable[[list[str], Value], Sequence[str]]
Body = Callable[[list[str], Value, list[str]], None]


def forward_name(t: VectorType) -> str:
    """The name of the forward function."""
    return f"rl_batch_norm_short_{t.tag}"


def backward_name(t: VectorType) -> str:
    """The name of the backward function."""
    return f"rl_batch_norm_short_backward_{t.tag}"


def module(t: VectorType) -> str:
    """The IR of both functions, for hosts with masked loads and stores."""
    return declare(t) + _forward(t) + _backward(t)


class _Group:
    """One function under construction: a group of channels and what its lanes hold."""

    def __init__(self, name: str, t: VectorType, fields: Sequence[str]) -> None:
        self.f = f = Function(name, PARAMETERS, fields)
        self.t = t
        self.positions = f.field("positions")
        self.channels = f.field("channels")
        self.images = f.field("images")
        few = f.compare("slt", self.positions, _TOGETHER)
        self.size = f.select(few, "i64", _TOGETHER * t.lanes, t.lanes)  # channels of a group
        self.areas: dict[str, str] = {}
        self.c0: Value = 0
        self.count: Value = 0

    def area(self, name: str, kind: str) -> None:
        """Memory for one number a lane; to be asked for before any loop."""
        room = self.t.lanes * (MOST_POSITIONS + _TOGETHER * _TOGETHER)
        self.areas[name] = self.f.op(f"alloca [{room} x {kind}], align 64")

    def groups(self) -> Value:
        """How many groups there are."""
        up = self.f.sub(self.f.add(self.channels, self.size), 1)
        return self.f.op(f"udiv i64 {up}, {self.size}")

    def begin(self, unit: Value) -> None:
        """Goes to a group."""
        f = self.f
        self.c0 = f.mul(unit, self.size)
        self.count = f.least(self.size, f.sub(self.channels, self.c0))

    def _vectors(self, names: Sequence[str], body: Body) -> None:
        """Runs body(pointers of these arrays, place, masks) for a few vectors of the group."""
        f, t = self.f, self.t
        words = f.mul(self.count, self.positions)
        start = f.mul(self.c0, self.positions)
        arrays = [f.at(t.scalar, f.field(n, "ptr"), start) for n in names]
        with f.loop(0, words, _TOGETHER * t.lanes) as v:
            left = f.sub(words, v)
            masks = [
                f"<{t.lanes} x i1> {f.first_lanes(t, f.sub(left, u * t.lanes))}"
                for u in range(_TOGETHER)
            ]
            body([f.at(t.scalar, a, v) for a in arrays], v, masks)

    def _read(self, pointer: str, u: int, mask: str) -> str:
        t = self.t
        place = self.f.at(t.scalar, pointer, u * t.lanes)
        return self.f.op(
            f"call {t.vector} @llvm.masked.load.{t.suffix}.p0(ptr {place}, i32 {t.itemsize}, "
            f"{mask}, {t.vector} zeroinitializer)"
        )

    def constant(self, name: str, v: Value) -> str:
        """The numbers of an area for the lanes of a vector."""
        return self.f.load(self.t.vector, self.f.at(self.t.scalar, self.areas[name], v), 64)

    def sums(self, names: Sequence[str], targets: Sequence[str], terms: Vectors) -> None:
        """Stores for each lane the sums of terms(values of the arrays, place) over the images."""
        f, t = self.f, self.t
        wide = f"<{t.lanes} x double>"
        step = f.mul(self.channels, self.positions)

        def body(pointers: list[str], v: Value, masks: list[str]) -> None:
            first: list[tuple[str, Value]] = [("i64", 0), *[("ptr", p) for p in pointers]]
            loop = f.begin(first + [(wide, "zeroinitializer")] * (_TOGETHER * len(targets)))
            places, totals = loop.values[1 : len(first)], loop.values[len(first) :]
            f.test(loop, f.compare("slt", loop.values[0], self.images))
            found = [
                value
                for u, mask in enumerate(masks)
                for value in terms([self._read(p, u, mask) for p in places], f.add(v, u * t.lanes))
            ]
            after = [
                binary(f, wide, "fadd", old, widened(f, t, new, True))
                for old, new in zip(totals, found, strict=True)
            ]
            following = [f.at(t.scalar, p, step) for p in places]
            f.end(loop, [f.add(loop.values[0], 1), *following, *after])
            for i, value in enumerate(totals):
                u, m = divmod(i, len(targets))
                place = f.at("double", self.areas[targets[m]], f.add(v, u * t.lanes))
                f.store(wide, value, place, 64)

        self._vectors(names, body)

    def total(self, name: str, channel: Value) -> str:
        """The sum of a channel's lanes."""
        f = self.f
        start = f.at("double", self.areas[name], f.mul(channel, self.positions))
        loop = f.begin([("i64", 0), ("double", "0.0")])
        i, total = loop.values
        f.test(loop, f.compare("slt", i, self.positions))
        f.end(
            loop,
            [
                f.add(i, 1),
                binary(f, "double", "fadd", total, f.load("double", f.at("double", start, i))),
            ],
        )
        return total

    def repeat(self, channel: Value, **values: str) -> None:
        """Writes numbers of a channel to areas, for each of its positions."""
        f, t = self.f, self.t
        start = f.mul(channel, self.positions)
        with f.loop(0, self.positions) as i:
            for name, value in values.items():
                f.store(t.scalar, value, f.at(t.scalar, self.areas[name], f.add(start, i)))

    def write(self, names: Sequence[str], target: str, result: Vectors) -> None:
        """Writes result(values of the arrays, place) for all images."""
        f, t = self.f, self.t
        step = f.mul(self.channels, self.positions)

        def body(pointers: list[str], v: Value, masks: list[str]) -> None:
            carried: list[tuple[str, Value]] = [("i64", 0), *[("ptr", p) for p in pointers]]
            loop = f.begin(carried)
            f.test(loop, f.compare("slt", loop.values[0], self.images))
            places = loop.values[1:]
            for u, mask in enumerate(masks):
                values = [self._read(p, u, mask) for p in places[:-1]]
                (value,) = result(values, f.add(v, u * t.lanes))
                to = f.at(t.scalar, places[-1], u * t.lanes)
                f.line(
                    f"call void @llvm.masked.store.{t.suffix}.p0({t.vector} {value}, "
                    f"ptr {to}, i32 {t.itemsize}, {mask})"
                )
            f.end(loop, [f.add(loop.values[0], 1), *[f.at(t.scalar, p, step) for p in places]])

        self._vectors([*names, target], body)

    def of_channel(self, name: str, channel: Value) -> str:
        """Where a channel's number stands in one of the operands."""
        return self.f.at(self.t.scalar, self.f.field(name, "ptr"), self.f.add(self.c0, channel))


def _forward(t: VectorType) -> str:
    g = _Group(forward_name(t), t, FORWARD_FIELDS)
    f = g.f
    g.area("total", "double")
    for name in ("mean", "factor", "bias"):
        g.area(name, t.scalar)
    training = f.compare("ne", f.field("training"), 0)

    def centred(values: list[str], v: Value) -> str:
        return binary(f, t.vector, "fsub", values[0], g.constant("mean", v))

    def squares(values: list[str], v: Value) -> Sequence[str]:
        distance = centred(values, v)
        return [binary(f, t.vector, "fmul", distance, distance)]

    def result(values: list[str], v: Value) -> Sequence[str]:
        return [f.fma(t, centred(values, v), g.constant("factor", v), g.constant("bias", v))]

    with f.claim(f.field("counter", "ptr"), g.groups()) as unit:
        g.begin(unit)
        count = element_count(f)
        with f.when(training):
            g.sums(["x"], ["total"], lambda values, v: values)
            with f.loop(0, g.count) as c:
                mean = binary(f, "double", "fdiv", g.total("total", c), count)
                f.store(t.scalar, narrowed(f, t, mean), g.of_channel("mean", c))
        with f.loop(0, g.count) as c:
            g.repeat(c, mean=f.load(t.scalar, g.of_channel("mean", c)))
        with f.when(training):
            g.sums(["x"], ["total"], squares)
            with f.loop(0, g.count) as c:
                var = binary(f, "double", "fdiv", g.total("total", c), count)
                f.store(t.scalar, narrowed(f, t, var), g.of_channel("var", c))
        with f.loop(0, g.count) as c:
            var = widened(f, t, f.load(t.scalar, g.of_channel("var", c)))
            shifted = binary(f, "double", "fadd", var, f.field("eps", "double"))
            root = f.op(f"call double @llvm.sqrt.f64(double {shifted})")
            scale = narrowed(f, t, binary(f, "double", "fdiv", "1.0", root))
            with f.when(training):
                f.store(t.scalar, scale, g.of_channel("scale", c))
            w, b = (f.load(t.scalar, g.of_channel(n, c)) for n in "wb")
            g.repeat(c, factor=binary(f, t.scalar, "fmul", scale, w), bias=b)
        g.write(["x"], "out", result)
    return f.text()


def _backward(t: VectorType) -> str:
    g = _Group(backward_name(t), t, BACKWARD_FIELDS)
    f = g.f
    for name in ("total", "along"):
        g.area(name, "double")
    for name in ("mean", "a", "b", "d"):
        g.area(name, t.scalar)
    training = f.compare("ne", f.field("training"), 0)

    def centred(values: list[str], v: Value) -> str:
        return binary(f, t.vector, "fsub", values[1], g.constant("mean", v))

    def terms(values: list[str], v: Value) -> Sequence[str]:
        return [values[0], binary(f, t.vector, "fmul", values[0], centred(values, v))]

    def result(values: list[str], v: Value) -> Sequence[str]:
        inner = f.fma(t, centred(values, v), g.constant("b", v), g.constant("d", v))
        return [f.fma(t, values[0], g.constant("a", v), inner)]

    def plain(values: list[str], v: Value) -> Sequence[str]:
        return [binary(f, t.vector, "fmul", values[0], g.constant("a", v))]

    with f.claim(f.field("counter", "ptr"), g.groups()) as unit:
        g.begin(unit)
        with f.loop(0, g.count) as c:
            g.repeat(c, mean=f.load(t.scalar, g.of_channel("mean", c)))
        g.sums(["g", "x"], ["total", "along"], terms)
        with f.loop(0, g.count) as c:
            _constants(g, c)
        with f.when(training):
            g.write(["g", "x"], "dx", result)
        with f.when(f.otherwise(training)):
            g.write(["g"], "dx", plain)
    return f.text()


def _constants(g: _Group, c: Value) -> None:
    """A channel's dw and db, and the constants of its dx."""
    f, t = g.f, g.t
    total, along = g.total("total", c), g.total("along", c)
    scale, w = (widened(f, t, f.load(t.scalar, g.of_channel(n, c))) for n in ("scale", "w"))
    dw = binary(f, "double", "fmul", along, scale)
    f.store(t.scalar, narrowed(f, t, dw), g.of_channel("dw", c))
    f.store(t.scalar, narrowed(f, t, total), g.of_channel("db", c))
    factor = binary(f, "double", "fmul", scale, w)
    mean_part = binary(f, "double", "fdiv", factor, element_count(f))
    d = binary(f, "double", "fmul", mean_part, total)
    square = binary(f, "double", "fmul", scale, scale)
    b = binary(f, "double", "fmul", binary(f, "double", "fmul", mean_part, along), square)
    g.repeat(
        c,
        a=narrowed(f, t, factor),
        b=narrowed(f, t, f.op(f"fneg double {b}")),
        d=narrowed(f, t, f.op(f"fneg double {d}")),
    )
