"""What a recording is made of: events, the tensors they handed out, the memory they touched.

A recording holds a stretch of events twice: as the matcher will ask for them (`Event`, `Slot`), and
as computations over blocks of memory (`Place`) for the compiler (``ir/trace.py``).  It keeps no
tensor alive but those that were there before: what the user still holds when a program is launched
is what the program must deliver.
"""

from __future__ import annotations

import os
import sys
import weakref
from typing import Any

from rushlight.dispatch.doors import WRITE
from rushlight.dispatch.modes import state
from rushlight.dispatch.symbolic import Decisions
from rushlight.dispatch.tape import AccumulateGrad, SavedTensor
from rushlight.dispatch.tensor import Tensor
from rushlight.ir.meta import Meta
from rushlight.ir.trace import Call, Item

__all__ = [
    "EXACT",
    "Event",
    "InGraph",
    "Place",
    "Recording",
    "Slot",
    "modes_now",
    "outputs",
    "spent",
]

EXACT = 1 << 53  # run-time numbers are doubles: ints below this are exact
_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


class Place:
    """A block of memory in a recording.

    Attributes:
        made: whether a computation of the recording made it; otherwise it was there before.
        hosted: whether it is made, but by eager code (random draws), in each flight anew.
        tensor: of memory that was there before, the tensor by which it was first seen.
        base: where that tensor starts in it, in elements; regions count from there.
        written: whether the recording writes to it.
        windows: whether views of it count as places of their own, since another flight may view
            another part (``x[i : i + 32]``).
    """

    __slots__ = (
        *("base", "hosted", "index", "made", "nbytes", "serial", "tensor", "windows", "written"),
    )

    def __init__(self, serial: int, index: int, storage: Any, tensor: Any, base: int) -> None:
        self.serial = serial
        self.index = index
        self.nbytes = storage.length
        self.tensor = tensor
        self.base = base
        self.made = tensor is None
        self.hosted = False
        self.written = False
        self.windows = False


class Slot:
    """A tensor that an event handed out, and where it was in the gradient graph then."""

    def __init__(self, serial: int, index: int, t: Tensor, place: int, offset: int) -> None:
        self.serial = serial
        self.index = index
        self.ref = weakref.ref(t)
        self.meta: Meta = t._meta
        self.place = place
        self.offset = offset
        self.requires_grad = t._requires_grad
        self.inference = t._inference
        self.node = weakref.ref(t._node) if t._node is not None else None
        self.node_class = type(t._node)
        self.leaves = leaves_of(t._node) if t._node is not None else ()
        self.out_nr = t._out_nr


class InGraph:
    """Where a slot's tensor is in the graph after a write."""

    __slots__ = ("leaves", "meta", "node_class", "out_nr", "requires_grad", "slot")

    def __init__(self, slot: Slot, t: Tensor) -> None:
        self.slot = slot.index
        self.meta = t._meta
        self.leaves = leaves_of(t._node) if t._node is not None else ()
        self.requires_grad = t._requires_grad
        self.node_class = type(t._node) if t._node is not None else None
        self.out_nr = t._out_nr


class Event:
    """One thing that the user's program did.

    Attributes:
        inputs: a reference for each input: ("slot", k), ("outside", place, tensor, offset),
            ("number", index, type), ("value", x).
        outs: the slots of the tensors handed out.
        calls: the computations it caused, a range of the recording's calls.
        detail: what its kind notes besides (``kinds.py``).
        counted: attributes that may be others next time: (position, run-time number).
        alive: after events that launch a program, the slots whose tensors are still held.
        node: of an operator's call or write that is on the tape, its node, weakly.
        open: after events that launch a program, the events, by number, whose nodes could run;
            `saved`, the places that they keep.
        single: whether the call returned one tensor rather than a tuple.
        hosted: whether eager code runs it in each flight (random draws).
        windows: whether it views data; another flight may view another part.
        line: where the user's program did it: file and line.
    """

    __slots__ = (
        *("alive", "attrs", "calls", "counted", "detail", "hosted", "inputs", "kind", "line"),
        *("node",),
        *("op", "open", "outs", "saved", "single", "windows"),
    )

    def __init__(
        self, kind: Any, op: Any, inputs: tuple[Any, ...], attrs: tuple[Any, ...], first: int
    ) -> None:
        self.kind = kind
        self.op = op
        self.inputs = inputs
        self.attrs = attrs
        self.outs: list[Slot] = []
        self.calls = (first, first)
        self.alive: tuple[int, ...] | None = None
        self.detail: Any = None
        self.counted: tuple[tuple[int, int], ...] = ()
        self.hosted = False
        self.single = True
        self.windows = False
        self.open: tuple[int, ...] = ()
        self.saved: set[int] = set()
        self.node: Any = None
        self.line = _users_line()

    def __repr__(self) -> str:
        return f"{self.op.name if self.op else self.kind}{'_' if self.kind is WRITE else ''}"


def outputs(result: Any) -> tuple[Any, ...]:
    """The tensors that a call returned."""
    return result if type(result) is tuple else (result,)


def modes_now() -> tuple[Any, ...]:
    """The modes that an event may change: gradients, inference, autocast."""
    return state.grad, state.inference, state.casting


class Recording:
    """A stretch of events; `modes` are those with which it began."""

    def __init__(self, serial: int) -> None:
        self.serial = serial
        self.modes = modes_now()
        self.events: list[Event] = []
        self.calls: list[Call | Item] = []
        self.places: list[Place] = []
        self.slots: list[Slot] = []
        self.attached: list[Slot] = []  # those whose tensors have a place in a graph
        self.numbers: list[float] = []
        self.items = 0
        self.looks = 0
        self.settled: set[int] = set()  # tensors whose gradient an event has decided, by id
        self.decided = Decisions(False)
        self.problem: str | None = None  # why it cannot be compiled

    def mark(self, event: Event) -> None:
        """Notes what somebody holds after an event that launches a program."""
        event.alive = tuple([s.index for s in self.slots if s.ref() is not None])
        nodes = [e.node() if e.node is not None else None for e in self.events]
        open_ = [(i, n) for i, n in enumerate(nodes) if n is not None and not spent(n)]
        event.open = tuple([i for i, _ in open_])
        event.saved = {p for _, node in open_ for p in _saved_places(node, self.serial)}
        for i, node in open_:
            if self.events[i].kind is WRITE and type(node.inputs[0]) is SavedTensor:
                self.problem = self.problem or "an open graph needs what was written over"

    def graph_open(self) -> bool:
        """Whether a tensor is held whose graph could still be differentiated."""
        for s in self.attached:
            t = s.ref()
            if t is not None and t._requires_grad and t._node is not None and not t._node.ran:
                return True
        return False


def _users_line() -> tuple[str, int]:
    """File and line of the innermost frame that is not this package's."""
    frame: Any = sys._getframe(2)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno


def leaves_of(node: Any) -> tuple[Any, ...]:
    """The leaves that a backward pass from this node could reach; noted at the node."""
    found: dict[int, Any] = {}
    stack, seen = [node], {node}
    while stack:
        n = stack.pop()
        known = n.__dict__.get("leaves")
        if known is not None:
            found.update(known)
        elif type(n) is AccumulateGrad:
            found[id(n.variable)] = n.variable
        else:
            targets = {edge[0] for edge in n.edges if edge is not None} - seen
            seen |= targets
            stack.extend(targets)
    node.__dict__["leaves"] = found
    return tuple(found.values())


def spent(node: Any) -> bool:
    """Whether a node cannot run again: it or one before it has let go of what it kept."""
    if not node.ran:
        return False
    stack, seen = [node], {node}
    while stack:
        node = stack.pop()
        if node.released:
            return True
        for edge in node.edges:
            if edge is not None and edge[0] not in seen:
                seen.add(edge[0])
                stack.append(edge[0])
    return False


def _saved_places(node: Any, serial: int) -> list[int]:
    """The places of the tensors that a node keeps."""
    found = []
    for x in (*node.inputs, *node.outputs):
        t = getattr(x, "tensor", None)
        note = t._storage.note if t is not None else None
        if note is not None and note.serial == serial:
            found.append(note.index)
    return found
