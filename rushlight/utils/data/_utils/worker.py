"""The life of a worker process.

In: a `Job` and two pipes: tasks come through one, batches go through the other.  Out: a batch, an
exception or an end for each task.  A worker ends when it is told to, when the main process closes
the pipe, and when the main process is gone: a thread listens, so it notices even while the
worker's own code runs.  Mirrors the behaviour of `torch.utils.data._utils.worker`.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import queue
import random
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

import rushlight as rl
from rushlight.utils.data._utils import transport
from rushlight.utils.data._utils.fetch import create_fetcher
from rushlight.utils.data._utils.main_script import MainScript
from rushlight.utils.data._utils.worker_info import WorkerInfo, get_worker_info, set_worker_info

__all__ = ["ExceptionWrapper", "Job", "get_worker_info", "worker_main"]

PARENT_CHECK_SECONDS = 1.0


@dataclass
class Job:
    """What a worker is to do; pickled for spawned workers, inherited by forked ones."""

    is_iterable: bool
    dataset: Any
    auto_collation: bool
    collate_fn: Callable[[Any], Any]
    drop_last: bool
    base_seed: int
    init_fn: Callable[[int], Any] | None
    worker_id: int
    num_workers: int
    parent_pid: int | None

    def create_fetcher(self) -> Any:
        """A fetcher for one epoch."""
        return create_fetcher(
            self.is_iterable, self.dataset, self.auto_collation, self.collate_fn, self.drop_last
        )


class Resume:
    """Message: a new epoch begins; the worker sends it back when it is ready."""


class StreamEnd:
    """Message: this worker's copy of an iterable data set has ended."""


class KeyErrorMessage(str):
    """A text whose `repr` is itself, since KeyError prints the `repr` of its argument."""

    def __repr__(self) -> str:
        return str(self)


class ExceptionWrapper:
    """The exception being handled, as its type and its formatted traceback."""

    def __init__(self, where: str) -> None:
        exc_type, value, trace = sys.exc_info()
        assert exc_type is not None
        self.text = "".join(traceback.format_exception(exc_type, value, trace))
        self.where = where
        self.name = exc_type.__name__
        try:
            pickle.dumps(exc_type)
            self.exc_type: Any = exc_type
        except Exception:  # a class that the main process cannot find
            self.exc_type = RuntimeError

    def reraise(self) -> None:
        """Raise an exception of the same type that shows the original traceback."""
        message = f"Caught {self.name} {self.where}.\nOriginal {self.text}"
        if self.exc_type is KeyError:
            raise KeyError(KeyErrorMessage(message))
        try:
            if getattr(self.exc_type, "message", None):
                error = self.exc_type(message=message)
            else:
                error = self.exc_type(message)
        except Exception:  # a constructor that wants other arguments
            raise RuntimeError(message) from None
        raise error


def worker_main(main: MainScript | None, job: Job, tasks: Any, results: Any, others: Any) -> None:
    """Run a worker; the target of its process.

    Args:
        main: unpickled first, so that the main script's classes exist for the rest.
        job: what to do.
        tasks: where tasks come from.
        results: where batches go.
        others: the main process's ends of pipes that a forked worker has inherited.
    """
    rl.compiler.set_tier(0)  # a worker trains nothing
    for connection in others:
        connection.close()
    inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
    stop = threading.Event()
    threading.Thread(target=_listen, args=(tasks, inbox, stop, job.parent_pid), daemon=True).start()
    # Ctrl-C reaches the main process as well; a closed pipe means that it has gone.
    with contextlib.suppress(KeyboardInterrupt, BrokenPipeError, ConnectionResetError):
        _work(job, inbox, stop, results)


def _listen(tasks: Any, inbox: Any, stop: threading.Event, parent_pid: int | None) -> None:
    """Pass tasks on, until there are no more; end the process when its parent is gone."""
    parent_pid = os.getppid() if parent_pid is None else parent_pid
    listening = True
    while True:
        if not listening:
            time.sleep(PARENT_CHECK_SECONDS)
        else:
            try:
                message = tasks.recv() if tasks.poll(PARENT_CHECK_SECONDS) else False
            except (EOFError, OSError):
                message = None
            if message is None:
                listening = False
                stop.set()
            if message is not False:
                inbox.put(message)
        if os.getppid() != parent_pid:
            os._exit(1)


def _seed(job: Job) -> int:
    """Seed the three random streams, as PyTorch does."""
    seed = job.base_seed + job.worker_id
    random.seed(seed)
    rl.manual_seed(seed)
    entropy = [job.worker_id, job.base_seed & 0xFFFFFFFF, job.base_seed >> 32, 0]
    np.random.seed(np.random.SeedSequence(entropy).generate_state(4))
    return seed


def _work(job: Job, inbox: Any, stop: threading.Event, results: Any) -> None:
    """Answer tasks until told to stop."""
    where = f"in DataLoader worker process {job.worker_id}"
    rl.set_num_threads(1)
    seed = _seed(job)
    set_worker_info(WorkerInfo(job.worker_id, job.num_workers, seed, job.dataset))
    fetcher: Any = None
    failure: ExceptionWrapper | None = None
    try:
        if job.init_fn is not None:
            job.init_fn(job.worker_id)
        fetcher = job.create_fetcher()
    except Exception:
        failure = ExceptionWrapper(where)
    ended = False
    while not stop.is_set():
        task = inbox.get()
        if task is None:
            return
        if isinstance(task, Resume):
            fetcher, failure, ended = _resume(job, where)
            _answer(results, task, None, where)
            continue
        if ended:
            continue
        index, what = task
        if failure is not None:
            _answer(results, index, failure, where)
            continue
        data, ended = _fetch(fetcher, what, job.is_iterable, where)
        _answer(results, index, data, where)
        del data, what, task  # memory


def _resume(job: Job, where: str) -> tuple[Any, ExceptionWrapper | None, bool]:
    try:
        return job.create_fetcher(), None, False
    except Exception:
        return None, ExceptionWrapper(where), False


def _fetch(fetcher: Any, what: Any, is_iterable: bool, where: str) -> tuple[Any, bool]:
    """The batch for a task (or what stands for it), and whether the stream has ended."""
    try:
        return fetcher.fetch(what), False
    except Exception as error:
        if is_iterable and isinstance(error, StopIteration):
            return StreamEnd(), True
        return ExceptionWrapper(where), False


def _answer(results: Any, key: Any, data: Any, where: str) -> None:
    """Send an answer; if it cannot be pickled, send that error."""
    head: bytes
    arrays: Sequence[memoryview]
    try:
        head, arrays = transport.pack(key, data)
    except Exception:
        head, arrays = transport.pack(key, ExceptionWrapper(where))
    transport.send(results, head, list(arrays))
