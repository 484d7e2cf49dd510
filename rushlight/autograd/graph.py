"""Looking into the graph: nodes and hooks on saved tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rushlight.dispatch import modes, tape
from rushlight.dispatch.tape import Node
from rushlight.dispatch.tensor import Tensor

__all__ = [
    "GradientEdge",
    "Node",
    "disable_saved_tensors_hooks",
    "get_gradient_edge",
    "increment_version",
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
