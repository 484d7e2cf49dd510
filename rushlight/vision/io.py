"""Image files to uint8 tensors (C, H, W) and back, through Pillow.

In: paths, or uint8 tensors with a file's bytes.  Out: tensors, or files that are written whole.
JPEG pixels may differ from torchvision's by one level where the two link other decoders.
"""

from __future__ import annotations

import io
import os
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np

import rushlight as rl
from rushlight.errors import FileFormatError
from rushlight.vision._files import write_whole
from rushlight.vision._pil import load_image, rgb_image

__all__ = [
    "ImageReadMode",
    "decode_gif",
    "decode_image",
    "decode_jpeg",
    "decode_png",
    "decode_webp",
    "encode_jpeg",
    "encode_png",
    "read_file",
    "read_image",
    "write_file",
    "write_jpeg",
    "write_png",
]


class ImageReadMode(Enum):
    """What channels a decoded image shall have; `UNCHANGED` takes the file's own."""

    UNCHANGED = 0
    GRAY = 1
    GRAY_ALPHA = 2
    RGB = 3
    RGB_ALPHA = 4
    RGBA = RGB_ALPHA


PIL_MODES = {
    ImageReadMode.GRAY: "L",
    ImageReadMode.GRAY_ALPHA: "LA",
    ImageReadMode.RGB: "RGB",
    ImageReadMode.RGB_ALPHA: "RGBA",
}


def read_file(path: str | Path) -> Any:
    """The bytes of a file as a uint8 tensor (N,)."""
    with open(path, "rb") as file:
        return rl.from_numpy(np.frombuffer(bytearray(file.read()), np.uint8))


def write_file(filename: str | Path, data: Any) -> None:
    """Writes a 1-d uint8 tensor to a file; the file appears whole or not at all."""
    if data.dtype != rl.uint8 or data.ndim != 1:
        raise RuntimeError("Input tensor data must be a 1-dimensional uint8 tensor")
    write_whole(filename, data.numpy().tobytes())


def read_image(
    path: str | Path,
    mode: ImageReadMode | str = ImageReadMode.UNCHANGED,
    apply_exif_orientation: bool = False,
) -> Any:
    """The image in a JPEG, PNG, GIF, WebP or other file that Pillow reads, as uint8 (C, H, W).

    Args:
        path: name of the file.
        mode: channels to convert to: an `ImageReadMode` or its name.
        apply_exif_orientation: turn the image as its EXIF entry says.

    Raises:
        FileFormatError: the file is not an image, or is damaged.

    Example:
        >>> write_png(rl.zeros(3, 4, 5, dtype=rl.uint8), "black.png")
        >>> read_image("black.png").shape
        torch.Size([3, 4, 5])
    """
    return decode_image(path, mode, apply_exif_orientation)


def decode_image(
    input: Any,
    mode: ImageReadMode | str = ImageReadMode.UNCHANGED,
    apply_exif_orientation: bool = False,
) -> Any:
    """As `read_image`, of a path or of the bytes of a file in a 1-d uint8 tensor.

    An animated GIF gives (N, 3, H, W).
    """
    return _decode(input, mode, apply_exif_orientation, None)


def decode_png(
    input: Any,
    mode: ImageReadMode | str = ImageReadMode.UNCHANGED,
    apply_exif_orientation: bool = False,
) -> Any:
    """The PNG image in a 1-d uint8 tensor, as uint8 (C, H, W); 16-bit grey gives uint16."""
    return _decode(input, mode, apply_exif_orientation, "PNG")


def decode_jpeg(
    input: Any,
    mode: ImageReadMode | str = ImageReadMode.UNCHANGED,
    device: Any = "cpu",
    apply_exif_orientation: bool = False,
) -> Any:
    """The JPEG image in a 1-d uint8 tensor, or a list of them, as uint8 (C, H, W) on `device`."""
    if isinstance(input, (list, tuple)):
        return [decode_jpeg(one, mode, device, apply_exif_orientation) for one in input]
    return _decode(input, mode, apply_exif_orientation, "JPEG").to(device)


def decode_webp(input: Any, mode: ImageReadMode | str = ImageReadMode.UNCHANGED) -> Any:
    """The WebP image in a 1-d uint8 tensor, as uint8 (C, H, W)."""
    return _decode(input, mode, False, "WEBP")


def decode_gif(input: Any) -> Any:
    """The GIF image in a 1-d uint8 tensor, as uint8 (3, H, W); animated: (N, 3, H, W)."""
    return _decode(input, ImageReadMode.RGB, False, "GIF")


def _stream(input: Any) -> tuple[io.BytesIO, str]:
    if isinstance(input, (str, os.PathLike)):
        with open(input, "rb") as file:
            return io.BytesIO(file.read()), os.fspath(input)
    if input.dtype != rl.uint8 or input.ndim != 1 or input.numel() == 0:
        raise RuntimeError("Expected a non empty 1-dimensional uint8 tensor")
    return io.BytesIO(input.numpy().tobytes()), "the tensor's bytes"


def _decode(input: Any, mode: ImageReadMode | str, turn: bool, kind: str | None) -> Any:
    mode = ImageReadMode[mode.upper()] if isinstance(mode, str) else mode
    stream, name = _stream(input)
    target = PIL_MODES.get(mode)
    image = load_image(stream, name, None if target != "L" else "L")
    found = image.format or _format_of(stream)
    if kind is not None and found != kind:
        raise FileFormatError(f"{name}: not a {kind} image but {found}")
    if found == "GIF":
        return _all_frames(image)
    if turn:
        from PIL import ImageOps

        image = ImageOps.exif_transpose(image)
    return _to_tensor(image if target is None else image.convert(target), name)


def _format_of(stream: io.BytesIO) -> str | None:
    """The format of a file whose image was converted, which makes Pillow forget it."""
    from PIL import Image

    stream.seek(0)
    with Image.open(stream) as image:
        return image.format


def _all_frames(image: Any) -> Any:
    from PIL import ImageSequence

    frames = [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(image)]
    stacked = np.ascontiguousarray(np.stack(frames).transpose(0, 3, 1, 2))
    return rl.from_numpy(stacked if len(frames) > 1 else stacked[0])


def _to_tensor(image: Any, name: str) -> Any:
    """A PIL image with its own channels as (C, H, W): palettes become colours, bits grey levels."""
    if image.mode == "P":
        image = image.convert("RGBA" if "transparency" in image.info else "RGB")
    elif image.mode == "1":
        image = image.convert("L")
    elif image.mode.startswith("I"):
        return rl.from_numpy(np.asarray(image).astype(np.uint16)[None])
    pixels = np.asarray(image)
    if pixels.dtype != np.uint8:
        raise FileFormatError(f"{name}: pixels of mode {image.mode} do not fit into uint8")
    pixels = pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    return rl.from_numpy(pixels.copy())


def encode_png(input: Any, compression_level: int = 6) -> Any:
    """The PNG file of a uint8 image (C, H, W), C = 1 or 3, as a 1-d uint8 tensor."""
    if not 0 <= compression_level <= 9:
        raise RuntimeError("Compression level should be between 0 and 9")
    return _encode(input, "PNG", compress_level=compression_level)


def write_png(input: Any, filename: str | Path, compression_level: int = 6) -> None:
    """Writes a uint8 image (C, H, W), C = 1 or 3, as a PNG file."""
    write_file(filename, encode_png(input, compression_level))


def encode_jpeg(input: Any, quality: int = 75) -> Any:
    """The JPEG file of a uint8 image (C, H, W), C = 1 or 3, as a 1-d uint8 tensor.

    Args:
        input: the image, or a list of them, which gives a list.
        quality: 1 to 100.
    """
    if not 1 <= quality <= 100:
        raise ValueError("Image quality should be a positive number between 1 and 100")
    if isinstance(input, (list, tuple)):
        return [encode_jpeg(one, quality) for one in input]
    return _encode(input, "JPEG", quality=quality)


def write_jpeg(input: Any, filename: str | Path, quality: int = 75) -> None:
    """Writes a uint8 image (C, H, W), C = 1 or 3, as a JPEG file."""
    write_file(filename, encode_jpeg(input, quality))


def _encode(input: Any, kind: str, **options: Any) -> Any:
    if input.dtype != rl.uint8:
        raise RuntimeError("Input tensor dtype should be uint8")
    if input.ndim != 3:
        raise RuntimeError("Input data should be a 3-dimensional tensor")
    if input.shape[0] not in (1, 3):
        raise RuntimeError(f"The number of channels should be 1 or 3, got: {input.shape[0]}")
    pixels = np.ascontiguousarray(input.cpu().numpy().transpose(1, 2, 0))
    buffer = io.BytesIO()
    rgb_image(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).save(buffer, kind, **options)
    return rl.from_numpy(np.frombuffer(bytearray(buffer.getvalue()), np.uint8))
