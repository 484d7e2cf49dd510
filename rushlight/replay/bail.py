"""Bailing out: a flight that went wrong runs eagerly, as if it had done so all along.

In: the matched events, of which none has computed since the last launch.  What they did at once
(gradients set to None, versions counted) is taken back, then each runs in its turn, recorded, and
the tensors that it handed out become what eager code gives.  So nothing is lost but time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rushlight.dispatch import autocast
from rushlight.dispatch.doors import BACKWARD, DEMAND, STEP, WRITE
from rushlight.dispatch.modes import state
from rushlight.dispatch.tensor import Tensor, memory_of
from rushlight.replay import kinds
from rushlight.replay.record import Recorder
from rushlight.replay.recording import modes_now
from rushlight.replay.settle import as_handed_out, settle
from rushlight.replay.tree import Flight, Point, cells_of, modes_after

__all__ = ["release", "run_eagerly"]


def run_eagerly(points: list[Point], flight: Flight, recorder: Recorder) -> None:
    """Runs the events of a flight that no program has computed.

    Args:
        points: all events of the flight so far, from its beginning.
    """
    launched = flight.launched
    done = points.index(launched) + 1 if launched is not None and launched in points else 0
    rest = points[done:]
    now = modes_now()
    _set_modes(modes_after(points[:done]) if done else points[0].modes)
    recorder.start()
    cells = cells_of(points)
    changed: list[tuple[Any, Any]] = []
    try:
        _take_back(rest, flight, cells)  # first: settling counts versions back from what they are
        settle(points[:done], flight)
        if done:
            recorder.interrupt("it began behind a launched program")
        changed = _as_seen(rest, flight)
        recorder.again = True
        for p in rest:
            try:
                _again(p, cells, flight, recorder)
            except Exception as error:
                error.add_note("the call that failed is at {}:{}".format(*p.event.line))
                raise
    finally:
        recorder.again = False
        for array, latest in changed:
            array[...] = latest
        release(points)
        _set_modes(now)


def release(points: Sequence[Point]) -> None:
    """Lets go of the tensors that a flight handed out."""
    for p in points:
        for cell in p.cells:
            cell[:] = [None, None, 0, None, None, 0]


def _set_modes(modes: tuple[Any, ...]) -> None:
    state.grad, state.inference, casting = modes
    autocast.set_now(casting)


def _take_back(points: list[Point], flight: Flight, cells: dict[int, Any]) -> None:
    """Undoes what matched events did at once: gradients, versions, histories."""
    interrupted = points[-1].children if points else []
    for p in (*points, *interrupted):
        if p.event.kind is BACKWARD:
            leaves = kinds.of(BACKWARD).new_at(p.event)
            for leaf, cell in zip(leaves, p.cells, strict=True):
                if p in points or (p is flight.handing[0] and leaf._grad is cell[0]):
                    leaf._grad = None
    flight.handing[0] = None
    for p in points:
        as_handed_out(p)
        # a step's writes are counted when it is launched, and what eager code did is done
        if p.event.kind is not STEP and not p.event.hosted:
            raised = kinds.of(p.event.kind).raises(p.event, flight.inputs(p, cells), cells)
            for counter, n in raised.items():
                counter.value -= n


def _as_seen(points: list[Point], flight: Flight) -> list[tuple[Any, Any]]:
    """Puts back what NumPy has changed since events saw it; returns what to restore."""
    found = []
    numbers = {r[1]: None for p in points for r in p.references if r[0] == "outside"}
    for n in numbers:
        t, seen = flight.outside[n], flight.arrays[n]
        if t._storage.exported and seen is not None:
            array = memory_of(t)
            if array.tobytes() != seen.tobytes():
                found.append((array, array.copy()))
                array[...] = seen
    return found


def _again(point: Point, cells: dict[int, Any], flight: Flight, recorder: Recorder) -> None:
    """Runs a matched event and makes the tensors that it handed out what that gives."""
    event, inputs = point.event, flight.inputs(point, cells)
    if event.kind is DEMAND:
        recorder.look(inputs[0])
        return
    handed = [cell[0] for cell in point.cells]
    if event.hosted:
        outs = (inputs[0],) if event.kind is WRITE else tuple(handed)
        recorder.adopt(event, inputs, outs[0] if event.single else outs)
        return
    attrs = () if event.kind is STEP else flight.attributes(point)
    result = recorder.record(event.op, inputs, attrs, event.kind)
    if event.kind is WRITE:
        return
    made = kinds.of(event.kind).made(event, result)
    for t, new in zip(handed, made, strict=True):
        _become(t, new)
        recorder.renamed(new, t)
    if event.kind is BACKWARD:
        for leaf, grad in zip(kinds.of(BACKWARD).new_at(event), handed, strict=True):
            leaf._grad = grad


def _become(handed: Tensor, made: Tensor) -> None:
    """Makes a tensor that was handed out what eager code made, its storage included.

    Others may share the storage by now, so it stays the same object and gets the memory.
    """
    old, new = handed._storage, made._storage
    for name in ("_requires_grad", "_node", "_out_nr", "_view"):
        handed.__dict__.pop(name, None)
    handed.__dict__.update(made.__dict__)
    if old is not new:
        old.note = new.note
        if old._bytes is None and old.owner is None:
            old._bytes, old.owner = new._bytes, new.owner
        else:  # memory of an earlier flight, over which others may have arrays
            old.bytes[:] = new.bytes
            handed._array = made._array = None
        handed._storage = made._storage = old
        for x in made._node.outputs if made._node is not None else ():
            t = getattr(x, "tensor", None)
            if t is not None and t._storage is new:
                t._storage, t._array = old, None
