"""Every record's samples as compiled programs of one call, against the NumPy kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from test_ops_table import TESTED, samples, tensor

from rushlight.compiler import counts, single
from rushlight.dispatch.gate import plan_of
from rushlight.ir import op as records
from rushlight.runtime import cpu

NAMES = [
    name
    for name in TESTED
    if records.get(name).kernel is not None and records.get(name).kind != "random"
]


def reference(op: Any, plan: Any, operands: list[Any], attrs: Any) -> list[Any]:
    placed = []
    for result, meta in zip(cpu.run(op, plan, operands, attrs), plan.outs, strict=True):
        out = np.empty(meta.shape, meta.dtype.numpy)
        cpu.cast_into(out, result)
        placed.append(out)
    return placed


def compare(op: Any, plan: Any, operands: list[Any], attrs: Any) -> None:
    wanted = reference(op, plan, operands, attrs)
    found = single.run(op, plan, operands, attrs)
    for a, b, m in zip(found, wanted, plan.outs, strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        if m.dtype.kind in "fc":
            size = m.dtype.itemsize // (2 if m.dtype.kind == "c" else 1)
            close = {2: 1e-2, 4: 2e-5, 8: 1e-12}[size]
            a, b = a.astype(np.complex128), b.astype(np.complex128)
            scale = np.abs(b[np.isfinite(b)]).max(initial=1.0)
            np.testing.assert_allclose(a, b, rtol=close, atol=close * scale)
        else:
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", NAMES)
def test_samples(name: str) -> None:
    op = records.get(name)
    for inputs, attrs in samples(name):
        plan = plan_of(op, tuple(tensor(x) for x in inputs), attrs)
        operands = [np.asarray(x) if isinstance(x, np.generic) else x for x in inputs]
        compare(op, plan, operands, attrs)
        turned = [x.T.copy().T if isinstance(x, np.ndarray) else x for x in operands]
        compare(op, plan, turned, attrs)
        if op.kind == "elementwise":  # run-time numbers, without compiling again
            compare(op, plan, operands, attrs)


def test_calls_are_counted() -> None:
    counts.clear()
    op = records.get("add")
    x = np.ones(3, np.float32)
    plan = plan_of(op, (tensor(x), 2.0), (1,))
    for number in (2.0, 3.0):
        (result,) = single.run(op, plan, [x, number], (1,))
        np.testing.assert_array_equal(result, x + number)
    assert counts.snapshot()["compiled"] == {"add": 2}
    assert counts.snapshot()["eager"] == {}
