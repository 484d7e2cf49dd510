"""Random streams: equal to PyTorch's in values and in state, recorded and, where it is, live.

``data/random_streams.npz`` holds what torch drew (see ``data/make_random_streams.py``); it is
replayed everywhere. Where torch is installed the same calls are compared directly, at more sizes
and in random order.
"""

from __future__ import annotations

import hashlib
import importlib.util
import math
import random
import warnings
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rushlight.runtime import random as streams
from rushlight.runtime.random.normal import log32, sincos32

_SPEC = importlib.util.spec_from_file_location(
    "make_random_streams", Path(__file__).parent / "data" / "make_random_streams.py"
)
assert _SPEC is not None and _SPEC.loader is not None
record = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(record)


def np_dtype(name: str) -> Any:
    if name == "bfloat16":
        return np.dtype(pytest.importorskip("ml_dtypes").bfloat16)
    return np.dtype(name)


def run_streams(engine: streams.Engine, call: tuple[Any, ...]) -> Any:
    """The call through this package; returns an array."""
    name, count, dtype_name, *args = call
    dtype = np_dtype(dtype_name)
    if name == "randperm":
        return streams.randperm(engine, count, dtype)
    if name in ("bernoulli_tensor", "poisson", "standard_gamma", "dirichlet", "rrelu"):
        fixed = record.levels(count, dtype)
        number = dtype.type(args[0]) if args else dtype.type(0)
        if name == "bernoulli_tensor":
            return streams.bernoulli_tensor(engine, fixed)
        if name == "poisson":
            return streams.poisson(engine, fixed * number)
        if name == "rrelu":
            return streams.rrelu_slopes(engine, fixed - dtype.type(0.5), *args)
        return getattr(streams, name)(engine, fixed + number)
    if name == "sparse_multinomial":
        weights = np.maximum(record.levels(count, dtype) - dtype.type(0.75), 0)
        return streams.multinomial(engine, weights, count)
    if name == "multinomial":
        weights = record.levels(count, dtype) + dtype.type(0.125)
        if count >= 15:
            weights = weights[: count - count % 5].reshape(-1, 5)
        return streams.multinomial(engine, weights, *args)
    return getattr(streams, name)(engine, count, dtype, *args)


def seeded(seed: int) -> streams.Engine:
    engine = streams.Engine()
    engine.seed(seed)
    return engine


# ---- recorded --------------------------------------------------------------------------------


@pytest.mark.parametrize("index", range(len(record.SEEDS)))
def test_recorded_streams(index: int) -> None:
    pytest.importorskip("ml_dtypes")
    with np.load(record.PATH) as data:
        values = data[f"values{index}"].tobytes()
        lengths = data[f"lengths{index}"].tolist()
        states = data[f"states{index}"].tobytes()
    assert len(lengths) == len(record.CALLS)
    engine = seeded(record.SEEDS[index])
    at = 0
    for number, (call, length) in enumerate(zip(record.CALLS, lengths, strict=True)):
        result = run_streams(engine, call)
        mine = result.tobytes()
        if call[0] != "dirichlet":  # its last bit depends on the order of a sum
            kept = mine if len(mine) <= record.KEEP else hashlib.sha256(mine).digest()
            assert kept == values[at : at + length], (number, call)
        at += length
        state = hashlib.sha256(engine.state_bytes().tobytes()).digest()[:8]
        assert state == states[8 * number : 8 * number + 8], (number, call)


# ---- live ------------------------------------------------------------------------------------


def compare(torch: Any, generator: Any, engine: streams.Engine, call: tuple[Any, ...]) -> None:
    expected = record.run_torch(generator, call)
    actual = run_streams(engine, call)
    if call[0] == "dirichlet":
        np.testing.assert_allclose(actual, expected.numpy(), rtol=1e-14)
    else:
        assert actual.tobytes() == record.value_bytes(expected), call
    assert engine.state_bytes().tobytes() == generator.get_state().numpy().tobytes(), call


def live_calls(count: int) -> list[tuple[Any, ...]]:
    have = importlib.util.find_spec("ml_dtypes") is not None
    return [call for call in record.calls_of(count) if have or call[2] != "bfloat16"]


@pytest.mark.parametrize("count", [0, 1, 2, 15, 16, 17, 31, 100, 1000, 5003])
def test_against_torch(count: int) -> None:
    torch = pytest.importorskip("torch")
    generator, engine = torch.Generator(), seeded(count + 3)
    generator.manual_seed(count + 3)
    for call in live_calls(count):
        compare(torch, generator, engine, call)


@pytest.mark.parametrize("name", ["uniform", "normal", "random_", "bernoulli_scalar", "randperm"])
def test_large_against_torch(name: str) -> None:
    torch = pytest.importorskip("torch")
    generator, engine = torch.Generator(), seeded(9)
    generator.manual_seed(9)
    for call in live_calls(100003):
        if call[0] == name:
            compare(torch, generator, engine, call)


def test_mixed_calls_against_torch() -> None:
    torch = pytest.importorskip("torch")
    choose = random.Random(20)
    generator, engine = torch.Generator(), seeded(77)
    generator.manual_seed(77)
    menu = {count: live_calls(count) for count in (1, 3, 7, 16, 19, 33, 64)}
    for _ in range(1200):
        compare(torch, generator, engine, choose.choice(menu[choose.choice(list(menu))]))


WEIRD_RANGES = [
    ("float32", 2**24 + 1, 2**24 + 3),
    ("float32", -(2**63), 2**63 - 1),
    ("float32", 0, 2**40 + 1),
    ("float64", 2**53 + 1, 2**53 + 9),
    ("float16", 2049, 2051),
    ("float16", 0, 5000),
    ("float64", -(2**63), None),
    ("float32", -(2**63), None),
    ("uint16", 0, 60000),
    ("uint32", 0, 2**32 - 1),
    ("uint64", 0, 2**63 - 1),
    ("int64", 2**63 - 1, None),
    ("int64", -5, None),
    ("int16", -5, None),
]


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(("dtype", "low", "high"), WEIRD_RANGES)
def test_unusual_ranges_against_torch(dtype: str, low: int, high: int | None) -> None:
    torch = pytest.importorskip("torch")
    generator, engine = torch.Generator(), seeded(3)
    generator.manual_seed(3)
    compare(torch, generator, engine, ("random_", 40, dtype, low, high))


ERRORS: list[tuple[str, str, tuple[Any, ...], type[Exception], str]] = [
    ("normal", "float32", (0.0, -1.0), RuntimeError, "normal expects std >= 0.0, but found std -1"),
    (
        "uniform",
        "float32",
        (2.0, 1.0),
        RuntimeError,
        "uniform_ expects to return a [from, to) range, but found from=2 > to=1",
    ),
    ("uniform", "float32", (0.0, math.inf), RuntimeError, "to is out of bounds for float"),
    ("uniform", "float16", (-1e5, 1.0), RuntimeError, "from is out of bounds for c10::Half"),
    (
        "uniform",
        "float32",
        (-3e38, 3e38),
        RuntimeError,
        "uniform_ expects to-from <= std::numeric_limits<Float>::max(), but found to=3e+38 and "
        "from=-3e+38 which result in to-from to exceed the limit",
    ),
    (
        "uniform",
        "int32",
        (0.0, 1.0),
        NotImplementedError,
        "\"check_uniform_bounds\" not implemented for 'Int'",
    ),
    (
        "normal",
        "int64",
        (0.0, 1.0, True),
        NotImplementedError,
        "\"normal_kernel_cpu\" not implemented for 'Long'",
    ),
    (
        "random_",
        "int32",
        (5, 5),
        RuntimeError,
        "random_ expects 'from' to be less than 'to', but got from=5 >= to=5",
    ),
    ("random_", "int8", (0, 1000), RuntimeError, "to - 1 is out of bounds for signed char"),
    ("random_", "uint8", (-1, 3), RuntimeError, "from is out of bounds for unsigned char"),
    ("random_", "bool", (0, 3), RuntimeError, "to - 1 is out of bounds for bool"),
    (
        "random_",
        "complex64",
        (0, 3),
        RuntimeError,
        "check_random_bounds handles only integral, floating-point and boolean types",
    ),
    (
        "random_",
        "float32",
        (2**53 + 1, 2**53 + 9),
        RuntimeError,
        "random_ expects 'from' casted to dtype to be less than 'to' casted to dtype, but got "
        "from=9007200328482816 >= to=9007199254741001",
    ),
    (
        "random_",
        "int32",
        (-(2**63), None),
        RuntimeError,
        "random_full_64_bits_range_kernel_cpu handles only int64, double, float and bfloat16",
    ),
    (
        "random_",
        "float16",
        (-(2**63), None),
        NotImplementedError,
        "\"random_full_64_bits_range_kernel_cpu\" not implemented for 'Half'",
    ),
    (
        "random_default",
        "uint16",
        (),
        NotImplementedError,
        "\"random_kernel_cpu\" not implemented for 'UInt16'",
    ),
    (
        "random_default",
        "complex64",
        (),
        NotImplementedError,
        "\"random_kernel_cpu\" not implemented for 'ComplexFloat'",
    ),
    (
        "bernoulli_scalar",
        "float32",
        (1.5,),
        RuntimeError,
        "bernoulli_ expects p to be in [0, 1], but got p=1.5",
    ),
    (
        "bernoulli_scalar",
        "complex64",
        (0.5,),
        NotImplementedError,
        "\"bernoulli_scalar_cpu_\" not implemented for 'ComplexFloat'",
    ),
    (
        "exponential",
        "float32",
        (0.0,),
        RuntimeError,
        "exponential_ expects lambda > 0.0, but found lambda=0",
    ),
    (
        "exponential",
        "int32",
        (1.0,),
        RuntimeError,
        "Exponential distribution is a continuous probability distribution. dtype must be a "
        "floating point but you specified Int",
    ),
    (
        "cauchy",
        "float32",
        (0.0, -1.0),
        RuntimeError,
        "cauchy_ expects sigma > 0.0, but found sigma=-1",
    ),
    (
        "cauchy",
        "int16",
        (0.0, 1.0),
        RuntimeError,
        "Cauchy distribution is a continuous probability distribution. dtype must be a floating "
        "point but you specified short int",
    ),
    (
        "geometric",
        "float32",
        (1.0,),
        RuntimeError,
        "geometric_ expects p to be in (0, 1), but got p=1",
    ),
    (
        "geometric",
        "bool",
        (0.3,),
        NotImplementedError,
        "\"geometric_cpu\" not implemented for 'Bool'",
    ),
    (
        "log_normal",
        "float32",
        (0.0, 0.0),
        RuntimeError,
        "log_normal_ expects std > 0.0, but found std=0",
    ),
    (
        "log_normal",
        "int32",
        (0.0, 1.0),
        NotImplementedError,
        "\"log_normal_cpu\" not implemented for 'Int'",
    ),
]


@pytest.mark.parametrize(("name", "dtype", "args", "kind", "message"), ERRORS)
def test_argument_errors(
    name: str, dtype: str, args: tuple[Any, ...], kind: type[Exception], message: str
) -> None:
    engine = streams.Engine(0)
    with pytest.raises(kind) as caught:
        run_streams(engine, (name, 3, dtype, *args))
    assert type(caught.value) is kind
    assert str(caught.value) == message
    assert engine.state_bytes().tobytes() == streams.Engine(0).state_bytes().tobytes()


@pytest.mark.parametrize(("name", "dtype", "args", "kind", "message"), ERRORS)
def test_argument_errors_are_torchs(
    name: str, dtype: str, args: tuple[Any, ...], kind: type[Exception], message: str
) -> None:
    torch = pytest.importorskip("torch")
    args = (*args, True)[:3] if name == "normal" else args
    with pytest.raises(kind) as caught:
        record.run_torch(torch.Generator(), (name, 3, dtype, *args))
    assert type(caught.value) is kind
    assert str(caught.value).split("\n")[0] == message


@pytest.mark.parametrize(
    ("count", "dtype", "message"),
    [
        (-1, "int64", "Trying to create tensor with negative dimension -1: [-1]"),
        (257, "uint8", "value cannot be converted to type uint8_t without overflow"),
        (129, "int8", "value cannot be converted to type int8_t without overflow"),
        (2050, "float16", "n cannot be greater than 2049 for Half type."),
        (2**24 + 2, "float32", "n cannot be greater than 2^24+1 for Float type."),
    ],
)
def test_permutation_errors(count: int, dtype: str, message: str) -> None:
    with pytest.raises(RuntimeError) as caught:
        streams.randperm(streams.Engine(), count, np.dtype(dtype))
    assert str(caught.value) == message
    assert streams.randperm(streams.Engine(), 256, np.dtype(np.uint8)).max() == 255


@pytest.mark.parametrize(
    ("weights", "count", "replacement", "message"),
    [
        ([1, 2], 1, False, "multinomial only supports floating-point dtypes for input, got: Long"),
        (
            [1.0, 2.0],
            3,
            False,
            "cannot sample n_sample > prob_dist.size(-1) samples without replacement",
        ),
        ([1.0, 2.0], 0, False, "cannot sample n_sample <= 0 samples"),
        (1.0, 1, False, "prob_dist must be 1 or 2 dim"),
        (
            [1.0, -2.0],
            1,
            False,
            "probability tensor contains either `inf`, `nan` or element < 0",
        ),
        (
            [1.0, math.inf],
            1,
            True,
            "probability tensor contains either `inf`, `nan` or element < 0",
        ),
        ([0.0, 0.0], 1, False, "invalid multinomial distribution (sum of probabilities <= 0)"),
        ([0.0, 0.0], 2, True, "invalid multinomial distribution (sum of probabilities <= 0)"),
        (
            [-1.0, 2.0],
            3,
            True,
            "invalid multinomial distribution (encountering probability entry < 0)",
        ),
    ],
)
def test_multinomial_errors(weights: Any, count: int, replacement: bool, message: str) -> None:
    with pytest.raises(RuntimeError) as caught:
        streams.multinomial(streams.Engine(), np.array(weights), count, replacement)
    assert str(caught.value) == message
    torch = pytest.importorskip("torch")
    with pytest.raises(RuntimeError) as theirs:
        torch.multinomial(torch.tensor(weights), count, replacement)
    assert str(theirs.value).split("\n")[0] == message


def test_probability_and_rate_errors() -> None:
    with pytest.raises(RuntimeError, match=r"Expected p_in >= 0 && p_in <= 1 to be true"):
        streams.bernoulli_tensor(streams.Engine(), np.array([0.5, math.nan]))
    with pytest.raises(RuntimeError, match="invalid Poisson rate, expected rate to be non-neg"):
        streams.poisson(streams.Engine(), np.array([-1.0]))


def test_precision_warning() -> None:
    with pytest.warns(UserWarning, match=r"to - 1 is out of bounds \[-\(2\^24\), 2\^24\]"):
        streams.random_(streams.Engine(), 3, np.dtype(np.float32), 0, 2**40)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        streams.random_(streams.Engine(), 3, np.dtype(np.float32), 0, 2**24)


# ---- engine ----------------------------------------------------------------------------------


def test_seeds() -> None:
    engine = streams.Engine()
    assert engine.initial_seed == streams.DEFAULT_SEED
    assert engine.seed(-1) == 2**64 - 1
    first = engine.words32(4).tolist()
    engine.seed(2**32 - 1)
    assert engine.words32(4).tolist() == first
    for bad in (2**64, -(2**63) - 1):
        with pytest.raises(ValueError, match=r"^Overflow when unpacking long long$"):
            engine.seed(bad)
    assert engine.seed() != engine.seed()


def test_words() -> None:
    engine = streams.Engine(5)
    words = engine.words32(2000).tolist()
    engine.seed(5)
    pairs = engine.words64(1000).tolist()
    assert pairs == [(words[2 * i] << 32) | words[2 * i + 1] for i in range(1000)]
    engine.seed(5)
    engine.skip(7)
    assert engine.words32(3).tolist() == words[7:10]
    assert engine.words32(0).size == 0


def test_state_round_trip_and_clone() -> None:
    engine = streams.Engine(11)
    for step in range(40):
        saved = engine.state_bytes()
        other = streams.Engine()
        other.load_state(saved.tobytes() if step % 2 else saved)
        twin = engine.clone()
        assert other.state_bytes().tobytes() == saved.tobytes() == twin.state_bytes().tobytes()
        expected = streams.normal(engine, 3 + 50 * step, np.dtype(np.float32))
        for same in (other, twin):
            again = streams.normal(same, 3 + 50 * step, np.dtype(np.float32))
            assert again.tobytes() == expected.tobytes()


def test_block_boundary_states() -> None:
    engine = streams.Engine(1)
    fresh = engine.state_bytes()
    assert fresh[8:12].view(np.int32)[0] == 1 and fresh[16:24].view(np.int64)[0] == 0
    engine.skip(624)
    spent = engine.state_bytes()
    assert spent[8:12].view(np.int32)[0] == 1 and spent[16:24].view(np.int64)[0] == 624
    engine.load_state(spent)
    assert engine.state_bytes().tobytes() == spent.tobytes()


def test_state_errors() -> None:
    engine = streams.Engine(1)
    before = engine.state_bytes()
    with pytest.raises(RuntimeError) as caught:
        engine.load_state(bytes(4))
    assert str(caught.value) == (
        "Expected a CPUGeneratorImplState of size 5056 but found the input RNG state size to be 4"
    )
    with pytest.raises(RuntimeError, match=r"^Invalid mt19937 state$"):
        engine.load_state(bytes(5056))
    with pytest.raises(TypeError, match=r"^RNG state must be a torch\.ByteTensor$"):
        engine.load_state(np.zeros(5056, np.float32))  # type: ignore[arg-type]
    assert engine.state_bytes().tobytes() == before.tobytes()


def test_state_exchange_with_torch() -> None:
    torch = pytest.importorskip("torch")
    generator, engine = torch.Generator(), streams.Engine(8)
    streams.normal(engine, 5, np.dtype(np.float64))
    generator.set_state(torch.from_numpy(engine.state_bytes()))
    compare(torch, generator, engine, ("normal", 3, "float32", 0.0, 1.0, True))
    generator.seed()
    torch.empty(7).normal_(generator=generator)
    engine.load_state(generator.get_state().numpy())
    compare(torch, generator, engine, ("normal", 9, "float32", 0.0, 1.0, True))


def test_inside_out_shuffle_is_a_permutation() -> None:
    from rushlight.runtime.random.integers import _shuffle_inside_out

    engine = streams.Engine(4)
    assert sorted(_shuffle_inside_out(engine, 40000).tolist()) == list(range(40000))
    other = streams.Engine(4)
    other.skip(80000)
    assert engine.words32(1)[0] == other.words32(1)[0]


# ---- arithmetic ------------------------------------------------------------------------------


def test_polynomials_need_no_exact_fma() -> None:
    """Over every float32 uniform, two roundings and one give the same logarithm, sine, cosine."""
    two_pi = np.float32(2 * math.pi)
    for begin in range(0, 1 << 24, 1 << 16):
        if begin % (1 << 20):  # a sixteenth here; all of it gives the same, in 16 times as long
            continue
        u = np.arange(begin, begin + (1 << 16), dtype=np.float32) * np.float32(2.0**-24)
        assert log32(1 - u).tobytes() == log32(1 - u, streams.fma32).tobytes()
        for mine, exact in zip(
            sincos32(u * two_pi), sincos32(u * two_pi, streams.fma32), strict=True
        ):
            assert mine.tobytes() == exact.tobytes()


def exact_fma(a: float, b: float, c: float) -> Fraction:
    return Fraction(a) * Fraction(b) + Fraction(c)


def test_fma32_hits_midpoints() -> None:
    generator = np.random.default_rng(0)
    a = generator.standard_normal(3000).astype(np.float32)
    b = generator.standard_normal(3000).astype(np.float32)
    # The addend puts the sum right beside a midpoint of float32.
    c = (a.astype(np.float64) * b * 2.0**-30).astype(np.float32)
    a[:1000] = np.float32(1 + 2.0**-12)
    b[:1000] = np.float32(1 + 2.0**-12)
    c[:1000] = np.float32(2.0) ** -generator.integers(55, 90, 1000)
    c[:500] *= -1
    a[1000:1500] *= np.float32(2.0**-70)
    b[1000:1500] *= np.float32(2.0**-70)
    c[1000:1500] *= np.float32(2.0**-120)
    result = streams.fma32(a, b, c)
    low = np.nextafter(result, np.float32(-np.inf))
    high = np.nextafter(result, np.float32(np.inf))
    for i in range(a.size):
        exact = exact_fma(float(a[i]), float(b[i]), float(c[i]))
        gap = abs(Fraction(float(result[i])) - exact)
        for neighbour in (float(low[i]), float(high[i])):
            other = abs(Fraction(neighbour) - exact)
            even = int(result[i : i + 1].view(np.uint32)[0]) % 2 == 0
            assert gap < other or (gap == other and even), (a[i], b[i], c[i])


def test_fma64_is_correctly_rounded() -> None:
    generator = np.random.default_rng(1)
    a, b = generator.standard_normal((2, 4000))
    c = -a * b * (1 + generator.integers(-3, 4, 4000) * 2.0**-52)
    c[::3] = generator.standard_normal(c[::3].size) * 2.0 ** generator.integers(
        -60, 60, c[::3].size
    )
    a[:100] *= 2.0**-600
    b[:50] *= 2.0**-450
    a[100:150] *= 2.0**600
    result = streams.fma64(a, b, c)
    for i in range(a.size):
        assert result[i] == float(exact_fma(float(a[i]), float(b[i]), float(c[i])))


@pytest.mark.parametrize(
    ("low", "high"), [(-0.1, 0.1), (-1.3, 2.7), (1e-9, 1.0), (-1e-30, 3.0), (1e6, 1e6 + 1), (-5, 0)]
)
def test_uniform_rounds_once(low: float, high: float) -> None:
    values = streams.uniform(streams.Engine(6), 4000, np.dtype(np.float32), low, high)
    start, stop = np.array([low, high], np.float32)
    exact = streams.fma32(streams.Engine(6).floats(4000), stop - start, start)
    exact[exact == stop] = start
    assert values.tobytes() == exact.tobytes()


def test_largest_indices() -> None:
    from rushlight.ops.selection import largest_indices

    generator = np.random.default_rng(2)
    torch: Any = None
    if importlib.util.find_spec("torch") is not None:
        import torch
    for step in range(300):
        size = int(generator.integers(1, (5, 40, 700)[step % 3]))
        count = int(generator.integers(1, size + 1)) if step % 2 else max(1, size // 64)
        scores = generator.integers(0, 1 + size // 2, size).astype(np.float32)
        scores[generator.random(size) < 0.1 * (step % 4)] = np.nan
        scores[generator.random(size) < 0.1 * (step % 4)] = np.inf
        found = largest_indices(scores, count)
        assert len(set(found.tolist())) == count
        filled = np.where(np.isnan(scores), np.inf, scores)
        assert filled[found].tolist() == np.sort(filled)[::-1][:count].tolist()
        if torch is not None:
            assert found.tolist() == torch.topk(torch.from_numpy(scores), count)[1].tolist()
