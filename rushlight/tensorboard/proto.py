"""Protocol-buffer wire format for the messages of event files: dicts in, bytes out, and back.

A message is a plain dict from field names to values (lists for repeated fields, dicts for nested
messages, one-pair dicts in a list for maps). ``MESSAGES`` says for every message which number and
type each field has, in the notation of .proto files; only what event files and ONNX graphs need
is listed, and unknown fields are skipped on reading, as the format asks.
Source: the protocol-buffer encoding guide; field numbers from TensorBoard's public .proto files.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, NamedTuple

import numpy as np

__all__ = ["DecodeError", "Message", "decode", "encode"]

Message = dict[str, Any]

# A type ending in "?" belongs to a oneof: it is written even where it has the default value.
# "*" marks repeated fields; repeated numbers are packed.
MESSAGES = {
    "Event": """
        1 wall_time double; 2 step int64; 3 file_version string?; 4 graph_def bytes?;
        5 summary Summary; 7 session_log SessionLog; 8 tagged_run_metadata TaggedRunMetadata;
        10 source_metadata SourceMetadata""",
    "SourceMetadata": "1 writer string",
    "SessionLog": "1 status enum; 2 checkpoint_path string; 3 msg string",
    "TaggedRunMetadata": "1 tag string; 2 run_metadata bytes",
    "Summary": "1 value Value*",
    "Value": """
        1 tag string; 2 simple_value float?; 4 image Image; 5 histo Histogram; 6 audio Audio;
        7 node_name string; 8 tensor Tensor; 9 metadata SummaryMetadata""",
    "SummaryMetadata": """
        1 plugin_data PluginData; 2 display_name string; 3 summary_description string;
        4 data_class enum""",
    "PluginData": "1 plugin_name string; 2 content bytes",
    "Image": "1 height int32; 2 width int32; 3 colorspace int32; 4 encoded_image_string bytes",
    "Audio": """
        1 sample_rate float; 2 num_channels int64; 3 length_frames int64;
        4 encoded_audio_string bytes; 5 content_type string""",
    "Histogram": """
        1 min double; 2 max double; 3 num double; 4 sum double; 5 sum_squares double;
        6 bucket_limit double*; 7 bucket double*""",
    "Tensor": """
        1 dtype enum; 2 tensor_shape Shape; 3 version_number int32; 4 tensor_content bytes;
        5 float_val float*; 6 double_val double*; 7 int_val int32*; 8 string_val bytes*;
        9 scomplex_val float*; 10 int64_val int64*; 11 bool_val bool*; 12 dcomplex_val double*;
        13 half_val int32*; 16 uint32_val uint32*; 17 uint64_val uint64*""",
    "Shape": "2 dim Dim*; 3 unknown_rank bool",
    "Dim": "1 size int64; 2 name string",
    # graphs
    "GraphDef": "1 node Node*; 3 version int32; 4 versions Versions",
    "Node": "1 name string; 2 op string; 3 input string*; 4 device string; 5 attr NodeAttr*",
    "NodeAttr": "1 key string; 2 value AttrValue",
    "AttrValue": """
        1 list AttrList; 2 s bytes?; 3 i int64?; 4 f float?; 5 b bool?; 6 type enum?;
        7 shape Shape""",
    "AttrList": "2 s bytes*; 3 i int64*; 4 f float*; 5 b bool*; 6 type enum*; 7 shape Shape*",
    "Versions": "1 producer int32; 2 min_consumer int32; 3 bad_consumers int32*",
    "RunMetadata": "1 step_stats StepStats",
    "StepStats": "1 dev_stats DeviceStepStats*",
    "DeviceStepStats": "1 device string",
    # plugins
    "TextPluginData": "1 version int32",
    "PrCurvePluginData": "1 version int32; 2 num_thresholds uint32",
    "MeshPluginData": """
        1 version int32; 2 name string; 3 content_type enum; 5 json_config string;
        6 shape int32*; 7 components uint32""",
    "Layout": "1 version int32; 2 category Category*",
    "Category": "1 title string; 2 chart Chart*; 3 closed bool",
    "Chart": "1 title string; 2 multiline Multiline; 3 margin Margin",
    "Multiline": "1 tag string*",
    "Margin": "1 series MarginSeries*",
    "MarginSeries": "1 value string; 2 lower string; 3 upper string",
    "HParamsPluginData": """
        1 version int32; 2 experiment Experiment; 3 session_start_info SessionStart;
        4 session_end_info SessionEnd""",
    "Experiment": """
        1 description string; 2 user string; 3 time_created_secs double;
        4 hparam_infos HParamInfo*; 5 metric_infos MetricInfo*; 6 name string""",
    "HParamInfo": """
        1 name string; 2 display_name string; 3 description string; 4 type enum;
        5 domain_discrete ValueList""",
    "MetricInfo": """
        1 name MetricName; 3 display_name string; 4 description string; 5 dataset_type enum""",
    "MetricName": "1 group string; 2 tag string",
    "SessionStart": """
        1 hparams HParam*; 2 model_uri string; 3 monitor_url string; 4 group_name string;
        5 start_time_secs double""",
    "HParam": "1 key string; 2 value AnyValue",
    "SessionEnd": "1 status enum; 2 end_time_secs double",
    "AnyValue": "2 number_value double?; 3 string_value string?; 4 bool_value bool?",
    "ValueList": "1 values AnyValue*",
    # ONNX, for add_onnx_graph
    "OnnxModel": "1 ir_version int64; 2 producer_name string; 7 graph OnnxGraph",
    "OnnxGraph": "1 node OnnxNode*; 2 name string; 11 input OnnxValue*; 12 output OnnxValue*",
    "OnnxNode": """
        1 input string*; 2 output string*; 3 name string; 4 op_type string;
        5 attribute OnnxAttribute*""",
    "OnnxAttribute": """
        1 name string; 2 f float; 3 i int64; 4 s bytes; 7 floats float*; 8 ints int64*;
        9 strings bytes*; 20 type enum""",
    "OnnxValue": "1 name string; 2 type OnnxType",
    "OnnxType": "1 tensor_type OnnxTensorType",
    "OnnxTensorType": "1 elem_type int32; 2 shape OnnxShape",
    "OnnxShape": "1 dim OnnxDim*",
    "OnnxDim": "1 dim_value int64?; 2 dim_param string?",
}

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_DOUBLE = struct.Struct("<d")
_FLOAT = struct.Struct("<f")
_RANGES = {
    "int32": (-(1 << 31), 1 << 31),
    "enum": (-(1 << 31), 1 << 31),
    "int64": (-(1 << 63), 1 << 63),
    "uint32": (0, 1 << 32),
    "uint64": (0, 1 << 64),
}
_MAX_DEPTH = 100


class DecodeError(ValueError):
    """The bytes are not an encoded message."""


class _Field(NamedTuple):
    number: int
    name: str
    type: str
    repeated: bool
    keep_default: bool
    wire_type: int
    key: bytes  # the encoded number and wire type


@cache
def _fields(message: str) -> tuple[_Field, ...]:
    """The fields of a message in the order of their numbers, which is the order of writing."""
    fields = []
    for line in MESSAGES[message].split(";"):
        number, name, kind = line.split()
        plain = kind.rstrip("*?")
        repeated = kind.endswith("*")
        wire_type = {"double": _FIXED64, "float": _FIXED32}.get(plain, _VARINT)
        if plain in MESSAGES or plain in ("string", "bytes"):
            wire_type = _BYTES
        packed = repeated and wire_type != _BYTES
        key = _varint(int(number) << 3 | (_BYTES if packed else wire_type))
        keep = kind.endswith("?")
        fields.append(_Field(int(number), name, plain, repeated, keep, wire_type, key))
    return tuple(sorted(fields))


@cache
def _fields_by_number(message: str) -> dict[int, _Field]:
    return {field.number: field for field in _fields(message)}


def encode(message: str, values: Message) -> bytes:
    """The wire bytes of a message.

    Args:
        message: a name in ``MESSAGES``.
        values: field values by name. What is absent or None is not written, nor is a plain field
            that has its default value.

    Raises:
        TypeError: a value has the wrong type.
        ValueError: an integer is out of its field's range.
        KeyError: the message has no field of that name.

    Example:
        >>> encode("Dim", {"size": 3})
        b'\\x08\\x03'
    """
    parts: list[bytes] = []
    seen = 0
    for field in _fields(message):
        value = values.get(field.name)
        if value is None:
            seen += field.name in values
            continue
        seen += 1
        if not field.repeated:
            data = _encode_one(field, value)
            if data or field.keep_default or field.type in MESSAGES:
                parts.append(field.key)
                parts.append(_sized(data) if field.wire_type == _BYTES else data or _zero(field))
        elif field.wire_type == _BYTES:
            for item in value:
                parts.append(field.key)
                parts.append(_sized(_encode_one(field, item)))
        elif len(value):
            parts.append(field.key)
            parts.append(_sized(_encode_packed(field, value)))
    if seen != len(values):
        unknown = set(values) - {field.name for field in _fields(message)}
        raise KeyError(f"{message} has no field {', '.join(sorted(unknown))}")
    return b"".join(parts)


def _zero(field: _Field) -> bytes:
    return {_VARINT: b"\0", _FIXED32: bytes(4), _FIXED64: bytes(8)}[field.wire_type]


def _encode_one(field: _Field, value: Any) -> bytes:
    """The bytes of one value; empty for a default value, which the caller may have to write."""
    kind = field.type
    if kind == "string":
        if isinstance(value, str):
            return value.encode()
        error = TypeError("bad argument type for built-in operation")
        error.add_note(f"{field.name} must be a str, not {type(value).__name__}")
        raise error
    if kind == "bytes":
        return bytes(value)
    if kind == "double":
        return b"" if _is_positive_zero(value) else _pack(_DOUBLE, value)
    if kind == "float":
        return b"" if _is_positive_zero(value) else _pack(_FLOAT, value)
    if kind in MESSAGES:
        return encode(kind, value)
    number = _integer(field, value)
    return _varint(number) if number else b""


def _is_positive_zero(value: Any) -> bool:
    """True for the default of a floating-point field, which -0.0 is not."""
    return bool(value == 0 and math.copysign(1.0, value) > 0)


def _pack(form: struct.Struct, value: Any) -> bytes:
    try:
        return form.pack(value)
    except OverflowError:  # beyond float32, as an assignment in C would give
        return form.pack(float("inf") if value > 0 else float("-inf"))
    except struct.error:
        raise TypeError(f"must be real number, not {type(value).__name__}") from None


def _integer(field: _Field, value: Any) -> int:
    if field.type == "bool":
        return int(bool(value))
    number = int(value)
    low, high = _RANGES[field.type]
    if not low <= number < high:
        raise ValueError(f"Value out of range: {number}")
    return number


def _encode_packed(field: _Field, values: Any) -> bytes:
    if field.type == "double":
        return np.asarray(values, "<f8").tobytes()
    if field.type == "float":
        return np.asarray(values, "<f4").tobytes()
    return b"".join(_varint(_integer(field, value)) for value in values)


def _varint(number: int) -> bytes:
    """Seven bits a byte, low ones first; negative numbers as 64-bit two's complement."""
    if 0 <= number < 0x80:
        return _SMALL[number]
    number &= 0xFFFFFFFFFFFFFFFF
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


_SMALL = [bytes([number]) for number in range(0x80)]


def _sized(data: bytes) -> bytes:
    return _varint(len(data)) + data


def decode(message: str, data: bytes, _depth: int = 0) -> Message:
    """The message that ``data`` holds, as a dict.

    Fields that are absent from the bytes are absent from the dict; unknown fields are skipped.

    Raises:
        DecodeError: ``data`` is not an encoded message of this type.

    Example:
        >>> decode("Dim", encode("Dim", {"size": 3, "name": "rows"}))
        {'size': 3, 'name': 'rows'}
    """
    if _depth > _MAX_DEPTH:
        raise DecodeError(f"{message}: messages are nested too deep")
    fields = _fields_by_number(message)
    values: Message = {}
    position, end = 0, len(data)
    while position < end:
        key, position = _read_varint(data, position)
        chunk, position = _read_chunk(data, position, key & 7)
        field = fields.get(key >> 3)
        if field is None:
            continue
        items = _decode_field(field, key & 7, chunk, _depth)
        if field.repeated:
            values.setdefault(field.name, []).extend(items)
        else:
            for item in items:
                values[field.name] = item
    return values


def _read_varint(data: bytes, position: int) -> tuple[int, int]:
    result = 0
    for shift in range(0, 70, 7):
        if position >= len(data):
            raise DecodeError("the message ends inside a number")
        byte = data[position]
        position += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result & 0xFFFFFFFFFFFFFFFF, position
    raise DecodeError("a number is longer than ten bytes")


def _read_chunk(data: bytes, position: int, wire_type: int) -> tuple[int | bytes, int]:
    """The raw value at ``position``: a varint's number, or the bytes of any other wire type."""
    if wire_type == _VARINT:
        return _read_varint(data, position)
    if wire_type == _BYTES:
        size, position = _read_varint(data, position)
    elif wire_type in (_FIXED32, _FIXED64):
        size = 4 if wire_type == _FIXED32 else 8
    else:
        raise DecodeError(f"wire type {wire_type} is not supported")
    if position + size > len(data):
        raise DecodeError("the message ends inside a value")
    return data[position : position + size], position + size


def _decode_field(field: _Field, wire_type: int, chunk: int | bytes, depth: int) -> Iterable[Any]:
    """The values of one occurrence of a field: many where it is packed, else one."""
    if isinstance(chunk, bytes) and wire_type == _BYTES and field.wire_type != _BYTES:
        return _decode_packed(field, chunk)
    if wire_type != field.wire_type:
        raise DecodeError(f"{field.name}: wire type {wire_type}, expected {field.wire_type}")
    if isinstance(chunk, int):
        return [_from_varint(field, chunk)]
    if field.type == "string":
        try:
            return [chunk.decode()]
        except UnicodeDecodeError as error:
            raise DecodeError(f"{field.name}: {error}") from None
    if field.type == "bytes":
        return [chunk]
    if field.type in MESSAGES:
        return [decode(field.type, chunk, depth + 1)]
    form = _FLOAT if field.type == "float" else _DOUBLE
    return [form.unpack(chunk)[0]]


def _decode_packed(field: _Field, chunk: bytes) -> Iterable[Any]:
    if field.wire_type in (_FIXED32, _FIXED64):
        width = 4 if field.wire_type == _FIXED32 else 8
        if len(chunk) % width:
            raise DecodeError(f"{field.name}: {len(chunk)} bytes are no whole number of values")
        values: list[Any] = np.frombuffer(chunk, f"<f{width}").tolist()
        return values
    numbers, position = [], 0
    while position < len(chunk):
        number, position = _read_varint(chunk, position)
        numbers.append(_from_varint(field, number))
    return numbers


def _from_varint(field: _Field, number: int) -> int | bool:
    convert: Callable[[int], int | bool] = _FROM_VARINT[field.type]
    return convert(number)


def _signed(number: int, bits: int) -> int:
    number &= (1 << bits) - 1
    return number - (1 << bits) if number >> (bits - 1) else number


_FROM_VARINT: dict[str, Callable[[int], int | bool]] = {
    "int32": lambda number: _signed(number, 32),
    "enum": lambda number: _signed(number, 32),
    "int64": lambda number: _signed(number, 64),
    "uint32": lambda number: number & 0xFFFFFFFF,
    "uint64": lambda number: number,
    "bool": bool,
}
