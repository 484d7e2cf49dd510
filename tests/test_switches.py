"""What scripts ask before they train: devices, switches, compile, assert_close, spawn."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import rushlight as rl


def test_no_accelerator_is_said_and_not_guessed() -> None:
    for module in (rl.cuda, rl.mps, rl.xpu, rl.accelerator):
        assert not module.is_available()
        assert module.device_count() == 0
    assert rl.accelerator.current_accelerator() is None
    assert not rl.backends.mps.is_available()
    assert rl.cuda.memory_allocated() == 0
    for call in (rl.cuda.current_device, rl.cuda.Stream, rl.cuda.synchronize, rl.cuda.init):
        with pytest.raises(AssertionError, match="Torch not compiled with CUDA enabled"):
            call()
    with rl.cuda.stream(None), rl.cuda.device(-1):
        pass
    with pytest.raises(AssertionError, match="Torch not compiled with CUDA enabled"):
        rl.cuda.device(0)


def test_switches_keep_what_they_were_given() -> None:
    rl.set_float32_matmul_precision("high")
    assert rl.get_float32_matmul_precision() == "high"
    rl.set_float32_matmul_precision("highest")
    with pytest.raises(RuntimeError, match="is not one of"):
        rl.set_float32_matmul_precision("low")
    rl.set_deterministic_debug_mode("warn")
    assert rl.get_deterministic_debug_mode() == 1
    assert rl.is_deterministic_algorithms_warn_only_enabled()
    rl.set_deterministic_debug_mode(0)
    assert not rl.are_deterministic_algorithms_enabled()
    rl.set_default_tensor_type(rl.DoubleTensor)
    assert rl.get_default_dtype() is rl.float64
    rl.set_default_tensor_type("torch.FloatTensor")
    assert rl.get_default_dtype() is rl.float32


def test_compile_returns_what_it_was_given() -> None:
    net = rl.nn.Linear(2, 2)
    assert rl.compile(net, mode="max-autotune") is net

    @rl.compile
    def f(x: rl.Tensor) -> rl.Tensor:
        return x + 1

    @rl.compile(fullgraph=True)
    def g(x: rl.Tensor) -> rl.Tensor:
        return x + 2

    assert (f(rl.zeros(1)) + g(rl.zeros(1))).item() == 3
    with pytest.raises(RuntimeError, match="Either mode or options"):
        rl.compile(net, mode="default", options={})


def test_assert_close() -> None:
    close = rl.testing.assert_close
    close(rl.ones(3), rl.ones(3) + 1e-6)
    close([1.0, {"a": rl.zeros(2)}], [1.0, {"a": rl.zeros(2)}])
    with pytest.raises(AssertionError, match=r"Mismatched elements: 1 / 3 \(33.3%\)"):
        close(rl.tensor([1.0, 2.0, 3.0]), rl.tensor([1.0, 2.5, 3.0]))
    with pytest.raises(AssertionError, match="'shape' do not match"):
        close(rl.ones(2), rl.ones(3))
    with pytest.raises(AssertionError, match="'dtype' do not match"):
        close(rl.ones(2), rl.ones(2, dtype=rl.float64))
    close(rl.ones(2), rl.ones(2, dtype=rl.float64), check_dtype=False)
    with pytest.raises(AssertionError, match="not close"):
        close(rl.tensor(float("nan")), rl.tensor(float("nan")))
    close(rl.tensor(float("nan")), rl.tensor(float("nan")), equal_nan=True)
    with pytest.raises(ValueError, match="rtol and atol must both"):
        close(1.0, 1.0, rtol=1)
    with pytest.raises(AssertionError, match="mine"):
        close(1, 2, msg="mine")


def test_assert_close_says_what_pytorch_says() -> None:
    torch = pytest.importorskip("torch")
    texts = []
    for t in (rl, torch):
        found = []
        for a, b, how in (
            ([1.0, 2.0, 3.0], [1.0, 2.5, 3.0], {}),
            ([[1, 2], [3, 4]], [[1, 2], [3, 5]], {}),
            ([1.0], [2.0], {"rtol": 0.0, "atol": 0.5}),
        ):
            with pytest.raises(AssertionError) as caught:
                t.testing.assert_close(t.tensor(a), t.tensor(b), **how)
            found.append(str(caught.value))
        texts.append(found)
    assert texts[0] == texts[1]


def test_make_tensor() -> None:
    made = rl.testing.make_tensor(3, 4, dtype=rl.int8, low=2, high=5, noncontiguous=True)
    assert made.shape == (3, 4) and made.dtype is rl.int8 and not made.is_contiguous()
    assert made.min() >= 2 and made.max() < 5


SPAWN = """
import torch
import torch.multiprocessing as mp


def work(rank, scale):
    if scale < 0 and rank == 1:
        raise ValueError("rank one fails")
    with open(f"rank{rank}", "w") as file:
        file.write(str((torch.ones(2) * scale).sum().item()))


if __name__ == "__main__":
    mp.spawn(work, (3,), nprocs=2)
    try:
        mp.spawn(work, (-1,), nprocs=2)
    except mp.ProcessRaisedException as error:
        print("caught", error.error_index, "rank one fails" in str(error))
"""


def test_spawn(tmp_path: Path) -> None:
    (tmp_path / "spawned.py").write_text(SPAWN)
    done = subprocess.run(
        [sys.executable, "-m", "rushlight", "spawned.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout == "caught 1 True\n", done.stderr
    assert (tmp_path / "rank1").read_text() == "6.0"
