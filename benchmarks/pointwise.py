"""Compiled elementwise kernels and softmax beside NumPy's: processor time on one thread.

    python benchmarks/pointwise.py [--size 1048576] [--rounds 15]

Each line: the record, milliseconds with NumPy (`RUSHLIGHT_NATIVE=0`) and with the compiled kernel,
and their ratio. A record belongs to `codegen.NATIVE_LARGE` if the ratio is at least 1.3 from some
size on, which stands in ``codegen/native_pointwise.py``. NumPy as on machines without AVX-512:

    NPY_DISABLE_CPU_FEATURES="X86_V4 AVX512_ICL AVX512_SPR" python benchmarks/pointwise.py
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import rushlight as rl
from rushlight.codegen import native, native_pointwise

F = rl.nn.functional
CASES: dict[str, Callable[[Any], Any]] = {
    **{name: getattr(rl, name) for name in ("exp", "exp2", "expm1", "log", "log1p", "log2")},
    **{name: getattr(rl, name) for name in ("tanh", "erf", "sin", "cos", "sigmoid")},
    "silu": F.silu,
    "log_sigmoid": F.logsigmoid,
    "gelu": F.gelu,
    "gelu tanh": lambda x: F.gelu(x, approximate="tanh"),
    "mish": F.mish,
    "softplus": F.softplus,
    "elu": F.elu,
    "softmax": lambda x: F.softmax(x.view(-1, 1024), 1),
    "log_softmax": lambda x: F.log_softmax(x.view(-1, 1024), 1),
    "layer_norm": lambda x: F.layer_norm(x.view(-1, 1024), (1024,), x[:1024], x[:1024]),
    "layer_norm of 64": lambda x: F.layer_norm(x.view(-1, 64), (64,)),
    "softmax of 16": lambda x: F.softmax(x.view(-1, 16), 1),
}


def milliseconds(run: Callable[[], object], rounds: int, repeat: int) -> float:
    """The least processor time of several rounds."""
    run()
    best = float("inf")
    for _ in range(rounds):
        start = time.process_time()
        for _ in range(repeat):
            run()
        best = min(best, time.process_time() - start)
    return best * 1e3 / repeat


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=1 << 20)
    parser.add_argument("--rounds", type=int, default=15)
    given = parser.parse_args()
    rl.set_num_threads(1)
    rl.manual_seed(0)
    repeat = max(1, (1 << 20) // given.size)
    native_pointwise.LARGER.clear()  # measured is also what is left to NumPy
    native_pointwise._QUICK_IN_NUMPY = frozenset()
    print(f"{given.size} elements      NumPy   compiled")
    for name, run in CASES.items():
        x = rl.randn(given.size)
        x = x.abs() + 0.1 if name.startswith("log") and "s" not in name else x
        times = []
        for native.enabled in (False, True):
            times.append(milliseconds(lambda: run(x), given.rounds, repeat))  # noqa: B023
        print(f"{name:16s} {times[0]:9.3f}  {times[1]:9.3f} ms  {times[0] / times[1]:6.2f}x")


if __name__ == "__main__":
    main()
