"""Colour kernels on tensors: brightness, contrast, saturation, hue, tone curves, histograms.

In: a tensor (..., C, H, W) with 1 or 3 channels (RGB), floats in [0, 1] or integers over their
range. Out: the same dtype and shape. v1 and v2 share them; `fused` picks v2's order of operations,
because a byte image is cut, not rounded, and shows a difference in the last bit of a float as a
level.
"""

from __future__ import annotations

from typing import Any

import rushlight as rl

from ._tensor import as_batch, convert_dtype, depthwise, max_value

Tensor = Any


def grey(image: Tensor, fused: bool = False) -> Tensor:
    """Luma 0.2989 R + 0.587 G + 0.114 B as floats, (..., 1, H, W)."""
    r, g, b = image.unbind(dim=-3)
    if fused:
        luma = r.mul(0.2989).add_(g, alpha=0.587).add_(b, alpha=0.114)
    else:
        luma = 0.2989 * r + 0.587 * g + 0.114 * b
    return luma.unsqueeze(dim=-3)


def rgb_to_grayscale(image: Tensor, num_output_channels: int, fused: bool = False) -> Tensor:
    """Luma in one channel, or in three equal ones."""
    if image.shape[-3] == 3:
        out = grey(image, fused).to(image.dtype)
    else:
        out = image.clone()
    if num_output_channels == 1:
        return out
    return out.expand(tuple(image.shape[:-3]) + (3,) + tuple(image.shape[-2:]))


def blend(image: Tensor, other: Tensor | float, ratio: float, fused: bool = False) -> Tensor:
    """ratio * image + (1 - ratio) * other, kept within black and white."""
    ratio = float(ratio)
    if fused:
        mixed = image.mul(ratio).add_(other, alpha=1.0 - ratio)
    else:
        mixed = ratio * image + (1.0 - ratio) * other
    return mixed.clamp(0, max_value(image.dtype)).to(image.dtype)


def adjust_brightness(image: Tensor, factor: float) -> Tensor:
    """Blend with black."""
    return image.mul(float(factor)).clamp(0, max_value(image.dtype)).to(image.dtype)


def _cut_grey(image: Tensor, fused: bool) -> Tensor:
    """The grey image as floats, cut to whole levels for integer images."""
    luma = grey(image, fused)
    return luma if image.is_floating_point() else luma.floor()


def adjust_contrast(image: Tensor, factor: float, fused: bool = False) -> Tensor:
    """Blend with the mean grey of each image."""
    if image.shape[-3] == 3:
        luma = _cut_grey(image, fused)
    else:
        luma = image if image.is_floating_point() else image.to(rl.float32)
    mean = luma.mean(dim=(-3, -2, -1), keepdim=True)
    return blend(image, mean, factor, fused)


def adjust_saturation(image: Tensor, factor: float, fused: bool = False) -> Tensor:
    """Blend with the grey image; a grey image stays as it is."""
    if image.shape[-3] == 1:
        return image
    return blend(image, _cut_grey(image, fused), factor, fused)


def adjust_hue(image: Tensor, factor: float, fused: bool = False) -> Tensor:
    """Turn the hue by `factor` of a full circle, in HSV."""
    if image.shape[-3] == 1 or image.numel() == 0:
        return image
    rgb = convert_dtype(image, rl.float32, reciprocal=fused)
    hue, saturation, value = _rgb_to_hsv(rgb, fused)
    hue = (hue + factor) % 1.0
    return convert_dtype(_hsv_to_rgb(hue, saturation, value), image.dtype, reciprocal=fused)


def _rgb_to_hsv(rgb: Tensor, fused: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Hue in turns, saturation and value, each (..., H, W) (A. R. Smith, SIGGRAPH 1978)."""
    r, g, b = rgb.unbind(dim=-3)
    high, low = rgb.amax(dim=-3), rgb.amin(dim=-3)
    chroma, flat = high - low, high == low
    ones = rl.ones_like(high)
    saturation = chroma / rl.where(flat, ones, high)
    divisor = rl.where(flat, ones, chroma)
    rc, gc, bc = (high - r) / divisor, (high - g) / divisor, (high - b) / divisor
    in_red, in_green = high == r, high == g
    sector = rl.where(in_red, bc - gc, rl.where(in_green, rc + 2.0 - bc, gc + 4.0 - rc))
    turns = sector * (1.0 / 6.0) if fused else sector / 6.0
    return (turns + 1.0).fmod(1.0), saturation, high


def _hsv_to_rgb(hue: Tensor, saturation: Tensor, value: Tensor) -> Tensor:
    """The inverse: six sectors of the colour circle."""
    six = hue * 6.0
    sector = six.floor()
    part = six - sector
    sector = sector.to(rl.int32) % 6
    p = (value * (1.0 - saturation)).clamp(0.0, 1.0)
    q = (value * (1.0 - saturation * part)).clamp(0.0, 1.0)
    t = (value * (1.0 - saturation * (1.0 - part))).clamp(0.0, 1.0)
    vpqt = rl.stack((value, p, q, t), dim=-3)
    # Which of v, p, q, t each channel takes in sectors 0 to 5.
    table = rl.tensor(
        [[0, 2, 1, 1, 3, 0], [3, 0, 0, 2, 1, 1], [1, 1, 3, 0, 0, 2]], device=hue.device
    )
    return vpqt.gather(-3, table[:, sector.to(rl.int64)].moveaxis(0, -3))


def adjust_gamma(image: Tensor, gamma: float, gain: float, reciprocal: bool = False) -> Tensor:
    """gain * image ** gamma, within [0, 1]."""
    work = image
    if not image.is_floating_point():
        work = convert_dtype(image, rl.float32, reciprocal=reciprocal)
    work = work.pow(gamma)
    if gain != 1.0 or not reciprocal:
        work = (work * gain).clamp(0, 1)
    return convert_dtype(work, image.dtype, reciprocal=reciprocal)


def adjust_sharpness(image: Tensor, factor: float, fused: bool = False) -> Tensor:
    """Blend with a 3 x 3 smoothing (centre 5, others 1, over 13); the border row is left alone."""
    if image.shape[-1] <= 2 or image.shape[-2] <= 2 or image.numel() == 0:
        return image
    exact = image.is_floating_point()
    work = as_batch(image).to(image.dtype if exact else rl.float32)
    kernel = rl.ones((3, 3), dtype=work.dtype, device=work.device)
    kernel[1, 1] = 5.0
    smooth = depthwise(work, kernel / 13.0)
    smooth = smooth if exact else smooth.round()
    inner, bound = work[..., 1:-1, 1:-1], max_value(image.dtype)
    if fused:
        work = work.clone()
        work[..., 1:-1, 1:-1] = inner.add(smooth - inner, alpha=1.0 - factor)
        return work.clamp(0, bound).to(image.dtype).reshape(image.shape)
    blurred = work.clone()
    blurred[..., 1:-1, 1:-1] = smooth
    mixed = float(factor) * work + (1.0 - float(factor)) * blurred
    return mixed.clamp(0, bound).to(image.dtype).reshape(image.shape)


def invert(image: Tensor) -> Tensor:
    """White minus the image."""
    return max_value(image.dtype) - image


def posterize(image: Tensor, bits: int) -> Tensor:
    """Keep the highest `bits` bits of a byte image."""
    return image & (256 - (1 << (8 - bits)))


def solarize(image: Tensor, threshold: float) -> Tensor:
    """Invert what is at or above the threshold."""
    return rl.where(image >= threshold, invert(image), image)


def autocontrast(image: Tensor, fused: bool = False) -> Tensor:
    """Stretch each channel to the full range; a channel of one colour stays as it is."""
    if image.numel() == 0:
        return image
    bound = max_value(image.dtype)
    work = image if image.is_floating_point() else image.to(rl.float32)
    low, high = work.amin(dim=(-2, -1), keepdim=True), work.amax(dim=(-2, -1), keepdim=True)
    flat = low == high
    low = low.masked_fill(flat, 0.0)
    if fused:
        stretched = (work - low) / ((high - low) * (1.0 / bound)).masked_fill(flat, 1.0)
    else:
        stretched = (work - low) * (bound / (high - low)).masked_fill(flat, 1.0)
    return stretched.clamp(0, bound).to(image.dtype)


def equalize(image: Tensor) -> Tensor:
    """Map each byte channel through its cumulative histogram, as Pillow does.

    With `step` = (pixels - count of the brightest level present) // 255, level v becomes
    (step // 2 + pixels darker than v) // step; step 0 leaves the channel alone.
    """
    if image.numel() == 0:
        return image
    flat = image.flatten(start_dim=-2).to(rl.int64)
    lead = tuple(flat.shape[:-1])
    counts = rl.zeros(lead + (256,), dtype=rl.int64, device=image.device)
    counts = counts.scatter_add(-1, flat, rl.ones_like(flat))
    total = counts.cumsum(dim=-1)
    brightest = flat.amax(dim=-1, keepdim=True)
    step = (flat.shape[-1] - counts.gather(-1, brightest)).div(255, rounding_mode="floor")
    darker = total - counts
    table = (darker + step.div(2, rounding_mode="floor")).div(
        step.clamp(min=1), rounding_mode="floor"
    )
    table = table.clamp(0, 255)
    mapped = table.gather(-1, flat).to(image.dtype)
    return rl.where(step == 0, flat.to(image.dtype), mapped).reshape(image.shape)
