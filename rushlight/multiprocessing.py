"""Python's ``multiprocessing`` under torch's name, and ``spawn``.

Tensors travel between processes by pickling.  Programs run by ``python -m rushlight`` find the
torch name in their child processes too.
"""

from __future__ import annotations

import multiprocessing as _mp
import traceback
from multiprocessing import *  # noqa: F403
from typing import Any

__all__ = [
    *_mp.__all__,  # type: ignore[attr-defined]
    "ProcessContext",
    "ProcessException",
    "ProcessExitedException",
    "ProcessRaisedException",
    "get_all_sharing_strategies",
    "get_sharing_strategy",
    "set_sharing_strategy",
    "spawn",
    "start_processes",
]

_STRATEGIES = {"file_descriptor", "file_system"}


class _Sharing:
    strategy = "file_descriptor"


def get_all_sharing_strategies() -> set[str]:
    """The names that ``set_sharing_strategy`` takes."""
    return set(_STRATEGIES)


def get_sharing_strategy() -> str:
    """The strategy that was set; tensors are pickled under either."""
    return _Sharing.strategy


def set_sharing_strategy(new_strategy: str) -> None:
    """Accepted for compatibility: tensors are pickled."""
    if new_strategy not in _STRATEGIES:
        raise AssertionError(f"{new_strategy} is not one of {sorted(_STRATEGIES)}")
    _Sharing.strategy = new_strategy


class ProcessException(Exception):
    """A spawned process failed.

    Attributes:
        error_index: which process.
        pid: its process number.
    """

    def __init__(self, msg: str, error_index: int, pid: int) -> None:
        super().__init__(msg)
        self.msg = msg
        self.error_index = error_index
        self.pid = pid


class ProcessRaisedException(ProcessException):
    """A spawned process raised."""


class ProcessExitedException(ProcessException):
    """A spawned process ended by a signal or an exit code.

    Attributes:
        exit_code: its exit status.
    """

    def __init__(self, msg: str, error_index: int, pid: int, exit_code: int) -> None:
        super().__init__(msg, error_index, pid)
        self.exit_code = exit_code


def _run(fn: Any, index: int, args: tuple[Any, ...], errors: Any) -> None:
    try:
        fn(index, *args)
    except KeyboardInterrupt:
        pass
    except Exception:
        errors.put(traceback.format_exc())
        raise SystemExit(1) from None


class ProcessContext:
    """The processes that ``spawn`` started.

    Attributes:
        processes: them, in order.
    """

    def __init__(self, processes: list[Any], errors: list[Any]) -> None:
        self.processes = processes
        self._errors = errors

    def pids(self) -> list[int]:
        """Their process numbers."""
        return [int(p.pid) for p in self.processes]

    def join(self, timeout: float | None = None) -> bool:
        """Waits for one or all to end; says whether all have.

        Raises:
            ProcessRaisedException, ProcessExitedException: one failed; the others are ended.
        """
        from multiprocessing.connection import wait

        alive = [p for p in self.processes if p.is_alive()]
        if alive:  # waiting for nothing would never end
            wait([p.sentinel for p in alive], timeout)
        for index, process in enumerate(self.processes):
            if process.exitcode not in (None, 0):
                self._fail(index, process)
        return all(p.exitcode == 0 for p in self.processes)

    def _fail(self, index: int, process: Any) -> None:
        for other in self.processes:
            if other.is_alive():
                other.terminate()
            other.join()
        if not self._errors[index].empty():
            text = self._errors[index].get()
            raise ProcessRaisedException(
                f"\n\n-- Process {index} terminated with the following error:\n{text}",
                index,
                process.pid,
            )
        raise ProcessExitedException(
            f"process {index} terminated with exit code {process.exitcode}",
            index,
            process.pid,
            process.exitcode,
        )


def start_processes(
    fn: Any,
    args: tuple[Any, ...] = (),
    nprocs: int = 1,
    join: bool = True,
    daemon: bool = False,
    start_method: str = "spawn",
) -> ProcessContext | None:
    """Runs ``fn(i, *args)`` in ``nprocs`` processes.

    Args:
        join: wait for them; an error in one is raised here and ends the others.
        daemon: end them with this process.
        start_method: ``spawn``, ``fork`` or ``forkserver``.

    Returns:
        the ProcessContext, if not joined.
    """
    context = _mp.get_context(start_method)
    processes, errors = [], []
    for i in range(nprocs):
        queue = context.SimpleQueue()
        process = context.Process(target=_run, args=(fn, i, args, queue), daemon=daemon)  # type: ignore[attr-defined]
        process.start()
        processes.append(process)
        errors.append(queue)
    made = ProcessContext(processes, errors)
    if not join:
        return made
    while not made.join():
        pass
    return None


def spawn(
    fn: Any,
    args: tuple[Any, ...] = (),
    nprocs: int = 1,
    join: bool = True,
    daemon: bool = False,
    start_method: str = "spawn",
) -> ProcessContext | None:
    """``start_processes`` with fresh interpreters."""
    return start_processes(fn, args, nprocs, join, daemon, start_method)
