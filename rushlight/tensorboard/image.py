"""Image summaries: layout conversion, scaling, boxes, figures and videos.

In: arrays and tensors in any layout that ``dataformats`` names, matplotlib figures.
Out: Summary messages that hold a PNG (a GIF for videos). Pillow is imported when the first image
is encoded, matplotlib only where the user hands in a figure of its.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rushlight.errors import with_note
from rushlight.tensorboard.arrays import Array, make_np
from rushlight.tensorboard.proto import Message

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = [
    "convert_to_HWC",
    "draw_boxes",
    "figure_to_image",
    "image",
    "image_boxes",
    "make_grid",
    "make_image",
    "make_video",
    "video",
]


def image(tag: str, tensor: Any, rescale: float = 1, dataformats: str = "NCHW") -> Message:
    """A summary with one image; a batch becomes a grid of eight columns.

    Args:
        tag: what TensorBoard calls the image.
        tensor: uint8 values in [0, 255], or values of another dtype in [0, 1]; what is outside
            is clamped. Channels: 1 (grey), 3 (RGB), or 4 (RGBA) where it is no batch.
        rescale: factor for both sides of the stored image.
        dataformats: a letter a dimension, such as NCHW, NHWC, CHW, HWC, HW.

    Raises:
        AssertionError: the letters do not fit the tensor's dimensions.
        TypeError: Pillow has no image with that number of channels.

    Example:
        >>> import numpy as np
        >>> summary = image("grey", np.zeros((4, 6)), dataformats="HW")
        >>> summary["value"][0]["image"]["width"]
        6
    """
    array = make_np(tensor)
    pixels = _to_uint8(_to_hwc_checked(array, dataformats))
    try:
        message = make_image(pixels, rescale=rescale)
    except TypeError as error:
        _explain_layout(error, array.shape, dataformats)
        raise
    return {"value": [{"tag": tag, "image": message}]}


def image_boxes(
    tag: str,
    tensor_image: Any,
    tensor_boxes: Any,
    rescale: float = 1,
    dataformats: str = "CHW",
    labels: Sequence[str] | None = None,
) -> Message:
    """A summary with one image and red boxes on it.

    Args:
        tensor_boxes: (number of boxes, 4): x and y of the upper left and the lower right corner.
        labels: a text for every box.
        tag, tensor_image, rescale, dataformats: as for ``image``.
    """
    array = make_np(tensor_image)
    pixels = _to_uint8(_to_hwc_checked(array, dataformats))
    try:
        message = make_image(pixels, rescale=rescale, rois=make_np(tensor_boxes), labels=labels)
    except TypeError as error:
        _explain_layout(error, array.shape, dataformats)
        raise
    return {"value": [{"tag": tag, "image": message}]}


def _to_hwc_checked(array: Array, dataformats: str) -> Array:
    try:
        return convert_to_HWC(array, dataformats)
    except (AssertionError, ValueError) as error:
        _explain_layout(error, array.shape, dataformats)
        raise


def _explain_layout(error: Exception, shape: tuple[int, ...], dataformats: str) -> None:
    """Add the layout that would fit to an error about the layout that does not."""
    fits = ""
    if len(shape) == 2:
        fits = "HW"
    elif len(shape) == 3 and shape[0] in (1, 3):
        fits = "CHW"
    elif len(shape) == 3 and shape[2] in (1, 3, 4):
        fits = "HWC"
    elif len(shape) == 4 and shape[1] in (1, 3):
        fits = "NCHW"
    elif len(shape) == 4 and shape[3] in (1, 3):
        fits = "NHWC"
    if not fits:
        with_note(
            error,
            f"got shape {shape} with dataformats={dataformats!r}: an image has 1 or 3 channels",
        )
    elif fits != dataformats.upper():
        with_note(
            error, f"got shape {shape} with dataformats={dataformats!r}: pass dataformats='{fits}'"
        )


def _to_uint8(pixels: Array) -> Array:
    """Pixels in [0, 255]: uint8 as they are, everything else counted from 0 to 1."""
    if pixels.dtype == np.uint8:
        return pixels
    scaled = pixels.astype(np.float32) * np.float32(255)
    clamped: Array = np.fmin(np.fmax(scaled, 0), 255)  # NaN becomes 0
    return clamped.astype(np.uint8)


def convert_to_HWC(tensor: Array, input_format: str) -> Array:
    """The image as (height, width, channels), with three channels where it was grey.

    Args:
        tensor: an array of 2, 3 or 4 dimensions; a batch becomes a grid of eight columns.
        input_format: a letter a dimension, in any order and case.

    Raises:
        AssertionError: a letter comes twice, or their number is not that of the dimensions.
        ValueError: the letters are not N, C, H, W, or their number is not 2, 3 or 4.
    """
    if len(set(input_format)) != len(input_format):
        raise AssertionError(
            "You can not use the same dimension shorthand twice."
            f"             input_format: {input_format}"
        )
    if len(tensor.shape) != len(input_format):
        raise AssertionError(
            "size of input tensor and input format are different."
            f"         tensor shape: {tensor.shape}, input_format: {input_format}"
        )
    letters = input_format.upper()
    order = {2: "HW", 3: "HWC", 4: "NCHW"}.get(len(letters))
    if order is None:
        raise ValueError(f"dataformats has 2, 3 or 4 letters, got {input_format!r}")
    arranged = tensor.transpose([letters.find(letter) for letter in order])
    if order == "NCHW":
        return make_grid(arranged).transpose(1, 2, 0)
    if order == "HW":
        return np.stack([arranged] * 3, 2)
    return np.concatenate([arranged] * 3, 2) if arranged.shape[2] == 1 else arranged


def make_grid(I: Array, ncols: int = 8) -> Array:
    """A batch (N, C, H, W) of grey or RGB images side by side: (3, rows * H, columns * W).

    Raises:
        AssertionError: the batch is no array, or has not 1 or 3 channels.
    """
    if not isinstance(I, np.ndarray):
        raise AssertionError("plugin error, should pass numpy array here")
    if I.ndim == 4 and I.shape[1] == 1:
        I = np.concatenate([I, I, I], 1)
    if I.ndim != 4 or I.shape[1] != 3:
        raise AssertionError("Input should be a 4D numpy array with 3 channels")
    count, _, height, width = I.shape
    columns = min(count, ncols)
    rows = -(-count // columns) if columns else 0
    canvas = np.zeros((3, height * rows, width * columns), I.dtype)
    for index, picture in enumerate(I):
        top, left = index // columns * height, index % columns * width
        canvas[:, top : top + height, left : left + width] = picture
    return canvas


def make_image(
    tensor: Array,
    rescale: float = 1,
    rois: Array | None = None,
    labels: Sequence[str] | None = None,
) -> Message:
    """An Image message from uint8 pixels (height, width, channels), boxes drawn on it."""
    from PIL import Image

    height, width, channels = tensor.shape
    picture = Image.fromarray(np.ascontiguousarray(tensor))
    if rois is not None:
        picture = draw_boxes(picture, rois, labels=labels)
    size = (int(width * rescale), int(height * rescale))
    if size != picture.size:
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    output = io.BytesIO()
    picture.save(output, format="PNG")
    return {
        "height": height,
        "width": width,
        "colorspace": channels,
        "encoded_image_string": output.getvalue(),
    }


def draw_boxes(disp_image: Image, boxes: Array, labels: Sequence[str] | None = None) -> Image:
    """Draw a red frame for every (left, top, right, bottom), its label inside at the foot."""
    from PIL import ImageDraw, ImageFont

    draw = ImageDraw.Draw(disp_image)
    font = ImageFont.load_default()
    for index, (left, top, right, bottom) in enumerate(boxes[:, :4].tolist()):
        corners = [(left, top), (left, bottom), (right, bottom), (right, top), (left, top)]
        draw.line(corners, width=2, fill="Red")
        text = labels[index] if labels is not None else ""
        if text:
            x0, y0, x1, y1 = font.getbbox(text)
            margin = np.ceil(0.05 * (y1 - y0))
            head = bottom - (y1 - y0) - 2 * margin
            draw.rectangle([(left, head), (left + x1 - x0, bottom)], fill="Red")
            draw.text((left + margin, head + margin), text, fill="black", font=font)
    return disp_image


def figure_to_image(figures: Any, close: bool = True) -> Array:
    """A matplotlib figure as uint8 pixels (3, height, width); a list of figures as a batch.

    Args:
        figures: a figure, or a list of figures of one size.
        close: forget the figure in pyplot afterwards, which frees its memory.
    """
    if isinstance(figures, list):
        return np.stack([figure_to_image(figure, close) for figure in figures])
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas: Any = FigureCanvasAgg(figures)
    canvas.draw()
    pixels = np.array(canvas.buffer_rgba(), np.uint8)[:, :, :3]
    pyplot = sys.modules.get("matplotlib.pyplot")
    if close and pyplot is not None:  # a figure made without pyplot is not known there
        pyplot.close(figures)
    return np.moveaxis(pixels, 2, 0)


def video(tag: str, tensor: Any, fps: float = 4) -> Message:
    """A summary with a batch of videos, played side by side as one GIF.

    Args:
        tensor: (N, T, C, H, W): uint8 in [0, 255], or another dtype in [0, 1].
        fps: frames a second.
    """
    return {
        "value": [{"tag": tag, "image": make_video(_to_uint8(_tile_video(make_np(tensor))), fps)}]
    }


def _tile_video(batch: Array) -> Array:
    """(N, T, C, H, W) to (T, rows * H, columns * W, C), black where N is no power of two."""
    n, t, c, h, w = batch.shape
    places = 1 << max(n - 1, 0).bit_length()
    rows = 1 << (n.bit_length() - 1) // 2 if n else 1
    if places > n:
        batch = np.concatenate([batch, np.zeros((places - n, t, c, h, w), batch.dtype)])
    tiled = batch.reshape(rows, places // rows, t, c, h, w).transpose(2, 0, 4, 1, 5, 3)
    return tiled.reshape(t, rows * h, places // rows * w, c)


def make_video(tensor: Array, fps: float) -> Message:
    """An Image message with a GIF, from uint8 frames (time, height, width, channels)."""
    from PIL import Image

    _, height, width, channels = tensor.shape
    frames = [Image.fromarray(frame[:, :, 0] if channels == 1 else frame) for frame in tensor]
    if not frames:
        raise ValueError("cannot write a video without frames")
    output = io.BytesIO()
    frames[0].save(
        output,
        format="GIF",
        save_all=True,
        append_images=frames[1:],
        duration=round(1000 / fps),
        loop=0,
    )
    return {
        "height": height,
        "width": width,
        "colorspace": channels,
        "encoded_image_string": output.getvalue(),
    }
