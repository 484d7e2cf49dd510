"""The gradient side of a tensor: requires_grad, grad, hooks, detach, data and backward."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from rushlight._tensor import grad_dtype
from rushlight._tensor.api import both, method, tensor_property
from rushlight.dispatch import modes, tape, views
from rushlight.dispatch.doors import (
    BACKWARD,
    CLEAR,
    DATA,
    DETACH,
    EAGER,
    door,
    event,
    forget,
    history,
    interrupt,
)
from rushlight.dispatch.hooks import hooked
from rushlight.dispatch.tensor import Tensor, Version, alias, changed, point

__all__: list[str] = []


def tape_node(t: Tensor) -> Any:
    """The graph node of a tensor, rebuilt if its base was written to."""
    history(t)
    if t._view is not None:
        views.refresh(t)
    return t._node


def _is_leaf(self: Tensor) -> bool:
    if self._view is not None:
        views.refresh(self)
    return self._node is None or not self._requires_grad


tensor_property("is_leaf", _is_leaf)
tensor_property("grad_fn", lambda self: tape_node(self), doc="The node that made this tensor.")
tensor_property("output_nr", lambda self: self._out_nr)
tensor_property("retains_grad", lambda self: self._retains and not self.is_leaf)


def _get_version(self: Tensor) -> int:
    if self._inference:
        raise RuntimeError("Inference tensors do not track version counter.")
    return self._counter.value


def _get_requires_grad(self: Tensor) -> bool:
    record = self._view
    if record is not None:
        if record.problem:  # asking whether it requires grad is allowed even where its node is not
            return self._requires_grad or record.base._requires_grad
        views.refresh(self)
    return self._requires_grad


def _set_requires_grad(self: Tensor, value: Any) -> None:
    if value is not True and value is not False:
        raise RuntimeError("requires_grad must be a bool")
    if value and self._meta.dtype.kind not in "fc":
        raise RuntimeError("only Tensors of floating point and complex dtype can require gradients")
    requires_grad_(self, value)


tensor_property("_version", _get_version)
tensor_property("requires_grad", _get_requires_grad, _set_requires_grad)


@both
def detach(input: Tensor) -> Tensor:
    """The same memory outside the gradient graph."""
    if input._overrides and not modes.state.plain:
        from rushlight.dispatch.overrides import redirect

        handled, result = redirect(detach, (input,), (input,), {})
        if handled:
            return result  # type: ignore[no-any-return]
    return event(DETACH, (input,))  # type: ignore[no-any-return]


def _detach_now(op: Any, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> Tensor:
    input = inputs[0]
    t: Tensor = tape.alias(input) if input._value is None else input._detached()
    if input._inference:
        t._inference = True
    return t


EAGER[DETACH] = _detach_now


@both
def detach_(input: Tensor) -> Tensor:
    """Takes the tensor itself out of the gradient graph."""
    if input._view is not None:
        raise RuntimeError(
            "Can't detach views in-place. Use detach() instead. If you are using "
            "DistributedDataParallel (DDP) for training, and gradient_as_bucket_view is set as "
            "True, gradients are views of DDP buckets, and hence detach_() cannot be called on "
            "these gradients. To fix this error, please refer to the Optimizer.zero_grad() "
            "function in torch/optim/optimizer.py as the solution."
        )
    interrupt("detach_")
    input._node, input._out_nr, input._requires_grad = None, 0, False
    changed(input)
    return input


def _get_data(self: Tensor) -> Tensor:
    return event(DATA, (self,))  # type: ignore[no-any-return]


EAGER[DATA] = lambda op, inputs, attrs: alias(inputs[0], Tensor, Version())


def _set_data(self: Tensor, other: Tensor) -> None:
    if not isinstance(other, Tensor):
        raise TypeError(f"Variable data has to be a tensor, but got {other.__class__.__name__}")
    if (
        other._meta.dtype is not self._meta.dtype
        and self._requires_grad
        and other._meta.dtype.kind not in "fc"
    ):
        raise RuntimeError(
            "data set to a tensor that requires gradients must be floating point or complex dtype"
        )
    if other._storage is self._storage and other._meta is self._meta:
        if other._offset == self._offset:
            return
    interrupt("data was assigned")
    point(self, other._storage, other._meta, other._offset)


tensor_property("data", _get_data, _set_data, "The same memory, untracked by autograd.")


@method
def requires_grad_(self: Tensor, requires_grad: bool = True) -> Tensor:
    """Sets whether operations on this leaf are recorded."""
    if requires_grad and self._meta.dtype.kind not in "fc":
        raise RuntimeError("only Tensors of floating point dtype can require gradients")
    if tape_node(self) is not None and self._requires_grad and not requires_grad:
        raise RuntimeError(
            "you can only change requires_grad flags of leaf variables. If you want to use a "
            "computed variable in a subgraph that doesn't require differentiation use var_no_grad "
            "= var.detach()."
        )
    if requires_grad and self._inference and not modes.state.inference:
        raise RuntimeError(
            "Setting requires_grad=True on inference tensor outside InferenceMode is not allowed."
        )
    if self._requires_grad is not requires_grad:
        interrupt("requires_grad was changed")
        changed(self)
    self._requires_grad = bool(requires_grad)
    self._borrowed = False
    return self


def _get_grad(self: Tensor) -> Any:
    if self._grad is None and self._requires_grad and self._node is not None and not self._retains:
        import warnings

        warnings.warn(
            "The .grad attribute of a Tensor that is not a leaf Tensor is being accessed. Its "
            ".grad "
            "attribute won't be populated during autograd.backward(). If you indeed want the .grad "
            "field to be populated for a non-leaf Tensor, use .retain_grad() on the non-leaf "
            "Tensor. "
            "If you access the non-leaf Tensor by mistake, make sure you access the leaf Tensor "
            "instead. See github.com/pytorch/pytorch/pull/30531 for more informations.",
            UserWarning,
            stacklevel=2,
        )
    return self._grad


_C_NAMES = {  # how PyTorch's text about gradients names element types
    "float32": "float",
    "float64": "double",
    "float16": "c10::Half",
    "bfloat16": "c10::BFloat16",
    "complex32": "c10::complex<c10::Half>",
    "complex64": "c10::complex<float>",
    "complex128": "c10::complex<double>",
    "bool": "bool",
    "uint8": "unsigned char",
    "int8": "signed char",
    "int16": "short int",
    "int32": "int",
    "int64": "long int",
    "uint16": "short unsigned int",
    "uint32": "unsigned int",
    "uint64": "long unsigned int",
}


def _clear_now(op: Any, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> None:
    inputs[0]._grad = None


EAGER[CLEAR] = _clear_now


def _set_grad(self: Tensor, value: Any) -> None:
    if value is None:
        event(CLEAR, (self,))
        return
    interrupt("a gradient was assigned")
    if value is not None:
        if not isinstance(value, Tensor):
            raise TypeError(
                "assigned grad expected to be a Tensor or None but got grad of type "
                f"{value.__class__.__name__}"
            )
        if value is self:
            raise RuntimeError("can't assign Variable as its own grad")
        have, want = value._meta, self._meta
        kind = grad_dtype.of(self)
        if kind is not None and have.dtype is not kind:
            raise RuntimeError(
                f"attempting to assign a gradient with dtype '{_C_NAMES[have.dtype.name]}' to a "
                f"tensor with grad_dtype '{kind.title}'. The gradient must match the "
                "tensor's grad_dtype (defaults to the tensor's dtype). You can set the tensor's "
                "grad_dtype attribute with a specific dtype, or None to allow any dtype. Set "
                "grad_dtype with caution. Diverging the dtypes of a tensor and its gradient may "
                "break downstream systems that assume they match."
            )
        if have.device is not want.device:
            raise RuntimeError(
                f"attempting to assign a gradient with device type '{have.device}' to a tensor "
                "with "
                f"device type '{want.device}'. Please ensure that the gradient and the tensor are "
                "on "
                "the same device"
            )
        if have.shape != want.shape:
            raise RuntimeError(
                f"attempting to assign a gradient of size '{list(have.shape)}' to a tensor of size "
                f"'{list(want.shape)}'. Please ensure that the gradient and the tensor are the "
                "same "
                "size"
            )
    self._grad = value


tensor_property("grad", _get_grad, _set_grad, "The gradient that backward() accumulated, or None.")


@method
def retain_grad(self: Tensor) -> None:
    """Makes backward() fill ``.grad`` of this non-leaf tensor too."""
    interrupt("retain_grad")
    tape.retain(self)


@method
def register_hook(self: Tensor, hook: Any) -> Any:
    """Calls ``hook(grad)`` when the gradient of this tensor is computed; it may return another."""
    if not self._requires_grad:
        raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
    interrupt("a hook was registered")
    node = tape_node(self)
    if node is None:
        forget("a hook was registered")
        if self._hooks is None:
            self._hooks = OrderedDict()
        return hooked(self._hooks, hook)
    node.tensor_hooks = node.tensor_hooks or {}
    return hooked(node.tensor_hooks.setdefault(self._out_nr, OrderedDict()), hook)


@method
def register_post_accumulate_grad_hook(self: Tensor, hook: Any) -> Any:
    """Calls ``hook(tensor)`` after a gradient was added to this leaf's ``.grad``."""
    if not self._requires_grad:
        raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
    if tape_node(self) is not None:
        raise RuntimeError("post accumulate grad hooks cannot be registered on non-leaf tensors")
    forget("a hook was registered")
    if self._post_hooks is None:
        self._post_hooks = OrderedDict()
    return hooked(self._post_hooks, hook)


@method
def backward(
    self: Tensor,
    gradient: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Any = None,
) -> None:
    """Adds the gradient of this tensor with respect to the graph's leaves to their ``.grad``.

    Args:
        gradient: the gradient of what is differentiated with respect to this tensor; needed unless
            it has one element.
        retain_graph: keep what the graph saved, for another pass; ``create_graph`` if not given.
        create_graph: record the pass itself, for higher derivatives.
        inputs: the leaves whose gradient is wanted; all if not given.
    """
    if create_graph or inputs is not None:
        from rushlight.dispatch.backward import backward as run

        interrupt("a backward pass with create_graph or inputs")
        run(self, gradient, retain_graph, create_graph, inputs)
    else:
        door[0](None, (self, gradient), (retain_graph,), BACKWARD)


def _backward_now(op: Any, inputs: tuple[Any, ...], attrs: tuple[Any, ...]) -> None:
    from rushlight.dispatch.backward import backward as run

    run(inputs[0], inputs[1], attrs[0])


EAGER[BACKWARD] = _backward_now
