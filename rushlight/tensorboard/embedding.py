"""The files of TensorBoard's embedding projector: vectors, metadata, thumbnails, configuration.

In: a matrix, labels, images. Out: ``tensors.tsv``, ``metadata.tsv`` and ``sprite.png`` in one
directory an embedding, and ``projector_config.pbtxt`` in the log directory, which lists them.
Source: the projector's documentation and projector_config.proto.
"""

from __future__ import annotations

import io
import math
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from rushlight.tensorboard.arrays import Array, make_np
from rushlight.tensorboard.image import _to_uint8, make_grid

__all__ = ["embedding_entry", "write_matrix", "write_metadata", "write_sprite"]


def write_matrix(matrix: Array, directory: str) -> None:
    """Write a matrix (points, features), one point a line."""
    lines = ("\t".join(map(str, row)) for row in matrix.tolist())
    _write(directory, "tensors.tsv", "".join(line + "\n" for line in lines).encode())


def write_metadata(
    metadata: Sequence[Any], directory: str, metadata_header: Sequence[str] | None = None
) -> None:
    """Write a label a point, or with a header a row of labels a point.

    Raises:
        AssertionError: the header has not as many columns as a row.
    """
    lines = [str(label) for label in metadata]
    if metadata_header:
        if len(metadata_header) != len(metadata[0]):
            raise AssertionError("len of header must be equal to the number of columns in metadata")
        lines = ["\t".join(map(str, row)) for row in [metadata_header, *metadata]]
    _write(directory, "metadata.tsv", ("\n".join(lines) + "\n").encode())


def write_sprite(label_img: Any, directory: str) -> None:
    """Write the points' images (N, C, H, W) as one PNG, row by row, as square as may be."""
    from PIL import Image

    images = make_np(label_img)
    grid = make_grid(_to_uint8(images), ncols=math.ceil(math.sqrt(len(images))))
    _, height, width = grid.shape
    canvas = np.zeros((max(height, width), width, 3), np.uint8)
    canvas[:height] = grid.transpose(1, 2, 0)
    output = io.BytesIO()
    Image.fromarray(canvas).save(output, format="PNG")
    _write(directory, "sprite.png", output.getvalue())


def embedding_entry(
    metadata: object, label_img: Any, subdir: str, global_step: int, tag: str
) -> str:
    """The embedding's paragraph of ``projector_config.pbtxt`` (protocol-buffer text format)."""
    lines = [f"  tensor_name: {_quote(f'{tag}:{str(global_step).zfill(5)}')}"]
    if metadata is not None:
        lines.append(f"  metadata_path: {_quote(os.path.join(subdir, 'metadata.tsv'))}")
    if label_img is not None:
        height, width = label_img.shape[2:4]
        lines += [
            "  sprite {",
            f"    image_path: {_quote(os.path.join(subdir, 'sprite.png'))}",
            f"    single_image_dim: {width}",
            f"    single_image_dim: {height}",
            "  }",
        ]
    lines.append(f"  tensor_path: {_quote(os.path.join(subdir, 'tensors.tsv'))}")
    return "\n".join(["embeddings {", *lines, "}", ""])


_ESCAPES = {"\n": "\\n", "\r": "\\r", "\t": "\\t", '"': '\\"', "'": "\\'", "\\": "\\\\"}


def _quote(text: str) -> str:
    def escape(letter: str) -> str:
        if letter in _ESCAPES:
            return _ESCAPES[letter]
        return f"\\{ord(letter):03o}" if letter < " " or letter == "\x7f" else letter

    return '"' + "".join(map(escape, text)) + '"'


def _write(directory: str, name: str, content: bytes) -> None:
    with open(os.path.join(directory, name), "wb") as file:
        file.write(content)
