"""Starting, hearing and ending the worker processes of one iteration.

In: a context of `multiprocessing` and jobs.  Out: `WorkerPool`, which passes tasks to workers and
gives back what they answer, and raises if one of them dies.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import warnings
import weakref
from collections.abc import Sequence
from multiprocessing.connection import wait
from typing import Any

from rushlight.utils.data._utils import transport
from rushlight.utils.data._utils.main_script import MainScript, hidden_main
from rushlight.utils.data._utils.worker import Job, worker_main

# How long a worker may take to finish its sample when the loader is done with it.
PATIENCE_SECONDS = 5.0


def default_context() -> Any:
    """The context that the user chose; else fork on Linux and spawn elsewhere."""
    import multiprocessing

    method = multiprocessing.get_start_method(allow_none=True)
    if method is None:
        method = "fork" if sys.platform == "linux" else "spawn"
    return multiprocessing.get_context(method)


class Worker:
    """A worker process and the main process's ends of its two pipes."""

    def __init__(self, context: Any, job: Job, others: Sequence[Worker]) -> None:
        forked = context.get_start_method() == "fork"
        task_reader, self.tasks = context.Pipe(duplex=False)
        # Memory files can only be passed through a socket, which a two-way pipe is.
        self.results, result_writer = context.Pipe(duplex=True)
        job.parent_pid = os.getpid() if forked else None
        mine = [self.tasks, self.results]
        inherited = [c for other in others for c in (other.tasks, other.results)] + mine
        self.process = context.Process(
            target=worker_main,
            args=(
                None if forked else MainScript(),
                job,
                task_reader,
                result_writer,
                inherited if forked else (),
            ),
            daemon=True,
        )
        try:
            self._start(forked)
        except BaseException:
            for connection in mine:
                connection.close()
            raise
        finally:
            task_reader.close()
            result_writer.close()

    def _start(self, forked: bool) -> None:
        hiding = contextlib.nullcontext() if forked else hidden_main()
        with hiding, warnings.catch_warnings():
            # Python 3.12 warns of every fork with threads; a worker starts its own threads and
            # uses none of the main process's.
            warnings.filterwarnings("ignore", ".*multi-threaded, use of fork", DeprecationWarning)
            self.process.start()

    def send(self, message: Any) -> None:
        """Send a task; a dead worker is noticed when its answer is waited for."""
        with contextlib.suppress(OSError):
            self.tasks.send(message)

    def death(self) -> str:
        """How the worker ended."""
        code = self.process.exitcode
        if code is not None and code < 0:
            with contextlib.suppress(ValueError):
                return f"killed by signal {signal.Signals(-code).name}"
        return f"exit code {code}"


class WorkerPool:
    """The workers of one iteration.

    Args:
        context: how to start processes.
        jobs: one for each worker.
        timeout: seconds to wait for an answer; 0 waits as long as the worker lives.
    """

    def __init__(self, context: Any, jobs: list[Job], timeout: float) -> None:
        self.timeout = timeout
        self.workers: list[Worker] = []
        # The workers end with the pool, or with the interpreter.
        self._finalizer = weakref.finalize(self, _end, self.workers, os.getpid())
        try:
            for job in jobs:
                self.workers.append(Worker(context, job, self.workers))
        except BaseException:
            self.end()
            raise

    def send(self, worker_id: int, message: Any) -> None:
        """Send a task to a worker."""
        self.workers[worker_id].send(message)

    def receive(self, worker_ids: Sequence[int]) -> tuple[int, Any, Any]:
        """The next answer of one of these workers: `(worker_id, key, data)`."""
        if len(worker_ids) == 1 and self.workers[worker_ids[0]].results.poll(0):
            return self._read(worker_ids[0])
        sources: dict[Any, int] = {}
        for i in worker_ids:
            sources[self.workers[i].results] = i
            sources[self.workers[i].process.sentinel] = i
        ready = wait(list(sources), self.timeout if self.timeout > 0 else None)
        if not ready:
            raise RuntimeError(f"DataLoader timed out after {self.timeout} seconds")
        # A worker that has ended may have answered before.
        ready.sort(key=lambda source: isinstance(source, int))
        i = sources[ready[0]]
        if isinstance(ready[0], int) and not self.workers[i].results.poll(0):
            raise self._dead(i)
        return self._read(i)

    def _read(self, i: int) -> tuple[int, Any, Any]:
        try:
            key, data = transport.receive(self.workers[i].results)
        except (EOFError, OSError) as error:
            raise self._dead(i) from error
        return i, key, data

    def _dead(self, i: int) -> RuntimeError:
        """The error that names the workers that have died, of which `i` is one."""
        self.workers[i].process.join(PATIENCE_SECONDS)
        dead = [w for w in self.workers if w is self.workers[i] or not w.process.is_alive()]
        pids = ", ".join(str(worker.process.pid) for worker in dead)
        error = RuntimeError(f"DataLoader worker (pid(s) {pids}) exited unexpectedly")
        for worker in dead:
            error.add_note(f"DataLoader worker {worker.process.pid}: {worker.death()}")
        return error

    def end(self) -> None:
        """End all workers."""
        self._finalizer()


def _end(workers: list[Worker], owner: int) -> None:
    """Tell workers to stop, wait for them, and kill those that do not hear."""
    if os.getpid() != owner:
        return  # a forked copy of the main process: the workers are not its own
    for worker in workers:
        worker.send(None)
        worker.tasks.close()
        worker.results.close()
    for worker in workers:
        worker.process.join(PATIENCE_SECONDS)
        if worker.process.is_alive():
            worker.process.terminate()
            worker.process.join(PATIENCE_SECONDS)
        if worker.process.is_alive():
            worker.process.kill()
            worker.process.join()
    workers.clear()
