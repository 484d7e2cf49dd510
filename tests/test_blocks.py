"""Large elementwise operators are computed in blocks: same values, any dtype, aliasing minded."""

from __future__ import annotations

import numpy as np
import pytest

import rushlight as rl
from rushlight.codegen import native
from rushlight.runtime import cpu

N = cpu._WORTH_BLOCKS + 4099  # not a whole number of blocks


@pytest.fixture
def x() -> rl.Tensor:
    return rl.linspace(-3, 3, N)


def test_values_equal_those_of_small_pieces(x: rl.Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "enabled", False)
    half = N // 2
    for f in (rl.sigmoid, rl.nn.functional.gelu, lambda t: rl.lerp(t, t * 2, 0.3)):
        whole = f(x)
        pieces = rl.cat([f(x[:1000]), f(x[1000:half]), f(x[half:])])
        assert rl.equal(whole, pieces)


def test_mixed_dtypes_and_numbers(x: rl.Tensor) -> None:
    y = x.to(rl.float64)
    got = rl.addcmul(y, x, x, value=0.5)
    assert got.dtype == rl.float64
    want = y.numpy() + 0.5 * x.numpy().astype(np.float64) * x.numpy().astype(np.float64)
    np.testing.assert_allclose(got.numpy(), want, rtol=1e-15)
    k = rl.arange(N) % 7
    assert rl.equal(rl.add(k, k, alpha=3), k * 4)


def test_in_place_writes_into_the_same_memory(x: rl.Tensor) -> None:
    before, address = x.clone(), x.data_ptr()
    x.add_(before, alpha=0.5)
    assert x.data_ptr() == address
    np.testing.assert_array_equal(x.numpy(), before.numpy() + before.numpy() * np.float32(0.5))
    x.addcdiv_(x, x.abs() + 1, value=2)  # the target among the operands


def test_operands_that_share_part_of_the_memory_are_refused() -> None:
    base = rl.arange(N + 1).float()
    with pytest.raises(RuntimeError, match="unsupported operation: some elements of the input"):
        base[1:].add_(base[:-1], alpha=2)
    np.testing.assert_array_equal(base.numpy(), np.arange(N + 1, dtype=np.float32))
