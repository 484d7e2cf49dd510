"""Views and in-place writes: who shares memory with whom, and whose history a write changes.

A view remembers its base and the movement calls that lead to it.  Writing in place through a view
puts a CopySlices node into the base's history; the nodes of its other views are then rebuilt when
somebody looks, by walking the same steps from the base.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rushlight.dispatch import modes, tape
from rushlight.dispatch.tensor import Tensor, ViewOf, changed, new

__all__ = ["check_history", "check_write", "rebase", "refresh"]

_NO_GRAD = (
    "Given that this use case is ambiguous and error-prone, it is forbidden. You can clarify your "
    "code by moving both the view and the inplace either both inside the no_grad block (if you "
    "don't want the inplace to be tracked) or both outside (if you want the inplace to be tracked)."
)
_MULTIPLE = (
    "This view is the output of a function that returns multiple views. Such functions do not "
    "allow the output views to be modified inplace. You should replace the inplace operation by "
    "an out-of-place one."
)

_FUNCTION = (
    "This view was created inside a custom Function (or because an input was returned as-is) and "
    "the autograd logic to handle view+inplace would override the custom backward associated with "
    "the custom Function, leading to incorrect gradients. This behavior is forbidden. You can fix "
    "this by cloning the output of the custom Function."
)


def view_record(
    source: Tensor, op: Any, attrs: tuple[Any, ...], index: int, multiple: bool
) -> ViewOf:
    """What a new view of ``source`` remembers."""
    step = (op, attrs, index)
    problem = None
    if not modes.state.grad:
        problem = "no_grad"
    elif multiple:
        problem = "multiple"
    parent = source._view
    if parent is None:
        return ViewOf(source, (step,), source._counter.value, problem)
    return ViewOf(
        parent.base, (*parent.steps, step), source._counter.value, problem or parent.problem
    )


def walk(base: Tensor, steps: Sequence[Any]) -> Tensor:
    """The view of ``base`` to which these movement calls lead."""
    from rushlight.dispatch.gate import call

    t = base
    for op, attrs, index in steps:
        result = call(op, (t,), attrs)
        t = result[index] if isinstance(result, tuple) else result
    return t


def refresh(view: Tensor) -> None:
    """Rebuilds the graph node of a view whose base was written to since."""
    record = view._view
    if record is None or record.seen == view._counter.value:
        return
    if record.problem and (view._node is not None or record.base._requires_grad):
        raise RuntimeError(_refusal(view, "its base or another view of its base has been"))
    if record.base._requires_grad and record.problem not in ("no_grad", "function"):
        was = modes.state.grad
        modes.state.grad = True
        try:
            again = _again(view, record)
        finally:
            modes.state.grad = was
        view._node, view._out_nr = again._node, again._out_nr
        view._requires_grad = again._requires_grad
    record.seen = view._counter.value


def _again(view: Tensor, record: ViewOf) -> Tensor:
    """The view made anew from its base: by one as_strided, as PyTorch does, if that can be."""
    from rushlight.dispatch.namespace import o

    m, base = view._meta, record.base._meta
    alike = m.dtype is base.dtype and m.conj == base.conj and m.neg == base.neg
    if alike and base.dense and view._value is None:
        again: Tensor = o.as_strided(
            record.base, m.shape, m.strides, view._offset - record.base._offset
        )
        return again
    return walk(record.base, record.steps)


def check_write(
    target: Tensor, wants_grad: bool, op: Any = None, inputs: Sequence[Any] = ()
) -> None:
    """Refuses in-place writes that PyTorch refuses, in its words."""
    if target._inference and not modes.state.inference:
        raise RuntimeError(
            "Inplace update to inference tensor outside InferenceMode is not allowed."
            "You can make a clone to get a normal tensor before doing inplace update."
            "See https://github.com/pytorch/rfcs/pull/17 for more details."
        )
    check_history(target, wants_grad)
    _check_overlap(target, op, inputs)


def check_history(target: Tensor, wants_grad: bool = False) -> None:
    """Refuses writes whose gradient would not be defined."""
    if not modes.state.grad:
        return
    record = target._view
    if target._requires_grad and target._node is None and record is None:
        raise RuntimeError(
            "a leaf Variable that requires grad is being used in an in-place operation."
        )
    if record is None:
        return
    base = record.base
    if not record.problem:
        refresh(target)
    if not (target._requires_grad or base._requires_grad or wants_grad):
        return
    if record.problem:
        raise RuntimeError(_refusal(target, "is being"))
    if base._requires_grad and base._node is None:
        raise RuntimeError(
            "a view of a leaf Variable that requires grad is being used in an in-place operation."
        )


def _refusal(view: Tensor, now: str) -> str:
    """Why a view cannot be written to, or looked at after a write, in PyTorch's words."""
    record, node = view._view, view._node
    assert record is not None
    here = f"Output {view._out_nr} of {tape.short_name(node.name())} is a view" if node else ""
    if record.problem == "no_grad" or not node:
        made = f"{here} of a view which was created" if node else "A view was created"
        text = f"{made} in no_grad mode and {now} modified inplace with grad mode enabled. "
    else:
        text = f"{here} and {now} modified inplace. "
    return text + _REASONS[record.problem or ""]


_REASONS = {"multiple": _MULTIPLE, "function": _FUNCTION, "no_grad": _NO_GRAD}
_FILLS = frozenset(("fill", "zero", "triu", "tril"))  # write the same value however often they pass
_DEPRECATED = {
    "masked_fill": "tensor[mask] = scalar",
    "index_fill": "tensor[mask] = scalar",
    "index_put": "tensor[indices] = tensor",
}


def _check_overlap(target: Tensor, op: Any, inputs: Sequence[Any]) -> None:
    """Refuses targets that share elements with themselves or, in part, with an input."""
    m = target._meta
    name = op.name if op is not None else ""
    if not m.dense and any([s == 0 and n > 1 for n, s in zip(m.shape, m.strides, strict=True)]):
        if name in _DEPRECATED:
            import warnings

            warnings.warn(
                f"Use of {name}_ on expanded tensors is deprecated. Please clone() the tensor "
                f"before performing this operation. This also applies to advanced indexing e.g. "
                f"{_DEPRECATED[name]}",
                UserWarning,
                stacklevel=4,
            )
        elif name not in _FILLS:
            raise RuntimeError(
                "unsupported operation: more than one element of the written-to tensor refers to a "
                "single memory location. Please clone() the tensor before performing the operation."
            )
    if op is not None and op.kind == "elementwise" and m.dense:
        for x in inputs[1:]:
            if isinstance(x, Tensor) and x._storage is target._storage and _in_part(target, x):
                raise RuntimeError(_SHARED)


def check_apart(target: Any, inputs: Sequence[Any], numel: int = 0) -> None:
    """Refuses an ``out=`` that shares memory with an input, for operators that read as they write.

    Args:
        numel: how many elements the target will have when it is written to.

    Raises:
        RuntimeError: they share an element.
    """
    if not isinstance(target, Tensor) or not target._meta.dense:
        return
    first = target._offset
    end = first + max(target._meta.numel, numel)
    for x in inputs:
        if isinstance(x, Tensor) and x._storage is target._storage and x._meta.dense:
            if x._offset < end and first < x._offset + x._meta.numel:
                raise RuntimeError(_SHARED)


_SHARED = (
    "unsupported operation: some elements of the input tensor and the written-to tensor refer to a "
    "single memory location. Please clone() the tensor before performing the operation."
)


def _in_part(a: Tensor, b: Tensor) -> bool:
    """Whether two dense tensors over one storage share some but not all elements."""
    m, n = a._meta, b._meta
    if not n.dense or not m.numel or not n.numel or a is b:
        return False
    if a._offset == b._offset and m.numel == n.numel:
        return m.strides != n.strides
    return a._offset < b._offset + n.numel and b._offset < a._offset + m.numel


def rebase(target: Tensor, node: tape.Node) -> None:
    """Makes ``node`` the history of a tensor just written in place."""
    record = target._view
    if record is None:
        target._node, target._out_nr, target._requires_grad = node, 0, True
        changed(target)
        return
    base = record.base
    copy = CopySlices(base, tape.gradient_edge(base), record.steps, node)
    base._node, base._out_nr, base._requires_grad = copy, 0, True
    changed(base)
    record.seen = -1
    refresh(target)


class CopySlices(tape.Node):
    """The history of a base after a write through one of its views.

    Its first input is the base as it was; the gradient that reaches the written part goes through
    the node of the write, the rest passes on.
    """

    __slots__ = ("offset", "steps", "write")

    def __init__(self, base: Tensor, edge: Any, steps: tuple[Any, ...], write: tape.Node) -> None:
        super().__init__(None, (), (edge, *write.edges[1:]), (base._meta,))
        self.offset = base._offset
        self.steps = steps
        self.write = write

    def name(self) -> str:
        return "torch::autograd::CopySlices"

    def apply(self, grads: Sequence[Any], needs: tuple[bool, ...]) -> Sequence[Any]:
        from rushlight.dispatch.namespace import o

        whole = o.clone(grads[0])
        part = walk(whole, self.steps)
        inner = (self.write.edges[0] is not None or needs[0], *needs[1:])
        given = [o.clone(part)]
        seen = self._result() if modes.state.grad else None
        result = list(
            self.write.apply(given, inner)
            if seen is None
            else self.write.differentiate(given, inner, seen)
        )
        back = result[0] if result[0] is not None else o.zeros_like(part)
        if back._meta.shape != part._meta.shape:
            back = o.sum_to(back, part._meta.shape)
        o.copy_in_place(part, back)
        return [whole if needs[0] else None, *result[1:]]

    def _result(self) -> Tensor | None:
        """What the write saved of its result, as a view of the base: that is its history."""
        saved = [x for x in self.write.outputs if type(x) is tape.SavedTensor]
        if not saved:
            return None
        t = saved[0].unpack(self.write, 0)
        base = new(Tensor, t._storage, self.outs[0], self.offset, None, t._counter)
        base._requires_grad, base._node, base._out_nr = True, self, 0
        return walk(base, self.steps)

    def release(self) -> None:
        self.write.release()
