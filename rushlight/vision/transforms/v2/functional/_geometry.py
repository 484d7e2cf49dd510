"""torchvision.transforms.v2.functional, geometry: flips, resize, crops, pads and warps.

In: an image (tensor, `Image`, Pillow), `Video`, `Mask`, `BoundingBoxes` or `KeyPoints`. Out: the
same kind. Each function hands over to the kernel for its input's type; the image kernels are v1's
(`_tensor.py`, `_pil.py`), those of boxes and points are in `_boxes.py`. Masks are resampled to the
nearest pixel, never blended.
"""

from __future__ import annotations

from typing import Any

import rushlight as rl
from rushlight.vision import tv_tensors

from ... import _params as P
from ... import _pil
from ... import _tensor as T
from ... import functional as v1
from ..._params import InterpolationMode, pil_modes_mapping
from . import _boxes as B
from ._utils import PIL_IMAGE, dispatch, register, register_raw

Tensor = Any
BILINEAR, NEAREST = InterpolationMode.BILINEAR, InterpolationMode.NEAREST


# ---------------------------------------------------------------- flips


def horizontal_flip(inpt: Any) -> Any:
    """Mirror left and right."""
    return dispatch(horizontal_flip, inpt)


def horizontal_flip_image(image: Tensor) -> Tensor:
    """Mirror a tensor left and right."""
    return image.flip(-1)


def vertical_flip(inpt: Any) -> Any:
    """Mirror top and bottom."""
    return dispatch(vertical_flip, inpt)


def vertical_flip_image(image: Tensor) -> Tensor:
    """Mirror a tensor top and bottom."""
    return image.flip(-2)


horizontal_flip_mask = horizontal_flip_video = horizontal_flip_image
vertical_flip_mask = vertical_flip_video = vertical_flip_image
register(
    horizontal_flip,
    image=horizontal_flip_image,
    pil=_pil.hflip,
    mask=horizontal_flip_mask,
    boxes=B.horizontal_flip_bounding_boxes,
    keypoints=B.horizontal_flip_keypoints,
)
register(
    vertical_flip,
    image=vertical_flip_image,
    pil=_pil.vflip,
    mask=vertical_flip_mask,
    boxes=B.vertical_flip_bounding_boxes,
    keypoints=B.vertical_flip_keypoints,
)
hflip, vflip = horizontal_flip, vertical_flip


# ---------------------------------------------------------------- resize


def resize(
    inpt: Any,
    size: Any,
    interpolation: Any = BILINEAR,
    max_size: int | None = None,
    antialias: bool | None = True,
) -> Any:
    """Resample to `size`: an int for the shorter edge, (h, w), or None with `max_size`.

    Args:
        interpolation: an `InterpolationMode`, its name, or Pillow's integer.
        max_size: cap on the longer edge.
        antialias: smooth when shrinking (tensors; Pillow always does).
    """
    return dispatch(
        resize,
        inpt,
        size=size,
        interpolation=interpolation,
        max_size=max_size,
        antialias=antialias,
    )


def resize_image(
    image: Tensor,
    size: Any,
    interpolation: Any = BILINEAR,
    max_size: int | None = None,
    antialias: bool | None = True,
) -> Tensor:
    """Resample a tensor (..., C, H, W)."""
    mode = P.check_mode_v2(interpolation)
    if mode is InterpolationMode.LANCZOS and not antialias:
        raise ValueError("InterpolationMode.LANCZOS requires antialias=True")
    old = (image.shape[-2], image.shape[-1])
    new = P.resized_size_v2(old, size, max_size)
    if tuple(new) == old:
        return image
    if image.numel() == 0:
        return image.reshape(tuple(image.shape[:-2]) + tuple(new))
    return T.resize(image, new, mode, bool(antialias), native_uint8=True)


def _resize_pil(
    image: Any,
    size: Any,
    interpolation: Any = BILINEAR,
    max_size: int | None = None,
    antialias: bool | None = True,
) -> Any:
    if antialias is False:
        v1.warn_antialias()
    new = P.resized_size_v2((image.height, image.width), size, max_size)
    mode = P.check_mode_v2(interpolation)
    if new == [image.height, image.width]:
        return image
    return _pil.resize(image, new, pil_modes_mapping[mode])


def resize_mask(
    mask: Tensor, size: Any, interpolation: Any = BILINEAR, max_size: int | None = None
) -> Tensor:
    """Resample a mask to the nearest pixel, or nearest-exact if asked."""
    mode = P.check_mode_v2(interpolation)
    if mode is not InterpolationMode.NEAREST_EXACT:
        mode = NEAREST
    return resize_image(mask, size, mode, max_size)


resize_video = resize_image
register(
    resize,
    image=resize_image,
    pil=_resize_pil,
    mask=resize_mask,
    boxes=B.resize_bounding_boxes,
    keypoints=B.resize_keypoints,
)


# ---------------------------------------------------------------- affine, rotate


def affine(
    inpt: Any,
    angle: float,
    translate: Any,
    scale: float,
    shear: Any,
    interpolation: Any = NEAREST,
    fill: Any = None,
    center: Any = None,
) -> Any:
    """Turn (clockwise), move, scale and shear around `center` (x, y), the middle by default."""
    return dispatch(
        affine,
        inpt,
        angle=angle,
        translate=translate,
        scale=scale,
        shear=shear,
        interpolation=interpolation,
        fill=fill,
        center=center,
    )


def affine_image(
    image: Tensor,
    angle: float,
    translate: Any,
    scale: float,
    shear: Any,
    interpolation: Any = NEAREST,
    fill: Any = None,
    center: Any = None,
) -> Tensor:
    """Turn, move, scale and shear a tensor."""
    mode = P.check_mode_v2(interpolation)
    return v1.affine(image, angle, translate, scale, shear, mode, fill, center)


def affine_mask(
    mask: Tensor,
    angle: float,
    translate: Any,
    scale: float,
    shear: Any,
    fill: Any = None,
    center: Any = None,
) -> Tensor:
    """Turn, move, scale and shear a mask."""
    return v1.affine(mask, angle, translate, scale, shear, NEAREST, fill, center)


affine_video = affine_image
register(
    affine,
    image=affine_image,
    pil=affine_image,
    mask=affine_mask,
    boxes=B.affine_bounding_boxes,
    keypoints=B.affine_keypoints,
)


def rotate(
    inpt: Any,
    angle: float,
    interpolation: Any = NEAREST,
    expand: bool = False,
    center: Any = None,
    fill: Any = None,
) -> Any:
    """Turn counter-clockwise by `angle` degrees around `center` (x, y), the middle by default."""
    return dispatch(
        rotate,
        inpt,
        angle=angle,
        interpolation=interpolation,
        expand=expand,
        center=center,
        fill=fill,
    )


def rotate_image(
    image: Tensor,
    angle: float,
    interpolation: Any = NEAREST,
    expand: bool = False,
    center: Any = None,
    fill: Any = None,
) -> Tensor:
    """Turn a tensor; quarter turns that fit move pixels without resampling."""
    angle = angle % 360
    if center is None:
        if angle == 0:
            return image.clone()
        if angle == 180 or (angle in (90, 270) and (expand or image.shape[-1] == image.shape[-2])):
            return rl.rot90(image, k=int(angle // 90), dims=(-2, -1))
    return T.rotate(image, angle, P.check_mode_v2(interpolation), expand, center, fill)


def _rotate_pil(
    image: Any,
    angle: float,
    interpolation: Any = NEAREST,
    expand: bool = False,
    center: Any = None,
    fill: Any = None,
) -> Any:
    mode = pil_modes_mapping[P.check_mode_v2(interpolation)]
    return _pil.rotate(image, angle, mode, expand, center, fill)


def rotate_mask(
    mask: Tensor, angle: float, expand: bool = False, center: Any = None, fill: Any = None
) -> Tensor:
    """Turn a mask."""
    return rotate_image(mask, angle, NEAREST, expand, center, fill)


rotate_video = rotate_image
register(
    rotate,
    image=rotate_image,
    pil=_rotate_pil,
    mask=rotate_mask,
    boxes=B.rotate_bounding_boxes,
    keypoints=B.rotate_keypoints,
)


# ---------------------------------------------------------------- pad, crop


def pad(inpt: Any, padding: Any, fill: Any = None, padding_mode: str = "constant") -> Any:
    """Add a border: `padding` is one int, [x, y] or [left, top, right, bottom]."""
    return dispatch(pad, inpt, padding=padding, fill=fill, padding_mode=padding_mode)


def pad_image(
    image: Tensor, padding: Any, fill: Any = None, padding_mode: str = "constant"
) -> Tensor:
    """Add a border to a tensor; `fill` is a number or one per channel."""
    ltrb = P.pad_ltrb_v2(padding)
    if padding_mode not in P.PADDING_MODES:
        raise ValueError(
            "`padding_mode` should be either `'constant'`, `'edge'`, `'reflect'` or "
            f"`'symmetric'`, but got `'{padding_mode}'`."
        )
    if fill is None:
        fill = 0
    if not isinstance(fill, (int, float)):
        if len(fill) > 1:
            if padding_mode != "constant":
                raise ValueError(
                    f"Padding mode '{padding_mode}' is not supported if fill is not scalar"
                )
            return T.pad_colour(image, ltrb, fill)
        fill = fill[0]
    return T.pad(image, ltrb, fill, padding_mode)


def pad_mask(
    mask: Tensor, padding: Any, fill: Any = None, padding_mode: str = "constant"
) -> Tensor:
    """Add a border to a mask."""
    if isinstance(fill, (tuple, list)):
        raise ValueError("Non-scalar fill value is not supported")
    return pad_image(mask, padding, fill, padding_mode)


pad_video = pad_image
register(
    pad,
    image=pad_image,
    pil=_pil.pad,
    mask=pad_mask,
    boxes=B.pad_bounding_boxes,
    keypoints=B.pad_keypoints,
)


def crop(inpt: Any, top: int, left: int, height: int, width: int) -> Any:
    """Cut a box; parts outside the image are 0."""
    return dispatch(crop, inpt, top=top, left=left, height=height, width=width)


def crop_image(image: Tensor, top: int, left: int, height: int, width: int) -> Tensor:
    """Cut a box from a tensor: a view when it lies inside."""
    return T.crop(image, top, left, height, width)


crop_mask = crop_video = crop_image
register(
    crop,
    image=crop_image,
    pil=_pil.crop,
    mask=crop_mask,
    boxes=B.crop_bounding_boxes,
    keypoints=B.crop_keypoints,
)


def center_crop(inpt: Any, output_size: Any) -> Any:
    """Cut the middle (h, w); a smaller image gets a border of 0 first."""
    return dispatch(center_crop, inpt, output_size=output_size)


def center_crop_image(image: Tensor, output_size: Any) -> Tensor:
    """Cut the middle of a tensor."""
    return T.center_crop(image, *P.square(output_size))


def _center_crop_pil(image: Any, output_size: Any) -> Any:
    return v1.center_crop(image, output_size)


center_crop_mask = center_crop_video = center_crop_image
register(
    center_crop,
    image=center_crop_image,
    pil=_center_crop_pil,
    mask=center_crop_mask,
    boxes=B.center_crop_bounding_boxes,
    keypoints=B.center_crop_keypoints,
)


def resized_crop(
    inpt: Any,
    top: int,
    left: int,
    height: int,
    width: int,
    size: Any,
    interpolation: Any = BILINEAR,
    antialias: bool | None = True,
) -> Any:
    """Cut a box and resize it."""
    return dispatch(
        resized_crop,
        inpt,
        top=top,
        left=left,
        height=height,
        width=width,
        size=size,
        interpolation=interpolation,
        antialias=antialias,
    )


def resized_crop_image(
    image: Tensor,
    top: int,
    left: int,
    height: int,
    width: int,
    size: Any,
    interpolation: Any = BILINEAR,
    antialias: bool | None = True,
) -> Tensor:
    """Cut a box from a tensor and resize it."""
    box = T.crop(image, top, left, height, width)
    return resize_image(box, size, interpolation, antialias=antialias)


def _resized_crop_pil(
    image: Any,
    top: int,
    left: int,
    height: int,
    width: int,
    size: Any,
    interpolation: Any = BILINEAR,
    antialias: bool | None = True,
) -> Any:
    box = _pil.crop(image, top, left, height, width)
    return _resize_pil(box, size, interpolation, antialias=antialias)


def resized_crop_mask(
    mask: Tensor, top: int, left: int, height: int, width: int, size: Any
) -> Tensor:
    """Cut a box from a mask and resize it."""
    return resize_mask(T.crop(mask, top, left, height, width), size)


resized_crop_video = resized_crop_image
register(
    resized_crop,
    image=resized_crop_image,
    pil=_resized_crop_pil,
    mask=resized_crop_mask,
    boxes=B.resized_crop_bounding_boxes,
    keypoints=B.resized_crop_keypoints,
)


def five_crop(inpt: Any, size: Any) -> Any:
    """The four corners and the centre, a tuple of five."""
    return dispatch(five_crop, inpt, size=size)


def five_crop_image(image: Any, size: Any) -> tuple[Any, ...]:
    """The four corners and the centre of an image."""
    return v1.five_crop(image, size)


def ten_crop(inpt: Any, size: Any, vertical_flip: bool = False) -> Any:
    """`five_crop` of the image and of its mirror image, a tuple of ten."""
    return dispatch(ten_crop, inpt, size=size, vertical_flip=vertical_flip)


def ten_crop_image(image: Any, size: Any, vertical_flip: bool = False) -> tuple[Any, ...]:
    """`five_crop` of an image and of its mirror image."""
    return v1.ten_crop(image, size, vertical_flip)


five_crop_video, ten_crop_video = five_crop_image, ten_crop_image


def _register_crops(functional: Any, kernel: Any) -> None:
    def wrapped(inpt: Any, *args: Any, **kwargs: Any) -> Any:
        parts = kernel(inpt.as_subclass(rl.Tensor), *args, **kwargs)
        return tuple(tv_tensors.wrap(part, like=inpt) for part in parts)

    wrapping = {tv_tensors.Image: wrapped, tv_tensors.Video: wrapped}
    register_raw(functional, {rl.Tensor: kernel, PIL_IMAGE: kernel, **wrapping})


_register_crops(five_crop, five_crop_image)
_register_crops(ten_crop, ten_crop_image)


# ---------------------------------------------------------------- perspective, elastic


def perspective(
    inpt: Any,
    startpoints: Any,
    endpoints: Any,
    interpolation: Any = BILINEAR,
    fill: Any = None,
    coefficients: Any = None,
) -> Any:
    """Move the corners `startpoints` to `endpoints`, or use eight `coefficients` as they are."""
    return dispatch(
        perspective,
        inpt,
        startpoints=startpoints,
        endpoints=endpoints,
        interpolation=interpolation,
        fill=fill,
        coefficients=coefficients,
    )


def perspective_image(
    image: Tensor,
    startpoints: Any,
    endpoints: Any,
    interpolation: Any = BILINEAR,
    fill: Any = None,
    coefficients: Any = None,
) -> Tensor:
    """Project a tensor."""
    numbers = P.coefficients_v2(startpoints, endpoints, coefficients)
    return T.perspective(image, numbers, P.check_mode_v2(interpolation), fill)


def _perspective_pil(
    image: Any,
    startpoints: Any,
    endpoints: Any,
    interpolation: Any = BILINEAR,
    fill: Any = None,
    coefficients: Any = None,
) -> Any:
    numbers = P.coefficients_v2(startpoints, endpoints, coefficients)
    mode = pil_modes_mapping[P.check_mode_v2(interpolation)]
    return _pil.perspective(image, numbers, mode, fill)


def perspective_mask(
    mask: Tensor, startpoints: Any, endpoints: Any, fill: Any = None, coefficients: Any = None
) -> Tensor:
    """Project a mask."""
    return perspective_image(mask, startpoints, endpoints, NEAREST, fill, coefficients)


perspective_video = perspective_image
register(
    perspective,
    image=perspective_image,
    pil=_perspective_pil,
    mask=perspective_mask,
    boxes=B.perspective_bounding_boxes,
    keypoints=B.perspective_keypoints,
)


def elastic(
    inpt: Any, displacement: Tensor, interpolation: Any = BILINEAR, fill: Any = None
) -> Any:
    """Take each pixel from where `displacement` (1, H, W, 2), in half image sizes, points."""
    return dispatch(
        elastic, inpt, displacement=displacement, interpolation=interpolation, fill=fill
    )


def elastic_image(
    image: Tensor, displacement: Tensor, interpolation: Any = BILINEAR, fill: Any = None
) -> Tensor:
    """Bend a tensor."""
    if not isinstance(displacement, rl.Tensor):
        raise TypeError("Argument displacement should be a Tensor")
    return T.elastic(image, displacement, P.check_mode_v2(interpolation), fill)


def _elastic_pil(
    image: Any, displacement: Tensor, interpolation: Any = BILINEAR, fill: Any = None
) -> Any:
    bent = elastic_image(v1.pil_to_tensor(image), displacement, interpolation, fill)
    return v1.to_pil_image(bent, mode=image.mode)


def elastic_mask(mask: Tensor, displacement: Tensor, fill: Any = None) -> Tensor:
    """Bend a mask."""
    return elastic_image(mask, displacement, NEAREST, fill)


elastic_video = elastic_image
register(
    elastic,
    image=elastic_image,
    pil=_elastic_pil,
    mask=elastic_mask,
    boxes=B.elastic_bounding_boxes,
    keypoints=B.elastic_keypoints,
)
elastic_transform = elastic
