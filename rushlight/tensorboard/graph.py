"""The graph of a model, for TensorBoard: operators grouped by module, shapes on the edges.

In: an ``nn.Module`` and example inputs. Out: a GraphDef message and the RunMetadata that goes with
it. The model runs once; a mode at the gate sees every operator call, forward hooks tell in which
module it happens. Source: TensorBoard's graph.proto; names as PyTorch writes them
(``Net/Linear[fc]/weight``).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rushlight.dispatch import modes
from rushlight.errors import with_note
from rushlight.tensorboard.arrays import is_tensor
from rushlight.tensorboard.proto import Message

__all__ = ["graph"]

_PRODUCER = 22  # the version of GraphDef that TensorBoard expects


def graph(
    model: Any, args: Any, verbose: bool = False, use_strict_trace: bool = True
) -> tuple[Message, Message]:
    """The GraphDef and RunMetadata messages of a model.

    Args:
        model: an ``nn.Module``; it runs in evaluation mode and is left as it was.
        args: its input, or a tuple or list of inputs.
        verbose: print the graph.
        use_strict_trace: accepted for PyTorch's sake; containers are recorded either way.

    Raises:
        RuntimeError: there are no inputs. Whatever the model raises passes through.
    """
    if args is None:
        error = RuntimeError("example_kwarg_inputs should be a dict")
        raise with_note(error, "pass an example batch: add_graph(model, input_to_model=images)")
    inputs = tuple(args) if isinstance(args, tuple | list) else (args,)
    recorder = _Recorder(model)
    names = _parameter_names(model)
    for position, value in enumerate(inputs):
        recorder.add_input(names[position] if position < len(names) else "input", value)
    try:
        watching = recorder.following(model)
        with _evaluating(model), watching, modes.no_grad(), modes.pushed(recorder):
            outputs = model(*inputs)
    except RuntimeError as failure:
        print(failure)
        print("Error occurs, No graph saved")
        raise
    for number, tensor in enumerate(_tensors(outputs), 1):
        recorder.add_node(f"output/output.{number}", "IO Node", [tensor], [tensor])
    if verbose:
        print(recorder.listing())
    steps = {"step_stats": {"dev_stats": [{"device": "/device:CPU:0"}]}}
    return {"node": recorder.nodes, "versions": {"producer": _PRODUCER}}, steps


class _Recorder:
    """The nodes so far, and which of them made which tensor."""

    def __init__(self, model: Any) -> None:
        self.nodes: list[Message] = []
        self.scopes: list[str] = []
        self.paths = _module_paths(model)
        self._names: set[str] = set()
        self._makers: dict[int, str] = {}  # by the tensor's id
        self._storage_makers: dict[int, str] = {}  # for tensors made past the gate: detach(), .data
        self._alive: list[Any] = []  # ids stay valid only while their objects live
        self._parameters = {
            id(tensor): f"{self.paths[module]}/{name}"
            for module in self.paths
            for name, tensor in [*module._parameters.items(), *module._buffers.items()]
            if tensor is not None
        }

    def __call__(
        self, op: Any, inputs: tuple[Any, ...], attrs: tuple[Any, ...], call: Callable[..., Any]
    ) -> Any:
        """Run an operator call that the gate hands over, and note it."""
        result = call(op, inputs, attrs)
        settings = dict(zip(op.attrs, attrs, strict=False))
        numbers = [value for value in inputs if value is not None and not is_tensor(value)]
        if numbers:
            settings["numbers"] = numbers
        scope = self.scopes[-1] if self.scopes else next(iter(self.paths.values()))
        self.add_node(f"{scope}/{op.name}", f"aten::{op.name}", inputs, _tensors(result), settings)
        return result

    def add_input(self, name: str, value: Any) -> None:
        """Note a tensor, or every tensor of a container, that the model is called with."""
        for tensor in _tensors(value):
            self.add_node(f"input/{name}", "IO Node", [], [tensor])

    def add_node(
        self, name: str, kind: str, inputs: Any, results: Any, settings: Message | None = None
    ) -> None:
        """Note one node under a name of its own."""
        sources = [self._maker(tensor) for tensor in _tensors(inputs)]
        unique, count = name, 0
        while unique in self._names:
            count += 1
            unique = f"{name}_{count}"
        self._names.add(unique)
        results = list(results)
        shapes = [{"dim": [{"size": size} for size in tensor.shape]} for tensor in results]
        text = str(settings or "").replace("'", " ")
        self.nodes.append(
            {
                "name": unique,
                "op": kind,
                "input": sources,
                "attr": [
                    {"key": "_output_shapes", "value": {"list": {"shape": shapes}}},
                    {"key": "attr", "value": {"s": text.encode()}},
                ],
            }
        )
        if kind == "IO Node" and inputs:
            return  # an output makes nothing
        for number, tensor in enumerate(results):
            maker = f"{unique}:{number}" if number else unique
            self._makers[id(tensor)] = maker
            storage = getattr(tensor, "_storage", None)
            self._storage_makers[id(storage)] = maker
            self._alive += [tensor, storage]

    def _maker(self, tensor: Any) -> str:
        """The node that made a tensor; parameters and constants get theirs on first use."""
        if id(tensor) not in self._makers:
            storage = getattr(tensor, "_storage", None)
            if id(tensor) in self._parameters:
                self.add_node(self._parameters[id(tensor)], "Parameter", [], [tensor])
            elif storage is not None and id(storage) in self._storage_makers:
                return self._storage_makers[id(storage)]
            else:
                scope = self.scopes[-1] if self.scopes else "constants"
                self.add_node(f"{scope}/constant", "Const", [], [tensor])
        return self._makers[id(tensor)]

    @contextmanager
    def following(self, model: Any) -> Iterator[None]:
        """While this is open, ``scopes`` ends with the module whose forward runs."""

        def enter(module: Any, args: Any) -> None:
            self.scopes.append(self.paths[module])

        def leave(module: Any, args: Any, result: Any) -> None:
            self.scopes.pop()

        handles = []
        try:
            for module in self.paths:
                handles.append(module.register_forward_pre_hook(enter))
                handles.append(module.register_forward_hook(leave))
            yield
        finally:
            for handle in handles:
                handle.remove()

    def listing(self) -> str:
        """The graph as text, a line a node."""
        lines = []
        for node in self.nodes:
            shapes = node["attr"][0]["value"]["list"]["shape"]
            sizes = [[dim["size"] for dim in shape["dim"]] for shape in shapes]
            lines.append(f"{node['name']} = {node['op']}({', '.join(node['input'])}) : {sizes}")
        return "\n".join(lines)


@contextmanager
def _evaluating(model: Any) -> Iterator[None]:
    """The model in evaluation mode, and every module back in its own mode afterwards."""
    training = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, was in training.items():
            module.training = was


def _module_paths(model: Any) -> dict[Any, str]:
    """Every module's place, as PyTorch names it: ``Net/Sequential[features]/Conv2d[0]``."""
    paths: dict[Any, str] = {}

    def visit(module: Any, path: str) -> None:
        if module in paths:
            return
        paths[module] = path
        for name, child in module.named_children():
            visit(child, f"{path}/{type(child).__name__}[{name}]")

    visit(model, type(model).__name__)
    return paths


def _parameter_names(model: Any) -> list[str]:
    """The names of the positional parameters of the model's ``forward``."""
    parameters = inspect.signature(model.forward).parameters.values()
    return [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]


def _tensors(value: Any) -> list[Any]:
    """All tensors in nested tuples, lists and dicts."""
    if is_tensor(value):
        return [value]
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, tuple | list):
        return []
    return [tensor for item in value for tensor in _tensors(item)]
