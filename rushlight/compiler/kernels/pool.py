"""Maximum pooling with indices over one or two dimensions, and the adjoint that scatters.

    for unit (an image, some channels), handed to whichever thread asks next:
        copy the input into the scratch, minus infinity around it
        for channel, row i: for j, one vector of columns at a time:
            best = minus infinity, place = the window's first tap that lies inside
            for tap: where the value is greater, or NaN: best = value, place = the tap's

So the first of equals wins and the last NaN wins over all. Windows that see no element at all are
not for this kernel. Places count within the unpadded plane, row-major.

Windows of two by two side by side are so common that they have a kernel of their own, which reads
the input where it lies:

    pairs: for some planes, handed out likewise: for one vector of columns: for row:
        the greatest of the even and odd elements of two rows, likewise

    scatter: for plane, handed out likewise: clear it; for value in order: plane[place] += value
"""

from __future__ import annotations

from rushlight.compiler.kernels.emit import Function, Value, VectorType, declarations
from rushlight.compiler.kernels.windows import FIELDS, PARAMETERS, pad_function

__all__ = [
    *("PAIR_FIELDS", "SCATTER_FIELDS"),
    *("max_module", "max_name", "pairs_module", "pairs_name", "scatter_module", "scatter_name"),
]

Pair = tuple[str, str]

_LOWEST = "0xFFF0000000000000"
PAIR_FIELDS = (
    *("x", "out", "indices", "counter", "images", "channels", "x_n", "x_c", "x_y"),
    *("rows", "columns", "width", "unit", "units"),
)
SCATTER_FIELDS = ("g", "places", "out", "counter", "planes", "positions", "size", "bad")


def max_name(t: VectorType) -> str:
    """The name of the pooling function."""
    return f"rl_max_pool_{t.tag}"


def pairs_name(t: VectorType) -> str:
    """The name of the pooling function for windows of two by two."""
    return f"rl_max_pairs_{t.tag}"


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
    return "".join(
        [
            declarations(t),
            _declare_store(t),
            pad_function(f"{name}_pad", t, _LOWEST),
            _max_function(name, t),
        ]
    )


def _declare_store(t: VectorType) -> str:
    wide = f"<{t.lanes} x i64>"
    return f"declare void @llvm.masked.store.v{t.lanes}i64.p0({wide}, ptr, i32, <{t.lanes} x i1>)\n"


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
    f.end(loop, [f.add(tap, 1), *_better(f, t, (best, where), (value, index))])
    return best, f.op(f"sext {kind} {where} to <{t.lanes} x i64>")


def _better(f: Function, t: VectorType, one: Pair, two: Pair) -> Pair:
    """Of two vectors with places the greater ones, the first of equals, the last NaN."""
    above = f.op(f"fcmp ogt {t.vector} {two[0]}, {one[0]}")
    nan = f.op(f"fcmp uno {t.vector} {two[0]}, {two[0]}")
    mask = f"<{t.lanes} x i1> {f.op(f'or <{t.lanes} x i1> {above}, {nan}')}"
    kind = f"<{t.lanes} x i32>"
    best = f.op(f"select {mask}, {t.vector} {two[0]}, {t.vector} {one[0]}")
    return best, f.op(f"select {mask}, {kind} {two[1]}, {kind} {one[1]}")


def pairs_module(t: VectorType) -> str:
    """The IR of maximum pooling by windows of two by two, for hosts with masked loads."""
    f = Function(pairs_name(t), PARAMETERS, PAIR_FIELDS)
    channels, rows, columns = f.field("channels"), f.field("rows"), f.field("columns")
    x_y, width, size = f.field("x_y"), f.field("width"), f.field("unit")
    planes = f.mul(f.field("images"), channels)
    steps = "<" + ", ".join(f"i32 {2 * i}" for i in range(t.lanes)) + ">"
    with f.claim(f.field("counter", "ptr"), f.field("units")) as unit:
        first = f.mul(unit, size)
        with f.loop(first, f.least(planes, f.add(first, size))) as plane:
            n, c = f.divide(plane, channels)
            place = f.add(f.mul(n, f.field("x_n")), f.mul(c, f.field("x_c")))
            x = f.at(t.scalar, f.field("x", "ptr"), place)
            with f.loop(0, columns, t.lanes) as j:
                count, column = f.sub(columns, j), f.mul(j, 2)
                left = f.mul(count, 2)
                masks = [f.first_lanes(t, n) for n in (left, f.sub(left, t.lanes))]
                with f.loop(0, rows) as i:
                    row = f.mul(i, 2)
                    top = f.at(t.scalar, x, f.mul(row, x_y), column)
                    lines = [top, f.at(t.scalar, top, x_y)]
                    corner = f.add(f.mul(row, width), column)
                    found = _four(f, t, lines, masks, (corner, width, steps))
                    best = found[0]
                    for other in found[1:]:
                        best = _better(f, t, best, other)
                    where = f.op(f"sext <{t.lanes} x i32> {best[1]} to <{t.lanes} x i64>")
                    done = f.add(f.mul(f.add(f.mul(plane, rows), i), columns), j)
                    _write(f, t, (done, count, best[0], where, ""))
    return declarations(t) + _declare_store(t) + f.text()


def _four(
    f: Function, t: VectorType, lines: list[str], masks: list[str], where: tuple[Value, ...]
) -> list[Pair]:
    """The four elements of one vector of windows, with their places."""
    corner, width, steps = where
    kind = f"<{t.lanes} x i32>"
    found = []
    for r, line in enumerate(lines):
        halves = [
            f.op(
                f"call {t.vector} @llvm.masked.load.{t.suffix}.p0("
                f"ptr {f.at(t.scalar, line, h * t.lanes)}, i32 {t.itemsize}, "
                f"<{t.lanes} x i1> {mask}, {t.vector} zeroinitializer)"
            )
            for h, mask in enumerate(masks)
        ]
        for s in (0, 1):
            start = f.add(corner, f.mul(width, r), s)
            place = f.op(f"add {kind} {_narrow(f, t, start)}, {steps}")
            found.append((f.every_second(t, halves[0], halves[1], s), place))
    return found


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
