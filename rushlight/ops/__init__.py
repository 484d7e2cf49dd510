"""The op table.  Importing this package makes every record; one file a family."""

from rushlight.ops import (
    arithmetic,
    create,
    indexing,
    matmul,
    movement,
    random,
    reduce,
    unary,
)

__all__ = [
    "arithmetic",
    "create",
    "indexing",
    "matmul",
    "movement",
    "random",
    "reduce",
    "unary",
]
