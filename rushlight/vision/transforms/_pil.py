"""Image kernels on Pillow images: Pillow does the pixels, torchvision's argument rules apply.

In: a Pillow image and checked numbers. Out: a new Pillow image. Pillow is imported at the first
call, so that `rushlight.vision` imports without it.
"""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np

from ._params import PADDING_MODES, is_pil_image, pad_ltrb

_FLIP_LEFT_RIGHT, _FLIP_TOP_BOTTOM = 0, 1  # Pillow's Transpose constants
_AFFINE, _PERSPECTIVE = 0, 2  # Pillow's Transform constants


def check(img: Any) -> None:
    """Raise torchvision's TypeError for anything but a Pillow image."""
    if not is_pil_image(img):
        raise TypeError(f"img should be PIL Image. Got {type(img)}")


def get_dimensions(img: Any) -> list[int]:
    """[channels, height, width]."""
    if not is_pil_image(img):
        raise TypeError(f"Unexpected type {type(img)}")
    width, height = img.size
    return [len(img.getbands()), height, width]


def from_array(array: Any, mode: str) -> Any:
    """A Pillow image of exactly this mode that owns a copy of the array's bytes."""
    from PIL import Image

    if Image.fromarray(array[:1]).mode == mode:
        return Image.fromarray(array)
    # `fromarray` guesses the mode from dtype and channels; for a mode that looks alike
    # (YCbCr and HSV are not RGB) the bytes are taken as they are.
    array = np.ascontiguousarray(array)
    return Image.frombytes(mode, (array.shape[1], array.shape[0]), array.tobytes())


def hflip(img: Any) -> Any:
    """Mirror left and right."""
    check(img)
    return img.transpose(_FLIP_LEFT_RIGHT)


def vflip(img: Any) -> Any:
    """Mirror top and bottom."""
    check(img)
    return img.transpose(_FLIP_TOP_BOTTOM)


def _enhance(img: Any, kind: str, factor: float) -> Any:
    check(img)
    from PIL import ImageEnhance

    return getattr(ImageEnhance, kind)(img).enhance(factor)


def adjust_brightness(img: Any, brightness_factor: float) -> Any:
    """Blend with black."""
    return _enhance(img, "Brightness", brightness_factor)


def adjust_contrast(img: Any, contrast_factor: float) -> Any:
    """Blend with the mean grey."""
    return _enhance(img, "Contrast", contrast_factor)


def adjust_saturation(img: Any, saturation_factor: float) -> Any:
    """Blend with the grey image."""
    return _enhance(img, "Color", saturation_factor)


def adjust_sharpness(img: Any, sharpness_factor: float) -> Any:
    """Blend with a smoothed image."""
    return _enhance(img, "Sharpness", sharpness_factor)


def adjust_hue(img: Any, hue_factor: float) -> Any:
    """Shift the hue channel of HSV, which wraps around at 256."""
    if not -0.5 <= hue_factor <= 0.5:
        raise ValueError(f"hue_factor ({hue_factor}) is not in [-0.5, 0.5].")
    check(img)
    if img.mode in ("L", "1", "I", "F"):
        return img
    from PIL import Image

    hue, saturation, value = img.convert("HSV").split()
    shift = np.uint8(int(hue_factor * 255) % 256)
    shifted = from_array(np.asarray(hue) + shift, "L")
    return Image.merge("HSV", (shifted, saturation, value)).convert(img.mode)


def adjust_gamma(img: Any, gamma: float, gain: float = 1.0) -> Any:
    """Map every channel through 255 * gain * (x / 255) ** gamma."""
    check(img)
    if gamma < 0:
        raise ValueError("Gamma should be a non-negative real number")
    table = [int((255 + 1 - 1e-3) * gain * pow(level / 255.0, gamma)) for level in range(256)]
    return img.convert("RGB").point(table * 3).convert(img.mode)


def pad(img: Any, padding: Any, fill: Any = 0, padding_mode: str = "constant") -> Any:
    """Add a border of constant colour, or one that repeats or mirrors the image."""
    check(img)
    if not isinstance(padding, (numbers.Number, tuple, list)):
        raise TypeError("Got inappropriate padding arg")
    if fill is not None and not isinstance(fill, (numbers.Number, tuple, list)):
        raise TypeError("Got inappropriate fill arg")
    if not isinstance(padding_mode, str):
        raise TypeError("Got inappropriate padding_mode arg")
    if isinstance(padding, (list, tuple)) and len(padding) not in (1, 2, 4):
        raise ValueError(
            "Padding must be an int or a 1, 2, or 4 element tuple, not a "
            f"{len(padding)} element tuple"
        )
    if padding_mode not in PADDING_MODES:
        raise ValueError("Padding mode should be either constant, edge, reflect or symmetric")
    ltrb = pad_ltrb(padding)
    if padding_mode == "constant":
        return _pad_constant(img, ltrb, parse_fill(fill, img))
    return _pad_mirrored(img, ltrb, padding_mode)


def _pad_constant(img: Any, ltrb: list[int], fill: Any) -> Any:
    from PIL import ImageOps

    out = ImageOps.expand(img, border=tuple(ltrb), fill=fill)
    if img.mode == "P":
        out.putpalette(img.getpalette())
    return out


def _pad_mirrored(img: Any, ltrb: list[int], padding_mode: Any) -> Any:
    from PIL import Image

    if any(p < 0 for p in ltrb):  # negative padding crops
        left, top, right, bottom = (max(-p, 0) for p in ltrb)
        img = img.crop((left, top, img.width - right, img.height - bottom))
    left, top, right, bottom = (max(p, 0) for p in ltrb)
    array = np.asarray(img)
    widths = [(top, bottom), (left, right), (0, 0)][: array.ndim]
    out = Image.fromarray(np.pad(array, widths, mode=padding_mode))
    if img.mode == "P":
        out.putpalette(img.getpalette())
    return out


def crop(img: Any, top: int, left: int, height: int, width: int) -> Any:
    """Cut a box; what lies outside the image is black."""
    check(img)
    return img.crop((left, top, left + width, top + height))


def resize(img: Any, size: Any, interpolation: int = 2) -> Any:
    """Resample to (h, w)."""
    check(img)
    return img.resize((size[1], size[0]), interpolation)


def parse_fill(fill: Any, img: Any) -> Any:
    """One colour for this image's channels: ints unless the image holds floats."""
    channels = len(img.getbands())
    if fill is None:
        fill = 0
    if isinstance(fill, (int, float)) and channels > 1:
        fill = (fill,) * channels
    if isinstance(fill, (list, tuple)):
        fill = tuple(fill) * channels if len(fill) == 1 else tuple(fill)
        if len(fill) != channels:
            raise ValueError(
                "The number of elements in 'fill' does not match the number of channels of the "
                f"image ({len(fill)} != {channels})"
            )
    if img.mode == "F":
        return fill
    return tuple(int(x) for x in fill) if isinstance(fill, tuple) else int(fill)


def affine(img: Any, matrix: Any, interpolation: int = 0, fill: Any = None) -> Any:
    """Resample through an inverse affine matrix of six numbers."""
    check(img)
    colour = parse_fill(fill, img)
    return img.transform(img.size, _AFFINE, matrix, interpolation, fillcolor=colour)


def rotate(
    img: Any,
    angle: float,
    interpolation: int = 0,
    expand: bool = False,
    center: Any = None,
    fill: Any = None,
) -> Any:
    """Turn counter-clockwise by `angle` degrees."""
    check(img)
    colour = parse_fill(fill, img)
    return img.rotate(angle, interpolation, expand, center, fillcolor=colour)


def perspective(img: Any, coefficients: Any, interpolation: int = 3, fill: Any = None) -> Any:
    """Resample through eight projective coefficients."""
    check(img)
    colour = parse_fill(fill, img)
    return img.transform(img.size, _PERSPECTIVE, coefficients, interpolation, fillcolor=colour)


def to_grayscale(img: Any, num_output_channels: int) -> Any:
    """Luma of ITU-R 601-2, in one channel or three equal ones."""
    check(img)
    if num_output_channels not in (1, 3):
        raise ValueError("num_output_channels should be either 1 or 3")
    grey = img.convert("L")
    if num_output_channels == 1:
        return grey
    from PIL import Image

    return Image.merge("RGB", (grey, grey, grey))


def _ops(img: Any, name: str, *args: Any) -> Any:
    check(img)
    from PIL import ImageOps

    return getattr(ImageOps, name)(img, *args)


def invert(img: Any) -> Any:
    """Negative image."""
    return _ops(img, "invert")


def posterize(img: Any, bits: int) -> Any:
    """Keep the highest bits of each channel."""
    return _ops(img, "posterize", bits)


def solarize(img: Any, threshold: float) -> Any:
    """Invert what is at or above the threshold."""
    return _ops(img, "solarize", threshold)


def autocontrast(img: Any) -> Any:
    """Stretch each channel to the full range."""
    return _ops(img, "autocontrast")


def equalize(img: Any) -> Any:
    """Flatten each channel's histogram."""
    return _ops(img, "equalize")
