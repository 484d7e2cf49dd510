"""What an event of each kind is to the recorder, the tree, the matcher and a bail-out.

One class a kind, one method a question; ``of(kind)`` gives the answers.  An operator's call is the
usual case, and the base of what differs from it in part.
"""

from __future__ import annotations

import weakref
from collections import Counter
from typing import Any

from rushlight.dispatch import doors
from rushlight.dispatch.autocast import set_now
from rushlight.dispatch.doors import (
    AUTOCAST,
    BACKWARD,
    CLEAR,
    DATA,
    DEMAND,
    DETACH,
    EAGER,
    GRAD,
    STEP,
    WRITE,
    ZERO,
)
from rushlight.dispatch.tensor import Tensor, Version, memory_of
from rushlight.ir.trace import Number
from rushlight.replay.recording import Event, InGraph, outputs
from rushlight.replay.source import Site
from rushlight.replay.stepping import StepRecord
from rushlight.runtime.cpu import array_over
from rushlight.runtime.storage import Storage

__all__ = ["of"]

Tensors = tuple[Tensor, ...]


class Kind:
    """What is asked of a kind of event; most do nothing of most."""

    detaches = False  # whether the history of what it is given does not matter
    static = False  # whether it has attributes to be looked at

    def run(self, recorder: Any, event: Event, inputs: Any) -> Any:
        """Runs the event eagerly while it is recorded."""
        return EAGER[event.kind](event.op, inputs, event.attrs)

    def note(self, recorder: Any, event: Event, inputs: Any, result: Any) -> None:
        """Notes an event that has run: where its inputs came from, what it handed out."""
        event.inputs = tuple([("value", x) for x in inputs])

    def attributes(self, event: Event) -> tuple[Any, ...]:
        """The attributes that another event must have to be the same."""
        return event.attrs

    def detail(self, event: Event) -> Any:
        """What else another event must have to be the same."""
        return None

    def match(self, site: Site) -> None:
        """Adds guards beyond those on inputs and attributes, and effects, to a match function."""

    def raises(self, event: Event, inputs: Any, cells: dict[int, Any]) -> Counter[Version]:
        """Whose version counters a matched event has raised, and by how much."""
        return Counter()

    def made(self, event: Event, result: Any) -> Tensors:
        """The tensors that take the place of those handed out, after eager code has run it."""
        return ()


class Call(Kind):
    """A call of an operator, or something that returns tensors as one does."""

    static = True

    def run(self, recorder: Any, event: Event, inputs: Any) -> Any:
        inputs = recorder.with_symbols(event, inputs)
        attrs = recorder.attributes_with_symbols(event)
        result = EAGER[None](event.op, inputs, event.attrs)
        if event.counted and not isinstance(result, tuple) and result._node is not None:
            result._node.attrs = attrs  # so that the backward pass shows how it depends on them
        recorder.note_call(event.op, inputs, attrs, result, None, event)
        return result

    def note(self, recorder: Any, event: Event, inputs: Any, result: Any) -> None:
        _note_inputs(recorder, event, inputs)
        event.single = type(result) is not tuple
        for t in outputs(result):
            recorder.hand_out(event, t)

    def attributes(self, event: Event) -> tuple[Any, ...]:
        if event.windows:
            return ()
        if event.op is not None and event.op.kind == "random":
            return event.attrs[:-1]  # a loop may make its generator anew
        if event.counted:
            numbers = dict(event.counted)
            return tuple(
                [("number", numbers[i]) if i in numbers else x for i, x in enumerate(event.attrs)]
            )
        return event.attrs

    def match(self, site: Site) -> None:
        event = site.event
        if event.windows:
            _view_data(site)
        elif event.hosted or _view_of_outside(site):
            _run_eagerly(site)
        else:
            outs = zip(event.outs, site.point.cells, strict=True)
            for i, (slot, cell) in enumerate(outs):
                site.pending(slot, cell, f"t{i}", i)
            names = [f"t{i}" for i in range(len(event.outs))]
            site.result = names[0] if event.single else f"({', '.join(names)},)"

    def made(self, event: Event, result: Any) -> Tensors:
        return outputs(result)


class Alias(Call):
    """``detach()`` and ``data``: the same memory, made eagerly at once."""

    detaches = True
    static = False

    def run(self, recorder: Any, event: Event, inputs: Any) -> Any:
        return EAGER[event.kind](event.op, inputs, event.attrs)

    def match(self, site: Site) -> None:
        if site.event.windows:
            _view_data(site)
        else:
            _run_eagerly(site)


class Write(Kind):
    """An operator into its first input."""

    static = True

    def run(self, recorder: Any, event: Event, inputs: Any) -> Any:
        inputs = recorder.with_symbols(event, inputs)
        attrs = recorder.attributes_with_symbols(event)
        before = _history(inputs[0])
        result = EAGER[WRITE](event.op, inputs, event.attrs)
        node = _history(result)
        if node is not before:
            node = getattr(node, "write", node)
            node.attrs = attrs
            event.node = weakref.ref(node)
        recorder.note_call(event.op, inputs, attrs, result, WRITE, event)
        return result

    def note(self, recorder: Any, event: Event, inputs: Any, result: Any) -> None:
        """Also what it did to the history of its target, and of the target's base."""
        _note_inputs(recorder, event, inputs)
        target = inputs[0]
        event.detail = []
        for t in (target,) if target._view is None else (target, target._view.base):
            slot = recorder.slot_of(t)
            if slot is not None:
                event.detail.append(InGraph(slot, t))
                recorder.now.attached.append(slot)
            elif t._node is not None and target._requires_grad:
                recorder.interrupt("an in-place write to a graph from before the stretch")

    def attributes(self, event: Event) -> tuple[Any, ...]:
        return _CALL.attributes(event)

    def detail(self, event: Event) -> Any:
        return tuple([(c.slot, c.requires_grad, c.node_class, c.out_nr) for c in event.detail])

    def match(self, site: Site) -> None:
        if site.event.hosted:
            _run_eagerly(site)
            return
        site.checks.append("not a0._storage.exported")
        site.effects.append("a0._counter.value += 1")
        for change in site.event.detail:
            node = site.constant(site.path.node_after(site.event, change))
            t = f"{site.constant(site.cells[change.slot])}[0]"
            site.effects.append(f"{t}._requires_grad = {change.requires_grad}; {t}._node = {node}")
            site.effects.append(f"{t}._out_nr = {change.out_nr}")
        site.result = "a0"

    def raises(self, event: Event, inputs: Any, cells: dict[int, Any]) -> Counter[Version]:
        return Counter({inputs[0]._counter: 1})


class Backward(Kind):
    """``backward()``: a new gradient for each leaf, or more in the one it had.

    The event's detail is a list of (leaf, "new", slot) or (leaf, "more", reference).
    """

    static = True

    def run(self, recorder: Any, event: Event, inputs: Any) -> Any:
        event.detail = recorder.leaves = []
        return super().run(recorder, event, inputs)

    def note(self, recorder: Any, event: Event, inputs: Any, result: Any) -> None:
        event.inputs = tuple([recorder.reference(x) for x in inputs])
        reached, event.detail = event.detail, []
        seen = set()
        for leaf, fresh in reached:
            slot = recorder.slot_of(leaf)
            if slot is not None or id(leaf) in seen:
                recorder.interrupt("a leaf made in the stretch" if slot else "a leaf reached twice")
                continue
            seen.add(id(leaf))
            recorder.now.settled.add(id(leaf))
            if fresh:
                recorder.hand_out(event, leaf._grad)
                event.detail.append((leaf, "new", event.outs[-1].index))
            else:
                event.detail.append((leaf, "more", recorder.reference(leaf._grad)))

    def detail(self, event: Event) -> Any:
        return tuple([(id(leaf), how, _grad_key(k)) for leaf, how, k in event.detail])

    def match(self, site: Site) -> None:
        cleared = site.path.cleared_before(site.at)
        outs = {s.index: (s, c) for s, c in zip(site.event.outs, site.point.cells, strict=True)}
        site.effects.append("HANDING[0] = POINT")
        for i, (leaf, how, k) in enumerate(site.event.detail):
            p = site.constant(leaf)
            if how == "new":
                if id(leaf) not in cleared:
                    site.checks.append(f"{p}._grad is None")
                site.pending(*outs[k], f"g{i}", i)
                site.effects.append(f"{p}._grad = g{i}")
                continue
            if k[0] == "slot":
                site.checks.append(f"{p}._grad is {site.constant(site.cells[k[1]])}[0]")
            else:
                g, storage = site.constant(k[2]), site.constant(k[2]._storage)
                site.checks.append(f"{p}._grad is {g} and {g}._storage is {storage}")
                site.checks.append(f"not {g}._storage.exported")
            site.effects.append(f"{p}._grad._counter.value += 1")
        site.effects.append("HANDING[0] = None")

    def raises(self, event: Event, inputs: Any, cells: dict[int, Any]) -> Counter[Version]:
        return Counter([grad._counter for grad in self.added_to(event, cells)])

    def added_to(self, event: Event, cells: dict[int, Any]) -> list[Tensor]:
        """The gradients that were there before and get more."""
        more = [k for _, how, k in event.detail if how == "more"]
        return [cells[k[1]][0] if k[0] == "slot" else k[2] for k in more]

    def made(self, event: Event, result: Any) -> Tensors:
        return tuple([leaf._grad for leaf in self.new_at(event)])

    def new_at(self, event: Event) -> list[Tensor]:
        """The leaves that get a new gradient."""
        return [leaf for leaf, how, _ in event.detail if how == "new"]


class Zero(Kind):
    """``zero_grad()``: gradients become None; the detail is the groups and the parameters."""

    def note(self, recorder: Any, event: Event, inputs: Any, result: Any) -> None:
        super().note(recorder, event, inputs, result)
        groups = [(g, g["params"], len(g["params"])) for g in inputs[0].param_groups]
        event.detail = (groups, [p for _, params, _ in groups for p in params])
        recorder.now.settled.update(map(id, event.detail[1]))

    def detail(self, event: Event) -> Any:
        groups, params = event.detail
        lists = [id(p) for _, p, _ in groups]
        optimizer = event.inputs[0][1]
        whole = (id(optimizer), id(optimizer.param_groups), *[id(g) for g, _, _ in groups])
        return (*whole, *lists, *map(id, params))

    def match(self, site: Site) -> None:
        groups, params = site.event.detail
        optimizer = site.event.inputs[0][1]
        whole = site.constant(optimizer.param_groups)
        site.checks.append(f"a0 is {site.constant(optimizer)} and a0.param_groups is {whole}")
        site.checks.append(f"len({whole}) == {len(groups)}")
        for i, (group, members, count) in enumerate(groups):
            g, list_ = site.constant(group), site.constant(members)
            site.checks.append(f"{whole}[{i}] is {g} and {g}['params'] is {list_}")
            site.checks.append(f"len({list_}) == {count}")
        site.effects += [f"{site.constant(p)}._grad = None" for p in params]


class Clear(Kind):
    """``tensor.grad = None``."""

    def note(self, recorder: Any, event: Event, inputs: Any, result: Any) -> None:
        event.inputs = tuple([recorder.reference(x) for x in inputs])
        recorder.now.settled.add(id(inputs[0]))

    def match(self, site: Site) -> None:
        site.effects.append("a0._grad = None")


class Mode(Kind):
    """Gradient recording is set, perhaps with inference mode."""

    def match(self, site: Site) -> None:
        for name, (_, value) in zip(("grad", "inference"), site.event.inputs, strict=False):
            site.effects.append(f"state.{name} = {value}")


class Autocast(Kind):
    """Settings of autocast are changed."""

    def match(self, site: Site) -> None:
        site.names["set_now"] = set_now
        site.effects.append("set_now(a0)")


class Step(Kind):
    """An optimiser's step; the detail is a `StepRecord`."""

    def run(self, recorder: Any, event: Event, inputs: Any) -> Any:
        now = recorder.now
        event.detail = StepRecord(inputs[0], now.numbers, now.settled)
        return EAGER[STEP](event.op, inputs, (event.detail.groups,))

    def note(self, recorder: Any, event: Event, inputs: Any, result: Any) -> None:
        super().note(recorder, event, inputs, result)
        problem = event.detail.finish()
        if problem is not None:
            recorder.interrupt(problem)
        recorder.now.mark(event)

    def detail(self, event: Event) -> Any:
        return event.detail.key()

    def match(self, site: Site) -> None:
        site.checks += site.event.detail.guards(site)
        site.fix(*site.event.detail.tensors())

    def raises(self, event: Event, inputs: Any, cells: dict[int, Any]) -> Counter[Version]:
        return Counter(event.detail.counters)


_CALL = Call()
_KINDS: dict[Any, Kind] = {
    None: _CALL,
    WRITE: Write(),
    DETACH: Alias(),
    DATA: Alias(),
    BACKWARD: Backward(),
    ZERO: Zero(),
    CLEAR: Clear(),
    STEP: Step(),
    GRAD: Mode(),
    AUTOCAST: Autocast(),
    DEMAND: Kind(),
}


def of(kind: Any) -> Any:
    """What a kind of event is; an operator's call has kind None."""
    return _KINDS[kind]


# What several kinds do


def _history(t: Any) -> Any:
    """The node that a write into a tensor replaces: its own, or that of its base."""
    base = t._view.base if getattr(t, "_view", None) is not None else t
    return getattr(base, "_node", None)


def _note_inputs(recorder: Any, event: Event, inputs: Any) -> None:
    """References to inputs; floats that are run-time numbers are known by the call's own."""
    own = recorder.now.calls[-1].inputs if event.calls[0] < event.calls[1] else ()
    detaches = of(event.kind).detaches
    event.inputs = tuple(
        [
            ("number", own[i].at, type(x))
            if type(x) in (float, int) and own and type(own[i]) is Number
            else recorder.reference(x, detaches)
            for i, x in enumerate(inputs)
        ]
    )


def _grad_key(k: Any) -> Any:
    return k if isinstance(k, int) or k[0] == "slot" else ("fixed", id(k[2]), id(k[2]._storage))


def _view_of_outside(site: Site) -> bool:
    """Whether the event makes a view of memory that is there already."""
    event = site.event
    if event.op is None or event.op.kind != "movement" or not event.outs:
        return False
    place = site.path.recording.places[event.outs[0].place]
    return not place.made or place.hosted


def _run_eagerly(site: Site) -> None:
    """Events that run eagerly in each flight; their results are real at once."""
    site.point.real = True
    site.names.update(run=EAGER[site.event.kind], aside=doors.aside)
    site.effects.append("result = aside(run, op, inputs, attrs)")
    site.result = "result"
    if site.event.kind is WRITE:
        return
    site.effects.append("outs = result if type(result) is tuple else (result,)")
    for i, cell in enumerate(site.point.cells):
        c = site.constant(cell)
        site.effects.append(f"{c}[0] = outs[{i}]; {c}[1] = outs[{i}]._storage")


def _view_data(site: Site) -> None:
    """A view of data, whose part may be another in each flight: it is looked at once it is made."""
    event, path = site.event, site.path
    site.point.real = True
    site.names.update(run=EAGER[event.kind], aside=doors.aside, piece=_piece, POINT=site.point)
    site.first = [
        "result = aside(run, op, inputs, attrs)",
        "outs = result if type(result) is tuple else (result,)",
    ]
    site.late = [f"len(outs) == {len(event.outs)}", "not outs[0]._requires_grad"]
    site.late += [f"outs[{i}]._meta is {site.constant(o.meta)}" for i, o in enumerate(event.outs)]
    if path.written_storages:
        site.late.append(f"outs[0]._storage not in {site.constant(path.written_storages)}")
    site.effects.append("POINT.attrs = attrs")
    for i, (slot, cell) in enumerate(zip(event.outs, site.point.cells, strict=True)):
        c, n = site.constant(cell), path.variable(slot.place)
        site.effects.append(f"t = outs[{i}]; {c}[0] = t; {c}[1] = t._storage; X[{n}] = t")
        site.effects.append(f"R[{n}] = piece(t, {site.constant(site.flight)})")
    site.result = "result"


def _piece(t: Tensor, flight: Any) -> Any:
    """The memory that a view of data sees; a copy of what NumPy may change behind our back."""
    array = memory_of(t)
    if not t._storage.exported:
        return array
    flight.shared = True
    m = t._meta
    extent = sum([(n - 1) * step for n, step in zip(m.shape, m.strides, strict=True)]) + 1
    copy = array_over(Storage(max(extent, 0) * m.dtype.itemsize), m, 0)
    copy[...] = array
    return copy
