"""Reads event files back: the same files that ``SummaryWriter`` and TensorBoard's own writers make.

In: an event file, or a log directory with some. Out: scalars, images, histograms, sounds, texts,
tensors and the graph, by tag. Every record's checksum is verified.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from rushlight.errors import FileFormatError
from rushlight.tensorboard.arrays import Array
from rushlight.tensorboard.proto import DecodeError, Message, decode
from rushlight.tensorboard.record import read_records

__all__ = ["Entry", "EventReader", "read_events"]

_SESSION_START = 1
_KINDS = {"simple_value": "scalars", "image": "images", "histo": "histograms", "audio": "audio"}
_HALF, _BFLOAT16, _STRING = 19, 14, 7
# DataType -> the field that holds the values, and their NumPy dtype
_TENSOR_FIELDS = {
    1: ("float_val", "float32"),
    2: ("double_val", "float64"),
    3: ("int_val", "int32"),
    4: ("int_val", "uint8"),
    5: ("int_val", "int16"),
    6: ("int_val", "int8"),
    8: ("scomplex_val", "float32"),
    9: ("int64_val", "int64"),
    10: ("bool_val", "bool"),
    18: ("dcomplex_val", "float64"),
    _BFLOAT16: ("half_val", "uint16"),
    _HALF: ("half_val", "uint16"),
}


class Entry(NamedTuple):
    """One thing logged.

    Attributes:
        wall_time: seconds since the epoch.
        step: the global step.
        value: a float for scalars, a str for texts, an array for tensors, else the message's dict
            (an image has height, width, colorspace and encoded_image_string).
    """

    wall_time: float
    step: int
    value: Any


def read_events(
    path: str | os.PathLike[str], *, allow_truncated: bool = False
) -> Iterator[Message]:
    """The events of one file, as dicts.

    Args:
        path: the event file.
        allow_truncated: stop quietly at a last record that is cut short.

    Raises:
        FileFormatError: the file is truncated or corrupted, or no event file; the message says
            where. The events before that place have been given out by then.
        OSError: the file cannot be opened.

    Example:
        >>> import tempfile
        >>> from rushlight.tensorboard import EventFileWriter
        >>> writer = EventFileWriter(tempfile.mkdtemp())
        >>> [event["file_version"] for event in read_events(writer.path)]
        ['brain.Event:2']
    """
    name = os.fspath(path)
    with open(path, "rb") as file:
        for number, record in enumerate(read_records(file, name, allow_truncated=allow_truncated)):
            try:
                event = decode("Event", record)
            except DecodeError as error:
                raise FileFormatError(f"{name}: record {number} is no event: {error}") from error
            yield event


class EventReader:
    """What one run has logged, by kind and tag.

    Args:
        path: an event file, or a log directory, whose event files are read in the order of their
            names (not those of directories below it).
        allow_truncated: take a last record that is cut short for the end of its file, as with
            a file that is still written. Default: it is an error.

    Raises:
        FileFormatError: a file is truncated or corrupted.
        FileNotFoundError: there is no event file.

    Example:
        >>> import tempfile
        >>> from rushlight.tensorboard import SummaryWriter
        >>> with SummaryWriter(tempfile.mkdtemp()) as writer:
        ...     writer.add_scalar("loss", 0.5, 7)
        >>> reader = EventReader(writer.log_dir)
        >>> reader.tags()["scalars"], reader.scalars("loss")[0].step
        (['loss'], 7)
    """

    def __init__(self, path: str | os.PathLike[str], *, allow_truncated: bool = False) -> None:
        self._entries: dict[str, dict[str, list[Entry]]] = {}
        self._metadata: dict[str, Message] = {}
        self._graph: Message | None = None
        for file in _event_files(path):
            for event in read_events(file, allow_truncated=allow_truncated):
                self._take(event, os.fspath(file))

    def _take(self, event: Message, file: str) -> None:
        step = event.get("step", 0)
        if event.get("session_log", {}).get("status") == _SESSION_START:
            self._purge(step)
        if "graph_def" in event:
            try:
                self._graph = decode("GraphDef", event["graph_def"])
            except DecodeError as error:
                raise FileFormatError(f"{file}: bad graph: {error}") from error
        for item in event.get("summary", {}).get("value", []):
            tag = item.get("tag", "")
            if "metadata" in item:
                self._metadata.setdefault(tag, item["metadata"])
            kind, value = self._value(item, tag, file)
            if kind:
                entry = Entry(event.get("wall_time", 0.0), step, value)
                self._entries.setdefault(kind, {}).setdefault(tag, []).append(entry)

    def _value(self, item: Message, tag: str, file: str) -> tuple[str, Any]:
        for field, kind in _KINDS.items():
            if field in item:
                return kind, item[field]
        if "tensor" not in item:
            return "", None
        try:
            array = _to_array(item["tensor"])
        except (ValueError, KeyError, OverflowError) as error:
            raise FileFormatError(f"{file}: bad tensor {tag!r}: {error}") from error
        plugin = self.plugin(tag)
        if plugin == "scalars" and array.size == 1:
            return "scalars", array.item()
        if plugin == "text" and array.size:
            return "texts", array.reshape(-1)[0].decode(errors="replace")
        return "tensors", array

    def _purge(self, step: int) -> None:
        """A run was resumed at ``step``: what it had logged from there on no longer counts."""
        for tags in self._entries.values():
            for tag, entries in tags.items():
                tags[tag] = [entry for entry in entries if entry.step < step]

    def tags(self) -> dict[str, list[str]]:
        """The tags by kind: scalars, images, histograms, audio, texts, tensors."""
        return {kind: list(tags) for kind, tags in self._entries.items()}

    def plugin(self, tag: str) -> str:
        """The name of the plugin that shows a tag; empty for plain summaries."""
        data = self._metadata.get(tag, {}).get("plugin_data", {})
        name: str = data.get("plugin_name", "")
        return name

    def plugin_content(self, tag: str) -> bytes:
        """What a tag's plugin has stored about it, encoded."""
        data = self._metadata.get(tag, {}).get("plugin_data", {})
        content: bytes = data.get("content", b"")
        return content

    def scalars(self, tag: str) -> list[Entry]:
        """A curve's entries; raises KeyError where there is no such tag (as all these do)."""
        return self._entries["scalars"][tag]

    def images(self, tag: str) -> list[Entry]:
        """Images: dicts with height, width, colorspace and encoded_image_string."""
        return self._entries["images"][tag]

    def histograms(self, tag: str) -> list[Entry]:
        """Histograms: dicts with min, max, num, sum, sum_squares, bucket_limit and bucket."""
        return self._entries["histograms"][tag]

    def audio(self, tag: str) -> list[Entry]:
        """Sounds: dicts with sample_rate, length_frames and encoded_audio_string."""
        return self._entries["audio"][tag]

    def texts(self, tag: str) -> list[Entry]:
        """Texts; the tag ends in ``/text_summary``."""
        return self._entries["texts"][tag]

    def tensors(self, tag: str) -> list[Entry]:
        """Tensors: arrays. Meshes and precision-recall curves are tensors too."""
        return self._entries["tensors"][tag]

    def graph(self) -> Message | None:
        """The last graph logged, as a GraphDef dict; None where there is none."""
        return self._graph


def _event_files(path: str | os.PathLike[str]) -> list[str]:
    if not os.path.isdir(path):
        return [os.fspath(path)]
    names = sorted(name for name in os.listdir(path) if ".tfevents." in name)
    if not names:
        raise FileNotFoundError(f"no event file in {os.fspath(path)!r}")
    return [os.path.join(path, name) for name in names]


def _to_array(tensor: Message) -> Array:
    """A Tensor message as an array; strings give an array of bytes objects."""
    kind = tensor.get("dtype", 0)
    shape = [dim.get("size", 0) for dim in tensor.get("tensor_shape", {}).get("dim", [])]
    if kind == _STRING:
        array = np.array(tensor.get("string_val", []), dtype=object)
        return array.reshape(shape)
    field, dtype = _TENSOR_FIELDS[kind]
    array = np.array(tensor.get(field, []), dtype)
    if kind in (8, 18):
        array = array.view("complex64" if kind == 8 else "complex128")
    elif kind == _HALF:
        array = array.view("float16")
    elif kind == _BFLOAT16:
        array = (array.astype("uint32") << 16).view("float32")
    return array.reshape(shape)
