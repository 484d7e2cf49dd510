"""The random transforms of torchvision.transforms, version 1.

In: a Pillow image or a tensor (..., C, H, W). Out: the changed image. Parameters, `repr` and draws
are torchvision 0.28's: `_draws.py` draws, `functional.py` does the pixels.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from numbers import Number
from typing import Any

import rushlight as rl
from rushlight.nn import Module

from . import _draws as D
from . import _params as P
from . import functional as F
from ._params import InterpolationMode, mode_from_int, setup_size

SIZE_ERROR = "Please provide only two dimensions (h, w) for size."


def listing(name: str, transforms: Any, head: str = "", tail: str = "") -> str:
    """`name(`, one indented transform a line, `)`."""
    return f"{name}({head}" + "".join(f"\n    {t}" for t in transforms) + f"\n){tail}"


def fields(transform: Any, *names: str) -> str:
    """`Class(name=value, ...)`."""
    listed = ", ".join(f"{name}={getattr(transform, name)}" for name in names)
    return f"{type(transform).__name__}({listed})"


def as_mode(interpolation: Any) -> Any:
    return mode_from_int(interpolation) if isinstance(interpolation, int) else interpolation


def _check_fill(fill: Any) -> Any:
    if fill is None:
        return 0
    if not isinstance(fill, (Sequence, Number)):
        raise TypeError("Fill should be either a sequence or a number.")
    return fill


def fill_for(img: Any, fill: Any) -> Any:
    """Tensors take one float a channel; Pillow takes the fill as it is."""
    if not isinstance(img, rl.Tensor):
        return fill
    if isinstance(fill, (int, float)):
        return [float(fill)] * F.get_dimensions(img)[0]
    return None if fill is None else [float(f) for f in fill]


class RandomTransforms:
    """What RandomOrder and RandomChoice share."""

    def __init__(self, transforms: Any) -> None:
        if not isinstance(transforms, Sequence):
            raise TypeError("Argument transforms should be a sequence")
        self.transforms = transforms

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    def __repr__(self) -> str:
        return listing(type(self).__name__, self.transforms)


class RandomApply(Module):
    """Apply all of the transforms, with probability p, or none."""

    def __init__(self, transforms: Any, p: float = 0.5) -> None:
        super().__init__()
        self.transforms = transforms
        self.p = p

    def forward(self, img: Any) -> Any:
        if self.p < rl.rand(1):
            return img
        for t in self.transforms:
            img = t(img)
        return img

    def __repr__(self) -> str:
        return listing(type(self).__name__, self.transforms, head=f"\n    p={self.p}")


class RandomOrder(RandomTransforms):
    """Apply the transforms in an order drawn from Python's `random`."""

    def __call__(self, img: Any) -> Any:
        order = list(range(len(self.transforms)))
        random.shuffle(order)
        for i in order:
            img = self.transforms[i](img)
        return img


class RandomChoice(RandomTransforms):
    """Apply one transform, drawn from Python's `random` with weights `p`."""

    def __init__(self, transforms: Any, p: Any = None) -> None:
        super().__init__(transforms)
        if p is not None and not isinstance(p, Sequence):
            raise TypeError("Argument p should be a sequence")
        self.p = p

    def __call__(self, *args: Any) -> Any:
        return random.choices(self.transforms, weights=self.p)[0](*args)

    def __repr__(self) -> str:
        return f"{super().__repr__()}(p={self.p})"


class RandomCrop(Module):
    """Cut a box of `size` at a random place.

    Args:
        size: int or (h, w).
        padding: border to add first: one int, (x, y) or (left, top, right, bottom).
        pad_if_needed: pad an image that is smaller than `size`.
        fill, padding_mode: as in `Pad`.

    Raises:
        ValueError: the image is smaller than `size`.

    Example:
        >>> import rushlight as rl
        >>> from rushlight.vision.transforms import RandomCrop
        >>> RandomCrop(32, padding=4)(rl.zeros(3, 32, 32)).shape
        torch.Size([3, 32, 32])
    """

    def __init__(
        self,
        size: Any,
        padding: Any = None,
        pad_if_needed: bool = False,
        fill: Any = 0,
        padding_mode: str = "constant",
    ) -> None:
        super().__init__()
        self.size = tuple(setup_size(size, SIZE_ERROR))
        self.padding = padding
        self.pad_if_needed = pad_if_needed
        self.fill = fill
        self.padding_mode = padding_mode

    @staticmethod
    def get_params(img: Any, output_size: Any) -> tuple[int, int, int, int]:
        """(top, left, h, w) of a random box."""
        _, h, w = F.get_dimensions(img)
        th, tw = output_size
        if h < th or w < tw:
            raise ValueError(
                f"Required crop size {(th, tw)} is larger than input image size {(h, w)}"
            )
        if (h, w) == (th, tw):
            return 0, 0, h, w
        return D.integer(0, h - th + 1), D.integer(0, w - tw + 1), th, tw

    def forward(self, img: Any) -> Any:
        if self.padding is not None:
            img = F.pad(img, self.padding, self.fill, self.padding_mode)
        if self.pad_if_needed:
            _, height, width = F.get_dimensions(img)
            short_x, short_y = self.size[1] - width, self.size[0] - height
            if short_x > 0:
                img = F.pad(img, [short_x, 0], self.fill, self.padding_mode)
            if short_y > 0:
                img = F.pad(img, [0, short_y], self.fill, self.padding_mode)
        return F.crop(img, *self.get_params(img, self.size))

    def __repr__(self) -> str:
        return fields(self, "size", "padding")


class _WithProbability(Module):
    """Apply `change` with probability p, which is drawn every time."""

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self.p = p

    def forward(self, img: Any) -> Any:
        return self.change(img) if D.coin(self.p) else img

    def change(self, img: Any) -> Any:
        raise NotImplementedError

    def __repr__(self) -> str:
        return fields(self, "p")


class RandomHorizontalFlip(_WithProbability):
    """Mirror left and right with probability p.

    Example:
        >>> import rushlight as rl
        >>> from rushlight.vision.transforms import RandomHorizontalFlip
        >>> RandomHorizontalFlip(p=1.0)(rl.arange(3.0).view(1, 1, 3))
        tensor([[[2., 1., 0.]]])
    """

    def change(self, img: Any) -> Any:
        return F.hflip(img)


class RandomVerticalFlip(_WithProbability):
    """Mirror top and bottom with probability p."""

    def change(self, img: Any) -> Any:
        return F.vflip(img)


class RandomInvert(_WithProbability):
    """Take the negative with probability p."""

    def change(self, img: Any) -> Any:
        return F.invert(img)


class RandomAutocontrast(_WithProbability):
    """Stretch every channel to the full range with probability p."""

    def change(self, img: Any) -> Any:
        return F.autocontrast(img)


class RandomEqualize(_WithProbability):
    """Flatten the histogram with probability p."""

    def change(self, img: Any) -> Any:
        return F.equalize(img)


class RandomPosterize(_WithProbability):
    """Keep the highest `bits` bits with probability p."""

    def __init__(self, bits: int, p: float = 0.5) -> None:
        super().__init__(p)
        self.bits = bits

    def change(self, img: Any) -> Any:
        return F.posterize(img, self.bits)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(bits={self.bits},p={self.p})"


class RandomSolarize(_WithProbability):
    """Invert what is at or above `threshold` with probability p."""

    def __init__(self, threshold: float, p: float = 0.5) -> None:
        super().__init__(p)
        self.threshold = threshold

    def change(self, img: Any) -> Any:
        return F.solarize(img, self.threshold)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(threshold={self.threshold},p={self.p})"


class RandomAdjustSharpness(_WithProbability):
    """Sharpen (factor above 1) or smooth with probability p."""

    def __init__(self, sharpness_factor: float, p: float = 0.5) -> None:
        super().__init__(p)
        self.sharpness_factor = sharpness_factor

    def change(self, img: Any) -> Any:
        return F.adjust_sharpness(img, self.sharpness_factor)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(sharpness_factor={self.sharpness_factor},p={self.p})"


class RandomPerspective(Module):
    """Move the corners inwards with probability p.

    Args:
        distortion_scale: at most this part of half the image, 0 to 1.
        interpolation, fill: as in `RandomRotation`.
    """

    def __init__(
        self,
        distortion_scale: float = 0.5,
        p: float = 0.5,
        interpolation: Any = InterpolationMode.BILINEAR,
        fill: Any = 0,
    ) -> None:
        super().__init__()
        self.p = p
        self.interpolation = as_mode(interpolation)
        self.distortion_scale = distortion_scale
        self.fill = _check_fill(fill)

    @staticmethod
    def get_params(width: int, height: int, distortion_scale: float) -> Any:
        """(startpoints, endpoints), four [x, y] each."""
        return D.perspective_corners(width, height, distortion_scale)

    def forward(self, img: Any) -> Any:
        fill = fill_for(img, self.fill)
        _, height, width = F.get_dimensions(img)
        if not D.coin(self.p):
            return img
        starts, ends = self.get_params(width, height, self.distortion_scale)
        return F.perspective(img, starts, ends, self.interpolation, fill)

    def __repr__(self) -> str:
        return fields(self, "p")


class RandomResizedCrop(Module):
    """Cut a box of random area and shape and resize it (the usual training crop of ImageNet).

    Args:
        size: int or (h, w) of the result.
        scale: (min, max) share of the area. ratio: (min, max) width over height.
        interpolation, antialias: as in `Resize`.

    Source: C. Szegedy et al., Going Deeper with Convolutions (CVPR 2015).

    Example:
        >>> import rushlight as rl
        >>> from rushlight.vision.transforms import RandomResizedCrop
        >>> RandomResizedCrop(8)(rl.zeros(3, 20, 30)).shape
        torch.Size([3, 8, 8])
    """

    def __init__(
        self,
        size: Any,
        scale: Any = (0.08, 1.0),
        ratio: Any = (3.0 / 4.0, 4.0 / 3.0),
        interpolation: Any = InterpolationMode.BILINEAR,
        antialias: bool | None = True,
    ) -> None:
        super().__init__()
        self.size = setup_size(size, SIZE_ERROR)
        if not isinstance(scale, Sequence):
            raise TypeError("Scale should be a sequence")
        if not isinstance(ratio, Sequence):
            raise TypeError("Ratio should be a sequence")
        P.warn_unordered(scale, ratio)
        self.interpolation = as_mode(interpolation)
        self.antialias = antialias
        self.scale = scale
        self.ratio = ratio

    @staticmethod
    def get_params(img: Any, scale: Any, ratio: Any) -> tuple[int, int, int, int]:
        """(top, left, h, w) of a random box."""
        _, height, width = F.get_dimensions(img)
        return D.resized_crop_box(height, width, scale, ratio, D.log_ratio(ratio))

    def forward(self, img: Any) -> Any:
        box = self.get_params(img, self.scale, self.ratio)
        return F.resized_crop(img, *box, self.size, self.interpolation, antialias=self.antialias)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(size={self.size}"
            f", scale={tuple(round(s, 4) for s in self.scale)}"
            f", ratio={tuple(round(r, 4) for r in self.ratio)}"
            f", interpolation={self.interpolation.value}, antialias={self.antialias})"
        )


class ColorJitter(Module):
    """Change brightness, contrast, saturation and hue by random factors in random order.

    Args:
        brightness, contrast, saturation: x means a factor in [max(0, 1 - x), 1 + x], or (min, max).
        hue: x <= 0.5 means a turn in [-x, x], or (min, max).

    Example:
        >>> from rushlight.vision.transforms import ColorJitter
        >>> ColorJitter(brightness=0.5)
        ColorJitter(brightness=(0.5, 1.5), contrast=None, saturation=None, hue=None)
    """

    def __init__(
        self, brightness: Any = 0, contrast: Any = 0, saturation: Any = 0, hue: Any = 0
    ) -> None:
        super().__init__()
        self.brightness = P.jitter_range(brightness, "brightness")
        self.contrast = P.jitter_range(contrast, "contrast")
        self.saturation = P.jitter_range(saturation, "saturation")
        self.hue = P.jitter_range(hue, "hue", 0, (-0.5, 0.5), clip_first_on_zero=False)

    @staticmethod
    def get_params(brightness: Any, contrast: Any, saturation: Any, hue: Any) -> Any:
        """(order, brightness, contrast, saturation, hue); None for what stays."""
        order, factors = D.jitter_factors(brightness, contrast, saturation, hue)
        return order, *factors

    def forward(self, img: Any) -> Any:
        order, *factors = self.get_params(self.brightness, self.contrast, self.saturation, self.hue)
        steps = (F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, F.adjust_hue)
        for i in order.tolist():
            if factors[i] is not None:
                img = steps[i](img, factors[i])
        return img

    def __repr__(self) -> str:
        return fields(self, "brightness", "contrast", "saturation", "hue")


class RandomRotation(Module):
    """Turn by a random angle.

    Args:
        degrees: d means [-d, d], or (min, max).
        interpolation: nearest by default.
        expand: grow the result so that nothing is cut off.
        center: (x, y), the middle by default.
        fill: colour outside the image; a number or one per channel.
    """

    def __init__(
        self,
        degrees: Any,
        interpolation: Any = InterpolationMode.NEAREST,
        expand: bool = False,
        center: Any = None,
        fill: Any = 0,
    ) -> None:
        super().__init__()
        self.degrees = P.setup_angle(degrees, "degrees")
        if center is not None:
            P.check_sequence(center, "center", (2,))
        self.center = center
        self.interpolation = as_mode(interpolation)
        self.expand = expand
        self.fill = _check_fill(fill)

    @staticmethod
    def get_params(degrees: Any) -> float:
        """A random angle."""
        return D.uniform(float(degrees[0]), float(degrees[1]))

    def forward(self, img: Any) -> Any:
        F.get_dimensions(img)  # not an image? say so before drawing
        fill = fill_for(img, self.fill)
        angle = self.get_params(self.degrees)
        return F.rotate(img, angle, self.interpolation, self.expand, self.center, fill)

    def __repr__(self) -> str:
        center = "" if self.center is None else f", center={self.center}"
        return (
            f"{type(self).__name__}(degrees={self.degrees}"
            f", interpolation={self.interpolation.value}, expand={self.expand}{center}"
            f", fill={self.fill})"
        )


class RandomAffine(Module):
    """Turn, move, scale and shear at random, keeping the middle (or `center`) in place.

    Args:
        degrees: d means [-d, d], or (min, max).
        translate: largest shift (x, y) as parts of width and height.
        scale: (min, max) factor.
        shear: degrees in x; s means [-s, s]; (min, max); or (x min, x max, y min, y max).
        interpolation, fill, center: as in `RandomRotation`.
    """

    def __init__(
        self,
        degrees: Any,
        translate: Any = None,
        scale: Any = None,
        shear: Any = None,
        interpolation: Any = InterpolationMode.NEAREST,
        fill: Any = 0,
        center: Any = None,
    ) -> None:
        super().__init__()
        self.degrees = P.setup_angle(degrees, "degrees")
        self.shear = P.check_affine_ranges(translate, scale, shear, center)
        self.translate = translate
        self.scale = scale
        self.interpolation = as_mode(interpolation)
        self.fill = _check_fill(fill)
        self.center = center

    @staticmethod
    def get_params(
        degrees: Any, translate: Any, scale_ranges: Any, shears: Any, img_size: Any
    ) -> Any:
        """(angle, translations, scale, shear) for an image of (width, height)."""
        return D.affine_parameters(degrees, translate, scale_ranges, shears, img_size)

    def forward(self, img: Any) -> Any:
        fill = fill_for(img, self.fill)
        _, height, width = F.get_dimensions(img)
        angle, translate, scale, shear = self.get_params(
            self.degrees, self.translate, self.scale, self.shear, [width, height]
        )
        return F.affine(img, angle, translate, scale, shear, self.interpolation, fill, self.center)

    def __repr__(self) -> str:
        text = f"{type(self).__name__}(degrees={self.degrees}"
        for name in ("translate", "scale", "shear"):
            value = getattr(self, name)
            text += "" if value is None else f", {name}={value}"
        if self.interpolation != InterpolationMode.NEAREST:
            text += f", interpolation={self.interpolation.value}"
        text += f", fill={self.fill}" if self.fill != 0 else ""
        return text + ("" if self.center is None else f", center={self.center}") + ")"


class RandomGrayscale(_WithProbability):
    """Grey with probability p, in as many channels as the image has."""

    def __init__(self, p: float = 0.1) -> None:
        super().__init__(p)

    def forward(self, img: Any) -> Any:
        channels = F.get_dimensions(img)[0]
        return F.rgb_to_grayscale(img, channels) if D.coin(self.p) else img


class RandomErasing(Module):
    """Overwrite a random box of a tensor image with probability p.

    Args:
        scale: (min, max) share of the area. ratio: (min, max) height over width.
        value: a number, one per channel, or 'random' for normal noise.
        inplace: overwrite the input.

    Source: Z. Zhong et al., Random Erasing Data Augmentation (2017), arXiv:1708.04896.
    """

    def __init__(
        self,
        p: float = 0.5,
        scale: Any = (0.02, 0.33),
        ratio: Any = (0.3, 3.3),
        value: Any = 0,
        inplace: bool = False,
    ) -> None:
        super().__init__()
        P.check_erasing(value, scale, ratio)
        if p < 0 or p > 1:
            raise ValueError("Random erasing probability should be between 0 and 1")
        self.p = p
        self.scale = scale
        self.ratio = ratio
        self.value = value
        self.inplace = inplace

    @staticmethod
    def get_params(img: Any, scale: Any, ratio: Any, value: Any = None) -> Any:
        """(top, left, h, w, pixels); the whole image itself when no box fitted."""
        c, h, w = img.shape[-3:]
        found = D.erasing_box(c, h, w, scale, D.log_ratio(ratio), value)
        return (0, 0, h, w, img) if found is None else found

    def forward(self, img: Any) -> Any:
        if not D.coin(self.p):
            return img
        value = P.erasing_value(self.value)
        channels = img.shape[-3]
        if value is not None and len(value) not in (1, channels):
            raise ValueError(
                "If value is a sequence, it should have either a single value or "
                f"{channels} (number of input channels)"
            )
        i, j, h, w, v = self.get_params(img, scale=self.scale, ratio=self.ratio, value=value)
        return F.erase(img, i, j, h, w, v, self.inplace)

    def __repr__(self) -> str:
        return fields(self, "p", "scale", "ratio", "value", "inplace")


class GaussianBlur(Module):
    """Blur with a Gaussian of random deviation.

    Args:
        kernel_size: odd int or (x, y).
        sigma: a number, or (min, max).
    """

    def __init__(self, kernel_size: Any, sigma: Any = (0.1, 2.0)) -> None:
        super().__init__()
        self.kernel_size = P.blur_window(kernel_size)
        if isinstance(sigma, Number):
            if sigma <= 0:  # type: ignore[operator]
                raise ValueError("If sigma is a single number, it must be positive.")
            sigma = (sigma, sigma)
        elif not isinstance(sigma, Sequence) or len(sigma) != 2:
            raise ValueError("sigma should be a single number or a list/tuple with length 2.")
        elif not 0.0 < sigma[0] <= sigma[1]:
            raise ValueError("sigma values should be positive and of the form (min, max).")
        self.sigma = sigma

    @staticmethod
    def get_params(sigma_min: float, sigma_max: float) -> float:
        """A random deviation."""
        return D.uniform(sigma_min, sigma_max)

    def forward(self, img: Any) -> Any:
        sigma = self.get_params(self.sigma[0], self.sigma[1])
        return F.gaussian_blur(img, self.kernel_size, [sigma, sigma])

    def __repr__(self) -> str:
        return fields(self, "kernel_size", "sigma")


class ElasticTransform(Module):
    """Bend the image by a smooth random field.

    Args:
        alpha: strength in pixels, a float or (x, y). sigma: smoothness, likewise.
        interpolation, fill: as in `RandomRotation`.
    """

    def __init__(
        self,
        alpha: Any = 50.0,
        sigma: Any = 5.0,
        interpolation: Any = InterpolationMode.BILINEAR,
        fill: Any = 0,
    ) -> None:
        super().__init__()
        self.alpha = P.two_floats(alpha, "alpha")
        self.sigma = P.two_floats(sigma, "sigma")
        self.interpolation = as_mode(interpolation)
        if isinstance(fill, (int, float)):
            fill = [float(fill)]
        elif isinstance(fill, (list, tuple)):
            fill = [float(f) for f in fill]
        else:
            raise TypeError(
                f"fill should be int or float or a list or tuple of them. Got {type(fill)}"
            )
        self.fill = fill

    @staticmethod
    def get_params(alpha: Any, sigma: Any, size: Any) -> Any:
        """A random displacement field (1, H, W, 2)."""
        return D.displacement(size[0], size[1], alpha, sigma, F.gaussian_blur)

    def forward(self, tensor: Any) -> Any:
        _, height, width = F.get_dimensions(tensor)
        field = self.get_params(self.alpha, self.sigma, [height, width])
        return F.elastic_transform(tensor, field, self.interpolation, self.fill)

    def __repr__(self) -> str:
        return fields(self, "alpha", "sigma", "interpolation", "fill")
