"""What a worker process knows about itself: `get_worker_info()`.

In: set by the worker's loop.  Out: a `WorkerInfo`, or None in the main process.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """A worker's number, the number of workers, its seed and its copy of the data set."""

    id: int
    num_workers: int
    seed: int
    dataset: Any
    rng: Any = None
    worker_method: str | None = "multiprocessing"


_worker_info: WorkerInfo | None = None


def get_worker_info() -> WorkerInfo | None:
    """What the current worker process knows about itself; None in the main process.

    Use it in an `IterableDataset` to give each worker its share.

    Example:
        >>> from rushlight.utils.data import get_worker_info
        >>> get_worker_info() is None
        True
    """
    return _worker_info


def set_worker_info(info: WorkerInfo) -> None:
    """Make this process a worker."""
    global _worker_info
    _worker_info = info
