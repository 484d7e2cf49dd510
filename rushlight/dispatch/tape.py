"""The tape: graph nodes and the tensors that they save.

A node is noted by the gate for each call whose result needs a gradient; `engine.py` runs them.
"""

from __future__ import annotations

import itertools
import re
import weakref
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from rushlight.dispatch import modes
from rushlight.dispatch.doors import watch
from rushlight.dispatch.hooks import RemovableHandle, hooked
from rushlight.dispatch.tensor import Tensor, new
from rushlight.ir.op import Op

__all__ = [
    "AccumulateGrad",
    "Node",
    "Nowhere",
    "SavedTensor",
    "gradient_edge",
    "node_class",
    "retain",
]

_sequence = itertools.count()
Edge = tuple["Node", int]


def later() -> int:
    """The place in the order of nodes that the next node would have."""
    return next(_sequence)


_NUMBERS = (int, float, complex)


class SavedTensor:
    """A tensor kept for the backward pass, with the version it had."""

    __slots__ = ("edge", "hook", "is_output", "packed", "tensor", "version")

    def __init__(self, tensor: Tensor, is_output: bool) -> None:
        if tensor._inference and not is_output:
            raise RuntimeError(
                "Inference tensors cannot be saved for backward. Please do not use Tensors created "
                "in inference mode in computation tracked by autograd. To work around this, you "
                "can make a clone to get a normal tensor and use it in autograd, or use "
                "`torch.no_grad()` instead of `torch.inference_mode()`."
            )
        self.version = tensor._counter.value
        self.is_output = is_output
        self.hook = modes.state.packing[-1] if modes.state.packing else None
        self.packed: Any = None
        if is_output:  # without its node, else node and output would keep each other alive
            tensor = alias(tensor)
        self.tensor: Tensor | None = tensor
        if self.hook is not None:
            self.edge = None if is_output else gradient_edge(tensor)
            with modes.no_grad():
                self.packed = self.hook[0](tensor if is_output else alias(tensor))
            self.tensor = None

    def unpack(self, node: Node, out_nr: int) -> Tensor:
        """The tensor, if nobody wrote to its memory meanwhile."""
        if self.hook is not None:
            return self._restored(node, out_nr)
        t = self.tensor
        assert t is not None
        if t._counter.value != self.version or t._view is not None:
            self._check(t, node)
        if self.is_output:
            t = alias(t)
            t._requires_grad, t._node, t._out_nr = True, node, out_nr
        return t

    def _check(self, t: Tensor, node: Node) -> None:
        """Refuses a tensor that was written to, or a view whose base was if that is no more."""
        if t._view is not None and t._view.seen != t._counter.value and not self.is_output:
            from rushlight.dispatch.views import refresh

            refresh(t)
        if t._counter.value != self.version:
            raise _modified(t, node, self)

    def _restored(self, node: Node, out_nr: int) -> Tensor:
        """What the unpack hook gives back, with the place in the graph that the tensor had."""
        assert self.hook is not None
        given = self.hook[1](self.packed)
        if not isinstance(given, Tensor):
            raise TypeError(
                "Output of saved tensor unpack_hook expected to be a Tensor but got "
                f"result of type {type(given).__name__}"
            )
        t = alias(given)
        edge = (node, out_nr) if self.is_output else self.edge
        if edge is not None:
            t._requires_grad, (t._node, t._out_nr) = True, edge
        return t


def alias(t: Tensor) -> Tensor:
    """Another tensor over the same memory and version, outside the graph."""
    if t._value is not None:
        return t._shadow()  # type: ignore[no-any-return]
    return new(Tensor, t._storage, t._meta, t._offset, t._array, t._counter)


def _modified(t: Tensor, node: Node, saved: SavedTensor) -> RuntimeError:
    kind = t._storage.device.type.upper()
    title = {"Float": "FloatTensor", "Double": "DoubleTensor", "Half": "HalfTensor"}
    name = title.get(t._meta.dtype.title, f"{t._meta.dtype.title}Type")
    what = f"[torch.{'' if kind == 'CPU' else 'cuda.'}{name} {list(t._meta.shape)}]"
    where = ""
    producer = node.name() if saved.is_output else (t._node.name() if t._node is not None else "")
    if producer:
        where = f", which is output {t._out_nr} of {short_name(producer)},"
    error = RuntimeError(
        "one of the variables needed for gradient computation has been modified by an inplace "
        f"operation: {what}{where} is at version {t._counter.value}; expected version "
        f"{saved.version} instead. Hint: enable anomaly detection to find the operation that "
        "failed to compute its gradient, with torch.autograd.set_detect_anomaly(True, "
        "check_nan=False)."
    )
    error.add_note(
        f"{node.name()} needs this tensor as it was when the forward pass ran; write the change "
        "out of place, for example x = x + 1 instead of x += 1"
    )
    return error


def short_name(name: str) -> str:
    """A node's name as error texts give it: without `Backward0`."""
    return re.sub(r"Backward\d*$", "", name)


class Node:
    """One call in the gradient graph; what ``tensor.grad_fn`` shows.

    Attributes:
        edges: for each input, the node and output index that receive its gradient, or None.
        outs: the Metas of the call's results.
        chain: what `next_functions` shows, an entry each: the index of an edge, None for an input
            without a gradient, or (name, *entries) for a node that PyTorch has in between; None
            for all edges.  See `Op.chain`.
    """

    chain: Any = None

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
        "ran",
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
        self.ran = False  # in a pass that did not retain the graph
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
        return type(self).__name__

    def apply(self, grads: Sequence[Any], needs: tuple[bool, ...]) -> Sequence[Any]:
        """The gradients of the inputs from those of the outputs."""
        return self.differentiate(grads, needs)

    def differentiate(
        self, grads: Sequence[Any], needs: tuple[bool, ...], result: Any = None
    ) -> Sequence[Any]:
        """Applies the operator's gradient rules.

        Args:
            result: stands in for a saved result whose history is not this node itself.
        """
        if self.released:
            raise _second_time(self)
        op: Op = self.op
        try:
            inputs = [x.unpack(self, 0) if type(x) is SavedTensor else x for x in self.inputs]
        except RuntimeError:
            self._refuse()
            raise
        outputs = [
            x if type(x) is not SavedTensor else x.unpack(self, i) if result is None else result
            for i, x in enumerate(self.outputs)
        ]
        return rules(op, needs, grads, inputs, outputs, self.attrs)

    def _refuse(self) -> None:
        """Raises what is wrong with the first saved input in PyTorch's order, that of the names."""
        names = [{"input": "self"}.get(name, name) for name in self.op.inputs]
        saved = [x for x in zip(names, self.inputs, strict=False) if type(x[1]) is SavedTensor]
        for _, x in sorted(saved, key=lambda pair: pair[0]):
            x.unpack(self, 0)

    def release(self) -> None:
        """Lets go of saved tensors after the backward pass."""
        if self.inputs or self.outputs:
            kept = self.op.keeps(self.needs)[0]  # PyTorch saves a number as a tensor
            self.released = SavedTensor in map(type, (*self.inputs, *self.outputs)) or any(
                [isinstance(self.inputs[i], _NUMBERS) for i in kept if i < len(self.inputs)]
            )
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
        if self.chain is None:
            return tuple([_shown(e) for e in self.edges])
        found: tuple[tuple[Any, int], ...] | None = self.__dict__.get("_next")
        if found is None:
            found = self.__dict__["_next"] = tuple([_follow(self, x) for x in self.chain])
        return found

    def __getattr__(self, name: str) -> Any:
        """``_saved_self``, ``_saved_result``, ``_saved_dim``: what the call was made with."""
        if not name.startswith("_saved_") or self.op is None:
            raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")
        return _saved(self, name.removeprefix("_saved_"))

    def __call__(self, *grads: Any) -> Any:
        """The gradients of the inputs from those of the outputs."""
        with modes.no_grad():
            found = tuple(self.apply(grads, self.needs))
        return found[0] if len(found) == 1 else found

    @property
    def metadata(self) -> dict[Any, Any]:
        """A dictionary for the user's own notes."""
        found: dict[Any, Any] = self.__dict__.setdefault("_metadata", {})
        return found

    def register_hook(self, hook: Any) -> RemovableHandle:
        """Calls ``hook(grad_inputs, grad_outputs)`` after this node has run."""
        if self.post_hooks is None:
            self.post_hooks = OrderedDict()
        return hooked(self.post_hooks, hook)

    def register_prehook(self, hook: Any) -> RemovableHandle:
        """Calls ``hook(grad_outputs)`` before this node runs."""
        if self.pre_hooks is None:
            self.pre_hooks = OrderedDict()
        return hooked(self.pre_hooks, hook)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} object at {id(self):#x}>"


class Link(Node):
    """Stands for a node that PyTorch has between an operator's node and one of its inputs."""

    __slots__ = ("below",)

    def __init__(self, below: tuple[tuple[Any, int], ...], outs: Any) -> None:
        super().__init__(None, (), (), outs)
        self.below = below

    @property
    def next_functions(self) -> tuple[tuple[Any, int], ...]:
        """The nodes that receive gradients from this one."""
        return self.below


def _shown(edge: Any) -> tuple[Any, int]:
    """An edge as ``next_functions`` has it."""
    return (None, 0) if edge is None or type(edge[0]) is Nowhere else edge


def _follow(node: Node, entry: Any) -> tuple[Any, int]:
    """What an entry of a node's chain shows."""
    if entry is None:
        return (None, 0)
    if isinstance(entry, int):
        return _shown(node.edges[entry] if entry < len(node.edges) else None)
    below = tuple([_follow(node, x) for x in entry[1:]])
    if all(target is None for target, _ in below):
        return (None, 0)
    return node_class(entry[0], None, Link)(below, node.outs), 0


def _saved(node: Node, name: str) -> Any:
    """An input, attribute or the result of a node's call, by PyTorch's name for it."""
    if node.released:
        raise _second_time(node)
    op: Op = node.op
    name = {"self": "input"}.get(name, name)
    if name == "result" and node.outputs:
        found = node.outputs[0]
    elif name in op.inputs:
        found = node.inputs[op.inputs.index(name)]
    elif name in op.attrs:
        return node.attrs[op.attrs.index(name)]
    else:
        raise AttributeError(f"'{node.name()}' object has no attribute '_saved_{name}'")
    if type(found) is SavedTensor:
        return found.unpack(node, 0)
    if hasattr(found, "strides"):  # a Meta: the gradient does not read this tensor
        raise AttributeError(f"'{node.name()}' object has no attribute '_saved_{name}'")
    return found


_classes: dict[Any, Any] = {}


def node_class(name: str, chain: Any = None, base: type[Node] = Node) -> Any:
    """The class of nodes of this name: users look at ``type(t.grad_fn).__name__``."""
    found = _classes.get((name, chain, base))
    if found is None:
        fields = {"__slots__": (), "__module__": "builtins", "chain": chain}
        found = _classes[name, chain, base] = type(name, (base,), fields)
    return found


def class_for(op: Op, metas: tuple[Any, ...], attrs: tuple[Any, ...]) -> Any:
    """The class of the nodes of an operator for inputs of these Metas."""
    return node_class(op.node_name(metas, attrs), op.shown(metas, attrs))


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
        if op.materialize:
            grads = fill_missing(o, grads, outputs)
        return op.backward(o, needs, grads, inputs, outputs, *attrs)  # type: ignore[no-any-return]
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


class Nowhere(Node):
    """Where the gradient of a view goes that was made under no_grad: it ends here."""

    __slots__ = ()

    def apply(self, grads: Sequence[Any], needs: tuple[bool, ...]) -> Sequence[Any]:
        return ()


class AccumulateGrad(Node):
    """The node of a leaf: adds what arrives to the leaf's ``.grad``."""

    __slots__ = ("variable",)

    def __init__(self, variable: Tensor) -> None:
        super().__init__(None, (), (), (variable._meta,))
        self.variable = variable
        self.sequence = 1 << 62  # leaves first, as soon as their gradient is complete

    def name(self) -> str:
        return "torch::autograd::AccumulateGrad"

    def __call__(self, *grads: Any) -> None:
        """Adds a gradient to the leaf's ``.grad``."""
        from rushlight.dispatch.engine import run_backward

        run_backward([((self, 0), grads[0])], False, False)

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
    if watch[0] is not None:
        watch[0].edge(t)
    if t._view is not None:
        from rushlight.dispatch.views import refresh

        refresh(t)
    if t._node is not None:
        return t._node, t._out_nr
    return None if t._borrowed else (accumulator(t), 0)


def lost_edges(inputs: Sequence[Any]) -> tuple[Edge | None, ...]:
    """The edges of a call whose only inputs with gradients are views made under no_grad.

    As in PyTorch such a call saves what its gradient needs only if it has one input.
    """
    tensors = [x for x in inputs if isinstance(x, Tensor)]
    if len(tensors) != 1:
        return (None,) * len(inputs)
    end = Nowhere(None, (), (), (tensors[0]._meta,))
    return tuple([(end, 0) if x is tensors[0] else None for x in inputs])


def note_origin(node: Node) -> None:
    """Notes where in the user's program a node is made, for anomaly detection."""
    import traceback

    frames = traceback.extract_stack()
    own = __name__.split(".")[0]
    last = max(
        (i for i, f in enumerate(frames) if f"/{own}/" not in f.filename.replace("\\", "/")),
        default=len(frames) - 1,
    )
    node.metadata["traceback_"] = traceback.format_list(frames[: last + 1])


def retain(t: Tensor) -> None:
    """Makes backward passes fill ``.grad`` of a tensor that is not a leaf."""
    if not t._requires_grad:
        raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
    edge = gradient_edge(t)
    if edge is None or t._node is None or t._retains:
        return
    t._retains = True
    node = edge[0]
    node.retained = node.retained or {}
    node.retained[t._out_nr] = weakref.ref(t)
