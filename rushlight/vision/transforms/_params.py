"""Arguments and plain geometry that every transform shares: sizes, paddings, fills, matrices.

In: what users pass (`224`, `(224, 224)`, `[2, 4, 2, 4]`, degrees, corners). Out: plain Python
numbers for the kernels of `_pil.py` and `_tensor.py`. No tensor is made here, except to solve for
the eight perspective coefficients. Error texts follow torchvision 0.28.
"""

from __future__ import annotations

import math
import numbers
import sys
from collections.abc import Sequence
from enum import Enum
from typing import Any

import numpy as np


class InterpolationMode(Enum):
    """How a resampling transform looks up values between pixels.

    Tensors support `NEAREST`, `NEAREST_EXACT`, `BILINEAR` and `BICUBIC`; the others are Pillow's
    alone.

    Example:
        >>> from rushlight.vision.transforms import InterpolationMode
        >>> InterpolationMode.BILINEAR.value
        'bilinear'
    """

    NEAREST = "nearest"
    NEAREST_EXACT = "nearest-exact"
    BILINEAR = "bilinear"
    BICUBIC = "bicubic"
    BOX = "box"
    HAMMING = "hamming"
    LANCZOS = "lanczos"


# Pillow's resampling constants, which are part of its file and API format since 1.1.
pil_modes_mapping = {
    InterpolationMode.NEAREST: 0,
    InterpolationMode.BILINEAR: 2,
    InterpolationMode.BICUBIC: 3,
    InterpolationMode.NEAREST_EXACT: 0,
    InterpolationMode.BOX: 4,
    InterpolationMode.HAMMING: 5,
    InterpolationMode.LANCZOS: 1,
}
_MODE_OF_CONSTANT = {
    constant: mode
    for mode, constant in pil_modes_mapping.items()
    if mode is not InterpolationMode.NEAREST_EXACT
}
_MODE_OF_NAME = {mode.value: mode for mode in InterpolationMode}

PADDING_MODES = ("constant", "edge", "reflect", "symmetric")


def is_pil_image(obj: Any) -> bool:
    """True for a Pillow image. Never imports Pillow: without it there is no such image."""
    module = sys.modules.get("PIL.Image")
    return module is not None and isinstance(obj, module.Image)


def mode_from_int(constant: int) -> InterpolationMode:
    """The mode that a Pillow resampling constant stands for."""
    return _MODE_OF_CONSTANT[constant]


def check_mode_v1(interpolation: Any) -> InterpolationMode:
    """Check an interpolation argument of the v1 functions."""
    if isinstance(interpolation, int):
        return mode_from_int(interpolation)
    if not isinstance(interpolation, InterpolationMode):
        raise TypeError(
            "Argument interpolation should be a InterpolationMode or a corresponding Pillow "
            "integer constant"
        )
    return interpolation


def check_mode_v2(interpolation: Any) -> InterpolationMode:
    """Check an interpolation argument of the v2 functions, which take names as well."""
    if isinstance(interpolation, InterpolationMode):
        return interpolation
    if isinstance(interpolation, str):
        if interpolation not in _MODE_OF_NAME:
            raise ValueError(
                f"Invalid interpolation mode: '{interpolation}'. Supported string values are: "
                f"{list(_MODE_OF_NAME.keys())}."
            )
        return _MODE_OF_NAME[interpolation]
    if isinstance(interpolation, int):
        return mode_from_int(interpolation)
    raise ValueError(
        "Argument interpolation should be an `InterpolationMode` or a corresponding Pillow integer "
        f"constant, but got {interpolation}."
    )


# ---------------------------------------------------------------- constructor arguments


def setup_size(size: Any, error_msg: str) -> Any:
    """`n` or `[n]` means a square; a pair stays as it is."""
    if isinstance(size, numbers.Number):
        return (int(size), int(size))  # type: ignore[call-overload]
    if isinstance(size, Sequence) and len(size) == 1:
        return (size[0], size[0])
    if len(size) != 2:
        raise ValueError(error_msg)
    return size


def check_sequence(x: Any, name: str, req_sizes: tuple[int, ...]) -> None:
    """Raise unless `x` is a sequence of one of the wanted lengths."""
    wanted = " or ".join(str(s) for s in req_sizes)
    if not isinstance(x, Sequence):
        raise TypeError(f"{name} should be a sequence of length {wanted}.")
    if len(x) not in req_sizes:
        raise ValueError(f"{name} should be a sequence of length {wanted}.")


def setup_angle(x: Any, name: str, req_sizes: tuple[int, ...] = (2,)) -> list[float]:
    """One angle `d` means the range (-d, d)."""
    if isinstance(x, numbers.Number):
        if x < 0:  # type: ignore[operator]
            raise ValueError(f"If {name} is a single number, it must be positive.")
        x = [-x, x]  # type: ignore[operator]
    else:
        check_sequence(x, name, req_sizes)
    return [float(d) for d in x]


def square(size: Any) -> Any:
    """`n` or `[n]` as a pair; anything else unchanged."""
    if isinstance(size, numbers.Number):
        return (int(size), int(size))  # type: ignore[call-overload]
    if isinstance(size, (tuple, list)) and len(size) == 1:
        return (size[0], size[0])
    return size


def check_affine_ranges(translate: Any, scale: Any, shear: Any, center: Any) -> list[float] | None:
    """Check the ranges that RandomAffine draws from; returns shear as a list of floats, or None."""
    if translate is not None:
        check_sequence(translate, "translate", (2,))
        if not all(0.0 <= t <= 1.0 for t in translate):
            raise ValueError("translation values should be between 0 and 1")
    if scale is not None:
        check_sequence(scale, "scale", (2,))
        if not all(s > 0 for s in scale):
            raise ValueError("scale values should be positive")
    if center is not None:
        check_sequence(center, "center", (2,))
    return None if shear is None else setup_angle(shear, "shear", (2, 4))


def check_erasing(value: Any, scale: Any, ratio: Any) -> None:
    """Check the constructor arguments of RandomErasing (v1 and v2)."""
    if not isinstance(value, (numbers.Number, str, tuple, list)):
        raise TypeError("Argument value should be either a number or str or a sequence")
    if isinstance(value, str) and value != "random":
        raise ValueError("If value is str, it should be 'random'")
    if not isinstance(scale, Sequence):
        raise TypeError("Scale should be a sequence")
    if not isinstance(ratio, Sequence):
        raise TypeError("Ratio should be a sequence")
    warn_unordered(scale, ratio)
    if scale[0] < 0 or scale[1] > 1:
        raise ValueError("Scale should be between 0 and 1")


def warn_unordered(scale: Any, ratio: Any) -> None:
    """Warn when a (min, max) range is the wrong way round."""
    if scale[0] > scale[1] or ratio[0] > ratio[1]:
        import warnings

        warnings.warn("Scale and ratio should be of kind (min, max)", stacklevel=3)


def check_linear(matrix: Any, mean: Any) -> None:
    """Check that a whitening matrix and its mean belong together."""
    if matrix.size(0) != matrix.size(1):
        raise ValueError(
            "transformation_matrix should be square. Got "
            f"{tuple(matrix.size())} rectangular matrix."
        )
    if mean.size(0) != matrix.size(0):
        raise ValueError(
            f"mean_vector should have the same length {mean.size(0)} as any one of the dimensions "
            f"of the transformation_matrix [{tuple(matrix.size())}]"
        )
    if matrix.device != mean.device:
        raise ValueError(
            f"Input tensors should be on the same device. Got {matrix.device} and {mean.device}"
        )
    if matrix.dtype != mean.dtype:
        raise ValueError(
            f"Input tensors should have the same dtype. Got {matrix.dtype} and {mean.dtype}"
        )


def check_augmix_severity(severity: int, limit: int) -> None:
    """AugMix takes a severity of 1 to `limit`."""
    if not 1 <= severity <= limit:
        raise ValueError(f"The severity must be between [1, {limit}]. Got {severity} instead.")


# ---------------------------------------------------------------- sizes, paddings, crops


def resized_size(
    image_size: tuple[int, int],
    size: Sequence[int] | None,
    max_size: int | None = None,
) -> list[int]:
    """The [h, w] that `resize` produces from an (h, w) image.

    `size` of one element fixes the shorter edge and keeps the ratio; two elements are the result;
    None fits the longer edge to `max_size`.
    """
    h, w = image_size
    short, long = (w, h) if w <= h else (h, w)
    if size is None:
        if not isinstance(max_size, int):
            raise ValueError(
                f"max_size must be an integer when size is None, but got {max_size} instead."
            )
        new_short, new_long = int(max_size * short / long), max_size
    elif len(size) == 1:
        wanted = size[0]
        new_short, new_long = wanted, int(wanted * long / short)
        if max_size is not None:
            if max_size <= wanted:
                raise ValueError(
                    f"max_size = {max_size} must be strictly greater than the requested size for "
                    f"the smaller edge size = {size}"
                )
            if new_long > max_size:
                new_short, new_long = int(max_size * new_short / new_long), max_size
    else:
        return [size[0], size[1]]
    return [new_long, new_short] if w <= h else [new_short, new_long]


def pad_ltrb(padding: Any) -> list[int]:
    """A padding argument (int, or 1, 2 or 4 of them) as [left, top, right, bottom]."""
    if isinstance(padding, int):
        return [padding] * 4
    if len(padding) == 1:
        return [padding[0]] * 4
    if len(padding) == 2:
        return [padding[0], padding[1], padding[0], padding[1]]
    return [padding[0], padding[1], padding[2], padding[3]]


def center_crop_padding(crop: tuple[int, int], image: tuple[int, int]) -> list[int]:
    """[left, top, right, bottom] that makes an (h, w) image at least as large as the crop."""
    extra_h, extra_w = max(crop[0] - image[0], 0), max(crop[1] - image[1], 0)
    return [extra_w // 2, extra_h // 2, (extra_w + 1) // 2, (extra_h + 1) // 2]


def center_crop_anchor(crop: tuple[int, int], image: tuple[int, int]) -> tuple[int, int]:
    """Top and left of a centred crop (halves round to even, as Python rounds)."""
    return round((image[0] - crop[0]) / 2.0), round((image[1] - crop[1]) / 2.0)


def five_crop_boxes(size: Any, image: tuple[int, int]) -> list[tuple[int, int, int, int]]:
    """(top, left, h, w) of the four corners; the centre is a centre crop."""
    size = square(size)
    if len(size) != 2:
        raise ValueError("Please provide only two dimensions (h, w) for size.")
    h, w = size
    if w > image[1] or h > image[0]:
        raise ValueError(f"Requested crop size {size} is bigger than input size {tuple(image)}")
    bottom, right = image[0] - h, image[1] - w
    return [(0, 0, h, w), (0, right, h, w), (bottom, 0, h, w), (bottom, right, h, w)]


# ---------------------------------------------------------------- affine and perspective


def affine_arguments(
    angle: Any, translate: Any, scale: Any, shear: Any, center: Any
) -> tuple[float, list[float], list[float], list[float] | None]:
    """Check the arguments of `affine` and bring them to floats."""
    if not isinstance(angle, (int, float)):
        raise TypeError("Argument angle should be int or float")
    if not isinstance(translate, (list, tuple)):
        raise TypeError("Argument translate should be a sequence")
    if len(translate) != 2:
        raise ValueError("Argument translate should be a sequence of length 2")
    if scale <= 0.0:
        raise ValueError("Argument scale should be positive")
    if not isinstance(shear, (numbers.Number, list, tuple)):
        raise TypeError("Shear should be either a single value or a sequence of two values")
    if isinstance(shear, numbers.Number):
        shear = [shear, 0.0]
    elif len(shear) == 1:
        shear = [shear[0], shear[0]]
    if len(shear) != 2:
        raise ValueError(f"Shear should be a sequence containing two values. Got {list(shear)}")
    if center is not None and not isinstance(center, (list, tuple)):
        raise TypeError("Argument center should be a sequence")
    return (
        float(angle),
        [float(t) for t in translate],
        [float(s) for s in shear],
        None if center is None else [float(c) for c in center],
    )


def affine_matrix(
    center: Sequence[float],
    angle: float,
    translate: Sequence[float],
    scale: float,
    shear: Sequence[float],
    inverted: bool = True,
) -> list[float]:
    """The six numbers of x' = M x with M = T C (R Sh s) C^-1, or of its inverse.

    R turns by `angle` degrees, Sh shears by `shear` degrees in x then y, C moves `center` to the
    origin, T translates. Images are resampled from output to input, hence the inverse.
    """
    rot, sx, sy = math.radians(angle), math.radians(shear[0]), math.radians(shear[1])
    (cx, cy), (tx, ty) = center, translate
    a = math.cos(rot - sy) / math.cos(sy)
    b = -(a * math.tan(sx) + math.sin(rot))
    c = math.sin(rot - sy) / math.cos(sy)
    d = math.cos(rot) - c * math.tan(sx)
    if inverted:  # det(R Sh) = 1
        m = [d / scale, -b / scale, 0.0, -c / scale, a / scale, 0.0]
        m[2] = m[0] * (-cx - tx) + m[1] * (-cy - ty) + cx
        m[5] = m[3] * (-cx - tx) + m[4] * (-cy - ty) + cy
    else:
        m = [a * scale, b * scale, 0.0, c * scale, d * scale, 0.0]
        m[2] = m[0] * -cx + m[1] * -cy + cx + tx
        m[5] = m[3] * -cx + m[4] * -cy + cy + ty
    return m


def affine_output_size(matrix: Sequence[float], w: int, h: int) -> tuple[int, int]:
    """(width, height) of the box that holds a whole w x h image after an inverse-affine transform.

    In float32, cut to four decimals before rounding outwards: a corner that lies on an integer must
    not grow the image by rounding error.
    """
    half = np.array([0.5 * w, 0.5 * h], np.float32)
    corners = np.array([[-1, -1], [-1, 1], [1, 1], [1, -1]], np.float32) * half
    points = np.concatenate([corners, np.ones((4, 1), np.float32)], axis=1)
    moved = points @ np.array(matrix, np.float32).reshape(2, 3).T + half

    def cut(values: Any) -> Any:
        return np.trunc(values * np.float32(1e4)) * np.float32(1e-4)

    size = np.ceil(cut(moved.max(axis=0))) - np.floor(cut(moved.min(axis=0)))
    return int(size[0]), int(size[1])


def perspective_coefficients(startpoints: Any, endpoints: Any) -> list[float]:
    """The eight numbers of the projective map that takes `endpoints` back to `startpoints`.

    Solves, for each corner (x, y) -> (u, v), u = (ax + by + c) / (gx + hy + 1) and
    v = (dx + ey + f) / (gx + hy + 1) for a..h in float64, then rounds to float32.
    """
    if len(startpoints) != 4 or len(endpoints) != 4:
        raise ValueError(
            f"Please provide exactly four corners, got {len(startpoints)} startpoints and "
            f"{len(endpoints)} endpoints."
        )
    rows: list[list[float]] = []
    for (x, y), (u, v) in zip(endpoints, startpoints, strict=True):
        rows.append([x, y, 1, 0, 0, 0, -u * x, -u * y])
        rows.append([0, 0, 0, x, y, 1, -v * x, -v * y])
    wanted = np.array(startpoints, np.float64).reshape(8)
    solution = np.linalg.lstsq(np.array(rows, np.float64), wanted, rcond=None)[0]
    return [float(value) for value in solution.astype(np.float32)]


def inverse_perspective(coefficients: Sequence[float], what: str) -> list[float]:
    """Nine numbers (rows x, y, w; last one 1) of the inverse of a projective map."""
    a, b, c, d, e, f, g, h = coefficients
    denom = a * e - b * d
    if denom == 0:
        raise RuntimeError(
            f"Provided perspective_coeffs {list(coefficients)} can not be inverted to transform "
            f"{what}. Denominator is zero, denom={denom}"
        )
    rows = [e - f * h, c * h - b, b * f - c * e, f * g - d, a - c * g, c * d - a * f]
    rows += [d * h - e * g, b * g - a * h]
    return [value / denom for value in rows] + [1.0]


# ---------------------------------------------------------------- colour jitter, elastic


def jitter_range(
    value: Any,
    name: str,
    center: float = 1.0,
    bound: tuple[float, float] = (0, float("inf")),
    clip_first_on_zero: bool = True,
    v2: bool = False,
) -> tuple[float, float] | None:
    """The (low, high) that ColorJitter draws a factor from; None when it would change nothing."""
    if value is None and v2:
        return None
    if isinstance(value, numbers.Number):
        if value < 0:  # type: ignore[operator]
            raise ValueError(f"If {name} is a single number, it must be non negative.")
        value = [center - float(value), center + float(value)]  # type: ignore[arg-type]
        if clip_first_on_zero:
            value[0] = max(value[0], 0.0)
    elif isinstance(value, (tuple, list)) and len(value) == 2:
        value = [float(value[0]), float(value[1])]
    elif v2:
        raise TypeError(f"{name}={value} should be a single number or a sequence with length 2.")
    else:
        raise TypeError(f"{name} should be a single number or a list/tuple with length 2.")
    if not bound[0] <= value[0] <= value[1] <= bound[1]:
        order = " and increasing" if v2 else ""
        raise ValueError(f"{name} values should be between {bound}{order}, but got {value}.")
    return None if value[0] == value[1] == center else (value[0], value[1])


def odd_kernel(sigma: float) -> int:
    """The odd window that holds four standard deviations each way (ElasticTransform's blur)."""
    size = int(8 * sigma + 1)
    return size + 1 if size % 2 == 0 else size


def blur_arguments(kernel_size: Any, sigma: Any) -> tuple[list[int], list[float]]:
    """Check the arguments of `gaussian_blur`; the default sigma follows the window."""
    if not isinstance(kernel_size, (int, list, tuple)):
        raise TypeError(
            f"kernel_size should be int or a sequence of integers. Got {type(kernel_size)}"
        )
    if isinstance(kernel_size, int):
        kernel_size = [kernel_size, kernel_size]
    if len(kernel_size) != 2:
        raise ValueError(
            f"If kernel_size is a sequence its length should be 2. Got {len(kernel_size)}"
        )
    if any(k % 2 == 0 or k < 0 for k in kernel_size):
        raise ValueError(f"kernel_size should have odd and positive integers. Got {kernel_size}")
    if sigma is None:
        sigma = [k * 0.15 + 0.35 for k in kernel_size]
    if not isinstance(sigma, (int, float, list, tuple)):
        raise TypeError(f"sigma should be either float or sequence of floats. Got {type(sigma)}")
    if isinstance(sigma, (int, float)):
        sigma = [float(sigma), float(sigma)]
    elif len(sigma) == 1:
        sigma = [sigma[0], sigma[0]]
    if len(sigma) != 2:
        raise ValueError(f"If sigma is a sequence, its length should be 2. Got {len(sigma)}")
    if any(s <= 0.0 for s in sigma):
        raise ValueError(f"sigma should have positive values. Got {sigma}")
    return list(kernel_size), list(sigma)


def blur_window(kernel_size: Any) -> Any:
    """The window of GaussianBlur: two odd positive sizes."""
    size = setup_size(kernel_size, "Kernel size should be a tuple/list of two integers")
    if any(k <= 0 or k % 2 == 0 for k in size):
        raise ValueError("Kernel size value should be an odd and positive number.")
    return size


def two_floats(value: Any, name: str) -> Any:
    """One float for both axes, or a pair of floats (v1's ElasticTransform)."""
    if not isinstance(value, (float, Sequence)):
        raise TypeError(f"{name} should be float or a sequence of floats. Got {type(value)}")
    if isinstance(value, float):
        return [value, value]
    if len(value) != 2:
        raise ValueError(f"If {name} is a sequence its length should be 2. Got {len(value)}")
    for element in value:
        if not isinstance(element, float):
            raise TypeError(f"{name} should be a sequence of floats. Got {type(element)}")
    return value


def erasing_value(value: Any) -> Any:
    """RandomErasing's fill as a list of floats; None for noise."""
    if isinstance(value, str):
        return None
    return [float(v) for v in value] if isinstance(value, (list, tuple)) else [float(value)]


# ---------------------------------------------------------------- arguments of v2


def resized_size_v2(canvas_size: Any, size: Any, max_size: int | None) -> list[int]:
    """`resized_size` for v2, where `size` may be an int or None."""
    if isinstance(size, int):
        size = [size]
    elif max_size is not None and size is not None and len(size) != 1:
        raise ValueError(
            "max_size should only be passed if size is None or specifies the length of the smaller "
            "edge, i.e. size should be an int or a sequence of length 1 in torchscript mode."
        )
    return resized_size(canvas_size, size, max_size)


def pad_ltrb_v2(padding: Any) -> list[int]:
    """`pad_ltrb` with v2's checks."""
    if not isinstance(padding, (int, tuple, list)):
        raise TypeError(
            f"`padding` should be an integer or tuple or list of integers, but got {padding}"
        )
    if not isinstance(padding, int) and len(padding) not in (1, 2, 4):
        raise ValueError(
            f"Padding must be an int or a 1, 2, or 4 element tuple or list. Found {len(padding)}"
        )
    return pad_ltrb(padding)


def coefficients_v2(startpoints: Any, endpoints: Any, coefficients: Any) -> list[float]:
    """The eight projective coefficients, given or computed from the corners."""
    if coefficients is not None:
        if startpoints is not None and endpoints is not None:
            raise ValueError(
                "The startpoints/endpoints and the coefficients shouldn't be defined concurrently."
            )
        if len(coefficients) != 8:
            raise ValueError("Argument coefficients should have 8 float values")
        return list(coefficients)
    if startpoints is None or endpoints is None:
        raise ValueError(
            "Either the startpoints/endpoints or the coefficients must have non `None` values."
        )
    return perspective_coefficients(startpoints, endpoints)


def number_or_pair(value: Any, name: str) -> list[float]:
    """One number for both ends or axes, or a pair, as floats."""
    if not isinstance(value, (int, float, Sequence)):
        raise TypeError(f"{name} should be a number or a sequence of numbers. Got {type(value)}")
    if isinstance(value, (int, float)):
        return [float(value), float(value)]
    if len(value) not in (1, 2):
        raise ValueError(f"If {name} is a sequence its length should be 1 or 2. Got {len(value)}")
    for element in value:
        if not isinstance(element, (int, float)):
            raise ValueError(f"{name} should be a sequence of numbers. Got {type(element)}")
    return [float(value[0]), float(value[-1])]
