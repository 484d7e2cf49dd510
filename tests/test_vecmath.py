"""The vector math functions: samples of all floats, special values, lanes, edges, pow.

``tests/check_vecmath.py`` measures every function over all floats; here every 9973rd, and the
neighbourhoods of the places where a function changes its way. At most 2 ulp everywhere.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import pytest
from check_vecmath import LIMIT, REFERENCES, chunks, errors, reference, worst

from rushlight.codegen import engine, native, native_pointwise, vecmath
from rushlight.codegen.vecmath_lanes import Vec
from rushlight.compiler.kernels import pointwise
from rushlight.compiler.kernels.emit import Function, VectorType, declarations

NAMES = sorted(REFERENCES)
INF, NAN = np.inf, np.nan
SPECIAL = np.array(
    [0.0, -0.0, INF, -INF, NAN, 1, -1, 0.5, -0.5, 2, -2, 1e-45, -1e-45, 1.1754942e-38, 1e-38]
    + [1.1754944e-38, -1.1754944e-38, 3.4028235e38, -3.4028235e38, 88.72284, 88.72283, -87.33655]
    + [-103.97207, -103.97208, 128, 127.99999, -149, -150, -126, 1e10, -1e10, 9.01, -9.01, 1e30],
    np.float32,
)


def test_names_agree() -> None:
    assert set(vecmath.FUNCTIONS) == set(NAMES)
    assert set(NAMES) <= set(pointwise.EXPRESSIONS)


@pytest.mark.parametrize("name", NAMES)
def test_samples_of_all_floats(name: str) -> None:
    largest, place = worst(name, chunks(9973))
    assert largest <= LIMIT, place


@pytest.mark.parametrize("name", NAMES)
def test_neighbourhoods_of_edges(name: str) -> None:
    centres = [0.625, 0.92, 4, 10, 2.0**-25, 2.0**25, 2.0**30, 2.0**24, 1, 0.5**0.5, 2**0.5, 0.5]
    centres += [0.3465736, 1.0397208, 88.72284, 87.33655, 103.97208, 89, 104, 127.5, 128, 149, 151]
    centres += [3.1415927, 1.5707964, 0.7853982, 4.712389, 355, 16367173.0, 20, 9.01, 3.9192059]
    bits = np.array(centres, np.float32).view(np.int32)
    x = (bits[:, None] + np.arange(-2000, 2001)).astype(np.int32).ravel().view(np.float32)
    assert worst(name, iter([x]))[0] <= LIMIT
    assert worst(name, iter([-x]))[0] <= LIMIT


@pytest.mark.parametrize("name", NAMES)
def test_special_values_in_every_lane(name: str) -> None:
    lanes = native.vector_type(4).lanes
    want = reference(name, SPECIAL)
    for shift in range(lanes):
        x = np.full(8 * lanes, 0.7, np.float32)
        x[shift : shift + SPECIAL.size] = SPECIAL
        got = native_pointwise.evaluate(name, x)
        found = errors(got[shift : shift + SPECIAL.size], want)
        assert found.max() <= LIMIT, SPECIAL[int(np.argmax(found))]
        others = np.delete(got, np.arange(shift, shift + SPECIAL.size))
        assert (others == others[0]).all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("lanes", [1, 2, 4, 8])
def test_any_number_of_lanes_gives_the_same_bits(name: str, lanes: int) -> None:
    x = np.concatenate([SPECIAL, np.linspace(-30, 30, 503, dtype=np.float32)])
    want = native_pointwise.evaluate(name, x)
    got = native_pointwise.evaluate(name, x, lanes=lanes)
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("name", ["exp", "exp2", "expm1", "log", "log1p", "sigmoid"])
def test_float64(name: str) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal(4096) * 10.0 ** rng.uniform(-20, 3, 4096)
    if name.startswith("log"):
        x = np.abs(x)
    x = np.concatenate([x, SPECIAL.astype(np.float64)])
    with np.errstate(all="ignore"):
        want = REFERENCES[name](x)
    np.testing.assert_allclose(
        native_pointwise.evaluate(name, x), want, rtol=6e-16, atol=1e-323, equal_nan=True
    )


@pytest.mark.parametrize("name", ["tanh", "erf", "sin", "log2"])
def test_without_a_float64_table_is_refused(name: str) -> None:
    with pytest.raises(TypeError, match="double"):
        native_pointwise.evaluate(name, np.ones(64))


def test_no_fast_math() -> None:
    t = VectorType(4, 8)
    for name in NAMES:
        f = Function("some", ())
        vecmath.FUNCTIONS[name](Vec(f, t, "%x"))
        words = set(f.text().replace(",", " ").split())
        assert not words & {"fast", "nnan", "ninf", "nsz", "arcp", "reassoc", "afn", "contract"}


@pytest.fixture(scope="module")
def power() -> Any:
    t = native.vector_type(4)
    f = Function("rl_test_pow", (("ptr", "x"), ("ptr", "y"), ("ptr", "out"), ("i64", "n")))
    with f.loop(0, "%n", t.lanes) as i:
        x, y = (Vec(f, t, f.load(t.vector, f.at("float", p, i), 4)) for p in ("%x", "%y"))
        f.store(t.vector, vecmath.pow(x, y).text, f.at("float", "%out", i), 4)
    engine.compile_ir(declarations(t) + vecmath.declarations(t) + f.text())
    pointer = ctypes.c_void_p
    run = engine.function("rl_test_pow", (pointer, pointer, pointer, ctypes.c_int64))

    def call(x: Any, y: Any) -> Any:
        size = x.size
        x, y = (np.resize(a, -(-size // t.lanes) * t.lanes) for a in (x, y))
        out = np.empty_like(x)
        run(x.ctypes.data, y.ctypes.data, out.ctypes.data, x.size)
        return out[:size]

    return call


def _check_power(power: Any, x: Any, y: Any) -> None:
    with np.errstate(all="ignore"):
        want = np.power(x.astype(np.float64), y.astype(np.float64))
    found = errors(power(x, y), want)
    i = int(np.argmax(found))
    assert found[i] <= LIMIT, (x[i], y[i])


def test_pow_of_special_values(power: Any) -> None:
    odd = np.array([3, -3, 16777215, -16777215, 33554432, 1.0000001, 0.99999994, 2.5], np.float32)
    some = np.concatenate([SPECIAL, odd])
    x, y = (np.ascontiguousarray(a.ravel()) for a in np.meshgrid(some, some))
    _check_power(power, x, y)


def test_pow_of_many_values(power: Any) -> None:
    rng = np.random.default_rng(0)
    n = 1 << 16
    for k in range(12):
        x = rng.integers(0, 1 << 32, n, dtype=np.uint64).astype(np.uint32).view(np.float32)
        if k % 2:
            x = np.exp(rng.standard_normal(n) * 10 ** rng.uniform(-6, 1, n)).astype(np.float32)
        y = (rng.standard_normal(n) * 10 ** rng.uniform(-3, 4, n)).astype(np.float32)
        _check_power(power, x, np.rint(y) if k % 3 == 0 else y)
