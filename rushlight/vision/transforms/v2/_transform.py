"""Transform: the base class of the v2 transforms.

In: any nested sample, as one argument or several. Out: the same nesting. Of its leaves the images,
videos, masks, boxes and points are transformed with parameters drawn once a call, and so is the
first plain tensor if the sample has no image or video; everything else passes through.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Any

import rushlight as rl
from rushlight.nn import Module
from rushlight.vision import tv_tensors

from .._draws import coin
from .._params import is_pil_image
from ._tree import tree_flatten, tree_unflatten
from ._utils import check_type, has_any
from .functional._utils import find_kernel, is_pure_tensor

_SHOWN = (bool, int, float, str, tuple, list, Enum)


class Transform(Module):
    """Base class: override `transform`, and `make_params` to draw at random.

    Example:
        >>> import rushlight as rl
        >>> from rushlight.vision.transforms import v2
        >>> class Double(v2.Transform):
        ...     def transform(self, inpt, params):
        ...         return inpt * 2
        >>> Double()({"image": rl.ones(1, 1, 1), "label": 3})
        {'image': tensor([[[2.]]]), 'label': 3}
    """

    # Classes (or predicates) of what `transform` gets to see.
    _transformed_types: tuple[Any, ...] = (rl.Tensor, is_pil_image)
    _v1_transform_cls: type | None = None  # whose get_params this class offers as well

    def __init__(self) -> None:
        super().__init__()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        get_params = getattr(cls._v1_transform_cls, "get_params", None)
        if get_params is not None:
            setattr(cls, "get_params", staticmethod(get_params))  # noqa: B010

    def check_inputs(self, flat_inputs: list[Any]) -> None:
        """Raise for a sample that this transform cannot take."""

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Draw what `transform` needs, once for the whole sample."""
        return {}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Transform one leaf."""
        raise NotImplementedError

    def _call_kernel(
        self, functional: Callable[..., Any], inpt: Any, *args: Any, **kwargs: Any
    ) -> Any:
        """The functional's result, or the input itself where it has no kernel for its type."""
        kernel = find_kernel(functional, type(inpt))
        return inpt if kernel is None else kernel(inpt, *args, **kwargs)

    def forward(self, *inputs: Any) -> Any:
        """Transform a sample."""
        sample = inputs if len(inputs) > 1 else inputs[0]
        flat, rebuild = tree_flatten(sample)
        self.check_inputs(flat)
        if not self._applies():
            return sample
        chosen = self._needs_transform_list(flat)
        params = self.make_params([x for x, yes in zip(flat, chosen, strict=True) if yes])
        pairs = zip(flat, chosen, strict=True)
        out = [self.transform(x, params) if yes else x for x, yes in pairs]
        return tree_unflatten(out, rebuild)

    def _applies(self) -> bool:
        """Should this call do anything? Drawn after the check of the inputs."""
        return True

    def _needs_transform_list(self, flat_inputs: list[Any]) -> list[bool]:
        """Which leaves to transform: see the head of this file for the plain tensors."""
        pure_tensor_too = not has_any(flat_inputs, tv_tensors.Image, tv_tensors.Video, is_pil_image)
        chosen = []
        for inpt in flat_inputs:
            needed = check_type(inpt, self._transformed_types)
            if needed and is_pure_tensor(inpt):
                needed, pure_tensor_too = pure_tensor_too, False
            chosen.append(needed)
        return chosen

    def extra_repr(self) -> str:
        """The public settings, as `name=value`."""
        return ", ".join(
            f"{name}={value}"
            for name, value in self.__dict__.items()
            if not name.startswith("_") and name != "training" and isinstance(value, _SHOWN)
        )


class RandomApplyTransform(Transform):
    """A transform that applies with probability p."""

    def __init__(self, p: float = 0.5) -> None:
        if not 0.0 <= p <= 1.0:
            raise ValueError("`p` should be a floating point value in the interval [0.0, 1.0].")
        super().__init__()
        self.p = p

    def _applies(self) -> bool:
        return coin(self.p)


def warn_passing_through(transform: Any, inpt: Any) -> None:
    """Warn that boxes, points and masks are left alone by an image-only transform."""
    if isinstance(inpt, (tv_tensors.BoundingBoxes, tv_tensors.KeyPoints, tv_tensors.Mask)):
        import warnings

        warnings.warn(
            f"{type(transform).__name__}() is currently passing through inputs of type "
            f"tv_tensors.{type(inpt).__name__}. This will likely change in the future.",
            stacklevel=3,
        )
