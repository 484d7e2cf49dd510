"""``torch.linalg``: norms, products, decompositions and solvers of matrices."""

from __future__ import annotations

from rushlight._tensor.norms import vector_norm

__all__ = ["vector_norm"]

vector_norm.__module__ = "rushlight.linalg"
