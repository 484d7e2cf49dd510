"""The source of a matcher: lines of a function, and the constants that they name.

Source is generated because a closure with constants is the cheapest thing that CPython runs.
`Source` is such a function; `Site` is the one of an event that is being written, with the guards,
effects and result that ``kinds.py`` puts into it.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from rushlight.dispatch import doors, modes
from rushlight.dispatch.tensor import Tensor, Version, memory_of, new
from rushlight.dispatch.views import view_record
from rushlight.dtypes import float32
from rushlight.ir.meta import Size, meta
from rushlight.replay.recording import Slot
from rushlight.runtime.cpu import array_over
from rushlight.runtime.storage import Storage

if TYPE_CHECKING:
    from rushlight.replay.tree import Flight, Path, Point

__all__ = ["HELD_ONCE", "Fixed", "Site", "Source", "snapshot"]


def _baseline() -> int:
    """What `getrefcount` says of an object that one list and one local variable hold."""
    cell = [Version()]
    held = cell[0]
    return sys.getrefcount(held)


HELD_ONCE = _baseline()  # by the cell, besides the variable that asks


class Fixed:
    """Tensors that must be the same objects, what they were at compilation, unseen by NumPy."""

    __slots__ = ("tensors", "unchanged")

    def __init__(self, *tensors: Tensor) -> None:
        self.tensors = [(t, t._storage, t._meta, t._requires_grad) for t in tensors]
        self.unchanged = [True]

    def look(self) -> None:
        """Looks whether they are."""
        self.unchanged[0] = all(
            [
                t._storage is storage
                and t._meta is m
                and t._requires_grad is requires_grad
                and not storage.exported  # else NumPy might write between a match and the launch
                for t, storage, m, requires_grad in self.tensors
            ]
        )


class Source:
    """Lines of a function and the constants that they name."""

    def __init__(self, flight: Flight) -> None:
        self.flight = flight
        self.lines: list[str] = []
        self.names: dict[str, Any] = {
            "door": doors.door,
            "epoch": doors.epoch,
            "watch": doors.watch,
            "owner": doors.owner[0],
            "get_ident": doors.get_ident,
            "getrefcount": sys.getrefcount,
            "state": modes.state,
            "X": flight.outside,
            "R": flight.arrays,
            "NUM": flight.numbers,
            "HANDING": flight.handing,
            "Tensor": Tensor,
        }

    def constant(self, value: Any) -> str:
        """A name for a constant."""
        if value is None or value is True or value is False:
            return repr(value)
        for name, known in self.names.items():
            if known is value:
                return name
        name = f"k{len(self.names)}"
        self.names[name] = value
        return name

    def add(self, depth: int, *lines: str) -> None:
        """Appends lines."""
        self.lines.extend(["    " * depth + line for line in lines])

    def function(self, name: str, point: Point) -> Any:
        """The function that the lines define."""
        exec("\n".join(self.lines), self.names)
        made = self.names[name]
        made.point = point
        return made


class Site(Source):
    """The match function of an event; its inputs are ``a0``, ``a1``, ...

    Attributes:
        point: the event's point in the tree; `at` its number in the path.
        cells: for each slot so far the cell of its tensor.
        checks: guards; all hold before anything happens.
        first: what is done next; `late`, guards on what that gave.
        effects: what is done when all guards hold.
        result: what the event gives.
    """

    def __init__(self, point: Point, flight: Flight, path: Path, cells: dict[int, Any]) -> None:
        super().__init__(flight)
        self.point = point
        self.event = point.event
        self.path = path
        self.at = path.points.index(point)
        self.cells = cells
        self.checks: list[str] = []
        self.first: list[str] = []
        self.late: list[str] = []
        self.effects: list[str] = []
        self.result = "None"

    def fix(self, *tensors: Tensor) -> None:
        """Guards that tensors are what they were when the stretch was compiled."""
        fixed = Fixed(*tensors)
        self.point.fixed.append(fixed)
        self.checks.append(f"{self.constant(fixed.unchanged)}[0]")

    def snapshot(self, n: int) -> None:
        """Notes the memory of the n-th outside tensor anew, or a copy if NumPy may change it."""
        self.names["snapshot"] = snapshot
        self.effects.append(f"R[{n}] = snapshot(X[{n}])")

    def pending(self, slot: Slot, cell: list[Any], t: str, index: int) -> None:
        """Hands out a tensor whose values are not there yet."""
        maker = self.path.maker(slot.place)
        if maker is cell:
            self._recycled(slot, cell, t)
        else:
            self._view(slot, cell, maker, t, index)
        if slot.inference:
            self.effects.append(f"{t}._inference = True")

    def _recycled(self, slot: Slot, cell: list[Any], t: str) -> None:
        """The tensor of the last flight if nobody holds it, else a new one.

        A loop holds the loss of one step until that of the next is there, so two take turns.
        """
        self.names["fresh"] = _fresh
        c, m = self.constant(cell), self.constant(slot.meta)
        node = self.constant(self.path.node_of(self.event, slot))
        held = " or ".join(
            [f"getrefcount({x}) != {HELD_ONCE}" for x in (t, f"{c}[1]")]
            + [f"len({t}.__dict__) != {_FIELDS}"]
        )
        turn = ", ".join([f"{c}[{k}]" for k in (0, 1, 2, 3, 4, 5)])
        other = ", ".join([f"{c}[{k}]" for k in (3, 4, 5, 0, 1, 2)])
        self.effects += [
            f"{t} = {c}[0]",
            f"if {held}:",
            f"    {turn} = {other}",
            f"    {t} = {c}[0]",
            f"    if {t} is None or {held}:",
            f"        {t} = fresh({c}, {m}, {slot.requires_grad}, {node}, {slot.out_nr})",
            f"{t}._requires_grad = {slot.requires_grad}; {t}._node = {node}",
        ]

    def _view(self, slot: Slot, cell: list[Any], maker: list[Any], t: str, index: int) -> None:
        """A view of pending memory."""
        self.names["new"] = new
        c, made, m = self.constant(cell), self.constant(maker), self.constant(slot.meta)
        self.effects += [
            f"{t} = new(Tensor, {made}[1], {m}, {slot.offset}, None, a0._counter)",
            f"{c}[0] = {t}; {c}[1] = {made}[1]",
        ]
        if slot.requires_grad:
            node = self.constant(self.path.node_of(self.event, slot))
            self.effects.append(
                f"{t}._requires_grad = True; {t}._node = {node}; {t}._out_nr = {slot.out_nr}"
            )
        if self.point.viewed:
            self.names["view_record"] = view_record
            op, attrs = self.constant(self.event.op), self.constant(self.event.attrs)
            many = not self.event.single
            self.effects.append(f"{t}._view = view_record(a0, {op}, {attrs}, {index}, {many})")


def snapshot(t: Tensor) -> Any:
    """The memory of an outside tensor; a copy of what NumPy may change behind our back."""
    array = memory_of(t)
    if t._storage.exported:
        copy = Storage(t._storage.length)
        copy.bytes[:] = t._storage.bytes
        return array_over(copy, t._meta, t._offset)
    return array


def _fresh(cell: list[Any], m: Any, requires_grad: bool, node: Any, nr: int) -> Tensor:
    """A tensor without memory yet."""
    storage = Storage.without_memory(m.numel * m.dtype.itemsize)
    t = new(Tensor, storage, m, 0)
    t._array = None
    t._inference = False
    t._requires_grad = requires_grad
    t._node = node
    t._out_nr = nr
    cell[:3] = [t, storage, 0]
    return t


_FIELDS = len(_fresh([], meta(Size(), float32), False, None, 0).__dict__)
