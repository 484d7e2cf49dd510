"""Looking into the graph: nodes and hooks on saved tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rushlight.dispatch import engine, modes, tape
from rushlight.dispatch.doors import enter
from rushlight.dispatch.tape import Node
from rushlight.dispatch.tensor import Tensor

__all__ = [
    "GradientEdge",
    "Node",
    "allow_mutation_on_saved_tensors",
    "disable_saved_tensors_hooks",
    "get_gradient_edge",
    "increment_version",
    "register_multi_grad_hook",
    "save_on_cpu",
    "saved_tensors_hooks",
]


class saved_tensors_hooks:
    """Context in which ``pack_hook`` takes saved tensors and ``unpack_hook`` gives them back.

    Args:
        pack_hook: called with each tensor that is saved; what it returns is kept instead.
        unpack_hook: called with that in the backward pass; returns the tensor.
    """

    def __init__(
        self, pack_hook: Callable[[Tensor], Any], unpack_hook: Callable[[Any], Tensor]
    ) -> None:
        self.hooks = (pack_hook, unpack_hook)

    def __enter__(self) -> None:
        if modes.state.refusal is not None:
            raise RuntimeError(modes.state.refusal)
        enter("hooks of saved tensors")
        modes.state.packing = (*modes.state.packing, self.hooks)

    def __exit__(self, *exc: object) -> None:
        modes.state.packing = modes.state.packing[:-1]


class save_on_cpu(saved_tensors_hooks):
    """Context in which saved tensors are kept on the CPU."""

    def __init__(self, pin_memory: bool = False, device_type: str = "cuda") -> None:
        def pack(t: Tensor) -> Any:
            return t.device, t.cpu()

        def unpack(packed: Any) -> Tensor:
            return packed[1].to(packed[0])  # type: ignore[no-any-return]

        super().__init__(pack, unpack)


class _Mutation:
    """Whether this thread is inside `allow_mutation_on_saved_tensors`."""

    allowed = False


class allow_mutation_on_saved_tensors(saved_tensors_hooks):
    """Context in which tensors that were saved for backward may be written to.

    Copies are kept, so the backward pass sees the values as they were; it must run in the context
    too.

    Example:
        >>> import rushlight as torch
        >>> x = torch.ones(2, requires_grad=True)
        >>> with torch.autograd.graph.allow_mutation_on_saved_tensors():
        ...     y = x * 3
        ...     z = (y**2).sum()
        ...     _ = y.zero_()
        ...     z.backward()
        >>> x.grad
        tensor([18., 18.])
    """

    def __init__(self) -> None:
        super().__init__(lambda t: t.clone(), self._given_back)

    @staticmethod
    def _given_back(copy: Tensor) -> Tensor:
        if not _Mutation.allowed:
            raise AssertionError(
                "Trying to backward outside of the 'allow_mutation_on_saved_tensors' context"
                "in which the graph was originally recorded."
            )
        return copy

    def __enter__(self) -> None:
        if _Mutation.allowed:
            raise RuntimeError("allow_mutation_on_saved_tensors contexts cannot be nested")
        super().__enter__()
        _Mutation.allowed = True

    def __exit__(self, *exc: object) -> None:
        _Mutation.allowed = False
        super().__exit__(*exc)


class disable_saved_tensors_hooks:
    """Context in which hooks on saved tensors are refused."""

    def __init__(self, error_message: str) -> None:
        self.message = error_message

    def __enter__(self) -> None:
        if modes.state.packing:
            raise RuntimeError(self.message)
        self.was = modes.state.refusal
        modes.state.refusal = self.message

    def __exit__(self, *exc: object) -> None:
        modes.state.refusal = self.was


class GradientEdge(tuple[Any, ...]):
    """A node and the index of one of its outputs."""

    @property
    def node(self) -> Any:
        """The node."""
        return self[0]

    @property
    def output_nr(self) -> Any:
        """The index of the output."""
        return self[1]


def get_gradient_edge(tensor: Tensor) -> GradientEdge:
    """Where the gradient of a tensor goes."""
    if not tensor._requires_grad:
        raise RuntimeError(
            "It is not possible to get the gradient edge for a Tensor that does not require "
            "gradients"
        )
    return GradientEdge(tape.gradient_edge(tensor) or ())


def increment_version(tensor: Any) -> None:
    """Tells autograd that a tensor, or each of several, was written to in a way it cannot see.

    Example:
        >>> import rushlight as torch
        >>> x = torch.ones(2)
        >>> torch.autograd.graph.increment_version(x)
        >>> x._version
        1
    """
    for t in (tensor,) if isinstance(tensor, Tensor) else tensor:
        if not t._inference:
            t._counter.value += 1


class _Handles:
    """Removes several hooks as one; a context that does so at its end."""

    def __init__(self, handles: list[Any]) -> None:
        self.handles = tuple(handles)

    def remove(self) -> None:
        """Takes all the hooks away."""
        for handle in self.handles:
            handle.remove()

    def __enter__(self) -> _Handles:
        return self

    def __exit__(self, *exc: object) -> None:
        self.remove()


def register_multi_grad_hook(
    tensors: Any, fn: Callable[..., Any], *, mode: str = "all"
) -> _Handles:
    """Calls a function when a backward pass has computed the gradients of several tensors.

    Args:
        tensors: tensors that require grad.
        fn: called with the list of their gradients (None for those that the pass does not reach)
            once a pass; in mode ``"any"`` with the first of them alone.
        mode: ``"all"`` or ``"any"``.

    Example:
        >>> import rushlight as torch
        >>> a, b = torch.ones(1, requires_grad=True), torch.ones(1, requires_grad=True)
        >>> show = lambda grads: print([g is not None for g in grads])
        >>> handle = torch.autograd.graph.register_multi_grad_hook((a, b), show)
        >>> (a * 2).sum().backward()
        [True, False]
    """
    if mode not in ("all", "any"):
        raise ValueError(f"Expects mode to be one of ('all', 'any') but got {mode}")
    tensors = tuple(tensors)
    seen: dict[Any, list[Any]] = {}  # of the passes that run: the gradients there are

    def hook(index: int) -> Callable[[Tensor], None]:
        def arrived(grad: Tensor) -> None:
            run = engine.current()
            assert run is not None, "expected this hook to be called inside a backward call"
            if mode == "any":
                if run not in seen:
                    seen.clear()
                    seen[run] = []
                    fn(grad)
                return
            grads = seen.setdefault(run, [None] * len(tensors))
            grads[index] = grad
            edges = [tape.gradient_edge(t) for t in tensors]
            reached = sum(e is not None and run.reaches(e[0]) for e in edges)
            if sum(g is not None for g in grads) == reached:
                fn(seen.pop(run))

        return arrived

    return _Handles(
        [
            t.register_hook(hook(i))
            for i, t in enumerate(tensors)
            if mode == "all" or t.requires_grad
        ]
    )
