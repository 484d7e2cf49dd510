"""The backward engine: runs the nodes of a graph from the roots to the leaves.

In: places in the graph with their gradients.  Out: gradients added to leaves, or returned.  Nodes
run in the reverse of the order in which they were made, as PyTorch does; nothing here recurses, so
graphs may be of any depth.
"""

from __future__ import annotations

import heapq
import itertools
import threading
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from rushlight.dispatch import modes
from rushlight.dispatch.doors import aside, interrupt, watch
from rushlight.dispatch.namespace import o
from rushlight.dispatch.tape import AccumulateGrad, Edge, Node, alias, gradient_edge
from rushlight.dispatch.tensor import Tensor, array_of

__all__ = ["current", "run_backward"]


class _Run:
    """The state of one backward pass."""

    def __init__(self, retain_graph: bool, create_graph: bool) -> None:
        self.retain_graph = retain_graph
        self.create_graph = create_graph
        self.buffers: dict[Node, list[Any]] = {}
        self.pending: dict[Node, int] = {}
        self.nodes: list[Node] = []
        self.known: set[Node] = set()  # the same, for `reaches`
        self.goals: list[Node] = []  # kept alive: leaves hold their nodes weakly
        self.needed: set[Node] | None = None
        self.captures: dict[Edge, list[int]] = {}
        self.captured: dict[int, Any] = {}
        self.given: set[int] = set()  # storages that somebody besides the engine holds

    def reaches(self, node: Node) -> bool:
        """Whether this pass comes to the node."""
        if not self.known:
            self.known = set(self.nodes)
        return node in self.known and (self.needed is None or node in self.needed)


class _Passes(threading.local):
    """The backward passes that run in this thread, the innermost last."""

    def __init__(self) -> None:
        self.running: list[_Run] = []


_passes = _Passes()


def current() -> _Run | None:
    """The backward pass that runs now; for hooks."""
    return _passes.running[-1] if _passes.running else None


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
    if watch[0] is not None and watch[0].edge(None):  # not in an event: nothing of it is replayed
        return aside(run_backward, roots, retain_graph, create_graph, inputs, accumulate)  # type: ignore[no-any-return]
    run = _Run(retain_graph, create_graph)
    was = modes.state.grad
    modes.state.grad = create_graph
    _passes.running.append(run)
    try:
        for _, grad in roots:
            run.given.add(id(grad._storage))
        _count(run, [edge[0] for edge, _ in roots])
        if inputs is not None:
            _restrict(run, inputs, accumulate)
        _execute(run, roots)
    finally:
        modes.state.grad = was
        _passes.running.pop()
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


def _expect_none(result: Any) -> None:
    """Refuses what a post-accumulate hook returns."""
    if result is None:
        return
    if not isinstance(result, Tensor):
        raise TypeError(f"expected Variable, but hook returned '{type(result).__name__}'")
    raise RuntimeError("Tensor post accumulate grad hooks should return None.")


def _run_node(run: _Run, node: Node, buffer: list[Any] | None) -> Sequence[Any]:
    """Runs hooks and the node itself; returns a gradient or None for each edge."""
    nothing = [None] * len(node.edges)
    if buffer is None:
        return nothing
    leaf = node.variable if isinstance(node, AccumulateGrad) else None
    if node.pre_hooks or node.post_hooks or node.retained or node.tensor_hooks:
        interrupt("a hook of a node")
    if leaf is not None and (leaf._hooks or leaf._post_hooks):
        interrupt("a hook of a leaf")
    hooks = {0: leaf._hooks} if leaf is not None and leaf._hooks else node.tensor_hooks
    if hooks:
        _call_tensor_hooks(hooks, buffer)
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
                _expect_none(hook(leaf))
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
    try:
        grads = list(node.apply(buffer, needs))
        _validate(node, grads)
        if modes.state.anomaly and modes.state.check_nan:
            _refuse_nan(node, grads)
    except Exception:
        if modes.state.anomaly:
            _tell_origin(node)
        raise
    if not run.retain_graph:
        node.release()
        node.ran = True
    if node.post_hooks:
        for hook in list(node.post_hooks.values()):
            changed = hook(tuple(grads), tuple(buffer))
            if changed is not None:
                grads = list(changed)
    return grads


def _call_tensor_hooks(hooks: Any, buffer: list[Any]) -> None:
    for nr, table in hooks.items():
        for hook in list(table.values()):
            if buffer[nr] is not None:
                changed = hook(buffer[nr])
                if changed is not None:
                    buffer[nr] = _checked(hook, buffer[nr], changed)


def _checked(hook: Callable[..., Any], before: Tensor, after: Any) -> Tensor:
    """What a hook returned, if it can stand for the gradient that it was given."""
    if not isinstance(after, Tensor):
        raise TypeError(f"expected Variable, but hook returned '{type(after).__name__}'")
    name = getattr(hook, "__name__", type(hook).__name__)
    if after._meta.dtype is not before._meta.dtype:
        raise RuntimeError(
            f"hook '{name}' has changed the type of value (was {before.type()} got {after.type()})"
        )
    if after._meta.device is not before._meta.device:
        raise RuntimeError(f"hook '{name}' has changed the type of value")
    if after._meta.shape != before._meta.shape:
        raise RuntimeError(f"hook '{name}' has changed the size of value")
    return after


def _validate(node: Node, grads: list[Any]) -> None:
    """Fits each gradient to the shape and dtype of what it is the gradient of."""
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


def _refuse_nan(node: Node, grads: Sequence[Any]) -> None:
    import numpy as np

    for i, g in enumerate(grads):
        if g is not None and bool(np.isnan(array_of(g)).any()):
            raise RuntimeError(f"Function '{node.name()}' returned nan values in its {i}th output.")


def _tell_origin(node: Node) -> None:
    """Warns where in the forward pass a failing node was made, as far as that was noted."""
    trace = node.metadata.get("traceback_")
    if trace is None:
        text = (
            "No forward pass information available. Enable detect anomaly during forward pass for "
            "more information."
        )
    else:
        text = "Traceback of forward call that caused the error:\n" + "".join(trace)
    warnings.warn(f"Error detected in {node.name()}. {text}", UserWarning, stacklevel=2)


def _accumulate(run: _Run, leaf: Tensor, grad: Tensor) -> None:
    """Adds to ``leaf.grad``: a fresh gradient is taken over, an existing one is added to."""
    have = leaf._grad
    if not leaf._requires_grad and leaf._node is None:  # it did when the graph was made
        return
    if watch[0] is not None:
        watch[0].accumulated(leaf, have is None)
    if have is None:
        if modes.state.grad:
            leaf._grad = o.copy_in_place(o.zeros_like(leaf), grad)
            return
        meta, want = grad._meta, leaf._meta
        fresh = (
            id(grad._storage) not in run.given
            and not grad._requires_grad
            and grad._view is None
            and not meta.conj
            and not meta.neg
            and grad._storage.length == meta.numel * meta.dtype.itemsize
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
