"""Tensor's methods and the functions of the ``torch`` namespace.

Importing the modules in this order attaches the methods; ``api.FUNCTIONS`` holds the functions.
"""

from rushlight import ops  # noqa: F401  the records first
from rushlight._tensor import (
    activations,
    api,
    attributes,
    creation,
    diagonals,
    formats,
    indexing,
    matmul,
    modes,
    movement,
    norms,
    numeric,
    numpy_bridge,
    pickling,
    pointwise,
    printing,
    random,
    reduction,
    scan,
    scatter,
    sorting,
    special,
    statistics,
    subclassing,
)

__all__ = [
    "activations",
    "api",
    "attributes",
    "creation",
    "diagonals",
    "formats",
    "indexing",
    "matmul",
    "modes",
    "movement",
    "norms",
    "numeric",
    "numpy_bridge",
    "pickling",
    "pointwise",
    "printing",
    "random",
    "reduction",
    "scan",
    "scatter",
    "sorting",
    "special",
    "statistics",
    "subclassing",
]
