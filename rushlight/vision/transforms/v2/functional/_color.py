"""torchvision.transforms.v2.functional, colour: tones, hue, histograms, channels.

In: an image (tensor, `Image`, Pillow) or `Video` of 1 or 3 channels; masks, boxes and points have
no kernel here, so transforms pass them through. Out: the same kind. The kernels are v1's
(`_colour.py`, `_pil.py`) in v2's order of operations.
"""

from __future__ import annotations

from typing import Any

import rushlight as rl

from ... import _colour as C
from ... import _pil
from ... import _tensor as T
from ... import functional as v1
from ._utils import dispatch, register

Tensor = Any


def _check(image: Tensor, factor: float = 0.0, name: str = "") -> None:
    if factor < 0:
        raise ValueError(f"{name} ({factor}) is not non-negative.")
    channels = image.shape[-3]
    if channels not in (1, 3):
        raise TypeError(
            f"Input image tensor permitted channel values are 1 or 3, but found {channels}"
        )


def rgb_to_grayscale(inpt: Any, num_output_channels: int = 1) -> Any:
    """The grey version, in 1 or 3 equal channels."""
    return dispatch(rgb_to_grayscale, inpt, num_output_channels=num_output_channels)


def _check_output_channels(num_output_channels: int) -> None:
    if num_output_channels not in (1, 3):
        raise ValueError(f"num_output_channels must be 1 or 3, got {num_output_channels}.")


def rgb_to_grayscale_image(image: Tensor, num_output_channels: int = 1) -> Tensor:
    """The grey version of a tensor."""
    _check_output_channels(num_output_channels)
    return C.rgb_to_grayscale(image, num_output_channels, fused=True)


def _rgb_to_grayscale_pil(image: Any, num_output_channels: int = 1) -> Any:
    _check_output_channels(num_output_channels)
    return _pil.to_grayscale(image, num_output_channels)


register(rgb_to_grayscale, image=rgb_to_grayscale_image, pil=_rgb_to_grayscale_pil, video=False)
to_grayscale = rgb_to_grayscale


def grayscale_to_rgb(inpt: Any) -> Any:
    """Three equal channels from one; other images stay as they are."""
    return dispatch(grayscale_to_rgb, inpt)


def grayscale_to_rgb_image(image: Tensor) -> Tensor:
    """Three equal channels from one."""
    return image if image.shape[-3] >= 3 else C.rgb_to_grayscale(image, 3)


def _grayscale_to_rgb_pil(image: Any) -> Any:
    return image.convert(mode="RGB")


register(grayscale_to_rgb, image=grayscale_to_rgb_image, pil=_grayscale_to_rgb_pil, video=False)


def adjust_brightness(inpt: Any, brightness_factor: float) -> Any:
    """Multiply by a factor >= 0."""
    return dispatch(adjust_brightness, inpt, brightness_factor=brightness_factor)


def adjust_brightness_image(image: Tensor, brightness_factor: float) -> Tensor:
    """Multiply a tensor by a factor >= 0."""
    _check(image, brightness_factor, "brightness_factor")
    return C.adjust_brightness(image, brightness_factor)


register(adjust_brightness, image=adjust_brightness_image, pil=_pil.adjust_brightness)


def adjust_saturation(inpt: Any, saturation_factor: float) -> Any:
    """Blend with the grey image."""
    return dispatch(adjust_saturation, inpt, saturation_factor=saturation_factor)


def adjust_saturation_image(image: Tensor, saturation_factor: float) -> Tensor:
    """Blend a tensor with its grey version."""
    _check(image, saturation_factor, "saturation_factor")
    return C.adjust_saturation(image, saturation_factor, fused=True)


register(adjust_saturation, image=adjust_saturation_image, pil=_pil.adjust_saturation)


def adjust_contrast(inpt: Any, contrast_factor: float) -> Any:
    """Blend with the mean grey."""
    return dispatch(adjust_contrast, inpt, contrast_factor=contrast_factor)


def adjust_contrast_image(image: Tensor, contrast_factor: float) -> Tensor:
    """Blend a tensor with its mean grey."""
    _check(image, contrast_factor, "contrast_factor")
    return C.adjust_contrast(image, contrast_factor, fused=True)


register(adjust_contrast, image=adjust_contrast_image, pil=_pil.adjust_contrast)


def adjust_sharpness(inpt: Any, sharpness_factor: float) -> Any:
    """Blend with a smoothed image: 0 is smooth, 1 the image itself."""
    return dispatch(adjust_sharpness, inpt, sharpness_factor=sharpness_factor)


def adjust_sharpness_image(image: Tensor, sharpness_factor: float) -> Tensor:
    """Blend a tensor with its smoothed version."""
    channels = image.shape[-3]
    if channels not in (1, 3):
        raise TypeError(f"Input image tensor can have 1 or 3 channels, but found {channels}")
    _check(image, sharpness_factor, "sharpness_factor")
    return C.adjust_sharpness(image, sharpness_factor, fused=True)


register(adjust_sharpness, image=adjust_sharpness_image, pil=_pil.adjust_sharpness)


def adjust_hue(inpt: Any, hue_factor: float) -> Any:
    """Turn the hue by `hue_factor` in [-0.5, 0.5] of the colour circle."""
    return dispatch(adjust_hue, inpt, hue_factor=hue_factor)


def adjust_hue_image(image: Tensor, hue_factor: float) -> Tensor:
    """Turn the hue of a tensor."""
    if not -0.5 <= hue_factor <= 0.5:
        raise ValueError(f"hue_factor ({hue_factor}) is not in [-0.5, 0.5].")
    _check(image)
    return C.adjust_hue(image, hue_factor, fused=True)


register(adjust_hue, image=adjust_hue_image, pil=_pil.adjust_hue)


def adjust_gamma(inpt: Any, gamma: float, gain: float = 1) -> Any:
    """gain * image ** gamma, for `gamma` >= 0."""
    return dispatch(adjust_gamma, inpt, gamma=gamma, gain=gain)


def adjust_gamma_image(image: Tensor, gamma: float, gain: float = 1.0) -> Tensor:
    """gain * image ** gamma of a tensor."""
    if gamma < 0:
        raise ValueError("Gamma should be a non-negative real number")
    return C.adjust_gamma(image, gamma, gain, reciprocal=True)


register(adjust_gamma, image=adjust_gamma_image, pil=_pil.adjust_gamma)


def posterize(inpt: Any, bits: int) -> Any:
    """Keep the highest `bits` (0 to 8) bits of each channel."""
    return dispatch(posterize, inpt, bits=bits)


def posterize_image(image: Tensor, bits: int) -> Tensor:
    """Keep the highest bits of a tensor; floats keep 2 ** bits levels."""
    if not isinstance(bits, int) or not 0 <= bits <= 8:
        raise TypeError(f"bits must be a positive integer in the range [0, 8], got {bits} instead.")
    if image.is_floating_point():
        levels = 1 << bits
        return image.mul(levels).floor_().clamp_(0, levels - 1).mul_(1.0 / levels)
    value_bits = T.value_bits(image.dtype)
    if bits >= value_bits:
        return image
    return image & (((1 << bits) - 1) << (value_bits - bits))


register(posterize, image=posterize_image, pil=_pil.posterize)


def solarize(inpt: Any, threshold: float) -> Any:
    """Invert what is at or above the threshold."""
    return dispatch(solarize, inpt, threshold=threshold)


def solarize_image(image: Tensor, threshold: float) -> Tensor:
    """Invert what is at or above the threshold of a tensor."""
    if threshold > T.max_value(image.dtype):
        raise TypeError(
            f"Threshold should be less or equal the maximum value of the dtype, but got {threshold}"
        )
    return rl.where(image >= threshold, invert_image(image), image)


register(solarize, image=solarize_image, pil=_pil.solarize)


def autocontrast(inpt: Any) -> Any:
    """Stretch each channel to the full range."""
    return dispatch(autocontrast, inpt)


def autocontrast_image(image: Tensor) -> Tensor:
    """Stretch each channel of a tensor to the full range."""
    _check(image)
    return C.autocontrast(image, fused=True)


register(autocontrast, image=autocontrast_image, pil=_pil.autocontrast)


def equalize(inpt: Any) -> Any:
    """Flatten the histogram of each channel."""
    return dispatch(equalize, inpt)


def equalize_image(image: Tensor) -> Tensor:
    """Flatten the histogram of each channel of a tensor, in 256 levels."""
    levels = T.convert_dtype(image, rl.uint8, reciprocal=True)
    return T.convert_dtype(C.equalize(levels), image.dtype, reciprocal=True)


register(equalize, image=equalize_image, pil=_pil.equalize)


def invert(inpt: Any) -> Any:
    """The negative image."""
    return dispatch(invert, inpt)


def invert_image(image: Tensor) -> Tensor:
    """The negative of a tensor."""
    if not image.is_floating_point():
        T.value_bits(image.dtype)  # raises for bool
    return C.invert(image)


register(invert, image=invert_image, pil=_pil.invert)


def permute_channels(inpt: Any, permutation: Any) -> Any:
    """Reorder the channels: channel i of the result is channel `permutation[i]`."""
    return dispatch(permute_channels, inpt, permutation=permutation)


def permute_channels_image(image: Tensor, permutation: Any) -> Tensor:
    """Reorder the channels of a tensor."""
    channels = image.shape[-3]
    if len(permutation) != channels:
        raise ValueError(
            "Length of permutation does not match number of channels: "
            f"{len(permutation)} != {channels}"
        )
    return image if image.numel() == 0 else image[..., permutation, :, :]


def _permute_channels_pil(image: Any, permutation: Any) -> Any:
    return v1.to_pil_image(permute_channels_image(v1.pil_to_tensor(image), permutation))


register(permute_channels, image=permute_channels_image, pil=_permute_channels_pil)

adjust_brightness_video, adjust_contrast_video = adjust_brightness_image, adjust_contrast_image
adjust_gamma_video, adjust_hue_video = adjust_gamma_image, adjust_hue_image
adjust_saturation_video = adjust_saturation_image
adjust_sharpness_video = adjust_sharpness_image
autocontrast_video, equalize_video, invert_video = autocontrast_image, equalize_image, invert_image
permute_channels_video, posterize_video = permute_channels_image, posterize_image
solarize_video = solarize_image
