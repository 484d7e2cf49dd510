"""The inner kernel of matrix products: a tile of C held in registers while k runs.

    for p in 0 .. k:                              A panel  [k][rows]    packed, one tile's rows
        for v in vectors of a row:                B panel  [k][width]   packed, one tile's columns
            for r in rows:                        C tile   [rows][width]
                acc[r][v] += A[p][r] * B[p][v]

`rows * vectors` accumulators, `vectors` loads of B and one broadcast of A at a time fit the host's
registers; that many independent sums hide the multiply-add's latency. The sum of a tile starts at
zero and is added to C once, so long sums are summed in blocks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rushlight.compiler.kernels.emit import Function, Value, VectorType

__all__ = ["Tile", "micro_kernels", "tile_for", "tile_sums"]


class Tile(NamedTuple):
    """How much of C one call computes: rows, and columns in vectors."""

    rows: int
    vectors: int


def tile_for(many_registers: bool) -> Tile:
    """The largest tile for hosts with 32 vector registers (AVX-512, NEON), or with 16."""
    return Tile(8, 3) if many_registers else Tile(6, 2)


def micro_kernels(name: str, t: VectorType, tile: Tile) -> str:
    """Functions `name`_1 ... `name`_V for tiles of 1 to V vectors, all with the row strides of V.

    Their parameters: ptr A, ptr B, ptr C, i64 k (at least 1), i1 first; C is overwritten if `first`
    holds and added to otherwise.
    """
    return "".join(_micro_kernel(f"{name}_{v}", t, tile, v) for v in range(1, tile.vectors + 1))


def _micro_kernel(name: str, t: VectorType, tile: Tile, vectors: int) -> str:
    parameters = (("ptr", "a"), ("ptr", "b"), ("ptr", "c"), ("i64", "k"), ("i1", "first"))
    f = Function(name, parameters, internal=True)
    width = tile.vectors * t.lanes
    places = [(r, v) for r in range(tile.rows) for v in range(vectors)]
    zero = "zeroinitializer"
    carried: list[tuple[str, int | str]] = [("i64", 0), ("ptr", "%a"), ("ptr", "%b")]
    loop = f.begin(carried + [(t.vector, zero)] * len(places))
    p, a, b = loop.values[:3]
    sums = dict(zip(places, loop.values[3:], strict=True))
    columns = [f.load(t.vector, f.at(t.scalar, b, v * t.lanes), t.itemsize) for v in range(vectors)]
    for r in range(tile.rows):
        factor = f.splat(t, f.load(t.scalar, f.at(t.scalar, a, r)))
        for v in range(vectors):
            sums[r, v] = f.fma(t, factor, columns[v], sums[r, v])
    after = f.add(p, 1)
    following = [after, f.at(t.scalar, a, tile.rows), f.at(t.scalar, b, width)]
    f.end_if(loop, f.compare("slt", after, "%k"), following + [sums[place] for place in places])
    # The sums as they stand after the last step.
    targets = {(r, v): f.at(t.scalar, "%c", r * width + v * t.lanes) for r, v in places}
    with f.when(f.otherwise("%first")):
        for place in places:
            old = f.load(t.vector, targets[place], t.itemsize)
            total = f.op(f"fadd {t.vector} {old}, {sums[place]}")
            f.store(t.vector, total, targets[place], t.itemsize)
    with f.when("%first"):
        for place in places:
            f.store(t.vector, sums[place], targets[place], t.itemsize)
    return f.text()


def tile_sums(
    f: Function,
    t: VectorType,
    tile: Tile,
    pointers: tuple[str, str],
    bounds: Sequence[tuple[Value, Value]],
    steps: tuple[Sequence[Value], Sequence[Value]],
    row_step: Value,
) -> list[str]:
    """Sums products over three nested loops: a tile's rows of numbers times its vectors of data.

    Args:
        pointers: to the data and to the numbers.
        bounds: of each loop, outermost first: the first position and the one after the last.
        steps: of each pointer, how far a position of each loop is from the next, in elements.
        row_step: how far the number of a row is from that of the next.

    Returns:
        the sums, the vectors of each row together.
    """
    twice = f.mul(row_step, 2)
    places = [(r, v) for r in range(tile.rows) for v in range(tile.vectors)]
    sums: list[str] = ["zeroinitializer"] * len(places)
    loops = []
    data, numbers = pointers
    for (start, stop), data_step, number_step in zip(bounds, *steps, strict=True):
        data = f.at(t.scalar, data, f.mul(start, data_step))
        numbers = f.at(t.scalar, numbers, f.mul(start, number_step))
        carried: list[tuple[str, Value]] = [("i64", start), ("ptr", data), ("ptr", numbers)]
        loop = f.begin(carried + [(t.vector, s) for s in sums])
        f.test(loop, f.compare("slt", loop.values[0], stop))
        data, numbers, sums = loop.values[1], loop.values[2], loop.values[3:]
        loops.append(loop)
    vectors = [
        f.load(t.vector, f.at(t.scalar, data, v * t.lanes), t.itemsize) for v in range(tile.vectors)
    ]
    total = dict(zip(places, sums, strict=True))
    group = numbers
    for r in range(tile.rows):
        if r and r % 3 == 0:
            group = f.at(t.scalar, group, f.add(twice, row_step))
        place = [group, f.at(t.scalar, group, row_step), f.at(t.scalar, group, twice)][r % 3]
        factor = f.splat(t, f.load(t.scalar, place))
        for v in range(tile.vectors):
            total[r, v] = f.fma(t, factor, vectors[v], total[r, v])
    after = [total[place] for place in places]
    for loop, *step in reversed(list(zip(loops, *steps, strict=True))):
        i, *at = loop.values[:3]
        moved = [f.at(t.scalar, p, s) for p, s in zip(at, step, strict=True)]
        f.end(loop, [f.add(i, 1), *moved, *after])
        after = loop.values[3:]
    return after
