"""Maximum pooling with indices over one or two dimensions, and the adjoint that scatters.

    for unit (an image, some channels), handed to whichever thread asks next:
        copy the input into the scratch, minus infinity around it
        for channel, row i: for j, one vector of columns at a time:
            best = minus infinity, place = the window's first tap that lies inside
            for tap: where the value is greater, or NaN: best = value, place = the tap's

So the first of equals wins and the last NaN wins over all. Windows that see no element at all are
not for this kernel. Places count within the unpadded plane, row-major.

    scatter: for plane, handed out likewise: clear it; for value in order: plane[place] += value
"""

from __future__ import annotations

from rushlight.compiler.kernels.emit import Function, Value, VectorType, declarations
from rushlight.compiler.kernels.windows import FIELDS, PARAMETERS, pad_function

__all__ = ["SCATTER_FIELDS", "max_module", "max_name", "scatter_module", "scatter_name"]

_LOWEST = "0xFFF0000000000000"
SCATTER_FIELDS = ("g", "places", "out", "counter", "planes", "positions", "size", "bad")


def max_name(t: VectorType) -> str:
    """The name of the pooling function."""
    return f"rl_max_pool_{t.tag}"


def scatter_name(t: VectorType) -> str:
    """The name of the scattering function."""
    return f"rl_plane_scatter_{t.tag}"


def _narrow(f: Function, t: VectorType, value: Value) -> str:
    """A vector of equal 32-bit integers."""
    kind = f"<{t.lanes} x i32>"
    low = f.op(f"trunc i64 {value} to i32")
    one = f.op(f"insertelement {kind} poison, i32 {low}, i64 0")
    zeros = f"<{t.lanes} x i32> zeroinitializer"
    return f.op(f"shufflevector {kind} {one}, {kind} poison, {zeros}")


def max_module(t: VectorType) -> str:
    """The IR of maximum pooling."""
    name = max_name(t)
    wide = f"<{t.lanes} x i64>"
    masked = f"void @llvm.masked.store.v{t.lanes}i64.p0({wide}, ptr, i32, <{t.lanes} x i1>)"
    return "".join(
        [
            declarations(t),
            f"declare {masked}\n",
            pad_function(f"{name}_pad", t, _LOWEST),
            _max_function(name, t),
        ]
    )


def _max_function(name: str, t: VectorType) -> str:
    f = Function(name, PARAMETERS, FIELDS)
    channels, rows, columns = f.field("channels"), f.field("rows"), f.field("columns")
    y_stride, y_start, x_stride = f.field("y_stride"), f.field("y_start"), f.field("phase_stride")
    width, row_words = f.field("width"), f.field("row_words")
    c_unit, c_units = f.field("c_unit"), f.field("c_units")
    scratch = f.at("i8", f.field("scratch", "ptr"), f.mul("%part", f.field("scratch_words")))
    steps = "<" + ", ".join(f"i32 {i}" for i in range(t.lanes)) + ">"
    between = f.op(f"mul <{t.lanes} x i32> {steps}, {_narrow(f, t, x_stride)}")
    with f.claim(f.field("counter", "ptr"), f.field("units")) as unit:
        image, group = f.divide(unit, c_units)
        c0 = f.mul(group, c_unit)
        c1 = f.least(channels, f.add(c0, c_unit))
        f.call(
            f"{name}_pad",
            *(("ptr", "%arguments"), ("ptr", scratch), ("ptr", f.field("x", "ptr"))),
            *(("i64", image), ("i64", 1), ("i64", y_start), ("i64", f.field("scratch_rows"))),
            *(("i64", c0), ("i64", c1)),
        )
        with f.loop(c0, c1) as c, f.loop(0, rows) as i:
            plane = f.mul(f.sub(c, c0), f.field("plane_words"))
            line = f.at(t.scalar, scratch, plane, f.mul(f.mul(i, y_stride), row_words))
            first = f.mul(f.load("i64", f.at("i64", f.field("first_row", "ptr"), i)), width)
            y = f.add(f.mul(i, y_stride), y_start)
            corner = f.add(f.mul(y, width), f.field("x_start"))
            done = f.add(f.mul(f.add(f.mul(image, channels), c), rows), i)
            with f.loop(0, columns, t.lanes) as j:
                places = f.add(corner, f.mul(j, x_stride))
                best, where = _windows(f, t, (line, j, places, first, between))
                count = f.sub(columns, j)
                _write(f, t, (f.add(f.mul(done, columns), j), count, best, where, scratch))
    return f.text()


def _windows(f: Function, t: VectorType, what: tuple[Value, ...]) -> tuple[str, str]:
    """Maxima and places of one vector of windows."""
    line, j, places, first, between = what
    kind = f"<{t.lanes} x i32>"
    corners = f.op(f"add {kind} {_narrow(f, t, places)}, {between}")
    column = f.load(kind, f.at("i32", f.field("first_column", "ptr"), j), 4)
    start = f.op(f"add {kind} {column}, {_narrow(f, t, first)}")
    taps = f.field("taps")
    lowest = f.repeated(t, _LOWEST)
    loop = f.begin([("i64", 0), (t.vector, lowest), (kind, start)])
    tap, best, where = loop.values
    f.test(loop, f.compare("slt", tap, taps))
    offset = f.load("i64", f.at("i64", f.field("tap_x", "ptr"), tap))
    value = f.load(t.vector, f.at(t.scalar, str(line), offset, j), t.itemsize)
    place = f.load("i64", f.at("i64", f.field("tap_index", "ptr"), tap))
    index = f.op(f"add {kind} {corners}, {_narrow(f, t, place)}")
    above = f.op(f"fcmp ogt {t.vector} {value}, {best}")
    nan = f.op(f"fcmp uno {t.vector} {value}, {value}")
    better = f.op(f"or <{t.lanes} x i1> {above}, {nan}")
    mask = f"<{t.lanes} x i1> {better}"
    new_best = f.op(f"select {mask}, {t.vector} {value}, {t.vector} {best}")
    new_where = f.op(f"select {mask}, {kind} {index}, {kind} {where}")
    f.end(loop, [f.add(tap, 1), new_best, new_where])
    return best, f.op(f"sext {kind} {where} to <{t.lanes} x i64>")


def _write(f: Function, t: VectorType, what: tuple[Value, ...]) -> None:
    """Stores maxima and places, the last vector of a row only as far as it goes."""
    at, count, best, where, scratch = what
    wide = f"<{t.lanes} x i64>"
    values = f.at(t.scalar, f.field("out", "ptr"), at)
    places = f.at("i64", f.field("indices", "ptr"), at)
    whole = f.compare("sge", count, t.lanes)
    with f.when(whole):
        f.store(t.vector, best, values, t.itemsize)
        f.store(wide, where, places, 8)
    with f.when(f.otherwise(whole)):
        if t.itemsize * t.lanes >= 32:
            lanes = f"<{t.lanes} x i1> {f.first_lanes(t, count)}"
            for kind, suffix, value, place, align in (
                (t.vector, t.suffix, best, values, t.itemsize),
                (wide, f"v{t.lanes}i64", where, places, 8),
            ):
                name = f"@llvm.masked.store.{suffix}.p0"
                f.line(f"call void {name}({kind} {value}, ptr {place}, i32 {align}, {lanes})")
            return
        spare = f.at("i8", str(scratch), f.field("piece_place"))  # no masked stores: via memory
        f.store(t.vector, best, spare, t.itemsize)
        f.store(wide, where, f.at("i64", spare, t.lanes), 8)
        with f.loop(0, count) as i:
            f.store(t.scalar, f.load(t.scalar, f.at(t.scalar, spare, i)), f.at(t.scalar, values, i))
            place = f.load("i64", f.at("i64", f.at("i64", spare, t.lanes), i))
            f.store("i64", place, f.at("i64", places, i))


def scatter_module(t: VectorType) -> str:
    """The IR of the scattering sum; a place outside of its plane is kept in `bad` and left out."""
    f = Function(scatter_name(t), PARAMETERS, SCATTER_FIELDS)
    positions, size = f.field("positions"), f.field("size")
    g, places, out = (f.field(n, "ptr") for n in ("g", "places", "out"))
    with f.claim(f.field("counter", "ptr"), f.field("planes")) as plane:
        target = f.at(t.scalar, out, f.mul(plane, size))
        whole = f.sub(size, f.op(f"urem i64 {size}, {t.lanes}"))
        with f.loop(0, whole, t.lanes) as i:
            f.store(t.vector, "zeroinitializer", f.at(t.scalar, target, i), t.itemsize)
        with f.loop(whole, size) as i:
            f.store(t.scalar, "0.0", f.at(t.scalar, target, i))
        values = f.at(t.scalar, g, f.mul(plane, positions))
        listed = f.at("i64", places, f.mul(plane, positions))
        with f.loop(0, positions) as i:
            place = f.load("i64", f.at("i64", listed, i))
            inside = f.compare("ult", place, size)
            with f.when(inside):
                to = f.at(t.scalar, target, place)
                value = f.load(t.scalar, f.at(t.scalar, values, i))
                total = f.op(f"fadd {t.scalar} {f.load(t.scalar, to)}, {value}")
                f.store(t.scalar, total, to)
            with f.when(f.otherwise(inside)):
                f.store("i64", 1, f.at("i64", "%arguments", SCATTER_FIELDS.index("bad")))
    return declarations(t) + f.text()
