"""The iterator of a loader with worker processes.

In: a loader.  Out: its batches, in the order of the sampler however the workers finish (or, with
`in_order=False`, as they come).  Batch b goes to worker b mod W, so the batches are the same for
any number of workers; each worker has up to `prefetch_factor` batches on order.
"""

from __future__ import annotations

import itertools
import os
from typing import Any

from rushlight.utils.data._utils.main_script import stop_if_loading_main
from rushlight.utils.data._utils.worker import ExceptionWrapper, Job, Resume, StreamEnd
from rushlight.utils.data._utils.worker_pool import WorkerPool, default_context
from rushlight.utils.data.dataloader import _BaseDataLoaderIter, _DatasetKind


class _MultiProcessingDataLoaderIter(_BaseDataLoaderIter):
    def __init__(self, loader: Any) -> None:
        stop_if_loading_main()
        super().__init__(loader)
        self._prefetch_factor = loader.prefetch_factor
        self._in_order = loader.in_order
        if self._prefetch_factor <= 0:
            raise AssertionError(
                "prefetch_factor must be greater than 0 for MultiProcessingDataLoaderIter"
            )
        jobs = [
            Job(
                is_iterable=self._dataset_kind == _DatasetKind.Iterable,
                dataset=self._dataset,
                auto_collation=self._auto_collation,
                collate_fn=self._collate_fn,
                drop_last=self._drop_last,
                base_seed=self._base_seed,
                init_fn=loader.worker_init_fn,
                worker_id=i,
                num_workers=self._num_workers,
                parent_pid=os.getpid(),
            )
            for i in range(self._num_workers)
        ]
        context = loader.multiprocessing_context or default_context()
        self._pool = WorkerPool(context, jobs, self._timeout)
        super()._reset(loader, first_iter=True)
        self._start_epoch()

    @property
    def _workers(self) -> list[Any]:
        """The worker processes."""
        return [worker.process for worker in self._pool.workers]

    def _reset(self, loader: Any, first_iter: bool = False) -> None:
        """Begin a new epoch with the same workers."""
        super()._reset(loader, first_iter)
        for i in range(self._num_workers):
            self._pool.send(i, Resume())
        for i in range(self._num_workers):
            # What a worker answers before it resumes belongs to an epoch that was left early.
            while not isinstance(self._receive([i])[1], Resume):
                pass
        self._start_epoch()

    def _start_epoch(self) -> None:
        self._send_idx = 0  # the next task to send
        self._rcvd_idx = 0  # the next batch to give
        self._task_worker: dict[int, int] = {}  # tasks on order: which worker has them
        self._workers_status = [True] * self._num_workers
        self._workers_num_tasks = [0] * self._num_workers
        self._next_worker = itertools.cycle(range(self._num_workers))
        for _ in range(self._prefetch_factor * self._num_workers):
            self._try_put_index()

    def _try_put_index(self) -> None:
        """Order one more batch, if there is one and a worker for it."""
        try:
            index = next(self._sampler_iter)
        except StopIteration:
            return
        worker_id = self._choose_worker()
        if worker_id is None:
            return
        self._pool.send(worker_id, (self._send_idx, index))
        self._task_worker[self._send_idx] = worker_id
        self._workers_num_tasks[worker_id] += 1
        self._send_idx += 1

    def _choose_worker(self) -> int | None:
        """The next worker whose stream has not ended; without order, one that is not ahead."""
        for _ in range(self._num_workers):
            i = next(self._next_worker)
            if not self._workers_status[i]:
                continue
            most = self._prefetch_factor * self._num_workers // sum(self._workers_status)
            if self._in_order or self._workers_num_tasks[i] < most:
                return i
        return None

    def _receive(self, worker_ids: list[int]) -> tuple[int, Any, Any]:
        try:
            return self._pool.receive(worker_ids)
        except BaseException as error:
            # Also after Ctrl-C: half a message may have been read.
            self._failure = str(error) or f"DataLoader was ended by {type(error).__name__}"
            self._pool.end()
            raise

    def _next_data(self) -> Any:
        if self._failure is not None:
            raise RuntimeError(self._failure)
        while True:
            self._skip_lost_tasks()
            if self._rcvd_idx >= self._send_idx:
                if not self._persistent_workers:
                    self._pool.end()
                raise StopIteration
            if self._in_order:
                sources = [self._task_worker[self._rcvd_idx]]
            else:
                sources = [i for i in set(self._task_worker.values()) if self._workers_status[i]]
            worker_id, idx, data = self._receive(sources)
            if isinstance(data, StreamEnd):
                # Later tasks of this worker stay unanswered.
                self._workers_status[worker_id] = False
                del self._task_worker[idx]
                if not self._persistent_workers:
                    self._pool.send(worker_id, None)
                self._try_put_index()
                continue
            del self._task_worker[idx]
            return self._process_data(data, worker_id)

    def _skip_lost_tasks(self) -> None:
        """Move to the first task that still waits for its answer."""
        while self._rcvd_idx < self._send_idx:
            worker_id = self._task_worker.get(self._rcvd_idx)
            if worker_id is not None:
                if self._workers_status[worker_id]:
                    return
                del self._task_worker[self._rcvd_idx]
            self._rcvd_idx += 1

    def _process_data(self, data: Any, worker_id: int) -> Any:
        self._workers_num_tasks[worker_id] -= 1
        self._try_put_index()
        if isinstance(data, ExceptionWrapper):
            data.reraise()
        return self._pinned(data)

    def _shutdown_workers(self) -> None:
        """End the workers."""
        self._pool.end()
