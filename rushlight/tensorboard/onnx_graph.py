"""The graph of an ONNX file, for TensorBoard.

In: the path of an .onnx file. Out: a GraphDef message. Nothing of the onnx package is needed: the
few fields used are listed in ``proto``. Source: onnx.proto.
"""

from __future__ import annotations

import os

from rushlight.errors import FileFormatError
from rushlight.tensorboard.proto import DecodeError, Message, decode

__all__ = ["load_onnx_graph"]


def load_onnx_graph(fname: str | os.PathLike[str]) -> Message:
    """The GraphDef message of an ONNX file's graph.

    Raises:
        FileFormatError: the file is no ONNX model.
        OSError: it cannot be read.
    """
    with open(fname, "rb") as file:
        content = file.read()
    try:
        model = decode("OnnxModel", content)
    except DecodeError as error:
        raise FileFormatError(f"{os.fspath(fname)}: no ONNX model: {error}") from error
    if "graph" not in model:
        raise FileFormatError(f"{os.fspath(fname)}: no ONNX model: it holds no graph")
    graph = model["graph"]
    operators = [_operator(node) for node in graph.get("node", [])]
    made = {node["name"] for node in operators}
    variables = [_variable(value) for value in graph.get("input", []) + graph.get("output", [])]
    nodes = [node for node in variables if node["name"] not in made] + operators
    return {"node": nodes, "versions": {"producer": 22}}


def _variable(value: Message) -> Message:
    tensor = value.get("type", {}).get("tensor_type", {})
    dims = [{"size": dim.get("dim_value", 0)} for dim in tensor.get("shape", {}).get("dim", [])]
    attributes = [
        {"key": "dtype", "value": {"type": tensor.get("elem_type", 0)}},
        {"key": "shape", "value": {"shape": {"dim": dims}}},
    ]
    return {"name": value.get("name", ""), "op": "Variable", "attr": attributes}


def _operator(node: Message) -> Message:
    settings = []
    for attribute in node.get("attribute", []):
        values = [item for key, item in attribute.items() if key not in ("name", "type")]
        settings.append(" = ".join([attribute.get("name", ""), *map(str, values)]))
    text = ", ".join(settings).encode()
    return {
        "name": node.get("output", [node.get("name", "")])[0],
        "op": node.get("op_type", ""),
        "input": node.get("input", []),
        "attr": [{"key": "parameters", "value": {"s": text}}],
    }
