"""``backward`` and ``grad``: the checks and defaults before the engine runs."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from rushlight.dispatch import tape
from rushlight.dispatch.engine import run_backward
from rushlight.dispatch.namespace import o
from rushlight.dispatch.tensor import Tensor

__all__ = ["backward", "grad"]


def _roots(tensors: Sequence[Tensor], gradients: Sequence[Any]) -> list[tuple[Any, Tensor]]:
    """Each tensor's place in the graph and the gradient to start from."""
    if len(tensors) != len(gradients):
        raise RuntimeError(f"got {len(tensors)} tensors and {len(gradients)} gradients")
    roots = []
    for i, (t, g) in enumerate(zip(tensors, gradients, strict=True)):
        m = t._meta
        if g is None:
            if t._requires_grad:
                if m.numel != 1:
                    raise RuntimeError("grad can be implicitly created only for scalar outputs")
                if m.dtype.is_complex:
                    raise RuntimeError(
                        "grad can be implicitly created only for real scalar outputs but got "
                        f"{m.dtype}"
                    )
                g = o.full_like(t, 1)
        elif not isinstance(g, Tensor):
            raise TypeError(f"gradients can be either Tensors or None, but got {type(g).__name__}")
        elif g._meta.shape != m.shape:
            raise RuntimeError(
                f"Mismatch in shape: grad_output[{i}] has a shape of {g._meta.shape} and "
                f"output[{i}] "
                f"has a shape of {m.shape}."
            )
        elif g._meta.dtype.is_complex != m.dtype.is_complex:
            raise RuntimeError(
                "For complex Tensors, both grad_output and output are required to have the same "
                f"dtype. Mismatch in dtype: grad_output[{i}] has a dtype of {g._meta.dtype} and "
                f"output[{i}] has a dtype of {m.dtype}."
            )
        edge = tape.gradient_edge(t)
        if edge is None:
            raise RuntimeError(
                f"element {i} of tensors does not require grad and does not have a grad_fn"
            )
        roots.append((edge, g))
    return roots


def backward(
    tensors: Any,
    gradients: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Any = None,
) -> None:
    """Adds to ``.grad`` of the leaves (or of ``inputs``)."""
    many = (tensors,) if isinstance(tensors, Tensor) else tuple(tensors)
    if gradients is None:
        given: tuple[Any, ...] = (None,) * len(many)
    else:
        given = (gradients,) if isinstance(gradients, Tensor) else tuple(gradients)
    if inputs is not None:
        inputs = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
        if not inputs:
            raise RuntimeError("`inputs` argument to `backward()` cannot be empty.")
    keep = create_graph if retain_graph is None else retain_graph
    roots = _roots(many, given)
    if create_graph:
        _warn_of_cycle()
    for x in inputs or ():
        tape.retain(x)
    run_backward(roots, keep, create_graph, inputs, accumulate=True)


class _Told:
    cycle = False


def _warn_of_cycle() -> None:
    if _Told.cycle:
        return
    _Told.cycle = True
    warnings.warn(
        "Using backward() with create_graph=True will create a reference cycle between the "
        "parameter and its gradient which can cause a memory leak. We recommend using "
        "autograd.grad when creating the graph to avoid this. If you have to use this function, "
        "make sure to reset the .grad fields of your parameters to None after use to break the "
        "cycle and avoid the leak.",
        UserWarning,
        stacklevel=4,
    )


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool | None = None,
    materialize_grads: bool = False,
) -> tuple[Any, ...]:
    """The gradients of ``outputs`` with respect to ``inputs``; ``.grad`` stays as it is."""
    outs = (outputs,) if isinstance(outputs, Tensor) else tuple(outputs)
    ins = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    if grad_outputs is None:
        given: tuple[Any, ...] = (None,) * len(outs)
    else:
        given = (grad_outputs,) if isinstance(grad_outputs, Tensor) else tuple(grad_outputs)
    if materialize_grads and allow_unused is False:
        raise ValueError(
            "Expected allow_unused to be True or not passed when materialize_grads=True, but got: "
            "allow_unused=False."
        )
    unused_ok = materialize_grads if allow_unused is None else allow_unused
    if not ins:
        raise RuntimeError("`inputs` argument to `grad()` cannot be empty.")
    for x in ins:
        if not isinstance(x, Tensor):
            raise RuntimeError(
                f"all inputs have to be Tensors or GradientEdges, but got {type(x).__name__}"
            )
    roots = _roots(outs, given)
    if not all([x._requires_grad for x in ins]):
        raise RuntimeError("One of the differentiated Tensors does not require grad")
    keep = create_graph if retain_graph is None else retain_graph
    found = run_backward(roots, keep, create_graph, ins, accumulate=False)
    for i, g in enumerate(found):
        if g is None:
            if materialize_grads:
                found[i] = o.zeros_like(ins[i])
            elif not unused_ok:
                raise RuntimeError(
                    f"The differentiated Tensor at index {i} appears to not have been used in the "
                    "graph. Set allow_unused=True if this is the desired behavior."
                )
    return tuple(found)
