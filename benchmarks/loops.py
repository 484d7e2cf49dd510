"""Generated loops beside NumPy, and beside PyTorch where it is installed.

    python benchmarks/loops.py [--threads 2] [--rounds 9]

Each line: the kernel, microseconds of the compiled loop on one thread and on several, of NumPy and
of PyTorch eager (same number of threads), the ratio to PyTorch, and what the kernel cost to make:
milliseconds for the text and for LLVM.
"""

from __future__ import annotations

import argparse
import ctypes
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.codegen import engine, loops, native, threads
from rushlight.compiler.loops import Instruction, Kernel, Reduce, Stage, Store

F32 = np.dtype(np.float32)
ROWS, COLUMNS = 512, 1000
CHAIN = "add multiply subtract maximum add multiply minimum add".split()


def put(name: str, args: tuple[int, ...] = (), attrs: tuple[Any, ...] = ()) -> Instruction:
    return Instruction(name, args, attrs, F32)


def chain(n: int) -> Kernel:
    """Eight operations on two arrays."""
    body = [put("load", (), (0, 0, (1,))), put("load", (), (1, 0, (1,)))]
    before = 0
    for name in CHAIN:
        body.append(put(name, (before, 1)))
        before = len(body) - 1
    stage = Stage(tuple(body), (), (Store(before, 2, 0, (1,)),), True)
    return Kernel((), (n,), (F32,) * 3, 0, (stage,))


def softmax(rows: int, n: int, logarithm: bool) -> Kernel:
    step = (n, 1)
    x, top, total = put("load", (), (0, 0, step)), (0, 0), (1, 0)
    moved = (x, put("reduced", (), top), put("subtract", (0, 1)))
    stages = [Stage((x,), (Reduce("maximum", 0, F32),), (), True)]
    stores = () if logarithm else (Store(3, 1, 0, step),)
    stages.append(Stage((*moved, put("exp", (2,))), (Reduce("add", 3, F32),), stores, True))
    if logarithm:
        rest = (put("reduced", (), total), put("log", (3,)), put("subtract", (2, 4)))
        stages.append(Stage((*moved, *rest), (), (Store(5, 1, 0, step),), True))
    else:
        body = (put("load", (), (1, 0, step)), put("reduced", (), total), put("divide", (0, 1)))
        stages.append(Stage(body, (), (Store(2, 1, 0, step),), True))
    return Kernel((rows,), (n,), (F32, F32), 0, tuple(stages))


def layer_norm(rows: int, n: int) -> Kernel:
    step = (n, 1)
    x, count = put("load", (), (0, 0, step)), put("const", (), (n,))
    centred = (x, put("reduced", (), (0, 0)), count, put("divide", (1, 2)), put("subtract", (0, 3)))
    stages = [Stage((x,), (Reduce("add", 0, F32),), (), True)]
    square = (*centred, put("multiply", (4, 4)))
    stages.append(Stage(square, (Reduce("add", 5, F32),), (), True))
    last = (
        *centred,
        *(put("reduced", (), (1, 0)), put("divide", (5, 2)), put("const", (), (1e-5,))),
        *(put("add", (6, 7)), put("sqrt", (8,)), put("divide", (4, 9))),
        *(put("load", (), (1, 0, (0, 1))), put("multiply", (10, 11))),
        *(put("load", (), (2, 0, (0, 1))), put("add", (12, 13))),
    )
    stages.append(Stage(last, (), (Store(14, 3, 0, step),), True))
    return Kernel((rows,), (n,), (F32,) * 4, 0, tuple(stages))


def total(outer: int, inner: int, strides: tuple[int, int]) -> Kernel:
    """Sums over the inner axis."""
    first = Stage((put("load", (), (0, 0, strides)),), (Reduce("add", 0, F32),), (), True)
    last = Stage((put("reduced", (), (0, 0)),), (), (Store(0, 1, 0, (1, 0)),), False)
    return Kernel((outer,), (inner,), (F32, F32), 0, (first, last))


def copy(shape: tuple[int, ...], strides: tuple[int, ...]) -> Kernel:
    """A row-major copy."""
    target = tuple([int(np.prod(shape[i + 1 :])) for i in range(len(shape))])
    stage = Stage((put("load", (), (0, 0, strides)),), (), (Store(0, 1, 0, target),), True)
    return Kernel((), shape, (F32, F32), 0, (stage,))


def torch_runs() -> dict[str, Callable[[Any, Any], Any]]:
    """What PyTorch does for each case; nothing without it."""
    try:
        import torch
    except ImportError:
        return {}

    def eight(x: Any, y: Any) -> Any:
        a = torch.maximum((x + y) * y - y, y)
        return torch.minimum((a + y) * y, y) + y

    norm = torch.nn.functional.layer_norm
    return {
        "chain": eight,
        "small chain": lambda x, y: eight(x[:1000], y[:1000]),
        "softmax": lambda x, y: torch.softmax(x, 1),
        "log_softmax": lambda x, y: torch.log_softmax(x, 1),
        "layer_norm": lambda x, y: norm(x, (COLUMNS,), y[0], y[0]),
        "column sums": lambda x, y: x.sum(0),
        "row sums": lambda x, y: x.sum(1),
        "sum": lambda x, y: x.sum(),
        "transpose": lambda x, y: x.t().contiguous(),
    }


def eight(x: Any, y: Any) -> Any:
    a = np.maximum((x + y) * y - y, y)
    return np.minimum((a + y) * y, y) + y


def numpy_softmax(x: Any, y: Any) -> Any:
    e = np.exp(x - x.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def numpy_norm(x: Any, y: Any) -> Any:
    d = x - x.mean(1, keepdims=True)
    return d / np.sqrt((d * d).mean(1, keepdims=True) + np.float32(1e-5)) * y[0] + y[0]


CASES: dict[str, tuple[Kernel, tuple[int, ...], Callable[[Any, Any], Any]]] = {
    "chain": (chain(1_000_000), (1_000_000,), eight),
    "small chain": (chain(1000), (1000,), eight),
    "softmax": (softmax(ROWS, COLUMNS, False), (ROWS, COLUMNS), numpy_softmax),
    "log_softmax": (
        softmax(ROWS, COLUMNS, True),
        (ROWS, COLUMNS),
        lambda x, y: np.log(numpy_softmax(x, y)),
    ),
    "layer_norm": (layer_norm(ROWS, COLUMNS), (ROWS, COLUMNS), numpy_norm),
    "column sums": (total(COLUMNS, ROWS, (1, COLUMNS)), (ROWS, COLUMNS), lambda x, y: x.sum(0)),
    "row sums": (total(ROWS, COLUMNS, (COLUMNS, 1)), (ROWS, COLUMNS), lambda x, y: x.sum(1)),
    "sum": (total(1, ROWS * COLUMNS, (0, 1)), (ROWS, COLUMNS), lambda x, y: x.sum()),
    "transpose": (
        copy((COLUMNS, ROWS), (1, COLUMNS)),
        (ROWS, COLUMNS),
        lambda x, y: np.ascontiguousarray(x.T),
    ),
    "2 by 4 columns": (total(4, 2, (1, 4)), (2, 4), lambda x, y: x.sum(0)),
}


def microseconds(run: Callable[[], object], rounds: int) -> float:
    """The least time of several rounds of about 20 ms."""
    run()
    start = time.perf_counter()
    run()
    repeat = max(1, int(0.02 / max(time.perf_counter() - start, 1e-7)))
    best = float("inf")
    for _ in range(rounds):
        start = time.perf_counter()
        for _ in range(repeat):
            run()
        best = min(best, time.perf_counter() - start)
    return best * 1e6 / repeat


def operands(kernel: Kernel, shape: tuple[int, ...]) -> list[Any]:
    """Two arrays of this shape, or rows, and what the kernel writes."""
    rng = np.random.default_rng(0)
    given = [rng.standard_normal(shape).astype(F32) for _ in range(2)]
    size = max(int(np.prod(shape)), 1)
    reads = 1 + (len(kernel.buffers) > 2)
    arrays = given[:reads] + given[1:2] * (len(kernel.buffers) - 1 - reads)
    return [*arrays, np.zeros(size, F32)]


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=9)
    given = parser.parse_args()
    pool, torches = threads.pool(given.threads), torch_runs()
    if torches:
        import torch

        torch.set_num_threads(given.threads)
    print("us                  1 thread  threads    NumPy  PyTorch  ratio    text  compile")
    for name, (kernel, shape, numpy_run) in CASES.items():
        start = time.perf_counter()
        ir = loops.module([("loop_bench_" + name.replace(" ", "_"), kernel)])
        made = time.perf_counter()
        engine.compile_ir(ir)
        done = time.perf_counter()
        entry = engine.address("loop_bench_" + name.replace(" ", "_"))
        arrays = operands(kernel, shape)
        block = np.array([*map(native.address, arrays), 0], np.int64)
        place = native.address(block)
        call = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)(entry)
        x, y = arrays[0], arrays[min(1, len(arrays) - 2)]
        times = [
            microseconds(lambda: call(place, 0, 1), given.rounds),  # noqa: B023
            microseconds(lambda: pool.run(entry, place, given.threads), given.rounds),  # noqa: B023
            microseconds(lambda: numpy_run(x, y), given.rounds),  # noqa: B023
        ]
        line = f"{name:18s} {times[0]:9.2f} {times[1]:8.2f} {times[2]:8.2f}"
        other = torches.get(name)
        if other is not None:
            tensors = [torch.from_numpy(v) for v in (x, y)]
            times.append(microseconds(lambda: other(*tensors), given.rounds))  # noqa: B023
            line += f" {times[3]:8.2f} {times[3] / min(times[:2]):5.2f}x"
        else:
            line += " " * 16
        print(f"{line}  {1e3 * (made - start):6.2f}   {1e3 * (done - made):6.2f}")


if __name__ == "__main__":
    main()
