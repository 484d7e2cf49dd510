"""Batch normalisation over contiguous (N, C, positions), forward and backward.

    for channel c, handed to whichever thread asks next:
        mean = sum of x / count;  var = sum of (x - mean)^2 / count           training only
        scale = 1 / sqrt(var + eps)
        out = (x - mean) * (scale * w) + b

    backward:
        total = sum of g;  along = sum of g (x - mean)
        dx = g A - (x - mean) B - D
            with A = scale * w, B = A scale^2 along / count, D = A total / count
        dw = along * scale;  db = total                                       evaluation: B = D = 0

The rows of a channel, one an image, are summed by vectors in the element's type, the rows' sums in
float64. A channel is a unit, so threads do not change a bit.
"""

from __future__ import annotations

from collections.abc import Callable

from rushlight.compiler.kernels.emit import Function, Value, VectorType, declarations
from rushlight.compiler.kernels.windows import PARAMETERS

__all__ = [
    "BACKWARD_FIELDS",
    "FORWARD_FIELDS",
    "backward_name",
    "binary",
    "declare",
    "element_count",
    "forward_name",
    "module",
    "narrowed",
    "widened",
]

_SIZES = ("counter", "images", "channels", "positions", "training")
FORWARD_FIELDS = ("x", "w", "b", "mean", "scale", "var", "out", *_SIZES, "eps")
BACKWARD_FIELDS = ("g", "x", "w", "mean", "scale", "dx", "dw", "db", *_SIZES)

Rows = Callable[[Value], list[str]]
Terms = Callable[[list[str], Value, str], list[str]]


def forward_name(t: VectorType) -> str:
    """The name of the forward function."""
    return f"rl_batch_norm_{t.tag}"


def backward_name(t: VectorType) -> str:
    """The name of the backward function."""
    return f"rl_batch_norm_backward_{t.tag}"


def module(t: VectorType) -> str:
    """The IR of both functions."""
    return declare(t) + _forward(t) + _backward(t)


def declare(t: VectorType) -> str:
    """The intrinsics that normalisations use."""
    sqrt = "declare double @llvm.sqrt.f64(double)\n"
    scalar = f"llvm.fmuladd.f{8 * t.itemsize}({t.scalar}, {t.scalar}, {t.scalar})"
    return f"{declarations(t)}{sqrt}declare {t.scalar} @{scalar}\n"


# Small things


def binary(f: Function, kind: str, name: str, a: str, b: str) -> str:
    """An instruction with two operands, such as ``fadd``."""
    return f.op(f"{name} {kind} {a}, {b}")


def _fma(f: Function, t: VectorType, kind: str, a: str, b: str, c: str) -> str:
    """a b + c of scalars or vectors."""
    if kind == t.vector:
        return f.fma(t, a, b, c)
    call = f"@llvm.fmuladd.f{8 * t.itemsize}({kind} {a}, {kind} {b}, {kind} {c})"
    return f.op(f"call {kind} {call}")


def widened(f: Function, t: VectorType, value: str, vector: bool = False) -> str:
    """A value, or each element of a vector, as float64."""
    if t.itemsize == 8:
        return value
    source, target = (t.vector, f"<{t.lanes} x double>") if vector else (t.scalar, "double")
    return f.op(f"fpext {source} {value} to {target}")


def narrowed(f: Function, t: VectorType, value: str) -> str:
    """A float64 in the element's type."""
    return value if t.itemsize == 8 else f.op(f"fptrunc double {value} to {t.scalar}")


def _load(f: Function, t: VectorType, kind: str, row: str, i: Value) -> str:
    return f.load(kind, f.at(t.scalar, row, i), t.itemsize)


def _sums(f: Function, t: VectorType, count: int, rows: Rows, terms: Terms) -> list[str]:
    """Sums over all rows of a channel, as float64.

    Args:
        count: how many sums.
        rows: gives the pointers of row n.
        terms: gives what is added at place i, as scalars or vectors of the named type.
    """
    images, length = f.field("images"), f.field("positions")
    wide = f"<{t.lanes} x double>"
    unroll = 4 // count
    zero = "zeroinitializer"
    outer = f.begin([("i64", 0)] + [(wide, zero)] * count + [("double", "0.0")] * count)
    n, vectors, scalars = outer.values[0], outer.values[1 : 1 + count], outer.values[1 + count :]
    f.test(outer, f.compare("slt", n, images))
    pointers = rows(n)
    sums = [zero] * (count * unroll)
    done: Value = 0
    for step in (unroll, 1):
        width = step * t.lanes
        loop = f.begin([("i64", done)] + [(t.vector, s) for s in sums])
        i, sums = loop.values[0], loop.values[1:]
        f.test(loop, f.compare("sle", f.add(i, width), length))
        following = list(sums)
        for u in range(step):
            for m, term in enumerate(terms(pointers, f.add(i, u * t.lanes), t.vector)):
                place = m * unroll + u
                following[place] = binary(f, t.vector, "fadd", sums[place], term)
        f.end(loop, [f.add(i, width), *following])
        done = i
    tail = f.begin([("i64", done)] + [(t.scalar, "0.0")] * count)
    f.test(tail, f.compare("slt", tail.values[0], length))
    found = terms(pointers, tail.values[0], t.scalar)
    added = [binary(f, t.scalar, "fadd", s, v) for s, v in zip(tail.values[1:], found, strict=True)]
    f.end(tail, [f.add(tail.values[0], 1), *added])
    new_vectors, new_scalars = [], []
    for m in range(count):
        mine = sums[m * unroll : (m + 1) * unroll]
        while len(mine) > 1:
            pairs = zip(mine[::2], mine[1::2], strict=True)
            mine = [binary(f, t.vector, "fadd", a, b) for a, b in pairs]
        new_vectors.append(binary(f, wide, "fadd", vectors[m], widened(f, t, mine[0], True)))
        rest = widened(f, t, tail.values[1 + m])
        new_scalars.append(binary(f, "double", "fadd", scalars[m], rest))
    f.end(outer, [f.add(n, 1), *new_vectors, *new_scalars])
    totals = []
    for vector, total in zip(vectors, scalars, strict=True):
        for lane in range(t.lanes):
            value = f.op(f"extractelement {wide} {vector}, i64 {lane}")
            total = binary(f, "double", "fadd", total, value)
        totals.append(total)
    return totals


def _map(f: Function, t: VectorType, rows: Rows, result: Terms) -> None:
    """Writes result(pointers, i, type) to the last pointer of each row, for every i."""
    images, length = f.field("images"), f.field("positions")
    with f.loop(0, images) as n:
        pointers = rows(n)
        whole = f.sub(length, f.op(f"urem i64 {length}, {t.lanes}"))
        for start, stop, step, kind in (
            (0, whole, t.lanes, t.vector),
            (whole, length, 1, t.scalar),
        ):
            with f.loop(start, stop, step) as i:
                (value,) = result(pointers, i, kind)
                f.store(kind, value, f.at(t.scalar, pointers[-1], i), t.itemsize)


def _rows(f: Function, t: VectorType, c: Value, *names: str) -> Rows:
    """The rows of channel c of these arrays."""
    channels, length = f.field("channels"), f.field("positions")
    arrays = [f.field(name, "ptr") for name in names]

    def pointers(n: Value) -> list[str]:
        place = f.mul(f.add(f.mul(n, channels), c), length)
        return [f.at(t.scalar, array, place) for array in arrays]

    return pointers


class _Constants:
    """Numbers of a channel, as scalars and, for vector code, repeated."""

    def __init__(self, f: Function, t: VectorType, **values: str) -> None:
        self._t = t
        self._scalars = values
        self._vectors = {name: f.splat(t, value) for name, value in values.items()}

    def __call__(self, name: str, kind: str) -> str:
        return (self._vectors if kind == self._t.vector else self._scalars)[name]


def element_count(f: Function) -> str:
    """How many elements a channel has, as float64."""
    total = f.mul(f.field("images"), f.field("positions"))
    return f.op(f"sitofp i64 {total} to double")


# The kernels


def _forward(t: VectorType) -> str:
    f = Function(forward_name(t), PARAMETERS, FORWARD_FIELDS)
    training = f.compare("ne", f.field("training"), 0)
    with f.claim(f.field("counter", "ptr"), f.field("channels")) as c:
        places = {n: f.at(t.scalar, f.field(n, "ptr"), c) for n in ("mean", "scale", "var")}
        with f.when(training):
            _statistics(f, t, c, places)
        var = widened(f, t, f.load(t.scalar, places["var"]))
        shifted = binary(f, "double", "fadd", var, f.field("eps", "double"))
        root = f.op(f"call double @llvm.sqrt.f64(double {shifted})")
        scale = narrowed(f, t, binary(f, "double", "fdiv", "1.0", root))
        with f.when(training):
            f.store(t.scalar, scale, places["scale"])
        w = f.load(t.scalar, f.at(t.scalar, f.field("w", "ptr"), c))
        constant = _Constants(
            f,
            t,
            mean=f.load(t.scalar, places["mean"]),
            factor=binary(f, t.scalar, "fmul", scale, w),
            bias=f.load(t.scalar, f.at(t.scalar, f.field("b", "ptr"), c)),
        )

        def result(pointers: list[str], i: Value, kind: str) -> list[str]:
            x = _load(f, t, kind, pointers[0], i)
            centred = binary(f, kind, "fsub", x, constant("mean", kind))
            return [_fma(f, t, kind, centred, constant("factor", kind), constant("bias", kind))]

        _map(f, t, _rows(f, t, c, "x", "out"), result)
    return f.text()


def _statistics(f: Function, t: VectorType, c: Value, places: dict[str, str]) -> None:
    """Stores mean and variance of a channel."""
    rows = _rows(f, t, c, "x")
    count = element_count(f)
    (total,) = _sums(f, t, 1, rows, lambda p, i, kind: [_load(f, t, kind, p[0], i)])
    mean = narrowed(f, t, binary(f, "double", "fdiv", total, count))
    constant = _Constants(f, t, mean=mean)

    def square(pointers: list[str], i: Value, kind: str) -> list[str]:
        x = _load(f, t, kind, pointers[0], i)
        centred = binary(f, kind, "fsub", x, constant("mean", kind))
        return [binary(f, kind, "fmul", centred, centred)]

    (squares,) = _sums(f, t, 1, rows, square)
    f.store(t.scalar, mean, places["mean"])
    f.store(t.scalar, narrowed(f, t, binary(f, "double", "fdiv", squares, count)), places["var"])


def _backward(t: VectorType) -> str:
    f = Function(backward_name(t), PARAMETERS, BACKWARD_FIELDS)
    training = f.compare("ne", f.field("training"), 0)
    with f.claim(f.field("counter", "ptr"), f.field("channels")) as c:
        mean, scale, w = (
            f.load(t.scalar, f.at(t.scalar, f.field(n, "ptr"), c)) for n in ("mean", "scale", "w")
        )
        centre = _Constants(f, t, mean=mean)

        def terms(pointers: list[str], i: Value, kind: str) -> list[str]:
            g, x = (_load(f, t, kind, p, i) for p in pointers)
            centred = binary(f, kind, "fsub", x, centre("mean", kind))
            return [g, binary(f, kind, "fmul", g, centred)]

        total, along = _sums(f, t, 2, _rows(f, t, c, "g", "x"), terms)
        wide = widened(f, t, scale)
        dw = narrowed(f, t, binary(f, "double", "fmul", along, wide))
        f.store(t.scalar, dw, f.at(t.scalar, f.field("dw", "ptr"), c))
        f.store(t.scalar, narrowed(f, t, total), f.at(t.scalar, f.field("db", "ptr"), c))
        factor = binary(f, "double", "fmul", wide, widened(f, t, w))
        mean_part = binary(f, "double", "fdiv", factor, element_count(f))
        d = binary(f, "double", "fmul", mean_part, total)
        square = binary(f, "double", "fmul", wide, wide)
        b = binary(f, "double", "fmul", binary(f, "double", "fmul", mean_part, along), square)
        constant = _Constants(
            f,
            t,
            mean=mean,
            a=narrowed(f, t, factor),
            b=narrowed(f, t, f.op(f"fneg double {b}")),
            d=narrowed(f, t, f.op(f"fneg double {d}")),
        )

        def result(pointers: list[str], i: Value, kind: str) -> list[str]:
            g, x = (_load(f, t, kind, p, i) for p in pointers[:2])
            centred = binary(f, kind, "fsub", x, constant("mean", kind))
            inner = _fma(f, t, kind, centred, constant("b", kind), constant("d", kind))
            return [_fma(f, t, kind, g, constant("a", kind), inner)]

        def plain(pointers: list[str], i: Value, kind: str) -> list[str]:
            g = _load(f, t, kind, pointers[0], i)
            return [binary(f, kind, "fmul", g, constant("a", kind))]

        rows = ("g", "x", "dx")
        with f.when(training):
            _map(f, t, _rows(f, t, c, *rows), result)
        with f.when(f.otherwise(training)):
            _map(f, t, _rows(f, t, c, *rows), plain)
    return f.text()
