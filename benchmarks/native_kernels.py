"""Compiled kernels of convolution and pooling, against their NumPy kernels and PyTorch.

    python benchmarks/native_kernels.py [--threads 1] [--only conv]

Prints microseconds a call and, for convolutions, GFLOP/s (useful operations, two a multiply-add).
With one thread it is the thread's CPU time that is taken, which neighbours on the machine disturb
least, with more the wall-clock time; the best of several calls either way. PyTorch's column stays
empty where it is not installed.
"""

from __future__ import annotations

import argparse
import importlib.util
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.codegen import native
from rushlight.ops import conv, pool
from rushlight.runtime import blas

# images, channels, height, width, output channels, kernel, stride, padding, groups
CONVOLUTIONS = [
    (4, 1, 28, 28, 6, 5, 1, 2, 1),
    (4, 6, 14, 14, 16, 5, 1, 0, 1),
    (64, 6, 14, 14, 16, 5, 1, 0, 1),
    (64, 3, 32, 32, 32, 5, 1, 2, 1),
    (64, 32, 16, 16, 32, 5, 1, 2, 1),
    (1, 32, 16, 16, 32, 5, 1, 2, 1),
    (8, 3, 224, 224, 64, 7, 2, 3, 1),
    (8, 64, 56, 56, 64, 3, 1, 1, 1),
    (8, 64, 56, 56, 128, 3, 2, 1, 1),
    (8, 64, 56, 56, 128, 1, 2, 0, 1),
    (8, 128, 28, 28, 128, 3, 1, 1, 1),
    (8, 256, 14, 14, 256, 3, 1, 1, 1),
    (8, 256, 14, 14, 64, 1, 1, 0, 1),
    (8, 512, 7, 7, 512, 3, 1, 1, 1),
    (2, 3, 224, 224, 64, 3, 1, 1, 1),
    (2, 64, 224, 224, 64, 3, 1, 1, 1),
    (2, 512, 14, 14, 512, 3, 1, 1, 1),
    (64, 256, 2, 2, 256, 3, 1, 1, 1),
    (8, 64, 28, 28, 64, 3, 1, 1, 64),
]
# images, channels, height, width, kernel, stride, padding
POOLINGS = [
    (4, 6, 28, 28, 2, 2, 0),
    (64, 64, 8, 8, 2, 2, 0),
    (8, 64, 56, 56, 2, 2, 0),
    (8, 64, 112, 112, 3, 2, 1),
]


def microseconds(call: Callable[[], Any], threads: int) -> float:
    """The best of several calls."""
    clock = time.thread_time if threads == 1 else time.perf_counter
    call()
    taken: list[float] = []
    while len(taken) < 3 or (sum(taken) < 0.1 and len(taken) < 50):
        start = clock()
        call()
        taken.append(clock() - start)
    return min(taken) * 1e6


def report(name: str, shape: Any, calls: list[Any], work: int, threads: int) -> None:
    """One line: NumPy's, the native and PyTorch's time."""
    times = [microseconds(c, threads) if c else None for c in calls]
    cells = [f"{name:18}{shape!s:40}"]
    for taken in times:
        rate = f" {2e-3 * work / taken:6.1f}" if taken and work else " " * 7
        cells.append((f"{taken:9.0f}" if taken else " " * 9) + rate)
    print(" |".join(cells), flush=True)


def torch_calls(torch: Any, kind: str, arrays: list[Any], how: Any) -> list[Any]:
    """PyTorch's calls for the same results."""
    if torch is None:
        return [None] * 3
    tensors = [torch.from_numpy(a) for a in arrays]
    if kind == "pool":
        x, g = tensors
        _, index = torch.nn.functional.max_pool2d(x, *how, return_indices=True)
        back = torch.ops.aten.max_pool2d_with_indices_backward
        return [
            lambda: torch.nn.functional.max_pool2d(x, *how, return_indices=True),
            lambda: back(g, x, [how[0]] * 2, [how[1]] * 2, [how[2]] * 2, [1, 1], False, index),
        ]
    x, w, g = tensors
    stride, padding, groups = how
    forward = torch.nn.functional.conv2d
    gradient = torch.nn.grad
    return [
        lambda: forward(x, w, None, stride, padding, 1, groups),
        lambda: gradient.conv2d_input(x.shape, w, g, stride, padding, 1, groups),
        lambda: gradient.conv2d_weight(x, w.shape, g, stride, padding, 1, groups),
    ]


def convolution(shape: Any, torch: Any, threads: int) -> None:
    """Forward, input gradient, weight gradient of one shape."""
    n, c, h, w, k, size, stride, padding, groups = shape
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, c, h, w), np.float32)
    weight = rng.standard_normal((k, c // groups, size, size), np.float32)
    how = ((stride, stride), (padding, padding), (1, 1), groups)
    y = conv.conv.kernel(x, weight, None, *how)
    g = rng.standard_normal(y.shape, np.float32)
    work = y.size * c // groups * size * size
    theirs = torch_calls(torch, "conv", [x, weight, g], (stride, padding, groups))
    jobs = [
        (conv.conv, [x, weight, None], how),
        (conv.conv_input, [g, weight, None], ((h, w), *how)),
        (conv.conv_weight, [g, x], ((size, size), *how)),
    ]
    for (op, operands, attrs), other in zip(jobs, theirs, strict=True):
        ours = [
            lambda op=op, a=operands, b=attrs: op.kernel(*a, *b),
            lambda op=op, a=operands, b=attrs: native.run(op.name, a, b),
        ]
        report(op.name, shape, [*ours, other], work, threads)


def pooling(shape: Any, torch: Any, threads: int) -> None:
    """Maxima with indices, and the gradient."""
    n, c, h, w, size, stride, padding = shape
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, c, h, w), np.float32)
    attrs = ((size, size), (stride, stride), (padding, padding), (1, 1), False)
    best, places = pool.max_pool.kernel(x, *attrs)
    back = (x.shape, stride >= size)
    theirs = torch_calls(torch, "pool", [x, best], (size, stride, padding))
    jobs = [(pool.max_pool, [x], attrs), (pool.plane_scatter, [best, places], back)]
    for (op, operands, how), other in zip(jobs, theirs, strict=False):
        ours = [
            lambda op=op, a=operands, b=how: op.kernel(*a, *b),
            lambda op=op, a=operands, b=how: native.run(op.name, a, b),
        ]
        report(op.name, shape, [*ours, other], 0, threads)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", choices=("conv", "pool"), default=None)
    options = parser.parse_args()
    torch = None
    if importlib.util.find_spec("torch") is not None:
        import torch

        torch.set_num_threads(options.threads)
    blas.set_threads(options.threads)
    print(f"{'':58} | {'NumPy us':>8} GF/s | {'native us':>9} GF/s | {'PyTorch us':>9} GF/s")
    if options.only != "pool":
        for shape in CONVOLUTIONS:
            convolution(shape, torch, options.threads)
    if options.only != "conv":
        for shape in POOLINGS:
            pooling(shape, torch, options.threads)


if __name__ == "__main__":
    main()
