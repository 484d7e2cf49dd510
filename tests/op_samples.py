"""Samples for records that bring none, and the records that are tested elsewhere.

A sample is (inputs, attrs), as `rushlight/ir/samples.py` says.
"""

from __future__ import annotations

import numpy as np
from op_samples_nn import NN_SAMPLES

from rushlight import dtypes
from rushlight.devices import CPU


def _index(make, high, *shape):
    return make.integers(high, *shape)


SAMPLES = {
    "cast": lambda make: [((make(2, 3),), (dtypes.float32,))],
    "clone_strided": lambda make: [((make(2, 3),), (None,)), ((make(2, 3),), ((1, 2),))],
    "threshold": lambda make: [((make(3, 4),), (0.1, 7.0))],
    "threshold_backward": lambda make: [((make(3, 4), make(3, 4)), (0.1,))],
    "masked_fill": lambda make: [((make(3, 4), make.booleans(3, 4), 2.0), ())],
    "prelu": lambda make: [((make(2, 3, 2), make(3)), ()), ((make(2, 3), make(1)), ())],
    # joining and moving
    "cat": lambda make: [((make(2, 3), make(1, 3)), (0,)), ((make(2, 3), make(2, 2)), (1,))],
    "stack": lambda make: [((make(2, 3), make(2, 3)), (1,))],
    "repeat": lambda make: [((make(2, 3),), ((2, 1, 2),))],
    "flip": lambda make: [((make(2, 3),), ((0, 1),))],
    "roll": lambda make: [((make(2, 3),), ((1,), (1,)))],
    "view": lambda make: [((make(2, 3),), ((3, 2),))],
    "_unsafe_view": lambda make: [((make(2, 3),), ((3, 2),))],
    "expand": lambda make: [((make(2, 1),), ((2, 3),))],
    "permute": lambda make: [((make(2, 3, 4),), ((2, 0, 1),))],
    "transpose": lambda make: [((make(2, 3),), (0, 1))],
    "t": lambda make: [((make(2, 3),), ())],
    "unsqueeze": lambda make: [((make(2, 3),), (1,))],
    "squeeze": lambda make: [((make(2, 1, 3),), (1,))],
    "select": lambda make: [((make(2, 3),), (1, 2))],
    "slice": lambda make: [((make(4, 3),), (0, 1, 4, 2))],
    "diagonal": lambda make: [((make(3, 3),), (0, 0, 1))],
    "unfold": lambda make: [((make(2, 5),), (1, 2, 2))],
    "as_strided": lambda make: [((make(3, 4),), ((2, 2), (1, 4), 1))],
    "unbind": lambda make: [((make(2, 3),), (0,))],
    "split": lambda make: [((make(5, 2),), ((2, 3), 0, False))],
    "select_backward": lambda make: [((make(3),), ((2, 3), 0, 1))],
    "slice_backward": lambda make: [((make(2, 3),), ((4, 3), 0, 1, 4, 2))],
    "diagonal_backward": lambda make: [((make(3),), ((3, 3), 0, 0, 1))],
    "unfold_backward": lambda make: [((make(2, 2, 2),), ((2, 5), 1, 2, 2))],
    # picking and putting
    "gather": lambda make: [((make(3, 4), _index(make, 3, 2, 4)), (0,))],
    "scatter": lambda make: [((make(3, 4), np.array([[2, 0, 1, 1]]), make(1, 4)), (0,))],
    "scatter_add": lambda make: [((make(3, 4), _index(make, 3, 2, 4), make(2, 4)), (0,))],
    "index_select": lambda make: [((make(3, 4), np.array([2, 0, 2])), (0,))],
    "index_add": lambda make: [((make(3, 4), np.array([2, 0]), make(2, 4)), (0, 2))],
    "index_copy": lambda make: [((make(3, 4), np.array([2, 0]), make(2, 4)), (0,))],
    "take": lambda make: [((make(3, 4), np.array([2, 0, 11])), ())],
    "select_scatter": lambda make: [((make(3, 4), make(4)), (0, 1))],
    "slice_scatter": lambda make: [((make(4, 3), make(2, 3)), (0, 1, 4, 2))],
    "diagonal_scatter": lambda make: [((make(3, 3), make(3)), (0, 0, 1))],
    "embedding": lambda make: [((make(5, 3), _index(make, 5, 2, 2)), (-1, False))],
    # indexing by tensors
    "index": lambda make: [((make(3, 4), np.array([2, 0]), None), ())],
    "index_put": lambda make: [((make(3, 4), make(2, 4), np.array([2, 0])), (False,))],
    "scatter_reduce": lambda make: [
        ((make(3, 4), _index(make, 3, 2, 4), make(2, 4)), (0, how, True))
        for how in ("sum", "prod", "mean", "amax", "amin")
    ],
    "index_fill": lambda make: [((make(3, 4), np.array([2, 0]), 0.5), (0,))],
    "put": lambda make: [((make(3, 4), np.array([2, 0]), make(2)), (False,))],
    "masked_scatter": lambda make: [((make(2, 3), make.booleans(2, 3), make(6)), ())],
    **NN_SAMPLES,
    # products
    "mm": lambda make: [((make(2, 3), make(3, 4)), ()), ((make(2, 0), make(0, 3)), ())],
    "bmm": lambda make: [((make(2, 2, 3), make(2, 3, 2)), ())],
    "mv": lambda make: [((make(2, 3), make(3)), ())],
    "dot": lambda make: [((make(4), make(4)), ())],
    "vdot": lambda make: [((make(4), make(4)), ())],
    "outer": lambda make: [((make(2), make(3)), ())],
    "addmm": lambda make: [((make(2, 4), make(2, 3), make(3, 4)), (0.5, 2))],
    "baddbmm": lambda make: [((make(2, 2, 2), make(2, 2, 3), make(2, 3, 2)), (0.5, 2))],
    "addbmm": lambda make: [((make(2, 2), make(2, 2, 3), make(2, 3, 2)), (0.5, 2))],
    "addmv": lambda make: [((make(2), make(2, 3), make(3)), (0.5, 2))],
    "addr": lambda make: [((make(2, 3), make(2), make(3)), (0.5, 2))],
    "linear": lambda make: [((make(2, 3), make(4, 3), make(4)), ())],
    # normalisation
    "layer_norm": lambda make: [((make(2, 3), make(3), make(3)), ((3,), 1e-5))],
    "group_norm": lambda make: [((make(2, 4, 3), make(4), make(4)), (2, 1e-5))],
    # creation: shapes and dtypes are compared, and values with torch
    "full": lambda make: [((7,), ((2, 3), dtypes.float32, CPU))],
    "arange": lambda make: [((), (0, 5, 2, dtypes.int64, CPU))],
    "linspace": lambda make: [((), (0.0, 1.0, 5, dtypes.float32, CPU))],
    "logspace": lambda make: [((), (0.0, 1.0, 5, 10.0, dtypes.float32, CPU))],
    "eye": lambda make: [((), (3, 4, dtypes.float32, CPU))],
    "tril_indices": lambda make: [((), (3, 3, 0, dtypes.int64, CPU))],
    "triu_indices": lambda make: [((), (3, 3, 0, dtypes.int64, CPU))],
}

_NN = "test_nn_functional.py"
_RANDOM = "test_random_streams.py"
_VIEWS = "test_views.py"
ELSEWHERE = {
    "empty": "its values are undefined",
    **dict.fromkeys(
        """rrelu_slopes uniform normal random_from random_default exponential cauchy geometric
        log_normal bernoulli_p bernoulli bernoulli_with randperm multinomial poisson""".split(),
        _RANDOM,
    ),
    **dict.fromkeys(("ctc_loss", "nll_spread"), _NN),
    **dict.fromkeys(
        """real_part imag_part view_as_real view_as_complex conj_view neg_view view_dtype
        as_strided_backward as_strided_scatter""".split(),
        _VIEWS,
    ),
    **dict.fromkeys(
        "index_reduce masked_pack".split(),
        "test_indexing.py",
    ),
    **dict.fromkeys("_sample_dirichlet _standard_gamma binomial".split(), "test_distributions.py"),
    **dict.fromkeys(
        """cholesky_solve linalg_cholesky_ex linalg_eig linalg_eigh""".split(), "test_linalg.py"
    ),
}
