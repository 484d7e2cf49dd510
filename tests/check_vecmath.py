"""Measures the vector math functions over all float32 numbers; a command, run nightly.

    python tests/check_vecmath.py                 # all 2^32 floats, some minutes a function
    python tests/check_vecmath.py --stride 997    # every 997th
    python tests/check_vecmath.py --only exp,log

The reference is NumPy in float64. Ends with status 1 if a result is more than 2 ulp off, or if a
special value is wrong.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from rushlight.codegen import native_pointwise
from rushlight.ops import special_math

CHUNK = 1 << 20  # floats at a time
LIMIT = 2.0


def _sigmoid(x: Any) -> Any:
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1) / (1 + e)


REFERENCES: dict[str, Callable[[Any], Any]] = {
    **{name: getattr(np, name) for name in ("exp", "exp2", "expm1", "log", "log1p", "log2")},
    **{name: getattr(np, name) for name in ("tanh", "sin", "cos")},
    "sigmoid": _sigmoid,
    "erf": special_math.erf,
}


def errors(got: Any, want: Any) -> Any:
    """Distances of float32 results from float64 ones, in units of the last place of the true value.

    Infinite where only one is NaN or infinite, or a zero has the wrong sign (true zeros only).
    """
    exponent = np.frexp(np.where(np.isfinite(want), want, 1))[1]
    unit = np.ldexp(1.0, np.maximum(exponent - 24, -149))
    with np.errstate(all="ignore"):
        rounded = want.astype(np.float32)
        distance = np.abs(got.astype(np.float64) - want) / unit
        # The largest float instead of infinity, or the reverse, is one step.
        capped = np.where(np.isinf(got), np.copysign(2.0**128, got), got.astype(np.float64))
        step = np.abs(capped - want) / unit
    distance = np.where(np.isinf(got) & np.isfinite(want), step, distance)
    exact = (np.isnan(got) & np.isnan(want)) | (np.isinf(rounded) & (got == rounded))
    distance = np.where(exact, 0.0, distance)
    wrong_zero = (want == 0) & (np.signbit(got) != np.signbit(want))
    distance = np.where(wrong_zero, np.inf, distance)
    return np.where(np.isnan(distance), np.inf, distance)


def reference(name: str, x: Any) -> Any:
    """The function of float32 numbers in float64."""
    with np.errstate(all="ignore"):
        return REFERENCES[name](x.astype(np.float64))


def chunks(stride: int) -> Iterator[Any]:
    """All floats, or every so many."""
    for start in range(0, 1 << 32, CHUNK * stride):
        stop = min(start + CHUNK * stride, 1 << 32)
        bits = np.arange(start, stop, stride, dtype=np.uint64).astype(np.uint32)
        yield bits.view(np.float32)


def worst(name: str, pieces: Iterator[Any]) -> tuple[float, float]:
    """The largest error of a function, and where it is."""
    largest, place = 0.0, 0.0
    for x in pieces:
        x = np.resize(x, max(x.size, 64))  # at least a vector
        found = errors(native_pointwise.evaluate(name, x), reference(name, x))
        i = int(np.argmax(found))
        if found[i] > largest:
            largest, place = float(found[i]), float(x[i])
    return largest, place


def main() -> int:
    """Checks the functions that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stride", type=int, default=1)
    parser.add_argument("--only", default=",".join(REFERENCES))
    given = parser.parse_args()
    failed = 0
    for name in given.only.split(","):
        start = time.process_time()
        largest, place = worst(name, chunks(given.stride))
        failed += largest > LIMIT
        seconds = time.process_time() - start
        print(f"{name:8s} {largest:.4f} ulp at {place!r:26}  {seconds:.0f} s", flush=True)
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
