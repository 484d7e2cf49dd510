"""C = the sum of partial products, plus a bias, cut at 0: any layout of C, any number of parts.

Serves products whose k was split, results whose elements are adjacent neither along rows nor along
columns, and sums of nothing (k = 0):

    for row of C, shared by threads:  for column:
        C[row, column] = relu(bias + sum over s of partial[s, row, column])

Partial products lie as [split][batch][row][column]. Strides are bytes.
"""

from __future__ import annotations

from rushlight.compiler.kernels.emit import Function, Value, VectorType
from rushlight.compiler.kernels.product import PARAMETERS

__all__ = ["SUM_FIELDS", "sum_module", "sum_name"]

SUM_FIELDS = (
    *("partial", "c", "bias", "rows", "m", "n", "splits", "part_stride"),
    *("c_row", "c_column", "bias_row", "bias_column", "finish"),
    *("size1", "size2", "size3", "batch0", "batch1", "batch2", "batch3"),
)


def sum_name(t: VectorType) -> str:
    """The name of the kernel."""
    return f"rl_product_sum_f{8 * t.itemsize}"


def sum_module(t: VectorType) -> str:
    """The IR of the kernel."""
    f = Function(sum_name(t), PARAMETERS, SUM_FIELDS)
    rows, m, n, splits, part_stride = map(f.field, ("rows", "m", "n", "splits", "part_stride"))
    c_column, bias_column, finish = map(f.field, ("c_column", "bias_column", "finish"))
    biased = f.compare("ne", f.op(f"and i64 {finish}, 1"), 0)
    cut = f.compare("ne", f.op(f"and i64 {finish}, 2"), 0)
    # Without a bias its row is read all the same, from the block itself, and not used.
    bias = f.select(biased, "ptr", f.field("bias", "ptr"), "%arguments")
    first, _ = f.divide(f.mul(rows, "%part"), "%parts")
    stop, _ = f.divide(f.mul(rows, f.add("%part", 1)), "%parts")
    with f.loop(first, stop) as row:
        batch, i = f.divide(row, m)
        source = f.at(t.scalar, f.field("partial", "ptr"), f.mul(row, n))
        target = f.at("i8", _batch_place(f, batch), f.mul(i, f.field("c_row")))
        bias_at = f.at("i8", bias, f.mul(i, f.field("bias_row")))
        with f.loop(0, n) as j:
            place = f.at(t.scalar, source, j)
            loop = f.begin([("i64", 0), (t.scalar, "0.0")])
            s, total = loop.values
            f.test(loop, f.compare("slt", s, splits))
            value = f.load(t.scalar, f.at("i8", place, f.mul(s, part_stride)))
            is_first = f.compare("eq", s, 0)  # keeps the sign of a zero
            more = f.op(f"fadd {t.scalar} {total}, {value}")
            f.end(loop, [f.add(s, 1), f.select(is_first, t.scalar, value, more)])
            addend = f.load(t.scalar, f.at("i8", bias_at, f.mul(j, bias_column)))
            shifted = f.op(f"fadd {t.scalar} {total}, {addend}")
            value = f.select(biased, t.scalar, shifted, total)
            low = f.op(f"and i1 {cut}, {f.op(f'fcmp ole {t.scalar} {value}, 0.0')}")
            final = f.select(low, t.scalar, "0.0", value)
            f.store(t.scalar, final, f.at("i8", target, f.mul(j, c_column)))
    return f.text()


def _batch_place(f: Function, batch: Value) -> str:
    """Where a batch of C starts."""
    steps = []
    for d in (3, 2, 1):
        batch, here = f.divide(batch, f.field(f"size{d}"))
        steps.append(f.mul(here, f.field(f"batch{d}")))
    return f.at("i8", f.field("c", "ptr"), *steps, f.mul(batch, f.field("batch0")))
