"""Geometric v2 transforms: flips, resizes, crops, pads and warps of whole samples.

In: a nested sample. Out: the sample with its images, videos, masks, boxes and points moved alike.
Draws are torchvision 0.28's (`.._draws`), one set a call.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import rushlight as rl
from rushlight.vision import tv_tensors

from .. import _draws as D
from .. import _params as P
from .. import transforms as v1
from .._params import is_pil_image, setup_size
from . import functional as F
from ._transform import RandomApplyTransform, Transform, warn_passing_through
from ._utils import (
    check_padding,
    check_padding_mode,
    get_bounding_boxes,
    get_fill,
    has_all,
    has_any,
    query_size,
    setup_fill,
)
from .functional._utils import is_pure_tensor

_SIZE_ERROR = "Please provide only two dimensions (h, w) for size."


class RandomHorizontalFlip(RandomApplyTransform):
    """Mirror left and right with probability p.

    Example:
        >>> import rushlight as rl
        >>> from rushlight.vision.transforms import v2
        >>> v2.RandomHorizontalFlip(p=1.0)(rl.arange(3.0).view(1, 1, 3))
        tensor([[[2., 1., 0.]]])
    """

    _v1_transform_cls = v1.RandomHorizontalFlip

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return self._call_kernel(F.horizontal_flip, inpt)


class RandomVerticalFlip(RandomApplyTransform):
    """Mirror top and bottom with probability p."""

    _v1_transform_cls = v1.RandomVerticalFlip

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return self._call_kernel(F.vertical_flip, inpt)


class Resize(Transform):
    """Resample: an int fixes the shorter edge, a pair is (h, w), None fits into `max_size`.

    Args:
        interpolation: an `InterpolationMode`, its name ("bilinear") or Pillow's integer.
        max_size: cap on the longer edge.
        antialias: smooth when shrinking tensors; Pillow always does.
    """

    _v1_transform_cls = v1.Resize

    def __init__(
        self,
        size: Any,
        interpolation: Any = "bilinear",
        max_size: int | None = None,
        antialias: bool | None = True,
    ) -> None:
        super().__init__()
        if isinstance(size, int):
            size = [size]
        elif isinstance(size, Sequence) and len(size) in (1, 2):
            size = list(size)
        elif size is not None:
            raise ValueError(
                "size can be an integer, a sequence of one or two integers, or None, but got "
                f"{size} instead."
            )
        elif not isinstance(max_size, int):
            raise ValueError(
                f"max_size must be an integer when size is None, but got {max_size} instead."
            )
        self.size = size
        self.interpolation = interpolation
        self.max_size = max_size
        self.antialias = antialias

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return self._call_kernel(
            F.resize,
            inpt,
            size=self.size,
            interpolation=self.interpolation,
            max_size=self.max_size,
            antialias=self.antialias,
        )


class CenterCrop(Transform):
    """Cut the middle (h, w), or a square; a smaller image gets a border of 0 first."""

    _v1_transform_cls = v1.CenterCrop

    def __init__(self, size: Any) -> None:
        super().__init__()
        self.size = setup_size(size, _SIZE_ERROR)

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return self._call_kernel(F.center_crop, inpt, output_size=self.size)


class RandomResizedCrop(Transform):
    """Cut a box of random area and shape and resize it.

    Args:
        size: int or (h, w) of the result.
        scale: (min, max) share of the area. ratio: (min, max) width over height.
        interpolation, antialias: as in `Resize`.
    """

    _v1_transform_cls = v1.RandomResizedCrop

    def __init__(
        self,
        size: Any,
        scale: Any = (0.08, 1.0),
        ratio: Any = (3.0 / 4.0, 4.0 / 3.0),
        interpolation: Any = "bilinear",
        antialias: bool | None = True,
    ) -> None:
        super().__init__()
        self.size = setup_size(size, _SIZE_ERROR)
        if not isinstance(scale, Sequence) or len(scale) != 2:
            raise TypeError("Scale should be a sequence of two floats.")
        if not isinstance(ratio, Sequence) or len(ratio) != 2:
            raise TypeError("Ratio should be a sequence of two floats.")
        P.warn_unordered(scale, ratio)
        self.scale = scale
        self.ratio = ratio
        self.interpolation = interpolation
        self.antialias = antialias
        self._log_ratio = D.log_ratio(ratio)

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        height, width = query_size(flat_inputs)
        box = D.resized_crop_box(height, width, self.scale, self.ratio, self._log_ratio)
        return dict(zip(("top", "left", "height", "width"), box, strict=True))

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return self._call_kernel(
            F.resized_crop,
            inpt,
            **params,
            size=self.size,
            interpolation=self.interpolation,
            antialias=self.antialias,
        )


class FiveCrop(Transform):
    """The four corners and the centre, as a tuple of five."""

    _v1_transform_cls: type | None = v1.FiveCrop

    def __init__(self, size: Any) -> None:
        super().__init__()
        self.size = setup_size(size, _SIZE_ERROR)

    def check_inputs(self, flat_inputs: list[Any]) -> None:
        if has_any(flat_inputs, tv_tensors.BoundingBoxes, tv_tensors.Mask):
            raise TypeError(
                f"BoundingBoxes'es and Mask's are not supported by {type(self).__name__}()"
            )

    def _call_kernel(
        self, functional: Callable[..., Any], inpt: Any, *args: Any, **kwargs: Any
    ) -> Any:
        warn_passing_through(self, inpt)
        return super()._call_kernel(functional, inpt, *args, **kwargs)

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return self._call_kernel(F.five_crop, inpt, self.size)


class TenCrop(FiveCrop):
    """`FiveCrop` of the image and of its mirror image, as a tuple of ten."""

    _v1_transform_cls = v1.TenCrop

    def __init__(self, size: Any, vertical_flip: bool = False) -> None:
        super().__init__(size)
        self.vertical_flip = vertical_flip

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return self._call_kernel(F.ten_crop, inpt, self.size, vertical_flip=self.vertical_flip)


class Pad(Transform):
    """Add a border.

    Args:
        padding: one int, [x, y] or [left, top, right, bottom].
        fill: a number, one per channel, or a dict of them by input type ("others": the rest).
        padding_mode: `constant`, `edge`, `reflect` or `symmetric`.
    """

    _v1_transform_cls = v1.Pad

    def __init__(self, padding: Any, fill: Any = 0, padding_mode: str = "constant") -> None:
        super().__init__()
        check_padding(padding)
        check_padding_mode(padding_mode)
        self.padding = padding if isinstance(padding, int) else list(padding)
        self.fill = fill
        self._fill = setup_fill(fill)
        self.padding_mode = padding_mode

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        fill = get_fill(self._fill, type(inpt))
        return self._call_kernel(
            F.pad, inpt, padding=self.padding, fill=fill, padding_mode=self.padding_mode
        )


class RandomZoomOut(RandomApplyTransform):
    """Put the image on a larger canvas, with probability p.

    Args:
        fill: colour of the canvas, as in `Pad`.
        side_range: (min, max) factor of the canvas's edges, 1 or more.

    Source: W. Liu et al., SSD: Single Shot MultiBox Detector (ECCV 2016).
    """

    def __init__(
        self, fill: Any = 0, side_range: Sequence[float] = (1.0, 4.0), p: float = 0.5
    ) -> None:
        super().__init__(p=p)
        self.fill = fill
        self._fill = setup_fill(fill)
        P.check_sequence(side_range, "side_range", (2,))
        self.side_range = side_range
        if side_range[0] < 1.0 or side_range[0] > side_range[1]:
            raise ValueError(f"Invalid side range provided {side_range}.")

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        height, width = query_size(flat_inputs)
        low, high = self.side_range
        factor = low + rl.rand(1) * (high - low)
        canvas_width, canvas_height = int(width * factor), int(height * factor)
        place = rl.rand(2)
        left = int((canvas_width - width) * place[0])
        top = int((canvas_height - height) * place[1])
        right, bottom = canvas_width - (left + width), canvas_height - (top + height)
        return {"padding": [left, top, right, bottom]}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return self._call_kernel(F.pad, inpt, **params, fill=get_fill(self._fill, type(inpt)))


class RandomRotation(Transform):
    """Turn by a random angle.

    Args:
        degrees: d means [-d, d], or (min, max).
        interpolation: nearest by default.
        expand: grow the result so that nothing is cut off.
        center: (x, y), the middle by default.
        fill: as in `Pad`.
    """

    _v1_transform_cls = v1.RandomRotation

    def __init__(
        self,
        degrees: Any,
        interpolation: Any = "nearest",
        expand: bool = False,
        center: Any = None,
        fill: Any = 0,
    ) -> None:
        super().__init__()
        self.degrees = P.setup_angle(degrees, "degrees")
        self.interpolation = interpolation
        self.expand = expand
        self.fill = fill
        self._fill = setup_fill(fill)
        if center is not None:
            P.check_sequence(center, "center", (2,))
        self.center = center

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        return {"angle": D.uniform(self.degrees[0], self.degrees[1])}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return self._call_kernel(
            F.rotate,
            inpt,
            **params,
            interpolation=self.interpolation,
            expand=self.expand,
            center=self.center,
            fill=get_fill(self._fill, type(inpt)),
        )


class RandomAffine(Transform):
    """Turn, move, scale and shear at random, keeping the middle (or `center`) in place.

    Args:
        degrees: d means [-d, d], or (min, max).
        translate: largest shift (x, y) as parts of width and height.
        scale: (min, max) factor.
        shear: degrees in x; s means [-s, s]; (min, max); or (x min, x max, y min, y max).
        interpolation, fill, center: as in `RandomRotation`.
    """

    _v1_transform_cls = v1.RandomAffine

    def __init__(
        self,
        degrees: Any,
        translate: Any = None,
        scale: Any = None,
        shear: Any = None,
        interpolation: Any = "nearest",
        fill: Any = 0,
        center: Any = None,
    ) -> None:
        super().__init__()
        self.degrees = P.setup_angle(degrees, "degrees")
        checked_shear = P.check_affine_ranges(translate, scale, shear, center)
        self.translate = translate
        self.scale = scale
        self.shear = checked_shear
        self.interpolation = interpolation
        self.fill = fill
        self._fill = setup_fill(fill)
        self.center = center

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        height, width = query_size(flat_inputs)
        drawn = D.affine_parameters(
            self.degrees, self.translate, self.scale, self.shear, (width, height)
        )
        return dict(zip(("angle", "translate", "scale", "shear"), drawn, strict=True))

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return self._call_kernel(
            F.affine,
            inpt,
            **params,
            interpolation=self.interpolation,
            fill=get_fill(self._fill, type(inpt)),
            center=self.center,
        )


class RandomCrop(Transform):
    """Cut a box of `size` at a random place.

    Args:
        size: int or (h, w).
        padding: border to add first: one int, [x, y] or [left, top, right, bottom].
        pad_if_needed: pad an image that is smaller than `size`.
        fill, padding_mode: as in `Pad`.

    Raises:
        ValueError: the (padded) image is smaller than `size`.
    """

    _v1_transform_cls = v1.RandomCrop

    def __init__(
        self,
        size: Any,
        padding: Any = None,
        pad_if_needed: bool = False,
        fill: Any = 0,
        padding_mode: str = "constant",
    ) -> None:
        super().__init__()
        self.size = setup_size(size, _SIZE_ERROR)
        if pad_if_needed or padding is not None:
            if padding is not None:
                check_padding(padding)
            check_padding_mode(padding_mode)
        self.padding = None
        if padding:
            left, top, right, bottom = P.pad_ltrb_v2(padding)
            self.padding = [left, right, top, bottom]
        self.pad_if_needed = pad_if_needed
        self.fill = fill
        self._fill = setup_fill(fill)
        self.padding_mode = padding_mode

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        height, width = query_size(flat_inputs)
        left, right, top, bottom = self.padding or (0, 0, 0, 0)
        height, width = height + top + bottom, width + left + right
        wanted_height, wanted_width = self.size
        if self.pad_if_needed:  # by the whole difference on both sides
            more_y, more_x = max(wanted_height - height, 0), max(wanted_width - width, 0)
            top, bottom, height = top + more_y, bottom + more_y, height + 2 * more_y
            left, right, width = left + more_x, right + more_x, width + 2 * more_x
        if height < wanted_height or width < wanted_width:
            padded = "padded " if self.padding is not None else ""
            raise ValueError(
                f"Required crop size {(wanted_height, wanted_width)} is larger than "
                f"{padded}input image size {(height, width)}."
            )
        spare_y, spare_x = height - wanted_height, width - wanted_width
        y = int(rl.randint(0, spare_y + 1, size=())) if spare_y else 0
        x = int(rl.randint(0, spare_x + 1, size=())) if spare_x else 0
        padding = [left, top, right, bottom]
        return {
            "needs_crop": bool(spare_y or spare_x),
            "top": y,
            "left": x,
            "height": wanted_height,
            "width": wanted_width,
            "needs_pad": any(padding),
            "padding": padding,
        }

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        if params["needs_pad"]:
            fill = get_fill(self._fill, type(inpt))
            inpt = self._call_kernel(
                F.pad, inpt, padding=params["padding"], fill=fill, padding_mode=self.padding_mode
            )
        if params["needs_crop"]:
            box = {key: params[key] for key in ("top", "left", "height", "width")}
            inpt = self._call_kernel(F.crop, inpt, **box)
        return inpt


class RandomPerspective(RandomApplyTransform):
    """Move the corners inwards with probability p.

    Args:
        distortion_scale: at most this part of half the image, 0 to 1.
        interpolation, fill: as in `RandomRotation`.
    """

    _v1_transform_cls = v1.RandomPerspective

    def __init__(
        self,
        distortion_scale: float = 0.5,
        p: float = 0.5,
        interpolation: Any = "bilinear",
        fill: Any = 0,
    ) -> None:
        super().__init__(p=p)
        if not 0 <= distortion_scale <= 1:
            raise ValueError("Argument distortion_scale value should be between 0 and 1")
        self.distortion_scale = distortion_scale
        self.interpolation = interpolation
        self.fill = fill
        self._fill = setup_fill(fill)

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        height, width = query_size(flat_inputs)
        corners = D.perspective_corners(width, height, self.distortion_scale)
        return {"coefficients": P.perspective_coefficients(*corners)}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return self._call_kernel(
            F.perspective,
            inpt,
            startpoints=None,
            endpoints=None,
            fill=get_fill(self._fill, type(inpt)),
            interpolation=self.interpolation,
            **params,
        )


class ElasticTransform(Transform):
    """Bend the image by a smooth random field.

    Args:
        alpha: strength in pixels, a number or (x, y). sigma: smoothness, likewise.
        interpolation, fill: as in `RandomRotation`.
    """

    _v1_transform_cls = v1.ElasticTransform

    def __init__(
        self,
        alpha: Any = 50.0,
        sigma: Any = 5.0,
        interpolation: Any = "bilinear",
        fill: Any = 0,
    ) -> None:
        super().__init__()
        self.alpha = P.number_or_pair(alpha, "alpha")
        self.sigma = P.number_or_pair(sigma, "sigma")
        self.interpolation = interpolation
        self.fill = fill
        self._fill = setup_fill(fill)

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        height, width = query_size(flat_inputs)
        field = D.displacement(height, width, self.alpha, self.sigma, F.gaussian_blur)
        return {"displacement": field}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return self._call_kernel(
            F.elastic,
            inpt,
            **params,
            fill=get_fill(self._fill, type(inpt)),
            interpolation=self.interpolation,
        )


def _overlap(boxes: Any, crop: Sequence[int]) -> Any:
    """Intersection over union of corner boxes (N, 4) with one crop."""
    x1, y1, x2, y2 = boxes.unbind(-1)
    left, top, right, bottom = crop
    w = x2.clamp(max=right) - x1.clamp(min=left)
    h = y2.clamp(max=bottom) - y1.clamp(min=top)
    common = w.clamp(min=0) * h.clamp(min=0)
    return common / ((x2 - x1) * (y2 - y1) + (right - left) * (bottom - top) - common)


class RandomIoUCrop(Transform):
    """Cut a box that overlaps some object enough; objects whose centre it misses become 0.

    Args:
        min_scale, max_scale: of the edges. min_aspect_ratio, max_aspect_ratio: width over height.
        sampler_options: overlaps to choose from; 1 or more means no crop.
        trials: tries for each overlap.

    Source: W. Liu et al., SSD: Single Shot MultiBox Detector (ECCV 2016).
    """

    def __init__(
        self,
        min_scale: float = 0.3,
        max_scale: float = 1.0,
        min_aspect_ratio: float = 0.5,
        max_aspect_ratio: float = 2.0,
        sampler_options: list[float] | None = None,
        trials: int = 40,
    ) -> None:
        super().__init__()
        self.min_scale = min_scale
        self.max_scale = max_scale
        self.min_aspect_ratio = min_aspect_ratio
        self.max_aspect_ratio = max_aspect_ratio
        if sampler_options is None:
            sampler_options = [0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0]
        self.options = sampler_options
        self.trials = trials

    def check_inputs(self, flat_inputs: list[Any]) -> None:
        if not (
            has_all(flat_inputs, tv_tensors.BoundingBoxes)
            and has_any(flat_inputs, is_pil_image, tv_tensors.Image, is_pure_tensor)
        ):
            raise TypeError(
                f"{type(self).__name__}() requires input sample to contain tensor or PIL images "
                "and bounding boxes. Sample can also contain masks."
            )

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        size = query_size(flat_inputs)
        boxes = get_bounding_boxes(flat_inputs)
        corners = F.convert_bounding_box_format(
            boxes.as_subclass(rl.Tensor), boxes.format, tv_tensors.BoundingBoxFormat.XYXY
        )
        while True:
            least = self.options[D.integer(0, len(self.options))]
            if least >= 1.0:
                return {}
            for _ in range(self.trials):
                found = self._try_crop(size, corners, least)
                if found is not None:
                    return found

    def _try_crop(self, size: tuple[int, int], corners: Any, least: float) -> dict[str, Any] | None:
        height, width = size
        scale = self.min_scale + (self.max_scale - self.min_scale) * rl.rand(2)
        w, h = int(width * scale[0]), int(height * scale[1])
        if not self.min_aspect_ratio <= w / h <= self.max_aspect_ratio:
            return None
        place = rl.rand(2)
        left, top = int((width - w) * place[0]), int((height - h) * place[1])
        right, bottom = left + w, top + h
        if left == right or top == bottom:
            return None
        cx = 0.5 * (corners[..., 0] + corners[..., 2])
        cy = 0.5 * (corners[..., 1] + corners[..., 3])
        within = (left < cx) & (cx < right) & (top < cy) & (cy < bottom)
        if not within.any():
            return None
        if _overlap(corners[within], (left, top, right, bottom)).max() < least:
            return None
        box = {"top": top, "left": left, "height": h, "width": w}
        return {**box, "is_within_crop_area": within}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        if not params:
            return inpt
        box = {key: params[key] for key in ("top", "left", "height", "width")}
        output = self._call_kernel(F.crop, inpt, **box)
        if isinstance(output, tv_tensors.BoundingBoxes):
            output[~params["is_within_crop_area"]] = 0
        return output


class _ResizeToDrawn(Transform):
    """Resize to a size that `make_params` draws."""

    interpolation: Any
    antialias: bool | None

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return self._call_kernel(
            F.resize,
            inpt,
            size=params["size"],
            interpolation=self.interpolation,
            antialias=self.antialias,
        )


class ScaleJitter(_ResizeToDrawn):
    """Resize by a random factor relative to a target size (h, w).

    Source: G. Ghiasi et al., Simple Copy-Paste (CVPR 2021), arXiv:2012.07177.
    """

    def __init__(
        self,
        target_size: tuple[int, int],
        scale_range: tuple[float, float] = (0.1, 2.0),
        interpolation: Any = "bilinear",
        antialias: bool | None = True,
    ) -> None:
        super().__init__()
        self.target_size = target_size
        self.scale_range = scale_range
        self.interpolation = interpolation
        self.antialias = antialias

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        height, width = query_size(flat_inputs)
        low, high = self.scale_range
        scale = low + rl.rand(1) * (high - low)
        factor = min(self.target_size[1] / height, self.target_size[0] / width) * scale
        return {"size": (int(height * factor), int(width * factor))}


class RandomShortestSize(_ResizeToDrawn):
    """Resize the shorter edge to one of `min_size`, the longer to at most `max_size`."""

    def __init__(
        self,
        min_size: Any,
        max_size: int | None = None,
        interpolation: Any = "bilinear",
        antialias: bool | None = True,
    ) -> None:
        super().__init__()
        self.min_size = [min_size] if isinstance(min_size, int) else list(min_size)
        self.max_size = max_size
        self.interpolation = interpolation
        self.antialias = antialias

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        height, width = query_size(flat_inputs)
        wanted = self.min_size[int(rl.randint(len(self.min_size), ()))]
        factor = wanted / min(height, width)
        if self.max_size is not None:
            factor = min(factor, self.max_size / max(height, width))
        return {"size": (int(height * factor), int(width * factor))}


class RandomResize(_ResizeToDrawn):
    """Resize the shorter edge to a random size from `min_size` to `max_size` - 1."""

    def __init__(
        self,
        min_size: int,
        max_size: int,
        interpolation: Any = "bilinear",
        antialias: bool | None = True,
    ) -> None:
        super().__init__()
        self.min_size = min_size
        self.max_size = max_size
        self.interpolation = interpolation
        self.antialias = antialias

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        return {"size": [int(rl.randint(self.min_size, self.max_size, ()))]}
