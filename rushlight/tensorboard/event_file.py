"""The event file of one run: opened, appended to record by record, closed.

In: events (dicts, see ``proto``). Out: ``events.out.tfevents.<time>.<host>.<pid>.<n>`` in the log
directory, which TensorBoard reads while it grows.

Every record is handed to the operating system whole, in one append, as soon as it is added: it
costs some microseconds, and a process that is killed loses nothing. So there is no queue that
could exceed ``max_queue`` and nothing that could wait longer than ``flush_secs``; both bounds are
kept by keeping nothing.
"""

from __future__ import annotations

import itertools
import os
import socket
import threading
import time
import weakref
from typing import Any

from rushlight.tensorboard.proto import Message, encode
from rushlight.tensorboard.record import frame

__all__ = ["EventFileWriter", "FileWriter"]

_file_numbers = itertools.count()
_APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)


class EventFileWriter:
    """Appends events to a new event file.

    Args:
        logdir: the directory of the file; made if it does not exist.
        max_queue_size: the most events that may be waiting to be written. Default 10.
        flush_secs: the longest that an event may wait, in seconds. Default 120.
        filename_suffix: added to the file's name.

    Raises:
        FileExistsError: ``logdir`` is a file.

    Example:
        >>> import tempfile
        >>> writer = EventFileWriter(tempfile.mkdtemp())
        >>> writer.add_event({"wall_time": 1.0, "step": 3})
        >>> writer.close()
    """

    def __init__(
        self,
        logdir: str,
        max_queue_size: int = 10,
        flush_secs: float = 120,
        filename_suffix: str = "",
    ) -> None:
        self._logdir = os.fspath(logdir)
        self.max_queue_size = max_queue_size
        self.flush_secs = flush_secs
        self._filename_suffix = filename_suffix
        self._lock = threading.Lock()
        os.makedirs(self._logdir, exist_ok=True)
        self._open()

    def _open(self) -> None:
        name = (
            f"events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()}"
            f".{os.getpid()}.{next(_file_numbers)}{self._filename_suffix}"
        )
        self.path = os.path.join(self._logdir, name)
        # A plain descriptor: nothing is left in memory when the process dies or forks, and a
        # writer that nobody closes is closed with its object.
        self._file = os.open(self.path, _APPEND, 0o666)
        self._close = weakref.finalize(self, os.close, self._file)
        self.add_event(
            {
                "wall_time": time.time(),
                "file_version": "brain.Event:2",
                "source_metadata": {"writer": "rushlight.tensorboard.event_file"},
            }
        )

    def get_logdir(self) -> str:
        """The directory of the event file."""
        return self._logdir

    def add_event(self, event: Message) -> None:
        """Append one event.

        Raises:
            TypeError: ``event`` is no dict, or a value in it has the wrong type.
            OSError: the writer is closed, or the disk refuses; the file stays readable.
        """
        if not isinstance(event, dict):
            raise TypeError(f"Expected an Event message (a dict), but got {type(event)}")
        record = frame(encode("Event", event))
        with self._lock:
            if not self._close.alive:
                raise OSError("Writer is closed")
            self._append(record)

    def _append(self, record: bytes) -> None:
        """Write the whole record, or leave the file as it was."""
        written = 0
        try:
            while written < len(record):
                written += os.write(self._file, memoryview(record)[written:])
        except BaseException:
            if written:
                os.ftruncate(self._file, os.lseek(self._file, 0, os.SEEK_END) - written)
            raise

    def flush(self) -> None:
        """Everything added so far is already with the operating system.

        Raises:
            OSError: the writer is closed.
        """
        if not self._close.alive:
            raise OSError("Writer is closed")

    def close(self) -> None:
        """Close the file. A second call does nothing."""
        with self._lock:
            self._close()

    def reopen(self) -> None:
        """Go on in a new file of the same directory, if this one is closed."""
        if not self._close.alive:
            self._open()


class FileWriter:
    """Writes events to one event file of a directory.

    Args:
        log_dir: the directory.
        max_queue: the most events that may wait to be written. Default 10.
        flush_secs: the longest that one may wait, in seconds. Default 120.
        filename_suffix: added to the file's name.

    Example:
        >>> import tempfile
        >>> file = FileWriter(tempfile.mkdtemp())
        >>> file.add_summary({"value": [{"tag": "loss", "simple_value": 0.5}]}, 1)
        >>> file.close()
    """

    def __init__(
        self,
        log_dir: str | os.PathLike[str],
        max_queue: int = 10,
        flush_secs: float = 120,
        filename_suffix: str = "",
    ) -> None:
        self.event_writer = EventFileWriter(str(log_dir), max_queue, flush_secs, filename_suffix)

    def get_logdir(self) -> str:
        """The directory of the event file."""
        return self.event_writer.get_logdir()

    def add_event(self, event: Message, step: Any = None, walltime: float | None = None) -> None:
        """Write an Event message, at a step and a time (default: now)."""
        event["wall_time"] = time.time() if walltime is None else walltime
        if step is not None:
            event["step"] = int(step)
        self.event_writer.add_event(event)

    def add_summary(
        self, summary: Message, global_step: Any = None, walltime: float | None = None
    ) -> None:
        """Write a Summary message."""
        self.add_event({"summary": summary}, global_step, walltime)

    def add_graph(
        self, graph_profile: tuple[Message, Message], walltime: float | None = None
    ) -> None:
        """Write a GraphDef message and the RunMetadata that goes with it."""
        graph, metadata = graph_profile
        self.add_event({"graph_def": encode("GraphDef", graph)}, None, walltime)
        run = {"tag": "step1", "run_metadata": encode("RunMetadata", metadata)}
        self.add_event({"tagged_run_metadata": run}, None, walltime)

    def add_onnx_graph(self, graph: Message, walltime: float | None = None) -> None:
        """Write a GraphDef message."""
        self.add_event({"graph_def": encode("GraphDef", graph)}, None, walltime)

    def flush(self) -> None:
        """See to it that everything is in the file."""
        self.event_writer.flush()

    def close(self) -> None:
        """Close the file."""
        self.event_writer.close()

    def reopen(self) -> None:
        """After ``close``, go on in a new file of the same directory."""
        self.event_writer.reopen()
