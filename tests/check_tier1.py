"""Every record's samples in every dtype as compiled programs, against the NumPy kernels.

    python tests/check_tier1.py [--only NAMES] [--dtypes NAMES]

Minutes; `tests/test_tier1.py` has the part that fits into every test run.  Contiguous, turned and
strided inputs, one thread and two, special values in every lane.  The status is the number of
records that differ.
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from typing import Any

os.environ["RUSHLIGHT_VERIFY"] = "1"

import numpy as np
from test_ops_table import TESTED, samples
from tier1 import check, operand, same_bits, special, undeclared, with_threads

import rushlight as rl
from rushlight import dtypes
from rushlight.compiler import counts, single
from rushlight.dispatch.gate import plan_of
from rushlight.ir import op as records

NAMES = [
    name
    for name in TESTED
    if records.get(name).kernel is not None and records.get(name).kind != "random"
]
DTYPES = [d.name for d in dtypes.ALL.values() if d.numpy is not None]
REFUSALS = (RuntimeError, TypeError, IndexError, NotImplementedError, ValueError)


def layouts(operands: list[Any]) -> Iterator[list[Any]]:
    """The operands as they are, turned, and every other element of larger arrays."""
    yield operands
    yield [x.T.copy().T if isinstance(x, np.ndarray) else x for x in operands]
    yield [
        np.repeat(x, 2, axis=-1)[..., ::2] if isinstance(x, np.ndarray) and x.ndim else x
        for x in operands
    ]


def plan_for(op: Any, operands: list[Any], attrs: Any) -> Any:
    """The plan of a call; None if the operator does not take these dtypes."""
    tensors = tuple([rl.from_numpy(x) if isinstance(x, np.ndarray) else x for x in operands])
    try:
        return plan_of(op, tensors, attrs)
    except REFUSALS:
        return None


def calls(name: str, dtype: str) -> Iterator[tuple[Any, list[Any], Any]]:
    """(plan, operands, attrs) of each sample in a dtype, in each layout."""
    op = records.get(name)
    kind = getattr(rl, dtype).numpy
    for inputs, attrs in samples(name):
        operands = [operand(x, kind) for x in inputs]
        plan = plan_for(op, operands, attrs)
        if plan is None:
            continue
        for laid in layouts(operands):
            yield plan, laid, attrs
    if op.kind == "elementwise" and kind.kind == "f":
        attrs = op.defaults if len(op.defaults) == len(op.attrs) else None
        operands = special(len(op.inputs), kind)
        plan = None if attrs is None or op.variadic else plan_for(op, operands, attrs)
        if plan is not None:
            yield plan, operands, attrs


def check_record(name: str, kinds: list[str]) -> tuple[int, list[str]]:
    """How many calls of a record were compared, and what went wrong."""
    op, done, wrong = records.get(name), 0, []
    for dtype in kinds:
        for plan, operands, attrs in calls(name, dtype):
            where = f"{name} {dtype} {[getattr(x, 'shape', x) for x in operands]} {attrs}"
            try:
                one = with_threads(1, lambda: check(op, plan, operands, attrs))  # noqa: B023
                two = with_threads(2, lambda: single.run(op, plan, operands, attrs)) if one else []  # noqa: B023
                assert all(map(same_bits, one or (), two)), "two threads differ from one"
            except Exception as error:
                frame = traceback.extract_tb(error.__traceback__)[-1]
                text = " ".join(str(error).split())[:300]
                place = f"{os.path.basename(frame.filename)}:{frame.lineno}"
                wrong.append(f"{where}: {type(error).__name__} {text} ({place})")
            done += 1
        single.clear()
    return done, wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", default="", help="records whose names have one of these parts")
    parser.add_argument("--dtypes", default=",".join(DTYPES))
    parser.add_argument("--most", type=int, default=3, help="lines a record")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    counts.clear()
    done = failed = 0
    for name in NAMES:
        if options.only and not any(part in name for part in options.only.split(",")):
            continue
        count, wrong = check_record(name, options.dtypes.split(","))
        done += count
        failed += bool(wrong)
        for line in wrong[: options.most]:
            print(line, flush=True)
    ran = {how: Counter(found).total() for how, found in counts.snapshot().items()}
    print(f"{failed} of {len(NAMES)} records differ in {done} calls; {ran}")
    extra = undeclared()
    if extra:
        print(f"ran whole without a reason in their records: {', '.join(extra)}")
    return min(failed + len(extra), 125)


if __name__ == "__main__":
    sys.exit(main())
