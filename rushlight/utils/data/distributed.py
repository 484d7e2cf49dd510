"""A sampler that gives each process of a distributed run its share of the indices.

In: a data set and this process's place.  Out: an iterator of indices.  Mirrors
`torch.utils.data.distributed`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, TypeVar

import rushlight as rl
from rushlight.utils.data.sampler import Sampler

__all__ = ["DistributedSampler"]

T_co = TypeVar("T_co", covariant=True)


def _distributed() -> Any:
    """The distributed package, which must be there."""
    package = getattr(rl, "distributed", None)
    if package is None or not package.is_available():
        raise RuntimeError("Requires distributed package to be available")
    return package


class DistributedSampler(Sampler[T_co]):
    """Every `num_replicas`-th index, shuffled alike in all processes.

    Args:
        dataset: the data set.
        num_replicas: how many processes share it (default: the world size).
        rank: which one this is (default: the process's rank).
        shuffle: shuffle the indices, by seed and epoch (default True).
        seed: the same in all processes (default 0).
        drop_last: leave out what does not divide evenly; else the first indices come again so
            that all shares are equal (default False).

    Call `set_epoch` before each epoch, or every epoch has the same order.

    Example:
        >>> from rushlight.utils.data import DistributedSampler
        >>> list(DistributedSampler(range(5), num_replicas=2, rank=0, shuffle=False))
        [0, 2, 4]
        >>> list(DistributedSampler(range(5), num_replicas=2, rank=1, shuffle=False))
        [1, 3, 0]
    """

    def __init__(
        self,
        dataset: Any,
        num_replicas: int | None = None,
        rank: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
    ) -> None:
        if num_replicas is None:
            num_replicas = int(_distributed().get_world_size())
        if rank is None:
            rank = int(_distributed().get_rank())
        if rank >= num_replicas or rank < 0:
            raise ValueError(
                f"Invalid rank {rank}, rank should be in the interval [0, {num_replicas - 1}]"
            )
        self.dataset = dataset
        self.num_replicas = num_replicas
        self.rank = rank
        self.epoch = 0
        self.drop_last = drop_last
        count = len(dataset)
        if drop_last and count % num_replicas != 0:
            count -= num_replicas
        self.num_samples = math.ceil(count / num_replicas)
        self.total_size = self.num_samples * num_replicas
        self.shuffle = shuffle
        self.seed = seed

    def __iter__(self) -> Iterator[T_co]:
        count = len(self.dataset)
        if self.shuffle:
            generator = rl.Generator()
            generator.manual_seed(self.seed + self.epoch)
            indices = rl.randperm(count, generator=generator).tolist()
        else:
            indices = list(range(count))
        if self.drop_last:
            indices = indices[: self.total_size]
        elif count < self.total_size:
            indices = (indices * math.ceil(self.total_size / count))[: self.total_size]
        return iter(indices[self.rank : self.total_size : self.num_replicas])

    def __len__(self) -> int:
        return self.num_samples

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of an epoch.

        Args:
            epoch: the number of the epoch.
        """
        self.epoch = epoch
