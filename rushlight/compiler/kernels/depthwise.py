"""Convolution with one channel a group, and the gradient of its weight: no products of matrices.

    for unit (an image, some channels), handed to whichever thread asks next:
        copy the input into the scratch, zeros around it
        for channel: for ROWS output rows: for one vector of columns:
            ROWS accumulators = sum over taps of w[channel, tap] * input row, shifted
            write them, with the bias

    weight: for unit (some channels): for image: copy the input into the scratch
        for channel: for TAPS taps: for row: for one vector of columns:
            TAPS accumulators += G * input row, shifted
        add up the lanes

Arguments, scratch and taps are those of ``conv.py``; the gradient of the input is the same kernel.
"""

from __future__ import annotations

from rushlight.compiler.kernels.conv_weight import lane_sums
from rushlight.compiler.kernels.emit import Function, Value, VectorType, declarations
from rushlight.compiler.kernels.windows import FIELDS, PARAMETERS, pad_function

__all__ = ["TAPS", "forward_name", "module", "weight_name"]

_ROWS = 8
TAPS = 8


def forward_name(t: VectorType) -> str:
    """The name of the function that convolves."""
    return f"rl_depthwise_{t.tag}"


def weight_name(t: VectorType) -> str:
    """The name of the function for the weight's gradient."""
    return f"rl_depthwise_weight_{t.tag}"


def module(t: VectorType) -> str:
    """The IR of both functions, for hosts with masked loads and stores."""
    pad = pad_function(f"{forward_name(t)}_pad", t)
    return declarations(t) + pad + _forward(t) + _weight(t)


def _read(f: Function, t: VectorType, image: Value, c0: Value, c1: Value, scratch: str) -> None:
    x = f.field("x", "ptr")
    f.call(
        f"{forward_name(t)}_pad",
        *(("ptr", "%arguments"), ("ptr", scratch), ("ptr", x)),
        *(("i64", image), ("i64", 1), ("i64", f.field("y_start"))),
        *(("i64", f.field("scratch_rows")), ("i64", c0), ("i64", c1)),
    )


def _forward(t: VectorType) -> str:
    f = Function(forward_name(t), PARAMETERS, FIELDS)
    channels, rows, columns = f.field("channels"), f.field("rows"), f.field("columns")
    c_unit, c_units = f.field("c_unit"), f.field("c_units")
    row_step = f.mul(f.field("y_stride"), f.field("row_words"))
    scratch = f.at("i8", f.field("scratch", "ptr"), f.mul("%part", f.field("scratch_words")))
    with f.claim(f.field("counter", "ptr"), f.field("units")) as unit:
        image, group = f.divide(unit, c_units)
        c0 = f.mul(group, c_unit)
        c1 = f.least(channels, f.add(c0, c_unit))
        _read(f, t, image, c0, c1, scratch)
        with f.loop(c0, c1) as c:
            plane = f.at(t.scalar, scratch, f.mul(f.sub(c, c0), f.field("plane_words")))
            w = f.at(t.scalar, f.field("w", "ptr"), f.mul(c, f.field("w_g")))
            place = f.add(f.mul(image, f.field("o_n")), f.mul(c, f.field("o_g")))
            out = f.at(t.scalar, f.field("out", "ptr"), place)
            bias = f.splat(t, f.load(t.scalar, f.at(t.scalar, f.field("bias", "ptr"), c)))
            with f.loop(0, rows, _ROWS) as i, f.loop(0, columns, t.lanes) as j:
                # rows that do not exist repeat the last one: they write the same again
                lines = [f.least(f.add(i, r), f.sub(rows, 1)) for r in range(_ROWS)]
                starts = [f.at(t.scalar, plane, f.mul(line, row_step), j) for line in lines]
                sums = _products(f, t, starts, w)
                for line, value in zip(lines, sums, strict=True):
                    total = f.op(f"fadd {t.vector} {value}, {bias}")
                    to = f.at(t.scalar, out, f.mul(line, f.field("o_y")))
                    _write(f, t, total, to, j, f.sub(columns, j))
    return f.text()


def _products(f: Function, t: VectorType, starts: list[str], w: str) -> list[str]:
    """For each of these places the sum over taps of weight times input."""
    zero = "zeroinitializer"
    loop = f.begin([("i64", 0)] + [(t.vector, zero)] * len(starts))
    tap, sums = loop.values[0], loop.values[1:]
    f.test(loop, f.compare("slt", tap, f.field("taps")))
    offset = f.load("i64", f.at("i64", f.field("tap_x", "ptr"), tap))
    place = f.load("i64", f.at("i64", f.field("tap_w", "ptr"), tap))
    factor = f.splat(t, f.load(t.scalar, f.at(t.scalar, w, place)))
    following = []
    for start, value in zip(starts, sums, strict=True):
        x = f.load(t.vector, f.at(t.scalar, start, offset), t.itemsize)
        following.append(f.fma(t, factor, x, value))
    f.end(loop, [f.add(tap, 1), *following])
    return sums


def _write(f: Function, t: VectorType, value: str, to: str, j: Value, count: Value) -> None:
    """Stores the first `count` lanes at columns j and on."""
    o_x = f.field("o_x")
    dense = f.compare("eq", o_x, 1)
    with f.when(dense):
        mask = f.first_lanes(t, count)
        f.line(
            f"call void @llvm.masked.store.{t.suffix}.p0({t.vector} {value}, "
            f"ptr {f.at(t.scalar, to, j)}, i32 {t.itemsize}, <{t.lanes} x i1> {mask})"
        )
    with f.when(f.otherwise(dense)):
        for lane in range(t.lanes):
            with f.when(f.compare("sgt", count, lane)):
                one = f.op(f"extractelement {t.vector} {value}, i64 {lane}")
                f.store(t.scalar, one, f.at(t.scalar, to, f.mul(f.add(j, lane), o_x)))


def _weight(t: VectorType) -> str:
    f = Function(weight_name(t), PARAMETERS, FIELDS)
    channels, c_unit, taps = f.field("channels"), f.field("c_unit"), f.field("taps")
    scratch = f.at("i8", f.field("scratch", "ptr"), f.mul("%part", f.field("scratch_words")))
    sums = f.at("i8", scratch, f.field("c_place"))
    rounded = f.mul(f.op(f"udiv i64 {f.add(taps, TAPS - 1)}, {TAPS}"), TAPS)
    with f.claim(f.field("counter", "ptr"), f.field("units")) as unit:
        c0 = f.mul(unit, c_unit)
        c1 = f.least(channels, f.add(c0, c_unit))
        with f.loop(0, f.field("images")) as image:
            _read(f, t, image, c0, c1, scratch)
            first = f.compare("eq", image, 0)
            with f.loop(c0, c1) as c, f.loop(0, rounded, TAPS) as tap:
                own = f.sub(c, c0)
                plane = f.at(t.scalar, scratch, f.mul(own, f.field("plane_words")))
                place = f.add(f.mul(image, f.field("o_n")), f.mul(c, f.field("o_g")))
                g = f.at(t.scalar, f.field("w", "ptr"), place)
                area = f.mul(f.add(f.mul(own, rounded), tap), t.lanes)
                _correlate(f, t, (plane, g, f.at(t.scalar, sums, area), tap), first)
        with f.loop(c0, c1) as c, f.loop(0, taps) as tap:
            area = f.mul(f.add(f.mul(f.sub(c, c0), rounded), tap), t.lanes)
            lanes = f.load(t.vector, f.at(t.scalar, sums, area), t.itemsize)
            total = f.op(f"extractelement {t.vector} {lane_sums(f, t, [lanes])}, i64 0")
            f.store(t.scalar, total, f.at(t.scalar, f.field("out", "ptr"), f.mul(c, taps), tap))
    return f.text()


def _correlate(f: Function, t: VectorType, what: tuple[str, str, str, Value], first: str) -> None:
    """Adds one plane's products to the sums of some taps, one vector each."""
    plane, g, area, tap = what
    rows, columns = f.field("rows"), f.field("columns")
    row_step = f.mul(f.field("y_stride"), f.field("row_words"))
    last = f.sub(f.field("taps"), 1)
    starts, before = [], []
    for u in range(TAPS):  # taps that do not exist repeat the last one
        offset = f.load("i64", f.at("i64", f.field("tap_x", "ptr"), f.least(f.add(tap, u), last)))
        starts.append(f.at(t.scalar, plane, offset))
        old = f.load(t.vector, f.at(t.scalar, area, u * t.lanes), t.itemsize)
        before.append(f.select(first, t.vector, "zeroinitializer", old))
    outer = f.begin([("i64", 0)] + [(t.vector, s) for s in before])
    i, sums = outer.values[0], outer.values[1:]
    f.test(outer, f.compare("slt", i, rows))
    line = f.mul(i, row_step)
    inner = f.begin([("i64", 0)] + [(t.vector, s) for s in sums])
    j, now = inner.values[0], inner.values[1:]
    f.test(inner, f.compare("slt", j, columns))
    row = f.at(t.scalar, g, f.mul(i, f.field("o_y")))
    factor = f.masked_load(t, row, j, columns, f.repeated(t, "0.0"))
    mask = f"<{t.lanes} x i1> {f.first_lanes(t, f.sub(columns, j))}"
    following = []
    for start, value in zip(starts, now, strict=True):
        x = f.load(t.vector, f.at(t.scalar, start, line, j), t.itemsize)
        # what lies behind the last column may be infinite, and must not count
        x = f.op(f"select {mask}, {t.vector} {x}, {t.vector} zeroinitializer")
        following.append(f.fma(t, factor, x, value))
    f.end(inner, [f.add(j, t.lanes), *following])
    f.end(outer, [f.add(i, 1), *now])
    for u, value in enumerate(sums):
        f.store(t.vector, value, f.at(t.scalar, area, u * t.lanes), t.itemsize)
