"""ChannelShuffle: deal the channels of groups out to one another.

In: (N, C, *).  Out: the same values, channels rearranged.
"""

from __future__ import annotations

from typing import Any

from rushlight.nn import functional as F

from .module import Module

__all__ = ["ChannelShuffle"]


class ChannelShuffle(Module):
    """Splits channels into `groups`, and interleaves the groups.

    Args:
        groups: how many; the channels are divisible by it.

    Source: Zhang et al., "ShuffleNet", 2017.

    Example:
        >>> import rushlight as rl
        >>> rl.nn.ChannelShuffle(2)(rl.arange(4.0).reshape(1, 4, 1)).flatten()
        tensor([0., 2., 1., 3.])
    """

    __constants__ = ["groups"]
    groups: int

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, input: Any) -> Any:
        """Rearrange `input`."""
        return F.channel_shuffle(input, self.groups)

    def extra_repr(self) -> str:
        return f"groups={self.groups}"
