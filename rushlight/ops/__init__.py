"""The op table.  Importing this package makes every record; one file a family."""

from rushlight.ops import (
    activation,
    arithmetic,
    conv,
    create,
    embedding,
    indexing,
    loss,
    matmul,
    movement,
    norm,
    pool,
    random,
    reduce,
    unary,
)

__all__ = [
    "activation",
    "arithmetic",
    "conv",
    "create",
    "embedding",
    "indexing",
    "loss",
    "matmul",
    "movement",
    "norm",
    "pool",
    "random",
    "reduce",
    "unary",
]
