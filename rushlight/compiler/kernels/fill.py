"""Fills places of an output with its channels' bias: those that no window of a convolution reaches.

for plane (an image and a channel), handed to whichever thread asks next:
    for z, y, x: out[plane + z * z_step + y * y_step + x * x_step] = bias[channel]
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.compiler.kernels.emit import Function, VectorType, declarations
from rushlight.compiler.kernels.windows import PARAMETERS

__all__ = ["BIAS", "COUNT", "COUNTER", "OUT", "block", "module", "name_of"]

_FIELDS = ("out", "bias", "counter", "images", "channels", "o_n", "o_c")
_COUNTS, _STEPS = ("planes", "rows", "columns"), ("z_step", "y_step", "x_step")
_ALL = (*_FIELDS, *_COUNTS, *_STEPS)
OUT, BIAS, COUNTER = range(3)
COUNT = len(_ALL)  # how many planes were handed out stands behind the fields


def name_of(t: VectorType) -> str:
    """The name of the function."""
    return f"rl_fill_{t.tag}"


def block(n: int, c: int, strides: Any, counts: Any, steps: Any) -> Any:
    """The argument block without pointers.

    Args:
        strides: of image and channel in elements.
        counts: places in z, y, x; steps likewise, in elements.
    """
    return np.array([0, 0, 0, n, c, *strides, *counts, *steps, 0], np.int64)


def module(t: VectorType) -> str:
    """The IR."""
    f = Function(name_of(t), PARAMETERS, _ALL)
    channels = f.field("channels")
    planes = f.mul(f.field("images"), channels)
    counts, steps = [f.field(n) for n in _COUNTS], [f.field(n) for n in _STEPS]
    with f.claim(f.field("counter", "ptr"), planes) as plane:
        image, channel = f.divide(plane, channels)
        place = f.add(f.mul(image, f.field("o_n")), f.mul(channel, f.field("o_c")))
        out = f.at(t.scalar, f.field("out", "ptr"), place)
        value = f.load(t.scalar, f.at(t.scalar, f.field("bias", "ptr"), channel))
        with f.loop(0, counts[0]) as z, f.loop(0, counts[1]) as y:
            row = f.at(t.scalar, out, f.mul(z, steps[0]), f.mul(y, steps[1]))
            with f.loop(0, counts[2]) as x:
                f.store(t.scalar, value, f.at(t.scalar, row, f.mul(x, steps[2])))
    return declarations(t) + f.text()
