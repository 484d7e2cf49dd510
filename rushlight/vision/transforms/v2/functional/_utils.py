"""How the v2 functions find the kernel for an input: by its type.

In: a function of this package and an input. Out: the kernel registered for the input's class, or
for the nearest base class short of plain `Tensor`. Kernels take plain tensors; `register` adapts
them: it passes the arguments a kernel names, adds the metadata it names (`format`, `canvas_size`,
`clamping_mode`) and wraps the result like the input.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import rushlight as rl
from rushlight.vision import tv_tensors

Kernel = Callable[..., Any]

PIL_IMAGE = "PIL.Image.Image"  # stands for the class, which is not imported before it is needed
_METADATA = ("format", "canvas_size", "clamping_mode")

_KERNELS: dict[Kernel, dict[Any, Kernel]] = {}
_FOUND: dict[tuple[Kernel, type], Kernel | None] = {}


def is_pure_tensor(inpt: Any) -> bool:
    """True for a tensor that is no tv_tensor."""
    return isinstance(inpt, rl.Tensor) and not isinstance(inpt, tv_tensors.TVTensor)


def _parameters(function: Kernel) -> tuple[str, ...]:
    code = function.__code__
    return code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]


def _adapt(functional: Kernel, kernel: Kernel, tv_type: type | None) -> Kernel:
    """The kernel as a function of the input and of the functional's own arguments."""
    names, wanted = _parameters(functional)[1:], set(_parameters(kernel)[1:])
    metadata = tuple(name for name in _METADATA if name in wanted)
    known = frozenset(names)

    def call(inpt: Any, *args: Any, **kwargs: Any) -> Any:
        kwargs.update(zip(names, args, strict=False))
        if not known.issuperset(kwargs):
            raise TypeError(
                f"{functional.__name__}() got an unexpected keyword argument "
                f"'{min(kwargs.keys() - known)}'"
            )
        given = {name: value for name, value in kwargs.items() if name in wanted}
        if tv_type is None:
            return kernel(inpt, **given)
        for name in metadata:
            given[name] = getattr(inpt, name)
        out = kernel(inpt.as_subclass(rl.Tensor), **given)
        if isinstance(out, tuple):  # a geometric kernel that changes the canvas
            return tv_tensors.wrap(out[0], like=inpt, canvas_size=out[1])
        return tv_tensors.wrap(out, like=inpt)

    return call


def register(
    functional: Kernel,
    *,
    image: Kernel,
    pil: Kernel | None = None,
    mask: Kernel | None = None,
    boxes: Kernel | None = None,
    keypoints: Kernel | None = None,
    video: bool = True,
) -> None:
    """Say which kernel does what for one function; `image` serves tensors, images and videos."""
    table: dict[Any, Kernel] = {rl.Tensor: image}
    if pil is not None:
        table[PIL_IMAGE] = _adapt(functional, pil, None)
    kinds = (
        (tv_tensors.Image, image),
        (tv_tensors.Video, image if video else None),
        (tv_tensors.Mask, mask),
        (tv_tensors.BoundingBoxes, boxes),
        (tv_tensors.KeyPoints, keypoints),
    )
    for kind, kernel in kinds:
        if kernel is not None:
            table[kind] = _adapt(functional, kernel, kind)
    _KERNELS[functional] = table


def register_raw(functional: Kernel, table: dict[Any, Kernel]) -> None:
    """Kernels that take the input as it is and return what the function returns."""
    _KERNELS[functional] = table


def register_kernel(functional: Kernel | str, tv_tensor_cls: type) -> Callable[[Kernel], Kernel]:
    """Decorator: use a function as the kernel of `functional` for your own tv_tensor class.

    Args:
        functional: a function of `v2.functional`, or its name.
        tv_tensor_cls: a subclass of `TVTensor`.

    Raises:
        ValueError: another function, a class that is no TVTensor, or one that has a kernel already.
    """
    package = __name__.rpartition(".")[0]
    if isinstance(functional, str):
        import importlib

        found = getattr(importlib.import_module(package), functional, None)
        if found is None:
            raise ValueError(
                f"Could not find functional with name '{functional}' in "
                "torchvision.transforms.v2.functional."
            )
        functional = found
    if not (callable(functional) and getattr(functional, "__module__", "").startswith(package)):
        raise ValueError(
            "Kernels can only be registered on functionals from the "
            f"torchvision.transforms.v2.functional namespace, but got {functional}."
        )
    if not (isinstance(tv_tensor_cls, type) and issubclass(tv_tensor_cls, tv_tensors.TVTensor)):
        raise ValueError(
            "Kernels can only be registered for subclasses of torchvision.tv_tensors.TVTensor, "
            f"but got {tv_tensor_cls}."
        )
    if tv_tensor_cls.__module__.startswith(tv_tensors.__name__):
        raise ValueError(
            "Kernels cannot be registered for the builtin tv_tensor classes, but got "
            f"{tv_tensor_cls}"
        )
    table = _KERNELS.setdefault(functional, {})
    if tv_tensor_cls in table:
        raise ValueError(
            f"Functional {functional} already has a kernel registered for type {tv_tensor_cls}."
        )

    def decorator(kernel: Kernel) -> Kernel:
        table[tv_tensor_cls] = kernel
        _FOUND.clear()
        return kernel

    return decorator


def _search(functional: Kernel, input_type: type) -> Kernel | None:
    table = _KERNELS.get(functional)
    if not table:
        raise ValueError(f"No kernel registered for functional {functional.__name__}.")
    for cls in input_type.__mro__:
        if cls in table:
            return table[cls]
        if cls is tv_tensors.TVTensor:
            return None
        if cls.__name__ == "Image" and cls.__module__ == "PIL.Image":
            return table.get(PIL_IMAGE)
    return None


def find_kernel(functional: Kernel, input_type: type) -> Kernel | None:
    """The kernel for a type of input; None if there is none."""
    key = (functional, input_type)
    if key not in _FOUND:
        _FOUND[key] = _search(functional, input_type)
    return _FOUND[key]


def dispatch(functional: Kernel, inpt: Any, **kwargs: Any) -> Any:
    """Call the kernel for an input.

    Raises:
        TypeError: this function does nothing with that type.
    """
    kernel = find_kernel(functional, type(inpt))
    if kernel is None:
        raise TypeError(
            f"Functional F.{functional.__name__} supports inputs of type "
            f"{_KERNELS[functional].keys()}, but got {type(inpt)} instead."
        )
    return kernel(inpt, **kwargs)
