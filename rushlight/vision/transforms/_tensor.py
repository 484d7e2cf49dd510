"""Image kernels on tensors: geometry, borders, blur, normalisation and dtype conversion.

In: a tensor (..., C, H, W) and checked numbers; the geometric kernels take (H, W) too. Out: a
tensor of the same dtype and leading shape. v1 and v2 share them. Coordinates: pixel centres lie at
half integers, grids for `grid_sample` run from -1 to 1 over the image's edges
(align_corners=False).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import rushlight as rl

from . import _params as P
from ._params import InterpolationMode

Tensor = Any

_VALUE_BITS = {
    rl.uint8: 8,
    rl.int8: 7,
    rl.int16: 15,
    rl.uint16: 16,
    rl.int32: 31,
    rl.int64: 63,
}


def max_value(dtype: Any) -> int:
    """The value of white: the largest integer of an integer dtype, 1 for floats (and bool)."""
    bits = _VALUE_BITS.get(dtype)
    return 1 if bits is None else (1 << bits) - 1


def value_bits(dtype: Any) -> int:
    """How many bits of an integer dtype hold the value."""
    if dtype not in _VALUE_BITS:
        raise TypeError(
            f"Number of value bits is only defined for integer dtypes, but got {dtype}."
        )
    return _VALUE_BITS[dtype]


def check(img: Tensor) -> None:
    """Raise torchvision's TypeError for a tensor that cannot be an image."""
    if img.ndim < 2:
        raise TypeError("Tensor is not a torch image.")


def get_dimensions(img: Tensor) -> list[int]:
    """[channels, height, width] of (..., C, H, W) or (H, W)."""
    check(img)
    shape = img.shape
    return [1 if len(shape) == 2 else shape[-3], shape[-2], shape[-1]]


def check_channels(img: Tensor, permitted: list[int]) -> None:
    """Raise unless the image has one of these channel counts."""
    channels = get_dimensions(img)[0]
    if channels not in permitted:
        raise TypeError(
            f"Input image tensor permitted channel values are {permitted}, but found {channels}"
        )


def as_batch(image: Tensor) -> Tensor:
    """(..., C, H, W) or (H, W) as (N, C, H, W)."""
    shape = image.shape
    if len(shape) == 4:
        return image
    channels = 1 if len(shape) == 2 else shape[-3]
    return image.reshape(math.prod(shape[:-3]), channels, shape[-2], shape[-1])


# ---------------------------------------------------------------- dtype and values


def convert_dtype(image: Tensor, dtype: Any, reciprocal: bool = False) -> Tensor:
    """Convert between dtypes so that white stays white.

    Floats run from 0 to 1, integers over their whole non-negative range. `reciprocal` multiplies by
    1/max (v2) where v1 divides by max: the two differ in the last bit.

    Raises:
        RuntimeError: float32 to int32 or int64, float64 to int64: white is not representable.
    """
    source = image.dtype
    if source == dtype:
        return image
    if source.is_floating_point:
        if dtype.is_floating_point:
            return image.to(dtype)
        wide = (rl.int32, rl.int64) if source == rl.float32 else (rl.int64,)
        if source in (rl.float32, rl.float64) and dtype in wide:
            what = "conversion" if reciprocal else "cast"
            raise RuntimeError(f"The {what} from {source} to {dtype} cannot be performed safely.")
        # Equal bins for every integer, the topmost closed: x * (max + 1 - eps), cut.
        return image.mul(max_value(dtype) + 1.0 - 1e-3).to(dtype)
    white = max_value(source)
    if dtype.is_floating_point:
        return image.to(dtype).mul_(1.0 / white) if reciprocal else image.to(dtype).div_(white)
    if reciprocal:
        value_bits(source), value_bits(dtype)
    factor = (max_value(dtype) + 1) / (white + 1)  # a power of two, exact
    wide = image.to(rl.int64)  # uint16 has no arithmetic of its own
    if factor < 1:
        return wide.div(round(1 / factor), rounding_mode="floor").to(dtype)
    return (wide * round(factor)).to(dtype)


_STATS: dict[Any, Any] = {}
_MOST_STATS = 64


def _stat(values: Any, dtype: Any, device: Any) -> Tensor:
    """A per-channel constant as (C, 1, 1), remembered: Normalize is called once a sample."""
    if not isinstance(values, (list, tuple)):
        return _per_channel(values, dtype, device)
    key = (tuple(values), dtype, device)
    try:
        found = _STATS.get(key)
    except TypeError:  # a list of tensors or arrays
        return _per_channel(values, dtype, device)
    if found is None:
        with rl.inference_mode(False), rl.no_grad():
            found = _per_channel(values, dtype, device)
        if len(_STATS) < _MOST_STATS:
            _STATS[key] = found
    return found


def _per_channel(values: Any, dtype: Any, device: Any) -> Tensor:
    made = rl.as_tensor(values, dtype=dtype, device=device)
    return made.view(-1, 1, 1) if made.ndim == 1 else made


def std_has_zero(std: Any, dtype: Any, device: Any) -> bool:
    """Would `normalize` divide by zero in this dtype?"""
    if isinstance(std, (list, tuple)) and dtype in (rl.float32, rl.float64):
        # float32 rounds to zero what is below half its smallest subnormal number, 2**-149.
        tiny = 2.0**-150 if dtype == rl.float32 else 0.0
        return any(-tiny <= s <= tiny for s in std)
    return bool((_stat(std, dtype, device) == 0).any())


def normalize(image: Tensor, mean: Any, std: Any, inplace: bool = False) -> Tensor:
    """(image - mean) / std per channel."""
    dtype, device = image.dtype, image.device
    mean, std = _stat(mean, dtype, device), _stat(std, dtype, device)
    return (image.sub_(mean) if inplace else image.sub(mean)).div_(std)


def erase(image: Tensor, i: int, j: int, h: int, w: int, v: Tensor, inplace: bool) -> Tensor:
    """Overwrite the box at row i, column j with `v`."""
    if not inplace:
        image = image.clone()
    image[..., i : i + h, j : j + w] = v
    return image


# ---------------------------------------------------------------- borders and boxes


def pad(image: Tensor, ltrb: Sequence[int], fill: float, mode: str) -> Tensor:
    """Add [left, top, right, bottom] pixels; negative numbers crop."""
    left, top, right, bottom = ltrb
    if mode == "symmetric":
        return _pad_symmetric(image, ltrb)
    batch = as_batch(image)
    widths = [left, right, top, bottom]
    if mode == "constant":
        batch = rl.nn.functional.pad(batch, widths, mode="constant", value=float(fill))
    else:
        exact = batch.is_floating_point()
        batch = batch if exact else batch.to(rl.float32)
        name = "replicate" if mode == "edge" else mode
        batch = rl.nn.functional.pad(batch, widths, mode=name).to(image.dtype)
    return batch.reshape(tuple(image.shape[:-2]) + tuple(batch.shape[-2:]))


def _pad_symmetric(image: Tensor, ltrb: Sequence[int]) -> Tensor:
    """Mirror at the edges, the edge pixel included (which `nn.functional.pad` does not offer)."""
    if min(ltrb) < 0:
        left, top, right, bottom = (max(-p, 0) for p in ltrb)
        h, w = image.shape[-2:]
        image = image[..., top : h - bottom, left : w - right]
    left, top, right, bottom = (max(p, 0) for p in ltrb)
    h, w = image.shape[-2:]

    def mirrored(before: int, size: int, after: int) -> Tensor:
        order = list(range(before - 1, -1, -1)) + list(range(size))
        order += [-(i + 1) for i in range(after)]
        return rl.tensor(order, device=image.device)

    rows, columns = mirrored(top, h, bottom), mirrored(left, w, right)
    return image[..., rows[:, None], columns[None, :]]


def pad_colour(image: Tensor, ltrb: Sequence[int], fill: Sequence[float]) -> Tensor:
    """A constant border with one value a channel."""
    left, top, right, bottom = ltrb
    out = pad(image, ltrb, 0, "constant")
    colour = rl.tensor(fill, device=image.device).to(dtype=image.dtype).reshape(-1, 1, 1)
    if top > 0:
        out[..., :top, :] = colour
    if left > 0:
        out[..., :, :left] = colour
    if bottom > 0:
        out[..., -bottom:, :] = colour
    if right > 0:
        out[..., :, -right:] = colour
    return out


def crop(image: Tensor, top: int, left: int, height: int, width: int) -> Tensor:
    """Cut a box: a view when it lies inside; what lies outside the image is 0."""
    h, w = image.shape[-2:]
    bottom, right = top + height, left + width
    if top >= 0 and left >= 0 and bottom <= h and right <= w:
        return image[..., top:bottom, left:right]
    inside = image[..., max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    before = [max(min(right, 0) - left, 0), max(min(bottom, 0) - top, 0)]
    after = [max(right - max(w, left), 0), max(bottom - max(h, top), 0)]
    return pad(inside, before + after, 0, "constant")


def center_crop(image: Tensor, height: int, width: int) -> Tensor:
    """Cut the middle; an image that is too small gets a border of 0 first."""
    if image.numel() == 0:
        return image.reshape(tuple(image.shape[:-2]) + (height, width))
    size = (image.shape[-2], image.shape[-1])
    if height > size[0] or width > size[1]:
        image = pad(image, P.center_crop_padding((height, width), size), 0, "constant")
        size = (image.shape[-2], image.shape[-1])
        if size == (height, width):
            return image
    top, left = P.center_crop_anchor((height, width), size)
    return image[..., top : top + height, left : left + width]


# ---------------------------------------------------------------- resampling


def resize(
    image: Tensor,
    size: Sequence[int],
    interpolation: InterpolationMode,
    antialias: bool,
    native_uint8: bool = False,
) -> Tensor:
    """Resample to `size` (h, w).

    `native_uint8` (v2) hands bytes to `interpolate` as they are, which works in fixed point as
    Pillow does; otherwise (v1) they go through float32 and are rounded. The two differ by at most
    one level.
    """
    smooth = interpolation in (
        InterpolationMode.BILINEAR,
        InterpolationMode.BICUBIC,
        InterpolationMode.LANCZOS,
    )
    batch = as_batch(image)
    exact = (rl.float32, rl.float64) + ((rl.uint8,) if native_uint8 else ())
    cast = image.dtype not in exact
    batch = rl.nn.functional.interpolate(
        batch.to(rl.float32) if cast else batch,
        size=list(size),
        mode=interpolation.value,
        align_corners=False if smooth else None,
        antialias=bool(antialias) and smooth,
    )
    if cast:
        if image.dtype == rl.uint8 and interpolation is not InterpolationMode.BILINEAR:
            batch = batch.clamp(min=0, max=255)
        if not image.is_floating_point():
            batch = batch.round()
        batch = batch.to(image.dtype)
    return batch.reshape(tuple(image.shape[:-2]) + tuple(batch.shape[-2:]))


def check_grid(
    image: Tensor, interpolation: InterpolationMode, fill: Any, coefficients: Any = None
) -> None:
    """Check what the `grid_sample` kernels take."""
    if coefficients is not None and len(coefficients) != 8:
        raise ValueError("Argument coeffs should have 8 float values")
    if isinstance(fill, (tuple, list)):
        channels = get_dimensions(image)[0]
        if len(fill) > 1 and len(fill) != channels:
            raise ValueError(
                "The number of elements in 'fill' cannot broadcast to match the number of "
                f"channels of the image ({len(fill)} != {channels})"
            )
    elif fill is not None and not isinstance(fill, (int, float)):
        raise ValueError("Argument fill should be either int, float, tuple or list")
    if interpolation.value not in ("nearest", "bilinear"):
        raise ValueError(
            f"Interpolation mode '{interpolation.value}' is unsupported with Tensor input"
        )


def _grid_dtype(image: Tensor) -> Any:
    return image.dtype if image.is_floating_point() else rl.float32


def _homogeneous(x: Tensor, y: Tensor, dtype: Any) -> Tensor:
    """All (x, y, 1) of a grid as (1, len(y) * len(x), 3)."""
    grid = rl.empty(1, len(y), len(x), 3, dtype=dtype, device=x.device)
    grid[..., 0] = x
    grid[..., 1] = y[:, None]
    grid[..., 2] = 1
    return grid.view(1, -1, 3)


def _centres(n: int, image: Tensor, start: float) -> Tensor:
    """n pixel centres, one apart."""
    return rl.linspace(start, start + n - 1.0, n, device=image.device)


def affine(
    image: Tensor,
    matrix: Sequence[float],
    interpolation: InterpolationMode,
    fill: Any,
    size: tuple[int, int] | None = None,
) -> Tensor:
    """Resample through an inverse affine matrix whose origin is the image's middle.

    Output `size` is (w, h), the image's own by default.
    """
    check_grid(image, interpolation, fill)
    h, w = image.shape[-2:]
    ow, oh = size or (w, h)
    dtype, device = _grid_dtype(image), image.device
    half = rl.tensor([0.5 * w, 0.5 * h], dtype=dtype, device=device)
    theta = rl.tensor(matrix, dtype=dtype, device=device).reshape(1, 2, 3).transpose(1, 2) / half
    x, y = _centres(ow, image, (1.0 - ow) * 0.5), _centres(oh, image, (1.0 - oh) * 0.5)
    grid = _homogeneous(x, y, dtype).bmm(theta).view(1, oh, ow, 2)
    return sample(image, grid, interpolation, fill)


def rotate(
    image: Tensor,
    angle: float,
    interpolation: InterpolationMode,
    expand: bool,
    center: Any,
    fill: Any,
) -> Tensor:
    """Turn counter-clockwise by `angle` degrees around `center` (x, y), the middle by default."""
    h, w = image.shape[-2:]
    offset = [0.0, 0.0] if center is None else [center[0] - w * 0.5, center[1] - h * 0.5]
    matrix = P.affine_matrix(offset, -angle, [0.0, 0.0], 1.0, [0.0, 0.0])
    size = P.affine_output_size(matrix, w, h) if expand else None
    return affine(image, matrix, interpolation, fill, size)


def perspective(
    image: Tensor, coefficients: Sequence[float], interpolation: InterpolationMode, fill: Any
) -> Tensor:
    """Resample through eight projective coefficients in pixels."""
    check_grid(image, interpolation, fill, coefficients)
    a, b, c, d, e, f, g, h = coefficients
    oh, ow = image.shape[-2:]
    dtype, device = _grid_dtype(image), image.device
    half = rl.tensor([0.5 * ow, 0.5 * oh], dtype=dtype, device=device)
    over = rl.tensor([[[a, b, c], [d, e, f]]], dtype=dtype, device=device).transpose(1, 2) / half
    under = rl.tensor([[[g, h, 1.0], [g, h, 1.0]]], dtype=dtype, device=device).transpose(1, 2)
    points = _homogeneous(_centres(ow, image, 0.5), _centres(oh, image, 0.5), dtype)
    grid = points.bmm(over) / points.bmm(under) - 1.0
    return sample(image, grid.view(1, oh, ow, 2), interpolation, fill)


def identity_grid(height: int, width: int, dtype: Any, device: Any) -> Tensor:
    """Every pixel's own place as (1, H, W, 2)."""
    x = rl.linspace((1 - width) / width, (width - 1) / width, width, dtype=dtype, device=device)
    y = rl.linspace(
        (1 - height) / height, (height - 1) / height, height, dtype=dtype, device=device
    )
    return rl.stack([x.expand(height, width), y[:, None].expand(height, width)], -1).unsqueeze(0)


def check_displacement(displacement: Any, height: int, width: int) -> None:
    """A displacement field is (1, H, W, 2)."""
    if not isinstance(displacement, rl.Tensor):
        raise TypeError("Argument displacement should be a Tensor")
    wanted = (1, height, width, 2)
    if tuple(displacement.shape) != wanted:
        raise ValueError(
            f"Argument displacement shape should be {wanted}, but given {displacement.shape}"
        )


def elastic(
    image: Tensor, displacement: Tensor, interpolation: InterpolationMode, fill: Any
) -> Tensor:
    """Take each pixel from where the displacement field points."""
    h, w = image.shape[-2:]
    check_displacement(displacement, h, w)
    dtype, device = _grid_dtype(image), image.device
    if dtype == rl.float16 and device.type == "cpu":
        return elastic(image.to(rl.float32), displacement, interpolation, fill).to(rl.float16)
    grid = identity_grid(h, w, dtype, device) + displacement.to(dtype=dtype, device=device)
    return sample(image, grid, interpolation, fill)


def sample(image: Tensor, grid: Tensor, interpolation: InterpolationMode, fill: Any) -> Tensor:
    """`grid_sample` for any dtype; where the grid leaves the image, `fill` (0 if None)."""
    size = tuple(grid.shape[1:3])
    out_shape = tuple(image.shape[:-2]) + size
    if image.numel() == 0:
        return image.reshape(out_shape)
    work = as_batch(image).to(grid.dtype)
    count, _, h, w = work.shape
    if count > 1:
        grid = grid.expand(count, *size, 2)
    if fill is not None:  # a channel of ones tells how much of each result is image
        ones = rl.ones((count, 1, h, w), dtype=work.dtype, device=work.device)
        work = rl.cat((work, ones), dim=1)
    mode = interpolation.value
    work = rl.nn.functional.grid_sample(
        work, grid, mode=mode, padding_mode="zeros", align_corners=False
    )
    if fill is not None:
        work, mask = work[:, :-1], work[:, -1:]
        values = list(fill) if isinstance(fill, (tuple, list)) else [float(fill)]
        colour = rl.tensor(values, dtype=work.dtype, device=work.device).view(1, -1, 1, 1)
        if mode == "nearest":
            work = rl.where(mask < 0.5, colour, work)
        else:
            work = work * mask + (1.0 - mask) * colour
    if not image.is_floating_point():
        work = work.round()
    return work.to(image.dtype).reshape(out_shape)


# ---------------------------------------------------------------- filters


def _gaussian(size: int, sigma: float, dtype: Any, device: Any) -> Tensor:
    half = (size - 1) * 0.5
    x = rl.linspace(-half, half, size, dtype=dtype, device=device)
    weights = rl.exp(-0.5 * (x / sigma).pow(2))
    return weights / weights.sum()


def depthwise(image: Tensor, kernel: Tensor) -> Tensor:
    """Filter every channel of (N, C, H, W) floats with one (kh, kw) kernel, without padding."""
    channels = image.shape[-3]
    weight = kernel.expand(channels, 1, *kernel.shape)
    return rl.nn.functional.conv2d(image, weight, groups=channels)


def gaussian_blur(image: Tensor, kernel_size: Sequence[int], sigma: Sequence[float]) -> Tensor:
    """Convolve with a Gaussian window of (x, y) sizes and deviations; borders reflect."""
    if image.numel() == 0:
        return image
    dtype = _grid_dtype(image)
    kx, ky = kernel_size
    horizontal = _gaussian(kx, sigma[0], dtype, image.device)
    kernel = _gaussian(ky, sigma[1], dtype, image.device)[:, None] * horizontal
    batch = as_batch(image).to(dtype)
    border = [kx // 2, kx // 2, ky // 2, ky // 2]
    batch = depthwise(rl.nn.functional.pad(batch, border, mode="reflect"), kernel)
    if not image.is_floating_point():
        batch = batch.round().to(image.dtype)
    return batch.reshape(image.shape)
