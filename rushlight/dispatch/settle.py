"""Settling: after launched events, the graph nodes that eager code would have left behind.

In: the points of a flight whose programs have run, and where their inputs are.  Out: nodes for the
events whose graphs are still open, in the order of the events, each with the versions that its
tensors had then.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from rushlight.dispatch import gate, tape
from rushlight.dispatch.doors import BACKWARD, STEP, WRITE, aside
from rushlight.dispatch.modes import state
from rushlight.dispatch.tensor import Tensor, Version

__all__ = ["as_handed_out", "settle", "writes"]

Inputs = Callable[[Any], tuple[Any, ...]]  # of a point: what its event was given in this flight


def writes(event: Any, inputs: tuple[Any, ...], cells: dict[int, Any]) -> Counter[Version]:
    """Whose version counters a launched event of a flight has raised, and by how much."""
    found: Counter[Version] = Counter()
    if event.kind is WRITE:
        found[inputs[0]._counter] += 1
    elif event.kind is BACKWARD:
        for _, how, k in event.detail:
            if how == "more":
                grad = cells[k[1]][0] if k[0] == "slot" else k[2]
                found[grad._counter] += 1
    elif event.kind is STEP:
        found.update(event.detail.counters)
    return found


def as_handed_out(point: Any) -> None:
    """Takes back what writes of the flight did to the history of tensors that had none."""
    for slot, cell in zip(point.event.outs, point.cells, strict=True):
        if not slot.requires_grad:
            t = cell[0]
            t._requires_grad, t._node, t._out_nr = False, None, 0


def settle(points: Sequence[Any], cells: dict[int, Any], inputs: Inputs) -> None:
    """Gives the tensors of launched events the nodes that eager code would have made.

    Args:
        points: the launched events of a flight, from its beginning.
        cells: for each slot the cell of its tensor.
        inputs: gives the inputs of a point's event.
    """
    still_open = set(points[-1].event.open) if points else set()
    if not still_open:
        return
    given = [inputs(p) for p in points]
    raised = [writes(p.event, x, cells) for p, x in zip(points, given, strict=True)]
    aside(_replay, points, given, raised, still_open)


def _replay(points: Any, given: Any, raised: Any, still_open: set[int]) -> None:
    was, state.grad = state.grad, True
    for p in points:
        as_handed_out(p)
    for counter, n in sum(raised, Counter()).items():
        counter.value -= n
    try:
        for i, (p, x) in enumerate(zip(points, given, strict=True)):
            note = i in still_open
            node = _node_before(p, x) if note and p.event.kind is WRITE else None
            for counter, n in raised[i].items():
                counter.value += n
            if node is not None:
                gate.note_write(x[0], node)
            elif note:
                _note_call(p, x)
            else:
                _keep_order(p)
    finally:
        state.grad = was


def _keep_order(point: Any) -> None:
    """Nodes that have run already come, in the order of a pass, where eager code's would."""
    for cell in point.cells:
        if cell[0]._node is not None:
            cell[0]._node.sequence = tape.later()


def _node_before(point: Any, inputs: tuple[Any, ...]) -> Any:
    op, attrs = point.event.op, point.event.attrs
    return gate.node_of_write(op, gate.plan_of(op, inputs, attrs), inputs, attrs)


def _note_call(point: Any, inputs: tuple[Any, ...]) -> None:
    op, attrs = point.event.op, point.event.attrs
    outs: list[Tensor] = [cell[0] for cell in point.cells]
    gate.note_on_tape(op, gate.plan_of(op, inputs, attrs), inputs, attrs, outs)
