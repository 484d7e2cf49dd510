"""Versions: rushlight's own, and the PyTorch and torchvision whose API it has.

Scripts know this module as ``torch.version``. ``torch.__version__`` is ``torch_version``; like
PyTorch's it compares with strings and tuples.
"""

from __future__ import annotations

import re
from typing import Any

__all__ = [
    "TorchVersion",
    "__version__",
    "rushlight_version",
    "torch_version",
    "torchvision_version",
]

_PARTS = re.compile(r"(\d+(?:\.\d+)*)(a|b|rc)?(\d+)?")


class TorchVersion(str):
    """A version string that compares by its numbers, also with strings and tuples.

    Example:
        >>> TorchVersion("2.13.0+rushlight") >= (2, 4), TorchVersion("2.13.0") > "2.9"
        (True, True)
    """

    __slots__ = ()

    def _key(self, other: Any) -> tuple[Any, ...] | None:
        text = ".".join(map(str, other)) if isinstance(other, (tuple, list)) else str(other)
        match = _PARTS.match(text.strip().removeprefix("v"))
        if match is None:
            return None
        numbers = [int(n) for n in match[1].split(".")]
        while numbers and numbers[-1] == 0:  # 2.13 and 2.13.0 are equal
            numbers.pop()
        stage = (match[2] or "z", int(match[3] or 0))  # final versions follow their candidates
        return (numbers, stage)

    def _compare(self, other: Any) -> int | None:
        mine, theirs = self._key(str(self)), self._key(other)
        if mine is None or theirs is None:
            return None
        return int(mine > theirs) - int(mine < theirs)

    def __eq__(self, other: object) -> bool:
        if str.__eq__(self, other) is True:
            return True
        return self._compare(other) == 0

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __lt__(self, other: Any) -> bool:
        return self._ordered(other) < 0

    def __le__(self, other: Any) -> bool:
        return self._ordered(other) <= 0

    def __gt__(self, other: Any) -> bool:
        return self._ordered(other) > 0

    def __ge__(self, other: Any) -> bool:
        return self._ordered(other) >= 0

    def _ordered(self, other: Any) -> int:
        order = self._compare(other)
        if order is None:
            raise TypeError(f"{other!r} is not a version")
        return order

    __hash__ = str.__hash__

    def __reduce__(self) -> tuple[Any, ...]:
        return TorchVersion, (str(self),)


rushlight_version = "0.1.0"
torch_version = TorchVersion("2.13.0+rushlight")
__version__ = torch_version
torchvision_version = "0.28.0+rushlight"

# What scripts read from torch.version.
cuda: str | None = None
hip: str | None = None
debug = False
