"""Custom differentiable functions: ``torch.autograd.Function``."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Sequence
from typing import Any

from rushlight.dispatch import modes, tape, views
from rushlight.dispatch.namespace import o
from rushlight.dispatch.tensor import Tensor
from rushlight.naming import PublicType

__all__ = ["Function", "FunctionCtx", "NestedIOFunction", "once_differentiable"]


class FunctionCtx:
    """What ``forward`` and ``backward`` share; also the node that ``grad_fn`` shows."""

    needs_input_grad: tuple[bool, ...] = ()
    materialize_grads = True

    def save_for_backward(self, *tensors: Any) -> None:
        """Keeps tensors for the backward pass; a later write to them is then an error."""
        self.to_save = tensors

    def save_for_forward(self, *tensors: Any) -> None:
        """Keeps tensors for forward-mode differentiation."""
        self.saved_for_forward = tensors

    def mark_dirty(self, *args: Any) -> None:
        """Says which inputs ``forward`` wrote to."""
        self.dirty_tensors = args

    def mark_non_differentiable(self, *args: Any) -> None:
        """Says which outputs have no gradient."""
        self.non_differentiable = args

    def set_materialize_grads(self, value: bool) -> None:
        """Whether missing output gradients come as zeros (the default) or as None."""
        self.materialize_grads = value


class FunctionNode(tape.Node, FunctionCtx):
    """The graph node of a custom function and its ``ctx``."""

    __slots__ = ()

    def __init__(self, cls: type, needs: tuple[bool, ...]) -> None:
        super().__init__(None, (), (), ())
        self.function_class = cls
        self.needs_input_grad = needs
        self.to_save: tuple[Any, ...] = ()
        self.saved: tuple[Any, ...] | None = None
        self.dirty_tensors: tuple[Any, ...] = ()
        self.non_differentiable: tuple[Any, ...] = ()
        self.tensor_places: tuple[int, ...] = ()
        self.count = 0

    def __repr__(self) -> str:
        return f"<torch.autograd.function.{self.name()} object at {id(self):#x}>"

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """The tensors given to ``save_for_backward``.

        Raises:
            RuntimeError: they were freed by a backward pass, or written to meanwhile.
        """
        if self.released:
            raise tape._second_time(self)
        if self.saved is None:
            return tuple(self.to_save)
        return tuple([s.unpack(self, s_nr) if s is not None else None for s, s_nr in self.saved])

    saved_variables = saved_tensors

    def apply(self, grads: Sequence[Any], needs: tuple[bool, ...]) -> Sequence[Any]:
        if self.released:
            raise tape._second_time(self)
        given = list(grads)
        if self.materialize_grads:
            given = [
                o.zeros_like(m) if g is None else g for g, m in zip(given, self.outs, strict=True)
            ]
        result = self.function_class.backward(self, *given)  # type: ignore[attr-defined]
        found = result if isinstance(result, tuple) else (result,)
        if len(found) > self.count and all(g is None for g in found[self.count :]):
            found = found[: self.count]
        if len(found) != self.count:
            raise RuntimeError(
                f"function {self.name()} returned an incorrect number of gradients (expected "
                f"{self.count}, got {len(found)})"
            )
        for i, g in enumerate(found):
            if g is not None and not isinstance(g, Tensor):
                raise RuntimeError(f"expected Variable or None (got {type(g).__name__})")
            if g is not None and i not in self.tensor_places:
                raise RuntimeError(
                    f"function {self.name()} returned a gradient different than None at position "
                    f"{i + 1}, but the corresponding forward input was not a Variable"
                )
        return [
            tape.alias(found[i])
            if found[i] is not None and not found[i]._requires_grad
            else found[i]
            for i in self.tensor_places
        ]

    def release(self) -> None:
        if self.saved:
            self.released = True
            self.saved = ()


class Function(metaclass=PublicType):
    """A differentiable function with a backward of one's own.

    Subclass it with static methods ``forward(ctx, *args)`` (or ``forward(*args)`` and
    ``setup_context(ctx, inputs, output)``) and ``backward(ctx, *grads)``; call it by ``apply``.

    Example:
        >>> import rushlight as torch
        >>> class Double(torch.autograd.Function):
        ...     @staticmethod
        ...     def forward(ctx, x):
        ...         return x * 2
        ...     @staticmethod
        ...     def backward(ctx, g):
        ...         return g * 2
        >>> x = torch.ones(1, requires_grad=True)
        >>> Double.apply(x).backward()
        >>> x.grad
        tensor([2.])
    """

    generate_vmap_rule = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        warnings.warn(
            f"{type(self)} should not be instantiated. Methods on autograd functions are all "
            "static, so you should invoke them on the class itself. Instantiating an autograd "
            "function will raise an error in a future version of PyTorch.",
            DeprecationWarning,
            stacklevel=2,
        )

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """Computes the result; to be overridden."""
        raise NotImplementedError(
            "You must implement the forward function for custom autograd.Function."
        )

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """Computes the gradients of the inputs; to be overridden."""
        raise NotImplementedError(
            "You must implement either the backward or vjp method for your custom "
            "autograd.Function to use it with backward mode AD."
        )

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Calls ``forward`` and notes the function in the graph."""
        if modes.state.stack:
            from rushlight.func.custom import applied

            handled, result = applied(cls, args)
            if handled:
                return result
        needs = tuple([isinstance(a, Tensor) and a.requires_grad for a in args])
        node = _node_class(cls)(cls, needs)
        recording = modes.state.grad and any(needs)
        with modes.no_grad():
            if "setup_context" in _own(cls):
                output = cls.forward(*args, **kwargs)
                cls.setup_context(node, args, output)  # type: ignore[attr-defined]
            else:
                output = cls.forward(node, *args, **kwargs)
        many = isinstance(output, tuple)
        outs = list(output) if many else [output]
        if recording:
            outs = _attach(node, args, outs)
        return tuple(outs) if many else outs[0]


class NestedIOFunction(Function):
    """A base class of before PyTorch 0.4, which cannot be called any more; use `Function`."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(
            "Legacy autograd function with non-static forward method is deprecated. Please use "
            "new-style autograd function with static forward method. (Example: "
            "https://pytorch.org/docs/stable/autograd.html#torch.autograd.Function)"
        )

    def forward_extended(self, *input: Any) -> Any:
        """Computed the result; to be overridden."""
        raise NotImplementedError

    def backward_extended(self, *grad_output: Any) -> Any:
        """Computed the gradients; to be overridden."""
        raise NotImplementedError


def _node_class(cls: type) -> Any:
    """The class of a function's nodes, whose name users see in ``grad_fn``."""
    found = cls.__dict__.get("_backward_cls")
    if found is None:
        fields = {"__slots__": (), "__module__": "rushlight.autograd.function"}
        found = type(cls.__name__ + "Backward", (FunctionNode,), fields)
        cls._backward_cls = found  # type: ignore[attr-defined]
    return found


def _own(cls: type) -> set[str]:
    return {name for base in cls.__mro__ if base is not Function for name in base.__dict__}


def _attach(node: FunctionNode, args: Sequence[Any], outs: list[Any]) -> list[Any]:
    """Makes the outputs results of the node, and saves what was asked for."""
    node.tensor_places = tuple([i for i, a in enumerate(args) if isinstance(a, Tensor)])
    node.count = len(args)
    if modes.state.anomaly:
        tape.note_origin(node)
    node.edges = tuple([tape.gradient_edge(args[i]) for i in node.tensor_places])
    node.needs = tuple([e is not None for e in node.edges])
    fixed = []
    dirty = {id(t) for t in node.dirty_tensors}
    constant = {id(t) for t in node.non_differentiable}
    made: dict[int, int] = {}
    for t in outs:
        if not isinstance(t, Tensor):
            fixed.append(t)
            continue
        if id(t) in dirty:
            if t._requires_grad and t._node is None and t._view is None:
                raise RuntimeError(
                    "a leaf Variable that requires grad has been used in an in-place operation."
                )
            t._counter.value += 1
        elif any(t is a for a in args):  # an input returned as it is: a new tensor over its memory
            with modes.no_grad():
                t = o.view(t, tuple(t._meta.shape))
        fixed.append(t)
    tensors = [t for t in fixed if isinstance(t, Tensor)]
    node.outs = tuple([t._meta for t in tensors])
    for nr, t in enumerate(tensors):
        made[id(t)] = nr
        if id(t) in constant or t._meta.dtype.kind not in "fc":
            continue
        if id(t) in dirty and t._view is not None:
            views.rebase(t, node)
        else:
            t._requires_grad, t._node, t._out_nr = True, node, nr
            t._borrowed = False
            if t._view is not None and id(t) not in dirty:
                t._view.problem = "function"
    originals = {
        id(before): made[id(after)]
        for before, after in zip(outs, fixed, strict=True)
        if isinstance(after, Tensor)
    }
    saved: list[tuple[Any, int]] = []
    for i, t in enumerate(node.to_save):
        if t is None:
            saved.append((None, 0))
            continue
        if not isinstance(t, Tensor):
            raise TypeError(
                f"save_for_backward can only save variables, but argument {i} is of type "
                f"{type(t).__name__}"
            )
        at = originals.get(id(t))
        own = at is not None and fixed_is_output(tensors, at, node)
        saved.append((tape.SavedTensor(tensors[at] if own and at is not None else t, own), at or 0))
    node.saved = tuple(saved)
    node.to_save = ()
    return fixed


def fixed_is_output(tensors: list[Tensor], nr: int, node: FunctionNode) -> bool:
    """Whether an output carries the node (saving it strongly would make a cycle)."""
    return tensors[nr]._node is node


def once_differentiable(fn: Any) -> Any:
    """Decorates a ``backward`` that cannot itself be differentiated."""

    @functools.wraps(fn)
    def wrapper(ctx: Any, *args: Any) -> Any:
        with modes.no_grad():
            outputs = fn(ctx, *args)
        if not modes.state.grad or not any(
            isinstance(a, Tensor) and a._requires_grad for a in args
        ):
            return outputs
        many = outputs if isinstance(outputs, tuple) else (outputs,)
        blocked = tuple(
            [_Blocked.block(t, ctx.name()) if isinstance(t, Tensor) else t for t in many]
        )
        return blocked if isinstance(outputs, tuple) else blocked[0]

    return wrapper


class _Blocked(tape.Node):
    """A node that refuses to be differentiated."""

    __slots__ = ()

    @classmethod
    def block(cls, t: Tensor, name: str) -> Tensor:
        made = tape.alias(t)
        if t._meta.dtype.kind in "fc":
            made._requires_grad, made._node = True, cls(None, (), (), (t._meta,))
        return made

    def name(self) -> str:
        return "torch::autograd::Error"

    def apply(self, grads: Sequence[Any], needs: tuple[bool, ...]) -> Sequence[Any]:
        raise RuntimeError(
            "trying to differentiate twice a function that was marked with @once_differentiable"
        )
