"""Settling: after launched events, the graph nodes that eager code would have left behind.

In: the points of a flight whose programs have run, and where their inputs are.  Out: nodes for the
events whose graphs are still open, in the order of the events, each with the versions that its
tensors had then.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from rushlight.dispatch import gate, tape
from rushlight.dispatch.doors import WRITE, aside
from rushlight.dispatch.modes import state
from rushlight.dispatch.tensor import Tensor
from rushlight.replay import kinds
from rushlight.replay.tree import Flight, Point, cells_of

__all__ = ["as_handed_out", "settle"]


def as_handed_out(point: Any) -> None:
    """Takes back what writes of the flight did to the history of tensors that had none."""
    for slot, cell in zip(point.event.outs, point.cells, strict=True):
        if not slot.requires_grad:
            t = cell[0]
            t._requires_grad, t._node, t._out_nr = False, None, 0


def settle(points: Sequence[Point], flight: Flight) -> None:
    """Gives the tensors of launched events the nodes that eager code would have made.

    Args:
        points: the launched events of a flight, from its beginning.
    """
    still_open = set(points[-1].event.open) if points else set()
    if not still_open:
        return
    cells = cells_of(points)
    given = [flight.inputs(p, cells) for p in points]
    raised = [
        kinds.of(p.event.kind).raises(p.event, x, cells) for p, x in zip(points, given, strict=True)
    ]
    aside(_replay, points, flight, given, raised, still_open)


def _replay(points: Any, flight: Flight, given: Any, raised: Any, still_open: set[int]) -> None:
    was, state.grad = state.grad, True
    for p in points:
        as_handed_out(p)
    for counter, n in sum(raised, Counter()).items():
        counter.value -= n
    try:
        for i, (p, x) in enumerate(zip(points, given, strict=True)):
            note = i in still_open
            writes = note and p.event.kind is WRITE
            node = _node_before(p, x, flight.attributes(p)) if writes else None
            for counter, n in raised[i].items():
                counter.value += n
            if node is not None:
                gate.note_write(x[0], node)
            elif note:
                _note_call(p, x, flight.attributes(p))
            else:
                _keep_order(p)
    finally:
        state.grad = was


def _keep_order(point: Any) -> None:
    """Nodes that have run already come, in the order of a pass, where eager code's would."""
    for cell in point.cells:
        if cell[0]._node is not None:
            cell[0]._node.sequence = tape.later()


def _node_before(point: Point, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Any:
    op = point.event.op
    return gate.node_of_write(op, gate.plan_of(op, inputs, attrs), inputs, attrs)


def _note_call(point: Point, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> None:
    op = point.event.op
    outs: list[Tensor] = [cell[0] for cell in point.cells]
    gate.note_on_tape(op, gate.plan_of(op, inputs, attrs), inputs, attrs, outs)
