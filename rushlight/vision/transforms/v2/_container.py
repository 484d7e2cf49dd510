"""Transforms of transforms: in a row, at random, in random order.

In: a list of callables. Out: one transform. Unlike v1, all draws come from the tensor generator.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import rushlight as rl

from .. import transforms as v1
from .._draws import coin
from ._transform import Transform


def _check(transforms: Any, kinds: tuple[type, ...] = (Sequence,), also: str = "") -> None:
    if not isinstance(transforms, kinds):
        raise TypeError(f"Argument transforms should be a sequence of callables{also}")
    if not transforms:
        raise ValueError("Pass at least one transform")


def _in_a_row(transforms: Any, inputs: tuple[Any, ...]) -> Any:
    several = len(inputs) > 1
    outputs: Any = inputs if several else inputs[0]
    for transform in transforms:
        outputs = transform(*inputs)
        inputs = outputs if several else (outputs,)
    return outputs


class Compose(Transform):
    """Apply transforms one after the other.

    Args:
        transforms: at least one callable.

    Example:
        >>> import rushlight as rl
        >>> from rushlight.vision.transforms import v2
        >>> v2.Compose([v2.ToImage(), v2.ToDtype(rl.float32, scale=True)])
        Compose(
              ToImage()
              ToDtype(scale=True)
        )
    """

    def __init__(self, transforms: Sequence[Any]) -> None:
        super().__init__()
        _check(transforms)
        self.transforms = transforms

    def forward(self, *inputs: Any) -> Any:
        return _in_a_row(self.transforms, inputs)

    def extra_repr(self) -> str:
        return "\n".join(f"    {t}" for t in self.transforms)


class RandomApply(Transform):
    """Apply all of the transforms, with probability p, or none."""

    _v1_transform_cls = v1.RandomApply

    def __init__(self, transforms: Any, p: float = 0.5) -> None:
        super().__init__()
        _check(transforms, (Sequence, rl.nn.ModuleList), " or a `nn.ModuleList`")
        self.transforms = transforms
        if not 0.0 <= p <= 1.0:
            raise ValueError("`p` should be a floating point value in the interval [0.0, 1.0].")
        self.p = p

    def forward(self, *inputs: Any) -> Any:
        if not coin(self.p):
            return inputs if len(inputs) > 1 else inputs[0]
        return _in_a_row(self.transforms, inputs)

    def extra_repr(self) -> str:
        return "\n".join(f"    {t}" for t in self.transforms)


class RandomChoice(Transform):
    """Apply one of the transforms, with weights `p`."""

    def __init__(self, transforms: Sequence[Any], p: Any = None) -> None:
        _check(transforms)
        if p is None:
            p = [1] * len(transforms)
        elif len(p) != len(transforms):
            raise ValueError(
                f"Length of p doesn't match the number of transforms: {len(p)} != {len(transforms)}"
            )
        super().__init__()
        self.transforms = transforms
        total = sum(p)
        self.p = [weight / total for weight in p]

    def forward(self, *inputs: Any) -> Any:
        chosen = int(rl.multinomial(rl.tensor(self.p), 1))
        return self.transforms[chosen](*inputs)


class RandomOrder(Transform):
    """Apply the transforms in random order."""

    def __init__(self, transforms: Sequence[Any]) -> None:
        _check(transforms)
        super().__init__()
        self.transforms = transforms

    def forward(self, *inputs: Any) -> Any:
        order = rl.randperm(len(self.transforms)).tolist()
        return _in_a_row([self.transforms[i] for i in order], inputs)
