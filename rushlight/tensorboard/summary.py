"""Summary messages: what one ``add_...`` call writes about one tag.

In: tags and user data. Out: Summary messages (dicts, see ``proto``). Images are in ``image``,
hyper-parameters in ``hparams``; both are re-exported here under PyTorch's names.
Source of the plugins' formats: TensorBoard's public .proto files and plugin documentation.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rushlight.errors import with_note
from rushlight.tensorboard.arrays import Array, is_tensor, make_np
from rushlight.tensorboard.hparams import hparams
from rushlight.tensorboard.image import (
    draw_boxes,
    image,
    image_boxes,
    make_image,
    make_video,
    video,
)
from rushlight.tensorboard.proto import Message, encode

__all__ = [
    "audio",
    "compute_curve",
    "custom_scalars",
    "draw_boxes",
    "histogram",
    "histogram_raw",
    "hparams",
    "image",
    "image_boxes",
    "make_histogram",
    "make_image",
    "make_video",
    "mesh",
    "pr_curve",
    "pr_curve_raw",
    "scalar",
    "tensor_proto",
    "text",
    "video",
]

_FLOAT, _DOUBLE, _STRING = 1, 2, 7  # TensorFlow's DataType
_VERTEX, _FACE, _COLOR = 1, 2, 3  # MeshPluginData's ContentType
_MESH_VERSION = 0
_LARGEST_TENSOR = 1 << 31  # bytes; protocol buffers end there

# NumPy dtype -> DataType, the field that holds the values, how they are written there
_TENSOR_FIELDS: dict[str, tuple[int, str, str]] = {
    "float16": (19, "half_val", "<u2"),
    "float32": (_FLOAT, "float_val", "<f4"),
    "float64": (_DOUBLE, "double_val", "<f8"),
    "uint8": (4, "int_val", "|u1"),
    "int8": (6, "int_val", "|i1"),
    "int16": (5, "int_val", "<i2"),
    "int32": (3, "int_val", "<i4"),
    "int64": (9, "int64_val", "<i8"),
    "bool": (10, "bool_val", "|b1"),
    "complex64": (8, "scomplex_val", "<f4"),
    "complex128": (18, "dcomplex_val", "<f8"),
}


def _shape(sizes: Sequence[int]) -> Message:
    return {"dim": [{"size": int(size)} for size in sizes]}


def _plugin(name: str, content: bytes = b"") -> Message:
    return {"plugin_data": {"plugin_name": name, "content": content}}


def scalar(
    name: str,
    tensor: Any,
    collections: None = None,
    new_style: bool = False,
    double_precision: bool = False,
) -> Message:
    """A summary with one number.

    Args:
        name: the tag.
        tensor: a number, or a tensor or array with one element.
        collections: not used; it is there because PyTorch has it.
        new_style: write the tensor field, which TensorBoard loads faster.
        double_precision: with ``new_style``, keep float64.

    Raises:
        AssertionError: there is more than one element.

    Example:
        >>> scalar("loss", 0.5)
        {'value': [{'tag': 'loss', 'simple_value': 0.5}]}
    """
    if isinstance(tensor, float | int):  # the common case, ten times faster
        value = float(tensor)
    else:
        array = make_np(tensor).squeeze()
        if array.ndim != 0:
            raise AssertionError(
                "Tensor should contain one element (0 dimensions)."
                f"             Was given size: {array.size} and {array.ndim} dimensions."
            )
        value = float(array)
    if not new_style:
        return {"value": [{"tag": name, "simple_value": value}]}
    data: Message = {"dtype": _FLOAT, "float_val": [value]}
    if double_precision:
        data = {"dtype": _DOUBLE, "double_val": [value]}
    return {"value": [{"tag": name, "tensor": data, "metadata": _plugin("scalars")}]}


def tensor_proto(tag: str, tensor: Any) -> Message:
    """A summary with a whole tensor: float16, bfloat16, float32/64, int8-64, uint8, bool, complex.

    Half-precision values are written as their 16 bits and uint8 in ``int_val``, as TensorBoard
    reads them (PyTorch 2.13 writes both in a form that its reader refuses).

    Raises:
        ValueError: the dtype has no counterpart, or the tensor has 2 GiB or more.
    """
    if str(tensor.dtype).endswith("bfloat16"):
        array = make_np(tensor).astype("<f4")
        values = (array.view("<u4") >> np.uint32(16)).reshape(-1)
        kind, field = 14, "half_val"
    else:
        array = np.ascontiguousarray(make_np(tensor))
        if array.dtype.name not in _TENSOR_FIELDS:
            raise ValueError(f"{tag} has unsupported tensor dtype {tensor.dtype}")
        kind, field, layout = _TENSOR_FIELDS[array.dtype.name]
        values = array.reshape(-1).view(layout)
    if array.nbytes >= _LARGEST_TENSOR:
        raise ValueError("tensor is bigger than protocol buffer's hard limit of 2GB in size")
    data = {"dtype": kind, "tensor_shape": _shape(tuple(tensor.shape)), field: values.tolist()}
    return {"value": [{"tag": tag, "metadata": _plugin("tensor"), "tensor": data}]}


def histogram_raw(
    name: str,
    min: float,
    max: float,
    num: float,
    sum: float,
    sum_squares: float,
    bucket_limits: Sequence[float],
    bucket_counts: Sequence[float],
) -> Message:
    """A summary with a histogram whose statistics and buckets are given.

    Args:
        name: the tag.
        min, max, num, sum, sum_squares: statistics of the values.
        bucket_limits: the upper limit of every bucket.
        bucket_counts: how many values lie in it.
    """
    data = {
        "min": min,
        "max": max,
        "num": num,
        "sum": sum,
        "sum_squares": sum_squares,
        "bucket_limit": make_np(bucket_limits) if is_tensor(bucket_limits) else bucket_limits,
        "bucket": make_np(bucket_counts) if is_tensor(bucket_counts) else bucket_counts,
    }
    return {"value": [{"tag": name, "histo": data}]}


def histogram(name: str, values: Any, bins: Any, max_bins: int | None = None) -> Message:
    """A summary with the histogram of all elements of ``values``.

    Args:
        name: the tag.
        values: a tensor or an array.
        bins: bin edges, their number, or one of NumPy's rules ('auto', 'fd', ...).
        max_bins: neighbouring bins are joined until no more than about so many are left.

    Raises:
        ValueError: there is no element, or none lies in the bins.
    """
    data = make_histogram(make_np(values).astype(float), bins, max_bins)
    return {"value": [{"tag": name, "histo": data}]}


def make_histogram(
    values: npt.NDArray[np.float64], bins: Any, max_bins: int | None = None
) -> Message:
    """A Histogram message; see ``histogram``."""
    if values.size == 0:
        raise ValueError("The input has no element.")
    values = values.reshape(-1)
    counts: Array
    limits: Array
    counts, limits = np.histogram(values, bins=bins)
    if max_bins is not None and len(counts) > max_bins:
        counts, limits = _join_bins(counts, limits, len(counts) // max_bins)
    filled = np.flatnonzero(counts)
    if not filled.size:
        raise with_note(
            ValueError("The histogram is empty, please file a bug report."),
            f"no value lies between the bin limits {limits[0]:g} and {limits[-1]:g}",
        )
    # Kept: the bins from the first filled one to the last, after one empty bin whose upper limit
    # is where the values start.
    first, last = int(filled[0]), int(filled[-1])
    return {
        "min": values.min(),
        "max": values.max(),
        "num": len(values),
        "sum": values.sum(),
        "sum_squares": values.dot(values),
        "bucket_limit": limits[first : last + 2],
        "bucket": np.concatenate([[0], counts[first : last + 1]]),
    }


def _join_bins(counts: Array, limits: Array, width: int) -> tuple[Array, Array]:
    """Join every ``width`` neighbouring bins to one."""
    rest = len(counts) % width
    if rest:
        counts = np.pad(counts, (0, width - rest))
    return counts.reshape(-1, width).sum(-1), np.append(limits[:-1:width], limits[-1])


def audio(tag: str, tensor: Any, sample_rate: int = 44100) -> Message:
    """A summary with one channel of sound, as a 16-bit WAV file.

    Args:
        tag: the tag.
        tensor: (samples,) or (1, samples), values in [-1, 1]; what is outside is clipped.
        sample_rate: samples a second.

    Raises:
        AssertionError: there is more than one channel.
    """
    import wave

    array = make_np(tensor).squeeze()
    if array.size and abs(array).max() > 1:
        print("warning: audio amplitude out of range, auto clipped.")
        array = array.clip(-1, 1)
    if array.ndim != 1:
        raise AssertionError("input tensor should be 1 dimensional.")
    samples = (array * np.iinfo(np.int16).max).astype("<i2")
    output = io.BytesIO()
    with wave.open(output, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes(samples.tobytes())
    data = {
        "sample_rate": sample_rate,
        "num_channels": 1,
        "length_frames": len(samples),
        "encoded_audio_string": output.getvalue(),
        "content_type": "audio/wav",
    }
    return {"value": [{"tag": tag, "audio": data}]}


def text(tag: str, text: str) -> Message:
    """A summary with Markdown text.

    Example:
        >>> text("note", "hello")["value"][0]["tag"]
        'note/text_summary'
    """
    data = {"dtype": _STRING, "string_val": [text.encode()], "tensor_shape": _shape([1])}
    metadata = _plugin("text", encode("TextPluginData", {"version": 0}))
    return {"value": [{"tag": tag + "/text_summary", "metadata": metadata, "tensor": data}]}


def custom_scalars(layout: Mapping[str, Mapping[str, Sequence[Any]]]) -> Message:
    """A summary with the layout of TensorBoard's custom scalars page.

    Args:
        layout: {category: {title: ['Multiline', tags] or ['Margin', [value, lower, upper]]}}.

    Raises:
        AssertionError: a margin chart has not three tags.
    """
    categories = []
    for category, content in layout.items():
        charts = []
        for title, (kind, tags, *_) in content.items():
            chart: Message = {"title": title, "multiline": {"tag": list(tags)}}
            if kind == "Margin":
                if len(tags) != 3:
                    raise AssertionError("len(tags) != 3")
                series = dict(zip(("value", "lower", "upper"), tags, strict=True))
                chart = {"title": title, "margin": {"series": [series]}}
            charts.append(chart)
        categories.append({"title": category, "chart": charts})
    content_bytes = encode("Layout", {"category": categories})
    data = {"dtype": _STRING, "string_val": [content_bytes], "tensor_shape": {}}
    value = {
        "tag": "custom_scalars__config__",
        "tensor": data,
        "metadata": _plugin("custom_scalars"),
    }
    return {"value": [value]}


def pr_curve(
    tag: str, labels: Array, predictions: Array, num_thresholds: int = 127, weights: Any = None
) -> Message:
    """A summary with the precision-recall curve of a binary classifier.

    Args:
        tag: the tag.
        labels: 0 or 1 for every sample.
        predictions: the probability that it is 1.
        num_thresholds: points on the curve, at most 127.
        weights: a factor for every sample, or one for all.
    """
    data = compute_curve(labels, predictions, min(num_thresholds, 127), weights)
    return _curve(tag, data, min(num_thresholds, 127))


def pr_curve_raw(
    tag: str,
    tp: Any,
    fp: Any,
    tn: Any,
    fn: Any,
    precision: Any,
    recall: Any,
    num_thresholds: int = 127,
    weights: Any = None,
) -> Message:
    """A summary with a precision-recall curve whose points are given.

    Args:
        tag: the tag.
        tp, fp, tn, fn: counts of true and false positives and negatives at every threshold.
        precision, recall: at every threshold.
        num_thresholds: points on the curve, at most 127.
        weights: not used; it is there because PyTorch has it.
    """
    rows = [make_np(row) if is_tensor(row) else row for row in (tp, fp, tn, fn, precision, recall)]
    return _curve(tag, np.stack(rows), min(num_thresholds, 127))


def _curve(tag: str, points: Array, num_thresholds: int) -> Message:
    content = encode("PrCurvePluginData", {"version": 0, "num_thresholds": num_thresholds})
    data = {
        "dtype": _FLOAT,
        "float_val": points.reshape(-1),
        "tensor_shape": _shape(points.shape[:2]),
    }
    return {"value": [{"tag": tag, "metadata": _plugin("pr_curves", content), "tensor": data}]}


def compute_curve(
    labels: Array, predictions: Array, num_thresholds: int = 127, weights: Any = None
) -> npt.NDArray[np.float64]:
    """Counts and rates at every threshold: (6, thresholds): tp, fp, tn, fn, precision, recall.

    A prediction p passes the thresholds 0 to floor(p * (thresholds - 1)).
    """
    factor = 1.0 if weights is None else weights
    bucket = np.floor(predictions * (num_thresholds - 1)).astype(np.int32)
    positive = labels.astype(np.float64)

    def passing(weight: Any) -> npt.NDArray[np.float64]:
        counts, _ = np.histogram(
            bucket, num_thresholds, range=(0, num_thresholds - 1), weights=weight
        )
        return np.cumsum(counts[::-1])[::-1]

    tp, fp = passing(positive * factor), passing((1.0 - positive) * factor)
    tn, fn = fp[0] - fp, tp[0] - tp
    precision = tp / np.maximum(1e-7, tp + fp)
    recall = tp / np.maximum(1e-7, tp + fn)
    return np.stack((tp, fp, tn, fn, precision, recall))


def mesh(
    tag: str,
    vertices: Any,
    colors: Any,
    faces: Any,
    config_dict: Mapping[str, Any] | None,
    display_name: str | None = None,
    description: str | None = None,
) -> Message:
    """A summary with a 3-D mesh or point cloud.

    Args:
        tag: the tag.
        vertices: (batch, vertices, 3).
        colors: (batch, vertices, 3), or None.
        faces: (batch, faces, 3): indices of vertices, or None.
        config_dict: the settings of ThreeJS classes.
        display_name, description: shown in TensorBoard.

    Raises:
        ValueError: a tensor has not three dimensions.
    """
    config = "{}" if config_dict is None else json.dumps(config_dict, sort_keys=True)
    parts = [(vertices, _VERTEX, "VERTEX"), (faces, _FACE, "FACE"), (colors, _COLOR, "COLOR")]
    parts = [part for part in parts if part[0] is not None]
    components = sum(1 << kind for _, kind, _ in parts)
    values = []
    for data, kind, kind_name in parts:
        array = make_np(data) if is_tensor(data) else np.asarray(data)
        if array.ndim != 3:
            sizes = ", ".join(map(str, array.shape))
            raise ValueError(
                f"Tensor shape should be of shape BxNx3, but got torch.Size([{sizes}])."
            )
        content = {
            "version": _MESH_VERSION,
            "name": tag,
            "content_type": kind,
            "components": components,
            "shape": array.shape,
            "json_config": config,
        }
        metadata = _plugin("mesh", encode("MeshPluginData", content))
        metadata.update(display_name=display_name, summary_description=description)
        tensor = {
            "dtype": _FLOAT,
            "float_val": array.reshape(-1),
            "tensor_shape": _shape(array.shape),
        }
        values.append({"tag": f"{tag}_{kind_name}", "tensor": tensor, "metadata": metadata})
    return {"value": values}
