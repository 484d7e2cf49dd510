"""``torch.linalg``: norms, products, decompositions and solvers of matrices.

The functions are defined in _tensor/linalg.py and its neighbours; their records in ops/linalg.py.
"""

from __future__ import annotations

from typing import Any

from rushlight._tensor import linalg as _linalg
from rushlight._tensor import linalg_factors as _factors
from rushlight._tensor import norms as _norms
from rushlight._tensor import products as _products
from rushlight.errors import LinAlgError

__all__ = [
    "LinAlgError",
    "cholesky",
    "cholesky_ex",
    "common_notes",
    "cond",
    "cross",
    "det",
    "diagonal",
    "eig",
    "eigh",
    "eigvals",
    "eigvalsh",
    "householder_product",
    "inv",
    "inv_ex",
    "ldl_factor",
    "ldl_factor_ex",
    "ldl_solve",
    "lstsq",
    "lu",
    "lu_factor",
    "lu_factor_ex",
    "lu_solve",
    "matmul",
    "matrix_exp",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "multi_dot",
    "norm",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "solve_ex",
    "solve_triangular",
    "svd",
    "svdvals",
    "tensorinv",
    "tensorsolve",
    "vander",
    "vecdot",
    "vector_norm",
]

common_notes = {  # sentences that several docstrings share, by PyTorch's keys
    "experimental_warning": "PyTorch may still change this function.",
    "sync_note": "On the CPU nothing has to be waited for.",
    "sync_note_ex": "On the CPU nothing has to be waited for, whatever ``check_errors`` says.",
    "sync_note_has_ex": "On the CPU nothing has to be waited for; see also :func:`{}`.",
}


def _named(name: str, function: Any) -> Any:
    function.__name__, function.__module__ = name, "rushlight.linalg"
    return function


cholesky = _named("cholesky", _linalg.linalg_cholesky)
cross = _named("cross", _products.linalg_cross)
det = _named("det", _linalg.linalg_det)
matrix_exp = _named("matrix_exp", _linalg.linalg_matrix_exp)
qr = _named("qr", _linalg.linalg_qr)
slogdet = _named("slogdet", _linalg.linalg_slogdet)
svd = _named("svd", _linalg.linalg_svd)
vander = _named("vander", _products.linalg_vander)
vector_norm = _named("vector_norm", _norms.vector_norm)
matrix_power = _linalg.matrix_power

cholesky_ex = _named("cholesky_ex", _linalg.cholesky_ex)
cond = _named("cond", _linalg.cond)
diagonal = _named("diagonal", _linalg.diagonal)
eig = _named("eig", _linalg.eig)
eigh = _named("eigh", _linalg.eigh)
eigvals = _named("eigvals", _linalg.eigvals)
eigvalsh = _named("eigvalsh", _linalg.eigvalsh)
householder_product = _named("householder_product", _factors.householder_product)
inv = _named("inv", _linalg.inv)
inv_ex = _named("inv_ex", _linalg.inv_ex)
ldl_factor = _named("ldl_factor", _factors.ldl_factor)
ldl_factor_ex = _named("ldl_factor_ex", _factors.ldl_factor_ex)
ldl_solve = _named("ldl_solve", _factors.ldl_solve)
lstsq = _named("lstsq", _factors.lstsq)
lu = _named("lu", _factors.linalg_lu)
lu_factor = _named("lu_factor", _factors.lu_factor)
lu_factor_ex = _named("lu_factor_ex", _factors.lu_factor_ex)
lu_solve = _named("lu_solve", _factors.linalg_lu_solve)
matmul = _named("matmul", _linalg.matmul)
matrix_norm = _named("matrix_norm", _linalg.matrix_norm)
matrix_rank = _named("matrix_rank", _linalg.matrix_rank)
multi_dot = _named("multi_dot", _linalg.multi_dot)
norm = _named("norm", _linalg.norm)
pinv = _named("pinv", _linalg.pinv)
solve = _named("solve", _linalg.solve)
solve_ex = _named("solve_ex", _linalg.solve_ex)
solve_triangular = _named("solve_triangular", _linalg.solve_triangular)
svdvals = _named("svdvals", _linalg.svdvals)
tensorinv = _named("tensorinv", _linalg.tensorinv)
tensorsolve = _named("tensorsolve", _linalg.tensorsolve)
vecdot = _named("vecdot", _linalg.vecdot)
