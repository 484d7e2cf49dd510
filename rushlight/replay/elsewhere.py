"""Other threads: what happens if one needs a value that the owner's flight has pending.

A flight belongs to one thread, which may be anywhere in its own code.  The other thread waits until
the owner is in no event, parks it (its next event waits) and is the owner itself for as long as it
takes to finish the flight.  This is rare, so it may be slow; it must only be right.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from threading import RLock, get_ident
from typing import Any

from rushlight.dispatch import doors

__all__ = ["after_fork", "take_over", "wait"]

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_HERE = (os.path.join(_PACKAGE, "replay", ""), os.path.join(_PACKAGE, "dispatch", ""))
_PATIENCE = 60.0  # seconds
_lock = [RLock()]


def wait() -> None:
    """Waits until no other thread is at work on this thread's flight."""
    with _lock[0]:
        pass


def take_over(run: Callable[[], Any]) -> None:
    """Calls a function as the owner of the flight, while the owner's thread is parked.

    Raises:
        RuntimeError: the owner stays within one event for a minute, perhaps waiting for this
            thread.
    """
    until = time.monotonic() + _PATIENCE
    while not _run_parked(run):
        if time.monotonic() > until:
            raise RuntimeError("a value is needed that another thread is still computing")
        time.sleep(1e-4)


def _run_parked(run: Callable[[], Any]) -> bool:
    """The same, or False if the owner is in the middle of an event."""
    with _lock[0]:
        owner = doors.owner[0]
        if owner == get_ident():  # it is over by now
            run()
            return True
        if not _park(owner):
            return False
        parked = doors.door[0]
        try:
            run()
        finally:
            if doors.door[0] is parked:
                doors.door[0] = parked.__dict__["instead_of"]
            doors.owner[0] = owner
        return True


def _park(owner: int) -> bool:
    """Makes this thread the owner, unless the owner is in the middle of an event.

    Between the look at its frames and the change of the door no other thread may run: the switch
    interval sees to that, once a switch that was asked for before has happened.
    """
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000.0)
    try:
        time.sleep(0)
        if _in_event(sys._current_frames().get(owner)):
            return False
        doors.door[0] = _parked(doors.door[0])
        doors.owner[0] = get_ident()
        return True
    finally:
        sys.setswitchinterval(interval)


def _parked(door: Any) -> Any:
    """A door at which the owner waits; it says what the door says that it stands for."""

    def parked(op: Any, inputs: Any, attrs: Any, kind: Any = None) -> Any:
        wait()
        return doors.door[0](op, inputs, attrs, kind)

    parked.__dict__.update(door.__dict__ if hasattr(door, "__dict__") else {}, instead_of=door)
    return parked


def _in_event(frame: Any) -> bool:
    """Whether a thread is in code of these folders, or in a function that the matcher generated."""
    while frame is not None:
        if frame.f_code.co_filename.startswith(_HERE):
            return True
        if frame.f_globals.get("door") is doors.door:
            return True
        frame = frame.f_back
    return False


def after_fork() -> None:
    """In the child: nobody is at work."""
    _lock[0] = RLock()
