"""torchvision.transforms.functional: each function takes a Pillow image or a tensor.

In: a Pillow image, or a tensor (..., C, H, W) (many take (H, W) too), and plain arguments. Out: the
same kind. Arguments are checked here, with torchvision 0.28's error texts; pixels are done by
`_pil.py`, `_tensor.py` and `_colour.py`.
"""

from __future__ import annotations

import sys
import warnings
from typing import Any

import numpy as np

import rushlight as rl

from . import _colour as C
from . import _params as P
from . import _pil
from . import _tensor as T
from ._params import InterpolationMode, is_pil_image, pil_modes_mapping

__all__ = [
    "InterpolationMode",
    "adjust_brightness",
    "adjust_contrast",
    "adjust_gamma",
    "adjust_hue",
    "adjust_saturation",
    "adjust_sharpness",
    "affine",
    "autocontrast",
    "center_crop",
    "convert_image_dtype",
    "crop",
    "elastic_transform",
    "equalize",
    "erase",
    "five_crop",
    "gaussian_blur",
    "get_dimensions",
    "get_image_num_channels",
    "get_image_size",
    "hflip",
    "invert",
    "normalize",
    "pad",
    "perspective",
    "pil_modes_mapping",
    "pil_to_tensor",
    "posterize",
    "resize",
    "resized_crop",
    "rgb_to_grayscale",
    "rotate",
    "solarize",
    "ten_crop",
    "to_grayscale",
    "to_pil_image",
    "to_tensor",
    "vflip",
]

_NATIVE_I16 = "I;16" if sys.byteorder == "little" else "I;16B"
_ARRAY_OF_MODE = {"I": np.int32, _NATIVE_I16: np.int16, "F": np.float32}


# ---------------------------------------------------------------- size


def get_dimensions(img: Any) -> list[int]:
    """[channels, height, width] of an image.

    Example:
        >>> import rushlight as rl
        >>> from rushlight.vision.transforms import functional as F
        >>> F.get_dimensions(rl.zeros(3, 4, 5))
        [3, 4, 5]
    """
    return T.get_dimensions(img) if isinstance(img, rl.Tensor) else _pil.get_dimensions(img)


def get_image_size(img: Any) -> list[int]:
    """[width, height] of an image."""
    _, height, width = get_dimensions(img)
    return [width, height]


def get_image_num_channels(img: Any) -> int:
    """The number of channels of an image."""
    return get_dimensions(img)[0]


# ---------------------------------------------------------------- conversion


def to_tensor(pic: Any) -> Any:
    """A Pillow image or (H, W[, C]) array as a (C, H, W) tensor; bytes become floats in [0, 1].

    Args:
        pic: Pillow image (modes L, LA, P, I, F, RGB, YCbCr, RGBA, CMYK, 1) or ndarray.

    Returns:
        The default float dtype for 8-bit pictures, otherwise the array's own dtype, unscaled.

    Raises:
        TypeError: `pic` is something else. ValueError: an array of 1 or more than 3 dimensions.

    Example:
        >>> import numpy as np
        >>> from rushlight.vision.transforms import functional as F
        >>> F.to_tensor(np.full((1, 2, 1), 255, np.uint8))
        tensor([[[1., 1.]]])
    """
    if is_pil_image(pic):
        array = np.asarray(pic, _ARRAY_OF_MODE.get(pic.mode, np.uint8))
        if pic.mode == "1":
            array = array * np.uint8(255)
    elif isinstance(pic, np.ndarray):
        if pic.ndim not in (2, 3):
            raise ValueError(f"pic should be 2/3 dimensional. Got {pic.ndim} dimensions.")
        array = pic
    else:
        raise TypeError(f"pic should be PIL Image or ndarray. Got {type(pic)}")
    planes = array[None] if array.ndim == 2 else array.transpose(2, 0, 1)
    if planes.dtype != np.uint8:
        # A copy for Pillow's read-only buffer; an array that is contiguous shares its memory.
        copied = np.array(planes, order="C") if array is not pic else np.ascontiguousarray(planes)
        return rl.from_numpy(copied)
    default = rl.get_default_dtype()
    # One pass in NumPy: transpose, cast and divide (float32 division of bytes is exact enough for
    # every narrower dtype: the quotient is rounded once more, as PyTorch does).
    wide = np.float64 if default == rl.float64 else np.float32
    scaled = rl.from_numpy(np.divide(planes, wide(255), dtype=wide, order="C"))
    return scaled if scaled.dtype == default else scaled.to(default)


def pil_to_tensor(pic: Any) -> Any:
    """A Pillow image as a (C, H, W) tensor of the same values (a channels-last view).

    Raises:
        TypeError: `pic` is no Pillow image.
    """
    if not is_pil_image(pic):
        raise TypeError(f"pic should be PIL Image. Got {type(pic)}")
    array = np.array(pic)
    if array.ndim == 2:
        array = array[:, :, None]
    return rl.as_tensor(array).permute(2, 0, 1)


def convert_image_dtype(image: Any, dtype: Any = rl.float32) -> Any:
    """Convert a tensor image to `dtype`; white stays white.

    Raises:
        RuntimeError: the target cannot hold the source's white exactly (float32 to int32 or int64).
    """
    if not isinstance(image, rl.Tensor):
        raise TypeError("Input img should be Tensor Image")
    return T.convert_dtype(image, dtype)


_MODE_OF_CHANNELS: dict[int, tuple[str, ...]] = {
    2: ("LA",),
    3: ("RGB", "YCbCr", "HSV"),
    4: ("RGBA", "CMYK", "RGBX"),
}


def to_pil_image(pic: Any, mode: str | None = None) -> Any:
    """A (C, H, W) tensor or (H, W, C) array as a Pillow image; floats are multiplied by 255.

    Args:
        pic: 1 to 4 channels.
        mode: Pillow's mode; guessed from channels and dtype when None.

    Raises:
        TypeError: neither tensor nor array, or a dtype without a mode.
        ValueError: wrong number of dimensions or channels, or a mode that does not fit.
    """
    if isinstance(pic, rl.Tensor):
        if pic.ndim == 3:
            pic = pic.permute(1, 2, 0)
        pic = pic.numpy(force=True)
    elif not isinstance(pic, np.ndarray):
        raise TypeError(f"pic should be Tensor or ndarray. Got {type(pic)}.")
    if pic.ndim == 2:
        pic = pic[:, :, None]
    if pic.ndim != 3:
        raise ValueError(f"pic should be 2/3 dimensional. Got {pic.ndim} dimensions.")
    channels = pic.shape[-1]
    if channels > 4:
        raise ValueError(f"pic should not have > 4 channels. Got {channels} channels.")
    if np.issubdtype(pic.dtype, np.floating) and mode != "F":
        pic = (pic * 255).astype(np.uint8)
    if channels == 1:
        pic = pic[:, :, 0]
        by_dtype = {"uint8": "L", "int16": _NATIVE_I16, "int32": "I", "float32": "F"}
        expected = by_dtype.get(pic.dtype.name)
        if mode is not None and mode != expected:
            raise ValueError(
                f"Incorrect mode ({mode}) supplied for input type {np.dtype}. Should be {expected}"
            )
        mode = expected
    else:
        permitted = _MODE_OF_CHANNELS.get(channels, _MODE_OF_CHANNELS[3])
        if mode is not None and mode not in permitted:
            raise ValueError(f"Only modes {list(permitted)} are supported for {channels}D inputs")
        if mode is None and pic.dtype == np.uint8:
            mode = permitted[0]
    if mode is None:
        raise TypeError(f"Input type {pic.dtype} is not supported")
    return _pil.from_array(pic, mode)


def normalize(tensor: Any, mean: Any, std: Any, inplace: bool = False) -> Any:
    """(tensor - mean) / std per channel, for float images (..., C, H, W).

    Raises:
        TypeError: no tensor, or not of floats. ValueError: fewer than 3 dimensions, or a zero
        `std`.

    Example:
        >>> import rushlight as rl
        >>> from rushlight.vision.transforms import functional as F
        >>> F.normalize(rl.ones(1, 1, 2), [0.5], [0.25])
        tensor([[[2., 2.]]])
    """
    if not isinstance(tensor, rl.Tensor):
        raise TypeError(f"img should be Tensor Image. Got {type(tensor)}")
    T.check(tensor)
    if not tensor.is_floating_point():
        raise TypeError(f"Input tensor should be a float tensor. Got {tensor.dtype}.")
    if tensor.ndim < 3:
        raise ValueError(
            "Expected tensor to be a tensor image of size (..., C, H, W). Got tensor.size() = "
            f"{tensor.size()}"
        )
    if T.std_has_zero(std, tensor.dtype, tensor.device):
        raise ValueError(
            f"std evaluated to zero after conversion to {tensor.dtype}, leading to division by "
            "zero."
        )
    out = T.normalize(tensor, mean, std, inplace)
    if out.shape != tensor.shape:  # more constants than channels
        raise RuntimeError(
            f"output with shape {list(tensor.shape)} doesn't match the broadcast shape "
            f"{list(out.shape)}"
        )
    return out


# ---------------------------------------------------------------- geometry


def resize(
    img: Any,
    size: Any,
    interpolation: Any = InterpolationMode.BILINEAR,
    max_size: int | None = None,
    antialias: bool | None = True,
) -> Any:
    """Resample to `size`: an int (or one-element list) for the shorter edge, or (h, w).

    Args:
        size: see above.
        interpolation: an `InterpolationMode` or Pillow's integer.
        max_size: cap on the longer edge, when `size` is one number.
        antialias: smooth when shrinking (tensors; Pillow always does).

    Example:
        >>> import rushlight as rl
        >>> from rushlight.vision.transforms import functional as F
        >>> F.resize(rl.zeros(3, 20, 10), 5).shape
        torch.Size([3, 10, 5])
    """
    mode = P.check_mode_v1(interpolation)
    if isinstance(size, int):
        size = [size]
    elif isinstance(size, (list, tuple)):
        if len(size) not in (1, 2):
            raise ValueError(
                f"Size must be an int or a 1 or 2 element tuple/list, not a {len(size)} element "
                "tuple/list"
            )
        if max_size is not None and len(size) != 1:
            raise ValueError(
                "max_size should only be passed if size specifies the length of the smaller edge, "
                "i.e. size should be an int or a sequence of length 1 in torchscript mode."
            )
    _, height, width = get_dimensions(img)
    wanted = P.resized_size((height, width), size, max_size)
    if [height, width] == wanted:
        return img
    if isinstance(img, rl.Tensor):
        return T.resize(img, wanted, mode, bool(antialias))
    if antialias is False:
        warn_antialias()
    return _pil.resize(img, wanted, pil_modes_mapping[mode])


def warn_antialias() -> None:
    """Pillow cannot do without smoothing."""
    warnings.warn(
        "Anti-alias option is always applied for PIL Image input. Argument antialias is ignored.",
        stacklevel=3,
    )


def pad(img: Any, padding: Any, fill: Any = 0, padding_mode: str = "constant") -> Any:
    """Add a border: `padding` is one int, [x, y] or [left, top, right, bottom].

    Args:
        fill: the colour for `constant`; one per channel for Pillow images only.
        padding_mode: `constant`, `edge`, `reflect` or `symmetric`.
    """
    if not isinstance(img, rl.Tensor):
        return _pil.pad(img, padding, fill, padding_mode)
    T.check(img)
    fill = 0 if fill is None else fill
    if not isinstance(padding, (int, tuple, list)):
        raise TypeError("Got inappropriate padding arg")
    if not isinstance(fill, (int, float)):
        raise TypeError("Got inappropriate fill arg")
    if not isinstance(padding_mode, str):
        raise TypeError("Got inappropriate padding_mode arg")
    if not isinstance(padding, int) and len(padding) not in (1, 2, 4):
        raise ValueError(
            "Padding must be an int or a 1, 2, or 4 element tuple, not a "
            f"{len(padding)} element tuple"
        )
    if padding_mode not in P.PADDING_MODES:
        raise ValueError("Padding mode should be either constant, edge, reflect or symmetric")
    return T.pad(img, P.pad_ltrb(padding), fill, padding_mode)


def crop(img: Any, top: int, left: int, height: int, width: int) -> Any:
    """Cut a box; parts outside the image are 0."""
    if not isinstance(img, rl.Tensor):
        return _pil.crop(img, top, left, height, width)
    T.check(img)
    return T.crop(img, top, left, height, width)


def center_crop(img: Any, output_size: Any) -> Any:
    """Cut the middle (h, w); a smaller image gets a border of 0 first."""
    height, width = P.square(output_size)
    if isinstance(img, rl.Tensor):
        T.check(img)
        return T.center_crop(img, height, width)
    size = tuple(get_dimensions(img)[1:])
    if height > size[0] or width > size[1]:
        img = _pil.pad(img, P.center_crop_padding((height, width), size), 0)  # type: ignore[arg-type]
        size = (img.height, img.width)
        if size == (height, width):
            return img
    top, left = P.center_crop_anchor((height, width), size)  # type: ignore[arg-type]
    return _pil.crop(img, top, left, height, width)


def resized_crop(
    img: Any,
    top: int,
    left: int,
    height: int,
    width: int,
    size: Any,
    interpolation: Any = InterpolationMode.BILINEAR,
    antialias: bool | None = True,
) -> Any:
    """Cut a box and resize it."""
    box = crop(img, top, left, height, width)
    return resize(box, size, interpolation, antialias=antialias)


def hflip(img: Any) -> Any:
    """Mirror left and right."""
    if not isinstance(img, rl.Tensor):
        return _pil.hflip(img)
    T.check(img)
    return img.flip(-1)


def vflip(img: Any) -> Any:
    """Mirror top and bottom."""
    if not isinstance(img, rl.Tensor):
        return _pil.vflip(img)
    T.check(img)
    return img.flip(-2)


def five_crop(img: Any, size: Any) -> tuple[Any, ...]:
    """The four corners (top left, top right, bottom left, bottom right) and the centre."""
    _, height, width = get_dimensions(img)
    boxes = P.five_crop_boxes(size, (height, width))
    return (*(crop(img, *box) for box in boxes), center_crop(img, list(boxes[0][2:])))


def ten_crop(img: Any, size: Any, vertical_flip: bool = False) -> tuple[Any, ...]:
    """`five_crop` of the image and of its mirror image."""
    upright = five_crop(img, size)
    return upright + five_crop(vflip(img) if vertical_flip else hflip(img), size)


def perspective(
    img: Any,
    startpoints: Any,
    endpoints: Any,
    interpolation: Any = InterpolationMode.BILINEAR,
    fill: Any = None,
) -> Any:
    """Move the four corners `startpoints` [[x, y], ...] to `endpoints`."""
    coefficients = P.perspective_coefficients(startpoints, endpoints)
    mode = P.check_mode_v1(interpolation)
    if not isinstance(img, rl.Tensor):
        return _pil.perspective(img, coefficients, pil_modes_mapping[mode], fill)
    T.check(img)
    return T.perspective(img, coefficients, mode, fill)


def rotate(
    img: Any,
    angle: float,
    interpolation: Any = InterpolationMode.NEAREST,
    expand: bool = False,
    center: Any = None,
    fill: Any = None,
) -> Any:
    """Turn counter-clockwise by `angle` degrees around `center` (x, y), the middle by default.

    Args:
        expand: grow the result so that nothing is cut off.
        fill: colour outside the image; a number or one per channel.
    """
    mode = P.check_mode_v1(interpolation)
    if not isinstance(angle, (int, float)):
        raise TypeError("Argument angle should be int or float")
    if center is not None and not isinstance(center, (list, tuple)):
        raise TypeError("Argument center should be a sequence")
    if not isinstance(img, rl.Tensor):
        return _pil.rotate(img, angle, pil_modes_mapping[mode], expand, center, fill)
    T.check(img)
    return T.rotate(img, angle, mode, expand, center, fill)


def affine(
    img: Any,
    angle: float,
    translate: Any,
    scale: float,
    shear: Any,
    interpolation: Any = InterpolationMode.NEAREST,
    fill: Any = None,
    center: Any = None,
) -> Any:
    """Turn (clockwise), move, scale and shear around `center`, the middle by default.

    Args:
        angle: degrees. translate: [x, y] pixels. scale: factor > 0.
        shear: degrees in x, or [x, y].
        fill: colour outside the image; a number or one per channel.
    """
    mode = P.check_mode_v1(interpolation)
    angle, translate, shear, center = P.affine_arguments(angle, translate, scale, shear, center)
    _, height, width = get_dimensions(img)
    middle = [width * 0.5, height * 0.5]
    if not isinstance(img, rl.Tensor):
        matrix = P.affine_matrix(center or middle, angle, translate, scale, shear)
        return _pil.affine(img, matrix, pil_modes_mapping[mode], fill)
    offset = [0.0, 0.0] if center is None else [c - m for c, m in zip(center, middle, strict=True)]
    matrix = P.affine_matrix(offset, angle, translate, scale, shear)
    return T.affine(img, matrix, mode, fill)


def elastic_transform(
    img: Any,
    displacement: Any,
    interpolation: Any = InterpolationMode.BILINEAR,
    fill: Any = None,
) -> Any:
    """Take each pixel from where `displacement` (1, H, W, 2), in half image sizes, points."""
    if isinstance(interpolation, int):
        warnings.warn(
            "Argument interpolation should be of type InterpolationMode instead of int. "
            "Please, use InterpolationMode enum.",
            stacklevel=2,
        )
        interpolation = P.mode_from_int(interpolation)
    if not isinstance(displacement, rl.Tensor):
        raise TypeError("Argument displacement should be a Tensor")
    return _through_tensor(img, lambda t: T.elastic(t, displacement, interpolation, fill))


def _through_tensor(img: Any, kernel: Any) -> Any:
    """Run a tensor kernel; a Pillow image takes the way through a tensor and back."""
    if isinstance(img, rl.Tensor):
        return kernel(img)
    if not is_pil_image(img):
        raise TypeError(f"img should be PIL Image or Tensor. Got {type(img)}")
    return to_pil_image(kernel(pil_to_tensor(img)), mode=img.mode)


def gaussian_blur(img: Any, kernel_size: Any, sigma: Any = None) -> Any:
    """Blur with a Gaussian window of odd `kernel_size` (x, y) and deviation `sigma` (x, y).

    `sigma` defaults to 0.15 * size + 0.35.
    """
    sizes, sigmas = P.blur_arguments(kernel_size, sigma)
    return _through_tensor(img, lambda t: T.gaussian_blur(t, sizes, sigmas))


def erase(img: Any, i: int, j: int, h: int, w: int, v: Any, inplace: bool = False) -> Any:
    """Overwrite the h x w box at row i, column j of a tensor image with `v`."""
    if not isinstance(img, rl.Tensor):
        raise TypeError(f"img should be Tensor Image. Got {type(img)}")
    T.check(img)
    return T.erase(img, i, j, h, w, v, inplace)


# ---------------------------------------------------------------- colour


def _check_colour(img: Any, factor: float | None = None, name: str = "") -> None:
    if factor is not None and factor < 0:
        raise ValueError(f"{name} ({factor}) is not non-negative.")
    T.check(img)
    T.check_channels(img, [1, 3])


def _check_3d(img: Any) -> None:
    T.check(img)
    if img.ndim < 3:
        raise TypeError(
            f"Input image tensor should have at least 3 dimensions, but found {img.ndim}"
        )
    T.check_channels(img, [1, 3])


def adjust_brightness(img: Any, brightness_factor: float) -> Any:
    """Multiply by a factor >= 0: 0 is black, 1 the image itself."""
    if not isinstance(img, rl.Tensor):
        return _pil.adjust_brightness(img, brightness_factor)
    _check_colour(img, brightness_factor, "brightness_factor")
    return C.adjust_brightness(img, brightness_factor)


def adjust_contrast(img: Any, contrast_factor: float) -> Any:
    """Blend with the mean grey: 0 is grey, 1 the image itself."""
    if not isinstance(img, rl.Tensor):
        return _pil.adjust_contrast(img, contrast_factor)
    _check_colour(img, contrast_factor, "contrast_factor")
    return C.adjust_contrast(img, contrast_factor)


def adjust_saturation(img: Any, saturation_factor: float) -> Any:
    """Blend with the grey image: 0 is grey, 1 the image itself."""
    if not isinstance(img, rl.Tensor):
        return _pil.adjust_saturation(img, saturation_factor)
    _check_colour(img, saturation_factor, "saturation_factor")
    return C.adjust_saturation(img, saturation_factor)


def adjust_hue(img: Any, hue_factor: float) -> Any:
    """Turn the hue by `hue_factor` in [-0.5, 0.5] of the colour circle."""
    if not isinstance(img, rl.Tensor):
        return _pil.adjust_hue(img, hue_factor)
    if not -0.5 <= hue_factor <= 0.5:
        raise ValueError(f"hue_factor ({hue_factor}) is not in [-0.5, 0.5].")
    _check_colour(img)
    return C.adjust_hue(img, hue_factor)


def adjust_gamma(img: Any, gamma: float, gain: float = 1) -> Any:
    """gain * image ** gamma, for `gamma` >= 0."""
    if not isinstance(img, rl.Tensor):
        return _pil.adjust_gamma(img, gamma, gain)
    T.check_channels(img, [1, 3])
    if gamma < 0:
        raise ValueError("Gamma should be a non-negative real number")
    return C.adjust_gamma(img, gamma, gain)


def adjust_sharpness(img: Any, sharpness_factor: float) -> Any:
    """Blend with a smoothed image: 0 is smooth, 1 the image itself, 2 sharper."""
    if not isinstance(img, rl.Tensor):
        return _pil.adjust_sharpness(img, sharpness_factor)
    _check_colour(img, sharpness_factor, "sharpness_factor")
    return C.adjust_sharpness(img, sharpness_factor)


def to_grayscale(img: Any, num_output_channels: int = 1) -> Any:
    """The grey version of a Pillow image, in 1 or 3 equal channels."""
    if not is_pil_image(img):
        raise TypeError("Input should be PIL Image")
    return _pil.to_grayscale(img, num_output_channels)


def rgb_to_grayscale(img: Any, num_output_channels: int = 1) -> Any:
    """The grey version of an image, in 1 or 3 equal channels."""
    if not isinstance(img, rl.Tensor):
        return _pil.to_grayscale(img, num_output_channels)
    _check_3d(img)
    if num_output_channels not in (1, 3):
        raise ValueError("num_output_channels should be either 1 or 3")
    grey = C.rgb_to_grayscale(img, num_output_channels)
    return grey if img.shape[-3] == 3 else grey[..., :1, :, :]  # v1 keeps one channel one


def invert(img: Any) -> Any:
    """The negative image."""
    if not isinstance(img, rl.Tensor):
        return _pil.invert(img)
    _check_3d(img)
    return C.invert(img)


def _check_bytes(img: Any) -> None:
    if img.dtype != rl.uint8:
        raise TypeError(f"Only torch.uint8 image tensors are supported, but found {img.dtype}")
    T.check_channels(img, [1, 3])


def posterize(img: Any, bits: int) -> Any:
    """Keep the highest `bits` (0 to 8) bits of each channel of a byte image."""
    if not 0 <= bits <= 8:
        raise ValueError(f"The number if bits should be between 0 and 8. Got {bits}")
    if not isinstance(img, rl.Tensor):
        return _pil.posterize(img, bits)
    T.check(img)
    if img.ndim < 3:
        _check_3d(img)
    _check_bytes(img)
    return C.posterize(img, bits)


def solarize(img: Any, threshold: float) -> Any:
    """Invert what is at or above the threshold."""
    if not isinstance(img, rl.Tensor):
        return _pil.solarize(img, threshold)
    _check_3d(img)
    if threshold > T.max_value(img.dtype):
        raise TypeError("Threshold should be less than bound of img.")
    return C.solarize(img, threshold)


def autocontrast(img: Any) -> Any:
    """Stretch each channel to the full range."""
    if not isinstance(img, rl.Tensor):
        return _pil.autocontrast(img)
    _check_3d(img)
    return C.autocontrast(img)


def equalize(img: Any) -> Any:
    """Flatten the histogram of each channel of a byte image."""
    if not isinstance(img, rl.Tensor):
        return _pil.equalize(img)
    T.check(img)
    if not 3 <= img.ndim <= 4:
        raise TypeError(f"Input image tensor should have 3 or 4 dimensions, but found {img.ndim}")
    _check_bytes(img)
    return C.equalize(img)
