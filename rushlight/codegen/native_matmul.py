"""Matrix products by compiled kernels: which kernel, cut how, with which arguments.

In: the sizes and strides of C = A B. Out: prepared launches (`bind`), made once for each
combination. The kernels are `compiler/kernels/product.py` and its kin. Everything on which an
element's order of summation depends (the kernel, the blocks of k) is decided by shapes and strides,
nothing by threads.
"""

from __future__ import annotations

import operator
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from rushlight.codegen import engine, native
from rushlight.codegen.bound import SCRATCH, Bound
from rushlight.compiler.kernels import product, product_dot, product_rows, product_sum
from rushlight.compiler.kernels.emit import VectorType
from rushlight.compiler.kernels.gemm import Tile, tile_for
from rushlight.compiler.kernels.product import FIELDS
from rushlight.compiler.kernels.product_sum import SUM_FIELDS

__all__ = ["bind"]

Ints = tuple[int, ...]
Steps = tuple[Ints, int, int]  # batch strides, row stride, column stride
A, B, C, BIAS = range(4)  # operands
_LINE = 64
_BATCH_AXES = 4  # which a kernel walks; further ones are launches of their own

# Sizes found by measurement (benchmarks/products.py).
_SHARED_WORK = 1_500_000  # multiply-adds from which a second thread is worth waking
_KC_BYTES = 1024  # of one column of B that is multiplied at once
_STREAM_KC = 16  # rows of B that are multiplied at once where B is read once, from memory
_PACKED_BYTES = 384 << 10  # of a block of B
_CACHE_BYTES = 512 << 10  # what stays in the second cache
_ROWS = 1024  # rows of a block of C
_DIRECT_ROWS = 24  # rows from which packing B pays
_DOT_ROWS = 8  # rows up to which B is read as it lies along k
_DOT_KC_BYTES = 8192
_STREAM_ROWS = 2  # rows up to which a large B is read in long runs of columns
_STREAM_BYTES = 96 << 10  # of such a run
_STREAM_DEPTHS = (1, 2, 4, 8)  # k for which C can be written past the cache,
_STREAMED_BYTES = 16 << 20  # if it has this size
_SPLIT_LENGTH = 2048  # least length of a part of k
_FEW_BLOCKS = 8  # of C, for which k is split


class Problem(NamedTuple):
    """A product whose C has adjacent columns; strides in elements."""

    batch: Ints
    m: int
    n: int
    k: int
    a: Steps
    b: Steps
    c: Steps
    operands: tuple[int, int]  # which operands stand for A and B
    bias: tuple[int, int] | None  # its strides along rows and columns


def _many_registers() -> bool:
    host = engine.host()
    return host.vector_bytes == 64 or "aarch64" in host.triple or "arm64" in host.triple


@lru_cache(maxsize=16)
def _function(t: VectorType, tile: Tile, kernel: str) -> int:
    """The address of a kernel of products."""
    if kernel == "dot":
        rows = 4 if _many_registers() else 2
        name, text = product_dot.dot_name(t, rows), product_dot.dot_module(t, rows)
    elif kernel == "rows":
        name, text = product_rows.rows_name(t), product_rows.rows_module(t)
    else:
        name, text = product.name_of(t, tile), product.module(t, tile)
    engine.compile_ir(text)
    return engine.address(name)


@lru_cache(maxsize=4)
def _sum_function(t: VectorType) -> int:
    engine.compile_ir(product_sum.sum_module(t))
    return engine.address(product_sum.sum_name(t))


# The problem's normal form


def _merged(batch: Ints, steps: tuple[Ints, ...]) -> tuple[Ints, list[Ints]]:
    """Batch dimensions without those of size 1, neighbours joined where all operands allow it."""
    axes: list[tuple[int, Ints]] = []
    for size, *stride in zip(batch, *steps, strict=True):
        if size == 1:
            continue
        if axes:
            before, outer = axes[-1]
            if all(o == s * size for o, s in zip(outer, stride, strict=True)):
                axes[-1] = (before * size, tuple(stride))
                continue
        axes.append((size, tuple(stride)))
    return tuple([size for size, _ in axes]), [
        tuple([stride[x] for _, stride in axes]) for x in range(len(steps))
    ]


def _turned(p: Problem) -> Problem:
    """The same product transposed: C^T = B^T A^T."""

    def flip(x: Steps) -> Steps:
        return x[0], x[2], x[1]

    return Problem(
        p.batch,
        p.n,
        p.m,
        p.k,
        flip(p.b),
        flip(p.a),
        flip(p.c),
        p.operands[::-1],
        p.bias and p.bias[::-1],
    )


def _normal(p: Problem) -> tuple[Problem, bool]:
    """The problem so turned that C's columns are adjacent, and whether they are."""
    row, column = p.c[1:]
    by_columns = column == 1 or p.n == 1
    by_rows = row == 1 or p.m == 1
    if by_rows and (not by_columns or (p.n == 1 and p.m > 1)):
        return _turned(p), True
    return p, by_columns


# Blocks


class _Blocks(NamedTuple):
    """How a product is cut."""

    rows: int
    columns: int
    kc: int
    split: int  # k of one part
    pack_a: int = 0
    pack_b: int = 0
    kernel: str = ""  # of few rows: "dot" or "rows"
    stream: int = 0  # whether C is written past the cache


def _round_up(x: int, multiple: int) -> int:
    return -(-x // multiple) * multiple


def _b_kind(p: Problem) -> int:
    """How B would be packed."""
    if p.b[2] == 1 or p.n == 1:
        return 1
    return 2 if p.b[1] == 1 or p.k == 1 else 3


def _split(p: Problem, blocks: int) -> int:
    """The length of the parts of k: there are several where C has few blocks for threads to share.

    Bits depend on it, so it depends on sizes alone.
    """
    if blocks >= _FEW_BLOCKS or p.k < 4 * _SPLIT_LENGTH:
        return p.k
    return _round_up(-(-p.k // min(p.k // _SPLIT_LENGTH, 16)), 64)


def _blocks(p: Problem, t: VectorType, tile: Tile, batches: int, threads: int) -> _Blocks:
    item, width = t.itemsize, tile.vectors * t.lanes
    if p.m <= _DOT_ROWS and (p.a[2] == 1 or p.k == 1) and (p.b[1] == 1 or p.k == 1):
        if p.b[2] != 1:
            return _dot_blocks(p, t, batches, threads)
    pack_b = _b_kind(p)
    b_bytes = p.k * p.n * item
    if p.b[2] == 1 and p.m <= _STREAM_ROWS and b_bytes > _CACHE_BYTES:
        return _stream_blocks(p, t, batches, threads)
    if p.b[2] == 1 and p.k in _STREAM_DEPTHS and p.m * p.n * item >= _STREAMED_BYTES:
        rows = max(min(-(-p.m // (8 * threads)), 64), 1)
        return _Blocks(rows, p.n, p.k, p.k, kernel="rows", stream=1)
    if pack_b == 1 and (p.m < _DIRECT_ROWS or b_bytes <= 32 << 10):
        narrow = t.lanes * item < 32 and p.n % t.lanes
        pack_b = 1 if narrow else 0
    kc = _KC_BYTES // item
    if not pack_b:
        kc = _STREAM_KC if b_bytes > _CACHE_BYTES else 2 * kc
    pack_a = int(p.a[1] == 1 and p.a[2] * item >= 1024 and p.n > 2 * width and p.k > 64)
    split = _split(p, batches * -(-p.m // 256) * -(-p.n // width))
    rows, columns = min(p.m, _ROWS), p.n
    if pack_b:
        columns = max(_PACKED_BYTES // (kc * item) // width, 1) * width
    elif b_bytes > _CACHE_BYTES:
        columns = 4096
    if p.k <= 16:
        rows = 4 * tile.rows
    columns = min(columns, p.n)
    # enough units for threads that are disturbed
    want = 4 * threads if threads > 1 else 1
    while batches * -(-p.m // rows) * -(-p.n // columns) * -(-p.k // split) < want:
        if columns >= 2 * width and columns >= rows:
            columns = _round_up(-(-columns // 2), width)
        elif rows >= (256 if pack_b else 4 * tile.rows):
            rows = _round_up(-(-rows // 2), tile.rows)
        else:
            break
    return _Blocks(rows, columns, min(kc, split), split, pack_a, pack_b)


def _dot_blocks(p: Problem, t: VectorType, batches: int, threads: int) -> _Blocks:
    """Blocks for few rows and k adjacent in both operands."""
    split = _split(p, batches * -(-p.n // 8))
    units = batches * -(-p.k // split)
    columns = p.n
    if threads > 1:
        pieces = min(-(-8 * threads // units), -(-p.n // 8))
        columns = _round_up(-(-p.n // pieces), product_dot.COLUMNS)
    kc = split if p.m <= 4 else _DOT_KC_BYTES // t.itemsize
    return _Blocks(p.m, columns, min(kc, split), split, kernel="dot")


def _stream_blocks(p: Problem, t: VectorType, batches: int, threads: int) -> _Blocks:
    """Blocks for few rows and a large B with adjacent columns."""
    split = _split(p, batches * -(-p.n * t.itemsize // 4096))
    pieces = max(-(-p.n * t.itemsize // _STREAM_BYTES), 1)
    if threads > 1:
        units = batches * -(-p.k // split)
        pieces = max(pieces, min(-(-4 * threads // units), -(-p.n * t.itemsize // 4096)))
    columns = _round_up(-(-p.n // pieces), t.lanes)
    return _Blocks(p.m, columns, split, split, kernel="rows")


# Launches


def _values(names: tuple[str, ...], given: dict[str, int]) -> Any:
    return np.array([given.get(name, 0) for name in names], np.int64)


def _batch_fields(p: Problem, item: int, **steps: Ints) -> dict[str, int]:
    """Sizes of the last three of four batch dimensions, and strides of all."""
    missing = _BATCH_AXES - len(p.batch)
    sizes = (1,) * missing + p.batch
    values = {f"size{d}": sizes[d] for d in range(1, _BATCH_AXES)}
    for name, strides in steps.items():
        for d, stride in enumerate((0,) * missing + strides):
            values[f"{name}{d}"] = stride * item
    return values


def _places(fields: tuple[str, ...], **names: tuple[int, int]) -> tuple[tuple[int, int, int], ...]:
    return tuple([(fields.index(n), operand, offset) for n, (operand, offset) in names.items()])


def _product(
    p: Problem, t: VectorType, tile: Tile, blocks: _Blocks, target: int, offsets: Ints, how: Any
) -> Bound:
    """The launch of the product itself; C may be the scratch memory."""
    parts, finish, first_byte = how
    item, width = t.itemsize, tile.vectors * t.lanes
    batches = int(np.prod(p.batch, dtype=np.int64))
    row_blocks, column_blocks = -(-p.m // blocks.rows), -(-p.n // blocks.columns)
    splits = -(-p.k // blocks.split)
    a_bytes = _round_up(blocks.rows, tile.rows) * blocks.kc * item if blocks.pack_a else 0
    b_place = _round_up(a_bytes, _LINE)
    b_bytes = (_round_up(blocks.columns, width) * blocks.kc + width) * item if blocks.pack_b else 0
    edge_place = b_place + _round_up(b_bytes, _LINE)
    edge = 0 if product.masked(t) else _round_up(blocks.rows * width * item, _LINE)
    part_bytes = edge_place + edge
    units = batches * row_blocks * column_blocks * splits
    values = dict(
        units=units, row_blocks=row_blocks, column_blocks=column_blocks, splits=splits,
        m=p.m, n=p.n, k=p.k, row_block=blocks.rows, column_block=blocks.columns,
        split=blocks.split, kc=blocks.kc,
        a_row=p.a[1] * item, a_k=p.a[2] * item, b_k=p.b[1] * item, b_column=p.b[2] * item,
        c_row=p.c[1] * item, c_split=batches * p.m * p.n * item,
        pack_a=blocks.pack_a, pack_b=blocks.pack_b, b_place=b_place, edge_place=edge_place,
        part_bytes=part_bytes, finish=finish, stream=blocks.stream,
        **_batch_fields(p, item, a_batch=p.a[0], b_batch=p.b[0], c_batch=p.c[0]),
    )  # fmt: skip
    names = {
        "a": (p.operands[0], offsets[0] * item),
        "b": (p.operands[1], offsets[1] * item),
        "c": (target, 0 if target == SCRATCH else offsets[2] * item),
    }
    if finish & 1 and p.bias:
        values.update(bias_row=p.bias[0] * item, bias_column=p.bias[1] * item)
        names["bias"] = (BIAS, 0)
    parts = min(parts, units)
    if part_bytes:
        names["scratch"] = (SCRATCH, first_byte)
    block = _values((*FIELDS, "handed_out"), values)
    return Bound(
        _function(t, tile, blocks.kernel),
        block,
        _places(FIELDS, **names),
        own=((FIELDS.index("counter"), len(FIELDS)),),
        zeros=(len(FIELDS),),
        parts=parts,
        scratch=first_byte + parts * part_bytes,
    )


def _sum(p: Problem, t: VectorType, splits: int, offset: int, parts: int, finish: int) -> Bound:
    """The launch that sums up partial products in the scratch memory."""
    item = t.itemsize
    rows = p.m * int(np.prod(p.batch, dtype=np.int64))
    values = dict(
        rows=rows, m=p.m, n=p.n, splits=splits, part_stride=rows * p.n * item,
        c_row=p.c[1] * item, c_column=p.c[2] * item, finish=finish,
        **_batch_fields(p, item, batch=p.c[0]),
    )  # fmt: skip
    names = {"partial": (SCRATCH, 0), "c": (C, offset * item)}
    if finish & 1 and p.bias:
        values.update(bias_row=p.bias[0] * item, bias_column=p.bias[1] * item)
        names["bias"] = (BIAS, 0)
    return Bound(
        _sum_function(t),
        _values(SUM_FIELDS, values),
        _places(SUM_FIELDS, **names),
        parts=min(parts, rows) if rows * p.n * splits > 1 << 16 else 1,
        scratch=splits * rows * p.n * item,
    )


def _launches(
    p: Problem, adjacent: bool, t: VectorType, tile: Tile, offsets: Ints, threads: int, finish: int
) -> list[Bound]:
    """All launches for at most four batch dimensions."""
    batches = int(np.prod(p.batch, dtype=np.int64))
    work = batches * p.m * p.n * p.k
    parts = threads if work >= _SHARED_WORK else 1
    if p.k == 0:
        return [_sum(p, t, 0, offsets[2], 1, finish)]
    blocks = _blocks(p, t, tile, batches, parts)
    splits = -(-p.k // blocks.split)
    if adjacent and splits == 1:
        return [_product(p, t, tile, blocks, C, offsets, (parts, finish, 0))]
    steps: list[int] = []
    size = p.m * p.n
    for extent in reversed(p.batch):
        steps.insert(0, size)
        size *= extent
    inner = p._replace(c=(tuple(steps), p.n, 1))
    first = _round_up(splits * size * t.itemsize, _LINE)
    return [
        _product(inner, t, tile, blocks, SCRATCH, offsets, (parts, 0, first)),
        _sum(p, t, splits, offsets[2], parts, finish),
    ]


def bind(
    dtype: Any,
    batch: Ints,
    m: int,
    n: int,
    k: int,
    a: Steps,
    b: Steps,
    c: Steps,
    threads: int,
    bias: int | None = None,
    relu: bool = False,
    lanes: int = 0,
) -> list[Bound]:
    """Prepares C = A B, or relu(A B + bias); operands are 0 = A, 1 = B, 2 = C, 3 = the bias.

    Args:
        dtype: float32 or float64.
        batch: sizes of the batch dimensions.
        a: strides of the batch dimensions (0 where broadcast), of rows, of columns, in elements;
            any strides serve. Likewise `b` and `c`.
        threads: the most parts into which launches may be cut.
        bias: the stride of a bias along n, in elements; None without.
        relu: whether results below 0 become 0.
        lanes: elements of a vector; by default as many as the host's vectors hold.

    Returns:
        launches to be run one after the other; none if C has no elements.
    """
    item = np.dtype(dtype).itemsize
    t = VectorType(item, lanes) if lanes else native.vector_type(item)
    tile = tile_for(_many_registers())
    sizes, steps = _merged(batch, (a[0], b[0], c[0]))
    if 0 in (m, n, *sizes):
        return []
    if bias is not None and bias != 1 and n > 1:
        raise ValueError(f"the bias must be contiguous, its stride is {bias}")
    along = None if bias is None else (0, 1)
    finish = (bias is not None) + 2 * relu
    outer = max(len(sizes) - _BATCH_AXES, 0)
    found = []
    for index in np.ndindex(sizes[:outer]):
        offsets = tuple([sum(map(operator.mul, index, x)) for x in steps])
        x, y, z = [(s[outer:], *o[1:]) for s, o in zip(steps, (a, b, c), strict=True)]
        problem, adjacent = _normal(Problem(sizes[outer:], m, n, k, x, y, z, (A, B), along))
        if problem.operands == (B, A):
            offsets = (offsets[1], offsets[0], offsets[2])
        found.extend(_launches(problem, adjacent, t, tile, offsets, threads, finish))
    return found
