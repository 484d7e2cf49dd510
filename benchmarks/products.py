"""Compiled matrix products against NumPy's BLAS and PyTorch, in one process.

    python benchmarks/products.py [--threads 1] [--only lenet] [--dtype float32]

One line a product: m, n, k, the layouts of A and B (N rows adjacent in memory, T columns), the time
of the compiled kernel alone, called as a compiled program calls it, and how many times as long
NumPy and PyTorch take with their results' memory given. The best of many rounds that take turns.
PyTorch's column stays empty where it is not installed.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib.util
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.codegen import native, threads
from rushlight.codegen.bound import SCRATCH
from rushlight.codegen.native_matmul import bind
from rushlight.runtime import blas

# name, batch, m, n, k, layouts of A and B
PRODUCTS = [
    ("square", (), 1024, 1024, 1024, "NN"),
    ("square", (), 1024, 1024, 1024, "NT"),
    ("square", (), 1024, 1024, 1024, "TN"),
    ("square", (), 256, 256, 256, "NN"),
    ("square", (), 64, 64, 64, "NN"),
    ("lenet b4", (), 4, 120, 400, "NT"),
    ("lenet b4", (), 4, 400, 120, "NN"),
    ("lenet b4", (), 120, 400, 4, "TN"),
    ("lenet b4", (), 4, 84, 120, "NT"),
    ("lenet b4", (), 4, 120, 84, "NN"),
    ("lenet b4", (), 84, 120, 4, "TN"),
    ("lenet b4", (), 4, 10, 84, "NT"),
    ("lenet b4", (), 4, 84, 10, "NN"),
    ("lenet b4", (), 10, 84, 4, "TN"),
    ("lenet b64", (), 64, 120, 400, "NT"),
    ("lenet b64", (), 64, 400, 120, "NN"),
    ("lenet b64", (), 120, 400, 64, "TN"),
    ("lenet b64", (), 64, 84, 120, "NT"),
    ("lenet b64", (), 64, 120, 84, "NN"),
    ("lenet b64", (), 84, 120, 64, "TN"),
    ("lenet b64", (), 64, 10, 84, "NT"),
    ("lenet b64", (), 64, 84, 10, "NN"),
    ("lenet b64", (), 10, 84, 64, "TN"),
    ("resnet fc", (), 8, 1000, 512, "NT"),
    ("resnet fc", (), 8, 512, 1000, "NN"),
    ("resnet fc", (), 1000, 512, 8, "TN"),
    ("vgg fc1", (), 2, 4096, 25088, "NT"),
    ("vgg fc1", (), 2, 25088, 4096, "NN"),
    ("vgg fc1", (), 4096, 25088, 2, "TN"),
    ("vgg fc2", (), 2, 4096, 4096, "NT"),
    ("vgg fc2", (), 2, 4096, 4096, "NN"),
    ("vgg fc2", (), 4096, 4096, 2, "TN"),
    ("vector", (), 1, 1000, 1000, "NN"),
    ("vector", (), 1, 1000, 1000, "NT"),
    ("vector", (), 1000, 1, 1000, "NN"),
    ("vector", (), 1000, 1, 1000, "TN"),
    ("vector", (), 1, 1, 1_000_000, "NT"),
    ("attention", (8,), 512, 512, 64, "NT"),
    ("attention", (8,), 512, 64, 512, "NN"),
    ("attention", (8,), 512, 64, 512, "TN"),
    ("attention", (64,), 32, 32, 32, "NT"),
    ("ffn", (), 512, 3072, 768, "NT"),
    ("ffn", (), 512, 768, 3072, "NN"),
    ("ffn", (), 3072, 768, 512, "TN"),
    ("tall", (), 100_000, 64, 64, "NN"),
    ("tall", (), 64, 64, 100_000, "TN"),
    ("conv-like", (), 64, 576, 25088, "NT"),
]


def matrix(rng: Any, batch: tuple[int, ...], rows: int, columns: int, how: str, dtype: Any) -> Any:
    """Random numbers with adjacent elements in rows (N) or in columns (T)."""
    if how == "T":
        return np.swapaxes(matrix(rng, batch, columns, rows, "N", dtype), -1, -2)
    return rng.standard_normal((*batch, rows, columns), np.float32).astype(dtype)


def steps(array: Any) -> Any:
    """Strides in elements: of batch dimensions, rows, columns."""
    strides = [s // array.itemsize for s in array.strides]
    return tuple(strides[:-2]), strides[-2], strides[-1]


def prepared(a: Any, b: Any, c: Any, hands: int) -> Callable[[], None]:
    """The compiled product as one call."""
    *batch, m, n = c.shape
    k = a.shape[-1]
    bounds = bind(a.dtype, tuple(batch), m, n, k, steps(a), steps(b), steps(c), hands)
    memory = np.empty(max([x.scratch for x in bounds]) + 64, np.uint8)
    start = native.address(memory)
    start += -start % 64
    run = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
    launches, blocks = [], []
    for bound in bounds:
        block = bound.block.copy()
        for word, operand, offset in bound.operands:
            place = start if operand == SCRATCH else native.address((a, b, c)[operand])
            block[word] = offset + place
        for word, other in bound.own:
            block[word] = native.address(block) + 8 * other
        blocks.append(block)
        zero = [(memoryview(block), word) for word in bound.zeros]
        launches.append((run(bound.kernel), native.address(block), bound.parts, bound.kernel, zero))

    def call() -> None:
        for function, place, parts, kernel, zero in launches:
            for words, word in zero:
                words[word] = 0
            if parts > 1:
                threads.pool(hands).run(kernel, place, parts)
            else:
                function(place, 0, 1)

    call.kept = (memory, blocks)  # type: ignore[attr-defined]
    return call


def best(calls: list[Callable[[], Any]], seconds: float, hands: int) -> list[float]:
    """The best time of each, taking turns, in microseconds.

    They pause between turns: threads of one library spin for a while after a call. With one thread
    its CPU time is taken, which neighbours on the machine disturb least.
    """
    clock = time.thread_time if hands == 1 else time.perf_counter
    taken = [[1e9] for _ in calls]
    repeats = [1] * len(calls)  # short calls are timed many at once
    for i, call in enumerate(calls):
        call()
        before = time.perf_counter()
        call()
        repeats[i] = int(1e-4 / (time.perf_counter() - before)) + 1
    start = time.perf_counter()
    while time.perf_counter() - start < seconds * len(calls) or len(taken[0]) < 4:
        for call, times, repeat in zip(calls, taken, repeats, strict=True):
            time.sleep(0.005)
            call()
            turn = time.perf_counter()
            while time.perf_counter() - turn < 0.02:
                before = clock()
                for _ in range(repeat):
                    call()
                times.append((clock() - before) / repeat)
    return [1e6 * min(times) for times in taken]


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", default="")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--seconds", type=float, default=0.3)
    given = parser.parse_args()
    torch: Any = None
    if importlib.util.find_spec("torch"):
        import torch  # type: ignore[no-redef]

        torch.set_num_threads(given.threads)
    blas.set_threads(given.threads)
    rng = np.random.default_rng(0)
    print(f"{given.dtype}, {given.threads} threads; times of NumPy and PyTorch relative to ours")
    for name, batch, m, n, k, how in PRODUCTS:
        if given.only not in name:
            continue
        a = matrix(rng, batch, m, k, how[0], given.dtype)
        b = matrix(rng, batch, k, n, how[1], given.dtype)
        c, d = (np.empty((*batch, m, n), given.dtype) for _ in range(2))
        calls: list[Callable[[], Any]] = [prepared(a, b, c, given.threads)]
        calls.append(lambda: np.matmul(a, b, out=d))  # noqa: B023
        if torch is not None:
            x, y, z = (torch.from_numpy(v) for v in (a, b, d))
            calls.append(lambda: torch.matmul(x, y, out=z))  # noqa: B023
        times = best(calls, given.seconds, given.threads)
        rate = 2e-3 * c.size * k / times[0]
        ratios = "".join([f"{other / times[0]:8.2f}" for other in times[1:]])
        sizes = f"{batch[0]} x " if batch else ""
        print(
            f"{name:10} {sizes + f'{m} {n} {k} {how}':24}{times[0]:10.1f} us {rate:7.1f} GF/s",
            ratios,
        )


if __name__ == "__main__":
    main()
