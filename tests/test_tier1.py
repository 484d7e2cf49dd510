"""Tier 1, every call as a program of its own: against the NumPy kernels, call by call.

`tests/tier1.py` says how far results may differ; `tests/check_tier1.py` is the nightly check of all
dtypes and layouts.  Here are the samples of every record in float32, special values in every lane,
sizes around the edges of vectors and tiles, threads, and the kernels' IR.
"""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from check_tier1 import NAMES, calls, plan_for
from tier1 import check, fast_flags, notes, operand, same_bits, special, undeclared, with_threads

from rushlight.codegen import engine
from rushlight.compiler import counts, single
from rushlight.ir import op as records

LANES = engine.host().lanes(4)
EDGES = (LANES - 1, LANES, LANES + 1, 8 * LANES - 1, 8 * LANES + 1)
DEAR = (
    "bessel",
    "airy",
    "zeta",
    "gamma",
    "polynomial",
    "dirichlet",
    "erf",
    "ndtr",
    "i0",
    "i1",
    "grid",
)


@pytest.fixture(scope="module", autouse=True)
def modules() -> Iterator[list[str]]:
    """The LLVM IR of every module that these tests compile."""
    texts: list[str] = []
    before = engine.compile_ir

    def noting(ir: str) -> str:
        texts.append(ir)
        return before(ir)

    counts.clear()
    single.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "compile_ir", noting)
        yield texts
    single.clear()


def is_dear(name: str) -> bool:
    """Whether the graph has some hundreds of values and more, seconds to compile."""
    return any(part in name for part in DEAR)


def call(name: str, *operands: Any, attrs: Any = None) -> Any:
    """Runs a call both ways; compares; returns the compiled results."""
    op = records.get(name)
    attrs = op.defaults if attrs is None else attrs
    plan = plan_for(op, list(operands), attrs)
    assert plan is not None, name
    return check(op, plan, list(operands), attrs)


def random(*shape: int, dtype: Any = np.float32) -> Any:
    array = np.random.default_rng(sum(shape)).standard_normal(shape)
    return (array if np.dtype(dtype).kind == "f" else array * 50).astype(dtype)


# The table


@pytest.mark.parametrize("name", NAMES)
def test_samples(name: str) -> None:
    """The first two samples in float32, the second one turned; of large graphs one."""
    op = records.get(name)
    every = itertools.islice(calls(name, "float32"), 0, 1 if is_dear(name) else 5, 4)
    for plan, operands, attrs in every:
        check(op, plan, operands, attrs)


def test_what_ran_how() -> None:
    """After the samples: nothing was run eagerly, and whole only what the records declare."""
    ran = counts.snapshot()
    assert undeclared() == []
    totals = ", ".join(f"{sum(names.values())} {how}" for how, names in ran.items())
    notes.append(f"tier 1, calls over the table: {totals}")


SIMPLE = [n for n in NAMES if records.get(n).kind == "elementwise" and not is_dear(n)]


@pytest.mark.parametrize("name", SIMPLE)
def test_special_values_in_every_lane(name: str) -> None:
    op = records.get(name)
    if op.variadic or len(op.defaults) != len(op.attrs):
        pytest.skip("attributes without defaults")
    operands = special(len(op.inputs), np.float32, LANES)
    plan = plan_for(op, operands, op.defaults)
    if plan is not None:
        check(op, plan, operands, op.defaults)


# Sizes around the edges of vectors and tiles


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "uint8", "float16", "bool"])
def test_elementwise_at_edges(dtype: str) -> None:
    for n in EDGES:
        x, y = random(n, dtype=dtype), random(3, n, dtype=dtype)
        call("add", x, y, attrs=(1,))
        call("maximum", y.T.copy().T, x)
        call("where", y > 0, y * 2, y)
    if dtype.startswith("float"):
        for name in ("exp", "tanh", "sigmoid"):
            call(name, y)
            call(name, y.T)


@pytest.mark.parametrize("name", ["sum", "mean", "amax", "argmax", "any", "prod"])
def test_reductions_at_edges(name: str) -> None:
    op = records.get(name)
    rest = op.defaults[1:]
    for n in EDGES:
        for x, dim in ((random(3, n), 1), (random(n, 3), 0), (random(2, n, 3), 1)):
            dims = dim if name in ("argmax", "prod") else (dim,)
            call(name, x, attrs=(dims, *rest))


@pytest.mark.parametrize("n", [LANES - 1, LANES, LANES + 1, 4 * LANES + 1])
def test_products_at_edges(n: int) -> None:
    for m, k in ((1, n), (7, 8), (8, n), (9, 3), (n, 1), (n, 33)):
        a, b = random(m, k), random(k, n)
        call("mm", a, b)
        call("mm", a.T.copy().T, b.T.copy().T)
    call("mv", random(n, n), random(n))
    call("softmax", random(3, n), attrs=(1, None))


# Threads

LARGE = {
    "add": lambda: ((random(400_003), random(400_003)), (1,)),
    "exp": lambda: ((random(500, 701),), ()),
    "sum": lambda: ((random(1100, 1001),), None),
    "sum rows": lambda: ((random(1100, 1001),), ((1,), False, None)),
    "sum columns": lambda: ((random(1100, 1001),), ((0,), False, None)),
    "softmax": lambda: ((random(700, 777),), (1, None)),
    "mm": lambda: ((random(257, 300), random(300, 259)), ()),
    "conv": lambda: ((random(4, 8, 33, 31), random(16, 8, 3, 3), None), ((1, 1),) * 3 + (1,)),
}


@pytest.mark.parametrize("case", LARGE)
def test_threads_do_not_change_results(case: str) -> None:
    operands, attrs = LARGE[case]()
    name = case.split()[0]
    found = [with_threads(t, lambda: call(name, *operands, attrs=attrs)) for t in (1, 2, 3)]
    for other in found[1:]:
        assert all(map(same_bits, found[0], other))


# What generated code says


def test_no_fast_math(modules: list[str]) -> None:
    """No instruction may be reassociated, contracted, or be wrong for NaN, infinities and -0."""
    call("add", random(5), random(5), attrs=(1,))
    assert fast_flags("  %x = fadd fast float %a, %b ; fast") and not fast_flags("; fast")
    for ir in modules:
        assert fast_flags(ir) == []


def test_graphs_and_plans_are_verified() -> None:
    from rushlight.compiler import simplify

    assert simplify.MUST_CHECK  # conftest.py


PROGRAM = """
import rushlight as rl
from rushlight.compiler import counts
rl.manual_seed(0)
model = rl.nn.Sequential(
    rl.nn.Conv2d(1, 4, 3), rl.nn.BatchNorm2d(4), rl.nn.ReLU(), rl.nn.MaxPool2d(2),
    rl.nn.Flatten(), rl.nn.Dropout(0.1), rl.nn.Linear(36, 10),
)
optimizer = rl.optim.Adam(model.parameters(), lr=0.01)
x, y = rl.randn(5, 1, 8, 8), rl.arange(5)
for _ in range(3):
    optimizer.zero_grad()
    loss = rl.nn.functional.cross_entropy(model(x), y)
    loss.backward()
    optimizer.step()
try:
    rl.ones(3)[rl.tensor([7])]
except IndexError as error:
    print(error)
empty = rl.nn.functional.silu(rl.empty(0, dtype=rl.complex64))
print(f"{loss.item():.5f}", rl.compiler.statistics().launched, tuple(empty.shape))
print(sorted(counts.snapshot()["eager"]), len(counts.snapshot()["compiled"]) > 10)
"""


def test_programs_run_in_tier_1() -> None:
    """A training loop with every call compiled by itself does what eager code does."""
    outputs = []
    for tier in "01":
        environment = {**os.environ, "RUSHLIGHT_TIER": tier}
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM], capture_output=True, text=True, env=environment
        )
        assert done.returncode == 0, done.stderr
        outputs.append(done.stdout.splitlines())
    assert outputs[0][:2] == outputs[1][:2]
    assert outputs[1][2] == "[] True"


def test_calls_are_counted() -> None:
    counts.clear()
    x = operand(np.ones(3), np.float32)
    for number in (2.0, 3.0):
        (result,) = call("add", x, number, attrs=(1,))
        np.testing.assert_array_equal(result, x + np.float32(number))
    assert counts.snapshot() == {"compiled": {"add": 2}, "opaque": {}, "eager": {}}
