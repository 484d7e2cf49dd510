"""torchvision.transforms, version 1: one image in, one image out.

In: a Pillow image or a tensor (..., C, H, W). Out: the transformed image. A transform is a callable
with torchvision 0.28's parameters and `repr`; `functional.py` does the work. The random ones are in
`_random.py`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from numbers import Number
from typing import Any

import rushlight as rl
from rushlight.nn import Module

from . import _params as P
from . import functional as F
from ._params import InterpolationMode, setup_size
from ._random import (
    SIZE_ERROR,
    ColorJitter,
    ElasticTransform,
    GaussianBlur,
    RandomAdjustSharpness,
    RandomAffine,
    RandomApply,
    RandomAutocontrast,
    RandomChoice,
    RandomCrop,
    RandomEqualize,
    RandomErasing,
    RandomGrayscale,
    RandomHorizontalFlip,
    RandomInvert,
    RandomOrder,
    RandomPerspective,
    RandomPosterize,
    RandomResizedCrop,
    RandomRotation,
    RandomSolarize,
    RandomTransforms,
    RandomVerticalFlip,
    as_mode,
    fields,
    listing,
)

__all__ = [
    "Compose",
    "ToTensor",
    "PILToTensor",
    "ConvertImageDtype",
    "ToPILImage",
    "Normalize",
    "Resize",
    "CenterCrop",
    "Pad",
    "Lambda",
    "RandomApply",
    "RandomChoice",
    "RandomOrder",
    "RandomTransforms",
    "RandomCrop",
    "RandomHorizontalFlip",
    "RandomVerticalFlip",
    "RandomResizedCrop",
    "FiveCrop",
    "TenCrop",
    "LinearTransformation",
    "ColorJitter",
    "RandomRotation",
    "RandomAffine",
    "Grayscale",
    "RandomGrayscale",
    "RandomPerspective",
    "RandomErasing",
    "GaussianBlur",
    "InterpolationMode",
    "RandomInvert",
    "RandomPosterize",
    "RandomSolarize",
    "RandomAdjustSharpness",
    "RandomAutocontrast",
    "RandomEqualize",
    "ElasticTransform",
]


def _note_missing_parentheses(init: Callable[..., None]) -> Callable[..., None]:
    """Explain the TypeError of `ToTensor(image)`, the commonest slip with these two classes."""

    @functools.wraps(init)
    def checked(self: Any, *args: Any, **kwargs: Any) -> None:
        try:
            init(self, *args, **kwargs)
        except TypeError as error:
            name = type(self).__name__
            error.add_note(
                f"Missing parentheses: write {name}()(image), not {name}(image). / "
                f"缺括号：请写 {name}()(image)"
            )
            raise

    return checked


class Compose:
    """Apply transforms one after the other.

    Args:
        transforms: a list of callables.

    Example:
        >>> from rushlight.vision import transforms
        >>> transforms.Compose([transforms.Resize(8), transforms.ToTensor()])
        Compose(
            Resize(size=8, interpolation=bilinear, max_size=None, antialias=True)
            ToTensor()
        )
    """

    def __init__(self, transforms: Any) -> None:
        self.transforms = transforms

    def __call__(self, img: Any) -> Any:
        for t in self.transforms:
            img = t(img)
        return img

    def __repr__(self) -> str:
        return listing(type(self).__name__, self.transforms)


class ToTensor:
    """A Pillow image or (H, W, C) array as a (C, H, W) tensor; bytes become floats in [0, 1].

    Takes no arguments: write `ToTensor()`, then call the result with the image.

    Example:
        >>> import numpy as np
        >>> from rushlight.vision.transforms import ToTensor
        >>> ToTensor()(np.zeros((2, 2, 3), np.uint8)).shape
        torch.Size([3, 2, 2])
    """

    @_note_missing_parentheses
    def __init__(self) -> None:
        pass

    def __call__(self, pic: Any) -> Any:
        return F.to_tensor(pic)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class PILToTensor:
    """A Pillow image as a (C, H, W) tensor of the same values, not scaled."""

    @_note_missing_parentheses
    def __init__(self) -> None:
        pass

    def __call__(self, pic: Any) -> Any:
        return F.pil_to_tensor(pic)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class ConvertImageDtype(Module):
    """Convert a tensor image to `dtype` and scale it so that white stays white."""

    def __init__(self, dtype: Any) -> None:
        super().__init__()
        self.dtype = dtype

    def forward(self, image: Any) -> Any:
        return F.convert_image_dtype(image, self.dtype)


class ToPILImage:
    """A (C, H, W) tensor or (H, W, C) array as a Pillow image.

    Args:
        mode: Pillow's mode; guessed from channels and dtype when None.
    """

    def __init__(self, mode: str | None = None) -> None:
        self.mode = mode

    def __call__(self, pic: Any) -> Any:
        return F.to_pil_image(pic, self.mode)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({'' if self.mode is None else f'mode={self.mode}'})"


class Normalize(Module):
    """(image - mean) / std per channel, for float tensors.

    Args:
        mean: one number a channel. std: likewise, none of them 0.
        inplace: overwrite the input.

    Example:
        >>> import rushlight as rl
        >>> from rushlight.vision.transforms import Normalize
        >>> Normalize([0.5], [0.5])(rl.ones(1, 1, 2))
        tensor([[[1., 1.]]])
    """

    def __init__(self, mean: Any, std: Any, inplace: bool = False) -> None:
        super().__init__()
        self.mean = mean
        self.std = std
        self.inplace = inplace

    def forward(self, tensor: Any) -> Any:
        return F.normalize(tensor, self.mean, self.std, self.inplace)

    def __repr__(self) -> str:
        return fields(self, "mean", "std")


class Resize(Module):
    """Resample: an int fixes the shorter edge, a pair is (h, w).

    Args:
        size: int, [int] or (h, w).
        interpolation: an `InterpolationMode`, bilinear by default.
        max_size: cap on the longer edge when `size` is one number.
        antialias: smooth when shrinking tensors; Pillow always does.

    Example:
        >>> import rushlight as rl
        >>> from rushlight.vision.transforms import Resize
        >>> Resize((4, 6))(rl.zeros(3, 8, 8)).shape
        torch.Size([3, 4, 6])
    """

    def __init__(
        self,
        size: Any,
        interpolation: Any = InterpolationMode.BILINEAR,
        max_size: int | None = None,
        antialias: bool | None = True,
    ) -> None:
        super().__init__()
        if not isinstance(size, (int, Sequence)):
            raise TypeError(f"Size should be int or sequence. Got {type(size)}")
        if isinstance(size, Sequence) and len(size) not in (1, 2):
            raise ValueError("If size is a sequence, it should have 1 or 2 values")
        self.size = size
        self.max_size = max_size
        self.interpolation = as_mode(interpolation)
        self.antialias = antialias

    def forward(self, img: Any) -> Any:
        return F.resize(img, self.size, self.interpolation, self.max_size, self.antialias)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(size={self.size}, interpolation={self.interpolation.value}, "
            f"max_size={self.max_size}, antialias={self.antialias})"
        )


class CenterCrop(Module):
    """Cut the middle (h, w), or a square; a smaller image gets a border of 0 first."""

    def __init__(self, size: Any) -> None:
        super().__init__()
        self.size = setup_size(size, SIZE_ERROR)

    def forward(self, img: Any) -> Any:
        return F.center_crop(img, self.size)

    def __repr__(self) -> str:
        return fields(self, "size")


class Pad(Module):
    """Add a border.

    Args:
        padding: one int, (x, y) or (left, top, right, bottom).
        fill: colour for `constant`.
        padding_mode: `constant`, `edge`, `reflect` or `symmetric`.
    """

    def __init__(self, padding: Any, fill: Any = 0, padding_mode: str = "constant") -> None:
        super().__init__()
        if not isinstance(padding, (Number, tuple, list)):
            raise TypeError("Got inappropriate padding arg")
        if not isinstance(fill, (Number, tuple, list)):
            raise TypeError("Got inappropriate fill arg")
        if padding_mode not in P.PADDING_MODES:
            raise ValueError("Padding mode should be either constant, edge, reflect or symmetric")
        if isinstance(padding, Sequence) and len(padding) not in (1, 2, 4):
            raise ValueError(
                "Padding must be an int or a 1, 2, or 4 element tuple, not a "
                f"{len(padding)} element tuple"
            )
        self.padding = padding
        self.fill = fill
        self.padding_mode = padding_mode

    def forward(self, img: Any) -> Any:
        return F.pad(img, self.padding, self.fill, self.padding_mode)

    def __repr__(self) -> str:
        return fields(self, "padding", "fill", "padding_mode")


class Lambda:
    """Any function as a transform."""

    def __init__(self, lambd: Any) -> None:
        if not callable(lambd):
            raise TypeError(f"Argument lambd should be callable, got {type(lambd).__name__!r}")
        self.lambd = lambd

    def __call__(self, img: Any) -> Any:
        return self.lambd(img)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class FiveCrop(Module):
    """The four corners and the centre, as a tuple of five images."""

    def __init__(self, size: Any) -> None:
        super().__init__()
        self.size = setup_size(size, SIZE_ERROR)

    def forward(self, img: Any) -> Any:
        return F.five_crop(img, self.size)

    def __repr__(self) -> str:
        return fields(self, "size")


class TenCrop(Module):
    """`FiveCrop` of the image and of its mirror image, as a tuple of ten."""

    def __init__(self, size: Any, vertical_flip: bool = False) -> None:
        super().__init__()
        self.size = setup_size(size, SIZE_ERROR)
        self.vertical_flip = vertical_flip

    def forward(self, img: Any) -> Any:
        return F.ten_crop(img, self.size, self.vertical_flip)

    def __repr__(self) -> str:
        return fields(self, "size", "vertical_flip")


class LinearTransformation(Module):
    """(flattened image - mean_vector) @ transformation_matrix: whitening, for instance."""

    def __init__(self, transformation_matrix: Any, mean_vector: Any) -> None:
        super().__init__()
        P.check_linear(transformation_matrix, mean_vector)
        self.transformation_matrix = transformation_matrix
        self.mean_vector = mean_vector

    def forward(self, tensor: Any) -> Any:
        return linear_transform(tensor, self.transformation_matrix, self.mean_vector)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(transformation_matrix={self.transformation_matrix.tolist()}, "
            f"mean_vector={self.mean_vector.tolist()})"
        )


def linear_transform(tensor: Any, matrix: Any, mean: Any) -> Any:
    """The computation of LinearTransformation, shared with v2."""
    c, h, w = tensor.shape[-3:]
    n = c * h * w
    if n != matrix.shape[0]:
        raise ValueError(
            "Input tensor and transformation matrix have incompatible shape."
            f"[{c} x {h} x {w}] != {matrix.shape[0]}"
        )
    if tensor.device.type != mean.device.type:
        raise ValueError(
            "Input tensor should be on the same device as transformation matrix and mean vector. "
            f"Got {tensor.device} vs {mean.device}"
        )
    flat = tensor.reshape(-1, n) - mean
    return rl.mm(flat, matrix.to(flat.dtype)).reshape(tensor.shape)


class Grayscale(Module):
    """Grey, in 1 or 3 equal channels."""

    def __init__(self, num_output_channels: int = 1) -> None:
        super().__init__()
        self.num_output_channels = num_output_channels

    def forward(self, img: Any) -> Any:
        return F.rgb_to_grayscale(img, num_output_channels=self.num_output_channels)

    def __repr__(self) -> str:
        return fields(self, "num_output_channels")
