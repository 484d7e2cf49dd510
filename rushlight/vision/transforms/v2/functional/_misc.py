"""torchvision.transforms.v2.functional, the rest: normalise, blur, noise, dtype, erase, JPEG, time.

In: an image (tensor, `Image`, Pillow where it makes sense) or `Video`. Out: the same kind. The
`sanitize_*` functions take boxes or points and also return which of them they kept.
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np

import rushlight as rl
from rushlight.vision import tv_tensors
from rushlight.vision.tv_tensors import BoundingBoxFormat, is_rotated_bounding_format

from ... import _tensor as T
from ... import functional as v1
from ..._params import is_pil_image
from ._meta import convert
from ._utils import dispatch, is_pure_tensor, register, register_raw

Tensor = Any


# ---------------------------------------------------------------- conversion


def pil_to_tensor(pic: Any) -> Any:
    """A Pillow image as a (C, H, W) tensor of the same values, not scaled."""
    return v1.pil_to_tensor(pic)


def to_pil_image(pic: Any, mode: str | None = None) -> Any:
    """A (C, H, W) tensor or (H, W, C) array as a Pillow image; floats are multiplied by 255."""
    return v1.to_pil_image(pic, mode)


def to_image(inpt: Any) -> Any:
    """A tensor, (H, W[, C]) array or Pillow image as an `Image` of the same values.

    Raises:
        TypeError: anything else.

    Example:
        >>> import numpy as np
        >>> from rushlight.vision.transforms.v2 import functional as F
        >>> F.to_image(np.zeros((4, 5, 3), np.uint8)).shape
        torch.Size([3, 4, 5])
    """
    if isinstance(inpt, np.ndarray):
        array = inpt[:, :, None] if inpt.ndim == 2 else np.atleast_3d(inpt)
        output = rl.from_numpy(np.ascontiguousarray(array.transpose(2, 0, 1)))
    elif is_pil_image(inpt):
        output = v1.pil_to_tensor(inpt)
    elif isinstance(inpt, rl.Tensor):
        return tv_tensors.Image(inpt)
    else:
        raise TypeError(
            "Input can either be a pure Tensor, a numpy array, or a PIL image, but got "
            f"{type(inpt)} instead."
        )
    return output.as_subclass(tv_tensors.Image)


def to_tensor(inpt: Any) -> Any:
    """Deprecated: `to_image` and `to_dtype(scale=True)` say what they do."""
    import warnings

    warnings.warn(
        "The function `to_tensor(...)` is deprecated and will be removed in a future release. "
        "Instead, please use `to_image(...)` followed by "
        "`to_dtype(..., dtype=torch.float32, scale=True)`.",
        stacklevel=2,
    )
    return v1.to_tensor(inpt)


def get_image_size(inpt: Any) -> list[int]:
    """Deprecated: `get_size` returns [h, w]; this returns [w, h]."""
    import warnings

    warnings.warn(
        "The function `get_image_size(...)` is deprecated and will be removed in a future release. "
        "Instead, please use `get_size(...)` which returns `[h, w]` instead of `[w, h]`.",
        stacklevel=2,
    )
    return v1.get_image_size(inpt)


def to_dtype(inpt: Any, dtype: Any = rl.float32, scale: bool = False) -> Any:
    """Convert to `dtype`; with `scale`, images keep their white white.

    Masks, boxes and points are never scaled.
    """
    return dispatch(to_dtype, inpt, dtype=dtype, scale=scale)


def to_dtype_image(image: Tensor, dtype: Any = rl.float32, scale: bool = False) -> Tensor:
    """Convert a tensor to `dtype`."""
    return T.convert_dtype(image, dtype, reciprocal=True) if scale else image.to(dtype)


def _to_dtype_labels(labels: Tensor, dtype: Any) -> Tensor:
    return labels.to(dtype)


to_dtype_video = to_dtype_image
register(
    to_dtype,
    image=to_dtype_image,
    mask=_to_dtype_labels,
    boxes=_to_dtype_labels,
    keypoints=_to_dtype_labels,
)


def convert_image_dtype(image: Tensor, dtype: Any = rl.float32) -> Tensor:
    """`to_dtype` with `scale=True`, for tensors."""
    return to_dtype_image(image, dtype, scale=True)


# ---------------------------------------------------------------- values


def normalize(inpt: Any, mean: Any, std: Any, inplace: bool = False) -> Any:
    """(input - mean) / std per channel, for float images and videos."""
    return dispatch(normalize, inpt, mean=mean, std=std, inplace=inplace)


def normalize_image(image: Tensor, mean: Any, std: Any, inplace: bool = False) -> Tensor:
    """(image - mean) / std per channel."""
    if not image.is_floating_point():
        raise TypeError(f"Input tensor should be a float tensor. Got {image.dtype}.")
    if image.ndim < 3:
        raise ValueError(
            f"Expected tensor to be a tensor image of size (..., C, H, W). Got {image.shape}."
        )
    if (isinstance(std, (tuple, list)) and not all(std)) or (
        isinstance(std, (int, float)) and std == 0
    ):
        raise ValueError("std evaluated to zero, leading to division by zero.")
    return T.normalize(image, mean, std, inplace)


normalize_video = normalize_image
register(normalize, image=normalize_image)


def gaussian_blur(inpt: Any, kernel_size: Any, sigma: Any = None) -> Any:
    """Blur with a Gaussian window of odd `kernel_size` (x, y) and deviation `sigma` (x, y)."""
    return dispatch(gaussian_blur, inpt, kernel_size=kernel_size, sigma=sigma)


def gaussian_blur_image(image: Tensor, kernel_size: Any, sigma: Any = None) -> Tensor:
    """Blur a tensor or a Pillow image."""
    return v1.gaussian_blur(image, kernel_size, sigma)


gaussian_blur_video = gaussian_blur_image
register(gaussian_blur, image=gaussian_blur_image, pil=gaussian_blur_image)


def gaussian_noise(inpt: Any, mean: float = 0.0, sigma: float = 0.1, clip: bool = True) -> Any:
    """Add normal noise; `mean` and `sigma` are parts of white.

    Raises:
        ValueError: a negative sigma, a dtype that is neither float nor uint8, a Pillow image.
    """
    return dispatch(gaussian_noise, inpt, mean=mean, sigma=sigma, clip=clip)


def gaussian_noise_image(
    image: Tensor, mean: float = 0.0, sigma: float = 0.1, clip: bool = True
) -> Tensor:
    """Add normal noise to a tensor."""
    if sigma < 0:
        raise ValueError(f"sigma shouldn't be negative. Got {sigma}")
    if image.is_floating_point():
        out = image + (mean + rl.randn_like(image) * sigma)
        return out.clamp(0, 1) if clip else out
    if image.dtype != rl.uint8:
        raise ValueError(
            f"Input tensor is expected to be in uint8 or float dtype, got dtype={image.dtype}"
        )
    draws = rl.randn_like(image, dtype=rl.float32)
    out = image + (mean * 255 + draws * (sigma * 255)).to(rl.int16)
    return (out.clamp(0, 255) if clip else out).to(rl.uint8)


def _gaussian_noise_pil(image: Any) -> Any:
    raise ValueError("Gaussian Noise is not implemented for PIL images.")


gaussian_noise_video = gaussian_noise_image
register(gaussian_noise, image=gaussian_noise_image, pil=_gaussian_noise_pil)


def erase(inpt: Any, i: int, j: int, h: int, w: int, v: Any, inplace: bool = False) -> Any:
    """Overwrite the h x w box at row i, column j with `v`."""
    return dispatch(erase, inpt, i=i, j=j, h=h, w=w, v=v, inplace=inplace)


def erase_image(
    image: Tensor, i: int, j: int, h: int, w: int, v: Any, inplace: bool = False
) -> Tensor:
    """Overwrite a box of a tensor."""
    return T.erase(image, i, j, h, w, v, inplace)


def _erase_pil(image: Any, i: int, j: int, h: int, w: int, v: Any, inplace: bool = False) -> Any:
    out = T.erase(v1.pil_to_tensor(image), i, j, h, w, v, inplace)
    return v1.to_pil_image(out, mode=image.mode)


erase_video = erase_image
register(erase, image=erase_image, pil=_erase_pil)


def jpeg(image: Any, quality: int) -> Any:
    """Compress as JPEG of this quality (1 to 100) and decode again."""
    return dispatch(jpeg, image, quality=quality)


def jpeg_image(image: Tensor, quality: int) -> Tensor:
    """Compress byte images (..., C, H, W) of 1 or 3 channels."""
    if image.numel() == 0:
        return image.clone()
    batch = T.as_batch(image)
    out = [v1.pil_to_tensor(_jpeg_pil(v1.to_pil_image(one), quality)) for one in batch]
    return rl.stack(out).reshape(image.shape)


def _jpeg_pil(image: Any, quality: int) -> Any:
    from PIL import Image

    file = io.BytesIO()
    image.save(file, format="JPEG", quality=quality)
    return Image.open(file).copy()


jpeg_video = jpeg_image
register(jpeg, image=jpeg_image, pil=_jpeg_pil)


def uniform_temporal_subsample(inpt: Any, num_samples: int) -> Any:
    """`num_samples` frames of a video, evenly spread from first to last."""
    return dispatch(uniform_temporal_subsample, inpt, num_samples=num_samples)


def uniform_temporal_subsample_video(video: Tensor, num_samples: int) -> Tensor:
    """Evenly spread frames of (..., T, C, H, W)."""
    last = video.shape[-4] - 1
    frames = rl.linspace(0, last, num_samples, device=video.device).to(rl.int64)
    return rl.index_select(video, -4, frames)


def _subsample_wrapped(inpt: Any, num_samples: int) -> Any:
    out = uniform_temporal_subsample_video(inpt.as_subclass(rl.Tensor), num_samples)
    return tv_tensors.wrap(out, like=inpt)


register_raw(
    uniform_temporal_subsample,
    {rl.Tensor: uniform_temporal_subsample_video, tv_tensors.Video: _subsample_wrapped},
)


# ---------------------------------------------------------------- sanitising


def sanitize_bounding_boxes(
    bounding_boxes: Any,
    format: Any = None,
    canvas_size: Any = None,
    min_size: float = 1.0,
    min_area: float = 1.0,
) -> tuple[Any, Tensor]:
    """The boxes that lie inside the image and are large enough, and the mask of those kept.

    Args:
        bounding_boxes: BoundingBoxes, or a plain tensor together with `format` and `canvas_size`.
    """
    if is_pure_tensor(bounding_boxes):
        if format is None or canvas_size is None:
            raise ValueError(
                "format and canvas_size cannot be None if bounding_boxes is a pure tensor. Got "
                f"format={format} and canvas_size={canvas_size}.Set those to appropriate values "
                "or pass bounding_boxes as a tv_tensors.BoundingBoxes object."
            )
        format = BoundingBoxFormat[format.upper()] if isinstance(format, str) else format
        valid = valid_boxes(bounding_boxes, format, canvas_size, min_size, min_area)
        return bounding_boxes[valid], valid
    if not isinstance(bounding_boxes, tv_tensors.BoundingBoxes):
        raise ValueError(
            "bounding_boxes must be a tv_tensors.BoundingBoxes instance or a pure tensor."
        )
    if format is not None or canvas_size is not None:
        raise ValueError(
            "format and canvas_size must be None when bounding_boxes is a tv_tensors.BoundingBoxes "
            f"instance. Got format={format} and canvas_size={canvas_size}. Leave those to None or "
            "pass bounding_boxes as a pure tensor."
        )
    boxes = bounding_boxes
    plain = boxes.as_subclass(rl.Tensor)
    valid = valid_boxes(plain, boxes.format, boxes.canvas_size, min_size, min_area)
    return tv_tensors.wrap(plain[valid], like=boxes), valid


def valid_boxes(
    boxes: Tensor, format: Any, canvas_size: Any, min_size: float = 1.0, min_area: float = 1.0
) -> Tensor:
    """Which boxes have no corner outside the image and at least these sizes."""
    rotated = is_rotated_bounding_format(format)
    corner_format = BoundingBoxFormat.XYXYXYXY if rotated else BoundingBoxFormat.XYXY
    corners = convert(boxes, format, corner_format)
    if rotated:
        c = corners.unbind(-1)
        ws = rl.sqrt((c[0] - c[2]).pow(2) + (c[1] - c[3]).pow(2))
        # torchvision 0.28 measures the second side between these four numbers, as they are.
        hs = rl.sqrt((c[3] - c[5]).pow(2) + (c[4] - c[6]).pow(2))
    else:
        ws, hs = corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1]
    valid = (ws >= min_size) & (hs >= min_size) & (ws * hs >= min_area)
    height, width = canvas_size
    inside = (corners >= 0).all(dim=-1)
    inside = inside & (corners[..., 0::2] <= width).all(dim=-1)
    return valid & inside & (corners[..., 1::2] <= height).all(dim=-1)


def sanitize_keypoints(key_points: Any, canvas_size: Any = None) -> tuple[Any, Tensor]:
    """The points (or groups of points) inside the image, and the mask of those kept.

    Args:
        key_points: KeyPoints, or a plain tensor together with `canvas_size` (height, width).
    """
    if is_pure_tensor(key_points):
        if canvas_size is None:
            raise ValueError(
                "canvas_size cannot be None if key_points is a pure tensor. Set it to an "
                "appropriate value or pass key_points as a tv_tensors.KeyPoints object."
            )
        valid = valid_points(key_points, canvas_size)
        return key_points[valid], valid
    if not isinstance(key_points, tv_tensors.KeyPoints):
        raise ValueError("key_points must be a tv_tensors.KeyPoints instance or a pure tensor.")
    if canvas_size is not None:
        raise ValueError(
            "canvas_size must be None when key_points is a tv_tensors.KeyPoints instance. Got "
            f"canvas_size={canvas_size}. Leave it to None or pass key_points as a pure tensor."
        )
    plain = key_points.as_subclass(rl.Tensor)
    valid = valid_points(plain, key_points.canvas_size)
    return tv_tensors.wrap(plain[valid], like=key_points), valid


def valid_points(points: Tensor, canvas_size: Any) -> Tensor:
    """Which first-level entries of (N, ..., 2) have all their points inside the image."""
    height, width = canvas_size
    x, y = points[..., 0], points[..., 1]
    valid = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    return valid.flatten(start_dim=1).all(dim=1) if valid.ndim > 1 else valid
