"""Time of the heavy layers of the measured networks, beside PyTorch.

    python benchmarks/convolutions.py [--threads 2] [--only resnet18-b64-32px,lenet] [--kind conv]

Prints for each layer how often the network has it, and for forward, input gradient and weight
gradient the microseconds (and GFLOP/s, useful operations) of the compiled kernel and of PyTorch,
which take turns; then the sums over the network. PyTorch's columns stay empty where it is not
installed. The best of several calls counts; with one thread it is the thread's CPU time that is
taken, which neighbours on the machine disturb least.
"""

from __future__ import annotations

import argparse
import importlib.util
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.codegen import native
from rushlight.ops import pool
from rushlight.runtime import blas

# how often, (images, channels, size, output channels, kernel, stride, padding), input gradient too
CONVOLUTIONS: dict[str, list[tuple[int, tuple[int, ...], bool]]] = {
    **{
        f"lenet-b{n}": [(1, (n, 3, 32, 6, 5, 1, 0), False), (1, (n, 6, 14, 16, 5, 1, 0), True)]
        for n in (4, 64)
    },
    **{
        f"tudui-b{n}": [
            (1, (n, 3, 32, 32, 5, 1, 2), False),
            (1, (n, 32, 16, 32, 5, 1, 2), True),
            (1, (n, 32, 8, 64, 5, 1, 2), True),
        ]
        for n in (1, 64)
    },
    **{
        f"resnet18-b{n}-{px}px": [
            (1, (n, 3, px, 64, 7, 2, 3), False),
            (4, (n, 64, px // 4, 64, 3, 1, 1), True),
            (1, (n, 64, px // 4, 128, 3, 2, 1), True),
            (1, (n, 64, px // 4, 128, 1, 2, 0), True),
            (3, (n, 128, px // 8, 128, 3, 1, 1), True),
            (1, (n, 128, px // 8, 256, 3, 2, 1), True),
            (1, (n, 128, px // 8, 256, 1, 2, 0), True),
            (3, (n, 256, px // 16, 256, 3, 1, 1), True),
            (1, (n, 256, px // 16, 512, 3, 2, 1), True),
            (1, (n, 256, px // 16, 512, 1, 2, 0), True),
            (3, (n, 512, px // 32, 512, 3, 1, 1), True),
        ]
        for n, px in ((64, 32), (8, 224))
    },
    "vgg16-b2-224px": [
        (1, (2, 3, 224, 64, 3, 1, 1), False),
        (1, (2, 64, 224, 64, 3, 1, 1), True),
        (1, (2, 64, 112, 128, 3, 1, 1), True),
        (1, (2, 128, 112, 128, 3, 1, 1), True),
        (1, (2, 128, 56, 256, 3, 1, 1), True),
        (2, (2, 256, 56, 256, 3, 1, 1), True),
        (1, (2, 256, 28, 512, 3, 1, 1), True),
        (2, (2, 512, 28, 512, 3, 1, 1), True),
        (3, (2, 512, 14, 512, 3, 1, 1), True),
    ],
}
# how often, (images, channels, size, kernel, stride, padding)
POOLINGS: dict[str, list[tuple[int, tuple[int, ...]]]] = {
    **{f"lenet-b{n}": [(1, (n, 6, 28, 2, 2, 0)), (1, (n, 16, 10, 2, 2, 0))] for n in (4, 64)},
    **{
        f"tudui-b{n}": [(1, (n, c, s, 2, 2, 0)) for c, s in ((32, 32), (32, 16), (64, 8))]
        for n in (1, 64)
    },
    **{f"resnet18-b{n}-{p}px": [(1, (n, 64, p // 2, 3, 2, 1))] for n, p in ((64, 32), (8, 224))},
    "vgg16-b2-224px": [
        (1, (2, c, s, 2, 2, 0)) for c, s in ((64, 224), (128, 112), (256, 56), (512, 28), (512, 14))
    ],
}
# how often, (images, channels, size)
NORMALISATIONS: dict[str, list[tuple[int, tuple[int, ...]]]] = {
    f"resnet18-b{n}-{px}px": [
        (1, (n, 64, px // 2)),
        (4, (n, 64, px // 4)),
        (5, (n, 128, px // 8)),
        (5, (n, 256, px // 16)),
        (5, (n, 512, px // 32)),
    ]
    for n, px in ((64, 32), (8, 224))
}
Pair = tuple[Callable[[], Any], Callable[[], Any] | None]


def microseconds(calls: Pair, threads: int) -> list[float]:
    """The best of several calls of each, taking turns."""
    clock = time.thread_time if threads == 1 else time.perf_counter
    best = []
    for call in calls:
        if call is not None:
            call()
    for call in calls:
        taken: list[float] = []
        while call is not None and (len(taken) < 3 or (sum(taken) < 0.15 and len(taken) < 200)):
            start = clock()
            call()
            taken.append(clock() - start)
        best.append(min(taken, default=0.0) * 1e6)
    return best


def convolution_jobs(shape: tuple[int, ...], first: bool, torch: Any) -> list[tuple[str, Pair]]:
    """Forward, weight gradient, and the input's unless this is the network's first layer."""
    n, c, size, k, kernel, stride, padding = shape
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, c, size, size), np.float32)
    w = rng.standard_normal((k, c, kernel, kernel), np.float32)
    how = ((stride,) * 2, (padding,) * 2, (1, 1), 1)
    g = native.run("conv", [x, w, None], how)[0]
    theirs: list[Any] = [None] * 3
    if torch is not None:
        tx, tw, tg = map(torch.from_numpy, (x, w, g))
        back = torch.ops.aten.convolution_backward
        rest = (None, *map(list, how[:3]), False, [0, 0], 1)
        theirs = [
            lambda: torch.nn.functional.conv2d(tx, tw, None, stride, padding),
            lambda: back(tg, tx, tw, *rest, [True, False, False]),
            lambda: back(tg, tx, tw, *rest, [False, True, False]),
        ]
    jobs = [
        ("conv", [x, w, None], how),
        ("conv_input", [g, w, None], ((size,) * 2, *how)),
        ("conv_weight", [g, x], ((kernel,) * 2, *how)),
    ]
    return [
        (name, (lambda name=name, a=a, b=b: native.run(name, a, b), other))
        for (name, a, b), other in zip(jobs, theirs, strict=True)
        if not (first and name == "conv_input")
    ]


def pooling_jobs(shape: tuple[int, ...], torch: Any) -> list[tuple[str, Pair]]:
    """Maxima with indices, and the gradient."""
    n, c, size, kernel, stride, padding = shape
    x = np.random.default_rng(0).standard_normal((n, c, size, size), np.float32)
    attrs = ((kernel,) * 2, (stride,) * 2, (padding,) * 2, (1, 1), False)
    best, places = pool.max_pool.kernel(x, *attrs)
    back = (x.shape, stride >= kernel)
    theirs: list[Any] = [None] * 2
    if torch is not None:
        tx, tg, index = map(torch.from_numpy, (x, best, places))
        ahead = torch.ops.aten.max_pool2d_with_indices
        behind = torch.ops.aten.max_pool2d_with_indices_backward
        how = tuple(map(list, attrs[:4]))
        theirs = [lambda: ahead(tx, *how), lambda: behind(tg, tx, *how, False, index)]
    return [
        ("max_pool", (lambda: native.run("max_pool", [x], attrs), theirs[0])),
        ("plane_scatter", (lambda: native.run("plane_scatter", [best, places], back), theirs[1])),
    ]


def normalisation_jobs(shape: tuple[int, ...], torch: Any) -> list[tuple[str, Pair]]:
    """Forward in training, and the gradients."""
    n, c, size = shape
    rng = np.random.default_rng(0)
    x, g = (rng.standard_normal((n, c, size, size), np.float32) for _ in range(2))
    w, b = (rng.standard_normal(c, np.float32) for _ in range(2))
    _, mean, scale, _ = native.run("batch_norm", [x, w, b, None, None], (True, 1e-5))
    theirs: list[Any] = [None] * 2
    if torch is not None:
        tx, tg, tw, tb, tm, ts = map(torch.from_numpy, (x, g, w, b, mean, scale))
        ahead, behind = torch.native_batch_norm, torch.ops.aten.native_batch_norm_backward
        theirs = [
            lambda: ahead(tx, tw, tb, None, None, True, 0.1, 1e-5),
            lambda: behind(tg, tx, tw, None, None, tm, ts, True, 1e-5, [True] * 3),
        ]
    operands = [g, x, w, mean, scale]
    return [
        (
            "batch_norm",
            (lambda: native.run("batch_norm", [x, w, b, None, None], (True, 1e-5)), theirs[0]),
        ),
        (
            "norm_backward",
            (lambda: native.run("batch_norm_backward", operands, (True,)), theirs[1]),
        ),
    ]


def network(name: str, kinds: list[str], torch: Any, threads: int) -> None:
    """All layers of one network."""
    listed: list[tuple[int, Any, list[tuple[str, Pair]], int]] = []
    if "conv" in kinds:
        for often, shape, inner in CONVOLUTIONS[name]:
            n, c, size, k, kernel, stride, padding = shape
            side = (size + 2 * padding - kernel) // stride + 1
            # taps that fall on padding do no work
            taps = sum(
                0 <= i * stride - padding + t < size for i in range(side) for t in range(kernel)
            )
            work = 2 * n * c * k * taps * taps
            listed.append((often, shape, convolution_jobs(shape, not inner, torch), work))
    if "pool" in kinds:
        listed += [(o, s, pooling_jobs(s, torch), 0) for o, s in POOLINGS[name]]
    if "norm" in kinds:
        listed += [(o, s, normalisation_jobs(s, torch), 0) for o, s in NORMALISATIONS.get(name, [])]
    total = [0.0, 0.0]
    print(name)
    for often, shape, jobs, work in listed:
        for title, pair in jobs:
            times = microseconds(pair, threads)
            total = [t + often * v for t, v in zip(total, times, strict=True)]
            cells = [f"  {often} x {title:13} {shape!s:32}"]
            for taken in times:
                rate = f"{1e-3 * work / taken:7.1f}" if work and taken else " " * 7
                cells.append(f"{taken:9.0f} {rate}" if taken else " " * 17)
            ratio = f"{times[1] / times[0]:6.2f}" if times[1] else ""
            print(" |".join(cells), ratio, f"{often * (times[0] - times[1]):8.0f}", flush=True)
    theirs = f", PyTorch {total[1]:9.0f} us" if torch else ""
    print(f"  sum {total[0]:9.0f} us{theirs}")


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", default="")
    parser.add_argument("--kind", default="conv,pool,norm")
    options = parser.parse_args()
    torch = None
    if importlib.util.find_spec("torch") is not None:
        import torch

        torch.set_num_threads(options.threads)
    blas.set_threads(options.threads)
    head = f"{'':50} |{'native us':>10} GFLOP/s |{'PyTorch us':>10} GFLOP/s"
    print(head, "ratio, us lost a step")
    for name in CONVOLUTIONS:
        if any(part in name for part in options.only.split(",")):
            network(name, options.kind.split(","), torch, options.threads)


if __name__ == "__main__":
    main()
