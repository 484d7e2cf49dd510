"""Pillow, imported when an image is first made: `import rushlight.vision` does without it."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, BinaryIO

from rushlight.errors import FileFormatError

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["grey_image", "load_image", "rgb_image"]


def rgb_image(pixels: Any) -> Image:
    """An RGB image of a uint8 array (H, W, 3)."""
    from PIL import Image

    return Image.fromarray(pixels)


def grey_image(pixels: Any) -> Image:
    """A grey image (mode L) of a uint8 array (H, W); the bytes are copied."""
    from PIL import Image

    height, width = pixels.shape
    return Image.frombytes("L", (width, height), pixels.tobytes())


def load_image(file: BinaryIO, name: Any, mode: str | None = "RGB") -> Image:
    """The image in an open file, decoded and converted to `mode` (None: as it is).

    Raises:
        FileFormatError: Pillow does not know the format, or the image is damaged, or so large
            that it must be an attack (Pillow's own limit).
    """
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(file)
            if mode == "L" and image.format == "JPEG":
                image.draft("L", image.size)  # the file's own luma, not one made from RGB
            image.load()
            return image if mode is None or image.mode == mode else image.convert(mode)
    except OSError as error:
        if error.errno is not None:
            raise  # the disk's fault, not the image's
        raise FileFormatError(f"'{name}' is not an image that can be read: {error}") from error
    except Exception as error:  # Pillow's decoders raise many types on damaged files
        raise FileFormatError(f"'{name}' is not an image that can be read: {error}") from error
