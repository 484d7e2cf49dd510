"""The tape: graph nodes, saved tensors and the backward engine.

A node is noted by the gate for each call whose result needs a gradient.  The engine runs nodes in
the reverse of the order in which they were made, as PyTorch does.
"""

from __future__ import annotations

import heapq
import itertools
import weakref
from collections.abc import Iterable, Sequence
from typing import Any

from rushlight.dispatch import modes
from rushlight.dispatch.tensor import Tensor, array_of, new
from rushlight.ir.op import Op

__all__ = ["AccumulateGrad", "Node", "SavedTensor", "gradient_edge", "run_backward"]

_sequence = itertools.count()
Edge = tuple["Node", int]


class SavedTensor:
    """A tensor kept for the backward pass, with the version it had."""

    __slots__ = ("hook", "is_output", "packed", "tensor", "version")

    def __init__(self, tensor: Tensor, is_output: bool) -> None:
        self.version = tensor._counter.value
        self.is_output = is_output
        self.hook = modes.state.packing[-1] if modes.state.packing else None
        self.packed: Any = None
        if is_output:  # without its node, else node and output would keep each other alive
            tensor = alias(tensor)
        self.tensor: Tensor | None = tensor
        if self.hook is not None:
            with modes.no_grad():
                self.packed = self.hook[0](tensor if is_output else alias(tensor))
            self.tensor = None

    def unpack(self, node: Node, out_nr: int) -> Tensor:
        """The tensor, if nobody wrote to its memory meanwhile."""
        if self.hook is not None:
            return self.hook[1](self.packed)  # type: ignore[no-any-return]
        t = self.tensor
        assert t is not None
        if t._counter.value != self.version:
            raise _modified(t, node, self)
        if self.is_output:
            t = alias(t)
            t._requires_grad, t._node, t._out_nr = True, node, out_nr
        return t


def alias(t: Tensor) -> Tensor:
    """Another tensor over the same memory and version, outside the graph."""
    return new(Tensor, t._storage, t._meta, t._offset, t._array, t._counter)


def _modified(t: Tensor, node: Node, saved: SavedTensor) -> RuntimeError:
    kind = t._storage.device.type.upper()
    title = {"Float": "FloatTensor", "Double": "DoubleTensor", "Half": "HalfTensor"}
    name = title.get(t._meta.dtype.title, f"{t._meta.dtype.title}Type")
    what = f"[torch.{'' if kind == 'CPU' else 'cuda.'}{name} {list(t._meta.shape)}]"
    where = ""
    producer = node.name() if saved.is_output else (t._node.name() if t._node is not None else "")
    if producer:
        where = f", which is output {t._out_nr} of {producer},"
    error = RuntimeError(
        "one of the variables needed for gradient computation has been modified by an inplace "
        f"operation: {what}{where} is at version {t._counter.value}; expected version "
        f"{saved.version} instead. Hint: enable anomaly detection to find the operation that "
        "failed to compute its gradient, with torch.autograd.set_detect_anomaly(True)."
    )
    error.add_note(
        f"{node.name()} needs this tensor as it was when the forward pass ran; write the change "
        "out of place, for example x = x + 1 instead of x += 1"
    )
    return error


class Node:
    """One call in the gradient graph; what ``tensor.grad_fn`` shows.

    Attributes:
        edges: for each input, the node and output index that receive its gradient, or None.
        outs: the Metas of the call's results.
    """

    __slots__ = (
        "__dict__",
        "__weakref__",
        "attrs",
        "edges",
        "inputs",
        "needs",
        "op",
        "outputs",
        "outs",
        "post_hooks",
        "pre_hooks",
        "released",
        "retained",
        "sequence",
        "tensor_hooks",
    )

    def __init__(self, op: Any, attrs: tuple[Any, ...], edges: tuple[Any, ...], outs: Any) -> None:
        self.op = op
        self.attrs = attrs
        self.edges = edges
        self.outs = outs
        self.needs = tuple([e is not None for e in edges])
        self.inputs: tuple[Any, ...] = ()
        self.outputs: tuple[Any, ...] = ()
        self.sequence = next(_sequence)
        self.released = False
        self.pre_hooks: Any = None
        self.post_hooks: Any = None
        self.tensor_hooks: Any = None  # output index -> {key: hook}
        self.retained: Any = None  # output index -> weakref of the tensor whose .grad to fill

    def save(self, inputs: Sequence[Any], outputs: Sequence[Tensor]) -> None:
        """Keeps what the gradient rule reads; of the others, the Metas."""
        keep_in, keep_out = self.op.keeps(self.needs)
        self.inputs = tuple(
            [
                (SavedTensor(x, False) if i in keep_in else x._meta) if isinstance(x, Tensor) else x
                for i, x in enumerate(inputs)
            ]
        )
        self.outputs = tuple(
            [SavedTensor(x, True) if i in keep_out else x._meta for i, x in enumerate(outputs)]
        )

    def name(self) -> str:
        """The name that PyTorch gives such a node."""
        metas = tuple(
            [
                x.tensor._meta if isinstance(x, SavedTensor) and x.tensor is not None else x
                for x in self.inputs
            ]
        )
        return str(self.op.node_name(metas, self.attrs))

    def apply(self, grads: Sequence[Any], needs: tuple[bool, ...]) -> Sequence[Any]:
        """The gradients of the inputs from those of the outputs."""
        if self.released:
            raise _second_time(self)
        op: Op = self.op
        inputs = [x.unpack(self, 0) if type(x) is SavedTensor else x for x in self.inputs]
        outputs = [
            x.unpack(self, i) if type(x) is SavedTensor else x for i, x in enumerate(self.outputs)
        ]
        return rules(op, needs, grads, inputs, outputs, self.attrs)

    def release(self) -> None:
        """Lets go of saved tensors after the backward pass."""
        if self.inputs or self.outputs:
            keep_in, keep_out = self.op.keeps(self.needs)
            self.released = bool(keep_in or keep_out)
            if self.released:
                self.inputs = tuple(
                    [
                        x.tensor._meta
                        if isinstance(x, SavedTensor) and x.tensor is not None
                        else (None if isinstance(x, SavedTensor) else x)
                        for x in self.inputs
                    ]
                )
                self.outputs = ()

    # What users of PyTorch do with grad_fn.

    @property
    def next_functions(self) -> tuple[tuple[Any, int], ...]:
        """The nodes that receive gradients from this one, with the output index of each."""
        return tuple([(None, 0) if e is None else e for e in self.edges])

    @property
    def metadata(self) -> dict[Any, Any]:
        """A dictionary for the user's own notes."""
        found: dict[Any, Any] = self.__dict__.setdefault("_metadata", {})
        return found

    def register_hook(self, hook: Any) -> Any:
        """Calls ``hook(grad_inputs, grad_outputs)`` after this node has run."""
        if self.post_hooks is None:
            self.post_hooks = {}
        return RemovableHandle(self.post_hooks, hook)

    def register_prehook(self, hook: Any) -> Any:
        """Calls ``hook(grad_outputs)`` before this node runs."""
        if self.pre_hooks is None:
            self.pre_hooks = {}
        return RemovableHandle(self.pre_hooks, hook)

    def __repr__(self) -> str:
        return f"<{self.name()} object at {id(self):#x}>"


def _second_time(node: Node) -> RuntimeError:
    error = RuntimeError(
        "Trying to backward through the graph a second time (or directly access saved tensors "
        "after they have already been freed). Saved intermediate values of the graph are freed "
        "when you call .backward() or autograd.grad(). Specify retain_graph=True if you need to "
        "backward through the graph a second time or if you need to access saved tensors after "
        "calling backward."
    )
    error.add_note(
        "in a training loop, recompute the loss in each step, or detach() the state that is "
        "carried from one step to the next; retain_graph=True is seldom what you want"
    )
    return error


class RemovableHandle:
    """What registering a hook returns; ``remove()`` takes the hook away again."""

    _ids = itertools.count()

    def __init__(self, hooks: dict[int, Any], hook: Any) -> None:
        self.hooks = hooks
        self.id = next(self._ids)
        hooks[self.id] = hook

    def remove(self) -> None:
        """Takes the hook away."""
        self.hooks.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *exc: object) -> None:
        self.remove()


def rules(
    op: Op,
    needs: tuple[bool, ...],
    grads: Sequence[Any],
    inputs: Sequence[Any],
    outputs: Sequence[Any],
    attrs: tuple[Any, ...],
) -> Sequence[Any]:
    """Applies an operator's gradient rules."""
    from rushlight.dispatch.namespace import o

    if op.backward is not None:
        if len(outputs) == 1:
            return op.backward(o, needs, grads[0], inputs, outputs, *attrs)  # type: ignore[no-any-return]
        return op.backward(o, needs, fill_missing(o, grads, outputs), inputs, outputs, *attrs)  # type: ignore[no-any-return]
    assert op.grads is not None
    result: list[Any] = [None] * len(needs)
    given = (o, grads[0], *inputs, *outputs[:1], *attrs)
    for i, need in enumerate(needs):
        if need and (rule := op.grads[i]) is not None:
            result[i] = rule(*given[: rule.__code__.co_argcount])
    if op.kind == "elementwise":
        for i, g in enumerate(result):
            if g is not None:
                result[i] = o.sum_to(
                    g,
                    inputs[i].shape if not isinstance(inputs[i], Tensor) else inputs[i]._meta.shape,
                )
    return result


def fill_missing(o: Any, grads: Sequence[Any], outputs: Sequence[Any]) -> list[Any]:
    """Zeros for the outputs to which no gradient flowed, if the dtype can have one."""
    filled = []
    for g, out in zip(grads, outputs, strict=True):
        m = out._meta if isinstance(out, Tensor) else out
        if g is None and m.dtype.kind in "fc":
            g = o.zeros(m.shape, m.dtype, m.device)
        filled.append(g)
    return filled


class AccumulateGrad(Node):
    """The node of a leaf: adds what arrives to the leaf's ``.grad``."""

    __slots__ = ("variable",)

    def __init__(self, variable: Tensor) -> None:
        super().__init__(None, (), (), (variable._meta,))
        self.variable = variable
        self.sequence = 1 << 62  # leaves first, as soon as their gradient is complete

    def name(self) -> str:
        return "torch::autograd::AccumulateGrad"

    def __repr__(self) -> str:
        return f"<AccumulateGrad object at {id(self):#x}>"

    def release(self) -> None:
        pass


def accumulator(leaf: Tensor) -> AccumulateGrad:
    """The one AccumulateGrad node of a leaf; it lives as long as a graph holds it."""
    node = leaf._accumulator() if leaf._accumulator is not None else None
    if node is None:
        node = AccumulateGrad(leaf)
        leaf._accumulator = weakref.ref(node)
    return node


def gradient_edge(t: Tensor) -> Edge | None:
    """Where the gradient of a tensor goes: its node and output index; None if it needs none."""
    if not t._requires_grad:
        return None
    if t._view is not None:
        from rushlight.dispatch.views import refresh

        refresh(t)
    if t._node is not None:
        return t._node, t._out_nr
    return accumulator(t), 0


class _Run:
    """The state of one backward pass."""

    def __init__(self, retain_graph: bool, create_graph: bool) -> None:
        self.retain_graph = retain_graph
        self.create_graph = create_graph
        self.buffers: dict[Node, list[Any]] = {}
        self.pending: dict[Node, int] = {}
        self.nodes: list[Node] = []
        self.goals: list[Node] = []  # kept alive: leaves hold their nodes weakly
        self.needed: set[Node] | None = None
        self.captures: dict[Edge, list[int]] = {}
        self.captured: dict[int, Any] = {}
        self.given: set[int] = set()  # storages that somebody besides the engine holds


def run_backward(
    roots: Sequence[tuple[Edge, Any]],
    retain_graph: bool,
    create_graph: bool,
    inputs: Sequence[Tensor] | None = None,
    accumulate: bool = True,
) -> list[Any]:
    """Runs the backward pass from the roots.

    Args:
        roots: (edge, gradient) of each differentiated tensor.
        retain_graph: keep saved tensors for another pass.
        create_graph: record the pass itself, for higher derivatives.
        inputs: the tensors whose gradients are wanted; all leaves if None.
        accumulate: add to ``.grad`` (backward) rather than return the gradients (grad).

    Returns:
        the gradients of ``inputs`` (None where there is no path), if not accumulating.
    """
    run = _Run(retain_graph, create_graph)
    was = modes.state.grad
    modes.state.grad = create_graph
    try:
        for _, grad in roots:
            run.given.add(id(grad._storage))
        _count(run, [edge[0] for edge, _ in roots])
        if inputs is not None:
            _restrict(run, inputs, accumulate)
        _execute(run, roots)
    finally:
        modes.state.grad = was
    if inputs is not None and not accumulate:
        return [run.captured.get(i) for i in range(len(inputs))]
    return []


def _count(run: _Run, roots: Iterable[Node]) -> None:
    """Finds the reachable nodes and how many edges lead to each."""
    pending = run.pending
    run.nodes = list(dict.fromkeys(roots))
    seen = set(run.nodes)
    for node in run.nodes:  # grows while it is walked
        for edge in node.edges:
            if edge is not None:
                target = edge[0]
                pending[target] = pending.get(target, 0) + 1
                if target not in seen:
                    seen.add(target)
                    run.nodes.append(target)


def _restrict(run: _Run, inputs: Sequence[Tensor], accumulate: bool) -> None:
    """Only nodes from which a wanted input can be reached will run."""
    goals: list[Node] = []
    for i, x in enumerate(inputs):
        edge = gradient_edge(x)
        if edge is not None:
            goals.append(edge[0])
            run.goals.append(edge[0])
            if not (accumulate and isinstance(edge[0], AccumulateGrad)):
                run.captures.setdefault(edge, []).append(i)
    parents: dict[Node, list[Node]] = {}
    for node in run.nodes:
        for edge in node.edges:
            if edge is not None:
                parents.setdefault(edge[0], []).append(node)
    needed = set(goals)
    while goals:
        for parent in parents.get(goals.pop(), ()):
            if parent not in needed:
                needed.add(parent)
                goals.append(parent)
    run.needed = needed


def _execute(run: _Run, roots: Sequence[tuple[Edge, Any]]) -> None:
    heap: list[tuple[int, int, Node]] = []
    tie = itertools.count()
    ready: set[Node] = set()

    def offer(node: Node) -> None:
        if node not in ready and run.pending.get(node, 0) == 0:
            ready.add(node)
            heapq.heappush(heap, (-node.sequence, next(tie), node))

    for (node, nr), grad in roots:
        _add(run, node, nr, grad)
    for (node, _), _grad in roots:
        offer(node)
    while heap:
        node = heapq.heappop(heap)[2]
        buffer = run.buffers.pop(node, None)
        grads = _run_node(run, node, buffer)
        for edge, grad in zip(node.edges, grads, strict=False):
            if edge is None:
                continue
            target, nr = edge
            if grad is not None:
                _add(run, target, nr, grad)
            run.pending[target] -= 1
            offer(target)


def _add(run: _Run, node: Node, nr: int, grad: Tensor) -> None:
    buffer = run.buffers.get(node)
    if buffer is None:
        buffer = run.buffers[node] = [None] * len(node.outs)
    buffer[nr] = grad if buffer[nr] is None else buffer[nr] + grad


def _run_node(run: _Run, node: Node, buffer: list[Any] | None) -> Sequence[Any]:
    """Runs hooks and the node itself; returns a gradient or None for each edge."""
    nothing = [None] * len(node.edges)
    if buffer is None:
        return nothing
    leaf = node.variable if isinstance(node, AccumulateGrad) else None
    hooks = {0: leaf._hooks} if leaf is not None and leaf._hooks else node.tensor_hooks
    if hooks:
        for nr, table in hooks.items():
            for hook in list(table.values()):
                if buffer[nr] is not None:
                    changed = hook(buffer[nr])
                    if changed is not None:
                        buffer[nr] = changed
    if node.retained:
        for nr, ref in node.retained.items():
            if (t := ref()) is not None and buffer[nr] is not None:
                _accumulate(run, t, buffer[nr])
    if run.captures:
        for nr in range(len(buffer)):
            for i in run.captures.get((node, nr), ()):
                if buffer[nr] is not None:
                    run.given.add(id(buffer[nr]._storage))
                run.captured[i] = buffer[nr]
    if run.needed is not None and node not in run.needed:
        return nothing
    if leaf is not None:
        if run.captures and (node, 0) in run.captures:
            return ()
        if node.pre_hooks:
            for hook in list(node.pre_hooks.values()):
                changed = hook(tuple(buffer))
                if changed is not None:
                    buffer = list(changed)
        if buffer[0] is not None:
            _accumulate(run, leaf, buffer[0])
            for hook in list((leaf._post_hooks or {}).values()):
                hook(leaf)
            for hook in list((node.post_hooks or {}).values()):
                hook((), tuple(buffer))
        return ()
    if run.needed is not None and not any(e is not None and e[0] in run.needed for e in node.edges):
        return nothing
    if node.pre_hooks:
        for hook in list(node.pre_hooks.values()):
            changed = hook(tuple(buffer))
            if changed is not None:
                buffer = list(changed) if isinstance(changed, tuple) else [changed]
    if all(g is None for g in buffer):
        return nothing
    needs = node.needs
    if run.needed is not None:
        needs = tuple([e is not None and e[0] in run.needed for e in node.edges])
    grads = list(node.apply(buffer, needs))
    _validate(node, grads)
    if not run.retain_graph:
        node.release()
    if node.post_hooks:
        for hook in list(node.post_hooks.values()):
            changed = hook(tuple(grads), tuple(buffer))
            if changed is not None:
                grads = list(changed)
    return grads


def _validate(node: Node, grads: list[Any]) -> None:
    """Fits each gradient to the shape and dtype of what it is the gradient of."""
    from rushlight.dispatch.namespace import o

    if len(grads) < len(node.edges):
        raise RuntimeError(
            f"{node.name()} returned {len(grads)} gradients, expected {len(node.edges)}"
        )
    for i, edge in enumerate(node.edges):
        g = grads[i]
        if edge is None or g is None:
            continue
        want = edge[0].outs[edge[1]]
        have = g._meta
        if have.shape != want.shape:
            try:
                g = o.sum_to(g, want.shape)
            except RuntimeError:
                raise RuntimeError(
                    f"Function {node.name()} returned an invalid gradient at index {i} - got "
                    f"{list(have.shape)} but expected shape compatible with {list(want.shape)}"
                ) from None
        if have.dtype is not want.dtype:
            if have.dtype.is_complex and not want.dtype.is_complex:
                g = o.real(g)
            g = o.to(g, want.dtype)
        if g._meta.device is not want.device:
            raise RuntimeError(
                f"Function {node.name()} returned an invalid gradient at index {i} - expected "
                f"device {want.device} but got {g._meta.device}"
            )
        grads[i] = g
        if modes.state.anomaly and not bool(_finite(g)):
            raise RuntimeError(f"Function '{node.name()}' returned nan values in its {i}th output.")


def _finite(g: Tensor) -> bool:
    import numpy as np

    array = array_of(g)
    return not bool(np.isnan(array).any())


def _accumulate(run: _Run, leaf: Tensor, grad: Tensor) -> None:
    """Adds to ``leaf.grad``: a fresh gradient is taken over, an existing one is added to."""
    from rushlight.dispatch.namespace import o

    have = leaf._grad
    if have is None:
        if modes.state.grad:
            leaf._grad = o.clone(grad)
            return
        meta, want = grad._meta, leaf._meta
        fresh = (
            id(grad._storage) not in run.given
            and not grad._requires_grad
            and grad._view is None
            and not meta.conj
            and not meta.neg
            and grad._storage.nbytes == meta.numel * meta.dtype.itemsize
            and (meta.strides == want.strides or (not want.dense and meta.contiguous))
            and not grad._overrides
        )
        if fresh:
            run.given.add(id(grad._storage))
            leaf._grad = alias(grad)
        else:
            leaf._grad = o.copy_laid_out(grad, want)
        return
    if modes.state.grad:
        leaf._grad = have + grad
    else:
        o.add_in_place(have, grad)
