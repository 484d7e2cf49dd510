"""CPU time of the eager kernels that training uses, on one thread.

    python benchmarks/kernels.py [--module torch] [--only conv] [--repeat 15]

Each line is the least process time of several runs, forward and backward apart, in milliseconds.
With ``--module torch`` the same cases run on PyTorch, if it is installed.
"""

from __future__ import annotations

import argparse
import importlib
import os
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")


def cases(t: Any) -> dict[str, tuple[Callable[..., Any], list[Any]]]:
    """Name to (function, inputs); floating inputs get gradients."""
    f = t.nn.functional

    def r(*shape: int) -> Any:
        return t.rand(*shape)

    labels, words = t.randint(0, 10, (64,)), t.randint(0, 1000, (64, 128))
    found: dict[str, tuple[Callable[..., Any], list[Any]]] = {}
    for name, x, w, kw in (
        ("conv2d lenet1 4x1x32x32 k5", (4, 1, 32, 32), (6, 1, 5, 5), {}),
        ("conv2d lenet2 4x6x14x14 k5", (4, 6, 14, 14), (16, 6, 5, 5), {}),
        ("conv2d cifar1 64x3x32x32 k5p2", (64, 3, 32, 32), (32, 3, 5, 5), {"padding": 2}),
        ("conv2d cifar2 64x32x16x16 k5p2", (64, 32, 16, 16), (32, 32, 5, 5), {"padding": 2}),
        ("conv2d cifar3 64x32x8x8 k5p2", (64, 32, 8, 8), (64, 32, 5, 5), {"padding": 2}),
        ("conv2d vgg 8x64x32x32 k3p1", (8, 64, 32, 32), (64, 64, 3, 3), {"padding": 1}),
        ("conv2d 1x1 8x64x32x32", (8, 64, 32, 32), (128, 64, 1, 1), {}),
        (
            "conv2d stride2 8x64x32x32",
            (8, 64, 32, 32),
            (128, 64, 3, 3),
            {"padding": 1, "stride": 2},
        ),
        (
            "conv2d depthwise 8x64x32x32",
            (8, 64, 32, 32),
            (64, 1, 3, 3),
            {"padding": 1, "groups": 64},
        ),
    ):
        found[name] = (lambda x, w, b, kw=kw: f.conv2d(x, w, b, **kw), [r(*x), r(*w), r(w[0])])
    for name, shape, kernel, kw in (
        ("max_pool2d 2 4x6x28x28", (4, 6, 28, 28), 2, {}),
        ("max_pool2d 2 64x32x32x32", (64, 32, 32, 32), 2, {}),
        ("max_pool2d 3s2p1 8x64x32x32", (8, 64, 32, 32), 3, {"stride": 2, "padding": 1}),
    ):
        found[name] = (lambda x, k=kernel, kw=kw: f.max_pool2d(x, k, **kw), [r(*shape)])
    found["avg_pool2d 2 64x32x32x32"] = (lambda x: f.avg_pool2d(x, 2), [r(64, 32, 32, 32)])
    found["batch_norm 64x32x32x32"] = (
        lambda x, w, b: f.batch_norm(x, None, None, w, b, True),
        [r(64, 32, 32, 32), r(32), r(32)],
    )
    found["layer_norm 64x128x256"] = (
        lambda x, w, b: f.layer_norm(x, (256,), w, b),
        [r(64, 128, 256), r(256), r(256)],
    )
    found["relu 64x32x32x32"] = (f.relu, [r(64, 32, 32, 32)])
    found["gelu 64x128x256"] = (f.gelu, [r(64, 128, 256)])
    found["dropout 64x32x32x32"] = (lambda x: f.dropout(x, 0.5, True), [r(64, 32, 32, 32)])
    found["cross_entropy 64x10"] = (lambda x: f.cross_entropy(x, labels), [r(64, 10)])
    found["linear 64x1024x64"] = (f.linear, [r(64, 1024), r(64, 1024), r(64)])
    found["embedding 64x128 of 1000x256"] = (
        lambda w: f.embedding(words, w),
        [r(1000, 256)],
    )
    found["adaptive_avg_pool2d 1 64x512x7x7"] = (
        lambda x: f.adaptive_avg_pool2d(x, 1),
        [r(64, 512, 7, 7)],
    )
    found["interpolate bilinear 8x3x375x500 to 224"] = (
        lambda x: f.interpolate(x, (224, 224), mode="bilinear", antialias=True),
        [r(8, 3, 375, 500)],
    )
    found["ctc_loss 50x16x20"] = (
        lambda x: f.ctc_loss(x, words[:16, :30] % 19 + 1, (50,) * 16, (30,) * 16),
        [r(50, 16, 20)],
    )
    return found


def least(run: Callable[[], Any], repeat: int) -> float:
    """The least process time of several runs, in milliseconds."""
    best = float("inf")
    for _ in range(repeat):
        start = time.process_time_ns()
        run()
        best = min(best, (time.process_time_ns() - start) / 1e6)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--module", default="rushlight")
    parser.add_argument("--only", default="")
    parser.add_argument("--repeat", type=int, default=15)
    args = parser.parse_args()
    t = importlib.import_module(args.module)
    t.set_num_threads(1)
    print(f"{'kernel':<36}{'forward ms':>12}{'backward ms':>13}")
    for name, (function, inputs) in cases(t).items():
        if args.only not in name:
            continue
        inputs = [x.requires_grad_() for x in inputs]
        out = function(*inputs)
        grad = t.ones_like(out)
        forward = least(lambda f=function, xs=inputs: f(*xs), args.repeat)
        backward = least(lambda y=out, g=grad: y.backward(g, retain_graph=True), args.repeat)
        print(f"{name:<36}{forward:12.3f}{backward:13.3f}")


if __name__ == "__main__":
    main()
