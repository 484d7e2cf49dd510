"""Grids of images, image files of tensors, and drawing on images.

In: tensors (C, H, W) or batches (N, C, H, W), uint8 or float in [0, 1].  Out: tensors or files.
"""

from __future__ import annotations

import io
import math
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

import rushlight as rl
from rushlight.vision._files import write_whole

__all__ = [
    "draw_bounding_boxes",
    "draw_keypoints",
    "draw_segmentation_masks",
    "flow_to_image",
    "make_grid",
    "save_image",
]

DASH = 5  # pixels of a dash and of the gap after it, on the first side of a rotated box


def make_grid(
    tensor: Any,
    nrow: int = 8,
    padding: int = 2,
    normalize: bool = False,
    value_range: tuple[float, float] | None = None,
    scale_each: bool = False,
    pad_value: float = 0.0,
) -> Any:
    """Images side by side in one image.

    Args:
        tensor: batch (N, C, H, W), list of images of one size, or an image (C, H, W) or (H, W);
            one channel becomes three.
        nrow: images in a row.
        padding: pixels between and around the images.
        normalize: shift and scale to [0, 1].
        value_range: (low, high) that become 0 and 1; by default the least and greatest value.
        scale_each: take each image's own least and greatest value, not the batch's.
        pad_value: value of the padding.

    Returns:
        The grid (C, rows * (H + padding) + padding, columns * (W + padding) + padding); a single
        image comes back as it is, without padding.

    Example:
        >>> make_grid(rl.zeros(10, 3, 4, 5)).shape
        torch.Size([3, 14, 58])
    """
    with rl.no_grad():
        batch = _as_batch(tensor)
        if normalize:
            batch = _normalized(batch, value_range, scale_each)
        if batch.size(0) == 1:
            return batch.squeeze(0)
        count, channels, height, width = batch.shape
        columns = min(nrow, count)
        rows = math.ceil(count / columns)
        down, right = height + padding, width + padding
        grid = batch.new_full(
            (channels, rows * down + padding, columns * right + padding), pad_value
        )
        for index in range(count):
            top = index // columns * down + padding
            left = index % columns * right + padding
            grid[:, top : top + height, left : left + width].copy_(batch[index])
        return grid


def _as_batch(tensor: Any) -> Any:
    """(N, C, H, W) of whatever `make_grid` takes; one channel becomes three."""
    if isinstance(tensor, list):
        for one in tensor:
            if not isinstance(one, rl.Tensor):
                raise TypeError(
                    f"tensor or list of tensors expected, got a list containing {type(one)}"
                )
        tensor = rl.stack(tensor, dim=0)
    elif not isinstance(tensor, rl.Tensor):
        raise TypeError(f"tensor or list of tensors expected, got {type(tensor)}")
    if tensor.dim() == 2:
        tensor = tensor.unsqueeze(0)
    if tensor.dim() == 3:
        tensor = tensor.unsqueeze(0)
    if tensor.dim() == 4 and tensor.size(1) == 1:
        tensor = rl.cat((tensor, tensor, tensor), 1)
    return tensor


def _normalized(batch: Any, value_range: tuple[float, float] | None, scale_each: bool) -> Any:
    if value_range is not None and not isinstance(value_range, tuple):
        raise TypeError(
            "value_range has to be a tuple (min, max) if specified. min and max are numbers"
        )
    batch = batch.clone()
    for part in batch if scale_each else [batch]:
        low, high = value_range or (float(part.min()), float(part.max()))
        part.clamp_(min=low, max=high)
        part.sub_(low).div_(max(high - low, 1e-5))
    return batch


def save_image(
    tensor: Any, fp: str | Path | BinaryIO, format: str | None = None, **kwargs: Any
) -> None:
    """Writes an image, or a batch as a grid, to an image file; the file appears whole.

    Args:
        tensor: floats in [0, 1], shaped as in `make_grid`.
        fp: file name or open binary file.
        format: such as "png"; by default the file name's suffix decides.
        **kwargs: further arguments of `make_grid`.

    Raises:
        ValueError: the suffix is not known, or an open file came without `format`.

    Example:
        >>> save_image(rl.rand(4, 3, 8, 8), "grid.png", nrow=2)
    """
    from PIL import Image

    with rl.no_grad():
        grid = make_grid(tensor, **kwargs)
        # +0.5, because the conversion to uint8 cuts off
        pixels = grid.mul(255).add_(0.5).clamp_(0, 255).permute(1, 2, 0).to("cpu", rl.uint8)
    image = Image.fromarray(pixels.numpy())
    if not isinstance(fp, (str, os.PathLike)):
        image.save(fp, format=format)
        return
    buffer = io.BytesIO()
    buffer.name = os.fspath(fp)  # Pillow takes the format from its suffix
    image.save(buffer, format=format)
    write_whole(fp, buffer.getvalue())


def draw_bounding_boxes(
    image: Any,
    boxes: Any,
    labels: list[str] | None = None,
    colors: Any = None,
    fill: bool | None = False,
    width: int = 1,
    font: str | None = None,
    font_size: int | None = None,
    label_colors: Any = None,
    label_background_colors: Any = None,
    fill_labels: bool = False,
) -> Any:
    """A copy of an image with boxes drawn on it.

    Args:
        image: (C, H, W) with one or three channels, uint8 or float in [0, 1].
        boxes: (N, 4) as xmin, ymin, xmax, ymax, or (N, 8) as four corners; in pixels.
        labels: a text for each box.
        colors: one colour, or a list with one for each box: a name, "#rrggbb" or (r, g, b). By
            default each box gets its own.
        fill: fill the boxes with their colour, half transparent.
        width: of the lines, in pixels.
        font: file of a TrueType font; by default Pillow's own font.
        font_size: in points.
        label_colors: as `colors`; by default the boxes' colours, or black on filled labels.
        label_background_colors: as `colors`; by default the boxes' colours.
        fill_labels: draw labels on a filled rectangle.

    Returns:
        (3, H, W) of the image's dtype; the image itself if there is no box.
    """
    _check_image(image, (1, 3), "Tensor expected", "Only grayscale and RGB images are supported")
    if boxes.shape[-1] == 4 and (
        bool((boxes[:, 0] > boxes[:, 2]).any()) or bool((boxes[:, 1] > boxes[:, 3]).any())
    ):
        raise ValueError(
            "Boxes need to be in (xmin, ymin, xmax, ymax) format. "
            "Use torchvision.ops.box_convert to convert them"
        )
    count = boxes.shape[0]
    if count == 0:
        warnings.warn("boxes doesn't contain any box. No box was drawn")
        return image
    if labels is not None and len(labels) != count:
        raise ValueError(
            f"Number of boxes ({count}) and labels ({len(labels)}) mismatch. "
            "Please specify labels for each box."
        )
    outlines = _parse_colors(colors, count)
    texts = outlines
    if label_colors or fill_labels:
        texts = _parse_colors(label_colors or "black", count)
    grounds = outlines
    if fill_labels and label_background_colors:
        grounds = _parse_colors(label_background_colors, count)

    from PIL import ImageDraw

    canvas, restore = _canvas(image)
    draw = ImageDraw.Draw(canvas, "RGBA" if fill else None)
    lettering = _font(font, font_size)
    for index, box in enumerate(boxes.to(rl.int64).tolist()):
        color = outlines[index]
        _draw_box(draw, box, color, color + (100,) if fill else None, width)
        if labels is None or labels[index] is None:
            continue
        at = (box[0] + width + 1, box[1] + width + 1)
        if fill_labels:
            left, top, right, bottom = draw.textbbox(at, labels[index], font=lettering)
            draw.rectangle((left - 1, top - 1, right + 1, bottom + 1), fill=grounds[index])
        draw.text(at, labels[index], fill=texts[index], font=lettering)
    return restore(canvas)


def draw_segmentation_masks(image: Any, masks: Any, alpha: float = 0.8, colors: Any = None) -> Any:
    """A copy of an image with regions tinted; where several overlap it is darkened.

    Args:
        image: (3, H, W), uint8 or float in [0, 1].
        masks: bool (N, H, W) or (H, W).
        alpha: 0 leaves the image as it is, 1 covers it.
        colors: as in `draw_bounding_boxes`, one for each mask.

    Returns:
        (3, H, W) of the image's dtype.
    """
    _check_image(
        image,
        (3,),
        "The image must be a tensor",
        "Pass an RGB image. Other Image formats are not supported",
    )
    masks = masks[None] if masks.ndim == 2 else masks
    if masks.ndim != 3:
        raise ValueError("masks must be of shape (H, W) or (batch_size, H, W)")
    if masks.dtype != rl.bool:
        raise ValueError(f"The masks must be of dtype bool. Got {masks.dtype}")
    if masks.shape[-2:] != image.shape[-2:]:
        raise ValueError("The image and the masks must have the same height and width")
    if masks.size(0) == 0:
        warnings.warn("masks doesn't contain any mask. No mask was drawn")
        return image
    with rl.no_grad():
        tinted = image.detach().clone()
        for mask, color in zip(masks, _parse_colors(colors, masks.size(0)), strict=True):
            scaled = [part / 255 for part in color] if image.is_floating_point() else color
            value = rl.tensor(scaled, dtype=image.dtype, device=image.device)
            tinted = rl.where(mask, value[:, None, None], tinted)
        tinted = rl.where(masks.sum(dim=0) > 1, rl.zeros_like(tinted), tinted)
        return (image * (1 - alpha) + tinted * alpha).to(image.dtype)


def draw_keypoints(
    image: Any,
    keypoints: Any,
    connectivity: list[tuple[int, int]] | None = None,
    colors: Any = None,
    radius: int = 2,
    width: int = 3,
    visibility: Any = None,
) -> Any:
    """A copy of an image with points, and lines between them, drawn on it.

    Args:
        image: (3, H, W), uint8 or float in [0, 1].
        keypoints: (N, K, 2), the x and y of K points of N instances.
        connectivity: pairs of points to join; a pair is left out if one of it is invisible.
        colors: one colour for all points, a name, "#rrggbb" or (r, g, b).
        radius: of the points, in pixels.
        width: of the lines, in pixels.
        visibility: (N, K), false for points to leave out; by default all are drawn.

    Returns:
        (3, H, W) of the image's dtype.
    """
    _check_image(
        image,
        (3,),
        "The image must be a tensor",
        "Pass an RGB image. Other Image formats are not supported",
    )
    if keypoints.ndim != 3:
        raise ValueError("keypoints must be of shape (num_instances, K, 2)")
    if visibility is None:
        visibility = rl.ones(keypoints.shape[:-1], dtype=rl.bool)
    visibility = visibility.squeeze(-1) if visibility.ndim == 3 else visibility
    if visibility.ndim != 2:
        raise ValueError(
            f"visibility must be of shape (num_instances, K). Got ndim={visibility.ndim}"
        )
    if visibility.shape != keypoints.shape[:-1]:
        raise ValueError(
            "keypoints and visibility must have the same dimensionality for num_instances and K. "
            f"Got {visibility.shape=} and {keypoints.shape=}"
        )
    from PIL import ImageDraw

    canvas, restore = _canvas(image)
    draw = ImageDraw.Draw(canvas)
    seen = visibility.cpu().bool().tolist()
    for points, shown in zip(keypoints.to(rl.int64).tolist(), seen, strict=True):
        for (x, y), visible in zip(points, shown, strict=True):
            if visible:
                circle = [x - radius, y - radius, x + radius, y + radius]
                draw.ellipse(circle, fill=colors, outline=None, width=0)
        for start, end in connectivity or ():
            if shown[start] and shown[end]:
                draw.line((tuple(points[start]), tuple(points[end])), width=width)
    return restore(canvas)


def flow_to_image(flow: Any) -> Any:
    """An optical flow as an image: direction as hue, speed as saturation.

    Source: S. Baker et al., "A Database and Evaluation Methodology for Optical Flow", 2007.

    Args:
        flow: float32 (2, H, W) or (N, 2, H, W), displacement in x and y.

    Returns:
        uint8 (3, H, W) or (N, 3, H, W); the fastest point of all has full saturation.
    """
    if flow.dtype != rl.float:
        raise ValueError(f"Flow should be of dtype torch.float, got {flow.dtype}.")
    batch = flow[None] if flow.ndim == 3 else flow
    if batch.ndim != 4 or batch.shape[1] != 2:
        raise ValueError(
            f"Input flow should have shape (2, H, W) or (N, 2, H, W), got {flow.shape}."
        )
    with rl.no_grad():
        fastest = batch.pow(2).sum(dim=1).sqrt().max()
        scaled = batch / (fastest + rl.finfo(batch.dtype).eps)
        speed = scaled.pow(2).sum(dim=1).sqrt()
        wheel = rl.tensor(_colour_wheel(), device=flow.device)  # (55, 3)
        turn = rl.atan2(-scaled[:, 1], -scaled[:, 0]) / math.pi  # -1 to 1
        place = (turn + 1) / 2 * (len(wheel) - 1)
        before = rl.floor(place).long()
        share = (place - before)[..., None]
        colour = (1 - share) * wheel[before] + share * wheel[(before + 1) % len(wheel)]
        colour = 1 - speed[..., None] * (1 - colour)  # (N, H, W, 3)
        image = rl.floor(255 * colour).to(rl.uint8).permute(0, 3, 1, 2).contiguous()
    return image[0] if flow.ndim == 3 else image


def _colour_wheel() -> list[list[float]]:
    """55 colours in [0, 1] from red by yellow, green, cyan, blue and magenta back to red."""
    # For each stretch: its colours, the channel that is full, the one that moves, up or down.
    stretches = (
        (15, 0, 1, 1),
        (6, 1, 0, -1),
        (4, 1, 2, 1),
        (11, 2, 1, -1),
        (13, 2, 0, 1),
        (6, 0, 2, -1),
    )
    wheel = []
    for count, full, moving, way in stretches:
        for index in range(count):
            colour = [0.0, 0.0, 0.0]
            level = math.floor(255 * index / count)
            colour[full] = 1.0
            colour[moving] = (level if way > 0 else 255 - level) / 255
            wheel.append(colour)
    return wheel


def _check_image(image: Any, channels: Sequence[int], not_tensor: str, not_channels: str) -> None:
    if not isinstance(image, rl.Tensor):
        raise TypeError(f"{not_tensor}, got {type(image)}")
    if image.dtype != rl.uint8 and not image.is_floating_point():
        raise ValueError(f"The image dtype must be uint8 or float, got {image.dtype}")
    if image.dim() != 3:
        raise ValueError("Pass individual images, not batches")
    if image.size(0) not in channels:
        raise ValueError(not_channels)


def _canvas(image: Any) -> tuple[Any, Any]:
    """A PIL image (RGB) to draw on, and the function that turns it into a tensor again."""
    from PIL import Image

    dtype, scaled = image.dtype, image.is_floating_point()
    if scaled:  # the 256 values get equal shares of [0, 1]
        image = image.mul(256 - 1e-3).to(rl.uint8)
    pixels = image.expand(3, -1, -1).permute(1, 2, 0).cpu().numpy()
    canvas = Image.fromarray(np.ascontiguousarray(pixels))

    def restore(canvas: Any) -> Any:
        drawn = rl.from_numpy(np.ascontiguousarray(np.asarray(canvas).transpose(2, 0, 1)))
        return drawn.to(dtype).mul_(1 / 255) if scaled else drawn

    return canvas, restore


def _font(font: str | None, size: int | None) -> Any:
    from PIL import ImageFont

    if font is not None:
        return ImageFont.truetype(font=font, size=size or 10)
    if size is not None:
        warnings.warn("Argument 'font_size' will be ignored since 'font' is not set.")
    return ImageFont.load_default()


def _draw_box(draw: Any, box: list[int], color: Any, filling: Any, width: int) -> None:
    if len(box) == 4:
        draw.rectangle(box, width=width, outline=color, fill=filling)
        return
    corners = list(zip(box[0::2], box[1::2], strict=True))
    _draw_dashes(draw, corners[0], corners[1], color, width)  # marks the first side
    for start, end in zip(corners[1:], corners[2:] + corners[:1], strict=True):
        draw.line((start, end), width=width, fill=color)
    draw.polygon(box, fill=filling, outline=None, width=0)


def _draw_dashes(draw: Any, start: Any, end: Any, color: Any, width: int) -> None:
    x, y = start
    left = math.hypot(end[0] - x, end[1] - y)
    pen_down = True
    while left > 0:
        step = min(left, DASH)
        angle = math.atan2(end[1] - y, end[0] - x)
        to = (x + math.cos(angle) * step, y + math.sin(angle) * step)
        if pen_down:
            draw.line([(x, y), to], color, width)
        (x, y), left, pen_down = to, left - step, not pen_down


def _parse_colors(colors: Any, count: int) -> list[tuple[int, ...]]:
    """`count` RGB triplets of one colour, a list of colours, or None (a palette of its own)."""
    from PIL import ImageColor

    if colors is None:  # multiples of three numbers whose remainders by 255 spread well
        steps = (2**25 - 1, 2**15 - 1, 2**21 - 1)
        return [tuple(index * step % 255 for step in steps) for index in range(count)]
    if isinstance(colors, list):
        if len(colors) < count:
            raise ValueError(
                "Number of colors must be equal or larger than the number of objects, "
                f"but got {len(colors)} < {count}."
            )
    elif not isinstance(colors, (tuple, str)):
        raise ValueError(
            f"`colors` must be a tuple or a string, or a list thereof, but got {colors}."
        )
    elif isinstance(colors, tuple) and len(colors) != 3:
        raise ValueError(f"If passed as tuple, colors should be an RGB triplet, but got {colors}.")
    else:
        colors = [colors] * count
    return [ImageColor.getrgb(one) if isinstance(one, str) else one for one in colors]
