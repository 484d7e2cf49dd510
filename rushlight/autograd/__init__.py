"""Automatic differentiation: ``torch.autograd``.

The tape and its engine are in ``dispatch/``; here is what users call.
"""

from __future__ import annotations

from typing import Any

from rushlight._tensor.modes import enable_grad, inference_mode, no_grad, set_grad_enabled
from rushlight.autograd import function, functional, grad_mode, graph
from rushlight.autograd.anomaly_mode import detect_anomaly, set_detect_anomaly
from rushlight.autograd.checking import GradcheckError, gradcheck, gradgradcheck
from rushlight.autograd.function import Function, NestedIOFunction
from rushlight.autograd.grad_mode import (
    enforce_grad_layout_policy,
    is_multithreading_enabled,
    set_multithreading_enabled,
)
from rushlight.dispatch.backward import backward as _backward
from rushlight.dispatch.backward import grad as _grad
from rushlight.dispatch.tensor import Tensor

__all__ = [
    "Function",
    "GradcheckError",
    "NestedIOFunction",
    "Variable",
    "backward",
    "detect_anomaly",
    "enable_grad",
    "enforce_grad_layout_policy",
    "function",
    "functional",
    "grad_mode",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "graph",
    "inference_mode",
    "is_multithreading_enabled",
    "no_grad",
    "set_detect_anomaly",
    "set_grad_enabled",
    "set_multithreading_enabled",
    "variable",
]


def backward(
    tensors: Any,
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    grad_variables: Any = None,
    inputs: Any = None,
) -> None:
    """Adds the gradients of the tensors' sum with respect to the leaves to their ``.grad``.

    Args:
        tensors: what is differentiated.
        grad_tensors: where the pass starts, one a tensor; ones for scalars if not given.
        retain_graph: keep what the graph saved; ``create_graph`` if not given.
        create_graph: record the pass, for higher derivatives.
        inputs: the leaves whose gradients are wanted.
    """
    if grad_tensors is None:
        grad_tensors = grad_variables
    _backward(tensors, grad_tensors, retain_graph, create_graph, inputs)


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Any, ...]:
    """The gradients of the outputs' sum with respect to the inputs.

    Args:
        outputs, inputs: tensors or sequences of tensors.
        grad_outputs: where the pass starts, one an output; ones for scalars if not given.
        create_graph: record the pass, for higher derivatives.
        allow_unused: give None (not an error) for inputs that the outputs do not depend on.
        is_grads_batched: ``grad_outputs`` have a leading batch dimension; one pass each.
        materialize_grads: zeros instead of None.

    Example:
        >>> import rushlight as torch
        >>> x = torch.tensor(3.0, requires_grad=True)
        >>> torch.autograd.grad(x**2, x)
        (tensor(6.),)
    """
    if not is_grads_batched:
        return _grad(
            outputs,
            inputs,
            grad_outputs,
            retain_graph,
            create_graph,
            allow_unused,
            materialize_grads,
        )
    return functional.batched_grad(
        outputs, inputs, grad_outputs, create_graph, allow_unused, materialize_grads
    )


def __getattr__(name: str) -> Any:
    """``forward_ad`` is imported when first used: it brings in the function transforms."""
    if name == "forward_ad":
        from importlib import import_module

        return import_module("rushlight.autograd.forward_ad")
    raise AttributeError(f"module 'torch.autograd' has no attribute '{name}'")


def Variable(data: Tensor, requires_grad: bool = False, volatile: bool = False) -> Tensor:
    """The tensor itself, outside the graph; kept for code older than PyTorch 0.4."""
    t: Tensor = data.detach()
    return t.requires_grad_(requires_grad)  # type: ignore[no-any-return]


def variable(*args: Any, **kwargs: Any) -> None:
    """Gone since PyTorch 0.4.

    Raises:
        RuntimeError: always; it says what to use.
    """
    raise RuntimeError("torch.autograd.variable(...) is deprecated, use torch.tensor(...) instead")
