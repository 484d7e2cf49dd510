"""What follows a matrix product and is done by its kernel: a bias along the columns, ReLU.

In: a simplified graph.  Out: one whose products may have a third input, the bias, and the attribute
whether what is below 0 becomes 0.  Only the scheduler sees such graphs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from rushlight.compiler import values
from rushlight.compiler.clusters import same_order
from rushlight.compiler.simplify import number_of
from rushlight.ir.graph import Graph, Store, Value

__all__ = ["epilogues"]


def epilogues(graph: Graph) -> Graph:
    """Gives products their biases, then their ReLUs."""
    return _pass(_pass(graph, "add", _bias), "maximum", _relu)


def _pass(graph: Graph, name: str, rule: Callable[[Value, Value], Value | None]) -> Graph:
    """Joins maps of this name with the product among their operands that nobody else reads."""
    users = Counter([s.value for s in graph.stores])
    for v in graph.values():
        users.update(v.inputs)
    new: dict[Value, Value] = {}
    for v in graph.values():
        inputs = tuple([new[x] for x in v.inputs])
        made = Value(v.kind, inputs, v.attrs, v.shape, v.dtype) if inputs else v
        if v.kind == "map" and v.attrs[0] == name and v.dtype.itemsize in (4, 8):
            for i, x in enumerate(v.inputs):
                product = _product(x, users)
                if product is not None and x.shape == v.shape:
                    joined = rule(new[product], inputs[1 - i])
                    if joined is not None:
                        made = values.reshape(joined, v.shape)
                        break
        new[v] = made
    return Graph(
        tuple([Store(new[s.value], *s[1:]) for s in graph.stores]), graph.slots, graph.numbers
    )


def _product(x: Value, users: Counter[Value]) -> Value | None:
    """The product that a value is, perhaps with other leading dimensions; only it reads it."""
    while x.kind == "view" and users[x] == 1:
        if not same_order(x) or x.inputs[0].shape[-1:] != x.shape[-1:]:
            return None
        x = x.inputs[0]
    return x if x.kind == "matmul" and users[x] == 1 else None


def _bias(product: Value, other: Value) -> Value | None:
    """A product plus a row that is repeated."""
    row = _row(other, product.shape[-1])
    if row is None or len(product.inputs) == 3:
        return None
    return Value("matmul", (*product.inputs, row), (False,), product.shape, product.dtype)


def _relu(product: Value, other: Value) -> Value | None:
    """The larger of a product with a bias and 0."""
    if number_of(other) != 0 or len(product.inputs) != 3:
        return None
    return Value("matmul", product.inputs, (True,), product.shape, product.dtype)


def _row(v: Value, n: int) -> Value | None:
    """The vector that a value repeats along its rows, if it does."""
    if v.size == n and v.shape and v.shape[-1] == n:
        return values.reshape(v, (n,))
    if v.kind == "view" and v.shape[-1] == n and not any(v.attrs[0][:-1]):
        return values.view(v.inputs[0], (n,), v.attrs[0][-1:], v.attrs[1])
    return None
