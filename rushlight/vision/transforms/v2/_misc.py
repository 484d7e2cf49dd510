"""The other v2 transforms: dtype, normalisation, blur, noise, functions, sanitising, time.

In: a nested sample. Out: the sample with the leaves concerned changed.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import rushlight as rl
from rushlight.vision import tv_tensors

from .. import _draws as D
from .. import _params as P
from .. import transforms as v1
from .._params import is_pil_image
from . import functional as F
from ._transform import Transform
from ._tree import tree_flatten, tree_unflatten
from ._utils import (
    get_bounding_boxes,
    get_keypoints,
    has_any,
    label_tensors,
    parse_labels_getter,
)
from .functional._misc import valid_boxes, valid_points
from .functional._utils import is_pure_tensor


class Identity(Transform):
    """Nothing, as a transform."""

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return inpt


class Lambda(Transform):
    """Any function, applied to every leaf of the given types (all by default)."""

    _transformed_types = (object,)

    def __init__(self, lambd: Callable[[Any], Any], *types: type) -> None:
        super().__init__()
        self.lambd = lambd
        self.types = types or self._transformed_types

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return self.lambd(inpt) if isinstance(inpt, self.types) else inpt

    def extra_repr(self) -> str:
        name = getattr(self.lambd, "__name__", None)
        types = f"types={[kind.__name__ for kind in self.types]}"
        return f"{name}, {types}" if name else types


class _TensorsOnly(Transform):
    """A transform that Pillow images cannot go through."""

    def check_inputs(self, flat_inputs: list[Any]) -> None:
        if has_any(flat_inputs, is_pil_image):
            raise TypeError(f"{type(self).__name__}() does not support PIL images.")


class LinearTransformation(_TensorsOnly):
    """(flattened image - mean_vector) @ transformation_matrix."""

    _v1_transform_cls = v1.LinearTransformation
    _transformed_types = (is_pure_tensor, tv_tensors.Image, tv_tensors.Video)

    def __init__(self, transformation_matrix: Any, mean_vector: Any) -> None:
        super().__init__()
        P.check_linear(transformation_matrix, mean_vector)
        self.transformation_matrix = transformation_matrix
        self.mean_vector = mean_vector

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        output = v1.linear_transform(inpt, self.transformation_matrix, self.mean_vector)
        return output if is_pure_tensor(inpt) else tv_tensors.wrap(output, like=inpt)


class Normalize(_TensorsOnly):
    """(image - mean) / std per channel, for float images and videos.

    Args:
        mean: one number a channel. std: likewise, none of them 0.
        inplace: overwrite the input.
    """

    _v1_transform_cls = v1.Normalize

    def __init__(self, mean: Sequence[float], std: Sequence[float], inplace: bool = False) -> None:
        super().__init__()
        self.mean = list(mean)
        self.std = list(std)
        self.inplace = inplace

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return self._call_kernel(
            F.normalize, inpt, mean=self.mean, std=self.std, inplace=self.inplace
        )


class GaussianBlur(Transform):
    """Blur with a Gaussian of random deviation.

    Args:
        kernel_size: odd int or (x, y).
        sigma: a number, or (min, max).
    """

    _v1_transform_cls = v1.GaussianBlur

    def __init__(self, kernel_size: Any, sigma: Any = (0.1, 2.0)) -> None:
        super().__init__()
        self.kernel_size = P.blur_window(kernel_size)
        self.sigma = P.number_or_pair(sigma, "sigma")
        if not 0.0 < self.sigma[0] <= self.sigma[1]:
            raise ValueError(
                f"sigma values should be positive and of the form (min, max). Got {self.sigma}"
            )

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        sigma = D.uniform(self.sigma[0], self.sigma[1])
        return {"sigma": [sigma, sigma]}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return self._call_kernel(F.gaussian_blur, inpt, self.kernel_size, **params)


class GaussianNoise(Transform):
    """Add normal noise; `mean` and `sigma` are parts of white, `clip` keeps it in range."""

    def __init__(self, mean: float = 0.0, sigma: float = 0.1, clip: bool = True) -> None:
        super().__init__()
        self.mean = mean
        self.sigma = sigma
        self.clip = clip

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return self._call_kernel(
            F.gaussian_noise, inpt, mean=self.mean, sigma=self.sigma, clip=self.clip
        )


class ToDtype(Transform):
    """Convert to a dtype; with `scale`, images keep their white white.

    Args:
        dtype: for images and videos (or the plain tensor in their place), or a dict by input type
            ("others" for the rest; None leaves a type alone).
        scale: map the range of the old dtype to that of the new one; floats run from 0 to 1.

    Example:
        >>> import rushlight as rl
        >>> from rushlight.vision.transforms import v2
        >>> v2.ToDtype(rl.float32, scale=True)(rl.tensor([[[255]]], dtype=rl.uint8))
        tensor([[[1.]]])
    """

    _transformed_types = (rl.Tensor,)

    def __init__(self, dtype: Any, scale: bool = False) -> None:
        super().__init__()
        if not isinstance(dtype, (dict, rl.dtype)):
            raise ValueError(f"dtype must be a dict or a torch.dtype, got {type(dtype)} instead")
        images = (tv_tensors.Image, tv_tensors.Video)
        if isinstance(dtype, dict) and rl.Tensor in dtype and any(i in dtype for i in images):
            warnings.warn(
                "Got `dtype` values for `torch.Tensor` and either `tv_tensors.Image` or "
                "`tv_tensors.Video`. Note that a plain `torch.Tensor` will *not* be transformed by "
                "this (or any other transformation) in case a `tv_tensors.Image` or "
                "`tv_tensors.Video` is present in the input.",
                stacklevel=2,
            )
        self.dtype = dtype
        self.scale = scale

    def _dtype_for(self, inpt: Any, is_image: bool) -> Any:
        """The dtype this input is converted to; None leaves it alone."""
        if not isinstance(self.dtype, dict):
            return self.dtype if is_image else None
        if type(inpt) in self.dtype:
            dtype = self.dtype[type(inpt)]
        elif "others" in self.dtype:
            dtype = self.dtype["others"]
        else:
            raise ValueError(
                f"No dtype was specified for type {type(inpt)}. If you only need to convert the "
                "dtype of images or videos, you can just pass e.g. dtype=torch.float32. If you're "
                'passing a dict as dtype, you can use "others" as a catch-all key e.g. '
                'dtype={tv_tensors.Mask: torch.int64, "others": None} to pass-through the rest of '
                "the inputs."
            )
        if dtype is None and self.scale and is_image:
            warnings.warn(
                "scale was set to True but no dtype was specified for images or videos: no "
                "scaling will be done.",
                stacklevel=2,
            )
        return dtype

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        is_image = is_pure_tensor(inpt) or isinstance(inpt, (tv_tensors.Image, tv_tensors.Video))
        dtype = self._dtype_for(inpt, is_image)
        if dtype is None:
            return inpt
        return self._call_kernel(F.to_dtype, inpt, dtype=dtype, scale=self.scale)


class ConvertImageDtype(Transform):
    """`ToDtype(dtype, scale=True)`, float32 by default."""

    _v1_transform_cls = v1.ConvertImageDtype

    def __init__(self, dtype: Any = rl.float32) -> None:
        super().__init__()
        self.dtype = dtype

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return self._call_kernel(F.to_dtype, inpt, dtype=self.dtype, scale=True)


class _Sanitize(Transform):
    """Drop objects, together with their labels."""

    labels_getter: Any
    _labels_getter: Callable[[Any], Any]
    _dropped_types: tuple[type, ...] = ()

    def _find(self, flat_inputs: list[Any]) -> tuple[Any, Any]:
        """The objects of a sample, and which of them to keep."""
        raise NotImplementedError

    def _count_error(self, objects: Any, label: Any) -> str:
        raise NotImplementedError

    def forward(self, *inputs: Any) -> Any:
        sample = inputs if len(inputs) > 1 else inputs[0]
        labels = label_tensors(self._labels_getter(sample))
        flat, rebuild = tree_flatten(sample)
        objects, valid = self._find(flat)
        for label in labels or ():
            if objects.shape[0] != label.shape[0]:
                raise ValueError(self._count_error(objects, label))
        params = {"valid": valid, "labels": labels}
        return tree_unflatten([self.transform(inpt, params) for inpt in flat], rebuild)

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        if any(inpt is label for label in params["labels"] or ()):
            return inpt[params["valid"]]
        if not isinstance(inpt, self._dropped_types):
            return inpt
        return self._keep(inpt, params["valid"])

    def _keep(self, inpt: Any, valid: Any) -> Any:
        try:
            kept = inpt.as_subclass(rl.Tensor)[valid]
        except IndexError:
            if isinstance(inpt, tv_tensors.Mask):  # one mask of the image, not one an object
                return inpt
            raise
        return tv_tensors.wrap(kept, like=inpt)


class SanitizeBoundingBoxes(_Sanitize):
    """Drop boxes that are too small or not inside the image, with their labels and masks.

    Args:
        min_size, min_area: smallest edge and area to keep, 1 or more.
        labels_getter: a function of the sample, "default" to look for labels, or None.
    """

    _dropped_types = (tv_tensors.BoundingBoxes, tv_tensors.Mask)

    def __init__(
        self, min_size: float = 1.0, min_area: float = 1.0, labels_getter: Any = "default"
    ) -> None:
        super().__init__()
        if min_size < 1:
            raise ValueError(f"min_size must be >= 1, got {min_size}.")
        self.min_size = min_size
        if min_area < 1:
            raise ValueError(f"min_area must be >= 1, got {min_area}.")
        self.min_area = min_area
        self.labels_getter = labels_getter
        self._labels_getter = parse_labels_getter(labels_getter)

    def _find(self, flat_inputs: list[Any]) -> tuple[Any, Any]:
        boxes = get_bounding_boxes(flat_inputs)
        plain = boxes.as_subclass(rl.Tensor)
        size = boxes.canvas_size
        return boxes, valid_boxes(plain, boxes.format, size, self.min_size, self.min_area)

    def _count_error(self, objects: Any, label: Any) -> str:
        return (
            f"Number of boxes (shape={objects.shape}) and must match the number of labels."
            f"Found labels with shape={label.shape})."
        )


class SanitizeKeyPoints(_Sanitize):
    """Drop points (or groups of points) outside the image, with their labels.

    Args:
        labels_getter: a function of the sample, "default" to look for labels, or None.
    """

    _dropped_types = (tv_tensors.KeyPoints,)

    def __init__(self, labels_getter: Any = None) -> None:
        super().__init__()
        self.labels_getter = labels_getter
        self._labels_getter = parse_labels_getter(labels_getter)

    def _find(self, flat_inputs: list[Any]) -> tuple[Any, Any]:
        points = get_keypoints(flat_inputs)
        return points, valid_points(points.as_subclass(rl.Tensor), points.canvas_size)

    def _count_error(self, objects: Any, label: Any) -> str:
        return (
            f"Number of kepyoints (shape={objects.shape}) must match the number of labels."
            f"Found labels with shape={label.shape})."
        )


class UniformTemporalSubsample(Transform):
    """`num_samples` frames of a video, evenly spread from first to last."""

    _transformed_types = (rl.Tensor,)

    def __init__(self, num_samples: int) -> None:
        super().__init__()
        self.num_samples = num_samples

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return self._call_kernel(F.uniform_temporal_subsample, inpt, self.num_samples)
